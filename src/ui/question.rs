//! Questions: who answers them, and what happens when there is nobody to ask.

use std::fmt;

use super::environment::Options;
use super::sanitize::{clean, clean_line};
use super::style::{Paint, Style};
use crate::error::{Error, Result};

/// Something to ask the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Yes or no.
    Confirm {
        /// What will happen: `terminate 3 instances in us-west-2?`
        text: String,
        /// What pressing return means.
        default: bool,
        /// The exact word (an account id, a deployment) that has to be typed for a yes.
        must_type: Option<String>,
    },
    /// A line of text.
    Text {
        /// What is asked for.
        text: String,
        /// What pressing return means; without it, an empty line is asked about again.
        default: Option<String>,
    },
    /// One of several.
    Select {
        /// What is asked for.
        text: String,
        /// What can be chosen.
        choices: Vec<String>,
    },
    /// A line of text that is not shown while it is typed.
    Secret {
        /// What is asked for.
        text: String,
    },
}

/// What the user answered. Secrets are left out of the debug output.
#[derive(Clone, PartialEq, Eq)]
pub enum Answer {
    /// To [`Question::Confirm`].
    Confirmed(bool),
    /// To [`Question::Text`].
    Text(String),
    /// To [`Question::Select`]: the index of the choice.
    Selected(usize),
    /// To [`Question::Secret`].
    Secret(String),
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Confirmed(yes) => f.debug_tuple("Confirmed").field(yes).finish(),
            Answer::Text(text) => f.debug_tuple("Text").field(text).finish(),
            Answer::Selected(index) => f.debug_tuple("Selected").field(index).finish(),
            Answer::Secret(_) => f.write_str("Secret(***)"),
        }
    }
}

impl Question {
    /// What is asked.
    pub fn text(&self) -> &str {
        match self {
            Question::Confirm { text, .. }
            | Question::Text { text, .. }
            | Question::Select { text, .. }
            | Question::Secret { text } => text,
        }
    }
}

/// Where answers are typed. A closed input and Ctrl-C are [`Error::interrupted`].
pub(super) trait Prompt {
    /// Shows lines before the prompt.
    fn show(&mut self, text: &str);
    /// Reads a line.
    fn line(&mut self, prompt: &str) -> Result<String>;
    /// Reads a line without showing it.
    fn secret(&mut self, prompt: &str) -> Result<String>;
}

/// The answer that the command line gave in advance, if it did.
pub(super) fn answered(question: &Question, options: &Options) -> Option<Answer> {
    match question {
        Question::Confirm { must_type: Some(word), .. } => {
            options.typed.iter().any(|typed| typed == word).then_some(Answer::Confirmed(true))
        }
        Question::Confirm { must_type: None, .. } => options.yes.then_some(Answer::Confirmed(true)),
        Question::Text { default: Some(default), .. } if options.yes => Some(Answer::Text(default.clone())),
        Question::Text { .. } | Question::Select { .. } | Question::Secret { .. } => None,
    }
}

/// Why a question cannot be asked here, and what to do instead.
pub(super) fn refusal(question: &Question) -> Error {
    let text = clean_line(question.text()).into_owned();
    let error = Error::usage(format!("nobody can be asked here: {text}"));
    match question {
        Question::Confirm { must_type: Some(word), .. } => {
            error.with_hint(format!("run it in a terminal, or confirm with `--answer {}`", clean_line(word)))
        }
        Question::Confirm { must_type: None, .. } => {
            error.with_hint("confirm with `--yes`, or run it in a terminal")
        }
        Question::Text { default: Some(_), .. } => {
            error.with_hint("accept the default with `--yes`, or run it in a terminal")
        }
        Question::Text { .. } | Question::Select { .. } | Question::Secret { .. } => {
            error.with_hint("run it in a terminal, or have the recipe take the answer as an argument")
        }
    }
}

