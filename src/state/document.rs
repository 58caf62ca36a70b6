//! What is known of a project, and the shape of `instances.json`.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value, json};

use super::fields::Fields;
use super::record::Record;
use super::usual::Usual;
use super::{Instance, IntentId, Network, OpenIntent};
use crate::error::{Error, Result};

/// The version of the file's shape that this program writes; older ones are read.
const VERSION: u64 = 1;

/// Everything known of a project at one moment: `instances.json` with its journal applied.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Document {
    project: Option<String>,
    instances: Instances,
    networks: Vec<Network>,
    values: Map<String, Value>,
    last_updated: Option<String>,
    applied: Option<u64>,
    other: Map<String, Value>,
    intents: BTreeMap<IntentId, OpenIntent>,
    elsewhere: Vec<OpenIntent>,
    notes: Vec<String>,
}

impl Document {
    /// The project's id, made once at its first write: the folder's name and eight random digits.
    pub fn project(&self) -> Option<&str> {
        self.project.as_deref()
    }

    /// All instances, in the order in which they were first put.
    pub fn instances(&self) -> impl Iterator<Item = &Instance> {
        self.instances.rows.values()
    }

    /// How many instances there are.
    pub fn instance_count(&self) -> usize {
        self.instances.rows.len()
    }

    /// One instance.
    pub fn instance(&self, id: &str) -> Option<&Instance> {
        self.instances.get(id)
    }

    /// All networks, in the order in which they were first put.
    pub fn networks(&self) -> &[Network] {
        &self.networks
    }

    /// One network.
    pub fn network(&self, region: &str, vpc_id: &str) -> Option<&Network> {
        self.networks.iter().find(|network| network.region == region && network.vpc_id == vpc_id)
    }

    /// The project's named outputs and settings, in the order in which they were first set.
    pub fn values(&self) -> &Map<String, Value> {
        &self.values
    }

    /// One named output or setting.
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    /// When something was last changed, RFC 3339 (old files: as Spot Deployer wrote it).
    pub fn last_updated(&self) -> Option<&str> {
        self.last_updated.as_deref()
    }

    /// Intents that were not closed, oldest first: calls that may or may not have happened.
    pub fn open_intents(&self) -> impl Iterator<Item = &OpenIntent> {
        self.intents.values()
    }

    /// Intents that were not closed on other machines that share this state, as far as they said so.
    /// Their ids mean nothing here.
    pub fn open_elsewhere(&self) -> &[OpenIntent] {
        &self.elsewhere
    }

    /// What the user should know of how this was read: a torn line that was left out, an instance
    /// listed twice.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The JSON object that `instances.json` holds, without the mark of how far the journal is in it.
    pub fn to_value(&self) -> Value {
        let mut map = Map::new();
        map.insert("version".into(), json!(VERSION));
        if let Some(project) = &self.project {
            map.insert("project".into(), json!(project));
        }
        let rows = |values: &mut dyn Iterator<Item = Value>| Value::Array(values.collect());
        map.insert("instances".into(), rows(&mut self.instances().map(Instance::to_value)));
        map.insert("networks".into(), rows(&mut self.networks.iter().map(Network::to_value)));
        map.insert("values".into(), Value::Object(self.values.clone()));
        map.insert("last_updated".into(), json!(self.last_updated));
        for (name, value) in &self.other {
            map.entry(name.as_str()).or_insert_with(|| value.clone());
        }
        Value::Object(map)
    }

    /// The text of `instances.json` once every record up to `applied` is in it.
    pub(super) fn render(&self, applied: u64) -> Result<String> {
        let mut value = self.to_value();
        if let Value::Object(map) = &mut value {
            map.insert("applied".into(), json!(applied));
        }
        let mut text = serde_json::to_string_pretty(&value)
            .map_err(|e| Error::internal("instances.json cannot be rendered").with_source(e))?;
        text.push('\n');
        Ok(text)
    }

