//! `cloud.json`: loaded once, then replaced as a whole.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::model::cloud::{Cloud, VERSION};
use crate::error::{Error, Kind, Result};

/// How long a lock may outlive the process or the sandbox that held it: a child that was forked a
/// moment before shares it until it becomes its own program.
const LINGERING: Duration = Duration::from_secs(1);

/// The folder of a cloud, held by this process alone.
#[derive(Debug)]
pub(super) struct Store {
    folder: PathBuf,
    /// Locked as long as it is open.
    _lock: File,
}

impl Store {
    /// Makes the folder if need be, locks it and loads the cloud; a new folder has an empty one.
    pub fn open(folder: &Path) -> Result<(Store, Cloud)> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|error| failed(folder, "create", error))?;
        let store = Store { folder: folder.to_owned(), _lock: lock(folder)? };
        let cloud = store.load()?;
        Ok((store, cloud))
    }

    fn path(&self) -> PathBuf {
        self.folder.join("cloud.json")
    }

    fn load(&self) -> Result<Cloud> {
        let path = self.path();
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Cloud::default()),
            Err(error) => {
                return Err(Error::state(format!("cannot read {}", path.display())).with_source(error));
            }
        };
        let hint = format!("delete the folder {} to begin with an empty sandbox", self.folder.display());
        let cloud: Cloud = serde_json::from_slice(&bytes).map_err(|error| {
            let message = format!("{} is damaged: {error}", path.display());
            Error::state(message).with_hint(hint.clone())
        })?;
        if cloud.version != VERSION {
            let message = format!("{} has format {}, expected {VERSION}", path.display(), cloud.version);
            return Err(Error::state(message).with_hint(hint));
        }
        Ok(cloud)
    }

    /// Replaces `cloud.json`.
    pub fn write(&self, bytes: &[u8]) -> Result<()> {
        replace(&self.folder, "cloud.json", bytes)
    }
}

/// Holds the folder of a cloud against other processes as long as the file is open.
///
/// # Errors
/// A locked error if another process holds it, a state error if the folder cannot be used.
pub(in super::super) fn lock(folder: &Path) -> Result<File> {
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(folder.join("cloud.lock"))
        .map_err(|error| failed(folder, "lock", error))?;
    match take(&lock) {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(in_use(folder)),
        Err(TryLockError::Error(error)) => Err(failed(folder, "lock", error)),
    }
}

fn failed(folder: &Path, doing: &str, error: std::io::Error) -> Error {
    Error::state(format!("cannot {doing} the sandbox folder {}", folder.display())).with_source(error)
}

/// Replaces a file in a folder of the sandbox.
///
/// The rename makes it whole at any instant for whoever comes after a crash of this process; it
/// is not flushed to the disk, since a sandbox need not outlive a power failure.
pub(super) fn replace(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = folder.join(name);
    let failed =
        |error: std::io::Error| Error::state(format!("cannot write {}", path.display())).with_source(error);
    // Made with mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.persist(&path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Takes a lock, also one that is just being given up.
fn take(lock: &File) -> std::result::Result<(), TryLockError> {
    let deadline = Instant::now() + LINGERING;
    loop {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(10));
            }
            result => return result,
        }
    }
}

fn in_use(folder: &Path) -> Error {
    Error::new(Kind::Locked, format!("the sandbox in {} is in use by another process", folder.display()))
        .with_hint("wait for the other spot command to end, or end it")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_cloud_comes_back_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("sandbox");
        let (store, mut cloud) = Store::open(&root).unwrap();
        cloud.addresses.insert(std::net::Ipv4Addr::new(127, 64, 0, 1));
        store.write(&serde_json::to_vec(&cloud).unwrap()).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&root), mode(&root.join("cloud.json"))), (0o700, 0o600));
        let error = Store::open(&root).unwrap_err();
        assert_eq!(error.kind(), Kind::Locked);
        drop(store);
        let (_store, again) = Store::open(&root).unwrap();
        assert_eq!(again.addresses, cloud.addresses);
    }

    #[test]
    fn a_damaged_file_is_named_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cloud.json");
        for damaged in ["{\"version\":1", "{\"version\":99,\"regions\":{},\"addresses\":[]}"] {
            std::fs::write(&path, damaged).unwrap();
            let error = Store::open(folder.path()).unwrap_err();
            assert!(error.message().contains("cloud.json"), "{error}");
            assert!(error.hint().is_some());
            assert_eq!(std::fs::read_to_string(&path).unwrap(), damaged);
        }
    }
}
