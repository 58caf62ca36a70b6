//! Volumes: DescribeVolumes, DeleteVolume.

use super::{Call, done};
use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::filter::{Field, one};
use crate::sandbox::ec2::model::id;
use crate::sandbox::ec2::model::region::find;
use crate::sandbox::ec2::model::volume::Volume;
use crate::sandbox::ec2::router::{Answer, FILTER, Operation, PAGE};
use crate::sandbox::ec2::tags;
use crate::sandbox::ec2::xml::Xml;

pub(in super::super) const OPERATIONS: &[Operation] = &[
    Operation::read("DescribeVolumes", describe, &[&["VolumeId.N"], FILTER, PAGE]),
    Operation::write("DeleteVolume", delete, &[&["*VolumeId"]]),
];

const FIELDS: &[Field<Volume>] = &[
    ("volume-id", |volume, _| one(&volume.id)),
    ("attachment.instance-id", |volume, _| {
        volume.attachment.iter().map(|attached| attached.instance.clone()).collect()
    }),
    ("attachment.device", |volume, _| {
        volume.attachment.iter().map(|attached| attached.device.clone()).collect()
    }),
    ("attachment.delete-on-termination", |volume, _| {
        volume.attachment.iter().map(|attached| attached.delete_on_termination.to_string()).collect()
    }),
    ("attachment.status", |volume, _| volume.attachment.iter().map(|_| "attached".to_owned()).collect()),
    ("availability-zone", |volume, _| one(&volume.zone)),
    ("create-time", |volume, _| one(volume.created)),
    ("encrypted", |volume, _| one(volume.encrypted)),
    ("size", |volume, _| one(volume.size)),
    ("snapshot-id", |volume, _| volume.snapshot.iter().cloned().collect()),
    ("status", |volume, _| one(status(volume))),
    ("volume-type", |volume, _| one(&volume.kind)),
];

fn status(volume: &Volume) -> &'static str {
    if volume.attachment.is_some() { "in-use" } else { "available" }
}

fn describe(call: &mut Call<'_>) -> Answer {
    let (volumes, next) = call.list(&call.region.volumes, &id::VOLUME, "VolumeId", FIELDS)?;
    let mut xml = Xml::new();
    xml.set("volumeSet", volumes, |xml, (id, volume)| {
        xml.text("volumeId", id).text("size", volume.size).optional("snapshotId", volume.snapshot.as_ref());
        xml.text("availabilityZone", &volume.zone).text("status", status(volume));
        xml.time("createTime", volume.created).text("volumeType", &volume.kind);
        xml.optional("iops", volume.iops).optional("throughput", volume.throughput);
        xml.optional("kmsKeyId", volume.key.as_ref()).text("encrypted", volume.encrypted);
        xml.text("multiAttachEnabled", false);
        xml.set("attachmentSet", &volume.attachment, |xml, attached| {
            xml.text("volumeId", id).text("instanceId", &attached.instance).text("device", &attached.device);
            xml.text("status", "attached").time("attachTime", volume.created);
            xml.text("deleteOnTermination", attached.delete_on_termination);
        });
        tags::write(xml, call.region.tags.get(id));
    });
    xml.optional("nextToken", next);
    Ok(xml)
}

fn delete(call: &mut Call<'_>) -> Answer {
    let id = call.params.required("VolumeId")?;
    if let Some(attached) = &find(&call.region.volumes, &id::VOLUME, id)?.attachment {
        let message = format!("Volume {id} is currently attached to {}", attached.instance);
        return Err(Fault::new("VolumeInUse", message));
    }
    call.region.volumes.remove(id);
    call.region.tags.remove(id);
    done()
}
