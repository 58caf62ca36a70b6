//! The shipped recipes on the sandbox, as a user runs them.

use crate::spot::{Finished, Spot};

fn project() -> Spot {
    let spot = Spot::new();
    spot.write(
        "spot.toml",
        "[fleet]\ncount = 3\nregions = [\"us-west-2\", \"eu-central-1\"]\ntypes = [\"t3.micro\"]\n\
         [deploy]\nfiles = \"deploy/files\"\nsetup = \"deploy/setup.sh\"\n[tags]\nteam = \"blue\"\n",
    );
    spot.write("deploy/files/app/hello.txt", "hello\n");
    let setup = spot.write(
        "deploy/setup.sh",
        "#!/bin/sh\nset -eu\ncat /opt/deployment/app/hello.txt > /opt/result\nid -u >> /opt/result\n",
    );
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(setup, std::fs::Permissions::from_mode(0o755)).unwrap();
    spot
}

fn ids(spot: &Spot) -> Vec<String> {
    spot.instances(".spot/sandbox")
        .iter()
        .map(|instance| instance["id"].as_str().unwrap().to_owned())
        .collect()
}

fn read_result(spot: &Spot) -> Finished {
    spot.write(
        "recipes/result.rhai",
        "for r in ssh::read(state::instances(), \"/opt/result\") { print(r.text); }",
    );
    spot.sandbox(&["result"]).expect(0)
}

#[test]
fn create_list_and_destroy() {
    let spot = project();
    let created = spot.sandbox(&["create"]).expect(0);
    for part in ["Plan", "about $", "account 123456789012", "setup", "3 hosts ready"] {
        assert!(
            created.stdout.contains(part) || created.stderr.contains(part),
            "`{part}` is missing in {}",
            created.all()
        );
    }
    let instances = spot.instances(".spot/sandbox");
    assert_eq!(instances.len(), 3);
    let regions: Vec<&str> = instances.iter().map(|instance| instance["region"].as_str().unwrap()).collect();
    assert_eq!(regions.iter().filter(|region| **region == "us-west-2").count(), 2);
    assert!(
        instances.iter().all(|instance| instance["phase"] == "ready" && instance["public_ip"].is_string())
    );
    assert_eq!(read_result(&spot).stdout, "hello\n0\nhello\n0\nhello\n0\n");

    let listed = spot.sandbox(&["list"]).expect(0);
    for id in ids(&spot) {
        assert!(listed.stdout.contains(&id), "{}", listed.all());
    }
    assert!(listed.stdout.contains("running"), "{}", listed.all());

    // Without --yes nothing happens on a pipe.
    let refused = spot.sandbox(&["destroy"]).expect(2);
    assert!(refused.stderr.contains("--yes"), "{}", refused.all());
    assert_eq!(ids(&spot).len(), 3);

    spot.sandbox(&["destroy", "--yes"]).expect(0);
    assert!(ids(&spot).is_empty());
    let nothing = spot.sandbox(&["destroy", "--yes"]).expect(0);
    assert!(nothing.stderr.contains("nothing to destroy"), "{}", nothing.all());
    let nothing = spot.sandbox(&["nuke", "--yes"]).expect(0);
    assert!(nothing.stderr.contains("has nothing that spot made"), "{}", nothing.all());
}

#[test]
fn a_second_fleet_never_forgets_the_first() {
    let spot = project();
    spot.sandbox(&["create", "--count", "1"]).expect(0);
    let first = ids(&spot);
    spot.sandbox(&["create", "--count", "3"]).expect(0);
    let both = ids(&spot);
    assert_eq!(both.len(), 3);
    assert_eq!(both[0], first[0]);

    // One of them by its id, then the rest.
    spot.sandbox(&["destroy", &first[0], "--yes"]).expect(0);
    assert_eq!(ids(&spot), both[1..]);
    let wrong = spot.sandbox(&["destroy", "i-0000000000000dead", "--yes"]).expect(2);
    assert!(wrong.stderr.contains("there is no instance `i-0000000000000dead`"), "{}", wrong.all());
    spot.sandbox(&["destroy", "--yes"]).expect(0);
    assert!(ids(&spot).is_empty());
}

