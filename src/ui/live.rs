//! What is going on right now, and the frame of lines that shows it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::event::{Event, Level, Table};
use super::measure::{fill, fit, width};
use super::progress::Bar;
use super::sanitize::clean;
use super::style::{Paint, Style};
use super::table::render_table;
use super::{hosts::Hosts, progress, units};

/// What takes less time than this is never shown as going on.
pub(super) const APPEARS_AFTER: Duration = Duration::from_millis(400);

/// The recipes, steps, hosts and progress bars under way.
#[derive(Default)]
pub(super) struct Live {
    runs: Vec<(String, Instant)>,
    steps: Vec<Step>,
    bars: Vec<(u64, Bar)>,
    pub(super) hosts: Hosts,
    views: Vec<(u64, Table)>,
    account: Option<String>,
    known_steps: HashMap<u64, usize>,
}

struct Step {
    id: u64,
    parent: Option<u64>,
    title: String,
    started: Instant,
}

/// The space a frame has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) columns: usize,
    pub(super) lines: usize,
}

impl Live {
    /// Takes in an event; all but those about work under way change nothing.
    pub(super) fn apply(&mut self, event: &Event, now: Instant) {
        match event {
            Event::RunStarted { recipe, .. } => self.runs.push((recipe.clone(), now)),
            Event::RunEnded { .. } => {
                self.runs.pop();
                if self.runs.is_empty() {
                    *self = Live { account: self.account.take(), ..Live::default() };
                }
            }
            Event::StepStarted { id, parent, title } => {
                self.steps.retain(|step| step.id != *id);
                let depth =
                    parent.and_then(|parent| self.known_steps.get(&parent)).map_or(0, |depth| depth + 1);
                self.known_steps.insert(*id, depth);
                self.steps.push(Step { id: *id, parent: *parent, title: title.clone(), started: now });
            }
            Event::StepEnded { id, .. } => {
                self.steps.retain(|step| step.id != *id);
                self.known_steps.remove(id);
            }
            Event::Progress { id, title, done, total, unit } => {
                match self.bars.iter_mut().find(|(known, _)| known == id) {
                    Some((_, bar)) => bar.update(title, *done, *total, *unit, now),
                    None => self.bars.push((*id, Bar::new(title, *done, *total, *unit, now))),
                }
            }
            Event::ProgressEnded { id, .. } => self.bars.retain(|(known, _)| known != id),
            Event::Host { .. } => self.hosts.upsert(event, now),
            Event::Account { account } => self.account = Some(account.clone()),
            Event::View { id, table } => match self.views.iter_mut().find(|(known, _)| known == id) {
                Some((_, shown)) => shown.clone_from(table),
                None => self.views.push((*id, table.clone())),
            },
            Event::ViewEnded { id } => self.views.retain(|(known, _)| known != id),
            Event::Message { .. }
            | Event::Error(_)
            | Event::Call { .. }
            | Event::Output { .. }
            | Event::Table(_)
            | Event::Chart(_)
            | Event::PlannedCall { .. }
            | Event::PlannedStep { .. }
            | Event::PlanEnded { .. }
            | Event::Data(_) => {}
        }
        // Outside of a recipe (in the REPL) nothing but work under way keeps hosts on the screen.
        if self.runs.is_empty() && self.nothing_under_way() && !self.hosts.any_active() {
            self.hosts = Hosts::default();
        }
    }

