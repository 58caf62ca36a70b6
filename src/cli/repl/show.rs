//! Values for people: lists of objects as tables, objects as fields, results of hosts in a sentence.

use serde_json::{Map, Value};

use super::super::fields::fields;
use crate::ui::{Cell, Column, Event, Level, Table};

/// The columns of an instance that tell most, those that have a value.
const TELLING: [&str; 9] = ["id", "name", "region", "type", "state", "phase", "public_ip", "price", "error"];
/// A table of anything else has at most so many columns.
const COLUMNS: usize = 8;
/// A cell is cut there: whole values are a `.field` away.
const LONGEST: usize = 60;

/// How a value is shown.
pub(in super::super) fn shown(value: Value) -> Event {
    match &value {
        Value::Array(items) if !items.is_empty() => {
            let Some(rows) = items.iter().map(Value::as_object).collect::<Option<Vec<_>>>() else {
                return Event::Data(value);
            };
            if rows.iter().all(|row| is_result(row)) { results(&rows) } else { Event::Table(table(&rows)) }
        }
        Value::Object(map) if !map.is_empty() => Event::Data(fields(&value).into()),
        _ => Event::Data(value),
    }
}

/// Whether it is what an `ssh::` function says about a host.
fn is_result(row: &Map<String, Value>) -> bool {
    row.get("ok").is_some_and(Value::is_boolean) && row.get("host").is_some_and(Value::is_object)
}

/// Results in a sentence when all succeeded; otherwise those that did not, in a table.
fn results(rows: &[&Map<String, Value>]) -> Event {
    let failed: Vec<_> = rows.iter().filter(|row| row.get("ok") != Some(&Value::Bool(true))).collect();
    let seconds = rows.iter().filter_map(|row| row.get("seconds")?.as_f64()).fold(0.0, f64::max);
    let good = format!("{} of {} ok", rows.len() - failed.len(), rows.len());
    if failed.is_empty() {
        return Event::message(Level::Success, format!("{good}, {seconds:.1} s"));
    }
    let cells = |row: &&&Map<String, Value>| {
        let error = row.get("error").and_then(|error| error.get("message")).map(text).unwrap_or_default();
        let status = row.get("status").map(text).unwrap_or_default();
        vec![
            Cell::from(row.get("id").map(text).unwrap_or_default()),
            Cell::from(status),
            Cell::marked(error, Level::Error),
        ]
    };
    Event::Table(Table {
        title: None,
        columns: vec![Column::left("id"), Column::right("status"), Column::left("error")],
        rows: failed.iter().map(cells).collect(),
        footer: Some(good),
    })
}

fn table(rows: &[&Map<String, Value>]) -> Table {
    let has = |name: &str| rows.iter().any(|row| row.get(name).is_some_and(|value| !value.is_null()));
    let is_instance = ["id", "region", "type"].iter().all(|name| has(name));
    let names: Vec<&str> = if is_instance {
        TELLING.into_iter().filter(|name| has(name)).collect()
    } else {
        let mut names: Vec<&str> = Vec::new();
        for name in rows.iter().flat_map(|row| row.keys()) {
            if !names.contains(&name.as_str()) && has(name) {
                names.push(name);
            }
        }
        // What is an object itself tells little in a cell.
        names.sort_by_key(|name| rows.iter().any(|row| row.get(*name).is_some_and(Value::is_object)));
        names.truncate(COLUMNS);
        names
    };
    let number = |name: &str| {
        rows.iter().filter_map(|row| row.get(name)).all(|value| value.is_number() || value.is_null())
    };
    let column = |name: &&str| if number(name) { Column::right(*name) } else { Column::left(*name) };
    let cell = |value: Option<&Value>| match value {
        None | Some(Value::Null) => Cell::from("-"),
        Some(value) => Cell::from(text(value)),
    };
    Table {
        title: None,
        columns: names.iter().map(column).collect(),
        rows: rows.iter().map(|row| names.iter().map(|name| cell(row.get(*name))).collect()).collect(),
        footer: (rows.len() > 9).then(|| format!("{} rows", rows.len())),
    }
}

/// A value on one line.
fn text(value: &Value) -> String {
    let whole = match value {
        Value::String(text) => text.replace('\n', " "),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    match whole.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &whole[..end]),
        None => whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::{Style, UNLIMITED, render_table};
    use serde_json::json;

    fn text_of(value: Value) -> String {
        match shown(value) {
            Event::Table(table) => render_table(&table, UNLIMITED, &Style::PLAIN),
            Event::Data(value) => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
            Event::Message { text, .. } => text,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn lists_of_objects_are_tables() {
        let instances = json!([
            {"id": "i-1", "region": "us-west-2", "type": "t3.micro", "vpc_id": "vpc-1", "price": 0.0038, "error": null},
            {"id": "i-2", "region": "us-west-2", "type": "t3.micro", "vpc_id": "vpc-1", "price": null},
        ]);
        let shown = text_of(instances);
        assert!(shown.contains("price") && !shown.contains("vpc") && !shown.contains("error"), "{shown}");
        let others = text_of(json!([{"a": {"x": 1}, "b": "two\nlines"}, {"c": 3}]));
        assert!(others.lines().next().is_some_and(|line| line.starts_with('b')), "{others}");
        assert!(others.contains("two lines") && others.contains("{\"x\":1}"), "{others}");
    }

    #[test]
    fn results_are_a_sentence_unless_some_failed() {
        let good = json!({"ok": true, "host": {}, "id": "i-1", "seconds": 0.25});
        let bad = json!({"ok": false, "host": {}, "id": "i-2", "status": 3, "error": {"message": "exited with status 3"}});
        assert_eq!(text_of(json!([good, good])), "2 of 2 ok, 0.2 s");
        let shown = text_of(json!([good, bad]));
        assert!(shown.contains("i-2") && !shown.contains("i-1") && shown.contains("1 of 2 ok"), "{shown}");
    }

    #[test]
    fn anything_else_is_itself() {
        assert_eq!(text_of(json!([1, 2])), "[1,2]");
        assert_eq!(text_of(json!([])), "[]");
        assert_eq!(text_of(json!({"a": 1, "b": ["x", "y"]})).lines().count(), 2);
        assert_eq!(text_of(json!("text")), "text");
    }
}
