//! Placement groups.

use serde::{Deserialize, Serialize};

/// A wish about how near to each other the machines of instances are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in super::super) struct PlacementGroup {
    pub id: String,
    pub name: String,
    /// `cluster`, `spread` or `partition`.
    pub strategy: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<u32>,
}
