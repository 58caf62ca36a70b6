//! What becomes of what a failed run made.

use std::fmt;
use std::str::FromStr;

use rhai::plugin::*;

use crate::error::{Error, nearest};
use crate::native::thrown::{Answer, answer};

/// What becomes of what a run has made when it fails or is interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// It stays, and the end of the run says what there is and what it costs.
    Keep,
    /// All of it is removed again, the newest first.
    Rollback,
    /// Whoever sits at the terminal is asked; it stays when nobody does.
    Ask,
}

impl OnFailure {
    /// All of them.
    pub const ALL: [OnFailure; 3] = [OnFailure::Keep, OnFailure::Rollback, OnFailure::Ask];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            OnFailure::Keep => "keep",
            OnFailure::Rollback => "rollback",
            OnFailure::Ask => "ask",
        }
    }
}

impl fmt::Display for OnFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for OnFailure {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let words = OnFailure::ALL.map(OnFailure::as_str);
        OnFailure::ALL.into_iter().find(|policy| policy.as_str() == text).ok_or_else(|| {
            let error = Error::usage(format!(
                "`{text}` says nothing of what a failed run made, expected `{}`",
                words.join("`, `")
            ));
            match nearest(text, words) {
                Some(near) => error.with_hint(format!("did you mean `{near}`?")),
                None => error,
            }
        })
    }
}

/// What becomes of what a failed run made.
#[export_module]
pub mod policy {
    use super::*;

    /// Says what becomes of what this run has made if it fails or is interrupted: "keep", "rollback" (all
    /// of it is removed again, the newest first) or "ask" (whoever sits at the terminal). What was said
    /// last counts, so a recipe can keep what is worth keeping from some point on. `--on-failure` on the
    /// command line wins; without a word of the recipe, `on_failure` of the configuration's `[fleet]`.
    ///
    /// ```rhai
    /// on_failure("rollback");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn on_failure(call: NativeCallContext, policy: &str) -> Answer {
        answer(&call, |spot| {
            spot.set_on_failure(policy.parse()?);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_policy_names_the_nearest() {
        for policy in OnFailure::ALL {
            assert_eq!(policy.as_str().parse::<OnFailure>().ok(), Some(policy));
        }
        let error = "rolback".parse::<OnFailure>().unwrap_err();
        assert_eq!(error.hint(), Some("did you mean `rollback`?"));
        assert!(error.message().contains("`keep`, `rollback`, `ask`"), "{error}");
    }
}
