//! What is about to be done to the cloud, written down before it is done.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Instance, Network};

/// A call that is about to change something in the cloud.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// The call: `RunInstances`, `CreateVpc`, …
    pub action: String,
    /// Where it is made.
    #[serde(default)]
    pub region: String,
    /// Its idempotency token, by which the same call can be made again and its result be found.
    #[serde(default)]
    pub token: String,
    /// The deployment that it belongs to.
    #[serde(default)]
    pub deployment: String,
    /// Its parameters, tags included. No secrets: this is written to disk.
    #[serde(default)]
    pub parameters: Value,
    /// How to take it back, as data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Value>,
}

/// Names one intent within its project, for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IntentId(pub(super) u64);

impl IntentId {
    /// Its number, for callers that keep ids of their own kind.
    pub fn number(self) -> u64 {
        self.0
    }

    /// The id of a number that [`IntentId::number`] gave.
    pub fn from_number(number: u64) -> Self {
        IntentId(number)
    }
}

impl fmt::Display for IntentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// An intent whose call has not been seen to end: it may or may not have happened.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenIntent {
    /// Its id.
    pub id: IntentId,
    /// When it was written down, RFC 3339.
    pub since: String,
    /// Whether it was left behind by an earlier writer rather than made by the present one.
    pub earlier: bool,
    /// The intent.
    pub intent: Intent,
}

/// What a call that succeeded has changed; all of it becomes known in the one record that closes the
/// intent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// What the call answered, for the journal.
    pub result: Value,
    /// Instances to insert or replace.
    pub instances: Vec<Instance>,
    /// Networks to insert or replace.
    pub networks: Vec<Network>,
    /// Ids of instances that are gone.
    pub removed_instances: Vec<String>,
    /// Region and VPC of networks that are gone.
    pub removed_networks: Vec<(String, String)>,
}
