//! boto3 as the client: a peer nobody here wrote, with EC2's own API model.

use std::process::Stdio;

use super::Fixture;
use crate::sandbox::ec2::{CapacityFault, Lifecycle, PriceFault, QuotaSetting, Refusal};

/// Set by CI: without it, a machine that has no boto3 passes these tests over.
const REQUIRED: &str = "SPOT_REQUIRE_PEERS";

pub(super) async fn python(fixture: &Fixture, script: &str) {
    let script = [include_str!("prelude.py"), script].join("\n\n");
    let probe =
        tokio::process::Command::new("python3").args(["-c", "import boto3"]).stderr(Stdio::null()).status();
    if !probe.await.is_ok_and(|status| status.success()) {
        assert!(std::env::var_os(REQUIRED).is_none(), "boto3 is missing: pip install boto3");
        return;
    }
    let output = tokio::process::Command::new("python3")
        .args(["-c", &script])
        .env("AWS_ENDPOINT_URL", fixture.endpoint.url())
        .env("AWS_ACCESS_KEY_ID", "AKIDSANDBOX")
        .env("AWS_SECRET_ACCESS_KEY", "sandbox")
        .env("AWS_DEFAULT_REGION", "us-west-2")
        .env("AWS_CONFIG_FILE", "/nonexistent")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_MAX_ATTEMPTS", "1")
        .output()
        .await
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stdout));
}

#[tokio::test]
async fn boto3_can_use_every_action() {
    let fixture = Fixture::new().await;
    python(&fixture, include_str!("boto.py")).await;
    assert!(fixture.machines.living().is_empty());
}

#[tokio::test]
async fn launch_templates_and_fleets() {
    let fixture = Fixture::new().await;
    python(&fixture, include_str!("fleets.py")).await;
    assert!(fixture.machines.living().is_empty());
}

#[tokio::test]
async fn fleets_tell_what_each_pool_refuses() {
    let fixture = Fixture::with(|options| {
        let capacity = |zone: &str, kind: &str, lifecycle, available| CapacityFault {
            zone: Some(zone.into()),
            instance_type: Some(kind.into()),
            lifecycle,
            available: Some(available),
            during: None,
        };
        let faults = &mut options.faults;
        faults.capacity = vec![
            capacity("us-west-2a", "t3.medium", None, 0),
            capacity("us-west-2b", "t3.medium", Some(Lifecycle::Spot), 2),
            capacity("us-west-2c", "t3.medium", Some(Lifecycle::OnDemand), 0),
        ];
        faults.refusals = vec![Refusal {
            instance_type: Some("m7i.large".into()),
            ..Refusal::of("CreateFleet", "UnfulfillableCapacity")
        }];
        faults.quotas = vec![
            QuotaSetting { region: None, code: "L-34B43A08".into(), value: 24.0 },
            QuotaSetting { region: Some("eu-west-1".into()), code: "L-1216C47A".into(), value: 4.0 },
        ];
        faults.prices = vec![PriceFault {
            zone: Some("us-west-2d".into()),
            instance_type: Some("t3.medium".into()),
            spot: Some(0.0411),
            ..PriceFault::default()
        }];
    })
    .await;
    python(&fixture, include_str!("scarce.py")).await;
}

#[tokio::test]
async fn other_services_answer_at_the_same_endpoint() {
    let fixture = Fixture::with(|options| {
        options.faults.without_service_roles = true;
        options.faults.quotas = vec![
            QuotaSetting { region: None, code: "L-34B43A08".into(), value: 32.0 },
            QuotaSetting { region: Some("us-west-2".into()), code: "L-F678F1CE".into(), value: 1.0 },
        ];
    })
    .await;
    python(&fixture, include_str!("services.py")).await;
}

#[tokio::test]
async fn the_rest_of_a_network_and_what_nuke_must_find() {
    let fixture = Fixture::new().await;
    python(&fixture, include_str!("resources.py")).await;
}
