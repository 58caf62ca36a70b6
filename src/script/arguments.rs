//! A recipe's `args(#{…})` as a command line: declaration, help and parsing.
//!
//! The default of a key is also its type: `count: 3` takes a whole number, `regions: ["a"]` a list
//! (repeated or separated by commas), `force: false` is a switch, `name: ()` a text that may be
//! missing.

use std::collections::BTreeMap;

use rhai::{Dynamic, Map};

use crate::error::{Error, Result, nearest};

/// Flags of every command, by their long names: the command line takes them before a recipe sees them.
pub const RESERVED: [&str; 26] = [
    "allow",
    "answer",
    "color",
    "config",
    "deployment",
    "dry-run",
    "endpoint-url",
    "fault",
    "faults",
    "help",
    "json",
    "lock-timeout",
    "on-failure",
    "profile",
    "project",
    "quiet",
    "read-only",
    "region",
    "sandbox",
    "sandbox-hosts",
    "screen",
    "seed",
    "time-scale",
    "verbose",
    "version",
    "yes",
];

/// Stands for what must not be seen.
const MASK: &str = "***";
/// A flag with one of these in its name takes a secret.
const SECRETS: [&str; 6] = ["secret", "token", "password", "passphrase", "credential", "api-key"];

/// Whether something of this name is a secret.
pub(super) fn names_a_secret(name: &str) -> bool {
    let name = name.to_lowercase().replace('_', "-");
    SECRETS.iter().any(|word| name.contains(word))
}

/// One declared argument of a recipe.
#[derive(Debug, Clone)]
pub struct Argument {
    /// The key in the `args` map.
    pub name: String,
    /// Its value when the command line says nothing.
    pub default: Dynamic,
    /// One line of help.
    pub help: String,
    /// Whether it takes the words that stand without a flag.
    pub positional: bool,
    /// The only values allowed; empty for any.
    pub choices: Vec<String>,
}

/// What a run was given: words of a command line, or values from an embedding program.
#[derive(Debug, Clone, Default)]
pub struct Given {
    words: Vec<String>,
    values: Map,
}

impl Given {
    /// The words of a command line: `--count`, `5`, …
    pub fn words(words: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Given { words: words.into_iter().map(Into::into).collect(), values: Map::new() }
    }

    /// Typed values by name.
    pub fn values(values: Map) -> Self {
        Given { words: Vec::new(), values }
    }

