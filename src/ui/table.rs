//! Tables: aligned columns, a rule under the header, no borders.

use super::event::{Align, Cell, Level, Table};
use super::measure::{fill, fit, width};
use super::sanitize::neutralise_table;
use super::style::{Paint, Style};

/// The width of a sink that is read by a program: nothing is cut off, nothing is marked.
pub const UNLIMITED: usize = usize::MAX;

/// Between two columns.
const GAP: &str = "  ";
/// No column is made narrower than this to fit the width.
const NARROWEST: usize = 6;

/// Renders a table as lines, each ended by a line feed.
///
/// A table wider than `columns` has its columns of sentences shortened with an ellipsis, the widest
/// first, then other columns of text, then columns of any kind; if even that is not enough, every row becomes a block of `name  value`
/// lines. With [`UNLIMITED`] columns the cells come out whole and unmarked.
pub fn render_table(table: &Table, columns: usize, style: &Style) -> String {
    let mut table = table.clone();
    neutralise_table(&mut table);
    let layout = Layout { table: &table, marked: columns != UNLIMITED, style };
    let body = match layout.widths(columns) {
        Some(widths) => layout.grid(&widths),
        None => layout.blocks(columns),
    };
    let mut text = String::new();
    if let Some(title) = &table.title {
        text.push_str(&style.paint(title, Paint::Bold));
        text.push('\n');
    }
    text.push_str(&body);
    if let Some(footer) = &table.footer {
        for line in footer.lines() {
            text.push_str(&style.paint(line, Paint::Dim));
            text.push('\n');
        }
    }
    text
}

struct Layout<'a> {
    table: &'a Table,
    marked: bool,
    style: &'a Style,
}

impl Layout<'_> {
    /// What a cell says: for a person, a verdict comes with its symbol, so that it does not depend on
    /// colour.
    fn text(&self, cell: &Cell) -> String {
        match cell.severity {
            Some(level @ (Level::Success | Level::Error | Level::Warning)) if self.marked => {
                format!("{} {}", self.style.symbol(level), cell.text)
            }
            _ => cell.text.clone(),
        }
    }

    /// The widths of the columns, or nothing if they cannot be made to fit.
    fn widths(&self, columns: usize) -> Option<Vec<usize>> {
        let mut widths: Vec<usize> = self.table.columns.iter().map(|column| width(&column.name)).collect();
        for row in &self.table.rows {
            for (cell, widest) in row.iter().zip(&mut widths) {
                *widest = (*widest).max(width(&self.text(cell)));
            }
        }
        let room = columns.saturating_sub(GAP.len() * widths.len().saturating_sub(1));
        let text =
            |index: usize| self.table.columns.get(index).is_some_and(|column| column.align == Align::Left);
        // Sentences can be shortened; half an id or address is worth nothing.
        let prose = |index: usize| {
            let mut cells = self.table.rows.iter().filter_map(|row| row.get(index));
            text(index) && cells.any(|cell| cell.text.split(' ').count() > 2)
        };
        shrink(&mut widths, room, prose);
        shrink(&mut widths, room, text);
        shrink(&mut widths, room, |_| true);
        (widths.iter().sum::<usize>() <= room).then_some(widths)
    }

    fn grid(&self, widths: &[usize]) -> String {
        if widths.is_empty() {
            return String::new();
        }
        let names: Vec<Cell> = self.table.columns.iter().map(|column| column.name.as_str().into()).collect();
        let rule: Vec<String> = widths.iter().map(|columns| self.style.rule().repeat(*columns)).collect();
        let mut text = self.row(&names, widths, Paint::Bold);
        text.push_str(&self.style.paint(&rule.join(GAP), Paint::Dim));
        text.push('\n');
        for row in &self.table.rows {
            text.push_str(&self.row(row, widths, Paint::Plain));
        }
        text
    }

    fn row(&self, cells: &[Cell], widths: &[usize], usual: Paint) -> String {
        let empty = Cell::default();
        let mut text = String::new();
        let mut pending = String::new();
        for (index, (column, columns)) in self.table.columns.iter().zip(widths).enumerate() {
            if index > 0 {
                pending.push_str(GAP);
            }
            let cell = cells.get(index).unwrap_or(&empty);
            let whole = self.text(cell);
            let shown = fit(&whole, *columns, self.style);
            let padding = fill(width(&shown), *columns);
            if column.align == Align::Right {
                pending.push_str(&padding);
            }
            if !shown.is_empty() {
                text.push_str(&pending);
                pending.clear();
                text.push_str(&self.style.paint(&shown, cell.severity.map_or(usual, Paint::Mark)));
            }
            // Padding is written only when something follows it: lines end without spaces.
            if column.align == Align::Left {
                pending.push_str(&padding);
            }
        }
        text.push('\n');
        text
    }

    /// One block of lines per row, for sinks too narrow for columns.
    fn blocks(&self, columns: usize) -> String {
        let widest = self.table.columns.iter().map(|column| width(&column.name)).max().unwrap_or(0);
        let widest = widest.min(columns / 2);
        let mut text = String::new();
        for (index, row) in self.table.rows.iter().enumerate() {
            if index > 0 {
                text.push('\n');
            }
            for (column, cell) in self.table.columns.iter().zip(row) {
                let name = fit(&column.name, widest, self.style);
                let padding = fill(width(&name), widest);
                let value =
                    self.style.paint(&self.text(cell), cell.severity.map_or(Paint::Plain, Paint::Mark));
                let line = format!("{}{padding}{GAP}{value}", self.style.paint(&name, Paint::Bold));
                text.push_str(line.trim_end());
                text.push('\n');
            }
        }
        text
    }
}

