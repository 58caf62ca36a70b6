//! `InstanceRequirements`: instance types by what they have.

use super::Call;
use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::filter::wildcard;
use crate::sandbox::ec2::page::Page;
use crate::sandbox::ec2::request::Params;
use crate::sandbox::ec2::router::{Answer, Operation, PAGE};
use crate::sandbox::ec2::types::{InstanceType, TYPES};
use crate::sandbox::ec2::xml::Xml;

/// The requirements that the sandbox knows.
pub(super) const PARAMETERS: &[&str] = &[
    "VCpuCount.Min",
    "VCpuCount.Max",
    "MemoryMiB.Min",
    "MemoryMiB.Max",
    "MemoryGiBPerVCpu.Min",
    "MemoryGiBPerVCpu.Max",
    "CpuManufacturer.N",
    "AllowedInstanceType.N",
    "ExcludedInstanceType.N",
    "InstanceGeneration.N",
    "BareMetal",
    "BurstablePerformance",
    "LocalStorage",
    "AcceleratorCount.Min",
    "AcceleratorCount.Max",
    "AcceleratorManufacturer.N",
    "AcceleratorName.N",
    "AcceleratorType.N",
    "AcceleratorTotalMemoryMiB.Min",
    "AcceleratorTotalMemoryMiB.Max",
];

pub(in super::super) const OPERATIONS: &[Operation] = &[Operation::read(
    "GetInstanceTypesFromInstanceRequirements",
    answer,
    &[&["*ArchitectureType.N", "*VirtualizationType.N", "*InstanceRequirements"], PAGE],
)
.with("InstanceRequirements", &[PARAMETERS])];

fn answer(call: &mut Call<'_>) -> Answer {
    let page = Page::parse(call.params, 1..=1000)?;
    let requirements =
        call.params.group("InstanceRequirements").ok_or_else(|| Fault::missing("InstanceRequirements"))?;
    let kept = with_architecture(call.params, requirements)?;
    let (types, next) = page.cut(kept, |kind| kind.name.to_owned());
    let mut xml = Xml::new();
    xml.set("instanceTypeSet", types, |xml, kind| {
        xml.text("instanceType", kind.name);
    });
    xml.optional("nextToken", next);
    Ok(xml)
}

/// The types that meet requirements, of the architectures in `ArchitectureType.N` beside them.
pub(super) fn with_architecture(
    params: &Params,
    requirements: &Params,
) -> Result<Vec<&'static InstanceType>, Fault> {
    let architectures = params.list("ArchitectureType");
    let hvm = params.list("VirtualizationType").contains(&"hvm");
    let mut kept = matching(requirements)?;
    kept.retain(|kind| {
        hvm && (architectures.is_empty() || architectures.contains(&kind.family.architecture))
    });
    Ok(kept)
}

/// The types that meet requirements.
pub(super) fn matching(requirements: &Params) -> Result<Vec<&'static InstanceType>, Fault> {
    let vcpus = Range::parse(requirements, "VCpuCount")?.required("VCpuCount.Min")?;
    let memory = Range::parse(requirements, "MemoryMiB")?.required("MemoryMiB.Min")?;
    let ratio = Range::parse(requirements, "MemoryGiBPerVCpu")?;
    let accelerators = Range::parse(requirements, "AcceleratorCount")?;
    let gpu_memory = Range::parse(requirements, "AcceleratorTotalMemoryMiB")?;
    let bare = presence(requirements, "BareMetal", "excluded")?;
    let burstable = presence(requirements, "BurstablePerformance", "excluded")?;
    let storage = presence(requirements, "LocalStorage", "included")?;
    let words = |name: &str| requirements.list(name);
    let (allowed, excluded) = (words("AllowedInstanceType"), words("ExcludedInstanceType"));
    if !allowed.is_empty() && !excluded.is_empty() {
        return Err(Fault::combination(
            "AllowedInstanceTypes and ExcludedInstanceTypes cannot be specified together",
        ));
    }
    let named =
        |patterns: &[&str], kind: &InstanceType| patterns.iter().any(|pattern| wildcard(pattern, kind.name));
    let makers = words("CpuManufacturer");
    let generations = words("InstanceGeneration");
    let gpu = ["AcceleratorManufacturer", "AcceleratorName", "AcceleratorType"].map(words);
    let fits = |kind: &&InstanceType| {
        let gibibytes = f64::from(kind.memory) / 1024.0;
        vcpus.holds(f64::from(kind.vcpus))
            && memory.holds(f64::from(kind.memory))
            && ratio.holds(gibibytes / f64::from(kind.vcpus))
            && accelerators.holds(f64::from(kind.gpus()))
            && gpu_memory.holds(f64::from(kind.gpu_memory()))
            && bare(kind.bare())
            && burstable(kind.family.burstable)
            && storage(kind.storage() > 0)
            && (allowed.is_empty() || named(&allowed, kind))
            && !named(&excluded, kind)
            && (makers.is_empty() || makers.contains(&maker(kind)))
            && (generations.is_empty() || generations.contains(&"current"))
            && has_gpu(kind, &gpu)
    };
    Ok(TYPES.iter().filter(fits).collect())
}

fn maker(kind: &InstanceType) -> &'static str {
    match kind.family.manufacturer {
        "Intel" => "intel",
        "AMD" => "amd",
        _ => "amazon-web-services",
    }
}

fn has_gpu(kind: &InstanceType, [makers, names, types]: &[Vec<&str>; 3]) -> bool {
    let Some((name, _)) = kind.family.gpu else {
        return makers.is_empty() && names.is_empty() && types.is_empty();
    };
    (makers.is_empty() || makers.contains(&"nvidia"))
        && (names.is_empty() || names.contains(&name.to_ascii_lowercase().as_str()))
        && (types.is_empty() || types.contains(&"gpu"))
}

fn presence(requirements: &Params, name: &str, default: &str) -> Result<impl Fn(bool) -> bool, Fault> {
    let wanted = match requirements.text(name).unwrap_or(default) {
        "included" => None,
        "required" => Some(true),
        "excluded" => Some(false),
        other => return Err(Fault::value_of(name, other, "Expecting included, required or excluded.")),
    };
    Ok(move |actual: bool| wanted.is_none_or(|wanted| wanted == actual))
}

struct Range {
    least: Option<f64>,
    most: Option<f64>,
}

impl Range {
    fn parse(requirements: &Params, name: &str) -> Result<Self, Fault> {
        let Some(group) = requirements.group(name) else { return Ok(Range { least: None, most: None }) };
        Ok(Range { least: group.integer("Min")?, most: group.integer("Max")? })
    }

    fn required(self, name: &str) -> Result<Self, Fault> {
        if self.least.is_some() {
            Ok(self)
        } else {
            Err(Fault::missing(&format!("InstanceRequirements.{name}")))
        }
    }

    fn holds(&self, value: f64) -> bool {
        self.least.is_none_or(|least| value >= least) && self.most.is_none_or(|most| value <= most)
    }
}
