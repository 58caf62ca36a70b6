//! Errors on their way into scripts and back.
//!
//! A script catches an object map with `kind`, `code`, `message`, `hint`, `retryable` and `causes`.
//! An error that leaves a native function carries the position of the call: Rhai does not add it
//! for functions of a namespace.

use rhai::{Dynamic, EvalAltResult, Map, NativeCallContext, Position};
use serde::Serialize;

use super::context::Context;
use crate::error::{Error, Kind, Result};

/// What a native function returns to the engine.
pub(crate) type Answer<T = Dynamic> = std::result::Result<T, Box<EvalAltResult>>;

/// Runs the body of a native function with its context and turns the result into a script value.
pub(crate) fn answer<T: Serialize>(
    call: &NativeCallContext,
    body: impl FnOnce(&Context) -> Result<T>,
) -> Answer {
    let result = Context::of(call).and_then(|context| to_value(&body(&context)?));
    result.map_err(|error| throw(&error, call.call_position()))
}

/// Like [`answer`], for a body that makes the script value itself or calls back into the script.
pub(crate) fn answer_raw<T>(call: &NativeCallContext, body: impl FnOnce(&Context) -> Answer<T>) -> Answer<T> {
    let context = Context::of(call).map_err(|error| throw(&error, call.call_position()))?;
    body(&context)
}

/// A value of ours as a script value.
pub(crate) fn to_value<T: Serialize>(value: &T) -> Result<Dynamic> {
    rhai::serde::to_dynamic(value)
        .map_err(|error| Error::internal(format!("a result could not be given to the script: {error}")))
}

/// A script value as JSON; what has no JSON form becomes its text.
pub(crate) fn to_json(value: &Dynamic) -> serde_json::Value {
    serde_json::to_value(value).unwrap_or_else(|_| serde_json::Value::from(value.to_string()))
}

/// The object that a script catches.
pub(crate) fn error_value(error: &Error) -> Map {
    let text = |text: Option<&str>| text.map_or(Dynamic::UNIT, |text| Dynamic::from(text.to_owned()));
    let causes: Vec<Dynamic> = error.causes().into_iter().map(Dynamic::from).collect();
    [
        ("kind", Dynamic::from(error.kind().as_str())),
        ("code", text(error.code())),
        ("message", Dynamic::from(error.message().to_owned())),
        ("hint", text(error.hint())),
        ("retryable", error.is_retryable().into()),
        ("causes", causes.into()),
    ]
    .into_iter()
    .map(|(key, value)| (key.into(), value))
    .collect()
}

/// An error of ours as an error of the engine. An interrupt ends the script: nothing can catch it.
pub(crate) fn throw(error: &Error, position: Position) -> Box<EvalAltResult> {
    let value = Dynamic::from_map(error_value(error));
    Box::new(match error.kind() {
        Kind::Interrupted => EvalAltResult::ErrorTerminated(value, position),
        _ => EvalAltResult::ErrorRuntime(value, position),
    })
}

/// An error of ours out of a value that a script threw: our object, a map of the same keys, or any
/// other value, which becomes the message.
pub(crate) fn from_thrown(value: &Dynamic) -> Error {
    let Ok(map) = value.as_map_ref() else {
        let message =
            if value.is_unit() { "the recipe threw an error".to_owned() } else { value.to_string() };
        return Error::script(message);
    };
    let text = |key: &str| map.get(key).and_then(|value| value.clone().into_string().ok());
    let kind = match text("kind").as_deref() {
        Some("usage") => Kind::Usage,
        Some("config") => Kind::Config,
        Some("aws") => Kind::Aws,
        Some("ssh") => Kind::Ssh,
        Some("state") => Kind::State,
        Some("locked") => Kind::Locked,
        Some("timeout") => Kind::Timeout,
        Some("interrupted") => Kind::Interrupted,
        Some("internal") => Kind::Internal,
        _ => Kind::Script,
    };
    let mut error = Error::new(kind, text("message").unwrap_or_else(|| value.to_string()));
    if let Some(code) = text("code") {
        error = error.with_code(code);
    }
    if let Some(hint) = text("hint") {
        error = error.with_hint(hint);
    }
    let causes = map.get("causes").and_then(|causes| causes.as_array_ref().ok().map(|list| list.to_vec()));
    let chain = causes.unwrap_or_default().into_iter().rev().fold(None, |inner: Option<Error>, text| {
        let cause = Error::new(kind, text.to_string());
        Some(match inner {
            Some(inner) => cause.with_source(inner),
            None => cause,
        })
    });
    if let Some(cause) = chain {
        error = error.with_source(cause);
    }
    error.retryable(map.get("retryable").is_some_and(|value| value.as_bool().unwrap_or(false)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_survives_the_way_through_a_script() {
        let inner = Error::ssh("connection reset").with_source(Error::ssh("broken pipe"));
        let error = Error::aws("no capacity")
            .with_code("InsufficientInstanceCapacity")
            .with_hint("try b")
            .retryable(true)
            .with_source(inner);
        let back = from_thrown(&Dynamic::from_map(error_value(&error)));
        assert_eq!(
            (back.kind(), back.code(), back.hint()),
            (Kind::Aws, Some("InsufficientInstanceCapacity"), Some("try b"))
        );
        assert!(back.is_retryable());
        assert_eq!(back.causes(), ["connection reset", "broken pipe"]);
    }

    #[test]
    fn anything_can_be_thrown() {
        assert_eq!(from_thrown(&"boom".into()).message(), "boom");
        assert_eq!(from_thrown(&Dynamic::UNIT).message(), "the recipe threw an error");
        assert_eq!(from_thrown(&5_i64.into()).kind(), Kind::Script);
    }
}
