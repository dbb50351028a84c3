//! Postmark: mail by its server API.
//!
//! Each entry of an answer says itself what became of it, also within a 200. Its webhooks are not signed:
//! they carry the name and password of the URL that Postmark was told.

use crate::config::TypeKeys;
use crate::config::checked::{Provider as Settings, Rate};
use crate::config::key::{Shape, default, optional, required};
use crate::config::secret::Secret;
use crate::domain::channel::Channel;
use crate::domain::content::{Content, Outgoing};
use crate::domain::message::Kind as MessageKind;
use crate::domain::outcome::{Class, Outcome, Scope, Suppress};
use crate::domain::text::scrub;
use crate::domain::time::UnixMs;
use crate::http::{Answer, Request, check_base_url, form};
use crate::providers::callback::{self, Bounce, Call, Event, EventKind, Known, Refusal, Report, text};
use crate::providers::shared::{
    CALLBACK_URL, TAGS, TRACK, Track, basic, by_status, content_type, headers, not_theirs, parties, refused, set, subject, texts,
};
use crate::providers::{At, BATCH, Found, Health, HttpProvider, Idempotency, Judged, Kind, Page, Poll, STATUS, Step, Wire, wrong_content};
use serde_json::{Value, json};
use std::time::Duration;

/// What it is.
pub static KIND: Kind = Kind {
    keys: TypeKeys {
        name: "postmark",
        doc: "Mail by Postmark's server API.",
        channels: &[Channel::Email],
        keys: KEYS,
        example: "type = \"postmark\"\nserver_token = \"the server's API token\"\n",
    },
    idempotency: Idempotency::None,
    rate: Rate::per_second(50),
    concurrency: 10,
    batch: 500,
    keeps_content: false,
    classify: Some(classify),
    callback: Some(report),
    build,
};

const KEYS: &[crate::config::Key] = &[
    required("server_token", Shape::Secret, "The server's API token. POSTMARK_API_TEST checks each mail and sends none."),
    default("stream", Shape::Text, "\"outbound\"", "Message stream of receipts and news of orders: a transactional one."),
    default(
        "broadcast_stream",
        Shape::Text,
        "\"broadcast\"",
        "Message stream of campaigns, which Postmark takes on a broadcast stream only.",
    ),
    TRACK,
    TAGS,
    optional("callback", Shape::Table(CALLBACK), "How its webhooks are verified."),
];

const CALLBACK: &[crate::config::Key] = &[
    CALLBACK_URL,
    optional("username", Shape::Text, "Name in the webhook's URL."),
    optional("password", Shape::Secret, "Password in the webhook's URL."),
];

/// One call may hold this much.
const MOST_BYTES: usize = 48_000_000;

/// An account's settings.
#[derive(Clone, Debug)]
pub struct Postmark {
    base_url: String,
    server_token: Secret,
    stream: String,
    broadcast_stream: String,
    track: Track,
    tag: Option<String>,
}

fn build(settings: &Settings) -> Result<Wire, String> {
    let own = &settings.settings;
    if own.secret("server_token").is_empty() {
        return Err("server_token is empty".to_owned());
    }
    let or = |name: &str, other: &str| if own.text(name).is_empty() { other.to_owned() } else { own.text(name).to_owned() };
    Ok(Wire::Http(Box::new(Postmark {
        base_url: check_base_url(settings.base_url.as_deref().unwrap_or("https://api.postmarkapp.com"), settings.allow_insecure)?,
        server_token: own.secret("server_token"),
        stream: or("stream", "outbound"),
        broadcast_stream: or("broadcast_stream", "broadcast"),
        track: Track::of(own),
        tag: texts(own, "tags").into_iter().next(),
    })))
}

impl Postmark {
    fn ask(&self, method: &'static str, rest: &str, body: Option<&Value>) -> Request {
        let mut headers = vec![
            ("X-Postmark-Server-Token".to_owned(), self.server_token.expose().to_owned()),
            ("Accept".to_owned(), "application/json".to_owned()),
        ];
        headers.extend(body.map(|_| content_type("application/json")));
        let body = body.map(|b| b.to_string().into_bytes()).unwrap_or_default();
        Request { method, url: format!("{}{rest}", self.base_url), headers, body }
    }

