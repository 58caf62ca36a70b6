//! Charts of text: a bar for each value, or a line of columns for each series.

use super::event::{Chart, Series};
use super::live::within;
use super::measure::{fill, fit, width};
use super::style::{Paint, Style};
use super::table::UNLIMITED;

/// The columns of a chart that a program reads: on a pipe there is no width to fill.
const USUAL_COLUMNS: usize = 80;
/// Labels give way to bars when they are longer than this share of the width.
const LABELS: usize = 2;
/// No bar and no line is drawn in less.
const NARROWEST: usize = 4;
/// A line that would get less is given the room of the numbers that it shows anyway.
const COMFORTABLE: usize = 16;

/// Renders a chart as lines of at most `columns`, each ended by a line feed.
///
/// Series of one value each become bars that begin at zero; other series become lines, all on one scale
/// from the lowest to the highest value. Values below zero have no bar; what is no number is a gap.
/// A series that has more values than there is room for is shown by the mean of neighbours.
pub(super) fn render(chart: &Chart, columns: usize, style: &Style) -> String {
    let columns = if columns == UNLIMITED { USUAL_COLUMNS } else { columns };
    let mut text = String::new();
    if let Some(title) = &chart.title {
        text.push_str(&style.paint(&fit(title, columns, style), Paint::Bold));
        text.push('\n');
    }
    let lines = match chart.series.iter().all(|series| series.values.len() <= 1) {
        true => bars(chart, columns, style),
        false => curves(chart, columns, style),
    };
    for line in lines {
        text.push_str(within(line, columns, style).trim_end());
        text.push('\n');
    }
    if let Some(footer) = &chart.footer {
        text.push_str(&style.paint(&fit(footer, columns, style), Paint::Dim));
        text.push('\n');
    }
    text
}

fn bars(chart: &Chart, columns: usize, style: &Style) -> Vec<String> {
    let value = |series: &Series| series.values.first().copied().flatten();
    let numbers: Vec<String> =
        chart.series.iter().map(|series| number(value(series), chart.unit.as_deref())).collect();
    let widest = numbers.iter().map(|number| width(number)).max().unwrap_or(0);
    let labels = label_columns(chart, columns);
    let room = columns.saturating_sub(labels + 2 + 2 + widest);
    let highest = chart.series.iter().filter_map(value).fold(0.0, f64::max);
    chart
        .series
        .iter()
        .zip(numbers)
        .map(|(series, number)| {
            let part = value(series).filter(|_| highest > 0.0).map_or(0.0, |value| value / highest);
            let bar = if room < NARROWEST { String::new() } else { bar(part, room, style) };
            let padding = fill(width(&number), widest);
            let bar = style.paint(&bar, Paint::HINT);
            format!("{}  {padding}{number}  {bar}", label(series, labels, style))
        })
        .collect()
}

fn curves(chart: &Chart, columns: usize, style: &Style) -> Vec<String> {
    let all = || chart.series.iter().flat_map(|series| &series.values).copied().flatten();
    let (lowest, highest) = all()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    let labels = label_columns(chart, columns);
    let said = |facts: fn(&Series, Option<&str>) -> String| -> (Vec<String>, usize) {
        let facts: Vec<String> =
            chart.series.iter().map(|series| facts(series, chart.unit.as_deref())).collect();
        let widest = facts.iter().map(|facts| width(facts)).max().unwrap_or(0);
        (facts, columns.saturating_sub(labels + 2 + 2 + widest))
    };
    let (mut facts, mut room) = said(range);
    if room < COMFORTABLE {
        (facts, room) = said(last);
    }
    let longest = chart.series.iter().map(|series| series.values.len()).max().unwrap_or(0);
    let shown = if room < NARROWEST { 0 } else { room.min(longest) };
    chart
        .series
        .iter()
        .zip(facts)
        .map(|(series, facts)| {
            let points = condensed(&series.values, shown);
            let line: String = points.iter().map(|point| column(*point, lowest, highest, style)).collect();
            let padding = fill(width(&line), shown);
            let line = style.paint(&line, Paint::HINT);
            format!("{}  {line}{padding}  {facts}", label(series, labels, style))
        })
        .collect()
}

fn label_columns(chart: &Chart, columns: usize) -> usize {
    chart.series.iter().map(|series| width(&series.label)).max().unwrap_or(0).min(columns / LABELS)
}

fn label(series: &Series, columns: usize, style: &Style) -> String {
    let label = fit(&series.label, columns, style);
    format!("{label}{}", fill(width(&label), columns))
}

/// A bar of a part from 0 to 1 of `columns`; what is more than nothing shows.
fn bar(part: f64, columns: usize, style: &Style) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let part = part.clamp(0.0, 1.0);
    if !style.unicode {
        return "#".repeat((part * columns as f64).ceil() as usize);
    }
    let eighths = (part * (columns * 8) as f64).ceil() as usize;
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS.get(eighths % 8).copied().unwrap_or_default())
}

/// The picture of a value between the lowest and the highest.
fn column(value: Option<f64>, lowest: f64, highest: f64, style: &Style) -> char {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    const LETTERS: [char; 8] = ['_', '.', ',', '-', '=', '+', '*', '#'];
    let Some(value) = value else { return ' ' };
    let pictures = if style.unicode { BLOCKS } else { LETTERS };
    let spread = highest - lowest;
    let part = if spread > 0.0 { (value - lowest) / spread } else { 0.0 };
    let index = (part * (pictures.len() - 1) as f64).round() as usize;
    pictures.get(index).copied().unwrap_or(' ')
}

