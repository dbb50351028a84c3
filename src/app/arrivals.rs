//! The work behind the ways in: what was kept is decoded and taken, soon after its answer, and again whenever
//! more of it is known.

use super::{access, folders, lookups, pull};
use crate::http;
use crate::pipeline::inbound::{self, Waits};
use crate::pipeline::intake;
use crate::sources::ways::Way;
use crate::sources::{Answered, Answers, Decoded, Raw, Via};
use crate::store::inbox::RawEvent;
use crate::store::lookups::{FILE, PULL};
use crate::store::{Result, StoreError, Tx};
use crate::sys::supervisor::{Restart, Stop};
use crate::web::Web;
use std::sync::Arc;
use std::time::Duration;

/// Raw events that are looked at in one go.
const MOST: u32 = 50;

/// The pause while the store takes nothing.
const TROUBLE: Duration = Duration::from_secs(5);

/// The longest sleep without a wake-up.
const NAP: Duration = Duration::from_secs(60);

/// Starts everything that the config's sources need.
pub fn start(web: &Arc<Web>, http: &Arc<http::Client>) {
    if web.config().sources.is_empty() {
        return;
    }
    let shared = web.clone();
    web.supervisor.spawn("decode", Restart::OnFailure, move |stop| decode(shared.clone(), stop));
    folders::start(web);
    for way in web.ways().all().filter(|way| way.kind.api.is_some()) {
        let access = Arc::new(access::Access::new(way.clone(), web.clone(), http.clone()));
        let asking = access.clone();
        web.supervisor.spawn("look-ups", Restart::OnFailure, move |stop| lookups::serve(asking.clone(), stop));
        web.supervisor.spawn("pull", Restart::OnFailure, move |stop| pull::serve(access.clone(), stop));
    }
}

async fn decode(web: Arc<Web>, mut stop: Stop) -> std::result::Result<(), String> {
    loop {
        let now = web.clock.now().wall;
        let due = web.readers.read(move |read| read.arrivals_due(now, MOST)).await.map_err(|e| e.to_string())?;
        for seq in &due {
            if stop.is_asked() {
                return Ok(());
            }
            let (seq, now) = (*seq, web.clock.now().wall);
            let failed = match one(&web, seq).await {
                Err(StoreError::Sql(why)) => {
                    tracing::error!(seq, why, "an event could not be decided: it is tried again");
                    web.writer.run(move |tx| tx.arrival_failed(seq, now)).await
                }
                done => done,
            };
            if let Err(error) = failed {
                tracing::warn!(%error, "nothing can be decided now");
                tokio::select! { () = tokio::time::sleep(TROUBLE) => {}, () = stop.asked() => return Ok(()) }
            }
        }
        if !due.is_empty() {
            continue;
        }
        let next = web.readers.read(|read| read.next_arrival()).await.map_err(|e| e.to_string())?;
        let pause = next.map_or(NAP, |at| at.since(now).clamp(Duration::from_millis(20), NAP));
        tokio::select! {
            () = web.inbound.decode.notified() => {}
            () = tokio::time::sleep(pause) => {}
            () = stop.asked() => return Ok(()),
        }
    }
}

/// A raw event with all that its decoding needs.
struct Whole {
    event: RawEvent,
    bytes: Vec<u8>,
    headers: String,
    answers: Answers,
}

/// Decodes one raw event and takes what it means. Only what the store itself cannot do is an error.
async fn one(web: &Web, seq: i64) -> Result<()> {
    let whole = web
        .readers
        .read(move |read| {
            let Some(event) = read.raw_event(seq)? else { return Ok(None) };
            let answers = read.answers(seq)?.into_iter().map(|(key, body)| (key, body.map_or(Answered::Absent, Answered::Found)));
            let answers: Answers = answers.collect();
            Ok(Some(Whole { bytes: read.body(event.body)?, headers: read.arrival_headers(seq)?, answers, event }))
        })
        .await?;
    let now = web.clock.now();
    let Some(whole) = whole else { return web.writer.run(move |tx| tx.arrival_due(seq, None)).await };
    let Some(way) = web.ways().get(&whole.event.source).cloned() else {
        return web.writer.run(move |tx| set_aside(tx, seq, "its source is not in the config")).await;
    };
    let (event, answers) = (whole.event.clone(), whole.answers.len());
    let of = way.clone();
    let Some(decoded) = web.heavy.run(move || read(&of, &whole)).await else {
        tracing::error!(seq, "an event could not be decoded: it is set aside");
        return web.writer.run(move |tx| set_aside(tx, seq, "its decoding failed")).await;
    };
    let rules = web.pipeline();
    let source = event.source.clone();
    web.writer
        .run(move |tx| {
            let origin = intake::origin_of(&rules.config, &event.source);
            let waits = Waits { enrich: way.setup().duration("enrich_wait") };
            inbound::apply(tx, &rules.at(now), &origin, &waits, &event, answers, &decoded)
        })
        .await?;
    if let Some(doing) = web.inbound.of(&source) {
        doing.ask.notify_one();
    }
    web.dispatch.wake();
    Ok(())
}

fn set_aside(tx: Tx<'_>, seq: i64, why: &str) -> Result<()> {
    tx.end_raw_event(seq, "quarantined", Some(why))?;
    tx.arrival_due(seq, None)
}

fn read(way: &Way, whole: &Whole) -> Decoded {
    let headers: Vec<(String, String)> = serde_json::from_str(&whole.headers).unwrap_or_default();
    let via = match whole.event.kind.as_str() {
        PULL => Via::Pull,
        FILE => Via::File,
        _ => Via::Hook,
    };
    let raw = Raw { via, headers: &headers, body: &whole.bytes, at: whole.event.at };
    (way.kind.decode)(&way.setup(), &raw, &whole.answers)
}
