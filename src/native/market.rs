//! What the market says and where to launch: the second half of the namespace `aws`.

use crate::cloud::allocation::{
    Allocation, Basis, Choice, Placed, Reason, Refused, RegionMarket, Share, Spread, Wanted,
};
use crate::cloud::price_history::histories;
use crate::cloud::survey::{Area, FoundType, Survey, cheapest_types, survey};
use crate::cloud::{
    Architecture, Bounds, Cloud, Family, Image, ListPrice, Market, Price, Quota, Refusals, Remembered,
    ScoreQuery, TypeQuery,
};
use crate::error::{Error, Kind, Result};
use crate::native::Context;
use crate::native::aws::{each_region, market as market_of};
use crate::native::options::Options;
use crate::native::record::Journal;
use crate::native::thrown::{Answer, answer};
use crate::ui::Level;
use futures::future::join_all;
use rhai::plugin::*;
use rhai::{Array, Map};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, SystemTime};

/// EC2 keeps spot prices for 90 days.
const PRICES_KEPT_HOURS: f64 = 90.0 * 24.0;
/// Types that a search without a limit finds.
const FOUND: usize = 20;
/// Types per region that an allocation by requirements looks at: enough to be likely, few enough to
/// stay cheap.
const CONSIDERED: usize = 12;

/// Prices, scores, quotas and allocation.
#[export_module]
pub mod market {
    use super::*;

