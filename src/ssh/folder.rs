//! Sending a folder as one archive: extracted aside, then moved into place by a script.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::archive::{Archive, Parcel};
use super::content::{blocking, hex};
use super::feed;
use super::file;
use super::manifest::{self, FINGERPRINT, Record};
use super::pool::{Attempts, Pool};
use super::quote;
use super::sftp::parent;
use super::source::Source;
use super::survey::{Found, link_hash, survey};
use super::target::Target;
use super::transfer::{Transfer, Upload, Verify, below, beside};
use super::tree::{Entry, EntryKind};
use super::upload::{DEFAULT_UMASK, OnProgress, in_the_way, with_search};
use crate::error::{Error, Result};

/// The code of an upload to a folder that was not there when it was looked for, and is now.
const APPEARED: &str = "TargetAppeared";
/// A longer round trip than this is a path on which compressing pays.
const FAR: Duration = Duration::from_millis(5);
/// Names in one command of the script.
const NAMES: usize = 400;

/// A folder on its way to one host.
pub struct Sending<'a> {
    pub pool: &'a Arc<Pool>,
    pub target: &'a Target,
    pub source: &'a Source,
    pub entries: &'a Arc<Vec<Entry>>,
    pub destination: &'a str,
    pub options: &'a Upload,
    pub on_progress: OnProgress<'a>,
}

/// What a host has at the destination.
enum Present {
    Missing,
    /// What the manifest says, with the digest of it and the number of earlier entries.
    Known {
        digest: String,
        left: u64,
    },
    /// It has to be looked at.
    Unknown,
}

/// What differs, as indices of entries.
#[derive(Default)]
struct Changes {
    folders: Vec<usize>,
    files: Vec<usize>,
    links: Vec<usize>,
    modes: Vec<usize>,
    unchanged: u64,
}

