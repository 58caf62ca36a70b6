//! `spot check [PATH…]`: what is wrong with scripts, without running them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::options::Options;
use crate::error::{Error, Result};
use crate::host::Failure;
use crate::script::{CODES, Finding, Library, Script, Severity};
use crate::ui::{Event, Level, Ui};

const EXAMPLES: &str = "\
Examples:
  spot check                          every .rhai file of the project
  spot check recipes/deploy.rhai      one file, or a folder
  spot check create                   a recipe by its name, also a built-in one
  spot check --strict                 warnings fail too
  spot check --format sarif > check.sarif
  spot --json check                   an object for each finding

Exit code 1 when there are errors; `spot explain CODE` tells what a code means.
A comment in the same line or the one above allows a warning:
  // spot:allow(ignored-result): the hosts go away anyway";

/// What the findings are printed as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line each: file:line:column: severity[code]: what
    Text,
    /// SARIF 2.1.0, for code scanning in CI
    Sarif,
}

/// The command line of `spot check`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Check {
    /// Files, folders or names of recipes [default: the project]
    #[arg(value_name = "PATH|NAME")]
    paths: Vec<String>,
    /// Exit code 1 for warnings too
    #[arg(long)]
    strict: bool,
    /// How findings are printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// A finding and the script it is in.
struct Found {
    file: String,
    finding: Finding,
}

impl Check {
    pub(super) fn run(&self, options: &Options, ui: &Arc<dyn Ui>) -> std::result::Result<u8, Failure> {
        let project = options.project()?;
        let scripts = self.scripts(&project, &options.library()?)?;
        let host = options.host(Arc::clone(ui), None)?.build()?;
        let mut all = Vec::new();
        for script in &scripts {
            let file = shown(script, &project);
            all.extend(
                host.findings(script).into_iter().map(|finding| Found { file: file.clone(), finding }),
            );
        }
        let of = |severity| all.iter().filter(|found| found.finding.severity == severity).count();
        let (errors, warnings) = (of(Severity::Error), of(Severity::Warning));
        match self.format {
            Format::Sarif => ui.emit(Event::Data(sarif(&all))),
            Format::Text => all.iter().for_each(|found| ui.emit(Event::Data(found.printed(options.json)))),
        }
        let files = counted(scripts.len(), "file");
        let (level, text) = match (errors, warnings) {
            (0, 0) => (Level::Success, format!("{files}, nothing found")),
            _ => (
                if errors > 0 { Level::Error } else { Level::Warning },
                format!("{files}: {}, {}", counted(errors, "error"), counted(warnings, "warning")),
            ),
        };
        ui.emit(Event::message(level, text));
        Ok(u8::from(errors > 0 || (self.strict && warnings > 0)))
    }

    fn scripts(&self, project: &Path, library: &Library) -> Result<Vec<Script>> {
        let read = |files: Vec<PathBuf>| -> Result<Vec<Script>> {
            files.iter().map(|file| library.recipe(&file.to_string_lossy())).collect()
        };
        if self.paths.is_empty() {
            let hint = "name recipes, such as: spot check create";
            return read(files_in(project).map_err(|error| error.with_hint(hint))?);
        }
        let mut scripts = Vec::new();
        for path in &self.paths {
            match Path::new(path).is_dir() {
                true => scripts.extend(read(files_in(Path::new(path))?)?),
                false => scripts.push(library.recipe(path)?),
            }
        }
        Ok(scripts)
    }
}

/// The scripts that paths name, files or folders; those of the project without any.
pub(super) fn files_of(paths: &[String], project: &Path) -> Result<Vec<PathBuf>> {
    if paths.is_empty() {
        return files_in(project);
    }
    let mut files = Vec::new();
    for path in paths {
        let path = Path::new(path);
        match path.is_dir() {
            true => files.extend(files_in(path)?),
            // With a slash, it cannot be taken for the name of a recipe.
            false if path.components().count() == 1 => files.push(Path::new(".").join(path)),
            false => files.push(path.to_owned()),
        }
    }
    Ok(files)
}

/// The scripts in a folder, of which there has to be one.
fn files_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let files = files_below(folder)?;
    match files.is_empty() {
        true => Err(Error::usage(format!("there is no .rhai file in {}", folder.display()))),
        false => Ok(files),
    }
}

/// The scripts in a folder and those below it, hidden ones left out.
fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let fail = |error: std::io::Error| {
        Error::usage(format!("{} cannot be listed", folder.display())).with_source(error)
    };
    let mut entries: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        entries.push(entry.map_err(fail)?.path());
    }
    entries.sort();
    let mut files = Vec::new();
    for path in entries {
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        // A link may lead anywhere, and in circles.
        if hidden || path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rhai") {
            // With a slash, it cannot be taken for the name of a recipe.
            files.push(if path.components().count() == 1 { Path::new(".").join(path) } else { path });
        }
    }
    Ok(files)
}

/// Where a script is, from the project's folder if it is in it.
fn shown(script: &Script, project: &Path) -> String {
    match script.origin.path() {
        Some(path) => path.strip_prefix(project).unwrap_or(path).display().to_string(),
        None => script.origin.to_string(),
    }
}

pub(super) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

impl Found {
    fn printed(&self, json: bool) -> Value {
        let Found { file, finding } = self;
        let (line, column) = (finding.line(), finding.column().max(1));
        let (message, hint) = (finding.error.message(), finding.error.hint());
        if json {
            return json!({
                "file": file, "line": line, "column": column, "severity": finding.severity.to_string(),
                "code": finding.code.name, "message": message, "hint": hint,
            });
        }
        let hint = hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        let (severity, code) = (finding.severity, finding.code.name);
        format!("{file}:{line}:{column}: {severity}[{code}]: {message}{hint}").into()
    }
}

/// The findings as OASIS SARIF 2.1.0.
fn sarif(all: &[Found]) -> Value {
    let rules: Vec<Value> = CODES
        .iter()
        .map(|code| {
            json!({
                "id": code.name,
                "shortDescription": { "text": code.summary },
                "fullDescription": { "text": code.why },
                "defaultConfiguration": { "level": code.severity.to_string() },
            })
        })
        .collect();
    let results: Vec<Value> = all
        .iter()
        .map(|Found { file, finding }| {
            let hint = finding.error.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
            json!({
                "ruleId": finding.code.name,
                "ruleIndex": CODES.iter().position(|code| *code == finding.code),
                "level": finding.severity.to_string(),
                "message": { "text": format!("{}{hint}", finding.error.message()) },
                "locations": [{ "physicalLocation": {
                    "artifactLocation": { "uri": file.replace(' ', "%20") },
                    "region": { "startLine": finding.line().max(1), "startColumn": finding.column().max(1) },
                } }],
            })
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "spot", "version": env!("CARGO_PKG_VERSION"), "rules": rules,
            } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}
