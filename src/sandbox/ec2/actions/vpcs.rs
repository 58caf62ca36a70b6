//! VPCs: CreateVpc, CreateDefaultVpc, DeleteVpc, DescribeVpcs and their attributes.

use super::{Call, cidr_blocks, done};
use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::filter::{Field, one};
use crate::sandbox::ec2::model::cidr::Cidr;
use crate::sandbox::ec2::model::ipv6::Ipv6Block;
use crate::sandbox::ec2::model::network::Vpc;
use crate::sandbox::ec2::model::region::{Region, find, find_mut};
use crate::sandbox::ec2::model::{ACCOUNT, id};
use crate::sandbox::ec2::quotas;
use crate::sandbox::ec2::router::{Answer, FILTER, Operation, PAGE};
use crate::sandbox::ec2::tags::{self, TAG_SPECIFICATION};
use crate::sandbox::ec2::xml::Xml;

pub(in super::super) const OPERATIONS: &[Operation] = &[
    Operation::write(
        "CreateVpc",
        create,
        &[&["*CidrBlock", "InstanceTenancy", "AmazonProvidedIpv6CidrBlock"], TAG_SPECIFICATION],
    ),
    Operation::write("CreateDefaultVpc", create_default, &[]),
    Operation::write("DeleteVpc", delete, &[&["*VpcId"]]),
    Operation::read("DescribeVpcs", describe, &[&["VpcId.N"], FILTER, PAGE]),
    Operation::read("DescribeVpcAttribute", attribute, &[&["*VpcId", "*Attribute"]]),
    Operation::write(
        "ModifyVpcAttribute",
        modify,
        &[&["*VpcId", "EnableDnsHostnames.Value", "EnableDnsSupport.Value"]],
    ),
];

/// There is one set of DHCP options for all.
const DHCP_OPTIONS: &str = "dopt-0c0ffee0c0ffee000";

const FIELDS: &[Field<Vpc>] = &[
    ("vpc-id", |vpc, _| one(&vpc.id)),
    ("cidr", |vpc, _| one(vpc.cidr)),
    ("cidr-block-association.association-id", |vpc, _| one(&vpc.association)),
    ("cidr-block-association.cidr-block", |vpc, _| one(vpc.cidr)),
    ("cidr-block-association.state", |_, _| one("associated")),
    ("ipv6-cidr-block-association.association-id", |vpc, _| {
        vpc.ipv6.iter().map(|block| block.association.clone()).collect()
    }),
    ("ipv6-cidr-block-association.ipv6-cidr-block", |vpc, _| vpc.ipv6.iter().map(Ipv6Block::cidr).collect()),
    ("dhcp-options-id", |_, _| one(DHCP_OPTIONS)),
    ("is-default", |vpc, _| one(vpc.is_default)),
    ("isDefault", |vpc, _| one(vpc.is_default)),
    ("owner-id", |_, _| one(ACCOUNT)),
    ("state", |_, _| one("available")),
];

/// Reads an address block of the size that EC2 allows networks to have.
pub(super) fn block(text: &str, range_code: &str) -> Result<Cidr, Fault> {
    let cidr: Cidr =
        text.parse().map_err(|_| Fault::value_of("cidrBlock", text, "This is not a valid CIDR block."))?;
    if !(16..=28).contains(&cidr.prefix()) {
        return Err(Fault::new(range_code, format!("The CIDR '{text}' is invalid.")));
    }
    Ok(cidr)
}

fn check_quota(call: &Call<'_>) -> Result<(), Fault> {
    if (call.region.vpcs.len() as f64) < quotas::value(call.faults, call.place.name, quotas::VPCS) {
        return Ok(());
    }
    Err(Fault::new("VpcLimitExceeded", "The maximum number of VPCs has been reached."))
}

fn create(call: &mut Call<'_>) -> Answer {
    let cidr = block(call.params.required("CidrBlock")?, "InvalidVpc.Range")?;
    let tags = tags::specified(call.params, "vpc")?;
    match call.params.text("InstanceTenancy") {
        None | Some("default") => {}
        Some(other) => return Err(Fault::unsupported(format!("the sandbox has no {other} tenancy"))),
    }
    let ipv6 = call.params.flag("AmazonProvidedIpv6CidrBlock")?.unwrap_or(false);
    check_quota(call)?;
    let id = call.region.add_vpc(cidr, false);
    if let Some(vpc) = call.region.vpcs.get_mut(&id).filter(|_| ipv6) {
        vpc.ipv6 = Some(cidr_blocks::amazon_provided(&call.region.chance));
    }
    call.region.tag(&id, &tags);
    created(call.region, &id, "pending")
}

