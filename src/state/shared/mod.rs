//! State that a team shares: one object for each deployment, beside the copy on every machine.
//!
//! Every machine goes on working on files of its own, with their journal; the object is how they agree.
//! What was changed here since the last agreement is done again on what the others wrote, and the result
//! is written on the condition that nobody has written meanwhile; whoever is refused reads again. So
//! nobody waits for anybody, no lock can be left behind, and an outage only delays the agreement.
//!
//! | file | what lives there |
//! |---|---|
//! | `merge` | bringing two sides together |
//! | `object` | the shape of the object: the document, and who is at work |
//! | `replica` | what this machine agreed to last (`.spot/shared.json`) |
//! | `exchange` | one agreement |
//! | `courier` | agreeing in the background while a run goes on |

mod courier;
mod exchange;
mod merge;
mod object;
mod replica;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

pub(super) use courier::Courier;
pub(super) use exchange::{Exchange, Phase};
pub(super) use replica::forget_base;

use crate::error::Result;

/// The bytes of an object, and what tells this version of it from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// What is in it.
    pub bytes: Vec<u8>,
    /// Changes with every write: an ETag.
    pub tag: String,
}

/// Objects that all machines of a team reach, with conditional writes.
///
/// An error that is [retryable](crate::Error::is_retryable) means that the place does not answer at
/// present; any other that it refuses.
pub trait Objects: Send + Sync {
    /// An object; `None` if there is none.
    ///
    /// # Errors
    /// The place does not answer, or refuses.
    fn get(&self, key: &str) -> Result<Option<Version>>;

    /// Writes an object if its version is still `expected`, or if it is still absent for `None`; the
    /// new version, or `None` if somebody else has written meanwhile.
    ///
    /// # Errors
    /// The place does not answer, or refuses. It may have been written all the same.
    fn put(&self, key: &str, bytes: &[u8], expected: Option<&str>) -> Result<Option<String>>;

    /// The keys of all objects.
    ///
    /// # Errors
    /// The place does not answer, or refuses.
    fn keys(&self) -> Result<Vec<String>>;

    /// The place, as people call it: `s3://bucket/prefix`.
    fn place(&self) -> String;
}

/// Where the state of a project is shared, and who is told of what happens to it.
#[derive(Clone)]
pub struct Sharing {
    /// The objects.
    pub objects: Arc<dyn Objects>,
    /// The deployment; `None` is the default one.
    pub deployment: Option<String>,
    /// Is told, in words for people, when the place does not answer, answers again, or others are at
    /// work.
    pub tell: Arc<dyn Fn(String) + Send + Sync>,
    /// Whether anything is written there; otherwise it is only looked at.
    pub writes: bool,
}

impl fmt::Debug for Sharing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sharing").field("place", &self.objects.place()).finish_non_exhaustive()
    }
}
