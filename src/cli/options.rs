//! The options that every command takes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::rehearsal::Rehearsal;
use crate::error::{Error, Kind, Result};
use crate::host::{Deployment, Failure, Host, HostBuilder, Mode, OnFailure};
use crate::sandbox::{self, Sandbox};
use crate::script::Library;
use crate::state::Store;
use crate::ui::{self, Event, Level, Ui};

/// Files that make a folder a project.
const MARKS: [&str; 4] = ["spot.toml", "config.yaml", "instances.json", ".spot"];

/// Options of every command; a flag wins over its environment variable.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub(super) struct Options {
    /// The project's folder [default: the nearest folder upwards with spot.toml, config.yaml,
    /// instances.json or .spot, otherwise this one]
    #[arg(long, value_name = "DIR", env = "SPOT_PROJECT", global = true)]
    pub project: Option<PathBuf>,

    /// The configuration file [default: spot.toml or config.yaml of the project]
    #[arg(long, value_name = "FILE", env = "SPOT_CONFIG", global = true)]
    pub config: Option<PathBuf>,

    /// The deployment to work on, each with instances, networks and history of its own [default: the
    /// one that spot.toml names, otherwise `default`]
    #[arg(long, value_name = "NAME", env = "SPOT_DEPLOYMENT", global = true)]
    pub deployment: Option<String>,

    /// Work in the project's sandbox: a cloud on this machine, with a state of its own
    #[arg(long, env = "SPOT_SANDBOX", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue, global = true)]
    pub sandbox: bool,

    #[command(flatten)]
    pub rehearsal: Rehearsal,

    /// The AWS profile [default: as the AWS CLI]
    #[arg(long, value_name = "NAME", env = "SPOT_PROFILE", global = true)]
    pub profile: Option<String>,

    /// The region for calls that belong to none
    #[arg(long, value_name = "REGION", env = "SPOT_REGION", global = true)]
    pub region: Option<String>,

    /// An EC2-compatible endpoint
    #[arg(long, value_name = "URL", env = "SPOT_ENDPOINT_URL", global = true)]
    pub endpoint_url: Option<String>,

    /// Answer yes to confirmations
    #[arg(short, long, env = "SPOT_YES", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue, global = true)]
    pub yes: bool,

    /// Say what would be done, with every call and its parameters, and change nothing; with
    /// `=permissions`, also ask EC2 whether each call would be permitted
    #[arg(long, value_name = "WHAT", value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "plan", global = true)]
    pub dry_run: Option<DryRun>,

    /// Refuse everything that would change the cloud, hosts, files or the state
    #[arg(long, env = "SPOT_READ_ONLY", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue, conflicts_with = "dry_run", global = true)]
    pub read_only: bool,

    /// What becomes of what a run made when it fails or is interrupted [default: as the recipe or the
    /// configuration says; otherwise ask on a terminal, and keep where nobody can be asked]
    #[arg(long, value_name = "WHAT", value_enum, env = "SPOT_ON_FAILURE", global = true)]
    pub on_failure: Option<WhenFailed>,

    /// Type this word where a recipe asks for it, such as the account's id; may be repeated
    #[arg(long, value_name = "WORD", global = true)]
    pub answer: Vec<String>,

    /// A folder outside the project that recipes may read and write; may be repeated
    #[arg(long, value_name = "DIR", global = true)]
    pub allow: Vec<PathBuf>,

    /// Seconds to wait while another run holds the project's state
    #[arg(long, value_name = "SECONDS", default_value_t = 30, global = true)]
    pub lock_timeout: u64,

    /// What every pause and time limit is multiplied with: for rehearsals of what takes minutes
    #[arg(long, value_name = "FACTOR", hide = true, global = true)]
    pub time_scale: Option<f64>,

    /// Print one JSON object per line
    #[arg(long, env = "SPOT_JSON", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue, global = true)]
    pub json: bool,

    /// Show results, warnings and errors only
    #[arg(short, long, global = true)]
    pub quiet: bool,

    /// Show more; twice for everything
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,

    /// How much of a terminal the live view takes
    #[arg(long, value_name = "LAYOUT", value_enum, default_value_t = Screen::Inline, env = "SPOT_SCREEN", global = true)]
    pub screen: Screen,

    /// When to use colour
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = When::Auto, global = true)]
    pub color: When,
}

