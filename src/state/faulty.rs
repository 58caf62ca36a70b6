//! A disk for tests: counts, fails at a chosen operation, or dies at it as in a crash.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use super::disk::{Disk, RealDisk};

/// What happens at the chosen operation. A write that is hit leaves half of its bytes behind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fault {
    /// Nothing: only count.
    None,
    /// This operation fails; those after it work.
    FullAt(usize),
    /// This operation and all after it fail.
    CrashAt(usize),
    /// As in a crash of the machine: what was written or renamed since the last fsync of the file or
    /// folder is undone too.
    LoseAt(usize),
}

#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    pub(super) operations: usize,
    pub(super) syncs: usize,
    pub(super) bytes: usize,
}

pub(super) struct FaultyDisk {
    fault: Fault,
    state: Mutex<State>,
    on_sync: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct State {
    counts: Counts,
    /// By inode: the file, and how much of it is on the disk.
    synced: HashMap<u64, (File, u64)>,
    /// Renames that are not yet on the disk: from, to, and what was there.
    renamed: Vec<(PathBuf, PathBuf, Option<Vec<u8>>)>,
}

impl FaultyDisk {
    pub(super) fn new(fault: Fault) -> Self {
        FaultyDisk { fault, state: Mutex::default(), on_sync: Box::new(|| {}) }
    }

    /// Calls `on_sync` in each fsync of a file.
    pub(super) fn with_sync(on_sync: impl Fn() + Send + Sync + 'static) -> Self {
        FaultyDisk { on_sync: Box::new(on_sync), ..FaultyDisk::new(Fault::None) }
    }

    pub(super) fn counts(&self) -> Counts {
        self.state().counts
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Counts an operation; an error if it is to fail, and whether it is the first to.
    fn enter(&self) -> Result<(), (io::Error, bool)> {
        let mut state = self.state();
        let now = state.counts.operations;
        state.counts.operations += 1;
        let full = io::Error::from(io::ErrorKind::StorageFull);
        match self.fault {
            Fault::FullAt(at) if now == at => Err((full, true)),
            Fault::CrashAt(at) if now >= at => Err((full, now == at)),
            Fault::LoseAt(at) if now >= at => {
                if now == at {
                    state.lose_what_is_not_synced();
                }
                Err((full, false))
            }
            _ => Ok(()),
        }
    }

    fn simply(&self) -> io::Result<()> {
        self.enter().map_err(|(error, _)| error)
    }

    fn remember(&self, file: &File) -> io::Result<()> {
        let metadata = file.metadata()?;
        self.state().synced.insert(metadata.ino(), (file.try_clone()?, metadata.len()));
        Ok(())
    }
}

impl State {
    fn lose_what_is_not_synced(&mut self) {
        for (file, length) in self.synced.values() {
            if file.metadata().unwrap().len() > *length {
                file.set_len(*length).unwrap();
            }
        }
        for (from, to, former) in self.renamed.drain(..).rev() {
            fs::rename(&to, from).unwrap();
            if let Some(former) = former {
                fs::write(to, former).unwrap();
            }
        }
    }
}

impl Disk for FaultyDisk {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.simply()?;
        RealDisk.create_folder(path)
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        self.simply()?;
        let file = RealDisk.create(path)?;
        self.remember(&file)?;
        Ok(file)
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        self.simply()?;
        let file = RealDisk.open(path)?;
        self.remember(&file)?;
        Ok(file)
    }

    fn tighten(&self, path: &Path, mode: u32) -> io::Result<()> {
        self.simply()?;
        RealDisk.tighten(path, mode)
    }

    fn append(&self, file: &File, bytes: &[u8]) -> io::Result<()> {
        if let Err((error, half)) = self.enter() {
            if half {
                RealDisk.append(file, &bytes[..bytes.len() / 2])?;
            }
            return Err(error);
        }
        self.state().counts.bytes += bytes.len();
        RealDisk.append(file, bytes)
    }

    fn truncate(&self, file: &File, length: u64) -> io::Result<()> {
        self.simply()?;
        RealDisk.truncate(file, length)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        // Tests do not outlive the machine: the real fsync would only make them slow.
        (self.on_sync)();
        self.simply()?;
        self.state().counts.syncs += 1;
        self.remember(file)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.simply()?;
        self.state().renamed.retain(|(_, to, _)| to.parent() != Some(path));
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.simply()?;
        let former = fs::read(to).ok();
        RealDisk.rename(from, to)?;
        self.state().renamed.push((from.to_owned(), to.to_owned(), former));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.simply()?;
        RealDisk.remove(path)
    }
}
