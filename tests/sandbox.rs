//! What a recipe does in the sandbox cannot reach the machine.

use std::sync::Arc;
use std::time::Duration;

use spot::Host;
use spot::sandbox::hosts::HostFaults;
use spot::sandbox::{Options, PuppetFaults, Sandbox, ec2};
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
    assert!(refused.stderr.contains("or allow more: --sandbox-hosts"), "{}", refused.all());
    assert!(!refused.stderr.contains("quota") && !refused.stderr.contains("--types"), "{}", refused.all());
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

/// A project with one host in a sandbox that runs in the background.
const LAUNCH: &str = "let project = config::load();\n\
    let plan = fleet::prepare(project, #{ count: 1, regions: [\"us-west-2\"], types: [\"t3.micro\"], market: \"spot\", max_price: 0.0 });\n\
    print(fleet::reach(fleet::launch(plan))[0].id);";

#[test]
fn faults_of_a_running_sandbox_are_shown_and_changed() {
    let spot = Spot::new();
    spot.run(&["sandbox", "faults"]).expect(2);
    let (_running, _) = Background::start(&spot, &["--boot-time", "0"]);
    let nothing = spot.run(&["sandbox", "faults"]).expect(0);
    assert!(nothing.stderr.contains("nothing goes wrong on purpose"), "{}", nothing.all());
    spot.run(&["sandbox", "faults", "add", "error:DescribeVpcs=AccessDenied/403"]).expect(0);
    spot.run(&["sandbox", "faults", "add", "throttle=0.1", "capacity:us-west-2a=0"]).expect(0);
    let shown = spot.run(&["sandbox", "faults", "show"]).expect(0);
    let text = &shown.stdout;
    assert!(
        text.contains("throttle = 0.1\n") && text.contains("[[capacity]]") && text.contains("AccessDenied"),
        "{text}"
    );
    // What is shown is a file.
    spot.write("faults.toml", text);
    spot.run(&["sandbox", "faults", "clear"]).expect(0);
    assert_eq!(spot.run(&["sandbox", "faults"]).expect(0).stdout, "");
    spot.run(&["sandbox", "faults", "set", "--faults", "faults.toml", "--seed", "7", "throttle=0"]).expect(0);
    let json = spot.run(&["--json", "sandbox", "faults", "clear", "error"]).expect(0);
    let told: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    let told = &told["value"];
    assert_eq!((told["seed"].as_u64(), told["throttle"].as_f64()), (Some(7), Some(0.0)), "{told}");
    assert_eq!((told["error"].as_array().unwrap().len(), told["capacity"].as_array().unwrap().len()), (0, 1));
    for (words, said) in [
        (&["set"][..], "there is nothing to set"),
        (&["add"], "there is nothing to add"),
        (&["add", "throtle=1"], "did you mean `throttle`?"),
        (&["add", "throttle=0.5", "throttle=2"], "must be from 0 to 1"),
        (&["clear", "capacty"], "did you mean `capacity`?"),
    ] {
        let refused = spot.run(&[&["sandbox", "faults"], words].concat()).expect(2);
        assert!(refused.stderr.contains(said), "{}", refused.all());
    }
    let after = spot.run(&["--json", "sandbox", "faults"]).expect(0);
    let after: serde_json::Value = serde_json::from_str(&after.stdout).unwrap();
    assert_eq!(after["value"], *told, "a wrong fault changes nothing");
}

#[test]
fn the_clock_of_a_running_sandbox_is_moved() {
    let spot = Spot::new();
    let (_running, _) = Background::start(&spot, &["--boot-time", "0", "--speed", "0"]);
    let now = |words: &[&str]| -> (jiff::Timestamp, f64) {
        let told = spot.run(&[&["--json", "sandbox", "clock"], words].concat()).expect(0);
        let told: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
        (told["value"]["now"].as_str().unwrap().parse().unwrap(), told["value"]["speed"].as_f64().unwrap())
    };
    let before = now(&[]);
    assert_eq!((before, before.1), (now(&["show"]), 0.0));
    let later = now(&["advance", "1h30m"]);
    assert_eq!(later.0.duration_since(before.0).as_secs(), 5400);
    let shown = spot.run(&["sandbox", "clock"]).expect(0);
    assert!(shown.stdout.contains("Z, standing still"), "{}", shown.all());
    assert_eq!(now(&["speed", "60"]).1, 60.0);
    for words in [
        &["advance", "3x"][..],
        &["advance", "-1"],
        &["advance", "9000d"],
        &["speed", "-1"],
        &["speed", "fast"],
    ] {
        spot.run(&[&["sandbox", "clock"], words].concat()).expect(2);
    }
    spot.run(&["sandbox", "start", "--speed", "1000000"]).expect(2);
    spot.run(&["sandbox", "start", "--disk", "much"]).expect(2);
}

