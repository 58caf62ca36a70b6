//! The name of a project: it is in the names and tags of everything that spot makes.

use std::path::Path;

use crate::config::report::Report;
use crate::config::tree::Located;

const LONGEST: usize = 64;

/// A name that can be used as it is.
pub(in super::super) fn name(report: &Report, name: Located<String>) -> Option<String> {
    let usable = usable_name(&name.value);
    if usable == name.value {
        return Some(name.value);
    }
    let message = format!(
        "`{}` cannot be the name of a project: expected at most {LONGEST} letters, digits, `.`, `_` and `-`",
        name.value
    );
    report.error(name.span, message, Some(format!("write \"{usable}\"")));
    None
}

/// The name that a project has by default.
pub(in super::super) fn default_name(project: &Path) -> String {
    usable_name(&project.file_name().unwrap_or_default().to_string_lossy())
}

/// The nearest usable name: `My App` becomes `My-App`.
pub(in super::super) fn usable_name(text: &str) -> String {
    let replaced: String = text
        .trim()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' })
        .take(LONGEST)
        .collect();
    let name = replaced.trim_start_matches(|c: char| !c.is_ascii_alphanumeric()).trim_end_matches('-');
    if name.is_empty() { "project".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_usable() {
        assert_eq!(usable_name("my-app_1.0"), "my-app_1.0");
        assert_eq!(usable_name("My App"), "My-App");
        assert_eq!(usable_name(".hidden"), "hidden");
        assert_eq!(usable_name("日本"), "project");
        assert_eq!(usable_name(&"x".repeat(99)).len(), LONGEST);
        assert_eq!(default_name(Path::new("/")), "project");
        for text in ["a b-", "--", "ü", "a\u{1b}b"] {
            assert_eq!(usable_name(&usable_name(text)), usable_name(text));
        }
    }
}
