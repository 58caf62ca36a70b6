//! Instances that are waited for and terminated.

use super::launch::request;
use super::*;

#[tokio::test]
async fn a_bad_id_does_not_keep_a_batch_from_ending() {
    let wire = Wire::start(|_, form| {
        let bad = form.values().any(|id| id == "i-bad");
        let protected = form.values().any(|id| id == "i-protected");
        match (bad, protected) {
            (true, _) => Reply::Refused(
                400,
                "InvalidInstanceID.NotFound",
                "The instance ID 'i-bad' does not exist".to_owned(),
            ),
            (_, true) => refused("OperationNotPermitted"),
            _ => Reply::Ok("<instancesSet/>".to_owned()),
        }
    })
    .await;
    let ids: Vec<String> = ["i-1", "i-bad", "i-2", "i-protected", "i-3"].map(str::to_owned).to_vec();
    let ended = wire.cloud().terminate("us-west-2", &ids, &Unrecorded).await.unwrap();
    let outcomes: Vec<&str> = ended
        .iter()
        .map(|it| match it.outcome {
            Outcome::Terminated => "terminated",
            Outcome::Gone => "gone",
            Outcome::Failed(_) => "failed",
        })
        .collect();
    assert_eq!(outcomes, ["terminated", "gone", "terminated", "failed", "terminated"]);
}

#[tokio::test]
async fn cancelling_ends_a_wait_at_once_and_starts_nothing_new() {
    let wire = Wire::start(|_, _| Reply::Ok(reservations_xml(&[("i-1".to_owned(), String::new())]))).await;
    let cancel = CancellationToken::new();
    let cloud = wire.cloud().with_cancel(cancel.clone());
    let ids = ["i-1".to_owned()];
    let on_change = |_: &Instance| cancel.cancel();
    let error =
        cloud.wait("us-west-2", &ids, Until::Running, Duration::from_secs(60), &on_change).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Interrupted);
    let launch = cloud.launch(&request(1), &Unrecorded).await.unwrap();
    assert_eq!(launch.error.map(|error| error.kind()), Some(Kind::Interrupted));
    assert_eq!(wire.count("RunInstances"), 0);
}

#[tokio::test]
async fn no_ids_mean_no_instances_and_not_all() {
    let wire = Wire::start(|_, _| Reply::Dropped).await;
    let cloud = wire.cloud();
    let none: [String; 0] = [];
    assert!(cloud.instances("us-west-2", &InstanceFilter::ids(none.clone())).await.unwrap().is_empty());
    assert!(cloud.terminate("us-west-2", &none, &Unrecorded).await.unwrap().is_empty());
    assert!(
        cloud.wait("us-west-2", &none, Until::Running, Duration::ZERO, &|_| {}).await.unwrap().is_empty()
    );
    assert!(wire.calls.lock().unwrap().is_empty());
}

fn outcomes(ended: &[Termination]) -> Vec<&'static str> {
    let word = |it: &Termination| match it.outcome {
        Outcome::Terminated => "terminated",
        Outcome::Gone => "gone",
        Outcome::Failed(_) => "failed",
    };
    ended.iter().map(word).collect()
}

#[tokio::test]
async fn a_thousand_ids_are_one_order_and_one_more_is_two() {
    let wire = Wire::start(|_, _| Reply::Ok("<instancesSet/>".to_owned())).await;
    let ids: Vec<String> = (0..1000).map(|number| format!("i-{number}")).collect();
    let record = Remembered::default();
    let ended = wire.cloud().terminate("us-west-2", &ids, &record).await.unwrap();
    assert!(outcomes(&ended).iter().all(|it| *it == "terminated") && ended.len() == 1000);
    assert_eq!((wire.count("TerminateInstances"), record.entries().len()), (1, 1));
    let more: Vec<String> = (0..1001).map(|number| format!("i-{number}")).collect();
    wire.cloud().terminate("us-west-2", &more, &Unrecorded).await.unwrap();
    assert_eq!(wire.count("TerminateInstances"), 3);
}

#[tokio::test]
async fn refusals_among_many_cost_few_orders_more() {
    let wire = Wire::start(|_, form| {
        let has = |id: &str| form.values().any(|value| value == id);
        match () {
            () if has("i-77") => Reply::Refused(
                400,
                "InvalidInstanceID.NotFound",
                "The instance ID 'i-77' does not exist".to_owned(),
            ),
            () if has("nonsense") => {
                Reply::Refused(400, "InvalidInstanceID.Malformed", "Invalid id: \"nonsense\"".to_owned())
            }
            () if has("i-500") => {
                Reply::Refused(400, "OperationNotPermitted", "one of them is protected".to_owned())
            }
            () => Reply::Ok("<instancesSet/>".to_owned()),
        }
    })
    .await;
    let mut ids: Vec<String> = (0..999).map(|number| format!("i-{number}")).collect();
    ids.push("nonsense".to_owned());
    let ended = wire.cloud().terminate("us-west-2", &ids, &Unrecorded).await.unwrap();
    let of = |wanted: &str| {
        let found = outcomes(&ended).into_iter().zip(&ids).filter(|(it, _)| *it == wanted);
        found.map(|(_, id)| id.clone()).collect::<Vec<_>>()
    };
    assert_eq!(of("gone"), ["i-77"]);
    assert_eq!(of("failed"), ["i-500", "nonsense"]);
    assert_eq!(of("terminated").len(), 997);
    // Named ids are taken out at once; the one that nobody names is found by halving.
    assert!(wire.count("TerminateInstances") <= 2 + 2 * 10 + 1, "{}", wire.count("TerminateInstances"));
}

