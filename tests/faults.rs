//! Kills, faults of the endpoint, shortages, closed regions and Ctrl-C: whatever happens, `destroy`
//! leaves nothing behind, neither in the cloud nor in state.

use std::path::Path;
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use spot::sandbox::{Options, ec2};
use spot::ui::{Answer, Recorder};
use spot::{Host, Outcome, Sandbox};

use crate::spot::{Finished, Spot, ended};

/// A fleet with all that a deployment has.
const CONFIG: &str = "[fleet]\ncount = 4\nregions = [\"us-west-2\", \"eu-central-1\"]\ntypes = [\"t3.micro\", \"t3a.micro\"]\n\
                      [network]\ndedicated = true\n[deploy]\nsetup = \"setup.sh\"\n";
const CREATE: &[&str] = &["create"];
const DESTROY: &[&str] = &["destroy", "--yes"];
/// Ids of everything that carries spot's tags, of all projects, in all regions.
const LEFT: &str = "let left = [];\n\
    for result in aws::owned(aws::regions().map(|region| #{ region: region, everything: true })) {\n\
        for item in result.owned { left.push(`${item.kind} ${item.id}`); }\n\
    }\n";
/// The ids that the cloud has and those that state has.
const BOTH: &str = "state::settle();\n\
    let cloud = aws::instances([\"us-west-2\", \"eu-central-1\"].map(|r| #{ region: r, everything: true })).map(|a| a.instances).reduce(|all, some| all + some, []).map(|i| i.id);\n\
    let known = state::instances().map(|i| i.id);\n\
    cloud.sort(); known.sort();\n";

fn project(config: &str) -> Spot {
    let spot = Spot::new();
    spot.write("spot.toml", config);
    let setup = spot.write("setup.sh", "#!/bin/sh\nsleep 0.2\necho done > /tmp/done\n");
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(setup, std::fs::Permissions::from_mode(0o755)).unwrap();
    spot.write(
        "recipes/left.rhai",
        &format!("{LEFT}for item in left + state::instances() + state::networks() {{ print(item); }}"),
    );
    spot.write("recipes/known.rhai", "for item in state::instances() + state::networks() { print(item); }");
    spot.write(
        "recipes/lost.rhai",
        &format!("{BOTH}for id in cloud.filter(|id| !(id in known)) {{ print(id); }}"),
    );
    spot.write(
        "recipes/both.rhai",
        &format!("{BOTH}if cloud != known {{ print(`cloud ${{cloud}}, state ${{known}}`); }}"),
    );
    spot
}

/// Where a run writes its journal: the sandbox's state is apart.
fn journal_of(arguments: &[&str]) -> &'static str {
    if arguments.contains(&"--sandbox") { ".spot/sandbox/.spot/journal.jsonl" } else { ".spot/journal.jsonl" }
}

/// How many records the journal has.
fn records(spot: &Spot, journal: &str) -> usize {
    let journal = std::fs::read(spot.folder().join(journal)).unwrap_or_default();
    journal.iter().filter(|byte| **byte == b'\n').count()
}

/// Starts spot and waits until it has written so many records, or has ended.
fn until_record(spot: &Spot, arguments: &[&str], number: usize) -> Child {
    let journal = journal_of(arguments);
    let before = records(spot, journal);
    let mut child = spot
        .command(arguments)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while records(spot, journal) < before + number && child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "record {number} was never written");
        std::thread::sleep(Duration::from_micros(500));
    }
    child
}

fn assert_nothing_left(spot: &Spot, when: &str, destroyed: &Finished) {
    let left = spot.sandbox(&["left"]).expect(0);
    assert_eq!(left.stdout, "", "{when}: {}", destroyed.all());
}

/// Checks several moments at a time, since most of the time is waiting; tells of all that failed.
fn at_each(moments: impl IntoIterator<Item = usize>, check: impl Fn(usize) + Sync) {
    let moments = Mutex::new(moments.into_iter().collect::<Vec<_>>().into_iter());
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let Some(moment) = moments.lock().unwrap().next() else { return };
                    let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(moment)));
                    if checked.is_err() {
                        failed.lock().unwrap().push(moment);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "failed at {failed:?}");
}

fn create_killed_at(record: usize) {
    let spot = project(CONFIG);
    let mut create = until_record(&spot, &["--sandbox", "create"], record);
    create.kill().unwrap();
    create.wait().unwrap();
    let destroyed = spot.sandbox(&["destroy", "--yes"]).expect(0);
    assert_nothing_left(&spot, &format!("create killed at record {record}"), &destroyed);
}

