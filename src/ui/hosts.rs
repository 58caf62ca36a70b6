//! The live table of hosts.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use super::event::{Event, Level};
use super::lines::short_id;
use super::live::{Room, Row, appeared, clock, mark};
use super::measure::{fit, width};
use super::style::{Paint, Style};

/// The phases in which a host costs nothing any more.
const FREE: [&str; 4] = ["stopped", "terminated", "deleted", "gone"];
/// The phases in which nothing more happens to a host.
const SETTLED: [&str; 7] = ["ready", "done", "deployed", "stopped", "terminated", "deleted", "skipped"];
/// A detail narrower than this says too little to be shown in place of another column.
const DETAIL: usize = 14;

/// Hosts by id, in the order in which they were first heard of.
#[derive(Default)]
pub(super) struct Hosts {
    rows: Vec<Host>,
    index: HashMap<String, usize>,
}

struct Host {
    id: String,
    place: String,
    instance_type: String,
    address: String,
    phase: String,
    detail: String,
    failed: bool,
    hourly: Option<f64>,
    /// When its phase began.
    since: Instant,
    first_seen: Instant,
}

#[derive(PartialEq, Eq, PartialOrd, Ord, Clone, Copy)]
enum Standing {
    Failed,
    Active,
    Settled,
}

/// What hosts are ordered by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Order {
    /// Failed hosts, then those being worked on, then the others.
    #[default]
    Standing,
    Id,
    Place,
    Phase,
    /// Those longest in their phase first.
    Time,
}

impl Order {
    /// The one that the next press of a key chooses.
    pub(super) fn next(self) -> Self {
        match self {
            Order::Standing => Order::Id,
            Order::Id => Order::Place,
            Order::Place => Order::Phase,
            Order::Phase => Order::Time,
            Order::Time => Order::Standing,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Order::Standing => "failed first",
            Order::Id => "by id",
            Order::Place => "by place",
            Order::Phase => "by phase",
            Order::Time => "longest first",
        }
    }
}

impl Host {
    fn standing(&self) -> Standing {
        match self.failed {
            true => Standing::Failed,
            false if SETTLED.contains(&self.phase.as_str()) => Standing::Settled,
            false => Standing::Active,
        }
    }
}

