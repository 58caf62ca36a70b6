//! An SFTP session: single operations, in our errors, with as much under way at once as pays.

use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use russh_sftp::client::error::Error as SftpError;
use russh_sftp::client::rawsession::Limits;
use russh_sftp::client::{Config, RawSftpSession};
use russh_sftp::protocol::{FileAttributes, OpenFlags, Packet, StatusCode};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::content::Content;
use super::pool::{Attempts, Pool};
use super::session::Session;
use super::slots::Slot;
use super::target::Target;
use crate::error::{Error, Result};

/// What OpenSSH takes in one request: 256 KiB less 1 KiB for its own purposes.
const LARGE_CHUNK: u64 = 255 * 1024;
/// What every server takes.
const SMALL_CHUNK: u64 = 32 * 1024;
/// Requests with data under way per transfer. A server's channel window is 2 MiB: more would only
/// wait in our memory.
const IN_FLIGHT: usize = 12;
/// A request may wait long behind others on a slow line; a dead line is found by the keepalive.
const REQUEST_TIMEOUT_SECONDS: u64 = 600;

/// An open SFTP session; it holds a channel of its connection.
pub struct Sftp {
    raw: RawSftpSession,
    session: Arc<Session>,
    target: Target,
    chunk: usize,
    posix_rename: bool,
    _slot: Slot,
}

/// How much data may be under way: a share of this transfer and of all transfers together.
pub struct Flow<'a> {
    own: Semaphore,
    all: &'a Semaphore,
}

impl<'a> Flow<'a> {
    /// The flow of one transfer.
    pub fn new(all: &'a Semaphore) -> Self {
        Flow { own: Semaphore::new(IN_FLIGHT), all }
    }

    async fn acquire(&self) -> Result<(SemaphorePermit<'_>, SemaphorePermit<'_>)> {
        let own = self.own.acquire().await.map_err(|_| Error::interrupted())?;
        let all = self.all.acquire().await.map_err(|_| Error::interrupted())?;
        Ok((own, all))
    }
}

/// What a remote path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoteKind {
    File,
    Folder,
    Link,
    Other,
}

/// A remote file's attributes as far as we need them.
#[derive(Debug, Clone, Copy)]
pub struct RemoteAttributes {
    pub kind: RemoteKind,
    pub size: u64,
    /// Permission bits, `0o777` at most; none if the server does not say.
    pub mode: Option<u32>,
    /// When it was changed last, in seconds since 1970; none if the server does not say.
    pub modified: Option<u32>,
}

impl Sftp {
    /// Starts an SFTP session on the connection to a host.
    pub async fn open(pool: &Arc<Pool>, target: &Target) -> Result<Sftp> {
        let start = async |session: &Session| session.subsystem("sftp").await;
        let (session, (stream, slot)) = pool.with_session(target, Attempts::Policy, start).await?;
        let config = Config { request_timeout_secs: REQUEST_TIMEOUT_SECONDS, ..Config::default() };
        let mut raw = RawSftpSession::new_with_config(stream, config);
        let broken = |error: SftpError| {
            Error::ssh(format!("the SFTP session with {target} did not start: {error}"))
                .with_code("SubsystemRefused")
                .with_hint("does the login shell of the user print something when it should not?")
        };
        let version = raw.init().await.map_err(broken)?;
        let mut chunk = SMALL_CHUNK;
        if version.extensions.contains_key("limits@openssh.com") {
            let limits = Limits::from(raw.limits().await.map_err(broken)?);
            let most = limits.write_len.unwrap_or(SMALL_CHUNK).min(limits.read_len.unwrap_or(SMALL_CHUNK));
            chunk = most.clamp(1024, LARGE_CHUNK);
            raw.set_limits(limits);
        }
        Ok(Sftp {
            raw,
            session,
            target: target.clone(),
            chunk: usize::try_from(chunk).unwrap_or(1024),
            posix_rename: version.extensions.contains_key("posix-rename@openssh.com"),
            _slot: slot,
        })
    }

