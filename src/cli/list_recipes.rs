//! `spot list-recipes`: all recipes and where each comes from.

use std::sync::Arc;

use super::options::Options;
use crate::host::Failure;
use crate::script::{Library, Script};
use crate::ui::{Cell, Column, Event, Table, Ui};

/// Shows name, origin and summary of every recipe, and of the stdlib modules that are not built in;
/// one that hides a built-in says so.
pub(super) fn run(options: &Options, ui: &Arc<dyn Ui>) -> Result<u8, Failure> {
    let library = options.library()?;
    let recipes = library.recipes()?;
    ui.emit(Event::Table(table(None, "recipe", recipes.iter().map(|script| row(script, false)))));
    let mut modules = library.modules()?;
    modules.retain(|script| script.origin.path().is_some());
    if !modules.is_empty() {
        let rows = modules.iter().map(|script| row(script, true));
        ui.emit(Event::Table(table(Some("stdlib modules of your own"), "module", rows)));
    }
    Ok(0)
}

fn table(title: Option<&str>, kind: &str, rows: impl Iterator<Item = Vec<Cell>>) -> Table {
    Table {
        title: title.map(str::to_owned),
        columns: vec![Column::left(kind), Column::left("what it does"), Column::left("from")],
        rows: rows.collect(),
        footer: None,
    }
}

fn row(script: &Script, module: bool) -> Vec<Cell> {
    let path = script.origin.path();
    let hides = path.is_some() && Library::embedded(&script.name, module).is_some();
    let origin = path.map_or_else(|| script.origin.word().to_owned(), |path| path.display().to_string());
    let note = if hides { " (in place of the built-in)" } else { "" };
    vec![Cell::from(script.name.clone()), Cell::from(script.summary()), Cell::from(format!("{origin}{note}"))]
}
