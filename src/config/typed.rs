//! TOML for whatever type says what it takes: a deserializer over the tree that knows the place of each
//! value, so that a mistake is reported with its line, its column and the nearest name.

use std::fmt;
use std::path::Path;

use serde::de::{
    self, DeserializeOwned, DeserializeSeed, EnumAccess, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};

use super::problem::Problems;
use super::report::Report;
use super::source::{Source, Span};
use super::suggestion::nearest;
use super::toml;
use super::tree::{Entry, Node, Value};

/// Reads a TOML file into a type.
///
/// # Errors
/// What is wrong, with its place in the file.
pub(crate) fn from_toml_file<T: DeserializeOwned>(path: &Path) -> Result<T, Problems> {
    let source = Source::read(path, path).map_err(|(message, hint)| {
        let report = Report::new(Source::new(path, ""));
        report.file_error(message, hint);
        Problems::new(report.into_problems())
    })?;
    from_source(source)
}

/// Reads TOML text into a type; `name` is how reports call it.
///
/// # Errors
/// What is wrong, with its place in the text.
pub(crate) fn from_toml_text<T: DeserializeOwned>(name: &str, text: &str) -> Result<T, Problems> {
    from_source(Source::new(name, text))
}

fn from_source<T: DeserializeOwned>(source: Source) -> Result<T, Problems> {
    let report = Report::new(source);
    if let Some(root) = toml::parse(&report) {
        match T::deserialize(&root) {
            // A mistake of syntax was reported, and the rest could be read: it does not count.
            Ok(value) if report.is_empty() => return Ok(value),
            Ok(_) => {}
            Err(mistake) => report.error(mistake.at.unwrap_or(root.span), mistake.message, mistake.hint),
        }
    }
    Err(Problems::new(report.into_problems()))
}

/// What does not fit the type, and where.
#[derive(Debug)]
pub(super) struct Mistake {
    at: Option<Span>,
    message: String,
    hint: Option<String>,
}

impl Mistake {
    /// The place, unless a value further inside has already been named.
    fn at(self, span: Span) -> Self {
        Mistake { at: self.at.or(Some(span)), ..self }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Mistake {}

/// A type in the words of a person.
fn expected(wanted: &dyn Expected) -> String {
    match wanted.to_string().as_str() {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number from 0".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "a table".to_owned(),
        other if other.starts_with("struct ") => "a table".to_owned(),
        other => other.to_owned(),
    }
}

fn unknown(what: &str, name: &str, known: &'static [&'static str]) -> Mistake {
    let list = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let hint = match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known are {list}"),
    };
    Mistake { at: None, message: format!("unknown {what} `{name}`"), hint: Some(hint) }
}

impl de::Error for Mistake {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Mistake { at: None, message: message.to_string(), hint: None }
    }

    fn invalid_type(found: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Self::invalid_value(found, wanted)
    }

    fn invalid_value(found: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        let found = match found {
            Unexpected::Bool(value) => format!("`{value}`"),
            Unexpected::Unsigned(value) => format!("the number {value}"),
            Unexpected::Signed(value) => format!("the number {value}"),
            Unexpected::Float(value) => format!("the number {value}"),
            Unexpected::Str(value) => Value::Text(value.to_owned()).describe(),
            Unexpected::Seq => "a list".to_owned(),
            Unexpected::Map => "a table".to_owned(),
            other => other.to_string(),
        };
        Self::custom(format!("expected {}, found {found}", expected(wanted)))
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        unknown("key", field, known)
    }

    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Self {
        unknown("value", variant, known)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::custom(format!("`{field}` is missing"))
    }
}

impl<'de> de::Deserializer<'de> for &Node {
    type Error = Mistake;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        let done = match &self.value {
            Value::Null => visitor.visit_unit(),
            Value::Boolean(value) => visitor.visit_bool(*value),
            Value::Integer(value) => visitor.visit_i64(*value),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(text) => visitor.visit_str(text),
            Value::Date => Err(de::Error::invalid_type(Unexpected::Other("a date"), &visitor)),
            Value::List(items) => visitor.visit_seq(Items(items.iter())),
            Value::Table(entries) => visitor.visit_map(Entries { rest: entries.iter(), current: None }),
        };
        done.map_err(|mistake| mistake.at(self.span))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        let done = match &self.value {
            Value::Text(name) => visitor.visit_enum(Choice { name, span: self.span, content: None }),
            Value::Table(entries) if entries.len() == 1 => match entries.first() {
                Some(entry) => visitor.visit_enum(Choice {
                    name: &entry.key,
                    span: entry.key_span,
                    content: Some(&entry.value),
                }),
                None => Err(de::Error::custom("expected one key")),
            },
            other => Err(de::Error::custom(format!("expected a name, found {}", other.describe()))),
        };
        done.map_err(|mistake: Mistake| mistake.at(self.span))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// The members of a list.
struct Items<'a>(std::slice::Iter<'a, Node>);

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Mistake;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Mistake> {
        self.0.next().map(|node| seed.deserialize(node)).transpose()
    }
}

