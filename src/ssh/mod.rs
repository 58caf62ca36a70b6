//! SSH and SFTP: waiting for hosts, running commands on them, moving files.
//!
//! [`Ssh`] is the one entry: it keeps one connection per host for a whole run, with any number of
//! commands and transfers on it, and replaces a connection that died. Nothing is read or connected
//! before it is needed. This folder (with `sandbox/`) is the only one that names `russh`.
//!
//! | file | what it holds |
//! |---|---|
//! | `target` | a host to talk to |
//! | `pool`, `session`, `handshake`, `authentication`, `channels` | connections |
//! | `known_hosts`, `keys` | host keys and our own |
//! | `command`, `exec`, `wrapper`, `capture` | running commands |
//! | `transfer`, `upload`, `download`, `survey`, `staging`, `tree`, `sftp` | moving files |
//! | `wait` | until a new instance answers |

mod authentication;
mod capture;
mod channels;
mod command;
mod exec;
mod handshake;
mod keys;
mod known_hosts;
mod pool;
mod private_file;
mod quote;
mod session;
mod target;
mod wrapper;

#[cfg(test)]
mod sshd;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::retry::Retry;

pub use self::command::{Command, Output, Stream};
pub use self::keys::{check_private, generate, public_line};
pub use self::quote::quote;
pub use self::target::Target;
use self::pool::{Attempts, Pool};

/// How to connect to hosts.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Private key files, in the order to try them. Files that do not exist are passed over.
    pub identities: Vec<PathBuf>,
    /// Also try the keys of the agent at `SSH_AUTH_SOCK`, if there is one.
    pub use_agent: bool,
    /// The file that host keys are recorded in, in OpenSSH's format, under the id of the target.
    pub known_hosts: PathBuf,
    /// The limit for each step of connecting: TCP, the key exchange, the login, a channel.
    pub connect_timeout: Duration,
    /// A host that was silent for this long is asked whether it lives; after three questions
    /// without an answer its connection counts as dead.
    pub keepalive: Duration,
    /// How many handshakes may be under way at once; at least 1.
    pub handshakes: usize,
    /// How often a connection is attempted.
    pub retry: Retry,
}

impl Default for Settings {
    /// No keys but those of the agent; `known_hosts` in the current folder's `.spot`.
    fn default() -> Self {
        Settings {
            identities: Vec::new(),
            use_agent: true,
            known_hosts: PathBuf::from(".spot/known_hosts"),
            connect_timeout: Duration::from_secs(10),
            keepalive: Duration::from_secs(30),
            handshakes: 32,
            retry: Retry::default(),
        }
    }
}

/// Connections to hosts. Clones share them.
#[derive(Clone)]
pub struct Ssh(Arc<Pool>);

impl Ssh {
    /// Prepares connections; nothing is read or connected yet. Cancelling `cancel` ends whatever
    /// is under way with [`Error::interrupted`].
    ///
    /// # Errors
    /// Kind `config` if a setting makes no sense.
    pub fn new(settings: Settings, cancel: CancellationToken) -> Result<Ssh> {
        if settings.connect_timeout.is_zero() || settings.keepalive.is_zero() {
            return Err(Error::config("the connect timeout and the keepalive interval must not be zero"));
        }
        Ok(Ssh(Arc::new(Pool::new(settings, cancel))))
    }

    /// Runs a command to its end and returns how it ended, whatever its exit status; every line it
    /// writes is handed to `on_line` as it comes.
    ///
    /// A command is sent at most once: only a connection that fails before that is made again.
    /// A process it leaves behind holding its output open is listened to for a few seconds only.
    ///
    /// # Errors
    /// Kind `timeout`, code `CommandTimeout`: its time is up, and its process group was killed. Kind
    /// `ssh`: no connection (`ConnectionRefused`, `ConnectTimeout`, `KeyRejected`, `HostKeyChanged`,
    /// …), or `SessionLost` while it ran. Kind `usage`: it cannot be passed on.
    pub async fn run(
        &self,
        target: &Target,
        command: &Command,
        on_line: &(dyn Fn(Stream, &str) + Send + Sync),
    ) -> Result<Output> {
        exec::run(&self.0, target, command, Attempts::Policy, on_line).await
    }

    /// Closes the connection to an instance that is gone and forgets its host key. Returns whether
    /// a key was recorded.
    ///
    /// # Errors
    /// Kind `state` if `known_hosts` cannot be read or written.
    pub async fn forget(&self, id: &str) -> Result<bool> {
        self.0.close(id).await;
        let (known, id) = (Arc::clone(&self.0.known), id.to_owned());
        tokio::task::spawn_blocking(move || known.forget(&id))
            .await
            .map_err(|error| Error::internal(format!("forgetting a host key failed: {error}")))?
    }

    /// Closes every connection. A later call makes new ones.
    pub async fn close(&self) {
        self.0.close_all().await;
    }
}
