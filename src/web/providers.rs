//! Providers: how each account is; pausing and resuming one; and looking whether it works, with a message or
//! without.

use super::answer::{Answer, Problem, read_json};
use super::auth::Who;
use super::{Shared, Web};
use crate::dispatch;
use crate::domain::address::{EmailAddress, PhoneNumber, mask};
use crate::domain::channel::Channel;
use crate::domain::content::{Content, Email, Outgoing, Sms};
use crate::domain::ids::{StepId, hex};
use crate::domain::message::Kind as MessageKind;
use crate::providers::check::{Checked, Finding, of_message};
use crate::sys::random;
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::timeout;

/// A person waits for it.
const PATIENCE: Duration = Duration::from_secs(25);

/// `GET /v1/providers`
pub async fn list(State(web): State<Shared>, who: Answer<Who>) -> Answer<Json<Value>> {
    who?.reads()?;
    let (config, registry, view) = (web.config(), web.registry(), web.dispatch.view());
    let rows: Vec<Value> = config
        .providers
        .iter()
        .map(|(name, settings)| {
            let account = registry.get(name);
            let state = view.lanes.iter().find(|(lane, _)| lane == name).map(|(_, word)| *word);
            let channels: Vec<&str> =
                config.channels.iter().filter(|(_, c)| c.providers.contains(name)).map(|(channel, _)| channel.word()).collect();
            let reports = account.is_some_and(|a| a.kind.callback.is_some());
            let url = config.http.public_url.as_deref().filter(|_| reports);
            json!({
                "name": name,
                "type": settings.kind,
                "state": state,
                "channels": channels,
                "callback_url": url.map(|url| format!("{}/callbacks/{name}", url.trim_end_matches('/'))),
                "polled": account.is_some_and(|a| a.polls()),
                "can_be_asked": account.is_some_and(|a| a.lookup_delay().is_some()),
            })
        })
        .collect();
    Ok(Json(json!({"schema": "tillpost.providers/1", "providers": rows})))
}

/// `{to}` of a test.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Asked {
    to: String,
}

