//! `spot explain [CODE]`: what a finding of `spot check` means.

use std::sync::Arc;

use serde_json::json;

use crate::error::{Error, Result, nearest};
use crate::script::{CODES, Code, code};
use crate::ui::{Cell, Column, Event, Table, Ui};

/// Prints one code with examples, or a table of all.
pub(super) fn run(ui: &Arc<dyn Ui>, json: bool, name: Option<&str>) -> Result<u8> {
    let Some(name) = name else {
        ui.emit(Event::Table(table()));
        return Ok(0);
    };
    // As it stands in a finding: `warning[unreachable]`.
    let name = name.rsplit('[').next().unwrap_or(name).trim_end_matches([']', ':']);
    let Some(code) = code(name) else {
        let error = Error::usage(format!("there is no code `{name}`"));
        return Err(match nearest(name, CODES.iter().map(|code| code.name)) {
            Some(near) => error.with_hint(format!("did you mean `{near}`?")),
            None => error.with_hint("`spot explain` lists all"),
        });
    };
    ui.emit(Event::Data(if json { as_json(code) } else { text(code).into() }));
    Ok(0)
}

fn as_json(code: &Code) -> serde_json::Value {
    json!({
        "code": code.name, "severity": code.severity.to_string(), "summary": code.summary, "why": code.why,
        "wrong": code.wrong, "right": code.right,
    })
}

fn text(code: &Code) -> String {
    let indented = |script: &str| script.lines().map(|line| format!("  {line}\n")).collect::<String>();
    format!(
        "{} ({})\n{}\n{}\n\nNot so:\n{}\nBut so:\n{}",
        code.name,
        code.severity,
        code.summary,
        code.why,
        indented(code.wrong),
        indented(code.right).trim_end_matches('\n')
    )
}

fn table() -> Table {
    let row = |code: &&Code| {
        vec![Cell::from(code.name), Cell::from(code.severity.to_string()), Cell::from(code.summary)]
    };
    Table {
        title: None,
        columns: vec![Column::left("code"), Column::left("severity"), Column::left("what it means")],
        rows: CODES.iter().map(row).collect(),
        footer: Some("spot explain CODE shows examples".to_owned()),
    }
}
