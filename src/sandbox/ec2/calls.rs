//! The calls that were made, for tests and benchmarks to read.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::Serialize;
use serde_json::Value;

use super::request::Params;

/// One call, from the arrival of the request to the moment its answer was ready.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RecordedCall {
    /// The id of the request, as its answer tells it.
    pub id: String,
    /// `ec2`, `sts`, `ssm`, `secretsmanager`, `monitoring` (CloudWatch), `s3`, `servicequotas`, `iam` or
    /// `pricing`; `dns` for a look-up that failed on purpose.
    pub service: String,
    /// `RunInstances`.
    pub action: String,
    /// The region it was signed for; empty if it was not signed.
    pub region: String,
    /// The HTTP status of the answer; 0 for an answer that was lost on purpose.
    pub status: u16,
    /// The error code, if it was refused.
    pub code: Option<String>,
    /// Milliseconds from the start of the endpoint to the arrival of the request.
    pub start_ms: f64,
    /// Milliseconds from the start of the endpoint to the moment when the answer was ready.
    pub end_ms: f64,
    /// The faults that struck it: `latency`, `throttle`, `throttling`, `error`, `lost-request`, `lost-answer`,
    /// `cut-answer`, `malformed-answer`, `dns`.
    pub faults: Vec<&'static str>,
    /// What was asked, by full name (`Filter.1.Name`); user data only by its size.
    pub parameters: BTreeMap<String, String>,
}

/// A view of the calls of an endpoint that lasts as long as it is needed.
#[derive(Debug, Clone)]
pub struct CallLog(pub(super) Arc<Calls>);

impl CallLog {
    /// The calls so far, in the order in which they were answered.
    pub fn all(&self) -> Vec<RecordedCall> {
        self.0.all()
    }

    /// How many there are so far.
    pub fn count(&self) -> usize {
        self.0.count()
    }
}

/// All calls of an endpoint, in the order in which they were answered.
#[derive(Debug)]
pub(super) struct Calls {
    start: Instant,
    /// None unless calls are to be recorded.
    all: Option<Mutex<Recorded>>,
}

/// No more than so many calls are kept: an endpoint may run for days.
const KEPT: usize = 100_000;

/// The latest calls.
#[derive(Debug, Default)]
struct Recorded {
    /// How many there were before those that are kept.
    forgotten: usize,
    kept: VecDeque<RecordedCall>,
}

impl Calls {
    /// An empty record, or none.
    pub fn new(record: bool) -> Self {
        Calls { start: Instant::now(), all: record.then(Mutex::default) }
    }

    /// Milliseconds since the start.
    pub fn now(&self) -> f64 {
        self.start.elapsed().as_secs_f64() * 1000.0
    }

    /// Writes a call down, if calls are recorded.
    pub fn add(&self, call: impl FnOnce() -> RecordedCall) {
        if let Some(all) = &self.all {
            let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
            if all.kept.len() == KEPT {
                all.kept.pop_front();
                all.forgotten += 1;
            }
            all.kept.push_back(call());
        }
    }

    /// How many have been written down.
    pub fn count(&self) -> usize {
        self.recorded().map_or(0, |all| all.forgotten + all.kept.len())
    }

    /// What has been written down: the latest 100,000.
    pub fn all(&self) -> Vec<RecordedCall> {
        self.since(0).into_iter().map(|(_, call)| call).collect()
    }

    /// What has been written down from the call of this number on, each with its number, from 0.
    pub fn since(&self, number: usize) -> Vec<(usize, RecordedCall)> {
        let Some(all) = self.recorded() else { return Vec::new() };
        let calls = all.kept.iter().cloned().enumerate().map(|(index, call)| (all.forgotten + index, call));
        calls.skip(number.saturating_sub(all.forgotten)).collect()
    }

    fn recorded(&self) -> Option<MutexGuard<'_, Recorded>> {
        self.all.as_ref().map(|all| all.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The parameters of a query, without the user data.
pub(super) fn of_query(params: &Params) -> BTreeMap<String, String> {
    let shown = |(name, value): (String, &str)| {
        let secret = name == "UserData" || name.ends_with(".UserData");
        let value = if secret { format!("<{} characters>", value.len()) } else { value.to_owned() };
        (name, value)
    };
    params
        .flatten()
        .into_iter()
        .filter(|(name, _)| name != "Action" && name != "Version")
        .map(shown)
        .collect()
}

/// Members of JSON requests that hold secrets.
const SECRETS: &[&str] = &["Value", "SecretString", "SecretBinary"];

/// The members of a JSON document, lists numbered from 1 as in a query, without what may be a secret.
pub(super) fn of_json(value: &Value) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    flatten(String::new(), value, &mut all);
    for name in SECRETS {
        if let Some(value) = all.get_mut(*name) {
            *value = format!("<{} characters>", value.chars().count());
        }
    }
    all
}

fn flatten(name: String, value: &Value, all: &mut BTreeMap<String, String>) {
    let below = |part: &str| if name.is_empty() { part.to_owned() } else { format!("{name}.{part}") };
    match value {
        Value::Object(members) => {
            for (part, member) in members {
                flatten(below(part), member, all);
            }
        }
        Value::Array(members) => {
            for (index, member) in members.iter().enumerate() {
                flatten(below(&(index + 1).to_string()), member, all);
            }
        }
        Value::String(text) => {
            all.insert(name, text.clone());
        }
        other => {
            all.insert(name, other.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_data_is_told_by_its_size() {
        let params =
            Params::parse(b"Action=X&UserData=c2VjcmV0&LaunchTemplateData.UserData=abc&A.1=b").unwrap();
        let told = of_query(&params);
        assert_eq!(told["UserData"], "<8 characters>");
        assert_eq!(told["LaunchTemplateData.UserData"], "<3 characters>");
        assert_eq!((told["A.1"].as_str(), told.len()), ("b", 3));
        let told = of_json(&serde_json::json!({ "Names": ["a"], "N": 3, "SecretString": "hush" }));
        assert_eq!((told["Names.1"].as_str(), told["N"].as_str()), ("a", "3"));
        assert_eq!(told["SecretString"], "<4 characters>");
    }
}
