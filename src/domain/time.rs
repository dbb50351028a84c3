//! Moments, as whole milliseconds since 1970 in UTC. Reads no clock: `sys::clock` does.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A moment in milliseconds since 1970-01-01T00:00:00Z. May be wrong where the clock was: only
/// differences on one run of the monotonic clock are to be trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMs(pub i64);

impl UnixMs {
    /// Milliseconds from `earlier` to `self`, never below zero.
    pub fn since(self, earlier: UnixMs) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// As an instant of the time library; moments out of its range are clamped to 1970.
    pub fn instant(self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }

    /// Reads RFC 3339 with an offset, e.g. `2026-10-03T18:07:44+02:00`; `None` for anything else.
    pub fn parse_rfc3339(text: &str) -> Option<UnixMs> {
        text.parse::<jiff::Timestamp>().ok().map(|t| UnixMs(t.as_millisecond()))
    }

    /// `2026-10-03T16:07:44Z` or, with `ms`, `2026-10-03T16:07:44.123Z`.
    pub fn rfc3339(self) -> String {
        self.instant().to_string()
    }
}

impl Add<Duration> for UnixMs {
    type Output = UnixMs;
    fn add(self, by: Duration) -> UnixMs {
        UnixMs(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for UnixMs {
    type Output = UnixMs;
    fn sub(self, by: Duration) -> UnixMs {
        UnixMs(self.0.saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for UnixMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339())
    }
}

/// Whole units for people: `45 s`, `12 min`, `2 h 45 min`, `3 d 4 h`.
pub fn for_people(length: Duration) -> String {
    let s = length.as_secs();
    let (d, h, m) = (s / 86_400, s / 3_600 % 24, s / 60 % 60);
    match (d, h, m) {
        (0, 0, 0) => format!("{s} s"),
        (0, 0, m) => format!("{m} min"),
        (0, h, 0) => format!("{h} h"),
        (0, h, m) => format!("{h} h {m} min"),
        (d, 0, _) => format!("{d} d"),
        (d, h, _) => format!("{d} d {h} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_both_ways() {
        let t = UnixMs::parse_rfc3339("2026-10-03T18:07:44+02:00").unwrap();
        assert_eq!(t.rfc3339(), "2026-10-03T16:07:44Z");
        for bad in ["yesterday", "2026-10-03", "2026-10-03T18:07:44", "", "2026-13-03T18:07:44Z"] {
            assert_eq!(UnixMs::parse_rfc3339(bad), None, "{bad}");
        }
    }

    #[test]
    fn lengths_for_people() {
        for (s, text) in [(0, "0 s"), (59, "59 s"), (60, "1 min"), (9_900, "2 h 45 min"), (7_200, "2 h"), (273_600, "3 d 4 h")] {
            assert_eq!(for_people(Duration::from_secs(s)), text);
        }
    }

    #[test]
    fn arithmetic_never_wraps() {
        assert_eq!(UnixMs(i64::MAX) + Duration::from_secs(1), UnixMs(i64::MAX));
        assert_eq!(UnixMs(5).since(UnixMs(9)), Duration::ZERO);
    }
}
