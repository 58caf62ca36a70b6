//! The one place where text from hosts, tags and services loses its power over the terminal.
//!
//! Renderers that write for people pass every event through [`neutralise`] before they look at it,
//! so that none of them can forget a field.

use std::borrow::Cow;

use super::event::{Chart, Event, Table};
use super::failure::Failure;

/// What stands for a control character that is not part of an escape sequence.
const REPLACEMENT: char = '?';

/// Removes escape sequences and replaces other control characters; tabs and line feeds stay.
///
/// Whole sequences (colours, cursor movement, titles, hyperlinks) vanish, as programs on hosts print
/// them in good faith. Directional overrides, which make text read as something else, are replaced.
pub fn clean(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let after = &rest[character.len_utf8()..];
        rest = match character {
            '\u{1b}' => after_escape(after),
            '\u{9b}' => after_control_sequence(after),
            '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => after_string(after),
            '\r' if after.starts_with('\n') || after.is_empty() => after,
            _ => {
                result.push(if is_unsafe(character) { REPLACEMENT } else { character });
                after
            }
        };
    }
    Cow::Owned(result)
}

/// [`clean`] for text that has to stay on one line: line breaks and tabs become spaces.
pub fn clean_line(text: &str) -> Cow<'_, str> {
    let cleaned = clean(text);
    if !cleaned.contains(['\n', '\t']) {
        return cleaned;
    }
    Cow::Owned(cleaned.trim_end_matches('\n').replace(['\n', '\t'], " "))
}

/// [`clean`] for a line of a command's output. Of a line that was rewritten with carriage returns
/// (a progress bar) the last writing counts, as it would on a terminal.
pub fn clean_output(line: &str) -> String {
    let line = line.trim_end_matches(['\r', '\n']);
    let last = line.rsplit('\r').find(|part| !part.is_empty()).unwrap_or_default();
    clean(last).replace('\n', " ")
}

