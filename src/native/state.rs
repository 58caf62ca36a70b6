//! What the project has made.

use rhai::plugin::*;
use rhai::{Array, Dynamic, Map};
use serde_json::{Value, json};

use super::record::{IMPORTED, LAUNCHED, from_cloud, with_parts};
use super::sys::seconds_since;
use super::thrown::{Answer, answer, to_json, to_value};
use super::{Context, rollback};
use crate::cloud::ResourceKind;
use crate::error::{Error, Result};
use crate::state::{Instance, Outcome};

/// For so many seconds after a launch was begun it may still bring instances, though its caller is dead.
const IN_FLIGHT: f64 = 90.0;

/// The fields that every instance has for scripts, `()` where nothing is known: a property that is
/// sometimes missing would be an error half of the time.
const FIELDS: [&str; 23] = [
    "id",
    "region",
    "type",
    "state",
    "phase",
    "error",
    "public_ip",
    "private_ip",
    "created",
    "ami",
    "zone",
    "name",
    "user",
    "price",
    "market",
    "spot_request_id",
    "token",
    "vpc_id",
    "subnet_id",
    "security_group_id",
    "deployment_id",
    "creator",
    "expires",
];

/// An instance as scripts see it.
pub(crate) fn instance_value(instance: &Instance) -> Result<Dynamic> {
    let mut map = to_value(&instance.to_value())?.try_cast::<Map>().unwrap_or_default();
    for field in FIELDS {
        map.entry(field.into()).or_insert(Dynamic::UNIT);
    }
    Ok(Dynamic::from_map(map))
}

/// What the project has made: instances, networks, and values of your own.
#[export_module]
pub mod state {
    use super::*;

    /// Takes the right to change the project's state now, rather than at the first change, and keeps
    /// it until the recipe ends: what is read from here on stays true.
    ///
    /// ```rhai
    /// state::lock();
    /// ```
    #[rhai_fn(return_raw)]
    pub fn lock(call: NativeCallContext) -> Answer {
        answer(&call, |spot| spot.writer().map(drop))
    }

    /// Gives up the right to change the project's state until the next change, so that a recipe that
    /// runs for long keeps no other one waiting. Returns whether it was held.
    ///
    /// ```rhai
    /// state::lock();
    /// print(state::unlock());
    /// ```
    #[rhai_fn(return_raw)]
    pub fn unlock(call: NativeCallContext) -> Answer {
        answer(&call, |spot| Ok(spot.release_writer()))
    }

    /// All instances of the project, oldest first.
    ///
    /// ```rhai
    /// for host in state::instances() { print(host.id); }
    /// ```
    #[rhai_fn(return_raw)]
    pub fn instances(call: NativeCallContext) -> Answer {
        answer(&call, |spot| spot.document()?.instances().map(instance_value).collect::<Result<Array>>())
    }

