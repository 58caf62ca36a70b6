//! DescribeRegions, DescribeAvailabilityZones.

use super::Call;
use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::filter::{Field, Filters, one};
use crate::sandbox::ec2::regions::{PLACES, Place, Zone, find};
use crate::sandbox::ec2::router::{Answer, FILTER, Operation};
use crate::sandbox::ec2::xml::Xml;

pub(in super::super) const OPERATIONS: &[Operation] = &[
    Operation::read("DescribeRegions", describe_regions, &[&["RegionName.N", "AllRegions"], FILTER]),
    Operation::read(
        "DescribeAvailabilityZones",
        describe_zones,
        &[&["ZoneName.N", "ZoneId.N", "AllAvailabilityZones"], FILTER],
    ),
];

fn endpoint(place: &Place) -> String {
    format!("ec2.{}.amazonaws.com", place.name)
}

fn opt_in_status(place: &Place) -> &'static str {
    let from_the_start = place.enabled();
    if from_the_start { "opt-in-not-required" } else { "not-opted-in" }
}

const REGION_FIELDS: &[Field<Place>] = &[
    ("region-name", |place, _| one(place.name)),
    ("endpoint", |place, _| one(endpoint(place))),
    ("opt-in-status", |place, _| one(opt_in_status(place))),
];

fn describe_regions(call: &mut Call<'_>) -> Answer {
    let filters = Filters::parse(call.params, REGION_FIELDS)?;
    let names = call.params.list("RegionName");
    if let Some(unknown) = names.iter().find(|name| find(name).is_none()) {
        return Err(Fault::value(format!("Invalid region names: {unknown}")));
    }
    let every = call.params.flag("AllRegions")?.unwrap_or(false) || !names.is_empty();
    let chosen = PLACES.iter().filter(|place| {
        (every || place.enabled())
            && (names.is_empty() || names.contains(&place.name))
            && filters.accept(place, call.region, None)
    });
    let mut xml = Xml::new();
    xml.set("regionInfo", chosen, |xml, place| {
        xml.text("regionName", place.name);
        xml.text("regionEndpoint", endpoint(place));
        xml.text("optInStatus", opt_in_status(place));
    });
    Ok(xml)
}

const ZONE_FIELDS: &[Field<Zone>] = &[
    ("zone-name", |zone, _| one(&zone.name)),
    ("zone-id", |zone, _| one(&zone.id)),
    ("region-name", |zone, _| one(zone.region)),
    ("group-name", |zone, _| one(group(zone))),
    ("state", |_, _| one("available")),
    ("zone-type", |_, _| one("availability-zone")),
    ("opt-in-status", |_, _| one("opt-in-not-required")),
    ("message", |_, _| Vec::new()),
];

fn group(zone: &Zone) -> String {
    format!("{}-zg-1", zone.region)
}

fn describe_zones(call: &mut Call<'_>) -> Answer {
    let filters = Filters::parse(call.params, ZONE_FIELDS)?;
    let zones = call.place.zones();
    let names = call.params.list("ZoneName");
    let ids = call.params.list("ZoneId");
    call.params.flag("AllAvailabilityZones")?;
    if let Some(unknown) = names.iter().find(|name| zones.iter().all(|zone| zone.name != **name)) {
        return Err(Fault::value(format!("Invalid availability zone: [{unknown}]")));
    }
    if let Some(unknown) = ids.iter().find(|id| zones.iter().all(|zone| zone.id != **id)) {
        return Err(Fault::value(format!("Invalid availability zone-id: [{unknown}]")));
    }
    let chosen = zones.iter().filter(|zone| {
        (names.is_empty() || names.contains(&zone.name.as_str()))
            && (ids.is_empty() || ids.contains(&zone.id.as_str()))
            && filters.accept(zone, call.region, None)
    });
    let mut xml = Xml::new();
    xml.set("availabilityZoneInfo", chosen, |xml, zone| {
        xml.text("zoneName", &zone.name).text("zoneId", &zone.id).text("zoneState", "available");
        xml.text("regionName", zone.region).text("zoneType", "availability-zone");
        xml.text("groupName", group(zone)).text("networkBorderGroup", zone.region);
        xml.text("optInStatus", "opt-in-not-required").element("messageSet", |_| {});
    });
    Ok(xml)
}
