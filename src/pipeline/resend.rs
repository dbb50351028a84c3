//! A person asks for a receipt again, or gives an address late. The answer is the decision.

use super::Context;
use super::decide::{Decision, People, Way};
use super::known::Known;
use super::queue::{self, About, Which};
use crate::config::Config;
use crate::domain::address::{EmailAddress, PhoneNumber, mask};
use crate::domain::channel::Channel;
use crate::domain::delivery::State;
use crate::domain::ids::{IntentId, ReceiptId};
use crate::domain::message::{Audience, Kind};
use crate::store::outbox::Delivery;
use crate::store::receipts::Receipt;
use crate::store::{Result, Tx};
use crate::sys::clock::Now;
use std::time::Duration;

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// Channel; `None`: by the form of the address, or as before.
    pub channel: Option<Channel>,
    /// Address as typed; empty: as before.
    pub address: String,
    /// BCP 47; empty: as before.
    pub language: String,
    /// The receipt goes out as if the address had been given at the sale: no copy.
    pub late_contact: bool,
    /// Who asked, for the audit log.
    pub actor: String,
    /// How long it waits before it may go, so that it can be undone.
    pub delay: Duration,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It waits to go out under this id.
    Accepted(String),
    /// The same was asked for a moment ago: this one.
    Collapsed(String),
    /// Not: a stable word and a sentence for people.
    Refused(&'static str, String),
}

/// Decides and queues. One transaction.
pub fn resend(tx: Tx<'_>, cx: &Context<'_>, receipt: &Receipt, ask: &Ask) -> Result<Answer> {
    let (config, now) = (cx.config, cx.now);
    let mut before = tx.read().deliveries_of(receipt.row)?;
    before.retain(|d| d.audience == Audience::Customer);
    let (channel, address) = match target(config, receipt, &before, ask) {
        Ok(target) => target,
        Err((code, why)) => return Ok(Answer::Refused(code, why)),
    };
    let test = before.first().is_some_and(|d| d.test) || config.tills.get(&receipt.till).is_some_and(|t| t.test);
    let configured = test || config.channels.get(&channel).is_some_and(|c| !c.providers.is_empty());
    if !configured {
        return Ok(Answer::Refused("channel_off", format!("this shop cannot send by {channel}")));
    }
    if let Some(same) = pressed_already(&before, channel, &address, config.routing.resend_collapse, now) {
        return Ok(Answer::Collapsed(same));
    }
    if let Some(why) = (Known { read: tx.read(), cx }).suppressed(channel, &address)?
        && let Some(refusal) = refuse(&why, ask)
    {
        return Ok(refusal);
    }
    // Who asked to be forgotten is not written to, but for an address that was typed at this very sale since.
    if let Some(at) = tx.read().erased(&cx.key.name_of(&address))?
        && (receipt.taken_at < at || (receipt.email != address && receipt.phone != address))
        && let Some(refusal) = refuse("erased", ask)
    {
        return Ok(refusal);
    }
    let first = ask.late_contact && before.is_empty();
    let slots = tx.read().resends(receipt.row)?;
    if !first && slots >= config.routing.resend_limit {
        return Ok(Answer::Refused("too_many_resends", format!("this receipt was sent again {slots} times already")));
    }
    let id = queue(tx, cx, receipt, ask, Target { channel, address: &address, first, slot: slots + 1, test })?;
    tx.audit(
        now.wall,
        &ask.actor,
        if first { "contact" } else { "resend" },
        &receipt.receipt_id.to_string(),
        &format!("{channel} {}", mask(&address)),
    )?;
    Ok(Answer::Accepted(id))
}