/// `POST /v1/providers/{name}/{probe|test|pause|resume}`
pub async fn act(
    State(web): State<Shared>,
    who: Answer<Who>,
    Path((name, action)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Answer<Json<Value>> {
    let who = who?;
    who.manages()?;
    if !web.config().providers.contains_key(&name) {
        return Err(Problem::not_found("provider"));
    }
    let actor = who.actor();
    match action.as_str() {
        "pause" => hold(&web, &name, actor, true).await,
        "resume" => hold(&web, &name, actor, false).await,
        "probe" => Ok(Json(said(&name, &checked(&web, &name).await, Vec::new()))),
        "test" => {
            let sent = headers.contains_key("content-type");
            let bytes = if sent { read_json(&headers, body, 4096).await? } else { b"{}".to_vec() };
            let asked: Asked = serde_json::from_slice(&bytes)
                .map_err(|_| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "send {} or {\"to\": \"an address\"}"))?;
            test(&web, &name, actor, &asked.to).await
        }
        _ => Err(Problem::not_found("page")),
    }
}

/// Written down first, so that it holds over a restart too.
async fn hold(web: &Shared, name: &str, actor: String, pause: bool) -> Answer<Json<Value>> {
    let (provider, at, word) = (name.to_owned(), web.clock.now().wall, if pause { "pause" } else { "resume" });
    web.writer
        .run(move |tx| {
            tx.put_fact(&dispatch::paused(&provider), if pause { "1" } else { "0" })?;
            tx.audit(at, &actor, word, &format!("provider {provider}"), "")
        })
        .await?;
    if pause {
        web.dispatch.pause(name).await;
    } else {
        web.dispatch.resume(name).await;
    }
    Ok(Json(json!({"provider": name, "state": if pause { "paused" } else { "resumed" }})))
}

async fn checked(web: &Web, name: &str) -> Checked {
    let (registry, now) = (web.registry(), web.clock.now().wall);
    match timeout(PATIENCE, registry.check(name, now)).await {
        Ok(checked) => checked.unwrap_or_default(),
        Err(_) => {
            let (say, fix) = ("it did not answer in 25 seconds".to_owned(), "try again; look at the line: tillpost status".to_owned());
            Checked { findings: vec![Finding { step: "login", good: false, say, fix }], health: None }
        }
    }
}

/// Looks, and where an address is given and all is well so far, sends a message there.
async fn test(web: &Shared, name: &str, actor: String, to: &str) -> Answer<Json<Value>> {
    let message = if to.is_empty() { None } else { Some(message(web, name, to).await?) };
    let looked = checked(web, name).await;
    let mut more = Vec::new();
    if let Some(message) = message.filter(|_| looked.is_good()) {
        let shown = mask(&message.to);
        let (at, object, detail) = (web.clock.now().wall, format!("provider {name}"), shown.clone());
        web.writer.run(move |tx| tx.audit(at, &actor, "test", &object, &detail)).await?;
        let registry = web.registry();
        let outcome = timeout(PATIENCE, registry.send(name, &message, at)).await;
        let unknown = |_| {
            crate::domain::outcome::Outcome::new(
                crate::domain::outcome::Class::Uncertain,
                crate::domain::outcome::Scope::Message,
                "no answer in 25 seconds",
            )
        };
        more.push(of_message(name, &shown, &outcome.unwrap_or_else(unknown)));
    }
    Ok(Json(said(name, &looked, more)))
}

/// A message that says what it is. The address is checked as any other.
async fn message(web: &Shared, name: &str, to: &str) -> Answer<Outgoing> {
    let config = web.config();
    let invalid = |say: &str| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", say);
    let channels = web.registry().get(name).map(|a| a.kind.keys.channels).unwrap_or_default();
    let number = PhoneNumber::parse(to, &config.shop.country).map(|p| p.as_str().to_owned());
    let (channel, to) = match (EmailAddress::parse(to), number) {
        (Some(email), _) if channels.contains(&Channel::Email) => (Channel::Email, email.as_str().to_owned()),
        (_, Some(number)) if channels.contains(&Channel::Sms) => (Channel::Sms, number),
        _ => return Err(invalid("this provider does not send to such an address")),
    };
    let address = to.clone();
    if let Some(why) = web.readers.read(move |read| read.suppressed(channel, &address)).await? {
        return Err(Problem::new(StatusCode::CONFLICT, "suppressed", format!("this address is blocked: {why}")));
    }
    let own = config.channels.get(&channel);
    let from = own.map(|c| if c.messaging_service.is_empty() { c.from.clone() } else { c.messaging_service.clone() }).unwrap_or_default();
    if from.is_empty() {
        return Err(invalid(&format!("there is no sender: set from in [channels.{channel}]")));
    }
    let shop = if config.shop.name.is_empty() { "this shop" } else { &config.shop.name };
    let text = format!("This is a test of {shop}. If you can read it, its messages arrive.");
    let content = match channel {
        Channel::Sms => Content::Sms(Sms { from, text }),
        _ => Content::Email(Email {
            from,
            reply_to: String::new(),
            subject: format!("Test of {shop}"),
            html: format!("<p>{}</p>\n", text.replace('&', "&amp;").replace('<', "&lt;")),
            text: format!("{text}\n"),
            headers: vec![("Auto-Submitted".to_owned(), "auto-generated".to_owned())],
        }),
    };
    let id = hex(&random::bytes::<13>(web.random.as_ref()));
    let (step, message_id, now) = (StepId::given(format!("tp_{id}.10")), format!("tp_{id}"), web.clock.now().wall);
    Ok(Outgoing { step, message_id, kind: MessageKind::Receipt, channel, to, composed_at: now, content })
}

fn said(name: &str, checked: &Checked, more: Vec<Finding>) -> Value {
    let all: Vec<&Finding> = checked.findings.iter().chain(&more).collect();
    let rows: Vec<Value> = all.iter().map(|f| json!({"step": f.step, "good": f.good, "say": f.say, "fix": f.fix})).collect();
    let health = checked.health.as_ref();
    json!({
        "schema": "tillpost.provider_test/1",
        "provider": name,
        "good": all.iter().all(|f| f.good),
        "findings": rows,
        "warning": health.and_then(|h| h.warning.clone()),
        "per_second": health.and_then(|h| h.per_second),
        "left_today": health.and_then(|h| h.left_today),
    })
}
