//! SFTP version 3 with the extensions of OpenSSH, on the files of a host.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, RenameFlags, renameat, renameat2};
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, UtimensatFlags, fchmodat, fstat, mkdirat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{UnlinkatFlags, linkat, symlinkat, unlinkat};
use russh_sftp::protocol::{
    Attrs, Data, ExtendedReply, FileAttributes, Handle, Name, OpenFlags, Packet, Status, StatusCode, Version,
};
use russh_sftp::server::{Handler, StatusReply};

use super::quota::Quota;
use super::tree::{Files, Tree, alias};
use super::trouble::Trouble;

/// The most that one read answers with, as OpenSSH's server says of itself.
const MAX_READ: u32 = 255 * 1024;
/// The longest packet that the protocol library takes.
const MAX_PACKET: u64 = 256 * 1024;
/// How many names one answer to a folder listing carries.
const NAMES_AT_ONCE: usize = 100;
/// How many handles one client may hold open.
const MAX_HANDLES: usize = 1024;
/// Permission bits that SFTP may set: no set-user-id, nothing here could use it.
const PERMISSIONS: u32 = 0o1777;
/// What new files and folders do not get: nobody but the owner writes.
const UMASK: u32 = 0o022;

/// The extensions, as they are announced.
const EXTENSIONS: [(&str, &str); 5] = [
    ("posix-rename@openssh.com", "1"),
    ("hardlink@openssh.com", "1"),
    ("fsync@openssh.com", "1"),
    ("limits@openssh.com", "1"),
    ("expand-path@openssh.com", "1"),
];

/// One SFTP client.
pub(super) struct Sftp {
    files: Files,
    home: String,
    account: String,
    trouble: Arc<Trouble>,
    quota: Arc<Quota>,
    open: HashMap<String, Open>,
    next: u64,
}

/// What a handle stands for.
enum Open {
    File(Arc<File>),
    Folder(std::vec::IntoIter<(String, FileStat)>),
}

impl Sftp {
    /// A client of the files whose relative paths start at `home`.
    pub(super) fn new(files: Files, home: String, account: String, disk: (Arc<Trouble>, Arc<Quota>)) -> Sftp {
        let (trouble, quota) = disk;
        Sftp { files, home, account, trouble, quota, open: HashMap::new(), next: 0 }
    }

    /// The path as an absolute one.
    fn path(&self, path: &str) -> String {
        match path {
            "" | "." => self.home.clone(),
            _ if path.starts_with('/') => path.to_string(),
            _ => format!("{}/{path}", self.home),
        }
    }

    fn keep(&mut self, id: u32, open: Open) -> Result<Handle, StatusReply> {
        if self.open.len() >= MAX_HANDLES {
            return Err(StatusCode::Failure.with_message("too many open handles"));
        }
        self.next += 1;
        let handle = self.next.to_string();
        self.open.insert(handle.clone(), open);
        Ok(Handle { id, handle })
    }

    fn file(&self, handle: &str) -> Result<Arc<File>, StatusReply> {
        match self.open.get(handle) {
            Some(Open::File(file)) => Ok(file.clone()),
            _ => Err(StatusCode::Failure.with_message("not the handle of an open file")),
        }
    }

    /// Does something to the files whose only result is that it worked.
    async fn change(
        &self,
        id: u32,
        job: impl FnOnce(&mut Tree) -> nix::Result<()> + Send + 'static,
    ) -> Result<Status, StatusReply> {
        self.files.with(job).await.map_err(reply)?;
        Ok(ok(id))
    }

    /// Waits for a slow disk.
    async fn disk(&self) -> Result<(), StatusReply> {
        if self.trouble.now().disk.broken {
            return Err(reply(Errno::EIO));
        }
        self.trouble.disk_ready().await;
        Ok(())
    }

