//! Scores, quotas, list prices, roles and types: what moto does not have.

use super::*;

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|it| (*it).to_owned()).collect()
}

#[tokio::test]
async fn scores_name_zones_as_this_account_does() {
    let wire = Wire::start(|action, form| match action {
        "DescribeAvailabilityZones" => Reply::Ok(
            "<availabilityZoneInfo><item><zoneName>us-west-2b</zoneName><zoneId>usw2-az1</zoneId><zoneState>available</zoneState></item></availabilityZoneInfo>".to_owned(),
        ),
        _ => {
            let item = |id: &str, score: u8| {
                format!("<item><region>us-west-2</region><availabilityZoneId>{id}</availabilityZoneId><score>{score}</score></item>")
            };
            let page = form.get("NextToken").map_or("1", String::as_str);
            let (items, next) = match page {
                "1" => (item("usw2-az1", 3), "<nextToken>2</nextToken>"),
                _ => ([item("usw2-az9", 9), item("usw2-az3", 99)].concat(), ""),
            };
            Reply::Ok(format!("<spotPlacementScoreSet>{items}</spotPlacementScoreSet>{next}"))
        }
    })
    .await;
    let query = ScoreQuery {
        types: strings(&["m5.large", "c5.large", "r5.large"]),
        count: 8,
        regions: strings(&["us-west-2"]),
        zones: true,
    };
    let scores = wire.cloud().placement_scores(&query).await.unwrap();
    let short: Vec<(Option<&str>, Option<&str>, u8)> =
        scores.iter().map(|it| (it.zone.as_deref(), it.zone_id.as_deref(), it.score)).collect();
    assert_eq!(short, [(None, Some("usw2-az9"), 9), (Some("us-west-2b"), Some("usw2-az1"), 3)]);
    assert_eq!(wire.count("GetSpotPlacementScores"), 2);
    let form = wire.last("GetSpotPlacementScores");
    assert_eq!((form["TargetCapacity"].as_str(), form["SingleAvailabilityZone"].as_str()), ("8", "true"));
    assert_eq!((form["RegionName.1"].as_str(), form["InstanceType.3"].as_str()), ("us-west-2", "r5.large"));
}

