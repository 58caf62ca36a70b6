//! Killed or interrupted at any moment: the next command finds and removes what was made.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::spot::{Spot, ended, eventually};

fn project() -> Spot {
    let spot = Spot::new();
    spot.write(
        "spot.toml",
        "[fleet]\ncount = 4\nregions = [\"us-west-2\", \"eu-central-1\"]\ntypes = [\"t3.micro\"]\n",
    );
    spot
}

/// The instances that the sandbox's cloud has, whatever the state says.
fn alive(spot: &Spot) -> usize {
    spot.write(
        "recipes/alive.rhai",
        "print(fleet::total(aws::instances([\"us-west-2\", \"eu-central-1\"].map(|r| #{ region: r, everything: true })).map(|a| #{ n: a.instances.len() }), \"n\"));",
    );
    spot.sandbox(&["alive"]).expect(0).stdout.trim().parse().unwrap()
}

fn journal(spot: &Spot) -> String {
    std::fs::read_to_string(spot.folder().join(".spot/sandbox/.spot/journal.jsonl")).unwrap_or_default()
}

#[test]
fn destroy_removes_what_a_killed_create_made() {
    // Killed after each of these has been written to the journal.
    for mark in ["CreateSecurityGroup", "CreateLaunchTemplate", "CreateFleet", "\"phase\":\"launched\""] {
        let spot = project();
        let mut create = spot.command(&["--sandbox", "create"]).spawn().unwrap();
        eventually(mark, 60, || journal(&spot).contains(mark));
        create.kill().unwrap();
        create.wait().unwrap();

        let destroyed = spot.sandbox(&["destroy", "--yes"]).expect(0);
        assert_eq!(alive(&spot), 0, "killed at {mark}: {}", destroyed.all());
        let nothing = spot.sandbox(&["nuke", "--yes"]).expect(0);
        assert!(nothing.stderr.contains("has nothing that spot made"), "killed at {mark}: {}", nothing.all());
    }
}

#[test]
fn control_c_ends_in_good_order_and_says_what_exists() {
    let spot = project();
    let mut command = spot.command(&["--sandbox", "create"]);
    command.stderr(std::process::Stdio::piped());
    let create = command.spawn().unwrap();
    eventually("instances are in the journal", 60, || journal(&spot).contains("\"phase\":\"launched\""));
    kill(Pid::from_raw(create.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    let output = ended(create);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(
        stderr.contains("instances of this run exist") && stderr.contains("spot --sandbox destroy"),
        "{stderr}"
    );

    let known = spot.instances(".spot/sandbox").len();
    assert_eq!(alive(&spot), known, "state and cloud disagree");
    spot.sandbox(&["destroy", "--yes"]).expect(0);
    assert_eq!(alive(&spot), 0);
}