/// The keys of a table.
struct Entries<'a> {
    rest: std::slice::Iter<'a, Entry>,
    current: Option<&'a Entry>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Mistake;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Mistake> {
        self.current = self.rest.next();
        let Some(entry) = self.current else { return Ok(None) };
        let key = seed.deserialize(entry.key.as_str().into_deserializer());
        key.map(Some).map_err(|mistake: Mistake| mistake.at(entry.key_span))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Mistake> {
        let entry = self.current.ok_or_else(|| <Mistake as de::Error>::custom("a value without a key"))?;
        let place = |mistake: Mistake| Mistake {
            message: match mistake.at == Some(entry.value.span) {
                true if mistake.message.starts_with("must ") => {
                    format!("`{}` {}", entry.key, mistake.message)
                }
                true if mistake.message.starts_with("expected ") => {
                    format!("`{}`: {}", entry.key, mistake.message)
                }
                _ => mistake.message.clone(),
            },
            ..mistake
        };
        seed.deserialize(&entry.value).map_err(|mistake| place(mistake.at(entry.value.span)))
    }
}

/// One of several names, maybe with something behind it.
struct Choice<'a> {
    name: &'a str,
    span: Span,
    content: Option<&'a Node>,
}

impl<'de, 'a> EnumAccess<'de> for Choice<'a> {
    type Error = Mistake;
    type Variant = Content<'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Content<'a>), Mistake> {
        let value = seed.deserialize(self.name.into_deserializer());
        let value = value.map_err(|mistake: Mistake| mistake.at(self.span))?;
        Ok((value, Content { name: self.name, content: self.content }))
    }
}

/// What stands behind a name.
struct Content<'a> {
    name: &'a str,
    content: Option<&'a Node>,
}

impl<'a> Content<'a> {
    fn given(&self) -> Result<&'a Node, Mistake> {
        self.content
            .ok_or_else(|| de::Error::custom(format!("`{0}` wants a value: {{ {0} = … }}", self.name)))
    }
}

impl<'de> VariantAccess<'de> for Content<'_> {
    type Error = Mistake;

    fn unit_variant(self) -> Result<(), Mistake> {
        match self.content {
            None => Ok(()),
            Some(node) => {
                let mistake: Mistake = de::Error::custom(format!("`{}` takes no value", self.name));
                Err(mistake.at(node.span))
            }
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Mistake> {
        seed.deserialize(self.given()?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Mistake> {
        de::Deserializer::deserialize_any(self.given()?, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        de::Deserializer::deserialize_any(self.given()?, visitor)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Pond {
        name: String,
        depth: Option<u32>,
        water: Water,
        fish: Vec<Fish>,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Water {
        #[default]
        Fresh,
        Salt(f64),
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Fish {
        kind: String,
    }

    fn refusal(text: &str) -> String {
        let problems = from_toml_text::<Pond>("pond.toml", text).unwrap_err();
        let shown = problems.as_slice().iter().map(|problem| {
            let hint = problem.hint.as_deref().map(|hint| format!(" | {hint}")).unwrap_or_default();
            format!("{}:{}: {}{hint}", problem.line, problem.column, problem.message)
        });
        shown.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_file_becomes_a_value() {
        let text = "name = \"big\"\ndepth = 3\nwater = { salt = 0.5 }\n[[fish]]\nkind = \"carp\"\n";
        let pond = from_toml_text::<Pond>("pond.toml", text).unwrap();
        let fish = vec![Fish { kind: "carp".into() }];
        assert_eq!(pond, Pond { name: "big".into(), depth: Some(3), water: Water::Salt(0.5), fish });
        assert_eq!(from_toml_text::<Pond>("pond.toml", "").unwrap(), Pond::default());
    }

    #[test]
    fn mistakes_have_a_place_and_a_suggestion() {
        assert_eq!(refusal("nmae = 1"), "1:1: unknown key `nmae` | did you mean `name`?");
        assert_eq!(
            refusal("\ndepth = -1"),
            "2:9: `depth`: expected a whole number from 0, found the number -1"
        );
        assert_eq!(refusal("name = 3"), "1:8: `name`: expected a string, found the number 3");
        assert_eq!(refusal("water = \"frehs\""), "1:9: unknown value `frehs` | did you mean `fresh`?");
        assert_eq!(refusal("water = \"salt\""), "1:9: `salt` wants a value: { salt = … }");
        assert_eq!(refusal("[[fish]]\nkind = \"a\"\n[[fish]]\n"), "3:1: `kind` is missing");
        assert_eq!(refusal("fish = 3"), "1:8: `fish`: expected a list, found the number 3");
        assert!(refusal("name = ").starts_with("1:"), "{}", refusal("name = "));
    }
}
