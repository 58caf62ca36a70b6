//! CreateFleet of type `instant`: EC2 chooses among all pools in one call, and answers with what it
//! launched and with the refusal of each pool that gave nothing.

use aws_sdk_ec2::operation::create_fleet::CreateFleetOutput;
use aws_sdk_ec2::types::{
    CreateFleetError as PoolError, DefaultTargetCapacityType, FleetLaunchTemplateConfigRequest,
    FleetLaunchTemplateOverrides, FleetLaunchTemplateOverridesRequest,
    FleetLaunchTemplateSpecificationRequest, FleetOnDemandAllocationStrategy, FleetType,
    OnDemandOptionsRequest, ResourceType, SpotAllocationStrategy, SpotInstanceInterruptionBehavior,
    SpotOptionsRequest, TargetCapacitySpecificationRequest,
};
use serde_json::{Value, json};

use super::Ec2;
use super::convert::tag_specification;
use super::launch::{Blueprint, Brought, merged};
use crate::cloud::{Instance, InstanceState, Market, Pool, Record, Refusal, Strategy, Tags, tags};

/// EC2 takes at most so many overrides in a request (EC2 user guide, "EC2 Fleet quotas").
const MOST_OVERRIDES: usize = 300;

impl Ec2 {
    /// Asks all pools of an order at once.
    pub(super) async fn create_fleet(&self, order: &FleetOrder<'_>, record: &dyn Record) -> Brought {
        let region = order.blueprint.request.region.as_str();
        let intent = order.blueprint.intent("CreateFleet", &order.token, order.parameters());
        let send = || async {
            let send = |client: aws_sdk_ec2::Client| order.fill(client.create_fleet()).send();
            let answer = self.attempt_on(region, "CreateFleet", order.count, &send).await?;
            Ok((order.instances(&answer), order.refusals(&answer)))
        };
        self.place_order(intent, record, send).await
    }
}

/// One CreateFleet request.
pub(super) struct FleetOrder<'a> {
    blueprint: &'a Blueprint<'a>,
    template: &'a str,
    pools: Vec<&'a Pool>,
    market: Market,
    count: u32,
    token: String,
    tags: Tags,
}

