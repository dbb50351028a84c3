//! `Retry-After` (RFC 9110, section 10.2.3): how long the other side asks to wait.

use crate::domain::time::UnixMs;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use std::time::Duration;

/// The wait in any of its spellings: seconds (also with a fraction, rounded up), or a date of HTTP in
/// its three forms, compared with `now`. A date that has passed and a number below zero are no wait at
/// all. `None` where it is neither. The caller clamps.
pub fn parse(value: &str, now: UnixMs) -> Option<Duration> {
    let value = value.trim();
    if value.strip_prefix('-').is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')) {
        return Some(Duration::ZERO);
    }
    if value.starts_with(|c: char| c.is_ascii_digit()) && value.chars().all(|c| c.is_ascii_digit() || c == '.') {
        let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
        let more = u64::from(fraction.contains(|c: char| ('1'..='9').contains(&c)));
        // More digits than a number holds: as long as can be.
        return Some(Duration::from_secs(whole.parse::<u64>().unwrap_or(u64::MAX / 1000).saturating_add(more)));
    }
    date(value).map(|at| at.since(now))
}

/// A date of HTTP: as RFC 9110 wants it, as RFC 850 had it, or as C's asctime writes it. The name of
/// the weekday is not looked at.
pub fn date(value: &str) -> Option<UnixMs> {
    let forms: [(&str, &str); 3] = match value.split_once(", ") {
        Some((_, rest)) => [("%d %b %Y %H:%M:%S GMT", rest), ("%d-%b-%y %H:%M:%S GMT", rest), ("%d %b %Y %H:%M:%S +0000", rest)],
        None => [("%b %e %H:%M:%S %Y", value.split_once(' ')?.1.trim_start()); 3],
    };
    let civil = forms.iter().find_map(|(form, text)| DateTime::strptime(form, text).ok())?;
    let at = TimeZone::UTC.to_timestamp(civil).ok()?;
    Some(UnixMs(at.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling() {
        let now = UnixMs::parse_rfc3339("2026-10-03T08:00:00Z").unwrap();
        for (text, seconds) in [
            ("2", Some(2)),
            (" 120 ", Some(120)),
            ("1.2", Some(2)),
            ("3.0", Some(3)),
            ("0", Some(0)),
            ("Sat, 03 Oct 2026 08:01:30 GMT", Some(90)),
            ("Saturday, 03-Oct-26 08:01:30 GMT", Some(90)),
            ("Sat Oct  3 08:01:30 2026", Some(90)),
            ("Sat, 03 Oct 2026 07:00:00 GMT", Some(0)),
            ("-5", Some(0)),
            ("-", None),
            ("soon", None),
            ("", None),
            ("Sat, 99 Oct 2026 07:00:00 GMT", None),
        ] {
            assert_eq!(parse(text, now).map(|d| d.as_secs()), seconds, "{text}");
        }
        assert!(parse("99999999999999999999999", now).is_some());
    }
}
