//! Amazon EC2, and whatever speaks its query protocol. The only folder that names the AWS SDK.
//!
//! | file | what lives there |
//! |---|---|
//! | `client.rs` | [`Ec2`]: clients, one per region and built when first used; retries; paging |
//! | `pace.rs` | staying below EC2's request limits |
//! | `transport.rs` | the HTTP connections that all clients share |
//! | `plan/` | calls that change something: told to an observer, refused, or planned |
//! | `errors.rs` | from the SDK's errors to ours |
//! | `mutation.rs` | intent, call, closing: every request that changes something |
//! | `convert.rs` | from the SDK's tags, times and instances to ours and back |
//! | `launch.rs` | which pools are asked, and when there are enough |
//! | `run.rs` `fleet.rs` `template.rs` | the orders: RunInstances, CreateFleet and its launch template |
//! | `identity.rs` `place.rs` `image.rs` `instance.rs` `owned.rs` | one concern each |
//! | `score.rs` `price.rs` `type_search.rs` | the market: placement scores, list prices, types |
//! | `service.rs` `quota.rs` `service_role.rs` | quotas and roles, and what asks the services beside EC2 |
//! | `survey.rs` `network.rs` `dedicated.rs` `ipv6.rs` `group.rs` | networks: finding, making |
//! | `listing.rs` | one kind of resource by its tags |
//! | `adoption.rs` | taking instances over that somebody else launched |
//! | `bucket.rs` | objects in S3, written on condition |
//! | `termination.rs` `interruption.rs` | how instances end: at our order, or taken back |
//! | `removal.rs` `deletion.rs` `references.rs` `holders.rs` | removing: the order, one resource, rules between groups, what holds what |

mod adoption;
mod bucket;
mod client;
mod console;
mod convert;
mod dedicated;
mod deletion;
mod errors;
mod fleet;
mod group;
mod heard;
mod holders;
mod identity;
mod image;
mod instance;
mod interruption;
mod ipv6;
mod launch;
mod listing;
mod mutation;
mod network;
mod owned;
mod pace;
mod parameter;
mod place;
mod plan;
mod price;
mod quota;
mod references;
mod removal;
mod run;
mod score;
mod service;
mod service_role;
mod survey;
mod template;
mod termination;
mod transport;
mod type_search;
mod whole;

#[cfg(test)]
mod moto;
#[cfg(test)]
mod wire;

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;

pub use bucket::{Bucket, Stored};
pub use client::Ec2;

use super::{
    Cloud, Family, FoundNetwork, Identity, Image, ImageQuery, Instance, InstanceFilter, InstanceType, Intent,
    Launch, LaunchRequest, ListPrice, Network, NetworkRequest, Offering, OnChange, Owned, Owner,
    PlacementScore, Price, Quota, Record, Region, Removal, Removed, ResourceKind, ScoreQuery, Settled,
    SpotRole, SpotStatus, Tags, Termination, TypeQuery, Until, Zone,
};
use crate::error::Result;

#[async_trait]
impl Cloud for Ec2 {
    async fn identity(&self) -> Result<Identity> {
        self.caller_identity().await
    }

    async fn default_region(&self) -> Option<String> {
        self.configured_region().await
    }

    async fn regions(&self) -> Result<Vec<Region>> {
        self.enabled_regions().await
    }

    async fn zones(&self, region: &str) -> Result<Vec<Zone>> {
        self.available_zones(region).await
    }

    async fn find_image(&self, region: &str, query: &ImageQuery) -> Result<Image> {
        self.image(region, query).await
    }

    async fn parameter(&self, region: &str, name: &str) -> Result<String> {
        self.parameter_value(region, name).await
    }

    async fn instance_types(&self, region: &str, names: &[String]) -> Result<Vec<InstanceType>> {
        self.types(region, names).await
    }

    async fn offerings(&self, region: &str, types: &[String]) -> Result<Vec<Offering>> {
        self.offered(region, types).await
    }

