//! Intake: a posted sale is kept, decided and queued in one transaction.
//!
//! Where deciding fails, the raw event alone is kept (state `new`) and decided again later: no
//! acknowledged sale depends on our being without faults.

use crate::config::Config;
use crate::config::checked::Receipts;
use crate::domain::address::{EmailAddress, PhoneNumber};
use crate::domain::channel::Channel;
use crate::domain::delivery::State;
use crate::domain::event::Event;
use crate::domain::ids::{IntentId, ReceiptId, dedup_key};
use crate::domain::message::{Audience, ChainStep};
use crate::domain::sale::{Sale, TransactionType};
use crate::domain::text::one_line;
use crate::domain::time::UnixMs;
use crate::pipeline::decide::{self, Decision, Facts};
use crate::sources::lan;
use crate::store::inbox::{Body, NewRawEvent, RawEvent};
use crate::store::outbox::{NewDelivery, NewMessage};
use crate::store::people::Contact;
use crate::store::receipts::NewReceipt;
use crate::store::rescue;
use crate::store::{Result, Snapshot, StoreError, Tx};
use crate::sys::clock::Now;

/// Who posted: what the key stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Name of the till or source in the config.
    pub till: String,
    /// How its sales are labelled.
    pub source: String,
    /// Its messages reach the test inbox only.
    pub test: bool,
    /// When its customers get a receipt.
    pub receipts: Receipts,
}

/// A sale that was read and checked.
#[derive(Clone, Debug)]
pub struct Posted {
    /// The bytes as they came, packed.
    pub body: Body,
    /// What they say.
    pub sale: Sale,
    /// Hash of their canonical form.
    pub content: [u8; 16],
    /// The id that it gets if it is new.
    pub receipt_id: ReceiptId,
    /// The sender's `Idempotency-Key`.
    pub idempotency_key: Option<String>,
}

/// What became of a posted sale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is new and stored.
    Stored(ReceiptId),
    /// The same was stored before.
    Duplicate(ReceiptId),
    /// Another sale has this transaction id.
    Conflict {
        /// The first one's receipt, where it is still known.
        receipt_id: Option<ReceiptId>,
        /// Who posted the first.
        till: String,
        /// When.
        at: UnixMs,
    },
    /// Another request had this `Idempotency-Key`.
    KeyReused,
}

/// Keeps a sale, decides on its message and queues it. One transaction; nothing is sent here.
pub fn keep_sale(tx: Tx<'_>, config: &Config, origin: &Origin, posted: &Posted, now: Now) -> Result<Kept> {
    if let Some(kept) = known(tx.read(), origin, posted)? {
        return Ok(kept);
    }
    let seq = keep_raw(tx, origin, posted, now, "done")?;
    store(tx, config, origin, &posted.sale, &posted.content, posted.receipt_id, seq, now)?;
    Ok(Kept::Stored(posted.receipt_id))
}

/// Keeps the raw event of a sale whose deciding failed; it is decided again by [`decide_kept`].
pub fn keep_undecided(tx: Tx<'_>, origin: &Origin, posted: &Posted, now: Now) -> Result<Kept> {
    if let Some(kept) = known(tx.read(), origin, posted)? {
        return Ok(kept);
    }
    keep_raw(tx, origin, posted, now, "new")?;
    Ok(Kept::Stored(posted.receipt_id))
}

/// Decides a raw event that was kept undecided. One that cannot be decided is quarantined with its reason.
pub fn decide_kept(tx: Tx<'_>, config: &Config, event: &RawEvent, now: Now) -> Result<()> {
    let bytes = tx.read().body(event.body)?;
    let read = match (lan::sale(&bytes), ReceiptId::parse(&event.subject)) {
        (Ok(read), Some(id)) => Ok((read, id)),
        (Err(_), _) => Err("it is no valid sale any more"),
        (_, None) => Err("it has no receipt id"),
    };
    let (read, id) = match read {
        Ok(read) => read,
        Err(why) => return tx.end_raw_event(event.seq, "quarantined", Some(why)),
    };
    if tx.read().receipt_of(&read.value.unit.unit_id, &read.value.transaction_id)?.is_none() {
        store(tx, config, &origin_of(config, &event.source), &read.value, &read.content, id, event.seq, now)?;
    }
    tx.end_raw_event(event.seq, "done", None)
}

