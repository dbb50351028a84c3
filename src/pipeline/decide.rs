//! Deciding who gets a message, and by which way. Pure: the same input gives the same output. What is known
//! of people is asked for through [`People`], so that only what matters is looked up.

use crate::config::checked::{Receipts, Routing};
use crate::config::routing::Gated;
use crate::domain::address::{EmailAddress, PhoneNumber};
use crate::domain::channel::{Channel, Choice};
use crate::domain::consent::{self, Entry, Purpose};
use crate::domain::message::Kind;
use crate::domain::sale::Customer;
use crate::domain::shop::Shop;
use crate::domain::time::UnixMs;
use crate::store::people::Contact;
use crate::sys::clock::Now;
use serde::Serialize;

/// What is known of addresses.
pub trait People {
    /// Why it could not be looked up.
    type Error;
    /// Why an address must not be written to.
    fn suppressed(&self, channel: Channel, address: &str) -> Result<Option<String>, Self::Error>;
    /// What was said last of a purpose on an address.
    fn consent(&self, channel: Channel, address: &str, purpose: Purpose) -> Result<Option<Entry>, Self::Error>;
    /// Whether the person asked to be forgotten.
    fn erased(&self, address: &str) -> Result<bool, Self::Error>;
    /// When the n-th last offer (1: the last) left for an address.
    fn offer_before(&self, channel: Channel, address: &str, n: u32) -> Result<Option<UnixMs>, Self::Error>;
}

/// What a decision is made of.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// What the message is.
    pub kind: Kind,
    /// When the event was, by a clock that can be believed.
    pub at: UnixMs,
    /// Who is concerned, as the event says it.
    pub customer: &'a Customer,
    /// The addresses in it were given now, not at an earlier sale.
    pub given_now: bool,
    /// When this till's customers get a receipt.
    pub receipts: Receipts,
    /// Who it is, where the shop knows the person.
    pub contact: Option<&'a Contact>,
    /// Channels of the rule; `None` stands for the choice and preference. Empty: as the shop's order has it.
    pub channels: &'a [Option<Channel>],
    /// Channels that are configured.
    pub configured: &'a [Channel],
    /// When an offer is of no use any more; `None`: as its kind has it.
    pub until: Option<UnixMs>,
    /// `[routing]`.
    pub rules: &'a Routing,
    /// `[shop]`.
    pub shop: &'a Shop,
    /// The moment.
    pub now: Now,
}

/// One way that was looked at, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Considered {
    /// Word of the channel.
    pub channel: &'static str,
    /// `chosen`, `fallback`, or why not: `no_address`, `channel_off`, `no_consent`, `ttl`, `frequency`, `suppressed:…`.
    pub result: String,
    /// Where the way came from: `choice`, `preference`, `shop`, `rule`.
    pub from: &'static str,
}

/// One way that is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// Channel.
    pub channel: Channel,
    /// Normalised address.
    pub address: String,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What the message is.
    pub kind: Kind,
    /// The customer may still be in the shop.
    pub fresh: bool,
    /// The ways in order: the first is taken, the rest is for when it fails. Empty: no message.
    pub chain: Vec<Way>,
    /// When the first may go.
    pub due: UnixMs,
    /// Why there is no message: `declined`, `erased`, `no_contact`, `undeliverable`.
    pub no_message: &'static str,
    /// Everything that was looked at.
    pub considered: Vec<Considered>,
    /// BCP 47, of the customer; empty where it is not known.
    pub language: String,
    /// IANA zone of the customer; empty where it is not known.
    pub zone: String,
    /// ISO 3166 of the customer; empty where it is not known.
    pub region: String,
}

impl Decision {
    /// The decision in one line, as a message keeps it: `email=chosen@choice sms=no_address@shop`.
    pub fn why(&self) -> String {
        let one = |c: &Considered| format!("{}={}@{}", c.channel, c.result, c.from);
        self.considered.iter().map(one).collect::<Vec<_>>().join(" ")
    }
}

