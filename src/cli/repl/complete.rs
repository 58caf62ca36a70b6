//! What may follow the cursor.

use rustyline::completion::{FilenameCompleter, Pair};

use super::command;
use super::highlight::KEYWORDS;
use crate::host::{Function, Reference};

/// Methods of lists and maps that are worth a reminder; Rhai has more.
const METHODS: [&str; 17] = [
    "all", "contains", "filter", "find", "keys", "len", "map", "push", "reduce", "reverse", "run", "select",
    "some", "sort", "split", "to_json", "values",
];
/// Columns for what is said about a candidate.
const WIDTH: usize = 76;

/// All that completion knows.
#[derive(Debug, Default)]
pub(super) struct Words {
    functions: Vec<Candidate>,
    namespaces: Vec<String>,
    /// By function, the words in its text that can be options.
    options: Vec<(String, Vec<String>)>,
    /// Names of variables with the keys of those that are maps.
    pub variables: Vec<(String, Vec<String>)>,
    /// Ids and names of instances.
    pub instances: Vec<String>,
}

#[derive(Debug)]
struct Candidate {
    name: String,
    call: String,
    summary: String,
}

impl Words {
    pub fn of(reference: &Reference) -> Self {
        let mut words = Words::default();
        for function in &reference.functions {
            let name = full_name(function);
            let options = options(&function.text);
            if !options.is_empty() {
                words.options.push((name.clone(), options));
            }
            let summary = function.text.split(['\n', '.', ';', ':']).next().unwrap_or_default().to_owned();
            words.functions.push(Candidate { name, call: function.call.clone(), summary });
        }
        words.functions.sort_by(|a, b| (&a.name, a.call.len()).cmp(&(&b.name, b.call.len())));
        words.namespaces = reference.namespaces.keys().filter(|name| !name.is_empty()).cloned().collect();
        words
    }

    /// Where the word at the cursor begins, and what it may become.
    pub fn complete(&self, line: &str, position: usize) -> (usize, Vec<Pair>) {
        let before = line.get(..position).unwrap_or(line);
        if before.starts_with(':') && !before.contains(char::is_whitespace) {
            let fits = command::NAMES.iter().filter(|(name, _)| name.starts_with(before));
            return (0, fits.map(|(name, what)| pair(name, &format!("{name}  {what}"))).collect());
        }
        if let Some((start, quoted)) = open_string(before) {
            return self.in_string(before, start, quoted);
        }
        let about_files = [":load ", ":save "].iter().any(|command| before.starts_with(command));
        if about_files {
            return files(before);
        }
        let start = before
            .rfind(|letter: char| !(letter.is_alphanumeric() || letter == '_' || letter == ':'))
            .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
        let word = before.get(start..).unwrap_or_default();
        let about_functions = before.starts_with("help ") || before.starts_with(":doc ");
        if about_functions {
            return (start, self.names(word));
        }
        if before[..start].ends_with('.') {
            return (start, self.members(&before[..start], word));
        }
        if let Some(options) = self.options_here(&before[..start]) {
            return (start, fitting(options.iter().map(String::as_str), word, ": "));
        }
        if word.is_empty() {
            return (position, Vec::new());
        }
        let mut all = fitting(self.variables.iter().map(|(name, _)| name.as_str()), word, "");
        all.extend(self.names(word));
        all.extend(fitting(KEYWORDS.into_iter(), word, ""));
        (start, all)
    }

    /// What a call that the cursor is in takes: the parameters of the shortest form of the function.
    pub fn parameters(&self, line: &str) -> Option<&str> {
        let name = line.strip_suffix('(')?;
        let start = name.rfind(|letter: char| !(letter.is_alphanumeric() || letter == '_' || letter == ':'));
        let name = name.get(start.map_or(0, |at| at + 1)..)?;
        let function = self.functions.iter().find(|function| function.name == name)?;
        Some(function.call.split_once('(')?.1)
    }

    /// Functions, and namespaces as long as the word is none of their functions.
    fn names(&self, word: &str) -> Vec<Pair> {
        let spaces = self.namespaces.iter().filter(|_| !word.contains("::"));
        let mut all: Vec<Pair> = spaces
            .filter(|name| name.starts_with(word))
            .map(|name| pair(&format!("{name}::"), &format!("{name}::")))
            .collect();
        let mut last = "";
        for function in self.functions.iter().filter(|function| function.name.starts_with(word)) {
            // A namespace stands for its functions until it is chosen.
            if function.name.contains("::") && !word.contains("::") || function.name == last {
                continue;
            }
            last = &function.name;
            all.push(pair(&function.name, &format!("{:<20} {}", function.name, function.summary)));
        }
        all
    }

    /// Keys of the map before the dot, and methods.
    fn members(&self, before: &str, word: &str) -> Vec<Pair> {
        let owner = before.trim_end_matches('.');
        let start = owner.rfind(|letter: char| !(letter.is_alphanumeric() || letter == '_'));
        let owner = owner.get(start.map_or(0, |at| at + 1)..).unwrap_or_default();
        let keys = self.variables.iter().find(|(name, _)| name == owner).map(|(_, keys)| keys);
        let mut all = fitting(keys.into_iter().flatten().map(String::as_str), word, "");
        all.extend(fitting(METHODS.into_iter(), word, "("));
        all
    }

    /// The options of the call whose map the cursor is in, at the place of a key.
    fn options_here(&self, before: &str) -> Option<&[String]> {
        let map = before.rfind("#{")?;
        let inside = &before[map + 2..];
        let at_key = !inside.contains('}') && matches!(inside.trim_end().chars().last(), None | Some(','));
        if !at_key {
            return None;
        }
        let call = &before[..before[..map].rfind('(')?];
        let start = call.rfind(|letter: char| !(letter.is_alphanumeric() || letter == '_' || letter == ':'));
        let name = call.get(start.map_or(0, |at| at + 1)..)?;
        let mut found = self.options.iter().filter(|(function, _)| function == name);
        found.next().map(|(_, options)| options.as_slice())
    }

