//! A cloud on this machine: an EC2-compatible endpoint on loopback whose instances are SSH and SFTP
//! servers with files of their own and a shell that namespaces isolate.
//!
//! | folder | what lives there |
//! |---|---|
//! | [`ec2`] | the wire protocol and the pretended cloud behind it; knows nothing of SSH |
//! | [`clock`] | the time that all of it goes by |
//! | [`faults`] | what goes wrong on purpose, from a file, a command line or code |
//! | [`hosts`] | the instances: SSH, SFTP, isolation, cloud-init |
//! | `puppets` | instances that only pretend: nothing is executed |
//!
//! It needs no account, no network and no privileges. It keeps everything in the project's
//! `.spot/sandbox/` between runs.

pub mod clock;
pub mod ec2;
pub mod faults;
pub mod hosts;
mod limit;
mod published;
mod puppets;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use tokio::sync::oneshot;

use crate::control::Control;
use crate::error::{Error, Kind, Result};
use clock::Clock;
use ec2::{CallLog, Endpoint, Holding, Machine, Machines, RecordedCall, Warning};
use faults::{Change, Faults, HostRule};
use hosts::{HostFaults, HostLimits, HostSpec, Hosts};
pub use puppets::PuppetFaults;
use puppets::Puppets;

/// How a sandbox behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long after its launch an instance begins to answer SSH.
    pub boot_time: Duration,
    /// How long an instance stays `pending`, and `shutting-down`.
    pub transition: Duration,
    /// Hosts that only pretend, with what goes wrong with them, in place of real ones: SSH and SFTP are
    /// spoken, but nothing is executed.
    pub puppets: Option<PuppetFaults>,
    /// What goes wrong on purpose.
    pub faults: ec2::Faults,
    /// The time that everything in it goes by; the real time unless it is moved.
    pub clock: Clock,
    /// What goes wrong with every host on purpose; [`Sandbox::set_host_faults`] for single ones.
    pub host_faults: HostFaults,
    /// What each host may use of the machine.
    pub host_limits: HostLimits,
    /// Whether every call is recorded, see [`Sandbox::calls`].
    pub record_calls: bool,
    /// How long to wait while another process has the project's sandbox open.
    pub lock_wait: Duration,
    /// The port of 127.0.0.1 on which the endpoint listens; 0 for any that is free.
    pub port: u16,
    /// The port on which all its hosts answer SSH; 0 for any that is free.
    pub ssh_port: u16,
    /// How many instances may live at once; none for as many as the memory of this machine holds.
    pub limit: Option<u32>,
    /// Whether other processes may use it while it runs, see [`Sandbox::attach`].
    pub shared: bool,
    /// Whether requests must be signed with the secret of [`Access`]; otherwise any signature will do.
    pub check_signatures: bool,
    /// How long a resource that was just made is not yet seen, see
    /// [`ec2::Options::consistency_delay`].
    pub consistency_delay: Duration,
}

/// How often a sandbox that another process has open is tried again.
const INTERVAL: Duration = Duration::from_millis(50);
/// Where a project's sandbox keeps everything.
pub const FOLDER: &str = ".spot/sandbox";

impl Default for Options {
    fn default() -> Self {
        Options {
            boot_time: Duration::from_millis(800),
            transition: Duration::from_millis(300),
            puppets: None,
            faults: ec2::Faults::default(),
            clock: Clock::default(),
            host_faults: HostFaults::default(),
            host_limits: HostLimits::default(),
            record_calls: false,
            lock_wait: Duration::ZERO,
            port: 0,
            ssh_port: 0,
            limit: None,
            shared: false,
            check_signatures: false,
            consistency_delay: Duration::ZERO,
        }
    }
}

/// How a sandbox is reached.
#[derive(Debug, Clone)]
pub struct Access {
    /// The URL of the EC2 endpoint.
    pub url: String,
    /// An access key that it accepts.
    pub access_key: String,
    /// The secret of that key; unless [`Options::check_signatures`] is set, any signature will do.
    pub secret_key: String,
    /// A region that it has.
    pub region: String,
    /// The port on which its instances answer SSH.
    pub ssh_port: u16,
    /// Where the state of its fleet lives, apart from the project's real one.
    pub state_folder: PathBuf,
}

