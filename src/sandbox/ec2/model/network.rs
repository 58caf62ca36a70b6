//! Networks: VPCs, subnets, internet gateways and route tables.

use serde::{Deserialize, Serialize};

use super::cidr::Cidr;
use super::ipv6::Ipv6Block;

/// A virtual private cloud.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in super::super) struct Vpc {
    pub id: String,
    pub cidr: Cidr,
    /// The id that ties the block to the network.
    pub association: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<Ipv6Block>,
    pub is_default: bool,
    pub dns_support: bool,
    pub dns_hostnames: bool,
}

/// A part of a VPC in one Availability Zone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in super::super) struct Subnet {
    pub id: String,
    pub vpc: String,
    pub cidr: Cidr,
    pub zone: String,
    pub zone_id: String,
    pub default_for_zone: bool,
    /// Whether instances get a public address unless they say otherwise.
    pub map_public: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<Ipv6Block>,
    /// Whether instances get an IPv6 address unless they say otherwise.
    #[serde(default)]
    pub assign_ipv6: bool,
}

/// An internet gateway.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in super::super) struct Gateway {
    pub id: String,
    /// The VPC it is attached to.
    pub vpc: Option<String>,
}

/// A route table; the local route is implied.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in super::super) struct RouteTable {
    pub id: String,
    pub vpc: String,
    pub routes: Vec<Route>,
    pub associations: Vec<Association>,
}

/// A route to an internet gateway.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in super::super) struct Route {
    /// An IPv4 or IPv6 block.
    pub destination: String,
    pub gateway: String,
}

/// What a route table applies to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in super::super) struct Association {
    pub id: String,
    /// The subnet; none marks the VPC's main table.
    pub subnet: Option<String>,
}

impl RouteTable {
    /// Whether it is its VPC's main table.
    pub fn is_main(&self) -> bool {
        self.associations.iter().any(|association| association.subnet.is_none())
    }
}