    fn mail(&self, message: &Outgoing) -> Result<Value, Outcome> {
        let Content::Email(email) = &message.content else { return Err(wrong_content(&KIND)) };
        let (from, to, reply_to) = parties(email, &message.to)?;
        let campaign = message.kind == MessageKind::Campaign;
        let own = headers(email).into_iter().chain([("X-TP-Id".to_owned(), message.step.to_string())]);
        let mut mail = json!({
            "From": from.text(),
            "To": to,
            "Subject": subject(email),
            "MessageStream": if campaign { &self.broadcast_stream } else { &self.stream },
            "Metadata": {"tp_id": message.step.as_str()},
            "Headers": own.map(|(name, value)| json!({"Name": name, "Value": value})).collect::<Vec<_>>(),
            "TrackOpens": self.track.opens,
            "TrackLinks": if self.track.clicks { "HtmlAndText" } else { "None" },
        });
        for (name, value) in [("TextBody", &email.text), ("HtmlBody", &email.html)] {
            if !value.is_empty() {
                set(&mut mail, name, value.as_str());
            }
        }
        if let Some(reply_to) = reply_to {
            set(&mut mail, "ReplyTo", reply_to.text());
        }
        if let Some(tag) = &self.tag {
            set(&mut mail, "Tag", tag.as_str());
        }
        Ok(mail)
    }
}

impl HttpProvider for Postmark {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn base_url(&self) -> &str {
        &self.base_url
    }

    fn request(&self, message: &Outgoing, _at: At<'_>) -> Result<Vec<Step>, Outcome> {
        Ok(Step::send(self.ask("POST", "/email", Some(&self.mail(message)?))))
    }

    fn lookup(&self, message: &Outgoing, _since: UnixMs, _at: At<'_>) -> Option<Request> {
        let id = form::percent(message.step.as_str());
        Some(self.ask("GET", &format!("/messages/outbound?count=1&offset=0&metadata_tp_id={id}"), None))
    }

    fn found(&self, _message: &Outgoing, _since: UnixMs, answer: &Answer, now: UnixMs) -> Found {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        match body.get("Messages").and_then(Value::as_array).filter(|_| answer.is_success()) {
            Some(all) => all.first().map_or(Found::No, |one| Found::Yes(Some(text(one, "MessageID")).filter(|id| !id.is_empty()))),
            None => Found::Unknown(classify(STATUS, answer, now).outcome),
        }
    }

    fn lists(&self) -> &'static [&'static str] {
        &["bounces", "stream", "broadcast_stream"]
    }

    /// Days are those of New York, so one more is asked for.
    fn poll(&self, poll: Poll<'_>, _at: At<'_>) -> Option<Request> {
        let day = (poll.since - Duration::from_secs(86_400)).instant().strftime("%Y-%m-%d").to_string();
        let stream = |name: &str| format!("/message-streams/{}/suppressions/dump?fromdate={day}", form::percent(name));
        let rest = match poll.list {
            "stream" => stream(&self.stream),
            "broadcast_stream" => stream(&self.broadcast_stream),
            _ => format!("/bounces?count=500&offset={}&fromdate={day}", poll.page.unwrap_or("0")),
        };
        Some(self.ask("GET", &rest, None))
    }

    fn polled(&self, poll: Poll<'_>, answer: &Answer, now: UnixMs) -> Result<Page, Outcome> {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        let (name, record) = if poll.list == "bounces" { ("Bounces", "Bounce") } else { ("Suppressions", "SubscriptionChange") };
        let Some(all) = body.get(name).and_then(Value::as_array).filter(|_| answer.is_success()) else {
            // Not every server has a broadcast stream.
            let none = poll.list == "broadcast_stream" && (400..429).contains(&answer.status) && answer.status != 401;
            return if none { Ok(Page::default()) } else { Err(classify(STATUS, answer, now).outcome) };
        };
        let as_told = |one: &Value| {
            let mut one = one.clone();
            set(&mut one, "RecordType", record);
            if record == "SubscriptionChange" {
                let (to, at) = (text(&one, "EmailAddress"), text(&one, "CreatedAt"));
                set(&mut one, "Recipient", to);
                set(&mut one, "ChangedAt", at);
            }
            event(&one)
        };
        let offset: usize = poll.page.and_then(|page| page.parse().ok()).unwrap_or(0);
        let next = (poll.list == "bounces" && all.len() >= 500).then(|| (offset + 500).to_string());
        Ok(Page { events: all.iter().filter_map(as_told).collect(), next })
    }

    fn batch(&self, messages: &[&Outgoing], _at: At<'_>) -> Option<Request> {
        let mails: Option<Vec<Value>> = messages.iter().map(|message| self.mail(message).ok()).collect();
        let request = self.ask("POST", "/email/batch", Some(&mails?.into()));
        (request.body.len() <= MOST_BYTES).then_some(request)
    }

    fn probe(&self, _at: At<'_>) -> Option<Request> {
        Some(self.ask("GET", "/server", None))
    }

    fn probed(&self, answer: &Answer, now: UnixMs) -> Health {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        if !answer.is_success() || body.get("ID").is_none() {
            return classify(STATUS, answer, now).outcome.into();
        }
        let sandbox = text(&body, "DeliveryType") == "Sandbox";
        Health { warning: sandbox.then(|| "a sandbox server: it delivers nothing".to_owned()), ..Outcome::accepted(None).into() }
    }
}

