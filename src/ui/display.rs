//! The screen of a terminal: what scrolls by, and the live region below it.
//!
//! Only the lines of the region are ever rewritten, so that the scrollback stays whole. The cursor
//! rests on the line below the region: whatever else writes to the terminal starts there.

use std::time::{Duration, Instant};

use super::environment::{Options, Screen};
use super::event::{Event, Level};
use super::full::{Full, Key};
use super::live::{Live, Room};
use super::measure::width;
use super::output::Outputs;
use super::sanitize::clean;
use super::style::Paint;
use super::{lines, plain, planned, units};

/// The shortest time between two frames.
pub(super) const FRAME: Duration = Duration::from_millis(100);
/// Lines that wait for the next frame are written earlier if they become more than this.
const WAITING: usize = 64 * 1024;
/// Lines that wait for the end of a question are written before it if they become more than this.
const WAITING_SUSPENDED: usize = 4 * 1024 * 1024;
/// The height that is assumed when the terminal does not tell.
const USUAL_LINES: usize = 24;

const HIDE_CURSOR: &str = "\x1b[?25l";
pub(super) const SHOW_CURSOR: &str = "\x1b[?25h";
/// Terminals that know it show a frame in one piece; the others ignore it.
const BEGIN_FRAME: &str = "\x1b[?2026h";
pub(super) const END_FRAME: &str = "\x1b[?2026l";
const ERASE_BELOW: &str = "\x1b[J";
const ERASE_RIGHT: &str = "\x1b[K";
/// Goes up one row and erases it.
const ERASE_ABOVE: &str = "\x1b[1A\x1b[2K";

/// The columns and lines of the terminal, if it tells.
pub(super) type Size = Box<dyn Fn() -> Option<(usize, usize)> + Send>;

/// A screen of its own, as the full layout has it, and back.
const ENTER_SCREEN: &str = "\x1b[?1049h\x1b[2J";
pub(super) const LEAVE_SCREEN: &str = "\x1b[?1049l";
const ERASE_SCREEN: &str = "\x1b[2J";

/// What is on the screen, what waits to get there, and what it is drawn from.
pub(super) struct Display {
    pub(super) live: Live,
    pub(super) outputs: Outputs,
    size: Size,
    fixed_width: bool,
    pub(super) opened: Instant,
    /// Lines that scroll by with the next frame.
    waiting: Vec<(Target, String)>,
    waiting_bytes: usize,
    /// The lines of the live region on the screen.
    painted: Vec<String>,
    painted_at: Option<Instant>,
    /// Whether something worth a summary happened in this run.
    eventful: bool,
    /// The full layout, if it was asked for and not left.
    full: Option<Full>,
    /// Whether the full layout has the screen.
    pub(super) entered: bool,
    /// The size for which the full layout is on the screen.
    entered_for: Room,
    /// What goes to the ordinary screen when the full layout leaves.
    kept: Vec<(Target, String)>,
    kept_bytes: usize,
    /// Lines that were too many to be kept.
    lost: usize,
    /// How many suspensions are in force.
    suspended: usize,
    /// Whether the region is gone for good.
    pub(super) finished: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    Stdout,
    Stderr,
}

impl Display {
    pub(super) fn new(outputs: Outputs, fixed_width: bool, screen: Screen, size: Size) -> Self {
        Display {
            live: Live::default(),
            outputs,
            size,
            fixed_width,
            opened: Instant::now(),
            waiting: Vec::new(),
            waiting_bytes: 0,
            painted: Vec::new(),
            painted_at: None,
            eventful: false,
            full: (screen == Screen::Full).then(Full::default),
            entered: false,
            entered_for: Room { columns: 0, lines: 0 },
            kept: Vec::new(),
            kept_bytes: 0,
            lost: 0,
            suspended: 0,
            finished: false,
        }
    }

    /// Takes in an event whose texts are harmless already.
    pub(super) fn show(&mut self, event: &Event, options: &Options, now: Instant) {
        if let Some(text) = self.lasting(event, options, now) {
            let target = match event {
                Event::Table(_)
                | Event::Chart(_)
                | Event::ViewEnded { .. }
                | Event::Data(_)
                | Event::PlannedCall { .. }
                | Event::PlannedStep { .. }
                | Event::PlanEnded { .. } => Target::Stdout,
                _ => Target::Stderr,
            };
            self.scroll(target, text);
        }
        if !self.finished {
            self.live.apply(event, now);
        }
        self.refresh(now);
    }