/// Whether a terminal could take the character for anything but a letter to show.
pub fn is_unsafe(character: char) -> bool {
    (character.is_control() && character != '\t' && character != '\n')
        || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

/// What follows the sequence that an ESC (already taken) began.
fn after_escape(text: &str) -> &str {
    let Some(kind) = text.chars().next() else { return text };
    let after = &text[kind.len_utf8()..];
    match kind {
        '[' => after_control_sequence(after),
        ']' | 'P' | 'X' | '^' | '_' => after_string(after),
        // Intermediate bytes (character sets and the like), then one final byte.
        ' '..='/' => {
            let rest = after.trim_start_matches(|c| matches!(c, ' '..='/'));
            rest.strip_prefix(|c| matches!(c, '0'..='~')).unwrap_or(rest)
        }
        '0'..='~' => after,
        _ => text,
    }
}

/// What follows the parameters and the final byte of a control sequence.
fn after_control_sequence(text: &str) -> &str {
    let rest = text.trim_start_matches(|c| matches!(c, ' '..='?'));
    rest.strip_prefix(|c| matches!(c, '@'..='~')).unwrap_or(rest)
}

/// What follows a string (a title, a hyperlink) and its terminator. Of an unterminated string only
/// the introducer is dropped, so that nobody can make the rest of a text vanish.
fn after_string(text: &str) -> &str {
    let line = text.split('\n').next().unwrap_or_default();
    let ends = [("\u{7}", 1), ("\u{1b}\\", 2), ("\u{9c}", 2)];
    let end = ends.iter().filter_map(|(end, length)| Some((line.find(end)?, *length))).min();
    end.map_or(text, |(at, length)| &text[at + length..])
}

/// The event with every text in it made harmless. Text for standard output ([`Event::Data`]) is left
/// to its writer: a program reading it from a pipe gets it unchanged.
pub fn neutralise(mut event: Event) -> Event {
    // Every field is named, so that a new one cannot slip through unseen.
    match &mut event {
        Event::Message { level: _, text, hint } => {
            block(text);
            hint.iter_mut().for_each(block);
        }
        Event::Error(failure) => neutralise_failure(failure),
        Event::StepStarted { id: _, parent: _, title } => line(title),
        Event::StepEnded { id: _, title, ok: _, seconds: _, detail } => {
            line(title);
            detail.iter_mut().for_each(line);
        }
        Event::Output { host, stream: _, line: output } => {
            line(host);
            *output = clean_output(output);
        }
        Event::Progress { id: _, title, done: _, total: _, unit: _ } => line(title),
        Event::ProgressEnded { id: _, ok: _ } | Event::ViewEnded { id: _ } | Event::Data(_) => {}
        Event::Account { account } => line(account),
        Event::Host { id, region, zone, instance_type, address, phase, detail, failed: _, hourly: _ } => {
            [id, region, phase].into_iter().for_each(line);
            [zone, instance_type, address, detail].into_iter().flatten().for_each(line);
        }
        Event::Table(table) | Event::View { id: _, table } => neutralise_table(table),
        Event::Chart(Chart { title, unit, series, footer }) => {
            [title, unit, footer].into_iter().flatten().for_each(line);
            series.iter_mut().for_each(|series| line(&mut series.label));
        }
        Event::PlannedCall { service, region, action, summary, parameters, permission } => {
            [service, region, action, summary].into_iter().for_each(line);
            permission.iter_mut().for_each(line);
            let texts = parameters.as_object_mut().into_iter().flat_map(|map| map.values_mut());
            for value in texts {
                if let serde_json::Value::String(text) = value {
                    line(text);
                }
            }
        }
        Event::Call { service, region, action, status: _, request_id, seconds: _, error } => {
            [service, region, action].into_iter().for_each(line);
            [request_id, error].into_iter().flatten().for_each(line);
        }
        Event::PlannedStep { namespace, text, hosts } => {
            [namespace, text].into_iter().for_each(line);
            hosts.iter_mut().for_each(line);
        }
        Event::PlanEnded { complete: _, calls: _, steps: _, hourly: _, unknown, refused: _ } => {
            unknown.iter_mut().for_each(line);
        }
        Event::RunStarted { recipe, origin, spot_version } => {
            [recipe, origin, spot_version].into_iter().for_each(line);
        }
        Event::RunEnded { recipe, ok: _, exit_code: _, seconds: _, timeline } => {
            line(recipe);
            timeline.iter_mut().for_each(|(phase, _)| line(phase));
        }
    }
    event
}

/// [`neutralise`] for a table alone.
pub fn neutralise_table(table: &mut Table) {
    let Table { title, columns, rows, footer } = table;
    title.iter_mut().for_each(line);
    footer.iter_mut().for_each(block);
    columns.iter_mut().for_each(|column| line(&mut column.name));
    rows.iter_mut().flatten().for_each(|cell| line(&mut cell.text));
}

/// [`neutralise`] for an error alone.
pub fn neutralise_failure(failure: &mut Failure) {
    let Failure { kind: _, code, message, hint, causes, retryable: _, exit_code: _, source, frames } =
        failure;
    code.iter_mut().for_each(line);
    block(message);
    hint.iter_mut().for_each(block);
    causes.iter_mut().for_each(block);
    if let Some(frame) = source {
        line(&mut frame.origin);
        // Tabs stay: the caret is placed by them.
        frame.text = clean(&frame.text).replace('\n', " ");
    }
    for frame in frames {
        line(&mut frame.function);
        line(&mut frame.origin);
    }
}

fn block(text: &mut String) {
    if let Cow::Owned(cleaned) = clean(text) {
        *text = cleaned;
    }
}

fn line(text: &mut String) {
    if let Cow::Owned(cleaned) = clean_line(text) {
        *text = cleaned;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::event::Stream;
    use proptest::prelude::*;

    #[test]
    fn whole_sequences_vanish() {
        assert_eq!(clean("\u{1b}[1;32mok\u{1b}[0m"), "ok");
        assert_eq!(clean("\u{1b}[2J\u{1b}[Hcleared"), "cleared");
        assert_eq!(clean("\u{1b}]0;title\u{7}after"), "after");
        assert_eq!(clean("\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\"), "link");
        assert_eq!(clean("\u{1b}(Bplain\u{1b}=\u{1b}c"), "plain");
        assert_eq!(clean("\u{9b}31mred\u{9d}0;t\u{9c}x"), "redx");
        assert_eq!(clean("\u{1b}P1$r\u{1b}\\dcs"), "dcs");
    }

    #[test]
    fn an_unterminated_sequence_hides_nothing() {
        assert_eq!(clean("\u{1b}]0;rm -rf /"), "0;rm -rf /");
        assert_eq!(clean("\u{1b}]0;a\nb\u{7}c"), "0;a\nb?c");
        assert_eq!(clean("a\u{1b}"), "a");
        assert_eq!(clean("a\u{1b}["), "a");
        assert_eq!(clean("\u{1b}é"), "é");
    }

    #[test]
    fn other_control_characters_are_replaced_and_tabs_stay() {
        assert_eq!(clean("a\tb\nc\r\nd"), "a\tb\nc\nd");
        assert_eq!(clean("bell\u{7} back\u{8} del\u{7f} nul\0"), "bell? back? del? nul?");
        assert_eq!(clean("user\u{202e}txt.exe"), "user?txt.exe");
        assert_eq!(clean("überall 日本 👩‍🚀"), "überall 日本 👩‍🚀");
    }

    #[test]
    fn one_line_texts_stay_on_one_line() {
        assert_eq!(clean_line("a\nb\tc\n"), "a b c");
        assert_eq!(clean_output("10%\r50%\r100%\r"), "100%");
        assert_eq!(clean_output("col\tumn\r\n"), "col\tumn");
        assert_eq!(clean_output(""), "");
    }

    #[test]
    fn events_are_cleaned_whole() {
        let evil = "\u{1b}[2Jx\u{7}";
        let host = Event::Host {
            id: evil.into(),
            region: evil.into(),
            zone: Some(evil.into()),
            instance_type: Some(evil.into()),
            address: Some(evil.into()),
            phase: evil.into(),
            detail: Some(evil.into()),
            failed: false,
            hourly: None,
        };
        let table = Event::Table(Table {
            title: Some(evil.into()),
            columns: vec![crate::ui::Column::left(evil)],
            rows: vec![vec![evil.into()]],
            footer: Some(evil.into()),
        });
        let output = Event::Output { host: evil.into(), stream: Stream::Stdout, line: evil.into() };
        for event in [host, table, output] {
            let shown = format!("{:?}", neutralise(event));
            assert!(!shown.contains("\\u{1b}") && !shown.contains("\\u{7}"), "{shown}");
            assert!(shown.contains("x?"), "{shown}");
        }
    }

    proptest! {
        #[test]
        fn nothing_unsafe_survives(text in "[\\x00-\\x1f\\x7f-\\u{9f}\\[\\]();0-9a-zA-Z\\\\é\u{202e} ]{0,40}") {
            prop_assert!(!clean(&text).contains(is_unsafe));
            prop_assert!(!clean_output(&text).contains(['\n', '\r']));
            prop_assert!(!clean_line(&text).contains(['\n', '\t']));
        }
    }
}