    /// Whether there is nothing to show, now or later, until the next event.
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.nothing_under_way() && self.hosts.is_empty()
    }

    fn nothing_under_way(&self) -> bool {
        self.steps.is_empty() && self.bars.is_empty() && self.views.is_empty()
    }

    /// What a view shows.
    pub(super) fn view(&self, id: u64) -> Option<&Table> {
        self.views.iter().find(|(known, _)| *known == id).map(|(_, table)| table)
    }

    /// How deep a step that is under way is nested.
    pub(super) fn depth(&self, id: u64) -> usize {
        self.known_steps.get(&id).copied().unwrap_or(0)
    }

    /// Whether no recipe encloses the one that runs.
    pub(super) fn outermost(&self) -> bool {
        self.runs.len() <= 1
    }

    pub(super) fn bar(&self, id: u64) -> Option<&Bar> {
        self.bars.iter().find(|(known, _)| *known == id).map(|(_, bar)| bar)
    }

    /// Whether the host has been marked as failed already.
    pub(super) fn host_failed(&self, id: &str) -> bool {
        self.hosts.failed(id)
    }

    /// `10 hosts: 1 failed, 6 ready, 3 setup`, or nothing if there are none.
    pub(super) fn host_counts(&self) -> String {
        self.hosts.counts()
    }

    /// The titles and ages of the steps under way that have been shown.
    pub(super) fn unfinished(&self, now: Instant) -> Vec<(String, f64)> {
        let shown = self.steps.iter().filter(|step| appeared(step.started, now));
        shown
            .map(|step| (step.title.clone(), now.saturating_duration_since(step.started).as_secs_f64()))
            .collect()
    }

    /// The lines to show, at most as many as there is room for, each narrower than the room. From top
    /// to bottom: a rule that separates them from the scrollback, views, hosts, progress bars, steps.
    pub(super) fn frame(&self, room: Room, style: &Style, tick: usize, now: Instant) -> Vec<String> {
        let steps = self.step_lines(room, style, tick, now);
        let bars = self.bar_lines(room, style, tick, now);
        let header = self.header(room.columns, style, tick, now);
        let taken = steps.len() + bars.len() + header.iter().len();
        let left = Room { lines: room.lines.saturating_sub(taken), ..room };
        let views = self.view_lines(left, style);
        let hosts = Room { lines: left.lines.saturating_sub(views.len()), ..room };
        let hosts = self.hosts.lines(hosts, style, tick, now);
        let frame = header.into_iter().chain(views).chain(hosts).chain(bars).chain(steps).take(room.lines);
        // The parts see to their width themselves; where there is next to none they may not succeed.
        frame.map(|line| within(line, room.columns, style)).collect()
    }

    pub(super) fn view_lines(&self, room: Room, style: &Style) -> Vec<String> {
        let text: String =
            self.views.iter().map(|(_, table)| render_table(table, room.columns, style)).collect();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let (kept, hidden) = split(lines.len(), room.lines);
        let hidden = hidden.map(|hidden| more(hidden, "lines", room.columns, style));
        lines.into_iter().take(kept).chain(hidden).collect()
    }

    pub(super) fn header(&self, columns: usize, style: &Style, tick: usize, now: Instant) -> Option<String> {
        let run = self.runs.first().filter(|(_, started)| appeared(*started, now));
        let visible = self.hosts.visible(now);
        let counts = if visible { self.hosts.counts() } else { String::new() };
        let hourly = self.hosts.hourly().filter(|_| visible).map(units::hourly).unwrap_or_default();
        let account = self.account.as_ref().map(|account| format!("account {account}")).unwrap_or_default();
        if run.is_none() && counts.is_empty() {
            return None;
        }
        let clock = run.map(|(_, started)| clock(*started, now)).unwrap_or_default();
        let names: Vec<&str> = self.runs.iter().map(|(recipe, _)| recipe.as_str()).collect();
        let path = names.join(if style.unicode { " ▸ " } else { " > " });
        let dash = style.rule();
        let mut facts = vec![path.as_str(), counts.as_str(), hourly.as_str(), account.as_str()];
        facts.retain(|fact| !fact.is_empty());
        let separator = format!(" {dash}{dash} ");
        let spinner = style.spinner(tick);
        let edges = width(spinner) + 1 + 1 + 1 + width(&clock);
        let room = columns.saturating_sub(edges);
        // Half an amount is worse than none: facts leave whole, the last first.
        while facts.len() > 2 && width(&facts.join(&separator)) > room {
            facts.pop();
        }
        let left = facts.join(&separator);
        let left = fit(&left, room, style);
        let rule = dash.repeat(columns.saturating_sub(edges + width(&left)));
        let line = [
            style.paint(spinner, Paint::HINT),
            style.paint(&left, Paint::Bold),
            format!("{} {}", style.paint(&rule, Paint::Dim), clock),
        ];
        Some(line.join(" ").trim_end().to_owned())
    }

    pub(super) fn bar_lines(&self, room: Room, style: &Style, tick: usize, now: Instant) -> Vec<String> {
        let shown: Vec<&Bar> =
            self.bars.iter().map(|(_, bar)| bar).filter(|bar| appeared(bar.started, now)).collect();
        let (kept, hidden) = split(shown.len(), room.lines / 3);
        let (shown, _) = shown.split_at(kept);
        let bars = progress::render(shown, room.columns, tick, style, now);
        bars.into_iter().chain(hidden.map(|hidden| more(hidden, "under way", room.columns, style))).collect()
    }

    pub(super) fn step_lines(&self, room: Room, style: &Style, tick: usize, now: Instant) -> Vec<String> {
        let mut ordered = Vec::new();
        let running = |id: Option<u64>| id.is_some_and(|id| self.steps.iter().any(|step| step.id == id));
        let roots: Vec<&Step> = self.steps.iter().rev().filter(|step| !running(step.parent)).collect();
        let mut rest: Vec<(&Step, usize)> = roots.into_iter().map(|step| (step, 0)).collect();
        while let Some((step, depth)) = rest.pop() {
            if appeared(step.started, now) {
                ordered.push((step, depth));
            }
            let children = self.steps.iter().rev().filter(|child| child.parent == Some(step.id));
            rest.extend(children.filter(|child| child.id != step.id).map(|child| (child, depth + 1)));
        }
        let (kept, hidden) = split(ordered.len(), room.lines / 3);
        let lines = ordered.iter().take(kept).map(|(step, depth)| {
            let indent = "  ".repeat((*depth).min(6));
            let spinner = style.spinner(tick);
            let took = clock(step.started, now);
            let before = width(&indent) + width(spinner) + 1;
            let title = fit(&step.title, room.columns.saturating_sub(before + 2 + width(&took)), style);
            let spinner = style.paint(spinner, Paint::HINT);
            format!("{indent}{spinner} {title}  {}", style.paint(&took, Paint::Dim))
        });
        lines.chain(hidden.map(|hidden| more(hidden, "steps", room.columns, style))).collect()
    }
}

