//! The journal that is being written: one appended line per change.

use std::fs::File;
use std::sync::Arc;

use super::disk::Disk;
use super::layout::Layout;
use super::record::{Line, Record};
use super::replay::{Replay, Tail};
use crate::error::Result;

/// The open journal of the one writer.
pub(super) struct Journal {
    disk: Arc<dyn Disk>,
    layout: Layout,
    file: File,
    /// The length of what was acknowledged.
    length: u64,
    /// The number of the last record that was acknowledged.
    last: u64,
    /// The number of the last record that `instances.json` had when this file was begun.
    base: u64,
    /// Whether there may be more in the file than was acknowledged.
    spoilt: bool,
    /// Whether the file's name is known to be on the disk.
    named: bool,
}

impl Journal {
    /// Opens the journal whose contents are `replay`, and takes away what an interrupted write left.
    pub(super) fn open(disk: Arc<dyn Disk>, layout: Layout, replay: &Replay) -> Result<Self> {
        let path = layout.journal();
        let file = disk.open(&path).map_err(|e| layout.explain("cannot open", &path, e))?;
        disk.tighten(&path, 0o600).map_err(|e| layout.explain("cannot make private", &path, e))?;
        let (length, last, base) = (replay.whole, replay.highest, replay.base().0);
        let spoilt = replay.tail == Tail::Torn;
        let mut journal = Journal { disk, layout, file, length, last, base, spoilt, named: false };
        journal.roll_back()?;
        if replay.tail == Tail::Unended {
            journal.rewrite(&replay.lines)?;
        }
        Ok(journal)
    }

    /// Bytes in the file.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The number of the last record.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Takes everything up to `last` for used, so that its numbers are not given out again.
    pub(super) fn skip_to(&mut self, last: u64) {
        self.last = self.last.max(last);
    }

    /// Whether there is any record that was not in `instances.json` when this file was begun.
    pub(super) fn has_news(&self) -> bool {
        self.last > self.base
    }

    /// Appends records, and returns them with their numbers once they are on the disk.
    ///
    /// # Errors
    /// The disk is full or broken. Then none of the records is in the journal, what was there before
    /// still is, and the next call may succeed.
    pub(super) fn append(&mut self, at: &str, records: Vec<Record>) -> Result<Vec<Line>> {
        let mut lines = Vec::with_capacity(records.len());
        let mut bytes = Vec::new();
        for (sequence, record) in (self.last + 1..).zip(records) {
            let line = Line { sequence, at: at.to_owned(), record };
            bytes.extend(line.encode()?);
            lines.push(line);
        }
        self.roll_back()?;
        if let Err(error) = self.write(&bytes) {
            self.spoilt = true;
            // If even this fails, the next append tries again before it writes.
            let _ = self.roll_back();
            return Err(self.layout.explain("cannot append to", &self.layout.journal(), error));
        }
        self.length += bytes.len() as u64;
        self.last += lines.len() as u64;
        Ok(lines)
    }

    /// Begins the file anew with these lines, in one step.
    pub(super) fn rewrite(&mut self, lines: &[Line]) -> Result<()> {
        let mut bytes = Vec::new();
        for line in lines {
            bytes.extend(line.encode()?);
        }
        let path = self.layout.journal();
        let temporary = path.with_extension("jsonl.tmp");
        let disk = self.disk.as_ref();
        let written = disk.create(&temporary).and_then(|file| {
            disk.append(&file, &bytes)?;
            disk.sync(&file)?;
            disk.rename(&temporary, &path)?;
            Ok(file)
        });
        self.file = written.map_err(|e| self.layout.explain("cannot rewrite", &path, e))?;
        self.length = bytes.len() as u64;
        self.base = match lines.first() {
            Some(Line { sequence, record: Record::Base { .. }, .. }) => *sequence,
            _ => 0,
        };
        self.last = lines.iter().map(|line| line.sequence).max().unwrap_or(0);
        self.spoilt = false;
        // Until its folder is synced, a crash could bring the former file back: the next append, which
        // would be lost with that, syncs it first.
        self.named = false;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        if !self.named {
            self.disk.sync_folder(&self.layout.folder())?;
            self.named = true;
        }
        self.disk.append(&self.file, bytes)?;
        self.disk.sync(&self.file)
    }

    fn roll_back(&mut self) -> Result<()> {
        if !self.spoilt {
            return Ok(());
        }
        let done = self.disk.truncate(&self.file, self.length).and_then(|()| self.disk.sync(&self.file));
        done.map_err(|e| self.layout.explain("cannot repair", &self.layout.journal(), e))?;
        self.spoilt = false;
        Ok(())
    }
}
