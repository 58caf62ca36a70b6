//! Resource ids: their shape, and how EC2 refuses a wrong or unknown one.

use super::chance::Chance;
use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::response::uuid;

/// A kind of resource as its ids and errors show it.
#[derive(Debug)]
pub(in super::super) struct IdKind {
    /// What comes before the dash.
    pub prefix: &'static str,
    /// The word of tag specifications and `DescribeTags`.
    pub resource_type: &'static str,
    /// How messages call one: `vpc ID`.
    noun: &'static str,
    /// The start of its error codes: `InvalidVpcID`.
    code: &'static str,
}

const fn kind(
    prefix: &'static str,
    resource_type: &'static str,
    noun: &'static str,
    code: &'static str,
) -> IdKind {
    IdKind { prefix, resource_type, noun, code }
}

pub(in super::super) static INSTANCE: IdKind = kind("i", "instance", "instance ID", "InvalidInstanceID");
pub(in super::super) static RESERVATION: IdKind =
    kind("r", "reservation", "reservation ID", "InvalidReservationID");
pub(in super::super) static IMAGE: IdKind = kind("ami", "image", "image id", "InvalidAMIID");
pub(in super::super) static VPC: IdKind = kind("vpc", "vpc", "vpc ID", "InvalidVpcID");
pub(in super::super) static SUBNET: IdKind = kind("subnet", "subnet", "subnet ID", "InvalidSubnetID");
pub(in super::super) static GATEWAY: IdKind =
    kind("igw", "internet-gateway", "internetGateway ID", "InvalidInternetGatewayID");
pub(in super::super) static ROUTE_TABLE: IdKind =
    kind("rtb", "route-table", "routeTable ID", "InvalidRouteTableID");
pub(in super::super) static ASSOCIATION: IdKind =
    kind("rtbassoc", "route-table-association", "association ID", "InvalidAssociationID");
pub(in super::super) static CIDR_ASSOCIATION: IdKind = kind(
    "vpc-cidr-assoc",
    "vpc-cidr-association",
    "vpc CIDR block with association ID",
    "InvalidVpcCidrBlockAssociationID",
);
pub(in super::super) static GROUP: IdKind = kind("sg", "security-group", "security group", "InvalidGroup");
pub(in super::super) static RULE: IdKind =
    kind("sgr", "security-group-rule", "security group rule ID", "InvalidSecurityGroupRuleId");
pub(in super::super) static INTERFACE: IdKind =
    kind("eni", "network-interface", "networkInterface ID", "InvalidNetworkInterfaceID");
pub(in super::super) static ATTACHMENT: IdKind =
    kind("eni-attach", "network-interface-attachment", "attachment ID", "InvalidAttachmentID");
pub(in super::super) static KEY_PAIR: IdKind = kind("key", "key-pair", "key pair ID", "InvalidKeyPair");
pub(in super::super) static VOLUME: IdKind = kind("vol", "volume", "volume", "InvalidVolume");
pub(in super::super) static SPOT_REQUEST: IdKind =
    kind("sir", "spot-instances-request", "spot instance request ID", "InvalidSpotInstanceRequestID");

pub(in super::super) static LAUNCH_TEMPLATE: IdKind =
    kind("lt", "launch-template", "launch template ID", "InvalidLaunchTemplateId");
pub(in super::super) static FLEET: IdKind = kind("fleet", "fleet", "fleet ID", "InvalidFleetId");
pub(in super::super) static PLACEMENT_GROUP: IdKind =
    kind("pg", "placement-group", "placement group ID", "InvalidPlacementGroupId");
pub(in super::super) static ADDRESS: IdKind =
    kind("eipalloc", "elastic-ip", "allocation ID", "InvalidAllocationID");
pub(in super::super) static ADDRESS_ASSOCIATION: IdKind =
    kind("eipassoc", "elastic-ip-association", "association ID", "InvalidAssociationID");
pub(in super::super) static EGRESS_GATEWAY: IdKind = kind(
    "eigw",
    "egress-only-internet-gateway",
    "egressOnlyInternetGateway ID",
    "InvalidEgressOnlyInternetGatewayId",
);
pub(in super::super) static SUBNET_CIDR_ASSOCIATION: IdKind = kind(
    "subnet-cidr-assoc",
    "subnet-cidr-association",
    "subnet CIDR block with association ID",
    "InvalidSubnetCidrBlockAssociationID",
);