    /// Takes room on the disk; false if there is none.
    async fn room(&self, bytes: usize) -> bool {
        if self.quota.take(bytes) {
            return true;
        }
        let quota = self.quota.clone();
        tokio::task::spawn_blocking(move || quota.take_after_a_look(bytes)).await.unwrap_or(false)
    }

    fn attributes(&self, stat: &FileStat) -> FileAttributes {
        FileAttributes {
            size: u64::try_from(stat.st_size).ok(),
            uid: Some(0),
            user: Some(self.account.clone()),
            gid: Some(0),
            group: Some(self.account.clone()),
            permissions: Some(stat.st_mode),
            atime: u32::try_from(stat.st_atime).ok(),
            mtime: u32::try_from(stat.st_mtime).ok(),
        }
    }

    fn name(&self, id: u32, name: String) -> Name {
        Name { id, files: vec![russh_sftp::protocol::File::dummy(name)] }
    }

    async fn expand(&self, id: u32, path: &str) -> Result<Packet, StatusReply> {
        let path = match path.strip_prefix('~') {
            Some("") => self.home.clone(),
            Some(rest) if rest.starts_with('/') => format!("{}{rest}", self.home),
            Some(rest) => match rest.split_once('/') {
                Some((user, rest)) => format!("/home/{user}/{rest}"),
                None => format!("/home/{rest}"),
            },
            None => self.path(path),
        };
        let path = self.files.with(move |tree| tree.canonical(&path)).await.map_err(reply)?;
        Ok(Packet::Name(self.name(id, path)))
    }
}

/// Opens as `open(2)` does for the flags of SFTP; what it creates has the given permissions exactly.
fn open(tree: &Tree, path: &str, flags: OpenFlags, permissions: u32) -> nix::Result<File> {
    let mut how = match (flags.contains(OpenFlags::READ), flags.contains(OpenFlags::WRITE)) {
        (true, true) => OFlag::O_RDWR,
        (false, true) => OFlag::O_WRONLY,
        _ => OFlag::O_RDONLY,
    };
    if flags.contains(OpenFlags::APPEND) {
        how |= OFlag::O_APPEND;
    }
    if flags.contains(OpenFlags::CREATE) {
        let mode = Mode::from_bits_truncate(permissions & PERMISSIONS & !UMASK);
        tree.parent(path)?;
        match tree.file(path, how | OFlag::O_CREAT | OFlag::O_EXCL, mode) {
            Err(Errno::EEXIST) if !flags.contains(OpenFlags::EXCLUDE) => {}
            Err(error) => return Err(error),
            Ok(file) => {
                // Whatever the umask of this process.
                nix::sys::stat::fchmod(&file, mode)?;
                return Ok(file);
            }
        }
    }
    let file = match tree.file(path, how, Mode::empty()) {
        // It exists, but as a link to what does not.
        Err(Errno::ENOENT) if flags.contains(OpenFlags::CREATE) => tree.file(
            path,
            how | OFlag::O_CREAT,
            Mode::from_bits_truncate(permissions & PERMISSIONS & !UMASK),
        )?,
        result => result?,
    };
    if flags.contains(OpenFlags::TRUNCATE) && flags.contains(OpenFlags::WRITE) {
        file.set_len(0).map_err(super::tree::errno)?;
    }
    Ok(file)
}

/// Sets what is given of size, permissions and times. Owners are left: there is only one.
fn set_attributes(tree: &Tree, file: impl std::os::fd::AsFd, attributes: &FileAttributes) -> nix::Result<()> {
    tree.require_own(&file)?;
    let path = alias(&file);
    if let Some(size) = attributes.size {
        let file = std::fs::OpenOptions::new().write(true).open(&path).map_err(super::tree::errno)?;
        file.set_len(size).map_err(super::tree::errno)?;
    }
    if let Some(permissions) = attributes.permissions {
        let mode = Mode::from_bits_truncate(permissions & PERMISSIONS);
        fchmodat(AT_FDCWD, path.as_str(), mode, FchmodatFlags::FollowSymlink)?;
    }
    if let (Some(accessed), Some(modified)) = (attributes.atime, attributes.mtime) {
        let time = |seconds: u32| TimeSpec::new(i64::from(seconds), 0);
        utimensat(AT_FDCWD, path.as_str(), &time(accessed), &time(modified), UtimensatFlags::FollowSymlink)?;
    }
    Ok(())
}

