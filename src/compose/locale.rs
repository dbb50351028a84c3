//! How a place writes money, numbers, dates and times.
//!
//! Small tables, no full locale data. Pure: reads no clock and guesses no time zone.

use crate::domain::money::Money;
use crate::domain::shop::Shop;
use crate::domain::time::UnixMs;
use jiff::civil;
use jiff::fmt::temporal::Pieces;

/// No-break space.
const GAP: char = '\u{a0}';

/// Order and marks of a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dates {
    /// Oct 3, 2026
    MonthDay,
    /// 3 Oct 2026
    DayMonth,
    /// 03.10.2026
    Dots,
    /// 03/10/2026
    Slashes,
    /// 03-10-2026
    Dashes,
    /// 2026-10-03
    Iso,
    /// 2026/10/03
    YearFirst,
}

/// How one place writes.
#[derive(Debug, PartialEq, Eq)]
pub struct Locale {
    /// BCP 47 tag.
    pub tag: &'static str,
    decimal: char,
    group: &'static str,
    /// Digits before the point from which they are grouped.
    grouped_from: usize,
    symbol_first: bool,
    /// Space between a symbol and its number.
    gap: bool,
    /// Space before a percent sign.
    percent_gap: bool,
    dates: Dates,
    twelve_hours: bool,
    /// The currency that is meant by its bare symbol here.
    home: &'static str,
}

const fn english(tag: &'static str, dates: Dates, twelve_hours: bool, home: &'static str) -> Locale {
    let (decimal, group, grouped_from) = ('.', ",", 4);
    Locale { tag, decimal, group, grouped_from, symbol_first: true, gap: false, percent_gap: false, dates, twelve_hours, home }
}

const fn comma(tag: &'static str, group: &'static str, grouped_from: usize, dates: Dates, percent_gap: bool, home: &'static str) -> Locale {
    Locale { tag, decimal: ',', group, grouped_from, symbol_first: false, gap: true, percent_gap, dates, twelve_hours: false, home }
}

static LOCALES: &[Locale] = &[
    english("en-US", Dates::MonthDay, true, "USD"),
    english("en-GB", Dates::DayMonth, false, "GBP"),
    english("en-IE", Dates::DayMonth, false, "EUR"),
    english("en-CA", Dates::MonthDay, true, "CAD"),
    comma("de-DE", ".", 4, Dates::Dots, true, "EUR"),
    Locale { symbol_first: true, ..comma("de-AT", ".", 4, Dates::Dots, true, "EUR") },
    Locale {
        decimal: '.',
        group: "’",
        symbol_first: true,
        gap: true,
        percent_gap: false,
        ..comma("de-CH", "", 4, Dates::Dots, false, "CHF")
    },
    comma("fr-FR", "\u{202f}", 4, Dates::Slashes, true, "EUR"),
    comma("fr-CA", "\u{a0}", 4, Dates::Iso, true, "CAD"),
    comma("es-ES", ".", 5, Dates::Slashes, true, "EUR"),
    english("es-US", Dates::Slashes, true, "USD"),
    english("es-MX", Dates::Slashes, false, "MXN"),
    comma("it-IT", ".", 4, Dates::Slashes, false, "EUR"),
    comma("pt-PT", "\u{a0}", 5, Dates::Slashes, false, "EUR"),
    Locale { symbol_first: true, ..comma("nl-NL", ".", 4, Dates::Dashes, false, "EUR") },
    comma("sv-SE", "\u{a0}", 4, Dates::Iso, true, "SEK"),
    english("ja-JP", Dates::YearFirst, false, "JPY"),
];

static PLAIN: Locale = Locale { symbol_first: false, gap: true, ..english("und", Dates::Iso, false, "") };

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The language of a tag: `de` of `de-AT`.
pub fn language_of(tag: &str) -> &str {
    tag.split(['-', '_']).next().unwrap_or(tag)
}

/// The way to write for a reader who asked for `wanted`, spoken to in the language `spoken`.
pub fn of(wanted: Option<&str>, spoken: &str, shop: &Shop) -> &'static Locale {
    let wanted = wanted.filter(|l| language_of(l).eq_ignore_ascii_case(language_of(spoken)));
    Locale::choose(wanted.unwrap_or(spoken), &shop.locale, &shop.country)
}

