use super::*;
use crate::config::tests::{Folder, PRIVATE_KEY, PUBLIC_KEY};

/// As `setup` of Spot Deployer wrote it, with the keys that its users changed.
const TYPICAL: &str = "\
# Spot Deployer configuration
aws:
  total_instances: 6
  username: ubuntu
  ssh_key_name: ''
  public_ssh_key_path: ~/.ssh/id_ed25519.pub
  private_ssh_key_path: ~/.ssh/id_ed25519
  files_directory: instance-files
  scripts_directory: instance/scripts
  startup_script: instance/scripts/startup.py
  cloud_init_template: instance/cloud-init/init-vm-template.yml
  instance_storage_gb: 20
  security_group_name: amauo-sg
  associate_public_ip: true
  use_dedicated_vpc: true
  ensure_default_vpc: yes
  spot_price_limit: 0.05
  tags:
    Project: demo
    ManagedBy: SpotDeployer
    CostCenter: 0042
regions:
- us-west-2:
    machine_type: t3.medium
    image: auto
- eu-north-1:
    machine_type: m5.large
    image: ami-0123456789abcdef0
";

fn typical() -> Folder {
    Folder::new()
        .with("config.yaml", TYPICAL)
        .with("../home/.ssh/id_ed25519", &PRIVATE_KEY)
        .with("../home/.ssh/id_ed25519.pub", PUBLIC_KEY)
        .with("instance-files/etc/app.conf", "x")
        .with("instance/scripts/startup.py", "#!/usr/bin/env python3\n")
}

#[test]
fn a_typical_file_loads_with_the_right_values() {
    let folder = typical();
    let config = folder.good();
    assert_eq!(config.source, Some(folder.path("config.yaml")));
    assert_eq!(config.project.name, "app");
    let fleet = &config.fleet;
    assert_eq!((fleet.count, fleet.disk_gb, fleet.max_price, fleet.public_ip), (6, 20, Some(0.05), true));
    assert_eq!(fleet.regions, ["us-west-2", "eu-north-1"]);
    assert_eq!(
        (fleet.types_in("us-west-2"), fleet.image_in("us-west-2")),
        (["t3.medium".to_owned()].as_slice(), "auto")
    );
    assert_eq!(fleet.types_in("eu-north-1"), ["m5.large"]);
    assert_eq!(fleet.image_in("eu-north-1"), "ami-0123456789abcdef0");
    assert_eq!((fleet.market, fleet.user.as_str()), (Market::Spot, "ubuntu"));
    assert!(config.network.dedicated && config.network.ssh_from == ["auto"]);
    assert!(config.ssh.private_key.as_ref().is_some_and(|key| key.ends_with("home/.ssh/id_ed25519")));
    assert!(config.ssh.public_key.as_ref().is_some_and(|key| key.ends_with("home/.ssh/id_ed25519.pub")));
    assert_eq!(config.deploy.files.len(), 1);
    assert_eq!(config.deploy.files[0].source, folder.path("instance-files"));
    assert_eq!(config.deploy.files[0].destination, "/opt/deployment");
    assert_eq!(config.deploy.setup, [folder.path("instance/scripts/startup.py")]);
    assert_eq!(
        config.tags,
        BTreeMap::from([("Project".into(), "demo".into()), ("CostCenter".into(), "0042".into())])
    );
}

#[test]
fn keys_that_never_did_anything_say_so() {
    let warnings = typical().problems();
    let about = |key: &str| warnings.iter().filter(|warning| warning.contains(&format!("`{key}`"))).count();
    for key in [
        "scripts_directory",
        "startup_script",
        "cloud_init_template",
        "security_group_name",
        "ensure_default_vpc",
        "spot_price_limit",
        "ManagedBy",
    ] {
        assert_eq!(about(key), 1, "{key}: {warnings:#?}");
    }
    // An empty value and one that says what happens anyway are not worth a line.
    assert_eq!(about("ssh_key_name") + about("associate_public_ip"), 0);
    assert_eq!(warnings.len(), 7, "{warnings:#?}");
    assert!(warnings.iter().all(|warning| warning.starts_with("warning ")));
}

#[test]
fn dead_keys_of_regions_are_known() {
    let folder = Folder::new()
        .with("config.yaml", "regions:\n- us-west-2: {machine_type: t3.small, instances: 3, tags: {}}\n");
    assert_eq!(
        folder.problems(),
        [
            "warning 2: `instances` had no effect in Spot Deployer and has none here | remove it; it works in spot.toml: `count` in [fleet.region.NAME]"
        ]
    );
}

#[test]
fn conventions_of_spot_deployer_are_followed() {
    let text = "aws:\n  files_directory: missing\nregions: [us-west-2]\n";
    let folder = Folder::new().with("config.yaml", text).with("deployment/setup.sh", "#!/bin/sh\n");
    let config = folder.good();
    assert_eq!(config.deploy.setup, [folder.path("deployment/setup.sh")]);
    assert_eq!(config.deploy.files[0].source, folder.path("deployment"));
    assert_eq!(config.fleet.types, ["t3.medium"]);
    assert_eq!(config.warnings.len(), 1);
    assert!(config.warnings[0].message.contains("`missing` does not exist"));
}

#[test]
fn regions_are_required_and_well_formed() {
    let problems = |text: &str| Folder::new().with("config.yaml", text).problems();
    assert!(problems("aws: {}\n")[0].starts_with("error 0: `regions` is missing"));
    assert!(problems("regions: []\n")[0].starts_with("error 1: `regions` is empty"));
    assert!(problems("regions: us-west-2\n")[0].contains("expected a list"));
    assert!(
        problems("regions:\n- us-west-2: {type: t3.small}\n")[0]
            .ends_with("it is called `machine_type` in config.yaml")
    );
    assert!(problems("regions:\n- us-west-2: t3.small\n")[0].contains("must be a table"));
    assert!(problems("regions: {us-west-2: {machine_type: t3.small}}\n").is_empty());
}

#[test]
fn keys_of_spot_toml_get_their_old_names() {
    let problems = Folder::new()
        .with("config.yaml", "aws: {count: 3, market: spot}\nregions: [us-west-2]\nfleet: {}\n")
        .problems();
    assert!(problems[0].ends_with("it is called `total_instances` in config.yaml"), "{problems:?}");
    assert!(problems[1].ends_with("`spot setup` writes one"), "{problems:?}");
    assert!(problems[2].ends_with("`spot setup` writes one"), "{problems:?}");
}

#[test]
fn an_environment_is_not_shown() {
    let text = "aws: {environment: {PASSWORD: hunter2}}\nregions: [us-west-2]\n";
    let warnings = Folder::new().with("config.yaml", text).good().warnings;
    assert_eq!(warnings.len(), 1);
    assert!(!format!("{warnings:?}").contains("hunter2"), "{warnings:?}");
}
