//! Mandrill (Mailchimp Transactional): mail by its API 1.4.
//!
//! Each recipient of an answer has a status of its own, within a 200. Faults of a client come as 500 too, so
//! they are told by their name, never by status or code.

use crate::config::TypeKeys;
use crate::config::checked::{Provider as Settings, Rate};
use crate::config::key::{Shape, optional, required};
use crate::config::secret::Secret;
use crate::domain::channel::Channel;
use crate::domain::content::{Content, Email, Outgoing};
use crate::domain::outcome::{Class, Outcome, Scope, Suppress};
use crate::domain::text::scrub;
use crate::domain::time::UnixMs;
use crate::http::{Answer, Request, check_base_url, form};
use crate::providers::callback::{self, Bounce, Call, Event, EventKind, Known, Refusal, Report, text};
use crate::providers::merge::Batch;
use crate::providers::shared::{
    CALLBACK_URL, TAGS, TRACK, Track, by_status, content_type, headers, not_theirs, parties, refused, set, subject, texts,
};
use crate::providers::{At, BATCH, Found, Health, HttpProvider, Idempotency, Judged, Kind, Page, Poll, STATUS, Step, Wire, wrong_content};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY;
use serde_json::{Value, json};
use std::time::Duration;

/// What it is.
pub static KIND: Kind = Kind {
    keys: TypeKeys {
        name: "mandrill",
        doc: "Mail by Mandrill, Mailchimp's transactional service.",
        channels: &[Channel::Email],
        keys: KEYS,
        example: "type = \"mandrill\"\napi_key = \"md-your key\"\n",
    },
    idempotency: Idempotency::None,
    rate: Rate::per_second(50),
    concurrency: 10,
    batch: 1000,
    keeps_content: false,
    classify: Some(classify),
    callback: Some(report),
    build,
};

const KEYS: &[crate::config::Key] = &[
    required("api_key", Shape::Secret, "The API key."),
    optional("subaccount", Shape::Text, "Subaccount that the mails are counted under."),
    TRACK,
    TAGS,
    optional("callback", Shape::Table(CALLBACK), "How its webhooks are verified."),
];

const CALLBACK: &[crate::config::Key] =
    &[CALLBACK_URL, optional("webhook_key", Shape::Secret, "The webhook's key, as Mandrill's settings show it.")];

/// An account's settings.
#[derive(Clone, Debug)]
pub struct Mandrill {
    base_url: String,
    api_key: Secret,
    subaccount: String,
    track: Track,
    tags: Vec<String>,
}

fn build(settings: &Settings) -> Result<Wire, String> {
    let own = &settings.settings;
    if own.secret("api_key").is_empty() {
        return Err("api_key is empty".to_owned());
    }
    // Names that begin with an underscore are Mandrill's own.
    let tags = texts(own, "tags").into_iter().filter(|tag| !tag.starts_with('_')).map(|tag| tag.chars().take(50).collect()).collect();
    Ok(Wire::Http(Box::new(Mandrill {
        base_url: check_base_url(settings.base_url.as_deref().unwrap_or("https://mandrillapp.com"), settings.allow_insecure)?,
        api_key: own.secret("api_key"),
        subaccount: own.text("subaccount").to_owned(),
        track: Track::of(own),
        tags,
    })))
}

impl Mandrill {
    fn ask(&self, rest: &str, mut body: Value) -> Request {
        set(&mut body, "key", self.api_key.expose());
        let url = format!("{}/api/1.4/{rest}", self.base_url);
        Request { method: "POST", url, headers: vec![content_type("application/json")], body: body.to_string().into_bytes() }
    }

