//! Launching into pools that refuse, and over connections that break.

use super::*;

pub(super) fn request(count: u32) -> LaunchRequest {
    let pool = |zone: &str| Pool {
        instance_type: "t3.medium".to_owned(),
        zone: zone.to_owned(),
        subnet_id: format!("subnet-{zone}"),
        image: None,
    };
    LaunchRequest {
        region: "us-west-2".to_owned(),
        count,
        pools: vec![pool("a"), pool("b"), pool("c")],
        project: "web".to_owned(),
        deployment: "d1".to_owned(),
        strategy: Strategy::Ordered,
        ..LaunchRequest::default()
    }
}

fn subnet(form: &Form) -> &str {
    &form["NetworkInterface.1.SubnetId"]
}

#[tokio::test]
async fn an_answer_lost_after_the_launch_makes_no_duplicate() {
    let fleet = Arc::new(Fleet::default());
    let wire = Wire::start({
        let fleet = Arc::clone(&fleet);
        move |action, form| match action {
            "RunInstances" => {
                fleet.launch(form, 2);
                Reply::Dropped
            }
            _ => Reply::Ok(reservations_xml(&fleet.with_token(form))),
        }
    })
    .await;
    let record = Remembered::default();
    let launch = wire.cloud().launch(&request(2), &record).await.unwrap();
    assert_eq!((launch.instances.len(), launch.missing, fleet.len()), (2, 0, 2), "{launch:?}");
    assert_eq!(wire.count("RunInstances"), 1);
    assert_eq!(record.entries()[0].launched, ["i-0", "i-1"]);
}

#[tokio::test]
async fn an_order_lost_before_the_launch_is_repeated_with_the_same_token() {
    let fleet = Arc::new(Fleet::default());
    let wire = Wire::start({
        let (fleet, tokens) = (Arc::clone(&fleet), Mutex::new(Vec::new()));
        move |action, form| match action {
            "RunInstances" => {
                let mut tokens = tokens.lock().unwrap();
                tokens.push(form["ClientToken"].clone());
                if tokens.len() < 3 {
                    return Reply::Dropped;
                }
                assert!(tokens.iter().all(|token| *token == tokens[0]), "{tokens:?}");
                Reply::Ok(instances_xml(&fleet.launch(form, 1)))
            }
            _ => Reply::Ok(reservations_xml(&fleet.with_token(form))),
        }
    })
    .await;
    let launch = wire.cloud().launch(&request(1), &Unrecorded).await.unwrap();
    assert_eq!((launch.instances.len(), fleet.len()), (1, 1), "{launch:?}");
    assert_eq!(wire.count("RunInstances"), 3);
}

#[tokio::test]
async fn what_cannot_be_known_stays_open_until_it_is_settled() {
    let (fleet, mute) = (Arc::new(Fleet::default()), Arc::new(Mutex::new(true)));
    let wire = Wire::start({
        let (fleet, mute) = (Arc::clone(&fleet), Arc::clone(&mute));
        move |action, form| {
            if action == "RunInstances" && fleet.len() == 0 {
                fleet.launch(form, 1);
            }
            if *mute.lock().unwrap() {
                return Reply::Dropped;
            }
            Reply::Ok(reservations_xml(&fleet.with_token(form)))
        }
    })
    .await;
    let record = Remembered::default();
    let launch = wire.cloud().launch(&request(1), &record).await.unwrap();
    assert!(launch.error.is_some() && launch.missing == 1, "{launch:?}");
    let open = record.open();
    assert_eq!(open.len(), 1);
    *mute.lock().unwrap() = false;
    let settled = wire.cloud().settle(&open[0]).await.unwrap();
    assert_eq!(settled.instances.len(), 1);
    assert_eq!(settled.instances[0].id, "i-0");
}

