//! What was planned so far, laid over what EC2 answers: new resources appear, removed ones vanish,
//! changed ones show their change.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::element::Element;
use super::filter::accepts;
use super::request::Asked;
use super::shapes::{self, Shape};
use crate::cloud::plan::placeholder;

/// A change to a resource, be it planned or real.
#[derive(Debug, Clone)]
pub(super) enum Patch {
    /// The text at a path.
    Put(&'static [&'static str], String),
    /// An item is added to a set.
    Add(&'static str, Element),
    /// Items of a set go in which an element has this text.
    Drop(&'static str, &'static str, String),
    /// A tag is written.
    Tag(String, String),
    /// A tag goes.
    Untag(String),
    /// An address range of a rule goes: set, protocol, ports from and to, range.
    Revoke { set: &'static str, protocol: String, from: String, to: String, range: String },
}

/// A resource that does not exist.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    pub(super) kind: &'static str,
    pub(super) region: String,
    pub(super) id: String,
    pub(super) item: Element,
}

/// Everything that was planned so far.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    numbers: BTreeMap<&'static str, u64>,
    pub(super) planned: Vec<Planned>,
    /// Ids of what was deleted.
    pub(super) gone: BTreeSet<String>,
    /// Ids of instances that were terminated.
    pub(super) ended: BTreeSet<String>,
    patches: HashMap<String, Vec<Patch>>,
    /// Zone and VPC of the subnets that were seen.
    pub(super) subnets: HashMap<String, (String, String)>,
    /// Zones by region, as they were seen.
    pub(super) zones: HashMap<String, Vec<String>>,
    /// The data of launch templates by id and by name, newest version last.
    pub(super) templates: HashMap<String, Vec<Asked>>,
    /// What each idempotency token was answered with.
    pub(super) tokens: HashMap<(String, String, String), Element>,
    /// Names of roles that were made.
    pub(super) roles: BTreeSet<String>,
}

impl Overlay {
    /// A new placeholder.
    pub(super) fn name(&mut self, kind: &'static str) -> String {
        let number = self.numbers.entry(kind).or_default();
        *number += 1;
        format!("{kind}-?{number}")
    }

    /// Adds a planned resource.
    pub(super) fn add(&mut self, kind: &'static str, asked: &Asked, id: &str, item: Element) {
        let (region, id) = (asked.region.clone(), id.to_owned());
        self.planned.push(Planned { kind, region, id, item });
    }

    /// Notes a change to a resource.
    pub(super) fn patch(&mut self, id: &str, patch: Patch) {
        if let Some(planned) = self.planned.iter_mut().find(|planned| planned.id == id) {
            apply(&mut planned.item, &patch);
        } else {
            self.patches.entry(id.to_owned()).or_default().push(patch);
        }
    }

    /// Notes that resources are deleted.
    pub(super) fn remove(&mut self, id: &str) {
        self.gone.insert(id.to_owned());
        self.planned.retain(|planned| planned.id != id);
    }

    /// A planned resource.
    pub(super) fn find(&self, id: &str) -> Option<&Planned> {
        self.planned.iter().find(|planned| planned.id == id)
    }

    /// Whether a request can only be about what does not exist: it must not be sent.
    pub(super) fn only_planned(&self, asked: &Asked, shape: &Shape) -> bool {
        let all =
            |values: &[&str]| !values.is_empty() && values.iter().all(|value| placeholder(value).is_some());
        let (parameter, element) = name_of(shape);
        let names = asked.list(parameter);
        // EC2 refuses to describe a name that it does not know.
        let planned = |name: &&str| {
            self.planned.iter().any(|it| it.kind == shape.kind && it.item.text_of(element) == *name)
        };
        all(&asked.list(shape.parameter))
            || (!names.is_empty() && names.iter().all(planned))
            || asked.groups("Filter").iter().any(|filter| all(&filter.list("Value")))
    }