    /// Everything but recipients and content.
    fn frame(&self, email: &Email, to: &str) -> Result<(Value, String), Outcome> {
        let (from, to, reply_to) = parties(email, to)?;
        let mut own: serde_json::Map<String, Value> = headers(email).into_iter().map(|(name, value)| (name, value.into())).collect();
        if let Some(reply_to) = reply_to {
            own.insert("Reply-To".into(), reply_to.text().into());
        }
        let mut message = json!({
            "from_email": from.address,
            "headers": own,
            "track_opens": self.track.opens,
            "track_clicks": self.track.clicks,
            // Recipients see themselves only, and Mandrill's log keeps no content.
            "preserve_recipients": false,
            "view_content_link": false,
        });
        if !from.name.is_empty() {
            set(&mut message, "from_name", from.name);
        }
        if !self.tags.is_empty() {
            set(&mut message, "tags", self.tags.iter().cloned().collect::<Value>());
        }
        if !self.subaccount.is_empty() {
            set(&mut message, "subaccount", self.subaccount.as_str());
        }
        Ok((message, to))
    }
}

fn content(message: &mut Value, subject: String, text: String, html: String) {
    set(message, "subject", subject);
    for (name, value) in [("text", text), ("html", html)] {
        if !value.is_empty() {
            set(message, name, value);
        }
    }
}

impl HttpProvider for Mandrill {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn base_url(&self) -> &str {
        &self.base_url
    }

    fn request(&self, message: &Outgoing, _at: At<'_>) -> Result<Vec<Step>, Outcome> {
        let Content::Email(email) = &message.content else { return Err(wrong_content(&KIND)) };
        let (mut mail, to) = self.frame(email, &message.to)?;
        content(&mut mail, subject(email), email.text.clone(), email.html.clone());
        set(&mut mail, "to", json!([{"email": to, "type": "to"}]));
        set(&mut mail, "metadata", json!({"tp_id": message.step.as_str()}));
        Ok(Step::send(self.ask("messages/send", json!({"message": mail, "async": false}))))
    }

    /// By recipient, as a search by metadata finds nothing where the account was not told to keep it.
    fn lookup(&self, message: &Outgoing, since: UnixMs, _at: At<'_>) -> Option<Request> {
        let day = (since - Duration::from_secs(300)).instant().strftime("%Y-%m-%d").to_string();
        let query = format!("full_email:{}", message.to.replace([' ', '"'], ""));
        Some(self.ask("messages/search", json!({"query": query, "date_from": day, "limit": 1000})))
    }

    fn found(&self, message: &Outgoing, _since: UnixMs, answer: &Answer, now: UnixMs) -> Found {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        let Some(all) = body.as_array().filter(|_| answer.is_success()) else {
            return Found::Unknown(classify(STATUS, answer, now).outcome);
        };
        let ours = |one: &&Value| one.pointer("/metadata/tp_id").and_then(Value::as_str) == Some(message.step.as_str());
        match all.iter().find(ours) {
            Some(one) => Found::Yes(Some(text(one, "_id"))),
            None if all.len() >= 1000 => {
                Found::Unknown(Outcome::new(Class::Uncertain, Scope::Message, "too many mails to this address to look through"))
            }
            None => Found::No,
        }
    }

