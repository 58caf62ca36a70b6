//! What the core has to say, free of any layout: the vocabulary between the rooms that work and the
//! renderers that show.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::failure::Failure;

/// Something worth showing. In JSON every event is one object whose `event` field names its kind;
/// the table in [the module documentation](super) lists the fields.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A sentence for the user. Debug messages are shown with `-v` only.
    Message {
        /// How serious it is.
        level: Level,
        /// One or more lines.
        text: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// An uncaught error, with where it came from.
    Error(Box<Failure>),
    /// A piece of work begins.
    StepStarted {
        /// Unique among the steps of this process.
        id: u64,
        /// The step this one is a part of.
        parent: Option<u64>,
        /// What is being done: `waiting for ssh`.
        title: String,
    },
    /// A piece of work is over.
    StepEnded {
        /// The id it started with.
        id: u64,
        /// What was done, perhaps in other words than at the start.
        title: String,
        /// Whether it succeeded.
        ok: bool,
        /// How long it took.
        seconds: f64,
        /// The result or the reason in a few words.
        detail: Option<String>,
    },
    /// One line that a command on a host printed.
    Output {
        /// The id of the host.
        host: String,
        /// Which of its two streams.
        stream: Stream,
        /// The line, without its line ending.
        line: String,
    },
    /// How far a transfer or another countable piece of work has come.
    Progress {
        /// Unique among the progress bars of this process.
        id: u64,
        /// What is being counted: `deploy.tar.gz`.
        title: String,
        /// Units done so far.
        done: u64,
        /// Units in all, if known.
        total: Option<u64>,
        /// What is counted.
        unit: Unit,
    },
    /// A progress bar has come to its end.
    ProgressEnded {
        /// The id of its [`Event::Progress`] events.
        id: u64,
        /// Whether everything was done.
        ok: bool,
    },
    /// The present state of a host: a row of the live table, inserted or replaced by its id.
    Host {
        /// The instance id.
        id: String,
        /// The region it is in.
        region: String,
        /// The availability zone it is in.
        zone: Option<String>,
        /// The instance type.
        instance_type: Option<String>,
        /// The address it is reached at.
        address: Option<String>,
        /// One word. `ready`, `done`, `deployed`, `stopped`, `terminated`, `deleted`, `skipped` are
        /// ends; with any other word the host counts as being worked on.
        phase: String,
        /// What is going on in this phase, or why it failed.
        detail: Option<String>,
        /// Whether the host has failed, in the phase given.
        failed: bool,
        /// US dollars an hour that it costs, if known.
        hourly: Option<f64>,
    },
    /// The account whose fleet this is, once it is known.
    Account {
        /// Its twelve digits.
        account: String,
    },
    /// A table, for standard output.
    Table(Table),
    /// A chart, for standard output.
    Chart(Chart),
    /// A table that takes the place of an earlier one: on a terminal it changes where it stands, and
    /// its last version stays; elsewhere each version is shown.
    View {
        /// Unique among the views of this process.
        id: u64,
        /// What it shows now.
        #[serde(flatten)]
        table: Table,
    },
    /// A view changes no more.
    ViewEnded {
        /// The id of its [`Event::View`] events.
        id: u64,
    },
    /// A value for standard output: what a recipe prints and what it results in. Text is written as
    /// it is, anything else as JSON.
    Data(
        #[serde(serialize_with = "value_field")]
        #[cfg_attr(test, schemars(with = "ValueField"))]
        Value,
    ),
    /// A call to the cloud that has been answered, or was not. Shown with `-vv` only.
    Call {
        /// The service: `ec2`.
        service: String,
        /// The region it went to.
        region: String,
        /// The action: `RunInstances`.
        action: String,
        /// The HTTP status of the answer, if there was one.
        status: Option<u16>,
        /// The id by which the service knows the request.
        request_id: Option<String>,
        /// How long the answer took.
        seconds: f64,
        /// Why there was no answer.
        error: Option<String>,
    },
    /// A call that a plan would make to the cloud.
    PlannedCall {
        /// The service: `ec2`.
        service: String,
        /// The region it would go to.
        region: String,
        /// The action: `RunInstances`.
        action: String,
        /// Its most telling parameters in a few words.
        summary: String,
        /// All of its parameters, an object.
        parameters: Value,
        /// What the service said of its permission: `permitted`, `refused`, or the code of another
        /// answer; nothing when it was not asked.
        permission: Option<String>,
    },
    /// Something else that a plan would do: on hosts, to files, or a question that it answers itself.
    PlannedStep {
        /// The namespace: `ssh`, `fs`, `ui`.
        namespace: String,
        /// What would be done.
        text: String,
        /// The ids of the hosts on which it would be done.
        hosts: Vec<String>,
    },
    /// A plan is over.
    PlanEnded {
        /// Whether it reached the end of the recipe.
        complete: bool,
        /// How many calls of each action there are.
        calls: BTreeMap<String, u64>,
        /// How many other steps there are.
        steps: u64,
        /// US dollars an hour of what it would launch, as far as prices are known.
        hourly: Option<f64>,
        /// The places where the recipe compared what is known only afterwards.
        unknown: Vec<String>,
        /// How many calls would be refused for want of a permission.
        refused: u64,
    },
    /// A recipe begins.
    RunStarted {
        /// Its name.
        recipe: String,
        /// Where its text comes from: a path, or `embedded`.
        origin: String,
        /// The version of spot.
        spot_version: String,
    },
    /// A recipe is over.
    RunEnded {
        /// Its name.
        recipe: String,
        /// Whether it succeeded.
        ok: bool,
        /// The exit code of the process, should this be the outermost recipe.
        exit_code: u8,
        /// How long it took.
        seconds: f64,
        /// Its phases in order, each with the seconds it took.
        timeline: Vec<(String, f64)>,
    },
}

