//! Group commit: concurrent changes share one append and one fsync.
//!
//! A caller queues its record. The first that finds nobody at work takes the whole queue, writes it,
//! applies it to the document and hands out the results; all others sleep until theirs is there. So
//! while one fsync runs, the next batch gathers. The document never shows what is not yet durable.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};

use super::compact::{compact, now};
use super::disk::Disk;
use super::journal::Journal;
use super::layout::Layout;
use super::record::Record;
use super::{Document, IntentId};
use crate::error::{Error, Result};

/// The journal is folded into `instances.json` when it is longer than this, in bytes, and longer than
/// `instances.json` itself: so folding costs a constant per record however many instances there are.
const COMPACT_AT: u64 = 1 << 20;

/// Takes records to disk, many at a time, and into the document.
pub(super) struct Committer {
    disk: Arc<dyn Disk>,
    layout: Layout,
    queue: Mutex<Queue>,
    /// Signalled when results are there and nobody is at work.
    changed: Condvar,
    journal: Mutex<Progress>,
    document: RwLock<Document>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<(u64, Record)>,
    next_ticket: u64,
    results: HashMap<u64, Result<IntentId>>,
    /// Whether somebody is writing at this moment.
    busy: bool,
    closed: bool,
}

struct Progress {
    journal: Journal,
    compact_at: u64,
    /// The project's new id, until the record that says so is on disk.
    unsaved_project: Option<String>,
}

