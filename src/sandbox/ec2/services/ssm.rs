//! SSM Parameter Store: parameters of one's own, and the public ones that name the newest machine images.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Desk, check, required, secrets, token};
use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::images;
use crate::sandbox::ec2::model::ACCOUNT;
use crate::sandbox::ec2::moment::Moment;

const INVALID: &str = "ValidationException";
/// What stands before the name of a secret of Secrets Manager.
const SECRETS: &str = "/aws/reference/secretsmanager/";
/// No more names in one request, and no more parameters on a page.
const MOST: usize = 10;
/// Older versions are forgotten, as in SSM.
const MOST_VERSIONS: usize = 100;
/// Levels of a hierarchy.
const DEEPEST: usize = 15;
/// Bytes of a standard and of an advanced parameter.
const SIZES: (usize, usize) = (4096, 8192);

/// One version of a parameter.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in super::super) struct Parameter {
    value: String,
    /// `String`, `StringList` or `SecureString`.
    kind: String,
    /// The key of a `SecureString`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    data_type: String,
    version: u64,
    modified: Moment,
}

pub(super) fn put(desk: &mut Desk<'_>, input: &Value) -> Result<Value, Fault> {
    let known = &[
        "Name",
        "Description",
        "Value",
        "Type",
        "KeyId",
        "Overwrite",
        "AllowedPattern",
        "Tags",
        "Tier",
        "DataType",
    ];
    check(input, known, INVALID)?;
    let (name, value) = (required(input, "Name", INVALID)?, required(input, "Value", INVALID)?);
    check_name(name)?;
    let text = |name: &str| input.get(name).and_then(Value::as_str);
    let tier = text("Tier").unwrap_or("Standard");
    let most = if tier == "Standard" { SIZES.0 } else { SIZES.1 };
    if value.is_empty() || value.len() > most {
        let message = format!(
            "{tier} tier parameters support a maximum parameter value of {most} characters, and at least 1."
        );
        return Err(Fault::new(INVALID, message));
    }
    let overwrite = input.get("Overwrite").and_then(Value::as_bool).unwrap_or(false);
    let tags = input.get("Tags").and_then(Value::as_array).is_some_and(|tags| !tags.is_empty());
    if overwrite && tags {
        let message = "Invalid request: tags and overwrite can't be used together.";
        return Err(Fault::new(INVALID, message));
    }
    let versions = desk.drawer.parameters.get(name);
    let newest = versions.and_then(|versions| versions.last());
    if newest.is_some() && !overwrite {
        let message = "The parameter already exists. To overwrite this value, set the overwrite option in the \
                       request to true.";
        return Err(Fault::new("ParameterAlreadyExists", message));
    }
    let kind = match text("Type").or(newest.map(|newest| newest.kind.as_str())) {
        Some(kind @ ("String" | "StringList" | "SecureString")) => kind.to_owned(),
        Some(other) => {
            let message = format!("The parameter type {other} is not supported.");
            return Err(Fault::new("UnsupportedParameterType", message));
        }
        None => return Err(Fault::new(INVALID, "A parameter type is required when you create a parameter.")),
    };
    if text("KeyId").is_some() && kind != "SecureString" {
        return Err(Fault::new(INVALID, "KeyId is required for SecureString type parameter only."));
    }
    let data_type = text("DataType").unwrap_or("text").to_owned();
    if !matches!(data_type.as_str(), "text" | "aws:ec2:image") {
        let message = format!("The following data type is not supported: {data_type}");
        return Err(Fault::new(INVALID, message));
    }
    let key = (kind == "SecureString").then(|| text("KeyId").unwrap_or("alias/aws/ssm").to_owned());
    let version = newest.map_or(1, |newest| newest.version + 1);
    let parameter = Parameter { value: value.to_owned(), kind, key, data_type, version, modified: desk.now };
    let versions = desk.drawer.parameters.entry(name.to_owned()).or_default();
    versions.push(parameter);
    if versions.len() > MOST_VERSIONS {
        versions.remove(0);
    }
    Ok(json!({ "Version": version, "Tier": tier }))
}

