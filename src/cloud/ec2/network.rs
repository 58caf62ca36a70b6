//! Finding the network of a project, and making what is missing of it.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{self, Filter};
use futures::future::{join, try_join3};
use serde_json::{Value, json};

use super::Ec2;
use super::convert::filter;
use super::mutation::fresh_token;
use super::owned::made_by;
use crate::cloud::{Intent, Network, NetworkRequest, Owner, Record, Subnet, Tags, codes, tags};
use crate::error::{Error, Result};

impl Ec2 {
    pub(super) async fn network(&self, request: &NetworkRequest, record: &dyn Record) -> Result<Network> {
        request.ingress()?;
        request.group_name()?;
        if request.dedicated {
            return self.dedicated_network(request, record).await;
        }
        self.shared_network(request, record).await
    }

    /// The region's default VPC, or the one that was named, with a security group of the project's own.
    async fn shared_network(&self, request: &NetworkRequest, record: &dyn Record) -> Result<Network> {
        let region = request.region.as_str();
        // All three in one round trip: the filters of subnets and groups need no VPC id.
        let (which_vpc, which_subnets) = match request.vpc_id.as_deref() {
            Some(id) => (filter("vpc-id", [id]), filter("vpc-id", [id])),
            None => (filter("is-default", ["true"]), filter("default-for-az", ["true"])),
        };
        let (vpcs, subnets, groups) = try_join3(
            self.vpcs(region, vec![which_vpc]),
            self.subnets(region, vec![which_subnets]),
            self.groups_named(region, &request.group_name()?),
        )
        .await?;
        let missing = || match request.vpc_id.as_deref() {
            Some(id) => {
                Error::aws(format!("there is no VPC {id} in {region}")).with_code("InvalidVpcID.NotFound")
            }
            None => no_default_vpc(region),
        };
        let vpc = vpcs.iter().find_map(|vpc| vpc.vpc_id()).ok_or_else(missing)?;
        let mut subnets: Vec<types::Subnet> =
            subnets.into_iter().filter(|subnet| subnet.vpc_id() == Some(vpc)).collect();
        let group = self.ensure_group(request, vpc, &groups, record);
        let (others, group) = if subnets.is_empty() {
            join(self.subnets(region, vec![filter("vpc-id", [vpc])]), group).await
        } else {
            (Ok(Vec::new()), group.await)
        };
        subnets.extend(others?);
        let group = group?;
        let subnets = one_per_zone(&subnets);
        if subnets.is_empty() {
            return Err(Error::aws(format!("the VPC {vpc} of {region} has no subnet"))
                .with_code("DefaultSubnetDoesNotExist")
                .with_hint(codes::no_default_vpc_hint(region)));
        }
        let created = if group.made { vec![group.id.clone()] } else { Vec::new() };
        Ok(Network {
            region: region.to_owned(),
            vpc_id: vpc.to_owned(),
            dedicated: false,
            subnets,
            security_group_id: group.id,
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
    for (key, value) in [(tags::NAME, name), (tags::CREATED_BY, &request.creator), (tags::TOKEN, token)] {
        if !value.is_empty() {
            all.insert(key.to_owned(), value.to_owned());
        }
    }
    all
}

/// The intent of a request that makes or changes a part of the project's network.
pub(super) fn part_intent(request: &NetworkRequest, action: &str, parameters: Value) -> Intent {
    let undo = made_by(action).map(|_| json!({ "action": "delete_network", "project": request.project }));
    Intent {
        action: action.to_owned(),
        region: request.region.clone(),
        token: fresh_token(),
        deployment: request.deployment.clone(),
        parameters,
        undo,
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

fn no_default_vpc(region: &str) -> Error {
    Error::aws(format!("the region {region} has no default VPC"))
        .with_code("DefaultVpcDoesNotExist")
        .with_hint(codes::no_default_vpc_hint(region))
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
