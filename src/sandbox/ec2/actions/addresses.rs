//! Elastic IP addresses.
//!
//! An association is told by `DescribeAddresses`; the instance goes on telling the address at which its
//! machine listens, since it could not be reached at another one.

use std::collections::BTreeMap;

use super::{Call, chosen, done};
use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::filter::{Field, Filters, one};
use crate::sandbox::ec2::model::address::Address;
use crate::sandbox::ec2::model::cloud::take_address;
use crate::sandbox::ec2::model::region::{Region, find, find_mut};
use crate::sandbox::ec2::model::{ACCOUNT, id};
use crate::sandbox::ec2::quotas;
use crate::sandbox::ec2::router::{Answer, FILTER, Operation};
use crate::sandbox::ec2::tags::{self, TAG_SPECIFICATION};
use crate::sandbox::ec2::xml::Xml;

pub(in super::super) const OPERATIONS: &[Operation] = &[
    Operation::write("AllocateAddress", allocate, &[&["Domain"], TAG_SPECIFICATION]),
    Operation::write(
        "AssociateAddress",
        associate,
        &[&["*AllocationId", "*InstanceId", "AllowReassociation"]],
    ),
    Operation::write("DisassociateAddress", disassociate, &[&["*AssociationId"]]),
    Operation::write("ReleaseAddress", release, &[&["*AllocationId"]]),
    Operation::read("DescribeAddresses", describe, &[&["AllocationId.N", "PublicIp.N"], FILTER]),
];

const FIELDS: &[Field<Address>] = &[
    ("allocation-id", |address, _| one(&address.id)),
    ("association-id", |address, _| address.associated.iter().map(|(id, _)| id.clone()).collect()),
    ("instance-id", |address, _| address.associated.iter().map(|(_, instance)| instance.clone()).collect()),
    ("public-ip", |address, _| one(address.public_ip)),
    ("network-interface-owner-id", |_, _| one(ACCOUNT)),
];

fn allocate(call: &mut Call<'_>) -> Answer {
    match call.params.text("Domain") {
        None | Some("vpc") => {}
        Some(other) => return Err(Fault::value_of("domain", other, "Expecting vpc.")),
    }
    let tags = tags::specified(call.params, "elastic-ip")?;
    let most = quotas::value(call.faults, call.place.name, quotas::ADDRESSES);
    if call.region.elastic.len() as f64 >= most {
        let message = "The maximum number of addresses has been reached.";
        return Err(Fault::new("AddressLimitExceeded", message));
    }
    let none = || Fault::with_status(500, "InsufficientAddressCapacity", "There are no addresses left.");
    let public_ip = take_address(call.addresses).ok_or_else(none)?;
    let id = id::ADDRESS.draw(&call.region.chance);
    call.region.tag(&id, &tags);
    call.region.elastic.insert(id.clone(), Address { id: id.clone(), public_ip, associated: None });
    let mut xml = Xml::new();
    xml.text("publicIp", public_ip).text("allocationId", id).text("domain", "vpc");
    xml.text("publicIpv4Pool", "amazon").text("networkBorderGroup", call.place.name);
    Ok(xml)
}

fn associate(call: &mut Call<'_>) -> Answer {
    let instance = call.params.required("InstanceId")?;
    let id = call.params.required("AllocationId")?;
    if find(&call.region.instances, &id::INSTANCE, instance)?.state.ended() {
        let message = format!("The instance '{instance}' is not in a valid state for this operation.");
        return Err(Fault::new("InvalidInstanceID", message));
    }
    let again = call.params.flag("AllowReassociation")?.unwrap_or(true);
    let address = find_mut(&mut call.region.elastic, &id::ADDRESS, id)?;
    if let Some((_, other)) = &address.associated
        && !again
    {
        let message = format!("resource {id} is already associated with {other}");
        return Err(Fault::new("Resource.AlreadyAssociated", message));
    }
    let association = id::ADDRESS_ASSOCIATION.draw(&call.region.chance);
    address.associated = Some((association.clone(), instance.to_owned()));
    let mut xml = Xml::new();
    xml.text("return", true).text("associationId", association);
    Ok(xml)
}

fn disassociate(call: &mut Call<'_>) -> Answer {
    let id = call.params.required("AssociationId")?;
    id::ADDRESS_ASSOCIATION.check(id)?;
    let mut all = call.region.elastic.values_mut();
    let held = all.find(|address| address.associated.as_ref().is_some_and(|(known, _)| known == id));
    held.ok_or_else(|| id::ADDRESS_ASSOCIATION.missing(&[id]))?.associated = None;
    done()
}

fn release(call: &mut Call<'_>) -> Answer {
    let id = call.params.required("AllocationId")?;
    let address = find(&call.region.elastic, &id::ADDRESS, id)?;
    if address.associated.is_some() {
        let message = format!("Address {} is in use.", address.public_ip);
        return Err(Fault::new("InvalidIPAddress.InUse", message));
    }
    call.addresses.remove(&address.public_ip);
    call.region.elastic.remove(id);
    call.region.tags.remove(id);
    done()
}

fn describe(call: &mut Call<'_>) -> Answer {
    let filters = Filters::parse(call.params, FIELDS)?;
    let addresses = call.params.list("PublicIp");
    let by_address: BTreeMap<String, &Address> =
        call.region.elastic.values().map(|address| (address.public_ip.to_string(), address)).collect();
    if let Some(unknown) = addresses.iter().find(|address| !by_address.contains_key(**address)) {
        return Err(Fault::new("InvalidAddress.NotFound", format!("Address '{unknown}' not found.")));
    }
    let found = chosen(&call.region.elastic, &id::ADDRESS, &call.params.list("AllocationId"))?;
    let kept = found.into_iter().map(|(_, address)| address).filter(|address| {
        (addresses.is_empty() || addresses.contains(&address.public_ip.to_string().as_str()))
            && filters.accept(address, call.region, call.region.tags.get(&address.id))
    });
    let mut xml = Xml::new();
    xml.set("addressesSet", kept, |xml, address| write(xml, address, call.region, call.place.name));
    Ok(xml)
}

fn write(xml: &mut Xml, address: &Address, region: &Region, place: &str) {
    xml.text("publicIp", address.public_ip).text("allocationId", &address.id).text("domain", "vpc");
    if let Some((association, id)) = &address.associated {
        xml.text("associationId", association).text("instanceId", id);
        if let Some(instance) = region.instances.get(id) {
            xml.text("networkInterfaceId", &instance.interface.id).text("networkInterfaceOwnerId", ACCOUNT);
            xml.text("privateIpAddress", instance.private_ip);
        }
    }
    tags::write(xml, region.tags.get(&address.id));
    xml.text("publicIpv4Pool", "amazon").text("networkBorderGroup", place);
}