fn destroy_killed_at(record: usize) {
    let spot = project(CONFIG);
    spot.sandbox(&["create"]).expect(0);
    let mut destroy = until_record(&spot, &["--sandbox", "destroy", "--yes"], record);
    destroy.kill().unwrap();
    destroy.wait().unwrap();
    let destroyed = spot.sandbox(&["destroy", "--yes"]).expect(0);
    assert_nothing_left(&spot, &format!("destroy killed at record {record}"), &destroyed);
}

/// The cloud is this process and goes on when spot is killed, as EC2 does.
fn create_killed_under_a_living_cloud_at(record: usize, lost_answers: f64) {
    let spot = project(CONFIG);
    let faults = ec2::Faults { lost_answers, seed: Some(record as u64), ..Default::default() };
    let options = Options { boot_time: Duration::ZERO, faults, ..Options::default() };
    let sandbox = Sandbox::start_with(spot.folder(), options).unwrap();
    let access = sandbox.access();
    spot.write("spot.toml", &format!("{CONFIG}[aws]\nattempts = 8\n[ssh]\nport = {}\n", access.ssh_port));
    let spot = spot
        .env("AWS_ENDPOINT_URL", &access.url)
        .env("AWS_ACCESS_KEY_ID", &access.access_key)
        .env("AWS_SECRET_ACCESS_KEY", &access.secret_key);
    let mut create = until_record(&spot, &["create"], record);
    create.kill().unwrap();
    create.wait().unwrap();
    let destroyed = spot.run(&["destroy", "--yes"]).expect(0);
    let known = spot.run(&["known"]).expect(0);
    assert_eq!(known.stdout, "", "killed at record {record}: {}", destroyed.all());
    drop(sandbox);
    let left = calmly(&spot, &format!("{LEFT}left"));
    assert_eq!(left, serde_json::json!([]), "killed at record {record}: {}", destroyed.all());
}

#[test]
fn destroy_removes_what_a_create_killed_at_any_record_made() {
    at_each((0..90).step_by(22), create_killed_at);
    at_each((0..90).step_by(30), |record| create_killed_under_a_living_cloud_at(record, 0.1));
}

#[test]
fn destroy_completes_a_destroy_killed_at_any_record() {
    at_each((0..60).step_by(20), destroy_killed_at);
}

#[test]
#[ignore = "takes minutes: every record in place of some"]
fn every_record() {
    at_each(0..100, create_killed_at);
    at_each(0..90, |record| create_killed_under_a_living_cloud_at(record, 0.0));
    at_each(0..90, |record| create_killed_under_a_living_cloud_at(record, 0.2));
    at_each(0..75, destroy_killed_at);
}

fn interrupted_at(record: usize, times: usize, command: &[&str]) {
    let spot = project(CONFIG);
    let when = format!("{command:?} interrupted {times} times at record {record}");
    if command != CREATE {
        spot.sandbox(CREATE).expect(0);
    }
    let mut child = until_record(&spot, &[&["--sandbox"], command].concat(), record);
    let started = Instant::now();
    for _ in 0..times {
        // A child that has ended and been waited for has no process id any more: it may be another's.
        if child.try_wait().unwrap().is_some() {
            break;
        }
        kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = ended(child);
    let stderr = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        assert_eq!(output.status.code(), Some(130), "{when}: {stderr}");
    }
    assert!(started.elapsed() < Duration::from_secs(12), "{when}: took {:?}: {stderr}", started.elapsed());
    // What a destroy has ended may still be in state; nothing in the cloud may be missing there.
    let compare = if command == CREATE { "both" } else { "lost" };
    assert_eq!(spot.sandbox(&[compare]).expect(0).stdout, "", "{when}: {stderr}");
    let destroyed = spot.sandbox(&["destroy", "--yes"]).expect(0);
    assert_nothing_left(&spot, &when, &destroyed);
}

#[test]
fn control_c_at_any_record_keeps_state_and_cloud_together() {
    at_each((1..80).step_by(39), |record| interrupted_at(record, 1, CREATE));
    at_each((1..80).step_by(39), |record| interrupted_at(record, 2, CREATE));
    at_each((1..60).step_by(29), |record| interrupted_at(record, 1, DESTROY));
    at_each((1..60).step_by(29), |record| interrupted_at(record, 2, DESTROY));
}

#[test]
#[ignore = "takes minutes: every record in place of some"]
fn every_interrupt() {
    at_each(1..80, |record| interrupted_at(record, 1, CREATE));
    at_each(1..80, |record| interrupted_at(record, 2, CREATE));
    at_each(1..70, |record| interrupted_at(record, 1, DESTROY));
    at_each(1..70, |record| interrupted_at(record, 2, DESTROY));
}

// ---- a cloud with faults, through the crate -----------------------------------------------------

