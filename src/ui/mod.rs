//! What the user sees and is asked. The other rooms emit [`Event`]s and ask [`Question`]s through the
//! [`Ui`] trait; how they look is decided here.
//!
//! Three renderers, chosen by [`open`]:
//! - **terminal**: finished things scroll by; hosts, progress bars and steps under way stay in a live
//!   region at the bottom, which appears when something takes longer than 400 ms; or, with
//!   [`Screen::Full`], hosts and log fill a screen of their own;
//! - **plain**: one line per event with a timestamp, for pipes, CI logs and dumb terminals;
//! - **json**: one JSON object per line.
//!
//! Data ([`Event::Table`], [`Event::Chart`], [`Event::View`], [`Event::Data`], and what a plan would do) goes to standard output, everything else to standard
//! error, so that `spot list | grep` works; with JSON, everything goes to standard output.
//!
//! # The JSON schema
//! Every line is an object with `time` (RFC 3339, UTC), `event` (the kind), and the fields of its
//! kind. All fields are always there; what is unknown is `null`. Kinds and fields may be added, so
//! readers should ignore those they do not know.
//!
//! | event | fields |
//! |---|---|
//! | `run_started` | `recipe origin spot_version` |
//! | `message` | `level text hint` |
//! | `error` | `kind code message hint causes retryable exit_code source frames` |
//! | `step_started` | `id parent title` |
//! | `step_ended` | `id title ok seconds detail` |
//! | `output` | `host stream line` |
//! | `progress` | `id title done total unit` |
//! | `progress_ended` | `id ok` |
//! | `host` | `id region zone instance_type address phase detail failed hourly` |
//! | `account` | `account` |
//! | `table` | `title columns rows footer` |
//! | `chart` | `title unit series footer` |
//! | `view` | `id title columns rows footer` |
//! | `view_ended` | `id` |
//! | `data` | `value` |
//! | `call` | `service region action status request_id seconds error` |
//! | `planned_call` | `service region action summary parameters permission` |
//! | `planned_step` | `namespace text hosts` |
//! | `plan_ended` | `complete calls steps hourly unknown refused` |
//! | `run_ended` | `recipe ok exit_code seconds timeline` |
//!
//! `level` (and `severity`) is `success`, `error`, `warning`, `info` or `debug`; `stream` is `stdout`
//! or `stderr`; `unit` is `bytes` or `items`; `kind` is a word of [`crate::error::Kind`]; `source` is
//! `{origin, line, column, text, length}` or null, `frames` an array of `{function, origin, line,
//! column}`, innermost first; `columns` are `{name, align}` with `align` `left` or `right`; `rows` are
//! arrays of `{text, severity}`; `series` are `{label, values}`, a value a number or null; a `view` with a
//! known `id` replaces what the last one showed; `hourly` is US dollars; `parameters` is an object of texts, `permission` is `permitted`,
//! `refused` or a code, `calls` an object of numbers by action; `timeline` is an array of `[phase, seconds]`. Progress is told twice a
//! second at most per `id`. `debug` messages appear with `-v`, `call` with `-vv`; `--quiet` leaves `error`, `table`,
//! `data` and the messages of level `error` and `warning`.

mod chart;
mod clock;
mod display;
mod environment;
mod event;
mod failure;
mod full;
mod hosts;
mod json;
mod keyboard;
mod lines;
mod live;
mod log;
mod measure;
mod output;
mod plain;
mod planned;
mod progress;
mod prompt;
mod question;
mod raw;
mod record;
#[cfg(test)]
mod samples;
mod sanitize;
#[cfg(test)]
mod screen;
mod style;
mod table;
mod terminal;
mod units;

use std::sync::Arc;

use crate::error::Result;

pub use environment::{Color, Decision, Environment, Format, Options, Screen, Sink};
pub use event::{Align, Cell, Chart, Column, Event, Level, Series, Stream, Table, Unit};
pub use failure::{CallFrame, Failure, SourceFrame, render_error};
pub use log::{Log, log_folder};
pub use question::{Answer, Question};
pub use raw::{RawTerminal, terminal_size};
pub use record::{Recorder, Silent};
pub use sanitize::{clean, clean_line};
pub use style::Style;
pub use table::{UNLIMITED, render_table};
pub use units::{duration, latency};

/// Where events are shown and questions are asked.
///
/// All methods may be called from any thread. None of them panics or fails because nobody reads.
pub trait Ui: Send + Sync {
    /// Shows an event.
    fn emit(&self, event: Event);

    /// Asks a question and waits for its answer; one question is asked at a time.
    ///
    /// # Errors
    /// [`crate::error::Kind::Usage`] if there is nobody to ask, with a hint that names the flag that
    /// answers in advance; [`crate::error::Kind::Interrupted`] for Ctrl-C and a closed input.
    fn ask(&self, question: &Question) -> Result<Answer>;

    /// Whether there is somebody who would be asked, and who has not answered everything in advance.
    fn has_listener(&self) -> bool {
        false
    }

    /// Takes the live region from the screen until [`Ui::resume`], while something else uses the
    /// terminal. Calls may be nested.
    fn suspend(&self) {}

    /// Ends a suspension; what was emitted meanwhile is shown.
    fn resume(&self) {}

    /// Shows what is waiting to be shown and restores the terminal, at the end of a run, on a signal
    /// or in a panic hook. May be called more than once; events emitted later are still shown, without
    /// a live region.
    fn finish(&self) {}

    /// Keeps a text out of records from here on: a password, a token.
    fn conceal(&self, secret: &str) {
        let _ = secret;
    }

    /// Whether the reader of standard output is gone.
    fn broken(&self) -> bool {
        false
    }
}

/// The user interface that suits the options and the surroundings of this process.
pub fn open(options: &Options) -> Arc<dyn Ui> {
    let decision = Environment::read().decide(options);
    let outputs = output::Outputs::of_process(&decision);
    let options = options.clone();
    match decision.format {
        Format::Json => Arc::new(json::Json::new(outputs, options)),
        Format::Terminal => Arc::new(terminal::Terminal::open(outputs, options, &decision)),
        Format::Auto | Format::Plain => Arc::new(plain::Plain::new(outputs, options, decision.interactive)),
    }
}
