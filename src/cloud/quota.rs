//! How many vCPUs an account may run: quotas count them by family of instance types and by market.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Market;

/// Instance types that share a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// A, C, D, H, I, M, R, T and Z.
    Standard,
    /// G, Gr and VT.
    G,
    /// P2, P3 and P4; newer ones have spot quotas of their own, see [`Family::Other`].
    P,
    /// X.
    X,
    /// F.
    F,
    /// Inf.
    Inf,
    /// Trn.
    Trn,
    /// DL.
    Dl,
    /// Whatever else there is; its quota is not looked up.
    Other,
}

/// The codes of the quotas, as Service Quotas names them; the same in every region.
const CODES: &[(Family, Market, &str)] = &[
    (Family::Standard, Market::Spot, "L-34B43A08"),
    (Family::Standard, Market::OnDemand, "L-1216C47A"),
    (Family::G, Market::Spot, "L-3819A6DF"),
    (Family::G, Market::OnDemand, "L-DB2E81BA"),
    (Family::P, Market::Spot, "L-7212CCBC"),
    (Family::P, Market::OnDemand, "L-417A185B"),
    (Family::X, Market::Spot, "L-E3A00192"),
    (Family::X, Market::OnDemand, "L-7295265B"),
    (Family::F, Market::Spot, "L-88CF9481"),
    (Family::F, Market::OnDemand, "L-74FC7D96"),
    (Family::Inf, Market::Spot, "L-B5D1601B"),
    (Family::Inf, Market::OnDemand, "L-1945791B"),
    (Family::Trn, Market::OnDemand, "L-2C3B7624"),
    (Family::Dl, Market::Spot, "L-85EED4F7"),
    (Family::Dl, Market::OnDemand, "L-6E869C2A"),
];

impl Family {
    /// The family of an instance type such as `m5.large`.
    pub fn of(instance_type: &str) -> Family {
        let series = instance_type.split('.').next().unwrap_or_default();
        let letters = series.split(|letter: char| !letter.is_ascii_lowercase()).next().unwrap_or_default();
        let generation = series.get(letters.len()..).and_then(|rest| rest.chars().next());
        match letters {
            "a" | "c" | "d" | "h" | "i" | "im" | "is" | "m" | "r" | "t" | "z" => Family::Standard,
            "g" | "gr" | "vt" => Family::G,
            "p" if matches!(generation, Some('2'..='4')) => Family::P,
            "x" => Family::X,
            "f" => Family::F,
            "inf" => Family::Inf,
            "trn" => Family::Trn,
            "dl" => Family::Dl,
            _ => Family::Other,
        }
    }

    /// The code of its quota in a market, where it is known.
    pub fn quota_code(self, market: Market) -> Option<&'static str> {
        CODES.iter().find(|(family, of, _)| (*family, *of) == (self, market)).map(|(_, _, code)| *code)
    }

    /// The word that scripts see.
    pub fn as_str(self) -> &'static str {
        match self {
            Family::Standard => "standard",
            Family::G => "g",
            Family::P => "p",
            Family::X => "x",
            Family::F => "f",
            Family::Inf => "inf",
            Family::Trn => "trn",
            Family::Dl => "dl",
            Family::Other => "other",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How many vCPUs of a family may run in a region, and how many do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// The region.
    pub region: String,
    /// The market it is for.
    pub market: Market,
    /// The family it is for.
    pub family: Family,
    /// Its code at Service Quotas.
    pub code: String,
    /// vCPUs that may run; `None` when it could not be read.
    pub limit: Option<u32>,
    /// vCPUs that run or are starting now.
    pub used: u32,
}

impl Quota {
    /// vCPUs that may still be started; `None` when the limit is unknown.
    pub fn room(&self) -> Option<u32> {
        self.limit.map(|limit| limit.saturating_sub(self.used))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_belong_to_the_family_of_their_letters_and_not_of_their_first_letter() {
        for (name, family) in [
            ("t3.medium", Family::Standard),
            ("m7i-flex.large", Family::Standard),
            ("im4gn.large", Family::Standard),
            ("hpc7a.96xlarge", Family::Other),
            ("inf2.xlarge", Family::Inf),
            ("trn1.2xlarge", Family::Trn),
            ("dl1.24xlarge", Family::Dl),
            ("vt1.3xlarge", Family::G),
            ("g5g.xlarge", Family::G),
            ("p4d.24xlarge", Family::P),
            ("p5.48xlarge", Family::Other),
            ("x2gd.medium", Family::X),
            ("u-6tb1.56xlarge", Family::Other),
            ("mac2.metal", Family::Other),
            ("", Family::Other),
        ] {
            assert_eq!(Family::of(name), family, "{name}");
        }
    }

    #[test]
    fn every_family_but_the_rest_has_a_code_and_no_two_share_one() {
        assert_eq!(Family::Standard.quota_code(Market::Spot), Some("L-34B43A08"));
        assert_eq!(Family::Other.quota_code(Market::Spot), None);
        let mut codes: Vec<&str> = CODES.iter().map(|(_, _, code)| *code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), CODES.len());
    }

    #[test]
    fn a_quota_that_is_overdrawn_has_no_room() {
        let quota = |limit| Quota {
            region: "r".to_owned(),
            market: Market::Spot,
            family: Family::Standard,
            code: "L-34B43A08".to_owned(),
            limit,
            used: 10,
        };
        assert_eq!(quota(Some(32)).room(), Some(22));
        assert_eq!(quota(Some(5)).room(), Some(0));
        assert_eq!(quota(None).room(), None);
    }
}
