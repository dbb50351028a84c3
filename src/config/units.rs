//! Values with a unit, as people write them: `"30 s"`, `"512 MiB"`, `"90/h"`. Reading and writing
//! agree: what is written here reads back as the same value. Must never guess a missing unit.

use crate::config::checked::Rate;
use std::time::Duration;

/// Units of time, longest first, in milliseconds. A year is 365 days.
const TIMES: &[(&str, u64)] = &[("y", 31_536_000_000), ("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1)];

/// Units of size, largest first, in bytes.
const SIZES: &[(&str, u64)] = &[
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("KB", 1_000),
    ("B", 1),
];

/// Reads `"30 s"`, `"5min"`, `"200 ms"`, `"120 d"`, `"8 y"`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    number_and_unit(text, TIMES).map(Duration::from_millis)
}

/// The length in the longest unit that leaves no rest; below a millisecond nothing is kept.
pub fn render_duration(length: Duration) -> String {
    let ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    if ms == 0 { "0 s".to_owned() } else { in_largest_unit(ms, TIMES) }
}

/// Reads `"512 MiB"`, `"10 MB"`, `"64KiB"`.
pub fn parse_size(text: &str) -> Option<u64> {
    number_and_unit(text, SIZES)
}

/// The size in the largest unit that leaves no rest.
pub fn render_size(bytes: u64) -> String {
    if bytes == 0 { "0 B".to_owned() } else { in_largest_unit(bytes, SIZES) }
}

/// Reads `"10/s"`, `"100 / min"`, `"90/h"`; never nothing at all.
pub fn parse_rate(text: &str) -> Option<Rate> {
    let (count, unit) = text.split_once('/')?;
    let count: u32 = digits(count.trim())?.try_into().ok()?;
    let unit = unit.trim();
    let (_, ms) = TIMES.iter().find(|(name, _)| *name == unit && matches!(*name, "s" | "min" | "h" | "d"))?;
    (count > 0).then_some(Rate { count, per: Duration::from_millis(*ms) })
}

/// `10/s`; a span that is no unit of time becomes the rate per day.
pub fn render_rate(rate: Rate) -> String {
    let ms = u64::try_from(rate.per.as_millis()).unwrap_or(u64::MAX);
    match TIMES.iter().find(|(_, unit)| *unit == ms) {
        Some((name, _)) => format!("{}/{name}", rate.count),
        None => format!("{}/d", u64::from(rate.count).saturating_mul(86_400_000) / ms.max(1)),
    }
}

fn number_and_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(at)?;
    let unit = unit.trim_start();
    let (_, each) = units.iter().find(|(name, _)| *name == unit)?;
    digits(number)?.checked_mul(*each)
}

fn digits(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

fn in_largest_unit(value: u64, units: &[(&str, u64)]) -> String {
    let fitting = units.iter().find(|(_, each)| value.is_multiple_of(*each));
    fitting.map_or_else(|| value.to_string(), |(name, each)| format!("{} {name}", value / each))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations() {
        for (text, ms) in [
            ("30 s", Some(30_000)),
            ("5min", Some(300_000)),
            (" 72 h ", Some(259_200_000)),
            ("120 d", Some(10_368_000_000)),
            ("8 y", Some(252_288_000_000)),
            ("200 ms", Some(200)),
            ("0 s", Some(0)),
            ("30", None),
            ("s", None),
            ("30 sec", None),
            ("30 m", None),
            ("-1 s", None),
            ("1.5 h", None),
            ("30 S", None),
            ("99999999999999999999 s", None),
            ("9999999999999999 y", None),
            ("", None),
        ] {
            assert_eq!(parse_duration(text), ms.map(Duration::from_millis), "{text}");
        }
        for (ms, text) in [(0, "0 s"), (1_500, "1500 ms"), (90_000, "90 s"), (259_200_000, "3 d"), (31_536_000_000, "1 y")] {
            assert_eq!(render_duration(Duration::from_millis(ms)), text);
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("512 MiB", Some(512 << 20)),
            ("10 MB", Some(10_000_000)),
            ("64KiB", Some(65_536)),
            ("2 GiB", Some(2 << 30)),
            ("1 B", Some(1)),
            ("1", None),
            ("1 mb", None),
            ("1.5 GiB", None),
        ] {
            assert_eq!(parse_size(text), bytes, "{text}");
        }
        for (bytes, text) in [(0, "0 B"), (2 << 20, "2 MiB"), (10_000_000, "10 MB"), (1_001, "1001 B")] {
            assert_eq!(render_size(bytes), text);
        }
    }

    #[test]
    fn rates() {
        for (text, rate) in [
            ("10/s", Some((10, 1))),
            ("100/min", Some((100, 60))),
            ("90 / h", Some((90, 3_600))),
            ("5/d", Some((5, 86_400))),
            ("0/s", None),
            ("10", None),
            ("10/sec", None),
            ("10/y", None),
            ("/s", None),
            ("-1/s", None),
        ] {
            assert_eq!(parse_rate(text), rate.map(|(count, s)| Rate { count, per: Duration::from_secs(s) }), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(n in 0u64..10_000_000_000_000, count in 1u32..100_000, unit in 1usize..5) {
            prop_assert_eq!(parse_duration(&render_duration(Duration::from_millis(n))), Some(Duration::from_millis(n)));
            prop_assert_eq!(parse_size(&render_size(n)), Some(n));
            let rate = Rate { count, per: Duration::from_millis(TIMES[unit].1) };
            prop_assert_eq!(parse_rate(&render_rate(rate)), Some(rate));
        }
    }
}
