//! The recipe `watch` on the sandbox.

use std::sync::Arc;
use std::time::Duration;

use spot::sandbox::Options;
use spot::ui::{Answer, Recorder};
use spot::{Host, Sandbox};

use crate::spot::{Spot, eventually};

fn project() -> Spot {
    let spot = Spot::new();
    spot.write("spot.toml", "[fleet]\nregions = [\"us-west-2\", \"eu-central-1\"]\ntypes = [\"t3.micro\"]\n");
    spot.write("deploy/setup.sh", "#!/bin/sh\necho ok > /opt/ready\n");
    spot
}

#[test]
fn a_quiet_fleet_is_left_alone_and_an_ended_instance_is_marked() {
    let spot = project();
    spot.sandbox(&["create", "--count", "2", "--regions", "us-west-2"]).expect(0);
    let quiet = spot.sandbox(&["watch", "--once"]).expect(0);
    assert!(quiet.stderr.contains("watching 2 instances"), "{}", quiet.all());
    assert!(!quiet.stderr.contains("warning"), "{}", quiet.all());

    spot.write(
        "recipes/end.rhai",
        "let one = [state::instances()[0]]; aws::terminate(one); aws::wait_for(one, \"terminated\");",
    );
    spot.sandbox(&["end"]).expect(0);
    let seen = spot.sandbox(&["watch", "--once", "--replace"]).expect(0);
    assert!(seen.stderr.contains("ended: i-"), "{}", seen.all());
    let hosts = spot.instances(".spot/sandbox");
    assert_eq!(hosts.len(), 2, "an instance that somebody ended is not replaced");
    assert_eq!((&hosts[0]["phase"], &hosts[0]["state"]), (&"ended".into(), &"terminated".into()));
    assert!(hosts[0]["error"].is_string() && hosts[1]["phase"] == "ready", "{hosts:?}");
    // It is told once.
    let again = spot.sandbox(&["watch", "--once"]).expect(0);
    assert!(
        again.stderr.contains("watching 1 instance") && !again.stderr.contains("ended: i-"),
        "{}",
        again.all()
    );
    spot.sandbox(&["destroy", "--yes"]).expect(0);
}

#[test]
fn a_replacement_is_ready_before_the_old_host_goes_and_comes_once() {
    let spot = project();
    spot.sandbox(&["create", "--count", "1", "--regions", "us-west-2"]).expect(0);
    let old = spot.instances(".spot/sandbox").remove(0);
    spot.write(
        "recipes/hint.rhai",
        "let opt = #{ replace: true, cooldown: 600.0, min_age: 0.0, interval: 0.2, timeout: 10.0, hook: () };\n\
         let host = state::instances()[0];\n\
         let notice = #{ id: host.id, region: host.region, host: host, event: \"rebalance\", seconds: (), time: (), code: (), message: () };\n\
         if watch::decide(watch::memory(), notice, opt).replace { watch::replace_all([notice], opt); }\n\
         print(watch::decide(watch::memory(), notice, opt).why);",
    );
    let done = spot.sandbox(&["hint"]).expect(0);
    let hosts = spot.instances(".spot/sandbox");
    assert_eq!(hosts.len(), 1, "{}", done.all());
    assert_ne!(hosts[0]["id"], old["id"]);
    assert_eq!(hosts[0]["replaces"], old["id"]);
    assert_eq!(hosts[0]["deployment_id"], old["deployment_id"]);
    assert_eq!((&hosts[0]["region"], &hosts[0]["phase"]), (&old["region"], &"ready".into()));
    assert!(done.stdout.contains("replaced by i-"), "{}", done.all());
    let told = done.stderr.find(" replaces ").unwrap();
    assert!(done.stderr[told..].contains("terminated"), "{}", done.all());
    spot.sandbox(&["destroy", "--yes"]).expect(0);
}

#[test]
fn watching_nothing_and_impossible_wishes_end_at_once() {
    let spot = project();
    let nothing = spot.sandbox(&["watch"]).expect(0);
    assert!(nothing.stderr.contains("no instances to watch"), "{}", nothing.all());
    let refused = spot.sandbox(&["watch", "--hook", "none.sh"]).expect(1);
    assert!(refused.stderr.contains("there is no file none.sh"), "{}", refused.all());
}

#[test]
fn watching_keeps_no_other_command_waiting() {
    let spot = project();
    spot.write(
        "recipes/hold.rhai",
        "state::set(\"a\", 1); print(state::unlock()); fs::write(\"held\", \"\"); sleep(30);",
    );
    let endpoint = spot.run(&["setup"]);
    assert_eq!(endpoint.code, 0);
    let mut first = spot.command(&["hold"]).spawn().unwrap();
    crate::spot::eventually("the first run has let go", 20, || spot.folder().join("held").exists());
    spot.write("recipes/change.rhai", "state::set(\"b\", 2);");
    spot.run(&["change", "--lock-timeout", "1"]).expect(0);
    first.kill().unwrap();
    first.wait().unwrap();
}

// ---- instances that EC2 takes back --------------------------------------------------------------

fn host(spot: &Spot, sandbox: &Sandbox) -> Host {
    Host::builder().project(spot.folder()).sandbox(sandbox).ui(Arc::new(Recorder::default())).build().unwrap()
}

