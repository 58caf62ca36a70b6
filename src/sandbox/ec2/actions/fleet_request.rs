//! What `CreateFleet` asks for.

use std::collections::BTreeMap;

use super::launch_request::TAGGED;
use super::launch_templates::{Base, resolve};
use super::{Call, requirements};
use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::model::fleet::Pool;
use crate::sandbox::ec2::model::region::Tags;
use crate::sandbox::ec2::request::Params;
use crate::sandbox::ec2::tags;

/// The parameters of `CreateFleet` that the sandbox knows.
pub(super) const PARAMETERS: &[&str] = &[
    "*LaunchTemplateConfigs",
    "*TargetCapacitySpecification",
    "ClientToken",
    "Type",
    "LaunchTemplateConfigs.N.LaunchTemplateSpecification.LaunchTemplateId",
    "LaunchTemplateConfigs.N.LaunchTemplateSpecification.LaunchTemplateName",
    "LaunchTemplateConfigs.N.LaunchTemplateSpecification.Version",
    "LaunchTemplateConfigs.N.Overrides.N.AvailabilityZone",
    "LaunchTemplateConfigs.N.Overrides.N.ImageId",
    "LaunchTemplateConfigs.N.Overrides.N.InstanceType",
    "LaunchTemplateConfigs.N.Overrides.N.MaxPrice",
    "LaunchTemplateConfigs.N.Overrides.N.Placement.GroupName",
    "LaunchTemplateConfigs.N.Overrides.N.Priority",
    "LaunchTemplateConfigs.N.Overrides.N.SubnetId",
    "LaunchTemplateConfigs.N.Overrides.N.WeightedCapacity",
    "OnDemandOptions.AllocationStrategy",
    "OnDemandOptions.CapacityReservationOptions.UsageStrategy",
    "OnDemandOptions.MaxTotalPrice",
    "OnDemandOptions.MinTargetCapacity",
    "OnDemandOptions.SingleAvailabilityZone",
    "OnDemandOptions.SingleInstanceType",
    "SpotOptions.AllocationStrategy",
    "SpotOptions.InstanceInterruptionBehavior",
    "SpotOptions.InstancePoolsToUseCount",
    "SpotOptions.MaxTotalPrice",
    "SpotOptions.MinTargetCapacity",
    "SpotOptions.SingleAvailabilityZone",
    "SpotOptions.SingleInstanceType",
    "TargetCapacitySpecification.DefaultTargetCapacityType",
    "TargetCapacitySpecification.OnDemandTargetCapacity",
    "TargetCapacitySpecification.SpotTargetCapacity",
    "TargetCapacitySpecification.TotalTargetCapacity",
];

/// A fleet, as asked for.
pub(super) struct FleetRequest {
    pub pools: Vec<Choice>,
    pub spot: Goal,
    pub on_demand: Goal,
    /// Tags by kind of resource, `fleet` among them.
    pub tags: BTreeMap<String, Tags>,
}

/// A pool that may be used.
#[derive(Clone)]
pub(super) struct Choice {
    pub pool: Pool,
    /// The parameters of a launch in it, but for count and market.
    pub params: Params,
    pub tags: BTreeMap<String, Tags>,
    /// Units of capacity of one instance.
    pub weight: f64,
    /// Lower comes first; none comes last.
    pub priority: f64,
    /// The most to be paid for a spot instance, in US dollars per hour.
    pub max_price: Option<String>,
}

/// What is to be had of one market.
pub(super) struct Goal {
    /// Units of capacity.
    pub target: u32,
    pub strategy: String,
    /// Fewer units than this count as none.
    pub least: Option<u32>,
    pub single_type: bool,
    pub single_zone: bool,
    /// The most to be paid for all instances together, in US dollars per hour.
    pub budget: Option<f64>,
    /// Over how many pools `lowest-price` spreads.
    pub pools: u32,
}

/// No more pools in one request.
const MOST_POOLS: usize = 300;
const SPOT_STRATEGIES: &[&str] = &[
    "lowest-price",
    "diversified",
    "capacity-optimized",
    "capacity-optimized-prioritized",
    "price-capacity-optimized",
];

