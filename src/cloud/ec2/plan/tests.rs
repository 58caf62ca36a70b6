//! Plans against moto: the real SDK reads what is made up here, and moto sees no change.

use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;

use crate::cloud::ec2::Ec2;
use crate::cloud::ec2::moto::Moto;
use crate::cloud::plan::{Call, Mode, NOT_PLANNABLE, Permission, READ_ONLY};
use crate::cloud::*;

const REGION: &str = "us-west-2";

type Calls = Arc<Mutex<Vec<Call>>>;

fn watched(moto: &Moto, mode: Mode) -> (Ec2, Calls) {
    let calls = Calls::default();
    let log = Arc::clone(&calls);
    let observer = Arc::new(move |call: &Call| log.lock().unwrap().push(call.clone()));
    let settings = Settings { dependency_timeout: std::time::Duration::ZERO, ..Settings::local() };
    let cloud =
        Ec2::watched(Endpoint::local(&moto.url), settings, CancellationToken::new(), mode, Some(observer));
    (cloud, calls)
}

fn actions(calls: &Calls) -> Vec<String> {
    calls.lock().unwrap().iter().map(|call| call.action.clone()).collect()
}

fn network_request(dedicated: bool) -> NetworkRequest {
    NetworkRequest {
        region: REGION.to_owned(),
        project: "web".to_owned(),
        deployment: "d1".to_owned(),
        creator: "ann".to_owned(),
        dedicated,
        ports: vec![Ports { from: 80, to: 80 }],
        sources: vec!["203.0.113.7".to_owned()],
        ..NetworkRequest::default()
    }
}

async fn launch_request(cloud: &Ec2, network: &Network, count: u32) -> LaunchRequest {
    let query = ImageQuery::parse("auto", Architecture::X86_64);
    let image = cloud.find_image(REGION, &query).await.unwrap();
    let first = &network.subnets[0];
    let pool = Pool {
        instance_type: "t3.micro".to_owned(),
        zone: first.zone.clone(),
        subnet_id: first.id.clone(),
        image: Some(image.clone()),
    };
    LaunchRequest {
        region: REGION.to_owned(),
        count,
        pools: vec![pool],
        image,
        security_group_id: network.security_group_id.clone(),
        public_ip: true,
        project: "web".to_owned(),
        deployment: "d1".to_owned(),
        ..LaunchRequest::default()
    }
}

#[tokio::test]
async fn a_whole_life_is_planned_and_nothing_is_made() {
    let moto = Moto::start();
    let (real, _) = watched(&moto, Mode::Act);
    let before = real.owned(REGION, &Owner::Everything).await.unwrap();
    let (cloud, calls) = watched(&moto, Mode::Plan { permissions: false });
    for dedicated in [false, true] {
        let network = cloud.ensure_network(&network_request(dedicated), &Unrecorded).await.unwrap();
        // Twice is the same: the plan sees what it planned.
        let so_far = actions(&calls).len();
        let again = cloud.ensure_network(&network_request(dedicated), &Unrecorded).await.unwrap();
        assert_eq!(again.vpc_id, network.vpc_id);
        assert_eq!(actions(&calls).len(), so_far, "{:?}", actions(&calls));
        let request = launch_request(&cloud, &network, 3).await;
        let launch = cloud.launch(&request, &Unrecorded).await.unwrap();
        assert!(launch.error.is_none() && launch.instances.len() == 3, "{launch:?}");
        let ids: Vec<String> = launch.instances.iter().map(|it| it.id.clone()).collect();
        assert!(ids.iter().all(|id| id.starts_with("i-?")), "{ids:?}");
        let wait = |until| cloud.wait(REGION, &ids, until, std::time::Duration::ZERO, &|_: &Instance| {});
        let seen = wait(Until::Address).await.unwrap();
        assert!(seen.iter().all(|it| it.public_ip.is_some() && it.state == InstanceState::Running));
        assert!(
            seen.iter().all(|it| it.zone == network.subnets[0].zone && it.project.as_deref() == Some("web"))
        );
        let ended = cloud.terminate(REGION, &ids, &Unrecorded).await.unwrap();
        assert!(ended.iter().all(|it| matches!(it.outcome, Outcome::Terminated)));
        let seen = wait(Until::Terminated).await.unwrap();
        assert!(seen.iter().all(|it| it.state == InstanceState::Terminated));
    }
    let owner = Owner::Project("web".to_owned());
    assert!(!cloud.owned(REGION, &owner).await.unwrap().is_empty());
    cloud.delete_network(REGION, &owner, &Unrecorded).await.unwrap();
    assert_eq!(cloud.owned(REGION, &owner).await.unwrap(), []);
    let made = actions(&calls);
    assert!(made.contains(&"CreateVpc".to_owned()) && made.contains(&"DeleteVpc".to_owned()), "{made:?}");
    assert_eq!(real.owned(REGION, &Owner::Everything).await.unwrap(), before);
    assert_eq!(real.owned(REGION, &owner).await.unwrap(), []);
}

