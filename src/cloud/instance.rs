//! Instances: what they look like, how they are selected, waited for and ended.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize, Serializer};

use super::tags::{Owner, Tags};
use crate::error::Error;

/// The life cycle of an instance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceState {
    /// Being started.
    Pending,
    /// Started; the operating system may still be booting.
    Running,
    /// Being terminated.
    ShuttingDown,
    /// Gone for good; EC2 shows it for about an hour.
    Terminated,
    /// Being stopped.
    Stopping,
    /// Stopped; its volumes still cost money.
    Stopped,
    /// Not (yet) shown by EC2, or in a state that this version does not know.
    #[default]
    #[serde(other)]
    Unknown,
}

impl InstanceState {
    /// The states of instances that exist and may cost money.
    pub const ALIVE: [InstanceState; 4] =
        [InstanceState::Pending, InstanceState::Running, InstanceState::Stopping, InstanceState::Stopped];

    /// The word that EC2 uses.
    pub fn as_str(self) -> &'static str {
        match self {
            InstanceState::Pending => "pending",
            InstanceState::Running => "running",
            InstanceState::ShuttingDown => "shutting-down",
            InstanceState::Terminated => "terminated",
            InstanceState::Stopping => "stopping",
            InstanceState::Stopped => "stopped",
            InstanceState::Unknown => "unknown",
        }
    }

    /// The state that EC2's word stands for; [`InstanceState::Unknown`] for other words.
    pub fn from_word(word: &str) -> Self {
        match word {
            "pending" => InstanceState::Pending,
            "running" => InstanceState::Running,
            "shutting-down" => InstanceState::ShuttingDown,
            "terminated" => InstanceState::Terminated,
            "stopping" => InstanceState::Stopping,
            "stopped" => InstanceState::Stopped,
            _ => InstanceState::Unknown,
        }
    }

    /// Whether the instance is gone or on its way out and will never come back.
    pub fn is_ending(self) -> bool {
        matches!(self, InstanceState::ShuttingDown | InstanceState::Terminated)
    }
}

impl std::fmt::Display for InstanceState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How an instance is paid for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Market {
    /// Spare capacity, cheap, taken back with two minutes' notice. One-time: it is not restarted.
    #[default]
    Spot,
    /// The list price.
    OnDemand,
}

impl Market {
    /// The word that scripts and state see.
    pub fn as_str(self) -> &'static str {
        match self {
            Market::Spot => "spot",
            Market::OnDemand => "on-demand",
        }
    }
}

/// One instance, as EC2 describes it and as state and scripts see it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Instance {
    /// Its id, such as `i-0abc…`.
    pub id: String,
    /// The region it is in.
    pub region: String,
    /// The zone it is in.
    pub zone: String,
    /// Its type.
    #[serde(rename = "type")]
    pub instance_type: String,
    /// Its state.
    pub state: InstanceState,
    /// Why it is in this state, in EC2's words, if it says so.
    pub state_reason: Option<String>,
    /// What its status checks say: `ok`, `initializing`, `impaired`, …; known after a wait for them.
    pub status: Option<String>,
    /// Its public IPv4 address.
    pub public_ip: Option<String>,
    /// Its private IPv4 address.
    pub private_ip: Option<String>,
    /// When it was launched (RFC 3339).
    pub created: Option<String>,
    /// The image it was started from.
    pub ami: Option<String>,
    /// The VPC it is in.
    pub vpc_id: Option<String>,
    /// The subnet it is in.
    pub subnet_id: Option<String>,
    /// Its first security group.
    pub security_group_id: Option<String>,
    /// How it is paid for.
    pub market: Market,
    /// The spot request that brought it.
    pub spot_request_id: Option<String>,
    /// Its `Name` tag.
    pub name: Option<String>,
    /// Its `spot:project` tag.
    pub project: Option<String>,
    /// Its `spot:deployment` tag.
    pub deployment_id: Option<String>,
    /// Its `spot:created-by` tag.
    pub creator: Option<String>,
    /// Its `spot:token` tag.
    pub token: Option<String>,
    /// Its `spot:expires` tag: when it may be removed.
    pub expires: Option<String>,
    /// All its tags.
    pub tags: Tags,
}

/// Which instances are meant; what is left out does not restrict.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstanceFilter {
    /// These ids, and none when the list is empty; ids that EC2 does not know are left out of the
    /// answer.
    pub ids: Option<Vec<String>>,
    /// With all these tags.
    pub tags: Tags,
    /// In one of these states; any state when empty.
    pub states: Vec<InstanceState>,
}

impl InstanceFilter {
    /// The instances with these ids, in any state.
    pub fn ids<I: Into<String>>(ids: impl IntoIterator<Item = I>) -> Self {
        InstanceFilter { ids: Some(ids.into_iter().map(Into::into).collect()), ..InstanceFilter::default() }
    }

    /// The instances of an owner, in any state.
    pub fn owner(owner: &Owner) -> Self {
        InstanceFilter { tags: owner.tags(), ..InstanceFilter::default() }
    }