#[tokio::test]
async fn a_pool_without_capacity_gives_way_to_the_next() {
    let fleet = Fleet::default();
    let wire = Wire::start(move |_, form| match subnet(form) {
        "subnet-a" => refused("InsufficientInstanceCapacity"),
        // Fewer than asked: asked again until it refuses.
        "subnet-b" if fleet.len() < 2 => Reply::Ok(instances_xml(&fleet.launch(form, 1))),
        "subnet-b" => refused("SpotMaxPriceTooLow"),
        _ => Reply::Ok(instances_xml(&fleet.launch(form, 1))),
    })
    .await;
    let record = Remembered::default();
    let launch = wire.cloud().launch(&request(3), &record).await.unwrap();
    assert!(launch.error.is_none(), "{launch:?}");
    assert_eq!((launch.instances.len(), launch.missing), (3, 0));
    let refusals: Vec<(&str, &str)> =
        launch.refusals.iter().map(|it| (it.zone.as_str(), it.code.as_str())).collect();
    assert_eq!(refusals, [("a", "InsufficientInstanceCapacity"), ("b", "SpotMaxPriceTooLow")]);
    let closed: Vec<Option<bool>> = record.entries().iter().map(|entry| entry.closed).collect();
    assert_eq!(closed, [Some(false), Some(true), Some(true), Some(false), Some(true)]);
    let tokens: std::collections::BTreeSet<String> =
        record.entries().into_iter().map(|entry| entry.intent.token).collect();
    assert_eq!(tokens.len(), 5);
}

#[tokio::test]
async fn the_order_says_what_was_asked_for() {
    let fleet = Fleet::default();
    let wire = Wire::start(move |_, form| Reply::Ok(instances_xml(&fleet.launch(form, 1)))).await;
    let asked = LaunchRequest {
        max_price: Some(0.05),
        disk: Disk { size_gb: Some(20), ..Disk::default() },
        public_ip: true,
        ..request(1)
    };
    wire.cloud().launch(&asked, &Unrecorded).await.unwrap();
    let form = wire.last("RunInstances");
    for (key, value) in [
        ("MinCount", "1"),
        ("MaxCount", "1"),
        ("InstanceMarketOptions.MarketType", "spot"),
        ("InstanceMarketOptions.SpotOptions.MaxPrice", "0.05"),
        ("InstanceMarketOptions.SpotOptions.SpotInstanceType", "one-time"),
        ("InstanceMarketOptions.SpotOptions.InstanceInterruptionBehavior", "terminate"),
        ("MetadataOptions.HttpTokens", "required"),
        ("BlockDeviceMapping.1.Ebs.VolumeType", "gp3"),
        ("BlockDeviceMapping.1.Ebs.VolumeSize", "20"),
        ("BlockDeviceMapping.1.Ebs.DeleteOnTermination", "true"),
        ("NetworkInterface.1.AssociatePublicIpAddress", "true"),
        ("TagSpecification.4.ResourceType", "spot-instances-request"),
    ] {
        assert_eq!(form.get(key).map(String::as_str), Some(value), "{key}");
    }
}

#[tokio::test]
async fn a_quota_ends_the_launch_and_keeps_what_came() {
    let fleet = Fleet::default();
    let wire = Wire::start(move |_, form| match fleet.len() {
        0 => Reply::Ok(instances_xml(&fleet.launch(form, 1))),
        _ => refused("MaxSpotInstanceCountExceeded"),
    })
    .await;
    let launch = wire.cloud().launch(&request(3), &Unrecorded).await.unwrap();
    assert_eq!((launch.instances.len(), launch.missing), (1, 2));
    let error = launch.error.unwrap();
    assert_eq!(error.code(), Some("MaxSpotInstanceCountExceeded"));
    assert!(error.hint().is_some_and(|hint| hint.contains("L-34B43A08")), "{:?}", error.hint());
    assert_eq!(wire.count("RunInstances"), 2);
}

#[tokio::test]
async fn a_journal_that_is_full_lets_nothing_be_launched() {
    let wire = Wire::start(|_, _| Reply::Dropped).await;
    let launch = wire.cloud().launch(&request(1), &Remembered::until(0)).await.unwrap();
    assert_eq!(launch.error.map(|error| error.kind()), Some(Kind::State));
    assert_eq!(wire.count("RunInstances"), 0);
}

#[tokio::test]
async fn an_endpoint_where_nobody_listens_is_told_from_a_lost_answer() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let retry = Retry { base: Duration::from_millis(1), ..Retry::default() };
    let settings = Settings { retry, ..Settings::local() };
    let cloud =
        Ec2::new(Endpoint::local(format!("http://127.0.0.1:{port}")), settings, CancellationToken::new());
    let record = Remembered::default();
    let launch = cloud.launch(&request(1), &record).await.unwrap();
    assert_eq!(launch.error.as_ref().and_then(|error| error.code()), Some(codes::UNREACHABLE), "{launch:?}");
    assert!(record.open().is_empty());
}
