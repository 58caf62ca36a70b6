//! Deployments in full on the sandbox: what is on the hosts afterwards, what a second run does, and what
//! is told when a step fails.

use crate::spot::{Finished, Spot};

const CONFIG: &str = "[fleet]\ncount = 2\nregions = [\"us-west-2\"]\ntypes = [\"t3.micro\"]\n";

const UNIT: &str = "[Unit]\nDescription=app\n[Service]\n\
    ExecStart=/usr/bin/python3 -m http.server 8080 --directory /opt/deployment\n\
    [Install]\nWantedBy=multi-user.target\n";

fn project(more: &str) -> Spot {
    let spot = Spot::new();
    spot.write("spot.toml", &format!("{CONFIG}{more}"));
    spot
}

/// What a command says on each host, run as root, in the order of the state.
fn on_hosts(spot: &Spot, command: &str) -> Vec<String> {
    spot.write(
        "recipes/probe.rhai",
        "let opt = args(#{ command: \"\" });\n\
         for r in ssh::run(state::instances(), opt.command, #{ sudo: true, quiet: true }) { print(#{ text: r.stdout + r.stderr }.to_json()); }",
    );
    let told = spot.sandbox(&["probe", "--command", command]).expect(0);
    let text = |line: &str| {
        serde_json::from_str::<serde_json::Value>(line).unwrap()["text"].as_str().unwrap().to_owned()
    };
    told.stdout.lines().map(text).collect()
}

fn ids(spot: &Spot) -> Vec<String> {
    let text = |instance: &serde_json::Value| instance["id"].as_str().unwrap().to_owned();
    spot.instances(".spot/sandbox").iter().map(text).collect()
}

/// A project with everything that a deployment can have.
fn everything() -> Spot {
    let spot = project(
        "[deploy]\npackages = [\"nginx\"]\n\
         archives = [{ source = \"deploy/tool.tar.gz\", destination = \"/opt/tool\", strip = 1 }]\n\
         services = [{ file = \"deploy/services/app.service\", health = { port = 8080, timeout = 20 } }]\n\
         files = [\"deploy/files\", { source = \"deploy/app.conf\", destination = \"/etc/app/app.conf\", template = true, mode = \"0640\", owner = \"root\" }]\n\
         ready = { http = \"http://localhost:8080/hello.txt\", timeout = 20 }\n\
         [deploy.environment]\nSTAGE = \"test\"\n[deploy.secrets]\nTOKEN = \"env:MY_TOKEN\"\n",
    )
    .env("MY_TOKEN", "s3cret-of-the-environment");
    spot.write("deploy/files/hello.txt", "hello\n");
    spot.write("deploy/app.conf", "id={{ id }} stage={{STAGE}}\n");
    spot.write("deploy/secrets/db_password", "hunter2-of-a-file");
    spot.write("deploy/services/app.service", UNIT);
    spot.write(
        "deploy/setup.sh",
        "#!/bin/sh\nset -eu\npwd > /opt/where\ncat \"$SPOT_SECRETS/TOKEN\" > /opt/token\necho ran >> /opt/runs\napt-get install -y curl\n",
    );
    spot.write("deploy/hooks/before-setup.sh", "#!/bin/sh\necho \"$SPOT_HOOK\" >> /opt/hooks\n");
    spot.write("deploy/hooks/before-launch.rhai", "print(\"about to launch\");");
    spot.write("deploy/tool/tool-1.0/run", "tool\n");
    let folder = spot.folder().join("deploy/tool");
    let packed = std::process::Command::new("tar")
        .args(["-czf", "../tool.tar.gz", "tool-1.0"])
        .current_dir(&folder)
        .status()
        .unwrap();
    assert!(packed.success());
    spot
}

