//! IPv4 address blocks.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An IPv4 block such as `10.0.0.0/16`; host bits are cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(in super::super) struct Cidr {
    base: u32,
    prefix: u8,
}

impl Cidr {
    /// The block of `prefix` leading bits (0 to 32) around an address.
    pub fn new(address: Ipv4Addr, prefix: u8) -> Self {
        let prefix = prefix.min(32);
        Cidr { base: u32::from(address) & mask(prefix), prefix }
    }

    /// Leading bits.
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// How many addresses it has.
    pub fn size(self) -> u64 {
        1 << (32 - u32::from(self.prefix))
    }

    /// Its `n`-th address, if it has so many.
    pub fn address(self, n: u64) -> Option<Ipv4Addr> {
        (n < self.size()).then(|| Ipv4Addr::from(self.base.wrapping_add(n as u32)))
    }

    /// Whether an address lies in it.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        u32::from(address) & mask(self.prefix) == self.base
    }

    /// Whether another block lies in it as a whole.
    pub fn covers(self, other: Cidr) -> bool {
        other.prefix >= self.prefix && self.contains(Ipv4Addr::from(other.base))
    }

    /// Whether it shares an address with another block.
    pub fn overlaps(self, other: Cidr) -> bool {
        self.covers(other) || other.covers(self)
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.base), self.prefix)
    }
}

/// Text that is not an IPv4 block.
#[derive(Debug)]
pub(in super::super) struct NotACidr;

impl fmt::Display for NotACidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an IPv4 address block")
    }
}

impl FromStr for Cidr {
    type Err = NotACidr;

    fn from_str(text: &str) -> Result<Self, NotACidr> {
        let (address, prefix) = text.split_once('/').ok_or(NotACidr)?;
        let address: Ipv4Addr = address.parse().map_err(|_| NotACidr)?;
        let prefix: u8 = prefix.parse().map_err(|_| NotACidr)?;
        if prefix > 32 {
            return Err(NotACidr);
        }
        Ok(Cidr::new(address, prefix))
    }
}

impl TryFrom<String> for Cidr {
    type Error = NotACidr;

    fn try_from(text: String) -> Result<Self, NotACidr> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> String {
        cidr.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_know_what_lies_in_them() {
        let block: Cidr = "10.0.5.7/16".parse().unwrap();
        assert_eq!(block.to_string(), "10.0.0.0/16");
        assert!(block.covers("10.0.255.0/24".parse().unwrap()));
        assert!(!block.covers("10.1.0.0/24".parse().unwrap()));
        assert!(block.overlaps("10.0.0.0/8".parse().unwrap()));
        assert_eq!(block.address(258), Some(Ipv4Addr::new(10, 0, 1, 2)));
        assert_eq!(block.address(65_536), None);
        let all: Cidr = "0.0.0.0/0".parse().unwrap();
        assert!(all.covers(block) && all.size() == 1 << 32);
        for bad in ["10.0.0.0", "10.0.0.0/33", "x/8", ""] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
    }
}
