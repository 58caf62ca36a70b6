//! All hosts of one sandbox.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use tokio::runtime::Handle;

use super::faults::HostFaults;
use super::host::Host;
use super::isolation::Isolation;
use super::spec::HostSpec;
use crate::error::{Error, Result};

/// How often a shutdown looks whether the last host has finished booting.
const POLL: Duration = Duration::from_millis(5);

/// The running hosts of a sandbox. Cloning gives another handle to the same hosts; when the last one
/// is dropped, every process of every host is killed.
#[derive(Clone)]
pub struct Hosts {
    fleet: Arc<Fleet>,
}

struct Fleet {
    runtime: Handle,
    /// Found out once per fleet: whether and how this machine isolates.
    isolation: tokio::sync::OnceCell<Isolation>,
    hosts: Mutex<HashMap<String, Slot>>,
}

/// The place of a host: taken before anything of it happens, so that two boots cannot meet.
enum Slot {
    Booting,
    Up(Arc<Host>),
    /// Halted; its folder is remembered so that it can still be removed.
    Down(PathBuf),
}

impl Hosts {
    /// An empty fleet whose work runs on the given runtime. The methods may be awaited anywhere.
    pub fn new(handle: Handle) -> Hosts {
        let (isolation, hosts) = (tokio::sync::OnceCell::new(), Mutex::new(HashMap::new()));
        Hosts { fleet: Arc::new(Fleet { runtime: handle, isolation, hosts }) }
    }

    /// Boots a host. Returns when it is certain that it will come up: it listens once its boot time
    /// has passed. A host whose folder exists has the files and the host key it had before.
    ///
    /// # Errors
    /// When the machine cannot isolate hosts (`SandboxUnavailable`; then nothing was started), the
    /// host is up already, its folder cannot be written or its address is taken.
    pub async fn boot(&self, spec: HostSpec) -> Result<()> {
        spec.faults.check()?;
        let id = spec.id.clone();
        {
            let mut hosts = self.fleet.hosts();
            if matches!(hosts.get(&id), Some(Slot::Booting | Slot::Up(_))) {
                return Err(Error::usage(format!("{id} is running already")));
            }
            hosts.insert(id.clone(), Slot::Booting);
        }
        let fleet = self.fleet.clone();
        self.on_runtime(async move {
            let folder = spec.folder.clone();
            let (slot, result) = match fleet.start(spec).await {
                Ok(host) => (Slot::Up(host), Ok(())),
                Err(error) => (Slot::Down(folder), Err(error)),
            };
            fleet.hosts().insert(id, slot);
            result
        })
        .await
    }

    /// Halts a host: its port refuses connections and no process of it is left when this returns.
    /// Its folder stays. Halting a halted host does nothing.
    ///
    /// # Errors
    /// When there is no host with this id.
    pub async fn halt(&self, id: &str) -> Result<()> {
        self.end(id).await.map(|_| ())
    }

    /// Halts a host and deletes its folder.
    ///
    /// # Errors
    /// When there is no host with this id, or the folder cannot be deleted.
    pub async fn remove(&self, id: &str) -> Result<()> {
        let folder = self.end(id).await?;
        let id = id.to_string();
        let fleet = self.fleet.clone();
        self.on_runtime(async move {
            let deleted =
                tokio::task::spawn_blocking(move || delete(&folder).map_err(|error| (folder, error))).await;
            match deleted {
                Ok(Ok(())) => {
                    fleet.hosts().remove(&id);
                    Ok(())
                }
                Ok(Err((folder, error))) => {
                    let folder = folder.display();
                    Err(Error::config(format!("{id}: cannot delete {folder}: {error}"))
                        .with_hint(format!("delete it yourself: `sudo rm -rf {folder}`"))
                        .with_source(error))
                }
                Err(error) => Err(Error::internal("a task was lost").with_source(error)),
            }
        })
        .await
    }

    /// Sets what the metadata service inside a host tells at a path below `latest/meta-data`, such as
    /// `spot/instance-action`; none makes it 404 again.
    ///
    /// # Errors
    /// When there is no such host or it is halted, or the file cannot be written.
    pub async fn tell(&self, id: &str, path: &str, text: Option<&str>) -> Result<()> {
        let host = self.fleet.running(id)?;
        let (path, text) = (path.to_owned(), text.map(str::to_owned));
        let written = self.on_runtime(async move { Ok(host.layout().tell(&path, text.as_deref())) }).await?;
        written.map_err(|error| {
            Error::config(format!("cannot write the metadata of {id}: {error}")).with_source(error)
        })
    }

    /// Changes what goes wrong with a host, from now on; counting starts anew. `slow_boot` and `never_boots`
    /// count for its next boot only.
    ///
    /// # Errors
    /// When a fault is not possible (see [`HostFaults::check`]), there is no such host or it is halted, or
    /// its files cannot be written.
    pub async fn set_faults(&self, id: &str, faults: HostFaults) -> Result<()> {
        faults.check()?;
        let host = self.fleet.running(id)?;
        self.on_runtime(async move { host.set_faults(faults).await }).await
    }

    /// What goes wrong with a host now.
    ///
    /// # Errors
    /// When there is no such host or it is halted.
    pub fn faults(&self, id: &str) -> Result<HostFaults> {
        Ok(self.fleet.running(id)?.faults())
    }

