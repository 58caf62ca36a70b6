//! Eventual consistency: what was just made is not seen by other calls for a while.
//!
//! Descriptions do not tell it, and a call that names it is refused as if it did not exist. Whatever else
//! depends on it goes on: a group cannot be made twice, a subnet's addresses are counted, and a client
//! token finds what it made.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::model::region::Region;
use super::moment::Moment;
use super::request::Params;
use super::router::Operation;

/// Actions that make what the parameter names: it is compared with what there is, seen or not.
const NAMED_BY: &[(&str, &[&str])] = &[
    ("KeyName", &["ImportKeyPair", "CreateKeyPair"]),
    ("LaunchTemplateName", &["CreateLaunchTemplate"]),
    ("GroupName", &["CreatePlacementGroup", "CreateSecurityGroup"]),
];

/// What is out of sight during one call.
pub(super) struct Hidden(Region);

/// Takes out of a region what the call may not see yet.
pub(super) fn hide(
    region: &mut Region,
    operation: &Operation,
    params: &Params,
    now: Moment,
    delay: Duration,
) -> Hidden {
    let recent = region.made.iter().filter(|(_, at)| now.since(**at) < delay);
    let fresh: BTreeSet<String> = recent.map(|(id, _)| id.clone()).collect();
    if fresh.is_empty() {
        return Hidden(Region::default());
    }
    let values: BTreeSet<&str> = params.flatten().into_iter().map(|(_, value)| value).collect();
    let named = |name: &str, parameter: &str| {
        let makes = NAMED_BY.iter().any(|(known, by)| *known == parameter && by.contains(&operation.name));
        !makes && values.contains(name)
    };
    // A change is refused only if it names what is not seen; to a description nothing of it is there.
    let hides = |id: &str| fresh.contains(id) && (!operation.writes || values.contains(id));
    let by_name = |id: &str, name: &str, parameter: &str| {
        fresh.contains(id) && (!operation.writes || values.contains(id) || named(name, parameter))
    };
    let mut hidden = Region {
        vpcs: part(&mut region.vpcs, hides),
        subnets: part(&mut region.subnets, hides),
        gateways: part(&mut region.gateways, hides),
        route_tables: part(&mut region.route_tables, hides),
        groups: part(&mut region.groups, hides),
        instances: part(&mut region.instances, hides),
        volumes: part(&mut region.volumes, hides),
        spot_requests: part(&mut region.spot_requests, hides),
        interfaces: part(&mut region.interfaces, hides),
        elastic: part(&mut region.elastic, hides),
        egress_gateways: part(&mut region.egress_gateways, hides),
        fleets: part(&mut region.fleets, hides),
        ..Region::default()
    };
    hidden.key_pairs =
        region.key_pairs.extract_if(.., |name, key| by_name(&key.id, name, "KeyName")).collect();
    hidden.templates = region
        .templates
        .extract_if(.., |id, template| by_name(id, &template.name, "LaunchTemplateName"))
        .collect();
    hidden.placement_groups =
        region.placement_groups.extract_if(.., |name, group| by_name(&group.id, name, "GroupName")).collect();
    if !operation.writes {
        hidden.tags = part(&mut region.tags, |id| fresh.contains(id));
    }
    Hidden(hidden)
}

fn part<T>(all: &mut BTreeMap<String, T>, hides: impl Fn(&str) -> bool) -> BTreeMap<String, T> {
    all.extract_if(.., |id, _| hides(id)).collect()
}

/// Puts back what was taken out.
pub(super) fn restore(region: &mut Region, hidden: Hidden) {
    let Hidden(hidden) = hidden;
    region.vpcs.extend(hidden.vpcs);
    region.subnets.extend(hidden.subnets);
    region.gateways.extend(hidden.gateways);
    region.route_tables.extend(hidden.route_tables);
    region.groups.extend(hidden.groups);
    region.instances.extend(hidden.instances);
    region.volumes.extend(hidden.volumes);
    region.spot_requests.extend(hidden.spot_requests);
    region.interfaces.extend(hidden.interfaces);
    region.elastic.extend(hidden.elastic);
    region.egress_gateways.extend(hidden.egress_gateways);
    region.fleets.extend(hidden.fleets);
    region.key_pairs.extend(hidden.key_pairs);
    region.templates.extend(hidden.templates);
    region.placement_groups.extend(hidden.placement_groups);
    region.tags.extend(hidden.tags);
}

/// The ids of everything that can be hidden.
pub(super) fn ids(region: &Region) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut add = |ids: &mut dyn Iterator<Item = &String>| all.extend(ids.cloned());
    add(&mut region.vpcs.keys());
    add(&mut region.subnets.keys());
    add(&mut region.gateways.keys());
    add(&mut region.route_tables.keys());
    add(&mut region.groups.keys());
    add(&mut region.instances.keys());
    add(&mut region.volumes.keys());
    add(&mut region.spot_requests.keys());
    add(&mut region.interfaces.keys());
    add(&mut region.elastic.keys());
    add(&mut region.egress_gateways.keys());
    add(&mut region.fleets.keys());
    add(&mut region.templates.keys());
    add(&mut region.key_pairs.values().map(|key| &key.id));
    add(&mut region.placement_groups.values().map(|group| &group.id));
    all
}

/// Notes what has been made since `before`, for as long as it matters.
pub(super) fn note(region: &mut Region, before: &BTreeSet<String>, now: Moment, delay: Duration) {
    region.made.retain(|_, at| now.since(*at) < delay);
    let made: Vec<String> = ids(region).difference(before).cloned().collect();
    region.made.extend(made.into_iter().map(|id| (id, now)));
}

#[cfg(test)]
mod tests {
    use super::super::model::chance::Chance;
    use super::super::{regions, router};
    use super::*;

    #[test]
    fn a_resource_is_seen_when_its_time_has_come() {
        let delay = Duration::from_secs(3);
        let now = Moment::from_seconds(1_000);
        let mut region = Region::new(regions::find("us-west-2").unwrap(), Chance::default());
        let before = ids(&region);
        let vpc = region.default_vpc().unwrap().id.clone();
        let group = region.add_group(&vpc, "web", "web");
        note(&mut region, &before, now, delay);
        let mut seen = |action: &str, at: Moment| {
            let query = format!("Version=2016-11-15&Action={action}&VpcId={vpc}");
            let params = Params::parse(query.as_bytes()).unwrap();
            let hidden = hide(&mut region, router::find(&params).unwrap(), &params, at, delay);
            let seen = region.groups.contains_key(&group);
            restore(&mut region, hidden);
            assert!(region.groups.contains_key(&group));
            seen
        };
        assert!(!seen("DescribeSecurityGroups", now));
        assert!(!seen("DescribeSecurityGroups", now.plus(Duration::from_millis(2_999))));
        assert!(seen("DescribeSecurityGroups", now.plus(delay)));
        assert!(seen("DeleteVpc", now), "a change finds what depends on what it changes");
        assert!(!seen(&format!("DeleteSecurityGroup&GroupId={group}"), now));
    }
}
