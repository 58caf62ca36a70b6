//! CreateFleet: partial answers, refusals inside a 200, lost answers, quotas, mixes of markets.

use super::launch::request;
use super::*;

fn chosen(count: u32) -> LaunchRequest {
    LaunchRequest { strategy: Strategy::PriceCapacityOptimized, ..request(count) }
}

fn asked(form: &Form) -> usize {
    form["TargetCapacitySpecification.TotalTargetCapacity"].parse().unwrap()
}

fn market(form: &Form) -> &str {
    &form["TargetCapacitySpecification.DefaultTargetCapacityType"]
}

/// The zones that a call names, by its subnets.
fn zones(form: &Form) -> Vec<String> {
    let subnet = |n: usize| form.get(&format!("LaunchTemplateConfigs.1.Overrides.{n}.SubnetId"));
    (1..).map_while(subnet).map(|id| id.trim_start_matches("subnet-").to_owned()).collect()
}

fn place(zone: &str) -> String {
    format!(
        "<launchTemplateAndOverrides><overrides><instanceType>t3.medium</instanceType><subnetId>subnet-{zone}</subnetId></overrides></launchTemplateAndOverrides>"
    )
}

/// An answer with instances from one zone and refusals of others.
fn fleet_xml(instances: &[(String, String)], zone: &str, refusals: &[(&str, &str)]) -> String {
    let ids: String = instances.iter().map(|(id, _)| format!("<item>{id}</item>")).collect();
    let set = if instances.is_empty() {
        String::new()
    } else {
        format!(
            "<item>{}<lifecycle>spot</lifecycle><instanceIds>{ids}</instanceIds><instanceType>t3.medium</instanceType></item>",
            place(zone)
        )
    };
    let errors: String = refusals
        .iter()
        .map(|(zone, code)| {
            format!("<item>{}<lifecycle>spot</lifecycle><errorCode>{code}</errorCode><errorMessage>no</errorMessage></item>", place(zone))
        })
        .collect();
    format!(
        "<fleetId>fleet-1</fleetId><fleetInstanceSet>{set}</fleetInstanceSet><errorSet>{errors}</errorSet>"
    )
}

fn template(action: &str) -> Option<Reply> {
    match action {
        "CreateLaunchTemplate" | "DeleteLaunchTemplate" => Some(Reply::Ok(
            "<launchTemplate><launchTemplateId>lt-1</launchTemplateId></launchTemplate>".to_owned(),
        )),
        _ => None,
    }
}

#[tokio::test]
async fn all_pools_are_asked_at_once_and_those_that_refused_are_not_asked_again() {
    let fleet = Fleet::default();
    let wire = Wire::start(move |action, form| {
        template(action).unwrap_or_else(|| {
            let made = fleet.launch(form, 1);
            let refusals = [("a", "InsufficientInstanceCapacity")];
            // The first call brings one of three, and zone a has none.
            Reply::Ok(if zones(form).len() == 3 {
                fleet_xml(&made, "b", &refusals)
            } else {
                let more = fleet.launch(form, asked(form) - 1);
                fleet_xml(&[made, more].concat(), "c", &[])
            })
        })
    })
    .await;
    let record = Remembered::default();
    let launch = wire.cloud().launch(&chosen(3), &record).await.unwrap();
    assert!(launch.error.is_none(), "{launch:?}");
    assert_eq!((launch.instances.len(), launch.missing), (3, 0));
    assert_eq!(launch.instances[0].zone, "b");
    assert_eq!(launch.instances[2].zone, "c");
    assert_eq!(launch.refusals.len(), 1);
    assert_eq!((wire.count("CreateLaunchTemplate"), wire.count("DeleteLaunchTemplate")), (1, 1));
    let last = wire.last("CreateFleet");
    assert_eq!((asked(&last), zones(&last)), (2, vec!["b".to_owned(), "c".to_owned()]));
    assert_eq!(last["Type"], "instant");
    assert_eq!(last["SpotOptions.AllocationStrategy"], "price-capacity-optimized");
    assert!(record.open().is_empty());
    assert_eq!(
        record.actions(),
        ["CreateLaunchTemplate", "CreateFleet", "CreateFleet", "DeleteLaunchTemplate"]
    );
    let tokens: std::collections::BTreeSet<String> =
        record.entries().into_iter().take(3).map(|entry| entry.intent.token).collect();
    assert_eq!(tokens.len(), 3, "each order has a token of its own");
}

