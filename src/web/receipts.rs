//! Receipts over the API: found, read in each form, told as a story, sent again.

use super::answer::{Answer, Problem, read_json};
use super::auth::Who;
use super::{Shared, Web};
use crate::compose::Document;
use crate::config::Config;
use crate::domain::address::mask;
use crate::domain::channel::{Channel, Choice};
use crate::domain::ids::ReceiptId;
use crate::domain::sale::Sale;
use crate::domain::time::UnixMs;
pub use crate::observe::shown::{decimal, state};
use crate::observe::{shown, timeline as story};
use crate::pipeline::resend::{self as again, Ask};
use crate::sources::lan;
use crate::store::receipts::{Find, Receipt};
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

/// `?q=&till=&since=&limit=&cursor=`
#[derive(Debug, Default, Deserialize)]
pub struct ListQuery {
    #[serde(default)]
    q: String,
    till: Option<String>,
    since: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// `GET /v1/receipts`
pub async fn list(State(web): State<Shared>, who: Answer<Who>, Query(query): Query<ListQuery>) -> Answer<Json<Value>> {
    let who = who?;
    who.reads()?;
    let bad = |name: &str| Problem::new(StatusCode::BAD_REQUEST, "query", format!("`{name}` cannot be read"));
    let since = query.since.map(|text| UnixMs::parse_rfc3339(&text).ok_or_else(|| bad("since"))).transpose()?;
    let before = query.cursor.map(|text| text.parse().map_err(|_| bad("cursor"))).transpose()?;
    let limit = query.limit.unwrap_or(50).clamp(1, 200);
    let find = Find { text: query.q, till: query.till.filter(|t| !t.is_empty()), since, until: None, before, limit };
    let whole = who == Who::Owner;
    Ok(Json(web.readers.read(move |read| shown::receipts(read, &find, whole)).await?))
}

/// `GET /v1/receipts/{id}` with `.json` (default), `.html` or `.txt`; `.png` is the paper.
pub async fn one(State(web): State<Shared>, who: Answer<Who>, Path(id): Path<String>) -> Answer<Response> {
    let who = who?;
    who.reads()?;
    let (id, form) = id.rsplit_once('.').unwrap_or((&id, "json"));
    let (receipt, document) = load(&web, id).await?;
    if form == "png" {
        return picture(&web, receipt.row).await;
    }
    render(&web, &receipt, &document, form, who == Who::Owner)
}

/// The paper of a receipt that a tap saw printed, as a picture.
async fn picture(web: &Web, receipt: i64) -> Answer<Response> {
    let found = web.readers.read(move |read| {
        let Some((tap, body)) = read.print_of(receipt)? else { return Ok(None) };
        Ok(Some((tap, read.body(body)?)))
    });
    let none = || Problem::not_found("picture of this receipt: only a print that a tap took has one");
    let (tap, bytes) = found.await?.ok_or_else(none)?;
    let tap = web.taps.get(&tap).ok_or_else(none)?.tap();
    let png = web.heavy.run(move || tap.picture(&bytes)).await.flatten().ok_or_else(none)?;
    Ok(([(header::CONTENT_TYPE, "image/png")], png).into_response())
}

/// A receipt and its document.
pub async fn load(web: &Web, id: &str) -> Answer<(Receipt, Vec<u8>)> {
    let id = ReceiptId::parse(id).ok_or_else(|| Problem::not_found("receipt"))?;
    let found = web
        .readers
        .read(move |read| match read.receipt(id)? {
            Some(receipt) => {
                let document = read.body(receipt.body)?;
                Ok(Some((receipt, document)))
            }
            None => Ok(None),
        })
        .await?;
    found.ok_or_else(|| Problem::not_found("receipt"))
}

/// A receipt in one of its forms.
pub fn render(web: &Web, receipt: &Receipt, document: &[u8], form: &str, whole: bool) -> Answer<Response> {
    let broken = || Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the stored document cannot be shown; it is kept as it is");
    let json: Value = serde_json::from_slice(document).map_err(|_| broken())?;
    if form == "json" {
        return Ok(Json(with_source(json, receipt, whole)).into_response());
    }
    let sale = Sale::parse(&json).map_err(|_| broken())?;
    let config = web.config();
    let view = view(&config, &sale);
    let (kind, text) = match form {
        "html" => ("text/html; charset=utf-8", web.composer().page_html(&view)),
        "txt" => ("text/plain; charset=utf-8", web.composer().text(&view)),
        _ => return Err(Problem::not_found("form of a receipt: .json, .html, .txt")),
    };
    let text = text.map_err(|error| {
        tracing::error!(%error, "a receipt could not be shown");
        broken()
    })?;
    // The mail's inline styles are its own; nothing else is let in.
    let policy = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'self'; sandbox";
    Ok(([(header::CONTENT_TYPE, kind), (header::CONTENT_SECURITY_POLICY, policy)], text).into_response())
}

/// The document of a receipt as compose takes it.
pub fn view<'a>(config: &'a Config, sale: &'a Sale) -> Document<'a> {
    let language = Some(sale.customer.language.as_str()).filter(|l| !l.is_empty());
    Document {
        language,
        default_language: config.templates.default_language.as_deref(),
        ..Document::new(sale, &config.shop, &config.brand)
    }
}

/// The canonical sale as stored, with `source` filled in; addresses masked unless asked for whole.
fn with_source(mut sale: Value, receipt: &Receipt, whole: bool) -> Value {
    if let Some(map) = sale.as_object_mut() {
        let source = map.entry("source").or_insert_with(|| json!({}));
        if let Some(source) = source.as_object_mut() {
            source.insert("system".into(), "lan".into());
            source.insert("account".into(), receipt.source.clone().into());
        }
        if !whole && let Some(customer) = map.get_mut("customer").and_then(Value::as_object_mut) {
            for name in ["email", "phone"] {
                if let Some(Value::String(address)) = customer.get_mut(name) {
                    *address = mask(address);
                }
            }
        }
    }
    sale
}

/// `GET /v1/receipts/{id}/timeline`
pub async fn timeline(State(web): State<Shared>, who: Answer<Who>, Path(id): Path<String>) -> Answer<Json<Value>> {
    who?.reads()?;
    let (receipt, _) = load(&web, &id).await?;
    let id = receipt.receipt_id.to_string();
    let entries = web.readers.read(move |read| story::of(read, &receipt)).await?;
    Ok(Json(json!({"schema": "tillpost.timeline/1", "receipt_id": id, "timeline": entries})))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ResendBody {
    channel: Option<String>,
    address: String,
    language: String,
    #[serde(rename = "remember")]
    _remember: bool,
}

/// `POST /v1/receipts/{id}/resend`
pub async fn resend(
    State(web): State<Shared>,
    who: Answer<Who>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Answer<Response> {
    let who = who?;
    who.reads()?;
    let bytes = read_json(&headers, body, web.config().http.body_limit).await?;
    let asked: ResendBody = read_body(&bytes)?;
    let channel = asked.channel.filter(|c| !c.is_empty()).map(|word| channel(&word)).transpose()?;
    let ask = Ask { channel, address: asked.address, language: asked.language, late_contact: false, actor: who.actor(), ..Ask::default() };
    send_again(&web, &id, ask).await
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ContactBody {
    email: String,
    phone: String,
    preferred_channel: String,
    language: String,
}

/// `POST /v1/receipts/{id}/contact`: an address that comes late.
pub async fn contact(
    State(web): State<Shared>,
    who: Answer<Who>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Answer<Response> {
    let who = who?;
    who.reads()?;
    let bytes = read_json(&headers, body, web.config().http.body_limit).await?;
    let given: ContactBody = read_body(&bytes)?;
    let chosen = match Choice::from_word(&given.preferred_channel) {
        Some(Choice::Channel(channel)) => Some(channel),
        Some(_) => return Err(Problem::new(StatusCode::CONFLICT, "declined", "paper or none was chosen: nothing is sent")),
        None if given.preferred_channel.is_empty() => None,
        None => {
            return Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "unknown_word",
                format!("preferred_channel is one of {}", Choice::WORDS.join(", ")),
            ));
        }
    };
    let by_phone = matches!(chosen, Some(Channel::Sms | Channel::Whatsapp)) || given.email.is_empty();
    let address = if by_phone { given.phone } else { given.email };
    if address.trim().is_empty() {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "no_address", "give `email` or `phone`"));
    }
    let ask = Ask { channel: chosen, address, language: given.language, late_contact: true, actor: who.actor(), ..Ask::default() };
    send_again(&web, &id, ask).await
}

async fn send_again(web: &Web, id: &str, ask: Ask) -> Answer<Response> {
    let (state, id) = match ask_again(web, id, ask).await? {
        again::Answer::Accepted(id) => ("ready", id),
        again::Answer::Collapsed(id) => ("collapsed", id),
        again::Answer::Refused(code, why) => return Err(Problem::new(StatusCode::CONFLICT, code, why)),
    };
    Ok((StatusCode::ACCEPTED, Json(json!({"message_id": id, "state": state}))).into_response())
}

/// Asks for a receipt again and wakes dispatch.
pub async fn ask_again(web: &Web, id: &str, ask: Ask) -> Answer<again::Answer> {
    let (receipt, _) = load(web, id).await?;
    let (rules, now, receipt_id) = (web.pipeline(), web.clock.now(), receipt.receipt_id);
    let answer = web.writer.run(move |tx| again::resend(tx, &rules.at(now), &receipt, &ask)).await?;
    web.dispatch.wake();
    web.dispatch.tell(crate::dispatch::Note::Receipt(receipt_id));
    Ok(answer)
}

fn channel(word: &str) -> Answer<Channel> {
    let known = Channel::from_word(word).filter(|c| matches!(c, Channel::Email | Channel::Sms | Channel::Whatsapp));
    known.ok_or_else(|| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "unknown_word", "`channel` is email, sms or whatsapp"))
}

fn read_body<T: for<'a> Deserialize<'a>>(bytes: &[u8]) -> Answer<T> {
    lan::json(bytes).map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "not_json", "the body is not JSON")).and_then(|json| {
        serde_json::from_value(json).map_err(|_| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "a member has the wrong type"))
    })
}
