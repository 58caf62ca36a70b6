//! A small terminal for tests: understands exactly the sequences that the live region may use, and
//! fails on any other.

use super::measure::width;

pub(super) struct Screen {
    columns: usize,
    lines: usize,
    /// Everything ever shown; the last `lines` rows are the screen, those before it the scrollback.
    rows: Vec<String>,
    row: usize,
    column: usize,
    pub(super) cursor_visible: bool,
}

impl Screen {
    pub(super) fn new(columns: usize, lines: usize) -> Self {
        Screen { columns, lines, rows: vec![String::new()], row: 0, column: 0, cursor_visible: true }
    }

    /// Scrollback and screen, without the blank rows at the end.
    pub(super) fn text(&self) -> String {
        let rows: Vec<&str> = self.rows.iter().map(|row| row.trim_end()).collect();
        rows.join("\n").trim_end().to_owned()
    }

    pub(super) fn write(&mut self, text: &str) {
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            rest = &rest[character.len_utf8()..];
            match character {
                '\u{1b}' => rest = self.sequence(rest.strip_prefix('[').expect("only CSI")),
                '\n' => self.down(),
                '\r' => self.column = 0,
                letter => self.put(letter),
            }
        }
    }

    fn down(&mut self) {
        self.column = 0;
        self.row += 1;
        if self.row == self.rows.len() {
            self.rows.push(String::new());
        }
    }

    fn put(&mut self, letter: char) {
        assert!(!letter.is_control() || letter == '\t', "control character {letter:?}");
        let columns = width(letter.encode_utf8(&mut [0; 4]));
        if self.column + columns > self.columns {
            self.down();
        }
        let mut kept = String::new();
        let mut old = self.rows[self.row].chars();
        while width(&kept) < self.column {
            kept.push(old.next().unwrap_or(' '));
        }
        let after: String = old.skip(1).collect();
        self.rows[self.row] = format!("{kept}{letter}{after}");
        self.column += columns;
    }

    fn sequence<'a>(&mut self, text: &'a str) -> &'a str {
        let end = text.find(|c: char| c.is_ascii_alphabetic()).expect("a final byte");
        let (parameters, rest) = text.split_at(end);
        match (parameters, &rest[..1]) {
            ("?25", "l") => self.cursor_visible = false,
            ("?25", "h") => self.cursor_visible = true,
            ("?2026", "h" | "l") | (_, "m") => {}
            ("", "K") => {
                let column = self.column;
                let kept: String = self.rows[self.row]
                    .chars()
                    .scan(0, |used, letter| {
                        *used += width(letter.encode_utf8(&mut [0; 4]));
                        (*used <= column).then_some(letter)
                    })
                    .collect();
                self.rows[self.row] = kept;
            }
            ("2", "K") => self.rows[self.row].clear(),
            ("", "J") => {
                assert!(
                    self.column == 0 && self.row > self.rows.len().saturating_sub(self.lines),
                    "erases the screen"
                );
                self.rows[self.row..].iter_mut().for_each(String::clear);
            }
            (count, "A") => {
                let top = self.rows.len().saturating_sub(self.lines);
                let count: usize = count.parse().expect("a count");
                assert!(self.row >= top + count, "moves above the screen");
                self.row -= count;
            }
            other => panic!("unexpected sequence {other:?}"),
        }
        &rest[1..]
    }
}
