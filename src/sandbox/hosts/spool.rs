//! What a client has sent and its process has not read yet.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;

use bytes::Bytes;

/// How much waits in memory; the rest waits in a file.
const MEMORY: usize = 8 * 1024 * 1024;
/// How much is read back from the file at once.
const CHUNK: usize = 256 * 1024;

/// A queue of bytes without a limit that matters.
///
/// The connection must never stop reading because one process does not: the same connection carries
/// that process's output, and a process that cannot write its output will not read its input.
#[derive(Default)]
pub(super) struct Spool {
    waiting: VecDeque<Bytes>,
    /// How many bytes `waiting` holds.
    held: usize,
    /// What came after `waiting`, as far as it did not fit.
    file: Option<File>,
    /// The part of the file that is still to be read back.
    read: u64,
    written: u64,
}

impl Spool {
    /// Adds to the end.
    pub(super) fn push(&mut self, data: Bytes) {
        if (self.held >= MEMORY || self.read < self.written) && self.spill(&data) {
            return;
        }
        self.held += data.len();
        self.waiting.push_back(data);
    }

    /// Whether there is nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.read == self.written
    }

    /// What comes next.
    pub(super) fn front(&mut self) -> Option<&[u8]> {
        if self.waiting.is_empty() && self.read < self.written {
            self.refill();
        }
        self.waiting.front().map(|data| &**data)
    }

    /// Removes bytes that [`Spool::front`] gave.
    pub(super) fn advance(&mut self, size: usize) {
        let Some(front) = self.waiting.front_mut() else { return };
        let size = size.min(front.len());
        let _ = front.split_to(size);
        self.held = self.held.saturating_sub(size);
        if front.is_empty() {
            self.waiting.pop_front();
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Spool::default();
    }

    /// Puts data into the file, if that works.
    fn spill(&mut self, data: &[u8]) -> bool {
        if self.file.is_none() {
            self.file = tempfile::tempfile().ok();
        }
        let Some(file) = &self.file else { return false };
        let stored = file.write_all_at(data, self.written).is_ok();
        if stored {
            self.written += data.len() as u64;
        }
        // Data in memory must not overtake what is in the file: once there is some, memory is no way out.
        stored || self.read < self.written
    }

    fn refill(&mut self) {
        let size = usize::try_from(self.written - self.read).unwrap_or(CHUNK).min(CHUNK);
        let mut data = vec![0; size];
        let read = self.file.as_ref().is_some_and(|file| file.read_exact_at(&mut data, self.read).is_ok());
        if !read {
            // A file that cannot be read back is as a connection that broke: the input ends here.
            self.clear();
            return;
        }
        self.read += size as u64;
        if self.read == self.written {
            (self.read, self.written) = (0, 0);
            if let Some(file) = &self.file {
                let _ = file.set_len(0);
            }
        }
        self.held += size;
        self.waiting.push_back(data.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_kept_through_memory_and_file() {
        let (mut spool, mut sent, mut received) = (Spool::default(), 0_u32, 0_u32);
        let block = |number: u32| Bytes::from(number.to_be_bytes().repeat(16 * 1024));
        for round in 0..3 {
            for _ in 0..400 {
                spool.push(block(sent));
                sent += 1;
            }
            assert!(spool.held <= MEMORY + 2 * CHUNK, "round {round}: {} bytes in memory", spool.held);
            // The last round empties it, the others leave something behind.
            while received < sent - if round < 2 { 50 } else { 0 } {
                let mut left = 64 * 1024;
                while left > 0 {
                    let front = spool.front().unwrap();
                    assert_eq!(front[..4], received.to_be_bytes());
                    let size = front.len().min(left).min(40_000);
                    left -= size;
                    spool.advance(size);
                }
                received += 1;
            }
        }
        assert!(spool.is_empty());
        assert!(spool.front().is_none());
    }
}
