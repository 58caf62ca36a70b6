//! Which pools a fleet uses, in which order, and what each of them gives.

use std::cmp::Ordering;

use super::Call;
use super::fleet_request::{Choice, FleetRequest, Goal};
use super::launch::{Origin, launch};
use crate::sandbox::ec2::Lifecycle;
use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::market;
use crate::sandbox::ec2::model::fleet::{Launched, Refused};
use crate::sandbox::ec2::types::{self, InstanceType};

/// What came of a fleet.
#[derive(Default)]
pub(super) struct Outcome {
    pub groups: Vec<Launched>,
    pub errors: Vec<Refused>,
    /// Units of spot and of on-demand capacity.
    pub fulfilled: (f64, f64),
}

/// Launches the instances of a fleet: on-demand first, as EC2 does, then spot.
pub(super) fn fulfil(call: &mut Call<'_>, id: &str, request: &FleetRequest) -> Outcome {
    let mut outcome = Outcome::default();
    for (goal, lifecycle) in [(&request.on_demand, Lifecycle::OnDemand), (&request.spot, Lifecycle::Spot)] {
        if goal.target == 0 {
            continue;
        }
        let run = Run { fleet: id, request, goal, lifecycle };
        let part = run.whole(call);
        match lifecycle {
            Lifecycle::Spot => outcome.fulfilled.0 = part.units,
            Lifecycle::OnDemand => outcome.fulfilled.1 = part.units,
        }
        outcome.groups.extend(part.groups);
        outcome.errors.extend(part.errors);
    }
    outcome
}

/// One market's share of a fleet.
struct Run<'a> {
    fleet: &'a str,
    request: &'a FleetRequest,
    goal: &'a Goal,
    lifecycle: Lifecycle,
}

/// What one market has given.
#[derive(Default)]
struct Part {
    groups: Vec<Launched>,
    errors: Vec<Refused>,
    units: f64,
    /// US dollars per hour.
    cost: f64,
}

