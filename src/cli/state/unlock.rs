//! `spot state unlock`: who holds the right to change the state, and taking it away from a process
//! that is no more.

use std::sync::Arc;

use clap::Args;
use serde_json::json;

use super::super::options::Options;
use crate::error::{Error, Kind};
use crate::host::Failure;
use crate::state::{Holder, Life, Store};
use crate::ui::{Answer, Event, Level, Question, Ui};

const EXPLANATION: &str = "\
The right to change the state is a lock of the operating system: it goes with its process, however
that ends, so there is hardly ever something to unlock. A process that lives keeps it; a killed one
has lost it already. What remains is a holder that cannot be seen from here, on another machine that
shares the folder, or in a container: --force takes it away, after a question.

Exit codes: 0 nobody holds it now, 4 somebody does.";

/// The command line of `spot state unlock`.
#[derive(Debug, Args)]
#[command(after_help = EXPLANATION)]
pub(in crate::cli) struct Unlock {
    /// Take it away from a process that cannot be seen from this machine
    #[arg(long)]
    force: bool,
}

impl Unlock {
    pub(super) fn run(&self, options: &Options, ui: &Arc<dyn Ui>) -> Result<u8, Failure> {
        let store = Store::open(&options.state_folder()?);
        let Some(holder) = store.holder()? else {
            if options.json {
                ui.emit(Event::Data(json!({ "holder": null })));
            }
            let text = "nobody holds the state: there is nothing to unlock";
            ui.emit(Event::message(Level::Info, text));
            return Ok(0);
        };
        ui.emit(Event::Data(if options.json { json!({ "holder": holder }) } else { shown(&holder).into() }));
        let locked = |message: String, hint: String| Error::new(Kind::Locked, message).with_hint(hint);
        let Holder { pid, host, .. } = &holder;
        match holder.life() {
            Life::Lives => Err(locked(
                format!("process {pid} lives, and the lock is its own"),
                format!("wait for it, or stop it: `kill {pid}`; the lock goes with it"),
            )
            .into()),
            life if !self.force => Err(locked(
                match life {
                    Life::Ended => {
                        format!("process {pid} cannot be seen, but something still holds its lock")
                    }
                    _ => format!("whether process {pid} on {host} lives cannot be seen from here"),
                },
                "make sure that it has ended, then use --force".to_owned(),
            )
            .into()),
            _ => take_away(&store, &holder, ui),
        }
    }
}

fn take_away(store: &Store, holder: &Holder, ui: &Arc<dyn Ui>) -> Result<u8, Failure> {
    let text = format!(
        "take the lock from process {} on {}? If it still writes, the state may be spoiled",
        holder.pid, holder.host
    );
    let question = Question::Confirm { text, default: false, must_type: None };
    if ui.ask(&question)? != Answer::Confirmed(true) {
        return Err(Error::new(Kind::Locked, "the lock was left alone").into());
    }
    if store.unlock(holder)? {
        ui.emit(Event::message(Level::Success, "the state is free"));
        return Ok(0);
    }
    ui.emit(Event::message(Level::Info, "it has let go of the lock meanwhile"));
    Ok(0)
}

/// A line for each thing that is known of the holder.
fn shown(holder: &Holder) -> String {
    let Holder { user, host, pid, command, since } = holder;
    let pid = pid.to_string();
    [("user", user), ("host", host), ("process", &pid), ("command", command), ("since", since)]
        .map(|(name, value)| format!("{name:<10} {value}"))
        .join("\n")
}
