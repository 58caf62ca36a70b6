//! DescribeInstanceStatus, GetConsoleOutput.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Call;
use super::instances::write_state;
use crate::sandbox::ec2::filter::{Field, Filters, one};
use crate::sandbox::ec2::model::id;
use crate::sandbox::ec2::model::instance::{Instance, State};
use crate::sandbox::ec2::model::region::find;
use crate::sandbox::ec2::router::{Answer, FILTER, Operation, PAGE};
use crate::sandbox::ec2::xml::Xml;

pub(in super::super) const OPERATIONS: &[Operation] = &[
    Operation::read(
        "DescribeInstanceStatus",
        describe,
        &[&["InstanceId.N", "IncludeAllInstances"], FILTER, PAGE],
    ),
    Operation::read("GetConsoleOutput", console, &[&["*InstanceId", "Latest"]]),
];

const FIELDS: &[Field<Instance>] = &[
    ("availability-zone", |instance, _| one(&instance.zone)),
    ("availability-zone-id", |instance, _| one(&instance.zone_id)),
    ("instance-state-code", |instance, _| one(instance.state.code())),
    ("instance-state-name", |instance, _| one(instance.state.name())),
    ("instance-status.status", |instance, _| one(status(instance))),
    ("instance-status.reachability", |instance, _| one(reachability(instance))),
    ("system-status.status", |instance, _| one(status(instance))),
    ("system-status.reachability", |instance, _| one(reachability(instance))),
];

fn status(instance: &Instance) -> &'static str {
    match instance.state {
        State::Pending => "initializing",
        State::Running if instance.checked => "ok",
        State::Running => "initializing",
        State::ShuttingDown | State::Terminated | State::Stopping | State::Stopped => "not-applicable",
    }
}

fn reachability(instance: &Instance) -> &'static str {
    if instance.state == State::Running && instance.checked { "passed" } else { "initializing" }
}

fn describe(call: &mut Call<'_>) -> Answer {
    let filters = Filters::parse(call.params, FIELDS)?;
    let page = call.page("InstanceId")?;
    let every = call.params.flag("IncludeAllInstances")?.unwrap_or(false);
    let kept: Vec<&Instance> = super::instances::by_ids(call)?
        .into_iter()
        .filter(|instance| every || instance.state == State::Running)
        .filter(|instance| filters.accept(instance, call.region, call.region.tags.get(&instance.id)))
        .collect();
    let (instances, next) = page.cut(kept, |instance| instance.id.clone());
    let mut xml = Xml::new();
    xml.set("instanceStatusSet", instances, |xml, instance| {
        xml.text("instanceId", &instance.id).text("availabilityZone", &instance.zone);
        xml.text("availabilityZoneId", &instance.zone_id);
        write_state(xml, "instanceState", instance.state);
        for part in ["systemStatus", "instanceStatus", "attachedEbsStatus"] {
            xml.element(part, |xml| {
                xml.text("status", status(instance));
                if !instance.state.ended() && !instance.state.stopped() {
                    xml.set("details", [instance], |xml, instance| {
                        xml.text("name", "reachability").text("status", reachability(instance));
                    });
                }
            });
        }
    });
    xml.optional("nextToken", next);
    Ok(xml)
}

fn console(call: &mut Call<'_>) -> Answer {
    let instance = find(&call.region.instances, &id::INSTANCE, call.params.required("InstanceId")?)?;
    call.params.flag("Latest")?;
    let mut xml = Xml::new();
    xml.text("instanceId", &instance.id).time("timestamp", call.now);
    // As in EC2, there is nothing to be seen of an instance that has not booted.
    if instance.state != State::Pending {
        xml.text("output", STANDARD.encode(boot_log(instance, call.console)));
    }
    Ok(xml)
}

fn boot_log(instance: &Instance, console: &str) -> String {
    let Instance { id, image, kind, zone, private_ip, .. } = instance;
    format!(
        "[    0.000000] Linux version 6.8.0-1015-aws (spot sandbox)\n\
         [    0.000000] Machine: {kind} in {zone}, image {image}\n\
         cloud-init: instance-id {id}, local address {private_ip}\n\
         cloud-init: {} authorized key(s) for user ubuntu\n\
         {console}\
         Cloud-init finished at {}\n\
         ip-{} login: ",
        instance.authorized_keys.len(),
        instance.launched,
        private_ip.to_string().replace('.', "-"),
    )
}