fn run(folder: &Path, faults: &ec2::Faults, recipe: &str, words: &[&str]) -> Result<Outcome, spot::Failure> {
    let options = Options { boot_time: Duration::ZERO, faults: faults.clone(), ..Options::default() };
    let sandbox = Sandbox::start_with(folder, options).unwrap();
    let host = Host::builder()
        .project(folder)
        .sandbox(&sandbox)
        .ui(Arc::new(Recorder::with_answers([Answer::Confirmed(true)])))
        .build()
        .unwrap();
    host.run(recipe, words.iter().copied())
}

/// What a recipe finds on the same cloud without faults.
fn calmly(spot: &Spot, text: &str) -> serde_json::Value {
    let path = spot.write("recipes/calmly.rhai", text);
    run(spot.folder(), &ec2::Faults::default(), &path.to_string_lossy(), &[]).unwrap().value
}

/// The ids that the cloud and state agree on, after what was open is settled.
fn agreed(spot: &Spot, when: &str) -> usize {
    let both = calmly(spot, &format!("{BOTH}[cloud, known]"));
    assert_eq!(both[0], both[1], "{when}: cloud and state disagree");
    both[0].as_array().unwrap().len()
}

fn left(spot: &Spot) -> serde_json::Value {
    calmly(spot, &format!("{LEFT}left + state::instances() + state::networks()"))
}

fn with_faults(faults: &ec2::Faults, config: &str) {
    let spot = project(config);
    let when = format!("{faults:?}");
    let started = Instant::now();
    let created = run(spot.folder(), faults, "create", &[]);
    let count = agreed(&spot, &when);
    match &created {
        Ok(_) => assert_eq!(count, 4, "{when}"),
        Err(failure) => assert!(count <= 4, "{when}: {count} instances after {failure}"),
    }
    let created_after = started.elapsed();
    // A removal may exhaust its retries too; each goes on where the one before stopped.
    let mut tries = 0;
    let seeded =
        |tries: u64| ec2::Faults { seed: faults.seed.map(|seed| seed + 100 * tries), ..faults.clone() };
    while let Err(failure) = run(spot.folder(), &seeded(tries), "destroy", &[]) {
        tries += 1;
        assert!(tries < 10, "{when}: destroy fails again and again: {failure}");
    }
    assert_eq!(left(&spot), serde_json::json!([]), "{when}");
    let created = created.map(drop).map_err(|failure| failure.to_string());
    eprintln!(
        "{when}: {created:?} after {created_after:?}, {count} instances, {tries} more tries to destroy, {:?}",
        started.elapsed()
    );
    assert!(started.elapsed() < Duration::from_secs(300), "{when}: took {:?}", started.elapsed());
}

fn shared(config: &str) -> String {
    config.replace("dedicated = true", "dedicated = false")
}

#[test]
fn throttling_and_lost_answers_lose_and_double_nothing() {
    at_each(1..=3, |seed| {
        let faults = ec2::Faults {
            throttle: 0.15,
            lost_answers: 0.15,
            malformed_answers: 0.05,
            latency: vec![ec2::Latency::fixed(Duration::from_millis(5))],
            seed: Some(seed as u64),
            ..Default::default()
        };
        with_faults(&faults, &shared(CONFIG));
    });
}

#[test]
#[ignore = "takes minutes: more seeds, and faults that exhaust the retries"]
fn many_seeds() {
    at_each(0..16, |seed| {
        let share = if seed % 2 == 0 { 0.15 } else { 0.3 };
        let faults = ec2::Faults {
            throttle: share,
            lost_answers: share,
            latency: vec![ec2::Latency::fixed(Duration::from_millis(5))],
            seed: Some(seed as u64),
            ..Default::default()
        };
        let config = if seed % 4 < 2 { shared(CONFIG) } else { CONFIG.to_owned() };
        with_faults(&faults, &config);
    });
}

// ---- capacity -----------------------------------------------------------------------------------

fn without(zone: &str) -> ec2::CapacityFault {
    ec2::CapacityFault { zone: Some(zone.to_owned()), ..Default::default() }
}

fn shortage(capacity: impl IntoIterator<Item = ec2::CapacityFault>) -> ec2::Faults {
    ec2::Faults { capacity: capacity.into_iter().collect(), ..Default::default() }
}

/// A field of all instances in state, sorted.
fn field(spot: &Spot, name: &str) -> Vec<String> {
    let instances = spot.instances(".spot/sandbox");
    let mut values: Vec<String> = instances.iter().map(|it| it[name].as_str().unwrap().to_owned()).collect();
    values.sort();
    values
}

