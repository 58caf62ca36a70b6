//! DescribeNetworkInterfaces: one for each instance that is not terminated.

use std::collections::BTreeMap;

use super::instances::write_group_set;
use super::{Call, chosen};
use crate::sandbox::ec2::filter::{Field, Filters, one};
use crate::sandbox::ec2::model::instance::Instance;
use crate::sandbox::ec2::model::{ACCOUNT, id};
use crate::sandbox::ec2::router::{Answer, FILTER, Operation, PAGE};
use crate::sandbox::ec2::tags;
use crate::sandbox::ec2::xml::Xml;

pub(in super::super) const OPERATIONS: &[Operation] =
    &[Operation::read("DescribeNetworkInterfaces", describe, &[&["NetworkInterfaceId.N"], FILTER, PAGE])];

const FIELDS: &[Field<Instance>] = &[
    ("network-interface-id", |owner, _| one(&owner.interface.id)),
    ("addresses.private-ip-address", |owner, _| one(owner.private_ip)),
    ("addresses.association.public-ip", |owner, _| {
        owner.public_ip().iter().map(ToString::to_string).collect()
    }),
    ("association.public-ip", |owner, _| owner.public_ip().iter().map(ToString::to_string).collect()),
    ("attachment.attachment-id", |owner, _| one(&owner.interface.attachment)),
    ("attachment.instance-id", |owner, _| one(&owner.id)),
    ("attachment.instance-owner-id", |_, _| one(ACCOUNT)),
    ("attachment.device-index", |_, _| one(0)),
    ("attachment.delete-on-termination", |_, _| one(true)),
    ("attachment.status", |_, _| one("attached")),
    ("availability-zone", |owner, _| one(&owner.zone)),
    ("description", |owner, _| one(&owner.interface.description)),
    ("group-id", |owner, _| owner.groups.clone()),
    ("group-name", |owner, region| {
        let groups = owner.groups.iter().filter_map(|id| region.groups.get(id));
        groups.map(|group| group.name.clone()).collect()
    }),
    ("interface-type", |_, _| one("interface")),
    ("mac-address", |owner, _| one(&owner.interface.mac)),
    ("owner-id", |_, _| one(ACCOUNT)),
    ("private-ip-address", |owner, _| one(owner.private_ip)),
    ("requester-managed", |_, _| one(false)),
    ("status", |_, _| one("in-use")),
    ("subnet-id", |owner, _| one(&owner.subnet)),
    ("vpc-id", |owner, _| one(&owner.vpc)),
];

fn describe(call: &mut Call<'_>) -> Answer {
    let filters = Filters::parse(call.params, FIELDS)?;
    let page = call.page("NetworkInterfaceId")?;
    let all: BTreeMap<String, &Instance> =
        call.region.attached().map(|instance| (instance.interface.id.clone(), instance)).collect();
    let kept = chosen(&all, &id::INTERFACE, &call.params.list("NetworkInterfaceId"))?
        .into_iter()
        .filter(|(id, owner)| filters.accept(owner, call.region, call.region.tags.get(*id)))
        .collect();
    let (interfaces, next) = page.cut(kept, |(id, _)| (*id).clone());
    let mut xml = Xml::new();
    xml.set("networkInterfaceSet", interfaces, |xml, (id, owner)| {
        xml.text("networkInterfaceId", id).text("subnetId", &owner.subnet).text("vpcId", &owner.vpc);
        xml.text("availabilityZone", &owner.zone).text("availabilityZoneId", &owner.zone_id);
        xml.text("description", &owner.interface.description).text("ownerId", ACCOUNT);
        xml.text("requesterManaged", false).text("status", "in-use");
        xml.text("macAddress", &owner.interface.mac).text("privateIpAddress", owner.private_ip);
        xml.text("sourceDestCheck", true).text("interfaceType", "interface");
        write_group_set(xml, &owner.groups, call.region);
        xml.element("attachment", |xml| {
            xml.text("attachmentId", &owner.interface.attachment).text("instanceId", &owner.id);
            xml.text("instanceOwnerId", ACCOUNT).text("deviceIndex", 0).text("networkCardIndex", 0);
            xml.text("status", "attached").time("attachTime", owner.launched);
            xml.text("deleteOnTermination", true);
        });
        write_association(xml, owner);
        xml.set("privateIpAddressesSet", [owner], |xml, owner| {
            xml.text("privateIpAddress", owner.private_ip).text("primary", true);
            write_association(xml, owner);
        });
        tags::write(xml, call.region.tags.get(id));
    });
    xml.optional("nextToken", next);
    Ok(xml)
}

/// The public address of an interface, if it has one.
pub(super) fn write_association(xml: &mut Xml, owner: &Instance) {
    if let Some(address) = owner.public_ip() {
        xml.element("association", |xml| {
            xml.text("publicIp", address).element("publicDnsName", |_| {}).text("ipOwnerId", "amazon");
        });
    }
}