    /// Reads the text of `instances.json`. Errors say what and where, without naming the file.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        let (rows, mut fields) = match Usual::read(bytes) {
            Some(usual) => (Some(usual.instances), Fields::of(Value::Object(usual.rest))?),
            None => {
                let value: Value = serde_json::from_slice(bytes).map_err(|e| {
                    let what = if bytes.is_empty() { "the file is empty".to_owned() } else { e.to_string() };
                    Error::state(format!("line {}, column {}: not JSON: {what}", e.line(), e.column()))
                })?;
                (None, Fields::of(value)?)
            }
        };
        // The version comes first: a newer shape must not be called a broken older one.
        if let Some(version) = fields.whole("version")?.filter(|version| *version > VERSION) {
            return Err(Error::state(format!(
                "written by a newer spot (version {version} of the file; this one knows up to {VERSION})"
            ))
            .with_code("StateTooNew")
            .with_hint("use the spot that wrote it, or a newer one"));
        }
        let mut document = Document { project: fields.text("project")?, ..Document::default() };
        let rows = match rows {
            Some(rows) => rows,
            None => careful_rows(&mut fields)?,
        };
        for instance in rows {
            if document.instance(&instance.id).is_some() {
                document.note(format!("instances.json lists {} twice; the later row counts", instance.id));
            }
            document.instances.put(instance);
        }
        for (index, row) in fields.array("networks")?.unwrap_or_default().into_iter().enumerate() {
            let network = Network::from_value(row).map_err(|e| e.context(format!("networks[{index}]")))?;
            document.put_network(network);
        }
        document.values = fields.object("values")?;
        document.last_updated = fields.text("last_updated")?;
        document.applied = fields.whole("applied")?;
        document.other = fields.rest();
        Ok(document)
    }

    /// The last record that `instances.json` contains; `None` if somebody else wrote the file.
    pub(super) fn applied(&self) -> Option<u64> {
        self.applied
    }

    pub(super) fn set_project(&mut self, id: String) {
        self.project = Some(id);
    }

    /// Whether nothing is known of, not even a call that may have made something.
    pub(super) fn is_empty(&self) -> bool {
        self.instance_count() == 0
            && self.networks.is_empty()
            && self.values.is_empty()
            && self.intents.is_empty()
    }

    pub(super) fn set_elsewhere(&mut self, open: Vec<OpenIntent>) {
        self.elsewhere = open;
    }

    /// Takes out a field that is none of the document's own.
    pub(super) fn take_field(&mut self, name: &str) -> Option<Value> {
        self.other.shift_remove(name)
    }

    /// Takes on the fields of another document that this version does not know, where it lacks them.
    pub(super) fn take_other(&mut self, from: &Document) {
        for (name, value) in &from.other {
            self.other.entry(name.as_str()).or_insert_with(|| value.clone());
        }
    }

    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Marks the open intents as left behind by an earlier writer.
    pub(super) fn mark_intents_earlier(&mut self) {
        self.intents.values_mut().for_each(|intent| intent.earlier = true);
    }

    /// Makes a change known.
    pub(super) fn apply(&mut self, sequence: u64, at: &str, record: &Record) {
        self.apply_to_intents(sequence, at, record);
        match record {
            Record::Base { project } => {
                self.project = self.project.take().or_else(|| project.clone());
                return;
            }
            Record::Project { id } => self.project = Some(id.clone()),
            Record::Put { instance } => self.instances.put(instance.as_ref().clone()),
            Record::Update { id, fields } => self.update(sequence, id, fields),
            Record::Remove { id } => self.instances.remove(id),
            Record::Set { key, value: Value::Null } => drop(self.values.shift_remove(key)),
            Record::Set { key, value } => drop(self.values.insert(key.clone(), value.clone())),
            Record::PutNetwork { network } => self.put_network(network.clone()),
            Record::RemoveNetwork { region, vpc_id } => self.remove_network(region, vpc_id),
            Record::Started { .. } | Record::Failed { .. } => {}
            Record::Succeeded { instances, networks, removed_instances, removed_networks, .. } => {
                instances.iter().for_each(|instance| self.instances.put(instance.clone()));
                networks.iter().for_each(|network| self.put_network(network.clone()));
                removed_instances.iter().for_each(|id| self.instances.remove(id));
                removed_networks.iter().for_each(|(region, vpc_id)| self.remove_network(region, vpc_id));
            }
        }
        self.last_updated = Some(at.to_owned());
    }

    /// Makes only the opening or closing of an intent known: intents live in the journal alone, so
    /// this is what counts of a record that `instances.json` contains already.
    pub(super) fn apply_to_intents(&mut self, sequence: u64, at: &str, record: &Record) {
        match record {
            Record::Started { intent } => {
                let id = IntentId(sequence);
                let open = OpenIntent { id, since: at.to_owned(), earlier: false, intent: intent.clone() };
                self.intents.insert(id, open);
            }
            Record::Succeeded { intent, .. } | Record::Failed { intent, .. } => {
                self.intents.remove(intent);
            }
            _ => {}
        }
    }

    fn update(&mut self, sequence: u64, id: &str, fields: &Map<String, Value>) {
        // The instance may have been removed meanwhile; then there is nothing to update.
        let Some(instance) = self.instances.get(id) else { return };
        match instance.merged(fields) {
            Ok(merged) => self.instances.put(merged),
            Err(error) => self.note(format!("record {sequence} does not fit instance {id}: {error}")),
        }
    }

    fn put_network(&mut self, network: Network) {
        let same = |known: &&mut Network| known.region == network.region && known.vpc_id == network.vpc_id;
        match self.networks.iter_mut().find(same) {
            Some(known) => *known = network,
            None => self.networks.push(network),
        }
    }

    fn remove_network(&mut self, region: &str, vpc_id: &str) {
        self.networks.retain(|network| network.region != region || network.vpc_id != vpc_id);
    }
}

