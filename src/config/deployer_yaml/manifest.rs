//! `.spot/deployment.yaml`, the manifest of Spot Deployer's portable deployments.

use std::path::PathBuf;

use crate::config::checks::deploy as deploy_checks;
use crate::config::checks::paths::{self, Expected};
use crate::config::place::Place;
use crate::config::problem::Problem;
use crate::config::reader::Table;
use crate::config::report::Report;
use crate::config::settings::{Deploy, FileTransfer, Service};
use crate::config::source::Source;
use crate::config::spot_toml::plain_transfer;
use crate::config::tree::{Located, Node, Value};
use crate::config::yaml;

/// Where it may be, the first that exists counts.
const NAMES: [&str; 2] = [".spot/deployment.yaml", ".spot/deployment.yml"];
/// What Spot Deployer left out of its tarballs.
const LEFT_OUT: [&str; 8] =
    ["__pycache__", "*.pyc", ".git", ".gitignore", ".DS_Store", "*.swp", ".env", "node_modules"];
/// Keys that were documented and never did anything, and what to use instead.
const DEAD_KEYS: &[(&str, &str)] = &[
    ("tarball_url", "it works in spot.toml: `archives` in [deploy], with its sha256"),
    ("cloud_init", "install `packages`, and put commands into a script of `scripts`"),
    ("environment", "it works in spot.toml: [deploy.environment]"),
    ("template", "spot sets instances up over SSH: put its commands into a script of `scripts`"),
];

/// The manifest of the project, if it has one.
pub(super) fn find(place: &Place) -> Option<PathBuf> {
    NAMES.iter().map(|name| place.resolve(name)).find(|path| path.is_file())
}

/// Reads the manifest; what is wrong with it goes to `problems`. Nothing if that leaves nothing.
pub(super) fn read(
    place: &Place,
    path: &std::path::Path,
    user: &str,
    problems: &mut Vec<Problem>,
) -> Option<Deploy> {
    let shown = place.shown(path);
    let (report, deploy) = match Source::read(path, &shown) {
        Ok(source) => {
            let report = Report::new(source);
            let deploy = yaml::parse(&report).and_then(|root| whole(&report, place, &root, user));
            (report, deploy)
        }
        Err((message, hint)) => {
            let report = Report::new(Source::new(&shown, ""));
            report.file_error(message, hint);
            (report, None)
        }
    };
    problems.append(&mut report.into_problems());
    deploy
}

fn whole(report: &Report, place: &Place, root: &Node, user: &str) -> Option<Deploy> {
    let root = Table::new(report, "deployment.yaml", root)?;
    root.whole::<u32>("version", 1..=1);
    let table = root.section("deployment", "`deployment`");
    let uploads = items(&table, "uploads", |node| upload(report, place, node, user));
    let mut scripts = items(&table, "scripts", |node| script(report, place, node));
    // Those without an order come as they are written.
    scripts.sort_by_key(|(order, _)| *order);
    let mut deploy = Deploy {
        packages: table
            .texts("packages")
            .map(|listed| deploy_checks::packages(report, listed.value))
            .unwrap_or_default(),
        services: items(&table, "services", |node| service(report, place, node)),
        setup: scripts.into_iter().map(|(_, path)| path).collect(),
        setup_timeout: 1800,
        ..Deploy::default()
    };
    if let Some(written) = table.text("tarball_source").filter(|written| !written.value.is_empty()) {
        tarball(report, place, &written, user, &mut deploy);
    }
    deploy.files.extend(uploads);
    super::ignore(&table, DEAD_KEYS);
    table.finish(|_| None);
    super::ignore(&root, DEAD_KEYS);
    root.finish(|key| {
        let inside = ["packages", "scripts", "uploads", "services", "tarball_source"].contains(&key);
        inside.then(|| format!("`{key}` belongs in `deployment`"))
    });
    if deploy.setup.is_empty() {
        let usual = place.resolve(".spot/scripts/setup.sh");
        deploy.setup.extend(usual.is_file().then_some(usual));
    }
    Some(deploy)
}

/// The folder that Spot Deployer packed, with the script in it that it ran.
fn tarball(report: &Report, place: &Place, written: &Located<String>, user: &str, deploy: &mut Deploy) {
    let Some(folder) = located(report, place, written, Expected::FileOrFolder) else { return };
    let script = folder.join("setup.sh");
    if deploy.setup.is_empty() && script.is_file() {
        deploy.setup.push(script);
    }
    let exclude = LEFT_OUT.iter().map(|pattern| (*pattern).to_owned()).collect();
    deploy.files.push(FileTransfer { exclude, ..plain_transfer(folder, user) });
}

