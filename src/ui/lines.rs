//! Events as lines that stay: what the terminal's scrollback and the plain log have in common.

use serde_json::Value;

use super::chart;
use super::environment::{Options, Sink};
use super::event::{Chart, Event, Level, Table};
use super::sanitize::{clean, is_unsafe};
use super::style::{Paint, Style};
use super::table::render_table;
use super::units;

/// Whether the user wants to see such an event.
pub(super) fn wanted(event: &Event, options: &Options) -> bool {
    match event {
        Event::Error(_) | Event::Table(_) | Event::Chart(_) | Event::Data(_) => true,
        Event::View { .. } | Event::ViewEnded { .. } => true,
        Event::PlannedCall { .. } | Event::PlannedStep { .. } | Event::PlanEnded { .. } => true,
        Event::Message { level: Level::Error | Level::Warning, .. } => true,
        Event::Message { level: Level::Debug, .. } => options.verbose > 0 && !options.quiet,
        Event::Call { .. } => options.verbose > 1 && !options.quiet,
        _ => !options.quiet,
    }
}

/// `ec2:RunInstances us-west-2 200 in 1.2s, request 8a6b…`
pub(super) fn call(event: &Event, style: &Style) -> Option<String> {
    let Event::Call { service, region, action, status, request_id, seconds, error } = event else {
        return None;
    };
    let end = match (status, error) {
        (Some(status), _) => status.to_string(),
        (None, Some(error)) => format!("no answer ({error})"),
        (None, None) => "no answer".to_owned(),
    };
    let id = request_id.as_ref().map_or_else(String::new, |id| format!(", request {id}"));
    let text = format!("{service}:{action} {region} {end} in {}{id}", units::latency(*seconds));
    Some(message(Level::Debug, &text, None, style))
}

/// `✔ text`, further lines indented, the hint below.
pub(super) fn message(level: Level, text: &str, hint: Option<&str>, style: &Style) -> String {
    let indent = indent(style);
    let body = match level {
        Level::Debug => style.paint(text.trim_end(), Paint::Dim),
        _ => text.trim_end().to_owned(),
    };
    let mut lines = format!("{} {}\n", style.mark(level), body.replace('\n', &format!("\n{indent}")));
    if let Some(hint) = hint {
        let hint = hint.trim_end().replace('\n', &format!("\n{indent}      "));
        lines.push_str(&format!("{indent}{} {hint}\n", style.paint("hint:", Paint::HINT)));
    }
    lines
}

/// `✔ title  12s  detail`
pub(super) fn step_ended(title: &str, ok: bool, seconds: f64, detail: Option<&str>, style: &Style) -> String {
    let mark = style.mark(style.verdict(ok));
    let took = style.paint(&units::duration(seconds), Paint::Dim);
    let detail = detail.map_or_else(String::new, |detail| format!("  {detail}"));
    format!("{mark} {title}  {took}{detail}\n")
}

/// `[i-0abc] line`
pub(super) fn output(host: &str, line: &str, style: &Style) -> String {
    let label = style.paint(&format!("[{host}]"), Paint::of_host(host));
    format!("{label} {line}").trim_end().to_owned() + "\n"
}

/// A host's id as far as it is needed to tell it from others on a narrow screen.
pub(super) fn short_id(id: &str) -> &str {
    const KEPT: usize = 10;
    match id.char_indices().nth(KEPT) {
        Some((end, _)) if id.starts_with("i-") => &id[..end],
        _ => id,
    }
}

/// How a recipe ended, and what took its time.
pub(super) fn run_ended(
    recipe: &str,
    ok: bool,
    exit_code: u8,
    seconds: f64,
    timeline: &[(String, f64)],
    hosts: &str,
    style: &Style,
) -> String {
    let dot = format!(" {} ", style.dot());
    let took = units::duration(seconds);
    let end = match ok {
        true => format!("{recipe} finished in {took}"),
        false => format!("{recipe} failed after {took} (exit code {exit_code})"),
    };
    let facts = [end.as_str(), hosts];
    let facts: Vec<&str> = facts.into_iter().filter(|fact| !fact.is_empty()).collect();
    let mut lines = format!("{} {}\n", style.mark(style.verdict(ok)), facts.join(&dot));
    if !timeline.is_empty() {
        let phases: Vec<String> = timeline
            .iter()
            .map(|(phase, seconds)| format!("{phase} {}", units::duration(*seconds)))
            .collect();
        lines.push_str(&format!("{}{}\n", indent(style), style.paint(&phases.join(&dot), Paint::Dim)));
    }
    lines
}

