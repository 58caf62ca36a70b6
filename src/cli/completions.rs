//! `spot completions SHELL`, and what the shell asks when Tab is pressed.
//!
//! The shell's part is a few lines that call spot again with [`VARIABLE`] set; so completion knows the
//! project's recipes, their flags and its instances as they are at that moment.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Arg, ArgAction, Command, CommandFactory, ValueEnum};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::{CompleteEnv, Shells};

use super::options::user_folder;
use super::{Cli, project_of};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::script::{Argument, Library};
use crate::state::Store;
use crate::ui::Silent;

const VARIABLE: &str = "SPOT_COMPLETE";

pub(super) const EXAMPLES: &str = "\
Examples:
  echo 'source <(spot completions bash)' >>~/.bashrc
  echo 'source <(spot completions zsh)' >>~/.zshrc
  echo 'spot completions fish | source' >>~/.config/fish/config.fish";

/// The shells that can be completed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Shell {
    Bash,
    Zsh,
    Fish,
    Elvish,
}

/// Prints what the shell is to read at its start.
pub(super) fn run(shell: Shell) -> Result<u8> {
    let name = match shell {
        Shell::Bash => "bash",
        Shell::Zsh => "zsh",
        Shell::Fish => "fish",
        Shell::Elvish => "elvish",
    };
    let program =
        std::env::current_exe().map_or_else(|_| "spot".to_owned(), |path| path.display().to_string());
    let mut script = Vec::new();
    Shells::builtins()
        .completer(name)
        .ok_or_else(|| Error::internal(format!("{name} cannot be completed in")))?
        .write_registration(VARIABLE, "spot", "spot", &program, &mut script)
        .and_then(|()| std::io::stdout().write_all(&script))
        .or_else(|error| match error.kind() {
            std::io::ErrorKind::BrokenPipe => Ok(()),
            _ => Err(Error::usage("the script cannot be written").with_source(error)),
        })?;
    Ok(0)
}

/// Answers the shell and ends the process, when it is the shell that asks.
pub(super) fn answer() {
    if std::env::var_os(VARIABLE).is_some() {
        CompleteEnv::with_factory(command).var(VARIABLE).complete();
    }
}

/// All commands, with the recipes of the project that the line is about.
fn command() -> Command {
    let recipes = Place::here().recipes();
    let command = Cli::command().mut_subcommand("run", |run| run.subcommands(recipes.clone()));
    let taken: Vec<String> = command.get_subcommands().map(|known| known.get_name().to_owned()).collect();
    command
        .subcommands(recipes.into_iter().filter(|recipe| !taken.iter().any(|name| name == recipe.get_name())))
}

/// The project's instances, for an argument that takes one.
pub(super) fn instances() -> ArgValueCandidates {
    ArgValueCandidates::new(|| Place::here().instances())
}

/// The names of all recipes, for an argument that takes one.
pub(super) fn recipes() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let scripts = Place::here().library().recipes().unwrap_or_default();
        scripts
            .iter()
            .map(|script| {
                CompletionCandidate::new(&script.name).help(Some(script.summary().to_owned().into()))
            })
            .collect()
    })
}

/// What a command line is about.
struct Place {
    project: PathBuf,
    sandbox: bool,
    argv: Vec<OsString>,
}

impl Place {
    /// The command line that the shell asks about.
    fn here() -> Self {
        let argv: Vec<OsString> = std::env::args_os().skip_while(|word| word != "--").skip(1).collect();
        let sandbox = argv.iter().any(|word| word == "--sandbox");
        Place { project: project_of(&argv), sandbox, argv }
    }

    fn library(&self) -> Library {
        Library::new(self.project.clone(), user_folder())
    }

    /// A command for each recipe; with its flags if the line names it.
    fn recipes(&self) -> Vec<Command> {
        // A project that cannot be read has nothing to offer, and a shell no place for the reason.
        let scripts = self.library().recipes().unwrap_or_default();
        let commands = scripts.into_iter().map(|script| {
            let is_named = self.argv.iter().any(|word| word == OsStr::new(&script.name));
            let arguments = if is_named { self.arguments(&script.name) } else { Vec::new() };
            let arguments = arguments.iter().map(argument);
            Command::new(script.name.clone()).about(script.summary().to_owned()).args(arguments)
        });
        commands.collect()
    }

    fn arguments(&self, recipe: &str) -> Vec<Argument> {
        let mut builder = Host::builder().project(self.project.clone()).ui(Arc::new(Silent));
        if let Some(folder) = user_folder() {
            builder = builder.user_folder(folder);
        }
        let described = builder.build().and_then(|host| host.describe(recipe));
        described.map(|description| description.arguments).unwrap_or_default()
    }

    /// The instances that state knows.
    fn instances(&self) -> Vec<CompletionCandidate> {
        let folder =
            if self.sandbox { self.project.join(crate::sandbox::FOLDER) } else { self.project.clone() };
        let Ok(document) = Store::open(&folder).read() else { return Vec::new() };
        let about = |it: &crate::state::Instance| {
            let parts = [it.name.as_deref(), Some(it.region.as_str()), it.phase.as_deref()];
            parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
        };
        document.instances().map(|it| CompletionCandidate::new(&it.id).help(Some(about(it).into()))).collect()
    }
}

fn argument(argument: &Argument) -> Arg {
    let arg = Arg::new(argument.name.clone()).help(argument.help.clone());
    if argument.positional {
        return arg.num_args(0..).add(instances());
    }
    let arg = arg.long(argument.name.replace('_', "-"));
    match argument.choices.as_slice() {
        _ if argument.default.is_bool() => arg.action(ArgAction::SetTrue),
        [] => arg,
        choices => arg.value_parser(clap::builder::PossibleValuesParser::new(choices.to_vec())),
    }
}
