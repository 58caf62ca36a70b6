//! Secrets Manager: secrets and their versions.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

use super::{Desk, check, required, token};
use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::model::ACCOUNT;
use crate::sandbox::ec2::moment::Moment;
use crate::sandbox::ec2::response::request_id;

const INVALID: &str = "InvalidParameterException";
const CURRENT: &str = "AWSCURRENT";
const PREVIOUS: &str = "AWSPREVIOUS";
/// Bytes of a value.
const LONGEST: usize = 65_536;
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in super::super) struct Secret {
    arn: String,
    name: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    tags: Vec<Value>,
    created: Moment,
    changed: Moment,
    /// When it is gone for good, once its deletion has been asked for.
    #[serde(default)]
    deleted: Option<Moment>,
    /// By version id.
    versions: BTreeMap<String, Version>,
}

/// One value of a secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Version {
    /// `SecretString` or `SecretBinary`.
    form: String,
    value: String,
    created: Moment,
    stages: Vec<String>,
}

impl Version {
    fn same(&self, value: &(String, String)) -> bool {
        self.form == value.0 && self.value == value.1
    }
}

pub(super) fn create(desk: &mut Desk<'_>, input: &Value) -> Result<Value, Fault> {
    let known = &[
        "Name",
        "ClientRequestToken",
        "Description",
        "KmsKeyId",
        "SecretBinary",
        "SecretString",
        "Tags",
        "ForceOverwriteReplicaSecret",
    ];
    check(input, known, INVALID)?;
    let name = required(input, "Name", INVALID)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "/_+=.@-".contains(c);
    if name.is_empty() || name.len() > 512 || !name.chars().all(allowed) {
        let message = "Invalid name. Must be a valid name containing alphanumeric characters, or any of the \
                       following: -/_+=.@!";
        return Err(Fault::new("ValidationException", message));
    }
    let value = value(input)?;
    let version = client_token(input)?;
    forget(desk);
    if let Some(secret) = desk.drawer.secrets.get(name) {
        refuse_deleted(secret, "create")?;
        let repeated = secret.versions.get(&version).zip(value.as_ref());
        if repeated.is_some_and(|(known, value)| known.same(value)) {
            return Ok(json!({ "ARN": secret.arn, "Name": name, "VersionId": version }));
        }
        let message = format!("The operation failed because the secret {name} already exists.");
        return Err(Fault::new("ResourceExistsException", message));
    }
    let tail: String = request_id().chars().filter(char::is_ascii_alphanumeric).take(6).collect();
    let arn = format!("arn:aws:secretsmanager:{}:{ACCOUNT}:secret:{name}-{tail}", desk.place.name);
    let text = |name: &str| input.get(name).and_then(Value::as_str).map(str::to_owned);
    let mut secret = Secret {
        arn: arn.clone(),
        name: name.to_owned(),
        description: text("Description"),
        key: text("KmsKeyId"),
        tags: input.get("Tags").and_then(Value::as_array).cloned().unwrap_or_default(),
        created: desk.now,
        changed: desk.now,
        deleted: None,
        versions: BTreeMap::new(),
    };
    let mut answer = json!({ "ARN": arn, "Name": name });
    if let Some(value) = value {
        add(&mut secret, &version, value, vec![CURRENT.to_owned()], desk.now);
        answer["VersionId"] = json!(version);
    }
    desk.drawer.secrets.insert(name.to_owned(), secret);
    Ok(answer)
}

pub(super) fn put_value(desk: &mut Desk<'_>, input: &Value) -> Result<Value, Fault> {
    let known = &["SecretId", "ClientRequestToken", "SecretBinary", "SecretString", "VersionStages"];
    check(input, known, INVALID)?;
    let value = value(input)?;
    let value = value.ok_or_else(|| {
        Fault::new("InvalidRequestException", "You must provide either SecretString or SecretBinary.")
    })?;
    let version = client_token(input)?;
    let stages = input.get("VersionStages").and_then(Value::as_array);
    let stages: Vec<String> = match stages {
        Some(stages) => stages.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        None => vec![CURRENT.to_owned()],
    };
    let now = desk.now;
    let secret = find(desk, input)?;
    refuse_deleted(secret, "perform the operation on")?;
    match secret.versions.get(&version) {
        Some(known) if known.same(&value) => {}
        Some(_) => {
            let message = format!(
                "You can't use ClientRequestToken {version} because that value is already in use for a version \
                 of secret {}.",
                secret.arn
            );
            return Err(Fault::new("ResourceExistsException", message));
        }
        None => add(secret, &version, value, stages, now),
    }
    let stages = secret.versions.get(&version).map(|version| version.stages.clone());
    Ok(json!({
        "ARN": secret.arn, "Name": secret.name, "VersionId": version, "VersionStages": stages.unwrap_or_default(),
    }))
}

