//! RunInstances: one pool, with all settings in the request itself.

use aws_sdk_ec2::Client;
use aws_sdk_ec2::error::SdkError;
use aws_sdk_ec2::operation::run_instances::{RunInstancesError, RunInstancesOutput};
use aws_sdk_ec2::types::{
    BlockDeviceMapping, CapacityReservationPreference, CapacityReservationSpecification, EbsBlockDevice,
    HttpTokensState, IamInstanceProfileSpecification, InstanceInterruptionBehavior,
    InstanceMarketOptionsRequest, InstanceMetadataEndpointState, InstanceMetadataOptionsRequest,
    InstanceNetworkInterfaceSpecification, MarketType, Placement, ResourceType, ShutdownBehavior,
    SpotInstanceType, SpotMarketOptions, VolumeType,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use serde_json::{Value, json};

use super::Ec2;
use super::convert::{instance, tag_specification};
use super::launch::{Blueprint, Brought, USUAL_ROOT_DEVICE, merged, nothing_came};
use crate::cloud::{Instance, Market, Pool, Record, Tags};

impl Ec2 {
    /// Asks one pool for instances.
    pub(super) async fn run_instances(&self, order: &RunOrder<'_>, record: &dyn Record) -> Brought {
        let region = order.blueprint.request.region.as_str();
        let intent = order.blueprint.intent("RunInstances", &order.token, order.parameters());
        let send = || async {
            let send = |client| order.send(client);
            let answer = self.attempt_on(region, "RunInstances", order.count, &send).await?;
            let made: Vec<Instance> =
                answer.instances().iter().map(|it| instance(region, it, &order.tags)).collect();
            if made.is_empty() { Err(nothing_came(region)) } else { Ok((made, Vec::new())) }
        };
        self.place_order(intent, record, send).await
    }
}

/// One RunInstances request.
pub(super) struct RunOrder<'a> {
    blueprint: &'a Blueprint<'a>,
    pool: &'a Pool,
    market: Market,
    count: u32,
    token: String,
    tags: Tags,
}

impl<'a> RunOrder<'a> {
    pub(super) fn new(
        blueprint: &'a Blueprint<'a>,
        pool: &'a Pool,
        market: Market,
        count: u32,
        number: u32,
    ) -> Self {
        let mut order = RunOrder { blueprint, pool, market, count, token: String::new(), tags: Tags::new() };
        order.token = blueprint.token(number, &order.parameters());
        order.tags = blueprint.tags(&order.token);
        order
    }

    fn parameters(&self) -> Value {
        let own = json!({
            "count": self.count,
            "type": self.pool.instance_type,
            "zone": self.pool.zone,
            "subnet": self.pool.subnet_id,
            "image": self.blueprint.image(self.pool).id,
            "market": self.market.as_str(),
        });
        merged(own, self.blueprint.parameters())
    }

    async fn send(
        &self,
        client: Client,
    ) -> Result<RunInstancesOutput, SdkError<RunInstancesError, HttpResponse>> {
        let request = self.blueprint.request;
        let interface = InstanceNetworkInterfaceSpecification::builder()
            .device_index(0)
            .subnet_id(&self.pool.subnet_id)
            .groups(&request.security_group_id)
            .associate_public_ip_address(request.public_ip)
            .set_ipv6_address_count(request.ipv6.then_some(1))
            .delete_on_termination(true)
            .build();
        let metadata = InstanceMetadataOptionsRequest::builder()
            .http_tokens(HttpTokensState::Required)
            .http_endpoint(InstanceMetadataEndpointState::Enabled)
            .build();
        let mut taggable = vec![ResourceType::Instance, ResourceType::Volume, ResourceType::NetworkInterface];
        if self.market == Market::Spot {
            taggable.push(ResourceType::SpotInstancesRequest);
        }
        let specifications = taggable.into_iter().map(|kind| tag_specification(kind, &self.tags)).collect();
        let placement =
            request.placement_group.as_ref().map(|group| Placement::builder().group_name(group).build());
        // Reservations are somebody's; an on-demand instance would take an open one unasked.
        let reservation = (self.market == Market::OnDemand).then(|| {
            CapacityReservationSpecification::builder()
                .capacity_reservation_preference(CapacityReservationPreference::None)
                .build()
        });
        let count = i32::try_from(self.count).unwrap_or(i32::MAX);
        client
            .run_instances()
            .image_id(&self.blueprint.image(self.pool).id)
            .instance_type(self.pool.instance_type.as_str().into())
            .min_count(1)
            .max_count(count)
            .client_token(&self.token)
            .network_interfaces(interface)
            .metadata_options(metadata)
            .set_tag_specifications(Some(specifications))
            .set_instance_market_options(self.market_options())
            .set_block_device_mappings(self.disk().map(|disk| vec![disk]))
            .set_user_data(self.blueprint.user_data.clone())
            .set_key_name(request.key_name.clone())
            .set_instance_initiated_shutdown_behavior(
                request.ends_at_shutdown.then_some(ShutdownBehavior::Terminate),
            )
            .set_iam_instance_profile(self.profile())
            .set_placement(placement)
            .set_capacity_reservation_specification(reservation)
            .send()
            .await
    }