impl Handler for Sftp {
    type Error = StatusReply;

    fn unimplemented(&self) -> StatusReply {
        StatusCode::OpUnsupported.into()
    }

    async fn init(
        &mut self,
        _version: u32,
        _offered: HashMap<String, String>,
    ) -> Result<Version, StatusReply> {
        let mut version = Version::new();
        version.extensions = EXTENSIONS.map(|(name, data)| (name.to_string(), data.to_string())).into();
        Ok(version)
    }

    async fn open(
        &mut self,
        id: u32,
        filename: String,
        pflags: OpenFlags,
        attrs: FileAttributes,
    ) -> Result<Handle, StatusReply> {
        let path = self.path(&filename);
        let permissions = attrs.permissions.unwrap_or(0o666);
        let file =
            self.files.with(move |tree| open(tree, &path, pflags, permissions)).await.map_err(reply)?;
        self.keep(id, Open::File(Arc::new(file)))
    }

    async fn close(&mut self, id: u32, handle: String) -> Result<Status, StatusReply> {
        match self.open.remove(&handle) {
            Some(_) => Ok(ok(id)),
            None => Err(StatusCode::Failure.with_message("no such handle")),
        }
    }

    async fn read(&mut self, id: u32, handle: String, offset: u64, len: u32) -> Result<Data, StatusReply> {
        let file = self.file(&handle)?;
        self.disk().await?;
        let data = self
            .files
            .with(move |_| {
                let mut data = vec![0; len.min(MAX_READ) as usize];
                let size = file.read_at(&mut data, offset).map_err(super::tree::errno)?;
                data.truncate(size);
                Ok(data)
            })
            .await
            .map_err(reply)?;
        if data.is_empty() && len > 0 {
            return Err(StatusCode::Eof.into());
        }
        self.trouble.disk_works(data.len());
        Ok(Data { id, data })
    }

    async fn write(
        &mut self,
        id: u32,
        handle: String,
        offset: u64,
        data: Vec<u8>,
    ) -> Result<Status, StatusReply> {
        let file = self.file(&handle)?;
        self.disk().await?;
        self.trouble.disk_works(data.len());
        // As far as it makes the file larger; holes are counted too, they may be filled.
        let end = offset.saturating_add(data.len() as u64);
        let size = file.metadata().map_err(|error| reply(super::tree::errno(error)))?.len();
        let more = usize::try_from(end.saturating_sub(size)).unwrap_or(usize::MAX).min(data.len());
        if more > 0 && !self.room(more).await {
            return Err(reply(Errno::ENOSPC));
        }
        self.change(id, move |_| file.write_all_at(&data, offset).map_err(super::tree::errno)).await
    }

    async fn lstat(&mut self, id: u32, path: String) -> Result<Attrs, StatusReply> {
        let path = self.path(&path);
        let stat = self.files.with(move |tree| fstat(tree.resolve(&path, false)?)).await.map_err(reply)?;
        Ok(Attrs { id, attrs: self.attributes(&stat) })
    }

    async fn fstat(&mut self, id: u32, handle: String) -> Result<Attrs, StatusReply> {
        let stat = fstat(&*self.file(&handle)?).map_err(reply)?;
        Ok(Attrs { id, attrs: self.attributes(&stat) })
    }

    async fn stat(&mut self, id: u32, path: String) -> Result<Attrs, StatusReply> {
        let path = self.path(&path);
        let stat = self.files.with(move |tree| fstat(tree.resolve(&path, true)?)).await.map_err(reply)?;
        Ok(Attrs { id, attrs: self.attributes(&stat) })
    }