/// A table for standard output.
pub(super) fn table(table: &Table, columns: usize, sink: &Sink) -> String {
    render_table(table, columns, &sink.style)
}

/// A chart for standard output.
pub(super) fn chart(chart: &Chart, columns: usize, sink: &Sink) -> String {
    chart::render(chart, columns, &sink.style)
}

/// A value for standard output. A terminal gets no control characters; a program gets what there is.
pub(super) fn data(value: &Value, sink: &Sink) -> String {
    let mut text = match value {
        Value::String(text) if sink.tty => clean(text).into_owned(),
        Value::String(text) => text.clone(),
        other => json(&serde_json::to_string_pretty(other).unwrap_or_default()),
    };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// JSON text with every character escaped that could move a cursor; JSON itself escapes only those
/// below U+0020. Outside strings there are no such characters, so the meaning stays.
pub(super) fn json(text: &str) -> String {
    if !text.contains(is_unsafe) {
        return text.to_owned();
    }
    text.chars().fold(String::with_capacity(text.len()), |mut result, character| {
        if is_unsafe(character) {
            result.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            result.push(character);
        }
        result
    })
}

/// Spaces that put text under the text after a mark.
fn indent(style: &Style) -> &'static str {
    if style.unicode { "  " } else { "     " }
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;
    use serde_json::json;

    const UNICODE: Style = Style { color: false, unicode: true };

    #[test]
    fn messages() {
        assert_snapshot!(message(Level::Warning, "two\nlines", Some("one\ntwo"), &UNICODE), @"
        ! two
          lines
          hint: one
                two
        ");
        assert_snapshot!(message(Level::Success, "two\nlines", Some("one\ntwo"), &Style::PLAIN), @"
        ok   two
             lines
             hint: one
                   two
        ");
    }

    #[test]
    fn ends_of_runs() {
        let timeline = [("launch".to_owned(), 12.0), ("setup".to_owned(), 71.5)];
        assert_snapshot!(run_ended("create", true, 0, 83.2, &timeline, "3 hosts: 3 ready", &UNICODE), @"
        ✔ create finished in 1m 23s · 3 hosts: 3 ready
          launch 12s · setup 1m 12s
        ");
        assert_snapshot!(run_ended("create", false, 3, 0.31, &[], "", &Style::PLAIN), @"FAIL create failed after 0.3s (exit code 3)");
    }

    #[test]
    fn short_ids() {
        assert_eq!(short_id("i-0123456789abcdef0"), "i-01234567");
        assert_eq!(short_id("i-0abc"), "i-0abc");
        assert_eq!(short_id("bastion.example.com"), "bastion.example.com");
    }

    #[test]
    fn data_is_whole_on_a_pipe_and_harmless_on_a_terminal() {
        let pipe = Sink { tty: false, columns: usize::MAX, style: Style::PLAIN };
        let tty = Sink { tty: true, ..pipe };
        let colourful = json!("\u{1b}[31mred\u{1b}[0m");
        assert_eq!(data(&colourful, &pipe), "\u{1b}[31mred\u{1b}[0m\n");
        assert_eq!(data(&colourful, &tty), "red\n");
        assert_eq!(data(&json!("line\n"), &pipe), "line\n");
        let map = json!({"id": "i-1\u{9b}2J\u{1b}"});
        assert_eq!(data(&map, &tty), "{\n  \"id\": \"i-1\\u009b2J\\u001b\"\n}\n");
        assert_eq!(serde_json::from_str::<Value>(&data(&map, &tty)).unwrap(), map);
    }
}
