//! One host: its keys, its listener, its namespaces.

use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::symlinkat;
use russh::keys::{Algorithm, PrivateKey, PublicKey};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::cloud_init;
use super::faults::{CommandFault, DiskFaults, HostFaults};
use super::isolation::Isolation;
use super::layout::Layout;
use super::namespace::Namespace;
use super::quota::Quota;
use super::server::{self, Connection};
use super::spec::HostSpec;
use super::tree::{Files, Tree};
use super::trouble::Trouble;
use super::user_data::UserData;
use crate::error::{Error, Result};

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 128;
/// How long to wait after a refusal of the system.
const PAUSE: Duration = Duration::from_millis(50);
/// Where stand-ins write down what they were asked for.
const COMMANDS: &str = "/var/log/sandbox/commands.jsonl";
/// Where `shutdown` and timers that end the machine write down what they were told.
const POWER_OFF: &str = "/var/lib/sandbox/power";
const MAX_POWER_OFF: u64 = 200;
/// No more of it is read.
const MAX_COMMANDS: u64 = 16 * 1024 * 1024;
/// An `authorized_keys` larger than this is not read.
const MAX_KEYS: u64 = 256 * 1024;

/// Somebody who may log in.
#[derive(Debug, Clone)]
pub(super) struct Account {
    /// The name.
    pub(super) name: String,
    /// The public keys given from outside, in OpenSSH format.
    pub(super) authorized_keys: Vec<String>,
}

impl Account {
    /// The home folder inside the host.
    pub(super) fn home(&self) -> String {
        if self.name == "root" { "/root".to_string() } else { format!("/home/{}", self.name) }
    }
}

/// A host that was booted and not halted since.
pub(super) struct Host {
    spec: HostSpec,
    layout: Layout,
    isolation: Isolation,
    accounts: Vec<Account>,
    user_data: Result<UserData>,
    server: Arc<russh::server::Config>,
    /// The public half of its host key, as a line of OpenSSH's.
    public_key: String,
    /// With another host key.
    impostor: OnceLock<Arc<russh::server::Config>>,
    trouble: Arc<Trouble>,
    quota: Arc<Quota>,
    /// Whether there is more on its disk than may be.
    full: AtomicBool,
    /// Held while what the disk can do is being changed.
    disk: tokio::sync::Mutex<DiskFaults>,
    namespace: Mutex<Option<Arc<Namespace>>>,
    /// Held while namespaces are being started.
    starting: tokio::sync::Mutex<()>,
    sessions: AtomicU64,
    halted: CancellationToken,
}

