//! `/inbox`: the messages that were caught instead of sent, as their recipient would have seen them.

use super::frame::{Frame, Shown, Visitor, page};
use super::say::Say;
use super::status::catches;
use crate::dispatch::TEST_INBOX;
use crate::domain::content::Content;
use crate::domain::delivery::State as Is;
use crate::domain::text::one_line;
use crate::store::outbox::{Delivery, Filter};
use crate::store::{Result, Snapshot};
use crate::web::answer::{Answer, Problem};
use crate::web::{Shared, Web};
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse};
use serde::Serialize;

/// Messages in the list.
const SHOWN: u32 = 30;

/// A message's own policy: its inline styles are its own; nothing else is let in, and only our page may
/// frame it.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'self'; sandbox";

/// A caught message in the list.
#[derive(Clone, Serialize)]
pub struct Line {
    pub(super) id: String,
    pub(super) sms: bool,
    to: String,
    subject: String,
    at: String,
}

/// A caught message.
#[derive(Clone, Serialize)]
pub struct Message {
    #[serde(flatten)]
    pub(super) line: Line,
    receipt: String,
    from: String,
    text: String,
    html: String,
    headers: Vec<(String, String)>,
}

impl Message {
    /// With the beginning of its source.
    pub(super) fn cut(mut self, letters: usize) -> Message {
        if let Some((end, _)) = self.html.char_indices().nth(letters) {
            self.html.truncate(end);
            self.html.push_str(" …");
        }
        self
    }
}

#[derive(Serialize)]
struct Shelf {
    lines: Vec<Line>,
    message: Option<Message>,
    tab: String,
    /// Where its tabs lead: this before the tab's name.
    base: String,
}

/// Whether there can be caught messages here.
pub fn is_shown(web: &Web) -> bool {
    let config = &web.config();
    web.demo.is_some()
        || config.tills.values().any(|t| t.test || t.keys.iter().any(|k| k.expose().starts_with("tp_test_")))
        || config.providers.keys().any(|p| catches(config, p))
}

/// The names of the test inboxes.
pub fn names(web: &Web) -> Vec<String> {
    let config = &web.config();
    config.providers.keys().filter(|p| catches(config, p)).cloned().chain([TEST_INBOX.to_owned()]).collect()
}

/// The latest caught messages, newest first.
pub fn latest(read: Snapshot<'_>, names: &[String], limit: u32) -> Result<Vec<(Delivery, Content)>> {
    let mut caught = Vec::new();
    for name in names {
        let filter = Filter { provider: Some(name.clone()), limit, ..Filter::default() };
        for d in read.deliveries(&filter)? {
            if let Some(content) = content(read, &d)? {
                caught.push((d, content));
            }
        }
    }
    caught.sort_by_key(|(d, _)| std::cmp::Reverse((d.ended_at, d.id)));
    caught.truncate(limit as usize);
    Ok(caught)
}

/// What was caught of a delivery, where its inbox took it.
fn content(read: Snapshot<'_>, d: &Delivery) -> Result<Option<Content>> {
    if !matches!(d.state, Is::Accepted | Is::Delivered | Is::Complained) {
        return Ok(None);
    }
    let Some(body) = d.content else { return Ok(None) };
    Ok(serde_json::from_slice(&read.body(body)?).ok())
}

/// A message as the list shows it.
pub fn line(d: &Delivery, content: &Content, say: &Say) -> Line {
    let (sms, subject) = match content {
        Content::Email(mail) => (false, mail.subject.clone()),
        Content::Page(page) => (false, one_line(&page.token, 120)),
        Content::Sms(sms) => (true, sms.text.clone()),
        other if other.headline().is_empty() => (true, one_line(&other.plain(), 120)),
        other => (true, other.headline().to_owned()),
    };
    let at = d.ended_at.or(d.composed_at).unwrap_or(d.made_at);
    Line { id: d.step_id().to_string(), sms, to: d.shown_to(), subject, at: say.clock(at) }
}

