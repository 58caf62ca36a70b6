//! GetSpotPlacementScores: how likely a spot request is to succeed, by region or zone.

use std::collections::BTreeSet;

use super::requirements::{self, with_architecture};
use super::{Call, Page};
use crate::sandbox::ec2::Lifecycle;
use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::market;
use crate::sandbox::ec2::model::region::Region;
use crate::sandbox::ec2::regions::{self, PLACES, Place, Zone};
use crate::sandbox::ec2::router::{Answer, Operation, PAGE};
use crate::sandbox::ec2::types::{self, InstanceType};
use crate::sandbox::ec2::xml::Xml;

pub(in super::super) const OPERATIONS: &[Operation] = &[Operation::read(
    "GetSpotPlacementScores",
    answer,
    &[
        &[
            "*TargetCapacity",
            "TargetCapacityUnitType",
            "InstanceType.N",
            "RegionName.N",
            "SingleAvailabilityZone",
            "InstanceRequirementsWithMetadata.ArchitectureType.N",
            "InstanceRequirementsWithMetadata.VirtualizationType.N",
        ],
        PAGE,
    ],
)
.with("InstanceRequirementsWithMetadata.InstanceRequirements", &[requirements::PARAMETERS])];

/// AWS answers with no more than the best of all.
const BEST: usize = 10;
/// With fewer types than this, AWS documents that the score is low.
const FEW_TYPES: usize = 3;
const LOW: u32 = 3;

struct Score {
    region: &'static str,
    zone_id: Option<String>,
    score: u32,
}

/// What is asked for.
struct Wish {
    types: Vec<&'static InstanceType>,
    target: f64,
    /// What one instance of a type counts for.
    unit: fn(&InstanceType) -> f64,
}

fn answer(call: &mut Call<'_>) -> Answer {
    let page = Page::parse(call.params, 10..=1000)?;
    let wish = wish(call)?;
    let by_zone = call.params.flag("SingleAvailabilityZone")?.unwrap_or(false);
    let mut scores = Vec::new();
    for place in places(call)? {
        let empty = Region::default();
        let region = match place.name == call.place.name {
            true => &*call.region,
            false => call.elsewhere.get(place.name).unwrap_or(&empty),
        };
        let zones = place.zones();
        if by_zone {
            scores.extend(zones.iter().map(|zone| Score {
                region: place.name,
                zone_id: Some(zone.id.clone()),
                score: score(call, region, std::slice::from_ref(zone), &wish),
            }));
        } else {
            let score = score(call, region, &zones, &wish);
            scores.push(Score { region: place.name, zone_id: None, score });
        }
    }
    // Best first: the key counts down.
    let key = |score: &Score| {
        format!("{:02}/{}/{}", 99 - score.score, score.region, score.zone_id.as_deref().unwrap_or_default())
    };
    scores.sort_by_cached_key(key);
    scores.truncate(BEST);
    let (scores, next) = page.cut(scores, key);
    let mut xml = Xml::new();
    xml.set("spotPlacementScoreSet", scores, |xml, score| {
        xml.text("region", score.region).optional("availabilityZoneId", score.zone_id);
        xml.text("score", score.score);
    });
    xml.optional("nextToken", next);
    Ok(xml)
}

fn places(call: &Call<'_>) -> Result<Vec<&'static Place>, Fault> {
    let names: BTreeSet<&str> = call.params.list("RegionName").into_iter().collect();
    if names.is_empty() {
        return Ok(PLACES.iter().filter(|place| place.enabled()).collect());
    }
    let find = |name: &str| {
        let place = regions::find(name).filter(|place| place.enabled());
        place.ok_or_else(|| Fault::value(format!("Invalid region names: {name}")))
    };
    names.into_iter().map(find).collect()
}

fn wish(call: &Call<'_>) -> Result<Wish, Fault> {
    let target: u32 = call.params.integer("TargetCapacity")?.unwrap_or(0);
    if target == 0 {
        return Err(Fault::value_of("TargetCapacity", "0", "Expecting at least 1."));
    }
    let unit: fn(&InstanceType) -> f64 = match call.params.text("TargetCapacityUnitType") {
        None | Some("units") => |_| 1.0,
        Some("vcpu") => |kind| f64::from(kind.vcpus),
        Some("memory-mib") => |kind| f64::from(kind.memory),
        Some(other) => {
            let why = "Expecting units, vcpu or memory-mib.";
            return Err(Fault::value_of("TargetCapacityUnitType", other, why));
        }
    };
    let names: BTreeSet<&str> = call.params.list("InstanceType").into_iter().collect();
    let metadata = call.params.group("InstanceRequirementsWithMetadata");
    let types = match (names.is_empty(), metadata) {
        (true, Some(metadata)) => {
            let requirements = metadata
                .group("InstanceRequirements")
                .ok_or_else(|| Fault::missing("InstanceRequirementsWithMetadata.InstanceRequirements"))?;
            with_architecture(metadata, requirements)?
        }
        (false, None) => {
            let find = |name: &str| {
                types::find(name)
                    .ok_or_else(|| Fault::value(format!("Invalid value '{name}' for InstanceType.")))
            };
            names.into_iter().map(find).collect::<Result<_, _>>()?
        }
        (true, None) => return Err(Fault::missing("InstanceTypes or InstanceRequirementsWithMetadata")),
        (false, Some(_)) => {
            return Err(Fault::combination(
                "InstanceTypes and InstanceRequirementsWithMetadata cannot be specified together",
            ));
        }
    };
    Ok(Wish { types, target: f64::from(target), unit })
}

/// 1 to 10: four times the capacity asked for is as good as it gets.
fn score(call: &Call<'_>, region: &Region, zones: &[Zone], wish: &Wish) -> u32 {
    let depth = |zone: &Zone, kind: &InstanceType| {
        market::depth(call.faults, region, &zone.name, kind, Lifecycle::Spot, call.now)
    };
    let free: f64 = zones
        .iter()
        .flat_map(|zone| wish.types.iter().map(move |kind| f64::from(depth(zone, kind)) * (wish.unit)(kind)))
        .sum();
    let score = 1 + ((free / wish.target / 4.0).min(1.0) * 9.0).floor() as u32;
    if wish.types.len() < FEW_TYPES { score.min(LOW) } else { score }
}
