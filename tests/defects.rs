//! The defects of the tool that spot takes the place of (FIELD.md 2.6), each with a test that such a
//! defect would fail. Where another test asks the same, its name stands here:
//!
//! | defect | test |
//! |---|---|
//! | D4 in-place state writes, a parse error empties the state | `state::` unit tests (salvage, durability), and `d04_…` |
//! | D7 only the first page is read | `every_page_is_read`, `pages_that_lead_in_a_circle_are_an_error` (cloud/ec2/wire/call.rs) |
//! | D8 rows of later regions freeze | `ui::hosts` unit tests: rows are keyed by instance |
//! | D9 two markers, setup runs twice | `recipes::create_list_and_destroy` reads what one run of setup wrote |
//! | D10 `dest` and `destination` | `config::` unit tests: unknown keys are refused |
//! | D13 one type and zone, a shortage drops the share | `a_pool_without_capacity_falls_through_to_the_next`, `a_region_without_capacity_leaves_its_share_to_the_others` (tests/faults.rs) |
//! | D15 one temporary file for all | `ssh::transfer_tests`: staging names are fresh |
//! | D16 clean-up removes the user's files | `d16_…` |
//! | D17 unquoted paths | `ssh::quote` and `ssh::wrapper` unit tests |

use crate::spot::{Finished, Spot};

fn project(more: &str) -> Spot {
    let spot = Spot::new();
    spot.write(
        "spot.toml",
        &format!("[fleet]\nregions = [\"us-west-2\", \"eu-central-1\"]\ntypes = [\"t3.micro\", \"t3a.micro\"]\n{more}"),
    );
    spot
}

fn ids(spot: &Spot) -> Vec<String> {
    let instances = spot.instances(".spot/sandbox");
    instances.iter().map(|instance| instance["id"].as_str().unwrap().to_owned()).collect()
}

/// A recipe of the project, run.
fn recipe(spot: &Spot, text: &str) -> Finished {
    spot.write("recipes/probe.rhai", text);
    spot.sandbox(&["probe", "--quiet"]).expect(0)
}

/// Everything that the endpoint lists for spot in both regions, one line each.
fn everything(spot: &Spot) -> Vec<String> {
    let text = "for region in [\"us-west-2\", \"eu-central-1\"] {\n\
                for it in aws::owned(#{ region: region, everything: true }).owned { print(it.kind + \" \" + it.id); } }";
    recipe(spot, text).stdout.lines().map(str::to_owned).collect()
}

#[test]
fn d01_destroy_after_create_leaves_nothing() {
    let spot = project("[network]\ndedicated = true\n");
    spot.sandbox(&["create", "--count", "2"]).expect(0);
    let made = everything(&spot);
    for kind in ["instance", "volume", "security-group", "subnet", "route-table", "internet-gateway", "vpc"] {
        assert!(made.iter().any(|line| line.starts_with(kind)), "no {kind} in {made:?}");
    }
    spot.sandbox(&["destroy", "--yes"]).expect(0);
    assert_eq!(everything(&spot), [""; 0]);
}

#[test]
fn d02_a_second_create_reuses_the_group_and_destroy_removes_it() {
    let spot = project("");
    spot.sandbox(&["create", "--count", "2"]).expect(0);
    let groups = |all: Vec<String>| {
        all.into_iter().filter(|line| line.starts_with("security-group")).collect::<Vec<_>>()
    };
    let first = groups(everything(&spot));
    assert_eq!(first.len(), 2);
    spot.sandbox(&["create", "--count", "4"]).expect(0);
    assert_eq!(groups(everything(&spot)), first);
    spot.sandbox(&["destroy", "--yes"]).expect(0);
    assert_eq!(everything(&spot), [""; 0]);
}

#[test]
fn d03_two_creates_leave_both_fleets_in_state() {
    let spot = project("");
    spot.sandbox(&["create", "--count", "1"]).expect(0);
    let first = ids(&spot);
    spot.sandbox(&["create", "--count", "3"]).expect(0);
    let both = ids(&spot);
    assert_eq!((both.len(), &both[..1]), (3, &first[..]));
    let found = everything(&spot).into_iter().filter(|line| line.starts_with("instance ")).count();
    assert_eq!(found, 3);
    spot.sandbox(&["destroy", "--yes"]).expect(0);
}

