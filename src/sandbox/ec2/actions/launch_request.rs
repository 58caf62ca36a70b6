//! What `RunInstances` asks for, read and checked as far as that goes without the cloud.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::block_devices::{Device, devices};
use crate::sandbox::ec2::Lifecycle;
use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::images::{self, Image};
use crate::sandbox::ec2::model::ACCOUNT;
use crate::sandbox::ec2::model::id;
use crate::sandbox::ec2::model::instance::LaunchOptions;
use crate::sandbox::ec2::model::region::Tags;
use crate::sandbox::ec2::request::Params;
use crate::sandbox::ec2::tags;
use crate::sandbox::ec2::types::{self, InstanceType};

/// The parameters of `RunInstances` alone.
pub(super) const RUN: &[&str] = &[
    "*MinCount",
    "*MaxCount",
    "ClientToken",
    "LaunchTemplate.LaunchTemplateId",
    "LaunchTemplate.LaunchTemplateName",
    "LaunchTemplate.Version",
    "Ipv6AddressCount",
    "Ipv6Address.N.Ipv6Address",
];

/// The parameters that launches and launch templates share.
pub(super) const INSTANCE: &[&str] = &[
    "ImageId",
    "InstanceType",
    "KeyName",
    "SubnetId",
    "SecurityGroupId.N",
    "SecurityGroup.N",
    "UserData",
    "CapacityReservationSpecification.CapacityReservationPreference",
    "DisableApiTermination",
    "EbsOptimized",
    "Monitoring.Enabled",
    "Placement.AvailabilityZone",
    "Placement.AvailabilityZoneId",
    "Placement.GroupName",
    "Placement.Tenancy",
    "IamInstanceProfile.Arn",
    "IamInstanceProfile.Name",
    "InstanceInitiatedShutdownBehavior",
    "CreditSpecification.CpuCredits",
    "MetadataOptions.HttpTokens",
    "MetadataOptions.HttpEndpoint",
    "MetadataOptions.HttpPutResponseHopLimit",
    "MetadataOptions.HttpProtocolIpv6",
    "MetadataOptions.InstanceMetadataTags",
    "InstanceMarketOptions.MarketType",
    "InstanceMarketOptions.SpotOptions.MaxPrice",
    "InstanceMarketOptions.SpotOptions.SpotInstanceType",
    "InstanceMarketOptions.SpotOptions.InstanceInterruptionBehavior",
    "BlockDeviceMapping.N.DeviceName",
    "BlockDeviceMapping.N.NoDevice",
    "BlockDeviceMapping.N.Ebs.DeleteOnTermination",
    "BlockDeviceMapping.N.Ebs.Encrypted",
    "BlockDeviceMapping.N.Ebs.Iops",
    "BlockDeviceMapping.N.Ebs.KmsKeyId",
    "BlockDeviceMapping.N.Ebs.SnapshotId",
    "BlockDeviceMapping.N.Ebs.Throughput",
    "BlockDeviceMapping.N.Ebs.VolumeSize",
    "BlockDeviceMapping.N.Ebs.VolumeType",
    "NetworkInterface.N.DeviceIndex",
    "NetworkInterface.N.AssociatePublicIpAddress",
    "NetworkInterface.N.DeleteOnTermination",
    "NetworkInterface.N.Description",
    "NetworkInterface.N.Ipv6AddressCount",
    "NetworkInterface.N.Ipv6Addresses.N.Ipv6Address",
    "NetworkInterface.N.SecurityGroupId.N",
    "NetworkInterface.N.SubnetId",
];

/// What the tags of a launch can be for.
pub(super) const TAGGED: &[&str] = &["instance", "volume", "network-interface", "spot-instances-request"];

/// User data may have so many bytes before base64.
const MOST_USER_DATA: usize = 16_384;

/// A launch, as asked for.
pub(super) struct LaunchRequest {
    pub image: Image,
    pub kind: &'static InstanceType,
    pub least: u32,
    pub most: u32,
    pub key_name: Option<String>,
    pub network: Network,
    /// Base64.
    pub user_data: Option<String>,
    pub spot: Option<Spot>,
    pub devices: Vec<Device>,
    pub options: LaunchOptions,
    pub tags: BTreeMap<String, Tags>,
}

