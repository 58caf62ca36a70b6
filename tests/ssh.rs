//! Commands on hosts as recipes run them, and `spot ssh`, in the sandbox.

use std::io::Write;
use std::process::Stdio;

use crate::spot::{Spot, ended};

const RECIPE: &str = r#"
let hosts = state::instances();
let run = ssh::run(hosts, "echo same; test $SIDE = left", #{ quiet: true, env: #{ SIDE: "left" }, cwd: "/tmp" });
for group in ssh::fold(run) { print(`${group.count} ${group.output} ${group.difference == ()}`); }

let odd = hosts[0].id;
let differ = ssh::run(hosts, "hostname >/dev/null; cat /etc/odd 2>/dev/null || echo even", #{ quiet: true });
ssh::run(hosts[0], "echo odd | sudo tee /etc/odd", #{ quiet: true });
let folded = ssh::fold(ssh::run(hosts, "echo a; echo b; cat /etc/odd 2>/dev/null || echo even", #{ quiet: true }));
print(`${folded[0].count} | ${folded[1].title == `1 host: ${odd}`} ${folded[1].difference}`);
ssh::run(hosts, "echo shown", #{ fold: true });

let stopped = ssh::run(hosts, "exit 4", #{ quiet: true, fail_fast: true, concurrency: 1 });
print(stopped.map(|r| r.error.code));
let tolerated = ssh::run(hosts, "exit 4", #{ quiet: true, tolerate: 40, concurrency: 1 });
print(tolerated.map(|r| r.error.code));
let terminal = ssh::run(hosts[0], "tty -s && echo terminal", #{ quiet: true, pty: true });
print(terminal.stdout == "terminal\n");
let long = ssh::run(hosts[0], "seq 1 5000", #{ quiet: true, capture: 100 });
print(`${long.truncated > 20000} ${long.stdout_file.contains(".spot")}`);

let ready = ssh::wait(hosts, #{ cloud_init: true });
print(ready.all(|r| r.ok));
try { ssh::run(hosts, "true", #{ tolerate: 101 }) } catch (e) { print(e.message) }
try { ssh::forward(hosts[0], #{ remote_port: 0 }) } catch (e) { print(e.message) }
let tunnel = ssh::forward(hosts[0], #{ remote_port: 22 });
print(tunnel.address == `127.0.0.1:${tunnel.port}`);
"#;

#[test]
fn recipes_run_gather_and_stop() {
    let spot = Spot::new();
    spot.write("recipes/commands.rhai", RECIPE);
    spot.sandbox(&["create", "--count", "3", "--yes"]).expect(0);
    let finished = spot.sandbox(&["commands"]).expect(0);
    let lines: Vec<&str> = finished.stdout.lines().collect();
    assert_eq!(
        lines,
        [
            "3 same true",
            "2 | true -even",
            "+odd",
            r#"["CommandFailed", "NotBegun", "NotBegun"]"#,
            r#"["CommandFailed", "CommandFailed", "NotBegun"]"#,
            "true",
            "true true",
            "true",
            "ssh::run: option `tolerate`: expected a percentage from 0 to 100, found 101",
            "ssh::forward: option `remote_port`: expected a port from 1 to 65535, found 0",
            "true",
        ],
        "{}",
        finished.all()
    );
    assert!(finished.stderr.contains("3 hosts: i-"), "{}", finished.all());
    shells(&spot);
    spot.sandbox(&["destroy", "--yes"]).expect(0);
}

/// `spot ssh`, with the instances that there are.
fn shells(spot: &Spot) {
    let ids: Vec<String> = spot
        .instances(".spot/sandbox")
        .iter()
        .map(|instance| instance["id"].as_str().unwrap().to_owned())
        .collect();
    let finished = spot.sandbox(&["ssh", &ids[1], "--", "echo", "out;", "echo err >&2; exit 7"]).expect(7);
    assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("out\n", "err\n"));
    let mut command = spot.command(&["--sandbox", "ssh", "2", "--", "cat; echo end"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"typed\n").unwrap();
    assert_eq!(ended(child).stdout, b"typed\nend\n");
    for (word, expected) in [
        ("9", "there is no instance 9: there are 3"),
        ("i-", "several instances begin with `i-`"),
        ("web", "there is no instance `web` in the state"),
    ] {
        let finished = spot.sandbox(&["ssh", word]).expect(2);
        assert!(finished.stderr.contains(expected), "{}", finished.all());
    }
    let finished = spot.sandbox(&["ssh"]).expect(2);
    assert!(finished.stderr.contains("there are 3 instances"), "{}", finished.all());

    // A terminal of util-linux's script(1): what is typed goes to the host, and the terminal is as it
    // was afterwards.
    let line = format!(
        "stty cols 91 rows 31; before=$(stty -g); timeout --foreground 60 {} --sandbox ssh 1; echo \"code $?\"; \
         [ \"$before\" = \"$(stty -g)\" ] && echo restored",
        env!("CARGO_BIN_EXE_spot")
    );
    let environment = spot.command(&[]);
    let mut command = std::process::Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).current_dir(spot.folder()).env_clear();
    for (name, value) in environment.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command.env("TERM", "xterm").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = command.spawn().unwrap();
    let mut keyboard = child.stdin.take().unwrap();
    keyboard.write_all(b"stty size; exit 5\n").unwrap();
    let output = ended(child);
    drop(keyboard);
    let seen = String::from_utf8_lossy(&output.stdout);
    assert!(seen.contains("31 91") && seen.contains("code 5") && seen.contains("restored"), "{seen}");
}

#[test]
fn a_host_that_shows_another_key_than_its_console_is_told_nothing() {
    let spot = Spot::new();
    spot.write(
        "spot.toml",
        "[ssh]\nfirst_contact = \"confirmed\"\n[fleet]\nregions = [\"us-west-2\"]\ncount = 2\n",
    );
    let refused =
        spot.sandbox(&["--fault", "host:#1=other-host-key", "create", "--yes", "--on-failure", "keep"]);
    let refused = refused.expect(3);
    assert!(refused.stdout.contains("but its console tells"), "{}", refused.all());
    assert!(refused.stdout.contains("1 of 2 ready"), "{}", refused.all());
    let known = spot.read(".spot/sandbox/.spot/known_hosts");
    assert_eq!(known.lines().count(), 1, "{known}");
    spot.sandbox(&["destroy", "--yes"]).expect(0);
}
