//! Faults as people write them in a file.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Map, Value};

use super::Faults;
use crate::sandbox::hosts::HostFaults;

/// The text of a file. What is as usual is left out.
pub(super) fn of_faults(faults: &Faults) -> String {
    let mut told = unusual(faults);
    for rule in told.get_mut("host").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(Value::Object(host)) = rule.get_mut("faults") {
            *host = without_usual(std::mem::take(host), &HostFaults::default());
        }
    }
    let is_section = |value: &Value| {
        value.as_array().is_some_and(|items| !items.is_empty() && items.iter().all(Value::is_object))
    };
    let (sections, plain): (Vec<_>, Vec<_>) = told.iter().partition(|(_, value)| is_section(value));
    let mut text = String::new();
    for (key, value) in plain {
        let _ = writeln!(text, "{key} = {}", inline(value));
    }
    for (key, items) in sections {
        for item in items.as_array().into_iter().flatten() {
            let gap = if text.is_empty() { "" } else { "\n" };
            let _ = writeln!(text, "{gap}[[{key}]]");
            for (name, value) in item.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null())
            {
                let _ = writeln!(text, "{name} = {}", inline(value));
            }
        }
    }
    text
}

/// What is not as it is by default, as JSON.
pub(in crate::sandbox) fn unusual<T: Serialize + Default>(value: &T) -> Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(told)) => without_usual(told, &T::default()),
        _ => Map::new(),
    }
}

fn without_usual<T: Serialize>(told: Map<String, Value>, usual: &T) -> Map<String, Value> {
    let usual = serde_json::to_value(usual).unwrap_or_default();
    told.into_iter().filter(|(key, value)| usual.get(key) != Some(value)).collect()
}

/// A value on one line. TOML has no null: what is not there is left out.
fn inline(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(inline).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(entries) => {
            let entries = entries.iter().filter(|(_, value)| !value.is_null());
            let entries: Vec<String> =
                entries.map(|(key, value)| format!("{} = {}", name(key), inline(value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        // DEL is the one character that JSON takes in a text as it is and TOML does not.
        Value::String(text) => Value::from(text.as_str()).to_string().replace('\u{7f}', "\\u007f"),
        other => other.to_string(),
    }
}

/// A key, quoted where it must be.
fn name(key: &str) -> String {
    let bare = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
    if !key.is_empty() && key.chars().all(bare) { key.to_owned() } else { Value::from(key).to_string() }
}
