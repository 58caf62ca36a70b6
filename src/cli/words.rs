//! Tells the options of every command from the words that are a recipe's.

use clap::Command;

/// Splits words into those that `command` knows as global options, with their values, and the rest.
pub(super) fn split(command: &Command, words: &[String]) -> (Vec<String>, Vec<String>) {
    let mut ours = Vec::new();
    let mut rest = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--" {
            rest.push(word.clone());
            rest.extend(words.cloned());
            break;
        }
        let (name, inline) = match word.split_once('=') {
            Some((name, _)) => (name, true),
            None => (word.as_str(), false),
        };
        let known = command.get_arguments().filter(|argument| argument.is_global_set()).find(|argument| {
            let long = argument.get_long().is_some_and(|long| name.strip_prefix("--") == Some(long));
            long || argument.get_short().is_some_and(|short| is_short(name, short))
        });
        let Some(argument) = known else {
            rest.push(word.clone());
            continue;
        };
        ours.push(word.clone());
        if argument.get_action().takes_values()
            && !argument.is_require_equals_set()
            && !inline
            && let Some(value) = words.next()
        {
            ours.push(value.clone());
        }
    }
    (ours, rest)
}

/// `-v`, and `-vv` for an option that counts.
fn is_short(word: &str, short: char) -> bool {
    word.strip_prefix('-')
        .is_some_and(|letters| !letters.is_empty() && letters.chars().all(|letter| letter == short))
}
