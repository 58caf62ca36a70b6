//! Capacity, prices, interruptions and quotas.
//!
//! A pool is an instance type in an Availability Zone, for spot or on-demand.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::schedule::Window;
use super::selector::Selector;
use super::values::{self, seconds, some_seconds};

/// How instances are paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lifecycle {
    /// Cheap, and taken back when AWS needs them.
    Spot,
    /// At the listed price.
    OnDemand,
}

impl Lifecycle {
    /// `spot` or `on-demand`.
    pub fn name(self) -> &'static str {
        match self {
            Lifecycle::Spot => "spot",
            Lifecycle::OnDemand => "on-demand",
        }
    }
}

/// A shortage of capacity.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CapacityFault {
    /// The Availability Zone, such as `us-west-2a`; none for all.
    #[serde(deserialize_with = "values::zone")]
    pub zone: Option<String>,
    /// The instance type, `type` in a file; none for all.
    #[serde(rename = "type", deserialize_with = "values::instance_type")]
    pub instance_type: Option<String>,
    /// Spot or on-demand; none for both together.
    pub lifecycle: Option<Lifecycle>,
    /// How many instances that this fault is about can live at once in a region; none or 0 for no
    /// capacity at all.
    pub available: Option<u32>,
    /// When; none for always.
    pub during: Option<Window>,
}

impl CapacityFault {
    /// The pools that it is about, and when.
    pub(super) fn pool(&self) -> (Option<String>, Option<String>, Option<Lifecycle>, Option<Window>) {
        (self.zone.clone(), self.instance_type.clone(), self.lifecycle, self.during)
    }
}

/// Spot capacity that is made up: each pool holds a number of instances that is drawn anew every hour.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Market {
    /// Share of the pools, 0 to 1, that have nothing.
    #[serde(deserialize_with = "values::share")]
    pub empty: f64,
    /// The others hold 1 to so many instances.
    #[serde(deserialize_with = "values::positive")]
    pub largest: u32,
}

/// A spot price, or how much dearer than usual it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PriceFault {
    /// The Availability Zone; none for all.
    #[serde(deserialize_with = "values::zone")]
    pub zone: Option<String>,
    /// The instance type, `type` in a file; none for all.
    #[serde(rename = "type", deserialize_with = "values::instance_type")]
    pub instance_type: Option<String>,
    /// US dollars per hour, for Linux, 0 to 10 000; none for the price that is made up.
    #[serde(deserialize_with = "values::price")]
    pub spot: Option<f64>,
    /// What the price is multiplied by, 0.01 to 1000; none for 1.
    #[serde(deserialize_with = "values::factor")]
    pub factor: Option<f64>,
    /// When; none for always.
    pub during: Option<Window>,
}

/// The value of a service quota.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuotaSetting {
    /// The region; none for all.
    #[serde(default, deserialize_with = "values::region")]
    pub region: Option<String>,
    /// Its code: `L-34B43A08` (spot vCPUs), `L-1216C47A` (on-demand vCPUs), `L-F678F1CE` (VPCs), …
    pub code: String,
    /// Its value, 0 to a million.
    #[serde(deserialize_with = "values::quota")]
    pub value: f64,
}

/// The end of spot instances by AWS's own will.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "InterruptionKeys", into = "InterruptionKeys")]
pub struct Interruption {
    /// Which instances; they are numbered among the spot instances of this endpoint, in the order of their
    /// launch.
    pub which: Selector,
    /// How long after its launch the notice comes.
    pub after: Duration,
    /// How long before the notice a rebalance recommendation comes (at the launch at the earliest); none
    /// for no recommendation.
    pub rebalance: Option<Duration>,
    /// From the notice to the end; with EC2 itself, and in a file unless told otherwise, two minutes.
    pub notice: Duration,
}

/// What a file says of an interruption.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct InterruptionKeys {
    #[serde(default)]
    number: Option<u64>,
    #[serde(default, deserialize_with = "values::zone")]
    zone: Option<String>,
    #[serde(default, rename = "type", deserialize_with = "values::instance_type")]
    instance_type: Option<String>,
    #[serde(default = "values::all", deserialize_with = "values::share")]
    share: f64,
    #[serde(with = "seconds")]
    after: Duration,
    #[serde(default, with = "some_seconds")]
    rebalance: Option<Duration>,
    #[serde(default = "two_minutes", with = "seconds")]
    notice: Duration,
}

impl From<InterruptionKeys> for Interruption {
    fn from(keys: InterruptionKeys) -> Self {
        let InterruptionKeys { number, zone, instance_type, share, after, rebalance, notice } = keys;
        Interruption { which: Selector { number, zone, instance_type, share }, after, rebalance, notice }
    }
}

impl From<Interruption> for InterruptionKeys {
    fn from(it: Interruption) -> Self {
        let Interruption { which: Selector { number, zone, instance_type, share }, after, rebalance, notice } =
            it;
        InterruptionKeys { number, zone, instance_type, share, after, rebalance, notice }
    }
}

pub(super) fn two_minutes() -> Duration {
    Duration::from_secs(120)
}
