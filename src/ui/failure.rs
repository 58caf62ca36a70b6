//! An uncaught error as it is shown: code, message, source line, call stack, causes, hint.

use std::fmt::Write as _;

use serde::Serialize;

use super::measure::width;
use super::sanitize;
use super::style::{Paint, Style};
use crate::error::Error;

/// Columns that a tab in a source line takes.
const TAB: usize = 4;

/// The line of a script in which an error arose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SourceFrame {
    /// A path, or `embedded recipe create`.
    pub origin: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1; 0 if unknown.
    pub column: usize,
    /// The text of the line.
    pub text: String,
    /// How many characters the caret underlines; at least one is.
    pub length: usize,
}

/// One level of a script's call stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CallFrame {
    /// The function that was being executed.
    pub function: String,
    /// A path, or `embedded stdlib fleet`.
    pub origin: String,
    /// The line, from 1; 0 if unknown.
    pub line: usize,
    /// The column in characters, from 1; 0 if unknown.
    pub column: usize,
}

/// Everything the user is told about an uncaught error.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Failure {
    /// The word of its [`crate::error::Kind`].
    pub kind: &'static str,
    /// The code of the service that refused.
    pub code: Option<String>,
    /// What went wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Why it went wrong, outermost cause first.
    pub causes: Vec<String>,
    /// Whether the same call may succeed when it is made again.
    pub retryable: bool,
    /// The exit code of the process.
    pub exit_code: u8,
    /// Where in the script it arose.
    pub source: Option<SourceFrame>,
    /// The calls that led there, innermost first.
    pub frames: Vec<CallFrame>,
}

impl Failure {
    /// What is to be said about `error`.
    pub fn new(error: &Error, source: Option<SourceFrame>, frames: Vec<CallFrame>) -> Self {
        Failure {
            kind: error.kind().as_str(),
            code: error.code().map(str::to_owned),
            message: error.message().to_owned(),
            hint: error.hint().map(str::to_owned),
            causes: error.causes(),
            retryable: error.is_retryable(),
            exit_code: error.exit_code(),
            source,
            frames,
        }
    }

    /// The error as lines for a person, each ended by a line feed. The texts must be
    /// [neutralised](sanitize::neutralise) already.
    pub(super) fn render(&self, style: &Style) -> String {
        let mut text = String::new();
        let head = match &self.code {
            Some(code) => format!("error[{code}]"),
            None => "error".to_owned(),
        };
        let message = indented(&self.message, "  ");
        let _ = writeln!(
            text,
            "{}{}",
            style.paint(&head, Paint::ERROR),
            style.paint(&format!(": {message}"), Paint::Bold)
        );
        if let Some(source) = &self.source {
            source.render(style, &mut text);
        }
        for frame in &self.frames {
            let _ = writeln!(text, "  in {} {}", style.paint(&frame.function, Paint::Bold), frame.place());
        }
        for cause in &self.causes {
            let _ = writeln!(text, "{} {}", style.paint("cause:", Paint::Bold), indented(cause, "       "));
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(text, "{} {}", style.paint("hint:", Paint::HINT), indented(hint, "      "));
        }
        text
    }
}

/// Renders an error as lines for a person, each ended by a line feed:
///
/// ```text
/// error[InsufficientInstanceCapacity]: us-west-2a has no t3.medium to spare
///   --> recipes/create.rhai:12:13
///    |
/// 12 | let hosts = fleet::launch(plan);
///    |             ^^^^^^^^^^^^^
///   in launch (embedded stdlib fleet:40:9)
/// cause: 3 of 3 zones refused
/// hint: name more types: spot create --types t3.medium,t3a.medium
/// ```
pub fn render_error(
    error: &Error,
    source: Option<&SourceFrame>,
    frames: &[CallFrame],
    style: &Style,
) -> String {
    let mut failure = Failure::new(error, source.cloned(), frames.to_vec());
    sanitize::neutralise_failure(&mut failure);
    failure.render(style)
}

