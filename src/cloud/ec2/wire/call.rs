//! Throttling, paging: what every call has.

use super::*;

#[tokio::test]
async fn a_throttled_call_is_made_again_and_by_us_alone() {
    let wire = Wire::start({
        let calls = Mutex::new(0);
        move |_, _| {
            let mut calls = calls.lock().unwrap();
            *calls += 1;
            if *calls <= 2 {
                return Reply::Refused(503, "RequestLimitExceeded", "Request limit exceeded.".to_owned());
            }
            Reply::Ok("<regionInfo><item><regionName>us-west-2</regionName><optInStatus>opt-in-not-required</optInStatus></item></regionInfo>".to_owned())
        }
    })
    .await;
    let regions = wire.cloud().regions().await.unwrap();
    assert_eq!(regions.len(), 1);
    assert_eq!(wire.count("DescribeRegions"), 3);
}

#[tokio::test]
async fn attempts_do_not_multiply() {
    let wire = Wire::start(|_, _| Reply::Refused(503, "Unavailable", "no".to_owned())).await;
    let error = wire.cloud().regions().await.unwrap_err();
    assert_eq!(error.code(), Some("Unavailable"));
    assert_eq!(error.message(), "DescribeRegions in us-east-1: no");
    assert_eq!(wire.count("DescribeRegions"), 3);
}

#[tokio::test]
async fn a_call_that_is_throttled_twenty_times_gets_its_answer() {
    let wire = Wire::start({
        let calls = Mutex::new(0);
        move |_, _| {
            let mut calls = calls.lock().unwrap();
            *calls += 1;
            if *calls <= 20 {
                return Reply::Refused(503, "RequestLimitExceeded", "Request limit exceeded.".to_owned());
            }
            Reply::Ok("<regionInfo/>".to_owned())
        }
    })
    .await;
    let mut settings = Settings::local();
    settings.retry =
        Retry { base: Duration::from_micros(10), cap: Duration::from_millis(2), ..Retry::default() };
    let cloud = Ec2::new(Endpoint::local(&wire.url), settings, CancellationToken::new());
    assert!(cloud.regions().await.unwrap().is_empty());
    assert_eq!(wire.count("DescribeRegions"), 21);
}

#[tokio::test]
async fn a_throttled_action_is_slowed_down_and_others_are_not() {
    let wire = Wire::start(|action, _| match action {
        "DescribeRegions" => Reply::Refused(503, "RequestLimitExceeded", "no".to_owned()),
        _ => Reply::Ok(reservations_xml(&[])),
    })
    .await;
    let retry =
        Retry { base: Duration::from_millis(1), deadline: Duration::from_millis(300), ..Retry::default() };
    let settings = Settings { retry, rate_limits: true, ..Settings::local() };
    let cloud = Ec2::new(Endpoint::local(&wire.url), settings, CancellationToken::new());
    cloud.regions().await.unwrap_err();
    // Without the limiter the 300 milliseconds would hold dozens of calls.
    assert!(wire.count("DescribeRegions") <= 5, "{}", wire.count("DescribeRegions"));
    cloud.instances("us-east-1", &InstanceFilter::default()).await.unwrap();
}

#[tokio::test]
async fn every_page_is_read() {
    let wire = Wire::start(|_, form| {
        let page = form.get("NextToken").map_or("1", String::as_str);
        let next = if page == "1" { "<nextToken>2</nextToken>" } else { "" };
        let instance = (format!("i-{page}"), String::new());
        Reply::Ok(format!("{}{next}", reservations_xml(&[instance])))
    })
    .await;
    let found = wire.cloud().instances("us-west-2", &InstanceFilter::default()).await.unwrap();
    assert_eq!(found.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), ["i-1", "i-2"]);
}

#[tokio::test]
async fn pages_that_lead_in_a_circle_are_an_error() {
    let wire =
        Wire::start(|_, _| Reply::Ok(format!("{}<nextToken>x</nextToken>", reservations_xml(&[])))).await;
    let error = wire.cloud().instances("us-west-2", &InstanceFilter::default()).await.unwrap_err();
    assert!(error.message().contains("same page"), "{error}");
}
