//! The security group of a project: who may reach its instances.

use std::collections::BTreeSet;

use aws_sdk_ec2::types::{IpPermission, IpRange, Ipv6Range, ResourceType, SecurityGroup};
use futures::future::join;
use serde_json::{Value, json};

use super::Ec2;
use super::convert::{filter, read_tags, tag_specification};
use super::network::{Part, part_intent, part_tags};
use crate::cloud::{Ingress, NetworkRequest, Owner, Ports, Record, ResourceKind};
use crate::error::{Error, Result};

/// The description of the rules that spot writes; rules without it were made by somebody else and
/// are left alone.
const RULE: &str = "ManagedBy=spot";
/// The code of the refusal to make a second group of the same name.
const DUPLICATE_GROUP: &str = "InvalidGroup.Duplicate";
/// The code of the refusal to write a rule twice.
const DUPLICATE_RULE: &str = "InvalidPermission.Duplicate";

impl Ec2 {
    pub(super) async fn groups_named(&self, region: &str, name: &str) -> Result<Vec<SecurityGroup>> {
        self.pages(region, "DescribeSecurityGroups", |client, token| {
            let request = client.describe_security_groups().filters(filter("group-name", [name]));
            async move {
                let answer = request.set_next_token(token).send().await?;
                Ok((answer.security_groups, answer.next_token))
            }
        })
        .await
    }

    /// The project's group in a VPC, made when it is not among `known`, with the rules of the request.
    pub(super) async fn ensure_group(
        &self,
        request: &NetworkRequest,
        vpc: &str,
        known: &[SecurityGroup],
        record: &dyn Record,
    ) -> Result<Part> {
        let in_vpc = |group: &&SecurityGroup| group.vpc_id() == Some(vpc);
        if let Some(group) = known.iter().find(in_vpc) {
            return self.adopt_group(request, group, record).await;
        }
        match self.create_group(request, vpc, record).await {
            Ok(id) => {
                self.adjust_rules(request, &id, &Rules::default(), record).await?;
                Ok(Part { id, made: true })
            }
            // Another process was quicker: its group is as good.
            Err(error) if error.code() == Some(DUPLICATE_GROUP) => {
                let groups = self.groups_named(&request.region, &request.group_name()?).await?;
                let group = groups.iter().find(in_vpc).ok_or(error)?;
                self.adopt_group(request, group, record).await
            }
            Err(error) => Err(error),
        }
    }

    async fn adopt_group(
        &self,
        request: &NetworkRequest,
        group: &SecurityGroup,
        record: &dyn Record,
    ) -> Result<Part> {
        let id = group.group_id().unwrap_or_default().to_owned();
        if !Owner::Project(request.project.clone()).owns(&read_tags(group.tags.as_deref())) {
            let name = group.group_name().unwrap_or_default();
            return Err(Error::aws(format!(
                "the security group `{name}` ({id}) in {} has the name that this project needs, but was not made for it",
                request.region
            ))
            .with_code(DUPLICATE_GROUP)
            .with_hint(format!(
                "give the project another name, or remove the group: `aws ec2 delete-security-group --group-id {id} --region {}`",
                request.region
            )));
        }
        self.adjust_rules(request, &id, &Rules::read(group), record).await?;
        Ok(Part { id, made: false })
    }

    async fn create_group(&self, request: &NetworkRequest, vpc: &str, record: &dyn Record) -> Result<String> {
        let name = request.group_name()?;
        let intent = part_intent(request, "CreateSecurityGroup", json!({ "name": name, "vpc": vpc }));
        let specification =
            tag_specification(ResourceType::SecurityGroup, &part_tags(request, &name, &intent.token));
        self.create(record, intent, ResourceKind::SecurityGroup, |client| {
            let request = client.create_security_group().group_name(&name).vpc_id(vpc);
            let request =
                request.description("instances launched by spot").tag_specifications(specification.clone());
            async move { Ok(request.send().await?.group_id) }
        })
        .await
    }

    /// Adds the rules that are missing and takes away those of ours that are not asked for any more.
    async fn adjust_rules(
        &self,
        request: &NetworkRequest,
        group: &str,
        rules: &Rules,
        record: &dyn Record,
    ) -> Result<()> {
        let wanted = request.ingress()?;
        let missing: BTreeSet<Ingress> = wanted.difference(&rules.all).copied().collect();
        let extra: BTreeSet<Ingress> = rules.ours.difference(&wanted).copied().collect();
        let (opened, closed) =
            join(self.open(request, group, &missing, record), self.shut(request, group, &extra, record))
                .await;
        opened.and(closed)
    }