#[test]
fn everything_of_a_deployment_is_on_the_hosts_and_a_second_create_changes_nothing() {
    let spot = everything();
    let created = spot.sandbox(&["create"]).expect(0);
    assert!(created.stdout.contains("about to launch"), "{}", created.all());
    let told = on_hosts(
        &spot,
        "cd /opt; cat where token hooks runs deployment/hello.txt tool/run /etc/app/app.conf; \
         stat -c '%a %n' /etc/app/app.conf secrets secrets/TOKEN secrets/db_password; cat secrets/db_password; \
         systemctl is-enabled app; cat /var/log/sandbox/commands.jsonl",
    );
    for (host, id) in told.iter().zip(ids(&spot)) {
        let expected = format!(
            "/opt/deployment\ns3cret-of-the-environmentbefore_setup\nran\nhello\ntool\nid={id} stage=test\n\
             640 /etc/app/app.conf\n700 secrets\n600 secrets/TOKEN\n600 secrets/db_password\nhunter2-of-a-fileenabled\n"
        );
        assert!(host.starts_with(&expected), "{host}");
        let asked = host.strip_prefix(&expected).unwrap();
        assert!(
            asked.contains("\"apt-get\"") && asked.contains("nginx") && asked.contains("curl"),
            "{asked}"
        );
        assert!(!asked.contains("s3cret") && !asked.contains("hunter2"), "{asked}");
    }
    // Every step with its end and its time is in state.
    for instance in spot.instances(".spot/sandbox") {
        assert_eq!(instance["phase"], "ready");
        for step in ["upload", "boot", "packages", "secrets", "before_setup", "setup", "services", "ready"] {
            let told = &instance["steps"][step];
            assert!(told["ok"] == true && told["seconds"].as_f64().is_some(), "{step}: {instance}");
        }
    }
    // No secret is anywhere but on the hosts.
    let mut searched = std::process::Command::new("grep");
    searched.args(["-rlE", "s3cret-of-the|hunter2-of-a", ".spot", "--exclude-dir=hosts"]);
    let found = searched.current_dir(spot.folder()).output().unwrap();
    // The probe above printed what it read; its own log has it.
    let found = String::from_utf8(found.stdout).unwrap();
    let found: Vec<&str> = found.lines().filter(|path| !path.contains("probe")).collect();
    assert!(found.is_empty(), "{found:?}");
    assert!(
        !created.all().contains("s3cret-of") && !created.all().contains("hunter2-of"),
        "{}",
        created.all()
    );

    let before = spot.read(".spot/sandbox/instances.json");
    let again = spot.sandbox(&["create"]).expect(0);
    assert!(again.stderr.contains("nothing to do: 2 hosts ready"), "{}", again.all());
    assert_eq!(spot.read(".spot/sandbox/instances.json"), before);

    // A push changes what has changed, and restarts what that concerns.
    spot.sandbox(&["push"]).expect(0);
    let idle = spot.sandbox(&["push"]).expect(0);
    assert!(!idle.stdout.contains("upload") && !idle.stdout.contains("setup"), "{}", idle.all());
    spot.write("deploy/files/hello.txt", "hello again\n");
    let pushed = spot.sandbox(&["push"]).expect(0);
    assert!(pushed.stdout.contains("upload") && pushed.stdout.contains("services"), "{}", pushed.all());
    assert!(pushed.stderr.contains("2 hosts changed"), "{}", pushed.all());
    assert_eq!(on_hosts(&spot, "cat /opt/deployment/hello.txt /opt/runs"), ["hello again\nran\n"; 2]);
    spot.write("deploy/setup.sh", "#!/bin/sh\necho anew >> /opt/runs\n");
    spot.sandbox(&["push"]).expect(0);
    assert_eq!(on_hosts(&spot, "cat /opt/runs"), ["ran\nanew\n"; 2]);
    spot.sandbox(&["destroy", "--yes"]).expect(0);
}

#[test]
fn a_secret_that_is_missing_is_told_before_anything_is_made() {
    let spot = project("[deploy.secrets]\nTOKEN = \"env:NOT_THERE\"\n");
    let refused = spot.sandbox(&["create"]);
    assert_ne!(refused.code, 0);
    assert!(
        refused.stderr.contains("the secret TOKEN is missing: the variable NOT_THERE is not set"),
        "{}",
        refused.all()
    );
    assert!(!spot.folder().join(".spot/sandbox/instances.json").exists() || ids(&spot).is_empty());

    let spot = project("[deploy.secrets]\nA = \"ssm:/app/token\"\n");
    let refused = spot.sandbox(&["create"]);
    assert!(refused.stderr.contains("there is no parameter `/app/token` in us-west-2"), "{}", refused.all());
    let spot = project("[deploy.secrets]\nTOKEN = \"hunter2\"\n");
    let refused = spot.sandbox(&["create"]).expect(2);
    assert!(
        refused.stderr.contains("spot.toml:6:9") && refused.stderr.contains("ssm:/PATH"),
        "{}",
        refused.all()
    );
    assert!(!refused.stderr.contains("hunter2"), "{}", refused.all());
}

