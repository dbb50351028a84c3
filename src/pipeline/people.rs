//! What persons say of themselves: who they are, what they prefer, allow and forbid, and that they want to be
//! forgotten.

use super::Context;
use super::intake::{Origin, addresses};
use crate::domain::address::{EmailAddress, PhoneNumber};
use crate::domain::channel::Channel;
use crate::domain::consent::{Purpose, State};
use crate::domain::event::Event;
use crate::domain::outcome::Suppress;
use crate::domain::sale::Sale;
use crate::domain::text::one_line;
use crate::domain::time::UnixMs;
use crate::store::erasure::Erased;
use crate::store::people::{Contact, NewConsent};
use crate::store::{Result, Snapshot, Tx};
use serde_json::{Map, Value};

/// What a sale says of offers: a yes is express, never signed; silence is nothing.
pub(super) fn heed_sale(tx: Tx<'_>, cx: &Context<'_>, origin: &Origin, sale: &Sale, at: UnixMs) -> Result<()> {
    let Some(yes) = sale.customer.marketing_consent else { return Ok(()) };
    let (email, phone) = addresses(cx.config, sale);
    let state = if yes { State::Express } else { State::Denied };
    for (channel, address) in [(Channel::Email, email), (Channel::Sms, phone)] {
        let told = Told { method: "till", till: &origin.till, origin: &sale.transaction_id, ..Told::default() };
        consent(tx, channel, &address, Purpose::Marketing, state, at, &told)?;
    }
    Ok(())
}

/// How a consent was given.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told<'a> {
    /// `till`, `cashier`, `form`, `keyword`, `import`, `crm`, …
    pub method: &'a str,
    /// At which till.
    pub till: &'a str,
    /// Who typed it.
    pub actor: &'a str,
    /// Version of the words that were agreed to.
    pub wording: &'a str,
    /// The event that told it.
    pub origin: &'a str,
    /// It is dated by who tells it, not said now.
    pub dated: bool,
}

/// Writes down a consent, unless it says what was said last, or tells of a time before that. A new yes lifts an
/// unsubscription.
pub fn consent(tx: Tx<'_>, channel: Channel, address: &str, purpose: Purpose, state: State, at: UnixMs, told: &Told<'_>) -> Result<()> {
    if address.is_empty() {
        return Ok(());
    }
    let last = tx.read().consent(channel, address, purpose)?;
    if last.is_some_and(|last| last.state == state && state != State::Soft) {
        return Ok(());
    }
    if told.dated && last.is_some_and(|last| last.at >= at) {
        return Ok(()); // an import that tells what was before
    }
    let yes = matches!(state, State::Soft | State::Express | State::Written);
    tx.put_consent(&NewConsent {
        channel,
        address,
        purpose,
        state,
        at,
        method: told.method,
        till: told.till,
        actor: told.actor,
        wording: told.wording,
        origin: told.origin,
    })?;
    let unsubscribed = tx.read().suppressed(channel, address)?.is_some_and(|why| why == Suppress::Unsubscribe.word());
    if yes && purpose == Purpose::Marketing && unsubscribed {
        tx.unsuppress(channel, address)?;
    }
    Ok(())
}

/// No more offers on a channel to an address.
pub fn unsubscribe(tx: Tx<'_>, channel: Channel, address: &str, at: UnixMs, told: &Told<'_>) -> Result<()> {
    consent(tx, channel, address, Purpose::Marketing, State::Revoked, at, told)?;
    tx.suppress(channel, address, Suppress::Unsubscribe, at, told.origin)
}

/// Acts on an event of the family `contact.`.
pub(super) fn heed_event(tx: Tx<'_>, cx: &Context<'_>, origin: &Origin, event: &Event) -> Result<()> {
    let data = &event.data;
    let told = Told { method: method(data), till: &origin.till, origin: &event.id, ..Told::default() };
    match event.kind.as_str() {
        "contact.added" | "contact.preference_changed" => sync(tx, cx, data, event.time, &told).map(|_| ()),
        "contact.consent_changed" => {
            let Some(contact) = who(tx.read(), cx, data)? else { return Ok(()) };
            consents(tx, &contact, &[Value::Object(data.clone())], event.time, &told)
        }
        "contact.erasure_requested" => {
            let Some(contact) = who(tx.read(), cx, data)? else { return Ok(()) };
            erase(tx, cx, &contact).map(|_| ())
        }
        _ => Ok(()),
    }
}

fn method(data: &Map<String, Value>) -> &str {
    data.get("method").and_then(Value::as_str).unwrap_or("event")
}

