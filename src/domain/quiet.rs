//! Quiet hours: when a message may be sent by the clock on the recipient's wall. Pure.
//!
//! Computed on local wall time. A boundary that does not exist, as clocks go forward, is the next minute
//! that does; one that exists twice is the first.

use crate::domain::time::UnixMs;
use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use std::fmt;

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// Spans of minutes since midnight, the end excluded.
type Spans = Vec<(u16, u16)>;

/// When something is open, for each day of the week: spans of minutes since midnight, the end excluded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window([Spans; 7]);

impl Window {
    /// Open at all times.
    pub fn always() -> Window {
        Window(std::array::from_fn(|_| vec![(0, DAY)]))
    }

    /// Reads `08:00-21:00`, or days with hours: `Mon-Sat 09:00-20:00, Sun 12:00-20:00`. Days that are not
    /// named are closed. Hours that end before they begin end on the next day.
    pub fn parse(text: &str) -> Option<Window> {
        let mut window = Window::default();
        for part in text.split(',').map(str::trim) {
            let (days, hours) = match part.split_once(' ') {
                Some((days, hours)) => (days_of(days.trim())?, hours.trim()),
                None => ((0..7).collect(), part),
            };
            let (from, to) = hours.split_once('-')?;
            let (from, to) = (minute(from.trim())?, minute(to.trim())?);
            for day in days {
                if from < to {
                    window.0.get_mut(day)?.push((from, to));
                } else {
                    window.0.get_mut(day)?.push((from, DAY));
                    window.0.get_mut((day + 1) % 7)?.push((0, to));
                }
            }
        }
        for day in &mut window.0 {
            day.retain(|(from, to)| from < to);
            day.sort_unstable();
        }
        window.0.iter().any(|day| !day.is_empty()).then_some(window)
    }

    /// Open where both are.
    pub fn and(&self, other: &Window) -> Window {
        let both = |(a, b): (&Spans, &Spans)| -> Spans {
            let pairs = a.iter().flat_map(|x| b.iter().map(move |y| (x.0.max(y.0), x.1.min(y.1))));
            pairs.filter(|(from, to)| from < to).collect()
        };
        let mut days = self.0.iter().zip(&other.0).map(both);
        Window(std::array::from_fn(|_| days.next().unwrap_or_default()))
    }

    /// The first moment from `at` on at which it is open in all zones; `at` itself where it is open now, and
    /// where the zones have no open moment in common within a month.
    pub fn opens(&self, zones: &[TimeZone], at: UnixMs) -> UnixMs {
        let mut moment = at;
        for _ in 0..64 {
            let next = zones.iter().map(|zone| self.opens_in(zone, moment)).max().unwrap_or(moment);
            if next == moment {
                return moment;
            }
            moment = next;
        }
        at
    }

    fn opens_in(&self, zone: &TimeZone, at: UnixMs) -> UnixMs {
        let today = zone.to_datetime(at.instant()).date();
        let mut day = today;
        for _ in 0..9 {
            for (from, to) in self.0.get(index(day.weekday())).into_iter().flatten() {
                if at < instant(zone, day, *to) {
                    return at.max(instant(zone, day, *from));
                }
            }
            day = day.tomorrow().unwrap_or(day);
        }
        at
    }
}

impl fmt::Display for Window {
    /// As it is written, day by day.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
        let clock = |m: &u16| format!("{:02}:{:02}", m / 60, m % 60);
        let spans = names.iter().zip(&self.0).flat_map(|(name, spans)| spans.iter().map(move |s| (name, s)));
        let all: Vec<String> = spans.map(|(name, (from, to))| format!("{name} {}-{}", clock(from), clock(to))).collect();
        f.write_str(&all.join(", "))
    }
}

/// The moment of a minute of a local day.
fn instant(zone: &TimeZone, day: Date, minute: u16) -> UnixMs {
    let (mut day, mut minute) = (day, minute);
    for _ in 0..=(3 * 60) {
        if minute >= DAY {
            (day, minute) = (day.tomorrow().unwrap_or(day), minute - DAY);
        }
        let (hour, rest) = (i8::try_from(minute / 60).unwrap_or(0), i8::try_from(minute % 60).unwrap_or(0));
        let Ok(time) = Time::new(hour, rest, 0, 0) else { break };
        let ambiguous = zone.to_ambiguous_timestamp(DateTime::from_parts(day, time));
        match ambiguous.offset() {
            AmbiguousOffset::Gap { .. } => minute += 1,
            _ => return ambiguous.earlier().map(|t| UnixMs(t.as_millisecond())).unwrap_or_default(),
        }
    }
    UnixMs::default()
}

fn index(day: Weekday) -> usize {
    usize::try_from(day.to_monday_zero_offset()).unwrap_or(0)
}

fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let (h, m): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    (m < 60 && h * 60 + m <= DAY && minutes.len() == 2).then_some(h * 60 + m)
}