#[tokio::test]
async fn a_fleet_whose_answer_is_lost_is_found_by_its_token() {
    let fleet = Arc::new(Fleet::default());
    let wire = Wire::start({
        let fleet = Arc::clone(&fleet);
        move |action, form| match action {
            "CreateFleet" => {
                fleet.launch(form, asked(form));
                Reply::Dropped
            }
            "DescribeInstances" => Reply::Ok(reservations_xml(&fleet.with_token(form))),
            _ => template(action).unwrap(),
        }
    })
    .await;
    let record = Remembered::default();
    let launch = wire.cloud().launch(&chosen(2), &record).await.unwrap();
    assert_eq!((launch.instances.len(), launch.missing, fleet.len()), (2, 0, 2), "{launch:?}");
    assert_eq!(wire.count("CreateFleet"), 1);
    assert!(record.open().is_empty());
}

#[tokio::test]
async fn a_quota_ends_the_launch_and_names_itself() {
    let wire = Wire::start(|action, form| {
        template(action).unwrap_or_else(|| {
            let zones = zones(form);
            let all: Vec<(&str, &str)> =
                zones.iter().map(|zone| (zone.as_str(), "MaxSpotInstanceCountExceeded")).collect();
            Reply::Ok(fleet_xml(&[], "a", &all))
        })
    })
    .await;
    let launch = wire.cloud().launch(&chosen(2), &Unrecorded).await.unwrap();
    let error = launch.error.unwrap();
    assert_eq!(error.code(), Some("MaxSpotInstanceCountExceeded"));
    assert!(error.hint().is_some_and(|hint| hint.contains("L-34B43A08")), "{error:?}");
    assert_eq!((wire.count("CreateFleet"), launch.missing), (1, 2));
    assert_eq!(wire.count("DeleteLaunchTemplate"), 1, "the template does not stay");
}

#[tokio::test]
async fn markets_are_mixed_and_on_demand_steps_in_for_spot() {
    let fleet = Fleet::default();
    let wire = Wire::start(move |action, form| {
        template(action).unwrap_or_else(|| {
            let zones = zones(form);
            if market(form) == "spot" {
                let all: Vec<(&str, &str)> =
                    zones.iter().map(|zone| (zone.as_str(), "UnfulfillableCapacity")).collect();
                return Reply::Ok(fleet_xml(&[], "a", &all));
            }
            Reply::Ok(fleet_xml(&fleet.launch(form, asked(form)), "a", &[]))
        })
    })
    .await;
    let mixed = LaunchRequest { on_demand_base: 1, spot_percent: Some(50), ..chosen(5) };
    let launch = wire.cloud().launch(&mixed, &Unrecorded).await.unwrap();
    assert_eq!((launch.instances.len(), launch.missing), (3, 2), "{launch:?}");
    let rescued = LaunchRequest { on_demand_fallback: true, ..mixed };
    let launch = wire.cloud().launch(&rescued, &Unrecorded).await.unwrap();
    assert_eq!((launch.instances.len(), launch.missing), (5, 0), "{launch:?}");
    assert!(launch.error.is_none());
    assert_eq!(launch.refusals.len(), 3, "the refusals of spot are still told");
    assert!(launch.refusals.iter().all(|refusal| refusal.market == Market::Spot));
}

#[tokio::test]
async fn a_fleet_that_gives_less_without_a_reason_ends() {
    let wire =
        Wire::start(|action, _| template(action).unwrap_or_else(|| Reply::Ok(fleet_xml(&[], "a", &[]))))
            .await;
    let launch = wire.cloud().launch(&chosen(2), &Unrecorded).await.unwrap();
    assert_eq!((launch.missing, wire.count("CreateFleet")), (2, 1));
}

#[tokio::test]
async fn a_template_that_may_not_be_made_launches_nothing_and_says_why() {
    let wire = Wire::start(|_, _| Reply::Refused(403, "UnauthorizedOperation", "no".to_owned())).await;
    let launch = wire.cloud().launch(&chosen(2), &Unrecorded).await.unwrap();
    let error = launch.error.unwrap();
    assert!(error.hint().is_some_and(|hint| hint.contains("ec2:CreateLaunchTemplate")), "{error:?}");
    assert_eq!((launch.missing, wire.count("CreateFleet")), (2, 0));
}
