//! Volumes: CreateVolume, DescribeVolumes, DeleteVolume.

use super::block_devices::{KINDS, performance};
use super::{Call, done};
use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::filter::{Field, one};
use crate::sandbox::ec2::images::ROOT_SIZE;
use crate::sandbox::ec2::model::id;
use crate::sandbox::ec2::model::region::{Region, find};
use crate::sandbox::ec2::model::volume::Volume;
use crate::sandbox::ec2::router::{Answer, FILTER, Operation, PAGE};
use crate::sandbox::ec2::tags::{self, TAG_SPECIFICATION};
use crate::sandbox::ec2::xml::Xml;

pub(in super::super) const OPERATIONS: &[Operation] = &[
    Operation::read("DescribeVolumes", describe, &[&["VolumeId.N"], FILTER, PAGE]),
    Operation::write(
        "CreateVolume",
        create,
        &[
            &[
                "*AvailabilityZone",
                "ClientToken",
                "Encrypted",
                "Iops",
                "KmsKeyId",
                "Size",
                "SnapshotId",
                "Throughput",
                "VolumeType",
            ],
            TAG_SPECIFICATION,
        ],
    ),
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
    xml.set("volumeSet", volumes, |xml, (_, volume)| write(xml, volume, call.region));
    xml.optional("nextToken", next);
    Ok(xml)
}

fn write(xml: &mut Xml, volume: &Volume, region: &Region) {
    let id = &volume.id;
    xml.text("volumeId", id).text("size", volume.size).optional("snapshotId", volume.snapshot.as_ref());
    xml.text("availabilityZone", &volume.zone).text("status", status(volume));
    xml.time("createTime", volume.created).text("volumeType", &volume.kind);
    let (iops, throughput) = baseline(&volume.kind, volume.size);
    xml.optional("iops", volume.iops.or(iops)).optional("throughput", volume.throughput.or(throughput));
    xml.optional("kmsKeyId", volume.key.as_ref()).text("encrypted", volume.encrypted);
    xml.text("multiAttachEnabled", false);
    xml.set("attachmentSet", &volume.attachment, |xml, attached| {
        xml.text("volumeId", id).text("instanceId", &attached.instance).text("device", &attached.device);
        xml.text("status", "attached").time("attachTime", volume.created);
        xml.text("deleteOnTermination", attached.delete_on_termination);
    });
    tags::write(xml, region.tags.get(id));
}

/// Operations and MiB a second of a volume for which nothing else was asked.
fn baseline(kind: &str, size: u32) -> (Option<u32>, Option<u32>) {
    match kind {
        "gp3" => (Some(3_000), Some(125)),
        "gp2" => (Some(size.saturating_mul(3).clamp(100, 16_000)), None),
        _ => (None, None),
    }
}

fn create(call: &mut Call<'_>) -> Answer {
    let params = call.params;
    let zone = params.required("AvailabilityZone")?;
    if call.place.zones().iter().all(|known| known.name != zone) {
        let message = format!("The zone '{zone}' does not exist.");
        return Err(Fault::new("InvalidZone.NotFound", message));
    }
    let size: Option<u32> = params.integer("Size")?;
    let snapshot = params.text("SnapshotId").map(str::to_owned);
    let size = match (size, &snapshot) {
        (Some(size), _) => size,
        (None, Some(_)) => ROOT_SIZE,
        (None, None) => return Err(Fault::missing("size/snapshot")),
    };
    if !(1..=65_536).contains(&size) {
        return Err(Fault::value_of("size", &size.to_string(), "Expecting 1 to 65536 GiB."));
    }
    let kind = params.text("VolumeType").unwrap_or("gp2").to_owned();
    if !KINDS.contains(&kind.as_str()) {
        return Err(Fault::new(
            "UnknownVolumeType",
            format!("Unsupported volume type '{kind}' for volume creation."),
        ));
    }
    let (iops, throughput) = (params.integer("Iops")?, params.integer("Throughput")?);
    performance(&kind, size, iops, throughput)?;
    let encrypted = params.flag("Encrypted")?.unwrap_or(false);
    let key = params.text("KmsKeyId").map(str::to_owned);
    if key.is_some() && !encrypted {
        let message = "The parameter KmsKeyId requires the parameter Encrypted to be set.";
        return Err(Fault::new("InvalidParameterDependency", message));
    }
    let tags = tags::specified(params, "volume")?;
    let id = match call.repeated("CreateVolume")? {
        Some(id) if call.region.volumes.contains_key(&id) => id,
        _ => {
            let id = id::VOLUME.draw(&call.region.chance);
            let volume = Volume {
                id: id.clone(),
                size,
                kind,
                iops,
                throughput,
                encrypted,
                key,
                snapshot,
                zone: zone.to_owned(),
                created: call.now,
                attachment: None,
            };
            call.region.tag(&id, &tags);
            call.region.volumes.insert(id.clone(), volume);
            call.remember("CreateVolume", &id);
            id
        }
    };
    let mut xml = Xml::new();
    write(&mut xml, find(&call.region.volumes, &id::VOLUME, &id)?, call.region);
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
