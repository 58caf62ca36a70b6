//! The text of a configuration file, and what a byte offset in it means to a person.

use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Larger files are refused: no configuration is this long, and parsers need a bound.
const LARGEST_FILE: u64 = 1 << 20;

/// A part of the text, as byte offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Self {
        Span { start: range.start, end: range.end.max(range.start) }
    }
}

/// A span in the terms of a reader: numbers count characters and start at 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Location {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) length: usize,
}

/// The text of one file.
#[derive(Debug, Clone)]
pub(super) struct Source {
    file: PathBuf,
    text: String,
    line_starts: Vec<usize>,
}

impl Source {
    /// The text of a file under the name it has in reports; a byte order mark is dropped.
    pub(super) fn new(file: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        let mut text = text.into();
        if text.starts_with('\u{feff}') {
            text.drain(..'\u{feff}'.len_utf8());
        }
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Source { file: file.into(), text, line_starts }
    }

    /// Reads a file; `Err` is a message and a hint.
    pub(super) fn read(path: &Path, shown_as: &Path) -> Result<Self, (String, Option<String>)> {
        let unreadable = |error: std::io::Error| (format!("cannot be read: {error}"), None);
        let file = std::fs::File::open(path).map_err(unreadable)?;
        if file.metadata().map_err(unreadable)?.is_dir() {
            return Err(("is a folder, expected a file".to_owned(), None));
        }
        let mut bytes = Vec::new();
        file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > LARGEST_FILE {
            return Err((format!("is larger than {} KiB", LARGEST_FILE >> 10), None));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            let line = error.as_bytes().iter().take(valid).filter(|byte| **byte == b'\n').count() + 1;
            (format!("is not UTF-8 text: invalid byte in line {line}"), Some("save it as UTF-8".to_owned()))
        })?;
        Ok(Source::new(shown_as, text))
    }

    /// The name of the file in reports.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// The whole text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The text of a span; empty if the span is not in the text.
    pub(super) fn slice(&self, span: Span) -> &str {
        self.text.get(span.start..span.end).unwrap_or_default()
    }

    /// The bytes of a line (from 1), without its line break.
    pub(super) fn line_range(&self, line: usize) -> Range<usize> {
        let start = self.line_starts.get(line.saturating_sub(1)).copied().unwrap_or(self.text.len());
        let end = self.line_starts.get(line).map_or(self.text.len(), |next| next - 1);
        let end = end.max(start);
        let carriage_return = self.text.get(start..end).is_some_and(|text| text.ends_with('\r'));
        start..end - usize::from(carriage_return)
    }

    /// Where a span starts, and how much of its first line it covers.
    pub(super) fn locate(&self, span: Span) -> Location {
        let mut offset = span.start.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let range = self.line_range(line);
        let characters =
            |from: usize, to: usize| self.text.get(from..to).map_or(0, |text| text.chars().count());
        let column = characters(range.start, offset) + 1;
        let length = characters(offset, span.end.min(range.end)).max(1);
        Location { line, column, length }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locates_in_characters_and_lines() {
        let source = Source::new("f", "a\r\nñb = 1\n\nend");
        let at = |start, end| source.locate(Span { start, end });
        assert_eq!(at(0, 1), Location { line: 1, column: 1, length: 1 });
        assert_eq!(at(5, 6), Location { line: 2, column: 2, length: 1 });
        assert_eq!(at(3, 99), Location { line: 2, column: 1, length: 6 });
        assert_eq!(at(99, 120), Location { line: 4, column: 4, length: 1 });
        assert_eq!(source.slice(Span { start: 3, end: 6 }), "ñb");
        assert_eq!(source.slice(Span { start: 4, end: 6 }), "");
        assert_eq!(source.line_range(1), 0..1);
        assert_eq!(source.line_range(77), source.text().len()..source.text().len());
    }

    #[test]
    fn a_byte_order_mark_does_not_move_the_columns() {
        let source = Source::new("f", "\u{feff}ab");
        assert_eq!(source.text(), "ab");
    }

    #[test]
    fn refuses_what_is_no_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, b"a\nb\xff").unwrap();
        let (message, _) = Source::read(&path, Path::new("f")).unwrap_err();
        assert_eq!(message, "is not UTF-8 text: invalid byte in line 2");
        std::fs::write(&path, vec![b'#'; (LARGEST_FILE + 1) as usize]).unwrap();
        let (message, _) = Source::read(&path, Path::new("f")).unwrap_err();
        assert_eq!(message, "is larger than 1024 KiB");
        assert_eq!(
            Source::read(folder.path(), Path::new("f")).unwrap_err().0,
            "is a folder, expected a file"
        );
    }
}
