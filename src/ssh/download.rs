//! Fetching files. The server says what they are called: nothing it says leads out of the local
//! folder.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::{Instant, sleep};

use super::pool::Pool;
use super::sftp::{RemoteAttributes, RemoteKind, Sftp};
use super::target::Target;
use super::transfer::{Transfer, below, remote_path};
use super::upload::{FILES_AT_ONCE, OnProgress};
use crate::error::{Error, Result};

/// Reads under way per file.
const READS_AT_ONCE: usize = 8;
/// A server that nests folders deeper than this is having us on.
const DEPTH_LIMIT: usize = 128;

/// What there is to fetch.
#[derive(Default)]
struct Plan {
    folders: Vec<(PathBuf, Option<u32>)>,
    files: Vec<(String, PathBuf, RemoteAttributes)>,
    links: Vec<(String, PathBuf)>,
}

/// Downloads a file or a folder.
pub async fn download(
    pool: &Arc<Pool>,
    target: &Target,
    remote: &str,
    local: &Path,
    on_progress: OnProgress<'_>,
) -> Result<Transfer> {
    let started = Instant::now();
    let remote = remote_path(remote)?;
    let sftp = Sftp::open(pool, target).await?;
    let found = sftp.attributes(&remote).await?.ok_or_else(|| missing(target, &remote))?;
    let mut transfer = Transfer::default();
    let mut plan = Plan::default();
    match found.kind {
        RemoteKind::Folder => {
            // The folder itself may be a link: it is what the user named.
            if !local.is_dir() {
                create_folder(local)?;
            }
            plan.explore(&sftp, target, &remote, local, &mut transfer).await?;
        }
        _ => plan.files.push((remote.clone(), place_for_file(&remote, local)?, found)),
    }
    for (path, _) in &plan.folders {
        if create_folder(path)? {
            transfer.folders += 1;
        }
    }
    let total: u64 = plan.files.iter().map(|(_, _, attributes)| attributes.size).sum();
    let done = AtomicU64::new(0);
    let on_read = |bytes: u64| {
        let done = done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        on_progress(done, total.max(done));
    };
    let fetching = stream::iter(&plan.files).map(|(from, to, attributes)| {
        let fetch = Fetch { pool, target, from, to, attributes: *attributes, on_read: &on_read };
        let sftp = &sftp;
        async move { fetch.run(sftp).await }
    });
    let sizes: Vec<u64> = fetching.buffer_unordered(FILES_AT_ONCE).boxed().try_collect().await?;
    transfer.files = sizes.len() as u64;
    transfer.bytes = sizes.iter().sum();
    // Last, so that nothing can be written through them.
    for (to, path) in &plan.links {
        transfer.links += u64::from(make_link(to, path)?);
    }
    for (path, mode) in plan.folders.iter().rev() {
        if let Some(mode) = mode {
            fs::set_permissions(path, Permissions::from_mode(mode | 0o700))
                .map_err(|error| unwritable(path, &error))?;
        }
    }
    transfer.duration = started.elapsed();
    Ok(transfer)
}

/// Reads a whole remote file of at most `limit` bytes.
pub async fn read(pool: &Arc<Pool>, target: &Target, remote: &str, limit: u64) -> Result<Vec<u8>> {
    let remote = remote_path(remote)?;
    let sftp = Sftp::open(pool, target).await?;
    let handle = sftp.start_reading(&remote).await?;
    // One byte more tells whether there is more.
    let wanted = usize::try_from(limit.saturating_add(1)).unwrap_or(usize::MAX);
    let content = sftp.read_at(&handle, &remote, 0, wanted).await;
    sftp.finish(handle).await;
    let content = content?;
    if content.len() as u64 > limit {
        let message = format!("{remote} on {target} has more than {limit} bytes");
        return Err(Error::ssh(message).with_code("TooLarge").with_hint("download it"));
    }
    Ok(content)
}

