//! DescribeInstances, TerminateInstances, and how an instance is written.

use super::interfaces::write_association;
use super::{Call, Effect, chosen};
use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::filter::{Field, Filters, one};
use crate::sandbox::ec2::model::instance::{Ending, Instance, State};
use crate::sandbox::ec2::model::region::Region;
use crate::sandbox::ec2::model::volume::{Attached, Volume};
use crate::sandbox::ec2::model::{ACCOUNT, id};
use crate::sandbox::ec2::moment::Moment;
use crate::sandbox::ec2::router::{Answer, FILTER, Operation, PAGE};
use crate::sandbox::ec2::tags;
use crate::sandbox::ec2::types;
use crate::sandbox::ec2::xml::Xml;

pub(in super::super) const OPERATIONS: &[Operation] = &[
    Operation::read("DescribeInstances", describe, &[&["InstanceId.N"], FILTER, PAGE]),
    Operation::write("TerminateInstances", terminate, &[&["InstanceId.N", "Force", "SkipOsShutdown"]]),
];

const FIELDS: &[Field<Instance>] = &[
    ("instance-id", |instance, _| one(&instance.id)),
    ("instance-state-name", |instance, _| one(instance.state.name())),
    ("instance-state-code", |instance, _| one(instance.state.code())),
    ("instance-type", |instance, _| one(&instance.kind)),
    ("instance-lifecycle", |instance, _| instance.spot_request.iter().map(|_| "spot".to_owned()).collect()),
    ("spot-instance-request-id", |instance, _| instance.spot_request.iter().cloned().collect()),
    ("architecture", |instance, _| one(&instance.architecture)),
    ("availability-zone", |instance, _| one(&instance.zone)),
    ("availability-zone-id", |instance, _| one(&instance.zone_id)),
    ("block-device-mapping.volume-id", volumes),
    ("client-token", |instance, _| instance.client_token.iter().cloned().collect()),
    ("hypervisor", |_, _| one("xen")),
    ("image-id", |instance, _| one(&instance.image)),
    ("instance.group-id", |instance, _| groups(instance)),
    ("instance.group-name", group_names),
    ("ip-address", |instance, _| instance.public_ip().iter().map(ToString::to_string).collect()),
    ("key-name", |instance, _| instance.key_name.iter().cloned().collect()),
    ("launch-index", |instance, _| one(instance.launch_index)),
    ("launch-time", |instance, _| one(instance.launched)),
    ("network-interface.addresses.association.public-ip", |instance, _| {
        instance.public_ip().iter().map(ToString::to_string).collect()
    }),
    ("network-interface.group-id", |instance, _| groups(instance)),
    ("network-interface.network-interface-id", |instance, _| attached(instance, &instance.interface.id)),
    ("network-interface.subnet-id", |instance, _| attached(instance, &instance.subnet)),
    ("network-interface.vpc-id", |instance, _| attached(instance, &instance.vpc)),
    ("owner-id", |_, _| one(ACCOUNT)),
    ("private-ip-address", |instance, _| attached(instance, &instance.private_ip.to_string())),
    ("reservation-id", |instance, _| one(&instance.reservation)),
    ("root-device-name", |instance, _| one(&instance.root_device)),
    ("root-device-type", |_, _| one("ebs")),
    ("state-reason-code", |instance, _| instance.ending.iter().map(|ending| ending.code.clone()).collect()),
    ("subnet-id", |instance, _| attached(instance, &instance.subnet)),
    ("tenancy", |_, _| one("default")),
    ("virtualization-type", |_, _| one("hvm")),
    ("vpc-id", |instance, _| attached(instance, &instance.vpc)),
];

/// The code of an end that the owner asked for.
pub(super) const BY_USER: &str = "Client.UserInitiatedShutdown";

/// What belongs to the network interface, and goes with it.
fn attached(instance: &Instance, value: &str) -> Vec<String> {
    if instance.attached() { one(value) } else { Vec::new() }
}

fn groups(instance: &Instance) -> Vec<String> {
    if instance.attached() { instance.groups.clone() } else { Vec::new() }
}

fn group_names(instance: &Instance, region: &Region) -> Vec<String> {
    groups(instance).iter().filter_map(|id| region.groups.get(id)).map(|group| group.name.clone()).collect()
}

fn volumes(instance: &Instance, region: &Region) -> Vec<String> {
    devices(instance, region).map(|(volume, _)| volume.id.clone()).collect()
}

/// The volumes of an instance that are still attached to it.
fn devices<'a>(
    instance: &'a Instance,
    region: &'a Region,
) -> impl Iterator<Item = (&'a Volume, &'a Attached)> {
    let volumes = instance.volumes.iter().filter_map(|id| region.volumes.get(id));
    volumes.filter_map(|volume| Some((volume, volume.attachment.as_ref()?)))
}

/// The instances of `InstanceId.N`, or all.
pub(super) fn by_ids<'a>(call: &'a Call<'_>) -> Result<Vec<&'a Instance>, Fault> {
    let found = chosen(&call.region.instances, &id::INSTANCE, &call.params.list("InstanceId"))?;
    Ok(found.into_iter().map(|(_, instance)| instance).collect())
}

