//! The `regions` of `config.yaml`: where, of which type, from which image.

use super::ignore;
use crate::config::checks::fleet as fleet_checks;
use crate::config::reader::Table;
use crate::config::report::Report;
use crate::config::settings::RegionFleet;
use crate::config::suggestion::nearest;
use crate::config::tree::{Entry, Located, Node, Value};

/// The instance type of Spot Deployer for regions that name none.
pub(super) const DEFAULT_TYPE: &str = "t3.medium";
/// Keys of a region without effect in Spot Deployer.
const DEAD_REGION_KEYS: &[(&str, &str)] = &[
    ("instances", "it works in spot.toml: `count` in [fleet.region.NAME]"),
    ("spot_price_limit", "set it in `aws`, for all regions"),
    ("instance_storage_gb", "set it in `aws`, for all regions"),
    ("tags", "set them in `aws`, for all regions"),
];

/// `regions`: a list of `- NAME: {machine_type, image}`.
pub(super) fn regions(report: &Report, root: &Table<'_>) -> Vec<(String, RegionFleet)> {
    const EXAMPLE: &str =
        "write `regions:` and below it `  - us-west-2: {machine_type: t3.medium, image: auto}`";
    let Some(entry) = root.entry("regions") else {
        report.file_error("`regions` is missing", Some(EXAMPLE.to_owned()));
        return Vec::new();
    };
    let entries: Vec<Entry> = match &entry.value.value {
        Value::List(items) => items.iter().flat_map(|item| region_entries(report, item)).collect(),
        Value::Table(entries) => entries.clone(),
        other => {
            let message = format!("`regions`: expected a list, found {}", other.describe());
            report.error(entry.value.span, message, Some(EXAMPLE.to_owned()));
            return Vec::new();
        }
    };
    if entries.is_empty() && says_nothing(&entry.value) {
        report.error(entry.key_span, "`regions` is empty, expected at least one", Some(EXAMPLE.to_owned()));
    }
    let mut regions: Vec<(String, RegionFleet)> = Vec::new();
    for entry in &entries {
        let settings = region(report, entry);
        let name = Located::new(entry.key.clone(), entry.key_span);
        if regions.iter().any(|(known, _)| *known == name.value) {
            let message = format!("the region `{}` is listed twice", name.value);
            report.error(name.span, message, Some("keep one of the two".to_owned()));
        } else if fleet_checks::region(report, &name) {
            regions.push((name.value, settings));
        }
    }
    regions
}

fn says_nothing(node: &Node) -> bool {
    matches!(&node.value, Value::List(items) if items.is_empty())
        || matches!(&node.value, Value::Table(entries) if entries.is_empty())
}

/// The regions of one item of the list: usually one, with its settings.
fn region_entries(report: &Report, item: &Node) -> Vec<Entry> {
    const KEYS: [&str; 2] = ["machine_type", "image"];
    match &item.value {
        Value::Text(name) => {
            vec![Entry {
                key: name.clone(),
                key_span: item.span,
                value: Node { value: Value::Null, span: item.span },
            }]
        }
        Value::Table(entries) => {
            // `- us-west-2:` with settings that are not indented below it.
            let (settings, regions): (Vec<Entry>, Vec<Entry>) =
                entries.iter().cloned().partition(|entry| KEYS.contains(&entry.key.as_str()));
            for setting in settings {
                let message = format!("`{}` stands beside the region instead of below it", setting.key);
                report.error(setting.key_span, message, Some("indent it by two more spaces".to_owned()));
            }
            regions
        }
        other => {
            let message =
                format!("`regions`: expected a region with its settings, found {}", other.describe());
            report.error(
                item.span,
                message,
                Some("write `- us-west-2: {machine_type: t3.medium}`".to_owned()),
            );
            Vec::new()
        }
    }
}

fn region(report: &Report, entry: &Entry) -> RegionFleet {
    let Some(table) = Table::new(report, format!("`{}`", entry.key), &entry.value) else {
        return RegionFleet::default();
    };
    let machine = table.text("machine_type").filter(|name| fleet_checks::instance_type(report, name));
    let image = table.text("image").filter(|image| fleet_checks::image(report, image));
    ignore(&table, DEAD_REGION_KEYS);
    table.finish(|key| {
        let other = nearest(key, ["instance_type", "type", "types"])
            .map(|_| "it is called `machine_type` in config.yaml".to_owned());
        other.or_else(|| (key == "ami").then(|| "it is called `image` in config.yaml".to_owned()))
    });
    RegionFleet {
        types: Some(vec![machine.map_or_else(|| DEFAULT_TYPE.to_owned(), |name| name.value)]),
        image: image.map(|image| image.value).filter(|image| image != "auto"),
        count: None,
    }
}
