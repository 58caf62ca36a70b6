//! Instances and their life.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::region::Tags;
use crate::sandbox::ec2::moment::Moment;
use crate::sandbox::ec2::{Lifecycle, Machine};

/// How long a terminated instance can still be described.
pub(in super::super) const REMEMBERED: Duration = Duration::from_secs(3600);

/// How long the parts of a life take.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Pace {
    /// From the launch until it runs.
    pub pending: Duration,
    /// From then until its status checks have passed.
    pub checks: Duration,
    /// From its end until it is terminated.
    pub shutting_down: Duration,
}

/// Where an instance is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in super::super) enum State {
    Pending,
    Running,
    ShuttingDown,
    Terminated,
    Stopping,
    Stopped,
}

impl State {
    /// EC2's word.
    pub fn name(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Running => "running",
            State::ShuttingDown => "shutting-down",
            State::Terminated => "terminated",
            State::Stopping => "stopping",
            State::Stopped => "stopped",
        }
    }

    /// EC2's number.
    pub fn code(self) -> u8 {
        match self {
            State::Pending => 0,
            State::Running => 16,
            State::ShuttingDown => 32,
            State::Terminated => 48,
            State::Stopping => 64,
            State::Stopped => 80,
        }
    }

    /// Whether it is on its way out or gone.
    pub fn ended(self) -> bool {
        matches!(self, State::ShuttingDown | State::Terminated)
    }

    /// Whether it is stopped, or just being so.
    pub fn stopped(self) -> bool {
        matches!(self, State::Stopping | State::Stopped)
    }
}

/// A virtual machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in super::super) struct Instance {
    pub id: String,
    pub reservation: String,
    /// Its place among those launched with it.
    pub launch_index: u32,
    pub image: String,
    #[serde(default = "usual_root_device")]
    pub root_device: String,
    pub kind: String,
    pub architecture: String,
    pub vpc: String,
    pub subnet: String,
    pub zone: String,
    pub zone_id: String,
    /// Ids of its security groups.
    pub groups: Vec<String>,
    pub interface: Interface,
    /// Ids of the volumes made with it.
    pub volumes: Vec<String>,
    /// Where its machine listens; told as the public address if `public`.
    pub address: Ipv4Addr,
    pub public: bool,
    pub private_ip: Ipv4Addr,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ipv6: Vec<Ipv6Addr>,
    pub key_name: Option<String>,
    /// OpenSSH lines of the key pair as it was at launch.
    pub authorized_keys: Vec<String>,
    /// Base64.
    pub user_data: Option<String>,
    pub client_token: Option<String>,
    pub spot_request: Option<String>,
    pub options: LaunchOptions,
    pub launched: Moment,
    pub state: State,
    /// Whether its status checks have passed.
    #[serde(default)]
    pub checked: bool,
    /// How AWS will take it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doom: Option<Doom>,
    /// Why and when it ended.
    pub ending: Option<Ending>,
    /// When it will shut itself down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_off: Option<PowerOff>,
    /// When it was stopped, and not started since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub halted: Option<Moment>,
}

/// The coming end of a spot instance by AWS's own will; what has been carried out is taken out.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(in super::super) struct Doom {
    /// When a rebalance recommendation is due.
    pub rebalance: Option<Moment>,
    /// When the notice is due.
    pub notice: Option<Moment>,
    /// When the instance ends.
    pub end: Option<Moment>,
}

impl Doom {
    /// When something is due next.
    pub fn next(&self) -> Option<Moment> {
        [self.rebalance, self.notice, self.end].into_iter().flatten().min()
    }
}

fn usual_root_device() -> String {
    "/dev/sda1".to_owned()
}

/// What a launch asked for that changes only descriptions.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(in super::super) struct LaunchOptions {
    pub ebs_optimized: bool,
    pub monitoring: bool,
    /// ARN of the instance profile.
    pub profile: Option<String>,
    /// `required` or `optional`.
    pub http_tokens: Option<String>,
    pub http_endpoint: Option<String>,
    pub hop_limit: Option<u32>,
    pub metadata_tags: Option<String>,
    /// `none` or `open`.
    pub capacity_reservation: Option<String>,
    /// Name of the placement group.
    pub placement_group: Option<String>,
    /// Whether `TerminateInstances` is refused.
    pub protected: bool,
    /// Whether it is terminated when it shuts itself down, as spot instances always are.
    pub ends_at_shutdown: bool,
}

/// An instance that has been told, inside, to shut itself down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct PowerOff {
    /// What it was told, word by word: the same again is no news.
    pub told: String,
    pub at: Moment,
    /// Whether it has been carried out: it is not again when the instance is started.
    #[serde(default)]
    pub done: bool,
}

/// The one network interface of an instance.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in super::super) struct Interface {
    pub id: String,
    pub attachment: String,
    pub mac: String,
    pub description: String,
}

/// The end of an instance.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in super::super) struct Ending {
    pub at: Moment,
    /// `Client.UserInitiatedShutdown`.
    pub code: String,
    pub message: String,
    /// Whether its machine has been removed too.
    pub removed: bool,
}

impl Instance {
    /// What the hosts need to know to start its machine; `tags` are those of the instance.
    pub fn machine(&self, region: &str, tags: Option<&Tags>) -> Machine {
        let tells_tags = self.options.metadata_tags.as_deref() == Some("enabled");
        Machine {
            id: self.id.clone(),
            address: self.address,
            private_ip: self.private_ip.to_string(),
            region: region.to_owned(),
            zone: self.zone.clone(),
            instance_type: self.kind.clone(),
            image_id: self.image.clone(),
            authorized_keys: self.authorized_keys.clone(),
            user_data: self.user_data.as_ref().and_then(|text| STANDARD.decode(text).ok()),
            launched: self.launched.time(),
            metadata_tags: tells_tags.then(|| tags.cloned().unwrap_or_default().into_iter().collect()),
            metadata_v1: self.options.http_tokens.as_deref() == Some("optional"),
        }
    }

    /// How it is paid for.
    pub fn lifecycle(&self) -> Lifecycle {
        if self.spot_request.is_some() { Lifecycle::Spot } else { Lifecycle::OnDemand }
    }

    /// The public address, while it has one.
    pub fn public_ip(&self) -> Option<Ipv4Addr> {
        let has = self.state != State::Terminated && !self.state.stopped();
        (self.public && has).then_some(self.address)
    }

    /// Whether it still has its network interface.
    pub fn attached(&self) -> bool {
        self.state != State::Terminated
    }

    /// Moves on to the state that the time since its launch or end calls for.
    pub fn settle(&mut self, now: Moment, pace: Pace) {
        let age = now.since(self.launched);
        self.checked = !self.state.stopped() && (self.checked || age >= pace.pending + pace.checks);
        match (&self.state, &self.ending) {
            (State::Pending, _) if age >= pace.pending => self.state = State::Running,
            (State::ShuttingDown, Some(ending)) if now.since(ending.at) >= pace.shutting_down => {
                self.state = State::Terminated;
            }
            (State::Stopping, _) if self.halted.is_none_or(|at| now.since(at) >= pace.shutting_down) => {
                self.state = State::Stopped;
            }
            _ => {}
        }
    }
}
