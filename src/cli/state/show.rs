//! `spot state show ID|INDEX`: all that state knows of one instance or network.

use std::sync::Arc;

use serde_json::Value;

use super::super::options::Options;
use super::read;
use crate::error::Result;
use crate::host::Failure;
use crate::state::{Document, Network};
use crate::ui::{Event, Ui};

/// Shows a line for each field, or the object as JSON.
pub(super) fn run(options: &Options, ui: &Arc<dyn Ui>, word: &str) -> Result<u8, Failure> {
    let value = find(&read(options, ui)?, word)?;
    ui.emit(Event::Data(if options.json { value } else { lines(&value).into() }));
    Ok(0)
}

/// The instance or network that a word names.
fn find(document: &Document, word: &str) -> Result<Value> {
    if let Some(network) = document.networks().iter().find(|network| network.vpc_id == word) {
        return Ok(Network::to_value(network));
    }
    Ok(document.meant(Some(word), "spot state list")?.to_value())
}

fn lines(value: &Value) -> String {
    let fields = value.as_object().into_iter().flatten();
    let fields = fields.map(|(name, value)| {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Array(items) if items.iter().all(Value::is_string) => {
                items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
            }
            other => other.to_string(),
        };
        format!("{name:<18} {text}")
    });
    fields.collect::<Vec<_>>().join("\n")
}
