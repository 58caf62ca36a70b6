//! `spot sandbox stop`: ends the running sandbox.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::super::options::Options;
use crate::error::{Error, Kind, Result};
use crate::host::Failure;
use crate::sandbox::Sandbox;
use crate::ui::{Event, Level, Ui};

/// How often it is looked whether the sandbox has ended.
const INTERVAL: Duration = Duration::from_millis(50);

const EXAMPLES: &str = "\
Examples:
  spot sandbox stop
  spot sandbox stop --timeout 120    a large fleet takes a while to halt

Exit codes: 0 it does not run any more, or did not; 1 it has not ended in time";

/// The command line of `spot sandbox stop`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in super::super) struct Stop {
    /// Seconds to wait for its end
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
}

impl Stop {
    pub(super) fn run(&self, options: &Options, ui: &Arc<dyn Ui>) -> Result<u8, Failure> {
        let Some(sandbox) = Sandbox::attach(&options.project()?)? else {
            ui.emit(Event::message(Level::Info, "no sandbox of this project is running"));
            return Ok(0);
        };
        end(&sandbox, Duration::from_secs(self.timeout))?;
        ui.emit(Event::message(Level::Success, "the sandbox has ended; its instances and files stay"));
        Ok(0)
    }
}

/// Asks the process that runs a sandbox to end, and waits until it has.
pub(super) fn end(sandbox: &Sandbox, timeout: Duration) -> Result<()> {
    let status = sandbox.control().get("/_sandbox/status")?;
    let pid = status.get("pid").and_then(serde_json::Value::as_i64).and_then(|pid| i32::try_from(pid).ok());
    let pid = pid.ok_or_else(|| Error::internal("the sandbox does not say which process it is"))?;
    let process = Pid::from_raw(pid);
    kill(process, Signal::SIGTERM).map_err(|error| {
        Error::usage(format!("the sandbox is process {pid}, which cannot be ended")).with_source(error)
    })?;
    let deadline = Instant::now() + timeout;
    while kill(process, None).is_ok() {
        if Instant::now() > deadline {
            return Err(Error::new(Kind::Timeout, format!("the sandbox (process {pid}) has not ended yet"))
                .with_hint("spot sandbox stop --timeout SECONDS waits longer"));
        }
        std::thread::sleep(INTERVAL);
    }
    Ok(())
}