    fn lists(&self) -> &'static [&'static str] {
        &["rejects"]
    }

    fn poll(&self, _poll: Poll<'_>, _at: At<'_>) -> Option<Request> {
        Some(self.ask("rejects/list", json!({"include_expired": true})))
    }

    /// The whole list, newest entries among it: what is older was told before.
    fn polled(&self, poll: Poll<'_>, answer: &Answer, now: UnixMs) -> Result<Page, Outcome> {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        let all = body.as_array().filter(|_| answer.is_success()).ok_or_else(|| classify(STATUS, answer, now).outcome)?;
        let recent = all.iter().filter_map(rejected).filter(|event| event.at.is_some_and(|at| at >= poll.since));
        Ok(Page { events: recent.collect(), next: None })
    }

    fn batch(&self, messages: &[&Outgoing], _at: At<'_>) -> Option<Request> {
        let mut batch = Batch::new(messages, |n| format!("*|TP{n}|*"), &["*|"])?;
        let first = *batch.mails.first()?;
        // Headers know no merge tags.
        if batch.mails.iter().any(|mail| headers(mail) != headers(first)) {
            return None;
        }
        let (mut mail, _) = self.frame(first, &messages.first()?.to).ok()?;
        content(&mut mail, batch.part(subject)?, batch.part(|m| m.text.clone())?, batch.part(|m| m.html.clone())?);
        let (mut to, mut vars, mut metadata) = (Vec::new(), Vec::new(), Vec::new());
        for ((message, email), values) in messages.iter().zip(&batch.mails).zip(&batch.values) {
            let (_, address, _) = parties(email, &message.to).ok()?;
            let own: Vec<Value> = values.iter().enumerate().map(|(n, v)| json!({"name": format!("TP{n}"), "content": v})).collect();
            metadata.push(json!({"rcpt": address, "values": {"tp_id": message.step.as_str()}}));
            vars.push(json!({"rcpt": address, "vars": own}));
            to.push(json!({"email": address, "type": "to"}));
        }
        set(&mut mail, "to", to);
        set(&mut mail, "recipient_metadata", metadata);
        set(&mut mail, "merge_language", "mailchimp");
        set(&mut mail, "merge_vars", vars);
        Some(self.ask("messages/send", json!({"message": mail, "async": true})))
    }

    fn probe(&self, _at: At<'_>) -> Option<Request> {
        Some(self.ask("users/info", json!({})))
    }

    fn probed(&self, answer: &Answer, now: UnixMs) -> Health {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        if !answer.is_success() || text(&body, "username").is_empty() {
            return classify(STATUS, answer, now).outcome.into();
        }
        let backlog = body.get("backlog").and_then(Value::as_u64).unwrap_or(0);
        let warning = (backlog > 0).then(|| format!("{backlog} mails wait at Mandrill for the hourly quota"));
        Health { warning, ..Outcome::accepted(None).into() }
    }
}

/// What an answer means.
pub fn classify(operation: &str, answer: &Answer, now: UnixMs) -> Judged {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    match (&body, operation) {
        (Value::Array(all), BATCH) if answer.is_success() && !all.is_empty() => Judged {
            entries: all.iter().map(entry).collect(),
            recipients: all.iter().map(|one| text(one, "email")).collect(),
            ..Outcome::accepted(None).into()
        },
        (Value::Array(all), _) if answer.is_success() && !all.is_empty() => {
            all.first().map(entry).unwrap_or_else(|| not_theirs("Mandrill")).into()
        }
        _ if answer.is_success() && text(&body, "name").is_empty() => not_theirs("Mandrill").into(),
        _ => fault(operation, &body, answer, now).into(),
    }
}

fn fault(operation: &str, body: &Value, answer: &Answer, now: UnixMs) -> Outcome {
    let name = text(body, "name");
    let judged = match name.as_str() {
        "Invalid_Key" | "PaymentRequired" | "Unknown_Subaccount" => (Class::Auth, Scope::Account),
        "RequestLimitExceeded" => (Class::Throttle, Scope::Account),
        "GeneralError" | "ServiceUnavailable" => (Class::Retry, Scope::Account),
        "ValidationError" | "Unknown_Template" => (Class::Permanent, Scope::Message),
        other if other.starts_with("Invalid_") => (Class::Permanent, Scope::Message),
        _ => by_status(answer.status, operation != STATUS),
    };
    refused(answer, now, judged, &format!("{name} {}", text(body, "message")))
}

fn entry(one: &Value) -> Outcome {
    let (status, reason) = (text(one, "status"), text(one, "reject_reason"));
    let id = Some(text(one, "_id")).filter(|id| !id.is_empty());
    let (class, scope) = match (status.as_str(), reason.as_str()) {
        ("sent" | "queued" | "scheduled", _) => return Outcome::accepted(id),
        ("rejected", "unsigned" | "invalid-sender" | "test-mode-limit") => (Class::Auth, Scope::Account),
        ("rejected", "rule") => (Class::Permanent, Scope::Message),
        ("rejected" | "invalid", _) => (Class::Permanent, Scope::Recipient),
        _ => return not_theirs("Mandrill"),
    };
    Outcome { provider_id: id, suppress: denied(&reason), ..Outcome::new(class, scope, scrub(&format!("{status} {reason}"))) }
}

