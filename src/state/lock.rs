//! One writer at a time, and who it is.
//!
//! The lock is the operating system's (`flock`), so that it goes with its process, however that ends.
//! What stands in the file only tells others whom they are waiting for.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::compact::now;
use super::layout::{Layout, user_name};
use crate::error::{Error, Kind, Result};

/// How often a lock that somebody holds is tried again.
const INTERVAL: Duration = Duration::from_millis(25);
/// How long it is tried at least: asking who holds it takes it for an instant.
const LEAST_WAIT: Duration = Duration::from_millis(50);
/// How much of a command is written down.
const LONGEST_COMMAND: usize = 200;

/// Who writes a project's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The login name.
    pub user: String,
    /// The machine.
    pub host: String,
    /// The process on that machine.
    pub pid: u32,
    /// What was run, `spot run create`.
    pub command: String,
    /// Since when, RFC 3339.
    pub since: String,
}

impl Holder {
    /// This process, running `command`.
    pub(super) fn here(command: &str) -> Self {
        let host = nix::unistd::gethostname().unwrap_or_default().to_string_lossy().into_owned();
        let command = command.chars().filter(|c| !c.is_control()).take(LONGEST_COMMAND).collect();
        let user = user_name(nix::unistd::geteuid().as_raw());
        Holder { user, host, pid: std::process::id(), command, since: now() }
    }

    /// The error for somebody who did not want to wait longer.
    pub(super) fn refusal(&self, layout: &Layout) -> Error {
        let project = layout.project().display();
        let here = Holder::here("");
        let hint = if self.pid == 0 {
            "wait for it and run the command again".to_owned()
        } else if self.host != here.host {
            format!("wait for it, or stop process {} on {}", self.pid, self.host)
        } else if self.pid == here.pid {
            "the same process holds it: use its one `Store` for the project".to_owned()
        } else {
            format!("wait for it, or stop it: `kill {}` (the lock goes with its process)", self.pid)
        };
        Error::new(Kind::Locked, format!("the state of {project} is in use by {self}")).with_hint(hint)
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Holder { user, host, pid, command, since } = self;
        write!(f, "{user}@{host} (process {pid}, `{command}`, since {since})")
    }
}

/// The lock, until it is dropped. The text that is left in the file counts for nothing then.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock, waiting for it up to `wait` and no longer than until `cancelled`; `on_wait` is
    /// told once whom it waits for.
    pub(super) fn take(
        layout: &Layout,
        command: &str,
        wait: Duration,
        on_wait: &dyn Fn(&Holder),
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Self> {
        let path = layout.lock();
        let opened =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = opened.map_err(|e| layout.explain("cannot open", &path, e))?;
        let begin = Instant::now();
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(e)) => return Err(layout.explain("cannot lock", &path, e)),
                Err(TryLockError::WouldBlock) => {}
            }
            if cancelled() {
                return Err(Error::interrupted());
            }
            let waited = begin.elapsed();
            if waited >= LEAST_WAIT {
                let holder = read_text(&file);
                if waited >= wait {
                    return Err(holder.refusal(layout));
                }
                if !told {
                    told = true;
                    on_wait(&holder);
                }
            }
            thread::sleep(INTERVAL.min(wait.max(LEAST_WAIT).saturating_sub(waited)));
        }
        let lock = Lock { file };
        // The text is for people; on a full disk the lock holds without it.
        let _ = lock.write_text(&Holder::here(command));
        Ok(lock)
    }

    fn write_text(&self, holder: &Holder) -> io::Result<()> {
        let text = serde_json::to_vec(holder)?;
        self.file.set_len(0)?;
        (&self.file).rewind()?;
        (&self.file).write_all(&text)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file would release it too, but only once no child process that is just being
        // started has a copy of the descriptor. An error leaves that way.
        let _ = self.file.unlock();
    }
}

/// Who holds the lock at this moment, if anybody does.
pub(super) fn holder(layout: &Layout) -> Result<Option<Holder>> {
    let path = layout.lock();
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(layout.explain("cannot open", &path, e)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(Some(read_text(&file))),
        Err(TryLockError::Error(e)) => Err(layout.explain("cannot query", &path, e)),
    }
}

fn read_text(mut file: &File) -> Holder {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.read_to_string(&mut text));
    let parsed = read.ok().and_then(|_| serde_json::from_str(&text).ok());
    let unknown = || "unknown".to_owned();
    parsed.unwrap_or_else(|| Holder {
        user: unknown(),
        host: unknown(),
        pid: 0,
        command: unknown(),
        since: unknown(),
    })
}