/// How much of a terminal the live view takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Screen {
    /// The lines at the bottom
    Inline,
    /// All of it while something goes on: hosts and log in panels that scroll
    Full,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum When {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    Always,
    Never,
}

/// What becomes of what a failed run made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum WhenFailed {
    /// It stays, and the end of the run says what it costs and which command removes it
    Keep,
    /// It is removed again
    Rollback,
    /// Whoever sits at the terminal decides
    Ask,
}

/// What `--dry-run` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum DryRun {
    /// The calls that would be made
    Plan,
    /// Also whether each would be permitted
    Permissions,
}

impl Options {
    /// What becomes of calls that change something.
    pub fn mode(&self) -> Mode {
        match (self.dry_run, self.read_only) {
            (Some(what), _) => Mode::Plan { permissions: what == DryRun::Permissions },
            (None, true) => Mode::ReadOnly,
            (None, false) => Mode::Act,
        }
    }

    /// The terminal that the options describe.
    pub fn open_ui(&self) -> Arc<dyn Ui> {
        ui::open(&self.ui())
    }

    /// What the options say of how things are shown.
    pub fn ui(&self) -> ui::Options {
        ui::Options {
            format: if self.json { ui::Format::Json } else { ui::Format::Auto },
            color: match self.color {
                When::Auto => ui::Color::Auto,
                When::Always => ui::Color::Always,
                When::Never => ui::Color::Never,
            },
            quiet: self.quiet,
            verbose: self.verbose,
            screen: match self.screen {
                Screen::Inline => ui::Screen::Inline,
                Screen::Full => ui::Screen::Full,
            },
            yes: self.yes,
            typed: self.answer.clone(),
            ..ui::Options::default()
        }
    }

    /// The project's folder.
    pub fn project(&self) -> Result<PathBuf> {
        match &self.project {
            Some(folder) => Ok(folder.clone()),
            None => Self::project_here(),
        }
    }

    /// The folder of the default deployment's state: the project's, or that of its sandbox.
    pub fn home(&self) -> Result<PathBuf> {
        let project = self.project()?;
        Ok(if self.sandbox { project.join(sandbox::FOLDER) } else { project })
    }

    /// The folder of the state that is worked on.
    pub fn state_folder(&self) -> Result<PathBuf> {
        let (project, home) = (self.project()?, self.home()?);
        let chosen = Deployment::choose(&project, self.config.as_deref(), &home, self.deployment.as_deref())?;
        Ok(chosen.folder)
    }

    /// The state that is worked on, to be looked at; shared with a team if the configuration says so.
    pub fn store(&self, ui: &Arc<dyn Ui>) -> std::result::Result<Store, Failure> {
        self.store_of(self.deployment.as_deref(), ui)
    }

    /// As [`Options::store`], of a deployment.
    pub fn store_of(&self, name: Option<&str>, ui: &Arc<dyn Ui>) -> std::result::Result<Store, Failure> {
        let running = if self.sandbox { Sandbox::attach(&self.project()?)? } else { None };
        if self.sandbox && running.is_none() {
            // Nobody shares anything with a sandbox that does not run.
            let (project, home) = (self.project()?, self.home()?);
            let chosen = Deployment::choose(&project, self.config.as_deref(), &home, name)?;
            return Ok(Store::open(&chosen.folder));
        }
        let builder = self.host(Arc::clone(ui), running.as_ref())?;
        match name {
            Some(name) => builder.deployment(name).store(),
            None => builder.store(),
        }
    }

