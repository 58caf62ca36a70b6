//! Tables out of arrays of object maps.

use rhai::{Array, Dynamic};

use crate::error::{Error, Result, nearest};
use crate::ui::{Align, Cell, Column, Level, Table};

/// A table with a row per map. Without `columns`, the keys of the first row are shown.
pub(crate) fn of_maps(
    rows: &Array,
    columns: Option<Vec<String>>,
    title: Option<String>,
    footer: Option<String>,
) -> Result<Table> {
    let mut maps = Vec::with_capacity(rows.len());
    for (index, row) in rows.iter().enumerate() {
        let map = row.as_map_ref().map_err(|found| {
            Error::script(format!("ui::table: row {index}: expected an object map #{{…}}, found {found}"))
        })?;
        maps.push(map);
    }
    let names: Vec<String> = match columns {
        Some(columns) => columns,
        None => maps.first().map(|map| map.keys().map(ToString::to_string).collect()).unwrap_or_default(),
    };
    for name in &names {
        if !maps.is_empty() && !maps.iter().any(|map| map.contains_key(name.as_str())) {
            let error = Error::script(format!("ui::table: no row has the column `{name}`"));
            let keys = maps.iter().flat_map(|map| map.keys().map(|key| key.as_str()));
            return Err(match nearest(name, keys) {
                Some(near) => error.with_hint(format!("did you mean `{near}`?")),
                None => error,
            });
        }
    }
    let columns = names
        .iter()
        .map(|name| {
            let values =
                || maps.iter().filter_map(|map| map.get(name.as_str())).filter(|value| !value.is_unit());
            let numbers =
                values().next().is_some() && values().all(|value| value.is_int() || value.is_float());
            Column { name: name.replace('_', " "), align: if numbers { Align::Right } else { Align::Left } }
        })
        .collect();
    let rows = maps
        .iter()
        .map(|map| names.iter().map(|name| map.get(name.as_str()).map_or_else(empty, cell)).collect())
        .collect();
    Ok(Table { title, columns, rows, footer })
}

fn empty() -> Cell {
    Cell { text: "-".to_owned(), severity: None }
}

fn cell(value: &Dynamic) -> Cell {
    if value.is_unit() {
        return empty();
    }
    if let Ok(list) = value.as_array_ref() {
        let text = list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        return Cell { text, severity: None };
    }
    if let Ok(number) = value.as_float() {
        return Cell { text: number_text(number), severity: None };
    }
    let text = value.to_string();
    let severity = match text.as_str() {
        "failed" | "gone" | "error" | "terminated" | "interrupted" | "unreachable" => Some(Level::Error),
        "ready" | "running" | "ok" | "deployed" => Some(Level::Success),
        "pending" | "shutting-down" | "stopping" | "untracked" => Some(Level::Warning),
        _ => None,
    };
    Cell { text, severity }
}

/// Up to four decimals, without trailing zeros: prices per hour need four.
fn number_text(number: f64) -> String {
    let text = format!("{number:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rhai::Map;

    fn map(entries: &[(&str, Dynamic)]) -> Dynamic {
        Dynamic::from_map(entries.iter().map(|(key, value)| ((*key).into(), value.clone())).collect::<Map>())
    }

    #[test]
    fn numbers_are_right_aligned_and_missing_values_are_dashes() {
        let rows = vec![
            map(&[("region", "us-west-2".into()), ("price", 0.0125_f64.into())]),
            map(&[("region", "us-east-1".into()), ("price", Dynamic::UNIT)]),
        ];
        let table = of_maps(&rows, Some(vec!["region".into(), "price".into()]), None, None).unwrap();
        assert_eq!(table.columns[1].align, Align::Right);
        assert_eq!(table.rows[0][1].text, "0.0125");
        assert_eq!(table.rows[1][1].text, "-");
        let error = of_maps(&rows, Some(vec!["regoin".into()]), None, None).unwrap_err();
        assert_eq!(error.hint(), Some("did you mean `region`?"));
    }

    #[test]
    fn rows_must_be_maps() {
        let error = of_maps(&vec![5_i64.into()], None, None, None).unwrap_err();
        assert_eq!(error.message(), "ui::table: row 0: expected an object map #{…}, found i64");
    }
}
