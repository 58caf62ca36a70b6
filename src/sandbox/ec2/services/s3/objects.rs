//! Buckets and their objects, as files: `s3/BUCKET/` has a file per object, named by the SHA-256 of its
//! key. A file begins with a line of JSON, the object's properties; what it holds follows.

use std::collections::{BTreeMap, HashMap};
use std::fs::{DirBuilder, File};
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};
use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::moment::Moment;
use crate::sandbox::ec2::request::hex;
use crate::sandbox::ec2::store;

/// The properties of a bucket, in its folder.
const BUCKET: &str = "bucket.json";

/// A bucket and what is known of its objects, by key.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Bucket {
    pub region: String,
    pub created: Moment,
    #[serde(skip)]
    pub objects: BTreeMap<String, Object>,
}

/// All of an object but its content.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Object {
    pub key: String,
    /// With its quotes.
    pub etag: String,
    pub size: u64,
    pub modified: Moment,
    /// Headers that are told as they came in: content type, cache control, `x-amz-meta-…`.
    pub headers: BTreeMap<String, String>,
    /// The header of its checksum, and the checksum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<(String, String)>,
}

/// Every bucket of the account.
#[derive(Debug)]
pub(in super::super::super) struct Buckets {
    folder: PathBuf,
    held: Mutex<Held>,
}

/// What one request at a time works on.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub buckets: BTreeMap<String, Bucket>,
    /// How often an object has been deleted, by bucket and key; since the start of the endpoint.
    deletions: HashMap<(String, String), u64>,
}

impl Held {
    /// How often an object has been deleted.
    pub fn deletions(&self, bucket: &str, key: &str) -> u64 {
        self.deletions.get(&(bucket.to_owned(), key.to_owned())).copied().unwrap_or(0)
    }
}

impl Buckets {
    /// Finds what is in the folder of a sandbox.
    pub fn open(folder: &Path) -> Result<Self> {
        let folder = folder.join("s3");
        let failed = |path: &Path, error: std::io::Error| {
            Error::state(format!("cannot read {}", path.display())).with_source(error)
        };
        let mut buckets = BTreeMap::new();
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => Some(entries),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(failed(&folder, error)),
        };
        for entry in entries.into_iter().flatten() {
            let path = entry.map_err(|error| failed(&folder, error))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // Without its properties, a bucket was only just being made, or removed.
            let Ok(bytes) = std::fs::read(path.join(BUCKET)) else { continue };
            let mut bucket: Bucket = serde_json::from_slice(&bytes).map_err(|error| {
                Error::state(format!("{} is damaged: {error}", path.join(BUCKET).display()))
                    .with_hint(format!("delete the folder {} to begin without this bucket", path.display()))
            })?;
            bucket.objects = objects(&path)?;
            buckets.insert(name, bucket);
        }
        Ok(Buckets { folder, held: Mutex::new(Held { buckets, ..Held::default() }) })
    }

    /// What one request at a time works on.
    pub(super) fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often an object has been deleted so far: a conditional write that began now is in conflict if
    /// that has changed when it is complete.
    pub fn deletions(&self, bucket: &str, key: &str) -> u64 {
        self.lock().deletions(bucket, key)
    }

    /// Makes a bucket.
    pub(super) fn add(&self, held: &mut Held, name: &str, bucket: Bucket) -> std::result::Result<(), Fault> {
        let path = self.folder.join(name);
        DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(|error| failed(&error))?;
        let bytes = serde_json::to_vec(&bucket).map_err(|error| failed(&error))?;
        store::replace(&path, BUCKET, &bytes).map_err(|error| failed(&error))?;
        held.buckets.insert(name.to_owned(), bucket);
        Ok(())
    }

    /// Removes an empty bucket.
    pub(super) fn remove(&self, held: &mut Held, name: &str) -> std::result::Result<(), Fault> {
        std::fs::remove_dir_all(self.folder.join(name)).map_err(|error| failed(&error))?;
        held.buckets.remove(name);
        Ok(())
    }

    /// Stores an object in a bucket that exists, in the place of the one with its key.
    pub(super) fn put(
        &self,
        held: &mut Held,
        bucket: &str,
        object: Object,
        content: &[u8],
    ) -> std::result::Result<(), Fault> {
        let mut bytes = serde_json::to_vec(&object).map_err(|error| failed(&error))?;
        bytes.push(b'\n');
        bytes.extend_from_slice(content);
        store::replace(&self.folder.join(bucket), &file_name(&object.key), &bytes)
            .map_err(|error| failed(&error))?;
        if let Some(bucket) = held.buckets.get_mut(bucket) {
            bucket.objects.insert(object.key.clone(), object);
        }
        Ok(())
    }

    /// The content of an object.
    pub(super) fn content(&self, bucket: &str, object: &Object) -> std::result::Result<Vec<u8>, Fault> {
        let path = self.folder.join(bucket).join(file_name(&object.key));
        let mut reader = BufReader::new(File::open(path).map_err(|error| failed(&error))?);
        let mut content = Vec::new();
        reader.read_until(b'\n', &mut content).map_err(|error| failed(&error))?;
        content.clear();
        reader.read_to_end(&mut content).map_err(|error| failed(&error))?;
        Ok(content)
    }

    /// Deletes an object, if it is there.
    pub(super) fn delete(&self, held: &mut Held, bucket: &str, key: &str) -> std::result::Result<(), Fault> {
        let known = held.buckets.get_mut(bucket).and_then(|bucket| bucket.objects.remove(key));
        if known.is_none() {
            return Ok(());
        }
        *held.deletions.entry((bucket.to_owned(), key.to_owned())).or_default() += 1;
        match std::fs::remove_file(self.folder.join(bucket).join(file_name(key))) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(&error)),
            _ => Ok(()),
        }
    }
}

fn failed(error: &dyn std::fmt::Display) -> Fault {
    Fault::internal(format!("the sandbox failed: {error}"))
}

/// Keys are longer than file names may be, and have slashes.
fn file_name(key: &str) -> String {
    hex(&Sha256::digest(key.as_bytes()))
}

/// The objects of a bucket's folder, by the first line of each file.
fn objects(folder: &Path) -> Result<BTreeMap<String, Object>> {
    let failed =
        |error: std::io::Error| Error::state(format!("cannot read {}", folder.display())).with_source(error);
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.len() != 64 {
            continue;
        }
        let mut line = Vec::new();
        BufReader::new(File::open(&path).map_err(failed)?).read_until(b'\n', &mut line).map_err(failed)?;
        let object: Object = serde_json::from_slice(&line).map_err(|error| {
            Error::state(format!("{} is damaged: {error}", path.display()))
                .with_hint(format!("delete {} to begin without this object", path.display()))
        })?;
        all.insert(object.key.clone(), object);
    }
    Ok(all)
}