#[test]
fn secrets_come_from_parameter_store_and_secrets_manager() {
    let spot = project("[deploy.secrets]\nA = \"ssm:/app/token\"\nB = \"secretsmanager:app/password\"\n");
    let script = "import boto3\nboto3.client('ssm').put_parameter(Name='/app/token', Value='of-ssm', Type='SecureString')\n\
                  boto3.client('secretsmanager').create_secret(Name='app/password', SecretString='of-the-manager')\n";
    spot.write("seed.py", script);
    spot.run(&["sandbox", "start", "--detach"]).expect(0);
    let shell = "eval \"$1\"; export AWS_DEFAULT_REGION=us-west-2; exec python3 seed.py";
    let variables = spot.run(&["sandbox", "env"]).expect(0).stdout;
    let seeded = std::process::Command::new("sh")
        .args(["-c", shell, "sh", &variables])
        .current_dir(spot.folder())
        .output()
        .unwrap();
    assert!(seeded.status.success(), "{}", String::from_utf8_lossy(&seeded.stderr));
    spot.sandbox(&["create", "--count", "1"]).expect(0);
    assert_eq!(on_hosts(&spot, "cat /opt/secrets/A /opt/secrets/B"), ["of-ssmof-the-manager"]);
    spot.sandbox(&["destroy", "--yes"]).expect(0);
    spot.run(&["sandbox", "stop"]).expect(0);
}

#[test]
fn a_failed_step_is_named_with_its_log_and_only_retried_when_asked() {
    let spot = project("");
    spot.write("deploy/setup.sh", "#!/bin/sh\necho first line\necho 'disk is full' >&2\nexit 7\n");
    let failed = spot.sandbox(&["create"]).expect(5);
    for part in ["setup: exited with status 7: disk is full", "| first line", "create --retry-failed"] {
        assert!(failed.stderr.contains(part), "`{part}` is missing in {}", failed.all());
    }
    let before = ids(&spot);
    for instance in spot.instances(".spot/sandbox") {
        assert_eq!((&instance["phase"], &instance["failed"]), (&"failed".into(), &"setup".into()));
        assert_eq!(instance["steps"]["setup"]["status"], 7);
        assert_eq!(instance["log"], serde_json::json!(["first line", "disk is full"]));
    }
    spot.write("deploy/setup.sh", "#!/bin/sh\nexit 0\n");
    let plain = spot.sandbox(&["create"]);
    assert_ne!(plain.code, 0, "{}", plain.all());
    assert!(plain.stderr.contains("create --retry-failed"), "{}", plain.all());
    spot.sandbox(&["create", "--retry-failed"]).expect(0);
    assert_eq!(ids(&spot), before);
    assert!(spot.instances(".spot/sandbox").iter().all(|it| it["phase"] == "ready" && it["error"].is_null()));
    spot.sandbox(&["destroy", "--yes"]).expect(0);
}

#[test]
fn a_service_that_does_not_run_fails_the_deployment_with_its_journal() {
    let spot = project("");
    spot.write("deploy/services/bad.service", "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo no licence; exit 3'\n[Install]\nWantedBy=multi-user.target\n");
    let failed = spot.sandbox(&["create", "--count", "1"]).expect(5);
    assert!(
        failed.stderr.contains("failed: services: ") && failed.stderr.contains("no licence"),
        "{}",
        failed.all()
    );
    spot.sandbox(&["destroy", "--yes"]).expect(0);
}

#[test]
fn create_scales_heals_and_goes_on() {
    let spot = project("");
    spot.write("deploy/setup.sh", "#!/bin/sh\necho ran >> /opt/runs\n");
    spot.sandbox(&["create"]).expect(0);
    let first = ids(&spot);
    spot.sandbox(&["create", "--count", "3"]).expect(0);
    let three = ids(&spot);
    assert_eq!(three[..2], first);
    assert_eq!(on_hosts(&spot, "cat /opt/runs"), ["ran\n"; 3]);
    let deployments: std::collections::BTreeSet<String> =
        spot.instances(".spot/sandbox").iter().map(|it| it["deployment_id"].to_string()).collect();
    assert_eq!(deployments.len(), 1);

    // Too many: only after a question, the newest first.
    spot.sandbox(&["create", "--count", "2"]).expect(2);
    assert_eq!(ids(&spot), three);
    spot.sandbox(&["create", "--count", "2", "--yes"]).expect(0);
    assert_eq!(ids(&spot), first);

    // One is lost: told, and replaced when asked.
    spot.write(
        "recipes/lose.rhai",
        "let h = state::instances()[0]; aws::terminate([h]); aws::wait_for([h], \"terminated\");",
    );
    spot.sandbox(&["lose"]).expect(0);
    let told = spot.sandbox(&["create"]).expect(3);
    assert!(told.stderr.contains("create --heal"), "{}", told.all());
    spot.sandbox(&["create", "--heal"]).expect(0);
    let healed = ids(&spot);
    assert!(healed.len() == 2 && healed[0] == first[1], "{healed:?} of {first:?}");
    spot.sandbox(&["create", "--heal", "--retry-failed"]).expect(0);
    assert_eq!(ids(&spot), healed);

    // What was killed half-way is gone on with.
    spot.write(
        "recipes/half.rhai",
        "let h = state::instances()[0]; state::update(h, #{ phase: \"uploaded\" });",
    );
    spot.sandbox(&["half"]).expect(0);
    spot.sandbox(&["create"]).expect(0);
    assert!(spot.instances(".spot/sandbox").iter().all(|it| it["phase"] == "ready"));
    spot.sandbox(&["destroy", "--yes"]).expect(0);
}

