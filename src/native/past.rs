//! A run's entry in the project's history: begun when the run first takes the right to change the state.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::Error;
use crate::state::{Began, Changes, Document, Store, Writer};

/// The entry of the run that is under way.
#[derive(Default)]
pub(crate) struct Entry(Mutex<Stage>);

#[derive(Default)]
struct Stage {
    /// What will be written down if the run changes something.
    expected: Option<Expected>,
    /// What was written down.
    began: Option<Began>,
    /// What was known when the right to change it was taken.
    before: Option<Document>,
    changes: Changes,
}

/// A run before it is known whether it changes anything.
struct Expected {
    recipe: String,
    origin: String,
    arguments: Vec<String>,
}

impl Entry {
    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A run begins, which may or may not change something.
    pub fn expect(&self, recipe: &str, origin: &str, arguments: Vec<String>) {
        let expected = Expected { recipe: recipe.to_owned(), origin: origin.to_owned(), arguments };
        *self.stage() = Stage { expected: Some(expected), ..Stage::default() };
    }

    /// The right to change the state was taken: the run is written down, once.
    ///
    /// # Errors
    /// The history cannot be written; the run may go on without.
    pub fn taken(&self, store: &Store, writer: &Writer) -> Result<(), Error> {
        let mut stage = self.stage();
        // A thread that came later shares the writer.
        if stage.before.is_none() {
            stage.before = Some(writer.document());
        }
        let Some(Expected { recipe, origin, arguments }) = stage.expected.take() else { return Ok(()) };
        let began = Began::now(&recipe, &origin, arguments);
        store.begin_run(&began)?;
        stage.began = Some(began);
        Ok(())
    }

    /// The right to change the state is given back; nobody else has changed it up to now.
    pub fn given_back(&self, writer: &Writer) {
        let mut stage = self.stage();
        let Some(before) = stage.before.take() else { return };
        let changes = writer.with(|after| Changes::between(&before, after));
        stage.changes = std::mem::take(&mut stage.changes).and(changes);
    }

    /// The run is over. A run that changed nothing was not written down.
    ///
    /// # Errors
    /// The history cannot be written.
    pub fn end(
        &self,
        store: &Store,
        seconds: f64,
        exit_code: u8,
        error: Option<String>,
    ) -> Result<(), Error> {
        let stage = std::mem::take(&mut *self.stage());
        let Some(began) = stage.began else { return Ok(()) };
        store.end_run(&began.end(seconds, exit_code, error, stage.changes))
    }
}
