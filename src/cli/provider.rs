//! `provider request`, `provider classify` and `provider callback`: what a provider would be sent, what
//! its answer and its reports mean, without an agent, a config or a network. For integrators and tests.
//!
//! A request with an access token follows the one that fetches it; the token is not known yet, so
//! `{access_token}` stands in its place.
//!
//! SMTP is no HTTP: `request` answers `{"requests": [], "smtp": {"from", "to", "smtputf8",
//! "message_base64"}}`, the envelope and the mail before dots are doubled. A message that cannot be
//! sent gives `{"requests": [], "refused": {"class", "scope", "detail"}}`.

use crate::domain::address::PhoneNumber;
use crate::domain::channel::Channel;
use crate::domain::content::{Content, Data, Email, Outgoing, Sms};
use crate::domain::ids::StepId;
use crate::domain::message::Kind as MessageKind;
use crate::domain::outcome::{Class, Outcome};
use crate::domain::time::UnixMs;
use crate::http::{Answer, Request, Transport};
use crate::providers::callback::{Call, Event, Known};
use crate::providers::{At, BATCH, HttpProvider, Judged, Kind, SEND, TOKEN, Wire, classify_transport, find, kinds, smtp, table};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Where the access token will stand.
const TO_COME: &str = "{access_token}";

/// `provider request`
#[derive(clap::Args, Debug)]
pub struct RequestArgs {
    /// Type of provider, as after `type =` in the config.
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: String,
    /// The message as JSON.
    #[arg(long, value_name = "M.json")]
    pub message: PathBuf,
    /// The keys of one [providers.NAME] table.
    #[arg(long, value_name = "S.toml")]
    pub settings: Option<PathBuf>,
    /// The moment of sending (RFC 3339).
    #[arg(long, value_name = "TIME")]
    pub now: Option<String>,
}

/// `provider classify`
#[derive(clap::Args, Debug)]
pub struct ClassifyArgs {
    /// Type of provider, as after `type =` in the config.
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: String,
    /// The answer as JSON.
    #[arg(long, value_name = "R.json")]
    pub response: PathBuf,
    /// The moment of the attempt (RFC 3339).
    #[arg(long, value_name = "TIME")]
    pub now: Option<String>,
}

/// `provider callback`
#[derive(clap::Args, Debug)]
pub struct CallbackArgs {
    /// Type of provider, as after `type =` in the config.
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: String,
    /// The call as JSON, or a list of calls in their order.
    #[arg(long, value_name = "Q.json")]
    pub request: PathBuf,
    /// The keys of one [providers.NAME] table.
    #[arg(long, value_name = "S.toml")]
    pub settings: Option<PathBuf>,
    /// The moment of the call (RFC 3339).
    #[arg(long, value_name = "TIME")]
    pub now: Option<String>,
}

/// Why a tool has no answer. Each holds a sentence for people.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault {
    /// Asked in the wrong way: exit code 2.
    Usage(String),
    /// The input cannot be read or understood: exit code 3.
    Input(String),
}

fn input(why: impl Into<String>) -> Fault {
    Fault::Input(why.into())
}

impl RequestArgs {
    /// Reads the files and answers; `now` is the clock's, for want of `--now`.
    pub fn run(&self, now: UnixMs) -> Result<Value, Fault> {
        let settings = read_settings(self.settings.as_deref())?;
        request(&self.kind, &read_json(&self.message)?, &settings, moment(self.now.as_deref(), now)?)
    }
}

impl CallbackArgs {
    /// Reads the files and answers; `now` is the clock's, for want of `--now`.
    pub fn run(&self, now: UnixMs) -> Result<Value, Fault> {
        let settings = read_settings(self.settings.as_deref())?;
        callback(&self.kind, &read_json(&self.request)?, &settings, moment(self.now.as_deref(), now)?)
    }
}

fn read_settings(path: Option<&Path>) -> Result<toml::Table, Fault> {
    let Some(path) = path else { return Ok(toml::Table::new()) };
    read(path)?.parse().map_err(|e: toml::de::Error| input(format!("{}: {}", path.display(), e.message())))
}

