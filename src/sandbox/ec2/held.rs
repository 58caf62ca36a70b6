//! The cloud as one request at a time works on it, and whose turn it is at each machine.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

use super::actions::Effect;
use super::model::chance::Chance;
use super::model::cloud::Cloud;
use super::model::instance::{Ending, State};
use super::model::region::Region;
use super::moment::Moment;
use super::regions::Place;
use super::{Machine, Warning};
use crate::error::Error;
use crate::sandbox::faults::dice::number;

/// What one request at a time works on.
pub(super) struct Held {
    pub cloud: Cloud,
    /// Counts the changes.
    pub revision: u64,
    /// For each instance a lock that whoever starts or removes its machine must hold.
    gates: HashMap<String, Arc<Mutex<()>>>,
}

/// Something to be done to a machine, in its turn.
pub(super) enum Step {
    /// The gate is taken from the moment the instance exists, so that no removal can overtake it.
    Boot(Machine, Option<OwnedMutexGuard<()>>),
    Remove(String, Arc<Mutex<()>>),
    Warn(String, Warning, Arc<Mutex<()>>),
    Stop(String, Arc<Mutex<()>>),
    Restart(Machine, Arc<Mutex<()>>),
}

impl Held {
    /// The cloud as it was loaded.
    pub fn new(cloud: Cloud) -> Self {
        Held { cloud, revision: 0, gates: HashMap::new() }
    }

    /// Makes the resources that a region has from the start, when it is used for the first time.
    /// With a seed it is always the same ones.
    pub fn open(&mut self, place: &Place, seed: Option<u64>) {
        if !self.cloud.regions.contains_key(place.name) {
            let chance = Chance::of(seed.map(|seed| number(seed, &["region", place.name])));
            self.cloud.regions.insert(place.name.to_owned(), Region::new(place, chance));
            self.revision += 1;
        }
    }

    /// Lines effects up; called while the cloud is locked, so that their order is that of the changes.
    pub fn steps(&mut self, effects: Vec<Effect>) -> Vec<Step> {
        let mut steps = Vec::with_capacity(effects.len());
        for effect in effects {
            steps.push(match effect {
                Effect::Boot(machine) => {
                    let gate = self.gates.entry(machine.id.clone()).or_default();
                    let guard = Arc::clone(gate).try_lock_owned().ok();
                    Step::Boot(machine, guard)
                }
                Effect::Restart(machine) => {
                    let gate = Arc::clone(self.gates.entry(machine.id.clone()).or_default());
                    Step::Restart(machine, gate)
                }
                Effect::Stop(id) => {
                    let gate = Arc::clone(self.gates.entry(id.clone()).or_default());
                    Step::Stop(id, gate)
                }
                Effect::Remove(id) => {
                    let gate = Arc::clone(self.gates.entry(id.clone()).or_default());
                    Step::Remove(id, gate)
                }
                Effect::Warn(id, warning) => {
                    let gate = Arc::clone(self.gates.entry(id.clone()).or_default());
                    Step::Warn(id, warning, gate)
                }
            });
        }
        steps
    }

    /// The machine of an instance did not start: it ends as when EC2's own hardware fails.
    pub fn fail(&mut self, id: &str, error: &Error, now: Moment) {
        for region in self.cloud.regions.values_mut() {
            let Some(instance) = region.instances.get_mut(id) else { continue };
            if instance.state == State::Terminated {
                return;
            }
            let code = "Server.InternalError".to_owned();
            let message = format!("{code}: Internal error on launch: {error}");
            instance.state = State::Terminated;
            instance.ending = Some(Ending { at: now, code, message, removed: false });
            let request = instance.spot_request.clone();
            region.release(id);
            if let Some(request) = request.and_then(|id| region.spot_requests.get_mut(&id)) {
                let message = "Your Spot Instance ended because of an internal error.";
                request.turn("closed", "instance-terminated-launch-failure", message, now);
            }
            return;
        }
    }

    /// The machine of an instance is gone.
    pub fn removed(&mut self, id: &str) {
        self.gates.remove(id);
        let instances = self.cloud.regions.values_mut().filter_map(|region| region.instances.get_mut(id));
        for ending in instances.filter_map(|instance| instance.ending.as_mut()) {
            ending.removed = true;
        }
    }
}
