//! What a person of the shop says of an address: block it, or take it off the list. Each is written down with
//! who did it. What a recipient told the carrier is not the shop's to undo.

use super::Context;
use crate::domain::address::{EmailAddress, PhoneNumber, mask};
use crate::domain::channel::Channel;
use crate::domain::fault::Fault;
use crate::domain::outcome::Suppress;
use crate::domain::time::UnixMs;
use crate::store::{Result, Tx};

/// Channels whose addresses can be blocked.
pub const CHANNELS: &[Channel] = &[Channel::Email, Channel::Sms, Channel::Whatsapp, Channel::Push];

/// An entry as a person wrote it.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)] // named as in the API
pub struct Written<'a> {
    pub channel: &'a str,
    pub address: &'a str,
    /// Empty: `manual`.
    pub reason: &'a str,
    /// RFC 3339. Empty: now.
    pub at: &'a str,
}

/// An entry that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the columns' meaning stands in the schema
pub struct Entry {
    pub channel: Channel,
    /// Normalised.
    pub address: String,
    pub reason: Suppress,
    pub at: UnixMs,
}

/// Reads an entry; every fault of it.
pub fn read(cx: &Context<'_>, written: &Written<'_>) -> std::result::Result<Entry, Vec<Fault>> {
    let mut faults = Vec::new();
    let channel = Channel::from_word(written.channel.trim()).filter(|c| CHANNELS.contains(c));
    if channel.is_none() {
        faults.push(Fault::new("/channel", "unknown_word", "`channel` is email, sms, whatsapp or push").given(written.channel));
    }
    let address = channel.and_then(|channel| normal(cx, channel, written.address));
    if channel.is_some() && address.is_none() {
        faults.push(Fault::new("/address", "address_unusable", "this is no address of that channel"));
    }
    let reason = match written.reason.trim() {
        "" => Some(Suppress::Manual),
        word => Suppress::from_word(word),
    };
    if reason.is_none() {
        let words: Vec<&str> = Suppress::ALL.iter().map(|r| r.word()).collect();
        faults.push(Fault::new("/reason", "unknown_word", "this reason is not known").given(written.reason).allowed(words.join(", ")));
    }
    let at = match written.at.trim() {
        "" => Some(cx.now.wall),
        text => UnixMs::parse_rfc3339(text).map(|at| at.min(cx.now.wall)),
    };
    if at.is_none() {
        faults.push(Fault::new("/at", "date", "`at` is a moment such as 2026-10-03T18:07:44+02:00").given(written.at));
    }
    match (channel, address, reason, at) {
        (Some(channel), Some(address), Some(reason), Some(at)) => Ok(Entry { channel, address, reason, at }),
        _ => Err(faults),
    }
}

/// An address as it stands on the list.
fn normal(cx: &Context<'_>, channel: Channel, address: &str) -> Option<String> {
    match channel {
        Channel::Email => EmailAddress::parse(address).map(|e| e.as_str().to_owned()),
        Channel::Sms | Channel::Whatsapp => PhoneNumber::parse(address, &cx.config.shop.country).map(|p| p.as_str().to_owned()),
        _ => Some(address.trim().to_owned()).filter(|token| !token.is_empty() && token.len() <= 4096),
    }
}

/// How the log of who did what names an address: it outlives the person's data.
fn named(channel: Channel, address: &str) -> String {
    format!("{channel} {}", mask(address))
}

/// Blocks an address. False where it was blocked already, for a reason as strong or stronger: that one stays.
pub fn add(tx: Tx<'_>, entry: &Entry, actor: &str, now: UnixMs) -> Result<bool> {
    let before = tx.read().suppression(entry.channel, &entry.address)?;
    tx.suppress(entry.channel, &entry.address, entry.reason, entry.at, actor)?;
    let changed = tx.read().suppression(entry.channel, &entry.address)? != before;
    if changed {
        tx.audit(now, actor, "suppress", &named(entry.channel, &entry.address), entry.reason.word())?;
    }
    Ok(changed)
}

/// What came of lifting a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lifted {
    /// It was there for this reason, and is no more.
    Done(String),
    /// The address is not on the list.
    NotThere,
    /// A person may not.
    Refused(&'static str),
}

/// Takes an address off the list.
pub fn lift(tx: Tx<'_>, channel: Channel, address: &str, actor: &str, now: UnixMs) -> Result<Lifted> {
    let Some(entry) = tx.read().suppression(channel, address)? else { return Ok(Lifted::NotThere) };
    match Suppress::from_word(&entry.reason) {
        Some(Suppress::SmsStop) => {
            return Ok(Lifted::Refused("the customer answered STOP: only a text with START from that number lifts it"));
        }
        Some(Suppress::Erased) => return Ok(Lifted::Refused("the person asked to be forgotten: only they can change that")),
        _ => {}
    }
    tx.unsuppress(channel, address)?;
    tx.audit(now, actor, "unsuppress", &named(channel, address), &entry.reason)?;
    Ok(Lifted::Done(entry.reason))
}
