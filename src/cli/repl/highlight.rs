//! Colours for a line of Rhai while it is typed.

use owo_colors::OwoColorize;

/// Words that the language keeps for itself.
pub(super) const KEYWORDS: [&str; 26] = [
    "as", "break", "catch", "const", "continue", "do", "else", "export", "false", "fn", "for", "if",
    "import", "in", "let", "loop", "private", "return", "switch", "this", "throw", "true", "try", "until",
    "while", "type_of",
];

/// The line with colours; its letters stay as they are.
pub(super) fn highlight(line: &str) -> String {
    let mut text = String::with_capacity(line.len() * 2);
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let length = token(rest, first);
        let (token, after) = rest.split_at(length);
        match first {
            '"' | '`' => text.push_str(&token.green().to_string()),
            '/' if token.len() > 1 => text.push_str(&token.dimmed().to_string()),
            _ if first.is_ascii_digit() => text.push_str(&token.yellow().to_string()),
            ':' if line.len() == rest.len() => text.push_str(&token.magenta().to_string()),
            _ if KEYWORDS.contains(&token) => text.push_str(&token.magenta().to_string()),
            _ if is_word(first) && after.starts_with("::") => text.push_str(&token.cyan().to_string()),
            _ if is_word(first) && after.starts_with('(') => text.push_str(&token.blue().to_string()),
            _ => text.push_str(token),
        }
        rest = after;
    }
    text
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// The length in bytes of what begins with this letter.
fn token(text: &str, first: char) -> usize {
    let end = |found: Option<usize>| found.unwrap_or(text.len());
    match first {
        '"' | '`' => string(text, first),
        '/' if text.starts_with("//") => end(text.find('\n')),
        '/' if text.starts_with("/*") => end(text.find("*/").map(|at| at + 2)),
        // A command, if it begins the line.
        ':' if text[1..].starts_with(char::is_alphabetic) => end(text.find(char::is_whitespace)),
        _ if first.is_ascii_digit() => end(text.find(|letter: char| !is_word(letter) && letter != '.')),
        _ if is_word(first) => end(text.find(|letter: char| !is_word(letter))),
        _ => first.len_utf8(),
    }
}

/// The length of a string with its quotes; what is not closed yet goes to the end.
fn string(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if letter == quote => return at + letter.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        strip(text)
    }

    fn strip(text: &str) -> String {
        let mut plain = String::new();
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            if letter == '\u{1b}' {
                letters.by_ref().find(|letter| letter.is_ascii_alphabetic());
            } else {
                plain.push(letter);
            }
        }
        plain
    }

    #[test]
    fn colours_change_no_letter() {
        for line in [
            "",
            "let x = 40 + 2; // the answer",
            "ssh::run(fleet, \"a \\\" b\", #{ sudo: true })",
            "`it is ${x} ü`",
            "\"not closed \\",
            "/* neither",
            "if ä { 1.5e3 } else { () }",
            ":time 1 + 1",
            "a ? : b",
            ":",
        ] {
            assert_eq!(plain(&highlight(line)), line);
        }
    }

    #[test]
    fn words_strings_and_numbers_have_colours() {
        let shown = highlight("let n = f(\"x\") + 7; aws::zones(n)");
        for part in ["let".magenta().to_string(), "\"x\"".green().to_string(), "7".yellow().to_string()] {
            assert!(shown.contains(&part), "{shown:?}");
        }
        assert!(shown.contains(&"aws".cyan().to_string()), "{shown:?}");
    }
}
