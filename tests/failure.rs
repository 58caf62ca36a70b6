//! What becomes of what a failed run made: kept, rolled back, or asked about.

use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::spot::{Finished, Spot, ended, eventually};

fn project() -> Spot {
    let spot = Spot::new();
    spot.write(
        "spot.toml",
        "[fleet]\ncount = 2\nregions = [\"us-west-2\", \"eu-central-1\"]\ntypes = [\"t3.micro\", \"t3a.micro\"]\n\
         [network]\ndedicated = true\n",
    );
    spot.write("deploy/setup.sh", "#!/bin/sh\nexit 1\n");
    spot
}

/// Asserts that the sandbox's cloud has nothing that spot made, whatever the state says.
#[track_caller]
fn nothing_is_left(spot: &Spot, why: &Finished) {
    let nothing = spot.sandbox(&["nuke", "--yes"]).expect(0);
    assert!(nothing.stderr.contains("has nothing that spot made"), "{}\n{}", nothing.all(), why.all());
}

fn journal(spot: &Spot) -> String {
    std::fs::read_to_string(spot.folder().join(".spot/sandbox/.spot/journal.jsonl")).unwrap_or_default()
}

fn ids(spot: &Spot) -> Vec<String> {
    let text = |instance: &serde_json::Value| instance["id"].as_str().unwrap().to_owned();
    spot.instances(".spot/sandbox").iter().map(text).collect()
}

#[test]
fn a_failed_run_is_kept_and_names_its_cost_and_the_command_that_removes_it() {
    let spot = project();
    let first = spot.sandbox(&["create", "--count", "1", "--regions", "us-west-2"]).expect(5);
    assert!(first.stderr.contains("1 instance of this run exists, about $0.0"), "{}", first.all());
    assert!(first.stderr.contains("'spot --sandbox destroy' removes them"), "{}", first.all());
    let kept = ids(&spot);

    // An earlier fleet is not what the command removes.
    let second = spot.sandbox(&["create", "--count", "3", "--on-failure", "ask"]).expect(5);
    assert!(second.stderr.contains("nobody can be asked here"), "{}", second.all());
    let all = ids(&spot);
    let removal = |one: &str, other: &str| format!("destroy {one} {other}' removes them");
    let either = [removal(&all[1], &all[2]), removal(&all[2], &all[1])];
    assert!(either.iter().any(|removal| second.stderr.contains(removal)), "{either:?}: {}", second.all());
    spot.sandbox(&["destroy", &all[1], &all[2], "--yes"]).expect(0);
    assert_eq!(ids(&spot), kept);
}

#[test]
fn a_rollback_removes_what_the_run_made_and_nothing_else() {
    let spot = project();
    spot.sandbox(&["create", "--count", "1", "--regions", "us-west-2", "--on-failure", "keep"]).expect(5);
    let kept = ids(&spot);
    let networks = spot.read(".spot/sandbox/instances.json").matches("\"vpc_id\": \"vpc-").count();

    let failed = spot.sandbox(&["create", "--on-failure", "rollback"]).expect(1);
    assert!(failed.stderr.contains("rolled back: nothing of this run is left"), "{}", failed.all());
    assert_eq!(ids(&spot), kept);
    // The network in eu-central-1 was made in this run, that in us-west-2 was there.
    let text = spot.read(".spot/sandbox/instances.json");
    assert_eq!(text.matches("\"vpc_id\": \"vpc-").count(), networks, "{text}");
    assert!(!text.contains("eu-central-1"), "{text}");
    spot.sandbox(&["destroy", "--yes"]).expect(0);
    nothing_is_left(&spot, &failed);
}

#[test]
fn the_configuration_and_the_recipe_set_the_policy_and_the_command_line_wins() {
    let spot = project();
    let configured = spot.read("spot.toml").replace("[fleet]", "[fleet]\non_failure = \"rollback\"");
    spot.write("spot.toml", &configured);
    let failed = spot.sandbox(&["create", "--count", "1"]).expect(1);
    nothing_is_left(&spot, &failed);

    let launch = "let network = aws::ensure_network(#{ region: \"us-west-2\" });\n\
        let found = aws::pools(#{ region: \"us-west-2\", types: [\"t3.micro\"], network: network });\n\
        aws::launch(#{ region: \"us-west-2\", count: 1, pools: found.pools, network: network });\n";
    spot.write("recipes/half.rhai", &format!("{launch}on_failure(\"keep\");\nfail(\"on purpose\");\n"));
    spot.sandbox(&["half"]).expect(5);
    assert_eq!(ids(&spot).len(), 1);
    let failed = spot.sandbox(&["half", "--on-failure", "rollback"]).expect(1);
    assert_eq!(ids(&spot).len(), 1, "{}", failed.all());

    spot.write("recipes/half.rhai", "on_failure(\"rolback\");\n");
    let wrong = spot.sandbox(&["half"]).expect(2);
    assert!(wrong.stderr.contains("did you mean `rollback`?"), "{}", wrong.all());
    spot.write("spot.toml", &configured.replace("\"rollback\"", "\"rolback\""));
    let wrong = spot.sandbox(&["create"]).expect(2);
    assert!(wrong.stderr.contains("spot.toml:2:") && wrong.stderr.contains("`rollback`"), "{}", wrong.all());
}

#[test]
fn control_c_rolls_back_and_a_second_one_leaves_it_to_the_next_command() {
    let interrupt = |spot: &Spot, marks: &[&str]| {
        let mut command = spot.command(&["--sandbox", "create", "--on-failure", "rollback"]);
        let run = command.stderr(Stdio::piped()).spawn().unwrap();
        for mark in marks {
            eventually(mark, 60, || journal(spot).contains(mark));
            kill(Pid::from_raw(run.id().try_into().unwrap()), Signal::SIGINT).unwrap();
        }
        let output = ended(run);
        Finished {
            code: output.status.code().unwrap_or(-1),
            stdout: String::new(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    };
    let spot = project();
    let once = interrupt(&spot, &["\"phase\":\"launched\""]).expect(130);
    assert!(once.stderr.contains("rolled back"), "{}", once.all());
    assert!(ids(&spot).is_empty(), "{}", once.all());
    nothing_is_left(&spot, &once);

    let spot = project();
    let twice = interrupt(&spot, &["\"phase\":\"launched\"", "\"action\":\"Rollback\""]);
    assert_eq!(twice.code, 130, "{}", twice.all());
    spot.write("recipes/settle.rhai", "state::settle();");
    let settled = spot.sandbox(&["settle"]).expect(0);
    assert!(ids(&spot).is_empty(), "{}{}", twice.all(), settled.all());
    nothing_is_left(&spot, &twice);
}

#[test]
fn a_rollback_that_was_killed_is_gone_on_with() {
    for mark in
        ["\"action\":\"Rollback\"", "\"action\":\"TerminateInstances\"", "\"action\":\"DeleteSubnet\""]
    {
        let spot = project();
        let mut create = spot
            .command(&["--sandbox", "create", "--on-failure", "rollback"])
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        eventually(mark, 60, || journal(&spot).contains(mark));
        create.kill().unwrap();
        create.wait().unwrap();
        spot.write(
            "recipes/settle.rhai",
            "for past in state::settle() { print(`${past.action} ${past.error}`); }",
        );
        let settled = spot.sandbox(&["settle"]).expect(0);
        assert!(settled.stdout.contains("Rollback"), "killed at {mark}: {}", settled.all());
        assert!(ids(&spot).is_empty(), "killed at {mark}: {}", settled.all());
        nothing_is_left(&spot, &settled);
    }
}
