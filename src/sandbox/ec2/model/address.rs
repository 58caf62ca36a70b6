//! Elastic IP addresses and egress-only internet gateways.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// An address that stays with the account until it is released.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in super::super) struct Address {
    pub id: String,
    pub public_ip: Ipv4Addr,
    /// The id of the association, and the instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub associated: Option<(String, String)>,
}

/// A way out for IPv6 that lets nobody in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in super::super) struct EgressGateway {
    pub id: String,
    pub vpc: String,
}
