//! Who may import whom, and which room may name which library.

use std::path::{Path, PathBuf};

/// Rooms and what they may import of the crate, besides `error` and `retry`.
const IMPORTS: &[(&str, &[&str])] = &[
    ("chaos", &["cloud", "host", "sandbox", "state", "ui"]),
    ("cli", &["chaos", "host", "script", "sandbox", "ui", "state"]),
    ("host", &["native", "script", "cloud", "sandbox", "ui"]),
    ("native", &["cloud", "config", "http", "script", "ssh", "state", "ui"]),
    ("script", &[]),
    ("cloud", &["http"]),
    ("http", &[]),
    ("config", &[]),
    ("ssh", &[]),
    ("state", &[]),
    ("ui", &[]),
    ("sandbox", &["config"]),
];

/// Libraries and the only places that may name them.
const LIBRARIES: &[(&str, &[&str])] = &[
    ("rhai::", &["host", "script", "native"]),
    ("aws_sdk_", &["cloud/ec2"]),
    ("aws_config", &["cloud/ec2"]),
    ("russh", &["ssh", "sandbox"]),
    ("println!", &[]),
    ("eprintln!", &[]),
];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The lines of a file that are code: no comments, and nothing from `#[cfg(test)]` on.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .take_while(|(_, line)| line.trim() != "#[cfg(test)]")
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(index, line)| (index + 1, line))
}

#[test]
fn rooms_import_only_what_they_may() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    files(&source, &mut all);
    let rooms: Vec<&str> = IMPORTS.iter().map(|(room, _)| *room).collect();
    let mut breaches = Vec::new();
    for path in all {
        let relative = path.strip_prefix(&source).unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let room = relative.split('/').next().unwrap();
        let is_test =
            relative.ends_with("tests.rs") || relative.contains("/tests/") || relative.ends_with("moto.rs");
        for (line, code) in code(&text).filter(|_| !is_test) {
            if let Some((_, allowed)) = IMPORTS.iter().find(|(name, _)| *name == room) {
                for other in rooms.iter().filter(|other| **other != room && !allowed.contains(other)) {
                    if code.contains(&format!("crate::{other}::"))
                        || code.contains(&format!("crate::{other};"))
                    {
                        breaches.push(format!("{relative}:{line}: {room} imports {other}: {}", code.trim()));
                    }
                }
            }
            for (library, allowed) in LIBRARIES {
                if code.contains(library) && !allowed.iter().any(|place| relative.starts_with(place)) {
                    breaches.push(format!("{relative}:{line}: names {library}: {}", code.trim()));
                }
            }
            if code.contains("allow(unsafe_code)") {
                breaches.push(format!("{relative}:{line}: unsafe code"));
            }
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}