impl FleetRequest {
    /// Reads the parameters of a call.
    pub fn parse(call: &Call<'_>) -> Result<Self, Fault> {
        let params = call.params;
        match params.text("Type") {
            Some("instant") => {}
            None | Some("maintain" | "request") => {
                return Err(Fault::unsupported("the sandbox has fleets of type instant only"));
            }
            Some(other) => return Err(Fault::value_of("type", other, "Expecting instant.")),
        }
        let mut pools = Vec::new();
        for config in params.members("LaunchTemplateConfigs") {
            add_pools(call, config, &mut pools)?;
        }
        if pools.len() > MOST_POOLS {
            let message = format!("A fleet cannot have more than {MOST_POOLS} overrides");
            return Err(Fault::value(message));
        }
        let (spot, on_demand) = targets(params)?;
        let mut kinds = TAGGED.to_vec();
        kinds.push("fleet");
        Ok(FleetRequest {
            pools,
            spot: goal(params, "SpotOptions", SPOT_STRATEGIES, spot)?,
            on_demand: goal(params, "OnDemandOptions", &["lowest-price", "prioritized"], on_demand)?,
            tags: tags::specifications(params, &kinds)?,
        })
    }
}

/// Units of spot and of on-demand capacity.
fn targets(params: &Params) -> Result<(u32, u32), Fault> {
    let specification = params
        .group("TargetCapacitySpecification")
        .ok_or_else(|| Fault::missing("TargetCapacitySpecification"))?;
    let total: u32 = specification
        .integer("TotalTargetCapacity")?
        .ok_or_else(|| Fault::missing("TargetCapacitySpecification.TotalTargetCapacity"))?;
    if total == 0 || total > 10_000 {
        let why = "Expecting a value from 1 to 10000.";
        return Err(Fault::value_of("TotalTargetCapacity", &total.to_string(), why));
    }
    let mut spot: u32 = specification.integer("SpotTargetCapacity")?.unwrap_or(0);
    let mut on_demand: u32 = specification.integer("OnDemandTargetCapacity")?.unwrap_or(0);
    let Some(rest) = total.checked_sub(spot.saturating_add(on_demand)) else {
        let message = format!(
            "The sum of SpotTargetCapacity ({spot}) and OnDemandTargetCapacity ({on_demand}) is more than \
             TotalTargetCapacity ({total})"
        );
        return Err(Fault::value(message));
    };
    match specification.text("DefaultTargetCapacityType") {
        Some("spot") => spot += rest,
        Some("on-demand") => on_demand += rest,
        None if rest == 0 => {}
        None => return Err(Fault::missing("TargetCapacitySpecification.DefaultTargetCapacityType")),
        Some(other) => {
            let why = "Expecting spot or on-demand.";
            return Err(Fault::value_of("DefaultTargetCapacityType", other, why));
        }
    }
    Ok((spot, on_demand))
}

fn goal(params: &Params, name: &str, strategies: &[&str], target: u32) -> Result<Goal, Fault> {
    let none = Params::default();
    let options = params.group(name).unwrap_or(&none);
    // EC2 also takes the words of the older Spot Fleet.
    let strategy = match options.text("AllocationStrategy").unwrap_or("lowest-price") {
        "lowestPrice" => "lowest-price",
        "capacityOptimized" => "capacity-optimized",
        "priceCapacityOptimized" => "price-capacity-optimized",
        other => other,
    };
    if !strategies.contains(&strategy) {
        let why = format!("Expecting {}.", strategies.join(", "));
        return Err(Fault::value_of(&format!("{name}.AllocationStrategy"), strategy, &why));
    }
    let budget = options.text("MaxTotalPrice").map(|text| price("MaxTotalPrice", text)).transpose()?;
    let goal = Goal {
        target,
        strategy: strategy.to_owned(),
        least: options.integer("MinTargetCapacity")?,
        single_type: options.flag("SingleInstanceType")?.unwrap_or(false),
        single_zone: options.flag("SingleAvailabilityZone")?.unwrap_or(false),
        budget,
        pools: options.integer("InstancePoolsToUseCount")?.unwrap_or(1),
    };
    match options.text("InstanceInterruptionBehavior") {
        None | Some("terminate") => {}
        Some(other) => {
            let message = format!("Instant fleets cannot {other} interrupted instances");
            return Err(Fault::combination(message));
        }
    }
    if goal.least.is_some() && !goal.single_type && !goal.single_zone {
        let message = format!(
            "{name}.MinTargetCapacity requires SingleInstanceType or SingleAvailabilityZone to be true"
        );
        return Err(Fault::combination(message));
    }
    if goal.least.is_some_and(|least| least > target) {
        return Err(Fault::value(format!("{name}.MinTargetCapacity is more than the target of {target}")));
    }
    Ok(goal)
}