impl Hosts {
    /// Takes in an [`Event::Host`].
    pub(super) fn upsert(&mut self, event: &Event, now: Instant) {
        let Event::Host { id, region, zone, instance_type, address, phase, detail, failed, hourly } = event
        else {
            return;
        };
        let known = self.index.get(id).and_then(|index| self.rows.get_mut(*index));
        // Who tells of a host later need not know what it costs.
        let hourly = hourly.or_else(|| known.as_ref().and_then(|row| row.hourly));
        let (since, first_seen) = match &known {
            Some(row) if row.phase == *phase => (row.since, row.first_seen),
            Some(row) => (now, row.first_seen),
            None => (now, now),
        };
        let row = Host {
            id: id.clone(),
            place: zone.as_ref().unwrap_or(region).clone(),
            instance_type: instance_type.clone().unwrap_or_default(),
            address: address.clone().unwrap_or_default(),
            phase: phase.clone(),
            detail: detail.clone().unwrap_or_default(),
            failed: *failed,
            hourly,
            since,
            first_seen,
        };
        match known {
            Some(known) => *known = row,
            None => {
                self.index.insert(id.clone(), self.rows.len());
                self.rows.push(row);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn any_active(&self) -> bool {
        self.rows.iter().any(|host| host.standing() == Standing::Active)
    }

    pub(super) fn failed(&self, id: &str) -> bool {
        self.index.get(id).and_then(|index| self.rows.get(*index)).is_some_and(|host| host.failed)
    }

    pub(super) fn visible(&self, now: Instant) -> bool {
        self.rows.first().is_some_and(|host| appeared(host.first_seen, now))
    }

    /// US dollars an hour of the hosts that still cost something, as far as it is known.
    pub(super) fn hourly(&self) -> Option<f64> {
        let costs = self.rows.iter().filter(|host| !FREE.contains(&host.phase.as_str()));
        let known: Vec<f64> = costs.filter_map(|host| host.hourly).collect();
        (!known.is_empty()).then(|| known.iter().sum())
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// `10 hosts: 1 failed, 6 ready, 3 setup`, or nothing if there are none.
    pub(super) fn counts(&self) -> String {
        match self.rows.len() {
            0 => String::new(),
            1 => format!("1 host: {}", counts(self.rows.iter())),
            many => format!("{many} hosts: {}", counts(self.rows.iter())),
        }
    }

    /// Failed hosts first, then those being worked on, then the others; if they are more than there is
    /// room for, the last line counts the rest.
    pub(super) fn lines(&self, room: Room, style: &Style, tick: usize, now: Instant) -> Vec<String> {
        if room.lines == 0 || !self.visible(now) {
            return Vec::new();
        }
        let ordered = self.ordered(Order::Standing);
        let kept = if ordered.len() <= room.lines { ordered.len() } else { room.lines - 1 };
        let (shown, hidden) = ordered.split_at(kept);
        let plan = Plan::new(shown, room.columns, style, now);
        let mut lines: Vec<String> = shown.iter().map(|host| plan.line(host, style, tick, now)).collect();
        if !hidden.is_empty() {
            let hidden_counts = counts(hidden.iter().copied());
            let text = format!("{} and {} more ({hidden_counts})", style.ellipsis(), hidden.len());
            lines.push(style.paint(&fit(&text, room.columns, style), Paint::Dim));
        }
        lines
    }

    /// The hosts after the first `skipped` in an order, as many as there is room for.
    pub(super) fn page(
        &self,
        order: Order,
        skipped: usize,
        room: Room,
        style: &Style,
        tick: usize,
        now: Instant,
    ) -> Vec<String> {
        let ordered = self.ordered(order);
        let shown: Vec<&Host> = ordered.into_iter().skip(skipped).take(room.lines).collect();
        let plan = Plan::new(&shown, room.columns, style, now);
        shown.iter().map(|host| plan.line(host, style, tick, now)).collect()
    }

    fn ordered(&self, order: Order) -> Vec<&Host> {
        let mut ordered: Vec<&Host> = self.rows.iter().collect();
        match order {
            Order::Standing => ordered.sort_by_key(|host| host.standing()),
            Order::Id => ordered.sort_by_key(|host| &host.id),
            Order::Place => ordered.sort_by_key(|host| (&host.place, &host.id)),
            Order::Phase => ordered.sort_by_key(|host| (&host.phase, host.since)),
            Order::Time => ordered.sort_by_key(|host| host.since),
        }
        ordered
    }
}

/// `1 failed, 6 ready, 3 setup`: failures first, then the phases, the most frequent first.
fn counts<'a>(hosts: impl Iterator<Item = &'a Host>) -> String {
    let mut failed = 0_usize;
    let mut phases: BTreeMap<&str, usize> = BTreeMap::new();
    for host in hosts {
        if host.failed {
            failed += 1;
        } else {
            *phases.entry(host.phase.as_str()).or_default() += 1;
        }
    }
    let mut phases: Vec<(&str, usize)> = phases.into_iter().collect();
    phases.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let failed = (failed > 0).then_some(("failed", failed));
    let counts: Vec<String> =
        failed.into_iter().chain(phases).map(|(phase, count)| format!("{count} {phase}")).collect();
    counts.join(", ")
}

/// The columns for the rows that are shown.
struct Plan {
    columns: usize,
    widths: [usize; 6],
}

/// The cells of a row in their order, without mark and detail.
fn cells(host: &Host, now: Instant) -> [String; 6] {
    let took = match host.standing() {
        Standing::Active => clock(host.since, now),
        Standing::Failed | Standing::Settled => String::new(),
    };
    [
        short_id(&host.id).to_owned(),
        host.place.clone(),
        host.instance_type.clone(),
        host.address.clone(),
        host.phase.clone(),
        took,
    ]
}

impl Plan {
    /// Which columns give way first when there is not room for all: type, address, time, place.
    const DROPPED: [usize; 4] = [2, 3, 5, 1];

    fn new(hosts: &[&Host], columns: usize, style: &Style, now: Instant) -> Self {
        let mut widths = [0; 6];
        let mut detail = 0;
        for host in hosts {
            for (widest, cell) in widths.iter_mut().zip(cells(host, now)) {
                *widest = (*widest).max(width(&cell));
            }
            detail = detail.max(width(&host.detail));
        }
        let marked = if style.unicode { 2 } else { 5 };
        let wanted = |widths: &[usize; 6]| -> usize {
            let gaps = widths.iter().filter(|columns| **columns > 0).count() * 2;
            marked + widths.iter().sum::<usize>() + gaps + detail.min(DETAIL)
        };
        for column in Self::DROPPED {
            if wanted(&widths) <= columns {
                break;
            }
            if let Some(dropped) = widths.get_mut(column) {
                *dropped = 0;
            }
        }
        Plan { columns, widths }
    }

    fn line(&self, host: &Host, style: &Style, tick: usize, now: Instant) -> String {
        let verdict = match host.standing() {
            Standing::Failed => Some(Level::Error),
            Standing::Active => None,
            Standing::Settled => Some(Level::Success),
        };
        let mut row = Row::default();
        mark(&mut row, verdict, tick, style);
        let paints = [
            Paint::of_host(&host.id),
            Paint::Plain,
            Paint::Dim,
            Paint::Plain,
            verdict.map_or(Paint::Bold, Paint::Mark),
            Paint::Dim,
        ];
        for ((cell, columns), paint) in cells(host, now).iter().zip(self.widths).zip(paints) {
            if columns > 0 {
                row.cell(cell, columns, paint, style);
                row.push("  ", Paint::Plain);
            }
        }
        row.push(host.detail.as_str(), if host.failed { Paint::Plain } else { Paint::Dim });
        row.render(self.columns, style)
    }
}
