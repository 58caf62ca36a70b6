//! How wide text is on a terminal, and how it is made to fit.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::style::Style;

/// The columns that text takes: wide characters count two, combining ones none.
pub fn width(text: &str) -> usize {
    text.width()
}

/// The text, if it fits into `columns`, or as much of its beginning as leaves room for an ellipsis.
pub fn fit<'a>(text: &'a str, columns: usize, style: &Style) -> Cow<'a, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let ellipsis = style.ellipsis();
    let room = columns.saturating_sub(width(ellipsis));
    if room == 0 {
        return Cow::Owned(ellipsis.chars().take(columns).collect());
    }
    let mut used = 0;
    let mut end = 0;
    for (index, character) in text.char_indices() {
        used += match character {
            // Takes no column itself and makes the character before it an emoji of two (UTS 51).
            '\u{fe0f}' => 1,
            other => other.width().unwrap_or(0),
        };
        if used > room {
            break;
        }
        end = index + character.len_utf8();
    }
    Cow::Owned(format!("{}{ellipsis}", text[..end].trim_end()))
}

/// Spaces that fill text of `used` columns up to `columns`.
pub fn fill(used: usize, columns: usize) -> String {
    " ".repeat(columns.saturating_sub(used))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const UNICODE: Style = Style { color: false, unicode: true };

    #[test]
    fn cuts_by_columns_not_by_characters() {
        assert_eq!(fit("日本語", 6, &UNICODE), "日本語");
        assert_eq!(fit("日本語", 5, &UNICODE), "日本…");
        assert_eq!(fit("日本語", 4, &UNICODE), "日…");
        assert_eq!(fit("e\u{301}clair", 3, &UNICODE), "e\u{301}c…");
        assert_eq!(fit("☁\u{fe0f}☁\u{fe0f}☁\u{fe0f}", 4, &UNICODE), "☁\u{fe0f}☁…");
        assert_eq!(fit("eclair", 5, &Style::PLAIN), "ec...");
        assert_eq!(fit("eclair", 2, &Style::PLAIN), "..");
        assert_eq!(fit("eclair", 0, &UNICODE), "");
    }

    proptest! {
        #[test]
        fn never_wider_than_asked(text in "\\PC{0,30}", columns in 0_usize..20, unicode: bool) {
            let style = Style { color: false, unicode };
            let shown = width(&fit(&text, columns, &style));
            prop_assert!(shown <= columns);
        }
    }
}