    /// What the stand-ins of a host (`sudo`, `systemctl`, `apt-get`, …) were asked for so far, a JSON object
    /// per line with `time`, `user`, `folder`, `command`, `arguments`, and `status` when it failed on
    /// purpose. The host can write this file itself: it is as trustworthy as the host.
    ///
    /// # Errors
    /// When there is no such host, or its files cannot be read.
    pub async fn commands(&self, id: &str) -> Result<String> {
        let host = self.fleet.running(id)?;
        self.on_runtime(async move { host.commands().await }).await
    }

    /// What a host has printed on its console at the end of its boot; nothing if it has not booted.
    pub fn console(&self, id: &str) -> String {
        self.fleet.running(id).map(|host| host.console()).unwrap_or_default()
    }

    /// What running hosts were told about shutting themselves down: id and request, as `shutdown` and the
    /// like inside write it (`at SECONDS`, `in SECONDS`), or nothing.
    pub async fn power_offs(&self) -> Vec<(String, String)> {
        let fleet = self.fleet.clone();
        let look = async move {
            let asked = fleet.up().into_iter().map(|host| async move {
                (host.spec().id.clone(), host.power_off().await.unwrap_or_default())
            });
            Ok(join_all(asked).await)
        };
        // Without its runtime, nothing of the fleet runs any more that could be told anything.
        self.on_runtime(look).await.unwrap_or_default()
    }

    /// Halts all hosts, those that are only just being booted included. Folders stay.
    pub async fn shutdown(&self) {
        let fleet = self.fleet.clone();
        let work = async move {
            loop {
                let hosts = fleet.up();
                join_all(hosts.iter().map(|host| fleet.halt(host))).await;
                if !fleet.hosts().values().any(|slot| matches!(slot, Slot::Booting)) {
                    return Ok(());
                }
                tokio::time::sleep(POLL).await;
            }
        };
        // Without its runtime, nothing of the fleet runs any more that could be waited for.
        if self.on_runtime(work).await.is_err() {
            self.fleet.up().iter().for_each(|host| host.kill());
        }
    }

    /// Halts a host; its folder.
    async fn end(&self, id: &str) -> Result<PathBuf> {
        let host = match self.fleet.find(id)? {
            Ok(host) => host,
            Err(folder) => return Ok(folder),
        };
        let folder = host.spec().folder.clone();
        let fleet = self.fleet.clone();
        self.on_runtime(async move {
            fleet.halt(&host).await;
            Ok(folder)
        })
        .await
    }

    /// Does the work on the fleet's runtime, whatever the caller's one is; and to its end, even if the
    /// caller loses interest.
    async fn on_runtime<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        match self.fleet.runtime.spawn(work).await {
            Ok(result) => result,
            Err(error) => Err(Error::internal("the sandbox's runtime is gone").with_source(error)),
        }
    }
}

impl Fleet {
    fn hosts(&self) -> std::sync::MutexGuard<'_, HashMap<String, Slot>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn up(&self) -> Vec<Arc<Host>> {
        let hosts = self.hosts();
        hosts
            .values()
            .filter_map(|slot| if let Slot::Up(host) = slot { Some(host.clone()) } else { None })
            .collect()
    }

    /// Halts a host and gives up its place.
    async fn halt(&self, host: &Host) {
        host.halt().await;
        let spec = host.spec();
        self.hosts().insert(spec.id.clone(), Slot::Down(spec.folder.clone()));
    }

    async fn start(&self, spec: HostSpec) -> Result<Arc<Host>> {
        let lost = |error| Error::internal("a task was lost").with_source(error);
        let probe = || async { tokio::task::spawn_blocking(Isolation::probe).await.map_err(lost)? };
        let isolation = self.isolation.get_or_try_init(probe).await?.clone();
        let host =
            tokio::task::spawn_blocking(move || Host::prepare(spec, isolation)).await.map_err(lost)??;
        host.spoil_commands(&host.spec().faults.commands).await?;
        let socket = host.bind()?;
        let host = Arc::new(host);
        tokio::spawn(host.clone().run(socket));
        Ok(host)
    }

    /// The host with this id, which must not be halted.
    fn running(&self, id: &str) -> Result<Arc<Host>> {
        self.find(id)?.map_err(|_| Error::usage(format!("{id} is halted")))
    }

    /// The host with this id, or the folder it left.
    fn find(&self, id: &str) -> Result<Result<Arc<Host>, PathBuf>> {
        let hosts = self.hosts();
        match hosts.get(id) {
            Some(Slot::Up(host)) => Ok(Ok(host.clone())),
            Some(Slot::Down(folder)) => Ok(Err(folder.clone())),
            Some(Slot::Booting) => {
                Err(Error::usage(format!("{id} is only just being booted")).retryable(true))
            }
            None => {
                let error = Error::usage(format!("there is no sandbox host `{id}`"));
                Err(match crate::error::nearest(id, hosts.keys().map(String::as_str)) {
                    Some(near) => error.with_hint(format!("did you mean `{near}`?")),
                    None => error,
                })
            }
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.up().iter().for_each(|host| host.kill());
    }
}

impl fmt::Debug for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hosts").field("up", &self.fleet.up().len()).finish_non_exhaustive()
    }
}

/// Deletes a folder that a host may have filled with folders nobody may enter.
pub(in super::super) fn delete(folder: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            open_up(folder)?;
            std::fs::remove_dir_all(folder)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Gives the owner access to every folder below; links are not followed.
fn open_up(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}
