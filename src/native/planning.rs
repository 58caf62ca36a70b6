//! Runs that change nothing: plans (`--dry-run`), and runs that may only read (`--read-only`).
//!
//! Calls to the cloud are caught at its transport. What else would change something asks here first;
//! the state is a copy that is thrown away.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tempfile::TempDir;

use crate::cloud::plan::{Call, Mode, Observer, Permission, read_only};
use crate::error::{Error, Result};
use crate::ui::{Event, Ui};

/// After so many pauses a plan has seen what a recipe does over and over.
const MOST_PAUSES: u64 = 25;

/// What of `.spot/` is not copied: it is large, or another process's.
const LEFT_OUT: [&str; 5] = ["sandbox", "backups", "deployments", "lock", "logs"];

/// What a run may change, and what it would have.
#[derive(Default)]
pub(crate) struct Planning {
    mode: Mode,
    observer: Option<Observer>,
    tally: Mutex<Tally>,
    steps: AtomicU64,
    pauses: AtomicU64,
    /// The copy of the state; removed with this.
    _scratch: Option<TempDir>,
}

#[derive(Default)]
struct Tally {
    calls: BTreeMap<String, u64>,
    refused: u64,
    unknown: BTreeSet<String>,
    /// Files that would have been written.
    files: BTreeMap<PathBuf, String>,
}

impl Planning {
    /// A run of a mode, with the copy of the state that it works on, if it must not touch the original.
    ///
    /// # Errors
    /// When the copy cannot be made.
    pub fn new(mode: Mode, observer: Option<Observer>, state: &Path) -> Result<(Self, PathBuf)> {
        if mode == Mode::Act {
            let planning = Planning { observer, ..Planning::default() };
            return Ok((planning, state.to_owned()));
        }
        let fail = |error| Error::state("the state could not be copied").with_source(error);
        let scratch = tempfile::Builder::new().prefix("spot-plan-").tempdir().map_err(fail)?;
        // A new project is named after its folder.
        let whole = std::path::absolute(state).map_err(fail)?;
        let copy = scratch.path().join(whole.file_name().unwrap_or("project".as_ref()));
        copy_state(&whole, &copy).map_err(fail)?;
        Ok((Planning { mode, observer, _scratch: Some(scratch), ..Planning::default() }, copy))
    }

