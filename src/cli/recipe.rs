//! `spot run FILE|NAME` and `spot NAME`: runs a recipe, or shows its help.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::Value;

use super::interrupt;
use super::options::Options;
use crate::error::{Error, nearest};
use crate::host::{Description, Failure, Mode};
use crate::script::Library;
use crate::ui::{Event, Log, Ui};

/// Runs a recipe by its name, for which a misspelt command is also a candidate.
pub(super) fn run_named(
    options: &Options,
    ui: &Arc<dyn Ui>,
    name: &str,
    words: &[String],
    commands: &[String],
) -> Result<u8, Failure> {
    let recipes = options.library()?.recipes()?;
    if !Library::is_path(name) && !recipes.iter().any(|script| script.name == name) {
        let names =
            commands.iter().map(String::as_str).chain(recipes.iter().map(|script| script.name.as_str()));
        let error = Error::usage(format!("there is no command or recipe `{name}`"));
        return Err(match nearest(name, names) {
            Some(near) => error.with_hint(format!("did you mean `spot {near}`?")),
            None => error.with_hint("spot --help shows the commands and recipes"),
        }
        .into());
    }
    run(options, ui, name, words)
}

/// Runs a recipe; the host itself shows its failure, so only the exit code comes back.
pub(super) fn run(
    options: &Options,
    ui: &Arc<dyn Ui>,
    recipe: &str,
    words: &[String],
) -> Result<u8, Failure> {
    let own = words.iter().take_while(|word| *word != "--");
    if own.clone().any(|word| word == "--help" || word == "-h") {
        if words.len() > 1 {
            return Err(Error::usage(format!("--help stands alone: spot {recipe} --help")).into());
        }
        let description = options.host(Arc::clone(ui), None)?.build()?.describe(recipe)?;
        ui.emit(Event::Data(Value::from(help(&description).trim_end())));
        return Ok(0);
    }
    let sandbox = options.start_sandbox(ui)?;
    let ui = match options.mode() {
        // What is only planned leaves nothing behind.
        Mode::Plan { .. } => Arc::clone(ui),
        _ => Arc::new(Log::new(Arc::clone(ui), options.state_folder()?.join(".spot"))),
    };
    let host = options.host(Arc::clone(&ui), sandbox.as_ref())?.build()?;
    interrupt::watch(&host, &ui, &Arc::default())?;
    let code = match host.run(recipe, words.iter().cloned()) {
        Ok(_) => 0,
        Err(failure) if failure.shown_already() => failure.exit_code(),
        Err(failure) => return Err(failure),
    };
    drop(host);
    Ok(code)
}

/// The help of a recipe: what it says of itself, and its flags with their defaults.
fn help(description: &Description) -> String {
    let name = &description.script.name;
    let mut text = String::new();
    let documentation = description.script.documentation();
    if !documentation.is_empty() {
        let _ = writeln!(text, "{documentation}\n");
    }
    let positional = description.arguments.iter().find(|argument| argument.positional);
    let words = positional.map(|argument| format!(" {}", argument.usage())).unwrap_or_default();
    let _ = writeln!(text, "Usage: spot {name} [OPTIONS]{words}\n");
    let lines: Vec<(String, String)> = description
        .arguments
        .iter()
        .map(|argument| {
            let mut help = argument.help.clone();
            if !argument.choices.is_empty() {
                let _ = write!(help, " [{}]", argument.choices.join("|"));
            }
            if let Some(default) = argument.default_text() {
                let _ = write!(help, " [default: {default}]");
            }
            (argument.usage(), help)
        })
        .collect();
    let width = lines.iter().map(|(usage, _)| usage.chars().count()).max().unwrap_or(0);
    if !lines.is_empty() {
        text.push_str("Options:\n");
    }
    for (usage, help) in lines {
        let _ = writeln!(text, "  {usage:width$}  {}", help.trim());
    }
    let _ = writeln!(text, "\nIt comes from: {}", description.script.origin);
    let _ = writeln!(text, "The options of every command (spot --help) may stand among these.");
    text
}
