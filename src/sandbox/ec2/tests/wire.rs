//! The protocol as raw requests see it.

use super::Fixture;

#[tokio::test]
async fn the_shape_of_answers_and_errors() {
    let fixture = Fixture::new().await;
    let reply = fixture.ask("Action=DescribeRegions").await.ok();
    assert!(
        reply.body.contains("<DescribeRegionsResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">")
    );
    assert_eq!(reply.all("regionName").len(), 17);
    let reply = fixture.ask("Action=Explode").await;
    assert_eq!(reply.fault(), (400, "InvalidAction".into()));
    assert!(reply.body.contains("<Response><Errors><Error><Code>") && reply.body.contains("<RequestID>"));
    let reply = fixture.ask("Action=DescribeVpcs&Colour=red").await;
    assert_eq!(reply.fault(), (400, "UnknownParameter".into()));
    let reply = fixture.ask("Action=DeleteVpc").await;
    assert_eq!(reply.fault(), (400, "MissingParameter".into()));
    let reply = fixture.ask("Action=TerminateInstances").await;
    assert_eq!(reply.fault(), (400, "InvalidParameterCombination".into()));
}

#[tokio::test]
async fn requests_must_be_signed_for_a_region_that_is_enabled() {
    let fixture = Fixture::new().await;
    let form = "Version=2016-11-15&Action=DescribeVpcs";
    for headers in ["", "Authorization: Bearer x\r\n"] {
        let reply = fixture.send(headers, form).await.unwrap();
        assert_eq!(reply.fault(), (401, "AuthFailure".into()));
    }
    for region in ["af-south-1", "us-nowhere-1"] {
        assert_eq!(fixture.ask_in(region, "Action=DescribeVpcs").await.fault().1, "AuthFailure");
    }
}

#[tokio::test]
async fn the_address_of_the_peer_can_be_asked_for() {
    let fixture = Fixture::new().await;
    let reply = fixture.raw("GET /checkip HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    assert_eq!((reply.status, reply.body.as_str()), (200, "127.0.0.1\n"));
}

#[tokio::test]
async fn a_request_of_any_size_does_no_harm() {
    let fixture = Fixture::new().await;
    let reply = fixture.send("", &"x".repeat(2 << 20)).await;
    assert!(reply.is_none_or(|reply| reply.status == 413));
    let reply = fixture.send("", &"a.".repeat(400_000)).await.unwrap();
    assert_eq!(reply.fault(), (400, "MalformedQueryString".into()));
    fixture.ask("Action=DescribeRegions").await.ok();
}

#[tokio::test]
async fn a_dry_run_finds_the_faults_and_changes_nothing() {
    let fixture = Fixture::new().await;
    let reply = fixture.launch("MinCount=1&MaxCount=1&DryRun=true").await;
    assert_eq!(reply.fault(), (412, "DryRunOperation".into()));
    let reply = fixture.launch("MinCount=1&MaxCount=1&DryRun=true&KeyName=none").await;
    assert_eq!(reply.fault(), (400, "InvalidKeyPair.NotFound".into()));
    let reply = fixture.ask("Action=DescribeInstances").await.ok();
    assert!(reply.all("instanceId").is_empty());
    assert!(fixture.machines.living().is_empty());
}

#[tokio::test]
async fn a_client_token_makes_a_launch_happen_once() {
    let fixture = Fixture::new().await;
    let first = fixture.launch("MinCount=2&MaxCount=2&ClientToken=once").await.ok();
    let again = fixture.launch("MaxCount=2&MinCount=2&ClientToken=once").await.ok();
    assert_eq!(first.all("instanceId"), again.all("instanceId"));
    assert_eq!(first.one("reservationId"), again.one("reservationId"));
    let other = fixture.launch("MinCount=1&MaxCount=3&ClientToken=once").await;
    assert_eq!(other.fault(), (400, "IdempotentParameterMismatch".into()));
    assert_eq!(fixture.machines.living().len(), 2);
}

#[tokio::test]
async fn launches_are_checked() {
    let fixture = Fixture::new().await;
    let long = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, vec![b'a'; 16_385]);
    for (query, code) in [
        ("MinCount=0&MaxCount=1".to_owned(), "InvalidParameterValue"),
        ("MinCount=3&MaxCount=1".to_owned(), "InvalidParameterValue"),
        ("MinCount=1&MaxCount=1&KeyName=none".to_owned(), "InvalidKeyPair.NotFound"),
        ("MinCount=1&MaxCount=1&UserData=%25%25".to_owned(), "InvalidUserData.Malformed"),
        (format!("MinCount=1&MaxCount=1&UserData={long}"), "InvalidParameterValue"),
        ("MinCount=1&MaxCount=1&SubnetId=subnet-12345678".to_owned(), "InvalidSubnetID.NotFound"),
        ("MinCount=1&MaxCount=1&SubnetId=x".to_owned(), "InvalidSubnetID.Malformed"),
        ("MinCount=1&MaxCount=1&SecurityGroupId.1=sg-12345678".to_owned(), "InvalidGroup.NotFound"),
        (
            "MinCount=1&MaxCount=1&SubnetId=subnet-12345678&NetworkInterface.1.DeviceIndex=0".to_owned(),
            "InvalidParameterCombination",
        ),
        (
            "MinCount=1&MaxCount=1&InstanceMarketOptions.MarketType=spot&InstanceMarketOptions.SpotOptions.MaxPrice=0.0001"
                .to_owned(),
            "SpotMaxPriceTooLow",
        ),
        ("MinCount=1&MaxCount=1&Placement.AvailabilityZone=eu-west-1a".to_owned(), "InvalidParameterValue"),
    ] {
        let reply = fixture.launch(&query).await;
        assert_eq!(reply.fault(), (400, code.into()), "{query}");
    }
    let reply = fixture.ask("Action=RunInstances&ImageId=ami-12345678&MinCount=1&MaxCount=1").await;
    assert_eq!(reply.fault(), (400, "InvalidAMIID.NotFound".into()));
    let arm = super::super::images::all("us-west-2").into_iter().find(|i| i.architecture == "arm64").unwrap();
    let query = format!("Action=RunInstances&ImageId={}&InstanceType=t3.micro&MinCount=1&MaxCount=1", arm.id);
    let reply = fixture.ask(&query).await;
    assert!(reply.one("Message").contains("does not match the architecture"));
}
