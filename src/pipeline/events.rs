//! Events beyond sales: what the shop's rules make of them, and what changes in the store. One transaction.

use super::decide::{self, Facts};
use super::intake::{self, Origin};
use super::known::Known;
use super::queue::{self, About, Which};
use super::{Context, believable, people, reports, routine};
use crate::config::checked::{Receipts, Route};
use crate::domain::event::Event;
use crate::domain::ids::{ReceiptId, dedup_key, hash16};
use crate::domain::message::{Audience, Kind};
use crate::domain::notice::{Made, Staff};
use crate::domain::sale::{Customer, Sale};
use crate::domain::time::UnixMs;
use crate::store::inbox::{Body, NewRawEvent, RawEvent};
use crate::store::receipts::Receipt;
use crate::store::{Result, Snapshot, Tx};
use serde_json::{Map, Value, json};

/// Types of events whose bytes nobody may read on the disk.
pub fn is_secret(kind: &str) -> bool {
    kind == "account.password_reset"
}

/// Keeps an event that is not a sale and acts on it; false where it was kept before, `Err(())` where another
/// event has its id.
pub fn keep(
    tx: Tx<'_>,
    cx: &Context<'_>,
    origin: &Origin,
    event: &Event,
    bytes: &[u8],
    content: &[u8; 16],
) -> Result<std::result::Result<bool, ()>> {
    let key = dedup_key("event", &[&origin.source, &event.id]);
    if let Some(before) = tx.read().recall(&key)? {
        return Ok(if before.content == *content { Ok(false) } else { Err(()) });
    }
    let body = match is_secret(&event.kind) {
        true => Body::sealed(cx.key.seal(bytes, cx.random)),
        false => Body::pack(bytes),
    };
    let body = tx.put_body(&body)?;
    let row = NewRawEvent { at: cx.now.wall, source: &origin.till, kind: &event.kind, subject: &event.id, body, state: "done" };
    let seq = tx.put_raw_event(&row)?;
    tx.remember(&key, cx.now.wall, content, "stored")?;
    act(tx, cx, origin, event, seq, body)?;
    Ok(Ok(true))
}

/// Acts on an event that another raw event told; false where it was told before.
pub(super) fn told(tx: Tx<'_>, cx: &Context<'_>, origin: &Origin, event: &Event, seq: i64) -> Result<bool> {
    let key = dedup_key("event", &[&origin.source, &event.id]);
    if tx.read().recall(&key)?.is_some() {
        return Ok(false);
    }
    let document = json!({"type": event.kind, "id": event.id, "time": event.time.rfc3339(), "subject": event.subject, "data": event.data});
    let bytes = document.to_string().into_bytes();
    let body = tx.put_body(&Body::pack(&bytes))?;
    tx.remember(&key, cx.now.wall, &hash16(&bytes), "stored")?;
    act(tx, cx, origin, event, seq, body)?;
    let heard = cx.config.routes.values().any(|route| route.acts_on(&event.kind));
    if event.kind == "contact.erasure_requested" && !heard {
        tx.purge_body(body)?; // it names whom nobody is to know any more
    }
    Ok(true)
}

/// Acts on an event that was kept and not decided.
pub(super) fn decide_kept(tx: Tx<'_>, cx: &Context<'_>, origin: &Origin, raw: &RawEvent, bytes: &[u8]) -> Result<()> {
    let bytes = if is_secret(&raw.kind) { cx.key.open(bytes).unwrap_or_default() } else { bytes.to_vec() };
    let event = serde_json::from_slice(&bytes).ok().and_then(|v: Value| Event::parse(&v).ok());
    let Some(event) = event else {
        return tx.end_raw_event(raw.seq, "quarantined", Some("it is no valid event any more"));
    };
    act(tx, cx, origin, &event, raw.seq, raw.body)?;
    tx.end_raw_event(raw.seq, "done", None)
}

/// What an event changes and which messages it makes.
fn act(tx: Tx<'_>, cx: &Context<'_>, origin: &Origin, event: &Event, seq: i64, body: i64) -> Result<()> {
    match event.kind.split_once('.') {
        Some(("contact", _)) => people::heed_event(tx, cx, origin, event)?,
        Some(("message", _)) => reports::heed_event(tx, cx, event)?,
        _ => {}
    }
    let subject = Subject::of(tx.read(), event)?;
    let about = About {
        receipt: None,
        id: id_of(&origin.source, event),
        body: Some(body),
        at: believable(event.time, cx.now),
        thread: &thread(event),
        test: origin.test,
    };
    let shown = shown(origin, &event.kind, &event.id, event.time, &event.subject, &Value::Object(event.data.clone()));
    let mut made = false;
    for (name, route) in cx.config.routes.iter().filter(|(_, r)| r.acts_on(&event.kind)) {
        made |= follow(tx, cx, origin, name, route, &about, &subject, &shown)?;
    }
    if is_secret(&event.kind) && !made {
        tx.purge_body(body)?; // nobody is told, so nobody needs the token
    }
    if !made && !subject.why.is_empty() {
        tx.end_raw_event(seq, "done", Some(subject.why))?;
    }
    Ok(())
}

