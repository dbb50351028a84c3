//! Intake: a posted sale is kept, known again where another source told of it, decided and queued in one
//! transaction.
//!
//! Where deciding fails, the raw event alone is kept (state `new`) and decided again later: no
//! acknowledged sale depends on our being without faults.

use super::decide::{self, Decision, Facts};
use super::known::Known;
use super::queue::{self, About, Which};
use super::{Context, believable, events, merge, people};
use crate::config::Config;
use crate::config::checked::Receipts;
use crate::domain::address::{EmailAddress, PhoneNumber};
use crate::domain::channel::Channel;
use crate::domain::delivery::State;
use crate::domain::ids::{ReceiptId, dedup_key};
use crate::domain::message::Kind;
use crate::domain::sale::{Sale, TransactionType};
use crate::domain::text::one_line;
use crate::domain::time::UnixMs;
use crate::sources::lan;
use crate::store::inbox::{Body, NewRawEvent, RawEvent};
use crate::store::people::Contact;
use crate::store::receipts::NewReceipt;
use crate::store::{Result, Snapshot, Tx};
use std::borrow::Cow;

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
    /// Other sources may tell of the same sales: theirs are looked for by their likeness too. Tills that post by
    /// themselves do not overlap with each other.
    pub overlaps: bool,
}

/// A sale that was read and checked.
#[derive(Clone, Debug)]
pub struct Posted {
    /// The bytes as they came, packed.
    pub body: Body,
    /// The canonical sale as JSON, where the bytes are of another form.
    pub document: Option<Body>,
    /// What they say.
    pub sale: Sale,
    /// Hash of their canonical form.
    pub content: [u8; 16],
    /// The id that it gets if it is new.
    pub receipt_id: ReceiptId,
    /// The sender's `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// The sender's id of the delivery, where it has one: a repeat of it is dropped.
    pub event_id: Option<String>,
}

/// What became of a posted sale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is new and stored.
    Stored(ReceiptId),
    /// The same was stored before, or another source told of it: this is its document.
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
pub fn keep_sale(tx: Tx<'_>, cx: &Context<'_>, origin: &Origin, posted: &Posted) -> Result<Kept> {
    if let Some(kept) = known(tx.read(), origin, posted)? {
        return Ok(kept);
    }
    if let Some(merged) = merge::find(tx.read(), cx, origin, &posted.sale)? {
        let seq = keep_raw(tx, cx, origin, posted, "done")?;
        return merge::add(tx, cx, origin, posted, &merged, seq).map(Kept::Duplicate);
    }
    let seq = keep_raw(tx, cx, origin, posted, "done")?;
    store(tx, cx, origin, posted, seq)?;
    Ok(Kept::Stored(posted.receipt_id))
}

/// Keeps the raw event of a sale whose deciding failed; it is decided again by [`decide_kept`].
pub fn keep_undecided(tx: Tx<'_>, cx: &Context<'_>, origin: &Origin, posted: &Posted) -> Result<Kept> {
    if let Some(kept) = known(tx.read(), origin, posted)? {
        return Ok(kept);
    }
    let readable = Posted { body: posted.document.clone().unwrap_or_else(|| posted.body.clone()), ..posted.clone() };
    keep_raw(tx, cx, origin, &readable, "new")?;
    Ok(Kept::Stored(posted.receipt_id))
}

/// Decides a raw event that was kept undecided. One that cannot be decided is quarantined with its reason.
pub fn decide_kept(tx: Tx<'_>, cx: &Context<'_>, event: &RawEvent) -> Result<()> {
    let bytes = tx.read().body(event.body)?;
    let origin = origin_of(cx.config, &event.source);
    if event.kind != "sale.completed" {
        return events::decide_kept(tx, cx, &origin, event, &bytes);
    }
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
        let posted = Posted {
            body: Body::pack(&bytes),
            document: None,
            sale: read.value,
            content: read.content,
            receipt_id: id,
            idempotency_key: None,
            event_id: None,
        };
        store(tx, cx, &origin, &posted, event.seq)?;
    }
    tx.end_raw_event(event.seq, "done", None)
}