    /// Learns from an answer of EC2 what planned resources will need to know.
    pub(super) fn learn(&mut self, asked: &Asked, answer: &Element) {
        let items = |set: &str| answer.find(set).map(|set| set.children.clone()).unwrap_or_default();
        match asked.action.as_str() {
            "DescribeSubnets" => {
                for item in items("subnetSet") {
                    let place =
                        (item.text_of("availabilityZone").to_owned(), item.text_of("vpcId").to_owned());
                    self.subnets.insert(item.text_of("subnetId").to_owned(), place);
                }
            }
            "DescribeAvailabilityZones" => {
                let zones = items("availabilityZoneInfo");
                let names = zones.iter().map(|zone| zone.text_of("zoneName").to_owned()).collect();
                self.zones.insert(asked.region.clone(), names);
            }
            _ => {}
        }
    }

    /// Lays what was planned over an answer.
    pub(super) fn merge(&self, asked: &Asked, shape: &Shape, answer: &mut Element) {
        let set = answer.entry(shape.set);
        if shape.action == "DescribeInstances" {
            for reservation in &mut set.children {
                let instances = reservation.entry("instancesSet");
                instances.children.retain_mut(|item| self.keep(asked, shape, item));
            }
            set.children.retain(|reservation| {
                reservation.find("instancesSet").is_some_and(|it| !it.children.is_empty())
            });
        } else {
            set.children.retain_mut(|item| self.keep(asked, shape, item));
        }
        // What is planned stands on the first page.
        if asked.get("NextToken").is_some() {
            return;
        }
        let ids = asked.list(shape.parameter);
        let (parameter, element) = name_of(shape);
        let names = asked.list(parameter);
        for item in self.described(asked, shape) {
            let wanted = ids.is_empty() || ids.contains(&item.text_of(shape.id));
            if !wanted || !(names.is_empty() || names.contains(&item.text_of(element))) {
                continue;
            }
            let mut item = Element { name: "item".to_owned(), ..item };
            if !self.keep(asked, shape, &mut item) || !accepts(&item, asked) {
                continue;
            }
            set.children.push(match shape.action {
                "DescribeInstances" => Element::new("item")
                    .with("reservationId", format!("r-{}", item.text_of("instanceId")))
                    .child(Element {
                        name: "instancesSet".to_owned(),
                        text: String::new(),
                        children: vec![item],
                    }),
                _ => item,
            });
        }
    }

    /// The planned resources of a region as an action describes them.
    fn described(&self, asked: &Asked, shape: &Shape) -> Vec<Element> {
        let here = self.planned.iter().filter(|planned| planned.region == asked.region);
        match shape.action {
            "DescribeTags" => here
                .flat_map(|planned| {
                    let tags =
                        planned.item.find("tagSet").map(|set| set.children.clone()).unwrap_or_default();
                    let id = planned.id.clone();
                    tags.into_iter().map(move |tag| {
                        tag.with("resourceId", id.clone()).with("resourceType", resource_type(&id))
                    })
                })
                .collect(),
            "DescribeInstanceStatus" => here
                .filter(|planned| planned.kind == "i")
                .map(|planned| {
                    let state = planned.item.find("instanceState").cloned().unwrap_or_default();
                    let status = |name: &str| Element::new(name).with("status", "ok");
                    Element::new("item")
                        .with("instanceId", planned.id.clone())
                        .child(state)
                        .child(status("systemStatus"))
                        .child(status("instanceStatus"))
                })
                .collect(),
            _ => here
                .filter(|planned| planned.kind == shape.kind)
                .map(|planned| planned.item.clone())
                .collect(),
        }
    }

