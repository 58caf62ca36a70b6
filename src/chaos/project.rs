//! The folder of a run, and the sandbox beside it.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::plan::{Plan, Settings};
use super::weather::Weather;
use crate::error::{Error, Result};
use crate::sandbox::ec2::Faults;
use crate::sandbox::{self, PuppetFaults, Sandbox};

/// How long a host takes to answer, and an instance from one state to the next: no longer than needed
/// to be seen.
const BOOT: Duration = Duration::from_millis(3);
const REAL_BOOT: Duration = Duration::from_millis(50);
const TRANSITION: Duration = Duration::from_millis(4);

/// What a run runs on its hosts besides the recipes that everybody has.
const UPTIME: &str = "//! Runs a command on every host.\n\n\
    for result in ssh::run(state::instances(), \"uptime\", #{ quiet: true, timeout: 5 }) {\n    \
        print(result.ok);\n\
    }\n";

/// A project in a temporary folder, with its cloud.
pub(super) struct Project {
    folder: TempDir,
    settings: Settings,
    real_hosts: bool,
    sandbox: Sandbox,
}

impl Project {
    /// Makes the project of a plan.
    pub fn new(plan: &Plan) -> Result<Project> {
        let folder = tempfile::Builder::new().prefix("spot-chaos-").tempdir().map_err(failed)?;
        let write = |path: &str, text: &str| std::fs::write(folder.path().join(path), text).map_err(failed);
        std::fs::create_dir_all(folder.path().join("recipes")).map_err(failed)?;
        write("recipes/uptime.rhai", UPTIME)?;
        if plan.settings.files {
            std::fs::create_dir_all(folder.path().join("deploy/files/below")).map_err(failed)?;
            write("deploy/files/one.txt", "one\n")?;
            write("deploy/files/below/two.txt", "two\n")?;
        }
        if plan.settings.setup {
            std::fs::create_dir_all(folder.path().join("deploy")).map_err(failed)?;
            write("deploy/setup.sh", "#!/bin/sh\necho done > /tmp/done\n")?;
            let mode = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(folder.path().join("deploy/setup.sh"), mode).map_err(failed)?;
        }
        let sandbox = start(folder.path(), plan.real_hosts, &plan.weather)?;
        let project =
            Project { folder, settings: plan.settings.clone(), real_hosts: plan.real_hosts, sandbox };
        project.configure()?;
        Ok(project)
    }

    /// Lets the same cloud go on without faults.
    pub fn calm(self) -> Result<Project> {
        let Project { folder, settings, real_hosts, sandbox } = self;
        drop(sandbox);
        let calm = Weather { cloud: Faults::default(), hosts: PuppetFaults::default() };
        let sandbox = start(folder.path(), real_hosts, &calm)?;
        let project = Project { folder, settings, real_hosts, sandbox };
        project.configure()?;
        Ok(project)
    }

    /// The project's folder, in which its state is too.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its cloud.
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    fn configure(&self) -> Result<()> {
        let text = spot_toml(&self.settings, self.sandbox.access().ssh_port);
        std::fs::write(self.folder().join("spot.toml"), text).map_err(failed)
    }
}

fn start(folder: &Path, real_hosts: bool, weather: &Weather) -> Result<Sandbox> {
    let options = sandbox::Options {
        boot_time: if real_hosts { REAL_BOOT } else { BOOT },
        transition: TRANSITION,
        faults: weather.cloud.clone(),
        puppets: (!real_hosts).then_some(weather.hosts),
        record_calls: true,
        lock_wait: Duration::from_secs(10),
        ..sandbox::Options::default()
    };
    Sandbox::start_with(folder, options)
}

fn failed(error: std::io::Error) -> Error {
    Error::internal("the folder of a chaos run cannot be written").with_source(error)
}

/// The configuration. Times are multiplied with the time scale of a run.
fn spot_toml(settings: &Settings, ssh_port: u16) -> String {
    let mut text = String::from("[project]\nname = \"chaos\"\n\n[fleet]\n");
    let mut line = |key: &str, value: String| {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{key} = {value}");
    };
    line("count", settings.count.to_string());
    line("regions", format!("{:?}", settings.regions));
    line("types", format!("{:?}", settings.types));
    line("market", format!("{:?}", if settings.on_demand { "on-demand" } else { "spot" }));
    if !settings.on_demand {
        line("on_demand_base", settings.on_demand_base.to_string());
        line("spot_percent", settings.spot_percent.to_string());
        line("on_demand_fallback", settings.on_demand_fallback.to_string());
    }
    line("strategy", format!("{:?}", settings.strategy));
    line("spread", format!("{:?}", settings.spread));
    line("\n[network]\ndedicated", settings.dedicated.to_string());
    if settings.ipv6 {
        line("ipv6", "true".to_owned());
    }
    line("\n[aws]\nattempts", settings.attempts.to_string());
    line("retry_timeout", "120".to_owned());
    line("\n[ssh]\nport", ssh_port.to_string());
    line("connect_timeout", "60".to_owned());
    line("wait_timeout", "120".to_owned());
    text
}