/// Decides on a message to a customer.
///
/// # Errors
/// What could not be looked up.
pub fn decide<P: People>(facts: &Facts<'_>, people: &P) -> Result<Decision, P::Error> {
    let mut decision = Decision {
        kind: facts.kind,
        // While the clock cannot be believed, what has just come in is fresh.
        fresh: !facts.now.good || facts.rules.is_fresh(facts.at, facts.now.wall),
        chain: Vec::new(),
        due: facts.now.wall,
        no_message: "",
        considered: Vec::new(),
        language: language(facts),
        zone: facts.contact.map(|c| c.timezone.clone()).unwrap_or_default(),
        region: facts.contact.map(|c| c.region.clone()).unwrap_or_default(),
    };
    if erased(facts, people)? {
        decision.no_message = "erased";
        return Ok(decision);
    }
    if declined(facts) {
        decision.no_message = "declined";
        return Ok(decision);
    }
    for (channel, from) in candidates(facts) {
        let result = match consider(facts, people, channel)? {
            Ok(way) => {
                decision.chain.push(way);
                if decision.chain.len() == 1 { "chosen".to_owned() } else { "fallback".to_owned() }
            }
            Err(why) => why,
        };
        decision.considered.push(Considered { channel: channel.word(), result, from });
    }
    prefer_email_when_quiet(facts, &mut decision);
    if let Some(first) = decision.chain.first() {
        decision.due = opens(facts, first);
        if facts.kind.is_marketing() {
            let free = facts.rules.offers_free(first.channel, |n| people.offer_before(first.channel, &first.address, n))?;
            // The hour must be right then, too.
            decision.due = free.filter(|free| *free > decision.due).map_or(decision.due, |free| opens_at(facts, first, free));
        }
    } else {
        let reachable = decision.considered.iter().any(|c| c.result != "no_address");
        decision.no_message = if reachable || given(facts) { "undeliverable" } else { "no_contact" };
    }
    Ok(decision)
}

/// When a way is open, by the clock on the customer's wall.
fn opens(facts: &Facts<'_>, way: &Way) -> UnixMs {
    // Quiet hours wait for a clock that can be believed.
    if facts.now.good { opens_at(facts, way, facts.now.wall) } else { facts.now.wall }
}

fn opens_at(facts: &Facts<'_>, way: &Way, at: UnixMs) -> UnixMs {
    let (zone, region) = facts.contact.map(|c| (c.timezone.as_str(), c.region.as_str())).unwrap_or_default();
    let gated = Gated { kind: facts.kind, channel: way.channel, at: facts.at, zone, region, address: &way.address };
    facts.rules.not_before(&gated, facts.shop, at)
}

fn prefer_email_when_quiet(facts: &Facts<'_>, decision: &mut Decision) {
    if !facts.rules.prefer_email_when_quiet || decision.chain.first().is_none_or(|first| opens(facts, first) <= facts.now.wall) {
        return;
    }
    if let Some(at) = decision.chain.iter().position(|way| way.channel == Channel::Email) {
        let email = decision.chain.remove(at);
        decision.chain.insert(0, email);
    }
}