    pub fn mode(&self) -> Mode {
        self.mode
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who is told of calls to the cloud.
    pub fn observer(self: &Arc<Self>, ui: &Arc<dyn Ui>) -> Option<Observer> {
        if !self.mode.is_plan() {
            return self.observer.clone();
        }
        let (planning, ui) = (Arc::clone(self), Arc::clone(ui));
        Some(Arc::new(move |call: &Call| {
            planning.note(call);
            ui.emit(shown(call));
            if let Some(observer) = &planning.observer {
                observer(call);
            }
        }))
    }

    fn note(&self, call: &Call) {
        let mut tally = self.tally();
        *tally.calls.entry(call.action.clone()).or_default() += 1;
        tally.refused += u64::from(call.permission == Some(Permission::Refused));
    }

    /// A pause of the recipe: nothing that a plan does takes time to come true.
    ///
    /// # Errors
    /// When the recipe pauses again and again: what it waits for may never come in a plan.
    pub fn pause(&self) -> Result<()> {
        if self.pauses.fetch_add(1, Ordering::Relaxed) < MOST_PAUSES {
            return Ok(());
        }
        Err(Error::script(format!("the recipe has paused {MOST_PAUSES} times; a plan goes no further"))
            .with_code("PlanEndless")
            .with_hint("what is planned above is what it does before and during these pauses"))
    }

    /// Whether something that changes something is to be done: in a plan it is noted instead.
    ///
    /// # Errors
    /// `ReadOnly` in a run that may only read.
    pub fn may(
        &self,
        ui: &dyn Ui,
        namespace: &str,
        text: impl FnOnce() -> String,
        hosts: Vec<String>,
    ) -> Result<bool> {
        match self.mode {
            Mode::Act => Ok(true),
            Mode::ReadOnly => Err(read_only(&format!("{namespace}: {}", text()))),
            Mode::Plan { .. } => {
                self.steps.fetch_add(1, Ordering::Relaxed);
                ui.emit(Event::PlannedStep { namespace: namespace.to_owned(), text: text(), hosts });
                Ok(false)
            }
        }
    }

    /// Notes that a script compared something that is known only afterwards; whether that is news.
    pub fn note_unknown(&self, place: String) -> bool {
        self.tally().unknown.insert(place)
    }

    /// The text that would have been written to a file.
    pub fn file(&self, path: &Path) -> Option<String> {
        self.tally().files.get(path).cloned()
    }

    /// Whether a folder would be there for the sake of its files.
    pub fn has_below(&self, folder: &Path) -> bool {
        self.tally().files.keys().any(|file| file != folder && file.starts_with(folder))
    }

    /// Notes what would have been written to a file.
    pub fn write(&self, path: PathBuf, text: &str) {
        self.tally().files.insert(path, text.to_owned());
    }

    /// The plan as a whole, and how many calls would be refused.
    pub fn ended(&self, complete: bool, hourly: Option<f64>) -> (Event, u64) {
        let tally = self.tally();
        let event = Event::PlanEnded {
            complete,
            calls: tally.calls.clone(),
            steps: self.steps.load(Ordering::Relaxed),
            hourly,
            unknown: tally.unknown.iter().cloned().collect(),
            refused: tally.refused,
        };
        (event, tally.refused)
    }

    /// Forgets what an earlier run of the same host would have done.
    pub fn begin(&self) {
        let mut tally = self.tally();
        tally.calls.clear();
        tally.unknown.clear();
        tally.refused = 0;
        self.steps.store(0, Ordering::Relaxed);
        self.pauses.store(0, Ordering::Relaxed);
    }
}

fn shown(call: &Call) -> Event {
    let parameters = call.parameters.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str())));
    Event::PlannedCall {
        service: call.service.clone(),
        region: call.region.clone(),
        action: call.action.clone(),
        summary: call.summary(),
        parameters: Value::Object(parameters.collect()),
        permission: call.permission.as_ref().map(|permission| match permission {
            Permission::Permitted => "permitted".to_owned(),
            Permission::Refused => "refused".to_owned(),
            Permission::Unclear(code) => code.clone(),
        }),
    }
}

/// Copies what a run reads of the state, without its lock: again when somebody wrote meanwhile.
fn copy_state(from: &Path, to: &Path) -> std::io::Result<()> {
    const ATTEMPTS: usize = 10;
    std::fs::create_dir_all(to)?;
    let (document, folder) = (from.join("instances.json"), from.join(".spot"));
    let versions = || [document.clone(), folder.join("journal.jsonl")].map(|file| std::fs::read(file).ok());
    for _ in 0..ATTEMPTS {
        let before = versions();
        if document.is_file() {
            std::fs::copy(&document, to.join("instances.json"))?;
        }
        if folder.is_dir() {
            copy_folder(&folder, &to.join(".spot"), &LEFT_OUT)?;
        }
        if versions() == before {
            break;
        }
    }
    Ok(())
}

fn copy_folder(from: &Path, to: &Path, left_out: &[&str]) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if left_out.iter().any(|out| name == *out) {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_folder(&entry.path(), &to.join(&name), &[])?;
        } else if kind.is_file() {
            match std::fs::copy(entry.path(), to.join(&name)) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                copied => drop(copied?),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_has_the_projects_name_and_goes_with_the_plan() {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("web");
        std::fs::create_dir_all(project.join(".spot/sandbox")).unwrap();
        std::fs::write(project.join("instances.json"), "{}").unwrap();
        std::fs::write(project.join(".spot/journal.jsonl"), "").unwrap();
        let mode = Mode::Plan { permissions: false };
        let (planning, copy) = Planning::new(mode, None, &project).unwrap();
        assert_eq!(copy.file_name().unwrap(), "web");
        assert!(copy.join("instances.json").exists() && copy.join(".spot/journal.jsonl").exists());
        assert!(!copy.join(".spot/sandbox").exists());
        drop(planning);
        assert!(!copy.exists());
        let (acting, same) = Planning::new(Mode::Act, None, &project).unwrap();
        assert!(same == project && acting.mode() == Mode::Act);
    }
}
