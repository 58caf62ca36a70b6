//! Security groups: CreateSecurityGroup, DeleteSecurityGroup, DescribeSecurityGroups.

use super::{Call, permissions};
use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::filter::{Field, Filters, one};
use crate::sandbox::ec2::model::group::{Group, Peer, Rule};
use crate::sandbox::ec2::model::region::{Region, find};
use crate::sandbox::ec2::model::{ACCOUNT, id};
use crate::sandbox::ec2::router::{Answer, FILTER, Operation, PAGE};
use crate::sandbox::ec2::tags::{self, TAG_SPECIFICATION};
use crate::sandbox::ec2::xml::Xml;

pub(in super::super) const OPERATIONS: &[Operation] = &[
    Operation::write(
        "CreateSecurityGroup",
        create,
        &[&["*GroupName", "*GroupDescription", "VpcId"], TAG_SPECIFICATION],
    ),
    Operation::write("DeleteSecurityGroup", delete, &[&["GroupId", "GroupName"]]),
    Operation::read("DescribeSecurityGroups", describe, &[&["GroupId.N", "GroupName.N"], FILTER, PAGE]),
];

const FIELDS: &[Field<Group>] = &[
    ("group-id", |group, _| one(&group.id)),
    ("group-name", |group, _| one(&group.name)),
    ("description", |group, _| one(&group.description)),
    ("owner-id", |_, _| one(ACCOUNT)),
    ("vpc-id", |group, _| one(&group.vpc)),
    ("ip-permission.cidr", |group, _| peers(group, false, |peer| matches!(peer, Peer::Ipv4(_)))),
    ("ip-permission.ipv6-cidr", |group, _| peers(group, false, |peer| matches!(peer, Peer::Ipv6(_)))),
    ("ip-permission.group-id", |group, _| peers(group, false, |peer| matches!(peer, Peer::Group(_)))),
    ("ip-permission.protocol", |group, _| of_rules(group, false, |rule| rule.traffic.protocol.clone())),
    ("ip-permission.from-port", |group, _| of_rules(group, false, |rule| port(rule.traffic.from))),
    ("ip-permission.to-port", |group, _| of_rules(group, false, |rule| port(rule.traffic.to))),
    ("egress.ip-permission.cidr", |group, _| peers(group, true, |peer| matches!(peer, Peer::Ipv4(_)))),
    ("egress.ip-permission.group-id", |group, _| peers(group, true, |peer| matches!(peer, Peer::Group(_)))),
    ("egress.ip-permission.protocol", |group, _| of_rules(group, true, |rule| rule.traffic.protocol.clone())),
];

fn of_rules(group: &Group, egress: bool, read: impl Fn(&Rule) -> String) -> Vec<String> {
    group.rules.iter().filter(|rule| rule.egress == egress).map(read).collect()
}

fn peers(group: &Group, egress: bool, wanted: fn(&Peer) -> bool) -> Vec<String> {
    let rules = group.rules.iter().filter(|rule| rule.egress == egress && wanted(&rule.peer));
    rules.map(|rule| rule.peer.text().to_owned()).collect()
}

fn port(port: Option<i32>) -> String {
    port.map(|port| port.to_string()).unwrap_or_default()
}

/// The group that `GroupId`, or `GroupName` in the default VPC, names.
pub(super) fn named<'a>(call: &'a Call<'_>) -> Result<&'a Group, Fault> {
    match (call.params.text("GroupId"), call.params.text("GroupName")) {
        (Some(id), _) => find(&call.region.groups, &id::GROUP, id),
        (None, Some(name)) => {
            let vpc = call.region.default_vpc().ok_or_else(no_default_vpc)?;
            call.region.group_named(&vpc.id, name).ok_or_else(|| {
                let message =
                    format!("The security group '{name}' does not exist in default VPC '{}'", vpc.id);
                Fault::new("InvalidGroup.NotFound", message)
            })
        }
        (None, None) => Err(Fault::missing("GroupName or GroupId")),
    }
}

/// `VPCIdNotSpecified`.
pub(super) fn no_default_vpc() -> Fault {
    Fault::new("VPCIdNotSpecified", "No default VPC for this user")
}

