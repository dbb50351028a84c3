//! Each thing that decides has its sentence, and what comes next is said.

use super::*;
use crate::config::{fakes, load};
use crate::domain::channel::Channel;
use crate::domain::delivery::State;
use crate::domain::ids::IntentId;
use crate::domain::message::{Audience, Kind};
use crate::domain::time::UnixMs;
use crate::sys::clock::Mono;
use serde_json::json;

fn moment(text: &str) -> UnixMs {
    UnixMs::parse_rfc3339(text).unwrap()
}

/// 22:05 in Chicago.
const NOW: &str = "2026-03-04T04:05:00Z";

fn config() -> Config {
    let settings = json!({
        "shop": {"id": "s", "name": "Corner Mart", "country": "US", "region": "US-IL", "timezone": "America/Chicago", "currency": "USD"},
        "tills": {"front": {"key": "tp_live_till_of_the_tests", "receipts": "never"}},
        "channels": {"email": {"from": "a@cmart.example", "providers": ["main", "backup"]}, "sms": {"from": "+16075550131", "providers": ["texts"]}},
        "providers": {"main": {"type": "smtp"}, "backup": {"type": "smtp"}, "texts": {"type": "twilio"}},
        "brand": {"promotions": ["10 % off"]},
    });
    load::from_json(&settings, &fakes::kinds(), true).unwrap()
}

fn delivery(channel: Channel, state: State) -> Delivery {
    let address = if channel == Channel::Sms { "+12125550101" } else { "lee@example.org" };
    Delivery {
        id: 17,
        message: 1,
        step: 1,
        channel,
        address: address.into(),
        state,
        reason: String::new(),
        priority: 1,
        due: moment(NOW),
        expires: moment("2026-03-06T00:00:00Z"),
        tries: 0,
        counted: 0,
        ordinal: 0,
        here: 0,
        here_since: None,
        online_since: None,
        provider: String::new(),
        began_at: None,
        ended_at: None,
        content: None,
        composed_at: None,
        seen_at: None,
        receipt: Some(1),
        body: None,
        kind: Kind::Receipt,
        audience: Audience::Customer,
        slot: String::new(),
        intent: IntentId::from_bytes(&[7; 16]).unwrap(),
        made_at: moment("2026-03-04T01:40:00Z"),
        sold_at: moment("2026-03-04T01:40:00Z"),
        fresh: true,
        test: false,
        language: String::new(),
        actor: String::new(),
        chain: String::new(),
        why: String::new(),
        route: String::new(),
        thread: String::new(),
        campaign: String::new(),
        zone: String::new(),
        region: String::new(),
    }
}

fn step(delivery: Delivery) -> Step {
    Step { delivery, attempts: Vec::new(), suppression: None, marketing: None, behind: false }
}

fn attempt(n: u32, provider: &str, class: &str) -> Attempt {
    let at = moment("2026-03-04T02:00:00Z");
    Attempt {
        delivery: 17,
        n,
        provider: provider.into(),
        began_at: at,
        ended_at: at,
        class: class.into(),
        scope: "account".into(),
        detail: "503".into(),
        provider_id: None,
    }
}

/// The explanation of one delivery, as one text.
fn told(step: Step, around: &Around) -> Told {
    let config = config();
    let now = Now { wall: moment(NOW), mono: Mono(0), good: true };
    let facts = Facts {
        config: &config,
        now,
        around,
        receipt: None,
        state: String::new(),
        choice: String::new(),
        sightings: Vec::new(),
        steps: vec![step],
        page: None,
    };
    facts.explain().deliveries.remove(0)
}

