//! What holds a resource that refuses to go, in words: network interfaces and their owners, groups that
//! name a group, and what else is in a VPC.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_ec2::types::{self, Filter};
use futures::future::{join, join_all, join3, join5};

use super::Ec2;
use super::convert::{filter, read_tags};
use super::deletion::in_use;
use crate::cloud::{Fate, InstanceFilter, Owned, Owner, ResourceKind, tags};
use crate::error::Error;

/// How a message begins that names what holds a resource.
pub(super) const HELD_BY: &str = "held by ";
/// So many holders are named; more of them say nothing new.
const MOST_NAMED: usize = 8;

/// What of a VPC belongs to it and goes with it.
const DEFAULT_GROUP: &str = "default";

impl Ec2 {
    /// Puts what holds a resource in place of EC2's words for its refusal.
    pub(super) async fn name_holders(
        &self,
        region: &str,
        resources: &[Owned],
        fates: &mut HashMap<String, Fate>,
    ) {
        let refused = resources.iter().filter_map(|it| match fates.get(&it.id) {
            Some(Fate::Failed(error)) if in_use(error) => Some((it, error.clone())),
            _ => None,
        });
        let named = refused.map(|(it, error)| async move {
            (it.id.clone(), error, self.holders(region, it.kind, &it.id).await)
        });
        for (id, error, holders) in join_all(named).await {
            if holders.is_empty() {
                continue;
            }
            let more = holders.len().saturating_sub(MOST_NAMED);
            let mut text = holders.into_iter().take(MOST_NAMED).collect::<Vec<_>>().join(", ");
            if more > 0 {
                text.push_str(&format!(" and {more} more"));
            }
            let code = error.code().unwrap_or("DependencyViolation").to_owned();
            let named = Error::aws(format!("{HELD_BY}{text}")).with_code(code).with_source(error);
            fates.insert(id, Fate::Failed(named));
        }
    }

    /// What holds a resource, as far as EC2 tells; a question that it refuses names nothing.
    async fn holders(&self, region: &str, kind: ResourceKind, id: &str) -> Vec<String> {
        match kind {
            ResourceKind::SecurityGroup => {
                let (interfaces, groups) =
                    join(self.held_by_interfaces(region, "group-id", id), self.held_by_rules(region, id))
                        .await;
                [interfaces, groups].concat()
            }
            ResourceKind::Subnet => {
                let (interfaces, gateways) = join(
                    self.held_by_interfaces(region, "subnet-id", id),
                    self.held_by_nat(region, filter("subnet-id", [id])),
                )
                .await;
                [interfaces, gateways].concat()
            }
            ResourceKind::InternetGateway => {
                let gateways = self.gateways(region, vec![filter("internet-gateway-id", [id])]).await;
                let gateways = gateways.unwrap_or_default();
                let vpcs: BTreeSet<&str> =
                    gateways.iter().flat_map(|it| it.attachments()).filter_map(|it| it.vpc_id()).collect();
                let held = vpcs.into_iter().map(|vpc| self.held_by_public_addresses(region, vpc));
                join_all(held).await.concat()
            }
            ResourceKind::RouteTable => {
                let tables = self.tables(region, vec![filter("route-table-id", [id])]).await;
                let tables = tables.unwrap_or_default();
                let subnets = tables.iter().flat_map(|it| it.associations()).filter_map(|it| it.subnet_id());
                subnets.map(|subnet| format!("the subnet {subnet}")).collect()
            }
            ResourceKind::Vpc => self.held_by_vpc(region, id).await,
            _ => Vec::new(),
        }
    }

    async fn held_by_interfaces(&self, region: &str, name: &str, id: &str) -> Vec<String> {
        let interfaces = self.interfaces(region, vec![filter(name, [id])]).await.unwrap_or_default();
        self.described_interfaces(region, &interfaces).await
    }

    async fn held_by_public_addresses(&self, region: &str, vpc: &str) -> Vec<String> {
        let interfaces = self.interfaces(region, vec![filter("vpc-id", [vpc])]).await.unwrap_or_default();
        let public = interfaces.into_iter().filter(|it| it.association().is_some()).collect::<Vec<_>>();
        self.described_interfaces(region, &public).await
    }

