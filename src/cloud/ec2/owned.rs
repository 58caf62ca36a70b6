//! Everything that carries spot's tags, and what a token made.

use std::time::Instant;

use aws_sdk_ec2::types::{self, Filter};
use futures::future::try_join_all;

use super::Ec2;
use super::convert::{filter, owner_filters, read_tags, time};
use super::mutation::token_filters;
use crate::cloud::{InstanceState, Intent, Owned, Owner, ResourceKind, Settled, Tags, tags};
use crate::error::{Error, Result};

impl Ec2 {
    pub(super) async fn all_owned(&self, region: &str, owner: &Owner) -> Result<Vec<Owned>> {
        let kinds = ResourceKind::ALL.map(|kind| self.tagged(region, kind, owner_filters(owner)));
        Ok(try_join_all(kinds).await?.into_iter().flatten().collect())
    }

    /// The resources of one kind that pass EC2's filters, except what is already terminated or closed.
    pub(super) async fn tagged(
        &self,
        region: &str,
        kind: ResourceKind,
        mut filters: Vec<Filter>,
    ) -> Result<Vec<Owned>> {
        match kind {
            ResourceKind::Instance => {
                let alive = InstanceState::ALIVE.iter().map(|state| state.as_str()).chain(["shutting-down"]);
                filters.push(filter("instance-state-name", alive));
            }
            ResourceKind::SpotRequest => filters.push(filter("state", ["open", "active"])),
            _ => {}
        }
        // Describes one kind: the client's method, the list in its answer, and how to read an element.
        macro_rules! describe {
            ($action:literal, $method:ident, $list:ident, $read:expr) => {{
                let found = self
                    .pages(region, $action, |client, token| {
                        let filters = filters.clone();
                        async move {
                            let request = client.$method().set_filters(Some(filters));
                            let answer = request.set_next_token(token).send().await?;
                            Ok((answer.$list, answer.next_token))
                        }
                    })
                    .await?;
                found.iter().filter_map(|it| $read(&Found { region, kind }, it)).collect()
            }};
        }
        Ok(match kind {
            ResourceKind::Instance => {
                let found = Found { region, kind };
                let instances = self.described(region, filters).await?;
                instances.into_iter().map(|it| found.owned(&it.id, None, it.created, it.tags)).collect()
            }
            ResourceKind::SpotRequest => {
                describe!(
                    "DescribeSpotInstanceRequests",
                    describe_spot_instance_requests,
                    spot_instance_requests,
                    |found: &Found<'_>, it: &types::SpotInstanceRequest| {
                        let tags = read_tags(it.tags.as_deref());
                        Some(found.owned(it.spot_instance_request_id()?, None, time(it.create_time()), tags))
                    }
                )
            }
            ResourceKind::Volume => {
                describe!(
                    "DescribeVolumes",
                    describe_volumes,
                    volumes,
                    |found: &Found<'_>, it: &types::Volume| {
                        let tags = read_tags(it.tags.as_deref());
                        Some(found.owned(it.volume_id()?, None, time(it.create_time()), tags))
                    }
                )
            }
            ResourceKind::NetworkInterface => {
                describe!(
                    "DescribeNetworkInterfaces",
                    describe_network_interfaces,
                    network_interfaces,
                    |found: &Found<'_>, it: &types::NetworkInterface| {
                        Some(found.owned(
                            it.network_interface_id()?,
                            None,
                            None,
                            read_tags(it.tag_set.as_deref()),
                        ))
                    }
                )
            }
            ResourceKind::KeyPair => {
                let answer = self
                    .look(region, "DescribeKeyPairs", |client| {
                        client.describe_key_pairs().set_filters(Some(filters.clone())).send()
                    })
                    .await?;
                let found = Found { region, kind };
                let read = |it: &types::KeyPairInfo| {
                    let tags = read_tags(it.tags.as_deref());
                    Some(found.owned(it.key_pair_id()?, it.key_name(), time(it.create_time()), tags))
                };
                answer.key_pairs().iter().filter_map(read).collect()
            }
            ResourceKind::SecurityGroup => {
                describe!(
                    "DescribeSecurityGroups",
                    describe_security_groups,
                    security_groups,
                    |found: &Found<'_>, it: &types::SecurityGroup| {
                        Some(found.owned(
                            it.group_id()?,
                            it.group_name(),
                            None,
                            read_tags(it.tags.as_deref()),
                        ))
                    }
                )
            }
            ResourceKind::Subnet => {
                describe!(
                    "DescribeSubnets",
                    describe_subnets,
                    subnets,
                    |found: &Found<'_>, it: &types::Subnet| {
                        Some(found.owned(it.subnet_id()?, None, None, read_tags(it.tags.as_deref())))
                    }
                )
            }
            ResourceKind::RouteTable => {
                describe!(
                    "DescribeRouteTables",
                    describe_route_tables,
                    route_tables,
                    |found: &Found<'_>, it: &types::RouteTable| {
                        Some(found.owned(it.route_table_id()?, None, None, read_tags(it.tags.as_deref())))
                    }
                )
            }
            ResourceKind::InternetGateway => {
                describe!(
                    "DescribeInternetGateways",
                    describe_internet_gateways,
                    internet_gateways,
                    |found: &Found<'_>, it: &types::InternetGateway| {
                        Some(found.owned(
                            it.internet_gateway_id()?,
                            None,
                            None,
                            read_tags(it.tags.as_deref()),
                        ))
                    }
                )
            }
            ResourceKind::Vpc => {
                describe!("DescribeVpcs", describe_vpcs, vpcs, |found: &Found<'_>, it: &types::Vpc| {
                    Some(found.owned(it.vpc_id()?, None, None, read_tags(it.tags.as_deref())))
                })
            }
        })
    }

    pub(super) async fn settle_intent(&self, open: &Intent) -> Result<Settled> {
        let Some(kind) = made_by(&open.action) else {
            return Ok(Settled::default());
        };
        // What was made a moment ago may not show yet; concluding too early would orphan it.
        let started = Instant::now();
        loop {
            let settled = self.made(&open.region, kind, &open.token).await?;
            if !settled.is_empty() || started.elapsed() >= self.settings().visibility {
                return Ok(settled);
            }
            tokio::select! {
                () = tokio::time::sleep(self.settings().poll) => {}
                () = self.cancel.cancelled() => return Err(Error::interrupted()),
            }
        }
    }

    async fn made(&self, region: &str, kind: ResourceKind, token: &str) -> Result<Settled> {
        if kind == ResourceKind::Instance {
            let instances = self.described(region, token_filters(token)).await?;
            return Ok(Settled { instances, resources: Vec::new() });
        }
        let resources = self.tagged(region, kind, token_filters(token)).await?;
        Ok(Settled { instances: Vec::new(), resources })
    }
}

