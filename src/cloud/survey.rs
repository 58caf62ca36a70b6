//! All that is read before a decision where to launch: every look at once, so that a decision costs one
//! round trip (and further pages), however many regions and types there are.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::future::{join, join_all};
use futures::join;
use serde::Serialize;

use super::allocation::{PoolMarket, RegionMarket};
use super::{
    Architecture, Cloud, Family, Image, ImageQuery, InstanceType, ListPrice, Offering, PlacementScore, Price,
    Quota, ScoreQuery, TypeQuery,
};
use crate::error::{Error, Kind, Result};

/// EC2 answers a question for scores with the best of all, and no more than these.
const BEST: usize = 10;
/// Prices of so many types are asked for in one request.
const TYPES: usize = 100;

/// What is to be surveyed of a region.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Area {
    /// The region.
    pub region: String,
    /// The instance types, any of which will do.
    pub types: Vec<String>,
    /// The image, as the configuration writes it: `auto`, an id, or a pattern. Without one none is
    /// looked for.
    pub image: Option<String>,
    /// Whether an image that was found in an earlier run is looked up again.
    pub refresh: bool,
    /// How many instances are to be there; none: its share.
    pub fixed: Option<u32>,
}

/// What a survey found.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    /// What is known of each region, in the order in which they were asked for.
    pub markets: Vec<RegionMarket>,
    /// The images of each region, one for each architecture that its types have.
    pub images: Vec<Image>,
    /// What could not be found out and why; a decision is possible without it.
    pub notes: Vec<String>,
}

/// Reads what there is to know for `count` instances. With `spot` the spot market is looked at too.
///
/// A region that cannot be used has its reason in [`RegionMarket::problem`].
///
/// # Errors
/// When no region can be used: the first of their errors. When interrupted.
pub async fn survey(cloud: &dyn Cloud, areas: &[Area], count: u32, spot: bool) -> Result<Survey> {
    let regions = join_all(areas.iter().map(|area| look(cloud, area, spot)));
    let scores = async { if spot { scores(cloud, areas, count).await } else { Scores::default() } };
    let (regions, scores) = join(regions, scores).await;
    let mut found = Survey { notes: scores.notes.clone(), ..Survey::default() };
    let mut failed: Option<Error> = None;
    for (area, region) in areas.iter().zip(regions) {
        let mut market = match region {
            Ok(mut seen) => {
                found.notes.append(&mut seen.notes);
                found.images.append(&mut seen.images);
                seen.market
            }
            Err(error) if error.kind() == Kind::Interrupted => return Err(error),
            Err(error) => {
                let problem = Some(error.message().to_owned());
                failed.get_or_insert(error);
                RegionMarket { region: area.region.clone(), problem, ..RegionMarket::default() }
            }
        };
        market.score = scores.of_region(&area.region);
        market.fixed = area.fixed;
        for pool in &mut market.pools {
            pool.score = scores.of_zone(&area.region, &pool.zone);
        }
        found.markets.push(market);
    }
    match failed {
        Some(error) if found.markets.iter().all(|market| market.problem.is_some()) => Err(error),
        _ => Ok(found),
    }
}

/// What was seen of one region.
struct Seen {
    market: RegionMarket,
    images: Vec<Image>,
    notes: Vec<String>,
}