#[tokio::test]
async fn quotas_say_what_is_allowed_and_what_runs() {
    let wire = Wire::start(|action, form| match action {
        "GetServiceQuota" if form["Body"].contains("L-34B43A08") => {
            Reply::Ok(r#"{"Quota":{"QuotaCode":"L-34B43A08","Value":32.0}}"#.to_owned())
        }
        "GetServiceQuota" => Reply::Refused(400, "AccessDeniedException", "no".to_owned()),
        _ => {
            let item = |name: &str, more: &str| {
                format!("<item><instanceId>i</instanceId><instanceType>{name}</instanceType>{more}</item>")
            };
            let spot = "<instanceLifecycle>spot</instanceLifecycle><cpuOptions><coreCount>2</coreCount><threadsPerCore>2</threadsPerCore></cpuOptions>";
            let instances = [item("m5.xlarge", spot), item("c5.large", spot), item("m5.large", ""), item("g5.xlarge", spot)].concat();
            Reply::Ok(format!("<reservationSet><item><instancesSet>{instances}</instancesSet></item></reservationSet>"))
        }
    })
    .await;
    let quotas = wire.cloud().quotas("us-west-2", &[Family::Standard, Family::Other]).await.unwrap();
    let short: Vec<(Market, Option<u32>, u32)> =
        quotas.iter().map(|it| (it.market, it.limit, it.used)).collect();
    assert_eq!(short, [(Market::Spot, Some(32), 8), (Market::OnDemand, None, 2)]);
    assert_eq!(quotas[0].room(), Some(24));
    assert_eq!(wire.count("GetServiceQuota"), 2);
    let form = wire.last("DescribeInstances");
    assert_eq!(
        (form["Filter.1.Value.1"].as_str(), form["Filter.1.Value.2"].as_str()),
        ("pending", "running")
    );
    assert_eq!(wire.cloud().quotas("us-west-2", &[Family::Other]).await.unwrap(), []);
}

#[tokio::test]
async fn a_list_price_that_is_unknown_is_left_out() {
    let wire = Wire::start(|_, form| {
        if form["Body"].contains("m5.large") {
            let product = r#"{\"terms\":{\"OnDemand\":{\"a\":{\"priceDimensions\":{\"b\":{\"unit\":\"Hrs\",\"pricePerUnit\":{\"USD\":\"0.096\"}}}}}}}"#;
            return Reply::Ok(format!(r#"{{"FormatVersion":"aws_v1","PriceList":["{product}"]}}"#));
        }
        if form["Body"].contains("x9.large") {
            return Reply::Ok(r#"{"FormatVersion":"aws_v1","PriceList":["torn"]}"#.to_owned());
        }
        Reply::Refused(400, "AccessDeniedException", "no".to_owned())
    })
    .await;
    let prices = wire
        .cloud()
        .on_demand_prices("us-west-2", &strings(&["m5.large", "x9.large", "t3.nano"]))
        .await
        .unwrap();
    assert_eq!(prices.len(), 1);
    assert_eq!((prices[0].instance_type.as_str(), prices[0].hourly), ("m5.large", 0.096));
    let body = &wire.last("GetProducts")["Body"];
    for part in ["us-west-2", "Linux", "Shared", "Used", "TERM_MATCH"] {
        assert!(body.contains(part), "{body}");
    }
    let error = wire.cloud().on_demand_prices("us-west-2", &strings(&["t3.nano"])).await.unwrap_err();
    assert_eq!(error.code(), Some("AccessDeniedException"));
    assert!(error.hint().unwrap().contains("pricing:GetProducts"), "{error}");
    assert_eq!(wire.cloud().on_demand_prices("cn-north-1", &strings(&["m5.large"])).await.unwrap(), []);
}

#[tokio::test]
async fn the_spot_role_is_there_missing_or_none_of_our_business() {
    let role = "<Role><Path>/aws-service-role/</Path><RoleName>AWSServiceRoleForEC2Spot</RoleName><RoleId>A</RoleId><Arn>arn:aws:iam::1:role/x</Arn><CreateDate>2020-01-01T00:00:00Z</CreateDate></Role>";
    let there = Wire::start(move |_, _| Reply::Ok(role.to_owned())).await;
    assert_eq!(there.cloud().spot_role().await.unwrap(), SpotRole::Present);
    let made = Remembered::default();
    assert!(there.cloud().make_spot_role(&made).await.unwrap());
    assert_eq!(made.actions(), ["CreateServiceLinkedRole"]);
    assert!(made.open().is_empty());
    assert_eq!(there.last("CreateServiceLinkedRole")["AWSServiceName"], "spot.amazonaws.com");

    let missing = Wire::start(|action, _| match action {
        "GetRole" => Reply::Refused(404, "NoSuchEntity", "no such role".to_owned()),
        _ => Reply::Refused(400, "InvalidInput", "the name has been taken in this account".to_owned()),
    })
    .await;
    assert_eq!(missing.cloud().spot_role().await.unwrap(), SpotRole::Absent);
    assert!(!missing.cloud().make_spot_role(&Remembered::default()).await.unwrap());

    let denied = Wire::start(|_, _| Reply::Refused(403, "AccessDenied", "not authorized".to_owned())).await;
    assert_eq!(denied.cloud().spot_role().await.unwrap(), SpotRole::Unknown);
    let record = Remembered::default();
    let error = denied.cloud().make_spot_role(&record).await.unwrap_err();
    assert!(error.hint().unwrap().contains("iam:CreateServiceLinkedRole"), "{error}");
    assert_eq!(record.entries()[0].closed, Some(false));
}

#[tokio::test]
async fn more_types_than_one_request_may_name_are_asked_for_in_portions() {
    let wire = Wire::start(|_, form| {
        let names = form.iter().filter(|(key, _)| key.starts_with("InstanceType.")).map(|(_, name)| name);
        let items: String = names
            .map(|name| format!("<item><instanceType>{name}</instanceType><processorInfo><supportedArchitectures><item>x86_64</item></supportedArchitectures></processorInfo><vCpuInfo><defaultVCpus>2</defaultVCpus></vCpuInfo></item>"))
            .collect();
        Reply::Ok(format!("<instanceTypeSet>{items}</instanceTypeSet>"))
    })
    .await;
    let names: Vec<String> = (0..150).map(|number| format!("m{number}.large")).collect();
    let found = wire.cloud().instance_types("us-west-2", &names).await.unwrap();
    assert!(found.iter().map(|it| &it.name).eq(&names));
    assert_eq!(wire.count("DescribeInstanceTypes"), 2);
}

#[tokio::test]
async fn types_are_found_by_what_they_have() {
    let wire = Wire::start(|_, _| {
        let item = |name: &str, vcpu: u32, gpus: &str| {
            format!("<item><instanceType>{name}</instanceType><burstablePerformanceSupported>false</burstablePerformanceSupported><processorInfo><supportedArchitectures><item>x86_64</item></supportedArchitectures></processorInfo><vCpuInfo><defaultVCpus>{vcpu}</defaultVCpus></vCpuInfo><memoryInfo><sizeInMiB>8192</sizeInMiB></memoryInfo>{gpus}</item>")
        };
        let gpu = "<gpuInfo><gpus><item><count>4</count></item></gpus></gpuInfo>";
        Reply::Ok(format!("<instanceTypeSet>{}{}{}</instanceTypeSet>", item("m5.large", 2, ""), item("g5.large", 2, gpu), item("m5.xlarge", 4, "")))
    })
    .await;
    let query = TypeQuery { vcpu: Bounds { min: Some(2), max: Some(2) }, ..TypeQuery::default() };
    let names = |found: Vec<InstanceType>| found.into_iter().map(|it| (it.name, it.gpus)).collect::<Vec<_>>();
    let cloud = wire.cloud();
    assert_eq!(names(cloud.find_types("us-west-2", &query).await.unwrap()), [("m5.large".to_owned(), 0)]);
    let graphics = TypeQuery { gpus: Bounds::at_least(2), ..query };
    assert_eq!(names(cloud.find_types("us-west-2", &graphics).await.unwrap()), [("g5.large".to_owned(), 4)]);
}