    /// Writes a new file with the given mode. Returns its size.
    pub async fn create(
        &self,
        path: &str,
        content: &Content,
        mode: u32,
        flow: &Flow<'_>,
        on_sent: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<u64> {
        let failed = |error| self.failed("write", path, error);
        let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUDE;
        // Nobody else may read it before it has its final mode.
        let handle = self.raw.open(path, flags, permissions(0o600)).await.map_err(failed)?.handle;
        let sent = self.send(&handle, path, content, flow, on_sent).await;
        let set = match &sent {
            Ok(_) => {
                let mut attributes = permissions(mode);
                // A time before 1970 or after 2106 is not worth an error.
                let modified = content.modified().and_then(|(seconds, _)| u32::try_from(seconds).ok());
                (attributes.atime, attributes.mtime) = (modified, modified);
                self.raw.fsetstat(handle.as_str(), attributes).await.map(drop).map_err(failed)
            }
            Err(_) => Ok(()),
        };
        let closed = self.raw.close(handle).await.map_err(failed);
        let size = sent?;
        set?;
        closed?;
        Ok(size)
    }

    async fn send(
        &self,
        handle: &str,
        path: &str,
        content: &Content,
        flow: &Flow<'_>,
        on_sent: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<u64> {
        let mut source = content.open().await?;
        let mut pending = FuturesUnordered::new();
        let mut offset = 0_u64;
        loop {
            let permits = loop {
                tokio::select! {
                    biased;
                    Some(written) = pending.next(), if !pending.is_empty() => on_sent(written?),
                    permits = flow.acquire() => break permits?,
                }
            };
            let data = source.next(self.chunk).await?;
            if data.is_empty() {
                break;
            }
            let (at, length) = (offset, data.len() as u64);
            offset += length;
            pending.push(async move {
                let _permits = permits;
                self.raw.write(handle, at, data).await.map_err(|error| self.failed("write", path, error))?;
                Ok::<u64, Error>(length)
            });
        }
        while let Some(written) = pending.next().await {
            on_sent(written?);
        }
        Ok(offset)
    }

    /// Opens a file for reading. The handle must be given to [`Sftp::finish`].
    pub async fn start_reading(&self, path: &str) -> Result<String> {
        let opened = self.raw.open(path, OpenFlags::READ, FileAttributes::empty()).await;
        Ok(opened.map_err(|error| self.failed("read", path, error))?.handle)
    }

    /// Reads up to `wanted` bytes from an offset, fewer only at the end of the file.
    pub async fn read_at(&self, handle: &str, path: &str, offset: u64, wanted: usize) -> Result<Vec<u8>> {
        let mut data = Vec::new();
        while data.len() < wanted {
            let length = (wanted - data.len()).min(self.chunk);
            let at = offset + data.len() as u64;
            match self.raw.read(handle, at, u32::try_from(length).unwrap_or(u32::MAX)).await {
                // A server may send fewer bytes than asked for, never more.
                Ok(answer) if answer.data.len() <= length && !answer.data.is_empty() => {
                    data.extend_from_slice(&answer.data);
                }
                Ok(answer) if answer.data.is_empty() => break,
                Ok(_) => return Err(Error::ssh(format!("{} sent more of {path} than asked", self.target))),
                Err(SftpError::Status(status)) if status.status_code == StatusCode::Eof => break,
                Err(error) => return Err(self.failed("read", path, error)),
            }
        }
        Ok(data)
    }

    /// Closes a handle.
    pub async fn finish(&self, handle: String) {
        // A file that was only read loses nothing when closing fails.
        let _ = self.raw.close(handle).await;
    }

    /// The best size of a single read.
    pub fn chunk(&self) -> usize {
        self.chunk
    }

    /// Puts a file or link in the place of another, at once where the server can.
    pub async fn replace(&self, from: &str, to: &str) -> Result<()> {
        let failed = |error| self.failed("replace", to, error);
        if self.posix_rename {
            let data = [from, to].into_iter().flat_map(packed).collect();
            return match self.raw.extended("posix-rename@openssh.com", data).await.map_err(failed)? {
                Packet::Status(status) if status.status_code == StatusCode::Ok => Ok(()),
                Packet::Status(status) => Err(failed(SftpError::Status(status))),
                _ => Err(failed(SftpError::UnexpectedPacket)),
            };
        }
        if self.raw.rename(from, to).await.is_ok() {
            return Ok(());
        }
        // A plain rename need not replace anything.
        let _ = self.raw.remove(to).await;
        self.raw.rename(from, to).await.map(drop).map_err(failed)
    }

    /// Makes a symbolic link.
    pub async fn link(&self, target: &str, path: &str) -> Result<()> {
        // OpenSSH reads the two in the order opposite to the standard's, and so does everybody else.
        self.raw.symlink(target, path).await.map(drop).map_err(|error| self.failed("link", path, error))
    }

    /// Makes a folder; returns `false` if there is one already.
    pub async fn make_folder(&self, path: &str, mode: u32) -> Result<bool> {
        let error = match self.raw.mkdir(path, permissions(mode)).await {
            Ok(_) => return Ok(true),
            Err(error) => error,
        };
        match self.attributes(path).await {
            Ok(Some(found)) if found.kind == RemoteKind::Folder => Ok(false),
            _ => Err(self.failed("make folder", path, error)),
        }
    }

    /// Makes the folder that a path is in, with those above it.
    pub async fn make_parents(&self, path: &str) -> Result<()> {
        let mut missing = Vec::new();
        let mut rest = path;
        while let Some(parent) = parent(rest) {
            if self.attributes(parent).await?.is_some() {
                break;
            }
            missing.push(parent);
            rest = parent;
        }
        for folder in missing.into_iter().rev() {
            self.make_folder(folder, 0o755).await?;
        }
        Ok(())
    }

    /// Sets the permission bits of a file or folder.
    pub async fn set_mode(&self, path: &str, mode: u32) -> Result<()> {
        let set = self.raw.setstat(path, permissions(mode)).await;
        set.map(drop).map_err(|error| self.failed("change the mode of", path, error))
    }

    /// Removes a file; it is no error if there is none, nor if it cannot be removed.
    pub async fn remove(&self, path: &str) {
        let _ = self.raw.remove(path).await;
    }

    /// What is at a path, links followed; `None` if nothing is.
    pub async fn attributes(&self, path: &str) -> Result<Option<RemoteAttributes>> {
        match self.raw.stat(path).await {
            Ok(found) => Ok(Some(attributes(&found.attrs))),
            Err(SftpError::Status(status)) if status.status_code == StatusCode::NoSuchFile => Ok(None),
            Err(error) => Err(self.failed("look at", path, error)),
        }
    }

    /// Whether anything is at a path, be it a link to nowhere.
    pub async fn exists(&self, path: &str) -> Result<bool> {
        match self.raw.lstat(path).await {
            Ok(_) => Ok(true),
            Err(SftpError::Status(status)) if status.status_code == StatusCode::NoSuchFile => Ok(false),
            Err(error) => Err(self.failed("look at", path, error)),
        }
    }

    /// Whether a link is at a path.
    pub async fn is_link(&self, path: &str) -> Result<bool> {
        let found = self.raw.lstat(path).await.map_err(|error| self.failed("look at", path, error))?;
        Ok(attributes(&found.attrs).kind == RemoteKind::Link)
    }

    /// The host at the other end.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// What a link points to.
    pub async fn link_target(&self, path: &str) -> Result<String> {
        let answer = self.raw.readlink(path).await.map_err(|error| self.failed("read link", path, error))?;
        match answer.files.into_iter().next() {
            Some(file) => Ok(file.filename),
            None => Err(self.failed("read link", path, SftpError::UnexpectedPacket)),
        }
    }

    /// The names in a folder with what they are, as the server sends them: not to be trusted.
    pub async fn list(&self, path: &str) -> Result<Vec<(String, RemoteAttributes)>> {
        let failed = |error| self.failed("list", path, error);
        let handle = self.raw.opendir(path).await.map_err(failed)?.handle;
        let mut found = Vec::new();
        let result = loop {
            match self.raw.readdir(handle.as_str()).await {
                Ok(names) => {
                    found
                        .extend(names.files.into_iter().map(|file| (file.filename, attributes(&file.attrs))));
                }
                Err(SftpError::Status(status)) if status.status_code == StatusCode::Eof => break Ok(()),
                Err(error) => break Err(failed(error)),
            }
        };
        self.finish(handle).await;
        result?;
        found.retain(|(name, _)| name != "." && name != "..");
        Ok(found)
    }

    fn failed(&self, doing: &str, path: &str, error: SftpError) -> Error {
        let SftpError::Status(status) = &error else {
            if self.session.is_closed() {
                return self.session.lost(&format!("could not {doing} {path}"));
            }
            return Error::ssh(format!("cannot {doing} {path} on {}: {error}", self.target))
                .with_code("SftpFailed");
        };
        // "Failure" is all most servers have to say about a full disk, among others.
        let said = match status.error_message.as_str() {
            "" => status.status_code.to_string(),
            text => text.to_owned(),
        };
        let error = Error::ssh(format!("cannot {doing} {path} on {}: {}", self.target, said.to_lowercase()));
        match status.status_code {
            StatusCode::NoSuchFile => error.with_code("NoSuchFile"),
            StatusCode::PermissionDenied => error
                .with_code("PermissionDenied")
                .with_hint(format!("{} may not do this: use `sudo: true`", self.target.user)),
            _ => error.with_code("SftpFailed"),
        }
    }
}

/// The folder a path is in; none for a bare name, the root and the home folder.
pub fn parent(path: &str) -> Option<&str> {
    let (parent, _) = path.trim_end_matches('/').rsplit_once('/')?;
    let parent = parent.trim_end_matches('/');
    (!parent.is_empty() && parent != ".").then_some(parent)
}

fn permissions(mode: u32) -> FileAttributes {
    FileAttributes { permissions: Some(mode), ..FileAttributes::empty() }
}

fn packed(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    length.to_be_bytes().into_iter().chain(text.bytes()).collect()
}

fn attributes(attributes: &FileAttributes) -> RemoteAttributes {
    let kind = match attributes.permissions.map(|mode| mode & 0o170_000) {
        Some(0o040_000) => RemoteKind::Folder,
        Some(0o100_000) => RemoteKind::File,
        Some(0o120_000) => RemoteKind::Link,
        _ => RemoteKind::Other,
    };
    RemoteAttributes {
        kind,
        size: attributes.size.unwrap_or(0),
        mode: attributes.permissions.map(|mode| mode & 0o777),
        modified: attributes.mtime,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_end_at_the_root_and_at_home() {
        assert_eq!(parent("/opt/app/x"), Some("/opt/app"));
        assert_eq!(parent("/opt"), None);
        assert_eq!(parent("./x"), None);
        assert_eq!(parent("./a//b/"), Some("./a"));
        assert_eq!(parent("x"), None);
    }
}
