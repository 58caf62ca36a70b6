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
    let wire = Wire::start(|_, _| Reply::Refused(503, "RequestLimitExceeded", "no".to_owned())).await;
    let error = wire.cloud().regions().await.unwrap_err();
    assert_eq!(error.code(), Some("RequestLimitExceeded"));
    assert_eq!(error.message(), "DescribeRegions in us-east-1: no");
    assert_eq!(wire.count("DescribeRegions"), 5);
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