impl Run<'_> {
    /// Fulfils the goal as far as it can be; less than the least that will do is undone.
    fn whole(&self, call: &mut Call<'_>) -> Part {
        let before = (call.region.clone(), call.addresses.clone(), call.effects.clone());
        let mut refused = Part::default();
        for choices in self.alternatives(call) {
            let mut part = self.part(call, choices);
            let least = f64::from(self.goal.least.unwrap_or(0));
            if part.units >= least && part.units > 0.0 {
                part.errors.splice(0..0, refused.errors);
                return part;
            }
            refused.errors.append(&mut part.errors);
            *call.region = before.0.clone();
            *call.addresses = before.1.clone();
            call.effects = before.2.clone();
        }
        refused
    }

    /// The sets of pools that can be used together: all of them, unless one type or one zone must do.
    fn alternatives(&self, call: &Call<'_>) -> Vec<Vec<Choice>> {
        let all = self.ordered(call, self.request.pools.clone());
        if !self.goal.single_type && !self.goal.single_zone {
            return vec![all];
        }
        let key = |choice: &Choice| {
            let kind = self.goal.single_type.then(|| kind(choice).map(|kind| kind.name));
            let zone = self.goal.single_zone.then(|| zone(call, choice));
            (kind.flatten(), zone.flatten())
        };
        let mut sets: Vec<Vec<Choice>> = Vec::new();
        for choice in all {
            match sets.iter_mut().find(|set| set.first().is_some_and(|first| key(first) == key(&choice))) {
                Some(set) => set.push(choice),
                None => sets.push(vec![choice]),
            }
        }
        sets
    }

    fn part(&self, call: &mut Call<'_>, choices: Vec<Choice>) -> Part {
        let mut part = Part::default();
        let spread = match self.goal.strategy.as_str() {
            "diversified" => choices.len(),
            "lowest-price" if self.lifecycle == Lifecycle::Spot => self.goal.pools.max(1) as usize,
            _ => 1,
        };
        let target = f64::from(self.goal.target);
        // First each pool's even share, for the strategies that spread; then whoever has more.
        if spread > 1 {
            let share = (target / spread.min(choices.len()).max(1) as f64).ceil();
            for choice in choices.iter().take(spread) {
                let wanted = share.min(target - part.units);
                self.draw(call, choice, wanted, &mut part);
            }
        }
        for choice in &choices {
            if refused(&part, choice) {
                continue;
            }
            let wanted = target - part.units;
            self.draw(call, choice, wanted, &mut part);
        }
        part
    }

    /// Takes up to so many units from a pool; what it refuses is written down.
    fn draw(&self, call: &mut Call<'_>, choice: &Choice, units: f64, part: &mut Part) {
        let mut left = units;
        while left > 0.0 {
            let mut count = (left / choice.weight).ceil();
            if let Some(budget) = self.goal.budget
                && let Some(price) = self.price(call, choice)
            {
                count = count.min(((budget - part.cost) / price + 1e-9).floor());
                if count < 1.0 {
                    let message = format!("The maximum total price of {budget} would be exceeded.");
                    let fault = Fault::new("MaxTotalPriceExceeded", message);
                    return self.refuse(choice, fault, part);
                }
            }
            // A fleet takes what there is of a market; what the machine cannot hold is refused before it starts.
            if count > f64::from(market::within_limit(call)) {
                return self.refuse(choice, market::over_limit(call, count as u32), part);
            }
            match self.launch(call, choice, count as u32) {
                Ok((ids, kind)) => {
                    let came = ids.len() as f64;
                    part.units += came * choice.weight;
                    part.cost += came * self.price(call, choice).unwrap_or(0.0);
                    left -= came * choice.weight;
                    part.groups.push(Launched {
                        pool: choice.pool.clone(),
                        lifecycle: self.lifecycle.name().to_owned(),
                        kind,
                        instances: ids,
                    });
                }
                Err(fault) => return self.refuse(choice, fault, part),
            }
        }
    }

    fn refuse(&self, choice: &Choice, fault: Fault, part: &mut Part) {
        // A fleet has its own word for a type that a zone does not have.
        let code = match fault.code.as_str() {
            "Unsupported" => "InvalidFleetConfiguration".to_owned(),
            _ => fault.code,
        };
        let (pool, lifecycle) = (choice.pool.clone(), self.lifecycle.name().to_owned());
        part.errors.push(Refused { pool, lifecycle, code, message: fault.message });
    }

    fn launch(
        &self,
        call: &mut Call<'_>,
        choice: &Choice,
        count: u32,
    ) -> Result<(Vec<String>, String), Fault> {
        let mut params = choice.params.clone();
        params.set("MinCount", "1");
        params.set("MaxCount", count.min(1000).to_string());
        if self.lifecycle == Lifecycle::Spot {
            params.set("InstanceMarketOptions.MarketType", "spot");
            if let Some(price) = &choice.max_price {
                params.set("InstanceMarketOptions.SpotOptions.MaxPrice", price);
            }
        }
        let mut origin = Origin { client_token: Some(self.fleet.to_owned()), ..Origin::default() };
        let mut tags = self.request.tags.clone();
        if self.lifecycle != Lifecycle::Spot {
            // The fleet's own are for its spot part; those of a template EC2 refuses here.
            tags.remove("spot-instances-request");
        }
        origin.add_tags(choice.tags.clone());
        origin.add_tags(tags);
        origin.uses(&choice.pool.template, choice.pool.version);
        origin.system_tags.insert("aws:ec2:fleet-id".to_owned(), self.fleet.to_owned());
        let kind = params.text("InstanceType").unwrap_or("m5.large").to_owned();
        let (_, ids) = launch(call, &params, origin)?;
        Ok((ids, kind))
    }

    fn ordered(&self, call: &Call<'_>, mut choices: Vec<Choice>) -> Vec<Choice> {
        let target = f64::from(self.goal.target);
        let rank = |choice: &Choice| -> (f64, f64) {
            let price = self.price(call, choice).map_or(f64::MAX, |price| price / choice.weight);
            let free = self.free(call, choice);
            match self.goal.strategy.as_str() {
                "prioritized" => (choice.priority, price),
                "capacity-optimized" => (-free, 0.0),
                "capacity-optimized-prioritized" => (-free.min(target), choice.priority),
                // Pools that could take all of it come first, the cheapest of them before the others.
                "price-capacity-optimized" => (-(free / target * 4.0).floor().min(4.0), price),
                _ => (price, choice.priority),
            }
        };
        let mut ranked: Vec<((f64, f64), Choice)> =
            choices.drain(..).map(|choice| (rank(&choice), choice)).collect();
        let by = |one: f64, other: f64| one.partial_cmp(&other).unwrap_or(Ordering::Equal);
        ranked.sort_by(|(one, _), (other, _)| by(one.0, other.0).then(by(one.1, other.1)));
        ranked.into_iter().map(|(_, choice)| choice).collect()
    }

    /// US dollars per hour of one instance.
    fn price(&self, call: &Call<'_>, choice: &Choice) -> Option<f64> {
        let kind = kind(choice)?;
        match self.lifecycle {
            Lifecycle::OnDemand => Some(kind.on_demand * call.place.price_level),
            Lifecycle::Spot => {
                let prices = zones(call, choice);
                let prices = prices
                    .iter()
                    .map(|zone| market::spot_price(call.faults, call.place, zone, kind, 0.0, call.now));
                prices.min_by(|one, other| one.partial_cmp(other).unwrap_or(Ordering::Equal))
            }
        }
    }

    /// Units of capacity that a pool has.
    fn free(&self, call: &Call<'_>, choice: &Choice) -> f64 {
        let Some(kind) = kind(choice) else { return 0.0 };
        let depth =
            |zone: &String| market::depth(call.faults, call.region, zone, kind, self.lifecycle, call.now);
        zones(call, choice).iter().map(depth).max().map_or(0.0, |most| f64::from(most) * choice.weight)
    }
}

fn refused(part: &Part, choice: &Choice) -> bool {
    part.errors.iter().any(|error| error.pool == choice.pool)
}

fn kind(choice: &Choice) -> Option<&'static InstanceType> {
    types::find(choice.params.text("InstanceType").unwrap_or("m5.large"))
}

/// The zones that a pool can be in: one, unless it names neither subnet nor zone.
fn zones(call: &Call<'_>, choice: &Choice) -> Vec<String> {
    match zone(call, choice) {
        Some(zone) => vec![zone],
        None => call.place.zones().into_iter().map(|zone| zone.name).collect(),
    }
}

fn zone(call: &Call<'_>, choice: &Choice) -> Option<String> {
    let interfaces = choice.params.members("NetworkInterface");
    let subnet = interfaces.first().and_then(|interface| interface.text("SubnetId"));
    let subnet = subnet.or(choice.params.text("SubnetId")).and_then(|id| call.region.subnets.get(id));
    let placed = choice.params.group("Placement").and_then(|placement| placement.text("AvailabilityZone"));
    subnet.map(|subnet| subnet.zone.clone()).or(placed.map(str::to_owned))
}
