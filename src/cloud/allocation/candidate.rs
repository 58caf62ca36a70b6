//! Which pools of a region may be asked, how likely they are to give, and in which order.

use std::collections::BTreeMap;

use super::reason::{self, Reason};
use super::{Basis, PastRefusal, PoolMarket, RegionMarket, Spread};
use crate::cloud::codes::{self, Class};
use crate::cloud::{Family, Market};

/// How likely a pool is taken to be of which nothing is known.
const UNKNOWN: f64 = 0.5;
/// What remains of the likelihood of a pool that refused a while ago.
const AFTER_REFUSAL: f64 = 0.1;
/// On-demand capacity is seldom short, and placement scores say nothing of it.
const ON_DEMAND: f64 = 0.9;

/// vCPUs that may still be started, by family; no entry is no limit.
pub(super) type Rooms = BTreeMap<Family, u32>;

/// A pool that may be asked.
#[derive(Debug, Clone)]
pub(super) struct Candidate<'a> {
    pub pool: &'a PoolMarket,
    pub price: Option<f64>,
    pub likelihood: f64,
    pub refusal: Option<&'a PastRefusal>,
    /// How many the quota has room for.
    pub fits: u32,
}

impl Candidate<'_> {
    /// Pools of one rank are taken to be equally likely to give.
    pub fn rank(&self) -> u8 {
        match self.likelihood {
            _ if self.refusal.is_some() => 3,
            likely if likely >= 0.7 => 0,
            likely if likely >= 0.4 => 1,
            _ => 2,
        }
    }

    /// The price, where an unknown one is the dearest.
    pub fn cost(&self) -> f64 {
        self.price.unwrap_or(f64::INFINITY)
    }
}

/// A region with the pools that may be asked, the preferred one first.
#[derive(Debug)]
pub(super) struct Region<'a> {
    pub market: &'a RegionMarket,
    pub candidates: Vec<Candidate<'a>>,
    /// The part of all that is wanted which the region is expected to have, 0 to 1.
    pub expected: f64,
    /// vCPUs that its quotas have room for.
    pub rooms: Rooms,
}

impl Region<'_> {
    /// The most it can be asked for: what at least one of its pools can give alone.
    pub fn most(&self) -> u32 {
        self.candidates.iter().map(|candidate| candidate.fits).max().unwrap_or(0)
    }
}

/// The regions that can be asked in a market, in the order in which they were named; the others, and
/// the pools that are left out, are explained.
pub(super) fn regions<'a>(
    basis: &'a Basis,
    market: Market,
    spread: Spread,
    reasons: &mut Vec<Reason>,
) -> Vec<Region<'a>> {
    let mut regions = Vec::new();
    for known in &basis.markets {
        if let Some(problem) = &known.problem {
            reasons.push(Reason::region(known, market, problem.clone()));
            continue;
        }
        if let Some(refusal) = basis.refused.iter().find(|it| {
            it.region == known.region
                && it.market == market
                && (it.zone.is_empty() || it.instance_type.is_empty())
        }) {
            reasons.push(Reason::region(known, market, format!("refused {} in this run", refusal.code)));
            continue;
        }
        let rooms = rooms(basis, known, market);
        let mut candidates = Vec::new();
        for pool in &known.pools {
            match candidate(basis, known, pool, market, &rooms) {
                Ok(candidate) => candidates.push(candidate),
                Err(why) => reasons.push(Reason::pool(known, pool, market, why)),
            }
        }
        if candidates.is_empty() {
            if known.pools.is_empty() {
                reasons.push(Reason::region(known, market, "no zone offers any of the types".to_owned()));
            }
            continue;
        }
        sort(&mut candidates, spread);
        let expected = expected(known, &candidates, market);
        regions.push(Region { market: known, candidates, expected, rooms });
    }
    regions
}

fn candidate<'a>(
    basis: &Basis,
    region: &RegionMarket,
    pool: &'a PoolMarket,
    market: Market,
    rooms: &Rooms,
) -> std::result::Result<Candidate<'a>, String> {
    let wanted = &basis.wanted;
    let price = pool.price(market);
    if market == Market::Spot && !pool.spot_offered {
        return Err("the type is not offered as spot".to_owned());
    }
    if let Some(code) = refused_now(basis, region, pool, market) {
        return Err(format!("refused {code} in this run"));
    }
    match (wanted.max_price, price) {
        (Some(most), Some(price)) if price > most => {
            return Err(format!("costs {}, more than {}", reason::money(price), reason::money(most)));
        }
        // A spot request carries the limit with it; an on-demand one cannot.
        (Some(most), None) if market == Market::OnDemand => {
            return Err(format!("its price is unknown and must not be above {}", reason::money(most)));
        }
        _ => {}
    }
    if let (Some(most), None) = (wanted.max_hourly, price) {
        return Err(format!("its price is unknown and all must not cost more than {}", reason::money(most)));
    }
    let room = rooms.get(&pool.family()).copied();
    let fits = room.map_or(u32::MAX, |room| room / pool.vcpu.max(1));
    if fits == 0 {
        let room = reason::room(market, pool.family(), room.unwrap_or(0));
        return Err(format!("{room}, one needs {}", pool.vcpu));
    }
    let refusal = pool.refused.iter().filter(|it| it.market == market).min_by_key(|it| it.ago);
    Ok(Candidate { pool, price, likelihood: likelihood(region, pool, market, refusal), refusal, fits })
}

