//! `spot eval CODE`: one line of Rhai, as the REPL takes it.

use std::sync::Arc;

use super::interrupt::{self, Activity};
use super::options::Options;
use super::repl::shown;
use crate::error::Error;
use crate::host::{Failure, Submission};
use crate::ui::{Event, Ui};

pub(super) const EXAMPLES: &str = "\
Examples:
  spot eval 'fleet.run(\"uptime\")'
  spot eval 'fleet.filter(|h| h.region == \"us-west-2\").len()'
  spot --json eval 'aws::zones(\"us-west-2\")'

The value is shown as the REPL shows it; with --json it is an object on one line.";

/// Runs the line and shows its value.
pub(super) fn run(options: &Options, ui: &Arc<dyn Ui>, code: &str) -> Result<u8, Failure> {
    let sandbox = options.start_sandbox(ui)?;
    let host = options.host(Arc::clone(ui), sandbox.as_ref())?.build()?;
    interrupt::watch(&host, ui, &Arc::new(Activity::default()))?;
    match host.session().submit(code)? {
        Submission::Incomplete => {
            Err(Error::usage("the line is not complete: a bracket or quote is open").into())
        }
        Submission::Value(value) if value.is_unit() => Ok(0),
        Submission::Value(value) => {
            let value = crate::host::to_json(&value);
            ui.emit(if options.json { Event::Data(value) } else { shown(value) });
            Ok(0)
        }
    }
}
