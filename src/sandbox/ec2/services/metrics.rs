//! CloudWatch metrics: PutMetricData, GetMetricData, GetMetricStatistics, ListMetrics.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::statistics::{Bucket, Statistic};
use super::{Desk, check, token};
use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::moment::Moment;

pub(super) const INVALID: &str = "InvalidParameterValue";
const MOST_DATA: usize = 1000;
const MOST_DIMENSIONS: usize = 30;
const MOST_VALUES: usize = 150;
/// Data points of one answer of `GetMetricStatistics`.
const MOST_POINTS: u64 = 1440;
/// Data points of one page of `GetMetricData`.
const MOST_RESULTS: usize = 100_800;
/// Metrics of one page.
const MOST_LISTED: usize = 500;
/// Data points kept of each metric; the oldest go first.
const KEPT: usize = 10_000;
const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long a metric is listed after its newest data point.
const LISTED: Duration = Duration::from_secs(14 * 24 * 3600);

/// A metric and its data, in the order of time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in super::super) struct Metric {
    #[serde(flatten)]
    pub subject: Subject,
    points: Vec<Point>,
}

/// What a metric measures.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(in super::super) struct Subject {
    pub namespace: String,
    pub name: String,
    #[serde(default)]
    pub dimensions: BTreeMap<String, String>,
}

/// One data point as it came in.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Point {
    at: Moment,
    unit: String,
    #[serde(flatten)]
    bucket: Bucket,
}

impl Subject {
    /// `Namespace`, `MetricName` and `Dimensions` of a document.
    pub fn read(input: &Value) -> Result<Self, Fault> {
        Ok(Subject {
            namespace: named(input, "Namespace")?.to_owned(),
            name: named(input, "MetricName")?.to_owned(),
            dimensions: dimensions(input)?,
        })
    }

    /// The same, written.
    pub fn tell(&self) -> Value {
        let dimensions: Vec<Value> =
            self.dimensions.iter().map(|(name, value)| json!({ "Name": name, "Value": value })).collect();
        json!({ "Namespace": self.namespace, "MetricName": self.name, "Dimensions": dimensions })
    }
}

/// A text that must be there.
pub(super) fn named<'a>(input: &'a Value, name: &str) -> Result<&'a str, Fault> {
    let text = input.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    text.ok_or_else(|| Fault::new("MissingParameter", format!("The parameter {name} is required.")))
}

fn dimensions(input: &Value) -> Result<BTreeMap<String, String>, Fault> {
    let empty = Vec::new();
    let given = input.get("Dimensions").and_then(Value::as_array).unwrap_or(&empty);
    if given.len() > MOST_DIMENSIONS {
        let message =
            format!("The collection Dimensions must not have a size greater than {MOST_DIMENSIONS}.");
        return Err(Fault::new(INVALID, message));
    }
    let pairs = given.iter().map(|pair| Ok((named(pair, "Name")?.into(), named(pair, "Value")?.into())));
    pairs.collect()
}

/// A time: seconds since 1970 as the JSON protocol has it, or ISO 8601.
pub(super) fn time(input: &Value, name: &str) -> Result<Option<Moment>, Fault> {
    let wrong = || Fault::new(INVALID, format!("The parameter {name} must be a timestamp."));
    match input.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Moment::parse(text).map(Some).ok_or_else(wrong),
        Some(value) => {
            let seconds = value.as_f64().filter(|seconds| (0.0..1e11).contains(seconds)).ok_or_else(wrong)?;
            Ok(Some(Moment::from_seconds(0).plus(Duration::from_secs_f64(seconds))))
        }
    }
}

