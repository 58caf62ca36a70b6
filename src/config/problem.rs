//! What is wrong with a configuration file, and how it is shown to the person who wrote it.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::error::Error;

/// The widest excerpt of a source line that a report shows, in terminal columns.
const EXCERPT_WIDTH: usize = 100;

/// Whether a [`Problem`] stops the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// The configuration can be used, but something in it is probably not what was meant.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        })
    }
}

/// One thing that is wrong with a configuration file, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file, relative to the project if it is inside it.
    pub file: PathBuf,
    /// The line, from 1; 0 when the problem is about the file as a whole.
    pub line: usize,
    /// The column in characters, from 1; 0 when the problem is about the file as a whole.
    pub column: usize,
    /// Whether it stops the run.
    pub severity: Severity,
    /// What is wrong: lowercase, without a full stop.
    pub message: String,
    /// A change to make or a command to run.
    pub hint: Option<String>,
    /// The text of the line, with secrets masked; empty when the problem is about the file, and when
    /// the line has more than 10 000 bytes.
    pub line_text: String,
    /// How many characters of the line are meant, counted from `column`; at least 1.
    pub length: usize,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        if self.line == 0 {
            write!(f, "{}: {file}: {}", self.severity, self.message)?;
        } else {
            write!(f, "{}: {file}:{}:{}: {}", self.severity, self.line, self.column, self.message)?;
        }
        if !self.line_text.is_empty() {
            let number = self.line.to_string();
            let (excerpt, indent, marked) = self.excerpt();
            writeln!(f, "\n  {number} | {excerpt}")?;
            let gutter = " ".repeat(number.len());
            write!(f, "  {gutter} | {}{}", " ".repeat(indent), "^".repeat(marked))?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl Problem {
    /// The part of the line to show, the columns before the mark, and the width of the mark.
    fn excerpt(&self) -> (String, usize, usize) {
        let characters: Vec<char> = self.line_text.chars().collect();
        let start = self.column.saturating_sub(1).min(characters.len());
        let end = (start + self.length).min(characters.len());
        // A very long line is shown from shortly before the mark.
        let first = if self.line_text.width() > EXCERPT_WIDTH { start.saturating_sub(30) } else { 0 };
        let mut excerpt = String::new();
        let (mut indent, mut marked, mut width) = (0, 0, 0);
        if first > 0 {
            excerpt.push('…');
            (indent, width) = (1, 1);
        }
        for (index, character) in characters.iter().enumerate().skip(first) {
            let columns = character.width().unwrap_or(0);
            if width + columns > EXCERPT_WIDTH {
                excerpt.push('…');
                break;
            }
            excerpt.push(*character);
            width += columns;
            if index < start {
                indent += columns;
            } else if index < end {
                marked += columns;
            }
        }
        (excerpt, indent, marked.max(1))
    }
}

/// Everything that is wrong with a configuration, in the order of the file; at least one is an error.
///
/// `Display` is the full report: a paragraph for each problem, separated by empty lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn new(problems: Vec<Problem>) -> Self {
        Problems(problems)
    }

    /// The problems, in the order of the file.
    pub fn as_slice(&self) -> &[Problem] {
        &self.0
    }

    /// How many of them have this severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.0.iter().filter(|problem| problem.severity == severity).count()
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl From<Problems> for Error {
    /// The message counts the problems and lists them; as the source they can be found again by
    /// `downcast_ref::<Problems>()`.
    fn from(problems: Problems) -> Self {
        let file = problems.0.first().map_or_else(String::new, |problem| problem.file.display().to_string());
        let mut found = plural(problems.count(Severity::Error), "error");
        let warnings = problems.count(Severity::Warning);
        if warnings > 0 {
            found = format!("{found} and {}", plural(warnings, "warning"));
        }
        Error::config(format!("{file} cannot be used: {found}\n\n{}", problems.to_string().trim_end()))
            .with_source(problems)
    }
}

fn plural(count: usize, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn problem(line_text: &str, column: usize, length: usize) -> Problem {
        Problem {
            file: PathBuf::from("spot.toml"),
            line: 4,
            column,
            severity: Severity::Error,
            message: "`count` must be from 1 to 1000, found 0".to_owned(),
            hint: Some("write 1".to_owned()),
            line_text: line_text.to_owned(),
            length,
        }
    }

    #[test]
    fn shows_the_line_with_a_caret_under_what_is_meant() {
        assert_eq!(
            problem("count = 0", 9, 1).to_string(),
            "error: spot.toml:4:9: `count` must be from 1 to 1000, found 0\n  \
               4 | count = 0\n    \
                 |         ^\n  \
               hint: write 1"
        );
    }

    #[test]
    fn wide_characters_keep_the_caret_in_place() {
        let report = problem("名 = 0", 5, 1).to_string();
        assert!(report.contains("| 名 = 0\n    |      ^"), "{report}");
    }

    #[test]
    fn long_lines_are_cut_around_the_mark() {
        let line = format!("{}BAD{}", "x".repeat(5000), "y".repeat(5000));
        let report = problem(&line, 5001, 3).to_string();
        assert!(report.lines().all(|line| line.width() < 120), "{report}");
        assert!(report.contains("xxxBADyyy") && report.contains("^^^"), "{report}");
    }

    #[test]
    fn a_mark_beyond_the_line_still_shows_a_caret() {
        assert!(problem("ab", 90, 4).to_string().contains("|   ^"));
    }

    #[test]
    fn becomes_an_error_with_the_report_as_its_cause() {
        let mut warning = problem("b", 1, 1);
        warning.severity = Severity::Warning;
        let error = Error::from(Problems::new(vec![problem("a", 1, 1), warning]));
        assert_eq!(error.kind(), Kind::Config);
        assert_eq!(error.exit_code(), 2);
        assert!(
            error
                .message()
                .starts_with("spot.toml cannot be used: 1 error and 1 warning\n\nerror: spot.toml:4:1: ")
        );
        // The list stands in the message: the cause does not repeat it.
        assert!(error.causes().is_empty());
        let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<Problems>());
        assert_eq!(source.map(|problems| problems.as_slice().len()), Some(2));
    }
}