    /// Only those that exist and may cost money.
    #[must_use]
    pub fn alive(mut self) -> Self {
        self.states = InstanceState::ALIVE.to_vec();
        self
    }
}

/// What became of one instance that was to be terminated.
#[derive(Debug, Clone, Serialize)]
pub struct Termination {
    /// The instance.
    pub id: String,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What became of the order to terminate.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// EC2 accepted the order: the instance is shutting down.
    Terminated,
    /// It did not exist any more, which is as good.
    Gone,
    /// It was refused, and the instance may be running.
    Failed(Error),
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = serializer.serialize_map(None)?;
        match self {
            Outcome::Terminated => map.serialize_entry("outcome", "terminated")?,
            Outcome::Gone => map.serialize_entry("outcome", "gone")?,
            Outcome::Failed(error) => {
                map.serialize_entry("outcome", "failed")?;
                map.serialize_entry("code", &error.code())?;
                map.serialize_entry("message", error.message())?;
            }
        }
        map.end()
    }
}

/// What instances are waited for to become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Running.
    Running,
    /// Running, and both of EC2's status checks passed: some minutes after it runs.
    StatusOk,
    /// Terminated, or no longer shown.
    Terminated,
    /// Reachable in principle: a public address is known, or it runs with a private one only (a
    /// public address that is not there when an instance runs does not come later).
    Address,
}

impl Until {
    /// All of them with the words that scripts use.
    pub const WORDS: [(&'static str, Until); 4] = [
        ("running", Until::Running),
        ("status-ok", Until::StatusOk),
        ("terminated", Until::Terminated),
        ("address", Until::Address),
    ];

    /// Whether the instance has become what is waited for.
    pub fn met(self, instance: &Instance) -> bool {
        match self {
            Until::Running => instance.state == InstanceState::Running,
            Until::StatusOk => {
                instance.state == InstanceState::Running && instance.status.as_deref() == Some("ok")
            }
            Until::Terminated => instance.state == InstanceState::Terminated,
            Until::Address => {
                let running = instance.state == InstanceState::Running;
                !instance.state.is_ending()
                    && (instance.public_ip.is_some() || (running && instance.private_ip.is_some()))
            }
        }
    }

    /// Whether waiting longer can change nothing: met, or never to be met.
    pub fn settled(self, instance: &Instance) -> bool {
        let lost = self != Until::Terminated && instance.state.is_ending();
        lost || self.met(instance)
    }
}

/// The ids of the instances, in order and without repetition.
pub fn unique(ids: &[String]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    ids.iter().filter(|id| seen.insert(id.as_str())).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_keeps_the_names_that_state_files_know() {
        let instance = Instance {
            id: "i-1".to_owned(),
            instance_type: "t3.medium".to_owned(),
            state: InstanceState::ShuttingDown,
            market: Market::OnDemand,
            ..Instance::default()
        };
        let json = serde_json::to_value(&instance).unwrap();
        assert_eq!(json["type"], "t3.medium");
        assert_eq!(json["state"], "shutting-down");
        assert_eq!(json["market"], "on-demand");
        assert_eq!(json["public_ip"], serde_json::Value::Null);
        assert_eq!(serde_json::from_value::<Instance>(json).unwrap(), instance);
    }

    #[test]
    fn an_older_instance_without_our_fields_loads() {
        let old = r#"{"id":"i-1","region":"us-west-2","type":"t3.medium","state":"hibernating"}"#;
        let instance: Instance = serde_json::from_str(old).unwrap();
        assert_eq!(instance.state, InstanceState::Unknown);
        assert_eq!(instance.region, "us-west-2");
    }

    #[test]
    fn waiting_ends_when_it_is_met_or_never_will_be() {
        let mut instance = Instance { state: InstanceState::Pending, ..Instance::default() };
        instance.private_ip = Some("10.0.0.1".to_owned());
        assert!(!Until::Address.settled(&instance));
        instance.state = InstanceState::Running;
        assert!(Until::Address.met(&instance));
        assert!(!Until::StatusOk.settled(&instance));
        instance.status = Some("ok".to_owned());
        assert!(Until::StatusOk.met(&instance));
        instance.state = InstanceState::Terminated;
        assert!(Until::Running.settled(&instance) && !Until::Running.met(&instance));
        assert!(Until::Terminated.met(&instance));
        instance.state = InstanceState::ShuttingDown;
        assert!(!Until::Terminated.settled(&instance));
    }

    #[test]
    fn a_failed_termination_prints_its_reason() {
        let error = Error::aws("protected").with_code("OperationNotPermitted");
        let termination = Termination { id: "i-1".to_owned(), outcome: Outcome::Failed(error) };
        let json = serde_json::to_value(&termination).unwrap();
        assert_eq!(json["id"], "i-1");
        assert_eq!(json["outcome"], "failed");
        assert_eq!(json["code"], "OperationNotPermitted");
    }
}
