//! Twilio: texts by its Messages resource of API 2010-04-01.
//!
//! It has no idempotency key and may have sent where it answers 500 ("a repeat can double the text",
//! its documentation says), so that is uncertain. Our id travels in the query of the status callback.
//! Twilio warns that its error codes change: they stand in one table below.

use crate::config::TypeKeys;
use crate::config::checked::{Provider as Settings, Rate};
use crate::config::key::{Shape, optional, required};
use crate::config::secret::Secret;
use crate::domain::channel::Channel;
use crate::domain::content::{Content, Outgoing, Sms};
use crate::domain::ids::sha256;
use crate::domain::outcome::{Class, Outcome, Scope, Suppress};
use crate::domain::text::scrub;
use crate::domain::time::UnixMs;
use crate::http::{Answer, Request, check_base_url, form, retry_after};
use crate::providers::callback::{self, Bounce, Call, Event, EventKind, Known, Refusal, Report};
use crate::providers::shared::{CALLBACK_URL, basic, by_status, content_type, not_theirs, refused};
use crate::providers::{At, Found, Health, HttpProvider, Idempotency, Judged, Kind, Page, Poll, SEND, STATUS, Step, Wire, wrong_content};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use ring::hmac::{self, HMAC_SHA1_FOR_LEGACY_USE_ONLY, HMAC_SHA256};
use serde_json::Value;
use std::time::Duration;

/// What it is.
pub static KIND: Kind = Kind {
    keys: TypeKeys {
        name: "twilio",
        doc: "Texts by Twilio's Messages API.",
        channels: &[Channel::Sms],
        keys: KEYS,
        example: "type = \"twilio\"\naccount_sid = \"AC0123456789abcdef0123456789abcdef\"\nauth_token = \"your auth token\"\n",
    },
    idempotency: Idempotency::None,
    // Twilio queues what it takes; a long code then sends one segment a second by itself.
    rate: Rate::per_second(50),
    concurrency: 10,
    batch: 1,
    keeps_content: false,
    classify: Some(judge),
    callback: Some(report),
    build,
};

const KEYS: &[crate::config::Key] = &[
    required("account_sid", Shape::Text, "The account's SID: AC and 32 hexadecimal digits."),
    optional("auth_token", Shape::Secret, "The account's auth token. Callbacks are signed with it even where requests use an API key."),
    optional("api_key_sid", Shape::Text, "SID of an API key (SK…), used for requests instead of the auth token."),
    optional("api_key_secret", Shape::Secret, "The API key's secret."),
    optional("smart_encoding", Shape::Bool, "Twilio replaces letters that would make a text longer, e.g. typographic quotes."),
    optional("messaging_service", Shape::Text, "Messaging Service (MG…) for messages whose channel names no sender."),
    optional("callback", Shape::Table(CALLBACK), "Where Twilio reports what became of a message."),
];

const CALLBACK: &[crate::config::Key] = &[
    CALLBACK_URL,
    optional("shared_key", Shape::Secret, "Secret of the shared key, where webhooks are signed with one in place of the auth token."),
];

/// An account's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Twilio {
    base_url: String,
    account_sid: String,
    user: String,
    password: Secret,
    messaging_service: String,
    smart_encoding: bool,
    callback_url: String,
}

fn build(settings: &Settings) -> Result<Wire, String> {
    Twilio::new(settings).map(|twilio| Wire::Http(Box::new(twilio)))
}

impl Twilio {
    /// From the checked table. The error is a sentence for the config check.
    pub fn new(settings: &Settings) -> Result<Twilio, String> {
        let own = &settings.settings;
        let account_sid = own.text("account_sid");
        if !is_sid(account_sid, "AC") {
            return Err("account_sid must be AC and 32 hexadecimal digits".to_owned());
        }
        let (key_sid, key_secret) = (own.text("api_key_sid"), own.secret("api_key_secret"));
        let (user, password) = match (key_sid.is_empty(), key_secret.is_empty()) {
            (true, true) => (account_sid, own.secret("auth_token")),
            (false, false) if is_sid(key_sid, "SK") => (key_sid, key_secret),
            (false, false) => return Err("api_key_sid must be SK and 32 hexadecimal digits".to_owned()),
            _ => return Err("api_key_sid and api_key_secret belong together".to_owned()),
        };
        if password.is_empty() {
            return Err("auth_token is missing (or api_key_sid with api_key_secret)".to_owned());
        }
        let service = own.text("messaging_service");
        if !service.is_empty() && !is_sid(service, "MG") {
            return Err("messaging_service must be MG and 32 hexadecimal digits".to_owned());
        }
        let base_url = settings.base_url.as_deref().unwrap_or("https://api.twilio.com");
        Ok(Twilio {
            base_url: check_base_url(base_url, settings.allow_insecure)?,
            account_sid: account_sid.to_owned(),
            user: user.to_owned(),
            password,
            messaging_service: service.to_owned(),
            smart_encoding: own.flag("smart_encoding"),
            callback_url: own.table("callback").map(|c| c.text("url").to_owned()).unwrap_or_default(),
        })
    }

