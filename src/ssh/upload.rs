//! Sending files: what differs, to a temporary name each, then into place.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::{Instant, timeout};

use super::content::Content;
use super::pool::Pool;
use super::sftp::{Flow, Sftp};
use super::source::Source;
use super::staging;
use super::survey::{Found, link_hash, survey};
use super::target::Target;
use super::transfer::{Item, ItemKind, Transfer, Upload, below, beside, remote_path};
use super::tree::{Entry, EntryKind};
use super::{file, folder};
use crate::error::{Error, Result};

/// Files sent at once; each needs several round trips however small it is.
pub const FILES_AT_ONCE: usize = 8;
/// How long cleaning up after a failure may take.
const CLEANUP_PATIENCE: Duration = Duration::from_secs(2);
/// What is left out of the modes of folders above a destination.
pub const DEFAULT_UMASK: &str = "022";
/// The mode of a new file when nobody says.
const DEFAULT_MODE: u32 = 0o644;

/// Hears of progress: bytes done, bytes in all.
pub type OnProgress<'a> = &'a (dyn Fn(u64, u64) + Send + Sync);

/// What has to be done, after looking at what is there.
#[derive(Debug, Default)]
pub struct Work {
    /// Folders to make, those above first, with the modes they end up with.
    pub folders: Vec<(String, u32)>,
    pub files: Vec<FileWork>,
    /// Links to make: what they point to, where they are.
    pub links: Vec<(String, String)>,
    /// Modes to change.
    pub modes: Vec<(String, u32)>,
}

/// A file to send.
#[derive(Debug)]
pub struct FileWork {
    pub content: Content,
    pub size: u64,
    pub mode: u32,
    pub path: String,
}

/// Uploads a file or a folder: as a stream where the host has a shell, over SFTP where it has not.
pub async fn upload(
    pool: &Arc<Pool>,
    target: &Target,
    source: &Source,
    remote: &str,
    options: &Upload,
    on_progress: OnProgress<'_>,
) -> Result<Transfer> {
    if options.mode.is_some_and(|mode| mode > 0o777) {
        return Err(Error::usage("a mode has permission bits only: expected at most 0o777"));
    }
    let started = Instant::now();
    let entries = source.entries().await?;
    let mut destination = remote_path(remote)?;
    let sent = match entries.first().map(|entry| &entry.kind) {
        Some(EntryKind::File { local, mode }) => {
            if destination.ends_with('/') {
                let name = source.root().file_name().and_then(|name| name.to_str()).unwrap_or_default();
                destination = below(&destination, name);
            }
            let (path, mode) = (destination.as_str(), options.mode.unwrap_or(*mode));
            file::Sending { pool, target, local, path, mode, options, on_progress }.send().await?
        }
        _ => {
            destination = below(&destination, "");
            let destination = destination.as_str();
            folder::Sending { pool, target, source, entries, destination, options, on_progress }
                .send()
                .await?
        }
    };
    let mut transfer = match sent {
        Some(transfer) => transfer,
        None => send(pool, target, items(entries, &destination, options), options.sudo, on_progress).await?,
    };
    transfer.duration = started.elapsed();
    Ok(transfer)
}

fn items(entries: &[Entry], destination: &str, options: &Upload) -> Vec<Item> {
    let item = |entry: &Entry| Item {
        path: below(destination, &entry.path),
        kind: match &entry.kind {
            EntryKind::Folder { mode } => ItemKind::Folder { mode: options.mode.map_or(*mode, with_search) },
            EntryKind::File { local, mode } => ItemKind::File {
                content: Content::File(Arc::clone(local)),
                size: local.size,
                mode: Some(options.mode.unwrap_or(*mode)),
            },
            EntryKind::Link { target } => ItemKind::Link { target: target.clone() },
        },
    };
    entries.iter().map(item).collect()
}

/// Makes the things be there. What is there already stays untouched.
pub async fn send(
    pool: &Arc<Pool>,
    target: &Target,
    items: Vec<Item>,
    sudo: bool,
    on_progress: OnProgress<'_>,
) -> Result<Transfer> {
    let paths: Vec<&str> = items.iter().map(|item| item.path.as_str()).collect();
    let found = survey(pool, target, &paths, sudo).await?;
    let mut transfer = Transfer::default();
    let work = compare(target, items, found, &mut transfer).await?;
    if work.is_empty() {
        return Ok(transfer);
    }
    let total: u64 = work.files.iter().map(|file| file.size).sum();
    let done = AtomicU64::new(0);
    let on_sent = |bytes: u64| {
        let done = done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        on_progress(done, total);
    };
    match sudo {
        true => staging::apply(pool, target, &work, &on_sent, &mut transfer).await?,
        false => apply(pool, target, &work, &on_sent, &mut transfer).await?,
    }
    Ok(transfer)
}

impl Work {
    fn is_empty(&self) -> bool {
        self.folders.is_empty() && self.files.is_empty() && self.links.is_empty() && self.modes.is_empty()
    }

    /// The first path that something is put at: its folder may be missing.
    pub fn root(&self) -> Option<&str> {
        let folders = self.folders.iter().map(|(path, _)| path);
        let files = self.files.iter().map(|file| &file.path);
        let links = self.links.iter().map(|(_, path)| path);
        folders.chain(files).chain(links).map(String::as_str).min_by_key(|path| path.len())
    }
}

