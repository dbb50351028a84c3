//! What comes with time: the day in figures for the staff, and alerts. Stepped once a minute, and after each
//! thing that may raise an alert.
//!
//! A digest has its business day in its key: no restart and no late reconnect posts it twice. Days that were
//! missed come as one.

use super::Context;
use super::queue::{self, About, Which};
use super::campaign;
use crate::domain::ids::{ReceiptId, hash16};
use crate::domain::message::{Audience, Kind};
use crate::domain::money::Currency;
use crate::domain::time::UnixMs;
use crate::store::inbox::Body;
use crate::store::incidents::Incident;
use crate::store::{Result, Tx};
use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

/// The business day whose digest was made last.
const DIGESTED: &str = "digested";

/// Kinds of incident that speak of the line: who is told of them cannot be told before it is back.
pub const OFFLINE: &str = "offline";

/// Everything that is due.
pub fn tick(tx: Tx<'_>, cx: &Context<'_>, online: bool) -> Result<bool> {
    campaign::finish(tx, cx)?;
    let told = if online { alerts(tx, cx)? } else { false };
    let digested = if cx.now.good { digest_when_due(tx, cx)? } else { false };
    Ok(told || digested)
}

// ---- alerts ----

/// Tells the staff what they have not heard: one message for one incident, one for several that came to an
/// end or piled up while the line was down.
fn alerts(tx: Tx<'_>, cx: &Context<'_>) -> Result<bool> {
    let Some(route) = cx.config.routes.get("alerts").filter(|r| !r.disabled) else { return Ok(false) };
    let untold = tx.read().untold(200)?;
    let Some(first) = untold.first() else { return Ok(false) };
    let Some((channel, to)) = cx.config.destination(route.to.as_deref(), false) else { return Ok(false) };
    let rows: Vec<Value> = untold.iter().map(|i| incident(i, cx.now.wall)).collect();
    let key: Vec<String> = untold.iter().map(|i| format!("{}:{}", i.id, u8::from(i.resolved_at.is_some()))).collect();
    let document = json!({"type": "alert", "time": cx.now.wall.rfc3339(), "data": {"incidents": rows}});
    let about = About { receipt: None, id: id_of("alert", &key.join(" "), first.raised_at), body: put(tx, &document)?, at: cx.now.wall, thread: "", test: false };
    queue::to_destination(tx, cx, &about, &Which { route: "alerts", ..Which::default() }, Kind::Alert, Audience::Staff, (channel, &to))?;
    for i in &untold {
        tx.told(i.id, if i.resolved_at.is_some() { 2 } else { 1 })?;
    }
    Ok(true)
}

fn incident(i: &Incident, now: UnixMs) -> Value {
    let state = if i.resolved_at.is_some() { "resolved" } else { "raised" };
    let lasted = i.resolved_at.unwrap_or(now).since(i.raised_at).as_secs();
    json!({"alert": i.alert, "object": i.object, "state": state, "since": i.raised_at.rfc3339(), "until": i.resolved_at.map(UnixMs::rfc3339), "seconds": lasted})
}

// ---- the day in figures ----

/// Makes the digest of each business day that is over and has none; several at once come as one.
fn digest_when_due(tx: Tx<'_>, cx: &Context<'_>) -> Result<bool> {
    let Ok(zone) = TimeZone::get(&cx.config.shop.timezone) else { return Ok(false) };
    let local = zone.to_datetime(cx.now.wall.instant());
    let minute = u16::try_from(local.hour()).unwrap_or(0) * 60 + u16::try_from(local.minute()).unwrap_or(0);
    let today = local.date();
    let last = if minute >= cx.config.routing.digest_at { today } else { today.checked_sub(1.day()).unwrap_or(today) };
    digest(tx, cx, last)
}

