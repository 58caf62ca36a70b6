//! Where instances are to be launched: regions, zones and types out of scores, prices, quotas and
//! earlier refusals, with the reason for each choice. Pure: what is known is read elsewhere.
//!
//! | file | what lives there |
//! |---|---|
//! | `mod.rs` | what is wanted, what is known of the market, [`Allocation`] |
//! | `candidate.rs` | which pools may be asked, and in which order |
//! | `share.rs` | how many each region is asked for |
//! | `budget.rs` | what keeps the whole below a price |
//! | `reason.rs` | why, in words |

mod budget;
mod candidate;
mod reason;
mod share;

use serde::{Deserialize, Serialize};

use super::{Architecture, Family, Market, Quota};
use crate::error::{Error, Result, nearest};
pub use reason::Reason;

/// By what the regions and pools are chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Spread {
    /// The likeliest to be fulfilled first, of those the cheapest, and of no region more than half of
    /// what it is expected to have while others can give.
    #[default]
    Balanced,
    /// The same number in every region.
    Even,
    /// The cheapest.
    Cheapest,
    /// The likeliest to be fulfilled, whatever it costs.
    Capacity,
}

impl Spread {
    /// Every word for a spread, as recipes write it.
    pub const WORDS: [&str; 4] = ["balanced", "even", "cheapest", "capacity"];

    /// Reads a word.
    ///
    /// # Errors
    /// For any other word, with the nearest of them.
    pub fn parse(text: &str) -> Result<Spread> {
        match text {
            "balanced" => Ok(Spread::Balanced),
            "even" => Ok(Spread::Even),
            "cheapest" => Ok(Spread::Cheapest),
            "capacity" => Ok(Spread::Capacity),
            other => {
                let error = Error::script(format!(
                    "unknown spread `{other}`, expected one of {}",
                    Spread::WORDS.join(", ")
                ));
                Err(match nearest(other, Spread::WORDS) {
                    Some(near) => error.with_hint(format!("did you mean `{near}`?")),
                    None => error,
                })
            }
        }
    }
}

/// What is to be allocated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wanted {
    /// Instances in all.
    pub count: u32,
    /// How they are paid for; with [`Market::OnDemand`] nothing is asked of the spot market.
    pub market: Market,
    /// How many of them are on-demand in any case.
    pub on_demand_base: u32,
    /// How many per cent of those above the base are spot, 0 to 100.
    pub spot_percent: u8,
    /// Whether on-demand instances take the place of spot instances that nobody has.
    pub on_demand_last: bool,
    /// The most that one may cost, in US dollars for an hour.
    pub max_price: Option<f64>,
    /// The most that all together may cost, in US dollars for an hour.
    pub max_hourly: Option<f64>,
    /// By what regions and pools are chosen.
    pub spread: Spread,
}

impl Default for Wanted {
    fn default() -> Self {
        Wanted {
            count: 0,
            market: Market::Spot,
            on_demand_base: 0,
            spot_percent: 100,
            on_demand_last: false,
            max_price: None,
            max_hourly: None,
            spread: Spread::Balanced,
        }
    }
}

impl Wanted {
    /// How many are to be on-demand before any shortfall. A broken share is rounded in favour of
    /// on-demand, as EC2 does it.
    pub fn on_demand(&self) -> u32 {
        if self.market == Market::OnDemand {
            return self.count;
        }
        let base = self.on_demand_base.min(self.count);
        let rest = u64::from(self.count - base);
        let spot = rest * u64::from(self.spot_percent.min(100)) / 100;
        base + u32::try_from(rest - spot).unwrap_or(u32::MAX)
    }

    /// Refuses what cannot be meant.
    ///
    /// # Errors
    /// When the count is 0, a price is not above 0, or a share is not between 0 and 100.
    pub fn validate(&self) -> Result<()> {
        if self.count == 0 {
            return Err(Error::usage("cannot allocate 0 instances, expected a count of at least 1"));
        }
        if self.spot_percent > 100 {
            return Err(Error::usage(format!(
                "a spot share of {} per cent is impossible, expected 0 to 100",
                self.spot_percent
            )));
        }
        for (what, price) in [("one instance", self.max_price), ("all instances", self.max_hourly)] {
            if let Some(price) = price
                && (!price.is_finite() || price <= 0.0)
            {
                return Err(Error::usage(format!(
                    "a price limit of {price} for {what} is impossible, expected US dollars above 0"
                )));
            }
        }
        Ok(())
    }
}

/// What is known of a region's market.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RegionMarket {
    /// The region.
    pub region: String,
    /// The placement score of the region as a whole, 1 to 10, where it is known.
    pub score: Option<u8>,
    /// Its pools.
    pub pools: Vec<PoolMarket>,
    /// Its quotas, as far as they are known; a family without one is taken for unlimited.
    pub quotas: Vec<Quota>,
    /// How many instances of the first round are to be here, whatever the spread; none: its share.
    pub fixed: Option<u32>,
    /// Why nothing can be launched here, if so.
    pub problem: Option<String>,
}