pub(super) fn put(desk: &mut Desk<'_>, input: &Value) -> Result<Value, Fault> {
    check(input, &["Namespace", "MetricData", "StrictEntityValidation"], INVALID)?;
    let namespace = named(input, "Namespace")?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-/#: ".contains(c);
    if namespace.starts_with("AWS/") || namespace.len() > 255 || !namespace.chars().all(allowed) {
        let message = "The value AWS/ for parameter Namespace is invalid.";
        return Err(Fault::new(INVALID, message));
    }
    let data = input.get("MetricData").and_then(Value::as_array);
    let data = data.ok_or_else(|| Fault::new("MissingParameter", "The parameter MetricData is required."))?;
    if data.len() > MOST_DATA {
        let message = format!("The collection MetricData must not have a size greater than {MOST_DATA}.");
        return Err(Fault::new(INVALID, message));
    }
    // All is read before any of it is kept.
    let mut read = Vec::new();
    for datum in data {
        let subject = Subject {
            namespace: namespace.to_owned(),
            name: named(datum, "MetricName")?.to_owned(),
            dimensions: dimensions(datum)?,
        };
        let at = time(datum, "Timestamp")?.unwrap_or(desk.now);
        if at < desk.now.minus(DAY.saturating_mul(14)) || at > desk.now.plus(Duration::from_secs(2 * 3600)) {
            let message = "The parameter MetricData.member.1.Timestamp must specify a time within the past two \
                           weeks and no more than two hours in the future.";
            return Err(Fault::new(INVALID, message));
        }
        let unit = datum.get("Unit").and_then(Value::as_str).unwrap_or("None").to_owned();
        read.push((subject, Point { at, unit, bucket: bucket(datum)? }));
    }
    for (subject, point) in read {
        let metrics = &mut desk.drawer.metrics;
        let place = match metrics.binary_search_by(|metric| metric.subject.cmp(&subject)) {
            Ok(place) => place,
            Err(place) => {
                metrics.insert(place, Metric { subject, points: Vec::new() });
                place
            }
        };
        let Some(metric) = metrics.get_mut(place) else { continue };
        let after = metric.points.partition_point(|known| known.at <= point.at);
        metric.points.insert(after, point);
        if metric.points.len() > KEPT {
            metric.points.remove(0);
        }
    }
    Ok(json!({}))
}

/// The value, values or statistics of one datum.
fn bucket(datum: &Value) -> Result<Bucket, Fault> {
    let number = |value: &Value| value.as_f64().filter(|number| number.is_finite());
    let numbers = |name: &str| -> Option<Vec<f64>> {
        Some(datum.get(name)?.as_array()?.iter().filter_map(number).collect())
    };
    if let Some(value) = datum.get("Value").and_then(number) {
        return Ok(Bucket::of(&[(value, 1.0)]));
    }
    if let Some(values) = numbers("Values") {
        let counts = numbers("Counts").unwrap_or_else(|| vec![1.0; values.len()]);
        if values.is_empty() || values.len() != counts.len() || values.len() > MOST_VALUES {
            let message = "The parameters MetricData.member.1.Values and MetricData.member.1.Counts must be of the \
                           same size, from 1 to 150.";
            return Err(Fault::new(INVALID, message));
        }
        let pairs: Vec<(f64, f64)> = values.into_iter().zip(counts).collect();
        return Ok(Bucket::of(&pairs));
    }
    let Some(set) = datum.get("StatisticValues") else {
        let message = "At least one of the parameters Value, Values or StatisticValues is required.";
        return Err(Fault::new("MissingParameter", message));
    };
    let part = |name: &str| {
        set.get(name).and_then(number).ok_or_else(|| {
            Fault::new("MissingParameter", format!("The parameter StatisticValues.{name} is required."))
        })
    };
    Ok(Bucket {
        count: part("SampleCount")?,
        sum: part("Sum")?,
        minimum: part("Minimum")?,
        maximum: part("Maximum")?,
        values: Vec::new(),
    })
}

/// The data of a metric from `start` (inclusive) to `end`, in periods.
pub(super) fn periods(
    desk: &Desk<'_>,
    subject: &Subject,
    unit: Option<&str>,
    range: (Moment, Moment),
    period: Duration,
) -> BTreeMap<Moment, (Bucket, String)> {
    let mut all: BTreeMap<Moment, (Bucket, String)> = BTreeMap::new();
    let metric = desk.drawer.metrics.iter().find(|metric| metric.subject == *subject);
    let points = metric.map(|metric| metric.points.as_slice()).unwrap_or_default();
    let seconds = period.as_secs().max(1);
    let inside = points.iter().filter(|point| point.at >= range.0 && point.at < range.1);
    for point in inside.filter(|point| unit.is_none_or(|unit| unit == point.unit)) {
        let start = Moment::from_seconds(point.at.seconds() / seconds * seconds);
        let entry = all.entry(start).or_insert_with(|| (Bucket::default(), point.unit.clone()));
        entry.0.add(&point.bucket);
    }
    all
}

