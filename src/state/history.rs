//! Who ran what, what it changed and how it ended: `.spot/history.jsonl`, appended to and never rewritten.
//!
//! A run is in it from the moment it takes the right to change the state, so that one that was killed is
//! seen too, as a run that did not end. Its ending is a line of its own. Unlike the journal this is for
//! people: a line that cannot be read is counted, and hides no other.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;

use serde::{Deserialize, Serialize};

use super::compact::now;
use super::lock::Holder;
use super::{Document, Store};
use crate::error::{Error, Result};

/// The beginning of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Began {
    /// Names the run within its project.
    pub run: String,
    /// When it took the right to change the state, RFC 3339.
    pub began: String,
    /// The login name.
    pub user: String,
    /// The machine.
    pub host: String,
    /// The process on that machine.
    pub pid: u32,
    /// The recipe.
    pub recipe: String,
    /// Where the recipe came from.
    #[serde(default)]
    pub origin: String,
    /// What it was given, with secrets left out.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// The version of spot.
    #[serde(default)]
    pub spot_version: String,
}

/// What a run changed in the state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Changes {
    /// Ids of instances that were not known before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<String>,
    /// Ids of instances that are no longer known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
    /// Ids of instances of which something else is known now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<String>,
    /// Networks that were not known before, as `region/vpc`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub networks_added: Vec<String>,
    /// Networks that are no longer known, as `region/vpc`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub networks_removed: Vec<String>,
    /// Names of values that were set, changed or removed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// The run that ended.
    pub run: String,
    /// When, RFC 3339.
    pub ended: String,
    /// How long it took, from the start of the recipe.
    pub seconds: f64,
    /// Its exit code.
    pub exit_code: u8,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What it changed.
    pub changes: Changes,
}

/// A run with its end, if that was written down.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Past {
    /// How it began.
    #[serde(flatten)]
    pub began: Began,
    /// How it ended; none while it runs, and for ever if it was killed.
    pub ended: Option<Ended>,
}

/// The runs of a project.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// Oldest first.
    pub runs: Vec<Past>,
    /// Lines that could not be read.
    pub unreadable: usize,
}

impl Began {
    /// A run of this process that begins now.
    pub fn now(recipe: &str, origin: &str, arguments: Vec<String>) -> Self {
        let Holder { user, host, pid, since, .. } = Holder::here("");
        Began {
            run: format!("{:08x}", rand::random::<u32>()),
            began: since,
            user,
            host,
            pid,
            recipe: recipe.to_owned(),
            origin: origin.to_owned(),
            arguments,
            spot_version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// Its end, now.
    pub fn end(&self, seconds: f64, exit_code: u8, error: Option<String>, changes: Changes) -> Ended {
        Ended { run: self.run.clone(), ended: now(), seconds, exit_code, error, changes }
    }
}

impl Changes {
    /// The difference between two documents.
    pub fn between(before: &Document, after: &Document) -> Self {
        let mut changes = Changes::default();
        for instance in after.instances() {
            match before.instance(&instance.id) {
                None => changes.added.push(instance.id.clone()),
                Some(known) if known != instance => changes.changed.push(instance.id.clone()),
                Some(_) => {}
            }
        }
        let gone = before.instances().filter(|instance| after.instance(&instance.id).is_none());
        changes.removed = gone.map(|instance| instance.id.clone()).collect();
        let absent_in = |document: &Document, other: &Document| {
            let networks = document.networks().iter();
            let absent = networks.filter(|network| other.network(&network.region, &network.vpc_id).is_none());
            absent.map(|network| format!("{}/{}", network.region, network.vpc_id)).collect()
        };
        changes.networks_added = absent_in(after, before);
        changes.networks_removed = absent_in(before, after);
        let names =
            before.values().keys().chain(after.values().keys().filter(|key| before.value(key).is_none()));
        changes.values = names.filter(|key| before.value(key) != after.value(key)).cloned().collect();
        changes
    }

    /// Whether nothing was changed.
    pub fn is_empty(&self) -> bool {
        *self == Changes::default()
    }

    /// What was changed since, after what this says.
    pub fn and(mut self, later: Changes) -> Self {
        // What came and went again within the run is in both lists, which is the truth.
        let join = |into: &mut Vec<String>, more: Vec<String>| {
            let new: Vec<String> = more.into_iter().filter(|id| !into.contains(id)).collect();
            into.extend(new);
        };
        join(&mut self.added, later.added);
        join(&mut self.removed, later.removed);
        join(&mut self.changed, later.changed);
        join(&mut self.networks_added, later.networks_added);
        join(&mut self.networks_removed, later.networks_removed);
        join(&mut self.values, later.values);
        self
    }
}

impl Store {
    /// Writes down that a run begins.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn begin_run(&self, began: &Began) -> Result<()> {
        self.append_history(began)
    }

    /// Writes down how a run ended.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn end_run(&self, ended: &Ended) -> Result<()> {
        self.append_history(ended)
    }

