//! `provider request` and `provider classify`: what a provider would be sent, and what its answer
//! would mean, without an agent, a config or a network. For integrators and tests.
//!
//! SMTP is no HTTP: `request` answers `{"requests": [], "smtp": {"from", "to", "smtputf8",
//! "message_base64"}}`, the envelope and the mail before dots are doubled. A message that cannot be
//! sent gives `{"requests": [], "refused": {"class", "scope", "detail"}}`.

use crate::domain::address::PhoneNumber;
use crate::domain::channel::Channel;
use crate::domain::content::{Content, Email, Outgoing, Sms};
use crate::domain::ids::StepId;
use crate::domain::message::Kind as MessageKind;
use crate::domain::outcome::{Class, Outcome};
use crate::domain::time::UnixMs;
use crate::http::{Answer, Request, Transport};
use crate::providers::{Kind, Wire, classify_transport, find, kinds, smtp, table};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

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
        let settings = match &self.settings {
            Some(path) => read(path)?.parse().map_err(|e: toml::de::Error| input(format!("{}: {}", path.display(), e.message())))?,
            None => toml::Table::new(),
        };
        request(&self.kind, &read_json(&self.message)?, &settings, moment(self.now.as_deref(), now)?)
    }
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
/// `message` = `{delivery_id, kind?, to: {address, name?}, from?, reply_to?, subject?, text?, html?}`;
/// `from` and `reply_to` are text or `{address, name?}`.
pub fn request(kind_name: &str, message: &Value, settings: &toml::Table, now: UnixMs) -> Result<Value, Fault> {
    let kind = kind(kind_name)?;
    let account = table::read(kind, settings).map_err(input)?;
    let wire = (kind.build)(&account).map_err(input)?;
    let message = outgoing(kind, message, now)?;
    let refused = |outcome: Outcome| {
        let Outcome { class, scope, detail, .. } = outcome;
        json!({"requests": [], "refused": {"class": class.word(), "scope": scope.word(), "detail": detail}})
    };
    Ok(match wire {
        Wire::Http(provider) => provider.request(&message).map_or_else(refused, |request| json!({"requests": [shown(&request)]})),
        Wire::Smtp(smtp) => smtp.request(&message).map_or_else(refused, |mail| {
            let message = BASE64_STANDARD.encode(&mail.message);
            json!({"requests": [], "smtp": {"from": mail.from, "to": mail.to, "smtputf8": mail.utf8, "message_base64": message}})
        }),
        Wire::Folder(_) | Wire::Capture(_) => json!({"requests": []}),
    })
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
    let is_sms = provider.keys.channels == [Channel::Sms] || PhoneNumber::parse(to, "").is_some();
    let (channel, content) = if is_sms {
        (Channel::Sms, Content::Sms(Sms { from, text: text("text") }))
    } else {
        let email = Email { from, reply_to, subject: text("subject"), text: text("text"), html: text("html"), headers: Vec::new() };
        (Channel::Email, Content::Email(email))
    };
    let message_id = id.split('.').next().unwrap_or(&id).to_owned();
    Ok(Outgoing { step: StepId::given(id), message_id, kind, channel, to: to.to_owned(), composed_at: now, content })
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
    let outcome = if let Some(word) = word("transport") {
        let transport = Transport::from_word(word).ok_or_else(|| input(format!("{word} is not a word of transport")))?;
        classify_transport(transport, kind.idempotency)
    } else if kind.keys.name == smtp::KIND.keys.name {
        let stage = word("stage").and_then(smtp::Stage::from_word);
        let stage = stage.ok_or_else(|| input("stage must be connect, starttls, auth, mail, rcpt, data, data-end or quit"))?;
        smtp::classify(stage, word("reply"))
    } else if let Some(classify) = kind.classify {
        classify(word("operation").unwrap_or("send"), &answer(response)?, now)
    } else {
        return Err(input(format!("{} has no answers of its own, only a transport", kind.keys.name)));
    };
    Ok(judged(&outcome))
}

fn answer(response: &Value) -> Result<Answer, Fault> {
    let status = response.get("status").and_then(Value::as_u64).and_then(|s| u16::try_from(s).ok());
    let status = status.ok_or_else(|| input("status is missing or not a number"))?;
    let headers = response.get("headers").and_then(Value::as_object).into_iter().flatten();
    let headers = headers.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect();
    let body = response.get("body").and_then(Value::as_str).unwrap_or_default().as_bytes().to_vec();
    Ok(Answer { status, headers, body })
}

fn judged(outcome: &Outcome) -> Value {
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
}
