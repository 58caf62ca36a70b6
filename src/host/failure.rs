//! Why a run failed: our error, the line of the script, and the calls that led there.

use std::fmt;
use std::ops::{Deref, DerefMut};

use rhai::{EvalAltResult, ParseErrorType, Position};

use crate::error::{Error, Kind, PARTIAL_FAILURE, RESOURCES_REMAIN};
use crate::native::{Context, error_of};
use crate::ui::{self, CallFrame, SourceFrame};

/// An error with its place in the scripts; the fields are those of [`Details`].
#[derive(Debug, Clone)]
pub struct Failure(Box<Details>);

/// What there is to know of a [`Failure`].
#[derive(Debug, Clone)]
pub struct Details {
    /// What went wrong.
    pub error: Error,
    /// The line of the script, if it arose in one.
    pub source: Option<SourceFrame>,
    /// The calls that led there, innermost first.
    pub calls: Vec<CallFrame>,
    /// Ids of the instances that the failed run launched and that still exist.
    pub remaining: Vec<String>,
    /// Whether the host's events have shown it.
    shown: bool,
}

impl Deref for Failure {
    type Target = Details;

    fn deref(&self) -> &Details {
        &self.0
    }
}

impl DerefMut for Failure {
    fn deref_mut(&mut self) -> &mut Details {
        &mut self.0
    }
}

impl Failure {
    /// Whether an [`Event::Error`](ui::Event::Error) has already told of it, so that a command line
    /// need not say it again.
    pub fn shown_already(&self) -> bool {
        self.0.shown
    }

    /// Tells of it through an event.
    pub(super) fn show(&mut self, context: &Context) {
        self.0.shown = true;
        context.emit(ui::Event::Error(Box::new(self.shown())));
    }

    /// The process exit code: the error's own, or 5 when the run leaves instances behind.
    pub fn exit_code(&self) -> u8 {
        let keeps = self.error.kind() == Kind::Interrupted || self.error.code() == Some(PARTIAL_FAILURE);
        if keeps || self.remaining.is_empty() {
            return self.error.exit_code();
        }
        self.error.clone().with_code(RESOURCES_REMAIN).exit_code()
    }

    /// The failure in one line, with its code.
    pub fn summary(&self) -> String {
        match self.error.code() {
            Some(code) => format!("{code}: {}", self.error.message()),
            None => self.error.message().to_owned(),
        }
    }

    /// The failure as the terminal shows it.
    pub fn shown(&self) -> ui::Failure {
        let mut shown = ui::Failure::new(&self.error, self.source.clone(), self.calls.clone());
        shown.exit_code = self.exit_code();
        shown
    }

    /// Follows an engine error from the script it was raised in, `origin`, to its innermost place.
    pub(crate) fn of(context: &Context, origin: &str, error: &EvalAltResult) -> Failure {
        let mut origin = origin.to_owned();
        let mut calls = Vec::new();
        let mut inner = error;
        loop {
            let (function, source, next, position) = match inner {
                EvalAltResult::ErrorInFunctionCall(function, source, next, position) => {
                    (function_name(function), source.clone(), next, position)
                }
                EvalAltResult::ErrorInModule(source, next, position) => {
                    ("import".to_owned(), source.clone(), next, position)
                }
                _ => break,
            };
            calls.push(CallFrame {
                function,
                origin: origin.clone(),
                line: position.line().unwrap_or(0),
                column: position.position().unwrap_or(0),
            });
            if !source.is_empty() {
                origin = source;
            }
            inner = next;
        }
        calls.reverse();
        let source = source_frame(context, &origin, inner.position());
        let mut told = error_of(error);
        // A mistake in the configuration has its own place, an interrupt has none, and a flag that was
        // wrong has nothing to do with the text of a built-in recipe.
        let built_in = origin.starts_with("embedded ");
        if matches!(told.kind(), Kind::Config | Kind::Interrupted) || (built_in && told.kind() == Kind::Usage)
        {
            return told.into();
        }
        if let Some(near) = missing_name(inner).and_then(|name| context.similar_word(name)) {
            told = told.with_hint(format!("did you mean `{near}`?"));
        }
        Failure(Box::new(Details { error: told, source, calls, remaining: Vec::new(), shown: false }))
    }
}

/// The name that an error is about, when nothing has it.
fn missing_name(error: &EvalAltResult) -> Option<&str> {
    match error {
        EvalAltResult::ErrorPropertyNotFound(name, _)
        | EvalAltResult::ErrorVariableNotFound(name, _)
        | EvalAltResult::ErrorModuleNotFound(name, _)
        | EvalAltResult::ErrorParsing(
            ParseErrorType::VariableUndefined(name) | ParseErrorType::ModuleUndefined(name),
            _,
        ) => Some(name),
        _ => None,
    }
}

fn function_name(name: &str) -> String {
    if name.starts_with("anon$") { "a closure".to_owned() } else { name.to_owned() }
}

/// The frame of a place in a script that was compiled.
pub(crate) fn source_frame(context: &Context, origin: &str, position: Position) -> Option<SourceFrame> {
    let line = position.line()?;
    let text = context.source_line(origin, line)?;
    let column = position.position().unwrap_or(1).max(1);
    let length = word_length(&text, column);
    Some(SourceFrame { origin: origin.to_owned(), line, column, text, length })
}

/// How many characters belong to the word at a column, so that the caret marks all of it.
fn word_length(text: &str, column: usize) -> usize {
    let word = text.chars().skip(column.saturating_sub(1));
    word.take_while(|letter| letter.is_alphanumeric() || *letter == '_').count().max(1)
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure(Box::new(Details {
            error,
            source: None,
            calls: Vec::new(),
            remaining: Vec::new(),
            shown: false,
        }))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(source) = &self.source {
            write!(f, "{}:{}:{}: ", source.origin, source.line, source.column)?;
        }
        self.error.fmt(f)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.error)
    }
}
