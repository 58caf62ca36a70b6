//! Launching: pool after pool, keeping whatever came.

use aws_sdk_ec2::Client;
use aws_sdk_ec2::error::SdkError;
use aws_sdk_ec2::operation::run_instances::builders::RunInstancesFluentBuilder;
use aws_sdk_ec2::operation::run_instances::{RunInstancesError, RunInstancesOutput};
use aws_sdk_ec2::types::{
    BlockDeviceMapping, EbsBlockDevice, HttpTokensState, InstanceInterruptionBehavior,
    InstanceMarketOptionsRequest, InstanceMetadataEndpointState, InstanceMetadataOptionsRequest,
    InstanceNetworkInterfaceSpecification, MarketType, ResourceType, SpotInstanceType, SpotMarketOptions,
    VolumeType,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use base64::Engine;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::Ec2;
use super::convert::{instance, tag_specification};
use super::mutation::{Lost, close, settling, token_filters};
use crate::cloud::codes::{self, Class};
use crate::cloud::{
    Instance, Intent, Launch, LaunchRequest, Market, Owner, Pool, Record, Refusal, Tags, pack_user_data, tags,
};
use crate::error::{Error, Result};

/// Where the root volume of an image is that does not say so itself.
const USUAL_ROOT_DEVICE: &str = "/dev/sda1";

impl Ec2 {
    pub(super) async fn launch_in_pools(
        &self,
        request: &LaunchRequest,
        record: &dyn Record,
    ) -> Result<Launch> {
        request.validate()?;
        let user_data = match &request.user_data {
            None => None,
            Some(data) => Some(base64::engine::general_purpose::STANDARD.encode(pack_user_data(data)?)),
        };
        let seed: u128 = rand::random();
        let mut launch = Launch { missing: request.count, ..Launch::default() };
        let mut number = 0;
        for pool in &request.pools {
            // A pool may give fewer than it is asked for; it is asked again until it refuses.
            while launch.missing > 0 {
                number += 1;
                let order = Order::new(request, pool, launch.missing, user_data.clone(), seed, number);
                let (made, error) = self.run_instances(&order, record).await;
                launch.missing = launch.missing.saturating_sub(u32::try_from(made.len()).unwrap_or(u32::MAX));
                launch.instances.extend(made);
                let Some(error) = error else { continue };
                if error.code().is_some_and(|code| codes::classify(code) == Class::Capacity) {
                    launch.refusals.push(refusal(pool, &error));
                    break;
                }
                if error.code().is_some() {
                    launch.refusals.push(refusal(pool, &error));
                }
                launch.error = Some(error);
                return Ok(launch);
            }
        }
        Ok(launch)
    }

    /// One order: what it brought, and why not more. An order that brought something and an error is
    /// one whose record could not be written.
    async fn run_instances(&self, order: &Order<'_>, record: &dyn Record) -> (Vec<Instance>, Option<Error>) {
        let region = order.request.region.as_str();
        let id = match record.started(order.intent()) {
            Ok(id) => id,
            Err(error) => return (Vec::new(), Some(error)),
        };
        let lost = Lost::default();
        let attempt = |_| async {
            if lost.get() {
                let found = self.described(region, token_filters(&order.token)).await?;
                if !found.is_empty() {
                    return Ok(found);
                }
            }
            let send = |client| order.send(client);
            let answer = self.attempt(region, "RunInstances", &send).await;
            let answer = answer.map_err(|error| patient(lost.note(error)))?;
            let made: Vec<Instance> =
                answer.instances().iter().map(|it| instance(region, it, &order.tags)).collect();
            if made.is_empty() { Err(nothing_came(region)) } else { Ok(made) }
        };
        let mut result = self.settings().retry.run(&self.cancel, attempt).await;
        if result.is_err() && lost.get() {
            // The last chance to learn what the lost answer said; Ctrl-C does not take it away.
            let free = self.with_cancel(tokio_util::sync::CancellationToken::new());
            if let Ok(found) = free.described(region, token_filters(&order.token)).await
                && !found.is_empty()
            {
                result = Ok(found);
            }
        }
        let made = result.as_ref().ok().cloned().unwrap_or_default();
        let closed = close(record, id, result, lost.get(), |made| {
            let ids: Vec<&str> = made.iter().map(|it| it.id.as_str()).collect();
            (json!({ "instances": ids }), made.clone())
        });
        (made, closed.err())
    }
}

/// One RunInstances request.
struct Order<'a> {
    request: &'a LaunchRequest,
    pool: &'a Pool,
    count: u32,
    user_data: Option<String>,
    token: String,
    tags: Tags,
}

