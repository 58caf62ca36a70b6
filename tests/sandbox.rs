//! What a recipe does in the sandbox cannot reach the machine.

use std::sync::Arc;
use std::time::Duration;

use spot::Host;
use spot::sandbox::hosts::HostFaults;
use spot::sandbox::{Options, Sandbox};
use spot::ui::Recorder;

use crate::spot::Spot;

#[test]
fn a_recipe_cannot_harm_or_read_the_machine() {
    let spot = Spot::new();
    spot.write("private/secret.txt", "hush");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    spot.write(
        "recipes/wild.rhai",
        &format!(
            "let project = config::load();\n\
             let plan = fleet::prepare(project, #{{ count: 1, regions: [\"us-west-2\"], types: [\"t3.micro\"], market: \"spot\", max_price: 0.0 }});\n\
             let host = fleet::reach(fleet::launch(plan))[0];\n\
             let read = ssh::run(host, \"cat {folder}/private/secret.txt; ls {folder}\");\n\
             print(`read ${{read.ok}} ${{read.stdout}}`);\n\
             let net = ssh::run(host, \"bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}'\");\n\
             print(`net ${{net.ok}}`);\n\
             ssh::run(host, \"sudo rm -rf / --no-preserve-root\", #{{ quiet: true }});\n\
             print(\"survived\");",
            folder = spot.folder().display(),
        ),
    );
    let finished = spot.sandbox(&["wild"]).expect(0);
    assert!(finished.stdout.contains("read false \n"), "{}", finished.all());
    assert!(
        finished.stdout.contains("net false") && finished.stdout.contains("survived"),
        "{}",
        finished.all()
    );
    assert_eq!(spot.read("private/secret.txt"), "hush");
    spot.sandbox(&["destroy", "--yes"]).expect(0);
}

#[test]
fn a_second_run_in_one_sandbox_waits_and_then_gives_up() {
    let spot = Spot::new();
    spot.write("recipes/hold.rhai", "fs::write(\"held\", \"\"); sleep(30);");
    let mut first = spot.command(&["--sandbox", "hold"]).spawn().unwrap();
    crate::spot::eventually("the first run has started", 20, || spot.folder().join("held").exists());
    let second = spot.sandbox(&["list", "--lock-timeout", "1"]).expect(4);
    assert!(second.stderr.contains("sandbox"), "{}", second.all());
    first.kill().unwrap();
    first.wait().unwrap();
    spot.sandbox(&["list"]).expect(0);
}

