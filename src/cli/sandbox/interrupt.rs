//! `spot sandbox interrupt ID|INDEX`: takes a spot instance back, as AWS does.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::super::options::Options;
use super::running;
use crate::host::Failure;
use crate::ui::{Event, Level, Ui};

const EXAMPLES: &str = "\
Examples:
  spot sandbox interrupt 3                                 the notice now, the end in two minutes
  spot sandbox interrupt i-0123456789abcdef0 --notice 5    the end in 5 seconds
  spot sandbox interrupt i-0123456789abcdef0 --rebalance   a rebalance recommendation and no notice

Exit codes: 0 done; 2 there is no such living spot instance, or no running sandbox";

/// The command line of `spot sandbox interrupt`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in super::super) struct Interrupt {
    /// An instance id, the beginning of one, or its place in `spot --sandbox list --cached`, from 1
    #[arg(value_name = "ID|INDEX", add = super::super::completions::instances())]
    instance: String,
    /// Seconds from the notice to the end, 0 to 86400 [default: 120, and no notice with --rebalance]
    #[arg(long, value_name = "SECONDS", value_parser = super::amount::time)]
    notice: Option<Duration>,
    /// Give a rebalance recommendation
    #[arg(long)]
    rebalance: bool,
}

impl Interrupt {
    pub(super) fn run(&self, options: &Options, ui: &Arc<dyn Ui>) -> Result<u8, Failure> {
        let sandbox = running(options)?;
        let id = super::instance::meant(&sandbox, &self.instance)?;
        sandbox.interrupt(&id, self.rebalance, self.notice)?;
        let notice = match (self.notice, self.rebalance) {
            (None, true) => None,
            (notice, _) => Some(notice.unwrap_or(Duration::from_secs(120))),
        };
        let mut told = Vec::new();
        if self.rebalance {
            told.push("a rebalance recommendation".to_owned());
        }
        if let Some(notice) = notice {
            told.push(format!("notice of its end in {} s", notice.as_secs_f64()));
        }
        ui.emit(Event::message(Level::Success, format!("{id} was given {}", told.join(" and "))));
        Ok(0)
    }
}
