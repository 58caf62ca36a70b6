//! The operations that change something on disk, so that tests can make each of them fail.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// What state does to the disk. Reading goes past this.
pub(super) trait Disk: Send + Sync {
    /// Makes one folder (0700).
    fn create_folder(&self, path: &Path) -> io::Result<()>;
    /// Makes a file (0600) that is open for appending, in place of one that may be there.
    fn create(&self, path: &Path) -> io::Result<File>;
    /// Opens a file for appending; makes it (0600) if it is absent.
    fn open(&self, path: &Path) -> io::Result<File>;
    /// Takes permissions away that go beyond `mode`.
    fn tighten(&self, path: &Path, mode: u32) -> io::Result<()>;
    /// Appends all bytes.
    fn append(&self, file: &File, bytes: &[u8]) -> io::Result<()>;
    /// Cuts a file to a length.
    fn truncate(&self, file: &File, length: u64) -> io::Result<()>;
    /// Waits until the file's contents and length are on the disk.
    fn sync(&self, file: &File) -> io::Result<()>;
    /// Waits until the names in a folder are on the disk.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
    /// Gives a file another name, replacing what has it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// The disk of this machine.
pub(super) struct RealDisk;

impl Disk for RealDisk {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(path)
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        match fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().append(true).create(true).mode(0o600).open(path)
    }

    fn tighten(&self, path: &Path, mode: u32) -> io::Result<()> {
        let present = fs::metadata(path)?.permissions().mode() & 0o7777;
        if present & !mode == 0 {
            return Ok(());
        }
        fs::set_permissions(path, Permissions::from_mode(present & mode))
    }

    fn append(&self, mut file: &File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    fn truncate(&self, file: &File, length: u64) -> io::Result<()> {
        file.set_len(length)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        match File::open(path)?.sync_all() {
            // Some network file systems cannot sync a folder; they keep names durable themselves.
            Err(e) if e.kind() == io::ErrorKind::InvalidInput => Ok(()),
            other => other,
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}
