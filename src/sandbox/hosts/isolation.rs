//! Whether and how this machine can isolate a host.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::unistd::{Gid, Uid};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::error::{Error, Result};

/// The `code` of the error that says: this machine cannot isolate hosts.
const UNAVAILABLE: &str = "SandboxUnavailable";
/// The id that stands for nobody on every Linux machine.
const NOBODY: u32 = 65534;
/// Where system tools are, whatever the caller's PATH says: unprivileged users often lack sbin.
const TOOL_FOLDERS: [&str; 4] = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"];
/// The capabilities that are left to a host. All of them end at the ids of its own user namespace.
const CAPABILITIES: &str =
    "-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+net_bind_service";

/// As whom hosts run, seen from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Identity {
    /// As the user who runs spot, who is not root.
    Same,
    /// As 65534: spot runs as root, and root's power must not reach a host, not even by mistake.
    Nobody,
}

impl Identity {
    /// The identity for hosts that this process starts.
    pub(super) fn current() -> Identity {
        // In a rootless container uid 0 is an ordinary user who may not even become 65534.
        let mappings = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        if Uid::effective().is_root() && maps(&mappings, NOBODY) { Identity::Nobody } else { Identity::Same }
    }

    /// The owner of a host's files, if it is somebody else than this process.
    pub(super) fn owner(self) -> Option<(Uid, Gid)> {
        match self {
            Identity::Same => None,
            Identity::Nobody => Some((Uid::from_raw(NOBODY), Gid::from_raw(NOBODY))),
        }
    }
}

/// Whether a `uid_map` gives the id a meaning outside.
fn maps(mappings: &str, id: u32) -> bool {
    mappings.lines().any(|line| {
        let mut numbers = line.split_whitespace().map(|number| number.parse::<u64>().ok());
        match (numbers.next().flatten(), numbers.next(), numbers.next().flatten()) {
            (Some(first), Some(_), Some(count)) => {
                (first..first.saturating_add(count)).contains(&u64::from(id))
            }
            _ => false,
        }
    })
}

/// The paths of the tools that isolate, and the identity they give.
#[derive(Debug, Clone)]
pub(super) struct Isolation {
    identity: Identity,
    setpriv: PathBuf,
    unshare: PathBuf,
    nsenter: PathBuf,
    setsid: PathBuf,
    /// What a perl needs to begin a new session keyring, if this process has one that hosts must not see.
    keyring: Option<PathBuf>,
    /// How many namespaces may be set up at once: more would only wait for the same processors.
    turns: Arc<Semaphore>,
}

impl Isolation {
    /// Finds the tools; says which one is missing.
    fn find() -> Result<Isolation> {
        for needed in ["mount", "umount", "pivot_root", "sh", "hostname"] {
            tool(needed)?;
        }
        let turns = std::thread::available_parallelism().map_or(1, usize::from) * 2;
        Ok(Isolation {
            identity: Identity::current(),
            setpriv: tool("setpriv")?,
            unshare: tool("unshare")?,
            nsenter: tool("nsenter")?,
            setsid: tool("setsid")?,
            keyring: keyring()?,
            turns: Arc::new(Semaphore::new(turns.max(2))),
        })
    }