#[test]
fn a_host_whose_setup_fails_stays_in_state_with_its_error() {
    let spot = project();
    spot.write("deploy/setup.sh", "#!/bin/sh\necho going\ncase $(hostname) in *) test ! -e /tmp/none ;; esac\necho 'disk is full' >&2\nexit 7\n");
    let failed = spot.sandbox(&["create", "--count", "2"]).expect(5);
    assert!(
        failed.stderr.contains("exited with status 7") && failed.stderr.contains("disk is full"),
        "{}",
        failed.all()
    );
    let instances = spot.instances(".spot/sandbox");
    assert_eq!(instances.len(), 2);
    for instance in &instances {
        assert_eq!(instance["phase"], "failed");
        assert!(instance["error"].as_str().unwrap().contains("exited with status 7"), "{instance}");
    }
    spot.sandbox(&["destroy", "--yes"]).expect(0);
}

#[test]
fn partial_success_is_told_by_exit_code_3() {
    let spot = project();
    spot.write(
        "recipes/partial.rhai",
        "let project = config::load();\n\
         let plan = fleet::prepare(project, #{ count: 2, regions: [\"us-west-2\"], types: [\"t3.micro\"], market: \"spot\", max_price: 0.0 });\n\
         let hosts = fleet::reach(fleet::launch(plan));\n\
         let results = [ssh::run(hosts[0], \"true\"), ssh::run(hosts[1], \"echo broken >&2; exit 3\")];\n\
         deploy::finish(deploy::advance(results, \"checked\"));\n\
         deploy::summary(plan.deployment, 2);",
    );
    let finished = spot.sandbox(&["partial"]).expect(3);
    assert!(finished.stderr.contains("1 of 2 hosts not ready"), "{}", finished.all());
    assert!(finished.stderr.contains("exited with status 3: broken"), "{}", finished.all());
    spot.sandbox(&["destroy", "--yes"]).expect(0);
}

#[test]
fn a_dedicated_network_is_made_once_and_removed() {
    let spot = project();
    let config = spot.read("spot.toml");
    spot.write("spot.toml", &format!("{config}[network]\ndedicated = true\nports = [8080, \"9000-9100\"]\n"));
    spot.sandbox(&["create", "--count", "1", "--regions", "us-west-2"]).expect(0);
    spot.sandbox(&["create", "--count", "2", "--regions", "us-west-2"]).expect(0);
    let instances = spot.instances(".spot/sandbox");
    assert_eq!(instances[0]["vpc_id"], instances[1]["vpc_id"]);
    spot.sandbox(&["destroy", "--yes"]).expect(0);
    let left = spot.sandbox(&["nuke", "--yes"]).expect(0);
    assert!(left.stderr.contains("has nothing that spot made"), "{}", left.all());
}

#[test]
fn nuke_wants_the_account_typed_and_removes_what_another_state_made() {
    let spot = project();
    spot.sandbox(&["create", "--count", "2"]).expect(0);
    // The state is lost, the instances are not.
    std::fs::remove_file(spot.folder().join(".spot/sandbox/instances.json")).unwrap();
    std::fs::remove_dir_all(spot.folder().join(".spot/sandbox/.spot")).unwrap();
    let refused = spot.sandbox(&["nuke", "--yes"]);
    assert_ne!(refused.code, 0, "{}", refused.all());
    assert!(refused.stdout.contains("instance") && refused.stdout.contains("us-west-2"), "{}", refused.all());
    spot.sandbox(&["nuke", "--yes", "--answer", "123456789012"]).expect(0);
    let nothing = spot.sandbox(&["nuke"]).expect(0);
    assert!(nothing.stderr.contains("has nothing that spot made"), "{}", nothing.all());
}

#[test]
fn an_edited_recipe_changes_what_create_does() {
    let spot = project();
    spot.run(&["eject", "create"]).expect(0);
    let recipe = spot.read("recipes/create.rhai");
    let first = recipe.find("let project").unwrap();
    spot.write(
        "recipes/create.rhai",
        &format!("{}print(\"mine\");\nreturn;\n{}", &recipe[..first], &recipe[first..]),
    );
    assert_eq!(spot.sandbox(&["create"]).expect(0).stdout, "mine\n");
}

