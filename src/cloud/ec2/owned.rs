//! Everything that carries spot's tags, and what a token made.

use std::time::Instant;

use aws_sdk_ec2::types::Filter;
use futures::future::try_join_all;

use super::Ec2;
use super::convert::{filter, owner_filters};
use super::listing::{living, owned_instance};
use super::mutation::token_filters;
use crate::cloud::{InstanceFilter, Intent, Market, Owned, Owner, ResourceKind, Settled, Undo};
use crate::error::{Error, Result};

/// EC2 takes so many values in one filter.
const IDS_PER_FILTER: usize = 200;

impl Ec2 {
    pub(super) async fn all_owned(&self, region: &str, owner: &Owner) -> Result<Vec<Owned>> {
        let kinds = ResourceKind::ALL.map(|kind| self.tagged(region, kind, owner_filters(owner)));
        Ok(try_join_all(kinds).await?.into_iter().flatten().collect())
    }

    /// Resources by their ids. What was made a moment ago may not show yet: what is missing is looked
    /// for once more before it counts as gone.
    pub(super) async fn named(&self, region: &str, named: &[(ResourceKind, String)]) -> Result<Vec<Owned>> {
        let found = self.named_now(region, named).await?;
        if found.len() >= named.len() || self.settings().visibility.is_zero() {
            return Ok(found);
        }
        tokio::select! {
            () = tokio::time::sleep(self.settings().visibility) => {}
            () = self.cancel.cancelled() => return Err(Error::interrupted()),
        }
        self.named_now(region, named).await
    }

    async fn named_now(&self, region: &str, named: &[(ResourceKind, String)]) -> Result<Vec<Owned>> {
        let looks = ResourceKind::ALL.into_iter().flat_map(|kind| {
            let ids = named.iter().filter(|(other, _)| *other == kind).map(|(_, id)| id.as_str());
            let ids: Vec<&str> = ids.collect();
            let filters: Vec<Vec<Filter>> = match id_filter(kind) {
                Some(name) => {
                    ids.chunks(IDS_PER_FILTER).map(|ids| vec![filter(name, ids.iter().copied())]).collect()
                }
                // EC2 finds this kind by its tags only: all are looked through.
                None if ids.is_empty() => Vec::new(),
                None => vec![Vec::new()],
            };
            filters.into_iter().map(move |filters| self.tagged(region, kind, filters))
        });
        let found = try_join_all(looks).await?.into_iter().flatten();
        Ok(found.filter(|it| named.iter().any(|(kind, id)| it.kind == *kind && it.id == *id)).collect())
    }

    /// The living spot instances that do not carry spot's tags.
    pub(super) async fn foreign_spot(&self, region: &str) -> Result<Vec<Owned>> {
        let filters = vec![filter("instance-lifecycle", ["spot"]), living()];
        let instances = self.described(region, filters).await?;
        let foreign = instances.into_iter().filter(|it| it.market == Market::Spot);
        Ok(foreign.filter(|it| !Owner::Everything.owns(&it.tags)).map(owned_instance).collect())
    }

    pub(super) async fn settle_intent(&self, open: &Intent) -> Result<Settled> {
        if open.action == "TerminateInstances" {
            let ids = open.parameters["ids"].as_array().into_iter().flatten();
            let ids: Vec<String> = ids.filter_map(|id| id.as_str().map(str::to_owned)).collect();
            let instances = self.describe(&open.region, &InstanceFilter::ids(ids)).await?;
            return Ok(Settled { instances, resources: Vec::new() });
        }
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

/// The filter by which resources of a kind are found by id; `None` where EC2 has none.
fn id_filter(kind: ResourceKind) -> Option<&'static str> {
    Some(match kind {
        ResourceKind::Instance => "instance-id",
        ResourceKind::SpotRequest => "spot-instance-request-id",
        ResourceKind::Volume => "volume-id",
        ResourceKind::Address => "allocation-id",
        ResourceKind::NetworkInterface => "network-interface-id",
        ResourceKind::KeyPair => "key-pair-id",
        ResourceKind::SecurityGroup => "group-id",
        ResourceKind::Subnet => "subnet-id",
        ResourceKind::RouteTable => "route-table-id",
        ResourceKind::InternetGateway => "internet-gateway-id",
        ResourceKind::Vpc => "vpc-id",
        ResourceKind::Fleet | ResourceKind::LaunchTemplate | ResourceKind::EgressOnlyGateway => return None,
    })
}

/// What an action makes, if it makes something.
pub(super) fn made_by(action: &str) -> Option<ResourceKind> {
    Some(match action {
        // Instances that are adopted get the token of the intent as a tag.
        "RunInstances" | "CreateFleet" | "CreateTags" => ResourceKind::Instance,
        "CreateLaunchTemplate" => ResourceKind::LaunchTemplate,
        "CreateVolume" => ResourceKind::Volume,
        "AllocateAddress" => ResourceKind::Address,
        "CreateNetworkInterface" => ResourceKind::NetworkInterface,
        "ImportKeyPair" | "CreateKeyPair" => ResourceKind::KeyPair,
        "CreateSecurityGroup" => ResourceKind::SecurityGroup,
        "CreateSubnet" => ResourceKind::Subnet,
        "CreateRouteTable" => ResourceKind::RouteTable,
        "CreateInternetGateway" => ResourceKind::InternetGateway,
        "CreateEgressOnlyInternetGateway" => ResourceKind::EgressOnlyGateway,
        "CreateVpc" => ResourceKind::Vpc,
        _ => return None,
    })
}

/// What takes an action with a token back, if it makes something.
pub(super) fn undo_of(action: &str, token: &str) -> Option<Undo> {
    made_by(action).map(|remove| Undo { remove, token: token.to_owned() })
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
