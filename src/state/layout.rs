//! Where a project's files are, and that they are private and ours.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User, geteuid};

use super::deployment;
use super::disk::Disk;
use crate::error::{Error, Result};

/// How many symbolic links from `instances.json` are followed, as in the kernel.
const MOST_LINKS: usize = 40;

/// The paths of one project.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    project: PathBuf,
}

impl Layout {
    /// The layout of the project in a folder. A later change of the working directory does not matter.
    pub(super) fn new(project: &Path) -> Self {
        Layout { project: std::path::absolute(project).unwrap_or_else(|_| project.to_owned()) }
    }

    pub(super) fn project(&self) -> &Path {
        &self.project
    }

    pub(super) fn instances(&self) -> PathBuf {
        self.project.join("instances.json")
    }

    pub(super) fn folder(&self) -> PathBuf {
        self.project.join(".spot")
    }

    pub(super) fn journal(&self) -> PathBuf {
        self.folder().join("journal.jsonl")
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.folder().join("lock")
    }

    pub(super) fn history(&self) -> PathBuf {
        self.folder().join("history.jsonl")
    }

    pub(super) fn shared(&self) -> PathBuf {
        self.folder().join("shared.json")
    }

    pub(super) fn backups(&self) -> PathBuf {
        self.folder().join("backups")
    }

    /// The path as messages name it: relative to the project.
    pub(super) fn display(&self, path: &Path) -> String {
        path.strip_prefix(&self.project).unwrap_or(path).display().to_string()
    }

    /// The file that `instances.json` is, through symbolic links, even if it does not exist yet.
    pub(super) fn instances_target(&self) -> Result<PathBuf> {
        let mut path = self.instances();
        for _ in 0..MOST_LINKS {
            match fs::read_link(&path) {
                Ok(target) => path = path.parent().unwrap_or(&self.project).join(target),
                // Not a link, or nothing there yet.
                Err(_) => return Ok(path),
            }
        }
        Err(Error::state("instances.json is a symbolic link that leads round in a circle")
            .with_hint("remove the link: `rm instances.json`"))
    }

    /// Makes `.spot/` if it is absent, private, ignored by git, and safe on disk.
    ///
    /// # Errors
    /// The project folder is missing, or `.spot` belongs to another user.
    pub(super) fn prepare(&self, disk: &dyn Disk) -> Result<()> {
        if let Some((home, _)) = deployment::split(&self.project).filter(|_| !self.project.is_dir()) {
            Layout::new(home).prepare(disk)?;
            let all = self.project.parent().unwrap_or(home);
            self.make(disk, all)?;
            self.make(disk, &self.project)?;
        }
        if !self.project.is_dir() {
            return Err(Error::state(format!(
                "the project folder {} does not exist",
                self.project.display()
            ))
            .with_hint(format!("make it: `mkdir -p {}`", self.project.display())));
        }
        let folder = self.folder();
        match fs::metadata(&folder) {
            Ok(metadata) if !metadata.is_dir() => {
                return Err(Error::state(".spot is a file, expected a folder").with_hint("move it away"));
            }
            Ok(metadata) => {
                if let Some(error) = foreign_owner(&folder, metadata.uid(), geteuid()) {
                    return Err(error);
                }
                disk.tighten(&folder, 0o700).map_err(|e| self.explain("cannot make private", &folder, e))?;
            }
            Err(_) => self.make(disk, &folder)?,
        }
        let ignore = folder.join(".gitignore");
        // Made in one step, by whichever thread or process comes first.
        match fs::OpenOptions::new().write(true).create_new(true).open(&ignore) {
            Ok(mut file) => {
                file.write_all(b"*\n").map_err(|e| self.explain("cannot write", &ignore, e))?;
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(self.explain("cannot write", &ignore, e)),
        }
        Ok(())
    }

    /// Makes a private folder, safe on disk, if it is absent.
    fn make(&self, disk: &dyn Disk, folder: &Path) -> Result<()> {
        match disk.create_folder(folder) {
            // It was there, or another thread or process was quicker.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.map_err(|e| self.explain("cannot create", folder, e))?,
        }
        let parent = folder.parent().unwrap_or(&self.project);
        disk.sync_folder(parent).map_err(|e| self.explain("cannot sync", parent, e))
    }

    /// An operating-system error on a path, as a person would want to be told it.
    pub(super) fn explain(&self, doing: &str, path: &Path, error: io::Error) -> Error {
        let message = format!("{doing} {}: {error}", self.display(path));
        let hint = match error.kind() {
            io::ErrorKind::PermissionDenied => permission_hint(path),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(
                "free some disk space and run the command again; nothing recorded earlier is lost".into(),
            ),
            io::ErrorKind::ReadOnlyFilesystem => Some("use a project folder on a writable disk".into()),
            _ => None,
        };
        let error = Error::state(message).with_source(error);
        match hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }
}

/// Writes a file so that at any instant either the old or the new text is there, whole: temporary
/// file in the same folder, fsync, rename, fsync of the folder.
pub(super) fn replace(disk: &dyn Disk, path: &Path, text: &[u8]) -> io::Result<()> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    // One fixed name, since there is one writer: what a crash leaves behind is replaced next time.
    let temporary = folder.join(format!(".{}.tmp", name.to_string_lossy()));
    let written = disk.create(&temporary).and_then(|file| {
        disk.append(&file, text)?;
        disk.sync(&file)?;
        disk.rename(&temporary, path)
    });
    if let Err(error) = written {
        // The first error is the one to report; a left-over temporary file harms nobody.
        let _ = disk.remove(&temporary);
        return Err(error);
    }
    disk.sync_folder(folder)
}

