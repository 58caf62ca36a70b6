//! What the API refuses, with EC2's own codes and messages.

/// An API error: it becomes the `<Error>` element of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// The HTTP status that goes with the code.
    pub status: u16,
    /// EC2's code, such as `InvalidVpcID.NotFound`.
    pub code: String,
    /// The sentence that a person reads.
    pub message: String,
    /// Whether a fault of the sandbox made it.
    pub on_purpose: bool,
}

impl Fault {
    /// A refusal of the request (400).
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Fault { status: 400, code: code.into(), message: message.into(), on_purpose: false }
    }

    /// A refusal with another status than 400.
    pub fn with_status(status: u16, code: &str, message: impl Into<String>) -> Self {
        Fault { status, code: code.into(), message: message.into(), on_purpose: false }
    }

    /// `InvalidParameterValue`.
    pub fn value(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterValue", message)
    }

    /// `InvalidParameterValue` in the words EC2 uses for a single parameter.
    pub fn value_of(parameter: &str, value: &str, why: &str) -> Self {
        Self::value(format!("Value ({value}) for parameter {parameter} is invalid. {why}"))
    }

    /// `InvalidParameterCombination`.
    pub fn combination(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterCombination", message)
    }

    /// `MissingParameter`.
    pub fn missing(parameter: &str) -> Self {
        Self::new("MissingParameter", format!("The request must contain the parameter {parameter}"))
    }

    /// `DependencyViolation`.
    pub fn dependency(message: impl Into<String>) -> Self {
        Self::new("DependencyViolation", message)
    }

    /// `UnsupportedOperation`: a thing EC2 can do and the sandbox cannot.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new("UnsupportedOperation", message)
    }

    /// `AuthFailure` (401).
    pub fn unauthenticated() -> Self {
        Self::with_status(401, "AuthFailure", "AWS was not able to validate the provided access credentials")
    }

    /// `InternalError` (500).
    pub fn internal(message: impl Into<String>) -> Self {
        Self::with_status(500, "InternalError", message)
    }
}
