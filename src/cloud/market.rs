//! What the market says: placement scores, list prices, and which instance types there are.

use serde::{Deserialize, Serialize};

use super::{Architecture, InstanceType};

/// Which placement scores are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScoreQuery {
    /// The instance types, any of which will do. With fewer than three, scores are low: EC2 takes a
    /// request for little choice as unlikely to be fulfilled.
    pub types: Vec<String>,
    /// How many instances are wanted.
    pub count: u32,
    /// The regions; all when there are none.
    pub regions: Vec<String>,
    /// Whether each zone is scored for itself, for all of the instances in that zone.
    pub zones: bool,
}

/// How likely a region or a zone is to have what is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacementScore {
    /// The region.
    pub region: String,
    /// The zone's name in this account, when zones were asked for and its name is known.
    pub zone: Option<String>,
    /// The zone's id, when zones were asked for.
    pub zone_id: Option<String>,
    /// From 1, unlikely, to 10, almost certain; no promise.
    pub score: u8,
}

/// What an instance type costs on demand (Linux, shared tenancy).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListPrice {
    /// The region.
    pub region: String,
    /// The instance type.
    #[serde(rename = "type")]
    pub instance_type: String,
    /// US dollars for an hour.
    pub hourly: f64,
}

/// Bounds of a number, both included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bounds {
    /// At least this.
    pub min: Option<u64>,
    /// At most this.
    pub max: Option<u64>,
}

impl Bounds {
    /// At least so many.
    pub fn at_least(min: u64) -> Bounds {
        Bounds { min: Some(min), max: None }
    }

    /// Whether a number is inside.
    pub fn contains(self, number: u64) -> bool {
        self.min.is_none_or(|min| number >= min) && self.max.is_none_or(|max| number <= max)
    }
}

/// Which instance types are looked for; what is left out does not restrict.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TypeQuery {
    /// Only these, all when there are none. Of those that are named nothing else is assumed.
    pub names: Vec<String>,
    /// Virtual processors.
    pub vcpu: Bounds,
    /// Memory in MiB.
    pub memory_mib: Bounds,
    /// The architecture.
    pub architecture: Option<Architecture>,
    /// Graphics processors. Without a bound only types that have none are found.
    pub gpus: Bounds,
    /// Whether it must be, or must not be, of those that save up processor time (`t3`, …).
    pub burstable: Option<bool>,
    /// Whether types that AWS calls the previous generation will do.
    pub previous_generation: bool,
}

impl TypeQuery {
    /// Whether a type is what is looked for.
    pub fn fits(&self, it: &InstanceType) -> bool {
        if !self.names.is_empty() && !self.names.contains(&it.name) {
            return false;
        }
        let gpus = match (self.gpus.min, self.gpus.max) {
            (None, None) => it.gpus == 0 || !self.names.is_empty(),
            _ => self.gpus.contains(u64::from(it.gpus)),
        };
        gpus && self.vcpu.contains(u64::from(it.vcpu))
            && self.memory_mib.contains(it.memory_mib)
            && self.architecture.is_none_or(|wanted| wanted == it.architecture)
            && self.burstable.is_none_or(|wanted| wanted == it.burstable)
    }
}

/// Whether the account has the role that the spot market needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SpotRole {
    /// It has.
    Present,
    /// It has not: an administrator, or [`Cloud::make_spot_role`](super::Cloud::make_spot_role), makes it.
    Absent,
    /// It may not be looked at with these credentials.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(name: &str, vcpu: u32, gpus: u32) -> InstanceType {
        InstanceType {
            name: name.to_owned(),
            architecture: Architecture::X86_64,
            vcpu,
            memory_mib: 4096,
            spot: true,
            gpus,
            burstable: name.starts_with('t'),
        }
    }

    #[test]
    fn a_query_bounds_what_it_names() {
        let query = TypeQuery { vcpu: Bounds { min: Some(2), max: Some(4) }, ..TypeQuery::default() };
        assert!(query.fits(&kind("m5.large", 2, 0)) && query.fits(&kind("m5.xlarge", 4, 0)));
        assert!(!query.fits(&kind("m5.2xlarge", 8, 0)));
        // Who wants no graphics processor does not want to pay for one.
        assert!(!query.fits(&kind("g5.xlarge", 4, 1)));
        let graphics = TypeQuery { gpus: Bounds::at_least(1), ..TypeQuery::default() };
        assert!(graphics.fits(&kind("g5.xlarge", 4, 1)) && !graphics.fits(&kind("m5.large", 2, 0)));
        let steady = TypeQuery { burstable: Some(false), ..TypeQuery::default() };
        assert!(!steady.fits(&kind("t3.medium", 2, 0)) && steady.fits(&kind("m5.large", 2, 0)));
        let named = TypeQuery { names: vec!["g5.xlarge".to_owned()], ..TypeQuery::default() };
        assert!(named.fits(&kind("g5.xlarge", 4, 1)) && !named.fits(&kind("m5.large", 2, 0)));
        let arm = TypeQuery { architecture: Some(Architecture::Arm64), ..TypeQuery::default() };
        assert!(!arm.fits(&kind("m5.large", 2, 0)));
    }
}
