//! `endpoint.json`: how a running sandbox is found by other processes.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Access, failed};
use crate::control::Control;
use crate::error::Result;

/// How long a sandbox that is found may take to say that it is there; it may be busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the file says.
#[derive(Debug, Serialize, Deserialize)]
struct Published {
    pid: u32,
    url: String,
    access_key: String,
    secret_key: String,
    region: String,
    ssh_port: u16,
}

fn path(folder: &Path) -> PathBuf {
    folder.join("endpoint.json")
}

/// Says how this process's sandbox is reached, in place of what an earlier one may have left behind.
/// The file holds a key, so it is its owner's alone (0600).
pub(super) fn publish(access: &Access) -> Result<()> {
    let folder = &access.state_folder;
    let published = Published {
        pid: std::process::id(),
        url: access.url.clone(),
        access_key: access.access_key.clone(),
        secret_key: access.secret_key.clone(),
        region: access.region.clone(),
        ssh_port: access.ssh_port,
    };
    let write = || {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer_pretty(&mut file, &published)?;
        file.write_all(b"\n")?;
        file.persist(path(folder)).map_err(|error| error.error)
    };
    write().map(drop).map_err(|error| failed(&format!("write {}", path(folder).display()), error))
}

/// Takes the file away; one that is gone already is nobody's loss.
pub(super) fn withdraw(folder: &Path) {
    let _ = std::fs::remove_file(path(folder));
}

/// How the sandbox that runs in this folder is reached, if one does and wants to be found.
///
/// A file that was left behind is no sandbox: what listens there must say that it has this folder.
pub(super) fn find(folder: &Path) -> Option<Access> {
    let text = std::fs::read(path(folder)).ok()?;
    let published: Published = serde_json::from_slice(&text).ok()?;
    let status = Control::at(&published.url).ok()?.patience(PATIENCE).get("/_sandbox/status").ok()?;
    let same = status.get("folder").and_then(serde_json::Value::as_str) == folder.to_str();
    same.then(|| Access {
        url: published.url,
        access_key: published.access_key,
        secret_key: published.secret_key,
        region: published.region,
        ssh_port: published.ssh_port,
        state_folder: folder.to_owned(),
    })
}
