//! The archive that carries a folder: built once for all hosts that need the same, into a file that
//! has no name, and read from there at each host's own pace.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::content::{LocalFile, blocking, hex};
use super::feed::Supply;
use super::manifest::{self, Record};
use super::tree::{Entry, EntryKind};
use crate::error::{Error, Result};

/// How much is read from the archive at once.
const PIECE: u64 = 512 * 1024;

/// What an archive is made of.
pub struct Parcel {
    /// Everything that is to be on the host.
    pub entries: Arc<Vec<Entry>>,
    /// The mode of every file, instead of its own.
    pub mode: Option<u32>,
    /// Those of the entries to send.
    pub chosen: Vec<usize>,
    /// Records of an earlier upload to be kept.
    pub left: Vec<Record>,
    /// What puts it all in place.
    pub script: String,
    /// Whether to compress it, for a long path.
    pub compress: bool,
}

/// An archive that is there or being made.
pub struct Archive {
    file: Arc<File>,
    progress: watch::Receiver<Progress>,
}

#[derive(Clone, Default)]
struct Progress {
    /// Bytes that are in the file.
    written: u64,
    ended: Option<Result<()>>,
}

/// An archive being read for one host.
pub struct Reading<'a, F: Fn(u64)> {
    archive: &'a Archive,
    at: u64,
    /// Hears of bytes of the archive that were handed out.
    on_piece: F,
}

impl Archive {
    /// Starts making an archive.
    pub fn start(parcel: Parcel) -> Result<Archive> {
        let file = tempfile::tempfile().map(Arc::new).map_err(|error| unwritable(&error))?;
        let (sender, progress) = watch::channel(Progress::default());
        let spool = Spool { file: Arc::clone(&file), written: 0, sender };
        tokio::task::spawn_blocking(move || build(&parcel, spool));
        Ok(Archive { file, progress })
    }

    /// Reads it from its beginning.
    pub fn read<F: Fn(u64)>(&self, on_piece: F) -> Reading<'_, F> {
        Reading { archive: self, at: 0, on_piece }
    }

    /// How many bytes it has, once that is known.
    pub fn size(&self) -> Option<u64> {
        let progress = self.progress.borrow();
        progress.ended.as_ref().map(|_| progress.written)
    }
}

impl<F: Fn(u64)> Supply for Reading<'_, F> {
    async fn next(&mut self) -> Result<Bytes> {
        let at = self.at;
        (self.on_piece)(at);
        let mut progress = self.archive.progress.clone();
        let reached = progress.wait_for(|now| now.written > at || now.ended.is_some()).await;
        let now = reached.map_err(|_| Error::internal("the archive was given up"))?.clone();
        if let Some(Err(error)) = now.ended {
            return Err(error);
        }
        let length = now.written.saturating_sub(at).min(PIECE);
        if length == 0 {
            return Ok(Bytes::new());
        }
        let file = Arc::clone(&self.archive.file);
        let piece = blocking(move || {
            let mut piece = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
            file.read_exact_at(&mut piece, at).map_err(|error| unwritable(&error))?;
            Ok(piece)
        });
        let piece = piece.await?;
        self.at += length;
        Ok(Bytes::from(piece))
    }
}

/// Where an archive is written to; tells its readers how far it is.
struct Spool {
    file: Arc<File>,
    written: u64,
    sender: watch::Sender<Progress>,
}

