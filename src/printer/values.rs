//! Numbers, days and times as people print them become plain ones.

use jiff::civil::{Date, DateTime, Time};

/// Languages that write 1.234,56.
const COMMA: &[&str] = &["de", "es", "fr", "it", "nl", "pt", "ca", "da", "nb", "no", "sv", "fi", "pl", "cs", "el", "ru", "tr", "hu", "ro"];

/// How a place writes its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locale {
    /// Language and country, `es-ES`.
    pub tag: String,
}

impl Locale {
    /// From a tag such as `en-GB`.
    pub fn new(tag: &str) -> Locale {
        Locale { tag: tag.to_owned() }
    }

    /// `es`
    pub fn language(&self) -> &str {
        self.tag.split('-').next().unwrap_or("en")
    }

    /// `ES`, or nothing.
    pub fn country(&self) -> &str {
        self.tag.split('-').nth(1).unwrap_or("")
    }

    fn comma(&self) -> bool {
        COMMA.contains(&self.language()) && !matches!(self.tag.as_str(), "de-CH" | "it-CH" | "es-MX")
    }

    /// A number as decimal text: `1.284,50` is `1284.50`. Signs may stand before or behind, or as brackets;
    /// a lone mark with one or two digits behind it is the decimal one whatever the language.
    pub fn decimal(&self, text: &str) -> Option<String> {
        let kept: String = text.chars().filter(|c| c.is_ascii_digit() || matches!(c, '.' | ',' | '-' | '(' | '−')).collect();
        let negative = kept.contains(['-', '(', '−']);
        let digits: String = kept.chars().filter(|c| c.is_ascii_digit() || matches!(c, '.' | ',')).collect();
        let digits = digits.trim_matches(|c| matches!(c, '.' | ','));
        if !digits.starts_with(|c: char| c.is_ascii_digit()) || digits.len() > 24 {
            return None;
        }
        let mark = if self.comma() { ',' } else { '.' };
        let last = digits.rfind(['.', ',']);
        let is_decimal = last.is_some_and(|at| {
            let found = digits.get(at..).and_then(|rest| rest.chars().next()).unwrap_or('.');
            let behind = digits.len() - at - 1;
            let alone = digits.matches(['.', ',']).count() == 1 || digits.matches(found).count() == 1;
            (found == mark && digits.matches(mark).count() == 1) || (alone && behind <= 2)
        });
        let (whole, fraction) = match last.filter(|_| is_decimal) {
            Some(at) => digits.split_at_checked(at)?,
            None => (digits, ""),
        };
        let plain: String = whole.chars().filter(char::is_ascii_digit).collect();
        let plain = match plain.trim_start_matches('0') {
            "" => "0",
            rest => rest,
        };
        let fraction: String = fraction.chars().filter(char::is_ascii_digit).collect();
        let sign = if negative && !(plain == "0" && fraction.bytes().all(|b| b == b'0')) { "-" } else { "" };
        Some(if fraction.is_empty() { format!("{sign}{plain}") } else { format!("{sign}{plain}.{fraction}") })
    }

    /// Forms of a day that are usual here, for strptime.
    pub fn days(&self) -> &'static [&'static str] {
        match self.language() {
            "en" if matches!(self.country(), "US" | "") => {
                &["%m/%d/%Y", "%m/%d/%y", "%Y-%m-%d", "%m-%d-%Y", "%d %b %Y", "%b %d %Y", "%d.%m.%Y", "%d/%m/%Y", "%d/%m/%y"]
            }
            _ => &["%d/%m/%Y", "%d.%m.%Y", "%Y-%m-%d", "%d-%m-%Y", "%d/%m/%y", "%d.%m.%y", "%d-%m-%y", "%d %b %Y"],
        }
    }
}

/// Forms of a time, for strptime.
pub const TIMES: &[&str] = &["%H:%M:%S", "%H:%M", "%I:%M:%S %p", "%I:%M %p", "%Hh%M", "%HH%M", "%H.%M"];

/// Months as they are shortened on paper, by the first letters, to the English that strptime reads.
const MONTHS: &[(&str, &str)] = &[
    ("ene", "Jan"),
    ("jän", "Jan"),
    ("gen", "Jan"),
    ("fév", "Feb"),
    ("fev", "Feb"),
    ("mär", "Mar"),
    ("mrz", "Mar"),
    ("abr", "Apr"),
    ("avr", "Apr"),
    ("mai", "May"),
    ("mag", "May"),
    ("juin", "Jun"),
    ("giu", "Jun"),
    ("juil", "Jul"),
    ("lug", "Jul"),
    ("ago", "Aug"),
    ("aoû", "Aug"),
    ("set", "Sep"),
    ("okt", "Oct"),
    ("ott", "Oct"),
    ("dez", "Dec"),
    ("dic", "Dec"),
    ("déc", "Dec"),
];

