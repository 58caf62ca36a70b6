//! `spot fmt [PATH…]`: one layout for all scripts.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::json;
use similar::TextDiff;

use super::check::{counted, files_of};
use super::options::Options;
use crate::error::{Error, Result};
use crate::host::Failure;
use crate::script::{format, same};
use crate::ui::{Event, Level, Ui};

const EXAMPLES: &str = "\
Examples:
  spot fmt                       every .rhai file of the project
  spot fmt recipes/deploy.rhai   one file, or a folder
  spot fmt --check               say what would change, for CI

Lines stay where you break them. What changes is how far they are indented, the spaces between
pieces, and empty lines; values of an object stand below each other if you began to put them so.";

/// The command line of `spot fmt`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Fmt {
    /// Files or folders [default: the project]
    #[arg(value_name = "PATH")]
    paths: Vec<String>,
    /// Write nothing, show what would change, and end with exit code 1 if anything would
    #[arg(long)]
    check: bool,
}

impl Fmt {
    pub(super) fn run(&self, options: &Options, ui: &Arc<dyn Ui>) -> std::result::Result<u8, Failure> {
        let project = options.project()?;
        let files = files_of(&self.paths, &project)?;
        let host = options.host(Arc::clone(ui), None)?.build()?;
        // All of them are read before one is written: what is no script is told first.
        let mut changes: Vec<(PathBuf, String, String)> = Vec::new();
        for file in &files {
            let text = std::fs::read_to_string(file).map_err(|error| {
                Error::usage(format!("{} cannot be read", file.display())).with_source(error)
            })?;
            host.parse(&file.to_string_lossy())?;
            let formatted = format(&text);
            if !same(&text, &formatted) {
                let message = format!("{}: the layout would change the script", file.display());
                return Err(Error::internal(message).into());
            }
            if formatted != text {
                changes.push((file.clone(), text, formatted));
            }
        }
        for (file, text, formatted) in &changes {
            let name = file.strip_prefix(&project).unwrap_or(file).display().to_string();
            if options.json {
                ui.emit(Event::Data(json!({ "file": name, "changed": !self.check })));
            } else if self.check {
                let diff = TextDiff::from_lines(text, formatted);
                let shown = diff.unified_diff().context_radius(1).header(&name, &name).to_string();
                ui.emit(Event::Data(shown.trim_end().into()));
            }
            if !self.check {
                replace(file, formatted)?;
            }
        }
        let count = counted(files.len(), "file");
        let (level, text) = match (changes.len(), self.check) {
            (0, _) => (Level::Success, format!("{count}, nothing to change")),
            (changed, true) => {
                (Level::Error, format!("{count}, {changed} not in the layout; 'spot fmt' writes it"))
            }
            (changed, false) => (Level::Success, format!("{count}, {changed} changed")),
        };
        ui.emit(Event::message(level, text));
        Ok(u8::from(self.check && !changes.is_empty()))
    }
}

/// Writes a file whole or not at all, with the permissions that it has.
fn replace(file: &std::path::Path, text: &str) -> Result<()> {
    let write = || -> std::io::Result<()> {
        // A link stays a link.
        let file = file.canonicalize()?;
        let folder = file.parent().unwrap_or(std::path::Path::new("."));
        let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
        std::io::Write::write_all(&mut temporary, text.as_bytes())?;
        temporary.as_file().set_permissions(std::fs::metadata(&file)?.permissions())?;
        temporary.persist(&file).map(drop).map_err(|error| error.error)
    };
    write().map_err(|error| Error::usage(format!("{} cannot be written", file.display())).with_source(error))
}