/// `Period`, in seconds.
pub(super) fn period(input: &Value) -> Result<Duration, Fault> {
    let seconds = input.get("Period").and_then(Value::as_u64);
    let seconds =
        seconds.ok_or_else(|| Fault::new("MissingParameter", "The parameter Period is required."))?;
    if !matches!(seconds, 1 | 5 | 10 | 20 | 30) && (seconds == 0 || seconds % 60 != 0) {
        let message = "The parameter Period must be 1, 5, 10, 20, 30 or a multiple of 60.";
        return Err(Fault::new(INVALID, message));
    }
    Ok(Duration::from_secs(seconds))
}

fn range(input: &Value) -> Result<(Moment, Moment), Fault> {
    let needed = |name: &str| {
        time(input, name)?
            .ok_or_else(|| Fault::new("MissingParameter", format!("The parameter {name} is required.")))
    };
    let (start, end) = (needed("StartTime")?, needed("EndTime")?);
    if start >= end {
        let message = "The parameter StartTime must be less than the parameter EndTime.";
        return Err(Fault::new(INVALID, message));
    }
    Ok((start, end))
}

pub(super) fn statistics(desk: &mut Desk<'_>, input: &Value) -> Result<Value, Fault> {
    let known = &[
        "Namespace",
        "MetricName",
        "Dimensions",
        "StartTime",
        "EndTime",
        "Period",
        "Statistics",
        "ExtendedStatistics",
        "Unit",
    ];
    check(input, known, INVALID)?;
    let (subject, range, period) = (Subject::read(input)?, range(input)?, period(input)?);
    let wanted = wanted_statistics(input)?;
    let points = range.1.since(range.0).as_secs() / period.as_secs().max(1);
    if points > MOST_POINTS {
        let message = format!(
            "You have requested up to {points} datapoints, which exceeds the limit of {MOST_POINTS}. You may \
             reduce the datapoints requested by increasing Period, or decreasing the time range."
        );
        return Err(Fault::new("InvalidParameterCombination", message));
    }
    let unit = input.get("Unit").and_then(Value::as_str);
    let mut points = Vec::new();
    for (at, (bucket, unit)) in periods(desk, &subject, unit, range, period) {
        let mut point = json!({ "Timestamp": at.seconds() as f64, "Unit": unit });
        for statistic in &wanted {
            let value = json!(statistic.of(&bucket));
            match statistic {
                Statistic::Percentile(_, name) => point["ExtendedStatistics"][name.as_str()] = value,
                other => point[other.name()] = value,
            }
        }
        points.push(point);
    }
    Ok(json!({ "Label": subject.name, "Datapoints": points }))
}

fn wanted_statistics(input: &Value) -> Result<Vec<Statistic>, Fault> {
    let list = |name: &str| input.get(name).and_then(Value::as_array).filter(|list| !list.is_empty());
    let names = match (list("Statistics"), list("ExtendedStatistics")) {
        (Some(_), Some(_)) | (None, None) => {
            let message = "Must specify either Statistics or ExtendedStatistics";
            return Err(Fault::new("InvalidParameterCombination", message));
        }
        (Some(names), None) | (None, Some(names)) => names,
    };
    names.iter().map(|name| Statistic::parse(name.as_str().unwrap_or_default())).collect()
}

