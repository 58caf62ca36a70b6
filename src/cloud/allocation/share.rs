//! How many instances each region is asked for, in each market.

use super::candidate::{self, Candidate, Region};
use super::reason::{self, Reason};
use super::{Allocation, Basis, Choice, Share, Spread, budget};
use crate::cloud::Market;

/// The part of what a region is expected to have that is asked of it: pools that are drained to the
/// last are the first from which instances are taken back (measured: `benches/allocation.rs`).
const HEADROOM: f64 = 0.5;

/// Decides where to launch what is wanted and not yet there.
pub(super) fn plan(basis: Basis) -> Allocation {
    let mut made = with_spread(&basis, basis.wanted.spread);
    // What is too dear in the order of the policy may be affordable in the order of the prices.
    if made.missing > 0 && basis.wanted.max_hourly.is_some() {
        let thrifty = with_spread(&basis, Spread::Cheapest);
        if thrifty.missing < made.missing {
            made = thrifty;
        }
    }
    Allocation { basis, ..made }
}

fn with_spread(basis: &Basis, spread: Spread) -> Allocation {
    let wanted = &basis.wanted;
    let placed = u32::try_from(basis.placed.len()).unwrap_or(u32::MAX);
    let open = wanted.count.saturating_sub(placed);
    let on_demand = basis.placed.iter().filter(|it| it.market == Market::OnDemand).count();
    let on_demand = u32::try_from(on_demand).unwrap_or(u32::MAX);
    let on_demand = wanted.on_demand().saturating_sub(on_demand).min(open);
    let spot = open - on_demand;

    let mut reasons = Vec::new();
    let mut shares = Vec::new();
    let mut missing = in_market(basis, Market::Spot, spread, spot, &mut shares, &mut reasons);
    let mut instead = 0;
    if wanted.on_demand_last {
        instead = std::mem::take(&mut missing);
    }
    missing += in_market(basis, Market::OnDemand, spread, on_demand + instead, &mut shares, &mut reasons);
    let over_budget = budget::keep(basis, &mut shares, &mut reasons);
    missing += over_budget;

    let sum = |price: &dyn Fn(&Share) -> Option<f64>| {
        shares.iter().map(|share| Some(f64::from(share.count) * price(share)?)).sum::<Option<f64>>()
    };
    Allocation {
        count: shares.iter().map(|share| share.count).sum(),
        missing,
        over_budget,
        hourly: sum(&|share| share.pools.first()?.price),
        hourly_most: sum(&dearest),
        regions: shares,
        explanation: reasons,
        basis: Basis::default(),
    }
}

/// The price of the dearest pool of a share; `None` when one is unknown.
pub(super) fn dearest(share: &Share) -> Option<f64> {
    share.pools.iter().try_fold(0.0_f64, |most, pool| Some(most.max(pool.price?)))
}

/// Shares `need` instances of a market out; returns how many nobody can be asked for.
fn in_market(
    basis: &Basis,
    market: Market,
    spread: Spread,
    need: u32,
    shares: &mut Vec<Share>,
    reasons: &mut Vec<Reason>,
) -> u32 {
    if need == 0 {
        return 0;
    }
    let mut regions = candidate::regions(basis, market, spread, reasons);
    // What was fixed holds for the first round; what that did not bring goes wherever there is some.
    let first = basis.placed.is_empty();
    let counts = distribute(&mut regions, need, spread, first);
    for (region, count) in regions.iter().zip(&counts) {
        if *count == 0 {
            reasons.push(reason::not_needed(region, market, spread));
            continue;
        }
        let mut pools = Vec::new();
        for candidate in &region.candidates {
            let pool = candidate.pool;
            if candidate.fits < *count {
                let room = region.rooms.get(&pool.family()).copied().unwrap_or(0);
                let room = reason::room(market, pool.family(), room);
                let why = format!("{room}, too little for {count}, one needs {}", pool.vcpu);
                reasons.push(Reason::pool(region.market, pool, market, why));
                continue;
            }
            if let Some(refusal) = candidate.refusal {
                let why = format!("{}: asked last", reason::past(refusal));
                reasons.push(Reason::pool(region.market, pool, market, why).chosen());
            }
            pools.push(choice(candidate));
        }
        reasons.push(reason::share(region, market, spread, *count, pools.len()));
        // Explained where it decided the number, and not where it merely is there.
        let room = region
            .candidates
            .first()
            .and_then(|it| region.rooms.get(&it.pool.family()).map(|room| (it, *room)));
        if let Some((first, room)) = room.filter(|_| *count == region.most()) {
            let room = reason::room(market, first.pool.family(), room);
            let why = format!("{room}: {count} and no more");
            reasons.push(Reason::region(region.market, market, why).chosen());
        }
        shares.push(Share { region: region.market.region.clone(), market, count: *count, pools });
    }
    need - counts.iter().sum::<u32>()
}

