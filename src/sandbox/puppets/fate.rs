//! What goes wrong with which puppet.

use sha2::{Digest as _, Sha256};

/// Shares, 0 to 1, of the puppets that something is wrong with. The default is nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PuppetFaults {
    /// Which ones: the fate of the first, second, … puppet of a region depends on nothing else.
    pub seed: u64,
    /// Ports that refuse connections for ever.
    pub never_boots: f64,
    /// Hosts that accept connections and then say nothing.
    pub hangs: f64,
    /// Hosts of which every second connection ends as soon as a command is sent.
    pub drops: f64,
    /// Hosts on which every script fails.
    pub fails: f64,
}

/// What is wrong with one puppet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Well,
    NeverBoots,
    Hangs,
    Drops,
    Fails,
}

impl PuppetFaults {
    /// The fate of a puppet by its number in its region.
    pub(super) fn fate(&self, region: &str, number: u64) -> Fate {
        let digest = Sha256::digest(format!("{}/{region}/{number}", self.seed));
        let head = digest.iter().take(6).fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        let mut draw = head as f64 / (1_u64 << 48) as f64;
        for (share, fate) in [
            (self.never_boots, Fate::NeverBoots),
            (self.hangs, Fate::Hangs),
            (self.drops, Fate::Drops),
            (self.fails, Fate::Fails),
        ] {
            if draw < share {
                return fate;
            }
            draw -= share;
        }
        Fate::Well
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_met_and_fates_come_again() {
        let faults = PuppetFaults { seed: 3, never_boots: 0.25, fails: 0.25, ..PuppetFaults::default() };
        let fates: Vec<Fate> = (0..2000).map(|number| faults.fate("us-west-2", number)).collect();
        let count = |fate| fates.iter().filter(|each| **each == fate).count();
        assert!((400..600).contains(&count(Fate::NeverBoots)) && (400..600).contains(&count(Fate::Fails)));
        assert_eq!(count(Fate::Hangs), 0);
        assert_eq!(fates[7], faults.fate("us-west-2", 7));
        assert_eq!(PuppetFaults::default().fate("us-west-2", 1), Fate::Well);
    }
}