    /// The newest spot prices of instance types in a region, cheapest first: `zone`, `type`,
    /// `hourly` (US dollars), `since`, and where it is known `on_demand` (US dollars an hour) with the
    /// `saving` against it in per cent.
    ///
    /// ```rhai
    /// ui::table(aws::prices("us-west-2", ["t3.medium"]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn prices(call: NativeCallContext, region: &str, types: Array) -> Answer {
        answer(&call, |spot| {
            let (cloud, region, types) = (spot.cloud()?, region.to_owned(), texts(&types));
            spot.runtime().wait(async move {
                let (prices, list) =
                    futures::join!(cloud.prices(&region, &types), cloud.on_demand_prices(&region, &types));
                let list = optional(list)?;
                let price = |price: Price| {
                    let on_demand = list.iter().find(|it| it.instance_type == price.instance_type);
                    let on_demand = on_demand.map(|it| it.hourly);
                    let saving = on_demand.map(|on_demand| saving(price.hourly, on_demand));
                    Compared { price, on_demand, saving }
                };
                Ok(prices?.into_iter().map(price).collect::<Vec<_>>())
            })
        })
    }

    /// What the spot prices of instance types in a region were over the last hours, by type and zone:
    /// `type`, `zone`, `region`, `values` (US dollars an hour at evenly spaced moments, oldest first),
    /// `lowest`, `highest`, `last`, `changes` (how often the price changed).
    ///
    /// Options: `hours` (24; up to 2160, the 90 days that EC2 keeps), `points` (48; how many values, from 1
    /// to 1000).
    ///
    /// ```rhai
    /// let courses = aws::price_history("us-west-2", ["t3.medium"], #{ hours: 48 });
    /// ui::chart(courses.map(|course| #{ label: course.zone, values: course.values }), #{ unit: "$/h" });
    /// ```
    #[rhai_fn(return_raw)]
    pub fn price_history(call: NativeCallContext, region: &str, types: Array, options: Map) -> Answer {
        answer(&call, |spot| {
            let mut options = Options::new("aws::price_history", options);
            let hours = options.or("hours", 24.0_f64)?;
            let points = options.or("points", 48_usize)?;
            options.finish()?;
            if !(hours > 0.0 && hours <= PRICES_KEPT_HOURS) {
                return Err(Error::script(format!(
                    "aws::price_history: expected `hours` above 0 and up to 2160 (90 days), found {hours}"
                )));
            }
            if !(1..=1000).contains(&points) {
                return Err(Error::script(format!(
                    "aws::price_history: expected `points` from 1 to 1000, found {points}"
                )));
            }
            let since = SystemTime::now() - Duration::from_secs_f64(hours * 3600.0);
            let from = jiff::Timestamp::try_from(since)
                .map_err(|error| Error::script(format!("aws::price_history: {error}")))?;
            let (cloud, region, types) = (spot.cloud()?, region.to_owned(), texts(&types));
            spot.runtime().wait(async move {
                let changes = cloud.price_changes(&region, &types, since).await?;
                Ok(histories(changes, from, jiff::Timestamp::now(), points))
            })
        })
    }

    /// What instance types cost on demand in a region (Linux, shared tenancy): `region`, `type`,
    /// `hourly` (US dollars). Types whose price is unknown are left out.
    ///
    /// ```rhai
    /// for price in aws::on_demand_prices("us-west-2", ["t3.medium"]) { print(price.hourly); }
    /// ```
    #[rhai_fn(return_raw)]
    pub fn on_demand_prices(call: NativeCallContext, region: &str, types: Array) -> Answer {
        answer(&call, |spot| {
            let (cloud, region, types) = (spot.cloud()?, region.to_owned(), texts(&types));
            spot.runtime().wait(async move { cloud.on_demand_prices(&region, &types).await })
        })
    }

    /// How likely regions are to have spot capacity, likeliest first: `region`, `score` (1 to 10), and
    /// `zone`, `zone_id` with `zones`.
    ///
    /// Options: `types`, `count`, `regions`, `zones` (score each zone for itself, for all instances in
    /// that zone). Name at least three types: EC2 scores less choice low.
    ///
    /// ```rhai
    /// let scores = aws::placement_scores(#{ types: ["m5.large", "c5.large", "r5.large"], count: 10, regions: ["us-west-2"] });
    /// print(scores[0].score);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn placement_scores(call: NativeCallContext, options: Map) -> Answer {
        answer(&call, |spot| {
            let mut options = Options::new("aws::placement_scores", options);
            let query = ScoreQuery {
                types: options.required("types")?,
                count: options.or("count", 1)?,
                regions: options.or("regions", Vec::new())?,
                zones: options.or("zones", false)?,
            };
            options.finish()?;
            let cloud = spot.cloud()?;
            spot.runtime().wait(async move { cloud.placement_scores(&query).await })
        })
    }

    /// The instance types of a region that have what is wanted, those with the cheapest spot pool first:
    /// `name`, `architecture`, `vcpu`, `memory_mib`, `gpus`, `burstable`, `zone`, `price`.
    ///
    /// Options: `region`; `vcpu`, `memory` (GiB) and `gpu`, each the least number, or bounds such as
    /// `#{ min: 2, max: 8 }`; `architecture` ("x86_64" or "arm64"); `burstable` (true or false);
    /// `limit` (20). Without an upper bound, types with more than four times the wanted vCPUs are not
    /// looked at, and without `gpu` none that has graphics processors.
    ///
    /// ```rhai
    /// let found = aws::find_types(#{ region: "us-west-2", vcpu: 2, memory: 4 });
    /// print(found.types[0].name);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn find_types(call: NativeCallContext, options: Dynamic) -> Answer {
        #[derive(Serialize)]
        struct Found {
            region: String,
            types: Vec<FoundType>,
        }
        answer(&call, |spot| {
            each_region(spot, "aws::find_types", options, |options| {
                let region: String = options.required("region")?;
                let query = type_query(options)?;
                let limit = options.or("limit", FOUND)?;
                let cloud = spot.cloud()?;
                Ok(async move {
                    let types = cheapest_types(cloud.as_ref(), &region, &query, limit).await?;
                    Ok(Found { region, types })
                })
            })
        })
    }

    /// How many vCPUs the account may run in a region: `quotas`, each with `market`, `family`, `code`,
    /// `limit` (`()` when it cannot be read), `used` and `room`.
    ///
    /// Options: `region`, `types` (whose families are meant; without it the standard ones: A, C, D, H,
    /// I, M, R, T and Z).
    ///
    /// ```rhai
    /// print(aws::quotas(#{ region: "us-west-2" }).quotas.len());
    /// ```
    #[rhai_fn(return_raw)]
    pub fn quotas(call: NativeCallContext, options: Dynamic) -> Answer {
        #[derive(Serialize)]
        struct Row {
            #[serde(flatten)]
            quota: Quota,
            room: Option<u32>,
        }
        #[derive(Serialize)]
        struct Quotas {
            region: String,
            quotas: Vec<Row>,
        }
        answer(&call, |spot| {
            each_region(spot, "aws::quotas", options, |options| {
                let region: String = options.required("region")?;
                let types: Vec<String> = options.or("types", Vec::new())?;
                let mut families: Vec<Family> = types.iter().map(|name| Family::of(name)).collect();
                families.sort_unstable();
                families.dedup();
                if families.is_empty() {
                    families.push(Family::Standard);
                }
                let cloud = spot.cloud()?;
                Ok(async move {
                    let quotas = cloud.quotas(&region, &families).await?;
                    let quotas = quotas.into_iter().map(|quota| Row { room: quota.room(), quota }).collect();
                    Ok(Quotas { region, quotas })
                })
            })
        })
    }

    /// Whether the account has the role that the spot market needs: "present", "absent", or "unknown"
    /// when these credentials may not look.
    ///
    /// ```rhai
    /// if aws::spot_role() == "absent" { aws::make_spot_role(); }
    /// ```
    #[rhai_fn(return_raw)]
    pub fn spot_role(call: NativeCallContext) -> Answer {
        answer(&call, |spot| {
            let cloud = spot.cloud()?;
            spot.runtime().wait(async move { cloud.spot_role().await })
        })
    }

    /// Makes the role that the spot market needs (`AWSServiceRoleForEC2Spot`); false when the account
    /// had it already.
    ///
    /// ```rhai
    /// aws::make_spot_role();
    /// ```
    #[rhai_fn(return_raw)]
    pub fn make_spot_role(call: NativeCallContext) -> Answer {
        answer(&call, |spot| {
            let (cloud, journal) = (spot.cloud()?, Journal::new(spot)?);
            spot.runtime().wait(async move { cloud.make_spot_role(&journal).await })
        })
    }

    /// Decides where to launch, out of placement scores, prices, quotas and what was refused in the last
    /// minutes: `regions` (each `region`, `market`, `count` and `pools`, the preferred first, each with
    /// `type`, `zone`, `image`, `price`, `on_demand`, `vcpu`), `count`, `missing` (what no region has
    /// room for, `over_budget` of it for want of money), `hourly` (US dollars) and `hourly_most` (if only the dearest pools give),
    /// `explanation` (each with `text`), `notes` (what could not be found out), `basis`.
    ///
    /// Options: `count`; `regions` (names, or maps of `region`, `types`, `image`, `count`: so many there in the first round); `types`, or what they
    /// need to have: `vcpu`, `memory`, `gpu`, `architecture`, `burstable` (as for `find_types`);
    /// `image` (as for `find_image`, or "none"), `refresh` (look images up again); `market` ("spot" or "on-demand"); `max_price` (for one) and `max_hourly` (for all, in
    /// US dollars); `on_demand_base` (so many are on-demand in any case), `spot_percent` (of the rest),
    /// `on_demand_last` (on-demand instances take the place of spot instances that nobody has);
    /// `spread` ("balanced": likely first, then cheap; "even", "cheapest", "capacity").
    ///
    /// All is read at once. A region that cannot be used is explained and left out.
    ///
    /// ```rhai
    /// let plan = aws::allocate(#{ count: 2, regions: ["us-west-2"], types: ["t3.micro", "t3.medium"] });
    /// for reason in plan.explanation { print(reason.text); }
    /// print(plan.regions[0].pools[0].zone);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn allocate(call: NativeCallContext, options: Map) -> Answer {
        answer(&call, |spot| {
            let request = request(spot, Options::new("aws::allocate", options))?;
            let (cloud, memory) = (spot.cloud()?, Refusals::in_folder(&spot.private_folder()?));
            let (found, wanted, remembered) =
                spot.runtime().wait(async move { gather(cloud.as_ref(), request, &memory).await })?;
            if let Some(warning) = remembered.warning {
                spot.message(Level::Warning, warning);
            }
            let made = Allocation::decide(wanted, found.markets)?;
            Ok(Plan::new(made, found.images, found.notes))
        })
    }

    /// Decides where to launch what is still missing of a plan of `aws::allocate`: `launched` are the
    /// instances that came since, `refusals` the pools that gave less than they were asked for (`zone`,
    /// `type`, `code`, `market`). No pool that refused is asked again. The answer is a plan with the rest; its `count` is 0
    /// when there is nothing left to ask.
    ///
    /// ```rhai
    /// let plan = aws::allocate(#{ count: 1, regions: ["us-west-2"], types: ["t3.micro"] });
    /// let first = plan.regions[0].pools[0];
    /// let next = aws::allocate_again(plan, [], [#{ zone: first.zone, type: first.type, code: "InsufficientInstanceCapacity" }]);
    /// print(next.regions[0].pools[0].zone != first.zone);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn allocate_again(call: NativeCallContext, plan: Map, launched: Array, refusals: Array) -> Answer {
        #[derive(Deserialize)]
        struct Before {
            basis: Basis,
            #[serde(default)]
            images: Vec<Image>,
        }
        answer(&call, |_| {
            let before: Before = read("a plan of aws::allocate", plan.into())?;
            let launched: Vec<Placed> = read("instances with `region`, `zone`, `type`", launched.into())?;
            let mut refused: Vec<Refused> = read("refusals with `zone`, `type`, `code`", refusals.into())?;
            for refusal in refused.iter_mut().filter(|refusal| refusal.region.is_empty()) {
                let mut markets = before.basis.markets.iter();
                let here = markets.find(|market| market.pools.iter().any(|pool| pool.zone == refusal.zone));
                refusal.region = here.map(|market| market.region.clone()).unwrap_or_default();
            }
            let made = Allocation { basis: before.basis, ..Allocation::default() };
            Ok(Plan::new(made.again(&launched, &refused), before.images, Vec::new()))
        })
    }
}

