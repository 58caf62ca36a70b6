//! Going on after damage with everything that is readable, and without throwing anything away.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::compact::compact;
use super::journal::Journal;
use super::layout::{Layout, replace};
use super::load::{replay_into, snapshot, too_new};
use super::replay::{Replay, Tail};
use super::shared::forget_base;
use super::store::Shared;
use super::{Document, Store, backup};
use crate::error::{Error, Kind, Result};

/// What [`Store::salvage`] found and did, or, of [`Store::salvageable`], would do.
#[derive(Debug, Clone, PartialEq)]
pub struct Salvage {
    /// Whether anything was damaged or missing; otherwise nothing was changed.
    pub needed: bool,
    /// Where the damaged files were kept.
    pub saved_as: Vec<PathBuf>,
    /// The backup that took the place of an unreadable `instances.json`.
    pub restored_from: Option<PathBuf>,
    /// How many records of the journal were used.
    pub records: usize,
    /// How many lines of the journal were unreadable.
    pub unreadable: usize,
    /// What is known now.
    pub document: Document,
}

/// A damaged file: under which name it is kept, and its bytes.
struct Damaged {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Store {
    /// What [`salvage`](Self::salvage) would do. Nothing is written, and nobody is waited for: while
    /// another process writes, this may be out of date at once.
    ///
    /// # Errors
    /// The files cannot be read, or a newer spot has written them.
    pub fn salvageable(&self) -> Result<Salvage> {
        look(&self.shared().layout).map(|(salvage, ..)| salvage)
    }

