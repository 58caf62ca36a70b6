//! Names of endpoints that do not resolve.

use serde::{Deserialize, Serialize, de};

use super::schedule::Window;
use super::values::{self, Rule};

/// Look-ups of an endpoint's name that fail. Of several that apply the first counts. A client looks a name
/// up when it opens a connection; those that are open go on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DnsFailure {
    /// The region whose endpoint it is; none for all.
    #[serde(default, deserialize_with = "values::region")]
    pub region: Option<String>,
    /// Share of the look-ups, 0 to 1, that fail; in a file all unless told otherwise.
    #[serde(default = "values::all", deserialize_with = "values::share")]
    pub rate: f64,
    /// When; none for always.
    #[serde(default)]
    pub during: Option<Window>,
}

impl Rule for DnsFailure {
    const EXPECTED: &'static str = "a share, or one or more tables";

    fn of_number<E: de::Error>(number: f64) -> Result<Self, E> {
        let rate = values::share(de::value::F64Deserializer::new(number))?;
        Ok(DnsFailure { region: None, rate, during: None })
    }
}