/// An internally tagged enum holds objects only, so a value of any type goes into a field.
fn value_field<S: Serializer>(value: &Value, serializer: S) -> Result<S::Ok, S::Error> {
    ValueField { value }.serialize(serializer)
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ValueField<'a> {
    /// What a recipe printed or resulted in.
    value: &'a Value,
}

/// How serious a message or a table cell is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Something was achieved.
    Success,
    /// Something failed.
    Error,
    /// Something may need attention.
    Warning,
    /// Something to know.
    Info,
    /// Something to know when looking for a fault.
    Debug,
}

/// The two output streams of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What a progress bar counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Bytes, shown with binary prefixes.
    Bytes,
    /// Anything else.
    Items,
}

/// Rows of text in columns.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Table {
    /// A line above the table.
    pub title: Option<String>,
    /// The columns, left to right.
    pub columns: Vec<Column>,
    /// The rows. Cells beyond the last column are not shown, missing ones are empty.
    pub rows: Vec<Vec<Cell>>,
    /// A line below the table.
    pub footer: Option<String>,
}

/// Numbers as a picture.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Chart {
    /// A line above the chart.
    pub title: Option<String>,
    /// What the numbers count: `$/h`.
    pub unit: Option<String>,
    /// Top to bottom. With one value each they are bars, otherwise lines.
    pub series: Vec<Series>,
    /// A line below the chart.
    pub footer: Option<String>,
}

/// A row of a [`Chart`].
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Series {
    /// What it is of.
    pub label: String,
    /// Left to right; none where there is no number.
    pub values: Vec<Option<f64>>,
}

/// A column of a [`Table`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Column {
    /// The heading.
    pub name: String,
    /// Which edge its cells keep to.
    pub align: Align,
}

/// Which edge of its column a cell keeps to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Align {
    /// Text. Such columns give way first when the table is too wide.
    #[default]
    Left,
    /// Numbers.
    Right,
}

/// A cell of a [`Table`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Cell {
    /// What it says, on one line.
    pub text: String,
    /// How it is to be marked, if at all.
    pub severity: Option<Level>,
}

impl Column {
    /// A column of text.
    pub fn left(name: impl Into<String>) -> Self {
        Column { name: name.into(), align: Align::Left }
    }

    /// A column of numbers.
    pub fn right(name: impl Into<String>) -> Self {
        Column { name: name.into(), align: Align::Right }
    }
}

impl Cell {
    /// A cell that is marked.
    pub fn marked(text: impl Into<String>, severity: Level) -> Self {
        Cell { text: text.into(), severity: Some(severity) }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Cell { text: text.into(), severity: None }
    }
}

impl Event {
    /// A message without a hint.
    pub fn message(level: Level, text: impl Into<String>) -> Self {
        Event::Message { level, text: text.into(), hint: None }
    }
}
