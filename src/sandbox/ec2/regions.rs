//! The regions and Availability Zones of the sandbox: those of a new AWS account.

/// A region of AWS.
#[derive(Debug)]
pub(super) struct Place {
    /// `us-west-2`.
    pub name: &'static str,
    /// The start of its zone ids: `usw2`.
    pub short: &'static str,
    /// Letter and zone number of each Availability Zone; none in a region that is not enabled.
    pub zones: &'static [(char, u8)],
    /// On-demand price level against us-east-1.
    pub price_level: f64,
}

/// An Availability Zone.
#[derive(Debug, Clone)]
pub(super) struct Zone {
    /// `us-west-2a`.
    pub name: String,
    /// `usw2-az1`.
    pub id: String,
    /// The region's name.
    pub region: &'static str,
}

impl Place {
    /// Whether the account may use the region: all but those that must be opted in to.
    pub fn enabled(&self) -> bool {
        !self.zones.is_empty()
    }

    /// The Availability Zones, in the order of their letters.
    pub fn zones(&self) -> Vec<Zone> {
        self.zones
            .iter()
            .map(|(letter, number)| Zone {
                name: format!("{}{letter}", self.name),
                id: format!("{}-az{number}", self.short),
                region: self.name,
            })
            .collect()
    }
}

/// The region of a name.
pub(super) fn find(name: &str) -> Option<&'static Place> {
    PLACES.iter().find(|place| place.name == name)
}

const AC: &[(char, u8)] = &[('a', 1), ('c', 3)];
const ABC: &[(char, u8)] = &[('a', 1), ('b', 2), ('c', 3)];
const ABCD: &[(char, u8)] = &[('a', 1), ('b', 2), ('c', 3), ('d', 4)];

const fn enabled(name: &'static str, short: &'static str, zones: &'static [(char, u8)], level: f64) -> Place {
    Place { name, short, zones, price_level: level }
}

const fn opt_in(name: &'static str, short: &'static str) -> Place {
    Place { name, short, zones: &[], price_level: 1.2 }
}

/// Every region: the 17 that an account has from the start, then those to opt in to.
pub(super) static PLACES: &[Place] = &[
    enabled("us-east-1", "use1", &[('a', 6), ('b', 1), ('c', 2), ('d', 4), ('e', 3), ('f', 5)], 1.0),
    enabled("us-east-2", "use2", ABC, 1.0),
    enabled("us-west-1", "usw1", AC, 1.19),
    enabled("us-west-2", "usw2", ABCD, 1.0),
    enabled("ap-northeast-1", "apne1", &[('a', 4), ('c', 1), ('d', 2)], 1.31),
    enabled("ap-northeast-2", "apne2", ABCD, 1.25),
    enabled("ap-northeast-3", "apne3", ABC, 1.31),
    enabled("ap-south-1", "aps1", ABC, 1.08),
    enabled("ap-southeast-1", "apse1", ABC, 1.27),
    enabled("ap-southeast-2", "apse2", ABC, 1.27),
    enabled("ca-central-1", "cac1", &[('a', 1), ('b', 2), ('d', 4)], 1.12),
    enabled("eu-central-1", "euc1", ABC, 1.15),
    enabled("eu-north-1", "eun1", ABC, 1.04),
    enabled("eu-west-1", "euw1", ABC, 1.1),
    enabled("eu-west-2", "euw2", ABC, 1.13),
    enabled("eu-west-3", "euw3", ABC, 1.13),
    enabled("sa-east-1", "sae1", ABC, 1.61),
    opt_in("af-south-1", "afs1"),
    opt_in("ap-east-1", "ape1"),
    opt_in("ap-east-2", "ape2"),
    opt_in("ap-south-2", "aps2"),
    opt_in("ap-southeast-3", "apse3"),
    opt_in("ap-southeast-4", "apse4"),
    opt_in("ap-southeast-5", "apse5"),
    opt_in("ap-southeast-7", "apse7"),
    opt_in("ca-west-1", "caw1"),
    opt_in("eu-central-2", "euc2"),
    opt_in("eu-south-1", "eus1"),
    opt_in("eu-south-2", "eus2"),
    opt_in("il-central-1", "ilc1"),
    opt_in("me-central-1", "mec1"),
    opt_in("me-south-1", "mes1"),
    opt_in("mx-central-1", "mxc1"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seventeen_regions_are_enabled() {
        assert_eq!(PLACES.iter().filter(|place| place.enabled()).count(), 17);
        assert_eq!(find("us-west-2").unwrap().zones()[1].id, "usw2-az2");
        assert!(find("us-west-9").is_none());
    }
}