    /// Finds the tools and proves, by doing it, that this machine lets them isolate.
    pub(super) fn probe() -> Result<Isolation> {
        let isolation = Isolation::find()?;
        let mut command = isolation.create();
        command.args(["sh", "-c", PROBE]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child =
            command.spawn().map_err(|error| unavailable("cannot start unshare").with_source(error))?;
        let deadline = Instant::now() + Duration::from_secs(20);
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(2)),
                Ok(None) | Err(_) => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(unavailable("creating namespaces did not end within 20 seconds"));
                }
            }
        };
        if status.success() {
            return Ok(isolation);
        }
        let mut said = String::new();
        if let Some(stderr) = child.stderr.take() {
            let _ = stderr.take(4096).read_to_string(&mut said);
        }
        Err(unavailable(format!("this machine does not let spot isolate hosts: {}", said.trim()))
            .with_hint(hint(Path::new("/proc/sys"))))
    }

    /// Waits for a turn to set up namespaces, which lasts as long as what is returned.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turns.acquire().await.ok()
    }

    /// As whom hosts run.
    pub(super) fn identity(&self) -> Identity {
        self.identity
    }

    /// A command line that runs what is appended to it as process 1 of new namespaces.
    pub(super) fn create(&self) -> Command {
        let mut command = self.as_host(&self.unshare);
        // --kill-child: when unshare dies, so does process 1, and with it every process of the host.
        command.args(["--user", "--map-root-user", "--mount", "--pid", "--net", "--ipc", "--uts", "--fork"]);
        command.args(["--kill-child", "--"]);
        command
    }

    /// A command line that runs what is appended to it inside the namespaces of the process `holder`
    /// (an `unshare` that [`Isolation::create`] started), without the dangerous capabilities, in a
    /// session of its own: a shared one would share the caller's terminal.
    pub(super) fn enter(&self, holder: u32) -> Command {
        let mut command = self.enter_with_power(holder);
        command.arg("--").arg(&self.setsid).args(self.reduce());
        command
    }

    /// The same with all capabilities over the namespaces, for our own scripts that mount something; to
    /// be followed by a program.
    pub(super) fn enter_with_power(&self, holder: u32) -> Command {
        let mut command = self.as_host(&self.nsenter);
        // The identity of hosts is the mapped root already; setgroups is not allowed to it.
        command.arg("--preserve-credentials");
        for (option, file) in [
            ("user", "user"),
            ("mount", "mnt"),
            ("pid", "pid_for_children"),
            ("net", "net"),
            ("ipc", "ipc"),
            ("uts", "uts"),
        ] {
            command.arg(format!("--{option}=/proc/{holder}/ns/{file}"));
        }
        command
    }

    /// The arguments that give up capabilities for what is appended to them.
    pub(super) fn reduce(&self) -> [String; 6] {
        [
            self.setpriv.to_string_lossy().into_owned(),
            "--no-new-privs".to_string(),
            "--inh-caps=-all".to_string(),
            "--ambient-caps=-all".to_string(),
            format!("--bounding-set={CAPABILITIES}"),
            "--".to_string(),
        ]
    }

    /// The program as the identity of hosts, with an empty environment.
    fn as_host(&self, program: &Path) -> Command {
        let first = if self.identity.owner().is_some() { &self.setpriv } else { program };
        // As who runs spot, whose limit on keys is the larger one.
        let mut command = match &self.keyring {
            None => Command::new(first),
            Some(perl) => {
                let mut command = Command::new(perl);
                command.args(["-e", NEW_KEYRING, KEYCTL]).arg(first);
                command
            }
        };
        if let Some((user, group)) = self.identity.owner() {
            command.arg(format!("--reuid={user}")).arg(format!("--regid={group}"));
            command.args(["--clear-groups", "--"]).arg(program);
        }
        command.env_clear().env("PATH", TOOL_FOLDERS.join(":")).env("LANG", "C.UTF-8");
        command
    }
}

/// The number of the system call `keyctl`.
pub(super) const KEYCTL: &str = if cfg!(target_arch = "x86_64") { "250" } else { "219" };

/// Namespaces do not keep keys apart: the session keyring, and with it every key of a login session, is
/// inherited. Tells whether there is one; where the call is forbidden it is so for hosts too.
const HAS_KEYRING: &str =
    "my $call = 0 + shift; my $own = syscall($call, 0, -3, 0); my $user = syscall($call, 0, -5, 0);
exit($own >= 0 && $own != $user ? 0 : 1)";

/// Begins a new session keyring and goes on to what follows.
const NEW_KEYRING: &str = "syscall(0 + shift, 1, 0) >= 0 or die qq(cannot begin a session keyring: $!\\n);
exec { $ARGV[0] } @ARGV or die qq($ARGV[0]: $!\\n)";

