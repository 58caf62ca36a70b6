//! `IpPermissions`: many rules in one, as requests and descriptions of groups have them.

use std::net::Ipv6Addr;

use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::model::ACCOUNT;
use crate::sandbox::ec2::model::chance::Chance;
use crate::sandbox::ec2::model::cidr::Cidr;
use crate::sandbox::ec2::model::group::{Group, Peer, Rule, Traffic};
use crate::sandbox::ec2::model::id;
use crate::sandbox::ec2::model::region::{Region, find};
use crate::sandbox::ec2::request::Params;
use crate::sandbox::ec2::xml::Xml;

/// The parameters that carry permissions.
pub(super) const PERMISSIONS: &[&str] = &[
    "IpPermissions.N.IpProtocol",
    "IpPermissions.N.FromPort",
    "IpPermissions.N.ToPort",
    "IpPermissions.N.IpRanges.N.CidrIp",
    "IpPermissions.N.IpRanges.N.Description",
    "IpPermissions.N.Ipv6Ranges.N.CidrIpv6",
    "IpPermissions.N.Ipv6Ranges.N.Description",
    "IpPermissions.N.PrefixListIds.N.PrefixListId",
    "IpPermissions.N.PrefixListIds.N.Description",
    "IpPermissions.N.Groups.N.GroupId",
    "IpPermissions.N.Groups.N.GroupName",
    "IpPermissions.N.Groups.N.UserId",
    "IpPermissions.N.Groups.N.VpcId",
    "IpPermissions.N.Groups.N.Description",
    "IpProtocol",
    "FromPort",
    "ToPort",
    "CidrIp",
    "SourceSecurityGroupName",
    "SourceSecurityGroupOwnerId",
];

/// What a request wants to be let through; a rule without its id.
pub(super) struct Permission {
    pub traffic: Traffic,
    pub peer: Peer,
    pub description: Option<String>,
}

impl Permission {
    /// The rule of this permission.
    pub fn rule(&self, egress: bool, chance: &Chance) -> Rule {
        Rule {
            id: id::RULE.draw(chance),
            egress,
            traffic: self.traffic.clone(),
            peer: self.peer.clone(),
            description: self.description.clone(),
        }
    }
}

/// The permissions of a request about `group`, from `IpPermissions.N` or the flat parameters.
pub(super) fn parse(params: &Params, region: &Region, group: &Group) -> Result<Vec<Permission>, Fault> {
    let mut all = Vec::new();
    for permission in params.members("IpPermissions") {
        let traffic = traffic(permission)?;
        let before = all.len();
        for (peer, description) in peers(permission, region, group)? {
            all.push(Permission { traffic: traffic.clone(), peer, description });
        }
        if all.len() == before {
            return Err(Fault::missing("ipRanges, ipv6Ranges, prefixListIds or groups"));
        }
    }
    if let Some(peer) = flat_peer(params, region, group)? {
        if !all.is_empty() {
            return Err(Fault::combination(
                "The parameter ipPermissions cannot be used with the flat parameters",
            ));
        }
        all.push(Permission { traffic: traffic(params)?, peer, description: None });
    }
    Ok(all)
}

fn flat_peer(params: &Params, region: &Region, group: &Group) -> Result<Option<Peer>, Fault> {
    if let Some(cidr) = params.text("CidrIp") {
        return ipv4(cidr).map(Some);
    }
    let Some(name) = params.text("SourceSecurityGroupName") else { return Ok(None) };
    named(region, group, name).map(Some)
}

fn named(region: &Region, group: &Group, name: &str) -> Result<Peer, Fault> {
    let peer = region.group_named(&group.vpc, name).ok_or_else(|| id::GROUP.missing(&[name]))?;
    Ok(Peer::Group(peer.id.clone()))
}

fn peers(permission: &Params, region: &Region, group: &Group) -> Result<Vec<(Peer, Option<String>)>, Fault> {
    let mut peers = Vec::new();
    for range in permission.members("IpRanges") {
        peers.push((ipv4(range.required("CidrIp")?)?, description(range)?));
    }
    for range in permission.members("Ipv6Ranges") {
        peers.push((ipv6(range.required("CidrIpv6")?)?, description(range)?));
    }
    for list in permission.members("PrefixListIds") {
        peers.push((Peer::PrefixList(list.required("PrefixListId")?.to_owned()), description(list)?));
    }
    for other in permission.members("Groups") {
        let peer = match (other.text("GroupId"), other.text("GroupName")) {
            (Some(id), _) => Peer::Group(find(&region.groups, &id::GROUP, id)?.id.clone()),
            (None, Some(name)) => named(region, group, name)?,
            (None, None) => return Err(Fault::missing("groupId")),
        };
        peers.push((peer, description(other)?));
    }
    Ok(peers)
}