/// The instances, with an error that names what is wrong with which.
fn careful_rows(fields: &mut Fields) -> Result<Vec<Instance>> {
    let rows = fields.array("instances")?;
    let rows = rows.ok_or_else(|| Error::state("`instances` is missing: not a state file of spot"))?;
    let instances = rows
        .into_iter()
        .enumerate()
        .map(|(index, row)| Instance::from_value(row).map_err(|e| e.context(format!("instances[{index}]"))));
    instances.collect()
}

/// Instances in order of creation, found by id; each operation is logarithmic.
#[derive(Debug, Clone, Default)]
struct Instances {
    rows: BTreeMap<u64, Instance>,
    positions: HashMap<String, u64>,
    next: u64,
}

impl Instances {
    fn get(&self, id: &str) -> Option<&Instance> {
        self.rows.get(self.positions.get(id)?)
    }

    fn put(&mut self, instance: Instance) {
        let position = *self.positions.entry(instance.id.clone()).or_insert_with(|| {
            self.next += 1;
            self.next
        });
        self.rows.insert(position, instance);
    }

    fn remove(&mut self, id: &str) {
        if let Some(position) = self.positions.remove(id) {
            self.rows.remove(&position);
        }
    }
}

impl PartialEq for Instances {
    fn eq(&self, other: &Self) -> bool {
        self.rows.values().eq(other.rows.values())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OLD: &str = r#"{
  "instances": [
    {"id": "i-0aa", "region": "us-west-2", "type": "t3.medium", "state": "complete", "public_ip": "1.2.3.4",
     "created": "2025-08-01T10:00:00.123456", "ami": "ami-1", "vpc_id": "vpc-1", "subnet_id": "subnet-1",
     "security_group_id": "sg-1", "deployment_id": "amauo-20250801-0a1b2c3d", "creator": "ann"},
    {"id": "i-0bb", "region": "eu-west-1", "type": "t3.medium", "state": "provisioned", "public_ip": null, "gpu": 2}
  ],
  "last_updated": "2025-08-01T10:05:00",
  "note": "mine"
}"#;

    fn message(text: &str) -> String {
        Document::parse(text.as_bytes()).unwrap_err().message().to_owned()
    }