    /// Changes an item as was planned; `false` when it is gone, or passes the filters no more.
    fn keep(&self, asked: &Asked, shape: &Shape, item: &mut Element) -> bool {
        let id = item.text_of(shape.id).to_owned();
        if self.gone.contains(&id) || (shape.kind == "tag" && self.ended.contains(&id)) {
            return false;
        }
        let mut changed = false;
        for patch in self.patches.get(&id).into_iter().flatten() {
            apply(item, patch);
            changed = true;
        }
        let of_ended = |path: &[&str]| item.at(path).iter().any(|holder| self.ended.contains(*holder));
        match shape.kind {
            // What an instance holds goes with it.
            "eni" if of_ended(&["attachment", "instanceId"]) => return false,
            "vol" if of_ended(&["attachmentSet", "instanceId"]) => {
                let stays = item.at(&["attachmentSet", "deleteOnTermination"]).contains(&"false");
                if !stays {
                    return false;
                }
                item.put(&["status"], "available");
                item.entry("attachmentSet").children.clear();
                changed = true;
            }
            "sir" if of_ended(&["instanceId"]) => {
                item.put(&["state"], "closed");
                changed = true;
            }
            "rtb" => {
                let associations = &mut item.entry("associationSet").children;
                associations.retain(|it| {
                    !self.gone.contains(it.text_of("routeTableAssociationId"))
                        && !self.gone.contains(it.text_of("subnetId"))
                });
            }
            "i" if self.ended.contains(&id) => {
                item.put(&["instanceState", "code"], "48");
                item.put(&["instanceState", "name"], "terminated");
                item.children.retain(|it| !["ipAddress", "privateIpAddress"].contains(&it.name.as_str()));
                changed = true;
            }
            _ => {}
        }
        !changed || accepts(item, asked)
    }
}

/// The parameter by which resources are asked for by name, and the element with their name.
fn name_of(shape: &Shape) -> (&'static str, &'static str) {
    match shape.kind {
        "lt" => ("LaunchTemplateName", "launchTemplateName"),
        "key" => ("KeyName", "keyName"),
        "sg" | "pg" => ("GroupName", "groupName"),
        _ => ("", ""),
    }
}

fn resource_type(id: &str) -> String {
    let kind = id.split_once("-?").map_or("", |(kind, _)| kind);
    match kind {
        "i" => "instance",
        "sg" => "security-group",
        "igw" => "internet-gateway",
        "rtb" => "route-table",
        "lt" => "launch-template",
        "vol" => "volume",
        "sir" => "spot-instances-request",
        "eni" => "network-interface",
        "key" => "key-pair",
        other => other,
    }
    .to_owned()
}

fn apply(item: &mut Element, patch: &Patch) {
    match patch {
        Patch::Put(path, text) => item.put(path, text),
        Patch::Add(set, added) => {
            item.entry(set).children.push(Element { name: "item".to_owned(), ..added.clone() });
        }
        Patch::Drop(set, key, value) => item.entry(set).children.retain(|it| it.text_of(key) != value),
        Patch::Tag(key, value) => {
            let tags = &mut item.entry("tagSet").children;
            tags.retain(|tag| tag.text_of("key") != key);
            tags.push(Element::new("item").with("key", key.clone()).with("value", value.clone()));
        }
        Patch::Untag(key) => item.entry("tagSet").children.retain(|tag| tag.text_of("key") != key),
        Patch::Revoke { set, protocol, from, to, range } => {
            let same = |rule: &Element| {
                rule.text_of("ipProtocol") == protocol
                    && rule.text_of("fromPort") == from
                    && rule.text_of("toPort") == to
            };
            let lists = [("ipRanges", "cidrIp"), ("ipv6Ranges", "cidrIpv6"), ("groups", "groupId")];
            let rules = &mut item.entry(set).children;
            for rule in rules.iter_mut().filter(|rule| same(rule)) {
                for (list, key) in lists {
                    rule.entry(list).children.retain(|it| it.text_of(key) != range);
                }
            }
            rules.retain(|rule| {
                lists.iter().any(|(list, _)| rule.find(list).is_some_and(|it| !it.children.is_empty()))
            });
        }
    }
}

/// The shape of what a request describes.
pub(super) fn shape(asked: &Asked) -> Option<&'static Shape> {
    shapes::of_action(&asked.action).filter(|_| asked.service == "ec2")
}