pub(super) fn data(desk: &mut Desk<'_>, input: &Value) -> Result<Value, Fault> {
    let known = &[
        "MetricDataQueries",
        "StartTime",
        "EndTime",
        "NextToken",
        "ScanBy",
        "MaxDatapoints",
        "LabelOptions",
    ];
    check(input, known, INVALID)?;
    let range = range(input)?;
    let descending = input.get("ScanBy").and_then(Value::as_str) != Some("TimestampAscending");
    let queries = input.get("MetricDataQueries").and_then(Value::as_array);
    let queries = queries
        .ok_or_else(|| Fault::new("MissingParameter", "The parameter MetricDataQueries is required."))?;
    let most = input.get("MaxDatapoints").and_then(Value::as_u64);
    let most =
        most.and_then(|most| usize::try_from(most).ok()).unwrap_or(MOST_RESULTS).clamp(1, MOST_RESULTS);
    // The token is the number of data points that have been told.
    let told = match input.get("NextToken").and_then(Value::as_str) {
        None => 0,
        Some(token) => {
            let number = token.strip_prefix("after-").and_then(|number| number.parse::<usize>().ok());
            number.ok_or_else(|| Fault::new("InvalidNextToken", "The specified token is not valid."))?
        }
    };
    let mut seen = 0;
    let mut results = Vec::new();
    for query in queries {
        check(
            query,
            &["Id", "MetricStat", "Label", "ReturnData", "Period", "AccountId", "Expression"],
            INVALID,
        )?;
        let id = named(query, "Id")?;
        if query.get("Expression").is_some() {
            return Err(Fault::new("ValidationError", "the sandbox evaluates no metric expressions"));
        }
        let stat = query.get("MetricStat");
        let stat =
            stat.ok_or_else(|| Fault::new("MissingParameter", "The parameter MetricStat is required."))?;
        let subject = Subject::read(stat.get("Metric").unwrap_or(&Value::Null))?;
        let statistic = Statistic::parse(named(stat, "Stat")?)?;
        if query.get("ReturnData").and_then(Value::as_bool) == Some(false) {
            continue;
        }
        let unit = stat.get("Unit").and_then(Value::as_str);
        let mut points: Vec<(Moment, f64)> = periods(desk, &subject, unit, range, period(stat)?)
            .into_iter()
            .map(|(at, (bucket, _))| (at, statistic.of(&bucket)))
            .collect();
        if descending {
            points.reverse();
        }
        let first = told.saturating_sub(seen).min(points.len());
        let last = (told + most).saturating_sub(seen).min(points.len());
        seen += points.len();
        let page = points.get(first..last).unwrap_or_default();
        let label = query.get("Label").and_then(Value::as_str).unwrap_or(&subject.name);
        results.push(json!({
            "Id": id,
            "Label": label,
            "Timestamps": page.iter().map(|(at, _)| at.seconds() as f64).collect::<Vec<f64>>(),
            "Values": page.iter().map(|(_, value)| *value).collect::<Vec<f64>>(),
            "StatusCode": if last < points.len() { "PartialData" } else { "Complete" },
        }));
    }
    let mut answer = json!({ "MetricDataResults": results, "Messages": [] });
    if seen > told + most {
        answer["NextToken"] = json!(format!("after-{}", told + most));
    }
    Ok(answer)
}

pub(super) fn list(desk: &mut Desk<'_>, input: &Value) -> Result<Value, Fault> {
    let known =
        &["Namespace", "MetricName", "Dimensions", "NextToken", "RecentlyActive", "IncludeLinkedAccounts"];
    check(input, known, INVALID)?;
    let text = |name: &str| input.get(name).and_then(Value::as_str);
    let empty = Vec::new();
    let filters = input.get("Dimensions").and_then(Value::as_array).unwrap_or(&empty);
    let since = match text("RecentlyActive") {
        None => desk.now.minus(LISTED),
        Some("PT3H") => desk.now.minus(Duration::from_secs(3 * 3600)),
        Some(_) => return Err(Fault::new(INVALID, "The parameter RecentlyActive must be PT3H.")),
    };
    let fits = |metric: &&Metric| {
        let subject = &metric.subject;
        text("Namespace").is_none_or(|wanted| wanted == subject.namespace)
            && text("MetricName").is_none_or(|wanted| wanted == subject.name)
            && metric.points.last().is_some_and(|point| point.at >= since)
            && filters.iter().all(|filter| {
                let part = |name: &str| filter.get(name).and_then(Value::as_str);
                let value = part("Name").and_then(|name| subject.dimensions.get(name));
                value.is_some_and(|value| part("Value").is_none_or(|wanted| wanted == value))
            })
    };
    let mut keyed: Vec<(String, Value)> = desk
        .drawer
        .metrics
        .iter()
        .filter(fits)
        .map(|metric| (metric.subject.tell().to_string(), metric.subject.tell()))
        .collect();
    keyed.sort_by(|one, other| one.0.cmp(&other.0));
    let (page, next) = token::page(keyed, input, MOST_LISTED, |(key, _)| key.as_str(), "InvalidNextToken")?;
    let metrics: Vec<Value> = page.into_iter().map(|(_, metric)| metric).collect();
    let mut answer = json!({ "Metrics": metrics });
    if let Some(next) = next {
        answer["NextToken"] = json!(next);
    }
    Ok(answer)
}
