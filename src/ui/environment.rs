//! What kind of renderer, colour, width and letters suit the process: one pure decision.

use std::io::IsTerminal as _;

use super::style::Style;
use super::table::UNLIMITED;

/// The width that is assumed when nothing says otherwise.
const USUAL_COLUMNS: u16 = 80;

/// How events are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// [`Format::Terminal`] on a terminal, else [`Format::Plain`].
    #[default]
    Auto,
    /// With a live region at the bottom of the screen.
    Terminal,
    /// One line per event, no cursor movement.
    Plain,
    /// One JSON object per line on standard output.
    Json,
}

/// How much of a terminal the live view takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Screen {
    /// The lines at the bottom; what is over scrolls by above them.
    #[default]
    Inline,
    /// All of it while something goes on, with panels that scroll; afterwards it is as it was, and
    /// what was said is on it.
    Full,
}

/// When colours are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Color {
    /// On terminals, unless the environment says otherwise.
    #[default]
    Auto,
    /// Even into pipes.
    Always,
    /// Nowhere.
    Never,
}

/// What the user asked for on the command line, or an embedding program in its place.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How events are shown.
    pub format: Format,
    /// How much of a terminal the live view takes.
    pub screen: Screen,
    /// When colours are written.
    pub color: Color,
    /// Show nothing but errors, warnings, tables and data.
    pub quiet: bool,
    /// How much more than usual is shown: 1 adds debug messages and full timestamps.
    pub verbose: u8,
    /// `--yes`: confirmations are answered with yes, texts with their default.
    pub yes: bool,
    /// `--answer WORD`, repeatable: words that confirmations by typing a word may find typed already.
    pub typed: Vec<String>,
    /// The width in columns, in place of the terminal's. Pipes have no width in any case.
    pub width: Option<u16>,
    /// Whether characters beyond ASCII are shown, in place of what the locale says.
    pub unicode: Option<bool>,
}

/// The surroundings of the process, as far as they matter for showing and asking.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// Whether standard input is a terminal.
    pub stdin_tty: bool,
    /// Whether standard output is a terminal.
    pub stdout_tty: bool,
    /// Whether standard error is a terminal.
    pub stderr_tty: bool,
    /// The width of the terminal, if there is one.
    pub terminal_columns: Option<u16>,
    /// `NO_COLOR`
    pub no_color: Option<String>,
    /// `CLICOLOR`
    pub clicolor: Option<String>,
    /// `CLICOLOR_FORCE`
    pub clicolor_force: Option<String>,
    /// `TERM`
    pub term: Option<String>,
    /// `COLUMNS`
    pub columns: Option<String>,
    /// `CI`
    pub ci: Option<String>,
    /// `LC_ALL`
    pub lc_all: Option<String>,
    /// `LC_CTYPE`
    pub lc_ctype: Option<String>,
    /// `LANG`
    pub lang: Option<String>,
}

/// What follows from [`Options`] and [`Environment`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The renderer; never [`Format::Auto`].
    pub format: Format,
    /// What standard output can show.
    pub stdout: Sink,
    /// What standard error can show.
    pub stderr: Sink,
    /// Whether the width was asked for, so that it does not follow the terminal's.
    pub fixed_width: bool,
    /// Whether questions can be put to a person.
    pub interactive: bool,
}

/// What one of the two output streams can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sink {
    /// Whether a person looks at it directly.
    pub tty: bool,
    /// Its columns; [`UNLIMITED`] on a pipe.
    pub columns: usize,
    /// Its colours and letters.
    pub style: Style,
}

impl Environment {
    /// The surroundings of this process.
    pub fn read() -> Self {
        let variable = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        Environment {
            stdin_tty: std::io::stdin().is_terminal(),
            stdout_tty: std::io::stdout().is_terminal(),
            stderr_tty: std::io::stderr().is_terminal(),
            terminal_columns: terminal_size::terminal_size().map(|(columns, _)| columns.0),
            no_color: variable("NO_COLOR"),
            clicolor: variable("CLICOLOR"),
            clicolor_force: variable("CLICOLOR_FORCE"),
            term: variable("TERM"),
            columns: variable("COLUMNS"),
            ci: variable("CI"),
            lc_all: variable("LC_ALL"),
            lc_ctype: variable("LC_CTYPE"),
            lang: variable("LANG"),
        }
    }

