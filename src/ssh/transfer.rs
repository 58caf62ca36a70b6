//! What is to be moved, what was, and how remote paths are written.

use std::time::Duration;

use super::content::Content;
use crate::error::{Error, Result};

/// How to upload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Upload {
    /// Permission bits for every file, `0o777` at most; a folder gets them with an `x` for each `r`.
    /// Without it, everything keeps its own.
    pub mode: Option<u32>,
    /// Put everything in place as root, through `sudo -n`, unless the login user is root already.
    pub sudo: bool,
    /// Remove what an earlier upload put into the folder and this one no longer has. What others put
    /// there stays.
    pub delete: bool,
    /// How to make sure that what arrived is what was sent.
    pub verify: Verify,
    /// Have the host write everything to its disk before it is put in place.
    pub sync: bool,
}

/// How to make sure that what arrived is what was sent. SSH itself lets no byte be changed on the
/// way; what is left are faulty disks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Verify {
    /// Compare sizes.
    #[default]
    Size,
    /// Compare SHA-256 hashes of the contents, computed on the host.
    Hash,
}

/// What a transfer did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transfer {
    /// Files sent or fetched.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Files that were there already, with the same content.
    pub unchanged: u64,
    /// Folders made.
    pub folders: u64,
    /// Symbolic links made or changed.
    pub links: u64,
    /// Files with the right content whose permission bits were changed.
    pub modes: u64,
    /// Files, links and folders removed because an earlier upload had put them there.
    pub deleted: u64,
    /// What was left out of a download and why: links that lead out of the folder, devices.
    pub skipped: Vec<String>,
    /// How long it took.
    pub duration: Duration,
}

impl Transfer {
    /// Whether anything is different from before.
    pub fn changed(&self) -> bool {
        self.files + self.folders + self.links + self.modes + self.deleted > 0
    }
}

/// A thing that is to be at a remote path.
#[derive(Debug, Clone)]
pub struct Item {
    pub path: String,
    pub kind: ItemKind,
}

/// What is to be there.
#[derive(Debug, Clone)]
pub enum ItemKind {
    Folder {
        mode: u32,
    },
    /// Without a mode, a file keeps the one it has, and a new one gets 0644.
    File {
        content: Content,
        size: u64,
        mode: Option<u32>,
    },
    Link {
        target: String,
    },
}

/// A remote path as all our remote programs take it: beginning with `/` or `./`, where `./` is the
/// home folder; `~/` is understood, `~user` is not.
///
/// # Errors
/// Kind `usage` for an empty path or one with a NUL.
pub fn remote_path(path: &str) -> Result<String> {
    if path.is_empty() || path.contains('\0') {
        return Err(Error::usage(format!("{path:?} is not a remote path")));
    }
    if path == "~" || path == "." {
        return Ok("./".to_owned());
    }
    let path = path.strip_prefix("~/").unwrap_or(path);
    let path = path.strip_prefix("./").unwrap_or(path);
    match path.starts_with('/') {
        true => Ok(path.to_owned()),
        false => Ok(format!("./{path}")),
    }
}

/// A path below a folder; the folder itself for an empty one.
pub fn below(folder: &str, path: &str) -> String {
    let folder = folder.trim_end_matches('/');
    match (folder, path) {
        ("", "") => "/".to_owned(),
        (folder, "") => folder.to_owned(),
        (folder, path) => format!("{folder}/{path}"),
    }
}

/// The path of a temporary file beside a file.
pub fn beside(path: &str) -> String {
    let name = format!(".spot-{:016x}.part", rand::random::<u64>());
    match path.rsplit_once('/') {
        Some((folder, _)) => format!("{folder}/{name}"),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remote_paths_cannot_be_taken_for_options() {
        let path = |path| remote_path(path).unwrap();
        assert_eq!(path("/opt/app/"), "/opt/app/");
        assert_eq!(path("app"), "./app");
        assert_eq!(path("-rf"), "./-rf");
        assert_eq!(path("~/app"), "./app");
        assert_eq!(path("./app"), "./app");
        assert_eq!(path("~"), "./");
        assert!(remote_path("").is_err() && remote_path("a\0b").is_err());
        assert_eq!(below("/opt/app/", "a/b"), "/opt/app/a/b");
        assert_eq!(below("/", ""), "/");
        assert_eq!(below("/", "a"), "/a");
        assert_eq!(below("./", "a"), "./a");
        assert!(beside("/opt/x").starts_with("/opt/.spot-"));
    }
}
