//! `spot runs [N]`: the records of runs, with all that was shown, all calls, and what each host printed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};

use super::options::Options;
use crate::error::{Error, Result, nearest};
use crate::host::Failure;
use crate::ui::{self, Cell, Column, Event, Level, Table, Ui};

const EXAMPLES: &str = "\
Examples:
  spot runs                    the records that there are, the latest first
  spot runs 1                  the latest: everything it said, and each call with its request id
  spot runs 1 --host i-0abc    what a host printed during it
  spot --json runs 1           its events, as `--json` tells them

The last 50 runs are kept in .spot/logs/, readable by you alone. Dry runs leave no record.";

/// The command line of `spot runs`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Runs {
    /// The record to show: 1 is the latest
    number: Option<usize>,
    /// Show what this host printed, named by its id or the beginning of it
    #[arg(long, value_name = "ID", requires = "number")]
    host: Option<String>,
}

impl Runs {
    pub(super) fn run(&self, options: &Options, ui: &Arc<dyn Ui>) -> Result<u8, Failure> {
        let folder = ui::log_folder(&options.state_folder()?.join(".spot"));
        let records = records(&folder)?;
        let Some(number) = self.number else {
            list(&records, options, ui)?;
            return Ok(0);
        };
        let at = number.checked_sub(1).and_then(|index| records.get(index));
        let record = at.ok_or_else(|| {
            Error::usage(format!("there is no record {number}: there are {}", records.len()))
                .with_hint("spot runs shows them")
        })?;
        match &self.host {
            Some(host) => ui.emit(Event::Data(host_output(record, host)?.into())),
            None if options.json => ui.emit(Event::Data(events(record)?.into())),
            None => {
                let told: Vec<String> = events(record)?.iter().filter_map(told).collect();
                ui.emit(Event::Data(told.join("\n").into()));
            }
        }
        Ok(0)
    }
}

/// The records, the latest first.
fn records(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(folder, error)),
    };
    let paths =
        entries.map(|entry| entry.map(|entry| entry.path()).map_err(|error| unreadable(folder, error)));
    let mut records: Vec<PathBuf> = paths.collect::<Result<_>>()?;
    records.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    records.sort_by(|a, b| b.cmp(a));
    Ok(records)
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    Error::usage(format!("{} cannot be read", path.display())).with_source(error)
}

