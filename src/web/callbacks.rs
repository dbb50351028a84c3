//! `/callbacks/{provider}`: a provider tells what became of messages. Verified by the account's own rules,
//! then kept and acted on in one transaction; answered only after its commit.
//!
//! What cannot be shown to come from the provider is refused and counted, and leaves nothing behind. Nothing
//! of a call is logged but the account's name and a word.

use super::answer::{Answer, Problem, read_capped};
use super::{Shared, Web};
use crate::pipeline::callbacks::{self, Said, Taken, Told};
use crate::pipeline::reports::What;
use crate::providers::callback::{Bounce, Call, Event, EventKind, Refusal, Report};
use crate::store::StoreError;
use crate::store::inbox::Body as Packed;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::json;

/// `/callbacks/{provider}`
pub async fn call(
    State(web): State<Shared>,
    Path(name): Path<String>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Answer<Response> {
    if web.registry().get(&name).is_none_or(|account| account.kind.callback.is_none()) {
        return Err(Problem::not_found("provider that reports"));
    }
    if ![Method::POST, Method::HEAD, Method::GET].contains(&method) {
        return Err(super::answer::method_not_allowed().await);
    }
    let body = read_capped(&headers, body, web.config().http.body_limit).await?;
    let url = called_url(&web, &headers, uri.path_and_query().map_or("/", |p| p.as_str()));
    let call = Call { method: method.as_str().to_owned(), url, headers: all_headers(&headers), body };
    let said = answer(&web, &name, call).await;
    web.counters.called(&name, said.as_ref().map_or_else(|(word, _)| *word, |word| *word));
    match said {
        Ok(_) => Ok(thanks(&web, &name)),
        Err((word, problem)) => {
            tracing::info!(provider = name, word, "a call was refused");
            Err(problem)
        }
    }
}

type Refused = (&'static str, Problem);

/// The word of what came of it, to be counted.
async fn answer(web: &Shared, name: &str, call: Call) -> Result<&'static str, Refused> {
    let (report, call) = verified(web, name, call).await?;
    if let Some(url) = &report.confirm
        && !web.registry().confirm(url).await
    {
        return Err(("confirm_failed", unavailable("the topic could not be confirmed now")));
    }
    if report.events.is_empty() && report.token.is_none() {
        return Ok("accepted");
    }
    let taken = take(web, name, report, &call).await.map_err(|error| ("unavailable", Problem::from(error)))?;
    match taken {
        Taken { replayed: true, .. } => Err(refused(&crate::providers::callback::REPLAYED)),
        Taken { done: 0, unknown: 0, .. } => Ok("duplicate"),
        Taken { done: 0, .. } => Ok("unknown"),
        _ => Ok("accepted"),
    }
}

/// Verifying reads the store and does public-key arithmetic: on a reader's thread.
async fn verified(web: &Shared, name: &str, call: Call) -> Result<(Report, Call), Refused> {
    let mut call = call;
    for fetched in [false, true] {
        let (registry, provider, now) = (web.registry(), name.to_owned(), web.clock.now().wall);
        let judged = web.readers.read(move |read| {
            let used = |token: &str| callbacks::used(read, &provider, token).unwrap_or(true);
            let judged = registry.callback(&provider, &call, now, &used);
            Ok((judged, call))
        });
        let (judged, back) = judged.await.map_err(|error| ("unavailable", Problem::from(error)))?;
        call = back;
        match judged {
            Ok(report) => return Ok((report, call)),
            Err(Refusal::Certificate(url)) if !fetched => {
                if !web.registry().fetch_certificate(&url).await {
                    return Err(("certificate_unavailable", unavailable("the certificate cannot be fetched now")));
                }
            }
            Err(refusal) => return Err(refused(&refusal)),
        }
    }
    Err(refused(&crate::providers::callback::WRONG))
}

async fn take(web: &Shared, name: &str, report: Report, call: &Call) -> Result<Taken, StoreError> {
    let raw = Packed::pack(&kept(call));
    let told: Vec<Told> = report.events.into_iter().map(told).collect();
    let (rules, now, provider, token) = (web.pipeline(), web.clock.now(), name.to_owned(), report.token.unwrap_or_default());
    let taken = web
        .writer
        .run(move |tx| {
            let call = callbacks::Call { provider: &provider, token: &token, raw: Some(&raw), told: &told };
            callbacks::take(tx, &rules.at(now), &call)
        })
        .await?;
    count(web, &taken);
    Ok(taken)
}

/// What was taken may have made something due; bounces are measured.
pub fn count(web: &Web, taken: &Taken) {
    taken.bounces.iter().for_each(|after| web.counters.bounce_handled(*after));
    if taken.done > 0 {
        web.dispatch.wake();
    }
}

/// A provider's event in the words of the pipeline.
pub fn told(event: Event) -> Told {
    use crate::domain::outcome::Suppress::SmsStop;
    let texts = !event.recipient.contains('@');
    let said = match (event.kind, event.bounce, event.suppress) {
        (EventKind::Replied, _, Some(SmsStop)) => Said::Reply("STOP".to_owned()),
        (EventKind::Replied, ..) => Said::Reply(event.text),
        (EventKind::Resubscribed, ..) if texts => Said::Reply("START".to_owned()),
        (EventKind::Resubscribed, ..) => Said::Other,
        (EventKind::Queued | EventKind::Sent, ..) => Said::Report(What::Accepted),
        (EventKind::Deferred, ..) => Said::Report(What::Deferred),
        (EventKind::Delivered, ..) => Said::Report(What::Delivered),
        (EventKind::Bounced, Some(Bounce::Soft), _) => Said::Report(What::SoftBounce),
        (EventKind::Bounced, ..) => Said::Report(What::HardBounce),
        (EventKind::Dropped | EventKind::Failed, ..) | (EventKind::Unsubscribed, _, Some(SmsStop)) => Said::Report(What::Failed),
        (EventKind::Complained, ..) => Said::Report(What::Complaint),
        (EventKind::Opened, ..) => Said::Report(What::Opened),
        (EventKind::Clicked, ..) => Said::Report(What::Clicked),
        (EventKind::Unsubscribed, ..) => Said::Report(What::Unsubscribed),
    };
    Told {
        said,
        recipient: event.recipient,
        reference: event.message_ref,
        provider_id: event.provider_id,
        suppress: event.suppress,
        at: event.at,
        machine: event.automatic,
        key: event.key,
    }
}

fn refused(refusal: &Refusal) -> Refused {
    let (status, say) = match refusal {
        Refusal::Forged(_) | Refusal::Certificate(_) => (StatusCode::UNAUTHORIZED, "this call does not show that it is the provider's"),
        Refusal::Unreadable(_) => (StatusCode::BAD_REQUEST, "this call cannot be read"),
        Refusal::Unwanted(_) => (StatusCode::NOT_FOUND, "this account takes no calls as it is set up: see `callback` in its settings"),
    };
    (refusal.code(), Problem::new(status, refusal.code(), say))
}

fn unavailable(why: &str) -> Problem {
    Problem { retry_after: Some(60), ..Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", why) }
}

/// Twilio reads the body as what to answer a customer: nothing.
fn thanks(web: &Web, name: &str) -> Response {
    let twilio = web.registry().get(name).is_some_and(|account| account.kind.keys.name == "twilio");
    if twilio { ([(header::CONTENT_TYPE, "text/xml")], "<Response/>").into_response() } else { StatusCode::OK.into_response() }
}

/// The public URL as the provider called it.
fn called_url(web: &Web, headers: &HeaderMap, path: &str) -> String {
    match &web.config().http.public_url {
        Some(url) => format!("{}{path}", url.trim_end_matches('/')),
        None => format!("http://{}{path}", headers.get(header::HOST).and_then(|h| h.to_str().ok()).unwrap_or_default()),
    }
}

fn all_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())).collect()
}

/// The call as it is kept: without what logs in, bytes that are no text in base64.
fn kept(call: &Call) -> Vec<u8> {
    let secret = |name: &str| ["authorization", "cookie", "proxy-authorization"].iter().any(|s| name.eq_ignore_ascii_case(s));
    let headers: Vec<_> = call.headers.iter().filter(|(name, _)| !secret(name)).collect();
    let mut kept =
        json!({"method": call.method, "path": call.url.split_once("://").map_or(call.url.as_str(), |(_, rest)| rest), "headers": headers});
    let (name, body) = match std::str::from_utf8(&call.body) {
        Ok(text) => ("body", text.to_owned()),
        Err(_) => ("body_base64", BASE64_STANDARD.encode(&call.body)),
    };
    if let Some(kept) = kept.as_object_mut() {
        kept.insert(name.to_owned(), body.into());
    }
    kept.to_string().into_bytes()
}