    fn in_string(&self, before: &str, start: usize, quoted: &str) -> (usize, Vec<Pair>) {
        let instances = fitting(self.instances.iter().map(String::as_str), quoted, "");
        if !instances.is_empty() && !quoted.is_empty() {
            return (start, instances);
        }
        files(before)
    }
}

fn files(before: &str) -> (usize, Vec<Pair>) {
    FilenameCompleter::new().complete_path(before, before.len()).unwrap_or((before.len(), Vec::new()))
}

fn full_name(function: &Function) -> String {
    function.call.split('(').next().unwrap_or_default().to_owned()
}

fn pair(replacement: &str, display: &str) -> Pair {
    let display = match display.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}…", &display[..end]),
        None => display.to_owned(),
    };
    Pair { display, replacement: replacement.to_owned() }
}

fn fitting<'a>(words: impl Iterator<Item = &'a str>, word: &str, after: &str) -> Vec<Pair> {
    words
        .filter(|known| known.starts_with(word))
        .map(|known| pair(&format!("{known}{after}"), known))
        .collect()
}

/// A string that is open at the end of the text: where its content begins, and its content.
fn open_string(text: &str) -> Option<(usize, &str)> {
    let mut open = None;
    let mut escaped = false;
    for (at, letter) in text.char_indices() {
        match (letter, open) {
            _ if escaped => escaped = false,
            ('\\', Some(_)) => escaped = true,
            ('"' | '`', None) => open = Some((at + 1, letter)),
            (_, Some((_, quote))) if letter == quote => open = None,
            _ => {}
        }
    }
    let (start, _) = open?;
    Some((start, text.get(start..)?))
}

/// The options that a function's text tells of: the names in back quotes after `Options:`.
fn options(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (_, told) in text.split("\n\n").filter_map(|paragraph| paragraph.split_once("Options: ")) {
        let mut names: Vec<String> = told
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|name| name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_'))
            .map(str::to_owned)
            .collect();
        found.append(&mut names);
    }
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn words() -> Words {
        let function = |namespace: &str, name: &str, parameters: &str, text: &str| Function {
            namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
            name: name.to_owned(),
            call: if namespace.is_empty() {
                format!("{name}({parameters})")
            } else {
                format!("{namespace}::{name}({parameters})")
            },
            text: text.to_owned(),
        };
        let reference = Reference {
            namespaces: ["", "ssh", "state"].map(|name| (name.to_owned(), String::new())).into(),
            functions: vec![
                function("", "retry", "options, function", "Tries again."),
                function("ssh", "run", "hosts, command", "Runs a command; briefly."),
                function(
                    "ssh",
                    "run",
                    "hosts, command, options",
                    "Runs.\n\nOptions: `sudo`, `directory` or `cwd`, `environment` (a map), `x-y`.\n\nNo `more`.",
                ),
            ],
        };
        let _: &BTreeMap<String, String> = &reference.namespaces;
        let mut words = Words::of(&reference);
        words.variables = vec![("host".to_owned(), vec!["id".to_owned(), "region".to_owned()])];
        words.instances = vec!["i-0aa1".to_owned(), "i-0bb2".to_owned()];
        words
    }

    fn completed(line: &str) -> Vec<String> {
        let (start, pairs) = words().complete(line, line.len());
        pairs.into_iter().map(|pair| format!("{}{}", &line[..start], pair.replacement)).collect()
    }

    #[test]
    fn names_variables_and_keywords_are_completed() {
        assert_eq!(completed("s"), ["ssh::", "state::", "switch"]);
        assert_eq!(completed("let x = ssh::"), ["let x = ssh::run"]);
        assert_eq!(completed("ho"), ["host"]);
        assert_eq!(completed("ü + re"), ["ü + retry", "ü + return"]);
        assert_eq!(completed("help ss"), ["help ssh::"]);
        assert_eq!(completed(":doc ssh::r"), [":doc ssh::run"]);
        assert!(completed(":v").contains(&":vars".to_owned()));
        assert!(completed("").is_empty());
    }

    #[test]
    fn keys_options_and_ids_are_completed() {
        assert_eq!(completed("host.re"), ["host.region", "host.reduce(", "host.reverse("]);
        assert_eq!(completed("ssh::run(host, \"x\", #{ s"), ["ssh::run(host, \"x\", #{ sudo: "]);
        assert_eq!(
            completed("ssh::run(host, \"x\", #{ sudo: true, c"),
            ["ssh::run(host, \"x\", #{ sudo: true, cwd: "]
        );
        assert!(
            completed("ssh::run(host, \"x\", #{ sudo: tr")
                .contains(&"ssh::run(host, \"x\", #{ sudo: true".to_owned())
        );
        assert_eq!(completed("state::find(\"i-0b"), ["state::find(\"i-0bb2"]);
    }

    #[test]
    fn a_call_shows_what_it_takes() {
        assert_eq!(words().parameters("let r = ssh::run("), Some("hosts, command)"));
        assert_eq!(words().parameters("nothing("), None);
        assert_eq!(words().parameters("(("), None);
    }

    #[test]
    fn strings_are_open_until_their_own_quote() {
        assert_eq!(open_string("f(\"a\\\"b"), Some((3, "a\\\"b")));
        assert_eq!(open_string("f(\"a\", `b\""), Some((8, "b\"")));
        assert_eq!(open_string("f(\"a\")"), None);
    }
}
