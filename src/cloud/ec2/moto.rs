//! Tests against moto, an EC2 that nobody here wrote. A missing moto is a failure.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::Ec2;
use crate::cloud::record::remembered::Remembered;
use crate::cloud::*;

const REGION: &str = "us-west-2";

/// A moto server of one test's own.
pub(super) struct Moto {
    server: Child,
    pub(super) url: String,
}

impl Moto {
    pub(super) fn start() -> Moto {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Command::new("moto_server")
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("moto_server is missing: pip install 'moto[server,ec2]'");
        let mut moto = Moto { server, url: format!("http://127.0.0.1:{port}") };
        let deadline = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(moto.server.try_wait().unwrap().is_none(), "moto_server ended at once");
            assert!(Instant::now() < deadline, "moto_server does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        moto
    }

    fn cloud(&self) -> Ec2 {
        Ec2::new(
            Endpoint::local(&self.url),
            Settings { dependency_timeout: Duration::from_secs(2), ..Settings::local() },
            CancellationToken::new(),
        )
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        drop(self.server.kill());
        drop(self.server.wait());
    }
}

fn network_request(dedicated: bool) -> NetworkRequest {
    NetworkRequest {
        region: REGION.to_owned(),
        project: "web".to_owned(),
        deployment: "d1".to_owned(),
        creator: "ann".to_owned(),
        dedicated,
        ports: vec![crate::cloud::Ports { from: 8080, to: 8090 }],
        sources: vec!["203.0.113.7".to_owned()],
        ..NetworkRequest::default()
    }
}

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|it| (*it).to_owned()).collect()
}

fn web() -> Owner {
    Owner::Project("web".to_owned())
}

#[tokio::test]
async fn what_there_is_to_choose_from() {
    let moto = Moto::start();
    let cloud = moto.cloud();
    let identity = cloud.identity().await.unwrap();
    assert_eq!(identity.account, "123456789012");
    assert!(identity.arn.starts_with("arn:aws:"), "{identity:?}");

    let regions = cloud.regions().await.unwrap();
    assert!(regions.len() > 15 && regions.iter().any(|it| it.name == REGION), "{regions:?}");
    let zones: Vec<String> = cloud.zones(REGION).await.unwrap().into_iter().map(|zone| zone.name).collect();
    assert_eq!(zones.first().map(String::as_str), Some("us-west-2a"));
    assert_eq!(cloud.default_region().await.as_deref(), Some("us-east-1"));

    // moto knows Ubuntu 14.04 and 16.04.
    let image = cloud.find_image(REGION, &ImageQuery::parse("auto", Architecture::X86_64)).await.unwrap();
    assert!(image.name.contains("ubuntu-xenial-16.04-amd64-server"), "{image:?}");
    assert_eq!(image.root_device.as_deref(), Some("/dev/sda1"));
    let same = cloud.find_image(REGION, &ImageQuery::parse(&image.id, Architecture::X86_64)).await.unwrap();
    assert_eq!(same.id, image.id);
    let named = ImageQuery::parse("ubuntu/images/hvm-ssd/ubuntu-trusty-*", Architecture::X86_64);
    assert!(cloud.find_image(REGION, &named).await.unwrap().name.contains("14.04"));
    for (text, architecture) in [
        ("ami-00000000", Architecture::X86_64),
        ("auto", Architecture::Arm64),
        ("no-such-*", Architecture::X86_64),
        (image.id.as_str(), Architecture::Arm64),
    ] {
        let error = cloud.find_image(REGION, &ImageQuery::parse(text, architecture)).await.unwrap_err();
        assert!(error.hint().is_some(), "{text}: {error}");
        assert!(!error.is_retryable(), "{text}: {error}");
    }

    let types = cloud.instance_types(REGION, &strings(&["t3.medium", "t4g.small"])).await.unwrap();
    assert_eq!((types[0].name.as_str(), types[0].vcpu, types[0].memory_mib), ("t3.medium", 2, 4096));
    assert_eq!(types[1].architecture, Architecture::Arm64);
    let error = cloud.instance_types(REGION, &strings(&["t3.medium", "t3.mediun"])).await.unwrap_err();
    assert_eq!(error.code(), Some("InvalidInstanceType"));
    assert!(error.message().contains("`t3.mediun`") && !error.message().contains("`t3.medium`"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("t3.medium")), "{:?}", error.hint());

    let offerings = cloud.offerings(REGION, &strings(&["t3.medium"])).await.unwrap();
    assert!(
        offerings.iter().all(|it| it.instance_type == "t3.medium" && zones.contains(&it.zone)),
        "{offerings:?}"
    );
    assert!(!offerings.is_empty());
    let prices = cloud.prices(REGION, &strings(&["t3.medium"])).await.unwrap();
    assert_eq!(prices.len(), offerings.len());
    assert!(prices.iter().all(|price| price.hourly > 0.0));
    let day = std::time::SystemTime::now() - std::time::Duration::from_secs(24 * 3600);
    let changes = cloud.price_changes(REGION, &strings(&["t3.medium"]), day).await.unwrap();
    assert!(!changes.is_empty() && changes.iter().all(|price| price.hourly > 0.0), "{changes:?}");
    assert!(cloud.caller_address().await.unwrap().is_loopback());
}