impl<'a> Order<'a> {
    fn new(
        request: &'a LaunchRequest,
        pool: &'a Pool,
        count: u32,
        user_data: Option<String>,
        seed: u128,
        number: u32,
    ) -> Self {
        let mut order = Order { request, pool, count, user_data, token: String::new(), tags: Tags::new() };
        order.token = order.derive_token(seed, number);
        order.tags = order.all_tags();
        order
    }

    /// A token for exactly this order: EC2 refuses one that comes back with other parameters, and
    /// answers one that comes back with the same with the instances it already launched.
    fn derive_token(&self, seed: u128, number: u32) -> String {
        let mut hash = Sha256::new();
        hash.update(seed.to_be_bytes());
        hash.update(number.to_be_bytes());
        hash.update(self.parameters().to_string());
        hash.update(self.user_data.as_deref().unwrap_or_default());
        let digest = hash.finalize();
        let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        format!("spot-{hex}")
    }

    fn all_tags(&self) -> Tags {
        let LaunchRequest { project, deployment, creator, name, .. } = self.request;
        let mut all = self.request.tags.clone();
        all.extend(Owner::Deployment { project: project.clone(), deployment: deployment.clone() }.tags());
        for (key, value) in [(tags::NAME, name), (tags::CREATED_BY, creator), (tags::TOKEN, &self.token)] {
            if !value.is_empty() {
                all.insert(key.to_owned(), value.clone());
            }
        }
        all
    }

    fn image(&self) -> &crate::cloud::Image {
        self.pool.image.as_ref().unwrap_or(&self.request.image)
    }

    fn parameters(&self) -> serde_json::Value {
        json!({
            "count": self.count,
            "type": self.pool.instance_type,
            "zone": self.pool.zone,
            "subnet": self.pool.subnet_id,
            "image": self.image().id,
            "market": self.request.market.as_str(),
            "max_price": self.request.max_price,
            "disk_gb": self.request.disk_gb,
            "security_group": self.request.security_group_id,
            "public_ip": self.request.public_ip,
            "key_name": self.request.key_name,
            "project": self.request.project,
        })
    }

    fn intent(&self) -> Intent {
        Intent {
            action: "RunInstances".to_owned(),
            region: self.request.region.clone(),
            token: self.token.clone(),
            deployment: self.request.deployment.clone(),
            parameters: self.parameters(),
            undo: Some(json!({ "action": "TerminateInstances", "token": self.token })),
        }
    }

    async fn send(
        &self,
        client: Client,
    ) -> Result<RunInstancesOutput, SdkError<RunInstancesError, HttpResponse>> {
        self.fill(client.run_instances()).send().await
    }

    fn fill(&self, run: RunInstancesFluentBuilder) -> RunInstancesFluentBuilder {
        let request = self.request;
        let interface = InstanceNetworkInterfaceSpecification::builder()
            .device_index(0)
            .subnet_id(&self.pool.subnet_id)
            .groups(&request.security_group_id)
            .associate_public_ip_address(request.public_ip)
            .delete_on_termination(true)
            .build();
        let metadata = InstanceMetadataOptionsRequest::builder()
            .http_tokens(HttpTokensState::Required)
            .http_endpoint(InstanceMetadataEndpointState::Enabled)
            .build();
        let mut taggable = vec![ResourceType::Instance, ResourceType::Volume, ResourceType::NetworkInterface];
        if request.market == Market::Spot {
            taggable.push(ResourceType::SpotInstancesRequest);
        }
        let specifications = taggable.into_iter().map(|kind| tag_specification(kind, &self.tags)).collect();
        let count = i32::try_from(self.count).unwrap_or(i32::MAX);
        run.image_id(&self.image().id)
            .instance_type(self.pool.instance_type.as_str().into())
            .min_count(1)
            .max_count(count)
            .client_token(&self.token)
            .network_interfaces(interface)
            .metadata_options(metadata)
            .set_tag_specifications(Some(specifications))
            .set_instance_market_options(self.market())
            .set_block_device_mappings(self.disk().map(|disk| vec![disk]))
            .set_user_data(self.user_data.clone())
            .set_key_name(request.key_name.clone())
    }

