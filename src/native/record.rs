//! The journal as the cloud writes to it: intents first, then what they made.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::context::Context;
use super::rollback::Made;
use super::target;
use crate::cloud::{self, Instance as CloudInstance, InstanceState};
use crate::error::{Error, Result};
use crate::state::{self, Instance, IntentId, Network, Outcome, Writer};

/// Writes the cloud's intents into the project's state.
pub(crate) struct Journal {
    context: Context,
    writer: Writer,
    /// US dollars an hour, for the instances that come.
    prices: Prices,
    /// Who logs in to the instances that come.
    user: Option<String>,
    /// How far the instances are that come: launched, unless they are taken over.
    phase: &'static str,
    /// The parts of networks that are being made: where, and in which VPC.
    parts: Mutex<HashMap<cloud::IntentId, Part>>,
    /// The calls that remove something, with the token of what made it where they name one.
    removals: Mutex<HashMap<cloud::IntentId, String>>,
}

/// US dollars an hour by type, zone and market.
pub type Prices = HashMap<(String, String, cloud::Market), f64>;

/// A part of a network that is being made.
struct Part {
    region: String,
    /// Unknown for what is made before or beside its VPC.
    vpc: Option<String>,
    is_vpc: bool,
}

/// The phase of instances that spot has launched.
pub(crate) const LAUNCHED: &str = "launched";
/// The phase of instances that somebody else launched.
pub(crate) const IMPORTED: &str = "imported";

/// Stands for the VPC of parts that have none yet; no VPC has such an id.
pub(crate) const UNATTACHED: &str = "unattached";

impl Journal {
    /// A journal for calls that launch nothing.
    pub fn new(context: &Context) -> Result<Self> {
        Ok(Journal {
            context: context.clone(),
            writer: context.writer()?,
            prices: Prices::new(),
            user: None,
            phase: LAUNCHED,
            parts: Mutex::default(),
            removals: Mutex::default(),
        })
    }

    /// Adds what launched instances cost and who logs in to them.
    pub fn for_launch(mut self, prices: Prices, user: String) -> Self {
        self.prices = prices;
        self.user = Some(user);
        self
    }

    /// Takes instances over that somebody else launched, in place of launching.
    pub fn for_adoption(mut self, prices: Prices, user: Option<String>) -> Self {
        self.prices = prices;
        self.user = user;
        self.phase = IMPORTED;
        self
    }

