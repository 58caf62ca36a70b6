//! The instance types the sandbox offers, with their true sizes.

/// An instance type.
#[derive(Debug)]
pub(super) struct InstanceType {
    /// `t3.medium`.
    pub name: &'static str,
    /// Virtual processors.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory: u32,
    /// Its family's common facts.
    pub family: &'static Family,
    /// Linux on-demand price in US dollars per hour in us-east-1.
    pub on_demand: f64,
    /// `Up to 5 Gigabit`.
    pub network: &'static str,
    /// Most network interfaces, and addresses on each.
    pub interfaces: (u32, u32),
}

/// What the sizes of a family share.
#[derive(Debug)]
pub(super) struct Family {
    /// `x86_64` or `arm64`.
    pub architecture: &'static str,
    /// Threads of a core.
    pub threads: u32,
    /// Sustained clock speed in GHz.
    pub clock: f64,
    /// Who made the processor.
    pub manufacturer: &'static str,
    /// `nitro` or `xen`.
    pub hypervisor: &'static str,
    /// Whether its performance is measured in CPU credits.
    pub burstable: bool,
    /// Name and memory in MiB of its GPU, if it has one.
    pub gpu: Option<(&'static str, u32)>,
    /// Local NVMe storage in GB of the size listed here; 0 for none.
    pub storage: u32,
}

const fn family(architecture: &'static str, threads: u32, clock: f64, manufacturer: &'static str) -> Family {
    Family {
        architecture,
        threads,
        clock,
        manufacturer,
        hypervisor: "nitro",
        burstable: false,
        gpu: None,
        storage: 0,
    }
}

const fn intel(clock: f64) -> Family {
    family("x86_64", 2, clock, "Intel")
}

const fn graviton(clock: f64) -> Family {
    family("arm64", 1, clock, "AWS")
}

static T2: Family = Family { hypervisor: "xen", burstable: true, threads: 1, ..intel(2.5) };
static T3: Family = Family { burstable: true, ..intel(2.5) };
static T3A: Family = Family { burstable: true, ..family("x86_64", 2, 2.2, "AMD") };
static T4G: Family = Family { burstable: true, ..graviton(2.5) };
static M5: Family = intel(3.1);
static M6I: Family = intel(3.5);
static M6G: Family = graviton(2.5);
static M7I: Family = intel(3.2);
static M7G: Family = graviton(2.6);
static M7A: Family = family("x86_64", 1, 3.7, "AMD");
static C5: Family = intel(3.4);
static C6G: Family = graviton(2.5);
static C7G: Family = graviton(2.6);
static C7A: Family = family("x86_64", 1, 3.7, "AMD");
static G4DN: Family = Family { gpu: Some(("T4", 16_384)), storage: 125, ..intel(2.5) };
static G5: Family = Family { gpu: Some(("A10G", 24_576)), storage: 250, ..family("x86_64", 2, 2.8, "AMD") };

const fn of(
    name: &'static str,
    vcpus: u32,
    gibibytes: f64,
    family: &'static Family,
    on_demand: f64,
    network: &'static str,
    interfaces: (u32, u32),
) -> InstanceType {
    let memory = (gibibytes * 1024.0) as u32;
    InstanceType { name, vcpus, memory, family, on_demand, network, interfaces }
}

const LOW: &str = "Low to Moderate";
const UP_5: &str = "Up to 5 Gigabit";
const UP_10: &str = "Up to 10 Gigabit";
const UP_12: &str = "Up to 12.5 Gigabit";
const UP_15: &str = "Up to 15 Gigabit";
const UP_25: &str = "Up to 25 Gigabit";

/// Every type, in the order of the table.
pub(super) static TYPES: &[InstanceType] = &[
    of("t2.micro", 1, 1.0, &T2, 0.0116, LOW, (2, 2)),
    of("t2.small", 1, 2.0, &T2, 0.023, LOW, (3, 4)),
    of("t2.medium", 2, 4.0, &T2, 0.0464, LOW, (3, 6)),
    of("t2.large", 2, 8.0, &T2, 0.0928, LOW, (3, 12)),
    of("t3.nano", 2, 0.5, &T3, 0.0052, UP_5, (2, 2)),
    of("t3.micro", 2, 1.0, &T3, 0.0104, UP_5, (2, 2)),
    of("t3.small", 2, 2.0, &T3, 0.0208, UP_5, (3, 4)),
    of("t3.medium", 2, 4.0, &T3, 0.0416, UP_5, (3, 6)),
    of("t3.large", 2, 8.0, &T3, 0.0832, UP_5, (3, 12)),
    of("t3.xlarge", 4, 16.0, &T3, 0.1664, UP_5, (4, 15)),
    of("t3.2xlarge", 8, 32.0, &T3, 0.3328, UP_5, (4, 15)),
    of("t3a.nano", 2, 0.5, &T3A, 0.0047, UP_5, (2, 2)),
    of("t3a.micro", 2, 1.0, &T3A, 0.0094, UP_5, (2, 2)),
    of("t3a.small", 2, 2.0, &T3A, 0.0188, UP_5, (2, 4)),
    of("t3a.medium", 2, 4.0, &T3A, 0.0376, UP_5, (3, 6)),
    of("t3a.large", 2, 8.0, &T3A, 0.0752, UP_5, (3, 12)),
    of("t3a.xlarge", 4, 16.0, &T3A, 0.1504, UP_5, (4, 15)),
    of("t4g.nano", 2, 0.5, &T4G, 0.0042, UP_5, (2, 2)),
    of("t4g.micro", 2, 1.0, &T4G, 0.0084, UP_5, (2, 2)),
    of("t4g.small", 2, 2.0, &T4G, 0.0168, UP_5, (3, 4)),
    of("t4g.medium", 2, 4.0, &T4G, 0.0336, UP_5, (3, 6)),
    of("t4g.large", 2, 8.0, &T4G, 0.0672, UP_5, (3, 12)),
    of("t4g.xlarge", 4, 16.0, &T4G, 0.1344, UP_5, (4, 15)),
    of("m5.large", 2, 8.0, &M5, 0.096, UP_10, (3, 10)),
    of("m5.xlarge", 4, 16.0, &M5, 0.192, UP_10, (4, 15)),
    of("m5.2xlarge", 8, 32.0, &M5, 0.384, UP_10, (4, 15)),
    of("m6i.large", 2, 8.0, &M6I, 0.096, UP_12, (3, 10)),
    of("m6i.xlarge", 4, 16.0, &M6I, 0.192, UP_12, (4, 15)),
    of("m6g.medium", 1, 4.0, &M6G, 0.0385, UP_10, (2, 4)),
    of("m6g.large", 2, 8.0, &M6G, 0.077, UP_10, (3, 10)),
    of("m7i.large", 2, 8.0, &M7I, 0.1008, UP_12, (3, 10)),
    of("m7i.xlarge", 4, 16.0, &M7I, 0.2016, UP_12, (4, 15)),
    of("m7g.medium", 1, 4.0, &M7G, 0.0408, UP_12, (2, 4)),
    of("m7g.large", 2, 8.0, &M7G, 0.0816, UP_12, (3, 10)),
    of("m7a.medium", 1, 4.0, &M7A, 0.05796, UP_12, (2, 4)),
    of("m7a.large", 2, 8.0, &M7A, 0.11592, UP_12, (3, 10)),
    of("c5.large", 2, 4.0, &C5, 0.085, UP_10, (3, 10)),
    of("c5.xlarge", 4, 8.0, &C5, 0.17, UP_10, (4, 15)),
    of("c5.2xlarge", 8, 16.0, &C5, 0.34, UP_10, (4, 15)),
    of("c6i.large", 2, 4.0, &M6I, 0.085, UP_12, (3, 10)),
    of("c6i.xlarge", 4, 8.0, &M6I, 0.17, UP_12, (4, 15)),
    of("c6g.large", 2, 4.0, &C6G, 0.068, UP_10, (3, 10)),
    of("c7g.medium", 1, 2.0, &C7G, 0.0363, UP_12, (2, 4)),
    of("c7g.large", 2, 4.0, &C7G, 0.0725, UP_12, (3, 10)),
    of("c7a.medium", 1, 2.0, &C7A, 0.05132, UP_12, (2, 4)),
    of("c7a.large", 2, 4.0, &C7A, 0.10264, UP_12, (3, 10)),
    of("r5.large", 2, 16.0, &M5, 0.126, UP_10, (3, 10)),
    of("r5.xlarge", 4, 32.0, &M5, 0.252, UP_10, (4, 15)),
    of("r6i.large", 2, 16.0, &M6I, 0.126, UP_12, (3, 10)),
    of("r7g.large", 2, 16.0, &M7G, 0.1071, UP_12, (3, 10)),
    of("g4dn.xlarge", 4, 16.0, &G4DN, 0.526, UP_25, (3, 10)),
    of("g5.xlarge", 4, 16.0, &G5, 1.006, UP_10, (4, 15)),
    of("c7i.large", 2, 4.0, &M7I, 0.08925, UP_12, (3, 10)),
    of("r7i.large", 2, 16.0, &M7I, 0.1323, UP_12, (3, 10)),
    of("c7g.xlarge", 4, 8.0, &C7G, 0.145, UP_12, (4, 15)),
    of("m7g.xlarge", 4, 16.0, &M7G, 0.1632, UP_12, (4, 15)),
    of("m6g.xlarge", 4, 16.0, &M6G, 0.154, UP_10, (4, 15)),
    of("c7g.2xlarge", 8, 16.0, &C7G, 0.29, UP_15, (4, 15)),
];

/// The type of a name.
pub(super) fn find(name: &str) -> Option<&'static InstanceType> {
    TYPES.iter().find(|known| known.name == name)
}

impl InstanceType {
    /// Whether a zone has machines of this type. As in the real world, us-east-1e has only old ones.
    pub fn offered_in(&self, zone: &str) -> bool {
        zone != "us-east-1e" || self.family.hypervisor == "xen"
    }

    /// Cores: virtual processors divided by the threads of a core.
    pub fn cores(&self) -> u32 {
        (self.vcpus / self.family.threads.max(1)).max(1)
    }

    /// Whether it belongs to the free tier.
    pub fn free_tier(&self) -> bool {
        matches!(self.name, "t2.micro" | "t3.micro" | "t4g.small")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_true() {
        let medium = find("t3.medium").unwrap();
        assert_eq!((medium.vcpus, medium.memory, medium.family.architecture), (2, 4096, "x86_64"));
        assert_eq!(find("t3.nano").unwrap().memory, 512);
        assert_eq!(find("c7g.large").unwrap().family.architecture, "arm64");
        assert!(find("t9.huge").is_none());
    }

    #[test]
    fn no_type_is_listed_twice() {
        let names: std::collections::BTreeSet<_> = TYPES.iter().map(|known| known.name).collect();
        assert_eq!(names.len(), TYPES.len());
    }
}