/// What an answer means: the code in it before the status.
pub fn classify(operation: &str, answer: &Answer, now: UnixMs) -> Judged {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    match &body {
        Value::Array(all) if operation == BATCH && answer.is_success() && !all.is_empty() => {
            let entries = all.iter().map(|entry| one(operation, entry, answer, now).outcome).collect();
            Judged { entries, ..Outcome::accepted(None).into() }
        }
        body => one(operation, body, answer, now),
    }
}

fn one(operation: &str, body: &Value, answer: &Answer, now: UnixMs) -> Judged {
    let (code, said) = (body.get("ErrorCode").and_then(Value::as_i64), text(body, "Message"));
    let id = Some(text(body, "MessageID")).filter(|id| !id.is_empty());
    let good = code.unwrap_or(0) == 0;
    if answer.is_success() && good {
        return match (id, code) {
            // A code of 0 without an id is the answer of the test token.
            (id, Some(_)) | (id @ Some(_), None) => Judged { suppress: inactive(&said), ..Outcome::accepted(id).into() },
            (None, None) => not_theirs("Postmark").into(),
        };
    }
    let (class, scope, suppress) = match code.filter(|code| *code != 0) {
        _ if answer.status == 429 => (Class::Throttle, Scope::Account, None),
        Some(406) => (Class::Permanent, Scope::Recipient, Some(Suppress::HardBounce)),
        Some(300) if ["'To'", "'Cc'", "'Bcc'"].iter().any(|field| said.contains(field)) => (Class::Permanent, Scope::Recipient, None),
        // Token, sender signature, credits, approval, account.
        Some(10 | 400 | 401 | 402 | 405 | 412 | 413) => (Class::Auth, Scope::Account, None),
        Some(100) => (Class::Retry, Scope::Account, None),
        Some(429) => (Class::Throttle, Scope::Account, None),
        Some(_) if answer.is_success() => (Class::Permanent, Scope::Message, None),
        _ => {
            let (class, scope) = by_status(answer.status, operation != STATUS);
            (class, scope, None)
        }
    };
    let detail = format!("{} {said}", code.map(|c| c.to_string()).unwrap_or_default());
    Outcome { suppress, ..refused(answer, now, (class, scope), &detail) }.into()
}

/// `… will not deliver to these inactive addresses: a@b.example, c@d.example.`
fn inactive(said: &str) -> Vec<(String, Suppress)> {
    let Some((_, list)) = said.split_once("inactive addresses:") else { return Vec::new() };
    let addresses = list.split(',').map(|address| address.trim().trim_end_matches('.'));
    addresses.filter(|address| address.contains('@')).map(|address| (address.to_owned(), Suppress::HardBounce)).collect()
}

/// Verifies and reads a webhook: one object, with the name and password that the URL holds.
fn report(settings: &Settings, call: &Call, _known: &Known<'_>) -> Result<Report, Refusal> {
    let table = settings.settings.table("callback").ok_or(callback::UNSET)?;
    let (name, password) = (table.text("username"), table.secret("password"));
    if name.is_empty() || password.is_empty() {
        return Err(callback::UNSET);
    }
    let given = call.header("Authorization").ok_or(callback::MISSING)?;
    if !callback::same(given.trim(), &basic(name, password.expose()).1) {
        return Err(callback::WRONG);
    }
    if call.method == "HEAD" {
        return Ok(Report::default());
    }
    let body: Value = serde_json::from_slice(&call.body).map_err(|_| callback::MALFORMED)?;
    if !body.is_object() {
        return Err(callback::MALFORMED);
    }
    Ok(Report { events: event(&body).into_iter().collect(), ..Report::default() })
}

