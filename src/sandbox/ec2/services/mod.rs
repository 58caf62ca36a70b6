//! The other services of AWS that a launch needs to ask, at the same endpoint.
//!
//! SSM, Service Quotas and Pricing speak JSON 1.1 and name their action in `X-Amz-Target`; IAM speaks
//! the query protocol.

pub(super) mod iam;
mod pricing;
mod quotas;
mod ssm;

use serde_json::Value;

use super::Faults;
use super::fault::Fault;
use super::regions::Place;

/// What an action of these services may look at.
pub(super) struct Desk<'a> {
    /// The region that was asked.
    pub place: &'static Place,
    pub faults: &'a Faults,
}

/// The service and the action that an `X-Amz-Target` names.
pub(super) fn target(header: &str) -> Option<(&'static str, &str)> {
    let (prefix, action) = header.split_once('.')?;
    let service = match prefix {
        "AmazonSSM" => "ssm",
        "ServiceQuotasV20190624" => "servicequotas",
        "AWSPriceListService" => "pricing",
        _ => return None,
    };
    Some((service, action))
}

/// Answers an action of a service that speaks JSON.
pub(super) fn answer(desk: &Desk<'_>, service: &str, action: &str, input: &Value) -> Result<Value, Fault> {
    match (service, action) {
        ("ssm", "GetParameter") => ssm::get_parameter(desk, input),
        ("ssm", "GetParameters") => ssm::get_parameters(desk, input),
        ("servicequotas", "GetServiceQuota") => quotas::get(desk, input),
        ("servicequotas", "ListServiceQuotas") => quotas::list(desk, input),
        ("pricing", "GetProducts") => pricing::get_products(input),
        _ => Err(Fault::new("UnknownOperationException", format!("the sandbox's {service} has no {action}"))),
    }
}

/// Refuses members that an action does not know.
fn check(input: &Value, known: &[&str], code: &str) -> Result<(), Fault> {
    let Some(members) = input.as_object() else {
        return Err(Fault::new("SerializationException", "Expected a JSON object"));
    };
    match members.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(Fault::new(code, format!("The parameter {name} is not recognized"))),
        None => Ok(()),
    }
}

/// A text member that must be there.
fn required<'a>(input: &'a Value, name: &str, code: &str) -> Result<&'a str, Fault> {
    let text = input.get(name).and_then(Value::as_str);
    text.ok_or_else(|| Fault::new(code, format!("The request must contain the parameter {name}")))
}
