//! CloudWatch alarms and dashboards.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

use super::metrics::{INVALID, Subject, named, period, periods};
use super::statistics::Statistic;
use super::{Desk, check, token};
use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::model::ACCOUNT;
use crate::sandbox::ec2::moment::Moment;

/// Alarms on a page, and names in a deletion.
const MOST: usize = 100;
/// What `PutMetricAlarm` takes.
const KNOWN: &[&str] = &[
    "AlarmName",
    "AlarmDescription",
    "ActionsEnabled",
    "OKActions",
    "AlarmActions",
    "InsufficientDataActions",
    "MetricName",
    "Namespace",
    "Statistic",
    "ExtendedStatistic",
    "Dimensions",
    "Period",
    "Unit",
    "EvaluationPeriods",
    "DatapointsToAlarm",
    "Threshold",
    "ComparisonOperator",
    "TreatMissingData",
    "EvaluateLowSampleCountPercentile",
    "Tags",
];

/// An alarm on one metric.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in super::super) struct Alarm {
    /// As it was asked for.
    request: Value,
    changed: Moment,
}

pub(super) fn put(desk: &mut Desk<'_>, input: &Value) -> Result<Value, Fault> {
    check(input, KNOWN, INVALID)?;
    let name = named(input, "AlarmName")?;
    if name.len() > 255 {
        return Err(Fault::new("ValidationError", "The alarm name must have at most 255 characters."));
    }
    Rule::read(input)?;
    let alarm = Alarm { request: input.clone(), changed: desk.now };
    desk.drawer.alarms.insert(name.to_owned(), alarm);
    Ok(json!({}))
}

/// What an alarm watches for.
struct Rule {
    subject: Subject,
    statistic: Statistic,
    period: Duration,
    periods: u32,
    needed: usize,
    threshold: f64,
    breaches: fn(f64, f64) -> bool,
    missing: String,
}

impl Rule {
    fn read(input: &Value) -> Result<Self, Fault> {
        let wrong = |message: String| Fault::new("ValidationError", message);
        let text = |name: &str| input.get(name).and_then(Value::as_str);
        let statistic = match (text("Statistic"), text("ExtendedStatistic")) {
            (Some(name), None) | (None, Some(name)) => Statistic::parse(name)?,
            _ => {
                return Err(wrong(
                    "Exactly one of Statistic and ExtendedStatistic must be specified".to_owned(),
                ));
            }
        };
        let number = |name: &str| input.get(name).and_then(Value::as_u64);
        let count = number("EvaluationPeriods").and_then(|count| u32::try_from(count).ok());
        let count = count.filter(|count| (1..=1000).contains(count));
        let count = count.ok_or_else(|| wrong("EvaluationPeriods must be from 1 to 1000".to_owned()))?;
        let needed = number("DatapointsToAlarm").unwrap_or(u64::from(count));
        if needed == 0 || needed > u64::from(count) {
            return Err(wrong("DatapointsToAlarm must be from 1 to EvaluationPeriods".to_owned()));
        }
        let threshold = input.get("Threshold").and_then(Value::as_f64);
        let missing = text("TreatMissingData").unwrap_or("missing");
        if !matches!(missing, "breaching" | "notBreaching" | "ignore" | "missing") {
            return Err(wrong(format!("The value {missing} is unsupported for TreatMissingData parameter.")));
        }
        let breaches: fn(f64, f64) -> bool = match named(input, "ComparisonOperator")? {
            "GreaterThanOrEqualToThreshold" => |value, threshold| value >= threshold,
            "GreaterThanThreshold" => |value, threshold| value > threshold,
            "LessThanThreshold" => |value, threshold| value < threshold,
            "LessThanOrEqualToThreshold" => |value, threshold| value <= threshold,
            other => return Err(wrong(format!("the sandbox has no alarms with {other}"))),
        };
        Ok(Rule {
            subject: Subject::read(input)?,
            statistic,
            period: period(input)?,
            periods: count,
            needed: usize::try_from(needed).unwrap_or(usize::MAX),
            threshold: threshold.ok_or_else(|| wrong("Threshold must be specified".to_owned()))?,
            breaches,
            missing: missing.to_owned(),
        })
    }

