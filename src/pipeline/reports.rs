//! Reports: what became of messages that had left, and what recipients answered. One transaction.
//!
//! A report moves any delivery that had an attempt, so that an open one is not tried again. A bounce within
//! the time of `report_fallback` goes to the next channel, once; nothing does after the recipient has seen the
//! message or said that nothing is wanted.

use super::Context;
use super::people::{self, Told};
use crate::domain::channel::{Channel, words};
use crate::domain::consent::{self, Purpose, Reply};
use crate::domain::delivery::State;
use crate::domain::event::Event;
use crate::domain::ids::dedup_key;
use crate::domain::outcome::Suppress;
use crate::domain::time::UnixMs;
use crate::store::outbox::{Delivery, NextStep};
use crate::store::{Result, Tx};

words! {
    /// What a provider, or a recipient through it, reports.
    What {
        /// The provider has it.
        Accepted = "accepted",
        /// It arrived.
        Delivered = "delivered",
        /// It will be tried again by the provider.
        Deferred = "deferred",
        /// The address does not exist.
        HardBounce = "hard_bounce",
        /// It did not arrive this time.
        SoftBounce = "soft_bounce",
        /// The provider gave it up: undelivered, failed, blocked, dropped.
        Failed = "failed",
        /// The recipient called it unwanted.
        Complaint = "complaint",
        /// The recipient opened it.
        Opened = "opened",
        /// The recipient followed a link in it.
        Clicked = "clicked",
        /// The recipient wants no more offers.
        Unsubscribed = "unsubscribed",
    }
}

/// One report.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// What.
    pub what: What,
    /// When, by the provider.
    pub at: UnixMs,
    /// The provider's id of the report: a repeat is dropped.
    pub event_id: &'a str,
    /// Who reports: the provider's name in the config.
    pub origin: &'a str,
    /// A machine opened or followed it: it says nothing of the person.
    pub machine: bool,
}

/// Acts on a report about a delivery; false where it was told before.
pub fn heed(tx: Tx<'_>, cx: &Context<'_>, d: &Delivery, report: &Report<'_>) -> Result<bool> {
    if !report.event_id.is_empty() {
        let key = dedup_key("report", &[report.origin, report.event_id, report.what.word()]);
        if tx.read().recall(&key)?.is_some() {
            return Ok(false);
        }
        tx.remember(&key, cx.now.wall, &[0; 16], "stored")?;
    }
    let Some(d) = tx.read().delivery(d.id)? else { return Ok(false) };
    if d.tries == 0 {
        return Ok(false); // nothing of ours can be meant
    }
    let to = |state| move_to(tx, cx, &d, state, report.what.word());
    let told = Told { method: "provider", origin: report.event_id, ..Told::default() };
    match report.what {
        // Also what is put off, the provider has: it is not sent again.
        What::Accepted | What::Deferred => {
            if matches!(d.state, State::Uncertain | State::Retry) {
                to(State::Accepted)?;
            }
        }
        What::Delivered => {
            to(State::Delivered)?;
            tx.forget_soft_bounces(d.channel, &d.address)?;
        }
        What::Opened | What::Clicked => {
            // What was opened has arrived, even where nobody could know whether it was sent.
            if matches!(d.state, State::Uncertain | State::Retry | State::Held | State::Dead) {
                to(State::Delivered)?;
            }
            if !report.machine {
                tx.set_seen(d.id, report.at)?;
            }
        }
        What::HardBounce => {
            tx.suppress(d.channel, &d.address, gone(d.channel), cx.now.wall, report.origin)?;
            if to(State::Bounced)? {
                fall_back(tx, cx, &d)?;
            }
        }
        What::SoftBounce => {
            soft(tx, cx, &d, report)?;
            if to(State::Bounced)? {
                fall_back(tx, cx, &d)?;
            }
        }
        What::Failed => {
            if to(State::Bounced)? {
                fall_back(tx, cx, &d)?;
            }
        }
        What::Complaint => {
            tx.suppress(d.channel, &d.address, Suppress::Complaint, cx.now.wall, report.origin)?;
            people::consent(tx, d.channel, &d.address, Purpose::Marketing, consent::State::Revoked, report.at, &told)?;
            to(State::Complained)?;
        }
        What::Unsubscribed => people::unsubscribe(tx, d.channel, &d.address, report.at, &told)?,
    }
    Ok(true)
}

const fn gone(channel: Channel) -> Suppress {
    match channel {
        Channel::Sms | Channel::Whatsapp => Suppress::InvalidNumber,
        Channel::Push => Suppress::DeadToken,
        _ => Suppress::HardBounce,
    }
}