    async fn open(
        &self,
        request: &NetworkRequest,
        group: &str,
        rules: &BTreeSet<Ingress>,
        record: &dyn Record,
    ) -> Result<()> {
        match self.authorize(request, group, rules, &[], record).await {
            // One rule that is there already makes EC2 refuse them all.
            Err(error) if error.code() == Some(DUPLICATE_RULE) => {
                for rule in rules {
                    self.authorize(request, group, &BTreeSet::from([*rule]), &[DUPLICATE_RULE], record)
                        .await?;
                }
                Ok(())
            }
            result => result,
        }
    }

    async fn authorize(
        &self,
        request: &NetworkRequest,
        group: &str,
        rules: &BTreeSet<Ingress>,
        done: &[&str],
        record: &dyn Record,
    ) -> Result<()> {
        if rules.is_empty() {
            return Ok(());
        }
        let intent = part_intent(request, "AuthorizeSecurityGroupIngress", rules_json(group, rules));
        let permissions = permissions(rules);
        self.alter(record, intent, done, |client| {
            let request = client.authorize_security_group_ingress().group_id(group);
            request.set_ip_permissions(Some(permissions.clone())).send()
        })
        .await?;
        Ok(())
    }

    async fn shut(
        &self,
        request: &NetworkRequest,
        group: &str,
        rules: &BTreeSet<Ingress>,
        record: &dyn Record,
    ) -> Result<()> {
        if rules.is_empty() {
            return Ok(());
        }
        let intent = part_intent(request, "RevokeSecurityGroupIngress", rules_json(group, rules));
        let permissions = permissions(rules);
        self.alter(record, intent, &["InvalidPermission.NotFound"], |client| {
            let request = client.revoke_security_group_ingress().group_id(group);
            request.set_ip_permissions(Some(permissions.clone())).send()
        })
        .await?;
        Ok(())
    }
}

/// The rules that a group has.
#[derive(Debug, Default)]
struct Rules {
    /// All for TCP ports and an address range.
    all: BTreeSet<Ingress>,
    /// Those of them that spot wrote.
    ours: BTreeSet<Ingress>,
}

impl Rules {
    fn read(group: &SecurityGroup) -> Self {
        let mut rules = Rules::default();
        for permission in group.ip_permissions() {
            let ports = match (permission.ip_protocol(), permission.from_port(), permission.to_port()) {
                (Some("tcp"), Some(from), Some(to)) => u16::try_from(from).ok().zip(u16::try_from(to).ok()),
                _ => None,
            };
            let Some((from, to)) = ports else { continue };
            let ports = Ports { from, to };
            let v4 = permission.ip_ranges().iter().map(|range| (range.cidr_ip(), range.description()));
            let v6 = permission.ipv6_ranges().iter().map(|range| (range.cidr_ipv6(), range.description()));
            for (cidr, description) in v4.chain(v6) {
                let Some(source) = cidr.and_then(|cidr| cidr.parse().ok()) else { continue };
                let rule = Ingress { ports, source };
                rules.all.insert(rule);
                if description == Some(RULE) {
                    rules.ours.insert(rule);
                }
            }
        }
        rules
    }
}

fn permissions(rules: &BTreeSet<Ingress>) -> Vec<IpPermission> {
    rules
        .iter()
        .map(|rule| {
            let Ports { from, to } = rule.ports;
            let cidr = rule.source.to_string();
            let permission =
                IpPermission::builder().ip_protocol("tcp").from_port(from.into()).to_port(to.into());
            if rule.source.is_ipv6() {
                permission.ipv6_ranges(Ipv6Range::builder().cidr_ipv6(cidr).description(RULE).build()).build()
            } else {
                permission.ip_ranges(IpRange::builder().cidr_ip(cidr).description(RULE).build()).build()
            }
        })
        .collect()
}

fn rules_json(group: &str, rules: &BTreeSet<Ingress>) -> Value {
    let rules: Vec<String> =
        rules.iter().map(|rule| format!("tcp {} from {}", rule.ports, rule.source)).collect();
    json!({ "group": group, "rules": rules })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_foreign_rules_are_not_ours() {
        let rule = |port, source: &str| Ingress {
            ports: Ports { from: port, to: port },
            source: source.parse().unwrap(),
        };
        let written = BTreeSet::from([rule(22, "203.0.113.7"), rule(443, "2001:db8::/32")]);
        let foreign = IpPermission::builder()
            .ip_protocol("tcp")
            .from_port(80)
            .to_port(80)
            .ip_ranges(IpRange::builder().cidr_ip("0.0.0.0/0").build())
            .build();
        let everything = IpPermission::builder()
            .ip_protocol("-1")
            .ip_ranges(IpRange::builder().cidr_ip("10.0.0.0/8").description(RULE).build())
            .build();
        let group = SecurityGroup::builder()
            .set_ip_permissions(Some(permissions(&written)))
            .ip_permissions(foreign)
            .ip_permissions(everything)
            .build();
        let rules = Rules::read(&group);
        assert_eq!(rules.ours, written);
        assert_eq!(rules.all.len(), 3);
    }
}
