//! Typed fields out of a JSON object, each error naming the field.

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// How deeply a stored value may nest: the JSON parser refuses 128 levels, and a record adds a few.
const DEEPEST: usize = 100;

/// A JSON object whose known fields are taken one by one; what is left is what nobody knew.
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// The fields of `value`, which must be an object.
    pub(super) fn of(value: Value) -> Result<Self> {
        match value {
            Value::Object(map) => Ok(Fields(map)),
            other => Err(Error::state(format!("expected an object, found {}", kind_of(&other)))),
        }
    }

    /// A field, or `None` if it is absent or null.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.0.shift_remove(name).filter(|value| !value.is_null())
    }

    /// A text.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong(name, "text", &other)),
        }
    }

    /// A text that must be there and not be empty.
    pub(super) fn required_text(&mut self, name: &str) -> Result<String> {
        match self.text(name)? {
            Some(text) if !text.is_empty() => Ok(text),
            Some(_) => Err(Error::state(format!("`{name}` is empty"))),
            None => Err(Error::state(format!("`{name}` is missing"))),
        }
    }

    /// A number.
    pub(super) fn number(&mut self, name: &str) -> Result<Option<f64>> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => value.as_f64().map(Some).ok_or_else(|| wrong(name, "a number", &value)),
        }
    }

    /// A whole number that is not negative.
    pub(super) fn whole(&mut self, name: &str) -> Result<Option<u64>> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => value.as_u64().map(Some).ok_or_else(|| wrong(name, "a whole number", &value)),
        }
    }

    /// An array.
    pub(super) fn array(&mut self, name: &str) -> Result<Option<Vec<Value>>> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(other) => Err(wrong(name, "an array", &other)),
        }
    }

    /// An array of texts; absent is empty.
    pub(super) fn texts(&mut self, name: &str) -> Result<Vec<String>> {
        let items = self.array(name)?.unwrap_or_default().into_iter().enumerate();
        items
            .map(|(index, item)| match item {
                Value::String(text) => Ok(text),
                other => Err(wrong(&format!("{name}[{index}]"), "text", &other)),
            })
            .collect()
    }

    /// An object; absent is empty.
    pub(super) fn object(&mut self, name: &str) -> Result<Map<String, Value>> {
        match self.take(name) {
            None => Ok(Map::new()),
            Some(Value::Object(map)) => Ok(map),
            Some(other) => Err(wrong(name, "an object", &other)),
        }
    }

    /// The fields that nobody took, in their order.
    pub(super) fn rest(self) -> Map<String, Value> {
        self.0
    }
}

/// Refuses what could be written but not read back.
pub(super) fn check_depth<'a>(what: &str, values: impl IntoIterator<Item = &'a Value>) -> Result<()> {
    if values.into_iter().any(|value| deeper_than(value, DEEPEST)) {
        return Err(Error::state(format!("{what} nests more than {DEEPEST} levels deep"))
            .with_hint("store a flatter value, or its JSON text"));
    }
    Ok(())
}

fn deeper_than(value: &Value, levels: usize) -> bool {
    match (value, levels) {
        (Value::Array(_) | Value::Object(_), 0) => true,
        (Value::Array(items), _) => items.iter().any(|item| deeper_than(item, levels - 1)),
        (Value::Object(map), _) => map.values().any(|item| deeper_than(item, levels - 1)),
        _ => false,
    }
}

fn wrong(name: &str, expected: &str, found: &Value) -> Error {
    Error::state(format!("`{name}` must be {expected}, found {}", kind_of(found)))
}

/// What a value is, in the words of a message.
fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn errors_name_the_field_and_both_types() {
        let mut fields = Fields::of(json!({ "id": 5, "list": ["a", 1], "n": -1 })).unwrap();
        assert_eq!(fields.text("id").unwrap_err().message(), "`id` must be text, found a number");
        assert_eq!(fields.texts("list").unwrap_err().message(), "`list[1]` must be text, found a number");
        assert_eq!(fields.whole("n").unwrap_err().message(), "`n` must be a whole number, found a number");
        assert_eq!(fields.required_text("id").unwrap_err().message(), "`id` is missing");
    }

    #[test]
    fn too_deep_values_are_refused_before_they_are_written() {
        let nested = |levels| (0..levels).fold(json!(1), |value, _| json!([value]));
        assert!(check_depth("x", [&nested(DEEPEST)]).is_ok());
        assert!(check_depth("x", [&nested(DEEPEST + 1)]).is_err());
        assert!(check_depth("x", [&nested(500)]).is_err());
    }
}
