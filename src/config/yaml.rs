//! YAML text to the tree. Nesting and aliases are bounded, so that no file can exhaust the memory.
//!
//! Plain words mean what they meant to Spot Deployer, which read YAML 1.1: `yes` and `on` are true.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span as YamlSpan, Tag};

use super::report::Report;
use super::source::Span;
use super::tree::{Entry, Node, Value, shortened};

/// The deepest nesting that is read.
const DEEPEST: usize = 64;
/// The most values that a file may stand for once its aliases are replaced by what they name.
const MOST_VALUES: usize = 50_000;

/// The first document of the file; `None` after an error that leaves nothing to check.
pub(super) fn parse(report: &Report) -> Option<Node> {
    let mut builder = Builder::new(report);
    for event in Parser::new_from_str(report.source().text()) {
        let step = match event {
            Ok((event, span)) => builder.take(event, span),
            Err(error) => Err(builder.syntax_error(&error)),
        };
        if let Err(Stop) = step {
            return None;
        }
    }
    let empty = Node { value: Value::Null, span: Span::default() };
    Some(builder.root.map_or(empty, |finished| finished.node))
}

/// Reading cannot go on; the reason is in the report.
struct Stop;

/// A value with what it costs to repeat it.
#[derive(Clone)]
struct Finished {
    node: Node,
    values: usize,
    height: usize,
}

/// A list or table that is being read.
struct Open {
    content: Content,
    anchor: usize,
    start: usize,
    values: usize,
    height: usize,
}

enum Content {
    List(Vec<Node>),
    Table {
        entries: Vec<Entry>,
        /// Where each key stands for the first time.
        known: HashMap<String, Span>,
        /// The key whose value comes next.
        key: Option<(String, Span)>,
        merged: Vec<Node>,
    },
}

struct Builder<'a> {
    report: &'a Report,
    /// The byte offset of every character: the parser counts characters.
    offsets: Vec<usize>,
    open: Vec<Open>,
    anchors: HashMap<usize, Finished>,
    values: usize,
    documents: usize,
    root: Option<Finished>,
}

impl<'a> Builder<'a> {
    fn new(report: &'a Report) -> Self {
        let text = report.source().text();
        let mut offsets: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        offsets.push(text.len());
        Builder {
            report,
            offsets,
            open: Vec::new(),
            anchors: HashMap::new(),
            values: 0,
            documents: 0,
            root: None,
        }
    }

