//! `POST /v1/sales` and `POST /v1/events`: what tills say. Answered only after the commit.

use super::answer::{Answer, Problem, read_as};
use super::auth::Who;
use super::{Shared, Web, hooks};
use crate::config::Config;
use crate::config::checked::{Settings, Source};
use crate::domain::fault::Fault;
use crate::domain::ids::ReceiptId;
use crate::observe::metrics::Counters;
use crate::observe::shown;
use crate::pipeline::events;
use crate::pipeline::intake::{self, Kept, Origin, Posted};
use crate::sources::lan::{self, Refusal};
use crate::sources::{Setup, arts, canonical, mask};
use crate::store::StoreError;
use crate::store::inbox::Body as Packed;
use crate::sys::random;
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

/// Bodies above this are read on the heavy thread.
const LARGE: usize = 64 << 10;

/// `?dry_run=1`
#[derive(Debug, Default, Deserialize)]
pub struct Options {
    #[serde(default)]
    dry_run: Option<String>,
}

/// `POST /v1/sales`
pub async fn post_sale(
    State(web): State<Shared>,
    who: Answer<Who>,
    Query(options): Query<Options>,
    headers: HeaderMap,
    body: Body,
) -> Answer<Response> {
    let large = body_size(&headers) > LARGE;
    let (origin, bytes) = posted_by(&web, who, &headers, body, &["application/json", "application/xml", "text/xml"]).await?;
    let idempotency_key = idempotency_key(&headers)?;
    let now = web.clock.now();
    let receipt_id = ReceiptId::new(now.wall.0, random::bytes(web.random.as_ref()));
    let (config, till, shared) = (web.config(), origin.till.clone(), web.clone());
    let read = move || {
        let (masked, hits) = mask::mask(&bytes, false);
        count_masked(&shared, hits);
        let xml = if is_xml(&headers) { Some(one_of_xml(&config, &till, &masked)?) } else { None };
        let json = xml.as_deref().unwrap_or(&masked);
        let strict = config.sources.get(&till).is_some_and(|source| source.strict);
        let read = if strict { lan::sale_strictly(json)? } else { lan::sale(json)? };
        let document = xml.as_deref().map(Packed::pack);
        Ok(Posted {
            body: Packed::pack(&masked),
            document,
            sale: read.value,
            content: read.content,
            receipt_id,
            idempotency_key,
            event_id: None,
        })
    };
    let posted = match large {
        true => web
            .heavy
            .run(read)
            .await
            .ok_or_else(|| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the sale could not be read"))?,
        false => read(),
    };
    let posted = posted.map_err(|refusal| {
        Counters::count(&web.counters.refused);
        refused(refusal)
    })?;
    if options.dry_run.is_some_and(|v| v != "0") {
        return dry_run(&web, origin, posted).await;
    }
    let kept = keep(&web, origin, posted).await.inspect_err(|_| Counters::count(&web.counters.unavailable))?;
    answer(&web, kept)
}

/// Who posts, by a key or by a signature over the bytes, and the bytes.
async fn posted_by(web: &Shared, who: Answer<Who>, headers: &HeaderMap, body: Body, types: &[&str]) -> Answer<(Origin, Vec<u8>)> {
    let (limit, mono) = (web.config().http.body_limit, web.clock.now().mono);
    let signed = headers.contains_key("webhook-signature") && !headers.contains_key(header::AUTHORIZATION);
    if signed {
        let bytes = read_as(types, headers, body, limit).await?;
        let origin = hooks::signer(web, headers, &bytes)?;
        return web.keys().take(&origin.till, mono).map(|()| (origin, bytes));
    }
    let origin = who?.till()?;
    web.keys().take(&origin.till, mono)?;
    Ok((origin, read_as(types, headers, body, limit).await?))
}

fn count_masked(web: &Web, hits: mask::Hits) {
    if !hits.is_empty() {
        web.counters.masked.fetch_add(u64::from(hits.sum()), Ordering::Relaxed);
    }
}

fn is_xml(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().ends_with("/xml")
}

/// The one sale that an ARTS document holds, as canonical JSON.
fn one_of_xml(config: &Config, till: &str, bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
    let bare = Source { kind: "lan".into(), sends_receipt_itself: false, strict: false, settings: Settings::default() };
    let source = config.sources.get(till).unwrap_or(&bare);
    let setup = Setup { name: till, source, shop: &config.shop, rules: "" };
    let all = arts::transactions(bytes, &setup).map_err(Refusal::Invalid)?;
    let say = |code, text: &str| Refusal::Invalid(vec![Fault::new("", code, text)]);
    match all.as_slice() {
        [Some(sale)] => Ok(canonical::prune(sale.clone()).to_string().into_bytes()),
        [None] => Err(say("no_receipt", "the transaction is voided or suspended: it has no receipt")),
        _ => Err(say("one_transaction", "send one transaction at a time; several go to /hooks/SOURCE of a lan source")),
    }
}

/// Keeps and decides in one transaction; where deciding fails, the raw event alone is kept.
async fn keep(web: &Shared, origin: Origin, posted: Posted) -> Result<(Kept, String), StoreError> {
    let (rules, now) = (web.pipeline(), web.clock.now());
    let again = rules.clone();
    let transaction = posted.sale.transaction_id.clone();
    let shared = std::sync::Arc::new((origin, posted));
    let (first, second) = (shared.clone(), shared);
    let kept = match web.writer.run(move |tx| intake::keep_sale(tx, &rules.at(now), &first.0, &first.1)).await {
        Err(StoreError::Sql(why)) => {
            tracing::error!(why, "deciding failed; the sale is kept and decided again");
            web.writer.run(move |tx| intake::keep_undecided(tx, &again.at(now), &second.0, &second.1)).await?
        }
        other => other?,
    };
    Ok((kept, transaction))
}

fn answer(web: &Shared, (kept, transaction): (Kept, String)) -> Answer<Response> {
    let c = &web.counters;
    let stored = |id: ReceiptId, status: &str| {
        let links = json!({"self": format!("/v1/receipts/{id}.json"), "html": format!("/v1/receipts/{id}.html"), "timeline": format!("/v1/receipts/{id}/timeline"), "page": format!("/r/{id}")});
        Json(json!({"receipt_id": id.to_string(), "transaction_id": transaction, "status": status, "links": links})).into_response()
    };
    match kept {
        Kept::Stored(id) => {
            Counters::count(&c.stored);
            web.dispatch.wake();
            web.dispatch.tell(crate::dispatch::Note::Receipt(id));
            Ok(stored(id, "stored"))
        }
        Kept::Duplicate(id) => {
            Counters::count(&c.duplicate);
            Ok(stored(id, "duplicate"))
        }
        Kept::Conflict { receipt_id, till, at } => {
            Counters::count(&c.conflict);
            let first = receipt_id.map(|id| id.to_string()).unwrap_or_default();
            let say = format!("another sale has this transaction_id: receipt {first}, posted by till {till} at {at}");
            let fault = Fault::new("/transaction_id", "transaction_id_taken", say.clone()).given(&transaction);
            Err(Problem { errors: vec![fault], ..Problem::new(StatusCode::CONFLICT, "transaction_id_taken", say) })
        }
        Kept::KeyReused => {
            Counters::count(&c.conflict);
            Err(Problem::new(StatusCode::CONFLICT, "idempotency_key_reused", "this Idempotency-Key was used for another content"))
        }
    }
}

async fn dry_run(web: &Shared, origin: Origin, posted: Posted) -> Answer<Response> {
    let (rules, now, composer) = (web.pipeline(), web.clock.now(), web.composer());
    let said = web
        .readers
        .read(move |read| {
            let known = read.receipt_of(&posted.sale.unit.unit_id, &posted.sale.transaction_id)?;
            let status = known.map_or("would be stored", |first| if first.content == posted.content { "duplicate" } else { "conflict" });
            let decision = intake::preview(read, &rules.at(now), &origin, &posted.sale)?;
            let document = crate::compose::Document::new(&posted.sale, &rules.config.shop, &rules.config.brand);
            let subject = composer.subject(&document).unwrap_or_default();
            Ok(json!({"dry_run": true, "transaction_id": posted.sale.transaction_id, "status": status, "kind": decision.kind.word(), "fresh": decision.fresh,
                "no_message": decision.no_message, "channels": decision.considered, "subject": subject}))
        })
        .await?;
    Ok(Json(said).into_response())
}

/// `POST /v1/events`
pub async fn post_event(State(web): State<Shared>, who: Answer<Who>, headers: HeaderMap, body: Body) -> Answer<Json<Value>> {
    if web.no_room.load(Ordering::Relaxed) {
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "disk_full", "the disk is almost full: only sales are taken");
        return Err(Problem { retry_after: Some(60), ..problem });
    }
    let (origin, bytes) = posted_by(&web, who, &headers, body, &["application/json"]).await?;
    let (masked, hits) = mask::mask(&bytes, false);
    count_masked(&web, hits);
    let read = lan::event(&masked).map_err(refused)?;
    let bytes = masked.into_owned();
    let (rules, now, id) = (web.pipeline(), web.clock.now(), read.value.id.clone());
    let kept = web.writer.run(move |tx| events::keep(tx, &rules.at(now), &origin, &read.value, &bytes, &read.content)).await?;
    match kept {
        Ok(new) => Ok(Json(json!({"id": id, "status": if new { "stored" } else { "duplicate" }}))),
        Err(()) => Err(Problem::new(StatusCode::CONFLICT, "event_id_taken", "another event has this id")),
    }
}

