//! The files of a host, seen from outside, without a way to be led astray.
//!
//! Paths are resolved by the kernel inside the host's root (`openat2` with `RESOLVE_IN_ROOT`), so no
//! symbolic link and no race leads out of it. What is done to files is done with the host's own file
//! system identity, on a thread of its own, so that root's power never meets a path a host chose.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::mpsc;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, open, openat2, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};
use nix::sys::statfs::{OVERLAYFS_SUPER_MAGIC, fstatfs};
use nix::unistd::{setfsgid, setfsuid};
use tokio::sync::oneshot;

use super::isolation::Identity;

/// How often a resolution is tried again that lost a race against a rename.
const RACE_RETRIES: usize = 32;

/// A root folder and the rules for what may be touched below it.
pub(super) struct Tree {
    root: OwnedFd,
    /// The device of the host's own files: the only one that is written to.
    own: u64,
    /// The device of the shared, read-only `/usr`; other devices (`/proc`, `/dev`) are not read.
    shared: Option<u64>,
}

impl Tree {
    fn open(root: &Path) -> nix::Result<Tree> {
        let root = open(root, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
        let own = fstat(&root)?.st_dev;
        let mut tree = Tree { root, own, shared: None };
        tree.shared = tree.resolve("/usr", true).and_then(fstat).ok().map(|stat| stat.st_dev);
        Ok(tree)
    }

    /// Opens a path inside the root; `flags` and `mode` are those of `open(2)`.
    pub(super) fn open_at(&self, path: &str, flags: OFlag, mode: Mode) -> nix::Result<OwnedFd> {
        let path = CString::new(path).map_err(|_| Errno::EINVAL)?;
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .mode(mode)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        for _ in 0..RACE_RETRIES {
            match openat2(&self.root, path.as_c_str(), how) {
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                result => return result,
            }
        }
        Err(Errno::EAGAIN)
    }

    /// A descriptor that stands for what the path names, or for the link itself.
    pub(super) fn resolve(&self, path: &str, follow: bool) -> nix::Result<OwnedFd> {
        let flags = if follow { OFlag::O_PATH } else { OFlag::O_PATH | OFlag::O_NOFOLLOW };
        self.open_at(path, flags, Mode::empty())
    }

    /// The writable folder that holds the last part of a path, and that part.
    pub(super) fn parent<'a>(&self, path: &'a str) -> nix::Result<(OwnedFd, &'a str)> {
        let path = path.trim_end_matches('/');
        let (folder, name) = path.rsplit_once('/').unwrap_or((".", path));
        if matches!(name, "" | "." | "..") {
            return Err(Errno::EINVAL);
        }
        let folder = if folder.is_empty() { "/" } else { folder };
        let folder = self.open_at(folder, OFlag::O_PATH | OFlag::O_DIRECTORY, Mode::empty())?;
        self.require_own(&folder)?;
        Ok((folder, name))
    }

    /// Opens a regular file to read or write it.
    pub(super) fn file(&self, path: &str, flags: OFlag, mode: Mode) -> nix::Result<File> {
        // A FIFO must not block, a device must not be opened at all.
        let file = self.open_at(path, flags | OFlag::O_NONBLOCK | OFlag::O_NOCTTY, mode)?;
        let stat = fstat(&file)?;
        match kind(&stat) {
            SFlag::S_IFREG => {}
            SFlag::S_IFDIR => return Err(Errno::EISDIR),
            _ => return Err(Errno::EACCES),
        }
        if flags.intersects(OFlag::O_WRONLY | OFlag::O_RDWR) {
            self.require_own(&file)?
        } else {
            self.require_readable(&file)?
        }
        Ok(File::from(file))
    }

    /// The names in a folder with what they are, `.` and `..` included.
    pub(super) fn list(&self, path: &str) -> nix::Result<Vec<(String, FileStat)>> {
        let folder = self.open_at(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY, Mode::empty())?;
        let mut found = Vec::new();
        for name in [".", ".."] {
            found.push((name.to_string(), fstat(&folder)?));
        }
        for entry in std::fs::read_dir(alias(&folder)).map_err(errno)? {
            let name = entry.map_err(errno)?.file_name();
            // A name that vanished meanwhile, or is no UTF-8 (the protocol library cannot carry it).
            let Some(text) = name.to_str() else { continue };
            let Ok(stat) = fstatat(&folder, text, nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW) else { continue };
            found.push((text.to_string(), stat));
        }
        Ok(found)
    }

    /// Where a link points.
    pub(super) fn link_target(&self, path: &str) -> nix::Result<String> {
        let link = self.resolve(path, false)?;
        let target = readlinkat(&link, "")?;
        target.into_string().map_err(|_| Errno::EILSEQ)
    }

    /// The path without links, `.` and `..`; the last part need not exist.
    pub(super) fn canonical(&self, path: &str) -> nix::Result<String> {
        match self.resolve(path, true) {
            Ok(found) => self.path_of(&found),
            Err(Errno::ENOENT) => {
                let path = path.trim_end_matches('/');
                let (folder, name) = path.rsplit_once('/').unwrap_or((".", path));
                let folder =
                    self.path_of(&self.resolve(if folder.is_empty() { "/" } else { folder }, true)?)?;
                Ok(format!("{}/{name}", folder.trim_end_matches('/')))
            }
            Err(error) => Err(error),
        }
    }