/// Where the instances shall be.
#[derive(Default)]
pub(super) struct Network {
    pub subnet: Option<String>,
    pub groups: Vec<String>,
    pub group_names: Vec<String>,
    pub zone: Option<String>,
    pub zone_id: Option<String>,
    /// Whether they get a public address; otherwise the subnet decides.
    pub public: Option<bool>,
    pub description: String,
    pub ipv6: Ipv6,
}

/// The IPv6 addresses of an instance.
#[derive(Default)]
pub(super) struct Ipv6 {
    /// How many; otherwise the subnet decides.
    pub count: Option<u32>,
    /// Just these.
    pub addresses: Vec<Ipv6Addr>,
}

/// What is asked for of the spot market.
pub(super) struct Spot {
    /// The most to be paid in US dollars per hour, if less than on-demand.
    pub max_price: Option<String>,
}

impl LaunchRequest {
    /// How the instances are to be paid for.
    pub fn lifecycle(&self) -> Lifecycle {
        if self.spot.is_some() { Lifecycle::Spot } else { Lifecycle::OnDemand }
    }

    /// Reads the parameters of a request in a region.
    pub fn parse(params: &Params, region: &str) -> Result<Self, Fault> {
        let (least, most) = counts(params)?;
        let image_id = params.required("ImageId")?;
        id::IMAGE.check(image_id)?;
        let image = images::find(region, image_id).ok_or_else(|| id::IMAGE.missing(&[image_id]))?;
        let kind = instance_type(params.text("InstanceType").unwrap_or("m5.large"), &image)?;
        Ok(LaunchRequest {
            kind,
            least,
            most,
            key_name: params.text("KeyName").map(str::to_owned),
            network: network(params)?,
            user_data: user_data(params)?,
            spot: spot(params)?,
            devices: devices(params, &image)?,
            options: options(params)?,
            tags: tags::specifications(params, TAGGED)?,
            image,
        })
    }
}

fn counts(params: &Params) -> Result<(u32, u32), Fault> {
    let number = |name| -> Result<u32, Fault> { params.integer(name)?.ok_or_else(|| Fault::missing(name)) };
    let (least, most) = (number("MinCount")?, number("MaxCount")?);
    if least == 0 {
        return Err(Fault::value_of("minCount", "0", "Expecting a value of at least 1."));
    }
    if most < least {
        let why = format!("It must not be less than minCount ({least}).");
        return Err(Fault::value_of("maxCount", &most.to_string(), &why));
    }
    if most > 1000 {
        let message =
            format!("You have requested more instances ({most}) than your current instance limit of 1000");
        return Err(Fault::new("InstanceLimitExceeded", message));
    }
    Ok((least, most))
}

fn instance_type(name: &str, image: &Image) -> Result<&'static InstanceType, Fault> {
    let kind =
        types::find(name).ok_or_else(|| Fault::value(format!("Invalid value '{name}' for InstanceType.")))?;
    let architecture = kind.family.architecture;
    if architecture != image.architecture {
        return Err(Fault::value(format!(
            "The architecture '{architecture}' of the specified instance type does not match the \
             architecture '{}' of the specified AMI. Specify an instance type and an AMI that have \
             matching architectures, and try again. You can use 'describe-instance-types' or \
             'describe-images' to discover the architecture of the instance type or AMI.",
            image.architecture
        )));
    }
    Ok(kind)
}

fn network(params: &Params) -> Result<Network, Fault> {
    let owned = |list: Vec<&str>| list.into_iter().map(str::to_owned).collect::<Vec<String>>();
    let placement = params.group("Placement");
    let zone = placement.and_then(|placement| placement.text("AvailabilityZone")).map(str::to_owned);
    let zone_id = placement.and_then(|placement| placement.text("AvailabilityZoneId")).map(str::to_owned);
    if let Some(tenancy) = placement.and_then(|placement| placement.text("Tenancy"))
        && tenancy != "default"
    {
        return Err(Fault::unsupported(format!("the sandbox has no {tenancy} tenancy")));
    }
    let mut network = Network {
        subnet: params.text("SubnetId").map(str::to_owned),
        groups: owned(params.list("SecurityGroupId")),
        group_names: owned(params.list("SecurityGroup")),
        zone,
        zone_id,
        ..Network::default()
    };
    match params.members("NetworkInterface").as_slice() {
        [] => network.ipv6 = ipv6(params, "Ipv6Address")?,
        [interface] => read_interface(&mut network, interface)?,
        _ => return Err(Fault::unsupported("the sandbox gives an instance one network interface")),
    }
    Ok(network)
}

