//! How long answers take.

use std::f64::consts::TAU;
use std::time::Duration;

use serde::de;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::schedule::Window;
use super::values::{self, Rule, some_seconds};

/// How much longer the answers of some actions take. Of several that apply the first counts; calls at the
/// same time wait at the same time. It is real time, whatever the sandbox's clock shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Latency {
    /// The action, or a pattern such as `Describe*`; none for all.
    pub action: Option<String>,
    /// The region; none for all.
    pub region: Option<String>,
    /// When; none for always.
    pub during: Option<Window>,
    /// How long.
    pub delay: Delay,
}

/// A distribution of times, 0 seconds to a year.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Delay {
    /// Always the same.
    Fixed(Duration),
    /// Anything between the two, equally often.
    Uniform {
        /// The least.
        min: Duration,
        /// The most.
        max: Duration,
    },
    /// Log-normal, as answers of real services are: half of them within the median, one of a hundred
    /// beyond the 99th percentile.
    LogNormal {
        /// Half of the answers take longer.
        median: Duration,
        /// One of a hundred takes longer; at least the median.
        p99: Duration,
    },
}

/// The 99th percentile of the standard normal distribution.
const P99: f64 = 2.326_347_874;

impl Delay {
    /// Between two times.
    ///
    /// # Errors
    /// The least is more than the most.
    pub fn uniform(min: Duration, max: Duration) -> Result<Self, String> {
        match min <= max {
            true => Ok(Delay::Uniform { min, max }),
            false => Err("`max` must not be less than `min`".to_owned()),
        }
    }

    /// Log-normal.
    ///
    /// # Errors
    /// The median is nothing, or more than the 99th percentile.
    pub fn log_normal(median: Duration, p99: Duration) -> Result<Self, String> {
        match !median.is_zero() && median <= p99 {
            true => Ok(Delay::LogNormal { median, p99 }),
            false => Err("`median` must be above 0 and not above `p99`".to_owned()),
        }
    }

    /// The time for two numbers that are drawn evenly from 0 to 1.
    pub(in crate::sandbox) fn draw(&self, first: f64, second: f64) -> Duration {
        match *self {
            Delay::Fixed(time) => time,
            Delay::Uniform { min, max } => min + (max - min).mul_f64(first.clamp(0.0, 1.0)),
            Delay::LogNormal { median, p99 } => {
                let (middle, far) = (median.as_secs_f64(), p99.as_secs_f64());
                let spread = (far / middle).ln() / P99;
                // Box and Muller's way from two even numbers to one that is normally distributed.
                let normal = (-2.0 * (1.0 - first).max(f64::MIN_POSITIVE).ln()).sqrt() * (TAU * second).cos();
                let seconds = middle * (spread * normal).exp();
                // A tail without end would be a call that never returns.
                Duration::try_from_secs_f64(seconds.min(far * 10.0)).unwrap_or(p99)
            }
        }
    }
}

impl Latency {
    /// The same time for every call.
    pub fn fixed(time: Duration) -> Self {
        Latency { action: None, region: None, during: None, delay: Delay::Fixed(time) }
    }
}

/// What a file says of a latency.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Keys {
    #[serde(deserialize_with = "values::some_action", skip_serializing_if = "Option::is_none")]
    action: Option<String>,
    #[serde(deserialize_with = "values::region", skip_serializing_if = "Option::is_none")]
    region: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    during: Option<Window>,
    #[serde(with = "some_seconds", skip_serializing_if = "Option::is_none")]
    fixed: Option<Duration>,
    #[serde(with = "some_seconds", skip_serializing_if = "Option::is_none")]
    min: Option<Duration>,
    #[serde(with = "some_seconds", skip_serializing_if = "Option::is_none")]
    max: Option<Duration>,
    #[serde(with = "some_seconds", skip_serializing_if = "Option::is_none")]
    median: Option<Duration>,
    #[serde(with = "some_seconds", skip_serializing_if = "Option::is_none")]
    p99: Option<Duration>,
}

impl<'de> Deserialize<'de> for Latency {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let keys = Keys::deserialize(from)?;
        let delay = match (keys.fixed, keys.min, keys.max, keys.median, keys.p99) {
            (Some(time), None, None, None, None) => Ok(Delay::Fixed(time)),
            (None, Some(min), Some(max), None, None) => Delay::uniform(min, max),
            (None, None, None, Some(median), Some(p99)) => Delay::log_normal(median, p99),
            _ => Err("expected `fixed`, or `min` and `max`, or `median` and `p99`, in seconds".to_owned()),
        };
        let delay = delay.map_err(de::Error::custom)?;
        Ok(Latency { action: keys.action, region: keys.region, during: keys.during, delay })
    }
}

impl Serialize for Latency {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut keys = Keys {
            action: self.action.clone(),
            region: self.region.clone(),
            during: self.during,
            ..Keys::default()
        };
        match self.delay {
            Delay::Fixed(time) => keys.fixed = Some(time),
            Delay::Uniform { min, max } => (keys.min, keys.max) = (Some(min), Some(max)),
            Delay::LogNormal { median, p99 } => (keys.median, keys.p99) = (Some(median), Some(p99)),
        }
        keys.serialize(to)
    }
}

impl Rule for Latency {
    const EXPECTED: &'static str = "seconds, or one or more tables";

    fn of_number<E: de::Error>(seconds: f64) -> Result<Self, E> {
        Ok(Latency::fixed(values::seconds::deserialize(de::value::F64Deserializer::new(seconds))?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_follow_their_distribution() {
        let seconds = Duration::from_secs_f64;
        assert_eq!(Delay::Fixed(seconds(0.5)).draw(0.1, 0.9), seconds(0.5));
        let uniform = Delay::uniform(seconds(1.0), seconds(3.0)).unwrap();
        assert_eq!((uniform.draw(0.0, 0.0), uniform.draw(0.5, 0.0)), (seconds(1.0), seconds(2.0)));
        let normal = Delay::log_normal(seconds(0.1), seconds(1.0)).unwrap();
        let even = |seed: u64, word: &str| super::super::dice::fraction(seed, &[word]);
        let mut drawn: Vec<_> = (0..4000).map(|seed| normal.draw(even(seed, "a"), even(seed, "b"))).collect();
        drawn.sort();
        let (median, p99) = (drawn[2000].as_secs_f64(), drawn[3960].as_secs_f64());
        assert!((0.09..0.11).contains(&median), "{median}");
        assert!((0.7..1.4).contains(&p99), "{p99}");
        assert!(drawn.last().unwrap() <= &seconds(10.0));
    }

    #[test]
    fn impossible_distributions_are_refused() {
        let seconds = Duration::from_secs_f64;
        assert!(Delay::uniform(seconds(2.0), seconds(1.0)).is_err());
        assert!(Delay::log_normal(seconds(0.0), seconds(1.0)).is_err());
        assert!(Delay::log_normal(seconds(2.0), seconds(1.0)).is_err());
    }
}
