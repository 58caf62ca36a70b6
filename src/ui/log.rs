//! The record of a run: everything that is shown, and what only `-vv` shows, as a JSON object per line;
//! and what each host printed, in a file of its own.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Ui;
use super::event::{Event, Level, Stream};
use super::json::Line;
use super::lines;
use super::question::{Answer, Question};
use super::sanitize::clean_output;
use crate::error::Result;

/// So many runs are kept; the oldest go first.
const KEPT: usize = 50;
/// What a host prints is written when it is so much, and at the end.
const BUFFER: usize = 8 * 1024;
/// Lines that wait for the project's private folder to come into being. A run that is longer than that
/// without one is of no project.
const WAITING: usize = 10_000;
/// Shorter secrets would mask words.
const SHORTEST_SECRET: usize = 6;
/// What stands for a secret.
const MASK: &str = "********";
/// Variables of the environment whose values are secrets.
const SECRET_VARIABLES: [&str; 2] = ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];

/// Writes down what it passes on.
pub struct Log {
    inner: Arc<dyn Ui>,
    /// The project's private folder. A run that leaves none behind needs no record.
    private: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How many runs are under way, one within the other.
    depth: usize,
    /// The record's name, of the outermost run.
    name: String,
    file: Option<File>,
    waiting: Vec<String>,
    hosts: BTreeMap<String, String>,
    /// Texts that are not written down, as they stand in JSON.
    secrets: Vec<String>,
    /// Said once: there is no record of this run.
    failed: bool,
}

/// The folder of records below the private folder of a project.
pub fn log_folder(private: &Path) -> PathBuf {
    private.join("logs")
}

impl Log {
    /// Passes on to `inner`, with the records below `private`.
    pub fn new(inner: Arc<dyn Ui>, private: PathBuf) -> Self {
        let secrets = SECRET_VARIABLES.iter().filter_map(|name| std::env::var(name).ok());
        let state =
            State { secrets: secrets.filter_map(|secret| in_json(&secret)).collect(), ..State::default() };
        Log { inner, private, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes an event down. A record that cannot be written is told of once and ends no run.
    fn record(&self, event: &Event) {
        let now = jiff::Timestamp::now();
        let mut state = self.state();
        let begins = matches!(event, Event::RunStarted { .. });
        if let Event::RunStarted { recipe, .. } = event
            && state.depth == 0
        {
            state.begin(recipe, now);
        }
        state.depth += usize::from(begins);
        if state.depth == 0 || !is_lasting(event) {
            return;
        }
        // No event holds a map with keys that are not text, which alone could fail here.
        let Ok(text) = serde_json::to_string(&Line { time: format!("{now:.3}"), event }) else { return };
        let text = state.masked(lines::json(&text)) + "\n";
        if let Event::Output { host, stream, line } = event {
            let line = state.masked(clean_output(line));
            let stream = if *stream == Stream::Stderr { " ! " } else { "   " };
            let kept = state.hosts.entry(host.clone()).or_default();
            kept.push_str(&format!("{}{stream}{line}\n", now.strftime("%H:%M:%S")));
        }
        let ends = matches!(event, Event::RunEnded { .. });
        state.depth -= usize::from(ends);
        let over = ends && state.depth == 0;
        if state.failed {
            return;
        }
        let written = state.write(text, &self.private).and_then(|()| state.write_hosts(&self.private, over));
        let written = if over { written.and_then(|()| state.end(&self.private)) } else { written };
        if let Err(error) = written {
            state.failed = true;
            let text =
                format!("this run is not recorded in {}: {error}", log_folder(&self.private).display());
            drop(state);
            self.inner.emit(Event::message(Level::Warning, text));
        }
    }
}

/// Whether an event is worth a line: progress is, at its end.
fn is_lasting(event: &Event) -> bool {
    !matches!(event, Event::Progress { done, total, .. } if *total != Some(*done))
}

/// A secret as it stands in JSON; nothing when it is too short to be one.
fn in_json(secret: &str) -> Option<String> {
    let text = serde_json::to_string(secret).ok().filter(|_| secret.len() >= SHORTEST_SECRET)?;
    Some(text.trim_matches('"').to_owned())
}

impl State {
    fn begin(&mut self, recipe: &str, now: jiff::Timestamp) {
        let safe = |letter: char| {
            if letter.is_ascii_alphanumeric() || "-_.".contains(letter) { letter } else { '_' }
        };
        let recipe: String = recipe.chars().map(safe).take(60).collect();
        let secrets = std::mem::take(&mut self.secrets);
        let name = format!("{}-{recipe}", now.strftime("%Y%m%dT%H%M%S%.3fZ"));
        *self = State { name, secrets, ..State::default() };
    }

    fn masked(&self, text: String) -> String {
        self.secrets.iter().fold(text, |text, secret| {
            if text.contains(secret.as_str()) { text.replace(secret.as_str(), MASK) } else { text }
        })
    }

    fn write(&mut self, text: String, private: &Path) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            return file.write_all(text.as_bytes());
        }
        self.waiting.push(text);
        if !private.is_dir() {
            self.waiting.truncate(WAITING);
            return Ok(());
        }
        let folder = log_folder(private);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let path = folder.join(format!("{}.jsonl", self.name));
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        file.write_all(self.waiting.concat().as_bytes())?;
        self.waiting.clear();
        self.file = Some(file);
        Ok(())
    }

