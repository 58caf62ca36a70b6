//! Network interfaces: those of instances, and those on their own.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::instances::write_group_set;
use super::launch::mac;
use super::placement::private_addresses;
use super::{Call, chosen, done};
use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::filter::{Field, Filters, one};
use crate::sandbox::ec2::model::instance::Instance;
use crate::sandbox::ec2::model::interface::LooseInterface;
use crate::sandbox::ec2::model::region::{Region, find};
use crate::sandbox::ec2::model::{ACCOUNT, id};
use crate::sandbox::ec2::moment::Moment;
use crate::sandbox::ec2::router::{Answer, FILTER, Operation, PAGE};
use crate::sandbox::ec2::tags::{self, TAG_SPECIFICATION};
use crate::sandbox::ec2::xml::Xml;

pub(in super::super) const OPERATIONS: &[Operation] = &[
    Operation::read("DescribeNetworkInterfaces", describe, &[&["NetworkInterfaceId.N"], FILTER, PAGE]),
    Operation::write(
        "CreateNetworkInterface",
        create,
        &[
            &["*SubnetId", "ClientToken", "Description", "PrivateIpAddress", "SecurityGroupId.N"],
            TAG_SPECIFICATION,
        ],
    ),
    Operation::write("DeleteNetworkInterface", delete, &[&["*NetworkInterfaceId"]]),
];

/// An interface, of either kind.
struct Card {
    id: String,
    vpc: String,
    subnet: String,
    zone: String,
    zone_id: String,
    groups: Vec<String>,
    description: String,
    mac: String,
    private_ip: Ipv4Addr,
    ipv6: Vec<Ipv6Addr>,
    requester: Option<String>,
    attached: Option<Attached>,
}

/// What ties an interface to an instance.
struct Attached {
    id: String,
    instance: String,
    public_ip: Option<Ipv4Addr>,
    at: Moment,
}

impl Card {
    fn of(owner: &Instance) -> Self {
        let attached = Attached {
            id: owner.interface.attachment.clone(),
            instance: owner.id.clone(),
            public_ip: owner.public_ip(),
            at: owner.launched,
        };
        Card {
            id: owner.interface.id.clone(),
            vpc: owner.vpc.clone(),
            subnet: owner.subnet.clone(),
            zone: owner.zone.clone(),
            zone_id: owner.zone_id.clone(),
            groups: owner.groups.clone(),
            description: owner.interface.description.clone(),
            mac: owner.interface.mac.clone(),
            private_ip: owner.private_ip,
            ipv6: owner.ipv6.clone(),
            requester: None,
            attached: Some(attached),
        }
    }

    fn loose(interface: &LooseInterface) -> Self {
        let LooseInterface { id, vpc, subnet, zone, zone_id, .. } = interface.clone();
        let LooseInterface { groups, description, mac, private_ip, requester, .. } = interface.clone();
        let (ipv6, attached) = (Vec::new(), None);
        Card {
            id,
            vpc,
            subnet,
            zone,
            zone_id,
            groups,
            description,
            mac,
            private_ip,
            ipv6,
            requester,
            attached,
        }
    }

    fn status(&self) -> &'static str {
        if self.attached.is_some() || self.requester.is_some() { "in-use" } else { "available" }
    }

    fn attachment(&self, read: impl Fn(&Attached) -> String) -> Vec<String> {
        self.attached.iter().map(read).collect()
    }

    fn public(&self) -> Vec<String> {
        self.attached.iter().filter_map(|attached| attached.public_ip).map(|ip| ip.to_string()).collect()
    }
}

