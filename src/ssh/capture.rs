//! Collecting a stream: whole lines for whoever watches, head and tail for whoever asks later.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::private_file;

/// A line longer than this is handed on in pieces.
const LINE_LIMIT: usize = 64 * 1024;

/// The head and the tail of a stream of bytes, and how much was left out between them.
#[derive(Debug)]
pub struct Capture {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    head_limit: usize,
    tail_limit: usize,
    left_out: u64,
    spill: Spill,
}

/// The whole stream on disk, for what is longer than memory should hold.
#[derive(Debug)]
enum Spill {
    No,
    /// If it comes to that.
    To(PathBuf),
    Open(PathBuf, File),
    Failed(PathBuf, String),
}

/// What was kept of a stream.
#[derive(Debug)]
pub struct Kept {
    /// The text, with a line in place of what was left out.
    pub text: String,
    /// How many bytes were left out.
    pub left_out: u64,
    /// Where all of it is.
    pub file: Option<PathBuf>,
}

impl Capture {
    /// Keeps at most `limit` bytes in memory, and all of a longer stream in the file, if one is named.
    pub fn new(limit: usize, spill: Option<PathBuf>) -> Self {
        let head_limit = limit.div_ceil(2);
        Capture {
            head: Vec::new(),
            tail: VecDeque::new(),
            head_limit,
            tail_limit: limit - head_limit,
            left_out: 0,
            spill: spill.map_or(Spill::No, Spill::To),
        }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.write_through(bytes);
        let room = self.head_limit.saturating_sub(self.head.len());
        let (head, rest) = bytes.split_at(room.min(bytes.len()));
        self.head.extend_from_slice(head);
        // Only the last `tail_limit` bytes can survive: those before need not be moved at all.
        let (skipped, kept) = rest.split_at(rest.len().saturating_sub(self.tail_limit));
        let overflow = (self.tail.len() + kept.len()).saturating_sub(self.tail_limit);
        self.tail.drain(..overflow);
        self.tail.extend(kept);
        self.left_out += (skipped.len() + overflow) as u64;
    }

    /// Writes to the file from the moment that memory does not hold all.
    fn write_through(&mut self, bytes: &[u8]) {
        if let Spill::To(path) = &self.spill {
            if self.head.len() + self.tail.len() + bytes.len() <= self.head_limit + self.tail_limit {
                return;
            }
            let path = path.clone();
            self.spill = match self.begin(&path) {
                Ok(file) => Spill::Open(path, file),
                Err(error) => Spill::Failed(path, error.to_string()),
            };
        }
        if let Spill::Open(path, file) = &mut self.spill
            && let Err(error) = file.write_all(bytes)
        {
            // A full disk is no reason to lose the command.
            self.spill = Spill::Failed(std::mem::take(path), error.to_string());
        }
    }

    fn begin(&self, path: &Path) -> io::Result<File> {
        private_file::create_parent(path)?;
        let mut file = private_file::open_append(path)?;
        file.write_all(&self.head)?;
        let (first, second) = self.tail.as_slices();
        file.write_all(first)?;
        file.write_all(second)?;
        Ok(file)
    }

    /// What was kept.
    pub fn finish(self) -> Kept {
        let tail: Vec<u8> = self.tail.into();
        if self.left_out == 0 {
            let mut all = self.head;
            all.extend_from_slice(&tail);
            return Kept { text: String::from_utf8_lossy(&all).into_owned(), left_out: 0, file: None };
        }
        let (place, file) = match self.spill {
            Spill::Open(path, _) => (format!("; all is in {}", path.display()), Some(path)),
            Spill::Failed(path, error) => {
                (format!("; {} could not be written: {error}", path.display()), None)
            }
            Spill::No | Spill::To(_) => (String::new(), None),
        };
        let text = format!(
            "{}\n[... {} bytes left out{place} ...]\n{}",
            String::from_utf8_lossy(&self.head),
            self.left_out,
            String::from_utf8_lossy(&tail)
        );
        Kept { text, left_out: self.left_out, file }
    }
}

