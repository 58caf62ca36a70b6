//! `spot sandbox calls`: what its endpoint was asked.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::super::options::Options;
use super::running;
use crate::host::Failure;
use crate::ui::{Event, Ui};

/// How often it is asked for new ones.
const INTERVAL: Duration = Duration::from_millis(300);

const EXAMPLES: &str = "\
Examples:
  spot sandbox calls
  spot sandbox calls --follow                 as they are made, until Ctrl-C
  spot sandbox calls --json | jq .value       with their parameters

Exit codes: 0 done; 2 no sandbox of this project is running";

/// The command line of `spot sandbox calls`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in super::super) struct Calls {
    /// Go on showing calls as they are made
    #[arg(long)]
    follow: bool,
}

impl Calls {
    pub(super) fn run(&self, options: &Options, ui: &Arc<dyn Ui>) -> Result<u8, Failure> {
        let sandbox = running(options)?;
        let mut next = 0;
        loop {
            let text = sandbox.control().text(&format!("/_sandbox/calls?from={next}"))?;
            for line in text.lines() {
                let call: Value = serde_json::from_str(line).unwrap_or_default();
                next = call["number"].as_u64().map_or(next, |number| number + 1);
                ui.emit(Event::Data(if options.json { call } else { plain(&call).into() }));
            }
            if !self.follow || ui.broken() {
                return Ok(0);
            }
            std::thread::sleep(INTERVAL);
        }
    }
}

/// A call as a line: when, how long, which, and what became of it.
fn plain(call: &Value) -> String {
    let text = |name: &str| call[name].as_str().unwrap_or_default();
    let (start, end) = (call["start_ms"].as_f64().unwrap_or(0.0), call["end_ms"].as_f64().unwrap_or(0.0));
    let answer = match (call["status"].as_u64(), call["code"].as_str()) {
        (Some(0), _) => "no answer, on purpose".to_owned(),
        (Some(status), Some(code)) => format!("{status} {code}"),
        (status, _) => status.unwrap_or_default().to_string(),
    };
    let (seconds, took) = (start / 1000.0, end - start);
    format!(
        "{seconds:>9.3} s {took:>7.1} ms  {:<14} {}:{} {answer}",
        text("region"),
        text("service"),
        text("action")
    )
}
