//! Consent: what a person allowed or forbade, and what that permits where. Pure.
//!
//! The table is an engineering default (routing rules of the trade, regulators' notes), not legal advice.

use crate::domain::channel::{Channel, words};
use crate::domain::time::UnixMs;
use std::time::Duration;

words! {
    /// What a person said of one purpose on one address.
    State {
        /// Nothing, but bought something similar and could object.
        Soft = "soft",
        /// Yes.
        Express = "express",
        /// Yes, signed.
        Written = "written",
        /// No.
        Denied = "denied",
        /// Not any more.
        Revoked = "revoked",
    }
}

words! {
    /// What the consent is for.
    Purpose {
        /// Offers and the like.
        Marketing = "marketing",
        /// Receipts, on channels that need a consent for them.
        Receipts = "receipts",
    }
}

const DAY: Duration = Duration::from_secs(86_400);

/// How long a soft opt-in lasts in Ireland after the last sale or message, and an implied consent in Canada.
const IRELAND: Duration = Duration::from_secs(365 * 86_400);
const CANADA: Duration = Duration::from_secs(730 * 86_400);

/// The latest entry of one purpose on one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What was said.
    pub state: State,
    /// When.
    pub at: UnixMs,
    /// The last sale to this person, or the last marketing message, where either is later.
    pub renewed: UnixMs,
}

/// Where a person lives decides what is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Regime {
    UnitedStates,
    Canada,
    Ireland,
    /// United Kingdom, European Union, and wherever we know no better: the strictest.
    Europe,
}

/// Whether marketing may go to a person in `region` (ISO 3166, as `US` or `US-NY`; the shop's where the
/// person's is not known) on a channel.
pub fn marketing(region: &str, channel: Channel, said: Option<Entry>, now: UnixMs) -> bool {
    let Some(entry) = said else {
        return regime(region) == Regime::UnitedStates && channel == Channel::Email; // opt-out
    };
    let yes = matches!(entry.state, State::Express | State::Written);
    let fresh = |limit: Duration| now.since(entry.at.max(entry.renewed)) <= limit;
    match (regime(region), channel) {
        _ if matches!(entry.state, State::Denied | State::Revoked) => false,
        (Regime::UnitedStates, Channel::Email) => true,
        (Regime::UnitedStates, Channel::Sms | Channel::Whatsapp) => entry.state == State::Written,
        (_, Channel::Push) => yes,
        (Regime::Canada, Channel::Email) => yes || (entry.state == State::Soft && now.since(entry.at) <= CANADA),
        (Regime::Canada, _) => yes,
        (Regime::Ireland, _) => yes || (entry.state == State::Soft && fresh(IRELAND)),
        (Regime::Europe, _) => yes || entry.state == State::Soft,
        (Regime::UnitedStates, _) => yes,
    }
}

/// Whether a receipt may go on a channel: the address was given for it, WhatsApp asks for a yes of its own.
/// `marketing` is what was said of offers there: a yes to those covers receipts.
pub fn receipts(channel: Channel, said: Option<Entry>, marketing: Option<Entry>) -> bool {
    let yes = |e: Option<Entry>| e.is_some_and(|e| matches!(e.state, State::Express | State::Written));
    let no = |e: Option<Entry>| e.is_some_and(|e| matches!(e.state, State::Denied | State::Revoked));
    match channel {
        _ if no(said) => false,
        Channel::Whatsapp => yes(said) || yes(marketing),
        _ => true,
    }
}

/// How long after its date a soft entry still counts in a region, for people.
pub fn soft_lasts(region: &str) -> Option<Duration> {
    match regime(region) {
        Regime::Ireland => Some(IRELAND),
        Regime::Canada => Some(CANADA),
        _ => None,
    }
}

fn regime(region: &str) -> Regime {
    match region.split('-').next().unwrap_or_default() {
        "US" | "PR" => Regime::UnitedStates,
        "CA" => Regime::Canada,
        "IE" => Regime::Ireland,
        _ => Regime::Europe,
    }
}

/// What a reply by text message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// No more.
    Stop,
    /// Again, after a stop.
    Start,
    /// Who is this?
    Help,
    /// Something else.
    Other,
}

