//! Everything an account has in one region.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::address::{Address, EgressGateway};
use super::chance::Chance;
use super::cidr::Cidr;
use super::fleet::Fleet;
use super::group::{Group, Peer, Rule, Traffic};
use super::id::{self, IdKind};
use super::instance::{Instance, Pace, REMEMBERED, State};
use super::interface::LooseInterface;
use super::key_pair::KeyPair;
use super::network::{Association, Gateway, Route, RouteTable, Subnet, Vpc};
use super::placement_group::PlacementGroup;
use super::spot_request::SpotRequest;
use super::template::LaunchTemplate;
use super::volume::Volume;
use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::moment::Moment;
use crate::sandbox::ec2::regions::{Place, Zone};

/// Tags of a resource.
pub(in super::super) type Tags = BTreeMap<String, String>;

/// The resources of a region, by id.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(in super::super) struct Region {
    /// What the action under way draws.
    #[serde(skip)]
    pub chance: Chance,
    pub vpcs: BTreeMap<String, Vpc>,
    pub subnets: BTreeMap<String, Subnet>,
    pub gateways: BTreeMap<String, Gateway>,
    pub route_tables: BTreeMap<String, RouteTable>,
    pub groups: BTreeMap<String, Group>,
    /// By name, which is what identifies a key pair.
    pub key_pairs: BTreeMap<String, KeyPair>,
    pub instances: BTreeMap<String, Instance>,
    pub volumes: BTreeMap<String, Volume>,
    pub spot_requests: BTreeMap<String, SpotRequest>,
    /// Interfaces that belong to no instance.
    pub interfaces: BTreeMap<String, LooseInterface>,
    /// Elastic IP addresses.
    pub elastic: BTreeMap<String, Address>,
    pub egress_gateways: BTreeMap<String, EgressGateway>,
    pub templates: BTreeMap<String, LaunchTemplate>,
    pub fleets: BTreeMap<String, Fleet>,
    /// By name, which is what identifies a placement group.
    pub placement_groups: BTreeMap<String, PlacementGroup>,
    /// Tags of every kind of resource, by its id.
    pub tags: BTreeMap<String, Tags>,
    /// Requests that must not be carried out twice, by action and client token.
    pub tokens: BTreeMap<String, Token>,
    /// What was made of late, by id, if it is not to be seen at once.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub made: BTreeMap<String, Moment>,
}

/// What a client token stands for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in super::super) struct Token {
    /// Digest of the request it came with.
    pub digest: String,
    /// What that request made.
    pub result: String,
    pub at: Moment,
}

/// A resource that is kept by its id.
pub(in super::super) fn find<'a, T>(
    all: &'a BTreeMap<String, T>,
    kind: &IdKind,
    id: &str,
) -> Result<&'a T, Fault> {
    kind.check(id)?;
    all.get(id).ok_or_else(|| kind.missing(&[id]))
}

/// [`find`], to change it.
pub(in super::super) fn find_mut<'a, T>(
    all: &'a mut BTreeMap<String, T>,
    kind: &IdKind,
    id: &str,
) -> Result<&'a mut T, Fault> {
    kind.check(id)?;
    all.get_mut(id).ok_or_else(|| kind.missing(&[id]))
}

impl Region {
    /// A region as a new account finds it: with a default VPC.
    pub fn new(place: &Place, chance: Chance) -> Self {
        let mut region = Region { chance, ..Region::default() };
        region.add_default_vpc(place);
        region
    }

    /// The default VPC `172.31.0.0/16` with a public subnet in each zone; returns its id.
    pub fn add_default_vpc(&mut self, place: &Place) -> String {
        let vpc = self.add_vpc(Cidr::new(Ipv4Addr::new(172, 31, 0, 0), 16), true);
        for (zone, third) in place.zones().iter().zip((0..=240).step_by(16)) {
            let cidr = Cidr::new(Ipv4Addr::new(172, 31, third, 0), 20);
            self.add_subnet(&vpc, cidr, zone, true);
        }
        let gateway = id::GATEWAY.draw(&self.chance);
        self.gateways.insert(gateway.clone(), Gateway { id: gateway.clone(), vpc: Some(vpc.clone()) });
        if let Some(table) = self.route_tables.values_mut().find(|table| table.vpc == vpc) {
            table.routes.push(Route { destination: "0.0.0.0/0".into(), gateway });
        }
        vpc
    }