    /// The project of the current folder.
    pub fn project_here() -> Result<PathBuf> {
        let current = std::env::current_dir()
            .map_err(|error| Error::usage("the current folder cannot be read").with_source(error))?;
        let is_project = |folder: &&Path| MARKS.iter().any(|mark| folder.join(mark).exists());
        // A home folder is nobody's project, even if a stray mark lies there.
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let found =
            current.ancestors().take_while(|folder| Some(*folder) != home.as_deref()).find(is_project);
        Ok(found.unwrap_or(&current).to_owned())
    }

    /// The project's recipes and modules.
    pub fn library(&self) -> Result<Library> {
        Ok(Library::new(self.project()?, user_folder()))
    }

    /// The sandbox if it was asked for: the one that runs, otherwise one of this process's own.
    pub fn start_sandbox(&self, ui: &Arc<dyn Ui>) -> Result<Option<Sandbox>> {
        if !self.sandbox {
            return match self.rehearsal.given() {
                Some(option) => Err(Error::usage(format!("{option} is for the sandbox only"))
                    .with_hint("spot --sandbox … works in the project's sandbox")),
                None => Ok(None),
            };
        }
        if self.endpoint_url.is_some() {
            return Err(Error::usage("--sandbox and --endpoint-url exclude each other"));
        }
        let project = self.project()?;
        let faults = self.rehearsal.read()?;
        if let Some(running) = Sandbox::attach(&project)? {
            return match self.rehearsal.given() {
                Some(option) => Err(Error::usage(format!(
                    "{option}: the sandbox at {} runs already, with faults of its own",
                    running.access().url
                ))
                .with_hint("spot sandbox stop ends it; spot sandbox start takes the same options")),
                None => Ok(Some(running)),
            };
        }
        self.rehearsal.record(&faults, &sandbox::private_folder(&project)?, ui)?;
        let options =
            sandbox::Options { faults, limit: self.rehearsal.sandbox_hosts, ..sandbox::Options::default() };
        match Sandbox::start_with(&project, options.clone()) {
            Err(error) if error.kind() == Kind::Locked && self.lock_timeout > 0 => {
                let text = format!("waiting for another run to end: {}", error.message());
                ui.emit(Event::message(Level::Warning, text));
            }
            started => return started.map(Some),
        }
        let lock_wait = Duration::from_secs(self.lock_timeout);
        Sandbox::start_with(&project, sandbox::Options { lock_wait, ..options }).map(Some)
    }

    /// The host that the options describe.
    pub fn host(&self, ui: Arc<dyn Ui>, sandbox: Option<&Sandbox>) -> Result<HostBuilder> {
        let mut builder = Host::builder()
            .project(self.project()?)
            .ui(ui)
            .mode(self.mode())
            .lock_wait(Duration::from_secs(self.lock_timeout));
        if let Some(factor) = self.time_scale {
            builder = builder.time_scale(factor);
        }
        if let Some(policy) = self.on_failure {
            builder = builder.on_failure(match policy {
                WhenFailed::Keep => OnFailure::Keep,
                WhenFailed::Rollback => OnFailure::Rollback,
                WhenFailed::Ask => OnFailure::Ask,
            });
        }
        if let Some(file) = &self.config {
            builder = builder.config(file);
        }
        if let Some(name) = &self.deployment {
            builder = builder.deployment(name);
        }
        if let Some(folder) = user_folder() {
            builder = builder.user_folder(folder);
        }
        if let Some(profile) = &self.profile {
            builder = builder.profile(profile);
        }
        if let Some(region) = &self.region {
            builder = builder.region(region);
        }
        if let Some(url) = &self.endpoint_url {
            builder = builder.endpoint_url(url);
        }
        for folder in &self.allow {
            builder = builder.allow(folder);
        }
        Ok(match sandbox {
            Some(sandbox) => builder.sandbox(sandbox),
            None => builder,
        })
    }
}

/// The user's configuration folder: `$XDG_CONFIG_HOME/spot` or its like.
pub(super) fn user_folder() -> Option<PathBuf> {
    use etcetera::BaseStrategy;
    etcetera::choose_base_strategy().ok().map(|strategy| strategy.config_dir().join("spot"))
}