#[test]
fn a_stdlib_module_of_the_project_replaces_the_built_in_one() {
    let spot = project();
    spot.write("stdlib/deploy.rhai", "fn summary(a, b) { print(\"replaced\"); }\nfn advance(r, p) { [] }\nfn upload(h, d) { h }\nfn setup(h, d) { h }\n");
    spot.write("stdlib/greet.rhai", "fn hello(name) { `hello ${name}` }\n");
    spot.write("recipes/use.rhai", "print(greet::hello(\"you\")); deploy::summary(1, 2);");
    assert_eq!(spot.run(&["use"]).expect(0).stdout, "hello you\nreplaced\n");
}

#[test]
fn every_recipe_is_short_and_documented() {
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/recipes")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.lines().count() <= 85, "{} has {} lines", path.display(), text.lines().count());
        assert!(text.starts_with("#!/usr/bin/env -S spot run\n//! "), "{}", path.display());
    }
}

/// What a region's own counts and types mean when flags choose otherwise.
#[test]
fn flags_win_over_the_sections_of_regions() {
    let spot = project();
    spot.write(
        "spot.toml",
        "[fleet]\nregions = [\"us-west-2\", \"eu-central-1\"]\ntypes = [\"t3.micro\"]\n\
         [fleet.region.us-west-2]\ncount = 2\ntypes = [\"t3.small\"]\n[fleet.region.eu-central-1]\ncount = 1\n",
    );
    spot.write(
        "recipes/plan.rhai",
        "let project = config::load();\n\
         let opt = args(#{ count: project.fleet.count, regions: project.fleet.regions, types: project.fleet.types });\n\
         let plan = fleet::prepare(project, opt + #{ market: \"spot\", max_price: 0.0 });\n\
         for r in plan.decision.regions { print(`${r.region} ${r.count} ${r.pools[0].type}`); }",
    );
    let plan = |words: &[&str]| spot.sandbox(&[&["plan"], words].concat()).expect(0).stdout;
    assert_eq!(plan(&[]), "us-west-2 2 t3.small\neu-central-1 1 t3.micro\n");
    assert_eq!(plan(&["--count", "1"]), "us-west-2 1 t3.small\n");
    assert_eq!(plan(&["--count", "5"]), "us-west-2 3 t3.small\neu-central-1 2 t3.micro\n");
    assert_eq!(plan(&["--types", "t3.large"]), "us-west-2 2 t3.large\neu-central-1 1 t3.large\n");
    assert_eq!(plan(&["--regions", "eu-central-1"]), "eu-central-1 3 t3.micro\n");
}

#[test]
fn the_region_of_the_command_line_is_where_instances_go() {
    let spot = Spot::new();
    spot.sandbox(&["create", "--count", "1", "--region", "eu-west-1"]).expect(0);
    assert_eq!(spot.instances(".spot/sandbox")[0]["region"], "eu-west-1");
    spot.sandbox(&["destroy", "--yes"]).expect(0);
}

#[test]
fn one_region_that_does_not_answer_blocks_nothing() {
    let spot = project();
    // ap-east-1 has to be enabled first, so every call there is refused.
    let config = spot.read("spot.toml").replace("\"eu-central-1\"", "\"ap-east-1\"");
    spot.write("spot.toml", &config);
    let created = spot.sandbox(&["create", "--count", "2"]).expect(0);
    assert!(created.stderr.contains("ap-east-1"), "{}", created.all());
    assert!(spot.instances(".spot/sandbox").iter().all(|instance| instance["region"] == "us-west-2"));
    let listed = spot.sandbox(&["list"]).expect(0);
    assert!(listed.stderr.contains("ap-east-1 did not answer"), "{}", listed.all());
    spot.sandbox(&["destroy", "--yes"]).expect(0);
    assert!(ids(&spot).is_empty());
}

#[test]
fn a_broken_configuration_does_not_keep_instances_alive() {
    let spot = project();
    spot.sandbox(&["create", "--count", "2"]).expect(0);
    spot.write("spot.toml", "[fleet]\ncuont = 3\n");
    let listed = spot.sandbox(&["list"]).expect(0);
    assert!(listed.stdout.contains("2 instances, 2 running"), "{}", listed.all());
    let destroyed = spot.sandbox(&["destroy", "--yes"]).expect(0);
    assert!(destroyed.stderr.contains("cuont"), "{}", destroyed.all());
    assert!(ids(&spot).is_empty());
}

