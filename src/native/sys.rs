//! The machine that spot runs on.

use crate::error::Error;
use crate::native::thrown::{Answer, answer};
use rhai::plugin::*;

/// The machine that spot runs on: environment, user, time, random names.
#[export_module]
pub mod sys {
    use super::*;

    /// The value of an environment variable, or `()`.
    ///
    /// ```rhai
    /// print(sys::env("HOME"));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn env(call: NativeCallContext, name: &str) -> Answer {
        answer(&call, |_| {
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(Error::script(format!("sys::env: `{name}` cannot be the name of a variable")));
            }
            Ok(std::env::var(name).ok())
        })
    }

    /// The SHA-256 of a text, 64 hexadecimal digits: to tell later whether it has changed.
    ///
    /// ```rhai
    /// print(sys::sha256("hello").starts_with("2cf24dba"));
    /// ```
    pub fn sha256(text: &str) -> String {
        use sha2::{Digest as _, Sha256};
        Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The name of the user who runs spot.
    ///
    /// ```rhai
    /// print(sys::user());
    /// ```
    #[rhai_fn(return_raw)]
    pub fn user(call: NativeCallContext) -> Answer {
        answer(&call, |_| {
            let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten();
            Ok(user.map_or_else(|| nix::unistd::getuid().to_string(), |user| user.name))
        })
    }

    /// The name of this machine.
    ///
    /// ```rhai
    /// print(sys::hostname());
    /// ```
    #[rhai_fn(return_raw)]
    pub fn hostname(call: NativeCallContext) -> Answer {
        answer(&call, |_| {
            let name = nix::unistd::gethostname()
                .map_err(|error| Error::internal("the host name cannot be read").with_source(error))?;
            Ok(name.to_string_lossy().into_owned())
        })
    }

    /// How spot has to be called to work on the same things as this run, for hints: `spot`, or
    /// `spot --sandbox --deployment blue`.
    ///
    /// ```rhai
    /// ui::info(`${sys::spot()} list shows them`);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn spot(call: NativeCallContext) -> Answer {
        answer(&call, |spot| Ok(spot.called()))
    }

    /// The version of spot.
    ///
    /// ```rhai
    /// print(sys::version());
    /// ```
    pub fn version() -> String {
        env!("CARGO_PKG_VERSION").to_owned()
    }

    /// The present time in UTC as RFC 3339 text.
    ///
    /// ```rhai
    /// print(sys::now());
    /// ```
    pub fn now() -> String {
        jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// Seconds since an RFC 3339 time, or `()` if the text is none, by the clock of `aws::now`. Without a
    /// zone it is taken for UTC, as Spot Deployer wrote it.
    ///
    /// ```rhai
    /// print(sys::age("2026-01-01T00:00:00Z") > 0.0);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn age(call: NativeCallContext, time: &str) -> Answer {
        answer(&call, |spot| Ok(seconds_between(time, spot.now()?)))
    }

    /// A name that nobody else has: a prefix and eight random hexadecimal digits.
    ///
    /// ```rhai
    /// print(sys::random_name("demo"));
    /// ```
    pub fn random_name(prefix: &str) -> String {
        format!("{prefix}-{:08x}", rand::random::<u32>())
    }
}

/// Seconds since an RFC 3339 time, negative for one to come; a time without a zone is UTC.
pub(super) fn seconds_since(time: &str) -> Option<f64> {
    seconds_between(time, jiff::Timestamp::now())
}

fn seconds_between(time: &str, now: jiff::Timestamp) -> Option<f64> {
    let zoned = time.parse::<jiff::Timestamp>();
    let then = zoned.or_else(|_| format!("{time}Z").parse());
    then.ok().map(|then| now.duration_since(then).as_secs_f64())
}
