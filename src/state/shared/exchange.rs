//! One agreement: reading what the others wrote, doing again on it what was changed here, writing that
//! on the condition that nobody has written meanwhile, and taking in what the others did.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::Sharing;
use super::merge::{changes, merge};
use super::object::{Object, OpenCall, Run};
use super::replica::{Replica, foreign};
use crate::error::{Error, Result};
use crate::state::commit::Committer;
use crate::state::compact::now;
use crate::state::disk::Disk;
use crate::state::layout::Layout;
use crate::state::record::Record;
use crate::state::{Document, Holder, IntentId, OpenIntent};

/// How often it is tried again when others write at the same time.
const ATTEMPTS: u32 = 40;
/// What was read is read again after so long.
const FRESH: Duration = Duration::from_secs(3);
/// A run that has not said so again for so many minutes counts as ended.
const LEASE_MINUTES: i64 = 10;

/// The object of the deployment without a name of its own.
const DEFAULT: &str = "default";
const ENDING: &str = ".json";

/// Which part of a run an agreement is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::state) enum Phase {
    /// Before anything is changed.
    Begin,
    /// While it goes on.
    During,
    /// When it has changed all that it will.
    End,
}

/// Agreements of one state with its object.
pub(in crate::state) struct Exchange {
    sharing: Sharing,
    disk: Arc<dyn Disk>,
    layout: Layout,
    key: String,
    held: Mutex<Held>,
}

struct Held {
    replica: Replica,
    /// Whose run it is.
    holder: Holder,
    /// The object as it is as far as we know, and since when.
    known: Option<(Object, Instant)>,
    /// Whether people know that the place does not answer.
    told: bool,
}

impl Exchange {
    /// Agreements about the state in `layout`. Nothing is read or asked yet.
    pub(in crate::state) fn new(sharing: Sharing, disk: Arc<dyn Disk>, layout: Layout) -> Self {
        let name = sharing.deployment.as_deref().unwrap_or(DEFAULT);
        let key = format!("{name}{ENDING}");
        let replica = Replica::never(&sharing.objects.place());
        let held = Mutex::new(Held { replica, holder: Holder::here(""), known: None, told: false });
        Exchange { sharing, disk, layout, key, held }
    }

    /// The deployments that the others know of, beside the default one.
    ///
    /// # Errors
    /// The place does not answer, or refuses.
    pub(in crate::state) fn deployments(&self) -> Result<Vec<String>> {
        let keys = self.sharing.objects.keys()?;
        let names = keys.iter().filter_map(|key| key.strip_suffix(ENDING));
        Ok(names.filter(|name| *name != DEFAULT && !name.contains('/')).map(str::to_owned).collect())
    }

    /// Whether anything is written; otherwise nothing needs to be told to the others either.
    pub(in crate::state) fn writes(&self) -> bool {
        self.sharing.writes
    }

    /// What is known here, up to record `last` of the journal, with what the others wrote; just the
    /// former if the place does not answer, which is told.
    ///
    /// # Errors
    /// The place refuses, or holds something else.
    pub(in crate::state) fn seen(&self, mut local: Document, last: u64) -> Result<Document> {
        let mut held = self.held();
        held.replica = Replica::load(&self.layout, &self.place(), last);
        let object = match self.object(&mut held) {
            Ok(object) => object,
            Err(error) if error.is_retryable() => {
                self.tell_outage(&mut held, &error, "this is what was known here");
                return Ok(local);
            }
            Err(error) => return Err(error),
        };
        if let Some(theirs) = object.document.project() {
            match local.project() {
                Some(ours) if ours != theirs && !local.is_empty() => {
                    return Err(foreign(&self.place(), theirs, ours));
                }
                _ => local.set_project(theirs.to_owned()),
            }
        }
        let merged = merge(held.replica.base(&object), &local, &object.document);
        let at = merged.last_updated().unwrap_or_default().to_owned();
        for record in changes(&local, &merged) {
            local.apply(0, &at, &record);
        }
        local.set_elsewhere(elsewhere(&object, &held.replica.machine));
        Ok(local)
    }

