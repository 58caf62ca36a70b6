//! Where instances can be and of what kind: who asks, regions, zones, instance types and prices.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Who the credentials belong to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The account's twelve digits.
    pub account: String,
    /// The identity's full name.
    pub arn: String,
    /// The unique id of the user or the assumed role.
    pub user_id: String,
}

/// A region that is enabled for the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Region {
    /// Its name, such as `us-west-2`.
    pub name: String,
    /// `opt-in-not-required` or `opted-in`.
    pub opt_in: String,
}

/// An availability zone that can be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    /// Its name in this account, such as `us-west-2a`.
    pub name: String,
    /// Its id, which means the same zone in every account, such as `usw2-az1`.
    pub id: String,
    /// The region it is in.
    pub region: String,
}

/// A processor architecture, as images and instance types name it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Architecture {
    /// Intel and AMD, 64 bits.
    #[default]
    #[serde(rename = "x86_64")]
    X86_64,
    /// ARM, 64 bits (Graviton).
    #[serde(rename = "arm64")]
    Arm64,
}

impl Architecture {
    /// The name that EC2 uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Architecture::X86_64 => "x86_64",
            Architecture::Arm64 => "arm64",
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Architecture {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "x86_64" | "amd64" => Ok(Architecture::X86_64),
            "arm64" | "aarch64" => Ok(Architecture::Arm64),
            _ => Err(Error::usage(format!("unknown architecture `{text}`, expected `x86_64` or `arm64`"))),
        }
    }
}

/// What an instance type is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceType {
    /// Its name, such as `t3.medium`.
    pub name: String,
    /// The architecture it runs; the first that is supported here, if it runs several.
    pub architecture: Architecture,
    /// Virtual processors.
    pub vcpu: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Whether it can be had in the spot market.
    pub spot: bool,
    /// Graphics processors.
    #[serde(default)]
    pub gpus: u32,
    /// Whether it saves up processor time when idle (`t3`, …).
    #[serde(default)]
    pub burstable: bool,
}

/// An instance type that a zone offers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Offering {
    /// The zone.
    pub zone: String,
    /// The instance type.
    #[serde(rename = "type")]
    pub instance_type: String,
}

/// The newest spot price of an instance type in a zone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Price {
    /// The region.
    pub region: String,
    /// The zone.
    pub zone: String,
    /// The instance type.
    #[serde(rename = "type")]
    pub instance_type: String,
    /// US dollars for an hour.
    pub hourly: f64,
    /// Since when it holds (RFC 3339).
    pub since: Option<String>,
}
