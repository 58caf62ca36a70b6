//! The network that instances live in.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::cidr::Cidr;
use crate::error::{Error, Result};

/// The network that a project needs in a region.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkRequest {
    /// The region.
    pub region: String,
    /// The project that the network belongs to; deployments of a project share it.
    pub project: String,
    /// The deployment for which it is asked for, noted in the journal.
    pub deployment: String,
    /// Who asks, for the tag.
    pub creator: String,
    /// A VPC of its own; otherwise the region's default VPC with a security group of its own.
    pub dedicated: bool,
    /// An existing VPC to use in place of the region's default one, by its id or a tag.
    pub vpc: Option<Selector>,
    /// The subnets to use, by id or tag; without them all of the VPC, one in each zone. Subnets by id
    /// say which VPC is meant.
    pub subnets: Vec<Selector>,
    /// Whether a dedicated VPC gets IPv6 ranges too.
    pub ipv6: bool,
    /// TCP ports to open besides 22.
    pub ports: Vec<Ports>,
    /// The address ranges from which the ports can be reached. Empty: nobody can.
    pub sources: Vec<String>,
    /// When what is made now may be removed, for the tag: RFC 3339 in UTC.
    pub expires: Option<String>,
}

/// How an existing resource is named: `vpc-0abc…`, or `tag:KEY=VALUE`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Selector {
    /// By its id.
    Id(String),
    /// By a tag that it carries.
    Tag {
        /// The tag's key.
        key: String,
        /// Its value; `*` stands for any text.
        value: String,
    },
}

impl Selector {
    /// Reads `tag:KEY=VALUE`, or an id that starts with `prefix`.
    ///
    /// # Errors
    /// When it is neither.
    pub fn parse(text: &str, prefix: &str) -> Result<Self> {
        if let Some((key, value)) = text.strip_prefix("tag:").and_then(|tag| tag.split_once('='))
            && !key.is_empty()
        {
            return Ok(Selector::Tag { key: key.to_owned(), value: value.to_owned() });
        }
        let hex = text.strip_prefix(prefix).unwrap_or_default();
        if !hex.is_empty() && hex.chars().all(|c| c.is_ascii_alphanumeric()) {
            return Ok(Selector::Id(text.to_owned()));
        }
        Err(Error::usage(format!("`{text}` names no resource, expected `{prefix}…` or `tag:KEY=VALUE`")))
    }
}

impl std::fmt::Display for Selector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Selector::Id(id) => f.write_str(id),
            Selector::Tag { key, value } => write!(f, "tag:{key}={value}"),
        }
    }
}

/// A range of TCP ports, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ports {
    /// The first.
    pub from: u16,
    /// The last.
    pub to: u16,
}

impl Ports {
    /// Where SSH listens.
    pub const SSH: Ports = Ports { from: 22, to: 22 };
}

impl std::fmt::Display for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.from == self.to { write!(f, "{}", self.from) } else { write!(f, "{}-{}", self.from, self.to) }
    }
}

/// TCP ports that are open for an address range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ingress {
    /// The ports.
    pub ports: Ports,
    /// From where.
    pub source: Cidr,
}

impl NetworkRequest {
    /// The rules that the security group should have: port 22 and `ports`, from each of `sources`.
    pub fn ingress(&self) -> Result<BTreeSet<Ingress>> {
        let mut rules = BTreeSet::new();
        for source in &self.sources {
            let source: Cidr = source.parse()?;
            rules.extend(
                std::iter::once(Ports::SSH)
                    .chain(self.ports.iter().copied())
                    .map(|ports| Ingress { ports, source }),
            );
        }
        Ok(rules)
    }

    /// The name of the security group.
    pub fn group_name(&self) -> Result<String> {
        group_name(&self.project)
    }
}

/// The name of a project's security group. EC2 allows few characters in it, so others become `-`.
pub fn group_name(project: &str) -> Result<String> {
    if project.trim().is_empty() {
        return Err(Error::usage("the project has no name, so its network cannot be named or found again"));
    }
    let allowed =
        |c: char| if c.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(c) { c } else { '-' };
    let name: String = project.chars().map(allowed).take(250).collect();
    Ok(format!("spot-{name}"))
}

/// A subnet that instances can be launched into.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    /// Its id.
    pub id: String,
    /// The zone it is in.
    pub zone: String,
    /// Its address range.
    pub cidr: String,
}

/// A network that is ready to launch into.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// The region.
    pub region: String,
    /// The VPC.
    pub vpc_id: String,
    /// Whether spot made the VPC, or it is the region's default one.
    pub dedicated: bool,
    /// One subnet in each zone, in the order of the zones' names.
    pub subnets: Vec<Subnet>,
    /// The project's security group.
    pub security_group_id: String,
    /// Whether all subnets have an IPv6 range.
    #[serde(default)]
    pub ipv6: bool,
    /// What this call made, as opposed to what it found: empty when all was there.
    pub created: Vec<String>,
}

/// What there is of a project's network, before anything is made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundNetwork {
    /// The region.
    pub region: String,
    /// The VPC; none when it would be made.
    pub vpc_id: Option<String>,
    /// The subnets that are there.
    pub subnets: Vec<Subnet>,
    /// The project's security group, if it is there.
    pub security_group_id: Option<String>,
    /// What would be made, in EC2's words: empty when all is there.
    pub missing: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> NetworkRequest {
        NetworkRequest {
            region: "us-west-2".to_owned(),
            project: "web".to_owned(),
            ports: vec![Ports { from: 443, to: 443 }, Ports { from: 9000, to: 9100 }, Ports::SSH],
            sources: vec!["203.0.113.7".to_owned(), "10.0.0.0/8".to_owned()],
            ..NetworkRequest::default()
        }
    }

    #[test]
    fn ssh_is_always_open_for_the_sources_and_for_nobody_else() {
        let rules: Vec<String> = request()
            .ingress()
            .unwrap()
            .iter()
            .map(|rule| format!("{} {}", rule.ports, rule.source))
            .collect();
        assert_eq!(
            rules,
            [
                "22 10.0.0.0/8",
                "22 203.0.113.7/32",
                "443 10.0.0.0/8",
                "443 203.0.113.7/32",
                "9000-9100 10.0.0.0/8",
                "9000-9100 203.0.113.7/32"
            ]
        );
        let closed = NetworkRequest { sources: Vec::new(), ..request() };
        assert!(closed.ingress().unwrap().is_empty());
    }

    #[test]
    fn group_names_are_ones_that_ec2_takes() {
        assert_eq!(group_name("web").unwrap(), "spot-web");
        assert_eq!(group_name("bücher\n1").unwrap(), "spot-b-cher-1");
        assert!(group_name(&"x".repeat(400)).unwrap().len() <= 255);
        assert!(group_name(" ").is_err());
    }
}