    /// The first agreement of a writer, before it changes anything. An outage is told and gone on with,
    /// if there ever was an agreement before.
    ///
    /// # Errors
    /// The place refuses or holds something else; or does not answer, and this folder has never seen it.
    pub(in crate::state) fn begin(&self, committer: &Committer, command: &str) -> Result<()> {
        {
            let mut held = self.held();
            held.replica = Replica::load(&self.layout, &self.place(), committer.last());
            held.holder = Holder::here(command);
        }
        let error = match self.agree(committer, Phase::Begin) {
            Err(error) if error.is_retryable() => error,
            done => return done,
        };
        let mut held = self.held();
        if held.replica.agreed.is_none() {
            return Err(error
                .context("this folder has never seen its shared state")
                .retryable(false)
                .with_code("SharedStateUnknown")
                .with_hint("run it again when the bucket can be reached: what the others have made decides which project this is"));
        }
        self.tell_outage(&mut held, &error, "this run goes on with what was known here");
        Ok(())
    }

    /// An agreement while the run goes on, or at its end; that it failed is told, and whether it
    /// succeeded returned.
    pub(in crate::state) fn go_on(&self, committer: &Committer, phase: Phase) -> bool {
        let error = match self.agree(committer, phase) {
            Ok(()) => return true,
            Err(error) => error,
        };
        let mut held = self.held();
        if phase == Phase::End {
            let text = "what this run changed is kept in .spot, and the next command brings it up";
            // Who was told that it is away should know how it ended, too.
            held.told = false;
            self.tell_outage(&mut held, &error, text);
        } else {
            self.tell_outage(&mut held, &error, "the run goes on, and what it changes is kept in .spot");
        }
        false
    }

