//! Which of the sandbox's instances a word on the command line means.

use crate::error::Result;
use crate::sandbox::Sandbox;
use crate::state::Store;

/// The instance that is meant: one of the project's, or any other of the sandbox by its whole id.
pub(super) fn meant(sandbox: &Sandbox, word: &str) -> Result<String> {
    let whole = word
        .strip_prefix("i-")
        .is_some_and(|tail| tail.len() == 17 && tail.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if whole {
        return Ok(word.to_owned());
    }
    let document = Store::open(&sandbox.access().state_folder).read()?;
    Ok(document.meant(Some(word), "spot --sandbox list --cached")?.id.clone())
}
