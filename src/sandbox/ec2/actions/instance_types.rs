//! DescribeInstanceTypes, DescribeInstanceTypeOfferings.

use super::Call;
use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::filter::{Field, Filters, one, wildcard};
use crate::sandbox::ec2::page::Page;
use crate::sandbox::ec2::router::{Answer, FILTER, Operation, PAGE};
use crate::sandbox::ec2::types::{InstanceType, TYPES, find};
use crate::sandbox::ec2::xml::Xml;

pub(in super::super) const OPERATIONS: &[Operation] = &[
    Operation::read(
        "DescribeInstanceTypes",
        describe,
        &[&["InstanceType.N", "IncludeUnsupportedInRegion"], FILTER, PAGE],
    ),
    Operation::read("DescribeInstanceTypeOfferings", offerings, &[&["LocationType"], FILTER, PAGE]),
];

const FIELDS: &[Field<InstanceType>] = &[
    ("instance-type", |kind, _| one(kind.name)),
    ("auto-recovery-supported", |_, _| one(true)),
    ("bare-metal", |kind, _| one(kind.bare())),
    ("burstable-performance-supported", |kind, _| one(kind.family.burstable)),
    ("current-generation", |_, _| one(true)),
    ("ebs-info.encryption-support", |_, _| one("supported")),
    ("free-tier-eligible", |kind, _| one(kind.free_tier())),
    ("hypervisor", |kind, _| if kind.bare() { Vec::new() } else { one(kind.family.hypervisor) }),
    ("dedicated-hosts-supported", |kind, _| one(kind.nitro())),
    ("instance-storage-supported", |kind, _| one(kind.storage() > 0)),
    ("memory-info.size-in-mib", |kind, _| one(kind.memory)),
    ("network-info.network-performance", |kind, _| one(kind.network)),
    ("network-info.ipv6-supported", |_, _| one(true)),
    ("processor-info.supported-architecture", |kind, _| architectures(kind)),
    ("processor-info.sustained-clock-speed-in-ghz", |kind, _| one(kind.family.clock)),
    ("supported-boot-mode", |kind, _| boot_modes(kind)),
    ("supported-root-device-type", |_, _| one("ebs")),
    ("supported-usage-class", |_, _| vec!["on-demand".into(), "spot".into()]),
    ("supported-virtualization-type", |_, _| one("hvm")),
    ("hibernation-supported", |_, _| one(false)),
    ("network-info.maximum-network-interfaces", |kind, _| one(kind.interfaces.0)),
    ("network-info.ena-support", |kind, _| one(if kind.nitro() { "required" } else { "unsupported" })),
    ("placement-group-info.supported-strategies", |kind, _| {
        strategies(kind).iter().map(|strategy| (*strategy).to_owned()).collect()
    }),
    ("vcpu-info.default-cores", |kind, _| one(kind.cores())),
    ("vcpu-info.default-threads-per-core", |kind, _| one(kind.family.threads)),
    ("vcpu-info.default-vcpus", |kind, _| one(kind.vcpus)),
];

/// Burstable machines cannot be close together.
fn strategies(kind: &InstanceType) -> &'static [&'static str] {
    if kind.family.burstable { &["partition", "spread"] } else { &["cluster", "partition", "spread"] }
}

fn architectures(kind: &InstanceType) -> Vec<String> {
    // The small Xen types also run 32-bit images.
    let old = kind.family.hypervisor == "xen" && kind.memory <= 4096;
    let mut all = one(kind.family.architecture);
    if old {
        all.insert(0, "i386".into());
    }
    all
}

fn boot_modes(kind: &InstanceType) -> Vec<String> {
    match (kind.family.architecture, kind.family.hypervisor) {
        ("arm64", _) => one("uefi"),
        (_, "xen") => one("legacy-bios"),
        _ => vec!["legacy-bios".into(), "uefi".into()],
    }
}

fn describe(call: &mut Call<'_>) -> Answer {
    let filters = Filters::parse(call.params, FIELDS)?;
    let names = call.params.list("InstanceType");
    call.params.flag("IncludeUnsupportedInRegion")?;
    // A name may hold wildcards; a plain one must exist.
    let unknown: Vec<&str> =
        names.iter().copied().filter(|name| !name.contains(['*', '?']) && find(name).is_none()).collect();
    if !unknown.is_empty() {
        let message = format!("The following supplied instance types do not exist: [{}]", unknown.join(", "));
        return Err(Fault::new("InvalidInstanceType", message));
    }
    let page = Page::parse(call.params, 5..=100)?;
    let named = |kind: &InstanceType| names.is_empty() || names.iter().any(|name| wildcard(name, kind.name));
    let kept: Vec<&InstanceType> =
        TYPES.iter().filter(|kind| named(kind) && filters.accept(kind, call.region, None)).collect();
    let (types, next) = page.cut(kept, |kind| kind.name.to_owned());
    let mut xml = Xml::new();
    xml.set("instanceTypeSet", types, write).optional("nextToken", next);
    Ok(xml)
}