fn open(spot: &Spot) -> Sandbox {
    Sandbox::start_with(spot.folder(), Options { boot_time: Duration::ZERO, ..Options::default() }).unwrap()
}

/// What a recipe returns.
fn value(spot: &Spot, host: &Host, text: &str) -> serde_json::Value {
    let path = spot.write("recipes/probe.rhai", text);
    host.run(&path.to_string_lossy(), [""; 0]).unwrap().value
}

#[test]
fn hints_that_come_again_and_again_give_one_replacement() {
    let spot = project();
    let sandbox = open(&spot);
    let host = host(&spot, &sandbox);
    host.run("create", ["--count", "2", "--regions", "us-west-2"]).unwrap();
    let before = value(&spot, &host, "state::instances().map(|i| i.id)");
    let notices = "aws::notices(state::instances()).map(|n| [n.event, n.asked])";
    let quiet = serde_json::json!([null, ["requests", "metadata"]]);
    assert_eq!(value(&spot, &host, notices), serde_json::json!([quiet, quiet]));

    for id in before.as_array().unwrap() {
        sandbox.interrupt(id.as_str().unwrap(), true, None).unwrap();
    }
    let heard = value(&spot, &host, notices);
    assert!(heard.as_array().unwrap().iter().all(|it| it[0] == "rebalance"), "{heard}");
    // Without --replace it is only told.
    host.run("watch", ["--once"]).unwrap();
    assert_eq!(value(&spot, &host, "state::instances().map(|i| i.id)"), before);
    for _ in 0..3 {
        host.run("watch", ["--once", "--replace", "--min-age", "0"]).unwrap();
        // The new ones are recommended to be replaced at once, too.
        let now = value(&spot, &host, "state::instances().map(|i| i.id)");
        for id in now.as_array().unwrap().iter().filter_map(|id| id.as_str()) {
            sandbox.interrupt(id, true, None).unwrap();
        }
    }
    let after = value(&spot, &host, "state::instances()");
    let list = after.as_array().unwrap();
    assert_eq!(list.len(), 2, "{after}");
    let fresh: Vec<_> = list.iter().filter(|it| !before.as_array().unwrap().contains(&it["id"])).collect();
    assert_eq!(fresh.len(), 1, "{after}");
    assert!(
        fresh[0]["phase"] == "ready" && before.as_array().unwrap().contains(&fresh[0]["replaces"]),
        "{after}"
    );
    host.run("destroy", [""; 0]).unwrap_err();
    let yes = Host::builder()
        .project(spot.folder())
        .sandbox(&sandbox)
        .ui(Arc::new(Recorder::with_answers([Answer::Confirmed(true)])))
        .build()
        .unwrap();
    yes.run("destroy", [""; 0]).unwrap();
}

#[test]
fn a_notice_runs_the_hook_in_time_marks_the_host_and_brings_another() {
    let spot = project();
    let sandbox = open(&spot);
    let host = host(&spot, &sandbox);
    host.run("create", ["--count", "1", "--regions", "us-west-2"]).unwrap();
    let old = value(&spot, &host, "state::instances()[0].id");
    let old = old.as_str().unwrap();
    spot.write("drain.sh", "#!/bin/sh\necho \"$SPOT_EVENT $SPOT_SECONDS\" >> /tmp/drained\n");
    sandbox.interrupt(old, false, Some(Duration::from_secs(100))).unwrap();
    let notice = value(
        &spot,
        &host,
        "let n = aws::notices(state::instances())[0]; [n.event, n.action, n.seconds, n.time]",
    );
    assert_eq!((&notice[0], &notice[1]), (&"interruption".into(), &"terminate".into()), "{notice}");
    assert!(notice[2].as_i64().is_some_and(|left| (50..=120).contains(&left)), "{notice}");

    host.run("watch", ["--once", "--hook", "drain.sh", "--replace"]).unwrap();
    let drained =
        value(&spot, &host, &format!("ssh::read(state::instance(\"{old}\"), \"/tmp/drained\").text"));
    assert!(drained.as_str().unwrap().starts_with("interruption "), "{drained}");
    let hosts = value(&spot, &host, "state::instances()");
    assert_eq!(hosts[0]["phase"], "interrupted", "{hosts}");
    assert!(hosts[0]["error"].is_string(), "{hosts}");
    assert_eq!((&hosts[1]["phase"], &hosts[1]["replaces"]), (&"ready".into(), &old.into()), "{hosts}");

    // The next looks neither run the hook nor replace again; the end is marked.
    host.run("watch", ["--once", "--hook", "drain.sh", "--replace"]).unwrap();
    let drained =
        value(&spot, &host, &format!("ssh::read(state::instance(\"{old}\"), \"/tmp/drained\").text"));
    assert_eq!(drained.as_str().unwrap().lines().count(), 1, "{drained}");
    sandbox.interrupt(old, false, Some(Duration::ZERO)).unwrap();
    eventually("the end is seen", 30, || {
        host.run("watch", ["--once", "--replace"]).unwrap();
        value(&spot, &host, "state::instances()[0].state") == "terminated"
    });
    let hosts = value(&spot, &host, "state::instances()");
    assert_eq!(hosts.as_array().unwrap().len(), 2, "{hosts}");
    assert!(hosts[0]["phase"] == "interrupted" && hosts[1]["phase"] == "ready", "{hosts}");
}
