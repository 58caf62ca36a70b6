//! Folding the journal into `instances.json`.

use super::disk::Disk;
use super::journal::Journal;
use super::layout::{Layout, replace};
use super::record::{Line, Record};
use super::{Document, backup};
use crate::error::Result;

/// Writes `document`, which has every record of the journal applied, and begins the journal anew with
/// the intents that are still open. Returns the size of `instances.json` in bytes.
///
/// A crash in between does no harm: the file says up to which record it contains everything, and such
/// records are not applied twice.
pub(super) fn compact(
    disk: &dyn Disk,
    layout: &Layout,
    document: &Document,
    journal: &mut Journal,
) -> Result<u64> {
    let applied = journal.last();
    let text = document.render(applied)?;
    backup::keep(disk, layout, text.as_bytes())?;
    let target = layout.instances_target()?;
    replace(disk, &target, text.as_bytes()).map_err(|e| layout.explain("cannot write", &target, e))?;
    journal.rewrite(&beginning(document, applied))?;
    backup::prune(disk, layout);
    Ok(text.len() as u64)
}

/// The lines that a journal begins with when everything up to `applied` is in `instances.json`.
pub(super) fn beginning(document: &Document, applied: u64) -> Vec<Line> {
    let base = Record::Base { project: document.project().map(str::to_owned) };
    let base = Line { sequence: applied, at: now(), record: base };
    let kept = document.open_intents().map(|open| Line {
        sequence: open.id.0,
        at: open.since.clone(),
        record: Record::Started { intent: open.intent.clone() },
    });
    std::iter::once(base).chain(kept).collect()
}

/// The present time, RFC 3339 in UTC to the second.
pub(super) fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
