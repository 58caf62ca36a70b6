//! What was asked of the cloud and how it was answered, for logs and for those who look for a fault.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A request with its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    /// The service: `ec2`.
    pub service: String,
    /// The region it went to.
    pub region: String,
    /// The action: `RunInstances`.
    pub action: String,
    /// The status of the answer; nothing when there was none.
    pub status: Option<u16>,
    /// The id by which the service knows the request, to be given to its support.
    pub request_id: Option<String>,
    /// How long the answer, or its absence, took.
    pub took: Duration,
    /// Why there was no answer.
    pub error: Option<String>,
}

/// Hears of every request to the cloud when it has been answered, from any thread.
#[derive(Clone)]
pub struct Listener(Arc<dyn Fn(Answered) + Send + Sync>);

impl Listener {
    /// A listener that calls a function.
    pub fn new(hear: impl Fn(Answered) + Send + Sync + 'static) -> Self {
        Listener(Arc::new(hear))
    }

    /// Tells it of a request.
    pub fn tell(&self, answered: Answered) {
        (self.0)(answered);
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").finish_non_exhaustive()
    }
}