/// An error if a folder that holds private files belongs to somebody else. Root may use anybody's.
fn foreign_owner(path: &Path, owner: u32, us: Uid) -> Option<Error> {
    if us.is_root() || owner == us.as_raw() {
        return None;
    }
    let message = format!(
        "{} belongs to {}, not to you ({})",
        path.display(),
        user_name(owner),
        user_name(us.as_raw())
    );
    let hint = format!("take it over: `sudo chown -R {us} {}`", path.display());
    Some(Error::state(message).with_code("StateForeign").with_hint(hint))
}

fn permission_hint(path: &Path) -> Option<String> {
    let nearest = path.ancestors().find_map(|path| fs::metadata(path).ok().map(|found| (path, found)));
    let (path, metadata) = nearest?;
    let owner = user_name(metadata.uid());
    let mode = metadata.mode() & 0o777;
    Some(format!(
        "{} belongs to {owner} with mode {mode:03o}, and you are {}: run as {owner}, or change its owner",
        path.display(),
        user_name(geteuid().as_raw())
    ))
}

/// A user's login name, or the number of one without a name.
pub(super) fn user_name(id: u32) -> String {
    match User::from_uid(Uid::from_raw(id)) {
        Ok(Some(user)) => user.name,
        _ => format!("uid {id}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::disk::RealDisk;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn the_folder_is_private_and_ignored_by_git() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        fs::create_dir(layout.folder()).unwrap();
        fs::set_permissions(layout.folder(), fs::Permissions::from_mode(0o755)).unwrap();
        layout.prepare(&RealDisk).unwrap();
        assert_eq!(fs::metadata(layout.folder()).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::read_to_string(layout.folder().join(".gitignore")).unwrap(), "*\n");
    }

    #[test]
    fn a_missing_project_and_a_file_named_spot_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let error = Layout::new(&dir.path().join("gone")).prepare(&RealDisk).unwrap_err();
        assert!(error.message().contains("gone does not exist"), "{error}");
        fs::write(dir.path().join(".spot"), "").unwrap();
        let error = Layout::new(dir.path()).prepare(&RealDisk).unwrap_err();
        assert_eq!(error.message(), ".spot is a file, expected a folder");
    }

    #[test]
    fn many_threads_may_make_the_folder_at_once() {
        for _ in 0..20 {
            let dir = tempfile::tempdir().unwrap();
            let layout = Layout::new(dir.path());
            std::thread::scope(|scope| {
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| layout.prepare(&RealDisk))).collect();
                for thread in threads {
                    thread.join().unwrap().unwrap();
                }
            });
            assert!(layout.folder().join(".gitignore").exists());
        }
    }

    #[test]
    fn a_foreign_folder_is_refused_except_for_root() {
        let path = Path::new("/p/.spot");
        let error = foreign_owner(path, 0, Uid::from_raw(54321)).unwrap();
        assert_eq!(error.message(), "/p/.spot belongs to root, not to you (uid 54321)");
        assert_eq!(error.hint(), Some("take it over: `sudo chown -R 54321 /p/.spot`"));
        assert!(foreign_owner(path, 54321, Uid::from_raw(54321)).is_none());
        assert!(foreign_owner(path, 54321, Uid::from_raw(0)).is_none());
    }

    #[test]
    fn links_are_followed_also_to_nowhere_but_not_in_circles() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        assert_eq!(layout.instances_target().unwrap(), layout.instances());
        symlink("shared/fleet.json", layout.instances()).unwrap();
        assert_eq!(layout.instances_target().unwrap(), dir.path().join("shared/fleet.json"));
        fs::remove_file(layout.instances()).unwrap();
        symlink("instances.json", layout.instances()).unwrap();
        assert!(layout.instances_target().unwrap_err().message().contains("circle"));
    }

    #[test]
    fn a_full_disk_gets_a_hint() {
        let layout = Layout::new(Path::new("/p"));
        let error = layout.explain("cannot append to", &layout.journal(), io::ErrorKind::StorageFull.into());
        assert!(error.message().starts_with("cannot append to .spot/journal.jsonl: "));
        assert!(error.hint().unwrap().contains("free some disk space"));
        let path = Path::new("/etc/passwd");
        let error = layout.explain("cannot read", path, io::ErrorKind::PermissionDenied.into());
        assert!(error.hint().unwrap().starts_with("/etc/passwd belongs to root with mode 644"), "{error:?}");
    }
}