/// English months of three letters, one blank between words, AM and PM as strptime reads them.
fn prepared(text: &str) -> String {
    let words = text.split([' ', ',', '\u{a0}']).filter(|w| !w.is_empty()).map(|word| {
        let low = word.trim_end_matches('.').to_lowercase();
        match MONTHS.iter().find(|(from, _)| low.starts_with(from)) {
            Some((_, month)) => (*month).to_owned(),
            // Full English names begin with the short ones.
            None if low.len() > 3 && low.bytes().all(|b| b.is_ascii_alphabetic()) => low.get(..3).unwrap_or(&low).to_owned(),
            None if matches!(low.as_str(), "a.m" | "am") => "AM".into(),
            None if matches!(low.as_str(), "p.m" | "pm") => "PM".into(),
            None => word.trim_end_matches('.').to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A day by the first form that fits.
pub fn date(text: &str, forms: &[&str]) -> Option<Date> {
    let text = prepared(text);
    forms.iter().find_map(|form| Date::strptime(form, &text).ok().filter(|day| likely(*day)))
}

/// A time by the first form that fits.
pub fn time(text: &str, forms: &[&str]) -> Option<Time> {
    let text = prepared(text);
    forms.iter().find_map(|form| Time::strptime(form, &text).ok())
}

/// Day and time by the first form that fits.
pub fn datetime(text: &str, forms: &[&str]) -> Option<DateTime> {
    let text = prepared(text);
    forms.iter().find_map(|form| DateTime::strptime(form, &text).ok().filter(|at| likely(at.date())))
}

/// Tills were not there before, and no form with two digits may read 2026 as 20.
fn likely(day: Date) -> bool {
    (2000..2100).contains(&day.year())
}

/// `2026-11-21T12:04`, with seconds where there are any.
pub fn iso(at: DateTime) -> String {
    let form = if at.second() == 0 { "%Y-%m-%dT%H:%M" } else { "%Y-%m-%dT%H:%M:%S" };
    at.strftime(form).to_string()
}

/// As [`iso`], of a time alone.
pub fn iso_time(at: Time) -> String {
    at.strftime(if at.second() == 0 { "%H:%M" } else { "%H:%M:%S" }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_by_locale() {
        for (tag, text, plain) in [
            ("es-ES", "1.284", Some("1284")),
            ("es-ES", "1.284,50", Some("1284.50")),
            ("es-ES", "-0,95", Some("-0.95")),
            ("es-ES", "10.20", Some("10.20")),
            ("en-US", "1,234.50", Some("1234.50")),
            ("en-US", "1,234", Some("1234")),
            ("en-GB", "£ 7.50-", Some("-7.50")),
            ("en-US", "(3.00)", Some("-3.00")),
            ("de-CH", "1'234.50", Some("1234.50")),
            ("fr-FR", "1 234,50 €", Some("1234.50")),
            ("ja-JP", "¥1,080", Some("1080")),
            ("es-ES", "0,842", Some("0.842")),
            ("en-US", "007", Some("7")),
            ("en-US", "-0.00", Some("0.00")),
            ("en-US", "none", None),
            ("en-US", "", None),
        ] {
            assert_eq!(Locale::new(tag).decimal(text).as_deref(), plain, "{text} in {tag}");
        }
    }

    #[test]
    fn days_and_times() {
        let day = |text: &str, tag: &str| date(text, Locale::new(tag).days()).map(|d| d.to_string());
        assert_eq!(day("21.11.2026", "de-DE").as_deref(), Some("2026-11-21"));
        assert_eq!(day("21.11.26", "de-DE").as_deref(), Some("2026-11-21"));
        assert_eq!(day("11/21/2026", "en-US").as_deref(), Some("2026-11-21"));
        assert_eq!(day("03/04/2026", "en-GB").as_deref(), Some("2026-04-03"));
        assert_eq!(day("21 nov. 2026", "fr-FR").as_deref(), Some("2026-11-21"));
        assert_eq!(day("3 août 2026", "fr-FR").as_deref(), Some("2026-08-03"));
        assert_eq!(day("99.99.2026", "de-DE"), None);
        assert_eq!(time("7:04 pm", TIMES).map(iso_time).as_deref(), Some("19:04"));
        assert_eq!(time("19:04:33", TIMES).map(iso_time).as_deref(), Some("19:04:33"));
        assert_eq!(datetime("21 Nov 2026 20:30", &["%d %b %Y %H:%M"]).map(iso).as_deref(), Some("2026-11-21T20:30"));
    }
}