/// Takes a contact over, as a till, an import or a customer system tells it. What was erased is not revived;
/// members that are not given stay as they were. False where it was not taken.
pub fn sync(tx: Tx<'_>, cx: &Context<'_>, given: &Map<String, Value>, at: UnixMs, told: &Told<'_>) -> Result<bool> {
    let text = |name: &str| given.get(name).and_then(Value::as_str).map(|t| one_line(t, 254));
    let (email, phone) = normal(cx, &text("email").unwrap_or_default(), &text("phone").unwrap_or_default());
    for address in [&email, &phone].into_iter().filter(|a| !a.is_empty()) {
        if tx.read().erased(&cx.key.name_of(address))?.is_some() {
            return Ok(false);
        }
    }
    let before = match text("id") {
        Some(id) => tx.read().contact(&id)?,
        None => tx.read().contact_with(&email, &phone)?,
    };
    let before = before.unwrap_or_default();
    let given_list = |name: &str| given.get(name).and_then(Value::as_array);
    let either = |new: String, old: &str| if new.is_empty() { old.to_owned() } else { new };
    let contact = Contact {
        contact_id: either(text("id").unwrap_or_default(), &before.contact_id),
        name: either(text("name").unwrap_or_default(), &before.name),
        email: either(email, &before.email),
        phone: either(phone, &before.phone),
        push_token: text("push_token").unwrap_or(before.push_token),
        language: either(text("language").unwrap_or_default(), &before.language),
        timezone: either(text("timezone").unwrap_or_default(), &before.timezone),
        region: either(text("region").unwrap_or_default(), &before.region),
        preference: given_list("preference")
            .map_or(before.preference, |list| list.iter().filter_map(|w| w.as_str().map(str::to_owned)).collect()),
        no_sharing: given.get("do_not_sell_or_share").and_then(Value::as_bool).unwrap_or(before.no_sharing),
    };
    let contact_id = match contact.contact_id.is_empty() {
        // A person without a number of the shop's own is known by the address.
        true => crate::domain::ids::hex(&cx.key.name_of(if contact.email.is_empty() { &contact.phone } else { &contact.email })),
        false => contact.contact_id.clone(),
    };
    let contact = Contact { contact_id, ..contact };
    tx.put_contact(&contact, cx.now.wall)?;
    consents(tx, &contact, given_list("consent").map(Vec::as_slice).unwrap_or_default(), at, told)?;
    Ok(true)
}

/// `[{purpose, channel, state, at?, wording?}]` of a contact.
fn consents(tx: Tx<'_>, contact: &Contact, entries: &[Value], at: UnixMs, told: &Told<'_>) -> Result<()> {
    for entry in entries {
        let text = |name: &str| entry.get(name).and_then(Value::as_str);
        let dated = text("at").and_then(UnixMs::parse_rfc3339);
        let at = dated.unwrap_or(at);
        let purpose = text("purpose").and_then(Purpose::from_word).unwrap_or(Purpose::Marketing);
        let Some(state) = text("state").and_then(State::from_word) else { continue };
        let channels = match text("channel") {
            Some(word) => Channel::from_word(word).into_iter().collect(),
            None => vec![Channel::Email, Channel::Sms, Channel::Whatsapp, Channel::Push],
        };
        let told = Told { wording: text("wording").unwrap_or(told.wording), dated: dated.is_some(), ..*told };
        for channel in channels {
            consent(tx, channel, address(contact, channel), purpose, state, at, &told)?;
        }
    }
    Ok(())
}

/// The address of a contact on a channel; empty where there is none.
pub fn address(contact: &Contact, channel: Channel) -> &str {
    match channel {
        Channel::Email => &contact.email,
        Channel::Sms | Channel::Whatsapp => &contact.phone,
        Channel::Push => &contact.push_token,
        _ => "",
    }
}

/// The contact that an event names by id or address. Without one that is known: the addresses alone.
fn who(read: Snapshot<'_>, cx: &Context<'_>, data: &Map<String, Value>) -> Result<Option<Contact>> {
    let data = data.get("customer").and_then(Value::as_object).unwrap_or(data);
    let text = |name: &str| data.get(name).and_then(Value::as_str).unwrap_or_default();
    if let Some(known) = read.contact(text("id"))? {
        return Ok(Some(known));
    }
    let (email, phone) = normal(cx, text("email"), text("phone"));
    if let Some(known) = read.contact_with(&email, &phone)? {
        return Ok(Some(known));
    }
    let nobody = email.is_empty() && phone.is_empty();
    Ok((!nobody).then(|| Contact { email, phone, ..Contact::default() }))
}

/// Addresses as they are compared; empty where they are none.
pub fn normal(cx: &Context<'_>, email: &str, phone: &str) -> (String, String) {
    let email = EmailAddress::parse(email).map(|e| e.as_str().to_owned()).unwrap_or_default();
    let phone = PhoneNumber::parse(phone, &cx.config.shop.country).map(|p| p.as_str().to_owned()).unwrap_or_default();
    (email, phone)
}

/// Forgets a person: addresses, consents, what waits and what was composed. Only keyed names stay, so that a
/// later sync revives nobody. A carrier's stop outlives it: that one is not about the shop's data.
pub fn erase(tx: Tx<'_>, cx: &Context<'_>, contact: &Contact) -> Result<Erased> {
    let addresses = [contact.email.clone(), contact.phone.clone(), contact.push_token.clone()];
    for address in addresses.iter().filter(|a| !a.is_empty()) {
        tx.put_erased(&cx.key.name_of(address), cx.now.wall)?;
    }
    let stopped = tx.read().suppressed(Channel::Sms, &contact.phone)?.as_deref() == Some("sms_stop");
    let done = tx.erase(&contact.contact_id, &addresses, without_customer, cx.now.wall)?;
    if stopped {
        tx.suppress(Channel::Sms, &nameless(cx, &contact.phone), Suppress::SmsStop, cx.now.wall, "erasure")?;
    }
    tx.audit(cx.now.wall, "", "erase", &contact.contact_id, &format!("{} receipts, {} messages cancelled", done.receipts, done.cancelled))?;
    Ok(done)
}

/// An address on the suppression list that nobody can read back.
pub(super) fn nameless(cx: &Context<'_>, address: &str) -> String {
    format!("#{}", crate::domain::ids::hex(&cx.key.name_of(address)))
}

/// A document without its customer.
fn without_customer(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut value: Value = serde_json::from_slice(bytes).ok()?;
    value.as_object_mut()?.remove("customer");
    if let Some(data) = value.get_mut("data").and_then(Value::as_object_mut) {
        data.remove("customer");
    }
    serde_json::to_vec(&value).ok()
}
