//! The host keys of the hosts we have met, in OpenSSH's `known_hosts` format.
//!
//! Keys are recorded under the instance id, so that an address that was given to another instance
//! raises no false alarm and a changed key always does. `ssh -o HostKeyAlias=ID` reads the same
//! file. Lines that are not understood are kept and ignored.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use russh::keys::{HashAlg, PublicKey};
use sha1::Sha1;

use super::glob::glob_any_case;
use super::private_file;
use super::quote;
use super::target::Target;
use crate::error::{Error, Result};

/// One `known_hosts` file.
#[derive(Debug)]
pub struct KnownHosts {
    path: PathBuf,
    /// The user's own files; they are only read, and only for hosts on the way to others.
    others: Vec<PathBuf>,
    /// Writers of this process take turns here; those of other processes at the lock file.
    writing: Mutex<()>,
}

/// A line of the file that pins a key.
struct Pin<'a> {
    revoked: bool,
    hosts: &'a str,
    key: &'a str,
}

impl KnownHosts {
    /// The file at a path; it is read and created when needed.
    pub fn new(path: PathBuf) -> Self {
        KnownHosts { path, others: Vec::new(), writing: Mutex::new(()) }
    }

    /// Adds the user's own files, for hosts on the way to others.
    pub fn with_others(mut self, others: Vec<PathBuf>) -> Self {
        self.others = others;
        self
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The keys recorded under an id, in the order of the file.
    pub fn lookup(&self, id: &str, is_hop: bool) -> Result<Vec<PublicKey>> {
        let mut found = Vec::new();
        for path in self.files(is_hop) {
            let text = self.text_of(path)?;
            let pins = pins(&text).filter(|pin| !pin.revoked && matches(pin.hosts, id));
            found.extend(pins.filter_map(|pin| pin.public()));
        }
        Ok(found)
    }

    /// The project's file, and for hosts on the way the user's.
    fn files(&self, is_hop: bool) -> impl Iterator<Item = &Path> {
        let others = self.others.iter().filter(move |_| is_hop);
        std::iter::once(self.path.as_path()).chain(others.map(PathBuf::as_path))
    }

    /// Accepts a key that is recorded, records the first key of a host, refuses any other.
    ///
    /// # Errors
    /// Code `HostKeyChanged` or `HostKeyRevoked`; kind `state` if the file cannot be read or written.
    pub fn verify(&self, target: &Target, is_hop: bool, offered: &PublicKey) -> Result<()> {
        if self.judge(target, is_hop, offered)? {
            return Ok(());
        }
        let _turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let _lock = self.lock()?;
        // Another process may have met the host in the meantime.
        if self.judge(target, is_hop, offered)? {
            return Ok(());
        }
        self.append(&target.id, offered).map_err(|error| self.failed("record a host key in", &error))
    }

    /// Forgets the keys of a host that is gone. Returns whether there were any.
    pub fn forget(&self, id: &str) -> Result<bool> {
        let text = self.text()?;
        if !text.lines().any(|line| without(line, id).as_deref() != Some(line)) {
            return Ok(false);
        }
        let _turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let _lock = self.lock()?;
        let text = self.text()?;
        let mut kept = String::with_capacity(text.len());
        for line in text.lines() {
            if let Some(line) = without(line, id) {
                kept.push_str(&line);
                kept.push('\n');
            }
        }
        private_file::replace(&self.path, kept.as_bytes())
            .map_err(|error| self.failed("remove a host key from", &error))?;
        Ok(true)
    }

    /// Whether the key is recorded; `false` if nothing is recorded for this host.
    fn judge(&self, target: &Target, is_hop: bool, offered: &PublicKey) -> Result<bool> {
        let mut recorded = None;
        let mut same = false;
        for path in self.files(is_hop) {
            let text = self.text_of(path)?;
            for pin in pins(&text).filter(|pin| matches(pin.hosts, &target.id)) {
                let Some(key) = pin.public() else { continue };
                let is_offered = key.key_data() == offered.key_data();
                match (pin.revoked, is_offered) {
                    (true, true) => return Err(self.revoked(target, offered)),
                    (true, false) => {}
                    (false, is_offered) => {
                        same |= is_offered;
                        recorded.get_or_insert((path, key));
                    }
                }
            }
        }
        match recorded {
            _ if same => Ok(true),
            None => Ok(false),
            Some((path, key)) => Err(changed(path, target, &key, offered)),
        }
    }

    fn append(&self, id: &str, key: &PublicKey) -> io::Result<()> {
        let mut bare = key.clone();
        bare.set_comment("");
        let line = bare.to_openssh().map_err(io::Error::other)?;
        let mut file = private_file::open_append(&self.path)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let separator = if text.is_empty() || text.ends_with(b"\n") { "" } else { "\n" };
        // One write, so that a reader sees the line whole or not at all.
        file.write_all(format!("{separator}{id} {}\n", line.trim_end()).as_bytes())?;
        file.sync_all()
    }

    /// The text of the file; bytes that are not UTF-8 can only be in lines we ignore.
    fn text(&self) -> Result<String> {
        self.text_of(&self.path)
    }

    fn text_of(&self, path: &Path) -> Result<String> {
        match fs::read(path) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(Error::state(format!("cannot read {}: {error}", path.display()))),
        }
    }

