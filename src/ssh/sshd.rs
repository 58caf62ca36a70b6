//! OpenSSH's server on loopback, for tests.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::{Settings, Ssh, Target, keys};
use crate::retry::Retry;

/// A running sshd with one authorised key; it ends when dropped.
pub struct Sshd {
    pub folder: TempDir,
    pub port: u16,
    process: Option<Child>,
    config: String,
}

impl Sshd {
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// Starts sshd with further lines of configuration.
    pub fn start_with(further: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let public = keys::generate(&folder.path().join("client"), "test").unwrap();
        fs::write(folder.path().join("authorized_keys"), public + "\n").unwrap();
        host_key(&folder.path().join("host_ed25519"), "ed25519");
        host_key(&folder.path().join("host_ecdsa"), "ecdsa");
        fs::create_dir_all("/run/sshd").unwrap();
        let mut sshd = Sshd { folder, port: 0, process: None, config: further.to_owned() };
        // Another process may take the free port before sshd does: then try another.
        for _ in 0..10 {
            sshd.port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            if sshd.spawn("host_ed25519 host_ecdsa") {
                return sshd;
            }
        }
        panic!(
            "sshd did not start: {}",
            fs::read_to_string(sshd.folder.path().join("log")).unwrap_or_default()
        );
    }

    /// Stops sshd and starts it again at the same port with other host keys.
    pub fn restart_with_keys(&mut self, host_keys: &str) {
        self.stop();
        let deadline = Instant::now() + Duration::from_secs(10);
        while !self.spawn(host_keys) {
            assert!(Instant::now() < deadline, "sshd did not start again");
        }
    }

    fn spawn(&mut self, host_keys: &str) -> bool {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        let mut config = format!(
            "Port {}\nListenAddress 127.0.0.1\nUsePAM no\nStrictModes no\nPidFile none\nMaxStartups 200\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n\
             AuthorizedKeysFile {}\nSubsystem sftp internal-sftp\n{}\n",
            self.port,
            path("authorized_keys"),
            self.config,
        );
        if !self.config.contains("SetEnv") {
            // Keeps bash from reading ~/.bashrc, which may take longer than the test itself.
            config.push_str("SetEnv SHLVL=5\n");
        }
        for name in host_keys.split(' ') {
            config.push_str(&format!("HostKey {}\n", path(name)));
        }
        fs::write(self.folder.path().join("config"), config).unwrap();
        let mut process = Command::new("/usr/sbin/sshd")
            .args(["-D", "-f", &path("config"), "-E", &path("log")])
            .stdin(Stdio::null())
            .spawn()
            .expect("OpenSSH's sshd is needed for this test: apt-get install openssh-server");
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            if std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                self.process = Some(process);
                return true;
            }
            if process.try_wait().unwrap().is_some() {
                return false;
            }
            std::thread::yield_now();
        }
        let _ = process.kill();
        let _ = process.wait();
        false
    }

    /// Ends the listener and every connection.
    pub fn stop(&mut self) {
        self.end_connections();
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Kills the processes that serve connections, as a network that breaks would.
    pub fn end_connections(&self) {
        let Some(process) = &self.process else { return };
        for child in children(process.id()) {
            let _ = nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(child.try_into().unwrap()),
                nix::sys::signal::Signal::SIGKILL,
            );
        }
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.process.as_ref().map_or(0, |process| children(process.id()).len())
    }

    pub fn target(&self) -> Target {
        Target { id: "i-test".into(), address: "127.0.0.1".into(), port: self.port, user: "root".into() }
    }

    pub fn identity(&self) -> PathBuf {
        self.folder.path().join("client")
    }

    pub fn settings(&self) -> Settings {
        Settings {
            identities: vec![self.identity()],
            use_agent: false,
            known_hosts: self.folder.path().join("known/known_hosts"),
            retry: Retry { attempts: 2, base: Duration::from_millis(10), ..Retry::default() },
            ..Settings::default()
        }
    }

    pub fn ssh(&self) -> Ssh {
        Ssh::new(self.settings(), CancellationToken::new()).unwrap()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.stop();
    }
}

pub fn host_key(path: &Path, kind: &str) {
    let status = Command::new("ssh-keygen").args(["-q", "-N", "", "-t", kind, "-f"]).arg(path).status();
    assert!(status.unwrap().success());
}

fn children(parent: u32) -> Vec<u32> {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}
