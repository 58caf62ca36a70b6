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