    fn fields(&self, message: &Outgoing, sms: &Sms) -> Result<Vec<(&'static str, String)>, Outcome> {
        let from = if sms.from.is_empty() { &self.messaging_service } else { &sms.from };
        let sender = if is_sid(from, "MG") { "MessagingServiceSid" } else { "From" };
        if from.is_empty() {
            return Err(Outcome::new(Class::Auth, Scope::Account, "no sender: set from or messaging_service of the channel sms"));
        }
        // A text that is of no use later need not wait in Twilio's queue: 10 h at most.
        let validity = message.kind.time_to_live(Channel::Sms).as_secs().clamp(1, 36_000);
        let mut fields =
            vec![("To", message.to.clone()), (sender, from.clone()), ("Body", sms.text.clone()), ("ValidityPeriod", validity.to_string())];
        if self.smart_encoding {
            fields.push(("SmartEncoded", "true".to_owned()));
        }
        if !self.callback_url.is_empty() {
            let mark = if self.callback_url.contains('?') { '&' } else { '?' };
            fields.push(("StatusCallback", format!("{}{mark}tp_id={}", self.callback_url, message.step)));
        }
        Ok(fields)
    }
}

/// Two letters and 32 hexadecimal digits.
fn is_sid(text: &str, letters: &str) -> bool {
    text.strip_prefix(letters).is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|b| b.is_ascii_hexdigit()))
}

impl Twilio {
    fn ask(&self, method: &'static str, rest: &str) -> Request {
        let url = format!("{}/2010-04-01/Accounts/{}{rest}", self.base_url, self.account_sid);
        let headers = vec![basic(&self.user, self.password.expose()), ("Accept".to_owned(), "application/json".to_owned())];
        Request { method, url, headers, body: Vec::new() }
    }
}

impl HttpProvider for Twilio {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn base_url(&self) -> &str {
        &self.base_url
    }

    fn request(&self, message: &Outgoing, _at: At<'_>) -> Result<Vec<Step>, Outcome> {
        let Content::Sms(sms) = &message.content else { return Err(wrong_content(&KIND)) };
        let mut request = self.ask("POST", "/Messages.json");
        request.headers.push(content_type("application/x-www-form-urlencoded"));
        request.body = form::urlencoded(&self.fields(message, sms)?).into_bytes();
        Ok(Step::send(request))
    }

    /// By recipient alone: a text that still waits in a queue has no day of sending yet.
    fn lookup(&self, message: &Outgoing, _since: UnixMs, _at: At<'_>) -> Option<Request> {
        Some(self.ask("GET", &format!("/Messages.json?PageSize=200&To={}", form::percent(&message.to))))
    }

    fn found(&self, message: &Outgoing, since: UnixMs, answer: &Answer, now: UnixMs) -> Found {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        let Some(all) = body.get("messages").and_then(Value::as_array).filter(|_| answer.is_success()) else {
            return Found::Unknown(classify("status", answer, now));
        };
        let Content::Sms(sms) = &message.content else { return Found::No };
        let is_it = |one: &&Value| {
            let text = |name: &str| one.get(name).and_then(Value::as_str).unwrap_or_default();
            let created = retry_after::date(text("date_created"));
            // Their clock and ours may differ by minutes.
            let recent = created.is_none_or(|at| at + Duration::from_secs(300) >= since);
            text("direction").starts_with("outbound") && text("to") == message.to && text("body") == sms.text && recent
        };
        match all.iter().find(is_it) {
            Some(one) => Found::Yes(one.get("sid").and_then(Value::as_str).map(str::to_owned)),
            None if body.get("next_page_uri").is_some_and(Value::is_string) => {
                Found::Unknown(Outcome::new(Class::Uncertain, Scope::Message, "too many texts to this number to look through"))
            }
            None => Found::No,
        }
    }

    fn lookup_delay(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn lists(&self) -> &'static [&'static str] {
        &["messages"]
    }

    /// Texts of both directions: what became of ours, and what customers answered.
    fn poll(&self, poll: Poll<'_>, _at: At<'_>) -> Option<Request> {
        let day = poll.since.instant().strftime("%Y-%m-%d").to_string();
        let mut request = self.ask("GET", &format!("/Messages.json?PageSize=200&DateSent%3E={day}"));
        if let Some(next) = poll.page {
            request.url = format!("{}{next}", self.base_url);
        }
        Some(request)
    }

