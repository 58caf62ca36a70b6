//! What goes wrong on purpose, and how the market is: the types, the file and the short forms.
//!
//! | file | what lives there |
//! |---|---|
//! | `latency` | how long answers take |
//! | `throttling` | token buckets |
//! | `schedule` | when a fault is in force |
//! | `pools` | capacity, prices, interruptions and quotas |
//! | `refusal` | errors with any code |
//! | `dns` | names that do not resolve |
//! | `host` | which hosts have something wrong with them |
//! | `selector` | hosts and instances by number, pool and share |
//! | `change` | what is added to, or taken from, what is in force |
//! | `text` | faults as the text of a file |
//! | `values` | units, ranges and names of single values |
//! | `short` | `--fault throttle=0.2` |
//! | `dice` | chance that does not depend on the order of requests |

mod change;
pub(super) mod dice;
mod dns;
mod host;
mod latency;
mod pools;
mod refusal;
pub(super) mod schedule;
mod selector;
mod short;
pub(super) mod text;
mod throttling;
mod values;

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::config;
use crate::error::Result;
pub use change::Change;
pub use dns::DnsFailure;
pub use host::HostRule;
pub use latency::{Delay, Latency};
pub use pools::{CapacityFault, Interruption, Lifecycle, Market, PriceFault, QuotaSetting};
pub use refusal::Refusal;
pub use schedule::Window;
pub use selector::Selector;
pub use throttling::{Bucket, Throttling};

/// What goes wrong on purpose. The default is nothing.
///
/// The names of the keys in a file are those of the fields, unless told otherwise. Shares are 0 to 1,
/// durations are seconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Makes everything below that is left to chance, and the market, the same again. None: the endpoint
    /// draws one if something is left to chance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Share of the EC2 requests that are answered `RequestLimitExceeded`.
    #[serde(deserialize_with = "values::share")]
    pub throttle: f64,
    /// Token buckets; `"ec2"` in a file is [`Throttling::ec2`].
    pub throttling: Throttling,
    /// How much longer answers take; a number in a file is a fixed time for all.
    #[serde(deserialize_with = "values::rules")]
    pub latency: Vec<Latency>,
    /// Share of the EC2 requests whose connection is dropped before they are carried out.
    #[serde(deserialize_with = "values::share")]
    pub lost_requests: f64,
    /// Share of the EC2 requests that are carried out but whose answer is lost: the connection is dropped.
    #[serde(deserialize_with = "values::share")]
    pub lost_answers: f64,
    /// Share of the EC2 requests that are carried out and whose answer breaks off in the middle.
    #[serde(deserialize_with = "values::share")]
    pub cut_answers: f64,
    /// Share of the EC2 requests that are carried out and whose answer, though complete, is no XML.
    #[serde(deserialize_with = "values::share")]
    pub malformed_answers: f64,
    /// By how many seconds the clock of the endpoint is ahead (or behind, if negative); its answers tell
    /// it as `Date`, and signatures are checked by it.
    #[serde(deserialize_with = "values::skew")]
    pub clock_skew: f64,
    /// Names of endpoints that do not resolve; a number in a file is a rate for all.
    #[serde(deserialize_with = "values::rules")]
    pub dns: Vec<DnsFailure>,
    /// Calls and launches that are refused with a code; `error` in a file.
    #[serde(rename = "error")]
    pub refusals: Vec<Refusal>,
    /// Where there is little or no capacity; of several that apply the strictest counts.
    pub capacity: Vec<CapacityFault>,
    /// Spot capacity by pool and hour, drawn from [`Faults::seed`]; beside [`Faults::capacity`].
    pub market: Option<Market>,
    /// Spot prices that are as told; of several that apply the first counts. The others are made up.
    /// `price` in a file.
    #[serde(rename = "price")]
    pub prices: Vec<PriceFault>,
    /// Spot instances that are taken back; of several that apply the first counts. `interruption` in a
    /// file.
    #[serde(rename = "interruption")]
    pub interruptions: Vec<Interruption>,
    /// Service quotas that differ from the usual ones; `quota` in a file.
    #[serde(rename = "quota")]
    pub quotas: Vec<QuotaSetting>,
    /// Hosts with something wrong; `host` in a file.
    #[serde(rename = "host")]
    pub hosts: Vec<HostRule>,
    /// The account has never used Spot or EC2 Fleet: their service-linked roles must be created first.
    pub without_service_roles: bool,
}

impl Faults {
    /// Reads a file such as `faults.toml`.
    ///
    /// # Errors
    /// A [`Config`](crate::Kind::Config) error that names line and column, what was expected and the
    /// nearest valid name.
    pub fn parse_file(path: &Path) -> Result<Self> {
        Ok(config::from_toml_file(path)?)
    }

    /// Reads the text of such a file; `name` is how errors call it.
    ///
    /// # Errors
    /// As [`Faults::parse_file`].
    pub fn parse_toml(name: &str, text: &str) -> Result<Self> {
        Ok(config::from_toml_text(name, text)?)
    }

    /// Adds a fault in its short form, such as `throttle=0.2` or
    /// `error:RunInstances=InternalError@0.1`.
    ///
    /// # Errors
    /// A [`Usage`](crate::Kind::Usage) error that says what is wrong; nothing is added then.
    pub fn add_short(&mut self, text: &str) -> Result<()> {
        short::add(self, text)
    }

    /// The text of a file that says the same: what is as usual is left out.
    pub fn to_toml(&self) -> String {
        text::of_faults(self)
    }

    /// The same with a seed: one is drawn if none is given and something is left to chance.
    #[must_use]
    pub fn seeded(mut self) -> Self {
        if self.seed.is_none() && self.has_chance() {
            // Short enough to be typed.
            self.seed = Some(u64::from(rand::random::<u32>()));
        }
        self
    }

    /// Whether anything is in force at some times only.
    pub(in crate::sandbox) fn has_windows(&self) -> bool {
        self.latency.iter().any(|it| it.during.is_some())
            || self.refusals.iter().any(|it| it.during.is_some())
            || self.capacity.iter().any(|it| it.during.is_some())
            || self.prices.iter().any(|it| it.during.is_some())
            || self.dns.iter().any(|it| it.during.is_some())
    }

    /// Whether anything is left to chance, so that it takes a seed to see it again.
    pub fn has_chance(&self) -> bool {
        let shares =
            [self.throttle, self.lost_requests, self.lost_answers, self.cut_answers, self.malformed_answers];
        let some = |share: f64| share > 0.0 && share < 1.0;
        shares.into_iter().any(some)
            || self.market.is_some()
            || self.latency.iter().any(|latency| !matches!(latency.delay, Delay::Fixed(_)))
            || self.refusals.iter().any(|refusal| some(refusal.rate))
            || self.dns.iter().any(|failure| some(failure.rate))
            || self.hosts.iter().any(|rule| some(rule.which.share))
            || self.interruptions.iter().any(|interruption| some(interruption.which.share))
    }
}

#[cfg(test)]
mod tests;
