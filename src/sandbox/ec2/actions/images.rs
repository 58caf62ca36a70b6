//! DescribeImages.

use std::collections::BTreeMap;

use super::{Call, chosen};
use crate::sandbox::ec2::filter::{Field, Filters, one};
use crate::sandbox::ec2::images::{self, Image, ROOT_SIZE};
use crate::sandbox::ec2::model::{ACCOUNT, id};
use crate::sandbox::ec2::moment::Moment;
use crate::sandbox::ec2::page::Page;
use crate::sandbox::ec2::router::{Answer, FILTER, Operation, PAGE};
use crate::sandbox::ec2::xml::Xml;

pub(in super::super) const OPERATIONS: &[Operation] = &[Operation::read(
    "DescribeImages",
    describe,
    &[&["ImageId.N", "Owner.N", "ExecutableBy.N", "IncludeDeprecated", "IncludeDisabled"], FILTER, PAGE],
)];

const FIELDS: &[Field<Image>] = &[
    ("architecture", |image, _| one(image.architecture)),
    ("block-device-mapping.delete-on-termination", |_, _| one(true)),
    ("block-device-mapping.device-name", |image, _| one(image.root_device)),
    ("block-device-mapping.encrypted", |_, _| one(false)),
    ("block-device-mapping.snapshot-id", |image, _| one(&image.snapshot)),
    ("block-device-mapping.volume-size", |_, _| one(ROOT_SIZE)),
    ("block-device-mapping.volume-type", |image, _| one(image.volume_type)),
    ("creation-date", |image, _| one(&image.created)),
    ("description", |image, _| one(&image.description)),
    ("ena-support", |_, _| one(true)),
    ("hypervisor", |_, _| one("xen")),
    ("image-id", |image, _| one(&image.id)),
    ("image-type", |_, _| one("machine")),
    ("is-public", |_, _| one(true)),
    ("manifest-location", |image, _| one(location(image))),
    ("name", |image, _| one(&image.name)),
    ("owner-alias", |_, _| one("amazon")),
    ("owner-id", |image, _| one(image.owner)),
    ("platform", |_, _| Vec::new()),
    ("root-device-name", |image, _| one(image.root_device)),
    ("root-device-type", |_, _| one("ebs")),
    ("state", |_, _| one("available")),
    ("virtualization-type", |_, _| one("hvm")),
];

fn location(image: &Image) -> String {
    format!("{}/{}", image.owner, image.name)
}

fn describe(call: &mut Call<'_>) -> Answer {
    let filters = Filters::parse(call.params, FIELDS)?;
    let page = Page::parse(call.params, 1..=1000)?;
    let owners = call.params.list("Owner");
    // `self` and other accounts own nothing here; all images also go under Amazon's alias.
    let owned = |image: &Image| {
        owners.is_empty() || owners.iter().any(|owner| *owner == image.owner || *owner == "amazon")
    };
    // Deprecated images are for those who ask for them.
    let deprecated = call.params.flag("IncludeDeprecated")?.unwrap_or(false);
    let current =
        |image: &Image| deprecated || Moment::parse(&image.deprecated).is_none_or(|end| end > call.now);
    let users = call.params.list("ExecutableBy");
    let usable = users.is_empty() || users.iter().any(|user| matches!(*user, "all" | "self" | ACCOUNT));
    let all: BTreeMap<String, Image> =
        images::all(call.place.name).into_iter().map(|image| (image.id.clone(), image)).collect();
    let kept: Vec<&Image> = chosen(&all, &id::IMAGE, &call.params.list("ImageId"))?
        .into_iter()
        .map(|(_, image)| image)
        .filter(|image| owned(image) && current(image) && usable && filters.accept(image, call.region, None))
        .collect();
    let (images, next) = page.cut(kept, |image| image.id.clone());
    let mut xml = Xml::new();
    xml.set("imagesSet", images, write).optional("nextToken", next);
    Ok(xml)
}

fn write(xml: &mut Xml, image: &Image) {
    xml.text("imageId", &image.id).text("imageLocation", location(image)).text("imageState", "available");
    xml.text("imageOwnerId", image.owner).text("creationDate", &image.created).text("isPublic", true);
    xml.text("architecture", image.architecture).text("imageType", "machine");
    xml.text("imageOwnerAlias", "amazon").text("name", &image.name).text("description", &image.description);
    xml.text("rootDeviceType", "ebs").text("rootDeviceName", image.root_device);
    xml.set("blockDeviceMapping", [image], |xml, image| {
        xml.text("deviceName", image.root_device).element("ebs", |xml| {
            xml.text("snapshotId", &image.snapshot).text("volumeSize", ROOT_SIZE);
            xml.text("deleteOnTermination", true).text("volumeType", image.volume_type);
            xml.text("encrypted", false);
        });
    });
    xml.text("virtualizationType", "hvm").text("hypervisor", "xen").text("enaSupport", true);
    xml.text("sriovNetSupport", "simple").text("platformDetails", "Linux/UNIX");
    xml.text("usageOperation", "RunInstances").text("bootMode", boot_mode(image));
    xml.text("deprecationTime", &image.deprecated);
}

fn boot_mode(image: &Image) -> &'static str {
    if image.architecture == "arm64" { "uefi" } else { "uefi-preferred" }
}
