//! Launch templates.

use serde::{Deserialize, Serialize};

use crate::sandbox::ec2::moment::Moment;
use crate::sandbox::ec2::request::Params;

/// A launch template with all of its versions.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in super::super) struct LaunchTemplate {
    pub id: String,
    pub name: String,
    pub created: Moment,
    /// In the order of their numbers, the first of which is 1.
    pub versions: Vec<Version>,
}

/// One version of a launch template; it is never changed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in super::super) struct Version {
    pub number: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub created: Moment,
    /// The parameters of a launch, by their names in `RunInstances`.
    pub data: Params,
}

impl LaunchTemplate {
    /// The number of the newest version.
    pub fn latest(&self) -> u64 {
        self.versions.last().map_or(1, |version| version.number)
    }

    /// The default version: the first, since the sandbox does not change it.
    pub fn default_version(&self) -> u64 {
        self.versions.first().map_or(1, |version| version.number)
    }

    /// The version that a word names: a number, `$Latest` or `$Default`; none means the default.
    pub fn version(&self, word: Option<&str>) -> Option<&Version> {
        let number = match word {
            None | Some("$Default") => self.default_version(),
            Some("$Latest") => self.latest(),
            Some(number) => number.parse().ok()?,
        };
        self.versions.iter().find(|version| version.number == number)
    }
}
