//! How the shop writes: moments in its zone, amounts by its locale. The pages' own language is English.

use crate::compose::locale::{Locale, in_zone};
use crate::config::Config;
use crate::domain::money::{Currency, Money};
use crate::domain::time::UnixMs;
use jiff::civil;

/// See the module.
#[derive(Clone)]
pub struct Say {
    locale: &'static Locale,
    zone: String,
    today: civil::Date,
}

impl Say {
    /// By the shop's settings, at a moment.
    pub fn new(config: &Config, now: UnixMs) -> Say {
        let shop = &config.shop;
        let locale = Locale::choose("en", &shop.locale, &shop.country);
        Say { locale, zone: shop.timezone.clone(), today: in_zone(now, &shop.timezone).date() }
    }

    /// The time of day; with its day where that is not today.
    pub fn clock(&self, at: UnixMs) -> String {
        let local = in_zone(at, &self.zone);
        let time = self.locale.time(local.time());
        if local.date() == self.today { time } else { format!("{}, {time}", self.locale.short_date(local.date())) }
    }

    /// The day and the time to the second, for a story.
    pub fn exactly(&self, at: UnixMs) -> String {
        let local = in_zone(at, &self.zone);
        format!("{}, {:02}:{:02}:{:02}", self.locale.date(local.date()), local.hour(), local.minute(), local.second())
    }

    /// An amount.
    pub fn money(&self, minor: i64, currency: &str) -> String {
        self.locale.money(Money { minor, currency: Currency::parse(currency).unwrap_or(Currency::FOUR_DIGITS) })
    }

    /// The last moment that showed a typed time of day such as `10:40`.
    pub fn last_time(&self, text: &str, now: UnixMs) -> Option<UnixMs> {
        let (hour, minute) = text.trim().split_once(':')?;
        let two = |s: &str| s.parse::<i8>().ok().filter(|_| (1..=2).contains(&s.len()));
        let time = civil::Time::new(two(hour)?, two(minute)?, 0, 0).ok()?;
        let zone = jiff::tz::TimeZone::get(&self.zone).unwrap_or(jiff::tz::TimeZone::UTC);
        let on = |day: civil::Date| zone.to_timestamp(day.to_datetime(time)).ok().map(|t| UnixMs(t.as_millisecond()));
        on(self.today).filter(|at| *at <= now).or_else(|| on(self.today.yesterday().ok()?))
    }
}

/// `1 receipt`, `42 receipts`.
pub fn counted(n: i64, one: &str, more: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {more}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_amounts_as_the_shop_writes_them() {
        let now = UnixMs::parse_rfc3339("2026-10-03T15:00:00Z").unwrap(); // 11:00 in New York
        let say = Say {
            locale: Locale::choose("en", "en-US", "US"),
            zone: "America/New_York".into(),
            today: in_zone(now, "America/New_York").date(),
        };
        let plain = |text: String| text.replace('\u{a0}', " ");
        assert_eq!(plain(say.clock(now)), "11:00 AM");
        assert_eq!(plain(say.clock(now - std::time::Duration::from_secs(86_400))), "Oct 2, 11:00 AM");
        assert_eq!(say.exactly(now).replace('\u{a0}', " "), "Oct 3, 2026, 11:00:00");
        assert_eq!(say.money(1247, "USD"), "$12.47");
        for (typed, at) in [("10:40", "2026-10-03T14:40:00Z"), ("23:05", "2026-10-03T03:05:00Z"), ("9:05", "2026-10-03T13:05:00Z")] {
            assert_eq!(say.last_time(typed, now), UnixMs::parse_rfc3339(at), "{typed}");
        }
        for typed in ["10", "1-1288", "25:00", "10:4x", "a:b", ""] {
            assert_eq!(say.last_time(typed, now), None, "{typed}");
        }
    }
}