/// `Mon-Sat`, `Sun`, `Mon/Wed`.
fn days_of(text: &str) -> Option<Vec<usize>> {
    let names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let day = |word: &str| names.iter().position(|n| n.eq_ignore_ascii_case(word));
    match text.split_once('-') {
        Some((first, last)) => {
            let (first, last) = (day(first)?, day(last)?);
            Some((0..7).map(|n| (first + n) % 7).take((last + 7 - first) % 7 + 1).collect())
        }
        None => text.split('/').map(day).collect(),
    }
}

/// Stricter windows for marketing texts in some states: ISO 3166-2 and hours, from an overview of the trade
/// and to be checked with a lawyer; each can be changed in the config.
pub const STATES: &[(&str, &str)] = &[
    ("US-CT", "09:00-20:00"),
    ("US-FL", "08:00-20:00"),
    ("US-MD", "08:00-20:00"),
    ("US-MS", "08:00-20:00"),
    ("US-NJ", "08:00-20:00"),
    ("US-OK", "08:00-20:00"),
    ("US-RI", "Mon-Fri 09:00-18:00, Sat-Sun 10:00-17:00"),
    ("US-TX", "Mon-Sat 09:00-21:00, Sun 12:00-21:00"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    #[track_caller]
    fn check(window: &str, zones: &[&str], at: &str, opens: &str) {
        let zones: Vec<TimeZone> = zones.iter().map(|z| zone(z)).collect();
        let got = Window::parse(window).unwrap().opens(&zones, UnixMs::parse_rfc3339(at).unwrap());
        assert_eq!(got, UnixMs::parse_rfc3339(opens).unwrap(), "{got}");
    }

    const INTERRUPTIVE: &str = "08:00-21:00";
    const MARKETING: &str = "Mon-Sat 09:00-20:00, Sun 12:00-20:00";

    #[test]
    fn evening_waits_for_the_morning() {
        check(INTERRUPTIVE, &["America/Chicago"], "2026-03-03T22:05:00-06:00", "2026-03-04T08:00:00-06:00");
        check(INTERRUPTIVE, &["America/Chicago"], "2026-03-03T20:59:59-06:00", "2026-03-03T20:59:59-06:00");
        check(INTERRUPTIVE, &["America/Chicago"], "2026-03-03T21:00:00-06:00", "2026-03-04T08:00:00-06:00");
        check(INTERRUPTIVE, &["America/Chicago"], "2026-03-03T03:00:00-06:00", "2026-03-03T08:00:00-06:00");
    }

    #[test]
    fn all_zones_must_be_open() {
        // Nine in New York is six in Los Angeles; the last moment in New York is early afternoon's end.
        check(INTERRUPTIVE, &["America/New_York", "America/Los_Angeles"], "2026-03-03T09:00:00-05:00", "2026-03-03T08:00:00-08:00");
        check(INTERRUPTIVE, &["America/New_York", "America/Los_Angeles"], "2026-03-03T21:30:00-05:00", "2026-03-04T08:00:00-08:00");
        // Nothing in common: nothing waits for ever.
        check("08:00-09:00", &["Europe/Dublin", "America/Los_Angeles"], "2026-03-03T09:00:00Z", "2026-03-03T09:00:00Z");
    }

    #[test]
    fn days_of_the_week() {
        // 2026-03-07 is a Saturday.
        check(MARKETING, &["Europe/Dublin"], "2026-03-07T20:00:00Z", "2026-03-08T12:00:00Z");
        check(MARKETING, &["Europe/Dublin"], "2026-03-08T21:00:00Z", "2026-03-09T09:00:00Z");
        check("Mon 09:00-10:00", &["UTC"], "2026-03-03T00:00:00Z", "2026-03-09T09:00:00Z");
    }

    #[test]
    fn a_missing_hour_opens_at_the_next_minute_and_a_double_one_at_the_first() {
        // New York skips 02:00 to 03:00 on 2026-03-08 and repeats 01:00 to 02:00 on 2026-11-01.
        check("02:30-21:00", &["America/New_York"], "2026-03-08T00:00:00-05:00", "2026-03-08T03:00:00-04:00");
        check("01:30-21:00", &["America/New_York"], "2026-11-01T00:00:00-04:00", "2026-11-01T01:30:00-04:00");
        check("01:30-21:00", &["America/New_York"], "2026-11-01T01:10:00-05:00", "2026-11-01T01:10:00-05:00");
    }

    #[test]
    fn both_windows_must_be_open() {
        let both = Window::parse(MARKETING).unwrap().and(&Window::parse("Mon-Fri 09:00-18:00, Sat-Sun 10:00-17:00").unwrap());
        assert_eq!(both, Window::parse("Mon-Fri 09:00-18:00, Sat 10:00-17:00, Sun 12:00-17:00").unwrap());
        assert_eq!(Window::parse(&both.to_string()), Some(both));
    }

    #[test]
    fn what_is_no_window_is_refused() {
        for bad in ["", "9-20", "25:00-26:00", "Foo 09:00-20:00", "09:00", "Mon-", "09:60-10:00"] {
            assert_eq!(Window::parse(bad), None, "{bad}");
        }
        assert!(Window::parse("22:00-02:00").is_some_and(|w| w.0[0] == [(0, 120), (1320, 1440)]));
        for (state, window) in STATES {
            assert!(Window::parse(window).is_some(), "{state}");
        }
    }
}
