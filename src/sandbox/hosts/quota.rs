//! How much of the machine's disk a host has taken.
//!
//! No file system for each host can be had without privileges that would not also be lost when spot is
//! killed, or live in memory. So one file cannot be larger than all (`RLIMIT_FSIZE`), SFTP is counted byte
//! by byte, and for what commands write together somebody looks.

use std::collections::HashSet;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::statvfs::statvfs;

/// How many bytes are always left to the machine, whatever hosts may still take.
const RESERVE: u64 = 512 << 20;
/// How fast a disk may be filled, in bytes per second: it is looked at again before it could be full.
const FASTEST: f64 = 2e9;
/// How often is looked at most, and at least.
const SOONEST: Duration = Duration::from_millis(5);
const LATEST: Duration = Duration::from_secs(1);
/// Looking at many files takes at most a third of the time.
const SHARE: u32 = 2;

/// The disk of a host.
pub(super) struct Quota {
    limit: u64,
    folders: Vec<PathBuf>,
    /// What was taken when somebody looked, and what was counted since.
    used: AtomicU64,
}

impl Quota {
    /// A quota for everything in the folders, which need not exist yet.
    pub(super) fn new(limit: u64, folders: Vec<PathBuf>) -> Quota {
        Quota { limit, folders, used: AtomicU64::new(0) }
    }

    /// Takes room for bytes that are to be written, as far as is known without looking.
    pub(super) fn take(&self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        self.used.fetch_add(bytes, Ordering::Relaxed) + bytes <= self.limit
    }

    /// Takes room after looking: files may have been deleted, or written over. Blocks. Only a thread that
    /// may read all of the host's folders, with spot's own user, sees what is there.
    pub(super) fn take_after_a_look(&self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        let fits = self.measure().0 + bytes <= self.limit;
        if fits {
            self.used.fetch_add(bytes, Ordering::Relaxed);
        }
        fits
    }

    /// Looks; blocks. Whether the host has more than it may, and when to look again.
    pub(super) fn look(&self) -> (bool, Duration) {
        let begin = Instant::now();
        let (used, spare) = self.measure();
        let over = used > self.limit || spare < RESERVE;
        let left = Duration::from_secs_f64(self.limit.saturating_sub(used) as f64 / FASTEST);
        (over, left.clamp(SOONEST, LATEST).max(begin.elapsed() * SHARE))
    }

    /// What is taken, and what is left to the machine.
    fn measure(&self) -> (u64, u64) {
        let mut linked = HashSet::new();
        // What cannot be read because it vanished meanwhile takes nothing.
        let used = self.folders.iter().map(|folder| taken(folder, &mut linked).unwrap_or(0)).sum();
        self.used.store(used, Ordering::Relaxed);
        let spare = self.folders.first().and_then(|folder| statvfs(folder).ok());
        let spare =
            spare.map_or(u64::MAX, |disk| disk.blocks_available().saturating_mul(disk.fragment_size()));
        (used, spare)
    }
}

/// The bytes that a tree takes on its disk; links are not followed, and a file with several names counts once.
fn taken(path: &Path, linked: &mut HashSet<(u64, u64)>) -> io::Result<u64> {
    let stat = path.symlink_metadata()?;
    if !stat.is_dir() {
        let first = stat.nlink() < 2 || linked.insert((stat.dev(), stat.ino()));
        return Ok(if first { stat.blocks() * 512 } else { 0 });
    }
    let entries = match std::fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            // Ours, closed by the host: nothing may hide from being counted.
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(stat.mode() | 0o500))?;
            std::fs::read_dir(path)?
        }
        entries => entries?,
    };
    let mut sum = stat.blocks() * 512;
    for entry in entries.flatten() {
        sum += taken(&entry.path(), linked).unwrap_or(0);
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_counts_once_and_closed_folders_do_not_hide() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        std::fs::create_dir_all(root.join("closed")).unwrap();
        std::fs::write(root.join("closed/file"), vec![1; 100_000]).unwrap();
        std::fs::hard_link(root.join("closed/file"), root.join("again")).unwrap();
        std::os::unix::fs::symlink("/usr", root.join("elsewhere")).unwrap();
        std::fs::set_permissions(root.join("closed"), std::fs::Permissions::from_mode(0o000)).unwrap();
        let quota = Quota::new(150_000, vec![root.clone(), folder.path().join("none")]);
        let (used, spare) = quota.measure();
        assert!((100_000..150_000).contains(&used) && spare > 0, "{used}");
        assert!(quota.take(10_000));
        assert!(!quota.take(60_000) && !quota.take_after_a_look(60_000));
        std::fs::write(root.join("again"), "").unwrap();
        assert!(quota.take_after_a_look(60_000));
    }
}