#[test]
fn what_only_the_cloud_knows_is_destroyed_with_its_network() {
    let spot = project();
    let config = spot.read("spot.toml");
    spot.write("spot.toml", &format!("{config}[network]\ndedicated = true\n"));
    spot.sandbox(&["create", "--count", "2"]).expect(0);
    spot.write(
        "recipes/forget.rhai",
        "for host in state::instances() { state::remove(host); }\nfor region in state::regions() { state::remove_networks(region); }",
    );
    spot.sandbox(&["forget"]).expect(0);
    let listed = spot.sandbox(&["list"]).expect(0);
    assert!(listed.stdout.contains("untracked"), "{}", listed.all());
    spot.sandbox(&["destroy", "--yes"]).expect(0);
    let nothing = spot.sandbox(&["nuke"]).expect(0);
    assert!(nothing.stderr.contains("has nothing that spot made"), "{}", nothing.all());
}

#[test]
fn setup_keeps_the_configuration_of_spot_deployer() {
    let spot = Spot::new();
    spot.write("config.yaml", "aws:\n  total_instances: 1\n  username: ubuntu\nregions:\n  - us-west-2:\n      machine_type: t3.micro\n      image: auto\n");
    spot.run(&["setup"]).expect(0);
    assert!(!spot.folder().join("spot.toml").exists());
    let plan = spot.sandbox(&["create"]).expect(0);
    assert!(plan.stdout.contains("t3.micro") && plan.stderr.contains("1 host ready"), "{}", plan.all());
    spot.sandbox(&["destroy", "--yes"]).expect(0);
}

#[test]
fn impossible_wishes_launch_nothing() {
    let spot = project();
    for words in [&["--count", "0"][..], &["--max-price", "-1"], &["--regions", "us-west-2,us-west-2"]] {
        let refused = spot.sandbox(&[&["create"], words].concat());
        assert!([1, 2].contains(&refused.code), "{}", refused.all());
    }
    let refused = spot.sandbox(&["create", "--max-price", "0.0001"]).expect(1);
    assert!(
        refused.stderr.contains("costs $0.00") && refused.stderr.contains("--max-price"),
        "{}",
        refused.all()
    );
    let refused = spot.sandbox(&["create", "--count", "50", "--max-hourly", "0.05"]).expect(1);
    assert!(
        refused.stderr.contains("OverBudget") && refused.stderr.contains("launch fewer: --count "),
        "{}",
        refused.all()
    );
    // Nothing was made, not even a network: there is no state to speak of.
    assert!(!spot.folder().join(".spot/sandbox/instances.json").exists());
    spot.sandbox(&["destroy", "--yes"]).expect(0);
    spot.sandbox(&["create", "--count", "2", "--max-hourly", "0.05"]).expect(0);
    spot.sandbox(&["destroy", "--yes"]).expect(0);
}

fn nuke(spot: &Spot, words: &[&str]) -> Finished {
    // What somebody else's instance holds is waited for in vain, for two minutes of real time.
    spot.sandbox(&[&["--time-scale", "0.05", "nuke"], words].concat())
}

#[test]
fn nuke_takes_the_account_as_a_flag_and_refuses_another_one_before_it_looks() {
    let spot = project();
    spot.sandbox(&["create", "--count", "1"]).expect(0);
    let wrong = nuke(&spot, &["--yes", "--account", "999999999999"]).expect(2);
    assert!(wrong.stderr.contains("123456789012, not of 999999999999"), "{}", wrong.all());
    assert!(!wrong.stdout.contains("instance"), "{}", wrong.all());
    // The account alone is no yes, and a yes alone is no account.
    assert_ne!(nuke(&spot, &["--account", "123456789012"]).code, 0);
    assert_ne!(nuke(&spot, &["--yes"]).code, 0);
    assert_eq!(ids(&spot).len(), 1);

    // Another region has nothing.
    let elsewhere = nuke(&spot, &["--yes", "--regions", "eu-west-1"]).expect(0);
    assert!(elsewhere.stderr.contains("has nothing that spot made, in 1 region"), "{}", elsewhere.all());
    let done = nuke(&spot, &["--yes", "--account", "123456789012"]).expect(0);
    for part in ["instance", "security-group", "volume", "about $"] {
        assert!(done.stdout.contains(part), "`{part}`: {}", done.all());
    }
    assert!(ids(&spot).is_empty());
    nuke(&spot, &[]).expect(0);
}