    async fn setstat(&mut self, id: u32, path: String, attrs: FileAttributes) -> Result<Status, StatusReply> {
        let path = self.path(&path);
        self.change(id, move |tree| set_attributes(tree, tree.resolve(&path, true)?, &attrs)).await
    }

    async fn fsetstat(
        &mut self,
        id: u32,
        handle: String,
        attrs: FileAttributes,
    ) -> Result<Status, StatusReply> {
        let file = self.file(&handle)?;
        self.change(id, move |tree| set_attributes(tree, &*file, &attrs)).await
    }

    async fn opendir(&mut self, id: u32, path: String) -> Result<Handle, StatusReply> {
        let path = self.path(&path);
        let names = self.files.with(move |tree| tree.list(&path)).await.map_err(reply)?;
        self.keep(id, Open::Folder(names.into_iter()))
    }

    async fn readdir(&mut self, id: u32, handle: String) -> Result<Name, StatusReply> {
        let Some(Open::Folder(names)) = self.open.get_mut(&handle) else {
            return Err(StatusCode::Failure.with_message("not the handle of an open folder"));
        };
        let names: Vec<(String, FileStat)> = names.by_ref().take(NAMES_AT_ONCE).collect();
        if names.is_empty() {
            return Err(StatusCode::Eof.into());
        }
        let files = names
            .into_iter()
            .map(|(name, stat)| russh_sftp::protocol::File::new(name, self.attributes(&stat)))
            .collect();
        Ok(Name { id, files })
    }

    async fn remove(&mut self, id: u32, filename: String) -> Result<Status, StatusReply> {
        let path = self.path(&filename);
        self.change(id, move |tree| {
            let (folder, name) = tree.parent(&path)?;
            unlinkat(&folder, name, UnlinkatFlags::NoRemoveDir)
        })
        .await
    }

    async fn mkdir(&mut self, id: u32, path: String, attrs: FileAttributes) -> Result<Status, StatusReply> {
        let path = self.path(&path);
        let mode = Mode::from_bits_truncate(attrs.permissions.unwrap_or(0o777) & PERMISSIONS & !UMASK);
        self.change(id, move |tree| {
            let (folder, name) = tree.parent(&path)?;
            mkdirat(&folder, name, mode)
        })
        .await
    }

    async fn rmdir(&mut self, id: u32, path: String) -> Result<Status, StatusReply> {
        let path = self.path(&path);
        self.change(id, move |tree| {
            let (folder, name) = tree.parent(&path)?;
            unlinkat(&folder, name, UnlinkatFlags::RemoveDir)
        })
        .await
    }

    async fn realpath(&mut self, id: u32, path: String) -> Result<Name, StatusReply> {
        let path = self.path(&path);
        let path = self.files.with(move |tree| tree.canonical(&path)).await.map_err(reply)?;
        Ok(self.name(id, path))
    }

    async fn readlink(&mut self, id: u32, path: String) -> Result<Name, StatusReply> {
        let path = self.path(&path);
        let target = self.files.with(move |tree| tree.link_target(&path)).await.map_err(reply)?;
        Ok(self.name(id, target))
    }

    async fn rename(&mut self, id: u32, oldpath: String, newpath: String) -> Result<Status, StatusReply> {
        // Version 3 wants this to fail when the new name is taken.
        let (old, new) = (self.path(&oldpath), self.path(&newpath));
        self.change(id, move |tree| {
            let ((from, old), (to, new)) = (tree.parent(&old)?, tree.parent(&new)?);
            renameat2(&from, old, &to, new, RenameFlags::RENAME_NOREPLACE)
        })
        .await
    }

