//! Subnets: CreateSubnet, DeleteSubnet, DescribeSubnets, ModifySubnetAttribute.

use super::vpcs::block;
use super::{Call, cidr_blocks, done};
use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::filter::{Field, one};
use crate::sandbox::ec2::model::ipv6::Ipv6Block;
use crate::sandbox::ec2::model::network::Subnet;
use crate::sandbox::ec2::model::region::{Region, find, find_mut};
use crate::sandbox::ec2::model::{ACCOUNT, id};
use crate::sandbox::ec2::regions::Zone;
use crate::sandbox::ec2::router::{Answer, FILTER, Operation, PAGE};
use crate::sandbox::ec2::tags::{self, TAG_SPECIFICATION};
use crate::sandbox::ec2::xml::Xml;

pub(in super::super) const OPERATIONS: &[Operation] = &[
    Operation::write(
        "CreateSubnet",
        create,
        &[
            &["*VpcId", "*CidrBlock", "Ipv6CidrBlock", "AvailabilityZone", "AvailabilityZoneId"],
            TAG_SPECIFICATION,
        ],
    ),
    Operation::write("DeleteSubnet", delete, &[&["*SubnetId"]]),
    Operation::read("DescribeSubnets", describe, &[&["SubnetId.N"], FILTER, PAGE]),
    Operation::write(
        "ModifySubnetAttribute",
        modify,
        &[&["*SubnetId", "MapPublicIpOnLaunch.Value", "AssignIpv6AddressOnCreation.Value"]],
    ),
];

const FIELDS: &[Field<Subnet>] = &[
    ("subnet-id", |subnet, _| one(&subnet.id)),
    ("vpc-id", |subnet, _| one(&subnet.vpc)),
    ("availability-zone", |subnet, _| one(&subnet.zone)),
    ("availabilityZone", |subnet, _| one(&subnet.zone)),
    ("availability-zone-id", |subnet, _| one(&subnet.zone_id)),
    ("available-ip-address-count", |subnet, region| one(available(subnet, region))),
    ("cidr-block", |subnet, _| one(subnet.cidr)),
    ("cidr", |subnet, _| one(subnet.cidr)),
    ("cidrBlock", |subnet, _| one(subnet.cidr)),
    ("ipv6-cidr-block-association.association-id", |subnet, _| {
        subnet.ipv6.iter().map(|block| block.association.clone()).collect()
    }),
    ("ipv6-cidr-block-association.ipv6-cidr-block", |subnet, _| {
        subnet.ipv6.iter().map(Ipv6Block::cidr).collect()
    }),
    ("default-for-az", |subnet, _| one(subnet.default_for_zone)),
    ("defaultForAz", |subnet, _| one(subnet.default_for_zone)),
    ("map-public-ip-on-launch", |subnet, _| one(subnet.map_public)),
    ("owner-id", |_, _| one(ACCOUNT)),
    ("state", |_, _| one("available")),
];

/// AWS keeps the first four addresses of a subnet and its last.
const RESERVED: u64 = 5;

fn available(subnet: &Subnet, region: &Region) -> u64 {
    let instances = region.attached().filter(|instance| instance.subnet == subnet.id).count();
    let others = region.interfaces.values().filter(|interface| interface.subnet == subnet.id).count();
    let used = (instances + others) as u64;
    subnet.cidr.size().saturating_sub(RESERVED + used)
}

fn create(call: &mut Call<'_>) -> Answer {
    let vpc = find(&call.region.vpcs, &id::VPC, call.params.required("VpcId")?)?;
    let text = call.params.required("CidrBlock")?;
    let cidr = block(text, "InvalidSubnet.Range")?;
    if !vpc.cidr.covers(cidr) {
        return Err(Fault::new("InvalidSubnet.Range", format!("The CIDR '{text}' is invalid.")));
    }
    let vpc = vpc.id.clone();
    if call.region.subnets.values().any(|other| other.vpc == vpc && other.cidr.overlaps(cidr)) {
        let message = format!("The CIDR '{text}' conflicts with another subnet");
        return Err(Fault::new("InvalidSubnet.Conflict", message));
    }
    let zone = zone(call)?;
    let tags = tags::specified(call.params, "subnet")?;
    let ipv6 = call.params.text("Ipv6CidrBlock");
    let ipv6 = ipv6.map(|text| cidr_blocks::of_subnet(call.region, &vpc, text)).transpose()?;
    let id = call.region.add_subnet(&vpc, cidr, &zone, false);
    if let Some(subnet) = call.region.subnets.get_mut(&id) {
        subnet.ipv6 = ipv6;
    }
    call.region.tag(&id, &tags);
    let subnet = find(&call.region.subnets, &id::SUBNET, &id)?;
    let mut xml = Xml::new();
    xml.element("subnet", |xml| write(xml, subnet, call.region));
    Ok(xml)
}

