//! `spot sandbox faults`: what goes wrong on purpose, seen and changed while it runs.

use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::json;

use super::super::options::Options;
use super::running;
use crate::error::{Error, Result};
use crate::host::Failure;
use crate::sandbox::Sandbox;
use crate::sandbox::faults::{Change, Faults as InForce};
use crate::ui::{Event, Level, Ui};

const EXAMPLES: &str = "\
Examples:
  spot sandbox faults                                    what is in force, as the text of a file
  spot sandbox faults add throttle=0.2 dns:us-west-2=1   beside what goes wrong already
  spot sandbox faults add capacity:us-west-2a=0          no capacity there from now on
  spot sandbox faults set --faults faults.toml --seed 7  in place of all that went wrong before
  spot sandbox faults clear capacity                     no shortage any more
  spot sandbox faults clear                              nothing goes wrong any more

docs/sandbox.md lists the faults. `set` counts times from now on; what is added is counted with the rest.

Exit codes: 0 done; 2 a fault is wrong (nothing has changed then), or no running sandbox";

/// The command line of `spot sandbox faults`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in super::super) struct Faults {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show what is in force
    Show,
    /// Put these faults, and those of --faults FILE, in place of all that are in force
    Set {
        /// A fault in its short form, such as throttle=0.2
        #[arg(value_name = "FAULT")]
        wanted: Vec<String>,
    },
    /// Add faults; a single value takes the place of the former one
    Add {
        /// A fault in its short form, such as throttle=0.2
        #[arg(value_name = "FAULT")]
        wanted: Vec<String>,
    },
    /// Take all faults of these kinds away, or all of them
    Clear {
        /// A kind, such as throttle or capacity
        #[arg(value_name = "KIND")]
        kinds: Vec<String>,
    },
}

impl Faults {
    pub(super) fn run(&self, options: &Options, ui: &Arc<dyn Ui>) -> Result<u8, Failure> {
        let sandbox = running(options)?;
        let faults = match self.what.as_ref().unwrap_or(&What::Show) {
            What::Show => sandbox.faults()?,
            What::Set { wanted } => set(&sandbox, options, wanted)?,
            What::Add { wanted } => add(&sandbox, options, wanted)?,
            What::Clear { kinds } if kinds.is_empty() => {
                sandbox.set_faults(&InForce::default())?;
                sandbox.faults()?
            }
            What::Clear { kinds } => {
                sandbox.change_faults(&Change { clear: kinds.clone(), ..Change::default() })?
            }
        };
        show(&faults, options, ui);
        Ok(0)
    }
}

fn set(sandbox: &Sandbox, options: &Options, faults: &[String]) -> Result<InForce> {
    if faults.is_empty() && options.rehearsal.given().is_none() {
        return Err(Error::usage("there is nothing to set: name faults, or a file with --faults")
            .with_hint("spot sandbox faults clear takes all away"));
    }
    let mut wanted = options.rehearsal.read()?;
    for text in faults {
        wanted.add_short(text)?;
    }
    sandbox.set_faults(&wanted)?;
    sandbox.faults()
}

fn add(sandbox: &Sandbox, options: &Options, faults: &[String]) -> Result<InForce> {
    if options.rehearsal.faults.is_some() || options.rehearsal.seed.is_some() {
        return Err(Error::usage("add takes faults in their short form only")
            .with_hint("spot sandbox faults set takes --faults and --seed"));
    }
    let short: Vec<String> = faults.iter().chain(&options.rehearsal.fault).cloned().collect();
    if short.is_empty() {
        return Err(Error::usage("there is nothing to add: name a fault, such as throttle=0.2"));
    }
    let mut checked = InForce::default();
    for text in &short {
        checked.add_short(text)?;
    }
    sandbox.change_faults(&Change { short, ..Change::default() })
}

fn show(faults: &InForce, options: &Options, ui: &Arc<dyn Ui>) {
    if options.json {
        ui.emit(Event::Data(json!(faults)));
        return;
    }
    let text = faults.to_toml();
    match text.trim_end() {
        "" => ui.emit(Event::message(Level::Info, "nothing goes wrong on purpose")),
        text => ui.emit(Event::Data(text.into())),
    }
}
