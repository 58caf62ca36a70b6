//! The one retry policy: exponential back-off with full jitter, a deadline, and cancellation.
//!
//! Full jitter (a delay drawn evenly between zero and the exponential bound) spreads the retries of
//! many hosts best: <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>.

use std::future::Future;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};

/// How often, how long and how patiently a failed call is made again.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// Calls in all, the first included; at least 1. Calls that were throttled do not count: they
    /// are made again until the deadline, since a service that is busy has not failed.
    pub attempts: u32,
    /// The bound of the first delay; each further bound is twice the one before.
    pub base: Duration,
    /// No bound grows beyond this.
    pub cap: Duration,
    /// No further attempt starts later than this after the first.
    pub deadline: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Retry {
            attempts: 3,
            base: Duration::from_millis(500),
            cap: Duration::from_secs(20),
            deadline: Duration::from_secs(120),
        }
    }
}

impl Retry {
    /// The same policy in a world where time passes so many times as slowly: 0.01 makes of a second ten
    /// milliseconds.
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Self {
        let scale = |time: Duration| time.mul_f64(factor);
        let (base, cap, deadline) = (scale(self.base), scale(self.cap), scale(self.deadline));
        Retry { attempts: self.attempts, base, cap, deadline }
    }

    /// Calls `call` until it succeeds, fails with an error that is not retryable, or the policy is
    /// exhausted; the last error is returned.
    ///
    /// `call` gets the number of the attempt, from 1. Cancelling `cancel` ends the wait between
    /// attempts at once with [`Error::interrupted`]; a call under way is not cut off, so that its
    /// answer is not lost.
    pub async fn run<T, F, Fut>(&self, cancel: &CancellationToken, mut call: F) -> Result<T>
    where
        F: FnMut(u32) -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        let started = Instant::now();
        let (mut attempt, mut failures) = (1, 0);
        loop {
            if cancel.is_cancelled() {
                return Err(Error::interrupted());
            }
            let error = match call(attempt).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            if !error.is_throttled() {
                failures += 1;
            }
            let delay = self.delay(attempt, rand::random_range(0.0..=1.0));
            let in_time = started.elapsed().saturating_add(delay) <= self.deadline;
            if !error.is_retryable() || failures >= self.attempts || !in_time {
                return Err(error);
            }
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = cancel.cancelled() => return Err(Error::interrupted()),
            }
            attempt += 1;
        }
    }

    /// How long to wait after attempt number `attempt` (from 1) failed, `elapsed` after the first
    /// began; `None` when it was the last.
    pub fn next_delay(&self, attempt: u32, elapsed: Duration) -> Option<Duration> {
        if attempt >= self.attempts {
            return None;
        }
        let delay = self.delay(attempt, rand::random_range(0.0..=1.0));
        (elapsed.saturating_add(delay) <= self.deadline).then_some(delay)
    }

    /// The delay after attempt number `attempt` (from 1) for a draw between 0 and 1.
    fn delay(&self, attempt: u32, draw: f64) -> Duration {
        let factor = 2_u32.saturating_pow(attempt.saturating_sub(1));
        self.base.saturating_mul(factor).min(self.cap).mul_f64(draw.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn quick() -> Retry {
        Retry { base: Duration::from_micros(10), ..Retry::default() }
    }

    #[tokio::test]
    async fn retries_only_what_is_retryable() {
        let calls = AtomicU32::new(0);
        let result: Result<()> = quick()
            .run(&CancellationToken::new(), |_| async {
                calls.fetch_add(1, Ordering::Relaxed);
                Err(Error::aws("no such thing"))
            })
            .await;
        assert!(result.is_err());
        assert_eq!(calls.into_inner(), 1);
    }

    #[tokio::test]
    async fn succeeds_on_a_later_attempt_and_counts_them() {
        let result = quick()
            .run(&CancellationToken::new(), |attempt| async move {
                if attempt < 3 { Err(Error::aws("throttled").retryable(true)) } else { Ok(attempt) }
            })
            .await;
        assert_eq!(result.ok(), Some(3));
    }

    #[tokio::test]
    async fn gives_up_after_the_last_attempt() {
        let calls = AtomicU32::new(0);
        let result: Result<()> = quick()
            .run(&CancellationToken::new(), |_| async {
                calls.fetch_add(1, Ordering::Relaxed);
                Err(Error::timeout("slow"))
            })
            .await;
        assert_eq!(result.err().map(|e| e.message().to_owned()).as_deref(), Some("slow"));
        assert_eq!(calls.into_inner(), 3);
    }

    #[tokio::test]
    async fn throttling_is_no_failure_and_ends_at_the_deadline_only() {
        let calls = AtomicU32::new(0);
        let result = quick()
            .run(&CancellationToken::new(), |attempt| {
                calls.fetch_add(1, Ordering::Relaxed);
                async move { if attempt <= 20 { Err(Error::aws("busy").throttled()) } else { Ok(attempt) } }
            })
            .await;
        assert_eq!((result.ok(), calls.into_inner()), (Some(21), 21));
        let short = Retry { deadline: Duration::from_millis(5), ..quick() };
        let result: Result<()> =
            short.run(&CancellationToken::new(), |_| async { Err(Error::aws("busy").throttled()) }).await;
        assert!(result.is_err_and(|error| error.is_throttled()));
    }

    #[tokio::test]
    async fn cancellation_ends_the_wait() {
        let cancel = CancellationToken::new();
        let policy = Retry {
            base: Duration::from_secs(3600),
            cap: Duration::from_secs(3600),
            deadline: Duration::MAX,
            ..Retry::default()
        };
        let token = cancel.clone();
        let result: Result<()> = policy
            .run(&cancel, |_| {
                token.cancel();
                async { Err(Error::aws("throttled").retryable(true)) }
            })
            .await;
        assert_eq!(result.err().map(|e| e.kind()), Some(crate::error::Kind::Interrupted));
    }

    #[test]
    fn a_scaled_policy_has_shorter_times_and_as_many_attempts() {
        let policy = Retry::default().scaled(0.01);
        assert_eq!((policy.attempts, policy.base), (3, Duration::from_millis(5)));
        assert_eq!((policy.cap, policy.deadline), (Duration::from_millis(200), Duration::from_millis(1200)));
    }

    #[test]
    fn delays_double_up_to_the_cap() {
        let policy = Retry::default();
        assert_eq!(policy.delay(1, 1.0), Duration::from_millis(500));
        assert_eq!(policy.delay(3, 1.0), Duration::from_secs(2));
        assert_eq!(policy.delay(40, 1.0), Duration::from_secs(20));
        assert_eq!(policy.delay(3, 0.0), Duration::ZERO);
    }
}