fn write(xml: &mut Xml, kind: &InstanceType) {
    let family = kind.family;
    let nitro = kind.nitro();
    xml.text("instanceType", kind.name).text("currentGeneration", true);
    xml.text("freeTierEligible", kind.free_tier());
    xml.words("supportedUsageClasses", ["on-demand", "spot"]);
    xml.words("supportedRootDeviceTypes", ["ebs"]).words("supportedVirtualizationTypes", ["hvm"]);
    xml.text("bareMetal", kind.bare());
    xml.optional("hypervisor", (!kind.bare()).then_some(family.hypervisor));
    xml.element("processorInfo", |xml| {
        xml.words("supportedArchitectures", architectures(kind));
        xml.text("sustainedClockSpeedInGhz", family.clock).text("manufacturer", family.manufacturer);
    });
    xml.element("vCpuInfo", |xml| {
        xml.text("defaultVCpus", kind.vcpus).text("defaultCores", kind.cores());
        xml.text("defaultThreadsPerCore", family.threads);
    });
    xml.element("memoryInfo", |xml| {
        xml.text("sizeInMiB", kind.memory);
    });
    xml.text("instanceStorageSupported", kind.storage() > 0);
    if kind.storage() > 0 {
        xml.element("instanceStorageInfo", |xml| {
            xml.text("totalSizeInGB", kind.storage()).text("nvmeSupport", "required");
        });
    }
    xml.element("ebsInfo", |xml| {
        xml.text("ebsOptimizedSupport", if nitro { "default" } else { "unsupported" });
        xml.text("encryptionSupport", "supported");
        xml.text("nvmeSupport", if nitro { "required" } else { "unsupported" });
    });
    write_network(xml, kind);
    if let Some((name, memory)) = family.gpu {
        xml.element("gpuInfo", |xml| {
            xml.set("gpus", [()], |xml, ()| {
                xml.text("name", name).text("manufacturer", "NVIDIA").text("count", kind.gpus());
                xml.element("memoryInfo", |xml| {
                    xml.text("sizeInMiB", memory);
                });
            });
            xml.text("totalGpuMemoryInMiB", kind.gpu_memory());
        });
    }
    xml.element("placementGroupInfo", |xml| {
        xml.words("supportedStrategies", strategies(kind));
    });
    xml.text("hibernationSupported", false).text("burstablePerformanceSupported", family.burstable);
    xml.text("dedicatedHostsSupported", nitro).text("autoRecoverySupported", true);
    xml.words("supportedBootModes", boot_modes(kind));
}

fn write_network(xml: &mut Xml, kind: &InstanceType) {
    let (interfaces, addresses) = kind.interfaces;
    xml.element("networkInfo", |xml| {
        xml.text("networkPerformance", kind.network).text("maximumNetworkInterfaces", interfaces);
        xml.text("maximumNetworkCards", 1).text("defaultNetworkCardIndex", 0);
        xml.text("ipv4AddressesPerInterface", addresses).text("ipv6AddressesPerInterface", addresses);
        xml.text("ipv6Supported", true);
        let nitro = kind.nitro();
        xml.text("enaSupport", if nitro { "required" } else { "unsupported" });
        xml.text("efaSupported", false).text("encryptionInTransitSupported", false);
    });
}

struct Offering {
    kind: &'static InstanceType,
    location: String,
}

const OFFERING_FIELDS: &[Field<Offering>] = &[
    ("instance-type", |offering, _| one(offering.kind.name)),
    ("location", |offering, _| one(&offering.location)),
];

fn offerings(call: &mut Call<'_>) -> Answer {
    let filters = Filters::parse(call.params, OFFERING_FIELDS)?;
    let page = Page::parse(call.params, 5..=1000)?;
    let location = call.params.text("LocationType").unwrap_or("region");
    let zones = call.place.zones();
    let mut all = Vec::new();
    for kind in TYPES {
        let in_zones = || zones.iter().filter(|zone| kind.offered_in(&zone.name));
        let locations: Vec<String> = match location {
            "region" => one(call.place.name),
            "availability-zone" => in_zones().map(|zone| zone.name.clone()).collect(),
            "availability-zone-id" => in_zones().map(|zone| zone.id.clone()).collect(),
            other => {
                let why = "Expecting region, availability-zone, availability-zone-id or outpost";
                return Err(Fault::value_of("locationType", other, why));
            }
        };
        all.extend(locations.into_iter().map(|location| Offering { kind, location }));
    }
    all.retain(|offering| filters.accept(offering, call.region, None));
    let (kept, next) = page.cut(all, |offering| format!("{}/{}", offering.kind.name, offering.location));
    let mut xml = Xml::new();
    xml.set("instanceTypeOfferingSet", kept, |xml, offering| {
        xml.text("instanceType", offering.kind.name).text("locationType", location);
        xml.text("location", offering.location);
    });
    xml.optional("nextToken", next);
    Ok(xml)
}