    #[test]
    fn a_spot_deployer_file_loads_and_its_unknown_fields_survive() {
        let document = Document::parse(OLD.as_bytes()).unwrap();
        assert_eq!(document.instances().map(|i| i.id.as_str()).collect::<Vec<_>>(), ["i-0aa", "i-0bb"]);
        assert_eq!(
            document.instance("i-0aa").unwrap().deployment_id.as_deref(),
            Some("amauo-20250801-0a1b2c3d")
        );
        assert_eq!(document.project(), None);
        let text = document.render(7).unwrap();
        assert!(
            text.ends_with("}\n") && text.starts_with("{\n  \"version\": 1,\n  \"instances\": [\n    {\n")
        );
        let again = Document::parse(text.as_bytes()).unwrap();
        assert_eq!(again.instance("i-0bb").unwrap().other.get("gpu"), Some(&json!(2)));
        assert_eq!(again.to_value()["note"], json!("mine"));
        assert_eq!(again.last_updated(), Some("2025-08-01T10:05:00"));
        assert_eq!(again.applied(), Some(7));
    }

    #[test]
    fn what_is_not_a_state_file_is_refused_with_its_place() {
        assert!(message("").contains("the file is empty"));
        assert!(message("{\n  \"instances\": [\n}").starts_with("line 3, column 1: not JSON"));
        assert!(message("[]").contains("expected an object, found an array"));
        assert!(message("{}").contains("`instances` is missing"));
        assert!(message(r#"{"version": 2, "instances": {}}"#).contains("newer spot (version 2"));
        assert_eq!(
            message(r#"{"instances": [{"id": "i-1", "region": "r"}, {"region": "r"}]}"#),
            "instances[1]: `id` is missing"
        );
        assert_eq!(
            message(r#"{"instances": [{"id": "i-1", "region": ["r"]}]}"#),
            "instances[0]: `region` must be text, found an array"
        );
        assert_eq!(
            message(r#"{"instances": [], "networks": [{"region": "r", "vpc_id": 1}]}"#),
            "networks[0]: `vpc_id` must be text, found a number"
        );
    }

    #[test]
    fn an_instance_listed_twice_is_noted() {
        let text = r#"{"instances": [{"id": "i", "region": "a"}, {"id": "i", "region": "b"}]}"#;
        let document = Document::parse(text.as_bytes()).unwrap();
        assert_eq!(document.instance("i").unwrap().region, "b");
        assert_eq!(document.notes().len(), 1);
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<i32>().prop_map(|n| Value::from(f64::from(n) / 8.0)),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..4)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    fn instance() -> impl Strategy<Value = Instance> {
        let other = prop::collection::vec(("x[a-z]{0,6}", value()), 0..4);
        let text = || prop::option::of(any::<String>());
        ("i-[0-9a-f]{1,3}", "[a-z]{2}-[a-z]{4}-[1-3]", text(), text(), text(), any::<Option<i16>>(), other)
            .prop_map(|(id, region, state, error, name, price, other)| Instance {
                state,
                error,
                name,
                price: price.map(|price| f64::from(price) / 16.0),
                other: other.into_iter().collect(),
                ..Instance::new(id, region)
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_document_round_trips(
            instances in prop::collection::vec(instance(), 0..12),
            values in prop::collection::vec((any::<String>(), value()), 0..4),
            other in prop::collection::vec(("y[a-z]{1,4}", value()), 0..4),
        ) {
            let mut document = Document { other: other.into_iter().collect(), ..Document::default() };
            document.apply(1, "2026-01-01T00:00:00Z", &Record::Project { id: "p-1".into() });
            for instance in instances {
                document.apply(2, "2026-01-01T00:00:00Z", &Record::Put { instance: Box::new(instance) });
            }
            for (key, value) in values {
                document.apply(3, "2026-01-01T00:00:00Z", &Record::Set { key, value });
            }
            let mut again = Document::parse(document.render(3).unwrap().as_bytes()).unwrap();
            again.applied = None;
            // Nulls among the unknown fields of the top level survive too.
            prop_assert_eq!(&again, &document);
            prop_assert_eq!(again.render(3).unwrap(), document.render(3).unwrap());
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in any::<String>(), value in value()) {
            let _ = Document::parse(text.as_bytes());
            let _ = Document::parse(json!({ "instances": value.clone(), "networks": value }).to_string().as_bytes());
        }
    }
}