#[test]
fn nuke_leaves_what_is_protected_and_says_so() {
    let spot = project();
    spot.sandbox(&["create", "--count", "2", "--regions", "us-west-2"]).expect(0);
    let kept = ids(&spot).remove(0);
    spot.write(
        "recipes/protect.rhai",
        &format!("aws::tag([state::instance(\"{kept}\")], #{{ \"spot:protect\": \"true\" }});"),
    );
    spot.sandbox(&["protect"]).expect(0);
    let done = nuke(&spot, &["--yes", "--account", "123456789012"]).expect(0);
    assert!(done.stderr.contains(&format!("left instance {kept}")), "{}", done.all());
    assert!(done.stderr.contains("left security-group"), "{}", done.all());
    assert!(done.stdout.contains("protected, stays"), "{}", done.all());
    assert_eq!(ids(&spot), [kept]);
    let listed = spot.sandbox(&["list"]).expect(0);
    assert!(listed.stdout.contains("1 instance, 1 running"), "{}", listed.all());
}

#[test]
fn instances_of_somebody_else_take_a_question_of_their_own() {
    let spot = project();
    spot.sandbox(&["create", "--count", "3", "--regions", "us-west-2"]).expect(0);
    let before = ids(&spot);
    // Without spot's tag they are nobody's that spot knows.
    spot.write("recipes/give.rhai", "aws::tag(state::instances(), #{ ManagedBy: \"them\" });");
    spot.sandbox(&["give"]).expect(0);
    let usual = nuke(&spot, &["--yes", "--account", "123456789012"]);
    assert!(!usual.stdout.contains(&before[0]), "{}", usual.all());
    let all = &["--all-spot", "--yes", "--account", "123456789012"][..];
    let refused = nuke(&spot, all);
    assert_ne!(refused.code, 0, "{}", refused.all());
    assert!(
        refused.stdout.contains("NOT MADE BY SPOT") && refused.stdout.contains(&before[0]),
        "{}",
        refused.all()
    );
    // The words are of this very number of instances.
    let wrong = nuke(&spot, &[all, &["--answer", "terminate 2 instances that spot did not make"]].concat());
    assert_ne!(wrong.code, 0, "{}", wrong.all());
    let done =
        nuke(&spot, &[all, &["--answer", "terminate 3 instances that spot did not make"]].concat()).expect(0);
    assert!(done.stderr.contains("gone: "), "{}", done.all());
    let nothing = nuke(&spot, &["--all-spot"]).expect(0);
    assert!(nothing.stderr.contains("has nothing that spot made"), "{}", nothing.all());
}

#[test]
fn prices_compares_and_recommends() {
    let spot = project();
    let shown = spot.sandbox(&["prices", "--types", "t3.micro,m5.large,c5.large", "--count", "2"]).expect(0);
    for part in ["t3.micro", "m5.large", "us-west-2", "eu-central-1", "per vcpu", "on demand"] {
        assert!(shown.stdout.contains(part), "`{part}` is missing in {}", shown.all());
    }
    assert!(shown.stderr.contains("recommended for 2 instances: "), "{}", shown.all());
    let json = spot
        .sandbox(&["prices", "--vcpu", "2", "--memory", "4", "--regions", "us-west-2", "--json"])
        .expect(0);
    for line in json.stdout.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
    assert!(json.stdout.contains("us-west-2"), "{}", json.all());
    let drawn = spot
        .sandbox(&["prices", "--types", "t3.micro", "--regions", "us-west-2,eu-west-1", "--chart", "48"])
        .expect(0);
    let (bars, courses) = drawn.stdout.split_once("Their course in the last 48 hours").unwrap();
    assert!(bars.contains("Spot prices") && bars.contains("██"), "{}", drawn.all());
    assert!(courses.contains("t3.micro us-west-2a") && courses.contains(", last 0."), "{}", drawn.all());
    let long = spot.sandbox(&["prices", "--types", "t3.micro", "--chart", "2161"]).expect(1);
    assert!(long.stderr.contains("--chart is from 1 to 2160 hours"), "{}", long.all());
    let refused = spot.sandbox(&["prices", "--types", "t3.micro", "--vcpu", "2"]).expect(1);
    assert!(refused.stderr.contains("exclude each other"), "{}", refused.all());
    let unknown = spot.sandbox(&["prices", "--types", "t3.mediun", "--regions", "us-west-2"]).expect(1);
    assert!(unknown.stderr.contains("did you mean `t3.medium`"), "{}", unknown.all());
}

