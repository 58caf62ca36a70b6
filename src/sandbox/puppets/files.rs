//! SFTP of a puppet: files in memory, as much of it as an upload needs.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use russh_sftp::protocol::{
    Attrs, Data, FileAttributes, Handle, Name, OpenFlags, Packet, Status, StatusCode, Version,
};
use russh_sftp::server::{Handler, StatusReply};

/// The most that a puppet keeps of all its files together; more is refused as on a full disk.
const SPACE: usize = 64 << 20;
/// The type bits of a mode.
const FILE: u32 = 0o100_000;
const FOLDER: u32 = 0o040_000;
const LINK: u32 = 0o120_000;

/// What is at a path.
#[derive(Debug, Clone)]
enum Node {
    File { content: Vec<u8>, mode: u32 },
    Folder { mode: u32 },
    Link { to: String },
}

/// The files of a puppet, shared by its clients. Folders above a file need not exist.
#[derive(Debug, Clone, Default)]
pub(super) struct Shared(Arc<Mutex<BTreeMap<String, Node>>>);

impl Shared {
    fn open(&self) -> MutexGuard<'_, BTreeMap<String, Node>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One SFTP client.
pub(super) struct Files {
    files: Shared,
    /// The path behind each handle.
    handles: HashMap<String, String>,
    next: u64,
}

impl Files {
    /// A client that has opened nothing yet.
    pub fn new(files: Shared) -> Self {
        Files { files, handles: HashMap::new(), next: 0 }
    }

