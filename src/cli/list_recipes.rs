//! `spot list-recipes`: all recipes and where each comes from.

use std::sync::Arc;

use super::options::{Options, user_folder};
use crate::host::Failure;
use crate::script::Library;
use crate::ui::{Cell, Column, Event, Table, Ui};

/// Shows name, origin and summary of every recipe; one that hides a built-in says so.
pub(super) fn run(options: &Options, ui: &Arc<dyn Ui>) -> Result<u8, Failure> {
    let library = Library::new(options.project()?, user_folder());
    let rows = library
        .recipes()?
        .iter()
        .map(|script| {
            let hides = script.origin.path().is_some() && Library::embedded(&script.name, false).is_some();
            let origin = script.origin.path().map(|path| path.display().to_string());
            let origin = format!(
                "{}{}",
                origin.unwrap_or_else(|| script.origin.word().to_owned()),
                if hides { " (in place of the built-in)" } else { "" }
            );
            vec![Cell::from(script.name.clone()), Cell::from(script.summary()), Cell::from(origin)]
        })
        .collect();
    ui.emit(Event::Table(Table {
        title: None,
        columns: vec![Column::left("recipe"), Column::left("what it does"), Column::left("from")],
        rows,
        footer: None,
    }));
    Ok(0)
}
