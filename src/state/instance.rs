//! One instance, as state knows it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::fields::{Fields, check_depth};
use crate::error::{Error, Result};

/// One instance: where it is, what was last known of it, and how far its deployment came.
///
/// Only `id` and `region` are required, since without them nobody could find it again. Fields that
/// this version does not know are kept in `other`, in their order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(into = "Value", try_from = "Value")]
pub struct Instance {
    /// The EC2 id, `i-…`.
    pub id: String,
    /// The region, `us-west-2`.
    pub region: String,
    /// The instance type, `t3.medium` (`type` in JSON).
    pub instance_type: Option<String>,
    /// What EC2 (or, in old files, Spot Deployer) last said: `pending`, `running`, `terminated`, …
    pub state: Option<String>,
    /// How far the deployment came: `launched`, `reachable`, `uploaded`, `ready`, `failed`, …
    pub phase: Option<String>,
    /// Why the deployment failed.
    pub error: Option<String>,
    /// The public IPv4 address.
    pub public_ip: Option<String>,
    /// The private IPv4 address.
    pub private_ip: Option<String>,
    /// When it was launched, RFC 3339.
    pub created: Option<String>,
    /// The image it was launched from.
    pub ami: Option<String>,
    /// The availability zone, `us-west-2a`.
    pub zone: Option<String>,
    /// Its `Name` tag.
    pub name: Option<String>,
    /// The user that SSH logs in as.
    pub user: Option<String>,
    /// US dollars per hour when it was launched; finite.
    pub price: Option<f64>,
    /// `spot` or `on-demand`.
    pub market: Option<String>,
    /// The spot request that it came from, `sir-…`.
    pub spot_request_id: Option<String>,
    /// The idempotency token of the call that launched it.
    pub token: Option<String>,
    /// Its VPC.
    pub vpc_id: Option<String>,
    /// Its subnet.
    pub subnet_id: Option<String>,
    /// Its security group.
    pub security_group_id: Option<String>,
    /// The deployment that launched it.
    pub deployment_id: Option<String>,
    /// Who launched it.
    pub creator: Option<String>,
    /// When it may be removed, RFC 3339, as its tag says.
    pub expires: Option<String>,
    /// Fields that this version does not know.
    pub other: Map<String, Value>,
}

/// An optional text of an instance.
pub(super) type Text = fn(&mut Instance) -> &mut Option<String>;

impl Instance {
    /// The fields that are texts or absent, by their names in JSON.
    pub(super) const TEXTS: [(&str, Text); 20] = [
        ("type", |it| &mut it.instance_type),
        ("state", |it| &mut it.state),
        ("phase", |it| &mut it.phase),
        ("error", |it| &mut it.error),
        ("public_ip", |it| &mut it.public_ip),
        ("private_ip", |it| &mut it.private_ip),
        ("created", |it| &mut it.created),
        ("ami", |it| &mut it.ami),
        ("zone", |it| &mut it.zone),
        ("name", |it| &mut it.name),
        ("user", |it| &mut it.user),
        ("market", |it| &mut it.market),
        ("spot_request_id", |it| &mut it.spot_request_id),
        ("token", |it| &mut it.token),
        ("vpc_id", |it| &mut it.vpc_id),
        ("subnet_id", |it| &mut it.subnet_id),
        ("security_group_id", |it| &mut it.security_group_id),
        ("deployment_id", |it| &mut it.deployment_id),
        ("creator", |it| &mut it.creator),
        ("expires", |it| &mut it.expires),
    ];

    /// An instance of which only id and region are known.
    pub fn new(id: impl Into<String>, region: impl Into<String>) -> Self {
        Instance { id: id.into(), region: region.into(), ..Instance::default() }
    }

    /// Reads an instance from its JSON object.
    ///
    /// # Errors
    /// A missing `id` or `region`, or a known field of another type; the message names the field.
    pub fn from_value(value: Value) -> Result<Self> {
        let mut fields = Fields::of(value)?;
        let mut instance = Instance::new(fields.required_text("id")?, fields.required_text("region")?);
        for (name, text) in Self::TEXTS {
            *text(&mut instance) = fields.text(name)?;
        }
        instance.price = fields.number("price")?;
        instance.other = fields.rest();
        Ok(instance)
    }

