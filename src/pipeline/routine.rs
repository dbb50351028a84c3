//! What comes with time: the day in figures for the staff, and alerts. Stepped once a minute, and after each
//! thing that may raise an alert.
//!
//! A digest has its business day in its key: no restart and no late reconnect posts it twice. Days that were
//! missed come as one.

use super::Context;
use super::queue::{self, About, Which};
use super::{campaign, events};
use crate::domain::ids::{ReceiptId, hash16};
use crate::domain::message::{Audience, Kind};
use crate::domain::notice;
use crate::domain::time::{UnixMs, for_people};
use crate::store::inbox::Body;
use crate::store::incidents::Incident;
use crate::store::{Result, Tx};
use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::{Value, json};
use std::time::Duration;

/// The business day whose digest was made last.
const DIGESTED: &str = "digested";

/// When that was: what comes later of days before it is news.
const DIGESTED_AT: &str = "digested_at";

/// Since when sales are summed up instead of told one by one.
const SUMMED: &str = "summed";

/// So many posts within this are too many; then one for each [`SUMMARY`].
const MANY: i64 = 20;
const MANY_IN: Duration = Duration::from_secs(600);
const SUMMARY: Duration = Duration::from_secs(900);

/// Everything that is due.
pub fn tick(tx: Tx<'_>, cx: &Context<'_>, online: bool) -> Result<bool> {
    campaign::finish(tx, cx)?;
    if !online {
        return Ok(false); // what piles up meanwhile comes as one
    }
    let told = alerts(tx, cx)?;
    let digested = if cx.now.good { digest_when_due(tx, cx)? } else { false };
    let sold = told_of_sales(tx, cx)?;
    Ok(told || digested || sold)
}

// ---- alerts ----

/// Tells the staff what they have not heard: one message for one incident, one for several that came to an
/// end or piled up while the line was down.
fn alerts(tx: Tx<'_>, cx: &Context<'_>) -> Result<bool> {
    let Some(route) = cx.config.routes.get("alerts").filter(|r| !r.disabled) else { return Ok(false) };
    let untold = tx.read().untold(200)?;
    let Some(first) = untold.first() else { return Ok(false) };
    let Some((channel, to)) = cx.config.destination(route.to.as_deref(), false) else { return Ok(false) };
    let rows = untold.iter().map(incident).collect();
    let key: Vec<String> = untold.iter().map(|i| format!("{}:{}", i.id, u8::from(i.resolved_at.is_some()))).collect();
    let document = document("alert", cx.now.wall, "", &notice::Alert { incidents: rows });
    let about = About {
        receipt: None,
        id: id_of("alert", &key.join(" "), first.raised_at),
        body: put(tx, &document)?,
        at: cx.now.wall,
        thread: "",
        test: false,
    };
    queue::to_destination(tx, cx, &about, &Which { route: "alerts", ..Which::default() }, Kind::Alert, Audience::Staff, (channel, &to))?;
    for i in &untold {
        tx.told(i.id, if i.resolved_at.is_some() { 2 } else { 1 })?;
    }
    Ok(true)
}

