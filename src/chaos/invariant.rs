//! What must hold after a command, whatever went wrong.

use std::collections::{BTreeMap, BTreeSet};

use super::act::Ended;
use super::plan::{Command, Trouble};
use crate::error::Result;
use crate::sandbox::Sandbox;
use crate::sandbox::ec2::Holding;
use crate::state::{Document, Store};

/// The exit codes with which a command may end when it was called correctly and nobody else holds the
/// state.
const CODES: [i32; 5] = [0, 1, 3, 5, 130];
/// The tag of what belongs to a deployment.
const DEPLOYMENT: &str = "spot:deployment";

/// Cloud and state at one moment.
pub(super) struct View {
    pub cloud: Vec<Holding>,
    pub state: Document,
}

/// What was asked for so far.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// The counts of all commands that create. None inside: nobody knows.
    pub creates: Vec<Option<u32>>,
    /// Whether instances may have been replaced.
    pub replaced: bool,
    /// Whether spot instances may end by themselves.
    pub interrupted: bool,
}

impl View {
    /// Looks.
    ///
    /// # Errors
    /// When the state cannot be read, which is a breach of its own, or the sandbox does not answer.
    pub fn of(sandbox: &Sandbox, folder: &std::path::Path) -> Result<View> {
        Ok(View { cloud: sandbox.inventory()?, state: Store::open(folder).read()? })
    }

    /// The instances that live, those that are ending left out.
    pub fn living(&self) -> impl Iterator<Item = &Holding> {
        self.cloud
            .iter()
            .filter(|held| held.kind == "instance" && held.state.as_deref() != Some("shutting-down"))
    }

    /// The living instances of each deployment.
    pub fn deployments(&self) -> BTreeMap<String, Vec<&Holding>> {
        let mut all: BTreeMap<String, Vec<&Holding>> = BTreeMap::new();
        for instance in self.living() {
            all.entry(instance.tags.get(DEPLOYMENT).cloned().unwrap_or_default()).or_default().push(instance);
        }
        all
    }

    /// Whether something was begun there whose end nobody has seen: the next command that changes
    /// something finds out.
    fn is_open(&self, region: &str) -> bool {
        self.state.open_intents().any(|open| open.intent.region == region)
    }

    /// The regions that the next command looks at.
    fn regions(&self) -> BTreeSet<&str> {
        let instances = self.state.instances().map(|instance| instance.region.as_str());
        let networks = self.state.networks().iter().map(|network| network.region.as_str());
        let open = self.state.open_intents().map(|open| open.intent.region.as_str());
        instances.chain(networks).chain(open).collect()
    }
}

/// What does not hold after a command.
pub(super) fn check(
    command: Command,
    trouble: Trouble,
    ended: &Ended,
    view: &View,
    asked: &Asked,
) -> Vec<String> {
    let mut broken = Vec::new();
    endings(trouble, ended, &mut broken);
    orphans(view, &mut broken);
    doubles(view, asked, &mut broken);
    if ended.code == Some(0) {
        agreement(view, asked, &mut broken);
        fulfilment(command, view, asked, &mut broken);
    } else if matches!(command, Command::Destroy | Command::Nuke) {
        let left = view.cloud.len();
        if let Some(code) = ended.code.filter(|code| ![5, 130].contains(code) && left > 0) {
            broken.push(format!(
                "exit code: {} ended with {code} though {left} things remain: {}",
                command.name(),
                list(&view.cloud)
            ));
        }
    }
    broken
}

/// Exit codes and time limits.
fn endings(trouble: Trouble, ended: &Ended, broken: &mut Vec<String>) {
    let seconds = ended.seconds;
    if ended.stuck {
        broken.push(format!(
            "unbounded wait: it went on after {seconds:.0} s, and did not stop when interrupted"
        ));
    } else if ended.late {
        broken.push(format!("unbounded wait: it had not ended after {seconds:.0} s"));
    }
    match ended.code {
        _ if ended.late => {}
        None if matches!(trouble, Trouble::Kill(_)) => {}
        None => broken.push("exit code: a signal ended it that nobody sent".to_owned()),
        Some(130) if !matches!(trouble, Trouble::Signal(..) | Trouble::Interrupt(..)) => {
            broken.push("exit code: 130 though nobody interrupted it".to_owned());
        }
        Some(code) if !CODES.contains(&code) => broken.push(format!("exit code: {code}")),
        Some(_) => {}
    }
    if let Some(line) = ended.said.iter().find(|line| line.contains("panicked at")) {
        broken.push(format!("panic: {line}"));
    }
}

