//! Security groups and their rules.

use serde::{Deserialize, Serialize};

/// A security group.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in super::super) struct Group {
    pub id: String,
    pub name: String,
    pub description: String,
    pub vpc: String,
    pub rules: Vec<Rule>,
}

/// One rule: a protocol, a range of ports and one peer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in super::super) struct Rule {
    pub id: String,
    pub egress: bool,
    #[serde(flatten)]
    pub traffic: Traffic,
    pub peer: Peer,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// Which packets a rule is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Traffic {
    /// `tcp`, `udp`, `icmp`, `icmpv6`, a protocol number, or `-1` for all.
    pub protocol: String,
    /// First port, or the ICMP type; none for all.
    pub from: Option<i32>,
    /// Last port, or the ICMP code; none for all.
    pub to: Option<i32>,
}

/// The other side of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in super::super) enum Peer {
    /// An IPv4 block.
    Ipv4(String),
    /// An IPv6 block.
    Ipv6(String),
    /// The members of a security group, by its id.
    Group(String),
    /// A managed prefix list.
    PrefixList(String),
}

impl Peer {
    /// The block or id.
    pub fn text(&self) -> &str {
        let (Peer::Ipv4(text) | Peer::Ipv6(text) | Peer::Group(text) | Peer::PrefixList(text)) = self;
        text
    }
}

impl Rule {
    /// Whether it lets the same packets of the same peer through.
    pub fn same(&self, egress: bool, traffic: &Traffic, peer: &Peer) -> bool {
        self.egress == egress && self.traffic == *traffic && self.peer == *peer
    }
}

impl Group {
    /// Whether one of its rules names another group.
    pub fn refers_to(&self, group: &str) -> bool {
        self.rules.iter().any(|rule| matches!(&rule.peer, Peer::Group(id) if id == group))
    }

    /// Whether it is the group that every VPC has.
    pub fn is_default(&self) -> bool {
        self.name == "default"
    }
}