/// What a till's key stands for, by the till's name; one that is gone from the config keeps its name.
pub fn origin_of(config: &Config, name: &str) -> Origin {
    let till = config.tills.get(name);
    Origin {
        till: name.to_owned(),
        source: till.and_then(|t| t.source.clone()).unwrap_or_else(|| name.to_owned()),
        test: till.is_some_and(|t| t.test),
        receipts: till.map(|t| t.receipts).unwrap_or_default(),
    }
}

/// Keeps an event that is not a sale; false where it was kept before.
pub fn keep_event(
    tx: Tx<'_>,
    origin: &Origin,
    event: &Event,
    body: &Body,
    content: &[u8; 16],
    now: Now,
) -> Result<std::result::Result<bool, ()>> {
    let key = dedup_key("event", &[&origin.till, &event.id]);
    if let Some(before) = tx.read().recall(&key)? {
        return Ok(if before.content == *content { Ok(false) } else { Err(()) });
    }
    let body = tx.put_body(body)?;
    // No rule acts on it yet: it is kept as it came, for the rules that will.
    tx.put_raw_event(&NewRawEvent { at: now.wall, source: &origin.till, kind: &event.kind, subject: &event.id, body, state: "kept" })?;
    tx.remember(&key, now.wall, content, "stored")?;
    Ok(Ok(true))
}

/// What would be decided for a sale now; stores nothing.
pub fn preview(read: Snapshot<'_>, config: &Config, origin: &Origin, sale: &Sale, now: Now) -> Result<Decision> {
    let contact = contact_of(read, sale)?;
    let failed = std::cell::RefCell::new(None);
    let suppressed = |channel: Channel, address: &str| match read.suppressed(channel, address) {
        Ok(why) => why,
        Err(error) => {
            failed.replace(Some(error));
            None
        }
    };
    let configured: Vec<Channel> = match origin.test {
        true => vec![Channel::Email, Channel::Sms],
        false => config.channels.iter().filter(|(_, c)| !c.providers.is_empty()).map(|(channel, _)| *channel).collect(),
    };
    let decision = decide::document(&Facts {
        sale,
        receipts: origin.receipts,
        contact: contact.as_ref(),
        configured: &configured,
        suppressed: &suppressed,
        rules: &config.routing,
        country: &config.shop.country,
        now,
    });
    match failed.into_inner() {
        Some(error) => Err(error),
        None => Ok(decision),
    }
}

fn contact_of(read: Snapshot<'_>, sale: &Sale) -> Result<Option<Contact>> {
    if sale.customer.id.is_empty() { Ok(None) } else { read.contact(&sale.customer.id) }
}

/// Whether this sale, or a request with this key, was taken before.
fn known(read: Snapshot<'_>, origin: &Origin, posted: &Posted) -> Result<Option<Kept>> {
    if let Some(key) = &posted.idempotency_key
        && let Some(before) = read.recall(&dedup_key("idempotency", &[&origin.till, "/v1/sales", key]))?
        && before.content != posted.content
    {
        return Ok(Some(Kept::KeyReused));
    }
    let (unit, transaction) = (&posted.sale.unit.unit_id, &posted.sale.transaction_id);
    if let Some(first) = read.receipt_of(unit, transaction)? {
        let same = first.content == posted.content;
        return Ok(Some(if same {
            Kept::Duplicate(first.receipt_id)
        } else {
            Kept::Conflict { receipt_id: Some(first.receipt_id), till: first.till, at: first.taken_at }
        }));
    }
    Ok(read.forgotten_receipt_of(unit, transaction)?.map(|before| match ReceiptId::parse(&before.answer) {
        Some(id) if before.content == posted.content => Kept::Duplicate(id),
        receipt_id => Kept::Conflict { receipt_id, till: String::new(), at: UnixMs::default() },
    }))
}

fn keep_raw(tx: Tx<'_>, origin: &Origin, posted: &Posted, now: Now, state: &str) -> Result<i64> {
    let body = tx.put_body(&posted.body)?;
    if let Some(key) = &posted.idempotency_key {
        tx.remember(
            &dedup_key("idempotency", &[&origin.till, "/v1/sales", key]),
            now.wall,
            &posted.content,
            &posted.receipt_id.to_string(),
        )?;
    }
    let subject = if state == "done" { String::new() } else { posted.receipt_id.to_string() };
    tx.put_raw_event(&NewRawEvent { at: now.wall, source: &origin.till, kind: "sale.completed", subject: &subject, body, state })
}