    fn path(&self, handle: &str) -> Result<&String, StatusReply> {
        self.handles.get(handle).ok_or_else(|| StatusCode::Failure.with_message("no such handle"))
    }
}

/// An absolute path for what a client wrote.
fn absolute(path: &str) -> String {
    let path = path.trim_start_matches("./").trim_end_matches('/');
    match path {
        "" | "." => "/home/ubuntu".to_owned(),
        _ if path.starts_with('/') => path.to_owned(),
        _ => format!("/home/ubuntu/{path}"),
    }
}

fn missing() -> StatusReply {
    StatusCode::NoSuchFile.with_message("No such file or directory")
}

fn done(id: u32) -> Status {
    Status {
        id,
        status_code: StatusCode::Ok,
        error_message: "Success".to_owned(),
        language_tag: "en".to_owned(),
    }
}

fn attributes(node: &Node) -> FileAttributes {
    let (size, mode) = match node {
        Node::File { content, mode } => (content.len(), FILE | mode),
        Node::Folder { mode } => (0, FOLDER | mode),
        Node::Link { to } => (to.len(), LINK | 0o777),
    };
    FileAttributes { size: u64::try_from(size).ok(), permissions: Some(mode), ..FileAttributes::empty() }
}

fn set_mode(node: &mut Node, wanted: &FileAttributes) {
    let Some(permissions) = wanted.permissions else { return };
    match node {
        Node::File { mode, .. } | Node::Folder { mode } => *mode = permissions & 0o7777,
        Node::Link { .. } => {}
    }
}

/// The text at the head of an extended request, and the rest.
fn text(data: &[u8]) -> Option<(String, &[u8])> {
    let (length, rest) = data.split_first_chunk::<4>()?;
    let (text, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    Some((String::from_utf8(text.to_vec()).ok()?, rest))
}

impl Handler for Files {
    type Error = StatusReply;

    fn unimplemented(&self) -> StatusReply {
        StatusCode::OpUnsupported.into()
    }

    async fn init(&mut self, _: u32, _: HashMap<String, String>) -> Result<Version, StatusReply> {
        let mut version = Version::new();
        version.extensions = [("posix-rename@openssh.com".to_owned(), "1".to_owned())].into();
        Ok(version)
    }

    async fn open(
        &mut self,
        id: u32,
        filename: String,
        flags: OpenFlags,
        attrs: FileAttributes,
    ) -> Result<Handle, StatusReply> {
        let path = absolute(&filename);
        {
            let mut files = self.files.open();
            let exists = matches!(files.get(&path), Some(Node::File { .. }));
            if exists && flags.contains(OpenFlags::EXCLUDE) {
                return Err(StatusCode::Failure.with_message("File exists"));
            }
            if !exists && !flags.contains(OpenFlags::CREATE) {
                return Err(missing());
            }
            if !exists || flags.contains(OpenFlags::TRUNCATE) {
                let mode = attrs.permissions.unwrap_or(0o644) & 0o7777;
                files.insert(path.clone(), Node::File { content: Vec::new(), mode });
            }
        }
        self.next += 1;
        let handle = self.next.to_string();
        self.handles.insert(handle.clone(), path);
        Ok(Handle { id, handle })
    }

    async fn close(&mut self, id: u32, handle: String) -> Result<Status, StatusReply> {
        self.handles.remove(&handle);
        Ok(done(id))
    }

    async fn read(&mut self, id: u32, handle: String, offset: u64, len: u32) -> Result<Data, StatusReply> {
        let files = self.files.open();
        let Some(Node::File { content, .. }) = files.get(self.path(&handle)?) else { return Err(missing()) };
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = content.get(offset..).unwrap_or_default();
        let data = rest.get(..len as usize).unwrap_or(rest).to_vec();
        if data.is_empty() && len > 0 {
            return Err(StatusCode::Eof.into());
        }
        Ok(Data { id, data })
    }

    async fn write(
        &mut self,
        id: u32,
        handle: String,
        offset: u64,
        data: Vec<u8>,
    ) -> Result<Status, StatusReply> {
        let path = self.path(&handle)?;
        let mut files = self.files.open();
        let held: usize = files
            .values()
            .map(|node| if let Node::File { content, .. } = node { content.len() } else { 0 })
            .sum();
        let Some(Node::File { content, .. }) = files.get_mut(path) else { return Err(missing()) };
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = start.saturating_add(data.len());
        if end > SPACE || held.saturating_add(end.saturating_sub(content.len())) > SPACE {
            return Err(StatusCode::Failure.with_message("No space left on device"));
        }
        if content.len() < end {
            content.resize(end, 0);
        }
        if let Some(place) = content.get_mut(start..end) {
            place.copy_from_slice(&data);
        }
        Ok(done(id))
    }

    async fn lstat(&mut self, id: u32, path: String) -> Result<Attrs, StatusReply> {
        let files = self.files.open();
        let node = files.get(&absolute(&path)).ok_or_else(missing)?;
        Ok(Attrs { id, attrs: attributes(node) })
    }

    async fn stat(&mut self, id: u32, path: String) -> Result<Attrs, StatusReply> {
        self.lstat(id, path).await
    }

    async fn fstat(&mut self, id: u32, handle: String) -> Result<Attrs, StatusReply> {
        let path = self.path(&handle)?.clone();
        self.lstat(id, path).await
    }

    async fn setstat(&mut self, id: u32, path: String, attrs: FileAttributes) -> Result<Status, StatusReply> {
        let mut files = self.files.open();
        set_mode(files.get_mut(&absolute(&path)).ok_or_else(missing)?, &attrs);
        Ok(done(id))
    }

    async fn fsetstat(
        &mut self,
        id: u32,
        handle: String,
        attrs: FileAttributes,
    ) -> Result<Status, StatusReply> {
        let path = self.path(&handle)?.clone();
        self.setstat(id, path, attrs).await
    }

    async fn remove(&mut self, id: u32, filename: String) -> Result<Status, StatusReply> {
        self.files.open().remove(&absolute(&filename)).map(|_| done(id)).ok_or_else(missing)
    }

    async fn mkdir(&mut self, id: u32, path: String, attrs: FileAttributes) -> Result<Status, StatusReply> {
        let mut files = self.files.open();
        if files.contains_key(&absolute(&path)) {
            return Err(StatusCode::Failure.with_message("File exists"));
        }
        files.insert(absolute(&path), Node::Folder { mode: attrs.permissions.unwrap_or(0o755) & 0o7777 });
        Ok(done(id))
    }

    async fn realpath(&mut self, id: u32, path: String) -> Result<Name, StatusReply> {
        Ok(Name { id, files: vec![russh_sftp::protocol::File::dummy(absolute(&path))] })
    }

    async fn readlink(&mut self, id: u32, path: String) -> Result<Name, StatusReply> {
        match self.files.open().get(&absolute(&path)) {
            Some(Node::Link { to }) => {
                Ok(Name { id, files: vec![russh_sftp::protocol::File::dummy(to.clone())] })
            }
            _ => Err(missing()),
        }
    }

    async fn symlink(&mut self, id: u32, target: String, link: String) -> Result<Status, StatusReply> {
        // OpenSSH sends the target first, against the draft, and everybody has to follow.
        self.files.open().insert(absolute(&link), Node::Link { to: target });
        Ok(done(id))
    }

    async fn extended(&mut self, id: u32, request: String, data: Vec<u8>) -> Result<Packet, StatusReply> {
        if request != "posix-rename@openssh.com" {
            return Err(StatusCode::OpUnsupported.into());
        }
        let names = text(&data).and_then(|(from, rest)| Some((from, text(rest)?.0)));
        let (from, to) = names.ok_or_else(|| StatusReply::from(StatusCode::BadMessage))?;
        let mut files = self.files.open();
        let node = files.remove(&absolute(&from)).ok_or_else(missing)?;
        files.insert(absolute(&to), node);
        Ok(Packet::Status(done(id)))
    }
}