/// Whether the person asked to be forgotten and gave no address at this event.
fn erased<P: People>(facts: &Facts<'_>, people: &P) -> Result<bool, P::Error> {
    let Some(contact) = facts.contact.filter(|_| !(facts.given_now && given(facts))) else { return Ok(false) };
    for address in [&contact.email, &contact.phone].into_iter().filter(|a| !a.is_empty()) {
        if people.erased(address)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the customer or the shop wants no message for this event.
fn declined(facts: &Facts<'_>) -> bool {
    if facts.kind == Kind::PasswordReset {
        return false; // asked for a moment ago
    }
    let choice = facts.customer.preferred_channel;
    let asked = matches!(choice, Some(Choice::Channel(_)));
    let by_choice = matches!(choice, Some(Choice::Paper | Choice::None));
    let by_preference = !asked && facts.contact.is_some_and(|c| c.preference.first().is_some_and(|p| p == "none"));
    let by_till = matches!(facts.kind, Kind::Receipt | Kind::Refund)
        && match facts.receipts {
            Receipts::Always => false,
            Receipts::Registered => facts.contact.is_none() && !asked,
            Receipts::OnRequest => !asked,
            Receipts::Never => true,
        };
    by_choice || by_preference || by_till
}

/// The ways to look at, in order and without repeats: the choice at this sale, the stored preference, the
/// shop's order; or those of the rule.
fn candidates(facts: &Facts<'_>) -> Vec<(Channel, &'static str)> {
    let choice = match facts.customer.preferred_channel {
        Some(Choice::Channel(channel)) => Some((channel, "choice")),
        _ => None,
    };
    let preferred = facts.contact.map(|c| c.preference.as_slice()).unwrap_or_default();
    let preferred = preferred.iter().filter_map(|word| Channel::from_word(word)).map(|c| (c, "preference"));
    let own: Vec<(Channel, &'static str)> = choice.into_iter().chain(preferred).collect();
    let shop = facts.rules.channels.iter().map(|c| (*c, "shop"));
    let ordered: Vec<(Channel, &'static str)> = match facts.channels {
        [] => own.into_iter().chain(shop).collect(),
        rule => rule.iter().flat_map(|c| c.map_or_else(|| own.clone(), |c| vec![(c, "rule")])).collect(),
    };
    let mut out: Vec<(Channel, &'static str)> = Vec::new();
    for (channel, from) in ordered {
        if !out.iter().any(|(c, _)| *c == channel) {
            out.push((channel, from));
        }
    }
    out
}

/// A way, or why it is none.
fn consider<P: People>(facts: &Facts<'_>, people: &P, channel: Channel) -> Result<Result<Way, String>, P::Error> {
    let Some((address, typed)) = address(facts, channel) else { return Ok(Err("no_address".to_owned())) };
    if let Some(why) = people.suppressed(channel, &address)?.filter(|why| facts.kind.held_back_by(why, typed)) {
        return Ok(Err(format!("suppressed:{why}")));
    }
    if !consented(facts, people, channel, &address)? {
        return Ok(Err("no_consent".to_owned()));
    }
    if !facts.configured.contains(&channel) {
        return Ok(Err("channel_off".to_owned()));
    }
    // A moment that cannot be believed expires nothing: a clock that is wrong must not cost a receipt.
    let at = super::believable(facts.at, facts.now);
    if facts.now.good && facts.now.wall.since(at) > facts.rules.time_to_live(facts.kind, channel) {
        return Ok(Err("ttl".to_owned()));
    }
    if facts.kind.is_marketing() {
        let free = facts.rules.offers_free(channel, |n| people.offer_before(channel, &address, n))?;
        let end = facts.until.unwrap_or(facts.now.wall + facts.rules.time_to_live(facts.kind, channel));
        if free.is_some_and(|free| free > end) {
            return Ok(Err("frequency".to_owned()));
        }
    }
    Ok(Ok(Way { channel, address }))
}

fn consented<P: People>(facts: &Facts<'_>, people: &P, channel: Channel, address: &str) -> Result<bool, P::Error> {
    if facts.kind.is_marketing() {
        let region = facts.contact.map(|c| c.region.as_str()).filter(|r| !r.is_empty()).unwrap_or(facts.shop.whereabouts());
        let said = people.consent(channel, address, Purpose::Marketing)?;
        return Ok(consent::marketing(region, channel, said, facts.now.wall));
    }
    if channel != Channel::Whatsapp {
        return Ok(true);
    }
    let (receipts, marketing) = (Purpose::Receipts, Purpose::Marketing);
    Ok(consent::receipts(channel, people.consent(channel, address, receipts)?, people.consent(channel, address, marketing)?))
}

/// The address for a channel, and whether it was given at this event; else the contact's.
fn address(facts: &Facts<'_>, channel: Channel) -> Option<(String, bool)> {
    let customer = facts.customer;
    let (email, phone, push) = facts.contact.map(|c| (c.email.as_str(), c.phone.as_str(), c.push_token.as_str())).unwrap_or_default();
    let now = facts.given_now;
    let first = |given: &'_ str, known: &'_ str| if given.is_empty() { (known.to_owned(), false) } else { (given.to_owned(), now) };
    let (text, typed) = match channel {
        Channel::Email => first(&customer.email, email),
        Channel::Sms | Channel::Whatsapp => first(&customer.phone, phone),
        Channel::Push => (push.to_owned(), false),
        _ => return None,
    };
    let address = match channel {
        Channel::Email => EmailAddress::parse(&text).map(|e| e.as_str().to_owned()),
        Channel::Push => Some(text).filter(|t| !t.is_empty()),
        _ => PhoneNumber::parse(&text, &facts.shop.country).map(|p| p.as_str().to_owned()),
    };
    address.map(|a| (a, typed))
}

/// Whether anything was given that should be an address.
fn given(facts: &Facts<'_>) -> bool {
    !facts.customer.email.is_empty() || !facts.customer.phone.is_empty()
}

fn language(facts: &Facts<'_>) -> String {
    let said = &facts.customer.language;
    if said.is_empty() { facts.contact.map(|c| c.language.clone()).unwrap_or_default() } else { said.clone() }
}

#[cfg(test)]
mod tests;
