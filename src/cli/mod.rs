//! The command line: one file per command.

mod check;
mod completions;
mod eject;
mod eval;
mod explain;
mod fields;
mod fmt;
mod history;
mod init;
mod interrupt;
mod list_recipes;
mod man;
mod options;
mod recipe;
mod rehearsal;
mod repl;
mod runs;
mod sandbox;
mod ssh;
mod state;
mod words;

use std::ffi::OsString;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::error::Error;
use crate::host::Failure;
use crate::script::Library;
use crate::ui::{Event, Ui};
use options::Options;

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    the recipe failed
  2    the command line or the configuration is wrong
  3    some targets succeeded and some did not
  4    another run holds the project's state
  5    something that costs money may remain
  6    state and AWS differ (state reconcile)
  130  interrupted
  70   a fault of spot itself";

/// Runs deployment recipes: launch EC2 spot instances, deploy to them, remove them.
#[derive(Debug, Parser)]
#[command(
    name = "spot",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(flatten)]
    options: Options,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a recipe, by file or by name; `spot NAME` is short for `spot run NAME`
    #[command(disable_help_flag = true, override_usage = "spot run <FILE|NAME> [--flag value]…")]
    Run {
        /// The recipe: a path (with `/` or ending in .rhai), or a name
        #[arg(value_name = "FILE|NAME")]
        recipe: String,
        /// The recipe's own arguments; `--help` shows them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
        words: Vec<String>,
    },
    /// Type lines of Rhai and see what they do
    Repl,
    /// Run one line of Rhai; `fleet` is the project's instances
    #[command(after_help = eval::EXAMPLES)]
    Eval {
        /// The line, as the REPL takes it
        #[arg(value_name = "CODE")]
        code: String,
    },
    /// Look for mistakes in recipes and modules without running them
    Check(check::Check),
    /// Say what a code of `spot check` means, with an example; without one, list them all
    Explain {
        /// The code, such as unknown-option
        code: Option<String>,
    },
    /// Bring scripts into one layout, which keeps your lines
    Fmt(fmt::Fmt),
    /// Open a terminal on an instance, or run one command there
    #[command(override_usage = "spot ssh [ID|INDEX] [-- COMMAND…]")]
    Ssh {
        /// An instance id, the beginning of one, or its place in `spot list --cached`, from 1
        #[arg(value_name = "ID|INDEX", add = completions::instances())]
        instance: Option<String>,
        /// Give the command a terminal too
        #[arg(short, long)]
        tty: bool,
        /// A command for the host's shell, in place of a terminal; its exit code is ours
        #[arg(last = true, value_name = "COMMAND")]
        command: Vec<String>,
    },
    /// Lay out a project in a folder: the recipe `setup`
    Init {
        /// The folder, made if it does not exist
        #[arg(default_value = ".")]
        folder: std::path::PathBuf,
    },
    /// Copy a built-in recipe or stdlib module into the project, to be changed there
    Eject {
        /// Its name
        #[arg(add = completions::recipes())]
        name: String,
        /// Take the stdlib module of this name, not the recipe
        #[arg(long)]
        module: bool,
        /// Replace a file that exists
        #[arg(long)]
        force: bool,
    },
    /// Print what makes Tab complete commands, recipes, their flags and instances in a shell
    #[command(after_help = completions::EXAMPLES)]
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: completions::Shell,
    },
    /// Print the manual page, or write one for each command into a folder
    #[command(after_help = man::EXAMPLES)]
    Man {
        /// The folder, such as `~/.local/share/man/man1`; without one the page goes to standard output
        folder: Option<std::path::PathBuf>,
    },
    /// Show all recipes and where each comes from
    ListRecipes,
    /// Show the runs that changed something: who, what, how it ended
    History(history::History),
    /// Show the records of runs: all they said, each call, and what each host printed
    Runs(runs::Runs),
    /// Look at what state knows, compare it with AWS, and repair it
    State {
        #[command(subcommand)]
        command: state::Command,
    },
    /// Run the project's sandbox for other commands and tools, and look after it
    Sandbox {
        #[command(subcommand)]
        command: sandbox::Command,
    },
    #[command(external_subcommand)]
    Named(Vec<String>),
}

