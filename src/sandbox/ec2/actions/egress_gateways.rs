//! Egress-only internet gateways.

use super::{Call, Page, chosen};
use crate::sandbox::ec2::filter::{Field, Filters};
use crate::sandbox::ec2::model::address::EgressGateway;
use crate::sandbox::ec2::model::id;
use crate::sandbox::ec2::model::region::{Region, find};
use crate::sandbox::ec2::router::{Answer, FILTER, Operation, PAGE};
use crate::sandbox::ec2::tags::{self, TAG_SPECIFICATION};
use crate::sandbox::ec2::xml::Xml;

pub(in super::super) const OPERATIONS: &[Operation] = &[
    Operation::write(
        "CreateEgressOnlyInternetGateway",
        create,
        &[&["*VpcId", "ClientToken"], TAG_SPECIFICATION],
    ),
    Operation::write("DeleteEgressOnlyInternetGateway", delete, &[&["*EgressOnlyInternetGatewayId"]]),
    Operation::read(
        "DescribeEgressOnlyInternetGateways",
        describe,
        &[&["EgressOnlyInternetGatewayId.N"], FILTER, PAGE],
    ),
];

/// EC2 filters these by tags alone.
const FIELDS: &[Field<EgressGateway>] = &[];

fn create(call: &mut Call<'_>) -> Answer {
    let vpc = find(&call.region.vpcs, &id::VPC, call.params.required("VpcId")?)?.id.clone();
    let tags = tags::specified(call.params, "egress-only-internet-gateway")?;
    let id = match call.repeated("CreateEgressOnlyInternetGateway")? {
        Some(id) if call.region.egress_gateways.contains_key(&id) => id,
        _ => {
            let id = id::EGRESS_GATEWAY.draw(&call.region.chance);
            call.region.tag(&id, &tags);
            call.region.egress_gateways.insert(id.clone(), EgressGateway { id: id.clone(), vpc });
            call.remember("CreateEgressOnlyInternetGateway", &id);
            id
        }
    };
    let gateway = find(&call.region.egress_gateways, &id::EGRESS_GATEWAY, &id)?;
    let mut xml = Xml::new();
    xml.element("egressOnlyInternetGateway", |xml| write(xml, gateway, call.region));
    xml.optional("clientToken", call.params.text("ClientToken"));
    Ok(xml)
}

fn delete(call: &mut Call<'_>) -> Answer {
    let id = call.params.required("EgressOnlyInternetGatewayId")?;
    find(&call.region.egress_gateways, &id::EGRESS_GATEWAY, id)?;
    call.region.egress_gateways.remove(id);
    call.region.tags.remove(id);
    let mut xml = Xml::new();
    xml.text("returnCode", true);
    Ok(xml)
}

fn describe(call: &mut Call<'_>) -> Answer {
    let filters = Filters::parse(call.params, FIELDS)?;
    let page = Page::parse(call.params, 5..=255)?;
    let ids = call.params.list("EgressOnlyInternetGatewayId");
    let kept: Vec<&EgressGateway> = chosen(&call.region.egress_gateways, &id::EGRESS_GATEWAY, &ids)?
        .into_iter()
        .map(|(_, gateway)| gateway)
        .filter(|gateway| filters.accept(gateway, call.region, call.region.tags.get(&gateway.id)))
        .collect();
    let (gateways, next) = page.cut(kept, |gateway| gateway.id.clone());
    let mut xml = Xml::new();
    xml.set("egressOnlyInternetGatewaySet", gateways, |xml, gateway| write(xml, gateway, call.region));
    xml.optional("nextToken", next);
    Ok(xml)
}

fn write(xml: &mut Xml, gateway: &EgressGateway, region: &Region) {
    xml.text("egressOnlyInternetGatewayId", &gateway.id);
    xml.set("attachmentSet", [gateway], |xml, gateway| {
        xml.text("vpcId", &gateway.vpc).text("state", "attached");
    });
    tags::write(xml, region.tags.get(&gateway.id));
}
