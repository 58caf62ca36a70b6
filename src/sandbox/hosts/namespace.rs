//! The namespaces of one host, and commands that enter them.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use super::faults::DiskFaults;
use super::isolation::Isolation;
use super::layout::Layout;
use super::tending;
use crate::error::{Error, Result};

/// How long setting up the namespaces of a host may take on a loaded machine.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long processes get to be gone after process 1 of their host.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// Running namespaces of a host. Its process 1 ends when this value is dropped, when the pipe to it
/// closes because spot was killed, or when asked to; the kernel then kills all others of the host.
pub(super) struct Namespace {
    isolation: Isolation,
    /// The pid of the `unshare` that holds the namespaces open.
    holder: u32,
    life: Mutex<Life>,
}

/// What keeps process 1 alive. The child is not reaped as long as commands may enter by its pid, so
/// that the pid cannot come to mean another process.
struct Life {
    child: Option<Child>,
    pipe: Option<ChildStdin>,
}

impl Namespace {
    /// Starts the namespaces of a host.
    ///
    /// # Errors
    /// With what the set-up script said, when any step of it failed.
    pub(super) async fn start(isolation: &Isolation, layout: &Layout, hostname: &str) -> Result<Namespace> {
        let _turn = isolation.turn().await;
        let mut command = isolation.create();
        command.args(["sh", "runtime/isolate.sh", hostname]).args(isolation.reduce());
        command.args(["sh", "/run/sandbox/init.sh"]).current_dir(layout.machine());
        let mut command = Command::from(command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| failed("cannot start unshare").with_source(error))?;
        let (pipe, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(holder), Some(pipe), Some(stdout), Some(stderr)) = (child.id(), pipe, stdout, stderr)
        else {
            return Err(failed("unshare ended at once"));
        };
        let mut line = String::new();
        let mut stdout = BufReader::new(stdout);
        let read = tokio::time::timeout(START_LIMIT, stdout.read_line(&mut line)).await;
        if line == "ready\n" {
            let life = Mutex::new(Life { child: Some(child), pipe: Some(pipe) });
            return Ok(Namespace { isolation: isolation.clone(), holder, life });
        }
        if read.is_err() {
            return Err(failed("setting up its namespaces took longer than 30 seconds"));
        }
        let mut said = String::new();
        let _ =
            tokio::time::timeout(Duration::from_secs(1), stderr.take(4096).read_to_string(&mut said)).await;
        Err(failed(said.trim()))
    }

    /// Whether process 1 still runs.
    pub(super) fn is_alive(&self) -> bool {
        let mut life = self.life.lock().unwrap_or_else(PoisonError::into_inner);
        match life.child.as_mut().map(Child::try_wait) {
            Some(Ok(None)) => true,
            Some(_) | None => {
                life.child = None;
                false
            }
        }
    }

    /// The root of the host's files with everything mounted in it, as a path for this process.
    pub(super) fn root(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.holder))
    }

    /// A command that starts a session inside: `KIND NUMBER USER HOME [NAME=VALUE]... -- …` are to be
    /// appended, see `guest/session.sh`. That script exists inside only, so that a command which did
    /// not get there for whatever reason does not run at all.
    pub(super) fn session(&self) -> Command {
        let mut command = self.isolation.enter(self.holder);
        command.args(["sh", "/run/sandbox/session.sh"]);
        Command::from(command)
    }

    /// Makes the disk fail as wanted, or work again.
    ///
    /// # Errors
    /// With what the script said.
    pub(super) async fn set_disk(&self, wanted: &DiskFaults) -> Result<()> {
        let mut command = self.isolation.enter_with_power(self.holder);
        command.args(["sh", "/run/sandbox/disk.sh"]);
        match (wanted.full_after, wanted.broken) {
            (_, true) => command.arg("broken"),
            (Some(bytes), false) => command.arg("full").arg(bytes.to_string()),
            (None, false) => command.arg("well"),
        };
        let mut command = Command::from(command);
        command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
        let failed = |said: &str| Error::internal(format!("the disk could not be changed: {}", said.trim()));
        let output = tokio::time::timeout(START_LIMIT, command.output()).await;
        let output = output
            .map_err(|_| failed("it took longer than 30 seconds"))?
            .map_err(|error| failed("no process can be started").with_source(error))?;
        if output.status.success() { Ok(()) } else { Err(failed(&String::from_utf8_lossy(&output.stderr))) }
    }

    /// Whether nothing runs inside but what set-up leaves there.
    pub(super) fn is_idle(&self) -> bool {
        tending::is_idle(&self.root().join("proc"))
    }

    /// Kills everything inside, without waiting.
    pub(super) fn kill(&self) {
        let mut life = self.life.lock().unwrap_or_else(PoisonError::into_inner);
        life.pipe = None;
        if let Some(child) = life.child.as_mut() {
            let _ = child.start_kill();
        }
    }

    /// Kills everything inside and waits until it is gone.
    pub(super) async fn stop(&self) {
        let child = {
            let mut life = self.life.lock().unwrap_or_else(PoisonError::into_inner);
            life.pipe = None;
            life.child.take()
        };
        let Some(mut child) = child else { return };
        // Process 1 ends by itself once its pipe is closed, and unshare after it, when the kernel has
        // collected every process of the host.
        if tokio::time::timeout(STOP_LIMIT, child.wait()).await.is_err() {
            let _ = child.start_kill();
            let _ = tokio::time::timeout(STOP_LIMIT, child.wait()).await;
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.kill();
    }
}

fn failed(reason: impl AsRef<str>) -> Error {
    Error::internal(format!("the host could not be isolated: {}", reason.as_ref()))
}

/// Whether any process has this folder's files as its root; what tests ask after a halt.
#[cfg(test)]
pub(super) fn inhabited(machine: &std::path::Path) -> bool {
    inhabitants(machine) > 0
}

/// How many processes have this folder's files as their root.
#[cfg(test)]
pub(super) fn inhabitants(machine: &std::path::Path) -> usize {
    let Ok(processes) = std::fs::read_dir("/proc") else { return 0 };
    // The kernel names the source within its file system: the end of the path is what is certain.
    let source: PathBuf =
        machine.join("rootfs").iter().rev().take(4).collect::<Vec<_>>().iter().rev().collect();
    let source = source.to_string_lossy().into_owned();
    let inside = |process: &std::fs::DirEntry| {
        std::fs::read_to_string(process.path().join("mountinfo")).is_ok_and(|mounts| {
            mounts.lines().any(|line| line.split(' ').nth(3).is_some_and(|root| root.ends_with(&source)))
        })
    };
    processes.flatten().filter(inside).count()
}
