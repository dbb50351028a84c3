//! Mailgun: mail by its Messages API, in the US and in the EU.
//!
//! Its webhooks sign a moment and a token, not the event: so the token counts once, and the moment must be
//! near. An answer 404 mostly means that the domain lives in the other region.

use crate::config::TypeKeys;
use crate::config::checked::{Provider as Settings, Rate};
use crate::config::key::{Shape, optional, required};
use crate::config::secret::Secret;
use crate::domain::channel::Channel;
use crate::domain::content::{Content, Email, Outgoing};
use crate::domain::ids::{hash16, hex};
use crate::domain::outcome::{Class, Outcome, Scope, Suppress};
use crate::domain::text::scrub;
use crate::domain::time::UnixMs;
use crate::http::{Answer, Request, ascii_domain, check_base_url, form, retry_after};
use crate::providers::callback::{self, Bounce, Call, Event, EventKind, Known, Refusal, Report, text};
use crate::providers::merge::Batch;
use crate::providers::shared::{
    CALLBACK_URL, TAGS, TRACK, Track, basic, by_status, content_type, headers, not_theirs, parties, refused, subject, texts, wait,
};
use crate::providers::{At, Found, Health, HttpProvider, Idempotency, Judged, Kind, Page, Poll, STATUS, Step, Wire, wrong_content};
use ring::hmac::HMAC_SHA256;
use serde_json::{Map, Value};
use std::time::Duration;

/// What it is.
pub static KIND: Kind = Kind {
    keys: TypeKeys {
        name: "mailgun",
        doc: "Mail by Mailgun's Messages API.",
        channels: &[Channel::Email],
        keys: KEYS,
        example: "type = \"mailgun\"\napi_key = \"the API key\"\ndomain = \"mg.cmart.example\"\n",
    },
    idempotency: Idempotency::None,
    rate: Rate::per_second(50),
    concurrency: 10,
    batch: 1000,
    keeps_content: false,
    classify: Some(judge),
    callback: Some(report),
    build,
};

const KEYS: &[crate::config::Key] = &[
    required("api_key", Shape::Secret, "An API key. For a domain in the EU set base_url = \"https://api.eu.mailgun.net\"."),
    required("domain", Shape::Text, "The sending domain, as Mailgun knows it."),
    optional("require_tls", Shape::Bool, "Mailgun delivers over TLS or not at all."),
    optional("test_mode", Shape::Bool, "Mailgun takes each mail and sends none."),
    TRACK,
    TAGS,
    optional("callback", Shape::Table(CALLBACK), "How its webhooks are verified."),
];

const CALLBACK: &[crate::config::Key] = &[CALLBACK_URL, optional("signing_key", Shape::Secret, "The HTTP webhook signing key.")];

/// An account's settings.
#[derive(Clone, Debug)]
pub struct Mailgun {
    base_url: String,
    api_key: Secret,
    domain: String,
    require_tls: bool,
    test_mode: bool,
    track: Track,
    tags: Vec<String>,
}

fn build(settings: &Settings) -> Result<Wire, String> {
    let own = &settings.settings;
    let domain = ascii_domain(own.text("domain")).ok_or("domain must be a domain alone, e.g. mg.cmart.example")?;
    if own.secret("api_key").is_empty() {
        return Err("api_key is empty".to_owned());
    }
    Ok(Wire::Http(Box::new(Mailgun {
        base_url: check_base_url(settings.base_url.as_deref().unwrap_or("https://api.mailgun.net"), settings.allow_insecure)?,
        api_key: own.secret("api_key"),
        domain,
        require_tls: own.flag("require_tls"),
        test_mode: own.flag("test_mode"),
        track: Track::of(own),
        tags: texts(own, "tags"),
    })))
}

type Fields<'a> = Vec<(&'a str, String)>;

impl Mailgun {
    fn ask(&self, rest: &str) -> Request {
        let url = format!("{}/v3/{rest}", self.base_url);
        Request { method: "GET", url, headers: vec![basic("api", self.api_key.expose())], body: Vec::new() }
    }

