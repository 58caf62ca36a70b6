//! Uploads and the environment of the setup script.

use std::collections::BTreeMap;
use std::path::Path;

use super::paths::start_of;
use super::secrets;
use crate::config::convention::hook_names;
use crate::config::report::Report;
use crate::config::settings::HOOKS;
use crate::config::source::Span;
use crate::config::suggestion::nearest;
use crate::config::tree::{Located, Node, Value};

/// Where the files of a plain `files = "folder"` go.
pub(in super::super) const DEFAULT_DESTINATION: &str = "/opt/deployment";

/// An absolute path on the instances.
pub(in super::super) fn destination(report: &Report, path: Located<String>) -> Option<String> {
    let text = path.value.as_str();
    let wrong = if !text.starts_with('/') {
        "is not an absolute path on the instance"
    } else if text.split('/').any(|part| part == "..") {
        "leads out of its folder by `..`"
    } else if text.chars().any(char::is_control) {
        "has a control character"
    } else if text.trim_end_matches('/').is_empty() {
        "would put the files into the root folder"
    } else {
        return Some(path.value);
    };
    let rest = text.trim_start_matches(['~', '/', '.']);
    let hint = if rest.is_empty() { DEFAULT_DESTINATION.to_owned() } else { format!("/opt/{rest}") };
    report.error(path.span, format!("`{text}` {wrong}"), Some(format!("write \"{hint}\"")));
    None
}

/// Whether only root may write there, going by the path.
pub(in super::super) fn needs_root(destination: &str, user: &str) -> bool {
    let within = |folder: &str| {
        destination.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    !(within("/tmp")
        || within("/var/tmp")
        || within(&format!("/home/{user}"))
        || (user == "root" && within("/root")))
}

/// Permission bits: `"0755"` or `0o755`.
pub(in super::super) fn mode(report: &Report, node: &Node) -> Option<u32> {
    let written = report.source().slice(node.span).trim();
    let parsed = match &node.value {
        Value::Text(text) => {
            let digits = text.strip_prefix("0o").unwrap_or(text);
            (digits.len() >= 3).then(|| u32::from_str_radix(digits, 8).ok()).flatten()
        }
        // 755 as a decimal number would be the bits 1363.
        Value::Integer(number) if written.starts_with("0o") => u32::try_from(*number).ok(),
        Value::Integer(number) => {
            let message =
                format!("`mode`: expected permission bits in octal, found the decimal number {number}");
            report.error(node.span, message, Some(format!("write \"{number:04}\"")));
            return None;
        }
        _ => None,
    };
    let mode = parsed.filter(|mode| *mode <= 0o7777);
    if mode.is_none() {
        let message = format!("`mode`: expected permission bits in octal, found {}", node.value.describe());
        report.error(node.span, message, Some("write \"0644\" or \"0755\"".to_owned()));
    }
    mode
}

/// Who a file is to belong to.
pub(in super::super) fn owner(report: &Report, owner: Located<String>) -> Option<String> {
    let is_name = |name: &str| {
        !name.is_empty()
            && !name.starts_with('-')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    let mut parts = owner.value.splitn(2, ':');
    if parts.next().is_some_and(is_name) && parts.next().is_none_or(is_name) {
        return Some(owner.value);
    }
    let message = format!("`{}` is no owner", owner.value);
    report.error(owner.span, message, Some("write \"USER\" or \"USER:GROUP\"".to_owned()));
    None
}

/// Whether a package manager may be given this word.
pub(in super::super) fn is_package(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.len() <= 200
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "+-._:=~/".contains(c))
}

/// The names that are those of packages.
pub(in super::super) fn packages(report: &Report, listed: Vec<Located<String>>) -> Vec<String> {
    let (good, bad): (Vec<_>, Vec<_>) = listed.into_iter().partition(|name| is_package(&name.value));
    for name in bad {
        report.error(name.span, format!("`{}` is no name of a package", name.value), None);
    }
    good.into_iter().map(|name| name.value).collect()
}

/// Whether this can be the name of a file of ours on an instance.
pub(in super::super) fn is_file_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && name.len() <= 100
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

/// Whether this is the name of a unit that systemd starts.
pub(in super::super) fn is_unit(name: &str) -> bool {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending);
    name.len() <= 200
        && name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-@".contains(c))
        && ending.is_some_and(|ending| ["service", "timer", "socket", "path", "target"].contains(&ending))
}

/// Warns of a service that systemd would refuse.
pub(in super::super) fn unit(report: &Report, at: Option<Span>, file: &Path) {
    let start = start_of(file, 64 << 10).unwrap_or_default();
    let text = String::from_utf8_lossy(&start);
    if file.extension().is_some_and(|ending| ending == "service") && !text.contains("ExecStart=") {
        let message = format!("{} has no `ExecStart=`: systemd does not start it", file.display());
        report.warning_at(
            at,
            message,
            Some("write `ExecStart=/path/of/the/program` below [Service]".to_owned()),
        );
    }
}

/// One of [`HOOKS`].
pub(in super::super) fn hook_name(report: &Report, at: Option<Span>, name: &str) -> Option<&'static str> {
    if let Some(known) = HOOKS.into_iter().find(|known| *known == name) {
        return Some(known);
    }
    let hint = match nearest(name, HOOKS) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are: {}", hook_names()),
    };
    report.error_at(at, format!("there is no hook `{name}`"), Some(hint));
    None
}