    /// The state that the last periods call for, the one that is not over yet included, and why.
    fn state(&self, desk: &Desk<'_>) -> (&'static str, String) {
        let seconds = self.period.as_secs().max(1);
        let end = Moment::from_seconds(desk.now.seconds() / seconds * seconds + seconds);
        let start = end.minus(self.period.saturating_mul(self.periods));
        let data = periods(desk, &self.subject, None, (start, end), self.period);
        if data.is_empty() && self.missing == "missing" {
            return ("INSUFFICIENT_DATA", "Insufficient Data: no datapoints were received".to_owned());
        }
        let mut breaching = data
            .values()
            .filter(|(bucket, _)| (self.breaches)(self.statistic.of(bucket), self.threshold))
            .count();
        if self.missing == "breaching" {
            breaching += (self.periods as usize).saturating_sub(data.len());
        }
        let reason = format!(
            "Threshold Crossed: {breaching} of the last {} datapoints against the threshold ({}); {} needed",
            self.periods, self.threshold, self.needed
        );
        (if breaching >= self.needed { "ALARM" } else { "OK" }, reason)
    }
}

pub(super) fn describe(desk: &mut Desk<'_>, input: &Value) -> Result<Value, Fault> {
    let known = &[
        "AlarmNames",
        "AlarmNamePrefix",
        "AlarmTypes",
        "StateValue",
        "ActionPrefix",
        "MaxRecords",
        "NextToken",
    ];
    check(input, known, INVALID)?;
    let text = |name: &str| input.get(name).and_then(Value::as_str);
    let names: Option<Vec<&str>> = input
        .get("AlarmNames")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect());
    if names.is_some() && text("AlarmNamePrefix").is_some() {
        let message = "AlarmNamePrefix and AlarmNames cannot be used together";
        return Err(Fault::new("InvalidParameterCombination", message));
    }
    let types = input.get("AlarmTypes").and_then(Value::as_array);
    let of_metrics =
        types.is_none_or(|types| types.is_empty() || types.iter().any(|kind| kind == "MetricAlarm"));
    let mut told = Vec::new();
    for (name, alarm) in &desk.drawer.alarms {
        let fits = of_metrics
            && names.as_ref().is_none_or(|names| names.contains(&name.as_str()))
            && text("AlarmNamePrefix").is_none_or(|prefix| name.starts_with(prefix));
        if !fits {
            continue;
        }
        let (state, reason) = Rule::read(&alarm.request)?.state(desk);
        if text("StateValue").is_some_and(|wanted| wanted != state) {
            continue;
        }
        told.push((name.clone(), tell(desk, name, alarm, state, &reason)));
    }
    let mut paging = input.clone();
    if let Some(most) = input.get("MaxRecords") {
        paging["MaxResults"] = most.clone();
    }
    let (page, next) = token::page(told, &paging, MOST, |(name, _)| name.as_str(), "InvalidNextToken")?;
    let alarms: Vec<Value> = page.into_iter().map(|(_, alarm)| alarm).collect();
    let mut answer = json!({ "MetricAlarms": alarms, "CompositeAlarms": [] });
    if let Some(next) = next {
        answer["NextToken"] = json!(next);
    }
    Ok(answer)
}

fn tell(desk: &Desk<'_>, name: &str, alarm: &Alarm, state: &str, reason: &str) -> Value {
    let mut told = alarm.request.clone();
    if let Some(told) = told.as_object_mut() {
        told.remove("Tags");
    }
    for list in ["OKActions", "AlarmActions", "InsufficientDataActions", "Dimensions"] {
        if told.get(list).is_none() {
            told[list] = json!([]);
        }
    }
    if told.get("ActionsEnabled").is_none() {
        told["ActionsEnabled"] = json!(true);
    }
    told["AlarmArn"] = json!(format!("arn:aws:cloudwatch:{}:{ACCOUNT}:alarm:{name}", desk.place.name));
    told["AlarmConfigurationUpdatedTimestamp"] = json!(alarm.changed.seconds() as f64);
    told["StateValue"] = json!(state);
    told["StateReason"] = json!(reason);
    told["StateUpdatedTimestamp"] = json!(desk.now.seconds() as f64);
    told
}