/// The shop's rules on a sale, beside the customer's document: rules of its own, and what the staff hear at once.
pub(super) fn of_sale(tx: Tx<'_>, cx: &Context<'_>, origin: &Origin, sale: &Sale, about: &About<'_>, body: i64) -> Result<()> {
    let kind = match intake::kind_of(sale) {
        Kind::Receipt => "sale.completed",
        _ if sale.transaction_type.word() == "void" => "sale.voided",
        _ => "refund.processed",
    };
    let mut own =
        cx.config.routes.iter().filter(|(name, r)| r.acts_on(kind) && !matches!(name.as_str(), "receipts" | "refunds")).peekable();
    let told = told_at_once(cx, sale, kind) && (kind != "sale.completed" || routine::may_tell_sale(tx, cx)?);
    if own.peek().is_none() && !told {
        return Ok(());
    }
    let data: Value = serde_json::from_slice(&tx.read().body(body)?).unwrap_or_default();
    let shown = shown(origin, kind, &sale.transaction_id, sale.at, &sale.transaction_id, &data);
    let event = tx.put_body(&Body::pack(shown.to_string().as_bytes()))?;
    let about = About { body: Some(event), ..*about };
    let subject = Subject { customer: sale.customer.clone(), receipt: None, why: "" };
    for (name, route) in own {
        follow(tx, cx, origin, name, route, &about, &subject, &shown)?;
    }
    if told && let Some((channel, to)) = staff(cx) {
        let body = tx.put_body(&Body::pack(for_staff(sale, kind).to_string().as_bytes()))?;
        let about = About { body: Some(body), ..about };
        let which = Which { slot: "staff", ..Which::default() };
        queue::to_destination(tx, cx, &about, &which, Kind::StaffEvent, Audience::Staff, (channel, &to))?;
    }
    Ok(())
}

/// Whether the staff hear of a sale at once.
fn told_at_once(cx: &Context<'_>, sale: &Sale, kind: &str) -> bool {
    let rules = &cx.config.routing;
    match kind {
        "sale.completed" => rules.per_sale.is_some_and(|over| sale.totals.grand > over),
        _ => rules.refund_alert_over.is_some_and(|over| sale.totals.grand > over),
    }
}

/// What the staff hear of a sale: no word on who bought.
fn for_staff(sale: &Sale, kind: &str) -> Value {
    let made = match kind {
        "sale.voided" => Staff::new(Made::VoidOver),
        "refund.processed" => Staff::new(Made::RefundOver),
        _ => Staff::default(),
    };
    let staff = Staff {
        title: if made.made.is_some() { String::new() } else { format!("{} {}", sale.receipt_number, sale.money(sale.totals.grand)) },
        number: sale.receipt_number.clone(),
        amount: Some(sale.money(sale.totals.grand)),
        object: sale.workstation_id.clone(),
        cashier: sale.operator_id.clone(),
        ..made
    };
    json!({"type": kind, "id": sale.transaction_id, "time": sale.at.rfc3339(), "subject": sale.transaction_id, "data": staff.data()})
}

/// Where the staff hear of things.
pub(super) fn staff(cx: &Context<'_>) -> Option<(crate::domain::channel::Channel, String)> {
    let route = cx.config.routes.get("staff_events").filter(|r| !r.disabled)?;
    cx.config.destination(route.to.as_deref(), false)
}

/// Applies one rule; true where it made a message.
#[allow(clippy::too_many_arguments)] // a rule, an event, and everything around both
fn follow(
    tx: Tx<'_>,
    cx: &Context<'_>,
    origin: &Origin,
    name: &str,
    route: &Route,
    about: &About<'_>,
    subject: &Subject,
    event: &Value,
) -> Result<bool> {
    if let Some(rule) = &route.when {
        match rule.holds(event) {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(error) => {
                tracing::warn!(route = name, error, "a rule could not be applied to an event: it counts as not true");
                return Ok(false);
            }
        }
    }
    let built_in = crate::config::routing::built_in().contains_key(name);
    let which = Which { route: name, slot: if built_in { "" } else { name }, delay: route.delay, ..Which::default() };
    if route.audience() != Audience::Customer {
        let system = route.audience() == Audience::System;
        let Some((channel, to)) = cx.config.destination(route.to.as_deref(), system) else { return Ok(false) };
        return Ok(queue::to_destination(tx, cx, about, &which, route.kind(), route.audience(), (channel, &to))?.is_some());
    }
    let contact = subject.contact(tx.read(), cx)?;
    if route.kind() == Kind::OrderStatus && outdated(tx.read(), cx, about)? {
        return Ok(false);
    }
    let configured = intake::configured(cx.config, about.test);
    let facts = Facts {
        kind: route.kind(),
        at: about.at,
        customer: &subject.customer,
        // A till's wish is about receipts; news of an order was asked for with the order.
        receipts: if route.kind() == Kind::OrderStatus { Receipts::Always } else { origin.receipts },
        contact: contact.as_ref(),
        channels: &route.channels,
        configured: &configured,
        until: None,
        rules: &cx.config.routing,
        shop: &cx.config.shop,
        now: cx.now,
    };
    let decision = decide::decide(&facts, &Known { read: tx.read(), cx })?;
    Ok(queue::message(tx, cx, about, &which, &decision)?.is_some())
}

