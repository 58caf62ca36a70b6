//! Durations and amounts as people read them.

use super::event::Unit;

/// How long an answer took: `34 ms`, or as [`duration`] has it from a second on.
pub fn latency(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.0} ms", seconds * 1000.0) } else { duration(seconds) }
}

/// A duration: `0.3s`, `12s`, `1m 23s`, `2h 05m`, `3d 04h`.
pub fn duration(seconds: f64) -> String {
    let seconds = if seconds.is_finite() { seconds.max(0.0) } else { 0.0 };
    if seconds < 9.95 {
        return format!("{seconds:.1}s");
    }
    elapsed(seconds.round() as u64)
}

/// What something costs in US dollars: `$0.0125/h`, `$12.50/h`.
pub fn hourly(dollars: f64) -> String {
    if dollars < 1.0 { format!("${dollars:.4}/h") } else { format!("${dollars:.2}/h") }
}

/// A duration in whole seconds, for clocks that tick: `3s`, `12s`, `1m 23s`.
pub fn elapsed(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        3600..86400 => format!("{}h {:02}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d {:02}h", seconds / 86400, seconds % 86400 / 3600),
    }
}

/// An amount: `12.3 MiB`, `512 B`, `1,234`.
pub fn amount(count: u64, unit: Unit) -> String {
    match unit {
        Unit::Items => grouped(count),
        Unit::Bytes => match scale(count) {
            (_, 0) => format!("{count} B"),
            (divisor, power) => format!("{:.1} {}", count as f64 / divisor, PREFIXES[power]),
        },
    }
}

/// Part of a whole: `12.3/27.0 MiB`, `3/20`.
pub fn share(done: u64, total: u64, unit: Unit) -> String {
    match unit {
        Unit::Items => format!("{}/{}", grouped(done), grouped(total)),
        Unit::Bytes => match scale(total) {
            (_, 0) => format!("{done}/{total} B"),
            (divisor, power) => {
                format!("{:.1}/{:.1} {}", done as f64 / divisor, total as f64 / divisor, PREFIXES[power])
            }
        },
    }
}

/// A rate: `3.2 MiB/s`, `4.0/s`.
pub fn rate(per_second: f64, unit: Unit) -> String {
    match unit {
        Unit::Bytes => format!("{}/s", amount(per_second.max(0.0).round() as u64, unit)),
        Unit::Items if per_second >= 100.0 => format!("{}/s", grouped(per_second.round() as u64)),
        Unit::Items => format!("{:.1}/s", per_second.max(0.0)),
    }
}

const PREFIXES: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/// The divisor and the index of the prefix that suit an amount.
fn scale(count: u64) -> (f64, usize) {
    let mut divisor = 1.0;
    let mut power = 0;
    // Half a tenth less than a full step already rounds up to `1024.0` of the smaller unit.
    while power + 1 < PREFIXES.len() && count as f64 / divisor >= 1023.95 {
        divisor *= 1024.0;
        power += 1;
    }
    (divisor, power)
}

fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let shown: Vec<String> =
            [0.04, 9.94, 9.96, 59.4, 83.0, 7500.0, 273_600.0, f64::NAN].map(duration).into();
        assert_eq!(shown, ["0.0s", "9.9s", "10s", "59s", "1m 23s", "2h 05m", "3d 04h", "0.0s"]);
    }

    #[test]
    fn amounts() {
        let bytes: Vec<String> =
            [0, 1023, 1024, 1_048_575, 28_311_552, u64::MAX].map(|n| amount(n, Unit::Bytes)).into();
        assert_eq!(bytes, ["0 B", "1023 B", "1.0 KiB", "1.0 MiB", "27.0 MiB", "16384.0 PiB"]);
        let items: Vec<String> = [0, 999, 1000, 1_234_567].map(|n| amount(n, Unit::Items)).into();
        assert_eq!(items, ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(share(12_897_485, 28_311_552, Unit::Bytes), "12.3/27.0 MiB");
        assert_eq!(share(5, 900, Unit::Bytes), "5/900 B");
        assert_eq!(rate(3_355_443.2, Unit::Bytes), "3.2 MiB/s");
        assert_eq!(rate(0.25, Unit::Items), "0.2/s");
        assert_eq!(rate(1234.5, Unit::Items), "1,235/s");
    }
}