/// Everything in the cloud is known to state, or can be found by the next command.
fn orphans(view: &View, broken: &mut Vec<String>) {
    let regions = view.regions();
    for held in &view.cloud {
        let known = match held.kind.as_str() {
            "instance" if held.state.as_deref() != Some("shutting-down") => {
                view.state.instance(&held.id).is_some() || view.is_open(&held.region)
            }
            _ => regions.contains(held.region.as_str()),
        };
        if !known {
            broken.push(format!("orphan: {} {} in {} is unknown to state", held.kind, held.id, held.region));
        }
    }
}

/// No more living instances than were asked for: in all, and in each deployment.
fn doubles(view: &View, asked: &Asked, broken: &mut Vec<String>) {
    let Some(counts) = asked.creates.iter().copied().collect::<Option<Vec<u32>>>() else { return };
    let twice = if asked.replaced { 2 } else { 1 };
    let all: u32 = counts.iter().sum();
    let living = view.living().count();
    if living as u64 > u64::from(all * twice) {
        broken.push(format!("duplicate: {living} instances live, {all} were asked for"));
    }
    let most = counts.iter().copied().max().unwrap_or(0) * twice;
    for (deployment, instances) in view.deployments() {
        if instances.len() as u64 > u64::from(most) {
            broken.push(format!(
                "duplicate: deployment {deployment} has {} instances, at most {most} were asked for",
                instances.len()
            ));
        }
    }
}

/// After a command that succeeded, state knows what lives and nothing else.
fn agreement(view: &View, asked: &Asked, broken: &mut Vec<String>) {
    let living: BTreeSet<&str> = view.living().map(|held| held.id.as_str()).collect();
    let gone = |state: Option<&str>| matches!(state, Some("terminated" | "shutting-down"));
    for instance in view.state.instances().filter(|instance| !gone(instance.state.as_deref())) {
        // Of an order to terminate that a killed command gave, nobody knows what came.
        let unknown = asked.interrupted || view.is_open(&instance.region);
        if !living.contains(instance.id.as_str()) && !unknown {
            broken.push(format!("state and cloud disagree: {} is in state and does not live", instance.id));
        }
    }
    // A command that only looks leaves open what a killed one has begun.
    for held in view.living().filter(|held| view.state.instance(&held.id).is_none()) {
        if !view.is_open(&held.region) {
            broken.push(format!("state and cloud disagree: {} lives and is not in state", held.id));
        }
    }
}

/// A command that says 0 has done what it was asked.
fn fulfilment(command: Command, view: &View, asked: &Asked, broken: &mut Vec<String>) {
    match command {
        Command::Create(count) if asked.creates.iter().all(Option::is_some) => {
            // It brings the fleet to that number, whatever there was.
            let launched = view.living().count();
            if launched as u64 != u64::from(count)
                && !(asked.interrupted && (launched as u64) < u64::from(count))
            {
                broken.push(format!("exit code: create said 0, and {launched} of {count} instances live"));
            }
        }
        Command::Destroy | Command::Nuke => {
            if !view.cloud.is_empty() {
                broken.push(format!(
                    "orphan: {} said 0, and there remain: {}",
                    command.name(),
                    list(&view.cloud)
                ));
            }
            // Of what nuke has removed, state forgets what it can; `destroy` then has the last word.
            let (instances, networks) = (view.state.instance_count(), view.state.networks().len());
            let open = view.state.open_intents().count();
            if command == Command::Destroy && instances + networks + open > 0 {
                broken.push(format!(
                    "state and cloud disagree: destroy said 0, and state has {instances} instances, {networks} \
                     networks and {open} open intents"
                ));
            }
        }
        _ => {}
    }
}

