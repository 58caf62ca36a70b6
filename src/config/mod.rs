//! The configuration of a project: `spot.toml`, or the `config.yaml` of Spot Deployer, as one typed
//! structure.
//!
//! [`load`] reads and checks everything before anything is created, and reports all that is wrong
//! at once: with file, line, column, the line itself and a suggestion. Each format becomes a tree
//! of values with positions (`toml`, `yaml` → `tree`); `spot_toml` and `deployer_yaml` say what
//! the keys of each mean; the `checks` of single values are the same for both. `typed` reads TOML into a
//! type that is not this configuration.

mod checks;
mod convention;
mod deployer_yaml;
mod deployment;
mod place;
mod problem;
mod reader;
pub mod regions;
mod report;
mod settings;
mod shared;
mod source;
mod spot_toml;
mod suggestion;
mod template;
mod toml;
mod tree;
mod typed;
mod yaml;

use std::path::{Path, PathBuf};

pub use deployment::deployment;
pub use problem::{Problem, Problems, Severity};
pub use settings::{
    Address, Archive, Check, Config, Deploy, FileTransfer, Fleet, HOOKS, Market, Network, PortRange, Project,
    RegionFleet, Service, SharedState, Ssh,
};
pub use shared::shared_state;
pub use template::template;
pub(crate) use typed::{from_toml_file, from_toml_text};

use checks::paths::quoted;
use place::Place;
use report::Report;
use source::Source;

/// The configuration files of a project, the first that exists counts.
const FILES: [&str; 3] = ["spot.toml", "config.yaml", ".spot/config.yaml"];

/// Loads the configuration of a project: the given file, or else `spot.toml`, `config.yaml` or
/// `.spot/config.yaml` of the project folder, or else the defaults.
///
/// A `config.yaml` that was not given by name counts only if it looks like one of Spot Deployer,
/// since many programs have a file of this name.
///
/// # Errors
/// All problems of the file, warnings included, if one of them is an error. Without an error the
/// warnings are in [`Config::warnings`].
pub fn load(project: &Path, file: Option<&Path>) -> Result<Config, Problems> {
    load_at(&Place::new(project, etcetera::home_dir().ok()), file)
}

fn load_at(place: &Place, file: Option<&Path>) -> Result<Config, Problems> {
    if !place.project().is_dir() {
        let report = Report::new(Source::new(place.project(), ""));
        let hint = format!("mkdir -p {}", quoted(place.project()));
        report.file_error("there is no such project folder", Some(hint));
        return Err(Problems::new(report.into_problems()));
    }
    if let Some(file) = file {
        return read(place, file.to_path_buf(), &[]);
    }
    let mut found =
        FILES.iter().map(|name| place.project().join(name)).filter(|path| path.symlink_metadata().is_ok());
    let Some(first) = found.next() else {
        let report = Report::new(Source::new("spot.toml", ""));
        return finish(place, report, None, Format::SpotToml);
    };
    let others: Vec<PathBuf> = found.collect();
    if Format::of(&first) == Some(Format::SpotToml) || is_deployer(&first) {
        return read(place, first, &others);
    }
    match others.iter().position(|path| is_deployer(path)) {
        Some(index) => read(place, others.into_iter().nth(index).unwrap_or(first), &[]),
        None => {
            let report = Report::new(Source::new(place.shown(&first), ""));
            let message = "is not a configuration of Spot Deployer (it has neither `aws` nor `regions`), so the defaults hold";
            report.file_warning(message, Some("`spot setup` writes a spot.toml".to_owned()));
            finish(place, report, None, Format::SpotToml)
        }
    }
}

/// The two kinds of configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    SpotToml,
    DeployerYaml,
}

impl Format {
    fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "toml" => Some(Format::SpotToml),
            "yaml" | "yml" => Some(Format::DeployerYaml),
            _ => None,
        }
    }
}

/// Whether a file is meant for Spot Deployer; one that cannot be read may be, and is reported.
fn is_deployer(path: &Path) -> bool {
    let Ok(source) = Source::read(path, path) else { return true };
    yaml::parse(&Report::new(source)).is_none_or(|root| deployer_yaml::is_deployer(&root))
}

/// Reads a file; `others` are the files that count no more because of it.
fn read(place: &Place, path: PathBuf, others: &[PathBuf]) -> Result<Config, Problems> {
    let shown = place.shown(&path);
    let unread = |message: String, hint: Option<String>| {
        let report = Report::new(Source::new(&shown, ""));
        report.file_error(message, hint);
        Err(Problems::new(report.into_problems()))
    };
    let Some(format) = Format::of(&path) else {
        return unread(
            "is no configuration: expected a name that ends in .toml, .yaml or .yml".to_owned(),
            None,
        );
    };
    let source = match Source::read(&path, &shown) {
        Ok(source) => source,
        Err((message, hint)) => {
            let hint =
                hint.or_else(|| (!path.exists()).then(|| "`spot setup` writes a spot.toml".to_owned()));
            return unread(message, hint);
        }
    };
    let report = Report::new(source);
    for other in
        others.iter().filter(|other| Format::of(other) == Some(Format::DeployerYaml) && is_deployer(other))
    {
        let other = place.shown(other).display().to_string();
        let hint = format!("remove one of the two, or choose by `--config {other}`");
        report.file_warning(format!("is used, {other} is ignored"), Some(hint));
    }
    finish(place, report, Some(path), format)
}

/// Parses and checks; warnings become part of the configuration.
fn finish(place: &Place, report: Report, path: Option<PathBuf>, format: Format) -> Result<Config, Problems> {
    let root = match format {
        Format::SpotToml => toml::parse(&report),
        Format::DeployerYaml => yaml::parse(&report),
    };
    let mut config = root.and_then(|root| match format {
        Format::SpotToml => spot_toml::read(&report, place, &root),
        Format::DeployerYaml => deployer_yaml::read(&report, place, &root),
    });
    let mut problems = report.into_problems();
    // Those of a second file, the manifest of Spot Deployer.
    if let Some(config) = &mut config {
        problems.append(&mut config.warnings);
    }
    match config {
        Some(config) if problems.iter().all(|problem| problem.severity == Severity::Warning) => {
            Ok(Config { source: path, warnings: problems, ..config })
        }
        _ => Err(Problems::new(problems)),
    }
}

#[cfg(test)]
mod tests;