impl Sending<'_> {
    /// Sends what differs. `None` if the host lacks the programs for that.
    pub async fn send(&self) -> Result<Option<Transfer>> {
        // Another upload to the same folder, or somebody on the host, may be quicker: what is there then is
        // looked at again, and only what is still missing is sent.
        match self.once().await {
            Err(error) if error.code() == Some(APPEARED) => self.once().await,
            result => result,
        }
    }

    async fn once(&self) -> Result<Option<Transfer>> {
        let (mode, entries) = (self.options.mode, Arc::clone(self.entries));
        let Some(present) = self.look().await? else { return Ok(None) };
        let mut earlier = Vec::new();
        let found = match &present {
            Present::Missing => vec![Found::Missing; self.entries.len()],
            Present::Known { digest, left } => {
                let digest_of = blocking(move || Ok(manifest::digest(&manifest::records(&entries, mode)?)));
                if *digest == digest_of.await? && (*left == 0 || !self.options.delete) {
                    let files =
                        self.entries.iter().filter(|entry| matches!(entry.kind, EntryKind::File { .. }));
                    return Ok(Some(Transfer { unchanged: files.count() as u64, ..Transfer::default() }));
                }
                earlier = self.manifest().await?;
                let known: HashMap<&str, &Found> =
                    earlier.iter().map(|record| (record.path.as_str(), &record.found)).collect();
                let look_up = |entry: &Entry| {
                    known.get(entry.path.as_str()).map_or(Found::Missing, |found| (*found).clone())
                };
                let mut found: Vec<Found> = self.entries.iter().map(look_up).collect();
                // What is not ours may be in the way of what is new.
                let new: Vec<usize> = found
                    .iter()
                    .enumerate()
                    .filter(|(_, found)| **found == Found::Missing)
                    .map(|(index, _)| index)
                    .collect();
                for (index, now) in new.iter().zip(self.survey(&new).await?) {
                    if let Some(place) = found.get_mut(*index) {
                        *place = now;
                    }
                }
                found
            }
            Present::Unknown => {
                earlier = self.manifest().await?;
                self.survey(&(0..self.entries.len()).collect::<Vec<_>>()).await?
            }
        };
        let changes = self.compare(&found).await?;
        let now: HashSet<&str> = self.entries.iter().map(|entry| entry.path.as_str()).collect();
        earlier.retain(|record| !now.contains(record.path.as_str()));
        let missing = matches!(found.first(), Some(Found::Missing));
        let transfer = self.transmit(changes, earlier, missing).await?;
        if self.options.verify == Verify::Hash {
            self.verify().await?;
        }
        Ok(Some(transfer))
    }

    async fn look(&self) -> Result<Option<Present>> {
        let script = format!(
            "LC_ALL=C; export LC_ALL\n\
             for c in tar gzip stat sha256sum xargs mv mkdir rm chmod cut; do command -v $c >/dev/null || exit 0; done\n\
             r={root}; m=$PWD/{place}\n{FINGERPRINT}\
             if [ ! -e \"$r\" ] && [ ! -L \"$r\" ]; then echo spot:missing; exit 0; fi\n\
             [ -d \"$r\" ] || {{ echo spot:other; exit 0; }}\n\
             if read -r digest known left 2>/dev/null < \"$m/state\" && cd \"$r\" && [ \"$(fingerprint)\" = \"$known\" ]; then\n\
             echo \"spot:known $digest $left\"; else echo spot:folder; fi",
            root = quote(self.destination),
            place = manifest::place(self.destination, self.options.sudo),
        );
        let (_, ended) = file::run(self.pool, self.target, self.options.sudo, &script, 8192).await?;
        let text = String::from_utf8_lossy(&ended.stdout);
        let Some((_, said)) = text.split_once("spot:") else {
            return match ended.ok() || !self.options.sudo {
                true => Ok(None),
                false => Err(ended.failure(self.target, &format!("write {}", self.destination))),
            };
        };
        let mut words = said.split_whitespace();
        Ok(Some(match words.next() {
            Some("missing") => Present::Missing,
            Some("other") => return Err(in_the_way(self.target, self.destination, "not a folder")),
            Some("known") => Present::Known {
                digest: words.next().unwrap_or_default().to_owned(),
                left: words.next().and_then(|left| left.parse().ok()).unwrap_or(1),
            },
            _ => Present::Unknown,
        }))
    }

    /// What earlier uploads put there.
    async fn manifest(&self) -> Result<Vec<Record>> {
        let place = manifest::place(self.destination, self.options.sudo);
        let script = format!("exec cat {place}/manifest 2>/dev/null");
        let limit = 256 << 20;
        let (_, ended) = file::run(self.pool, self.target, self.options.sudo, &script, limit).await?;
        Ok(manifest::read(&ended.stdout))
    }

    async fn survey(&self, indices: &[usize]) -> Result<Vec<Found>> {
        if indices.is_empty() {
            return Ok(Vec::new());
        }
        let chosen = indices.iter().filter_map(|index| self.entries.get(*index));
        let paths: Vec<String> = chosen.map(|entry| below(self.destination, &entry.path)).collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        survey(self.pool, self.target, &paths, self.options.sudo).await
    }

    async fn compare(&self, found: &[Found]) -> Result<Changes> {
        let mut changes = Changes::default();
        for (index, (entry, found)) in self.entries.iter().zip(found).enumerate() {
            let path = || below(self.destination, &entry.path);
            match (&entry.kind, found) {
                (EntryKind::Folder { .. }, Found::Folder) => {}
                // The root may be a link, since the user named it. Below it, a link leads elsewhere.
                (EntryKind::Folder { .. }, Found::Link { .. }) if entry.path.is_empty() => {}
                (EntryKind::Folder { .. }, Found::Missing | Found::Unknown) => changes.folders.push(index),
                (EntryKind::Folder { .. }, Found::Link { .. }) => {
                    let error = in_the_way(self.target, &path(), "a link, not a folder");
                    return Err(error.with_hint("remove it, or upload to the folder it leads to"));
                }
                (EntryKind::Folder { .. }, _) => {
                    return Err(in_the_way(self.target, &path(), "not a folder"));
                }
                (_, Found::Folder) => return Err(in_the_way(self.target, &path(), "a folder")),
                (EntryKind::Link { target }, Found::Link { hash }) if *hash == link_hash(target) => {}
                (EntryKind::Link { .. }, _) => changes.links.push(index),
                (EntryKind::File { local, mode }, Found::File { mode: present, hash }) => {
                    let same = local.known_hash() == Some(hash)
                        || local.known_hash().is_none() && {
                            let (local, hash) = (Arc::clone(local), hash.clone());
                            blocking(move || Ok(local.hash()? == hash)).await?
                        };
                    if !same {
                        changes.files.push(index);
                        continue;
                    }
                    changes.unchanged += 1;
                    if self.options.mode.unwrap_or(*mode) != *present {
                        changes.modes.push(index);
                    }
                }
                (EntryKind::File { .. }, _) => changes.files.push(index),
            }
        }
        Ok(changes)
    }

    async fn transmit(&self, changes: Changes, earlier: Vec<Record>, missing: bool) -> Result<Transfer> {
        let mut chosen = [changes.folders.as_slice(), &changes.files, &changes.links].concat();
        chosen.sort_unstable();
        let (gone, left) = if self.options.delete { (earlier, Vec::new()) } else { (Vec::new(), earlier) };
        let size = |index: &usize| match self.entries.get(*index).map(|entry| &entry.kind) {
            Some(EntryKind::File { local, .. }) => local.size,
            _ => 0,
        };
        let total: u64 = changes.files.iter().map(size).sum();
        let script = self.script(&changes, &gone, left.len(), missing)?;
        let compress = self.is_far().await?;
        let mut key = Sha256::new();
        key.update(format!("{compress} {:?} {chosen:?}\0{script}\0", self.options.mode));
        key.update(manifest::write(&left));
        let parcel = Parcel {
            entries: Arc::clone(self.entries),
            mode: self.options.mode,
            chosen,
            left,
            script,
            compress,
        };
        let archive = self.source.archive(hex(&key.finalize()), parcel)?;
        let attempt = |_: u32| self.attempt(&archive, missing, compress, total);
        let deleted = tokio::select! {
            biased;
            () = self.pool.cancel.cancelled() => return Err(Error::interrupted()),
            result = self.pool.settings.retry.run(&self.pool.cancel, attempt) => result?,
        };
        (self.on_progress)(total, total);
        Ok(Transfer {
            files: changes.files.len() as u64,
            bytes: total,
            unchanged: changes.unchanged,
            folders: changes.folders.len() as u64,
            links: changes.links.len() as u64,
            modes: changes.modes.len() as u64,
            deleted,
            ..Transfer::default()
        })
    }

    async fn is_far(&self) -> Result<bool> {
        let session = self.pool.session(self.target, Attempts::Policy).await?;
        let started = Instant::now();
        // Whatever comes of it, an answer has come back.
        drop(session.open().await);
        Ok(started.elapsed() > FAR)
    }

    /// Sends the archive and returns how many things of earlier uploads were removed. What a broken
    /// connection leaves on the host, the host removes.
    async fn attempt(&self, archive: &Archive, missing: bool, compress: bool, total: u64) -> Result<u64> {
        let (session, channel) = self.pool.open(self.target, Attempts::One).await?;
        let stage = match missing {
            true => beside(self.destination),
            false => beside(&below(self.destination, "x")),
        };
        let parent = match parent(self.destination) {
            Some(parent) if missing => {
                format!("(umask {DEFAULT_UMASK}; mkdir -p {}) || exit 1\n", quote(parent))
            }
            _ => String::new(),
        };
        let script = format!(
            "LC_ALL=C; export LC_ALL; umask 077; r={root}; s={stage}; m=$PWD/{place}\n{FINGERPRINT}{parent}\
             mkdir \"$s\" || exit 1\n\
             trap 'rm -rf \"$s\"' EXIT; trap 'exit 1' HUP INT TERM PIPE\n\
             tar -x{gzip} -o -p -f - -C \"$s\" || exit 1\n\
             [ -f \"$s/script\" ] || exit 1\n\
             . \"$s/script\"",
            root = quote(self.destination),
            stage = quote(&stage),
            place = manifest::place(self.destination, self.options.sudo),
            gzip = if compress { " -z" } else { "" },
        );
        let mut pieces = archive.read(|at| {
            let done = match archive.size() {
                Some(size) if size > 0 => (u128::from(at) * u128::from(total) / u128::from(size)) as u64,
                _ => at,
            };
            (self.on_progress)(done.min(total), total);
        });
        let ended = feed::run(&session, channel, self.options.sudo, &script, 8192, &mut pieces).await?;
        let text = String::from_utf8_lossy(&ended.stdout);
        let gone = text.rsplit_once("spot:").and_then(|(_, gone)| gone.trim().parse().ok());
        match ended.ok() {
            true => Ok(gone.unwrap_or(0)),
            false => {
                let error = ended.failure(self.target, &format!("write {}", self.destination));
                let appeared = missing && error.message().ends_with(": File exists");
                Err(if appeared { error.with_code(APPEARED) } else { error })
            }
        }
    }

    /// What puts the extracted files in place: folders that are missing move as a whole, other files
    /// by their folder. `r`, `s` and `m` are the root, the folder with the files, the manifest's.
    fn script(&self, changes: &Changes, gone: &[Record], left: usize, missing: bool) -> Result<String> {
        let path = |index: &usize| self.entries.get(*index).map_or("", |entry| entry.path.as_str());
        let new: HashSet<&str> = changes.folders.iter().map(path).collect();
        let mut moves: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for index in [&changes.folders, &changes.files, &changes.links].into_iter().flatten() {
            let path = path(index);
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            if !path.is_empty() && !new.contains(folder) {
                moves.entry(folder).or_default().push(path);
            }
        }
        let mut script = "set -e; gone=0\nrm -f \"$m/state\" 2>/dev/null || :\n".to_owned();
        if missing {
            script.push_str(
                "if [ -e \"$r\" ] || [ -L \"$r\" ]; then echo \"$r: File exists\" >&2; exit 1; fi\n",
            );
        }
        if self.options.sync {
            script.push_str("sync\n");
        }
        match missing {
            true => script.push_str("mv -f \"$s/t\" \"$r\"\n"),
            false => {
                for (folder, paths) in &moves {
                    for some in paths.chunks(NAMES) {
                        script.push_str("mv -f --");
                        for path in some {
                            push(&mut script, " \"$s/t/\"", path)?;
                        }
                        push(&mut script, " \"$r/\"", folder)?;
                        script.push_str("/\n");
                    }
                }
            }
        }
        remove(&mut script, gone)?;
        self.set_modes(&mut script, changes)?;
        // An upload is done without its manifest too: the next one looks at everything again.
        script.push_str(&format!(
            "if mkdir -p \"$m\" && mv -f \"$s/m/manifest\" \"$s/m/files\" \"$s/m/folders\" \"$m/\"; then\n\
             now=$(cd \"$r\" && fingerprint) && echo \"$(cat \"$s/m/digest\") $now {left}\" > \"$m/state\" || :\n\
             fi 2>/dev/null\n\
             echo \"spot:$gone\"\n"
        ));
        Ok(script)
    }

    /// Sets the modes that the archive did not bring: of files that were there, and of folders that
    /// we may not write to, now that they are filled.
    fn set_modes(&self, script: &mut String, changes: &Changes) -> Result<()> {
        let mut modes = Vec::new();
        for index in changes.modes.iter().chain(&changes.folders) {
            match self.entries.get(*index).map(|entry| (&entry.path, &entry.kind)) {
                Some((path, EntryKind::File { mode, .. })) => {
                    modes.push((self.options.mode.unwrap_or(*mode), path));
                }
                Some((path, EntryKind::Folder { mode })) => {
                    modes.push((self.options.mode.map_or(*mode, with_search), path));
                }
                _ => {}
            }
        }
        // From the inside out: a folder may end up closed to ourselves.
        modes.sort_by(|one, other| other.1.cmp(one.1));
        for same in modes.chunk_by(|one, other| one.0 == other.0) {
            for some in same.chunks(NAMES) {
                let mode = some.first().map_or(0, |(mode, _)| *mode);
                script.push_str(&format!("chmod {mode:o} --"));
                for (_, path) in some {
                    push(script, " \"$r/\"", path)?;
                }
                script.push('\n');
            }
        }
        Ok(())
    }

    /// Looks at every content on the host again.
    async fn verify(&self) -> Result<()> {
        let indices: Vec<usize> = (0..self.entries.len()).collect();
        for (entry, found) in self.entries.iter().zip(self.survey(&indices).await?) {
            let EntryKind::File { local, .. } = &entry.kind else { continue };
            let same = matches!((&found, local.known_hash()), (Found::File { hash, .. }, Some(ours)) if hash == ours);
            if !same {
                let path = below(self.destination, &entry.path);
                let message = format!("{path} on {} is not what was sent", self.target);
                return Err(Error::ssh(message).with_code("ChecksumMismatch"));
            }
        }
        Ok(())
    }
}

