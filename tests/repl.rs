//! The REPL over a pipe: what it prints, and that errors do not end it.

use std::io::Write;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::spot::{Spot, ended, eventually};

#[test]
fn lines_run_one_after_the_other() {
    let spot = Spot::new();
    let mut command = spot.command(&["--sandbox", "repl"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut repl = command.spawn().unwrap();
    let lines = "let x = 20;\nx * 2\nfn add(a, b) {\n a + b\n}\nadd(x, 1)\nx.oops\naws::identity().account\nhelp ssh::run\nhelp ssh::rnu\nexit\n";
    repl.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = ended(repl);
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{stdout}\n{stderr}");
    for part in
        ["40", "21", "123456789012", "ssh::run(hosts, command, options)", "Runs a shell command on hosts"]
    {
        assert!(stdout.contains(part), "`{part}` is missing in\n{stdout}\n{stderr}");
    }
    assert!(stderr.contains("did you mean `help ssh::run`?"), "{stderr}");
    assert!(stderr.contains("error: "), "{stderr}");
}

#[test]
fn every_line_may_be_interrupted() {
    let spot = Spot::new();
    let mut command = spot.command(&["repl"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut repl = command.spawn().unwrap();
    let process = Pid::from_raw(repl.id().try_into().unwrap());
    let mut input = repl.stdin.take().unwrap();
    for number in 0..4 {
        writeln!(input, "fs::write(\"mark-{number}\", \"\"); sleep(60);").unwrap();
        let mark = spot.folder().join(format!("mark-{number}"));
        eventually("the line runs", 30, || mark.exists());
        kill(process, Signal::SIGINT).unwrap();
    }
    writeln!(input, "20 + 2\nexit").unwrap();
    let output = ended(repl);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("22"), "{stderr}");
    assert_eq!(stderr.matches("finishing what is under way").count(), 4, "{stderr}");
}

#[test]
fn a_signal_at_the_prompt_ends_it_and_the_history_is_kept() {
    for signal in [Signal::SIGTERM, Signal::SIGHUP] {
        let spot = Spot::new();
        let mut command = spot.command(&["repl"]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut repl = command.spawn().unwrap();
        let mut input = repl.stdin.take().unwrap();
        writeln!(input, "let kept = 1;").unwrap();
        let history = spot.folder().join(".config/spot/history");
        eventually("the line is kept", 30, || {
            std::fs::read_to_string(&history).is_ok_and(|text| text.contains("let kept"))
        });
        kill(Pid::from_raw(repl.id().try_into().unwrap()), signal).unwrap();
        eventually("the prompt ends", 30, || repl.try_wait().unwrap().is_some());
        assert_eq!(repl.wait().unwrap().code(), Some(130), "{signal}");
        drop(input);
    }
}

/// What the REPL prints for these lines, on its two streams.
fn typed(spot: &Spot, lines: &str) -> (String, String) {
    let mut command = spot.command(&["--sandbox", "repl"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut repl = command.spawn().unwrap();
    repl.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = ended(repl);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    (String::from_utf8_lossy(&output.stdout).into_owned(), stderr)
}

#[test]
fn a_session_is_looked_at_loaded_saved_and_timed() {
    let spot = Spot::new();
    let part = spot.write("part.rhai", "#!/usr/bin/env -S spot run\n// A part.\nlet loaded = 6 * 7;\n");
    let (stdout, stderr) = typed(
        &spot,
        &format!(
            ":vars\nlet x = 40\n:load {}\n:time x + loaded\n:vars\n:tmie 1\nx.oops\nfleet.len()\n:save seen\n:save seen\n:sandbox\n:quit\n",
            part.display()
        ),
    );
    assert!(stderr.contains("no variables yet"), "{stderr}");
    assert!(stdout.contains("82\n") && stdout.contains("loaded             42"), "{stdout}");
    assert!(stderr.contains("did you mean `:time`?"), "{stderr}");
    assert!(stderr.contains("4 lines are in"), "{stderr}");
    assert!(stderr.contains("cannot be written"), "a second :save replaces nothing: {stderr}");
    assert!(stderr.contains("this is the project's sandbox"), "{stderr}");
    let saved = spot.read("recipes/seen.rhai");
    assert!(saved.contains("let fleet = state::instances();\nlet x = 40;\n"), "{saved}");
    assert!(!saved.contains("oops"), "{saved}");
    spot.sandbox(&["seen"]).expect(0);
}

#[test]
fn the_fleet_is_at_hand() {
    let spot = Spot::new();
    spot.sandbox(&["create", "--count", "2", "--regions", "us-west-2"]).expect(0);
    let (stdout, stderr) = typed(
        &spot,
        "fleet\nfleet.run(\"echo same\")\nfleet.select(\"1\").len()\nfleet.select(\"us-wst-2\")\nlet fleet = 5\nfleet + 1\n",
    );
    assert!(stdout.contains("public_ip") && stdout.matches("ready").count() == 2, "{stdout}");
    assert!(!stdout.contains("subnet_id"), "a table has what tells most: {stdout}");
    assert_eq!(stderr.matches("] same").count(), 1, "equal outputs are shown once: {stderr}");
    assert!(stderr.contains("2 of 2 ok"), "{stderr}");
    assert!(stderr.contains("did you mean `us-west-2`?"), "{stderr}");
    assert!(stdout.ends_with("6\n"), "a line may have the name for itself: {stdout}");
    let failed = spot.sandbox(&["eval", "fleet.run(\"exit 3\")"]).expect(0);
    assert!(failed.stdout.contains("0 of 2 ok"), "{}", failed.all());
    assert_eq!(spot.sandbox(&["eval", "fleet.len()"]).expect(0).stdout, "2\n");
    let json = spot.sandbox(&["--json", "eval", "fleet.len() + 1"]).expect(0);
    assert!(json.stdout.contains("\"value\":3"), "{}", json.all());
    spot.sandbox(&["eval", "let x = ["]).expect(2);
    spot.sandbox(&["destroy", "--yes"]).expect(0);
}