    /// Goes on after damage: keeps the damaged files under other names, and writes the state anew from
    /// everything that is readable, the newest readable backup included.
    ///
    /// What an unreadable record said is unknown: look at the cloud afterwards
    /// (`spot state reconcile`).
    ///
    /// # Errors
    /// Somebody holds the lock, or the disk cannot be written, or what `salvageable` reports.
    pub fn salvage(&self, command: &str) -> Result<Salvage> {
        let shared = self.shared();
        if shared.claim(command, Duration::ZERO)?.is_some() {
            return Err(Error::new(Kind::Locked, "the state is in use by this process")
                .with_hint("close its writer first"));
        }
        let salvaged = shared.lock(command, Duration::ZERO, &|_| {}).and_then(|lock| {
            let salvaged = salvage(shared);
            drop(lock);
            salvaged
        });
        shared.release();
        salvaged
    }
}

fn salvage(shared: &Shared) -> Result<Salvage> {
    let Shared { disk, layout, .. } = shared;
    let (salvage, damaged, replay) = look(layout)?;
    for Damaged { path, bytes } in &damaged {
        replace(disk.as_ref(), path, bytes).map_err(|e| layout.explain("cannot write", path, e))?;
    }
    if salvage.needed {
        // What is missing now was not removed: it must not be taken away from those who share the state.
        forget_base(disk.as_ref(), layout)?;
        let applied = salvage.document.applied().unwrap_or(0).max(replay.highest);
        let whole = Replay { tail: Tail::None, ..replay };
        let mut journal = Journal::open(Arc::clone(disk), layout.clone(), &whole)?;
        journal.skip_to(applied);
        compact(disk.as_ref(), layout, &salvage.document, &mut journal)?;
    }
    Ok(salvage)
}

/// What there is, and what can be made of it.
fn look(layout: &Layout) -> Result<(Salvage, Vec<Damaged>, Replay)> {
    let snapshot = snapshot(layout)?;
    let replay = Replay::of(&snapshot.journal);
    // What a newer spot wrote is not damaged: nothing may be made of it that it would not understand.
    if let Some(line) = replay.newer {
        return Err(too_new(layout, line));
    }
    let mut damaged = Vec::new();
    let mut restored_from = None;
    let mut needed = replay.damage.is_some();
    let base = replay.base().0;
    let mut document = match snapshot.instances.as_deref().map(Document::parse) {
        Some(Ok(document)) if document.applied().is_none_or(|applied| applied >= base) => document,
        Some(Err(error)) if error.code() == Some("StateTooNew") => {
            return Err(error.context("instances.json"));
        }
        _ => {
            let (path, document) = newest_readable(layout).unzip();
            // A project that was never compacted has no `instances.json`, and lacks nothing.
            needed |= snapshot.instances.is_some() || base > 0 || path.is_some();
            restored_from = path;
            if let Some(bytes) = snapshot.instances {
                damaged.push(Damaged { path: unused(layout, "instances", "json"), bytes });
            }
            document.unwrap_or_default()
        }
    };
    replay_into(&mut document, &replay);
    if replay.damage.is_some() {
        damaged.push(Damaged { path: unused(layout, "journal", "jsonl"), bytes: snapshot.journal });
    }
    let salvage = Salvage {
        needed,
        saved_as: damaged.iter().map(|file| file.path.clone()).collect(),
        restored_from,
        records: replay.lines.len(),
        unreadable: replay.unreadable,
        document,
    };
    Ok((salvage, damaged, replay))
}

fn newest_readable(layout: &Layout) -> Option<(PathBuf, Document)> {
    let parse = |path: &Path| Document::parse(&fs::read(path).ok()?).ok();
    backup::all(layout).into_iter().rev().find_map(|path| parse(&path).map(|document| (path, document)))
}

fn unused(layout: &Layout, name: &str, ending: &str) -> PathBuf {
    let path = |number: u32| layout.folder().join(format!("{name}.damaged-{number}.{ending}"));
    (1..).map(path).find(|path| !path.exists()).unwrap_or_else(|| path(0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::state::faulty::{Fault, FaultyDisk};
    use crate::state::{Instance, Writer};

    fn write_now(project: &Path) -> Writer {
        let store = Store::open_on(Arc::new(FaultyDisk::new(Fault::None)), project);
        store.writer("test", Duration::ZERO, &|_| {}).unwrap()
    }

    /// A project whose writer was killed: three instances are in `instances.json`, the rest, up to
    /// `count`, in the journal, whose bytes are returned.
    fn killed(project: &Path, count: usize) -> Vec<u8> {
        let writer = write_now(project);
        let put = |number: usize| writer.put(Instance::new(format!("i-{number}"), "r")).unwrap();
        (0..3).for_each(put);
        writer.compact().unwrap();
        (3..count).for_each(put);
        let instances = fs::read(project.join("instances.json")).unwrap();
        let journal = fs::read(project.join(".spot/journal.jsonl")).unwrap();
        writer.close().unwrap();
        fs::write(project.join("instances.json"), instances).unwrap();
        fs::write(project.join(".spot/journal.jsonl"), &journal).unwrap();
        journal
    }

    #[test]
    fn one_damaged_line_costs_one_record() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = killed(dir.path(), 8);
        let third = journal.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(1).unwrap().0 + 40;
        journal[third] ^= 1;
        fs::write(dir.path().join(".spot/journal.jsonl"), &journal).unwrap();
        let store = Store::open(dir.path());
        let error = store.read().unwrap_err();
        assert_eq!(
            error.message(),
            "line 3 of .spot/journal.jsonl is damaged: 2 records before it and 3 from it on are readable"
        );
        assert!(error.hint().unwrap().starts_with("`spot state salvage` goes on"));
        let possible = store.salvageable().unwrap();
        assert_eq!(fs::read(dir.path().join(".spot/journal.jsonl")).unwrap(), journal);
        assert!(!possible.saved_as[0].exists());
        let salvage = store.salvage("spot state salvage").unwrap();
        assert_eq!((&salvage, salvage.needed), (&possible, true));
        assert_eq!((salvage.records, salvage.unreadable), (5, 1));
        assert_eq!(salvage.saved_as, [dir.path().join(".spot/journal.damaged-1.jsonl")]);
        assert_eq!(fs::read(&salvage.saved_as[0]).unwrap(), journal);
        let ids: Vec<_> = store.read().unwrap().instances().map(|instance| instance.id.clone()).collect();
        assert_eq!(ids, ["i-0", "i-1", "i-2", "i-3", "i-5", "i-6", "i-7"]);
        let writer = store.writer("test", Duration::ZERO, &|_| {}).unwrap();
        writer.put(Instance::new("i-4", "r")).unwrap();
        let error = store.salvage("test").unwrap_err();
        assert_eq!(error.kind(), Kind::Locked);
        writer.close().unwrap();
        let again = store.salvage("test").unwrap();
        assert!(!again.needed);
        assert_eq!((again.saved_as.len(), again.document.instance_count()), (0, 8));
    }

    #[test]
    fn the_newest_backup_takes_the_place_of_an_unreadable_file() {
        let dir = tempfile::tempdir().unwrap();
        let journal = killed(dir.path(), 8);
        fs::write(dir.path().join("instances.json"), "{\"instances\": [").unwrap();
        let store = Store::open(dir.path());
        let salvage = store.salvage("test").unwrap();
        assert_eq!(salvage.saved_as, [dir.path().join(".spot/instances.damaged-1.json")]);
        assert!(salvage.restored_from.is_some());
        assert_eq!(store.read().unwrap().instance_count(), 8);
        assert!(!journal.is_empty());
    }

    #[test]
    fn without_any_backup_the_journal_alone_counts() {
        let dir = tempfile::tempdir().unwrap();
        killed(dir.path(), 8);
        fs::remove_file(dir.path().join("instances.json")).unwrap();
        fs::remove_dir_all(dir.path().join(".spot/backups")).unwrap();
        let store = Store::open(dir.path());
        assert_eq!(store.read().unwrap_err().code(), Some("StateMissing"));
        assert_eq!(store.salvage("test").unwrap().document.instance_count(), 5);
        assert_eq!(store.read().unwrap().instance_count(), 5);
    }

    #[test]
    fn where_nothing_is_there_nothing_is_salvaged() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path());
        let salvage = store.salvage("test").unwrap();
        assert_eq!((salvage.records, salvage.document), (0, Document::default()));
        assert!(!dir.path().join("instances.json").exists());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_flipped_bit_is_noticed_and_salvage_loses_at_most_what_it_hit(
            position in any::<prop::sample::Index>(), bit in 0_u8..8,
        ) {
            let dir = tempfile::tempdir().unwrap();
            let mut journal = killed(dir.path(), 6);
            let position = position.index(journal.len());
            journal[position] ^= 1 << bit;
            fs::write(dir.path().join(".spot/journal.jsonl"), &journal).unwrap();
            let store = Store::open_on(Arc::new(FaultyDisk::new(Fault::None)), dir.path());
            match store.read() {
                Ok(document) => prop_assert_eq!(document.instance_count(), 6),
                Err(error) => prop_assert_eq!(error.code(), Some("JournalDamaged")),
            }
            let salvage = store.salvage("test").unwrap();
            prop_assert!(salvage.document.instance_count() >= 5);
            prop_assert_eq!(store.read().unwrap().instance_count(), salvage.document.instance_count());
            let writer = store.writer("test", Duration::ZERO, &|_| {}).unwrap();
            writer.put(Instance::new("i-next", "r")).unwrap();
            writer.close().unwrap();
            prop_assert!(store.read().unwrap().instance("i-next").is_some());
        }
    }
}