    /// A VPC with the main route table and default group that each one has; returns its id.
    pub fn add_vpc(&mut self, cidr: Cidr, is_default: bool) -> String {
        let id = id::VPC.draw(&self.chance);
        let association = id::CIDR_ASSOCIATION.draw(&self.chance);
        let vpc = Vpc {
            id: id.clone(),
            cidr,
            association,
            ipv6: None,
            is_default,
            dns_support: true,
            dns_hostnames: is_default,
        };
        self.vpcs.insert(id.clone(), vpc);
        let table = self.add_route_table(&id);
        if let Some(table) = self.route_tables.get_mut(&table) {
            table.associations.push(Association { id: id::ASSOCIATION.draw(&self.chance), subnet: None });
        }
        let group = self.add_group(&id, "default", "default VPC security group");
        if let Some(added) = self.groups.get_mut(&group) {
            added.rules.push(rule(&self.chance, false, Peer::Group(group)));
        }
        id
    }

    /// A subnet; returns its id.
    pub fn add_subnet(&mut self, vpc: &str, cidr: Cidr, zone: &Zone, default_for_zone: bool) -> String {
        let id = id::SUBNET.draw(&self.chance);
        let subnet = Subnet {
            id: id.clone(),
            vpc: vpc.to_owned(),
            cidr,
            zone: zone.name.clone(),
            zone_id: zone.id.clone(),
            default_for_zone,
            map_public: default_for_zone,
            ipv6: None,
            assign_ipv6: false,
        };
        self.subnets.insert(id.clone(), subnet);
        id
    }

    /// A route table that nothing uses yet; returns its id.
    pub fn add_route_table(&mut self, vpc: &str) -> String {
        let id = id::ROUTE_TABLE.draw(&self.chance);
        let table =
            RouteTable { id: id.clone(), vpc: vpc.to_owned(), routes: Vec::new(), associations: Vec::new() };
        self.route_tables.insert(id.clone(), table);
        id
    }

    /// A security group that lets everything out and nothing in; returns its id.
    pub fn add_group(&mut self, vpc: &str, name: &str, description: &str) -> String {
        let id = id::GROUP.draw(&self.chance);
        let group = Group {
            id: id.clone(),
            name: name.to_owned(),
            description: description.to_owned(),
            vpc: vpc.to_owned(),
            rules: vec![rule(&self.chance, true, Peer::Ipv4("0.0.0.0/0".to_owned()))],
        };
        self.groups.insert(id.clone(), group);
        let v6 = self.vpcs.get(vpc).is_some_and(|vpc| vpc.ipv6.is_some());
        if let Some(added) = self.groups.get_mut(&id).filter(|_| v6) {
            added.rules.push(rule(&self.chance, true, Peer::Ipv6("::/0".to_owned())));
        }
        id
    }

    /// Whether an interface is in a subnet: of an instance, or on its own.
    pub fn inhabited(&self, subnet: &str) -> bool {
        self.attached().any(|instance| instance.subnet == subnet)
            || self.interfaces.values().any(|interface| interface.subnet == subnet)
    }

    /// Sets the tags of a new resource.
    pub fn tag(&mut self, id: &str, tags: &Tags) {
        if !tags.is_empty() {
            self.tags.entry(id.to_owned()).or_default().extend(tags.clone());
        }
    }

    /// The default VPC, if there is one.
    pub fn default_vpc(&self) -> Option<&Vpc> {
        self.vpcs.values().find(|vpc| vpc.is_default)
    }

    /// The group of a VPC by its name.
    pub fn group_named(&self, vpc: &str, name: &str) -> Option<&Group> {
        self.groups.values().find(|group| group.vpc == vpc && group.name == name)
    }

    /// Instances that still have their network interface.
    pub fn attached(&self) -> impl Iterator<Item = &Instance> {
        self.instances.values().filter(|instance| instance.attached())
    }

