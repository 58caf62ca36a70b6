//! Tarballs and units of `[deploy]`.

use super::deploy::{check, required};
use crate::config::checks::deploy as deploy_checks;
use crate::config::checks::paths::{self, Expected};
use crate::config::place::Place;
use crate::config::reader::Table;
use crate::config::report::Report;
use crate::config::settings::{Archive, Service};
use crate::config::tree::{Located, Node, Value};

const ARCHIVE: (&str, &str) =
    ("an archive", "{ source = \"deploy/app.tar.gz\", destination = \"/opt/app\" }");
const SERVICE: (&str, &str) = ("a service", "{ file = \"deploy/services/app.service\" }");
/// What `tar` unpacks by itself.
const ENDINGS: [&str; 8] = [".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2", ".tar.zst"];

/// A list of tables, or a single one.
pub(super) fn archives(report: &Report, place: &Place, node: &Node) -> Vec<Archive> {
    match &node.value {
        Value::List(items) => items.iter().filter_map(|item| archive(report, place, item)).collect(),
        _ => archive(report, place, node).into_iter().collect(),
    }
}

fn archive(report: &Report, place: &Place, node: &Node) -> Option<Archive> {
    let table = Table::new(report, "an archive", node)?;
    let written = required(&table, "source", ARCHIVE);
    let destination =
        required(&table, "destination", ARCHIVE).and_then(|path| deploy_checks::destination(report, path));
    let given = table.text("sha256");
    let sha256 = given.clone().and_then(|text| deploy_checks::sha256(report, text));
    let strip = table.whole::<u32>("strip", 0..=20).map_or(0, |strip| strip.value);
    let owner = table.text("owner").and_then(|owner| deploy_checks::owner(report, owner));
    table.finish(|key| {
        matches!(key, "url" | "path" | "file").then(|| "it is called `source` here".to_owned())
    });
    let source = archive_source(report, place, &written?, given.is_some())?;
    Some(Archive { source, sha256, destination: destination?, strip, owner })
}

/// A file of the project or a URL; what comes from elsewhere is known by its checksum.
fn archive_source(
    report: &Report,
    place: &Place,
    written: &Located<String>,
    has_sum: bool,
) -> Option<String> {
    let text = written.value.as_str();
    let name = text.split(['?', '#']).next().unwrap_or_default();
    if !ENDINGS.iter().any(|ending| name.ends_with(ending)) {
        let message = format!("`{text}` is no tarball: expected a name that ends in {}", ENDINGS.join(", "));
        report.error(written.span, message, None);
        return None;
    }
    if !text.contains("://") {
        let path = paths::in_project(report, place, written, Expected::File)?;
        return Some(path.display().to_string());
    }
    if !text.starts_with("https://") && !text.starts_with("http://") {
        report.error(written.span, format!("`{text}`: expected a URL with https"), None);
        return None;
    }
    if !has_sum {
        let hint = format!("add `sha256 = \"…\"`: curl -L {text} | sha256sum");
        report.error(written.span, "what is fetched from elsewhere needs its checksum", Some(hint));
        return None;
    }
    Some(text.to_owned())
}

/// A list of paths and tables.
pub(super) fn services(report: &Report, place: &Place, node: &Node) -> Vec<Service> {
    match &node.value {
        Value::List(items) => items.iter().filter_map(|item| service(report, place, item)).collect(),
        _ => service(report, place, node).into_iter().collect(),
    }
}

fn service(report: &Report, place: &Place, node: &Node) -> Option<Service> {
    let (written, enabled, started, health) = match &node.value {
        Value::Text(file) => (Located::new(file.clone(), node.span), true, true, None),
        _ => {
            let table = Table::new(report, "a service", node)?;
            let file = required(&table, "file", SERVICE);
            let enabled = table.boolean("enabled").is_none_or(|said| said.value);
            let started = table.boolean("started").is_none_or(|said| said.value);
            let health = table.entry("health").and_then(|entry| check(report, "`health`", &entry.value));
            table.finish(|key| match key {
                "source" | "path" | "unit" => Some("it is called `file` here".to_owned()),
                "start" => Some("it is called `started` here".to_owned()),
                _ => None,
            });
            (file?, enabled, started, health)
        }
    };
    let file = paths::in_project(report, place, &written, Expected::File)?;
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    if !deploy_checks::is_unit(&name) {
        let message = format!("`{name}` is no unit of systemd: expected a name such as app.service");
        report.error(written.span, message, None);
        return None;
    }
    deploy_checks::unit(report, Some(written.span), &file);
    Some(Service { name, file, enabled, started, health })
}
