//! Taking back what a run made: the undo of each entry of the journal, the newest first.
//!
//! The rollback is an intent itself, whose parameters are all that it takes back. It is closed when
//! nothing is left to do; killed or interrupted before, the next command that settles open intents
//! goes on with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::context::Context;
use super::record::{Journal, UNATTACHED};
use crate::cloud::{self, Cloud, Fate, Owned, Removal, ResourceKind, Undo};
use crate::error::{Error, Kind, Result};
use crate::ssh::Ssh;
use crate::state::{self, Document, Instance, Intent, IntentId, Writer};
use crate::ui::{Event, Level};

/// The action of the intent.
pub(crate) const ACTION: &str = "Rollback";

/// What one entry of the journal made, or may have made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Made {
    /// The call.
    pub action: String,
    /// Where it went.
    pub region: String,
    /// What takes it back.
    pub undo: Undo,
    /// What it made. Empty when its answer does not say so, or was lost: then the token finds it.
    #[serde(default)]
    pub ids: Vec<String>,
}

/// What a run made that still exists, as far as state knows.
#[derive(Debug, Default)]
pub(crate) struct Remains {
    /// The instances, which cost money.
    pub instances: Vec<Instance>,
    /// Ids of parts of networks, which cost nothing.
    pub parts: Vec<String>,
    /// How many calls ended without an answer that says what they made.
    pub unknown: usize,
    /// Whether these are all instances that the project has.
    pub everything: bool,
}

impl Remains {
    /// What is left of what was made.
    pub fn of(document: &Document, made: &[Made]) -> Remains {
        let ids = || made.iter().flat_map(|made| &made.ids);
        let instances: Vec<Instance> = ids().filter_map(|id| document.instance(id)).cloned().collect();
        let known = |id: &&String| document.networks().iter().any(|network| network.created.contains(*id));
        Remains {
            everything: instances.len() == document.instance_count(),
            parts: ids().filter(known).cloned().collect(),
            unknown: made.iter().filter(|made| made.is_open()).count(),
            instances,
        }
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.instances.is_empty() && self.parts.is_empty() && self.unknown == 0
    }

    /// What there is and what it costs, in words: `3 instances, about $0.0312 an hour: i-1, i-2, i-3`.
    pub fn in_words(&self) -> String {
        let mut words = Vec::new();
        if !self.instances.is_empty() {
            let cost: f64 = self.instances.iter().filter_map(|instance| instance.price).sum();
            let cost = if cost > 0.0 { format!(", about ${cost:.4} an hour") } else { String::new() };
            let ids: Vec<&str> = self.instances.iter().map(|instance| instance.id.as_str()).collect();
            let counted = counted(self.instances.len(), "instance");
            words.push(format!("{counted} of this run exist{}{cost}: {}", one(ids.len()), ids.join(", ")));
        }
        if !self.parts.is_empty() {
            let counted = counted(self.parts.len(), "part");
            words.push(format!("{counted} of its networks, free of charge: {}", self.parts.join(", ")));
        }
        if self.unknown > 0 {
            words.push(format!("{} of which it is not known what it made", counted(self.unknown, "call")));
        }
        words.join("; ")
    }

    /// The command that removes it, and nothing else that costs money.
    pub fn remove_with(&self, spot: &str) -> String {
        if self.everything || self.instances.is_empty() {
            return format!("{spot} destroy");
        }
        let ids: Vec<&str> = self.instances.iter().map(|instance| instance.id.as_str()).collect();
        format!("{spot} destroy {}", ids.join(" "))
    }
}

/// `1 host`, `3 hosts`.
fn counted(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

/// The ending of a verb.
fn one(number: usize) -> &'static str {
    if number == 1 { "s" } else { "" }
}

impl Made {
    /// Whether the token has to find what it made.
    fn is_open(&self) -> bool {
        // A launch template goes with its launch; one that is left costs nothing.
        self.ids.is_empty() && self.undo.remove != ResourceKind::LaunchTemplate
    }
}

/// What a rollback came to.
#[derive(Debug, Default)]
pub(crate) struct RolledBack {
    /// Ids of what was removed, or was gone already.
    pub removed: Vec<String>,
    /// What stays on purpose (protected), each with its reason.
    pub left: Vec<String>,
    /// What refused to go, or could not be asked about.
    pub failed: Vec<Error>,
}

/// Takes back what a run made.
///
/// # Errors
/// When it cannot be written down that it is to be taken back: then nothing was touched.
pub(crate) fn roll_back(spot: &Context, made: Vec<Made>) -> Result<RolledBack> {
    let writer = spot.writer()?;
    let id = writer.started(Intent {
        action: ACTION.to_owned(),
        parameters: json!({ "made": made }),
        ..Intent::default()
    })?;
    carry_out(spot, &writer, id, made)
}