impl Plan {
    async fn explore(
        &mut self,
        sftp: &Sftp,
        target: &Target,
        remote: &str,
        local: &Path,
        transfer: &mut Transfer,
    ) -> Result<()> {
        let mut waiting = vec![(String::new(), 0)];
        while let Some((path, depth)) = waiting.pop() {
            if depth > DEPTH_LIMIT {
                return Err(Error::ssh(format!("{remote} on {target} is nested too deeply at {path}")));
            }
            for (name, attributes) in sftp.list(&below(remote, &path)).await? {
                check_name(target, &name)?;
                let inner = if path.is_empty() { name } else { format!("{path}/{name}") };
                let (from, to) = (below(remote, &inner), local.join(&inner));
                match attributes.kind {
                    RemoteKind::File => self.files.push((from, to, attributes)),
                    RemoteKind::Folder => {
                        self.folders.push((to, attributes.mode));
                        waiting.push((inner, depth + 1));
                    }
                    RemoteKind::Link => {
                        let points_to = sftp.link_target(&from).await?;
                        match stays_inside(&inner, &points_to) {
                            true => self.links.push((points_to, to)),
                            false => transfer.skipped.push(format!("{inner}: links out of the folder")),
                        }
                    }
                    RemoteKind::Other => {
                        transfer.skipped.push(format!("{inner}: neither file, folder nor link"))
                    }
                }
            }
        }
        Ok(())
    }
}

/// A file on its way to us.
struct Fetch<'a> {
    pool: &'a Arc<Pool>,
    target: &'a Target,
    from: &'a str,
    to: &'a Path,
    attributes: RemoteAttributes,
    on_read: &'a (dyn Fn(u64) + Send + Sync),
}

impl Fetch<'_> {
    /// Fetches the file and puts it in place. When a connection breaks, it goes on where it was.
    async fn run(&self, shared: &Sftp) -> Result<u64> {
        let (to, from) = (self.to, self.from);
        let folder = match to.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let create = || tempfile::Builder::new().prefix(".spot-").suffix(".part").tempfile_in(folder);
        let mut file = create().map_err(|error| unwritable(to, &error))?;
        let started = Instant::now();
        let (mut written, mut failures) = (0, 0);
        let mut own = None;
        loop {
            let sftp = own.as_ref().unwrap_or(shared);
            let error = match self.copy(sftp, file.as_file_mut(), &mut written).await {
                Ok(()) => break,
                Err(error) => error,
            };
            failures += 1;
            let delay = self.pool.settings.retry.next_delay(failures, started.elapsed());
            let Some(delay) = delay.filter(|_| error.is_retryable()) else { return Err(error) };
            sleep(delay).await;
            let again = Sftp::open(self.pool, self.target).await?;
            let now = again.attributes(from).await?.ok_or_else(|| missing(self.target, from))?;
            if (now.size, now.modified) != (self.attributes.size, self.attributes.modified) {
                let message = format!("{from} on {} changed while it was being downloaded", self.target);
                return Err(Error::ssh(message).with_code("SourceChanged"));
            }
            own = Some(again);
        }
        let settle = || {
            let mode = self.attributes.mode.unwrap_or(0o600);
            file.as_file().set_permissions(Permissions::from_mode(mode))?;
            if let Some(seconds) = self.attributes.modified {
                file.as_file().set_modified(UNIX_EPOCH + Duration::from_secs(seconds.into()))?;
            }
            file.persist(to).map_err(|error| error.error)
        };
        settle().map_err(|error| unwritable(to, &error))?;
        Ok(written)
    }

    async fn copy(&self, sftp: &Sftp, file: &mut fs::File, written: &mut u64) -> Result<()> {
        let handle = sftp.start_reading(self.from).await?;
        let copied = self.read(sftp, &handle, file, written).await;
        sftp.finish(handle).await;
        copied
    }

    async fn read(&self, sftp: &Sftp, handle: &str, file: &mut fs::File, written: &mut u64) -> Result<()> {
        let chunk = sftp.chunk();
        let mut take = |data: &[u8]| {
            file.write_all(data).map_err(|error| unwritable(self.to, &error))?;
            *written += data.len() as u64;
            (self.on_read)(data.len() as u64);
            Ok::<u64, Error>(*written)
        };
        let mut at = take(&[])?;
        let offsets = (at..self.attributes.size).step_by(chunk);
        let mut reads = stream::iter(offsets)
            .map(|offset| sftp.read_at(handle, self.from, offset, chunk))
            .buffered(READS_AT_ONCE)
            .boxed();
        while let Some(data) = reads.next().await {
            let data = data?;
            at = take(&data)?;
            if data.len() < chunk {
                // The end, or the file shrank in the meantime.
                break;
            }
        }
        drop(reads);
        // A file that grows, or whose size the server does not know, as in /proc.
        loop {
            let data = sftp.read_at(handle, self.from, at, chunk).await?;
            if data.is_empty() {
                return Ok(());
            }
            at = take(&data)?;
        }
    }
}

