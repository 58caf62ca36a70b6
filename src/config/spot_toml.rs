//! `spot.toml`: its sections and keys, and what each means.

mod artifacts;
mod deploy;
#[cfg(test)]
mod tests;
mod vocabulary;

pub(super) use deploy::{default_files, plain_transfer};

use std::collections::BTreeMap;

use super::checks::{
    deployment, fleet as fleet_checks, key_files, network as network_checks, project, shared, tags,
};
use super::place::Place;
use super::reader::Table;
use super::report::Report;
use super::settings::{
    Address, Aws, Config, FIRST_CONTACT, Fleet, Market, Network, ON_FAILURE, Project, RegionFleet, SPREADS,
    STRATEGIES, Ssh,
};
use super::tree::{Located, Node};
use vocabulary::elsewhere;

/// A day: the longest time-out.
const LONGEST_TIMEOUT: i64 = 86_400;

/// Reads the whole file. The result is to be used only if the report has no error.
pub(super) fn read(report: &Report, place: &Place, root: &Node) -> Option<Config> {
    let root = Table::new(report, "spot.toml", root)?;
    let section = |key: &'static str| root.section(key, &format!("[{key}]"));
    let shared = (root.text("state"), root.text("state_kms_key"));
    let project = project(place, shared, section("project"));
    let fleet = fleet(section("fleet"));
    let config = Config {
        source: None,
        project,
        network: network(section("network")),
        aws: aws(section("aws")),
        ssh: ssh(place, section("ssh")),
        deploy: deploy::deploy(place, section("deploy"), &fleet.user),
        fleet,
        tags: tags::tags(report, section("tags").pairs()),
        warnings: Vec::new(),
    };
    root.finish(|key| elsewhere("", key));
    Some(config)
}

/// `state` and its key may stand at the top of the file too.
fn project(
    place: &Place,
    shared: (Option<Located<String>>, Option<Located<String>>),
    table: Table<'_>,
) -> Project {
    let name = table.text("name").and_then(|name| project::name(table.report(), name));
    let name = name.unwrap_or_else(|| project::default_name(place.project()));
    let deployment = table.text("deployment").and_then(|name| deployment::name(table.report(), name));
    let state = table.text("state").or(shared.0);
    let kms_key = table.text("state_kms_key").or(shared.1);
    let state = shared::place(table.report(), state, kms_key);
    table.finish(|key| elsewhere("project", key));
    Project { name, directory: place.project().to_path_buf(), deployment, state }
}

fn fleet(table: Table<'_>) -> Fleet {
    let report = table.report();
    let count = table.whole::<u32>("count", 1..=1000);
    let regions = table.texts("regions").map(|listed| fleet_checks::regions(report, listed));
    let types = table.texts("types").map(|listed| fleet_checks::types(report, listed));
    let image = table.text("image").filter(|image| fleet_checks::image(report, image));
    let image_at = image.as_ref().map(|image| image.span);
    let market = table.text("market").and_then(|market| fleet_checks::market(report, &market));
    let price = table.number("max_price");
    let hourly = table.number("max_hourly");
    let word = |key: &'static str, words: &[&str]| {
        let said = table.text(key).and_then(|said| fleet_checks::word(report, key, said, words));
        said.or_else(|| words.first().map(|word| (*word).to_owned())).unwrap_or_default()
    };
    let (strategy, spread) = (word("strategy", &STRATEGIES), word("spread", &SPREADS));
    let named = |key: &'static str| table.text(key).map(|said| said.value).filter(|said| !said.is_empty());
    let whole = |key: &'static str, range| table.whole::<u32>(key, range).map(|said| said.value);
    let disk = table.whole::<u32>("disk_gb", 8..=65536);
    let user = table.text("user").and_then(|user| fleet_checks::user(report, user));
    let public_ip = table.boolean("public_ip");
    let regions_are_usable = regions.as_ref().is_none_or(|regions| !regions.is_empty());
    let mut fleet = Fleet {
        count: count.map_or(3, |count| count.value),
        regions: regions.unwrap_or_else(|| vec!["us-west-2".to_owned(), "us-east-1".to_owned()]),
        types: types.unwrap_or_else(|| vec!["t3.medium".to_owned(), "t3a.medium".to_owned()]),
        image: image.map_or_else(|| "auto".to_owned(), |image| image.value),
        market: market.unwrap_or(Market::Spot),
        max_price: price.and_then(|price| fleet_checks::price(report, "max_price", price)),
        max_hourly: hourly.and_then(|price| fleet_checks::price(report, "max_hourly", price)),
        on_demand_base: whole("on_demand_base", 0..=1000).unwrap_or(0),
        spot_percent: whole("spot_percent", 0..=100).unwrap_or(100),
        on_demand_fallback: table.boolean("on_demand_fallback").is_some_and(|said| said.value),
        strategy,
        spread,
        disk_gb: disk.map_or(50, |disk| disk.value),
        disk_iops: whole("disk_iops", 3_000..=80_000),
        disk_throughput: whole("disk_throughput", 125..=2_000),
        disk_encrypted: table.boolean("disk_encrypted").map(|said| said.value),
        disk_kms_key: named("disk_kms_key"),
        instance_profile: named("instance_profile"),
        placement_group: named("placement_group"),
        ttl: table.text("ttl").and_then(|said| fleet_checks::ttl(report, said)),
        on_failure: table
            .text("on_failure")
            .and_then(|said| fleet_checks::word(report, "on_failure", said, &ON_FAILURE)),
        user: user.unwrap_or_else(|| "ubuntu".to_owned()),
        public_ip: public_ip.is_none_or(|public| public.value),
        region: BTreeMap::new(),
    };
    fleet.region = own_settings(table.section("region", "[fleet.region]"), &fleet.regions);
    if regions_are_usable {
        let count_at = count.map(|count| count.span);
        fleet_checks::together(report, &mut fleet, count_at, image_at, price.map(|price| price.span));
    }
    table.finish(|key| elsewhere("fleet", key));
    fleet
}