/// The members of a list, each read; nothing for what is no list.
fn items<T>(table: &Table<'_>, key: &'static str, read: impl Fn(&Node) -> Option<T>) -> Vec<T> {
    let Some(entry) = table.entry(key) else { return Vec::new() };
    match &entry.value.value {
        Value::List(nodes) => nodes.iter().filter_map(read).collect(),
        other => {
            let message = format!("`{key}`: expected a list, found {}", other.describe());
            table.report().error(entry.value.span, message, None);
            Vec::new()
        }
    }
}

fn upload(report: &Report, place: &Place, node: &Node, user: &str) -> Option<FileTransfer> {
    let table = Table::new(report, "an upload", node)?;
    let source =
        table.text("source").and_then(|written| located(report, place, &written, Expected::FileOrFolder));
    // The uploader of Spot Deployer read the one, its validator and its examples the other.
    let other = table.text("destination");
    let destination = table.text("dest").or(other);
    let missing = destination.is_none();
    let destination = destination.and_then(|path| deploy_checks::destination(report, path));
    let mode = table.entry("permissions").and_then(|entry| permissions(report, &entry.value));
    let exclude = table.texts("exclude").map(|listed| listed.value).unwrap_or_default();
    table.entry("name");
    table.entry("description");
    if table.entry("source").is_none() || missing {
        report.error(table.span(), "an upload needs `source` and `dest`", None);
    }
    table.finish(|key| (key == "mode").then(|| "it is called `permissions` here".to_owned()));
    let destination = destination?;
    Some(FileTransfer {
        source: source?,
        sudo: deploy_checks::needs_root(&destination, user),
        destination,
        mode,
        owner: None,
        template: false,
        exclude: exclude.into_iter().map(|pattern| pattern.value).collect(),
    })
}

/// Permission bits: `"644"`, or 644, which Spot Deployer gave to chmod as it is.
fn permissions(report: &Report, node: &Node) -> Option<u32> {
    let Value::Integer(number) = node.value else { return deploy_checks::mode(report, node) };
    let written = report.source().slice(node.span).trim().trim_start_matches("0o");
    let bits = u32::from_str_radix(written, 8).ok().filter(|bits| *bits <= 0o7777);
    if bits.is_none() {
        let message = format!("`permissions`: expected permission bits in octal, found the number {number}");
        report.error(node.span, message, Some("write \"644\" or \"755\"".to_owned()));
    }
    bits
}

fn script(report: &Report, place: &Place, node: &Node) -> Option<(i64, PathBuf)> {
    let (written, order) = match &node.value {
        Value::Text(path) => (Located::new(path.clone(), node.span), 0),
        _ => {
            let table = Table::new(report, "a script", node)?;
            let other = table.text("file");
            let path = table.text("path").or(other);
            let order = table.whole::<i64>("order", i64::MIN..=i64::MAX).map_or(0, |order| order.value);
            table.entry("name");
            table.entry("description");
            if path.is_none() {
                report.error(table.span(), "a script needs `path`", None);
            }
            table.finish(|_| None);
            (path?, order)
        }
    };
    let path = located(report, place, &written, Expected::File)?;
    paths::script(report, &written, &path);
    Some((order, path))
}

fn service(report: &Report, place: &Place, node: &Node) -> Option<Service> {
    let (written, name, enabled, started) = match &node.value {
        Value::Text(path) => (Located::new(path.clone(), node.span), None, true, true),
        _ => {
            let table = Table::new(report, "a service", node)?;
            let other = table.text("path");
            let file = table.text("file").or(other);
            let name = table.text("name").map(|name| name.value);
            table.entry("description");
            let enabled = table.boolean("enabled").is_none_or(|said| said.value);
            let started = table.boolean("start").is_none_or(|said| said.value);
            if file.is_none() {
                report.error(table.span(), "a service needs `file`", None);
            }
            table.finish(|key| (key == "started").then(|| "it is called `start` here".to_owned()));
            (file?, name, enabled, started)
        }
    };
    let file = located(report, place, &written, Expected::File)?;
    let own = file.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    let name = name.map_or(own, |name| if name.contains('.') { name } else { format!("{name}.service") });
    if !deploy_checks::is_unit(&name) {
        report.error(written.span, format!("`{name}` is no unit of systemd"), None);
        return None;
    }
    deploy_checks::unit(report, Some(written.span), &file);
    Some(Service { name, file, enabled, started, health: None })
}

/// Paths start in `.spot`; those that do not exist there, in the project.
fn located(report: &Report, place: &Place, written: &Located<String>, expected: Expected) -> Option<PathBuf> {
    let inside = format!(".spot/{}", written.value);
    let is_inside = !written.value.is_empty() && place.resolve(&inside).exists();
    let value = if is_inside { inside } else { written.value.clone() };
    paths::in_project(report, place, &Located::new(value, written.span), expected)
}