    async fn find_network(&self, request: &NetworkRequest) -> Result<FoundNetwork> {
        self.look_for_network(request).await
    }

    async fn ensure_network(&self, request: &NetworkRequest, record: &dyn Record) -> Result<Network> {
        self.network(request, record).await
    }

    async fn delete_network(&self, region: &str, owner: &Owner, record: &dyn Record) -> Result<Vec<Removed>> {
        self.remove_network(region, owner, record).await
    }

    async fn launch(&self, request: &LaunchRequest, record: &dyn Record) -> Result<Launch> {
        self.launch_in_pools(request, record).await
    }

    async fn instances(&self, region: &str, filter: &InstanceFilter) -> Result<Vec<Instance>> {
        self.describe(region, filter).await
    }

    async fn terminate(&self, region: &str, ids: &[String], record: &dyn Record) -> Result<Vec<Termination>> {
        self.terminate_all(region, ids, record).await
    }

    async fn wait(
        &self,
        region: &str,
        ids: &[String],
        until: Until,
        timeout: Duration,
        on_change: &OnChange<'_>,
    ) -> Result<Vec<Instance>> {
        self.wait_until(region, ids, until, timeout, on_change).await
    }

    async fn prices(&self, region: &str, types: &[String]) -> Result<Vec<Price>> {
        self.spot_prices(region, types).await
    }

    async fn price_changes(&self, region: &str, types: &[String], since: SystemTime) -> Result<Vec<Price>> {
        self.spot_price_changes(region, types, since).await
    }

    async fn placement_scores(&self, query: &ScoreQuery) -> Result<Vec<PlacementScore>> {
        self.scores(query).await
    }

    async fn find_types(&self, region: &str, query: &TypeQuery) -> Result<Vec<InstanceType>> {
        self.search_types(region, query).await
    }

    async fn on_demand_prices(&self, region: &str, types: &[String]) -> Result<Vec<ListPrice>> {
        self.list_prices(region, types).await
    }

    async fn quotas(&self, region: &str, families: &[Family]) -> Result<Vec<Quota>> {
        self.vcpu_quotas(region, families).await
    }

    async fn spot_role(&self) -> Result<SpotRole> {
        self.service_role().await
    }

    async fn make_spot_role(&self, record: &dyn Record) -> Result<bool> {
        self.create_service_role(record).await
    }

    async fn tag(&self, region: &str, ids: &[String], tags: &Tags) -> Result<()> {
        self.write_tags(region, ids, tags).await
    }

    async fn adopt(
        &self,
        region: &str,
        instances: &[Instance],
        tags: &Tags,
        record: &dyn Record,
    ) -> Result<()> {
        self.adopt_instances(region, instances, tags, record).await
    }

    async fn caller_address(&self) -> Result<IpAddr> {
        self.address().await
    }

    async fn owned(&self, region: &str, owner: &Owner) -> Result<Vec<Owned>> {
        self.all_owned(region, owner).await
    }

    async fn existing(&self, region: &str, named: &[(ResourceKind, String)]) -> Result<Vec<Owned>> {
        self.named(region, named).await
    }

    async fn unmanaged_spot(&self, region: &str) -> Result<Vec<Owned>> {
        self.foreign_spot(region).await
    }

    async fn remove(&self, region: &str, resources: &[Owned], record: &dyn Record) -> Result<Vec<Removal>> {
        self.remove_resources(region, resources, record).await
    }

    async fn host_keys(&self, region: &str, id: &str) -> Result<Vec<String>> {
        self.keys_on_console(region, id).await
    }

    async fn spot_status(&self, region: &str, ids: &[String]) -> Result<Vec<SpotStatus>> {
        self.spot_requests_of(region, ids).await
    }

    async fn settle(&self, open: &Intent) -> Result<Settled> {
        self.settle_intent(open).await
    }
}