/// `None`: not about the fate of a message.
fn event(body: &Value) -> Option<Event> {
    let record = text(body, "RecordType");
    let (kind, bounce, suppress, at) = match (record.as_str(), text(body, "Type").as_str()) {
        ("Delivery", _) => (EventKind::Delivered, None, None, "DeliveredAt"),
        ("Bounce", "Transient" | "DnsError") => (EventKind::Deferred, None, None, "BouncedAt"),
        ("Bounce", "HardBounce" | "BadEmailAddress") => (EventKind::Bounced, Some(Bounce::Hard), Some(Suppress::HardBounce), "BouncedAt"),
        ("SpamComplaint", _) | ("Bounce", "SpamComplaint") => (EventKind::Complained, None, Some(Suppress::Complaint), "BouncedAt"),
        ("Bounce", "Unsubscribe") => (EventKind::Unsubscribed, None, Some(Suppress::Unsubscribe), "BouncedAt"),
        // Automatic answers, not bounces.
        ("Bounce", "AutoResponder" | "AddressChange" | "Subscribe" | "ChallengeVerification") => return None,
        ("Bounce", _) => (EventKind::Bounced, Some(Bounce::Soft), None, "BouncedAt"),
        ("Open", _) => (EventKind::Opened, None, None, "ReceivedAt"),
        ("Click", _) => (EventKind::Clicked, None, None, "ReceivedAt"),
        ("SubscriptionChange", _) => {
            let (kind, bounce, suppress) = subscription(body)?;
            (kind, bounce, suppress, "ChangedAt")
        }
        _ => return None,
    };
    let recipient = [text(body, "Recipient"), text(body, "Email")].into_iter().find(|to| !to.is_empty()).unwrap_or_default();
    let id = text(body, "MessageID");
    let ours = body.pointer("/Metadata/tp_id").and_then(Value::as_str).filter(|id| !id.is_empty());
    let key = format!("{record} {id} {} {recipient} {}", text(body, "ID"), text(body, at));
    Some(Event {
        bounce,
        suppress,
        url: Some(text(body, "OriginalLink")).filter(|url| kind == EventKind::Clicked && !url.is_empty()),
        at: UnixMs::parse_rfc3339(&text(body, at)),
        key,
        text: scrub(&text(body, "Description")),
        ..Event::new(kind, recipient, ours.map_or_else(|| id.clone(), str::to_owned))
    })
    .map(|event| Event { provider_id: id, ..event })
}