#[tokio::test]
async fn a_fleet_in_the_default_network_from_launch_to_nothing() {
    let moto = Moto::start();
    let cloud = moto.cloud();
    let record = Remembered::default();
    let network = cloud.ensure_network(&network_request(false), &record).await.unwrap();
    assert!(!network.dedicated && network.subnets.len() >= 3, "{network:?}");
    assert_eq!(network.created, std::slice::from_ref(&network.security_group_id));
    assert_eq!(record.actions(), ["CreateSecurityGroup", "AuthorizeSecurityGroupIngress"]);

    // The same VPC by its id, and one that there is not.
    let named =
        |id: &str| NetworkRequest { vpc: Some(Selector::Id(id.to_owned())), ..network_request(false) };
    let by_id = cloud.ensure_network(&named(&network.vpc_id), &Remembered::default()).await.unwrap();
    assert_eq!(by_id, Network { created: Vec::new(), ..network.clone() });
    let error = cloud.ensure_network(&named("vpc-0dead000"), &Remembered::default()).await.unwrap_err();
    assert_eq!(error.code(), Some("InvalidVpcID.NotFound"));

    // The second time everything is there, and other rules are brought into line.
    let again = Remembered::default();
    let same = cloud.ensure_network(&network_request(false), &again).await.unwrap();
    assert_eq!(same, Network { created: Vec::new(), ..network.clone() });
    assert!(again.actions().is_empty(), "{:?}", again.actions());
    let moved =
        NetworkRequest { sources: strings(&["198.51.100.0/24", "2001:db8::/32"]), ..network_request(false) };
    cloud.ensure_network(&moved, &again).await.unwrap();
    let mut actions = again.actions();
    actions.sort();
    assert_eq!(actions, ["AuthorizeSecurityGroupIngress", "RevokeSecurityGroupIngress"]);
    let settled = Remembered::default();
    cloud.ensure_network(&moved, &settled).await.unwrap();
    assert!(settled.actions().is_empty(), "{:?}", settled.actions());

    let image = cloud.find_image(REGION, &ImageQuery::parse("auto", Architecture::X86_64)).await.unwrap();
    let request = LaunchRequest {
        region: REGION.to_owned(),
        count: 3,
        pools: Pool::each(&strings(&["t3.medium", "t3a.medium"]), &network.subnets, &[]),
        image,
        disk: Disk { size_gb: Some(16), ..Disk::default() },
        strategy: Strategy::Ordered,
        security_group_id: network.security_group_id.clone(),
        public_ip: true,
        user_data: Some(vec![b'#'; 40_000]),
        project: "web".to_owned(),
        deployment: "d1".to_owned(),
        creator: "ann".to_owned(),
        name: "web".to_owned(),
        ..LaunchRequest::default()
    };
    let record = Remembered::default();
    let launch = cloud.launch(&request, &record).await.unwrap();
    assert!(launch.error.is_none() && launch.refusals.is_empty(), "{launch:?}");
    assert_eq!((launch.instances.len(), launch.missing), (3, 0));
    for it in &launch.instances {
        assert_eq!(it.market, Market::Spot);
        assert_eq!(it.project.as_deref(), Some("web"));
        assert_eq!(it.deployment_id.as_deref(), Some("d1"));
        assert_eq!(it.name.as_deref(), Some("web"));
        assert_eq!(it.subnet_id.as_deref(), Some(network.subnets[0].id.as_str()));
        assert_eq!(it.zone, network.subnets[0].zone);
        assert_eq!(it.security_group_id.as_deref(), Some(network.security_group_id.as_str()), "{it:?}");
    }
    let entries = record.entries();
    assert!(
        entries.iter().all(|entry| entry.closed == Some(true) && !entry.launched.is_empty()),
        "{entries:?}"
    );

    let ids: Vec<String> = launch.instances.iter().map(|it| it.id.clone()).collect();
    let seen = std::sync::Mutex::new(Vec::new());
    let note = |it: &Instance| seen.lock().unwrap().push(it.id.clone());
    let ready = cloud.wait(REGION, &ids, Until::Address, Duration::from_secs(20), &note).await.unwrap();
    assert!(ready.iter().all(|it| it.public_ip.is_some() && Until::Address.met(it)), "{ready:?}");
    assert_eq!(ready.iter().map(|it| it.id.clone()).collect::<Vec<_>>(), ids);
    assert_eq!(seen.lock().unwrap().len(), 3);

    let owned = cloud.owned(REGION, &web()).await.unwrap();
    let count = |kind| owned.iter().filter(|it| it.kind == kind).count();
    assert_eq!((count(ResourceKind::Instance), count(ResourceKind::SecurityGroup)), (3, 1), "{owned:?}");
    assert_eq!(count(ResourceKind::Volume), 3, "{owned:?}");
    assert!(cloud.owned(REGION, &Owner::Project("api".to_owned())).await.unwrap().is_empty());
    let mine =
        InstanceFilter::owner(&Owner::Deployment { project: "web".to_owned(), deployment: "d1".to_owned() });
    assert_eq!(cloud.instances(REGION, &mine.alive()).await.unwrap().len(), 3);

    // After a crash the intent's token leads to what it made.
    let settled = cloud.settle(&entries[0].intent).await.unwrap();
    assert_eq!(settled.instances.iter().map(|it| it.id.clone()).collect::<Vec<_>>(), entries[0].launched);
    let never = Intent { token: "spot-none".to_owned(), ..entries[0].intent.clone() };
    assert!(cloud.settle(&never).await.unwrap().is_empty());

    cloud.tag(REGION, &ids[..1], &Tags::from([("team".to_owned(), "x".to_owned())])).await.unwrap();
    let tagged = cloud.instances(REGION, &InstanceFilter::ids(&ids[..1])).await.unwrap();
    assert_eq!(tagged[0].tags.get("team").map(String::as_str), Some("x"));

    // One id that nobody knows does not keep the others from going.
    let mut doomed = ids.clone();
    doomed.insert(1, "i-0123456789abcdef0".to_owned());
    let record = Remembered::default();
    let ended = cloud.terminate(REGION, &doomed, &record).await.unwrap();
    assert_eq!(ended.iter().map(|it| it.id.clone()).collect::<Vec<_>>(), doomed);
    assert!(matches!(ended[1].outcome, Outcome::Gone), "{ended:?}");
    assert_eq!(ended.iter().filter(|it| matches!(it.outcome, Outcome::Terminated)).count(), 3);
    assert!(record.open().is_empty());
    let gone =
        cloud.wait(REGION, &doomed, Until::Terminated, Duration::from_secs(20), &|_| {}).await.unwrap();
    assert!(gone.iter().all(|it| it.state == InstanceState::Terminated), "{gone:?}");

    let removed = cloud.delete_network(REGION, &web(), &record).await.unwrap();
    assert_eq!(removed.len(), 1, "{removed:?}");
    assert!(cloud.owned(REGION, &Owner::Everything).await.unwrap().is_empty());
    assert!(cloud.delete_network(REGION, &web(), &record).await.unwrap().is_empty());
    // The default VPC itself is still there.
    assert!(cloud.ensure_network(&network_request(false), &record).await.is_ok());
}