#[tokio::test]
async fn a_wait_for_many_is_one_call_and_poll() {
    let wire = Wire::start(|_, form| {
        if form.values().any(|id| id == "i-5") && form.keys().any(|key| key.starts_with("InstanceId")) {
            return Reply::Refused(400, "InvalidInstanceID.NotFound", "The instance ID 'i-5' does not exist".to_owned());
        }
        let instances: String = form
            .iter()
            .filter(|(key, _)| key.starts_with("InstanceId."))
            .map(|(_, id)| format!("<item><instanceId>{id}</instanceId><instanceState><code>16</code><name>running</name></instanceState></item>"))
            .collect();
        Reply::Ok(format!("<reservationSet><item><instancesSet>{instances}</instancesSet></item></reservationSet>"))
    })
    .await;
    let ids: Vec<String> = (10..1010).map(|number| format!("i-{number}")).collect();
    let seen =
        wire.cloud().wait("us-west-2", &ids, Until::Running, Duration::from_secs(5), &|_| {}).await.unwrap();
    assert!(seen.len() == 1000 && seen.iter().all(|it| it.state == InstanceState::Running));
    assert_eq!(wire.calls.lock().unwrap().len(), 1);
    // One that is not shown yet does not hide the others.
    let ids: Vec<String> = (0..300).map(|number| format!("i-{number}")).collect();
    let seen = wire.cloud().instances("us-west-2", &InstanceFilter::ids(ids)).await.unwrap();
    assert_eq!((seen.len(), wire.calls.lock().unwrap().len()), (299, 3));
}

#[tokio::test]
async fn status_checks_are_waited_for_in_one_call_and_poll() {
    let polls = Mutex::new(0);
    let wire = Wire::start(move |action, _| {
        if action == "DescribeInstances" {
            return Reply::Ok("<reservationSet><item><instancesSet><item><instanceId>i-1</instanceId><instanceState><code>16</code><name>running</name></instanceState><ipAddress>203.0.113.5</ipAddress></item><item><instanceId>i-2</instanceId><instanceState><code>48</code><name>terminated</name></instanceState></item></instancesSet></item></reservationSet>".to_owned());
        }
        *polls.lock().unwrap() += 1;
        let word = if *polls.lock().unwrap() < 3 { "initializing" } else { "ok" };
        let status = |id: &str, state: &str| format!("<item><instanceId>{id}</instanceId><instanceState><code>16</code><name>{state}</name></instanceState><systemStatus><status>ok</status></systemStatus><instanceStatus><status>{word}</status></instanceStatus></item>");
        Reply::Ok(format!("<instanceStatusSet>{}{}</instanceStatusSet>", status("i-1", "running"), status("i-2", "terminated")))
    })
    .await;
    let ids = ["i-1".to_owned(), "i-2".to_owned()];
    let seen =
        wire.cloud().wait("us-west-2", &ids, Until::StatusOk, Duration::from_secs(5), &|_| {}).await.unwrap();
    assert!(Until::StatusOk.met(&seen[0]) && seen[0].public_ip.is_some(), "{seen:?}");
    assert!(!Until::StatusOk.met(&seen[1]) && Until::StatusOk.settled(&seen[1]), "{seen:?}");
    assert_eq!((wire.count("DescribeInstanceStatus"), wire.count("DescribeInstances")), (3, 1));
    assert_eq!(wire.last("DescribeInstanceStatus")["IncludeAllInstances"], "true");
}

#[tokio::test]
async fn the_requests_behind_spot_instances_are_one_call() {
    let wire = Wire::start(|_, _| {
        Reply::Ok("<spotInstanceRequestSet><item><spotInstanceRequestId>sir-1</spotInstanceRequestId><instanceId>i-1</instanceId><state>active</state><status><code>marked-for-termination</code><message>soon</message><updateTime>2026-01-02T03:04:05.000Z</updateTime></status></item></spotInstanceRequestSet>".to_owned())
    })
    .await;
    let ids: Vec<String> = (0..150).map(|number| format!("i-{number}")).collect();
    let found = wire.cloud().spot_status("us-west-2", &ids).await.unwrap();
    assert_eq!((found.len(), wire.calls.lock().unwrap().len()), (1, 1));
    assert_eq!(found[0].interruption(), Some(Interruption::Due));
    assert!(found[0].since.as_deref().is_some_and(|since| since.starts_with("2026-01-02T03:04:05")));
}
