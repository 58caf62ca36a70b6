//! Reading a journal back: whole, with a torn tail, or damaged.

use super::record::{LINE_START, Line, Record};

/// What the bytes of a journal hold.
#[derive(Debug, Default)]
pub(super) struct Replay {
    /// Every record that could be read, in the order of the file.
    pub(super) lines: Vec<Line>,
    /// The length up to which the file consists of whole lines.
    pub(super) whole: u64,
    /// What follows that.
    pub(super) tail: Tail,
    /// The first thing that is wrong in the middle, if anything is.
    pub(super) damage: Option<Damage>,
    /// The number, from 1, of the first line that is whole and says what this spot does not know.
    pub(super) newer: Option<usize>,
    /// How many lines could not be read.
    pub(super) unreadable: usize,
    /// The greatest number of a record.
    pub(super) highest: u64,
}

/// What follows the last newline.
#[derive(Debug, Default, PartialEq)]
pub(super) enum Tail {
    /// Nothing.
    #[default]
    None,
    /// A record whose newline is missing or damaged; it is among the lines.
    Unended,
    /// The beginning of a record whose write was cut off, and which was therefore never acknowledged.
    Torn,
}

/// Damage that is not the trace of an interrupted write.
#[derive(Debug, PartialEq)]
pub(super) struct Damage {
    /// The line's number, from 1.
    pub(super) line: usize,
    /// What is wrong with it.
    pub(super) problem: String,
    /// How many records before it are readable.
    pub(super) before: usize,
    /// How many records from it on are readable.
    pub(super) after: usize,
}

impl Replay {
    /// Reads a journal.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut replay = Replay::default();
        for (index, piece) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            match piece.strip_suffix(b"\n") {
                Some(line) => {
                    replay.whole += piece.len() as u64;
                    match Line::decode(line) {
                        Some(line) => replay.accept(index, line),
                        None => replay.recover(index, line),
                    }
                }
                None => replay.read_tail(index, piece),
            }
        }
        let readable = replay.lines.len();
        if let Some(damage) = &mut replay.damage {
            damage.after = readable - damage.before;
        }
        replay
    }

    /// The number of the last record that `instances.json` had when this journal was begun, and the
    /// project it belongs to.
    pub(super) fn base(&self) -> (u64, Option<&str>) {
        match self.lines.first() {
            Some(Line { sequence, record: Record::Base { project }, .. }) => (*sequence, project.as_deref()),
            _ => (0, None),
        }
    }

    fn accept(&mut self, index: usize, line: Line) {
        if let Some(previous) = self.lines.last() {
            let base = self.base().0;
            // Open intents that were kept at compaction have gaps between them; nothing else has.
            let kept = matches!(line.record, Record::Started { .. }) && line.sequence <= base;
            let expected = self.highest + 1;
            let in_order = if kept {
                line.sequence > previous.sequence || matches!(previous.record, Record::Base { .. })
            } else {
                line.sequence == expected
            };
            if !in_order {
                let found = line.sequence;
                self.damaged(index, format!("has record {found} where record {expected} is expected"));
            }
        } else if line.sequence != 1 && !matches!(line.record, Record::Base { .. }) {
            self.damaged(index, format!("has record {} where the first is expected", line.sequence));
        }
        self.push(line);
    }

    fn push(&mut self, line: Line) {
        self.highest = self.highest.max(line.sequence);
        self.lines.push(line);
    }

    /// Takes whole records out of a damaged line: two that became one when the newline between them
    /// was damaged, say.
    fn recover(&mut self, index: usize, line: &[u8]) {
        self.unreadable += 1;
        if Line::is_intact(line) {
            self.newer.get_or_insert(index + 1);
        }
        self.damaged(index, "is damaged".to_owned());
        let windows = line.windows(LINE_START.len()).enumerate();
        let starts = windows.filter(|(_, bytes)| *bytes == LINE_START).map(|(start, _)| start);
        let bounds: Vec<usize> = starts.chain([line.len()]).collect();
        for pair in bounds.windows(2) {
            let &[start, end] = pair else { continue };
            if let Some(line) = line.get(start..end).and_then(decode_with_end) {
                self.push(line);
            }
        }
    }

    fn read_tail(&mut self, index: usize, piece: &[u8]) {
        if let Some(line) = decode_with_end(piece) {
            self.tail = Tail::Unended;
            return self.accept(index, line);
        }
        let begins = piece.starts_with(LINE_START) || LINE_START.starts_with(piece);
        let one_record = !piece.windows(LINE_START.len()).skip(1).any(|bytes| bytes == LINE_START);
        // A file system may have made the file longer without having written what belongs there.
        let zeros = piece.iter().all(|byte| *byte == 0);
        if (begins && one_record) || zeros {
            self.tail = Tail::Torn;
            return;
        }
        self.recover(index, piece);
    }

    fn damaged(&mut self, index: usize, problem: String) {
        let before = self.lines.len();
        self.damage.get_or_insert(Damage { line: index + 1, problem, before, after: 0 });
    }
}

