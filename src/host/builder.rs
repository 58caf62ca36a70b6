//! Describes a [`Host`] before it is made.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{Failure, Host};
use crate::cloud::plan::{Mode, Observer};
use crate::cloud::{Cloud, Endpoint, Keys, Names};
use crate::control::Control;
use crate::error::Error;
use crate::native::{Context, Deployment, OnFailure, Place, Planning, Store};
use crate::sandbox::Sandbox;
use crate::ui::{Silent, Ui};

/// What a host works on and with; every part has a default.
#[derive(Default)]
pub struct HostBuilder {
    project: Option<PathBuf>,
    config: Option<PathBuf>,
    state: Option<PathBuf>,
    deployment: Option<String>,
    user: Option<PathBuf>,
    endpoint: Endpoint,
    ssh_port: Option<u16>,
    control: Option<Control>,
    ui: Option<Arc<dyn Ui>>,
    allowed: Vec<PathBuf>,
    lock_wait: Option<Duration>,
    cloud: Option<Arc<dyn Cloud>>,
    mode: Mode,
    observer: Option<Observer>,
    time_scale: Option<f64>,
    on_failure: Option<OnFailure>,
}

impl HostBuilder {
    /// The project's folder; the current folder unless said otherwise.
    #[must_use]
    pub fn project(mut self, folder: impl Into<PathBuf>) -> Self {
        self.project = Some(folder.into());
        self
    }

    /// The configuration file; otherwise `spot.toml` or `config.yaml` of the project.
    #[must_use]
    pub fn config(mut self, file: impl Into<PathBuf>) -> Self {
        self.config = Some(file.into());
        self
    }

    /// The deployment of the project to work on, each with a state of its own; otherwise the one that the
    /// configuration names, and otherwise the default one, `default`.
    #[must_use]
    pub fn deployment(mut self, name: impl Into<String>) -> Self {
        self.deployment = Some(name.into());
        self
    }

