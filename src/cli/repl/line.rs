//! The editor's view of a line: colours, brackets, completion, and what a call takes.

use std::borrow::Cow;

use owo_colors::OwoColorize;
use rustyline::completion::{Completer, Pair};
use rustyline::highlight::{CmdKind, Highlighter, MatchingBracketHighlighter};
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};

use super::complete::Words;
use super::highlight::highlight;

/// What the editor asks while a line is typed.
pub(super) struct Line {
    pub words: Words,
    pub brackets: MatchingBracketHighlighter,
    /// Whether escape sequences may be written.
    pub color: bool,
}

impl Completer for Line {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        Ok(self.words.complete(line, position))
    }
}

impl Hinter for Line {
    type Hint = String;

    fn hint(&self, line: &str, position: usize, _: &Context<'_>) -> Option<String> {
        (position == line.len()).then(|| self.words.parameters(line)).flatten().map(str::to_owned)
    }
}

impl Highlighter for Line {
    fn highlight<'l>(&self, line: &'l str, position: usize) -> Cow<'l, str> {
        if !self.color {
            return Cow::Borrowed(line);
        }
        // A bracket under the cursor is more telling than colours.
        match self.brackets.highlight(line, position) {
            Cow::Owned(marked) => Cow::Owned(marked),
            Cow::Borrowed(_) => Cow::Owned(highlight(line)),
        }
    }

    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        if self.color { Cow::Owned(prompt.bold().to_string()) } else { Cow::Borrowed(prompt) }
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        if self.color { Cow::Owned(hint.dimmed().to_string()) } else { Cow::Borrowed(hint) }
    }

    fn highlight_char(&self, line: &str, position: usize, kind: CmdKind) -> bool {
        // Bracket marks come and go with the cursor; colours change with each letter.
        self.brackets.highlight_char(line, position, kind) || self.color && kind != CmdKind::MoveCursor
    }
}

impl Validator for Line {}

impl Helper for Line {}