#[test]
fn a_host_of_a_running_sandbox_fails_as_told() {
    let spot = Spot::new();
    let (_running, _) =
        Background::start(&spot, &["--boot-time", "0", "--check-signatures", "--disk", "32M"]);
    spot.write("recipes/launch.rhai", LAUNCH);
    let launched = spot.sandbox(&["launch"]).expect(0);
    let id = launched.stdout.trim();
    spot.run(&["sandbox", "host", "1"]).expect(0);
    let set = spot.run(&["sandbox", "host", "1", "login-refused", "command:apt-get/update*=100"]).expect(0);
    assert!(set.stdout.contains("login: \"refused\""), "{}", set.all());
    let refused = spot.sandbox(&["ssh", "1", "--", "true"]);
    assert_ne!(refused.code, 0, "{}", refused.all());
    let told = spot.run(&["--json", "sandbox", "host", &id[..8]]).expect(0);
    let told: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!(
        (told["value"]["id"].as_str(), told["value"]["faults"]["login"].as_str()),
        (Some(id), Some("refused"))
    );
    spot.run(&["sandbox", "host", id, "command:apt-get/update*=100"]).expect(0);
    spot.sandbox(&["ssh", "1", "--", "sudo apt-get update"]).expect(100);
    let commands = spot.run(&["sandbox", "host", "1", "commands"]).expect(0);
    assert!(commands.stdout.contains("apt-get update  [failed on purpose: 100]"), "{}", commands.all());
    spot.run(&["sandbox", "host", "1", "clear"]).expect(0);
    spot.sandbox(&["ssh", "1", "--", "sudo apt-get update"]).expect(0);
    let full = spot.sandbox(&["ssh", "1", "--", "head -c 40000000 /dev/zero > big"]);
    assert_ne!(full.code, 0, "{}", full.all());
    for (words, said) in [
        (&["2"][..], "there is no instance 2"),
        (&["1", "refsues"], "did you mean `refuses`?"),
        (&["1", "show", "refuses"], "stands alone"),
        (&["i-0123456789abcdef0"], "i-0123456789abcdef0"),
    ] {
        let refused = spot.run(&[&["sandbox", "host"], words].concat()).expect(2);
        assert!(refused.stderr.contains(said), "{}", refused.all());
    }
    let nobody = spot.run(&["sandbox", "interrupt", "2"]).expect(2);
    assert!(nobody.stderr.contains("there is no instance 2"), "{}", nobody.all());
    let notice = spot.run(&["sandbox", "interrupt", "1", "--notice", "3600"]).expect(0);
    assert!(notice.stderr.contains(&format!("{id} was given notice")), "{}", notice.all());
    spot.sandbox(&["destroy", "--yes"]).expect(0);
}

