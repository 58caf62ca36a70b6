//! A local file or folder to be uploaded, read once for all hosts.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use super::archive::{Archive, Parcel};
use super::content::blocking;
use super::exclude::Excludes;
use super::tree::{self, Entry};
use crate::error::Result;

/// What to upload. Clones share what was read of it: give the same one to all hosts.
#[derive(Clone)]
pub struct Source(Arc<Inner>);

struct Inner {
    root: PathBuf,
    exclude: Vec<String>,
    entries: OnceCell<Arc<Vec<Entry>>>,
    archives: Mutex<HashMap<String, Arc<Archive>>>,
}

impl Source {
    /// A file, or a folder without what the patterns name: as in a `.gitignore`, before those of a
    /// `.spotignore` in the folder.
    pub fn new(root: impl Into<PathBuf>, exclude: Vec<String>) -> Source {
        let (entries, archives) = (OnceCell::new(), Mutex::new(HashMap::new()));
        Source(Arc::new(Inner { root: root.into(), exclude, entries, archives }))
    }

    /// The path of the file or folder.
    pub fn root(&self) -> &Path {
        &self.0.root
    }

    /// What is in it, looked at once.
    pub(super) async fn entries(&self) -> Result<&Arc<Vec<Entry>>> {
        let look = || {
            let inner = Arc::clone(&self.0);
            blocking(move || {
                let excludes = Excludes::new(&inner.exclude, &inner.root)?;
                tree::read(&inner.root, &excludes).map(Arc::new)
            })
        };
        self.0.entries.get_or_try_init(look).await
    }

    /// The archive of a parcel, made once for all hosts that need the same.
    pub(super) fn archive(&self, key: String, parcel: Parcel) -> Result<Arc<Archive>> {
        let mut archives = self.0.archives.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(archive) = archives.get(&key) {
            return Ok(Arc::clone(archive));
        }
        let archive = Arc::new(Archive::start(parcel)?);
        archives.insert(key, Arc::clone(&archive));
        Ok(archive)
    }
}

impl From<&Path> for Source {
    fn from(root: &Path) -> Self {
        Source::new(root, Vec::new())
    }
}

impl From<&PathBuf> for Source {
    fn from(root: &PathBuf) -> Self {
        Source::new(root, Vec::new())
    }
}

impl From<&Source> for Source {
    fn from(source: &Source) -> Self {
        source.clone()
    }
}
