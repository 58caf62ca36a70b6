//! What many hosts said, said once: equal outputs together, different ones as what differs.

use std::collections::BTreeMap;

use similar::{ChangeTag, TextDiff};

/// The hosts that gave one output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Which of the inputs, counted from 0, in order.
    pub members: Vec<usize>,
    /// What they have in common.
    pub output: String,
    /// The lines by which it differs from the output of the largest group, with `-` and `+` before
    /// them and `@` lines between distant places; nothing for that group itself, nor where that
    /// would be no shorter than the output.
    pub difference: Option<String>,
}

/// Puts equal outputs together: the largest group first, then by first member. White space at the
/// end of an output makes no difference.
pub fn fold<'a>(outputs: impl IntoIterator<Item = &'a str>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, output) in outputs.into_iter().enumerate() {
        let output = output.trim_end();
        let at = *known.entry(output).or_insert_with(|| {
            groups.push(Group { members: Vec::new(), output: output.to_owned(), difference: None });
            groups.len() - 1
        });
        if let Some(group) = groups.get_mut(at) {
            group.members.push(index);
        }
    }
    groups.sort_by_key(|group| (std::cmp::Reverse(group.members.len()), group.members.first().copied()));
    if let [majority, others @ ..] = groups.as_mut_slice() {
        for group in others {
            let difference = difference(&majority.output, &group.output);
            let is_shorter = difference.lines().count() < group.output.lines().count();
            group.difference = is_shorter.then_some(difference);
        }
    }
    groups
}

fn difference(from: &str, to: &str) -> String {
    let diff = TextDiff::from_lines(from, to);
    let mut text = String::new();
    for (index, operations) in diff.grouped_ops(0).iter().enumerate() {
        if index > 0 {
            text.push_str("@\n");
        }
        for operation in operations {
            for change in diff.iter_changes(operation) {
                let sign = match change.tag() {
                    ChangeTag::Delete => '-',
                    ChangeTag::Insert => '+',
                    ChangeTag::Equal => continue,
                };
                text.push(sign);
                text.push_str(change.value().trim_end_matches('\n'));
                text.push('\n');
            }
        }
    }
    text.truncate(text.trim_end_matches('\n').len());
    text
}

/// Names of hosts in short: those that differ in their last number only share brackets, as in
/// `web[1-3,7]`. Names keep the order in which their like first came.
pub fn hosts_in_short<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    // By what comes before the number, how many digits a number with leading zeros has, and what
    // comes after it.
    let mut families: Vec<((String, usize, String), Vec<u64>)> = Vec::new();
    for name in names {
        let (key, number) = match numbered(name) {
            Some((before, digits, after)) => {
                let width = if digits.starts_with('0') { digits.len() } else { 0 };
                ((before.to_owned(), width, after.to_owned()), digits.parse().ok())
            }
            None => ((name.to_owned(), 0, String::new()), None),
        };
        match families.iter_mut().find(|(known, numbers)| *known == key && !numbers.is_empty()) {
            Some((_, numbers)) if number.is_some() => numbers.extend(number),
            _ => families.push((key, number.into_iter().collect())),
        }
    }
    let short = families.into_iter().map(|((before, width, after), mut numbers)| {
        numbers.sort_unstable();
        numbers.dedup();
        match numbers.as_slice() {
            [] => before,
            [one] => format!("{before}{one:0width$}{after}"),
            all => format!("{before}[{}]{after}", ranges(all, width)),
        }
    });
    short.collect::<Vec<_>>().join(",")
}

/// A name around its last number, unless the number is too long to be one, or part of an id.
fn numbered(name: &str) -> Option<(&str, &str, &str)> {
    let end = name.rfind(|c: char| c.is_ascii_digit())? + 1;
    let start = name.get(..end)?.rfind(|c: char| !c.is_ascii_digit()).map_or(0, |at| at + 1);
    // The character before may have several bytes.
    let start = (start..end).find(|at| name.is_char_boundary(*at))?;
    let digits = name.get(start..end)?;
    let is_id = name.starts_with("i-") && name.len() >= 10;
    (digits.len() <= 9 && !is_id)
        .then(|| (name.get(..start).unwrap_or_default(), digits, name.get(end..).unwrap_or_default()))
}

fn ranges(numbers: &[u64], width: usize) -> String {
    let runs = numbers.chunk_by(|before, after| before + 1 == *after);
    let texts = runs.map(|run| match run {
        [first, .., last] => format!("{first:0width$}-{last:0width$}"),
        run => run.iter().map(|one| format!("{one:0width$}")).collect(),
    });
    texts.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_outputs_are_one_and_others_differ_from_the_majority() {
        let usual = "kernel 6.1\ndisk 20G\nload low\n";
        let groups =
            fold([usual, "kernel 5.4\ndisk 20G\nload low\n", usual, "kernel 6.1\ndisk 20G\nload low"]);
        assert_eq!(groups.len(), 2);
        assert_eq!((&groups[0].members[..], groups[0].difference.as_deref()), (&[0, 2, 3][..], None));
        assert_eq!(groups[1].members, [1]);
        assert_eq!(groups[1].difference.as_deref(), Some("-kernel 6.1\n+kernel 5.4"));
        let far = fold(["a\nb\nc\nd\nd\ne", "a\nb\nc\nd\nd\ne", "A\nb\nc\nd\nd\nE"]);
        assert_eq!(far[1].difference.as_deref(), Some("-a\n+A\n@\n-e\n+E"));
        // Nothing is gained by saying what a name is not.
        let names = fold(["web-1", "web-2", "web-3"]);
        assert_eq!(names.iter().map(|group| &group.difference).collect::<Vec<_>>(), [&None, &None, &None]);
        assert_eq!(fold([]), []);
    }

    #[test]
    fn names_that_differ_in_a_number_share_brackets() {
        for (names, short) in [
            (&["web1", "web2", "web3"][..], "web[1-3]"),
            (&["web3", "db1", "web1", "web2", "web7"], "web[1-3,7],db1"),
            (&["n08.example", "n09.example", "n10.example"], "n[08-09].example,n10.example"),
            (&["alone", "alone2"], "alone,alone2"),
            (&["i-0123456789abcdef0", "i-0123456789abcdef1"], "i-0123456789abcdef0,i-0123456789abcdef1"),
            (&["ü1", "ü2", "7", "8"], "ü[1-2],[7-8]"),
            (&[], ""),
        ] {
            assert_eq!(hosts_in_short(names.iter().copied()), short);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_names_will_do(names in proptest::collection::vec("[a-zäé0-9.-]{0,12}", 0..8)) {
            let _ = hosts_in_short(names.iter().map(String::as_str));
        }
    }
}
