//! The table of instance types: sizes and us-east-1 prices as AWS lists them.

use super::{Family, InstanceType};

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
static M5A: Family = family("x86_64", 2, 2.5, "AMD");
static M6A: Family = family("x86_64", 2, 3.6, "AMD");
static M8G: Family = graviton(2.8);
static C5: Family = intel(3.4);
static C5A: Family = family("x86_64", 2, 3.3, "AMD");
static M5_METAL: Family = Family { hypervisor: "", ..intel(3.1) };
static M6G_METAL: Family = Family { hypervisor: "", ..graviton(2.5) };
static M7G_METAL: Family = Family { hypervisor: "", ..graviton(2.6) };
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
const TEN: &str = "10 Gigabit";
const TWELVE: &str = "12.5 Gigabit";
const TWENTY_FIVE: &str = "25 Gigabit";
const FIFTY: &str = "50 Gigabit";

/// Every type, in the order of the table.
pub(in super::super) static TYPES: &[InstanceType] = &[
    of("t2.micro", 1, 1.0, &T2, 0.0116, LOW, (2, 2)),
    of("t2.small", 1, 2.0, &T2, 0.023, LOW, (3, 4)),
    of("t2.medium", 2, 4.0, &T2, 0.0464, LOW, (3, 6)),
    of("t2.large", 2, 8.0, &T2, 0.0928, LOW, (3, 12)),
    of("t2.xlarge", 4, 16.0, &T2, 0.1856, LOW, (3, 15)),
    of("t2.2xlarge", 8, 32.0, &T2, 0.3712, LOW, (3, 15)),
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
    of("t3a.2xlarge", 8, 32.0, &T3A, 0.3008, UP_5, (4, 15)),
    of("t4g.nano", 2, 0.5, &T4G, 0.0042, UP_5, (2, 2)),
    of("t4g.micro", 2, 1.0, &T4G, 0.0084, UP_5, (2, 2)),
    of("t4g.small", 2, 2.0, &T4G, 0.0168, UP_5, (3, 4)),
    of("t4g.medium", 2, 4.0, &T4G, 0.0336, UP_5, (3, 6)),
    of("t4g.large", 2, 8.0, &T4G, 0.0672, UP_5, (3, 12)),
    of("t4g.xlarge", 4, 16.0, &T4G, 0.1344, UP_5, (4, 15)),
    of("t4g.2xlarge", 8, 32.0, &T4G, 0.2688, UP_5, (4, 15)),
    of("m5.large", 2, 8.0, &M5, 0.096, UP_10, (3, 10)),
    of("m5.xlarge", 4, 16.0, &M5, 0.192, UP_10, (4, 15)),
    of("m5.2xlarge", 8, 32.0, &M5, 0.384, UP_10, (4, 15)),
    of("m5.4xlarge", 16, 64.0, &M5, 0.768, UP_10, (8, 30)),
    of("m5.8xlarge", 32, 128.0, &M5, 1.536, TEN, (8, 30)),
    of("m5a.large", 2, 8.0, &M5A, 0.086, UP_10, (3, 10)),
    of("m5a.xlarge", 4, 16.0, &M5A, 0.172, UP_10, (4, 15)),
    of("m5a.2xlarge", 8, 32.0, &M5A, 0.344, UP_10, (4, 15)),
    of("m5a.4xlarge", 16, 64.0, &M5A, 0.688, UP_10, (8, 30)),
    of("m5a.8xlarge", 32, 128.0, &M5A, 1.376, TEN, (8, 30)),
    of("m6i.large", 2, 8.0, &M6I, 0.096, UP_12, (3, 10)),
    of("m6i.xlarge", 4, 16.0, &M6I, 0.192, UP_12, (4, 15)),
    of("m6i.2xlarge", 8, 32.0, &M6I, 0.384, UP_12, (4, 15)),
    of("m6i.4xlarge", 16, 64.0, &M6I, 0.768, UP_12, (8, 30)),
    of("m6i.8xlarge", 32, 128.0, &M6I, 1.536, TWELVE, (8, 30)),
    of("m6a.large", 2, 8.0, &M6A, 0.0864, UP_12, (3, 10)),
    of("m6a.xlarge", 4, 16.0, &M6A, 0.1728, UP_12, (4, 15)),
    of("m6a.2xlarge", 8, 32.0, &M6A, 0.3456, UP_12, (4, 15)),
    of("m6a.4xlarge", 16, 64.0, &M6A, 0.6912, UP_12, (8, 30)),
    of("m6a.8xlarge", 32, 128.0, &M6A, 1.3824, TWELVE, (8, 30)),
    of("m6g.medium", 1, 4.0, &M6G, 0.0385, UP_10, (2, 4)),
    of("m6g.large", 2, 8.0, &M6G, 0.077, UP_10, (3, 10)),
    of("m6g.xlarge", 4, 16.0, &M6G, 0.154, UP_10, (4, 15)),
    of("m6g.2xlarge", 8, 32.0, &M6G, 0.308, UP_10, (4, 15)),
    of("m6g.4xlarge", 16, 64.0, &M6G, 0.616, UP_10, (8, 30)),
    of("m6g.8xlarge", 32, 128.0, &M6G, 1.232, TEN, (8, 30)),
    of("m7i.large", 2, 8.0, &M7I, 0.1008, UP_12, (3, 10)),
    of("m7i.xlarge", 4, 16.0, &M7I, 0.2016, UP_12, (4, 15)),
    of("m7i.2xlarge", 8, 32.0, &M7I, 0.4032, UP_12, (4, 15)),
    of("m7i.4xlarge", 16, 64.0, &M7I, 0.8064, UP_12, (8, 30)),
    of("m7i.8xlarge", 32, 128.0, &M7I, 1.6128, TWELVE, (8, 30)),
    of("m7a.medium", 1, 4.0, &M7A, 0.05796, UP_12, (2, 4)),
    of("m7a.large", 2, 8.0, &M7A, 0.11592, UP_12, (3, 10)),
    of("m7a.xlarge", 4, 16.0, &M7A, 0.23184, UP_12, (4, 15)),
    of("m7a.2xlarge", 8, 32.0, &M7A, 0.46368, UP_12, (4, 15)),
    of("m7a.4xlarge", 16, 64.0, &M7A, 0.92736, UP_12, (8, 30)),
    of("m7a.8xlarge", 32, 128.0, &M7A, 1.85472, TWELVE, (8, 30)),
    of("m7g.medium", 1, 4.0, &M7G, 0.0408, UP_12, (2, 4)),
    of("m7g.large", 2, 8.0, &M7G, 0.0816, UP_12, (3, 10)),
    of("m7g.xlarge", 4, 16.0, &M7G, 0.1632, UP_12, (4, 15)),
    of("m7g.2xlarge", 8, 32.0, &M7G, 0.3264, UP_12, (4, 15)),
    of("m7g.4xlarge", 16, 64.0, &M7G, 0.6528, UP_15, (8, 30)),
    of("m7g.8xlarge", 32, 128.0, &M7G, 1.3056, TWELVE, (8, 30)),
    of("m8g.medium", 1, 4.0, &M8G, 0.04488, UP_12, (2, 4)),
    of("m8g.large", 2, 8.0, &M8G, 0.08976, UP_12, (3, 10)),
    of("m8g.xlarge", 4, 16.0, &M8G, 0.17952, UP_12, (4, 15)),
    of("m8g.2xlarge", 8, 32.0, &M8G, 0.35904, UP_12, (4, 15)),
    of("m8g.4xlarge", 16, 64.0, &M8G, 0.71808, UP_15, (8, 30)),
    of("m8g.8xlarge", 32, 128.0, &M8G, 1.43616, TWELVE, (8, 30)),
    of("c5.large", 2, 4.0, &C5, 0.085, UP_10, (3, 10)),
    of("c5.xlarge", 4, 8.0, &C5, 0.17, UP_10, (4, 15)),
    of("c5.2xlarge", 8, 16.0, &C5, 0.34, UP_10, (4, 15)),
    of("c5.4xlarge", 16, 32.0, &C5, 0.68, UP_10, (8, 30)),
    of("c5.9xlarge", 36, 72.0, &C5, 1.53, TEN, (8, 30)),
    of("c5a.large", 2, 4.0, &C5A, 0.077, UP_10, (3, 10)),
    of("c5a.xlarge", 4, 8.0, &C5A, 0.154, UP_10, (4, 15)),
    of("c5a.2xlarge", 8, 16.0, &C5A, 0.308, UP_10, (4, 15)),
    of("c5a.4xlarge", 16, 32.0, &C5A, 0.616, UP_10, (8, 30)),
    of("c5a.8xlarge", 32, 64.0, &C5A, 1.232, TEN, (8, 30)),
    of("c6i.large", 2, 4.0, &M6I, 0.085, UP_12, (3, 10)),
    of("c6i.xlarge", 4, 8.0, &M6I, 0.17, UP_12, (4, 15)),
    of("c6i.2xlarge", 8, 16.0, &M6I, 0.34, UP_12, (4, 15)),
    of("c6i.4xlarge", 16, 32.0, &M6I, 0.68, UP_12, (8, 30)),
    of("c6i.8xlarge", 32, 64.0, &M6I, 1.36, TWELVE, (8, 30)),
    of("c6a.large", 2, 4.0, &M6A, 0.0765, UP_12, (3, 10)),
    of("c6a.xlarge", 4, 8.0, &M6A, 0.153, UP_12, (4, 15)),
    of("c6a.2xlarge", 8, 16.0, &M6A, 0.306, UP_12, (4, 15)),
    of("c6a.4xlarge", 16, 32.0, &M6A, 0.612, UP_12, (8, 30)),
    of("c6a.8xlarge", 32, 64.0, &M6A, 1.224, TWELVE, (8, 30)),
    of("c6g.medium", 1, 2.0, &M6G, 0.034, UP_10, (2, 4)),
    of("c6g.large", 2, 4.0, &M6G, 0.068, UP_10, (3, 10)),
    of("c6g.xlarge", 4, 8.0, &M6G, 0.136, UP_10, (4, 15)),
    of("c6g.2xlarge", 8, 16.0, &M6G, 0.272, UP_10, (4, 15)),
    of("c6g.4xlarge", 16, 32.0, &M6G, 0.544, UP_10, (8, 30)),
    of("c6g.8xlarge", 32, 64.0, &M6G, 1.088, TEN, (8, 30)),
    of("c7i.large", 2, 4.0, &M7I, 0.08925, UP_12, (3, 10)),
    of("c7i.xlarge", 4, 8.0, &M7I, 0.1785, UP_12, (4, 15)),
    of("c7i.2xlarge", 8, 16.0, &M7I, 0.357, UP_12, (4, 15)),
    of("c7i.4xlarge", 16, 32.0, &M7I, 0.714, UP_12, (8, 30)),
    of("c7i.8xlarge", 32, 64.0, &M7I, 1.428, TWELVE, (8, 30)),
    of("c7a.medium", 1, 2.0, &M7A, 0.05132, UP_12, (2, 4)),
    of("c7a.large", 2, 4.0, &M7A, 0.10264, UP_12, (3, 10)),
    of("c7a.xlarge", 4, 8.0, &M7A, 0.20528, UP_12, (4, 15)),
    of("c7a.2xlarge", 8, 16.0, &M7A, 0.41056, UP_12, (4, 15)),
    of("c7a.4xlarge", 16, 32.0, &M7A, 0.82112, UP_12, (8, 30)),
    of("c7a.8xlarge", 32, 64.0, &M7A, 1.64224, TWELVE, (8, 30)),
    of("c7g.medium", 1, 2.0, &M7G, 0.03625, UP_12, (2, 4)),
    of("c7g.large", 2, 4.0, &M7G, 0.0725, UP_12, (3, 10)),
    of("c7g.xlarge", 4, 8.0, &M7G, 0.145, UP_12, (4, 15)),
    of("c7g.2xlarge", 8, 16.0, &M7G, 0.29, UP_12, (4, 15)),
    of("c7g.4xlarge", 16, 32.0, &M7G, 0.58, UP_15, (8, 30)),
    of("c7g.8xlarge", 32, 64.0, &M7G, 1.16, TWELVE, (8, 30)),
    of("c8g.medium", 1, 2.0, &M8G, 0.03988, UP_12, (2, 4)),
    of("c8g.large", 2, 4.0, &M8G, 0.07976, UP_12, (3, 10)),
    of("c8g.xlarge", 4, 8.0, &M8G, 0.15952, UP_12, (4, 15)),
    of("c8g.2xlarge", 8, 16.0, &M8G, 0.31904, UP_12, (4, 15)),
    of("c8g.4xlarge", 16, 32.0, &M8G, 0.63808, UP_15, (8, 30)),
    of("c8g.8xlarge", 32, 64.0, &M8G, 1.27616, TWELVE, (8, 30)),
    of("r5.large", 2, 16.0, &M5, 0.126, UP_10, (3, 10)),
    of("r5.xlarge", 4, 32.0, &M5, 0.252, UP_10, (4, 15)),
    of("r5.2xlarge", 8, 64.0, &M5, 0.504, UP_10, (4, 15)),
    of("r5.4xlarge", 16, 128.0, &M5, 1.008, UP_10, (8, 30)),
    of("r5.8xlarge", 32, 256.0, &M5, 2.016, TEN, (8, 30)),
    of("r5a.large", 2, 16.0, &M5A, 0.113, UP_10, (3, 10)),
    of("r5a.xlarge", 4, 32.0, &M5A, 0.226, UP_10, (4, 15)),
    of("r5a.2xlarge", 8, 64.0, &M5A, 0.452, UP_10, (4, 15)),
    of("r5a.4xlarge", 16, 128.0, &M5A, 0.904, UP_10, (8, 30)),
    of("r5a.8xlarge", 32, 256.0, &M5A, 1.808, TEN, (8, 30)),
    of("r6i.large", 2, 16.0, &M6I, 0.126, UP_12, (3, 10)),
    of("r6i.xlarge", 4, 32.0, &M6I, 0.252, UP_12, (4, 15)),
    of("r6i.2xlarge", 8, 64.0, &M6I, 0.504, UP_12, (4, 15)),
    of("r6i.4xlarge", 16, 128.0, &M6I, 1.008, UP_12, (8, 30)),
    of("r6i.8xlarge", 32, 256.0, &M6I, 2.016, TWELVE, (8, 30)),
    of("r6a.large", 2, 16.0, &M6A, 0.1134, UP_12, (3, 10)),
    of("r6a.xlarge", 4, 32.0, &M6A, 0.2268, UP_12, (4, 15)),
    of("r6a.2xlarge", 8, 64.0, &M6A, 0.4536, UP_12, (4, 15)),
    of("r6a.4xlarge", 16, 128.0, &M6A, 0.9072, UP_12, (8, 30)),
    of("r6a.8xlarge", 32, 256.0, &M6A, 1.8144, TWELVE, (8, 30)),
    of("r6g.medium", 1, 8.0, &M6G, 0.0504, UP_10, (2, 4)),
    of("r6g.large", 2, 16.0, &M6G, 0.1008, UP_10, (3, 10)),
    of("r6g.xlarge", 4, 32.0, &M6G, 0.2016, UP_10, (4, 15)),
    of("r6g.2xlarge", 8, 64.0, &M6G, 0.4032, UP_10, (4, 15)),
    of("r6g.4xlarge", 16, 128.0, &M6G, 0.8064, UP_10, (8, 30)),
    of("r6g.8xlarge", 32, 256.0, &M6G, 1.6128, TEN, (8, 30)),
    of("r7i.large", 2, 16.0, &M7I, 0.1323, UP_12, (3, 10)),
    of("r7i.xlarge", 4, 32.0, &M7I, 0.2646, UP_12, (4, 15)),
    of("r7i.2xlarge", 8, 64.0, &M7I, 0.5292, UP_12, (4, 15)),
    of("r7i.4xlarge", 16, 128.0, &M7I, 1.0584, UP_12, (8, 30)),
    of("r7i.8xlarge", 32, 256.0, &M7I, 2.1168, TWELVE, (8, 30)),
    of("r7a.medium", 1, 8.0, &M7A, 0.076075, UP_12, (2, 4)),
    of("r7a.large", 2, 16.0, &M7A, 0.15215, UP_12, (3, 10)),
    of("r7a.xlarge", 4, 32.0, &M7A, 0.3043, UP_12, (4, 15)),
    of("r7a.2xlarge", 8, 64.0, &M7A, 0.6086, UP_12, (4, 15)),
    of("r7a.4xlarge", 16, 128.0, &M7A, 1.2172, UP_12, (8, 30)),
    of("r7a.8xlarge", 32, 256.0, &M7A, 2.4344, TWELVE, (8, 30)),
    of("r7g.medium", 1, 8.0, &M7G, 0.05355, UP_12, (2, 4)),
    of("r7g.large", 2, 16.0, &M7G, 0.1071, UP_12, (3, 10)),
    of("r7g.xlarge", 4, 32.0, &M7G, 0.2142, UP_12, (4, 15)),
    of("r7g.2xlarge", 8, 64.0, &M7G, 0.4284, UP_12, (4, 15)),
    of("r7g.4xlarge", 16, 128.0, &M7G, 0.8568, UP_15, (8, 30)),
    of("r7g.8xlarge", 32, 256.0, &M7G, 1.7136, TWELVE, (8, 30)),
    of("r8g.medium", 1, 8.0, &M8G, 0.05891, UP_12, (2, 4)),
    of("r8g.large", 2, 16.0, &M8G, 0.11782, UP_12, (3, 10)),
    of("r8g.xlarge", 4, 32.0, &M8G, 0.23564, UP_12, (4, 15)),
    of("r8g.2xlarge", 8, 64.0, &M8G, 0.47128, UP_12, (4, 15)),
    of("r8g.4xlarge", 16, 128.0, &M8G, 0.94256, UP_15, (8, 30)),
    of("r8g.8xlarge", 32, 256.0, &M8G, 1.88512, TWELVE, (8, 30)),
    of("m5.metal", 96, 384.0, &M5_METAL, 4.608, TWENTY_FIVE, (15, 50)),
    of("c5.metal", 96, 192.0, &M5_METAL, 4.08, TWENTY_FIVE, (15, 50)),
    of("m6g.metal", 64, 256.0, &M6G_METAL, 2.464, TWENTY_FIVE, (15, 50)),
    of("c7g.metal", 64, 128.0, &M7G_METAL, 2.32, TWENTY_FIVE, (15, 50)),
    of("g4dn.xlarge", 4, 16.0, &G4DN, 0.526, UP_25, (3, 10)),
    of("g4dn.2xlarge", 8, 32.0, &G4DN, 0.752, UP_25, (3, 10)),
    of("g4dn.4xlarge", 16, 64.0, &G4DN, 1.204, UP_25, (3, 10)),
    of("g4dn.8xlarge", 32, 128.0, &G4DN, 2.176, FIFTY, (4, 15)),
    of("g4dn.12xlarge", 48, 192.0, &G4DN, 3.912, FIFTY, (8, 30)),
    of("g5.xlarge", 4, 16.0, &G5, 1.006, UP_10, (4, 15)),
    of("g5.2xlarge", 8, 32.0, &G5, 1.212, UP_10, (4, 15)),
    of("g5.4xlarge", 16, 64.0, &G5, 1.624, TWENTY_FIVE, (8, 30)),
    of("g5.8xlarge", 32, 128.0, &G5, 2.448, TWENTY_FIVE, (8, 30)),
    of("g5.12xlarge", 48, 192.0, &G5, 5.672, TWENTY_FIVE, (15, 50)),
];