/// Reads the two paths of the metadata service that tell of an interruption, on every instance.
const WATCH: &str = r#"
let probe = `
at=\${AWS_EC2_METADATA_SERVICE_ENDPOINT#http://}
ask() {
    exec 3<>"/dev/tcp/\${at%:*}/\${at#*:}" && printf '%s\r\n' "$1 $2 HTTP/1.1" "Host: x" "$3" "" >&3 && cat <&3
}
token=$(ask PUT /latest/api/token 'X-aws-ec2-metadata-token-ttl-seconds: 60' | tail -n 1)
for path in spot/instance-action events/recommendations/rebalance; do
    ask GET "/latest/meta-data/$path" "X-aws-ec2-metadata-token: $token" | tail -n 1; echo
done
`;
let hosts = fleet::reach(state::instances());
ssh::run(hosts[0], "exec bash -s", #{ stdin: probe }).stdout
"#;

#[test]
fn an_interruption_is_seen_on_the_host_and_in_the_cloud() {
    let spot = Spot::new();
    let options = Options { boot_time: Duration::ZERO, record_calls: true, ..Options::default() };
    let sandbox = Sandbox::start_with(spot.folder(), options).unwrap();
    let run = |text: &str| {
        let path = spot.write("recipes/part.rhai", text);
        let host = Host::builder()
            .project(spot.folder())
            .sandbox(&sandbox)
            .ui(Arc::new(Recorder::default()))
            .build()
            .unwrap();
        host.run(&path.to_string_lossy(), [""; 0]).unwrap().value
    };
    let id = run("let project = config::load();\n\
        let plan = fleet::prepare(project, #{ count: 1, regions: [\"us-west-2\"], types: [\"t3.micro\"], market: \"spot\", max_price: 0.0 });\n\
        fleet::launch(plan)[0].id");
    let id = id.as_str().unwrap();
    let quiet = run(WATCH);
    assert!(!quiet.as_str().unwrap().contains("terminate"), "{quiet}");
    sandbox.interrupt(id, true, Some(Duration::from_secs(3600))).unwrap();
    let told = run(WATCH);
    let told = told.as_str().unwrap();
    assert!(
        told.contains(r#"{"action":"terminate","time":"#) && told.contains(r#"{"noticeTime":"#),
        "{told}"
    );
    assert!(sandbox.interrupt("i-0123456789abcdef0", false, None).is_err());
    let calls = sandbox.calls();
    let launch = calls.iter().find(|call| {
        call.parameters.contains_key("TargetCapacitySpecification.TotalTargetCapacity")
            || call.action == "RunInstances"
    });
    assert!(launch.is_some_and(|call| call.status == 200 && call.end_ms >= call.start_ms), "{calls:?}");
}

/// A sandbox in the background, ended with the test.
struct Background<'a>(&'a Spot);

impl<'a> Background<'a> {
    fn start(spot: &'a Spot, options: &[&str]) -> (Self, crate::spot::Finished) {
        let finished = spot.run(&[&["sandbox", "start", "--detach"], options].concat()).expect(0);
        (Background(spot), finished)
    }
}

impl Drop for Background<'_> {
    fn drop(&mut self) {
        let _ = self.0.command(&["sandbox", "stop"]).output();
    }
}