/// A running sandbox. One that was started here ends when this is dropped, and its files stay; one
/// that another process runs goes on.
pub struct Sandbox {
    access: Access,
    control: Control,
    /// None for one that another process runs.
    running: Option<Running>,
}

/// A sandbox in this process.
struct Running {
    log: CallLog,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
    /// The folder in which it says how it is reached, if it does.
    published: Option<PathBuf>,
}

impl Sandbox {
    /// Starts the sandbox of a project.
    ///
    /// # Errors
    /// `SandboxUnavailable` when this machine cannot isolate the hosts, with the reason;
    /// [`Locked`](crate::Kind::Locked) when another process has it open, for longer than
    /// [`Options::lock_wait`];
    /// [`Internal`](crate::Kind::Internal) when loopback addresses cannot be used.
    pub fn start(project: &Path) -> Result<Self> {
        Self::start_with(project, Options::default())
    }

    /// Starts the sandbox of a project with options.
    ///
    /// # Errors
    /// As [`Sandbox::start`].
    pub fn start_with(project: &Path, options: Options) -> Result<Self> {
        // A host that could not be isolated would run nothing: better to say so before there is one.
        if options.puppets.is_none() {
            hosts::available()?;
        }
        let folder = private_folder(project)?;
        let ssh_port = if options.ssh_port == 0 { free_port()? } else { options.ssh_port };
        let shared = options.shared;
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = sync_channel(1);
        let cloud = folder.clone();
        let thread = std::thread::Builder::new()
            .name("spot-sandbox".to_owned())
            .spawn(move || serve(cloud, ssh_port, options, ready, stopped))
            .map_err(|error| failed("start its thread", error))?;
        let (url, log) =
            started.recv().map_err(|_| Error::internal("the sandbox ended while it started"))??;
        let control = Control::at(&url)?;
        let access = Access {
            url,
            access_key: "sandbox".to_owned(),
            secret_key: "sandbox".to_owned(),
            region: "us-east-1".to_owned(),
            ssh_port,
            state_folder: folder,
        };
        let published = shared.then(|| access.state_folder.clone());
        let running = Some(Running { log, stop, thread, published });
        let sandbox = Sandbox { access, control, running };
        if shared {
            published::publish(&sandbox.access)?;
        }
        Ok(sandbox)
    }

    /// The sandbox of a project that another process runs, such as `spot sandbox start`, if there is one
    /// that wants to be used ([`Options::shared`]).
    ///
    /// # Errors
    /// When the project's folder cannot be read.
    pub fn attach(project: &Path) -> Result<Option<Self>> {
        let project = project.canonicalize().map_err(|error| failed("find the project's folder", error))?;
        let Some(access) = published::find(&project.join(FOLDER)) else { return Ok(None) };
        let control = Control::at(&access.url)?;
        Ok(Some(Sandbox { access, control, running: None }))
    }

    /// Asks something of the sandbox itself.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Takes a spot instance back, as AWS does when it needs the capacity: a rebalance recommendation
    /// now, a notice now with the end after `notice`, or both. `POST /_sandbox/interrupt` does the same.
    ///
    /// # Errors
    /// The code of EC2 when there is no such living spot instance; internal when the sandbox does not
    /// answer.
    pub fn interrupt(&self, instance: &str, rebalance: bool, notice: Option<Duration>) -> Result<()> {
        let mut body = serde_json::json!({ "instance_id": instance, "rebalance": rebalance });
        if let Some(notice) = notice {
            body["seconds"] = serde_json::json!(notice.as_secs_f64());
        }
        self.control.post("/_sandbox/interrupt", &body).map(|_| ())
    }

