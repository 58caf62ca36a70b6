//! SSM, Secrets Manager, CloudWatch and S3 with boto3; signatures with boto3 and the AWS SDK.

use std::time::Duration;

use aws_credential_types::Credentials;

use super::boto::python;
use super::{Fixture, quick};

fn script(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/sandbox/ec2/tests");
    std::fs::read_to_string(format!("{folder}/{name}")).unwrap()
}

#[tokio::test]
async fn what_other_services_keep_outlives_the_process() {
    let fixture = Fixture::with(|options| options.record = true).await;
    python(&fixture, &script("keeping.py")).await;
    python(&fixture, &script("objects.py")).await;
    let calls = fixture.endpoint.calls();
    assert!(calls.iter().any(|call| call.service == "s3" && call.action == "PutObject"));
    for call in &calls {
        assert!(call.parameters.values().all(|value| value != "s3cret" && value != "two"), "{call:?}");
    }
    let fixture = fixture.restart().await;
    python(&fixture, &script("kept.py")).await;
}

#[tokio::test]
async fn instances_stop_and_start_and_volumes_come_and_go() {
    let fixture = Fixture::new().await;
    python(&fixture, &script("power.py")).await;
    assert!(fixture.machines.living().is_empty());
}

#[tokio::test]
async fn signatures_are_checked_when_asked() {
    let fixture = Fixture::with(|options| {
        options.check_signatures = true;
        options.access_key = "AKIDSANDBOX".to_owned();
    })
    .await;
    python(&fixture, &script("signed.py")).await;
}

#[tokio::test]
async fn a_clock_that_is_off_makes_requests_expire() {
    let fixture = skewed(600.0).await;
    python(&fixture, &script("expired.py")).await;
}

async fn skewed(seconds: f64) -> Fixture {
    Fixture::with(|options| {
        options.check_signatures = true;
        options.access_key = "AKIDSANDBOX".to_owned();
        options.faults.clock_skew = seconds;
    })
    .await
}

#[tokio::test]
async fn the_sdk_corrects_its_clock() {
    for seconds in [600.0, -600.0] {
        let fixture = skewed(seconds).await;
        let config = aws_config::defaults(aws_config::BehaviorVersion::latest())
            .endpoint_url(fixture.endpoint.url())
            .region(aws_config::Region::new("us-west-2"))
            .credentials_provider(Credentials::new("AKIDSANDBOX", "sandbox", None, None, "test"))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .load()
            .await;
        // STS tells a code that the SDK knows and tries again at once; EC2 does not, but the next call is
        // signed by the endpoint's clock.
        aws_sdk_sts::Client::new(&config).get_caller_identity().send().await.unwrap();
        let ec2 = aws_sdk_ec2::Client::new(&config);
        let error = ec2.describe_vpcs().send().await.unwrap_err().into_service_error();
        assert_eq!(error.meta().code(), Some("RequestExpired"), "{seconds}");
        ec2.describe_vpcs().send().await.unwrap();
    }
}

#[tokio::test]
async fn what_was_just_made_is_not_seen_at_once() {
    let fixture = Fixture::with(|options| options.consistency_delay = Duration::from_secs(3600)).await;
    python(&fixture, &script("unseen.py")).await;
    let fixture = fixture.restart().await;
    python(&fixture, &script("seen.py")).await;
}

#[tokio::test]
async fn a_write_that_an_object_was_deleted_under_is_in_conflict() {
    let fixture = Fixture::new().await;
    let signature = "0".repeat(64);
    let head = |method: &str, path: &str, more: &str| {
        format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: AWS4-HMAC-SHA256 \
             Credential=AKID/20261123/us-east-1/s3/aws4_request, SignedHeaders=host, \
             Signature={signature}\r\n{more}\r\n"
        )
    };
    let status = |reply: Option<super::Reply>| reply.map(|reply| reply.status);
    assert_eq!(status(fixture.raw(&head("PUT", "/locks", "Content-Length: 0\r\n")).await), Some(200));
    let put = |condition: &str| head("PUT", "/locks/a", &format!("Content-Length: 1\r\n{condition}"));
    assert_eq!(status(fixture.raw(&(put("") + "x")).await), Some(200));
    for (condition, expected) in [("If-None-Match: *\r\n", 409), ("", 200)] {
        let slow = async {
            let url = fixture.endpoint.url();
            let mut stream = tokio::net::TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
            use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
            stream.write_all(put(condition).as_bytes()).await.unwrap();
            // The endpoint asks for nothing before the body: wait until it has seen the head, which it has
            // when it answers a later request of another connection that came after.
            for _ in 0..50 {
                fixture.raw(&head("HEAD", "/locks/a", "")).await;
            }
            assert_eq!(status(fixture.raw(&head("DELETE", "/locks/a", "")).await), Some(204));
            stream.write_all(b"y").await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let answer = slow.await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{answer}");
        assert_eq!(answer.contains("<Code>ConditionalRequestConflict</Code>"), expected == 409);
    }
}

#[tokio::test]
async fn a_damaged_file_of_services_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("services.json"), "{").unwrap();
    let machines = std::sync::Arc::new(super::Notes::default());
    let error = super::Endpoint::start(quick(&folder), machines).await.unwrap_err();
    assert!(error.message().contains("services.json") && error.hint().is_some(), "{error}");
}