const FIELDS: &[Field<Card>] = &[
    ("network-interface-id", |card, _| one(&card.id)),
    ("addresses.private-ip-address", |card, _| one(card.private_ip)),
    ("addresses.association.public-ip", |card, _| card.public()),
    ("association.public-ip", |card, _| card.public()),
    ("attachment.attachment-id", |card, _| card.attachment(|attached| attached.id.clone())),
    ("attachment.instance-id", |card, _| card.attachment(|attached| attached.instance.clone())),
    ("attachment.instance-owner-id", |card, _| card.attachment(|_| ACCOUNT.to_owned())),
    ("attachment.device-index", |card, _| card.attachment(|_| "0".to_owned())),
    ("attachment.delete-on-termination", |card, _| card.attachment(|_| "true".to_owned())),
    ("attachment.status", |card, _| card.attachment(|_| "attached".to_owned())),
    ("availability-zone", |card, _| one(&card.zone)),
    ("description", |card, _| one(&card.description)),
    ("group-id", |card, _| card.groups.clone()),
    ("group-name", |card, region| {
        let groups = card.groups.iter().filter_map(|id| region.groups.get(id));
        groups.map(|group| group.name.clone()).collect()
    }),
    ("interface-type", |_, _| one("interface")),
    ("ipv6-addresses.ipv6-address", |card, _| card.ipv6.iter().map(ToString::to_string).collect()),
    ("mac-address", |card, _| one(&card.mac)),
    ("owner-id", |_, _| one(ACCOUNT)),
    ("private-ip-address", |card, _| one(card.private_ip)),
    ("requester-id", |card, _| card.requester.iter().cloned().collect()),
    ("requester-managed", |card, _| one(card.requester.is_some())),
    ("status", |card, _| one(card.status())),
    ("subnet-id", |card, _| one(&card.subnet)),
    ("vpc-id", |card, _| one(&card.vpc)),
];

fn describe(call: &mut Call<'_>) -> Answer {
    let filters = Filters::parse(call.params, FIELDS)?;
    let page = call.page("NetworkInterfaceId")?;
    let mut all: BTreeMap<String, Card> =
        call.region.attached().map(|instance| (instance.interface.id.clone(), Card::of(instance))).collect();
    all.extend(call.region.interfaces.values().map(|loose| (loose.id.clone(), Card::loose(loose))));
    let kept = chosen(&all, &id::INTERFACE, &call.params.list("NetworkInterfaceId"))?
        .into_iter()
        .map(|(_, card)| card)
        .filter(|card| filters.accept(card, call.region, call.region.tags.get(&card.id)))
        .collect();
    let (cards, next) = page.cut(kept, |card| card.id.clone());
    let mut xml = Xml::new();
    xml.set("networkInterfaceSet", cards, |xml, card| write(xml, card, call.region));
    xml.optional("nextToken", next);
    Ok(xml)
}

fn create(call: &mut Call<'_>) -> Answer {
    let subnet = call.params.required("SubnetId")?;
    let tags = tags::specified(call.params, "network-interface")?;
    let id = match call.repeated("CreateNetworkInterface")? {
        Some(id) if call.region.interfaces.contains_key(&id) => id,
        _ => {
            let groups = call.params.list("SecurityGroupId");
            let address = call.params.text("PrivateIpAddress");
            let description = call.params.text("Description").unwrap_or_default();
            let id = add(call.region, subnet, &groups, address, description, call.now)?;
            call.region.tag(&id, &tags);
            call.remember("CreateNetworkInterface", &id);
            id
        }
    };
    let interface = find(&call.region.interfaces, &id::INTERFACE, &id)?;
    let mut xml = Xml::new();
    xml.element("networkInterface", |xml| write(xml, &Card::loose(interface), call.region));
    xml.optional("clientToken", call.params.text("ClientToken"));
    Ok(xml)
}

