//! The decision, case by case: who gets it, by which way, and why not.

use super::*;
use crate::config::{Config, Kinds, from_json};
use crate::domain::consent::State;
use crate::sys::clock::Mono;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

const LEE: &str = "lee@example.org";
const TEL: &str = "+16075550100";

/// What is known of addresses, in a few words.
#[derive(Default)]
struct Book {
    suppressed: BTreeMap<&'static str, &'static str>,
    consents: BTreeMap<&'static str, State>,
    erased: Vec<&'static str>,
    offers: Vec<&'static str>,
}

impl People for Book {
    type Error = Infallible;
    fn suppressed(&self, _: Channel, address: &str) -> Result<Option<String>, Infallible> {
        Ok(self.suppressed.get(address).map(|why| (*why).to_owned()))
    }
    fn consent(&self, _: Channel, address: &str, purpose: Purpose) -> Result<Option<Entry>, Infallible> {
        let state = self.consents.get(address).filter(|_| purpose == Purpose::Marketing);
        Ok(state.map(|state| Entry { state: *state, at: UnixMs(0), renewed: UnixMs(0) }))
    }
    fn erased(&self, address: &str) -> Result<bool, Infallible> {
        Ok(self.erased.contains(&address))
    }
    fn offer_before(&self, _: Channel, _: &str, n: u32) -> Result<Option<UnixMs>, Infallible> {
        Ok(self.offers.get(n as usize - 1).map(|at| UnixMs::parse_rfc3339(at).unwrap()))
    }
}

fn config(routing: Value) -> Config {
    let config =
        json!({"shop": {"name": "Corner Mart", "country": "US", "region": "US-NY", "timezone": "America/New_York"}, "routing": routing});
    from_json(&config, &Kinds::default(), true).unwrap()
}

struct Case {
    kind: Kind,
    customer: Value,
    receipts: Receipts,
    contact: Option<Contact>,
    book: Book,
    channels: Vec<Option<Channel>>,
    routing: Value,
    /// When the event was, and how long ago.
    at: &'static str,
    minutes: u64,
    until: Option<&'static str>,
}

impl Default for Case {
    fn default() -> Self {
        Case {
            kind: Kind::Receipt,
            customer: json!({}),
            receipts: Receipts::Always,
            contact: None,
            book: Book::default(),
            channels: Vec::new(),
            routing: json!({}),
            at: "2026-10-05T18:00:00Z", // 14:00 in New York, a Monday
            minutes: 1,
            until: None,
        }
    }
}

fn customer(value: &Value) -> Customer {
    let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    Customer {
        id: text("id"),
        email: text("email"),
        phone: text("phone"),
        preferred_channel: Choice::from_word(&text("preferred_channel")),
        ..Customer::default()
    }
}

fn run(case: &Case) -> (Decision, UnixMs) {
    let config = config(case.routing.clone());
    let at = UnixMs::parse_rfc3339(case.at).unwrap();
    let now = at + Duration::from_secs(60 * case.minutes);
    let facts = Facts {
        kind: case.kind,
        at,
        customer: &customer(&case.customer),
        receipts: case.receipts,
        contact: case.contact.as_ref(),
        channels: &case.channels,
        configured: &[Channel::Email, Channel::Sms],
        until: case.until.map(|t| UnixMs::parse_rfc3339(t).unwrap()),
        rules: &config.routing,
        shop: &config.shop,
        now: Now { wall: now, mono: Mono(0), good: true },
    };
    let Ok(decision) = decide(&facts, &case.book);
    (decision, now)
}

#[track_caller]
fn check(case: Case, chain: &[(Channel, &str)], no_message: &str) -> Decision {
    let (decision, _) = run(&case);
    let got: Vec<(Channel, &str)> = decision.chain.iter().map(|w| (w.channel, w.address.as_str())).collect();
    assert_eq!((got.as_slice(), decision.no_message), (chain, no_message), "{:?}", decision.considered);
    decision
}

fn lee(preference: &[&str]) -> Option<Contact> {
    let preference = preference.iter().map(|p| (*p).to_owned()).collect();
    Some(Contact { contact_id: "c1".into(), phone: TEL.into(), email: LEE.into(), preference, ..Contact::default() })
}

const BOTH: &[(Channel, &str)] = &[(Channel::Email, LEE), (Channel::Sms, TEL)];
const TEXT_FIRST: &[(Channel, &str)] = &[(Channel::Sms, TEL), (Channel::Email, LEE)];

#[test]
fn the_shops_order_holds_without_a_choice() {
    check(Case { customer: json!({"phone": "607 555 0100", "email": " Lee@Example.org"}), ..Case::default() }, BOTH, "");
}