fn zone(call: &Call<'_>) -> Result<Zone, Fault> {
    let zones = call.place.zones();
    let name = call.params.text("AvailabilityZone");
    let zone_id = call.params.text("AvailabilityZoneId");
    let fits = |zone: &&Zone| {
        name.is_none_or(|name| zone.name == name) && zone_id.is_none_or(|zone_id| zone.id == zone_id)
    };
    zones.iter().find(fits).cloned().ok_or_else(|| {
        let names: Vec<_> = zones.iter().map(|zone| zone.name.as_str()).collect();
        let why = format!(
            "Subnets can currently only be created in the following availability zones: {}.",
            names.join(", ")
        );
        Fault::value_of("availabilityZone", name.or(zone_id).unwrap_or_default(), &why)
    })
}

fn delete(call: &mut Call<'_>) -> Answer {
    let id = call.params.required("SubnetId")?;
    find(&call.region.subnets, &id::SUBNET, id)?;
    if call.region.inhabited(id) {
        return Err(Fault::dependency(format!("The subnet '{id}' has dependencies and cannot be deleted.")));
    }
    call.region.subnets.remove(id);
    call.region.tags.remove(id);
    for table in call.region.route_tables.values_mut() {
        table.associations.retain(|association| association.subnet.as_deref() != Some(id));
    }
    done()
}

fn describe(call: &mut Call<'_>) -> Answer {
    let (subnets, next) = call.list(&call.region.subnets, &id::SUBNET, "SubnetId", FIELDS)?;
    let mut xml = Xml::new();
    xml.set("subnetSet", subnets, |xml, (_, subnet)| write(xml, subnet, call.region));
    xml.optional("nextToken", next);
    Ok(xml)
}

fn modify(call: &mut Call<'_>) -> Answer {
    let value = |name: &str| call.params.group(name).map(|group| group.flag("Value")).transpose();
    let map_public = value("MapPublicIpOnLaunch")?.flatten();
    let assign_ipv6 = value("AssignIpv6AddressOnCreation")?.flatten();
    if map_public.is_some() && assign_ipv6.is_some() {
        return Err(Fault::combination("Fields for multiple attribute types specified"));
    }
    let subnet = find_mut(&mut call.region.subnets, &id::SUBNET, call.params.required("SubnetId")?)?;
    if let Some(assign) = assign_ipv6 {
        if assign && subnet.ipv6.is_none() {
            let message = format!(
                "Invalid value 'true' for assignIpv6AddressOnCreation. {} has no IPv6 CIDR block",
                subnet.id
            );
            return Err(Fault::value(message));
        }
        subnet.assign_ipv6 = assign;
    }
    if let Some(map_public) = map_public {
        subnet.map_public = map_public;
    }
    done()
}

fn write(xml: &mut Xml, subnet: &Subnet, region: &Region) {
    xml.text("subnetId", &subnet.id).text("state", "available").text("vpcId", &subnet.vpc);
    xml.text("ownerId", ACCOUNT).text("cidrBlock", subnet.cidr);
    xml.text("availableIpAddressCount", available(subnet, region));
    xml.text("availabilityZone", &subnet.zone).text("availabilityZoneId", &subnet.zone_id);
    xml.text("defaultForAz", subnet.default_for_zone).text("mapPublicIpOnLaunch", subnet.map_public);
    xml.text("assignIpv6AddressOnCreation", subnet.assign_ipv6);
    xml.set("ipv6CidrBlockAssociationSet", &subnet.ipv6, |xml, block| {
        cidr_blocks::write(xml, block, "associated");
    });
    let region_name = subnet.zone.trim_end_matches(|letter: char| letter.is_ascii_lowercase());
    xml.text("subnetArn", format!("arn:aws:ec2:{region_name}:{ACCOUNT}:subnet/{}", subnet.id));
    xml.text("enableDns64", false).text("ipv6Native", false);
    xml.element("privateDnsNameOptionsOnLaunch", |xml| {
        xml.text("hostnameType", "ip-name").text("enableResourceNameDnsARecord", false);
        xml.text("enableResourceNameDnsAAAARecord", false);
    });
    tags::write(xml, region.tags.get(&subnet.id));
}