/// Keeps what another raw event told of a sale: a new document, or one more sighting of a known one. A repeat
/// after the document is gone is still a repeat.
pub(super) fn keep_told(tx: Tx<'_>, cx: &Context<'_>, origin: &Origin, posted: &Posted, seq: i64) -> Result<Option<ReceiptId>> {
    if let Some(known) = merge::find(tx.read(), cx, origin, &posted.sale)? {
        if known.first.content == posted.content || tx.read().seen_before(known.first.row, &posted.content)? {
            return Ok(Some(known.first.receipt_id));
        }
        return merge::add(tx, cx, origin, posted, &known, seq).map(Some);
    }
    if tx.read().forgotten_receipt_of(&posted.sale.unit.unit_id, &posted.sale.transaction_id)?.is_some() {
        return Ok(None);
    }
    store(tx, cx, origin, posted, seq)?;
    Ok(Some(posted.receipt_id))
}

/// The body that is the document of a posted sale.
pub(super) fn document_body(tx: Tx<'_>, posted: &Posted, raw_event: i64) -> Result<i64> {
    posted.document.as_ref().map_or_else(|| tx.read().raw_event_body(raw_event), |document| tx.put_body(document))
}

/// What a key stands for, by the name of its till or source; one that is gone from the config keeps its name.
pub fn origin_of(config: &Config, name: &str) -> Origin {
    let till = config.tills.get(name);
    if let Some(source) = config.sources.get(name).filter(|_| till.is_none()) {
        let receipts = match source.settings.text("receipts") {
            "never" => Receipts::Never,
            "on_request" => Receipts::OnRequest,
            _ if source.sends_receipt_itself => Receipts::OnRequest,
            "registered" => Receipts::Registered,
            _ => Receipts::Always,
        };
        let (till, source, test) = (name.to_owned(), name.to_owned(), source.settings.flag("test"));
        return Origin { till, source, test, receipts, overlaps: true };
    }
    Origin {
        till: name.to_owned(),
        source: till.and_then(|t| t.source.clone()).unwrap_or_else(|| name.to_owned()),
        test: till.is_some_and(|t| t.test),
        receipts: till.map(|t| t.receipts).unwrap_or_default(),
        overlaps: false,
    }
}

/// What would be decided for a sale now; stores nothing.
pub fn preview(read: Snapshot<'_>, cx: &Context<'_>, origin: &Origin, sale: &Sale) -> Result<Decision> {
    let at = moment(read, cx, origin, sale.at)?;
    document(read, cx, origin, sale, kind_of(sale), at)
}

/// What the customer's document of a transaction is.
pub const fn kind_of(sale: &Sale) -> Kind {
    match sale.transaction_type {
        TransactionType::Sale | TransactionType::Exchange => Kind::Receipt,
        TransactionType::Return | TransactionType::Void => Kind::Refund,
    }
}

/// The decision on the customer's document of a sale.
pub(super) fn document(read: Snapshot<'_>, cx: &Context<'_>, origin: &Origin, sale: &Sale, kind: Kind, at: UnixMs) -> Result<Decision> {
    let contact = contact_of(read, cx, sale)?;
    let name = if kind == Kind::Refund { "refunds" } else { "receipts" };
    let route = cx.config.routes.get(name);
    let configured = configured(cx.config, origin.test);
    let facts = Facts {
        kind,
        at,
        customer: &sale.customer,
        // A rule that was switched off sends nothing by itself.
        receipts: if route.is_some_and(|r| r.disabled) { Receipts::Never } else { origin.receipts },
        contact: contact.as_ref(),
        channels: route.map(|r| r.channels.as_slice()).unwrap_or_default(),
        configured: &configured,
        until: None,
        rules: &cx.config.routing,
        shop: &cx.config.shop,
        now: cx.now,
    };
    decide::decide(&facts, &Known { read, cx })
}

