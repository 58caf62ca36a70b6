//! Network interfaces that belong to no instance.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::sandbox::ec2::moment::Moment;

/// A network interface on its own; those of instances are part of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in super::super) struct LooseInterface {
    pub id: String,
    pub vpc: String,
    pub subnet: String,
    pub zone: String,
    pub zone_id: String,
    pub groups: Vec<String>,
    pub description: String,
    pub mac: String,
    pub private_ip: Ipv4Addr,
    pub created: Moment,
    /// Who made it and alone may remove it, such as `amazon-elb`; none for the account itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requester: Option<String>,
}