/// Why an address is on the account's list of those not to be written to.
fn denied(reason: &str) -> Option<Suppress> {
    match reason {
        "hard-bounce" => Some(Suppress::HardBounce),
        "spam" => Some(Suppress::Complaint),
        "unsub" => Some(Suppress::Unsubscribe),
        "custom" => Some(Suppress::Manual),
        _ => None,
    }
}

/// Verifies and reads a webhook: HMAC over the URL and the sorted fields of the form.
fn report(settings: &Settings, call: &Call, _known: &Known<'_>) -> Result<Report, Refusal> {
    // How Mandrill tries a URL that it was just told.
    if call.method == "HEAD" {
        return Ok(Report::default());
    }
    let key = callback::secret(settings, "webhook_key");
    if key.is_empty() {
        return Err(callback::UNSET);
    }
    let signature = call.header("X-Mandrill-Signature").ok_or(callback::MISSING)?;
    let signature = BASE64_STANDARD.decode(signature.trim()).map_err(|_| callback::WRONG)?;
    let mut fields = form::parse(&call.body);
    fields.sort();
    let signed: String = fields.iter().map(|(name, value)| format!("{name}{value}")).collect();
    let fits = callback::signed_urls(settings, call)
        .iter()
        .any(|url| callback::hmac_fits(HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key, format!("{url}{signed}").as_bytes(), &signature));
    if !fits {
        return Err(callback::WRONG);
    }
    let (_, events) = fields.iter().find(|(name, _)| name == "mandrill_events").ok_or(callback::MALFORMED)?;
    let events: Value = serde_json::from_str(events).map_err(|_| callback::MALFORMED)?;
    let all = events.as_array().ok_or(callback::MALFORMED)?.iter().take(callback::MOST_EVENTS);
    Ok(Report { events: all.filter_map(|one| event(one).or_else(|| list_changed(one))).collect(), ..Report::default() })
}

/// Of a message.
fn event(one: &Value) -> Option<Event> {
    let (null, word) = (Value::Null, text(one, "event"));
    let message = one.get("msg").unwrap_or(&null);
    let rejected = message.pointer("/reject/reason").and_then(Value::as_str).unwrap_or_default();
    let (kind, bounce, suppress) = match word.as_str() {
        "send" => (EventKind::Sent, None, None),
        "delivered" => (EventKind::Delivered, None, None),
        "deferral" => (EventKind::Deferred, None, None),
        "hard_bounce" => (EventKind::Bounced, Some(Bounce::Hard), Some(Suppress::HardBounce)),
        "soft_bounce" => (EventKind::Bounced, Some(Bounce::Soft), None),
        "reject" => (EventKind::Dropped, None, denied(rejected)),
        "spam" => (EventKind::Complained, None, Some(Suppress::Complaint)),
        "unsub" => (EventKind::Unsubscribed, None, Some(Suppress::Unsubscribe)),
        "open" => (EventKind::Opened, None, None),
        "click" => (EventKind::Clicked, None, None),
        _ => return None,
    };
    let id = [text(one, "_id"), text(message, "_id")].into_iter().find(|id| !id.is_empty()).unwrap_or_default();
    let ours = message.pointer("/metadata/tp_id").and_then(Value::as_str).filter(|id| !id.is_empty());
    Some(Event {
        bounce,
        suppress,
        url: Some(text(one, "url")).filter(|url| kind == EventKind::Clicked && !url.is_empty()),
        at: callback::seconds(one.get("ts")),
        key: format!("{id} {word} {}", text(one, "ts")),
        text: scrub(&text(message, "diag")),
        ..Event::new(kind, text(message, "email"), ours.map_or_else(|| id.clone(), str::to_owned))
    })
    .map(|event| Event { provider_id: id, ..event })
}

