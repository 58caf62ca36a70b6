//! Rules of security groups: authorizing, revoking and describing them.

use super::permissions::{self, PERMISSIONS, Permission};
use super::security_groups::named;
use super::{Call, chosen};
use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::filter::{Field, Filters, one};
use crate::sandbox::ec2::model::group::{Group, Peer, Rule};
use crate::sandbox::ec2::model::{ACCOUNT, id};
use crate::sandbox::ec2::router::{Answer, FILTER, Operation, PAGE};
use crate::sandbox::ec2::tags::{self, TAG_SPECIFICATION};
use crate::sandbox::ec2::xml::Xml;

const GROUP: &[&str] = &["GroupId", "GroupName"];
const RULES: &[&str] = &["SecurityGroupRuleId.N"];

pub(in super::super) const OPERATIONS: &[Operation] = &[
    Operation::write(
        "AuthorizeSecurityGroupIngress",
        |call| authorize(call, false),
        &[GROUP, PERMISSIONS, TAG_SPECIFICATION],
    ),
    Operation::write(
        "AuthorizeSecurityGroupEgress",
        |call| authorize(call, true),
        &[&["*GroupId"], PERMISSIONS, TAG_SPECIFICATION],
    ),
    Operation::write("RevokeSecurityGroupIngress", |call| revoke(call, false), &[GROUP, PERMISSIONS, RULES]),
    Operation::write(
        "RevokeSecurityGroupEgress",
        |call| revoke(call, true),
        &[&["*GroupId"], PERMISSIONS, RULES],
    ),
    Operation::read("DescribeSecurityGroupRules", describe, &[RULES, FILTER, PAGE]),
];

/// The default quota of rules of one direction.
const MOST: usize = 60;

fn authorize(call: &mut Call<'_>, egress: bool) -> Answer {
    let group = named(call)?;
    let wanted = permissions::parse(call.params, call.region, group)?;
    if wanted.is_empty() {
        return Err(Fault::missing("ipPermissions"));
    }
    let mut rules: Vec<Rule> = Vec::new();
    for permission in &wanted {
        let same = |rule: &Rule| rule.same(egress, &permission.traffic, &permission.peer);
        if rules.iter().any(same) {
            return Err(Fault::value("The same permission must not appear multiple times"));
        }
        if group.rules.iter().any(same) {
            return Err(duplicate(permission));
        }
        rules.push(permission.rule(egress, &call.region.chance));
    }
    if group.rules.iter().filter(|rule| rule.egress == egress).count() + rules.len() > MOST {
        let message = "The maximum number of rules per security group has been reached.";
        return Err(Fault::new("RulesPerSecurityGroupLimitExceeded", message));
    }
    let group = group.id.clone();
    let tags = tags::specified(call.params, "security-group-rule")?;
    for rule in &rules {
        call.region.tag(&rule.id, &tags);
    }
    let mut xml = Xml::new();
    xml.text("return", true);
    xml.set("securityGroupRuleSet", &rules, |xml, rule| write(xml, rule, &group, call));
    if let Some(group) = call.region.groups.get_mut(&group) {
        group.rules.extend(rules);
    }
    Ok(xml)
}

fn duplicate(permission: &Permission) -> Fault {
    let Permission { traffic, peer, .. } = permission;
    let protocol = if traffic.protocol == "-1" { "ALL".to_owned() } else { traffic.protocol.to_uppercase() };
    let ports = match (traffic.from, traffic.to) {
        (Some(from), Some(to)) => format!(", from port: {from}, to port: {to}"),
        _ => String::new(),
    };
    let message =
        format!("the specified rule \"peer: {}, {protocol}{ports}, ALLOW\" already exists", peer.text());
    Fault::new("InvalidPermission.Duplicate", message)
}

fn revoke(call: &mut Call<'_>, egress: bool) -> Answer {
    let group = named(call)?;
    let gone = revoked(call, group, egress)?;
    let group = group.id.clone();
    let mut xml = Xml::new();
    xml.text("return", true);
    xml.set("revokedSecurityGroupRuleSet", &gone, |xml, rule| {
        xml.text("securityGroupRuleId", &rule.id).text("groupId", &group).text("isEgress", egress);
        permissions::write_traffic(xml, &rule.traffic);
        xml.optional("description", rule.description.as_ref());
        match &rule.peer {
            Peer::Group(id) => xml.text("referencedGroupId", id),
            other => xml.text(peer_element(other), other.text()),
        };
    });
    for rule in &gone {
        call.region.tags.remove(&rule.id);
    }
    if let Some(group) = call.region.groups.get_mut(&group) {
        group.rules.retain(|rule| gone.iter().all(|gone| gone.id != rule.id));
    }
    Ok(xml)
}