/// Whether a script can be run then: where there are no instances, only a recipe can.
pub(in super::super) fn hook(report: &Report, at: Option<Span>, when: &str, file: &Path) -> bool {
    let is_recipe = file.extension().is_some_and(|ending| ending == "rhai");
    if is_recipe || !matches!(when, "before_launch" | "after_destroy") {
        return true;
    }
    let message = format!("{when}: {} cannot run on instances, of which there are none then", file.display());
    report.error_at(at, message, Some("write it as a recipe: its name ends in .rhai".to_owned()));
    false
}

/// Where a secret comes from; what stands there instead is not shown.
pub(in super::super) fn secret(report: &Report, name: &Located<String>, source: &Located<String>) -> bool {
    if !is_file_name(&name.value) {
        let hint = "use letters, digits, `.`, `_` and `-`".to_owned();
        report.error(name.span, format!("`{}` is no name of a secret", name.value), Some(hint));
        return false;
    }
    let known = source.value.split_once(':').is_some_and(|(kind, rest)| {
        !rest.is_empty() && !rest.contains('\0') && ["env", "file", "ssm", "secretsmanager"].contains(&kind)
    });
    if !known {
        let message = format!("`{}`: expected where the secret is to be found, not the secret", name.value);
        let hint = "write \"env:NAME\", \"file:PATH\", \"ssm:/PATH\" or \"secretsmanager:NAME\"".to_owned();
        report.error(source.span, message, Some(hint));
    }
    known
}

/// A SHA-256 in hexadecimal digits.
pub(in super::super) fn sha256(report: &Report, text: Located<String>) -> Option<String> {
    if text.value.len() == 64 && text.value.chars().all(|c| c.is_ascii_hexdigit()) {
        return Some(text.value.to_ascii_lowercase());
    }
    report.error(
        text.span,
        "`sha256`: expected 64 hexadecimal digits",
        Some("`sha256sum FILE` prints them".to_owned()),
    );
    None
}

/// The variables that can be set.
pub(in super::super) fn environment(
    report: &Report,
    pairs: Vec<(Located<String>, Located<String>)>,
) -> BTreeMap<String, String> {
    let mut environment = BTreeMap::new();
    for (name, value) in pairs {
        let is_name = name.value.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.value.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_name {
            let message = format!("`{}` cannot be the name of an environment variable", name.value);
            let usable: String =
                name.value.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
            let hint = format!("use letters, digits and `_`: {usable}");
            report.error(name.span, message, Some(hint));
            continue;
        }
        if value.value.contains('\0') {
            report.error(value.span, format!("the value of `{}` has a zero character", name.value), None);
            continue;
        }
        if let Some(kind) = secrets::looks_like(&value.value) {
            let message = format!("the value of `{}` looks like {kind}", name.value);
            let hint = format!(
                "keep it out of this file: read it in the recipe by sys::env(\"{}\"), or give the instances a role",
                name.value
            );
            report.warning(value.span, message, Some(hint));
        }
        environment.insert(name.value, value.value);
    }
    environment
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source::{Source, Span};
    use crate::config::toml;

    fn hints<T>(text: &str, check: impl Fn(&Report) -> T) -> (T, Vec<String>) {
        let report = Report::new(Source::new("f", text));
        let value = check(&report);
        (value, report.into_problems().into_iter().map(|problem| problem.hint.unwrap_or_default()).collect())
    }

    #[test]
    fn destinations_are_absolute() {
        let check = |text: &str| {
            hints("", |report| destination(report, Located::new(text.to_owned(), Span::default())))
        };
        assert_eq!(check("/opt/app"), (Some("/opt/app".to_owned()), vec![]));
        assert_eq!(check("app"), (None, vec!["write \"/opt/app\"".to_owned()]));
        assert_eq!(check("~/app").1, ["write \"/opt/app\""]);
        assert_eq!(check("/").1, ["write \"/opt/deployment\""]);
        assert_eq!(check("/opt/../etc").0, None);
    }

    #[test]
    fn root_is_needed_outside_of_home_and_tmp() {
        assert!(needs_root("/opt/app", "ubuntu") && needs_root("/home/ubuntu2", "ubuntu"));
        assert!(!needs_root("/home/ubuntu/app", "ubuntu") && !needs_root("/tmp", "ubuntu"));
    }

    #[test]
    fn modes_are_octal() {
        let check = |text: &str| {
            let source = format!("mode = {text}");
            hints(&source, |report| {
                let Some(Node { value: Value::Table(entries), .. }) = toml::parse(report) else {
                    panic!("{source}")
                };
                mode(report, &entries[0].value)
            })
        };
        assert_eq!(check("\"0755\"").0, Some(0o755));
        assert_eq!(check("\"644\"").0, Some(0o644));
        assert_eq!(check("0o600").0, Some(0o600));
        assert_eq!(check("755").1, ["write \"0755\""]);
        assert_eq!(check("\"rwx\"").0, None);
        assert_eq!(check("\"77777\"").0, None);
    }
}
