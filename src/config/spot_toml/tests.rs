use super::vocabulary::{ALSO_KNOWN_AS, SECTIONS};
use super::*;
use crate::config::tests::{Folder, OTHER_PUBLIC_KEY, PRIVATE_KEY, PUBLIC_KEY};

fn problems(text: &str) -> Vec<String> {
    Folder::new().with("spot.toml", text).problems()
}

#[test]
fn a_full_file_loads_with_its_values() {
    let folder = Folder::new()
        .with("keys/id", &PRIVATE_KEY)
        .with("keys/id.pub", PUBLIC_KEY)
        .with("deploy/app.conf", "x")
        .with("deploy/files/a", "x")
        .with("run.sh", "#!/bin/sh\n")
        .with(
            "spot.toml",
            r#"
            [project]
            name = "lab"
            [fleet]
            count = 5
            regions = ["eu-west-1", "us-east-2"]
            types = ["c7g.large"]
            image = "my-image-*"
            market = "on-demand"
            disk_gb = 8
            user = "ec2-user"
            public_ip = false
            region.us-east-2 = { types = ["m6g.large"], image = "ami-0123456789abcdef0", count = 2 }
            [network]
            ssh_from = ["10.0.0.0/8", "auto"]
            ports = [80, "8000-8100"]
            vpc_id = "vpc-01234567"
            [ssh]
            private_key = "keys/id"
            port = 2222
            address = "127.0.0.1"
            connect_timeout = 5
            wait_timeout = 60
            [deploy]
            setup = "run.sh"
            setup_timeout = 60
            environment = { STAGE = "test", RETRIES = 3, RATE = 1.10 }
            [[deploy.files]]
            source = "deploy/app.conf"
            destination = "/etc/app.conf"
            mode = "0640"
            [[deploy.files]]
            source = "deploy/files"
            destination = "/home/ec2-user/app"
            [tags]
            team = "research"
            cost = 7
            "#,
        );
    let config = folder.good();
    assert!(config.warnings.is_empty(), "{:#?}", config.warnings);
    assert_eq!(
        config.project,
        Project {
            name: "lab".into(),
            directory: folder.path("").components().collect(),
            deployment: None,
            state: None
        }
    );
    assert_eq!((config.fleet.count, config.fleet.market, config.fleet.disk_gb), (5, Market::OnDemand, 8));
    assert_eq!(config.fleet.types_in("us-east-2"), ["m6g.large"]);
    assert_eq!(config.fleet.types_in("eu-west-1"), ["c7g.large"]);
    assert_eq!(config.fleet.image_in("eu-west-1"), "my-image-*");
    assert_eq!(config.fleet.image_in("us-east-2"), "ami-0123456789abcdef0");
    assert_eq!((config.fleet.count_in("us-east-2"), config.fleet.count_in("eu-west-1")), (Some(2), None));
    assert!(!config.fleet.public_ip);
    assert_eq!(config.network.ssh_from, ["10.0.0.0/8", "auto"]);
    assert_eq!(
        config.network.ports.iter().map(|ports| (ports.from, ports.to)).collect::<Vec<_>>(),
        [(80, 80), (8000, 8100)]
    );
    assert_eq!(config.network.vpc_id.as_deref(), Some("vpc-01234567"));
    assert_eq!(config.ssh.private_key, Some(folder.path("keys/id")));
    assert_eq!(config.ssh.public_key, Some(folder.path("keys/id.pub")));
    assert_eq!(config.ssh.address, Address::Host("127.0.0.1".into()));
    assert_eq!((config.ssh.port, config.ssh.connect_timeout, config.ssh.wait_timeout), (2222, 5, 60));
    assert_eq!(config.deploy.setup, [folder.path("run.sh")]);
    assert_eq!(config.deploy.environment["RATE"], "1.10");
    assert_eq!(config.deploy.environment["RETRIES"], "3");
    let [conf, files] = config.deploy.files.as_slice() else { panic!("{:?}", config.deploy.files) };
    assert_eq!((conf.mode, conf.sudo, conf.destination.as_str()), (Some(0o640), true, "/etc/app.conf"));
    assert_eq!((files.mode, files.sudo, &files.source), (None, false, &folder.path("deploy/files")));
    assert_eq!(config.tags["cost"], "7");
}