/// Makes an interface in a subnet, in its network's default group if none is given; its id.
pub(in super::super) fn add(
    region: &mut Region,
    subnet: &str,
    groups: &[&str],
    address: Option<&str>,
    description: &str,
    now: Moment,
) -> Result<String, Fault> {
    let subnet = find(&region.subnets, &id::SUBNET, subnet)?.clone();
    let mut members = Vec::new();
    for group in groups {
        if find(&region.groups, &id::GROUP, group)?.vpc != subnet.vpc {
            let message =
                format!("Security group {group} and subnet {} belong to different networks.", subnet.id);
            return Err(Fault::new("InvalidParameter", message));
        }
        members.push((*group).to_owned());
    }
    if members.is_empty() {
        members.extend(region.group_named(&subnet.vpc, "default").map(|group| group.id.clone()));
    }
    let private_ip = match address {
        Some(text) => text
            .parse()
            .ok()
            .filter(|address| subnet.cidr.contains(*address))
            .ok_or_else(|| Fault::value_of("address", text, "Not an address of the subnet."))?,
        None => private_addresses(region, &subnet, 1)?
            .first()
            .copied()
            .ok_or_else(|| Fault::internal("no address"))?,
    };
    let id = id::INTERFACE.draw(&region.chance);
    let interface = LooseInterface {
        id: id.clone(),
        vpc: subnet.vpc,
        subnet: subnet.id,
        zone: subnet.zone,
        zone_id: subnet.zone_id,
        groups: members,
        description: description.to_owned(),
        mac: mac(&region.chance),
        private_ip,
        created: now,
        requester: None,
    };
    region.interfaces.insert(id.clone(), interface);
    Ok(id)
}

fn delete(call: &mut Call<'_>) -> Answer {
    let id = call.params.required("NetworkInterfaceId")?;
    if call.region.attached().any(|instance| instance.interface.id == id) {
        let message = format!("Network interface '{id}' is currently in use.");
        return Err(Fault::new("InvalidNetworkInterface.InUse", message));
    }
    if find(&call.region.interfaces, &id::INTERFACE, id)?.requester.is_some() {
        let message = "You are not allowed to manage this network interface: another service made it.";
        return Err(Fault::with_status(403, "OperationNotPermitted", message));
    }
    call.region.interfaces.remove(id);
    call.region.tags.remove(id);
    done()
}

fn write(xml: &mut Xml, card: &Card, region: &Region) {
    xml.text("networkInterfaceId", &card.id).text("subnetId", &card.subnet).text("vpcId", &card.vpc);
    xml.text("availabilityZone", &card.zone).text("availabilityZoneId", &card.zone_id);
    xml.text("description", &card.description).text("ownerId", ACCOUNT);
    xml.optional("requesterId", card.requester.as_ref()).text("requesterManaged", card.requester.is_some());
    xml.text("status", card.status());
    xml.text("macAddress", &card.mac).text("privateIpAddress", card.private_ip);
    xml.text("sourceDestCheck", true).text("interfaceType", "interface");
    write_group_set(xml, &card.groups, region);
    if let Some(attached) = &card.attached {
        xml.element("attachment", |xml| {
            xml.text("attachmentId", &attached.id).text("instanceId", &attached.instance);
            xml.text("instanceOwnerId", ACCOUNT).text("deviceIndex", 0).text("networkCardIndex", 0);
            xml.text("status", "attached").time("attachTime", attached.at).text("deleteOnTermination", true);
        });
    }
    let public = card.attached.as_ref().and_then(|attached| attached.public_ip);
    write_public(xml, public);
    xml.set("privateIpAddressesSet", [card], |xml, card| {
        xml.text("privateIpAddress", card.private_ip).text("primary", true);
        write_public(xml, public);
    });
    xml.set("ipv6AddressesSet", &card.ipv6, |xml, address| {
        xml.text("ipv6Address", address);
    });
    tags::write(xml, region.tags.get(&card.id));
}

/// The public address of an instance, if it has one.
pub(super) fn write_association(xml: &mut Xml, owner: &Instance) {
    write_public(xml, owner.public_ip());
}

fn write_public(xml: &mut Xml, address: Option<Ipv4Addr>) {
    if let Some(address) = address {
        xml.element("association", |xml| {
            xml.text("publicIp", address).element("publicDnsName", |_| {}).text("ipOwnerId", "amazon");
        });
    }
}
