//! SSH and SFTP: waiting for hosts, running commands on them, moving files.
//!
//! [`Ssh`] is the one entry: it keeps one connection per host for a whole run, with any number of
//! commands and transfers on it, and replaces a connection that died. Nothing is read or connected
//! before it is needed. This folder (with `sandbox/`) is the only one that names `russh`.
//!
//! | file | what it holds |
//! |---|---|
//! | `target` | a host to talk to |
//! | `route`, `ssh_config` | the way to a host, as `~/.ssh/config` has it |
//! | `pool`, `session`, `stream`, `handshake`, `authentication`, `slots` | connections |
//! | `known_hosts`, `first_contact`, `keys`, `keyring`, `passphrase` | host keys and our own |
//! | `command`, `exec`, `wrapper`, `capture`, `interact`, `fold` | running commands |
//! | `forward` | ports that lead to hosts |
//! | `source`, `exclude`, `tree`, `content` | what is to be sent |
//! | `file`, `folder`, `archive`, `manifest`, `feed` | sending it to a host with a shell |
//! | `transfer`, `upload`, `download`, `survey`, `staging`, `sftp` | other ways of moving files |
//! | `wait` | until a new instance answers |

mod archive;
mod authentication;
mod capture;
mod command;
mod content;
mod download;
mod exclude;
mod exec;
mod feed;
mod file;
mod first_contact;
mod fold;
mod folder;
mod forward;
mod glob;
mod handshake;
mod interact;
mod keyring;
pub mod keys;
mod known_hosts;
mod manifest;
mod passphrase;
mod pool;
mod private_file;
mod quote;
mod route;
mod session;
mod sftp;
mod slots;
mod source;
mod ssh_config;
mod staging;
mod stream;
mod survey;
mod target;
mod transfer;
mod tree;
mod upload;
mod wait;
mod wrapper;

#[cfg(test)]
mod command_tests;
#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod login_tests;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod sshd;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod transfer_faults;
#[cfg(test)]
mod transfer_tests;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::retry::Retry;

pub use self::command::{Command, Output, Stream};
use self::content::Content;
pub use self::first_contact::{FirstContact, Witness};
pub use self::fold::{Group, fold, hosts_in_short};
pub use self::forward::Forwarding;
pub use self::interact::{Ending, Interaction, Size, Terminal};
pub use self::passphrase::Passphrases;
use self::pool::{Attempts, Pool};
pub use self::quote::quote;
use self::sftp::Sftp;
pub use self::source::Source;
pub use self::ssh_config::Files as ConfigFiles;
pub use self::target::Target;
use self::transfer::{Item, ItemKind, remote_path};
pub use self::transfer::{Transfer, Upload, Verify};
pub use self::wait::stage;

/// How to connect to hosts.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Private key files, in the order to try them. Files that do not exist are passed over.
    pub identities: Vec<PathBuf>,
    /// Also try the keys of the agent at `SSH_AUTH_SOCK`, if there is one.
    pub use_agent: bool,
    /// Who tells the passphrases of keys; nobody: they are left to the agent.
    pub passphrases: Option<Passphrases>,
    /// OpenSSH's configuration, which may say more about a host; none: it is not read.
    pub config: Option<ConfigFiles>,
    /// The file that host keys are recorded in, in OpenSSH's format, under the id of the target.
    pub known_hosts: PathBuf,
    /// What is asked of the first key of a host, bastions excepted.
    pub first_contact: FirstContact,
    /// The limit for each step of connecting: TCP, the key exchange, the login, a channel.
    pub connect_timeout: Duration,
    /// A host that was silent for this long is asked whether it lives; after three questions
    /// without an answer its connection counts as dead.
    pub keepalive: Duration,
    /// A connection that nobody has used for this long is closed.
    pub idle: Duration,
    /// How many handshakes may be under way at once; at least 1. A server that drops connections
    /// while others log in is asked for fewer at a time.
    pub handshakes: usize,
    /// How often a connection is attempted.
    pub retry: Retry,
    /// The first pause of [`Ssh::wait`] between two attempts; each further one is half as long again, up
    /// to ten times this.
    pub wait_pause: Duration,
}