fn read_interface(network: &mut Network, interface: &Params) -> Result<(), Fault> {
    if network.subnet.is_some() {
        let message =
            "Network interfaces and an instance-level subnet ID may not be specified on the same request";
        return Err(Fault::combination(message));
    }
    if !network.groups.is_empty() || !network.group_names.is_empty() {
        let message = "Network interfaces and an instance-level security groups may not be specified on \
        the same request";
        return Err(Fault::combination(message));
    }
    match interface.integer::<u32>("DeviceIndex")? {
        Some(0) => {}
        Some(other) => {
            return Err(Fault::value_of(
                "deviceIndex",
                &other.to_string(),
                "The first interface has index 0.",
            ));
        }
        None => return Err(Fault::missing("NetworkInterface.1.DeviceIndex")),
    }
    network.subnet = interface.text("SubnetId").map(str::to_owned);
    network.groups = interface.list("SecurityGroupId").into_iter().map(str::to_owned).collect();
    network.public = interface.flag("AssociatePublicIpAddress")?;
    network.description = interface.text("Description").unwrap_or_default().to_owned();
    network.ipv6 = ipv6(interface, "Ipv6Addresses")?;
    Ok(())
}

fn ipv6(params: &Params, list: &str) -> Result<Ipv6, Fault> {
    let count = params.integer("Ipv6AddressCount")?;
    let mut addresses = Vec::new();
    for member in params.members(list) {
        let text = member.required("Ipv6Address")?;
        let address = text.parse().map_err(|_| Fault::value(format!("Invalid IPv6 address {text}")))?;
        addresses.push(address);
    }
    if count.is_some() && !addresses.is_empty() {
        return Err(Fault::combination(
            "The parameters Ipv6AddressCount and Ipv6Addresses cannot be used together",
        ));
    }
    Ok(Ipv6 { count, addresses })
}

fn user_data(params: &Params) -> Result<Option<String>, Fault> {
    let Some(text) = params.text("UserData") else { return Ok(None) };
    // Tools break base64 into lines.
    let text: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let bytes = STANDARD
        .decode(&text)
        .map_err(|_| Fault::new("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data."))?;
    if bytes.len() > MOST_USER_DATA {
        return Err(Fault::value(format!("User data is limited to {MOST_USER_DATA} bytes")));
    }
    Ok(Some(text))
}

fn spot(params: &Params) -> Result<Option<Spot>, Fault> {
    let Some(market) = params.group("InstanceMarketOptions") else { return Ok(None) };
    let options = market.group("SpotOptions");
    match market.text("MarketType") {
        Some("spot") => {}
        None if options.is_some() => {}
        None => return Err(Fault::missing("InstanceMarketOptions.MarketType")),
        Some(other) => return Err(Fault::value(format!("Invalid value '{other}' for MarketType."))),
    }
    let text = |name| options.and_then(|options| options.text(name));
    match text("SpotInstanceType") {
        None | Some("one-time") => {}
        Some("persistent") => return Err(Fault::unsupported("the sandbox has one-time Spot requests only")),
        Some(other) => return Err(Fault::value(format!("Invalid value '{other}' for SpotInstanceType."))),
    }
    match text("InstanceInterruptionBehavior") {
        None | Some("terminate") => {}
        Some(behavior @ ("stop" | "hibernate")) => {
            return Err(Fault::combination(format!(
                "Instance interruption behavior '{behavior}' requires a persistent Spot request"
            )));
        }
        Some(other) => {
            return Err(Fault::value(format!("Invalid value '{other}' for InstanceInterruptionBehavior.")));
        }
    }
    let max_price = text("MaxPrice").map(str::to_owned);
    if let Some(price) = &max_price
        && !price.parse::<f64>().is_ok_and(|price| price.is_finite() && price > 0.0)
    {
        return Err(Fault::value_of("spotPrice", price, "Expecting a positive number."));
    }
    Ok(Some(Spot { max_price }))
}

