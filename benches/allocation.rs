//! Policies compared over 1,000 seeded spot markets; prints a markdown table.
//!
//! `cargo bench --bench allocation` · a number as argument takes so many markets, a second one is the
//! seed of the first.

#[allow(dead_code, clippy::unwrap_used)]
#[path = "../tests/market.rs"]
mod market;

use std::time::Instant;

use market::{Outcome, Policy, simulate};
use spot::cloud::allocation::Spread;

const HOURS: u32 = 24;
const POLICIES: [(&str, Policy); 6] = [
    ("one type, one zone per region", Policy::OneType),
    ("lowest price in each region", Policy::LowestPrice),
    ("`spread: \"cheapest\"`", Policy::Allocated(Spread::Cheapest)),
    ("`spread: \"even\"`", Policy::Allocated(Spread::Even)),
    ("`spread: \"capacity\"`", Policy::Allocated(Spread::Capacity)),
    ("`spread: \"balanced\"`", Policy::Allocated(Spread::Balanced)),
];

fn main() {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse::<u64>().ok());
    let (seeds, first) = (numbers.next().unwrap_or(1000), numbers.next().unwrap_or(0));
    let started = Instant::now();
    println!(
        "| policy | targets reached, of those possible | came in the first round | useful hours of those wanted | taken back per 100 instance-days | pools that refused, per market | US cents per useful hour |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (name, policy) in POLICIES {
        let made: Vec<Outcome> = (first..first + seeds).map(|seed| simulate(seed, policy, HOURS)).collect();
        let sum = |of: &dyn Fn(&Outcome) -> f64| made.iter().map(of).sum::<f64>();
        let wanted = sum(&|it| f64::from(it.count));
        let possible = made.iter().filter(|it| it.possible >= it.count).count();
        let reached = made.iter().filter(|it| it.possible >= it.count && it.reached == it.count).count();
        println!(
            "| {name} | {reached} / {possible} | {:.0} % | {:.1} % | {:.0} | {:.1} | {:.2} |",
            100.0 * sum(&|it| f64::from(it.at_once)) / wanted,
            100.0 * sum(&|it| it.useful) / (wanted * f64::from(HOURS)),
            100.0 * 24.0 * sum(&|it| f64::from(it.interruptions)) / sum(&|it| it.hours),
            sum(&|it| f64::from(it.refusals)) / seeds as f64,
            100.0 * sum(&|it| it.cost) / sum(&|it| it.useful),
        );
    }
    eprintln!(
        "{seeds} markets × {HOURS} hours × {} policies in {:.1} s",
        POLICIES.len(),
        started.elapsed().as_secs_f64()
    );
}