/// Things in a few words.
pub(super) fn list(held: &[Holding]) -> String {
    let mut words: Vec<String> =
        held.iter().take(6).map(|held| format!("{} {} in {}", held.kind, held.id, held.region)).collect();
    if held.len() > 6 {
        words.push(format!("and {} more", held.len() - 6));
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Instance;

    fn holding(kind: &str, id: &str, state: Option<&str>) -> Holding {
        Holding {
            kind: kind.to_owned(),
            id: id.to_owned(),
            region: "us-west-2".to_owned(),
            state: state.map(str::to_owned),
            token: None,
            tags: BTreeMap::from([(DEPLOYMENT.to_owned(), "d".to_owned())]),
        }
    }

    fn ended(code: i32) -> Ended {
        Ended { code: Some(code), said: Vec::new(), seconds: 1.0, late: false, stuck: false }
    }

    /// A state with these instances in it.
    fn document(ids: &[&str]) -> Document {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path());
        let writer = store.writer("test", std::time::Duration::ZERO, &|_| {}).unwrap();
        for id in ids {
            writer.put(Instance::new(*id, "us-west-2")).unwrap();
        }
        writer.close().unwrap();
        store.read().unwrap()
    }

    fn broken(command: Command, code: i32, cloud: Vec<Holding>, state: &[&str], count: u32) -> Vec<String> {
        let view = View { cloud, state: document(state) };
        let asked = Asked { creates: vec![Some(count)], ..Asked::default() };
        let mut all = check(command, Trouble::None, &ended(code), &view, &asked);
        all.iter_mut().for_each(|line| line.truncate(line.find(':').unwrap_or(0)));
        all
    }

    #[test]
    fn what_is_well_is_not_reported() {
        let one = || vec![holding("instance", "i-1", Some("running"))];
        assert!(broken(Command::Create(1), 0, one(), &["i-1"], 1).is_empty());
        assert!(broken(Command::Destroy, 0, vec![], &[], 1).is_empty());
        assert!(broken(Command::Destroy, 5, one(), &["i-1"], 1).is_empty());
        assert!(broken(Command::Create(2), 3, one(), &["i-1"], 2).is_empty());
    }

    #[test]
    fn what_a_killed_command_has_begun_is_no_orphan_while_its_intent_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path());
        let writer = store.writer("test", std::time::Duration::ZERO, &|_| {}).unwrap();
        let intent = crate::state::Intent { region: "us-west-2".to_owned(), ..Default::default() };
        writer.started(intent).unwrap();
        writer.close().unwrap();
        let cloud = vec![holding("instance", "i-1", Some("running")), holding("vpc", "vpc-1", None)];
        let view = View { cloud, state: store.read().unwrap() };
        let asked = Asked { creates: vec![Some(1)], ..Asked::default() };
        let found = check(Command::List, Trouble::None, &ended(0), &view, &asked);
        assert!(found.is_empty(), "{found:?}");
        let found = check(Command::Destroy, Trouble::None, &ended(0), &view, &asked);
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn every_breach_is_named() {
        let one = || holding("instance", "i-1", Some("running"));
        let two = || holding("instance", "i-2", Some("pending"));
        assert_eq!(broken(Command::Create(1), 1, vec![one()], &[], 1), ["orphan"]);
        assert_eq!(broken(Command::List, 1, vec![holding("vpc", "vpc-1", None)], &[], 1), ["orphan"]);
        let double = broken(Command::List, 0, vec![one(), two()], &["i-1", "i-2"], 1);
        assert_eq!(double, ["duplicate", "duplicate"]);
        assert_eq!(broken(Command::List, 0, vec![], &["i-1"], 1), ["state and cloud disagree"]);
        assert_eq!(broken(Command::Create(2), 0, vec![one()], &["i-1"], 2), ["exit code"]);
        assert_eq!(broken(Command::List, 70, vec![], &[], 1), ["exit code"]);
        assert_eq!(broken(Command::List, 130, vec![], &[], 1), ["exit code"]);
        assert_eq!(broken(Command::Destroy, 1, vec![one()], &["i-1"], 1), ["exit code"]);
        assert_eq!(
            broken(Command::Destroy, 0, vec![one()], &["i-1"], 1),
            ["orphan", "state and cloud disagree"]
        );
        let late = Ended { late: true, ..ended(0) };
        let view = View { cloud: vec![], state: document(&[]) };
        let found = check(Command::List, Trouble::None, &late, &view, &Asked::default());
        assert!(found[0].starts_with("unbounded wait"), "{found:?}");
    }
}