    fn market(&self) -> Option<InstanceMarketOptionsRequest> {
        if self.request.market == Market::OnDemand {
            return None;
        }
        let spot = SpotMarketOptions::builder()
            .spot_instance_type(SpotInstanceType::OneTime)
            .instance_interruption_behavior(InstanceInterruptionBehavior::Terminate)
            .set_max_price(self.request.max_price.map(|price| price.to_string()))
            .build();
        Some(InstanceMarketOptionsRequest::builder().market_type(MarketType::Spot).spot_options(spot).build())
    }

    fn disk(&self) -> Option<BlockDeviceMapping> {
        let size = i32::try_from(self.request.disk_gb?).unwrap_or(i32::MAX);
        let volume = EbsBlockDevice::builder()
            .volume_size(size)
            .volume_type(VolumeType::Gp3)
            .delete_on_termination(true)
            .build();
        let device = self.image().root_device.as_deref().unwrap_or(USUAL_ROOT_DEVICE);
        Some(BlockDeviceMapping::builder().device_name(device).ebs(volume).build())
    }
}

fn refusal(pool: &Pool, error: &Error) -> Refusal {
    Refusal {
        zone: pool.zone.clone(),
        instance_type: pool.instance_type.clone(),
        code: error.code().unwrap_or_default().to_owned(),
        message: error.message().to_owned(),
    }
}

/// The network may have been made a moment ago and not be shown everywhere yet.
fn patient(error: Error) -> Error {
    match error.code() {
        Some("InvalidGroup.NotFound" | "InvalidSubnetID.NotFound") => settling(error),
        _ => error,
    }
}

fn nothing_came(region: &str) -> Error {
    Error::aws(format!("RunInstances in {region}: the answer names no instance"))
        .with_code("InsufficientCapacity")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> LaunchRequest {
        LaunchRequest {
            region: "us-west-2".to_owned(),
            project: "web".to_owned(),
            deployment: "d1".to_owned(),
            creator: "ann".to_owned(),
            name: "web".to_owned(),
            tags: Tags::from([
                ("ManagedBy".to_owned(), "me".to_owned()),
                ("team".to_owned(), "x".to_owned()),
            ]),
            ..LaunchRequest::default()
        }
    }

    #[test]
    fn each_order_has_a_token_of_its_own() {
        let request = request();
        let (a, b) = (
            Pool { zone: "a".to_owned(), ..Pool::default() },
            Pool { zone: "b".to_owned(), ..Pool::default() },
        );
        let token = |pool, count, number| Order::new(&request, pool, count, None, 7, number).token;
        assert_eq!(token(&a, 3, 1), token(&a, 3, 1));
        assert_ne!(token(&a, 3, 1), token(&a, 2, 1));
        assert_ne!(token(&a, 3, 1), token(&a, 3, 2));
        assert_ne!(token(&a, 3, 1), token(&b, 3, 1));
        assert_ne!(token(&a, 3, 1), Order::new(&request, &a, 3, None, 8, 1).token);
        assert_ne!(token(&a, 3, 1), Order::new(&request, &a, 3, Some("x".to_owned()), 7, 1).token);
        assert!(token(&a, 3, 1).len() <= 64);
    }

    #[test]
    fn our_tags_cannot_be_replaced() {
        let request = request();
        let pool = Pool::default();
        let order = Order::new(&request, &pool, 1, None, 1, 1);
        assert_eq!(order.tags.get("ManagedBy").map(String::as_str), Some("spot"));
        assert_eq!(order.tags.get("team").map(String::as_str), Some("x"));
        assert_eq!(order.tags.get("spot:token"), Some(&order.token));
        assert_eq!(order.tags.get("spot:created-by").map(String::as_str), Some("ann"));
    }

    #[test]
    fn on_demand_has_no_market_options_and_no_disk_none() {
        let pool = Pool::default();
        let spot = request();
        let order = Order::new(&spot, &pool, 1, None, 1, 1);
        assert!(order.market().is_some() && order.disk().is_none());
        let listed = LaunchRequest { market: Market::OnDemand, disk_gb: Some(20), ..request() };
        let order = Order::new(&listed, &pool, 1, None, 1, 1);
        assert!(order.market().is_none());
        assert_eq!(order.disk().unwrap().device_name(), Some(USUAL_ROOT_DEVICE));
    }
}
