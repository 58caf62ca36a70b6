//! The market: what a pool costs, how much it can take, and what the account may have of it.
//!
//! A pool is an instance type in an Availability Zone, for spot or on-demand.

use super::actions::Call;
use super::fault::Fault;
use super::force::Force;
use super::model::instance::Instance;
use super::model::region::Region;
use super::moment::Moment;
use super::names::matches;
use super::prices;
use super::quotas;
use super::regions::Place;
use super::types::{self, InstanceType};
use super::{Faults, Lifecycle};
use crate::sandbox::faults::dice::fraction;

/// What the market is drawn from.
fn seed(faults: &Faults) -> u64 {
    faults.seed.unwrap_or_default()
}

/// The spot price in US dollars per hour: the one that the faults set, or one that is made up.
pub(super) fn spot_price(
    faults: &Force,
    place: &Place,
    zone: &str,
    kind: &InstanceType,
    licence: f64,
    at: Moment,
) -> f64 {
    let set = faults.prices.iter().find(|price| {
        applies(price.zone.as_deref(), zone)
            && applies(price.instance_type.as_deref(), kind.name)
            && faults.holds(price.during.as_ref(), at)
    });
    let usual = prices::spot(seed(faults), place, zone, kind, licence, at);
    let Some(set) = set else { return usual };
    let price = set.spot.map_or(usual, |spot| spot + licence * f64::from(kind.vcpus));
    price * set.factor.unwrap_or(1.0)
}

/// Whether a setting for one thing or for all of them is about this one.
fn applies(setting: Option<&str>, actual: &str) -> bool {
    setting.is_none_or(|setting| setting == actual)
}

/// How many more instances a pool takes; `u32::MAX` if nothing limits it.
pub(super) fn room(
    faults: &Force,
    region: &Region,
    zone: &str,
    kind: &InstanceType,
    lifecycle: Lifecycle,
    now: Moment,
) -> u32 {
    let applying = faults.capacity.iter().filter(|fault| {
        applies(fault.zone.as_deref(), zone)
            && applies(fault.instance_type.as_deref(), kind.name)
            && fault.lifecycle.is_none_or(|only| only == lifecycle)
            && faults.holds(fault.during.as_ref(), now)
    });
    let left = applying.map(|fault| {
        let taken = living(region, |instance| {
            applies(fault.zone.as_deref(), &instance.zone)
                && applies(fault.instance_type.as_deref(), &instance.kind)
                && fault.lifecycle.is_none_or(|only| only == instance.lifecycle())
        });
        fault.available.unwrap_or(0).saturating_sub(taken)
    });
    left.chain(seeded(faults, region, zone, kind, lifecycle, now)).min().unwrap_or(u32::MAX)
}

/// The room of a pool in a market that is made up.
fn seeded(
    faults: &Force,
    region: &Region,
    zone: &str,
    kind: &InstanceType,
    lifecycle: Lifecycle,
    now: Moment,
) -> Option<u32> {
    let market = faults.market.as_ref().filter(|_| lifecycle == Lifecycle::Spot)?;
    let hour = (now.seconds() / 3600).to_string();
    let draw = |what: &str| fraction(seed(faults), &[what, zone, kind.name, &hour]);
    if draw("empty") < market.empty {
        return Some(0);
    }
    let holds = 1 + (draw("size") * f64::from(market.largest)) as u32;
    let taken = living(region, |instance| {
        instance.zone == zone && instance.kind == kind.name && instance.lifecycle() == lifecycle
    });
    Some(holds.min(market.largest.max(1)).saturating_sub(taken))
}

