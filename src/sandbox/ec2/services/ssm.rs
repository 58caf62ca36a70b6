//! SSM: the public parameters that name the newest machine images.

use serde_json::{Value, json};

use super::{Desk, check, required};
use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::images;
use crate::sandbox::ec2::moment::Moment;

const INVALID: &str = "ValidationException";
/// No more names in one request.
const MOST: usize = 10;

pub(super) fn get_parameter(desk: &Desk<'_>, input: &Value) -> Result<Value, Fault> {
    check(input, &["Name", "WithDecryption"], INVALID)?;
    let name = required(input, "Name", INVALID)?;
    match parameter(desk, name) {
        Some(parameter) => Ok(json!({ "Parameter": parameter })),
        None => Err(Fault::new("ParameterNotFound", format!("Parameter {name} not found."))),
    }
}

pub(super) fn get_parameters(desk: &Desk<'_>, input: &Value) -> Result<Value, Fault> {
    check(input, &["Names", "WithDecryption"], INVALID)?;
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
    let (mut found, mut invalid) = (Vec::new(), Vec::new());
    for name in names {
        match parameter(desk, name) {
            Some(parameter) => found.push(parameter),
            None => invalid.push(name),
        }
    }
    Ok(json!({ "Parameters": found, "InvalidParameters": invalid }))
}

fn parameter(desk: &Desk<'_>, name: &str) -> Option<Value> {
    let region = desk.place.name;
    let image = images::newest(region, name)?;
    let modified = Moment::parse(&image.created).map_or(0, Moment::seconds);
    Some(json!({
        "Name": name,
        "Type": "String",
        "Value": image.id,
        "Version": 42,
        "LastModifiedDate": modified as f64,
        "ARN": format!("arn:aws:ssm:{region}::parameter{name}"),
        "DataType": "aws:ec2:image",
    }))
}
