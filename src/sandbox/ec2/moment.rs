//! Points in time, in the form in which they are stored and answered.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Moment(u64);

impl Moment {
    /// The moment of a system time; 1970 for anything earlier.
    pub fn from_time(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Moment(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// The moment so many seconds after 1970.
    pub fn from_seconds(seconds: u64) -> Self {
        Moment(seconds.saturating_mul(1000))
    }

    /// Whole seconds since 1970.
    pub fn seconds(self) -> u64 {
        self.0 / 1000
    }

    /// `2026-11-23 20:34:50`, in UTC.
    pub fn plain(self) -> String {
        self.to_string().chars().take(19).map(|letter| if letter == 'T' { ' ' } else { letter }).collect()
    }

    /// The system time; 1970 for a number that no clock can show.
    pub fn time(self) -> SystemTime {
        UNIX_EPOCH.checked_add(Duration::from_millis(self.0)).unwrap_or(UNIX_EPOCH)
    }

    /// Time that has passed since `earlier`; zero if it lies ahead.
    pub fn since(self, earlier: Moment) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// A moment later by `duration`.
    pub fn plus(self, duration: Duration) -> Self {
        Moment(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// A moment earlier by `duration`.
    pub fn minus(self, duration: Duration) -> Self {
        Moment(self.0.saturating_sub(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// Reads ISO 8601 with an offset, such as `2026-11-23T20:34:50Z`.
    pub fn parse(text: &str) -> Option<Self> {
        let timestamp: jiff::Timestamp = text.parse().ok()?;
        Some(Moment(u64::try_from(timestamp.as_millisecond()).ok()?))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = i64::try_from(self.0).unwrap_or(i64::MAX);
        let timestamp = jiff::Timestamp::from_millisecond(milliseconds).unwrap_or(jiff::Timestamp::MAX);
        write!(f, "{timestamp:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_8601_goes_both_ways() {
        let moment = Moment::parse("2026-11-23T20:34:50Z").unwrap();
        assert_eq!(moment.to_string(), "2026-11-23T20:34:50.000Z");
        assert_eq!(Moment::from_time(moment.time()), moment);
        assert_eq!(Moment::parse("yesterday"), None);
        assert!(Moment(u64::MAX).to_string().starts_with("9999"));
    }
}