    /// Whether nothing was given.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty() && self.values.is_empty()
    }

    /// The first thing given, for a complaint about it.
    pub fn first(&self) -> String {
        let value = self.values.keys().next().map(ToString::to_string);
        self.words.first().cloned().or(value).unwrap_or_default()
    }

    /// The words that would give the same, for people to read later: without the values of flags that
    /// are named like secrets.
    pub fn shown(&self) -> Vec<String> {
        let mut shown = Vec::with_capacity(self.words.len() + 2 * self.values.len());
        let mut secret = false;
        for word in &self.words {
            let flag = word.strip_prefix("--").map(|flag| flag.split_once('='));
            shown.push(match flag {
                // A flag after a secret one: that was a switch.
                Some(Some((name, _))) if names_a_secret(name) => format!("--{name}={MASK}"),
                None if secret => MASK.to_owned(),
                _ => word.clone(),
            });
            secret = flag.is_some_and(|inline| inline.is_none()) && names_a_secret(word);
        }
        for (name, value) in &self.values {
            let value = if names_a_secret(name) { MASK.to_owned() } else { value.to_string() };
            shown.extend([format!("--{}", name.replace('_', "-")), value]);
        }
        shown
    }

    /// The values of a recipe's arguments: what was given, otherwise the defaults.
    ///
    /// # Errors
    /// [`Usage`](crate::error::Kind::Usage), naming the flag, what it takes and the nearest name.
    pub fn resolve(&self, recipe: &str, declared: &[Argument]) -> Result<Map> {
        let mut given = self.parse(recipe, declared)?;
        for (name, value) in &self.values {
            let argument = find(recipe, declared, name)?;
            given.insert(argument.name.clone(), check_value(argument, value.clone())?);
        }
        Ok(declared
            .iter()
            .map(|argument| {
                let value = given.remove(&argument.name).unwrap_or_else(|| argument.default.clone());
                (argument.name.as_str().into(), value)
            })
            .collect())
    }

    fn parse(&self, recipe: &str, declared: &[Argument]) -> Result<BTreeMap<String, Dynamic>> {
        let mut given = BTreeMap::new();
        let mut words = self.words.iter();
        let mut only_positional = false;
        while let Some(word) = words.next() {
            if word == "--" && !only_positional {
                only_positional = true;
                continue;
            }
            let Some(flag) = word.strip_prefix("--").filter(|_| !only_positional) else {
                if word.starts_with('-') && word.len() > 1 && !only_positional && word.parse::<f64>().is_err()
                {
                    return Err(Error::usage(format!("recipe {recipe} has no flag `{word}`"))
                        .with_hint(format!("flags have two dashes; spot {recipe} --help shows them")));
                }
                let argument = declared.iter().find(|argument| argument.positional).ok_or_else(|| {
                    Error::usage(format!(
                        "recipe {recipe} takes no argument without a flag, but got `{word}`"
                    ))
                    .with_hint(format!("spot {recipe} --help shows its flags"))
                })?;
                take(&mut given, argument, word)?;
                continue;
            };
            let (name, inline) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (flag, None),
            };
            let (argument, negated) = match name.strip_prefix("no-") {
                Some(rest) if declared.iter().any(|a| a.default.is_bool() && a.flag() == rest) => {
                    (find(recipe, declared, rest)?, true)
                }
                _ => (find(recipe, declared, name)?, false),
            };
            if argument.default.is_bool() {
                let value = match inline {
                    None => !negated,
                    Some("true") => !negated,
                    Some("false") => negated,
                    Some(other) => {
                        return Err(Error::usage(format!(
                            "--{name}: expected true or false, found `{other}`"
                        )));
                    }
                };
                given.insert(argument.name.clone(), value.into());
                continue;
            }
            let value = match inline {
                Some(value) => value,
                None => words.next().map(String::as_str).ok_or_else(|| {
                    Error::usage(format!("--{name}: a value is missing, expected {}", argument.takes()))
                })?,
            };
            take(&mut given, argument, value)?;
        }
        Ok(given)
    }
}

impl Argument {
    /// Whether a command line can give it at all.
    ///
    /// # Errors
    /// When every command has a flag of that name.
    pub fn check_name(&self) -> Result<()> {
        let flag = self.flag();
        if self.positional || !RESERVED.contains(&flag.as_str()) {
            return Ok(());
        }
        Err(Error::script(format!(
            "args: `{}` cannot be given, --{flag} is an option of every command",
            self.name
        ))
        .with_hint("choose another name; spot --help shows the options of every command"))
    }

    /// The flag's name without dashes: underscores become dashes.
    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    /// What a value of it is, in words.
    pub fn takes(&self) -> String {
        if !self.choices.is_empty() {
            return format!("one of {}", self.choices.join(", "));
        }
        match self.default.type_name() {
            "i64" => "a whole number",
            "f64" => "a number",
            "bool" => "nothing, it is a switch",
            "array" => "a list such as a,b",
            _ => "a text",
        }
        .to_owned()
    }

    /// The left column of its line in `--help`.
    pub fn usage(&self) -> String {
        if self.positional {
            return format!("[{}]…", self.name.to_uppercase().replace('_', "-"));
        }
        match self.default.type_name() {
            "bool" if self.default.as_bool().unwrap_or(false) => format!("--no-{}", self.flag()),
            "bool" => format!("--{}", self.flag()),
            "i64" => format!("--{} <N>", self.flag()),
            "f64" => format!("--{} <NUMBER>", self.flag()),
            "array" => format!("--{} <A,B,…>", self.flag()),
            _ => format!("--{} <TEXT>", self.flag()),
        }
    }