    fn polled(&self, poll: Poll<'_>, answer: &Answer, now: UnixMs) -> Result<Page, Outcome> {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        let all = body.get("messages").and_then(Value::as_array).filter(|_| answer.is_success());
        let all = all.ok_or_else(|| classify(STATUS, answer, now))?;
        let recent = all.iter().filter_map(listed).filter(|event| event.at.is_none_or(|at| at >= poll.since));
        let ours = format!("/2010-04-01/Accounts/{}/Messages.json?", self.account_sid);
        let next = body.get("next_page_uri").and_then(Value::as_str).filter(|next| next.starts_with(&ours));
        Ok(Page { events: recent.collect(), next: next.map(str::to_owned) })
    }

    fn probe(&self, _at: At<'_>) -> Option<Request> {
        Some(self.ask("GET", ".json"))
    }

    fn probed(&self, answer: &Answer, now: UnixMs) -> Health {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
        match text("status") {
            "active" if answer.is_success() => {
                let warning = (text("type") == "Trial").then(|| "a trial account: it texts verified numbers only".to_owned());
                Health { warning, ..Outcome::accepted(None).into() }
            }
            "" => refused(answer, now, by_status(answer.status, false), "").into(),
            state => Outcome::new(Class::Auth, Scope::Account, format!("the account is {}", scrub(state))).into(),
        }
    }
}

/// Error codes and what they mean, of requests and of reports alike. Source: Twilio's error
/// dictionary, as far as it concerns texts.
const CODES: &[(i64, Class, Scope, Option<Suppress>)] = &[
    (20003, Class::Auth, Scope::Account, None),
    (20404, Class::Auth, Scope::Account, None),
    (20429, Class::Throttle, Scope::Account, None),
    (21211, Class::Permanent, Scope::Recipient, Some(Suppress::InvalidNumber)),
    (21408, Class::Auth, Scope::Account, None),
    (21602, Class::Permanent, Scope::Message, None),
    (21606, Class::Auth, Scope::Account, None),
    (21608, Class::Auth, Scope::Account, None),
    (21610, Class::Permanent, Scope::Recipient, Some(Suppress::SmsStop)),
    (21611, Class::Throttle, Scope::Account, None),
    (21612, Class::Permanent, Scope::Recipient, None),
    (21614, Class::Permanent, Scope::Recipient, Some(Suppress::InvalidNumber)),
    (21617, Class::Permanent, Scope::Message, None),
    (30001, Class::Retry, Scope::Account, None),
    (30002, Class::Auth, Scope::Account, None),
    (30003, Class::Retry, Scope::Recipient, None),
    (30004, Class::Permanent, Scope::Recipient, None),
    (30005, Class::Permanent, Scope::Recipient, Some(Suppress::InvalidNumber)),
    (30006, Class::Permanent, Scope::Recipient, Some(Suppress::InvalidNumber)),
    (30007, Class::Permanent, Scope::Message, None),
    (30008, Class::Retry, Scope::Recipient, None),
    (30034, Class::Auth, Scope::Account, None),
];

fn judge(operation: &str, answer: &Answer, now: UnixMs) -> Judged {
    classify(operation, answer, now).into()
}

/// What an answer means. `operation`: `send`, or `status` for the resource of an earlier message.
pub fn classify(operation: &str, answer: &Answer, now: UnixMs) -> Outcome {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    if answer.is_success() {
        return message_resource(&body);
    }
    let said = body.get("message").and_then(Value::as_str).unwrap_or_default();
    let code = body.get("code").and_then(Value::as_i64);
    let known = code.and_then(by_code);
    let sends = operation == SEND;
    let (class, scope, suppress) = match (answer.status, known) {
        (429, _) => (Class::Throttle, Scope::Account, None),
        (400..=499, Some(known)) => known,
        (404, None) => (Class::Auth, Scope::Account, None),
        (500, _) if sends => (Class::Uncertain, Scope::Message, None),
        (status, _) => {
            let (class, scope) = by_status(status, sends);
            (class, scope, None)
        }
    };
    let detail = format!("{} {said}", code.map(|c| c.to_string()).unwrap_or_default());
    Outcome { suppress, ..refused(answer, now, (class, scope), &detail) }
}

