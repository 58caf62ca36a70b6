//! What is added to the faults in force, or taken from them, while all others stay.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Faults, short};
use crate::error::{Error, Result, nearest};

/// A change of what goes wrong, in this order: what is no longer to go wrong, and what is from now on.
///
/// A single value (`throttle`) takes the place of the former one, a rule (`capacity`) comes before those
/// that are there; a capacity or a quota takes the place of one for the same pool or region.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Change {
    /// Whether all that went wrong so far no longer does.
    pub clear_all: bool,
    /// Kinds of faults, by their key in a file or the name of their short form.
    pub clear: Vec<String>,
    /// Faults as in a file.
    pub faults: Map<String, Value>,
    /// Faults in their short form.
    pub short: Vec<String>,
}

impl Change {
    /// What is in force afterwards.
    ///
    /// # Errors
    /// A [`Usage`](crate::Kind::Usage) error that says what is wrong with it.
    pub fn apply(&self, faults: &Faults) -> Result<Faults> {
        let mut faults = if self.clear_all { Faults::default() } else { faults.clone() };
        for name in &self.clear {
            clear(&mut faults, name)?;
        }
        if !self.faults.is_empty() {
            let mut wanted = as_json(&faults.without_rules())?;
            wanted.extend(self.faults.clone());
            let more = serde_json::from_value(Value::Object(wanted))
                .map_err(|error| Error::usage(format!("faults: {error}")))?;
            faults.add(more);
        }
        if !self.short.is_empty() {
            let mut more = faults.without_rules();
            for text in &self.short {
                more.add_short(text)?;
            }
            faults.add(more);
        }
        Ok(faults)
    }
}

fn as_json(faults: &Faults) -> Result<Map<String, Value>> {
    match serde_json::to_value(faults) {
        Ok(Value::Object(told)) => Ok(told),
        Ok(_) => Err(Error::internal("the sandbox's faults are no object")),
        Err(error) => Err(Error::internal("cannot encode the sandbox's faults").with_source(error)),
    }
}

/// Makes all of one kind no longer go wrong.
fn clear(faults: &mut Faults, name: &str) -> Result<()> {
    let key = short::key(name);
    let usual = as_json(&Faults::default())?;
    let mut told = as_json(faults)?;
    // A seed that is not given is not told.
    if !usual.contains_key(key) && key != "seed" {
        let kinds: Vec<&str> = usual.keys().map(String::as_str).collect();
        let mut known = kinds.clone();
        short::names().for_each(|name| known.push(name));
        let near = nearest(name, known.iter().copied());
        return Err(Error::usage(format!("there is no kind of fault `{name}`")).with_hint(match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("it is one of {}", kinds.join(", ")),
        }));
    }
    told.remove(key);
    *faults = serde_json::from_value(Value::Object(told))
        .map_err(|error| Error::internal("the sandbox's faults cannot be read").with_source(error))?;
    Ok(())
}

impl Faults {
    /// Its single values, and none of its rules.
    fn without_rules(&self) -> Faults {
        Faults {
            throttling: Default::default(),
            latency: Vec::new(),
            refusals: Vec::new(),
            capacity: Vec::new(),
            prices: Vec::new(),
            interruptions: Vec::new(),
            quotas: Vec::new(),
            hosts: Vec::new(),
            dns: Vec::new(),
            ..self.clone()
        }
    }

    /// Adds what [`Faults::without_rules`] has become: its single values count, its rules come first.
    fn add(&mut self, more: Faults) {
        let mut old = std::mem::replace(self, more);
        let pools: Vec<_> = self.capacity.iter().map(|it| it.pool()).collect();
        old.capacity.retain(|it| !pools.contains(&it.pool()));
        self.quotas.dedup_by(|later, first| later.code == first.code && later.region == first.region);
        old.quotas
            .retain(|old| !self.quotas.iter().any(|new| new.code == old.code && new.region == old.region));
        self.throttling.0.append(&mut old.throttling.0);
        self.latency.append(&mut old.latency);
        self.refusals.append(&mut old.refusals);
        self.capacity.append(&mut old.capacity);
        self.prices.append(&mut old.prices);
        self.interruptions.append(&mut old.interruptions);
        self.quotas.append(&mut old.quotas);
        self.hosts.append(&mut old.hosts);
        self.dns.append(&mut old.dns);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn change(value: Value) -> Change {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn what_is_added_comes_first_and_the_rest_stays() {
        let mut faults = Faults { throttle: 0.5, seed: Some(3), ..Faults::default() };
        faults.add_short("capacity:us-west-2a=0").unwrap();
        faults.add_short("latency=1").unwrap();
        let changed = change(json!({
            "short": ["throttle=0", "latency:Describe*=2"],
            "faults": { "capacity": [{ "zone": "us-west-2a", "available": 4 }, { "zone": "us-west-2b" }] },
        }))
        .apply(&faults)
        .unwrap();
        assert_eq!((changed.throttle, changed.seed), (0.0, Some(3)));
        assert_eq!(changed.latency.len(), 2);
        assert_eq!(changed.latency[0].action.as_deref(), Some("Describe*"));
        let available: Vec<_> = changed.capacity.iter().map(|it| it.available).collect();
        assert_eq!(available, [Some(4), None], "one for the same pool took its place");
    }

    #[test]
    fn kinds_are_cleared_by_either_name() {
        let mut faults = Faults { throttle: 0.5, seed: Some(3), ..Faults::default() };
        faults.add_short("interrupt=60").unwrap();
        faults.add_short("no-service-roles").unwrap();
        let cleared =
            change(json!({ "clear": ["interrupt", "throttle", "without_service_roles"] })).apply(&faults);
        assert_eq!(cleared.unwrap(), Faults { seed: Some(3), ..Faults::default() });
        let error = change(json!({ "clear": ["capacty"] })).apply(&faults).unwrap_err();
        assert_eq!(error.hint(), Some("did you mean `capacity`?"));
    }

    #[test]
    fn mistakes_are_told() {
        let refused = |value| change(value).apply(&Faults::default()).unwrap_err().to_string();
        assert!(refused(json!({ "short": ["throtle=1"] })).contains("did you mean `throttle`?"));
        assert!(refused(json!({ "faults": { "throttle": 2 } })).contains("must be from 0 to 1"));
        assert!(refused(json!({ "faults": { "throtle": 1 } })).contains("throtle"));
    }
}
