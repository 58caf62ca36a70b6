//! What goes wrong on purpose.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::Fixture;
use crate::sandbox::ec2::{CapacityFault, Latency, Refusal};
use crate::sandbox::faults::{Faults, Throttling, Window};

fn shortage(zone: &str, available: Option<u32>) -> CapacityFault {
    CapacityFault {
        zone: Some(zone.into()),
        instance_type: Some("t3.medium".into()),
        lifecycle: None,
        available,
        during: None,
    }
}

#[tokio::test]
async fn a_zone_without_capacity_refuses_and_others_serve() {
    let fixture = Fixture::with(|options| options.faults.capacity = vec![shortage("us-west-2a", None)]).await;
    let reply = fixture.launch("MinCount=1&MaxCount=1&Placement.AvailabilityZone=us-west-2a").await;
    assert_eq!(reply.fault(), (500, "InsufficientInstanceCapacity".into()));
    assert!(reply.one("Message").contains("choosing us-west-2b, us-west-2c, us-west-2d"));
    let spot =
        "MinCount=1&MaxCount=1&Placement.AvailabilityZone=us-west-2a&InstanceMarketOptions.MarketType=spot";
    let reply = fixture.launch(spot).await;
    assert_eq!(reply.one("Message"), "There is no Spot capacity available that matches your request.");
    for _ in 0..8 {
        let reply = fixture.launch("MinCount=1&MaxCount=1").await.ok();
        assert_ne!(reply.one("availabilityZone"), "us-west-2a");
    }
}

#[tokio::test]
async fn part_of_the_capacity_gives_part_of_the_instances() {
    let fixture =
        Fixture::with(|options| options.faults.capacity = vec![shortage("us-west-2a", Some(3))]).await;
    let zone = "Placement.AvailabilityZone=us-west-2a";
    let reply = fixture.launch(&format!("MinCount=1&MaxCount=2&{zone}")).await.ok();
    let ids = reply.all("instanceId");
    let reply = fixture.launch(&format!("MinCount=2&MaxCount=2&{zone}")).await;
    assert_eq!(reply.fault().1, "InsufficientInstanceCapacity");
    let reply = fixture.launch(&format!("MinCount=1&MaxCount=5&{zone}")).await.ok();
    assert_eq!(reply.all("instanceId").len(), 1);
    fixture.ask(&format!("Action=TerminateInstances&InstanceId.1={}", ids[0])).await.ok();
    fixture.launch(&format!("MinCount=1&MaxCount=1&{zone}")).await.ok();
}

#[tokio::test]
async fn a_share_of_the_requests_is_throttled() {
    let fixture = Fixture::with(|options| {
        options.faults.throttle = 0.5;
        options.faults.seed = Some(7);
    })
    .await;
    let mut throttled = 0;
    for _ in 0..40 {
        let reply = fixture.ask("Action=DescribeVpcs").await;
        if reply.status == 503 {
            assert_eq!(reply.one("Code"), "RequestLimitExceeded");
            throttled += 1;
        }
    }
    assert!((8..=32).contains(&throttled), "{throttled}");
}

#[tokio::test]
async fn an_answer_may_be_lost_after_the_work_is_done() {
    let fixture = Fixture::with(|options| options.faults.lost_answers = 1.0).await;
    let signature = "0".repeat(64);
    let header = format!(
        "Authorization: AWS4-HMAC-SHA256 Credential=A/20261123/us-west-2/ec2/aws4_request, \
         SignedHeaders=host, Signature={signature}\r\n"
    );
    let reply = fixture.send(&header, "Version=2016-11-15&Action=CreateVpc&CidrBlock=10.0.0.0/16").await;
    assert!(reply.is_none());
    let fixture = fixture.restart().await;
    assert_eq!(fixture.ask("Action=DescribeVpcs").await.ok().all("cidrBlock").len(), 4);
}

