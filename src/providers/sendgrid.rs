//! SendGrid: mail by its v3 API.
//!
//! It has no idempotency key. Our id travels in `custom_args` and comes back in each event; asking for it
//! needs the paid Email Activity feed, and without that an uncertain message stays uncertain.

use crate::config::TypeKeys;
use crate::config::checked::{Provider as Settings, Rate};
use crate::config::key::{Shape, optional, required};
use crate::config::secret::Secret;
use crate::domain::channel::Channel;
use crate::domain::content::{Content, Email, Outgoing};
use crate::domain::message::Kind as MessageKind;
use crate::domain::outcome::{Class, Outcome, Scope, Suppress};
use crate::domain::text::scrub;
use crate::domain::time::UnixMs;
use crate::http::{Answer, Request, check_base_url, der, form};
use crate::providers::callback::{self, Bounce, Call, Event, EventKind, Known, Refusal, Report, text};
use crate::providers::merge::Batch;
use crate::providers::shared::{
    CALLBACK_URL, TAGS, TRACK, Track, bearer, by_status, content_type, headers, not_theirs, parties, refused, set, subject, texts,
};
use crate::providers::{At, Found, Health, HttpProvider, Idempotency, Judged, Kind, Page, Poll, STATUS, Step, Wire, wrong_content};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use serde_json::{Value, json};
use std::time::Duration;

/// What it is.
pub static KIND: Kind = Kind {
    keys: TypeKeys {
        name: "sendgrid",
        doc: "Mail by SendGrid's v3 API.",
        channels: &[Channel::Email],
        keys: KEYS,
        example: "type = \"sendgrid\"\napi_key = \"SG.your key\"\n",
    },
    idempotency: Idempotency::None,
    rate: Rate::per_second(100),
    concurrency: 10,
    batch: 1000,
    keeps_content: false,
    classify: Some(judge),
    callback: Some(report),
    build,
};

const KEYS: &[crate::config::Key] = &[
    required(
        "api_key",
        Shape::Secret,
        "The API key; it needs the scope mail.send. For the EU set base_url = \"https://api.eu.sendgrid.com\".",
    ),
    optional("unsubscribe_group", Shape::Int(1, i64::MAX), "Unsubscribe group of campaigns. Receipts never get one."),
    optional("sandbox", Shape::Bool, "SendGrid checks each mail and sends none."),
    TRACK,
    TAGS,
    optional("callback", Shape::Table(CALLBACK), "How its event webhook is verified."),
];

const CALLBACK: &[crate::config::Key] =
    &[CALLBACK_URL, optional("public_key", Shape::Text, "The webhook's verification key, as SendGrid's settings show it.")];

/// An account's settings.
#[derive(Clone, Debug)]
pub struct SendGrid {
    base_url: String,
    api_key: Secret,
    unsubscribe_group: Option<i64>,
    sandbox: bool,
    track: Track,
    tags: Vec<String>,
}

fn build(settings: &Settings) -> Result<Wire, String> {
    let own = &settings.settings;
    if own.secret("api_key").is_empty() {
        return Err("api_key is empty".to_owned());
    }
    Ok(Wire::Http(Box::new(SendGrid {
        base_url: check_base_url(settings.base_url.as_deref().unwrap_or("https://api.sendgrid.com"), settings.allow_insecure)?,
        api_key: own.secret("api_key"),
        unsubscribe_group: own.int("unsubscribe_group"),
        sandbox: own.flag("sandbox"),
        track: Track::of(own),
        tags: texts(own, "tags"),
    })))
}

impl SendGrid {
    fn ask(&self, method: &'static str, rest: &str, body: Option<&Value>) -> Request {
        let mut headers = vec![bearer(self.api_key.expose())];
        headers.extend(body.map(|_| content_type("application/json")));
        let body = body.map(|b| b.to_string().into_bytes()).unwrap_or_default();
        Request { method, url: format!("{}{rest}", self.base_url), headers, body }
    }

