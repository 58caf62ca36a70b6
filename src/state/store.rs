//! One project's state: reading it, and getting the one writer.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::commit::Committer;
use super::compact::beginning;
use super::deployment;
use super::disk::{Disk, RealDisk};
use super::journal::Journal;
use super::layout::Layout;
use super::load::load;
use super::lock::{self, Holder, Life, Lock};
use super::replay::Tail;
use super::shared::{Courier, Exchange, Sharing};
use super::writer::Inner;
use super::{Document, Writer};
use crate::error::{Error, Result};

const TORN: &str = "the last line of .spot/journal.jsonl was incomplete and was left out: its write was \
                    interrupted before anything relied on it";
/// How soon somebody who waits for another thread's writer notices that this was cancelled.
const SLICE: Duration = Duration::from_millis(50);
/// The name part of a project's id is at most this long.
const LONGEST_NAME: usize = 32;

/// A project's state. Clones are the same store: they share the one writer of this process.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) layout: Layout,
    slot: Mutex<Slot>,
    freed: Condvar,
    /// Those with whom the state is shared.
    pub(super) others: Option<Arc<Exchange>>,
}

#[derive(Default)]
struct Slot {
    writer: Weak<Inner>,
    /// Whether somebody in this process takes, has or gives back the lock.
    taken: bool,
}

impl Store {
    /// The state of the project in a folder. Nothing is read or created yet.
    pub fn open(project: &Path) -> Store {
        Store::with(Arc::new(RealDisk), project, None)
    }

    /// The state of the project in a folder, which is shared with others. The folder has a copy of it,
    /// with which work goes on while they cannot be reached. Nothing is read or created yet.
    pub fn open_shared(project: &Path, sharing: Sharing) -> Store {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let others = Exchange::new(sharing, Arc::clone(&disk), Layout::new(project));
        Store::with(disk, project, Some(Arc::new(others)))
    }

    #[cfg(test)]
    pub(super) fn open_on(disk: Arc<dyn Disk>, project: &Path) -> Store {
        Store::with(disk, project, None)
    }

    fn with(disk: Arc<dyn Disk>, project: &Path, others: Option<Arc<Exchange>>) -> Store {
        let layout = Layout::new(project);
        let (slot, freed) = (Mutex::default(), Condvar::new());
        Store { shared: Arc::new(Shared { disk, layout, slot, freed, others }) }
    }

    /// The project's folder, absolute.
    pub fn project(&self) -> &Path {
        self.shared.layout.project()
    }

    /// The folder for what belongs to the project and is nobody else's business (`.spot/`), made
    /// private if it is absent.
    ///
    /// # Errors
    /// The project folder is missing, or `.spot` belongs to another user.
    pub fn private_folder(&self) -> Result<PathBuf> {
        self.shared.layout.prepare(self.shared.disk.as_ref())?;
        Ok(self.shared.layout.folder())
    }

    /// What is known at this moment; never waits for a lock, and creates nothing. While this process
    /// has the writer, this is what the writer sees. A project without files is an empty document. Of a
    /// state that is shared, what the others have written is in it, if they can be reached.
    ///
    /// # Errors
    /// `instances.json` or the journal cannot be read, or cannot be understood: then nothing is taken
    /// for empty, and the hint says how to go on.
    pub fn read(&self) -> Result<Document> {
        let live = self.shared.lock_slot().writer.upgrade();
        if let Some(inner) = live {
            return Ok(Writer::of(inner).document());
        }
        let (mut document, replay) = load(&self.shared.layout)?;
        // While somebody writes, the incomplete line is just being completed.
        if replay.tail == Tail::Torn && self.holder()?.is_none() {
            document.note(TORN);
        }
        match &self.shared.others {
            Some(others) => {
                let last = document.applied().unwrap_or(0).max(replay.highest);
                others.seen(document, last)
            }
            None => Ok(document),
        }
    }

    /// Takes the lock for writing, or joins the writer that this store has already.
    ///
    /// Waits up to `wait` for another process to let go of it (at least a few milliseconds);
    /// `on_wait` is told once whom it waits for. Two stores of one project in one process are as two
    /// processes: keep one, and clone it. `command` is what others are told who wait for this one; it must not contain secrets.
    ///
    /// # Errors
    /// [`Kind::Locked`](crate::error::Kind::Locked) naming the holder; or what [`read`](Self::read)
    /// reports; or the project's files cannot be created.
    pub fn writer(&self, command: &str, wait: Duration, on_wait: &dyn Fn(&Holder)) -> Result<Writer> {
        self.writer_unless(command, wait, on_wait, &|| false)
    }