#[test]
fn a_recipe_makes_things_go_wrong_and_sees_what_follows() {
    let spot = Spot::new();
    let options = Options { boot_time: Duration::ZERO, ..Options::default() };
    let sandbox = Sandbox::start_with(spot.folder(), options).unwrap();
    let path = spot.write(
        "recipes/rehearse.rhai",
        r#"
        let order = #{ count: 1, regions: ["us-west-2"], types: ["t3.micro"], market: "spot", max_price: 0.0 };
        let launch = || fleet::launch(fleet::prepare(config::load(), order));

        // This region has no capacity now.
        sandbox::capacity(#{ type: "t3.micro" });
        let refused = false;
        try { launch.call(); } catch { refused = true; }
        if !refused && !state::instances().is_empty() { fail("launched without capacity"); }
        sandbox::capacity(#{ type: "t3.micro", available: 5 });
        let host = aws::wait_for(launch.call(), "address")[0];

        // This host refuses SSH.
        sandbox::host(host, "refuses");
        let told = sandbox::host([host])[0];
        if told.id != host.id || told.faults.refuses != true { fail(`told ${told}`); }
        if ssh::wait([host], #{ timeout: 2 })[0].ok { fail("SSH was not refused"); }
        sandbox::host(host, []);
        if !ssh::wait([host], #{ timeout: 60 })[0].ok { fail("SSH is still refused"); }
        ssh::run(host, "sudo apt-get update", #{ quiet: true });
        if sandbox::host(host).commands.filter(|it| it.command == "apt-get").is_empty() { fail("no commands"); }

        // Three hours pass.
        let before = sandbox::clock().now;
        sandbox::interrupt(host.id, #{ notice: 7200 });
        sandbox::advance(3 * 3600);
        let after = sandbox::clock(#{ speed: 1 }).now;
        aws::wait_for([host], "terminated");

        let wrong = [];
        let misspelt = #{ zne: "a" };
        for it in [|| sandbox::faults("throtle=1"), || sandbox::faults(5), || sandbox::capacity(misspelt),
                   || sandbox::capacity(#{ zone: "us-wset-2a" }), || sandbox::advance("x"), || sandbox::advance(-1),
                   || sandbox::clock(#{ speed: -1 }), || sandbox::host("x/y"), || sandbox::host(host, "refsues")] {
            try { it.call(); wrong.push("accepted"); } catch (e) { wrong.push(e.message); }
        }
        #{ before: before, after: after, wrong: wrong, capacity: sandbox::faults().capacity.len() }
        "#,
    );
    let host = Host::builder().project(spot.folder()).sandbox(&sandbox).ui(Arc::new(Recorder::default()));
    let told = host.build().unwrap().run(&path.to_string_lossy(), [""; 0]).unwrap().value;
    let time = |key: &str| -> jiff::Timestamp { told[key].as_str().unwrap().parse().unwrap() };
    assert!(time("after").duration_since(time("before")).as_secs() >= 3 * 3600, "{told}");
    assert_eq!(told["capacity"], 1, "the second capacity took the place of the first: {told}");
    let wrong: Vec<&str> = told["wrong"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    for (said, words) in wrong.iter().zip([
        "did you mean `throttle`?",
        "expected a short form",
        "unknown option `zne`",
        "did you mean `us-west-2a`?",
        "expected a number of seconds",
        "seconds from 0",
        "from 0 to",
        "is no instance id",
        "",
    ]) {
        assert!(said.contains(words) && *said != "accepted", "{wrong:?}");
    }
}

#[test]
fn outside_a_sandbox_nothing_can_be_made_to_go_wrong() {
    let spot = Spot::new();
    let host = Host::builder().project(spot.folder()).ui(Arc::new(Recorder::default())).build().unwrap();
    for call in [
        "sandbox::faults()",
        "sandbox::faults([])",
        "sandbox::capacity(#{})",
        "sandbox::clock()",
        "sandbox::advance(1)",
        "sandbox::host(\"i-0123456789abcdef0\")",
        "sandbox::host(\"i-0123456789abcdef0\", [])",
    ] {
        let path = spot.write("recipes/part.rhai", call);
        let failure = host.run(&path.to_string_lossy(), [""; 0]).unwrap_err().to_string();
        assert!(failure.contains("this run does not work in a sandbox"), "{call}: {failure}");
    }
}

/// In the default network: of one that it makes, spot itself draws the block anew for each run.
///
/// What a recipe changes in a fresh sandbox under a seed, without what spot draws anew for each run; and the
/// ids of what it made.
fn changes_under(seed: u64) -> (Vec<String>, Vec<String>) {
    let spot = Spot::new();
    spot.write(
        "spot.toml",
        "[fleet]\ncount = 4\nregions = [\"us-west-2\", \"eu-central-1\"]\ntypes = [\"t3.micro\"]\n",
    );
    let faults = ec2::Faults { seed: Some(seed), throttle: 0.1, lost_answers: 0.1, ..ec2::Faults::default() };
    let options = Options {
        boot_time: Duration::ZERO,
        puppets: Some(PuppetFaults::default()),
        record_calls: true,
        faults,
        ..Options::default()
    };
    let sandbox = Sandbox::start_with(spot.folder(), options).unwrap();
    let path = spot.write("recipes/make.rhai", "run(\"create\", #{}); state::instances().map(|it| it.id)");
    let host = Host::builder().project(spot.folder()).sandbox(&sandbox).ui(Arc::new(Recorder::default()));
    host.build().unwrap().run(&path.to_string_lossy(), [""; 0]).unwrap();
    const FRESH: &[&str] = &["Token", "Tag", "Name", "UserData", "PublicKeyMaterial", "Description", "Time"];
    let calls = sandbox.calls().into_iter();
    let changes = calls.filter(|call| !["Describe", "Get"].iter().any(|look| call.action.starts_with(look)));
    let changes = changes.map(|call| {
        let fixed = call.parameters.iter().filter(|(name, _)| !FRESH.iter().any(|part| name.contains(part)));
        let fixed: Vec<String> = fixed.map(|(name, value)| format!("{name}={value}")).collect();
        let code = call.code.as_deref().unwrap_or_default();
        format!(
            "{} {} {} {code} {:?} {}",
            call.region,
            call.action,
            call.status,
            call.faults,
            fixed.join("&")
        )
    });
    // Regions are worked on at the same time: what comes first in all is left to the machine.
    let mut changes: Vec<String> = changes.collect();
    changes.sort();
    let mut ids: Vec<String> = sandbox.inventory().unwrap().into_iter().map(|holding| holding.id).collect();
    ids.sort();
    (changes, ids)
}

#[test]
fn the_same_seed_gives_the_same_ids_and_the_same_calls() {
    let (first, again) = std::thread::scope(|scope| {
        let first = scope.spawn(|| changes_under(7));
        (changes_under(7), first.join().unwrap())
    });
    assert!(first.1.iter().any(|id| id.starts_with("i-")) && first.0.len() > 10, "{first:?}");
    assert_eq!(first.1, again.1, "ids");
    assert_eq!(first.0, again.0, "calls");
    assert!(
        first.0.iter().any(|call| call.contains("throttle") || call.contains("lost-answer")),
        "{first:?}"
    );
    assert_ne!(first.1, changes_under(8).1, "another seed gives other ids");
}

#[test]
fn the_metadata_service_tells_tags_when_it_was_asked_to() {
    let spot = Spot::new();
    let options = Options { boot_time: Duration::ZERO, ..Options::default() };
    let sandbox = Sandbox::start_with(spot.folder(), options).unwrap();
    let access = sandbox.access();
    let launch = r#"
import boto3, sys
ec2 = boto3.client("ec2", endpoint_url=sys.argv[1], region_name="us-west-2", aws_access_key_id="sandbox", aws_secret_access_key="sandbox")
key = ec2.create_key_pair(KeyName="key", KeyType="ed25519")["KeyMaterial"]
image = sorted(ec2.describe_images(Owners=["099720109477"], Filters=[{"Name": "architecture", "Values": ["x86_64"]}])["Images"], key=lambda it: it["CreationDate"])[-1]["ImageId"]
told = ec2.run_instances(ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1, KeyName="key",
    MetadataOptions={"InstanceMetadataTags": "enabled", "HttpTokens": "optional"},
    TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "web 1"}]}])["Instances"][0]["InstanceId"]
ec2.get_waiter("instance_running").config.delay = 1
ec2.get_waiter("instance_running").wait(InstanceIds=[told])
open("key", "w", opener=lambda path, flags: __import__("os").open(path, flags, 0o600)).write(key)
print(ec2.describe_instances(InstanceIds=[told])["Reservations"][0]["Instances"][0]["PublicIpAddress"])
"#;
    let python = std::process::Command::new("python3")
        .args(["-c", launch, &access.url])
        .current_dir(spot.folder())
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/nonexistent")
        .output()
        .unwrap();
    assert!(python.status.success(), "{}", String::from_utf8_lossy(&python.stderr));
    let address = String::from_utf8(python.stdout).unwrap();
    let ask = "exec 3<>/dev/tcp/${AWS_EC2_METADATA_SERVICE_ENDPOINT#http://}; :";
    let ask = ask.replace(
        "/dev/tcp/${AWS_EC2_METADATA_SERVICE_ENDPOINT#http://}; :",
        "\"/dev/tcp/${at%:*}/${at#*:}\"",
    );
    let script = format!(
        "at=${{AWS_EC2_METADATA_SERVICE_ENDPOINT#http://}}; {ask}; \
         printf 'GET /latest/meta-data/tags/instance/Name HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n' >&3; tail -n 1 <&3"
    );
    let ssh = std::process::Command::new("ssh")
        .args(["-F", "/dev/null", "-i", "key", "-p", &access.ssh_port.to_string(), "-o", "BatchMode=yes"])
        .args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-l", "ubuntu"])
        .args([address.trim(), &format!("exec bash -c '{}'", script.replace('\'', "'\\''"))])
        .current_dir(spot.folder())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ssh.stdout);
    assert_eq!(said.trim(), "web 1", "{}", String::from_utf8_lossy(&ssh.stderr));
}

#[test]
fn a_name_that_does_not_resolve_is_asked_for_again_and_then_told() {
    let spot = Spot::new();
    let options = Options { record_calls: true, ..Options::default() };
    let sandbox = Sandbox::start_with(spot.folder(), options).unwrap();
    let look = |text: &str| {
        let path = spot.write("recipes/part.rhai", text);
        let host = Host::builder().project(spot.folder()).sandbox(&sandbox).ui(Arc::new(Recorder::default()));
        // Pauses are a hundredth of what they are.
        host.time_scale(0.01).build().unwrap().run(&path.to_string_lossy(), [""; 0])
    };
    let lookups = || sandbox.calls().into_iter().filter(|call| call.faults == ["dns"]).count();
    let ask = "aws::zones(\"us-west-2\").len()";
    assert!(look(ask).unwrap().value.as_i64().unwrap() > 0);
    let mut faults = ec2::Faults::default();
    faults.add_short("dns:us-west-2=1").unwrap();
    sandbox.set_faults(&faults).unwrap();
    let failure = look(ask).unwrap_err();
    assert!(failure.to_string().contains("the name ec2.us-west-2.sandbox does not resolve"), "{failure}");
    assert_eq!(failure.error.code(), Some("EndpointUnreachable"), "{failure}");
    assert_eq!(lookups(), 6, "as often as any other failed call, and no more");
    assert!(look("aws::zones(\"eu-central-1\").len()").is_ok(), "another region has another name");
    // A name that resolves again at the second look is no failure.
    faults = ec2::Faults::default();
    faults.add_short("dns=0.5").unwrap();
    faults.seed = Some(1);
    sandbox.set_faults(&faults).unwrap();
    let before = lookups();
    let regions = ["us-west-2", "us-east-1", "us-east-2", "eu-central-1", "eu-west-1", "ap-northeast-1"];
    let answers =
        regions.iter().filter(|region| look(&format!("aws::zones(\"{region}\").len()")).is_ok()).count();
    assert!(answers >= 3 && lookups() > before, "{answers} of {}", regions.len());
}

#[test]
fn a_clock_that_is_wrong_is_corrected_from_the_answers() {
    for skew in [600.0, -600.0] {
        let spot = Spot::new();
        let faults = ec2::Faults { clock_skew: skew, ..ec2::Faults::default() };
        let options = Options { check_signatures: true, record_calls: true, faults, ..Options::default() };
        let sandbox = Sandbox::start_with(spot.folder(), options).unwrap();
        let path = spot.write(
            "recipes/part.rhai",
            "aws::zones(\"us-west-2\"); aws::instances(#{ region: \"us-west-2\" }); aws::identity().account",
        );
        let host = Host::builder().project(spot.folder()).sandbox(&sandbox).ui(Arc::new(Recorder::default()));
        host.build().unwrap().run(&path.to_string_lossy(), [""; 0]).unwrap();
        let refused: Vec<_> = sandbox.calls().into_iter().filter_map(|call| call.code).collect();
        // The first call of each client alone: EC2's in this region, and STS's.
        assert_eq!(refused, ["RequestExpired", "SignatureDoesNotMatch"], "{skew}");
    }
}
