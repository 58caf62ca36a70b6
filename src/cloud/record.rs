//! The journal as the cloud sees it: an intent is durable before the request that it announces.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Instance, Owned, ResourceKind};
use crate::error::{Error, Result};

/// The number by which a journal knows an open intent.
pub type IntentId = u64;

/// One request that will change something in the cloud.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// The API action: `RunInstances`, `CreateVpc`, ….
    pub action: String,
    /// The region it goes to.
    pub region: String,
    /// Its idempotency token, which is also the tag `spot:token` of what it makes.
    pub token: String,
    /// The deployment it belongs to; empty when it belongs to the project as a whole.
    pub deployment: String,
    /// What is asked for, for the reader of the journal.
    pub parameters: Value,
    /// What would take it back, if anything can.
    pub undo: Option<Undo>,
}

/// What takes a request back: the removal of what it made, which carries its token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// What kind of thing the request makes.
    pub remove: ResourceKind,
    /// The token of the request.
    pub token: String,
}

/// Where intents are written down; implemented by the journal.
///
/// An intent that is neither succeeded nor failed is open: its outcome is unknown (the answer was
/// lost, or the process died), and [`Cloud::settle`](super::Cloud::settle) finds out.
pub trait Record: Send + Sync {
    /// Writes an intent; durable on return. The request is made only after this succeeded.
    fn started(&self, intent: Intent) -> Result<IntentId>;

    /// Closes an intent with what was made; durable on return. `launched` are the instances among it.
    fn succeeded(&self, id: IntentId, result: Value, launched: &[Instance]) -> Result<()>;

    /// Closes an intent that certainly changed nothing.
    fn failed(&self, id: IntentId, error: &Error) -> Result<()>;
}

/// A record that writes nothing down, for callers that accept that a crash leaves no trace.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unrecorded;

impl Record for Unrecorded {
    fn started(&self, _: Intent) -> Result<IntentId> {
        Ok(0)
    }

    fn succeeded(&self, _: IntentId, _: Value, _: &[Instance]) -> Result<()> {
        Ok(())
    }

    fn failed(&self, _: IntentId, _: &Error) -> Result<()> {
        Ok(())
    }
}

/// What an open intent turned out to have made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Settled {
    /// Instances that exist because of it, those that are already terminated included; of an order to
    /// terminate, those that it was about.
    pub instances: Vec<Instance>,
    /// Other resources that exist because of it.
    pub resources: Vec<Owned>,
}

impl Settled {
    /// Whether the intent left nothing behind.
    pub fn is_empty(&self) -> bool {
        self.instances.is_empty() && self.resources.is_empty()
    }
}

#[cfg(test)]
pub(super) mod remembered {
    //! A record for tests: it keeps all in memory, and can fail like a full disk or a killed process.

    use std::sync::{Mutex, PoisonError};

    use super::*;

    /// One intent and how it was closed.
    #[derive(Debug, Clone)]
    pub struct Entry {
        pub intent: Intent,
        /// `None` while it is open; `Some(true)` when it succeeded.
        pub closed: Option<bool>,
        pub launched: Vec<String>,
    }

    /// Remembers intents; refuses every one from number `limit` (from 0) on.
    #[derive(Debug)]
    pub struct Remembered {
        entries: Mutex<Vec<Entry>>,
        limit: usize,
    }

    impl Default for Remembered {
        fn default() -> Self {
            Remembered::until(usize::MAX)
        }
    }

    impl Remembered {
        pub fn until(limit: usize) -> Self {
            Remembered { entries: Mutex::new(Vec::new()), limit }
        }

        pub fn entries(&self) -> Vec<Entry> {
            self.entries.lock().unwrap_or_else(PoisonError::into_inner).clone()
        }

        pub fn actions(&self) -> Vec<String> {
            self.entries().into_iter().map(|entry| entry.intent.action).collect()
        }

        pub fn open(&self) -> Vec<Intent> {
            self.entries()
                .into_iter()
                .filter(|entry| entry.closed.is_none())
                .map(|entry| entry.intent)
                .collect()
        }

        fn close(&self, id: IntentId, closed: bool, launched: &[Instance]) {
            let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            let entry = &mut entries[usize::try_from(id).unwrap()];
            assert_eq!(entry.closed, None, "{} is closed twice", entry.intent.action);
            entry.closed = Some(closed);
            entry.launched = launched.iter().map(|it| it.id.clone()).collect();
        }
    }

    impl Record for Remembered {
        fn started(&self, intent: Intent) -> Result<IntentId> {
            let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            if entries.len() >= self.limit {
                return Err(Error::state("the journal is full"));
            }
            entries.push(Entry { intent, closed: None, launched: Vec::new() });
            Ok(entries.len() as IntentId - 1)
        }

        fn succeeded(&self, id: IntentId, _: Value, launched: &[Instance]) -> Result<()> {
            self.close(id, true, launched);
            Ok(())
        }

        fn failed(&self, id: IntentId, _: &Error) -> Result<()> {
            self.close(id, false, &[]);
            Ok(())
        }
    }
}
