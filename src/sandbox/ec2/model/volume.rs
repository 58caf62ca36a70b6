//! Block storage volumes.

use serde::{Deserialize, Serialize};

use crate::sandbox::ec2::moment::Moment;

/// A volume; every one begins as part of an instance.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in super::super) struct Volume {
    pub id: String,
    /// GiB.
    pub size: u32,
    /// `gp3`, `gp2`, `io1`, …
    pub kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iops: Option<u32>,
    /// MiB a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throughput: Option<u32>,
    pub encrypted: bool,
    /// The key it is encrypted with, if not the account's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    pub zone: String,
    pub created: Moment,
    /// Where it is attached; none once its instance is gone and it stayed.
    pub attachment: Option<Attached>,
}

/// A volume's place on an instance.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in super::super) struct Attached {
    pub instance: String,
    /// `/dev/sda1`.
    pub device: String,
    /// Whether it goes when the instance goes.
    pub delete_on_termination: bool,
}
