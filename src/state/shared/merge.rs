//! Bringing together what two machines have changed since they last agreed.
//!
//! Three documents take part: the `base` that both had, `ours`, and `theirs`. What differs between base
//! and ours is done again on theirs, row by row and field by field, so that nothing anybody added is
//! lost. Doing it twice changes nothing more.

use serde_json::{Map, Value};

use crate::state::record::Record;
use crate::state::{Document, Instance, Network};

/// What both sides know together. Without a base, nobody can tell what was removed from what was never
/// there: then everything that either side has stays.
pub(super) fn merge(base: Option<&Document>, ours: &Document, theirs: &Document) -> Document {
    let mut merged = theirs.clone();
    let at = ours.last_updated().unwrap_or_default().to_owned();
    let nothing = Document::default();
    for record in changes(base.unwrap_or(&nothing), ours) {
        let record = match record {
            // Both sides added it, or nobody knows who did: what they say counts, ours fills the gaps.
            Record::Put { instance } => match theirs.instance(&instance.id) {
                Some(row) => Record::Put { instance: Box::new(filled(row, &instance)) },
                None => Record::Put { instance },
            },
            Record::Set { key, .. } if base.is_none() && theirs.value(&key).is_some() => continue,
            Record::PutNetwork { network } => {
                let before = base.and_then(|base| base.network(&network.region, &network.vpc_id));
                let now = theirs.network(&network.region, &network.vpc_id);
                Record::PutNetwork { network: joined(before, network, now) }
            }
            other => other,
        };
        merged.apply(0, &at, &record);
    }
    merged.take_other(ours);
    merged
}

/// The records that make the one document of the other. Calls that are open are each machine's own, and
/// not among them.
pub(super) fn changes(from: &Document, to: &Document) -> Vec<Record> {
    let mut records = Vec::new();
    for instance in from.instances().filter(|it| to.instance(&it.id).is_none()) {
        records.push(Record::Remove { id: instance.id.clone() });
    }
    for instance in to.instances() {
        match from.instance(&instance.id) {
            None => records.push(Record::Put { instance: Box::new(instance.clone()) }),
            Some(known) if known == instance => {}
            Some(known) => {
                let fields = fields(&known.to_value(), &instance.to_value());
                records.push(Record::Update { id: instance.id.clone(), fields });
            }
        }
    }
    for network in from.networks().iter().filter(|it| to.network(&it.region, &it.vpc_id).is_none()) {
        let (region, vpc_id) = (network.region.clone(), network.vpc_id.clone());
        records.push(Record::RemoveNetwork { region, vpc_id });
    }
    for network in to.networks() {
        if from.network(&network.region, &network.vpc_id) != Some(network) {
            records.push(Record::PutNetwork { network: network.clone() });
        }
    }
    for key in from.values().keys().filter(|key| to.value(key).is_none()) {
        records.push(Record::Set { key: key.clone(), value: Value::Null });
    }
    for (key, value) in to.values().iter().filter(|(key, value)| from.value(key) != Some(*value)) {
        records.push(Record::Set { key: key.clone(), value: value.clone() });
    }
    records
}

