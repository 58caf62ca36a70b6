//! `spot sandbox reset`: removes everything of the project's sandbox.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::super::options::Options;
use super::stop;
use crate::host::Failure;
use crate::sandbox::{self, Sandbox};
use crate::ui::{Answer, Event, Level, Question, Ui};

/// How long a running sandbox may take to end.
const PATIENCE: Duration = Duration::from_secs(120);

const EXAMPLES: &str = "\
Examples:
  spot sandbox reset          asks first
  spot sandbox reset --yes

Exit codes: 0 it is empty; 1 you said no; 2 it cannot be removed; 4 a run works in it";

/// The command line of `spot sandbox reset`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in super::super) struct Reset {}

impl Reset {
    pub(super) fn run(&self, options: &Options, ui: &Arc<dyn Ui>) -> Result<u8, Failure> {
        let project = options.project()?;
        let running = Sandbox::attach(&project)?;
        let what = if running.is_some() { "End the sandbox that runs, and remove" } else { "Remove" };
        let question = format!("{what} all instances, files and the state of this project's sandbox?");
        match ui.ask(&Question::Confirm { text: question, default: false, must_type: None })? {
            Answer::Confirmed(true) => {}
            _ => {
                ui.emit(Event::message(Level::Info, "nothing was removed"));
                return Ok(1);
            }
        }
        if let Some(running) = running {
            stop::end(&running, PATIENCE)?;
        }
        sandbox::remove(&project)?;
        ui.emit(Event::message(Level::Success, "the sandbox is empty"));
        Ok(0)
    }
}
