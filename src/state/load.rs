//! A consistent snapshot off the disk, without waiting for anybody.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;

use super::layout::Layout;
use super::record::Record;
use super::replay::{Damage, Replay};
use super::{Document, backup};
use crate::error::{Error, Result};

/// How often reading is begun again when a writer was at work meanwhile.
const ATTEMPTS: usize = 20;

/// The contents of the two files, such as they were at one moment.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    pub(super) instances: Option<Vec<u8>>,
    pub(super) journal: Vec<u8>,
}

/// Reads the project's state.
pub(super) fn load(layout: &Layout) -> Result<(Document, Replay)> {
    let mut attempt = 1;
    loop {
        match snapshot(layout).and_then(|snapshot| assemble(layout, snapshot)) {
            // A journal that is rolled back while it is being read can look damaged.
            Err(_) if attempt < 3 => attempt += 1,
            other => return other,
        }
    }
}

/// Reads both files. A writer replaces `instances.json` first and the journal after it, so what was
/// read belongs together if `instances.json` is still the same file afterwards.
pub(super) fn snapshot(layout: &Layout) -> Result<Snapshot> {
    snapshot_with(layout, || {})
}

/// As [`snapshot`], with something that happens between the reading of one file and of the other.
fn snapshot_with(layout: &Layout, mut between: impl FnMut()) -> Result<Snapshot> {
    let path = layout.instances();
    let cannot_read = |e| layout.explain("cannot read", &path, e);
    for _ in 0..ATTEMPTS {
        // The file stays open meanwhile, so that its inode number cannot be given to another one.
        let mut file = match File::open(&path) {
            Ok(file) => Some(file),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(cannot_read(e)),
        };
        let mut read = Snapshot::default();
        if let Some(file) = &mut file {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).map_err(cannot_read)?;
            read.instances = Some(bytes);
        }
        between();
        read.journal = match fs::read(layout.journal()) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(layout.explain("cannot read", &layout.journal(), e)),
        };
        let identity = |metadata: &fs::Metadata| (metadata.dev(), metadata.ino(), metadata.len());
        let before = file.and_then(|file| file.metadata().ok()).as_ref().map(identity);
        if before == fs::metadata(&path).ok().as_ref().map(identity) {
            return Ok(read);
        }
    }
    Err(Error::state("instances.json changes faster than it can be read").retryable(true))
}

fn assemble(layout: &Layout, snapshot: Snapshot) -> Result<(Document, Replay)> {
    let present = snapshot.instances.is_some();
    let mut document = match snapshot.instances {
        Some(bytes) => Document::parse(&bytes).map_err(|e| unreadable(layout, e))?,
        None => Document::default(),
    };
    let replay = Replay::of(&snapshot.journal);
    if let Some(line) = replay.newer {
        return Err(too_new(layout, line));
    }
    if let Some(damage) = &replay.damage {
        return Err(damaged(layout, damage));
    }
    let (base, _) = replay.base();
    // Before its first compaction a project has no `instances.json`: then the journal has everything.
    let complete = base == 0 && (!replay.lines.is_empty() || backup::all(layout).is_empty());
    match document.applied() {
        _ if !present && !complete => return Err(missing(layout)),
        Some(applied) if applied < base => return Err(outdated(layout, base - applied)),
        None if base > 0 => document
            .note("instances.json was written by another program; what only spot knew is in .spot/backups"),
        _ => {}
    }
    replay_into(&mut document, &replay);
    Ok((document, replay))
}

/// Applies what `instances.json` does not contain.
pub(super) fn replay_into(document: &mut Document, replay: &Replay) {
    let contained = document.applied().unwrap_or(0).max(replay.base().0);
    for line in &replay.lines {
        let known = line.sequence <= contained && !matches!(line.record, Record::Base { .. });
        if known {
            document.apply_to_intents(line.sequence, &line.at, &line.record);
        } else {
            document.apply(line.sequence, &line.at, &line.record);
        }
    }
}

fn unreadable(layout: &Layout, error: Error) -> Error {
    let error = error.context("instances.json");
    if error.hint().is_some() {
        return error;
    }
    let hint = match newest_backup(layout) {
        Some(path) => format!("correct the file, or restore the newest backup: `cp {path} instances.json`"),
        None => "correct the file, or move it away if it is not spot's".to_owned(),
    };
    error.with_code("StateDamaged").with_hint(hint)
}