impl Default for Settings {
    /// No keys but those of the agent, no configuration of OpenSSH's; `known_hosts` in the current folder's `.spot`.
    fn default() -> Self {
        Settings {
            identities: Vec::new(),
            use_agent: true,
            passphrases: None,
            config: None,
            known_hosts: PathBuf::from(".spot/known_hosts"),
            first_contact: FirstContact::Trust,
            connect_timeout: Duration::from_secs(10),
            keepalive: Duration::from_secs(30),
            idle: Duration::from_secs(10 * 60),
            handshakes: 32,
            retry: Retry { attempts: 5, ..Retry::default() },
            wait_pause: Duration::from_millis(500),
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
        if settings.connect_timeout.is_zero() || settings.keepalive.is_zero() || settings.idle.is_zero() {
            return Err(Error::config("the times of SSH connections must not be zero"));
        }
        Ok(Ssh(Arc::new(Pool::new(settings, cancel))))
    }

    /// Waits until a host lets us in and runs `true`; returns how long that took. After every attempt
    /// that fails, its error is handed to `on_attempt`; [`stage`] says what it means for a new host.
    ///
    /// A host that is not up yet, refuses or drops connections is tried again until the timeout. A
    /// rejected key is final only a minute after the first attempt: cloud-init may not have put ours
    /// in place yet.
    ///
    /// # Errors
    /// Kind `timeout`, code `SshTimeout`: it names the last reason, and its hint is the `ssh` command
    /// to try. Kind `ssh`: what no waiting mends, such as `HostKeyChanged`.
    pub async fn wait(
        &self,
        target: &Target,
        timeout: Duration,
        on_attempt: &(dyn Fn(&Error) + Send + Sync),
    ) -> Result<Duration> {
        wait::wait(&self.0, target, timeout, on_attempt).await
    }

    /// Waits until cloud-init has done its work; a host without cloud-init has none to do.
    ///
    /// # Errors
    /// Code `CloudInitFailed`; `HostKeyForged` if the console, complete by now, tells other keys than the one
    /// that was recorded; kind `timeout`; those of [`Ssh::run`].
    pub async fn wait_for_cloud_init(&self, target: &Target, timeout: Duration) -> Result<()> {
        wait::cloud_init(&self.0, target, timeout).await
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

    /// Connects, so that what follows finds a connection.
    ///
    /// # Errors
    /// Those of connecting, as in [`Ssh::run`].
    pub async fn connect(&self, target: &Target) -> Result<()> {
        self.unless_cancelled(async { self.0.session(target, Attempts::Policy).await.map(drop) }).await
    }

    /// Runs a command, or the login shell, with the input and output of somebody who is there.
    ///
    /// # Errors
    /// Those of [`Ssh::run`] but for time-outs; code `OutputClosed` if nobody reads what it writes.
    pub async fn interact<I, O, E>(
        &self,
        target: &Target,
        interaction: Interaction<I, O, E>,
    ) -> Result<Ending>
    where
        I: tokio::io::AsyncRead + Unpin,
        O: tokio::io::AsyncWrite + Unpin,
        E: tokio::io::AsyncWrite + Unpin,
    {
        interact::interact(&self.0, target, interaction).await
    }

    /// Makes a port of this machine's loopback address lead to a port of a host, until
    /// [`Ssh::close`]; returns its number.
    ///
    /// # Errors
    /// Code `PortUnavailable`, or those of connecting. A port of the host that refuses shows to
    /// whoever connects.
    pub async fn forward(&self, target: &Target, forwarding: Forwarding) -> Result<u16> {
        forward::forward(&self.0, target, forwarding).await
    }

    /// The user that OpenSSH's configuration names for a host, unless it does so for every host.
    ///
    /// # Errors
    /// Kind `config`, naming file and line.
    pub fn configured_user(&self, id: &str, address: &str) -> Result<Option<String>> {
        route::configured_user(self.0.config()?, id, address)
    }

    /// Uploads a file to a path, or the content of a folder, with all below it, into a folder. A path
    /// that ends in `/` is a folder to put the file into; missing folders are made; a path that does
    /// not begin with `/` is in the home folder. `on_progress` hears of bytes sent and bytes to send.
    ///
    /// A file that is there with the same content is not sent again; for folders, the host keeps a
    /// manifest below `.spot/uploads` in the home folder. Every file appears under its name only when
    /// it is complete, a new folder with all that is in it. Links in the folder stay links, and none
    /// on the host below the destination is followed. Files on the host that are not in the folder
    /// are left alone, unless [`Upload::delete`] is set. A large file goes on where a broken
    /// connection stopped, and over several connections at once where the round trip is long.
    ///
    /// # Errors
    /// Kind `usage` if the local files cannot be read, code `SourceChanged` if they change meanwhile;
    /// kind `ssh`, codes `PermissionDenied`, `DiskFull`, `ReadOnly`, `InTheWay`, `SudoFailed`,
    /// `ChecksumMismatch`, `TransferFailed`, `SftpFailed`, or those of [`Ssh::run`].
    pub async fn upload(
        &self,
        target: &Target,
        source: impl Into<Source>,
        remote: &str,
        options: &Upload,
        on_progress: &(dyn Fn(u64, u64) + Send + Sync),
    ) -> Result<Transfer> {
        upload::upload(&self.0, target, &source.into(), remote, options, on_progress).await
    }

    /// Downloads a file to a path (into a folder, if there is one or the path ends in `/`), or the
    /// content of a folder into a folder. `on_progress` hears of bytes fetched and bytes to fetch.
    ///
    /// Nothing is written outside of the local folder, whatever the host says: links that lead out
    /// of it are left out and named in [`Transfer::skipped`].
    ///
    /// # Errors
    /// Kind `usage` if the local files cannot be written; kind `ssh`, codes `NoSuchFile`,
    /// `PermissionDenied`, `UnsafeName`, `SftpFailed`, or those of [`Ssh::run`].
    pub async fn download(
        &self,
        target: &Target,
        remote: &str,
        local: &Path,
        on_progress: &(dyn Fn(u64, u64) + Send + Sync),
    ) -> Result<Transfer> {
        self.unless_cancelled(download::download(&self.0, target, remote, local, on_progress)).await
    }

    /// Reads a file of at most `limit` bytes.
    ///
    /// # Errors
    /// Code `TooLarge` if it has more; else as [`Ssh::download`].
    pub async fn read(&self, target: &Target, remote: &str, limit: u64) -> Result<Vec<u8>> {
        self.unless_cancelled(download::read(&self.0, target, remote, limit)).await
    }

    /// Makes a file have a content; returns whether anything was changed. Without a mode, a file
    /// keeps the one it has, and a new one gets 0644. With `sudo` it is written as root. A link in
    /// its place is replaced.
    ///
    /// # Errors
    /// As [`Ssh::upload`].
    pub async fn write(
        &self,
        target: &Target,
        remote: &str,
        content: &[u8],
        mode: Option<u32>,
        sudo: bool,
    ) -> Result<bool> {
        if mode.is_some_and(|mode| mode > 0o777) {
            return Err(Error::usage("a mode has permission bits only: expected at most 0o777"));
        }
        if remote.ends_with('/') {
            return Err(Error::usage(format!("{remote} is a folder: expected the path of a file")));
        }
        let kind =
            ItemKind::File { content: Content::Bytes(content.into()), size: content.len() as u64, mode };
        let items = vec![Item { path: remote_path(remote)?, kind }];
        Ok(upload::send(&self.0, target, items, sudo, &|_, _| {}).await?.changed())
    }

    /// Whether there is a file, a folder or a link at a path.
    ///
    /// # Errors
    /// As [`Ssh::run`]; code `PermissionDenied` if the login user may not look.
    pub async fn exists(&self, target: &Target, remote: &str) -> Result<bool> {
        let remote = remote_path(remote)?;
        self.unless_cancelled(async { Sftp::open(&self.0, target).await?.exists(&remote).await }).await
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
    async fn unless_cancelled<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.0.cancel.cancelled() => Err(Error::interrupted()),
            result = work => result,
        }
    }
}