pub(super) fn delete(desk: &mut Desk<'_>, input: &Value) -> Result<Value, Fault> {
    check(input, &["AlarmNames"], INVALID)?;
    let names: Vec<&str> = input
        .get("AlarmNames")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    if names.len() > MOST {
        return Err(Fault::new("ValidationError", format!("At most {MOST} alarms can be deleted at once")));
    }
    if let Some(name) = names.iter().find(|name| !desk.drawer.alarms.contains_key(**name)) {
        return Err(Fault::with_status(404, "ResourceNotFound", format!("Alarm {name} does not exist")));
    }
    for name in names {
        desk.drawer.alarms.remove(name);
    }
    Ok(json!({}))
}

pub(super) fn put_dashboard(desk: &mut Desk<'_>, input: &Value) -> Result<Value, Fault> {
    check(input, &["DashboardName", "DashboardBody"], INVALID)?;
    let (name, body) = (dashboard_name(input)?, named(input, "DashboardBody")?);
    let parsed: Option<Value> = serde_json::from_str(body).ok();
    if parsed.as_ref().and_then(Value::as_object).is_none() {
        let message = "The field DashboardBody must be a valid JSON object";
        return Err(Fault::new("InvalidParameterInput", message));
    }
    let widgets = parsed.as_ref().and_then(|body| body.get("widgets")).and_then(Value::as_array);
    let Some(widgets) = widgets else {
        let message =
            "The dashboard body is invalid, there is 1 validation error: Should have property widgets";
        return Err(Fault::new("InvalidParameterInput", message));
    };
    if let Some(place) = widgets.iter().position(|widget| widget.get("type").is_none()) {
        let message = format!(
            "The dashboard body is invalid, there is 1 validation error: /widgets/{place} should have property type"
        );
        return Err(Fault::new("InvalidParameterInput", message));
    }
    desk.drawer.dashboards.insert(name.to_owned(), body.to_owned());
    Ok(json!({ "DashboardValidationMessages": [] }))
}

pub(super) fn get_dashboard(desk: &mut Desk<'_>, input: &Value) -> Result<Value, Fault> {
    check(input, &["DashboardName"], INVALID)?;
    let name = dashboard_name(input)?;
    let body = desk.drawer.dashboards.get(name).ok_or_else(|| unknown(name))?;
    Ok(json!({
        "DashboardArn": format!("arn:aws:cloudwatch::{ACCOUNT}:dashboard/{name}"),
        "DashboardName": name,
        "DashboardBody": body,
    }))
}

pub(super) fn delete_dashboards(desk: &mut Desk<'_>, input: &Value) -> Result<Value, Fault> {
    check(input, &["DashboardNames"], INVALID)?;
    let names = input.get("DashboardNames").and_then(Value::as_array);
    let names: Vec<&str> =
        names.map(|names| names.iter().filter_map(Value::as_str).collect()).unwrap_or_default();
    if let Some(name) = names.iter().find(|name| !desk.drawer.dashboards.contains_key(**name)) {
        return Err(unknown(name));
    }
    for name in names {
        desk.drawer.dashboards.remove(name);
    }
    Ok(json!({}))
}

fn unknown(name: &str) -> Fault {
    Fault::with_status(404, "ResourceNotFound", format!("Dashboard {name} does not exist"))
}

fn dashboard_name(input: &Value) -> Result<&str, Fault> {
    let name = named(input, "DashboardName")?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    if name.len() > 255 || !name.chars().all(allowed) {
        let message = format!("The value {name} for field DashboardName contains invalid characters.");
        return Err(Fault::new(INVALID, message));
    }
    Ok(name)
}