#[test]
fn a_scan_of_all_regions_is_two_round_trips() {
    use ::spot::sandbox::Options;
    use ::spot::sandbox::ec2::{Faults, Latency};
    use ::spot::{Host, Sandbox, ui::Recorder};
    let spot = project();
    // So slow that what this machine adds does not count.
    let faults =
        Faults { latency: vec![Latency::fixed(std::time::Duration::from_secs(3))], ..Faults::default() };
    let options = Options { faults, record_calls: true, ..Options::default() };
    let sandbox = Sandbox::start_with(spot.folder(), options).unwrap();
    let host = Host::builder()
        .project(spot.folder())
        .sandbox(&sandbox)
        .ui(std::sync::Arc::new(Recorder::default()))
        .build()
        .unwrap();
    host.run("nuke", [""; 0]).unwrap();
    let mut calls = sandbox.calls();
    assert!(calls.len() > 17 * 14, "{}", calls.len());
    // The longest chain of calls of which each begins after the one before has ended.
    calls.sort_by(|a, b| a.end_ms.total_cmp(&b.end_ms));
    let (mut chain, mut end) = (0, f64::MIN);
    for call in &calls {
        if call.start_ms >= end {
            chain += 1;
            end = call.end_ms;
        }
    }
    assert_eq!(chain, 2, "of {} calls", calls.len());
}

#[test]
fn markets_are_mixed_and_on_demand_works_through_fleets() {
    let spot = project();
    let types = spot
        .read("spot.toml")
        .replace("types = [\"t3.micro\"]", "types = [\"t3.micro\", \"t3a.micro\"]\non_demand_base = 1");
    spot.write("spot.toml", &types);
    let created = spot.sandbox(&["create", "--count", "3"]).expect(0);
    let mut markets: Vec<String> = spot
        .instances(".spot/sandbox")
        .iter()
        .map(|it| format!("{} {}", it["market"].as_str().unwrap(), it["price"].as_f64().is_some()))
        .collect();
    markets.sort();
    assert_eq!(markets, ["on-demand true", "spot true", "spot true"], "{}", created.all());
    spot.sandbox(&["destroy", "--yes"]).expect(0);
    spot.sandbox(&[
        "create",
        "--count",
        "2",
        "--market",
        "on-demand",
        "--types",
        "t3.micro,t3a.micro,t3.micro",
    ])
    .expect(0);
    assert!(spot.instances(".spot/sandbox").iter().all(|it| it["market"] == "on-demand"));
    spot.sandbox(&["destroy", "--yes"]).expect(0);
}

#[test]
fn the_history_tells_of_every_run_that_changed_something_and_of_no_secret() {
    let spot = Spot::new();
    spot.write(
        "recipes/note.rhai",
        "let opt = args(#{ api_token: \"\", key: \"k\" }); state::set(opt.key, 1);",
    );
    spot.write("recipes/look.rhai", "print(state::instances().len());");
    spot.write("recipes/fails.rhai", "state::set(\"a\", 2); throw \"no\";");
    spot.run(&["note", "--api-token", "hunter2", "--key", "a"]).expect(0);
    spot.run(&["look"]).expect(0);
    spot.run(&["fails"]).expect(1);
    let shown = spot.run(&["history", "--json"]).expect(0);
    assert!(!shown.stdout.contains("hunter2"), "{}", shown.all());
    let line: serde_json::Value = serde_json::from_str(shown.stdout.trim()).unwrap();
    let runs = line["value"].as_array().unwrap();
    assert_eq!(runs.len(), 2, "{}", shown.all());
    assert_eq!((&runs[0]["recipe"], &runs[0]["exit_code"]), (&"note".into(), &0.into()));
    assert_eq!(runs[0]["arguments"], serde_json::json!(["--api-token", "***", "--key", "a"]));
    assert_eq!(runs[0]["changes"]["values"], serde_json::json!(["a"]));
    assert_eq!((&runs[1]["recipe"], &runs[1]["exit_code"]), (&"fails".into(), &1.into()));
    assert!(!spot.read(".spot/history.jsonl").contains("hunter2"));
    let id = runs[1]["run"].as_str().unwrap();
    let details = spot.run(&["history", id]).expect(0).stdout;
    assert!(details.contains("fails") && details.contains("exit code"), "{details}");
    spot.run(&["history", "zzzz"]).expect(2);
}
