//! Carrying out an action: check, change the cloud, store it, then start or remove machines.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use futures::StreamExt as _;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;

use super::actions::{Call, Effect};
use super::authorization::Scope;
use super::calls::{Calls, RecordedCall};
use super::consistency;
use super::fault::Fault;
use super::force::Force;
use super::held::{Held, Step};
use super::holders;
use super::http::Asked;
use super::interruptions::{self, Interrupt};
use super::inventory::{self, Holding};
use super::market;
use super::model::chance::Chance;
use super::model::cloud::Cloud;
use super::model::id;
use super::model::instance::Pace;
use super::moment::Moment;
use super::power_off;
use super::regions::{self, Place};
use super::request::Params;
use super::response::{self, Response};
use super::router::{self, Operation};
use super::services::s3::{self, Buckets};
use super::services::{self, Desk, Drawer, Shelf, iam};
use super::signature::{self, Credentials, Signed};
use super::store::Store;
use super::struck::StruckLog;
use super::xml::Xml;
use super::{Machines, Options};
use crate::error::{Error, Kind, Result};
use crate::sandbox::clock::STORE_EVERY;
use crate::sandbox::faults::dice::{Lot, number};
use crate::sandbox::faults::{Change, Faults};

/// How many machines are started or removed at once.
const MACHINES_AT_ONCE: usize = 64;
/// How often it is looked for spot instances to take back when none is known.
const IDLE: Duration = Duration::from_secs(3600);
/// How often it is looked for machines that shut themselves down, in real time.
const LOOK_INSIDE: Duration = Duration::from_millis(500);

/// The cloud and all that is needed to work on it.
pub(super) struct Service {
    options: Options,
    machines: Arc<dyn Machines>,
    held: Mutex<Held>,
    store: Arc<Store>,
    /// What the other services keep.
    shelf: Shelf,
    buckets: Arc<Buckets>,
    /// The revision of the cloud in `cloud.json`.
    stored: Mutex<u64>,
    /// The faults in force.
    force: RwLock<Arc<Force>>,
    struck: StruckLog,
    calls: Arc<Calls>,
    /// Tells that there may be more spot instances to take back.
    doomed: Notify,
}

/// An action that is to be carried out in a region.
#[derive(Clone, Copy)]
struct Work<'a> {
    operation: &'static Operation,
    params: &'a Params,
    place: &'static Place,
    force: &'a Force,
    lot: Lot,
    now: Moment,
    /// What the machine that is asked for has printed.
    console: &'a str,
}

/// What happened to a machine.
enum Outcome {
    Booted,
    Told,
    NotBooted(String, Error),
    Removed(String),
    NotRemoved(String, Error),
}

/// What `POST /_sandbox/host` asks for.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Spoil {
    instance_id: String,
    faults: Value,
}

/// What a machine refuses, as an answer.
fn refused(error: &Error) -> Fault {
    match error.kind() {
        Kind::Usage => Fault::value(error.to_string()),
        _ => Fault::internal(error.to_string()),
    }
}