#[test]
fn a_sandbox_that_runs_is_used_by_all_commands_at_once() {
    use std::os::unix::fs::PermissionsExt as _;
    let spot = Spot::new();
    spot.run(&["sandbox", "status"]).expect(1);
    spot.run(&["sandbox", "env"]).expect(2);
    let (running, started) = Background::start(&spot, &["--boot-time", "0"]);
    assert!(started.stdout.contains("export AWS_ENDPOINT_URL=http://127.0.0.1:"), "{}", started.all());
    let published = spot.folder().join(".spot/sandbox/endpoint.json");
    assert_eq!(published.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    spot.run(&["sandbox", "start"]).expect(4);
    spot.write("recipes/hold.rhai", "fs::write(\"held\", \"\"); sleep(30);");
    let mut first = spot.command(&["--sandbox", "hold"]).spawn().unwrap();
    crate::spot::eventually("the first run has started", 20, || spot.folder().join("held").exists());
    spot.write("recipes/ask.rhai", "print(sandbox::running()); print(aws::identity().account);");
    let second = spot.sandbox(&["ask", "--lock-timeout", "0"]).expect(0);
    assert!(second.stdout.starts_with("true\n"), "{}", second.all());
    first.kill().unwrap();
    first.wait().unwrap();
    let calls = spot.run(&["sandbox", "calls"]).expect(0);
    assert!(calls.stdout.contains("sts:GetCallerIdentity 200"), "{}", calls.all());
    spot.run(&["sandbox", "interrupt", "i-0123456789abcdef0"]).expect(2);
    spot.run(&["sandbox", "reset"]).expect(2);
    drop(running);
    spot.run(&["sandbox", "status"]).expect(1);
    spot.run(&["sandbox", "reset", "--yes"]).expect(0);
    assert!(!spot.folder().join(".spot/sandbox").exists());
}

#[test]
fn a_sandbox_that_was_killed_is_taken_over() {
    let spot = Spot::new();
    let (_running, _) = Background::start(&spot, &[]);
    let status = spot.run(&["--json", "sandbox", "status"]).expect(0);
    let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    let pid = i32::try_from(status["value"]["pid"].as_i64().unwrap()).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    crate::spot::eventually("it has ended", 20, || spot.run(&["sandbox", "status"]).code == 1);
    assert!(spot.folder().join(".spot/sandbox/endpoint.json").exists());
    spot.sandbox(&["list"]).expect(0);
    let (_again, _) = Background::start(&spot, &[]);
    spot.run(&["sandbox", "status"]).expect(0);
}

#[test]
fn faults_of_a_run_are_for_the_sandbox_and_are_written_down() {
    let spot = Spot::new();
    let refused = spot.run(&["--fault", "throttle=0.2", "list"]).expect(2);
    assert!(refused.stderr.contains("--fault is for the sandbox only"), "{}", refused.all());
    let wrong = spot.sandbox(&["--fault", "thottle=0.2", "list"]).expect(2);
    assert!(wrong.stderr.contains("throttle"), "{}", wrong.all());
    assert!(!spot.folder().join(".spot/sandbox/runs.jsonl").exists());
    let run = spot.sandbox(&["--fault", "throttle=0.1", "--seed", "7", "list"]).expect(0);
    assert!(run.stderr.contains("faults in force: throttle=0.1 --seed 7"), "{}", run.all());
    let line: serde_json::Value = serde_json::from_str(&spot.read(".spot/sandbox/runs.jsonl")).unwrap();
    assert_eq!((line["seed"].as_u64(), line["faults"]["throttle"].as_f64()), (Some(7), Some(0.1)));
}

#[test]
fn more_instances_than_the_machine_holds_are_refused_before_any_starts() {
    let spot = Spot::new();
    let refused = spot.sandbox(&["--sandbox-hosts", "2", "create", "--count", "3", "--regions", "us-west-2"]);
    assert_ne!(refused.code, 0, "{}", refused.all());
    assert!(refused.stderr.contains("--sandbox-hosts"), "{}", refused.all());
    assert_eq!(spot.instances(".spot/sandbox").len(), 0);
}

#[test]
fn faults_of_a_host_are_set_and_its_commands_read_from_outside() {
    let spot = Spot::new();
    let options = Options { boot_time: Duration::ZERO, ..Options::default() };
    let sandbox = Sandbox::start_with(spot.folder(), options).unwrap();
    let run = |text: &str| {
        let path = spot.write("recipes/part.rhai", text);
        let host = Host::builder().project(spot.folder()).sandbox(&sandbox).ui(Arc::new(Recorder::default()));
        host.build().unwrap().run(&path.to_string_lossy(), [""; 0]).unwrap().value
    };
    let id = run("let project = config::load();\n\
        let plan = fleet::prepare(project, #{ count: 1, regions: [\"us-west-2\"], types: [\"t3.micro\"], market: \"spot\", max_price: 0.0 });\n\
        fleet::reach(fleet::launch(plan))[0].id");
    let id = id.as_str().unwrap();
    let update = "fleet::reach(state::instances()).map(|host| ssh::run(host, \"sudo apt-get update\", #{ quiet: true }).ok)[0]";
    assert_eq!(run(update), serde_json::json!(true));
    let faults =
        r#"{"commands": [{"command": "apt-get", "arguments": "update*", "status": 100, "times": 1}]}"#;
    let faults: HostFaults = serde_json::from_str(faults).unwrap();
    sandbox.set_host_faults(id, &faults).unwrap();
    assert_eq!(run(update), serde_json::json!(false));
    let commands = sandbox.host_commands(id).unwrap();
    assert!(commands.contains(r#""arguments":["update"],"status":100}"#), "{commands}");
    for unknown in ["i-0123456789abcdef0", "nonsense"] {
        assert!(
            sandbox.set_host_faults(unknown, &faults).is_err() && sandbox.host_commands(unknown).is_err()
        );
    }
    let impossible = HostFaults { max_sessions: Some(0), ..HostFaults::default() };
    let error = sandbox.set_host_faults(id, &impossible).unwrap_err();
    assert!(error.message().contains("max_sessions"), "{error}");
}
