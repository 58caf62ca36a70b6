//! The instance types the sandbox offers, with their true sizes.

mod table;

pub(super) use table::TYPES;

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
    /// `nitro` or `xen`; empty for machines without any.
    pub hypervisor: &'static str,
    /// Whether its performance is measured in CPU credits.
    pub burstable: bool,
    /// Name and memory in MiB of its GPU, if it has one.
    pub gpu: Option<(&'static str, u32)>,
    /// Local NVMe storage in GB of its smallest size; 0 for none.
    pub storage: u32,
}

/// The type of a name.
pub(super) fn find(name: &str) -> Option<&'static InstanceType> {
    TYPES.iter().find(|known| known.name == name)
}

impl InstanceType {
    /// Whether a zone has machines of this type. As in the real world, us-east-1e has only old ones.
    pub fn offered_in(&self, zone: &str) -> bool {
        zone != "us-east-1e" || self.family.hypervisor == "xen"
    }

    /// Whether it is a machine without a hypervisor.
    pub fn bare(&self) -> bool {
        self.family.hypervisor.is_empty()
    }

    /// Whether it has the interfaces of the Nitro system.
    pub fn nitro(&self) -> bool {
        self.family.hypervisor != "xen"
    }

    /// How many GPUs it has.
    pub fn gpus(&self) -> u32 {
        match self.family.gpu {
            None => 0,
            Some(_) if self.vcpus >= 48 => 4,
            Some(_) => 1,
        }
    }

    /// Memory of all its GPUs in MiB.
    pub fn gpu_memory(&self) -> u32 {
        self.family.gpu.map_or(0, |(_, memory)| memory * self.gpus())
    }

    /// Local NVMe storage in GB; 0 for none.
    pub fn storage(&self) -> u32 {
        let smallest = self.family.storage;
        match (self.vcpus, smallest) {
            // g4dn and g5 grow in steps of their own.
            (4, _) => smallest,
            (8, 125) | (16, 125) => 225,
            (8, 250) => 450,
            (16, 250) => 600,
            (_, 0) => 0,
            _ => 900,
        }
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
        let metal = find("m5.metal").unwrap();
        assert!(metal.bare() && metal.nitro() && metal.vcpus == 96);
        let big = find("g4dn.12xlarge").unwrap();
        assert_eq!((big.gpus(), big.gpu_memory(), big.storage()), (4, 65_536, 900));
        assert!(TYPES.len() > 150);
    }

    #[test]
    fn no_type_is_listed_twice() {
        let names: std::collections::BTreeSet<_> = TYPES.iter().map(|known| known.name).collect();
        assert_eq!(names.len(), TYPES.len());
    }
}
