//! The launch template of one launch: what all its instances are, whichever pool they come from.

use aws_sdk_ec2::types::{
    CapacityReservationPreference, LaunchTemplateBlockDeviceMappingRequest,
    LaunchTemplateCapacityReservationSpecificationRequest, LaunchTemplateEbsBlockDeviceRequest,
    LaunchTemplateHttpTokensState, LaunchTemplateIamInstanceProfileSpecificationRequest,
    LaunchTemplateInstanceMetadataEndpointState, LaunchTemplateInstanceMetadataOptionsRequest,
    LaunchTemplateInstanceNetworkInterfaceSpecificationRequest, LaunchTemplatePlacementRequest,
    LaunchTemplateTagSpecificationRequest, RequestLaunchTemplateData, ResourceType, ShutdownBehavior,
    VolumeType,
};
use serde_json::json;

use super::Ec2;
use super::convert::{sdk_tags, tag_specification};
use super::launch::{Blueprint, USUAL_ROOT_DEVICE, merged};
use crate::cloud::{Record, Tags};
use crate::error::Result;

/// Another attempt of ours was the quicker: the name is drawn for this launch alone.
const EXISTS: &str = "InvalidLaunchTemplateName.AlreadyExistsException";
/// It is gone already.
const GONE: &str = "InvalidLaunchTemplateName.NotFoundException";

impl Ec2 {
    /// Makes the template; returns its name.
    pub(super) async fn make_template(
        &self,
        blueprint: &Blueprint<'_>,
        record: &dyn Record,
    ) -> Result<String> {
        let parameters = merged(json!({ "image": blueprint.request.image.id }), blueprint.parameters());
        let token = blueprint.token(0, &parameters);
        let intent = blueprint.intent("CreateLaunchTemplate", &token, parameters);
        let tags = blueprint.tags(&token);
        let specification = tag_specification(ResourceType::LaunchTemplate, &tags);
        let data = data(blueprint);
        self.alter(record, intent, &[EXISTS], |client| {
            client
                .create_launch_template()
                .launch_template_name(&token)
                .client_token(&token)
                .launch_template_data(data.clone())
                .tag_specifications(specification.clone())
                .send()
        })
        .await?;
        Ok(token)
    }

    pub(super) async fn delete_template(
        &self,
        blueprint: &Blueprint<'_>,
        name: &str,
        record: &dyn Record,
    ) -> Result<bool> {
        let intent = blueprint.intent("DeleteLaunchTemplate", name, json!({ "name": name }));
        self.alter(record, intent, &[GONE], |client| {
            client.delete_launch_template().launch_template_name(name).send()
        })
        .await
    }
}

fn data(blueprint: &Blueprint<'_>) -> RequestLaunchTemplateData {
    let request = blueprint.request;
    let interface = LaunchTemplateInstanceNetworkInterfaceSpecificationRequest::builder()
        .device_index(0)
        .groups(&request.security_group_id)
        .associate_public_ip_address(request.public_ip)
        .set_ipv6_address_count(request.ipv6.then_some(1))
        .delete_on_termination(true)
        .build();
    let metadata = LaunchTemplateInstanceMetadataOptionsRequest::builder()
        .http_tokens(LaunchTemplateHttpTokensState::Required)
        .http_endpoint(LaunchTemplateInstanceMetadataEndpointState::Enabled)
        .build();
    let profile = request.instance_profile.as_deref().map(|profile| {
        let builder = LaunchTemplateIamInstanceProfileSpecificationRequest::builder();
        if profile.starts_with("arn:") { builder.arn(profile) } else { builder.name(profile) }.build()
    });
    let placement = request
        .placement_group
        .as_ref()
        .map(|group| LaunchTemplatePlacementRequest::builder().group_name(group).build());
    // Reservations are somebody's; an on-demand instance would take an open one unasked. Spot
    // instances never do, and EC2 knows no such setting for them.
    let reservation = (request.shares().spot == 0).then(|| {
        LaunchTemplateCapacityReservationSpecificationRequest::builder()
            .capacity_reservation_preference(CapacityReservationPreference::None)
            .build()
    });
    RequestLaunchTemplateData::builder()
        .image_id(&request.image.id)
        .network_interfaces(interface)
        .metadata_options(metadata)
        .set_iam_instance_profile(profile)
        .set_placement(placement)
        .set_capacity_reservation_specification(reservation)
        .set_block_device_mappings(disk(blueprint).map(|disk| vec![disk]))
        .set_user_data(blueprint.user_data.clone())
        .set_key_name(request.key_name.clone())
        .set_instance_initiated_shutdown_behavior(
            request.ends_at_shutdown.then_some(ShutdownBehavior::Terminate),
        )
        .set_tag_specifications(Some(tag_specifications(&blueprint.tags(""))))
        .build()
}

/// The tags of what comes with an instance. Those of instances and spot requests are given by the
/// order, whose token they carry; EC2 refuses tags for spot requests where there are none.
fn tag_specifications(tags: &Tags) -> Vec<LaunchTemplateTagSpecificationRequest> {
    [ResourceType::Volume, ResourceType::NetworkInterface]
        .into_iter()
        .map(|kind| {
            LaunchTemplateTagSpecificationRequest::builder()
                .resource_type(kind)
                .set_tags(Some(sdk_tags(tags)))
                .build()
        })
        .collect()
}

fn disk(blueprint: &Blueprint<'_>) -> Option<LaunchTemplateBlockDeviceMappingRequest> {
    let disk = &blueprint.request.disk;
    if disk.is_default() {
        return None;
    }
    let whole = |value: Option<u32>| value.map(|value| i32::try_from(value).unwrap_or(i32::MAX));
    let volume = LaunchTemplateEbsBlockDeviceRequest::builder()
        .set_volume_size(whole(disk.size_gb))
        .set_iops(whole(disk.iops))
        .set_throughput(whole(disk.throughput))
        .set_encrypted(disk.encryption())
        .set_kms_key_id(disk.kms_key.clone())
        .volume_type(VolumeType::Gp3)
        .delete_on_termination(true)
        .build();
    let device = blueprint.request.image.root_device.as_deref().unwrap_or(USUAL_ROOT_DEVICE);
    Some(LaunchTemplateBlockDeviceMappingRequest::builder().device_name(device).ebs(volume).build())
}