/// `rtl` or `ltr`.
pub fn direction(tag: &str) -> &'static str {
    if matches!(language_of(tag), "ar" | "he" | "fa" | "ur") { "rtl" } else { "ltr" }
}

impl Locale {
    /// For a text in `language` (as the customer asked for it, e.g. `fr` or `en-GB`) from a shop that
    /// writes by `shop_locale` in `country`: a known region of the language itself, else the shop's way
    /// where it has the same language, else that language's first.
    pub fn choose(language: &str, shop_locale: &str, country: &str) -> &'static Locale {
        let exact = |tag: &str| LOCALES.iter().find(|l| l.tag.eq_ignore_ascii_case(&tag.replace('_', "-")));
        let spoken = language_of(language);
        if let Some(found) = exact(language) {
            return found;
        }
        if language_of(shop_locale).eq_ignore_ascii_case(spoken)
            && let Some(found) = exact(shop_locale)
        {
            return found;
        }
        let here = LOCALES.iter().find(|l| language_of(l.tag).eq_ignore_ascii_case(spoken) && l.tag.get(3..) == Some(country));
        let abroad = spoken.eq_ignore_ascii_case("en") && !matches!(country, "" | "US");
        here.or_else(|| if abroad { exact("en-GB") } else { None })
            .or_else(|| LOCALES.iter().find(|l| language_of(l.tag).eq_ignore_ascii_case(spoken)))
            .unwrap_or(&PLAIN)
    }

    /// `$1,234.50`, `1.234,50 €`, `CHF 1’234.50`; the space is a no-break one.
    pub fn money(&self, money: Money) -> String {
        let symbol = self.symbol(money.currency.code());
        let decimal = Money { minor: money.minor.saturating_abs(), ..money }.decimal();
        let number = self.number(&decimal);
        let gap = self.gap || symbol.chars().all(|c| c.is_ascii_alphabetic());
        let mut out = String::with_capacity(number.len() + symbol.len() + 4);
        if money.minor < 0 {
            out.push('-');
        }
        if self.symbol_first {
            out.push_str(symbol);
            if gap {
                out.push(GAP);
            }
            out.push_str(&number);
        } else {
            out.push_str(&number);
            if gap {
                out.push(GAP);
            }
            out.push_str(symbol);
        }
        out
    }

    /// Decimal text with this place's marks; zeros at the end of a fraction stay.
    fn number(&self, decimal: &str) -> String {
        let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
        let mut out = String::with_capacity(decimal.len() + 6);
        let digits = whole.chars().filter(char::is_ascii_digit).count();
        let mut left = digits;
        for c in whole.chars() {
            if c.is_ascii_digit() {
                if left < digits && left % 3 == 0 && digits >= self.grouped_from {
                    out.push_str(self.group);
                }
                left -= 1;
            }
            out.push(c);
        }
        if !fraction.is_empty() {
            out.push(self.decimal);
            out.push_str(fraction);
        }
        out
    }

    /// A quantity: `1.412` is `1,412` in German; zeros at the end go.
    pub fn quantity(&self, decimal: &str) -> String {
        let short = if decimal.contains('.') { decimal.trim_end_matches('0').trim_end_matches('.') } else { decimal };
        if !short.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b'-') {
            return decimal.to_owned();
        }
        self.number(short)
    }

    /// `7%`, `5,5 %`
    pub fn percent(&self, decimal: &str) -> String {
        let number = self.quantity(decimal);
        if self.percent_gap { format!("{number}{GAP}%") } else { format!("{number}%") }
    }

    /// The day.
    pub fn date(&self, date: civil::Date) -> String {
        let (y, m, d) = (date.year(), date.month(), date.day());
        let month = month(m);
        match self.dates {
            Dates::MonthDay => format!("{month}{GAP}{d}, {y}"),
            Dates::DayMonth => format!("{d}{GAP}{month}{GAP}{y}"),
            Dates::Dots => format!("{d:02}.{m:02}.{y}"),
            Dates::Slashes => format!("{d:02}/{m:02}/{y}"),
            Dates::Dashes => format!("{d:02}-{m:02}-{y}"),
            Dates::Iso => format!("{y:04}-{m:02}-{d:02}"),
            Dates::YearFirst => format!("{y:04}/{m:02}/{d:02}"),
        }
    }

    /// The day without its year, for text messages.
    pub fn short_date(&self, date: civil::Date) -> String {
        let (m, d) = (date.month(), date.day());
        match self.dates {
            Dates::MonthDay => format!("{} {d}", month(m)),
            Dates::DayMonth => format!("{d} {}", month(m)),
            Dates::Dots => format!("{d:02}.{m:02}."),
            Dates::Slashes => format!("{d:02}/{m:02}"),
            Dates::Dashes => format!("{d:02}-{m:02}"),
            Dates::Iso | Dates::YearFirst => self.date(date),
        }
    }

    /// The time of day in hours and minutes.
    pub fn time(&self, time: civil::Time) -> String {
        let (h, m) = (time.hour(), time.minute());
        if !self.twelve_hours {
            return format!("{h:02}:{m:02}");
        }
        let hour = if h % 12 == 0 { 12 } else { h % 12 };
        format!("{hour}:{m:02}{GAP}{}", if h < 12 { "AM" } else { "PM" })
    }

    fn symbol<'a>(&self, code: &'a str) -> &'a str {
        match code {
            "EUR" => "€",
            "GBP" => "£",
            "JPY" => "¥",
            "INR" => "₹",
            "KRW" => "₩",
            "ILS" => "₪",
            "PLN" => "zł",
            "CZK" => "Kč",
            "BRL" => "R$",
            "USD" if matches!(self.home, "CAD" | "MXN") => "US$",
            "USD" => "$",
            "CAD" if self.home == "CAD" => "$",
            "CAD" => "CA$",
            "AUD" => "A$",
            "NZD" => "NZ$",
            "MXN" if self.home == "MXN" => "$",
            "MXN" => "MX$",
            "SEK" if self.home == "SEK" => "kr",
            other => other,
        }
    }
}