    fn take(&mut self, event: Event<'_>, span: YamlSpan) -> Result<(), Stop> {
        let span = self.span(span);
        match event {
            Event::DocumentStart(_) => self.start_document(span),
            Event::Scalar(text, style, anchor, tag) => {
                let value = self.scalar(&text, style, tag.as_deref(), span);
                self.place(Finished { node: Node { value, span }, values: 1, height: 0 }, anchor, 1)
            }
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::SequenceStart(anchor, tag) => {
                self.start(Content::List(Vec::new()), anchor, tag.as_deref(), span)
            }
            Event::MappingStart(anchor, tag) => {
                let table = Content::Table {
                    entries: Vec::new(),
                    known: HashMap::new(),
                    key: None,
                    merged: Vec::new(),
                };
                self.start(table, anchor, tag.as_deref(), span)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn start_document(&mut self, span: Span) -> Result<(), Stop> {
        self.documents += 1;
        if self.documents > 1 {
            let hint = "keep one configuration: delete from `---` on".to_owned();
            self.report.error(span, "a second document starts here, expected only one", Some(hint));
            return Err(Stop);
        }
        Ok(())
    }

    fn start(&mut self, content: Content, anchor: usize, tag: Option<&Tag>, span: Span) -> Result<(), Stop> {
        if self.open.len() >= DEEPEST {
            self.report.error(span, format!("is nested more than {DEEPEST} levels deep"), None);
            return Err(Stop);
        }
        self.check_tag(tag, span);
        self.open.push(Open { content, anchor, start: span.start, values: 1, height: 0 });
        Ok(())
    }

    fn end(&mut self, span: Span) -> Result<(), Stop> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let value = match open.content {
            Content::List(items) => Value::List(items),
            Content::Table { mut entries, mut known, merged, .. } => {
                merge(&mut entries, &mut known, merged);
                Value::Table(entries)
            }
        };
        let node = Node { value, span: Span::from(open.start..span.start) };
        // Naming a value keeps a copy of it.
        let cost = if open.anchor > 0 { open.values } else { 1 };
        self.place(Finished { node, values: open.values, height: open.height + 1 }, open.anchor, cost)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Stop> {
        let Some(mut finished) = self.anchors.get(&anchor).cloned() else {
            self.report.error(span, "this alias stands inside of what it names", None);
            return Err(Stop);
        };
        if self.open.len() + finished.height > DEEPEST {
            self.report.error(span, format!("is nested more than {DEEPEST} levels deep"), None);
            return Err(Stop);
        }
        // A mistake in the value is reported where it is written; an alias marks itself.
        finished.node.span = span;
        let cost = finished.values;
        self.place(finished, 0, cost)
    }

    /// Puts a value where it belongs: into the open list or table, or at the root.
    /// `cost` is how many values that makes.
    fn place(&mut self, finished: Finished, anchor: usize, cost: usize) -> Result<(), Stop> {
        let Finished { values, height, .. } = finished;
        self.values += cost;
        if self.values > MOST_VALUES {
            let message = format!("stands for more than {MOST_VALUES} values");
            self.report.error(finished.node.span, message, Some("use fewer aliases (`*name`)".to_owned()));
            return Err(Stop);
        }
        if anchor > 0 {
            self.anchors.insert(anchor, finished.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(finished);
            return Ok(());
        };
        open.values += values;
        open.height = open.height.max(height);
        match &mut open.content {
            Content::List(items) => items.push(finished.node),
            Content::Table { entries, known, key, merged } => match key.take() {
                None => *key = Some(key_name(self.report, &finished.node)),
                Some((name, _)) if name == "<<" => merged.push(finished.node),
                Some((name, key_span)) => {
                    if let Some(first) = known.get(&name) {
                        report_duplicate(self.report, &name, key_span, *first);
                    } else {
                        known.insert(name.clone(), key_span);
                        entries.push(Entry { key: name, key_span, value: finished.node });
                    }
                }
            },
        }
        Ok(())
    }

    fn scalar(&self, text: &str, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Value {
        self.check_tag(tag, span);
        let is_text = style != ScalarStyle::Plain || tag.is_some_and(|tag| tag.suffix == "str");
        if is_text { Value::Text(text.to_owned()) } else { plain(text) }
    }

    /// Tags of the core schema say what the value says anyway; all others ask for more than data.
    fn check_tag(&self, tag: Option<&Tag>, span: Span) {
        const KNOWN: [&str; 7] = ["str", "int", "float", "bool", "null", "seq", "map"];
        let Some(tag) = tag else { return };
        if !(tag.is_yaml_core_schema() && KNOWN.contains(&tag.suffix.as_str())) {
            let message = format!("the YAML tag `{tag}` is not supported");
            self.report.error(span, message, Some("write the plain value".to_owned()));
        }
    }

    fn syntax_error(&self, error: &ScanError) -> Stop {
        let at = self.offset(*error.marker());
        let span = Span::from(at..at + 1);
        let source = self.report.source();
        let line = source.text().get(source.line_range(source.locate(span).line)).unwrap_or_default();
        let indent = line.get(..line.len() - line.trim_start().len()).unwrap_or_default();
        let hint = if indent.contains('\t') {
            "indent with spaces, not with tabs"
        } else {
            "look at the indentation and quotes here and in the line above"
        };
        self.report.error(span, format!("cannot be read as YAML: {}", error.info()), Some(hint.to_owned()));
        Stop
    }

    fn span(&self, span: YamlSpan) -> Span {
        Span::from(self.offset(span.start)..self.offset(span.end))
    }

    fn offset(&self, marker: Marker) -> usize {
        let end = self.offsets.last().copied().unwrap_or_default();
        self.offsets.get(marker.index()).copied().unwrap_or(end)
    }
}

/// A key as text: `2: x` is a key too.
fn key_name(report: &Report, node: &Node) -> (String, Span) {
    let name = match &node.value {
        Value::Text(text) => text.clone(),
        Value::List(_) | Value::Table(_) => {
            report.error(node.span, format!("{} cannot be a key", node.value.describe()), None);
            String::new()
        }
        _ => report.source().slice(node.span).trim().to_owned(),
    };
    (name, node.span)
}

fn report_duplicate(report: &Report, name: &str, at: Span, first: Span) {
    let line = report.source().locate(first).line;
    let hint = format!("keep one of the two; the first is in line {line}");
    report.error(at, format!("`{}` is given twice", shortened(name)), Some(hint));
}

/// `<<: *defaults`: what the table itself says goes before what it merges.
fn merge(entries: &mut Vec<Entry>, known: &mut HashMap<String, Span>, merged: Vec<Node>) {
    for node in merged {
        let tables = match node.value {
            Value::List(items) => items,
            _ => vec![node],
        };
        for table in tables {
            let Value::Table(added) = table.value else { continue };
            for entry in added {
                if known.insert(entry.key.clone(), entry.key_span).is_none() {
                    entries.push(entry);
                }
            }
        }
    }
}

/// A word without quotes, as YAML 1.1 and 1.2 agree on it, with the booleans of 1.1.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Value::Boolean(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
            return Value::Boolean(false);
        }
        _ => {}
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Value::Text(text.to_owned());
    }
    let based = |prefix: &str, radix: u32| i64::from_str_radix(text.strip_prefix(prefix)?, radix).ok();
    if let Some(number) = based("0x", 16).or_else(|| based("0o", 8)).or_else(|| text.parse().ok()) {
        return Value::Integer(number);
    }
    match text.parse::<f64>() {
        Ok(number) => Value::Float(number),
        Err(_) => Value::Text(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::config::source::Source;

    fn read(text: &str) -> (Option<Node>, Vec<String>) {
        let report = Report::new(Source::new("config.yaml", text));
        let node = parse(&report);
        let problems = report.into_problems();
        (node, problems.iter().map(|p| format!("{}:{}: {}", p.line, p.column, p.message)).collect())
    }

    fn root(text: &str) -> Vec<Entry> {
        match read(text) {
            (Some(Node { value: Value::Table(entries), .. }), problems) if problems.is_empty() => entries,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn values_have_types_and_places() {
        let text = "é: yes\nb: [1, 2.5, 't', 08x, ~]\nc:\n  d: \"3\"\n";
        let entries = root(text);
        assert_eq!(entries[0].value.value, Value::Boolean(true));
        let Value::List(items) = &entries[1].value.value else { panic!("no list") };
        let values: Vec<&Value> = items.iter().map(|item| &item.value).collect();
        let text_value = |text: &str| Value::Text(text.to_owned());
        assert_eq!(
            values,
            [&Value::Integer(1), &Value::Float(2.5), &text_value("t"), &text_value("08x"), &Value::Null]
        );
        assert_eq!(&text[items[1].span.start..items[1].span.end], "2.5");
        let Value::Table(c) = &entries[2].value.value else { panic!("no table") };
        assert_eq!(&text[c[0].key_span.start..c[0].key_span.end], "d");
        assert_eq!(c[0].value.value, text_value("3"));
    }

    #[test]
    fn every_duplicate_key_is_reported() {
        let (node, problems) = read("a: 1\na: 2\nb: {c: 1, c: 2}\n");
        assert!(node.is_some());
        assert_eq!(problems, ["2:1: `a` is given twice", "3:11: `c` is given twice"]);
    }

    #[test]
    fn aliases_and_merges_work() {
        let entries = root("x: &d {m: t3.large, i: auto}\ny: {<<: *d, i: ami}\nz: *d\n");
        let Value::Table(y) = &entries[1].value.value else { panic!("no table") };
        assert_eq!(y.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>(), ["i", "m"]);
        assert!(matches!(&entries[2].value.value, Value::Table(z) if z.len() == 2));
    }

    #[test]
    fn hostile_files_end_quickly_in_an_error() {
        let mut laughs = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
        for level in 1..12 {
            let list = vec![format!("*a{}", level - 1); 10].join(", ");
            laughs.push_str(&format!("a{level}: &a{level} [{list}]\n"));
        }
        let nested_anchors = (0..20_000).map(|n| format!("&a{n} [")).collect::<String>();
        let chain = (1..20_000).map(|n| format!("a{n}: &a{n} [[*a{}]]\n", n - 1)).collect::<String>();
        let hostile = [
            laughs,
            nested_anchors,
            format!("a0: &a0 1\n{chain}"),
            "[".repeat(100_000),
            "{a: ".repeat(100_000),
            "- ".repeat(100_000),
            "? ".repeat(100_000),
            "&a [*a]".to_owned(),
            format!("x: &x [{}]\ny: [{}]", "1,".repeat(20_000), "*x,".repeat(20_000)),
        ];
        for text in hostile {
            let start = Instant::now();
            let (_, problems) = read(&text);
            assert_eq!(problems.len(), 1, "{:.60}: {problems:?}", text);
            assert!(start.elapsed() < Duration::from_secs(20), "{:.60} took {:?}", text, start.elapsed());
        }
    }

    #[test]
    fn what_is_not_one_plain_document_is_refused() {
        assert_eq!(read("a: 1\n---\nb: 2\n").1, ["2:1: a second document starts here, expected only one"]);
        assert_eq!(read("a: !!python/object:os.system x\n").1.len(), 1);
        assert_eq!(read("a: !include x\n").1, ["1:4: the YAML tag `!include` is not supported"]);
        assert_eq!(read("[a]: 1\n").1, ["1:1: a list cannot be a key"]);
        let (node, problems) = read("a:\n\tb: 1\n");
        assert!(node.is_none());
        assert!(problems[0].contains("cannot be read as YAML"), "{problems:?}");
        assert!(read("").0.is_some_and(|node| node.value == Value::Null));
    }
}