/// Goes on with a rollback that an earlier run did not complete.
///
/// # Errors
/// When its record cannot be understood, or the cloud cannot be spoken to at all.
pub(crate) fn resume(spot: &Context, writer: &Writer, open: &state::OpenIntent) -> Result<RolledBack> {
    let made = open.intent.parameters.get("made").cloned().unwrap_or_default();
    let made: Vec<Made> = serde_json::from_value(made).map_err(|error| {
        Error::state(format!("the rollback of {} cannot be understood", open.since)).with_source(error)
    })?;
    carry_out(spot, writer, open.id, made)
}

fn carry_out(spot: &Context, writer: &Writer, id: IntentId, made: Vec<Made>) -> Result<RolledBack> {
    let mut regions: BTreeMap<String, Vec<Made>> = BTreeMap::new();
    for made in made {
        regions.entry(made.region.clone()).or_default().push(made);
    }
    let site = Arc::new(Site {
        context: spot.clone(),
        cloud: spot.cloud()?,
        journal: Journal::new(spot)?,
        writer: writer.clone(),
        hosts: spot.host_keys().ok(),
    });
    let work = regions.into_iter().map(|(region, made)| {
        let site = Arc::clone(&site);
        async move { site.undo(&region, made).await }
    });
    let work: Vec<_> = work.collect();
    let parts = spot.runtime().finish(async move { Ok(join_all(work).await) })?;
    let mut whole = RolledBack::default();
    for part in parts {
        whole.removed.extend(part.removed);
        whole.left.extend(part.left);
        whole.failed.extend(part.failed);
    }
    // What failed is tried again by the next command: the intent stays open for it.
    if whole.failed.is_empty() {
        writer.succeeded(id, json!({ "removed": whole.removed, "left": whole.left }), Vec::new())?;
    }
    Ok(whole)
}

/// Where a rollback takes place.
struct Site {
    context: Context,
    cloud: Arc<dyn Cloud>,
    journal: Journal,
    writer: Writer,
    /// Knows the keys of hosts, if they can be reached: they are forgotten with their host.
    hosts: Option<Ssh>,
}

impl Site {
    /// Takes back what was made in a region, the newest first. It ends at what refuses to go: what was
    /// made before holds it.
    async fn undo(&self, region: &str, made: Vec<Made>) -> RolledBack {
        let mut done = RolledBack::default();
        for stage in stages(made) {
            match self.undo_stage(region, &stage).await {
                Ok(removals) => done.add(region, removals),
                Err(error) => done.failed.push(error.context(region.to_owned())),
            }
            if !done.failed.is_empty() {
                break;
            }
        }
        done
    }

    async fn undo_stage(&self, region: &str, stage: &[Made]) -> Result<Vec<Removal>> {
        let mut resources = Vec::new();
        for made in stage {
            resources.extend(self.resources(region, made).await?);
        }
        if resources.is_empty() {
            return Ok(Vec::new());
        }
        let removals = self.cloud.remove(region, &resources, &self.journal).await?;
        let gone = removals.iter().filter(|removal| matches!(removal.fate, Fate::Removed | Fate::Gone));
        for removal in gone {
            self.forget(region, removal.kind, &removal.id).await?;
        }
        Ok(removals)
    }

    /// What an entry made: as it says itself, otherwise as its token finds it.
    async fn resources(&self, region: &str, made: &Made) -> Result<Vec<Owned>> {
        if !made.ids.is_empty() {
            return Ok(made.ids.iter().map(|id| Owned::new(made.undo.remove, id, region)).collect());
        }
        let intent = cloud::Intent {
            action: made.action.clone(),
            region: region.to_owned(),
            token: made.undo.token.clone(),
            deployment: String::new(),
            parameters: serde_json::Value::Null,
            undo: Some(made.undo.clone()),
        };
        let found = self.cloud.settle(&intent).await?;
        let alive = found.instances.into_iter().filter(|instance| !instance.state.is_ending());
        let instances = alive.map(|it| Owned::new(ResourceKind::Instance, it.id, region));
        Ok(instances.chain(found.resources).collect())
    }

