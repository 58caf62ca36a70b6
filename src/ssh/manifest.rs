//! What an upload left on a host: kept there, so that the next one need not look at every content.
//!
//! In the home folder of the login user, `.spot/uploads/KEY/` (`.spot-root` for uploads as root) has
//! `manifest` (kind, mode, hash and path of everything sent), `files` and `folders` (the paths that
//! the fingerprint is taken of) and `state`: the digest of what was sent, the fingerprint of what
//! stood there afterwards, and how many entries an earlier upload left. The fingerprint covers kind,
//! size, times, inode and link target of each: whatever is changed on the host changes it.

use sha2::{Digest, Sha256};

use super::content::hex;
use super::survey::{Found, link_hash};
use super::tree::{Entry, EntryKind};
use crate::error::Result;

/// A function of `sh` that prints the fingerprint of the folder it runs in.
pub const FINGERPRINT: &str = "fingerprint() {\n\
    { xargs -0 stat -c '%f %s %y %z %i %N' -- < \"$m/files\"; xargs -0 stat -c '%f %N' -- < \"$m/folders\"; } \
    2>&1 | sha256sum | cut -c 1-64\n}\n";

/// One thing that an upload put somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub path: String,
    pub found: Found,
}

/// Where on the host the manifest of a folder is, below the home folder.
pub fn place(destination: &str, sudo: bool) -> String {
    let key = hex(&Sha256::digest(destination)).chars().take(32).collect::<String>();
    let folder = if sudo { ".spot-root" } else { ".spot" };
    format!("{folder}/uploads/{key}")
}

/// The records of what is to be on the host. Blocks if a hash is not known yet.
pub fn records(entries: &[Entry], mode: Option<u32>) -> Result<Vec<Record>> {
    let record = |entry: &Entry| {
        let found = match &entry.kind {
            EntryKind::Folder { .. } => Found::Folder,
            EntryKind::Link { target } => Found::Link { hash: link_hash(target) },
            EntryKind::File { local, mode: own } => {
                Found::File { mode: mode.unwrap_or(*own), hash: local.hash()?.to_owned() }
            }
        };
        Ok(Record { path: entry.path.clone(), found })
    };
    entries.iter().map(record).collect()
}

/// The text that the manifest is kept as.
pub fn write(records: &[Record]) -> Vec<u8> {
    let mut text = Vec::new();
    for Record { path, found } in records {
        let head = match found {
            Found::File { mode, hash } => format!("f {mode:o} {hash} "),
            Found::Link { hash } => format!("l 0 {hash} "),
            _ => "d 0 - ".to_owned(),
        };
        text.extend_from_slice(head.as_bytes());
        text.extend_from_slice(path.as_bytes());
        text.push(0);
    }
    text
}

/// Reads a manifest; what makes no sense in it is passed over, as are paths that lead elsewhere.
pub fn read(text: &[u8]) -> Vec<Record> {
    let record = |line: &[u8]| {
        let mut words = std::str::from_utf8(line).ok()?.splitn(4, ' ');
        let (kind, mode, hash, path) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let hash = hash.to_owned();
        let found = match kind {
            "f" => Found::File { mode: u32::from_str_radix(mode, 8).ok()?, hash },
            "l" => Found::Link { hash },
            "d" => Found::Folder,
            _ => return None,
        };
        let inside = path.is_empty() || path.split('/').all(|part| !matches!(part, "" | "." | ".."));
        inside.then(|| Record { path: path.to_owned(), found })
    };
    text.split(|byte| *byte == 0).filter_map(record).collect()
}

/// The digest that tells whether two manifests are the same.
pub fn digest(records: &[Record]) -> String {
    hex(&Sha256::digest(write(records)))
}

/// The paths that the fingerprint is taken of: files and links, then folders.
pub fn lists(records: &[Record]) -> (Vec<u8>, Vec<u8>) {
    let list = |folders: bool| {
        let chosen = records.iter().filter(|record| (record.found == Found::Folder) == folders);
        chosen.flat_map(|record| ["./".as_bytes(), record.path.as_bytes(), &[0]].concat()).collect()
    };
    (list(false), list(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_comes_back_and_leads_nowhere_else() {
        let file =
            |path: &str| Record { path: path.into(), found: Found::File { mode: 0o640, hash: "ab".into() } };
        let records = [
            Record { path: String::new(), found: Found::Folder },
            file("a b\nc/d"),
            Record { path: "l".into(), found: Found::Link { hash: "cd".into() } },
        ];
        assert_eq!(read(&write(&records)), records);
        assert_eq!(
            read(&write(&[file("../x"), file("/etc/passwd"), file("a/../../b"), file("ok")])),
            [file("ok")]
        );
        assert!(read(b"x\0f 9 a\0\xff").is_empty());
        assert_eq!(lists(&records).1, b"./\0");
    }
}