    /// Interfaces with the names of the instances that they are attached to.
    async fn described_interfaces(
        &self,
        region: &str,
        interfaces: &[types::NetworkInterface],
    ) -> Vec<String> {
        let ids: BTreeSet<&str> = interfaces.iter().filter_map(attached_to).collect();
        let mut names = HashMap::new();
        if !ids.is_empty() {
            let found = self.describe(region, &InstanceFilter::ids(ids)).await.unwrap_or_default();
            names.extend(found.into_iter().filter_map(|it| Some((it.id, it.name?))));
        }
        interfaces.iter().map(|it| interface(it, &names)).collect()
    }

    /// Groups whose rules name a group.
    async fn held_by_rules(&self, region: &str, id: &str) -> Vec<String> {
        let (ingress, egress) = join(
            self.groups_by(region, vec![filter("ip-permission.group-id", [id])]),
            self.groups_by(region, vec![filter("egress.ip-permission.group-id", [id])]),
        )
        .await;
        let groups = [ingress.unwrap_or_default(), egress.unwrap_or_default()].concat();
        let ids: BTreeSet<(&str, &str)> = groups
            .iter()
            .filter_map(|it| Some((it.group_id()?, it.group_name().unwrap_or_default())))
            .filter(|(group, _)| *group != id)
            .collect();
        ids.into_iter().map(|(id, name)| format!("a rule of the security group {id} ({name})")).collect()
    }

    async fn held_by_nat(&self, region: &str, which: Filter) -> Vec<String> {
        let filters = vec![which, filter("state", ["pending", "available", "deleting"])];
        let found = self
            .known_pages(region, "DescribeNatGateways", |client, token| {
                let request = client.describe_nat_gateways().set_filter(Some(filters.clone()));
                async move {
                    let answer = request.set_next_token(token).send().await?;
                    Ok((answer.nat_gateways, answer.next_token))
                }
            })
            .await
            .unwrap_or_default();
        found.iter().filter_map(|it| Some(format!("the NAT gateway {}", it.nat_gateway_id()?))).collect()
    }

    async fn held_by_endpoints(&self, region: &str, vpc: &str) -> Vec<String> {
        let found = self
            .known_pages(region, "DescribeVpcEndpoints", |client, token| {
                let request = client.describe_vpc_endpoints().filters(filter("vpc-id", [vpc]));
                async move {
                    let answer = request.set_next_token(token).send().await?;
                    Ok((answer.vpc_endpoints, answer.next_token))
                }
            })
            .await
            .unwrap_or_default();
        let alive = found.iter().filter(|it| it.state().is_none_or(|state| state.as_str() != "deleted"));
        alive
            .filter_map(|it| {
                let service = it.service_name().map(|name| format!(" ({name})")).unwrap_or_default();
                Some(format!("the endpoint {}{service}", it.vpc_endpoint_id()?))
            })
            .collect()
    }

    async fn held_by_peering(&self, region: &str, vpc: &str, side: &str) -> Vec<String> {
        let filters = vec![
            filter(side, [vpc]),
            filter("status-code", ["pending-acceptance", "provisioning", "active"]),
        ];
        let found = self
            .known_pages(region, "DescribeVpcPeeringConnections", |client, token| {
                let request = client.describe_vpc_peering_connections().set_filters(Some(filters.clone()));
                async move {
                    let answer = request.set_next_token(token).send().await?;
                    Ok((answer.vpc_peering_connections, answer.next_token))
                }
            })
            .await
            .unwrap_or_default();
        let ids = found.iter().filter_map(|it| it.vpc_peering_connection_id());
        ids.map(|id| format!("the peering connection {id}")).collect()
    }

