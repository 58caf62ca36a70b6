//! What keeps the whole below [`Wanted::max_hourly`](super::Wanted::max_hourly), whichever pools give.

use super::reason::{Reason, money};
use super::share::dearest;
use super::{Basis, Placed, PoolMarket, Share};

/// Prices are sums of fractions: this much above a limit is at the limit.
const HAIR: f64 = 1e-9;

/// Drops the dearest pools, and then instances, until the worst case is affordable; returns how many
/// instances were dropped.
pub(super) fn keep(basis: &Basis, shares: &mut Vec<Share>, reasons: &mut Vec<Reason>) -> u32 {
    let Some(limit) = basis.wanted.max_hourly else { return 0 };
    let budget = limit - spent(basis) + HAIR;
    let mut dropped = 0;
    while worst(shares) > budget {
        if let Some(share) = shares.iter_mut().filter(|share| varied(share)).max_by(by_dearest) {
            let price = dearest(share).unwrap_or(0.0);
            let before = share.pools.len();
            share.pools.retain(|pool| pool.price.is_some_and(|its| its < price));
            let gone = before - share.pools.len();
            let why = format!("{gone} of {before} pools at {} left out: {}", money(price), over(limit));
            note(reasons, share, why);
            continue;
        }
        let Some(share) = shares.iter_mut().max_by(by_dearest) else { break };
        share.count -= 1;
        dropped += 1;
        shares.retain(|share| share.count > 0);
    }
    if dropped > 0 {
        let text = format!("{dropped} fewer than wanted: {}", over(limit));
        reasons.push(Reason { text, ..Reason::default() });
    }
    dropped
}

/// What was launched in this run costs as much as was known of it when it was decided.
fn spent(basis: &Basis) -> f64 {
    let price = |placed: &Placed| {
        let region = basis.markets.iter().find(|market| market.region == placed.region)?;
        let same =
            |pool: &&PoolMarket| pool.zone == placed.zone && pool.instance_type == placed.instance_type;
        region.pools.iter().find(same)?.price(placed.market)
    };
    basis.placed.iter().filter_map(price).sum()
}

/// What all cost when only the dearest pools give.
fn worst(shares: &[Share]) -> f64 {
    shares.iter().map(|share| f64::from(share.count) * dearest(share).unwrap_or(f64::INFINITY)).sum()
}

/// Whether a share has pools of different prices.
fn varied(share: &Share) -> bool {
    let first = share.pools.first().and_then(|pool| pool.price);
    share.pools.iter().any(|pool| pool.price != first)
}

fn by_dearest(a: &&mut Share, b: &&mut Share) -> std::cmp::Ordering {
    dearest(a).unwrap_or(0.0).total_cmp(&dearest(b).unwrap_or(0.0))
}

fn over(limit: f64) -> String {
    format!("all together must not cost more than {}", money(limit))
}

fn note(reasons: &mut Vec<Reason>, share: &Share, why: String) {
    reasons.push(Reason {
        region: share.region.clone(),
        market: share.market,
        text: format!("{}: {why}", share.region),
        ..Reason::default()
    });
}
