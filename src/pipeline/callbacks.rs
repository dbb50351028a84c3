//! What a provider told in one call, or one list that it was asked for: kept as it came and acted on in one
//! transaction, by [`reports`].
//!
//! Repeats are dropped. A message is found by our id of the delivery, else by the provider's own, else, where
//! a list names addresses only, by the last one to that address. What belongs to no message of ours is kept
//! with that reason; an address that the provider will not write to is on our list all the same.

use super::reports::{self, Report, What};
use super::{Context, believable, people};
use crate::domain::channel::Channel;
use crate::domain::delivery::State;
use crate::domain::ids::dedup_key;
use crate::domain::outcome::Suppress;
use crate::domain::time::UnixMs;
use crate::store::inbox::{Body, NewRawEvent};
use crate::store::outbox::Delivery;
use crate::store::{Result, Tx};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long before a report the message may have left that a list names by its address alone.
const BY_ADDRESS: Duration = Duration::from_secs(4 * 86_400);

/// What became of a message, or what its recipient answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// What became of it.
    Report(What),
    /// The recipient's words.
    Reply(String),
    /// Nothing that a rule acts on.
    Other,
}

/// One thing that a provider told.
#[derive(Clone)]
pub struct Told {
    /// What.
    pub said: Said,
    /// To whom, or from whom; may be empty.
    pub recipient: String,
    /// Our id of the delivery, or the provider's; may be empty.
    pub reference: String,
    /// The provider's id; may be empty.
    pub provider_id: String,
    /// The provider writes to this address no more, and why.
    pub suppress: Option<Suppress>,
    /// When, by the provider's clock.
    pub at: Option<UnixMs>,
    /// A machine did it.
    pub machine: bool,
    /// The same for each repeat.
    pub key: String,
}

/// All that came together.
pub struct Call<'a> {
    /// The account's name in the config.
    pub provider: &'a str,
    /// What makes a second call like it a forgery; empty where there is no such thing.
    pub token: &'a str,
    /// As it came; `None` for the answer to a question of ours.
    pub raw: Option<&'a Body>,
    /// In its order.
    pub told: &'a [Told],
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Acted on.
    pub done: usize,
    /// Told before.
    pub repeats: usize,
    /// About no message that is known.
    pub unknown: usize,
    /// The token was used before: nothing was done.
    pub replayed: bool,
    /// How long ago each bounce that is for good happened.
    pub bounces: Vec<Duration>,
}

/// Whether a call with this token was taken before.
pub fn used(read: crate::store::Snapshot<'_>, provider: &str, token: &str) -> Result<bool> {
    Ok(read.recall(&token_key(provider, token))?.is_some())
}

fn token_key(provider: &str, token: &str) -> [u8; 16] {
    dedup_key("callback", &[provider, token])
}

/// Acts on a call. One transaction.
pub fn take(tx: Tx<'_>, cx: &Context<'_>, call: &Call<'_>) -> Result<Taken> {
    let mut taken = Taken::default();
    if !call.token.is_empty() {
        if used(tx.read(), call.provider, call.token)? {
            return Ok(Taken { replayed: true, ..taken });
        }
        tx.remember(&token_key(call.provider, call.token), cx.now.wall, &[0; 16], "taken")?;
    }
    let (mut found, mut foreign) = (Vec::with_capacity(call.told.len()), BTreeSet::new());
    for one in call.told {
        let delivery = if one.reference.is_empty() { None } else { tx.read().delivery_by_step(&one.reference)? };
        if delivery.is_none() {
            foreign.extend([&one.reference, &one.provider_id].into_iter().filter(|id| !id.is_empty()).cloned());
        }
        found.push(delivery);
    }
    let theirs = if foreign.is_empty() { BTreeMap::new() } else { tx.read().of_provider_ids(call.provider, &foreign)? };
    for (one, by_our_id) in call.told.iter().zip(found) {
        act(tx, cx, call.provider, one, by_our_id, &theirs, &mut taken)?;
    }
    if let Some(raw) = call.raw.filter(|_| taken.done + taken.unknown > 0) {
        let body = tx.put_body(raw)?;
        let state = if taken.unknown > 0 { "kept" } else { "done" };
        let kind = "callback";
        let seq = tx.put_raw_event(&NewRawEvent { at: cx.now.wall, source: call.provider, kind, subject: "", body, state })?;
        if taken.unknown > 0 {
            tx.end_raw_event(seq, state, Some("unknown_message"))?;
        }
    }
    Ok(taken)
}

