//! The faults that are in force, and what they do to each request.

use std::collections::{BTreeMap, HashMap};
use std::ops::Deref;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::calls::RecordedCall;
use super::moment::Moment;
use super::names::matches;
use crate::sandbox::faults::dice::{Lot, Occurrences};
use crate::sandbox::faults::schedule::in_force;
use crate::sandbox::faults::{Bucket, Faults, Refusal, Window};

/// Which bucket: its number among the faults, the action (empty for a shared one) and the region.
type BucketKey = (usize, String, String);

/// Faults since they came into force. It dereferences to what they are.
#[derive(Debug)]
pub(super) struct Force {
    faults: Faults,
    since: Moment,
    occurrences: Occurrences,
    /// How often each of the refusals has been used.
    refused: Vec<AtomicU32>,
    /// What is left in each bucket that was touched, and since when.
    buckets: Mutex<HashMap<BucketKey, (f64, Instant)>>,
}

impl Deref for Force {
    type Target = Faults;

    fn deref(&self) -> &Faults {
        &self.faults
    }
}

/// What happens to the answer of a request that is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    Whole,
    /// The connection is dropped.
    Lost,
    /// It breaks off in the middle.
    Cut,
    /// It is complete, and no XML.
    Malformed,
}

impl Force {
    /// Puts faults into force; a seed that was not given is drawn if it takes one.
    pub fn new(faults: Faults, since: Moment) -> Self {
        let faults = faults.seeded();
        Force {
            refused: faults.refusals.iter().map(|_| AtomicU32::new(0)).collect(),
            occurrences: Occurrences::default(),
            buckets: Mutex::default(),
            since,
            faults,
        }
    }

    /// The same force with other faults. What is counted and drawn goes on; windows are counted from where
    /// they were, or from `now` if there were none.
    pub fn changed(&self, faults: Faults, now: Moment) -> Self {
        let faults = faults.seeded();
        let used = |wanted: &Refusal| {
            let before = self.faults.refusals.iter().position(|refusal| refusal == wanted);
            before.and_then(|index| Some(self.refused.get(index)?.load(Ordering::Relaxed))).unwrap_or(0)
        };
        let buckets = match self.faults.throttling == faults.throttling {
            true => self.buckets.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            false => HashMap::new(),
        };
        Force {
            refused: faults.refusals.iter().map(|refusal| AtomicU32::new(used(refusal))).collect(),
            occurrences: self.occurrences.clone(),
            buckets: Mutex::new(buckets),
            since: if self.faults.has_windows() { self.since } else { now },
            faults,
        }
    }

    /// What chance has for a request.
    pub fn lot(&self, call: &RecordedCall) -> Lot {
        let seed = self.faults.seed.unwrap_or_default();
        self.occurrences.next(seed, &call.action, &call.region, &identity(&call.parameters))
    }

    /// What chance has for looking up the name of a region's endpoint.
    pub fn lot_of_lookup(&self, region: &str) -> Lot {
        self.occurrences.next(self.faults.seed.unwrap_or_default(), "look-up", region, "")
    }

    /// Whether the name of a region's endpoint, empty for none, does not resolve.
    pub fn hides_name(&self, region: &str, lot: Lot, now: Moment) -> bool {
        let found = self.faults.dns.iter().find(|failure| {
            failure.region.as_deref().is_none_or(|only| only == region)
                && self.holds(failure.during.as_ref(), now)
        });
        found.is_some_and(|failure| lot.strikes("dns", failure.rate))
    }

    /// Whether something with a window holds at a moment.
    pub fn holds(&self, window: Option<&Window>, at: Moment) -> bool {
        in_force(window, at.since(self.since))
    }

    /// The moments from `from` to `to` at which windows open or close.
    pub fn edges(&self, window: Option<&Window>, from: Moment, to: Moment) -> Vec<Moment> {
        let edges = window.map(|window| window.edges(to.since(self.since))).unwrap_or_default();
        edges.into_iter().map(|edge| self.since.plus(edge)).filter(|edge| *edge > from).collect()
    }

