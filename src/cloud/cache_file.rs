//! Files that make the next run quicker or wiser, and no run wrong: JSON, replaced as a whole.

use std::fs;
use std::io::{ErrorKind, Result, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A file among the caches of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CacheFile {
    path: PathBuf,
}

impl CacheFile {
    /// The file of a name in a project's private folder (`.spot`).
    pub(super) fn in_folder(private: &Path, name: &str) -> Self {
        CacheFile { path: private.join("cache").join(name) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What is in it; the empty value when there is no such file.
    pub(super) fn read<T: DeserializeOwned + Default>(&self) -> Result<T> {
        match fs::read(&self.path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(T::default()),
            Err(error) => Err(error),
        }
    }

    pub(super) fn write<T: Serialize>(&self, content: &T) -> Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&serde_json::to_vec_pretty(content)?)?;
        file.persist(&self.path).map_err(|error| error.error)?;
        Ok(())
    }
}