fn act(
    tx: Tx<'_>,
    cx: &Context<'_>,
    provider: &str,
    one: &Told,
    by_our_id: Option<Delivery>,
    theirs: &BTreeMap<String, i64>,
    taken: &mut Taken,
) -> Result<()> {
    let what = match &one.said {
        Said::Report(what) => *what,
        Said::Reply(text) => {
            reports::reply(tx, cx, &one.recipient, text, &one.key)?;
            taken.done += 1;
            return Ok(());
        }
        Said::Other => {
            taken.unknown += 1; // kept, so that a person can see it
            return Ok(());
        }
    };
    let at = one.at.map_or(cx.now.wall, |at| believable(at, cx.now));
    let Some(d) = the_delivery(tx, cx, provider, one, by_our_id, theirs, at)? else {
        return unknown(tx, cx, provider, one, what, taken);
    };
    if matches!(what, What::Accepted | What::Deferred) && !matches!(d.state, State::Uncertain | State::Retry) {
        taken.repeats += 1; // it is known to be there
        return Ok(());
    }
    if what == What::Failed
        && let Some(why) = one.suppress
    {
        tx.suppress(d.channel, &d.address, why, cx.now.wall, provider)?;
    }
    let machine = one.machine || (what == What::Opened && opened_at_once(&d, at));
    let report = Report { what, at, event_id: &one.key, origin: provider, machine };
    if reports::heed(tx, cx, &d, &report)? {
        taken.done += 1;
        if what == What::HardBounce {
            taken.bounces.push(cx.now.wall.since(at));
        }
    } else {
        taken.repeats += 1;
    }
    Ok(())
}

/// Scanners and pictures' proxies fetch within seconds of the delivery; people do not.
fn opened_at_once(d: &Delivery, at: UnixMs) -> bool {
    let delivered = d.ended_at.filter(|_| d.state == State::Delivered);
    delivered.is_some_and(|delivered| at >= delivered && at.since(delivered) < Duration::from_secs(10))
}

fn the_delivery(
    tx: Tx<'_>,
    cx: &Context<'_>,
    provider: &str,
    one: &Told,
    by_our_id: Option<Delivery>,
    theirs: &BTreeMap<String, i64>,
    at: UnixMs,
) -> Result<Option<Delivery>> {
    if by_our_id.is_some() {
        return Ok(by_our_id);
    }
    if let Some(row) = theirs.get(&one.reference).or_else(|| theirs.get(&one.provider_id)) {
        return tx.read().delivery(*row);
    }
    let nameless = one.reference.is_empty() && one.provider_id.is_empty();
    let (channel, address) = address(cx, &one.recipient);
    if !nameless || address.is_empty() {
        return Ok(None);
    }
    tx.read().last_to(provider, channel, &address, (at - BY_ADDRESS, at + Duration::from_secs(300)))
}

/// The channel and the normal form of an address; empty where it is none.
fn address(cx: &Context<'_>, recipient: &str) -> (Channel, String) {
    let (email, phone) = people::normal(cx, recipient, if recipient.contains('@') { "" } else { recipient });
    if email.is_empty() { (Channel::Sms, phone) } else { (Channel::Email, email) }
}

/// Nothing that we sent, or it is gone by now: what the provider says of the address still holds.
fn unknown(tx: Tx<'_>, cx: &Context<'_>, provider: &str, one: &Told, what: What, taken: &mut Taken) -> Result<()> {
    if !one.key.is_empty() {
        // Not the key of a report that was acted on: it may be told again once the message is known.
        let key = dedup_key("unknown report", &[provider, &one.key, what.word()]);
        if tx.read().recall(&key)?.is_some() {
            taken.repeats += 1;
            return Ok(());
        }
        tx.remember(&key, cx.now.wall, &[0; 16], "unknown")?;
    }
    let (channel, address) = address(cx, &one.recipient);
    if let (Some(why), false) = (one.suppress, address.is_empty()) {
        tx.suppress(channel, &address, why, cx.now.wall, provider)?;
    }
    taken.unknown += 1;
    Ok(())
}