#[tokio::test]
async fn latency_is_added() {
    let fixture =
        Fixture::with(|options| options.faults.latency = vec![Latency::fixed(Duration::from_millis(80))])
            .await;
    let start = Instant::now();
    fixture.ask("Action=DescribeRegions").await.ok();
    assert!(start.elapsed() >= Duration::from_millis(80));
    // Calls at the same time wait at the same time.
    let start = Instant::now();
    futures::future::join_all((0..40).map(|_| fixture.ask("Action=DescribeVpcs"))).await;
    assert!(start.elapsed() < Duration::from_millis(1600), "{:?}", start.elapsed());
}

#[tokio::test]
async fn calls_are_recorded() {
    let fixture = Fixture::with(|options| {
        options.record = true;
        options.faults.latency = vec![Latency::fixed(Duration::from_millis(20))];
    })
    .await;
    fixture.ask("Action=DescribeVpcs&Filter.1.Name=is-default&Filter.1.Value.1=true").await.ok();
    fixture.ask_in("eu-west-1", "Action=DescribeVpcs&VpcId.1=vpc-12345678").await;
    fixture.launch("MinCount=1&MaxCount=1&UserData=c2VjcmV0").await.ok();
    let calls = fixture.endpoint.calls();
    let actions: Vec<_> =
        calls.iter().map(|call| (call.action.as_str(), call.region.as_str(), call.status)).collect();
    assert_eq!(
        actions,
        [
            ("DescribeVpcs", "us-west-2", 200),
            ("DescribeVpcs", "eu-west-1", 400),
            ("RunInstances", "us-west-2", 200)
        ]
    );
    assert_eq!(calls[0].parameters["Filter.1.Value.1"], "true");
    assert_eq!(calls[1].code.as_deref(), Some("InvalidVpcID.NotFound"));
    assert!(calls.iter().all(|call| call.service == "ec2" && call.end_ms - call.start_ms >= 20.0));
    let raw =
        fixture.raw("GET /_sandbox/calls HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    assert_eq!(raw.body.lines().count(), 3);
    assert!(!raw.body.contains("c2VjcmV0") && raw.body.contains("<8 characters>"), "{}", raw.body);
}

#[tokio::test]
async fn a_refusal_can_be_limited_in_number() {
    let fixture = Fixture::with(|options| {
        options.faults.refusals =
            vec![Refusal { times: Some(2), status: 503, ..Refusal::of("DescribeVpcs", "Unavailable") }];
    })
    .await;
    for _ in 0..2 {
        assert_eq!(fixture.ask("Action=DescribeVpcs").await.fault(), (503, "Unavailable".into()));
    }
    fixture.ask("Action=DescribeVpcs").await.ok();
}

/// The faults that strike a load of concurrent requests, as (kind, action, region, status).
async fn struck(seed: u64) -> BTreeSet<(String, String, u32)> {
    let fixture = Fixture::with(|options| {
        options.faults = Faults {
            seed: Some(seed),
            throttle: 0.2,
            lost_answers: 0.1,
            lost_requests: 0.1,
            refusals: vec![Refusal { rate: 0.3, ..Refusal::of("Describe*", "InternalError") }],
            ..Faults::default()
        };
    })
    .await;
    let actions = ["DescribeVpcs", "DescribeSubnets", "CreateVpc&CidrBlock=10.0.0.0/16", "DescribeRegions"];
    let load = (0..80).map(|number| {
        let form = format!("Version=2016-11-15&Action={}", actions[number % actions.len()]);
        let fixture = &fixture;
        async move {
            // Each run has another order.
            tokio::time::sleep(Duration::from_micros(rand::random::<u16>().into())).await;
            fixture.send(&fixture.signed("us-west-2"), &form).await
        }
    });
    futures::future::join_all(load).await;
    log_lines(&fixture)
        .iter()
        .filter(|line| line["kind"] != "in-force")
        .map(|line| {
            let text = |name: &str| line[name].as_str().unwrap().to_owned();
            (text("kind"), text("action"), line["nth"].as_u64().unwrap() as u32)
        })
        .collect()
}

fn log_lines(fixture: &Fixture) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(fixture.folder.path().join("faults.log")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn the_same_seed_gives_the_same_faults_whatever_the_order() {
    let (first, again, other) = (struck(7).await, struck(7).await, struck(8).await);
    assert!(first.len() > 15, "{first:?}");
    assert_eq!(first, again);
    assert_ne!(first, other);
}

#[tokio::test]
async fn requests_and_answers_get_lost_cut_and_garbled() {
    let form = "Version=2016-11-15&Action=CreateVpc&CidrBlock=10.0.0.0/16";
    let with = |change: fn(&mut Faults)| Fixture::with(move |options| change(&mut options.faults));
    let fixture = with(|faults| faults.lost_requests = 1.0).await;
    assert!(fixture.send(&fixture.signed("us-west-2"), form).await.is_none());
    let fixture = fixture.restart().await;
    let vpcs = fixture.ask("Action=DescribeVpcs").await.ok();
    assert_eq!(vpcs.all("isDefault"), ["true"], "the request was not carried out");
    let fixture = with(|faults| faults.cut_answers = 1.0).await;
    let cut = fixture.send(&fixture.signed("us-west-2"), form).await.unwrap();
    assert!(cut.status == 200 && !cut.body.contains("</CreateVpcResponse>"), "{}", cut.body);
    let fixture = with(|faults| faults.malformed_answers = 1.0).await;
    let garbled = fixture.send(&fixture.signed("us-west-2"), form).await.unwrap();
    assert!(garbled.status == 200 && garbled.body.ends_with('<'), "{}", garbled.body);
    assert_eq!(log_lines(&fixture).last().unwrap()["kind"], "malformed-answer");
}

#[tokio::test]
async fn who_backs_off_gets_through_token_buckets() {
    let fixture = Fixture::with(|options| options.faults.throttling = Throttling::ec2()).await;
    let launch = "Action=RunInstances&ImageId=ami-0123456789abcdef0&MinCount=1&MaxCount=1";
    let mut throttled = 0;
    for _ in 0..12 {
        let reply = fixture.ask(launch).await;
        throttled += u32::from(reply.fault() == (503, "RequestLimitExceeded".to_owned()));
    }
    assert!(throttled >= 4, "{throttled}");
    fixture.until(launch, |reply| reply.fault().1 != "RequestLimitExceeded").await;
}

#[tokio::test]
async fn capacity_and_prices_follow_a_schedule_on_the_clock() {
    let window = |from, until| {
        Some(Window::new(Duration::from_secs(from), Some(Duration::from_secs(until)), None).unwrap())
    };
    let fixture = Fixture::with(|options| {
        options.faults.capacity =
            vec![CapacityFault { during: window(600, 1200), ..shortage("us-west-2a", None) }];
    })
    .await;
    let launch = "MinCount=1&MaxCount=1&Placement.AvailabilityZone=us-west-2a";
    fixture.launch(launch).await.ok();
    assert_eq!(fixture.control("POST", "clock", r#"{"advance": 700}"#).await.status, 200);
    assert_eq!(fixture.launch(launch).await.fault().1, "InsufficientInstanceCapacity");
    fixture.control("POST", "clock", r#"{"advance": 600}"#).await.ok();
    fixture.launch(launch).await.ok();
    let faults = "[[price]]\nzone = \"us-west-2a\"\nspot = 0.5\nduring = { from = 60, until = 120 }\n";
    fixture.control("PUT", "faults", faults).await.ok();
    fixture.control("POST", "clock", r#"{"advance": 180}"#).await.ok();
    let history = "Action=DescribeSpotPriceHistory&AvailabilityZone=us-west-2a&InstanceType.1=t3.medium\
                   &ProductDescription.1=Linux/UNIX";
    let prices = fixture.ask(history).await.ok().all("spotPrice");
    assert!(prices[1].starts_with("0.5") && !prices[0].starts_with("0.5"), "{:?}", &prices[..3]);
}

#[tokio::test]
async fn faults_and_clock_are_read_and_changed_while_it_runs() {
    let fixture = Fixture::new().await;
    let told = fixture.control("PUT", "faults", r#"{"throttle": 0.5}"#).await.ok();
    let told: serde_json::Value = serde_json::from_str(&told.body).unwrap();
    assert!(told["seed"].is_u64(), "a seed is drawn and told: {told}");
    let read = fixture.control("GET", "faults", "").await.ok();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&read.body).unwrap(), told);
    let first = &log_lines(&fixture)[0];
    assert_eq!((&first["kind"], &first["seed"]), (&"in-force".into(), &told["seed"]));
    for (path, body, words) in [
        ("faults", "throtle = 1", "faults.toml:1:1"),
        ("faults", r#"{"throttle": 2}"#, "must be from 0 to 1"),
        ("clock", r#"{"advance": -1}"#, "seconds from 0"),
        ("clock", r#"{"speed": 1e9}"#, "speed must be from 0"),
        ("clock", r#"{"sped": 1}"#, "sped"),
    ] {
        let method = if path == "faults" { "PUT" } else { "POST" };
        let refused = fixture.control(method, path, body).await;
        assert!(refused.status == 400 && refused.body.contains(words), "{body}: {}", refused.body);
    }
    fixture.control("PUT", "faults", "{}").await.ok();
    let before = fixture.control("GET", "clock", "").await.ok().body;
    let after = fixture.control("POST", "clock", r#"{"advance": 7200, "speed": 60}"#).await.ok().body;
    assert!(after.contains("\"speed\":60.0") && before != after, "{before}{after}");
    // The cloud goes on where it stood, also in another process.
    let launched = fixture.launch("MinCount=1&MaxCount=1").await.ok().one("launchTime");
    let fixture = fixture.restart().await;
    let later = fixture.launch("MinCount=1&MaxCount=1").await.ok().one("launchTime");
    assert!(later >= launched, "{later} {launched}");
}

#[tokio::test]
async fn hours_of_a_spot_market_pass_in_a_moment() {
    let fixture = Fixture::with(|options| {
        options.faults.interruptions = vec![crate::sandbox::ec2::Interruption {
            which: Default::default(),
            after: Duration::from_secs(2 * 3600),
            rebalance: Some(Duration::from_secs(600)),
            notice: Duration::from_secs(120),
        }];
    })
    .await;
    let spot = "MinCount=1&MaxCount=1&InstanceMarketOptions.MarketType=spot";
    let id = fixture.launch(spot).await.ok().one("instanceId");
    fixture.control("POST", "clock", r#"{"advance": 7200}"#).await.ok();
    assert_eq!(fixture.machines.warned.lock().unwrap().len(), 2, "recommendation and notice");
    assert!(fixture.machines.removed.lock().unwrap().is_empty());
    fixture.control("POST", "clock", r#"{"speed": 1000}"#).await.ok();
    fixture
        .until(&format!("Action=DescribeInstances&InstanceId.1={id}"), |reply| {
            reply.one("code") == "48" || reply.body.contains("terminated")
        })
        .await;
}

#[tokio::test]
async fn the_date_of_answers_tells_a_clock_that_is_ahead() {
    let fixture = Fixture::with(|options| options.faults.clock_skew = 3600.0).await;
    let reply = fixture.ask("Action=DescribeRegions").await.ok();
    let date = reply.head.lines().find_map(|line| line.strip_prefix("date: ")).unwrap();
    let told = jiff::fmt::rfc2822::parse(date).unwrap().timestamp();
    let ahead = told.as_second() - jiff::Timestamp::now().as_second();
    assert!((3590..=3610).contains(&ahead), "{date}");
}
