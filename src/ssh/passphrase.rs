//! Who is asked for the passphrases of private keys.

use std::fmt;
use std::sync::Arc;

use crate::error::Result;

/// Asks somebody a question whose answer is not shown while it is typed, and returns the answer.
type Asked = dyn Fn(&str) -> Result<String> + Send + Sync;

/// Somebody who knows passphrases. Nothing is kept here, and nothing is shown.
#[derive(Clone)]
pub struct Passphrases(Arc<Asked>);

impl Passphrases {
    /// Calls `ask` with the text of the question, on a thread that may wait.
    pub fn new(ask: impl Fn(&str) -> Result<String> + Send + Sync + 'static) -> Self {
        Passphrases(Arc::new(ask))
    }

    /// Asks.
    pub(super) fn ask(&self, question: &str) -> Result<String> {
        (self.0)(question)
    }
}

impl fmt::Debug for Passphrases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrases")
    }
}