impl Write for Spool {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let count = (&*self.file).write(data)?;
        self.written += count as u64;
        self.sender.send_modify(|progress| progress.written = self.written);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn build(parcel: &Parcel, spool: Spool) {
    let sender = spool.sender.clone();
    let buffered = BufWriter::with_capacity(256 * 1024, spool);
    let result = match parcel.compress {
        false => {
            pack(parcel, buffered).and_then(|mut spool| spool.flush().map_err(|error| unwritable(&error)))
        }
        true => pack(parcel, GzEncoder::new(buffered, Compression::fast()))
            .and_then(|encoder| encoder.finish().map_err(|error| unwritable(&error)))
            .and_then(|mut spool| spool.flush().map_err(|error| unwritable(&error))),
    };
    sender.send_modify(|progress| progress.ended = Some(result));
}

/// Everything to send under `t/`, what the host keeps of it under `m/`, and last the script: an
/// archive without it was cut off.
fn pack<W: Write>(parcel: &Parcel, writer: W) -> Result<W> {
    let mut builder = tar::Builder::new(writer);
    let chosen = parcel.chosen.iter().filter_map(|index| parcel.entries.get(*index));
    for entry in chosen {
        let path = if entry.path.is_empty() { "t".to_owned() } else { format!("t/{}", entry.path) };
        match &entry.kind {
            EntryKind::Folder { mode } => {
                // Ours to fill and to move; the script has the last word.
                let mut header = header(tar::EntryType::Directory, mode | 0o700, 0);
                builder.append_data(&mut header, path, io::empty()).map_err(|error| unwritable(&error))?;
            }
            EntryKind::Link { target } => {
                let mut header = header(tar::EntryType::Symlink, 0o777, 0);
                // Word for word where it fits: the other way tidies the path.
                let linked = match header.set_link_name_literal(target) {
                    Ok(()) => builder.append_data(&mut header, path, io::empty()),
                    Err(_) => builder.append_link(&mut header, path, target),
                };
                linked.map_err(|error| unwritable(&error))?;
            }
            EntryKind::File { local, mode } => {
                pack_file(&mut builder, &path, local, parcel.mode.unwrap_or(*mode))?;
            }
        }
    }
    let records = manifest::records(&parcel.entries, parcel.mode)?;
    let (files, folders) = manifest::lists(&records);
    let digest = manifest::digest(&records);
    let all = [records, parcel.left.clone()].concat();
    let text = manifest::write(&all);
    let members = [
        ("m/manifest", text.as_slice()),
        ("m/files", files.as_slice()),
        ("m/folders", folders.as_slice()),
        ("m/digest", digest.as_bytes()),
        ("script", parcel.script.as_bytes()),
    ];
    for (path, content) in members {
        let mut header = header(tar::EntryType::Regular, 0o600, content.len() as u64);
        builder.append_data(&mut header, path, content).map_err(|error| unwritable(&error))?;
    }
    builder.into_inner().map_err(|error| unwritable(&error))
}

fn pack_file<W: Write>(
    builder: &mut tar::Builder<W>,
    path: &str,
    local: &LocalFile,
    mode: u32,
) -> Result<()> {
    let file = local.open()?;
    let mut header = header(tar::EntryType::Regular, mode, local.size);
    header.set_mtime(u64::try_from(local.modified.0).unwrap_or(0));
    let hasher = local.known_hash().is_none().then(Sha256::new);
    let mut reading = Hashing { file: (&file).take(local.size), hasher, count: 0 };
    let packed = builder.append_data(&mut header, path, &mut reading);
    let Hashing { hasher, count, .. } = reading;
    packed.map_err(|error| unwritable(&error))?;
    if count != local.size {
        return Err(local.changed());
    }
    local.check_unchanged(&file)?;
    if let Some(hasher) = hasher {
        local.hashed(hex(&hasher.finalize()));
    }
    Ok(())
}

fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// A file being read, hashed on the way.
struct Hashing<'a> {
    file: io::Take<&'a File>,
    hasher: Option<Sha256>,
    count: u64,
}

impl Read for Hashing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.count += read as u64;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(buffer.get(..read).unwrap_or_default());
        }
        Ok(read)
    }
}

fn unwritable(error: &io::Error) -> Error {
    let folder = std::env::temp_dir();
    Error::usage(format!("cannot build the archive of an upload in {}: {error}", folder.display()))
        .with_code("WriteFailed")
        .with_hint("set TMPDIR to a folder with more space")
}
