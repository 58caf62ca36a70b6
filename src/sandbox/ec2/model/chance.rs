//! What is drawn while an action is carried out: ids, addresses inside networks, zones that nobody chose.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::sandbox::faults::dice::number;

/// Numbers that follow from a seed, or that nobody can foresee without one. The default is without.
#[derive(Debug, Default)]
pub(in super::super) struct Chance {
    seed: Option<u64>,
    drawn: AtomicU64,
}

impl Clone for Chance {
    fn clone(&self) -> Self {
        Chance { seed: self.seed, drawn: AtomicU64::new(self.drawn.load(Ordering::Relaxed)) }
    }
}

impl Chance {
    /// The numbers of a seed, from the first; without one, any.
    pub fn of(seed: Option<u64>) -> Self {
        Chance { seed, drawn: AtomicU64::new(0) }
    }

    /// The next number.
    pub fn next(&self) -> u64 {
        match self.seed {
            None => rand::random(),
            Some(seed) => {
                let nth = self.drawn.fetch_add(1, Ordering::Relaxed);
                number(seed, &["draw", &nth.to_string()])
            }
        }
    }

    /// A number below `end`, which is at least 1.
    pub fn below(&self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// A number of twice the length.
    pub fn wide(&self) -> u128 {
        u128::from(self.next()) << 64 | u128::from(self.next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_and_no_seed_gives_any() {
        let draw = |seed| {
            let chance = Chance::of(seed);
            (0..100).map(|_| chance.next()).collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(draw(Some(7)), draw(Some(7)));
        assert_eq!(draw(Some(7)).len(), 100);
        assert_ne!(draw(Some(7)), draw(Some(8)));
        assert_ne!(draw(None), draw(None));
        let chance = Chance::of(Some(1));
        assert!((0..100).all(|_| chance.below(3) < 3) && chance.below(0) == 0);
    }
}
