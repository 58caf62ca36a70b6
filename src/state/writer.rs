//! Every change that can be made to a project's state, durable when the call returns.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value};

use super::commit::Committer;
use super::fields::check_depth;
use super::lock::Lock;
use super::record::Record;
use super::shared::{Courier, Exchange, Phase};
use super::store::Shared;
use super::{Document, Instance, Intent, IntentId, Network, OpenIntent, Outcome};
use crate::error::{Error, Result};

/// The right to change a project's state, shared by all its clones and all threads of this process.
///
/// Every method that changes something returns when the change is on disk; callers at the same time
/// share the fsync. When a call fails (the disk is full), nothing of it is recorded, everything
/// recorded before stays, and the next call may succeed. The lock is released when the last clone is
/// dropped, or by [`close`](Self::close), which also reports what went wrong with that.
#[derive(Clone)]
pub struct Writer {
    inner: Arc<Inner>,
}

/// What the clones of a writer share.
pub(super) struct Inner {
    committer: Arc<Committer>,
    lock: Mutex<Option<Lock>>,
    shared: Arc<Shared>,
    /// What agrees with those who share the state, until this is closed.
    together: Mutex<Option<(Arc<Exchange>, Courier)>>,
}

impl Writer {
    pub(super) fn of(inner: Arc<Inner>) -> Self {
        Writer { inner }
    }

    /// A copy of all that is known.
    pub fn document(&self) -> Document {
        self.with(Document::clone)
    }

    /// Looks at what is known without copying it. `look` must not call the writer.
    pub fn with<T>(&self, look: impl FnOnce(&Document) -> T) -> T {
        self.inner.committer.read(look)
    }

    /// The project's id.
    pub fn project(&self) -> String {
        self.with(|document| document.project().unwrap_or_default().to_owned())
    }

    /// One instance.
    pub fn instance(&self, id: &str) -> Option<Instance> {
        self.with(|document| document.instance(id).cloned())
    }

    /// Inserts an instance, or replaces the one with its id, which keeps its place.
    pub fn put(&self, instance: Instance) -> Result<()> {
        instance.check()?;
        if self.with(|document| document.instance(&instance.id) == Some(&instance)) {
            return Ok(());
        }
        self.commit(Record::Put { instance: Box::new(instance) })
    }

    /// Merges fields into an instance; null removes one. False if nothing changed.
    ///
    /// # Errors
    /// There is no such instance, or a known field would get a value of another type.
    pub fn update(&self, id: &str, fields: Map<String, Value>) -> Result<bool> {
        let merged = self.with(|document| {
            let known = document.instance(id).ok_or_else(|| unknown(document, id))?;
            let merged = known.merged(&fields).map_err(|e| e.context(format!("instance {id}")))?;
            Ok::<_, Error>((merged != *known).then_some(merged))
        })?;
        let Some(merged) = merged else { return Ok(false) };
        merged.check()?;
        // The fields, not the merged row: an update of other fields at the same time is not undone.
        self.commit(Record::Update { id: id.to_owned(), fields })?;
        Ok(true)
    }

    /// Forgets an instance. False if it was not known.
    pub fn remove(&self, id: &str) -> Result<bool> {
        if self.with(|document| document.instance(id).is_none()) {
            return Ok(false);
        }
        self.commit(Record::Remove { id: id.to_owned() })?;
        Ok(true)
    }

    /// A named output or setting of the project.
    pub fn get(&self, key: &str) -> Option<Value> {
        self.with(|document| document.value(key).cloned())
    }

    /// Sets a named output or setting; null removes it. False if nothing changed.
    pub fn set(&self, key: &str, value: Value) -> Result<bool> {
        check_depth(&format!("the value `{key}`"), [&value])?;
        let same = self.with(|document| match document.value(key) {
            Some(known) => *known == value,
            None => value.is_null(),
        });
        if same {
            return Ok(false);
        }
        self.commit(Record::Set { key: key.to_owned(), value })?;
        Ok(true)
    }

    /// Inserts a network, or replaces the one with its region and VPC.
    pub fn put_network(&self, network: Network) -> Result<()> {
        network.check()?;
        if self.with(|document| document.network(&network.region, &network.vpc_id) == Some(&network)) {
            return Ok(());
        }
        self.commit(Record::PutNetwork { network })
    }

    /// Forgets a network. False if it was not known.
    pub fn remove_network(&self, region: &str, vpc_id: &str) -> Result<bool> {
        if self.with(|document| document.network(region, vpc_id).is_none()) {
            return Ok(false);
        }
        self.commit(Record::RemoveNetwork { region: region.to_owned(), vpc_id: vpc_id.to_owned() })?;
        Ok(true)
    }