/// Makes the digest of a business day, and of the days before it that were missed. False where it was made.
pub fn digest(tx: Tx<'_>, cx: &Context<'_>, day: Date) -> Result<bool> {
    let Some(route) = cx.config.routes.get("digests").filter(|r| !r.disabled) else { return Ok(false) };
    let Some((channel, to)) = cx.config.destination(route.to.as_deref(), false) else { return Ok(false) };
    let before: Option<Date> = tx.read().fact(DIGESTED)?.and_then(|d| d.parse().ok());
    let Some(before) = before else {
        // The first day of a shop is not over yet: its digest is the first.
        tx.put_fact(DIGESTED, &day.checked_sub(1.day()).unwrap_or(day).to_string())?;
        return if tx.read().newest_time()?.is_some() { digest(tx, cx, day) } else { Ok(false) };
    };
    if day <= before {
        return Ok(false);
    }
    let first = before.checked_add(1.day()).unwrap_or(day).max(day.checked_sub(13.days()).unwrap_or(day));
    let mut days = Vec::new();
    let mut at = first;
    while at <= day {
        days.extend(figures(tx, cx, at)?);
        at = at.checked_add(1.day()).unwrap_or(Date::MAX);
    }
    tx.put_fact(DIGESTED, &day.to_string())?;
    if days.is_empty() {
        return Ok(false); // nothing was sold and nothing waits: no news
    }
    let counts = tx.read().counts(cx.now.wall)?;
    let waiting = ["ready", "retry", "sending"].iter().filter_map(|s| counts.get(s)).sum::<i64>();
    let document = json!({"type": "digest", "time": cx.now.wall.rfc3339(), "subject": day.to_string(), "data": {
        "store": cx.config.shop.name, "business_date": day.to_string(), "days": days, "version": 1,
        "waiting": waiting, "held": counts.get("held").copied().unwrap_or(0), "uncertain": counts.get("uncertain").copied().unwrap_or(0),
        "dead": counts.get("dead").copied().unwrap_or(0)}});
    let zone = TimeZone::get(&cx.config.shop.timezone).unwrap_or(TimeZone::UTC);
    let id = id_of("digest", &day.to_string(), begin(&zone, day));
    let about = About { receipt: None, id, body: put(tx, &document)?, at: cx.now.wall, thread: "", test: false };
    let which = Which { route: "digests", slot: "v1", ..Which::default() };
    Ok(queue::to_destination(tx, cx, &about, &which, Kind::Digest, Audience::Staff, (channel, &to))?.is_some())
}

/// The figures of one day; `None` where nothing happened.
fn figures(tx: Tx<'_>, cx: &Context<'_>, day: Date) -> Result<Option<Value>> {
    let zone = TimeZone::get(&cx.config.shop.timezone).unwrap_or(TimeZone::UTC);
    let (from, to) = (begin(&zone, day), begin(&zone, day.checked_add(1.day()).unwrap_or(day)));
    let sums = tx.read().day_sums(from, to)?;
    let late: Vec<Value> = tx.read().came_late(from, to)?.into_iter().map(|(date, n)| json!({"date": local_day(&zone, date), "n": n})).collect();
    let channels = tx.read().day_channels(from, to)?;
    let offline = tx.read().offline_minutes(from, to.min(cx.now.wall))?;
    if sums.is_empty() && channels.is_empty() && offline == 0 {
        return Ok(None);
    }
    let of = |kind: &str| {
        let rows = sums.iter().filter(|s| s.0 == kind);
        let n: i64 = rows.clone().map(|s| s.2).sum();
        let totals: Vec<Value> = rows.map(|s| money(&s.1, s.3)).collect();
        json!({"n": n, "totals": totals})
    };
    let mut by_channel = serde_json::Map::new();
    for (channel, state, n) in channels {
        by_channel.entry(channel).or_insert_with(|| json!({})).as_object_mut().map(|row| row.insert(state, n.into()));
    }
    let errors: Vec<Value> = tx.read().top_errors(from, to, 5)?.into_iter().map(|(text, n)| json!([text, n])).collect();
    Ok(Some(json!({"date": day.to_string(), "sales": of("sale"), "exchanges": of("exchange"), "refunds": of("return"), "voids": of("void"),
        "by_channel": by_channel, "offline_minutes": offline, "corrections": late, "top_errors": errors})))
}

fn money(currency: &str, minor: i64) -> Value {
    let amount = Currency::parse(currency).map(|currency| crate::domain::money::Money { minor, currency }.decimal());
    json!({"currency": currency, "amount": amount.unwrap_or_else(|| minor.to_string())})
}

fn begin(zone: &TimeZone, day: Date) -> UnixMs {
    let midnight = day.to_datetime(jiff::civil::Time::midnight());
    zone.to_ambiguous_timestamp(midnight).compatible().map(|t| UnixMs(t.as_millisecond())).unwrap_or_default()
}

fn local_day(zone: &TimeZone, at: UnixMs) -> String {
    zone.to_datetime(at.instant()).date().to_string()
}

fn put(tx: Tx<'_>, document: &Value) -> Result<Option<i64>> {
    tx.put_body(&Body::pack(document.to_string().as_bytes())).map(Some)
}

/// An id for a document of our own: the same for the same thing, whenever it is made.
fn id_of(what: &str, key: &str, at: UnixMs) -> ReceiptId {
    let mut random = [0; 10];
    random.iter_mut().zip(hash16(format!("{what}|{key}").as_bytes())).for_each(|(to, from)| *to = from);
    ReceiptId::new(at.0, random)
}