/// The line, or what fits of it without its colours.
pub(super) fn within(line: String, columns: usize, style: &Style) -> String {
    match clean(&line) {
        text if width(&text) > columns => fit(&text, columns, style).into_owned(),
        _ => line,
    }
}

/// Whether something that began at `started` has taken long enough to be shown.
pub(super) fn appeared(started: Instant, now: Instant) -> bool {
    now.saturating_duration_since(started) >= APPEARS_AFTER
}

/// The time since `started` in whole seconds.
pub(super) fn clock(started: Instant, now: Instant) -> String {
    units::elapsed(now.saturating_duration_since(started).as_secs())
}

/// How many of `count` lines are shown on `lines` lines (at least one), and how many are not, if the
/// last line has to say so.
pub(super) fn split(count: usize, lines: usize) -> (usize, Option<usize>) {
    let lines = lines.max(1);
    if count <= lines { (count, None) } else { (lines - 1, Some(count + 1 - lines)) }
}

/// `… and 37 more under way`
pub(super) fn more(hidden: usize, what: &str, columns: usize, style: &Style) -> String {
    let text = format!("{} and {hidden} more {what}", style.ellipsis());
    style.paint(&fit(&text, columns, style), Paint::Dim)
}

/// A line of painted pieces that is cut to a width before it is painted.
#[derive(Default)]
pub(super) struct Row {
    pieces: Vec<(String, Paint)>,
}