fn subscription(body: &Value) -> Option<(EventKind, Option<Bounce>, Option<Suppress>)> {
    if body.get("SuppressSending").and_then(Value::as_bool) == Some(false) {
        return Some((EventKind::Resubscribed, None, None));
    }
    match text(body, "SuppressionReason").as_str() {
        "HardBounce" => Some((EventKind::Bounced, Some(Bounce::Hard), Some(Suppress::HardBounce))),
        "SpamComplaint" => Some((EventKind::Complained, None, Some(Suppress::Complaint))),
        "ManualSuppression" => Some((EventKind::Unsubscribed, None, Some(Suppress::Unsubscribe))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::SEND;
    use crate::providers::conformance::{NOWHERE, account, email, only, post, sms, taken, verdict};

    fn wire(more: &str) -> Box<dyn HttpProvider> {
        match build(&account("postmark", &format!("server_token = \"t\"\n{more}"))).unwrap() {
            Wire::Http(http) => http,
            _ => unreachable!(),
        }
    }

    #[test]
    fn its_lists_say_what_its_webhooks_say() {
        let wire = wire("");
        let poll = |list| Poll { list, since: UnixMs::parse_rfc3339("2026-10-03T16:00:00Z").unwrap(), page: None };
        let urls: Vec<String> = wire.lists().iter().map(|list| wire.poll(poll(list), NOWHERE).unwrap().url).collect();
        assert_eq!(
            urls,
            [
                "https://api.postmarkapp.com/bounces?count=500&offset=0&fromdate=2026-10-02",
                "https://api.postmarkapp.com/message-streams/outbound/suppressions/dump?fromdate=2026-10-02",
                "https://api.postmarkapp.com/message-streams/broadcast/suppressions/dump?fromdate=2026-10-02",
            ]
        );
        let answer = |status, body: Value| crate::http::Answer { status, headers: Vec::new(), body: body.to_string().into_bytes() };
        let bounce =
            json!({"ID": 42, "Type": "HardBounce", "MessageID": "m1", "Email": "kim@example.org", "BouncedAt": "2026-10-03T16:01:00Z"});
        let read = |list, body| wire.polled(poll(list), &answer(200, body), NOWHERE.now).unwrap();
        let page = read("bounces", json!({"TotalCount": 1, "Bounces": [bounce]}));
        let mut told = bounce.clone();
        set(&mut told, "RecordType", "Bounce");
        assert_eq!((page.events.first(), page.next), (event(&told).as_ref(), None));
        assert_eq!(read("bounces", json!({"Bounces": vec![bounce; 500]})).next.as_deref(), Some("500"));
        let list = json!({"Suppressions": [{"EmailAddress": "kim@example.org", "SuppressionReason": "SpamComplaint", "CreatedAt": "2026-10-03T16:01:00Z"}]});
        let page = read("stream", list);
        assert_eq!((page.events[0].kind, page.events[0].recipient.as_str()), (EventKind::Complained, "kim@example.org"));
        assert_eq!(page.events[0].suppress, Some(Suppress::Complaint));
        assert_eq!(wire.polled(poll("broadcast_stream"), &answer(422, json!({"ErrorCode": 1226})), NOWHERE.now), Ok(Page::default()));
        assert_eq!(wire.polled(poll("bounces"), &answer(401, json!({"ErrorCode": 10})), NOWHERE.now).unwrap_err().class, Class::Auth);
    }

    #[test]
    fn a_mail_and_its_stream() {
        let wire = wire("tags = [\"receipt\", \"second\"]\ntrack = [\"clicks\"]");
        let mut message = email("kim@example.org");
        let request = only(wire.request(&message, NOWHERE));
        assert_eq!((request.method, request.url.as_str()), ("POST", "https://api.postmarkapp.com/email"));
        assert_eq!(request.headers[0], ("X-Postmark-Server-Token".to_owned(), "t".to_owned()));
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!((&body["From"], &body["To"]), (&json!("Corner Mart <receipts@cmart.example>"), &json!("kim@example.org")));
        assert_eq!(
            (&body["MessageStream"], &body["Tag"], &body["ReplyTo"]),
            (&json!("outbound"), &json!("receipt"), &json!("help@cmart.example"))
        );
        assert_eq!((&body["TrackOpens"], &body["TrackLinks"]), (&json!(false), &json!("HtmlAndText")));
        assert_eq!(body["Metadata"]["tp_id"], message.step.as_str());
        assert!(body["TextBody"].is_string() && body["HtmlBody"].is_string());
        message.kind = MessageKind::Campaign;
        let body: Value = serde_json::from_slice(&only(wire.request(&message, NOWHERE)).body).unwrap();
        assert_eq!(body["MessageStream"], "broadcast");
        assert_eq!(wire.request(&sms("+16075550100"), NOWHERE).unwrap_err().class, Class::Permanent);
    }

    #[test]
    fn a_batch_is_a_list() {
        let request = wire("").batch(&[&email("kim@example.org"), &email("ana@example.org")], NOWHERE).unwrap();
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!((body[1]["To"].as_str(), request.url.as_str()), (Some("ana@example.org"), "https://api.postmarkapp.com/email/batch"));
        assert!(wire("").batch(&[&email("kim")], NOWHERE).is_none());
    }

    #[test]
    fn codes_count_before_the_status() {
        let judge = |status, body: &str| classify(SEND, &Answer { status, headers: Vec::new(), body: body.into() }, UnixMs(0)).outcome;
        assert_eq!(judge(200, "<html>").class, Class::Uncertain);
        assert_eq!(judge(200, "{}").class, Class::Uncertain);
        assert_eq!(judge(200, r#"{"ErrorCode":300,"Message":"Invalid 'From' address"}"#).scope, Scope::Message);
        assert_eq!(judge(200, r#"{"ErrorCode":412,"Message":"pending approval"}"#).class, Class::Auth);
        assert_eq!(judge(500, r#"{"ErrorCode":0}"#).class, Class::Retry);
        assert_eq!(judge(500, r#"{"ErrorCode":100}"#).class, Class::Retry);
        assert_eq!(judge(504, "").class, Class::Uncertain);
    }

    const KEYS: &str = "callback = { username = \"pm\", password = \"canary\" }";

    fn call(body: &str) -> Call {
        let (name, value) = basic("pm", "canary");
        post(&[(&name, &value)], body.as_bytes())
    }

    #[test]
    fn only_who_knows_the_password_is_heard() {
        let body = r#"{"RecordType":"Delivery","MessageID":"m","Recipient":"kim@example.org","DeliveredAt":"2026-10-03T16:00:00Z"}"#;
        let event = taken("postmark", KEYS, &call(body)).events.remove(0);
        assert_eq!((event.kind, event.message_ref.as_str(), event.provider_id.as_str()), (EventKind::Delivered, "m", "m"));
        assert_eq!(event.at.unwrap().rfc3339(), "2026-10-03T16:00:00Z");
        let (_, wrong) = basic("pm", "canarY");
        assert_eq!(verdict("postmark", KEYS, &post(&[("authorization", &wrong)], body.as_bytes())), "signature_wrong");
        assert_eq!(verdict("postmark", KEYS, &post(&[], body.as_bytes())), "signature_missing");
        assert_eq!(verdict("postmark", "callback = { username = \"pm\" }", &call(body)), "not_configured");
        assert_eq!(verdict("postmark", KEYS, &call("[")), "malformed");
    }

    #[test]
    fn records_are_read_each_in_its_meaning() {
        use EventKind::{Bounced, Clicked, Complained, Deferred, Opened, Resubscribed, Unsubscribed};
        for (json, meaning) in [
            (r#""RecordType":"Bounce","Type":"HardBounce""#, Some((Bounced, Some(Bounce::Hard), Some(Suppress::HardBounce)))),
            (r#""RecordType":"Bounce","Type":"BadEmailAddress""#, Some((Bounced, Some(Bounce::Hard), Some(Suppress::HardBounce)))),
            (r#""RecordType":"Bounce","Type":"SoftBounce""#, Some((Bounced, Some(Bounce::Soft), None))),
            (r#""RecordType":"Bounce","Type":"Blocked""#, Some((Bounced, Some(Bounce::Soft), None))),
            (r#""RecordType":"Bounce","Type":"Transient""#, Some((Deferred, None, None))),
            (r#""RecordType":"Bounce","Type":"AutoResponder""#, None),
            (r#""RecordType":"SpamComplaint","Type":"SpamComplaint""#, Some((Complained, None, Some(Suppress::Complaint)))),
            (r#""RecordType":"Open""#, Some((Opened, None, None))),
            (r#""RecordType":"Click","OriginalLink":"https://x.example""#, Some((Clicked, None, None))),
            (
                r#""RecordType":"SubscriptionChange","SuppressSending":true,"SuppressionReason":"ManualSuppression""#,
                Some((Unsubscribed, None, Some(Suppress::Unsubscribe))),
            ),
            (
                r#""RecordType":"SubscriptionChange","SuppressSending":true,"SuppressionReason":"HardBounce""#,
                Some((Bounced, Some(Bounce::Hard), Some(Suppress::HardBounce))),
            ),
            (r#""RecordType":"SubscriptionChange","SuppressSending":false,"SuppressionReason":null"#, Some((Resubscribed, None, None))),
            (r#""RecordType":"Inbound""#, None),
        ] {
            let body = format!("{{\"MessageID\":\"m\",\"Email\":\"kim@example.org\",\"Metadata\":{{\"tp_id\":\"tp_a.10\"}},{json}}}");
            let events = taken("postmark", KEYS, &call(&body)).events;
            assert_eq!(events.first().map(|e| (e.kind, e.bounce, e.suppress)), meaning, "{json}");
            assert!(events.iter().all(|e| e.message_ref == "tp_a.10" && e.recipient == "kim@example.org"));
        }
    }

    #[test]
    fn look_up_and_probe() {
        let wire = wire("");
        let message = email("kim@example.org");
        assert!(wire.lookup(&message, UnixMs(0), NOWHERE).unwrap().url.contains("/messages/outbound?count=1&offset=0&metadata_tp_id=tp_"));
        let answer = |status, body: &str| Answer { status, headers: Vec::new(), body: body.into() };
        let found = |status, body: &str| wire.found(&message, UnixMs(0), &answer(status, body), UnixMs(0));
        assert_eq!(found(200, r#"{"TotalCount":1,"Messages":[{"MessageID":"m"}]}"#), Found::Yes(Some("m".into())));
        assert_eq!(found(200, r#"{"TotalCount":0,"Messages":[]}"#), Found::No);
        assert!(matches!(found(503, ""), Found::Unknown(o) if o.class == Class::Retry));
        assert!(wire.probed(&answer(200, r#"{"ID":1,"DeliveryType":"Sandbox"}"#), UnixMs(0)).warning.is_some());
        assert_eq!(wire.probed(&answer(401, r#"{"ErrorCode":10}"#), UnixMs(0)).outcome.class, Class::Auth);
    }
}