/// `GET /v1/events/log`: raw events, newest first, for the owner.
pub async fn event_log(State(web): State<Shared>, who: Answer<Who>) -> Answer<Json<Value>> {
    who?.manages()?;
    Ok(Json(web.readers.read(|read| shown::events(read, 100)).await?))
}

/// `GET /v1/events/log/{seq}`: one raw event with its bytes as text, for the owner.
pub async fn raw_event(State(web): State<Shared>, who: Answer<Who>, Path(seq): Path<i64>) -> Answer<Json<Value>> {
    who?.manages()?;
    let found = web.readers.read(move |read| shown::event(read, seq)).await?;
    found.map(Json).ok_or_else(|| Problem::not_found("event"))
}

/// `POST /v1/events/log/{seq}/replay`: an event that is not decided yet, or could not be, is decided now. For
/// any other it is said what would be decided now; nothing happens twice.
pub async fn replay(State(web): State<Shared>, who: Answer<Who>, Path(seq): Path<i64>) -> Answer<Json<Value>> {
    who?.manages()?;
    let (rules, now) = (web.pipeline(), web.clock.now());
    if hooks::again(&web, seq).await? {
        let after = web.readers.read(move |read| read.raw_event(seq)).await?;
        return Ok(Json(json!({"seq": seq, "dry": false, "state": after.map(|e| e.state)})));
    }
    let said = web
        .writer
        .run(move |tx| {
            let Some(event) = tx.read().raw_event(seq)? else { return Ok(None) };
            if matches!(event.state.as_str(), "new" | "quarantined") {
                intake::decide_kept(tx, &rules.at(now), &event)?;
                let after = tx.read().raw_event(seq)?.map(|e| e.state).unwrap_or_default();
                return Ok(Some(json!({"seq": seq, "dry": false, "state": after})));
            }
            let Ok(read) = lan::sale(&tx.read().body(event.body)?) else { return Ok(Some(json!({"seq": seq, "dry": true, "state": event.state}))) };
            let decision = intake::preview(tx.read(), &rules.at(now), &intake::origin_of(&rules.config, &event.source), &read.value)?;
            Ok(Some(json!({"seq": seq, "dry": true, "state": event.state, "kind": decision.kind.word(), "no_message": decision.no_message, "channels": decision.considered})))
        })
        .await?;
    web.dispatch.wake();
    said.map(Json).ok_or_else(|| Problem::not_found("event"))
}

