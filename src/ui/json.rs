//! One JSON object per line on standard output, for programs.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::Ui;
use super::environment::Options;
use super::event::Event;
use super::lines;
use super::output::Outputs;
use super::question::{self, Answer, Question};
use crate::error::Result;

/// Progress is told at most this often per bar, and at its start and end.
const PACE: Duration = Duration::from_millis(500);

/// The renderer behind `--json`.
pub(super) struct Json {
    state: Mutex<State>,
    options: Options,
    clock: fn() -> jiff::Timestamp,
}

struct State {
    outputs: Outputs,
    told: HashMap<u64, Instant>,
}

/// A line: when, then what.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Line", description = "A line of `spot --json`."))]
pub(super) struct Line<'a> {
    /// When (RFC 3339, UTC, milliseconds).
    pub time: String,
    #[serde(flatten)]
    pub event: &'a Event,
}

impl Json {
    pub(super) fn new(outputs: Outputs, options: Options) -> Self {
        Json {
            state: Mutex::new(State { outputs, told: HashMap::new() }),
            options,
            clock: jiff::Timestamp::now,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether it is time to tell about a progress bar again.
    fn due(&mut self, event: &Event, now: Instant) -> bool {
        match event {
            Event::Progress { id, done, total, .. } => {
                let waited =
                    self.told.get(id).is_none_or(|told| now.saturating_duration_since(*told) >= PACE);
                let due = waited || *total == Some(*done);
                if due {
                    self.told.insert(*id, now);
                }
                due
            }
            Event::ProgressEnded { id, .. } => {
                self.told.remove(id);
                true
            }
            _ => true,
        }
    }
}

impl Ui for Json {
    fn emit(&self, event: Event) {
        if !lines::wanted(&event, &self.options) {
            return;
        }
        let time = format!("{:.3}", (self.clock)());
        let mut state = self.state();
        if !state.due(&event, Instant::now()) {
            return;
        }
        // Only a map with keys that are not text could fail here, and no event holds one.
        let Ok(text) = serde_json::to_string(&Line { time, event: &event }) else { return };
        state.outputs.data(&(lines::json(&text) + "\n"));
    }

    fn ask(&self, question: &Question) -> Result<Answer> {
        question::answered(question, &self.options).ok_or_else(|| question::refusal(question))
    }

    fn broken(&self) -> bool {
        self.state().outputs.stdout.broken()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, Kind};
    use crate::ui::output::{
        Output,
        tests::{PIPE, Shared},
    };
    use crate::ui::{CallFrame, Failure, Level, SourceFrame, samples};
    use serde_json::{Value, json};

    fn json_ui(options: Options) -> (Json, Shared, Shared) {
        let (stdout, stderr) = (Shared::default(), Shared::default());
        let outputs = Outputs {
            stdout: Output::new(Box::new(stdout.clone()), PIPE),
            stderr: Output::new(Box::new(stderr.clone()), PIPE),
        };
        let ui = Json { clock: || jiff::Timestamp::UNIX_EPOCH, ..Json::new(outputs, options) };
        (ui, stdout, stderr)
    }

    fn line(event: Event) -> Value {
        let (ui, stdout, stderr) = json_ui(Options { verbose: 2, ..Options::default() });
        ui.emit(event);
        assert_eq!(stderr.take(), "");
        let text = stdout.take();
        assert_eq!(text.lines().count(), 1, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    /// The table in the module documentation is the schema: it names every kind with all its fields.
    #[test]
    fn every_event_is_documented_with_its_fields() {
        let documentation = include_str!("mod.rs");
        for event in samples::every_kind() {
            let object = line(event);
            let fields: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(fields[..2], ["time", "event"]);
            let row =
                format!("//! | `{}` | `{}` |", object["event"].as_str().unwrap(), fields[2..].join(" "));
            assert!(documentation.contains(&row), "the table lacks the row\n{row}");
        }
    }

    /// What `docs/events.schema.json` has to be; `SPOT_BLESS=1` writes it.
    #[test]
    fn the_schema_is_that_of_the_events_and_they_fit_it() {
        let schema = schemars::schema_for!(Line<'_>).to_value();
        let text = format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/events.schema.json");
        if std::env::var_os("SPOT_BLESS").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        assert!(std::fs::read_to_string(&path).unwrap_or_default() == text, "SPOT_BLESS=1 writes it anew");
        let schema = jsonschema::validator_for(&schema).unwrap();
        for event in samples::every_kind().into_iter().chain(samples::run()) {
            let object = line(event);
            if let Err(error) = schema.validate(&object) {
                panic!("{error}\n{object:#}");
            }
        }
        assert!(!schema.is_valid(&json!({"time": "", "event": "host"})));
    }

    #[test]
    fn values_and_tables() {
        let time = "1970-01-01T00:00:00.000Z";
        assert_eq!(
            line(Event::Data(json!([1, "a"]))),
            json!({"time": time, "event": "data", "value": [1, "a"]})
        );
        assert_eq!(line(Event::Data(Value::Null))["value"], Value::Null);
        let object = line(samples::host("ready", false));
        assert_eq!(object["id"], "i-0123456789abcdef0");
        assert_eq!(object["detail"], Value::Null);
    }

    #[test]
    fn errors_are_objects_too() {
        let error = Error::aws("no capacity").with_code("InsufficientInstanceCapacity").with_hint("wait");
        let source =
            SourceFrame { origin: "a.rhai".into(), line: 1, column: 2, text: "x()".into(), length: 1 };
        let frames = vec![CallFrame { function: "f".into(), origin: "a.rhai".into(), line: 3, column: 4 }];
        let object = line(Event::Error(Box::new(Failure::new(&error, Some(source), frames))));
        assert_eq!(object["kind"], "aws");
        assert_eq!(object["code"], "InsufficientInstanceCapacity");
        assert_eq!(object["exit_code"], 1);
        assert_eq!(object["source"]["text"], "x()");
        assert_eq!(object["frames"][0]["function"], "f");
    }

    #[test]
    fn control_characters_are_escaped_without_loss() {
        let (ui, stdout, _) = json_ui(Options::default());
        let text = "a\u{9b}2Jb\u{1b}[2J\u{7f}\u{202e}é";
        ui.emit(Event::message(Level::Info, text));
        let written = stdout.take();
        assert!(!written.contains(crate::ui::sanitize::is_unsafe), "{written:?}");
        assert_eq!(serde_json::from_str::<Value>(&written).unwrap()["text"], text);
    }

    #[test]
    fn progress_is_paced_but_its_ends_are_told() {
        let (ui, stdout, _) = json_ui(Options::default());
        for done in 0..=1000 {
            ui.emit(samples::progress(done, 1000));
        }
        ui.emit(Event::ProgressEnded { id: 7, ok: true });
        let told = stdout.take();
        assert!(told.lines().count() < 100, "{told}");
        assert!(told.contains("\"done\":0,") && told.contains("\"done\":1000,"), "{told}");
    }

    #[test]
    fn quiet_keeps_what_matters_and_nobody_is_asked() {
        let (ui, stdout, _) = json_ui(Options { quiet: true, ..Options::default() });
        samples::every_kind().into_iter().for_each(|event| ui.emit(event));
        let text = stdout.take();
        let kinds: Vec<Value> =
            text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["event"].clone()).collect();
        assert_eq!(
            kinds,
            [
                "error",
                "table",
                "chart",
                "view",
                "view_ended",
                "data",
                "planned_call",
                "planned_step",
                "plan_ended"
            ]
        );
        let question = Question::Text { text: "t".into(), default: None };
        assert_eq!(ui.ask(&question).unwrap_err().kind(), Kind::Usage);
    }
}