    /// Puts a network interface of another service of AWS into a subnet, such as a load balancer's
    /// (`requester` `amazon-elb`): it holds the subnet, and only [`Sandbox::release`] removes it. Answers
    /// its id. `POST /_sandbox/hold` does the same.
    ///
    /// # Errors
    /// The code of EC2 when there is no such subnet or no address left in it; internal when the sandbox
    /// does not answer.
    pub fn hold(&self, subnet: &str, description: &str, requester: &str) -> Result<String> {
        let body =
            serde_json::json!({ "subnet_id": subnet, "description": description, "requester": requester });
        let answer = self.control.post("/_sandbox/hold", &body)?;
        let id = answer.get("network_interface_id").and_then(serde_json::Value::as_str);
        Ok(id.unwrap_or_default().to_owned())
    }

    /// Removes an interface that [`Sandbox::hold`] made.
    ///
    /// # Errors
    /// The code of EC2 when there is no such interface; internal when the sandbox does not answer.
    pub fn release(&self, interface: &str) -> Result<()> {
        let body = serde_json::json!({ "network_interface_id": interface });
        self.control.post("/_sandbox/release", &body).map(|_| ())
    }

    /// Sets its clock ahead: everything that is due then has happened when this returns.
    ///
    /// # Errors
    /// For more than a year; internal when the sandbox does not answer.
    pub fn advance(&self, by: Duration) -> Result<()> {
        self.control.post("/_sandbox/clock", &serde_json::json!({ "advance": by.as_secs_f64() })).map(drop)
    }

    /// Makes its clock run so many times as fast as the real time; 0 makes it stand still.
    ///
    /// # Errors
    /// For anything but 0 to 100 000; internal when the sandbox does not answer.
    pub fn set_speed(&self, speed: f64) -> Result<()> {
        self.control.post("/_sandbox/clock", &serde_json::json!({ "speed": speed })).map(drop)
    }

    /// The faults in force; their seed is the one to replay them with, also if it was drawn.
    ///
    /// # Errors
    /// Internal when the sandbox does not answer.
    pub fn faults(&self) -> Result<Faults> {
        faults_told(self.control.get("/_sandbox/faults")?)
    }

    /// Puts other faults into force. Rules about hosts count for those that boot from now on.
    ///
    /// # Errors
    /// Internal when the sandbox does not answer.
    pub fn set_faults(&self, faults: &Faults) -> Result<()> {
        let wanted = serde_json::to_value(faults)
            .map_err(|error| Error::internal("cannot encode the faults").with_source(error))?;
        self.control.put("/_sandbox/faults", &wanted).map(drop)
    }

    /// Changes what goes wrong, while all else stays in force. `POST /_sandbox/faults` does the same.
    /// Answers what is in force then.
    ///
    /// # Errors
    /// Saying what is wrong with the change; internal when the sandbox does not answer.
    pub fn change_faults(&self, change: &Change) -> Result<Faults> {
        let wanted = serde_json::to_value(change)
            .map_err(|error| Error::internal("cannot encode the faults").with_source(error))?;
        faults_told(self.control.post("/_sandbox/faults", &wanted)?)
    }

    /// What goes wrong with the host of an instance now. `GET /_sandbox/hosts/i-…` does the same.
    ///
    /// # Errors
    /// When there is no such running host; internal when the sandbox does not answer.
    pub fn host_faults(&self, instance: &str) -> Result<HostFaults> {
        serde_json::from_value(self.control.get(&format!("/_sandbox/hosts/{instance}"))?)
            .map_err(|error| Error::internal("the faults of a host cannot be read").with_source(error))
    }

    /// Makes things go wrong with the host of an instance, from now on, in place of what did before.
    /// `POST /_sandbox/host` with `{"instance_id": "i-…", "faults": {…}}` does the same.
    ///
    /// # Errors
    /// When there is no such running host, or a fault is not possible; internal when the sandbox does not
    /// answer.
    pub fn set_host_faults(&self, instance: &str, faults: &HostFaults) -> Result<()> {
        let body = serde_json::json!({ "instance_id": instance, "faults": faults });
        self.control.post("/_sandbox/host", &body).map(|_| ())
    }

