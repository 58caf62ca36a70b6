//! The full-screen layout: hosts and log beside or above each other on a screen of their own.
//!
//! What is said meanwhile goes to the log panel, and to the ordinary screen when this one is left, so
//! that the scrollback has all of it in the end.

use std::collections::VecDeque;
use std::time::Instant;

use super::hosts::Order;
use super::live::{Live, Room, within};
use super::measure::{fill, fit, width};
use super::sanitize::clean;
use super::style::{Paint, Style};

/// Lines that the log panel remembers.
const REMEMBERED: usize = 5000;
/// From this width on the panels stand beside each other.
const WIDE: usize = 130;
/// The least lines of the panel of hosts.
const FEWEST: usize = 3;

/// A panel that keys scroll.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Panel {
    #[default]
    Hosts,
    Log,
}

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    /// The other panel.
    Other,
    Sort,
    /// Back to the layout that leaves the scrollback alone.
    Inline,
}

/// The keys in what a terminal sent. What is unknown is passed over.
pub(super) fn keys(bytes: &[u8]) -> Vec<Key> {
    let mut keys = Vec::new();
    let mut rest = bytes;
    while let Some(first) = rest.first() {
        const SEQUENCES: [(&[u8], Key); 12] = [
            (b"\x1b[A", Key::Up),
            (b"\x1bOA", Key::Up),
            (b"\x1b[B", Key::Down),
            (b"\x1bOB", Key::Down),
            (b"\x1b[5~", Key::PageUp),
            (b"\x1b[6~", Key::PageDown),
            (b"\x1b[H", Key::First),
            (b"\x1bOH", Key::First),
            (b"\x1b[1~", Key::First),
            (b"\x1b[F", Key::Last),
            (b"\x1bOF", Key::Last),
            (b"\x1b[4~", Key::Last),
        ];
        if let Some((sequence, key)) = SEQUENCES.iter().find(|(sequence, _)| rest.starts_with(sequence)) {
            keys.push(*key);
            rest = rest.get(sequence.len()..).unwrap_or_default();
            continue;
        }
        keys.extend(match first {
            b'k' => Some(Key::Up),
            b'j' => Some(Key::Down),
            b'b' => Some(Key::PageUp),
            b' ' => Some(Key::PageDown),
            b'g' => Some(Key::First),
            b'G' => Some(Key::Last),
            b'\t' => Some(Key::Other),
            b's' => Some(Key::Sort),
            b'q' => Some(Key::Inline),
            _ => None,
        });
        rest = rest.get(1..).unwrap_or_default();
    }
    keys
}

/// What the layout remembers between two frames.
#[derive(Default)]
pub(super) struct Full {
    log: VecDeque<String>,
    focus: Panel,
    order: Order,
    /// Hosts above the panel.
    skipped: usize,
    /// Lines of the log below the panel; 0 follows what is new.
    behind: usize,
    /// The lines of the two panels in the last frame.
    pages: (usize, usize),
}

impl Full {
    /// Remembers text for the log panel.
    pub(super) fn note(&mut self, text: &str) {
        for line in text.lines() {
            self.log.push_back(line.to_owned());
            // Who looks at something earlier keeps looking at it.
            if self.behind > 0 {
                self.behind += 1;
            }
        }
        let surplus = self.log.len().saturating_sub(REMEMBERED);
        self.log.drain(..surplus);
    }

    /// Does what a key asks for, except for leaving.
    pub(super) fn press(&mut self, key: Key) {
        let page = match self.focus {
            Panel::Hosts => self.pages.0,
            Panel::Log => self.pages.1,
        }
        .max(1);
        let (position, back) = match self.focus {
            Panel::Hosts => (&mut self.skipped, true),
            Panel::Log => (&mut self.behind, false),
        };
        // The log is counted from its end: there, up is more. Frames bring positions into their range.
        let mut go = |up: bool, lines: usize| {
            *position =
                if up == back { position.saturating_sub(lines) } else { position.saturating_add(lines) };
        };
        match key {
            Key::Up => go(true, 1),
            Key::Down => go(false, 1),
            Key::PageUp => go(true, page),
            Key::PageDown => go(false, page),
            Key::First => go(true, usize::MAX),
            Key::Last => go(false, usize::MAX),
            Key::Other => {
                self.focus = if self.focus == Panel::Hosts { Panel::Log } else { Panel::Hosts };
            }
            Key::Sort => {
                self.order = self.order.next();
                self.skipped = 0;
            }
            Key::Inline => {}
        }
    }