/// Refuses what cannot be the name of a parameter of one's own.
fn check_name(name: &str) -> Result<(), Fault> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-/".contains(c);
    let first = name.trim_start_matches('/').split('/').next().unwrap_or_default().to_ascii_lowercase();
    if first.starts_with("aws") || first.starts_with("ssm") {
        let message = format!("No access to reserved parameter name: {name}.");
        return Err(Fault::new("AccessDeniedException", message));
    }
    if name.trim_matches('/').is_empty() || name.len() > 2048 || !name.chars().all(allowed) {
        let message = "Parameter name: can't be prefixed with \"aws\" or \"ssm\" (case-insensitive). Each \
                       sub-path can be formed as a mix of letters, numbers and the following 3 symbols .-_";
        return Err(Fault::new(INVALID, message));
    }
    if name.contains('/') && !name.starts_with('/') {
        return Err(Fault::new(INVALID, "Parameter name must be a fully qualified name."));
    }
    if name.split('/').count() > DEEPEST + 1 {
        let message = format!("A hierarchy can have at most {DEEPEST} levels.");
        return Err(Fault::new("HierarchyLevelLimitExceededException", message));
    }
    Ok(())
}

pub(super) fn get_parameter(desk: &mut Desk<'_>, input: &Value) -> Result<Value, Fault> {
    check(input, &["Name", "WithDecryption"], INVALID)?;
    let name = required(input, "Name", INVALID)?;
    if let Some(secret) = name.strip_prefix(SECRETS) {
        return reference(desk, name, secret, decrypts(input));
    }
    match find(desk, name, decrypts(input)) {
        Some(parameter) => Ok(json!({ "Parameter": parameter })),
        None if selected(name).1.is_some() && find(desk, selected(name).0, false).is_some() => {
            let message = format!("Systems Manager could not find version of {name}.");
            Err(Fault::new("ParameterVersionNotFound", message))
        }
        None => Err(Fault::new("ParameterNotFound", format!("Parameter {name} not found."))),
    }
}

/// A secret of Secrets Manager, by way of Systems Manager.
fn reference(desk: &mut Desk<'_>, name: &str, secret: &str, decrypts: bool) -> Result<Value, Fault> {
    if !decrypts {
        let message = "WithDecryption flag must be True for retrieving a Secret Manager secret.";
        return Err(Fault::new(INVALID, message));
    }
    let found = secrets::get_value(desk, &json!({ "SecretId": secret }))
        .map_err(|_| Fault::new("ParameterNotFound", format!("Parameter {name} not found.")))?;
    Ok(json!({ "Parameter": {
        "Name": name,
        "Type": "SecureString",
        "Value": found.get("SecretString").cloned().unwrap_or_default(),
        "Version": 0,
        "LastModifiedDate": desk.now.seconds() as f64,
        "ARN": found.get("ARN").cloned().unwrap_or_default(),
        "DataType": "text",
    } }))
}

pub(super) fn get_parameters(desk: &mut Desk<'_>, input: &Value) -> Result<Value, Fault> {
    check(input, &["Names", "WithDecryption"], INVALID)?;
    let (mut found, mut invalid) = (Vec::new(), Vec::new());
    for name in names(input)? {
        match find(desk, name, decrypts(input)) {
            Some(parameter) => found.push(parameter),
            None => invalid.push(name),
        }
    }
    Ok(json!({ "Parameters": found, "InvalidParameters": invalid }))
}

pub(super) fn get_by_path(desk: &mut Desk<'_>, input: &Value) -> Result<Value, Fault> {
    let known = &["Path", "Recursive", "WithDecryption", "MaxResults", "NextToken"];
    check(input, known, INVALID)?;
    let path = required(input, "Path", INVALID)?;
    if !path.starts_with('/') {
        let message = "The parameter doesn't meet the parameter name requirements. The parameter name must \
                       begin with a forward slash \"/\".";
        return Err(Fault::new(INVALID, message));
    }
    let recursive = input.get("Recursive").and_then(Value::as_bool).unwrap_or(false);
    let below = format!("{}/", path.trim_end_matches('/'));
    let all: Vec<&String> = desk
        .drawer
        .parameters
        .keys()
        .filter(|name| name.strip_prefix(&below).is_some_and(|rest| recursive || !rest.contains('/')))
        .collect();
    let (names, next) = token::page(all, input, MOST, |name| name.as_str(), "InvalidNextToken")?;
    let parameters: Vec<Value> =
        names.into_iter().filter_map(|name| find(desk, name, decrypts(input))).collect();
    let mut answer = json!({ "Parameters": parameters });
    if let Some(next) = next {
        answer["NextToken"] = json!(next);
    }
    Ok(answer)
}