    /// What the stand-ins on the host of an instance (`sudo`, `systemctl`, `apt-get`, …) were asked for so
    /// far, a JSON object per line, see [`Hosts::commands`](hosts::Hosts::commands).
    /// `GET /_sandbox/hosts/i-…/commands` does the same.
    ///
    /// # Errors
    /// When there is no such running host; internal when the sandbox does not answer.
    pub fn host_commands(&self, instance: &str) -> Result<String> {
        self.control.text(&format!("/_sandbox/hosts/{instance}/commands"))
    }

    /// Everything that its account has, but the default network of each region. `GET
    /// /_sandbox/inventory` tells it too.
    ///
    /// # Errors
    /// Internal when the sandbox does not answer.
    pub fn inventory(&self) -> Result<Vec<Holding>> {
        serde_json::from_value(self.control.get("/_sandbox/inventory")?)
            .map_err(|error| Error::internal("the sandbox tells no inventory").with_source(error))
    }

    /// The calls that its endpoint has answered so far; none unless [`Options::record_calls`] is set and
    /// it was started here.
    pub fn calls(&self) -> Vec<RecordedCall> {
        self.running.as_ref().map(|running| running.log.all()).unwrap_or_default()
    }

    /// How many calls its endpoint has answered so far; 0 where [`Sandbox::calls`] has none.
    pub fn call_count(&self) -> usize {
        self.running.as_ref().map_or(0, |running| running.log.count())
    }

    /// How it is reached.
    pub fn access(&self) -> &Access {
        &self.access
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let Some(running) = self.running.take() else { return };
        // Nobody is to find a sandbox that is about to end.
        if let Some(folder) = &running.published {
            published::withdraw(folder);
        }
        // The thread is gone when nobody listens.
        let _ = running.stop.send(());
        let _ = running.thread.join();
    }
}

/// The life of a sandbox, on a thread and a runtime of its own: it may be started and dropped inside
/// another runtime.
fn serve(
    folder: PathBuf,
    ssh_port: u16,
    options: Options,
    ready: SyncSender<Result<(String, CallLog)>>,
    stopped: oneshot::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("spot-sandbox")
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = ready.send(Err(failed("start its threads", error)));
            return;
        }
    };
    runtime.block_on(async {
        let hosts = Hosts::new(runtime.handle().clone());
        let faults = options.faults.seeded();
        let machines = Arc::new(Fleet {
            hosts: hosts.clone(),
            folder: folder.join("hosts"),
            ssh_port,
            boot_time: options.boot_time,
            clock: options.clock.clone(),
            limits: options.host_limits,
            faults: options.host_faults,
            expected: RwLock::new(Expected::of(&faults)),
            booted: AtomicU64::new(0),
        });
        let puppets =
            options.puppets.map(|faults| Arc::new(Puppets::new(ssh_port, options.boot_time, faults)));
        let machines: Arc<dyn Machines> = match &puppets {
            Some(puppets) => puppets.clone(),
            None => machines,
        };
        let settings = ec2::Options {
            pending: options.transition,
            status_checks: options.transition,
            shutting_down: options.transition,
            faults,
            record: options.record_calls,
            clock: options.clock,
            port: options.port,
            limit: options.limit.unwrap_or_else(limit::of_machine),
            check_signatures: options.check_signatures,
            consistency_delay: options.consistency_delay,
            ..ec2::Options::new(folder)
        };
        match open(settings, machines, options.lock_wait).await {
            Ok(endpoint) => {
                if ready.send(Ok((endpoint.url(), endpoint.log()))).is_ok() {
                    // An error means that the owner is gone, which also ends it.
                    let _ = stopped.await;
                }
                endpoint.shutdown().await;
            }
            Err(error) => {
                let _ = ready.send(Err(error));
            }
        }
        hosts.shutdown().await;
        if let Some(puppets) = puppets {
            puppets.shutdown();
        }
    });
    runtime.shutdown_background();
}

