//! Files of every version of the state's shape, as they were written: each is read, upgraded by the next
//! writer, and loses nothing that it had; what is newer is refused and left alone.
//!
//! A folder of `testdata/versions` is a version (0 is Spot Deployer's, which had no number), with
//! `upgraded.json` as what becomes of it. The files are never written anew: a change of the shape adds a
//! folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::{Document, Store};

fn golden(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/state/testdata/versions").join(version)
}

/// A project with the files of a version.
fn project(version: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join(".spot");
    fs::create_dir(&state).unwrap();
    fs::copy(golden(version).join("instances.json"), folder.path().join("instances.json")).unwrap();
    let journal = golden(version).join("journal.jsonl");
    if journal.exists() {
        fs::copy(journal, state.join("journal.jsonl")).unwrap();
    }
    folder
}

/// The bytes of both files.
fn files(folder: &Path) -> [Option<Vec<u8>>; 2] {
    ["instances.json", ".spot/journal.jsonl"].map(|name| fs::read(folder.join(name)).ok())
}

/// The ids and actions of what is not settled.
fn open_calls(document: &Document) -> Vec<String> {
    document.open_intents().map(|open| format!("{} {}", open.intent.action, open.intent.token)).collect()
}

#[test]
fn every_version_is_read_and_upgraded_without_loss() {
    for (version, open) in [("0", vec![]), ("1", vec!["CreateFleet t-4"])] {
        let folder = project(version);
        let store = Store::open(folder.path());
        let before = files(folder.path());
        let read = store.read().unwrap();
        assert_eq!(open_calls(&read), open, "version {version}");
        assert!(read.notes().is_empty(), "version {version}: {:?}", read.notes());
        assert_eq!(files(folder.path()), before, "version {version}: reading wrote something");

        let writer = store.writer("spot create", Duration::ZERO, &|_| {}).unwrap();
        // So that the file is written, with a project of a known name for the one that had none.
        writer.set("upgraded", true.into()).unwrap();
        let made = writer.project();
        writer.close().unwrap();
        let text = fs::read_to_string(folder.path().join("instances.json")).unwrap();
        let mut value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["project"], made.as_str());
        if read.project().is_none() {
            value["project"] = "PROJECT".into();
        }
        for changing in ["last_updated", "applied"] {
            assert!(!value[changing].is_null(), "version {version}: {changing}");
            value[changing] = Value::Null;
        }
        let text = format!("{}\n", serde_json::to_string_pretty(&value).unwrap());
        let expected = fs::read_to_string(golden(version).join("upgraded.json")).unwrap_or_default();
        assert_eq!(text, expected, "version {version} became:\n{text}");

        // What was upgraded is of the version of today: the same comes out of it, and is still not settled.
        let again = Store::open(folder.path()).read().unwrap();
        assert_eq!(open_calls(&again), open, "version {version}");
        assert_eq!(again.instance_count(), read.instance_count());
    }
}

#[test]
fn what_a_newer_spot_wrote_is_refused_and_left_alone() {
    for (version, code, words) in [
        (
            "newer-file",
            "StateTooNew",
            "written by a newer spot (version 2 of the file; this one knows up to 1)",
        ),
        ("newer-journal", "StateTooNew", "line 2 of .spot/journal.jsonl was written by a newer spot"),
    ] {
        let folder = project(version);
        let before = files(folder.path());
        let store = Store::open(folder.path());
        let refused = store.writer("spot destroy", Duration::ZERO, &|_| {}).unwrap_err();
        let unsaved = store.salvage("spot state salvage").unwrap_err();
        for error in [store.read().unwrap_err(), refused, unsaved] {
            assert_eq!(error.code(), Some(code), "{version}");
            assert!(error.message().contains(words), "{version}: {}", error.message());
            assert!(error.hint().is_some(), "{version}");
        }
        assert_eq!(files(folder.path()), before, "{version}");
    }
}