    /// Everything but recipients, content and our id.
    fn frame(&self, email: &Email, to: &str) -> Result<Fields<'static>, Outcome> {
        let (from, _, reply_to) = parties(email, to)?;
        let word = |yes: bool, on: &str| if yes { on.to_owned() } else { "no".to_owned() };
        let mut fields = vec![
            ("from", from.text()),
            ("o:tracking", word(self.track.opens || self.track.clicks, "yes")),
            ("o:tracking-opens", word(self.track.opens, "yes")),
            ("o:tracking-clicks", word(self.track.clicks, "htmlonly")),
        ];
        fields.extend(reply_to.map(|reply_to| ("h:Reply-To", reply_to.text())));
        fields.extend(self.tags.iter().take(3).map(|tag| ("o:tag", tag.clone())));
        fields.extend(self.require_tls.then(|| ("o:require-tls", "yes".to_owned())));
        fields.extend(self.test_mode.then(|| ("o:testmode", "yes".to_owned())));
        Ok(fields)
    }

    fn post(&self, fields: &Fields<'_>) -> Request {
        // The same fields give the same boundary, and nobody can write it into one of them beforehand.
        let all: String = fields.iter().map(|(name, value)| format!("{name}\n{value}\n")).collect();
        let boundary = format!("tillpost-{}", hex(&hash16(all.as_bytes())));
        let mut request = self.ask(&format!("{}/messages", self.domain));
        request.method = "POST";
        request.headers.push(content_type(&format!("multipart/form-data; boundary={boundary}")));
        request.body = form::multipart(&boundary, fields);
        request
    }
}

/// The parts of a mail that are there.
fn content(fields: &mut Fields<'_>, subject: String, text: String, html: String) {
    fields.push(("subject", subject));
    fields.extend([("text", text), ("html", html)].into_iter().filter(|(_, value)| !value.is_empty()));
}

impl HttpProvider for Mailgun {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn base_url(&self) -> &str {
        &self.base_url
    }

    fn request(&self, message: &Outgoing, _at: At<'_>) -> Result<Vec<Step>, Outcome> {
        let Content::Email(email) = &message.content else { return Err(wrong_content(&KIND)) };
        let (_, to, _) = parties(email, &message.to)?;
        let own: Vec<(String, String)> = headers(email).into_iter().map(|(name, value)| (format!("h:{name}"), value)).collect();
        let mut fields = self.frame(email, &message.to)?;
        fields.push(("to", to));
        content(&mut fields, subject(email), email.text.clone(), email.html.clone());
        fields.push(("v:tp_id", message.step.to_string()));
        let mut fields: Fields<'_> = fields;
        fields.extend(own.iter().map(|(name, value)| (name.as_str(), value.clone())));
        Ok(Step::send(self.post(&fields)))
    }

    /// Mailgun calls its Events API old, but has not ended it: this is the only place that knows it.
    fn lookup(&self, message: &Outgoing, since: UnixMs, _at: At<'_>) -> Option<Request> {
        let begin = (since - Duration::from_secs(300)).0.max(0) / 1000;
        let to = form::percent(&message.to);
        Some(self.ask(&format!("{}/events?event=accepted&ascending=yes&limit=300&begin={begin}&recipient={to}", self.domain)))
    }

    fn found(&self, message: &Outgoing, _since: UnixMs, answer: &Answer, now: UnixMs) -> Found {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        let Some(items) = body.get("items").and_then(Value::as_array).filter(|_| answer.is_success()) else {
            return Found::Unknown(classify(STATUS, answer, now));
        };
        let ours = |item: &&Value| item.pointer("/user-variables/tp_id").and_then(Value::as_str) == Some(message.step.as_str());
        match items.iter().find(ours) {
            Some(item) => Found::Yes(item.pointer("/message/headers/message-id").and_then(Value::as_str).map(str::to_owned)),
            None if items.len() >= 300 => {
                Found::Unknown(Outcome::new(Class::Uncertain, Scope::Message, "too many mails to this address to look through"))
            }
            None => Found::No,
        }
    }