/// What is known of a pool: one type in one zone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PoolMarket {
    /// The instance type.
    #[serde(rename = "type")]
    pub instance_type: String,
    /// The zone.
    pub zone: String,
    /// Virtual processors.
    pub vcpu: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// The architecture that its image must have.
    pub architecture: Architecture,
    /// Whether the type can be had in the spot market.
    pub spot_offered: bool,
    /// The spot price in US dollars for an hour, where it is known.
    pub spot: Option<f64>,
    /// The on-demand price in US dollars for an hour, where it is known.
    pub on_demand: Option<f64>,
    /// The placement score of its zone, 1 to 10, where it is known.
    pub score: Option<u8>,
    /// What it refused a while ago, in an earlier run.
    pub refused: Vec<PastRefusal>,
}

impl PoolMarket {
    /// What an instance costs in a market.
    pub fn price(&self, market: Market) -> Option<f64> {
        match market {
            Market::Spot => self.spot,
            Market::OnDemand => self.on_demand,
        }
    }

    /// The family whose quota it counts against.
    pub fn family(&self) -> Family {
        Family::of(&self.instance_type)
    }
}

/// A refusal of an earlier run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastRefusal {
    /// The market.
    pub market: Market,
    /// The error code.
    pub code: String,
    /// How long ago, in seconds.
    pub ago: u64,
}

/// A refusal of this run. An empty zone or type stands for all of the region.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Refused {
    /// The region.
    pub region: String,
    /// The zone.
    pub zone: String,
    /// The instance type.
    #[serde(rename = "type")]
    pub instance_type: String,
    /// The market.
    pub market: Market,
    /// The error code.
    pub code: String,
}

/// An instance that was launched in this run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Placed {
    /// The region.
    pub region: String,
    /// The zone.
    pub zone: String,
    /// The instance type.
    #[serde(rename = "type")]
    pub instance_type: String,
    /// The market.
    pub market: Market,
}

/// A pool that a region is to be asked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// The instance type.
    #[serde(rename = "type")]
    pub instance_type: String,
    /// The zone.
    pub zone: String,
    /// Virtual processors.
    pub vcpu: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// The architecture that its image must have.
    pub architecture: Architecture,
    /// What one costs in the share's market, in US dollars for an hour, where it is known.
    pub price: Option<f64>,
    /// What one costs on demand, where it is known.
    pub on_demand: Option<f64>,
    /// The placement score of its zone, where it is known.
    pub score: Option<u8>,
}

/// What one region is to be asked for in one market.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// The region.
    pub region: String,
    /// The market.
    pub market: Market,
    /// How many instances.
    pub count: u32,
    /// Where they may be, the preferred pool first; never empty. Any of them may give all of `count`
    /// without breaking a quota or the price limits.
    pub pools: Vec<Choice>,
}

/// What a decision rests on: enough to decide again when it turns out otherwise.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Basis {
    /// What is wanted.
    pub wanted: Wanted,
    /// What is known of the regions, in the order in which they were named.
    pub markets: Vec<RegionMarket>,
    /// What was launched in this run.
    pub placed: Vec<Placed>,
    /// What was refused in this run.
    pub refused: Vec<Refused>,
}

/// Where instances are to be launched.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Allocation {
    /// What each region is to be asked for; at most one entry for each region and market.
    pub regions: Vec<Share>,
    /// Instances in all entries.
    pub count: u32,
    /// Instances that no region is known to have room for.
    pub missing: u32,
    /// Those of the missing that [`Wanted::max_hourly`] leaves out.
    pub over_budget: u32,
    /// What they cost in an hour, in US dollars, when every first pool gives what it is asked for;
    /// `None` when a price is unknown.
    pub hourly: Option<f64>,
    /// The same when only the dearest pools give.
    pub hourly_most: Option<f64>,
    /// Why.
    pub explanation: Vec<Reason>,
    /// What it rests on.
    pub basis: Basis,
}

impl Allocation {
    /// Decides where to launch.
    ///
    /// # Errors
    /// Of [`Wanted::validate`]. That there is no room is no error: it is in `missing`, and why in
    /// `explanation`.
    pub fn decide(wanted: Wanted, markets: Vec<RegionMarket>) -> Result<Allocation> {
        wanted.validate()?;
        Ok(share::plan(Basis { wanted, markets, placed: Vec::new(), refused: Vec::new() }))
    }

    /// Decides where to launch what is still missing after a round: `placed` are the instances that
    /// the round brought, `refused` the pools that gave less than they were asked for. No pool that
    /// refused in this run is asked again; when spot has nothing left and [`Wanted::on_demand_last`]
    /// is set, on-demand instances take over. An allocation with a count of 0 is the end.
    #[must_use]
    pub fn again(&self, placed: &[Placed], refused: &[Refused]) -> Allocation {
        let mut basis = self.basis.clone();
        basis.placed.extend_from_slice(placed);
        basis.refused.extend_from_slice(refused);
        share::plan(basis)
    }
}

#[cfg(test)]
mod tests;