/// Adds a version and moves the stages to it; the one that was current becomes the previous one.
fn add(secret: &mut Secret, id: &str, value: (String, String), stages: Vec<String>, now: Moment) {
    if stages.iter().any(|stage| stage == CURRENT) {
        for version in secret.versions.values_mut() {
            let was_current = version.stages.iter().any(|stage| stage == CURRENT);
            version.stages.retain(|stage| stage != PREVIOUS);
            if was_current {
                version.stages.push(PREVIOUS.to_owned());
            }
        }
    }
    for version in secret.versions.values_mut() {
        version.stages.retain(|stage| !stages.contains(stage));
    }
    // A version without a stage is deprecated and goes.
    secret.versions.retain(|_, version| !version.stages.is_empty());
    let (form, value) = value;
    secret.versions.insert(id.to_owned(), Version { form, value, created: now, stages });
    secret.changed = now;
}

pub(super) fn get_value(desk: &mut Desk<'_>, input: &Value) -> Result<Value, Fault> {
    check(input, &["SecretId", "VersionId", "VersionStage"], INVALID)?;
    let text = |name: &str| input.get(name).and_then(Value::as_str);
    let secret = find(desk, input)?;
    refuse_deleted(secret, "perform the operation on")?;
    let stage = text("VersionStage").or(if text("VersionId").is_none() { Some(CURRENT) } else { None });
    let found = secret.versions.iter().find(|(id, version)| {
        text("VersionId").is_none_or(|wanted| wanted == id.as_str())
            && stage.is_none_or(|stage| version.stages.iter().any(|known| known == stage))
    });
    let (id, version) = found.ok_or_else(|| {
        let wanted = match (text("VersionId"), stage) {
            (Some(id), _) => format!("VersionId: {id}"),
            (None, stage) => format!("staging label: {}", stage.unwrap_or(CURRENT)),
        };
        let message = format!("Secrets Manager can't find the specified secret value for {wanted}");
        Fault::new("ResourceNotFoundException", message)
    })?;
    let mut answer = json!({
        "ARN": secret.arn,
        "Name": secret.name,
        "VersionId": id,
        "VersionStages": version.stages,
        "CreatedDate": version.created.seconds() as f64,
    });
    answer[version.form.as_str()] = json!(version.value);
    Ok(answer)
}

pub(super) fn describe(desk: &mut Desk<'_>, input: &Value) -> Result<Value, Fault> {
    check(input, &["SecretId"], INVALID)?;
    Ok(tell(find(desk, input)?, "VersionIdsToStages"))
}

pub(super) fn list(desk: &mut Desk<'_>, input: &Value) -> Result<Value, Fault> {
    check(input, &["MaxResults", "NextToken", "IncludePlannedDeletion", "SortOrder"], INVALID)?;
    forget(desk);
    let doomed = input.get("IncludePlannedDeletion").and_then(Value::as_bool).unwrap_or(false);
    let all: Vec<&Secret> =
        desk.drawer.secrets.values().filter(|secret| doomed || secret.deleted.is_none()).collect();
    let (page, next) =
        token::page(all, input, 100, |secret| secret.name.as_str(), "InvalidNextTokenException")?;
    let secrets: Vec<Value> = page.into_iter().map(|secret| tell(secret, "SecretVersionsToStages")).collect();
    let mut answer = json!({ "SecretList": secrets });
    if let Some(next) = next {
        answer["NextToken"] = json!(next);
    }
    Ok(answer)
}

