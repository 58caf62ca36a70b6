//! The network that instances of one region live in.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::fields::{Fields, check_depth};
use crate::error::{Error, Result};

/// A VPC with what the project uses of it, and which parts of it the project made.
///
/// Identified by region and VPC. Fields that this version does not know are kept in `other`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(into = "Value", try_from = "Value")]
pub struct Network {
    /// The region.
    pub region: String,
    /// The VPC.
    pub vpc_id: String,
    /// The subnets that instances are launched into, in order of preference.
    pub subnet_ids: Vec<String>,
    /// The security group of the instances.
    pub security_group_id: Option<String>,
    /// Ids of what this project made (`vpc-…`, `igw-…`, `subnet-…`, `sg-…`), in order of creation:
    /// this, and nothing else, is what deleting the network takes away.
    pub created: Vec<String>,
    /// Fields that this version does not know.
    pub other: Map<String, Value>,
}

impl Network {
    /// A network of which only region and VPC are known.
    pub fn new(region: impl Into<String>, vpc_id: impl Into<String>) -> Self {
        Network { region: region.into(), vpc_id: vpc_id.into(), ..Network::default() }
    }

    /// Reads a network from its JSON object.
    ///
    /// # Errors
    /// A missing `region` or `vpc_id`, or a known field of another type; the message names the field.
    pub fn from_value(value: Value) -> Result<Self> {
        let mut fields = Fields::of(value)?;
        Ok(Network {
            region: fields.required_text("region")?,
            vpc_id: fields.required_text("vpc_id")?,
            subnet_ids: fields.texts("subnet_ids")?,
            security_group_id: fields.text("security_group_id")?,
            created: fields.texts("created")?,
            other: fields.rest(),
        })
    }

    /// The JSON object.
    pub fn to_value(&self) -> Value {
        let mut map = Map::new();
        map.insert("region".into(), Value::from(self.region.as_str()));
        map.insert("vpc_id".into(), Value::from(self.vpc_id.as_str()));
        map.insert("subnet_ids".into(), Value::from(self.subnet_ids.clone()));
        if let Some(group) = &self.security_group_id {
            map.insert("security_group_id".into(), Value::from(group.as_str()));
        }
        map.insert("created".into(), Value::from(self.created.clone()));
        for (name, value) in &self.other {
            map.entry(name.as_str()).or_insert_with(|| value.clone());
        }
        Value::Object(map)
    }

    /// Refuses what could be written but not read back.
    pub(super) fn check(&self) -> Result<()> {
        let what = format!("network {}", self.vpc_id);
        check_depth(&what, self.other.values())?;
        if Network::from_value(self.to_value()).map_err(|e| e.context(&what))? != *self {
            return Err(Error::state(format!("{what}: `other` names a field that spot knows")));
        }
        Ok(())
    }
}

impl From<Network> for Value {
    fn from(network: Network) -> Value {
        network.to_value()
    }
}

impl TryFrom<Value> for Network {
    type Error = Error;

    fn try_from(value: Value) -> Result<Self> {
        Network::from_value(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn round_trips_with_unknown_fields() {
        let value = json!({
            "region": "us-west-2", "vpc_id": "vpc-1", "subnet_ids": ["subnet-1"], "created": ["vpc-1"], "mtu": 9001
        });
        let network = Network::from_value(value.clone()).unwrap();
        assert_eq!(network.other.get("mtu"), Some(&json!(9001)));
        assert_eq!(network.to_value(), value);
    }
}
