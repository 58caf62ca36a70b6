//! `spot state salvage`: going on after damage with everything that is readable.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::super::options::Options;
use super::list;
use crate::error::{Error, Kind};
use crate::host::{Failure, Mode};
use crate::state::{Salvage, Store};
use crate::ui::{Answer, Event, Level, Question, Ui};

pub(super) const EXPLANATION: &str = "\
For a disk that lost something, or a hand that slipped: when instances.json or .spot/journal.jsonl
cannot be read, every command refuses to go on. This one shows what can be saved, and asks before it
writes anything. The damaged files are kept in .spot/ under names of their own; backups count too.

What an unreadable record said is unknown: `spot state reconcile --everywhere` then finds what AWS has
of the project and state does not.

Exit codes: 0 the state can be read, or can again; 4 another run holds it.";

/// Shows what can be saved, asks, and saves it.
pub(super) fn run(options: &Options, ui: &Arc<dyn Ui>) -> Result<u8, Failure> {
    let store = Store::open(&options.state_folder()?);
    let found = store.salvageable()?;
    if options.json {
        let relative = |path: &Path| shown(&store, path);
        ui.emit(Event::Data(json!({
            "needed": found.needed,
            "records": found.records,
            "unreadable": found.unreadable,
            "saved_as": found.saved_as.iter().map(|path| relative(path)).collect::<Vec<_>>(),
            "restored_from": found.restored_from.as_deref().map(relative),
            "state": super::whole(&found.document),
        })));
    }
    if !found.needed {
        ui.emit(Event::message(Level::Info, "nothing is damaged: there is nothing to salvage"));
        return Ok(0);
    }
    if !options.json {
        show(&store, &found, ui);
    }
    match options.mode() {
        Mode::Act => {}
        Mode::ReadOnly => return Err(Error::usage("--read-only: nothing is written").into()),
        Mode::Plan { .. } => return Ok(0),
    }
    let text = "go on with this? The damaged files are kept".to_owned();
    let question = Question::Confirm { text, default: false, must_type: None };
    if ui.ask(&question)? != Answer::Confirmed(true) {
        return Err(Error::new(Kind::State, "nothing was salvaged").into());
    }
    let done = store.salvage("spot state salvage")?;
    ui.emit(Event::Message {
        level: Level::Success,
        text: format!("the state can be read again: {}", counted(done.document.instance_count(), "instance")),
        hint: Some("spot state reconcile --everywhere shows what AWS has and state lost".to_owned()),
    });
    Ok(0)
}

fn show(store: &Store, found: &Salvage, ui: &Arc<dyn Ui>) {
    let mut lines = vec![format!(
        "the journal has {}, and {} that cannot be read",
        counted(found.records, "readable record"),
        counted(found.unreadable, "line")
    )];
    if let Some(backup) = &found.restored_from {
        lines.push(format!("instances.json is taken from the backup {}", shown(store, backup)));
    }
    lines.extend(
        found.saved_as.iter().map(|path| format!("a damaged file is kept as {}", shown(store, path))),
    );
    for line in lines {
        ui.emit(Event::message(Level::Info, line));
    }
    if found.document.instance_count() > 0 {
        let table = list::instances(&found.document);
        ui.emit(Event::Table(crate::ui::Table { title: Some("What can be saved".to_owned()), ..table }));
    }
}

fn counted(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// A path as messages name it: relative to the project.
fn shown(store: &Store, path: &Path) -> String {
    path.strip_prefix(store.project()).unwrap_or(path).display().to_string()
}