impl<'a> FleetOrder<'a> {
    pub(super) fn new(
        blueprint: &'a Blueprint<'a>,
        template: &'a str,
        pools: &[&'a Pool],
        market: Market,
        count: u32,
        number: u32,
    ) -> Self {
        let pools = pools.iter().take(MOST_OVERRIDES).copied().collect();
        let mut order =
            FleetOrder { blueprint, template, pools, market, count, token: String::new(), tags: Tags::new() };
        order.token = blueprint.token(number, &order.parameters());
        order.tags = blueprint.tags(&order.token);
        order
    }

    fn parameters(&self) -> Value {
        let pools: Vec<Value> = self
            .pools
            .iter()
            .map(|pool| json!([pool.instance_type, pool.subnet_id, self.blueprint.image(pool).id]))
            .collect();
        let own = json!({
            "count": self.count,
            "market": self.market.as_str(),
            "strategy": self.blueprint.request.strategy.as_str(),
            "template": self.template,
            "pools": pools,
        });
        merged(own, self.blueprint.parameters())
    }

    fn fill(
        &self,
        fleet: aws_sdk_ec2::operation::create_fleet::builders::CreateFleetFluentBuilder,
    ) -> aws_sdk_ec2::operation::create_fleet::builders::CreateFleetFluentBuilder {
        let spot = self.market == Market::Spot;
        let count = i32::try_from(self.count).unwrap_or(i32::MAX);
        let specification = FleetLaunchTemplateSpecificationRequest::builder()
            .launch_template_name(self.template)
            .version("$Latest")
            .build();
        let config = FleetLaunchTemplateConfigRequest::builder()
            .launch_template_specification(specification)
            .set_overrides(Some(self.pools.iter().map(|pool| self.override_for(pool)).collect()))
            .build();
        let capacity = TargetCapacitySpecificationRequest::builder()
            .total_target_capacity(count)
            .default_target_capacity_type(if spot {
                DefaultTargetCapacityType::Spot
            } else {
                DefaultTargetCapacityType::OnDemand
            })
            .build();
        let mut kinds = vec![ResourceType::Fleet, ResourceType::Instance];
        if spot {
            kinds.push(ResourceType::SpotInstancesRequest);
        }
        let tags = kinds.into_iter().map(|kind| tag_specification(kind, &self.tags)).collect();
        fleet
            .r#type(FleetType::Instant)
            .client_token(&self.token)
            .launch_template_configs(config)
            .target_capacity_specification(capacity)
            .set_tag_specifications(Some(tags))
            .set_spot_options(spot.then(|| self.spot_options()))
            .set_on_demand_options((!spot).then(|| {
                OnDemandOptionsRequest::builder()
                    .allocation_strategy(FleetOnDemandAllocationStrategy::LowestPrice)
                    .build()
            }))
    }

    fn spot_options(&self) -> SpotOptionsRequest {
        let strategy = match self.blueprint.request.strategy {
            Strategy::CapacityOptimized => SpotAllocationStrategy::CapacityOptimized,
            Strategy::LowestPrice => SpotAllocationStrategy::LowestPrice,
            Strategy::PriceCapacityOptimized | Strategy::Ordered => {
                SpotAllocationStrategy::PriceCapacityOptimized
            }
        };
        SpotOptionsRequest::builder()
            .allocation_strategy(strategy)
            .instance_interruption_behavior(SpotInstanceInterruptionBehavior::Terminate)
            .build()
    }

    fn override_for(&self, pool: &Pool) -> FleetLaunchTemplateOverridesRequest {
        let image = self.blueprint.image(pool);
        // The template has the image of the request; only pools of another architecture differ.
        let other_image = (image.id != self.blueprint.request.image.id).then(|| image.id.clone());
        let price = self.blueprint.request.max_price.filter(|_| self.market == Market::Spot);
        FleetLaunchTemplateOverridesRequest::builder()
            .instance_type(pool.instance_type.as_str().into())
            .subnet_id(&pool.subnet_id)
            .set_image_id(other_image)
            .set_max_price(price.map(|price| price.to_string()))
            .build()
    }

    /// The pool that an answer speaks of.
    fn pool(&self, place: Option<&FleetLaunchTemplateOverrides>, kind: Option<&str>) -> Option<&'a Pool> {
        let subnet = place.and_then(|place| place.subnet_id());
        let kind = kind.or_else(|| place.and_then(|place| place.instance_type()).map(|it| it.as_str()));
        let fits = |pool: &&&'a Pool| {
            kind.is_none_or(|kind| pool.instance_type == kind)
                && subnet.is_none_or(|subnet| pool.subnet_id == subnet)
        };
        self.pools.iter().find(fits).copied()
    }

    /// What was launched. The answer has ids and pools only; the rest is as it was asked for, until
    /// the instances are looked at.
    fn instances(&self, answer: &CreateFleetOutput) -> Vec<Instance> {
        let request = self.blueprint.request;
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let tag = |key: &str| self.tags.get(key).cloned();
        let mut made = Vec::new();
        for group in answer.instances() {
            let place = group.launch_template_and_overrides().and_then(|it| it.overrides());
            let kind = group.instance_type().map(|it| it.as_str());
            let pool = self.pool(place, kind);
            let market = match group.lifecycle().map(|it| it.as_str()) {
                Some("spot") => Market::Spot,
                Some("on-demand") => Market::OnDemand,
                _ => self.market,
            };
            let zone = group.availability_zone().or_else(|| place.and_then(|it| it.availability_zone()));
            for id in group.instance_ids() {
                made.push(Instance {
                    id: id.clone(),
                    region: request.region.clone(),
                    zone: zone.map(str::to_owned).or(pool.map(|it| it.zone.clone())).unwrap_or_default(),
                    instance_type: kind
                        .map(str::to_owned)
                        .or(pool.map(|it| it.instance_type.clone()))
                        .unwrap_or_default(),
                    state: InstanceState::Pending,
                    created: Some(now.clone()),
                    ami: pool.map(|pool| self.blueprint.image(pool).id.clone()),
                    vpc_id: request.vpc_id.clone(),
                    subnet_id: pool.map(|pool| pool.subnet_id.clone()),
                    security_group_id: Some(request.security_group_id.clone()),
                    market,
                    name: tag(tags::NAME),
                    project: tag(tags::PROJECT),
                    deployment_id: tag(tags::DEPLOYMENT),
                    creator: tag(tags::CREATED_BY),
                    token: tag(tags::TOKEN),
                    expires: tag(tags::EXPIRES),
                    tags: self.tags.clone(),
                    ..Instance::default()
                });
            }
        }
        made
    }

    /// Why pools gave nothing. A refusal that names no pool is one of all pools.
    fn refusals(&self, answer: &CreateFleetOutput) -> Vec<Refusal> {
        answer.errors().iter().flat_map(|error| self.refused(error)).collect()
    }

    fn refused(&self, error: &PoolError) -> Vec<Refusal> {
        let place = error.launch_template_and_overrides().and_then(|it| it.overrides());
        let named = place.is_some_and(|it| it.subnet_id().is_some() || it.instance_type().is_some());
        let subnet = place.and_then(|it| it.subnet_id());
        let kind = place.and_then(|it| it.instance_type()).map(|it| it.as_str());
        let fits = |pool: &&&Pool| {
            !named
                || (kind.is_none_or(|kind| pool.instance_type == kind)
                    && subnet.is_none_or(|subnet| pool.subnet_id == subnet))
        };
        let code = error.error_code().unwrap_or("InsufficientCapacity");
        self.pools
            .iter()
            .filter(fits)
            .map(|pool| Refusal {
                zone: pool.zone.clone(),
                instance_type: pool.instance_type.clone(),
                market: self.market,
                code: code.to_owned(),
                message: error.error_message().unwrap_or_default().to_owned(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::launch::tests::request;
    use super::*;
    use crate::cloud::{Image, LaunchRequest};
    use aws_sdk_ec2::types::{CreateFleetInstance, InstanceLifecycle, LaunchTemplateAndOverridesResponse};

    fn pool(zone: &str, kind: &str) -> Pool {
        Pool {
            instance_type: kind.to_owned(),
            zone: zone.to_owned(),
            subnet_id: format!("subnet-{zone}"),
            image: None,
        }
    }

    fn place(kind: &str, subnet: &str) -> LaunchTemplateAndOverridesResponse {
        let overrides =
            FleetLaunchTemplateOverrides::builder().instance_type(kind.into()).subnet_id(subnet).build();
        LaunchTemplateAndOverridesResponse::builder().overrides(overrides).build()
    }

    #[test]
    fn an_answer_is_read_with_its_pools_and_the_refusals_inside_it() {
        let request = LaunchRequest { vpc_id: Some("vpc-1".to_owned()), ..request() };
        let blueprint = Blueprint::new(&request).unwrap();
        let (a, b) = (pool("a", "t3.medium"), pool("b", "m5.large"));
        let order = FleetOrder::new(&blueprint, "spot-x", &[&a, &b], Market::Spot, 3, 1);
        let answer = CreateFleetOutput::builder()
            .instances(
                CreateFleetInstance::builder()
                    .launch_template_and_overrides(place("m5.large", "subnet-b"))
                    .lifecycle(InstanceLifecycle::Spot)
                    .instance_ids("i-1")
                    .instance_ids("i-2")
                    .build(),
            )
            .errors(
                PoolError::builder()
                    .launch_template_and_overrides(place("t3.medium", "subnet-a"))
                    .error_code("InsufficientInstanceCapacity")
                    .error_message("none")
                    .build(),
            )
            .build();
        let made = order.instances(&answer);
        assert_eq!(made.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), ["i-1", "i-2"]);
        assert_eq!((made[0].zone.as_str(), made[0].instance_type.as_str()), ("b", "m5.large"));
        assert_eq!(made[0].subnet_id.as_deref(), Some("subnet-b"));
        assert_eq!(made[0].vpc_id.as_deref(), Some("vpc-1"));
        assert_eq!(made[0].token.as_deref(), Some(order.token.as_str()));
        let refused = order.refusals(&answer);
        assert_eq!(refused.len(), 1);
        assert_eq!(
            (refused[0].zone.as_str(), refused[0].code.as_str()),
            ("a", "InsufficientInstanceCapacity")
        );
    }

    #[test]
    fn a_refusal_without_a_pool_is_of_all_pools() {
        let request = request();
        let blueprint = Blueprint::new(&request).unwrap();
        let (a, b) = (pool("a", "t3.medium"), pool("b", "m5.large"));
        let order = FleetOrder::new(&blueprint, "spot-x", &[&a, &b], Market::Spot, 3, 1);
        let error = PoolError::builder().error_code("UnfulfillableCapacity").build();
        let answer = CreateFleetOutput::builder().errors(error).build();
        assert_eq!(order.refusals(&answer).len(), 2);
    }

    #[test]
    fn pools_of_another_architecture_bring_their_own_image() {
        let image = |id: &str| Image { id: id.to_owned(), ..Image::default() };
        let request = LaunchRequest { image: image("ami-x86"), max_price: Some(0.02), ..request() };
        let blueprint = Blueprint::new(&request).unwrap();
        let arm = Pool { image: Some(image("ami-arm")), ..pool("a", "t4g.medium") };
        let intel = Pool { image: Some(image("ami-x86")), ..pool("a", "t3.medium") };
        let order = FleetOrder::new(&blueprint, "spot-x", &[&arm, &intel], Market::Spot, 1, 1);
        assert_eq!(order.override_for(&arm).image_id(), Some("ami-arm"));
        assert_eq!(order.override_for(&intel).image_id(), None);
        assert_eq!(order.override_for(&intel).max_price(), Some("0.02"));
        let listed = FleetOrder::new(&blueprint, "spot-x", &[&intel], Market::OnDemand, 1, 1);
        assert_eq!(listed.override_for(&intel).max_price(), None);
        assert_ne!(order.token, listed.token);
    }
}
