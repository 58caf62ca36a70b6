//! Where instances go: network, subnet, zone, and whether there is capacity.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::Call;
use super::launch_request::{LaunchRequest, Network};
use super::security_groups::no_default_vpc;
use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::market;
use crate::sandbox::ec2::model::id;
use crate::sandbox::ec2::model::network::Subnet;
use crate::sandbox::ec2::model::region::{Region, find};
use crate::sandbox::ec2::regions::Zone;
use crate::sandbox::ec2::types::InstanceType;

/// The place found for a launch.
pub(super) struct Placement {
    pub subnet: Subnet,
    pub groups: Vec<String>,
    /// How many instances there are to be.
    pub count: u32,
}

/// Finds subnet, groups and capacity for a launch.
pub(super) fn place(call: &Call<'_>, request: &LaunchRequest) -> Result<Placement, Fault> {
    let candidates = candidates(call, &request.network)?;
    let vpc = candidates.first().map(|subnet| subnet.vpc.as_str()).unwrap_or_default();
    let groups = groups(call.region, &request.network, vpc)?;
    let (subnet, count) = with_capacity(call, request, candidates)?;
    Ok(Placement { subnet, groups, count })
}

/// The subnets that would do: the one asked for, or those of the default VPC in the zone asked for.
fn candidates(call: &Call<'_>, network: &Network) -> Result<Vec<Subnet>, Fault> {
    let zone = zone(call, network)?;
    if let Some(id) = &network.subnet {
        let subnet = find(&call.region.subnets, &id::SUBNET, id)?;
        if zone.is_some_and(|zone| zone.name != subnet.zone) {
            let message = "The specified subnet is not in the specified availability zone";
            return Err(Fault::new("InvalidParameter", format!("{message}: {id}")));
        }
        return Ok(vec![subnet.clone()]);
    }
    let vpc = call.region.default_vpc().ok_or_else(no_default_vpc)?;
    let mut subnets: Vec<Subnet> = call
        .region
        .subnets
        .values()
        .filter(|subnet| subnet.vpc == vpc.id && subnet.default_for_zone)
        .filter(|subnet| zone.as_ref().is_none_or(|zone| zone.name == subnet.zone))
        .cloned()
        .collect();
    if subnets.is_empty() {
        let message = format!("No subnets found for the default VPC '{}'. Please specify a subnet.", vpc.id);
        return Err(Fault::new("MissingInput", message));
    }
    // EC2 does not say which zone it takes; a recipe should not come to rely on one.
    subnets.sort_by_cached_key(|_| call.region.chance.next());
    Ok(subnets)
}

fn zone(call: &Call<'_>, network: &Network) -> Result<Option<Zone>, Fault> {
    let Some(asked) = network.zone.as_ref().or(network.zone_id.as_ref()) else { return Ok(None) };
    let zones = call.place.zones();
    let zone = zones.into_iter().find(|zone| zone.name == *asked || zone.id == *asked);
    zone.map(Some).ok_or_else(|| Fault::value(format!("Invalid availability zone: [{asked}]")))
}

fn groups(region: &Region, network: &Network, vpc: &str) -> Result<Vec<String>, Fault> {
    let mut groups = Vec::new();
    for id in &network.groups {
        let group = find(&region.groups, &id::GROUP, id)?;
        if group.vpc != vpc {
            let subnet = network.subnet.as_deref().unwrap_or("of the default VPC");
            let message = format!("Security group {id} and subnet {subnet} belong to different networks.");
            return Err(Fault::new("InvalidParameter", message));
        }
        groups.push(id.clone());
    }
    for name in &network.group_names {
        let group = region.group_named(vpc, name).ok_or_else(|| {
            let message = format!("The security group '{name}' does not exist in default VPC '{vpc}'");
            Fault::new("InvalidGroup.NotFound", message)
        })?;
        groups.push(group.id.clone());
    }
    if groups.is_empty() {
        groups.extend(region.group_named(vpc, "default").map(|group| group.id.clone()));
    }
    let mut seen = BTreeSet::new();
    groups.retain(|id| seen.insert(id.clone()));
    Ok(groups)
}

