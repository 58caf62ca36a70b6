//! `[deploy]`: what to upload, install and run.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::LONGEST_TIMEOUT;
use super::artifacts::{archives, services};
use super::vocabulary::elsewhere;
use crate::config::checks::deploy as deploy_checks;
use crate::config::checks::paths::{self, Expected};
use crate::config::convention;
use crate::config::place::Place;
use crate::config::reader::Table;
use crate::config::report::Report;
use crate::config::settings::{Check, Deploy, FileTransfer};
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
        archives: table
            .entry("archives")
            .map(|entry| archives(report, place, &entry.value))
            .unwrap_or_default(),
        packages: match table.texts("packages") {
            Some(listed) => deploy_checks::packages(report, listed.value),
            None => convention::packages(report, place, "deploy/packages.txt"),
        },
        secrets: secrets(place, &table),
        services: match table.entry("services") {
            Some(entry) => services(report, place, &entry.value),
            None => convention::services(report, place, "deploy/services"),
        },
        setup: setup(place, &table),
        setup_timeout: timeout.map_or(1800, |seconds| seconds.value),
        environment: deploy_checks::environment(report, environment),
        hooks: hooks(place, &table),
        ready: table.entry("ready").and_then(|entry| check(report, "[deploy.ready]", &entry.value)),
    };
    table.finish(|key| elsewhere("deploy", key));
    deploy
}

/// A path, a list of them, `false` for none, and by default `deploy/setup.sh` if it is there.
fn setup(place: &Place, table: &Table<'_>) -> Vec<PathBuf> {
    let report = table.report();
    let written = match table.entry("setup") {
        Some(entry) => match &entry.value.value {
            Value::Boolean(false) => return Vec::new(),
            Value::List(_) => table.texts("setup").map(|listed| listed.value).unwrap_or_default(),
            _ => table.text("setup").into_iter().collect(),
        },
        None => {
            let path = place.resolve(DEFAULT_SETUP);
            return if path.is_file() && place.contains(&path) { vec![path] } else { Vec::new() };
        }
    };
    let script = |written: Located<String>| {
        let path = paths::in_project(report, place, &written, Expected::File)?;
        paths::script(report, &written, &path);
        Some(path)
    };
    written.into_iter().filter_map(script).collect()
}

/// `[deploy.secrets]`, and the files of `deploy/secrets` that it does not name.
fn secrets(place: &Place, table: &Table<'_>) -> BTreeMap<String, String> {
    let report = table.report();
    let mut secrets = convention::secrets(report, place, "deploy/secrets");
    let section = table.section("secrets", "[deploy.secrets]");
    // Whoever writes the secret itself there does not want to see it in a report.
    section.entries().iter().for_each(|entry| report.conceal(entry.value.span));
    for (name, source) in section.pairs() {
        if !deploy_checks::secret(report, &name, &source) {
            continue;
        }
        let found = match source.value.strip_prefix("file:") {
            Some(path) => {
                let written = Located::new(path.to_owned(), source.span);
                let path = paths::in_project(report, place, &written, Expected::File);
                path.map(|path| format!("file:{}", path.display()))
            }
            None => Some(source.value),
        };
        if let Some(found) = found {
            secrets.insert(name.value, found);
        }
    }
    secrets
}

/// `[deploy.hooks]`; without it, the scripts of `deploy/hooks`.
fn hooks(place: &Place, table: &Table<'_>) -> BTreeMap<String, PathBuf> {
    let report = table.report();
    if table.entry("hooks").is_none() {
        return convention::hooks(report, place, "deploy/hooks");
    }
    let mut hooks = BTreeMap::new();
    for (name, written) in table.section("hooks", "[deploy.hooks]").pairs() {
        let Some(when) = deploy_checks::hook_name(report, Some(name.span), &name.value) else { continue };
        let Some(path) = paths::in_project(report, place, &written, Expected::File) else { continue };
        if deploy_checks::hook(report, Some(written.span), when, &path) {
            hooks.insert(when.to_owned(), path);
        }
    }
    hooks
}

/// `{ command = … }`, `{ port = … }` or `{ http = … }`, each with a `timeout` in seconds.
pub(super) fn check(report: &Report, title: &str, node: &Node) -> Option<Check> {
    let table = Table::new(report, title, node)?;
    let check = Check {
        command: table.text("command").map(|command| command.value),
        port: table.whole::<u16>("port", 1..=65535).map(|port| port.value),
        http: table.text("http").and_then(|url| {
            let known = url.value.starts_with("http://") || url.value.starts_with("https://");
            if !known {
                let hint = "write \"http://localhost:8080/health\"".to_owned();
                report.error(url.span, format!("`{}` is no URL", url.value), Some(hint));
            }
            known.then_some(url.value)
        }),
        timeout: table.whole::<u64>("timeout", 1..=LONGEST_TIMEOUT).map_or(120, |seconds| seconds.value),
    };
    let named = ["command", "port", "http"].into_iter().filter(|key| table.entry(key).is_some()).count();
    if named != 1 {
        let message = format!("{title} needs exactly one of `command`, `port` and `http`, found {named}");
        report.error(table.span(), message, Some("write { port = 8080, timeout = 60 }".to_owned()));
    }
    table.finish(|key| matches!(key, "url").then(|| "it is called `http` here".to_owned()));
    (named == 1).then_some(check)
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
    FileTransfer { source, destination, mode: None, sudo, owner: None, template: false, exclude: Vec::new() }
}

/// `"folder"`, or a list of such and of tables.
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
            let source = required(&table, "source", UPLOAD)
                .and_then(|written| paths::in_project(report, place, &written, Expected::FileOrFolder));
            let destination = required(&table, "destination", UPLOAD)
                .and_then(|path| deploy_checks::destination(report, path));
            let mode = table.entry("mode").and_then(|entry| deploy_checks::mode(report, &entry.value));
            let sudo = table.boolean("sudo");
            let owner = table.text("owner").and_then(|owner| deploy_checks::owner(report, owner));
            let template = table.boolean("template").is_some_and(|template| template.value);
            let exclude = table.texts("exclude").map(|listed| listed.value).unwrap_or_default();
            table.finish(|key| {
                matches!(key, "dest" | "target" | "to").then(|| "it is called `destination` here".to_owned())
            });
            let destination = destination?;
            // Only root gives files away.
            let sudo = sudo.map_or_else(
                || owner.is_some() || deploy_checks::needs_root(&destination, user),
                |sudo| sudo.value,
            );
            let exclude = exclude.into_iter().map(|pattern| pattern.value).collect();
            Some(FileTransfer { source: source?, destination, mode, sudo, owner, template, exclude })
        }
        other => {
            let message = format!("`files`: expected a path or a table, found {}", other.describe());
            report.error(node.span, message, Some(format!("write {}", UPLOAD.1)));
            None
        }
    }
}

/// What an upload is called, and one as an example.
const UPLOAD: (&str, &str) = ("an upload", "{ source = \"deploy/files\", destination = \"/opt/app\" }");

/// A text that must be there; a wrong type has been reported already.
pub(super) fn required(
    table: &Table<'_>,
    key: &'static str,
    (what, example): (&str, &str),
) -> Option<Located<String>> {
    if table.entry(key).is_none() {
        table.report().error(table.span(), format!("{what} needs `{key}`"), Some(format!("write {example}")));
        return None;
    }
    table.text(key)
}
