//! Single keys from the terminal, while signals such as Ctrl-C go on as usual.

use std::io::{IsTerminal, stdin};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr};

/// Taken and released as often as needed; released in any case when dropped.
#[derive(Default)]
pub(super) struct Keyboard {
    before: Mutex<Option<Termios>>,
}

impl Keyboard {
    fn before(&self) -> MutexGuard<'_, Option<Termios>> {
        self.before.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gets each key at once and unseen. Without a terminal, or with one that does not obey, there are
    /// no keys.
    pub(super) fn take(&self) {
        let input = stdin();
        let mut before = self.before();
        if before.is_some() || !input.is_terminal() {
            return;
        }
        let Ok(usual) = tcgetattr(&input) else { return };
        let mut single = usual.clone();
        single.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO);
        // A read gets what there is and never waits.
        for (index, value) in [(SpecialCharacterIndices::VMIN, 0), (SpecialCharacterIndices::VTIME, 0)] {
            if let Some(slot) = single.control_chars.get_mut(index as usize) {
                *slot = value;
            }
        }
        if tcsetattr(&input, SetArg::TCSADRAIN, &single).is_ok() {
            *before = Some(usual);
        }
    }

    /// Leaves the terminal as it was.
    pub(super) fn release(&self) {
        if let Some(before) = self.before().take() {
            // A terminal that is gone needs no restoring.
            let _ = tcsetattr(stdin(), SetArg::TCSADRAIN, &before);
        }
    }

    /// The keys that were pressed since the last time.
    pub(super) fn read(&self) -> Vec<u8> {
        let mut bytes = [0; 64];
        if self.before().is_none() {
            return Vec::new();
        }
        let count = nix::unistd::read(stdin(), &mut bytes).unwrap_or(0);
        bytes.get(..count).unwrap_or_default().to_vec()
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        self.release();
    }
}
