//! `/r/{id}`: one receipt as the customer gets it, its story, and sending it again.
//!
//! A send from here waits a moment, so that it can be undone. Closing the page does not cancel it.

use super::form::Posted;
use super::frame::{Frame, Shown, Visitor, page};
use super::receipts::{number, till};
use super::say::Say;
use super::status::{self, Status};
use crate::domain::address::mask;
use crate::domain::channel::Channel;
use crate::domain::delivery::State as Is;
use crate::domain::time::UnixMs;
use crate::observe::timeline::{self, Entry};
use crate::pipeline::resend::{Answer as Sent, Ask};
use crate::store::outbox::Delivery;
use crate::store::receipts::{Find, Receipt};
use crate::web::answer::{Answer, Problem};
use crate::web::receipts::{ask_again, load, render};
use crate::web::{Shared, Web, explain, links, outbox};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long a send from a page can be undone.
const UNDO: Duration = Duration::from_secs(8);

/// `?m=`: the delivery that was asked for. `?to=&till=`: from a button of the till.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Asked {
    m: String,
    to: String,
    till: String,
}

#[derive(Serialize)]
struct One {
    id: String,
    number: String,
    total: String,
    time: String,
    till: String,
    last4: String,
    status: Status,
    /// Where it goes when it is sent again; empty: nowhere is known.
    target: String,
    notice: Option<Notice>,
    /// The customer's link: where the world sees it, else on the box itself.
    link: String,
    story: Vec<Told>,
    /// What decided, sentence by sentence; and for each message its own.
    why: Vec<(String, Vec<String>)>,
}

/// What came of what was pressed.
#[derive(Serialize)]
struct Notice {
    colour: &'static str,
    text: String,
    /// The delivery that can still be undone.
    undo: String,
    /// Milliseconds that it can be.
    left: u64,
}

/// An entry of the story.
#[derive(Serialize)]
struct Told {
    at: String,
    exactly: String,
    text: String,
    detail: String,
    mark: &'static str,
}

/// `GET /r/{id}`; `last` is the newest sale.
pub async fn show(State(web): State<Shared>, _: Visitor, Path(id): Path<String>, Query(asked): Query<Asked>) -> Shown {
    if id == "last" {
        return last(&web, asked.till).await;
    }
    view(&web, &id, &asked.m, None).await
}

async fn last(web: &Web, till: String) -> Shown {
    let find = Find { till: Some(till).filter(|t| !t.is_empty()), limit: 1, ..Find::default() };
    let newest = web.readers.read(move |read| read.find_receipts(&find)).await?;
    let to = newest.first().map_or("/r".to_owned(), |r| format!("/r/{}", r.receipt_id));
    Ok(Redirect::to(&to).into_response())
}

/// The page; with a `refusal` it is the answer to a form.
async fn view(web: &Shared, id: &str, pressed: &str, refusal: Option<String>) -> Shown {
    let (receipt, _) = load(web, id).await?;
    let frame = Frame::new(web, format!("Receipt {}", number(&receipt)), "receipts").await?;
    let (r, config, online, say) = (receipt.clone(), web.config(), frame.online, frame.say.clone());
    let (deliveries, story, status) = web
        .readers
        .read(move |read| Ok((read.deliveries_of(r.row)?, timeline::of(read, &r)?, status::of_receipt(read, &config, &r, online, &say)?)))
        .await?;
    let refused = refusal.is_some();
    let notice = match refusal {
        Some(text) => Some(Notice { colour: "red", text, undo: String::new(), left: 0 }),
        None => deliveries.iter().find(|d| !pressed.is_empty() && d.step_id().as_str() == pressed).map(|d| notice(web, d, &frame)),
    };
    let one = One {
        id: receipt.receipt_id.to_string(),
        number: number(&receipt),
        total: frame.say.money(receipt.total, &receipt.currency),
        time: frame.say.clock(receipt.sold_at),
        till: till(&receipt),
        last4: receipt.last4.clone(),
        target: target(&receipt, &deliveries),
        story: story.iter().filter_map(|e| told(e, &frame.say)).collect(),
        link: link(web, &receipt),
        why: why(web, &receipt).await?,
        status,
        notice,
    };
    let frame = if refused { frame.still() } else { frame };
    Ok(page(StatusCode::OK, "receipt.html", &frame, one))
}

