//! Times and sizes as people type them.

use std::time::Duration;

/// Units of time, in seconds.
const TIMES: [(&str, f64); 5] = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", 86_400.0)];
/// Units of size, in bytes.
const SIZES: [(&str, f64); 4] =
    [("k", 1024.0), ("m", 1_048_576.0), ("g", 1_073_741_824.0), ("t", 1_099_511_627_776.0)];

/// A time: `90` (seconds), `0.5`, `15m`, `3h`, `1h30m`.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("expected a time such as 30 (seconds), 0.5, 15m, 3h or 1h30m, found `{text}`");
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds)
            .map_err(|_| "expected a time that is not negative".to_owned());
    }
    let mut rest = text.trim();
    let mut sum = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|letter: char| letter.is_ascii_alphabetic()).ok_or_else(wrong)?;
        let (number, tail) = rest.split_at(end);
        let end = tail.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let (_, factor) = TIMES.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let number: f64 = number.parse().ok().filter(|number| *number >= 0.0).ok_or_else(wrong)?;
        sum += number * factor;
        rest = tail;
    }
    if text.trim().is_empty() {
        return Err(wrong());
    }
    Duration::try_from_secs_f64(sum).map_err(|_| wrong())
}

/// A size: `1048576` (bytes), `512M`, `4G`, `1.5GiB`; a thousand and twenty-four of each make the next.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("expected a size such as 1048576 (bytes), 512M or 4G, found `{text}`");
    let lower = text.trim().to_ascii_lowercase();
    let plain = lower.strip_suffix("ib").or_else(|| lower.strip_suffix('b')).unwrap_or(&lower);
    let unit = SIZES.iter().find_map(|(name, factor)| Some((plain.strip_suffix(name)?, *factor)));
    let (number, factor) = unit.unwrap_or((plain, 1.0));
    let bytes = number.trim().parse::<f64>().map_err(|_| wrong())? * factor;
    // Beyond this, numbers of bytes are no longer exact.
    if (1.0..=9e15).contains(&bytes) { Ok(bytes as u64) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, milliseconds) in [
            ("90", 90_000),
            ("0.5", 500),
            ("15m", 900_000),
            ("3h", 10_800_000),
            ("1h30m", 5_400_000),
            ("20ms", 20),
            ("2d", 172_800_000),
        ] {
            assert_eq!(time(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for wrong in ["", "-1", "3x", "h", "3h-1m", "three", "nan", "1e400", "3h5"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in
            [("4096", 4096), ("512M", 512 << 20), ("1.5GiB", 3 << 29), ("2g", 2 << 30), ("10kb", 10 << 10)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for wrong in ["", "-1", "0", "4X", "M", "1e300", "nan"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
