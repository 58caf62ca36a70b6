//! EC2 Fleets of type `instant`, and what came of them.

use serde::{Deserialize, Serialize};

use crate::sandbox::ec2::moment::Moment;
use crate::sandbox::ec2::request::Params;

/// A fleet: one request for instances out of several pools, carried out at once.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in super::super) struct Fleet {
    pub id: String,
    pub created: Moment,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_token: Option<String>,
    /// `active`, `deleted_terminating` or `deleted`.
    pub state: String,
    /// What was asked for.
    pub request: Params,
    /// What was launched.
    pub groups: Vec<Launched>,
    /// What was refused.
    pub errors: Vec<Refused>,
    /// Units of capacity that came, spot and on-demand.
    pub fulfilled: (f64, f64),
}

/// A pool: a launch template and what is to be different from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in super::super) struct Pool {
    pub template: String,
    pub template_name: String,
    pub version: u64,
    pub overrides: Params,
}

/// Instances that came from one pool.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in super::super) struct Launched {
    pub pool: Pool,
    /// `spot` or `on-demand`.
    pub lifecycle: String,
    pub kind: String,
    pub instances: Vec<String>,
}

/// Why a pool gave nothing, or nothing more.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in super::super) struct Refused {
    pub pool: Pool,
    /// `spot` or `on-demand`.
    pub lifecycle: String,
    pub code: String,
    pub message: String,
}