#[tokio::test]
async fn a_dedicated_network_is_completed_after_a_kill_at_every_step_and_leaves_nothing() {
    let moto = Moto::start();
    let cloud = moto.cloud();
    let whole = Remembered::default();
    let network = cloud.ensure_network(&network_request(true), &whole).await.unwrap();
    let zones = cloud.zones(REGION).await.unwrap();
    assert!(network.dedicated && network.subnets.len() == zones.len(), "{network:?}");
    assert!(whole.open().is_empty());
    let steps = whole.actions().len();

    let again = Remembered::default();
    let same = cloud.ensure_network(&network_request(true), &again).await.unwrap();
    assert_eq!(same, Network { created: Vec::new(), ..network.clone() });
    assert!(again.actions().is_empty(), "{:?}", again.actions());

    let other = NetworkRequest { project: "api".to_owned(), ..network_request(true) };
    let other = cloud.ensure_network(&other, &again).await.unwrap();
    assert_ne!(other.vpc_id, network.vpc_id);

    for limit in 0..steps {
        cloud.delete_network(REGION, &web(), &Unrecorded).await.unwrap();
        assert!(cloud.owned(REGION, &web()).await.unwrap().is_empty(), "before step {limit}");
        let killed = Remembered::until(limit);
        let error = cloud.ensure_network(&network_request(true), &killed).await.unwrap_err();
        assert_eq!(error.message(), "the journal is full");
        let rest = Remembered::default();
        let network = cloud.ensure_network(&network_request(true), &rest).await.unwrap();
        assert_eq!(network.subnets.len(), zones.len(), "after a kill at step {limit}");
        assert_eq!(killed.entries().len() + rest.entries().len(), steps, "after a kill at step {limit}");
    }

    let record = Remembered::default();
    let removed = cloud.delete_network(REGION, &web(), &record).await.unwrap();
    assert!(removed.iter().any(|it| it.kind == ResourceKind::Vpc), "{removed:?}");
    assert!(removed.iter().all(|it| !it.gone) && record.open().is_empty(), "{removed:?}");
    assert!(cloud.owned(REGION, &web()).await.unwrap().is_empty());
    // What belongs to another project is untouched, until everything goes.
    assert!(!cloud.owned(REGION, &Owner::Project("api".to_owned())).await.unwrap().is_empty());
    cloud.delete_network(REGION, &Owner::Everything, &record).await.unwrap();
    assert!(cloud.owned(REGION, &Owner::Everything).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_fleet_of_several_pools_is_launched_through_a_template_that_does_not_stay() {
    let moto = Moto::start();
    let cloud = moto.cloud();
    let network = cloud.ensure_network(&network_request(false), &Unrecorded).await.unwrap();
    let image = cloud.find_image(REGION, &ImageQuery::parse("auto", Architecture::X86_64)).await.unwrap();
    let request = LaunchRequest {
        region: REGION.to_owned(),
        count: 4,
        pools: Pool::each(&strings(&["t3.medium", "t3a.medium"]), &network.subnets, &[]),
        image,
        on_demand_base: 1,
        security_group_id: network.security_group_id.clone(),
        vpc_id: Some(network.vpc_id.clone()),
        project: "web".to_owned(),
        deployment: "d1".to_owned(),
        ..LaunchRequest::default()
    };
    let record = Remembered::default();
    let launch = cloud.launch(&request, &record).await.unwrap();
    assert!(launch.error.is_none() && launch.refusals.is_empty(), "{launch:?}");
    assert_eq!((launch.instances.len(), launch.missing), (4, 0));
    assert_eq!(launch.instances.iter().filter(|it| it.market == Market::OnDemand).count(), 1);
    assert!(record.open().is_empty());
    let mut actions = record.actions();
    actions.sort();
    assert_eq!(actions, ["CreateFleet", "CreateFleet", "CreateLaunchTemplate", "DeleteLaunchTemplate"]);

    // What the answer said is what the instances are, and their tags lead to them.
    let mut told: Vec<String> = launch.instances.iter().map(|it| it.id.clone()).collect();
    let found = cloud.instances(REGION, &InstanceFilter::owner(&web()).alive()).await.unwrap();
    let mut ids: Vec<String> = found.iter().map(|it| it.id.clone()).collect();
    told.sort();
    ids.sort();
    assert_eq!(ids, told);
    for entry in record.entries().iter().filter(|entry| entry.intent.action == "CreateFleet") {
        let settled = cloud.settle(&entry.intent).await.unwrap();
        assert_eq!(settled.instances.len(), entry.launched.len());
    }
}

#[tokio::test]
async fn an_existing_vpc_is_found_by_its_tag_and_subnets_say_where_they_are() {
    let moto = Moto::start();
    let cloud = moto.cloud();
    let made = cloud.ensure_network(&network_request(true), &Unrecorded).await.unwrap();
    let one = made.subnets[1].clone();
    cloud
        .tag(REGION, &strings(&[&made.vpc_id, &one.id]), &Tags::from([("tier".to_owned(), "web".to_owned())]))
        .await
        .unwrap();
    let tag = || Selector::parse("tag:tier=web", "vpc-").unwrap();

    let tagged = NetworkRequest { project: "api".to_owned(), vpc: Some(tag()), ..network_request(false) };
    let seen = cloud.find_network(&tagged).await.unwrap();
    assert_eq!((seen.vpc_id.as_deref(), seen.security_group_id), (Some(made.vpc_id.as_str()), None));
    assert_eq!(seen.missing, ["security group"]);
    let network = cloud.ensure_network(&tagged, &Unrecorded).await.unwrap();
    assert_eq!((&network.vpc_id, network.subnets.len()), (&made.vpc_id, made.subnets.len()));
    assert!(cloud.find_network(&tagged).await.unwrap().missing.is_empty());

    for subnets in [vec![tag()], vec![Selector::Id(one.id.clone())]] {
        let chosen = NetworkRequest { vpc: None, subnets, ..tagged.clone() };
        let network = cloud.ensure_network(&chosen, &Unrecorded).await.unwrap();
        assert_eq!((network.vpc_id, network.subnets), (made.vpc_id.clone(), vec![one.clone()]));
    }
    let unknown = NetworkRequest {
        vpc: None,
        subnets: vec![Selector::Id("subnet-0123456789abcdef0".to_owned())],
        ..tagged.clone()
    };
    let error = cloud.find_network(&unknown).await.unwrap_err();
    assert_eq!(error.code(), Some("InvalidSubnetID.NotFound"), "{error}");
}

#[tokio::test]
async fn a_dedicated_network_with_ipv6_has_ranges_and_a_route_and_is_not_made_twice() {
    let moto = Moto::start();
    let cloud = moto.cloud();
    let both = NetworkRequest { ipv6: true, ..network_request(true) };
    let network = cloud.ensure_network(&both, &Unrecorded).await.unwrap();
    assert!(network.ipv6, "{network:?}");
    let again = Remembered::default();
    let same = cloud.ensure_network(&both, &again).await.unwrap();
    assert_eq!(same.vpc_id, network.vpc_id);
    assert!(again.actions().is_empty(), "{:?}", again.actions());
}

#[tokio::test]
async fn an_image_is_found_through_a_public_parameter_and_known_the_next_time() {
    let moto = Moto::start();
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { images: Some(ImageCache::in_folder(folder.path())), ..Settings::local() };
    let cloud = Ec2::new(Endpoint::local(&moto.url), settings, CancellationToken::new());
    let path = "/aws/service/ami-amazon-linux-latest/amzn2-ami-hvm-{arch}-gp2";
    let query = ImageQuery::parse(path, Architecture::X86_64);
    let image = cloud.find_image(REGION, &query).await.unwrap();
    assert!(image.id.starts_with("ami-") && image.known_since.is_none(), "{image:?}");
    let unknown = ImageQuery::parse("ssm:/aws/service/no/such/parameter", Architecture::X86_64);
    let error = cloud.find_image(REGION, &unknown).await.unwrap_err();
    assert!(error.message().contains("/aws/service/no/such/parameter"), "{error}");
    drop(moto);
    let known = cloud.find_image(REGION, &query).await.unwrap();
    assert!(known.id == image.id && known.known_since.is_some(), "{known:?}");
}