/// Nothing is wrong with such a journal, and whoever left out what they do not know would lose it.
pub(super) fn too_new(layout: &Layout, line: usize) -> Error {
    let journal = layout.display(&layout.journal());
    Error::state(format!("line {line} of {journal} was written by a newer spot"))
        .with_code("StateTooNew")
        .with_hint("use the spot that wrote it, or a newer one")
}

fn damaged(layout: &Layout, damage: &Damage) -> Error {
    let Damage { line, problem, before, after } = damage;
    let journal = layout.display(&layout.journal());
    Error::state(format!(
        "line {line} of {journal} {problem}: {before} records before it and {after} from it on are readable"
    ))
    .with_code("JournalDamaged")
    .with_hint(
        "`spot state salvage` goes on with everything readable, and keeps the damaged file as \
         .spot/journal.damaged-N.jsonl",
    )
}

fn missing(layout: &Layout) -> Error {
    let hint = match newest_backup(layout) {
        Some(path) => format!("restore it: `cp {path} instances.json`; or forget everything: `rm -r .spot`"),
        None => "`spot state salvage` goes on with what the journal holds".to_owned(),
    };
    Error::state("instances.json is gone, though .spot/ has the rest of this project's state")
        .with_code("StateMissing")
        .with_hint(hint)
}

fn outdated(layout: &Layout, lacking: u64) -> Error {
    let hint = match newest_backup(layout) {
        Some(path) => format!("restore the newest backup: `cp {path} instances.json`"),
        None => "`spot state salvage` goes on with what there is".to_owned(),
    };
    Error::state(format!(
        "instances.json is older than .spot/journal.jsonl: {lacking} records lie between them"
    ))
    .with_code("StateOutdated")
    .with_hint(hint)
}

fn newest_backup(layout: &Layout) -> Option<String> {
    backup::all(layout).last().map(|path| layout.display(path))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::state::faulty::{Fault, FaultyDisk};
    use crate::state::record::Line;
    use crate::state::{Instance, Store, Writer};

    fn open(project: &std::path::Path) -> Writer {
        let disk = Arc::new(FaultyDisk::new(Fault::None));
        Store::open_on(disk, project).writer("test", Duration::ZERO, &|_| {}).unwrap()
    }

    #[test]
    fn a_compaction_between_the_two_files_is_noticed() {
        for known_before in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let layout = Layout::new(dir.path());
            let writer = open(dir.path());
            if known_before {
                writer.put(Instance::new("i-1", "r")).unwrap();
                writer.compact().unwrap();
            }
            let mut rounds = 0;
            let read = snapshot_with(&layout, || {
                rounds += 1;
                if rounds < 3 {
                    writer.put(Instance::new(format!("i-new-{rounds}"), "r")).unwrap();
                    writer.compact().unwrap();
                }
            });
            let (document, _) = assemble(&layout, read.unwrap()).unwrap();
            assert_eq!(rounds, 3);
            assert_eq!(document.instance_count(), 2 + usize::from(known_before));
            let endless = || {
                writer.set("n", writer.get("n").map_or(0, |n| n.as_u64().unwrap() + 1).into()).unwrap();
                writer.compact().unwrap();
            };
            assert!(snapshot_with(&layout, endless).unwrap_err().is_retryable());
        }
    }

    #[test]
    fn what_the_file_contains_is_not_applied_again() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let put = |sequence: u64| {
            let record = Record::Put { instance: Box::new(Instance::new(format!("i-{sequence}"), "r")) };
            Line { sequence, at: "2026-01-01T00:00:00Z".into(), record }.encode().unwrap()
        };
        let snapshot = Snapshot {
            // Somebody took i-1 out by hand after a crash between the two files.
            instances: Some(
                br#"{"version": 1, "instances": [{"id": "i-2", "region": "r"}], "applied": 2}"#.into(),
            ),
            journal: [put(1), put(2), put(3)].concat(),
        };
        let (document, _) = assemble(&layout, snapshot).unwrap();
        assert_eq!(document.instances().map(|i| i.id.as_str()).collect::<Vec<_>>(), ["i-2", "i-3"]);
    }
}
