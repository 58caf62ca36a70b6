//! `config.yaml` of Spot Deployer: what its keys mean here. Keys that had no effect there load with
//! a warning that says so, since their users believe the contrary.

mod conventional;
mod manifest;
mod regions;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::checks::paths::{self, Expected};
use super::checks::{fleet as fleet_checks, key_files, project, tags};
use super::place::Place;
use super::reader::Table;
use super::report::Report;
use super::settings::{
    Address, Aws, Config, Deploy, FIRST_CONTACT, FileTransfer, Fleet, Market, Network, Project, RegionFleet,
    SPREADS, STRATEGIES, Ssh,
};
use super::source::Span;
use super::spot_toml::{default_files, plain_transfer};
use super::tree::{Entry, Located, Node, Value};

/// Folders that Spot Deployer uploads by convention, first match.
const FILES_BY_CONVENTION: [&str; 2] = ["instance-files", "deployment"];
/// Scripts that Spot Deployer runs by convention, first match.
const SETUP_BY_CONVENTION: [&str; 5] = [
    ".spot/scripts/setup.sh",
    "deployment/setup.sh",
    "deployment/init.sh",
    "instance-files/setup.sh",
    "deploy/setup.sh",
];

/// Keys without effect in Spot Deployer, ignored here as well, and what to use instead.
const DEAD_KEYS: &[(&str, &str)] = &[
    ("ssh_key_name", "the public key file is what instances get"),
    ("scripts_directory", "name the script: `setup` in [deploy] of spot.toml"),
    ("additional_commands_script", "run it at the end of the setup script"),
    ("docker_compose_template", "upload it with the files and start it in the setup script"),
    ("bacalhau_data_dir", "upload it with the files"),
    ("bacalhau_node_dir", "upload it with the files"),
    ("bacalhau_config_template", "upload it with the files"),
    ("security_group_name", "spot makes one security group for the project and removes it again"),
    ("vpc_tag_name", "spot names what it makes after the project"),
    ("ensure_default_vpc", "spot uses the default VPC, or one of its own with use_dedicated_vpc: true"),
    ("vpc_id", "it works in spot.toml: `vpc_id` in [network]"),
    ("subnet_id", "it works in spot.toml: `subnets` in [network]"),
    ("security_groups", "spot makes one security group for the project and removes it again"),
    ("environment", "it works in spot.toml: [deploy.environment]"),
];

/// Whether a file with this content is meant for Spot Deployer, and not for some other program.
pub(super) fn is_deployer(root: &Node) -> bool {
    matches!(&root.value, Value::Table(entries) if entries.iter().any(|entry| entry.key == "aws" || entry.key == "regions"))
}

/// Reads the whole file. The result is to be used only if the report has no error.
pub(super) fn read(report: &Report, place: &Place, root: &Node) -> Option<Config> {
    let root = Table::new(report, "config.yaml", root)?;
    let aws = root.section("aws", "`aws`");
    let user = aws.text("username").and_then(|user| fleet_checks::user(report, user));
    let user = user.unwrap_or_else(|| "ubuntu".to_owned());
    let (ssh, mut deploy) = (ssh(place, &aws), deploy(place, &aws, &user));
    let mut warnings = Vec::new();
    if let Some(manifest) = manifest::find(place) {
        deploy = manifest::read(place, &manifest, &user, &mut warnings).unwrap_or(deploy);
    }
    let dedicated = aws.boolean("use_dedicated_vpc").is_some_and(|dedicated| dedicated.value);
    let tags = user_tags(report, &aws);
    let fleet = fleet(&aws, user, regions::regions(report, &root));
    ignore(&aws, DEAD_KEYS);
    aws.finish(|key| {
        let belongs = matches!(key, "machine_type" | "image")
            .then(|| format!("`{key}` belongs to each region in `regions`"));
        belongs.or_else(|| here(key))
    });
    root.finish(|key| if is_aws_key(key) { Some(format!("`{key}` belongs in `aws`")) } else { here(key) });
    Some(Config {
        source: None,
        project: Project {
            name: project::default_name(place.project()),
            directory: place.project().to_path_buf(),
            deployment: None,
            state: None,
        },
        fleet,
        network: Network {
            dedicated,
            ssh_from: vec!["auto".to_owned()],
            ports: Vec::new(),
            vpc_id: None,
            subnets: Vec::new(),
            ipv6: false,
        },
        aws: Aws::default(),
        ssh,
        deploy,
        tags,
        warnings,
    })
}

