//! Tags of the user, within the limits of EC2.

use std::collections::BTreeMap;

use crate::config::report::Report;
use crate::config::tree::Located;

/// EC2 allows 50 tags; the others are ours.
const MOST_TAGS: usize = 40;
const LONGEST_KEY: usize = 128;
const LONGEST_VALUE: usize = 256;

/// Whether this is a tag that spot or AWS writes.
pub(in super::super) fn is_reserved(key: &str) -> bool {
    let starts =
        |prefix: &str| key.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    starts("aws:") || starts("spot:") || key == "Name" || key == "ManagedBy"
}

/// The tags that can be written.
pub(in super::super) fn tags(
    report: &Report,
    pairs: Vec<(Located<String>, Located<String>)>,
) -> BTreeMap<String, String> {
    if let Some((key, _)) = pairs.get(MOST_TAGS) {
        let message = format!("there are {} tags, expected at most {MOST_TAGS}", pairs.len());
        report.error(key.span, message, None);
    }
    let usable = |(key, value): &(Located<String>, Located<String>)| is_usable(report, key, value);
    pairs.into_iter().filter(usable).map(|(key, value)| (key.value, value.value)).collect()
}

fn is_usable(report: &Report, key: &Located<String>, value: &Located<String>) -> bool {
    let name = &key.value;
    if is_reserved(name) {
        let message = format!("the tag `{name}` is reserved: spot or AWS writes it");
        report.error(key.span, message, Some("choose another name, or remove it".to_owned()));
        return false;
    }
    let key_length = name.chars().count();
    let value_length = value.value.chars().count();
    if key_length == 0 || key_length > LONGEST_KEY {
        let message =
            format!("the name of a tag must have 1 to {LONGEST_KEY} characters, found {key_length}");
        report.error(key.span, message, None);
        return false;
    }
    if value_length > LONGEST_VALUE {
        let message =
            format!("the tag `{name}` must have at most {LONGEST_VALUE} characters, found {value_length}");
        report.error(value.span, message, None);
        return false;
    }
    let foreign = |text: &str| text.chars().find(|c| !(c.is_alphanumeric() || " +-=._:/@".contains(*c)));
    for (text, span) in [(name, key.span), (&value.value, value.span)] {
        if let Some(character) = foreign(text) {
            let message =
                format!("the tag `{name}` has the character {character:?}, which EC2 does not allow");
            report.error(span, message, Some("use letters, digits, spaces and + - = . _ : / @".to_owned()));
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source::{Source, Span};

    fn check(pairs: &[(&str, &str)]) -> (BTreeMap<String, String>, Vec<String>) {
        let report = Report::new(Source::new("f", ""));
        let located = |text: &str| Located::new(text.to_owned(), Span::default());
        let tags = tags(&report, pairs.iter().map(|(key, value)| (located(key), located(value))).collect());
        (tags, report.into_problems().into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn ordinary_tags_pass() {
        let (tags, problems) = check(&[("Project", "café 7"), ("cost:center", "a/b@c=d")]);
        assert_eq!(tags.len(), 2);
        assert!(problems.is_empty());
    }

    #[test]
    fn reserved_and_impossible_tags_are_refused() {
        let long = "x".repeat(257);
        let (tags, problems) = check(&[
            ("Name", "x"),
            ("ManagedBy", "x"),
            ("spot:fleet", "x"),
            ("AWS:x", "x"),
            ("", "x"),
            (&long, "x"),
            ("a", &long),
            ("b", "x;y"),
            ("c", "a\nb"),
        ]);
        assert!(tags.is_empty());
        assert_eq!(problems.len(), 9, "{problems:#?}");
        assert!(problems.iter().any(|message| message.contains("';'")));
    }

    #[test]
    fn there_is_a_most() {
        let names: Vec<String> = (0..41).map(|number| format!("t{number}")).collect();
        let pairs: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x")).collect();
        assert_eq!(check(&pairs).1, ["there are 41 tags, expected at most 40"]);
    }
}