    /// Keeps other processes out until dropped. The lock is a file of its own: `known_hosts` itself
    /// is replaced when a host is forgotten.
    fn lock(&self) -> Result<File> {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".lock");
        let take = || {
            private_file::create_parent(&self.path)?;
            let file = private_file::open_append(Path::new(&name))?;
            file.lock()?;
            Ok(file)
        };
        take().map_err(|error: io::Error| self.failed("lock", &error))
    }

    fn revoked(&self, target: &Target, offered: &PublicKey) -> Error {
        Error::ssh(format!(
            "{target} offered the host key {}, which {} revokes",
            fingerprint(offered),
            self.path.display()
        ))
        .with_code("HostKeyRevoked")
        .with_hint("terminate this instance and launch another")
    }

    fn failed(&self, doing: &str, error: &io::Error) -> Error {
        Error::state(format!("cannot {doing} {}: {error}", self.path.display()))
    }
}

fn changed(path: &Path, target: &Target, recorded: &PublicKey, offered: &PublicKey) -> Error {
    Error::ssh(format!(
        "the host key of {target} has changed: recorded {}, offered {}",
        fingerprint(recorded),
        fingerprint(offered)
    ))
    .with_code("HostKeyChanged")
    .with_hint(format!(
        "somebody may be listening in; only if you know why the key changed, forget the old one: ssh-keygen -f {} -R {}",
        quote(&path.to_string_lossy()),
        quote(&target.id)
    ))
}

/// `ED25519 SHA256:…`, as `ssh-keygen -l` prints it.
pub fn fingerprint(key: &PublicKey) -> String {
    format!("{} ({})", key.fingerprint(HashAlg::Sha256), key.algorithm())
}

impl Pin<'_> {
    fn public(&self) -> Option<PublicKey> {
        russh::keys::parse_public_key_base64(self.key).ok()
    }
}

fn pins(text: &str) -> impl Iterator<Item = Pin<'_>> {
    text.lines().filter_map(pin)
}

/// `[marker] hosts type key [comment]`; certificate authorities pin no key of a host.
fn pin(line: &str) -> Option<Pin<'_>> {
    let mut words = line.split_ascii_whitespace().peekable();
    if words.peek()?.starts_with('#') {
        return None;
    }
    let revoked = match words.peek()?.strip_prefix('@') {
        None => false,
        Some("revoked") => words.next().is_some(),
        Some(_) => return None,
    };
    let hosts = words.next()?;
    let _type = words.next()?;
    let key = words.next()?;
    Some(Pin { revoked, hosts, key })
}

/// Whether a comma-separated list of names, patterns, negations and hashed names covers an id.
fn matches(hosts: &str, id: &str) -> bool {
    let mut matched = false;
    for entry in hosts.split(',') {
        if let Some(pattern) = entry.strip_prefix('!') {
            if glob_any_case(pattern, id) {
                return false;
            }
            continue;
        }
        matched |= entry_matches(entry, id);
    }
    matched
}

fn entry_matches(entry: &str, id: &str) -> bool {
    match entry.strip_prefix("|1|") {
        Some(hashed) => hash_matches(hashed, id).unwrap_or(false),
        None => glob_any_case(entry, id),
    }
}

/// `SALT|HASH`, both base64: HMAC-SHA1 of the name, keyed with the salt (`HashKnownHosts yes`).
fn hash_matches(hashed: &str, id: &str) -> Option<bool> {
    let (salt, hash) = hashed.split_once('|')?;
    let salt = STANDARD.decode(salt).ok()?;
    let hash = STANDARD.decode(hash).ok()?;
    let mac = Hmac::<Sha1>::new_from_slice(&salt).ok()?;
    Some(mac.chain_update(id.as_bytes()).verify_slice(&hash).is_ok())
}