/// Remembers refusals for the next runs; that it cannot be done is a warning.
pub(crate) fn remember_refusals(spot: &Context, account: &str, refused: &[Refused]) {
    let noted = spot
        .private_folder()
        .and_then(|folder| Refusals::in_folder(&folder).note(account, refused, jiff::Timestamp::now()));
    if let Err(error) = noted {
        spot.message(Level::Warning, error.message());
    }
}

/// A spot price beside the on-demand price.
#[derive(Serialize)]
struct Compared {
    #[serde(flatten)]
    price: Price,
    on_demand: Option<f64>,
    saving: Option<f64>,
}

/// What spot saves against on-demand, in per cent with one place.
fn saving(spot: f64, on_demand: f64) -> f64 {
    ((1.0 - spot / on_demand) * 1000.0).round() / 10.0
}

fn texts(list: &Array) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

/// What is good to know and no error when it is unknown.
fn optional(found: Result<Vec<ListPrice>>) -> Result<Vec<ListPrice>> {
    match found {
        Err(error) if error.kind() == Kind::Interrupted => Err(error),
        found => Ok(found.unwrap_or_default()),
    }
}

fn read<T: serde::de::DeserializeOwned>(what: &str, value: Dynamic) -> Result<T> {
    rhai::serde::from_dynamic(&value)
        .map_err(|error| Error::script(format!("aws::allocate_again: expected {what}: {error}")))
}

