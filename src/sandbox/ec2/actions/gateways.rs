//! Internet gateways.

use super::{Call, done};
use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::filter::{Field, one};
use crate::sandbox::ec2::model::network::Gateway;
use crate::sandbox::ec2::model::region::{Region, find, find_mut};
use crate::sandbox::ec2::model::{ACCOUNT, id};
use crate::sandbox::ec2::router::{Answer, FILTER, Operation, PAGE};
use crate::sandbox::ec2::tags::{self, TAG_SPECIFICATION};
use crate::sandbox::ec2::xml::Xml;

const BOTH: &[&str] = &["*InternetGatewayId", "*VpcId"];

pub(in super::super) const OPERATIONS: &[Operation] = &[
    Operation::write("CreateInternetGateway", create, &[TAG_SPECIFICATION]),
    Operation::write("AttachInternetGateway", attach, &[BOTH]),
    Operation::write("DetachInternetGateway", detach, &[BOTH]),
    Operation::write("DeleteInternetGateway", delete, &[&["*InternetGatewayId"]]),
    Operation::read("DescribeInternetGateways", describe, &[&["InternetGatewayId.N"], FILTER, PAGE]),
];

/// The default quota in a region.
const MOST: usize = 5;

const FIELDS: &[Field<Gateway>] = &[
    ("internet-gateway-id", |gateway, _| one(&gateway.id)),
    ("attachment.vpc-id", |gateway, _| gateway.vpc.iter().cloned().collect()),
    ("attachment.state", |gateway, _| gateway.vpc.iter().map(|_| "available".to_owned()).collect()),
    ("owner-id", |_, _| one(ACCOUNT)),
];

fn create(call: &mut Call<'_>) -> Answer {
    let tags = tags::specified(call.params, "internet-gateway")?;
    if call.region.gateways.len() >= MOST {
        let message = "The maximum number of internet gateways has been reached.";
        return Err(Fault::new("InternetGatewayLimitExceeded", message));
    }
    let id = id::GATEWAY.draw(&call.region.chance);
    let gateway = Gateway { id: id.clone(), vpc: None };
    call.region.tag(&id, &tags);
    let mut xml = Xml::new();
    xml.element("internetGateway", |xml| write(xml, &gateway, call.region));
    call.region.gateways.insert(id, gateway);
    Ok(xml)
}

fn attach(call: &mut Call<'_>) -> Answer {
    let vpc = call.params.required("VpcId")?;
    let id = call.params.required("InternetGatewayId")?;
    let gateway = find(&call.region.gateways, &id::GATEWAY, id)?;
    find(&call.region.vpcs, &id::VPC, vpc)?;
    if let Some(other) = &gateway.vpc {
        let message = format!("resource {id} is already attached to network {other}");
        return Err(Fault::new("Resource.AlreadyAssociated", message));
    }
    if call.region.gateways.values().any(|other| other.vpc.as_deref() == Some(vpc)) {
        return Err(Fault::value(format!("Network {vpc} already has an internet gateway attached")));
    }
    find_mut(&mut call.region.gateways, &id::GATEWAY, id)?.vpc = Some(vpc.to_owned());
    done()
}

fn detach(call: &mut Call<'_>) -> Answer {
    let vpc = call.params.required("VpcId")?;
    let id = call.params.required("InternetGatewayId")?;
    let gateway = find(&call.region.gateways, &id::GATEWAY, id)?;
    find(&call.region.vpcs, &id::VPC, vpc)?;
    if gateway.vpc.as_deref() != Some(vpc) {
        let message = format!("resource {id} is not attached to network {vpc}");
        return Err(Fault::new("Gateway.NotAttached", message));
    }
    if call.region.attached().any(|instance| instance.vpc == vpc && instance.public_ip().is_some()) {
        let message = format!(
            "Network {vpc} has some mapped public address(es). Please unmap those public address(es) \
             before detaching the gateway."
        );
        return Err(Fault::dependency(message));
    }
    find_mut(&mut call.region.gateways, &id::GATEWAY, id)?.vpc = None;
    done()
}

fn delete(call: &mut Call<'_>) -> Answer {
    let id = call.params.required("InternetGatewayId")?;
    if find(&call.region.gateways, &id::GATEWAY, id)?.vpc.is_some() {
        let message = format!("The internetGateway '{id}' has dependencies and cannot be deleted.");
        return Err(Fault::dependency(message));
    }
    call.region.gateways.remove(id);
    call.region.tags.remove(id);
    done()
}

fn describe(call: &mut Call<'_>) -> Answer {
    let (gateways, next) = call.list(&call.region.gateways, &id::GATEWAY, "InternetGatewayId", FIELDS)?;
    let mut xml = Xml::new();
    xml.set("internetGatewaySet", gateways, |xml, (_, gateway)| write(xml, gateway, call.region));
    xml.optional("nextToken", next);
    Ok(xml)
}

fn write(xml: &mut Xml, gateway: &Gateway, region: &Region) {
    xml.text("internetGatewayId", &gateway.id).text("ownerId", ACCOUNT);
    xml.set("attachmentSet", &gateway.vpc, |xml, vpc| {
        xml.text("vpcId", vpc).text("state", "available");
    });
    tags::write(xml, region.tags.get(&gateway.id));
}
