//! One layout for all scripts, which keeps the lines of the author: `spot fmt`.
//!
//! Lines stay where they are broken; what changes is how far they are indented, the spaces between pieces,
//! and empty lines. Values of an object and comments at the ends of neighbouring lines stand below each
//! other where the author began to put them so. Only white space changes, never a piece of the script.

mod align;
mod lexer;
mod spacing;

use lexer::{Kind, Piece, is_open, pieces};
use spacing::{Role, apart, roles};

/// Spaces for each level.
const STEP: usize = 4;

/// A line of the result.
#[derive(Debug, Default, Clone)]
struct Line {
    indent: usize,
    text: String,
    /// Where the value begins of an entry of an object that has the line for itself, and whether the author had
    /// put it at a distance.
    value: Option<(usize, bool)>,
    /// Where a comment begins behind something else, likewise.
    remark: Option<(usize, bool)>,
    /// Whether a text of several lines ends or begins here: nothing is moved.
    fixed: bool,
}

/// The script in its layout; the same again for what is in it already. What is no script is laid out as well as
/// it goes, without losing anything; one that ends within a text is left as it is.
pub fn format(script: &str) -> String {
    // The interpreter line is no comment that could be moved.
    let (first, body) = match script.strip_prefix("#!") {
        Some(rest) if !rest.starts_with('[') => {
            let end = script.find('\n').map_or(script.len(), |at| at + 1);
            script.split_at_checked(end).unwrap_or((script, ""))
        }
        _ => ("", script),
    };
    let pieces = pieces(body);
    if pieces.last().is_some_and(is_open) {
        return script.to_owned();
    }
    let roles = roles(&pieces);
    let mut lines = Layout::default().lines(&pieces, &roles);
    align::align(&mut lines);
    let mut text = first.trim_end().to_owned();
    for line in &lines {
        if !text.is_empty() || !first.is_empty() {
            text.push('\n');
        }
        if !line.text.is_empty() {
            text.push_str(&" ".repeat(line.indent));
            text.push_str(&line.text);
        }
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

/// Whether two texts are the same script in different layouts.
pub fn same(one: &str, other: &str) -> bool {
    let words = |text: &str| -> Vec<(Kind, String)> {
        pieces(text).into_iter().map(|piece| (piece.kind, piece.text.to_owned())).collect()
    };
    words(one) == words(other)
}

/// A bracket that is open: how far its line is indented, and whether it is that of an object.
#[derive(Clone, Copy)]
struct Open {
    indent: usize,
    object: bool,
}

#[derive(Default)]
struct Layout {
    open: Vec<Open>,
    lines: Vec<Line>,
    /// Whether the last line goes on with the statement of the line before.
    going_on: bool,
}

impl Layout {
    fn lines(mut self, pieces: &[Piece<'_>], roles: &[Role]) -> Vec<Line> {
        let mut before: Option<(&Piece<'_>, Role)> = None;
        // The last piece that is no comment.
        let mut code: Option<(&Piece<'_>, Role)> = None;
        for (index, (piece, role)) in pieces.iter().zip(roles).enumerate() {
            let role = *role;
            let closes = is_closing(piece);
            let starts = before.is_none() || piece.breaks > 0;
            if starts {
                let after_opening = before.is_some_and(|(_, role)| role == Role::Bracket);
                // One empty line at most, and none at the edges of a block.
                if piece.breaks > 1 && before.is_some() && !after_opening && !closes {
                    self.lines.push(Line::default());
                }
                let indent = self.indent(pieces, index, role, code);
                self.lines.push(Line { indent, ..Line::default() });
            }
            let inner = self.open.last().is_some_and(|open| open.object);
            let Some(line) = self.lines.last_mut() else { continue };
            if let (false, Some(last)) = (starts, before) {
                if piece.kind == Kind::Remark {
                    line.remark = Some((line.text.len(), piece.spaces > 1));
                }
                if apart(last, (piece, role)) || merge(last.0, piece) {
                    line.text.push(' ');
                }
                // The first piece after `key:` that begins a line.
                let is_value = last.0.text == ":" && last.0.kind == Kind::Sign && line.value.is_none();
                if is_value && inner && begins_entry(pieces, index) {
                    line.value = Some((line.text.len(), piece.spaces > 1));
                }
            }
            line.text.push_str(piece.text);
            if piece.text.contains('\n') {
                line.fixed = true;
            }
            let here = line.indent;
            if closes {
                self.open.pop();
            }
            if role == Role::Bracket {
                self.open.push(Open { indent: here, object: piece.text == "#{" });
            }
            before = Some((piece, role));
            if !matches!(piece.kind, Kind::Remark | Kind::Block) {
                code = before;
            }
        }
        self.lines
    }

    /// How far a line is indented that begins with a piece.
    fn indent(
        &mut self,
        pieces: &[Piece<'_>],
        index: usize,
        role: Role,
        code: Option<(&Piece<'_>, Role)>,
    ) -> usize {
        let Some(piece) = pieces.get(index) else { return 0 };
        let base = self.open.last().map_or(0, |open| open.indent + STEP);
        if is_closing(piece) {
            self.going_on = false;
            return self.open.last().map_or(0, |open| open.indent);
        }
        // A comment belongs to what follows it.
        let next = pieces.get(index..).unwrap_or_default();
        let is_remark = matches!(piece.kind, Kind::Remark | Kind::Block);
        let ahead = next.iter().find(|piece| !matches!(piece.kind, Kind::Remark | Kind::Block));
        if is_remark {
            let goes_on = self.going_on && ahead.is_some_and(|piece| matches!(piece.text, "." | "?."));
            return if goes_on { base + STEP } else { base };
        }
        if piece.kind == Kind::Word && piece.text == "else" && role == Role::Other {
            self.going_on = false;
            let above = self.lines.iter().rev().find(|line| !line.text.is_empty());
            return match above {
                Some(line) if line.text.starts_with(['}', ')', ']']) || line.text.starts_with("else") => {
                    line.indent
                }
                Some(line) if !line.text.starts_with("if ") => base + STEP,
                _ => base,
            };
        }
        let leads = matches!(role, Role::Between) || (role == Role::Joins && !matches!(piece.text, "::"));
        let unfinished = code.is_some_and(|(last, role)| {
            matches!(role, Role::Between | Role::Joins | Role::Before | Role::Closes)
                || (last.text == ":" && last.kind == Kind::Sign)
        });
        self.going_on = leads || unfinished;
        if self.going_on { base + STEP } else { base }
    }
}

/// Whether two pieces would be others if nothing stood between them.
fn merge(left: &Piece<'_>, right: &Piece<'_>) -> bool {
    let together = format!("{}{}", left.text, right.text);
    let found = pieces(&together);
    !matches!(found.as_slice(), [first, second] if first.text == left.text && second.text == right.text)
}

fn is_closing(piece: &Piece<'_>) -> bool {
    piece.kind == Kind::Sign && matches!(piece.text, ")" | "]" | "}")
}

/// Whether the two pieces before `index` are the key and the colon that begin a line.
fn begins_entry(pieces: &[Piece<'_>], index: usize) -> bool {
    let key = index.checked_sub(2).and_then(|key| pieces.get(key));
    key.is_some_and(|key| key.breaks > 0 && matches!(key.kind, Kind::Word | Kind::Text))
}

#[cfg(test)]
mod tests;