/// Starts the endpoint, as soon as no other process has its files open.
async fn open(settings: ec2::Options, machines: Arc<dyn Machines>, wait: Duration) -> Result<Endpoint> {
    let begin = Instant::now();
    loop {
        match Endpoint::start(settings.clone(), Arc::clone(&machines)).await {
            Err(error) if error.kind() == Kind::Locked && begin.elapsed() < wait => {
                tokio::time::sleep(INTERVAL).await;
            }
            result => return result,
        }
    }
}

/// The instances of the endpoint as hosts.
struct Fleet {
    hosts: Hosts,
    folder: PathBuf,
    ssh_port: u16,
    boot_time: Duration,
    clock: Clock,
    limits: HostLimits,
    faults: HostFaults,
    expected: RwLock<Expected>,
    /// How many hosts have been booted.
    booted: AtomicU64,
}

/// What the faults in force say of hosts that boot.
struct Expected {
    rules: Vec<HostRule>,
    seed: u64,
}

impl Expected {
    fn of(faults: &Faults) -> Self {
        Expected { rules: faults.hosts.clone(), seed: faults.seed.unwrap_or_default() }
    }
}

impl Fleet {
    /// What goes wrong with the host of this number.
    fn fate(&self, number: u64, machine: &Machine) -> HostFaults {
        let expected = self.expected.read().unwrap_or_else(PoisonError::into_inner);
        let (zone, kind) = (&machine.zone, &machine.instance_type);
        let rule = expected.rules.iter().find(|rule| rule.applies(expected.seed, number, zone, kind));
        rule.map_or(&self.faults, |rule| &rule.faults).clone()
    }
}

#[async_trait]
impl Machines for Fleet {
    async fn boot(&self, machine: Machine) -> Result<()> {
        let number = self.booted.fetch_add(1, Ordering::Relaxed);
        let faults = self.fate(number, &machine);
        let spec = HostSpec {
            folder: self.folder.join(&machine.id),
            id: machine.id,
            address: machine.address,
            port: self.ssh_port,
            private_ip: machine.private_ip,
            user: "ubuntu".to_owned(),
            region: machine.region,
            zone: machine.zone,
            instance_type: machine.instance_type,
            image_id: machine.image_id,
            authorized_keys: machine.authorized_keys,
            user_data: machine.user_data,
            boot_time: self.boot_time,
            launched: machine.launched,
            clock: self.clock.clone(),
            metadata_tags: machine.metadata_tags,
            metadata_v1: machine.metadata_v1,
            limits: self.limits.clone(),
            faults,
        };
        self.hosts.boot(spec).await
    }

    async fn warn(&self, id: &str, warning: Warning) -> Result<()> {
        let time = |at: SystemTime| {
            let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
            jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX).to_string()
        };
        match warning {
            Warning::Rebalance(at) => {
                let text = serde_json::json!({ "noticeTime": time(at) }).to_string();
                self.hosts.tell(id, "events/recommendations/rebalance", Some(&text)).await
            }
            Warning::Termination(at) => {
                let text = serde_json::json!({ "action": "terminate", "time": time(at) }).to_string();
                self.hosts.tell(id, "spot/termination-time", Some(&time(at))).await?;
                self.hosts.tell(id, "spot/instance-action", Some(&text)).await
            }
        }
    }

    async fn stop(&self, id: &str) -> Result<()> {
        match self.hosts.halt(id).await {
            // Not booted in this process: it does not run.
            Err(error) if error.kind() == Kind::Usage => Ok(()),
            result => result,
        }
    }

    async fn power_offs(&self) -> Vec<(String, String)> {
        self.hosts.power_offs().await
    }

    async fn spoil(&self, id: &str, faults: serde_json::Value) -> Result<()> {
        let refused = |error: serde_json::Error| Error::usage(error.to_string());
        let faults = if faults.is_array() {
            let mut all = HostFaults::default();
            for text in serde_json::from_value::<Vec<String>>(faults).map_err(refused)? {
                all.add_short(&text)?;
            }
            all
        } else {
            serde_json::from_value(faults).map_err(refused)?
        };
        self.hosts.set_faults(id, faults).await
    }

    async fn spoilt(&self, id: &str, all: bool) -> Result<serde_json::Value> {
        let faults = self.hosts.faults(id)?;
        if !all {
            return Ok(faults.unusual().into());
        }
        serde_json::to_value(faults)
            .map_err(|error| Error::internal("cannot encode the faults of a host").with_source(error))
    }

    fn expect(&self, faults: &Faults) {
        *self.expected.write().unwrap_or_else(PoisonError::into_inner) = Expected::of(faults);
    }

    async fn console(&self, id: &str) -> String {
        self.hosts.console(id)
    }

    async fn commands(&self, id: &str) -> Result<String> {
        self.hosts.commands(id).await
    }

    async fn remove(&self, id: &str) -> Result<()> {
        match self.hosts.remove(id).await {
            // Not booted in this process: the removal that an earlier one did not complete.
            Err(error) if error.kind() == Kind::Usage => {
                match std::fs::remove_dir_all(self.folder.join(id)) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        Err(failed("remove a host", error))
                    }
                    _ => Ok(()),
                }
            }
            result => result,
        }
    }
}

