//! Typical mistakes, made one at a time in every built-in recipe: `spot check` has to find nearly all.

use std::collections::BTreeMap;

use spot::{Host, Library, Script};

use crate::spot::Spot;

/// The least share of mutants that are found, of those of all kinds.
const FOUND: f64 = 0.95;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Word,
    Number,
    Text,
    Mark,
}

#[derive(Debug, Clone, Copy)]
struct Token<'a> {
    kind: Kind,
    text: &'a str,
    start: usize,
}

/// The tokens of a script, without comments; what stands in backticks is one text.
fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let bytes = text.as_bytes();
    let mut at = 0;
    let length = |from: usize, is: fn(u8) -> bool| bytes[from..].iter().take_while(|byte| is(**byte)).count();
    while at < bytes.len() {
        let start = at;
        let kind = match bytes[at] {
            byte if byte.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                at += length(at, |byte| byte != b'\n');
                continue;
            }
            b'#' if at == 0 => {
                at += length(at, |byte| byte != b'\n');
                continue;
            }
            quote @ (b'"' | b'`' | b'\'') => {
                at += 1;
                while at < bytes.len() && bytes[at] != quote {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
                Kind::Text
            }
            byte if byte.is_ascii_digit() => {
                at += length(at, |byte| byte.is_ascii_digit() || byte == b'.');
                Kind::Number
            }
            byte if byte.is_ascii_alphabetic() || byte == b'_' => {
                at += length(at, |byte| byte.is_ascii_alphanumeric() || byte == b'_');
                Kind::Word
            }
            b':' if bytes.get(at + 1) == Some(&b':') => {
                at += 2;
                Kind::Mark
            }
            b'#' if bytes.get(at + 1) == Some(&b'{') => {
                at += 2;
                Kind::Mark
            }
            byte => {
                at += if byte.is_ascii() { 1 } else { text[at..].chars().next().unwrap().len_utf8() };
                Kind::Mark
            }
        };
        tokens.push(Token { kind, text: &text[start..at], start });
    }
    tokens
}

/// A word with two letters swapped; none if it is too short, or nothing changes.
fn misspelt(word: &str) -> Option<String> {
    let mut letters: Vec<char> = word.chars().collect();
    let at = (1..letters.len().saturating_sub(1)).find(|at| letters[*at] != letters[at + 1])?;
    letters.swap(at, at + 1);
    Some(letters.into_iter().collect())
}

const KEYWORDS: [&str; 24] = [
    "let", "const", "if", "else", "for", "in", "while", "loop", "return", "throw", "try", "catch", "fn",
    "true", "false", "switch", "break", "continue", "this", "private", "import", "as", "do", "until",
];

/// What an open bracket belongs to.
#[derive(Clone)]
enum Open {
    /// The arguments of a call, by its name.
    Call(String),
    /// A map, and the call whose argument it is, if it is one directly.
    Map(Option<String>),
    Other,
}

/// A mistake: its kind, and the text with it.
type Mutant = (&'static str, String);

fn mutants(text: &str) -> Vec<Mutant> {
    let tokens = tokens(text);
    let mut all = Vec::new();
    let replaced = |token: &Token<'_>, with: &str| {
        format!("{}{with}{}", &text[..token.start], &text[token.start + token.text.len()..])
    };
    let mark = |index: usize| tokens.get(index).map_or("", |token| token.text);
    let mut open: Vec<Open> = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let before = index.checked_sub(1).map_or("", mark);
        let after = mark(index + 1);
        match token.text {
            "(" => {
                let called = index > 0 && tokens[index - 1].kind == Kind::Word && !KEYWORDS.contains(&before);
                let declared = index > 1 && tokens[index - 2].text == "fn";
                if !called || declared {
                    open.push(Open::Other);
                    continue;
                }
                let namespace = if index > 2 && mark(index - 2) == "::" { mark(index - 3) } else { "" };
                let name =
                    if namespace.is_empty() { before.to_owned() } else { format!("{namespace}::{before}") };
                if let Some(without) = without_last_argument(text, &tokens, index) {
                    all.push(("dropped argument", without));
                }
                open.push(Open::Call(name));
            }
            "#{" => {
                let call = match open.last() {
                    Some(Open::Call(name)) => Some(name.clone()),
                    _ => None,
                };
                open.push(Open::Map(call));
            }
            "{" | "[" => open.push(Open::Other),
            ")" | "}" | "]" => {
                open.pop();
            }
            _ => {}
        }
        let direct = matches!(open.last(), Some(Open::Call(_))) && (before == "(" || before == ",");
        let alone = direct && (after == ")" || after == ",");
        match token.kind {
            // The default of a flag may have any type.
            _ if matches!(open.last(), Some(Open::Call(name)) if name == "option" || name == "print")
                && alone => {}
            Kind::Number if alone => {
                all.push(("number as text", replaced(token, &format!("\"{}\"", token.text))))
            }
            Kind::Text if alone && token.text.starts_with('"') => {
                all.push(("text as number", replaced(token, "7")));
            }
            _ => {}
        }
        if token.kind != Kind::Word || KEYWORDS.contains(&token.text) {
            continue;
        }
        let Some(wrong) = misspelt(token.text) else { continue };
        let kind = match (before, after) {
            ("fn" | "let" | "const" | "for" | "|", _) => continue,
            (_, "(") => "misspelt function",
            (_, "::") => "misspelt namespace",
            (".", _) => "misspelt property",
            (_, ":") => match open.last() {
                Some(Open::Map(Some(call))) if call == "args" => "misspelt declaration",
                Some(Open::Map(Some(call))) if is_native(call) => "misspelt option",
                _ => continue,
            },
            // Parameters of closures and functions are declarations too.
            (_, "|") => continue,
            (",", _) | ("(", _) if declares(&tokens, index) => continue,
            _ => "misspelt variable",
        };
        all.push((kind, replaced(token, &wrong)));
    }
    all
}