    /// Whether a resource exists that can carry tags.
    pub fn exists(&self, kind: &IdKind, id: &str) -> bool {
        match kind.prefix {
            "i" => self.instances.contains_key(id),
            "vpc" => self.vpcs.contains_key(id),
            "subnet" => self.subnets.contains_key(id),
            "igw" => self.gateways.contains_key(id),
            "rtb" => self.route_tables.contains_key(id),
            "sg" => self.groups.contains_key(id),
            "sgr" => self.groups.values().any(|group| group.rules.iter().any(|rule| rule.id == id)),
            "eni" => {
                self.interfaces.contains_key(id)
                    || self.attached().any(|instance| instance.interface.id == id)
            }
            "eipalloc" => self.elastic.contains_key(id),
            "eigw" => self.egress_gateways.contains_key(id),
            "key" => self.key_pairs.values().any(|key| key.id == id),
            "vol" => self.volumes.contains_key(id),
            "sir" => self.spot_requests.contains_key(id),
            "lt" => self.templates.contains_key(id),
            "fleet" => self.fleets.contains_key(id),
            "pg" => self.placement_groups.values().any(|group| group.id == id),
            _ => false,
        }
    }

    /// Lets time take effect: starts what was pending, ends what was shutting down and forgets what
    /// ended long ago. Returns the addresses that became free.
    pub fn settle(&mut self, now: Moment, pace: Pace) -> Vec<Ipv4Addr> {
        let mut ended = Vec::new();
        for instance in self.instances.values_mut() {
            let before = instance.state;
            instance.settle(now, pace);
            if before != instance.state && instance.state == State::Terminated {
                ended.push(instance.id.clone());
            }
        }
        for id in ended {
            self.release(&id);
        }
        let instances = &self.instances;
        let gone = |id: &String| instances.get(id).is_none_or(|known| known.state == State::Terminated);
        for fleet in self.fleets.values_mut().filter(|fleet| fleet.state == "deleted_terminating") {
            if fleet.groups.iter().flat_map(|group| &group.instances).all(gone) {
                fleet.state = "deleted".to_owned();
            }
        }
        self.forget(now)
    }

    /// Takes the interface and the volumes from an instance that has ended.
    pub fn release(&mut self, id: &str) {
        let Some(instance) = self.instances.get(id) else { return };
        self.tags.remove(&instance.interface.id);
        for address in self.elastic.values_mut() {
            address.associated.take_if(|(_, owner)| owner == id);
        }
        for id in &instance.volumes {
            let Some(volume) = self.volumes.get_mut(id) else { continue };
            if volume.attachment.take().is_some_and(|attached| attached.delete_on_termination) {
                self.volumes.remove(id);
                self.tags.remove(id);
            }
        }
    }

    fn forget(&mut self, now: Moment) -> Vec<Ipv4Addr> {
        let old = |instance: &Instance| {
            let ending = instance.ending.as_ref().filter(|_| instance.state == State::Terminated);
            ending.is_some_and(|ending| now.since(ending.at) >= REMEMBERED)
        };
        let mut freed = Vec::new();
        for (id, instance) in self.instances.extract_if(.., |_, instance| old(instance)) {
            freed.push(instance.address);
            self.tags.remove(&id);
            if let Some(request) = instance.spot_request {
                self.spot_requests.remove(&request);
                self.tags.remove(&request);
            }
        }
        self.tokens.retain(|_, token| now.since(token.at) < Duration::from_secs(24 * 3600));
        freed
    }
}

/// A rule for all traffic.
fn rule(chance: &Chance, egress: bool, peer: Peer) -> Rule {
    let traffic = Traffic { protocol: "-1".into(), from: None, to: None };
    Rule { id: id::RULE.draw(chance), egress, traffic, peer, description: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::ec2::regions;

    #[test]
    fn a_new_region_has_a_default_network() {
        let place = regions::find("us-east-1").unwrap();
        let region = Region::new(place, Chance::default());
        let vpc = region.default_vpc().unwrap();
        assert_eq!(vpc.cidr.to_string(), "172.31.0.0/16");
        let zones: Vec<_> = place.zones().into_iter().map(|zone| zone.name).collect();
        let mut found: Vec<_> = region.subnets.values().map(|subnet| subnet.zone.clone()).collect();
        found.sort();
        assert_eq!(found, zones);
        assert!(region.group_named(&vpc.id, "default").is_some());
        let table = region.route_tables.values().next().unwrap();
        assert!(table.is_main() && table.routes.len() == 1);
        assert!(region.gateways.values().all(|gateway| gateway.vpc.as_deref() == Some(vpc.id.as_str())));
    }
}
