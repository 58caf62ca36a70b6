//! TOML text to the tree, with every mistake of syntax that can be told apart from its consequences.

use toml_edit::{Array, Document, InlineTable, Item, Table, TableLike, TomlError, Value as TomlValue};

use super::report::Report;
use super::source::Span;
use super::tree::{Entry, Node, Value};

/// After this many mistakes of syntax the rest is not looked for.
const MOST_MISTAKES: usize = 20;

/// The root table; `None` when what follows a mistake could not be understood.
///
/// The parser stops at the first mistake. To report the next ones too, the offending line is
/// blanked (so that all positions stay) and the text parsed again; the keys of a section whose
/// header is wrong go with it. A mistake in the very next line is taken for a consequence of the
/// first, and ends the search; only after a key that is given twice it is not.
pub(super) fn parse(report: &Report) -> Option<Node> {
    let mut text = report.source().text().to_owned();
    let mut blanked_to = None;
    for _ in 0..MOST_MISTAKES {
        let error = match Document::parse(text.as_str()) {
            Ok(document) => return Some(table(document.as_table(), Span::default())),
            Err(error) => error,
        };
        let span = Span::from(error.span().unwrap_or(0..0));
        let line = report.source().locate(span).line;
        if blanked_to.is_some_and(|last| only_blank_lines_between(&text, report, last, line)) {
            return None;
        }
        report_mistake(report, &error, span);
        let range = damaged(report, line);
        let harmless = is_duplicate(&error) && is_balanced(report.source().text().get(range.clone())?);
        blanked_to = (!harmless).then(|| report.source().locate(Span::from(range.end..range.end)).line);
        let spaces: String =
            text.get(range.clone())?.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect();
        text.replace_range(range, &spaces);
    }
    None
}

fn is_duplicate(error: &TomlError) -> bool {
    error.message().starts_with("duplicate key")
}

/// Whether no value can go on after this text: then blanking it leaves nothing half said.
fn is_balanced(text: &str) -> bool {
    let count = |wanted: char| text.chars().filter(|character| *character == wanted).count();
    count('[') == count(']') && count('{') == count('}') && !text.contains("\"\"\"") && !text.contains("'''")
}

fn only_blank_lines_between(text: &str, report: &Report, last: usize, line: usize) -> bool {
    let start = report.source().line_range(last).start;
    let end = report.source().line_range(line).start;
    line >= last && text.get(start..end).is_some_and(|between| between.trim().is_empty())
}

/// The line, or from a section header to the next one: its keys would land in the wrong section.
fn damaged(report: &Report, line: usize) -> std::ops::Range<usize> {
    let source = report.source();
    let range = source.line_range(line);
    let is_header = |text: &str| text.trim_start().starts_with('[');
    if !source.text().get(range.clone()).is_some_and(is_header) {
        return range;
    }
    let mut end = range.end;
    for next in line + 1.. {
        let following = source.line_range(next);
        if following.start >= source.text().len()
            || source.text().get(following.clone()).is_some_and(is_header)
        {
            break;
        }
        end = following.end;
    }
    range.start..end
}

fn report_mistake(report: &Report, error: &TomlError, span: Span) {
    let found = report.source().slice(span);
    if is_duplicate(error) {
        let name = found.trim();
        report.error(span, format!("`{name}` is given twice"), Some("keep one of the two".to_owned()));
        conceal_environment(report, span);
        return;
    }
    let is_secret = conceal_environment(report, span);
    let message = error.message().lines().collect::<Vec<_>>().join(", ");
    let hint = if is_secret { None } else { hint(report, span) };
    report.error(span, format!("cannot be read as TOML: {message}"), hint);
}

/// A line that could not be read may still set a variable of the environment: its value is a
/// secret as much as the others.
fn conceal_environment(report: &Report, span: Span) -> bool {
    let source = report.source();
    let line = source.locate(span).line;
    let text_of = |line: usize| source.text().get(source.line_range(line)).unwrap_or_default();
    let header = (1..=line).rev().map(text_of).find(|text| text.trim_start().starts_with('['));
    let is_environment = |text: &str| text.contains("environment");
    if !is_environment(text_of(line)) && !header.is_some_and(is_environment) {
        return false;
    }
    let range = source.line_range(line);
    let value = text_of(line).find(['=', ':']).map_or(0, |at| at + 1);
    report.conceal(Span::from(range.start + value..range.end));
    true
}

/// What is usually meant where TOML has no meaning for it.
fn hint(report: &Report, span: Span) -> Option<String> {
    let source = report.source();
    let line = source.text().get(source.line_range(source.locate(span).line))?;
    if let Some((key, value)) = line.split_once('=') {
        let value = value.split('#').next().unwrap_or_default().trim();
        let bare = !value.is_empty() && value.chars().all(|c| c.is_alphanumeric() || "-_./~ ".contains(c));
        let is_value = matches!(value, "true" | "false") || value.parse::<f64>().is_ok();
        return (bare && !is_value).then(|| format!("put text in quotes: {} = \"{value}\"", key.trim()));
    }
    let (key, value) = line.split_once(':')?;
    let key = key.trim();
    let plain = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    plain.then(|| format!("a key and its value are joined by `=`: {key} = {}", value.trim()))
}

fn table(table: &Table, span: Span) -> Node {
    Node { value: Value::Table(entries(table)), span: table.span().map_or(span, Span::from) }
}