    fn agree(&self, committer: &Committer, phase: Phase) -> Result<()> {
        let mut held = self.held();
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                // Whoever was quicker is done by then; different pauses keep two from meeting again.
                thread::sleep(Duration::from_millis(rand::random_range(5..50) * u64::from(attempt.min(10))));
            }
            let mut object = match held.known.take() {
                Some((object, _)) if phase != Phase::Begin || attempt > 0 => object,
                _ => self.fetch(&held.replica)?,
            };
            if phase == Phase::Begin {
                self.join(committer, &object, &held.replica.machine)?;
                take_over(committer, &mut object, &held.replica.machine)?;
            }
            if self.settle(committer, &mut held, object, phase)? {
                if held.told {
                    held.told = false;
                    (self.sharing.tell)(format!("{} answers again", self.place()));
                }
                return Ok(());
            }
        }
        Err(Error::state(format!("{} changes faster than it can be written", self.place())).retryable(true))
    }

    /// Brings both sides together; false if somebody else has written meanwhile.
    fn settle(&self, committer: &Committer, held: &mut Held, object: Object, phase: Phase) -> Result<bool> {
        let sequence = committer.last();
        let ours = committer.read(Document::clone);
        let mut document = merge(held.replica.base(&object), &ours, &object.document);
        if let (None, Some(project)) = (document.project(), ours.project()) {
            document.set_project(project.to_owned());
        }
        let others = elsewhere(&object, &held.replica.machine);
        let mut next = Object { document, serial: object.serial + 1, ..object };
        enter(&mut next.runs, held, &ours, phase)?;
        if self.sharing.writes {
            let place = &self.sharing.objects;
            let Some(tag) = place.put(&self.key, &next.render()?, next.tag.as_deref())? else {
                return Ok(false);
            };
            next.tag = Some(tag);
        }
        // First what the others did, then that there is an agreement: the other way round, a crash in
        // between would look as if we had removed all of it.
        committer.absorb(|present| changes(present, &merge(Some(&ours), present, &next.document)))?;
        committer.know(|document| document.set_elsewhere(others));
        if self.sharing.writes {
            held.replica.agree(self.disk.as_ref(), &self.layout, &next, sequence)?;
            held.known = Some((next, Instant::now()));
        }
        Ok(true)
    }

    /// Makes sure that both sides are about one project, and says who else is at work.
    fn join(&self, committer: &Committer, object: &Object, here: &str) -> Result<()> {
        for (_, run) in object.runs_elsewhere(here).iter().filter(|(_, run)| run.until > now()) {
            (self.sharing.tell)(format!(
                "{} is at work on {} too: what both change is brought together",
                run.holder,
                self.place()
            ));
        }
        let Some(theirs) = object.document.project() else { return committer.keep_project() };
        let (ours, empty) = committer
            .read(|document| (document.project().unwrap_or_default().to_owned(), document.is_empty()));
        if ours == theirs {
            return committer.keep_project();
        }
        if !empty && !committer.has_new_project() {
            return Err(foreign(&self.place(), theirs, &ours));
        }
        committer.rename_project(theirs)
    }

    /// The object, read again if that is some time ago.
    fn object(&self, held: &mut Held) -> Result<Object> {
        if let Some((object, since)) = &held.known
            && since.elapsed() < FRESH
        {
            return Ok(object.clone());
        }
        let object = self.fetch(&held.replica)?;
        held.known = Some((object.clone(), Instant::now()));
        Ok(object)
    }

    fn fetch(&self, replica: &Replica) -> Result<Object> {
        match self.sharing.objects.get(&self.key)? {
            Some(version) => Object::parse(&version.bytes, version.tag).map_err(|e| e.context(self.place())),
            None => {
                if replica.agreed.is_some() {
                    let text = format!("{} is gone; what is known here counts", self.place());
                    (self.sharing.tell)(text);
                }
                Ok(Object::default())
            }
        }
    }

    fn tell_outage(&self, held: &mut Held, error: &Error, consequence: &str) {
        if std::mem::replace(&mut held.told, true) {
            return;
        }
        let as_of = held.replica.agreed.as_ref().map(|at| format!(", agreed upon {at}")).unwrap_or_default();
        (self.sharing.tell)(format!(
            "the shared state cannot be reached: {}; {consequence}{as_of}",
            error.message()
        ));
    }

    fn place(&self) -> String {
        format!("{}/{}", self.sharing.objects.place(), self.key)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes our run among those at work, with the calls that are open; takes out those that are over.
fn enter(runs: &mut Map<String, Value>, held: &Held, ours: &Document, phase: Phase) -> Result<()> {
    let here = &held.replica.machine;
    let over = |run: &Value| {
        let open = run["open_calls"].as_array().is_some_and(|calls| !calls.is_empty());
        !open && run["until"].as_str().is_some_and(|until| until < now().as_str())
    };
    runs.retain(|machine, run| machine != here && !over(run));
    let open_calls: Vec<OpenCall> = ours.open_intents().map(OpenCall::from).collect();
    if phase == Phase::End && open_calls.is_empty() {
        return Ok(());
    }
    let until = match phase {
        Phase::End => now(),
        Phase::Begin | Phase::During => in_minutes(LEASE_MINUTES),
    };
    let run = Run { holder: held.holder.clone(), until, open_calls };
    let run = serde_json::to_value(run)
        .map_err(|error| Error::internal("a run cannot be written as JSON").with_source(error))?;
    runs.insert(here.clone(), run);
    Ok(())
}

/// Takes over the open calls of runs that are over: whoever comes first finds out what became of them.
fn take_over(committer: &Committer, object: &mut Object, here: &str) -> Result<()> {
    for (machine, run) in object.runs_elsewhere(here) {
        if run.until > now() || run.open_calls.is_empty() {
            continue;
        }
        let calls = run.open_calls;
        committer.absorb(|document| {
            let known = |token: &str| document.open_intents().any(|open| open.intent.token == token);
            let new = calls.into_iter().filter(|call| !known(&call.intent.token));
            new.map(|call| Record::Started { intent: call.intent }).collect()
        })?;
        object.runs.remove(&machine);
    }
    committer.know(Document::mark_intents_earlier);
    Ok(())
}

/// The calls that are open on other machines.
fn elsewhere(object: &Object, here: &str) -> Vec<OpenIntent> {
    let runs = object.runs_elsewhere(here).into_iter();
    let calls = runs.flat_map(|(_, run)| run.open_calls);
    let open = |call: OpenCall| OpenIntent {
        id: IntentId::from_number(0),
        since: call.since,
        earlier: false,
        intent: call.intent,
    };
    calls.map(open).collect()
}

/// A time that is so many minutes from now, RFC 3339 in UTC to the second.
fn in_minutes(minutes: i64) -> String {
    let later = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(minutes);
    later.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