async fn look(cloud: &dyn Cloud, area: &Area, spot: bool) -> Result<Seen> {
    let Area { region, types, image, refresh, .. } = area;
    if types.is_empty() {
        return Err(nothing_fits(region));
    }
    let named = TypeQuery { names: types.clone(), ..TypeQuery::default() };
    let families: BTreeSet<Family> = types.iter().map(|name| Family::of(name)).collect();
    let families: Vec<Family> = families.into_iter().collect();
    let spot_prices = async { if spot { cloud.prices(region, types).await } else { Ok(Vec::new()) } };
    let (kinds, offers, prices, list, quotas, images) = join!(
        cloud.find_types(region, &named),
        cloud.offerings(region, types),
        spot_prices,
        cloud.on_demand_prices(region, types),
        cloud.quotas(region, &families),
        both_images(cloud, region, image.as_deref(), *refresh),
    );
    let (kinds, offers) = (kinds?, offers?);
    if kinds.is_empty() {
        // Says which type is meant, if it is a slip of the pen.
        cloud.instance_types(region, types).await?;
    }
    let mut notes = Vec::new();
    let prices: Vec<Price> = known(prices, &mut notes, region, "spot prices")?;
    let list: Vec<ListPrice> = known(list, &mut notes, region, "on-demand prices")?;
    let quotas: Vec<Quota> = known(quotas, &mut notes, region, "quotas")?;
    let needed: BTreeSet<&str> = kinds.iter().map(|kind| kind.architecture.as_str()).collect();
    let mut found = Vec::new();
    for (architecture, image) in images {
        if needed.contains(architecture.as_str()) {
            found.push(image?);
        }
    }
    let pools = pools(types, &kinds, &offers, &prices, &list);
    if pools.is_empty() {
        let error = Error::aws(format!("no zone of {region} offers {}", types.join(" or ")));
        return Err(error.with_code("NoPool").with_hint("choose other instance types or another region"));
    }
    let market = RegionMarket { region: region.clone(), pools, quotas, ..RegionMarket::default() };
    Ok(Seen { market, images: found, notes })
}

fn nothing_fits(region: &str) -> Error {
    Error::aws(format!("no instance type of {region} has what is wanted"))
        .with_code("NoType")
        .with_hint("ask for less: fewer vCPUs, less memory, another architecture")
}

/// What was found, or nothing and a note why; an interrupt is passed on.
fn known<T>(found: Result<Vec<T>>, notes: &mut Vec<String>, region: &str, what: &str) -> Result<Vec<T>> {
    match found {
        Err(error) if error.kind() == Kind::Interrupted => Err(error),
        Err(error) => {
            notes.push(format!("{region}: {what} are unknown: {}", error.message()));
            Ok(Vec::new())
        }
        found => found,
    }
}

/// The image for each architecture. Which of them the types need is not known yet when this is asked.
async fn both_images(
    cloud: &dyn Cloud,
    region: &str,
    image: Option<&str>,
    refresh: bool,
) -> Vec<(Architecture, Result<Image>)> {
    let Some(image) = image else { return Vec::new() };
    let both = [Architecture::X86_64, Architecture::Arm64].map(|architecture| async move {
        (
            architecture,
            cloud.find_image(region, &ImageQuery::parse(image, architecture).refreshed(refresh)).await,
        )
    });
    join_all(both).await
}

/// Every type in every zone that offers it, in the order of the types.
fn pools(
    types: &[String],
    kinds: &[InstanceType],
    offers: &[Offering],
    prices: &[Price],
    list: &[ListPrice],
) -> Vec<PoolMarket> {
    let price: HashMap<(&str, &str), f64> =
        prices.iter().map(|it| ((it.zone.as_str(), it.instance_type.as_str()), it.hourly)).collect();
    let list: HashMap<&str, f64> = list.iter().map(|it| (it.instance_type.as_str(), it.hourly)).collect();
    let mut pools = Vec::new();
    for kind in types.iter().filter_map(|name| kinds.iter().find(|kind| kind.name == *name)) {
        for offer in offers.iter().filter(|offer| offer.instance_type == kind.name) {
            pools.push(PoolMarket {
                instance_type: kind.name.clone(),
                zone: offer.zone.clone(),
                vcpu: kind.vcpu,
                memory_mib: kind.memory_mib,
                architecture: kind.architecture,
                spot_offered: kind.spot,
                spot: price.get(&(offer.zone.as_str(), kind.name.as_str())).copied(),
                on_demand: list.get(kind.name.as_str()).copied(),
                score: None,
                refused: Vec::new(),
            });
        }
    }
    pools
}

/// Placement scores of regions and zones.
#[derive(Default)]
struct Scores {
    regions: BTreeMap<String, u8>,
    zones: BTreeMap<String, u8>,
    /// What a region or a zone has at most that is not among the best.
    floors: BTreeMap<String, (Option<u8>, Option<u8>)>,
    notes: Vec<String>,
}

