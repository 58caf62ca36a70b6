//! Everything that the account has, for whoever checks that nothing was left: `GET /_sandbox/inventory`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::model::cloud::Cloud;
use super::model::region::Region;

/// Something that the account has. What every new account has in each region, its default network, is
/// left out; so is what has ended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Holding {
    /// `instance`, `vpc`, `subnet`, `security-group`, `launch-template`, `spot-request`, …
    pub kind: String,
    /// Its id.
    pub id: String,
    /// The region it is in.
    pub region: String,
    /// Of an instance: `pending`, `running` or `shutting-down`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The client token of the request that launched it, of an instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// All that the account has.
pub(super) fn of(cloud: &Cloud) -> Vec<Holding> {
    cloud.regions.iter().flat_map(|(name, region)| of_region(name, region)).collect()
}

fn of_region(name: &str, region: &Region) -> Vec<Holding> {
    let held = |kind: &str, id: &String| Holding {
        kind: kind.to_owned(),
        id: id.clone(),
        region: name.to_owned(),
        state: None,
        token: None,
        tags: region
            .tags
            .get(id)
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
    };
    let default = region.default_vpc().map(|vpc| vpc.id.as_str());
    let usual = |vpc: &str| Some(vpc) == default;
    let mut all = Vec::new();
    for instance in region.instances.values().filter(|instance| instance.state.name() != "terminated") {
        all.push(Holding {
            state: Some(instance.state.name().to_owned()),
            token: instance.client_token.clone(),
            ..held("instance", &instance.id)
        });
    }
    all.extend(region.vpcs.keys().filter(|id| !usual(id)).map(|id| held("vpc", id)));
    let subnets = region.subnets.values().filter(|subnet| !subnet.default_for_zone);
    all.extend(subnets.map(|subnet| held("subnet", &subnet.id)));
    let gateways = region.gateways.values().filter(|gateway| !gateway.vpc.as_deref().is_some_and(usual));
    all.extend(gateways.map(|gateway| held("internet-gateway", &gateway.id)));
    let tables = region.route_tables.values().filter(|table| !(usual(&table.vpc) && table.is_main()));
    all.extend(tables.map(|table| held("route-table", &table.id)));
    let groups = region.groups.values().filter(|group| !(usual(&group.vpc) && group.name == "default"));
    all.extend(groups.map(|group| held("security-group", &group.id)));
    all.extend(region.key_pairs.values().map(|key| held("key-pair", &key.id)));
    all.extend(region.volumes.keys().map(|id| held("volume", id)));
    let requests = region.spot_requests.values().filter(|request| request.state == "active");
    all.extend(requests.map(|request| held("spot-request", &request.id)));
    all.extend(region.interfaces.keys().map(|id| held("network-interface", id)));
    all.extend(region.elastic.keys().map(|id| held("elastic-ip", id)));
    all.extend(region.egress_gateways.keys().map(|id| held("egress-only-internet-gateway", id)));
    all.extend(region.templates.keys().map(|id| held("launch-template", id)));
    let groups = region.placement_groups.values();
    all.extend(groups.map(|group| held("placement-group", &group.id)));
    // A fleet of type `instant` is a record of a request: it holds nothing once its instances are gone.
    let fleets = region.fleets.values().filter(|fleet| {
        let mut launched = fleet.groups.iter().flat_map(|group| &group.instances);
        launched
            .any(|id| region.instances.get(id).is_some_and(|instance| instance.state.name() != "terminated"))
    });
    all.extend(fleets.map(|fleet| held("fleet", &fleet.id)));
    all
}
