//! Collecting a stream: whole lines for whoever watches, head and tail for whoever asks later.

use std::collections::VecDeque;

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
}

impl Capture {
    /// Keeps at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        let head_limit = limit.div_ceil(2);
        Capture {
            head: Vec::new(),
            tail: VecDeque::new(),
            head_limit,
            tail_limit: limit - head_limit,
            left_out: 0,
        }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
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

    /// The text, with a line in place of what was left out, and the number of bytes left out.
    pub fn finish(self) -> (String, u64) {
        let tail: Vec<u8> = self.tail.into();
        if self.left_out == 0 {
            let mut all = self.head;
            all.extend_from_slice(&tail);
            return (String::from_utf8_lossy(&all).into_owned(), 0);
        }
        let text = format!(
            "{}\n[... {} bytes left out ...]\n{}",
            String::from_utf8_lossy(&self.head),
            self.left_out,
            String::from_utf8_lossy(&tail)
        );
        (text, self.left_out)
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
        let mut capture = Capture::new(limit);
        pieces.iter().for_each(|piece| capture.push(piece));
        capture.finish()
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
