//! `state::` functions that compare the state with the cloud.

use std::collections::{BTreeSet, HashMap, HashSet};

use futures::future::join_all;
use rhai::Array;
use rhai::plugin::*;
use serde::Serialize;
use serde_json::{Map, Value};

use super::record::from_cloud;
use super::removal::price;
use super::sys::seconds_since;
use crate::cloud::{Cloud, Instance, InstanceFilter, InstanceState, Owned, Owner, ResourceKind};
use crate::error::{Error, Kind, Result};
use crate::native::thrown::{Answer, answer};
use crate::state::{Document, Network};

/// EC2 shows an instance only some moments after its launch: one younger than so many seconds is not
/// taken for gone.
const YOUNG: f64 = 60.0;

/// What of an instance is compared: what EC2 changes, and what people change behind spot's back.
const COMPARED: [&str; 4] = ["state", "type", "public_ip", "private_ip"];

/// The parts of networks that state keeps account of.
const PARTS: [ResourceKind; 6] = [
    ResourceKind::Vpc,
    ResourceKind::Subnet,
    ResourceKind::SecurityGroup,
    ResourceKind::RouteTable,
    ResourceKind::InternetGateway,
    ResourceKind::EgressOnlyGateway,
];

/// Comparing the state with the cloud.
#[export_module]
pub mod drift {
    use super::*;

    /// Compares the state with what the cloud has in some regions, and changes nothing:
    /// `differences`, and `silent`, the regions that did not answer (`region`, `message`).
    ///
    /// A difference has `drift`, `kind`, `id`, `region`, `detail` (words for people), `hourly` (US
    /// dollars, where known) and `fields`. `drift` is "gone" (known to state, and not there any more),
    /// "changed" (`fields` is what `state::update` takes), "unknown" (it carries the project's tags,
    /// and state does not know it) or "open" (a call whose outcome nobody saw: `state::settle`).
    /// `kind` is "instance", the kind of a network's part as `aws::owned` gives it, or the action of
    /// an open call.
    ///
    /// ```rhai
    /// for difference in state::compare(state::regions()).differences { print(difference.detail); }
    /// ```
    #[rhai_fn(return_raw)]
    pub fn compare(call: NativeCallContext, regions: Array) -> Answer {
        answer(&call, |spot| {
            let regions: BTreeSet<String> = regions.iter().map(ToString::to_string).collect();
            let before = spot.document()?;
            let paid: HashMap<String, f64> =
                before.instances().filter_map(|it| Some((it.id.clone(), it.price?))).collect();
            let owner = before.project().map(|project| Owner::Project(project.to_owned()));
            let looks = regions.into_iter().map(|region| {
                let known = before.instances().filter(|it| it.region == region);
                let known: Vec<String> = known.map(|it| it.id.clone()).collect();
                (region, known)
            });
            let (looks, cloud): (Vec<_>, _) = (looks.collect(), spot.cloud()?);
            let answers = spot.runtime().wait(async move {
                let looks = looks.into_iter().map(|(region, known)| {
                    let (cloud, owner, paid) = (cloud.as_ref(), owner.as_ref(), &paid);
                    async move {
                        let look = look(cloud, &region, owner, known, paid).await;
                        (region, look)
                    }
                });
                Ok(join_all(looks).await)
            })?;
            let mut compared = Compared::default();
            let mut looks = Vec::new();
            for (region, answer) in answers {
                match answer {
                    Ok(look) => looks.push(look),
                    Err(error) if error.kind() == Kind::Interrupted => return Err(error),
                    Err(error) => compared.silent.push(Silent::new(region, &error)),
                }
            }
            // What another run has done meanwhile is no drift.
            let asked: HashSet<&str> = before.instances().map(|it| it.id.as_str()).collect();
            compared.differences = differences(&spot.document()?, &asked, &looks)?;
            Ok(compared)
        })
    }

    /// Forgets parts of the networks of a region, given by their ids. With its VPC goes all that is in
    /// it; gateways that were detached stay until they are named. A network of which nothing is left that
    /// the project made is forgotten whole. Returns whether there were any.
    ///
    /// ```rhai
    /// print(state::remove_parts("us-west-2", ["sg-0123456789abcdef0"]));
    /// ```
    #[rhai_fn(name = "remove_parts", return_raw)]
    pub fn remove_parts(call: NativeCallContext, region: &str, ids: Array) -> Answer {
        remove_parts_but(call, region, ids, Array::new())
    }

