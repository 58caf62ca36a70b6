//! `spot state deployments`: the deployments of the project, each with what it has.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::options::Options;
use super::list::cost;
use crate::error::Error;
use crate::host::Failure;
use crate::state::{Document, Holder, Store};
use crate::ui::{Cell, Column, Event, Level, Table, Ui};

/// How the deployment is called that has no name of its own.
const DEFAULT: &str = "default";

/// One deployment, as far as it can be read.
struct Row {
    name: String,
    chosen: bool,
    document: Result<Document, Error>,
    holder: Option<Holder>,
}

/// Shows them; the one that commands work on at present is marked.
pub(super) fn run(options: &Options, ui: &Arc<dyn Ui>) -> Result<u8, Failure> {
    let (home, chosen) = (options.home()?, options.store(ui)?);
    let mut names = Store::deployments(&home)?;
    match chosen.shared_deployments() {
        Ok(shared) => names.extend(shared),
        Err(error) => {
            let text = format!("only those of this folder are shown: {}", error.message());
            ui.emit(Event::message(Level::Warning, text));
        }
    }
    names.sort();
    names.dedup();
    let named = std::iter::once(DEFAULT.to_owned()).chain(names);
    let rows = named.map(|name| row(options, ui, name, &chosen)).collect::<Result<Vec<Row>, Failure>>()?;
    ui.emit(match options.json {
        true => Event::Data(rows.iter().map(object).collect()),
        false => Event::Table(table(&rows)),
    });
    Ok(0)
}

fn row(options: &Options, ui: &Arc<dyn Ui>, name: String, chosen: &Store) -> Result<Row, Failure> {
    let store = options.store_of(Some(&name), ui)?;
    Ok(Row {
        chosen: chosen.project() == store.project(),
        document: store.read(),
        holder: store.holder().ok().flatten(),
        name,
    })
}

fn regions(document: &Document) -> Vec<String> {
    let instances = document.instances().map(|it| it.region.clone());
    let mut regions: Vec<String> =
        instances.chain(document.networks().iter().map(|it| it.region.clone())).collect();
    regions.sort();
    regions.dedup();
    regions
}

fn object(row: &Row) -> Value {
    let mut value = json!({ "name": row.name, "chosen": row.chosen, "holder": row.holder });
    match &row.document {
        Ok(document) => {
            value["project"] = json!(document.project());
            value["instances"] = document.instance_count().into();
            value["regions"] = regions(document).into();
            value["last_updated"] = json!(document.last_updated());
        }
        Err(error) => value["error"] = error.message().into(),
    }
    value
}

fn table(rows: &[Row]) -> Table {
    let cells = |row: &Row| {
        let mark = if row.chosen { "*" } else { "" };
        let mut cells = vec![Cell::from(mark.to_owned()), Cell::from(row.name.clone())];
        match &row.document {
            Ok(document) => {
                let count = document.instance_count();
                let cost = if count == 0 { String::new() } else { cost(document.instances()) };
                let used = row.holder.as_ref().map(|holder| format!("in use by process {}", holder.pid));
                cells.extend([
                    Cell::from(count.to_string()),
                    Cell::from(regions(document).join(" ")),
                    Cell::from(cost),
                    Cell::from(document.last_updated().unwrap_or_default().to_owned()),
                    Cell::from(used.unwrap_or_default()),
                ]);
            }
            Err(error) => {
                cells.extend([const { String::new() }; 4].map(Cell::from));
                cells.push(Cell::marked(error.message().to_owned(), Level::Error));
            }
        }
        cells
    };
    Table {
        title: None,
        columns: vec![
            Column::left(""),
            Column::left("deployment"),
            Column::right("instances"),
            Column::left("regions"),
            Column::left("cost"),
            Column::left("last change"),
            Column::left("note"),
        ],
        rows: rows.iter().map(cells).collect(),
        footer: Some("* is worked on; --deployment NAME works on another".to_owned()),
    }
}
