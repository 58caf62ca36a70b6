//! `BlockDeviceMapping`: the volumes that a launch makes.

use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::images::{Image, ROOT_DEVICE, ROOT_SIZE};
use crate::sandbox::ec2::request::Params;

/// A volume to be made with the instance.
#[derive(Debug, Clone)]
pub(super) struct Device {
    pub name: String,
    pub size: u32,
    pub kind: String,
    pub iops: Option<u32>,
    pub encrypted: bool,
    pub snapshot: Option<String>,
    pub delete_on_termination: bool,
}

/// The root volume of the image, changed as the request says, and any others.
pub(super) fn devices(params: &Params, image: &Image) -> Result<Vec<Device>, Fault> {
    let mut devices = vec![Device {
        name: ROOT_DEVICE.to_owned(),
        size: ROOT_SIZE,
        kind: image.volume_type.to_owned(),
        iops: None,
        encrypted: false,
        snapshot: Some(image.snapshot.clone()),
        delete_on_termination: true,
    }];
    for mapping in params.members("BlockDeviceMapping") {
        let name = mapping.required("DeviceName")?;
        let Some(volume) = mapping.group("Ebs") else { return Err(Fault::missing("ebs")) };
        let root = devices.iter_mut().find(|device| device.name == name);
        let mut device = match &root {
            Some(known) => (*known).clone(),
            None => blank(name),
        };
        fill(&mut device, volume)?;
        match root {
            Some(known) => *known = device,
            None => devices.push(device),
        }
    }
    Ok(devices)
}

/// A volume that says nothing but its name; it still needs a size.
fn blank(name: &str) -> Device {
    Device {
        name: name.to_owned(),
        size: 0,
        kind: "gp2".to_owned(),
        iops: None,
        encrypted: false,
        snapshot: None,
        delete_on_termination: true,
    }
}

fn fill(device: &mut Device, volume: &Params) -> Result<(), Fault> {
    if let Some(size) = volume.integer("VolumeSize")? {
        if device.name == ROOT_DEVICE && size < ROOT_SIZE {
            let snapshot = device.snapshot.clone().unwrap_or_default();
            let message = format!(
                "Volume of size {size}GB is smaller than snapshot '{snapshot}', expect size >= {ROOT_SIZE}GB"
            );
            return Err(Fault::new("InvalidBlockDeviceMapping", message));
        }
        device.size = size;
    }
    if device.size == 0 || device.size > 65_536 {
        let message = format!("Volume size of {} GiB for {} is invalid", device.size, device.name);
        return Err(Fault::new("InvalidBlockDeviceMapping", message));
    }
    if let Some(kind) = volume.text("VolumeType") {
        if !["gp2", "gp3", "io1", "io2", "st1", "sc1", "standard"].contains(&kind) {
            return Err(Fault::value(format!("Invalid value '{kind}' for VolumeType.")));
        }
        device.kind = kind.to_owned();
    }
    device.iops = volume.integer("Iops")?.or(device.iops);
    device.encrypted = volume.flag("Encrypted")?.unwrap_or(device.encrypted);
    device.snapshot = volume.text("SnapshotId").map(str::to_owned).or(device.snapshot.take());
    device.delete_on_termination =
        volume.flag("DeleteOnTermination")?.unwrap_or(device.delete_on_termination);
    Ok(())
}
