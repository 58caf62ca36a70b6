//! boto3 as the client: a peer nobody here wrote, with EC2's own API model.

use std::process::Stdio;

use super::Fixture;

/// Set by CI: without it, a machine that has no boto3 passes these tests over.
const REQUIRED: &str = "SPOT_REQUIRE_PEERS";

async fn python(fixture: &Fixture, script: &str) {
    let probe =
        tokio::process::Command::new("python3").args(["-c", "import boto3"]).stderr(Stdio::null()).status();
    if !probe.await.is_ok_and(|status| status.success()) {
        assert!(std::env::var_os(REQUIRED).is_none(), "boto3 is missing: pip install boto3");
        return;
    }
    let output = tokio::process::Command::new("python3")
        .args(["-c", script])
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
