//! When a fault is in force.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::values::{seconds, some_seconds};

/// A part of the time since the faults came into force, by the sandbox's clock: from 10 minutes until 20
/// minutes, every hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Keys", deny_unknown_fields)]
pub struct Window {
    /// How long after the faults came into force it begins.
    #[serde(with = "seconds")]
    pub from: Duration,
    /// When it ends, counted from the same moment; none for never.
    #[serde(with = "some_seconds")]
    pub until: Option<Duration>,
    /// After how long it comes again; at least [`Window::until`]. None for once.
    #[serde(with = "some_seconds")]
    pub every: Option<Duration>,
}

/// What a file says of a window.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    #[serde(default, with = "seconds")]
    from: Duration,
    #[serde(default, with = "some_seconds")]
    until: Option<Duration>,
    #[serde(default, with = "some_seconds")]
    every: Option<Duration>,
}

impl TryFrom<Keys> for Window {
    type Error = String;

    fn try_from(keys: Keys) -> Result<Self, String> {
        Window::new(keys.from, keys.until, keys.every)
    }
}

impl Window {
    /// A window.
    ///
    /// # Errors
    /// It ends before it begins, or comes again before it has ended.
    pub fn new(from: Duration, until: Option<Duration>, every: Option<Duration>) -> Result<Self, String> {
        if until.is_some_and(|until| until <= from) {
            return Err("`until` must be later than `from`".to_owned());
        }
        if let Some(every) = every
            && until.is_none_or(|until| every < until)
        {
            return Err("`every` wants an `until` that is not later than it".to_owned());
        }
        Ok(Window { from, until, every })
    }

    /// Whether it is open so long after the faults came into force.
    pub(in crate::sandbox) fn is_open(&self, since: Duration) -> bool {
        let since = match self.every {
            Some(every) => Duration::from_nanos((since.as_nanos() % every.as_nanos().max(1)) as u64),
            None => since,
        };
        since >= self.from && self.until.is_none_or(|until| since < until)
    }

    /// The moments up to `end` at which it opens or closes, as durations since the faults came into force;
    /// the first thousand.
    pub(in crate::sandbox) fn edges(&self, end: Duration) -> Vec<Duration> {
        let rounds = if self.every.is_some() { 500 } else { 1 };
        let every = self.every.unwrap_or_default();
        let starts = (0..rounds).map(|round| every.saturating_mul(round));
        starts
            .take_while(|start| *start <= end)
            .flat_map(|start| [Some(self.from), self.until].into_iter().flatten().map(move |it| start + it))
            .filter(|edge| *edge <= end)
            .collect()
    }
}

/// Whether something is in force: within its window, or always if it has none.
pub(in crate::sandbox) fn in_force(window: Option<&Window>, since: Duration) -> bool {
    window.is_none_or(|window| window.is_open(since))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(from: u64, until: Option<u64>, every: Option<u64>) -> Window {
        let seconds = Duration::from_secs;
        Window::new(seconds(from), until.map(seconds), every.map(seconds)).unwrap()
    }

    fn open(window: &Window) -> Vec<u64> {
        (0..30).filter(|second| window.is_open(Duration::from_secs(*second))).collect()
    }

    #[test]
    fn a_window_opens_once_or_again_and_again() {
        assert_eq!(open(&window(3, Some(5), None)), [3, 4]);
        assert_eq!(open(&window(28, None, None)), [28, 29]);
        assert_eq!(open(&window(3, Some(5), Some(10))), [3, 4, 13, 14, 23, 24]);
        let edges = window(3, Some(5), Some(10)).edges(Duration::from_secs(14));
        assert_eq!(edges, [3, 5, 13].map(Duration::from_secs));
        assert!(in_force(None, Duration::ZERO));
    }

    #[test]
    fn a_window_that_cannot_be_is_refused() {
        let seconds = Duration::from_secs;
        assert!(Window::new(seconds(5), Some(seconds(5)), None).is_err());
        assert!(Window::new(seconds(5), Some(seconds(8)), Some(seconds(7))).is_err());
        assert!(Window::new(seconds(5), None, Some(seconds(7))).is_err());
    }
}