    /// Everything but recipients and content.
    fn frame(&self, email: &Email, to: &str, kind: MessageKind) -> Result<Value, Outcome> {
        let (from, _, reply_to) = parties(email, to)?;
        let party =
            |address: &str, name: &str| if name.is_empty() { json!({"email": address}) } else { json!({"email": address, "name": name}) };
        let mut mail = json!({
            "from": party(&from.address, &from.name),
            "tracking_settings": {
                "click_tracking": {"enable": self.track.clicks, "enable_text": false},
                "open_tracking": {"enable": self.track.opens},
                "subscription_tracking": {"enable": false},
            },
        });
        if let Some(reply_to) = reply_to {
            set(&mut mail, "reply_to", party(&reply_to.address, &reply_to.name));
        }
        if !self.tags.is_empty() {
            set(&mut mail, "categories", self.tags.iter().take(10).cloned().collect::<Value>());
        }
        if let (Some(group), MessageKind::Campaign) = (self.unsubscribe_group, kind) {
            set(&mut mail, "asm", json!({"group_id": group}));
        }
        if self.sandbox {
            set(&mut mail, "mail_settings", json!({"sandbox_mode": {"enable": true}}));
        }
        Ok(mail)
    }
}

/// One recipient with what is only theirs.
fn personalization(message: &Outgoing, email: &Email, to: &str) -> Value {
    let mut one = json!({"to": [{"email": to}], "custom_args": {"tp_id": message.step.as_str()}});
    let own = headers(email);
    if !own.is_empty() {
        set(&mut one, "headers", own.into_iter().map(|(name, value)| (name, Value::from(value))).collect::<Value>());
    }
    one
}

/// The text comes before the HTML.
fn content(text: &str, html: &str) -> Value {
    let parts = [("text/plain", text), ("text/html", html)];
    parts.iter().filter(|(_, value)| !value.is_empty()).map(|(kind, value)| json!({"type": kind, "value": value})).collect()
}

impl HttpProvider for SendGrid {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn base_url(&self) -> &str {
        &self.base_url
    }

    fn request(&self, message: &Outgoing, _at: At<'_>) -> Result<Vec<Step>, Outcome> {
        let Content::Email(email) = &message.content else { return Err(wrong_content(&KIND)) };
        let (_, to, _) = parties(email, &message.to)?;
        let mut mail = self.frame(email, &message.to, message.kind)?;
        set(&mut mail, "subject", subject(email));
        set(&mut mail, "content", content(&email.text, &email.html));
        set(&mut mail, "personalizations", json!([personalization(message, email, &to)]));
        Ok(Step::send(self.ask("POST", "/v3/mail/send", Some(&mail))))
    }

    /// By the Email Activity feed, which not every account has.
    fn lookup(&self, message: &Outgoing, _since: UnixMs, _at: At<'_>) -> Option<Request> {
        let query = format!("(unique_args['tp_id']=\"{}\")", message.step.as_str().replace(['"', '\\'], ""));
        Some(self.ask("GET", &format!("/v3/messages?limit=1&query={}", form::percent(&query)), None))
    }

    fn found(&self, _message: &Outgoing, _since: UnixMs, answer: &Answer, now: UnixMs) -> Found {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        match body.get("messages").and_then(Value::as_array).filter(|_| answer.is_success()) {
            Some(all) => all.first().map_or(Found::No, |one| Found::Yes(Some(text(one, "msg_id")).filter(|id| !id.is_empty()))),
            None => Found::Unknown(classify(STATUS, answer, now)),
        }
    }

    /// Six questions a minute are all that an account may ask.
    fn lookup_delay(&self) -> Duration {
        Duration::from_secs(300)
    }