fn living(region: &Region, wanted: impl Fn(&Instance) -> bool) -> u32 {
    let count =
        region.instances.values().filter(|instance| !instance.state.ended() && wanted(instance)).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// About how many more instances a pool has: what limits it, or else a number that is made up.
pub(super) fn depth(
    faults: &Force,
    region: &Region,
    zone: &str,
    kind: &InstanceType,
    lifecycle: Lifecycle,
    now: Moment,
) -> u32 {
    if !kind.offered_in(zone) {
        return 0;
    }
    match room(faults, region, zone, kind, lifecycle, now) {
        u32::MAX => {
            let hour = (now.seconds() / 3600).to_string();
            40 + (400.0 * fraction(seed(faults), &["depth", zone, kind.name, &hour])) as u32
        }
        room => room,
    }
}

/// How many instances the account's quota of virtual processors leaves of a type.
pub(super) fn within_quota(
    faults: &Faults,
    place: &Place,
    region: &Region,
    kind: &InstanceType,
    lifecycle: Lifecycle,
) -> u32 {
    let code = quotas::vcpus(kind, lifecycle);
    let limit = quotas::value(faults, place.name, code);
    let used: u32 = region
        .instances
        .values()
        .filter(|instance| !instance.state.ended() && instance.lifecycle() == lifecycle)
        .filter_map(|instance| types::find(&instance.kind))
        .filter(|other| quotas::vcpus(other, lifecycle) == code)
        .map(|other| other.vcpus)
        .sum();
    ((limit - f64::from(used)).max(0.0) / f64::from(kind.vcpus)).floor() as u32
}

/// The refusal of a launch that the account's quota does not allow.
pub(super) fn over_quota(faults: &Faults, place: &Place, kind: &InstanceType, lifecycle: Lifecycle) -> Fault {
    match lifecycle {
        Lifecycle::Spot => Fault::new("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded"),
        Lifecycle::OnDemand => {
            let limit = quotas::value(faults, place.name, quotas::vcpus(kind, lifecycle));
            let message = format!(
                "You have requested more vCPU capacity than your current vCPU limit of {limit} allows for the \
                 instance bucket that the specified instance type belongs to. Please visit \
                 http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit."
            );
            Fault::new("VcpuLimitExceeded", message)
        }
    }
}

/// How many more instances the sandbox itself holds, in all regions: each living one has an address.
pub(super) fn within_limit(call: &Call<'_>) -> u32 {
    call.limit.saturating_sub(u32::try_from(call.addresses.len()).unwrap_or(u32::MAX))
}

/// The refusal of a launch that the sandbox's own limit does not allow, in the words of EC2's quota.
pub(super) fn over_limit(call: &Call<'_>, wanted: u32) -> Fault {
    let message = format!(
        "You have requested more instances ({wanted}) than your current limit of {} allows for: this is the \
         limit of the sandbox, of which {} are left, derived from the memory of this machine. --sandbox-hosts \
         or SPOT_SANDBOX_HOSTS sets another.",
        call.limit,
        within_limit(call)
    );
    Fault::new("InstanceLimitExceeded", message)
}

/// The refusal that the faults ask for: of a whole call if there is no pool, else of a launch in it.
pub(super) fn refusal(call: &Call<'_>, pool: Option<(&str, &InstanceType, Lifecycle)>) -> Result<(), Fault> {
    let action = call.params.text("Action").unwrap_or_default();
    for (index, refusal) in call.faults.refusals.iter().enumerate() {
        let about = matches(&refusal.action, action)
            && applies(refusal.region.as_deref(), call.place.name)
            && match pool {
                None => !refusal.of_pool(),
                Some((zone, kind, lifecycle)) => {
                    refusal.of_pool()
                        && applies(refusal.zone.as_deref(), zone)
                        && applies(refusal.instance_type.as_deref(), kind.name)
                        && refusal.lifecycle.is_none_or(|only| only == lifecycle)
                }
            };
        if !about {
            continue;
        }
        let where_to = pool.map(|(zone, kind, _)| format!("{zone} {}", kind.name)).unwrap_or_default();
        if call.faults.refuses(index, refusal, call.lot, &where_to, call.now) {
            let fault = Fault::with_status(refusal.status, &refusal.code, refusal.message.clone());
            return Err(Fault { on_purpose: true, ..fault });
        }
    }
    Ok(())
}

/// The moments from `from` to `to` at which the price of a pool changed, newest first, ending with the one
/// whose price was in force at `from`.
pub(super) fn price_changes(faults: &Force, from: Moment, to: Moment) -> Vec<Moment> {
    let mut all = prices::changes(from, to);
    for price in &faults.prices {
        all.extend(faults.edges(price.during.as_ref(), from, to));
    }
    all.sort_unstable();
    all.dedup();
    all.reverse();
    all
}