    /// Writes down what is about to be done, before it is done.
    pub fn started(&self, intent: Intent) -> Result<IntentId> {
        check_depth(
            &format!("the intent {}", intent.action),
            intent.undo.iter().chain([&intent.parameters]),
        )?;
        let id = self.inner.committer.commit(Record::Started { intent })?;
        self.inner.notify();
        Ok(id)
    }

    /// Closes an intent and makes the instances known that came of it, in one record: there is no
    /// instant at which the intent is closed and they are not known.
    ///
    /// # Errors
    /// The intent is not open.
    pub fn succeeded(&self, id: IntentId, result: Value, instances: Vec<Instance>) -> Result<()> {
        self.succeeded_with(id, Outcome { result, instances, ..Outcome::default() })
    }

    /// Closes an intent and makes all that it changed known, in one record.
    ///
    /// # Errors
    /// The intent is not open.
    pub fn succeeded_with(&self, id: IntentId, outcome: Outcome) -> Result<()> {
        let Outcome { result, instances, networks, removed_instances, removed_networks } = outcome;
        check_depth("the result of an intent", [&result])?;
        instances.iter().try_for_each(Instance::check)?;
        networks.iter().try_for_each(Network::check)?;
        self.check_open(id)?;
        self.commit(Record::Succeeded {
            intent: id,
            result,
            instances,
            networks,
            removed_instances,
            removed_networks,
        })
    }

    /// Closes an intent that is known to have changed nothing. One whose result is unknown (a time-out)
    /// stays open.
    ///
    /// # Errors
    /// The intent is not open.
    pub fn failed(&self, id: IntentId, error: &str) -> Result<()> {
        self.check_open(id)?;
        self.commit(Record::Failed { intent: id, error: error.to_owned() })
    }

    /// The intents that are not closed, oldest first: those that earlier writers left behind, and those
    /// of this one.
    pub fn open_intents(&self) -> Vec<OpenIntent> {
        self.with(|document| document.open_intents().cloned().collect())
    }

    /// Folds the journal into `instances.json` now. This happens by itself when the journal has grown
    /// beyond a mebibyte, and when the writer is closed.
    pub fn compact(&self) -> Result<()> {
        self.inner.committer.compact()
    }

    /// Folds the journal and releases the lock, also for all other clones, whose changes are refused
    /// from now on.
    ///
    /// # Errors
    /// Folding failed. The lock is released nevertheless, and nothing is lost: the journal has it all.
    pub fn close(self) -> Result<()> {
        self.inner.close()
    }

    fn commit(&self, record: Record) -> Result<()> {
        self.inner.committer.commit(record)?;
        self.inner.notify();
        Ok(())
    }

    fn check_open(&self, id: IntentId) -> Result<()> {
        if self.with(|document| document.open_intents().any(|open| open.id == id)) {
            return Ok(());
        }
        Err(Error::internal(format!("intent {id} is not open")))
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.inner.committer.waiting()
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("project", &self.project()).finish_non_exhaustive()
    }
}

impl Inner {
    /// `together` is for a state that is shared.
    pub(super) fn new(
        committer: Arc<Committer>,
        lock: Lock,
        shared: Arc<Shared>,
        together: Option<(Arc<Exchange>, Courier)>,
    ) -> Self {
        Inner { committer, lock: Mutex::new(Some(lock)), shared, together: Mutex::new(together) }
    }

    fn together(&self) -> MutexGuard<'_, Option<(Arc<Exchange>, Courier)>> {
        self.together.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets those who share the state know of a change, soon.
    fn notify(&self) {
        if let Some((_, courier)) = self.together().as_ref() {
            courier.notify();
        }
    }

    /// Whether changes are still accepted.
    pub(super) fn is_open(&self) -> bool {
        self.committer.is_open()
    }

    fn close(&self) -> Result<()> {
        let together = self.together().take();
        if let Some((exchange, courier)) = together {
            courier.stop();
            exchange.go_on(&self.committer, Phase::End);
        }
        let closed = self.committer.close();
        // Whoever takes the lock out is the one to let the next in.
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(lock) = lock {
            drop(lock);
            self.shared.release();
        }
        closed.map(drop)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Nobody is there to be told; the journal has everything, and is folded next time.
        let _ = self.close();
    }
}