/// Cuts a stream of bytes into lines.
#[derive(Debug, Default)]
pub struct Lines {
    pending: Vec<u8>,
}

impl Lines {
    /// Takes the next bytes and hands on every line they complete, without its line end.
    pub fn push(&mut self, mut bytes: &[u8], on_line: &mut dyn FnMut(&str)) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = bytes.split_at(end);
            self.pending.extend_from_slice(line);
            self.flush(on_line);
            bytes = rest.get(1..).unwrap_or_default();
        }
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= LINE_LIMIT {
            self.flush(on_line);
        }
    }

    /// Hands on a last line without a line end.
    pub fn finish(&mut self, on_line: &mut dyn FnMut(&str)) {
        if !self.pending.is_empty() {
            self.flush(on_line);
        }
    }

    fn flush(&mut self, on_line: &mut dyn FnMut(&str)) {
        let line = self.pending.strip_suffix(b"\r").unwrap_or(&self.pending);
        on_line(&String::from_utf8_lossy(line));
        self.pending.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(limit: usize, pieces: &[&[u8]]) -> (String, u64) {
        let mut capture = Capture::new(limit, None);
        pieces.iter().for_each(|piece| capture.push(piece));
        let kept = capture.finish();
        (kept.text, kept.left_out)
    }

    #[test]
    fn short_output_is_kept_whole() {
        assert_eq!(captured(10, &[b"hello", b"world"]), ("helloworld".into(), 0));
        assert_eq!(captured(10, &[]), (String::new(), 0));
    }

    #[test]
    fn the_middle_is_left_out_and_counted() {
        let expected = ("abc\n[... 4 bytes left out ...]\nhij".to_owned(), 4);
        assert_eq!(captured(6, &[b"abcdefghij"]), expected);
        assert_eq!(captured(6, &[b"ab", b"cd", b"efghi", b"j"]), expected);
        assert_eq!(captured(0, &[b"abc"]), ("\n[... 3 bytes left out ...]\n".into(), 3));
    }

    #[test]
    fn what_memory_does_not_hold_is_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("output/i-1.stdout");
        let mut capture = Capture::new(6, Some(path.clone()));
        capture.push(b"abcdef");
        assert!(!path.exists(), "not before it is needed");
        capture.push(b"gh");
        capture.push(b"ij");
        let kept = capture.finish();
        assert_eq!(std::fs::read(&path).unwrap(), b"abcdefghij");
        assert_eq!(kept.text, format!("abc\n[... 4 bytes left out; all is in {} ...]\nhij", path.display()));
        assert_eq!(kept.file, Some(path.clone()));

        let below = path.join("is/a/file");
        let mut capture = Capture::new(2, Some(below));
        capture.push(b"abcdef");
        let kept = capture.finish();
        assert!(kept.file.is_none() && kept.text.contains("could not be written"), "{}", kept.text);
    }

    proptest::proptest! {
        #[test]
        fn any_cutting_gives_the_same(text in "[a-z]{0,60}", limit in 0_usize..40, cut in 1_usize..7) {
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(cut).collect();
            proptest::prop_assert_eq!(captured(limit, &pieces), captured(limit, &[text.as_bytes()]));
        }
    }

    #[test]
    fn lines_are_cut_wherever_the_bytes_were() {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        let mut on_line = |line: &str| seen.push(line.to_owned());
        for piece in [&b"on"[..], b"e\r\n\nth", b"ree", b"\nno end"] {
            lines.push(piece, &mut on_line);
        }
        lines.finish(&mut on_line);
        assert_eq!(seen, ["one", "", "three", "no end"]);
    }

    #[test]
    fn a_line_without_end_takes_bounded_memory() {
        let mut lines = Lines::default();
        let mut pieces = 0;
        for _ in 0..100 {
            lines.push(&[b'x'; 10_000], &mut |_| pieces += 1);
        }
        assert!(pieces > 10 && lines.pending.len() < LINE_LIMIT);
    }
}