async fn compare(
    target: &Target,
    items: Vec<Item>,
    found: Vec<Found>,
    transfer: &mut Transfer,
) -> Result<Work> {
    let mut work = Work::default();
    for (index, (item, found)) in items.into_iter().zip(found).enumerate() {
        let (root, path) = (index == 0, item.path);
        match item.kind {
            ItemKind::Folder { mode } => match found {
                Found::Folder => {}
                // The root may be a link, since the user named it. Below it, a link leads elsewhere.
                Found::Link { .. } if root => {}
                Found::Link { .. } => return Err(in_the_way(target, &path, "a link, not a folder")),
                Found::Missing | Found::Unknown => work.folders.push((path, mode)),
                Found::File { .. } | Found::Other => return Err(in_the_way(target, &path, "not a folder")),
            },
            ItemKind::Link { target: to } => match found {
                Found::Link { hash } if hash == link_hash(&to) => {}
                Found::Folder => return Err(in_the_way(target, &path, "a folder")),
                _ => work.links.push((to, path)),
            },
            ItemKind::File { content, size, mode } => match found {
                Found::Folder => {
                    let error = in_the_way(target, &path, "a folder");
                    return Err(error.with_hint(format!("to put the file into it, write {path}/")));
                }
                Found::File { mode: present, hash } if hash == content.hash().await? => {
                    transfer.unchanged += 1;
                    if let Some(mode) = mode.filter(|mode| *mode != present) {
                        work.modes.push((path, mode));
                    }
                }
                Found::File { mode: present, .. } => {
                    work.files.push(FileWork { content, size, mode: mode.unwrap_or(present), path });
                }
                _ => work.files.push(FileWork { content, size, mode: mode.unwrap_or(DEFAULT_MODE), path }),
            },
        }
    }
    Ok(work)
}

/// Does the work over SFTP as the login user.
async fn apply(
    pool: &Arc<Pool>,
    target: &Target,
    work: &Work,
    on_sent: &(dyn Fn(u64) + Send + Sync),
    transfer: &mut Transfer,
) -> Result<()> {
    let sftp = tokio::select! {
        biased;
        () = pool.cancel.cancelled() => return Err(Error::interrupted()),
        sftp = Sftp::open(pool, target) => sftp?,
    };
    let temporaries = Temporaries::default();
    let result = tokio::select! {
        biased;
        () = pool.cancel.cancelled() => Err(Error::interrupted()),
        result = put(pool, &sftp, work, on_sent, &temporaries, transfer) => result,
    };
    if result.is_err() {
        // They may be on a connection that is lost: then they stay.
        let _ = timeout(CLEANUP_PATIENCE, temporaries.remove(&sftp)).await;
    }
    result
}

async fn put(
    pool: &Arc<Pool>,
    sftp: &Sftp,
    work: &Work,
    on_sent: &(dyn Fn(u64) + Send + Sync),
    temporaries: &Temporaries,
    transfer: &mut Transfer,
) -> Result<()> {
    if let Some(root) = work.root() {
        sftp.make_parents(root).await?;
    }
    let mut made = Vec::new();
    for (path, mode) in &work.folders {
        // Writable for us while it is being filled.
        if sftp.make_folder(path, mode | 0o700).await? {
            made.push((path, *mode));
        } else if Some(path.as_str()) != work.root() && sftp.is_link(path).await? {
            return Err(in_the_way(sftp.target(), path, "a link, not a folder"));
        }
    }
    let flow = Flow::new(&pool.chunks);
    let sending = stream::iter(&work.files).map(|file| async {
        let temporary = temporaries.beside(&file.path);
        let size = sftp.create(&temporary, &file.content, file.mode, &flow, on_sent).await?;
        sftp.replace(&temporary, &file.path).await?;
        temporaries.done(&temporary);
        Ok::<u64, Error>(size)
    });
    let sizes: Vec<u64> = sending.buffer_unordered(FILES_AT_ONCE).boxed().try_collect().await?;
    transfer.files += sizes.len() as u64;
    transfer.bytes += sizes.iter().sum::<u64>();
    for (to, path) in &work.links {
        let temporary = temporaries.beside(path);
        sftp.link(to, &temporary).await?;
        sftp.replace(&temporary, path).await?;
        temporaries.done(&temporary);
        transfer.links += 1;
    }
    for (path, mode) in &work.modes {
        sftp.set_mode(path, *mode).await?;
        transfer.modes += 1;
    }
    // From the inside out: a folder may end up closed to ourselves. The mode is set even where it
    // was given at creation, because the server's umask had its say.
    for (path, mode) in made.iter().rev() {
        sftp.set_mode(path, *mode).await?;
        transfer.folders += 1;
    }
    Ok(())
}

/// The temporary files of a transfer that are not yet in place.
#[derive(Default)]
struct Temporaries(Mutex<HashSet<String>>);

impl Temporaries {
    fn beside(&self, path: &str) -> String {
        let temporary = beside(path);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(temporary.clone());
        temporary
    }

    fn done(&self, temporary: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(temporary);
    }

    async fn remove(&self, sftp: &Sftp) {
        let left = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        futures::future::join_all(left.iter().map(|path| sftp.remove(path))).await;
    }
}

/// Permission bits for a folder: who may read it may enter it.
pub fn with_search(mode: u32) -> u32 {
    mode | (mode & 0o444) >> 2
}

pub fn in_the_way(target: &Target, path: &str, what: &str) -> Error {
    Error::ssh(format!("{path} on {target} is {what}")).with_code("InTheWay")
}