    /// Writes what hosts have printed: what is much, or all of it. Files are not kept open: there may be
    /// more hosts than a process may have files.
    fn write_hosts(&mut self, private: &Path, all: bool) -> io::Result<()> {
        if self.file.is_none() {
            return Ok(());
        }
        let folder = log_folder(private).join(&self.name);
        for (host, text) in &mut self.hosts {
            if text.is_empty() || !all && text.len() < BUFFER {
                continue;
            }
            DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
            let safe = host.replace(['/', '\\'], "_");
            let path = folder.join(format!("{safe}.log"));
            let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
            file.write_all(text.as_bytes())?;
            text.clear();
        }
        Ok(())
    }

    /// Closes the record and removes those that are too many.
    fn end(&mut self, private: &Path) -> io::Result<()> {
        if self.file.take().is_none() {
            return Ok(());
        }
        let mut names: Vec<PathBuf> = fs::read_dir(log_folder(private))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
            .collect();
        names.sort();
        let surplus = names.len().saturating_sub(KEPT);
        for path in names.into_iter().take(surplus) {
            // Another run may be removing the same.
            let _ = fs::remove_file(&path);
            let _ = fs::remove_dir_all(path.with_extension(""));
        }
        Ok(())
    }
}

impl Ui for Log {
    fn emit(&self, event: Event) {
        self.record(&event);
        self.inner.emit(event);
    }

    fn ask(&self, question: &Question) -> Result<Answer> {
        let answer = self.inner.ask(question)?;
        if let Answer::Secret(secret) = &answer {
            self.conceal(secret);
        }
        Ok(answer)
    }

    fn conceal(&self, secret: &str) {
        self.state().secrets.extend(in_json(secret));
        self.inner.conceal(secret);
    }

    fn has_listener(&self) -> bool {
        self.inner.has_listener()
    }

    fn suspend(&self) {
        self.inner.suspend();
    }

    fn resume(&self) {
        self.inner.resume();
    }

    fn finish(&self) {
        self.inner.finish();
    }

    fn broken(&self) -> bool {
        self.inner.broken()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::{Recorder, samples};
    use std::os::unix::fs::PermissionsExt;

    fn started(recipe: &str) -> Event {
        Event::RunStarted { recipe: recipe.into(), origin: "embedded".into(), spot_version: "0".into() }
    }

    fn ended(recipe: &str) -> Event {
        Event::RunEnded { recipe: recipe.into(), ok: true, exit_code: 0, seconds: 1.0, timeline: vec![] }
    }

    fn output(host: &str, line: &str) -> Event {
        Event::Output { host: host.into(), stream: Stream::Stdout, line: line.into() }
    }

    fn records(private: &Path) -> Vec<PathBuf> {
        let mut paths: Vec<_> = fs::read_dir(log_folder(private))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_file())
            .collect();
        paths.sort();
        paths
    }