/// Runs the command line of this process and returns its exit code.
pub fn main() -> ExitCode {
    completions::answer();
    let argv: Vec<OsString> = std::env::args_os().collect();
    let (cli, words) = match parse(&argv) {
        Ok(parsed) => parsed,
        Err(error) => {
            // A closed pipe is the only way in which this can fail.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let ui = cli.options.open_ui();
    restore_terminal_on_panic(&ui);
    let result = std::panic::catch_unwind(AssertUnwindSafe(|| run(&cli, &words, &ui)));
    let code = match result {
        Ok(Ok(code)) => code,
        Ok(Err(failure)) => {
            ui.emit(Event::Error(Box::new(failure.shown())));
            failure.exit_code()
        }
        // The hook has said what happened.
        Err(_) => Error::internal("panic").exit_code(),
    };
    ui.finish();
    ExitCode::from(code)
}

/// A panic is a fault of spot itself; its message must not be painted over by the live view.
fn restore_terminal_on_panic(ui: &Arc<dyn Ui>) {
    let ui = Arc::downgrade(ui);
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if let Some(ui) = ui.upgrade() {
            ui.finish();
        }
        report(panic);
    }));
}

fn run(cli: &Cli, words: &[String], ui: &Arc<dyn Ui>) -> Result<u8, Failure> {
    match &cli.command {
        Command::Run { recipe, .. } => recipe::run(&cli.options, ui, recipe, words),
        Command::Named(all) => {
            let name = all.first().map(String::as_str).unwrap_or_default();
            recipe::run_named(&cli.options, ui, name, words, &commands())
        }
        Command::Repl => repl::run(&cli.options, ui),
        Command::Eval { code } => eval::run(&cli.options, ui, code),
        Command::Check(check) => check.run(&cli.options, ui),
        Command::Explain { code } => Ok(explain::run(ui, cli.options.json, code.as_deref())?),
        Command::Fmt(fmt) => fmt.run(&cli.options, ui),
        Command::Ssh { instance, tty, command } => {
            ssh::run(&cli.options, ui, instance.as_deref(), command, *tty)
        }
        Command::Init { folder } => init::run(&cli.options, ui, folder),
        Command::Eject { name, module, force } => eject::run(&cli.options, ui, name, *module, *force),
        Command::Completions { shell } => Ok(completions::run(*shell)?),
        Command::Man { folder } => Ok(man::run(folder.as_deref())?),
        Command::ListRecipes => list_recipes::run(&cli.options, ui),
        Command::History(history) => history.run(&cli.options, ui),
        Command::Runs(runs) => runs.run(&cli.options, ui),
        Command::State { command } => state::run(&cli.options, ui, command, words),
        Command::Sandbox { command } => sandbox::run(&cli.options, ui, command),
    }
}

/// Parses a command line. The options of every command may also stand among the words of a recipe,
/// which the recipe's own flags would otherwise swallow.
fn parse(argv: &[OsString]) -> Result<(Cli, Vec<String>), clap::Error> {
    let command = || Cli::command().after_help(after_help(argv));
    // `--help` after a recipe is the recipe's; without one it is the command's own.
    if let [program, run, help] = argv
        && run == "run"
        && (help == "--help" || help == "-h")
    {
        command().try_get_matches_from([program.clone(), "help".into(), run.clone()])?;
    }
    let cli = Cli::from_arg_matches(&command().try_get_matches_from(argv)?)?;
    let words = match &cli.command {
        Command::Run { words, .. } => recipe_words(argv, words),
        Command::State { command } => match command.recipe() {
            Some((_, words)) => recipe_words(argv, words),
            None => return Ok((cli, Vec::new())),
        },
        Command::Named(all) => all.get(1..).unwrap_or_default().to_vec(),
        _ => return Ok((cli, Vec::new())),
    };
    let (ours, words) = words::split(&Cli::command(), &words);
    let taken = ours.len() + words.len();
    let before = argv.get(..argv.len().saturating_sub(taken)).unwrap_or_default();
    let again = before
        .iter()
        .take(1)
        .cloned()
        .chain(ours.into_iter().map(OsString::from))
        .chain(before.iter().skip(1).cloned());
    let cli = Cli::from_arg_matches(&command().try_get_matches_from(again)?)?;
    Ok((cli, words))
}

/// The words of `run` after the recipe as they were typed: clap keeps a `--` to itself when it is the
/// first of them, and only then.
fn recipe_words(argv: &[OsString], words: &[String]) -> Vec<String> {
    let before = argv.len().checked_sub(words.len() + 1).and_then(|index| argv.get(index));
    let dashes = before.filter(|word| *word == "--").map(|_| "--".to_owned());
    dashes.into_iter().chain(words.iter().cloned()).collect()
}

