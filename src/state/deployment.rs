//! Several deployments of one project, each with a folder of its own for its state.
//!
//! The default one lies in the project's folder; the others in `.spot/deployments/NAME/` of it, in the
//! same shape.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Store;
use super::layout::Layout;
use crate::error::Result;

const FOLDER: &str = "deployments";

impl Store {
    /// The folder of the state of a deployment, below that of the default one, `home`. The name is
    /// taken as it is: it must be good for a folder.
    pub fn folder(home: &Path, deployment: Option<&str>) -> PathBuf {
        match deployment {
            Some(name) => Layout::new(home).folder().join(FOLDER).join(name),
            None => home.to_owned(),
        }
    }

    /// The names of the deployments that those know with whom the state is shared, beside the default
    /// one; none if it is not shared.
    ///
    /// # Errors
    /// The place does not answer, or refuses.
    pub fn shared_deployments(&self) -> Result<Vec<String>> {
        self.shared().others.as_ref().map_or_else(|| Ok(Vec::new()), |others| others.deployments())
    }

    /// The names of the deployments beside the default one, sorted.
    ///
    /// # Errors
    /// Their folder cannot be read.
    pub fn deployments(home: &Path) -> Result<Vec<String>> {
        let layout = Layout::new(home);
        let folder = layout.folder().join(FOLDER);
        let fail = |error| layout.explain("cannot read", &folder, error);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(fail(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(fail)?;
            if entry.path().is_dir() {
                names.extend(entry.file_name().into_string());
            }
        }
        names.sort();
        Ok(names)
    }
}

/// The folder of the default deployment and the name, of a folder of a named one.
pub(super) fn split(folder: &Path) -> Option<(&Path, &str)> {
    let name = folder.file_name()?.to_str()?;
    let deployments = folder.parent().filter(|it| it.file_name() == Some(OsStr::new(FOLDER)))?;
    let private = deployments.parent().filter(|it| it.file_name() == Some(OsStr::new(".spot")))?;
    Some((private.parent()?, name))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use super::*;
    use crate::state::{Instance, Writer};

    fn write(store: &Store) -> Writer {
        store.writer("test", Duration::ZERO, &|_| {}).unwrap()
    }

    #[test]
    fn a_deployment_has_a_state_an_id_and_a_lock_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("web");
        fs::create_dir(&home).unwrap();
        assert_eq!(Store::deployments(&home).unwrap(), [""; 0]);
        let default = write(&Store::open(&Store::folder(&home, None)));
        let folder = Store::folder(&home, Some("blue"));
        let blue = write(&Store::open(&folder));
        default.put(Instance::new("i-1", "r")).unwrap();
        blue.put(Instance::new("i-2", "r")).unwrap();
        assert!(default.project().starts_with("web-") && !default.project().starts_with("web-blue-"));
        assert!(blue.project().starts_with("web-blue-"), "{}", blue.project());
        assert_eq!(Store::deployments(&home).unwrap(), ["blue"]);
        drop((default, blue));
        assert!(home.join("instances.json").exists() && folder.join("instances.json").exists());
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(Store::open(&home).read().unwrap().instance("i-2").is_none());
    }

    #[test]
    fn nothing_is_made_below_a_project_that_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&Store::folder(&dir.path().join("gone"), Some("blue")));
        let error = store.writer("test", Duration::ZERO, &|_| {}).unwrap_err();
        assert!(error.message().contains("gone does not exist"), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn only_folders_of_deployments_are_split() {
        assert_eq!(split(Path::new("/p/.spot/deployments/blue")), Some((Path::new("/p"), "blue")));
        for other in ["/p", "/p/.spot/blue", "/deployments/blue", "/"] {
            assert_eq!(split(Path::new(other)), None, "{other}");
        }
    }
}