#[test]
fn the_choice_at_the_sale_goes_first_and_the_rest_is_fallback() {
    let customer = json!({"phone": TEL, "email": LEE, "preferred_channel": "sms"});
    let decision = check(Case { customer, ..Case::default() }, TEXT_FIRST, "");
    assert_eq!(decision.why(), "sms=chosen@choice email=fallback@shop whatsapp=no_consent@shop push=no_address@shop");
}

#[test]
fn paper_is_an_answer() {
    for word in ["paper", "none"] {
        check(Case { customer: json!({"email": LEE, "preferred_channel": word}), ..Case::default() }, &[], "declined");
    }
}

#[test]
fn a_known_person_is_reached_as_preferred() {
    check(Case { contact: lee(&["sms", "email"]), ..Case::default() }, TEXT_FIRST, "");
    check(Case { contact: lee(&["none"]), ..Case::default() }, &[], "declined");
    // What is chosen now stands above what was preferred.
    let customer = json!({"email": LEE, "preferred_channel": "email"});
    check(Case { contact: lee(&["none"]), customer, ..Case::default() }, BOTH, "");
}

#[test]
fn a_rule_names_its_channels() {
    let only_text = vec![Some(Channel::Sms)];
    check(Case { channels: only_text, contact: lee(&["email"]), ..Case::default() }, &[(Channel::Sms, TEL)], "");
    let preferred_then_text = vec![None, Some(Channel::Sms)];
    check(Case { channels: preferred_then_text, contact: lee(&["email"]), ..Case::default() }, BOTH, "");
}

#[test]
fn nobody_to_write_to() {
    check(Case::default(), &[], "no_contact");
    check(Case { customer: json!({"email": "not an address"}), ..Case::default() }, &[], "undeliverable");
}

fn suppressed(why: &'static str) -> Book {
    Book { suppressed: [(LEE, why), (TEL, why)].into(), ..Book::default() }
}

#[test]
fn what_each_reason_keeps_back() {
    // Reason; receipt to an address that was typed now, to a known one; order news; offers.
    let table: &[(&str, bool, bool, bool, bool)] = &[
        ("hard_bounce", false, false, false, false),
        ("soft_bounce", true, true, false, false),
        ("complaint", true, false, false, false),
        ("unsubscribe", true, true, true, false),
        ("sms_stop", false, false, false, false),
        ("invalid_number", false, false, false, false),
        ("erased", true, false, false, false),
        ("manual", false, false, false, false),
        ("a word of a later release", false, false, false, false),
    ];
    for (why, typed, known, news, offer) in table {
        let goes = |kind: Kind, customer: Value, contact: Option<Contact>| {
            let book = Book { consents: [(LEE, State::Express), (TEL, State::Written)].into(), ..suppressed(why) };
            !run(&Case { kind, customer, contact, book, ..Case::default() }).0.chain.is_empty()
        };
        assert_eq!(goes(Kind::Receipt, json!({"email": LEE}), None), *typed, "{why}: typed");
        assert_eq!(goes(Kind::Receipt, json!({}), lee(&[])), *known, "{why}: known");
        assert_eq!(goes(Kind::OrderStatus, json!({}), lee(&[])), *news, "{why}: news");
        assert_eq!(goes(Kind::Campaign, json!({}), lee(&[])), *offer, "{why}: offer");
    }
}

#[test]
fn a_suppressed_address_gives_way_to_the_next_channel() {
    let book = Book { suppressed: [(LEE, "hard_bounce")].into(), ..Book::default() };
    let case = Case { customer: json!({"email": LEE, "phone": TEL}), book, ..Case::default() };
    let decision = check(case, &[(Channel::Sms, TEL)], "");
    assert_eq!(decision.considered[0].result, "suppressed:hard_bounce");
}

#[test]
fn who_was_erased_is_not_written_to_unless_an_address_is_typed_again() {
    let book = || Book { erased: vec![LEE, TEL], ..Book::default() };
    check(Case { contact: lee(&[]), book: book(), ..Case::default() }, &[], "erased");
    check(Case { customer: json!({"email": LEE}), book: book(), ..Case::default() }, &[(Channel::Email, LEE)], "");
}