    /// Like `remove_parts(region, ids)`, and notes which parts are `left`, such as those that could not
    /// be deleted: whatever state knew of them before, it knows of them now.
    ///
    /// ```rhai
    /// print(state::remove_parts("us-west-2", ["vpc-0123456789abcdef0"], ["igw-0123456789abcdef0"]));
    /// ```
    #[rhai_fn(name = "remove_parts", return_raw)]
    pub fn remove_parts_but(call: NativeCallContext, region: &str, ids: Array, left: Array) -> Answer {
        answer(&call, |spot| {
            spot.may_keep("state::remove_parts")?;
            let gone: HashSet<String> = ids.iter().map(ToString::to_string).collect();
            let mut kept: Vec<String> = left.iter().map(ToString::to_string).collect();
            let writer = spot.writer()?;
            let mut changed = false;
            for network in writer.document().networks().iter().filter(|network| network.region == region) {
                let mut whole = network.clone();
                // The first network of the region stands for what no network is known of.
                whole
                    .created
                    .extend(std::mem::take(&mut kept).into_iter().filter(|id| !network.created.contains(id)));
                let left = without(&whole, &gone);
                changed |= left.as_ref() != Some(network);
                match left {
                    Some(left) => writer.put_network(left)?,
                    None => drop(writer.remove_network(region, &network.vpc_id)?),
                }
            }
            Ok(changed)
        })
    }
}

/// What became of a comparison.
#[derive(Default, Serialize)]
struct Compared {
    differences: Vec<Difference>,
    silent: Vec<Silent>,
}

#[derive(Serialize)]
struct Silent {
    region: String,
    message: String,
}

impl Silent {
    fn new(region: String, error: &Error) -> Self {
        Silent { region, message: error.message().to_owned() }
    }
}

/// One thing in which state and cloud differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Difference {
    drift: &'static str,
    kind: String,
    id: String,
    region: String,
    detail: String,
    hourly: Option<f64>,
    fields: Map<String, Value>,
}

/// What the cloud has of the project in one region.
struct Look {
    region: String,
    instances: Vec<Instance>,
    owned: Vec<Owned>,
}

/// Looks for what carries the owner's tags, and for the instances that state knows, with or without.
async fn look(
    cloud: &dyn Cloud,
    region: &str,
    owner: Option<&Owner>,
    mut known: Vec<String>,
    paid: &HashMap<String, f64>,
) -> Result<Look> {
    let (mut instances, mut owned) = (Vec::new(), Vec::new());
    if let Some(owner) = owner {
        let filter = InstanceFilter::owner(owner);
        let (tagged, resources) = (cloud.instances(region, &filter), cloud.owned(region, owner));
        (instances, owned) = futures::try_join!(tagged, resources)?;
        let seen: HashSet<&str> = instances.iter().map(|it| it.id.as_str()).collect();
        known.retain(|id| !seen.contains(id.as_str()));
    }
    if !known.is_empty() {
        instances.extend(cloud.instances(region, &InstanceFilter::ids(known)).await?);
    }
    price(cloud, region, paid, &mut owned).await;
    Ok(Look { region: region.to_owned(), instances, owned })
}

/// Everything in which a document differs from what was seen; `asked` are the instances that were
/// looked for.
fn differences(document: &Document, asked: &HashSet<&str>, looks: &[Look]) -> Result<Vec<Difference>> {
    let seen: HashMap<&str, &Instance> =
        looks.iter().flat_map(|look| &look.instances).map(|it| (it.id.as_str(), it)).collect();
    let looked = |region: &str| looks.iter().any(|look| look.region == region);
    let mut found = Vec::new();
    for known in document.instances().filter(|known| looked(&known.region)) {
        let difference = |drift, detail| Difference {
            drift,
            kind: ResourceKind::Instance.as_str().to_owned(),
            id: known.id.clone(),
            region: known.region.clone(),
            detail,
            hourly: known.price,
            fields: Map::new(),
        };
        match seen.get(known.id.as_str()) {
            Some(now) if now.state == InstanceState::Terminated => {
                let reason = now.state_reason.as_ref().map(|reason| format!(": {reason}"));
                found.push(difference("gone", format!("terminated{}", reason.unwrap_or_default())));
            }
            Some(now) => {
                let (fields, words) = changes(&known.to_value(), &from_cloud(now)?.to_value());
                if !fields.is_empty() {
                    found.push(Difference { fields, ..difference("changed", words) });
                }
            }
            None => {
                let age = known.created.as_deref().and_then(seconds_since);
                let young = age.is_some_and(|age| (0.0..YOUNG).contains(&age));
                if !young && asked.contains(known.id.as_str()) {
                    found.push(difference("gone", "AWS does not know it any more".to_owned()));
                }
            }
        }
    }
    for look in looks {
        found.extend(unknown_instances(document, look));
        found.extend(network_parts(document, look));
    }
    found.extend(document.open_intents().map(|open| Difference {
        drift: "open",
        kind: open.intent.action.clone(),
        id: open.intent.token.clone(),
        region: open.intent.region.clone(),
        detail: format!("begun {}, and nobody saw how it ended", open.since),
        hourly: None,
        fields: Map::new(),
    }));
    Ok(found)
}