/// What the keys of spot.toml are called in this file.
fn here(key: &str) -> Option<String> {
    const NAMES: &[(&str, &str)] = &[
        ("count", "total_instances"),
        ("user", "username"),
        ("disk_gb", "instance_storage_gb"),
        ("max_price", "spot_price_limit"),
        ("public_key", "public_ssh_key_path"),
        ("private_key", "private_ssh_key_path"),
        ("dedicated", "use_dedicated_vpc"),
        ("files", "files_directory"),
        ("setup", "startup_script"),
    ];
    let name = NAMES.iter().find(|(other, _)| *other == key);
    let only_there = matches!(
        key,
        "market" | "ssh_from" | "ports" | "types" | "fleet" | "network" | "ssh" | "deploy" | "project"
    );
    match name {
        Some((_, name)) => Some(format!("it is called `{name}` in config.yaml")),
        None => only_there.then(|| "it works in spot.toml only: `spot setup` writes one".to_owned()),
    }
}

fn is_aws_key(key: &str) -> bool {
    const LIVE: [&str; 11] = [
        "total_instances",
        "username",
        "public_ssh_key_path",
        "private_ssh_key_path",
        "files_directory",
        "startup_script",
        "cloud_init_template",
        "instance_storage_gb",
        "associate_public_ip",
        "use_dedicated_vpc",
        "spot_price_limit",
    ];
    LIVE.contains(&key) || key == "tags" || DEAD_KEYS.iter().any(|(dead, _)| *dead == key)
}

/// Warns of the keys that had no effect, unless they say nothing.
fn ignore(table: &Table<'_>, keys: &'static [(&'static str, &'static str)]) {
    for (key, instead) in keys {
        if let Some(entry) = table.entry(key).filter(|entry| says_something(entry)) {
            if *key == "environment" {
                table.report().conceal(entry.value.span);
            }
            let message = format!("`{key}` had no effect in Spot Deployer and has none here");
            table.report().warning(entry.key_span, message, Some(format!("remove it; {instead}")));
        }
    }
}

fn says_something(entry: &Entry) -> bool {
    match &entry.value.value {
        Value::Null => false,
        Value::Text(text) => !text.is_empty(),
        Value::List(items) => !items.is_empty(),
        Value::Table(entries) => !entries.is_empty(),
        _ => true,
    }
}

/// Warns of a key that had no effect in Spot Deployer, but has one here.
fn warn_of_effect(report: &Report, at: Span, key: &str, effect: &str) {
    let message = format!("`{key}` had no effect in Spot Deployer, but has one here: {effect}");
    report.warning(at, message, Some("remove it if that is not wanted".to_owned()));
}

fn fleet(aws: &Table<'_>, user: String, regions: Vec<(String, RegionFleet)>) -> Fleet {
    let report = aws.report();
    let count = aws.whole::<u32>("total_instances", 1..=1000);
    let price = aws.number("spot_price_limit");
    let max_price = price.and_then(|price| fleet_checks::price(report, "spot_price_limit", price));
    if let (Some(price), Some(limit)) = (price, max_price) {
        warn_of_effect(
            report,
            price.span,
            "spot_price_limit",
            &format!("at most {limit} USD per hour are paid"),
        );
    }
    let public_ip = aws.boolean("associate_public_ip");
    if let Some(Located { value: false, span }) = public_ip {
        warn_of_effect(report, span, "associate_public_ip", "instances get no public address");
    }
    let first_types = regions.first().and_then(|(_, own)| own.types.clone());
    Fleet {
        count: count.map_or(3, |count| count.value),
        regions: regions.iter().map(|(name, _)| name.clone()).collect(),
        types: first_types.unwrap_or_else(|| vec![regions::DEFAULT_TYPE.to_owned()]),
        image: "auto".to_owned(),
        market: Market::Spot,
        max_price,
        max_hourly: None,
        on_demand_base: 0,
        spot_percent: 100,
        on_demand_fallback: false,
        strategy: STRATEGIES[0].to_owned(),
        spread: SPREADS[0].to_owned(),
        disk_iops: None,
        disk_throughput: None,
        disk_encrypted: None,
        disk_kms_key: None,
        instance_profile: None,
        placement_group: None,
        ttl: None,
        on_failure: None,
        disk_gb: aws.whole::<u32>("instance_storage_gb", 8..=65536).map_or(50, |disk| disk.value),
        user,
        public_ip: public_ip.is_none_or(|public| public.value),
        region: regions.into_iter().collect(),
    }
}