fn describe(call: &mut Call<'_>) -> Answer {
    let filters = Filters::parse(call.params, FIELDS)?;
    let page = call.page("InstanceId")?;
    let mut kept = by_ids(call)?;
    kept.retain(|instance| filters.accept(instance, call.region, call.region.tags.get(&instance.id)));
    // By reservation, so that what was launched together is told together.
    let key = |instance: &&Instance| format!("{}/{:08}", instance.reservation, instance.launch_index);
    let (instances, next) = page.cut(kept, key);
    let mut xml = Xml::new();
    let reservations = instances.chunk_by(|one, other| one.reservation == other.reservation);
    xml.set("reservationSet", reservations, |xml, instances| write_reservation(xml, instances, call.region));
    xml.optional("nextToken", next);
    Ok(xml)
}

/// Instances that were launched together.
pub(super) fn write_reservation(xml: &mut Xml, instances: &[&Instance], region: &Region) {
    let id = instances.first().map(|instance| &instance.reservation);
    xml.optional("reservationId", id).text("ownerId", ACCOUNT).element("groupSet", |_| {});
    xml.set("instancesSet", instances, |xml, instance| write(xml, instance, region));
}

fn terminate(call: &mut Call<'_>) -> Answer {
    if !call.params.has("InstanceId") {
        return Err(Fault::combination("No instances specified"));
    }
    let ids: Vec<String> = by_ids(call)?.into_iter().map(|instance| instance.id.clone()).collect();
    let mut xml = Xml::new();
    xml.set("instancesSet", ids, |xml, id| {
        let Some(before) = finish(call, &id, BY_USER, "User initiated shutdown") else {
            return;
        };
        let after = call.region.instances.get(&id).map_or(before, |instance| instance.state);
        xml.text("instanceId", &id);
        write_state(xml, "currentState", after);
        write_state(xml, "previousState", before);
    });
    Ok(xml)
}

/// Begins the end of an instance, as its owner wants it; the state it had before, if it exists.
pub(super) fn finish(call: &mut Call<'_>, id: &str, code: &str, message: &str) -> Option<State> {
    let now = call.now;
    let instance = call.region.instances.get_mut(id)?;
    let before = instance.state;
    if !before.ended() {
        end(instance, now, code, message);
        if let Some(request) = &instance.spot_request
            && let Some(request) = call.region.spot_requests.get_mut(request)
            && request.state == "active"
        {
            let message = "Your Spot Instance was terminated by the user.";
            request.turn("closed", "instance-terminated-by-user", message, now);
        }
    }
    // Again for one that has ended, if its machine could not be removed the first time.
    if instance.ending.as_ref().is_some_and(|ending| !ending.removed) {
        call.effects.push(Effect::Remove(id.to_owned()));
    }
    Some(before)
}

/// Begins the end of an instance.
pub(in super::super) fn end(instance: &mut Instance, now: Moment, code: &str, message: &str) {
    instance.state = State::ShuttingDown;
    instance.ending = Some(Ending {
        at: now,
        code: code.to_owned(),
        message: format!("{code}: {message}"),
        removed: false,
    });
}

/// Number and name of a state.
pub(super) fn write_state(xml: &mut Xml, name: &str, state: State) {
    xml.element(name, |xml| {
        xml.text("code", state.code()).text("name", state.name());
    });
}

/// `<groupSet>` of ids.
pub(super) fn write_group_set(xml: &mut Xml, groups: &[String], region: &Region) {
    xml.set("groupSet", groups, |xml, id| {
        xml.text("groupId", id).optional("groupName", region.groups.get(id).map(|group| &group.name));
    });
}

fn private_dns(instance: &Instance) -> String {
    let region = instance.zone.trim_end_matches(|letter: char| letter.is_ascii_lowercase());
    let domain = if region == "us-east-1" { "ec2".to_owned() } else { format!("{region}.compute") };
    format!("ip-{}.{domain}.internal", instance.private_ip.to_string().replace('.', "-"))
}

