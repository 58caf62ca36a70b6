//! `spot state …`: looking at what the project has made, comparing it with AWS, and repairing it.

mod deployments;
mod list;
mod salvage;
mod show;
mod unlock;

use std::sync::Arc;

use clap::Subcommand;
use serde_json::{Value, json};

use super::options::Options;
use super::recipe;
use crate::host::Failure;
use crate::state::Document;
use crate::ui::{Event, Level, Ui};

/// The commands below `spot state`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show the instances, networks and values that state knows, without asking AWS
    #[command(after_help = list::EXAMPLES)]
    List,
    /// Show all that state knows of one instance, or of a network
    Show {
        /// An instance id, the beginning of one, its place in `spot state list`, or the id of a VPC
        #[arg(value_name = "ID|INDEX")]
        word: String,
    },
    /// Forget instances, without touching them in AWS: the recipe `forget`
    #[command(disable_help_flag = true, override_usage = "spot state rm <ID|INDEX>… [--force]")]
    Rm {
        /// Ids and flags; `--help` shows them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
        words: Vec<String>,
    },
    /// Print the whole state as JSON
    Export,
    /// Show where state and AWS differ, and repair it with --repair: the recipe `reconcile`
    #[command(
        disable_help_flag = true,
        override_usage = "spot state reconcile [--repair [--adopt|--remove]] [--everywhere]"
    )]
    Reconcile {
        /// Flags; `--help` shows them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
        words: Vec<String>,
    },
    /// Take instances into state that something else launched: the recipe `import`
    #[command(
        disable_help_flag = true,
        override_usage = "spot state import <ID…|--tag KEY=VALUE> [--region REGION]"
    )]
    Import {
        /// Ids and flags; `--help` shows them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
        words: Vec<String>,
    },
    /// Show the deployments of the project; --deployment NAME works on one
    Deployments,
    /// Go on after damage to the state's files, with everything that is readable
    #[command(after_help = salvage::EXPLANATION)]
    Salvage,
    /// Show who holds the right to change the state; take it away from a process that is no more
    Unlock(unlock::Unlock),
}

impl Command {
    /// The recipe behind a command, with its words.
    pub(super) fn recipe(&self) -> Option<(&'static str, &[String])> {
        Some(match self {
            Command::Rm { words } => ("forget", words),
            Command::Reconcile { words } => ("reconcile", words),
            Command::Import { words } => ("import", words),
            _ => return None,
        })
    }
}

/// Runs one of them; `words` are those of a recipe.
pub(super) fn run(
    options: &Options,
    ui: &Arc<dyn Ui>,
    command: &Command,
    words: &[String],
) -> Result<u8, Failure> {
    if let Some((name, _)) = command.recipe() {
        return recipe::run(options, ui, name, words);
    }
    match command {
        Command::List => list::run(options, ui),
        Command::Show { word } => show::run(options, ui, word),
        Command::Deployments => deployments::run(options, ui),
        Command::Salvage => salvage::run(options, ui),
        Command::Unlock(unlock) => unlock.run(options, ui),
        _ => {
            ui.emit(Event::Data(whole(&read(options, ui)?)));
            Ok(0)
        }
    }
}

/// The state such as it is at this moment, without waiting for anybody.
fn read(options: &Options, ui: &Arc<dyn Ui>) -> Result<Document, Failure> {
    let document = options.store(ui)?.read()?;
    for note in document.notes() {
        ui.emit(Event::message(Level::Warning, note.clone()));
    }
    Ok(document)
}

/// `instances.json` as it would be written now, and the open calls, which it does not hold.
fn whole(document: &Document) -> Value {
    let mut value = document.to_value();
    let open: Vec<Value> = document
        .open_intents()
        .map(|open| {
            let intent = &open.intent;
            json!({
                "action": intent.action, "region": intent.region, "since": open.since,
                "token": intent.token, "parameters": intent.parameters,
            })
        })
        .collect();
    value["open_calls"] = open.into();
    value
}