/// The project that a command line which asks for help names, otherwise that of the current folder.
fn project_of(argv: &[OsString]) -> std::path::PathBuf {
    let mut words = argv.iter().skip(1).take_while(|word| *word != "--");
    while let Some(word) = words.next() {
        if word == "--project" {
            return words.next().map(Into::into).unwrap_or_default();
        }
        if let Some(folder) = word.to_str().and_then(|word| word.strip_prefix("--project=")) {
            return folder.into();
        }
    }
    let variable = std::env::var_os("SPOT_PROJECT").map(std::path::PathBuf::from);
    variable.or_else(|| Options::project_here().ok()).unwrap_or_default()
}

/// Names of the commands that are not recipes.
fn commands() -> Vec<String> {
    Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect()
}

/// What `--help` says below the options; the recipes are those of the current project.
fn after_help(argv: &[OsString]) -> String {
    if !argv.iter().any(|word| word == "--help" || word == "-h") && argv.len() > 1 {
        return String::new();
    }
    let recipes = Library::new(project_of(argv), options::user_folder()).recipes().unwrap_or_default();
    let width = recipes.iter().map(|script| script.name.len()).max().unwrap_or(0);
    let lines: String =
        recipes.iter().map(|script| format!("  {:width$}  {}\n", script.name, script.summary())).collect();
    format!("Recipes (spot NAME --help shows the flags of one):\n{lines}\n{EXIT_CODES}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> (Cli, Vec<String>) {
        let argv: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        parse(&argv).unwrap()
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_of_every_command_may_follow_a_recipe() {
        for line in [
            "spot run create --count 5 --sandbox --project /p -y",
            "spot create --count 5 --sandbox --project=/p --yes",
        ] {
            let (cli, words) = parsed(line);
            assert!(cli.options.sandbox && cli.options.yes, "{line}");
            assert_eq!(cli.options.project.as_deref(), Some(std::path::Path::new("/p")), "{line}");
            assert_eq!(words, ["--count", "5"], "{line}");
        }
    }

    #[test]
    fn what_follows_two_dashes_is_the_recipes() {
        let (cli, words) = parsed("spot destroy i-1 -- --yes");
        assert!(!cli.options.yes);
        assert_eq!(words, ["i-1", "--", "--yes"]);
        for line in ["spot x -- --quiet", "spot run x -- --quiet", "spot --sandbox run x -- --quiet"] {
            let (cli, words) = parsed(line);
            assert!(!cli.options.quiet, "{line}");
            assert_eq!(words, ["--", "--quiet"], "{line}");
        }
        let (cli, words) = parsed("spot run x --sandbox -- a -- b");
        assert!(cli.options.sandbox);
        assert_eq!(words, ["--", "a", "--", "b"]);
        assert_eq!(parsed("spot run -- x a").1, ["a"]);
    }

    #[test]
    fn the_recipes_behind_state_take_words_and_options() {
        let (cli, words) = parsed("spot state import --region eu-west-1 i-1 --take-over --yes --json");
        assert!(cli.options.yes && cli.options.json);
        assert_eq!(cli.options.region.as_deref(), Some("eu-west-1"));
        assert_eq!(words, ["i-1", "--take-over"]);
        let (cli, words) = parsed("spot --sandbox state reconcile --repair --adopt -y");
        assert!(cli.options.yes && cli.options.sandbox);
        assert_eq!(words, ["--repair", "--adopt"]);
        assert_eq!(parsed("spot state rm --help").1, ["--help"]);
        assert_eq!(parsed("spot state rm").1, [""; 0]);
        assert!(parsed("spot state list --json").0.options.json);
    }

    #[test]
    fn options_of_every_command_are_reserved_and_nothing_else_is() {
        let mut command = Cli::command();
        command.build();
        let globals = command.get_arguments().filter(|argument| argument.is_global_set());
        let mut names: Vec<&str> =
            globals.filter_map(clap::Arg::get_long).chain(["help", "version"]).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names, crate::script::RESERVED);
    }

    #[test]
    fn help_is_about_the_project_that_is_named() {
        let project = |line: &str| {
            let argv: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            project_of(&argv)
        };
        assert_eq!(project("spot --project /p --help"), std::path::Path::new("/p"));
        assert_eq!(project("spot --help --project=/p"), std::path::Path::new("/p"));
    }

    #[test]
    fn help_after_a_recipe_is_the_recipes_help() {
        assert_eq!(parsed("spot run create --help").1, ["--help"]);
        assert_eq!(parsed("spot create --help").1, ["--help"]);
    }
}
