//! `spot sandbox start`: runs the project's sandbox for other commands and tools.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::super::options::Options;
use super::env;
use crate::error::{Error, Kind, Result};
use crate::host::Failure;
use crate::sandbox::clock;
use crate::sandbox::faults::Faults;
use crate::sandbox::hosts::HostLimits;
use crate::sandbox::{self, Sandbox};
use crate::ui::{Event, Level, Ui};

/// How often it is looked whether a sandbox in the background has started.
const INTERVAL: Duration = Duration::from_millis(30);
/// How long one in the background may take to start: a large fleet comes back with it.
const PATIENCE: Duration = Duration::from_secs(300);
/// What one in the background prints; below the sandbox's folder.
const LOG: &str = "sandbox.log";

const EXAMPLES: &str = "\
Examples:
  spot sandbox start                            until Ctrl-C; `spot --sandbox …` elsewhere uses it
  eval \"$(spot sandbox start --detach)\"         in the background, and this shell's tools use it
  spot sandbox start --port 4566                at a place that others know
  spot sandbox start --fault throttle=0.2       a fifth of the calls is throttled
  spot sandbox start --boot-time 30             hosts that need half a minute, as EC2's do
  spot sandbox start --speed 60                 a minute of its clock each second
  spot sandbox start --check-signatures         requests must be signed with its secret, as EC2 wants
  spot sandbox start --disk 100M                hosts whose disk holds no more

Exit codes: 0 it ran (with --detach: runs); 2 the command line is wrong, or this machine cannot isolate
hosts; 4 it runs already";

/// The command line of `spot sandbox start`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in super::super) struct Start {
    /// Run in the background; spot sandbox stop ends it
    #[arg(long)]
    detach: bool,
    /// The port of the endpoint on 127.0.0.1 [default: any that is free]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// The port on which its hosts answer SSH [default: any that is free]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    ssh_port: Option<u16>,
    /// Seconds until a launched host answers SSH
    #[arg(long, value_name = "SECONDS", value_parser = super::amount::time)]
    boot_time: Option<Duration>,
    /// How many times as fast as the real time its clock goes, 0 to 100000
    #[arg(long, value_name = "N", value_parser = speed)]
    speed: Option<f64>,
    /// Refuse requests that are not signed with the secret that spot sandbox env shows, at the right time
    #[arg(long)]
    check_signatures: bool,
    /// How much the disk of each host holds, such as 512M or 4G [default: 2G]
    #[arg(long, value_name = "SIZE", value_parser = super::amount::size)]
    disk: Option<u64>,
    /// This process is the one in the background
    #[arg(long, hide = true, conflicts_with = "detach")]
    background: bool,
}

impl Start {
    pub(super) fn run(&self, options: &Options, ui: &Arc<dyn Ui>) -> Result<u8, Failure> {
        if let Some(running) = Sandbox::attach(&options.project()?)? {
            let url = &running.access().url;
            return Err(Error::new(
                Kind::Locked,
                format!("the sandbox of this project runs already, at {url}"),
            )
            .with_hint("spot sandbox env shows how to use it, spot sandbox stop ends it")
            .into());
        }
        if self.detach {
            // What is wrong with them is said here rather than in a log.
            options.rehearsal.read()?;
            return self.in_background(options, ui);
        }
        if self.background {
            // Nothing that happens at the terminal is for it any more.
            nix::unistd::setsid().map_err(|error| {
                Error::internal("the sandbox cannot leave its terminal").with_source(error)
            })?;
        }
        let ends = Ends::watch()?;
        let project = options.project()?;
        let faults = options.rehearsal.read()?;
        options.rehearsal.record(&faults, &sandbox::private_folder(&project)?, ui)?;
        let sandbox = Sandbox::start_with(&project, self.settings(options, faults)?)?;
        env::show(&sandbox, options, ui);
        let text = format!("the sandbox runs at {}; Ctrl-C ends it", sandbox.access().url);
        ui.emit(Event::message(Level::Success, text));
        ends.wait();
        ui.emit(Event::message(Level::Info, "ending the sandbox; its instances and files stay"));
        drop(sandbox);
        Ok(0)
    }

