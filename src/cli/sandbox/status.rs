//! `spot sandbox status`: whether it runs, and what is in it.

use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};

use super::super::options::Options;
use crate::host::Failure;
use crate::sandbox::Sandbox;
use crate::ui::{Cell, Column, Event, Level, Table, Ui};

const EXAMPLES: &str = "\
Examples:
  spot sandbox status
  spot sandbox status --json | jq .value.instances

Exit codes: 0 it runs; 1 it does not";

/// States in the order of an instance's life.
const STATES: [&str; 4] = ["pending", "running", "shutting-down", "terminated"];

/// The command line of `spot sandbox status`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in super::super) struct Status {}

impl Status {
    pub(super) fn run(&self, options: &Options, ui: &Arc<dyn Ui>) -> Result<u8, Failure> {
        let Some(sandbox) = Sandbox::attach(&options.project()?)? else {
            if options.json {
                ui.emit(Event::Data(json!({ "running": false })));
            } else {
                ui.emit(Event::message(Level::Info, "no sandbox of this project is running"));
            }
            return Ok(1);
        };
        let mut status = sandbox.control().get("/_sandbox/status")?;
        status["running"] = true.into();
        status["url"] = sandbox.access().url.clone().into();
        status["ssh_port"] = sandbox.access().ssh_port.into();
        if options.json {
            ui.emit(Event::Data(status));
            return Ok(0);
        }
        ui.emit(Event::Data(summary(&status).into()));
        if let Some(table) = instances(&status) {
            ui.emit(Event::Table(table));
        }
        Ok(0)
    }
}

/// What is known beside the instances, a line each.
fn summary(status: &Value) -> String {
    let lines = [
        ("running", format!("process {}", shown(&status["pid"]))),
        ("endpoint", shown(&status["url"])),
        ("ssh port", shown(&status["ssh_port"])),
        ("clock", shown(&status["now"])),
        ("calls", shown(&status["calls"])),
    ];
    let lines = lines.map(|(name, value)| format!("{name:<9} {value}"));
    lines.join("\n")
}

/// Text as it is, anything else as JSON.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The instances by region and state; none when there are none.
fn instances(status: &Value) -> Option<Table> {
    let regions = status["instances"].as_object().filter(|regions| !regions.is_empty())?;
    let rows = regions.iter().map(|(region, states)| {
        let counts = STATES.map(|state| Cell::from(states[state].as_u64().unwrap_or(0).to_string()));
        std::iter::once(Cell::from(region.clone())).chain(counts).collect()
    });
    let columns = STATES.map(Column::right);
    Some(Table {
        title: None,
        columns: std::iter::once(Column::left("region")).chain(columns).collect(),
        rows: rows.collect(),
        footer: None,
    })
}
