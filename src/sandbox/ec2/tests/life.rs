//! Instances through time, and through restarts.

use std::time::{Duration, SystemTime};

use super::Fixture;
use crate::error::Kind;
use crate::sandbox::ec2::Endpoint;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHq1r0tOlvvnFfm8Q0DZMvlm5vP2uzAPxZTBD7jJoZOm me@x";

fn encode(text: &str) -> String {
    use base64::Engine as _;
    let base64 = base64::engine::general_purpose::STANDARD.encode(text);
    form_urlencoded::byte_serialize(base64.as_bytes()).collect()
}

#[tokio::test]
async fn an_instance_lives_and_ends() {
    let fixture = Fixture::new().await;
    let material = encode(KEY);
    fixture.ask(&format!("Action=ImportKeyPair&KeyName=mine&PublicKeyMaterial={material}")).await.ok();
    let before = SystemTime::now() - Duration::from_secs(1);
    let data = encode("#!/bin/sh\necho hello\n");
    let reply = fixture.launch(&format!("MinCount=1&MaxCount=1&KeyName=mine&UserData={data}")).await.ok();
    assert_eq!(reply.one("name"), "pending");
    let id = reply.one("instanceId");
    let machine = fixture.machines.living().remove(0);
    assert_eq!(machine.id, id);
    assert_eq!(machine.authorized_keys, [KEY]);
    assert_eq!(machine.user_data.as_deref(), Some("#!/bin/sh\necho hello\n".as_bytes()));
    assert_eq!((machine.region.as_str(), machine.instance_type.as_str()), ("us-west-2", "t3.medium"));
    assert!(machine.zone.starts_with("us-west-2") && machine.launched > before);
    assert_eq!(reply.one("ipAddress"), machine.address.to_string());
    assert_eq!(reply.one("privateIpAddress"), machine.private_ip);

    let describe = format!("Action=DescribeInstances&InstanceId.1={id}");
    fixture.until(&describe, |reply| reply.one("name") == "running").await;
    let reply = fixture.ask("Action=DescribeInstanceStatus").await.ok();
    assert_eq!(reply.all("instanceId"), [id.as_str()]);

    let terminate = format!("Action=TerminateInstances&InstanceId.1={id}");
    let reply = fixture.ask(&terminate).await.ok();
    assert_eq!(reply.all("name"), ["shutting-down", "running"]);
    assert!(fixture.machines.living().is_empty());
    let reply = fixture.until(&describe, |reply| reply.one("name") == "terminated").await;
    assert!(reply.all("ipAddress").is_empty() && reply.all("networkInterfaceId").is_empty());
    assert!(reply.one("stateReason").contains("Client.UserInitiatedShutdown"));
    assert!(fixture.ask("Action=DescribeVolumes").await.ok().all("volumeId").is_empty());
    fixture.ask(&terminate).await.ok();
    assert_eq!(fixture.machines.removed.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_restart_brings_the_living_back_at_the_same_address() {
    let fixture = Fixture::new().await;
    let reply = fixture.launch("MinCount=3&MaxCount=3&ClientToken=t").await.ok();
    let ids = reply.all("instanceId");
    let vpc = fixture.ask("Action=DescribeVpcs").await.ok().one("vpcId");
    fixture.ask(&format!("Action=TerminateInstances&InstanceId.1={}", ids[0])).await.ok();
    let mut before: Vec<_> =
        fixture.machines.living().into_iter().map(|machine| (machine.id, machine.address)).collect();
    before.sort();
    let fixture = fixture.restart().await;
    let mut after: Vec<_> =
        fixture.machines.living().into_iter().map(|machine| (machine.id, machine.address)).collect();
    after.sort();
    assert_eq!((before.len(), &before), (2, &after));
    assert_eq!(fixture.ask("Action=DescribeVpcs").await.ok().one("vpcId"), vpc);
    let again = fixture.launch("MinCount=3&MaxCount=3&ClientToken=t").await.ok();
    assert_eq!(again.all("instanceId"), ids);
}

#[tokio::test]
async fn what_was_answered_is_stored_even_without_a_shutdown() {
    let fixture = Fixture::new().await;
    let id = fixture.launch("MinCount=1&MaxCount=1").await.ok().one("instanceId");
    let stored = std::fs::read_to_string(fixture.folder.path().join("cloud.json")).unwrap();
    assert!(stored.contains(&id));
}

#[tokio::test]
async fn a_folder_belongs_to_one_endpoint() {
    let fixture = Fixture::new().await;
    let second = Endpoint::start(super::quick(&fixture.folder), fixture.machines.clone()).await;
    assert_eq!(second.unwrap_err().kind(), Kind::Locked);
}

#[tokio::test]
async fn a_machine_that_does_not_start_ends_its_instance() {
    let fixture = Fixture::new().await;
    fixture.machines.break_down(true);
    let id = fixture.launch("MinCount=1&MaxCount=1").await.ok().one("instanceId");
    let reply = fixture.ask(&format!("Action=DescribeInstances&InstanceId.1={id}")).await.ok();
    assert_eq!(reply.one("name"), "terminated");
    assert!(reply.one("stateReason").contains("Server.InternalError"));
}

#[tokio::test]
async fn a_removal_that_failed_is_made_up_for() {
    let fixture = Fixture::new().await;
    let id = fixture.launch("MinCount=1&MaxCount=1").await.ok().one("instanceId");
    fixture.machines.break_down(true);
    let terminate = format!("Action=TerminateInstances&InstanceId.1={id}");
    assert_eq!(fixture.ask(&terminate).await.fault(), (500, "InternalError".into()));
    fixture.machines.break_down(false);
    fixture.ask(&terminate).await.ok();
    assert_eq!(*fixture.machines.removed.lock().unwrap(), [id.as_str()]);

    let id = fixture.launch("MinCount=1&MaxCount=1").await.ok().one("instanceId");
    fixture.machines.break_down(true);
    fixture.ask(&format!("Action=TerminateInstances&InstanceId.1={id}")).await;
    let fixture = fixture.restart().await;
    assert_eq!(*fixture.machines.removed.lock().unwrap(), [id.as_str()]);
    assert!(fixture.machines.living().is_empty());
}

#[tokio::test]
async fn many_launches_at_once_keep_their_addresses_apart() {
    let fixture = Fixture::new().await;
    let launches = (0..20).map(|_| fixture.launch("MinCount=10&MaxCount=10"));
    for reply in futures::future::join_all(launches).await {
        reply.ok();
    }
    let machines = fixture.machines.living();
    let addresses: std::collections::BTreeSet<_> = machines.iter().map(|machine| machine.address).collect();
    assert_eq!((machines.len(), addresses.len()), (200, 200));
    let reply = fixture.ask("Action=DescribeInstances&MaxResults=150").await.ok();
    assert_eq!(reply.all("launchTime").len(), 150);
    let query = format!("Action=DescribeInstances&MaxResults=150&NextToken={}", reply.one("nextToken"));
    let rest = fixture.ask(&query).await.ok();
    assert_eq!((rest.all("launchTime").len(), rest.all("nextToken").len()), (50, 0));
}
