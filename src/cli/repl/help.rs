//! The reference at the prompt.

use crate::error::{Error, Result, nearest};
use crate::host::{Function, Reference};

/// All functions by namespace, names only.
pub(super) fn overview(reference: &Reference) -> String {
    let mut text = String::new();
    for (namespace, documentation) in &reference.namespaces {
        let of = |function: &&Function| function.namespace.as_deref().unwrap_or_default() == namespace;
        let mut names: Vec<&str> = reference.functions.iter().filter(of).map(|f| f.name.as_str()).collect();
        names.dedup();
        if names.is_empty() {
            continue;
        }
        let title = if namespace.is_empty() { String::new() } else { format!("{namespace}:: ") };
        let summary = documentation.lines().next().unwrap_or_default();
        text.push_str(&format!("{title}{summary}\n    {}\n", names.join(" ")));
    }
    text.trim_end().to_owned()
}

/// The text of a function, or of all of a namespace.
///
/// # Errors
/// When there is none of that name.
pub(super) fn about(reference: &Reference, name: &str) -> Result<String> {
    let found = reference.find(name);
    if found.is_empty() {
        let names: Vec<&str> =
            reference.functions.iter().filter_map(|function| function.call.split('(').next()).collect();
        let error = Error::usage(format!("there is no function or namespace `{name}`"));
        return Err(match nearest(name, names.iter().copied()) {
            Some(near) => error.with_hint(format!("did you mean `help {near}`?")),
            None => error,
        });
    }
    let mut text = String::new();
    for function in found {
        text.push_str(&format!("{}\n", function.call));
        for line in function.text.lines() {
            text.push_str(&format!("    {line}\n"));
        }
    }
    Ok(text.trim_end().to_owned())
}