    /// The default in words, if there is one worth saying.
    pub fn default_text(&self) -> Option<String> {
        if self.default.is_unit() || self.default.is_bool() {
            return None;
        }
        if let Ok(list) = self.default.as_array_ref() {
            let words: Vec<String> = list.iter().map(ToString::to_string).collect();
            return (!words.is_empty()).then(|| words.join(","));
        }
        Some(self.default.to_string())
    }
}

fn find<'a>(recipe: &str, declared: &'a [Argument], flag: &str) -> Result<&'a Argument> {
    let wanted = flag.replace('_', "-");
    if let Some(argument) = declared.iter().find(|argument| argument.flag() == wanted && !argument.positional)
    {
        return Ok(argument);
    }
    let flags: Vec<String> = declared.iter().filter(|a| !a.positional).map(Argument::flag).collect();
    let error = Error::usage(format!("recipe {recipe} has no flag `--{flag}`"));
    Err(match nearest(&wanted, flags.iter().map(String::as_str)) {
        Some(near) => error.with_hint(format!("did you mean `--{near}`?")),
        None => error.with_hint(format!("spot {recipe} --help shows its flags")),
    })
}

fn take(given: &mut BTreeMap<String, Dynamic>, argument: &Argument, text: &str) -> Result<()> {
    let expected = |found: &str| {
        let name =
            if argument.positional { argument.name.to_uppercase() } else { format!("--{}", argument.flag()) };
        Error::usage(format!("{name}: expected {}, found `{found}`", argument.takes()))
    };
    let value = match argument.default.type_name() {
        "i64" => Dynamic::from(text.parse::<i64>().map_err(|_| expected(text))?),
        "f64" => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Dynamic::from(number),
            _ => return Err(expected(text)),
        },
        "array" => {
            let numbers =
                argument.default.as_array_ref().is_ok_and(|list| list.first().is_some_and(Dynamic::is_int));
            let mut list = match given.remove(&argument.name) {
                Some(earlier) => earlier.into_array().unwrap_or_default(),
                None => Vec::new(),
            };
            for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
                list.push(if numbers {
                    part.parse::<i64>().map_err(|_| expected(part))?.into()
                } else {
                    choose(argument, part)?.to_owned().into()
                });
            }
            Dynamic::from_array(list)
        }
        _ => choose(argument, text)?.to_owned().into(),
    };
    given.insert(argument.name.clone(), value);
    Ok(())
}

fn choose<'a>(argument: &Argument, text: &'a str) -> Result<&'a str> {
    if argument.choices.is_empty() || argument.choices.iter().any(|choice| choice == text) {
        return Ok(text);
    }
    let error = Error::usage(format!("--{}: expected {}, found `{text}`", argument.flag(), argument.takes()));
    Err(match nearest(text, argument.choices.iter().map(String::as_str)) {
        Some(near) => error.with_hint(format!("did you mean `{near}`?")),
        None => error,
    })
}

