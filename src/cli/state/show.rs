//! `spot state show ID|INDEX`: all that state knows of one instance or network.

use std::sync::Arc;

use serde_json::Value;

use super::super::fields::fields;
use super::super::options::Options;
use super::read;
use crate::error::Result;
use crate::host::Failure;
use crate::state::{Document, Network};
use crate::ui::{Event, Ui};

/// Shows a line for each field, or the object as JSON.
pub(super) fn run(options: &Options, ui: &Arc<dyn Ui>, word: &str) -> Result<u8, Failure> {
    let value = find(&read(options, ui)?, word)?;
    ui.emit(Event::Data(if options.json { value } else { fields(&value).into() }));
    Ok(0)
}

/// The instance or network that a word names.
fn find(document: &Document, word: &str) -> Result<Value> {
    if let Some(network) = document.networks().iter().find(|network| network.vpc_id == word) {
        return Ok(Network::to_value(network));
    }
    Ok(document.meant(Some(word), "spot state list")?.to_value())
}
