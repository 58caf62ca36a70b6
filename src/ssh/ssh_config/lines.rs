//! The text of a configuration file as keywords and their words.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// One line that says something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// In lower case.
    pub keyword: String,
    pub words: Vec<String>,
    pub file: PathBuf,
    pub number: usize,
}

impl Line {
    /// The only word.
    pub fn word(&self) -> Result<&str> {
        self.words.first().map(String::as_str).ok_or_else(|| self.wrong("expected a value"))
    }

    /// An error about this line.
    pub fn wrong(&self, what: impl std::fmt::Display) -> Error {
        let (file, number) = (self.file.display(), self.number);
        Error::config(format!("{file}:{number}: {}: {what}", self.keyword)).with_code("SshConfig")
    }
}

/// Cuts a file into lines. `keyword words` or `keyword = words`; double quotes keep words together,
/// `#` begins a comment.
///
/// # Errors
/// Kind `config`: a quote that is not closed.
pub fn lines(text: &str, file: &Path) -> Result<Vec<Line>> {
    let mut found = Vec::new();
    for (index, text) in text.lines().enumerate() {
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let end = text.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(text.len());
        let (keyword, rest) = text.split_at(end);
        let rest = rest.trim_start();
        let rest = rest.strip_prefix('=').unwrap_or(rest).trim_start();
        let mut line = Line {
            keyword: keyword.to_ascii_lowercase(),
            words: Vec::new(),
            file: file.to_owned(),
            number: index + 1,
        };
        line.words = match line.keyword.as_str() {
            // The whole rest is one command.
            "proxycommand" => vec![rest.to_owned()],
            _ => words(rest).ok_or_else(|| line.wrong("a quote is not closed"))?,
        };
        found.push(line);
    }
    Ok(found)
}

fn words(text: &str) -> Option<Vec<String>> {
    let mut found = Vec::new();
    let mut characters = text.chars().peekable();
    loop {
        while characters.next_if(|c| c.is_whitespace()).is_some() {}
        match characters.peek() {
            None | Some('#') => return Some(found),
            Some(_) => {}
        }
        let mut word = String::new();
        let mut quote = None;
        loop {
            match (characters.next(), quote) {
                (None, Some(_)) => return None,
                (None, None) => break,
                (Some(c), Some(open)) if c == open => quote = None,
                (Some(c @ ('"' | '\'')), None) => quote = Some(c),
                (Some(c), None) if c.is_whitespace() => break,
                // A backslash keeps a quote, another backslash and, outside of quotes, a space.
                (Some('\\'), open) => {
                    let escaped = |c: &char| matches!(c, '"' | '\'' | '\\') || (*c == ' ' && open.is_none());
                    word.push(characters.next_if(escaped).unwrap_or('\\'));
                }
                (Some(c), _) => word.push(c),
            }
        }
        found.push(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<(String, Vec<String>)> {
        let lines = lines(text, Path::new("config")).unwrap();
        lines.into_iter().map(|line| (line.keyword, line.words)).collect()
    }

    #[test]
    fn keywords_words_quotes_and_comments() {
        let expected = vec![
            ("host".to_owned(), vec!["a".to_owned(), "*.b".to_owned()]),
            ("identityfile".to_owned(), vec!["~/my keys/id".to_owned()]),
            ("port".to_owned(), vec!["22".to_owned()]),
            ("user".to_owned(), vec!["me".to_owned()]),
            ("proxycommand".to_owned(), vec!["nc \"a b\" %h # no comment".to_owned()]),
        ];
        let text = "\n# x\n Host a  *.b\n\tIdentityFile = \"~/my keys/id\"\nPORT=22 # why\nuser\tme\nProxyCommand nc \"a b\" %h # no comment\n";
        assert_eq!(cut(text), expected);
        let error = lines("Host ok\nUser \"me", Path::new("/c")).unwrap_err();
        assert_eq!(error.message(), "/c:2: user: a quote is not closed");
    }
}
