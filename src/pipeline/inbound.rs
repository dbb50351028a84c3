//! What a source decoded is taken: sales become documents, everything else acts as events do, and what is
//! still to be asked is written down beside it. One transaction for one raw event; it may be taken again with
//! more answers, and nothing happens twice.

use super::events;
use super::intake::{self, Origin, Posted};
use super::queue::{self, About, Which};
use super::{Context, believable, people};
use crate::domain::fault::Fault;
use crate::domain::ids::ReceiptId;
use crate::domain::message::Audience;
use crate::domain::sale::{Sale, TransactionType};
use crate::domain::time::UnixMs;
use crate::sources::lan;
use crate::sources::{Decoded, LookUp, Meaning, Need, Told};
use crate::store::inbox::{Body, NewRawEvent, RawEvent};
use crate::store::lookups::NewLookup;
use crate::store::people::Contact;
use crate::store::{Result, Snapshot, Tx};
use crate::sys::random;
use serde_json::Value;
use std::time::Duration;

/// A raw event of a source that is to be kept.
pub struct Arrived {
    /// `hook`, `pull` or `file`.
    pub kind: &'static str,
    /// The source.
    pub source: String,
    /// The key by which a repeat is known.
    pub key: [u8; 16],
    /// Hash of what it says.
    pub content: [u8; 16],
    /// The bytes, masked and packed.
    pub body: Body,
    /// Headers as JSON.
    pub headers: String,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is new and stored.
    New(i64),
    /// It came before.
    Repeat,
    /// Another one has its id, or one of its sales another's.
    Conflict,
}

/// Keeps a raw event, unless it came before.
pub fn keep(tx: Tx<'_>, cx: &Context<'_>, new: &Arrived) -> Result<Kept> {
    if let Some(before) = tx.read().recall(&new.key)? {
        return Ok(if before.content == new.content { Kept::Repeat } else { Kept::Conflict });
    }
    tx.remember(&new.key, cx.now.wall, &new.content, "stored")?;
    let body = tx.put_body(&new.body)?;
    let row = NewRawEvent { at: cx.now.wall, source: &new.source, kind: new.kind, subject: "", body, state: "new" };
    tx.put_arrival(&row, &new.headers).map(Kept::New)
}

/// The same for sales in their canonical form, which are decided before the answer.
pub fn keep_sales(tx: Tx<'_>, cx: &Context<'_>, origin: &Origin, new: &Arrived, decoded: &Decoded) -> Result<Kept> {
    let documents = if let Decoded::Told(told) = decoded { told.events.as_slice() } else { &[] };
    if tx.read().recall(&new.key)?.is_none() {
        for posted in documents.iter().filter_map(|meaning| posted(cx, meaning).ok().flatten()) {
            if taken(tx.read(), origin, &posted)? {
                return Ok(Kept::Conflict);
            }
        }
    }
    let kept = keep(tx, cx, new)?;
    let Kept::New(seq) = kept else { return Ok(kept) };
    if let Some(event) = tx.read().raw_event(seq)? {
        apply(tx, cx, origin, &Waits::default(), &event, 0, decoded)?;
    }
    Ok(kept)
}

/// Whether another sale of this source has the transaction id.
fn taken(read: Snapshot<'_>, origin: &Origin, posted: &Posted) -> Result<bool> {
    let Some(first) = read.receipt_of(&posted.sale.unit.unit_id, &posted.sale.transaction_id)? else { return Ok(false) };
    Ok(first.source == origin.source && first.content != posted.content && !read.seen_before(first.row, &posted.content)?)
}

/// How long a receipt of a source waits for answers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Waits {
    /// For what only adds to it.
    pub enrich: Duration,
}

/// Takes what was decoded with so many answers. False where more came in between: it is to be decoded anew.
pub fn apply(
    tx: Tx<'_>,
    cx: &Context<'_>,
    origin: &Origin,
    waits: &Waits,
    event: &RawEvent,
    answers: usize,
    decoded: &Decoded,
) -> Result<bool> {
    if tx.read().answered(event.seq)? != answers {
        return Ok(false);
    }
    let told = match decoded {
        Decoded::Told(told) => told,
        Decoded::Nothing(why) => return end(tx, event.seq, "done", Some(why)).map(|()| true),
        Decoded::Unusable(faults) => return end(tx, event.seq, "quarantined", Some(&in_words(faults))).map(|()| true),
    };
    let mut held: Option<UnixMs> = None;
    let (mut waits_for, mut why) = ("", None);
    for meaning in &told.events {
        match hold(cx, waits, event, told, meaning) {
            Some((until, what)) => {
                held = Some(held.map_or(until, |at| at.min(until)));
                waits_for = what;
            }
            None => why = take(tx, cx, origin, event, meaning)?.or(why),
        }
    }
    for lookup in &told.lookups {
        put_lookup(tx, cx, origin, event, lookup)?;
    }
    let required = told.lookups.iter().any(|l| l.need == Need::Required);
    if held.is_some() || required {
        tx.end_raw_event(event.seq, "waiting", Some(if required { "lookup" } else { waits_for }))?;
        tx.arrival_due(event.seq, held)?;
        return Ok(true);
    }
    if let [(place, faults), ..] = told.rejected.as_slice() {
        let text =
            format!("{} of {} not taken; {place}: {}", told.rejected.len(), told.rejected.len() + told.events.len(), in_words(faults));
        end(tx, event.seq, "done", Some(&text))?;
    } else if told.lookups.is_empty() {
        end(tx, event.seq, "done", why)?;
    } else {
        tx.end_raw_event(event.seq, "done", why)?; // a late answer still fills the receipt
        tx.arrival_due(event.seq, None)?;
    }
    Ok(true)
}

