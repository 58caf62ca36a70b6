//! The host keys of the hosts we have met, in OpenSSH's `known_hosts` format.
//!
//! Keys are recorded under the instance id, so that an address that was given to another instance
//! raises no false alarm and a changed key always does. `ssh -o HostKeyAlias=ID` reads the same
//! file. Lines that are not understood are kept and ignored.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

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
    /// What the files said when they were last read.
    read: Mutex<HashMap<PathBuf, (Stamp, Arc<Pins>)>>,
    /// Keys that are to be recorded with the next write.
    waiting: Mutex<Vec<Arc<Entry>>>,
    /// Hosts whose first key was believed in this run, since nobody could confirm it.
    unconfirmed: Mutex<HashSet<String>>,
    /// Writers of this process take turns here; those of other processes at the lock file.
    writing: Mutex<()>,
}

/// What tells one version of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

/// The first key of a host, on its way into the file.
#[derive(Debug)]
struct Entry {
    target: Target,
    is_hop: bool,
    key: PublicKey,
    outcome: OnceLock<Result<()>>,
}

/// The lines of a file that pin keys.
#[derive(Debug, Default)]
struct Pins {
    all: Vec<Pin>,
    /// Places of pins whose list has this name as it stands, in small letters.
    named: HashMap<String, Vec<usize>>,
    /// Places of pins with a pattern, a negation or a hashed name.
    vague: Vec<usize>,
}

/// A line of the file that pins a key.
#[derive(Debug)]
struct Pin {
    revoked: bool,
    hosts: String,
    key: String,
}