/// A project as Spot Deployer has it: manifest, tarball folder, scripts, units.
fn deployer() -> Spot {
    let spot = Spot::new();
    spot.write(
        "config.yaml",
        "aws:\n  total_instances: 2\n  username: ubuntu\n  instance_storage_gb: 20\n  security_group_name: amauo-sg\nregions:\n- us-west-2:\n    machine_type: t3.micro\n    image: auto\n",
    );
    spot.write(
        ".spot/deployment.yaml",
        "version: 1\ndeployment:\n  tarball_source: instance-files\n  packages: [python3, nginx]\n  template: docker\n\
         \x20 scripts:\n  - {name: second, path: scripts/second.sh, order: 2}\n  - {name: first, path: scripts/setup.sh, order: 1}\n\
         \x20 uploads:\n  - {source: files/app.conf, dest: /etc/app/app.conf, permissions: \"640\"}\n  - {source: configs, destination: /opt/configs, permissions: 644, exclude: [\"*.bak\"]}\n\
         \x20 services:\n  - {name: app, file: services/app.service, enabled: true, start: true}\n",
    );
    spot.write("instance-files/etc/tool.yaml", "a: 1\n");
    spot.write("instance-files/run.py", "print('x')\n");
    spot.write("instance-files/__pycache__/x.pyc", "no\n");
    spot.write(".spot/files/app.conf", "conf\n");
    spot.write(".spot/configs/one.conf", "1\n");
    spot.write(".spot/configs/two.bak", "2\n");
    spot.write(".spot/scripts/setup.sh", "#!/bin/bash\nset -e\necho first >> /opt/order\n");
    spot.write(".spot/scripts/second.sh", "#!/bin/bash\necho second >> /opt/order\n");
    spot.write(".spot/services/app.service", UNIT);
    spot
}

