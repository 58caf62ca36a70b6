//! Two folders, as of two machines, that share a state in memory.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Objects, Sharing, Version};
use crate::error::{Error, Result};
use crate::state::{Instance, Intent, Network, Store, Writer};

/// Objects with conditional writes, which can be out of reach.
#[derive(Default)]
struct Shelf {
    objects: Mutex<HashMap<String, Version>>,
    writes: AtomicU64,
    down: AtomicBool,
    /// Writes that are done, and whose answer is lost.
    deaf: AtomicU64,
}

impl Shelf {
    fn reach(&self) -> Result<()> {
        match self.down.load(Ordering::SeqCst) {
            true => Err(Error::aws("nobody answers").retryable(true)),
            false => Ok(()),
        }
    }

    fn text(&self, key: &str) -> Value {
        serde_json::from_slice(&self.objects.lock().unwrap()[key].bytes).unwrap()
    }

    fn ids(&self) -> Vec<String> {
        let text = self.text("default.json");
        let mut ids: Vec<String> = text["instances"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["id"].as_str().unwrap().to_owned())
            .collect();
        ids.sort();
        ids
    }
}

impl Objects for Shelf {
    fn get(&self, key: &str) -> Result<Option<Version>> {
        self.reach()?;
        Ok(self.objects.lock().unwrap().get(key).cloned())
    }

    fn put(&self, key: &str, bytes: &[u8], expected: Option<&str>) -> Result<Option<String>> {
        self.reach()?;
        let mut objects = self.objects.lock().unwrap();
        if objects.get(key).map(|it| it.tag.as_str()) != expected {
            return Ok(None);
        }
        let tag = format!("\"{}\"", self.writes.fetch_add(1, Ordering::SeqCst));
        objects.insert(key.to_owned(), Version { bytes: bytes.to_vec(), tag: tag.clone() });
        let lost = self.deaf.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if lost.is_ok() {
            return Err(Error::aws("the answer was lost").retryable(true));
        }
        Ok(Some(tag))
    }

    fn keys(&self) -> Result<Vec<String>> {
        self.reach()?;
        Ok(self.objects.lock().unwrap().keys().cloned().collect())
    }

    fn place(&self) -> String {
        "s3://shelf/web".to_owned()
    }
}

/// A folder that shares its state, and what its people were told.
struct Machine {
    folder: tempfile::TempDir,
    shelf: Arc<Shelf>,
    told: Arc<Mutex<Vec<String>>>,
}

impl Machine {
    fn new(shelf: &Arc<Shelf>) -> Self {
        Machine { folder: tempfile::tempdir().unwrap(), shelf: Arc::clone(shelf), told: Arc::default() }
    }

    fn store(&self) -> Store {
        self.store_in(self.folder.path(), true)
    }

    fn store_in(&self, folder: &Path, writes: bool) -> Store {
        let told = Arc::clone(&self.told);
        let sharing = Sharing {
            objects: self.shelf.clone(),
            deployment: None,
            tell: Arc::new(move |text| told.lock().unwrap().push(text)),
            writes,
        };
        Store::open_shared(folder, sharing)
    }

    fn writer(&self) -> Writer {
        write(&self.store()).unwrap()
    }

    fn ids(&self) -> Vec<String> {
        let document = self.store().read().unwrap();
        let mut ids: Vec<String> = document.instances().map(|it| it.id.clone()).collect();
        ids.sort();
        ids
    }

    fn was_told(&self, words: &str) -> bool {
        self.told.lock().unwrap().iter().any(|text| text.contains(words))
    }
}

fn write(store: &Store) -> Result<Writer> {
    store.writer("spot create", Duration::ZERO, &|_| {})
}

fn instance(id: &str) -> Instance {
    Instance::new(id, "us-west-2")
}

fn launch(token: &str) -> Intent {
    Intent {
        action: "RunInstances".into(),
        region: "eu-west-1".into(),
        token: token.into(),
        ..Intent::default()
    }
}

fn pair() -> (Arc<Shelf>, Machine, Machine) {
    let shelf = Arc::new(Shelf::default());
    let (ann, bob) = (Machine::new(&shelf), Machine::new(&shelf));
    (shelf, ann, bob)
}

#[test]
fn what_one_writes_the_other_reads_and_both_are_one_project() {
    let (shelf, ann, bob) = pair();
    let writer = ann.writer();
    let project = writer.project();
    writer.put(instance("i-1")).unwrap();
    writer.set("url", json!("http://x")).unwrap();
    writer.close().unwrap();
    let seen = bob.store().read().unwrap();
    assert_eq!((seen.project(), seen.instance_count()), (Some(project.as_str()), 1));
    assert!(!bob.folder.path().join("instances.json").exists());
    let writer = bob.writer();
    assert_eq!((writer.project(), writer.get("url")), (project, Some(json!("http://x"))));
    assert!(writer.remove("i-1").unwrap());
    writer.put(instance("i-2")).unwrap();
    drop(writer);
    assert_eq!((ann.ids(), shelf.ids()), (vec!["i-2".to_owned()], vec!["i-2".to_owned()]));
    // Nobody is at work any more.
    assert_eq!(shelf.text("default.json")["runs"], json!({}));
    assert!(ann.told.lock().unwrap().is_empty() && bob.told.lock().unwrap().is_empty());
}

