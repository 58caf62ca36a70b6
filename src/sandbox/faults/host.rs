//! Which hosts have something wrong with them.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::selector::{Selector, draw_of_host};
use super::values;
use crate::sandbox::hosts::HostFaults;

/// What goes wrong with some hosts; of several rules that apply to a host the first counts. Looked at when
/// a host boots.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Keys", into = "Keys")]
pub struct HostRule {
    /// Which hosts; they are numbered among those that this sandbox has booted since it was started.
    pub which: Selector,
    /// What goes wrong.
    pub faults: HostFaults,
}

/// What a file says of a rule.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    #[serde(default)]
    number: Option<u64>,
    #[serde(default, deserialize_with = "values::zone")]
    zone: Option<String>,
    #[serde(default, rename = "type", deserialize_with = "values::instance_type")]
    instance_type: Option<String>,
    #[serde(default = "values::all", deserialize_with = "values::share")]
    share: f64,
    #[serde(deserialize_with = "checked")]
    faults: HostFaults,
}

impl From<Keys> for HostRule {
    fn from(keys: Keys) -> Self {
        let Keys { number, zone, instance_type, share, faults } = keys;
        HostRule { which: Selector { number, zone, instance_type, share }, faults }
    }
}

impl From<HostRule> for Keys {
    fn from(rule: HostRule) -> Self {
        let HostRule { which: Selector { number, zone, instance_type, share }, faults } = rule;
        Keys { number, zone, instance_type, share, faults }
    }
}

fn checked<'de, D: Deserializer<'de>>(from: D) -> Result<HostFaults, D::Error> {
    let faults = HostFaults::deserialize(from)?;
    faults.check().map_err(|error| D::Error::custom(error.message()))?;
    Ok(faults)
}

impl HostRule {
    /// Whether it is about a host.
    pub(in crate::sandbox) fn applies(&self, seed: u64, number: u64, zone: &str, kind: &str) -> bool {
        self.which.picks(number, zone, kind, draw_of_host(seed, number))
    }
}