/// A Message resource: the answer to a request and to a question are the same.
fn message_resource(body: &Value) -> Outcome {
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let (Some(sid), Some(status)) = (text("sid"), text("status")) else {
        return not_theirs("Twilio");
    };
    let code = body.get("error_code").and_then(|c| c.as_i64().or_else(|| c.as_str()?.parse().ok()));
    let (class, scope, suppress) = match status {
        "undelivered" | "failed" => code.and_then(by_code).unwrap_or((Class::Retry, Scope::Recipient, None)),
        "canceled" => (Class::Permanent, Scope::Message, None),
        _ => return Outcome::accepted(Some(sid.to_owned())),
    };
    let detail = scrub(&format!("{status} {}", code.map(|c| c.to_string()).unwrap_or_default()));
    Outcome { suppress, provider_id: Some(sid.to_owned()), ..Outcome::new(class, scope, detail) }
}

fn by_code(code: i64) -> Option<(Class, Scope, Option<Suppress>)> {
    CODES.iter().find(|(known, ..)| *known == code).map(|(_, class, scope, suppress)| (*class, *scope, *suppress))
}

/// Verifies and reads a status callback or an answer of a customer.
fn report(settings: &Settings, call: &Call, _known: &Known<'_>) -> Result<Report, Refusal> {
    if call.method == "HEAD" {
        return Ok(Report::default());
    }
    let (url, fields) = verified(settings, call)?;
    let field = |name: &str| fields.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str()).unwrap_or_default();
    let id = [field("MessageSid"), field("SmsSid")].into_iter().find(|id| !id.is_empty()).ok_or(callback::MALFORMED)?;
    let status = [field("MessageStatus"), field("SmsStatus")].into_iter().find(|s| !s.is_empty()).ok_or(callback::MALFORMED)?;
    let mut event = if status == "received" {
        callback::reply(field("From"), id, field("Body"), field("OptOutType"))
    } else {
        // Only what was signed can name one of our deliveries.
        let reference = callback::query(&url, "tp_id").unwrap_or_else(|| id.to_owned());
        let Some(event) = of_status(status, field("ErrorCode").parse().ok(), field("To"), &reference) else {
            return Ok(Report::default());
        };
        event
    };
    event.provider_id = id.to_owned();
    event.key = format!("{id} {status}");
    Ok(Report { events: vec![event], ..Report::default() })
}

/// The URL and the fields of a call that Twilio signed: by its URL and either the form's fields or a hash of
/// the body. The signature names its algorithm where a shared key made it. Source: Twilio's own validator.
fn verified(settings: &Settings, call: &Call) -> Result<(String, Vec<(String, String)>), Refusal> {
    let secrets = [settings.settings.secret("auth_token"), callback::secret(settings, "shared_key")];
    if secrets.iter().all(Secret::is_empty) {
        return Err(callback::UNSET);
    }
    let signature = call.header("X-Twilio-Signature").ok_or(callback::MISSING)?;
    let signature = BASE64_STANDARD.decode(signature.trim()).map_err(|_| callback::WRONG)?;
    let algorithm = algorithm(call.header("X-Twilio-Webhooks-Signature-Settings").unwrap_or_default()).ok_or(callback::WRONG)?;
    let is_form = call.header("Content-Type").unwrap_or_default().contains("form-urlencoded");
    let mut form = form::parse(&call.body);
    form.sort();
    form.dedup();
    let text: String = form.iter().map(|(name, value)| format!("{name}{value}")).collect();
    for url in callback::signed_urls(settings, call) {
        let by_hash = callback::query(&url, "bodySHA256").filter(|_| !is_form);
        let fields = if by_hash.is_some() { "" } else { &text };
        let fits = [with_port(&url, false), with_port(&url, true)].iter().flatten().any(|url| {
            let bytes = format!("{url}{fields}").into_bytes();
            secrets.iter().any(|secret| !secret.is_empty() && callback::hmac_fits(algorithm, secret, &bytes, &signature))
        });
        match by_hash {
            _ if !fits => {}
            None => return Ok((url, form)),
            Some(hash) if callback::from_hex(&hash).is_some_and(|hash| hash == sha256(&call.body)) => {
                let body: Value = serde_json::from_slice(&call.body).map_err(|_| callback::MALFORMED)?;
                let members = body.as_object().into_iter().flatten();
                return Ok((url, members.map(|(name, _)| (name.clone(), callback::text(&body, name))).collect()));
            }
            Some(_) => {}
        }
    }
    Err(callback::WRONG)
}

/// `key=…,algorithm=HMAC_SHA256`; without the header it is the old one.
fn algorithm(header: &str) -> Option<hmac::Algorithm> {
    let mut parts = header.split(',').filter_map(|part| part.split_once('='));
    let named = parts.find(|(name, value)| name.trim() == "algorithm" && !value.trim().is_empty());
    match named.map(|(_, value)| value.trim().to_ascii_uppercase()).as_deref() {
        None | Some("HMAC_SHA1") => Some(HMAC_SHA1_FOR_LEGACY_USE_ONLY),
        Some("HMAC_SHA256") => Some(HMAC_SHA256),
        Some(_) => None,
    }
}