/// The compared fields that differ, with their new values, and in words.
fn changes(known: &Value, now: &Value) -> (Map<String, Value>, String) {
    let shown = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or("none").to_owned();
    let mut fields = Map::new();
    let mut words = Vec::new();
    for field in COMPARED {
        let (old, new) = (known.get(field), now.get(field));
        if old != new {
            fields.insert(field.to_owned(), new.cloned().unwrap_or_default());
            words.push(format!("{field} is {}, was {}", shown(new), shown(old)));
        }
    }
    (fields, words.join("; "))
}

fn unknown_instances(document: &Document, look: &Look) -> Vec<Difference> {
    let alive = look.instances.iter().filter(|it| !it.state.is_ending());
    let unknown = alive.filter(|it| document.instance(&it.id).is_none());
    let difference = |it: &Instance| {
        let owned = look.owned.iter().find(|owned| owned.id == it.id);
        Difference {
            drift: "unknown",
            kind: ResourceKind::Instance.as_str().to_owned(),
            id: it.id.clone(),
            region: it.region.clone(),
            detail: format!(
                "{} {}, {}, launched {}",
                it.market.as_str(),
                it.instance_type,
                it.state,
                it.created.as_deref().unwrap_or("at an unknown time")
            ),
            hourly: owned.and_then(|owned| owned.hourly),
            fields: Map::new(),
        }
    };
    unknown.map(difference).collect()
}

/// Parts of networks that only one side has.
fn network_parts(document: &Document, look: &Look) -> Vec<Difference> {
    let networks: Vec<&Network> = document.networks().iter().filter(|it| it.region == look.region).collect();
    let difference = |drift, id: &str, detail: String| Difference {
        drift,
        kind: kind_of(id),
        id: id.to_owned(),
        region: look.region.clone(),
        detail,
        hourly: None,
        fields: Map::new(),
    };
    let there: HashSet<&str> = look.owned.iter().map(|it| it.id.as_str()).collect();
    let mut found = Vec::new();
    for network in &networks {
        for id in network.created.iter().filter(|id| !there.contains(id.as_str())) {
            let detail = "AWS has no such thing with this project's tags".to_owned();
            found.push(difference("gone", id, detail));
        }
    }
    for part in look.owned.iter().filter(|it| PARTS.contains(&it.kind)) {
        let known = networks.iter().any(|network| {
            network.created.contains(&part.id)
                || network.subnet_ids.contains(&part.id)
                || network.vpc_id == part.id
                || network.security_group_id.as_ref() == Some(&part.id)
        });
        if !known {
            let name = part.name.as_ref().map(|name| format!("named {name}, ")).unwrap_or_default();
            found.push(difference("unknown", &part.id, format!("{name}with this project's tags")));
        }
    }
    found
}

/// The kind of what an id names, in the word of `aws::owned`.
fn kind_of(id: &str) -> String {
    let kind = ResourceKind::of_id(id).and_then(|kind| serde_json::to_value(kind).ok());
    kind.as_ref().and_then(Value::as_str).unwrap_or("resource").to_owned()
}

/// How ids begin of what cannot be without its VPC.
const IN_A_VPC: [&str; 4] = ["vpc-", "subnet-", "sg-", "rtb-"];