    /// The user's configuration folder, with `recipes/` and `stdlib/` of their own.
    #[must_use]
    pub fn user_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.user = Some(folder.into());
        self
    }

    /// The AWS profile of the usual configuration files.
    #[must_use]
    pub fn profile(mut self, profile: impl Into<String>) -> Self {
        self.endpoint.profile = Some(profile.into());
        self
    }

    /// The region for calls that belong to none, such as the question who is calling.
    #[must_use]
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.endpoint.region = Some(region.into());
        self
    }

    /// The URL of an EC2-compatible endpoint.
    #[must_use]
    pub fn endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.endpoint.url = Some(url.into());
        self
    }

    /// Where the cloud is and who calls, in place of what the other methods and the environment say.
    #[must_use]
    pub fn endpoint(mut self, endpoint: Endpoint) -> Self {
        self.endpoint = endpoint;
        self
    }

    /// Works in a sandbox: its cloud, its hosts, and a state apart from the project's real one.
    #[must_use]
    pub fn sandbox(mut self, sandbox: &Sandbox) -> Self {
        let access = sandbox.access();
        self.endpoint = Endpoint {
            url: Some(access.url.clone()),
            keys: Some(Keys { access_key: access.access_key.clone(), secret_key: access.secret_key.clone() }),
            profile: None,
            region: self.endpoint.region,
            names: Some(names(sandbox)),
            listener: self.endpoint.listener,
        };
        self.ssh_port = Some(access.ssh_port);
        self.control = Some(sandbox.control().clone());
        self.state = Some(access.state_folder.clone());
        self
    }

    /// A cloud of your own in place of EC2.
    #[must_use]
    pub fn cloud(mut self, cloud: Arc<dyn Cloud>) -> Self {
        self.cloud = Some(cloud);
        self
    }

    /// Who consumes the events and answers the questions; nobody unless said otherwise.
    #[must_use]
    pub fn ui(mut self, ui: Arc<dyn Ui>) -> Self {
        self.ui = Some(ui);
        self
    }

    /// A folder outside the project that recipes may read and write.
    #[must_use]
    pub fn allow(mut self, folder: impl Into<PathBuf>) -> Self {
        self.allowed.push(folder.into());
        self
    }

    /// How long to wait while another run holds the project's state; 30 seconds by default.
    #[must_use]
    pub fn lock_wait(mut self, wait: Duration) -> Self {
        self.lock_wait = Some(wait);
        self
    }

    /// What becomes of calls that change something: made (unless said otherwise), refused, or planned.
    ///
    /// A plan changes nothing: what a recipe would do is told in [`Event`](crate::ui::Event)s, the
    /// state is a copy that is thrown away, and the recipe goes on with placeholders.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Who is told of every call that changes something in EC2, before it is made or in its place.
    #[must_use]
    pub fn observer(mut self, observer: Observer) -> Self {
        self.observer = Some(observer);
        self
    }

    /// What becomes of what a run has made when it fails or is interrupted, whatever the recipe and
    /// the configuration say. Unless somebody says something, it stays.
    #[must_use]
    pub fn on_failure(mut self, policy: OnFailure) -> Self {
        self.on_failure = Some(policy);
        self
    }

    /// Shortens every pause, time-out and wait for hosts and cloud to so many times what it is: for
    /// rehearsals of what takes minutes. Expects a finite number above 0.
    #[doc(hidden)]
    #[must_use]
    pub fn time_scale(mut self, factor: f64) -> Self {
        self.time_scale = Some(factor);
        self
    }

    /// The state that the host would work on, to be looked at without a run. Nothing is connected and
    /// nothing is written yet.
    ///
    /// # Errors
    /// An impossible name of a deployment, or a configuration that does not say where the state is.
    pub fn store(self) -> Result<Store, Failure> {
        let project = self.folder()?;
        let home = self.state.clone().unwrap_or_else(|| project.clone());
        let deployment =
            Deployment::choose(&project, self.config.as_deref(), &home, self.deployment.as_deref())?;
        let ui = self.ui.unwrap_or_else(|| Arc::new(Silent));
        Ok(deployment.store(&self.endpoint, self.mode == Mode::Act, &ui))
    }

    fn folder(&self) -> Result<PathBuf, Error> {
        match &self.project {
            Some(project) => Ok(project.clone()),
            None => std::env::current_dir()
                .map_err(|error| Error::usage("the current folder cannot be read").with_source(error)),
        }
    }

    /// Makes the host. Nothing is connected and nothing is written yet.
    ///
    /// # Errors
    /// A project folder that does not exist, an impossible name of a deployment, or a stdlib module that does not compile.
    pub fn build(self) -> Result<Host, Failure> {
        let project = self.folder()?;
        if !project.is_dir() {
            return Err(Error::usage(format!("there is no project folder {}", project.display())).into());
        }
        if self.mode.is_plan() && self.cloud.is_some() {
            return Err(
                Error::usage("a cloud of one's own cannot be planned: calls are seen in EC2 only").into()
            );
        }
        let time_scale = self.time_scale.unwrap_or(1.0);
        if !(time_scale.is_finite() && time_scale > 0.0 && time_scale <= 1000.0) {
            return Err(
                Error::usage(format!("time scale: expected a number above 0, found {time_scale}")).into()
            );
        }
        let home = self.state.unwrap_or_else(|| project.clone());
        let deployment =
            Deployment::choose(&project, self.config.as_deref(), &home, self.deployment.as_deref())?;
        let (planning, state) = Planning::new(self.mode, self.observer, &deployment.folder)?;
        let place = Place {
            state,
            deployment: deployment.name,
            shared: deployment.shared,
            planning: Arc::new(planning),
            project,
            config: self.config,
            endpoint: self.endpoint,
            ssh_port: self.ssh_port,
            sandbox: self.control,
            allowed: self.allowed,
            lock_wait: self.lock_wait,
            user: self.user,
            cloud: self.cloud,
            time_scale,
            on_failure: self.on_failure,
        };
        Host::new(Context::new(place, self.ui.unwrap_or_else(|| Arc::new(Silent))))
    }
}

/// How long a sandbox may take to say whether a name resolves, before it is taken to do so.
const NAME_TIMEOUT: Duration = Duration::from_secs(5);

/// The names of a sandbox's endpoint: all lead to this machine, unless the sandbox lets some not resolve.
fn names(sandbox: &Sandbox) -> Names {
    let control = sandbox.control().clone().patience(NAME_TIMEOUT);
    Names::new(move |name| {
        let told = control.get(&format!("/_sandbox/resolve?name={name}"));
        match told.ok().as_ref().and_then(|told| told.get("address")) {
            Some(address) if address.is_null() => {
                Err(Error::aws(format!("the name {name} does not resolve")).retryable(true))
            }
            // A sandbox that does not answer is found out by the connection.
            _ => Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        }
    })
}