/// What an action makes, if it makes something.
pub(super) fn made_by(action: &str) -> Option<ResourceKind> {
    Some(match action {
        "RunInstances" | "CreateFleet" => ResourceKind::Instance,
        "CreateSecurityGroup" => ResourceKind::SecurityGroup,
        "CreateSubnet" => ResourceKind::Subnet,
        "CreateRouteTable" => ResourceKind::RouteTable,
        "CreateInternetGateway" => ResourceKind::InternetGateway,
        "CreateVpc" => ResourceKind::Vpc,
        _ => return None,
    })
}

/// Where resources were found, and of what kind.
struct Found<'a> {
    region: &'a str,
    kind: ResourceKind,
}

impl Found<'_> {
    fn owned(&self, id: &str, name: Option<&str>, created: Option<String>, tags: Tags) -> Owned {
        Owned {
            kind: self.kind,
            id: id.to_owned(),
            region: self.region.to_owned(),
            name: tags.get(tags::NAME).cloned().or_else(|| name.map(str::to_owned)),
            project: tags.get(tags::PROJECT).cloned(),
            deployment: tags.get(tags::DEPLOYMENT).cloned(),
            created,
            tags,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_actions_that_make_something_leave_something_to_find() {
        assert_eq!(made_by("RunInstances"), Some(ResourceKind::Instance));
        assert_eq!(made_by("CreateVpc"), Some(ResourceKind::Vpc));
        assert_eq!(made_by("CreateRoute"), None);
        assert_eq!(made_by("TerminateInstances"), None);
    }
}