fn pace(options: &Options) -> Pace {
    Pace { pending: options.pending, checks: options.status_checks, shutting_down: options.shutting_down }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Service {
    /// Loads the cloud and brings its machines back.
    pub async fn open(options: Options, machines: Arc<dyn Machines>) -> Result<Self> {
        let (store, mut cloud) = Store::open(&options.folder)?;
        options.clock.keep_in(&options.folder)?;
        let now = Moment::from_time(options.clock.now());
        if !options.faults.without_service_roles {
            cloud.roles.extend(iam::ROLES.iter().map(|(_, role)| (*role).to_owned()));
        }
        cloud.settle(now, pace(&options));
        cloud.generation += 1;
        let service = Service {
            force: RwLock::new(Arc::new(Force::new(options.faults.clone(), now))),
            struck: StruckLog::new(&options.folder),
            machines,
            held: Mutex::new(Held::new(cloud)),
            store: Arc::new(store),
            shelf: Shelf::open(&options.folder)?,
            buckets: Arc::new(Buckets::open(&options.folder)?),
            stored: Mutex::new(0),
            calls: Arc::new(Calls::new(options.record)),
            doomed: Notify::new(),
            options,
        };
        let force = service.force();
        if **force != Faults::default() {
            service.struck.in_force(&force, now);
        }
        service.revive().await?;
        // What was due while nobody looked has happened before the first request is answered.
        service.take_back().await;
        Ok(service)
    }

    /// Boots the machines of living instances again, and removes those whose end was not completed.
    async fn revive(&self) -> Result<()> {
        let steps = {
            let mut held = self.held.lock().await;
            let mut effects = Vec::new();
            for (region, contents) in &held.cloud.regions {
                for instance in contents.instances.values() {
                    match &instance.ending {
                        None if instance.state.stopped() => {}
                        None => effects
                            .push(Effect::Boot(instance.machine(region, contents.tags.get(&instance.id)))),
                        Some(ending) if !ending.removed => {
                            effects.push(Effect::Remove(instance.id.clone()));
                        }
                        Some(_) => {}
                    }
                }
            }
            held.steps(effects)
        };
        let outcomes = self.carry_out(steps).await;
        // A machine that still cannot be removed is tried again at the next start.
        let revision = self.note(outcomes).await.0;
        self.save(revision).await
    }

    /// The time in the sandbox.
    pub fn now(&self) -> Moment {
        Moment::from_time(self.options.clock.now())
    }

    /// The faults in force.
    pub fn force(&self) -> Arc<Force> {
        Arc::clone(&self.force.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts other faults into force, from JSON or TOML; tells them as they are then.
    pub async fn set_faults(&self, text: &str) -> Result<Value, Fault> {
        let faults = if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(|error| Fault::value(error.to_string()))
        } else {
            Faults::parse_toml("faults.toml", text).map_err(|error| Fault::value(error.message()))
        };
        let (faults, now) = (faults?, self.now());
        self.renew().await;
        self.put_into_force(|_| Ok(Force::new(faults, now)))
    }

    /// Changes the faults in force, from a [`Change`] as JSON; tells them as they are then.
    pub async fn change_faults(&self, text: &str) -> Result<Value, Fault> {
        let change: Change = serde_json::from_str(text).map_err(|error| Fault::value(error.to_string()))?;
        let now = self.now();
        if change.clear_all {
            self.renew().await;
        }
        self.put_into_force(|force| {
            let changed = change.apply(force).map_err(|error| match error.hint() {
                Some(hint) => Fault::value(format!("{}; {hint}", error.message())),
                None => Fault::value(error.message()),
            })?;
            Ok(if change.clear_all { Force::new(changed, now) } else { force.changed(changed, now) })
        })
    }

    /// What is drawn from now on is not what was drawn before, though counting begins anew.
    async fn renew(&self) {
        let mut held = self.held.lock().await;
        held.cloud.generation += 1;
        held.revision += 1;
    }

    fn put_into_force(&self, make: impl FnOnce(&Force) -> Result<Force, Fault>) -> Result<Value, Fault> {
        let mut current = self.force.write().unwrap_or_else(PoisonError::into_inner);
        let force = Arc::new(make(&current)?);
        let told = serde_json::to_value(&**force).map_err(|error| Fault::internal(error.to_string()))?;
        self.struck.in_force(&force, self.now());
        self.machines.expect(&force);
        *current = force;
        Ok(told)
    }

    /// What the clock shows.
    pub fn clock_state(&self) -> Value {
        json!({ "now": self.now().to_string(), "speed": self.options.clock.speed() })
    }

    /// Moves the clock: `{"advance": seconds}`, `{"speed": factor}`, or both. What is due then has happened
    /// when this returns.
    pub async fn set_clock(&self, text: &str) -> Result<Value, Fault> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Wanted {
            advance: Option<f64>,
            speed: Option<f64>,
        }
        let wanted: Wanted = serde_json::from_str(text).map_err(|error| Fault::value(error.to_string()))?;
        let refused = |error: Error| Fault::value(error.message());
        if let Some(seconds) = wanted.advance {
            let by = Duration::try_from_secs_f64(seconds)
                .map_err(|_| Fault::value(format!("`advance` must be seconds from 0, found {seconds}")))?;
            self.options.clock.advance(by).map_err(refused)?;
        }
        if let Some(speed) = wanted.speed {
            self.options.clock.set_speed(speed).map_err(refused)?;
        }
        self.take_back().await;
        Ok(self.clock_state())
    }

    /// Whether a name of this endpoint, such as `ec2.us-west-2.sandbox`, resolves now.
    pub fn resolves(&self, name: &str) -> bool {
        let mut parts = name.split('.').skip(1);
        let region = parts.next().filter(|_| parts.next().is_some()).unwrap_or_default();
        let force = self.force();
        let lot = force.lot_of_lookup(region);
        if !force.hides_name(region, lot, self.now()) {
            return true;
        }
        let call = RecordedCall {
            service: "dns".to_owned(),
            action: "Resolve".to_owned(),
            region: region.to_owned(),
            code: Some("NoSuchName".to_owned()),
            start_ms: self.calls.now(),
            faults: vec!["dns"],
            parameters: BTreeMap::from([("Name".to_owned(), name.to_owned())]),
            ..Asked::unreadable()
        };
        self.note_call(call, lot);
        false
    }

    /// Writes a call down, and the faults that struck it.
    pub fn note_call(&self, call: RecordedCall, lot: Lot) {
        self.struck.struck(&call.faults, &call, lot.nth, self.now());
        self.calls.add(|| RecordedCall { end_ms: self.calls.now(), ..call });
    }

    /// Carries out one EC2 action in a region. Must run to its end once begun.
    pub async fn perform(
        &self,
        params: &Params,
        region: &str,
        force: &Force,
        lot: Lot,
    ) -> Result<(&'static str, Xml), Fault> {
        let place =
            regions::find(region).filter(|place| place.enabled()).ok_or_else(Fault::unauthenticated)?;
        let operation = router::find(params)?;
        operation.check(params)?;
        let dry_run = params.flag("DryRun")?.unwrap_or(false);
        let console = match operation.name {
            "GetConsoleOutput" => self.machines.console(params.required("InstanceId")?).await,
            _ => String::new(),
        };
        let (xml, steps, revision) = {
            let mut held = self.held.lock().await;
            let now = self.now();
            held.cloud.settle(now, pace(&self.options));
            let seed = force.seed.map(|seed| number(seed, &[&held.cloud.generation.to_string()]));
            held.open(place, seed);
            let work = Work { operation, params, place, force, lot, now, console: &console };
            if dry_run {
                return Err(self.rehearse(&held.cloud, work));
            }
            let (xml, effects) = self.run(&mut held.cloud, work)?;
            if operation.writes {
                held.revision += 1;
                if !force.interruptions.is_empty() {
                    self.doomed.notify_one();
                }
            }
            let steps = held.steps(effects);
            (xml, steps, held.revision)
        };
        let failed = |error: Error| Fault::internal(format!("the sandbox failed: {error}"));
        self.save(revision).await.map_err(failed)?;
        if !steps.is_empty() {
            let outcomes = self.carry_out(steps).await;
            let (revision, error) = self.note(outcomes).await;
            self.save(revision).await.map_err(failed)?;
            if let Some(error) = error {
                return Err(failed(error));
            }
        }
        Ok((operation.name, xml))
    }

    /// The calls that were recorded.
    pub fn calls(&self) -> &Arc<Calls> {
        &self.calls
    }

    /// Where its files are.
    pub fn folder(&self) -> &Path {
        &self.options.folder
    }

    /// The present, and what is to be seen in the cloud now.
    pub async fn look<T>(&self, see: impl FnOnce(&Cloud) -> T) -> (Moment, T) {
        let mut held = self.held.lock().await;
        let now = self.now();
        held.cloud.settle(now, pace(&self.options));
        (now, see(&held.cloud))
    }

    /// Answers IAM.
    pub async fn roles(&self, params: &Params) -> Result<Xml, Fault> {
        let (xml, revision) = {
            let mut held = self.held.lock().await;
            let (xml, changed) = iam::answer(params, &mut held.cloud.roles)?;
            if changed {
                held.revision += 1;
            }
            (xml, held.revision)
        };
        self.save(revision).await.map_err(|error| Fault::internal(format!("the sandbox failed: {error}")))?;
        Ok(xml)
    }

    /// Answers a service that speaks JSON.
    pub async fn ask(
        &self,
        region: &str,
        service: &str,
        action: &str,
        input: &Value,
        chance: (&Force, Lot),
    ) -> Result<Value, Fault> {
        let place = regions::find(region).filter(|place| place.enabled());
        let place = place.ok_or_else(|| {
            let message = "The security token included in the request is invalid.";
            Fault::new("UnrecognizedClientException", message)
        })?;
        let (faults, lot) = chance;
        let now = self.now();
        market::refused(faults, lot, action, region, None, now)?;
        let action = services::find(service, action)?;
        let work = |drawer: &mut Drawer| (action.run)(&mut Desk { place, faults, drawer, now }, input);
        self.shelf.work(place.name, action.writes, work).await
    }

    /// Answers S3.
    pub async fn store_or_fetch(
        &self,
        scope: Result<Scope, Fault>,
        request: s3::Request,
        chance: (&Force, Lot),
        id: &str,
    ) -> Response {
        let (now, id) = (self.now(), id.to_owned());
        let region = scope.and_then(|scope| {
            let (faults, lot) = chance;
            market::refused(faults, lot, request.action(), &scope.region, None, now)?;
            Ok(scope.region)
        });
        let region = match region {
            Ok(region) => region,
            Err(fault) => return s3::refuse(&request, fault, &id),
        };
        let buckets = Arc::clone(&self.buckets);
        let work = move || s3::answer(&buckets, &request, &region, now, &id);
        // Objects are read and written where that keeps nobody else waiting.
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| {
            response::ec2_fault(&response::request_id(), &Fault::internal("the sandbox failed"))
        })
    }

    /// The objects of S3.
    pub fn buckets(&self) -> &Buckets {
        &self.buckets
    }

    /// What the endpoint's own clock shows.
    fn clock(&self) -> Moment {
        let skew = self.force().clock_skew;
        let distance = Duration::try_from_secs_f64(skew.abs()).unwrap_or_default();
        // Clients sign by the real time, whatever the cloud's own clock shows.
        let now = Moment::from_time(SystemTime::now());
        if skew < 0.0 { now.minus(distance) } else { now.plus(distance) }
    }

    /// Refuses a request whose signature is wrong, if signatures are to be checked; `service` is the one
    /// that is asked.
    pub fn believe(&self, request: &Signed, scope: &Scope, service: &str) -> Result<(), Fault> {
        let Options { check_signatures, access_key, secret_key, .. } = &self.options;
        if !check_signatures {
            return Ok(());
        }
        let known = Credentials { key: access_key, secret: secret_key };
        let now = self.clock();
        signature::check(request, scope, &known, now).map_err(|doubt| doubt.fault(service, now))
    }

    /// Interrupts a spot instance: `{"instance_id": "i-…", "rebalance": false, "seconds": 120}`.
    pub async fn interrupt(&self, wanted: Value) -> Result<(), Fault> {
        let wanted: Interrupt =
            serde_json::from_value(wanted).map_err(|error| Fault::value(error.to_string()))?;
        {
            let mut held = self.held.lock().await;
            let now = self.now();
            held.cloud.settle(now, pace(&self.options));
            interruptions::ask(&mut held.cloud, &wanted, now)?;
            held.revision += 1;
        }
        // What is due at once has happened when this returns.
        self.take_back().await;
        self.doomed.notify_one();
        Ok(())
    }

    /// Makes things go wrong with a machine: `{"instance_id": "i-…", "faults": {…}}`, or a list of short forms.
    pub async fn spoil(&self, wanted: Value) -> Result<(), Fault> {
        let wanted: Spoil =
            serde_json::from_value(wanted).map_err(|error| Fault::value(error.to_string()))?;
        id::INSTANCE.check(&wanted.instance_id)?;
        let done = self.machines.spoil(&wanted.instance_id, wanted.faults).await;
        done.map_err(|error| refused(&error))
    }

    /// What goes wrong with a machine now; what does not is told only if it is to be `all`.
    pub async fn spoilt(&self, instance: &str, all: bool) -> Result<Value, Fault> {
        id::INSTANCE.check(instance)?;
        self.machines.spoilt(instance, all).await.map_err(|error| refused(&error))
    }

    /// What a machine was asked for, a JSON object per line.
    pub async fn commands(&self, instance: &str) -> Result<String, Fault> {
        id::INSTANCE.check(instance)?;
        self.machines.commands(instance).await.map_err(|error| refused(&error))
    }

    /// Lets another service of AWS keep an interface in a subnet; its id.
    pub async fn hold(&self, wanted: Value) -> Result<String, Fault> {
        let wanted = serde_json::from_value(wanted).map_err(|error| Fault::value(error.to_string()))?;
        self.change(|cloud| holders::hold(cloud, &wanted, self.now())).await
    }

    /// Everything that the account has now.
    pub async fn inventory(&self) -> Vec<Holding> {
        self.look(inventory::of).await.1
    }

    /// Takes such an interface away again.
    pub async fn release(&self, wanted: Value) -> Result<(), Fault> {
        let wanted = serde_json::from_value(wanted).map_err(|error| Fault::value(error.to_string()))?;
        self.change(|cloud| holders::release(cloud, &wanted)).await
    }

    async fn change<T>(&self, change: impl FnOnce(&mut Cloud) -> Result<T, Fault>) -> Result<T, Fault> {
        let (made, revision) = {
            let mut held = self.held.lock().await;
            let made = change(&mut held.cloud)?;
            held.revision += 1;
            (made, held.revision)
        };
        self.save(revision).await.map_err(|error| Fault::internal(format!("the sandbox failed: {error}")))?;
        Ok(made)
    }

    /// Takes spot instances back when their time has come, until `stop`.
    pub async fn tend(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let next = self.take_back().await.unwrap_or_else(|| self.now().plus(IDLE));
            let clock = &self.options.clock;
            if clock.is_uneven() {
                // Nobody waits for an answer: a failure to store shows when the clock is moved.
                let _ = clock.store();
            }
            tokio::select! {
                () = clock.sleep_until(next.time()) => {}
                () = tokio::time::sleep(STORE_EVERY), if clock.is_uneven() => {}
                () = tokio::time::sleep(LOOK_INSIDE) => {}
                () = self.doomed.notified() => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Carries out what is due; when something is due next.
    async fn take_back(&self) -> Option<Moment> {
        let told = self.machines.power_offs().await;
        let (steps, revision, next) = {
            let mut held = self.held.lock().await;
            let now = self.now();
            let news = power_off::note(&mut held.cloud, &told, now);
            let mut effects = interruptions::carry_out(&mut held.cloud, now);
            effects.extend(power_off::carry_out(&mut held.cloud, now));
            if news || !effects.is_empty() {
                held.revision += 1;
            }
            let steps = held.steps(effects);
            let next = interruptions::next(&held.cloud).into_iter().chain(power_off::next(&held.cloud)).min();
            (steps, held.revision, next)
        };
        if !steps.is_empty() {
            // Nobody waits for an answer: a failure to store shows at the next request.
            let _ = self.save(revision).await;
            let outcomes = self.carry_out(steps).await;
            let revision = self.note(outcomes).await.0;
            let _ = self.save(revision).await;
        }
        next
    }

    /// Stores what has not been stored yet.
    pub async fn flush(&self) -> Result<()> {
        let revision = self.held.lock().await.revision;
        self.save(revision).await?;
        self.options.clock.store()
    }

    fn run(&self, cloud: &mut Cloud, work: Work<'_>) -> Result<(Xml, Vec<Effect>), Fault> {
        let Work { operation, params, place, force, lot, now, .. } = work;
        let delay = self.options.consistency_delay;
        let generation = cloud.generation.to_string();
        let region = cloud.regions.entry(place.name.to_owned()).or_default();
        region.chance = Chance::of(force.seed.map(|_| lot.number(&generation)));
        let before = if delay.is_zero() { BTreeSet::new() } else { consistency::ids(region) };
        let hidden = consistency::hide(region, operation, params, now, delay);
        let done = self.call(cloud, work);
        let region = cloud.regions.entry(place.name.to_owned()).or_default();
        consistency::restore(region, hidden);
        if !delay.is_zero() && operation.writes {
            consistency::note(region, &before, now, delay);
        }
        done
    }

    fn call(&self, cloud: &mut Cloud, work: Work<'_>) -> Result<(Xml, Vec<Effect>), Fault> {
        let Work { operation, params, place, force, lot, now, console } = work;
        // Copied for the one action that compares regions.
        let elsewhere = match operation.name {
            "GetSpotPlacementScores" => cloud.regions.clone(),
            _ => BTreeMap::new(),
        };
        let mut call = Call {
            params,
            place,
            elsewhere,
            roles: &mut cloud.roles,
            spot_launched: &mut cloud.spot_launched,
            region: cloud.regions.entry(place.name.to_owned()).or_default(),
            addresses: &mut cloud.addresses,
            faults: force,
            lot,
            limit: self.options.limit,
            now,
            console,
            effects: Vec::new(),
        };
        market::refusal(&call, None)?;
        let xml = (operation.run)(&mut call)?;
        Ok((xml, call.effects))
    }

    /// What a dry run answers: the error the action would give, or that there would be none.
    fn rehearse(&self, cloud: &Cloud, work: Work<'_>) -> Fault {
        match self.run(&mut cloud.clone(), work) {
            Err(fault) => fault,
            Ok(_) => {
                let message = "Request would have succeeded, but DryRun flag is set.";
                Fault::with_status(412, "DryRunOperation", message)
            }
        }
    }

    /// Makes `cloud.json` at least as new as `revision`; requests that come together share a write.
    async fn save(&self, revision: u64) -> Result<()> {
        let mut stored = self.stored.lock().await;
        if *stored >= revision {
            return Ok(());
        }
        let (bytes, current) = {
            let held = self.held.lock().await;
            let bytes = serde_json::to_vec(&held.cloud)
                .map_err(|error| Error::internal("cannot encode the sandbox's cloud").with_source(error))?;
            (bytes, held.revision)
        };
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || store.write(&bytes)).await.map_err(|error| {
            Error::internal("writing the sandbox's cloud was cut off").with_source(error)
        })??;
        *stored = current;
        Ok(())
    }

    async fn carry_out(&self, steps: Vec<Step>) -> Vec<Outcome> {
        let each = steps.into_iter().map(|step| async move {
            match step {
                Step::Boot(machine, _gate) => {
                    let id = machine.id.clone();
                    match self.machines.boot(machine).await {
                        Ok(()) => Outcome::Booted,
                        Err(error) => Outcome::NotBooted(id, error),
                    }
                }
                Step::Warn(id, warning, gate) => {
                    let _gate = gate.lock().await;
                    // What cannot be told changes nothing: the instance ends all the same.
                    let _ = self.machines.warn(&id, warning).await;
                    Outcome::Told
                }
                Step::Stop(id, gate) => {
                    let _gate = gate.lock().await;
                    match self.machines.stop(&id).await {
                        Ok(()) => Outcome::Told,
                        Err(error) => Outcome::NotBooted(id, error),
                    }
                }
                Step::Restart(machine, gate) => {
                    let _gate = gate.lock().await;
                    let id = machine.id.clone();
                    let stopped = self.machines.stop(&id).await;
                    let done = match stopped {
                        Ok(()) => self.machines.boot(machine).await,
                        Err(error) => Err(error),
                    };
                    match done {
                        Ok(()) => Outcome::Booted,
                        Err(error) => Outcome::NotBooted(id, error),
                    }
                }
                Step::Remove(id, gate) => {
                    let _gate = gate.lock().await;
                    match self.machines.remove(&id).await {
                        Ok(()) => Outcome::Removed(id),
                        Err(error) => Outcome::NotRemoved(id, error),
                    }
                }
            }
        });
        futures::stream::iter(each).buffer_unordered(MACHINES_AT_ONCE).collect().await
    }

    /// Writes down what happened to machines; returns the revision, and what could not be removed.
    async fn note(&self, outcomes: Vec<Outcome>) -> (u64, Option<Error>) {
        let mut held = self.held.lock().await;
        let now = self.now();
        let mut changed = false;
        let mut failure = None;
        for outcome in outcomes {
            match outcome {
                Outcome::Booted | Outcome::Told => {}
                Outcome::NotBooted(id, error) => {
                    held.fail(&id, &error, now);
                    changed = true;
                }
                Outcome::Removed(id) => {
                    held.removed(&id);
                    changed = true;
                }
                Outcome::NotRemoved(id, error) => {
                    failure = Some(error.context(format!("cannot remove the machine of {id}")));
                }
            }
        }
        if changed {
            held.revision += 1;
        }
        (held.revision, failure)
    }
}
