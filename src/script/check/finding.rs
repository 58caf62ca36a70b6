//! One thing that is wrong with a script, and comments that allow it.

use rhai::Position;

use super::code::{self, Code, Severity};
use crate::error::Error;

/// Something that is wrong with a script.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What kind of thing.
    pub code: &'static Code,
    /// How bad it is here.
    pub severity: Severity,
    /// What is wrong, and perhaps in the hint what was meant.
    pub error: Error,
    /// Where.
    pub position: Position,
}

impl Finding {
    pub(super) fn new(code: &'static Code, error: Error, position: Position) -> Self {
        Finding { code, severity: code.severity, error, position }
    }

    /// The line, from 1; 0 for the script as a whole.
    pub fn line(&self) -> usize {
        self.position.line().unwrap_or(0)
    }

    /// The column in characters, from 1; 0 where only the line is known.
    pub fn column(&self) -> usize {
        self.position.position().unwrap_or(0)
    }
}

/// A comment `// spot:allow(code): reason`.
struct Allow<'a> {
    line: usize,
    code: &'a str,
    reason: &'a str,
    used: bool,
}

const MARK: &str = "spot:allow(";

/// Takes out what a comment in the same line or the one above allows, and adds what is wrong with such
/// comments. Errors stay: what fails fails, whatever a comment says; only what is a guess can be allowed.
pub(super) fn apply_allows(text: &str, findings: Vec<Finding>) -> Vec<Finding> {
    let mut allows: Vec<Allow<'_>> = text.lines().enumerate().filter_map(allow).collect();
    let mut left: Vec<Finding> = Vec::new();
    for finding in findings {
        let line = finding.line();
        let fits = |allow: &&mut Allow<'_>| {
            allow.code == finding.code.name
                && !allow.reason.is_empty()
                && (allow.line == line || allow.line + 1 == line || line == 0)
        };
        match allows.iter_mut().find(fits).filter(|_| may_be_allowed(finding.code)) {
            Some(allow) => allow.used = true,
            None => left.push(finding),
        }
    }
    for allow in allows.iter().filter(|allow| !allow.used) {
        let error = match code::code(allow.code) {
            None => {
                let error = Error::script(format!("there is no code `{}`", allow.code));
                let names = code::CODES.iter().map(|code| code.name);
                match crate::error::nearest(allow.code, names) {
                    Some(near) => error.with_hint(format!("did you mean `{near}`?")),
                    None => error,
                }
            }
            Some(code) if !may_be_allowed(code) => {
                Error::script(format!("`{}` cannot be allowed: it would fail", code.name))
            }
            Some(_) if allow.reason.is_empty() => Error::script("the reason is missing")
                .with_hint(format!("// spot:allow({}): why it is right here", allow.code)),
            Some(code) => Error::script(format!("`{}` is not found here", code.name)),
        };
        let position = Position::new(u16::try_from(allow.line).unwrap_or(u16::MAX), 0);
        left.push(Finding::new(&code::UNUSED_ALLOW, error, position));
    }
    left
}

/// Properties are guessed at by their names; everything else that is an error is certain.
fn may_be_allowed(code: &Code) -> bool {
    code.severity == Severity::Warning || *code == code::UNKNOWN_PROPERTY
}

fn allow((index, line): (usize, &str)) -> Option<Allow<'_>> {
    let (_, comment) = line.split_once("//")?;
    let (_, rest) = comment.split_once(MARK)?;
    let (code, rest) = rest.split_once(')')?;
    let reason = rest.trim_start().strip_prefix(':').unwrap_or_default().trim();
    Some(Allow { line: index + 1, code: code.trim(), reason, used: false })
}