    /// How much longer an answer takes, in real time.
    pub fn latency(&self, call: &RecordedCall, lot: Lot, now: Moment) -> Duration {
        let found = self.faults.latency.iter().find(|latency| {
            latency.action.as_deref().is_none_or(|pattern| matches(pattern, &call.action))
                && latency.region.as_deref().is_none_or(|only| only == call.region)
                && self.holds(latency.during.as_ref(), now)
        });
        found.map_or(Duration::ZERO, |latency| {
            latency.delay.draw(lot.fraction("latency"), lot.fraction("latency too"))
        })
    }

    /// Whether a request is lost before it is carried out.
    pub fn loses_request(&self, lot: Lot) -> bool {
        lot.strikes("lost-request", self.faults.lost_requests)
    }

    /// Whether a request is refused at the flat rate.
    pub fn throttles(&self, lot: Lot) -> bool {
        lot.strikes("throttle", self.faults.throttle)
    }

    /// What becomes of an answer.
    pub fn delivery(&self, lot: Lot) -> Delivery {
        if lot.strikes("lost-answer", self.faults.lost_answers) {
            Delivery::Lost
        } else if lot.strikes("cut-answer", self.faults.cut_answers) {
            Delivery::Cut
        } else if lot.strikes("malformed-answer", self.faults.malformed_answers) {
            Delivery::Malformed
        } else {
            Delivery::Whole
        }
    }

    /// Whether a refusal that is about a call strikes it now.
    pub fn refuses(&self, index: usize, refusal: &Refusal, lot: Lot, pool: &str, now: Moment) -> bool {
        if !self.holds(refusal.during.as_ref(), now)
            || !lot.strikes(&format!("error {index} {pool}"), refusal.rate)
        {
            return false;
        }
        let Some(used) = self.refused.get(index) else { return false };
        let before = used.fetch_add(1, Ordering::Relaxed);
        refusal.times.is_none_or(|times| before < times)
    }

    /// Takes the tokens that a request costs; whether there were enough.
    pub fn takes_tokens(&self, call: &RecordedCall) -> bool {
        let all = &self.faults.throttling.0;
        let first = |instances: bool| {
            let fits = |bucket: &&Bucket| {
                bucket.instances == instances
                    && bucket.actions.iter().any(|pattern| matches(pattern, &call.action))
                    && (!bucket.unfiltered || is_unfiltered(&call.parameters))
            };
            let index = all.iter().position(|bucket| fits(&bucket))?;
            all.get(index).map(|bucket| (index, bucket))
        };
        let wanted = [(first(false), 1.0), (first(true), instances(&call.parameters))];
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let mut taken = Vec::new();
        for ((index, bucket), cost) in
            wanted.into_iter().filter_map(|(found, cost)| found.map(|found| (found, cost)))
        {
            let action = if bucket.shared { String::new() } else { call.action.clone() };
            let key = (index, action, call.region.clone());
            let (left, at) = buckets.get(&key).copied().unwrap_or((bucket.size, now));
            let filled = (left + now.duration_since(at).as_secs_f64() * bucket.refill).min(bucket.size);
            buckets.insert(key.clone(), (filled, now));
            if filled < cost {
                return false;
            }
            taken.push((key, filled - cost));
        }
        for (key, left) in taken {
            buckets.insert(key, (left, now));
        }
        true
    }
}

/// How many instances a request is about.
fn instances(parameters: &BTreeMap<String, String>) -> f64 {
    let most = parameters.get("MaxCount").and_then(|count| count.parse::<u32>().ok());
    let named = parameters.keys().filter(|name| name.starts_with("InstanceId.")).count();
    most.map_or(named as f64, f64::from).max(1.0)
}

/// Whether a request names neither filters nor ids nor a page size.
fn is_unfiltered(parameters: &BTreeMap<String, String>) -> bool {
    parameters.keys().all(|name| matches!(name.as_str(), "DryRun" | "NextToken"))
}

