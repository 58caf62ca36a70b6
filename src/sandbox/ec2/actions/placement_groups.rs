//! Placement groups.

use super::{Call, done};
use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::filter::{Field, Filters, one};
use crate::sandbox::ec2::model::placement_group::PlacementGroup;
use crate::sandbox::ec2::model::region::Region;
use crate::sandbox::ec2::model::{ACCOUNT, id};
use crate::sandbox::ec2::router::{Answer, FILTER, Operation};
use crate::sandbox::ec2::tags::{self, TAG_SPECIFICATION};
use crate::sandbox::ec2::xml::Xml;

pub(in super::super) const OPERATIONS: &[Operation] = &[
    Operation::write(
        "CreatePlacementGroup",
        create,
        &[&["*GroupName", "Strategy", "PartitionCount"], TAG_SPECIFICATION],
    ),
    Operation::write("DeletePlacementGroup", delete, &[&["*GroupName"]]),
    Operation::read("DescribePlacementGroups", describe, &[&["GroupName.N", "GroupId.N"], FILTER]),
];

const FIELDS: &[Field<PlacementGroup>] = &[
    ("group-name", |group, _| one(&group.name)),
    ("group-arn", |group, _| one(&group.id)),
    ("state", |_, _| one("available")),
    ("strategy", |group, _| one(&group.strategy)),
];

/// The error about a placement group that does not exist.
pub(super) fn unknown(name: &str) -> Fault {
    Fault::new("InvalidPlacementGroup.Unknown", format!("The placement group '{name}' is unknown."))
}

fn create(call: &mut Call<'_>) -> Answer {
    let name = call.params.required("GroupName")?;
    let strategy = call.params.text("Strategy").unwrap_or("cluster");
    if !["cluster", "spread", "partition"].contains(&strategy) {
        return Err(Fault::value_of("strategy", strategy, "Expecting cluster, spread or partition."));
    }
    let partitions: Option<u32> = call.params.integer("PartitionCount")?;
    if call.region.placement_groups.contains_key(name) {
        let message = format!("The placement group '{name}' already exists.");
        return Err(Fault::new("InvalidPlacementGroup.Duplicate", message));
    }
    let tags = tags::specified(call.params, "placement-group")?;
    let group = PlacementGroup {
        id: id::PLACEMENT_GROUP.draw(&call.region.chance),
        name: name.to_owned(),
        strategy: strategy.to_owned(),
        partitions: if strategy == "partition" { partitions.or(Some(2)) } else { None },
    };
    call.region.tag(&group.id, &tags);
    let mut xml = Xml::new();
    xml.text("return", true);
    xml.element("placementGroup", |xml| write(xml, &group, call.region, call.place.name));
    call.region.placement_groups.insert(name.to_owned(), group);
    Ok(xml)
}

fn delete(call: &mut Call<'_>) -> Answer {
    let name = call.params.required("GroupName")?;
    if !call.region.placement_groups.contains_key(name) {
        return Err(unknown(name));
    }
    if call.region.attached().any(|instance| instance.options.placement_group.as_deref() == Some(name)) {
        let message = format!("The placement group '{name}' is in use and may not be deleted.");
        return Err(Fault::new("InvalidPlacementGroup.InUse", message));
    }
    if let Some(group) = call.region.placement_groups.remove(name) {
        call.region.tags.remove(&group.id);
    }
    done()
}

fn describe(call: &mut Call<'_>) -> Answer {
    let filters = Filters::parse(call.params, FIELDS)?;
    let (names, ids) = (call.params.list("GroupName"), call.params.list("GroupId"));
    let all = &call.region.placement_groups;
    if let Some(name) = names.iter().find(|name| !all.contains_key(**name)) {
        return Err(unknown(name));
    }
    if let Some(id) = ids.iter().find(|id| all.values().all(|group| group.id != **id)) {
        return Err(unknown(id));
    }
    let kept = all.values().filter(|group| {
        (names.is_empty() || names.contains(&group.name.as_str()))
            && (ids.is_empty() || ids.contains(&group.id.as_str()))
            && filters.accept(group, call.region, call.region.tags.get(&group.id))
    });
    let mut xml = Xml::new();
    xml.set("placementGroupSet", kept, |xml, group| write(xml, group, call.region, call.place.name));
    Ok(xml)
}

fn write(xml: &mut Xml, group: &PlacementGroup, region: &Region, place: &str) {
    xml.text("groupName", &group.name).text("state", "available").text("strategy", &group.strategy);
    xml.optional("partitionCount", group.partitions).text("groupId", &group.id);
    tags::write(xml, region.tags.get(&group.id));
    xml.text("groupArn", format!("arn:aws:ec2:{place}:{ACCOUNT}:placement-group/{}", group.name));
}