/// A record that may be followed by one byte that was its newline.
fn decode_with_end(piece: &[u8]) -> Option<Line> {
    Line::decode(piece).or_else(|| Line::decode(piece.split_last()?.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(sequence: u64) -> Line {
        let record = Record::Remove { id: format!("i-{sequence}") };
        Line { sequence, at: "2026-01-01T00:00:00Z".into(), record }
    }

    fn journal(sequences: impl IntoIterator<Item = u64>) -> Vec<u8> {
        sequences.into_iter().flat_map(|sequence| line(sequence).encode().unwrap()).collect()
    }

    #[test]
    fn a_torn_tail_is_cut_at_every_byte() {
        let (whole, last) = (journal(1..=3), journal([4]));
        for cut in 0..last.len() {
            let bytes = [whole.as_slice(), &last[..cut]].concat();
            let replay = Replay::of(&bytes);
            assert_eq!(replay.damage, None, "cut at {cut}");
            assert_eq!(replay.whole, whole.len() as u64);
            let (tail, lines) = match cut {
                0 => (Tail::None, 3),
                _ if cut == last.len() - 1 => (Tail::Unended, 4),
                _ => (Tail::Torn, 3),
            };
            assert_eq!((replay.tail, replay.lines.len()), (tail, lines), "cut at {cut}");
        }
        let replay = Replay::of(&[whole.as_slice(), &[0; 40]].concat());
        assert_eq!((replay.tail, replay.damage), (Tail::Torn, None));
    }

    #[test]
    fn damage_in_the_middle_says_where_and_how_much_is_readable() {
        let mut bytes = journal(1..=9);
        let second = journal([1]).len() + 30;
        bytes[second] ^= 4;
        let replay = Replay::of(&bytes);
        let damage = replay.damage.unwrap();
        assert_eq!((damage.line, damage.before, damage.after, replay.unreadable), (2, 1, 7, 1));
        assert_eq!(damage.problem, "is damaged");
    }

    #[test]
    fn a_line_that_somebody_took_out_is_missed() {
        let damage = Replay::of(&journal([1, 2, 4, 5])).damage.unwrap();
        assert_eq!((damage.line, damage.before, damage.after), (3, 2, 2));
        assert_eq!(damage.problem, "has record 4 where record 3 is expected");
        assert!(Replay::of(&journal([2, 3])).damage.is_some());
    }

    #[test]
    fn after_compaction_the_base_and_kept_intents_come_first() {
        let mut lines: Vec<Line> = [50, 7, 9, 51, 52].map(line).into();
        lines[0].record = Record::Base { project: Some("p".into()) };
        lines[1].record = Record::Started { intent: Default::default() };
        lines[2].record = Record::Started { intent: Default::default() };
        let bytes: Vec<u8> = lines.iter().flat_map(|line| line.encode().unwrap()).collect();
        let replay = Replay::of(&bytes);
        assert_eq!(replay.damage, None);
        assert_eq!(replay.base(), (50, Some("p")));
        assert_eq!(replay.highest, 52);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_flipped_bit_never_loses_a_record_silently(count in 1_u64..6, position in any::<prop::sample::Index>(), bit in 0_u8..8) {
            let mut bytes = journal(1..=count);
            let position = position.index(bytes.len());
            bytes[position] ^= 1 << bit;
            let replay = Replay::of(&bytes);
            prop_assert!(replay.damage.is_some() || replay.lines.len() as u64 == count);
            // At most the record that was hit is unreadable.
            prop_assert!(replay.lines.len() as u64 >= count - 1);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), valid in 0_u64..4) {
            let bytes = [journal(1..=valid), bytes].concat();
            let replay = Replay::of(&bytes);
            prop_assert!(replay.lines.len() as u64 >= valid.saturating_sub(1));
        }
    }
}