/// Removes what an earlier upload put there. Through a link, something else would be removed.
fn remove(script: &mut String, gone: &[Record]) -> Result<()> {
    let mut gone: Vec<&Record> = gone.iter().filter(|record| !record.path.is_empty()).collect();
    // What is in a folder before the folder.
    gone.sort_by(|one, other| other.path.cmp(&one.path));
    for record in gone {
        let path = &record.path;
        script.push_str("if :");
        for (at, _) in path.match_indices('/') {
            push(script, " && [ ! -L \"$r/\"", path.get(..at).unwrap_or_default())?;
            script.push_str(" ]");
        }
        script.push_str("; then ");
        match record.found {
            Found::Folder => {
                push(script, "if [ ! -L \"$r/\"", path)?;
                push(script, " ] && rmdir \"$r/\"", path)?;
            }
            // A folder in the place of a file is somebody else's.
            _ => {
                push(script, "if [ -L \"$r/\"", path)?;
                push(script, " ] || [ -f \"$r/\"", path)?;
                push(script, " ] && rm -f \"$r/\"", path)?;
            }
        }
        script.push_str(" 2>/dev/null; then gone=$((gone + 1)); fi; fi\n");
    }
    Ok(())
}

fn push(script: &mut String, before: &str, path: &str) -> Result<()> {
    write!(script, "{before}{}", quote(path)).map_err(|_| Error::internal("a script could not be written"))
}
