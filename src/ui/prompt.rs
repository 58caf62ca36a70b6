//! Questions to a person at the terminal, with line editing.

use std::borrow::Cow;
use std::io::Write as _;

use rustyline::config::Configurer as _;
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::history::DefaultHistory;
use rustyline::{Behavior, ColorMode, Completer, Config, Editor, Helper, Hinter, Validator};

use super::measure::width;
use super::question::Prompt;
use crate::error::{Error, Result};

/// The controlling terminal. It is opened by its own name, so that a question is seen and answered
/// even while standard output goes into a file.
#[derive(Default)]
pub(super) struct Tty;

/// Shows spaces in place of what is typed.
#[derive(Completer, Helper, Hinter, Validator)]
struct Masked;

impl Highlighter for Masked {
    fn highlight<'l>(&self, line: &'l str, _position: usize) -> Cow<'l, str> {
        Cow::Owned(" ".repeat(width(line)))
    }

    fn highlight_char(&self, _line: &str, _position: usize, kind: CmdKind) -> bool {
        kind != CmdKind::MoveCursor
    }
}

fn config() -> Config {
    // In raw mode Ctrl-C arrives as a key: the answer to it is an error here, not a signal elsewhere.
    Config::builder().behavior(Behavior::PreferTerm).auto_add_history(false).build()
}

fn unreadable(error: ReadlineError) -> Error {
    match error {
        ReadlineError::Eof | ReadlineError::Interrupted => Error::interrupted(),
        other => Error::internal("cannot read the answer from the terminal").with_source(other),
    }
}

impl Prompt for Tty {
    fn show(&mut self, text: &str) {
        // Nobody to show it to is found out by the reading that follows.
        let _ = std::io::stderr().write_all(text.as_bytes());
    }

    fn line(&mut self, prompt: &str) -> Result<String> {
        let mut editor = Editor::<(), DefaultHistory>::with_config(config()).map_err(unreadable)?;
        editor.readline(prompt).map_err(unreadable)
    }

    fn secret(&mut self, prompt: &str) -> Result<String> {
        // Without line editing there is no masking either: the terminal itself has to stop its echo.
        if std::env::var_os("TERM").is_none_or(|term| term == "dumb" || term == "cons25" || term == "emacs") {
            return rpassword::prompt_password(prompt).map_err(|error| unreadable(ReadlineError::Io(error)));
        }
        let mut editor = Editor::<Masked, DefaultHistory>::with_config(config()).map_err(unreadable)?;
        editor.set_helper(Some(Masked));
        editor.set_color_mode(ColorMode::Forced);
        editor.readline(prompt).map_err(unreadable)
    }
}
