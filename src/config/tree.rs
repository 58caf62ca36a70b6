//! What a configuration file says, whatever its format: values, each with the place it stands at.

use super::source::Span;

/// A value and the part of the file it was written in.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) span: Span,
}

/// The kinds of value that the formats share.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    /// A date or time: TOML has them, no key of ours takes one.
    Date,
    List(Vec<Node>),
    Table(Vec<Entry>),
}

/// One `key = value` of a table; keys of one table are distinct.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_span: Span,
    pub(super) value: Node,
}

/// A value that was read, and where: checks report at this place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) span: Span,
}

impl<T> Located<T> {
    pub(super) fn new(value: T, span: Span) -> Self {
        Located { value, span }
    }
}

impl Value {
    /// The kind of the value: `a string`.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Value::Null => "nothing",
            Value::Boolean(_) => "true or false",
            Value::Integer(_) | Value::Float(_) => "a number",
            Value::Text(_) => "a string",
            Value::Date => "a date",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        }
    }

    /// The value as a message names it: `the string "3"`.
    pub(super) fn describe(&self) -> String {
        match self {
            Value::Boolean(value) => format!("`{value}`"),
            Value::Integer(value) => format!("the number {value}"),
            Value::Float(value) => format!("the number {value}"),
            Value::Text(value) => format!("the string \"{}\"", shortened(value)),
            other => other.kind().to_owned(),
        }
    }
}

/// The start of a text that may be long.
pub(super) fn shortened(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn describes_values_in_words() {
        assert_eq!(Value::Text("3".into()).describe(), "the string \"3\"");
        assert_eq!(Value::Integer(0).describe(), "the number 0");
        assert_eq!(Value::Boolean(true).describe(), "`true`");
        assert_eq!(Value::List(vec![]).describe(), "a list");
        assert_eq!(shortened(&"é".repeat(61)).chars().count(), 61);
    }
}