/// The URL with or without its port: Twilio signs now the one, now the other.
fn with_port(url: &str, wanted: bool) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let host_at = authority.rfind('@').map_or(0, |at| at + 1);
    let (user, host) = authority.split_at(host_at);
    let bracketed = host.rfind(']').map_or(0, |at| at + 1);
    let port_at = host.get(bracketed..)?.find(':').map(|at| at + bracketed);
    let bare = port_at.map_or(host, |at| host.get(..at).unwrap_or(host));
    Some(match (wanted, port_at) {
        (true, Some(_)) => url.to_owned(),
        (true, None) => format!("{scheme}://{user}{bare}:{}{path}", if scheme == "https" { 443 } else { 80 }),
        (false, _) => format!("{scheme}://{user}{bare}{path}"),
    })
}

/// `None`: a word that says nothing of a message's fate.
fn of_status(status: &str, code: Option<i64>, to: &str, reference: &str) -> Option<Event> {
    let event = |kind| Event::new(kind, to, reference);
    let suppress = code.and_then(by_code).and_then(|(.., suppress)| suppress);
    let mut event = match status {
        "accepted" | "scheduled" | "queued" | "sending" => event(EventKind::Queued),
        "sent" => event(EventKind::Sent),
        "delivered" | "partially_delivered" => event(EventKind::Delivered),
        "read" => event(EventKind::Opened),
        "canceled" => event(EventKind::Dropped),
        "undelivered" | "failed" if suppress == Some(Suppress::SmsStop) => event(EventKind::Unsubscribed).suppressing(suppress),
        "undelivered" if suppress.is_some() => event(EventKind::Bounced).bounced(Bounce::Hard).suppressing(suppress),
        "undelivered" => event(EventKind::Bounced).bounced(Bounce::Soft),
        "failed" => event(EventKind::Failed).suppressing(suppress),
        _ => return None,
    };
    event.text = code.map(|c| c.to_string()).unwrap_or_default();
    Some(event)
}