/// The fields that make the one row of the other; null for those that went.
fn fields(from: &Value, to: &Value) -> Map<String, Value> {
    let empty = Map::new();
    let (from, to) = (from.as_object().unwrap_or(&empty), to.as_object().unwrap_or(&empty));
    let gone = from.keys().filter(|key| !to.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let new = to.iter().filter(|(key, value)| from.get(*key) != Some(*value));
    gone.chain(new.map(|(key, value)| (key.clone(), value.clone()))).collect()
}

/// A row with the fields of another one that it lacks.
fn filled(row: &Instance, with: &Instance) -> Instance {
    let mut lacking = with.to_value().as_object().cloned().unwrap_or_default();
    let has = row.to_value();
    lacking.retain(|key, value| !value.is_null() && has.get(key).is_none_or(Value::is_null));
    row.merged(&lacking).unwrap_or_else(|_| row.clone())
}

/// A network that both sides may have changed: what either made is in it, and what either removed is not.
fn joined(base: Option<&Network>, ours: Network, theirs: Option<&Network>) -> Network {
    let Some(theirs) = theirs else { return ours };
    let list = |of: fn(&Network) -> &Vec<String>| {
        let before = base.map(of);
        let was = |id: &String| before.is_some_and(|before| before.contains(id));
        let mut all: Vec<String> =
            of(theirs).iter().filter(|id| of(&ours).contains(id) || !was(id)).cloned().collect();
        all.extend(of(&ours).iter().filter(|id| !of(theirs).contains(id) && !was(id)).cloned());
        all
    };
    let (created, subnet_ids) = (list(|it| &it.created), list(|it| &it.subnet_ids));
    let changed = base.is_none_or(|base| base.security_group_id != ours.security_group_id);
    let group = if changed { ours.security_group_id } else { theirs.security_group_id.clone() };
    let mut other = theirs.other.clone();
    other.extend(ours.other);
    Network {
        subnet_ids,
        created,
        security_group_id: group.or_else(|| theirs.security_group_id.clone()),
        other,
        ..theirs.clone()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn document(value: Value) -> Document {
        Document::parse(value.to_string().as_bytes()).unwrap()
    }

    fn rows(document: &Document) -> Vec<Value> {
        document.instances().map(Instance::to_value).collect()
    }

    #[test]
    fn both_sides_keep_what_they_added_changed_and_removed() {
        let base = document(json!({ "instances": [
            { "id": "i-1", "region": "r", "state": "pending" }, { "id": "i-2", "region": "r" }, { "id": "i-3", "region": "r" },
        ], "values": { "a": 1, "b": 1 } }));
        let ours = document(json!({ "instances": [
            { "id": "i-1", "region": "r", "state": "running" }, { "id": "i-2", "region": "r", "phase": "ready" }, { "id": "i-ours", "region": "r" },
        ], "values": { "a": 2 } }));
        let theirs = document(json!({ "instances": [
            { "id": "i-1", "region": "r", "state": "pending", "public_ip": "203.0.113.1" }, { "id": "i-3", "region": "r" }, { "id": "i-theirs", "region": "r" },
        ], "values": { "a": 1, "b": 1, "c": 3 }, "note": "mine" }));
        let merged = merge(Some(&base), &ours, &theirs);
        let ids: Vec<_> = merged.instances().map(|it| it.id.clone()).collect();
        // i-2 was removed by them, i-3 by us.
        assert_eq!(ids, ["i-1", "i-theirs", "i-ours"]);
        let first = merged.instance("i-1").unwrap();
        assert_eq!(
            (first.state.as_deref(), first.public_ip.as_deref()),
            (Some("running"), Some("203.0.113.1"))
        );
        assert_eq!(Value::Object(merged.values().clone()), json!({ "a": 2, "c": 3 }));
        assert_eq!(merged.to_value()["note"], "mine");
        assert_eq!(rows(&merge(Some(&base), &ours, &merged)), rows(&merged));
    }

    #[test]
    fn without_a_base_nothing_is_taken_for_removed() {
        let ours = document(json!({ "instances": [
            { "id": "i-1", "region": "r", "state": "pending", "user": "ann" }, { "id": "i-2", "region": "r" },
        ], "values": { "a": "old" } }));
        let theirs = document(json!({ "instances": [
            { "id": "i-1", "region": "r", "state": "running" }, { "id": "i-3", "region": "r" },
        ], "values": { "a": "new" } }));
        let merged = merge(None, &ours, &theirs);
        assert_eq!(merged.instance_count(), 3);
        let first = merged.instance("i-1").unwrap();
        assert_eq!((first.state.as_deref(), first.user.as_deref()), (Some("running"), Some("ann")));
        assert_eq!(merged.value("a"), Some(&json!("new")));
    }

    #[test]
    fn the_parts_of_a_network_are_joined() {
        let network = |created: &[&str]| {
            document(
                json!({ "instances": [], "networks": [{ "region": "r", "vpc_id": "vpc-1", "created": created }] }),
            )
        };
        let (base, ours, theirs) =
            (network(&["a", "b", "c"]), network(&["a", "c", "d"]), network(&["b", "c", "e"]));
        let merged = merge(Some(&base), &ours, &theirs);
        assert_eq!(merged.networks()[0].created, ["c", "e", "d"]);
    }

    /// Instances by number, each with a state.
    fn any_document() -> impl Strategy<Value = Document> {
        prop::collection::btree_map(0..6_u8, 0..3_u8, 0..6).prop_map(|rows| {
            let rows: Vec<Value> = rows
                .into_iter()
                .map(|(id, state)| json!({ "id": format!("i-{id}"), "region": "r", "state": format!("s{state}") }))
                .collect();
            document(json!({ "instances": rows }))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_changes_of_either_side_survive(base in any_document(), ours in any_document(), theirs in any_document()) {
            let merged = merge(Some(&base), &ours, &theirs);
            for row in ours.instances().chain(theirs.instances()) {
                let id = row.id.as_str();
                if base.instance(id).is_none() {
                    prop_assert!(merged.instance(id).is_some(), "{} was added and is lost", id);
                }
            }
            for row in base.instances() {
                let id = row.id.as_str();
                let kept = ours.instance(id).is_some() && theirs.instance(id).is_some();
                prop_assert_eq!(merged.instance(id).is_some(), kept);
            }
            prop_assert_eq!(rows(&merge(Some(&base), &ours, &merged)), rows(&merged));
            // What changes(from, to) says makes the one of the other, whatever the order of the rows.
            let mut made = ours.clone();
            for record in changes(&ours, &merged) { made.apply(0, "", &record); }
            for row in merged.instances() { prop_assert_eq!(made.instance(&row.id), Some(row)); }
            prop_assert_eq!(made.instance_count(), merged.instance_count());
        }
    }
}
