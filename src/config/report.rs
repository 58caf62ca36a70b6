//! Collects the problems of one file while it is read, so that all are reported at once.

use std::cell::RefCell;

use super::checks::secrets;
use super::problem::{Problem, Severity};
use super::source::{Source, Span};

/// More problems than this help nobody, and a hostile file could have a million.
const MOST_PROBLEMS: usize = 200;
/// Longer lines, in bytes, are not repeated in a report.
const LONGEST_LINE: usize = 10_000;

/// The problems found so far in one source, and the parts of it that must not be shown.
#[derive(Debug)]
pub(super) struct Report {
    source: Source,
    findings: RefCell<Vec<Finding>>,
    secrets: RefCell<Vec<Span>>,
}

#[derive(Debug)]
struct Finding {
    /// `None`: about the file as a whole.
    at: Option<Span>,
    severity: Severity,
    message: String,
    hint: Option<String>,
}

impl Report {
    pub(super) fn new(source: Source) -> Self {
        Report { source, findings: RefCell::default(), secrets: RefCell::default() }
    }

    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    /// Something that makes the configuration unusable.
    pub(super) fn error(&self, at: Span, message: impl Into<String>, hint: Option<String>) {
        self.add(Some(at), Severity::Error, message.into(), hint);
    }

    /// Something that is probably not what was meant.
    pub(super) fn warning(&self, at: Span, message: impl Into<String>, hint: Option<String>) {
        self.add(Some(at), Severity::Warning, message.into(), hint);
    }

    /// An error about the file as a whole.
    pub(super) fn file_error(&self, message: impl Into<String>, hint: Option<String>) {
        self.add(None, Severity::Error, message.into(), hint);
    }

    /// A warning about the file as a whole.
    pub(super) fn file_warning(&self, message: impl Into<String>, hint: Option<String>) {
        self.add(None, Severity::Warning, message.into(), hint);
    }

    /// An error at a place, or about what no place of this file says.
    pub(super) fn error_at(&self, at: Option<Span>, message: impl Into<String>, hint: Option<String>) {
        self.add(at, Severity::Error, message.into(), hint);
    }

    /// A warning at a place, or about what no place of this file says.
    pub(super) fn warning_at(&self, at: Option<Span>, message: impl Into<String>, hint: Option<String>) {
        self.add(at, Severity::Warning, message.into(), hint);
    }

    /// This part of the file is a secret: no excerpt shows it.
    pub(super) fn conceal(&self, span: Span) {
        self.secrets.borrow_mut().push(span);
    }

    /// Whether nothing has been found so far.
    pub(super) fn is_empty(&self) -> bool {
        self.findings.borrow().is_empty()
    }

    /// Whether further problems are dropped.
    pub(super) fn is_full(&self) -> bool {
        self.findings.borrow().len() >= MOST_PROBLEMS
    }

    fn add(&self, at: Option<Span>, severity: Severity, message: String, hint: Option<String>) {
        if !self.is_full() {
            self.findings.borrow_mut().push(Finding { at, severity, message, hint });
        }
    }

    /// The problems in the order of the file; those about the whole file come first.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        let mut findings = self.findings.take();
        findings.sort_by_key(|finding| finding.at.map(|span| span.start));
        let concealed = joined(self.secrets.take());
        findings.into_iter().map(|finding| problem(&self.source, &concealed, finding)).collect()
    }
}

fn problem(source: &Source, concealed: &[Span], finding: Finding) -> Problem {
    let located = finding.at.map(|span| source.locate(span));
    let line = located.as_ref().map_or(0, |location| location.line);
    Problem {
        file: source.file().to_path_buf(),
        line,
        column: located.as_ref().map_or(0, |location| location.column),
        severity: finding.severity,
        message: printable(&finding.message),
        hint: finding.hint.as_deref().map(printable),
        line_text: if line == 0 { String::new() } else { line_text(source, concealed, line) },
        length: located.map_or(1, |location| location.length),
    }
}

/// Sorted spans that do not overlap.
fn joined(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort();
    spans.dedup_by(|next, kept| {
        let overlaps = next.start < kept.end;
        if overlaps {
            kept.end = kept.end.max(next.end);
        }
        overlaps
    });
    spans
}

/// A line without secrets and without characters that move the cursor, as long as the original;
/// empty if it is too long to be shown.
fn line_text(source: &Source, concealed: &[Span], line: usize) -> String {
    let range = source.line_range(line);
    if range.len() > LONGEST_LINE {
        return String::new();
    }
    let text = source.text().get(range.clone()).unwrap_or_default();
    let masked: String = text
        .char_indices()
        .map(|(at, character)| {
            let offset = range.start + at;
            let before = concealed.partition_point(|span| span.start <= offset);
            let hidden = concealed.get(before.wrapping_sub(1)).is_some_and(|span| offset < span.end);
            if hidden && !matches!(character, '"' | '\'') { '*' } else { character }
        })
        .map(|character| if is_unprintable(character) { ' ' } else { character })
        .collect();
    secrets::mask(&masked)
}

/// Text of the file as it may be shown on a terminal: escape sequences are spelt out.
fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_unprintable(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    secrets::mask(&shown)
}

/// Control characters, and those that change the direction of the text around them.
fn is_unprintable(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str, set_up: impl Fn(&Report)) -> Problem {
        let report = Report::new(Source::new("spot.toml", text));
        set_up(&report);
        report.into_problems().remove(0)
    }

    #[test]
    fn problems_come_in_the_order_of_the_file() {
        let report = Report::new(Source::new("f", "a\nb\n"));
        report.error(Span { start: 2, end: 3 }, "second", None);
        report.warning(Span { start: 0, end: 1 }, "first", None);
        report.file_warning("whole", None);
        let order: Vec<String> = report.into_problems().into_iter().map(|problem| problem.message).collect();
        assert_eq!(order, ["whole", "first", "second"]);
    }

    #[test]
    fn a_concealed_part_is_masked_in_every_excerpt() {
        let problem = one("A = \"hunter2\" # x", |report| {
            report.conceal(Span { start: 4, end: 13 });
            report.error(Span { start: 0, end: 1 }, "bad name", None);
        });
        assert_eq!(problem.line_text, "A = \"*******\" # x");
    }

    #[test]
    fn escape_sequences_never_reach_the_terminal() {
        let problem = one("x = \u{1b}[31m", |report| {
            report.error(Span { start: 0, end: 1 }, "unknown key `\u{1b}[2J`", None);
        });
        assert_eq!(problem.line_text, "x =  [31m");
        assert_eq!(problem.message, "unknown key `\\u{1b}[2J`");
    }

    #[test]
    fn a_hostile_file_cannot_make_an_endless_report() {
        let report = Report::new(Source::new("f", "a"));
        for _ in 0..10_000 {
            report.error(Span::default(), "again", None);
        }
        assert_eq!(report.into_problems().len(), MOST_PROBLEMS);
    }
}
