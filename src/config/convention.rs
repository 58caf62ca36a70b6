//! What a project's folders say without a word in a configuration file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::checks::deploy as checks;
use super::place::Place;
use super::report::Report;
use super::settings::{HOOKS, Service};

/// The units in a folder, by name.
pub(super) fn services(report: &Report, place: &Place, folder: &str) -> Vec<Service> {
    let files = files(place, folder).into_iter();
    files
        .filter_map(|file| {
            let name = name(&file).filter(|name| checks::is_unit(name))?;
            checks::unit(report, None, &file);
            Some(Service { name, file, enabled: true, started: true, health: None })
        })
        .collect()
}

/// The files of a folder as secrets, each under its name.
pub(super) fn secrets(report: &Report, place: &Place, folder: &str) -> BTreeMap<String, String> {
    let mut secrets = BTreeMap::new();
    for file in files(place, folder) {
        let Some(name) = name(&file).filter(|name| !name.starts_with('.')) else { continue };
        if checks::is_file_name(&name) {
            secrets.insert(name, format!("file:{}", file.display()));
        } else {
            let message = format!("{folder}/{name}: this name is no name of a secret, so it is left out");
            report.file_warning(message, Some("use letters, digits, `.`, `_` and `-`".to_owned()));
        }
    }
    secrets
}

/// The hooks in a folder: `before-setup.sh`, `after_launch.rhai`.
pub(super) fn hooks(report: &Report, place: &Place, folder: &str) -> BTreeMap<String, PathBuf> {
    let mut hooks = BTreeMap::new();
    for file in files(place, folder) {
        let Some(stem) = file.file_stem().and_then(|stem| stem.to_str()) else { continue };
        let when = stem.replace('-', "_");
        if stem.starts_with('.') || stem.eq_ignore_ascii_case("readme") {
            continue;
        }
        if let Some(when) = checks::hook_name(report, None, &when)
            && checks::hook(report, None, when, &file)
            && hooks.insert(when.to_owned(), file).is_some()
        {
            let message = format!("{folder} has more than one script for {when}");
            report.file_error(message, Some("keep one of them".to_owned()));
        }
    }
    hooks
}

/// The names in a list of packages: a word a line, `#` begins a remark.
pub(super) fn packages(report: &Report, place: &Place, file: &str) -> Vec<String> {
    let path = place.resolve(file);
    if !path.is_file() || !place.contains(&path) {
        return Vec::new();
    }
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => {
            report.file_error(format!("{file} cannot be read: {error}"), None);
            return Vec::new();
        }
    };
    let words = text.lines().flat_map(|line| line.split('#').next().unwrap_or_default().split_whitespace());
    let (good, bad): (Vec<&str>, Vec<&str>) = words.partition(|word| checks::is_package(word));
    for word in bad {
        report.file_error(format!("{file}: `{word}` is no name of a package"), None);
    }
    good.into_iter().map(str::to_owned).collect()
}

/// When hooks can run, for messages.
pub(super) fn hook_names() -> String {
    HOOKS.join(", ")
}

/// The files right in a folder of the project, by name.
fn files(place: &Place, folder: &str) -> Vec<PathBuf> {
    let path = place.resolve(folder);
    if !path.is_dir() || !place.contains(&path) {
        return Vec::new();
    }
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.is_file() && place.contains(file));
    files.sort();
    files
}

fn name(file: &Path) -> Option<String> {
    file.file_name()?.to_str().map(str::to_owned)
}