fn end(tx: Tx<'_>, seq: i64, state: &str, why: Option<&str>) -> Result<()> {
    tx.end_raw_event(seq, state, why)?;
    tx.arrival_due(seq, None)?;
    tx.drop_lookups(seq)
}

/// Places and messages; what was given is nobody's to read in a list.
fn in_words(faults: &[Fault]) -> String {
    let say = |f: &Fault| if f.pointer.is_empty() { f.message.clone() } else { format!("{}: {}", f.pointer, f.message) };
    let text = faults.iter().take(3).map(say).collect::<Vec<_>>().join("; ");
    if faults.len() > 3 { format!("{text}; and {} more", faults.len() - 3) } else { text }
}

/// Until when a meaning is not taken yet, and the word for what it waits for.
fn hold(cx: &Context<'_>, waits: &Waits, event: &RawEvent, told: &Told, meaning: &Meaning) -> Option<(UnixMs, &'static str)> {
    const SOON: Duration = Duration::from_secs(600);
    let open = |need| told.lookups.iter().any(|l| l.need == need && (l.of == meaning.business_key || l.of.is_empty()));
    let enriched = event.at + waits.enrich;
    let quiet = meaning.not_before.filter(|until| *until > cx.now.wall);
    if open(Need::Required) {
        return Some((cx.now.wall + SOON, "lookup")); // the answer wakes it
    }
    if open(Need::Enriches) && (cx.now.wall < enriched || !cx.now.good) {
        return Some((enriched.max(cx.now.wall + Duration::from_secs(1)), "enrich"));
    }
    quiet.map(|until| (until, "quiet"))
}

fn put_lookup(tx: Tx<'_>, cx: &Context<'_>, origin: &Origin, event: &RawEvent, lookup: &LookUp) -> Result<()> {
    let headers = if lookup.headers.is_empty() { String::new() } else { serde_json::json!(lookup.headers).to_string() };
    tx.put_lookup(&NewLookup {
        raw_event: event.seq,
        source: &origin.source,
        key: &lookup.key,
        need: lookup.need.word(),
        path: &lookup.path,
        headers: &headers,
        asked_at: event.at,
        due: cx.now.wall,
    })
}

/// Takes one meaning; gives the word for why nothing came of it.
fn take(tx: Tx<'_>, cx: &Context<'_>, origin: &Origin, event: &RawEvent, meaning: &Meaning) -> Result<Option<&'static str>> {
    let Ok(posted) = posted(cx, meaning) else { return Ok(Some("no_document")) };
    let Some(mut posted) = posted else {
        let new = events::told(tx, cx, origin, &meaning.event, event.seq)?;
        if new {
            heed_request(tx, cx, event, meaning)?;
        }
        return Ok((!new).then_some("repeat"));
    };
    let sold = meaning.event.kind == "sale.completed";
    if sold && tx.read().told(&origin.source, &format!("void:{}", meaning.business_key))?.is_some() {
        return Ok(Some("voided"));
    }
    if !tx.put_told(&origin.source, &meaning.business_key, meaning.version, cx.now.wall)? {
        return Ok(Some("older"));
    }
    if sold {
        let kept = intake::keep_told(tx, cx, origin, &posted, event.seq)?;
        if let Some(receipt) = kept {
            link_refunds(tx, cx, origin, &posted.sale, receipt)?;
        }
        return Ok(kept.is_none().then_some("repeat"));
    }
    let of = undone(meaning);
    let first = original(tx.read(), &posted.sale, &of)?;
    if let (Some(first), Some(related)) = (&first, &mut posted.sale.related) {
        related.transaction_id.clone_from(first);
    }
    if first.is_none() && posted.sale.transaction_type == TransactionType::Void {
        return Ok(Some("sale_unknown")); // nobody has anything of it, and its sale will not be told any more
    }
    let Some(receipt) = intake::keep_told(tx, cx, origin, &posted, event.seq)? else { return Ok(Some("repeat")) };
    if first.is_none()
        && let Some(kept) = tx.read().receipt(receipt)?
    {
        let pending: Vec<String> = of.iter().map(|id| waits_for(id)).collect();
        tx.put_native(kept.row, &pending)?;
    }
    Ok(None)
}

