//! The recipe `watch` on the sandbox.

use crate::spot::Spot;

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