/// An entry of the list names an address only.
fn rejected(one: &Value) -> Option<Event> {
    let (email, reason, at) = (text(one, "email"), text(one, "reason"), text(one, "last_event_at"));
    let event = |kind| Event::new(kind, email.as_str(), "");
    let event = match reason.as_str() {
        "hard-bounce" => event(EventKind::Bounced).bounced(Bounce::Hard),
        "soft-bounce" => event(EventKind::Bounced).bounced(Bounce::Soft),
        "spam" => event(EventKind::Complained).suppressing(Some(Suppress::Complaint)),
        "unsub" => event(EventKind::Unsubscribed).suppressing(Some(Suppress::Unsubscribe)),
        "custom" => event(EventKind::Dropped).suppressing(Some(denied(&reason).unwrap_or(Suppress::Manual))),
        _ => return None,
    };
    let moment = UnixMs::parse_rfc3339(&format!("{}Z", at.replace(' ', "T")));
    Some(Event { at: moment, key: format!("rejects {reason} {email} {at}"), text: scrub(&text(one, "detail")), ..event })
}

/// Of the account's list: an address came onto it or left it.
fn list_changed(one: &Value) -> Option<Event> {
    let (null, action) = (Value::Null, text(one, "action"));
    if text(one, "type") != "blacklist" {
        return None;
    }
    let entry = one.get("reject").unwrap_or(&null);
    let email = text(entry, "email");
    let event = match action.as_str() {
        "add" => {
            Event::new(EventKind::Dropped, email.as_str(), "").suppressing(Some(denied(&text(entry, "reason")).unwrap_or(Suppress::Manual)))
        }
        "remove" => Event::new(EventKind::Resubscribed, email.as_str(), ""),
        _ => return None,
    };
    Some(Event { at: callback::seconds(one.get("ts")), key: format!("list {action} {email} {}", text(one, "ts")), ..event })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::SEND;
    use crate::providers::conformance::{NOWHERE, account, email, only, post, sms, taken, verdict};
    use ring::hmac;

    fn wire(more: &str) -> Box<dyn HttpProvider> {
        match build(&account("mandrill", &format!("api_key = \"md-k\"\n{more}"))).unwrap() {
            Wire::Http(http) => http,
            _ => unreachable!(),
        }
    }

    fn body(request: &Request) -> Value {
        serde_json::from_slice(&request.body).unwrap()
    }

    #[test]
    fn its_list_of_rejects_names_addresses() {
        let wire = wire("");
        let poll = Poll { list: "rejects", since: UnixMs::parse_rfc3339("2026-10-03T12:00:00Z").unwrap(), page: None };
        assert!(wire.poll(poll, NOWHERE).unwrap().url.ends_with("/rejects/list"));
        let entry = |reason: &str, at: &str| json!({"email": "kim@example.org", "reason": reason, "detail": "550", "last_event_at": at});
        let body = json!([
            entry("hard-bounce", "2026-10-03 15:30:00"),
            entry("spam", "2026-10-03 15:30:01"),
            entry("custom", "2026-10-03 15:30:02"),
            entry("hard-bounce", "2026-10-02 15:30:00")
        ]);
        let answer = |status, body: Value| Answer { status, headers: Vec::new(), body: body.to_string().into_bytes() };
        let page = wire.polled(poll, &answer(200, body), NOWHERE.now).unwrap();
        let told: Vec<_> = page.events.iter().map(|e| (e.kind, e.suppress)).collect();
        let list = denied("custom").unwrap_or(Suppress::Manual);
        assert_eq!(
            told,
            [
                (EventKind::Bounced, Some(Suppress::HardBounce)),
                (EventKind::Complained, Some(Suppress::Complaint)),
                (EventKind::Dropped, Some(list))
            ]
        );
        assert_eq!(page.events[0].at, UnixMs::parse_rfc3339("2026-10-03T15:30:00Z"));
        let refused = json!({"status": "error", "code": -1, "name": "Invalid_Key", "message": "no"});
        assert_eq!(wire.polled(poll, &answer(500, refused), NOWHERE.now).unwrap_err().class, Class::Auth);
    }

    #[test]
    fn a_mail_of_which_nobody_else_learns() {
        let message = email("kim@example.org");
        let request = only(wire("tags = [\"receipt\", \"_own\"]\nsubaccount = \"store-7\"").request(&message, NOWHERE));
        assert_eq!(request.url, "https://mandrillapp.com/api/1.4/messages/send");
        let body = body(&request);
        assert_eq!((&body["key"], &body["async"]), (&json!("md-k"), &json!(false)));
        let mail = &body["message"];
        assert_eq!((&mail["from_email"], &mail["from_name"]), (&json!("receipts@cmart.example"), &json!("Corner Mart")));
        assert_eq!((&mail["to"], &mail["tags"]), (&json!([{"email": "kim@example.org", "type": "to"}]), &json!(["receipt"])));
        assert_eq!(
            (&mail["preserve_recipients"], &mail["view_content_link"], &mail["track_opens"]),
            (&json!(false), &json!(false), &json!(false))
        );
        assert_eq!(
            (&mail["headers"]["Reply-To"], &mail["metadata"]["tp_id"]),
            (&json!("help@cmart.example"), &json!(message.step.as_str()))
        );
        assert_eq!(wire("").request(&sms("+16075550100"), NOWHERE).unwrap_err().class, Class::Permanent);
    }

    #[test]
    fn a_batch_has_merge_tags() {
        let mut messages = [email("kim@example.org"), email("ana@example.org")].map(|mut message| {
            let Content::Email(content) = &mut message.content else { unreachable!() };
            content.html = format!("<p>Hi {}", message.to);
            message
        });
        let body = body(&wire("").batch(&messages.each_ref(), NOWHERE).unwrap());
        assert_eq!((&body["async"], &body["message"]["html"]), (&json!(true), &json!("*|TP0|*")));
        assert_eq!(
            body["message"]["merge_vars"][1],
            json!({"rcpt": "ana@example.org", "vars": [{"name": "TP0", "content": "<p>Hi ana@example.org"}]})
        );
        assert_eq!(body["message"]["recipient_metadata"][0]["rcpt"], "kim@example.org");
        let Content::Email(content) = &mut messages[0].content else { unreachable!() };
        content.headers.push(("List-Unsubscribe".into(), "<https://u.example/1>".into()));
        assert!(wire("").batch(&messages.each_ref(), NOWHERE).is_none());
    }

    #[test]
    fn odd_answers() {
        let judge = |status, body: &str| classify(SEND, &Answer { status, headers: Vec::new(), body: body.into() }, UnixMs(0)).outcome;
        assert_eq!(judge(200, "<html>").class, Class::Uncertain);
        assert_eq!(judge(200, "[]").class, Class::Uncertain);
        assert_eq!(judge(500, r#"{"status":"error","name":"ValidationError"}"#).class, Class::Permanent);
        assert_eq!(judge(200, r#"{"status":"error","name":"Invalid_Key"}"#).class, Class::Auth);
        assert_eq!(judge(502, "").class, Class::Uncertain);
    }

    const KEYS: &str = "callback = { webhook_key = \"canary\" }";

    fn signed(events: &str) -> Call {
        let body = form::urlencoded(&[("mandrill_events", events)]);
        let mut call = post(&[], body.as_bytes());
        let key = hmac::Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"canary");
        let code = hmac::sign(&key, format!("{}mandrill_events{events}", call.url).as_bytes());
        call.headers.push(("X-Mandrill-Signature".into(), BASE64_STANDARD.encode(code)));
        call
    }

    #[test]
    fn only_what_mandrill_signed_is_taken() {
        let good =
            signed(r#"[{"event":"send","_id":"m1","ts":1791043600,"msg":{"email":"kim@example.org","metadata":{"tp_id":"tp_a.10"}}}]"#);
        let event = taken("mandrill", KEYS, &good).events.remove(0);
        assert_eq!((event.kind, event.message_ref.as_str(), event.provider_id.as_str()), (EventKind::Sent, "tp_a.10", "m1"));
        assert_eq!((event.key.as_str(), event.at), ("m1 send 1791043600", Some(UnixMs(1_791_043_600_000))));
        let mut altered = good.clone();
        altered.body.extend_from_slice(b"&x=1");
        assert_eq!(verdict("mandrill", KEYS, &altered), "signature_wrong");
        let elsewhere = format!("{} ", KEYS.replace(" }", ", url = \"https://shop.example/x\" }"));
        assert_eq!(verdict("mandrill", &elsewhere, &good), "signature_wrong");
        assert_eq!(verdict("mandrill", KEYS, &post(&[], &good.body)), "signature_missing");
        assert_eq!(verdict("mandrill", "", &good), "not_configured");
        assert_eq!(verdict("mandrill", KEYS, &signed("{}")), "malformed");
        let head = Call { method: "HEAD".into(), ..Call::default() };
        assert!(taken("mandrill", KEYS, &head).events.is_empty());
    }

    #[test]
    fn events_are_read_each_in_its_meaning() {
        use EventKind::{Bounced, Clicked, Complained, Deferred, Dropped, Opened, Resubscribed, Unsubscribed};
        for (json, meaning) in [
            (r#""event":"deferral""#, Some((Deferred, None, None))),
            (r#""event":"hard_bounce""#, Some((Bounced, Some(Bounce::Hard), Some(Suppress::HardBounce)))),
            (r#""event":"soft_bounce""#, Some((Bounced, Some(Bounce::Soft), None))),
            (r#""event":"reject""#, Some((Dropped, None, Some(Suppress::Unsubscribe)))),
            (r#""event":"spam""#, Some((Complained, None, Some(Suppress::Complaint)))),
            (r#""event":"unsub""#, Some((Unsubscribed, None, Some(Suppress::Unsubscribe)))),
            (r#""event":"open""#, Some((Opened, None, None))),
            (r#""event":"click","url":"https://x.example""#, Some((Clicked, None, None))),
            (
                r#""type":"blacklist","action":"add","reject":{"email":"kim@example.org","reason":"rule"}"#,
                Some((Dropped, None, Some(Suppress::Manual))),
            ),
            (r#""type":"blacklist","action":"remove","reject":{"email":"kim@example.org"}"#, Some((Resubscribed, None, None))),
            (r#""type":"whitelist","action":"add""#, None),
            (r#""event":"inbound""#, None),
        ] {
            let events = format!(
                "[{{\"_id\":\"m1\",\"ts\":1,\"msg\":{{\"email\":\"kim@example.org\",\"reject\":{{\"reason\":\"unsub\"}}}},{json}}}]"
            );
            let report = taken("mandrill", KEYS, &signed(&events));
            assert_eq!(report.events.first().map(|e| (e.kind, e.bounce, e.suppress)), meaning, "{json}");
            assert!(report.events.iter().all(|e| e.recipient == "kim@example.org"), "{json}");
        }
    }

    #[test]
    fn look_up_and_probe() {
        let wire = wire("");
        let message = email("kim@example.org");
        let request = wire.lookup(&message, UnixMs(1_791_043_664_000), NOWHERE).unwrap();
        assert_eq!(body(&request), json!({"key": "md-k", "query": "full_email:kim@example.org", "date_from": "2026-10-03", "limit": 1000}));
        let answer = |status, body: &str| Answer { status, headers: Vec::new(), body: body.into() };
        let found = |status, body: &str| wire.found(&message, UnixMs(0), &answer(status, body), UnixMs(0));
        assert_eq!(found(200, &format!(r#"[{{"_id":"m1","metadata":{{"tp_id":"{}"}}}}]"#, message.step)), Found::Yes(Some("m1".into())));
        assert_eq!(found(200, "[]"), Found::No);
        assert!(matches!(found(500, r#"{"name":"ServiceUnavailable"}"#), Found::Unknown(o) if o.class == Class::Retry));
        assert!(wire.probed(&answer(200, r#"{"username":"x","backlog":7}"#), UnixMs(0)).warning.is_some());
        assert_eq!(wire.probed(&answer(500, r#"{"name":"Invalid_Key"}"#), UnixMs(0)).outcome.class, Class::Auth);
    }
}