impl Scores {
    fn of_region(&self, region: &str) -> Option<u8> {
        self.regions.get(region).copied().or_else(|| self.floors.get(region)?.0)
    }

    fn of_zone(&self, region: &str, zone: &str) -> Option<u8> {
        self.zones.get(zone).copied().or_else(|| self.floors.get(region)?.1)
    }
}

/// Regions with the same types are scored together, once as a whole and once by zone.
async fn scores(cloud: &dyn Cloud, areas: &[Area], count: u32) -> Scores {
    let mut groups: BTreeMap<&[String], Vec<String>> = BTreeMap::new();
    for area in areas {
        groups.entry(&area.types).or_default().push(area.region.clone());
    }
    // EC2 takes at most ten regions in a call.
    let tens =
        groups.iter().flat_map(|(types, regions)| regions.chunks(10).map(move |ten| (*types, ten.to_vec())));
    let asked = tens.map(|(types, regions)| async move {
        let query = |zones| ScoreQuery { types: types.to_vec(), count, regions: regions.clone(), zones };
        let (whole, by_zone) = (query(false), query(true));
        let answers = join(cloud.placement_scores(&whole), cloud.placement_scores(&by_zone)).await;
        (regions, answers)
    });
    let mut scores = Scores::default();
    for (regions, (whole, by_zone)) in join_all(asked).await {
        let mut note = |found: Result<Vec<PlacementScore>>| {
            found.unwrap_or_else(|error| {
                let text = format!("placement scores are unknown: {}", error.message());
                if !scores.notes.contains(&text) {
                    scores.notes.push(text);
                }
                Vec::new()
            })
        };
        let (whole, by_zone) = (note(whole), note(by_zone));
        let floor = |all: &[PlacementScore]| {
            (all.len() >= BEST).then(|| all.iter().map(|it| it.score).min()).flatten()
        };
        for region in regions {
            scores.floors.insert(region, (floor(&whole), floor(&by_zone)));
        }
        scores.regions.extend(whole.into_iter().map(|it| (it.region, it.score)));
        scores.zones.extend(by_zone.into_iter().filter_map(|it| Some((it.zone?, it.score))));
    }
    scores
}

/// An instance type with the zone where it is cheapest.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FoundType {
    /// What it is.
    #[serde(flatten)]
    pub kind: InstanceType,
    /// The zone where its spot price is lowest, where one is known.
    pub zone: Option<String>,
    /// That price, in US dollars for an hour.
    pub price: Option<f64>,
}

/// The types of a region that fit and can be had in the spot market, the cheapest first and no more
/// than `limit`.
///
/// # Errors
/// When the types or their prices cannot be read.
pub async fn cheapest_types(
    cloud: &dyn Cloud,
    region: &str,
    query: &TypeQuery,
    limit: usize,
) -> Result<Vec<FoundType>> {
    let kinds: Vec<InstanceType> =
        cloud.find_types(region, query).await?.into_iter().filter(|kind| kind.spot).collect();
    let names: Vec<String> = kinds.iter().map(|kind| kind.name.clone()).collect();
    let portions = join_all(names.chunks(TYPES).map(|names| cloud.prices(region, names))).await;
    let mut cheapest: HashMap<String, Price> = HashMap::new();
    for portion in portions {
        // Cheapest first: the first of a type is its cheapest.
        for price in portion? {
            match cheapest.get(&price.instance_type) {
                Some(known) if known.hourly <= price.hourly => {}
                _ => drop(cheapest.insert(price.instance_type.clone(), price)),
            }
        }
    }
    let mut found: Vec<FoundType> = kinds
        .into_iter()
        .map(|kind| {
            let price = cheapest.get(&kind.name);
            FoundType { zone: price.map(|it| it.zone.clone()), price: price.map(|it| it.hourly), kind }
        })
        .collect();
    let cost = |it: &FoundType| it.price.unwrap_or(f64::INFINITY);
    found.sort_by(|a, b| {
        cost(a)
            .total_cmp(&cost(b))
            .then_with(|| (a.kind.vcpu, &a.kind.name).cmp(&(b.kind.vcpu, &b.kind.name)))
    });
    found.truncate(limit);
    Ok(found)
}