    /// What to do in these surroundings.
    ///
    /// - Format: live on a terminal that can move its cursor and is not a CI log, else plain.
    /// - Colour: the option, then `NO_COLOR`, `CLICOLOR_FORCE`, `CLICOLOR=0`, `TERM=dumb`, then
    ///   whether the stream is a terminal.
    /// - Width: the option, then `COLUMNS`, then the terminal's, then 80; pipes have none.
    /// - Unicode: the option, else whether the first of `LC_ALL`, `LC_CTYPE`, `LANG` that is set names
    ///   UTF-8; never by itself on the Linux console, whose font lacks the symbols.
    /// - Questions: only if standard input is a terminal and no program reads the answers as JSON.
    pub fn decide(&self, options: &Options) -> Decision {
        let format = match options.format {
            Format::Auto if self.stderr_tty && !self.dumb() && !self.in_ci() => Format::Terminal,
            Format::Auto => Format::Plain,
            chosen => chosen,
        };
        let sink = |tty: bool| Sink {
            tty,
            columns: if tty { usize::from(self.width(options)) } else { UNLIMITED },
            style: Style { color: self.color(options, tty), unicode: self.unicode(options) },
        };
        Decision {
            format,
            stdout: sink(self.stdout_tty),
            stderr: sink(self.stderr_tty),
            fixed_width: self.asked_width(options).is_some(),
            interactive: self.stdin_tty && format != Format::Json,
        }
    }

    fn dumb(&self) -> bool {
        self.term.as_deref() == Some("dumb")
    }

    fn in_ci(&self) -> bool {
        set(&self.ci).is_some_and(|value| value != "false" && value != "0")
    }

    fn color(&self, options: &Options, tty: bool) -> bool {
        match options.color {
            Color::Always => return true,
            Color::Never => return false,
            Color::Auto => {}
        }
        if set(&self.no_color).is_some() {
            return false;
        }
        if set(&self.clicolor_force).is_some_and(|value| value != "0") {
            return true;
        }
        tty && self.clicolor.as_deref() != Some("0") && !self.dumb()
    }

    fn asked_width(&self, options: &Options) -> Option<u16> {
        let columns = || set(&self.columns)?.trim().parse().ok();
        options.width.or_else(columns).filter(|width| *width > 0)
    }

    fn width(&self, options: &Options) -> u16 {
        let terminal = self.terminal_columns.filter(|width| *width > 0);
        self.asked_width(options).or(terminal).unwrap_or(USUAL_COLUMNS)
    }

    fn unicode(&self, options: &Options) -> bool {
        if let Some(unicode) = options.unicode {
            return unicode;
        }
        let locale = set(&self.lc_all).or(set(&self.lc_ctype)).or(set(&self.lang)).unwrap_or("C");
        let locale = locale.to_ascii_lowercase();
        self.term.as_deref() != Some("linux") && (locale.contains("utf-8") || locale.contains("utf8"))
    }
}

