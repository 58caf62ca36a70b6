//! Finding the network of a project, and making what is missing of it.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{self, Filter};
use serde_json::Value;

use super::Ec2;
use super::mutation::fresh_token;
use super::owned::undo_of;
use super::survey::{Existing, Survey};
use crate::cloud::{Intent, Network, NetworkRequest, Owner, Record, Subnet, Tags, tags};
use crate::error::Result;

impl Ec2 {
    pub(super) async fn network(&self, request: &NetworkRequest, record: &dyn Record) -> Result<Network> {
        request.ingress()?;
        request.group_name()?;
        match self.surveyed(request).await? {
            Survey::Dedicated(found) => self.dedicated_network(request, &found, record).await,
            Survey::Shared(existing) => self.shared_network(request, existing, record).await,
        }
    }

    /// A VPC that exists, with a security group of the project's own.
    async fn shared_network(
        &self,
        request: &NetworkRequest,
        existing: Existing,
        record: &dyn Record,
    ) -> Result<Network> {
        let group = self.ensure_group(request, &existing.vpc, &existing.groups, record).await?;
        let created = if group.made { vec![group.id.clone()] } else { Vec::new() };
        Ok(Network {
            region: request.region.clone(),
            vpc_id: existing.vpc,
            dedicated: false,
            subnets: existing.subnets,
            security_group_id: group.id,
            ipv6: existing.ipv6,
            created,
        })
    }

    pub(super) async fn vpcs(&self, region: &str, filters: Vec<Filter>) -> Result<Vec<types::Vpc>> {
        self.pages(region, "DescribeVpcs", |client, token| {
            let request = client.describe_vpcs().set_filters(Some(filters.clone())).set_next_token(token);
            async move {
                let answer = request.send().await?;
                Ok((answer.vpcs, answer.next_token))
            }
        })
        .await
    }

    pub(super) async fn subnets(&self, region: &str, filters: Vec<Filter>) -> Result<Vec<types::Subnet>> {
        self.pages(region, "DescribeSubnets", |client, token| {
            let request = client.describe_subnets().set_filters(Some(filters.clone())).set_next_token(token);
            async move {
                let answer = request.send().await?;
                Ok((answer.subnets, answer.next_token))
            }
        })
        .await
    }
}

/// A part of a network: found, or made just now.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) id: String,
    pub(super) made: bool,
}

/// The tags of a part of the project's network.
pub(super) fn part_tags(request: &NetworkRequest, name: &str, token: &str) -> Tags {
    let mut all = Owner::Project(request.project.clone()).tags();
    let expires = request.expires.as_deref().unwrap_or_default();
    let own = [
        (tags::NAME, name),
        (tags::CREATED_BY, &request.creator),
        (tags::TOKEN, token),
        (tags::EXPIRES, expires),
    ];
    for (key, value) in own {
        if !value.is_empty() {
            all.insert(key.to_owned(), value.to_owned());
        }
    }
    all
}

/// The intent of a request that makes or changes a part of the project's network.
pub(super) fn part_intent(request: &NetworkRequest, action: &str, parameters: Value) -> Intent {
    let token = fresh_token();
    Intent {
        action: action.to_owned(),
        region: request.region.clone(),
        deployment: request.deployment.clone(),
        parameters,
        undo: undo_of(action, &token),
        token,
    }
}

/// One subnet for each zone (the first by id), in the order of the zones.
pub(super) fn one_per_zone(subnets: &[types::Subnet]) -> Vec<Subnet> {
    let mut zones: BTreeMap<String, Subnet> = BTreeMap::new();
    for it in subnets {
        let (Some(id), Some(zone)) = (it.subnet_id(), it.availability_zone()) else { continue };
        let cidr = it.cidr_block().unwrap_or_default().to_owned();
        let subnet = Subnet { id: id.to_owned(), zone: zone.to_owned(), cidr };
        match zones.get(zone) {
            Some(known) if known.id <= subnet.id => {}
            _ => drop(zones.insert(zone.to_owned(), subnet)),
        }
    }
    zones.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_subnet_of_each_zone_is_taken_and_always_the_same() {
        let subnet =
            |id: &str, zone: &str| types::Subnet::builder().subnet_id(id).availability_zone(zone).build();
        let subnets = [subnet("subnet-3", "b"), subnet("subnet-2", "a"), subnet("subnet-1", "a")];
        let taken: Vec<String> = one_per_zone(&subnets).into_iter().map(|it| it.id).collect();
        assert_eq!(taken, ["subnet-1", "subnet-3"]);
    }
}