/// The kinds that can carry tags.
pub(in super::super) static TAGGABLE: &[&IdKind] = &[
    &INSTANCE,
    &VPC,
    &SUBNET,
    &GATEWAY,
    &ROUTE_TABLE,
    &GROUP,
    &RULE,
    &INTERFACE,
    &KEY_PAIR,
    &VOLUME,
    &SPOT_REQUEST,
    &LAUNCH_TEMPLATE,
    &FLEET,
    &PLACEMENT_GROUP,
    &ADDRESS,
    &EGRESS_GATEWAY,
];

impl IdKind {
    /// A new id.
    pub fn draw(&self, chance: &Chance) -> String {
        if self.prefix == SPOT_REQUEST.prefix {
            let letters = b"abcdefghijkmnpqrstuvwxyz0123456789";
            let tail: String = (0..8)
                .filter_map(|_| letters.get(chance.below(letters.len() as u64) as usize))
                .map(|letter| char::from(*letter))
                .collect();
            return format!("{}-{tail}", self.prefix);
        }
        if self.prefix == FLEET.prefix {
            return format!("{}-{}", self.prefix, uuid(chance.wide()));
        }
        format!("{}-0{:016x}", self.prefix, chance.next())
    }

    /// Refuses what cannot be an id of this kind at all.
    pub fn check(&self, id: &str) -> Result<(), Fault> {
        let tail = id.strip_prefix(self.prefix).and_then(|rest| rest.strip_prefix('-'));
        let hexadecimal = |tail: &str| {
            matches!(tail.len(), 8 | 17)
                && tail.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        let lettered = |tail: &str| tail.len() == 8 && tail.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let universal = |tail: &str| {
            tail.len() == 36 && tail.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
        };
        let fits = match tail {
            Some(tail) if self.prefix == FLEET.prefix => universal(tail),
            Some(tail) if self.prefix == SPOT_REQUEST.prefix => lettered(tail),
            Some(tail) => hexadecimal(tail),
            None => false,
        };
        if fits {
            return Ok(());
        }
        let code = match self.prefix {
            "sg" => "InvalidGroupId.Malformed".to_owned(),
            "vol" => "InvalidVolumeID.Malformed".to_owned(),
            _ => format!("{}.Malformed", self.code),
        };
        let message = format!("Invalid id: \"{id}\" (expecting \"{}-...\")", self.prefix);
        Err(Fault::new(code, message))
    }

    /// These ids are well formed and name nothing.
    pub fn missing(&self, ids: &[&str]) -> Fault {
        let code = format!("{}.NotFound", self.code);
        let list = ids.join(", ");
        let list = if self.prefix == IMAGE.prefix { format!("[{list}]") } else { list };
        match ids {
            [id] if self.prefix == LAUNCH_TEMPLATE.prefix => Fault::new(
                code,
                format!("The specified launch template, with template ID {id}, does not exist."),
            ),
            // This sentence alone ends as sentences do.
            [id] if self.prefix == VOLUME.prefix => {
                Fault::new(code, format!("The volume '{id}' does not exist."))
            }
            [_] => Fault::new(code, format!("The {} '{list}' does not exist", self.noun)),
            _ => Fault::new(code, format!("The {}s '{list}' do not exist", self.noun)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_ids_are_well_formed() {
        for kind in TAGGABLE {
            let id = kind.draw(&Chance::default());
            assert!(kind.check(&id).is_ok(), "{id}");
        }
    }

    #[test]
    fn wrong_ids_are_told_apart_from_unknown_ones() {
        assert_eq!(INSTANCE.check("i-xyz").unwrap_err().code, "InvalidInstanceID.Malformed");
        assert_eq!(INSTANCE.check("vpc-0123456789abcdef0").unwrap_err().code, "InvalidInstanceID.Malformed");
        assert_eq!(GROUP.check("web").unwrap_err().code, "InvalidGroupId.Malformed");
        let fault = INSTANCE.missing(&["i-1", "i-2"]);
        assert_eq!(fault.code, "InvalidInstanceID.NotFound");
        assert_eq!(fault.message, "The instance IDs 'i-1, i-2' do not exist");
    }
}
