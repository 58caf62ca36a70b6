//! Keeping below EC2's request limits, so that a scan of all regions does not throttle itself.
//!
//! EC2 counts for each account, region and action in token buckets: a call takes a token, and launches
//! and terminations take one for each instance besides. The sizes here are those that EC2 documents
//! (<https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html>), the smaller one where
//! they differ by kind of request. Other programs draw on the same buckets, so a refusal halves the
//! rate of that bucket; calls that pass bring it back.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};

/// A bucket may be slowed down to this part of its rate, not further.
const SLOWEST: f64 = 1.0 / 32.0;
/// What each call that passes adds to a slowed rate.
const RECOVERY: f64 = 0.05;

/// No call waits longer: then EC2 may say itself that it is too much.
const LONGEST: Duration = Duration::from_secs(30);

/// All buckets of one account.
#[derive(Debug, Default)]
pub(super) struct Pace {
    buckets: Mutex<HashMap<(String, String), Buckets>>,
}

/// What one action may do in one region.
#[derive(Debug)]
struct Buckets {
    requests: Bucket,
    resources: Option<Bucket>,
}

/// Tokens that come back with time.
#[derive(Debug)]
struct Bucket {
    size: f64,
    /// Tokens a second, when nothing has been refused.
    rate: f64,
    /// The part of the rate that is used.
    share: f64,
    /// Below zero: calls are waiting.
    tokens: f64,
    at: Instant,
}

impl Pace {
    /// Waits until a call may be made that works on so many `resources` (0 for calls that are not
    /// counted by them).
    ///
    /// # Errors
    /// [`Error::interrupted`] when `cancel` is cancelled first; the call has not been made then.
    pub(super) async fn admit(
        &self,
        region: &str,
        action: &str,
        resources: u32,
        cancel: &CancellationToken,
    ) -> Result<()> {
        let wait = self.reserve(region, action, resources, Instant::now()).min(LONGEST);
        if wait.is_zero() {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => Ok(()),
            () = cancel.cancelled() => Err(Error::interrupted()),
        }
    }

    fn reserve(&self, region: &str, action: &str, resources: u32, now: Instant) -> Duration {
        let mut all = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (region.to_owned(), action.to_owned());
        let buckets = all.entry(key).or_insert_with(|| Buckets::of(action, now));
        let wait = buckets.requests.take(1.0, now);
        match &mut buckets.resources {
            Some(bucket) if resources > 0 => wait.max(bucket.take(f64::from(resources), now)),
            _ => wait,
        }
    }

    /// Notes whether EC2 throttled a call.
    pub(super) fn note(&self, region: &str, action: &str, throttled: bool) {
        let mut all = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(buckets) = all.get_mut(&(region.to_owned(), action.to_owned())) else { return };
        // Of the two only the calls are slowed down: an order waits for its instances long enough.
        buckets.requests.note(throttled);
    }
}

impl Buckets {
    fn of(action: &str, now: Instant) -> Self {
        let (size, rate) = match action {
            "RunInstances" | "CreateFleet" | "StartInstances" => (5.0, 2.0),
            "TerminateInstances" | "CreateTags" => (100.0, 5.0),
            // Not of EC2: Service Quotas, pricing, parameters and IAM have small limits of their own.
            "GetServiceQuota" | "ListServiceQuotas" | "GetProducts" => (10.0, 5.0),
            _ if action.starts_with("Describe") || action.starts_with("Get") => (50.0, 10.0),
            _ => (50.0, 5.0),
        };
        let resources = match action {
            "RunInstances" | "CreateFleet" => Some((1000.0, 2.0)),
            "TerminateInstances" => Some((1000.0, 20.0)),
            _ => None,
        };
        Buckets {
            requests: Bucket::new(size, rate, now),
            resources: resources.map(|(size, rate)| Bucket::new(size, rate, now)),
        }
    }
}

impl Bucket {
    fn new(size: f64, rate: f64, now: Instant) -> Self {
        Bucket { size, rate, share: 1.0, tokens: size, at: now }
    }