/// Reads a reply: the whole message, whatever its case (the words that carriers prescribe).
pub fn reply(text: &str) -> Reply {
    const STOP: &[&str] =
        &["STOP", "STOPALL", "UNSUBSCRIBE", "END", "QUIT", "CANCEL", "REVOKE", "OPTOUT", "ARRET", "ARRÊT", "OPT-OUT", "REMOVE"];
    let word = text.trim().to_uppercase();
    match word.as_str() {
        w if STOP.contains(&w) => Reply::Stop,
        "START" | "UNSTOP" | "YES" => Reply::Start,
        "HELP" | "INFO" => Reply::Help,
        _ => Reply::Other,
    }
}

/// So many messages at most within a time, for marketing to one address.
pub const FREQUENCY: &[(Channel, u32, Duration)] = &[
    (Channel::Sms, 1, DAY),
    (Channel::Sms, 4, Duration::from_secs(30 * 86_400)),
    (Channel::Whatsapp, 1, DAY),
    (Channel::Whatsapp, 4, Duration::from_secs(30 * 86_400)),
    (Channel::Email, 1, DAY),
    (Channel::Email, 3, Duration::from_secs(7 * 86_400)),
    (Channel::Push, 1, DAY),
];

#[cfg(test)]
mod tests {
    use super::*;
    use Channel::{Email, Push, Sms, Whatsapp};
    use State::{Denied, Express, Revoked, Soft, Written};

    const NOW: UnixMs = UnixMs(1_790_000_000_000);

    fn said(state: State, days_ago: u64) -> Option<Entry> {
        Some(Entry { state, at: NOW - DAY * u32::try_from(days_ago).unwrap(), renewed: UnixMs(0) })
    }

    #[test]
    fn the_table_of_marketing() {
        let table: &[(&str, Channel, Option<Entry>, bool)] = &[
            ("US-NY", Email, None, true),
            ("US", Email, said(Denied, 1), false),
            ("US", Email, said(Revoked, 1), false),
            ("US", Sms, None, false),
            ("US", Sms, said(Express, 1), false),
            ("US", Sms, said(Written, 1), true),
            ("US", Whatsapp, said(Express, 1), false),
            ("US", Push, said(Express, 1), true),
            ("US", Push, None, false),
            ("GB", Email, None, false),
            ("GB", Email, said(Soft, 4000), true),
            ("GB", Sms, said(Soft, 1), true),
            ("GB", Push, said(Soft, 1), false),
            ("DE", Email, said(Express, 1), true),
            ("DE", Email, said(Denied, 1), false),
            ("IE", Email, said(Soft, 364), true),
            ("IE", Email, said(Soft, 366), false),
            ("CA", Email, None, false),
            ("CA", Email, said(Soft, 729), true),
            ("CA", Email, said(Soft, 731), false),
            ("CA", Sms, said(Soft, 1), false),
            ("CA", Sms, said(Express, 1), true),
            ("", Email, None, false),
        ];
        for (region, channel, entry, may) in table {
            assert_eq!(marketing(region, *channel, *entry, NOW), *may, "{region} {channel} {entry:?}");
        }
    }

    #[test]
    fn a_sale_renews_a_soft_yes_in_ireland() {
        let entry = Entry { state: Soft, at: NOW - DAY * 500, renewed: NOW - DAY * 30 };
        assert!(marketing("IE", Email, Some(entry), NOW));
    }

    #[test]
    fn receipts_need_a_yes_on_whatsapp_only() {
        assert!(receipts(Email, None, None) && receipts(Sms, None, said(Denied, 1)));
        assert!(!receipts(Whatsapp, None, None) && receipts(Whatsapp, said(Express, 1), None));
        assert!(!receipts(Email, said(Denied, 1), None));
    }

    #[test]
    fn replies() {
        for (text, meaning) in [
            (" stop ", Reply::Stop),
            ("Arrêt", Reply::Stop),
            ("opt-out", Reply::Stop),
            ("Unstop", Reply::Start),
            ("help", Reply::Help),
            ("please stop", Reply::Other),
        ] {
            assert_eq!(reply(text), meaning, "{text}");
        }
    }
}
