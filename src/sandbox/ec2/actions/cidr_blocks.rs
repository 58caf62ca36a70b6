//! IPv6 blocks of networks and subnets.

use super::Call;
use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::model::chance::Chance;
use crate::sandbox::ec2::model::id;
use crate::sandbox::ec2::model::ipv6::Ipv6Block;
use crate::sandbox::ec2::model::region::{Region, find, find_mut};
use crate::sandbox::ec2::router::{Answer, Operation};
use crate::sandbox::ec2::xml::Xml;

pub(in super::super) const OPERATIONS: &[Operation] = &[
    Operation::write("AssociateVpcCidrBlock", associate_vpc, &[&["*VpcId", "AmazonProvidedIpv6CidrBlock"]]),
    Operation::write("DisassociateVpcCidrBlock", disassociate_vpc, &[&["*AssociationId"]]),
    Operation::write("AssociateSubnetCidrBlock", associate_subnet, &[&["*SubnetId", "*Ipv6CidrBlock"]]),
    Operation::write("DisassociateSubnetCidrBlock", disassociate_subnet, &[&["*AssociationId"]]),
];

/// A /56 that Amazon gives to a network.
pub(super) fn amazon_provided(chance: &Chance) -> Ipv6Block {
    let random = u128::from(chance.next() & 0xff_ffff | 0x80) << 72;
    let base = (0x2600_1f14_u128 << 96) | random;
    Ipv6Block::new(id::CIDR_ASSOCIATION.draw(chance), base.into(), 56)
}

/// The block that a subnet of a network asks for.
pub(super) fn of_subnet(region: &Region, vpc: &str, text: &str) -> Result<Ipv6Block, Fault> {
    let wrong = || Fault::new("InvalidSubnet.Range", format!("The CIDR '{text}' is invalid."));
    let block = Ipv6Block::parse(id::SUBNET_CIDR_ASSOCIATION.draw(&region.chance), text).ok_or_else(wrong)?;
    let network = find(&region.vpcs, &id::VPC, vpc)?.ipv6.as_ref();
    if block.prefix != 64 || !network.is_some_and(|network| network.covers(&block)) {
        return Err(wrong());
    }
    let taken = |other: &Ipv6Block| other.covers(&block);
    if region.subnets.values().any(|other| other.vpc == vpc && other.ipv6.as_ref().is_some_and(taken)) {
        let message = format!("The CIDR '{text}' conflicts with another subnet");
        return Err(Fault::new("InvalidSubnet.Conflict", message));
    }
    Ok(block)
}

/// The parts of an association that all answers have.
pub(super) fn write(xml: &mut Xml, block: &Ipv6Block, state: &str) {
    xml.text("associationId", &block.association).text("ipv6CidrBlock", block.cidr());
    xml.element("ipv6CidrBlockState", |xml| {
        xml.text("state", state);
    });
}

fn associate_vpc(call: &mut Call<'_>) -> Answer {
    let id = call.params.required("VpcId")?;
    if !call.params.flag("AmazonProvidedIpv6CidrBlock")?.unwrap_or(false) {
        return Err(Fault::missing("AmazonProvidedIpv6CidrBlock"));
    }
    let vpc = find_mut(&mut call.region.vpcs, &id::VPC, id)?;
    if vpc.ipv6.is_some() {
        let message = format!("The network '{id}' has met its maximum number of allowed CIDRs");
        return Err(Fault::new("CidrLimitExceeded", message));
    }
    let block = vpc.ipv6.insert(amazon_provided(&call.region.chance));
    let mut xml = Xml::new();
    xml.element("ipv6CidrBlockAssociation", |xml| {
        xml.text("associationId", &block.association).text("ipv6CidrBlock", block.cidr());
        xml.element("ipv6CidrBlockState", |xml| {
            xml.text("state", "associating");
        });
        xml.text("networkBorderGroup", call.place.name).text("ipv6Pool", "Amazon");
    });
    xml.text("vpcId", id);
    Ok(xml)
}

fn disassociate_vpc(call: &mut Call<'_>) -> Answer {
    let id = call.params.required("AssociationId")?;
    id::CIDR_ASSOCIATION.check(id)?;
    let has = |block: &Option<Ipv6Block>| block.as_ref().is_some_and(|block| block.association == id);
    let vpc = call.region.vpcs.values().find(|vpc| has(&vpc.ipv6));
    let vpc = vpc.ok_or_else(|| id::CIDR_ASSOCIATION.missing(&[id]))?.id.clone();
    if call.region.subnets.values().any(|subnet| subnet.vpc == vpc && subnet.ipv6.is_some()) {
        let message = format!("The vpc '{vpc}' has subnets that use its IPv6 CIDR block.");
        return Err(Fault::dependency(message));
    }
    let gone = call.region.vpcs.get_mut(&vpc).and_then(|vpc| vpc.ipv6.take());
    answer(gone, "vpcId", &vpc)
}

fn associate_subnet(call: &mut Call<'_>) -> Answer {
    let id = call.params.required("SubnetId")?;
    let subnet = find(&call.region.subnets, &id::SUBNET, id)?;
    if subnet.ipv6.is_some() {
        let message = format!("The subnet '{id}' already has an IPv6 CIDR block associated");
        return Err(Fault::value(message));
    }
    let block = of_subnet(call.region, &subnet.vpc, call.params.required("Ipv6CidrBlock")?)?;
    let mut xml = Xml::new();
    xml.element("ipv6CidrBlockAssociation", |xml| write(xml, &block, "associating")).text("subnetId", id);
    find_mut(&mut call.region.subnets, &id::SUBNET, id)?.ipv6 = Some(block);
    Ok(xml)
}

fn disassociate_subnet(call: &mut Call<'_>) -> Answer {
    let id = call.params.required("AssociationId")?;
    id::SUBNET_CIDR_ASSOCIATION.check(id)?;
    let has = |block: &Option<Ipv6Block>| block.as_ref().is_some_and(|block| block.association == id);
    let subnet = call.region.subnets.values().find(|subnet| has(&subnet.ipv6));
    let subnet = subnet.ok_or_else(|| id::SUBNET_CIDR_ASSOCIATION.missing(&[id]))?.id.clone();
    if call.region.attached().any(|instance| instance.subnet == subnet && !instance.ipv6.is_empty()) {
        let message = format!("The subnet '{subnet}' has interfaces that use its IPv6 CIDR block.");
        return Err(Fault::dependency(message));
    }
    let gone = call.region.subnets.get_mut(&subnet).and_then(|known| {
        known.assign_ipv6 = false;
        known.ipv6.take()
    });
    answer(gone, "subnetId", &subnet)
}

fn answer(gone: Option<Ipv6Block>, owner: &str, id: &str) -> Answer {
    let mut xml = Xml::new();
    if let Some(block) = gone {
        xml.element("ipv6CidrBlockAssociation", |xml| {
            write(xml, &block, "disassociating");
            if owner == "vpcId" {
                xml.text("ipv6Pool", "Amazon");
            }
        });
    }
    xml.text(owner, id);
    Ok(xml)
}
