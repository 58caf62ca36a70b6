//! `spot man`: the manual pages, made of the same text as `--help`.

use std::io::Write;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use super::Cli;
use crate::error::{Error, Result};

pub(super) const EXAMPLES: &str = "\
Examples:
  spot man | man -l -
  spot man ~/.local/share/man/man1";

/// Prints the page of spot, or writes a page for it and each of its commands into a folder.
pub(super) fn run(folder: Option<&Path>) -> Result<u8> {
    let mut command = Cli::command().after_help(super::EXIT_CODES);
    command.build();
    let Some(folder) = folder else {
        return match page(&command).and_then(|page| std::io::stdout().write_all(&page)) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(Error::usage("the page cannot be written").with_source(error))
            }
            _ => Ok(0),
        };
    };
    write(&command, "spot", folder).map_err(|error| {
        Error::usage(format!("{} cannot be written to", folder.display())).with_source(error)
    })?;
    Ok(0)
}

/// `spot.1`, `spot-state.1`, `spot-state-show.1` …
fn write(command: &Command, name: &str, folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join(format!("{name}.1")), page(&command.clone().name(name.to_owned()))?)?;
    for part in command.get_subcommands().filter(|part| part.get_name() != "help" && !part.is_hide_set()) {
        write(part, &format!("{name}-{}", part.get_name()), folder)?;
    }
    Ok(())
}

fn page(command: &Command) -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command.clone()).render(&mut page)?;
    Ok(page)
}