/// The rules of a group that a request wants to be revoked, by their ids or by what they say.
fn revoked(call: &Call<'_>, group: &Group, egress: bool) -> Result<Vec<Rule>, Fault> {
    let ids = call.params.list("SecurityGroupRuleId");
    let mut gone = Vec::new();
    for id in &ids {
        id::RULE.check(id)?;
        let rule = group.rules.iter().find(|rule| rule.id == *id && rule.egress == egress);
        gone.push(rule.ok_or_else(|| id::RULE.missing(&[id]))?.clone());
    }
    let permissions = permissions::parse(call.params, call.region, group)?;
    if !ids.is_empty() && !permissions.is_empty() {
        return Err(Fault::combination("SecurityGroupRuleId cannot be used with ipPermissions"));
    }
    for permission in &permissions {
        let rule = group.rules.iter().find(|rule| rule.same(egress, &permission.traffic, &permission.peer));
        gone.push(rule.ok_or_else(not_found)?.clone());
    }
    if gone.is_empty() {
        return Err(Fault::missing("ipPermissions"));
    }
    Ok(gone)
}

fn not_found() -> Fault {
    let message = "The specified rule does not exist in this security group.";
    Fault::new("InvalidPermission.NotFound", message)
}

/// A rule and the id of its group.
struct Listed {
    group: String,
    rule: Rule,
}

const FIELDS: &[Field<Listed>] = &[
    ("group-id", |listed, _| one(&listed.group)),
    ("security-group-rule-id", |listed, _| one(&listed.rule.id)),
];

fn describe(call: &mut Call<'_>) -> Answer {
    let filters = Filters::parse(call.params, FIELDS)?;
    let page = call.page("SecurityGroupRuleId")?;
    let rules = call
        .region
        .groups
        .values()
        .flat_map(|group| group.rules.iter().map(|rule| (group.id.clone(), rule.clone())))
        .map(|(group, rule)| (rule.id.clone(), Listed { group, rule }))
        .collect();
    let found = chosen(&rules, &id::RULE, &call.params.list("SecurityGroupRuleId"))?;
    let kept: Vec<&Listed> = found
        .into_iter()
        .map(|(_, listed)| listed)
        .filter(|listed| filters.accept(listed, call.region, call.region.tags.get(&listed.rule.id)))
        .collect();
    let (rules, next) = page.cut(kept, |listed| listed.rule.id.clone());
    let mut xml = Xml::new();
    xml.set("securityGroupRuleSet", rules, |xml, listed| write(xml, &listed.rule, &listed.group, call));
    xml.optional("nextToken", next);
    Ok(xml)
}

fn peer_element(peer: &Peer) -> &'static str {
    match peer {
        Peer::Ipv4(_) => "cidrIpv4",
        Peer::Ipv6(_) => "cidrIpv6",
        Peer::PrefixList(_) => "prefixListId",
        Peer::Group(_) => "referencedGroupId",
    }
}

fn write(xml: &mut Xml, rule: &Rule, group: &str, call: &Call<'_>) {
    xml.text("securityGroupRuleId", &rule.id).text("groupId", group).text("groupOwnerId", ACCOUNT);
    xml.text("isEgress", rule.egress).text("ipProtocol", &rule.traffic.protocol);
    // Here, unlike in a group's permissions, "all ports" is written out.
    xml.text("fromPort", rule.traffic.from.unwrap_or(-1)).text("toPort", rule.traffic.to.unwrap_or(-1));
    match &rule.peer {
        Peer::Group(id) => xml.element("referencedGroupInfo", |xml| {
            xml.text("groupId", id).text("userId", ACCOUNT);
            xml.optional("vpcId", call.region.groups.get(id).map(|group| &group.vpc));
        }),
        other => xml.text(peer_element(other), other.text()),
    };
    xml.optional("description", rule.description.as_ref());
    let arn = format!("arn:aws:ec2:{}:{ACCOUNT}:security-group-rule/{}", call.place.name, rule.id);
    xml.text("securityGroupRuleArn", arn);
    tags::write(xml, call.region.tags.get(&rule.id));
}
