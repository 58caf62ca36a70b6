//! The account's service quotas.

use super::types::InstanceType;
use super::{Faults, Lifecycle};

/// A quota of Service Quotas.
#[derive(Debug)]
pub(super) struct Quota {
    /// `ec2` or `vpc`.
    pub service: &'static str,
    /// `L-34B43A08`.
    pub code: &'static str,
    pub name: &'static str,
    /// What the sandbox's account has unless the faults say otherwise.
    pub value: f64,
}

const fn quota(service: &'static str, code: &'static str, name: &'static str, value: f64) -> Quota {
    Quota { service, code, name, value }
}

/// VPCs in a region.
pub(super) const VPCS: &str = "L-F678F1CE";
/// Elastic IP addresses in a region.
pub(super) const ADDRESSES: &str = "L-0263D0A3";
const SPOT: &str = "L-34B43A08";
const SPOT_GPU: &str = "L-3819A6DF";
const ON_DEMAND: &str = "L-1216C47A";
const ON_DEMAND_GPU: &str = "L-DB2E81BA";

/// The quotas that the sandbox knows.
pub(super) static QUOTAS: &[Quota] = &[
    quota("ec2", SPOT, "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests", 8192.0),
    quota("ec2", SPOT_GPU, "All G and VT Spot Instance Requests", 1024.0),
    quota("ec2", ON_DEMAND, "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", 8192.0),
    quota("ec2", ON_DEMAND_GPU, "Running On-Demand G and VT instances", 1024.0),
    quota("ec2", ADDRESSES, "EC2-VPC Elastic IPs", 5.0),
    quota("vpc", VPCS, "VPCs per Region", 5.0),
    quota("vpc", "L-A4707A72", "Internet gateways per Region", 5.0),
    quota("vpc", "L-407747CB", "Subnets per VPC", 200.0),
    quota("vpc", "L-0EA8095F", "Inbound or outbound rules per security group", 60.0),
];

/// The value of a quota in a region.
pub(super) fn value(faults: &Faults, region: &str, code: &str) -> f64 {
    let set = faults.quotas.iter().filter(|set| set.code == code);
    // A setting for the region is nearer than one for all.
    let nearest = set.filter(|set| set.region.as_deref().is_none_or(|only| only == region));
    match nearest.max_by_key(|set| set.region.is_some()) {
        Some(set) => set.value,
        None => QUOTAS.iter().find(|quota| quota.code == code).map_or(0.0, |quota| quota.value),
    }
}

/// The quota of virtual processors that a type counts against.
pub(super) fn vcpus(kind: &InstanceType, lifecycle: Lifecycle) -> &'static str {
    match (kind.family.gpu.is_some(), lifecycle) {
        (false, Lifecycle::Spot) => SPOT,
        (false, Lifecycle::OnDemand) => ON_DEMAND,
        (true, Lifecycle::Spot) => SPOT_GPU,
        (true, Lifecycle::OnDemand) => ON_DEMAND_GPU,
    }
}
