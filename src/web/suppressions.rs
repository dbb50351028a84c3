//! Addresses that must not be written to, over the API: read, added, lifted, many at once.

use super::Shared;
use super::answer::{Answer, Problem, read_json};
use super::auth::Who;
use crate::domain::channel::Channel;
use crate::domain::fault::Fault;
use crate::observe::shown;
use crate::pipeline::suppressions::{self, Entry, Lifted, Written};
use crate::store::people::{FindSuppressions, Suppression};
use axum::Json;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

/// Rows of one import; a longer list comes in several.
pub const ROWS: usize = 1_000;

/// `?channel=&reason=&q=&limit=&cursor=`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ListQuery {
    channel: String,
    reason: String,
    q: String,
    limit: Option<u32>,
    cursor: String,
}

/// `GET /v1/suppressions`
pub async fn list(State(web): State<Shared>, who: Answer<Who>, Query(query): Query<ListQuery>) -> Answer<Json<Value>> {
    who?.manages()?;
    let bad = |name: &str| Problem::new(StatusCode::BAD_REQUEST, "query", format!("`{name}` cannot be read"));
    let channel = (!query.channel.is_empty()).then(|| Channel::from_word(&query.channel).ok_or_else(|| bad("channel"))).transpose()?;
    let after = (!query.cursor.is_empty()).then(|| shown::after(&query.cursor).ok_or_else(|| bad("cursor"))).transpose()?;
    let find = FindSuppressions { channel, reason: query.reason, text: query.q, after, limit: query.limit.unwrap_or(100).clamp(1, 1_000) };
    Ok(Json(web.readers.read(move |read| shown::suppressions(read, &find)).await?))
}

/// One entry of a body.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Row {
    channel: String,
    address: String,
    reason: String,
    at: String,
}

impl Row {
    fn written(&self) -> Written<'_> {
        Written { channel: &self.channel, address: &self.address, reason: &self.reason, at: &self.at }
    }
}

async fn body<T: for<'a> Deserialize<'a>>(web: &Shared, headers: &HeaderMap, body: Body) -> Answer<T> {
    let bytes = read_json(headers, body, web.config().http.body_limit).await?;
    serde_json::from_slice(&bytes).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "a member has the wrong type"),
        _ => Problem::new(StatusCode::BAD_REQUEST, "not_json", "the body is not JSON"),
    })
}

fn read(web: &Shared, row: &Row) -> Result<Entry, Vec<Fault>> {
    let rules = web.pipeline();
    suppressions::read(&rules.at(web.clock.now()), &row.written())
}

fn wrong(faults: Vec<Fault>) -> Problem {
    Problem::invalid(StatusCode::UNPROCESSABLE_ENTITY, "invalid", faults)
}

/// `POST /v1/suppressions`: 201 where it is new, 200 where a reason as strong stood there already.
pub async fn add(State(web): State<Shared>, who: Answer<Who>, headers: HeaderMap, sent: Body) -> Answer<(StatusCode, Json<Value>)> {
    let who = who?;
    who.manages()?;
    let row: Row = body(&web, &headers, sent).await?;
    let (entry, now) = (read(&web, &row).map_err(wrong)?, web.clock.now().wall);
    let actor = who.actor();
    let (added, stands) = web
        .writer
        .run(move |tx| Ok((suppressions::add(tx, &entry, &actor, now)?, tx.read().suppression(entry.channel, &entry.address)?)))
        .await?;
    let status = if added { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(shown::suppression(&stands.unwrap_or_else(nothing)))))
}

fn nothing() -> Suppression {
    Suppression { channel: String::new(), address: String::new(), reason: String::new(), at: Default::default(), origin: String::new() }
}

/// `DELETE /v1/suppressions`
pub async fn lift(State(web): State<Shared>, who: Answer<Who>, headers: HeaderMap, sent: Body) -> Answer<Json<Value>> {
    let who = who?;
    who.manages()?;
    let row: Row = body(&web, &headers, sent).await?;
    let (entry, now) = (read(&web, &row).map_err(wrong)?, web.clock.now().wall);
    let (channel, address, actor) = (entry.channel, entry.address.clone(), who.actor());
    match web.writer.run(move |tx| suppressions::lift(tx, channel, &address, &actor, now)).await? {
        Lifted::Done(reason) => {
            Ok(Json(json!({"schema": "tillpost.suppression/1", "channel": channel.word(), "address": entry.address, "lifted": reason})))
        }
        Lifted::NotThere => Err(Problem::not_found("address on the list")),
        Lifted::Refused(why) => Err(Problem::new(StatusCode::CONFLICT, "not_yours_to_lift", why)),
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Import {
    rows: Vec<Row>,
    apply: bool,
}

/// `POST /v1/suppressions/import`: up to [`ROWS`] rows; without `apply` nothing is written. Lifts nothing.
pub async fn import(State(web): State<Shared>, who: Answer<Who>, headers: HeaderMap, sent: Body) -> Answer<Json<Value>> {
    let who = who?;
    who.manages()?;
    let Import { rows, apply } = body(&web, &headers, sent).await?;
    if rows.len() > ROWS {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "length", format!("send at most {ROWS} rows at once")));
    }
    let (mut good, mut faults) = (Vec::new(), Vec::new());
    for (n, row) in rows.iter().enumerate() {
        match read(&web, row) {
            Ok(entry) => good.push(entry),
            Err(wrong) => faults.extend(wrong.into_iter().map(|f| Fault { pointer: format!("/rows/{n}{}", f.pointer), ..f })),
        }
    }
    let (actor, now) = (format!("{} (import)", who.actor()), web.clock.now().wall);
    let (added, kept) = if apply {
        let count = good.len();
        let added = web.writer.run(move |tx| put(tx, &good, &actor, now)).await?;
        (added, count - added)
    } else {
        web.readers
            .read(move |read| {
                let mut added = 0;
                for entry in &good {
                    let stands = read.suppressed(entry.channel, &entry.address)?;
                    let weaker = |word: &str| {
                        crate::domain::outcome::Suppress::from_word(word).is_some_and(|s| s.strength() < entry.reason.strength())
                    };
                    added += usize::from(stands.is_none_or(|word| weaker(&word)));
                }
                Ok((added, good.len() - added))
            })
            .await?
    };
    Ok(Json(json!({"schema": "tillpost.suppression-import/1", "applied": apply, "added": added, "kept": kept, "faults": faults})))
}

fn put(tx: crate::store::Tx<'_>, good: &[Entry], actor: &str, now: crate::domain::time::UnixMs) -> crate::store::Result<usize> {
    let mut added = 0;
    for entry in good {
        added += usize::from(suppressions::add(tx, entry, actor, now)?);
    }
    Ok(added)
}
