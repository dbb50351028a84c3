//! The outbox over the API: deliveries and dead letters, and what a person may do with them.

use super::answer::{Answer, Problem};
use super::auth::Who;
use super::{Shared, Web};
use crate::domain::channel::Channel;
use crate::domain::delivery::State as Is;
use crate::domain::ids::ReceiptId;
use crate::domain::message::Kind;
use crate::domain::time::UnixMs;
use crate::observe::shown;
use crate::store::outbox::{Delivery, Filter};
use crate::store::{StoreError, Tx};
use crate::sys::clock::Now;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// `?state=&channel=&provider=&older_than_s=&limit=&cursor=`
#[derive(Debug, Default, Deserialize)]
pub struct ListQuery {
    state: Option<String>,
    channel: Option<String>,
    provider: Option<String>,
    older_than_s: Option<u64>,
    limit: Option<u32>,
    cursor: Option<i64>,
}

/// `GET /v1/outbox`
pub async fn list(State(web): State<Shared>, who: Answer<Who>, Query(query): Query<ListQuery>) -> Answer<Json<Value>> {
    who?.manages()?;
    let filter = filter(&query, web.clock.now().wall)?;
    Ok(Json(web.readers.read(move |read| shown::outbox(read, &filter)).await?))
}

fn filter(query: &ListQuery, now: UnixMs) -> Answer<Filter> {
    let unknown = |name: &str| Problem::new(StatusCode::BAD_REQUEST, "query", format!("`{name}` is none of the known words"));
    let given = |text: &Option<String>| text.clone().filter(|t| !t.is_empty());
    Ok(Filter {
        state: given(&query.state).map(|w| Is::from_word(&w).ok_or_else(|| unknown("state"))).transpose()?,
        channel: given(&query.channel).map(|w| Channel::from_word(&w).ok_or_else(|| unknown("channel"))).transpose()?,
        provider: given(&query.provider),
        older_than: query.older_than_s.map(|s| now - Duration::from_secs(s)),
        before: query.cursor,
        oldest_first: false,
        limit: query.limit.unwrap_or(50).clamp(1, 200),
    })
}

/// `GET /v1/outbox/{id}`: a delivery with its attempts and, where it is kept, what was composed.
pub async fn show(State(web): State<Shared>, who: Answer<Who>, Path(id): Path<String>) -> Answer<Json<Value>> {
    who?.manages()?;
    let found = web.readers.read(move |read| shown::delivery_whole(read, &id)).await?;
    found.map(Json).ok_or_else(|| Problem::not_found("delivery"))
}

/// `POST /v1/outbox/{id}/retry|hold|release|discard`
pub async fn act(State(web): State<Shared>, who: Answer<Who>, Path((id, action)): Path<(String, String)>) -> Answer<Json<Value>> {
    let who = who?;
    who.manages()?;
    let state = apply(&web, id.clone(), action, who.actor()).await?;
    Ok(Json(json!({"delivery_id": id, "state": state.word()})))
}

/// Does to a delivery what a person asked for; gives the state that it has then.
pub async fn apply(web: &Web, id: String, action: String, actor: String) -> Answer<Is> {
    let act = Act::from_word(&action).ok_or_else(|| Problem::not_found("action: retry, hold, release, discard"))?;
    let now = web.clock.now();
    let done = web.writer.run(move |tx| act_on(tx, &id, act, &actor, now)).await?;
    match done {
        None => Err(Problem::not_found("delivery")),
        Some(Err(is)) => Err(Problem::new(StatusCode::CONFLICT, "state", format!("this cannot be done: the delivery is {is}"))),
        Some(Ok((state, receipt))) => {
            web.dispatch.wake();
            if let Some(receipt) = receipt {
                web.dispatch.tell(crate::dispatch::Note::Receipt(receipt));
            }
            Ok(state)
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Act {
    Retry,
    Hold,
    Release,
    Discard,
}

impl Act {
    fn from_word(word: &str) -> Option<Act> {
        match word {
            "retry" => Some(Act::Retry),
            "hold" => Some(Act::Hold),
            "release" => Some(Act::Release),
            "discard" => Some(Act::Discard),
            _ => None,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Act::Retry => "retry",
            Act::Hold => "hold",
            Act::Release => "release",
            Act::Discard => "discard",
        }
    }
}

type Done = Option<Result<(Is, Option<ReceiptId>), Is>>;

/// One transaction: the move, and who made it. `Err` names the state that forbids it.
fn act_on(tx: Tx<'_>, id: &str, act: Act, actor: &str, now: Now) -> Result<Done, StoreError> {
    let Some(d) = tx.read().delivery_by_step(id)? else { return Ok(None) };
    // An uncertain one is never sent from here: it may have arrived. "Send again" makes a copy of its own.
    let to = match (act, d.state) {
        (Act::Retry, Is::Retry) => {
            tx.set_due(d.id, now.wall)?;
            return finish(tx, &d, Is::Retry, act, actor, now);
        }
        (Act::Retry, Is::Dead) | (Act::Release, Is::Held | Is::Dead) => Is::Ready,
        (Act::Hold, Is::Ready | Is::Retry) => Is::Held,
        (Act::Discard, Is::Ready | Is::Retry | Is::Held | Is::Dead | Is::Uncertain) => Is::Cancelled,
        (_, is) => return Ok(Some(Err(is))),
    };
    let reason = match act {
        Act::Hold => format!("by {actor}"),
        Act::Discard => "discarded".to_owned(),
        Act::Release => "released".to_owned(), // a rule that held it does not hold it again
        Act::Retry => String::new(),
    };
    if !tx.transition(d.id, d.state, to, &reason, now.wall)? {
        return Ok(Some(Err(d.state)));
    }
    if to == Is::Ready {
        let useful = match d.kind {
            Kind::PasswordReset => d.expires, // a link that has run out is of no use to anybody
            kind => now.wall + kind.time_to_live(d.channel),
        };
        tx.renew(d.id, now.wall, useful)?;
    }
    finish(tx, &d, to, act, actor, now)
}

fn finish(tx: Tx<'_>, d: &Delivery, to: Is, act: Act, actor: &str, now: Now) -> Result<Done, StoreError> {
    let receipt = tx.read().receipt_at(d.receipt)?.map(|r| r.receipt_id);
    let object = receipt.map(|id| id.to_string()).unwrap_or_default();
    tx.audit(now.wall, actor, act.word(), &object, d.step_id().as_str())?;
    Ok(Some(Ok((to, receipt))))
}
