//! Which deployment of the project is worked on, and where its state is.

use std::path::{Path, PathBuf};

use crate::config;
use crate::error::Result;
use crate::state::Store;

/// A deployment, and the folder of its state.
pub(crate) struct Deployment {
    /// `None` is the default one.
    pub name: Option<String>,
    pub folder: PathBuf,
}

impl Deployment {
    /// The one that is asked for, otherwise the one that the configuration names. `home` is the folder
    /// of the default one.
    ///
    /// # Errors
    /// An impossible name; a configuration that does not tell.
    pub fn choose(
        project: &Path,
        config: Option<&Path>,
        home: &Path,
        asked: Option<&str>,
    ) -> Result<Deployment> {
        let name = config::deployment(project, config, asked)?;
        let folder = Store::folder(home, name.as_deref());
        Ok(Deployment { name, folder })
    }
}
