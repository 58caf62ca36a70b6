//! The shape of the object: the document as in `instances.json`, with who is at work and which of their
//! calls are open.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::state::{Document, Holder, Intent, OpenIntent};

/// The object as it was read.
#[derive(Debug, Clone, Default)]
pub(super) struct Object {
    /// The version to name when it is replaced; `None` if there is none yet.
    pub(super) tag: Option<String>,
    /// Grows by one with every write.
    pub(super) serial: u64,
    pub(super) document: Document,
    /// Runs by the machine that they are on. What a newer spot writes there is kept.
    pub(super) runs: Map<String, Value>,
}

/// A run that may change the state.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Run {
    #[serde(flatten)]
    pub(super) holder: Holder,
    /// RFC 3339; later than that, it counts as ended unless it says so again.
    pub(super) until: String,
    /// Calls of which nobody has seen the end.
    #[serde(default)]
    pub(super) open_calls: Vec<OpenCall>,
}

/// A call that may or may not have happened.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct OpenCall {
    pub(super) since: String,
    #[serde(flatten)]
    pub(super) intent: Intent,
}

impl From<&OpenIntent> for OpenCall {
    fn from(open: &OpenIntent) -> Self {
        OpenCall { since: open.since.clone(), intent: open.intent.clone() }
    }
}

impl Object {
    /// Reads what was written by [`Object::render`].
    ///
    /// # Errors
    /// It is no state of spot, or of a newer one.
    pub(super) fn parse(bytes: &[u8], tag: String) -> Result<Object> {
        let mut document = Document::parse(bytes)?;
        let runs = match document.take_field("runs") {
            Some(Value::Object(runs)) => runs,
            _ => Map::new(),
        };
        let serial = document.take_field("serial").and_then(|serial| serial.as_u64()).unwrap_or(0);
        Ok(Object { tag: Some(tag), serial, document, runs })
    }

    /// The bytes to write.
    pub(super) fn render(&self) -> Result<Vec<u8>> {
        let mut value = self.document.to_value();
        value["serial"] = json!(self.serial);
        value["runs"] = Value::Object(self.runs.clone());
        let mut text = serde_json::to_vec_pretty(&value)
            .map_err(|error| Error::internal("the shared state cannot be rendered").with_source(error))?;
        text.push(b'\n');
        Ok(text)
    }

    /// The runs that can be understood, but for those of one machine.
    pub(super) fn runs_elsewhere(&self, here: &str) -> Vec<(String, Run)> {
        let others = self.runs.iter().filter(|(machine, _)| *machine != here);
        let read = |(machine, run): (&String, &Value)| {
            Some((machine.clone(), serde_json::from_value(run.clone()).ok()?))
        };
        others.filter_map(read).collect()
    }
}
