//! The terminal as somebody else's: every key goes through, nothing is echoed.

use std::io::{IsTerminal, stdin};

use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

use crate::error::{Error, Result};

/// The terminal of standard input in raw mode; as it was before when dropped.
pub struct RawTerminal {
    before: Termios,
}

impl RawTerminal {
    /// Takes the terminal; none if standard input is none.
    ///
    /// # Errors
    /// Kind `internal`: the terminal does not obey.
    pub fn enter() -> Result<Option<Self>> {
        let input = stdin();
        if !input.is_terminal() {
            return Ok(None);
        }
        let failed = |error| Error::internal("the terminal cannot be taken").with_source(error);
        let before = tcgetattr(&input).map_err(failed)?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(&input, SetArg::TCSADRAIN, &raw).map_err(failed)?;
        Ok(Some(RawTerminal { before }))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring.
        let _ = tcsetattr(stdin(), SetArg::TCSADRAIN, &self.before);
    }
}

/// The columns and lines of the terminal, if there is one.
pub fn terminal_size() -> Option<(u16, u16)> {
    let (columns, rows) = terminal_size::terminal_size()?;
    Some((columns.0, rows.0))
}