/// A text of the list, where it says how it ended or is an answer.
fn listed(one: &Value) -> Option<Event> {
    let text = |name: &str| callback::text(one, name);
    let (id, status) = (text("sid"), text("status"));
    let event = if text("direction") == "inbound" {
        callback::reply(&text("from"), &id, &text("body"), "")
    } else {
        let ended = |event: &Event| !matches!(event.kind, EventKind::Queued | EventKind::Sent);
        of_status(&status, text("error_code").parse().ok(), &text("to"), &id).filter(ended)?
    };
    let at = [text("date_updated"), text("date_sent")].iter().find_map(|date| retry_after::date(date));
    Some(Event { key: format!("{id} {status}"), provider_id: id, at, ..event })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::conformance::{NOWHERE, account, email, only, sms, taken, verdict};

    const SETTINGS: &str = r#"
        account_sid = "AC0123456789abcdef0123456789abcdef"
        auth_token = "canary-token"
        callback = { url = "https://hq.cmart.example/s/1/callbacks/texts" }
    "#;

    fn twilio(more: &str) -> Result<Twilio, String> {
        Twilio::new(&account("twilio", &format!("{more}\n{SETTINGS}")))
    }

    fn body(request: &Request) -> String {
        String::from_utf8(request.body.clone()).unwrap()
    }

    #[test]
    fn a_request_holds_sender_text_validity_and_our_id() {
        let request = only(twilio("").unwrap().request(&sms("+16075550100"), NOWHERE));
        assert_eq!(request.url, "https://api.twilio.com/2010-04-01/Accounts/AC0123456789abcdef0123456789abcdef/Messages.json");
        let basic = BASE64_STANDARD.encode("AC0123456789abcdef0123456789abcdef:canary-token");
        assert!(request.headers.contains(&("Authorization".to_owned(), format!("Basic {basic}"))));
        let body = body(&request);
        assert!(body.starts_with("To=%2B16075550100&From=%2B16075550131&Body=Caf%C3%A9+%26+more&ValidityPeriod=36000"), "{body}");
        assert!(body.contains("StatusCallback=https%3A%2F%2Fhq.cmart.example%2Fs%2F1%2Fcallbacks%2Ftexts%3Ftp_id%3Dtp_"), "{body}");
    }

    #[test]
    fn the_sender_may_be_a_service() {
        let service = "MG0123456789abcdef0123456789abcdef";
        let mut message = sms("+16075550100");
        message.content = Content::Sms(Sms { from: service.into(), text: "x".into() });
        assert!(body(&only(twilio("").unwrap().request(&message, NOWHERE))).contains(&format!("&MessagingServiceSid={service}&")));
        message.content = Content::Sms(Sms { from: String::new(), text: "x".into() });
        let fallback = twilio(&format!("messaging_service = \"{service}\"")).unwrap();
        assert!(body(&only(fallback.request(&message, NOWHERE))).contains("MessagingServiceSid=MG"));
        assert_eq!(twilio("").unwrap().request(&message, NOWHERE).unwrap_err().class, Class::Auth);
        assert_eq!(twilio("").unwrap().request(&email("kim@example.org"), NOWHERE).unwrap_err().class, Class::Permanent);
    }

    #[test]
    fn its_list_tells_how_texts_ended_and_what_customers_answered() {
        let twilio = twilio("").unwrap();
        let poll = Poll { list: "messages", since: UnixMs::parse_rfc3339("2026-10-03T12:00:00Z").unwrap(), page: None };
        let url = twilio.poll(poll, NOWHERE).unwrap().url;
        assert!(url.ends_with("/Messages.json?PageSize=200&DateSent%3E=2026-10-03"), "{url}");
        let one = |sid: &str, direction: &str, status: &str, code: Value, date: &str| {
            serde_json::json!({"sid": sid, "direction": direction, "status": status, "error_code": code, "body": "STOP",
                "from": "+16075550100", "to": "+16075550131", "date_updated": date, "date_sent": null})
        };
        let late = "Sat, 03 Oct 2026 16:07:44 +0000";
        let list = serde_json::json!({"messages": [
            one("SM1", "outbound-api", "delivered", Value::Null, late),
            one("SM2", "outbound-api", "undelivered", 30005.into(), late),
            one("SM3", "outbound-api", "sent", Value::Null, late),
            one("SM4", "inbound", "received", Value::Null, late),
            one("SM5", "inbound", "received", Value::Null, "Sat, 03 Oct 2026 09:00:00 +0000"),
        ], "next_page_uri": "/2010-04-01/Accounts/AC0123456789abcdef0123456789abcdef/Messages.json?PageToken=x"});
        let page =
            twilio.polled(poll, &Answer { status: 200, headers: Vec::new(), body: list.to_string().into_bytes() }, NOWHERE.now).unwrap();
        let told: Vec<_> = page.events.iter().map(|e| (e.key.as_str(), e.kind, e.suppress)).collect();
        assert_eq!(
            told,
            [
                ("SM1 delivered", EventKind::Delivered, None),
                ("SM2 undelivered", EventKind::Bounced, Some(Suppress::InvalidNumber)),
                ("SM4 received", EventKind::Replied, Some(Suppress::SmsStop)),
            ]
        );
        let next = page.next.unwrap();
        assert!(twilio.poll(Poll { page: Some(&next), ..poll }, NOWHERE).unwrap().url.ends_with("?PageToken=x"));
    }

    #[test]
    fn an_api_key_signs_requests() {
        let key = "api_key_sid = \"SK0123456789abcdef0123456789abcdef\"\napi_key_secret = \"canary-secret\"";
        let request = only(twilio(key).unwrap().request(&sms("+16075550100"), NOWHERE));
        let basic = BASE64_STANDARD.encode("SK0123456789abcdef0123456789abcdef:canary-secret");
        assert_eq!(request.headers[0].1, format!("Basic {basic}"));
        assert!(twilio("api_key_sid = \"SK0123456789abcdef0123456789abcdef\"").unwrap_err().contains("belong together"));
        assert!(twilio("messaging_service = \"shop\"").unwrap_err().contains("MG"));
        assert!(Twilio::new(&account("twilio", "account_sid = \"AC1\"")).unwrap_err().contains("account_sid"));
    }

    #[test]
    fn answers_that_are_not_twilios() {
        let now = UnixMs(0);
        let answer = |status, body: &str| Answer { status, headers: vec![("retry-after".into(), "3".into())], body: body.into() };
        assert_eq!(classify("send", &answer(200, "<html>Welcome"), now).class, Class::Uncertain);
        assert_eq!(classify("send", &answer(201, "{}"), now).class, Class::Uncertain);
        assert_eq!(classify("send", &answer(504, ""), now).class, Class::Uncertain);
        assert_eq!(classify("status", &answer(504, ""), now).class, Class::Retry);
        assert_eq!(classify("send", &answer(302, ""), now).class, Class::Retry);
        assert_eq!(classify("send", &answer(400, ""), now).scope, Scope::Message);
        assert_eq!(classify("send", &answer(401, "no"), now).class, Class::Auth);
        assert_eq!(classify("send", &answer(503, ""), now).retry_after.unwrap().as_secs(), 3);
        let said = classify("send", &answer(400, r#"{"code":21211,"message":"+16075550100 of canary@example.org is invalid"}"#), now);
        assert_eq!(said.detail, "400 21211 # of *** is invalid");
    }

    const URL: &str = "https://hq.cmart.example/s/1/callbacks/texts?tp_id=tp_a.10";

    /// A call as Twilio signs it, by another code than the one that verifies.
    fn call(url: &str, fields: &[(&str, &str)], key: &str, settings: &str) -> Call {
        let algorithm = if settings.is_empty() { HMAC_SHA1_FOR_LEGACY_USE_ONLY } else { HMAC_SHA256 };
        let mut sorted = fields.to_vec();
        sorted.sort_unstable();
        let text = sorted.iter().fold(url.to_owned(), |text, (name, value)| text + name + value);
        let signature = BASE64_STANDARD.encode(hmac::sign(&hmac::Key::new(algorithm, key.as_bytes()), text.as_bytes()));
        let headers = [
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("X-Twilio-Signature", &signature),
            ("X-Twilio-Webhooks-Signature-Settings", settings),
        ];
        let headers = headers.iter().filter(|(_, v)| !v.is_empty()).map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Call { method: "POST".into(), url: URL.into(), headers, body: form::urlencoded(fields).into_bytes() }
    }

    const KEYS: &str = "auth_token = \"12345\"\ncallback = { shared_key = \"canary\" }";

    #[test]
    fn a_signature_agrees_with_the_published_example() {
        // Twilio's documentation, "Validating signatures"; the code itself was computed with its library.
        let fields = [("CallSid", "CA1234567890ABCDE"), ("Caller", "+14158675310"), ("Digits", "1234")];
        let url = "https://mycompany.example/myapp.php?foo=1&bar=2";
        let key = hmac::Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"12345");
        let text = fields.iter().fold(url.to_owned(), |text, (name, value)| text + name + value);
        let mut call = call(url, &fields, "12345", "");
        call.url = url.into();
        assert_eq!(call.header("X-Twilio-Signature"), Some(BASE64_STANDARD.encode(hmac::sign(&key, text.as_bytes())).as_str()));
        assert_eq!(verdict("twilio", KEYS, &call), "malformed", "authentic, but no message");
    }

    #[test]
    fn only_what_twilio_signed_is_taken() {
        let fields = [("MessageSid", "SM1"), ("MessageStatus", "delivered"), ("To", "+16075550100")];
        let good = call(URL, &fields, "12345", "");
        assert_eq!(verdict("twilio", KEYS, &good), "accepted");
        let port = URL.replace(".example/", ".example:443/");
        assert_eq!(verdict("twilio", KEYS, &call(&port, &fields, "12345", "")), "accepted");
        assert_eq!(verdict("twilio", KEYS, &call(URL, &fields, "canary", "key=k1,algorithm=HMAC_SHA256")), "accepted");
        assert_eq!(verdict("twilio", KEYS, &call(URL, &fields, "canary", "key=k1,algorithm=HMAC_MD5")), "signature_wrong");
        assert_eq!(verdict("twilio", KEYS, &call(URL, &fields, "other", "")), "signature_wrong");
        assert_eq!(verdict("twilio", "", &good), "not_configured");
        let told = "auth_token = \"12345\"\ncallback = { url = \"https://shop.example/x\" }";
        assert_eq!(verdict("twilio", told, &good), "signature_wrong", "the URL of the settings counts");
        assert_eq!(verdict("twilio", told, &call("https://shop.example/x?tp_id=tp_a.10", &fields, "12345", "")), "accepted");
        let bare = taken("twilio", told, &call("https://shop.example/x", &fields, "12345", ""));
        assert_eq!(bare.events[0].message_ref, "SM1", "the query was not signed");
        let mut altered = good.clone();
        altered.body.extend_from_slice(b"&ErrorCode=30005");
        assert_eq!(verdict("twilio", KEYS, &altered), "signature_wrong");
        altered.headers.retain(|(name, _)| name != "X-Twilio-Signature");
        assert_eq!(verdict("twilio", KEYS, &altered), "signature_missing");
    }

    #[test]
    fn a_body_of_json_is_signed_by_its_hash() {
        let body = r#"{"MessageSid":"SM1","MessageStatus":"sent","To":"+16075550100"}"#;
        let url = format!("{URL}&bodySHA256={}", crate::domain::ids::hex(&sha256(body.as_bytes())));
        let mut call = call(&url, &[], "12345", "");
        call.headers[0].1 = "application/json".into();
        (call.url, call.body) = (url, body.into());
        assert_eq!(taken("twilio", KEYS, &call).events[0].kind, EventKind::Sent);
        call.body.push(b' ');
        assert_eq!(verdict("twilio", KEYS, &call), "signature_wrong");
    }

    #[test]
    fn reports_become_events() {
        use EventKind::{Bounced, Delivered, Dropped, Failed, Opened, Queued, Replied, Resubscribed, Sent, Unsubscribed};
        for (status, code, kind, bounce, suppress) in [
            ("queued", "", Queued, None, None),
            ("sending", "", Queued, None, None),
            ("sent", "", Sent, None, None),
            ("delivered", "", Delivered, None, None),
            ("read", "", Opened, None, None),
            ("undelivered", "30005", Bounced, Some(Bounce::Hard), Some(Suppress::InvalidNumber)),
            ("undelivered", "30006", Bounced, Some(Bounce::Hard), Some(Suppress::InvalidNumber)),
            ("undelivered", "30003", Bounced, Some(Bounce::Soft), None),
            ("undelivered", "30004", Bounced, Some(Bounce::Soft), None),
            ("failed", "21610", Unsubscribed, None, Some(Suppress::SmsStop)),
            ("failed", "30008", Failed, None, None),
            ("canceled", "", Dropped, None, None),
        ] {
            let fields = [("MessageSid", "SM1"), ("MessageStatus", status), ("To", "+16075550100"), ("ErrorCode", code)];
            let report = taken("twilio", KEYS, &call(URL, &fields, "12345", ""));
            let event = &report.events[0];
            assert_eq!((event.kind, event.bounce, event.suppress), (kind, bounce, suppress), "{status} {code}");
            assert_eq!(
                (event.message_ref.as_str(), event.provider_id.as_str(), event.recipient.as_str()),
                ("tp_a.10", "SM1", "+16075550100")
            );
        }
        for (body, opt_out, kind, suppress) in [
            ("Thanks!", "", Replied, None),
            (" stop ", "", Replied, Some(Suppress::SmsStop)),
            ("Arrêt", "STOP", Replied, Some(Suppress::SmsStop)),
            ("start", "START", Resubscribed, None),
        ] {
            let fields =
                [("MessageSid", "SM2"), ("SmsStatus", "received"), ("From", "+16075550100"), ("Body", body), ("OptOutType", opt_out)];
            let event = taken("twilio", KEYS, &call(URL, &fields, "12345", "")).events.remove(0);
            assert_eq!((event.kind, event.suppress, event.message_ref.as_str()), (kind, suppress, "SM2"), "{body}");
        }
    }

    #[test]
    fn a_text_is_found_by_its_recipient_and_words() {
        let twilio = twilio("").unwrap();
        let message = sms("+16075550100");
        let since = UnixMs::parse_rfc3339("2026-10-06T14:00:00Z").unwrap();
        let request = twilio.lookup(&message, since, NOWHERE).unwrap();
        assert!(request.url.ends_with("/Messages.json?PageSize=200&To=%2B16075550100"), "{}", request.url);
        let answer = |body: &str, created: &str, next: &str| {
            let text = format!(
                r#"{{"messages":[{{"sid":"SM1","to":"+16075550100","direction":"outbound-api","body":"{body}","date_created":"{created}"}}],"next_page_uri":{next}}}"#
            );
            Answer { status: 200, headers: Vec::new(), body: text.into() }
        };
        let recent = "Tue, 06 Oct 2026 13:58:00 +0000";
        assert_eq!(twilio.found(&message, since, &answer("Café & more", recent, "null"), since), Found::Yes(Some("SM1".into())));
        assert_eq!(twilio.found(&message, since, &answer("Other", recent, "null"), since), Found::No);
        assert_eq!(twilio.found(&message, since, &answer("Café & more", "Tue, 06 Oct 2026 09:00:00 +0000", "null"), since), Found::No);
        assert!(matches!(twilio.found(&message, since, &answer("Other", recent, "\"/x\""), since), Found::Unknown(_)));
        let down = Answer { status: 503, headers: Vec::new(), body: Vec::new() };
        assert!(matches!(twilio.found(&message, since, &down, since), Found::Unknown(o) if o.class == Class::Retry));
    }

    #[test]
    fn a_probe_tells_how_the_account_stands() {
        let twilio = twilio("").unwrap();
        assert!(twilio.probe(NOWHERE).unwrap().url.ends_with("/Accounts/AC0123456789abcdef0123456789abcdef.json"));
        let probed = |status, body: &str| twilio.probed(&Answer { status, headers: Vec::new(), body: body.into() }, UnixMs(0));
        assert!(probed(200, r#"{"status":"active","type":"Trial"}"#).warning.unwrap().contains("trial"));
        assert_eq!(probed(200, r#"{"status":"suspended"}"#).outcome.class, Class::Auth);
        assert_eq!(probed(401, "").outcome.class, Class::Auth);
        assert_eq!(probed(503, "").outcome.class, Class::Retry);
    }
}