    fn parts(&self) -> MutexGuard<'_, HashMap<cloud::IntentId, Part>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn removals(&self) -> MutexGuard<'_, HashMap<cloud::IntentId, String>> {
        self.removals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The instances that an order was given to terminate, as they are from then on: were nobody to see
    /// them end, state would otherwise tell that they run.
    fn ending(&self, result: &Value) -> Vec<Instance> {
        let ids = result.get("terminated").and_then(Value::as_array).into_iter().flatten();
        let known = ids.filter_map(|id| self.writer.instance(id.as_str()?));
        let state = Some(InstanceState::ShuttingDown.as_str().to_owned());
        known.map(|instance| Instance { state: state.clone(), ..instance }).collect()
    }

    /// An instance as it comes into state.
    pub fn known(&self, instance: &CloudInstance) -> Result<Instance> {
        let mut known = from_cloud(instance)?;
        known.user.clone_from(&self.user);
        known.phase = Some(self.phase.to_owned());
        let pool = (instance.instance_type.clone(), instance.zone.clone(), instance.market);
        known.price = self.prices.get(&pool).copied();
        Ok(known)
    }
}

/// What state knows of a network, with parts added that were made. Without a VPC it is the entry of
/// parts that have none yet.
pub(crate) fn with_parts(
    writer: &Writer,
    region: &str,
    vpc: Option<&str>,
    made: impl IntoIterator<Item = String>,
) -> Network {
    let vpc = vpc.unwrap_or(UNATTACHED);
    let known = writer.with(|document| document.network(region, vpc).cloned());
    let mut network = known.unwrap_or_else(|| Network::new(region, vpc));
    for id in made {
        if !network.created.contains(&id) {
            network.created.push(id);
        }
    }
    network
}

/// An instance as the cloud describes it, for the state.
pub(crate) fn from_cloud(instance: &CloudInstance) -> Result<Instance> {
    let mut value = serde_json::to_value(instance)
        .map_err(|error| Error::internal("an instance could not be written down").with_source(error))?;
    if let Value::Object(map) = &mut value {
        map.retain(|_, value| !value.is_null());
        // The tags repeat what has a field of its own.
        map.shift_remove("tags");
        map.shift_remove("project");
    }
    Instance::from_value(value)
}

impl cloud::Record for Journal {
    fn started(&self, intent: cloud::Intent) -> Result<cloud::IntentId> {
        self.context.may_keep(&format!("{} in {}", intent.action, intent.region))?;
        let part = intent.action.starts_with("Create").then(|| Part {
            region: intent.region.clone(),
            vpc: intent.parameters.get("vpc").and_then(Value::as_str).map(str::to_owned),
            is_vpc: intent.action == "CreateVpc",
        });
        let made = intent.undo.as_ref().map(|undo| Made {
            action: intent.action.clone(),
            region: intent.region.clone(),
            undo: undo.clone(),
            ids: Vec::new(),
        });
        let undo = intent.undo.map(serde_json::to_value).transpose().map_err(|error| {
            Error::internal("the undo of an intent could not be written down").with_source(error)
        })?;
        let removes = intent.action.starts_with("Delete").then(|| intent.token.clone());
        let id = self.writer.started(state::Intent {
            action: intent.action,
            region: intent.region,
            token: intent.token,
            deployment: intent.deployment,
            parameters: intent.parameters,
            undo,
        })?;
        if let Some(made) = made {
            self.context.note_started(id.number(), made);
        }
        if let Some(token) = removes {
            self.removals().insert(id.number(), token);
        }
        if let Some(part) = part {
            self.parts().insert(id.number(), part);
        }
        Ok(id.number())
    }

    fn succeeded(&self, id: cloud::IntentId, result: Value, launched: &[CloudInstance]) -> Result<()> {
        let mut instances =
            launched.iter().map(|instance| self.known(instance)).collect::<Result<Vec<_>>>()?;
        let shown: Vec<_> = instances.iter().map(super::state::instance_value).collect::<Result<_>>()?;
        instances.extend(self.ending(&result));
        // A part that was made is in state in the very record that closes its intent: were the process
        // to die before the network is complete, its region would otherwise be forgotten.
        let networks = match (self.parts().remove(&id), result.get("id").and_then(Value::as_str)) {
            (Some(part), Some(made)) => {
                let vpc = if part.is_vpc { Some(made.to_owned()) } else { part.vpc };
                vec![with_parts(&self.writer, &part.region, vpc.as_deref(), [made.to_owned()])]
            }
            _ => Vec::new(),
        };
        let ids = match result.get("id").and_then(Value::as_str) {
            Some(made) => vec![made.to_owned()],
            None => launched.iter().map(|instance| instance.id.clone()).collect(),
        };
        // An order that brought nothing leaves nothing to take back.
        let brought_nothing = ids.is_empty() && result.get("instances").is_some();
        let outcome = Outcome { result, instances, networks, ..Outcome::default() };
        self.writer.succeeded_with(IntentId::from_number(id), outcome)?;
        self.context.note_made(id, ids);
        let removed = self.removals().remove(&id);
        self.context.note_unmade(|known, made| {
            (brought_nothing && known == id)
                || removed.as_ref().is_some_and(|token| made.undo.token == *token)
        });
        for (instance, value) in launched.iter().zip(shown) {
            if self.phase == LAUNCHED {
                self.context.note_launched(&instance.id);
            }
            if let Some(map) = value.try_cast::<rhai::Map>() {
                self.context.emit(target::row(&map, self.phase, None, false));
            }
        }
        Ok(())
    }

    fn failed(&self, id: cloud::IntentId, error: &Error) -> Result<()> {
        self.parts().remove(&id);
        self.removals().remove(&id);
        let code = error.code().map(|code| format!("{code}: ")).unwrap_or_default();
        self.writer.failed(IntentId::from_number(id), &format!("{code}{}", error.message()))?;
        self.context.note_unmade(|known, _| known == id);
        Ok(())
    }
}
