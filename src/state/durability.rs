//! Tests across the room: whatever the disk does, and whenever, what a call acknowledged is there.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::faulty::{Fault, FaultyDisk};
use super::{Document, Instance, Intent, IntentId, Network, Store, Writer};
use crate::error::Result;

/// One step of a session.
#[derive(Debug, Clone, Copy)]
enum Step {
    Put(&'static str, &'static str),
    Update(&'static str, &'static str),
    Remove(&'static str),
    Set(&'static str, u32),
    PutNetwork(&'static str),
    RemoveNetwork(&'static str),
    Start(&'static str),
    Succeed(&'static str, &'static str),
    Fail(&'static str),
    Compact,
    Reopen,
}
use Step::*;

const SESSION: &[Step] = &[
    Start("net"),
    PutNetwork("vpc-1"),
    Succeed("net", "i-0"),
    Put("i-1", "pending"),
    Start("lost"),
    Update("i-1", "reachable"),
    Put("i-2", "pending"),
    Compact,
    Put("i-1", "running"),
    Start("run"),
    Remove("i-2"),
    Succeed("run", "i-3"),
    Set("url", 1),
    Reopen,
    Update("i-3", "ready"),
    Start("bad"),
    Compact,
    Fail("bad"),
    Set("url", 2),
    RemoveNetwork("vpc-1"),
    Put("i-4", "pending"),
    Compact,
    Compact,
    Remove("i-0"),
    Succeed("lost", "i-5"),
];

/// What a session should have left, kept by the simplest means.
#[derive(Debug, Clone, Default, PartialEq)]
struct Model {
    instances: BTreeMap<String, (Option<String>, Option<String>)>,
    values: BTreeMap<String, Value>,
    networks: BTreeSet<String>,
    intents: BTreeSet<String>,
}

impl Model {
    fn apply(&mut self, step: Step) {
        match step {
            Put(id, state) => drop(self.instances.insert(id.into(), (Some(state.into()), None))),
            Update(id, phase) => {
                if let Some(row) = self.instances.get_mut(id) {
                    row.1 = Some(phase.into());
                }
            }
            Remove(id) => drop(self.instances.remove(id)),
            Set(key, value) => drop(self.values.insert(key.into(), json!(value))),
            PutNetwork(id) => drop(self.networks.insert(id.into())),
            RemoveNetwork(id) => drop(self.networks.remove(id)),
            Start(token) => drop(self.intents.insert(token.into())),
            Succeed(token, id) => {
                self.intents.remove(token);
                self.instances.insert(id.into(), (None, None));
            }
            Fail(token) => drop(self.intents.remove(token)),
            Compact | Reopen => {}
        }
    }

    fn of(document: &Document) -> Self {
        Model {
            instances: document
                .instances()
                .map(|i| (i.id.clone(), (i.state.clone(), i.phase.clone())))
                .collect(),
            values: document.values().clone().into_iter().collect(),
            networks: document.networks().iter().map(|network| network.vpc_id.clone()).collect(),
            intents: document.open_intents().map(|open| open.intent.token.clone()).collect(),
        }
    }
}

struct Session {
    store: Store,
    writer: Option<Writer>,
    intents: HashMap<&'static str, IntentId>,
}

impl Session {
    fn new(disk: Arc<FaultyDisk>, project: &Path) -> Self {
        Session { store: Store::open_on(disk, project), writer: None, intents: HashMap::new() }
    }

    fn writer(&mut self) -> Result<Writer> {
        if self.writer.is_none() {
            self.writer = Some(self.store.writer("test", Duration::ZERO, &|_| {})?);
        }
        Ok(self.writer.clone().unwrap())
    }

    fn run(&mut self, step: Step) -> Result<()> {
        if let Reopen = step {
            return self.writer.take().map_or(Ok(()), Writer::close);
        }
        let writer = self.writer()?;
        match step {
            Put(id, state) => {
                writer.put(Instance { state: Some(state.into()), ..Instance::new(id, "us-west-2") })
            }
            Update(id, phase) => {
                if writer.instance(id).is_none() {
                    return Ok(());
                }
                let fields: Map<_, _> = [("phase".to_owned(), json!(phase))].into_iter().collect();
                writer.update(id, fields).map(drop)
            }
            Remove(id) => writer.remove(id).map(drop),
            Set(key, value) => writer.set(key, json!(value)).map(drop),
            PutNetwork(id) => writer.put_network(Network::new("us-west-2", id)),
            RemoveNetwork(id) => writer.remove_network("us-west-2", id).map(drop),
            Start(token) => {
                let intent =
                    Intent { action: "RunInstances".into(), token: token.into(), ..Intent::default() };
                self.intents.insert(token, writer.started(intent)?);
                Ok(())
            }
            Succeed(token, id) => match self.intents.get(token) {
                Some(intent) => writer.succeeded(*intent, Value::Null, vec![Instance::new(id, "us-west-2")]),
                None => writer.put(Instance::new(id, "us-west-2")),
            },
            Fail(token) => match self.intents.get(token) {
                Some(intent) => writer.failed(*intent, "no capacity"),
                None => Ok(()),
            },
            Compact => writer.compact(),
            Reopen => Ok(()),
        }
    }
}

fn operations_of_a_session() -> usize {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FaultyDisk::new(Fault::None));
    let mut session = Session::new(disk.clone(), dir.path());
    let mut model = Model::default();
    for step in SESSION {
        session.run(*step).unwrap();
        model.apply(*step);
        assert_eq!(Model::of(&session.store.read().unwrap()), model, "after {step:?}");
    }
    drop(session);
    assert_eq!(Model::of(&Store::open(dir.path()).read().unwrap()), model);
    disk.counts().operations
}

/// Opens what a crash left as the next command does, and goes on from there.
fn check_after(project: &Path, acceptable: &[Model], context: &str) {
    let store = Store::open_on(Arc::new(FaultyDisk::new(Fault::None)), project);
    let seen = Model::of(&store.read().unwrap_or_else(|e| panic!("{context}: {e}")));
    assert!(acceptable.contains(&seen), "{context}: {seen:?}");
    let writer = store.writer("next", Duration::ZERO, &|_| {}).unwrap_or_else(|e| panic!("{context}: {e}"));
    assert_eq!(Model::of(&writer.document()), seen, "{context}");
    writer.put(Instance::new("i-next", "r")).unwrap();
    let before = Model::of(&writer.document());
    assert_eq!(Model::of(&Store::open(project).read().unwrap()), before, "{context}");
    writer.close().unwrap();
    assert_eq!(Model::of(&store.read().unwrap()), before, "{context}");
}

#[test]
fn after_a_crash_at_any_operation_everything_acknowledged_is_there() {
    let operations = operations_of_a_session();
    assert!(operations > 100, "{operations}");
    let faults = (0..operations).flat_map(|at| [Fault::CrashAt(at), Fault::LoseAt(at)]);
    for fault in faults {
        let dir = tempfile::tempdir().unwrap();
        let mut session = Session::new(Arc::new(FaultyDisk::new(fault)), dir.path());
        let mut model = Model::default();
        let mut acceptable = Vec::new();
        for step in SESSION {
            let done = session.run(*step).is_ok();
            if !done {
                acceptable.push(model.clone());
            }
            model.apply(*step);
            if !done {
                break;
            }
        }
        acceptable.push(model);
        drop(session);
        check_after(dir.path(), &acceptable, &format!("{fault:?}"));
    }
}

#[test]
fn a_full_disk_refuses_one_change_and_spoils_none() {
    for at in 0..operations_of_a_session() {
        let dir = tempfile::tempdir().unwrap();
        let mut session = Session::new(Arc::new(FaultyDisk::new(Fault::FullAt(at))), dir.path());
        let mut model = Model::default();
        for step in SESSION {
            match session.run(*step) {
                Ok(()) => model.apply(*step),
                Err(error) => assert!(error.hint().unwrap().contains("free some disk space"), "{error}"),
            }
            // What this process sees, and what others do.
            for store in [&session.store, &Store::open(dir.path())] {
                let seen = Model::of(&store.read().unwrap());
                assert_eq!(seen, model, "{step:?} with a full disk at operation {at}");
            }
        }
        drop(session);
        check_after(dir.path(), &[model], &format!("full at {at}"));
    }
}

#[test]
fn a_reader_sees_every_acknowledged_change_while_the_journal_is_folded() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let dir = tempfile::tempdir().unwrap();
    let writing = Store::open_on(Arc::new(FaultyDisk::new(Fault::None)), dir.path());
    let writer = writing.writer("test", Duration::ZERO, &|_| {}).unwrap();
    let acknowledged = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1..=300 {
                writer.put(Instance::new(format!("i-{number}"), "r")).unwrap();
                acknowledged.store(number, Ordering::SeqCst);
                if number % 3 == 0 {
                    writer.compact().unwrap();
                }
            }
        });
        let reading = Store::open(dir.path());
        while acknowledged.load(Ordering::SeqCst) < 300 {
            let before = acknowledged.load(Ordering::SeqCst);
            let seen = reading.read().unwrap().instance_count();
            assert!(seen >= before, "{seen} of {before}");
        }
    });
}