impl SourceFrame {
    fn render(&self, style: &Style, text: &mut String) {
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len());
        let bar = style.paint("|", Paint::Dim);
        let arrow = style.paint("-->", Paint::Dim);
        let column = if self.column > 0 { format!(":{}", self.column) } else { String::new() };
        let _ = writeln!(text, "{gutter}{arrow} {}:{}{column}", self.origin, self.line);
        let _ = writeln!(text, "{gutter} {bar}");
        let _ =
            writeln!(text, "{} {bar} {}", style.paint(&number, Paint::Dim), expanded(self.text.trim_end()));
        if self.column == 0 {
            return;
        }
        let before: String = self.text.chars().take(self.column - 1).collect();
        let marked: String =
            self.text.trim_end().chars().skip(self.column - 1).take(self.length.max(1)).collect();
        // A column beyond the end of the line (an unexpected end) keeps its caret.
        let caret = "^".repeat(width(&expanded(&marked)).max(1));
        let indent = " ".repeat(width(&expanded(&before)));
        let _ = writeln!(text, "{gutter} {bar} {indent}{}", style.paint(&caret, Paint::ERROR));
    }
}

impl CallFrame {
    fn place(&self) -> String {
        match (self.line, self.column) {
            (0, _) => format!("({})", self.origin),
            (line, 0) => format!("({}:{line})", self.origin),
            (line, column) => format!("({}:{line}:{column})", self.origin),
        }
    }
}

fn expanded(text: &str) -> String {
    text.replace('\t', &" ".repeat(TAB))
}

/// The text with every line after the first indented.
fn indented(text: &str, indent: &str) -> String {
    text.trim_end().replace('\n', &format!("\n{indent}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;

    fn capacity() -> (Error, SourceFrame, Vec<CallFrame>) {
        let error = Error::aws("us-west-2a has no t3.medium to spare")
            .with_code("InsufficientInstanceCapacity")
            .with_hint("name more types:\nspot create --types t3.medium,t3a.medium")
            .with_source(Error::aws("3 of 3 zones refused"));
        let source = SourceFrame {
            origin: "recipes/create.rhai".into(),
            line: 12,
            column: 14,
            text: "\tlet 日本 = fleet::launch(plan);".into(),
            length: 13,
        };
        let frames = vec![
            CallFrame {
                function: "launch".into(),
                origin: "embedded stdlib fleet".into(),
                line: 40,
                column: 9,
            },
            CallFrame { function: "deploy".into(), origin: "recipes/create.rhai".into(), line: 0, column: 0 },
        ];
        (error, SourceFrame { column: 11, ..source }, frames)
    }

    #[test]
    fn shows_source_stack_causes_and_hint() {
        let (error, source, frames) = capacity();
        assert_snapshot!(render_error(&error, Some(&source), &frames, &Style::PLAIN), @"
        error[InsufficientInstanceCapacity]: us-west-2a has no t3.medium to spare
          --> recipes/create.rhai:12:11
           |
        12 |     let 日本 = fleet::launch(plan);
           |                ^^^^^^^^^^^^^
          in launch (embedded stdlib fleet:40:9)
          in deploy (recipes/create.rhai)
        cause: 3 of 3 zones refused
        hint: name more types:
              spot create --types t3.medium,t3a.medium
        ");
    }

    #[test]
    fn colour_marks_but_does_not_replace() {
        let (error, source, frames) = capacity();
        let coloured = render_error(&error, Some(&source), &frames, &Style { color: true, unicode: true });
        assert!(coloured.contains("\u{1b}["));
        assert_eq!(sanitize::clean(&coloured), render_error(&error, Some(&source), &frames, &Style::PLAIN));
    }

    #[test]
    fn a_position_beyond_the_line_keeps_its_caret() {
        let source =
            SourceFrame { origin: "a.rhai".into(), line: 3, column: 9, text: "let x =".into(), length: 5 };
        let error = Error::script("unexpected end of the script");
        assert_snapshot!(render_error(&error, Some(&source), &[], &Style::PLAIN), @"
        error: unexpected end of the script
         --> a.rhai:3:9
          |
        3 | let x =
          |        ^
        ");
        let unknown = SourceFrame { column: 0, ..source };
        assert_snapshot!(render_error(&error, Some(&unknown), &[], &Style::PLAIN), @"
        error: unexpected end of the script
         --> a.rhai:3
          |
        3 | let x =
        ");
    }

    #[test]
    fn texts_in_errors_cannot_move_the_cursor() {
        let error = Error::ssh("host said \u{1b}[2Jboo").with_source(Error::ssh("\u{1b}]0;x\u{7}inner"));
        assert_snapshot!(render_error(&error, None, &[], &Style::PLAIN), @"
        error: host said boo
        cause: inner
        ");
    }
}