/// Channels to customers that can be used.
pub(super) fn configured(config: &Config, test: bool) -> Vec<Channel> {
    match test {
        true => vec![Channel::Email, Channel::Sms],
        false => config.channels.iter().filter(|(_, c)| !c.providers.is_empty()).map(|(channel, _)| *channel).collect(),
    }
}

/// The moment of a sale. A till whose last sales all differ from this box by the same is read with that offset.
pub(super) fn moment(read: Snapshot<'_>, cx: &Context<'_>, origin: &Origin, at: UnixMs) -> Result<UnixMs> {
    let delay = cx.now.wall.0 - at.0;
    let least = i64::try_from(cx.config.routing.till_offset.as_millis()).unwrap_or(i64::MAX);
    if !cx.now.good || delay.abs() < least - merge::SAME_CLOCK {
        return Ok(at);
    }
    Ok(UnixMs(at.0 + merge::offset(&read.delays_of(&origin.till, 20)?, delay, least)))
}

fn contact_of(read: Snapshot<'_>, cx: &Context<'_>, sale: &Sale) -> Result<Option<Contact>> {
    let customer = &sale.customer;
    if !customer.id.is_empty()
        && let Some(found) = read.contact(&customer.id)?
    {
        return Ok(Some(found));
    }
    if customer.email.is_empty() && customer.phone.is_empty() {
        return Ok(None);
    }
    let (email, phone) = addresses(cx.config, sale);
    read.contact_with(&email, &phone)
}