    /// The path of an open file, as the host sees it.
    fn path_of(&self, file: &OwnedFd) -> nix::Result<String> {
        let path = readlinkat(AT_FDCWD, alias(file).as_str())?;
        let root = readlinkat(AT_FDCWD, alias(&self.root).as_str())?;
        let path = Path::new(&path);
        let inside = path.strip_prefix(Path::new(&root)).unwrap_or(path);
        let text = std::str::from_utf8(inside.as_os_str().as_bytes()).map_err(|_| Errno::EILSEQ)?;
        Ok(format!("/{}", text.trim_start_matches('/')))
    }

    /// Refuses what is not one of the host's own files; the read-only `/usr` refuses by itself.
    pub(super) fn require_own(&self, file: impl AsFd + Copy) -> nix::Result<()> {
        // A disk that is full on purpose is an overlay over the host's own files.
        let own =
            fstat(file)?.st_dev == self.own || fstatfs(file)?.filesystem_type() == OVERLAYFS_SUPER_MAGIC;
        if own { Ok(()) } else { Err(Errno::EACCES) }
    }

    fn require_readable(&self, file: impl AsFd + Copy) -> nix::Result<()> {
        if Some(fstat(file)?.st_dev) == self.shared { Ok(()) } else { self.require_own(file) }
    }
}

/// The file type of a `stat`.
pub(super) fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits())
}

/// A path of this process that names an open file whatever happens to its real path.
pub(super) fn alias(file: impl AsFd) -> String {
    format!("/proc/self/fd/{}", file.as_fd().as_raw_fd())
}

/// The number of an input or output error.
pub(super) fn errno(error: io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

type Job = Box<dyn FnOnce(&mut Tree) + Send>;

/// A [`Tree`] on its own thread, which has the file system identity of the host.
pub(super) struct Files {
    jobs: mpsc::Sender<Job>,
}

impl Files {
    /// Opens the tree below `root`.
    pub(super) fn open(root: &Path, identity: Identity) -> io::Result<Files> {
        let mut tree = Tree::open(root)?;
        let (jobs, queue) = mpsc::channel::<Job>();
        std::thread::Builder::new().name("sandbox-files".to_string()).spawn(move || {
            if let Some((user, group)) = identity.owner() {
                // For this thread only; the kernel takes root's power over files away with it. The
                // calls return the id before them, so asking again is the way to know.
                setfsgid(group);
                setfsuid(user);
                if setfsuid(user) != user || setfsgid(group) != group {
                    return;
                }
            }
            for job in queue {
                job(&mut tree);
            }
        })?;
        Ok(Files { jobs })
    }

    /// Does something with the files, on their thread.
    pub(super) async fn with<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Tree) -> nix::Result<T> + Send + 'static,
    ) -> nix::Result<T> {
        let (answer, result) = oneshot::channel();
        let job: Job = Box::new(move |tree| {
            let _ = answer.send(job(tree));
        });
        self.jobs.send(job).map_err(|_| Errno::EIO)?;
        result.await.map_err(|_| Errno::EIO)?
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_that_leads_out_leads_to_the_root_instead() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "x").unwrap();
        let root = outside.path().join("root");
        std::fs::create_dir(&root).unwrap();
        symlink(outside.path(), root.join("absolute")).unwrap();
        symlink("../../..", root.join("up")).unwrap();
        let tree = Tree::open(&root).unwrap();
        assert_eq!(tree.file("/absolute/secret", OFlag::O_RDONLY, Mode::empty()).unwrap_err(), Errno::ENOENT);
        assert_eq!(tree.file("/../secret", OFlag::O_RDONLY, Mode::empty()).unwrap_err(), Errno::ENOENT);
        assert_eq!(tree.canonical("/up").unwrap(), "/");
        assert_eq!(tree.canonical("/up/new").unwrap(), "/new");
        assert_eq!(tree.canonical("/none/new").unwrap_err(), Errno::ENOENT);
        assert_eq!(tree.link_target("/up").unwrap(), "../../..");
    }

    #[test]
    fn only_regular_files_are_opened() {
        let root = tempfile::tempdir().unwrap();
        nix::unistd::mkfifo(&root.path().join("pipe"), Mode::S_IRWXU).unwrap();
        let tree = Tree::open(root.path()).unwrap();
        assert_eq!(tree.file("pipe", OFlag::O_RDONLY, Mode::empty()).unwrap_err(), Errno::EACCES);
        assert_eq!(tree.file("pipe", OFlag::O_RDWR, Mode::empty()).unwrap_err(), Errno::EACCES);
        assert_eq!(tree.file(".", OFlag::O_RDONLY, Mode::empty()).unwrap_err(), Errno::EISDIR);
        assert_eq!(tree.parent("/").unwrap_err(), Errno::EINVAL);
        assert_eq!(tree.parent("a/..").unwrap_err(), Errno::EINVAL);
        assert_eq!(tree.parent("/new").unwrap().1, "new");
    }
}