/// Asks a person until there is an answer.
pub(super) fn ask(question: &Question, prompt: &mut dyn Prompt, style: &Style) -> Result<Answer> {
    let text = clean(question.text()).into_owned();
    match question {
        Question::Confirm { default, must_type: None, .. } => {
            confirm(&text, *default, prompt, style).map(Answer::Confirmed)
        }
        Question::Confirm { must_type: Some(word), .. } => {
            prompt.show(&heading(&text, style));
            let typed = prompt.line(&format!("  Type {} to confirm: ", clean_line(word)))?;
            Ok(Answer::Confirmed(typed.trim() == word))
        }
        Question::Text { default, .. } => {
            let shown =
                default.as_ref().map_or_else(String::new, |default| format!(" [{}]", clean_line(default)));
            let last = last_line(&text, prompt, style);
            loop {
                let line = prompt.line(&format!("? {last}{shown} "))?;
                match (line.trim(), default) {
                    ("", Some(default)) => return Ok(Answer::Text(default.clone())),
                    ("", None) => prompt.show("  please type something, or press Ctrl-C to stop\n"),
                    (line, _) => return Ok(Answer::Text(line.to_owned())),
                }
            }
        }
        Question::Select { choices, .. } => select(&text, choices, prompt, style).map(Answer::Selected),
        Question::Secret { .. } => {
            let last = last_line(&text, prompt, style);
            prompt.secret(&format!("? {last} ")).map(Answer::Secret)
        }
    }
}

fn confirm(text: &str, default: bool, prompt: &mut dyn Prompt, style: &Style) -> Result<bool> {
    let choices = if default { "[Y/n]" } else { "[y/N]" };
    let last = last_line(text, prompt, style);
    loop {
        match prompt.line(&format!("? {last} {choices} "))?.trim().to_lowercase().as_str() {
            "" => return Ok(default),
            "y" | "yes" => return Ok(true),
            "n" | "no" => return Ok(false),
            _ => prompt.show("  please answer y or n\n"),
        }
    }
}

fn select(text: &str, choices: &[String], prompt: &mut dyn Prompt, style: &Style) -> Result<usize> {
    if choices.is_empty() {
        return Err(Error::usage(format!("there is nothing to choose from: {}", clean_line(text)))
            .with_hint("give `choices` at least one entry"));
    }
    let digits = choices.len().to_string().len();
    let mut shown = heading(text, style);
    for (index, choice) in choices.iter().enumerate() {
        shown.push_str(&format!("  {:>digits$}  {}\n", index + 1, clean_line(choice)));
    }
    prompt.show(&shown);
    loop {
        let line = prompt.line(&format!("  Choose 1-{}: ", choices.len()))?;
        let line = line.trim();
        // A choice that is itself a number is meant literally.
        if let Some(index) = choices.iter().position(|choice| choice == line) {
            return Ok(index);
        }
        match line.parse::<usize>() {
            Ok(number) if (1..=choices.len()).contains(&number) => return Ok(number - 1),
            _ => prompt.show(&format!("  please type a number from 1 to {}\n", choices.len())),
        }
    }
}

/// A question on lines of its own.
fn heading(text: &str, style: &Style) -> String {
    format!("{}\n", style.paint(&format!("? {}", text.trim_end()), Paint::Bold))
}