/// Moves a delivery where the move exists.
fn move_to(tx: Tx<'_>, cx: &Context<'_>, d: &Delivery, state: State, reason: &str) -> Result<bool> {
    // In flight: the report overtook the answer.
    let from = d.state;
    if from == State::Sending && matches!(state, State::Delivered | State::Complained) {
        return Ok(tx.transition(d.id, from, State::Accepted, "", cx.now.wall)?
            && tx.transition(d.id, State::Accepted, state, reason, cx.now.wall)?);
    }
    if !from.may_become(state) {
        return Ok(false);
    }
    tx.transition(d.id, from, state, reason, cx.now.wall)
}

/// Enough soft bounces over enough time make an address one that gets receipts only.
fn soft(tx: Tx<'_>, cx: &Context<'_>, d: &Delivery, report: &Report<'_>) -> Result<()> {
    let rules = &cx.config.routing;
    let (count, span) = tx.soft_bounce(d.channel, &d.address, report.at)?;
    if count >= rules.soft_bounces && span >= rules.soft_bounce_span {
        tx.suppress(d.channel, &d.address, Suppress::SoftBounce, cx.now.wall, report.origin)?;
    }
    Ok(())
}

/// The next channel of the chain takes over a message that did not arrive.
fn fall_back(tx: Tx<'_>, cx: &Context<'_>, d: &Delivery) -> Result<()> {
    let late = cx.now.wall.since(d.sold_at) > cx.config.routing.report_fallback;
    let siblings = tx.read().deliveries_of_message(d.message)?;
    let seen = siblings.iter().any(|s| s.seen_at.is_some() || matches!(s.state, State::Delivered | State::Complained));
    let on_its_way = siblings.iter().any(|s| s.step > d.step);
    let wanted = tx.read().suppressed(d.channel, &d.address)?.is_none_or(|why| !unwanted(&why));
    if late || seen || on_its_way || !wanted || !d.kind.falls_back() {
        return Ok(());
    }
    let (config, now) = (cx.config, cx.now);
    let next = NextStep {
        due: &|channel, address| config.opens(d.kind, channel, d.sold_at, &d.zone, &d.region, address, now),
        time_to_live: &|channel| config.routing.time_to_live(d.kind, channel),
        priority: d.kind.priority(config.routing.is_fresh(d.sold_at, now.wall)),
        publish_until: config.publish_until(now.wall),
    };
    tx.take_over(d, &next, now.wall).map(|_| ())
}

/// Whether the recipient said that nothing is wanted: then no other channel is tried either.
fn unwanted(why: &str) -> bool {
    matches!(why, "complaint" | "sms_stop" | "unsubscribe" | "erased")
}

/// A text message that came back. `event_id` may be empty.
pub fn reply(tx: Tx<'_>, cx: &Context<'_>, from: &str, text: &str, event_id: &str) -> Result<Reply> {
    let (_, phone) = people::normal(cx, "", from);
    let meaning = consent::reply(text);
    if phone.is_empty() {
        return Ok(meaning);
    }
    if !event_id.is_empty() {
        let key = dedup_key("reply", &[event_id]);
        if tx.read().recall(&key)?.is_some() {
            return Ok(meaning);
        }
        tx.remember(&key, cx.now.wall, &[0; 16], "stored")?;
    }
    let told = Told { method: "keyword", origin: event_id, ..Told::default() };
    match meaning {
        Reply::Stop => {
            people::consent(tx, Channel::Sms, &phone, Purpose::Marketing, consent::State::Revoked, cx.now.wall, &told)?;
            tx.suppress(Channel::Sms, &phone, Suppress::SmsStop, cx.now.wall, "reply")?;
        }
        Reply::Start => {
            for address in [phone.clone(), people::nameless(cx, &phone)] {
                if tx.read().suppressed(Channel::Sms, &address)?.as_deref() == Some("sms_stop") {
                    tx.unsuppress(Channel::Sms, &address)?;
                }
            }
        }
        Reply::Help | Reply::Other => {}
    }
    Ok(meaning)
}

/// Acts on an event of the family `message.`: the subject is the delivery's id.
pub(super) fn heed_event(tx: Tx<'_>, cx: &Context<'_>, event: &Event) -> Result<()> {
    let text = |name: &str| event.data.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
    if event.kind == "message.replied" {
        return reply(tx, cx, text("from"), text("text"), &event.id).map(|_| ());
    }
    let what = match (event.kind.as_str(), text("bounce")) {
        ("message.bounced", "soft") => What::SoftBounce,
        ("message.bounced", _) => What::HardBounce,
        ("message.delivered", _) => What::Delivered,
        ("message.complained", _) => What::Complaint,
        ("message.opened", _) => What::Opened,
        ("message.clicked", _) => What::Clicked,
        ("message.unsubscribed", _) => What::Unsubscribed,
        _ => return Ok(()),
    };
    if let Some(d) = tx.read().delivery_by_step(&event.subject)? {
        let machine = event.data.get("machine").and_then(serde_json::Value::as_bool).unwrap_or(false);
        let report = Report { what, at: event.time, event_id: &event.id, origin: &d.provider, machine };
        heed(tx, cx, &d, &report)?;
    }
    Ok(())
}