    fn profile(&self) -> Option<IamInstanceProfileSpecification> {
        let profile = self.blueprint.request.instance_profile.as_deref()?;
        let builder = IamInstanceProfileSpecification::builder();
        Some(if profile.starts_with("arn:") { builder.arn(profile) } else { builder.name(profile) }.build())
    }

    fn market_options(&self) -> Option<InstanceMarketOptionsRequest> {
        if self.market == Market::OnDemand {
            return None;
        }
        let spot = SpotMarketOptions::builder()
            .spot_instance_type(SpotInstanceType::OneTime)
            .instance_interruption_behavior(InstanceInterruptionBehavior::Terminate)
            .set_max_price(self.blueprint.request.max_price.map(|price| price.to_string()))
            .build();
        Some(InstanceMarketOptionsRequest::builder().market_type(MarketType::Spot).spot_options(spot).build())
    }

    fn disk(&self) -> Option<BlockDeviceMapping> {
        let disk = &self.blueprint.request.disk;
        if disk.is_default() {
            return None;
        }
        let whole = |value: Option<u32>| value.map(|value| i32::try_from(value).unwrap_or(i32::MAX));
        let volume = EbsBlockDevice::builder()
            .set_volume_size(whole(disk.size_gb))
            .set_iops(whole(disk.iops))
            .set_throughput(whole(disk.throughput))
            .set_encrypted(disk.encryption())
            .set_kms_key_id(disk.kms_key.clone())
            .volume_type(VolumeType::Gp3)
            .delete_on_termination(true)
            .build();
        let device = self.blueprint.image(self.pool).root_device.as_deref().unwrap_or(USUAL_ROOT_DEVICE);
        Some(BlockDeviceMapping::builder().device_name(device).ebs(volume).build())
    }
}

#[cfg(test)]
mod tests {
    use super::super::launch::tests::request;
    use super::*;
    use crate::cloud::{Disk, LaunchRequest};

    #[test]
    fn each_order_has_a_token_of_its_own() {
        let request = request();
        let (a, b) = (
            Pool { zone: "a".to_owned(), ..Pool::default() },
            Pool { zone: "b".to_owned(), ..Pool::default() },
        );
        let (one, other) = (Blueprint::new(&request).unwrap(), Blueprint::new(&request).unwrap());
        let data = LaunchRequest { user_data: Some(b"x".to_vec()), ..request.clone() };
        let data = Blueprint::new(&data).unwrap();
        let token = |blueprint, pool, count, number| {
            RunOrder::new(blueprint, pool, Market::Spot, count, number).token
        };
        assert_eq!(token(&one, &a, 3, 1), token(&one, &a, 3, 1));
        assert_ne!(token(&one, &a, 3, 1), token(&one, &a, 2, 1));
        assert_ne!(token(&one, &a, 3, 1), token(&one, &a, 3, 2));
        assert_ne!(token(&one, &a, 3, 1), token(&one, &b, 3, 1));
        assert_ne!(token(&one, &a, 3, 1), token(&other, &a, 3, 1));
        assert_ne!(token(&one, &a, 3, 1), token(&data, &a, 3, 1));
        assert!(token(&one, &a, 3, 1).len() <= 64);
        assert_ne!(
            token(&one, &a, 3, 1),
            RunOrder::new(&one, &a, Market::OnDemand, 3, 1).token,
            "the fallback never reuses the token of the spot order"
        );
    }

    #[test]
    fn on_demand_has_no_market_options_and_no_disk_none() {
        let pool = Pool::default();
        let plain = request();
        let plain = Blueprint::new(&plain).unwrap();
        let order = RunOrder::new(&plain, &pool, Market::Spot, 1, 1);
        assert!(order.market_options().is_some() && order.disk().is_none());
        let disk = Disk { size_gb: Some(20), kms_key: Some("alias/x".to_owned()), ..Disk::default() };
        let listed = LaunchRequest { disk, ..request() };
        let listed = Blueprint::new(&listed).unwrap();
        let order = RunOrder::new(&listed, &pool, Market::OnDemand, 1, 1);
        assert!(order.market_options().is_none());
        let disk = order.disk().unwrap();
        assert_eq!(disk.device_name(), Some(USUAL_ROOT_DEVICE));
        assert_eq!(disk.ebs().and_then(|ebs| ebs.encrypted()), Some(true), "a key means encryption");
    }
}