fn create_default(call: &mut Call<'_>) -> Answer {
    if call.region.default_vpc().is_some() {
        let message = "A Default VPC already exists for this account in this region.";
        return Err(Fault::new("DefaultVpcAlreadyExists", message));
    }
    check_quota(call)?;
    let id = call.region.add_default_vpc(call.place);
    created(call.region, &id, "pending")
}

fn created(region: &Region, id: &str, state: &str) -> Answer {
    let vpc = find(&region.vpcs, &id::VPC, id)?;
    let mut xml = Xml::new();
    xml.element("vpc", |xml| write(xml, vpc, region, state));
    Ok(xml)
}

fn delete(call: &mut Call<'_>) -> Answer {
    let id = call.params.required("VpcId")?;
    find(&call.region.vpcs, &id::VPC, id)?;
    let region = &mut *call.region;
    let gateways = region.gateways.values().any(|gateway| gateway.vpc.as_deref() == Some(id));
    let subnets = region.subnets.values().any(|subnet| subnet.vpc == id);
    let groups = region.groups.values().any(|group| group.vpc == id && !group.is_default());
    let tables = region.route_tables.values().any(|table| table.vpc == id && !table.is_main());
    let ways_out = region.egress_gateways.values().any(|gateway| gateway.vpc == id);
    if gateways || subnets || groups || tables || ways_out {
        return Err(Fault::dependency(format!("The vpc '{id}' has dependencies and cannot be deleted.")));
    }
    region.vpcs.remove(id);
    let mut gone: Vec<String> = vec![id.to_owned()];
    gone.extend(region.groups.extract_if(.., |_, group| group.vpc == id).map(|(id, _)| id));
    gone.extend(region.route_tables.extract_if(.., |_, table| table.vpc == id).map(|(id, _)| id));
    region.tags.retain(|resource, _| !gone.contains(resource));
    done()
}

fn describe(call: &mut Call<'_>) -> Answer {
    let (vpcs, next) = call.list(&call.region.vpcs, &id::VPC, "VpcId", FIELDS)?;
    let mut xml = Xml::new();
    xml.set("vpcSet", vpcs, |xml, (_, vpc)| write(xml, vpc, call.region, "available"));
    xml.optional("nextToken", next);
    Ok(xml)
}

fn attribute(call: &mut Call<'_>) -> Answer {
    let vpc = find(&call.region.vpcs, &id::VPC, call.params.required("VpcId")?)?;
    let name = call.params.required("Attribute")?;
    let value = match name {
        "enableDnsSupport" => vpc.dns_support,
        "enableDnsHostnames" => vpc.dns_hostnames,
        "enableNetworkAddressUsageMetrics" => false,
        other => return Err(Fault::value_of("vpcAttributeName", other, "Unknown attribute")),
    };
    let mut xml = Xml::new();
    xml.text("vpcId", &vpc.id).element(name, |xml| {
        xml.text("value", value);
    });
    Ok(xml)
}

fn modify(call: &mut Call<'_>) -> Answer {
    let value = |name: &str| call.params.group(name).map(|group| group.flag("Value")).transpose();
    let hostnames = value("EnableDnsHostnames")?.flatten();
    let support = value("EnableDnsSupport")?.flatten();
    let vpc = find_mut(&mut call.region.vpcs, &id::VPC, call.params.required("VpcId")?)?;
    match (hostnames, support) {
        (None, None) => return Err(Fault::missing("EnableDnsSupport or EnableDnsHostnames")),
        (Some(_), Some(_)) => {
            return Err(Fault::combination("Fields for multiple attribute types specified"));
        }
        (Some(hostnames), None) => vpc.dns_hostnames = hostnames,
        (None, Some(support)) => vpc.dns_support = support,
    }
    done()
}

fn write(xml: &mut Xml, vpc: &Vpc, region: &Region, state: &str) {
    xml.text("vpcId", &vpc.id).text("ownerId", ACCOUNT).text("state", state).text("cidrBlock", vpc.cidr);
    xml.set("cidrBlockAssociationSet", [vpc], |xml, vpc| {
        xml.text("cidrBlock", vpc.cidr).text("associationId", &vpc.association);
        xml.element("cidrBlockState", |xml| {
            xml.text("state", "associated");
        });
    });
    xml.set("ipv6CidrBlockAssociationSet", &vpc.ipv6, |xml, block| {
        cidr_blocks::write(xml, block, "associated");
        xml.text("ipv6Pool", "Amazon");
    });
    xml.text("dhcpOptionsId", DHCP_OPTIONS).text("instanceTenancy", "default");
    xml.text("isDefault", vpc.is_default);
    tags::write(xml, region.tags.get(&vpc.id));
}