    /// Whether nothing will have to be drawn until something else happens.
    pub(super) fn idle(&self) -> bool {
        let empty = self.live.is_empty() && self.painted.is_empty() && self.waiting.is_empty();
        empty || self.suspended > 0
    }

    /// Takes the region from the screen until as many calls of [`Display::resume`].
    pub(super) fn suspend(&mut self, now: Instant) {
        self.suspended += 1;
        self.clear(now);
    }

    pub(super) fn resume(&mut self, now: Instant) {
        self.suspended = self.suspended.saturating_sub(1);
        self.refresh(now);
    }

    /// The lines an event leaves behind in the scrollback, judged before the event changes the region.
    fn lasting(&mut self, event: &Event, options: &Options, now: Instant) -> Option<String> {
        let style = self.outputs.stderr.sink.style;
        let style = &style;
        match event {
            Event::Message { level, text, hint } => {
                Some(lines::message(*level, text, hint.as_deref(), style))
            }
            Event::Call { .. } => lines::call(event, style),
            Event::Error(failure) => Some(failure.render(style)),
            Event::StepStarted { .. } => {
                self.eventful = true;
                None
            }
            Event::StepEnded { id, title, ok, seconds, detail } => {
                let indent = "  ".repeat(self.live.depth(*id).min(6));
                Some(format!("{indent}{}", lines::step_ended(title, *ok, *seconds, detail.as_deref(), style)))
            }
            Event::Output { host, line, .. } => Some(lines::output(lines::short_id(host), line, style)),
            Event::Progress { .. } => {
                self.eventful = true;
                None
            }
            Event::ProgressEnded { id, ok } => {
                let bar = self.live.bar(*id)?;
                (!ok || options.verbose > 0).then(|| plain::ended(bar, *ok, style, now))
            }
            Event::Host { id, region, zone, phase, detail, failed, .. } => {
                self.eventful = true;
                // A failure outlives the region that shows it.
                if !failed || self.live.host_failed(id) {
                    return None;
                }
                let place = zone.as_ref().unwrap_or(region);
                let detail = detail.as_ref().map_or_else(String::new, |detail| format!(": {detail}"));
                let id = style.paint(&format!("[{id}]"), Paint::of_host(id));
                let when = if phase == "failed" { String::new() } else { format!(" in phase {phase}") };
                Some(format!("{} {id} failed{when}{detail} ({place})\n", style.mark(Level::Error)))
            }
            Event::Table(table) => {
                let sink = self.outputs.stdout.sink;
                let columns = if sink.tty { self.room().columns } else { sink.columns };
                Some(lines::table(table, columns, &sink))
            }
            Event::Chart(chart) => {
                let sink = self.outputs.stdout.sink;
                let columns = if sink.tty { self.room().columns } else { sink.columns };
                Some(lines::chart(chart, columns, &sink))
            }
            Event::View { table, .. } => {
                // Who reads a pipe gets each version, as without a terminal.
                let sink = self.outputs.stdout.sink;
                (!sink.tty || self.finished).then(|| lines::table(table, sink.columns, &sink))
            }
            Event::ViewEnded { id } => {
                let sink = self.outputs.stdout.sink;
                let table = self.live.view(*id).filter(|_| sink.tty)?;
                Some(lines::table(table, self.room().columns, &sink))
            }
            Event::Account { .. } => None,
            Event::Data(value) => Some(lines::data(value, &self.outputs.stdout.sink)),
            Event::PlannedCall { .. } | Event::PlannedStep { .. } | Event::PlanEnded { .. } => {
                planned::text(event, options, &self.outputs.stdout.sink.style)
            }
            Event::RunStarted { recipe, origin, spot_version } => {
                if self.live.outermost() {
                    self.eventful = false;
                }
                let text = format!("{recipe} ({origin}, spot {spot_version})");
                (options.verbose > 0).then(|| lines::message(Level::Info, &text, None, style))
            }
            Event::RunEnded { recipe, ok, exit_code, seconds, timeline } => {
                // `spot list` need not say that it has listed, nor a part of a run that it is over.
                let told = (self.eventful && self.live.outermost()) || options.verbose > 0;
                let hosts = self.live.host_counts();
                told.then(|| lines::run_ended(recipe, *ok, *exit_code, *seconds, timeline, &hosts, style))
            }
        }
    }