/// `[fleet.region.NAME]`.
fn own_settings(table: Table<'_>, listed: &[String]) -> BTreeMap<String, RegionFleet> {
    let report = table.report();
    let mut regions = BTreeMap::new();
    for entry in table.entries() {
        let name = Located::new(entry.key.clone(), entry.key_span);
        let Some(own) = Table::new(report, format!("[fleet.region.{}]", entry.key), &entry.value) else {
            continue;
        };
        let settings = RegionFleet {
            types: own.texts("types").map(|listed| fleet_checks::types(report, listed)),
            image: own
                .text("image")
                .filter(|image| fleet_checks::image(report, image))
                .map(|image| image.value),
            count: own.whole::<u32>("count", 1..=1000).map(|count| count.value),
        };
        own.finish(|key| elsewhere("", key));
        if !fleet_checks::region(report, &name) {
            continue;
        }
        if !listed.contains(&name.value) {
            let message =
                format!("`{}` is not among the regions of the fleet, so this has no effect", name.value);
            report.warning(name.span, message, Some(format!("add \"{}\" to `regions`", name.value)));
        }
        regions.insert(name.value, settings);
    }
    regions
}

fn network(table: Table<'_>) -> Network {
    let report = table.report();
    let dedicated = table.boolean("dedicated");
    let sources = table.texts("ssh_from").map(|listed| network_checks::sources(report, listed));
    let ports = table.entry("ports").map(|entry| network_checks::ports(report, &entry.value));
    let vpc_id = table.text("vpc_id").and_then(|said| network_checks::selector(report, said, "vpc-"));
    let subnets = table.texts("subnets").map(|listed| {
        let all = listed.value.into_iter();
        all.filter_map(|said| network_checks::selector(report, said, "subnet-")).collect::<Vec<_>>()
    });
    let subnets = subnets.unwrap_or_default();
    let ipv6 = table.boolean("ipv6").is_some_and(|ipv6| ipv6.value);
    if let (Some(Located { value: true, span }), false) = (dedicated, subnets.is_empty()) {
        let hint = "keep one: `dedicated` makes new subnets, `subnets` names existing ones".to_owned();
        report.error(span, "`dedicated` and `subnets` exclude each other", Some(hint));
    }
    if let (Some(Located { value: true, span }), true) = (dedicated, vpc_id.is_some()) {
        let hint = "keep one: `dedicated` makes a new VPC, `vpc_id` uses an existing one".to_owned();
        report.error(span, "`dedicated` and `vpc_id` exclude each other", Some(hint));
    }
    table.finish(|key| elsewhere("network", key));
    Network {
        dedicated: dedicated.is_some_and(|dedicated| dedicated.value),
        ssh_from: sources.unwrap_or_else(|| vec!["auto".to_owned()]),
        ports: ports.unwrap_or_default(),
        vpc_id,
        subnets,
        ipv6,
    }
}

fn aws(table: Table<'_>) -> Aws {
    let usual = Aws::default();
    let seconds = |key: &'static str, longest: i64, usual: u64| {
        table.whole::<u64>(key, 1..=longest).map_or(usual, |seconds| seconds.value)
    };
    let aws = Aws {
        connect_timeout: seconds("connect_timeout", 600, usual.connect_timeout),
        read_timeout: seconds("read_timeout", 3600, usual.read_timeout),
        attempts: table.whole::<u32>("attempts", 1..=20).map_or(usual.attempts, |attempts| attempts.value),
        retry_timeout: seconds("retry_timeout", 3600, usual.retry_timeout),
    };
    table.finish(|key| elsewhere("aws", key));
    aws
}

fn ssh(place: &Place, table: Table<'_>) -> Ssh {
    let report = table.report();
    let given = |key| table.text(key).filter(|path| key_files::is_given(report, key, path));
    let keys = key_files::pair(report, place, given("private_key"), given("public_key"));
    let (private_key, public_key) = keys.unzip();
    let ssh = Ssh {
        private_key,
        public_key,
        port: table.whole::<u16>("port", 1..=65535).map_or(22, |port| port.value),
        address: table
            .text("address")
            .and_then(|address| network_checks::address(report, address))
            .unwrap_or(Address::Public),
        first_contact: table
            .text("first_contact")
            .and_then(|said| fleet_checks::word(report, "first_contact", said, &FIRST_CONTACT))
            .unwrap_or_else(|| FIRST_CONTACT[0].to_owned()),
        connect_timeout: table.whole::<u64>("connect_timeout", 1..=600).map_or(10, |seconds| seconds.value),
        wait_timeout: table
            .whole::<u64>("wait_timeout", 1..=LONGEST_TIMEOUT)
            .map_or(300, |seconds| seconds.value),
    };
    table.finish(|key| elsewhere("ssh", key));
    ssh
}