#[test]
fn a_pool_without_capacity_falls_through_to_the_next() {
    let spot = project(&shared(CONFIG));
    let micro = ec2::CapacityFault { instance_type: Some("t3.micro".to_owned()), ..Default::default() };
    let zones = ["us-west-2a", "us-west-2b", "eu-central-1a"].map(without);
    run(spot.folder(), &shortage(zones.into_iter().chain([micro])), "create", &[]).unwrap();
    assert_eq!(field(&spot, "type"), ["t3a.micro"; 4]);
    // Which of two zones with room a fleet takes is a matter of price.
    let zones = field(&spot, "zone");
    assert!(
        zones
            .iter()
            .all(|zone| ["eu-central-1b", "eu-central-1c", "us-west-2c", "us-west-2d"]
                .contains(&zone.as_str())),
        "{zones:?}"
    );
    assert_eq!(zones.iter().filter(|zone| zone.starts_with("us-west-2")).count(), 2);
}

#[test]
fn a_region_without_capacity_leaves_its_share_to_the_others() {
    let west = || shortage(["us-west-2a", "us-west-2b", "us-west-2c", "us-west-2d"].map(without));
    let spot = project(&shared(CONFIG));
    run(spot.folder(), &west(), "create", &[]).unwrap();
    assert_eq!(field(&spot, "region"), ["eu-central-1"; 4]);
    // Also to one that had no share of its own.
    let spot = project(&shared(CONFIG));
    run(spot.folder(), &west(), "create", &["--count", "1"]).unwrap();
    assert_eq!(field(&spot, "region"), ["eu-central-1"]);
}

#[test]
fn too_little_capacity_is_a_partial_failure_and_none_is_a_failure() {
    let spot = project(CONFIG);
    let one = ec2::CapacityFault { available: Some(1), ..Default::default() };
    let failure = run(spot.folder(), &shortage([one]), "create", &[]).unwrap_err();
    assert_eq!((failure.exit_code(), agreed(&spot, "one in each region")), (3, 2), "{failure}");
    assert_eq!(failure.error.message(), "2 of 4 hosts not ready");

    let spot = project(CONFIG);
    let failure = run(spot.folder(), &shortage([ec2::CapacityFault::default()]), "create", &[]).unwrap_err();
    assert_eq!((failure.exit_code(), agreed(&spot, "no capacity")), (1, 0), "{failure}");
    assert_eq!(failure.error.message(), "no instance could be launched");
    assert_eq!(failure.error.code(), Some("InsufficientInstanceCapacity"));
    run(spot.folder(), &ec2::Faults::default(), "destroy", &[]).unwrap();
    assert_eq!(left(&spot), serde_json::json!([]));
}

// ---- what went away -----------------------------------------------------------------------------

/// A region that the account has not opted in to refuses every call.
#[test]
fn a_region_that_refuses_everything_does_not_hold_up_the_others() {
    let spot = project(&CONFIG.replace("eu-central-1", "af-south-1"));
    let created = spot.sandbox(&["create"]).expect(0);
    assert!(created.stderr.contains("af-south-1: "), "{}", created.all());
    assert_eq!(field(&spot, "region"), ["us-west-2"; 4]);
    let listed = spot.sandbox(&["list"]).expect(0);
    assert!(listed.stdout.contains("4 instances, 4 running"), "{}", listed.all());

    // One instance is in the closed region: it is kept and told of, the others go.
    let text = spot.read(".spot/sandbox/instances.json");
    let mut document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let instances = document["instances"].as_array_mut().unwrap();
    instances
        .push(serde_json::json!({ "id": "i-0000000000000cafe", "region": "af-south-1", "state": "running" }));
    spot.write(".spot/sandbox/instances.json", &document.to_string());
    let destroyed = spot.sandbox(&["destroy", "--yes"]).expect(5);
    assert!(destroyed.stderr.contains("i-0000000000000cafe: "), "{}", destroyed.all());
    assert_eq!(field(&spot, "id"), ["i-0000000000000cafe"]);
    assert_eq!(spot.sandbox(&["left"]).expect(0).stdout.lines().count(), 1, "{}", destroyed.all());
    assert!(spot.sandbox(&["list"]).stderr.contains("af-south-1"));
}

#[test]
fn instances_that_ended_behind_its_back_count_as_removed() {
    let spot = project(CONFIG);
    spot.sandbox(&["create"]).expect(0);
    spot.write(
        "recipes/behind.rhai",
        "for r in aws::terminate(state::instances().extract(0, 2)) { print(r.ok); }",
    );
    assert_eq!(spot.sandbox(&["behind"]).expect(0).stdout, "true\ntrue\n");
    // And one that the cloud has forgotten.
    let text = spot.read(".spot/sandbox/instances.json");
    spot.write(
        ".spot/sandbox/instances.json",
        &text.replacen(&field(&spot, "id")[3], "i-0000000000000cafe", 1),
    );
    let destroyed = spot.sandbox(&["destroy", "--yes"]).expect(0);
    assert_nothing_left(&spot, "two were terminated, one forgotten", &destroyed);
}
