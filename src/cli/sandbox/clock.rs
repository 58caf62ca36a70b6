//! `spot sandbox clock`: the time of the sandbox.

use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::super::options::Options;
use super::running;
use crate::host::Failure;
use crate::ui::{Event, Ui};

const EXAMPLES: &str = "\
Examples:
  spot sandbox clock                 what it shows, and how fast it goes
  spot sandbox clock advance 3h      three hours at once; what is due has happened when this returns
  spot sandbox clock speed 60        from now on a minute each second
  spot sandbox clock speed 0         it stands still

Exit codes: 0 done; 2 the time or the speed is out of range, or no running sandbox";

/// The command line of `spot sandbox clock`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in super::super) struct Clock {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show it
    Show,
    /// Set it ahead, by at most a year; it never goes back
    Advance {
        /// How far: seconds, or with units as in 15m, 3h, 1h30m, 2d
        #[arg(value_name = "DURATION", value_parser = super::amount::time)]
        by: Duration,
    },
    /// Make it go so many times as fast as the real time
    Speed {
        /// 0 (it stands still) to 100000; 1 is usual
        #[arg(value_name = "N", value_parser = super::start::speed)]
        factor: f64,
    },
}

impl Clock {
    pub(super) fn run(&self, options: &Options, ui: &Arc<dyn Ui>) -> Result<u8, Failure> {
        let sandbox = running(options)?;
        match self.what.as_ref().unwrap_or(&What::Show) {
            What::Show => {}
            What::Advance { by } => sandbox.advance(*by)?,
            What::Speed { factor } => sandbox.set_speed(*factor)?,
        }
        let clock = sandbox.control().get("/_sandbox/clock")?;
        if options.json {
            ui.emit(Event::Data(clock));
            return Ok(0);
        }
        let (now, speed) =
            (clock["now"].as_str().unwrap_or_default(), clock["speed"].as_f64().unwrap_or(1.0));
        let pace = match speed {
            0.0 => ", standing still".to_owned(),
            1.0 => String::new(),
            speed => format!(", {speed} times as fast as the real time"),
        };
        ui.emit(Event::Data(format!("{now}{pace}").into()));
        Ok(0)
    }
}
