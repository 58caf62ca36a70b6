//! What goes wrong on purpose, and how the market is.

use std::time::Duration;

/// What goes wrong on purpose. The default is nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Faults {
    /// Where there is little or no capacity; of several that apply the strictest counts.
    pub capacity: Vec<CapacityFault>,
    /// Spot capacity by pool and hour, drawn from [`Faults::seed`]; beside [`Faults::capacity`].
    pub market: Option<Market>,
    /// Spot prices that are as told; of several that apply the first counts. The others are made up.
    pub prices: Vec<PriceFault>,
    /// Service quotas that differ from the usual ones.
    pub quotas: Vec<QuotaSetting>,
    /// Calls and launches that are refused with a code.
    pub refusals: Vec<Refusal>,
    /// Spot instances that are taken back.
    pub interruptions: Vec<Interruption>,
    /// The account has never used Spot or EC2 Fleet: their service-linked roles must be created first.
    pub without_service_roles: bool,
    /// Share of the EC2 requests, 0 to 1, that are answered `RequestLimitExceeded`.
    pub throttle: f64,
    /// How much longer each answer takes; answers to calls at the same time wait at the same time.
    pub latency: Duration,
    /// Share of the EC2 requests, 0 to 1, that are carried out but whose answer is lost: the
    /// connection is dropped.
    pub lost_answers: f64,
    /// Makes the dice above, and the market, fall the same way again.
    pub seed: u64,
}

/// How instances are paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CapacityFault {
    /// The Availability Zone, such as `us-west-2a`; none for all.
    pub zone: Option<String>,
    /// The instance type; none for all.
    pub instance_type: Option<String>,
    /// Spot or on-demand; none for both together.
    pub lifecycle: Option<Lifecycle>,
    /// How many instances that this fault is about can live at once in a region; none or 0 for no
    /// capacity at all.
    pub available: Option<u32>,
}

/// Spot capacity that is made up: each pool (a type in a zone) holds a number of instances that is
/// drawn anew every hour.
#[derive(Debug, Clone, PartialEq)]
pub struct Market {
    /// Share of the pools, 0 to 1, that have nothing.
    pub empty: f64,
    /// The others hold 1 to so many instances.
    pub largest: u32,
}

/// A spot price.
#[derive(Debug, Clone, PartialEq)]
pub struct PriceFault {
    /// The Availability Zone; none for all.
    pub zone: Option<String>,
    /// The instance type; none for all.
    pub instance_type: Option<String>,
    /// US dollars per hour, for Linux.
    pub spot: f64,
}

/// The value of a service quota.
#[derive(Debug, Clone, PartialEq)]
pub struct QuotaSetting {
    /// The region; none for all.
    pub region: Option<String>,
    /// Its code: `L-34B43A08` (spot vCPUs), `L-1216C47A` (on-demand vCPUs), `L-F678F1CE` (VPCs), …
    pub code: String,
    /// Its value.
    pub value: f64,
}

/// A refusal with any code.
///
/// With a zone, a type or a lifecycle it is about launches in those pools: `RunInstances` fails with the
/// code, and `CreateFleet` tells it in its `Errors`. Without, the whole call fails.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// The action, such as `RunInstances` or `DescribeVpcs`.
    pub action: String,
    /// The region; none for all.
    pub region: Option<String>,
    /// The Availability Zone.
    pub zone: Option<String>,
    /// The instance type.
    pub instance_type: Option<String>,
    /// Spot or on-demand.
    pub lifecycle: Option<Lifecycle>,
    /// The error code, such as `UnfulfillableCapacity`.
    pub code: String,
    /// The error message.
    pub message: String,
    /// The HTTP status of a call that fails; 400 is usual, 5xx makes clients try again.
    pub status: u16,
    /// How often, from the start of the endpoint; none for always.
    pub times: Option<u32>,
}

impl Refusal {
    /// A refusal of every call of an action, with status 400.
    pub fn of(action: &str, code: &str) -> Self {
        Refusal {
            action: action.to_owned(),
            region: None,
            zone: None,
            instance_type: None,
            lifecycle: None,
            code: code.to_owned(),
            message: format!("{code}, on purpose"),
            status: 400,
            times: None,
        }
    }

    /// Whether it is about launches in some pools rather than about whole calls.
    pub(super) fn of_pool(&self) -> bool {
        self.zone.is_some() || self.instance_type.is_some() || self.lifecycle.is_some()
    }
}

/// The end of spot instances by AWS's own will.
#[derive(Debug, Clone, PartialEq)]
pub struct Interruption {
    /// The number of the instance among the spot instances of this endpoint, in the order of their
    /// launch, from 0; none for every one.
    pub number: Option<u64>,
    /// The Availability Zone; none for all.
    pub zone: Option<String>,
    /// The instance type; none for all.
    pub instance_type: Option<String>,
    /// How long after its launch the notice comes.
    pub after: Duration,
    /// How long before the notice a rebalance recommendation comes (at the launch at the earliest); none
    /// for no recommendation.
    pub rebalance: Option<Duration>,
    /// From the notice to the end; with EC2 itself two minutes.
    pub notice: Duration,
}
