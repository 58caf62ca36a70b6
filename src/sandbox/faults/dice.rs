//! Chance that depends on what is asked, never on the order in which it is asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A number from 0 to below 1 that depends on nothing but its arguments.
pub(in crate::sandbox) fn fraction(seed: u64, words: &[&str]) -> f64 {
    (number(seed, words) >> 11) as f64 / (1u64 << 53) as f64
}

/// A number that depends on nothing but its arguments (FNV-1a, then mixed).
pub(in crate::sandbox) fn number(seed: u64, words: &[&str]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for byte in words.iter().flat_map(|word| word.bytes().chain([0])) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// Tells the first, second, … of equal requests apart. Clones count together.
#[derive(Debug, Clone, Default)]
pub(in crate::sandbox) struct Occurrences(Arc<Mutex<HashMap<u64, u32>>>);

impl Occurrences {
    /// The lot of a request: of everything that is drawn for it.
    pub fn next(&self, seed: u64, action: &str, region: &str, identity: &str) -> Lot {
        let request = number(0, &[action, region, identity]);
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let nth = seen.entry(request).or_default();
        *nth = nth.saturating_add(1);
        Lot { seed: number(seed, &[action, region, identity, &nth.to_string()]), nth: *nth }
    }
}

/// What is drawn for one request. Equal for the same seed, the same request and the same number of equal
/// requests before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) struct Lot {
    seed: u64,
    /// Which of the equal requests it is, from 1.
    pub nth: u32,
}

impl Lot {
    /// A number for a purpose.
    pub fn number(&self, purpose: &str) -> u64 {
        number(self.seed, &[purpose])
    }

    /// A number from 0 to below 1 for a purpose.
    pub fn fraction(&self, purpose: &str) -> f64 {
        fraction(self.seed, &[purpose])
    }

    /// Whether something strikes that does so with a probability.
    pub fn strikes(&self, purpose: &str, share: f64) -> bool {
        share > 0.0 && self.fraction(purpose) < share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_requests_changes_nothing() {
        let draw = |seed: u64, order: &[&str]| {
            let occurrences = Occurrences::default();
            let mut lots: Vec<_> = order
                .iter()
                .map(|request| {
                    let lot = occurrences.next(seed, request, "us-west-2", "");
                    (request.to_string(), lot.nth, lot.strikes("throttle", 0.5))
                })
                .collect();
            lots.sort();
            lots
        };
        let order = ["a", "b", "a", "c", "a", "b", "d", "e", "f", "g"];
        let mut other = order;
        other.reverse();
        assert_eq!(draw(1, &order), draw(1, &other));
        assert_ne!(draw(1, &order), draw(2, &order));
    }

    #[test]
    fn a_share_is_met() {
        let occurrences = Occurrences::default();
        let struck = (0..10_000)
            .filter(|_| occurrences.next(7, "DescribeVpcs", "us-west-2", "").strikes("throttle", 0.2))
            .count();
        assert!((1_800..2_200).contains(&struck), "{struck}");
        let lot = occurrences.next(7, "x", "", "");
        assert!(lot.strikes("throttle", 1.0) && !lot.strikes("throttle", 0.0));
    }
}