fn options(params: &Params) -> Result<LaunchOptions, Fault> {
    let monitoring = params.group("Monitoring").map(|group| group.flag("Enabled")).transpose()?.flatten();
    one_of(
        params.text("InstanceInitiatedShutdownBehavior"),
        "InstanceInitiatedShutdownBehavior",
        &["stop", "terminate"],
    )?;
    let below =
        |group: &str, name: &str| params.group(group).and_then(|group| group.text(name)).map(str::to_owned);
    one_of(below("CreditSpecification", "CpuCredits").as_deref(), "CpuCredits", &["standard", "unlimited"])?;
    let preference = below("CapacityReservationSpecification", "CapacityReservationPreference");
    one_of(
        preference.as_deref(),
        "CapacityReservationPreference",
        &["none", "open", "capacity-reservations-only"],
    )?;
    let mut options = LaunchOptions {
        ebs_optimized: params.flag("EbsOptimized")?.unwrap_or(false),
        monitoring: monitoring.unwrap_or(false),
        profile: profile(params)?,
        capacity_reservation: preference,
        placement_group: below("Placement", "GroupName"),
        protected: params.flag("DisableApiTermination")?.unwrap_or(false),
        ends_at_shutdown: params.text("InstanceInitiatedShutdownBehavior") == Some("terminate"),
        ..LaunchOptions::default()
    };
    if let Some(metadata) = params.group("MetadataOptions") {
        metadata_options(metadata, &mut options)?;
    }
    Ok(options)
}

/// The parameters of `MetadataOptions`; what is not among them stays as it is.
pub(super) fn metadata_options(metadata: &Params, options: &mut LaunchOptions) -> Result<(), Fault> {
    let word = |name: &str, allowed: &[&str]| -> Result<Option<String>, Fault> {
        let text = metadata.text(name);
        one_of(text, name, allowed)?;
        Ok(text.map(str::to_owned))
    };
    let hop_limit: Option<u32> = metadata.integer("HttpPutResponseHopLimit")?;
    if let Some(limit) = hop_limit
        && !(1..=64).contains(&limit)
    {
        return Err(Fault::value_of("HttpPutResponseHopLimit", &limit.to_string(), "Expecting 1 to 64."));
    }
    let tokens = word("HttpTokens", &["required", "optional"])?;
    let endpoint = word("HttpEndpoint", &["enabled", "disabled"])?;
    let tags = word("InstanceMetadataTags", &["enabled", "disabled"])?;
    word("HttpProtocolIpv6", &["enabled", "disabled"])?;
    options.http_tokens = tokens.or(options.http_tokens.take());
    options.http_endpoint = endpoint.or(options.http_endpoint.take());
    options.metadata_tags = tags.or(options.metadata_tags.take());
    options.hop_limit = hop_limit.or(options.hop_limit);
    Ok(())
}

fn one_of(word: Option<&str>, parameter: &str, allowed: &[&str]) -> Result<(), Fault> {
    match word {
        Some(word) if !allowed.contains(&word) => {
            Err(Fault::value(format!("Invalid value '{word}' for {parameter}.")))
        }
        _ => Ok(()),
    }
}

/// The ARN of the instance profile.
fn profile(params: &Params) -> Result<Option<String>, Fault> {
    let Some(profile) = params.group("IamInstanceProfile") else { return Ok(None) };
    match (profile.text("Arn"), profile.text("Name")) {
        (Some(_), Some(_)) => Err(Fault::combination(
            "The parameter 'iamInstanceProfile.name' may not be used in combination with \
             'iamInstanceProfile.arn'",
        )),
        (Some(arn), None) => {
            let name = arn
                .strip_prefix("arn:aws:iam::")
                .and_then(|rest| rest.split_once(":instance-profile/"))
                .filter(|(account, _)| account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()));
            if !name.is_some_and(|(_, path)| path.rsplit('/').next().is_some_and(is_profile_name)) {
                let why = "Invalid IAM Instance Profile ARN";
                return Err(Fault::value_of("iamInstanceProfile.arn", arn, why));
            }
            Ok(Some(arn.to_owned()))
        }
        (None, Some(name)) if is_profile_name(name) => {
            Ok(Some(format!("arn:aws:iam::{ACCOUNT}:instance-profile/{name}")))
        }
        (None, Some(name)) => {
            Err(Fault::value_of("iamInstanceProfile.name", name, "Invalid IAM Instance Profile name"))
        }
        (None, None) => Ok(None),
    }
}

fn is_profile_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    (1..=128).contains(&name.len()) && name.chars().all(allowed)
}
