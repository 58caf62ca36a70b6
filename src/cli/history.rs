//! `spot history [RUN]`: who ran what, what it changed and how it ended.

use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};

use super::options::Options;
use crate::error::{Error, Result, nearest};
use crate::host::Failure;
use crate::state::{Changes, History as Runs, Past, Store};
use crate::ui::{Cell, Column, Event, Level, Table, Ui, duration};

const EXAMPLES: &str = "\
Examples:
  spot history                 the last 20 runs that took the right to change the state
  spot history 3f9a1c2e        one run, with the ids of what it added and removed
  spot history --json          one JSON array, for scripts
  spot --sandbox history       the runs in the project's sandbox";

/// The command line of `spot history`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct History {
    /// The run to show in full, by its id or the beginning of it
    run: Option<String>,
    /// How many of the last runs to show; 0 for all
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
}

impl History {
    pub(super) fn run(&self, options: &Options, ui: &Arc<dyn Ui>) -> Result<u8, Failure> {
        let history = Store::open(&options.state_folder()?).history()?;
        if history.unreadable > 0 {
            let text = format!("{} lines of .spot/history.jsonl cannot be read", history.unreadable);
            ui.emit(Event::message(Level::Warning, text));
        }
        if let Some(wanted) = &self.run {
            let past = find(&history, wanted)?;
            ui.emit(Event::Data(if options.json { object(past) } else { details(past).into() }));
            return Ok(0);
        }
        let skipped = if self.limit == 0 { 0 } else { history.runs.len().saturating_sub(self.limit) };
        let shown = history.runs.get(skipped..).unwrap_or_default();
        if options.json {
            ui.emit(Event::Data(shown.iter().map(object).collect()));
            return Ok(0);
        }
        if shown.is_empty() {
            ui.emit(Event::message(Level::Info, "no run has changed anything yet"));
            return Ok(0);
        }
        let more = (skipped > 0).then(|| format!("{skipped} earlier runs; --limit 0 shows all"));
        ui.emit(Event::Table(table(shown, more)));
        Ok(0)
    }
}

/// The run that an id, or the beginning of one, names.
fn find<'history>(history: &'history Runs, wanted: &str) -> Result<&'history Past> {
    let mut found = history.runs.iter().filter(|past| past.began.run.starts_with(wanted));
    match (found.next(), found.next()) {
        (Some(past), None) => Ok(past),
        (Some(_), Some(_)) => Err(Error::usage(format!("several runs begin with `{wanted}`"))
            .with_hint("spot history shows the whole ids")),
        (None, _) => {
            let error = Error::usage(format!("there is no run `{wanted}` in the history"));
            Err(match nearest(wanted, history.runs.iter().map(|past| past.began.run.as_str())) {
                Some(near) => error.with_hint(format!("did you mean `{near}`?")),
                None => error.with_hint("spot history --limit 0 shows all runs"),
            })
        }
    }
}

/// A run as one object: its end beside its beginning.
fn object(past: &Past) -> Value {
    let mut value = serde_json::to_value(&past.began).unwrap_or_default();
    if let Some(ended) = &past.ended {
        value["ended"] = json!(ended.ended);
        value["seconds"] = json!(ended.seconds);
        value["exit_code"] = json!(ended.exit_code);
        value["error"] = json!(ended.error);
        value["changes"] = json!(ended.changes);
    }
    value
}

fn table(runs: &[Past], footer: Option<String>) -> Table {
    let row = |past: &Past| {
        let began = &past.began;
        let (took, end, changes) = match &past.ended {
            None => (String::new(), Cell::marked("did not end", Level::Warning), String::new()),
            Some(ended) => {
                let end = match ended.exit_code {
                    0 => Cell::marked("ok", Level::Success),
                    code => Cell::marked(format!("failed ({code})"), Level::Error),
                };
                (duration(ended.seconds), end, counts(&ended.changes))
            }
        };
        vec![
            Cell::from(began.run.clone()),
            Cell::from(began.began.clone()),
            Cell::from(format!("{}@{}", began.user, began.host)),
            Cell::from(command(past)),
            Cell::from(took),
            end,
            Cell::from(changes),
        ]
    };
    Table {
        title: None,
        columns: vec![
            Column::left("run"),
            Column::left("began"),
            Column::left("by"),
            Column::left("what"),
            Column::right("took"),
            Column::left("end"),
            Column::left("changed"),
        ],
        rows: runs.iter().map(row).collect(),
        footer,
    }
}

/// The recipe with what it was given.
fn command(past: &Past) -> String {
    let words = std::iter::once(&past.began.recipe).chain(&past.began.arguments);
    words.map(String::as_str).collect::<Vec<_>>().join(" ")
}

/// `+3 instances, -1 network`: how many of each.
fn counts(changes: &Changes) -> String {
    let counted = |sign: &str, ids: &[String], what: &str| {
        let plural = if ids.len() == 1 { "" } else { "s" };
        (!ids.is_empty()).then(|| format!("{sign}{} {what}{plural}", ids.len()))
    };
    let parts = [
        counted("+", &changes.added, "instance"),
        counted("-", &changes.removed, "instance"),
        counted("~", &changes.changed, "instance"),
        counted("+", &changes.networks_added, "network"),
        counted("-", &changes.networks_removed, "network"),
        counted("~", &changes.values, "value"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
}

/// All that is known of a run, a line each.
fn details(past: &Past) -> String {
    let began = &past.began;
    let mut lines = vec![
        ("run", began.run.clone()),
        ("what", command(past)),
        ("from", began.origin.clone()),
        ("by", format!("{}@{}, process {}", began.user, began.host, began.pid)),
        ("began", began.began.clone()),
    ];
    match &past.ended {
        None => lines.push(("ended", "not yet, or it was killed".to_owned())),
        Some(ended) => {
            lines.push(("ended", format!("{}, after {}", ended.ended, duration(ended.seconds))));
            lines.push(("exit code", ended.exit_code.to_string()));
            lines.extend(ended.error.clone().map(|error| ("error", error)));
            let Changes { added, removed, changed, networks_added, networks_removed, values } =
                &ended.changes;
            for (name, ids) in [
                ("added", added),
                ("removed", removed),
                ("changed", changed),
                ("networks added", networks_added),
                ("networks removed", networks_removed),
                ("values", values),
            ] {
                lines.extend((!ids.is_empty()).then(|| (name, ids.join(" "))));
            }
        }
    }
    lines.iter().map(|(name, value)| format!("{name:<16} {value}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Began;

    #[test]
    fn a_run_is_found_by_the_beginning_of_its_id() {
        let named = |run: &str| {
            let began = Began { run: run.to_owned(), ..Began::now("create", "", Vec::new()) };
            Past { began, ended: None }
        };
        let history = Runs { runs: vec![named("aa11"), named("ab22")], unreadable: 0 };
        assert_eq!(find(&history, "ab").unwrap().began.run, "ab22");
        assert!(find(&history, "a").unwrap_err().message().contains("several runs"));
        assert_eq!(find(&history, "aa12").unwrap_err().hint(), Some("did you mean `aa11`?"));
    }

    #[test]
    fn changes_are_counted_by_kind() {
        let ids = |count: usize| vec![String::new(); count];
        let changes = Changes { added: ids(3), networks_removed: ids(1), ..Changes::default() };
        assert_eq!(counts(&changes), "+3 instances, -1 network");
        assert_eq!(counts(&Changes::default()), "nothing");
    }
}
