//! What stands between two pieces of one line.

use super::lexer::{Kind, Piece};

/// Words before which or after which a value stands, so that a bracket after them is no call.
const KEYWORDS: [&str; 23] = [
    "let", "const", "if", "else", "while", "loop", "for", "in", "do", "until", "switch", "return", "throw",
    "try", "catch", "fn", "private", "import", "export", "as", "break", "continue", "case",
];

/// What a piece does in the script, where that is not clear from its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A name, a number, a text, a closing bracket: something that an operator may follow.
    Operand,
    /// An operator between two operands.
    Between,
    /// An operator before an operand: `-x`, `!x`.
    Before,
    /// The first `|` of a closure's parameters, or `||` for none.
    Opens,
    /// The second one.
    Closes,
    /// `.`, `::`, `..` and their like, which stand close to both sides.
    Joins,
    /// An opening bracket.
    Bracket,
    /// A keyword, a comma, a semicolon, a comment.
    Other,
}

/// The role of each piece.
pub(super) fn roles(pieces: &[Piece<'_>]) -> Vec<Role> {
    let mut roles: Vec<Role> = Vec::with_capacity(pieces.len());
    let mut before = Role::Other;
    let mut opened: Vec<usize> = Vec::new();
    let mut depth = 0_usize;
    for piece in pieces {
        let after_operand = matches!(before, Role::Operand);
        let role = match (piece.kind, piece.text) {
            (Kind::Remark | Kind::Block, _) => {
                roles.push(Role::Other);
                continue;
            }
            // After a point, keywords are names of properties.
            (Kind::Word, text) if is_keyword(text) && before != Role::Joins => Role::Other,
            (Kind::Word | Kind::Text, _) => Role::Operand,
            (Kind::Sign, "(" | "[" | "{" | "#{" | "?[") => {
                depth += 1;
                Role::Bracket
            }
            (Kind::Sign, ")" | "]" | "}") => {
                depth = depth.saturating_sub(1);
                Role::Operand
            }
            (Kind::Sign, "|") if opened.last() == Some(&depth) => {
                opened.pop();
                Role::Closes
            }
            (Kind::Sign, "|") if !after_operand => {
                opened.push(depth);
                Role::Opens
            }
            (Kind::Sign, "||") if !after_operand => Role::Closes,
            (Kind::Sign, "." | "?." | "::" | ".." | "..=") => Role::Joins,
            (Kind::Sign, "," | ";" | ":") => Role::Other,
            (Kind::Sign, "-" | "+" | "!") if !after_operand => Role::Before,
            (Kind::Sign, _) => Role::Between,
        };
        roles.push(role);
        before = role;
    }
    roles
}

pub(super) fn is_keyword(word: &str) -> bool {
    KEYWORDS.contains(&word)
}

/// Whether a space stands between two pieces that follow each other on a line.
pub(super) fn apart(left: (&Piece<'_>, Role), right: (&Piece<'_>, Role)) -> bool {
    let (left, left_role) = left;
    let (right, right_role) = right;
    if matches!(left.kind, Kind::Block) || matches!(right.kind, Kind::Remark | Kind::Block) {
        return true;
    }
    // Braces hold their content at a distance, unless there is none.
    match (left.text, right.text) {
        ("{" | "#{", "}") | ("(", ")") | ("[" | "?[", "]") => return false,
        ("{" | "#{", _) | (_, "}") => return left.kind != Kind::Text || right.text == "}",
        _ => {}
    }
    if matches!(left.text, "(" | "[" | "?[") && left_role == Role::Bracket {
        return false;
    }
    if right.kind == Kind::Sign && matches!(right.text, ")" | "]" | "," | ";" | ":") {
        return false;
    }
    if left_role == Role::Joins || right_role == Role::Joins || left_role == Role::Before {
        return false;
    }
    if left_role == Role::Opens || (right_role == Role::Closes && right.text == "|") {
        return false;
    }
    if right_role == Role::Bracket && left_role == Role::Operand {
        // A call or an index stands close to what is called; a block does not.
        return matches!(right.text, "{" | "#{");
    }
    true
}