/// The perl that begins new session keyrings, if that is needed.
fn keyring() -> Result<Option<PathBuf>> {
    let Ok(perl) = tool("perl") else {
        let keys = std::fs::read_to_string("/proc/keys").unwrap_or_default();
        if keys
            .lines()
            .any(|line| line.contains(" keyring ") && !line.contains(" _uid") && !line.contains(" ."))
        {
            return Err(unavailable("the keys of this login session would be open to hosts")
                .with_hint("install perl, or start spot without a session keyring"));
        }
        return Ok(None);
    };
    let asked = Command::new(&perl).args(["-e", HAS_KEYRING, KEYCTL]).stdin(Stdio::null()).status();
    let asked = asked.map_err(|error| unavailable("cannot start perl").with_source(error))?;
    Ok(asked.success().then_some(perl))
}

/// The least that a host needs, each step named when it fails.
const PROBE: &str = "set -e
mount -n -t tmpfs tmpfs /mnt 2>&1 >/dev/null || mount -n -t tmpfs tmpfs /tmp
mount -n -t proc proc /proc
echo 0 >/proc/sys/user/max_user_namespaces";

/// Whether this machine can isolate hosts.
///
/// # Errors
/// With the code `SandboxUnavailable`, the reason, and a hint how to allow it. Nothing of a host runs
/// on such a machine.
pub fn available() -> Result<()> {
    Isolation::probe().map(|_| ())
}

fn unavailable(message: impl Into<String>) -> Error {
    Error::config(message).with_code(UNAVAILABLE)
}

fn tool(name: &str) -> Result<PathBuf> {
    TOOL_FOLDERS.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file()).ok_or_else(
        || {
            unavailable(format!("the sandbox needs `{name}`, which is not on this machine"))
                .with_hint("install util-linux (and hostname): `sudo apt-get install util-linux hostname`")
        },
    )
}

/// What to change, judged by the switches under `/proc/sys`.
fn hint(switches: &Path) -> String {
    let value =
        |name: &str| std::fs::read_to_string(switches.join(name)).ok().map(|text| text.trim().to_string());
    if value("kernel/apparmor_restrict_unprivileged_userns").as_deref() == Some("1") {
        return "allow unprivileged user namespaces: `sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`"
            .to_string();
    }
    if value("kernel/unprivileged_userns_clone").as_deref() == Some("0") {
        return "allow unprivileged user namespaces: `sudo sysctl -w kernel.unprivileged_userns_clone=1`"
            .to_string();
    }
    if value("user/max_user_namespaces").as_deref() == Some("0") {
        return "allow user namespaces: `sudo sysctl -w user.max_user_namespaces=10000`".to_string();
    }
    "user namespaces must be allowed; in a container: `docker run --security-opt seccomp=unconfined \
     --security-opt systempaths=unconfined …`"
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_can_isolate() {
        available().unwrap();
    }

    #[test]
    fn a_uid_map_says_which_ids_exist() {
        assert!(maps("         0          0 4294967295\n", NOBODY));
        assert!(!maps("0 1000 1\n", NOBODY));
        assert!(maps("0 1000 1\n1 100000 65536\n", NOBODY));
        assert!(!maps("", NOBODY));
    }

    #[test]
    fn the_hint_follows_the_switches_of_the_machine() {
        let switches = tempfile::tempdir().unwrap();
        assert!(hint(switches.path()).contains("container"));
        std::fs::create_dir(switches.path().join("user")).unwrap();
        std::fs::write(switches.path().join("user/max_user_namespaces"), "0\n").unwrap();
        assert!(hint(switches.path()).contains("user.max_user_namespaces"));
        std::fs::create_dir(switches.path().join("kernel")).unwrap();
        std::fs::write(switches.path().join("kernel/apparmor_restrict_unprivileged_userns"), "1\n").unwrap();
        assert!(hint(switches.path()).contains("apparmor"));
    }
}
