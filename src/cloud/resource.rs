//! Every kind of resource that spot makes, what it owns of them, and what became of a removal.

use serde::{Deserialize, Serialize, Serializer};

use super::Market;
use super::tags::Tags;
use crate::error::Error;

/// The kinds of resources that spot makes or that come with what it makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResourceKind {
    /// An order for instances that are replaced when they end.
    Fleet,
    /// A request for spot capacity.
    SpotRequest,
    /// A virtual machine.
    Instance,
    /// What instances of a fleet are like.
    LaunchTemplate,
    /// A disk.
    Volume,
    /// A public IPv4 address that is kept.
    Address,
    /// A network interface.
    NetworkInterface,
    /// An SSH public key kept by EC2.
    KeyPair,
    /// A firewall.
    SecurityGroup,
    /// A part of a VPC in one zone.
    Subnet,
    /// A table of routes.
    RouteTable,
    /// A VPC's way to the internet.
    InternetGateway,
    /// A VPC's way to the internet over IPv6, and none back.
    EgressOnlyGateway,
    /// A private network.
    Vpc,
}

impl ResourceKind {
    /// All kinds, in the order in which they can be removed.
    pub const ALL: [ResourceKind; 14] = [
        ResourceKind::Fleet,
        ResourceKind::SpotRequest,
        ResourceKind::Instance,
        ResourceKind::LaunchTemplate,
        ResourceKind::Volume,
        ResourceKind::Address,
        ResourceKind::NetworkInterface,
        ResourceKind::KeyPair,
        ResourceKind::SecurityGroup,
        ResourceKind::Subnet,
        ResourceKind::RouteTable,
        ResourceKind::InternetGateway,
        ResourceKind::EgressOnlyGateway,
        ResourceKind::Vpc,
    ];

    /// The words for a person.
    pub fn as_str(self) -> &'static str {
        match self {
            ResourceKind::Fleet => "fleet",
            ResourceKind::SpotRequest => "spot request",
            ResourceKind::Instance => "instance",
            ResourceKind::LaunchTemplate => "launch template",
            ResourceKind::Volume => "volume",
            ResourceKind::Address => "address",
            ResourceKind::NetworkInterface => "network interface",
            ResourceKind::KeyPair => "key pair",
            ResourceKind::SecurityGroup => "security group",
            ResourceKind::Subnet => "subnet",
            ResourceKind::RouteTable => "route table",
            ResourceKind::InternetGateway => "internet gateway",
            ResourceKind::EgressOnlyGateway => "egress-only gateway",
            ResourceKind::Vpc => "VPC",
        }
    }

    /// The kind of what an id names, by how the id begins.
    pub fn of_id(id: &str) -> Option<ResourceKind> {
        let (prefix, _) = id.split_once('-')?;
        Some(match prefix {
            "fleet" => ResourceKind::Fleet,
            "sir" => ResourceKind::SpotRequest,
            "i" => ResourceKind::Instance,
            "lt" => ResourceKind::LaunchTemplate,
            "vol" => ResourceKind::Volume,
            "eipalloc" => ResourceKind::Address,
            "eni" => ResourceKind::NetworkInterface,
            "key" => ResourceKind::KeyPair,
            "sg" => ResourceKind::SecurityGroup,
            "subnet" => ResourceKind::Subnet,
            "rtb" => ResourceKind::RouteTable,
            "igw" => ResourceKind::InternetGateway,
            "eigw" => ResourceKind::EgressOnlyGateway,
            "vpc" => ResourceKind::Vpc,
            _ => return None,
        })
    }

    /// Whether it is a part of a VPC, or the VPC itself.
    pub fn is_network(self) -> bool {
        matches!(
            self,
            ResourceKind::NetworkInterface
                | ResourceKind::SecurityGroup
                | ResourceKind::Subnet
                | ResourceKind::RouteTable
                | ResourceKind::InternetGateway
                | ResourceKind::EgressOnlyGateway
                | ResourceKind::Vpc
        )
    }
}

