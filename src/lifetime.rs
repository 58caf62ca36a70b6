//! How long something is to live, as people write it: `6h`, `90m`, `1d12h`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::error::{Error, Result};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const WEEK: u64 = 7 * DAY;

/// A time to live of at least five minutes (less is over before anything is deployed) and at most a year.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lifetime(Duration);

impl Lifetime {
    /// The shortest.
    pub const SHORTEST: Duration = Duration::from_secs(5 * MINUTE);
    /// The longest.
    pub const LONGEST: Duration = Duration::from_secs(365 * DAY);

    /// How long it is.
    pub fn duration(self) -> Duration {
        self.0
    }
}

impl FromStr for Lifetime {
    type Err = Error;

    /// Reads whole numbers with `m`, `h`, `d` or `w`, the largest unit first, each at most once.
    fn from_str(text: &str) -> Result<Self> {
        let duration = parse(text.trim()).ok_or_else(|| {
            Error::usage(format!("`{text}` is no time to live")).with_hint(
                "expected minutes, hours, days or weeks such as 90m, 6h, 1d12h or 2w, the largest unit first",
            )
        })?;
        if duration < Lifetime::SHORTEST {
            return Err(Error::usage(format!("`{text}` is too short a time to live, expected at least 5m")));
        }
        if duration > Lifetime::LONGEST {
            return Err(Error::usage(format!("`{text}` is too long a time to live, expected at most 365d"))
                .with_hint("leave it out for what is to stay"));
        }
        Ok(Lifetime(duration))
    }
}

fn parse(text: &str) -> Option<Duration> {
    let mut seconds: u64 = 0;
    let mut last = u64::MAX;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let mut letters = tail.chars();
        let unit = match letters.next()?.to_ascii_lowercase() {
            'm' => MINUTE,
            'h' => HOUR,
            'd' => DAY,
            'w' => WEEK,
            _ => return None,
        };
        if unit >= last {
            return None;
        }
        last = unit;
        seconds = seconds.checked_add(number.parse::<u64>().ok()?.checked_mul(unit)?)?;
        rest = letters.as_str();
    }
    (last != u64::MAX).then(|| Duration::from_secs(seconds))
}

impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut seconds = self.0.as_secs();
        for (unit, letter) in [(DAY, 'd'), (HOUR, 'h'), (MINUTE, 'm')] {
            if seconds >= unit {
                write!(f, "{}{letter}", seconds / unit)?;
                seconds %= unit;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn minutes(text: &str) -> Option<u64> {
        text.parse::<Lifetime>().ok().map(|lifetime| lifetime.duration().as_secs() / 60)
    }

    #[test]
    fn units_are_added_up_the_largest_first() {
        for (text, expected) in [
            ("5m", 5),
            ("90m", 90),
            ("6h", 360),
            ("6H", 360),
            ("1d12h", 36 * 60),
            ("1w", 7 * 24 * 60),
            (" 2h5m ", 125),
        ] {
            assert_eq!(minutes(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_too_short_or_too_long_says_so() {
        for text in [
            "",
            "h",
            "6",
            "six hours",
            "6 h",
            "-6h",
            "1.5h",
            "5m1h",
            "1h1h",
            "6s",
            "99999999999999999999h",
            "é",
        ] {
            let error = text.parse::<Lifetime>().unwrap_err();
            assert!(
                error.message().contains("is no time to live") && error.hint().is_some(),
                "{text}: {error}"
            );
        }
        assert!("4m".parse::<Lifetime>().unwrap_err().message().contains("at least 5m"));
        assert!("0h".parse::<Lifetime>().unwrap_err().message().contains("at least 5m"));
        assert!("53w".parse::<Lifetime>().unwrap_err().message().contains("at most 365d"));
        assert_eq!(minutes("365d"), Some(365 * 24 * 60));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_shown_reads_back_and_nothing_panics(minutes in 5_u64..=365 * 24 * 60, text in ".*") {
            let lifetime = Lifetime(Duration::from_secs(minutes * 60));
            prop_assert_eq!(lifetime.to_string().parse::<Lifetime>().ok(), Some(lifetime));
            let _ = text.parse::<Lifetime>();
        }
    }
}