impl KnownHosts {
    /// The file at a path; it is read and created when needed.
    pub fn new(path: PathBuf) -> Self {
        KnownHosts {
            path,
            others: Vec::new(),
            read: Mutex::default(),
            waiting: Mutex::default(),
            unconfirmed: Mutex::default(),
            writing: Mutex::default(),
        }
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
            let pins = self.pins_of(path)?;
            found.extend(pins.of(id).filter(|pin| !pin.revoked).filter_map(Pin::public));
        }
        Ok(found)
    }

    /// The project's file, and for hosts on the way the user's.
    fn files(&self, is_hop: bool) -> impl Iterator<Item = &Path> {
        let others = self.others.iter().filter(move |_| is_hop);
        std::iter::once(self.path.as_path()).chain(others.map(PathBuf::as_path))
    }

    /// Whether the key of a host is recorded; `false` if none is recorded for it.
    ///
    /// # Errors
    /// Code `HostKeyChanged` or `HostKeyRevoked`; kind `state` if the file cannot be read.
    pub fn knows(&self, target: &Target, is_hop: bool, offered: &PublicKey) -> Result<bool> {
        let mut recorded = None;
        let mut same = false;
        for path in self.files(is_hop) {
            for pin in self.pins_of(path)?.of(&target.id) {
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

    /// Accepts a key that is recorded, records the first key of a host, refuses any other. It is on disk
    /// when this returns; those that come at the same time share a write.
    ///
    /// # Errors
    /// Those of [`KnownHosts::knows`]; kind `state` if the file cannot be written.
    pub fn verify(&self, target: &Target, is_hop: bool, offered: &PublicKey) -> Result<()> {
        if self.knows(target, is_hop, offered)? {
            return Ok(());
        }
        let entry = Arc::new(Entry {
            target: target.clone(),
            is_hop,
            key: offered.clone(),
            outcome: OnceLock::new(),
        });
        lock(&self.waiting).push(Arc::clone(&entry));
        let _turn = lock(&self.writing);
        if entry.outcome.get().is_none() {
            let all = std::mem::take(&mut *lock(&self.waiting));
            self.record(&all);
        }
        let lost = || Err(Error::internal("a host key was neither recorded nor refused"));
        entry.outcome.get().cloned().unwrap_or_else(lost)
    }

    /// Records all entries with one write, and tells each what became of it.
    fn record(&self, entries: &[Arc<Entry>]) {
        let lock = match self.lock() {
            Ok(lock) => lock,
            Err(error) => {
                entries.iter().for_each(|entry| drop(entry.outcome.set(Err(error.clone()))));
                return;
            }
        };
        let mut fresh: Vec<&Entry> = Vec::new();
        for entry in entries {
            let Entry { target, is_hop, key, outcome } = entry.as_ref();
            // Another process may have met the host in the meantime, or another entry is of the same host.
            let twin = fresh.iter().find(|fresh| fresh.target.id.eq_ignore_ascii_case(&target.id));
            match (self.knows(target, *is_hop, key), twin) {
                (Err(error), _) => drop(outcome.set(Err(error))),
                (Ok(true), _) => drop(outcome.set(Ok(()))),
                (Ok(false), None) => fresh.push(entry),
                (Ok(false), Some(twin)) if twin.key.key_data() == key.key_data() => fresh.push(entry),
                (Ok(false), Some(twin)) => {
                    drop(outcome.set(Err(changed(&self.path, target, &twin.key, key))));
                }
            }
        }
        let written = self.append(&fresh).map_err(|error| self.failed("record a host key in", &error));
        drop(lock);
        fresh.iter().for_each(|entry| drop(entry.outcome.set(written.clone())));
    }

    /// Notes that the key of a host is only believed.
    pub fn note_unconfirmed(&self, id: &str) {
        lock(&self.unconfirmed).insert(id.to_owned());
    }

    /// Whether the key of a host is only believed; that is to be settled now.
    pub fn take_unconfirmed(&self, id: &str) -> bool {
        lock(&self.unconfirmed).remove(id)
    }

    /// Forgets the keys of a host that is gone. Returns whether there were any.
    pub fn forget(&self, id: &str) -> Result<bool> {
        let text = self.text()?;
        if !text.lines().any(|line| without(line, id).as_deref() != Some(line)) {
            return Ok(false);
        }
        let _turn = lock(&self.writing);
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

    fn append(&self, entries: &[&Entry]) -> io::Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut file = private_file::open_append(&self.path)?;
        let mut lines = String::new();
        if !ends_line(&mut file)? {
            lines.push('\n');
        }
        let mut written = HashSet::new();
        for entry in entries {
            if !written.insert(entry.target.id.as_str()) {
                continue;
            }
            let mut bare = entry.key.clone();
            bare.set_comment("");
            let key = bare.to_openssh().map_err(io::Error::other)?;
            lines.push_str(&format!("{} {}\n", entry.target.id, key.trim_end()));
        }
        // One write, so that a reader sees the lines whole or not at all.
        file.write_all(lines.as_bytes())?;
        file.sync_all()
    }

    /// What a file pins, read again only if it is another than last time.
    fn pins_of(&self, path: &Path) -> Result<Arc<Pins>> {
        let stamp = match fs::metadata(path) {
            Ok(metadata) => Stamp::of(&metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Arc::default()),
            Err(error) => return Err(unreadable(path, &error)),
        };
        let mut read = lock(&self.read);
        if let Some((known, pins)) = read.get(path)
            && *known == stamp
        {
            return Ok(Arc::clone(pins));
        }
        let pins = Arc::new(Pins::parse(&text_of(path)?));
        // Read after it was looked at: a line that was added in between is read again, not missed.
        read.insert(path.to_owned(), (stamp, Arc::clone(&pins)));
        Ok(pins)
    }

    fn text(&self) -> Result<String> {
        text_of(&self.path)
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

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Self {
        Stamp {
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The text of a file; bytes that are not UTF-8 can only be in lines we ignore.
fn text_of(path: &Path) -> Result<String> {
    match fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(unreadable(path, &error)),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    Error::state(format!("cannot read {}: {error}", path.display()))
}

/// Whether what is added to a file begins a line.
fn ends_line(file: &mut File) -> io::Result<bool> {
    let length = file.seek(SeekFrom::End(0))?;
    if length == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
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

impl Pins {
    fn parse(text: &str) -> Self {
        let mut pins = Pins::default();
        for pin in text.lines().filter_map(pin) {
            let place = pins.all.len();
            match is_vague(&pin.hosts) {
                true => pins.vague.push(place),
                false => {
                    for name in pin.hosts.split(',') {
                        pins.named.entry(name.to_ascii_lowercase()).or_default().push(place);
                    }
                }
            }
            pins.all.push(pin);
        }
        pins
    }

    /// Those of an id, in the order of the file.
    fn of(&self, id: &str) -> impl Iterator<Item = &Pin> {
        let named = self.named.get(&id.to_ascii_lowercase()).into_iter().flatten().copied();
        let vague = self.vague.iter().copied().filter(|place| matches(&self.all[*place].hosts, id));
        let mut places: Vec<usize> = named.chain(vague).collect();
        places.sort_unstable();
        places.dedup();
        places.into_iter().map(|place| &self.all[place])
    }
}

/// Whether a list covers more than the names that stand in it, or fewer.
fn is_vague(hosts: &str) -> bool {
    hosts.contains(['*', '?', '!', '|'])
}

impl Pin {
    fn public(&self) -> Option<PublicKey> {
        russh::keys::parse_public_key_base64(&self.key).ok()
    }
}

/// `[marker] hosts type key [comment]`; certificate authorities pin no key of a host.
fn pin(line: &str) -> Option<Pin> {
    let mut words = line.split_ascii_whitespace().peekable();
    if words.peek()?.starts_with('#') {
        return None;
    }
    let revoked = match words.peek()?.strip_prefix('@') {
        None => false,
        Some("revoked") => words.next().is_some(),
        Some(_) => return None,
    };
    let hosts = words.next()?.to_owned();
    let _type = words.next()?;
    let key = words.next()?.to_owned();
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
    Some(line.replacen(&pin.hosts, &others.join(","), 1))
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
        assert_eq!(text.lines().filter_map(pin).filter_map(|pin| pin.public()).count(), 128);
    }

    #[test]
    fn first_contacts_at_the_same_time_share_a_write_and_a_liar_among_them_is_refused() {
        let (_folder, known) = known();
        let entry = |id: &str, key: &PublicKey| {
            Arc::new(Entry { target: target(id), is_hop: false, key: key.clone(), outcome: OnceLock::new() })
        };
        let (first, other) = (key(), key());
        let entries =
            [entry("i-1", &first), entry("i-2", &other), entry("i-1", &first), entry("i-1", &other)];
        known.record(&entries);
        let outcomes: Vec<bool> = entries.iter().map(|entry| entry.outcome.get().unwrap().is_ok()).collect();
        assert_eq!(outcomes, [true, true, true, false]);
        let refused = entries[3].outcome.get().unwrap().clone().unwrap_err();
        assert_eq!(refused.code(), Some("HostKeyChanged"));
        assert_eq!(fs::read_to_string(known.path()).unwrap().lines().count(), 2);
    }

    #[test]
    fn what_another_process_writes_is_seen_at_once() {
        let (_folder, known) = known();
        let (first, second) = (key(), key());
        known.verify(&target("i-1"), false, &first).unwrap();
        let other = KnownHosts::new(known.path().to_owned());
        other.verify(&target("i-2"), false, &second).unwrap();
        assert!(known.knows(&target("i-2"), false, &second).unwrap());
        assert!(other.forget("i-1").unwrap());
        assert!(!known.knows(&target("i-1"), false, &first).unwrap());
    }
}
