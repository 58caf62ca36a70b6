//! Files and folders of the project that the configuration names.

use std::path::{Path, PathBuf};

use crate::config::place::Place;
use crate::config::report::Report;
use crate::config::suggestion::nearest;
use crate::config::tree::Located;

/// What a path must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Expected {
    File,
    FileOrFolder,
}

/// The absolute path of something that exists in the project.
pub(in super::super) fn in_project(
    report: &Report,
    place: &Place,
    written: &Located<String>,
    expected: Expected,
) -> Option<PathBuf> {
    if written.value.trim().is_empty() {
        report.error(written.span, "the path is empty", None);
        return None;
    }
    let path = place.resolve(&written.value);
    if !place.contains(&path) {
        let message = format!("`{}` is outside of the project {}", written.value, place.project().display());
        report.error(written.span, message, Some("move or copy it into the project folder".to_owned()));
        return None;
    }
    if path == place.project() || path == place.project().join(".spot") {
        let message =
            format!("`{}` has .spot in it, with the private key and the state of the project", written.value);
        let hint = "name a folder that is for the instances, such as deploy/files".to_owned();
        report.error(written.span, message, Some(hint));
        return None;
    }
    match path.metadata() {
        Ok(found) if found.is_dir() && expected == Expected::File => {
            report.error(written.span, format!("`{}` is a folder, expected a file", written.value), None);
            None
        }
        Ok(_) => Some(path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let hint = similar(place, &path).map(|name| format!("did you mean `{name}`?"));
            report.error(written.span, format!("`{}` does not exist", written.value), hint);
            None
        }
        Err(error) => {
            report.error(written.span, format!("`{}` cannot be read: {error}", written.value), None);
            None
        }
    }
}

/// Warns of a script that the hosts could not run.
pub(in super::super) fn script(report: &Report, written: &Located<String>, path: &Path) {
    let start = start_of(path, 4096).unwrap_or_default();
    let first_line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if first_line.ends_with(b"\r") {
        let message = format!("`{}` has Windows line ends, which shells on Linux do not take", written.value);
        report.warning(written.span, message, Some(format!("sed -i 's/\\r$//' {}", quoted(path))));
    } else if start.is_empty() {
        report.warning(written.span, format!("`{}` is empty", written.value), None);
    }
}

/// At most so many bytes from the start of a file.
pub(super) fn start_of(path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut start = Vec::new();
    std::fs::File::open(path)?.take(most).read_to_end(&mut start)?;
    Ok(start)
}

/// The path as a word of a shell command.
pub(in super::super) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+@".contains(c));
    if is_plain { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// A neighbour in the same folder with a similar name, as a path of the project.
fn similar(place: &Place, path: &Path) -> Option<String> {
    let folder = path.parent()?;
    let wanted = path.file_name()?.to_str()?;
    let names: Vec<String> = std::fs::read_dir(folder)
        .ok()?
        .take(1000)
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    let name = nearest(wanted, names.iter().map(String::as_str))?;
    Some(place.shown(&folder.join(name)).display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source::{Source, Span};

    fn check(
        project: &Path,
        written: &str,
        expected: Expected,
    ) -> (Option<PathBuf>, Vec<(String, Option<String>)>) {
        let report = Report::new(Source::new("f", ""));
        let place = Place::new(project, None);
        let written = Located::new(written.to_owned(), Span::default());
        let path = in_project(&report, &place, &written, expected);
        if let Some(path) = &path {
            script(&report, &written, path);
        }
        (path, report.into_problems().into_iter().map(|problem| (problem.message, problem.hint)).collect())
    }

    #[test]
    fn paths_must_exist_in_the_project() {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path();
        std::fs::create_dir(project.join("deploy")).unwrap();
        std::fs::write(project.join("deploy/setup.sh"), "#!/bin/sh\n").unwrap();
        let (path, problems) = check(project, "deploy/setup.sh", Expected::File);
        assert_eq!(path, Some(project.join("deploy/setup.sh")));
        assert!(problems.is_empty());
        let (_, problems) = check(project, "deploy/setpu.sh", Expected::File);
        assert_eq!(problems[0].1.as_deref(), Some("did you mean `deploy/setup.sh`?"));
        assert!(check(project, "deploy", Expected::File).1[0].0.contains("is a folder"));
        assert!(check(project, "../other", Expected::File).1[0].0.contains("is outside of the project"));
        assert!(check(project, "/etc/passwd", Expected::File).1[0].0.contains("is outside of the project"));
        assert!(check(project, "", Expected::File).1[0].0.contains("is empty"));
        assert!(check(project, "deploy/..", Expected::FileOrFolder).1[0].0.contains("has .spot in it"));
        assert_eq!(check(project, "deploy", Expected::FileOrFolder).0, Some(project.join("deploy")));
    }

    #[test]
    fn scripts_from_windows_are_noticed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("setup.sh"), "#!/bin/sh\r\necho\r\n").unwrap();
        let (_, problems) = check(folder.path(), "setup.sh", Expected::File);
        assert!(problems[0].0.contains("Windows line ends"));
        assert!(problems[0].1.as_deref().is_some_and(|hint| hint.starts_with("sed -i")));
    }

    #[test]
    fn commands_quote_what_a_shell_would_split() {
        assert_eq!(quoted(Path::new("/a/b.c")), "/a/b.c");
        assert_eq!(quoted(Path::new("/a b/it's")), "'/a b/it'\\''s'");
    }
}