impl Host {
    /// Prepares the files and keys of a host; blocks.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub(super) fn prepare(spec: HostSpec, isolation: Isolation) -> Result<Host> {
        let user_data = UserData::parse(spec.user_data.as_deref());
        let accounts = accounts(&spec, user_data.as_ref().ok());
        let layout = Layout::new(&spec.folder);
        layout.prepare(&spec, &accounts, isolation.identity())?;
        let key = host_key(&layout.host_key())?;
        let public_key = key.public_key().to_openssh().unwrap_or_default();
        Ok(Host {
            server: Arc::new(server::config(key)),
            public_key,
            impostor: OnceLock::new(),
            trouble: Arc::new(Trouble::new(spec.faults.clone()).with_output_rate(spec.limits.output_rate)),
            quota: Arc::new(Quota::new(spec.limits.disk, vec![layout.rootfs(), layout.local()])),
            full: AtomicBool::new(false),
            disk: tokio::sync::Mutex::default(),
            spec,
            layout,
            isolation,
            accounts,
            user_data,
            namespace: Mutex::new(None),
            starting: tokio::sync::Mutex::new(()),
            sessions: AtomicU64::new(0),
            halted: CancellationToken::new(),
        })
    }

    /// What the host is.
    pub(super) fn spec(&self) -> &HostSpec {
        &self.spec
    }

    /// What it has printed at the end of its boot: its own host key, as cloud-init prints it, whatever key
    /// is shown at its address.
    pub(super) fn console(&self) -> String {
        if self.spec.faults.never_boots || self.spec.clock.now() < self.spec.booted() {
            return String::new();
        }
        format!(
            "-----BEGIN SSH HOST KEY KEYS-----\r\n{} root@{}\r\n-----END SSH HOST KEY KEYS-----\r\n",
            self.public_key.trim_end(),
            self.spec.hostname()
        )
    }

    /// Where its files are.
    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What its user data asks for, or why it cannot be understood.
    pub(super) fn user_data(&self) -> &Result<UserData> {
        &self.user_data
    }

    /// Resolves when the host is being halted.
    pub(super) fn halted(&self) -> &CancellationToken {
        &self.halted
    }

    /// A number for a session, unique until the host is halted.
    pub(super) fn next_session(&self) -> u64 {
        self.sessions.fetch_add(1, Ordering::Relaxed)
    }

    /// Takes the address of the host. Nothing listens there yet: connections are refused.
    ///
    /// # Errors
    /// When the address belongs to somebody else.
    pub(super) fn bind(&self) -> Result<TcpSocket> {
        let address = SocketAddr::from((self.spec.address, self.spec.port));
        let bind = || {
            let socket = TcpSocket::new_v4()?;
            // A host that is halted and started again finds connections of its former life.
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            Ok(socket)
        };
        bind().map_err(|error: std::io::Error| {
            Error::config(format!("{}: cannot listen on {address}: {error}", self.spec.id))
                .with_hint("stop the sandbox that uses this address, or choose another port")
                .with_source(error)
        })
    }

    /// Boots: waits for the boot time, then answers SSH and runs the user data, until halted.
    pub(super) async fn run(self: Arc<Self>, socket: TcpSocket) {
        let halted = self.halted.clone();
        halted.run_until_cancelled(self.boot(socket)).await;
    }

    async fn boot(self: Arc<Self>, socket: TcpSocket) {
        if self.spec.faults.never_boots {
            // The socket is kept, without listening, so that nobody else answers at this address.
            return std::future::pending().await;
        }
        self.spec.clock.sleep_until(self.spec.booted()).await;
        tokio::join!(self.clone().accept(socket), cloud_init::run(&self));
    }

    async fn accept(self: Arc<Self>, socket: TcpSocket) {
        let mut changes = self.trouble.changes();
        let mut socket = Some(socket);
        loop {
            if changes.borrow_and_update().refuses {
                // Bound, so that the address stays ours, and not listening.
                socket = socket.or_else(|| self.bind().ok());
                if changes.changed().await.is_err() {
                    return;
                }
                continue;
            }
            match socket.take().map_or_else(|| self.bind(), Ok).map(|socket| socket.listen(BACKLOG)) {
                Ok(Ok(listener)) => self.serve(&listener, &mut changes).await,
                // Connections of before may still be closing.
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Accepts connections until the port is to refuse them.
    async fn serve(self: &Arc<Self>, listener: &TcpListener, changes: &mut watch::Receiver<Arc<HostFaults>>) {
        loop {
            let accepted = tokio::select! {
                changed = changes.wait_for(|faults| faults.refuses) => {
                    drop(changed);
                    return;
                }
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let _ = stream.set_nodelay(true);
                    tokio::spawn(Connection::new(self.clone(), peer).serve(stream));
                }
                // Out of descriptors, most likely: what is open now will be closed.
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// How much of the disk it may have.
    pub(super) fn quota(&self) -> &Arc<Quota> {
        &self.quota
    }

    /// Says whether there is more on its disk than may be; whether that is news. While it is so, commands
    /// cannot make any file larger.
    pub(super) fn set_full(&self, full: bool) -> bool {
        let limits = if full { self.spec.limits.for_full_disk() } else { self.spec.limits.for_shell() };
        if self.full.swap(full, Ordering::Relaxed) == full {
            return false;
        }
        // Without it, what writes next is killed again.
        let _ = self.layout.tell_limits(&limits);
        true
    }

    /// Held while namespaces are being started or ended.
    pub(super) fn starting(&self) -> &tokio::sync::Mutex<()> {
        &self.starting
    }

    /// Where the running namespaces are kept.
    pub(super) fn slot(&self) -> &Mutex<Option<Arc<Namespace>>> {
        &self.namespace
    }

    /// What goes wrong on purpose.
    pub(super) fn trouble(&self) -> &Arc<Trouble> {
        &self.trouble
    }

    /// What goes wrong with it now.
    pub(super) fn faults(&self) -> HostFaults {
        HostFaults::clone(&self.trouble.now())
    }

    /// Changes what goes wrong on purpose.
    ///
    /// # Errors
    /// When the disk of the host cannot be made to fail.
    pub(super) async fn set_faults(&self, faults: HostFaults) -> Result<()> {
        self.spoil_commands(&faults.commands).await?;
        self.trouble.set(faults);
        // Not while namespaces come or go.
        let _starting = self.starting.lock().await;
        match self.running() {
            Some(namespace) => self.spoil_disk(&namespace).await,
            None => Ok(()),
        }
    }

    /// Makes commands fail as wanted, from the next one on.
    ///
    /// # Errors
    /// When that cannot be written down where they look.
    pub(super) async fn spoil_commands(&self, faults: &[CommandFault]) -> Result<()> {
        let failed = |error: std::io::Error| {
            Error::config(format!("{}: cannot write the faults of its commands: {error}", self.spec.id))
                .with_source(error)
        };
        let (layout, written) = (self.layout.clone(), faults.to_vec());
        let done = tokio::task::spawn_blocking(move || layout.tell_command_faults(&written)).await;
        done.map_err(|error| Error::internal("a task was lost").with_source(error))?.map_err(failed)?;
        let local = self.open_files(self.layout.local()).await?;
        for fault in faults {
            // A command without a stand-in gets one that goes on to the real one when it is not to fail.
            let path = format!("bin/{}", fault.command);
            let linked = local.with(move |tree| {
                let (folder, name) = tree.parent(&path)?;
                match symlinkat("/run/sandbox/real.sh", &folder, name) {
                    Err(Errno::EEXIST) => Ok(()),
                    result => result,
                }
            });
            linked.await.map_err(|error| failed(error.into()))?;
        }
        Ok(())
    }

    /// What the stand-ins were asked for so far.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub(super) async fn commands(&self) -> Result<String> {
        let root = self.running().map_or_else(|| self.layout.rootfs(), |namespace| namespace.root());
        let read = self.open_files(root).await?.with(|tree| read_text(tree, COMMANDS, MAX_COMMANDS)).await;
        match read {
            Err(Errno::ENOENT) => Ok(String::new()),
            result => result.map_err(|error| {
                Error::config(format!("{}: cannot read {COMMANDS}: {error}", self.spec.id)).with_source(error)
            }),
        }
    }

    /// What the host was told about shutting itself down, if it was.
    pub(super) async fn power_off(&self) -> Option<String> {
        // Looked at often, and hardly ever there: the guarded way in is for when it is.
        let path = self.layout().rootfs().join(POWER_OFF.trim_start_matches('/'));
        path.symlink_metadata().ok()?;
        let root = self.running().map_or_else(|| self.layout.rootfs(), |namespace| namespace.root());
        let files = self.open_files(root).await.ok()?;
        let text = files.with(|tree| read_text(tree, POWER_OFF, MAX_POWER_OFF)).await.ok()?;
        text.lines().next().map(str::to_owned)
    }

    /// Makes the disk as bad as it is to be.
    async fn spoil_disk(&self, namespace: &Namespace) -> Result<()> {
        let wanted = self.trouble.now().disk.clone();
        let mut now = self.disk.lock().await;
        if (now.full_after, now.broken) == (wanted.full_after, wanted.broken) {
            return Ok(());
        }
        namespace.set_disk(&wanted).await.map_err(|error| error.context(&self.spec.id))?;
        *now = wanted;
        Ok(())
    }

    /// The configuration of the next connection.
    pub(super) fn server(&self) -> Result<Arc<russh::server::Config>> {
        if !self.trouble.now().other_host_key {
            return Ok(self.server.clone());
        }
        if let Some(impostor) = self.impostor.get() {
            return Ok(impostor.clone());
        }
        let key = host_key(&self.layout.host_key().with_extension("other"))?;
        Ok(self.impostor.get_or_init(|| Arc::new(server::config(key))).clone())
    }

    /// The account of this name.
    pub(super) fn account(&self, name: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.name == name)
    }

    /// Whether the key opens the account: it was given from outside, or stands in the account's
    /// `authorized_keys` inside.
    pub(super) async fn admits(&self, name: &str, key: &PublicKey) -> bool {
        let Some(account) = self.account(name) else { return false };
        if account.authorized_keys.iter().any(|line| is_key(line, key)) {
            return true;
        }
        let path = format!("{}/.ssh/authorized_keys", account.home());
        let Ok(files) = self.open_files(self.layout.rootfs()).await else { return false };
        let text = files.with(move |tree| read_text(tree, &path, MAX_KEYS));
        text.await.is_ok_and(|text| text.lines().any(|line| is_key(line, key)))
    }

    /// The namespaces of the host, started now if this is the first use or the last ones ended.
    ///
    /// # Errors
    /// When they cannot be set up, or the host is being halted.
    pub(super) async fn namespace(self: &Arc<Self>) -> Result<Arc<Namespace>> {
        if let Some(running) = self.running() {
            return Ok(running);
        }
        let _starting = self.starting.lock().await;
        if self.halted.is_cancelled() {
            return Err(Error::internal(format!("{} is being halted", self.spec.id)));
        }
        if let Some(running) = self.running() {
            return Ok(running);
        }
        let started = Namespace::start(&self.isolation, &self.layout, &self.spec.hostname()).await;
        let started = Arc::new(started.map_err(|error| error.context(&self.spec.id))?);
        *self.disk.lock().await = DiskFaults::default();
        self.spoil_disk(&started).await?;
        *self.namespace.lock().unwrap_or_else(PoisonError::into_inner) = Some(started.clone());
        let tending = self.clone().tend(started.clone());
        let halted = self.halted.clone();
        tokio::spawn(async move { halted.run_until_cancelled(tending).await });
        Ok(started)
    }

    fn running(&self) -> Option<Arc<Namespace>> {
        let namespace = self.namespace.lock().unwrap_or_else(PoisonError::into_inner).clone();
        namespace.filter(|namespace| namespace.is_alive())
    }

    /// The files of the host with everything that is mounted in them, and what keeps it mounted.
    ///
    /// # Errors
    /// When the namespaces cannot be set up.
    pub(super) async fn files(self: &Arc<Self>) -> Result<(Files, Arc<Namespace>)> {
        let namespace = self.namespace().await?;
        Ok((self.open_files(namespace.root()).await?, namespace))
    }

    async fn open_files(&self, root: PathBuf) -> Result<Files> {
        let identity = self.isolation.identity();
        tokio::task::spawn_blocking(move || Files::open(&root, identity))
            .await
            .map_err(|error| Error::internal("a task was lost").with_source(error))?
            .map_err(|error| {
                Error::internal(format!("{}: cannot open its files", self.spec.id)).with_source(error)
            })
    }

    /// Ends the host: nothing listens and no process of it is left when this returns.
    pub(super) async fn halt(&self) {
        self.halted.cancel();
        let _starting = self.starting.lock().await;
        let namespace = self.namespace.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(namespace) = namespace {
            self.end_namespace(&namespace).await;
        }
    }

    /// Ends namespaces, and keeps what was written to a disk that is full on purpose.
    pub(super) async fn end_namespace(&self, namespace: &Namespace) {
        let mut disk = self.disk.lock().await;
        if disk.full_after.is_some() {
            // What cannot be kept is lost with the disk that failed.
            let _ = namespace.set_disk(&DiskFaults::default()).await;
        }
        *disk = DiskFaults::default();
        namespace.stop().await;
    }

    /// Ends the host as far as that goes without waiting.
    pub(super) fn kill(&self) {
        self.halted.cancel();
        if let Some(namespace) = self.namespace.lock().unwrap_or_else(PoisonError::into_inner).take() {
            namespace.kill();
        }
    }
}

/// The beginning of a text file inside the host.
fn read_text(tree: &Tree, path: &str, most: u64) -> nix::Result<String> {
    let file = tree.file(path, OFlag::O_RDONLY, Mode::empty())?;
    let mut text = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(file, most), &mut text)
        .map_err(super::tree::errno)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The main account and those of the user data, with their keys.
fn accounts(spec: &HostSpec, user_data: Option<&UserData>) -> Vec<Account> {
    let mut accounts =
        vec![Account { name: spec.user.clone(), authorized_keys: spec.authorized_keys.clone() }];
    let configs = user_data.into_iter().flat_map(UserData::flat).filter_map(|part| match part {
        UserData::Config(config) => Some(config),
        _ => None,
    });
    let (mut keys, mut users) = (Vec::new(), Vec::new());
    for config in configs {
        keys.extend(config.authorized_keys.iter().cloned());
        users.extend(&config.users);
    }
    accounts.iter_mut().for_each(|main| main.authorized_keys.extend(keys.iter().cloned()));
    for user in users {
        match accounts.iter_mut().find(|account| account.name == user.name) {
            Some(account) => account.authorized_keys.extend(user.authorized_keys.iter().cloned()),
            None => accounts
                .push(Account { name: user.name.clone(), authorized_keys: user.authorized_keys.clone() }),
        }
    }
    accounts
}

/// Whether a line of `authorized_keys` holds the key, options before it or not.
fn is_key(line: &str, key: &PublicKey) -> bool {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return false;
    }
    let known = PublicKey::from_openssh(line).ok().or_else(|| {
        let start =
            ["ssh-", "ecdsa-", "sk-"].iter().filter_map(|kind| line.find(&format!(" {kind}"))).min()?;
        PublicKey::from_openssh(line.get(start + 1..)?).ok()
    });
    known.is_some_and(|known| known.key_data() == key.key_data())
}

/// The host key in the file, made if there is none.
fn host_key(path: &Path) -> Result<PrivateKey> {
    let failed =
        |error: String| Error::config(format!("cannot use the host key {}: {error}", path.display()));
    match std::fs::read_to_string(path) {
        Ok(text) => PrivateKey::from_openssh(text).map_err(|error| {
            failed(error.to_string())
                .with_hint(format!("remove it to get a new one: `rm {}`", path.display()))
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519)
                .map_err(|e| failed(e.to_string()))?;
            let text =
                key.to_openssh(russh::keys::ssh_key::LineEnding::LF).map_err(|e| failed(e.to_string()))?;
            write_private(path, text.as_bytes()).map_err(|error| failed(error.to_string()))?;
            Ok(key)
        }
        Err(error) => Err(failed(error.to_string())),
    }
}

fn write_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension("new");
    let _ = std::fs::remove_file(&temporary);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    std::io::Write::write_all(&mut file, content)?;
    std::fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_key_is_made_once_and_kept_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("host_key");
        let made = host_key(&path).unwrap();
        assert_eq!(host_key(&path).unwrap().public_key(), made.public_key());
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, "damaged").unwrap();
        assert!(host_key(&path).unwrap_err().hint().unwrap().contains("rm "));
    }

    #[test]
    fn keys_are_found_with_and_without_options() {
        let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
        let other = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
        let line = key.public_key().to_openssh().unwrap();
        assert!(is_key(&line, key.public_key()));
        assert!(is_key(&format!("{line} somebody@somewhere"), key.public_key()));
        assert!(is_key(&format!("no-pty,command=\"echo hi\" {line}"), key.public_key()));
        assert!(!is_key(&line, other.public_key()));
        assert!(!is_key(&format!("# {line}"), key.public_key()));
        assert!(!is_key("", key.public_key()));
    }
}
