//! Why a region or a pool was chosen or left out, in words.

use serde::{Deserialize, Serialize};

use super::candidate::{Candidate, Region};
use super::{PastRefusal, PoolMarket, RegionMarket, Spread};
use crate::cloud::{Family, Market};

/// Why a region or a pool was chosen or left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The region.
    pub region: String,
    /// The zone, when it is about a pool.
    pub zone: Option<String>,
    /// The instance type, when it is about a pool.
    #[serde(rename = "type")]
    pub instance_type: Option<String>,
    /// The market.
    pub market: Market,
    /// Whether it is asked, now or after others.
    pub chosen: bool,
    /// The whole sentence: `us-west-2b m5.large: refused InsufficientInstanceCapacity 4 min ago`.
    pub text: String,
}

impl Reason {
    /// About a region that is left out.
    pub(super) fn region(region: &RegionMarket, market: Market, why: String) -> Reason {
        Reason {
            region: region.region.clone(),
            market,
            text: format!("{}: {why}", region.region),
            ..Reason::default()
        }
    }

    /// About a pool that is left out.
    pub(super) fn pool(region: &RegionMarket, pool: &PoolMarket, market: Market, why: String) -> Reason {
        Reason {
            region: region.region.clone(),
            zone: Some(pool.zone.clone()),
            instance_type: Some(pool.instance_type.clone()),
            market,
            chosen: false,
            text: format!("{} {}: {why}", pool.zone, pool.instance_type),
        }
    }

    pub(super) fn chosen(mut self) -> Reason {
        self.chosen = true;
        self
    }
}

/// US dollars with as many places as prices have.
pub(super) fn money(amount: f64) -> String {
    let text = format!("{amount:.4}");
    format!("${}", text.strip_suffix("00").unwrap_or(&text))
}

/// How much a quota has room for.
pub(super) fn room(market: Market, family: Family, vcpu: u32) -> String {
    let whose = if family == Family::Standard { String::new() } else { format!(" for {family} types") };
    let code = family.quota_code(market).map(|code| format!(" ({code})")).unwrap_or_default();
    format!("{} quota{code}{whose} has room for {vcpu} vCPU", market.as_str())
}

/// How a pool refused a while ago.
pub(super) fn past(refusal: &PastRefusal) -> String {
    let ago = match refusal.ago {
        seconds if seconds < 60 => format!("{seconds} s"),
        seconds => format!("{} min", seconds / 60),
    };
    format!("refused {} {ago} ago", refusal.code)
}

/// Why a region got its share.
pub(super) fn share(region: &Region<'_>, market: Market, spread: Spread, count: u32, pools: usize) -> Reason {
    let Some(first) = region.candidates.first() else {
        return Reason::region(region.market, market, "nothing to ask".to_owned());
    };
    let price = first.price.map_or("at an unknown price".to_owned(), |price| format!("at {}", money(price)));
    let counted = if pools == 1 { "1 pool".to_owned() } else { format!("{pools} pools") };
    let why = format!(
        "{count} {} from {counted}, first {} {} {price}: {}",
        market.as_str(),
        first.pool.zone,
        first.pool.instance_type,
        merit(region.market, first, market, spread),
    );
    Reason::region(region.market, market, why).chosen()
}

fn merit(region: &RegionMarket, first: &Candidate<'_>, market: Market, spread: Spread) -> String {
    let score = first.pool.score.or(region.score).filter(|_| market == Market::Spot);
    let likely = match (score, first.refusal) {
        (_, Some(refusal)) => format!("{}, but nothing else is left here", past(refusal)),
        (Some(score), None) => format!("placement score {score} of 10"),
        (None, None) if market == Market::Spot => "placement score unknown".to_owned(),
        (None, None) => "on-demand capacity is seldom short".to_owned(),
    };
    let order = match spread {
        Spread::Balanced => "cheapest of the likely ones",
        Spread::Even => "an even share",
        Spread::Cheapest => "cheapest",
        Spread::Capacity => "likeliest",
    };
    format!("{likely}, {order}")
}

/// Why a region that could be asked is not.
pub(super) fn not_needed(region: &Region<'_>, market: Market, spread: Spread) -> Reason {
    let better = match spread {
        Spread::Balanced => "others are likelier or cheaper",
        Spread::Even => "the number does not reach this far",
        Spread::Cheapest => "others are cheaper",
        Spread::Capacity => "others are likelier",
    };
    let price = region.candidates.first().and_then(|it| it.price);
    let price = price.map(|price| format!(", from {}", money(price))).unwrap_or_default();
    Reason::region(region.market, market, format!("kept in reserve: {better}{price}"))
}
