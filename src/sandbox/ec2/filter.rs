//! `Filter.N.Name` / `Filter.N.Value.N`: which resources a description keeps.

use super::fault::Fault;
use super::model::region::{Region, Tags};
use super::request::Params;

/// EC2 takes no more values in one request.
const MOST_VALUES: usize = 200;

/// What a filter can ask of a resource: its name, and how to read the values to compare with.
pub(super) type Field<T> = (&'static str, fn(&T, &Region) -> Vec<String>);

/// The filters of one request for resources of type `T`.
pub(super) struct Filters<T: 'static> {
    rules: Vec<Rule<T>>,
}

struct Rule<T: 'static> {
    subject: Subject<T>,
    patterns: Vec<String>,
}

enum Subject<T: 'static> {
    Field(fn(&T, &Region) -> Vec<String>),
    Tag(String),
    TagKey,
}

impl<T> Filters<T> {
    /// Reads the filters; a name that is neither in `fields` nor about tags is refused.
    pub fn parse(params: &Params, fields: &'static [Field<T>]) -> Result<Self, Fault> {
        let mut rules = Vec::new();
        let mut values = 0;
        for filter in params.members("Filter") {
            let name = filter.required("Name")?;
            let patterns: Vec<String> = filter.list("Value").into_iter().map(str::to_owned).collect();
            values += patterns.len();
            if values > MOST_VALUES {
                let message = format!(
                    "The maximum number of filter values specified on a single call is {MOST_VALUES}"
                );
                return Err(Fault::new("FilterLimitExceeded", message));
            }
            if patterns.is_empty() {
                return Err(Fault::value("The filter 'null' is invalid"));
            }
            rules.push(Rule { subject: subject(name, fields)?, patterns });
        }
        Ok(Filters { rules })
    }

    /// Whether a resource passes every filter: any one of a filter's values is enough.
    pub fn accept(&self, resource: &T, region: &Region, tags: Option<&Tags>) -> bool {
        self.rules.iter().all(|rule| {
            let actual = match &rule.subject {
                Subject::Field(read) => read(resource, region),
                Subject::Tag(key) => tags.and_then(|tags| tags.get(key)).cloned().into_iter().collect(),
                Subject::TagKey => tags.map(|tags| tags.keys().cloned().collect()).unwrap_or_default(),
            };
            actual.iter().any(|value| rule.patterns.iter().any(|pattern| wildcard(pattern, value)))
        })
    }
}

fn subject<T>(name: &str, fields: &'static [Field<T>]) -> Result<Subject<T>, Fault> {
    if let Some((_, read)) = fields.iter().find(|(field, _)| *field == name) {
        return Ok(Subject::Field(*read));
    }
    if let Some(key) = name.strip_prefix("tag:") {
        return Ok(Subject::Tag(key.to_owned()));
    }
    if name == "tag-key" {
        return Ok(Subject::TagKey);
    }
    Err(Fault::value(format!("The filter '{name}' is invalid")))
}

/// One value as a list, for [`Field`]s that have exactly one.
pub(super) fn one(value: impl ToString) -> Vec<String> {
    vec![value.to_string()]
}

/// Whether `text` fits `pattern`: `*` stands for any run, `?` for any one, a backslash quotes them.
///
/// Never worse than the product of their lengths: on a mismatch only the last `*` is tried again, one
/// place further on.
pub(super) fn wildcard(pattern: &str, text: &str) -> bool {
    let pattern = tokens(pattern);
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while let Some(&character) = text.get(t) {
        match pattern.get(p) {
            Some(Token::Run) => {
                retry = Some((p + 1, t));
                p += 1;
                continue;
            }
            Some(Token::Any) => {
                p += 1;
                t += 1;
                continue;
            }
            Some(Token::Just(expected)) if *expected == character => {
                p += 1;
                t += 1;
                continue;
            }
            _ => {}
        }
        let Some((after, start)) = retry else { return false };
        retry = Some((after, start + 1));
        (p, t) = (after, start + 1);
    }
    pattern.iter().skip(p).all(|token| matches!(token, Token::Run))
}

enum Token {
    Run,
    Any,
    Just(char),
}

fn tokens(pattern: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        tokens.push(match character {
            '*' => Token::Run,
            '?' => Token::Any,
            '\\' => Token::Just(characters.next().unwrap_or('\\')),
            other => Token::Just(other),
        });
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_as_in_ec2() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("*", "", true),
            ("*", "anything", true),
            ("t3.*", "t3.micro", true),
            ("t3.*", "t3a.micro", false),
            (
                "*noble*amd64*2026????",
                "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20260915",
                true,
            ),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a\\*c", "a*c", true),
            ("a\\*c", "abc", false),
            ("*aab", "aaaaaab", true),
            ("é?", "éé", true),
            ("Running", "running", false),
        ] {
            assert_eq!(wildcard(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_do_not_take_for_ever() {
        assert!(!wildcard(&"*a".repeat(40), &"b".repeat(50_000)));
    }
}
