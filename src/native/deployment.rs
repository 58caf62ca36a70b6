//! Which deployment of the project is worked on, and where its state is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::shared_state;
use crate::cloud::Endpoint;
use crate::config::{self, SharedState};
use crate::error::Result;
use crate::state::Store;
use crate::ui::Ui;

/// A deployment, and the folder of its state.
pub(crate) struct Deployment {
    /// `None` is the default one.
    pub name: Option<String>,
    pub folder: PathBuf,
    /// Where a team shares it; `None` if it is in the folder alone.
    pub shared: Option<SharedState>,
}

impl Deployment {
    /// The one that is asked for, otherwise the one that the configuration names. `home` is the folder
    /// of the default one.
    ///
    /// # Errors
    /// An impossible name; a configuration that does not tell, also where the state is shared.
    pub fn choose(
        project: &Path,
        config: Option<&Path>,
        home: &Path,
        asked: Option<&str>,
    ) -> Result<Deployment> {
        let name = config::deployment(project, config, asked)?;
        let folder = Store::folder(home, name.as_deref());
        let shared = config::shared_state(project, config)?;
        Ok(Deployment { name, folder, shared })
    }

    /// Its state; `writes` says whether anything may be written to what is shared. Nothing is connected
    /// and nothing is read yet.
    pub fn store(&self, endpoint: &Endpoint, writes: bool, ui: &Arc<dyn Ui>) -> Store {
        shared_state::open(&self.folder, self.shared.as_ref(), self.name.as_deref(), endpoint, writes, ui)
    }
}
