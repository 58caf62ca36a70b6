//! Symbols and colours. Every mark exists without colour and without Unicode.

use owo_colors::{AnsiColors, DynColors, OwoColorize};

use super::event::Level;

/// What a sink can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Whether escape sequences for colours may be written.
    pub color: bool,
    /// Whether characters beyond ASCII are shown right.
    pub unicode: bool,
}

/// The looks a piece of text can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paint {
    Plain,
    Dim,
    Bold,
    Mark(Level),
    /// The colour of a host's label.
    Label(u8),
}

impl Paint {
    pub(super) const ERROR: Paint = Paint::Mark(Level::Error);
    pub(super) const HINT: Paint = Paint::Mark(Level::Info);

    /// The colour that a host keeps for as long as it exists.
    pub(super) fn of_host(host: &str) -> Paint {
        // FNV-1a: the same in every run and every version, unlike the hasher of the standard library.
        let hash = host.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Paint::Label((hash % LABELS.len() as u64) as u8)
    }
}

/// Colours of labels; red, yellow and green would read as a verdict.
const LABELS: [AnsiColors; 6] = [
    AnsiColors::Cyan,
    AnsiColors::Magenta,
    AnsiColors::Blue,
    AnsiColors::BrightCyan,
    AnsiColors::BrightMagenta,
    AnsiColors::BrightBlue,
];

impl Style {
    /// ASCII without colour.
    pub const PLAIN: Style = Style { color: false, unicode: false };

    /// The mark before a message of a level.
    pub fn symbol(&self, level: Level) -> &'static str {
        match (level, self.unicode) {
            (Level::Success, true) => "✔",
            (Level::Success, false) => "ok",
            (Level::Error, true) => "✖",
            (Level::Error, false) => "FAIL",
            (Level::Warning, _) => "!",
            (Level::Info, true) => "•",
            (Level::Info, false) => "-",
            (Level::Debug, true) => "·",
            (Level::Debug, false) => ".",
        }
    }

    /// The mark for success or failure.
    pub(super) fn verdict(&self, ok: bool) -> Level {
        if ok { Level::Success } else { Level::Error }
    }

    /// The mark before something that begins.
    pub(super) fn begin(&self) -> &'static str {
        if self.unicode { "▸" } else { ">" }
    }

    /// One picture of the spinner; `tick` grows by one ten times a second.
    pub(super) fn spinner(&self, tick: usize) -> &'static str {
        const SMOOTH: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
        const SIMPLE: [&str; 4] = ["|", "/", "-", "\\"];
        let pictures: &[&str] = if self.unicode { &SMOOTH } else { &SIMPLE };
        pictures.get(tick % pictures.len()).copied().unwrap_or_default()
    }

    /// What stands for the part of a text that did not fit.
    pub(super) fn ellipsis(&self) -> &'static str {
        if self.unicode { "…" } else { "..." }
    }

    /// What separates facts on one line.
    pub(super) fn dot(&self) -> &'static str {
        if self.unicode { "·" } else { "|" }
    }

    /// The stuff of horizontal lines.
    pub(super) fn rule(&self) -> &'static str {
        if self.unicode { "─" } else { "-" }
    }

    /// Text in a look, if this style has colours.
    pub(super) fn paint(&self, text: &str, paint: Paint) -> String {
        if !self.color || text.is_empty() {
            return text.to_owned();
        }
        let look = match paint {
            Paint::Plain => return text.to_owned(),
            Paint::Dim | Paint::Mark(Level::Debug) => owo_colors::Style::new().dimmed(),
            Paint::Bold => owo_colors::Style::new().bold(),
            Paint::Mark(Level::Success) => owo_colors::Style::new().green(),
            Paint::Mark(Level::Error) => owo_colors::Style::new().red().bold(),
            Paint::Mark(Level::Warning) => owo_colors::Style::new().yellow(),
            Paint::Mark(Level::Info) => owo_colors::Style::new().cyan(),
            Paint::Label(number) => {
                let label = LABELS.get(usize::from(number) % LABELS.len()).copied();
                owo_colors::Style::new().color(DynColors::Ansi(label.unwrap_or(AnsiColors::Cyan)))
            }
        };
        text.style(look).to_string()
    }

    /// The mark of a level in its colour, padded so that what follows lines up.
    pub(super) fn mark(&self, level: Level) -> String {
        let symbol = self.symbol(level);
        let columns = if self.unicode { 1 } else { 4 };
        let padding = super::measure::fill(super::measure::width(symbol), columns);
        format!("{}{padding}", self.paint(symbol, Paint::Mark(level)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEVELS: [Level; 5] = [Level::Success, Level::Error, Level::Warning, Level::Info, Level::Debug];

    #[test]
    fn every_level_has_its_own_mark_without_colour() {
        for unicode in [true, false] {
            let style = Style { color: false, unicode };
            let marks: std::collections::BTreeSet<&str> =
                LEVELS.iter().map(|level| style.symbol(*level)).collect();
            assert_eq!(marks.len(), LEVELS.len());
            assert!(unicode || marks.iter().all(|mark| mark.is_ascii()));
        }
    }

    #[test]
    fn without_colour_no_escape_sequence_is_written() {
        for level in LEVELS {
            assert!(!Style::PLAIN.mark(level).contains('\u{1b}'));
        }
        assert_eq!(
            Style { color: true, unicode: true }.paint("x", Paint::Mark(Level::Success)),
            "\u{1b}[32mx\u{1b}[0m"
        );
    }

    #[test]
    fn a_host_keeps_its_colour_and_hosts_differ() {
        let style = Style { color: true, unicode: true };
        let painted = |host: &str| style.paint("x", Paint::of_host(host));
        assert_eq!(painted("i-0abc"), painted("i-0abc"));
        let colours: std::collections::BTreeSet<String> =
            (0..40).map(|n| painted(&format!("i-{n:017x}"))).collect();
        assert_eq!(colours.len(), LABELS.len());
    }
}