fn inline_table(table: &InlineTable, span: Span) -> Node {
    Node { value: Value::Table(entries(table)), span: table.span().map_or(span, Span::from) }
}

fn entries(table: &dyn TableLike) -> Vec<Entry> {
    let entry = |(name, item): (&str, &Item)| {
        let key_span = table.key(name).and_then(|key| key.span()).map_or(Span::default(), Span::from);
        Some(Entry { key: name.to_owned(), key_span, value: node(item, key_span)? })
    };
    table.iter().filter_map(entry).collect()
}

/// Tables that no header names have no place of their own: theirs is that of their key.
fn node(item: &Item, key_span: Span) -> Option<Node> {
    match item {
        Item::None => None,
        Item::Value(value) => Some(scalar(value, key_span)),
        Item::Table(section) => Some(table(section, key_span)),
        Item::ArrayOfTables(sections) => {
            let span = sections.span().map_or(key_span, Span::from);
            Some(Node {
                value: Value::List(sections.iter().map(|section| table(section, span)).collect()),
                span,
            })
        }
    }
}

fn scalar(value: &TomlValue, key_span: Span) -> Node {
    let span = value.span().map_or(key_span, Span::from);
    let value = match value {
        TomlValue::String(text) => Value::Text(text.value().clone()),
        TomlValue::Integer(number) => Value::Integer(*number.value()),
        TomlValue::Float(number) => Value::Float(*number.value()),
        TomlValue::Boolean(boolean) => Value::Boolean(*boolean.value()),
        TomlValue::Datetime(_) => Value::Date,
        TomlValue::Array(array) => list(array, span),
        TomlValue::InlineTable(inline) => return inline_table(inline, span),
    };
    Node { value, span }
}

fn list(array: &Array, span: Span) -> Value {
    Value::List(array.iter().map(|value| scalar(value, span)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source::Source;

    fn read(text: &str) -> (Option<Node>, Vec<String>) {
        let report = Report::new(Source::new("spot.toml", text));
        let node = parse(&report);
        let problems = report.into_problems();
        (node, problems.iter().map(|p| format!("{}:{}: {}", p.line, p.column, p.message)).collect())
    }

    #[test]
    fn every_value_knows_its_place() {
        let text = "[a.b]\nc = \"x\"\nd = [1, 2.5]\n[[e]]\nf = { g = true, h = 1979-05-27 }\n";
        let (node, problems) = read(text);
        assert!(problems.is_empty(), "{problems:?}");
        let Some(Node { value: Value::Table(root), .. }) = node else { panic!("no table") };
        let Value::Table(a) = &root[0].value.value else { panic!("no a") };
        let Value::Table(b) = &a[0].value.value else { panic!("no b") };
        assert_eq!(text[b[0].value.span.start..b[0].value.span.end].to_owned(), "\"x\"");
        assert_eq!(text[b[1].key_span.start..b[1].key_span.end].to_owned(), "d");
        let Value::List(d) = &b[1].value.value else { panic!("no list") };
        assert_eq!(d[1].value, Value::Float(2.5));
        assert_eq!(&text[d[1].span.start..d[1].span.end], "2.5");
        let Value::List(e) = &root[1].value.value else { panic!("no e") };
        assert!(matches!(&e[0].value, Value::Table(entries) if entries[0].key == "f"));
    }

    #[test]
    fn mistakes_on_separate_lines_are_all_found() {
        let (node, problems) = read("[a]\nb = 1\nb = 2\nc = us-west\nd = 4\n\n[e]\nf = 1\ng = =\n");
        assert!(node.is_some());
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert_eq!(problems[0], "3:1: `b` is given twice");
        assert!(problems[1].starts_with("4:5:"), "{problems:?}");
        assert!(problems[2].starts_with("9:"), "{problems:?}");
    }

    #[test]
    fn consequences_of_a_mistake_are_not_reported() {
        let (node, problems) = read("a = [1,\nb = 2\nc = 3\nd = 4\n");
        assert!(node.is_none());
        assert_eq!(problems.len(), 1, "{problems:?}");
    }

    #[test]
    fn the_keys_below_a_wrong_header_are_left_out() {
        let (node, problems) = read("[a]\nb = 1\n[a]\nb = 2\n[c]\nd = 1\n");
        assert_eq!(problems, ["3:2: `a` is given twice"]);
        assert!(matches!(node, Some(Node { value: Value::Table(entries), .. }) if entries.len() == 2));
    }

    #[test]
    fn usual_slips_get_a_hint() {
        let hint = |text: &str| {
            let report = Report::new(Source::new("f", text));
            parse(&report);
            report.into_problems().into_iter().find_map(|problem| problem.hint)
        };
        assert_eq!(hint("image = ami-1").as_deref(), Some("put text in quotes: image = \"ami-1\""));
        assert_eq!(hint("count: 3").as_deref(), Some("a key and its value are joined by `=`: count = 3"));
    }

    #[test]
    fn deep_nesting_ends_in_an_error() {
        let (node, problems) = read(&format!("a = {}", "[".repeat(200_000)));
        assert!(node.is_none() || !problems.is_empty());
        let (_, problems) = read(&format!("{} = 1", vec!["a"; 50_000].join(".")));
        assert!(!problems.is_empty());
    }
}