/// A network without parts that are gone, and with its VPC all that cannot be without one; nothing is
/// left when they were all that the project had made, or the VPC was all that there was.
fn without(network: &Network, gone: &HashSet<String>) -> Option<Network> {
    let has_vpc = !gone.contains(&network.vpc_id);
    // A gateway that was detached is there still, and nobody but us knows of it.
    let outlives = |id: &str| has_vpc || !IN_A_VPC.iter().any(|kind| id.starts_with(kind));
    let is_left = |id: &String| !gone.contains(id) && outlives(id);
    let mut left = network.clone();
    left.created.retain(is_left);
    left.subnet_ids.retain(is_left);
    left.security_group_id = left.security_group_id.filter(is_left);
    let emptied = left.created.is_empty() && !(network.created.is_empty() && has_vpc);
    (!emptied).then_some(left)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::state::{Instance as Known, Intent, Store};
    use serde_json::json;

    const REGION: &str = "us-west-2";

    fn known(id: &str) -> Known {
        Known {
            state: Some("running".into()),
            instance_type: Some("t3.micro".into()),
            public_ip: Some("203.0.113.1".into()),
            ..Known::new(id, REGION)
        }
    }

    fn running(id: &str) -> Instance {
        Instance {
            id: id.into(),
            region: REGION.into(),
            instance_type: "t3.micro".into(),
            state: InstanceState::Running,
            public_ip: Some("203.0.113.1".into()),
            ..Instance::default()
        }
    }

    fn found(document: &Document, instances: Vec<Instance>, owned: Vec<Owned>) -> Vec<(String, String)> {
        let asked = document.instances().map(|it| it.id.as_str()).collect();
        let look = Look { region: REGION.into(), instances, owned };
        let list = differences(document, &asked, &[look]).unwrap();
        list.into_iter().map(|it| (format!("{} {} {}", it.drift, it.kind, it.id), it.detail)).collect()
    }

    fn document(fill: impl FnOnce(&crate::state::Writer)) -> Document {
        let dir = tempfile::tempdir().unwrap();
        let writer = Store::open(dir.path()).writer("test", Duration::ZERO, &|_| {}).unwrap();
        fill(&writer);
        writer.document()
    }

    #[test]
    fn what_agrees_is_no_difference() {
        let document = document(|writer| {
            writer.put(known("i-1")).unwrap();
            let mut network = Network::new(REGION, "vpc-1");
            network.created = vec!["vpc-1".into(), "sg-1".into()];
            writer.put_network(network).unwrap();
        });
        let owned = [(ResourceKind::Vpc, "vpc-1"), (ResourceKind::SecurityGroup, "sg-1")]
            .map(|(kind, id)| Owned::new(kind, id, REGION));
        assert_eq!(found(&document, vec![running("i-1")], owned.into()), []);
    }

    #[test]
    fn both_directions_are_told_apart() {
        let document = document(|writer| {
            for id in ["i-gone", "i-ended", "i-moved"] {
                writer.put(known(id)).unwrap();
            }
            let created = Some(jiff::Timestamp::now().to_string());
            writer.put(Known { created, ..known("i-young") }).unwrap();
            writer.put(Known { region: "eu-west-1".into(), ..known("i-elsewhere") }).unwrap();
            let mut network = Network::new(REGION, "vpc-1");
            network.created = vec!["sg-gone".into()];
            writer.put_network(network).unwrap();
            writer
                .started(Intent { action: "RunInstances".into(), token: "t".into(), ..Intent::default() })
                .unwrap();
        });
        let ended = Instance { state: InstanceState::Terminated, ..running("i-ended") };
        let moved = Instance { public_ip: None, instance_type: "t3.large".into(), ..running("i-moved") };
        let ending = Instance { state: InstanceState::ShuttingDown, ..running("i-ending") };
        let owned = vec![
            Owned::new(ResourceKind::SecurityGroup, "sg-new", REGION),
            // Goes with its instance.
            Owned::new(ResourceKind::Volume, "vol-1", REGION),
        ];
        let list = found(&document, vec![ended, moved, ending, running("i-new")], owned);
        let names: Vec<&str> = list.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "gone instance i-gone",
                "gone instance i-ended",
                "changed instance i-moved",
                "unknown instance i-new",
                "gone security-group sg-gone",
                "unknown security-group sg-new",
                "open RunInstances t",
            ]
        );
        assert_eq!(list[2].1, "type is t3.large, was t3.micro; public_ip is none, was 203.0.113.1");
    }

    #[test]
    fn changes_are_what_an_update_takes() {
        let (fields, _) =
            changes(&json!({ "state": "running", "public_ip": "a" }), &json!({ "state": "stopped" }));
        assert_eq!(Value::Object(fields), json!({ "state": "stopped", "public_ip": null }));
    }

    #[test]
    fn a_network_goes_with_its_vpc() {
        let mut network = Network::new(REGION, "vpc-1");
        network.created = vec!["sg-1".into(), "subnet-1".into()];
        network.subnet_ids = vec!["subnet-1".into()];
        network.security_group_id = Some("sg-1".into());
        let gone = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<HashSet<_>>();
        let left = without(&network, &gone(&["sg-1"])).unwrap();
        assert_eq!((left.created, left.security_group_id), (vec!["subnet-1".to_owned()], None));
        assert_eq!(without(&network, &gone(&["vpc-1"])), None);
        assert_eq!(without(&network, &gone(&["sg-1", "subnet-1"])), None);
        // A gateway may be left over when everything else is gone.
        network.created.extend(["igw-1".into(), "lt-1".into()]);
        let left = without(&network, &gone(&["vpc-1", "lt-1"])).unwrap();
        assert_eq!(
            (left.created, left.subnet_ids.len(), left.security_group_id),
            (vec!["igw-1".to_owned()], 0, None)
        );
        assert_eq!(without(&network, &gone(&["vpc-1", "igw-1", "lt-1"])), None);
        // Where the project made nothing, nothing of it can be gone.
        network.created.clear();
        assert_eq!(without(&network, &gone(&["sg-2"])).as_ref(), Some(&network));
    }
}
