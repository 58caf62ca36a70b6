//! The journal as the cloud writes to it: intents first, then what they made.

use std::collections::HashMap;

use serde_json::Value;

use super::context::Context;
use super::target;
use crate::cloud::{self, Instance as CloudInstance};
use crate::error::{Error, Result};
use crate::state::{self, Instance, IntentId, Outcome, Writer};

/// Writes the cloud's intents into the project's state.
pub(crate) struct Journal {
    context: Context,
    writer: Writer,
    /// US dollars an hour by type and zone, for the instances that come.
    prices: HashMap<(String, String), f64>,
    /// Who logs in to the instances that come.
    user: String,
}

impl Journal {
    /// A journal for calls that launch nothing.
    pub fn new(context: &Context) -> Result<Self> {
        Ok(Journal {
            context: context.clone(),
            writer: context.writer()?,
            prices: HashMap::new(),
            user: context.config()?.fleet.user.clone(),
        })
    }

    /// Adds what launched instances cost and who logs in to them.
    pub fn for_launch(mut self, prices: HashMap<(String, String), f64>, user: String) -> Self {
        self.prices = prices;
        self.user = user;
        self
    }

    fn known(&self, instance: &CloudInstance) -> Result<Instance> {
        let mut known = from_cloud(instance)?;
        known.user = Some(self.user.clone());
        known.phase = Some("launched".to_owned());
        let pool = (instance.instance_type.clone(), instance.zone.clone());
        known.price = self.prices.get(&pool).copied();
        Ok(known)
    }
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
        let id = self.writer.started(state::Intent {
            action: intent.action,
            region: intent.region,
            token: intent.token,
            deployment: intent.deployment,
            parameters: intent.parameters,
            undo: intent.undo,
        })?;
        Ok(id.number())
    }

    fn succeeded(&self, id: cloud::IntentId, result: Value, launched: &[CloudInstance]) -> Result<()> {
        let instances = launched.iter().map(|instance| self.known(instance)).collect::<Result<Vec<_>>>()?;
        let shown: Vec<_> = instances.iter().map(super::state::instance_value).collect::<Result<_>>()?;
        let outcome = Outcome { result, instances, ..Outcome::default() };
        self.writer.succeeded_with(IntentId::from_number(id), outcome)?;
        for (instance, value) in launched.iter().zip(shown) {
            self.context.note_launched(&instance.id);
            if let Some(map) = value.try_cast::<rhai::Map>() {
                self.context.emit(target::row(&map, "launched", None, false));
            }
        }
        Ok(())
    }

    fn failed(&self, id: cloud::IntentId, error: &Error) -> Result<()> {
        let code = error.code().map(|code| format!("{code}: ")).unwrap_or_default();
        self.writer.failed(IntentId::from_number(id), &format!("{code}{}", error.message()))
    }
}
