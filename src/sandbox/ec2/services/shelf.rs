//! What SSM, Secrets Manager and CloudWatch keep, region by region: `services.json`, beside the cloud.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::{alarms::Alarm, metrics::Metric, secrets::Secret, ssm::Parameter};
use crate::error::{Error, Result};
use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::store;

const FILE: &str = "services.json";

/// What these services keep in one region, by name.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(in super::super) struct Drawer {
    /// The versions of each parameter, the newest last.
    pub parameters: BTreeMap<String, Vec<Parameter>>,
    pub secrets: BTreeMap<String, Secret>,
    pub metrics: Vec<Metric>,
    pub alarms: BTreeMap<String, Alarm>,
    /// The JSON documents of dashboards.
    pub dashboards: BTreeMap<String, String>,
}

/// The drawers of all regions, and the file that holds them.
#[derive(Debug)]
pub(in super::super) struct Shelf {
    folder: PathBuf,
    drawers: Mutex<BTreeMap<String, Drawer>>,
}

impl Shelf {
    /// Loads `services.json` of a folder that this process holds; without it everything is empty.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let drawers = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                Error::state(format!("{} is damaged: {error}", path.display()))
                    .with_hint(format!("delete {} to begin without parameters and secrets", path.display()))
            })?,
            Err(error) if error.kind() == ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => {
                return Err(Error::state(format!("cannot read {}", path.display())).with_source(error));
            }
        };
        Ok(Shelf { folder: folder.to_owned(), drawers: Mutex::new(drawers) })
    }

    /// Works on the drawer of a region; what was changed is on disk when this returns.
    ///
    /// Work that fails must have changed nothing.
    pub async fn work<T>(
        &self,
        region: &str,
        writes: bool,
        work: impl FnOnce(&mut Drawer) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut drawers = self.drawers.lock().await;
        let done = work(drawers.entry(region.to_owned()).or_default())?;
        if writes {
            let failed =
                |error: &dyn std::fmt::Display| Fault::internal(format!("the sandbox failed: {error}"));
            let bytes = serde_json::to_vec(&*drawers).map_err(|error| failed(&error))?;
            let folder = self.folder.clone();
            // The lock is kept: a later change must not be overtaken on its way to the disk.
            let written = tokio::task::spawn_blocking(move || store::replace(&folder, FILE, &bytes));
            written.await.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
        }
        Ok(done)
    }
}