    fn lists(&self) -> &'static [&'static str] {
        &["bounces", "blocks", "spam_reports", "invalid_emails", "unsubscribes"]
    }

    fn poll(&self, poll: Poll<'_>, _at: At<'_>) -> Option<Request> {
        let (since, offset) = (poll.since.0.max(0) / 1000, poll.page.unwrap_or("0"));
        Some(self.ask("GET", &format!("/v3/suppression/{}?start_time={since}&limit=500&offset={offset}", poll.list), None))
    }

    fn polled(&self, poll: Poll<'_>, answer: &Answer, now: UnixMs) -> Result<Page, Outcome> {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        let all = body.as_array().filter(|_| answer.is_success()).ok_or_else(|| classify(STATUS, answer, now))?;
        let offset: usize = poll.page.and_then(|page| page.parse().ok()).unwrap_or(0);
        let next = (all.len() >= 500).then(|| (offset + 500).to_string());
        Ok(Page { events: all.iter().filter_map(|one| listed(poll.list, one)).collect(), next })
    }

    fn batch(&self, messages: &[&Outgoing], _at: At<'_>) -> Option<Request> {
        let mut batch = Batch::new(messages, |n| format!("-tp{n}-"), &["-tp"])?;
        let first = messages.first()?;
        let mut mail = self.frame(batch.mails.first()?, &first.to, first.kind).ok()?;
        set(&mut mail, "subject", batch.part(subject)?);
        set(&mut mail, "content", content(&batch.part(|mail| mail.text.clone())?, &batch.part(|mail| mail.html.clone())?));
        if batch.most_bytes() > 9_000 {
            return None;
        }
        let mut all = Vec::with_capacity(messages.len());
        for ((message, email), values) in messages.iter().zip(&batch.mails).zip(&batch.values) {
            let (_, to, _) = parties(email, &message.to).ok()?;
            let mut one = personalization(message, email, &to);
            if !values.is_empty() {
                set(
                    &mut one,
                    "substitutions",
                    values.iter().enumerate().map(|(n, v)| (format!("-tp{n}-"), Value::from(v.as_str()))).collect::<Value>(),
                );
            }
            all.push(one);
        }
        set(&mut mail, "personalizations", all);
        Some(self.ask("POST", "/v3/mail/send", Some(&mail)))
    }

    fn probe(&self, _at: At<'_>) -> Option<Request> {
        Some(self.ask("GET", "/v3/scopes", None))
    }

    fn probed(&self, answer: &Answer, now: UnixMs) -> Health {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        match body.get("scopes").and_then(Value::as_array).filter(|_| answer.is_success()) {
            Some(scopes) if scopes.iter().any(|scope| scope == "mail.send") => Outcome::accepted(None).into(),
            Some(_) => Outcome::new(Class::Auth, Scope::Account, "the API key may not send: give it the scope mail.send").into(),
            None => refused(answer, now, by_status(answer.status, false), "").into(),
        }
    }
}

fn judge(operation: &str, answer: &Answer, now: UnixMs) -> Judged {
    classify(operation, answer, now).into()
}

/// What an answer means. A batch has one id and one outcome for all.
pub fn classify(operation: &str, answer: &Answer, now: UnixMs) -> Outcome {
    let id = answer.header("X-Message-Id").filter(|id| !id.is_empty());
    match answer.status {
        // In the sandbox 200, else 202; both without a body.
        200 | 202 if id.is_some() || answer.body.is_empty() => return Outcome::accepted(id.map(str::to_owned)),
        200..=299 => return not_theirs("SendGrid"),
        _ => {}
    }
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    let first = body.pointer("/errors/0").cloned().unwrap_or(Value::Null);
    let (said, field) = (text(&first, "message"), text(&first, "field"));
    let judged = match answer.status {
        400 if is_address(&field) => (Class::Permanent, Scope::Recipient),
        status => by_status(status, operation != STATUS),
    };
    refused(answer, now, judged, &format!("{field} {said}"))
}

/// `personalizations.3.to.0.email`
fn is_address(field: &str) -> bool {
    let mut parts = field.split('.');
    parts.next() == Some("personalizations") && matches!(parts.nth(1), Some("to" | "cc" | "bcc"))
}

/// A call is signed with its moment; SendGrid repeats one for a day.
const AGE: Duration = Duration::from_secs(25 * 3600);