    fn lists(&self) -> &'static [&'static str] {
        &["events"]
    }

    fn poll(&self, poll: Poll<'_>, _at: At<'_>) -> Option<Request> {
        let begin = poll.since.0.max(0) / 1000;
        let mut request = self.ask(&format!("{}/events?ascending=yes&limit=300&begin={begin}", self.domain));
        // The next page is an address of theirs: the key goes to no other.
        if let Some(next) = poll.page {
            request.url = next.strip_prefix(self.base_url.as_str()).map(|rest| format!("{}{rest}", self.base_url))?;
        }
        Some(request)
    }

    fn polled(&self, _poll: Poll<'_>, answer: &Answer, now: UnixMs) -> Result<Page, Outcome> {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        let items = body.get("items").and_then(Value::as_array).filter(|_| answer.is_success());
        let items = items.ok_or_else(|| classify(STATUS, answer, now))?;
        let events = items.iter().filter_map(event).filter(|event| event.kind != EventKind::Queued).collect();
        let ours = format!("{}/v3/{}/events/", self.base_url, self.domain);
        let next = body.pointer("/paging/next").and_then(Value::as_str).filter(|next| items.len() >= 300 && next.starts_with(&ours));
        Ok(Page { events, next: next.map(str::to_owned) })
    }

    fn batch(&self, messages: &[&Outgoing], _at: At<'_>) -> Option<Request> {
        let mut batch = Batch::new(messages, |n| format!("%recipient.h{n}%"), &["%recipient"])?;
        let first = *batch.mails.first()?;
        let names: Vec<String> = headers(first).into_iter().map(|(name, _)| name).collect();
        let mut fields = self.frame(first, &messages.first()?.to).ok()?;
        content(&mut fields, batch.part(subject)?, batch.part(|mail| mail.text.clone())?, batch.part(|mail| mail.html.clone())?);
        let mut own = Vec::with_capacity(names.len());
        for (at, name) in names.iter().enumerate() {
            let same = batch.mails.iter().all(|mail| headers(mail).get(at).is_some_and(|(n, _)| n == name));
            let value = batch.part(|mail| headers(mail).get(at).map(|(_, value)| value.clone()).unwrap_or_default())?;
            own.push((format!("h:{name}"), Some(value).filter(|_| same)?));
        }
        let mut variables = Map::new();
        for ((message, email), values) in messages.iter().zip(&batch.mails).zip(&batch.values) {
            let (_, to, _) = parties(email, &message.to).ok()?;
            let mut one: Map<String, Value> = values.iter().enumerate().map(|(n, v)| (format!("h{n}"), v.as_str().into())).collect();
            one.insert("tp_id".to_owned(), message.step.as_str().into());
            fields.push(("to", to.clone()));
            variables.insert(to, one.into());
        }
        fields.push(("recipient-variables", Value::Object(variables).to_string()));
        fields.push(("v:tp_id", "%recipient.tp_id%".to_owned()));
        let mut fields: Fields<'_> = fields;
        fields.extend(own.iter().map(|(name, value)| (name.as_str(), value.clone())));
        Some(self.post(&fields))
    }

    fn probe(&self, _at: At<'_>) -> Option<Request> {
        Some(self.ask(&format!("domains/{}", self.domain)))
    }

    fn probed(&self, answer: &Answer, now: UnixMs) -> Health {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        match body.pointer("/domain/state").and_then(Value::as_str).filter(|_| answer.is_success()) {
            Some("active") => Outcome::accepted(None).into(),
            Some(state) => Outcome::new(Class::Auth, Scope::Account, format!("the domain is {} at Mailgun", scrub(state))).into(),
            None => classify(STATUS, answer, now).into(),
        }
    }
}

fn judge(operation: &str, answer: &Answer, now: UnixMs) -> Judged {
    classify(operation, answer, now).into()
}

/// What an answer means. A batch has one id and one outcome for all.
pub fn classify(operation: &str, answer: &Answer, now: UnixMs) -> Outcome {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    let said = text(&body, "message");
    if answer.is_success() {
        let id = Some(text(&body, "id")).filter(|id| !id.is_empty());
        return if id.is_some() { Outcome::accepted(id) } else { not_theirs("Mailgun") };
    }
    let lower = said.to_lowercase();
    let judged = match answer.status {
        // The domain is disabled, or lives in the other region.
        400 if lower.contains("not allowed to send") => (Class::Auth, Scope::Account),
        404 => (Class::Auth, Scope::Account),
        400 if lower.contains("not a valid address") && lower.contains("to") && !lower.contains("from") => {
            (Class::Permanent, Scope::Recipient)
        }
        status => by_status(status, operation != STATUS),
    };
    let outcome = refused(answer, now, judged, &said);
    match outcome.class {
        Class::Throttle if wait(answer, now).is_none() => outcome.wait(told(&said, now)),
        _ => outcome,
    }
}

