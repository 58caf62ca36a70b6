//! What planned calls are answered with, in the shape that EC2 would answer.

use super::element::Element;
use super::network::deleted;
use super::overlay::{Overlay, Patch};
use super::request::Asked;
use super::{launch, network};

/// The tags of a resource.
pub(super) fn tag_set(tags: &[(String, String)]) -> Element {
    let item = |(key, value): &(String, String)| {
        Element::new("").with("key", key.clone()).with("value", value.clone())
    };
    Element::set("tagSet", tags.iter().map(item))
}

/// The answer of most calls that make nothing.
pub(super) fn done() -> Vec<Element> {
    vec![Element::leaf("return", "true")]
}

/// Takes a call into the plan and answers it; `None` for an action whose effect is not known here.
pub(super) fn answer(overlay: &mut Overlay, asked: &Asked) -> Option<Element> {
    let token = asked.get("ClientToken").filter(|token| !token.is_empty());
    let token = token.map(|token| (asked.region.clone(), asked.action.clone(), token.to_owned()));
    if let Some(before) = token.as_ref().and_then(|token| overlay.tokens.get(token)) {
        return Some(before.clone());
    }
    let parts = match asked.service.as_str() {
        "ec2" => network::answer(overlay, asked)
            .or_else(|| launch::answer(overlay, asked))
            .or_else(|| group(overlay, asked))
            .or_else(|| other(overlay, asked))?,
        "iam" => role(overlay, asked)?,
        _ => return None,
    };
    let mut response = Element::new(&format!("{}Response", asked.action));
    // Other services say it elsewhere, and their results must come first.
    if asked.service == "ec2" {
        response = response.with("requestId", "planned");
    }
    response.children.extend(parts);
    overlay.tokens.extend(token.map(|token| (token, response.clone())));
    Some(response)
}

/// Security groups and their rules.
fn group(overlay: &mut Overlay, asked: &Asked) -> Option<Vec<Element>> {
    let get = |name: &str| asked.get(name).unwrap_or_default().to_owned();
    let set = |action: &str| if action.ends_with("Egress") { "ipPermissionsEgress" } else { "ipPermissions" };
    Some(match asked.action.as_str() {
        "CreateSecurityGroup" => {
            let id = overlay.name("sg");
            let tags = tag_set(&asked.tags("security-group"));
            let everything = Element::new("")
                .with("ipProtocol", "-1")
                .child(Element::set("ipRanges", [Element::new("").with("cidrIp", "0.0.0.0/0")]));
            let item = Element::new("")
                .with("groupId", id.clone())
                .with("groupName", get("GroupName"))
                .with("groupDescription", get("GroupDescription"))
                .with("vpcId", get("VpcId"))
                .child(Element::new("ipPermissions"))
                .child(Element::set("ipPermissionsEgress", [everything]))
                .child(tags.clone());
            overlay.add("sg", asked, &id, item);
            [done(), vec![Element::leaf("groupId", id), tags]].concat()
        }
        "DeleteSecurityGroup" => deleted(overlay, &get("GroupId")),
        "AuthorizeSecurityGroupIngress" | "AuthorizeSecurityGroupEgress" => {
            let mut rules = Vec::new();
            for permission in asked.groups("IpPermissions") {
                let item = rule(&permission);
                for _ in item.at(&["ipRanges", "cidrIp"]).iter().chain(&item.at(&["ipv6Ranges", "cidrIpv6"]))
                {
                    rules.push(
                        Element::new("")
                            .with("securityGroupRuleId", overlay.name("sgr"))
                            .with("groupId", get("GroupId")),
                    );
                }
                overlay.patch(&get("GroupId"), Patch::Add(set(&asked.action), item));
            }
            [done(), vec![Element::set("securityGroupRuleSet", rules)]].concat()
        }
        "RevokeSecurityGroupIngress" | "RevokeSecurityGroupEgress" => {
            for permission in asked.groups("IpPermissions") {
                let item = rule(&permission);
                let ranges = [&["ipRanges", "cidrIp"], &["ipv6Ranges", "cidrIpv6"], &["groups", "groupId"]];
                for range in ranges.iter().flat_map(|path| item.at(*path)) {
                    let patch = Patch::Revoke {
                        set: set(&asked.action),
                        protocol: item.text_of("ipProtocol").to_owned(),
                        from: item.text_of("fromPort").to_owned(),
                        to: item.text_of("toPort").to_owned(),
                        range: range.to_owned(),
                    };
                    overlay.patch(&get("GroupId"), patch);
                }
            }
            asked.list("SecurityGroupRuleId").into_iter().for_each(|id| overlay.remove(id));
            done()
        }
        _ => return None,
    })
}