    /// The JSON object, known fields first and without those that are not known.
    pub fn to_value(&self) -> Value {
        let mut map = Map::new();
        map.insert("id".into(), Value::from(self.id.as_str()));
        map.insert("region".into(), Value::from(self.region.as_str()));
        let mut texts = |fields: &[(&str, &Option<String>)]| {
            for (name, text) in fields {
                if let Some(text) = text {
                    map.insert((*name).into(), Value::from(text.as_str()));
                }
            }
        };
        texts(&[
            ("type", &self.instance_type),
            ("state", &self.state),
            ("phase", &self.phase),
            ("error", &self.error),
            ("public_ip", &self.public_ip),
            ("private_ip", &self.private_ip),
            ("created", &self.created),
            ("ami", &self.ami),
            ("zone", &self.zone),
            ("name", &self.name),
            ("user", &self.user),
            ("market", &self.market),
            ("spot_request_id", &self.spot_request_id),
            ("token", &self.token),
            ("vpc_id", &self.vpc_id),
            ("subnet_id", &self.subnet_id),
            ("security_group_id", &self.security_group_id),
            ("deployment_id", &self.deployment_id),
            ("creator", &self.creator),
            ("expires", &self.expires),
        ]);
        if let Some(price) = self.price.and_then(serde_json::Number::from_f64) {
            map.insert("price".into(), Value::Number(price));
        }
        for (name, value) in &self.other {
            map.entry(name.as_str()).or_insert_with(|| value.clone());
        }
        Value::Object(map)
    }

    /// This instance with `fields` merged in: null removes a field.
    ///
    /// # Errors
    /// A field of the wrong type, the removal of `region`, or another `id`.
    pub fn merged(&self, fields: &Map<String, Value>) -> Result<Self> {
        let mut value = self.to_value();
        if let Value::Object(map) = &mut value {
            for (name, value) in fields {
                match value {
                    Value::Null => drop(map.shift_remove(name)),
                    value => drop(map.insert(name.clone(), value.clone())),
                }
            }
        }
        let merged = Instance::from_value(value)?;
        if merged.id != self.id {
            return Err(Error::state(format!("`id` cannot be changed to {}", merged.id))
                .with_hint("remove the instance and put the other one"));
        }
        Ok(merged)
    }

    /// Refuses what could be written but not read back.
    pub(super) fn check(&self) -> Result<()> {
        let what = format!("instance {}", self.id);
        check_depth(&what, self.other.values())?;
        if Instance::from_value(self.to_value()).map_err(|e| e.context(&what))? != *self {
            return Err(Error::state(format!(
                "{what}: `other` names a field that spot knows, or the price is not a finite number"
            )));
        }
        Ok(())
    }
}

impl From<Instance> for Value {
    fn from(instance: Instance) -> Value {
        instance.to_value()
    }
}

impl TryFrom<Value> for Instance {
    type Error = Error;

    fn try_from(value: Value) -> Result<Self> {
        Instance::from_value(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn known_fields_come_first_and_unknown_ones_survive_in_order() {
        let instance = Instance::from_value(json!({
            "zeta": 1, "state": "running", "id": "i-1", "alpha": null, "type": "t3.medium", "region": "r", "price": 0.25
        }))
        .unwrap();
        assert_eq!(instance.instance_type.as_deref(), Some("t3.medium"));
        assert_eq!(
            serde_json::to_string(&instance.to_value()).unwrap(),
            r#"{"id":"i-1","region":"r","type":"t3.medium","state":"running","price":0.25,"zeta":1,"alpha":null}"#
        );
        assert_eq!(Instance::from_value(instance.to_value()).unwrap(), instance);
    }

    #[test]
    fn what_would_be_read_back_otherwise_is_refused() {
        let good = Instance::new("i-1", "r");
        assert!(good.check().is_ok());
        assert!(Instance { price: Some(f64::NAN), ..good.clone() }.check().is_err());
        let mut shadowing = good.clone();
        shadowing.other.insert("state".into(), json!("running"));
        assert!(shadowing.check().is_err());
        assert_eq!(Instance::new("", "r").check().unwrap_err().message(), "instance : `id` is empty");
    }

    #[test]
    fn merging_replaces_adds_and_removes() {
        let mut instance = Instance::new("i-1", "r");
        instance.error = Some("no route".into());
        let Value::Object(fields) = json!({ "phase": "ready", "error": null, "slot": 4 }) else { panic!() };
        let merged = instance.merged(&fields).unwrap();
        assert_eq!(merged.phase.as_deref(), Some("ready"));
        assert_eq!(merged.error, None);
        assert_eq!(merged.other.get("slot"), Some(&json!(4)));
        let refuse = |fields: Value| match fields {
            Value::Object(fields) => instance.merged(&fields).unwrap_err().message().to_owned(),
            _ => panic!(),
        };
        assert_eq!(refuse(json!({ "id": "i-2" })), "`id` cannot be changed to i-2");
        assert_eq!(refuse(json!({ "region": null })), "`region` is missing");
        assert_eq!(refuse(json!({ "public_ip": 4 })), "`public_ip` must be text, found a number");
    }
}
