//! Where the project is, and which file a path in its configuration means.

use std::path::{Component, Path, PathBuf};

/// The folders that paths in a configuration start from.
#[derive(Debug, Clone)]
pub(super) struct Place {
    project: PathBuf,
    home: Option<PathBuf>,
}

impl Place {
    /// The project folder is made absolute; `home` is what `~/` stands for.
    pub(super) fn new(project: &Path, home: Option<PathBuf>) -> Self {
        Place {
            project: normal(&std::path::absolute(project).unwrap_or_else(|_| project.to_path_buf())),
            home,
        }
    }

    /// The project folder, absolute.
    pub(super) fn project(&self) -> &Path {
        &self.project
    }

    /// The absolute path that is meant: `~/` is the home folder, a relative path starts in the project.
    pub(super) fn resolve(&self, written: &str) -> PathBuf {
        let from_home = if written == "~" { Some("") } else { written.strip_prefix("~/") };
        match (from_home, &self.home) {
            (Some(rest), Some(home)) => normal(&home.join(rest)),
            _ => normal(&self.project.join(written)),
        }
    }

    /// Whether a path is in the project, also after following symbolic links.
    pub(super) fn contains(&self, path: &Path) -> bool {
        if !path.starts_with(&self.project) {
            return false;
        }
        match (path.canonicalize(), self.project.canonicalize()) {
            (Ok(path), Ok(project)) => path.starts_with(project),
            _ => true,
        }
    }

    /// The path as reports name it: relative if it is in the project.
    pub(super) fn shown(&self, path: &Path) -> PathBuf {
        let absolute = normal(&std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()));
        absolute.strip_prefix(&self.project).map_or_else(|_| path.to_path_buf(), Path::to_path_buf)
    }
}

/// Without `.` and `..`, as written: no symbolic link is followed.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_start_at_home_or_in_the_project() {
        let place = Place::new(Path::new("/work/./app"), Some(PathBuf::from("/home/u")));
        assert_eq!(place.resolve("~/.ssh/id"), Path::new("/home/u/.ssh/id"));
        assert_eq!(place.resolve("deploy/../x.sh"), Path::new("/work/app/x.sh"));
        assert_eq!(place.resolve("/etc/x"), Path::new("/etc/x"));
        assert_eq!(place.resolve("~user/x"), Path::new("/work/app/~user/x"));
        assert_eq!(place.shown(Path::new("/work/app/spot.toml")), Path::new("spot.toml"));
        assert_eq!(place.shown(Path::new("/etc/spot.toml")), Path::new("/etc/spot.toml"));
        assert!(!place.contains(&place.resolve("../other")));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_out_of_the_project_is_outside() {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("app");
        std::fs::create_dir(&project).unwrap();
        std::os::unix::fs::symlink("/etc", project.join("link")).unwrap();
        let place = Place::new(&project, None);
        assert!(!place.contains(&place.resolve("link")));
        assert!(place.contains(&place.resolve("missing")));
    }
}