/// With which code the pool refused in this run, if it did. A quota that one pool met holds for all
/// of the family that need as many vCPUs.
fn refused_now<'a>(
    basis: &'a Basis,
    region: &RegionMarket,
    pool: &PoolMarket,
    market: Market,
) -> Option<&'a str> {
    let here = basis.refused.iter().filter(|it| it.region == region.region && it.market == market);
    let concerns = |it: &&super::Refused| {
        if it.zone == pool.zone && it.instance_type == pool.instance_type {
            return true;
        }
        let needed = region.pools.iter().find(|other| other.instance_type == it.instance_type);
        codes::classify(&it.code) == Class::Quota
            && Family::of(&it.instance_type) == pool.family()
            && needed.is_none_or(|needed| needed.vcpu <= pool.vcpu)
    };
    here.filter(concerns).map(|it| it.code.as_str()).next()
}

fn likelihood(
    region: &RegionMarket,
    pool: &PoolMarket,
    market: Market,
    refusal: Option<&PastRefusal>,
) -> f64 {
    let before = match market {
        Market::OnDemand => ON_DEMAND,
        Market::Spot => pool.score.or(region.score).map_or(UNKNOWN, share_of_score),
    };
    if refusal.is_some() { before * AFTER_REFUSAL } else { before }
}

fn share_of_score(score: u8) -> f64 {
    f64::from(score.min(10)) / 10.0
}

/// A score is about all that is wanted: zones of which each is expected to have half of it have all
/// of it together. Pools that refused a while ago are not counted on.
fn expected(region: &RegionMarket, candidates: &[Candidate<'_>], market: Market) -> f64 {
    let willing = |of: &[&Candidate<'_>]| {
        let willing = of.iter().filter(|it| it.refusal.is_none()).count();
        willing as f64 / of.len().max(1) as f64
    };
    let all: Vec<&Candidate<'_>> = candidates.iter().collect();
    if market == Market::OnDemand {
        return ON_DEMAND * willing(&all);
    }
    let mut zones: BTreeMap<&str, Vec<&Candidate<'_>>> = BTreeMap::new();
    for candidate in candidates {
        zones.entry(&candidate.pool.zone).or_default().push(candidate);
    }
    let scored = zones.values().filter_map(|of| Some(share_of_score(of.first()?.pool.score?) * willing(of)));
    let of_zones: f64 = scored.sum();
    let of_region = region.score.map(|score| share_of_score(score) * willing(&all));
    let known = if of_zones > 0.0 { Some(of_zones.max(of_region.unwrap_or(0.0))) } else { of_region };
    known.unwrap_or_else(|| UNKNOWN * willing(&all)).clamp(0.01, 1.0)
}

fn sort(candidates: &mut [Candidate<'_>], spread: Spread) {
    let refused = |it: &Candidate<'_>| it.refusal.is_some();
    candidates.sort_by(|a, b| match spread {
        Spread::Balanced | Spread::Even => a.rank().cmp(&b.rank()).then(a.cost().total_cmp(&b.cost())),
        Spread::Cheapest => refused(a).cmp(&refused(b)).then(a.cost().total_cmp(&b.cost())),
        Spread::Capacity => b.likelihood.total_cmp(&a.likelihood).then(a.cost().total_cmp(&b.cost())),
    });
}

/// vCPUs that the region's quotas have room for, after what was launched in this run.
fn rooms(basis: &Basis, region: &RegionMarket, market: Market) -> Rooms {
    let mut rooms = Rooms::new();
    for quota in region.quotas.iter().filter(|quota| quota.market == market) {
        if let Some(room) = quota.room() {
            rooms.insert(quota.family, room);
        }
    }
    for placed in basis.placed.iter().filter(|it| it.region == region.region && it.market == market) {
        let vcpu = region.pools.iter().find(|it| it.instance_type == placed.instance_type).map(|it| it.vcpu);
        if let (Some(room), Some(vcpu)) = (rooms.get_mut(&Family::of(&placed.instance_type)), vcpu) {
            *room = room.saturating_sub(vcpu);
        }
    }
    rooms
}
