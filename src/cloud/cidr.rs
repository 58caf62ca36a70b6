//! Address ranges as security groups know them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::error::{Error, Result};

/// An address range in the form that EC2 keeps it: the bits behind the prefix are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// The range that is one address.
    pub fn host(address: IpAddr) -> Self {
        let prefix = if address.is_ipv4() { 32 } else { 128 };
        Cidr { address, prefix }
    }

    /// Whether it is a range of IPv6.
    pub fn is_ipv6(&self) -> bool {
        self.address.is_ipv6()
    }
}

impl FromStr for Cidr {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong =
            || Error::usage(format!("`{text}` is not an address range, expected one like `203.0.113.0/24`"));
        let Some((address, prefix)) = text.split_once('/') else {
            return Ok(Cidr::host(text.parse().map_err(|_| wrong())?));
        };
        let prefix: u8 = prefix.parse().map_err(|_| wrong())?;
        let address = match address.parse().map_err(|_| wrong())? {
            IpAddr::V4(v4) if prefix <= 32 => {
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask))
            }
            IpAddr::V6(v6) if prefix <= 128 => {
                let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
            }
            _ => return Err(wrong()),
        };
        Ok(Cidr { address, prefix })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_brought_into_the_form_that_ec2_keeps() {
        for (given, kept) in [
            ("203.0.113.7", "203.0.113.7/32"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:db8::1", "2001:db8::1/128"),
            ("2001:db8::1/32", "2001:db8::/32"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(given.parse::<Cidr>().unwrap().to_string(), kept);
        }
    }

    #[test]
    fn what_is_no_range_is_refused_by_name() {
        for wrong in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "example.org/8", "1.2.3.4/"] {
            let error = wrong.parse::<Cidr>().unwrap_err();
            assert!(error.message().contains(&format!("`{wrong}`")), "{error}");
        }
    }
}