fn month(number: i8) -> &'static str {
    usize::try_from(number - 1).ok().and_then(|i| MONTHS.get(i)).copied().unwrap_or("")
}

/// A moment as a till wrote it, in the offset that it wrote; where it wrote `Z`, in the shop's zone.
pub fn local(at: UnixMs, written: &str, timezone: &str) -> civil::DateTime {
    let pieces = Pieces::parse(written).ok();
    let zulu = written.trim_end().ends_with(['Z', 'z']);
    match pieces {
        Some(p) if !zulu => match p.time() {
            Some(time) => civil::DateTime::from_parts(p.date(), time),
            None => in_zone(at, timezone),
        },
        _ => in_zone(at, timezone),
    }
}

/// A moment by the wall clock of a zone; UTC where the zone is not known.
pub fn in_zone(at: UnixMs, timezone: &str) -> civil::DateTime {
    let zone = jiff::tz::TimeZone::get(timezone).unwrap_or(jiff::tz::TimeZone::UTC);
    zone.to_datetime(at.instant())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::Currency;

    fn plain(text: &str) -> String {
        text.replace(['\u{a0}', '\u{202f}'], " ")
    }

    #[test]
    fn money_by_place() {
        for (tag, minor, code, text) in [
            ("en-US", 1247, "USD", "$12.47"),
            ("en-US", 123_456_789, "USD", "$1,234,567.89"),
            ("en-US", -160, "USD", "-$1.60"),
            ("en-US", 1247, "EUR", "€12.47"),
            ("en-US", 1247, "CAD", "CA$12.47"),
            ("en-US", 1250, "CHF", "CHF 12.50"),
            ("en-GB", 123_400, "GBP", "£1,234.00"),
            ("en-IE", 5, "EUR", "€0.05"),
            ("en-CA", 3899, "CAD", "$38.99"),
            ("en-CA", 3899, "USD", "US$38.99"),
            ("de-DE", 123_450, "EUR", "1.234,50 €"),
            ("de-DE", -80, "EUR", "-0,80 €"),
            ("de-AT", 123_450, "EUR", "€ 1.234,50"),
            ("de-CH", 123_450, "CHF", "CHF 1’234.50"),
            ("fr-FR", 123_450, "EUR", "1 234,50 €"),
            ("es-ES", 123_450, "EUR", "1234,50 €"),
            ("es-US", 1247, "USD", "$12.47"),
            ("es-MX", 123_450, "MXN", "$1,234.50"),
            ("fr-CA", 123_450, "CAD", "1 234,50 $"),
            ("es-ES", 1_234_500, "EUR", "12.345,00 €"),
            ("it-IT", 123_450, "EUR", "1.234,50 €"),
            ("pt-PT", 123_450, "EUR", "1234,50 €"),
            ("nl-NL", 123_450, "EUR", "€ 1.234,50"),
            ("sv-SE", 123_450, "SEK", "1 234,50 kr"),
            ("ja-JP", 1080, "JPY", "¥1,080"),
            ("en-US", 2813, "KWD", "KWD 2.813"),
            ("xx", 2813, "KWD", "2.813 KWD"),
        ] {
            let money = Money { minor, currency: Currency::parse(code).unwrap() };
            assert_eq!(plain(&Locale::choose(tag, "", "").money(money)), text, "{tag}");
        }
    }

    #[test]
    fn quantities_and_rates() {
        let de = Locale::choose("de", "", "");
        assert_eq!(de.quantity("1.412"), "1,412");
        assert_eq!(de.quantity("2.000"), "2");
        assert_eq!(de.quantity("100"), "100");
        assert_eq!(plain(&de.percent("5.5")), "5,5 %");
        assert_eq!(Locale::choose("en", "", "").percent("8"), "8%");
    }

    #[test]
    fn dates_and_times() {
        let at = civil::date(2026, 10, 3).at(18, 7, 44, 0);
        for (tag, text) in [
            ("en-US", "Oct 3, 2026 6:07 PM"),
            ("en-GB", "3 Oct 2026 18:07"),
            ("de-DE", "03.10.2026 18:07"),
            ("fr-FR", "03/10/2026 18:07"),
            ("nl-NL", "03-10-2026 18:07"),
            ("sv-SE", "2026-10-03 18:07"),
            ("ja-JP", "2026/10/03 18:07"),
            ("xx", "2026-10-03 18:07"),
        ] {
            let l = Locale::choose(tag, "", "");
            assert_eq!(plain(&format!("{} {}", l.date(at.date()), l.time(at.time()))), text);
        }
        assert_eq!(plain(&Locale::choose("en", "", "").time(civil::time(0, 5, 0, 0))), "12:05 AM");
    }

    #[test]
    fn the_place_follows_language_and_shop() {
        for (language, shop, country, tag) in [
            ("de", "de-AT", "AT", "de-AT"),
            ("de", "en-US", "US", "de-DE"),
            ("de-CH", "de-DE", "DE", "de-CH"),
            ("en", "de-DE", "DE", "en-GB"),
            ("en", "fr-CA", "CA", "en-CA"),
            ("en", "", "", "en-US"),
            ("fr", "fr-CH", "CH", "fr-FR"),
            ("ar", "ar-KW", "KW", "und"),
        ] {
            assert_eq!(Locale::choose(language, shop, country).tag, tag, "{language} {shop}");
        }
    }

    #[test]
    fn the_tills_offset_is_its_local_time() {
        let at = |text: &str, zone: &str| local(UnixMs::parse_rfc3339(text).unwrap(), text, zone).to_string();
        assert_eq!(at("2026-10-03T18:07:44+02:00", "America/New_York"), "2026-10-03T18:07:44");
        assert_eq!(at("2026-10-03T23:59:59.999+03:00", "UTC"), "2026-10-03T23:59:59.999");
        assert_eq!(at("2026-10-03T18:07:44Z", "America/New_York"), "2026-10-03T14:07:44");
        assert_eq!(at("2026-10-03T18:07:44Z", "Nowhere/At_All"), "2026-10-03T18:07:44");
    }
}