/// The line without a host: itself if it is about others, `None` if it is about this one alone.
/// Patterns and revocations are nobody's pin and stay.
fn without(line: &str, id: &str) -> Option<String> {
    let Some(pin) = pin(line).filter(|pin| !pin.revoked) else { return Some(line.to_owned()) };
    let mine = |entry: &&str| match entry.strip_prefix("|1|") {
        Some(hashed) => hash_matches(hashed, id).unwrap_or(false),
        None => entry.eq_ignore_ascii_case(id),
    };
    if !pin.hosts.split(',').any(|entry| mine(&entry)) {
        return Some(line.to_owned());
    }
    let others: Vec<&str> = pin.hosts.split(',').filter(|entry| !mine(entry)).collect();
    if others.is_empty() {
        return None;
    }
    Some(line.replacen(pin.hosts, &others.join(","), 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use russh::keys::{Algorithm, PrivateKey};
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;
    use std::sync::Arc;

    fn key() -> PublicKey {
        let private = PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).unwrap();
        private.public_key().clone()
    }

    fn target(id: &str) -> Target {
        Target { id: id.into(), address: "192.0.2.1".into(), port: 22, user: "ubuntu".into() }
    }

    fn known() -> (tempfile::TempDir, KnownHosts) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".spot/known_hosts");
        (folder, KnownHosts::new(path))
    }

    #[test]
    fn the_first_key_is_recorded_and_another_refused() {
        let (_folder, known) = known();
        let (first, second) = (key(), key());
        known.verify(&target("i-1"), false, &first).unwrap();
        known.verify(&target("i-1"), false, &first).unwrap();
        assert_eq!(known.lookup("i-1", false).unwrap().len(), 1, "recorded once");
        let error = known.verify(&target("i-1"), false, &second).unwrap_err();
        assert_eq!(error.code(), Some("HostKeyChanged"));
        assert!(!error.is_retryable());
        for key in [&first, &second] {
            assert!(error.message().contains(&key.fingerprint(HashAlg::Sha256).to_string()), "{error}");
        }
        assert!(error.hint().unwrap().contains("ssh-keygen -f"));
        known.verify(&target("i-2"), false, &second).unwrap();
        let mode = fs::metadata(known.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn forgetting_drops_one_host_and_keeps_the_rest() {
        let (_folder, known) = known();
        private_file::create_parent(known.path()).unwrap();
        let (shared, own) = (key().to_openssh().unwrap(), key().to_openssh().unwrap());
        let text = format!("garbage\n# comment\ni-1,i-2 {shared}\ni-1 {own} note\ni-3 {own}");
        fs::write(known.path(), text).unwrap();
        assert!(known.forget("i-1").unwrap());
        assert!(!known.forget("i-1").unwrap());
        let text = fs::read_to_string(known.path()).unwrap();
        assert_eq!(text, format!("garbage\n# comment\ni-2 {shared}\ni-3 {own}\n"));
    }

    #[test]
    fn a_line_without_newline_at_the_end_is_not_torn() {
        let (_folder, known) = known();
        private_file::create_parent(known.path()).unwrap();
        fs::write(known.path(), "garbage line").unwrap();
        known.verify(&target("i-1"), false, &key()).unwrap();
        let text = fs::read_to_string(known.path()).unwrap();
        assert!(text.starts_with("garbage line\ni-1 ssh-ed25519 "), "{text}");
    }

    #[test]
    fn hashed_names_of_ssh_keygen_are_matched() {
        let (_folder, known) = known();
        let pinned = key();
        known.verify(&target("i-1"), false, &pinned).unwrap();
        let status = Command::new("ssh-keygen").args(["-H", "-f"]).arg(known.path()).output().unwrap().status;
        assert!(status.success());
        assert!(fs::read_to_string(known.path()).unwrap().starts_with("|1|"));
        known.verify(&target("i-1"), false, &pinned).unwrap();
        assert_eq!(known.verify(&target("i-1"), false, &key()).unwrap_err().code(), Some("HostKeyChanged"));
        assert!(known.forget("i-1").unwrap());
        assert!(known.lookup("i-1", false).unwrap().is_empty());
    }

    #[test]
    fn patterns_markers_and_negations_follow_sshd_8() {
        let (_folder, known) = known();
        private_file::create_parent(known.path()).unwrap();
        let (pinned, revoked) = (key(), key());
        let text = format!(
            "@cert-authority * {}\n@revoked * {}\n*.example,!bad.example {}\n",
            key().to_openssh().unwrap(),
            revoked.to_openssh().unwrap(),
            pinned.to_openssh().unwrap()
        );
        fs::write(known.path(), text).unwrap();
        assert_eq!(known.lookup("A.example", false).unwrap().len(), 1);
        assert_eq!(known.lookup("bad.example", false).unwrap().len(), 0);
        assert_eq!(known.verify(&target("i-9"), false, &revoked).unwrap_err().code(), Some("HostKeyRevoked"));
    }

    #[test]
    fn concurrent_first_contacts_lose_nothing() {
        let (_folder, known) = known();
        let known = Arc::new(known);
        let threads: Vec<_> = (0..16)
            .map(|number| {
                // A second value for the same file takes the place of another process.
                let other = KnownHosts::new(known.path().to_owned());
                std::thread::spawn(move || {
                    for round in 0..8 {
                        other.verify(&target(&format!("i-{number}-{round}")), false, &key()).unwrap();
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let text = fs::read_to_string(known.path()).unwrap();
        assert_eq!(pins(&text).filter_map(|pin| pin.public()).count(), 128);
    }
}
