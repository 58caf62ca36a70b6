//! `spot state …`: looking, comparing, importing and forgetting, while others change things behind spot's back.

use std::process::Command;

use serde_json::Value;
use spot::sandbox::{Options, Sandbox};

use crate::moto::start_moto;
use crate::spot::{Finished, Spot, eventually};

/// Where an EC2-compatible endpoint is, for boto3, which knows nothing of spot.
struct Behind {
    url: String,
    keys: [String; 2],
}

impl Behind {
    fn sandbox(sandbox: &Sandbox) -> Self {
        let access = sandbox.access();
        Behind { url: access.url.clone(), keys: [access.access_key.clone(), access.secret_key.clone()] }
    }

    /// Runs Python with `ec2`, a client for a region, and returns what it prints.
    #[track_caller]
    fn does(&self, region: &str, code: &str) -> String {
        let program = format!(
            "import boto3\nec2 = boto3.client('ec2', region_name='{region}', endpoint_url='{}', \
             aws_access_key_id='{}', aws_secret_access_key='{}')\n{code}",
            self.url, self.keys[0], self.keys[1]
        );
        let done = Command::new("python3").args(["-c", &program]).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }

    /// Launches an instance with tags, as somebody would who has never heard of spot.
    #[track_caller]
    fn launches(&self, region: &str, tags: &[(&str, &str)]) -> String {
        let tags: Vec<String> =
            tags.iter().map(|(key, value)| format!("{{'Key': '{key}', 'Value': '{value}'}}")).collect();
        let code = format!(
            "image = ec2.describe_images(Filters=[dict(Name='architecture', Values=['x86_64'])])['Images'][0]['ImageId']\n\
             made = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, InstanceType='t3.micro', \
             TagSpecifications=[dict(ResourceType='instance', Tags=[{}])])\n\
             print(made['Instances'][0]['InstanceId'])",
            tags.join(", ")
        );
        self.does(region, &code)
    }

    #[track_caller]
    fn terminates(&self, region: &str, id: &str) {
        self.does(region, &format!("ec2.terminate_instances(InstanceIds=['{id}'])"));
    }

    /// The state of an instance in the endpoint's word.
    #[track_caller]
    fn state_of(&self, region: &str, id: &str) -> String {
        let code = format!(
            "print(ec2.describe_instances(InstanceIds=['{id}'])['Reservations'][0]['Instances'][0]['State']['Name'])"
        );
        self.does(region, &code)
    }
}

fn json(finished: &Finished) -> Value {
    serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {}", finished.all()))
}

/// The value of the data event among those that `--json` prints.
fn data(finished: &Finished) -> Value {
    let events = finished.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut data = events.filter(|event| event["event"] == "data").map(|mut event| event["value"].take());
    data.next().unwrap_or_else(|| panic!("no data: {}", finished.all()))
}

fn ids(spot: &Spot) -> Vec<String> {
    let list = data(&spot.sandbox(&["--json", "state", "list"]).expect(0));
    list.as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect()
}

fn exported(spot: &Spot) -> Value {
    json(&spot.sandbox(&["state", "export"]).expect(0))
}

/// A project with a sandbox that runs, and two instances in it.
fn fleet() -> (Spot, Sandbox, Behind) {
    fleet_on("spot")
}

fn fleet_on(market: &str) -> (Spot, Sandbox, Behind) {
    let spot = Spot::new();
    spot.write("spot.toml", "[fleet]\ncount = 2\nregions = [\"us-west-2\"]\n[network]\ndedicated = true\n");
    let options = Options { shared: true, ..Options::default() };
    let sandbox = Sandbox::start_with(spot.folder(), options).unwrap();
    spot.sandbox(&["create", "--market", market]).expect(0);
    let behind = Behind::sandbox(&sandbox);
    (spot, sandbox, behind)
}

