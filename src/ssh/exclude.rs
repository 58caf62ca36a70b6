//! What is left out of an upload: patterns as in `.gitignore`.

use std::path::Path;

use crate::error::{Error, Result};

/// The file in the root of an uploaded folder whose lines are patterns. It is not sent itself.
pub const IGNORE_FILE: &str = ".spotignore";

/// Patterns in the order they were given; the last that matches decides.
#[derive(Debug, Clone, Default)]
pub struct Excludes(Vec<Pattern>);

#[derive(Debug, Clone)]
struct Pattern {
    parts: Vec<String>,
    take_back: bool,
    folders_only: bool,
}

impl Excludes {
    /// The patterns given, followed by those of the root's `.spotignore`, if it has one.
    ///
    /// # Errors
    /// Kind `usage` if that file cannot be read.
    pub fn new(patterns: &[String], root: &Path) -> Result<Excludes> {
        let mut all: Vec<Pattern> = patterns.iter().filter_map(|line| Pattern::parse(line)).collect();
        let file = root.join(IGNORE_FILE);
        match std::fs::read_to_string(&file) {
            Ok(text) => {
                all.extend(text.lines().filter_map(Pattern::parse));
                all.extend(Pattern::parse(&format!("/{IGNORE_FILE}")));
            }
            Err(_) if !file.is_file() => {}
            Err(error) => {
                return Err(Error::usage(format!("cannot read {}: {error}", file.display())));
            }
        }
        Ok(Excludes(all))
    }

    /// Whether the thing at a path below the root is left out, given that the folder it is in is not.
    pub fn leave_out(&self, path: &str, is_folder: bool) -> bool {
        let names: Vec<&str> = path.split('/').collect();
        let decides =
            |pattern: &&Pattern| (is_folder || !pattern.folders_only) && matches_path(&pattern.parts, &names);
        self.0.iter().rev().find(decides).is_some_and(|pattern| !pattern.take_back)
    }
}

impl Pattern {
    /// A line of a `.gitignore`; nothing for an empty line or a comment.
    fn parse(line: &str) -> Option<Pattern> {
        let mut text = match line.trim_end_matches([' ', '\r']) {
            // An escaped blank at the end belongs to the name.
            trimmed if trimmed.ends_with('\\') && trimmed.len() < line.len() => line.get(..=trimmed.len())?,
            trimmed => trimmed,
        };
        if text.starts_with('#') {
            return None;
        }
        let take_back = text.starts_with('!');
        text = text.strip_prefix('!').unwrap_or(text);
        let folders_only = text.ends_with('/');
        text = text.strip_suffix('/').unwrap_or(text);
        let anchored = text.contains('/');
        let text = text.strip_prefix('/').unwrap_or(text);
        if text.is_empty() {
            return None;
        }
        let mut parts: Vec<String> = text.split('/').map(str::to_owned).collect();
        if !anchored {
            parts.insert(0, "**".to_owned());
        }
        Some(Pattern { parts, take_back, folders_only })
    }
}

fn matches_path(parts: &[String], names: &[&str]) -> bool {
    match (parts.split_first(), names.split_first()) {
        (None, None) => true,
        (Some((part, [])), Some(_)) if part == "**" => true,
        (Some((part, rest)), _) if part == "**" && !rest.is_empty() => {
            (0..=names.len()).any(|skip| matches_path(rest, names.get(skip..).unwrap_or_default()))
        }
        (Some((part, rest)), Some((name, names))) => {
            let (part, name): (Vec<char>, Vec<char>) = (part.chars().collect(), name.chars().collect());
            matches_name(&part, &name) && matches_path(rest, names)
        }
        _ => false,
    }
}

/// Matches one name, going back to the last `*` only: that takes at most the product of both lengths.
fn matches_name(pattern: &[char], name: &[char]) -> bool {
    let (mut at, mut position) = (0, 0);
    let mut star = None;
    while let Some(character) = name.get(position) {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, position));
                at += 1;
                continue;
            }
            Some(_) => {
                if let Some(length) = matches_one(pattern.get(at..).unwrap_or_default(), *character) {
                    at += length;
                    position += 1;
                    continue;
                }
            }
            None => {}
        }
        let Some((star_at, began)) = star else { return false };
        star = Some((star_at, began + 1));
        at = star_at + 1;
        position = began + 1;
    }
    pattern.get(at..).unwrap_or_default().iter().all(|rest| *rest == '*')
}

/// Whether the pattern begins with something that matches a character, and how long that is.
fn matches_one(pattern: &[char], character: char) -> Option<usize> {
    match pattern {
        ['?', ..] => Some(1),
        ['\\', escaped, ..] => (*escaped == character).then_some(2),
        ['[', rest @ ..] => {
            let negated = matches!(rest.first(), Some('!' | '^'));
            let start = usize::from(negated);
            // A `]` in first place stands for itself.
            let end = start + 1 + rest.get(start + 1..)?.iter().position(|other| *other == ']')?;
            let set = rest.get(start..end)?;
            let mut found = false;
            let mut at = 0;
            while let Some(from) = set.get(at) {
                match (set.get(at + 1), set.get(at + 2)) {
                    (Some('-'), Some(to)) => {
                        found |= (*from..=*to).contains(&character);
                        at += 3;
                    }
                    _ => {
                        found |= *from == character;
                        at += 1;
                    }
                }
            }
            (found != negated).then_some(end + 2)
        }
        [literal, ..] => (*literal == character).then_some(1),
        [] => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(patterns: &[&str], path: &str, is_folder: bool) -> bool {
        Excludes(patterns.iter().filter_map(|line| Pattern::parse(line)).collect()).leave_out(path, is_folder)
    }

    #[test]
    fn patterns_mean_what_they_mean_to_git() {
        assert!(out(&["*.log"], "a/b/x.log", false));
        assert!(!out(&["/*.log"], "a/x.log", false));
        assert!(out(&["/*.log"], "x.log", false));
        assert!(out(&["target/"], "a/target", true));
        assert!(!out(&["target/"], "a/target", false));
        assert!(out(&["a/**/z"], "a/z", false) && out(&["a/**/z"], "a/b/c/z", false));
        assert!(out(&["doc/**"], "doc/x/y", false) && !out(&["doc/**"], "doc", true));
        assert!(out(&["**/x"], "x", false) && out(&["**/x"], "a/x", false));
        assert!(!out(&["*.log", "!keep.log"], "keep.log", false));
        assert!(out(&["!keep.log", "*.log"], "keep.log", false));
        assert!(!out(&["# x", "", "   "], "# x", false));
        assert!(out(&["\\#x"], "#x", false));
        assert!(out(&["[a-c]?[!0-9]"], "bzz", false) && !out(&["[a-c]?[!0-9]"], "bz1", false));
        assert!(out(&["a*b*c"], "aXbXbc", false) && !out(&["a*b*c"], "aXbXb", false));
        assert!(!out(&["[", "a["], "a", false));
    }
}
