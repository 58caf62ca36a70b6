//! Which hosts have something wrong with them.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::dice::fraction;
use super::values;
use crate::sandbox::hosts::HostFaults;

/// What goes wrong with some hosts; of several rules that apply to a host the first counts. Looked at when
/// a host boots.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostRule {
    /// The number of the host among those that this sandbox has booted since it was started, from 0; none
    /// for every one.
    #[serde(default)]
    pub number: Option<u64>,
    /// The Availability Zone; none for all.
    #[serde(default, deserialize_with = "values::zone")]
    pub zone: Option<String>,
    /// The instance type, `type` in a file; none for all.
    #[serde(default, rename = "type", deserialize_with = "values::instance_type")]
    pub instance_type: Option<String>,
    /// Share of these hosts, 0 to 1; in a file all unless told otherwise.
    #[serde(default = "values::all", deserialize_with = "values::share")]
    pub share: f64,
    /// What goes wrong.
    #[serde(deserialize_with = "checked")]
    pub faults: HostFaults,
}

fn checked<'de, D: Deserializer<'de>>(from: D) -> Result<HostFaults, D::Error> {
    let faults = HostFaults::deserialize(from)?;
    faults.check().map_err(|error| D::Error::custom(error.message()))?;
    Ok(faults)
}

impl HostRule {
    /// Whether it is about a host.
    pub(in crate::sandbox) fn applies(&self, seed: u64, number: u64, zone: &str, kind: &str) -> bool {
        self.number.is_none_or(|only| only == number)
            && self.zone.as_deref().is_none_or(|only| only == zone)
            && self.instance_type.as_deref().is_none_or(|only| only == kind)
            && (self.share >= 1.0 || fraction(seed, &["host", &number.to_string()]) < self.share)
    }
}