fn online(lanes: &[(&str, &'static str)]) -> Around {
    Around { online: Some(true), lanes: lanes.iter().map(|(n, w)| ((*n).to_owned(), *w)).collect(), till_offset: 0 }
}

fn says(told: &Told, words: &[&str]) {
    let text = format!("{} | {}", told.sentences.join(" "), told.next);
    for word in words {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert!(!text.contains("lee@example") && !text.contains("5550101"), "nobody is named: {text}");
}

#[test]
fn quiet_hours_say_until_when_and_by_whose_clock() {
    let stale = Delivery { fresh: false, zone: "America/Denver".into(), ..delivery(Channel::Sms, State::Ready) };
    let told = told(step(stale), &online(&[]));
    says(
        &told,
        &["some time ago", "Quiet hours: it may go 2026-03-04 09:00", "the customer's clock (America/Denver)", "(America/New_York)"],
    );
    assert_eq!(told.next_at.as_deref(), Some("2026-03-04T15:00:00Z"), "08:00 in Denver is the later of both");
}

#[test]
fn the_decision_way_by_way() {
    let why = "sms=no_address@preference email=chosen@shop whatsapp=channel_off@shop push=suppressed:dead_token@shop";
    let asked = Delivery { why: why.into(), route: "loyal".into(), actor: "anna".into(), ..delivery(Channel::Email, State::Ready) };
    says(
        &told(step(asked), &online(&[])),
        &[
            "by [routes.loyal]",
            "asked for by anna",
            "Text message: no address is known (the customer's preference).",
            "E-mail: it goes this way (the shop's order).",
            "the shop has no provider for it",
            "the app is gone",
            "It goes to main as soon as its turn comes",
        ],
    );
    says(&told(step(delivery(Channel::Email, State::Ready)), &online(&[])), &["The first way that was looked at was good."]);
}

#[test]
fn providers_their_attempts_and_what_stands_in_the_way() {
    let chain = "[{\"channel\":\"sms\",\"address\":\"+12125550101\"}]";
    let retry = Delivery {
        counted: 4,
        tries: 4,
        reason: "not_accepted".into(),
        due: moment("2026-03-04T04:35:00Z"),
        chain: chain.into(),
        ..delivery(Channel::Email, State::Retry)
    };
    let attempts: Vec<Attempt> = [(1, "main", "retry"), (2, "main", "offline"), (3, "main", "auth"), (4, "backup", "retry")]
        .map(|(n, p, c)| attempt(n, p, c))
        .into();
    let waits = Step { attempts, ..step(retry) };
    says(
        &told(waits, &online(&[("main", "paused"), ("backup", "ok")])),
        &[
            "Attempt 1 at main 2026-03-03 20:00 was not taken for now (503)",
            "found no internet, which costs no attempt",
            "the shop's account, which was paused",
            "backup then took over from main",
            "Attempt 5 of 20 at the most goes 2026-03-03 22:35, to backup (main refuses the shop's account and is paused)",
            "If nobody accepts it within 2 h online, text message takes over.",
            "After 2026-03-05 18:00 it is of no use",
        ],
    );
    let ready = || step(delivery(Channel::Email, State::Ready));
    says(&told(ready(), &online(&[("main", "down"), ("backup", "throttled")])), &["main is not taking messages, backup asked to wait"]);
    says(&told(ready(), &Around { online: Some(false), ..Around::default() }), &["as soon as there is internet"]);
    says(&told(Step { behind: true, ..ready() }, &online(&[])), &["an earlier word on the same order"]);
    let text = Delivery { reason: "publishing".into(), sold_at: moment(NOW), ..delivery(Channel::Sms, State::Ready) };
    says(&told(step(text), &online(&[])), &["It waits for its link", "After 10 min online it goes without one"]);
    let page = Delivery { audience: Audience::System, ..delivery(Channel::Publish, State::Accepted) };
    let page = told(step(page), &online(&[]));
    says(&page, &["The page behind the receipt's link is uploaded"]);
    assert!(!page.sentences.join(" ").contains("first way"), "{page:?}");
    let push = step(Delivery { sold_at: moment(NOW), ..delivery(Channel::Push, State::Ready) });
    says(&told(push, &online(&[])), &["No provider of push is configured"]);
}

#[test]
fn what_is_over_says_why_and_who_may_go_on() {
    let of = |state, reason: &str| Delivery { reason: reason.into(), provider: "main".into(), ..delivery(Channel::Email, state) };
    let around = online(&[]);
    says(&told(step(of(State::Held, "rule:over 500")), &around), &["a rule of [routing] hold: over 500", "tillpost outbox release tp_"]);
    says(&told(step(of(State::Dead, "ttl")), &around), &["too late", "Nothing"]);
    says(&told(step(of(State::Dead, "attempts")), &around), &["tried too often", "release"]);
    says(&told(step(of(State::Cancelled, "superseded")), &around), &["a later word on the same order", "this was the last way"]);
    says(&told(step(of(State::Uncertain, "unknown")), &around), &["May have been sent", "until a person decides"]);
    let chain = "[{\"channel\":\"sms\",\"address\":\"+12125550101\"}]";
    let accepted = Delivery { chain: chain.into(), ..of(State::Accepted, "") };
    says(&told(step(accepted.clone()), &around), &["unless main reports before 2026-03-05 19:40", "then text message takes over"]);
    let seen = Delivery { seen_at: Some(moment(NOW)), ..accepted };
    says(&told(step(seen), &around), &["the customer has seen it", "it has been handed over"]);
}

#[test]
fn suppression_and_consent() {
    let bounced = |reason: &str, at: &str| Suppression {
        channel: "email".into(),
        address: "lee@example.org".into(),
        reason: reason.into(),
        at: moment(at),
        origin: "main".into(),
    };
    let with = |s| Step { suppression: Some(s), ..step(delivery(Channel::Email, State::Ready)) };
    let around = online(&[]);
    says(
        &told(with(bounced("hard_bounce", "2026-03-04T03:00:00Z")), &around),
        &["blocked since 2026-03-03 21:00, learned from main: the address does not exist; nothing of this kind goes there"],
    );
    says(&told(with(bounced("unsubscribe", NOW)), &around), &["this kind may go there all the same"]);
    says(&told(with(bounced("soft_bounce", "2026-01-01T00:00:00Z")), &around), &["that has lapsed"]);
    says(
        &told(step(delivery(Channel::Email, State::Ready)), &around),
        &["The offers in it may go there: of marketing, nothing was said (US-IL)"],
    );
    let no = Entry { state: crate::domain::consent::State::Denied, at: moment(NOW), renewed: UnixMs::default() };
    let offer = Delivery { kind: Kind::Campaign, campaign: "spring".into(), ..delivery(Channel::Email, State::Ready) };
    says(
        &told(Step { marketing: Some(no), ..step(offer) }, &around),
        &["by the campaign spring", "Offers may not go there: of marketing, denied was said 2026-03-03 22:05"],
    );
}

#[test]
fn the_sale_with_its_sightings_and_why_it_has_no_message() {
    let config = config();
    let at = moment("2026-03-04T02:40:00Z");
    let receipt = Receipt {
        row: 1,
        receipt_id: ReceiptId::new(at.0, [3; 10]),
        body: 1,
        content: [0; 16],
        taken_at: at,
        sold_at: moment("2026-03-04T01:40:00Z"),
        source: "front".into(),
        till: "front".into(),
        workstation_id: "3".into(),
        unit_id: "s".into(),
        transaction_id: "t-1".into(),
        transaction_type: "sale".into(),
        receipt_number: "R-500".into(),
        total: 1820,
        currency: "USD".into(),
        last4: String::new(),
        no_message: "declined".into(),
        name: String::new(),
        email: String::new(),
        phone: String::new(),
    };
    let seen = |source: &str, total, note: &str| Seen { source: source.into(), at, total, note: note.into() };
    let around = Around { till_offset: 3_600_000, ..Around::default() };
    let said = |choice: &str, no_message: &str| {
        let facts = Facts {
            config: &config,
            now: Now { wall: moment(NOW), mono: Mono(0), good: true },
            around: &around,
            receipt: Some(Receipt { no_message: no_message.into(), ..receipt.clone() }),
            state: no_message.into(),
            choice: choice.into(),
            sightings: vec![seen("square", 1820, "late"), seen("tap", 1900, "total_differs")],
            steps: Vec::new(),
            page: None,
        };
        let said = facts.explain();
        assert_eq!((said.state.as_str(), said.no_message.as_str()), (no_message, no_message));
        said.sentences.join(" ")
    };
    let text = said("", "declined");
    for word in [
        "Receipt R-500 over 18.20 USD was sold 2026-03-03 19:40 at till 3 and stored 2026-03-03 20:40, 1 h later.",
        "The clock of till front is 1 h behind",
        "square told of the same sale 2026-03-03 20:40, when its receipt had gone out: nothing was sent again.",
        "with a total of 19.00 instead of 18.20",
        "No message was made: [tills.front] receipts = \"never\".",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert!(said("paper", "declined").contains("the customer chose paper"));
    assert!(said("", "no_contact").contains("no address was given"));
    assert!(said("", "erased").contains("forgotten"));
}