// ---- type search ---------------------------------------------------------------------------

/// The least number, or bounds.
#[derive(Deserialize)]
#[serde(untagged)]
enum BoundsOption {
    Least(f64),
    Between {
        #[serde(default)]
        min: Option<f64>,
        #[serde(default)]
        max: Option<f64>,
    },
}

/// Bounds of a number that is counted in `unit`.
fn bounds(options: &mut Options, key: &'static str, unit: f64) -> Result<Bounds> {
    // A float's cast saturates, and a size is a whole number of MiB.
    let whole = |number: f64| (number * unit).round().max(0.0) as u64;
    let bounds = match options.optional::<BoundsOption>(key)? {
        None => Bounds::default(),
        Some(BoundsOption::Least(min)) => Bounds::at_least(whole(min)),
        Some(BoundsOption::Between { min, max }) => Bounds { min: min.map(whole), max: max.map(whole) },
    };
    match (bounds.min, bounds.max) {
        (Some(min), Some(max)) if min > max => {
            Err(Error::script(format!("option `{key}`: the least, {min}, is more than the most, {max}")))
        }
        _ => Ok(bounds),
    }
}

fn type_query(options: &mut Options) -> Result<TypeQuery> {
    let architecture: Option<String> = options.optional("architecture")?;
    Ok(TypeQuery {
        names: Vec::new(),
        vcpu: bounds(options, "vcpu", 1.0)?,
        memory_mib: bounds(options, "memory", 1024.0)?,
        architecture: architecture.map(|text| text.parse::<Architecture>()).transpose()?,
        gpus: bounds(options, "gpu", 1.0)?,
        burstable: options.optional("burstable")?,
        previous_generation: false,
    })
}

