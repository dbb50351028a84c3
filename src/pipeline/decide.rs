//! Deciding who gets a document, and by which way. Pure: the same input gives the same output.

use crate::config::checked::{Receipts, Routing};
use crate::domain::address::{EmailAddress, PhoneNumber};
use crate::domain::channel::{Channel, Choice};
use crate::domain::message::Kind;
use crate::domain::sale::{Sale, TransactionType};
use crate::store::people::Contact;
use crate::sys::clock::Now;
use serde::Serialize;

/// What a decision is made of.
pub struct Facts<'a> {
    /// The sale.
    pub sale: &'a Sale,
    /// When this till's customers get a receipt.
    pub receipts: Receipts,
    /// Who bought, where the shop knows the person.
    pub contact: Option<&'a Contact>,
    /// Channels that are configured.
    pub configured: &'a [Channel],
    /// Why an address must not be written to.
    pub suppressed: &'a dyn Fn(Channel, &str) -> Option<String>,
    /// `[routing]`.
    pub rules: &'a Routing,
    /// ISO 3166 of the shop, to read national numbers.
    pub country: &'a str,
    /// The moment.
    pub now: Now,
}

/// One way that was looked at, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Considered {
    /// Word of the channel.
    pub channel: &'static str,
    /// `chosen`, `fallback`, or why not: `no_address`, `channel_off`, `suppressed:…`.
    pub result: String,
    /// Where the way came from: `choice`, `preference`, `shop`.
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
    /// Why there is no message: `declined`, `no_contact`, `undeliverable`.
    pub no_message: &'static str,
    /// Everything that was looked at.
    pub considered: Vec<Considered>,
    /// BCP 47, of the customer; empty where it is not known.
    pub language: String,
}

/// The customer's document of a sale.
pub fn document(facts: &Facts<'_>) -> Decision {
    let sale = facts.sale;
    let kind = match sale.transaction_type {
        TransactionType::Sale | TransactionType::Exchange => Kind::Receipt,
        TransactionType::Return | TransactionType::Void => Kind::Refund,
    };
    // While the clock cannot be believed, what has just come in is fresh.
    let fresh = !facts.now.good || facts.now.wall.since(sale.at) <= facts.rules.fresh;
    let mut decision = Decision { kind, fresh, chain: Vec::new(), no_message: "", considered: Vec::new(), language: language(facts) };
    if declined(facts) {
        decision.no_message = "declined";
        return decision;
    }
    for (channel, from) in candidates(facts) {
        let (result, way) = consider(facts, channel);
        let result = match way {
            Some(way) => {
                decision.chain.push(way);
                if decision.chain.len() == 1 { "chosen".to_owned() } else { "fallback".to_owned() }
            }
            None => result,
        };
        decision.considered.push(Considered { channel: channel.word(), result, from });
    }
    if decision.chain.is_empty() {
        let reachable = decision.considered.iter().any(|c| c.result != "no_address");
        decision.no_message = if reachable || given(facts) { "undeliverable" } else { "no_contact" };
    }
    decision
}

/// Whether the customer or the shop wants no message for this sale.
fn declined(facts: &Facts<'_>) -> bool {
    let choice = facts.sale.customer.preferred_channel;
    let asked = matches!(choice, Some(Choice::Channel(_)));
    let by_choice = matches!(choice, Some(Choice::Paper | Choice::None));
    let by_preference = !asked && facts.contact.is_some_and(|c| c.preference.first().is_some_and(|p| p == "none"));
    let by_till = match facts.receipts {
        Receipts::Always => false,
        Receipts::Registered => facts.contact.is_none() && !asked,
        Receipts::OnRequest => !asked,
        Receipts::Never => true,
    };
    by_choice || by_preference || by_till
}

