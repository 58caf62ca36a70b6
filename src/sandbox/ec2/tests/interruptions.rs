//! Spot instances that are taken back.

use std::time::Duration;

use super::Fixture;
use crate::sandbox::ec2::{Interruption, Warning};
use crate::sandbox::faults::Selector;

const SPOT: &str = "MinCount=1&MaxCount=1&InstanceMarketOptions.MarketType=spot";

fn plan() -> Interruption {
    Interruption {
        which: Default::default(),
        after: Duration::from_millis(30),
        rebalance: None,
        notice: Duration::from_millis(150),
    }
}

async fn interrupt(fixture: &Fixture, body: &str) -> (u16, String) {
    control(fixture, "interrupt", body).await
}

async fn control(fixture: &Fixture, what: &str, body: &str) -> (u16, String) {
    let request = format!(
        "POST /_sandbox/{what} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let reply = fixture.raw(&request).await.unwrap();
    (reply.status, reply.body)
}

#[tokio::test]
async fn a_fault_takes_spot_instances_back_after_a_notice() {
    let fixture = Fixture::with(|options| {
        let only =
            Interruption { which: Selector::only(1), rebalance: Some(Duration::from_millis(20)), ..plan() };
        options.faults.interruptions = vec![only];
    })
    .await;
    let first = fixture.launch(SPOT).await.ok().one("instanceId");
    fixture.launch("MinCount=1&MaxCount=1").await.ok();
    let doomed = fixture.launch(SPOT).await.ok();
    let (id, request) = (doomed.one("instanceId"), doomed.one("spotInstanceRequestId"));
    let describe = format!("Action=DescribeSpotInstanceRequests&SpotInstanceRequestId.1={request}");
    let marked = fixture.until(&describe, |reply| reply.body.contains("marked-for-termination")).await;
    assert_eq!(marked.one("state"), "active");
    let running = fixture.ask(&format!("Action=DescribeInstances&InstanceId.1={id}")).await.ok();
    assert_eq!(running.one("name"), "running");
    let ended = fixture.until(&describe, |reply| reply.one("state") == "closed").await;
    assert!(ended.body.contains("instance-terminated-no-capacity"), "{}", ended.body);
    let describe = format!("Action=DescribeInstances&InstanceId.1={id}");
    let gone = fixture.until(&describe, |reply| reply.one("name") == "terminated").await;
    assert!(gone.one("stateReason").contains("Server.SpotInstanceTermination"), "{}", gone.body);
    let warned = fixture.machines.warned.lock().unwrap().clone();
    assert!(warned.iter().all(|(warned, _)| *warned == id));
    assert!(matches!(warned[0].1, Warning::Rebalance(_)) && matches!(warned[1].1, Warning::Termination(_)));
    assert_eq!(warned.len(), 2);
    assert_eq!(*fixture.machines.removed.lock().unwrap(), [id]);
    let other = fixture.ask(&format!("Action=DescribeInstances&InstanceId.1={first}")).await.ok();
    assert_eq!(other.one("name"), "running");
}

#[tokio::test]
async fn an_interruption_can_be_asked_for() {
    let fixture = Fixture::new().await;
    let id = fixture.launch(SPOT).await.ok().one("instanceId");
    let plain = fixture.launch("MinCount=1&MaxCount=1").await.ok().one("instanceId");
    let (status, _) = interrupt(&fixture, &format!("{{\"instance_id\":\"{id}\",\"rebalance\":true}}")).await;
    assert_eq!(status, 200);
    assert!(matches!(fixture.machines.warned.lock().unwrap().as_slice(), [(_, Warning::Rebalance(_))]));
    let (status, _) = interrupt(&fixture, &format!("{{\"instance_id\":\"{id}\",\"seconds\":0.2}}")).await;
    assert_eq!(status, 200);
    let describe = format!("Action=DescribeInstances&InstanceId.1={id}");
    fixture.until(&describe, |reply| reply.one("name") == "terminated").await;
    for (body, code) in [
        (format!("{{\"instance_id\":\"{id}\"}}"), "IncorrectInstanceState"),
        (format!("{{\"instance_id\":\"{plain}\"}}"), "IncorrectInstanceState"),
        ("{\"instance_id\":\"i-0123456789abcdef0\"}".to_owned(), "InvalidInstanceID.NotFound"),
        ("{\"instance\":1}".to_owned(), "InvalidParameterValue"),
        ("x".to_owned(), "InvalidParameterValue"),
    ] {
        let (status, answer) = interrupt(&fixture, &body).await;
        assert!(status == 400 && answer.contains(code), "{body}: {answer}");
    }
}

#[tokio::test]
async fn an_interruption_outlives_a_restart() {
    let fixture = Fixture::new().await;
    let id = fixture.launch(SPOT).await.ok().one("instanceId");
    interrupt(&fixture, &format!("{{\"instance_id\":\"{id}\",\"seconds\":0.3}}")).await;
    let fixture = fixture.restart().await;
    let describe = format!("Action=DescribeInstances&InstanceId.1={id}");
    let gone = fixture.until(&describe, |reply| reply.one("name") == "terminated").await;
    assert!(gone.one("stateReason").contains("Server.SpotInstanceTermination"));
}

#[tokio::test]
async fn another_service_can_hold_a_subnet() {
    let fixture = Fixture::new().await;
    let subnet = fixture.ask("Action=DescribeSubnets").await.ok().one("subnetId");
    let body = format!(
        "{{\"subnet_id\":\"{subnet}\",\"description\":\"ELB app/web\",\"requester\":\"amazon-elb\"}}"
    );
    let (status, answer) = control(&fixture, "hold", &body).await;
    assert_eq!(status, 200, "{answer}");
    let told = fixture.ask("Action=DescribeNetworkInterfaces").await.ok();
    assert_eq!(
        (told.one("requesterId"), told.one("description")),
        ("amazon-elb".into(), "ELB app/web".into())
    );
    assert_eq!((told.one("requesterManaged"), told.one("status")), ("true".into(), "in-use".into()));
    let id = told.one("networkInterfaceId");
    assert!(answer.contains(&id));
    let delete = format!("Action=DeleteNetworkInterface&NetworkInterfaceId={id}");
    assert_eq!(fixture.ask(&delete).await.fault(), (403, "OperationNotPermitted".into()));
    let delete = format!("Action=DeleteSubnet&SubnetId={subnet}");
    assert_eq!(fixture.ask(&delete).await.fault().1, "DependencyViolation");
    let (status, _) = control(&fixture, "release", &format!("{{\"network_interface_id\":\"{id}\"}}")).await;
    assert_eq!(status, 200);
    fixture.ask(&delete).await.ok();
}
