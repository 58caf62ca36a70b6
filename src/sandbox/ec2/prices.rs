//! Spot prices: made up, plausible, and the same for the same seed.

use std::time::Duration;

use super::moment::Moment;
use super::regions::Place;
use super::types::InstanceType;
use crate::sandbox::faults::dice::fraction;

/// How long a price lasts.
const STEP_SECONDS: u64 = 3600;
/// How far back the history goes.
pub(super) const HISTORY: Duration = Duration::from_secs(90 * 24 * 3600);

/// What may run on an instance, and what its licence adds to the price of each virtual processor.
pub(super) const PRODUCTS: &[(&str, f64)] = &[("Linux/UNIX", 0.0), ("Windows", 0.023)];

/// The spot price in US dollars per hour of a type in a zone at a time.
///
/// A zone and type has its own level between 28 % and 52 % of the on-demand price, and moves around
/// it by at most a tenth.
pub(super) fn spot(
    seed: u64,
    place: &Place,
    zone: &str,
    kind: &InstanceType,
    licence: f64,
    at: Moment,
) -> f64 {
    let level = 0.28 + 0.24 * fraction(seed, &[zone, kind.name]);
    let step = (at.seconds() / STEP_SECONDS).to_string();
    let drift = 0.9 + 0.2 * fraction(seed, &[zone, kind.name, &step]);
    let price = kind.on_demand * place.price_level * level * drift + licence * f64::from(kind.vcpus);
    // EC2 tells prices to a hundredth of a cent.
    (price * 10_000.0).round().max(1.0) / 10_000.0
}

/// The moments between `from` and `to` at which prices changed, newest first, ending with the one
/// whose price was in force at `from`.
pub(super) fn changes(from: Moment, to: Moment) -> Vec<Moment> {
    let first = from.seconds() / STEP_SECONDS;
    let last = to.seconds() / STEP_SECONDS;
    (first..=last).rev().map(|step| Moment::from_seconds(step * STEP_SECONDS)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{regions, types};
    use super::*;

    #[test]
    fn prices_are_plausible_and_repeatable() {
        let place = regions::find("us-west-2").unwrap();
        let now = Moment::from_seconds(1_795_000_000);
        for kind in types::TYPES {
            for zone in place.zones() {
                let price = spot(7, place, &zone.name, kind, 0.0, now);
                assert_eq!(price, spot(7, place, &zone.name, kind, 0.0, now));
                assert!(
                    price > 0.2 * kind.on_demand && price < 0.7 * kind.on_demand,
                    "{} {price}",
                    kind.name
                );
            }
        }
        let medium = types::find("t3.medium").unwrap();
        assert_ne!(
            spot(7, place, "us-west-2a", medium, 0.0, now),
            spot(8, place, "us-west-2a", medium, 0.0, now)
        );
    }

    #[test]
    fn the_history_starts_with_the_price_in_force() {
        let now = Moment::from_seconds(STEP_SECONDS * 10 + 5);
        assert_eq!(changes(now, now), [Moment::from_seconds(STEP_SECONDS * 10)]);
        assert_eq!(changes(now.minus(Duration::from_secs(STEP_SECONDS)), now).len(), 2);
    }
}