fn unknown(document: &Document, id: &str) -> Error {
    let error = Error::state(format!("there is no instance {id} in the state"));
    match crate::error::nearest(id, document.instances().map(|instance| instance.id.as_str())) {
        Some(near) => error.with_hint(format!("did you mean {near}?")),
        None => error.with_hint("`spot list` shows the instances that are known"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::state::Store;

    fn open(project: &Path) -> Writer {
        Store::open(project).writer("test", Duration::ZERO, &|_| {}).unwrap()
    }

    fn fields(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn changes_say_whether_they_changed_anything() {
        let dir = tempfile::tempdir().unwrap();
        let writer = open(dir.path());
        writer.put(Instance::new("i-0abc", "r")).unwrap();
        assert!(writer.update("i-0abc", fields(json!({ "phase": "ready" }))).unwrap());
        assert!(!writer.update("i-0abc", fields(json!({ "phase": "ready", "error": null }))).unwrap());
        assert!(writer.set("url", json!("http://x")).unwrap());
        assert!(!writer.set("url", json!("http://x")).unwrap());
        assert!(writer.set("url", Value::Null).unwrap());
        assert!(!writer.set("url", Value::Null).unwrap());
        assert_eq!(writer.get("url"), None);
        writer.put_network(Network::new("r", "vpc-1")).unwrap();
        assert!(writer.remove_network("r", "vpc-1").unwrap());
        assert!(!writer.remove_network("r", "vpc-1").unwrap());
        assert!(writer.remove("i-0abc").unwrap());
        assert!(!writer.remove("i-0abc").unwrap());
    }

    #[test]
    fn an_unknown_instance_and_a_wrong_field_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let writer = open(dir.path());
        writer.put(Instance::new("i-0abc", "r")).unwrap();
        let error = writer.update("i-0abd", Map::new()).unwrap_err();
        assert_eq!(error.message(), "there is no instance i-0abd in the state");
        assert_eq!(error.hint(), Some("did you mean i-0abc?"));
        let error = writer.update("i-0abc", fields(json!({ "public_ip": 1 }))).unwrap_err();
        assert_eq!(error.message(), "instance i-0abc: `public_ip` must be text, found a number");
        let deep = (0..200).fold(json!(1), |value, _| json!([value]));
        assert!(writer.update("i-0abc", fields(json!({ "x": deep.clone() }))).is_err());
        assert!(writer.set("deep", deep).is_err());
    }

    #[test]
    fn updates_of_different_fields_at_the_same_time_are_all_kept() {
        let dir = tempfile::tempdir().unwrap();
        let writer = open(dir.path());
        writer.put(Instance::new("i-1", "r")).unwrap();
        std::thread::scope(|scope| {
            for number in 0..16 {
                let writer = &writer;
                let update = Map::from_iter([(format!("field{number}"), json!(number))]);
                scope.spawn(move || assert!(writer.update("i-1", update).unwrap()));
            }
        });
        drop(writer);
        let document = Store::open(dir.path()).read().unwrap();
        assert_eq!(document.instance("i-1").unwrap().other.len(), 16);
    }

    #[test]
    fn an_intent_stays_open_across_writers_until_its_outcome_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let writer = open(dir.path());
        let intent = Intent {
            action: "RunInstances".into(),
            region: "us-west-2".into(),
            token: "t-1".into(),
            undo: Some(json!({ "action": "TerminateInstances" })),
            ..Intent::default()
        };
        let id = writer.started(intent.clone()).unwrap();
        let other = writer.started(Intent { action: "CreateVpc".into(), ..Intent::default() }).unwrap();
        assert!(!writer.open_intents()[0].earlier);
        drop(writer);
        let writer = open(dir.path());
        let open_intents = writer.open_intents();
        assert_eq!(open_intents.iter().map(|open| open.id).collect::<Vec<_>>(), [id, other]);
        assert_eq!((&open_intents[0].intent, open_intents[0].earlier), (&intent, true));
        let outcome = Outcome {
            instances: vec![Instance::new("i-1", "us-west-2")],
            networks: vec![Network::new("us-west-2", "vpc-1")],
            ..Outcome::default()
        };
        writer.succeeded_with(id, outcome).unwrap();
        writer.failed(other, "VpcLimitExceeded").unwrap();
        assert_eq!(
            writer.failed(other, "again").unwrap_err().message(),
            format!("intent {other} is not open")
        );
        let terminate = writer.started(Intent::default()).unwrap();
        assert!(terminate > other);
        let outcome = Outcome {
            removed_instances: vec!["i-1".into()],
            removed_networks: vec![("us-west-2".into(), "vpc-1".into())],
            ..Outcome::default()
        };
        assert_eq!(writer.document().instance_count(), 1);
        writer.succeeded_with(terminate, outcome).unwrap();
        writer.close().unwrap();
        let document = Store::open(dir.path()).read().unwrap();
        assert_eq!(
            (document.instance_count(), document.networks().len(), document.open_intents().count()),
            (0, 0, 0)
        );
    }
}
