//! AttachVolume, DetachVolume.

use super::Call;
use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::model::id;
use crate::sandbox::ec2::model::instance::State;
use crate::sandbox::ec2::model::region::{find, find_mut};
use crate::sandbox::ec2::model::volume::Attached;
use crate::sandbox::ec2::moment::Moment;
use crate::sandbox::ec2::router::{Answer, Operation};
use crate::sandbox::ec2::xml::Xml;

pub(in super::super) const OPERATIONS: &[Operation] = &[
    Operation::write("AttachVolume", attach, &[&["*VolumeId", "*InstanceId", "*Device"]]),
    Operation::write("DetachVolume", detach, &[&["*VolumeId", "InstanceId", "Device", "Force"]]),
];

fn attach(call: &mut Call<'_>) -> Answer {
    let (id, device) = (call.params.required("VolumeId")?, call.params.required("Device")?);
    let volume = find(&call.region.volumes, &id::VOLUME, id)?;
    let instance = find(&call.region.instances, &id::INSTANCE, call.params.required("InstanceId")?)?;
    if !matches!(instance.state, State::Running | State::Stopped) {
        let message = format!("Instance '{}' is not 'running'.", instance.id);
        return Err(Fault::new("IncorrectState", message));
    }
    if volume.zone != instance.zone {
        let message =
            format!("The volume '{id}' is not in the same availability zone as instance '{}'", instance.id);
        return Err(Fault::new("InvalidVolume.ZoneMismatch", message));
    }
    if let Some(attached) = &volume.attachment {
        return Err(Fault::new(
            "VolumeInUse",
            format!("{id} is already attached to an instance ({})", attached.instance),
        ));
    }
    let known = device.starts_with("/dev/sd") || device.starts_with("/dev/xvd");
    if !known || device.len() > 11 {
        let message = format!(
            "Value ({device}) for parameter device is invalid. {device} is not a valid EBS device name."
        );
        return Err(Fault::value(message));
    }
    let mut others =
        instance.volumes.iter().filter_map(|id| call.region.volumes.get(id)?.attachment.as_ref());
    if others.any(|attached| attached.device == device) {
        let message =
            format!("Invalid value '{device}' for unixDevice. Attachment point {device} is already in use");
        return Err(Fault::value(message));
    }
    let attached =
        Attached { instance: instance.id.clone(), device: device.to_owned(), delete_on_termination: false };
    let answer = tell(id, &attached, "attaching", call.now);
    find_mut(&mut call.region.instances, &id::INSTANCE, &attached.instance)?.volumes.push(id.to_owned());
    find_mut(&mut call.region.volumes, &id::VOLUME, id)?.attachment = Some(attached);
    Ok(answer)
}

fn detach(call: &mut Call<'_>) -> Answer {
    let id = call.params.required("VolumeId")?;
    call.params.flag("Force")?;
    let attached = find(&call.region.volumes, &id::VOLUME, id)?.attachment.clone();
    let attached = attached
        .ok_or_else(|| Fault::new("IncorrectState", format!("Volume '{id}' is in the 'available' state.")))?;
    let named = |name: &str, actual: &str| call.params.text(name).is_none_or(|wanted| wanted == actual);
    if !named("InstanceId", &attached.instance) || !named("Device", &attached.device) {
        let message =
            format!("The volume '{id}' is not attached to the specified instance as specified device");
        return Err(Fault::new("InvalidAttachment.NotFound", message));
    }
    if let Some(instance) = call.region.instances.get_mut(&attached.instance) {
        if instance.root_device == attached.device && instance.state != State::Stopped {
            let message = format!("Unable to detach root volume '{id}' from instance '{}'", instance.id);
            return Err(Fault::new("OperationNotPermitted", message));
        }
        instance.volumes.retain(|volume| volume != id);
    }
    find_mut(&mut call.region.volumes, &id::VOLUME, id)?.attachment = None;
    Ok(tell(id, &attached, "detaching", call.now))
}

fn tell(id: &str, attached: &Attached, status: &str, now: Moment) -> Xml {
    let mut xml = Xml::new();
    xml.text("volumeId", id).text("instanceId", &attached.instance).text("device", &attached.device);
    xml.text("status", status).time("attachTime", now);
    xml.text("deleteOnTermination", attached.delete_on_termination);
    xml
}
