//! The one way into the outbox: a message with the first step of its chain, written once.

use super::Context;
use super::decide::Decision;
use crate::domain::channel::Channel;
use crate::domain::delivery::State;
use crate::domain::ids::{IntentId, ReceiptId};
use crate::domain::message::{Audience, ChainStep, Kind};
use crate::domain::time::UnixMs;
use crate::store::outbox::{NewDelivery, NewMessage};
use crate::store::{Result, StoreError, Tx, rescue};
use std::time::Duration;

/// What a message is about.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// The row of the receipt, where it is about one.
    pub receipt: Option<i64>,
    /// The receipt's id, or one made of the event: intents are made from it.
    pub id: ReceiptId,
    /// The document, where it is not the receipt's.
    pub body: Option<i64>,
    /// When the event was, by a clock that can be believed.
    pub at: UnixMs,
    /// Order, return or the like.
    pub thread: &'a str,
    /// Its messages reach the test inbox only.
    pub test: bool,
}

/// Which message about it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Which<'a> {
    /// The rule that made it; empty: the built-in one of its kind.
    pub route: &'a str,
    /// Parts messages of one kind about one thing: the number of a resend, the name of a destination.
    pub slot: &'a str,
    /// Who asked for it.
    pub actor: &'a str,
    /// The campaign that it belongs to.
    pub campaign: &'a str,
    /// How long it waits at the least.
    pub delay: Duration,
}

/// Writes a customer's message and the first step of its chain. The same intent is written once.
pub fn message(tx: Tx<'_>, cx: &Context<'_>, about: &About<'_>, which: &Which<'_>, decision: &Decision) -> Result<Option<i64>> {
    write(tx, cx, about, which, decision, if which.delay.is_zero() { about.at } else { cx.now.wall + which.delay })
}

/// The same for a message that somebody asked for now: its use counts from here.
pub fn asked_now(tx: Tx<'_>, cx: &Context<'_>, about: &About<'_>, which: &Which<'_>, decision: &Decision) -> Result<Option<i64>> {
    write(tx, cx, about, which, decision, cx.now.wall)
}

fn write(
    tx: Tx<'_>,
    cx: &Context<'_>,
    about: &About<'_>,
    which: &Which<'_>,
    decision: &Decision,
    useful_from: UnixMs,
) -> Result<Option<i64>> {
    let Some((first, rest)) = decision.chain.split_first() else { return Ok(None) };
    let chain: Vec<ChainStep> =
        rest.iter().map(|w| ChainStep { channel: w.channel.word().to_owned(), address: w.address.clone() }).collect();
    let chain = if chain.is_empty() { String::new() } else { serde_json::to_string(&chain).map_err(|e| StoreError::Sql(e.to_string()))? };
    let audience = Audience::Customer;
    let intent = IntentId::new(decision.kind, &about.id, 0, audience.word(), which.slot);
    // A first choice that was good needs no word on why.
    let plain = decision.considered.first().is_some_and(|c| c.result == "chosen" && c.from == "choice");
    let message = tx.put_message(&NewMessage {
        receipt: about.receipt,
        body: about.body,
        kind: decision.kind,
        audience,
        slot: &slot_of(about, which),
        intent,
        made_at: cx.now.wall,
        sold_at: about.at,
        fresh: decision.fresh,
        test: about.test,
        language: &decision.language,
        actor: which.actor,
        chain: &chain,
        why: &if plain { String::new() } else { decision.why() },
        route: which.route,
        thread: about.thread,
        campaign: which.campaign,
        zone: &decision.zone,
        region: &decision.region,
    })?;
    let Some(message) = message else { return Ok(None) };
    let (state, reason) = at_first(tx, about)?;
    let priority = decision.kind.priority(decision.fresh);
    tx.put_delivery(&NewDelivery {
        message,
        step: 1,
        channel: first.channel,
        address: &first.address,
        state,
        reason,
        priority,
        // Nobody sleeps beside the test inbox.
        due: if about.test { cx.now.wall } else { decision.due.max(cx.now.wall + which.delay) },
        expires: cx.useful_until(decision.kind, first.channel, useful_from),
        online_ms: None,
    })?;
    if matches!(first.channel, Channel::Sms | Channel::Whatsapp) && matches!(decision.kind, Kind::Receipt | Kind::Refund) {
        publish(tx, cx, about, decision, priority)?;
    }
    Ok(Some(message))
}

/// Writes a message to staff or a system: to one destination, by the provider of that name.
pub fn to_destination(
    tx: Tx<'_>,
    cx: &Context<'_>,
    about: &About<'_>,
    which: &Which<'_>,
    kind: Kind,
    audience: Audience,
    to: (Channel, &str),
) -> Result<Option<i64>> {
    let slot = if which.slot.is_empty() { to.1.to_owned() } else { format!("{}|{}", which.slot, to.1) };
    let intent = IntentId::new(kind, &about.id, 0, audience.word(), &slot);
    let which = Which { slot: &slot, ..*which };
    let message = tx.put_message(&NewMessage {
        body: about.body,
        sold_at: about.at,
        test: about.test,
        actor: which.actor,
        route: which.route,
        ..NewMessage::new(about.receipt, kind, audience, &slot_of(about, &which), intent, cx.now.wall)
    })?;
    let Some(message) = message else { return Ok(None) };
    let due = cx.now.wall + which.delay;
    tx.put_delivery(&NewDelivery {
        message,
        step: 1,
        channel: to.0,
        address: to.1,
        state: State::Ready,
        reason: "",
        priority: kind.priority(false),
        due,
        expires: cx.useful_until(kind, to.0, due),
        online_ms: None,
    })?;
    Ok(Some(message))
}

/// Without a receipt the event itself parts one message from another.
fn slot_of(about: &About<'_>, which: &Which<'_>) -> String {
    match about.receipt {
        Some(_) => which.slot.to_owned(),
        None if which.slot.is_empty() => about.id.to_string(),
        None => format!("{}|{}", about.id, which.slot),
    }
}

/// A sale from before the store was damaged may have been sent by the store that is gone.
fn at_first(tx: Tx<'_>, about: &About<'_>) -> Result<(State, &'static str)> {
    let damaged_at = tx.read().fact(rescue::DAMAGED_AT)?.and_then(|ms| ms.parse().ok());
    let known_before = about.receipt.is_some() && damaged_at.is_some_and(|at: i64| about.at.0 <= at);
    Ok(if known_before { (State::Held, "restored") } else { (State::Ready, "") })
}

/// The page behind the link that a text will carry goes up first.
fn publish(tx: Tx<'_>, cx: &Context<'_>, about: &About<'_>, decision: &Decision, priority: u8) -> Result<()> {
    let (Some(receipt), Some(until)) = (about.receipt.filter(|_| !about.test), cx.config.publish_until(cx.now.wall)) else { return Ok(()) };
    tx.put_publishing(receipt, &about.id, &decision.language, priority, about.at, cx.now.wall, until)
}
