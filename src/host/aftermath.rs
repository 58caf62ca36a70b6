//! After a run that failed: what it made is kept, rolled back, or asked about.

use super::{Failure, Host, OnFailure};
use crate::error::{Kind, Result};
use crate::native::{Remains, RolledBack, roll_back};
use crate::ui::{Answer, Event, Level, Question};

impl Host {
    /// Shows the failure, does with what the run made as it is wanted, and says what exists then.
    pub(super) fn see_to_remains(&self, failure: &mut Failure) {
        let remains = self.remains();
        failure.remaining = ids_of(&remains);
        failure.show(&self.context);
        if remains.is_empty() {
            return;
        }
        // Who interrupts twice wants it to end now: the journal has it all.
        let now = self.context.runtime().is_abandoned();
        let policy = if now { OnFailure::Keep } else { self.context.on_failure() };
        let wanted = match policy {
            OnFailure::Keep => false,
            OnFailure::Rollback => true,
            OnFailure::Ask => self.asks_for_rollback(&remains),
        };
        let remains = if wanted { self.take_back(&remains) } else { remains };
        failure.remaining = ids_of(&remains);
        self.report(&remains);
    }

    /// What the run has made that still exists.
    fn remains(&self) -> Remains {
        if self.context.is_plan() {
            return Remains::default();
        }
        let made = self.context.made();
        self.context.document().map(|document| Remains::of(&document, &made)).unwrap_or_default()
    }

    /// Asks whether to remove what the run made; nobody there, or another interrupt, means no.
    fn asks_for_rollback(&self, remains: &Remains) -> bool {
        self.go_on();
        let text = format!("{}\nremove all of it again?", remains.in_words());
        match self.context.ui().ask(&Question::Confirm { text, default: false, must_type: None }) {
            Ok(answer) => answer == Answer::Confirmed(true),
            Err(error) => {
                if error.kind() != Kind::Interrupted {
                    let text = format!("{}, so what the run made is kept", error.message());
                    self.tell(Level::Warning, text, Some("--on-failure rollback removes it".to_owned()));
                }
                false
            }
        }
    }

    /// Removes what the run made; what is left then.
    fn take_back(&self, remains: &Remains) -> Remains {
        self.go_on();
        self.tell(Level::Info, format!("rolling back: {}", remains.in_words()), None);
        let made = self.context.made();
        let result: Result<RolledBack> = self.context.step("roll back", || roll_back(&self.context, made));
        match result {
            Ok(done) => {
                for reason in &done.left {
                    self.tell(Level::Warning, format!("left {reason}"), None);
                }
                for error in done.failed.iter().filter(|error| error.kind() != Kind::Interrupted) {
                    self.tell(Level::Error, error.message().to_owned(), error.hint().map(str::to_owned));
                }
                if done.is_interrupted() {
                    self.tell_unfinished("the rollback was interrupted");
                } else if !done.failed.is_empty() {
                    self.tell_unfinished("the rollback is not complete");
                } else if done.left.is_empty() {
                    self.tell(Level::Success, "rolled back: nothing of this run is left".to_owned(), None);
                }
                // What is gone is known; what is not, the token finds no more.
                if done.failed.is_empty() {
                    self.context.note_unmade(|_, made| made.ids.is_empty());
                }
            }
            Err(error) if error.kind() == Kind::Interrupted => {
                self.tell_unfinished("the rollback was interrupted");
            }
            Err(error) => {
                let text = format!("what the run made could not be rolled back: {}", error.message());
                self.tell(Level::Error, text, error.hint().map(str::to_owned));
            }
        }
        self.remains()
    }

    /// An interrupt was for the run; what comes after it can be interrupted anew.
    fn go_on(&self) {
        if self.context.runtime().is_interrupted() {
            self.context.recover();
        }
    }

    /// Says what a failed run leaves behind, what it costs, and how to remove it.
    fn report(&self, remains: &Remains) {
        if remains.is_empty() {
            return;
        }
        let spot = self.context.called();
        let hint = format!("'{spot} list' shows them, '{}' removes them", remains.remove_with(&spot));
        self.tell(Level::Warning, remains.in_words(), Some(hint));
    }

    fn tell_unfinished(&self, what: &str) {
        let hint = format!("'{} destroy' goes on with it", self.context.called());
        self.tell(Level::Warning, format!("{what}; the journal has what is left of it"), Some(hint));
    }

    fn tell(&self, level: Level, text: String, hint: Option<String>) {
        self.context.emit(Event::Message { level, text, hint });
    }
}

fn ids_of(remains: &Remains) -> Vec<String> {
    remains.instances.iter().map(|instance| instance.id.clone()).collect()
}