fn choice(candidate: &Candidate<'_>) -> Choice {
    let pool = candidate.pool;
    Choice {
        instance_type: pool.instance_type.clone(),
        zone: pool.zone.clone(),
        vcpu: pool.vcpu,
        memory_mib: pool.memory_mib,
        architecture: pool.architecture,
        price: candidate.price,
        on_demand: pool.on_demand,
        score: pool.score,
    }
}

/// How many each region gets, after putting the regions into the order of the policy.
fn distribute(regions: &mut [Region<'_>], need: u32, spread: Spread, first: bool) -> Vec<u32> {
    // A region is as good as its best pool, which comes first.
    let key = |region: &Region<'_>| {
        region.candidates.first().map_or((u8::MAX, f64::INFINITY), |first| (first.rank(), first.cost()))
    };
    match spread {
        Spread::Even => {}
        Spread::Balanced => {
            regions.sort_by(|a, b| key(a).0.cmp(&key(b).0).then(key(a).1.total_cmp(&key(b).1)));
        }
        Spread::Cheapest => {
            let last = |region: &Region<'_>| key(region).0 == 3;
            regions.sort_by(|a, b| last(a).cmp(&last(b)).then(key(a).1.total_cmp(&key(b).1)));
        }
        Spread::Capacity => regions.sort_by(|a, b| b.expected.total_cmp(&a.expected)),
    }
    let fixed = |region: &Region<'_>| region.market.fixed.filter(|_| first);
    let most: Vec<u32> = regions.iter().map(Region::most).collect();
    let mut counts = vec![0; regions.len()];
    let mut left = need;
    // A region with a number of its own gets that, and of the rest nothing.
    let mut bounds = most.clone();
    for ((region, count), bound) in regions.iter().zip(&mut counts).zip(&mut bounds) {
        let Some(own) = fixed(region) else { continue };
        *count = own.min(*bound).min(left);
        *bound = *count;
        left -= *count;
    }
    let (need, free) = (left, || regions.iter().filter(|region| fixed(region).is_none()));
    let all: f64 = free().map(|region| region.expected).sum();
    for ((region, count), most) in regions.iter().zip(&mut counts).zip(&most) {
        if fixed(region).is_some() {
            continue;
        }
        let part = match spread {
            Spread::Even => break,
            Spread::Cheapest => 1.0,
            Spread::Balanced => region.expected * HEADROOM,
            Spread::Capacity => region.expected / all,
        };
        *count = rounded_up(f64::from(need) * part).min(*most).min(left);
        left -= *count;
    }
    left = level(&mut counts, &bounds, left);
    // What nobody else can take goes to those with a number of their own.
    level(&mut counts, &most, left);
    counts
}

/// Hands the rest out one by one, round after round, to those who may take more; returns what nobody may.
fn level(counts: &mut [u32], most: &[u32], mut left: u32) -> u32 {
    while left > 0 {
        let takers = counts.iter().zip(most).filter(|(count, most)| count < most).count();
        let Ok(takers) = u32::try_from(takers) else { return left };
        if takers == 0 {
            return left;
        }
        // Whole rounds at once, so that a large number costs no more than a small one.
        let smallest = counts
            .iter()
            .zip(most)
            .filter(|(count, most)| count < most)
            .map(|(count, most)| most - count)
            .min();
        let rounds = (left / takers).min(smallest.unwrap_or(0)).max(1);
        for (count, most) in counts.iter_mut().zip(most).filter(|(count, most)| **count < **most) {
            let take = rounds.min(most - *count).min(left);
            *count += take;
            left -= take;
        }
    }
    left
}

fn rounded_up(number: f64) -> u32 {
    // A hair less, so that 0.1 × 30 is 3 and not 4; the cast of a float saturates.
    (number - 1e-9).ceil().max(0.0) as u32
}