fn create(call: &mut Call<'_>) -> Answer {
    let name = call.params.required("GroupName")?;
    let description = call.params.required("GroupDescription")?;
    check_text("groupName", name)?;
    check_text("groupDescription", description)?;
    if name == "default" {
        return Err(Fault::value("Cannot use reserved security group name: default"));
    }
    if name.starts_with("sg-") {
        return Err(Fault::value(format!(
            "Invalid value '{name}' for groupName. Group names may not be in the format sg-*."
        )));
    }
    let vpc = match call.params.text("VpcId") {
        Some(id) => find(&call.region.vpcs, &id::VPC, id)?,
        None => call.region.default_vpc().ok_or_else(no_default_vpc)?,
    };
    let vpc = vpc.id.clone();
    if call.region.group_named(&vpc, name).is_some() {
        let message = format!("The security group '{name}' already exists for VPC '{vpc}'");
        return Err(Fault::new("InvalidGroup.Duplicate", message));
    }
    let tags = tags::specified(call.params, "security-group")?;
    let id = call.region.add_group(&vpc, name, description);
    call.region.tag(&id, &tags);
    let mut xml = Xml::new();
    xml.text("return", true).text("groupId", &id).text("securityGroupArn", arn(call.place.name, &id));
    tags::write(&mut xml, call.region.tags.get(&id));
    Ok(xml)
}

fn check_text(parameter: &str, text: &str) -> Result<(), Fault> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(c);
    if text.chars().count() <= 255 && text.chars().all(allowed) {
        return Ok(());
    }
    let message = format!(
        "Value ({text}) for parameter {parameter} is invalid. Character sets beyond ASCII are not supported."
    );
    Err(Fault::value(message))
}

fn arn(region: &str, id: &str) -> String {
    format!("arn:aws:ec2:{region}:{ACCOUNT}:security-group/{id}")
}

fn delete(call: &mut Call<'_>) -> Answer {
    let group = named(call)?;
    let id = group.id.clone();
    if group.is_default() {
        let message = format!("the specified group: \"{id}\" name: \"default\" cannot be deleted by a user");
        return Err(Fault::new("CannotDelete", message));
    }
    let used = call.region.attached().any(|instance| instance.groups.contains(&id))
        || call.region.interfaces.values().any(|interface| interface.groups.contains(&id));
    let referenced = call.region.groups.values().any(|other| other.id != id && other.refers_to(&id));
    if used || referenced {
        return Err(Fault::dependency(format!("resource {id} has a dependent object")));
    }
    if let Some(group) = call.region.groups.remove(&id) {
        for rule in group.rules {
            call.region.tags.remove(&rule.id);
        }
    }
    call.region.tags.remove(&id);
    let mut xml = Xml::new();
    xml.text("return", true).text("groupId", id);
    Ok(xml)
}

fn describe(call: &mut Call<'_>) -> Answer {
    let filters = Filters::parse(call.params, FIELDS)?;
    let page = call.page("GroupId")?;
    let names = call.params.list("GroupName");
    let default_vpc = call.region.default_vpc().map(|vpc| vpc.id.as_str());
    for name in &names {
        if default_vpc.is_none_or(|vpc| call.region.group_named(vpc, name).is_none()) {
            let vpc = default_vpc.unwrap_or("none");
            let message = format!("The security group '{name}' does not exist in default VPC '{vpc}'");
            return Err(Fault::new("InvalidGroup.NotFound", message));
        }
    }
    let by_name = |group: &Group| {
        names.is_empty() || names.contains(&group.name.as_str()) && default_vpc == Some(group.vpc.as_str())
    };
    let found = super::chosen(&call.region.groups, &id::GROUP, &call.params.list("GroupId"))?;
    let kept: Vec<&Group> = found
        .into_iter()
        .map(|(_, group)| group)
        .filter(|group| by_name(group) && filters.accept(group, call.region, call.region.tags.get(&group.id)))
        .collect();
    let (groups, next) = page.cut(kept, |group| group.id.clone());
    let mut xml = Xml::new();
    xml.set("securityGroupInfo", groups, |xml, group| write(xml, group, call.region, call.place.name));
    xml.optional("nextToken", next);
    Ok(xml)
}

fn write(xml: &mut Xml, group: &Group, region: &Region, place: &str) {
    xml.text("ownerId", ACCOUNT).text("groupId", &group.id).text("groupName", &group.name);
    xml.text("groupDescription", &group.description).text("vpcId", &group.vpc);
    xml.text("securityGroupArn", arn(place, &group.id));
    permissions::write(xml, "ipPermissions", group, false);
    permissions::write(xml, "ipPermissionsEgress", group, true);
    tags::write(xml, region.tags.get(&group.id));
}