    /// The whole screen: exactly as many lines as the room has, none wider than it.
    pub(super) fn frame(
        &mut self,
        live: &Live,
        room: Room,
        style: &Style,
        tick: usize,
        now: Instant,
    ) -> Vec<String> {
        let mut frame: Vec<String> = live.header(room.columns, style, tick, now).into_iter().collect();
        let third = Room { lines: room.lines / 2, ..room };
        let bars = live.bar_lines(third, style, tick, now);
        let steps = live.step_lines(third, style, tick, now);
        let help = self.help(room.columns, style);
        let middle = room.lines.saturating_sub(frame.len() + bars.len() + steps.len() + 1);
        match room.columns >= WIDE {
            true => frame.extend(self.beside(live, Room { lines: middle, ..room }, style, tick, now)),
            false => frame.extend(self.above(live, Room { lines: middle, ..room }, style, tick, now)),
        }
        frame.extend(bars);
        frame.extend(steps);
        frame.resize(room.lines.saturating_sub(1), String::new());
        frame.push(help);
        frame.truncate(room.lines);
        frame.into_iter().map(|line| within(line, room.columns, style)).collect()
    }

    fn above(&mut self, live: &Live, room: Room, style: &Style, tick: usize, now: Instant) -> Vec<String> {
        let views = live.view_lines(room, style).len();
        let wanted = match live.hosts.len() {
            0 if views > 0 => views,
            hosts => hosts.max(1) + 1 + views,
        };
        let log = (self.log.len() + 1).min(room.lines / 3);
        let lines = wanted.min(room.lines.saturating_sub(log)).max(FEWEST.min(room.lines));
        let mut text = self.fleet(live, Room { lines, ..room }, style, tick, now);
        let rest = Room { lines: room.lines.saturating_sub(text.len()), ..room };
        text.extend(self.said(rest, style));
        text
    }

    fn beside(&mut self, live: &Live, room: Room, style: &Style, tick: usize, now: Instant) -> Vec<String> {
        let left = Room { columns: room.columns * 11 / 20, ..room };
        let right = Room { columns: room.columns - left.columns - 3, ..room };
        let mut fleet = self.fleet(live, left, style, tick, now);
        let mut said = self.said(right, style);
        fleet.resize(room.lines, String::new());
        said.resize(room.lines, String::new());
        let bar = style.paint(if style.unicode { "│" } else { "|" }, Paint::Dim);
        let lines = fleet.into_iter().zip(said).map(|(fleet, said)| {
            let fleet = within(fleet, left.columns, style);
            let padding = fill(width(&clean(&fleet)), left.columns);
            format!("{fleet}{padding} {bar} {said}")
        });
        lines.collect()
    }

    /// The views and the hosts, below a title that says which.
    fn fleet(&mut self, live: &Live, room: Room, style: &Style, tick: usize, now: Instant) -> Vec<String> {
        let count = live.hosts.len();
        let reserved = if count == 0 { 0 } else { FEWEST };
        let views = live.view_lines(Room { lines: room.lines.saturating_sub(reserved), ..room }, style);
        if count == 0 && !views.is_empty() {
            return views;
        }
        let lines = room.lines.saturating_sub(views.len() + 1);
        self.pages.0 = lines;
        self.skipped = self.skipped.min(count.saturating_sub(lines));
        let hosts = live.hosts.page(self.order, self.skipped, Room { lines, ..room }, style, tick, now);
        let title = match count {
            0 => "no hosts yet".to_owned(),
            count if count > lines => {
                let (from, to) = (self.skipped + 1, self.skipped + hosts.len());
                format!("hosts {from} to {to} of {count}, {}", self.order.name())
            }
            _ => format!("hosts, {}", self.order.name()),
        };
        let title = title_line(&title, self.focus == Panel::Hosts, room.columns, style);
        views.into_iter().chain([title]).chain(hosts).take(room.lines).collect()
    }

    /// What was said last, or earlier if it was scrolled back to, below a title.
    fn said(&mut self, room: Room, style: &Style) -> Vec<String> {
        let lines = room.lines.saturating_sub(1);
        self.pages.1 = lines;
        self.behind = self.behind.min(self.log.len().saturating_sub(lines));
        let end = self.log.len() - self.behind;
        let start = end.saturating_sub(lines);
        let title = match self.behind {
            0 => "log".to_owned(),
            1 => "log, 1 line below".to_owned(),
            behind => format!("log, {behind} lines below"),
        };
        let title = title_line(&title, self.focus == Panel::Log, room.columns, style);
        let shown = self.log.range(start..end).map(|line| within(line.clone(), room.columns, style));
        [title].into_iter().chain(shown).take(room.lines).collect()
    }