/// A message with everything. Its recipient is shown whole only where it cannot be a customer.
pub fn message(read: Snapshot<'_>, d: &Delivery, content: &Content, say: &Say, whole: bool) -> Result<Message> {
    let line = line(d, content, say);
    let receipt = read.receipt_at(d.receipt)?.map(|r| r.receipt_id.to_string()).unwrap_or_default();
    let to = if whole || d.test { d.address.clone() } else { d.shown_to() };
    let at = d.composed_at.unwrap_or(d.made_at).instant().to_string();
    let mut headers = vec![("To".to_owned(), to), ("Date".to_owned(), at), ("Message-ID".to_owned(), format!("tp_{}", d.intent.short()))];
    Ok(match content {
        Content::Email(mail) => {
            headers.insert(0, ("From".to_owned(), mail.from.clone()));
            headers.push(("Subject".to_owned(), mail.subject.clone()));
            if !mail.reply_to.is_empty() {
                headers.push(("Reply-To".to_owned(), mail.reply_to.clone()));
            }
            headers.extend(mail.headers.iter().cloned());
            Message { line, receipt, from: mail.from.clone(), text: mail.text.clone(), html: mail.html.clone(), headers }
        }
        Content::Sms(sms) => {
            headers.insert(0, ("From".to_owned(), sms.from.clone()));
            Message { line, receipt, from: sms.from.clone(), text: sms.text.clone(), html: String::new(), headers }
        }
        Content::Page(page) => Message { line, receipt, from: String::new(), text: page.html.clone(), html: page.html.clone(), headers },
        other => Message { line, receipt, from: String::new(), text: other.plain(), html: String::new(), headers },
    })
}

/// `GET /inbox`
pub async fn newest(State(web): State<Shared>, _: Visitor) -> Shown {
    shelf(&web, None, "html").await
}

/// `GET /inbox/{id}`
pub async fn one(State(web): State<Shared>, _: Visitor, Path(id): Path<String>) -> Shown {
    shelf(&web, Some(id), "html").await
}

/// `GET /inbox/{id}/{part}`: `text`, `headers` or `source`; `mail.html` is the mail itself.
pub async fn part(State(web): State<Shared>, _: Visitor, Path((id, part)): Path<(String, String)>) -> Shown {
    match part.as_str() {
        "mail.html" => {
            let html = find(&web, id).await?.html;
            Ok(([(header::CONTENT_SECURITY_POLICY, POLICY)], Html(html)).into_response())
        }
        "text" | "headers" | "source" => shelf(&web, Some(id), &part).await,
        _ => Err(Problem::not_found("part of a message").into()),
    }
}

async fn find(web: &Web, id: String) -> Answer<Message> {
    let (say, whole) = (Say::new(&web.config(), web.clock.now().wall), web.demo.is_some());
    let found = web
        .readers
        .read(move |read| {
            let Some(d) = read.delivery_by_step(&id)? else { return Ok(None) };
            let Some(content) = content(read, &d)? else { return Ok(None) };
            message(read, &d, &content, &say, whole).map(Some)
        })
        .await?;
    found.ok_or_else(|| Problem::not_found("message"))
}

async fn shelf(web: &Shared, id: Option<String>, tab: &str) -> Shown {
    if !is_shown(web) {
        return Err(Problem::not_found("test inbox").into());
    }
    let frame = Frame::new(web, "Test inbox", "inbox").await?;
    let (names, say) = (names(web), frame.say.clone());
    let lines: Vec<Line> =
        web.readers.read(move |read| Ok(latest(read, &names, SHOWN)?.iter().map(|(d, c)| line(d, c, &say)).collect())).await?;
    let message = match id.or_else(|| lines.first().map(|l| l.id.clone())) {
        Some(id) => Some(find(web, id).await?),
        None => None,
    };
    let base = message.as_ref().map(|m| format!("/inbox/{}", m.line.id)).unwrap_or_default();
    Ok(page(StatusCode::OK, "inbox.html", &frame, Shelf { lines, message, tab: tab.to_owned(), base }))
}
