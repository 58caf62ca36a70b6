//! IPv6 blocks of networks and subnets.

use std::net::Ipv6Addr;

use serde::{Deserialize, Serialize};

use super::chance::Chance;

/// An IPv6 block that belongs to a network or a subnet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Ipv6Block {
    /// The id that ties the block to its owner.
    pub association: String,
    pub base: Ipv6Addr,
    pub prefix: u8,
}

impl Ipv6Block {
    /// The block of `prefix` leading bits around an address.
    pub fn new(association: String, address: Ipv6Addr, prefix: u8) -> Self {
        let prefix = prefix.min(128);
        Ipv6Block { association, base: Ipv6Addr::from(u128::from(address) & mask(prefix)), prefix }
    }

    /// Reads `2600:…/56`.
    pub fn parse(association: String, text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let prefix = prefix.parse().ok().filter(|prefix| *prefix <= 128)?;
        Some(Self::new(association, address.parse().ok()?, prefix))
    }

    /// Whether an address lies in it.
    pub fn contains(&self, address: Ipv6Addr) -> bool {
        u128::from(address) & mask(self.prefix) == u128::from(self.base)
    }

    /// Whether another block lies in it as a whole.
    pub fn covers(&self, other: &Ipv6Block) -> bool {
        other.prefix >= self.prefix && self.contains(other.base)
    }

    /// An address in it, at random: two are never the same in practice.
    pub fn random(&self, chance: &Chance) -> Ipv6Addr {
        Ipv6Addr::from(u128::from(self.base) | (chance.wide() & !mask(self.prefix)))
    }

    /// `2600:…/56`.
    pub fn cidr(&self) -> String {
        format!("{}/{}", self.base, self.prefix)
    }
}

fn mask(prefix: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_know_what_lies_in_them() {
        let block = Ipv6Block::parse("a".into(), "2600:1f14:abc:de12::1/56").unwrap();
        assert_eq!(block.cidr(), "2600:1f14:abc:de00::/56");
        assert!(block.covers(&Ipv6Block::parse("b".into(), "2600:1f14:abc:de05::/64").unwrap()));
        assert!(!block.covers(&Ipv6Block::parse("b".into(), "2600:1f14:abc:df05::/64").unwrap()));
        assert!(block.contains(block.random(&Chance::default())));
        assert!(Ipv6Block::parse("a".into(), "10.0.0.0/8").is_none());
    }
}