impl ClassifyArgs {
    /// Reads the file and answers; `now` is the clock's, for want of `--now`.
    pub fn run(&self, now: UnixMs) -> Result<Value, Fault> {
        classify(&self.kind, &read_json(&self.response)?, moment(self.now.as_deref(), now)?)
    }
}

fn read(path: &Path) -> Result<String, Fault> {
    std::fs::read_to_string(path).map_err(|e| input(format!("{}: {e}", path.display())))
}

fn read_json(path: &Path) -> Result<Value, Fault> {
    serde_json::from_str(&read(path)?).map_err(|e| input(format!("{}: {e}", path.display())))
}

fn moment(given: Option<&str>, clock: UnixMs) -> Result<UnixMs, Fault> {
    match given {
        Some(text) => {
            UnixMs::parse_rfc3339(text).ok_or_else(|| Fault::Usage("--now wants a time such as 2026-10-03T18:07:44+02:00".into()))
        }
        None => Ok(clock),
    }
}

fn kind(name: &str) -> Result<&'static Kind, Fault> {
    find(name).ok_or_else(|| {
        let known: Vec<&str> = kinds().iter().map(|kind| kind.keys.name).collect();
        Fault::Usage(format!("there is no type of provider named {name}; there are {}", known.join(", ")))
    })
}

/// The requests that a message would become, in the order of sending. Pure.
///
/// `message` = `{delivery_id, operation?, kind?, to: {address, name?}, from?, reply_to?, subject?, text?,
/// html?, event?: {type, time, data}}`; `from` and `reply_to` are text or `{address, name?}`. `operation` picks from the requests that
/// would be sent; besides those, `token`, `batch` (of this one and a second recipient's), `probe` and
/// `lookup` can be asked for.
pub fn request(kind_name: &str, message: &Value, settings: &toml::Table, now: UnixMs) -> Result<Value, Fault> {
    let kind = kind(kind_name)?;
    let account = table::read(kind, settings).map_err(input)?;
    let wire = (kind.build)(&account).map_err(input)?;
    let operation = message.get("operation").and_then(Value::as_str);
    let message = outgoing(kind, message, now)?;
    let refused = |outcome: Outcome| {
        let Outcome { class, scope, detail, .. } = outcome;
        json!({"requests": [], "refused": {"class": class.word(), "scope": scope.word(), "detail": detail}})
    };
    Ok(match wire {
        Wire::Http(provider) => match requests(provider.as_ref(), operation, &message, now) {
            Ok(requests) => json!({"requests": requests.iter().map(shown).collect::<Vec<_>>()}),
            Err(outcome) => refused(outcome),
        },
        Wire::Smtp(smtp) => smtp.request(&message).map_or_else(refused, |mail| {
            let message = BASE64_STANDARD.encode(&mail.message);
            json!({"requests": [], "smtp": {"from": mail.from, "to": mail.to, "smtputf8": mail.utf8, "message_base64": message}})
        }),
        Wire::Folder(_) | Wire::Capture(_) => json!({"requests": []}),
    })
}

/// The token's request, where there is one, and those of the message.
fn requests(provider: &dyn HttpProvider, operation: Option<&str>, message: &Outgoing, now: UnixMs) -> Result<Vec<Request>, Outcome> {
    let token = provider.token(now);
    let at = At { now, token: if token.is_some() { TO_COME } else { "" } };
    let own: Vec<Request> = match operation {
        None => provider.request(message, at)?.into_iter().map(|step| step.request).collect(),
        Some(TOKEN) => Vec::new(),
        Some("probe") => provider.probe(at).into_iter().collect(),
        Some("lookup") => provider.lookup(message, now, at).into_iter().collect(),
        Some(BATCH) => {
            let second = Outgoing { to: format!("second.{}", message.to), ..message.clone() };
            provider.batch(&[message, &second], at).into_iter().collect()
        }
        Some(word) => {
            let steps = provider.request(message, at)?.into_iter();
            steps.filter(|step| step.operation == word || word == SEND).map(|step| step.request).collect()
        }
    };
    Ok(token.into_iter().chain(own).collect())
}