// ---- allocation ----------------------------------------------------------------------------

/// What an allocation is asked for.
struct Request {
    wanted: Wanted,
    areas: Vec<Area>,
    /// What types need to have, for regions that name none.
    query: TypeQuery,
}

/// A region by its name, or with what differs there.
#[derive(Deserialize)]
#[serde(untagged)]
enum RegionOption {
    Name(String),
    Own {
        region: String,
        #[serde(default)]
        types: Option<Vec<String>>,
        #[serde(default)]
        image: Option<String>,
        #[serde(default)]
        count: Option<u32>,
    },
}

fn request(spot: &Context, mut options: Options) -> Result<Request> {
    let market = market_of(&options.or("market", "spot".to_owned())?)?;
    let wanted = Wanted {
        count: options.required("count")?,
        market,
        on_demand_base: options.or("on_demand_base", 0)?,
        spot_percent: options.or("spot_percent", 100)?,
        on_demand_last: options.or("on_demand_last", false)?,
        max_price: options.optional("max_price")?,
        max_hourly: options.optional("max_hourly")?,
        spread: Spread::parse(&options.or("spread", "balanced".to_owned())?)?,
    };
    wanted.validate()?;
    let types: Option<Vec<String>> = options.optional("types")?;
    let image = Some(options.or("image", "auto".to_owned())?).filter(|image| image != "none");
    let refresh = options.or("refresh", false)?;
    let query = type_query(&mut options)?;
    let regions: Option<Vec<RegionOption>> = options.optional("regions")?;
    options.finish()?;
    let regions = match regions {
        Some(regions) => regions,
        None => spot.config()?.fleet.regions.iter().cloned().map(RegionOption::Name).collect(),
    };
    if regions.is_empty() {
        return Err(Error::script("aws::allocate: there is no region to allocate in")
            .with_hint("name some: regions: [\"us-west-2\"]"));
    }
    let described = query != TypeQuery::default();
    if types.as_ref().is_some_and(|types| !types.is_empty()) && described {
        return Err(Error::script(
            "aws::allocate: `types` and what types need to have (`vcpu`, `memory`, …) exclude each other",
        ));
    }
    let area = |region| match region {
        RegionOption::Name(region) => Area {
            region,
            types: types.clone().unwrap_or_default(),
            image: image.clone(),
            fixed: None,
            refresh,
        },
        RegionOption::Own { region, types: own, image: other, count } => Area {
            fixed: count,
            refresh,
            region,
            types: own.or_else(|| types.clone()).unwrap_or_default(),
            image: other.or_else(|| image.clone()),
        },
    };
    let mut areas: Vec<Area> = regions.into_iter().map(area).collect();
    for area in &mut areas {
        // EC2 refuses a fleet that names a pool twice.
        let mut seen = BTreeSet::new();
        area.types.retain(|name| seen.insert(name.clone()));
    }
    if !described && let Some(bare) = areas.iter().find(|area| area.types.is_empty()) {
        return Err(Error::script(format!("aws::allocate: no instance types for {}", bare.region))
            .with_hint("name `types`, or what they need to have: `vcpu`, `memory`"));
    }
    Ok(Request { wanted, areas, query })
}

