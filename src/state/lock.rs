//! One writer at a time, and who it is.
//!
//! The lock is the operating system's (`flock`), so that it goes with its process, however that ends.
//! What stands in the file only tells others whom they are waiting for.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
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

/// What this machine can say of the process of a [`Holder`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// It runs here.
    Lives,
    /// It ran here, and does not any more.
    Ended,
    /// It runs, or ran, on another machine, or nobody knows where.
    Elsewhere,
}

impl Holder {
    /// Whether its process lives, as far as this machine can say.
    pub fn life(&self) -> Life {
        let pid = i32::try_from(self.pid).unwrap_or(0);
        if pid == 0 || self.host != Holder::here("").host {
            return Life::Elsewhere;
        }
        match kill(Pid::from_raw(pid), None) {
            Err(Errno::ESRCH) => Life::Ended,
            // That it belongs to somebody else is a sign of life.
            _ => Life::Lives,
        }
    }

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
        let mut file = open(layout)?;
        let begin = Instant::now();
        let mut told = false;
        loop {
            // The lock of a file that was taken away meanwhile protects nothing.
            if !is_current(&file, &path) {
                file = open(layout)?;
            }
            match file.try_lock() {
                Ok(()) if is_current(&file, &path) => break,
                Ok(()) => continue,
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

/// The file of the lock, made if it is absent.
fn open(layout: &Layout) -> Result<File> {
    let path = layout.lock();
    let opened =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    opened.map_err(|e| layout.explain("cannot open", &path, e))
}

/// Whether an open file is still the one at its path.
fn is_current(file: &File, path: &Path) -> bool {
    let identity = |metadata: io::Result<fs::Metadata>| metadata.map(|it| (it.dev(), it.ino())).ok();
    let here = identity(fs::metadata(path));
    here.is_some() && here == identity(file.metadata())
}

/// Takes the lock away from whoever holds it: the next writer locks a new file.
pub(super) fn take_away(layout: &Layout) -> Result<()> {
    let path = layout.lock();
    match fs::remove_file(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(layout.explain("cannot remove", &path, e)),
        _ => Ok(()),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::disk::RealDisk;

    fn take(layout: &Layout, wait: Duration) -> Result<Lock> {
        Lock::take(layout, "spot test", wait, &|_| {}, &|| false)
    }

    #[test]
    fn a_holder_is_alive_ended_or_elsewhere() {
        let here = Holder::here("spot create");
        assert_eq!(here.life(), Life::Lives);
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        assert_eq!(Holder { pid, ..here.clone() }.life(), Life::Ended);
        assert_eq!(Holder { host: "elsewhere".into(), ..here.clone() }.life(), Life::Elsewhere);
        assert_eq!(Holder { pid: 0, ..here.clone() }.life(), Life::Elsewhere);
        assert_eq!(Holder { pid: u32::MAX, ..here }.life(), Life::Elsewhere);
    }

    #[test]
    fn a_lock_that_was_taken_away_is_free_for_the_next_and_for_who_waits() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        layout.prepare(&RealDisk).unwrap();
        let first = take(&layout, Duration::ZERO).unwrap();
        assert_eq!(take(&layout, Duration::ZERO).unwrap_err().kind(), Kind::Locked);
        std::thread::scope(|scope| {
            let (tell, told) = std::sync::mpsc::channel();
            let layout = &layout;
            let waiting = scope.spawn(move || {
                let on_wait = |_: &Holder| tell.send(()).unwrap();
                Lock::take(layout, "waits", Duration::from_secs(60), &on_wait, &|| false)
            });
            told.recv().unwrap();
            take_away(layout).unwrap();
            let second = waiting.join().unwrap().unwrap();
            // The old file is nobody's concern any more.
            drop(first);
            assert_eq!(take(layout, Duration::ZERO).unwrap_err().kind(), Kind::Locked);
            assert_eq!(holder(layout).unwrap().unwrap().command, "waits");
            drop(second);
        });
        take(&layout, Duration::ZERO).unwrap();
    }
}
