//! `spot state list`: instances, networks and values, as state knows them.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::options::Options;
use super::read;
use crate::host::Failure;
use crate::state::{Document, Instance, Network};
use crate::ui::{Cell, Column, Event, Level, Table, Ui};

pub(super) const EXAMPLES: &str = "\
Nothing is asked of AWS, and nobody is waited for: this is what was last written down.
`spot list` asks AWS too, `spot state reconcile` shows where the two differ.

Examples:
  spot state list --json | jq -r '.value[].public_ip'
  spot state show 1";

/// Shows them; as JSON the instances alone, in one array.
pub(super) fn run(options: &Options, ui: &Arc<dyn Ui>) -> Result<u8, Failure> {
    let document = read(options, ui)?;
    if options.json {
        ui.emit(Event::Data(document.instances().map(Instance::to_value).collect()));
        return Ok(0);
    }
    if document.instance_count() > 0 {
        ui.emit(Event::Table(instances(&document)));
    } else {
        ui.emit(Event::message(Level::Info, "state knows of no instances"));
    }
    if !document.networks().is_empty() {
        ui.emit(Event::Table(networks(document.networks())));
    }
    if !document.values().is_empty() {
        ui.emit(Event::Table(values(&document)));
    }
    for open in document.open_intents() {
        let (action, region) = (&open.intent.action, &open.intent.region);
        ui.emit(Event::Message {
            level: Level::Warning,
            text: format!("nobody saw the end of {action} in {region}, begun {}", open.since),
            hint: Some("spot state reconcile finds out what it made".to_owned()),
        });
    }
    Ok(0)
}

/// The instances of a state, with their places.
pub(super) fn instances(document: &Document) -> Table {
    let text = |text: &Option<String>| Cell::from(text.clone().unwrap_or_default());
    let row = |(index, it): (usize, &Instance)| {
        vec![
            Cell::from((index + 1).to_string()),
            Cell::from(it.id.clone()),
            Cell::from(it.region.clone()),
            text(&it.instance_type),
            text(&it.state),
            match it.phase.as_deref() {
                Some("failed") => Cell::marked("failed", Level::Error),
                phase => Cell::from(phase.unwrap_or_default().to_owned()),
            },
            text(&it.public_ip),
            Cell::from(it.price.map(|price| format!("{price:.4}")).unwrap_or_default()),
        ]
    };
    let count = document.instance_count();
    let updated = document.last_updated().map(|at| format!(", as of {at}")).unwrap_or_default();
    Table {
        title: None,
        columns: vec![
            Column::right("#"),
            Column::left("id"),
            Column::left("region"),
            Column::left("type"),
            Column::left("state"),
            Column::left("phase"),
            Column::left("public_ip"),
            Column::right("price"),
        ],
        rows: document.instances().enumerate().map(row).collect(),
        footer: Some(format!(
            "{count} instance{}, {}{updated}",
            if count == 1 { "" } else { "s" },
            cost(document.instances())
        )),
    }
}

/// What instances cost in an hour, as far as it is known.
pub(super) fn cost<'a>(instances: impl Iterator<Item = &'a Instance>) -> String {
    let (mut sum, mut unknown) = (0.0, 0);
    for instance in instances {
        match instance.price {
            Some(price) => sum += price,
            None => unknown += 1,
        }
    }
    match (sum > 0.0, unknown) {
        (true, 0) => format!("about ${sum:.4} an hour"),
        (true, _) => format!("about ${sum:.4} an hour, price unknown for {unknown}"),
        (false, _) => "price unknown".to_owned(),
    }
}

fn networks(networks: &[Network]) -> Table {
    let row = |it: &Network| {
        vec![
            Cell::from(it.region.clone()),
            Cell::from(it.vpc_id.clone()),
            Cell::from(it.security_group_id.clone().unwrap_or_default()),
            Cell::from(it.created.len().to_string()),
        ]
    };
    Table {
        title: Some("Networks".to_owned()),
        columns: vec![
            Column::left("region"),
            Column::left("vpc"),
            Column::left("security group"),
            Column::right("parts of our own"),
        ],
        rows: networks.iter().map(row).collect(),
        footer: None,
    }
}

fn values(document: &Document) -> Table {
    let shown = |value: &Value| value.as_str().map_or_else(|| json!(value).to_string(), str::to_owned);
    Table {
        title: Some("Values".to_owned()),
        columns: vec![Column::left("name"), Column::left("value")],
        rows: document
            .values()
            .iter()
            .map(|(name, value)| vec![Cell::from(name.clone()), Cell::from(shown(value))])
            .collect(),
        footer: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_of_the_cost_is_said() {
        let priced = |price| Instance { price, ..Instance::new("i-1", "r") };
        let of = |prices: &[Option<f64>]| {
            cost(prices.iter().map(|price| priced(*price)).collect::<Vec<_>>().iter())
        };
        assert_eq!(of(&[Some(0.01), Some(0.02)]), "about $0.0300 an hour");
        assert_eq!(of(&[Some(0.01), None]), "about $0.0100 an hour, price unknown for 1");
        assert_eq!(of(&[None]), "price unknown");
    }
}