/// What a vendor asks in a person's name: an export needs a person's hand, an erasure reaches the orders that it
/// names and leaves no trace of itself.
fn heed_request(tx: Tx<'_>, cx: &Context<'_>, event: &RawEvent, meaning: &Meaning) -> Result<()> {
    let told = &meaning.event;
    if told.kind == "contact.export_requested" {
        return tx.raise("export_requested", &told.id, cx.now.wall).map(|_| ());
    }
    if told.kind != "contact.erasure_requested" {
        return Ok(());
    }
    if told.data.get("scope").and_then(Value::as_str) == Some("shop") {
        return tx.raise("shop_erasure_requested", &meaning.account, cx.now.wall).map(|_| ());
    }
    let orders = told.data.get("orders").and_then(Value::as_array);
    for order in orders.into_iter().flatten().take(1000).filter_map(Value::as_str) {
        let Some(receipt) = tx.read().receipt_of_native(order)? else { continue };
        let named = !receipt.email.is_empty() || !receipt.phone.is_empty();
        if named && receipt.source == event.source {
            people::erase(tx, cx, &Contact { email: receipt.email, phone: receipt.phone, ..Contact::default() })?;
        }
    }
    tx.purge_body(event.body)
}

/// The sale that an event tells, as one that is posted; `None` where it tells none.
fn posted(cx: &Context<'_>, meaning: &Meaning) -> std::result::Result<Option<Posted>, Vec<Fault>> {
    if !matches!(meaning.event.kind.as_str(), "sale.completed" | "refund.processed" | "sale.voided") {
        return Ok(None);
    }
    let document = Value::Object(meaning.event.data.clone());
    let sale = Sale::parse(&document)?;
    let bytes = document.to_string();
    Ok(Some(Posted {
        body: Body::pack(b""),
        document: Some(Body::pack(bytes.as_bytes())),
        content: lan::content(&document),
        sale,
        receipt_id: ReceiptId::new(cx.now.wall.0, random::bytes(cx.random)),
        idempotency_key: None,
        event_id: None,
    }))
}

/// The ids of the sale that a refund or void undoes.
fn undone(meaning: &Meaning) -> Vec<String> {
    let data = &meaning.event.data;
    let text = |v: Option<&Value>| v.and_then(Value::as_str).filter(|t| !t.is_empty() && t.len() <= 200).map(str::to_owned);
    let (related, source) = (data.get("related"), data.get("source"));
    let mut ids: Vec<String> = text(related.and_then(|r| r.get("transaction_id"))).into_iter().collect();
    ids.extend(text(source.and_then(|s| s.get("of_order_id"))));
    let payments = source.and_then(|s| s.get("of_payment_ids")).and_then(Value::as_array);
    ids.extend(payments.into_iter().flatten().take(20).filter_map(|id| text(Some(id))));
    ids
}

/// The transaction id of the sale that has one of these ids.
fn original(read: Snapshot<'_>, sale: &Sale, of: &[String]) -> Result<Option<String>> {
    for id in of {
        let first = match read.receipt_of(&sale.unit.unit_id, id)? {
            Some(first) => Some(first),
            None => read.receipt_of_native(id)?,
        };
        if let Some(first) = first {
            return Ok(Some(first.transaction_id));
        }
    }
    Ok(None)
}

/// The name under which a refund waits for its sale.
fn waits_for(id: &str) -> String {
    format!("refund of {id}")
}

/// A refund that came before its sale, and named nobody, goes to whom the sale went.
fn link_refunds(tx: Tx<'_>, cx: &Context<'_>, origin: &Origin, sale: &Sale, receipt: ReceiptId) -> Result<()> {
    let Some(first) = tx.read().receipt(receipt)? else { return Ok(()) };
    let ids = [&sale.transaction_id].into_iter().chain(&sale.native_ids);
    for id in ids {
        for refund in tx.read().receipts_of_native(&waits_for(id), 20)? {
            let told = tx.read().deliveries_of(refund.row)?.iter().any(|d| d.audience == Audience::Customer);
            if told || refund.no_message != "no_contact" {
                continue;
            }
            let document = tx.read().body(refund.body)?;
            let Some(mut returned) = serde_json::from_slice(&document).ok().and_then(|v| Sale::parse(&v).ok()) else { continue };
            returned.customer = sale.customer.clone();
            returned.customer.marketing_consent = None;
            let (email, phone) = intake::addresses(cx.config, &returned);
            let either = |known: &str, own: String| if known.is_empty() { own } else { known.to_owned() };
            tx.set_buyer(refund.row, &refund.name, &either(&first.email, email), &either(&first.phone, phone))?;
            let at = intake::moment(tx.read(), cx, origin, returned.at)?;
            let decision = intake::document(tx.read(), cx, origin, &returned, intake::kind_of(&returned), at)?;
            tx.set_no_message(refund.row, decision.no_message)?;
            let id = refund.receipt_id;
            let about = About { receipt: Some(refund.row), id, body: None, at: believable(at, cx.now), thread: "", test: origin.test };
            queue::message(tx, cx, &about, &Which::default(), &decision)?;
        }
    }
    Ok(())
}
