//! The other services of AWS that a deployment needs to ask, at the same endpoint.
//!
//! SSM, Secrets Manager, CloudWatch, Service Quotas and Pricing speak JSON and name their action in
//! `X-Amz-Target`; IAM speaks the query protocol, S3 a protocol of its own.

mod alarms;
pub(super) mod iam;
mod metrics;
mod pricing;
mod quotas;
pub(super) mod s3;
mod secrets;
mod shelf;
mod ssm;
mod statistics;
mod token;

use serde_json::Value;

use super::Faults;
use super::fault::Fault;
use super::moment::Moment;
use super::regions::Place;
pub(super) use shelf::{Drawer, Shelf};

/// What an action of these services may look at, and what it may change.
pub(super) struct Desk<'a> {
    /// The region that was asked.
    pub place: &'static Place,
    pub faults: &'a Faults,
    /// What the region keeps.
    pub drawer: &'a mut Drawer,
    /// When.
    pub now: Moment,
}

/// One row of the table of actions.
pub(super) struct Action {
    service: &'static str,
    name: &'static str,
    /// Whether it changes what the region keeps.
    pub writes: bool,
    /// Its handler. A handler that fails has changed nothing.
    pub run: fn(&mut Desk<'_>, &Value) -> Result<Value, Fault>,
}

const fn read(
    service: &'static str,
    name: &'static str,
    run: fn(&mut Desk<'_>, &Value) -> Result<Value, Fault>,
) -> Action {
    Action { service, name, writes: false, run }
}

const fn write(
    service: &'static str,
    name: &'static str,
    run: fn(&mut Desk<'_>, &Value) -> Result<Value, Fault>,
) -> Action {
    Action { service, name, writes: true, run }
}

static ACTIONS: &[Action] = &[
    read("ssm", "GetParameter", ssm::get_parameter),
    read("ssm", "GetParameters", ssm::get_parameters),
    read("ssm", "GetParametersByPath", ssm::get_by_path),
    write("ssm", "PutParameter", ssm::put),
    write("ssm", "DeleteParameter", ssm::delete),
    write("ssm", "DeleteParameters", ssm::delete_several),
    write("secretsmanager", "CreateSecret", secrets::create),
    write("secretsmanager", "PutSecretValue", secrets::put_value),
    read("secretsmanager", "GetSecretValue", secrets::get_value),
    read("secretsmanager", "DescribeSecret", secrets::describe),
    read("secretsmanager", "ListSecrets", secrets::list),
    write("secretsmanager", "DeleteSecret", secrets::delete),
    write("secretsmanager", "RestoreSecret", secrets::restore),
    write("monitoring", "PutMetricData", metrics::put),
    read("monitoring", "GetMetricData", metrics::data),
    read("monitoring", "GetMetricStatistics", metrics::statistics),
    read("monitoring", "ListMetrics", metrics::list),
    write("monitoring", "PutMetricAlarm", alarms::put),
    read("monitoring", "DescribeAlarms", alarms::describe),
    write("monitoring", "DeleteAlarms", alarms::delete),
    write("monitoring", "PutDashboard", alarms::put_dashboard),
    read("monitoring", "GetDashboard", alarms::get_dashboard),
    write("monitoring", "DeleteDashboards", alarms::delete_dashboards),
    read("servicequotas", "GetServiceQuota", quotas::get),
    read("servicequotas", "ListServiceQuotas", quotas::list),
    read("pricing", "GetProducts", pricing::get_products),
];

/// The service and the action that an `X-Amz-Target` names.
pub(super) fn target(header: &str) -> Option<(&'static str, &str)> {
    let (prefix, action) = header.split_once('.')?;
    let service = match prefix {
        "AmazonSSM" => "ssm",
        "secretsmanager" => "secretsmanager",
        "GraniteServiceVersion20100801" => "monitoring",
        "ServiceQuotasV20190624" => "servicequotas",
        "AWSPriceListService" => "pricing",
        _ => return None,
    };
    Some((service, action))
}

/// The row of an action of a service that speaks JSON.
pub(super) fn find(service: &str, action: &str) -> Result<&'static Action, Fault> {
    let row = ACTIONS.iter().find(|row| row.service == service && row.name == action);
    let message = || format!("the sandbox's {service} has no {action}");
    row.ok_or_else(|| Fault::new("UnknownOperationException", message()))
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
