//! `[deploy]`: what to upload and run.

use std::path::PathBuf;

use super::LONGEST_TIMEOUT;
use super::vocabulary::elsewhere;
use crate::config::checks::deploy as deploy_checks;
use crate::config::checks::paths::{self, Expected};
use crate::config::place::Place;
use crate::config::reader::Table;
use crate::config::report::Report;
use crate::config::settings::{Deploy, FileTransfer};
use crate::config::source::Span;
use crate::config::tree::{Located, Node, Value};

/// The script that runs if `deploy.setup` does not say otherwise.
const DEFAULT_SETUP: &str = "deploy/setup.sh";
/// The folder that is uploaded if `deploy.files` does not say otherwise.
const DEFAULT_FILES: &str = "deploy/files";

/// The section `[deploy]`.
pub(super) fn deploy(place: &Place, table: Table<'_>, user: &str) -> Deploy {
    let report = table.report();
    let files = match table.entry("files") {
        Some(entry) => files(report, place, &entry.value, user),
        None => default_files(place, DEFAULT_FILES, user),
    };
    let timeout = table.whole::<u64>("setup_timeout", 1..=LONGEST_TIMEOUT);
    if let Some(entry) = table.entry("environment") {
        report.conceal(entry.value.span);
    }
    let environment = table.section("environment", "[deploy.environment]");
    environment.entries().iter().for_each(|entry| report.conceal(entry.value.span));
    let environment = environment.pairs();
    let deploy = Deploy {
        files,
        setup: setup(place, &table),
        setup_timeout: timeout.map_or(1800, |seconds| seconds.value),
        environment: deploy_checks::environment(report, environment),
    };
    table.finish(|key| elsewhere("deploy", key));
    deploy
}

/// A path, `false` for none, and by default `deploy/setup.sh` if it is there.
fn setup(place: &Place, table: &Table<'_>) -> Option<PathBuf> {
    let entry = table.entry("setup");
    let written = match entry {
        Some(entry) if entry.value.value == Value::Boolean(false) => return None,
        Some(_) => table.text("setup")?,
        None if place.resolve(DEFAULT_SETUP).is_file() => {
            Located::new(DEFAULT_SETUP.to_owned(), Span::default())
        }
        None => return None,
    };
    let path = paths::in_project(table.report(), place, &written, Expected::File)?;
    paths::script(table.report(), &written, &path);
    Some(path)
}

/// The upload of a folder by convention, if the project has it.
pub(in crate::config) fn default_files(place: &Place, folder: &str, user: &str) -> Vec<FileTransfer> {
    let source = place.resolve(folder);
    if !source.is_dir() || !place.contains(&source) {
        return Vec::new();
    }
    vec![plain_transfer(source, user)]
}

/// An upload without further settings.
pub(in crate::config) fn plain_transfer(source: PathBuf, user: &str) -> FileTransfer {
    let destination = deploy_checks::DEFAULT_DESTINATION.to_owned();
    let sudo = deploy_checks::needs_root(&destination, user);
    FileTransfer { source, destination, mode: None, sudo }
}

/// `"folder"`, or a list of such and of `{ source, destination, mode, sudo }`.
fn files(report: &Report, place: &Place, node: &Node, user: &str) -> Vec<FileTransfer> {
    match &node.value {
        Value::List(items) => items.iter().filter_map(|item| transfer(report, place, item, user)).collect(),
        _ => transfer(report, place, node, user).into_iter().collect(),
    }
}

fn transfer(report: &Report, place: &Place, node: &Node, user: &str) -> Option<FileTransfer> {
    match &node.value {
        Value::Text(source) => {
            let written = Located::new(source.clone(), node.span);
            let source = paths::in_project(report, place, &written, Expected::FileOrFolder)?;
            Some(plain_transfer(source, user))
        }
        Value::Table(_) => {
            let table = Table::new(report, "an upload", node)?;
            let source = required(&table, "source")
                .and_then(|written| paths::in_project(report, place, &written, Expected::FileOrFolder));
            let destination =
                required(&table, "destination").and_then(|path| deploy_checks::destination(report, path));
            let mode = table.entry("mode").and_then(|entry| deploy_checks::mode(report, &entry.value));
            let sudo = table.boolean("sudo");
            table.finish(|key| {
                matches!(key, "dest" | "target" | "to").then(|| "it is called `destination` here".to_owned())
            });
            let destination = destination?;
            let sudo = sudo.map_or_else(|| deploy_checks::needs_root(&destination, user), |sudo| sudo.value);
            Some(FileTransfer { source: source?, destination, mode, sudo })
        }
        other => {
            let message = format!("`files`: expected a path or a table, found {}", other.describe());
            let hint = "write { source = \"deploy/files\", destination = \"/opt/app\" }".to_owned();
            report.error(node.span, message, Some(hint));
            None
        }
    }
}

/// A text that must be there; a wrong type has been reported already.
fn required(table: &Table<'_>, key: &'static str) -> Option<Located<String>> {
    if table.entry(key).is_none() {
        let hint = "write { source = \"deploy/files\", destination = \"/opt/app\" }".to_owned();
        table.report().error(table.span(), format!("an upload needs `{key}`"), Some(hint));
        return None;
    }
    table.text(key)
}