#[test]
fn what_the_till_wants() {
    let with = |receipts, customer: Value, contact| Case { receipts, customer, contact, ..Case::default() };
    let asked = json!({"email": LEE, "preferred_channel": "email"});
    let mail = &[(Channel::Email, LEE)][..];
    check(with(Receipts::Never, asked.clone(), None), &[], "declined");
    check(with(Receipts::OnRequest, json!({"email": LEE}), None), &[], "declined");
    check(with(Receipts::OnRequest, asked.clone(), None), mail, "");
    check(with(Receipts::Registered, json!({"email": LEE}), None), &[], "declined");
    check(with(Receipts::Registered, json!({"email": LEE}), lee(&[])), BOTH, "");
    check(with(Receipts::Registered, asked, None), mail, "");
    // A till's wish is about receipts alone.
    let news = Case { kind: Kind::OrderStatus, ..with(Receipts::Never, json!({"email": LEE}), None) };
    check(news, mail, "");
}

#[test]
fn fresh_or_stale_or_too_late() {
    let with = |minutes| Case { customer: json!({"email": LEE, "phone": TEL}), minutes, ..Case::default() };
    assert!(run(&with(30)).0.fresh && !run(&with(31)).0.fresh);
    let decision = check(with(60 * 73), &[(Channel::Email, LEE)], "");
    assert_eq!(decision.considered[1].result, "ttl");
    check(with(60 * 24 * 8), &[], "undeliverable");
}

#[test]
fn the_night_holds_back_what_interrupts_and_is_not_fresh() {
    let due = |kind, customer: Value, at, minutes, routing: Value| {
        let (decision, now) = run(&Case { kind, customer, at, minutes, routing, ..Case::default() });
        (decision.chain[0].channel, if decision.due == now { "now".to_owned() } else { decision.due.rfc3339() })
    };
    let text = || json!({"phone": TEL, "email": LEE, "preferred_channel": "sms"});
    let night = "2026-10-06T03:10:00Z"; // 23:10 in New York
    let morning = || "2026-10-06T12:00:00Z".to_owned();
    assert_eq!(due(Kind::Receipt, text(), night, 1, json!({})), (Channel::Sms, "now".to_owned()), "the customer stands there");
    assert_eq!(due(Kind::Receipt, text(), night, 40, json!({})), (Channel::Sms, morning()));
    assert_eq!(due(Kind::OrderStatus, text(), night, 1, json!({})), (Channel::Sms, morning()));
    assert_eq!(due(Kind::Receipt, json!({"email": LEE}), night, 40, json!({})), (Channel::Email, "now".to_owned()));
    let by_mail = json!({"prefer_email_when_quiet": true});
    assert_eq!(due(Kind::Receipt, text(), night, 40, by_mail), (Channel::Email, "now".to_owned()));
    let all_night = json!({"quiet": "00:00-24:00"});
    assert_eq!(due(Kind::Receipt, text(), night, 40, all_night), (Channel::Sms, "now".to_owned()));
}

#[test]
fn the_numbers_own_zone_counts_too() {
    // A number of Los Angeles bought in New York: nine there is six at home.
    let customer = json!({"phone": "+13105550100", "preferred_channel": "sms"});
    let (decision, _) = run(&Case { customer, at: "2026-10-06T13:00:00Z", minutes: 40, ..Case::default() });
    assert_eq!(decision.due.rfc3339(), "2026-10-06T15:00:00Z");
}

#[test]
fn offers_need_consent_and_keep_their_number() {
    let offer = |consents: &[(&'static str, State)], offers: &[&'static str], channel| Case {
        kind: Kind::Campaign,
        contact: lee(&[]),
        channels: vec![Some(channel)],
        book: Book { consents: consents.iter().copied().collect(), offers: offers.to_vec(), ..Book::default() },
        ..Case::default()
    };
    // In the United States mail is opt-out, texts need a signature.
    check(offer(&[], &[], Channel::Email), &[(Channel::Email, LEE)], "");
    let why = |case: Case| run(&case).0.considered[0].result.clone();
    assert_eq!(why(offer(&[(LEE, State::Denied)], &[], Channel::Email)), "no_consent");
    assert_eq!(why(offer(&[(TEL, State::Express)], &[], Channel::Sms)), "no_consent");
    let signed = &[(TEL, State::Written)][..];
    assert_eq!(why(offer(signed, &[], Channel::Sms)), "chosen");
    // One a day: it waits for the next, unless the offer is over by then.
    let yesterday = &["2026-10-05T10:00:00Z"][..];
    let (decision, _) = run(&offer(signed, yesterday, Channel::Sms));
    let spread = Duration::from_secs(900);
    let free = UnixMs::parse_rfc3339("2026-10-06T10:00:00Z").unwrap();
    assert!(decision.due >= free && decision.due <= free + Duration::from_secs(3 * 3600) + spread, "{}", decision.due);
    assert_eq!(why(Case { until: Some("2026-10-05T23:00:00Z"), ..offer(signed, yesterday, Channel::Sms) }), "frequency");
}
