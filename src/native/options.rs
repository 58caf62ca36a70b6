//! Option maps: `#{ region: "us-west-2", count: 3 }`, read with types and without unknown keys.

use rhai::{Dynamic, Map};
use serde::de::DeserializeOwned;

use crate::error::{Error, Result, nearest};
use crate::script::options_of;

/// The longest time that an option may ask for; a clock overflows far later.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(30 * 24 * 3600);

/// Reads the options of one function call and remembers which keys it knows.
pub(crate) struct Options {
    function: &'static str,
    map: Map,
    known: Vec<&'static str>,
}

impl Options {
    /// The options of `function`, which errors name.
    pub fn new(function: &'static str, map: Map) -> Self {
        Options { function, map, known: Vec::new() }
    }

    /// The options in a value that must be an object map.
    pub fn of(function: &'static str, value: Dynamic) -> Result<Self> {
        let found = value.type_name();
        let map = value.try_cast::<Map>().ok_or_else(|| {
            Error::script(format!("{function}: expected an object map #{{…}}, found {found}"))
        })?;
        Ok(Options::new(function, map))
    }

    /// The value of a key, or `None` when it is absent or `()`.
    pub fn optional<T: DeserializeOwned>(&mut self, key: &'static str) -> Result<Option<T>> {
        debug_assert!(
            options_of(self.function).is_some_and(|takes| takes.has(key)),
            "{}: the option `{key}` has to be in src/script/check/options.rs",
            self.function
        );
        self.known.push(key);
        let Some(value) = self.map.remove(key).filter(|value| !value.is_unit()) else { return Ok(None) };
        let as_number = |error| match value.as_int() {
            // A whole number will do where any number is wanted.
            Ok(whole) => rhai::serde::from_dynamic(&Dynamic::from(whole as f64)).map_err(|_| error),
            Err(_) => Err(error),
        };
        rhai::serde::from_dynamic(&value).or_else(as_number).map(Some).map_err(|error| {
            Error::script(format!("{}: option `{key}`: {}", self.function, plain(&error.to_string())))
        })
    }

    /// The value of a key, or the default.
    pub fn or<T: DeserializeOwned>(&mut self, key: &'static str, default: T) -> Result<T> {
        Ok(self.optional(key)?.unwrap_or(default))
    }

    /// The value of a key that must be there.
    pub fn required<T: DeserializeOwned>(&mut self, key: &'static str) -> Result<T> {
        self.optional(key)?
            .ok_or_else(|| Error::script(format!("{}: the option `{key}` is missing", self.function)))
    }

    /// Seconds, as a whole or broken number, that must be positive.
    pub fn seconds(
        &mut self,
        key: &'static str,
        default: std::time::Duration,
    ) -> Result<std::time::Duration> {
        let Some(seconds) = self.optional::<f64>(key)? else { return Ok(default) };
        std::time::Duration::try_from_secs_f64(seconds)
            .ok()
            .filter(|duration| !duration.is_zero() && *duration <= LONGEST)
            .ok_or_else(|| {
                Error::script(format!(
                    "{}: option `{key}`: expected seconds above 0 and at most 30 days, found {seconds}",
                    self.function
                ))
            })
    }

    /// Refuses the keys that nobody asked for.
    pub fn finish(self) -> Result<()> {
        debug_assert!(
            options_of(self.function).is_some_and(|takes| takes.all().all(|key| self.known.contains(&key))),
            "{}: src/script/check/options.rs has options that nobody reads",
            self.function
        );
        let Some(key) = self.map.keys().next() else { return Ok(()) };
        let error = Error::script(format!("{}: unknown option `{key}`", self.function));
        Err(match nearest(key, self.known.iter().copied()) {
            Some(near) => error.with_hint(format!("did you mean `{near}`?")),
            None => error.with_hint(format!("it takes: {}", self.known.join(", "))),
        })
    }
}

/// The text of a conversion error without the engine's own framing.
fn plain(text: &str) -> String {
    let text = text.strip_prefix("Runtime error: ").unwrap_or(text).trim_end_matches('.');
    let types = text.strip_prefix("Output type incorrect: ").and_then(|rest| rest.split_once(" (expecting "));
    match types {
        Some((found, wanted)) => {
            format!("expected {}, found {}", word(wanted.trim_end_matches(')')), word(found))
        }
        None => text.to_owned(),
    }
}

/// The engine's name of a type in words.
fn word(name: &str) -> &str {
    match name {
        "i64" | "u32" | "usize" | "u16" => "a whole number",
        "f64" => "a number",
        "bool" => "true or false",
        "string" | "&str" => "a text",
        "array" | "seq" => "a list",
        "map" => "an object map",
        "()" => "nothing",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(entries: &[(&str, Dynamic)]) -> Options {
        Options::new(
            "ssh::forward",
            entries.iter().map(|(key, value)| ((*key).into(), value.clone())).collect(),
        )
    }

    #[test]
    fn reads_typed_values_and_defaults() {
        let mut o = options(&[
            ("remote_host", "db".into()),
            ("remote_port", 3_i64.into()),
            ("local_port", 2_i64.into()),
        ]);
        assert_eq!(o.required::<String>("remote_host").unwrap(), "db");
        assert_eq!(o.or("remote_port", 1_u32).unwrap(), 3);
        assert_eq!(o.seconds("local_port", std::time::Duration::ZERO).unwrap().as_secs(), 2);
        assert!(o.finish().is_ok());
        let mut o = options(&[]);
        assert_eq!(o.optional::<String>("remote_host").unwrap(), None);
        assert_eq!(o.or("remote_port", 1_u32).unwrap(), 1);
    }

    #[test]
    fn refuses_unknown_missing_and_mistyped_keys() {
        let mut o = options(&[("remote_prot", "x".into())]);
        assert!(o.required::<u16>("remote_port").unwrap_err().message().contains("`remote_port` is missing"));
        let _ = (o.optional::<String>("remote_host"), o.optional::<u16>("local_port"));
        let error = o.finish().unwrap_err();
        assert_eq!(error.message(), "ssh::forward: unknown option `remote_prot`");
        assert_eq!(error.hint(), Some("did you mean `remote_port`?"));
        let error = options(&[("remote_port", "three".into())]).required::<u32>("remote_port").unwrap_err();
        assert!(error.message().starts_with("ssh::forward: option `remote_port`: "), "{error}");
        let mut o = options(&[("local_port", (-1_i64).into())]);
        assert!(o.seconds("local_port", std::time::Duration::ZERO).is_err());
    }
}
