//! An object as lines for people: a field each, its name first.

use serde_json::Value;

/// A line for each field. Lists of texts are joined by blanks; what is nested is JSON.
pub(super) fn fields(value: &Value) -> String {
    let fields = value.as_object().into_iter().flatten();
    let fields = fields.map(|(name, value)| {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Array(items) if items.iter().all(Value::is_string) => {
                items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
            }
            Value::Null => "-".to_owned(),
            other => other.to_string(),
        };
        format!("{name:<18} {text}")
    });
    fields.collect::<Vec<_>>().join("\n")
}