    /// Lets lines scroll by, at once where no region is in the way.
    fn scroll(&mut self, target: Target, text: String) {
        if target == Target::Stdout && !self.outputs.stdout.sink.tty {
            self.outputs.data(&text);
            return;
        }
        if let Some(full) = &mut self.full {
            full.note(&text);
        }
        if self.entered {
            return self.keep(target, text);
        }
        self.waiting_bytes += text.len();
        self.waiting.push((target, text));
    }

    /// Keeps text for the ordinary screen; of more than that remembers, the first goes.
    fn keep(&mut self, target: Target, text: String) {
        self.kept_bytes += text.len();
        self.kept.push((target, text));
        if self.kept_bytes <= WAITING_SUSPENDED {
            return;
        }
        let surplus = self.kept.len() / 4;
        for (_, text) in self.kept.drain(..surplus) {
            self.kept_bytes -= text.len();
            self.lost += text.lines().count();
        }
    }

    /// Brings the screen up to date as far as that must not wait for the next frame.
    fn refresh(&mut self, now: Instant) {
        if self.suspended > 0 && !self.finished {
            if self.waiting_bytes > WAITING_SUSPENDED {
                self.write_waiting();
            }
            return;
        }
        if self.painted.is_empty() {
            self.write_waiting();
            return;
        }
        let due = self.painted_at.is_none_or(|at| now.saturating_duration_since(at) >= FRAME);
        if due || self.live.is_empty() || self.waiting_bytes > WAITING {
            self.draw(now);
        }
    }

    fn write_waiting(&mut self) {
        self.waiting_bytes = 0;
        // Neighbours for the same stream go out in one piece.
        let mut lines = std::mem::take(&mut self.waiting).into_iter().peekable();
        while let Some((target, mut text)) = lines.next() {
            while let Some((_, next)) = lines.next_if(|(next, _)| *next == target) {
                text.push_str(&next);
            }
            match target {
                Target::Stdout => self.outputs.data(&text),
                Target::Stderr => self.outputs.stderr.write(&text),
            }
        }
    }

    /// The room for the live region: at least a third of the screen stays to the scrollback.
    fn room(&self) -> Room {
        let whole = self.whole_room();
        Room { lines: (whole.lines * 2 / 3).max(1), ..whole }
    }

    /// The whole screen.
    fn whole_room(&self) -> Room {
        let asked = self.outputs.stderr.sink.columns;
        match (self.size)().filter(|(columns, lines)| *columns > 0 && *lines > 0) {
            Some((columns, lines)) => {
                Room { columns: if self.fixed_width { columns.min(asked) } else { columns }, lines }
            }
            None => Room { columns: asked.min(1000), lines: USUAL_LINES },
        }
    }

    /// Replaces the live region by what there is to show now, above it the lines that waited.
    pub(super) fn draw(&mut self, now: Instant) {
        if self.draw_full(now) {
            return;
        }
        let room = self.room();
        let tick = self.tick(now);
        let style = self.outputs.stderr.sink.style;
        let frame = match self.suspended > 0 || self.finished {
            true => Vec::new(),
            // The last column stays free: a terminal about to wrap erases the wrong cells.
            false => {
                let room = Room { columns: room.columns.saturating_sub(1), ..room };
                self.live.frame(room, &style, tick, now)
            }
        };
        if frame == self.painted && self.waiting.is_empty() {
            return;
        }
        if frame.is_empty() && self.painted.is_empty() {
            if self.suspended == 0 || self.finished {
                self.write_waiting();
            }
            return;
        }
        let mut start = String::from(BEGIN_FRAME);
        match rows(&self.painted, room.columns) {
            0 => start.push_str(HIDE_CURSOR),
            rows if self.waiting.is_empty() && !frame.is_empty() => {
                start.push_str(&format!("\r\x1b[{rows}A"))
            }
            // Row by row: where a region begins at the top of the screen, tmux takes erasing
            // everything below for clearing the screen, and saves it to the scrollback.
            rows => start.push_str(&format!("\r{}", ERASE_ABOVE.repeat(rows))),
        }
        let mut end = String::new();
        for line in &frame {
            end.push_str(line);
            end.push_str(ERASE_RIGHT);
            end.push('\n');
        }
        end.push_str(if frame.is_empty() { SHOW_CURSOR } else { ERASE_BELOW });
        end.push_str(END_FRAME);
        // In one piece, unless lines for the other stream come between.
        if self.waiting.iter().all(|(target, _)| *target == Target::Stderr) {
            start.extend(self.waiting.drain(..).map(|(_, text)| text));
            start.push_str(&end);
            self.waiting_bytes = 0;
            self.outputs.stderr.write(&start);
        } else {
            self.outputs.stderr.write(&start);
            self.write_waiting();
            self.outputs.stderr.write(&end);
        }
        self.painted = frame;
        self.painted_at = Some(now);
    }