#[test]
fn conventions_hold_where_nothing_is_said() {
    let folder = Folder::new().with("deploy/setup.sh", "#!/bin/sh\n").with("deploy/files/a", "x");
    let deploy = folder.good().deploy;
    assert_eq!(deploy.setup, [folder.path("deploy/setup.sh")]);
    assert_eq!(deploy.files[0].destination, "/opt/deployment");
    assert!(deploy.files[0].sudo);
    let deploy = folder.with("spot.toml", "[deploy]\nsetup = false\nfiles = []\n").good().deploy;
    assert!(deploy.setup.is_empty() && deploy.files.is_empty());
}

/// Each key with a value that no key takes must be known, and each section that it is listed under.
#[test]
fn the_table_of_sections_is_complete() {
    for (section, keys) in SECTIONS {
        for key in *keys {
            let found = problems(&format!("[{section}]\n{key} = 1979-05-27\n"));
            assert!(!found.is_empty() && !found[0].contains("unknown key"), "{section}.{key}: {found:?}");
        }
        let found = problems(&format!("[{section}]\nzzzzzz = 1979-05-27\n"));
        let Some((_, listed)) = found[0].split_once(" has: ") else { continue };
        for key in listed.split(", ") {
            assert!(keys.contains(&key), "`{key}` of [{section}] is not in SECTIONS");
        }
    }
    for (other, name, home) in ALSO_KNOWN_AS {
        assert!(SECTIONS.iter().any(|(section, keys)| section == home && keys.contains(name)), "{other}");
    }
}

#[test]
fn misplaced_and_foreign_keys_say_where_they_belong() {
    assert_eq!(
        problems("count = 3\n"),
        ["error 1: unknown key `count` in spot.toml | `count` belongs in [fleet]"]
    );
    assert_eq!(
        problems("[network]\nmax_price = 1\n"),
        ["error 2: unknown key `max_price` in [network] | `max_price` belongs in [fleet]"]
    );
    assert_eq!(
        problems("[fleet]\ntotal_instances = 1\n"),
        ["error 2: unknown key `total_instances` in [fleet] | it is called `count` here"]
    );
    assert_eq!(
        problems("coutn = 3\n"),
        ["error 1: unknown key `coutn` in spot.toml | did you mean `count` in [fleet]?"]
    );
    assert_eq!(
        problems("[cloud]\nx = 1\n[flete]\n"),
        [
            "error 1: unknown key `cloud` in spot.toml | spot.toml has: state, state_kms_key, project, fleet, network, aws, ssh, deploy, tags",
            "error 3: unknown key `flete` in spot.toml | did you mean `fleet`?"
        ]
    );
}

#[test]
fn sections_must_be_tables() {
    assert_eq!(problems("fleet = 3\n"), ["error 1: [fleet] must be a table, found a number"]);
    assert_eq!(
        problems("[fleet]\nregion.us-west-2 = 3\n"),
        ["error 2: [fleet.region.us-west-2] must be a table, found a number"]
    );
}

#[test]
fn counts_of_regions_agree_with_the_count_of_the_fleet() {
    let both = "region.us-west-2.count = 2\nregion.us-east-1.count = 2\n";
    let folder = Folder::new().with("spot.toml", &format!("[fleet]\n{both}"));
    assert_eq!(folder.good().fleet.count, 4);
    assert_eq!(
        problems(&format!("[fleet]\ncount = 5\n{both}")),
        ["error 2: `count` is 5, but the counts of the regions make 4 | set count = 4, or leave it out"]
    );
    assert_eq!(
        problems("[fleet]\ncount = 1\nregion.us-west-2.count = 2\n"),
        ["error 2: `count` is 1, but the counts of the regions make 2 | set count = 2 or more"]
    );
    assert_eq!(
        problems("[fleet]\nregion.eu-west-1.count = 2\n"),
        [
            "warning 2: `eu-west-1` is not among the regions of the fleet, so this has no effect | add \"eu-west-1\" to `regions`"
        ]
    );
}

#[test]
fn settings_that_contradict_each_other_are_noticed() {
    let found = problems("[fleet]\nmarket = \"on-demand\"\nmax_price = 1\nimage = \"ami-01234567\"\n");
    assert_eq!(found.len(), 2);
    assert!(found[0].starts_with("warning 3: `max_price` has no effect on on-demand instances"), "{found:?}");
    assert!(
        found[1].starts_with("warning 4: an image id is valid in one region, but 2 regions use this one"),
        "{found:?}"
    );
    let found = problems("[network]\ndedicated = true\nvpc_id = \"vpc-01234567\"\n");
    assert!(found[0].starts_with("error 2: `dedicated` and `vpc_id` exclude each other"), "{found:?}");
    let found = problems("[fleet]\nregions = []\ntypes = []\n[network]\nssh_from = []\n");
    assert_eq!(found.len(), 3, "{found:?}");
}

