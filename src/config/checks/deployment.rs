//! The name of a deployment: it is a folder, and a part of the tags of what belongs to it.

use crate::config::report::Report;
use crate::config::tree::Located;

/// How the deployment is called that has no name of its own.
pub(in super::super) const DEFAULT: &str = "default";

const LONGEST: usize = 40;

/// A name that can be used as it is.
pub(in super::super) fn name(report: &Report, name: Located<String>) -> Option<String> {
    match mistake(&name.value) {
        None => Some(name.value),
        Some((message, usable)) => {
            report.error(name.span, message, Some(format!("write \"{usable}\"")));
            None
        }
    }
}

/// What is wrong with a name, and the nearest that is right. Lower case only: not every disk tells
/// `Blue` from `blue`.
pub(in super::super) fn mistake(name: &str) -> Option<(String, String)> {
    let usable = usable_name(name);
    (usable != name).then(|| {
        let message = format!(
            "`{name}` cannot be the name of a deployment: expected at most {LONGEST} of a-z, 0-9 and `-`"
        );
        (message, usable)
    })
}

fn usable_name(text: &str) -> String {
    let lower = text.trim().to_lowercase();
    let usable = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' };
    let name: String =
        lower.trim_start_matches(|c: char| !c.is_ascii_alphanumeric()).chars().map(usable).collect();
    let name: String = name.chars().take(LONGEST).collect();
    let name = name.trim_end_matches('-');
    if name.is_empty() { DEFAULT.to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usable_name_is_used_as_it_is() {
        for name in ["blue", "pr-42", "0", DEFAULT] {
            assert_eq!(mistake(name), None);
        }
        for (name, usable) in
            [("Blue", "blue"), ("a b", "a-b"), ("-x-", "x"), ("", DEFAULT), ("日本", DEFAULT)]
        {
            assert_eq!(mistake(name).map(|(_, usable)| usable).as_deref(), Some(usable), "{name}");
        }
    }
}