fn shown(request: &Request) -> Value {
    let headers: Vec<Value> = request.headers.iter().map(|(name, value)| json!([name, value])).collect();
    let mut out = Map::new();
    out.insert("method".into(), request.method.into());
    out.insert("url".into(), request.url.as_str().into());
    out.insert("headers".into(), headers.into());
    match std::str::from_utf8(&request.body) {
        Ok(text) => out.insert("body".into(), text.into()),
        Err(_) => out.insert("body_base64".into(), BASE64_STANDARD.encode(&request.body).into()),
    };
    Value::Object(out)
}

fn outgoing(provider: &Kind, message: &Value, now: UnixMs) -> Result<Outgoing, Fault> {
    let text = |name: &str| message.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let to = message.pointer("/to/address").and_then(Value::as_str).ok_or_else(|| input("to.address is missing"))?;
    let id = text("delivery_id");
    if id.is_empty() {
        return Err(input("delivery_id is missing"));
    }
    let kind = match message.get("kind").and_then(Value::as_str) {
        Some(word) => MessageKind::from_word(word).ok_or_else(|| input(format!("{word} is not a kind of message")))?,
        None => MessageKind::Receipt,
    };
    let (from, reply_to) = (mailbox(message.get("from")), mailbox(message.get("reply_to")));
    let (channel, content) = match provider.keys.channels {
        channels if channels == [Channel::Sms] || (channels.contains(&Channel::Sms) && PhoneNumber::parse(to, "").is_some()) => {
            (Channel::Sms, Content::Sms(Sms { from, text: text("text") }))
        }
        channels if channels.contains(&Channel::Email) => {
            let email = Email { from, reply_to, subject: text("subject"), text: text("text"), html: text("html"), headers: Vec::new() };
            (Channel::Email, Content::Email(email))
        }
        channels => (channels.first().copied().unwrap_or(Channel::Webhook), Content::Data(an_event(message.get("event"), &id, now)?)),
    };
    let message_id = id.split('.').next().unwrap_or(&id).to_owned();
    Ok(Outgoing { step: StepId::given(id), message_id, kind, channel, to: to.to_owned(), composed_at: now, content })
}

/// `{type, time, data}` as compose gives an event to a system; nothing is an event without data.
fn an_event(event: Option<&Value>, id: &str, now: UnixMs) -> Result<Data, Fault> {
    let text = |name: &str| event.and_then(|e| e.get(name)).and_then(Value::as_str);
    let at = match text("time") {
        Some(time) => UnixMs::parse_rfc3339(time).ok_or_else(|| input("event.time wants a time such as 2026-10-03T18:07:44+02:00"))?,
        None => now,
    };
    let data = event.and_then(|e| e.get("data")).cloned().unwrap_or_else(|| json!({}));
    let payload = json!({"id": id, "subject": text("subject").unwrap_or_default(), "data": data});
    Ok(Data { event: text("type").unwrap_or_default().to_owned(), at, payload, thin: false })
}

/// Text as it is; `{address, name?}` as a mailbox; nothing as empty.
fn mailbox(value: Option<&Value>) -> String {
    let member = |name: &str| value.and_then(|v| v.get(name)).and_then(Value::as_str).unwrap_or_default();
    match (value.and_then(Value::as_str), member("name"), member("address")) {
        (Some(text), ..) => text.to_owned(),
        (None, "", address) => address.to_owned(),
        (None, name, address) => format!("{name} <{address}>"),
    }
}

/// The outcome of an answer. Pure.
///
/// `response` = `{operation?, status, headers, body}`, for SMTP `{stage, reply}`, or for a fault of
/// the way `{transport}`.
pub fn classify(kind_name: &str, response: &Value, now: UnixMs) -> Result<Value, Fault> {
    let kind = kind(kind_name)?;
    let word = |name: &str| response.get(name).and_then(Value::as_str);
    let judged: Judged = if let Some(word) = word("transport") {
        let transport = Transport::from_word(word).ok_or_else(|| input(format!("{word} is not a word of transport")))?;
        classify_transport(transport, kind.idempotency).into()
    } else if kind.keys.name == smtp::KIND.keys.name {
        let stage = word("stage").and_then(smtp::Stage::from_word);
        let stage = stage.ok_or_else(|| input("stage must be connect, starttls, auth, mail, rcpt, data, data-end or quit"))?;
        smtp::classify(stage, word("reply")).into()
    } else if let Some(classify) = kind.classify {
        classify(word("operation").unwrap_or(SEND), &answer(response)?, now)
    } else {
        return Err(input(format!("{} has no answers of its own, only a transport", kind.keys.name)));
    };
    Ok(said(&judged))
}