fn incident(i: &Incident) -> notice::Incident {
    let state = if i.resolved_at.is_some() { "resolved" } else { "raised" };
    let lasted = i.resolved_at.map(|at| format!("lasted {}", for_people(at.since(i.raised_at))));
    notice::Incident {
        alert: i.alert.clone(),
        object: i.object.clone(),
        state: state.to_owned(),
        since: i.raised_at.rfc3339(),
        text: lasted.unwrap_or_default(),
        n: None,
    }
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

/// The staff wanted to hear of each sale, and there were too many: one summary for each quarter of an hour.
fn told_of_sales(tx: Tx<'_>, cx: &Context<'_>) -> Result<bool> {
    let (Some(since), Some((channel, to))) = (tx.read().fact(SUMMED)?.and_then(|ms| ms.parse().ok()).map(UnixMs), events::staff(cx)) else {
        return Ok(false);
    };
    if cx.now.wall.since(since) < SUMMARY {
        return Ok(false);
    }
    let (n, total) = tx.read().sold_since(since, &cx.config.shop.currency)?;
    if n == 0 {
        tx.drop_fact(SUMMED)?; // it is quiet again: each sale is told
        return Ok(false);
    }
    tx.put_fact(SUMMED, &cx.now.wall.0.to_string())?;
    let zone = TimeZone::get(&cx.config.shop.timezone).unwrap_or(TimeZone::UTC);
    let date = zone.to_datetime(cx.now.wall.instant()).date().to_string();
    let day = notice::Day { date: date.clone(), sales: notice::Tally { n: n.unsigned_abs(), total }, ..notice::Day::default() };
    let figures = notice::Digest { store: cx.config.shop.name.clone(), business_date: date, days: vec![day], version: 1 };
    let body = put(tx, &document("digest", cx.now.wall, "", &figures))?;
    let id = id_of("sales", &since.0.to_string(), cx.now.wall);
    let about = About { receipt: None, id, body, at: cx.now.wall, thread: "", test: false };
    let which = Which { slot: "sales", ..Which::default() };
    Ok(queue::to_destination(tx, cx, &about, &which, Kind::Digest, Audience::Staff, (channel, &to))?.is_some())
}

/// Whether one more sale may be told by itself; where there were too many, summaries begin.
pub(super) fn may_tell_sale(tx: Tx<'_>, cx: &Context<'_>) -> Result<bool> {
    if tx.read().fact(SUMMED)?.is_some() {
        return Ok(false);
    }
    let many = tx.read().staff_events_since(cx.now.wall - MANY_IN)? >= MANY;
    if many {
        tx.put_fact(SUMMED, &cx.now.wall.0.to_string())?;
    }
    Ok(!many)
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
    let told = tx.read().fact(DIGESTED_AT)?.and_then(|ms| ms.parse().ok()).map_or(UnixMs::default(), UnixMs);
    let mut days = Vec::new();
    let mut at = first;
    while at <= day {
        days.extend(figures(tx, cx, at, told)?);
        at = at.checked_add(1.day()).unwrap_or(Date::MAX);
    }
    tx.put_fact(DIGESTED, &day.to_string())?;
    tx.put_fact(DIGESTED_AT, &cx.now.wall.0.to_string())?;
    if days.is_empty() {
        return Ok(false); // nothing was sold and nothing waits: no news
    }
    let counts = tx.read().counts(cx.now.wall)?;
    let open = |states: &[&str]| states.iter().filter_map(|s| counts.get(s)).sum::<i64>().unsigned_abs();
    if let Some(last) = days.last_mut() {
        last.waiting = open(&["ready", "retry", "sending"]);
        last.dead = tx.read().dead_letters()?.unsigned_abs() + open(&["held", "uncertain"]);
    }
    let figures = notice::Digest { store: cx.config.shop.name.clone(), business_date: day.to_string(), days, version: 1 };
    let document = document("digest", cx.now.wall, &day.to_string(), &figures);
    let zone = TimeZone::get(&cx.config.shop.timezone).unwrap_or(TimeZone::UTC);
    let id = id_of("digest", &day.to_string(), begin(&zone, day));
    let about = About { receipt: None, id, body: put(tx, &document)?, at: cx.now.wall, thread: "", test: false };
    let which = Which { route: "digests", slot: "v1", ..Which::default() };
    Ok(queue::to_destination(tx, cx, &about, &which, Kind::Digest, Audience::Staff, (channel, &to))?.is_some())
}

/// The figures of one day; `None` where nothing happened. Sums are of the shop's own currency.
fn figures(tx: Tx<'_>, cx: &Context<'_>, day: Date, told: UnixMs) -> Result<Option<notice::Day>> {
    let zone = TimeZone::get(&cx.config.shop.timezone).unwrap_or(TimeZone::UTC);
    let (from, to) = (begin(&zone, day), begin(&zone, day.checked_add(1.day()).unwrap_or(day)));
    let sums = tx.read().day_sums(from, to)?;
    let channels = tx.read().day_channels(from, to)?;
    let offline = tx.read().offline_minutes(from, to.min(cx.now.wall))?;
    let late = tx.read().came_late(told.max(from - Duration::from_secs(86_400)), from, to.min(cx.now.wall))?;
    if sums.is_empty() && channels.is_empty() && offline == 0 && late.is_empty() {
        return Ok(None);
    }
    let tally = |kinds: &[&str]| {
        let rows = sums.iter().filter(|s| kinds.contains(&s.0.as_str()));
        let total = rows.clone().filter(|s| s.1 == cx.config.shop.currency).map(|s| s.3).sum();
        notice::Tally { n: rows.map(|s| s.2).sum::<i64>().unsigned_abs(), total }
    };
    let mut by_channel = Vec::<notice::ChannelTally>::new();
    for (channel, state, n) in channels {
        if by_channel.last().is_none_or(|c| c.channel != channel) {
            by_channel.push(notice::ChannelTally { channel, ..notice::ChannelTally::default() });
        }
        if let Some(last) = by_channel.last_mut() {
            last.states.insert(state, n.unsigned_abs());
        }
    }
    let correction = |(at, n, total): (UnixMs, i64, i64)| notice::Correction {
        date: zone.to_datetime(at.instant()).date().to_string(),
        sales: notice::Tally { n: n.unsigned_abs(), total },
    };
    Ok(Some(notice::Day {
        date: day.to_string(),
        sales: tally(&["sale", "exchange"]),
        refunds: tally(&["return"]),
        voids: tally(&["void"]).n,
        by_channel,
        offline_minutes: offline.unsigned_abs(),
        corrections: late.into_iter().map(correction).collect(),
        top_errors: tx.read().top_errors(from, to, 5)?.into_iter().map(|(text, n)| (text, n.unsigned_abs())).collect(),
        ..notice::Day::default()
    }))
}

fn begin(zone: &TimeZone, day: Date) -> UnixMs {
    let midnight = day.to_datetime(jiff::civil::Time::midnight());
    zone.to_ambiguous_timestamp(midnight).compatible().map(|t| UnixMs(t.as_millisecond())).unwrap_or_default()
}

/// An event of our own, as it is kept.
fn document(kind: &str, at: UnixMs, subject: &str, data: &impl Serialize) -> Value {
    json!({"type": kind, "time": at.rfc3339(), "subject": subject, "data": serde_json::to_value(data).unwrap_or_default()})
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