fn ssh(place: &Place, aws: &Table<'_>) -> Ssh {
    let given = |key| aws.text(key).filter(|path| !path.value.trim().is_empty());
    let (private, public) = (given("private_ssh_key_path"), given("public_ssh_key_path"));
    let (private_key, public_key) = key_files::pair(aws.report(), place, private, public).unzip();
    Ssh {
        private_key,
        public_key,
        port: 22,
        address: Address::Public,
        first_contact: FIRST_CONTACT[0].to_owned(),
        connect_timeout: 10,
        wait_timeout: 300,
    }
}

/// Spot Deployer left reserved tags out; so does this, and says so.
fn user_tags(report: &Report, aws: &Table<'_>) -> BTreeMap<String, String> {
    let (reserved, free): (Vec<_>, Vec<_>) =
        aws.section("tags", "`tags`").pairs().into_iter().partition(|(key, _)| tags::is_reserved(&key.value));
    for (key, _) in reserved {
        let message = format!("the tag `{}` is left out: spot or AWS writes it", key.value);
        report.warning(key.span, message, Some("remove it".to_owned()));
    }
    tags::tags(report, free)
}

fn deploy(place: &Place, aws: &Table<'_>, user: &str) -> Deploy {
    let report = aws.report();
    if let Some(entry) = aws.entry("cloud_init_template").filter(|entry| says_something(entry)) {
        let message = "`cloud_init_template` has no effect here: spot sets instances up over SSH";
        let hint = "put its commands into the setup script, deploy/setup.sh".to_owned();
        report.warning(entry.key_span, message, Some(hint));
    }
    let (files, setup) = (files(place, aws, user), setup(place, aws));
    let folder = conventional::Folder::find(place, &files);
    let deploy = Deploy { files, setup, setup_timeout: 1800, ..Deploy::default() };
    match folder {
        Some(folder) => folder.complete(report, place, deploy),
        None => deploy,
    }
}

fn files(place: &Place, aws: &Table<'_>, user: &str) -> Vec<FileTransfer> {
    if let Some(written) = aws.text("files_directory").filter(|written| !written.value.is_empty()) {
        if place.resolve(&written.value).exists() {
            let source = paths::in_project(aws.report(), place, &written, Expected::FileOrFolder);
            return source.map(|source| plain_transfer(source, user)).into_iter().collect();
        }
        let message = format!("`files_directory`: `{}` does not exist, it uploads nothing", written.value);
        aws.report().warning(
            written.span,
            message,
            Some(format!("mkdir -p {}", paths::quoted(written.value.as_ref()))),
        );
    }
    FILES_BY_CONVENTION
        .iter()
        .map(|folder| default_files(place, folder, user))
        .find(|files| !files.is_empty())
        .unwrap_or_default()
}

fn setup(place: &Place, aws: &Table<'_>) -> Vec<PathBuf> {
    let report = aws.report();
    if let Some(written) = aws.text("startup_script").filter(|written| !written.value.is_empty()) {
        if place.resolve(&written.value).exists() {
            let path = paths::in_project(report, place, &written, Expected::File);
            warn_of_effect(report, written.span, "startup_script", "it runs after the upload");
            path.iter().for_each(|path| paths::script(report, &written, path));
            return path.into_iter().collect();
        }
        let message = format!(
            "`startup_script`: `{}` does not exist, and had no effect in Spot Deployer",
            written.value
        );
        report.warning(written.span, message, Some("remove it, or write the script".to_owned()));
    }
    let by_convention = SETUP_BY_CONVENTION.iter().map(|script| place.resolve(script));
    by_convention.into_iter().find(|script| script.is_file() && place.contains(script)).into_iter().collect()
}
