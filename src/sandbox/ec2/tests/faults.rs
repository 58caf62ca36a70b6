//! What goes wrong on purpose.

use std::time::{Duration, Instant};

use super::Fixture;
use crate::sandbox::ec2::{CapacityFault, Latency, Refusal};

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