pub(super) fn delete(desk: &mut Desk<'_>, input: &Value) -> Result<Value, Fault> {
    check(input, &["Name"], INVALID)?;
    let name = required(input, "Name", INVALID)?;
    match desk.drawer.parameters.remove(name) {
        Some(_) => Ok(json!({})),
        None => Err(Fault::new("ParameterNotFound", format!("Parameter {name} not found."))),
    }
}

pub(super) fn delete_several(desk: &mut Desk<'_>, input: &Value) -> Result<Value, Fault> {
    check(input, &["Names"], INVALID)?;
    let (mut gone, mut invalid) = (Vec::new(), Vec::new());
    for name in names(input)? {
        match desk.drawer.parameters.remove(name) {
            Some(_) => gone.push(name),
            None => invalid.push(name),
        }
    }
    Ok(json!({ "DeletedParameters": gone, "InvalidParameters": invalid }))
}

fn names(input: &Value) -> Result<Vec<&str>, Fault> {
    let names = input.get("Names").and_then(Value::as_array);
    let names: Vec<&str> =
        names.map(|names| names.iter().filter_map(Value::as_str).collect()).unwrap_or_default();
    if names.is_empty() || names.len() > MOST {
        let message = format!(
            "1 validation error detected: Value at 'names' failed to satisfy constraint: Member must have \
             length less than or equal to {MOST}, and at least 1"
        );
        return Err(Fault::new(INVALID, message));
    }
    Ok(names)
}

fn decrypts(input: &Value) -> bool {
    input.get("WithDecryption").and_then(Value::as_bool).unwrap_or(false)
}

/// The name and the version of `name:3`.
fn selected(name: &str) -> (&str, Option<&str>) {
    match name.split_once(':') {
        Some((name, version)) => (name, Some(version)),
        None => (name, None),
    }
}

fn find(desk: &Desk<'_>, asked: &str, decrypt: bool) -> Option<Value> {
    let region = desk.place.name;
    let (name, version) = selected(asked);
    if let Some(versions) = desk.drawer.parameters.get(name) {
        let found = match version {
            None => versions.last()?,
            Some(version) => {
                let number: u64 = version.parse().ok()?;
                versions.iter().find(|parameter| parameter.version == number)?
            }
        };
        let hidden = found.kind == "SecureString" && !decrypt;
        let mut parameter = json!({
            "Name": name,
            "Type": found.kind,
            "Value": if hidden { ciphertext(name, &found.value) } else { found.value.clone() },
            "Version": found.version,
            "LastModifiedDate": found.modified.seconds() as f64,
            "ARN": format!("arn:aws:ssm:{region}:{ACCOUNT}:parameter/{}", name.trim_start_matches('/')),
            "DataType": found.data_type,
        });
        if let Some(version) = version {
            parameter["Selector"] = json!(format!(":{version}"));
        }
        return Some(parameter);
    }
    let image = images::newest(region, asked)?;
    let modified = Moment::parse(&image.created).map_or(0, Moment::seconds);
    Some(json!({
        "Name": asked,
        "Type": "String",
        "Value": image.id,
        "Version": 42,
        "LastModifiedDate": modified as f64,
        "ARN": format!("arn:aws:ssm:{region}::parameter{asked}"),
        "DataType": "aws:ec2:image",
    }))
}

/// What is told of a secret that is not asked for in clear: the same for the same value, and no way back.
fn ciphertext(name: &str, value: &str) -> String {
    let digest = Sha256::digest(format!("{name}\0{value}"));
    format!("AQICAH{}", STANDARD.encode(digest))
}
