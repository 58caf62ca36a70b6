//! What a recipe does in the sandbox cannot reach the machine.

use std::sync::Arc;
use std::time::Duration;

use spot::Host;
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