fn description(peer: &Params) -> Result<Option<String>, Fault> {
    let Some(text) = peer.text("Description") else { return Ok(None) };
    let allowed = |c: char| c.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(c);
    if text.chars().count() > 255 || !text.chars().all(allowed) {
        return Err(Fault::value(
            "Invalid rule description. Valid descriptions are strings less than 256 characters from the \
             following set:  a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*",
        ));
    }
    Ok(Some(text.to_owned()))
}

fn ipv4(text: &str) -> Result<Peer, Fault> {
    let malformed = || Fault::value(format!("CIDR block {text} is malformed"));
    let cidr: Cidr = text.parse().map_err(|_| malformed())?;
    Ok(Peer::Ipv4(cidr.to_string()))
}

fn ipv6(text: &str) -> Result<Peer, Fault> {
    let parts = text.split_once('/').and_then(|(address, prefix)| {
        Some((address.parse::<Ipv6Addr>().ok()?, prefix.parse::<u8>().ok().filter(|prefix| *prefix <= 128)?))
    });
    match parts {
        Some((address, prefix)) => Ok(Peer::Ipv6(format!("{address}/{prefix}"))),
        None => Err(Fault::value(format!("CIDR block {text} is malformed"))),
    }
}

fn traffic(params: &Params) -> Result<Traffic, Fault> {
    let protocol = match params.required("IpProtocol")? {
        "6" => "tcp",
        "17" => "udp",
        "1" => "icmp",
        "58" => "icmpv6",
        "all" => "-1",
        other => other,
    };
    let named = matches!(protocol, "tcp" | "udp" | "icmp" | "icmpv6" | "-1");
    if !named && protocol.parse::<u8>().is_err() {
        let message = format!("Invalid value '{protocol}' for IP protocol. Unknown protocol.");
        return Err(Fault::value(message));
    }
    let from: Option<i32> = params.integer("FromPort")?;
    let to: Option<i32> = params.integer("ToPort")?;
    let traffic = Traffic { protocol: protocol.to_owned(), from, to };
    match protocol {
        "tcp" | "udp" => check_ports(traffic),
        "icmp" | "icmpv6" => Ok(traffic),
        // Ports mean nothing for the others.
        _ => Ok(Traffic { from: None, to: None, ..traffic }),
    }
}

fn check_ports(traffic: Traffic) -> Result<Traffic, Fault> {
    let (Some(from), Some(to)) = (traffic.from, traffic.to) else {
        let message = "Invalid value 'Must specify both from and to ports with TCP/UDP.' for portRange.";
        return Err(Fault::value(message));
    };
    if !(0..=65_535).contains(&from) || !(0..=65_535).contains(&to) || from > to {
        return Err(Fault::value(format!("Invalid TCP/UDP port range ({from}:{to})")));
    }
    Ok(traffic)
}

/// The rules of one direction, those of the same packets together.
pub(super) fn write(xml: &mut Xml, name: &str, group: &Group, egress: bool) {
    let mut permissions: Vec<(&Traffic, Vec<&Rule>)> = Vec::new();
    for rule in group.rules.iter().filter(|rule| rule.egress == egress) {
        match permissions.iter_mut().find(|(traffic, _)| **traffic == rule.traffic) {
            Some((_, rules)) => rules.push(rule),
            None => permissions.push((&rule.traffic, vec![rule])),
        }
    }
    xml.set(name, permissions, |xml, (traffic, rules)| {
        write_traffic(xml, traffic);
        write_peers(xml, &rules);
    });
}

/// Protocol and ports.
pub(super) fn write_traffic(xml: &mut Xml, traffic: &Traffic) {
    xml.text("ipProtocol", &traffic.protocol);
    xml.optional("fromPort", traffic.from).optional("toPort", traffic.to);
}

fn write_peers(xml: &mut Xml, rules: &[&Rule]) {
    let of = |wanted: fn(&Peer) -> bool| rules.iter().filter(move |rule| wanted(&rule.peer));
    xml.set("groups", of(|peer| matches!(peer, Peer::Group(_))), |xml, rule| {
        xml.text("userId", ACCOUNT).text("groupId", rule.peer.text());
        xml.optional("description", rule.description.as_ref());
    });
    xml.set("ipRanges", of(|peer| matches!(peer, Peer::Ipv4(_))), |xml, rule| {
        xml.text("cidrIp", rule.peer.text()).optional("description", rule.description.as_ref());
    });
    xml.set("ipv6Ranges", of(|peer| matches!(peer, Peer::Ipv6(_))), |xml, rule| {
        xml.text("cidrIpv6", rule.peer.text()).optional("description", rule.description.as_ref());
    });
    xml.set("prefixListIds", of(|peer| matches!(peer, Peer::PrefixList(_))), |xml, rule| {
        xml.text("prefixListId", rule.peer.text()).optional("description", rule.description.as_ref());
    });
}
