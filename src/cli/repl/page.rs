//! A text that is longer than the screen, through the pager.

use std::io::Write;
use std::process::{Command, Stdio};

/// What shows it unless `PAGER` says otherwise: colours kept, the text left on the screen.
const PAGER: &str = "less -RX";

/// Shows a text through `PAGER`. Whether it could; the caller shows it otherwise.
pub(super) fn page(text: &str) -> bool {
    let pager = std::env::var("PAGER").ok().filter(|pager| !pager.trim().is_empty());
    let pager = pager.unwrap_or_else(|| PAGER.to_owned());
    // Found first: a shell that does not find it would still be a success to start.
    let program = pager.split_whitespace().next().unwrap_or_default();
    let found =
        Command::new("sh").args(["-c", "command -v \"$1\"", "sh", program]).stdout(Stdio::null()).status();
    if !found.is_ok_and(|status| status.success()) {
        return false;
    }
    let Ok(mut child) = Command::new("sh").args(["-c", &pager]).stdin(Stdio::piped()).spawn() else {
        return false;
    };
    if let Some(mut input) = child.stdin.take() {
        // Who leaves the pager early does not want the rest.
        let _ = input.write_all(text.as_bytes());
    }
    let _ = child.wait();
    true
}