    #[test]
    fn a_run_is_written_down_whole_and_passed_on() {
        let folder = tempfile::tempdir().unwrap();
        let private = folder.path().join(".spot");
        let shown = Arc::new(Recorder::default());
        let log = Log::new(Arc::clone(&shown) as Arc<dyn Ui>, private.clone());
        log.emit(Event::message(Level::Info, "before"));
        log.emit(started("../create"));
        // The private folder comes into being while the run goes on.
        log.emit(output("i-1", "one\u{1b}[31m"));
        assert!(!private.exists());
        fs::create_dir(&private).unwrap();
        log.emit(started("part"));
        samples::every_kind()
            .into_iter()
            .filter(|event| !matches!(event, Event::RunStarted { .. } | Event::RunEnded { .. }))
            .for_each(|event| log.emit(event));
        log.emit(ended("part"));
        log.emit(output("../i-2", "two"));
        log.emit(ended("create"));
        let [record] = &records(&private)[..] else { panic!("{:?}", records(&private)) };
        assert_eq!(fs::metadata(record).unwrap().permissions().mode() & 0o777, 0o600);
        let text = fs::read_to_string(record).unwrap();
        assert!(!text.contains("before") && !text.contains('\u{1b}'), "{text}");
        assert!(text.contains("\"request_id\":\"8a6b0c1d\""), "{text}");
        assert!(text.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
        let hosts = record.with_extension("");
        assert!(fs::read_to_string(hosts.join("i-1.log")).unwrap().contains("   one\n"));
        assert!(fs::read_to_string(hosts.join(".._i-2.log")).unwrap().contains("   two\n"));
        assert!(shown.events().len() > 10);
    }

    #[test]
    fn secrets_are_masked() {
        let folder = tempfile::tempdir().unwrap();
        let shown = Arc::new(Recorder::with_answers([Answer::Secret("s3cr\"et-word".into())]));
        let log = Log::new(shown, folder.path().to_owned());
        log.emit(started("r"));
        log.ask(&Question::Secret { text: "which?".into() }).unwrap();
        log.conceal("short");
        log.emit(Event::message(Level::Info, "it is s3cr\"et-word, short"));
        log.emit(output("i-1", "again s3cr\"et-word"));
        log.emit(ended("r"));
        let text = fs::read_to_string(&records(folder.path())[0]).unwrap();
        assert!(!text.contains("et-word") && text.contains("it is ********, short"), "{text}");
    }

    #[test]
    fn the_oldest_records_go() {
        let folder = tempfile::tempdir().unwrap();
        let logs = log_folder(folder.path());
        fs::create_dir_all(logs.join("20200101T000000.000Z-old")).unwrap();
        for number in 0..KEPT {
            fs::write(logs.join(format!("20200101T000000.{number:03}Z-old.jsonl")), "").unwrap();
        }
        let log = Log::new(Arc::new(Recorder::default()), folder.path().to_owned());
        log.emit(started("r"));
        log.emit(ended("r"));
        let left = records(folder.path());
        assert_eq!(left.len(), KEPT);
        assert!(left[0].to_string_lossy().contains(".001Z"), "{left:?}");
        assert!(!logs.join("20200101T000000.000Z-old").exists());
    }

    #[test]
    fn a_record_that_cannot_be_written_is_told_of_once() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(log_folder(folder.path()), "in the way").unwrap();
        let shown = Arc::new(Recorder::default());
        let log = Log::new(Arc::clone(&shown) as Arc<dyn Ui>, folder.path().to_owned());
        log.emit(started("r"));
        log.emit(output("i-1", "x"));
        log.emit(ended("r"));
        let warnings = shown
            .events()
            .into_iter()
            .filter(|event| matches!(event, Event::Message { level: Level::Warning, .. }));
        assert_eq!(warnings.count(), 1);
    }
}
