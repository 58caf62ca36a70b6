//! What goes wrong with cloud and hosts in a run, as it is drawn.

use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

use super::plan::Settings;
use crate::sandbox::PuppetFaults;
use crate::sandbox::ec2::{CapacityFault, Faults, Interruption, Latency, Market, QuotaSetting, Refusal};
use crate::sandbox::faults::Selector;

/// The faults of a run.
#[derive(Debug, Clone)]
pub(super) struct Weather {
    pub cloud: Faults,
    pub hosts: PuppetFaults,
}

/// Actions that a run makes and that may be refused.
const ACTIONS: [&str; 30] = [
    "AssociateRouteTable",
    "AttachInternetGateway",
    "AuthorizeSecurityGroupIngress",
    "CreateFleet",
    "CreateInternetGateway",
    "CreateLaunchTemplate",
    "CreateRoute",
    "CreateRouteTable",
    "CreateSecurityGroup",
    "CreateSubnet",
    "CreateTags",
    "CreateVpc",
    "DeleteInternetGateway",
    "DeleteLaunchTemplate",
    "DeleteSecurityGroup",
    "DeleteSubnet",
    "DeleteVpc",
    "DescribeImages",
    "DescribeInstances",
    "DescribeInstanceTypes",
    "DescribeSecurityGroups",
    "DescribeSpotInstanceRequests",
    "DescribeSpotPriceHistory",
    "DescribeSubnets",
    "DescribeVpcs",
    "DetachInternetGateway",
    "GetSpotPlacementScores",
    "ModifyVpcAttribute",
    "RunInstances",
    "TerminateInstances",
];
/// Codes and the HTTP status they come with.
const CODES: [(&str, u16); 5] = [
    ("InternalError", 500),
    ("ServiceUnavailable", 503),
    ("RequestLimitExceeded", 503),
    ("UnauthorizedOperation", 403),
    ("InternalFailure", 500),
];
/// vCPUs of spot instances, of on-demand instances, and VPCs.
const QUOTAS: [(&str, f64); 3] = [("L-34B43A08", 4.0), ("L-1216C47A", 4.0), ("L-F678F1CE", 1.0)];

impl Weather {
    /// Draws the weather of a run with these settings.
    pub fn draw(dice: &mut StdRng, seed: u64, settings: &Settings) -> Weather {
        let hosts = PuppetFaults {
            seed,
            never_boots: share(dice, 0.15, 0.4),
            hangs: share(dice, 0.08, 0.3),
            drops: share(dice, 0.15, 0.4),
            fails: share(dice, 0.15, 0.4),
        };
        let mut cloud = Faults { seed: Some(seed), ..Faults::default() };
        cloud.throttle = share(dice, 0.5, 0.3);
        cloud.lost_answers = share(dice, 0.5, 0.25);
        cloud.lost_requests = share(dice, 0.2, 0.2);
        cloud.cut_answers = share(dice, 0.2, 0.15);
        cloud.malformed_answers = share(dice, 0.15, 0.1);
        if dice.random_bool(0.3) {
            cloud.latency = vec![Latency::fixed(Duration::from_millis(dice.random_range(1..=10)))];
        }
        if dice.random_bool(0.3) {
            cloud.capacity = (0..dice.random_range(1..=4)).map(|_| shortage(dice, settings)).collect();
        }
        if dice.random_bool(0.15) {
            cloud.market =
                Some(Market { empty: dice.random_range(0.0..0.7), largest: dice.random_range(1..=4) });
        }
        if dice.random_bool(0.12)
            && let Some((code, value)) = QUOTAS.choose(dice)
        {
            cloud.quotas = vec![QuotaSetting { region: None, code: (*code).to_owned(), value: *value }];
        }
        if dice.random_bool(0.4) {
            cloud.refusals = (0..dice.random_range(1..=3)).map(|_| refusal(dice)).collect();
        }
        if dice.random_bool(0.25) {
            cloud.interruptions = vec![interruption(dice)];
        }
        cloud.without_service_roles = dice.random_bool(0.1);
        Weather { cloud, hosts }
    }

    /// Whether spot instances may end by themselves.
    pub fn interrupts(&self) -> bool {
        !self.cloud.interruptions.is_empty()
    }
}

/// A share up to `most` with the probability `often`, and otherwise nothing.
fn share(dice: &mut StdRng, often: f64, most: f64) -> f64 {
    let share = dice.random_range(0.0..most);
    if dice.random_bool(often) { share } else { 0.0 }
}

fn shortage(dice: &mut StdRng, settings: &Settings) -> CapacityFault {
    let region = settings.regions.choose(dice).copied().unwrap_or("us-west-2");
    let letter = ["a", "b", "c"].choose(dice).copied().unwrap_or("a");
    let kind = settings.types.choose(dice).map(|kind| (*kind).to_owned());
    CapacityFault {
        zone: dice.random_bool(0.6).then(|| format!("{region}{letter}")),
        instance_type: if dice.random_bool(0.4) { kind } else { None },
        available: Some(dice.random_range(0..=2)),
        ..CapacityFault::default()
    }
}

fn refusal(dice: &mut StdRng) -> Refusal {
    let action = ACTIONS.choose(dice).copied().unwrap_or("DescribeVpcs");
    let (code, status) = CODES.choose(dice).copied().unwrap_or(("InternalError", 500));
    Refusal { status, times: Some(dice.random_range(1..=5)), ..Refusal::of(action, code) }
}

fn interruption(dice: &mut StdRng) -> Interruption {
    Interruption {
        which: Selector {
            number: dice.random_bool(0.7).then(|| dice.random_range(0..4)),
            ..Selector::default()
        },
        after: Duration::from_millis(dice.random_range(1..400)),
        rebalance: dice.random_bool(0.5).then(|| Duration::from_millis(dice.random_range(1..100))),
        notice: Duration::from_millis(dice.random_range(1..200)),
    }
}