fn faults_told(told: serde_json::Value) -> Result<Faults> {
    serde_json::from_value(told)
        .map_err(|error| Error::internal("the sandbox's faults cannot be read").with_source(error))
}

fn failed(doing: &str, error: std::io::Error) -> Error {
    Error::internal(format!("the sandbox could not {doing}")).with_source(error)
}

/// Removes everything of a project's sandbox: its instances, their files, and the state of its runs. One
/// that is not there is no error.
///
/// # Errors
/// [`Locked`](crate::Kind::Locked) when somebody works in it; [`Internal`](crate::Kind::Internal) when
/// something cannot be deleted.
pub fn remove(project: &Path) -> Result<()> {
    let project = project.canonicalize().map_err(|error| failed("find the project's folder", error))?;
    let folder = project.join(FOLDER);
    if !folder.exists() {
        return Ok(());
    }
    let _lock = ec2::lock(&folder)?;
    hosts::delete(&folder).map_err(|error| failed(&format!("delete {}", folder.display()), error))
}

/// The project's `.spot/sandbox/`, for its owner only; made if it is not there.
///
/// # Errors
/// [`Internal`](crate::Kind::Internal) when it cannot be made.
pub fn private_folder(project: &Path) -> Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt;
    let project = project.canonicalize().map_err(|error| failed("find the project's folder", error))?;
    let folder = project.join(FOLDER);
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .map_err(|error| failed(&format!("make {}", folder.display()), error))?;
    let ignore = project.join(".spot").join(".gitignore");
    if !ignore.exists() {
        std::fs::write(&ignore, "*\n")
            .map_err(|error| failed(&format!("write {}", ignore.display()), error))?;
    }
    Ok(folder)
}

/// A port that is free on loopback now; the hosts share it, each on an address of its own.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
    let address = listener.and_then(|listener| listener.local_addr());
    Ok(address.map_err(|error| failed("find a free port", error))?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_gets_the_sandbox_when_the_other_ends() {
        let folder = tempfile::tempdir().unwrap();
        let first = Sandbox::start(folder.path()).unwrap();
        assert_eq!(Sandbox::start(folder.path()).err().map(|error| error.kind()), Some(Kind::Locked));
        let begin = Instant::now();
        let start =
            |lock_wait| Sandbox::start_with(folder.path(), Options { lock_wait, ..Options::default() });
        let wait = Duration::from_millis(200);
        let late = start(wait);
        assert_eq!(late.err().map(|error| error.kind()), Some(Kind::Locked));
        assert!(begin.elapsed() >= wait);
        let patient = std::thread::scope(|scope| {
            let second = scope.spawn(move || start(Duration::from_secs(60)).map(drop));
            drop(first);
            second.join().unwrap()
        });
        assert!(patient.is_ok(), "{patient:?}");
    }
}
