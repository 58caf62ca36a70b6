//! `spot repl`: lines of Rhai, run as they are typed.

use std::borrow::Cow;
use std::sync::Arc;

use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::Validator;
use rustyline::{Config, Context, Editor, Helper};
use serde_json::Value;

use super::interrupt::{self, Activity};
use super::options::Options;
use crate::error::{Error, nearest};
use crate::host::{Failure, Function, Reference, Session, Submission};
use crate::ui::{Event, Level, Ui};

const GREETING: &str =
    "spot: lines of Rhai. `help` lists the functions, `help NAME` explains one, Ctrl-D leaves.";
const PROMPT: &str = "spot> ";
const MORE: &str = "  ... ";

/// Reads and runs lines until the input ends, or a signal asks for the end.
pub(super) fn run(options: &Options, ui: &Arc<dyn Ui>) -> Result<u8, Failure> {
    let sandbox = options.start_sandbox(ui)?;
    let host = options.host(Arc::clone(ui), sandbox.as_ref())?.build()?;
    let activity = Arc::new(Activity::default());
    interrupt::watch(&host, ui, &activity)?;
    let reference = host.reference()?;
    let mut editor = editor(&reference)?;
    let history = super::options::user_folder().map(|folder| folder.join("history"));
    if let Some(history) = &history {
        // There is none at the first start.
        let _ = editor.load_history(history);
    }
    ui.emit(Event::message(Level::Info, GREETING));
    let mut session = host.session();
    let mut pending = String::new();
    while !activity.is_leaving() {
        ui.suspend();
        activity.set_idle(true);
        let read = editor.readline(if pending.is_empty() { PROMPT } else { MORE });
        activity.set_idle(false);
        let line = match read {
            Ok(line) => line,
            Err(ReadlineError::Interrupted | ReadlineError::Signal(_)) => {
                pending.clear();
                continue;
            }
            Err(ReadlineError::Eof) => break,
            // The terminal is gone, and a signal has said so.
            Err(_) if activity.is_leaving() => break,
            Err(error) => {
                return Err(Error::internal("the terminal cannot be read").with_source(error).into());
            }
        };
        if pending.is_empty() {
            match line.trim() {
                "" => continue,
                "exit" | "quit" => break,
                command if command == "help" || command.starts_with("help ") => {
                    remember(&mut editor, history.as_deref(), line.trim());
                    help(ui, &reference, command.trim_start_matches("help").trim());
                    continue;
                }
                _ => {}
            }
        }
        pending.push_str(&line);
        pending.push('\n');
        // An empty line ends what cannot be completed, so that a stray bracket is no trap.
        let given_up = line.trim().is_empty();
        match submit(&mut session, pending.trim_end(), ui) {
            Some(false) if !given_up => continue,
            Some(false) => {
                ui.emit(Event::message(Level::Error, "the lines so far are not complete; they are dropped"))
            }
            _ => {}
        }
        remember(&mut editor, history.as_deref(), pending.trim_end());
        pending.clear();
    }
    Ok(if activity.is_leaving() { Error::interrupted().exit_code() } else { 0 })
}

/// Runs what was typed: `Some(true)` when it is done, `Some(false)` when more is needed.
fn submit(session: &mut Session<'_>, text: &str, ui: &Arc<dyn Ui>) -> Option<bool> {
    match session.submit(text) {
        Ok(Submission::Incomplete) => return Some(false),
        Ok(Submission::Value(value)) if value.is_unit() => {}
        Ok(Submission::Value(value)) => ui.emit(Event::Data(crate::host::to_json(&value))),
        Err(failure) => ui.emit(Event::Error(Box::new(failure.shown()))),
    }
    Some(true)
}

/// Keeps a line for the next session at once: not every end of this one can be prepared for.
fn remember(editor: &mut Editor<Line, DefaultHistory>, history: Option<&std::path::Path>, line: &str) {
    let added = editor.add_history_entry(line).unwrap_or(false);
    let Some(history) = history.filter(|_| added) else { return };
    // A history that cannot be kept is no reason to end with an error.
    if let Some(folder) = history.parent() {
        let _ = std::fs::create_dir_all(folder);
    }
    let _ = editor.append_history(history);
}

fn help(ui: &Arc<dyn Ui>, reference: &Reference, name: &str) {
    let mut text = String::new();
    if name.is_empty() {
        for (namespace, documentation) in &reference.namespaces {
            let of = |function: &&Function| function.namespace.as_deref().unwrap_or_default() == namespace;
            let mut names: Vec<&str> =
                reference.functions.iter().filter(of).map(|f| f.name.as_str()).collect();
            names.dedup();
            if names.is_empty() {
                continue;
            }
            let title = if namespace.is_empty() { String::new() } else { format!("{namespace}:: ") };
            let summary = documentation.lines().next().unwrap_or_default();
            text.push_str(&format!("{title}{summary}\n    {}\n", names.join(" ")));
        }
    } else {
        let found = reference.find(name);
        if found.is_empty() {
            let names: Vec<String> = reference
                .functions
                .iter()
                .map(|function| function.call.split('(').next().unwrap_or_default().to_owned())
                .collect();
            let near = nearest(name, names.iter().map(String::as_str));
            let hint = near.map(|near| format!("did you mean `help {near}`?"));
            let text = format!("there is no function or namespace `{name}`");
            ui.emit(Event::Message { level: Level::Error, text, hint });
            return;
        }
        for function in found {
            text.push_str(&format!("{}\n", function.call));
            for line in function.text.lines() {
                text.push_str(&format!("    {line}\n"));
            }
        }
    }
    ui.emit(Event::Data(Value::from(text.trim_end())));
}

fn editor(reference: &Reference) -> Result<Editor<Line, DefaultHistory>, Failure> {
    let fail = |error: ReadlineError| Error::internal("the terminal cannot be used").with_source(error);
    let config =
        Config::builder().auto_add_history(false).completion_type(rustyline::CompletionType::List).build();
    let mut editor = Editor::with_config(config).map_err(fail)?;
    let mut words: Vec<String> = reference
        .functions
        .iter()
        .map(|function| function.call.split('(').next().unwrap_or_default().to_owned())
        .collect();
    words.push("help".to_owned());
    words.sort();
    words.dedup();
    editor.set_helper(Some(Line { words }));
    Ok(editor)
}

/// Completes names of functions.
struct Line {
    words: Vec<String>,
}

impl Completer for Line {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let before = line.get(..position).unwrap_or(line);
        let start = before
            .rfind(|letter: char| !(letter.is_alphanumeric() || letter == '_' || letter == ':'))
            .map_or(0, |at| at + 1);
        let word = before.get(start..).unwrap_or_default();
        if word.is_empty() {
            return Ok((position, Vec::new()));
        }
        let fits = self.words.iter().filter(|candidate| candidate.starts_with(word));
        Ok((start, fits.map(|word| Pair { display: word.clone(), replacement: word.clone() }).collect()))
    }
}

impl Hinter for Line {
    type Hint = String;
}

impl Highlighter for Line {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        Cow::Borrowed(line)
    }

    fn highlight_char(&self, _: &str, _: usize, _: CmdKind) -> bool {
        false
    }
}

impl Validator for Line {}

impl Helper for Line {}