/// What decided: of the sale, then of each way with what comes next.
async fn why(web: &Web, receipt: &Receipt) -> Answer<Vec<(String, Vec<String>)>> {
    let said = explain::of_receipt(web, receipt).await?;
    let mut all = vec![("The sale".to_owned(), said.sentences)];
    for d in said.deliveries {
        let mut sentences = d.sentences;
        sentences.push(format!("Next: {}", d.next));
        all.push((format!("{} by {} to {}", d.kind.replace('_', " "), d.channel, d.to), sentences));
    }
    Ok(all)
}

fn link(web: &Web, receipt: &Receipt) -> String {
    let token = links::token_of(web, receipt);
    links::public(&web.config(), &token).unwrap_or_else(|| format!("/t/{token}"))
}

fn target(r: &Receipt, deliveries: &[Delivery]) -> String {
    let known = status::last(deliveries).map(|d| d.address.as_str()).unwrap_or(if r.email.is_empty() { &r.phone } else { &r.email });
    if known.is_empty() { String::new() } else { mask(known) }
}

fn notice(web: &Web, d: &Delivery, frame: &Frame) -> Notice {
    let now = web.clock.now().wall;
    let to = d.shown_to();
    let left = d.due.since(now).min(UNDO);
    if d.state == Is::Ready && !left.is_zero() {
        let undo = d.step_id().to_string();
        return Notice {
            colour: "blue",
            text: format!("Goes to {to} in a moment."),
            undo,
            left: u64::try_from(left.as_millis()).unwrap_or(0),
        };
    }
    let state = status::of(&web.config(), d, frame.online, &frame.say);
    match d.state {
        Is::Cancelled if d.reason == "discarded" => {
            Notice { colour: "grey", text: format!("Undone: nothing goes to {to}."), undo: String::new(), left: 0 }
        }
        Is::Ready | Is::Retry => Notice {
            colour: "amber",
            text: format!("To {to}: {}. Already waiting since {}.", state.text, frame.say.clock(d.made_at)),
            undo: String::new(),
            left: 0,
        },
        _ => Notice { colour: "blue", text: format!("To {to}: {}.", state.text), undo: String::new(), left: 0 },
    }
}

/// What a person need not read twice is left out: the queue says who asked.
fn told(e: &Entry, say: &Say) -> Option<Told> {
    let (what, mark) = (e.what.as_str(), mark(&e.what, e.outcome.as_deref()));
    if matches!(what, "resend" | "contact") {
        return None;
    }
    let text = match what {
        "retry" if e.outcome.is_none() => e.text.replacen("retry by", "Tried again by", 1),
        "hold" => e.text.replacen("hold by", "Put on hold by", 1),
        "release" => e.text.replacen("release by", "Released by", 1),
        "discard" => e.text.replacen("discard by", "Discarded by", 1),
        _ => e.text.clone(),
    };
    let text = text.split(" (tp_").next().unwrap_or(&text).to_owned();
    let at = UnixMs(e.ms);
    Some(Told { at: say.clock(at), exactly: say.exactly(at), text, detail: e.detail.clone(), mark })
}

/// The colour of an entry's mark.
fn mark(what: &str, outcome: Option<&str>) -> &'static str {
    match (what, outcome) {
        ("delivered", _) => "green",
        (_, Some("accepted")) | ("sending", _) => "blue",
        (_, Some("permanent" | "auth")) | ("bounced" | "dead", _) => "red",
        (_, Some(_)) | ("uncertain", _) => "amber",
        _ => "grey",
    }
}

/// `GET /r/{id}/receipt.html`: the document itself, for the frame of the page.
pub async fn document(State(web): State<Shared>, _: Visitor, Path(id): Path<String>) -> Shown {
    let (receipt, document) = load(&web, &id).await?;
    Ok(render(&web, &receipt, &document, "html", false)?)
}

/// `GET` of an address that only takes a form: the page that it belongs to.
pub async fn back(Path(id): Path<String>) -> Redirect {
    Redirect::to(&format!("/r/{id}"))
}

/// `POST /r/{id}/again`: one touch, to the address that was used last.
pub async fn again(State(web): State<Shared>, Path(id): Path<String>, form: Posted) -> Shown {
    let ask = Ask { actor: form.who.actor(), delay: UNDO, ..Ask::default() };
    match ask_again(&web, &id, ask).await? {
        Sent::Accepted(m) | Sent::Collapsed(m) => Ok(Redirect::to(&format!("/r/{id}?m={m}")).into_response()),
        Sent::Refused(_, why) => view(&web, &id, "", Some(capital(&why))).await,
    }
}

