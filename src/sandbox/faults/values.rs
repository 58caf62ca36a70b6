//! Single values of a fault: their units, their ranges and the names that exist.

use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::sandbox::ec2::names;

/// A year; nothing lasts longer.
const LONGEST_SECONDS: f64 = 31_536_000.0;

fn within<E: serde::de::Error>(value: f64, range: RangeInclusive<f64>) -> Result<f64, E> {
    match range.contains(&value) {
        true => Ok(value),
        false => Err(E::custom(must_be(range.start(), range.end(), value))),
    }
}

fn must_be(least: impl Display, most: impl Display, found: impl Display) -> String {
    format!("must be from {least} to {most}, found {found}")
}

/// A share or probability, 0 to 1.
pub(super) fn share<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    within(f64::deserialize(from)?, 0.0..=1.0)
}

/// All of them.
pub(super) fn all() -> f64 {
    1.0
}

/// US dollars per hour, 0 to 10 000.
pub(super) fn price<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    Option::<f64>::deserialize(from)?.map(|value| within(value, 0.0..=10_000.0)).transpose()
}

/// What a price is multiplied by, 0.01 to 1000.
pub(super) fn factor<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    Option::<f64>::deserialize(from)?.map(|value| within(value, 0.01..=1000.0)).transpose()
}

/// The value of a quota, 0 to a million.
pub(super) fn quota<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    within(f64::deserialize(from)?, 0.0..=1_000_000.0)
}

/// Tokens, or tokens per second: 0 to a million.
pub(super) fn tokens<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    within(f64::deserialize(from)?, 0.0..=1_000_000.0)
}

/// Seconds that may be negative, at most a year.
pub(super) fn skew<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    within(f64::deserialize(from)?, -LONGEST_SECONDS..=LONGEST_SECONDS)
}

/// The HTTP status of an error.
pub(super) fn status<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u16>, D::Error> {
    match Option::<u16>::deserialize(from)? {
        Some(status) if !(400..=599).contains(&status) => Err(D::Error::custom(must_be(400, 599, status))),
        status => Ok(status),
    }
}

/// At least one.
pub(super) fn positive<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    match u32::deserialize(from)? {
        0 => Err(D::Error::custom("must be at least 1, found 0")),
        number => Ok(number),
    }
}

/// An action, or a pattern with `*`.
pub(super) fn action<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    checked(String::deserialize(from)?, names::check_action)
}

/// An action, or a pattern with `*`; none for all.
pub(super) fn some_action<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    some(from, names::check_action)
}

/// Actions, or patterns with `*`.
pub(super) fn actions<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    Vec::<String>::deserialize(from)?.into_iter().map(|it| checked(it, names::check_action)).collect()
}

/// A region; none for all.
pub(super) fn region<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    some(from, names::check_region)
}

/// An Availability Zone; none for all.
pub(super) fn zone<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    some(from, names::check_zone)
}

/// An instance type; none for all.
pub(super) fn instance_type<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    some(from, names::check_type)
}

fn some<'de, D: Deserializer<'de>>(
    from: D,
    check: fn(&str) -> Result<(), String>,
) -> Result<Option<String>, D::Error> {
    Option::<String>::deserialize(from)?.map(|name| checked(name, check)).transpose()
}

fn checked<E: serde::de::Error>(name: String, check: fn(&str) -> Result<(), String>) -> Result<String, E> {
    check(&name).map_err(E::custom)?;
    Ok(name)
}

/// A rule for which a file may give a single number.
pub(super) trait Rule: for<'de> Deserialize<'de> {
    /// What a file may say.
    const EXPECTED: &'static str;

    /// The rule that a number stands for.
    fn of_number<E: serde::de::Error>(number: f64) -> Result<Self, E>;
}

/// A number, one rule, or several.
pub(super) fn rules<'de, T: Rule, D: Deserializer<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    struct Rules<T>(PhantomData<T>);

    impl<'de, T: Rule> Visitor<'de> for Rules<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(T::EXPECTED)
        }

        fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Vec<T>, E> {
            self.visit_f64(number as f64)
        }

        fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Vec<T>, E> {
            self.visit_f64(number as f64)
        }

        fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Vec<T>, E> {
            Ok(vec![T::of_number(number)?])
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Vec<T>, A::Error> {
            Ok(vec![T::deserialize(MapAccessDeserializer::new(map))?])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Vec<T>, A::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(seq))
        }
    }

    from.deserialize_any(Rules(PhantomData))
}

/// Durations as seconds, 0 to a year.
pub(super) mod seconds {
    use serde::Serializer;

    use super::*;

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let seconds = within(f64::deserialize(from)?, 0.0..=LONGEST_SECONDS)?;
        Ok(Duration::from_secs_f64(seconds))
    }

    pub(in super::super) fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(value.as_secs_f64())
    }
}

/// Durations that may be missing, as seconds, 0 to a year.
pub(super) mod some_seconds {
    use serde::{Serialize as _, Serializer};

    use super::*;

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        let seconds = Option::<f64>::deserialize(from)?;
        let seconds = seconds.map(|value| within(value, 0.0..=LONGEST_SECONDS)).transpose()?;
        Ok(seconds.map(Duration::from_secs_f64))
    }

    pub(in super::super) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        value.map(|value| value.as_secs_f64()).serialize(to)
    }
}