/// The events of a record. A run that was killed may have left half a line.
fn events(record: &Path) -> Result<Vec<Value>> {
    let text = fs::read_to_string(record).map_err(|error| unreadable(record, error))?;
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

fn list(records: &[PathBuf], options: &Options, ui: &Arc<dyn Ui>) -> Result<()> {
    let mut rows = Vec::new();
    for (index, record) in records.iter().enumerate() {
        let events = events(record)?;
        let is = |kind: &'static str| move |event: &&Value| event["event"] == kind;
        let started = events.iter().find(is("run_started")).cloned().unwrap_or_default();
        let ended = events.iter().rev().find(is("run_ended")).cloned().unwrap_or_default();
        let calls = events.iter().filter(is("call")).count();
        rows.push(json!({
            "number": index + 1, "started": started["time"], "recipe": started["recipe"],
            "exit_code": ended["exit_code"], "seconds": ended["seconds"], "calls": calls,
            "record": record.display().to_string(),
        }));
    }
    if options.json {
        ui.emit(Event::Data(rows.into()));
        return Ok(());
    }
    if rows.is_empty() {
        ui.emit(Event::message(Level::Info, "no run is recorded yet"));
        return Ok(());
    }
    let text = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let row = |row: &Value| {
        let end = match &row["exit_code"] {
            Value::Null => Cell::marked("was killed, or goes on", Level::Warning),
            code if *code == 0 => Cell::marked("done", Level::Success),
            code => Cell::marked(format!("exit code {code}"), Level::Error),
        };
        let took = row["seconds"].as_f64().map(ui::duration).unwrap_or_default();
        let plain = |name: &str| Cell::from(text(&row[name]));
        vec![plain("number"), plain("started"), plain("recipe"), end, took.into(), plain("calls")]
    };
    ui.emit(Event::Table(Table {
        title: None,
        columns: vec![
            Column::right("#"),
            Column::left("started"),
            Column::left("recipe"),
            Column::left("end"),
            Column::right("took"),
            Column::right("calls"),
        ],
        rows: rows.iter().map(row).collect(),
        footer: Some("'spot runs N' shows one whole".to_owned()),
    }));
    Ok(())
}

/// What a host printed.
fn host_output(record: &Path, host: &str) -> Result<String> {
    let folder = record.with_extension("");
    let entries = fs::read_dir(&folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let hosts: Vec<(String, PathBuf)> =
        entries.filter_map(|path| Some((path.file_stem()?.to_string_lossy().into_owned(), path))).collect();
    let mut found = hosts.iter().filter(|(id, _)| id.starts_with(host));
    match (found.next(), found.next()) {
        (Some((_, path)), None) => fs::read_to_string(path).map_err(|error| unreadable(path, error)),
        (Some(_), Some(_)) => Err(Error::usage(format!("several hosts begin with `{host}`"))),
        (None, _) => {
            let error = Error::usage(format!("no host `{host}` printed anything during that run"));
            Err(match nearest(host, hosts.iter().map(|(id, _)| id.as_str())) {
                Some(near) => error.with_hint(format!("did you mean {near}?")),
                None => error.with_hint(match hosts.len() {
                    0 => "no host printed anything then".to_owned(),
                    count => format!("{count} hosts did; spot runs N shows the lines of all"),
                }),
            })
        }
    }
}

/// An event on a line: when, and what. Nothing for what was only worth showing live.
fn told(event: &Value) -> Option<String> {
    let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
    let seconds = || ui::duration(event["seconds"].as_f64().unwrap_or_default());
    let verdict = || if event["ok"] == true { "done" } else { "failed" };
    let what = match event["event"].as_str()? {
        "message" => match event["hint"].as_str() {
            Some(hint) => format!("{}: {} (hint: {hint})", text("level"), text("text")),
            None => format!("{}: {}", text("level"), text("text")),
        },
        "error" => {
            let source = &event["source"];
            let place = match source["origin"].as_str() {
                Some(origin) => format!(" at {origin}:{}:{}", source["line"], source["column"]),
                None => String::new(),
            };
            format!("error: {}{place}", text("message"))
        }
        "step_started" => format!("> {}", text("title")),
        "step_ended" => format!("< {} {} in {}", text("title"), verdict(), seconds()),
        "output" => format!("[{}] {}", text("host"), text("line")),
        "host" => format!("[{}] {} {}", text("id"), text("phase"), text("detail")).trim_end().to_owned(),
        "call" => {
            let status =
                event["status"].as_u64().map_or_else(|| "no answer".to_owned(), |status| status.to_string());
            let id = event["request_id"].as_str().map_or_else(String::new, |id| format!(", request {id}"));
            format!(
                "{}:{} {} {status} in {}{id}",
                text("service"),
                text("action"),
                text("region"),
                ui::latency(event["seconds"].as_f64().unwrap_or_default())
            )
        }
        "run_started" => {
            format!("{} begins ({}, spot {})", text("recipe"), text("origin"), text("spot_version"))
        }
        "run_ended" => {
            format!("{} ends after {}, exit code {}", text("recipe"), seconds(), event["exit_code"])
        }
        "data" => match &event["value"] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        },
        "table" => {
            let words = |list: &Value, key: &str| {
                let texts = list.as_array().into_iter().flatten().filter_map(|item| item[key].as_str());
                texts.collect::<Vec<_>>().join("  ")
            };
            let rows = event["rows"].as_array().into_iter().flatten().map(|row| words(row, "text"));
            let lines = [text("title"), words(&event["columns"], "name")].into_iter().chain(rows);
            lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n  ")
        }
        _ => return None,
    };
    Some(format!("{} {what}", text("time")))
}
