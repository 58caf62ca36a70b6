//! A progress bar: how much is done, how fast, how long it will take.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::event::Unit;
use super::measure::{fill, fit, width};
use super::style::{Paint, Style};
use super::units;

/// The rate is that of the last seconds, so that a stall shows.
const WINDOW: Duration = Duration::from_secs(8);
/// Samples closer together than this add nothing.
const SAMPLE: Duration = Duration::from_millis(200);
/// No rate is told from less time than this.
const TRUSTED: Duration = Duration::from_millis(800);
/// The widest and the narrowest bar worth drawing.
const WIDEST: usize = 24;
const NARROWEST: usize = 6;

/// One piece of countable work.
#[derive(Debug, Clone)]
pub(super) struct Bar {
    pub(super) title: String,
    pub(super) done: u64,
    pub(super) total: Option<u64>,
    pub(super) unit: Unit,
    pub(super) started: Instant,
    samples: VecDeque<(Instant, u64)>,
}

impl Bar {
    pub(super) fn new(title: &str, done: u64, total: Option<u64>, unit: Unit, now: Instant) -> Self {
        let samples = VecDeque::from([(now, done)]);
        Bar { title: title.to_owned(), done, total, unit, started: now, samples }
    }

    pub(super) fn update(&mut self, title: &str, done: u64, total: Option<u64>, unit: Unit, now: Instant) {
        if self.title != title {
            title.clone_into(&mut self.title);
        }
        (self.done, self.total, self.unit) = (done, total, unit);
        if self.samples.back().is_none_or(|(at, _)| now.saturating_duration_since(*at) >= SAMPLE) {
            self.samples.push_back((now, done));
        }
        // One sample from before the window stays, so that there is always something to compare with.
        while self.samples.get(1).is_some_and(|(at, _)| now.saturating_duration_since(*at) >= WINDOW) {
            self.samples.pop_front();
        }
    }

    /// Units per second over the last seconds.
    pub(super) fn rate(&self, now: Instant) -> Option<f64> {
        let (since, from) = self.samples.front()?;
        let passed = now.saturating_duration_since(*since);
        (passed >= TRUSTED).then(|| self.done.saturating_sub(*from) as f64 / passed.as_secs_f64())
    }

    /// Units per second from the start.
    pub(super) fn average(&self, now: Instant) -> f64 {
        self.done as f64 / now.saturating_duration_since(self.started).as_secs_f64().max(0.001)
    }

    /// Facts, the most important first.
    pub(super) fn facts(&self, now: Instant) -> Vec<String> {
        let rate = self.rate(now);
        let mut facts = Vec::new();
        match self.total {
            Some(total) => {
                facts.push(format!("{:3.0}%", self.part() * 100.0));
                facts.push(units::share(self.done, total, self.unit));
            }
            None => facts.push(units::amount(self.done, self.unit)),
        }
        if let Some(rate) = rate {
            facts.push(units::rate(rate, self.unit));
            let left = self.total.map(|total| total.saturating_sub(self.done)).filter(|left| *left > 0);
            if let Some(left) = left {
                facts.push(match rate > 0.0 {
                    true => format!("ETA {}", units::elapsed((left as f64 / rate).ceil() as u64)),
                    false => "stalled".to_owned(),
                });
            }
        }
        facts
    }

    fn part(&self) -> f64 {
        match self.total {
            Some(total) if total > 0 => (self.done as f64 / total as f64).min(1.0),
            Some(_) => 1.0,
            None => 0.0,
        }
    }

    /// The facts for which `columns` suffice beside a title, in one piece.
    fn facts_within(&self, columns: usize, titles: usize, now: Instant) -> String {
        let mut facts = self.facts(now);
        while facts.len() > 1 && titles.min(8) + 4 + width(&facts.join("  ")) > columns {
            // The first says most; of the others the last, the time left, is missed most.
            facts.remove(1);
        }
        facts.join("  ")
    }

    fn render(&self, plan: &Plan, facts: &str, tick: usize, style: &Style) -> String {
        let spinner = style.spinner(tick);
        // Facts wider than usual take from the title, never from the width of the line.
        let titles = plan.titles.min(plan.columns.saturating_sub(width(spinner) + 1 + 2 + width(facts)));
        let title = fit(&self.title, titles, style);
        let padding = fill(width(&title), titles);
        let drawn = match (plan.bar, self.total) {
            (0, _) => String::new(),
            (columns, Some(_)) => format!("{}  ", self.drawn(columns, style)),
            (columns, None) => " ".repeat(columns + 2),
        };
        format!("{} {title}{padding}  {drawn}{facts}", style.paint(spinner, Paint::HINT))
    }