#[test]
fn numbers_out_of_range_are_refused() {
    for (section, setting, range) in [
        ("fleet", "count = 0", "1 to 1000"),
        ("fleet", "count = 1001", "1 to 1000"),
        ("fleet", "count = -1", "1 to 1000"),
        ("fleet", "disk_gb = 7", "8 to 65536"),
        ("ssh", "port = 65536", "1 to 65535"),
        ("ssh", "connect_timeout = 0", "1 to 600"),
        ("ssh", "wait_timeout = 86401", "1 to 86400"),
        ("deploy", "setup_timeout = 0", "1 to 86400"),
    ] {
        let found = problems(&format!("[{section}]\n{setting}\n"));
        assert!(
            found.len() == 1 && found[0].contains(&format!("must be from {range}")),
            "{setting}: {found:?}"
        );
    }
    for price in ["0", "-0.5", "nan", "inf"] {
        let found = problems(&format!("[fleet]\nmax_price = {price}\n"));
        assert!(found[0].contains("`max_price` must be more than 0"), "{found:?}");
    }
}

#[test]
fn uploads_need_a_source_and_a_destination() {
    let folder = Folder::new()
        .with("a", "x")
        .with("spot.toml", "[deploy]\nfiles = [{ source = \"a\", dest = \"/opt/a\" }, 3]\n");
    assert_eq!(
        folder.problems(),
        [
            "error 2: an upload needs `destination` | write { source = \"deploy/files\", destination = \"/opt/app\" }",
            "error 2: unknown key `dest` in an upload | it is called `destination` here",
            "error 2: `files`: expected a path or a table, found the number 3 | write { source = \"deploy/files\", destination = \"/opt/app\" }",
        ]
    );
}

fn key_problems(folder: Folder, keys: &str) -> Vec<String> {
    folder.with("spot.toml", &format!("[ssh]\n{keys}\n")).problems()
}

#[test]
fn missing_key_files_come_with_the_command_that_makes_them() {
    assert_eq!(
        key_problems(Folder::new(), "private_key = \"~/.ssh/id\""),
        [
            "error 2: the private key file ROOT/home/.ssh/id does not exist | ssh-keygen -t ed25519 -f ROOT/home/.ssh/id -N ''"
        ]
    );
    assert_eq!(
        key_problems(Folder::new().with("id", &PRIVATE_KEY), "private_key = \"id\""),
        [
            "error 2: the public key file ROOT/app/id.pub does not exist | ssh-keygen -y -f ROOT/app/id > ROOT/app/id.pub"
        ]
    );
}

#[test]
fn a_private_key_that_others_can_read_is_refused() {
    let folder = Folder::new().with("id", &PRIVATE_KEY).with("id.pub", PUBLIC_KEY).mode("id", 0o640);
    assert_eq!(
        key_problems(folder, "private_key = \"id\""),
        [
            "error 2: the private key file ROOT/app/id is open to other users (mode 0640) | chmod 600 ROOT/app/id"
        ]
    );
}

#[test]
fn keys_of_the_wrong_kind_are_told_apart() {
    let both = || Folder::new().with("id", &PRIVATE_KEY).with("id.pub", PUBLIC_KEY);
    let swapped = key_problems(both(), "private_key = \"id.pub\"\npublic_key = \"id\"");
    assert_eq!(
        swapped[0],
        "error 2: ROOT/app/id.pub is a public key, expected the private one | did you mean ROOT/app/id?"
    );
    assert_eq!(
        swapped[1],
        "error 3: ROOT/app/id is a private key, expected the public one | did you mean ROOT/app/id.pub?"
    );
    let same = key_problems(both(), "private_key = \"id\"\npublic_key = \"id\"");
    assert_eq!(
        same,
        ["error 3: the private and the public key are the same file | the public key is in ROOT/app/id.pub"]
    );
    let other = key_problems(both().with("id.pub", OTHER_PUBLIC_KEY), "private_key = \"id\"");
    assert_eq!(
        other,
        [
            "error 2: ROOT/app/id.pub is not the public key of ROOT/app/id | ssh-keygen -y -f ROOT/app/id > ROOT/app/id.pub"
        ]
    );
    let text = key_problems(both().with("id.pub", "hello\n"), "private_key = \"id\"");
    assert!(text[0].contains("is not an OpenSSH public key"), "{text:?}");
    let putty = key_problems(both().with("id", "PuTTY-User-Key-File-3: x\n"), "private_key = \"id\"");
    assert!(putty[0].contains("is a PuTTY key") && putty[0].contains("| puttygen "), "{putty:?}");
    let text = key_problems(both().with("id", "hello\n"), "private_key = \"id\"");
    assert_eq!(text, ["error 2: ROOT/app/id is not a private key"]);
    assert!(key_problems(both(), "public_key = \"id.pub\"").is_empty());
    assert!(key_problems(both(), "private_key = \"\"")[0].contains("`private_key` is empty"));
}