/// The way that is asked for, or why there is none.
fn target(
    config: &Config,
    receipt: &Receipt,
    before: &[Delivery],
    ask: &Ask,
) -> std::result::Result<(Channel, String), (&'static str, String)> {
    let typed = ask.address.trim();
    let last = before.iter().rev().find(|d| ask.channel.is_none_or(|c| c == d.channel));
    if typed.is_empty() {
        if let Some(d) = last {
            return Ok((d.channel, d.address.clone()));
        }
        let known = match ask.channel {
            Some(Channel::Sms | Channel::Whatsapp) => &receipt.phone,
            Some(_) => &receipt.email,
            None if receipt.email.is_empty() => &receipt.phone,
            None => &receipt.email,
        };
        return read(config, ask.channel, known).ok_or(("no_address", "no address is known: type one".to_owned()));
    }
    read(config, ask.channel, typed).ok_or(("bad_address", "this is neither an e-mail address nor a telephone number".to_owned()))
}

fn read(config: &Config, channel: Option<Channel>, text: &str) -> Option<(Channel, String)> {
    match channel {
        Some(Channel::Email) => EmailAddress::parse(text).map(|e| (Channel::Email, e.as_str().to_owned())),
        Some(c @ (Channel::Sms | Channel::Whatsapp)) => PhoneNumber::parse(text, &config.shop.country).map(|p| (c, p.as_str().to_owned())),
        Some(_) => None,
        None if text.contains('@') => read(config, Some(Channel::Email), text),
        None => read(config, Some(Channel::Sms), text),
    }
}

/// A press within a minute for the same receipt and address, unless it was undone.
fn pressed_already(before: &[Delivery], channel: Channel, address: &str, collapse: Duration, now: Now) -> Option<String> {
    let same = |d: &&Delivery| d.kind == Kind::Resend && d.state != State::Cancelled && d.channel == channel && d.address == address;
    let recent = |d: &&Delivery| now.wall.since(d.made_at) < collapse && d.made_at <= now.wall;
    before.iter().rev().filter(same).find(recent).map(|d| d.step_id().to_string())
}

/// What the recipient said himself stands; a bounce may be overridden by an address that was typed again.
fn refuse(why: &str, ask: &Ask) -> Option<Answer> {
    let say = |code, text: &str| Some(Answer::Refused(code, text.to_owned()));
    match why {
        "sms_stop" => say("suppressed:sms_stop", "the customer answered STOP; only the customer can lift that"),
        "complaint" => say("suppressed:complaint", "the customer reported our mail as unwanted"),
        "erased" => say("suppressed:erased", "the customer asked to be forgotten"),
        "hard_bounce" | "invalid_number" if ask.address.trim().is_empty() => {
            say("suppressed:hard_bounce", "this address does not exist: type it again if it is right")
        }
        _ => None,
    }
}

struct Target<'a> {
    channel: Channel,
    address: &'a str,
    first: bool,
    slot: u32,
    test: bool,
}

fn queue(tx: Tx<'_>, cx: &Context<'_>, receipt: &Receipt, ask: &Ask, to: Target<'_>) -> Result<String> {
    let id: ReceiptId = receipt.receipt_id;
    let (kind, slot) = match to.first {
        true if matches!(receipt.transaction_type.as_str(), "return" | "void") => (Kind::Refund, String::new()),
        true => (Kind::Receipt, String::new()),
        false => (Kind::Resend, to.slot.to_string()),
    };
    let decision = Decision {
        kind,
        fresh: true,
        chain: vec![Way { channel: to.channel, address: to.address.to_owned() }],
        due: cx.now.wall,
        no_message: "",
        considered: Vec::new(),
        language: ask.language.clone(),
        zone: String::new(),
        region: String::new(),
    };
    // Asked for now: its use counts from here, not from the sale.
    let about = About { receipt: Some(receipt.row), id, body: None, at: receipt.sold_at, thread: "", test: to.test };
    let which = Which { slot: &slot, actor: &ask.actor, delay: ask.delay, ..Which::default() };
    queue::asked_now(tx, cx, &about, &which, &decision)?;
    if to.first {
        tx.set_no_message(receipt.row, "")?;
    }
    let intent = IntentId::new(kind, &id, 0, Audience::Customer.word(), &slot);
    Ok(crate::domain::ids::StepId::new(&intent, 1, 0).to_string())
}