/// `GET /schema/sale.json`
pub async fn schema(who: Answer<Who>) -> Answer<Response> {
    who?.looks()?;
    Ok(([(header::CONTENT_TYPE, "application/schema+json")], include_str!("../../config/schema/sale.json")).into_response())
}

/// `GET /schema/event.json`
pub async fn event_schema(who: Answer<Who>) -> Answer<Response> {
    who?.looks()?;
    Ok(([(header::CONTENT_TYPE, "application/schema+json")], include_str!("../../config/schema/event.json")).into_response())
}

fn refused(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::NotJson(fault) => Problem::invalid(StatusCode::BAD_REQUEST, fault.code, vec![fault.clone()]),
        Refusal::Invalid(faults) => Problem::invalid(StatusCode::UNPROCESSABLE_ENTITY, "invalid", faults),
    }
}

fn idempotency_key(headers: &HeaderMap) -> Answer<Option<String>> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    match value.to_str() {
        Ok(key) if (1..=255).contains(&key.len()) => Ok(Some(key.to_owned())),
        _ => Err(Problem::new(StatusCode::BAD_REQUEST, "idempotency_key", "an Idempotency-Key has 1 to 255 printable characters")),
    }
}

fn body_size(headers: &HeaderMap) -> usize {
    headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok()).unwrap_or(LARGE + 1)
}