fn write(xml: &mut Xml, instance: &Instance, region: &Region) {
    let here = instance.attached();
    xml.text("instanceId", &instance.id).text("imageId", &instance.image);
    write_state(xml, "instanceState", instance.state);
    xml.text("privateDnsName", if here { private_dns(instance) } else { String::new() });
    // A public name would not resolve to the loopback address, so there is none.
    xml.element("dnsName", |_| {});
    xml.optional("keyName", instance.key_name.as_ref()).text("amiLaunchIndex", instance.launch_index);
    xml.element("productCodes", |_| {}).text("instanceType", &instance.kind);
    xml.time("launchTime", instance.launched);
    xml.element("placement", |xml| {
        xml.text("availabilityZone", &instance.zone).text("availabilityZoneId", &instance.zone_id);
        xml.text("groupName", instance.options.placement_group.as_deref().unwrap_or_default());
        xml.text("tenancy", "default");
    });
    xml.element("monitoring", |xml| {
        xml.text("state", if instance.options.monitoring { "enabled" } else { "disabled" });
    });
    if here {
        xml.text("subnetId", &instance.subnet).text("vpcId", &instance.vpc);
        xml.text("privateIpAddress", instance.private_ip).optional("ipAddress", instance.public_ip());
        xml.text("sourceDestCheck", true);
    }
    if instance.state == State::Pending {
        xml.element("stateReason", |xml| {
            xml.text("code", "pending").text("message", "pending");
        });
    }
    if let Some(ending) = &instance.ending {
        xml.text("reason", reason(ending));
        xml.element("stateReason", |xml| {
            xml.text("code", &ending.code).text("message", &ending.message);
        });
    }
    write_group_set(xml, if here { &instance.groups } else { &[] }, region);
    xml.text("architecture", &instance.architecture);
    xml.text("rootDeviceType", "ebs").text("rootDeviceName", &instance.root_device);
    write_devices(xml, instance, region);
    xml.text("virtualizationType", "hvm").optional("clientToken", instance.client_token.as_ref());
    if let Some(request) = &instance.spot_request {
        xml.text("instanceLifecycle", "spot").text("spotInstanceRequestId", request);
    }
    tags::write(xml, region.tags.get(&instance.id));
    xml.text("hypervisor", "xen");
    xml.set("networkInterfaceSet", here.then_some(instance), |xml, owner| {
        write_interface(xml, owner, region)
    });
    if here {
        xml.optional("ipv6Address", instance.ipv6.first());
    }
    write_options(xml, instance);
}

/// Why the state changed, in a sentence.
fn reason(ending: &Ending) -> String {
    match ending.code.as_str() {
        BY_USER => format!("User initiated ({} GMT)", ending.at.plain()),
        _ => format!("{} ({})", ending.message, ending.at),
    }
}

fn write_devices(xml: &mut Xml, instance: &Instance, region: &Region) {
    xml.set("blockDeviceMapping", devices(instance, region), |xml, (volume, attached)| {
        xml.text("deviceName", &attached.device).element("ebs", |xml| {
            xml.text("volumeId", &volume.id).text("status", "attached").time("attachTime", volume.created);
            xml.text("deleteOnTermination", attached.delete_on_termination);
        });
    });
}

fn write_interface(xml: &mut Xml, owner: &Instance, region: &Region) {
    let interface = &owner.interface;
    xml.text("networkInterfaceId", &interface.id).text("subnetId", &owner.subnet).text("vpcId", &owner.vpc);
    xml.text("description", &interface.description).text("ownerId", ACCOUNT).text("status", "in-use");
    xml.text("macAddress", &interface.mac).text("privateIpAddress", owner.private_ip);
    xml.text("privateDnsName", private_dns(owner)).text("sourceDestCheck", true);
    write_group_set(xml, &owner.groups, region);
    xml.element("attachment", |xml| {
        xml.text("attachmentId", &interface.attachment).text("deviceIndex", 0).text("status", "attached");
        xml.time("attachTime", owner.launched).text("deleteOnTermination", true).text("networkCardIndex", 0);
    });
    write_association(xml, owner);
    xml.set("privateIpAddressesSet", [owner], |xml, owner| {
        xml.text("privateIpAddress", owner.private_ip).text("privateDnsName", private_dns(owner));
        xml.text("primary", true);
        write_association(xml, owner);
    });
    xml.set("ipv6AddressesSet", &owner.ipv6, |xml, address| {
        xml.text("ipv6Address", address);
    });
    xml.text("interfaceType", "interface");
}

fn write_options(xml: &mut Xml, instance: &Instance) {
    let options = &instance.options;
    xml.text("ebsOptimized", options.ebs_optimized).text("enaSupport", true);
    if let Some(profile) = &options.profile {
        xml.element("iamInstanceProfile", |xml| {
            xml.text("arn", profile).text("id", "AIPASANDBOX0000000000");
        });
    }
    if let Some(kind) = types::find(&instance.kind) {
        xml.element("cpuOptions", |xml| {
            xml.text("coreCount", kind.cores()).text("threadsPerCore", kind.family.threads);
        });
    }
    xml.element("metadataOptions", |xml| {
        xml.text("state", if instance.state == State::Pending { "pending" } else { "applied" });
        xml.text("httpTokens", options.http_tokens.as_deref().unwrap_or("required"));
        xml.text("httpPutResponseHopLimit", options.hop_limit.unwrap_or(2));
        xml.text("httpEndpoint", options.http_endpoint.as_deref().unwrap_or("enabled"));
        xml.text("httpProtocolIpv6", "disabled");
        xml.text("instanceMetadataTags", options.metadata_tags.as_deref().unwrap_or("disabled"));
    });
    xml.element("hibernationOptions", |xml| {
        xml.text("configured", false);
    });
    if let Some(preference) = &options.capacity_reservation {
        xml.element("capacityReservationSpecification", |xml| {
            xml.text("capacityReservationPreference", preference);
        });
    }
    xml.text("platformDetails", "Linux/UNIX").text("usageOperation", "RunInstances");
    xml.time("usageOperationUpdateTime", instance.launched);
}