    fn help(&self, columns: usize, style: &Style) -> String {
        let arrows = if style.unicode { "↑↓" } else { "arrows" };
        let text = format!(
            "{arrows} scroll   Tab other panel   s sort ({})   q inline   Ctrl-C stop",
            self.order.next().name()
        );
        style.paint(&fit(&text, columns, style), Paint::Dim)
    }
}

/// `── hosts, failed first ─────`
fn title_line(title: &str, focused: bool, columns: usize, style: &Style) -> String {
    let dash = style.rule();
    let title = fit(title, columns.saturating_sub(6), style);
    let rest = dash.repeat(columns.saturating_sub(4 + width(&title)));
    let title = style.paint(&title, if focused { Paint::Bold } else { Paint::Dim });
    format!("{} {title} {}", style.paint(&dash.repeat(2), Paint::Dim), style.paint(&rest, Paint::Dim))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::Event;
    use insta::assert_snapshot;
    use proptest::prelude::*;
    use std::time::Duration;

    const UNICODE: Style = Style { color: false, unicode: true };

    fn fleet(count: usize) -> (Live, Instant) {
        let start = Instant::now();
        let mut live = Live::default();
        let run = Event::RunStarted {
            recipe: "create".into(),
            origin: "embedded".into(),
            spot_version: "0".into(),
        };
        live.apply(&run, start);
        live.apply(&Event::Account { account: "123456789012".into() }, start);
        live.apply(&Event::StepStarted { id: 1, parent: None, title: "set up".into() }, start);
        for number in 0..count {
            let failed = number == 7;
            live.apply(
                &Event::Host {
                    id: format!("i-{number:08}"),
                    region: "us-west-2".into(),
                    zone: None,
                    instance_type: Some("t3.medium".into()),
                    address: Some(format!("54.1.2.{number}")),
                    phase: if number % 3 == 0 { "ready".into() } else { "setup".into() },
                    detail: failed.then(|| "E: no such package".into()),
                    failed,
                    hourly: Some(0.01),
                },
                start,
            );
        }
        (live, start + Duration::from_secs(12))
    }

    fn shown(full: &mut Full, hosts: usize, columns: usize, lines: usize) -> String {
        let (live, now) = fleet(hosts);
        let frame = full.frame(&live, Room { columns, lines }, &UNICODE, 0, now);
        assert_eq!(frame.len(), lines);
        frame.join("\n")
    }

    #[test]
    fn panels_above_each_other() {
        let mut full = Full::default();
        (0..40).for_each(|number| full.note(&format!("[i-{number}] line {number}\n")));
        assert_snapshot!(shown(&mut full, 12, 80, 20), @r"
        ⠋ create ── 12 hosts: 1 failed, 7 setup, 4 ready ── $0.1200/h ────────────── 12s
        ── hosts 1 to 11 of 12, failed first ───────────────────────────────────────────
        ✖ i-00000007  us-west-2  t3.medium  54.1.2.7   setup       E: no such package
        ⠋ i-00000001  us-west-2  t3.medium  54.1.2.1   setup  12s
        ⠋ i-00000002  us-west-2  t3.medium  54.1.2.2   setup  12s
        ⠋ i-00000004  us-west-2  t3.medium  54.1.2.4   setup  12s
        ⠋ i-00000005  us-west-2  t3.medium  54.1.2.5   setup  12s
        ⠋ i-00000008  us-west-2  t3.medium  54.1.2.8   setup  12s
        ⠋ i-00000010  us-west-2  t3.medium  54.1.2.10  setup  12s
        ⠋ i-00000011  us-west-2  t3.medium  54.1.2.11  setup  12s
        ✔ i-00000000  us-west-2  t3.medium  54.1.2.0   ready
        ✔ i-00000003  us-west-2  t3.medium  54.1.2.3   ready
        ✔ i-00000006  us-west-2  t3.medium  54.1.2.6   ready
        ── log ─────────────────────────────────────────────────────────────────────────
        [i-36] line 36
        [i-37] line 37
        [i-38] line 38
        [i-39] line 39
        ⠋ set up  12s
        ↑↓ scroll   Tab other panel   s sort (by id)   q inline   Ctrl-C stop
        ");
        assert_snapshot!(shown(&mut Full::default(), 0, 60, 8), @r"
        ⠋ create ── account 123456789012 ─────────────────────── 12s
        ── no hosts yet ────────────────────────────────────────────
        ── log ─────────────────────────────────────────────────────
        ⠋ set up  12s



        ↑↓ scroll   Tab other panel   s sort (by id)   q inline   C…
        ");
    }

    #[test]
    fn panels_beside_each_other() {
        let mut full = Full::default();
        (0..40).for_each(|number| full.note(&format!("[i-{number}] line {number}\n")));
        assert_snapshot!(shown(&mut full, 30, 150, 16), @r"
        ⠋ create ── 30 hosts: 1 failed, 19 setup, 10 ready ── $0.3000/h ── account 123456789012 ────────────────────────────────────────────────────────── 12s
        ── hosts 1 to 12 of 30, failed first ───────────────────────────────────────────── │ ── log ──────────────────────────────────────────────────────────
        ✖ i-00000007  us-west-2  t3.medium  54.1.2.7   setup       E: no such package      │ [i-28] line 28
        ⠋ i-00000001  us-west-2  t3.medium  54.1.2.1   setup  12s                          │ [i-29] line 29
        ⠋ i-00000002  us-west-2  t3.medium  54.1.2.2   setup  12s                          │ [i-30] line 30
        ⠋ i-00000004  us-west-2  t3.medium  54.1.2.4   setup  12s                          │ [i-31] line 31
        ⠋ i-00000005  us-west-2  t3.medium  54.1.2.5   setup  12s                          │ [i-32] line 32
        ⠋ i-00000008  us-west-2  t3.medium  54.1.2.8   setup  12s                          │ [i-33] line 33
        ⠋ i-00000010  us-west-2  t3.medium  54.1.2.10  setup  12s                          │ [i-34] line 34
        ⠋ i-00000011  us-west-2  t3.medium  54.1.2.11  setup  12s                          │ [i-35] line 35
        ⠋ i-00000013  us-west-2  t3.medium  54.1.2.13  setup  12s                          │ [i-36] line 36
        ⠋ i-00000014  us-west-2  t3.medium  54.1.2.14  setup  12s                          │ [i-37] line 37
        ⠋ i-00000016  us-west-2  t3.medium  54.1.2.16  setup  12s                          │ [i-38] line 38
        ⠋ i-00000017  us-west-2  t3.medium  54.1.2.17  setup  12s                          │ [i-39] line 39
        ⠋ set up  12s
        ↑↓ scroll   Tab other panel   s sort (by id)   q inline   Ctrl-C stop
        ");
    }

    #[test]
    fn keys_scroll_sort_and_change_the_panel() {
        let mut full = Full::default();
        (0..100).for_each(|number| full.note(&format!("line {number}")));
        let press = |full: &mut Full, text: &str| {
            keys(text.as_bytes()).into_iter().for_each(|key| full.press(key));
            shown(full, 100, 80, 20)
        };
        assert!(press(&mut full, "").contains("hosts 1 to 11 of 100, failed first"));
        assert!(press(&mut full, "\x1b[B\x1bOBj").contains("hosts 4 to 14 of 100"));
        assert!(press(&mut full, "G").contains("hosts 90 to 100 of 100"));
        assert!(press(&mut full, "s").contains("hosts 1 to 11 of 100, by id"));
        assert!(press(&mut full, "\t\x1b[A").contains("log, 1 line below"));
        // Something new is said: who scrolled back sees the same.
        full.note("more");
        assert!(press(&mut full, "").contains("log, 2 lines below"));
        assert!(press(&mut full, "\x1b[F").contains("more"));
        assert!(press(&mut full, "g").contains("line 0\n"));
    }

    #[test]
    fn unknown_keys_do_nothing() {
        assert_eq!(keys(b"x\x1b[99~\xff\x1b"), []);
        assert_eq!(keys(b"qs"), [Key::Inline, Key::Sort]);
    }

    proptest! {
        #[test]
        fn every_frame_fills_the_screen_and_no_more(
            columns in 1_usize..200, lines in 1_usize..60, hosts in 0_usize..30,
            said in proptest::collection::vec("\\PC{0,200}", 0..50),
            pressed in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            let (live, now) = fleet(hosts);
            let mut full = Full::default();
            said.iter().for_each(|line| full.note(line));
            keys(&pressed).into_iter().for_each(|key| full.press(key));
            let frame = full.frame(&live, Room { columns, lines }, &UNICODE, 3, now);
            prop_assert_eq!(frame.len(), lines);
            for line in frame {
                prop_assert!(width(&clean(&line)) <= columns, "{} > {}: {}", width(&line), columns, line);
            }
        }
    }
}