    /// All runs that were written down. A project without any has an empty history.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn history(&self) -> Result<History> {
        let layout = &self.shared().layout;
        let path = layout.history();
        match std::fs::read(&path) {
            Ok(bytes) => Ok(parse(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(History::default()),
            Err(error) => Err(layout.explain("cannot read", &path, error)),
        }
    }

    fn append_history(&self, line: &impl Serialize) -> Result<()> {
        let layout = &self.shared().layout;
        let path = layout.history();
        let mut text = serde_json::to_string(line)
            .map_err(|error| Error::internal("a run cannot be written down").with_source(error))?;
        text.push('\n');
        append(&path, &text).map_err(|error| layout.explain("cannot write", &path, error))
    }
}

/// Appends a line in one write, on a line of its own even after one that was cut short.
fn append(path: &std::path::Path, line: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    let mut last = [b'\n'];
    if file.seek(SeekFrom::End(0))? > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    let torn = last != [b'\n'];
    let text = if torn { format!("\n{line}") } else { line.to_owned() };
    file.write_all(text.as_bytes())
}

fn parse(bytes: &[u8]) -> History {
    let mut history = History::default();
    let mut places = HashMap::new();
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        if let Ok(began) = serde_json::from_slice::<Began>(line) {
            places.insert(began.run.clone(), history.runs.len());
            history.runs.push(Past { began, ended: None });
            continue;
        }
        let Ok(ended) = serde_json::from_slice::<Ended>(line) else {
            history.unreadable += 1;
            continue;
        };
        match places.get(&ended.run).and_then(|place| history.runs.get_mut(*place)) {
            Some(past) => past.ended = Some(ended),
            // The line with its beginning is one of those that could not be read.
            None => history.unreadable += 1,
        }
    }
    history
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use proptest::prelude::*;

    use super::*;
    use crate::state::{Instance, Network};

    fn document(instances: &[(&str, &str)], networks: &[&str]) -> Document {
        let dir = tempfile::tempdir().unwrap();
        let writer = Store::open(dir.path()).writer("test", std::time::Duration::ZERO, &|_| {}).unwrap();
        for (id, phase) in instances {
            let phase = Some((*phase).to_owned());
            writer.put(Instance { phase, ..Instance::new(*id, "r") }).unwrap();
        }
        for vpc in networks {
            writer.put_network(Network::new("r", *vpc)).unwrap();
        }
        writer.document()
    }

    fn texts(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    #[test]
    fn a_run_and_its_end_are_found_together_and_a_killed_one_has_no_end() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path());
        assert_eq!(store.history().unwrap(), History::default());
        store.private_folder().unwrap();
        let first = Began::now("create", "built-in", texts(&["--count", "3"]));
        let second = Began::now("destroy", "built-in", Vec::new());
        store.begin_run(&first).unwrap();
        store.begin_run(&second).unwrap();
        let changes = Changes { added: texts(&["i-1"]), ..Changes::default() };
        let ended = first.end(1.5, 3, Some("one host failed".into()), changes);
        store.end_run(&ended).unwrap();
        let history = store.history().unwrap();
        assert_eq!((history.runs.len(), history.unreadable), (2, 0));
        assert_eq!((&history.runs[0].began, &history.runs[0].ended), (&first, &Some(ended)));
        assert_eq!((&history.runs[1].began, &history.runs[1].ended), (&second, &None));
        let mode = std::fs::metadata(dir.path().join(".spot/history.jsonl")).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn what_changed_is_told_by_id() {
        let before = document(&[("i-1", "ready"), ("i-2", "ready"), ("i-3", "ready")], &["vpc-1"]);
        let after = document(&[("i-2", "ready"), ("i-3", "failed"), ("i-4", "launched")], &["vpc-2"]);
        let changes = Changes::between(&before, &after);
        assert_eq!(changes.added, ["i-4"]);
        assert_eq!(changes.removed, ["i-1"]);
        assert_eq!(changes.changed, ["i-3"]);
        assert_eq!(
            (changes.networks_added, changes.networks_removed),
            (texts(&["r/vpc-2"]), texts(&["r/vpc-1"]))
        );
        assert!(Changes::between(&before, &before).is_empty());
    }

    #[test]
    fn a_torn_line_hides_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path());
        store.private_folder().unwrap();
        let run = Began::now("create", "", Vec::new());
        store.begin_run(&run).unwrap();
        let path = dir.path().join(".spot/history.jsonl");
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str("{\"run\":\"x\",\"beg");
        std::fs::write(&path, text).unwrap();
        store.end_run(&run.end(0.1, 0, None, Changes::default())).unwrap();
        let history = store.history().unwrap();
        assert_eq!((history.runs.len(), history.unreadable), (1, 1));
        assert!(history.runs[0].ended.is_some());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let history = parse(&bytes);
            prop_assert!(history.runs.len() + history.unreadable <= bytes.len());
        }
    }
}