/// As many points as there is room for; each is the mean of the values in its place.
fn condensed(values: &[Option<f64>], columns: usize) -> Vec<Option<f64>> {
    if values.len() <= columns {
        return values.to_vec();
    }
    (0..columns)
        .map(|index| {
            let from = index * values.len() / columns;
            let to = (index + 1) * values.len() / columns;
            let known: Vec<f64> = values.get(from..to).into_iter().flatten().copied().flatten().collect();
            (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
        })
        .collect()
}

/// `0.0361 $/h`
fn last(series: &Series, unit: Option<&str>) -> String {
    let last = series.values.iter().copied().flatten().next_back();
    last.map_or_else(|| "no values".to_owned(), |last| number(Some(last), unit))
}

/// `0.0312 to 0.0418, last 0.0361 $/h`
fn range(series: &Series, unit: Option<&str>) -> String {
    let known = || series.values.iter().copied().flatten();
    let Some(last) = known().next_back() else { return "no values".to_owned() };
    let low = known().fold(f64::INFINITY, f64::min);
    let high = known().fold(f64::NEG_INFINITY, f64::max);
    if low == high {
        return number(Some(last), unit);
    }
    format!("{} to {}, last {}", number(Some(low), None), number(Some(high), None), number(Some(last), unit))
}

/// Up to four decimals, without trailing zeros, as in tables.
fn number(value: Option<f64>, unit: Option<&str>) -> String {
    let Some(value) = value else { return "-".to_owned() };
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    let text = if text == "-0" { "0" } else { text };
    unit.map_or_else(|| text.to_owned(), |unit| format!("{text} {unit}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;
    use proptest::prelude::*;

    const UNICODE: Style = Style { color: false, unicode: true };

    fn series(label: &str, values: &[f64]) -> Series {
        Series { label: label.into(), values: values.iter().map(|value| Some(*value)).collect() }
    }

    fn prices() -> Chart {
        Chart {
            title: Some("Spot prices".into()),
            unit: Some("$/h".into()),
            series: vec![series("m5.large us-west-2a", &[0.0361]), series("m5.large eu-west-1b", &[0.0722])],
            footer: None,
        }
    }

    fn history() -> Chart {
        let values: Vec<f64> = (0..48).map(|hour| 0.03 + f64::from(hour % 24) * 0.001).collect();
        let mut gap = series("us-west-2b", &[0.05; 24]);
        gap.values[3] = None;
        Chart {
            title: None,
            unit: Some("$/h".into()),
            series: vec![series("us-west-2a", &values), gap, Series { label: "none".into(), values: vec![] }],
            footer: Some("48 hours".into()),
        }
    }

    #[test]
    fn bars_of_one_value_each() {
        assert_snapshot!(render(&prices(), 60, &UNICODE), @r"
        Spot prices
        m5.large us-west-2a  0.0361 $/h  █████████████▌
        m5.large eu-west-1b  0.0722 $/h  ███████████████████████████
        ");
        assert_snapshot!(render(&prices(), 60, &Style::PLAIN), @r"
        Spot prices
        m5.large us-west-2a  0.0361 $/h  ##############
        m5.large eu-west-1b  0.0722 $/h  ###########################
        ");
        assert_snapshot!(render(&prices(), 24, &UNICODE), @r"
        Spot prices
        m5.large us…  0.0361 $/…
        m5.large eu…  0.0722 $/…
        ");
    }

    #[test]
    fn lines_of_many_values_share_a_scale() {
        assert_snapshot!(render(&history(), 90, &UNICODE), @r"
        us-west-2a  ▁▁▂▂▂▃▃▃▃▄▄▄▅▅▅▆▆▆▆▇▇▇██▁▁▂▂▂▃▃▃▃▄▄▄▅▅▅▆▆▆▆▇▇▇█  0.03 to 0.053, last 0.053 $/h
        us-west-2b  ▇▇▇ ▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇                         0.05 $/h
        none                                                         no values
        48 hours
        ");
        assert_snapshot!(render(&history(), 64, &Style::PLAIN), @r"
        us-west-2a  _..,--=+**+_.,--=++*#  0.03 to 0.053, last 0.053 $/h
        us-west-2b  *** *****************  0.05 $/h
        none                               no values
        48 hours
        ");
    }

    #[test]
    fn odd_values_do_no_harm() {
        let odd = Chart {
            title: None,
            unit: None,
            series: vec![
                series("below", &[-1.0]),
                Series { label: "gap".into(), values: vec![None] },
                series("nothing", &[0.0]),
            ],
            footer: None,
        };
        assert_snapshot!(render(&odd, 40, &UNICODE), @r"
        below    -1
        gap       -
        nothing   0
        ");
        let none = Chart { title: None, unit: None, series: vec![], footer: None };
        assert_eq!(render(&none, 40, &UNICODE), "");
    }

    proptest! {
        #[test]
        fn never_wider_than_asked(
            values in proptest::collection::vec(proptest::collection::vec(-1e6_f64..1e6, 0..100), 0..5),
            label in "\\PC{0,30}",
            columns in 1_usize..200,
            unicode: bool,
        ) {
            let series = values.iter().map(|values| series(&label, values)).collect();
            let chart = Chart { title: Some(label.clone()), unit: None, series, footer: None };
            let style = Style { color: false, unicode };
            for line in render(&chart, columns, &style).lines() {
                prop_assert!(width(line) <= columns, "{} > {columns}: {line}", width(line));
            }
        }
    }
}
