//! The one error type of the crate: what went wrong, in whose words, what to do about it.
//!
//! Natives hand it to scripts as an object (`e.kind`, `e.code`, `e.message`, `e.hint`,
//! `e.retryable`), and the command line prints it with its hint and causes.

use std::fmt;
use std::sync::Arc;

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Which part of the world an [`Error`] belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The command line or an option map is wrong.
    Usage,
    /// The recipe itself failed: a syntax error, a wrong type, a call of `fail`.
    Script,
    /// The project's configuration cannot be used.
    Config,
    /// EC2 or STS refused or did not answer.
    Aws,
    /// A host could not be reached or refused the session.
    Ssh,
    /// A web server refused or did not answer.
    Http,
    /// The state or its journal could not be read or written.
    State,
    /// Somebody else is working on the same project.
    Locked,
    /// A deadline passed.
    Timeout,
    /// The user pressed Ctrl-C, or the embedding program cancelled the run.
    Interrupted,
    /// A fault of spot itself.
    Internal,
}

impl Kind {
    /// The word that scripts and JSON output see.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Usage => "usage",
            Kind::Script => "script",
            Kind::Config => "config",
            Kind::Aws => "aws",
            Kind::Ssh => "ssh",
            Kind::Http => "http",
            Kind::State => "state",
            Kind::Locked => "locked",
            Kind::Timeout => "timeout",
            Kind::Interrupted => "interrupted",
            Kind::Internal => "internal",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The code of an error that says: some targets succeeded and some did not (exit code 3).
pub const PARTIAL_FAILURE: &str = "PartialFailure";
/// The code of an error that says: something that costs money may still exist (exit code 5).
pub const RESOURCES_REMAIN: &str = "ResourcesRemain";
/// The code of an error that says: state and cloud differ (exit code 6).
pub const DRIFT: &str = "Drift";

/// What went wrong, whether trying again can help, and what to do about it.
///
/// The message is lowercase, without a full stop, and names what it is about. The hint, if any, is
/// a command to run or a change to make.
#[derive(Debug, Clone)]
pub struct Error {
    kind: Kind,
    code: Option<String>,
    message: String,
    hint: Option<String>,
    retryable: bool,
    throttled: bool,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of a kind with its message; not retryable until said otherwise.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error {
            kind,
            code: None,
            message: message.into(),
            hint: None,
            retryable: false,
            throttled: false,
            source: None,
        }
    }

    /// [`Kind::Usage`].
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// [`Kind::Script`].
    pub fn script(message: impl Into<String>) -> Self {
        Self::new(Kind::Script, message)
    }

    /// [`Kind::Config`].
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(Kind::Config, message)
    }

    /// [`Kind::Aws`].
    pub fn aws(message: impl Into<String>) -> Self {
        Self::new(Kind::Aws, message)
    }

    /// [`Kind::Ssh`].
    pub fn ssh(message: impl Into<String>) -> Self {
        Self::new(Kind::Ssh, message)
    }

    /// [`Kind::State`].
    pub fn state(message: impl Into<String>) -> Self {
        Self::new(Kind::State, message)
    }

    /// [`Kind::Timeout`]; retryable, since the next attempt may be in time.
    pub fn timeout(message: impl Into<String>) -> Self {
        Self::new(Kind::Timeout, message).retryable(true)
    }

    /// [`Kind::Interrupted`].
    pub fn interrupted() -> Self {
        Self::new(Kind::Interrupted, "interrupted")
    }

    /// [`Kind::Internal`].
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Kind::Internal, message)
    }

    /// Adds the code of the service that refused (`InsufficientInstanceCapacity`, `HostKeyChanged`).
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the error that caused this one.
    #[must_use]
    pub fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Says whether the same call may succeed when it is made again.
    #[must_use]
    pub fn retryable(mut self, retryable: bool) -> Self {
        self.retryable = retryable;
        self
    }

    /// Says that the service asked for fewer calls: the same call may succeed later, and this was no
    /// failure of it.
    #[must_use]
    pub fn throttled(mut self) -> Self {
        self.retryable = true;
        self.throttled = true;
        self
    }

    /// Puts what was being done before the message: `context: message`.
    #[must_use]
    pub fn context(mut self, doing: impl fmt::Display) -> Self {
        self.message = format!("{doing}: {}", self.message);
        self
    }

    /// Puts more after the message: `message; more`.
    #[must_use]
    pub fn followed_by(mut self, more: impl fmt::Display) -> Self {
        self.message = format!("{}; {more}", self.message);
        self
    }

    /// The kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The service's code, if the error has one.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// The message, without code, hint or causes.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it, if known.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Whether the same call may succeed when it is made again.
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }

    /// Whether the service asked for fewer calls.
    pub fn is_throttled(&self) -> bool {
        self.throttled
    }

    /// The messages of the causes, outermost first, without those that repeat the one before.
    pub fn causes(&self) -> Vec<String> {
        let mut causes: Vec<String> = Vec::new();
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            let text = cause.to_string();
            let known = causes.last().map_or(self.message.as_str(), String::as_str);
            if !known.contains(&text) {
                causes.push(text);
            }
            next = cause.source();
        }
        causes
    }

    /// The process exit code for a run that ended with this error.
    ///
    /// 1 recipe failed · 2 usage or configuration · 3 some targets failed · 4 state locked ·
    /// 5 resources may remain · 130 interrupted · 70 internal.
    pub fn exit_code(&self) -> u8 {
        match (self.kind, self.code()) {
            (Kind::Interrupted, _) => 130,
            (_, Some(PARTIAL_FAILURE)) => 3,
            (_, Some(RESOURCES_REMAIN)) => 5,
            (_, Some(DRIFT)) => 6,
            (Kind::Usage | Kind::Config, _) => 2,
            (Kind::Locked, _) => 4,
            (Kind::Internal, _) => 70,
            _ => 1,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

/// The candidate nearest to `word`, if it is near enough to be what was meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_follow_the_documented_table() {
        assert_eq!(Error::script("x").exit_code(), 1);
        assert_eq!(Error::usage("x").exit_code(), 2);
        assert_eq!(Error::config("x").exit_code(), 2);
        assert_eq!(Error::script("x").with_code(PARTIAL_FAILURE).exit_code(), 3);
        assert_eq!(Error::new(Kind::Locked, "x").exit_code(), 4);
        assert_eq!(Error::aws("x").with_code(RESOURCES_REMAIN).exit_code(), 5);
        assert_eq!(Error::script("x").with_code(DRIFT).exit_code(), 6);
        assert_eq!(Error::interrupted().with_code(RESOURCES_REMAIN).exit_code(), 130);
        assert_eq!(Error::internal("x").exit_code(), 70);
    }

    #[test]
    fn causes_leave_out_repetitions() {
        let inner = Error::ssh("connection refused");
        let outer = Error::ssh("i-1: connection refused").with_source(inner);
        assert!(outer.causes().is_empty());
        let outer = Error::ssh("no session with i-1").with_source(Error::ssh("connection refused"));
        assert_eq!(outer.causes(), ["connection refused"]);
    }

    #[test]
    fn nearest_suggests_only_what_is_near() {
        assert_eq!(nearest("regoin", ["region", "count"]), Some("region"));
        assert_eq!(nearest("xyz", ["region", "count"]), None);
    }
}