#[tokio::test]
async fn what_exists_is_seen_as_it_would_become() {
    let moto = Moto::start();
    let (real, sent) = watched(&moto, Mode::Act);
    let network = real.ensure_network(&network_request(true), &Unrecorded).await.unwrap();
    let request = launch_request(&real, &network, 2).await;
    let launch = real.launch(&request, &Unrecorded).await.unwrap();
    let ids: Vec<String> = launch.instances.iter().map(|it| it.id.clone()).collect();
    let owner = Owner::Project("web".to_owned());
    let before = real.owned(REGION, &owner).await.unwrap();

    let (cloud, calls) = watched(&moto, Mode::Plan { permissions: false });
    cloud.terminate(REGION, &ids, &Unrecorded).await.unwrap();
    let seen =
        cloud.wait(REGION, &ids, Until::Terminated, std::time::Duration::ZERO, &|_: &Instance| {}).await;
    assert!(seen.unwrap().iter().all(|it| it.state == InstanceState::Terminated));
    cloud.delete_network(REGION, &owner, &Unrecorded).await.unwrap();
    assert_eq!(cloud.owned(REGION, &owner).await.unwrap(), []);
    assert_eq!(real.owned(REGION, &owner).await.unwrap(), before);

    // The real run makes the very calls, with the very parameters.
    sent.lock().unwrap().clear();
    real.terminate(REGION, &ids, &Unrecorded).await.unwrap();
    real.delete_network(REGION, &owner, &Unrecorded).await.unwrap();
    let sorted = |calls: &Calls| {
        let mut all: Vec<String> = calls.lock().unwrap().iter().map(|call| format!("{call:?}")).collect();
        all.sort();
        all
    };
    assert_eq!(sorted(&calls), sorted(&sent));
}