/// The wait in the text of a 429: `… try again after 45 seconds`, `… after Tue, 06 Oct 2026 14:10:00 UTC`.
fn told(said: &str, now: UnixMs) -> Option<Duration> {
    let (_, when) = said.rsplit_once(" after ")?;
    let when = when.trim().trim_end_matches('.');
    let first = when.split(' ').next().unwrap_or_default();
    match first.parse::<u64>() {
        Ok(n) => {
            let unit = if when.contains("minute") {
                60
            } else if when.contains("hour") {
                3600
            } else {
                1
            };
            Some(Duration::from_secs(n.saturating_mul(unit)))
        }
        Err(_) => retry_after::parse(&when.replace("UTC", "GMT"), now),
    }
}

/// Mailgun repeats a post for about eight hours.
const AGE: Duration = Duration::from_secs(9 * 3600);

/// Verifies and reads a webhook: HMAC over moment and token; a token counts once.
fn report(settings: &Settings, call: &Call, known: &Known<'_>) -> Result<Report, Refusal> {
    if call.method == "HEAD" {
        return Ok(Report::default());
    }
    let key = callback::secret(settings, "signing_key");
    if key.is_empty() {
        return Err(callback::UNSET);
    }
    // The signature stands in the body, so the body is parsed first; nothing else of it is read before.
    let body: Value = serde_json::from_slice(&call.body).map_err(|_| callback::MISSING)?;
    let signature = body.get("signature").filter(|s| s.is_object()).ok_or(callback::MISSING)?;
    let (moment, token) = (text(signature, "timestamp"), text(signature, "token"));
    let code = callback::from_hex(&text(signature, "signature")).filter(|_| !token.is_empty()).ok_or(callback::WRONG)?;
    if !callback::hmac_fits(HMAC_SHA256, &key, format!("{moment}{token}").as_bytes(), &code) {
        return Err(callback::WRONG);
    }
    callback::fresh(callback::seconds(signature.get("timestamp")), known.now, AGE)?;
    if (known.used)(&token) {
        return Err(callback::REPLAYED);
    }
    let data = body.get("event-data").filter(|data| data.is_object()).ok_or(callback::MALFORMED)?;
    let event = event(data).map(|event| Event { key: if event.key.is_empty() { token.clone() } else { event.key.clone() }, ..event });
    Ok(Report { events: event.into_iter().collect(), token: Some(token), confirm: None })
}

