//! What is in a local file or folder.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::content::LocalFile;
use super::exclude::Excludes;
use crate::error::{Error, Result};

/// One thing to send.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The path below the root, `/` between its parts; empty for the root itself.
    pub path: String,
    pub kind: EntryKind,
}

/// What a thing is.
#[derive(Debug, Clone)]
pub enum EntryKind {
    Folder {
        mode: u32,
    },
    File {
        local: Arc<LocalFile>,
        mode: u32,
    },
    /// A symbolic link, kept as one whatever it points to.
    Link {
        target: String,
    },
}

/// Reads a file or a folder with all below it, folders before what is in them, in order of names.
/// The root itself may be a link: it is what the user named. Below it, links are never followed.
///
/// # Errors
/// Kind `usage` if there is no such thing, or something in it cannot be sent: a socket, a device,
/// a name that is not UTF-8.
pub fn read(root: &Path, excludes: &Excludes) -> Result<Vec<Entry>> {
    let metadata = fs::metadata(root).map_err(|error| unreadable(root, &error))?;
    let mut entries = Vec::new();
    let mut waiting = vec![(String::new(), root.to_owned(), metadata)];
    while let Some((path, source, metadata)) = waiting.pop() {
        if !path.is_empty() && excludes.leave_out(&path, metadata.is_dir()) {
            continue;
        }
        let kind = kind(&source, &metadata)?;
        if matches!(kind, EntryKind::Folder { .. }) {
            waiting.extend(children(&path, &source)?);
        }
        entries.push(Entry { path, kind });
    }
    Ok(entries)
}

/// The children of a folder, last name first: they are taken from the end.
fn children(path: &str, folder: &Path) -> Result<Vec<(String, PathBuf, Metadata)>> {
    let mut children = Vec::new();
    for child in fs::read_dir(folder).map_err(|error| unreadable(folder, &error))? {
        let child = child.map_err(|error| unreadable(folder, &error))?;
        let source = child.path();
        let name = child.file_name().into_string().map_err(|_| not_unicode(&source))?;
        let below = if path.is_empty() { name } else { format!("{path}/{name}") };
        let metadata = fs::symlink_metadata(&source).map_err(|error| unreadable(&source, &error))?;
        children.push((below, source, metadata));
    }
    children.sort_by(|one, other| other.0.cmp(&one.0));
    Ok(children)
}

fn kind(source: &Path, metadata: &Metadata) -> Result<EntryKind> {
    let mode = metadata.permissions().mode() & 0o777;
    let file_type = metadata.file_type();
    if file_type.is_dir() {
        return Ok(EntryKind::Folder { mode });
    }
    if file_type.is_file() {
        return Ok(EntryKind::File { local: Arc::new(LocalFile::new(source.to_owned(), metadata)), mode });
    }
    if file_type.is_symlink() {
        let target = fs::read_link(source).map_err(|error| unreadable(source, &error))?;
        let target = target.into_os_string().into_string().map_err(|_| not_unicode(source))?;
        return Ok(EntryKind::Link { target });
    }
    let message = format!("{} is neither a file, a folder nor a link", source.display());
    Err(Error::usage(message).with_hint("sockets, pipes and devices cannot be uploaded: remove it"))
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    Error::usage(format!("cannot read {}: {error}", path.display())).with_code(match error.kind() {
        io::ErrorKind::NotFound => "NoSuchFile",
        io::ErrorKind::PermissionDenied => "PermissionDenied",
        _ => "ReadFailed",
    })
}

fn not_unicode(path: &Path) -> Error {
    Error::usage(format!("the name of {path:?}, or what it links to, is not UTF-8")).with_hint("rename it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn folders_come_first_and_links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("b/c")).unwrap();
        fs::write(root.join("b/c/file"), "hello").unwrap();
        fs::write(root.join("a"), "").unwrap();
        symlink("/etc", root.join("b/out")).unwrap();
        symlink(&root, folder.path().join("link")).unwrap();
        for start in [root, folder.path().join("link")] {
            let entries = read(&start, &Excludes::default()).unwrap();
            let paths: Vec<&str> = entries.iter().map(|entry| entry.path.as_str()).collect();
            assert_eq!(paths, ["", "a", "b", "b/c", "b/c/file", "b/out"]);
            assert!(matches!(&entries.last().unwrap().kind, EntryKind::Link { target } if target == "/etc"));
        }
    }

    #[test]
    fn what_cannot_be_sent_is_named() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(
            read(&folder.path().join("none"), &Excludes::default()).unwrap_err().code(),
            Some("NoSuchFile")
        );
        let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("socket")).unwrap();
        assert!(
            read(folder.path(), &Excludes::default()).unwrap_err().message().contains("socket is neither")
        );
    }
}