/// Where a single file goes: into a folder if one is named, else to the path itself.
fn place_for_file(remote: &str, local: &Path) -> Result<PathBuf> {
    let into = local.is_dir() || local.as_os_str().as_encoded_bytes().ends_with(b"/");
    if !into {
        if let Some(folder) = local.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
        }
        return Ok(local.to_owned());
    }
    fs::create_dir_all(local).map_err(|error| unwritable(local, &error))?;
    match remote.trim_end_matches('/').rsplit('/').next() {
        Some(name) if !matches!(name, "" | "." | "..") => Ok(local.join(name)),
        _ => Err(Error::usage(format!("{remote} names no file"))),
    }
}

/// Makes a folder with its parents, unless it is there; a link in its place is not followed.
fn create_folder(path: &Path) -> Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => Ok(false),
        Ok(_) => {
            let message = format!("{} is in the way: expected a folder", path.display());
            Err(Error::usage(message).with_hint("remove it, or download to another folder"))
        }
        Err(_) => {
            fs::create_dir_all(path).map_err(|error| unwritable(path, &error))?;
            Ok(true)
        }
    }
}

/// Makes a link, unless it is there; replaces a link or a file.
fn make_link(to: &str, path: &Path) -> Result<bool> {
    if fs::read_link(path).is_ok_and(|present| present == Path::new(to)) {
        return Ok(false);
    }
    let temporary = path.with_file_name(format!(".spot-{:016x}.part", rand::random::<u64>()));
    symlink(to, &temporary).map_err(|error| unwritable(path, &error))?;
    fs::rename(&temporary, path).map_err(|error| {
        // The rename's error is the one to tell.
        let _ = fs::remove_file(&temporary);
        unwritable(path, &error)
    })?;
    Ok(true)
}

/// A name in a folder is one name: no path, no way up.
fn check_name(target: &Target, name: &str) -> Result<()> {
    let mut parts = Path::new(name).components();
    let single =
        matches!(parts.next(), Some(Component::Normal(part)) if part == name) && parts.next().is_none();
    if single && !name.contains(['/', '\0']) {
        return Ok(());
    }
    let message = format!("{target} sent the file name {name:?}, which leads out of its folder");
    Err(Error::ssh(message).with_code("UnsafeName").with_hint("do not trust this host"))
}

/// Whether a link at `path`, below the root, leads to somewhere below the root.
fn stays_inside(path: &str, to: &str) -> bool {
    let mut depth = path.matches('/').count();
    for part in Path::new(to).components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir => match depth.checked_sub(1) {
                Some(up) => depth = up,
                None => return false,
            },
            Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    !to.is_empty()
}

fn missing(target: &Target, path: &str) -> Error {
    Error::ssh(format!("there is no {path} on {target}")).with_code("NoSuchFile")
}

fn unwritable(path: &Path, error: &io::Error) -> Error {
    Error::usage(format!("cannot write {}: {error}", path.display())).with_code("WriteFailed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let target = Target { id: "i-1".into(), address: "a".into(), port: 22, user: "u".into() };
        for name in ["..", ".", "", "/etc/passwd", "../x", "a/b", "a/", "a\0b", "./a"] {
            assert_eq!(check_name(&target, name).unwrap_err().code(), Some("UnsafeName"), "{name:?}");
        }
        for name in ["a", "...", "-rf", "a b", "a\nb", "~"] {
            check_name(&target, name).unwrap();
        }
    }

    #[test]
    fn links_that_lead_out_are_known() {
        assert!(stays_inside("a/link", "../b"));
        assert!(stays_inside("link", "b/../c"));
        assert!(!stays_inside("link", "../b"));
        assert!(!stays_inside("a/link", "b/../../../c"));
        assert!(!stays_inside("link", "/etc/passwd"));
        assert!(!stays_inside("link", ""));
    }

    #[test]
    fn a_link_is_not_taken_for_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logs");
        symlink("/tmp", &path).unwrap();
        assert!(create_folder(&path).unwrap_err().message().contains("in the way"));
    }
}