impl Committer {
    /// A committer for a document that has the whole journal applied.
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        layout: Layout,
        document: Document,
        journal: Journal,
        unsaved_project: Option<String>,
    ) -> Self {
        Committer {
            disk,
            layout,
            queue: Mutex::default(),
            changed: Condvar::new(),
            journal: Mutex::new(Progress { journal, compact_at: COMPACT_AT, unsaved_project }),
            document: RwLock::new(document),
        }
    }

    /// Looks at the document.
    pub(super) fn read<T>(&self, look: impl FnOnce(&Document) -> T) -> T {
        look(&self.document.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes a change durable and known; returns the record's number.
    pub(super) fn commit(&self, record: Record) -> Result<IntentId> {
        let mut queue = self.lock_queue();
        if queue.closed {
            return Err(closed());
        }
        let ticket = queue.next_ticket;
        queue.next_ticket += 1;
        queue.waiting.push((ticket, record));
        loop {
            if let Some(result) = queue.results.remove(&ticket) {
                return result;
            }
            if queue.busy {
                queue = self.wait(queue);
                continue;
            }
            queue.busy = true;
            let (tickets, records): (Vec<u64>, Vec<Record>) =
                mem::take(&mut queue.waiting).into_iter().unzip();
            drop(queue);
            let written = self.write(records);
            queue = self.lock_queue();
            for (index, ticket) in (0..).zip(tickets) {
                let result = written.as_ref().map(|first| IntentId(first + index)).map_err(Error::clone);
                queue.results.insert(ticket, result);
            }
            queue.busy = false;
            self.changed.notify_all();
        }
    }

    /// Makes changes that depend on what is known, while nobody else changes anything.
    pub(super) fn absorb(&self, changes: impl FnOnce(&Document) -> Vec<Record>) -> Result<()> {
        self.alone(|| {
            let records = self.read(changes);
            if records.is_empty() {
                return Ok(());
            }
            self.write(records).map(drop)
        })
    }

    /// Notes what is not written to the journal.
    pub(super) fn know(&self, note: impl FnOnce(&mut Document)) {
        note(&mut self.document.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// The number of the last record.
    pub(super) fn last(&self) -> u64 {
        self.lock_journal().journal.last()
    }

    /// Whether the project's id was made just now, and nobody knows it yet.
    pub(super) fn has_new_project(&self) -> bool {
        self.lock_journal().unsaved_project.is_some()
    }

    /// Writes the project's new id down, if it is not on the disk yet.
    pub(super) fn keep_project(&self) -> Result<()> {
        self.alone(|| if self.has_new_project() { self.write(Vec::new()).map(drop) } else { Ok(()) })
    }

    /// Gives the project another id.
    pub(super) fn rename_project(&self, id: &str) -> Result<()> {
        self.alone(|| {
            self.lock_journal().unsaved_project = None;
            self.write(vec![Record::Project { id: id.to_owned() }]).map(drop)
        })
    }

    /// Folds the journal into `instances.json`, if there is anything to fold.
    pub(super) fn compact(&self) -> Result<()> {
        self.alone(|| self.fold(&mut self.lock_journal()))
    }

    /// Folds the journal and accepts nothing more; false if that had been done already.
    pub(super) fn close(&self) -> Result<bool> {
        self.alone(|| {
            let mut queue = self.lock_queue();
            if mem::replace(&mut queue.closed, true) {
                return Ok(false);
            }
            for (ticket, _) in mem::take(&mut queue.waiting) {
                queue.results.insert(ticket, Err(closed()));
            }
            drop(queue);
            self.fold(&mut self.lock_journal()).map(|()| true)
        })
    }

    /// Whether changes are still accepted.
    pub(super) fn is_open(&self) -> bool {
        !self.lock_queue().closed
    }

    /// How many records wait to be written.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.lock_queue().waiting.len()
    }

    /// Runs `work` while nobody writes.
    fn alone<T>(&self, work: impl FnOnce() -> T) -> T {
        let mut queue = self.lock_queue();
        while queue.busy {
            queue = self.wait(queue);
        }
        queue.busy = true;
        drop(queue);
        let result = work();
        self.lock_queue().busy = false;
        self.changed.notify_all();
        result
    }

    /// Appends records and applies them; returns the number of the first.
    fn write(&self, records: Vec<Record>) -> Result<u64> {
        let mut progress = self.lock_journal();
        let project = progress.unsaved_project.clone().map(|id| Record::Project { id });
        let first = progress.journal.last() + 1 + u64::from(project.is_some());
        let lines = progress.journal.append(&now(), project.into_iter().chain(records).collect())?;
        progress.unsaved_project = None;
        {
            let mut document = self.document.write().unwrap_or_else(PoisonError::into_inner);
            for line in &lines {
                document.apply(line.sequence, &line.at, &line.record);
            }
        }
        if progress.journal.length() > progress.compact_at
            && let Err(error) = self.fold(&mut progress)
        {
            // The records are durable; only folding failed. It is tried again when the journal has doubled.
            progress.compact_at = progress.journal.length().saturating_mul(2);
            let mut document = self.document.write().unwrap_or_else(PoisonError::into_inner);
            document.note(format!("the journal could not be folded into instances.json yet: {error}"));
        }
        Ok(first)
    }

    fn fold(&self, progress: &mut Progress) -> Result<()> {
        if !progress.journal.has_news() {
            return Ok(());
        }
        let size =
            self.read(|document| compact(self.disk.as_ref(), &self.layout, document, &mut progress.journal))?;
        // Open intents stay in the journal: it must not be folded again on their account.
        progress.compact_at = COMPACT_AT.max(size).max(progress.journal.length().saturating_mul(2));
        Ok(())
    }

    fn lock_queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_journal(&self) -> MutexGuard<'_, Progress> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner)
    }
}

fn closed() -> Error {
    Error::state("the state was closed").with_hint("open a writer of it again")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::state::faulty::{Fault, FaultyDisk};
    use crate::state::{Instance, Store, Writer};

    fn open(disk: Arc<FaultyDisk>, project: &Path) -> Writer {
        Store::open_on(disk, project).writer("test", Duration::ZERO, &|_| {}).unwrap()
    }

    #[test]
    fn a_thousand_changes_at_once_share_two_fsyncs() {
        let dir = tempfile::tempdir().unwrap();
        let current: Arc<Mutex<Option<Writer>>> = Arc::default();
        let seen = current.clone();
        // The first fsync lasts until all the others wait, as a slow disk would have it.
        let disk = Arc::new(FaultyDisk::with_sync(move || {
            let Some(writer) = seen.lock().unwrap().take() else { return };
            let deadline = Instant::now() + Duration::from_secs(60);
            while writer.waiting() < 999 && Instant::now() < deadline {
                std::thread::yield_now();
            }
        }));
        let writer = open(disk.clone(), dir.path());
        let before = disk.counts().syncs;
        *current.lock().unwrap() = Some(writer.clone());
        std::thread::scope(|scope| {
            for number in 0..1_000 {
                let writer = writer.clone();
                let put = move || writer.put(Instance::new(format!("i-{number}"), "r")).unwrap();
                std::thread::Builder::new().stack_size(128 << 10).spawn_scoped(scope, put).unwrap();
            }
        });
        assert_eq!(disk.counts().syncs - before, 2);
        assert_eq!(writer.with(Document::instance_count), 1_000);
        drop(writer);
        assert_eq!(Store::open(dir.path()).read().unwrap().instance_count(), 1_000);
    }

    #[test]
    fn a_change_costs_the_same_however_many_instances_there_are() {
        let cost = |instances: usize| {
            let dir = tempfile::tempdir().unwrap();
            let mut document = Document::default();
            for number in 0..instances {
                let instance = Box::new(Instance::new(format!("i-{number}"), "us-west-2"));
                document.apply(1, "2026-01-01T00:00:00Z", &Record::Put { instance });
            }
            document.set_project("p-00000000".into());
            fs::write(dir.path().join("instances.json"), document.render(1).unwrap()).unwrap();
            let disk = Arc::new(FaultyDisk::new(Fault::None));
            let writer = open(disk.clone(), dir.path());
            let before = disk.counts();
            writer.put(Instance::new("i-new", "us-west-2")).unwrap();
            let after = disk.counts();
            (after.bytes - before.bytes, after.operations - before.operations)
        };
        assert_eq!(cost(10_000), cost(10));
        assert!(cost(10).0 < 200);
    }

    #[test]
    fn the_journal_is_folded_by_itself_but_not_again_and_again() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Arc::new(FaultyDisk::new(Fault::None));
        let writer = open(disk.clone(), dir.path());
        let mut instance = Instance::new("i-1", "r");
        let journal = || fs::metadata(dir.path().join(".spot/journal.jsonl")).unwrap().len();
        for number in 0..16 {
            instance.other.insert("blob".into(), number.to_string().repeat(100_000).into());
            writer.put(instance.clone()).unwrap();
            assert!(journal() < 2 * COMPACT_AT);
        }
        assert!(dir.path().join("instances.json").exists());
        assert_eq!(Store::open(dir.path()).read().unwrap().instance("i-1"), Some(&instance));
        // Open intents that alone exceed the threshold stay in the journal without folding each time.
        let intent = crate::state::Intent { parameters: "x".repeat(3 << 20).into(), ..Default::default() };
        writer.started(intent).unwrap();
        let before = disk.counts().bytes;
        for number in 0..100 {
            writer.set("key", number.into()).unwrap();
        }
        assert!(disk.counts().bytes - before < 100_000);
    }

    #[test]
    fn after_closing_changes_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let writer = open(Arc::new(FaultyDisk::new(Fault::None)), dir.path());
        let clone = writer.clone();
        writer.close().unwrap();
        let error = clone.put(Instance::new("i-1", "r")).unwrap_err();
        assert_eq!(error.message(), "the state was closed");
        assert!(clone.close().is_ok());
    }
}