    fn settings(&self, options: &Options, faults: Faults) -> Result<sandbox::Options> {
        let usual = sandbox::Options::default();
        if let Some(speed) = self.speed {
            usual.clock.set_speed(speed)?;
        }
        let host_limits = match self.disk {
            Some(disk) => HostLimits { disk, ..usual.host_limits.clone() },
            None => usual.host_limits.clone(),
        };
        Ok(sandbox::Options {
            boot_time: self.boot_time.unwrap_or(usual.boot_time),
            faults,
            limit: options.rehearsal.sandbox_hosts,
            record_calls: true,
            lock_wait: Duration::from_secs(options.lock_timeout),
            port: self.port.unwrap_or(usual.port),
            ssh_port: self.ssh_port.unwrap_or(usual.ssh_port),
            shared: true,
            check_signatures: self.check_signatures,
            host_limits,
            ..usual
        })
    }

    /// Starts the same command line once more, in the background, and waits until it can be used.
    fn in_background(&self, options: &Options, ui: &Arc<dyn Ui>) -> Result<u8, Failure> {
        let project = options.project()?;
        let folder = sandbox::private_folder(&project)?;
        let path = folder.join(LOG);
        let failed =
            |error| Error::internal(format!("{} cannot be written", path.display())).with_source(error);
        let log = File::options()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        let mut child = spawn(log.try_clone().map_err(failed)?, log)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(sandbox) = Sandbox::attach(&project)? {
                env::show(&sandbox, options, ui);
                let url = &sandbox.access().url;
                let text = format!("the sandbox runs at {url}, in the background; spot sandbox stop ends it");
                ui.emit(Event::message(Level::Success, text));
                return Ok(0);
            }
            let ended = child
                .try_wait()
                .map_err(|error| Error::internal("the sandbox's process is lost").with_source(error))?;
            if let Some(status) = ended {
                let said = std::fs::read_to_string(&path).unwrap_or_default();
                let error = Error::usage(format!("the sandbox did not start:\n{}", said.trim()));
                return Err(if status.code() == Some(4) { error.with_code("Locked") } else { error }.into());
            }
            if Instant::now() > deadline {
                return Err(Error::new(Kind::Timeout, "the sandbox in the background does not answer")
                    .with_hint(format!("{} has what it said", path.display()))
                    .into());
            }
            std::thread::sleep(INTERVAL);
        }
    }
}

/// How fast a clock is to go.
pub(super) fn speed(text: &str) -> std::result::Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if (0.0..=clock::FASTEST).contains(&speed) => Ok(speed),
        _ => Err(format!("expected a number from 0 to {}", clock::FASTEST)),
    }
}

/// This process's command line again, for the background.
fn spawn(out: File, errors: File) -> Result<Child> {
    let failed = |error| Error::internal("spot cannot be started in the background").with_source(error);
    let words =
        std::env::args_os().skip(1).map(|word| if word == "--detach" { "--background".into() } else { word });
    Command::new(std::env::current_exe().map_err(failed)?)
        .args(words)
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(errors)
        .spawn()
        .map_err(failed)
}

/// The signals that end a sandbox.
struct Ends {
    runtime: tokio::runtime::Runtime,
    signals: [tokio::signal::unix::Signal; 3],
}

impl Ends {
    /// Catches them from now on.
    fn watch() -> Result<Ends> {
        let failed = |error| Error::internal("signals cannot be watched").with_source(error);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(failed)?;
        let guard = runtime.enter();
        let signals = [
            signal(SignalKind::interrupt()).map_err(failed)?,
            signal(SignalKind::terminate()).map_err(failed)?,
            signal(SignalKind::hangup()).map_err(failed)?,
        ];
        drop(guard);
        Ok(Ends { runtime, signals })
    }

    /// Waits for the first of them.
    fn wait(mut self) {
        let [interrupt, terminate, hangup] = &mut self.signals;
        self.runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
        });
    }
}
