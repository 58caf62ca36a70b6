//! A script as the pieces that its layout is made of: words, texts, comments, signs, with what lay between
//! them. Nothing is lost: the pieces in order are the script without its white space.

/// What a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name, a keyword or a number.
    Word,
    /// A text or a character, with all that is interpolated in it.
    Text,
    /// A comment to the end of its line.
    Remark,
    /// A comment that says itself where it ends.
    Block,
    /// An operator, a bracket or another sign.
    Sign,
}

/// A piece of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    pub(super) kind: Kind,
    /// As it stands in the script.
    pub(super) text: &'a str,
    /// Line breaks between the piece before and this one.
    pub(super) breaks: usize,
    /// Spaces before it, if it does not begin a line.
    pub(super) spaces: usize,
}

/// Signs of several characters, longest first.
const SIGNS: [&str; 34] = [
    "..=", "**=", "<<=", ">>=", "===", "!==", "..", "::", "=>", "==", "!=", "<=", ">=", "&&", "||", "??",
    "?.", "?[", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "**", "<<", ">>", "->", "<-", "#{", "++",
    "--",
];

/// The pieces of a script. A text or comment that does not end goes to the end of the script.
pub(super) fn pieces(script: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = script;
    let (mut breaks, mut spaces) = (0, 0);
    while let Some(first) = rest.chars().next() {
        if first.is_whitespace() {
            match first {
                '\n' => (breaks, spaces) = (breaks + 1, 0),
                _ => spaces += 1,
            }
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
            continue;
        }
        let (kind, length) = piece(rest, first);
        let (text, after) = rest.split_at_checked(length.max(first.len_utf8())).unwrap_or((rest, ""));
        pieces.push(Piece {
            kind,
            text: if kind == Kind::Remark { text.trim_end() } else { text },
            breaks,
            spaces,
        });
        (rest, breaks, spaces) = (after, 0, 0);
    }
    pieces
}

fn piece(rest: &str, first: char) -> (Kind, usize) {
    if rest.starts_with("//") {
        return (Kind::Remark, rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return (Kind::Block, block(rest));
    }
    if let Some(length) = raw_text(rest) {
        return (Kind::Text, length);
    }
    match first {
        '"' | '\'' => (Kind::Text, quoted(rest, first)),
        '`' => (Kind::Text, interpolated(rest)),
        '0'..='9' => (Kind::Word, number(rest)),
        _ if is_letter(first) => (Kind::Word, rest.find(|c| !is_letter(c)).unwrap_or(rest.len())),
        _ => {
            // `!in` is one operator, `!inside` is none.
            let not_in = rest.strip_prefix("!in").is_some_and(|after| !after.starts_with(is_letter));
            let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
            (Kind::Sign, if not_in { 3 } else { sign.map_or(first.len_utf8(), |sign| sign.len()) })
        }
    }
}

/// Whether a text or comment does not end, so that what follows it would be a part of it.
pub(super) fn is_open(last: &Piece<'_>) -> bool {
    let longer = format!("{}\n", last.text);
    let first = last.text.chars().next();
    matches!(last.kind, Kind::Text | Kind::Block)
        && first.is_some_and(|first| piece(&longer, first).1 > last.text.len())
}

fn is_letter(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Block comments contain others.
fn block(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(here) = rest.get(at..).filter(|here| !here.is_empty()) {
        if here.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if here.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += here.chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// `#"…"#` with as many signs on both sides.
fn raw_text(rest: &str) -> Option<usize> {
    let signs = rest.find(|c| c != '#').filter(|signs| *signs > 0)?;
    let inner = rest.get(signs..)?.strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(signs));
    Some(inner.find(&end).map_or(rest.len(), |at| signs + 1 + at + end.len()))
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// A text in backticks; two of them stand for one, and what is between `${` and `}` is script again.
fn interpolated(rest: &str) -> usize {
    let mut at = 1;
    while let Some(here) = rest.get(at..).filter(|here| !here.is_empty()) {
        if here.starts_with("``") {
            at += 2;
        } else if here.starts_with('`') {
            return at + 1;
        } else if here.starts_with("${") {
            at += 2 + inside(here.get(2..).unwrap_or_default());
        } else {
            at += here.chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// How long the script is up to and with the `}` that ends an interpolation.
fn inside(script: &str) -> usize {
    let (mut at, mut depth) = (0, 1_usize);
    while let Some(here) = script.get(at..).filter(|here| !here.is_empty()) {
        let Some(first) = here.chars().next() else { break };
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let (_, length) = piece(here, first);
        at += length.max(first.len_utf8());
        match here.get(..length) {
            Some("{" | "#{") => depth += 1,
            Some("}") if depth == 1 => return at,
            Some("}") => depth -= 1,
            _ => {}
        }
    }
    script.len()
}

/// A number with its point and exponent; the points of a range are none of it.
fn number(rest: &str) -> usize {
    let digits = |from: usize| {
        let here = rest.get(from..).unwrap_or_default();
        from + here.find(|c| !is_letter(c)).unwrap_or(here.len())
    };
    let mut end = digits(0);
    let after = rest.get(end..).unwrap_or_default();
    if let Some(fraction) = after.strip_prefix('.')
        && !fraction.starts_with(|c: char| c == '.' || c.is_alphabetic() || c == '_')
    {
        end = digits(end + 1);
    }
    let sofar = rest.get(..end).unwrap_or_default();
    let decimal = !sofar.starts_with("0x") && !sofar.starts_with("0X");
    if decimal
        && sofar.ends_with(['e', 'E'])
        && rest.get(end..).is_some_and(|rest| rest.starts_with(['-', '+']))
    {
        end = digits(end + 1);
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(script: &str) -> Vec<&str> {
        pieces(script).into_iter().map(|piece| piece.text).collect()
    }

    #[test]
    fn pieces_are_what_rhai_takes_for_them() {
        for (script, expected) in [
            ("let x=1..=3;", &["let", "x", "=", "1", "..=", "3", ";"][..]),
            ("1.5e-3+0xe-1.foo", &["1.5e-3", "+", "0xe", "-", "1", ".", "foo"]),
            ("a!in b!=!inside", &["a", "!in", "b", "!=", "!", "inside"]),
            (
                "`a ${ f(#{ x: `}` }) } b` + \"\\\"//\" // end  ",
                &["`a ${ f(#{ x: `}` }) } b`", "+", "\"\\\"//\"", "// end"],
            ),
            (
                "#\"a \"b\"#.len() /* a /* b */ c */ 'x'",
                &["#\"a \"b\"#", ".", "len", "(", ")", "/* a /* b */ c */", "'x'"],
            ),
            ("`tick `` tock`.x?.y?[0]", &["`tick `` tock`", ".", "x", "?.", "y", "?[", "0", "]"]),
            ("\"open", &["\"open"]),
            ("`open ${", &["`open ${"]),
            ("/* open", &["/* open"]),
        ] {
            assert_eq!(texts(script), expected, "{script}");
        }
    }

    #[test]
    fn breaks_and_spaces_are_counted() {
        let pieces = pieces("a  b\n\n  c");
        assert_eq!((pieces[1].breaks, pieces[1].spaces, pieces[2].breaks), (0, 2, 2));
    }
}