/// Natives that take options; the modules of the stdlib take maps of any kind.
fn is_native(call: &str) -> bool {
    ["aws::", "ssh::", "ui::", "state::"].iter().any(|namespace| call.starts_with(namespace))
        || call == "fail"
}

/// Whether a word stands among the parameters of a closure or a function.
fn declares(tokens: &[Token<'_>], index: usize) -> bool {
    let line = tokens[..index].iter().rev().take(12);
    let mut bars = 0;
    for token in line {
        match token.text {
            "|" => bars += 1,
            ";" | "{" | "}" => break,
            "fn" => return true,
            _ => {}
        }
    }
    bars % 2 == 1
}

/// The text without the last argument of the call whose parenthesis opens at a token.
fn without_last_argument(text: &str, tokens: &[Token<'_>], open: usize) -> Option<String> {
    let (mut depth, mut start, mut comma, mut bars) = (0, None, None, false);
    for token in &tokens[open..] {
        match token.text {
            "(" | "[" | "{" | "#{" => depth += 1,
            ")" | "]" | "}" if depth == 1 => {
                let from = comma.or(start)?;
                return Some(format!("{}{}", &text[..from], &text[token.start..]));
            }
            ")" | "]" | "}" => depth -= 1,
            "|" if depth == 1 => bars = !bars,
            "," if depth == 1 && !bars => comma = Some(token.start),
            _ => {}
        }
        if depth >= 1 && start.is_none() && token.text != "(" {
            start = Some(token.start);
        }
    }
    None
}

#[test]
fn typical_mistakes_in_the_built_in_recipes_are_found() {
    let spot = Spot::new();
    let host = Host::builder().project(spot.folder()).build().unwrap();
    let mut kinds: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut missed = Vec::new();
    for script in Library::new(spot.folder(), None).recipes().unwrap() {
        let original = script.text.clone();
        for (kind, text) in mutants(&original) {
            let mutant = Script { text: text.as_str().into(), ..script.clone() };
            let (found, all) = kinds.entry(kind).or_default();
            *all += 1;
            if host.findings(&mutant).is_empty() {
                let changed = original.lines().zip(text.lines()).find(|(a, b)| a != b);
                missed.push(format!(
                    "{} {kind}: {}",
                    script.name,
                    changed.map_or("", |(_, line)| line.trim())
                ));
            } else {
                *found += 1;
            }
        }
    }
    let found: usize = kinds.values().map(|(found, _)| found).sum();
    let all: usize = kinds.values().map(|(_, all)| all).sum();
    let rows: String =
        kinds.iter().map(|(kind, (found, all))| format!("{kind}: {found} of {all}\n")).collect();
    println!("{rows}{found} of {all} mutants found; missed:\n{}", missed.join("\n"));
    assert!(all >= 200, "{all} mutants are too few to tell");
    assert!(
        found as f64 >= FOUND * all as f64,
        "{found} of {all} mutants found\n{rows}{}",
        missed.join("\n")
    );
}
