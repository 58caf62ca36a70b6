//! Errors with any code.

use serde::{Deserialize, Serialize};

use super::pools::Lifecycle;
use super::schedule::Window;
use super::values;

/// A refusal with any code.
///
/// With a zone, a type or a lifecycle it is about launches in those pools: `RunInstances` fails with the
/// code, and `CreateFleet` tells it in its `Errors`. Without, the whole call fails.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Keys")]
pub struct Refusal {
    /// The action, such as `RunInstances`, or a pattern such as `Describe*`.
    pub action: String,
    /// The region; none for all.
    pub region: Option<String>,
    /// The Availability Zone.
    pub zone: Option<String>,
    /// The instance type; `type` in a file.
    #[serde(rename = "type")]
    pub instance_type: Option<String>,
    /// Spot or on-demand.
    pub lifecycle: Option<Lifecycle>,
    /// The error code, such as `UnfulfillableCapacity`.
    pub code: String,
    /// The error message.
    pub message: String,
    /// The HTTP status of a call that fails, 400 to 599; 400 is usual, 5xx makes clients try again.
    pub status: u16,
    /// Share of the calls, 0 to 1, that are refused.
    pub rate: f64,
    /// How often, from the start of the endpoint; none for always.
    pub times: Option<u32>,
    /// When; none for always.
    pub during: Option<Window>,
}

/// What a file says of an error; what it leaves out follows from the code.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    #[serde(default = "any", deserialize_with = "values::action")]
    action: String,
    #[serde(default, deserialize_with = "values::region")]
    region: Option<String>,
    #[serde(default, deserialize_with = "values::zone")]
    zone: Option<String>,
    #[serde(default, rename = "type", deserialize_with = "values::instance_type")]
    instance_type: Option<String>,
    #[serde(default)]
    lifecycle: Option<Lifecycle>,
    code: String,
    #[serde(default)]
    message: Option<String>,
    #[serde(default, deserialize_with = "values::status")]
    status: Option<u16>,
    #[serde(default = "values::all", deserialize_with = "values::share")]
    rate: f64,
    #[serde(default)]
    times: Option<u32>,
    #[serde(default)]
    during: Option<Window>,
}

fn any() -> String {
    "*".to_owned()
}

impl From<Keys> for Refusal {
    fn from(keys: Keys) -> Self {
        let usual = Refusal::of(&keys.action, &keys.code);
        Refusal {
            region: keys.region,
            zone: keys.zone,
            instance_type: keys.instance_type,
            lifecycle: keys.lifecycle,
            message: keys.message.unwrap_or(usual.message),
            status: keys.status.unwrap_or(usual.status),
            rate: keys.rate,
            times: keys.times,
            during: keys.during,
            action: keys.action,
            code: keys.code,
        }
    }
}

impl Refusal {
    /// A refusal of every call of an action, with the status that the code has with EC2.
    pub fn of(action: &str, code: &str) -> Self {
        let status = match code {
            "InternalError" | "InternalFailure" => 500,
            "RequestLimitExceeded" | "Unavailable" | "ServiceUnavailable" => 503,
            "UnauthorizedOperation" => 403,
            "AuthFailure" => 401,
            _ => 400,
        };
        Refusal {
            action: action.to_owned(),
            region: None,
            zone: None,
            instance_type: None,
            lifecycle: None,
            code: code.to_owned(),
            message: format!("{code}, on purpose"),
            status,
            rate: 1.0,
            times: None,
            during: None,
        }
    }

    /// Whether it is about launches in some pools rather than about whole calls.
    pub(in crate::sandbox) fn of_pool(&self) -> bool {
        self.zone.is_some() || self.instance_type.is_some() || self.lifecycle.is_some()
    }
}