    fn drawn(&self, columns: usize, style: &Style) -> String {
        if !style.unicode {
            let inner = columns.saturating_sub(2);
            let full = (self.part() * inner as f64).floor() as usize;
            let tip = usize::from(full < inner);
            return format!("[{}{}{}]", "=".repeat(full), ">".repeat(tip), " ".repeat(inner - full - tip));
        }
        let halves = (self.part() * (columns * 2) as f64).floor() as usize;
        let (full, half) = (halves / 2, halves % 2);
        let done = format!("{}{}", "━".repeat(full), "╸".repeat(half));
        let rest = "─".repeat(columns - full - half);
        format!("{}{}", style.paint(&done, Paint::HINT), style.paint(&rest, Paint::Dim))
    }
}

/// The columns that bars shown together have in common.
struct Plan {
    columns: usize,
    titles: usize,
    /// The width of the bar itself; 0 where there is no room for any.
    bar: usize,
}

/// Bars as lines of at most `columns`.
pub(super) fn render(bars: &[&Bar], columns: usize, tick: usize, style: &Style, now: Instant) -> Vec<String> {
    let titles = bars.iter().map(|bar| width(&bar.title)).max().unwrap_or(0).min((columns / 3).max(8));
    let facts: Vec<String> = bars.iter().map(|bar| bar.facts_within(columns, titles, now)).collect();
    let widest = facts.iter().map(|facts| width(facts)).max().unwrap_or(0);
    let room = columns.saturating_sub(2 + titles + 2 + 2 + widest).min(WIDEST);
    let bar = if room < NARROWEST || bars.iter().all(|bar| bar.total.is_none()) { 0 } else { room };
    let plan = Plan { columns, titles, bar };
    bars.iter().zip(&facts).map(|(bar, facts)| bar.render(&plan, facts, tick, style)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;

    const UNICODE: Style = Style { color: false, unicode: true };

    fn upload(seconds: u64) -> (Bar, Instant) {
        let start = Instant::now();
        let mut bar = Bar::new("deploy.tar.gz", 0, Some(40 << 20), Unit::Bytes, start);
        for second in 1..=seconds {
            bar.update(
                "deploy.tar.gz",
                second << 20,
                Some(40 << 20),
                Unit::Bytes,
                start + Duration::from_secs(second),
            );
        }
        (bar, start + Duration::from_secs(seconds))
    }

    fn shown(bar: &Bar, columns: usize, style: &Style, now: Instant) -> String {
        let line = render(&[bar], columns, 0, style, now).remove(0);
        assert!(width(&line) <= columns, "{} columns: {line}", width(&line));
        line
    }

    #[test]
    fn lines_of_different_widths() {
        let (bar, now) = upload(15);
        assert_snapshot!(shown(&bar, 80, &UNICODE, now), @"⠋ deploy.tar.gz  ━━━━━━━━──────────────   38%  15.0/40.0 MiB  1.0 MiB/s  ETA 25s");
        assert_snapshot!(shown(&bar, 80, &Style::PLAIN, now), @"| deploy.tar.gz  [=======>            ]   38%  15.0/40.0 MiB  1.0 MiB/s  ETA 25s");
        assert_snapshot!(shown(&bar, 50, &UNICODE, now), @"⠋ deploy.tar.gz  ━━╸────   38%  1.0 MiB/s  ETA 25s");
        assert_snapshot!(shown(&bar, 20, &UNICODE, now), @"⠋ deploy.…   38%");
    }

    #[test]
    fn bars_fill_up() {
        for style in [UNICODE, Style::PLAIN] {
            for done in 0..=40_u64 {
                let bar = Bar::new("x", done, Some(40), Unit::Items, Instant::now());
                assert_eq!(width(&bar.drawn(10, &style)), 10);
            }
        }
        let full = Bar::new("x", 41, Some(40), Unit::Items, Instant::now());
        assert_eq!(full.drawn(10, &UNICODE), "━━━━━━━━━━");
        assert_eq!(full.drawn(10, &Style::PLAIN), "[========]");
    }

    #[test]
    fn a_stall_shows_and_a_missing_total_is_no_problem() {
        let (mut bar, now) = upload(15);
        for second in 1..=20 {
            bar.update(
                "deploy.tar.gz",
                15 << 20,
                Some(40 << 20),
                Unit::Bytes,
                now + Duration::from_secs(second),
            );
        }
        let later = now + Duration::from_secs(20);
        assert_eq!(bar.rate(later), Some(0.0));
        assert!(bar.facts(later).contains(&"stalled".to_owned()));
        let bar = Bar::new("pages", 1200, None, Unit::Items, now);
        assert_snapshot!(shown(&bar, 40, &UNICODE, now), @"⠋ pages  1,200");
    }
}
