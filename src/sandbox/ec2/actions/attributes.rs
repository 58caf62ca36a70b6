//! What can be changed of an instance: ModifyInstanceAttribute, ModifyInstanceMetadataOptions; and
//! DescribeInstanceAttribute, DescribeAccountAttributes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::instances::{write_group_set, write_metadata_options};
use super::launch_request::metadata_options;
use super::{Call, done};
use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::model::id;
use crate::sandbox::ec2::model::instance::State;
use crate::sandbox::ec2::model::region::{find, find_mut};
use crate::sandbox::ec2::quotas;
use crate::sandbox::ec2::router::{Answer, Operation};
use crate::sandbox::ec2::types;
use crate::sandbox::ec2::xml::Xml;

/// The attributes, as the parameters name them.
const ATTRIBUTES: &[&str] = &["DisableApiTermination", "EbsOptimized", "GroupId", "InstanceType", "UserData"];

pub(in super::super) const OPERATIONS: &[Operation] = &[
    Operation::write(
        "ModifyInstanceAttribute",
        modify,
        &[&[
            "*InstanceId",
            "DisableApiTermination.Value",
            "EbsOptimized.Value",
            "GroupId.N",
            "InstanceType.Value",
            "UserData.Value",
        ]],
    ),
    Operation::read("DescribeInstanceAttribute", describe, &[&["*InstanceId", "*Attribute"]]),
    Operation::write(
        "ModifyInstanceMetadataOptions",
        modify_metadata,
        &[&[
            "*InstanceId",
            "HttpTokens",
            "HttpPutResponseHopLimit",
            "HttpEndpoint",
            "HttpProtocolIpv6",
            "InstanceMetadataTags",
        ]],
    ),
    Operation::read("DescribeAccountAttributes", account, &[&["AttributeName.N"]]),
];

fn modify(call: &mut Call<'_>) -> Answer {
    let id = call.params.required("InstanceId")?;
    let given: Vec<&str> = ATTRIBUTES.iter().copied().filter(|name| call.params.has(name)).collect();
    let [attribute] = given.as_slice() else {
        let message = match given.is_empty() {
            true => "No attributes specified.",
            false => "Fields for multiple attribute types specified",
        };
        return Err(Fault::combination(message));
    };
    let mut instance = find(&call.region.instances, &id::INSTANCE, id)?.clone();
    let stopped = || match instance.state {
        State::Stopped => Ok(()),
        _ => {
            let message = format!("The instance '{id}' is not in the 'stopped' state.");
            Err(Fault::new("IncorrectInstanceState", message))
        }
    };
    let group = call.params.group(attribute);
    let value = || group.ok_or_else(|| Fault::missing(attribute)).and_then(|group| group.required("Value"));
    let flag =
        || Ok::<bool, Fault>(group.map(|group| group.flag("Value")).transpose()?.flatten().unwrap_or(false));
    match *attribute {
        "DisableApiTermination" => {
            let protect = flag()?;
            if protect && instance.spot_request.is_some() {
                let message =
                    format!("The attribute disableApiTermination cannot be set for spot instance {id}.");
                return Err(Fault::unsupported(message));
            }
            instance.options.protected = protect;
        }
        "EbsOptimized" => {
            stopped()?;
            instance.options.ebs_optimized = flag()?;
        }
        "InstanceType" => {
            stopped()?;
            let name = value()?;
            let kind = types::find(name);
            let kind =
                kind.ok_or_else(|| Fault::value(format!("Invalid value '{name}' for InstanceType.")))?;
            if kind.family.architecture != instance.architecture {
                let message = format!("The architecture of {name} does not match that of the instance.");
                return Err(Fault::value(message));
            }
            instance.kind = kind.name.to_owned();
        }
        "UserData" => {
            stopped()?;
            let text = value()?;
            STANDARD.decode(text).map_err(|_| {
                Fault::new("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data.")
            })?;
            instance.user_data = Some(text.to_owned());
        }
        _ => {
            let groups = call.params.list("GroupId");
            for group in &groups {
                if find(&call.region.groups, &id::GROUP, group)?.vpc != instance.vpc {
                    let message = format!(
                        "You have specified two resources that belong to different networks: {group}"
                    );
                    return Err(Fault::new("InvalidGroup.NotFound", message));
                }
            }
            instance.groups = groups.into_iter().map(str::to_owned).collect();
        }
    }
    call.region.instances.insert(id.to_owned(), instance);
    done()
}

fn describe(call: &mut Call<'_>) -> Answer {
    let instance = find(&call.region.instances, &id::INSTANCE, call.params.required("InstanceId")?)?;
    let mut xml = Xml::new();
    xml.text("instanceId", &instance.id);
    let attribute = call.params.required("Attribute")?;
    let value = match attribute {
        "disableApiTermination" => instance.options.protected.to_string(),
        "ebsOptimized" => instance.options.ebs_optimized.to_string(),
        "instanceType" => instance.kind.clone(),
        "rootDeviceName" => instance.root_device.clone(),
        "userData" => instance.user_data.clone().unwrap_or_default(),
        "groupSet" => {
            write_group_set(&mut xml, &instance.groups, call.region);
            return Ok(xml);
        }
        other => return Err(Fault::value_of("attribute", other, "Unknown attribute.")),
    };
    xml.element(attribute, |xml| {
        if !value.is_empty() {
            xml.text("value", value);
        }
    });
    Ok(xml)
}

fn modify_metadata(call: &mut Call<'_>) -> Answer {
    let id = call.params.required("InstanceId")?;
    let instance = find_mut(&mut call.region.instances, &id::INSTANCE, id)?;
    if instance.state.ended() {
        let message = format!("The instance '{id}' is not in a valid state for this operation.");
        return Err(Fault::new("IncorrectInstanceState", message));
    }
    metadata_options(call.params, &mut instance.options)?;
    let mut xml = Xml::new();
    xml.text("instanceId", id);
    write_metadata_options(&mut xml, "instanceMetadataOptions", "pending", &instance.options);
    Ok(xml)
}

fn account(call: &mut Call<'_>) -> Answer {
    let addresses = quotas::value(call.faults, call.place.name, quotas::ADDRESSES).to_string();
    let vpc = call.region.default_vpc().map_or("none", |vpc| vpc.id.as_str());
    let all = [
        ("supported-platforms", "VPC"),
        ("default-vpc", vpc),
        ("max-instances", "20"),
        ("vpc-max-security-groups-per-interface", "5"),
        ("max-elastic-ips", &addresses),
        ("vpc-max-elastic-ips", &addresses),
    ];
    let wanted = call.params.list("AttributeName");
    if let Some(unknown) = wanted.iter().find(|name| all.iter().all(|(known, _)| known != *name)) {
        return Err(Fault::value_of("attributeName", unknown, "Unknown attribute."));
    }
    let kept = all.into_iter().filter(|(name, _)| wanted.is_empty() || wanted.contains(name));
    let mut xml = Xml::new();
    xml.set("accountAttributeSet", kept, |xml, (name, value)| {
        xml.text("attributeName", name);
        xml.set("attributeValueSet", [value], |xml, value| {
            xml.text("attributeValue", value);
        });
    });
    Ok(xml)
}
