//! `BlockDeviceMapping`: the volumes that a launch makes.

use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::images::{Image, ROOT_SIZE};
use crate::sandbox::ec2::request::Params;

/// The types of volumes.
pub(super) const KINDS: &[&str] = &["gp2", "gp3", "io1", "io2", "st1", "sc1", "standard"];

/// A volume to be made with the instance.
#[derive(Debug, Clone)]
pub(super) struct Device {
    pub name: String,
    pub size: u32,
    pub kind: String,
    pub iops: Option<u32>,
    /// MiB a second.
    pub throughput: Option<u32>,
    pub encrypted: bool,
    /// The key it is encrypted with, if not the account's own.
    pub key: Option<String>,
    pub snapshot: Option<String>,
    pub delete_on_termination: bool,
}

/// The root volume of the image, changed as the request says, and any others.
pub(super) fn devices(params: &Params, image: &Image) -> Result<Vec<Device>, Fault> {
    let mut devices = vec![Device {
        name: image.root_device.to_owned(),
        size: ROOT_SIZE,
        kind: image.volume_type.to_owned(),
        iops: None,
        throughput: None,
        encrypted: false,
        key: None,
        snapshot: Some(image.snapshot.clone()),
        delete_on_termination: true,
    }];
    for mapping in params.members("BlockDeviceMapping") {
        let name = mapping.required("DeviceName")?;
        if mapping.given("NoDevice").is_some() {
            devices.retain(|device| device.name != name);
            continue;
        }
        let Some(volume) = mapping.group("Ebs") else { return Err(Fault::missing("ebs")) };
        let root = devices.iter_mut().find(|device| device.name == name);
        let mut device = match &root {
            Some(known) => (*known).clone(),
            None => blank(name),
        };
        fill(&mut device, volume, image.root_device)?;
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
        throughput: None,
        encrypted: false,
        key: None,
        snapshot: None,
        delete_on_termination: true,
    }
}

fn fill(device: &mut Device, volume: &Params, root: &str) -> Result<(), Fault> {
    if let Some(size) = volume.integer("VolumeSize")? {
        if device.name == root && size < ROOT_SIZE {
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
        if !KINDS.contains(&kind) {
            return Err(Fault::value(format!("Invalid value '{kind}' for VolumeType.")));
        }
        device.kind = kind.to_owned();
    }
    device.iops = volume.integer("Iops")?.or(device.iops);
    device.throughput = volume.integer("Throughput")?.or(device.throughput);
    check_performance(device)?;
    device.key = volume.text("KmsKeyId").map(str::to_owned).or(device.key.take());
    device.encrypted = volume.flag("Encrypted")?.unwrap_or(device.encrypted);
    if device.key.is_some() && !device.encrypted {
        let message = "The parameter KmsKeyId requires the parameter Encrypted to be set.";
        return Err(Fault::new("InvalidParameterDependency", message));
    }
    device.snapshot = volume.text("SnapshotId").map(str::to_owned).or(device.snapshot.take());
    device.delete_on_termination =
        volume.flag("DeleteOnTermination")?.unwrap_or(device.delete_on_termination);
    Ok(())
}

/// What each type of volume can be asked to do.
fn check_performance(device: &Device) -> Result<(), Fault> {
    performance(&device.kind, device.size, device.iops, device.throughput)
}

/// Refuses operations and throughput that a type of volume does not have.
pub(super) fn performance(
    kind: &str,
    size: u32,
    iops: Option<u32>,
    throughput: Option<u32>,
) -> Result<(), Fault> {
    let range = match kind {
        "gp3" => Some((3_000, 80_000, 500)),
        "io1" => Some((100, 64_000, 50)),
        "io2" => Some((100, 256_000, 1_000)),
        _ => None,
    };
    match (range, iops) {
        (None, Some(_)) => {
            let message = format!("The parameter iops is not supported for {kind} volumes.");
            return Err(Fault::combination(message));
        }
        (Some((least, most, ratio)), Some(iops)) => {
            if !(least..=most).contains(&iops) {
                let why = format!("Volume iops of {iops} is out of range; expect {least} to {most}.");
                return Err(Fault::value(why));
            }
            if iops > least && iops > size.saturating_mul(ratio) {
                let why =
                    format!("Iops to volume size ratio of {iops} to {size} is too high; maximum is {ratio}");
                return Err(Fault::value(why));
            }
        }
        (Some(_), None) if kind != "gp3" => return Err(Fault::missing("iops")),
        _ => {}
    }
    match throughput {
        Some(_) if kind != "gp3" => {
            Err(Fault::combination(format!("The parameter throughput is not supported for {kind} volumes.")))
        }
        Some(rate) if !(125..=2_000).contains(&rate) => {
            Err(Fault::value(format!("Throughput of {rate} MiB/s is out of range; expect 125 to 2000.")))
        }
        _ => Ok(()),
    }
}