/// Shows all lines but the last, which is to become the prompt.
fn last_line<'a>(text: &'a str, prompt: &mut dyn Prompt, style: &Style) -> &'a str {
    match text.trim_end().rsplit_once('\n') {
        Some((first, last)) => {
            prompt.show(&heading(first, style));
            last
        }
        None => text.trim_end(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use std::collections::VecDeque;

    /// A person who answers from a list, then closes the input.
    #[derive(Default)]
    struct Typist {
        lines: VecDeque<&'static str>,
        screen: String,
    }

    impl Prompt for Typist {
        fn show(&mut self, text: &str) {
            self.screen.push_str(text);
        }

        fn line(&mut self, prompt: &str) -> Result<String> {
            self.screen.push_str(prompt);
            let line = self.lines.pop_front().ok_or_else(Error::interrupted)?;
            self.screen.push_str(&format!("{line}\n"));
            Ok(line.to_owned())
        }

        fn secret(&mut self, prompt: &str) -> Result<String> {
            self.screen.push_str(prompt);
            self.lines.pop_front().map(str::to_owned).ok_or_else(Error::interrupted)
        }
    }

    fn typed(question: &Question, lines: &[&'static str]) -> (Result<Answer>, String) {
        let mut typist = Typist { lines: lines.iter().copied().collect(), ..Typist::default() };
        let answer = ask(question, &mut typist, &Style::PLAIN);
        (answer, typist.screen)
    }

    fn confirmation(default: bool, must_type: Option<&str>) -> Question {
        Question::Confirm {
            text: "terminate 3 instances?".into(),
            default,
            must_type: must_type.map(str::to_owned),
        }
    }

    #[test]
    fn confirmations() {
        let no = confirmation(false, None);
        let (answer, screen) = typed(&no, &["maybe", "YES"]);
        assert_eq!(answer.unwrap(), Answer::Confirmed(true));
        insta::assert_snapshot!(screen, @"
        ? terminate 3 instances? [y/N] maybe
          please answer y or n
        ? terminate 3 instances? [y/N] YES
        ");
        assert_eq!(typed(&no, &[""]).0.unwrap(), Answer::Confirmed(false));
        assert_eq!(typed(&confirmation(true, None), &[""]).0.unwrap(), Answer::Confirmed(true));
        assert_eq!(typed(&confirmation(true, None), &["n"]).0.unwrap(), Answer::Confirmed(false));
    }

    #[test]
    fn a_word_must_be_typed_exactly() {
        let question = confirmation(true, Some("123456789012"));
        let (answer, screen) = typed(&question, &["123456789012"]);
        assert_eq!(answer.unwrap(), Answer::Confirmed(true));
        insta::assert_snapshot!(screen, @"
        ? terminate 3 instances?
          Type 123456789012 to confirm: 123456789012
        ");
        for wrong in ["", "y", "12345678901"] {
            assert_eq!(typed(&question, &[wrong]).0.unwrap(), Answer::Confirmed(false));
        }
    }

    #[test]
    fn texts_secrets_and_choices() {
        let text = Question::Text { text: "name?".into(), default: None };
        assert_eq!(typed(&text, &["", " web "]).0.unwrap(), Answer::Text("web".into()));
        let text = Question::Text { text: "name?".into(), default: Some("web".into()) };
        assert_eq!(typed(&text, &[""]).0.unwrap(), Answer::Text("web".into()));
        let (answer, screen) = typed(&Question::Secret { text: "token".into() }, &["hunter2"]);
        assert_eq!(screen, "? token ");
        assert_eq!(format!("{:?}", answer.unwrap()), "Secret(***)");
        let select = Question::Select {
            text: "which region?".into(),
            choices: vec!["us-west-2".into(), "eu\u{1b}[2J".into()],
        };
        let (answer, screen) = typed(&select, &["3", "2"]);
        assert_eq!(answer.unwrap(), Answer::Selected(1));
        insta::assert_snapshot!(screen, @"
        ? which region?
          1  us-west-2
          2  eu
          Choose 1-2: 3
          please type a number from 1 to 2
          Choose 1-2: 2
        ");
        assert_eq!(typed(&select, &["us-west-2"]).0.unwrap(), Answer::Selected(0));
        let empty = Question::Select { text: "x".into(), choices: vec![] };
        assert_eq!(typed(&empty, &[]).0.unwrap_err().kind(), Kind::Usage);
    }

    #[test]
    fn a_closed_input_interrupts() {
        for question in [
            confirmation(true, None),
            confirmation(true, Some("x")),
            Question::Text { text: "t".into(), default: Some("d".into()) },
            Question::Select { text: "t".into(), choices: vec!["a".into()] },
            Question::Secret { text: "t".into() },
        ] {
            assert_eq!(typed(&question, &[]).0.unwrap_err().kind(), Kind::Interrupted);
        }
    }

    #[test]
    fn yes_answers_confirmations_but_types_no_words() {
        let yes = Options { yes: true, ..Options::default() };
        let word = Options { typed: vec!["123".into()], ..yes.clone() };
        assert_eq!(answered(&confirmation(false, None), &yes), Some(Answer::Confirmed(true)));
        assert_eq!(answered(&confirmation(false, None), &Options::default()), None);
        assert_eq!(answered(&confirmation(false, Some("123")), &yes), None);
        assert_eq!(answered(&confirmation(false, Some("123")), &word), Some(Answer::Confirmed(true)));
        assert_eq!(answered(&confirmation(false, Some("1234")), &word), None);
        assert_eq!(answered(&Question::Secret { text: "t".into() }, &word), None);
    }

    #[test]
    fn refusals_name_the_flag() {
        let plain = refusal(&confirmation(false, None));
        assert_eq!(plain.kind(), Kind::Usage);
        assert!(plain.hint().is_some_and(|hint| hint.contains("`--yes`")));
        let word = refusal(&confirmation(false, Some("123")));
        assert!(word.hint().is_some_and(|hint| hint.contains("`--answer 123`")));
    }
}