/// `POST /r/{id}/undo`. Too late is not an error: the page says what became of it.
pub async fn undo(State(web): State<Shared>, Path(id): Path<String>, form: Posted) -> Shown {
    let m = form.get("m").to_owned();
    match outbox::apply(&web, m.clone(), "discard".to_owned(), form.who.actor()).await {
        Ok(_) => {}
        Err(problem) if problem.status == StatusCode::CONFLICT => {}
        Err(problem) => return Err(problem.into()),
    }
    Ok(Redirect::to(&format!("/r/{id}?m={m}")).into_response())
}

#[derive(Serialize)]
struct Send {
    id: String,
    number: String,
    total: String,
    known: String,
    channels: Vec<(&'static str, &'static str)>,
    languages: Vec<(String, String)>,
    channel: String,
    address: String,
    language: String,
    fault: String,
}

/// `GET /r/{id}/send`
pub async fn form(State(web): State<Shared>, _: Visitor, Path(id): Path<String>, Query(asked): Query<Asked>) -> Shown {
    ask(&web, &id, Send::of(&web, asked.to)).await
}

impl Send {
    fn of(web: &Web, address: String) -> Send {
        let all = [(Channel::Email, "E-mail"), (Channel::Sms, "Text message")];
        let works = |c: Channel| web.config().channels.get(&c).is_some_and(|s| !s.providers.is_empty());
        let mut channels: Vec<_> = all.iter().filter(|(c, _)| works(*c)).map(|(c, name)| (c.word(), *name)).collect();
        if channels.is_empty() {
            channels.push((Channel::Email.word(), "E-mail"));
        }
        let chosen =
            if address.starts_with('+') && channels.len() > 1 { "sms" } else { channels.first().map_or("email", |(word, _)| *word) };
        let languages = web.composer().languages().map(|tag| (tag.to_owned(), language(tag))).collect();
        let none = String::new;
        Send {
            id: none(),
            number: none(),
            total: none(),
            known: none(),
            channel: chosen.to_owned(),
            language: none(),
            fault: none(),
            channels,
            languages,
            address,
        }
    }
}

async fn ask(web: &Shared, id: &str, mut send: Send) -> Shown {
    let (receipt, _) = load(web, id).await?;
    let frame = Frame::new(web, format!("Send receipt {}", number(&receipt)), "receipts").await?;
    let row = receipt.row;
    let deliveries = web.readers.read(move |read| read.deliveries_of(row)).await?;
    (send.id, send.number) = (receipt.receipt_id.to_string(), number(&receipt));
    (send.total, send.known) = (frame.say.money(receipt.total, &receipt.currency), target(&receipt, &deliveries));
    let frame = if send.fault.is_empty() { frame } else { frame.still() };
    Ok(page(StatusCode::OK, "send.html", &frame, send))
}

/// `POST /r/{id}/send`: to another address, for this once.
pub async fn send(State(web): State<Shared>, Path(id): Path<String>, form: Posted) -> Shown {
    let address = form.get("address").trim().to_owned();
    let fault = match to_other(&web, &id, &form, &address).await? {
        Sent::Accepted(m) | Sent::Collapsed(m) => return Ok(Redirect::to(&format!("/r/{id}?m={m}")).into_response()),
        Sent::Refused(_, why) => capital(&why),
    };
    let (channel, language) = (form.get("channel").to_owned(), form.get("language").to_owned());
    ask(&web, &id, Send { channel, language, fault, ..Send::of(&web, address) }).await
}

async fn to_other(web: &Web, id: &str, form: &Posted, address: &str) -> Answer<Sent> {
    if address.is_empty() {
        return Ok(Sent::Refused("no_address", "type an address first".to_owned()));
    }
    let channel = match form.get("channel") {
        "" => None,
        word => Some(
            Channel::from_word(word)
                .ok_or_else(|| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "unknown_word", "This way is not known."))?,
        ),
    };
    let (receipt, _) = load(web, id).await?;
    let late_contact = !receipt.no_message.is_empty();
    let ask = Ask {
        channel,
        address: address.to_owned(),
        language: form.get("language").to_owned(),
        late_contact,
        actor: form.who.actor(),
        delay: UNDO,
    };
    ask_again(web, id, ask).await
}

fn language(tag: &str) -> String {
    let name = match tag.split('-').next().unwrap_or(tag) {
        "en" => "English",
        "de" => "Deutsch",
        "es" => "Español",
        "fr" => "Français",
        "it" => "Italiano",
        "nl" => "Nederlands",
        "pt" => "Português",
        other => other,
    };
    name.to_owned()
}

/// A sentence begins with a capital and ends with a full stop.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first: String = letters.next().map(|c| c.to_uppercase().collect()).unwrap_or_default();
    format!("{first}{}{}", letters.as_str(), if text.ends_with('.') { "" } else { "." })
}
