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
use crate::domain::outcome::{Class, Outcome, Scope, Suppress};
use crate::domain::text::scrub;
use crate::domain::time::UnixMs;
use crate::http::{Answer, Request, check_base_url, retry_after};
use crate::providers::{HttpProvider, Idempotency, Kind, Wire, wrong_content};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::Value;

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
    keeps_content: false,
    classify: Some(classify),
    build,
};

const KEYS: &[crate::config::Key] = &[
    required("account_sid", Shape::Text, "The account's SID: AC and 32 hexadecimal digits."),
    optional("auth_token", Shape::Secret, "The account's auth token. Callbacks are signed with it even where requests use an API key."),
    optional("api_key_sid", Shape::Text, "SID of an API key (SK…), used for requests instead of the auth token."),
    optional("api_key_secret", Shape::Secret, "The API key's secret."),
    optional("messaging_service", Shape::Text, "Messaging Service (MG…) for messages whose channel names no sender."),
    optional("callback", Shape::Table(CALLBACK), "Where Twilio reports what became of a message."),
];

const CALLBACK: &[crate::config::Key] = &[optional("url", Shape::Url, "The public URL that Twilio calls.")];

/// An account's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Twilio {
    base_url: String,
    account_sid: String,
    user: String,
    password: Secret,
    messaging_service: String,
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

impl HttpProvider for Twilio {
    fn base_url(&self) -> &str {
        &self.base_url
    }

    fn request(&self, message: &Outgoing) -> Result<Request, Outcome> {
        let Content::Sms(sms) = &message.content else { return Err(wrong_content(&KIND)) };
        let credentials = BASE64_STANDARD.encode(format!("{}:{}", self.user, self.password.expose()));
        Ok(Request {
            method: "POST",
            url: format!("{}/2010-04-01/Accounts/{}/Messages.json", self.base_url, self.account_sid),
            headers: vec![
                ("Authorization".to_owned(), format!("Basic {credentials}")),
                ("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
                ("Accept".to_owned(), "application/json".to_owned()),
            ],
            body: form(&self.fields(message, sms)?).into_bytes(),
        })
    }

    fn classify(&self, operation: &str, answer: &Answer, now: UnixMs) -> Outcome {
        classify(operation, answer, now)
    }
}

/// `application/x-www-form-urlencoded`: everything but letters, digits and `*-._` as its bytes.
fn form(fields: &[(&str, String)]) -> String {
    let mut out = String::new();
    for (name, value) in fields {
        if !out.is_empty() {
            out.push('&');
        }
        out.push_str(name);
        out.push('=');
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => out.push(byte.into()),
                b' ' => out.push('+'),
                _ => out.push_str(&format!("%{byte:02X}")),
            }
        }
    }
    out
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

/// What an answer means. `operation`: `send`, or `status` for the resource of an earlier message.
pub fn classify(operation: &str, answer: &Answer, now: UnixMs) -> Outcome {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    if answer.is_success() {
        return message_resource(&body);
    }
    let said = body.get("message").and_then(Value::as_str).unwrap_or_default();
    let code = body.get("code").and_then(Value::as_i64);
    let detail = scrub(&format!("{} {} {said}", answer.status, code.map(|c| c.to_string()).unwrap_or_default()));
    let known = code.and_then(by_code);
    let (class, scope, suppress) = match (answer.status, known) {
        (429, _) => (Class::Throttle, Scope::Account, None),
        (400..=499, Some(known)) => known,
        (401 | 403 | 404, None) => (Class::Auth, Scope::Account, None),
        (400..=499, None) => (Class::Permanent, Scope::Message, None),
        // A question may be asked again; a text that may have gone out may not.
        (500 | 502 | 504, _) if operation == "send" => (Class::Uncertain, Scope::Message, None),
        _ => (Class::Retry, Scope::Account, None),
    };
    let wait = answer.header("Retry-After").and_then(|value| retry_after::parse(value, now));
    let outcome = Outcome { suppress, ..Outcome::new(class, scope, detail) };
    if matches!(class, Class::Throttle | Class::Retry) { outcome.wait(wait) } else { outcome }
}

/// A Message resource: the answer to a request and to a question are the same.
fn message_resource(body: &Value) -> Outcome {
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let (Some(sid), Some(status)) = (text("sid"), text("status")) else {
        return Outcome::new(Class::Uncertain, Scope::Message, "a success without Twilio's answer in it");
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::conformance::{account, email, sms};

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
        let request = twilio("").unwrap().request(&sms("+16075550100")).unwrap();
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
        assert!(body(&twilio("").unwrap().request(&message).unwrap()).contains(&format!("&MessagingServiceSid={service}&")));
        message.content = Content::Sms(Sms { from: String::new(), text: "x".into() });
        let fallback = twilio(&format!("messaging_service = \"{service}\"")).unwrap();
        assert!(body(&fallback.request(&message).unwrap()).contains("MessagingServiceSid=MG"));
        assert_eq!(twilio("").unwrap().request(&message).unwrap_err().class, Class::Auth);
        assert_eq!(twilio("").unwrap().request(&email("kim@example.org")).unwrap_err().class, Class::Permanent);
    }

    #[test]
    fn an_api_key_signs_requests() {
        let key = "api_key_sid = \"SK0123456789abcdef0123456789abcdef\"\napi_key_secret = \"canary-secret\"";
        let request = twilio(key).unwrap().request(&sms("+16075550100")).unwrap();
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
}