pub(super) fn delete(desk: &mut Desk<'_>, input: &Value) -> Result<Value, Fault> {
    check(input, &["SecretId", "RecoveryWindowInDays", "ForceDeleteWithoutRecovery"], INVALID)?;
    let force = input.get("ForceDeleteWithoutRecovery").and_then(Value::as_bool).unwrap_or(false);
    let days = input.get("RecoveryWindowInDays").and_then(Value::as_u64);
    if force && days.is_some() {
        let message = "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.";
        return Err(Fault::new(INVALID, message));
    }
    let days = days.unwrap_or(30);
    if !(7..=30).contains(&days) {
        let message = "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).";
        return Err(Fault::new(INVALID, message));
    }
    let now = desk.now;
    let secret = find(desk, input)?;
    if !force {
        refuse_deleted(secret, "perform the operation on")?;
    }
    let end = if force { now } else { now.plus(DAY.saturating_mul(u32::try_from(days).unwrap_or(30))) };
    secret.deleted = Some(end);
    let answer = json!({ "ARN": secret.arn, "Name": secret.name, "DeletionDate": end.seconds() as f64 });
    forget(desk);
    Ok(answer)
}

pub(super) fn restore(desk: &mut Desk<'_>, input: &Value) -> Result<Value, Fault> {
    check(input, &["SecretId"], INVALID)?;
    let secret = find(desk, input)?;
    secret.deleted = None;
    Ok(json!({ "ARN": secret.arn, "Name": secret.name }))
}

fn tell(secret: &Secret, versions: &str) -> Value {
    let stages: Map<String, Value> =
        secret.versions.iter().map(|(id, version)| (id.clone(), json!(version.stages))).collect();
    let mut told = json!({
        "ARN": secret.arn,
        "Name": secret.name,
        "Tags": secret.tags,
        "CreatedDate": secret.created.seconds() as f64,
        "LastChangedDate": secret.changed.seconds() as f64,
    });
    told[versions] = Value::Object(stages);
    for (name, value) in [("Description", &secret.description), ("KmsKeyId", &secret.key)] {
        if let Some(value) = value {
            told[name] = json!(value);
        }
    }
    if let Some(deleted) = secret.deleted {
        told["DeletedDate"] = json!(deleted.seconds() as f64);
    }
    told
}

/// Drops the secrets whose recovery window has passed.
fn forget(desk: &mut Desk<'_>) {
    let now = desk.now;
    desk.drawer.secrets.retain(|_, secret| secret.deleted.is_none_or(|end| end > now));
}

/// The secret of `SecretId`: a name, an ARN, or an ARN without the six characters at its end.
fn find<'a>(desk: &'a mut Desk<'_>, input: &Value) -> Result<&'a mut Secret, Fault> {
    let id = required(input, "SecretId", INVALID)?;
    forget(desk);
    let fits = |secret: &Secret| {
        let partial = secret.arn.rsplit_once('-').map(|(start, _)| start);
        secret.name == id || secret.arn == id || partial == Some(id)
    };
    desk.drawer.secrets.values_mut().find(|secret| fits(secret)).ok_or_else(|| {
        Fault::new("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
    })
}

fn refuse_deleted(secret: &Secret, doing: &str) -> Result<(), Fault> {
    if secret.deleted.is_none() {
        return Ok(());
    }
    let message = match doing {
        "create" => {
            "You can't create this secret because a secret with this name is already scheduled for deletion."
        }
        _ => "You can't perform this operation on the secret because it was marked for deletion.",
    };
    Err(Fault::new("InvalidRequestException", message))
}

/// `SecretString` or `SecretBinary`, and the value; none without either.
fn value(input: &Value) -> Result<Option<(String, String)>, Fault> {
    let mut given = Vec::new();
    for form in ["SecretString", "SecretBinary"] {
        if let Some(value) = input.get(form).and_then(Value::as_str) {
            given.push((form.to_owned(), value.to_owned()));
        }
    }
    if given.len() > 1 {
        return Err(Fault::new(
            INVALID,
            "You can't specify both a binary secret value and a string secret value.",
        ));
    }
    if given.iter().any(|(_, value)| value.is_empty() || value.len() > LONGEST) {
        let message = format!("A secret value must have 1 to {LONGEST} bytes.");
        return Err(Fault::new("ValidationException", message));
    }
    Ok(given.pop())
}

/// `ClientRequestToken`, which becomes the id of the version.
fn client_token(input: &Value) -> Result<String, Fault> {
    match input.get("ClientRequestToken").and_then(Value::as_str) {
        None => Ok(request_id()),
        Some(token) if (32..=64).contains(&token.len()) => Ok(token.to_owned()),
        Some(_) => Err(Fault::new(INVALID, "ClientRequestToken must be 32-64 characters long.")),
    }
}