    fn tick(&self, now: Instant) -> usize {
        (now.saturating_duration_since(self.opened).as_millis() / FRAME.as_millis()) as usize
    }

    /// Draws the full layout, if it is to be on the screen; takes it away, if it is there and is not.
    fn draw_full(&mut self, now: Instant) -> bool {
        let tick = self.tick(now);
        let style = self.outputs.stderr.sink.style;
        let room = self.whole_room();
        let inline = Room { columns: room.columns.saturating_sub(1), ..room };
        let wanted = self.suspended == 0
            && !self.finished
            && !self.live.is_empty()
            && (self.entered || !self.live.frame(inline, &style, tick, now).is_empty());
        let Some(full) = self.full.as_mut().filter(|_| wanted) else {
            self.leave();
            return false;
        };
        let frame = full.frame(&self.live, room, &style, tick, now);
        let mut text = String::from(BEGIN_FRAME);
        if !self.entered {
            self.write_waiting();
            self.entered = true;
            self.painted.clear();
            text.push_str(ENTER_SCREEN);
            text.push_str(HIDE_CURSOR);
        } else if self.entered_for != room {
            self.painted.clear();
            text.push_str(ERASE_SCREEN);
        }
        self.entered_for = room;
        let before = text.len();
        for (row, line) in frame.iter().enumerate() {
            if self.painted.get(row) != Some(line) {
                text.push_str(&format!("\x1b[{};1H{line}{ERASE_RIGHT}", row + 1));
            }
        }
        if text.len() > before {
            text.push_str(END_FRAME);
            self.outputs.stderr.write(&text);
        }
        self.painted = frame;
        self.painted_at = Some(now);
        true
    }

    /// Gives the ordinary screen back, with all that was said meanwhile.
    fn leave(&mut self) {
        if !self.entered {
            return;
        }
        self.entered = false;
        self.painted.clear();
        self.outputs.stderr.write(&format!("{LEAVE_SCREEN}{SHOW_CURSOR}"));
        let lost = std::mem::take(&mut self.lost);
        if lost > 0 {
            let style = self.outputs.stderr.sink.style;
            let text = format!("{lost} lines before this one are in the record of the run: spot runs");
            self.waiting.push((Target::Stderr, lines::message(Level::Warning, &text, None, &style)));
        }
        self.kept_bytes = 0;
        self.waiting.append(&mut self.kept);
        self.write_waiting();
    }

    /// Does what keys ask for.
    pub(super) fn press(&mut self, keys: &[Key], now: Instant) {
        for key in keys {
            let Some(full) = &mut self.full else { return };
            full.press(*key);
            if *key == Key::Inline {
                self.leave();
                self.full = None;
            }
        }
        if !keys.is_empty() {
            self.draw(now);
        }
    }

    /// Takes the region from the screen for good.
    pub(super) fn finish(&mut self, now: Instant) {
        if self.finished {
            return;
        }
        let style = self.outputs.stderr.sink.style;
        for (title, seconds) in self.live.unfinished(now) {
            let text = format!("{title}  not finished after {}", units::duration(seconds));
            self.scroll(Target::Stderr, lines::message(Level::Warning, &text, None, &style));
        }
        self.finished = true;
        self.clear(now);
    }

    /// Takes the region from the screen.
    fn clear(&mut self, now: Instant) {
        if self.painted.is_empty() {
            self.write_waiting();
        } else {
            self.draw(now);
        }
    }
}

/// The rows that lines take on a screen; after a resize they may have been wrapped.
pub(super) fn rows(lines: &[String], columns: usize) -> usize {
    lines.iter().map(|line| width(&clean(line)).div_ceil(columns.max(1)).max(1)).sum()
}