impl Row {
    pub(super) fn push(&mut self, text: impl Into<String>, paint: Paint) {
        self.pieces.push((text.into(), paint));
    }

    /// A piece cut and filled to exactly `columns`.
    pub(super) fn cell(&mut self, text: &str, columns: usize, paint: Paint, style: &Style) {
        let text = fit(text, columns, style);
        let padding = fill(width(&text), columns);
        self.push(text, paint);
        self.push(padding, Paint::Plain);
    }

    pub(super) fn render(&self, columns: usize, style: &Style) -> String {
        let mut line = String::new();
        let mut left = columns;
        let last =
            self.pieces.iter().rposition(|(text, _)| !text.trim().is_empty()).map_or(0, |last| last + 1);
        for (text, paint) in self.pieces.iter().take(last) {
            let shown = fit(text, left, style);
            line.push_str(&style.paint(&shown, *paint));
            if width(text) > left {
                break;
            }
            left -= width(text);
        }
        line
    }
}

/// The mark of a row: a verdict, or the spinner while there is none.
pub(super) fn mark(row: &mut Row, verdict: Option<Level>, tick: usize, style: &Style) {
    let columns = if style.unicode { 1 } else { 4 };
    match verdict {
        Some(level) => row.cell(style.symbol(level), columns, Paint::Mark(level), style),
        None => row.cell(style.spinner(tick), columns, Paint::HINT, style),
    }
    row.push(" ", Paint::Plain);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::Unit;
    use insta::assert_snapshot;

    const UNICODE: Style = Style { color: false, unicode: true };

    fn host(number: usize, phase: &str, detail: Option<&str>, failed: bool) -> Event {
        Event::Host {
            id: format!("i-{number:017x}"),
            region: "ap-southeast-2".into(),
            zone: number.is_multiple_of(2).then(|| "ap-southeast-2c".into()),
            instance_type: Some("m6i.2xlarge".into()),
            address: (phase != "waiting").then(|| format!("54.1.2.{number}")),
            phase: phase.into(),
            detail: detail.map(str::to_owned),
            failed,
            hourly: Some(0.0125),
        }
    }

    fn step(id: u64, parent: Option<u64>, title: &str) -> Event {
        Event::StepStarted { id, parent, title: title.into() }
    }

    /// A fleet of 40 at work, 83 seconds after its start.
    fn fleet() -> (Live, Instant) {
        let start = Instant::now();
        let mut live = Live::default();
        let run = |recipe: &str| Event::RunStarted {
            recipe: recipe.into(),
            origin: "embedded".into(),
            spot_version: "0".into(),
        };
        live.apply(&run("create"), start);
        live.apply(&run("setup"), start);
        live.apply(&step(1, None, "deploying to 40 hosts"), start + Duration::from_secs(3));
        live.apply(&step(2, Some(1), "waiting for ssh"), start + Duration::from_secs(5));
        for number in 0..40 {
            let event = match number {
                0..30 => host(number, "ready", None, false),
                30..37 => host(number, "waiting", None, false),
                37 | 38 => host(number, "setup", Some("apt-get install docker.io"), false),
                _ => {
                    host(number, "setup", Some("E: 見つかりません: dockre-ce, and more words than fit"), true)
                }
            };
            live.apply(&event, start + Duration::from_secs(10));
        }
        for second in 60..=83 {
            let bar = |id, title: &str, done, total, unit| Event::Progress {
                id,
                title: title.into(),
                done,
                total,
                unit,
            };
            let at = start + Duration::from_secs(second);
            live.apply(&bar(1, "deploy.tar.gz", (second - 60) << 20, Some(200 << 20), Unit::Bytes), at);
            live.apply(&bar(2, "files", (second - 60) * 7, None, Unit::Items), at);
        }
        (live, start + Duration::from_secs(83))
    }

    fn frame(columns: usize, lines: usize, style: &Style) -> String {
        let (live, now) = fleet();
        let frame = live.frame(Room { columns, lines }, style, 3, now);
        assert!(frame.len() <= lines);
        for line in &frame {
            assert!(width(line) <= columns, "{} columns: {line}", width(line));
        }
        frame.join("\n")
    }

    #[test]
    fn a_fleet_on_80_columns() {
        assert_snapshot!(frame(80, 16, &UNICODE), @"
        ⠸ create ▸ setup ── 40 hosts: 1 failed, 30 ready, 7 waiting, 2 setup ──── 1m 23s
        ✖ i-00000000  ap-southeast-2   54.1.2.39  setup            E: 見つかりません: d…
        ⠸ i-00000000  ap-southeast-2c             waiting  1m 13s
        ⠸ i-00000000  ap-southeast-2              waiting  1m 13s
        ⠸ i-00000000  ap-southeast-2c             waiting  1m 13s
        ⠸ i-00000000  ap-southeast-2              waiting  1m 13s
        ⠸ i-00000000  ap-southeast-2c             waiting  1m 13s
        ⠸ i-00000000  ap-southeast-2              waiting  1m 13s
        ⠸ i-00000000  ap-southeast-2c             waiting  1m 13s
        ⠸ i-00000000  ap-southeast-2   54.1.2.37  setup    1m 13s  apt-get install dock…
        ⠸ i-00000000  ap-southeast-2c  54.1.2.38  setup    1m 13s  apt-get install dock…
        … and 30 more (30 ready)
        ⠸ deploy.tar.gz  ━━────────────────   12%  23.0/200.0 MiB  1.0 MiB/s  ETA 2m 57s
        ⠸ files                              161  7.0/s
        ⠸ deploying to 40 hosts  1m 20s
          ⠸ waiting for ssh  1m 18s
        ");
        assert_snapshot!(frame(80, 16, &Style::PLAIN), @r#"
        \ create > setup -- 40 hosts: 1 failed, 30 ready, 7 waiting, 2 setup ---- 1m 23s
        FAIL i-00000000  ap-southeast-2   54.1.2.39  setup            E: 見つかりませ...
        \    i-00000000  ap-southeast-2c             waiting  1m 13s
        \    i-00000000  ap-southeast-2              waiting  1m 13s
        \    i-00000000  ap-southeast-2c             waiting  1m 13s
        \    i-00000000  ap-southeast-2              waiting  1m 13s
        \    i-00000000  ap-southeast-2c             waiting  1m 13s
        \    i-00000000  ap-southeast-2              waiting  1m 13s
        \    i-00000000  ap-southeast-2c             waiting  1m 13s
        \    i-00000000  ap-southeast-2   54.1.2.37  setup    1m 13s  apt-get install...
        \    i-00000000  ap-southeast-2c  54.1.2.38  setup    1m 13s  apt-get install...
        ... and 30 more (30 ready)
        \ deploy.tar.gz  [=>              ]   12%  23.0/200.0 MiB  1.0 MiB/s  ETA 2m 57s
        \ files                              161  7.0/s
        \ deploying to 40 hosts  1m 20s
          \ waiting for ssh  1m 18s
        "#);
    }

    #[test]
    fn a_fleet_on_200_columns() {
        assert_snapshot!(frame(200, 12, &UNICODE), @r"
        ⠸ create ▸ setup ── 40 hosts: 1 failed, 30 ready, 7 waiting, 2 setup ── $0.5000/h ─────────────────────────────────────────────────────────────────────────────────────────────────────────────── 1m 23s
        ✖ i-00000000  ap-southeast-2   m6i.2xlarge  54.1.2.39  setup            E: 見つかりません: dockre-ce, and more words than fit
        ⠸ i-00000000  ap-southeast-2c  m6i.2xlarge             waiting  1m 13s
        ⠸ i-00000000  ap-southeast-2   m6i.2xlarge             waiting  1m 13s
        ⠸ i-00000000  ap-southeast-2c  m6i.2xlarge             waiting  1m 13s
        ⠸ i-00000000  ap-southeast-2   m6i.2xlarge             waiting  1m 13s
        ⠸ i-00000000  ap-southeast-2c  m6i.2xlarge             waiting  1m 13s
        … and 34 more (30 ready, 2 setup, 2 waiting)
        ⠸ deploy.tar.gz  ━━╸─────────────────────   12%  23.0/200.0 MiB  1.0 MiB/s  ETA 2m 57s
        ⠸ files                                    161  7.0/s
        ⠸ deploying to 40 hosts  1m 20s
          ⠸ waiting for ssh  1m 18s
        ");
    }

    #[test]
    fn a_fleet_on_20_columns() {
        assert_snapshot!(frame(20, 10, &UNICODE), @"
        ⠸ create ▸… ─ 1m 23s
        ✖ i-00000000  setup…
        ⠸ i-00000000  waiti…
        ⠸ i-00000000  waiti…
        ⠸ i-00000000  waiti…
        … and 36 more (30 r…
        ⠸ deploy.…   12%
        ⠸ files     161
        ⠸ deploying…  1m 20s
          ⠸ waiting…  1m 18s
        ");
    }

    #[test]
    fn every_room_is_respected() {
        let (live, now) = fleet();
        for columns in 0..90 {
            for lines in 0..12 {
                for style in [UNICODE, Style::PLAIN] {
                    let frame = live.frame(Room { columns, lines }, &style, 1, now);
                    assert!(frame.len() <= lines);
                    assert!(frame.iter().all(|line| width(line) <= columns), "{columns} {lines}: {frame:#?}");
                }
            }
        }
    }

    #[test]
    fn colour_changes_no_letter() {
        let coloured = frame(80, 16, &Style { color: false, ..UNICODE });
        let (live, now) = fleet();
        let painted =
            live.frame(Room { columns: 80, lines: 16 }, &Style { color: true, unicode: true }, 3, now);
        assert!(painted.iter().all(|line| line.contains('\u{1b}')));
        assert_eq!(crate::ui::sanitize::clean(&painted.join("\n")), coloured);
    }

    #[test]
    fn nothing_is_shown_before_it_has_taken_400_ms() {
        let start = Instant::now();
        let mut live = Live::default();
        live.apply(&step(1, None, "quick"), start);
        let room = Room { columns: 80, lines: 16 };
        assert!(live.frame(room, &UNICODE, 0, start + Duration::from_millis(399)).is_empty());
        assert_eq!(live.frame(room, &UNICODE, 0, start + Duration::from_millis(400)), ["⠋ quick  0s"]);
        let ended = Event::StepEnded { id: 1, title: "quick".into(), ok: true, seconds: 0.5, detail: None };
        live.apply(&ended, start);
        assert!(live.is_empty());
    }

    #[test]
    fn odd_parents_do_no_harm() {
        let start = Instant::now();
        let mut live = Live::default();
        live.apply(&step(1, Some(1), "its own parent"), start);
        live.apply(&step(2, Some(3), "an orphan"), start);
        live.apply(&step(3, Some(2), "a circle"), start);
        let room = Room { columns: 80, lines: 16 };
        assert!(live.frame(room, &UNICODE, 0, start + Duration::from_secs(1)).len() <= 3);
        assert!(live.depth(3) <= 1);
    }

    #[test]
    fn outside_of_a_run_hosts_stay_while_there_is_work() {
        let start = Instant::now();
        let mut live = Live::default();
        live.apply(&host(1, "waiting", None, false), start);
        live.apply(&host(2, "ready", None, false), start);
        assert!(!live.is_empty());
        live.apply(&host(1, "ready", None, false), start);
        assert!(live.is_empty());
    }
}