/// News of an order that is older than what was told already.
fn outdated(read: Snapshot<'_>, cx: &Context<'_>, about: &About<'_>) -> Result<bool> {
    Ok(cx.config.routing.status_latest && read.thread_newest(about.thread)?.is_some_and(|newest| newest > about.at))
}

/// The event as rules and templates see it.
fn shown(origin: &Origin, kind: &str, id: &str, time: UnixMs, subject: &str, data: &Value) -> Value {
    json!({"type": kind, "id": id, "time": time.rfc3339(), "subject": subject, "source": origin.source, "till": origin.till, "data": data})
}

/// An id for a document that is no receipt: the same for the same event, whenever it comes.
fn id_of(source: &str, event: &Event) -> ReceiptId {
    let mut random = [0; 10];
    let hash = hash16(format!("{source}|{}|{}", event.kind, event.id).as_bytes());
    random.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    ReceiptId::new(event.time.0, random)
}

/// What must be told in order: one order, one return.
fn thread(event: &Event) -> String {
    let Some((what @ ("order" | "return"), _)) = event.kind.split_once('.') else { return String::new() };
    let number = || event.data.get(what).and_then(|o| o.get("number")).and_then(Value::as_str).unwrap_or_default();
    let name = if event.subject.is_empty() { number() } else { &event.subject };
    if name.is_empty() { String::new() } else { format!("{what}:{name}") }
}

/// Whom an event concerns.
struct Subject {
    customer: Customer,
    receipt: Option<Receipt>,
    /// Why nobody was found.
    why: &'static str,
}

impl Subject {
    /// The customer that the event names, else the one of the sale that it is about.
    fn of(read: Snapshot<'_>, event: &Event) -> Result<Subject> {
        let named = event.data.get("customer").and_then(Value::as_object).map(customer);
        let receipt = match event.subject.as_str() {
            "" => None,
            subject => receipt_named(read, subject)?,
        };
        let mut customer = named.clone().unwrap_or_default();
        if let Some(receipt) = &receipt {
            let bytes = read.body(receipt.body)?;
            let sold_to = serde_json::from_slice(&bytes).ok().and_then(|v| Sale::parse(&v).ok()).map(|s| s.customer).unwrap_or_default();
            let either = |a: String, b: &str| if a.is_empty() { b.to_owned() } else { a };
            let given = !customer.email.is_empty() || !customer.phone.is_empty();
            customer = Customer {
                id: either(customer.id, &sold_to.id),
                name: either(customer.name, &sold_to.name),
                // An address that the event names is meant alone.
                email: if given { customer.email } else { either(sold_to.email, &receipt.email) },
                phone: if given { customer.phone } else { either(sold_to.phone, &receipt.phone) },
                language: either(customer.language, &sold_to.language),
                preferred_channel: customer.preferred_channel.or(sold_to.preferred_channel),
                marketing_consent: None,
            };
        }
        let nobody = customer.id.is_empty() && customer.email.is_empty() && customer.phone.is_empty();
        Ok(Subject { customer, receipt, why: if nobody { "no_contact" } else { "" } })
    }

    fn contact(&self, read: Snapshot<'_>, cx: &Context<'_>) -> Result<Option<crate::store::people::Contact>> {
        let by_id = if self.customer.id.is_empty() { None } else { read.contact(&self.customer.id)? };
        if by_id.is_some() {
            return Ok(by_id);
        }
        let (email, phone) = people::normal(cx, &self.customer.email, &self.customer.phone);
        match &self.receipt {
            Some(r) if email.is_empty() && phone.is_empty() => read.contact_with(&r.email, &r.phone),
            _ => read.contact_with(&email, &phone),
        }
    }
}

/// The receipt that an event names: by our id, the transaction, the number, or the vendor's id.
pub(super) fn receipt_named(read: Snapshot<'_>, name: &str) -> Result<Option<Receipt>> {
    if let Some(id) = ReceiptId::parse(name)
        && let Some(found) = read.receipt(id)?
    {
        return Ok(Some(found));
    }
    if let Some(found) = read.receipt_of_native(name)? {
        return Ok(Some(found));
    }
    let find = crate::store::receipts::Find { text: name.to_owned(), limit: 2, ..Default::default() };
    let found = read.find_receipts(&find)?;
    // A part of a number or a name is no name of a sale.
    Ok(found.into_iter().find(|r| r.transaction_id == name || r.receipt_number == name))
}

/// Reads `data.customer`.
fn customer(given: &Map<String, Value>) -> Customer {
    let text = |name: &str| given.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    Customer {
        id: text("id"),
        name: text("name"),
        email: text("email"),
        phone: text("phone"),
        language: text("language"),
        preferred_channel: crate::domain::channel::Choice::from_word(&text("preferred_channel")),
        marketing_consent: None,
    }
}
