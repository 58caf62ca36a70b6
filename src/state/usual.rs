//! `instances.json` in its usual shape, read in one go without a tree of all values: what takes most of the
//! time of loading a large fleet. Whatever is unusual (a field of another type, something missing) is left
//! to the careful reader, which says what is wrong and where.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::Instance;
use super::instance::Text;

/// The instances and the other fields of the file.
pub(super) struct Usual {
    pub(super) instances: Vec<Instance>,
    pub(super) rest: Map<String, Value>,
}

impl Usual {
    /// Reads the text; `None` if it is unusual in any way.
    pub(super) fn read(bytes: &[u8]) -> Option<Usual> {
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        let usual = File.deserialize(&mut deserializer).ok()?;
        deserializer.end().ok()?;
        Some(usual)
    }
}

struct File;

impl<'de> DeserializeSeed<'de> for File {
    type Value = Usual;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Usual, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for File {
    type Value = Usual;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Usual, A::Error> {
        let (mut instances, mut rest) = (None, Map::new());
        while let Some(name) = map.next_key::<String>()? {
            if name != "instances" {
                rest.insert(name, map.next_value()?);
            } else if instances.replace(map.next_value_seed(Rows)?).is_some() {
                return Err(A::Error::custom("instances twice"));
            }
        }
        let instances = instances.ok_or_else(|| A::Error::missing_field("instances"))?;
        Ok(Usual { instances, rest })
    }
}

struct Rows;

impl<'de> DeserializeSeed<'de> for Rows {
    type Value = Vec<Instance>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Instance>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Rows {
    type Value = Vec<Instance>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<Vec<Instance>, A::Error> {
        let mut instances = Vec::new();
        while let Some(instance) = rows.next_element_seed(Row)? {
            instances.push(instance);
        }
        Ok(instances)
    }
}

struct Row;

impl<'de> DeserializeSeed<'de> for Row {
    type Value = Instance;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Instance, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Row {
    type Value = Instance;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Instance, A::Error> {
        let mut instance = Instance::default();
        let mut next = 0;
        while let Some(field) = map.next_key_seed(Field { next: &mut next })? {
            match field {
                Place::Id => instance.id = map.next_value()?,
                Place::Region => instance.region = map.next_value()?,
                Place::Price => instance.price = map.next_value()?,
                Place::Text(text) => *text(&mut instance) = map.next_value()?,
                Place::Other(name) => drop(instance.other.insert(name, map.next_value()?)),
            }
        }
        if instance.id.is_empty() || instance.region.is_empty() {
            return Err(A::Error::custom("an instance without id or region"));
        }
        Ok(instance)
    }
}

enum Place {
    Id,
    Region,
    Price,
    Text(Text),
    Other(String),
}

/// Finds out what field a name is. Fields mostly come in their usual order.
struct Field<'a> {
    next: &'a mut usize,
}

impl<'de> DeserializeSeed<'de> for Field<'_> {
    type Value = Place;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Place, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Field<'_> {
    type Value = Place;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E>(self, name: &str) -> Result<Place, E> {
        Ok(match name {
            "id" => Place::Id,
            "region" => Place::Region,
            "price" => Place::Price,
            name => {
                let all = Instance::TEXTS.iter().enumerate().cycle().skip(*self.next);
                match all.take(Instance::TEXTS.len()).find(|(_, (known, _))| *known == name) {
                    Some((index, (_, text))) => {
                        *self.next = (index + 1) % Instance::TEXTS.len();
                        Place::Text(*text)
                    }
                    None => Place::Other(name.to_owned()),
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn careful(row: Value) -> Option<Instance> {
        Instance::from_value(row).ok()
    }

    fn usual(row: &Value) -> Option<Instance> {
        let text = json!({ "instances": [row] }).to_string();
        Usual::read(text.as_bytes()).map(|usual| usual.instances.into_iter().next().unwrap())
    }

    #[test]
    fn what_is_unusual_is_left_to_the_careful_reader() {
        for text in [
            "",
            "[]",
            "{}",
            "null",
            r#"{"instances": {}}"#,
            r#"{"instances": []} x"#,
            r#"{"instances": [{"id": "i-1"}]}"#,
            r#"{"instances": [{"id": "", "region": "r"}]}"#,
            r#"{"instances": [{"id": 1, "region": "r"}]}"#,
            r#"{"instances": [], "instances": []}"#,
            r#"{"instances": [{"id": "i-1", "region": "r", "state": 5}]}"#,
        ] {
            assert!(Usual::read(text.as_bytes()).is_none(), "{text}");
        }
        let usual = Usual::read(br#"{"version": 1, "instances": [], "mine": [1]}"#).unwrap();
        assert_eq!(usual.rest.keys().collect::<Vec<_>>(), ["version", "mine"]);
    }

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-z\\\\\"é]{0,6}".prop_map(Value::from),
            Just(json!([1, { "a": null }])),
        ]
    }

    proptest! {
        /// Both readers agree on what is in a row, and the usual one accepts nothing that the other refuses.
        #[test]
        fn rows_are_read_as_the_careful_reader_reads_them(
            fields in proptest::collection::vec((0..Instance::TEXTS.len() + 4, value()), 0..12),
            texts in any::<bool>(),
        ) {
            let mut row = serde_json::Map::new();
            row.insert("id".into(), json!("i-1"));
            row.insert("region".into(), json!("r"));
            for (index, value) in fields {
                let name = Instance::TEXTS.get(index).map_or(["price", "mine", "id", "o\"ther"][index % 4], |(name, _)| name);
                let value = if texts && name != "price" && !value.is_null() { json!(value.to_string()) } else { value };
                row.insert(name.into(), value);
            }
            let row = Value::Object(row);
            let (careful, usual) = (careful(row.clone()), usual(&row));
            if let Some(usual) = &usual {
                prop_assert_eq!(Some(usual), careful.as_ref());
            }
            if texts {
                prop_assert_eq!(usual.is_some(), careful.is_some());
            }
        }
    }
}
