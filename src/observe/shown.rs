//! What is stored, as the API and the command line show it. The same words and members everywhere.

use crate::domain::address::mask;
use crate::domain::ids::ReceiptId;
use crate::domain::message::Audience;
use crate::domain::money::{Currency, Money};
use crate::domain::time::UnixMs;
use crate::store::outbox::{Delivery, Filter};
use crate::store::people::{FindSuppressions, Suppression};
use crate::store::receipts::{Find, Receipt};
use crate::store::{Result, Snapshot};
use serde_json::{Value, json};

/// A list of receipts with the cursor of the next page. Addresses are masked unless asked for `whole`.
pub fn receipts(read: Snapshot<'_>, find: &Find, whole: bool) -> Result<Value> {
    let found = read.find_receipts(find)?;
    let full = found.len() == find.limit as usize;
    let next = found.last().filter(|_| full).map(|r| r.row.to_string());
    let rows = found.iter().map(|r| receipt(read, r, whole)).collect::<Result<Vec<_>>>()?;
    Ok(json!({"schema": "tillpost.receipts/1", "receipts": rows, "next": next}))
}

/// A receipt as a list shows it.
pub fn receipt(read: Snapshot<'_>, r: &Receipt, whole: bool) -> Result<Value> {
    let contact = if r.email.is_empty() { &r.phone } else { &r.email };
    let contact = if whole || contact.is_empty() { contact.clone() } else { mask(contact) };
    Ok(json!({
        "receipt_id": r.receipt_id.to_string(),
        "transaction_id": r.transaction_id,
        "transaction_type": r.transaction_type,
        "receipt_number": r.receipt_number,
        "at": r.sold_at.rfc3339(),
        "till": if r.workstation_id.is_empty() { &r.till } else { &r.workstation_id },
        "source": r.source,
        "business_key": r.transaction_id,
        "native_ids": [],
        "total": decimal(r.total, &r.currency),
        "currency": r.currency,
        "state": state(read, r)?,
        "contact": contact,
    }))
}

/// The state of a receipt: that of its last customer delivery, or why there is none.
pub fn state(read: Snapshot<'_>, r: &Receipt) -> Result<String> {
    let deliveries = read.deliveries_of(r.row)?;
    let last = deliveries.iter().rev().find(|d| d.audience == Audience::Customer);
    Ok(match last {
        Some(d) => d.state.word().to_owned(),
        None if r.no_message.is_empty() => "no_contact".to_owned(),
        None => r.no_message.clone(),
    })
}

/// Decimal text in major units.
pub fn decimal(minor: i64, currency: &str) -> String {
    Money { minor, currency: Currency::parse(currency).unwrap_or(Currency::FOUR_DIGITS) }.decimal()
}

/// A list of deliveries with the cursor of the next page.
pub fn outbox(read: Snapshot<'_>, filter: &Filter) -> Result<Value> {
    let found = read.deliveries(filter)?;
    let full = found.len() == filter.limit as usize;
    let next = found.last().filter(|_| full).map(|d| d.id);
    let rows = found.iter().map(|d| delivery(read, d)).collect::<Result<Vec<_>>>()?;
    Ok(json!({"schema": "tillpost.outbox/1", "deliveries": rows, "next": next}))
}

/// A delivery as a list shows it.
pub fn delivery(read: Snapshot<'_>, d: &Delivery) -> Result<Value> {
    let receipt = read.receipt_at(d.receipt)?.map(|r| r.receipt_id);
    Ok(json!({
        "delivery_id": d.step_id().as_str(),
        "receipt_id": receipt.map(|id: ReceiptId| id.to_string()),
        "kind": d.kind.word(),
        "channel": d.channel.word(),
        "provider": d.provider,
        "to": d.address,
        "state": d.state.word(),
        "reason": d.reason,
        "attempts": d.tries,
        "due": d.due.rfc3339(),
        "made_at": d.made_at.rfc3339(),
    }))
}

/// A delivery with its attempts and, where it is kept, what was composed; `None` where there is none.
pub fn delivery_whole(read: Snapshot<'_>, id: &str) -> Result<Option<Value>> {
    let Some(d) = read.delivery_by_step(id)? else { return Ok(None) };
    let history: Vec<Value> = read
        .attempts(d.id)?
        .iter()
        .map(|a| {
            json!({"n": a.n, "provider": a.provider, "began_at": a.began_at.rfc3339(), "ended_at": a.ended_at.rfc3339(), "class": a.class,
                "scope": a.scope, "detail": a.detail, "provider_id": a.provider_id})
        })
        .collect();
    let content: Value = match d.content {
        Some(body) => serde_json::from_slice(&read.body(body)?).unwrap_or(Value::Null),
        None => Value::Null,
    };
    let mut shown = delivery(read, &d)?;
    if let Some(map) = shown.as_object_mut() {
        map.insert("schema".into(), "tillpost.delivery/1".into());
        map.insert("history".into(), history.into());
        map.insert("content".into(), content);
    }
    Ok(Some(shown))
}

/// Deliveries by state and the age of the oldest that waits, in seconds.
pub fn backlog(read: Snapshot<'_>, now: UnixMs) -> Result<Value> {
    let oldest = read.oldest_waiting()?.map_or(0, |at| now.since(at).as_secs());
    Ok(json!({"outbox": read.counts(now)?, "oldest_s": oldest}))
}

/// Raw events, newest first.
pub fn events(read: Snapshot<'_>, limit: u32) -> Result<Value> {
    let rows = read.raw_events(None, limit)?;
    let events: Vec<Value> = rows
        .iter()
        .map(|e| json!({"seq": e.seq, "at": e.at.rfc3339(), "source": e.source, "type": e.kind, "state": e.state, "reason": e.reason}))
        .collect();
    Ok(json!({"schema": "tillpost.events/1", "events": events}))
}

/// One raw event with its bytes as text; `None` where there is none.
pub fn event(read: Snapshot<'_>, seq: i64) -> Result<Option<Value>> {
    let Some(e) = read.raw_event(seq)? else { return Ok(None) };
    let text = String::from_utf8_lossy(&read.body(e.body)?).into_owned();
    Ok(Some(json!({"schema": "tillpost.event/1", "seq": e.seq, "at": e.at.rfc3339(), "source": e.source, "type": e.kind, "state": e.state,
        "reason": e.reason, "raw": text})))
}

/// Addresses that must not be written to, with the cursor of the next page.
pub fn suppressions(read: Snapshot<'_>, find: &FindSuppressions) -> Result<Value> {
    let found = read.find_suppressions(find)?;
    let full = found.len() == find.limit as usize;
    let next = found.last().filter(|_| full).map(|s| format!("{}:{}:{}", s.at.0, s.channel, s.address));
    let rows: Vec<Value> = found.iter().map(suppression).collect();
    Ok(json!({"schema": "tillpost.suppressions/1", "suppressions": rows, "next": next}))
}

/// One of them.
pub fn suppression(s: &Suppression) -> Value {
    json!({"channel": s.channel, "address": s.address, "reason": s.reason, "at": s.at.rfc3339(), "origin": s.origin})
}

/// Where a page of suppressions goes on, from its cursor.
pub fn after(cursor: &str) -> Option<(UnixMs, String, String)> {
    let (at, rest) = cursor.split_once(':')?;
    let (channel, address) = rest.split_once(':')?;
    Some((UnixMs(at.parse().ok()?), channel.to_owned(), address.to_owned()))
}