#[test]
fn state_is_shown_to_people_and_to_scripts() {
    let spot = Spot::new();
    let nothing = spot.sandbox(&["state", "list"]).expect(0);
    assert!(nothing.stderr.contains("state knows of no instances"), "{}", nothing.all());
    assert!(!spot.folder().join(".spot/sandbox/instances.json").exists());

    let (spot, _sandbox, _) = fleet();
    let ids = ids(&spot);
    let listed = spot.sandbox(&["state", "list"]).expect(0);
    assert!(ids.iter().all(|id| listed.stdout.contains(id.as_str())), "{}", listed.all());
    assert!(
        listed.stdout.contains("2 instances, about $") && listed.stdout.contains("vpc-"),
        "{}",
        listed.all()
    );

    for word in [ids[1].as_str(), &ids[1][..12], "2"] {
        let shown = data(&spot.sandbox(&["--json", "state", "show", word]).expect(0));
        assert_eq!(shown["id"], ids[1].as_str());
    }
    let shown = spot.sandbox(&["state", "show", "1"]).expect(0);
    assert!(shown.stdout.contains("phase              ready"), "{}", shown.all());
    let whole = exported(&spot);
    assert_eq!(whole["instances"].as_array().unwrap().len(), 2);
    assert_eq!(whole["open_calls"], serde_json::json!([]));
    let vpc = whole["networks"][0]["vpc_id"].as_str().unwrap();
    assert!(spot.sandbox(&["state", "show", vpc]).expect(0).stdout.contains(vpc));
    let wrong = spot.sandbox(&["state", "show", "3"]).expect(2);
    assert!(wrong.stderr.contains("there is no instance 3: there are 2"), "{}", wrong.all());
}

#[test]
fn reading_waits_for_nobody_and_the_holder_is_named() {
    let spot = Spot::new();
    spot.write("recipes/hold.rhai", "state::set(\"url\", \"x\"); fs::write(\"held\", \"\"); sleep(60);");
    let mut first = spot.command(&["hold"]).spawn().unwrap();
    eventually("the first run holds the lock", 20, || spot.folder().join("held").exists());
    let listed = spot.run(&["state", "list", "--lock-timeout", "0"]).expect(0);
    assert!(listed.stdout.contains("url"), "{}", listed.all());

    let refused = spot.run(&["state", "unlock", "--force", "--yes"]).expect(4);
    let pid = first.id().to_string();
    assert!(refused.stdout.contains(&pid) && refused.stdout.contains("spot hold"), "{}", refused.all());
    assert!(refused.stderr.contains(&format!("`kill {pid}`")), "{}", refused.all());
    let holder = data(&spot.run(&["--json", "state", "unlock"]).expect(4));
    assert_eq!(holder["holder"]["pid"], first.id());

    // A second writer says whom it waits for, and gives up with its own exit code.
    spot.write("recipes/other.rhai", "state::set(\"url\", \"y\");");
    let second = spot.run(&["other", "--lock-timeout", "1"]).expect(4);
    assert!(second.stderr.contains("waiting for another run to end"), "{}", second.all());

    first.kill().unwrap();
    first.wait().unwrap();
    let free = spot.run(&["state", "unlock"]).expect(0);
    assert!(free.stderr.contains("nothing to unlock"), "{}", free.all());
    spot.run(&["other", "--lock-timeout", "1"]).expect(0);
}

/// A folder that machines share: the holder's process is on another one, and cannot be looked for here.
#[test]
fn a_holder_on_another_machine_is_deprived_only_by_force() {
    let spot = Spot::new();
    spot.write("recipes/note.rhai", "state::set(\"url\", \"y\");");
    spot.run(&["note"]).expect(0);
    let lock = std::fs::File::options().write(true).open(spot.folder().join(".spot/lock")).unwrap();
    lock.lock().unwrap();
    let holder =
        r#"{"user":"ann","host":"far","pid":7,"command":"spot create","since":"2026-01-02T03:04:05Z"}"#;
    spot.write(".spot/lock", holder);

    let waited = spot.run(&["note", "--lock-timeout", "0"]).expect(4);
    assert!(waited.stderr.contains("stop process 7 on far"), "{}", waited.all());
    let unseen = spot.run(&["state", "unlock", "--yes"]).expect(4);
    assert!(unseen.stderr.contains("whether process 7 on far lives cannot be seen"), "{}", unseen.all());
    assert!(unseen.stdout.contains("ann") && unseen.stderr.contains("--force"), "{}", unseen.all());
    // A question that nobody can answer is not a yes.
    let unasked = spot.run(&["state", "unlock", "--force"]);
    assert_ne!(unasked.code, 0, "{}", unasked.all());
    spot.run(&["note", "--lock-timeout", "0"]).expect(4);

    let taken = spot.run(&["state", "unlock", "--force", "--yes"]).expect(0);
    assert!(taken.stderr.contains("the state is free"), "{}", taken.all());
    spot.run(&["note", "--lock-timeout", "0"]).expect(0);
    drop(lock);
}

