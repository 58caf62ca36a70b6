//! What the spot price of a type in a zone was over some hours.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::Price;

/// The course of the spot price of an instance type in a zone.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PriceHistory {
    /// The region.
    pub region: String,
    /// The zone.
    pub zone: String,
    /// The instance type.
    #[serde(rename = "type")]
    pub instance_type: String,
    /// US dollars an hour at evenly spaced moments, oldest first; none before the first known price.
    pub values: Vec<Option<f64>>,
    /// The lowest of the prices, in US dollars an hour.
    pub lowest: f64,
    /// The highest of the prices, in US dollars an hour.
    pub highest: f64,
    /// The price that holds, in US dollars an hour.
    pub last: f64,
    /// How often it changed.
    pub changes: usize,
}

/// One history for each type and zone of `prices`, by type and zone; each has `points` values between
/// `from` and `to`. What has no time is left out.
pub fn histories(prices: Vec<Price>, from: Timestamp, to: Timestamp, points: usize) -> Vec<PriceHistory> {
    let mut pools: BTreeMap<(String, String), Vec<(Timestamp, Price)>> = BTreeMap::new();
    for price in prices {
        let Some(since) = price.since.as_deref().and_then(|since| since.parse().ok()) else { continue };
        let pool = pools.entry((price.instance_type.clone(), price.zone.clone())).or_default();
        pool.push((since, price));
    }
    pools.into_values().filter_map(|changes| history(changes, from, to, points)).collect()
}

fn history(
    mut changes: Vec<(Timestamp, Price)>,
    from: Timestamp,
    to: Timestamp,
    points: usize,
) -> Option<PriceHistory> {
    changes.sort_by_key(|(since, _)| *since);
    // What held when the time began counts, what held before that does not.
    let begun = changes.partition_point(|(since, _)| *since <= from);
    changes.drain(..begun.saturating_sub(1));
    let (last_change, price) = changes.last()?.clone();
    let to = to.max(last_change);
    let hourly = || changes.iter().map(|(_, price)| price.hourly);
    let at = |moment: Timestamp| {
        let known = changes.partition_point(|(since, _)| *since <= moment);
        known.checked_sub(1).and_then(|index| changes.get(index)).map(|(_, price)| price.hourly)
    };
    let length = to.duration_since(from).as_millis().max(0);
    let moment = |index: usize| {
        let part = length * (index as i128 + 1) / points.max(1) as i128;
        from + SignedDuration::from_millis(i64::try_from(part).unwrap_or(i64::MAX))
    };
    Some(PriceHistory {
        values: (0..points).map(|index| at(moment(index))).collect(),
        lowest: hourly().fold(f64::INFINITY, f64::min),
        highest: hourly().fold(f64::NEG_INFINITY, f64::max),
        last: price.hourly,
        changes: changes.len() - 1,
        region: price.region,
        zone: price.zone,
        instance_type: price.instance_type,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(zone: &str, hourly: f64, since: &str) -> Price {
        Price {
            region: "r".into(),
            zone: zone.into(),
            instance_type: "t3.medium".into(),
            hourly,
            since: Some(since.into()),
        }
    }

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_price_holds_until_the_next_one() {
        let prices = vec![
            price("a", 3.0, "2026-01-01T03:00:00Z"),
            price("a", 9.0, "2025-12-30T00:00:00Z"),
            price("a", 1.0, "2025-12-31T00:00:00Z"),
            price("a", 2.0, "2026-01-01T02:00:00Z"),
            price("b", 5.0, "2026-01-01T01:30:00Z"),
            price("b", 5.0, "no time"),
        ];
        let found = histories(prices, time("2026-01-01T00:00:00Z"), time("2026-01-01T04:00:00Z"), 4);
        let [a, b] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(a.values, [Some(1.0), Some(2.0), Some(3.0), Some(3.0)]);
        assert_eq!((a.lowest, a.highest, a.last, a.changes), (1.0, 3.0, 3.0, 2));
        assert_eq!(b.values, [None, Some(5.0), Some(5.0), Some(5.0)]);
        assert_eq!((b.zone.as_str(), b.changes), ("b", 0));
    }

    #[test]
    fn odd_times_do_no_harm() {
        let prices = || vec![price("a", 1.0, "2026-01-01T03:00:00Z")];
        let (early, late) = (time("2026-01-01T00:00:00Z"), time("2026-01-02T00:00:00Z"));
        assert_eq!(histories(prices(), late, early, 2)[0].values, [Some(1.0), Some(1.0)]);
        assert_eq!(histories(prices(), early, early, 1)[0].values, [Some(1.0)]);
        assert_eq!(histories(prices(), early, late, 0)[0].values, []);
        assert_eq!(histories(vec![], early, late, 3), []);
        let whole = (Timestamp::MIN, Timestamp::MAX);
        assert_eq!(histories(prices(), whole.0, whole.1, 3)[0].values.len(), 3);
    }
}