/// `None`: not about the fate of a message.
fn event(data: &Value) -> Option<Event> {
    let code = data.pointer("/delivery-status/code").and_then(Value::as_i64);
    let hard = (EventKind::Bounced, Some(Bounce::Hard), Some(Suppress::HardBounce));
    let left = (EventKind::Unsubscribed, None, Some(Suppress::Unsubscribe));
    let complained = (EventKind::Complained, None, Some(Suppress::Complaint));
    let (kind, bounce, suppress) = match (text(data, "event").as_str(), text(data, "severity").as_str()) {
        ("accepted", _) => (EventKind::Queued, None, None),
        ("delivered", _) => (EventKind::Delivered, None, None),
        ("failed", "temporary") => (EventKind::Deferred, None, None),
        ("failed", _) => match (code, text(data, "reason").as_str()) {
            (Some(606), _) | (_, "suppress-unsubscribe") => left,
            (Some(607), _) | (_, "suppress-complaint") => complained,
            _ => hard,
        },
        ("rejected", _) => (EventKind::Dropped, None, None),
        ("complained", _) => complained,
        ("unsubscribed", _) => left,
        ("opened", _) => (EventKind::Opened, None, None),
        ("clicked", _) => (EventKind::Clicked, None, None),
        _ => return None,
    };
    let id = data.pointer("/message/headers/message-id").and_then(Value::as_str).unwrap_or_default();
    let ours = data.pointer("/user-variables/tp_id").and_then(Value::as_str).filter(|id| !id.is_empty());
    let bot = data.pointer("/client-info/bot").and_then(Value::as_str).unwrap_or_default();
    let why = data.pointer("/delivery-status/message").and_then(Value::as_str).unwrap_or_default();
    Some(Event {
        provider_id: id.to_owned(),
        bounce,
        suppress,
        url: Some(text(data, "url")).filter(|url| kind == EventKind::Clicked && !url.is_empty()),
        at: callback::seconds(data.get("timestamp")),
        automatic: !bot.is_empty(),
        key: text(data, "id"),
        text: scrub(why),
        ..Event::new(kind, text(data, "recipient"), ours.unwrap_or(id))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::SEND;
    use crate::providers::conformance::{NOWHERE, account, email, fixture, only, post, sms, taken, verdict};
    use ring::hmac;

    fn wire(more: &str) -> Box<dyn HttpProvider> {
        match build(&account("mailgun", &format!("api_key = \"k\"\ndomain = \"mg.cmart.example\"\n{more}"))).unwrap() {
            Wire::Http(http) => http,
            _ => unreachable!(),
        }
    }

    /// The fields of a multipart body.
    fn fields(request: &Request) -> Vec<(String, String)> {
        let boundary = request.headers.iter().find(|(n, _)| n == "Content-Type").unwrap().1.split_once("boundary=").unwrap().1.to_owned();
        let body = String::from_utf8(request.body.clone()).unwrap();
        let mark = format!("--{boundary}");
        let parts = body.split(&mark).filter(|part| part.contains("name="));
        let field = |part: &str| {
            let (head, value) = part.split_once("\r\n\r\n").unwrap();
            (head.split('"').nth(1).unwrap().to_owned(), value.strip_suffix("\r\n").unwrap().to_owned())
        };
        parts.map(field).collect()
    }

    #[test]
    fn a_form_that_the_document_knows() {
        let request = only(wire("tags = [\"receipt\"]\nrequire_tls = true").request(&email("kim@example.org"), NOWHERE));
        assert_eq!((request.method, request.url.as_str()), ("POST", "https://api.mailgun.net/v3/mg.cmart.example/messages"));
        assert_eq!(request.headers[0], basic("api", "k"));
        let fields = fields(&request);
        let has = |name: &str, value: &str| assert!(fields.contains(&(name.into(), value.into())), "{name} {fields:?}");
        has("from", "Corner Mart <receipts@cmart.example>");
        has("to", "kim@example.org");
        has("h:Reply-To", "help@cmart.example");
        has("h:Auto-Submitted", "auto-generated");
        has("o:tracking", "no");
        has("o:tracking-clicks", "no");
        has("o:require-tls", "yes");
        has("o:tag", "receipt");
        assert!(fields.iter().any(|(name, value)| name == "v:tp_id" && value.starts_with("tp_")));
        let document = fixture("specs/mailgun-messages.json");
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let schema = schemas.values().find(|s| s["properties"]["from"].is_object()).unwrap();
        let known = schema["properties"].as_object().unwrap();
        for (name, _) in fields.iter().filter(|(name, _)| !name.starts_with("h:") && !name.starts_with("v:")) {
            assert!(known.contains_key(name), "{name}");
        }
        assert_eq!(only(wire("").request(&email("kim@example.org"), NOWHERE)), only(wire("").request(&email("kim@example.org"), NOWHERE)));
        assert_eq!(wire("").request(&sms("+16075550100"), NOWHERE).unwrap_err().class, Class::Permanent);
    }

    #[test]
    fn a_batch_has_a_variable_for_each_line_that_differs() {
        let messages = [email("kim@example.org"), email("ana@example.org")].map(|mut message| {
            let Content::Email(content) = &mut message.content else { unreachable!() };
            content.text = format!("Hi {}", message.to);
            content.headers = vec![("List-Unsubscribe".into(), format!("<https://u.example/{}>", message.to))];
            message
        });
        let fields = fields(&wire("").batch(&messages.each_ref(), NOWHERE).unwrap());
        let get = |name: &str| fields.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect::<Vec<_>>();
        assert_eq!(get("to"), ["kim@example.org", "ana@example.org"]);
        assert_eq!((get("text"), get("v:tp_id")), (vec!["%recipient.h0%"], vec!["%recipient.tp_id%"]));
        assert_eq!(get("h:List-Unsubscribe"), ["%recipient.h1%"]);
        let variables: Value = serde_json::from_str(get("recipient-variables")[0]).unwrap();
        assert_eq!(variables["ana@example.org"]["h0"], "Hi ana@example.org");
        assert_eq!(variables["kim@example.org"]["h1"], "<https://u.example/kim@example.org>");
    }

    #[test]
    fn odd_answers() {
        let judge = |status, body: &str| classify(SEND, &Answer { status, headers: Vec::new(), body: body.into() }, UnixMs(0));
        assert_eq!(
            judge(400, r#"{"message":"'to' parameter is not a valid address. please check documentation"}"#).scope,
            Scope::Recipient
        );
        assert_eq!(judge(400, r#"{"message":"'from' parameter is not a valid address"}"#).scope, Scope::Message);
        assert_eq!(judge(429, r#"{"message":"try again after 2 minutes"}"#).retry_after.unwrap().as_secs(), 120);
        assert_eq!(judge(429, r#"{"message":"slow down"}"#).retry_after, None);
        assert_eq!(judge(500, "").class, Class::Retry);
    }

    const KEYS: &str = "callback = { signing_key = \"canary\" }";

    fn signed(at: &str, token: &str, data: &str) -> Call {
        let code = hex(hmac::sign(&hmac::Key::new(HMAC_SHA256, b"canary"), format!("{at}{token}").as_bytes()).as_ref());
        let body =
            format!("{{\"signature\":{{\"timestamp\":\"{at}\",\"token\":\"{token}\",\"signature\":\"{code}\"}},\"event-data\":{data}}}");
        post(&[("Content-Type", "application/json")], body.as_bytes())
    }

    #[test]
    fn its_events_can_be_asked_for() {
        let wire = wire("");
        let poll = Poll { list: "events", since: UnixMs(1_791_043_600_000), page: None };
        let request = wire.poll(poll, NOWHERE).unwrap();
        assert!(request.url.ends_with("/v3/mg.cmart.example/events?ascending=yes&limit=300&begin=1791043600"), "{}", request.url);
        let item = r#"{"event":"failed","severity":"permanent","id":"e1","recipient":"kim@example.org","user-variables":{"tp_id":"tp_a.10"},"message":{"headers":{"message-id":"m@mg"}}}"#;
        let page = |next: &str, count: usize| {
            let items = vec![item; count].join(",");
            let body = format!("{{\"items\":[{items},{{\"event\":\"accepted\"}}],\"paging\":{{\"next\":\"{next}\"}}}}");
            wire.polled(poll, &Answer { status: 200, headers: Vec::new(), body: body.into_bytes() }, NOWHERE.now).unwrap()
        };
        let next = "https://api.mailgun.net/v3/mg.cmart.example/events/abc";
        let few = page(next, 1);
        assert_eq!((few.events.len(), few.events[0].key.as_str(), few.next.as_deref()), (1, "e1", None));
        assert_eq!(page(next, 300).next.as_deref(), Some(next));
        assert_eq!(page("https://evil.example/v3/mg.cmart.example/events/abc", 300).next, None, "the key goes to nobody else");
        assert_eq!(wire.poll(Poll { page: Some(next), ..poll }, NOWHERE).unwrap().url, next);
        let refused = Answer { status: 401, headers: Vec::new(), body: b"Forbidden".to_vec() };
        assert_eq!(wire.polled(poll, &refused, NOWHERE.now).unwrap_err().class, Class::Auth);
    }

    #[test]
    fn a_token_counts_once_and_not_for_long() {
        let data = r#"{"event":"delivered","recipient":"kim@example.org","timestamp":1791043600.25,"id":"e1","user-variables":{"tp_id":"tp_a.10"},"message":{"headers":{"message-id":"m@mg"}}}"#;
        let good = signed("1791043660", "t1", data);
        let report = taken("mailgun", KEYS, &good);
        let event = &report.events[0];
        assert_eq!((report.token.as_deref(), event.kind, event.message_ref.as_str()), (Some("t1"), EventKind::Delivered, "tp_a.10"));
        assert_eq!((event.at, event.provider_id.as_str(), event.key.as_str()), (Some(UnixMs(1_791_043_600_250)), "m@mg", "e1"));
        let settings = crate::providers::table::read_some(&KIND, &KEYS.parse().unwrap()).unwrap();
        let again = Known { now: NOWHERE.now, used: &|token| token == "t1", certificate: &|_| None };
        assert_eq!(super::report(&settings, &good, &again), Err(callback::REPLAYED));
        assert_eq!(verdict("mailgun", KEYS, &signed("1791000000", "t1", data)), "stale");
        assert_eq!(verdict("mailgun", KEYS, &signed("1791063664", "t1", data)), "stale");
        assert_eq!(verdict("mailgun", "callback = { signing_key = \"other\" }", &good), "signature_wrong");
        assert_eq!(verdict("mailgun", "", &good), "not_configured");
        assert_eq!(verdict("mailgun", KEYS, &post(&[], b"{}")), "signature_missing");
        assert_eq!(verdict("mailgun", KEYS, &signed("1791043660", "t1", "7")), "malformed");
    }

    #[test]
    fn events_are_read_each_in_its_meaning() {
        use EventKind::{Bounced, Clicked, Complained, Deferred, Dropped, Opened, Queued, Unsubscribed};
        let hard = (Bounced, Some(Bounce::Hard), Some(Suppress::HardBounce));
        for (json, meaning) in [
            (r#""event":"accepted""#, Some((Queued, None, None))),
            (r#""event":"failed","severity":"temporary""#, Some((Deferred, None, None))),
            (r#""event":"failed","severity":"permanent","reason":"bounce""#, Some(hard)),
            (r#""event":"failed","severity":"permanent","delivery-status":{"code":605}"#, Some(hard)),
            (
                r#""event":"failed","severity":"permanent","delivery-status":{"code":606}"#,
                Some((Unsubscribed, None, Some(Suppress::Unsubscribe))),
            ),
            (
                r#""event":"failed","severity":"permanent","reason":"suppress-complaint""#,
                Some((Complained, None, Some(Suppress::Complaint))),
            ),
            (r#""event":"rejected""#, Some((Dropped, None, None))),
            (r#""event":"complained""#, Some((Complained, None, Some(Suppress::Complaint)))),
            (r#""event":"unsubscribed""#, Some((Unsubscribed, None, Some(Suppress::Unsubscribe)))),
            (r#""event":"opened","client-info":{"bot":"apple"}"#, Some((Opened, None, None))),
            (r#""event":"clicked","url":"https://x.example""#, Some((Clicked, None, None))),
            (r#""event":"stored""#, None),
        ] {
            let data = format!("{{\"recipient\":\"kim@example.org\",\"message\":{{\"headers\":{{\"message-id\":\"m@mg\"}}}},{json}}}");
            let report = taken("mailgun", KEYS, &signed("1791043660", "t1", &data));
            assert_eq!(report.events.first().map(|e| (e.kind, e.bounce, e.suppress)), meaning, "{json}");
            assert!(report.events.iter().all(|e| e.message_ref == "m@mg" && e.key == "t1" && e.automatic == (e.kind == Opened)));
        }
    }

    #[test]
    fn look_up_and_probe() {
        let wire = wire("");
        let message = email("kim@example.org");
        let url = wire.lookup(&message, UnixMs(1_791_043_664_000), NOWHERE).unwrap().url;
        assert!(url.ends_with("/events?event=accepted&ascending=yes&limit=300&begin=1791043364&recipient=kim%40example.org"), "{url}");
        let answer = |status, body: &str| Answer { status, headers: Vec::new(), body: body.into() };
        let found = |status, body: &str| wire.found(&message, UnixMs(0), &answer(status, body), UnixMs(0));
        let items =
            format!(r#"{{"items":[{{"user-variables":{{"tp_id":"{}"}},"message":{{"headers":{{"message-id":"m"}}}}}}]}}"#, message.step);
        assert_eq!(found(200, &items), Found::Yes(Some("m".into())));
        assert_eq!(found(200, r#"{"items":[{"user-variables":{"tp_id":"other"}}]}"#), Found::No);
        assert!(matches!(found(401, "Forbidden"), Found::Unknown(o) if o.class == Class::Auth));
        assert_eq!(wire.probed(&answer(200, r#"{"domain":{"state":"active"}}"#), UnixMs(0)).outcome.class, Class::Accepted);
        assert_eq!(wire.probed(&answer(200, r#"{"domain":{"state":"unverified"}}"#), UnixMs(0)).outcome.class, Class::Auth);
        assert!(build(&account("mailgun", "api_key = \"k\"\ndomain = \"a/b\"")).is_err());
    }
}