    /// Takes tokens, in advance if need be; returns how long to wait until they are there.
    fn take(&mut self, tokens: f64, now: Instant) -> Duration {
        let rate = self.rate * self.share;
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + elapsed * rate).min(self.size);
        self.at = now;
        // More than the bucket ever holds: EC2 takes such a call from a full bucket.
        self.tokens -= tokens.min(self.size);
        if self.tokens >= 0.0 { Duration::ZERO } else { Duration::from_secs_f64(-self.tokens / rate) }
    }

    fn note(&mut self, throttled: bool) {
        if throttled {
            self.share = (self.share / 2.0).max(SLOWEST);
            // Somebody else has emptied it.
            self.tokens = self.tokens.min(0.0);
        } else {
            self.share = (self.share + RECOVERY).min(1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_what_follows_waits_at_the_documented_rate() {
        let (pace, now) = (Pace::default(), Instant::now());
        let wait = || pace.reserve("us-west-2", "DescribeInstances", 0, now);
        assert!((0..50).all(|_| wait().is_zero()));
        assert_eq!(wait(), Duration::from_millis(100));
        assert_eq!(wait(), Duration::from_millis(200));
        // Other regions and actions have buckets of their own.
        assert!(pace.reserve("eu-west-1", "DescribeInstances", 0, now).is_zero());
        assert!(pace.reserve("us-west-2", "DescribeVpcs", 0, now).is_zero());
        let later = now + Duration::from_secs(1);
        assert!(pace.reserve("us-west-2", "DescribeInstances", 0, later).is_zero());
    }

    #[test]
    fn a_hundred_calls_in_each_of_38_regions_stay_below_the_limits_of_each() {
        let (pace, now) = (Pace::default(), Instant::now());
        for region in 0..38 {
            let region = format!("region-{region}");
            let mut due: Vec<Duration> =
                (0..100).map(|_| pace.reserve(&region, "DescribeInstances", 0, now)).collect();
            due.sort();
            // In any second no more than the bucket and what it gets back: 50 at once, then 10 a second.
            for (number, wait) in due.iter().enumerate() {
                let allowed = 50.0 + 10.0 * wait.as_secs_f64();
                assert!((number + 1) as f64 <= allowed + 1e-6, "call {number} after {wait:?}");
            }
            assert_eq!(due.last(), Some(&Duration::from_secs(5)));
        }
    }

    #[test]
    fn launches_count_by_instance_too() {
        let (pace, now) = (Pace::default(), Instant::now());
        assert!(pace.reserve("r", "RunInstances", 900, now).is_zero());
        assert!(pace.reserve("r", "RunInstances", 100, now).is_zero());
        assert_eq!(pace.reserve("r", "RunInstances", 10, now), Duration::from_secs(5));
        assert!(pace.reserve("r", "TerminateInstances", 5_000, now).is_zero(), "a full bucket is enough");
    }

    #[test]
    fn a_refusal_halves_the_rate_and_calls_that_pass_bring_it_back() {
        let (pace, now) = (Pace::default(), Instant::now());
        pace.reserve("r", "DescribeVpcs", 0, now);
        pace.note("r", "DescribeVpcs", true);
        assert_eq!(pace.reserve("r", "DescribeVpcs", 0, now), Duration::from_millis(200));
        for _ in 0..20 {
            pace.note("r", "DescribeVpcs", true);
        }
        let slow = pace.reserve("r", "DescribeVpcs", 0, now);
        assert!(slow < Duration::from_secs(10), "{slow:?} is bounded");
        for _ in 0..40 {
            pace.note("r", "DescribeVpcs", false);
        }
        let later = now + Duration::from_secs(60);
        assert!((0..50).all(|_| pace.reserve("r", "DescribeVpcs", 0, later).is_zero()));
    }

    #[tokio::test]
    async fn waiting_ends_with_ctrl_c() {
        let (pace, cancel) = (Pace::default(), CancellationToken::new());
        for _ in 0..200 {
            pace.reserve("r", "DescribeVpcs", 0, Instant::now());
        }
        cancel.cancel();
        let error = pace.admit("r", "DescribeVpcs", 0, &cancel).await.unwrap_err();
        assert_eq!(error.kind(), crate::error::Kind::Interrupted);
    }
}
