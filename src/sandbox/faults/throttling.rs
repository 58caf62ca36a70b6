//! How many requests EC2 takes before it refuses them with `RequestLimitExceeded`: token buckets.

use std::fmt;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::values;

/// The buckets of an account; each region has its own. The default is none.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Throttling(pub Vec<Bucket>);

/// A bucket of tokens. A request takes a token from the first bucket of requests that is for it, and
/// tokens from the first bucket of instances that is for it; one that finds too few takes none and is
/// refused. Buckets are full at first and fill again in real time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bucket {
    /// The actions that it is for, or patterns such as `Describe*`.
    #[serde(deserialize_with = "values::actions")]
    pub actions: Vec<String>,
    /// Only for requests that name neither a filter nor ids nor a page size.
    #[serde(default)]
    pub unfiltered: bool,
    /// Whether its actions share one bucket rather than having one each, as with EC2.
    #[serde(default)]
    pub shared: bool,
    /// Whether it counts instances (`MaxCount`, or the ids given) rather than requests.
    #[serde(default)]
    pub instances: bool,
    /// How many tokens it holds, 0 to a million.
    #[serde(deserialize_with = "values::tokens")]
    pub size: f64,
    /// How many tokens are added each second, 0 to a million.
    #[serde(deserialize_with = "values::tokens")]
    pub refill: f64,
}

/// Actions that change nothing.
const READING: &[&str] = &["Describe*", "Get*"];
/// Presets by name.
const PRESETS: &[&str] = &["ec2"];

impl Throttling {
    /// What EC2's documentation tells of new accounts: a bucket for each action and region; besides,
    /// buckets of instances for launches and terminations.
    pub fn ec2() -> Self {
        let requests = |actions: &[&str], size: f64, refill: f64| Bucket {
            actions: actions.iter().map(|action| (*action).to_owned()).collect(),
            unfiltered: false,
            shared: false,
            instances: false,
            size,
            refill,
        };
        let instances = |actions: &[&str], size: f64, refill: f64| Bucket {
            instances: true,
            ..requests(actions, size, refill)
        };
        Throttling(vec![
            requests(&["RunInstances"], 5.0, 2.0),
            requests(&["TerminateInstances"], 100.0, 5.0),
            requests(&["CreateTags", "DeleteTags"], 100.0, 10.0),
            Bucket { unfiltered: true, ..requests(READING, 50.0, 10.0) },
            requests(READING, 100.0, 20.0),
            requests(&["*"], 50.0, 5.0),
            instances(&["RunInstances"], 1000.0, 2.0),
            instances(&["TerminateInstances"], 1000.0, 20.0),
        ])
    }

    /// A preset by name.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn preset(name: &str) -> Result<Self, String> {
        match name {
            "ec2" => Ok(Self::ec2()),
            _ => Err(format!("unknown preset `{name}`, known is `{}`", PRESETS.join("`, `"))),
        }
    }
}

impl<'de> Deserialize<'de> for Throttling {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Buckets;

        impl<'de> Visitor<'de> for Buckets {
            type Value = Throttling;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a preset (`ec2`) or tables of buckets")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Throttling, E> {
                Throttling::preset(name).map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Throttling, A::Error> {
                Ok(Throttling(Vec::deserialize(SeqAccessDeserializer::new(seq))?))
            }
        }

        from.deserialize_any(Buckets)
    }
}