#[test]
fn what_was_told_to_end_is_known_as_such_before_anybody_saw_it_end() {
    let spot = Spot::new();
    spot.sandbox(&["create", "--count", "2", "--regions", "us-west-2"]).expect(0);
    spot.write("recipes/end.rhai", "aws::terminate([state::instances()[0]]);");
    spot.sandbox(&["end"]).expect(0);
    let known = spot.instances(".spot/sandbox");
    let states: Vec<_> = known.iter().map(|instance| instance["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["shutting-down", "running"]);
    let done = spot.sandbox(&["create", "--count", "2", "--heal"]).expect(0);
    assert!(done.all().contains("2 hosts ready"), "another is launched: {}", done.all());
}

#[test]
fn nothing_is_launched_in_place_of_what_could_not_be_ended() {
    let spot = Spot::new();
    let create = ["create", "--count", "2", "--regions", "us-west-2", "--heal"];
    spot.sandbox(&create).expect(0);
    spot.write("recipes/mark.rhai", "state::update(state::instances()[0], #{ phase: \"interrupted\" });");
    spot.sandbox(&["mark"]).expect(0);
    let refusal = ["--fault", "error:TerminateInstances=UnauthorizedOperation/403"];
    let healed = spot.sandbox(&[&refusal[..], &create].concat()).expect(3);
    assert!(healed.stderr.contains("1 instance could not be ended, and may live on"), "{}", healed.all());
    let there = "fleet::instances().filter(|host| fleet::is_there(host)).len()";
    assert_eq!(spot.sandbox(&["eval", there]).expect(0).stdout, "2\n");
    spot.sandbox(&create).expect(0);
    assert_eq!(spot.sandbox(&["eval", there]).expect(0).stdout, "2\n");
}

#[test]
fn drift_is_found_in_both_directions_and_repaired() {
    // An instance of the spot market cannot be stopped.
    let (spot, _sandbox, behind) = fleet_on("on-demand");
    let agreed = spot.sandbox(&["state", "reconcile"]).expect(0);
    assert!(agreed.stderr.contains("state and AWS agree: 2 instances"), "{}", agreed.all());

    let known = ids(&spot);
    let project = exported(&spot)["project"].as_str().unwrap().to_owned();
    behind.terminates("us-west-2", &known[0]);
    behind.does("us-west-2", &format!("ec2.stop_instances(InstanceIds=['{}'])", known[1]));
    eventually("the instance has stopped", 20, || behind.state_of("us-west-2", &known[1]) == "stopped");
    let ours = [("ManagedBy", "spot"), ("spot:project", project.as_str())];
    let stray = behind.launches("us-west-2", &ours);
    let before = exported(&spot);

    let found = spot.sandbox(&["state", "reconcile"]).expect(6);
    for word in ["gone", "changed", "unknown", "state is stopped, was running", &stray, &known[0]] {
        assert!(found.stdout.contains(word), "{word}: {}", found.all());
    }
    assert_eq!(exported(&spot), before);

    // What becomes of the unknown one is a person's choice.
    let asked = spot.sandbox(&["state", "reconcile", "--repair", "--yes"]).expect(2);
    assert!(asked.stderr.contains("choose with --adopt or --remove"), "{}", asked.all());
    assert_eq!(exported(&spot), before);
    let wrong = spot.sandbox(&["state", "reconcile", "--adopt"]).expect(2);
    assert!(wrong.stderr.contains("--repair"), "{}", wrong.all());

    spot.sandbox(&["state", "reconcile", "--repair", "--adopt", "--yes"]).expect(0);
    assert_eq!(ids(&spot), [known[1].clone(), stray.clone()]);
    spot.sandbox(&["state", "reconcile"]).expect(0);
    assert_eq!(exported(&spot)["instances"][0]["state"], "stopped");

    let other = behind.launches("us-west-2", &ours);
    spot.sandbox(&["state", "reconcile", "--repair", "--remove", "--yes"]).expect(0);
    assert_eq!(behind.state_of("us-west-2", &other), "terminated");
    assert_eq!(exported(&spot)["networks"].as_array().unwrap().len(), 1);
    spot.sandbox(&["destroy", "--yes"]).expect(0);
    for id in [&known[1], &stray] {
        assert_eq!(behind.state_of("us-west-2", id), "terminated");
    }
}

#[test]
fn a_part_of_the_network_that_somebody_deleted_or_state_lost_is_drift() {
    let (spot, _sandbox, behind) = fleet();
    spot.write("lose.rhai", "state::remove_networks(\"us-west-2\");");
    let parts = exported(&spot)["networks"][0]["created"].as_array().unwrap().len();
    spot.sandbox(&["run", "lose.rhai"]).expect(0);
    let found = spot.sandbox(&["state", "reconcile"]).expect(6);
    assert_eq!(found.stdout.matches("unknown").count(), parts, "{}", found.all());
    spot.sandbox(&["state", "reconcile", "--repair", "--adopt", "--yes"]).expect(0);
    let network = &exported(&spot)["networks"][0];
    assert_eq!(network["created"].as_array().unwrap().len(), parts);
    assert!(network["vpc_id"].as_str().unwrap().starts_with("vpc-"));

    // A subnet that nothing uses goes behind our back.
    let subnet = behind.does(
        "us-west-2",
        "used = {i['SubnetId'] for r in ec2.describe_instances()['Reservations'] for i in r['Instances']}\n\
         free = [s['SubnetId'] for s in ec2.describe_subnets(Filters=[dict(Name='tag:ManagedBy', Values=['spot'])])['Subnets'] if s['SubnetId'] not in used]\n\
         ec2.delete_subnet(SubnetId=free[0])\nprint(free[0])",
    );
    let found = spot.sandbox(&["state", "reconcile"]).expect(6);
    assert!(found.stdout.contains(&subnet) && found.stdout.contains("gone"), "{}", found.all());
    spot.sandbox(&["state", "reconcile", "--repair", "--yes"]).expect(0);
    assert_eq!(exported(&spot)["networks"][0]["created"].as_array().unwrap().len(), parts - 1);
    spot.sandbox(&["destroy", "--yes"]).expect(0);
}

#[test]
fn only_what_is_gone_is_forgotten_unless_it_is_forced() {
    let (spot, _sandbox, behind) = fleet();
    let known = ids(&spot);
    let refused = spot.sandbox(&["state", "rm", "1", "--yes"]).expect(1);
    assert!(refused.stderr.contains("AWS goes on billing; nothing was forgotten"), "{}", refused.all());
    assert!(refused.stderr.contains("about $"), "{}", refused.all());
    assert_eq!(ids(&spot), known);
    let unasked = spot.sandbox(&["state", "rm", "1", "--force"]).expect(2);
    assert!(unasked.stderr.contains("nobody can be asked here"), "{}", unasked.all());
    assert_eq!(ids(&spot), known);

    behind.terminates("us-west-2", &known[0]);
    spot.sandbox(&["state", "rm", &known[0], "--yes"]).expect(0);
    assert_eq!(ids(&spot), [known[1].clone()]);
    let forced = spot.sandbox(&["state", "rm", &known[1][..14], "--force", "--yes"]).expect(0);
    assert!(forced.stderr.contains("AWS goes on billing"), "{}", forced.all());
    assert_eq!(behind.state_of("us-west-2", &known[1]), "running");
    assert!(ids(&spot).is_empty());
    // It carries the project's tags still.
    spot.sandbox(&["destroy", "--yes"]).expect(0);
    assert_eq!(behind.state_of("us-west-2", &known[1]), "terminated");
}

/// Whose tags somebody took away costs money all the same.
#[test]
fn what_lost_its_tags_is_destroyed_by_its_id() {
    let (spot, _sandbox, behind) = fleet();
    let known = ids(&spot);
    let vpc = exported(&spot)["networks"][0]["vpc_id"].as_str().unwrap().to_owned();
    behind.does(
        "us-west-2",
        &format!(
            "for id in ['{}', '{}', '{vpc}']:\n  tags = ec2.describe_tags(Filters=[dict(Name='resource-id', Values=[id])])['Tags']\n  \
             ec2.delete_tags(Resources=[id], Tags=[dict(Key=tag['Key']) for tag in tags])",
            known[0], known[1]
        ),
    );
    let listed = spot.sandbox(&["list"]).expect(0);
    assert!(listed.stdout.contains("2 instances, 2 running"), "{}", listed.all());
    spot.sandbox(&["destroy", "--yes"]).expect(0);
    for id in &known {
        assert_eq!(behind.state_of("us-west-2", id), "terminated");
    }
    let left = format!("print(len([v for v in ec2.describe_vpcs()['Vpcs'] if v['VpcId'] == '{vpc}']))");
    assert_eq!(behind.does("us-west-2", &left), "0");
    assert!(exported(&spot)["networks"].as_array().unwrap().is_empty());
}

/// The state of Spot Deployer has neither a project's id nor tags in AWS.
#[test]
fn instances_of_an_old_state_are_destroyed() {
    let (spot, _sandbox, behind) = fleet();
    let id = behind.launches("us-west-2", &[("Name", "old")]);
    let old = format!(r#"{{"instances": [{{"id": "{id}", "region": "us-west-2", "state": "running"}}]}}"#);
    let project = Spot::new();
    project.write("instances.json", &old);
    let project = project
        .env("AWS_ENDPOINT_URL", behind.url.clone())
        .env("AWS_ACCESS_KEY_ID", behind.keys[0].clone())
        .env("AWS_SECRET_ACCESS_KEY", behind.keys[1].clone())
        .env("AWS_REGION", "us-west-2");
    project.run(&["destroy", "--yes"]).expect(0);
    assert_eq!(behind.state_of("us-west-2", &id), "terminated");
    assert!(project.instances(".").is_empty());
    assert_eq!(ids(&spot).len(), 2);
}

/// What another project took over is that one's.
#[test]
fn what_another_project_took_over_is_let_go() {
    let (spot, _sandbox, behind) = fleet();
    let known = ids(&spot);
    behind.does(
        "us-west-2",
        &format!(
            "ec2.create_tags(Resources=['{}'], Tags=[dict(Key='spot:project', Value='api-1')])",
            known[0]
        ),
    );
    let listed = spot.sandbox(&["list"]).expect(0);
    assert!(listed.stdout.contains("foreign") && listed.stdout.contains("1 running"), "{}", listed.all());
    // The network stays as long as something of another's is in it.
    let done = spot.sandbox(&["destroy", "--yes", "--time-scale", "0.05"]);
    assert!(done.stderr.contains("belongs to api-1, another project of spot, now"), "{}", done.all());
    assert_eq!(behind.state_of("us-west-2", &known[0]), "running");
    assert_eq!(behind.state_of("us-west-2", &known[1]), "terminated");
    assert!(ids(&spot).is_empty());
}

/// State forgets what is verifiably gone, and no more.
#[test]
fn a_removal_of_some_of_a_network_forgets_just_that() {
    let (spot, _sandbox, behind) = fleet();
    let before = exported(&spot)["networks"][0]["created"].as_array().unwrap().len();
    let free = behind.does(
        "us-west-2",
        "used = {i['SubnetId'] for r in ec2.describe_instances()['Reservations'] for i in r['Instances']}\n\
         free = [s['SubnetId'] for s in ec2.describe_subnets(Filters=[dict(Name='tag:ManagedBy', Values=['spot'])])['Subnets'] if s['SubnetId'] not in used]\n\
         print(free[0])",
    );
    spot.write(
        "some.rhai",
        &format!(
            "let part = aws::owned(#{{ region: \"us-west-2\" }}).owned.filter(|it| it.id == \"{free}\");\nprint(cleanup::remove(part)[0].outcome);"
        ),
    );
    assert_eq!(spot.sandbox(&["run", "some.rhai"]).expect(0).stdout, "removed\n");
    let network = &exported(&spot)["networks"][0];
    assert_eq!(network["created"].as_array().unwrap().len(), before - 1);
    assert!(!network.to_string().contains(&free), "{network}");
    spot.sandbox(&["destroy", "--yes"]).expect(0);
    assert!(exported(&spot)["networks"].as_array().unwrap().is_empty());
}

#[test]
fn a_damaged_state_is_salvaged_after_a_question() {
    let spot = Spot::new();
    let nothing = spot.run(&["state", "salvage"]).expect(0);
    assert!(nothing.stderr.contains("nothing is damaged"), "{}", nothing.all());
    {
        let store = spot::state::Store::open(spot.folder());
        let writer = store.writer("test", std::time::Duration::ZERO, &|_| {}).unwrap();
        for number in 1..=3 {
            writer.put(spot::state::Instance::new(format!("i-{number}"), "us-west-2")).unwrap();
        }
    }
    let whole = spot.read("instances.json");
    spot.write("instances.json", &whole[..whole.len() / 2]);
    let refused = spot.run(&["state", "list"]).expect(1);
    assert!(refused.stderr.contains("instances.json"), "{}", refused.all());

    let unasked = spot.run(&["state", "salvage"]).expect(2);
    assert!(unasked.stdout.contains("i-3") && unasked.stderr.contains("backups"), "{}", unasked.all());
    spot.run(&["state", "salvage", "--yes", "--dry-run"]).expect(0);
    spot.run(&["state", "salvage", "--yes", "--read-only"]).expect(2);
    assert_eq!(spot.read("instances.json"), whole[..whole.len() / 2]);
    let seen = data(&spot.run(&["--json", "state", "salvage", "--yes"]).expect(0));
    assert_eq!(seen["saved_as"], serde_json::json!([".spot/instances.damaged-1.json"]));
    assert_eq!(spot.read(".spot/instances.damaged-1.json"), whole[..whole.len() / 2]);
    assert_eq!(spot.instances(".").len(), 3);
    spot.run(&["state", "list"]).expect(0);
}

#[test]
fn foreign_instances_are_imported_and_destroyed_without_their_network() {
    let (spot, _sandbox, behind) = fleet();
    let region = "eu-west-1";
    let blue = behind.launches(region, &[("team", "blue")]);
    let other = behind.launches(region, &[("ManagedBy", "spot"), ("spot:project", "api-1"), ("team", "red")]);
    let parts = "print(len(ec2.describe_vpcs()['Vpcs']), len(ec2.describe_subnets()['Subnets']), len(ec2.describe_security_groups()['SecurityGroups']))";
    let network = behind.does(region, parts);

    let refused = spot.sandbox(&["state", "import", "--tag", "team=red", "--yes"]).expect(1);
    assert!(refused.stderr.contains("belongs to another project of spot, api-1"), "{}", refused.all());
    let missing = spot.sandbox(&["state", "import", &blue, "--region", "us-east-1", "--yes"]).expect(1);
    assert!(missing.stderr.contains("in us-east-1"), "{}", missing.all());
    spot.sandbox(&["state", "import", "--yes"]).expect(2);
    assert_eq!(ids(&spot).len(), 2);

    // A rehearsal tells the call and changes nothing.
    let planned = spot.sandbox(&["state", "import", &blue, "--dry-run"]).expect(0);
    assert!(planned.stdout.contains("CreateTags"), "{}", planned.all());
    assert_eq!(ids(&spot).len(), 2);

    spot.sandbox(&["state", "import", "--tag", "team=bl*", "--user", "admin", "--yes"]).expect(0);
    spot.sandbox(&["state", "import", &other, "--region", region, "--take-over", "--yes"]).expect(0);
    let shown = data(&spot.sandbox(&["--json", "state", "show", &blue]).expect(0));
    assert_eq!((&shown["phase"], &shown["user"]), (&"imported".into(), &"admin".into()));
    let again = spot.sandbox(&["state", "import", &blue, "--yes"]).expect(0);
    assert!(again.stderr.contains("is in state already"), "{}", again.all());
    spot.sandbox(&["state", "reconcile"]).expect(0);

    spot.sandbox(&["destroy", "--yes"]).expect(0);
    for id in [&blue, &other] {
        assert_eq!(behind.state_of(region, id), "terminated");
    }
    assert_eq!(behind.does(region, parts), network);
}

/// The answer to the tagging is lost, and with it the process: what it did is found by its token.
#[test]
fn an_import_that_was_killed_is_settled() {
    let (spot, _sandbox, behind) = fleet();
    let blue = behind.launches("us-west-2", &[("team", "blue")]);
    let project = exported(&spot)["project"].as_str().unwrap().to_owned();
    let tags = format!(
        "ec2.create_tags(Resources=['{blue}'], Tags=[dict(Key='ManagedBy', Value='spot'), \
         dict(Key='spot:project', Value='{project}'), dict(Key='spot:token', Value='spot-lost')])"
    );
    behind.does("us-west-2", &tags);
    {
        let store = spot::state::Store::open(&spot.folder().join(".spot/sandbox"));
        let writer = store.writer("test", std::time::Duration::ZERO, &|_| {}).unwrap();
        let intent = spot::state::Intent {
            action: "CreateTags".into(),
            region: "us-west-2".into(),
            token: "spot-lost".into(),
            ..spot::state::Intent::default()
        };
        writer.started(intent).unwrap();
    }
    let found = spot.sandbox(&["state", "reconcile"]).expect(6);
    assert!(found.stdout.contains("open") && found.stdout.contains("CreateTags"), "{}", found.all());
    spot.sandbox(&["state", "reconcile", "--repair", "--adopt", "--yes"]).expect(0);
    let shown = data(&spot.sandbox(&["--json", "state", "show", &blue]).expect(0));
    assert_eq!(shown["phase"], "imported");
    assert_eq!(exported(&spot)["open_calls"], serde_json::json!([]));
    spot.sandbox(&["destroy", "--yes"]).expect(0);
}

#[test]
fn deployments_of_a_project_are_apart() {
    let (spot, _sandbox, behind) = fleet();
    let default = ids(&spot);
    let blue = |arguments: &[&str]| spot.sandbox(&[arguments, &["--deployment", "blue"]].concat());
    let created = blue(&["create", "--count", "1"]).expect(0);
    assert!(created.stderr.contains("deployment blue"), "{}", created.all());
    assert!(created.stdout.contains("'spot --sandbox --deployment blue destroy'"), "{}", created.all());
    assert_eq!(ids(&spot), default);
    let list = data(&blue(&["--json", "state", "list"]).expect(0));
    let only = list[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert!(!default.contains(&only));

    // Neither takes what the other has for its own, and each has a history.
    spot.sandbox(&["state", "reconcile"]).expect(0);
    blue(&["state", "reconcile"]).expect(0);
    let runs = |finished: Finished| data(&finished.expect(0)).as_array().unwrap().len();
    assert_eq!(runs(blue(&["--json", "history"])), 1);
    let listed = spot.sandbox(&["state", "deployments"]).expect(0);
    assert!(listed.stdout.contains("blue") && listed.stdout.contains("default"), "{}", listed.all());
    let all = data(&blue(&["--json", "state", "deployments"]).expect(0));
    let numbers = |key: &str| all.as_array().unwrap().iter().map(|it| it[key].clone()).collect::<Vec<_>>();
    assert_eq!(numbers("instances"), [2, 1]);
    assert_eq!(numbers("chosen"), [false, true]);

    let refused = spot.sandbox(&["list", "--deployment", "My Blue"]).expect(2);
    assert!(refused.stderr.contains("write `my-blue`"), "{}", refused.all());

    blue(&["destroy", "--yes"]).expect(0);
    assert_eq!(behind.state_of("us-west-2", &only), "terminated");
    assert_eq!(behind.state_of("us-west-2", &default[0]), "running");
    assert_eq!(ids(&spot), default);
    spot.sandbox(&["state", "reconcile"]).expect(0);

    // The configuration names one too, and the flag comes before it.
    let config = spot.read("spot.toml");
    spot.write("spot.toml", &format!("{config}[project]\ndeployment = \"blue\"\n"));
    assert!(ids(&spot).is_empty());
    let shown = data(&spot.sandbox(&["--json", "state", "list", "--deployment", "default"]).expect(0));
    assert_eq!(shown.as_array().unwrap().len(), 2);
    spot.sandbox(&["destroy", "--yes", "--deployment", "default"]).expect(0);
    assert_eq!(behind.state_of("us-west-2", &default[0]), "terminated");
}

/// Two deployments have two locks: nobody waits for the other.
#[test]
fn deployments_of_a_project_work_at_once() {
    let spot = Spot::new();
    spot.write("recipes/hold.rhai", "state::set(\"a\", 1); fs::write(\"held\", \"\"); sleep(60);");
    spot.write("recipes/other.rhai", "state::set(\"b\", state::deployment());");
    let mut first = spot.command(&["hold"]).spawn().unwrap();
    eventually("the first run holds the lock", 20, || spot.folder().join("held").exists());
    spot.run(&["other", "--deployment", "blue", "--lock-timeout", "0"]).expect(0);
    first.kill().unwrap();
    first.wait().unwrap();
    let blue = spot.read(".spot/deployments/blue/instances.json");
    assert!(blue.contains("\"b\": \"blue\""), "{blue}");
    let other = Spot::new().env("SPOT_DEPLOYMENT", "green");
    other.write("recipes/other.rhai", "state::set(\"b\", state::deployment());");
    other.run(&["other"]).expect(0);
    assert!(other.read(".spot/deployments/green/instances.json").contains("green"));
    assert!(!other.folder().join("instances.json").exists());
}

#[test]
fn reconcile_and_import_work_against_moto() {
    let (_moto, port) = start_moto();
    let url = format!("http://127.0.0.1:{port}");
    let behind = Behind { url: url.clone(), keys: ["testing".into(), "testing".into()] };
    let spot = Spot::new()
        .env("AWS_ENDPOINT_URL", url)
        .env("AWS_ACCESS_KEY_ID", "testing")
        .env("AWS_SECRET_ACCESS_KEY", "testing")
        .env("AWS_REGION", "us-west-2");
    let blue = behind.launches("us-west-2", &[("team", "blue")]);
    let red = behind.launches("us-west-2", &[("team", "red")]);
    spot.run(&["state", "import", "--tag", "team=blue", "--region", "us-west-2", "--yes"]).expect(0);
    spot.run(&["state", "import", &red, "--region", "us-west-2", "--yes"]).expect(0);
    assert_eq!(spot.instances(".").len(), 2);
    spot.run(&["state", "reconcile"]).expect(0);

    behind.terminates("us-west-2", &red);
    let project = json(&spot.run(&["state", "export"]).expect(0))["project"].as_str().unwrap().to_owned();
    let stray = behind.launches("us-west-2", &[("ManagedBy", "spot"), ("spot:project", &project)]);
    let found = spot.run(&["state", "reconcile"]).expect(6);
    for word in ["gone", "unknown", &red, &stray] {
        assert!(found.stdout.contains(word), "{word}: {}", found.all());
    }
    spot.run(&["state", "reconcile", "--repair", "--adopt", "--yes"]).expect(0);
    spot.run(&["state", "reconcile"]).expect(0);
    spot.run(&["destroy", "--yes"]).expect(0);
    for id in [&blue, &stray] {
        assert_eq!(behind.state_of("us-west-2", id), "terminated");
    }
}
