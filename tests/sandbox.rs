//! What a recipe does in the sandbox cannot reach the machine.

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
             let plan = fleet::prepare(project, #{{ count: 1, regions: [\"us-west-2\"], types: [\"t3.micro\"], market: \"spot\", max_price: 0.0 }}, aws::identity());\n\
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