/// The ways to look at, in order and without repeats: the choice at this sale, the stored preference, the
/// shop's order.
fn candidates(facts: &Facts<'_>) -> Vec<(Channel, &'static str)> {
    let choice = match facts.sale.customer.preferred_channel {
        Some(Choice::Channel(channel)) => Some((channel, "choice")),
        _ => None,
    };
    let preferred = facts.contact.map(|c| c.preference.as_slice()).unwrap_or_default();
    let preferred = preferred.iter().filter_map(|word| Channel::from_word(word)).map(|c| (c, "preference"));
    let shop = facts.rules.channels.iter().map(|c| (*c, "shop"));
    let mut out: Vec<(Channel, &'static str)> = Vec::new();
    for (channel, from) in choice.into_iter().chain(preferred).chain(shop) {
        if !out.iter().any(|(c, _)| *c == channel) {
            out.push((channel, from));
        }
    }
    out
}

fn consider(facts: &Facts<'_>, channel: Channel) -> (String, Option<Way>) {
    let Some(address) = address(facts, channel) else { return ("no_address".to_owned(), None) };
    if !facts.configured.contains(&channel) {
        return ("channel_off".to_owned(), None);
    }
    match (facts.suppressed)(channel, &address) {
        // Five soft bounces or an unsubscription do not concern a receipt.
        Some(why) if !matches!(why.as_str(), "soft_bounce" | "unsubscribe") => (format!("suppressed:{why}"), None),
        _ => (String::new(), Some(Way { channel, address })),
    }
}

/// The address for a channel: the one given at this sale, else the contact's.
fn address(facts: &Facts<'_>, channel: Channel) -> Option<String> {
    let customer = &facts.sale.customer;
    let (email, phone) = facts.contact.map(|c| (c.email.as_str(), c.phone.as_str())).unwrap_or_default();
    let first = |a: &str, b: &str| if a.is_empty() { b.to_owned() } else { a.to_owned() };
    match channel {
        Channel::Email => EmailAddress::parse(&first(&customer.email, email)).map(|e| e.as_str().to_owned()),
        Channel::Sms | Channel::Whatsapp => {
            PhoneNumber::parse(&first(&customer.phone, phone), facts.country).map(|p| p.as_str().to_owned())
        }
        _ => None,
    }
}

/// Whether anything was given that should be an address.
fn given(facts: &Facts<'_>) -> bool {
    !facts.sale.customer.email.is_empty() || !facts.sale.customer.phone.is_empty()
}

fn language(facts: &Facts<'_>) -> String {
    let said = &facts.sale.customer.language;
    if said.is_empty() { facts.contact.map(|c| c.language.clone()).unwrap_or_default() } else { said.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::UnixMs;
    use crate::sys::clock::Mono;
    use serde_json::{Value, json};
    use std::time::Duration;

    fn sale(customer: Value) -> Sale {
        let json = json!({"schema": "tillpost.sale/1", "transaction_type": "sale", "transaction_id": "t", "receipt_number": "1",
            "receipt_date_time": "2026-10-03T18:00:00Z", "business_unit": {"unit_id": "1"}, "currency_code": "USD", "tax_included": true,
            "line_items": [{"description": "Tea", "quantity": "1", "extended_amount": 300}], "tenders": [], "totals": {"grand_amount": 300},
            "customer": customer});
        Sale::parse(&json).unwrap()
    }

    fn rules() -> Routing {
        Routing {
            fresh: Duration::from_secs(1800),
            retry: vec![Duration::from_secs(5)],
            max_attempts: 20,
            failover_attempts: 3,
            failover_after: Duration::from_secs(600),
            fallback_after: Duration::from_secs(7200),
            uncertain_wait: Duration::from_secs(900),
            reconnect_wait: Duration::ZERO,
            reconnect_ramp: Duration::ZERO,
            drain_oldest: true,
            channels: vec![Channel::Email, Channel::Sms, Channel::Whatsapp, Channel::Push],
        }
    }

    struct Case {
        customer: Value,
        receipts: Receipts,
        contact: Option<Contact>,
        suppressed: &'static [&'static str],
        minutes_old: u64,
    }

    impl Default for Case {
        fn default() -> Self {
            Case { customer: json!({}), receipts: Receipts::Always, contact: None, suppressed: &[], minutes_old: 1 }
        }
    }

    fn decide(case: &Case) -> Decision {
        let sale = sale(case.customer.clone());
        let suppressed = |_: Channel, address: &str| case.suppressed.contains(&address).then(|| "hard_bounce".to_owned());
        document(&Facts {
            sale: &sale,
            receipts: case.receipts,
            contact: case.contact.as_ref(),
            configured: &[Channel::Email, Channel::Sms],
            suppressed: &suppressed,
            rules: &rules(),
            country: "US",
            now: Now { wall: sale.at + Duration::from_secs(60 * case.minutes_old), mono: Mono(0), good: true },
        })
    }

    #[track_caller]
    fn check(case: Case, chain: &[(Channel, &str)], no_message: &str) {
        let decision = decide(&case);
        let got: Vec<(Channel, &str)> = decision.chain.iter().map(|w| (w.channel, w.address.as_str())).collect();
        assert_eq!((got.as_slice(), decision.no_message), (chain, no_message), "{:?}", decision.considered);
    }

    const LEE: &str = "lee@example.org";
    const TEL: &str = "+16075550100";

    #[test]
    fn the_shops_order_holds_without_a_choice() {
        check(
            Case { customer: json!({"phone": "607 555 0100", "email": " Lee@Example.org"}), ..Case::default() },
            &[(Channel::Email, LEE), (Channel::Sms, TEL)],
            "",
        );
    }

    #[test]
    fn the_choice_at_the_sale_goes_first_and_the_rest_is_fallback() {
        let customer = json!({"phone": TEL, "email": LEE, "preferred_channel": "sms"});
        check(Case { customer, ..Case::default() }, &[(Channel::Sms, TEL), (Channel::Email, LEE)], "");
    }

    #[test]
    fn paper_is_an_answer() {
        for word in ["paper", "none"] {
            check(Case { customer: json!({"email": LEE, "preferred_channel": word}), ..Case::default() }, &[], "declined");
        }
    }

    #[test]
    fn a_known_person_is_reached_as_preferred() {
        let contact =
            Contact { phone: TEL.into(), email: LEE.into(), preference: vec!["sms".into(), "email".into()], ..Contact::default() };
        check(Case { contact: Some(contact.clone()), ..Case::default() }, &[(Channel::Sms, TEL), (Channel::Email, LEE)], "");
        let none = Contact { preference: vec!["none".into()], ..contact };
        check(Case { contact: Some(none), ..Case::default() }, &[], "declined");
    }

    #[test]
    fn nobody_to_write_to() {
        check(Case::default(), &[], "no_contact");
        check(Case { customer: json!({"email": "not an address"}), ..Case::default() }, &[], "undeliverable");
        check(Case { customer: json!({"email": LEE}), suppressed: &[LEE], ..Case::default() }, &[], "undeliverable");
    }

    #[test]
    fn a_suppressed_address_gives_way_to_the_next_channel() {
        let case = Case { customer: json!({"email": LEE, "phone": TEL}), suppressed: &[LEE], ..Case::default() };
        let decision = decide(&case);
        assert_eq!(decision.considered[0].result, "suppressed:hard_bounce");
        check(case, &[(Channel::Sms, TEL)], "");
    }

    #[test]
    fn what_the_till_wants() {
        let with = |receipts, customer: Value| Case { receipts, customer, ..Case::default() };
        let asked = json!({"email": LEE, "preferred_channel": "email"});
        check(with(Receipts::Never, asked.clone()), &[], "declined");
        check(with(Receipts::OnRequest, json!({"email": LEE})), &[], "declined");
        check(with(Receipts::OnRequest, asked.clone()), &[(Channel::Email, LEE)], "");
        check(with(Receipts::Registered, json!({"email": LEE})), &[], "declined");
        check(with(Receipts::Registered, asked), &[(Channel::Email, LEE)], "");
    }

    #[test]
    fn fresh_or_stale() {
        assert!(decide(&Case { minutes_old: 30, ..Case::default() }).fresh);
        assert!(!decide(&Case { minutes_old: 31, ..Case::default() }).fresh);
        assert_eq!(UnixMs(0).since(UnixMs(1)), Duration::ZERO);
    }
}
