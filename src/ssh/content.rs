//! What a remote file is to contain: a local file, or bytes at hand.

use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;

use crate::error::{Error, Result};

/// The content of a file to be sent. Clones share what was found out about it.
#[derive(Debug, Clone)]
pub enum Content {
    /// A local file, read when it is sent.
    File(Arc<LocalFile>),
    /// Bytes at hand.
    Bytes(Arc<[u8]>),
}

/// A local file as it was when it was looked at.
#[derive(Debug)]
pub struct LocalFile {
    pub path: PathBuf,
    pub size: u64,
    /// When it was changed last: seconds since 1970 and nanoseconds.
    pub modified: (i64, i64),
    hash: OnceLock<String>,
}

/// A content being read.
pub enum Source {
    File(tokio::fs::File, PathBuf),
    Bytes(Arc<[u8]>, usize),
}

impl LocalFile {
    /// A file with what is known of it.
    pub fn new(path: PathBuf, metadata: &Metadata) -> Self {
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        LocalFile { path, size: metadata.len(), modified, hash: OnceLock::new() }
    }

    /// Opens it.
    pub fn open(&self) -> Result<File> {
        File::open(&self.path).map_err(|error| unreadable(&self.path, &error))
    }

    /// Reads exactly `length` bytes at an offset. Blocks.
    ///
    /// # Errors
    /// Code `SourceChanged` if there are no longer as many.
    pub fn read_at(&self, file: &File, offset: u64, length: usize) -> Result<Vec<u8>> {
        let mut piece = vec![0; length];
        match file.read_exact_at(&mut piece, offset) {
            Ok(()) => Ok(piece),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Err(self.changed()),
            Err(error) => Err(unreadable(&self.path, &error)),
        }
    }

    /// Fails if the file is no longer what it was when it was looked at. Blocks.
    ///
    /// # Errors
    /// Code `SourceChanged`.
    pub fn check_unchanged(&self, file: &File) -> Result<()> {
        let now = file.metadata().map_err(|error| unreadable(&self.path, &error))?;
        let same = now.len() == self.size && (now.mtime(), now.mtime_nsec()) == self.modified;
        if same { Ok(()) } else { Err(self.changed()) }
    }

    /// The error of a file that changes while it is read.
    pub fn changed(&self) -> Error {
        Error::usage(format!("{} changed while it was being uploaded", self.path.display()))
            .with_code("SourceChanged")
            .with_hint("wait until nothing writes to it, then upload it again")
    }

    /// Notes the SHA-256, found out while the file was read for another purpose.
    pub fn hashed(&self, hash: String) {
        // Whoever was first has the same.
        let _ = self.hash.set(hash);
    }

    /// The SHA-256 if it is known already.
    pub fn known_hash(&self) -> Option<&str> {
        self.hash.get().map(String::as_str)
    }

    /// The SHA-256 in lowercase hexadecimal, computed once. Blocks.
    pub fn hash(&self) -> Result<&str> {
        if let Some(hash) = self.hash.get() {
            return Ok(hash);
        }
        let mut file = self.open()?;
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; usize::try_from(self.size.clamp(1, 256 * 1024)).unwrap_or(1)];
        loop {
            match file.read(&mut buffer).map_err(|error| unreadable(&self.path, &error))? {
                0 => break,
                read => hasher.update(buffer.get(..read).unwrap_or_default()),
            }
        }
        self.check_unchanged(&file)?;
        Ok(self.hash.get_or_init(|| hex(&hasher.finalize())))
    }
}

impl Content {
    /// Starts reading.
    pub async fn open(&self) -> Result<Source> {
        match self {
            Content::Bytes(bytes) => Ok(Source::Bytes(Arc::clone(bytes), 0)),
            Content::File(local) => match tokio::fs::File::open(&local.path).await {
                Ok(file) => Ok(Source::File(file, local.path.clone())),
                Err(error) => Err(unreadable(&local.path, &error)),
            },
        }
    }

    /// The SHA-256 of the content, in lowercase hexadecimal.
    pub async fn hash(&self) -> Result<String> {
        match self {
            Content::Bytes(bytes) => Ok(hex(&Sha256::digest(bytes))),
            Content::File(local) => {
                if let Some(hash) = local.known_hash() {
                    return Ok(hash.to_owned());
                }
                let local = Arc::clone(local);
                blocking(move || local.hash().map(str::to_owned)).await
            }
        }
    }

    /// When it was changed last, if it is a file.
    pub fn modified(&self) -> Option<(i64, i64)> {
        match self {
            Content::File(local) => Some(local.modified),
            Content::Bytes(_) => None,
        }
    }
}

/// Runs what blocks apart from everything else.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::internal(format!("reading local files failed: {error}")))?
}

impl Source {
    /// The next `length` bytes; fewer only at the end.
    pub async fn next(&mut self, length: usize) -> Result<Vec<u8>> {
        match self {
            Source::Bytes(bytes, at) => {
                let rest = bytes.get(*at..).unwrap_or_default();
                let chunk = rest.get(..length.min(rest.len())).unwrap_or_default().to_vec();
                *at += chunk.len();
                Ok(chunk)
            }
            Source::File(file, path) => {
                let mut chunk = Vec::with_capacity(length);
                let read = file.take(length as u64).read_to_end(&mut chunk).await;
                read.map_err(|error| unreadable(path, &error))?;
                Ok(chunk)
            }
        }
    }
}

/// Lowercase hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
        text
    })
}

fn unreadable(path: &std::path::Path, error: &std::io::Error) -> Error {
    Error::usage(format!("cannot read {}: {error}", path.display())).with_code("ReadFailed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_kinds_read_and_hash_alike() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let bytes: Vec<u8> = (0..10_000_u32).map(|number| number as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let local = LocalFile::new(path.clone(), &std::fs::metadata(&path).unwrap());
        let kinds = [Content::File(Arc::new(local)), Content::Bytes(bytes.clone().into())];
        assert_eq!(kinds[0].hash().await.unwrap(), kinds[1].hash().await.unwrap());
        for content in kinds {
            let mut source = content.open().await.unwrap();
            let mut all = Vec::new();
            loop {
                let chunk = source.next(4096).await.unwrap();
                if chunk.is_empty() {
                    break;
                }
                all.extend(chunk);
            }
            assert_eq!(all, bytes);
        }
    }
}
