//! Patterns that name hosts: `web[1-20]`, `db*`, `3`, `2-5`, `us-west-2`.

use std::fmt;

use crate::error::{Error, Result};

/// One part of a selection.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pattern {
    text: String,
    /// Places from 1, when it is a number or a range of numbers.
    places: Option<(usize, usize)>,
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Text(String),
    /// Any letters, also none.
    Any,
    /// A number in one of these ranges.
    Number(Vec<(u64, u64)>),
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Pattern {
    /// The parts of a selection, at its commas; those in brackets belong to a range.
    pub fn parse(selection: &str) -> Result<Vec<Pattern>> {
        let (mut parts, mut part, mut inside) = (Vec::new(), String::new(), false);
        for letter in selection.chars() {
            match letter {
                ',' if !inside => parts.push(std::mem::take(&mut part)),
                _ => {
                    inside = letter == '[' || inside && letter != ']';
                    part.push(letter);
                }
            }
        }
        parts.push(part);
        parts.iter().map(|part| Pattern::one(part.trim())).collect()
    }

    fn one(text: &str) -> Result<Pattern> {
        if text.is_empty() {
            return Err(Error::script("a selection of hosts has an empty part")
                .with_hint("write it as `web[1-3],db*`, with a comma between two parts"));
        }
        let places = range(text).and_then(|(from, to)| Some((from.try_into().ok()?, to.try_into().ok()?)));
        Ok(Pattern { text: text.to_owned(), places, pieces: pieces(text)? })
    }

    /// Whether the host at this place, from 1, is meant.
    pub fn is_place(&self, place: usize) -> bool {
        self.places.is_some_and(|(from, to)| (from..=to).contains(&place))
    }

    /// Whether a host with this name is meant: by the whole name, or the beginning of an id.
    pub fn matches(&self, name: &str) -> bool {
        let is_id = self.text.starts_with("i-") && name.starts_with("i-");
        is_id && name.starts_with(&self.text) || matches(&self.pieces, name)
    }
}

/// `3` or `2-5`.
fn range(text: &str) -> Option<(u64, u64)> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse().ok()).flatten()
    };
    let (from, to) = (number(from)?, number(to)?);
    (from <= to).then_some((from, to))
}

fn pieces(text: &str) -> Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['*', '[']) {
        let (before, after) = rest.split_at(at);
        if !before.is_empty() {
            pieces.push(Piece::Text(before.to_owned()));
        }
        if let Some(after) = after.strip_prefix('*') {
            pieces.push(Piece::Any);
            rest = after;
            continue;
        }
        let wrong = || {
            Error::script(format!("`{text}` is no selection of hosts"))
                .with_hint("ranges are written as in `web[1-20]` or `web[1-3,7]`")
        };
        let (inside, after) = after.trim_start_matches('[').split_once(']').ok_or_else(wrong)?;
        let ranges: Option<Vec<_>> = inside.split(',').map(|part| range(part.trim())).collect();
        pieces.push(Piece::Number(ranges.ok_or_else(wrong)?));
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    Ok(pieces)
}

fn matches(pieces: &[Piece], name: &str) -> bool {
    let Some((first, rest)) = pieces.split_first() else { return name.is_empty() };
    match first {
        Piece::Text(text) => name.strip_prefix(text.as_str()).is_some_and(|name| matches(rest, name)),
        Piece::Any => {
            let mut ends = name.char_indices().map(|(at, _)| at).chain([name.len()]);
            ends.any(|at| name.get(at..).is_some_and(|name| matches(rest, name)))
        }
        Piece::Number(ranges) => {
            let digits = name.bytes().take_while(u8::is_ascii_digit).count();
            let (number, after) = name.split_at(digits);
            let hit = |number: u64| ranges.iter().any(|(from, to)| (*from..=*to).contains(&number));
            number.parse().is_ok_and(hit) && matches(rest, after)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(selection: &str, name: &str) -> bool {
        Pattern::parse(selection).unwrap().iter().any(|pattern| pattern.matches(name))
    }

    #[test]
    fn names_ranges_and_stars() {
        for (selection, yes, no) in [
            ("web[1-20]", &["web1", "web07", "web20"][..], &["web21", "web", "web1a", "db1"][..]),
            ("web[1-3,7]-a", &["web2-a", "web7-a"], &["web4-a", "web2-b"]),
            ("db*", &["db", "db1", "dbü"], &["adb"]),
            ("*-[2-3]*", &["x-2y", "a-b-3"], &["x-4", "x2"]),
            ("us-west-2, db1", &["us-west-2", "db1"], &["us-west-2a"]),
            ("i-0ab", &["i-0ab", "i-0abc"], &["i-0ac", "x-i-0ab"]),
        ] {
            for name in yes {
                assert!(meant(selection, name), "{selection} {name}");
            }
            for name in no {
                assert!(!meant(selection, name), "{selection} {name}");
            }
        }
    }

    #[test]
    fn places_count_from_one() {
        let patterns = Pattern::parse("2-3,5").unwrap();
        let places = (1..=6).filter(|place| patterns.iter().any(|pattern| pattern.is_place(*place)));
        assert_eq!(places.collect::<Vec<_>>(), [2, 3, 5]);
        assert!(!Pattern::parse("5-2").unwrap()[0].is_place(3));
    }

    #[test]
    fn what_is_no_selection_is_refused() {
        for wrong in ["", "a,,b", "web[1-", "web[x]", "web[3-1]", "web[]"] {
            assert!(Pattern::parse(wrong).is_err(), "{wrong}");
        }
    }
}