/// Verifies and reads a post of the event webhook: ECDSA over the moment's text and the raw body.
fn report(settings: &Settings, call: &Call, known: &Known<'_>) -> Result<Report, Refusal> {
    if call.method == "HEAD" {
        return Ok(Report::default());
    }
    let key = settings.settings.table("callback").map(|c| c.text("public_key")).unwrap_or_default();
    let pem: String = key.lines().filter(|line| !line.starts_with("-----")).flat_map(|line| line.trim().chars()).collect();
    let spki = BASE64_STANDARD.decode(pem).ok().filter(|spki| !spki.is_empty()).ok_or(callback::UNSET)?;
    let Some(der::PublicKey::P256(point)) = der::public_key(&spki) else { return Err(callback::UNSET) };
    let signature = call.header("X-Twilio-Email-Event-Webhook-Signature").ok_or(callback::MISSING)?;
    let moment = call.header("X-Twilio-Email-Event-Webhook-Timestamp").ok_or(callback::MISSING)?;
    let signature = BASE64_STANDARD.decode(signature.trim()).map_err(|_| callback::WRONG)?;
    let mut signed = moment.as_bytes().to_vec();
    signed.extend_from_slice(&call.body);
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).verify(&signed, &signature).map_err(|_| callback::WRONG)?;
    callback::fresh(callback::seconds(Some(&moment.into())), known.now, AGE)?;
    let body: Value = serde_json::from_slice(&call.body).map_err(|_| callback::MALFORMED)?;
    let all = body.as_array().ok_or(callback::MALFORMED)?;
    Ok(Report { events: all.iter().take(callback::MOST_EVENTS).filter_map(event).collect(), ..Report::default() })
}

/// `None`: not about a message.
fn event(one: &Value) -> Option<Event> {
    let word = text(one, "event");
    let (kind, bounce, suppress) = match word.as_str() {
        "processed" => (EventKind::Queued, None, None),
        "deferred" => (EventKind::Deferred, None, None),
        "delivered" => (EventKind::Delivered, None, None),
        "bounce" if text(one, "type") == "blocked" => (EventKind::Bounced, Some(Bounce::Soft), None),
        "bounce" => (EventKind::Bounced, Some(Bounce::Hard), Some(Suppress::HardBounce)),
        "dropped" => (EventKind::Dropped, None, why_dropped(&text(one, "reason"))),
        "spamreport" => (EventKind::Complained, None, Some(Suppress::Complaint)),
        "open" => (EventKind::Opened, None, None),
        "click" => (EventKind::Clicked, None, None),
        "unsubscribe" | "group_unsubscribe" => (EventKind::Unsubscribed, None, Some(Suppress::Unsubscribe)),
        "group_resubscribe" => (EventKind::Resubscribed, None, None),
        _ => return None,
    };
    let (id, recipient) = (text(one, "sg_message_id"), text(one, "email"));
    let reference = Some(text(one, "tp_id")).filter(|id| !id.is_empty()).unwrap_or_else(|| id.clone());
    let url = Some(text(one, "url")).filter(|url| kind == EventKind::Clicked && !url.is_empty());
    // Not sg_event_id: it is said to change when a post is repeated.
    let key = format!("{id} {word} {recipient} {} {}", text(one, "timestamp"), url.as_deref().unwrap_or_default());
    Some(Event {
        provider_id: id,
        bounce,
        suppress,
        url,
        at: callback::seconds(one.get("timestamp")),
        automatic: one.get("sg_machine_open").and_then(Value::as_bool).unwrap_or(false),
        key,
        text: scrub(&text(one, "reason")),
        ..Event::new(kind, recipient, reference)
    })
}