/// A rule as a description shows it.
fn rule(permission: &Asked) -> Element {
    let list = |name: &str, set: &str, keys: &[(&str, &str)]| {
        let items = permission.groups(name).into_iter().map(|group| {
            keys.iter().fold(Element::new(""), |item, (parameter, key)| item.maybe(key, group.get(parameter)))
        });
        Element::set(set, items.collect::<Vec<_>>())
    };
    Element::new("")
        .maybe("ipProtocol", permission.get("IpProtocol"))
        .maybe("fromPort", permission.get("FromPort"))
        .maybe("toPort", permission.get("ToPort"))
        .child(list("IpRanges", "ipRanges", &[("CidrIp", "cidrIp"), ("Description", "description")]))
        .child(list("Ipv6Ranges", "ipv6Ranges", &[("CidrIpv6", "cidrIpv6"), ("Description", "description")]))
        .child(list("Groups", "groups", &[("GroupId", "groupId"), ("Description", "description")]))
}

/// Tags, key pairs, and removals that need no more than to be noted.
fn other(overlay: &mut Overlay, asked: &Asked) -> Option<Vec<Element>> {
    let get = |name: &str| asked.get(name).unwrap_or_default().to_owned();
    Some(match asked.action.as_str() {
        "CreateTags" | "DeleteTags" => {
            for id in asked.list("ResourceId") {
                for (key, value) in asked.pairs() {
                    let patch = match asked.action.as_str() {
                        "CreateTags" => Patch::Tag(key, value),
                        _ => Patch::Untag(key),
                    };
                    overlay.patch(id, patch);
                }
            }
            done()
        }
        "ImportKeyPair" => {
            let id = overlay.name("key");
            let tags = tag_set(&asked.tags("key-pair"));
            let parts =
                [Element::leaf("keyPairId", id.clone()), Element::leaf("keyName", get("KeyName")), tags];
            let item = Element { name: String::new(), text: String::new(), children: parts.to_vec() };
            overlay.add("key", asked, &id, item);
            parts.to_vec()
        }
        "DeleteKeyPair" => {
            let named = overlay
                .planned
                .iter()
                .find(|planned| planned.kind == "key" && planned.item.text_of("keyName") == get("KeyName"));
            let id = named.map_or_else(|| get("KeyPairId"), |planned| planned.id.clone());
            deleted(overlay, &id)
        }
        "DeleteVolume" => deleted(overlay, &get("VolumeId")),
        "DeleteNetworkInterface" => deleted(overlay, &get("NetworkInterfaceId")),
        "DeletePlacementGroup" => {
            let named = overlay.planned.iter().find(|it| it.item.text_of("groupName") == get("GroupName"));
            let id = named.map(|planned| planned.id.clone()).unwrap_or_default();
            deleted(overlay, &id)
        }
        "ReleaseAddress" => deleted(overlay, &get("AllocationId")),
        "DisassociateAddress" | "DetachNetworkInterface" => done(),
        _ => return None,
    })
}

/// The roles that services need.
fn role(overlay: &mut Overlay, asked: &Asked) -> Option<Vec<Element>> {
    if asked.action != "CreateServiceLinkedRole" {
        return None;
    }
    let service = asked.get("AWSServiceName").unwrap_or_default();
    overlay.roles.insert(service.to_owned());
    let name = format!("AWSServiceRoleFor{}", service.split('.').next().unwrap_or_default());
    let role = Element::new("Role")
        .with("Path", format!("/aws-service-role/{service}/"))
        .with("RoleName", name)
        .with("RoleId", "role-?1")
        .with("Arn", format!("arn:aws:iam::aws-service-role/{service}/role-?1"))
        .with("CreateDate", jiff::Timestamp::now().to_string());
    Some(vec![Element::new("CreateServiceLinkedRoleResult").child(role)])
}