/// Reads all that a decision needs, at once; who asks matters only to what is remembered of them.
async fn gather(
    cloud: &dyn Cloud,
    request: Request,
    memory: &Refusals,
) -> Result<(Survey, Wanted, Remembered)> {
    let Request { wanted, areas, query } = request;
    let identity =
        async { if memory.exists() { Ok(cloud.identity().await?.account) } else { Ok(String::new()) } };
    let looks = async {
        let (areas, failed) = with_types(cloud, areas, &query).await?;
        let mut found = survey(cloud, &areas, wanted.count, wanted.market == Market::Spot).await?;
        found.markets.extend(failed);
        Ok::<_, Error>(found)
    };
    let (account, mut found) = futures::try_join!(identity, looks)?;
    let remembered = memory.recall(&account, jiff::Timestamp::now());
    for market in &mut found.markets {
        for pool in &mut market.pools {
            pool.refused = remembered.of(&market.region, &pool.zone, &pool.instance_type);
        }
    }
    Ok((found, wanted, remembered))
}

/// Finds types for the areas that name none; those that cannot be searched are told apart.
async fn with_types(
    cloud: &dyn Cloud,
    areas: Vec<Area>,
    query: &TypeQuery,
) -> Result<(Vec<Area>, Vec<RegionMarket>)> {
    let searches = join_all(areas.into_iter().map(|mut area| async move {
        if area.types.is_empty() {
            let found = cheapest_types(cloud, &area.region, query, CONSIDERED).await;
            let found = found.map_err(|error| (area.region.clone(), error))?;
            area.types = found.into_iter().map(|it| it.kind.name).collect();
        }
        Ok::<Area, (String, Error)>(area)
    }))
    .await;
    let (mut good, mut failed, mut first) = (Vec::new(), Vec::new(), None);
    for search in searches {
        match search {
            Ok(area) => good.push(area),
            Err((_, error)) if error.kind() == Kind::Interrupted => return Err(error),
            Err((region, error)) => {
                let problem = Some(error.message().to_owned());
                failed.push(RegionMarket { region, problem, ..RegionMarket::default() });
                first.get_or_insert(error);
            }
        }
    }
    match first {
        Some(error) if good.is_empty() => Err(error),
        _ => Ok((good, failed)),
    }
}

/// A pool with the image for it.
#[derive(Serialize)]
struct ImagedPool {
    #[serde(flatten)]
    choice: Choice,
    image: Option<Image>,
}

#[derive(Serialize)]
struct ImagedShare {
    region: String,
    market: Market,
    count: u32,
    pools: Vec<ImagedPool>,
}

/// An allocation as scripts see it.
#[derive(Serialize)]
struct Plan {
    regions: Vec<ImagedShare>,
    count: u32,
    missing: u32,
    over_budget: u32,
    hourly: Option<f64>,
    hourly_most: Option<f64>,
    explanation: Vec<Reason>,
    notes: Vec<String>,
    images: Vec<Image>,
    basis: Basis,
}

impl Plan {
    fn new(made: Allocation, images: Vec<Image>, notes: Vec<String>) -> Plan {
        let by_place: HashMap<(&str, Architecture), &Image> =
            images.iter().map(|image| ((image.region.as_str(), image.architecture), image)).collect();
        let imaged = |share: Share| {
            let pools = share.pools.into_iter().map(|choice| {
                let image = by_place.get(&(share.region.as_str(), choice.architecture));
                ImagedPool { image: image.map(|image| (*image).clone()), choice }
            });
            ImagedShare {
                pools: pools.collect(),
                region: share.region.clone(),
                market: share.market,
                count: share.count,
            }
        };
        let regions = made.regions.into_iter().map(imaged).collect();
        Plan {
            regions,
            count: made.count,
            missing: made.missing,
            over_budget: made.over_budget,
            hourly: made.hourly,
            hourly_most: made.hourly_most,
            explanation: made.explanation,
            notes,
            images,
            basis: made.basis,
        }
    }
}