/// Whether this sale, or a request with this key, was taken before.
fn known(read: Snapshot<'_>, origin: &Origin, posted: &Posted) -> Result<Option<Kept>> {
    if let Some(key) = &posted.idempotency_key
        && let Some(before) = read.recall(&dedup_key("idempotency", &[&origin.till, "/v1/sales", key]))?
        && before.content != posted.content
    {
        return Ok(Some(Kept::KeyReused));
    }
    if let Some(id) = &posted.event_id
        && let Some(before) = read.recall(&dedup_key("event", &[&origin.source, id]))?
    {
        return Ok(ReceiptId::parse(&before.answer).map(Kept::Duplicate));
    }
    let (unit, transaction) = (&posted.sale.unit.unit_id, &posted.sale.transaction_id);
    if let Some(first) = read.receipt_of(unit, transaction)? {
        let another = origin.overlaps && first.source != origin.source;
        if another || posted.event_id.is_some() {
            return Ok(None); // another source tells of it, or its own tells it anew: one document
        }
        let same = first.content == posted.content || read.seen_before(first.row, &posted.content)?;
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

fn keep_raw(tx: Tx<'_>, cx: &Context<'_>, origin: &Origin, posted: &Posted, state: &str) -> Result<i64> {
    let body = tx.put_body(&posted.body)?;
    let id = posted.receipt_id.to_string();
    if let Some(key) = &posted.idempotency_key {
        tx.remember(&dedup_key("idempotency", &[&origin.till, "/v1/sales", key]), cx.now.wall, &posted.content, &id)?;
    }
    if let Some(event) = &posted.event_id {
        tx.remember(&dedup_key("event", &[&origin.source, event]), cx.now.wall, &posted.content, &id)?;
    }
    let subject = if state == "done" { String::new() } else { id };
    tx.put_raw_event(&NewRawEvent { at: cx.now.wall, source: &origin.till, kind: "sale.completed", subject: &subject, body, state })
}

/// Stores the receipt and queues its messages.
pub(super) fn store(tx: Tx<'_>, cx: &Context<'_>, origin: &Origin, posted: &Posted, raw_event: i64) -> Result<()> {
    let posted = &with_customer(tx.read(), posted)?;
    let sale = &posted.sale;
    let at = moment(tx.read(), cx, origin, sale.at)?;
    people::heed_sale(tx, cx, origin, sale, at)?;
    let decision = document(tx.read(), cx, origin, sale, kind_of(sale), at)?;
    let body = document_body(tx, posted, raw_event)?;
    let receipt = put(tx, cx, origin, posted, (raw_event, body), decision.no_message)?;
    tx.put_native(receipt, &sale.native_ids)?;
    let about =
        About { receipt: Some(receipt), id: posted.receipt_id, body: None, at: believable(at, cx.now), thread: "", test: origin.test };
    if sale.transaction_type == TransactionType::Void && undo(tx, cx, sale)? {
        tx.set_no_message(receipt, "declined")?; // the customer never had the first one
    } else {
        queue::message(tx, cx, &about, &Which::default(), &decision)?;
    }
    events::of_sale(tx, cx, origin, sale, &about, body)
}

/// A return that names nobody goes to whom its sale went.
fn with_customer<'a>(read: Snapshot<'_>, posted: &'a Posted) -> Result<Cow<'a, Posted>> {
    let (sale, customer) = (&posted.sale, &posted.sale.customer);
    let named = !customer.id.is_empty() || !customer.email.is_empty() || !customer.phone.is_empty() || customer.preferred_channel.is_some();
    let Some(related) = sale.related.as_ref().filter(|_| !named && kind_of(sale) == Kind::Refund) else { return Ok(Cow::Borrowed(posted)) };
    let Some(first) = read.receipt_of(&sale.unit.unit_id, &related.transaction_id)? else { return Ok(Cow::Borrowed(posted)) };
    let document = serde_json::from_slice(&read.body(first.body)?).ok().and_then(|v| Sale::parse(&v).ok());
    let mut posted = posted.clone();
    posted.sale.customer = document.map(|d| d.customer).unwrap_or_default();
    // What came later than the document, as a late contact does.
    let either = |own: &mut String, known: &str| {
        if own.is_empty() {
            known.clone_into(own)
        }
    };
    either(&mut posted.sale.customer.email, &first.email);
    either(&mut posted.sale.customer.phone, &first.phone);
    posted.sale.customer.marketing_consent = None;
    Ok(Cow::Owned(posted))
}

fn put(tx: Tx<'_>, cx: &Context<'_>, origin: &Origin, posted: &Posted, (raw_event, body): (i64, i64), no_message: &str) -> Result<i64> {
    let sale = &posted.sale;
    let (email, phone) = addresses(cx.config, sale);
    // A receipt paid from a benefit account carries no customer's name.
    let name = if sale.is_benefit() { String::new() } else { one_line(&sale.customer.name, 200) };
    tx.put_receipt(&NewReceipt {
        receipt_id: posted.receipt_id,
        raw_event,
        body,
        content: &posted.content,
        taken_at: cx.now.wall,
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
        no_message,
        name: &name,
        email: &email,
        phone: &phone,
    })
}

/// The customer's addresses as they are kept: normalised where they can be.
pub(super) fn addresses(config: &Config, sale: &Sale) -> (String, String) {
    let customer = &sale.customer;
    let email = EmailAddress::parse(&customer.email).map_or_else(|| one_line(&customer.email, 254), |e| e.as_str().to_owned());
    let phone =
        PhoneNumber::parse(&customer.phone, &config.shop.country).map_or_else(|| one_line(&customer.phone, 40), |p| p.as_str().to_owned());
    (email, phone)
}

/// A void cancels the receipt of the sale that it undoes, where that still waits. True where it did.
fn undo(tx: Tx<'_>, cx: &Context<'_>, sale: &Sale) -> Result<bool> {
    let Some(related) = &sale.related else { return Ok(false) };
    let Some(first) = tx.read().receipt_of(&sale.unit.unit_id, &related.transaction_id)? else { return Ok(false) };
    let mut cancelled = false;
    for d in tx.read().deliveries_of(first.row)? {
        if matches!(d.state, State::Ready | State::Retry | State::Held) && d.tries == 0 {
            let done = tx.transition(d.id, d.state, State::Cancelled, "voided", cx.now.wall)?;
            cancelled |= done && d.channel != Channel::Publish;
        }
    }
    Ok(cancelled)
}