fn answer(response: &Value) -> Result<Answer, Fault> {
    let status = response.get("status").and_then(Value::as_u64).and_then(|s| u16::try_from(s).ok());
    let status = status.ok_or_else(|| input("status is missing or not a number"))?;
    let headers = response.get("headers").and_then(Value::as_object).into_iter().flatten();
    let headers = headers.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect();
    let body = response.get("body").and_then(Value::as_str).unwrap_or_default().as_bytes().to_vec();
    Ok(Answer { status, headers, body })
}

fn said(judged: &Judged) -> Value {
    let mut said = of_one(&judged.outcome);
    if let Value::Object(said) = &mut said {
        if !judged.suppress.is_empty() {
            let all = judged.suppress.iter().map(|(address, why)| json!({"address": address, "reason": why.word()}));
            said.insert("suppress".to_owned(), all.collect());
        }
        if !judged.entries.is_empty() {
            said.insert("entries".to_owned(), judged.entries.iter().map(of_one).collect());
        }
    }
    said
}

fn of_one(outcome: &Outcome) -> Value {
    let seconds = outcome.retry_after.map(|wait| wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
    json!({
        "class": outcome.class.word(),
        "scope": outcome.scope.word(),
        "duplicate": outcome.duplicate,
        "retry_after_s": seconds,
        "provider_id": outcome.provider_id.as_deref().filter(|_| outcome.class != Class::Offline),
        "suppress": outcome.suppress.map(|why| why.word()),
    })
}

/// What a provider's call means. Pure.
///
/// `calls` = `{method, url, headers: [[name, value]…], body_base64}`, or a list of them, judged in order
/// with one memory of used tokens. Keys of the settings that verifying does not need may be missing.
pub fn callback(kind_name: &str, calls: &Value, settings: &toml::Table, now: UnixMs) -> Result<Value, Fault> {
    let kind = kind(kind_name)?;
    let verify = kind.callback.ok_or_else(|| input(format!("{kind_name} makes no calls")))?;
    let account = table::read_some(kind, settings).map_err(input)?;
    let mut used = BTreeSet::new();
    let mut one = |call: &Value| -> Result<Value, Fault> {
        let known = Known { now, used: &|token| used.contains(token), certificate: &|_| None };
        Ok(match verify(&account, &a_call(call)?, &known) {
            Ok(report) => {
                used.extend(report.token);
                json!({"verdict": "accepted", "events": report.events.iter().map(event).collect::<Vec<_>>(), "confirm": report.confirm})
            }
            Err(refusal) => json!({"verdict": refusal.code(), "events": []}),
        })
    };
    match calls {
        Value::Array(calls) => calls.iter().map(one).collect(),
        call => one(call),
    }
}

fn a_call(call: &Value) -> Result<Call, Fault> {
    let text = |name: &str| call.get(name).and_then(Value::as_str).unwrap_or_default();
    let headers = call.get("headers").and_then(Value::as_array).into_iter().flatten();
    let pair = |pair: &Value| Some((pair.get(0)?.as_str()?.to_owned(), pair.get(1)?.as_str()?.to_owned()));
    let body = BASE64_STANDARD.decode(text("body_base64")).map_err(|_| input("body_base64 is not base64"))?;
    let method = if text("method").is_empty() { "POST".to_owned() } else { text("method").to_ascii_uppercase() };
    Ok(Call { method, url: text("url").to_owned(), headers: headers.filter_map(pair).collect(), body })
}

fn event(event: &Event) -> Value {
    json!({
        "kind": event.kind.word(),
        "recipient": event.recipient,
        "message_ref": event.message_ref,
        "provider_id": event.provider_id,
        "bounce": event.bounce.map(|b| b.word()),
        "suppress": event.suppress.map(|why| why.word()),
        "url": event.url,
        "at": event.at.map(UnixMs::rfc3339),
        "automatic": event.automatic,
        "text": event.text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = UnixMs(1_791_043_664_000);

    fn settings(text: &str) -> toml::Table {
        text.parse().unwrap()
    }

    #[test]
    fn a_text_becomes_twilios_request() {
        let message = json!({"delivery_id": "tp_0123456789abcdef0123456789.10", "to": {"address": "+16075550100"}, "from": "+16075550131", "text": "Thanks"});
        let keys = "account_sid = \"AC0123456789abcdef0123456789abcdef\"\nauth_token = \"t\"\nbase_url = \"http://127.0.0.1:9\"\ntimeout = \"2 s\"";
        let answer = request("twilio", &message, &settings(keys), NOW).unwrap();
        let first = &answer["requests"][0];
        assert_eq!(first["url"], "http://127.0.0.1:9/2010-04-01/Accounts/AC0123456789abcdef0123456789abcdef/Messages.json");
        assert_eq!(first["headers"][0][0], "Authorization");
        assert!(first["body"].as_str().unwrap().starts_with("To=%2B16075550100&From=%2B16075550131&Body=Thanks"));
    }

    #[test]
    fn a_mail_becomes_an_envelope_and_a_message() {
        let message = json!({"delivery_id": "tp_a.10", "to": {"address": "kim@example.org"}, "from": {"address": "r@cmart.example", "name": "Corner Mart"},
            "subject": "Hi", "text": "Hello", "html": "<p>Hello"});
        let answer = request("smtp", &message, &settings("host = \"mail.cmart.example\""), NOW).unwrap();
        assert_eq!((&answer["requests"], &answer["smtp"]["to"]), (&json!([]), &json!("kim@example.org")));
        let mail = BASE64_STANDARD.decode(answer["smtp"]["message_base64"].as_str().unwrap()).unwrap();
        assert!(String::from_utf8(mail).unwrap().contains("Message-ID: <tp_a@cmart.example>"));
        let refused =
            request("smtp", &json!({"delivery_id": "x", "to": {"address": "kim@example.org"}}), &settings("host = \"m\""), NOW).unwrap();
        assert_eq!(refused["refused"]["class"], "auth");
    }

    #[test]
    fn what_cannot_be_answered_is_said() {
        let none = toml::Table::new();
        assert!(matches!(request("telegraph", &json!({}), &none, NOW), Err(Fault::Usage(_))));
        assert!(matches!(request("smtp", &json!({}), &none, NOW), Err(Fault::Input(_))));
        assert!(matches!(request("capture", &json!({"delivery_id": "x"}), &none, NOW), Err(Fault::Input(_))));
        assert!(matches!(classify("smtp", &json!({"stage": "lunch"}), NOW), Err(Fault::Input(_))));
        assert!(matches!(classify("twilio", &json!({}), NOW), Err(Fault::Input(_))));
        assert!(matches!(classify("twilio", &json!({"transport": "owl"}), NOW), Err(Fault::Input(_))));
        assert!(matches!(moment(Some("soon"), NOW), Err(Fault::Usage(_))));
    }

    #[test]
    fn answers_are_judged() {
        let late = json!({"status": 429, "headers": {"RETRY-AFTER": "Sat, 03 Oct 2026 16:09:14 GMT"}, "body": ""});
        let judged = classify("twilio", &late, UnixMs::parse_rfc3339("2026-10-03T16:07:44Z").unwrap()).unwrap();
        assert_eq!(
            judged,
            json!({"class": "throttle", "scope": "account", "duplicate": false, "retry_after_s": 90, "provider_id": null, "suppress": null})
        );
        assert_eq!(classify("smtp", &json!({"stage": "rcpt", "reply": "550 5.1.1 no"}), NOW).unwrap()["suppress"], "hard_bounce");
        assert_eq!(classify("smtp", &json!({"transport": "no_route"}), NOW).unwrap()["class"], "offline");
        assert_eq!(classify("capture", &json!({"transport": "reset_after_body"}), NOW).unwrap()["class"], "retry");
    }

    #[test]
    fn a_token_is_asked_for_first() {
        let message = json!({"delivery_id": "tp_a.10", "to": {"address": "kim@example.org"}, "from": "r@cmart.example", "subject": "Hi", "text": "Hello"});
        let keys = settings("tenant = \"t\"\nclient_id = \"c\"\nclient_secret = \"s\"\nmailbox = \"r@cmart.example\"");
        let answer = request("graph", &message, &keys, NOW).unwrap();
        let urls: Vec<&str> = answer["requests"].as_array().unwrap().iter().map(|r| r["url"].as_str().unwrap()).collect();
        let send = "https://graph.microsoft.com/v1.0/users/r@cmart.example/sendMail";
        assert_eq!(urls, ["https://login.microsoftonline.com/t/oauth2/v2.0/token", send]);
        assert_eq!(answer["requests"][1]["headers"][0], json!(["Authorization", "Bearer {access_token}"]));
        let mut alone = message.clone();
        alone["operation"] = "token".into();
        assert_eq!(request("graph", &alone, &keys, NOW).unwrap()["requests"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn an_event_becomes_the_calls_of_a_customer_system() {
        let message = json!({"delivery_id": "tp_a.10", "to": {"address": "kim@example.org"},
            "event": {"type": "order.shipped", "time": "2026-10-03T16:00:00Z", "data": {"order_status": "shipped"}}});
        let keys = settings("api_key = \"k-us1\"\nlist = \"a1\"\ntags = [\"store\"]\nfields = { order_status = \"OS\" }");
        let answer = request("mailchimp", &message, &keys, NOW).unwrap();
        assert_eq!(answer["requests"].as_array().unwrap().len(), 2);
        assert!(answer["requests"][0]["body"].as_str().unwrap().contains(r#""merge_fields":{"OS":"shipped"}"#));
        let mut tags = message.clone();
        tags["operation"] = "tags".into();
        assert!(request("mailchimp", &tags, &keys, NOW).unwrap()["requests"][0]["url"].as_str().unwrap().ends_with("/tags"));
    }

    #[test]
    fn entries_and_suppressed_recipients_are_told() {
        let body = r#"[{"ErrorCode":0,"MessageID":"m"},{"ErrorCode":406,"Message":"inactive"}]"#;
        let judged = classify("postmark", &json!({"operation": "batch", "status": 200, "headers": {}, "body": body}), NOW).unwrap();
        assert_eq!((&judged["entries"][0]["provider_id"], &judged["entries"][1]["suppress"]), (&json!("m"), &json!("hard_bounce")));
        let body = r#"{"ErrorCode":0,"MessageID":"m","Message":"will not deliver to these inactive addresses: a@b.example."}"#;
        let judged = classify("postmark", &json!({"status": 200, "headers": {}, "body": body}), NOW).unwrap();
        assert_eq!(judged["suppress"], json!([{"address": "a@b.example", "reason": "hard_bounce"}]));
    }

    #[test]
    fn calls_in_a_list_share_one_memory() {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"k");
        let call = |token: &str| {
            let code = crate::domain::ids::hex(ring::hmac::sign(&key, format!("1791043660{token}").as_bytes()).as_ref());
            let body = json!({"signature": {"timestamp": "1791043660", "token": token, "signature": code},
                "event-data": {"event": "delivered", "recipient": "kim@example.org", "timestamp": 1_791_043_600, "user-variables": {"tp_id": "tp_a.10"}}});
            json!({"method": "post", "url": "https://hq.example/c", "headers": [["Content-Type", "application/json"]], "body_base64": BASE64_STANDARD.encode(body.to_string())})
        };
        let keys = settings("callback = { signing_key = \"k\" }");
        let answer = callback("mailgun", &json!([call("a"), call("a"), call("b")]), &keys, NOW).unwrap();
        let verdicts: Vec<&str> = answer.as_array().unwrap().iter().map(|a| a["verdict"].as_str().unwrap()).collect();
        assert_eq!(verdicts, ["accepted", "replayed", "accepted"]);
        assert_eq!((&answer[1]["events"], &answer[0]["events"][0]["at"]), (&json!([]), &json!("2026-10-03T16:06:40Z")));
        assert_eq!(callback("mailgun", &call("a"), &keys, NOW).unwrap()["events"][0]["message_ref"], "tp_a.10");
        assert!(matches!(callback("smtp", &call("a"), &keys, NOW), Err(Fault::Input(_))));
        assert!(matches!(callback("mailgun", &json!({"body_base64": "?"}), &keys, NOW), Err(Fault::Input(_))));
    }
}