#[test]
fn secrets_in_the_environment_are_warned_of_and_never_shown() {
    let text = "[deploy.environment]\nKEY = \"AKIAIOSFODNN7EXAMPLE\"\nPASSWORD = \"hunter2\"\n\"A B\" = \"hunter3\"\n";
    let folder = Folder::new().with("spot.toml", text);
    let report = folder.load().unwrap_err().to_string();
    assert!(report.contains("the value of `KEY` looks like an AWS access key id"), "{report}");
    assert!(!report.contains("AKIAIOSFODNN7EXAMPLE") && !report.contains("hunter"), "{report}");
    assert!(report.contains("\"A B\" = \"*******\""), "{report}");
}

#[test]
fn secrets_in_a_misformed_environment_are_not_shown_either() {
    for text in [
        "[deploy]\nenvironment = \"A=hunter2\"\n",
        "[deploy]\nenvironment = { \"A B\" = \"hunter2\" }\n",
        "[deploy]\nenvironment = { A = hunter2 }\n",
        "[deploy]\nenvironment = [\"hunter2\"]\n",
        "[deploy.environment]\nA = [\"hunter2\"]\n",
        "[deploy.environment]\nA = hunter2\n",
        "[deploy.environment]\nA: hunter2\n",
        "[deploy.environment]\nA = \"hunter2\n",
        "[deploy]\nenvironment.A = { b = \"hunter2\" }\n",
    ] {
        let problems = Folder::new().with("spot.toml", text).load().unwrap_err();
        assert!(
            !problems.to_string().contains("hunter2") && !format!("{problems:?}").contains("hunter2"),
            "{problems}"
        );
    }
}

#[test]
fn what_a_fleet_may_cost_and_how_it_is_chosen() {
    let text = "[fleet]\nstrategy = \"lowest-price\"\nspread = \"cheapest\"\nmax_hourly = 1.5\non_demand_base = 1\nspot_percent = 50\non_demand_fallback = true\ndisk_iops = 4000\ninstance_profile = \"app\"\n[network]\nvpc_id = \"tag:Name=prod\"\nsubnets = [\"subnet-01234567\"]\n[aws]\nattempts = 7\n";
    let config = Folder::new().with("spot.toml", text).good();
    let fleet = &config.fleet;
    assert_eq!((fleet.strategy.as_str(), fleet.spread.as_str()), ("lowest-price", "cheapest"));
    assert_eq!((fleet.max_hourly, fleet.on_demand_base, fleet.spot_percent), (Some(1.5), 1, 50));
    assert!(fleet.on_demand_fallback && fleet.disk_iops == Some(4000));
    assert_eq!(config.network.subnets, ["subnet-01234567"]);
    assert_eq!((config.aws.attempts, config.aws.read_timeout), (7, 60));
    assert_eq!(
        problems("[fleet]\nstrategy = \"lowest_prise\"\n"),
        [
            "error 2: `lowest_prise` is no strategy, expected `price-capacity-optimized`, `capacity-optimized`, `lowest-price`, `ordered` | did you mean `lowest-price`?"
        ]
    );
    assert_eq!(
        problems("[fleet]\nspot_percent = 101\n"),
        ["error 2: `spot_percent` must be from 0 to 100, found 101"]
    );
    let both = problems("[network]\ndedicated = true\nsubnets = [\"subnet-01234567\"]\n");
    assert!(both[0].starts_with("error 2: `dedicated` and `subnets` exclude each other"), "{both:?}");
}
