//! `spot sandbox host ID`: what goes wrong with a host, and what it was asked.

use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};

use super::super::options::Options;
use super::running;
use crate::error::{Error, Result};
use crate::host::Failure;
use crate::sandbox::Sandbox;
use crate::sandbox::hosts::HostFaults;
use crate::ui::{Event, Level, Ui};

const EXAMPLES: &str = "\
Examples:
  spot sandbox host 1                                what goes wrong with the first host
  spot sandbox host 1 refuses                        its port refuses connections from now on
  spot sandbox host 2 latency=0.2 disk-full=0        several, in place of what went wrong before
  spot sandbox host 2 connection:banner=reset*2      two connections are reset while it introduces itself
  spot sandbox host 2 command:apt-get/*install*=100  installing fails
  spot sandbox host 2 clear                          nothing any more
  spot sandbox host i-0123456789abcdef0 commands     what apt-get, systemctl, docker, … were asked for

docs/sandbox.md lists the faults of hosts.

Exit codes: 0 done; 2 a fault is wrong (nothing has changed then), there is no such running host, or no
running sandbox";

/// The command line of `spot sandbox host`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, override_usage = "spot sandbox host <ID|INDEX> [show | commands | clear | FAULT…]")]
pub(in super::super) struct Host {
    /// An instance id, the beginning of one, or its place in `spot --sandbox list --cached`, from 1
    #[arg(value_name = "ID|INDEX", add = super::super::completions::instances())]
    instance: String,
    /// What to do: show (unless told otherwise), commands, clear; or the faults it is to have from now on
    #[arg(value_name = "FAULT")]
    words: Vec<String>,
}

impl Host {
    pub(super) fn run(&self, options: &Options, ui: &Arc<dyn Ui>) -> Result<u8, Failure> {
        let sandbox = running(options)?;
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        // What is wrong with the words is said before anything is asked.
        let wanted = match words.as_slice() {
            [] | ["show" | "commands"] => None,
            ["clear"] => Some(HostFaults::default()),
            faults => Some(read(faults)?),
        };
        let id = super::instance::meant(&sandbox, &self.instance)?;
        if words == ["commands"] {
            commands(&sandbox, &id, options, ui)?;
            return Ok(0);
        }
        if let Some(faults) = wanted {
            sandbox.set_host_faults(&id, &faults)?;
        }
        show(&id, &sandbox.host_faults(&id)?, options, ui);
        Ok(0)
    }
}

fn read(words: &[&str]) -> Result<HostFaults> {
    let mut faults = HostFaults::default();
    for word in words {
        if matches!(*word, "show" | "commands" | "clear") {
            return Err(Error::usage(format!("`{word}` stands alone, without faults")));
        }
        faults.add_short(word)?;
    }
    Ok(faults)
}

fn show(id: &str, faults: &HostFaults, options: &Options, ui: &Arc<dyn Ui>) {
    if options.json {
        ui.emit(Event::Data(json!({ "id": id, "faults": faults })));
        return;
    }
    let told = faults.unusual();
    if told.is_empty() {
        ui.emit(Event::message(Level::Info, format!("nothing goes wrong on purpose with {id}")));
        return;
    }
    let lines: Vec<String> = told.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    ui.emit(Event::Data(lines.join("\n").into()));
}

fn commands(sandbox: &Sandbox, id: &str, options: &Options, ui: &Arc<dyn Ui>) -> Result<()> {
    for line in sandbox.host_commands(id)?.lines() {
        // The host can write this file itself: what is no JSON is shown as it is.
        let command = serde_json::from_str(line).unwrap_or_else(|_| Value::from(line));
        ui.emit(Event::Data(if options.json { command } else { plain(&command).into() }));
    }
    Ok(())
}

/// A command as a line: when, who, what, and its status when it failed on purpose.
fn plain(command: &Value) -> String {
    let text = |name: &str| command[name].as_str().unwrap_or_default();
    if !command.is_object() {
        return command.as_str().unwrap_or_default().to_owned();
    }
    let arguments = command["arguments"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let words: Vec<&str> = std::iter::once(text("command")).chain(arguments).collect();
    let status = match command["status"].as_u64() {
        Some(status) => format!("  [failed on purpose: {status}]"),
        None => String::new(),
    };
    format!("{} {:<8} {}{status}", text("time"), text("user"), words.join(" "))
}
