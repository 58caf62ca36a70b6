//! The whole cloud, as `cloud.json` holds it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use rand::RngExt as _;
use serde::{Deserialize, Serialize};

use super::instance::Pace;
use super::region::Region;
use crate::sandbox::ec2::moment::Moment;

/// The format that this program writes.
pub(in super::super) const VERSION: u32 = 1;

/// Every region that has been used, and the addresses given out in all of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in super::super) struct Cloud {
    pub version: u32,
    pub regions: BTreeMap<String, Region>,
    pub addresses: BTreeSet<Ipv4Addr>,
    /// Service-linked roles that were created, by name.
    #[serde(default)]
    pub roles: BTreeSet<String>,
    /// How many spot instances there have ever been.
    #[serde(default)]
    pub spot_launched: u64,
    /// How often an endpoint has taken it up, or was given other faults: the same seed draws other ids
    /// each time.
    #[serde(default)]
    pub generation: u64,
}

impl Default for Cloud {
    fn default() -> Self {
        Cloud {
            version: VERSION,
            regions: BTreeMap::new(),
            addresses: BTreeSet::new(),
            roles: BTreeSet::new(),
            spot_launched: 0,
            generation: 0,
        }
    }
}

impl Cloud {
    /// Lets time take effect everywhere.
    pub fn settle(&mut self, now: Moment, pace: Pace) {
        for region in self.regions.values_mut() {
            for address in region.settle(now, pace) {
                self.addresses.remove(&address);
            }
        }
    }
}

/// Takes an address of 127.64.0.0/10 that no instance has, at random, so that two sandboxes on one
/// machine seldom meet; none if the block is (nearly) full.
pub(in super::super) fn take_address(taken: &mut BTreeSet<Ipv4Addr>) -> Option<Ipv4Addr> {
    let mut random = rand::rng();
    for _ in 0..10_000 {
        let address =
            Ipv4Addr::new(127, random.random_range(64..128), random.random(), random.random_range(1..255));
        if taken.insert(address) {
            return Some(address);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_unique_and_in_the_block() {
        let mut taken = BTreeSet::new();
        let block: super::super::cidr::Cidr = "127.64.0.0/10".parse().unwrap();
        for _ in 0..2_000 {
            assert!(block.contains(take_address(&mut taken).unwrap()));
        }
        assert_eq!(taken.len(), 2_000);
    }
}
