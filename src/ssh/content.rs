//! What a remote file is to contain: a local file, or bytes at hand.

use std::path::PathBuf;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;

use crate::error::{Error, Result};

/// The content of a file to be sent.
#[derive(Debug, Clone)]
pub enum Content {
    /// A local file, read when it is sent.
    File(PathBuf),
    /// Bytes at hand.
    Bytes(Arc<[u8]>),
}

/// A content being read.
pub enum Source {
    File(tokio::fs::File, PathBuf),
    Bytes(Arc<[u8]>, usize),
}

impl Content {
    /// Starts reading.
    pub async fn open(&self) -> Result<Source> {
        match self {
            Content::Bytes(bytes) => Ok(Source::Bytes(Arc::clone(bytes), 0)),
            Content::File(path) => match tokio::fs::File::open(path).await {
                Ok(file) => Ok(Source::File(file, path.clone())),
                Err(error) => Err(unreadable(path, &error)),
            },
        }
    }

    /// The SHA-256 of the content, in lowercase hexadecimal.
    pub async fn hash(&self) -> Result<String> {
        match self {
            Content::Bytes(bytes) => Ok(hex(&Sha256::digest(bytes))),
            Content::File(path) => {
                let path = path.clone();
                let hash = move || {
                    let mut file = std::fs::File::open(&path).map_err(|error| unreadable(&path, &error))?;
                    let mut hasher = Sha256::new();
                    let mut buffer = vec![0; 256 * 1024];
                    loop {
                        let read = std::io::Read::read(&mut file, &mut buffer);
                        match read.map_err(|error| unreadable(&path, &error))? {
                            0 => return Ok(hex(&hasher.finalize())),
                            read => hasher.update(buffer.get(..read).unwrap_or_default()),
                        }
                    }
                };
                tokio::task::spawn_blocking(hash)
                    .await
                    .map_err(|error| Error::internal(format!("hashing a file failed: {error}")))?
            }
        }
    }
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
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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
        let kinds = [Content::File(path), Content::Bytes(bytes.clone().into())];
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
