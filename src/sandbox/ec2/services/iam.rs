//! IAM: the service-linked roles of Spot and EC2 Fleet.

use std::collections::BTreeSet;

use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::model::ACCOUNT;
use crate::sandbox::ec2::request::{Params, shape};
use crate::sandbox::ec2::xml::Xml;

/// The version of the API, which tells its requests from those of other services.
pub(in super::super) const VERSION: &str = "2010-05-08";
/// The role that spot instances need.
pub(in super::super) const SPOT_ROLE: &str = "AWSServiceRoleForEC2Spot";

/// The services that have a role, and its name.
pub(in super::super) const ROLES: &[(&str, &str)] =
    &[("spot.amazonaws.com", SPOT_ROLE), ("ec2fleet.amazonaws.com", "AWSServiceRoleForEC2Fleet")];

/// Answers an action; whether the roles have changed. `roles` are those that exist.
pub(in super::super) fn answer(params: &Params, roles: &mut BTreeSet<String>) -> Result<(Xml, bool), Fault> {
    let action = params.required("Action")?;
    let known: &[&str] = match action {
        "GetRole" => &["RoleName"],
        "CreateServiceLinkedRole" => &["AWSServiceName", "Description"],
        _ => {
            let message = format!("Could not find operation {action} for version {VERSION}");
            return Err(Fault::new("InvalidAction", message));
        }
    };
    for (name, _) in params.flatten() {
        let shape = shape(&name);
        if !matches!(shape.as_str(), "Action" | "Version") && !known.contains(&shape.as_str()) {
            return Err(Fault::new("ValidationError", format!("The parameter {name} is not recognized")));
        }
    }
    if action == "GetRole" {
        let name = params.required("RoleName")?;
        let role = ROLES.iter().find(|(_, role)| *role == name && roles.contains(name));
        let (service, role) = role.ok_or_else(|| {
            let message = format!("The role with name {name} cannot be found.");
            Fault::with_status(404, "NoSuchEntity", message)
        })?;
        return Ok((write(service, role), false));
    }
    let service = params.required("AWSServiceName")?;
    let (service, role) = ROLES.iter().find(|(known, _)| *known == service).ok_or_else(|| {
        Fault::new("InvalidInput", format!("the sandbox has no service-linked role for {service}"))
    })?;
    if !roles.insert((*role).to_owned()) {
        let message = format!(
            "Service role name {role} has been taken in this account, please try a different suffix."
        );
        return Err(Fault::new("InvalidInput", message));
    }
    Ok((write(service, role), true))
}

fn write(service: &str, role: &str) -> Xml {
    let path = format!("/aws-service-role/{service}/");
    let policy = format!(
        "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Action%22%3A%5B%22sts%3AAssumeRole%22\
         %5D%2C%22Effect%22%3A%22Allow%22%2C%22Principal%22%3A%7B%22Service%22%3A%5B%22{service}%22%5D%7D%7D%5D%7D"
    );
    let mut xml = Xml::new();
    xml.element("Role", |xml| {
        xml.text("Path", &path).text("RoleName", role).text("RoleId", "AROASANDBOX0000000000");
        xml.text("Arn", format!("arn:aws:iam::{ACCOUNT}:role{path}{role}"));
        xml.text("CreateDate", "2026-01-01T00:00:00Z").text("AssumeRolePolicyDocument", policy);
        xml.text("MaxSessionDuration", 3600);
    });
    xml
}
