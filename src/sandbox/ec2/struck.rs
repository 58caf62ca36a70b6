//! `faults.log`: the faults that were put into force and those that struck, a JSON object per line.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::calls::RecordedCall;
use super::force::Force;
use super::moment::Moment;

/// When the file is longer, it becomes `faults.log.1`, and a new one is begun.
const LONGEST: u64 = 4 << 20;

/// The file, made when there is something to write.
#[derive(Debug)]
pub(super) struct StruckLog {
    path: PathBuf,
    open: Mutex<Option<(File, u64)>>,
}

impl StruckLog {
    /// The log of a folder.
    pub fn new(folder: &Path) -> Self {
        StruckLog { path: folder.join("faults.log"), open: Mutex::new(None) }
    }

    /// Faults were put into force.
    pub fn in_force(&self, force: &Force, now: Moment) {
        let faults = serde_json::to_value(&**force).unwrap_or_default();
        self.write(
            &json!({ "time": now.to_string(), "kind": "in-force", "seed": force.seed, "faults": faults }),
        );
    }

    /// Faults struck a request.
    pub fn struck(&self, kinds: &[&str], call: &RecordedCall, nth: u32, now: Moment) {
        for kind in kinds {
            self.write(&json!({
                "time": now.to_string(),
                "kind": kind,
                "action": call.action,
                "region": call.region,
                "request": call.id,
                "nth": nth,
            }));
        }
    }

    /// Whoever cannot write a log of faults still answers: a failure only means that a line is missing.
    fn write(&self, line: &Value) {
        let line = format!("{line}\n");
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.as_ref().is_some_and(|(_, length)| *length > LONGEST) {
            *open = None;
            let _ = std::fs::rename(&self.path, self.path.with_extension("log.1"));
        }
        if open.is_none() {
            let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&self.path);
            *open = file.ok().and_then(|file| Some((file.metadata().ok()?.len(), file))).map(|(a, b)| (b, a));
        }
        if let Some((file, length)) = open.as_mut()
            && file.write_all(line.as_bytes()).is_ok()
        {
            *length += line.len() as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let log = StruckLog::new(folder.path());
        let line = json!({ "kind": "x".repeat(1 << 20) });
        (0..12).for_each(|_| log.write(&line));
        let length = |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().len();
        assert!(length("faults.log") <= LONGEST + (2 << 20) && length("faults.log.1") <= LONGEST + (2 << 20));
    }
}