impl std::fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A resource that was found by its tags.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Owned {
    /// What it is.
    pub kind: ResourceKind,
    /// Its id.
    pub id: String,
    /// The region it is in.
    #[serde(default)]
    pub region: String,
    /// Its name: the tag `Name`, or what EC2 calls the name of a group or key pair.
    #[serde(default)]
    pub name: Option<String>,
    /// The project it belongs to.
    #[serde(default)]
    pub project: Option<String>,
    /// The deployment it belongs to.
    #[serde(default)]
    pub deployment: Option<String>,
    /// When it was made (RFC 3339), where EC2 says so.
    #[serde(default)]
    pub created: Option<String>,
    /// What its tag `spot:expires` says.
    #[serde(default)]
    pub expires: Option<String>,
    /// The type of an instance.
    #[serde(rename = "type", default)]
    pub instance_type: Option<String>,
    /// The zone of an instance.
    #[serde(default)]
    pub zone: Option<String>,
    /// How an instance is paid for.
    #[serde(default)]
    pub market: Option<Market>,
    /// The state of an instance, in EC2's word.
    #[serde(default)]
    pub state: Option<String>,
    /// US dollars an hour, where known.
    #[serde(default)]
    pub hourly: Option<f64>,
    /// Whether its tag `spot:protect` keeps it from being removed; `keep` for scripts, in which
    /// `protected` is a reserved word.
    #[serde(rename = "keep", default)]
    pub protected: bool,
    /// All its tags.
    #[serde(default)]
    pub tags: Tags,
}

impl Owned {
    /// A resource of which no more is known than what and where it is.
    pub fn new(kind: ResourceKind, id: impl Into<String>, region: impl Into<String>) -> Self {
        Owned {
            kind,
            id: id.into(),
            region: region.into(),
            name: None,
            project: None,
            deployment: None,
            created: None,
            expires: None,
            instance_type: None,
            zone: None,
            market: None,
            state: None,
            hourly: None,
            protected: false,
            tags: Tags::new(),
        }
    }
}

/// A resource that was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// What it was.
    pub kind: ResourceKind,
    /// Its id.
    pub id: String,
    /// Whether it was already gone.
    pub gone: bool,
}

/// What became of one resource that was to be removed.
#[derive(Debug, Clone, Serialize)]
pub struct Removal {
    /// What it is.
    pub kind: ResourceKind,
    /// Its id.
    pub id: String,
    /// What became of it.
    #[serde(flatten)]
    pub fate: Fate,
}

/// What became of the order to remove a resource.
#[derive(Debug, Clone)]
pub enum Fate {
    /// It was removed.
    Removed,
    /// It did not exist any more, which is as good.
    Gone,
    /// It is protected, or needed by what is; the text says by what.
    Left(String),
    /// It refuses to go; the message names what holds it.
    Failed(Error),
}

impl Serialize for Fate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let (outcome, code, message) = match self {
            Fate::Removed => ("removed", None, None),
            Fate::Gone => ("gone", None, None),
            Fate::Left(reason) => ("left", None, Some(reason.as_str())),
            Fate::Failed(error) => ("failed", error.code(), Some(error.message())),
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("ok", &!matches!(self, Fate::Failed(_)))?;
        map.serialize_entry("outcome", outcome)?;
        map.serialize_entry("code", &code)?;
        map.serialize_entry("message", &message)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_removed_later_comes_later() {
        let place = |wanted| ResourceKind::ALL.iter().position(|kind| *kind == wanted).unwrap();
        assert!(place(ResourceKind::Fleet) < place(ResourceKind::Instance));
        assert!(place(ResourceKind::Instance) < place(ResourceKind::SecurityGroup));
        assert!(place(ResourceKind::SecurityGroup) < place(ResourceKind::Vpc));
        let mut words: Vec<&str> = ResourceKind::ALL.iter().map(|kind| kind.as_str()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), ResourceKind::ALL.len());
    }

    #[test]
    fn a_resource_of_a_script_needs_only_its_kind_and_id() {
        let owned: Owned = serde_json::from_str(r#"{"kind":"egress-only-gateway","id":"eigw-1"}"#).unwrap();
        assert_eq!(owned, Owned::new(ResourceKind::EgressOnlyGateway, "eigw-1", ""));
    }

    #[test]
    fn a_removal_prints_its_reason() {
        let of = |fate| {
            serde_json::to_value(Removal { kind: ResourceKind::Vpc, id: "vpc-1".to_owned(), fate }).unwrap()
        };
        let failed = of(Fate::Failed(Error::aws("held").with_code("DependencyViolation")));
        assert_eq!(
            (failed["ok"].as_bool(), failed["code"].as_str()),
            (Some(false), Some("DependencyViolation"))
        );
        let left = of(Fate::Left("needed".to_owned()));
        assert_eq!((left["ok"].as_bool(), left["message"].as_str()), (Some(true), Some("needed")));
        assert_eq!(of(Fate::Gone)["kind"], "vpc");
    }
}