#[tokio::test]
async fn a_run_that_may_only_read_is_refused_by_name() {
    let moto = Moto::start();
    let (cloud, calls) = watched(&moto, Mode::ReadOnly);
    let error = cloud.ensure_network(&network_request(true), &Unrecorded).await.unwrap_err();
    assert_eq!(error.code(), Some(READ_ONLY));
    assert!(
        error.message().contains("in us-west-2")
            && error.hint().is_some_and(|hint| hint.contains("--read-only")),
        "{error}"
    );
    assert!(calls.lock().unwrap().is_empty());
    assert!(!cloud.zones(REGION).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_call_whose_effect_is_not_known_ends_the_plan() {
    let moto = Moto::start();
    let (cloud, calls) = watched(&moto, Mode::Plan { permissions: false });
    let client = cloud.client(REGION).await;
    let request = |client: aws_sdk_ec2::Client| async move { client.create_nat_gateway().send().await };
    drop(client);
    let error = cloud.look(REGION, "CreateNatGateway", request).await.unwrap_err();
    assert_eq!(error.code(), Some(NOT_PLANNABLE));
    assert!(error.message().contains("CreateNatGateway"), "{error}");
    assert!(calls.lock().unwrap().is_empty());
}

#[tokio::test]
async fn templates_and_fleets_launch_what_both_say() {
    use aws_sdk_ec2::types::*;
    let moto = Moto::start();
    let (cloud, _) = watched(&moto, Mode::Plan { permissions: false });
    let network = cloud.ensure_network(&network_request(true), &Unrecorded).await.unwrap();
    let client = cloud.client(REGION).await;
    let tag = |key: &str| Tag::builder().key(key).value("v").build();
    let spec =
        TagSpecification::builder().resource_type(ResourceType::Instance).tags(tag("of-fleet")).build();
    let of_template = LaunchTemplateTagSpecificationRequest::builder()
        .resource_type(ResourceType::Instance)
        .tags(tag("of-template"))
        .build();
    let interface = LaunchTemplateInstanceNetworkInterfaceSpecificationRequest::builder()
        .device_index(0)
        .groups(&network.security_group_id)
        .build();
    let data = RequestLaunchTemplateData::builder()
        .image_id("ami-1")
        .network_interfaces(interface)
        .tag_specifications(of_template)
        .build();
    let made = client
        .create_launch_template()
        .launch_template_name("t")
        .launch_template_data(data)
        .send()
        .await
        .unwrap();
    let id = made.launch_template().unwrap().launch_template_id().unwrap().to_owned();
    assert_eq!(id, "lt-?1");
    let pool = FleetLaunchTemplateOverridesRequest::builder()
        .instance_type(InstanceType::T3Micro)
        .subnet_id(&network.subnets[0].id)
        .build();
    let config = FleetLaunchTemplateConfigRequest::builder()
        .launch_template_specification(
            FleetLaunchTemplateSpecificationRequest::builder().launch_template_id(&id).version("1").build(),
        )
        .overrides(pool)
        .build();
    let target = TargetCapacitySpecificationRequest::builder()
        .total_target_capacity(3)
        .on_demand_target_capacity(1)
        .default_target_capacity_type(DefaultTargetCapacityType::Spot)
        .build();
    let fleet = client
        .create_fleet()
        .r#type(FleetType::Instant)
        .launch_template_configs(config)
        .target_capacity_specification(target)
        .tag_specifications(spec)
        .client_token("once")
        .send()
        .await
        .unwrap();
    let ids: Vec<String> = fleet.instances().iter().flat_map(|it| it.instance_ids()).cloned().collect();
    assert_eq!(ids, ["i-?1", "i-?2", "i-?3"]);
    let instances = cloud.instances(REGION, &InstanceFilter::ids(ids)).await.unwrap();
    assert_eq!(instances.iter().filter(|it| it.market == Market::Spot).count(), 2);
    for instance in &instances {
        assert!(
            instance.tags.contains_key("of-fleet") && instance.tags.contains_key("of-template"),
            "{instance:?}"
        );
        assert_eq!(instance.zone, network.subnets[0].zone);
        assert_eq!(instance.ami.as_deref(), Some("ami-1"));
        assert_eq!(instance.security_group_id.as_deref(), Some(network.security_group_id.as_str()));
    }
    let templates = client.describe_launch_templates().launch_template_names("t").send().await.unwrap();
    assert_eq!(templates.launch_templates().len(), 1);
    client.delete_launch_template().launch_template_id(&id).send().await.unwrap();
    let templates = client.describe_launch_templates().send().await.unwrap();
    assert!(templates.launch_templates().is_empty());
}

#[tokio::test]
async fn permissions_are_asked_about_where_nothing_is_a_placeholder() {
    let moto = Moto::start();
    let (real, _) = watched(&moto, Mode::Act);
    let network = real.ensure_network(&network_request(false), &Unrecorded).await.unwrap();
    let request = launch_request(&real, &network, 1).await;
    let (cloud, calls) = watched(&moto, Mode::Plan { permissions: true });
    let launch = cloud.launch(&request, &Unrecorded).await.unwrap();
    let ids = [launch.instances[0].id.clone()];
    cloud.terminate(REGION, &ids, &Unrecorded).await.unwrap();
    let said: Vec<Option<Permission>> =
        calls.lock().unwrap().iter().map(|call| call.permission.clone()).collect();
    assert!(said.contains(&Some(Permission::Permitted)) && said.last() == Some(&None), "{said:?}");
    assert!(real.instances(REGION, &InstanceFilter::default()).await.unwrap().is_empty());
}
