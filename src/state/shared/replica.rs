//! What this machine agreed to last, in `.spot/shared.json`.
//!
//! The file may be lost or damaged: without it nothing counts as removed, and everything that either
//! side has stays.

use std::fs;
use std::io;

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::state::Document;
use crate::state::compact::now;
use crate::state::disk::Disk;
use crate::state::layout::{Layout, replace};

use super::object::Object;

/// The state of the agreement.
#[derive(Debug, Clone)]
pub(super) struct Replica {
    /// Tells this folder from others.
    pub(super) machine: String,
    /// When there was an agreement, RFC 3339; `None` if never.
    pub(super) agreed: Option<String>,
    place: String,
    /// The last record of the journal at that time.
    sequence: u64,
    serial: u64,
    tag: String,
    base: Option<Document>,
}

impl Replica {
    /// No agreement about a place yet.
    pub(super) fn never(place: &str) -> Replica {
        Replica {
            machine: new_name(),
            agreed: None,
            place: place.to_owned(),
            sequence: 0,
            serial: 0,
            tag: String::new(),
            base: None,
        }
    }

    /// The agreement about a place; one about another place counts for nothing. `last` is the number
    /// of the last record in the journal: an older copy of the files was put back if it is less than it was.
    pub(super) fn load(layout: &Layout, place: &str, last: u64) -> Replica {
        let read = fs::read(layout.shared()).ok().and_then(|bytes| Replica::parse(&bytes));
        match read {
            Some(replica) if replica.place == place && replica.sequence <= last => replica,
            Some(replica) if replica.place == place => Replica { base: None, ..replica },
            Some(replica) => Replica { machine: replica.machine, ..Replica::never(place) },
            None => Replica::never(place),
        }
    }

    /// What both sides had, if `object` came after that: one that was put back, lost or written without
    /// regard to ours says nothing of what was removed.
    pub(super) fn base(&self, object: &Object) -> Option<&Document> {
        let tag = object.tag.as_ref()?;
        let follows = object.serial > self.serial || (object.serial == self.serial && *tag == self.tag);
        self.base.as_ref().filter(|_| follows)
    }

    /// Notes an agreement, and writes it down.
    pub(super) fn agree(
        &mut self,
        disk: &dyn Disk,
        layout: &Layout,
        object: &Object,
        sequence: u64,
    ) -> Result<()> {
        let same = self.base.as_ref() == Some(&object.document);
        self.agreed = Some(now());
        self.serial = object.serial;
        self.tag = object.tag.clone().unwrap_or_default();
        self.sequence = sequence;
        if !same {
            self.base = Some(object.document.clone());
        }
        let value = json!({
            "machine": self.machine, "place": self.place, "agreed": self.agreed, "sequence": self.sequence,
            "serial": self.serial, "tag": self.tag, "base": self.base.as_ref().map(Document::to_value),
        });
        let path = layout.shared();
        replace(disk, &path, value.to_string().as_bytes())
            .map_err(|error| layout.explain("cannot write", &path, error))
    }

    fn parse(bytes: &[u8]) -> Option<Replica> {
        let value: Value = serde_json::from_slice(bytes).ok()?;
        let text = |name: &str| value[name].as_str().map(str::to_owned);
        let base = Some(&value["base"]).filter(|base| !base.is_null());
        Some(Replica {
            machine: text("machine")?,
            agreed: text("agreed"),
            place: text("place")?,
            sequence: value["sequence"].as_u64()?,
            serial: value["serial"].as_u64()?,
            tag: text("tag")?,
            base: base.and_then(|base| Document::parse(base.to_string().as_bytes()).ok()),
        })
    }
}

/// Forgets what was agreed to: for files that were put together from what was left of them.
pub(in crate::state) fn forget_base(disk: &dyn Disk, layout: &Layout) -> Result<()> {
    let path = layout.shared();
    match disk.remove(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(layout.explain("cannot remove", &path, error))
        }
        _ => Ok(()),
    }
}

fn new_name() -> String {
    format!("{:016x}", rand::random::<u64>())
}

/// The error of a place that holds the state of another project.
pub(super) fn foreign(place: &str, theirs: &str, ours: &str) -> Error {
    Error::state(format!("{place} holds the state of the project {theirs}, and this folder that of {ours}"))
        .with_code("SharedStateForeign")
        .with_hint(
            "choose another prefix in spot.toml; or, to join that project, remove what this folder has \
             (`spot destroy` with `state` taken out of spot.toml)",
        )
}