    /// The instance with an id, or `()`.
    ///
    /// ```rhai
    /// print(state::instance("i-0123456789abcdef0"));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn instance(call: NativeCallContext, id: &str) -> Answer {
        answer(&call, |spot| spot.document()?.instance(id).map(instance_value).transpose())
    }

    /// The name of the deployment that is worked on (`--deployment`); "default" without one.
    ///
    /// ```rhai
    /// print(state::deployment());
    /// ```
    #[rhai_fn(return_raw)]
    pub fn deployment(call: NativeCallContext) -> Answer {
        answer(&call, |spot| Ok(spot.deployment().unwrap_or("default").to_owned()))
    }

    /// The instance that a person means by a word: its id, the beginning of one, or its place among
    /// `state::instances()`, from 1. Throws when it is none, or more than one.
    ///
    /// ```rhai
    /// try { print(state::find("i-0123").id); } catch (e) { print(e.message); }
    /// ```
    #[rhai_fn(return_raw)]
    pub fn find(call: NativeCallContext, word: &str) -> Answer {
        answer(&call, |spot| {
            let document = spot.document()?;
            instance_value(document.meant(Some(word), &format!("{} state list", spot.called()))?)
        })
    }

    /// The project's id, which all its resources carry as a tag. Made at the first change.
    ///
    /// ```rhai
    /// print(state::project());
    /// ```
    #[rhai_fn(return_raw)]
    pub fn project(call: NativeCallContext) -> Answer {
        answer(&call, |spot| Ok(spot.document()?.project().map(str::to_owned)))
    }

    /// Notes fields of an instance, given as its id, itself, or a result about it; a field set to
    /// `()` is removed. Returns whether anything changed.
    ///
    /// ```rhai,host
    /// state::update(host, #{ phase: "ready" });
    /// ```
    #[rhai_fn(return_raw)]
    pub fn update(call: NativeCallContext, instance: Dynamic, fields: Map) -> Answer {
        answer(&call, |spot| {
            spot.may_keep("state::update")?;
            let id = id_of(&instance)?;
            let fields = fields.iter().map(|(key, value)| (key.to_string(), to_json(value))).collect();
            spot.writer()?.update(&id, fields)
        })
    }

    /// Forgets an instance, given as its id, itself, or a result about it. Returns whether it was
    /// known. The instance itself is not touched: terminate it first.
    ///
    /// ```rhai
    /// print(state::remove("i-0123456789abcdef0"));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn remove(call: NativeCallContext, instance: Dynamic) -> Answer {
        answer(&call, |spot| {
            spot.may_keep("state::remove")?;
            spot.writer()?.remove(&id_of(&instance)?)
        })
    }

    /// A value that the project keeps under a name, or `()`.
    ///
    /// ```rhai
    /// state::set("orchestrator", "10.0.0.1");
    /// print(state::get("orchestrator"));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn get(call: NativeCallContext, key: &str) -> Answer {
        answer(&call, |spot| Ok(spot.document()?.value(key).cloned()))
    }

    /// Keeps a value under a name; `()` removes it. Returns whether anything changed.
    ///
    /// ```rhai
    /// print(state::set("orchestrator", "10.0.0.1"));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn set(call: NativeCallContext, key: &str, value: Dynamic) -> Answer {
        answer(&call, |spot| {
            spot.may_keep("state::set")?;
            spot.writer()?.set(key, to_json(&value))
        })
    }

    /// The networks that the project uses: `region`, `vpc_id`, `subnet_ids`, `security_group_id`,
    /// `created`.
    ///
    /// ```rhai
    /// for network in state::networks() { print(network.region); }
    /// ```
    #[rhai_fn(return_raw)]
    pub fn networks(call: NativeCallContext) -> Answer {
        answer(&call, |spot| {
            let networks =
                spot.document()?.networks().iter().map(crate::state::Network::to_value).collect::<Vec<_>>();
            Ok(networks)
        })
    }

    /// Forgets the networks of a region, after they were deleted. Returns whether there were any.
    ///
    /// ```rhai
    /// print(state::remove_networks("us-west-2"));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn remove_networks(call: NativeCallContext, region: &str) -> Answer {
        answer(&call, |spot| {
            spot.may_keep("state::remove_networks")?;
            let writer = spot.writer()?;
            let mut removed = false;
            for network in spot.document()?.networks().iter().filter(|network| network.region == region) {
                removed |= writer.remove_network(region, &network.vpc_id)?;
            }
            Ok(removed)
        })
    }

    /// The regions in which the project has, or may have, something: of its instances, its networks,
    /// and of calls whose outcome is not known.
    ///
    /// ```rhai
    /// print(state::regions());
    /// ```
    #[rhai_fn(return_raw)]
    pub fn regions(call: NativeCallContext) -> Answer {
        answer(&call, |spot| {
            let document = spot.document()?;
            let mut regions: Vec<String> = document
                .instances()
                .map(|instance| instance.region.clone())
                .chain(document.networks().iter().map(|network| network.region.clone()))
                .chain(document.open_intents().map(|open| open.intent.region.clone()))
                .chain(document.open_elsewhere().iter().map(|open| open.intent.region.clone()))
                .filter(|region| !region.is_empty())
                .collect();
            regions.sort();
            regions.dedup();
            Ok(regions)
        })
    }

    /// The calls of earlier runs whose outcome nobody has seen: `action`, `region`, `since`. They are
    /// looked into, and closed, by `state::settle`.
    ///
    /// ```rhai
    /// for open in state::open_calls() { print(open.action); }
    /// ```
    #[rhai_fn(return_raw)]
    pub fn open_calls(call: NativeCallContext) -> Answer {
        answer(&call, |spot| {
            let document = spot.document()?;
            let calls = document.open_intents().map(|open| {
                json!({ "action": open.intent.action, "region": open.intent.region, "since": open.since })
            });
            Ok(calls.collect::<Vec<_>>())
        })
    }

    /// Finds out what became of calls whose answer an earlier run never saw, and takes into state
    /// the instances that they made, or that they ended; a rollback that was not completed is gone on
    /// with. Returns one object for each: `action`, `region`, `since`, `found` (ids; of a rollback and of
    /// an order to terminate, what is gone or going), `error`.
    ///
    /// ```rhai
    /// for past in state::settle() { print(past.action); }
    /// ```
    #[rhai_fn(return_raw)]
    pub fn settle(call: NativeCallContext) -> Answer {
        answer(&call, |spot| settle_all(spot, false))
    }

    /// Like `settle()`, and also for the calls of this run: to be asked when nothing is under way any
    /// more, such as at the end of a removal.
    ///
    /// ```rhai
    /// print(state::settle_own().len());
    /// ```
    #[rhai_fn(return_raw)]
    pub fn settle_own(call: NativeCallContext) -> Answer {
        answer(&call, |spot| settle_all(spot, true))
    }
}