fn check_value(argument: &Argument, value: Dynamic) -> Result<Dynamic> {
    let same = argument.default.is_unit() || value.type_name() == argument.default.type_name();
    if same {
        return Ok(value);
    }
    if let (true, Ok(whole)) = (argument.default.is_float(), value.as_int()) {
        return Ok(Dynamic::from(whole as f64));
    }
    Err(Error::usage(format!(
        "argument `{}`: expected {}, found {}",
        argument.name,
        argument.takes(),
        value.type_name()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argument(name: &str, default: impl Into<Dynamic>) -> Argument {
        Argument {
            name: name.into(),
            default: default.into(),
            help: String::new(),
            positional: false,
            choices: Vec::new(),
        }
    }

    fn declared() -> Vec<Argument> {
        let mut ids = argument("ids", Dynamic::from_array(vec![]));
        ids.positional = true;
        let mut market = argument("market", "spot");
        market.choices = vec!["spot".into(), "on-demand".into()];
        vec![
            argument("count", 3_i64),
            argument("max_price", 0.5_f64),
            argument("regions", Dynamic::from_array(vec!["us-west-2".into()])),
            argument("force", false),
            argument("name", Dynamic::UNIT),
            ids,
            market,
        ]
    }

    fn parse(words: &[&str]) -> Result<Map> {
        Given::words(words.iter().copied()).resolve("create", &declared())
    }

    #[test]
    fn defaults_are_types() {
        let map = parse(&[
            "--count",
            "5",
            "--max-price=0.25",
            "--regions",
            "a,b",
            "--regions",
            "c",
            "--force",
            "i-1",
            "i-2",
        ])
        .unwrap();
        assert_eq!(map["count"].as_int(), Ok(5));
        assert_eq!(map["max_price"].as_float(), Ok(0.25));
        assert_eq!(map["regions"].to_string(), r#"["a", "b", "c"]"#);
        assert_eq!(map["force"].as_bool(), Ok(true));
        assert!(map["name"].is_unit());
        assert_eq!(map["ids"].as_array_ref().map(|list| list.len()), Ok(2));
    }

    #[test]
    fn without_words_the_defaults_hold() {
        let map = parse(&[]).unwrap();
        assert_eq!(map["count"].as_int(), Ok(3));
        assert_eq!(map["regions"].to_string(), r#"["us-west-2"]"#);
    }

    #[test]
    fn every_mistake_names_its_flag() {
        let message = |words: &[&str]| {
            let error = parse(words).unwrap_err();
            format!("{}; {}", error.message(), error.hint().unwrap_or("-"))
        };
        assert_eq!(
            message(&["--regoins", "x"]),
            "recipe create has no flag `--regoins`; did you mean `--regions`?"
        );
        assert_eq!(message(&["--count", "five"]), "--count: expected a whole number, found `five`; -");
        assert_eq!(message(&["--count"]), "--count: a value is missing, expected a whole number; -");
        assert_eq!(message(&["--force=maybe"]), "--force: expected true or false, found `maybe`; -");
        assert_eq!(
            message(&["--market", "spto"]),
            "--market: expected one of spot, on-demand, found `spto`; did you mean `spot`?"
        );
        assert_eq!(message(&["--max-price", "nan"]), "--max-price: expected a number, found `nan`; -");
        assert!(message(&["-n"]).starts_with("recipe create has no flag `-n`"));
    }

    #[test]
    fn a_flag_of_every_command_is_no_name_for_an_argument() {
        let error = argument("lock_timeout", 3_i64).check_name().unwrap_err();
        assert_eq!(
            error.message(),
            "args: `lock_timeout` cannot be given, --lock-timeout is an option of every command"
        );
        assert!(argument("regions", 3_i64).check_name().is_ok());
        let mut words = argument("config", Dynamic::from_array(vec![]));
        words.positional = true;
        assert!(words.check_name().is_ok());
    }

    #[test]
    fn secrets_are_not_shown() {
        let shown = |line: &str| Given::words(line.split(' ')).shown().join(" ");
        assert_eq!(shown("i-1 --api-token abc --count 3"), "i-1 --api-token *** --count 3");
        assert_eq!(shown("--Password=abc --force x"), "--Password=*** --force x");
        assert_eq!(shown("--token --force x"), "--token --force x");
        let values = [("api_key".into(), "abc".into()), ("count".into(), 3_i64.into())].into_iter().collect();
        assert_eq!(Given::values(values).shown(), ["--api-key", "***", "--count", "3"]);
    }

    #[test]
    fn values_of_an_embedding_program_are_typed() {
        let given = |name: &str, value: Dynamic| Given::values([(name.into(), value)].into_iter().collect());
        assert!(given("count", "5".into()).resolve("create", &declared()).is_err());
        assert!(given("cuont", 5_i64.into()).resolve("create", &declared()).is_err());
        assert_eq!(
            given("max_price", 1_i64.into()).resolve("create", &declared()).unwrap()["max_price"].as_float(),
            Ok(1.0)
        );
    }
}