    /// Like [`writer`](Self::writer), and gives up waiting as soon as `cancelled` says so.
    ///
    /// # Errors
    /// As there; [`Kind::Interrupted`](crate::error::Kind::Interrupted) when it was cancelled.
    pub fn writer_unless(
        &self,
        command: &str,
        wait: Duration,
        on_wait: &dyn Fn(&Holder),
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Writer> {
        let begin = Instant::now();
        if let Some(inner) = self.shared.claim_unless(command, wait, cancelled)? {
            return Ok(Writer::of(inner));
        }
        // What was waited for another thread counts: many threads must not wait one after the other.
        let left = wait.saturating_sub(begin.elapsed());
        let lock = self.shared.lock_unless(command, left, on_wait, cancelled);
        match lock.and_then(|lock| self.open_writer(lock, command)) {
            Ok(inner) => {
                self.shared.lock_slot().writer = Arc::downgrade(&inner);
                self.shared.freed.notify_all();
                Ok(Writer::of(inner))
            }
            Err(error) => {
                self.shared.release();
                Err(error)
            }
        }
    }

    /// Who holds the lock for writing, this process included; `None` if nobody does. The lock of a
    /// process that is no more is held by nobody.
    pub fn holder(&self) -> Result<Option<Holder>> {
        lock::holder(&self.shared.layout)
    }

    /// Takes the lock away from `holder`, whose process cannot be seen from here. Returns whether it
    /// was still the one who holds it.
    ///
    /// If its process lives after all, on another machine, two writers may spoil the journal.
    ///
    /// # Errors
    /// The process lives on this machine: end it, and the lock goes with it.
    pub fn unlock(&self, holder: &Holder) -> Result<bool> {
        if holder.life() == Life::Lives {
            return Err(holder.refusal(&self.shared.layout));
        }
        if self.holder()?.as_ref() != Some(holder) {
            return Ok(false);
        }
        lock::take_away(&self.shared.layout)?;
        Ok(true)
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    fn open_writer(&self, lock: Lock, command: &str) -> Result<Arc<Inner>> {
        let Shared { disk, layout, others, .. } = self.shared.as_ref();
        let (mut document, replay) = load(layout)?;
        let mut journal = Journal::open(Arc::clone(disk), layout.clone(), &replay)?;
        // The journal was taken away: what is appended must not look like a gap.
        if let Some(applied) = document.applied().filter(|applied| *applied > journal.last()) {
            journal.rewrite(&beginning(&document, applied))?;
        }
        if replay.tail == Tail::Torn {
            document.note(TORN);
        }
        document.mark_intents_earlier();
        let mut unsaved = None;
        if document.project().is_none() {
            let id = new_project_id(layout.project());
            document.set_project(id.clone());
            unsaved = Some(id);
        }
        let committer = Committer::new(Arc::clone(disk), layout.clone(), document, journal, unsaved);
        let committer = Arc::new(committer);
        let mut together = None;
        if let Some(exchange) = others {
            exchange.begin(&committer, command)?;
            if exchange.writes() {
                let courier = Courier::start(Arc::clone(exchange), Arc::clone(&committer))?;
                // If the others could not be reached, they are to be as soon as possible.
                courier.notify();
                together = Some((Arc::clone(exchange), courier));
            }
        }
        Ok(Arc::new(Inner::new(committer, lock, Arc::clone(&self.shared), together)))
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("project", &self.project()).finish_non_exhaustive()
    }
}

impl Shared {
    /// The writer that this process has; or `None`, and then the caller is the one to take the lock,
    /// and must call [`release`](Self::release) if that fails.
    pub(super) fn claim(&self, command: &str, wait: Duration) -> Result<Option<Arc<Inner>>> {
        self.claim_unless(command, wait, &|| false)
    }

    fn claim_unless(
        &self,
        command: &str,
        wait: Duration,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Option<Arc<Inner>>> {
        // A writer that is being dropped folds the journal first, which nobody should have to foresee.
        let (begin, patience) = (Instant::now(), wait.max(Duration::from_secs(10)));
        let mut slot = self.lock_slot();
        loop {
            // One that is being closed gives the lock back soon.
            if let Some(inner) = slot.writer.upgrade().filter(|inner| inner.is_open()) {
                return Ok(Some(inner));
            }
            if !slot.taken {
                slot.taken = true;
                return Ok(None);
            }
            if cancelled() {
                return Err(Error::interrupted());
            }
            let left = patience.saturating_sub(begin.elapsed()).min(SLICE);
            if left.is_zero() {
                return Err(Holder::here(command).refusal(&self.layout));
            }
            slot = self.freed.wait_timeout(slot, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Takes the operating system's lock.
    pub(super) fn lock(&self, command: &str, wait: Duration, on_wait: &dyn Fn(&Holder)) -> Result<Lock> {
        self.lock_unless(command, wait, on_wait, &|| false)
    }

    fn lock_unless(
        &self,
        command: &str,
        wait: Duration,
        on_wait: &dyn Fn(&Holder),
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Lock> {
        self.layout.prepare(self.disk.as_ref())?;
        let lock = Lock::take(&self.layout, command, wait, on_wait, cancelled)?;
        let path = self.layout.lock();
        let tightened = self.disk.tighten(&path, 0o600);
        tightened.map_err(|e| self.layout.explain("cannot make private", &path, e))?;
        Ok(lock)
    }

    /// Lets the next caller in this process take the lock.
    pub(super) fn release(&self) {
        let mut slot = self.lock_slot();
        slot.writer = Weak::new();
        slot.taken = false;
        self.freed.notify_all();
    }

    fn lock_slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The folder's name, such as tags and host names allow it, with that of the deployment if it has one,
/// and eight random digits.
fn new_project_id(project: &Path) -> String {
    let (project, deployment) = match deployment::split(project) {
        Some((home, name)) => (home, format!("-{name}")),
        None => (project, String::new()),
    };
    let folder = project.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let mut name = String::new();
    for c in folder.chars() {
        match c {
            'a'..='z' | '0'..='9' => name.push(c),
            _ if !name.is_empty() && !name.ends_with('-') => name.push('-'),
            _ => {}
        }
    }
    name.truncate(LONGEST_NAME);
    let name = name.trim_end_matches('-');
    let name = if name.is_empty() { "project" } else { name };
    format!("{name}{deployment}-{:08x}", rand::random::<u32>())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::path::PathBuf;
    use std::process::{Child, Command, Stdio};
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::error::Kind;
    use crate::state::Instance;

    fn write_now(store: &Store) -> Writer {
        store.writer("test", Duration::ZERO, &|_| {}).unwrap()
    }

    fn mode(path: PathBuf) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn opening_and_reading_create_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path());
        assert_eq!(store.read().unwrap(), Document::default());
        assert_eq!(store.holder().unwrap(), None);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn an_old_file_stays_untouched_until_something_changes_and_is_kept_as_a_backup() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("instances.json");
        let old =
            r#"{"instances": [{"id": "i-1", "region": "r", "gpu": 2}], "last_updated": "x", "mine": true}"#;
        fs::write(&path, old).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let store = Store::open(dir.path());
        write_now(&store).close().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), old);
        let writer = write_now(&store);
        writer.put(Instance::new("i-2", "r")).unwrap();
        assert!(writer.project().len() > 9);
        let project = writer.project();
        drop(writer);
        assert_eq!(mode(path), 0o600);
        let document = store.read().unwrap();
        assert_eq!(document.project(), Some(project.as_str()));
        assert_eq!(document.to_value()["mine"], serde_json::json!(true));
        assert_eq!(document.instance("i-1").unwrap().other["gpu"], serde_json::json!(2));
        let backups = crate::state::backup::all(&Layout::new(dir.path()));
        assert_eq!(fs::read_to_string(&backups[0]).unwrap(), old);
        for private in [".spot/journal.jsonl", ".spot/lock"] {
            assert_eq!(mode(dir.path().join(private)), 0o600, "{private}");
        }
        assert_eq!((mode(dir.path().join(".spot")), mode(dir.path().join(".spot/backups"))), (0o700, 0o700));
    }

    #[test]
    fn a_symbolic_link_is_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let (project, shared) = (dir.path().join("p"), dir.path().join("shared"));
        fs::create_dir(&project).unwrap();
        fs::create_dir(&shared).unwrap();
        symlink("../shared/fleet.json", project.join("instances.json")).unwrap();
        let store = Store::open(&project);
        let writer = write_now(&store);
        writer.put(Instance::new("i-1", "r")).unwrap();
        writer.close().unwrap();
        assert!(fs::symlink_metadata(project.join("instances.json")).unwrap().is_symlink());
        assert!(fs::read_to_string(shared.join("fleet.json")).unwrap().contains("i-1"));
        assert_eq!(store.read().unwrap().instance_count(), 1);
    }

    #[test]
    fn within_a_process_there_is_one_writer_until_its_last_clone_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path());
        let first = write_now(&store);
        let second = write_now(&store.clone());
        first.put(Instance::new("i-1", "r")).unwrap();
        assert!(second.instance("i-1").is_some());
        assert_eq!(store.read().unwrap().instance_count(), 1);
        let holder = store.holder().unwrap().unwrap();
        assert_eq!((holder.pid, holder.command.as_str()), (std::process::id(), "test"));
        drop(first);
        assert!(store.holder().unwrap().is_some());
        drop(second);
        assert_eq!(store.holder().unwrap(), None);
        assert_eq!(write_now(&store).with(Document::instance_count), 1);
    }

    #[test]
    fn threads_that_take_and_drop_the_writer_never_see_it_locked() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path());
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let store = store.clone();
                scope.spawn(move || {
                    for number in 0..10 {
                        write_now(&store).put(Instance::new(format!("i-{thread}-{number}"), "r")).unwrap();
                    }
                });
            }
        });
        assert_eq!(store.read().unwrap().instance_count(), 40);
        assert_eq!(store.holder().unwrap(), None);
    }

    #[test]
    fn damage_is_reported_with_a_way_on_and_nothing_is_taken_for_empty() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("instances.json");
        let store = Store::open(dir.path());
        let writer = write_now(&store);
        writer.put(Instance::new("i-1", "r")).unwrap();
        writer.close().unwrap();
        let good = fs::read(&path).unwrap();
        let problem = || {
            let error = store.read().unwrap_err();
            assert!(store.writer("test", Duration::ZERO, &|_| {}).is_err());
            (error.code().unwrap().to_owned(), error.message().to_owned(), error.hint().unwrap().to_owned())
        };
        fs::write(&path, "").unwrap();
        let (code, message, hint) = problem();
        assert_eq!(code, "StateDamaged");
        assert!(
            message.starts_with("instances.json: line 1, column 0: not JSON: the file is empty"),
            "{message}"
        );
        let backup = hint.split("`cp ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
        fs::remove_file(&path).unwrap();
        assert_eq!(problem().0, "StateMissing");
        let journal = dir.path().join(".spot/journal.jsonl");
        let text = fs::read(&journal).unwrap();
        fs::remove_file(&journal).unwrap();
        assert_eq!(problem().0, "StateMissing");
        fs::write(&journal, text).unwrap();
        fs::write(&path, r#"{"instances": [], "applied": 1}"#).unwrap();
        assert_eq!(problem().0, "StateOutdated");
        fs::write(&path, r#"{"version": 9}"#).unwrap();
        assert_eq!(problem().0, "StateTooNew");
        fs::copy(dir.path().join(backup), &path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), good);
        write_now(&store).put(Instance::new("i-2", "r")).unwrap();
        assert_eq!(store.read().unwrap().instance_count(), 2);
    }

    #[test]
    fn another_program_may_rewrite_the_file_and_the_folder_may_be_lost() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path());
        let writer = write_now(&store);
        writer.put(Instance::new("i-1", "r")).unwrap();
        let project = writer.project();
        writer.close().unwrap();
        // Spot Deployer knows two keys and drops all others.
        fs::write(dir.path().join("instances.json"), r#"{"instances": [{"id": "i-9", "region": "r"}]}"#)
            .unwrap();
        let document = store.read().unwrap();
        assert_eq!(document.project(), Some(project.as_str()));
        assert!(document.notes()[0].contains("written by another program"), "{:?}", document.notes());
        write_now(&store).put(Instance::new("i-2", "r")).unwrap();
        assert_eq!(store.read().unwrap().instance_count(), 2);
        fs::remove_dir_all(dir.path().join(".spot")).unwrap();
        let writer = write_now(&store);
        assert_eq!(writer.project(), project);
        writer.put(Instance::new("i-3", "r")).unwrap();
        assert_eq!(Store::open(dir.path()).read().unwrap().instance_count(), 3);
        drop(writer);
        assert_eq!(store.read().unwrap().instance_count(), 3);
    }

    #[test]
    fn project_ids_are_made_of_what_tags_allow() {
        let id = |path: &str| new_project_id(Path::new(path)).rsplit_once('-').unwrap().0.to_owned();
        assert_eq!(id("/home/ann/My App (2)"), "my-app-2");
        assert_eq!(id("/home/ann/__"), "project");
        assert_eq!(id("/"), "project");
        assert_eq!(id(&format!("/{}", "x".repeat(50))), "x".repeat(32));
        let digits = new_project_id(Path::new("a")).rsplit_once('-').unwrap().1.to_owned();
        assert!(digits.len() == 8 && u32::from_str_radix(&digits, 16).is_ok());
    }

    const CHILD: &str = "SPOT_TEST_STATE_CHILD";

    /// Not a test of its own: what another process does in the tests below. Puts instances as fast as
    /// it can, and writes down which of them were acknowledged.
    #[test]
    fn another_process() {
        let Some(project) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
        let mut acknowledged = fs::File::create(project.join("acknowledged")).unwrap();
        let writer = Store::open(&project).writer("spot create", Duration::ZERO, &|_| {}).unwrap();
        for number in 0..1_000_000 {
            writer.put(Instance::new(format!("i-{number}"), "r")).unwrap();
            writeln!(acknowledged, "i-{number}").unwrap();
            if number % 7 == 0 {
                writer.compact().unwrap();
            }
        }
    }

    struct OtherProcess(Child);

    impl OtherProcess {
        fn start(project: &Path) -> Self {
            let this = concat!(module_path!(), "::another_process").split_once("::").unwrap().1;
            let child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", this])
                .env(CHILD, project)
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            OtherProcess(child)
        }
    }

    impl Drop for OtherProcess {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn another_process_holds_the_lock_until_it_is_killed_and_what_it_acknowledged_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let child = OtherProcess::start(dir.path());
        let acknowledged = || {
            let text = fs::read_to_string(dir.path().join("acknowledged")).unwrap_or_default();
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            whole.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        let deadline = Instant::now() + Duration::from_secs(60);
        while acknowledged().len() < 30 {
            assert!(Instant::now() < deadline, "the other process did not get on");
            std::thread::yield_now();
        }
        let store = Store::open(dir.path());
        assert!(store.read().unwrap().instance_count() >= 30);
        let told = Mutex::new(Vec::new());
        let tell = |holder: &Holder| told.lock().unwrap().push(holder.clone());
        let error = store.writer("spot destroy", Duration::from_millis(200), &tell).unwrap_err();
        assert_eq!(error.kind(), Kind::Locked);
        let pid = child.0.id();
        assert!(error.message().contains(&format!("(process {pid}, `spot create`, since ")), "{error}");
        assert!(error.hint().unwrap().contains(&format!("`kill {pid}`")));
        assert_eq!(told.lock().unwrap().iter().map(|holder| holder.pid).collect::<Vec<_>>(), [pid]);
        drop(child);
        assert_eq!(store.holder().unwrap(), None);
        let writer = write_now(&store);
        for id in acknowledged() {
            assert!(writer.instance(&id).is_some(), "{id} was acknowledged and is gone");
        }
    }

    #[test]
    fn who_is_interrupted_waits_no_longer() {
        let dir = tempfile::tempdir().unwrap();
        let first = write_now(&Store::open(dir.path()));
        let store = Store::open(dir.path());
        let interrupted = AtomicBool::new(false);
        let begin = Instant::now();
        // Of the two, one waits for the lock and is told so, the other waits for the first.
        let wait = || {
            let told = |_: &Holder| interrupted.store(true, Ordering::Relaxed);
            let cancelled = || interrupted.load(Ordering::Relaxed);
            store.writer_unless("second", Duration::from_secs(60), &told, &cancelled).map(drop)
        };
        std::thread::scope(|scope| {
            let other = scope.spawn(wait);
            assert_eq!(wait().unwrap_err().kind(), Kind::Interrupted);
            assert_eq!(other.join().unwrap().unwrap_err().kind(), Kind::Interrupted);
        });
        assert!(begin.elapsed() < Duration::from_secs(30));
        first.close().unwrap();
        assert!(store.writer("third", Duration::from_secs(10), &|_| {}).is_ok());
    }

    #[test]
    fn who_waits_gets_the_lock_when_it_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let first = write_now(&Store::open(dir.path()));
        let (send, receive) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let second = scope.spawn(move || {
                let tell = |holder: &Holder| send.send(holder.pid).unwrap();
                Store::open(dir.path()).writer("second", Duration::from_secs(60), &tell).map(drop)
            });
            assert_eq!(receive.recv().unwrap(), std::process::id());
            first.close().unwrap();
            second.join().unwrap().unwrap();
        });
    }
}