fn with_capacity(
    call: &Call<'_>,
    request: &LaunchRequest,
    candidates: Vec<Subnet>,
) -> Result<(Subnet, u32), Fault> {
    let chosen_zone = request.network.subnet.is_some()
        || request.network.zone.is_some()
        || request.network.zone_id.is_some();
    let total = candidates.len();
    let offered: Vec<Subnet> =
        candidates.into_iter().filter(|subnet| request.kind.offered_in(&subnet.zone)).collect();
    if offered.is_empty() && total > 0 {
        return Err(unsupported(call, request.kind));
    }
    let (kind, lifecycle) = (request.kind, request.lifecycle());
    let quota = market::within_quota(call.faults, call.place, call.region, kind, lifecycle);
    if quota < request.least {
        return Err(market::over_quota(call.faults, call.place, kind, lifecycle));
    }
    let free = market::within_limit(call);
    if free < request.least {
        return Err(market::over_limit(call, request.least));
    }
    let most = request.most.min(quota).min(free);
    let with_room = offered.into_iter().map(|subnet| {
        let room = market::room(call.faults, call.region, &subnet.zone, kind, lifecycle, call.now).min(most);
        (subnet, room)
    });
    // The first of those with the most room.
    let best = with_room.reduce(|best, next| if next.1 > best.1 { next } else { best });
    match best {
        Some((subnet, room)) if room >= request.least => Ok((subnet, room)),
        best => Err(insufficient(call, request, best.filter(|_| chosen_zone).map(|(subnet, _)| subnet))),
    }
}

fn unsupported(call: &Call<'_>, kind: &InstanceType) -> Fault {
    let zones: Vec<String> =
        call.place.zones().into_iter().map(|zone| zone.name).filter(|zone| kind.offered_in(zone)).collect();
    let message = format!(
        "Your requested instance type ({}) is not supported in your requested Availability Zone. Please \
         retry your request by not specifying an Availability Zone or choosing {}.",
        kind.name,
        zones.join(", ")
    );
    Fault::new("Unsupported", message)
}

/// `InsufficientInstanceCapacity`, which EC2 answers with 500 although trying again seldom helps.
fn insufficient(call: &Call<'_>, request: &LaunchRequest, subnet: Option<Subnet>) -> Fault {
    let kind = request.kind;
    let message = match subnet {
        _ if request.spot.is_some() => {
            "There is no Spot capacity available that matches your request.".to_owned()
        }
        Some(subnet) => {
            let others: Vec<String> = call
                .place
                .zones()
                .into_iter()
                .map(|zone| zone.name)
                .filter(|zone| {
                    let room = |zone| {
                        market::room(call.faults, call.region, zone, kind, request.lifecycle(), call.now)
                    };
                    kind.offered_in(zone) && room(zone) > 0
                })
                .collect();
            let start = format!(
                "We currently do not have sufficient {} capacity in the Availability Zone you requested \
                 ({}). Our system will be working on provisioning additional capacity.",
                kind.name, subnet.zone
            );
            match others.is_empty() {
                true => start,
                false => format!(
                    "{start} You can currently get {} capacity by not specifying an Availability Zone in \
                     your request or choosing {}.",
                    kind.name,
                    others.join(", ")
                ),
            }
        }
        None => format!(
            "We currently do not have sufficient {} capacity in zones with support for '{}' volumes. Our \
             system will be working on provisioning additional capacity.",
            kind.name, request.image.volume_type
        ),
    };
    Fault::with_status(500, "InsufficientInstanceCapacity", message)
}

/// Free private addresses of a subnet, at random; the first four and the last are AWS's own.
pub(super) fn private_addresses(
    region: &Region,
    subnet: &Subnet,
    count: u32,
) -> Result<Vec<Ipv4Addr>, Fault> {
    let used: BTreeSet<Ipv4Addr> = region
        .attached()
        .filter(|instance| instance.subnet == subnet.id)
        .map(|instance| instance.private_ip)
        .chain(region.interfaces.values().map(|interface| interface.private_ip))
        .filter(|address| subnet.cidr.contains(*address))
        .collect();
    let hosts = 4..subnet.cidr.size().saturating_sub(1);
    let total = hosts.end.saturating_sub(hosts.start);
    if total < used.len() as u64 + u64::from(count) {
        let message = format!(
            "There are not enough free addresses in subnet '{}' to satisfy the requested number of \
             instances.",
            subnet.id
        );
        return Err(Fault::new("InsufficientFreeAddressesInSubnet", message));
    }
    // From a random start, so that an address is not at once given out again.
    let start = region.chance.below(total);
    let free = (0..total)
        .filter_map(|step| subnet.cidr.address(hosts.start + (start + step) % total))
        .filter(|address| !used.contains(address));
    Ok(free.take(count as usize).collect())
}