/// Stores the receipt and queues its message.
#[allow(clippy::too_many_arguments)] // what a receipt is made of
fn store(
    tx: Tx<'_>,
    config: &Config,
    origin: &Origin,
    sale: &Sale,
    content: &[u8; 16],
    id: ReceiptId,
    raw_event: i64,
    now: Now,
) -> Result<()> {
    let decision = preview(tx.read(), config, origin, sale, now)?;
    let body = tx.read().raw_event_body(raw_event)?;
    let customer = &sale.customer;
    let email = EmailAddress::parse(&customer.email).map_or_else(|| one_line(&customer.email, 254), |e| e.as_str().to_owned());
    let phone =
        PhoneNumber::parse(&customer.phone, &config.shop.country).map_or_else(|| one_line(&customer.phone, 40), |p| p.as_str().to_owned());
    // A receipt paid from a benefit account carries no customer's name.
    let name = if sale.is_benefit() { String::new() } else { one_line(&customer.name, 200) };
    let receipt = tx.put_receipt(&NewReceipt {
        receipt_id: id,
        raw_event,
        body,
        content,
        taken_at: now.wall,
        sold_at: sale.at,
        source: &origin.source,
        till: &origin.till,
        workstation_id: &sale.workstation_id,
        unit_id: &sale.unit.unit_id,
        transaction_id: &sale.transaction_id,
        transaction_type: sale.transaction_type.word(),
        receipt_number: &sale.receipt_number,
        total: sale.totals.grand,
        currency: sale.currency.code(),
        last4: sale.last4().unwrap_or_default(),
        no_message: decision.no_message,
        name: &name,
        email: &email,
        phone: &phone,
    })?;
    if sale.transaction_type == TransactionType::Void && undo(tx, sale, now)? {
        return tx.set_no_message(receipt, "declined"); // the customer never had the first one
    }
    queue(tx, &decision, receipt, id, sale.at, origin.test, now)
}

/// A void cancels the receipt of the sale that it undoes, where that still waits. True where it did.
fn undo(tx: Tx<'_>, sale: &Sale, now: Now) -> Result<bool> {
    let Some(related) = &sale.related else { return Ok(false) };
    let Some(first) = tx.read().receipt_of(&sale.unit.unit_id, &related.transaction_id)? else { return Ok(false) };
    let mut cancelled = false;
    for d in tx.read().deliveries_of(first.row)? {
        if matches!(d.state, State::Ready | State::Retry | State::Held) && d.tries == 0 {
            cancelled |= tx.transition(d.id, d.state, State::Cancelled, "voided", now.wall)?;
        }
    }
    Ok(cancelled)
}

/// Writes the message and the first step of its chain. The same intent is written once.
fn queue(tx: Tx<'_>, decision: &Decision, receipt: i64, id: ReceiptId, sold_at: UnixMs, test: bool, now: Now) -> Result<()> {
    let Some((first, rest)) = decision.chain.split_first() else { return Ok(()) };
    let json = |value: std::result::Result<String, serde_json::Error>| value.map_err(|e| StoreError::Sql(e.to_string()));
    let chain: Vec<ChainStep> =
        rest.iter().map(|w| ChainStep { channel: w.channel.word().to_owned(), address: w.address.clone() }).collect();
    let message = tx.put_message(&NewMessage {
        receipt,
        kind: decision.kind,
        audience: Audience::Customer,
        slot: "",
        intent: IntentId::new(decision.kind, &id, 0, Audience::Customer.word(), ""),
        made_at: now.wall,
        sold_at,
        fresh: decision.fresh,
        test,
        language: &decision.language,
        actor: "",
        chain: &if chain.is_empty() { String::new() } else { json(serde_json::to_string(&chain))? },
        why: "",
    })?;
    let Some(message) = message else { return Ok(()) };
    // A sale from before the store was damaged may have been sent by the store that is gone.
    let damaged_at = tx.read().fact(rescue::DAMAGED_AT)?.and_then(|ms| ms.parse().ok());
    let known_before = damaged_at.is_some_and(|at: i64| sold_at.0 <= at);
    tx.put_delivery(&NewDelivery {
        message,
        step: 1,
        channel: first.channel,
        address: &first.address,
        state: if known_before { State::Held } else { State::Ready },
        reason: if known_before { "restored" } else { "" },
        priority: decision.kind.priority(decision.fresh),
        due: now.wall,
        expires: super::useful_until(decision.kind, first.channel, now),
        online_ms: None,
    })?;
    Ok(())
}