#[test]
fn a_manifest_of_spot_deployer_deploys_unchanged() {
    let spot = deployer();
    let created = spot.sandbox(&["create"]).expect(0);
    let warned = spot.sandbox(&["validate", "--offline"]).expect(0);
    for part in [
        "`template` had no effect in Spot Deployer",
        "`security_group_name` had no effect",
        "deployment.yaml:5",
    ] {
        assert!(warned.stderr.contains(part), "`{part}` is missing in {}", warned.all());
    }
    let listing = "cd /; find opt etc/app -type f ! -path 'opt/secrets/*' | sort | while read -r f; do stat -c '%a' $f | tr '\\n' ' '; echo \"$f $(sha256sum < $f | cut -c 1-64)\"; done; \
                   systemctl is-enabled app; cat /opt/order";
    let sum = |text: &str| {
        use sha2::{Digest, Sha256};
        Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let expected = format!(
        "640 etc/app/app.conf {}\n644 opt/configs/one.conf {}\n644 opt/deployment/etc/tool.yaml {}\n644 opt/deployment/run.py {}\n644 opt/order {}\nenabled\nfirst\nsecond\n",
        sum("conf\n"),
        sum("1\n"),
        sum("a: 1\n"),
        sum("print('x')\n"),
        sum("first\nsecond\n"),
    );
    for host in on_hosts(&spot, listing) {
        assert_eq!(host, expected, "{}", created.all());
    }
    let again = spot.sandbox(&["create"]).expect(0);
    assert!(again.stderr.contains("nothing to do"), "{}", again.all());
    spot.sandbox(&["destroy", "--yes"]).expect(0);
}

#[test]
fn mistakes_of_a_manifest_have_a_place() {
    let spot = deployer();
    let text = spot.read(".spot/deployment.yaml");
    spot.write(
        ".spot/deployment.yaml",
        &text.replace("scripts/second.sh", "scripts/secnod.sh").replace("packages:", "pakages:"),
    );
    let refused = spot.sandbox(&["create"]).expect(2);
    for part in [".spot/deployment.yaml:4:", "did you mean `packages`?", ".spot/deployment.yaml:7:"] {
        assert!(refused.stderr.contains(part), "`{part}` is missing in {}", refused.all());
    }
}

fn with_logs(finished: &Finished) -> String {
    format!("{}{}", finished.stdout, finished.stderr)
}

#[test]
fn status_logs_exec_and_list_look_at_all_hosts() {
    let spot = project("");
    spot.write("deploy/services/app.service", UNIT);
    spot.write("recipes/all.rhai", "run(\"create\"); run(\"status\"); run(\"status\");");
    let told = spot.sandbox(&["all"]).expect(0);
    assert!(told.stdout.contains("2 of 2 hosts well") && told.stdout.contains("done"), "{}", told.all());
    // Units run again in a sandbox that begins anew; one that was stopped is told.
    spot.write(
        "recipes/ill.rhai",
        "ssh::run(state::instances()[0], \"systemctl stop app\", #{ sudo: true }); run(\"status\");",
    );
    let ill = spot.sandbox(&["ill"]).expect(3);
    assert!(
        ill.stdout.contains("app.service inactive") && ill.stdout.contains("1 of 2 hosts well"),
        "{}",
        ill.all()
    );

    let logs = spot.sandbox(&["logs", "--lines", "5"]).expect(0);
    for id in ids(&spot) {
        assert!(with_logs(&logs).contains(&format!("[{id}]")), "{}", logs.all());
    }
    let followed = spot.sandbox(&["logs", "--follow", "--for", "1", "--file", "/etc/hostname"]).expect(0);
    assert!(with_logs(&followed).contains(&ids(&spot)[0]), "{}", followed.all());

    let same = spot.sandbox(&["exec", "echo", "same"]).expect(0);
    assert!(same.stdout.contains("2 hosts: ") && same.stdout.matches("same").count() == 1, "{}", same.all());
    let one = "[ $(hostname) = x ] || test -e /no || exit $(grep -c . /opt/only 2>/dev/null || echo 0)";
    spot.sandbox(&["exec", one]).expect(0);
    spot.sandbox(&["exec", "false"]).expect(1);
    spot.sandbox(&["exec", "--on", &ids(&spot)[0], "true"]).expect(0);

    let config = spot.sandbox(&["list", "--format", "ssh_config"]).expect(0).stdout;
    for id in ids(&spot) {
        assert!(
            config.contains(&format!("Host {id}\n")) && config.contains(&format!("HostKeyAlias {id}\n")),
            "{config}"
        );
    }
    let ansible = spot.sandbox(&["list", "--format", "ansible"]).expect(0).stdout;
    assert!(ansible.contains("[us_west_2]\n") && ansible.contains("ansible_host=127."), "{ansible}");
    assert_eq!(
        spot.sandbox(&["list", "--format", "ids"]).expect(0).stdout.lines().collect::<Vec<_>>(),
        ids(&spot)
    );
    let checked = spot.sandbox(&["validate"]).expect(0);
    assert!(checked.stderr.contains("can launch 2 instances"), "{}", checked.all());
    spot.sandbox(&["destroy", "--yes"]).expect(0);
}

#[test]
fn generated_projects_deploy() {
    for template in ["minimal", "docker", "web", "batch"] {
        let spot = Spot::new();
        spot.run(&["generate", "--template", template]).expect(0);
        let again = spot.run(&["generate", "--template", template]).expect(0);
        assert!(!again.stderr.contains("made"), "{}", again.all());
        spot.sandbox(&["create", "--count", "1", "--regions", "us-west-2"]).expect(0);
        if template == "batch" {
            spot.sandbox(&["batch"]).expect(0);
            let id = &ids(&spot)[0];
            let result = spot.read(&format!("results/{id}/part-1.txt"));
            assert!(result.starts_with("part 1 of 1"), "{result}");
        }
        spot.sandbox(&["destroy", "--yes"]).expect(0);
    }
    let spot = Spot::new();
    spot.run(&["generate", "--template", "bacalhau"]).expect(0);
    spot.run(&["validate", "--offline"]).expect(0);
}
