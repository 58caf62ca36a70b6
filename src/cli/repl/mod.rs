//! `spot repl`: lines of Rhai, run as they are typed.

mod command;
mod complete;
mod help;
mod highlight;
mod line;
mod page;
mod show;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{Config, Editor};

use super::interrupt::{self, Activity};
use super::options::Options;
use crate::error::Error;
use crate::host::{Failure, Host, Reference, Session, Submission};
use crate::ui::{Decision, Environment, Event, Level, Ui, duration, render_table, terminal_size};
use command::Command;
use complete::Words;
use line::Line;
pub(super) use show::shown;

const GREETING: &str = "spot: lines of Rhai; `fleet` is the project's instances.\n\
    help lists the functions, help NAME explains one, Tab completes, Ctrl-D leaves.";
const MORE: &str = "  ... ";

/// How a session ended.
enum End {
    Left,
    /// It is to go on in the sandbox.
    ToSandbox,
}

/// Reads and runs lines until the input ends, or a signal asks for the end.
pub(super) fn run(options: &Options, ui: &Arc<dyn Ui>) -> Result<u8, Failure> {
    let activity = Arc::new(Activity::default());
    ui.emit(Event::message(Level::Info, GREETING));
    let mut options = options.clone();
    loop {
        let sandbox = options.start_sandbox(ui)?;
        let host = options.host(Arc::clone(ui), sandbox.as_ref())?.build()?;
        interrupt::watch(&host, ui, &activity)?;
        match Repl::open(&host, &options, ui)?.run(&activity)? {
            End::ToSandbox => {
                options.sandbox = true;
                ui.emit(Event::message(Level::Info, "in the sandbox from here on; variables start anew"));
            }
            End::Left if activity.is_leaving() => return Ok(Error::interrupted().exit_code()),
            End::Left => return Ok(0),
        }
    }
}

/// A prompt and what is behind it.
struct Repl<'a> {
    ui: &'a Arc<dyn Ui>,
    options: &'a Options,
    decision: Decision,
    reference: Reference,
    session: Session<'a>,
    editor: Editor<Line, DefaultHistory>,
    history: Option<PathBuf>,
    /// The lines that succeeded, for `:save`.
    lines: Vec<String>,
}

impl<'a> Repl<'a> {
    fn open(host: &'a Host, options: &'a Options, ui: &'a Arc<dyn Ui>) -> Result<Self, Failure> {
        let decision = Environment::read().decide(&options.ui());
        let reference = host.reference()?;
        let fail = |error: ReadlineError| Error::internal("the terminal cannot be used").with_source(error);
        let config = Config::builder()
            .auto_add_history(false)
            .completion_type(rustyline::CompletionType::List)
            .completion_show_all_if_ambiguous(true)
            .build();
        let mut editor = Editor::with_config(config).map_err(fail)?;
        editor.set_helper(Some(Line {
            words: Words::of(&reference),
            brackets: rustyline::highlight::MatchingBracketHighlighter::new(),
            color: decision.stdout.style.color,
        }));
        let history = super::options::user_folder().map(|folder| folder.join("history"));
        if let Some(history) = &history {
            // There is none at the first start.
            let _ = editor.load_history(history);
        }
        Ok(Repl {
            ui,
            options,
            decision,
            reference,
            session: host.session(),
            editor,
            history,
            lines: Vec::new(),
        })
    }