/// What makes a request the same in another run: its parameters, without what clients draw anew for each
/// run (tokens, names, tags, user data, times) and with ids only by their kind.
fn identity(parameters: &BTreeMap<String, String>) -> String {
    const FRESH: &[&str] = &[
        "ClientToken",
        "UserData",
        "PublicKeyMaterial",
        "TagSpecification",
        "Tag",
        "KeyName",
        "GroupName",
        "LaunchTemplateName",
        "StartTime",
        "EndTime",
        "ValidUntil",
        "NextToken",
    ];
    let mut identity = String::new();
    for (name, value) in parameters {
        if name.split('.').any(|part| FRESH.contains(&part)) {
            continue;
        }
        let of_tag = name.split_once(".Value").is_some_and(|(filter, _)| {
            parameters.get(&format!("{filter}.Name")).is_some_and(|name| name.starts_with("tag:"))
        });
        let value = match value.rsplit_once('-') {
            Some((kind, tail)) if tail.len() >= 8 && tail.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                kind
            }
            _ if of_tag => "",
            _ => value,
        };
        identity.push_str(&format!("{name}={value}&"));
    }
    identity
}

#[cfg(test)]
mod tests {
    use super::super::http::Asked;
    use super::*;
    use crate::sandbox::faults::Throttling;

    fn call(action: &str, parameters: &[(&str, &str)]) -> RecordedCall {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        RecordedCall {
            action: action.to_owned(),
            region: "us-west-2".to_owned(),
            parameters: parameters.iter().map(pair).collect(),
            ..Asked::unreadable()
        }
    }

    fn force(faults: Faults) -> Force {
        Force::new(faults, Moment::from_seconds(1_000_000))
    }

    #[test]
    fn what_clients_draw_anew_does_not_count() {
        let of = |parameters: &[(&str, &str)]| identity(&call("RunInstances", parameters).parameters);
        let first = [
            ("ClientToken", "a"),
            ("SubnetId", "subnet-0123456789abcdef0"),
            ("TagSpecification.1.Tag.1.Value", "x"),
            ("Filter.1.Name", "tag:deployment"),
            ("Filter.1.Value.1", "calm-otter"),
            ("InstanceType", "t3.medium"),
        ];
        let second = [
            ("ClientToken", "b"),
            ("SubnetId", "subnet-0fedcba9876543210"),
            ("TagSpecification.1.Tag.1.Value", "y"),
            ("Filter.1.Name", "tag:deployment"),
            ("Filter.1.Value.1", "wild-hare"),
            ("InstanceType", "t3.medium"),
        ];
        assert_eq!(of(&first), of(&second));
        assert_ne!(of(&first), of(&[("InstanceType", "t3.large")]));
    }

    #[test]
    fn buckets_empty_and_fill_again() {
        let force = force(Faults { throttling: Throttling::ec2(), ..Faults::default() });
        let one = call("RunInstances", &[("MaxCount", "1")]);
        let taken = (0..10).filter(|_| force.takes_tokens(&one)).count();
        assert!((5..=6).contains(&taken), "{taken}");
        assert!(force.takes_tokens(&call("CreateVpc", &[])), "each action has a bucket of its own");
        let many = call("RunInstances", &[("MaxCount", "2000")]);
        assert!(!force.takes_tokens(&many), "more instances than the bucket holds");
        let unfiltered = (0..80).filter(|_| force.takes_tokens(&call("DescribeVpcs", &[]))).count();
        assert!((50..=55).contains(&unfiltered), "{unfiltered}");
        let deadline = Instant::now() + Duration::from_secs(20);
        while !force.takes_tokens(&one) {
            assert!(Instant::now() < deadline, "never filled again");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_seed_is_drawn_if_it_takes_one() {
        assert_eq!(force(Faults::default()).seed, None);
        assert!(force(Faults { throttle: 0.5, ..Faults::default() }).seed.is_some());
        assert_eq!(force(Faults { throttle: 0.5, seed: Some(3), ..Faults::default() }).seed, Some(3));
    }

    #[test]
    fn faults_hold_within_their_window() {
        let mut refusal = Refusal::of("*", "X");
        refusal.during =
            Some(Window::new(Duration::from_secs(10), Some(Duration::from_secs(20)), None).unwrap());
        let force = force(Faults { refusals: vec![refusal.clone()], ..Faults::default() });
        let lot = force.lot(&call("DescribeVpcs", &[]));
        let at = |seconds: u64| Moment::from_seconds(1_000_000 + seconds);
        let refuses = |seconds| force.refuses(0, &refusal, lot, "", at(seconds));
        assert_eq!([5, 15, 25].map(refuses), [false, true, false]);
        assert_eq!(force.edges(refusal.during.as_ref(), at(12), at(30)), [at(20)]);
    }
}
