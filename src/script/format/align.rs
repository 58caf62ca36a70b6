//! Values and comments of neighbouring lines, below each other where the author began to put them so.

use unicode_width::UnicodeWidthStr;

use super::Line;

/// A place within a line, as a byte, and whether the author had put what stands there at a distance.
type Place = Option<(usize, bool)>;

pub(super) fn align(lines: &mut [Line]) {
    each_run(lines, |line| line.value);
    each_run(lines, |line| line.remark);
}

/// Moves what stands at a place to the same column in each run of lines that have such a place.
fn each_run(lines: &mut [Line], place: impl Fn(&Line) -> Place) {
    let place = |line: &Line| if line.fixed { None } else { place(line) };
    let mut at = 0;
    while let Some(first) = lines.get(at) {
        let indent = first.indent;
        let run = lines.get(at..).unwrap_or_default().iter();
        let length = run.take_while(|line| line.indent == indent && place(line).is_some()).count();
        let run = lines.get_mut(at..at + length).unwrap_or_default();
        if run.iter().any(|line| place(line).is_some_and(|(_, apart)| apart)) {
            let column = |line: &Line| place(line).map_or(0, |(byte, _)| width(line, byte));
            let widest = run.iter().map(column).max().unwrap_or(0);
            for line in run {
                if let Some((byte, _)) = place(line) {
                    push(line, byte, widest - width(line, byte));
                }
            }
        }
        at += length.max(1);
    }
}

fn width(line: &Line, byte: usize) -> usize {
    // A comment's place is where the space before it begins.
    line.text.get(..byte).unwrap_or_default().trim_end().width()
}

/// Puts spaces into a line; what stands behind them moves.
fn push(line: &mut Line, byte: usize, count: usize) {
    line.text.insert_str(byte.min(line.text.len()), &" ".repeat(count));
    for (other, _) in [&mut line.value, &mut line.remark].into_iter().flatten() {
        if *other > byte {
            *other += count;
        }
    }
}
