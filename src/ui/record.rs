//! User interfaces without a user: for tests, and for programs that embed spot.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use super::Ui;
use super::event::Event;
use super::question::{Answer, Question, refusal};
use crate::error::Result;

/// Collects events and answers questions from a queue.
#[derive(Debug, Default)]
pub struct Recorder {
    events: Mutex<Vec<Event>>,
    answers: Mutex<VecDeque<Answer>>,
}

impl Recorder {
    /// A recorder with answers to the questions to come.
    pub fn with_answers(answers: impl IntoIterator<Item = Answer>) -> Self {
        Recorder { events: Mutex::default(), answers: Mutex::new(answers.into_iter().collect()) }
    }

    /// Adds the answer to a further question.
    pub fn answer(&self, answer: Answer) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).push_back(answer);
    }

    /// The events so far.
    pub fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The events since the last call.
    pub fn take(&self) -> Vec<Event> {
        std::mem::take(&mut *self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Ui for Recorder {
    fn emit(&self, event: Event) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }

    fn ask(&self, question: &Question) -> Result<Answer> {
        let answer = self.answers.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        answer.ok_or_else(|| refusal(question))
    }
}

/// Shows nothing and refuses every question.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Ui for Silent {
    fn emit(&self, _: Event) {}

    fn ask(&self, question: &Question) -> Result<Answer> {
        Err(refusal(question))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::ui::Level;

    #[test]
    fn a_recorder_keeps_events_and_answers_in_order() {
        let recorder = Recorder::with_answers([Answer::Confirmed(true)]);
        recorder.answer(Answer::Selected(2));
        let question = Question::Text { text: "t".into(), default: None };
        assert_eq!(recorder.ask(&question).unwrap(), Answer::Confirmed(true));
        assert_eq!(recorder.ask(&question).unwrap(), Answer::Selected(2));
        assert_eq!(recorder.ask(&question).unwrap_err().kind(), Kind::Usage);
        recorder.emit(Event::message(Level::Info, "a"));
        assert_eq!(recorder.events().len(), 1);
        assert_eq!(recorder.take().len(), 1);
        assert!(recorder.events().is_empty());
    }

    #[test]
    fn silence_refuses() {
        let question = Question::Confirm { text: "t".into(), default: true, must_type: None };
        assert_eq!(Silent.ask(&question).unwrap_err().kind(), Kind::Usage);
    }
}