/// A variable counts as set only if it is not empty.
fn set(value: &Option<String>) -> Option<&str> {
    value.as_deref().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terminal() -> Environment {
        Environment {
            stdin_tty: true,
            stdout_tty: true,
            stderr_tty: true,
            terminal_columns: Some(120),
            term: Some("xterm-256color".into()),
            lang: Some("en_US.UTF-8".into()),
            ..Environment::default()
        }
    }

    fn with(change: impl FnOnce(&mut Environment)) -> Environment {
        let mut environment = terminal();
        change(&mut environment);
        environment
    }

    fn some(value: &str) -> Option<String> {
        Some(value.to_owned())
    }

    #[test]
    fn formats() {
        let format = |environment: &Environment, format| {
            environment.decide(&Options { format, ..Options::default() }).format
        };
        let table = [
            (terminal(), Format::Terminal),
            (with(|e| e.stdout_tty = false), Format::Terminal),
            (with(|e| e.stdin_tty = false), Format::Terminal),
            (with(|e| e.stderr_tty = false), Format::Plain),
            (with(|e| e.term = some("dumb")), Format::Plain),
            (with(|e| e.ci = some("true")), Format::Plain),
            (with(|e| e.ci = some("false")), Format::Terminal),
            (with(|e| e.ci = some("")), Format::Terminal),
            (Environment::default(), Format::Plain),
        ];
        for (environment, expected) in table {
            assert_eq!(format(&environment, Format::Auto), expected, "{environment:?}");
            for chosen in [Format::Terminal, Format::Plain, Format::Json] {
                assert_eq!(format(&environment, chosen), chosen);
            }
        }
    }

    #[test]
    fn colours() {
        let colors = |environment: &Environment, color| {
            let decision = environment.decide(&Options { color, ..Options::default() });
            (decision.stdout.style.color, decision.stderr.style.color)
        };
        let table = [
            (terminal(), (true, true)),
            (with(|e| e.stdout_tty = false), (false, true)),
            (with(|e| e.no_color = some("1")), (false, false)),
            (with(|e| e.no_color = some("")), (true, true)),
            (with(|e| e.clicolor = some("0")), (false, false)),
            (with(|e| e.clicolor = some("1")), (true, true)),
            (with(|e| e.term = some("dumb")), (false, false)),
            (Environment { clicolor_force: some("1"), ..Environment::default() }, (true, true)),
            (Environment { clicolor_force: some("0"), ..Environment::default() }, (false, false)),
            (
                Environment { clicolor_force: some("1"), no_color: some("1"), ..Environment::default() },
                (false, false),
            ),
            (
                Environment { clicolor_force: some("1"), clicolor: some("0"), ..Environment::default() },
                (true, true),
            ),
            (Environment::default(), (false, false)),
        ];
        for (environment, expected) in table {
            assert_eq!(colors(&environment, Color::Auto), expected, "{environment:?}");
            assert_eq!(colors(&environment, Color::Always), (true, true));
            assert_eq!(colors(&environment, Color::Never), (false, false));
        }
    }

    #[test]
    fn widths() {
        let columns = |environment: &Environment, width| {
            let decision = environment.decide(&Options { width, ..Options::default() });
            (decision.stdout.columns, decision.stderr.columns)
        };
        assert_eq!(columns(&terminal(), None), (120, 120));
        assert_eq!(columns(&terminal(), Some(60)), (60, 60));
        assert_eq!(columns(&terminal(), Some(0)), (120, 120));
        assert_eq!(columns(&with(|e| e.columns = some("90")), None), (90, 90));
        assert_eq!(columns(&with(|e| e.columns = some("wide")), None), (120, 120));
        assert_eq!(columns(&with(|e| e.columns = some("0")), None), (120, 120));
        assert_eq!(columns(&with(|e| e.terminal_columns = None), None), (80, 80));
        assert_eq!(columns(&with(|e| e.terminal_columns = Some(0)), None), (80, 80));
        assert_eq!(columns(&with(|e| e.stdout_tty = false), Some(60)), (UNLIMITED, 60));
    }

    #[test]
    fn letters() {
        let unicode = |environment: &Environment, unicode| {
            environment.decide(&Options { unicode, ..Options::default() }).stderr.style.unicode
        };
        let table = [
            (terminal(), true),
            (with(|e| e.lang = some("C")), false),
            (with(|e| e.lang = None), false),
            (with(|e| e.lang = some("de_DE.utf8")), true),
            (with(|e| e.lc_ctype = some("POSIX")), false),
            (with(|e| e.lc_all = some("C")), false),
            (with(|e| e.lc_all = some("")), true),
            (Environment { lc_all: some("C.UTF-8"), lang: some("C"), ..Environment::default() }, true),
            (with(|e| e.term = some("linux")), false),
        ];
        for (environment, expected) in table {
            assert_eq!(unicode(&environment, None), expected, "{environment:?}");
            assert!(unicode(&environment, Some(true)) && !unicode(&environment, Some(false)));
        }
    }

    #[test]
    fn questions() {
        let asks = |environment: &Environment, format| {
            environment.decide(&Options { format, ..Options::default() }).interactive
        };
        assert!(asks(&terminal(), Format::Auto) && asks(&terminal(), Format::Plain));
        assert!(!asks(&terminal(), Format::Json));
        assert!(!asks(&with(|e| e.stdin_tty = false), Format::Auto));
        assert!(asks(&with(|e| e.stderr_tty = false), Format::Auto));
    }
}