    /// Makes state forget what is gone.
    async fn forget(&self, region: &str, kind: ResourceKind, id: &str) -> Result<()> {
        if kind == ResourceKind::Instance {
            let known = self.writer.instance(id);
            self.writer.remove(id)?;
            if let Some(known) = known {
                self.context.emit(Event::Host {
                    id: id.to_owned(),
                    region: region.to_owned(),
                    zone: known.zone,
                    instance_type: known.instance_type,
                    address: known.public_ip,
                    phase: "terminated".to_owned(),
                    detail: None,
                    failed: false,
                    hourly: None,
                });
            }
            if let Some(hosts) = &self.hosts
                && let Err(error) = hosts.forget(id).await
            {
                self.context
                    .message(Level::Warning, format!("the key of {id} is still known: {}", error.message()));
            }
            return Ok(());
        }
        let made_it = |network: &&state::Network| {
            network.region == region
                && (network.created.iter().any(|made| made == id) || network.vpc_id == id)
        };
        let Some(mut network) =
            self.writer.with(|document| document.networks().iter().find(made_it).cloned())
        else {
            return Ok(());
        };
        network.created.retain(|made| made != id);
        network.subnet_ids.retain(|subnet| subnet != id);
        network.security_group_id = network.security_group_id.filter(|group| group != id);
        // What is left of a network that the project has nothing of is somebody else's.
        if network.created.is_empty() || network.vpc_id == id || network.vpc_id == UNATTACHED {
            self.writer.remove_network(region, &network.vpc_id)?;
            return Ok(());
        }
        self.writer.put_network(network)
    }
}

impl RolledBack {
    fn add(&mut self, region: &str, removals: Vec<Removal>) {
        for Removal { kind, id, fate } in removals {
            match fate {
                Fate::Removed | Fate::Gone => self.removed.push(id),
                Fate::Left(reason) => self.left.push(format!("{kind} {id} in {region}: {reason}")),
                Fate::Failed(error) => self.failed.push(error.context(format!("{kind} {id} in {region}"))),
            }
        }
    }

    /// Whether an interrupt ended it.
    pub fn is_interrupted(&self) -> bool {
        self.failed.iter().any(|error| error.kind() == Kind::Interrupted)
    }
}

/// Entries that are taken back together: neighbours of one kind, the newest first.
fn stages(made: Vec<Made>) -> Vec<Vec<Made>> {
    let mut stages: Vec<Vec<Made>> = Vec::new();
    for made in made.into_iter().rev() {
        match stages.last_mut() {
            Some(stage) if stage.iter().all(|other| other.undo.remove == made.undo.remove) => {
                stage.push(made)
            }
            _ => stages.push(vec![made]),
        }
    }
    stages
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(action: &str, remove: ResourceKind, ids: &[&str]) -> Made {
        Made {
            action: action.to_owned(),
            region: "us-west-2".to_owned(),
            undo: Undo { remove, token: format!("t-{action}") },
            ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        }
    }

    #[test]
    fn the_newest_goes_first_and_neighbours_of_a_kind_together() {
        let journal = vec![
            made("CreateVpc", ResourceKind::Vpc, &["vpc-1"]),
            made("CreateSubnet", ResourceKind::Subnet, &["subnet-1"]),
            made("CreateSubnet", ResourceKind::Subnet, &["subnet-2"]),
            made("CreateSecurityGroup", ResourceKind::SecurityGroup, &["sg-1"]),
            made("CreateFleet", ResourceKind::Instance, &["i-1"]),
            made("CreateFleet", ResourceKind::Instance, &["i-2", "i-3"]),
        ];
        let ids: Vec<Vec<String>> = stages(journal)
            .into_iter()
            .map(|stage| stage.into_iter().flat_map(|made| made.ids).collect())
            .collect();
        assert_eq!(
            ids,
            [vec!["i-2", "i-3", "i-1"], vec!["sg-1"], vec!["subnet-2", "subnet-1"], vec!["vpc-1"]]
        );
    }

    #[test]
    fn the_command_names_the_instances_unless_they_are_all_there_is() {
        let instance = |id: &str| Instance { price: Some(0.01), ..Instance::new(id, "us-west-2") };
        let some = Remains { instances: vec![instance("i-1"), instance("i-2")], ..Remains::default() };
        assert_eq!(some.remove_with("spot"), "spot destroy i-1 i-2");
        assert_eq!(some.in_words(), "2 instances of this run exist, about $0.0200 an hour: i-1, i-2");
        let all = Remains { instances: vec![instance("i-1")], everything: true, ..Remains::default() };
        assert_eq!(all.remove_with("spot --sandbox"), "spot --sandbox destroy");
        assert!(all.in_words().starts_with("1 instance of this run exists, "), "{}", all.in_words());
        let parts = Remains { parts: vec!["sg-1".to_owned()], ..Remains::default() };
        assert_eq!(parts.in_words(), "1 part of its networks, free of charge: sg-1");
    }

    #[test]
    fn what_was_made_survives_the_journal_as_data() {
        let made = made("CreateFleet", ResourceKind::Instance, &["i-1"]);
        let value = serde_json::to_value(&made).unwrap();
        assert_eq!(value["undo"], json!({ "remove": "instance", "token": "t-CreateFleet" }));
        assert_eq!(serde_json::from_value::<Made>(value).unwrap(), made);
    }
}