/// Lowers the widest of the chosen columns to a common height until all columns fit into `room`.
fn shrink(widths: &mut [usize], room: usize, chosen: impl Fn(usize) -> bool) {
    let fits = |cap: usize| {
        let capped = widths.iter().enumerate().map(|(index, columns)| match chosen(index) {
            true => (*columns).min(cap),
            false => *columns,
        });
        capped.fold(0_usize, usize::saturating_add) <= room
    };
    let widest = widths.iter().copied().max().unwrap_or(0);
    if fits(widest) {
        return;
    }
    let (mut low, mut high) = (NARROWEST, widest.max(NARROWEST));
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if fits(middle) { low = middle } else { high = middle - 1 }
    }
    let mut spare = room.saturating_sub(
        widths
            .iter()
            .enumerate()
            .map(|(index, columns)| if chosen(index) { (*columns).min(low) } else { *columns })
            .sum(),
    );
    for (index, columns) in widths.iter_mut().enumerate() {
        if !chosen(index) || *columns <= low {
            continue;
        }
        let extra = usize::from(spare > 0);
        *columns = low + extra;
        spare -= extra;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::event::Column;
    use insta::assert_snapshot;
    use proptest::prelude::*;

    const UNICODE: Style = Style { color: false, unicode: true };

    fn fleet() -> Table {
        let row = |id: &str, region: &str, state: Cell, price: &str, note: &str| {
            vec![id.into(), region.into(), state, price.into(), note.into()]
        };
        Table {
            title: Some("Fleet".into()),
            columns: vec![
                Column::left("ID"),
                Column::left("REGION"),
                Column::left("STATE"),
                Column::right("$/H"),
                Column::left("NOTE"),
            ],
            rows: vec![
                row("i-0123456789abcdef0", "us-west-2", Cell::marked("ready", Level::Success), "0.0125", ""),
                row(
                    "i-0fedcba9876543210",
                    "ap-northeast-1",
                    Cell::marked("failed", Level::Error),
                    "1.2000",
                    "setup.sh: 東京 mirror did not answer within 30 seconds",
                ),
                row("i-00000000000000001", "us-west-2", "setup".into(), "0.0125", "apt-get update"),
            ],
            footer: Some("3 instances, $1.23 per hour".into()),
        }
    }

    #[test]
    fn fits_80_columns() {
        assert_snapshot!(render_table(&fleet(), 80, &UNICODE), @"
        Fleet
        ID                   REGION          STATE        $/H  NOTE
        ───────────────────  ──────────────  ────────  ──────  ─────────────────────────
        i-0123456789abcdef0  us-west-2       ✔ ready   0.0125
        i-0fedcba9876543210  ap-northeast-1  ✖ failed  1.2000  setup.sh: 東京 mirror di…
        i-00000000000000001  us-west-2       setup     0.0125  apt-get update
        3 instances, $1.23 per hour
        ");
        assert_snapshot!(render_table(&fleet(), 80, &Style::PLAIN), @"
        Fleet
        ID                   REGION          STATE           $/H  NOTE
        -------------------  --------------  -----------  ------  ----------------------
        i-0123456789abcdef0  us-west-2       ok ready     0.0125
        i-0fedcba9876543210  ap-northeast-1  FAIL failed  1.2000  setup.sh: 東京 mirr...
        i-00000000000000001  us-west-2       setup        0.0125  apt-get update
        3 instances, $1.23 per hour
        ");
    }

    #[test]
    fn shows_everything_on_200_columns() {
        assert_snapshot!(render_table(&fleet(), 200, &UNICODE), @"
        Fleet
        ID                   REGION          STATE        $/H  NOTE
        ───────────────────  ──────────────  ────────  ──────  ──────────────────────────────────────────────────────
        i-0123456789abcdef0  us-west-2       ✔ ready   0.0125
        i-0fedcba9876543210  ap-northeast-1  ✖ failed  1.2000  setup.sh: 東京 mirror did not answer within 30 seconds
        i-00000000000000001  us-west-2       setup     0.0125  apt-get update
        3 instances, $1.23 per hour
        ");
    }

    #[test]
    fn becomes_blocks_on_20_columns() {
        assert_snapshot!(render_table(&fleet(), 20, &UNICODE), @"
        Fleet
        ID      i-0123456789abcdef0
        REGION  us-west-2
        STATE   ✔ ready
        $/H     0.0125
        NOTE

        ID      i-0fedcba9876543210
        REGION  ap-northeast-1
        STATE   ✖ failed
        $/H     1.2000
        NOTE    setup.sh: 東京 mirror did not answer within 30 seconds

        ID      i-00000000000000001
        REGION  us-west-2
        STATE   setup
        $/H     0.0125
        NOTE    apt-get update
        3 instances, $1.23 per hour
        ");
    }

    #[test]
    fn on_a_pipe_nothing_is_cut_or_marked() {
        let text = render_table(&fleet(), UNLIMITED, &Style::PLAIN);
        assert!(text.contains("within 30 seconds"));
        assert!(text.contains("ap-northeast-1  failed  1.2000"), "{text}");
    }

    #[test]
    fn colour_changes_no_letter() {
        let coloured = render_table(&fleet(), 80, &Style { color: true, unicode: true });
        assert!(coloured.contains("\u{1b}[32m✔ ready\u{1b}[0m"));
        assert_eq!(crate::ui::sanitize::clean(&coloured), render_table(&fleet(), 80, &UNICODE));
    }

    #[test]
    fn odd_tables_are_rendered() {
        assert_eq!(render_table(&Table::default(), 80, &UNICODE), "");
        let table = Table { columns: vec![Column::left("A"), Column::right("B")], ..Table::default() };
        assert_snapshot!(render_table(&table, 80, &UNICODE), @"
        A  B
        ─  ─
        ");
        let uneven = Table {
            rows: vec![vec![], vec!["1".into(), "2".into(), "3".into()], vec!["x\ny".into()]],
            ..table
        };
        assert_snapshot!(render_table(&uneven, 80, &UNICODE), @"
        A    B
        ───  ─

        1    2
        x y
        ");
    }

    proptest! {
        #[test]
        fn grids_never_exceed_the_width(
            cells in prop::collection::vec(prop::collection::vec("\\PC{0,24}", 4), 0..5),
            columns in 30_usize..120,
        ) {
            let table = Table {
                columns: vec![Column::left("one"), Column::right("two"), Column::left("three"), Column::left("four")],
                rows: cells.into_iter().map(|row| row.into_iter().map(Cell::from).collect()).collect(),
                ..Table::default()
            };
            for line in render_table(&table, columns, &UNICODE).lines() {
                prop_assert!(width(line) <= columns, "{} columns: {line}", width(line));
            }
        }
    }
}
