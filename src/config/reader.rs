//! Typed access to a table of the tree. What does not fit is reported and read as absent, so that
//! reading goes on and finds the rest.

use std::cell::RefCell;
use std::collections::HashSet;
use std::ops::RangeInclusive;

use super::report::Report;
use super::source::Span;
use super::suggestion::nearest;
use super::tree::{Entry, Located, Node, Value, shortened};

/// The longest list of strings; no list of ours needs as many.
const MOST_ITEMS: usize = 500;

/// A table of the file, and which of its keys have been asked for.
pub(super) struct Table<'a> {
    report: &'a Report,
    title: String,
    span: Span,
    entries: &'a [Entry],
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Table<'a> {
    /// The table of a node; anything else is a problem, and nothing an empty table.
    pub(super) fn new(report: &'a Report, title: impl Into<String>, node: &'a Node) -> Option<Self> {
        let entries = match &node.value {
            Value::Table(entries) => entries.as_slice(),
            Value::Null => &[],
            other => {
                // Only the kind: the value may be an environment with secrets in it.
                let message = format!("{} must be a table, found {}", title.into(), other.kind());
                report.error(node.span, message, None);
                return None;
            }
        };
        Some(Table { report, title: title.into(), span: node.span, entries, asked: RefCell::default() })
    }

    /// A table without keys, for a section that is not there.
    pub(super) fn empty(report: &'a Report, title: impl Into<String>) -> Self {
        Table { report, title: title.into(), span: Span::default(), entries: &[], asked: RefCell::default() }
    }

    pub(super) fn report(&self) -> &'a Report {
        self.report
    }

    pub(super) fn span(&self) -> Span {
        self.span
    }

    /// All entries, for tables whose keys are the user's.
    pub(super) fn entries(&self) -> &'a [Entry] {
        self.entries
    }

    /// The entry of a key, unless it is absent or null.
    pub(super) fn entry(&self, key: &'static str) -> Option<&'a Entry> {
        self.asked.borrow_mut().push(key);
        self.entries.iter().find(|entry| entry.key == key && entry.value.value != Value::Null)
    }

    /// The section of this name, empty if there is none.
    pub(super) fn section(&self, key: &'static str, title: &str) -> Table<'a> {
        self.entry(key)
            .and_then(|entry| Table::new(self.report, title, &entry.value))
            .unwrap_or_else(|| Table::empty(self.report, title))
    }

    pub(super) fn text(&self, key: &'static str) -> Option<Located<String>> {
        let entry = self.entry(key)?;
        match text(&entry.value) {
            Some(text) => Some(text),
            None => self.mismatch(entry, "a string"),
        }
    }

    pub(super) fn boolean(&self, key: &'static str) -> Option<Located<bool>> {
        let entry = self.entry(key)?;
        match entry.value.value {
            Value::Boolean(value) => Some(Located::new(value, entry.value.span)),
            _ => self.mismatch(entry, "true or false"),
        }
    }

    /// A whole number of this range.
    pub(super) fn whole<T: TryFrom<i64>>(
        &self,
        key: &'static str,
        range: RangeInclusive<i64>,
    ) -> Option<Located<T>> {
        let entry = self.entry(key)?;
        let Value::Integer(value) = entry.value.value else { return self.mismatch(entry, "a whole number") };
        let (low, high) = (range.start(), range.end());
        if !range.contains(&value) {
            let message = format!("`{key}` must be from {low} to {high}, found {value}");
            self.report.error(entry.value.span, message, None);
            return None;
        }
        Some(Located::new(T::try_from(value).ok()?, entry.value.span))
    }

    /// A number, whole or not.
    pub(super) fn number(&self, key: &'static str) -> Option<Located<f64>> {
        let entry = self.entry(key)?;
        let value = match entry.value.value {
            Value::Float(value) => value,
            Value::Integer(value) => value as f64,
            _ => return self.mismatch(entry, "a number"),
        };
        Some(Located::new(value, entry.value.span))
    }

    /// A list of strings, none of them twice.
    pub(super) fn texts(&self, key: &'static str) -> Option<Located<Vec<Located<String>>>> {
        let entry = self.entry(key)?;
        let Value::List(items) = &entry.value.value else {
            return self.mismatch(entry, "a list of strings");
        };
        if items.len() > MOST_ITEMS {
            let message = format!("`{key}` has {} items, expected at most {MOST_ITEMS}", items.len());
            self.report.error(entry.value.span, message, None);
            return None;
        }
        let mut texts: Vec<Located<String>> = Vec::new();
        let mut known = HashSet::new();
        for item in items {
            let Some(text) = text(item) else {
                let message = format!("`{key}`: expected a string, found {}", item.value.describe());
                self.report.error(item.span, message, None);
                continue;
            };
            if !known.insert(text.value.clone()) {
                let message = format!("`{}` is listed twice in `{key}`", text.value);
                self.report.error(text.span, message, Some("keep one of the two".to_owned()));
                continue;
            }
            texts.push(text);
        }
        Some(Located::new(texts, entry.value.span))
    }

    /// Names of the user's with texts of the user's; numbers and booleans count as their text.
    pub(super) fn pairs(&self) -> Vec<(Located<String>, Located<String>)> {
        let mut pairs = Vec::new();
        for entry in self.entries {
            let node = &entry.value;
            let value = match &node.value {
                Value::Text(text) => text.clone(),
                Value::Boolean(_) | Value::Integer(_) | Value::Float(_) => {
                    self.report.source().slice(node.span).trim().to_owned()
                }
                other => {
                    let message = format!("`{}`: expected a string, found {}", entry.key, other.describe());
                    self.report.error(node.span, message, None);
                    continue;
                }
            };
            pairs.push((Located::new(entry.key.clone(), entry.key_span), Located::new(value, node.span)));
        }
        pairs
    }

    /// Reports every key that nobody asked for; `elsewhere` knows where a key belongs that other
    /// sections, or other tools, have.
    pub(super) fn finish(self, elsewhere: impl Fn(&str) -> Option<String>) {
        let asked = self.asked.into_inner();
        for entry in self.entries.iter().filter(|entry| !asked.contains(&entry.key.as_str())) {
            if self.report.is_full() {
                return;
            }
            let message = format!("unknown key `{}` in {}", shortened(&entry.key), self.title);
            let known = || format!("{} has: {}", self.title, asked.join(", "));
            let hint = nearest(&entry.key, asked.iter().copied())
                .map(|name| format!("did you mean `{name}`?"))
                .or_else(|| elsewhere(&entry.key))
                .unwrap_or_else(known);
            self.report.error(entry.key_span, message, Some(hint));
        }
    }

    fn mismatch<T>(&self, entry: &Entry, expected: &str) -> Option<T> {
        let Entry { key, value: node, .. } = entry;
        let message = format!("`{key}`: expected {expected}, found {}", node.value.describe());
        self.report.error(node.span, message, conversion(key, &node.value, expected));
        None
    }
}

fn text(node: &Node) -> Option<Located<String>> {
    match &node.value {
        Value::Text(text) => Some(Located::new(text.clone(), node.span)),
        _ => None,
    }
}

/// How to write the value as what was expected, if that is plain to see.
fn conversion(key: &str, value: &Value, expected: &str) -> Option<String> {
    match (value, expected) {
        (Value::Text(text), "a whole number") if text.parse::<i64>().is_ok() => {
            Some(format!("write {text} without quotes"))
        }
        (Value::Text(text), "a number") if text.parse::<f64>().is_ok() => {
            Some(format!("write {text} without quotes"))
        }
        (Value::Text(text), "true or false") => {
            matches!(text.as_str(), "true" | "false").then(|| format!("write {text} without quotes"))
        }
        (Value::Text(text), "a list of strings") => Some(format!("write it in brackets: [\"{text}\"]")),
        (Value::Integer(_) | Value::Float(_) | Value::Boolean(_), "a string") => {
            Some("put it in quotes".to_owned())
        }
        (Value::List(items), "a string") => match items.as_slice() {
            [Node { value: Value::Text(text), .. }] => Some(format!("`{key}` takes one value: \"{text}\"")),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source::Source;
    use crate::config::toml;

    fn problems(text: &str, read: impl Fn(Table<'_>)) -> Vec<(String, Option<String>)> {
        let report = Report::new(Source::new("f", text));
        let node = toml::parse(&report).unwrap();
        read(Table::new(&report, "[x]", &node).unwrap());
        report.into_problems().into_iter().map(|problem| (problem.message, problem.hint)).collect()
    }

    fn hinted(message: &str, hint: &str) -> (String, Option<String>) {
        (message.to_owned(), Some(hint.to_owned()))
    }

    #[test]
    fn wrong_types_say_what_was_expected_and_found() {
        let found =
            problems("a = \"3\"\nb = 1\nc = \"us\"\nd = \"true\"\ne = [1, \"x\", \"x\"]\n", |table| {
                assert_eq!(table.whole::<u32>("a", 1..=9), None);
                assert_eq!(table.text("b"), None);
                assert_eq!(table.texts("c"), None);
                assert_eq!(table.boolean("d"), None);
                assert_eq!(table.texts("e").unwrap().value.len(), 1);
            });
        assert_eq!(
            found[0],
            hinted("`a`: expected a whole number, found the string \"3\"", "write 3 without quotes")
        );
        assert_eq!(found[1], hinted("`b`: expected a string, found the number 1", "put it in quotes"));
        assert_eq!(found[2].1.as_deref(), Some("write it in brackets: [\"us\"]"));
        assert_eq!(found[3].1.as_deref(), Some("write true without quotes"));
        assert_eq!(found[4].0, "`e`: expected a string, found the number 1");
        assert_eq!(found[5], hinted("`x` is listed twice in `e`", "keep one of the two"));
    }

    #[test]
    fn numbers_keep_to_their_range() {
        let found = problems("a = 0\nb = 70000\nc = 3\n", |table| {
            assert_eq!(table.whole::<u32>("a", 1..=1000), None);
            assert_eq!(table.whole::<u16>("b", 1..=65535), None);
            assert_eq!(table.number("c").unwrap().value, 3.0);
        });
        assert_eq!(found[0].0, "`a` must be from 1 to 1000, found 0");
        assert_eq!(found[1].0, "`b` must be from 1 to 65535, found 70000");
    }

    #[test]
    fn unknown_keys_are_refused_with_the_best_suggestion() {
        let found = problems("cuont = 1\nmax_price = 2\nzzz = 3\n", |table| {
            table.entry("count");
            table.entry("user");
            table.finish(|key| (key == "max_price").then(|| "`max_price` belongs in [fleet]".to_owned()));
        });
        assert_eq!(found[0], hinted("unknown key `cuont` in [x]", "did you mean `count`?"));
        assert_eq!(found[1].1.as_deref(), Some("`max_price` belongs in [fleet]"));
        assert_eq!(found[2].1.as_deref(), Some("[x] has: count, user"));
    }
}