    async fn symlink(
        &mut self,
        id: u32,
        linkpath: String,
        targetpath: String,
    ) -> Result<Status, StatusReply> {
        // OpenSSH sends the target first, against the draft, and everybody has to follow.
        let (target, link) = (linkpath, self.path(&targetpath));
        self.change(id, move |tree| {
            let (folder, name) = tree.parent(&link)?;
            symlinkat(target.as_str(), &folder, name)
        })
        .await
    }

    async fn extended(&mut self, id: u32, request: String, data: Vec<u8>) -> Result<Packet, StatusReply> {
        let mut fields = Fields(&data);
        match request.as_str() {
            "posix-rename@openssh.com" => {
                let (old, new) = (self.path(&fields.text()?), self.path(&fields.text()?));
                let renamed = self.change(id, move |tree| {
                    let ((from, old), (to, new)) = (tree.parent(&old)?, tree.parent(&new)?);
                    renameat(&from, old, &to, new)
                });
                renamed.await.map(Packet::Status)
            }
            "hardlink@openssh.com" => {
                let (old, new) = (self.path(&fields.text()?), self.path(&fields.text()?));
                let linked = self.change(id, move |tree| {
                    let ((from, old), (to, new)) = (tree.parent(&old)?, tree.parent(&new)?);
                    linkat(&from, old, &to, new, AtFlags::empty())
                });
                linked.await.map(Packet::Status)
            }
            "fsync@openssh.com" => {
                let file = self.file(&fields.text()?)?;
                let synced = self.change(id, move |_| file.sync_all().map_err(super::tree::errno));
                synced.await.map(Packet::Status)
            }
            "limits@openssh.com" => {
                let limits = [MAX_PACKET, u64::from(MAX_READ), u64::from(MAX_READ), MAX_HANDLES as u64];
                let data = limits.iter().flat_map(|limit| limit.to_be_bytes()).collect();
                Ok(Packet::ExtendedReply(ExtendedReply { id, data }))
            }
            "expand-path@openssh.com" => self.expand(id, &fields.text()?).await,
            _ => Err(StatusCode::OpUnsupported.into()),
        }
    }
}

/// The fields of an extended request: texts with their length before them.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn text(&mut self) -> Result<String, StatusReply> {
        let bad = || StatusReply::from(StatusCode::BadMessage);
        let (length, rest) = self.0.split_first_chunk::<4>().ok_or_else(bad)?;
        let (text, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or_else(bad)?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).map_err(|_| bad())
    }
}

fn ok(id: u32) -> Status {
    Status {
        id,
        status_code: StatusCode::Ok,
        error_message: "Success".to_string(),
        language_tag: "en".to_string(),
    }
}

/// The status that OpenSSH's server answers with for an error of the system.
fn reply(error: Errno) -> StatusReply {
    let code = match error {
        Errno::ENOENT | Errno::ENOTDIR | Errno::EBADF | Errno::ELOOP => StatusCode::NoSuchFile,
        Errno::EPERM | Errno::EACCES | Errno::EFAULT | Errno::EROFS => StatusCode::PermissionDenied,
        Errno::ENAMETOOLONG | Errno::EINVAL => StatusCode::BadMessage,
        Errno::ENOSYS => StatusCode::OpUnsupported,
        _ => StatusCode::Failure,
    };
    code.with_message(error.desc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_request_are_checked() {
        let data = [0, 0, 0, 2, b'a', b'b', 0, 0, 0, 9, b'c'];
        let mut fields = Fields(&data);
        assert_eq!(fields.text().unwrap(), "ab");
        assert!(fields.text().is_err());
        assert!(Fields(&[0, 0]).text().is_err());
        assert!(Fields(&[255, 255, 255, 255]).text().is_err());
    }

    #[test]
    fn errors_become_the_codes_that_clients_know() {
        assert_eq!(reply(Errno::ENOENT).status_code, StatusCode::NoSuchFile);
        assert_eq!(reply(Errno::EROFS).status_code, StatusCode::PermissionDenied);
        assert_eq!(reply(Errno::EEXIST).status_code, StatusCode::Failure);
    }
}
