//! Whether a planned call would be permitted, by EC2's own `DryRun`.

use aws_config::SdkConfig;
use aws_sdk_ec2::error::ProvideErrorMetadata;
use aws_smithy_types::body::SdkBody;

use crate::cloud::plan::{Call, Permission};

/// What is said of a call to an endpoint that knows no `DryRun`.
const NO_DRY_RUN: &str = "NoDryRun";

/// Actions of EC2 that have no `DryRun` (its API model), among those that spot makes.
const WITHOUT: [&str; 6] = [
    "AssociateVpcCidrBlock",
    "AssociateSubnetCidrBlock",
    "DisassociateVpcCidrBlock",
    "DisassociateSubnetCidrBlock",
    "ModifySubnetAttribute",
    "ModifyVpcAttribute",
];

/// Whether EC2 can be asked about an action.
pub(super) fn has_dry_run(action: &str) -> bool {
    !WITHOUT.contains(&action)
}

/// Asks EC2 about one call; nothing is changed by it.
pub(super) async fn permission(config: &SdkConfig, call: &Call) -> Permission {
    let region = aws_sdk_ec2::config::Region::new(call.region.clone());
    let config = aws_sdk_ec2::config::Builder::from(config).region(region).build();
    let client = aws_sdk_ec2::Client::from_conf(config);
    let body = body(call);
    // The SDK has no way to repeat a call of any kind, so another one carries the parameters: the body
    // is replaced before it is signed.
    let answer = client
        .describe_regions()
        .customize()
        .mutate_request(move |request| {
            request.headers_mut().insert("content-length", body.len().to_string());
            *request.body_mut() = SdkBody::from(body.clone());
        })
        .send()
        .await;
    match answer {
        // It was done: nobody who knows DryRun answers so.
        Ok(_) => Permission::Unclear(NO_DRY_RUN.to_owned()),
        Err(error) => match error.as_service_error().and_then(|error| error.code()) {
            Some("DryRunOperation") => Permission::Permitted,
            Some("UnauthorizedOperation" | "AccessDenied") => Permission::Refused,
            Some(code) => Permission::Unclear(code.to_owned()),
            None => Permission::Unclear("NoAnswer".to_owned()),
        },
    }
}

/// The call as a form, with `DryRun`.
fn body(call: &Call) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("Action", &call.action).append_pair("Version", "2016-11-15");
    for (name, value) in &call.parameters {
        form.append_pair(name, value);
    }
    form.append_pair("DryRun", "true").finish()
}