    /// All that is in a VPC and does not go with it.
    async fn held_by_vpc(&self, region: &str, vpc: &str) -> Vec<String> {
        let of = || vec![filter("vpc-id", [vpc])];
        let (interfaces, nat, endpoints, asked, accepted) = join5(
            self.held_by_interfaces(region, "vpc-id", vpc),
            self.held_by_nat(region, filter("vpc-id", [vpc])),
            self.held_by_endpoints(region, vpc),
            self.held_by_peering(region, vpc, "requester-vpc-info.vpc-id"),
            self.held_by_peering(region, vpc, "accepter-vpc-info.vpc-id"),
        )
        .await;
        let (groups, subnets, tables) =
            join3(self.groups_by(region, of()), self.subnets(region, of()), self.tables(region, of())).await;
        let gateways = self.gateways(region, vec![filter("attachment.vpc-id", [vpc])]).await;
        let mut held = [interfaces, nat, endpoints, asked, accepted].concat();
        let groups = groups.unwrap_or_default();
        let groups = groups.iter().filter(|it| it.group_name() != Some(DEFAULT_GROUP));
        held.extend(groups.filter_map(|it| {
            let name = it.group_name().unwrap_or_default();
            Some(format!("the security group {} ({name}{})", it.group_id()?, whose(it.tags.as_deref())))
        }));
        held.extend(subnets.unwrap_or_default().iter().filter_map(|it| {
            Some(format!("the subnet {}{}", it.subnet_id()?, bracketed(whose(it.tags.as_deref()))))
        }));
        let tables = tables.unwrap_or_default();
        let tables = tables.iter().filter(|it| !it.associations().iter().any(|it| it.main() == Some(true)));
        held.extend(tables.filter_map(|it| {
            Some(format!("the route table {}{}", it.route_table_id()?, bracketed(whose(it.tags.as_deref()))))
        }));
        held.extend(gateways.unwrap_or_default().iter().filter_map(|it| {
            let whose = bracketed(whose(it.tags.as_deref()));
            Some(format!("the internet gateway {}{whose}", it.internet_gateway_id()?))
        }));
        held
    }
}

/// Says that spot did not make something.
fn whose(tags: Option<&[types::Tag]>) -> &'static str {
    if Owner::Everything.owns(&read_tags(tags)) { "" } else { ", not made by spot" }
}

fn bracketed(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" ({})", text.trim_start_matches(", ")) }
}

fn attached_to(interface: &types::NetworkInterface) -> Option<&str> {
    interface.attachment().and_then(|attachment| attachment.instance_id())
}

/// An interface in words: its id, whose it is, what it is for.
fn interface(it: &types::NetworkInterface, names: &HashMap<String, String>) -> String {
    let id = it.network_interface_id().unwrap_or("without id");
    let mut facts = Vec::new();
    facts.extend(it.description().filter(|text| !text.is_empty()).map(str::to_owned));
    if let Some(name) = read_tags(it.tag_set.as_deref()).get(tags::NAME) {
        facts.push(format!("named {name}"));
    }
    if let Some(requester) = it.requester_id().filter(|text| !text.is_empty()) {
        facts.push(format!("of {requester}"));
    }
    let facts = if facts.is_empty() { String::new() } else { format!(" ({})", facts.join(", ")) };
    let owner = match attached_to(it) {
        Some(instance) => match names.get(instance) {
            Some(name) => format!(" of {instance} ({name})"),
            None => format!(" of {instance}"),
        },
        None => String::new(),
    };
    format!("the network interface {id}{owner}{facts}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_is_named_with_its_instance_and_its_purpose() {
        let attachment = types::NetworkInterfaceAttachment::builder().instance_id("i-1").build();
        let bare = types::NetworkInterface::builder().network_interface_id("eni-1");
        let none = HashMap::new();
        let attached = bare.clone().attachment(attachment).build();
        assert_eq!(interface(&attached, &none), "the network interface eni-1 of i-1");
        let named = HashMap::from([("i-1".to_owned(), "web".to_owned())]);
        assert_eq!(interface(&attached, &named), "the network interface eni-1 of i-1 (web)");
        let of_balancer = bare.description("ELB app/x").requester_id("amazon-elb").build();
        assert_eq!(interface(&of_balancer, &none), "the network interface eni-1 (ELB app/x, of amazon-elb)");
    }

    #[test]
    fn what_spot_did_not_make_is_said_so() {
        assert_eq!(bracketed(whose(None)), " (not made by spot)");
        let tag = types::Tag::builder().key(tags::MANAGED_BY).value(tags::SPOT).build();
        assert_eq!(bracketed(whose(Some(&[tag]))), "");
    }
}