#[test]
fn d04_a_torn_state_file_forgets_no_fleet() {
    let spot = project("");
    spot.sandbox(&["create", "--count", "2"]).expect(0);
    let before = ids(&spot);
    let path = spot.folder().join(".spot/sandbox/instances.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, &text[..text.len() / 2]).unwrap();
    let torn = std::fs::read(&path).unwrap();
    // No command takes it for an empty state, nor writes over it; the way back is named.
    for words in [&["list"][..], &["create", "--count", "1"], &["destroy", "--yes"]] {
        let refused = spot.sandbox(words);
        assert!(refused.code != 0 && refused.stderr.contains("StateDamaged"), "{}", refused.all());
        assert!(refused.stderr.contains(".spot/backups/"), "{}", refused.all());
        assert_eq!(std::fs::read(&path).unwrap(), torn);
    }
    std::fs::write(&path, text).unwrap();
    assert_eq!(ids(&spot), before);
    spot.sandbox(&["destroy", "--yes"]).expect(0);
    assert_eq!(everything(&spot), [""; 0]);
}

#[test]
fn d05_nothing_is_removed_without_a_yes() {
    let spot = project("");
    spot.sandbox(&["create", "--count", "1"]).expect(0);
    assert_ne!(spot.sandbox(&["destroy"]).code, 0);
    assert_ne!(spot.sandbox(&["nuke"]).code, 0);
    assert_ne!(spot.sandbox(&["nuke", "--yes"]).code, 0);
    assert_ne!(spot.sandbox(&["nuke", "--yes", "--account", "1"]).code, 0);
    assert_eq!(everything(&spot).iter().filter(|line| line.starts_with("instance ")).count(), 1);
    spot.sandbox(&["destroy", "--yes"]).expect(0);
}

#[test]
fn d06_a_failure_is_seen_in_the_exit_code() {
    let spot = project("");
    spot.sandbox(&["create", "--max-price", "0.0001"]).expect(1);
    spot.sandbox(&["create", "--cuont", "1"]).expect(2);
    spot.write("spot.toml", "[fleet]\ncuont = 3\n");
    let broken = spot.sandbox(&["create"]);
    assert!([1, 2].contains(&broken.code), "{}", broken.all());
    let wrong =
        spot.run(&["--endpoint-url", "http://127.0.0.1:1", "--region", "us-west-2", "run", "nothing"]);
    assert_ne!(wrong.code, 0, "{}", wrong.all());
}

#[test]
fn d12_ssh_is_open_for_the_caller_only_and_host_keys_are_kept() {
    let spot = project("");
    spot.sandbox(&["create", "--count", "1", "--regions", "us-west-2"]).expect(0);
    let keys = spot.read(".spot/sandbox/.spot/known_hosts");
    assert!(keys.contains(&ids(&spot)[0]) && keys.contains("ssh-ed25519"), "{keys}");
    // A host that shows another key is refused.
    let other = keys.replace("AAAAC3NzaC1lZDI1NTE5AAAAI", "AAAAC3NzaC1lZDI1NTE5AAAAIA");
    let forged: String = other
        .lines()
        .map(|line| format!("{}\n", &line[..line.len().min(keys.lines().next().unwrap().len())]))
        .collect();
    std::fs::write(spot.folder().join(".spot/sandbox/.spot/known_hosts"), forged).unwrap();
    let result = recipe(&spot, "let r = ssh::run(state::instances(), \"true\")[0]; print(`${r.ok}`);");
    assert_eq!(result.stdout, "false\n");
    spot.sandbox(&["destroy", "--yes"]).expect(0);
}

#[test]
fn d14_prices_come_from_the_market() {
    let spot = project("");
    spot.sandbox(&["create", "--count", "1", "--regions", "us-west-2"]).expect(0);
    let text = "let host = state::instances()[0];\n\
                let now = aws::prices(\"us-west-2\", [host.type]).find(|p| p.zone == host.zone);\n\
                print(host.price > 0.0 && (host.price - now.hourly).abs() < 0.5 * now.hourly);";
    assert_eq!(recipe(&spot, text).stdout, "true\n");
    // No price is written into a recipe or a stdlib module.
    for folder in ["recipes", "stdlib"] {
        for entry in std::fs::read_dir(format!("{}/{folder}", env!("CARGO_MANIFEST_DIR"))).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            assert!(!text.contains("0.0416") && !text.contains("0.05"), "a price in {folder}");
        }
    }
    spot.sandbox(&["destroy", "--yes"]).expect(0);
}

#[test]
fn d16_no_command_removes_the_users_files() {
    let spot = project("");
    for file in ["setup.sh", "notes.bak", "a.old", "b.orig", "deploy/setup.sh"] {
        spot.write(file, "#!/bin/sh\ntrue\n");
    }
    for words in [&["setup"][..], &["create", "--count", "1"], &["list"], &["destroy", "--yes"]] {
        spot.sandbox(words).expect(0);
    }
    for file in ["setup.sh", "notes.bak", "a.old", "b.orig", "deploy/setup.sh"] {
        assert_eq!(spot.read(file), "#!/bin/sh\ntrue\n", "{file}");
    }
}

#[test]
fn d18_state_forgets_an_instance_only_when_it_is_terminated() {
    let spot = project("");
    spot.sandbox(&["create", "--count", "1", "--regions", "us-west-2"]).expect(0);
    let id = ids(&spot).remove(0);
    // The order alone is no end.
    recipe(&spot, "aws::terminate(state::instances());");
    assert_eq!(ids(&spot), std::slice::from_ref(&id));
    spot.sandbox(&["destroy", "--yes"]).expect(0);
    let text = format!(
        "print(aws::instances(#{{ region: \"us-west-2\", ids: [\"{id}\"], ended: true }}).instances.map(|i| i.state));"
    );
    let seen = recipe(&spot, &text).stdout;
    assert!(seen.contains("terminated") || seen.trim() == "[]", "{seen}");
    assert!(ids(&spot).is_empty());
}

#[test]
fn d19_what_the_readme_promises_exists() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let spot = Spot::new();
    let listed = spot.run(&["list-recipes"]).expect(0).stdout;
    let help = spot.run(&["--help"]).expect(0).stdout;
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| `spot "));
    let mut commands = 0;
    for row in rows {
        let word = row.split([' ', '`', ',']).next().unwrap();
        assert!(listed.contains(word) || help.contains(word), "README.md promises `spot {word}`");
        commands += 1;
    }
    assert!(commands >= 5, "{commands}");
}