/// An entry of a list names an address only.
fn listed(list: &str, one: &Value) -> Option<Event> {
    let email = text(one, "email");
    let event = |kind| Event::new(kind, email.as_str(), "");
    let event = match list {
        "bounces" | "invalid_emails" => event(EventKind::Bounced).bounced(Bounce::Hard),
        "blocks" => event(EventKind::Bounced).bounced(Bounce::Soft),
        "spam_reports" => event(EventKind::Complained).suppressing(Some(Suppress::Complaint)),
        "unsubscribes" => event(EventKind::Unsubscribed).suppressing(Some(Suppress::Unsubscribe)),
        _ => return None,
    };
    let key = format!("{list} {email} {}", text(one, "created"));
    Some(Event { at: callback::seconds(one.get("created")), key, text: scrub(&text(one, "reason")), ..event })
}

fn why_dropped(reason: &str) -> Option<Suppress> {
    match reason {
        "Bounced Address" | "Invalid" => Some(Suppress::HardBounce),
        "Unsubscribed Address" => Some(Suppress::Unsubscribe),
        "Spam Reporting Address" => Some(Suppress::Complaint),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::jwt::tests::pem;
    use crate::providers::SEND;
    use crate::providers::conformance::{NOWHERE, account, email, only, passes_document, post, sms, taken, verdict};
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
    use rustls::pki_types::PrivatePkcs8KeyDer;
    use rustls::pki_types::pem::PemObject;

    fn wire(more: &str) -> Box<dyn HttpProvider> {
        match build(&account("sendgrid", &format!("api_key = \"SG.k\"\n{more}"))).unwrap() {
            Wire::Http(http) => http,
            _ => unreachable!(),
        }
    }

    fn body(request: &Request) -> Value {
        serde_json::from_slice(&request.body).unwrap()
    }

    #[test]
    fn its_lists_name_addresses() {
        let wire = wire("");
        let poll = |list| Poll { list, since: UnixMs(1_443_651_000_000), page: None };
        let url = wire.poll(poll("bounces"), NOWHERE).unwrap().url;
        assert_eq!(url, "https://api.sendgrid.com/v3/suppression/bounces?start_time=1443651000&limit=500&offset=0");
        for (list, kind, bounce, suppress) in [
            ("bounces", EventKind::Bounced, Some(Bounce::Hard), Some(Suppress::HardBounce)),
            ("blocks", EventKind::Bounced, Some(Bounce::Soft), None),
            ("spam_reports", EventKind::Complained, None, Some(Suppress::Complaint)),
            ("invalid_emails", EventKind::Bounced, Some(Bounce::Hard), Some(Suppress::HardBounce)),
            ("unsubscribes", EventKind::Unsubscribed, None, Some(Suppress::Unsubscribe)),
        ] {
            let body = br#"[{"created": 1443651154, "email": "kim@example.org", "reason": "no", "status": "5.1.1"}]"#.to_vec();
            let page = wire.polled(poll(list), &Answer { status: 200, headers: Vec::new(), body }, NOWHERE.now).unwrap();
            let event = &page.events[0];
            assert_eq!((event.kind, event.bounce, event.suppress), (kind, bounce, suppress), "{list}");
            assert_eq!((event.message_ref.as_str(), event.at, &page.next), ("", Some(UnixMs(1_443_651_154_000)), &None));
        }
        assert!(wire.lists().iter().all(|list| listed(list, &Value::Null).is_some()));
    }

    #[test]
    fn a_request_passes_the_document_and_tracks_nothing_by_itself() {
        let request = only(wire("tags = [\"receipt\"]").request(&email("kim@example.org"), NOWHERE));
        assert_eq!((request.method, request.url.as_str()), ("POST", "https://api.sendgrid.com/v3/mail/send"));
        assert_eq!(request.headers[0], ("Authorization".to_owned(), "Bearer SG.k".to_owned()));
        let body = body(&request);
        passes_document("sendgrid-mail", "/v3/mail/send", "application/json", &body);
        assert_eq!(body["personalizations"][0]["to"], json!([{"email": "kim@example.org"}]));
        assert!(body["personalizations"][0]["custom_args"]["tp_id"].as_str().unwrap().starts_with("tp_"));
        assert_eq!(body["from"], json!({"email": "receipts@cmart.example", "name": "Corner Mart"}));
        assert_eq!(body["content"][0]["type"], "text/plain");
        assert_eq!(body["tracking_settings"]["click_tracking"]["enable"], false);
        assert_eq!(body["tracking_settings"]["open_tracking"]["enable"], false);
        assert_eq!(body["categories"], json!(["receipt"]));
    }

    #[test]
    fn groups_are_for_campaigns_and_the_sandbox_for_trying() {
        let wire = wire("unsubscribe_group = 7\nsandbox = true\ntrack = [\"opens\"]");
        let mut message = email("kim@example.org");
        assert!(body(&only(wire.request(&message, NOWHERE))).get("asm").is_none());
        message.kind = MessageKind::Campaign;
        let body = body(&only(wire.request(&message, NOWHERE)));
        assert_eq!((&body["asm"]["group_id"], &body["mail_settings"]["sandbox_mode"]["enable"]), (&json!(7), &json!(true)));
        assert_eq!(body["tracking_settings"]["open_tracking"]["enable"], true);
        assert_eq!(wire.request(&sms("+16075550100"), NOWHERE).unwrap_err().class, Class::Permanent);
        assert_eq!(wire.request(&email("kim"), NOWHERE).unwrap_err().scope, Scope::Recipient);
    }

    #[test]
    fn a_batch_is_one_template_and_many_recipients() {
        let messages = [email("kim@example.org"), email("ana@example.org")].map(|mut message| {
            let Content::Email(content) = &mut message.content else { unreachable!() };
            content.text = format!("Hi {},\nsame", message.to);
            message
        });
        let request = wire("").batch(&messages.each_ref(), NOWHERE).unwrap();
        let body = body(&request);
        passes_document("sendgrid-mail", "/v3/mail/send", "application/json", &body);
        assert_eq!(body["content"][0]["value"], "-tp0-\nsame");
        assert_eq!(body["personalizations"][1]["substitutions"], json!({"-tp0-": "Hi ana@example.org,"}));
        assert!(body["personalizations"][1]["custom_args"]["tp_id"].is_string());
    }

    #[test]
    fn odd_answers() {
        let judge = |status, body: &str| classify(SEND, &Answer { status, headers: Vec::new(), body: body.into() }, UnixMs(0));
        assert_eq!(judge(202, "").class, Class::Accepted);
        assert_eq!(judge(200, "<html>").class, Class::Uncertain);
        let quota = judge(401, r#"{"errors":[{"message":"Maximum credits exceeded","field":null}]}"#);
        assert_eq!((quota.class, quota.detail.as_str()), (Class::Auth, "401 Maximum credits exceeded"));
        assert_eq!(judge(413, "").scope, Scope::Message);
        assert_eq!(judge(502, "").class, Class::Uncertain);
    }

    fn settings() -> String {
        let public: String = pem("p256.pub").lines().filter(|l| !l.starts_with('-')).collect();
        format!("callback = {{ public_key = \"{public}\" }}")
    }

    fn signed(at: &str, body: &str) -> Call {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem("p256.key").as_bytes()).unwrap();
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der.secret_pkcs8_der(), &random).unwrap();
        let signature = BASE64_STANDARD.encode(key.sign(&random, format!("{at}{body}").as_bytes()).unwrap());
        post(&[("X-Twilio-Email-Event-Webhook-Signature", &signature), ("X-Twilio-Email-Event-Webhook-Timestamp", at)], body.as_bytes())
    }

    #[test]
    fn only_what_sendgrid_signed_is_taken() {
        let body = "[{\"event\":\"delivered\",\"email\":\"kim@example.org\",\"tp_id\":\"tp_a.10\",\"sg_message_id\":\"m.1\",\"timestamp\":1791043600}]\r\n";
        let good = signed("1791043660", body);
        let event = taken("sendgrid", &settings(), &good).events.remove(0);
        assert_eq!((event.kind, event.message_ref.as_str(), event.provider_id.as_str()), (EventKind::Delivered, "tp_a.10", "m.1"));
        assert_eq!(event.at, Some(UnixMs(1_791_043_600_000)));
        let mut altered = good.clone();
        altered.body.truncate(altered.body.len() - 2);
        assert_eq!(verdict("sendgrid", &settings(), &altered), "signature_wrong");
        let mut later = good.clone();
        later.headers[1].1 = "1791043661".into();
        assert_eq!(verdict("sendgrid", &settings(), &later), "signature_wrong");
        assert_eq!(verdict("sendgrid", &settings(), &signed("1790900000", body)), "stale");
        assert_eq!(verdict("sendgrid", &settings(), &post(&[], body.as_bytes())), "signature_missing");
        assert_eq!(verdict("sendgrid", "", &good), "not_configured");
        assert_eq!(verdict("sendgrid", &settings(), &signed("1791043660", "{}")), "malformed");
    }

    #[test]
    fn events_are_read_each_in_its_meaning() {
        use EventKind::{Bounced, Clicked, Complained, Deferred, Dropped, Opened, Queued, Resubscribed, Unsubscribed};
        for (json, kind, bounce, suppress) in [
            (r#""event":"processed""#, Queued, None, None),
            (r#""event":"deferred""#, Deferred, None, None),
            (r#""event":"bounce","type":"bounce""#, Bounced, Some(Bounce::Hard), Some(Suppress::HardBounce)),
            (r#""event":"bounce","type":"blocked""#, Bounced, Some(Bounce::Soft), None),
            (r#""event":"dropped","reason":"Bounced Address""#, Dropped, None, Some(Suppress::HardBounce)),
            (r#""event":"dropped","reason":"Spam Content""#, Dropped, None, None),
            (r#""event":"spamreport""#, Complained, None, Some(Suppress::Complaint)),
            (r#""event":"open","sg_machine_open":true"#, Opened, None, None),
            (r#""event":"click","url":"https://x.example""#, Clicked, None, None),
            (r#""event":"group_unsubscribe""#, Unsubscribed, None, Some(Suppress::Unsubscribe)),
            (r#""event":"group_resubscribe""#, Resubscribed, None, None),
        ] {
            let body =
                format!("[{{\"email\":\"kim@example.org\",\"sg_message_id\":\"m.1\",{json}}},{{\"event\":\"account_status_change\"}}]");
            let report = taken("sendgrid", &settings(), &signed("1791043660", &body));
            let event = &report.events[0];
            assert_eq!((report.events.len(), event.kind, event.bounce, event.suppress), (1, kind, bounce, suppress), "{json}");
            assert_eq!((event.message_ref.as_str(), event.automatic), ("m.1", kind == Opened));
            assert_eq!(event.url.is_some(), kind == Clicked);
        }
    }

    #[test]
    fn look_up_and_probe() {
        let wire = wire("");
        let message = email("kim@example.org");
        let request = wire.lookup(&message, UnixMs(0), NOWHERE).unwrap();
        assert!(request.url.contains("/v3/messages?limit=1&query=%28unique_args%5B%27tp_id%27%5D%3D%22tp_"), "{}", request.url);
        let answer = |status, body: &str| Answer { status, headers: Vec::new(), body: body.into() };
        let found = |status, body: &str| wire.found(&message, UnixMs(0), &answer(status, body), UnixMs(0));
        assert_eq!(found(200, r#"{"messages":[{"msg_id":"m"}]}"#), Found::Yes(Some("m".into())));
        assert_eq!(found(200, r#"{"messages":[]}"#), Found::No);
        assert!(matches!(found(403, ""), Found::Unknown(o) if o.class == Class::Auth));
        assert_eq!(wire.probed(&answer(200, r#"{"scopes":["mail.send"]}"#), UnixMs(0)).outcome.class, Class::Accepted);
        assert!(wire.probed(&answer(200, r#"{"scopes":["alerts.read"]}"#), UnixMs(0)).outcome.detail.contains("mail.send"));
    }
}