    fn run(mut self, activity: &Activity) -> Result<End, Failure> {
        let prompt = if self.options.sandbox { "spot (sandbox)> " } else { "spot> " };
        let mut pending = String::new();
        loop {
            self.refresh_words();
            self.ui.suspend();
            activity.set_idle(true);
            // Asked only now: a signal that came earlier found something running and woke no prompt.
            if activity.is_leaving() {
                break;
            }
            let read = self.editor.readline(if pending.is_empty() { prompt } else { MORE });
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
                if line.trim().is_empty() {
                    continue;
                }
                match Command::parse(&line) {
                    Ok(None) => {}
                    Ok(Some(Command::Quit)) => break,
                    Ok(Some(Command::Sandbox)) if !self.options.sandbox => return Ok(End::ToSandbox),
                    Ok(Some(command)) => {
                        self.remember(line.trim());
                        self.obey(command);
                        continue;
                    }
                    Err(error) => {
                        self.ui.emit(Event::Error(Box::new(Failure::from(error).shown())));
                        continue;
                    }
                }
            }
            pending.push_str(&line);
            pending.push('\n');
            // An empty line ends what cannot be completed, so that a stray bracket is no trap.
            let given_up = line.trim().is_empty();
            let text = pending.trim_end().to_owned();
            if !self.submit(&text) {
                if !given_up {
                    continue;
                }
                let dropped = "the lines so far are not complete; they are dropped";
                self.ui.emit(Event::message(Level::Error, dropped));
            }
            self.remember(&text);
            pending.clear();
        }
        Ok(End::Left)
    }

    /// Runs what was typed. Whether it was complete.
    fn submit(&mut self, text: &str) -> bool {
        match self.session.submit(text) {
            Ok(Submission::Incomplete) => return false,
            Ok(Submission::Value(value)) => {
                self.lines.push(text.to_owned());
                if !value.is_unit() {
                    let value = crate::host::to_json(&value);
                    self.show(if self.options.json { Event::Data(value) } else { shown(value) });
                }
            }
            Err(failure) => self.ui.emit(Event::Error(Box::new(failure.shown()))),
        }
        true
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Help(name) if name.is_empty() => {
                let commands: Vec<String> =
                    command::NAMES.iter().map(|(name, what)| format!("{name:<9} {what}")).collect();
                let text = format!("{}\n\n{}", help::overview(&self.reference), commands.join("\n"));
                self.show(Event::Data(text.into()));
            }
            Command::Help(name) => match help::about(&self.reference, &name) {
                Ok(text) => self.show(Event::Data(text.into())),
                Err(error) => {
                    let (text, hint) = (error.message().to_owned(), error.hint().map(str::to_owned));
                    self.ui.emit(Event::Message { level: Level::Error, text, hint });
                }
            },
            Command::Variables => self.variables(),
            Command::Load(path) => self.load(&path),
            Command::Save(target) => {
                let saved =
                    self.options.project().and_then(|project| command::save(&self.lines, &target, &project));
                match saved {
                    Ok(path) => {
                        let text = format!("{} lines are in {}", self.lines.len(), path.display());
                        self.ui.emit(Event::message(Level::Success, text));
                    }
                    Err(error) => self.ui.emit(Event::Error(Box::new(Failure::from(error).shown()))),
                }
            }
            Command::Time(line) => {
                let started = Instant::now();
                let complete = self.submit(&line);
                let text = match complete {
                    true => duration(started.elapsed().as_secs_f64()),
                    false => "the line is not complete".to_owned(),
                };
                self.ui.emit(Event::message(if complete { Level::Info } else { Level::Error }, text));
            }
            Command::Sandbox => {
                let text = "this is the project's sandbox; `spot sandbox status` tells more";
                self.ui.emit(Event::message(Level::Info, text));
            }
            Command::Quit => {}
        }
    }

    fn variables(&mut self) {
        let mut map = serde_json::Map::new();
        for (name, value) in self.session.variables() {
            map.insert(name, crate::host::to_json(&value));
        }
        if map.is_empty() {
            return self.ui.emit(Event::message(Level::Info, "no variables yet"));
        }
        // Long lists are worth their length only.
        let brief = map.into_iter().map(|(name, value)| match value {
            serde_json::Value::Array(items)
                if items.len() > 3 || items.iter().any(|item| item.is_object()) =>
            {
                (name, format!("a list of {}", items.len()).into())
            }
            value => (name, value),
        });
        self.show(shown(serde_json::Value::Object(brief.collect())));
    }

    fn load(&mut self, path: &Path) {
        let read = std::fs::read_to_string(path)
            .map_err(|error| Error::usage(format!("{} cannot be read", path.display())).with_source(error));
        match read {
            Ok(text) => {
                // The first line may be for the kernel.
                let text = if text.starts_with("#!") { format!("//{text}") } else { text };
                if !self.submit(text.trim_end()) {
                    let text = format!("{} is not complete: a bracket or quote is open", path.display());
                    self.ui.emit(Event::message(Level::Error, text));
                }
            }
            Err(error) => self.ui.emit(Event::Error(Box::new(Failure::from(error).shown()))),
        }
    }

    /// Shows something; through the pager what a screen does not hold.
    fn show(&self, event: Event) {
        let height = terminal_size().map_or(usize::MAX, |(_, rows)| rows.into());
        let sink = &self.decision.stdout;
        let text = match &event {
            _ if !sink.tty || !self.decision.interactive => return self.ui.emit(event),
            Event::Table(table) if table.rows.len() >= height => {
                render_table(table, sink.columns, &sink.style)
            }
            Event::Data(serde_json::Value::String(text)) if text.lines().count() >= height => {
                crate::ui::clean(text).into_owned()
            }
            Event::Data(value) if !value.is_string() => {
                serde_json::to_string_pretty(value).unwrap_or_default()
            }
            _ => return self.ui.emit(event),
        };
        if text.lines().count() < height || !page::page(&text) {
            self.ui.emit(event);
        }
    }

    /// What completion knows changes with every line.
    fn refresh_words(&mut self) {
        let mut variables: Vec<(String, Vec<String>)> = vec![("fleet".to_owned(), Vec::new())];
        for (name, value) in self.session.variables() {
            let keys = match crate::host::to_json(&value) {
                serde_json::Value::Object(map) => map.keys().cloned().collect(),
                _ => Vec::new(),
            };
            variables.retain(|(known, _)| *known != name);
            variables.push((name, keys));
        }
        let instances = self.session.instance_names();
        if let Some(line) = self.editor.helper_mut() {
            line.words.variables = variables;
            line.words.instances = instances;
        }
    }

    /// Keeps a line for the next session at once: not every end of this one can be prepared for.
    fn remember(&mut self, line: &str) {
        let added = self.editor.add_history_entry(line).unwrap_or(false);
        let Some(history) = self.history.as_deref().filter(|_| added) else { return };
        // A history that cannot be kept is no reason to end with an error.
        if let Some(folder) = history.parent() {
            let _ = std::fs::create_dir_all(folder);
        }
        let _ = self.editor.append_history(history);
    }
}