#[test]
fn two_writers_at_once_lose_nothing() {
    let (shelf, ann, bob) = pair();
    std::thread::scope(|scope| {
        for (machine, name) in [(&ann, "a"), (&bob, "b")] {
            scope.spawn(move || {
                for run in 0..4 {
                    let writer = machine.writer();
                    for number in 0..5 {
                        writer.put(instance(&format!("i-{name}-{run}-{number}"))).unwrap();
                    }
                    let mut network = Network::new("us-west-2", "vpc-1");
                    network.created = writer
                        .document()
                        .network("us-west-2", "vpc-1")
                        .map_or(Vec::new(), |it| it.created.clone());
                    network.created.push(format!("sg-{name}-{run}"));
                    writer.put_network(network).unwrap();
                    writer.close().unwrap();
                }
            });
        }
    });
    assert_eq!(shelf.ids().len(), 40);
    assert_eq!(shelf.text("default.json")["networks"][0]["created"].as_array().unwrap().len(), 8);
    assert_eq!((ann.ids(), bob.ids()), (shelf.ids(), shelf.ids()));
}

#[test]
fn a_run_that_goes_on_tells_the_others_and_hears_of_them() {
    let (shelf, ann, bob) = pair();
    let (first, second) = (ann.writer(), bob.writer());
    assert!(bob.was_told("is at work on s3://shelf/web/default.json too"));
    first.put(instance("i-1")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while shelf.ids().is_empty() {
        assert!(Instant::now() < deadline, "the change was never told");
        std::thread::yield_now();
    }
    second.put(instance("i-2")).unwrap();
    second.close().unwrap();
    first.put(instance("i-3")).unwrap();
    first.close().unwrap();
    assert_eq!(shelf.ids(), ["i-1", "i-2", "i-3"]);
}

#[test]
fn an_outage_delays_and_loses_nothing() {
    let (shelf, ann, bob) = pair();
    ann.writer().put(instance("i-1")).unwrap();
    shelf.down.store(true, Ordering::SeqCst);
    // Who has never seen the state cannot know which project it is.
    let error = write(&bob.store()).unwrap_err();
    assert_eq!(error.code(), Some("SharedStateUnknown"));
    assert!(bob.store().read().is_ok());
    assert!(bob.was_told("the shared state cannot be reached: nobody answers"));

    let writer = ann.writer();
    assert!(ann.was_told("this run goes on with what was known here, agreed upon 20"));
    writer.put(instance("i-2")).unwrap();
    writer.remove("i-1").unwrap();
    writer.close().unwrap();
    assert!(ann.was_told("the next command brings it up"));
    assert_eq!(ann.ids(), ["i-2"]);

    shelf.down.store(false, Ordering::SeqCst);
    assert_eq!(shelf.ids(), ["i-1"]);
    bob.writer().put(instance("i-3")).unwrap();
    // What ann did is not known to others yet, and she sees both already.
    assert_eq!((ann.ids(), bob.ids()), (vec!["i-2".into(), "i-3".into()], vec!["i-1".into(), "i-3".into()]));
    ann.writer().close().unwrap();
    assert_eq!(
        (shelf.ids(), bob.ids()),
        (vec!["i-2".into(), "i-3".into()], vec!["i-2".into(), "i-3".into()])
    );
}

#[test]
fn an_outage_in_the_middle_of_a_run_is_caught_up_with_by_itself() {
    let (shelf, ann, _) = pair();
    let writer = ann.writer();
    shelf.down.store(true, Ordering::SeqCst);
    writer.put(instance("i-1")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !ann.was_told("the run goes on") {
        assert!(Instant::now() < deadline, "nobody was told");
        std::thread::yield_now();
    }
    shelf.down.store(false, Ordering::SeqCst);
    writer.close().unwrap();
    assert!(ann.was_told("answers again"));
    assert_eq!(shelf.ids(), ["i-1"]);
}

#[test]
fn a_lost_answer_is_found_out_and_changes_nothing_twice() {
    let (shelf, ann, bob) = pair();
    ann.writer().put(instance("i-1")).unwrap();
    shelf.deaf.store(1, Ordering::SeqCst);
    let writer = ann.writer();
    writer.put(instance("i-2")).unwrap();
    writer.close().unwrap();
    assert_eq!(
        (shelf.ids(), ann.ids(), bob.ids().len()),
        (vec!["i-1".into(), "i-2".into()], vec!["i-1".into(), "i-2".into()], 2)
    );
}

#[test]
fn what_was_lost_here_is_not_taken_away_from_the_others() {
    let (shelf, ann, _) = pair();
    ann.writer().put(instance("i-1")).unwrap();
    let older = std::fs::read(ann.folder.path().join("instances.json")).unwrap();
    let journal = std::fs::read(ann.folder.path().join(".spot/journal.jsonl")).unwrap();
    ann.writer().put(instance("i-2")).unwrap();
    // An older copy of the files was put back.
    std::fs::write(ann.folder.path().join("instances.json"), older).unwrap();
    std::fs::write(ann.folder.path().join(".spot/journal.jsonl"), journal).unwrap();
    assert_eq!(ann.ids(), ["i-1", "i-2"]);
    ann.writer().close().unwrap();
    assert_eq!(shelf.ids(), ["i-1", "i-2"]);
    // All of it was removed.
    std::fs::remove_dir_all(ann.folder.path().join(".spot")).unwrap();
    std::fs::remove_file(ann.folder.path().join("instances.json")).unwrap();
    ann.writer().close().unwrap();
    assert_eq!((shelf.ids(), ann.ids().len()), (vec!["i-1".into(), "i-2".into()], 2));
}

#[test]
fn an_object_that_was_lost_or_put_back_is_written_anew() {
    let (shelf, ann, bob) = pair();
    ann.writer().put(instance("i-1")).unwrap();
    let older = shelf.objects.lock().unwrap()["default.json"].clone();
    ann.writer().put(instance("i-2")).unwrap();
    shelf.objects.lock().unwrap().insert("default.json".into(), older);
    assert_eq!(ann.ids(), ["i-1", "i-2"]);
    ann.writer().close().unwrap();
    assert_eq!(shelf.ids(), ["i-1", "i-2"]);
    shelf.objects.lock().unwrap().clear();
    ann.writer().close().unwrap();
    assert!(ann.was_told("is gone; what is known here counts"));
    assert_eq!((shelf.ids().len(), bob.ids().len()), (2, 2));
}

#[test]
fn another_project_is_refused_and_a_state_that_was_alone_is_brought_along() {
    let (shelf, ann, bob) = pair();
    let alone = Store::open(ann.folder.path());
    write(&alone).unwrap().put(instance("i-1")).unwrap();
    let other = write(&Store::open(bob.folder.path())).unwrap();
    other.put(instance("i-2")).unwrap();
    drop(other);
    ann.writer().close().unwrap();
    assert_eq!(shelf.ids(), ["i-1"]);
    for error in [bob.store().read().unwrap_err(), write(&bob.store()).unwrap_err()] {
        assert_eq!(error.code(), Some("SharedStateForeign"));
    }
    // What is nobody's state is not overwritten.
    let version = Version { bytes: b"{\"version\": 99, \"instances\": []}".to_vec(), tag: "\"x\"".into() };
    shelf.objects.lock().unwrap().insert("default.json".into(), version.clone());
    assert_eq!(write(&ann.store()).unwrap_err().code(), Some("StateTooNew"));
    assert_eq!(shelf.objects.lock().unwrap()["default.json"], version);
}

#[test]
fn calls_that_are_open_elsewhere_are_known_and_taken_over_once_their_run_is_over() {
    let (shelf, ann, bob) = pair();
    let writer = ann.writer();
    writer.started(launch("t-1")).unwrap();
    writer.close().unwrap();
    assert_eq!(shelf.text("default.json")["runs"].as_object().unwrap().len(), 1);
    let seen = bob.store().read().unwrap();
    assert_eq!(seen.open_elsewhere()[0].intent.token, "t-1");
    // The run is over, however it ended: whoever comes first finds out what it made.
    let now = || crate::state::compact::now();
    let ended = now();
    while now() <= ended {
        std::thread::yield_now();
    }
    let writer = bob.writer();
    let open = writer.open_intents();
    assert_eq!((open.len(), open[0].intent.token.as_str(), open[0].earlier), (1, "t-1", true));
    writer.succeeded(open[0].id, Value::Null, vec![instance("i-1")]).unwrap();
    writer.close().unwrap();
    assert_eq!(
        (shelf.ids(), shelf.text("default.json")["runs"].clone()),
        (vec!["i-1".to_owned()], json!({}))
    );
    // Ann's own record of it leads to the same instance.
    let writer = ann.writer();
    writer.succeeded(writer.open_intents()[0].id, Value::Null, vec![instance("i-1")]).unwrap();
    writer.close().unwrap();
    assert_eq!(shelf.ids(), ["i-1"]);
}

#[test]
fn who_only_looks_writes_nothing() {
    let (shelf, ann, bob) = pair();
    ann.writer().put(instance("i-1")).unwrap();
    let before = shelf.writes.load(Ordering::SeqCst);
    let writer = write(&bob.store_in(bob.folder.path(), false)).unwrap();
    assert_eq!(writer.document().instance_count(), 1);
    writer.put(instance("i-2")).unwrap();
    writer.close().unwrap();
    assert_eq!((shelf.writes.load(Ordering::SeqCst), shelf.ids()), (before, vec!["i-1".to_owned()]));
}