fn settle_all(spot: &Context, own: bool) -> Result<Vec<Value>> {
    spot.act()?;
    // A project without open calls needs neither the lock nor the cloud.
    if spot.document()?.open_intents().next().is_none() {
        return Ok(Vec::new());
    }
    let writer = spot.writer()?;
    let cloud = spot.cloud()?;
    let mut settled = Vec::new();
    let (rollbacks, calls): (Vec<_>, Vec<_>) = writer
        .open_intents()
        .into_iter()
        .filter(|open| own || open.earlier)
        .partition(|open| open.intent.action == rollback::ACTION);
    for open in calls {
        let intent = crate::cloud::Intent {
            action: open.intent.action.clone(),
            region: open.intent.region.clone(),
            token: open.intent.token.clone(),
            deployment: open.intent.deployment.clone(),
            parameters: open.intent.parameters.clone(),
            undo: open.intent.undo.clone().and_then(|undo| serde_json::from_value(undo).ok()),
        };
        let cloud = std::sync::Arc::clone(&cloud);
        let phase = if open.intent.action == "CreateTags" { IMPORTED } else { LAUNCHED };
        let launches = matches!(open.intent.action.as_str(), "RunInstances" | "CreateFleet");
        let result = spot.runtime().wait(async move { cloud.settle(&intent).await });
        // EC2 goes on with a launch whose caller has died: nothing to see now may be something soon.
        let young = launches
            && spot.is_remote()
            && seconds_since(&open.since).is_some_and(|age| (0.0..IN_FLIGHT).contains(&age));
        let result = match result {
            Ok(made) if made.is_empty() && young => Err(Error::state(format!(
                "it was begun less than {IN_FLIGHT} seconds ago, and EC2 may still be at it"
            ))
            .with_hint("run the command again in a minute")),
            result => result,
        };
        let (found, error) = match result {
            Ok(about) if open.intent.action == "TerminateInstances" => {
                let ending = about.instances.iter().filter(|instance| instance.state.is_ending());
                let ending = ending.filter_map(|instance| {
                    let state = Some(instance.state.as_str().to_owned());
                    writer.instance(&instance.id).map(|known| Instance { state, ..known })
                });
                let instances: Vec<_> = ending.collect();
                let found: Vec<String> = instances.iter().map(|instance| instance.id.clone()).collect();
                let result = json!({ "terminated": found });
                writer.succeeded_with(open.id, Outcome { result, instances, ..Outcome::default() })?;
                (found, None)
            }
            Ok(made) => {
                let alive = made.instances.iter().filter(|instance| !instance.state.is_ending());
                let instances = alive
                    .map(|instance| {
                        let mut known = from_cloud(instance)?;
                        known.phase = Some(phase.to_owned());
                        Ok(known)
                    })
                    .collect::<Result<Vec<_>>>()?;
                let mut found: Vec<String> = instances.iter().map(|instance| instance.id.clone()).collect();
                found.extend(made.resources.iter().map(|resource| resource.id.clone()));
                let result = json!({ "settled": found });
                let parts: Vec<String> = made.resources.iter().map(|resource| resource.id.clone()).collect();
                let vpc = made.resources.iter().find(|resource| resource.kind == ResourceKind::Vpc);
                let vpc = vpc.map(|vpc| vpc.id.as_str());
                // Kept so that its region is looked at when the network is removed.
                let networks = match parts.is_empty() {
                    true => Vec::new(),
                    false => vec![with_parts(&writer, &open.intent.region, vpc, parts)],
                };
                writer
                    .succeeded_with(open.id, Outcome { result, instances, networks, ..Outcome::default() })?;
                (found, None)
            }
            Err(error) => (Vec::new(), Some(error)),
        };
        settled.push(json!({
            "action": open.intent.action,
            "region": open.intent.region,
            "since": open.since,
            "found": found,
            "error": error.as_ref().map(Error::message),
        }));
    }
    // Last: what a rollback takes back may only just have become known.
    for open in rollbacks {
        let done = rollback::resume(spot, &writer, &open);
        let error =
            done.as_ref().map_or_else(|error| Some(error.clone()), |done| done.failed.first().cloned());
        settled.push(json!({
            "action": open.intent.action,
            "region": "all regions",
            "since": open.since,
            "found": done.map(|done| done.removed).unwrap_or_default(),
            "error": error.as_ref().map(Error::message),
        }));
    }
    Ok(settled)
}

fn id_of(value: &Dynamic) -> Result<String> {
    let id = match value.as_map_ref() {
        Ok(map) => map.get("id").and_then(|id| id.clone().into_string().ok()),
        Err(_) => value.clone().into_string().ok(),
    };
    id.ok_or_else(|| Error::script(format!("expected an instance or its id, found {}", value.type_name())))
}