fn price(name: &str, text: &str) -> Result<f64, Fault> {
    let price = text.parse::<f64>().ok().filter(|price| price.is_finite() && *price > 0.0);
    price.ok_or_else(|| Fault::value_of(name, text, "Expecting a positive number."))
}

fn add_pools(call: &Call<'_>, config: &Params, pools: &mut Vec<Choice>) -> Result<(), Fault> {
    let specification = config
        .group("LaunchTemplateSpecification")
        .ok_or_else(|| Fault::missing("LaunchTemplateConfigs.LaunchTemplateSpecification"))?;
    if !specification.has("Version") {
        return Err(Fault::missing("LaunchTemplateSpecification.Version"));
    }
    let base = resolve(call.region, specification)?;
    if base.data.has("InstanceMarketOptions") {
        return Err(Fault::combination(
            "The launch template of a fleet cannot have InstanceMarketOptions: the fleet itself says which \
             market it uses",
        ));
    }
    let overrides = config.members("Overrides");
    if overrides.is_empty() {
        pools.push(choice(&base, Params::default())?);
    }
    for overrides in overrides {
        let Some(requirements) = overrides.group("InstanceRequirements") else {
            pools.push(choice(&base, overrides.clone())?);
            continue;
        };
        if overrides.has("InstanceType") {
            let message = "InstanceType and InstanceRequirements cannot be specified together";
            return Err(Fault::combination(message));
        }
        for kind in requirements::matching(requirements)? {
            let mut each = overrides.clone();
            each.take("InstanceRequirements");
            each.set("InstanceType", kind.name);
            pools.push(choice(&base, each)?);
        }
    }
    Ok(())
}

fn choice(base: &Base, overrides: Params) -> Result<Choice, Fault> {
    let number = |name: &str, default: f64| -> Result<f64, Fault> {
        let Some(text) = overrides.text(name) else { return Ok(default) };
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
        number.ok_or_else(|| Fault::value_of(name, text, "Expecting a number that is not negative."))
    };
    let weight = number("WeightedCapacity", 1.0)?;
    if weight < 1.0 {
        return Err(Fault::value_of("WeightedCapacity", &weight.to_string(), "Expecting at least 1."));
    }
    let max_price = overrides.text("MaxPrice").map(str::to_owned);
    if let Some(text) = &max_price {
        price("MaxPrice", text)?;
    }
    let priority = number("Priority", f64::MAX)?;
    let mut params = base.data.clone();
    let tags = tags::specifications(&params, TAGGED)?;
    params.take("TagSpecification");
    for (name, parameter) in [
        ("InstanceType", "InstanceType"),
        ("ImageId", "ImageId"),
        ("AvailabilityZone", "Placement.AvailabilityZone"),
    ] {
        if let Some(value) = overrides.text(name) {
            params.set(parameter, value);
        }
    }
    if let Some(group) = overrides.group("Placement").and_then(|placement| placement.text("GroupName")) {
        params.set("Placement.GroupName", group);
    }
    if let Some(subnet) = overrides.text("SubnetId") {
        let interface = params.has("NetworkInterface");
        params.set(if interface { "NetworkInterface.1.SubnetId" } else { "SubnetId" }, subnet);
    }
    let (template, template_name) = (base.id.clone(), base.name.clone());
    let pool = Pool { template, template_name, version: base.version, overrides };
    Ok(Choice { pool, params, tags, weight, priority, max_price })
}
