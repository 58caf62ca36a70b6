//! Which deployment of a project is meant: known before everything else of the configuration is checked.

use std::io::ErrorKind;
use std::path::Path;

use super::checks::deployment::{DEFAULT, mistake};
use super::report::Report;
use super::source::Source;
use super::tree::{Node, Value};
use super::{Format, toml};
use crate::error::{Error, Result};

/// The deployment that `asked` (a flag or variable) or the configuration names; `None` is the default
/// one, which is also called `default`.
///
/// A configuration with mistakes hides nothing: only if it seems to name a deployment, and which one
/// cannot be read, is this an error.
///
/// # Errors
/// A name that no deployment can have, and a file that does not tell.
pub fn deployment(project: &Path, file: Option<&Path>, asked: Option<&str>) -> Result<Option<String>> {
    let (name, what) = match asked {
        Some(name) => (Some(name.to_owned()), "--deployment".to_owned()),
        None => {
            let usual = project.join("spot.toml");
            let path = file.unwrap_or(&usual);
            (configured(path)?, path.display().to_string())
        }
    };
    match name.as_deref().and_then(mistake) {
        Some((message, usable)) => {
            let error = if asked.is_some() { Error::usage } else { Error::config };
            Err(error(format!("{what}: {message}")).with_hint(format!("write `{usable}`")))
        }
        None => Ok(name.filter(|name| name != DEFAULT)),
    }
}

/// What the file says of it.
fn configured(path: &Path) -> Result<Option<String>> {
    said(path, "deployment").map_err(|problem| {
        Error::config(format!("{}: which deployment it names cannot be read: {problem}", path.display()))
            .with_hint("correct the file, or say it: `--deployment NAME`, or `--deployment default`")
    })
}

/// The text of a key of `[project]`, or of the same at the top of the file, if it is one of ours and
/// has it. The error says why what it seems to say cannot be read.
pub(super) fn said(path: &Path, key: &str) -> std::result::Result<Option<String>, String> {
    if Format::of(path) != Some(Format::SpotToml) {
        return Ok(None);
    }
    match std::fs::metadata(path) {
        // Whoever needs the file says that it is missing.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        _ => {}
    }
    let source = Source::read(path, path).map_err(|(problem, _)| problem)?;
    if !source.text().lines().any(|line| line.trim_start().starts_with(key)) {
        return Ok(None);
    }
    let report = Report::new(source);
    match toml::parse(&report) {
        Some(root) if report.is_empty() => Ok(find(&root, key)),
        _ => Err("the file has mistakes".to_owned()),
    }
}

fn find(root: &Node, key: &str) -> Option<String> {
    let below = entry(root, "project").and_then(|project| entry(project, key));
    match &below.or_else(|| entry(root, key))?.value {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    }
}

fn entry<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    match &node.value {
        Value::Table(entries) => Some(&entries.iter().find(|entry| entry.key == key)?.value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn of(text: &str, asked: Option<&str>) -> Result<Option<String>> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("spot.toml"), text).unwrap();
        deployment(folder.path(), None, asked)
    }

    #[test]
    fn the_flag_wins_over_the_file() {
        let text = "[project]\ndeployment = \"staging\"\n";
        assert_eq!(of(text, None).unwrap().as_deref(), Some("staging"));
        assert_eq!(of(text, Some("blue")).unwrap().as_deref(), Some("blue"));
        assert_eq!(of(text, Some("default")).unwrap(), None);
        assert_eq!(of("[deploy]\nsetup = \"x\"\n", None).unwrap(), None);
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(deployment(folder.path(), None, None).unwrap(), None);
    }

    #[test]
    fn a_broken_file_hides_nothing_unless_it_names_one() {
        assert_eq!(of("[fleet\ncount = ", None).unwrap(), None);
        let error = of("[project]\ndeployment = \"staging\n", None).unwrap_err();
        assert_eq!(error.kind(), Kind::Config);
        assert!(error.hint().unwrap().contains("--deployment default"));
    }

    #[test]
    fn impossible_names_are_refused_with_one_that_is_possible() {
        let error = of("", Some("My Stage/2")).unwrap_err();
        assert_eq!((error.kind(), error.hint()), (Kind::Usage, Some("write `my-stage-2`")));
        for wrong in ["", "..", "a/b", "Ä", &"x".repeat(41)] {
            assert!(of("", Some(wrong)).is_err(), "{wrong}");
        }
        assert_eq!(of("[project]\ndeployment = \"A\"", None).unwrap_err().kind(), Kind::Config);
    }
}
