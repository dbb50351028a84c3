//! Vonage: texts by its SMS API, or by its Messages API, which new accounts are given.
//!
//! The SMS API always answers 200 and has one entry for each part of a text. Reports are taken only where
//! the account signs them.

use crate::config::TypeKeys;
use crate::config::checked::{Provider as Settings, Rate};
use crate::config::key::{Shape, default, optional, required};
use crate::config::secret::Secret;
use crate::domain::channel::Channel;
use crate::domain::content::{Content, Outgoing, Sms};
use crate::domain::ids::hex;
use crate::domain::outcome::{Class, Outcome, Scope, Suppress};
use crate::domain::text::scrub;
use crate::domain::time::UnixMs;
use crate::http::{Answer, Request, check_base_url, form};
use crate::providers::callback::{self, Bounce, Call, Event, EventKind, Known, Refusal, Report, text};
use crate::providers::shared::{CALLBACK_URL, basic, by_status, content_type, not_theirs, refused, set};
use crate::providers::{At, Health, HttpProvider, Idempotency, Judged, Kind, STATUS, Step, Wire, wrong_content};
use ring::hmac::{HMAC_SHA256, Key, sign};
use serde_json::{Value, json};
use std::time::Duration;

/// What it is.
pub static KIND: Kind = Kind {
    keys: TypeKeys {
        name: "vonage",
        doc: "Texts by Vonage.",
        channels: &[Channel::Sms],
        keys: KEYS,
        example: "type = \"vonage\"\napi_key = \"0a1b2c3d\"\napi_secret = \"the secret\"\n",
    },
    idempotency: Idempotency::None,
    rate: Rate::per_second(30),
    concurrency: 10,
    batch: 1,
    keeps_content: false,
    classify: Some(judge),
    callback: Some(report),
    build,
};

const KEYS: &[crate::config::Key] = &[
    required("api_key", Shape::Text, "The account's API key."),
    required("api_secret", Shape::Secret, "The account's API secret."),
    default("api", Shape::Word(&["sms", "messages"]), "\"sms\"", "Which API the account uses, as its dashboard says."),
    optional("callback", Shape::Table(CALLBACK), "How its delivery receipts are verified."),
];

const CALLBACK: &[crate::config::Key] =
    &[CALLBACK_URL, optional("signature_secret", Shape::Secret, "The account's signature secret; its method must be SHA-256 HMAC.")];

/// An account's settings.
#[derive(Clone, Debug)]
pub struct Vonage {
    base_url: String,
    api_key: String,
    api_secret: Secret,
    messages: bool,
    callback_url: String,
}

fn build(settings: &Settings) -> Result<Wire, String> {
    let own = &settings.settings;
    if own.text("api_key").is_empty() || own.secret("api_secret").is_empty() {
        return Err("api_key and api_secret belong together".to_owned());
    }
    let messages = own.text("api") == "messages";
    let usual = if messages { "https://api.nexmo.com" } else { "https://rest.nexmo.com" };
    Ok(Wire::Http(Box::new(Vonage {
        base_url: check_base_url(settings.base_url.as_deref().unwrap_or(usual), settings.allow_insecure)?,
        api_key: own.text("api_key").to_owned(),
        api_secret: own.secret("api_secret"),
        messages,
        callback_url: own.table("callback").map(|c| c.text("url").to_owned()).unwrap_or_default(),
    })))
}

/// Letters that a text can have without becoming one of 70 characters a part (3GPP TS 23.038).
const GSM: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./:;<=>?¡ÄÖÑÜ§¿äöñüà^{}\\[~]|€";

fn is_gsm(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || GSM.contains(c))
}

impl Vonage {
    fn by_sms_api(&self, message: &Outgoing, sms: &Sms) -> Request {
        let bare = |number: &str| number.trim_start_matches('+').to_owned();
        let ttl = message.kind.time_to_live(Channel::Sms).min(Duration::from_secs(72 * 3600));
        let mut fields = vec![
            ("api_key", self.api_key.clone()),
            ("api_secret", self.api_secret.expose().to_owned()),
            ("from", bare(&sms.from)),
            ("to", bare(&message.to)),
            ("text", sms.text.clone()),
            ("client-ref", message.step.as_str().chars().take(100).collect()),
            ("ttl", ttl.as_millis().to_string()),
        ];
        if !is_gsm(&sms.text) {
            fields.push(("type", "unicode".to_owned()));
        }
        if !self.callback_url.is_empty() {
            fields.push(("callback", self.callback_url.clone()));
        }
        let headers = vec![content_type("application/x-www-form-urlencoded")];
        Request { method: "POST", url: format!("{}/sms/json", self.base_url), headers, body: form::urlencoded(&fields).into_bytes() }
    }

    fn by_messages_api(&self, message: &Outgoing, sms: &Sms) -> Request {
        let bare = |number: &str| number.trim_start_matches('+').to_owned();
        let mut body = json!({
            "message_type": "text", "channel": "sms", "to": bare(&message.to), "from": bare(&sms.from), "text": sms.text,
            "client_ref": message.step.as_str(),
        });
        if !self.callback_url.is_empty() {
            set(&mut body, "webhook_url", self.callback_url.as_str());
        }
        let headers = vec![basic(&self.api_key, self.api_secret.expose()), content_type("application/json")];
        Request { method: "POST", url: format!("{}/v1/messages", self.base_url), headers, body: body.to_string().into_bytes() }
    }
}

impl HttpProvider for Vonage {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn base_url(&self) -> &str {
        &self.base_url
    }

    fn request(&self, message: &Outgoing, _at: At<'_>) -> Result<Vec<Step>, Outcome> {
        let Content::Sms(sms) = &message.content else { return Err(wrong_content(&KIND)) };
        if sms.from.is_empty() {
            return Err(Outcome::new(Class::Auth, Scope::Account, "no sender: set from of the channel sms"));
        }
        Ok(Step::send(if self.messages { self.by_messages_api(message, sms) } else { self.by_sms_api(message, sms) }))
    }

    fn probe(&self, _at: At<'_>) -> Option<Request> {
        let host = self.base_url.replace("//api.nexmo.com", "//rest.nexmo.com");
        let headers = vec![basic(&self.api_key, self.api_secret.expose())];
        Some(Request { method: "GET", url: format!("{host}/account/get-balance"), headers, body: Vec::new() })
    }

    fn probed(&self, answer: &Answer, now: UnixMs) -> Health {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        match body.get("value").and_then(Value::as_f64).filter(|_| answer.is_success()) {
            Some(credit) => {
                let warning = (credit < 5.0).then(|| format!("credit of {credit:.2} € is left"));
                Health { warning, ..Outcome::accepted(None).into() }
            }
            None => refused(answer, now, by_status(answer.status, false), "").into(),
        }
    }
}

fn judge(operation: &str, answer: &Answer, now: UnixMs) -> Judged {
    classify(operation, answer, now).into()
}

/// What an answer means: of the SMS API by the status of each part, of the Messages API by that of HTTP.
pub fn classify(operation: &str, answer: &Answer, now: UnixMs) -> Outcome {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    if !answer.is_success() {
        let said = format!("{} {}", text(&body, "title"), text(&body, "detail"));
        let judged = match answer.status {
            402 => (Class::Auth, Scope::Account),
            status => by_status(status, operation != STATUS),
        };
        return refused(answer, now, judged, &said);
    }
    if let Some(parts) = body.get("messages").and_then(Value::as_array).filter(|parts| !parts.is_empty()) {
        return of_parts(parts);
    }
    match text(&body, "message_uuid").as_str() {
        "" => not_theirs("Vonage"),
        id => Outcome::accepted(Some(id.to_owned())),
    }
}

fn of_parts(parts: &[Value]) -> Outcome {
    let id = parts.first().map(|part| text(part, "message-id")).filter(|id| !id.is_empty());
    let refusals: Vec<&Value> = parts.iter().filter(|part| text(part, "status") != "0").collect();
    let Some(first) = refusals.first() else { return Outcome::accepted(id) };
    let (class, scope) = match text(first, "status").as_str() {
        // Some of it may be under way, and a repeat would send that again.
        _ if refusals.len() < parts.len() => (Class::Uncertain, Scope::Message),
        "1" => (Class::Throttle, Scope::Account),
        "5" => (Class::Retry, Scope::Account),
        "6" | "7" => (Class::Permanent, Scope::Recipient),
        "4" | "8" | "9" | "15" | "29" => (Class::Auth, Scope::Account),
        "" => return not_theirs("Vonage"),
        _ => (Class::Permanent, Scope::Message),
    };
    Outcome::new(class, scope, scrub(&format!("{} {}", text(first, "status"), text(first, "error-text"))))
}

/// A receipt is signed with its moment.
const AGE: Duration = Duration::from_secs(25 * 3600);

/// Verifies and reads a delivery receipt or a text of a customer: by query, form or JSON. Signed are all
/// parameters but `sig`, sorted, `&name=value` each, with `&` and `=` in values as underscores.
fn report(settings: &Settings, call: &Call, known: &Known<'_>) -> Result<Report, Refusal> {
    if call.method == "HEAD" {
        return Ok(Report::default());
    }
    let secret = callback::secret(settings, "signature_secret");
    if secret.is_empty() {
        return Err(callback::UNSET);
    }
    let fields = fields(call);
    let field = |name: &str| fields.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str()).unwrap_or_default();
    let given = Some(field("sig")).filter(|sig| !sig.is_empty()).ok_or(callback::MISSING)?;
    let signed = fields.iter().filter(|(name, _)| name != "sig");
    let signed: String = signed.map(|(name, value)| format!("&{name}={}", value.replace(['&', '='], "_"))).collect();
    let code = hex(sign(&Key::new(HMAC_SHA256, secret.expose().as_bytes()), signed.as_bytes()).as_ref());
    if !callback::same(&given.to_ascii_lowercase(), &code) {
        return Err(callback::WRONG);
    }
    callback::fresh(callback::seconds(Some(&field("timestamp").into())), known.now, AGE)?;
    let id = [field("messageId"), field("message-id")].into_iter().find(|id| !id.is_empty()).ok_or(callback::MALFORMED)?;
    let plus = |number: &str| format!("+{}", number.trim_start_matches('+'));
    let event = if field("status").is_empty() {
        callback::reply(&plus(field("msisdn")), id, field("text"), "")
    } else {
        let reference = Some(field("client-ref")).filter(|id| !id.is_empty()).unwrap_or(id);
        let Some(event) = of_status(field("status"), field("err-code"), &plus(field("msisdn")), reference) else {
            return Ok(Report::default());
        };
        event
    };
    let event = Event { provider_id: id.to_owned(), key: format!("{id} {}", field("status")), ..event };
    Ok(Report { events: vec![event], ..Report::default() })
}

/// All parameters, sorted.
fn fields(call: &Call) -> Vec<(String, String)> {
    let query = call.url.split_once('?').map(|(_, query)| query.split('#').next().unwrap_or_default()).unwrap_or_default();
    let mut fields = form::parse(query.as_bytes());
    match serde_json::from_slice::<Value>(&call.body) {
        Ok(Value::Object(body)) => {
            let body = Value::Object(body);
            fields.extend(body.as_object().into_iter().flatten().map(|(name, _)| (name.clone(), text(&body, name))));
        }
        _ => fields.extend(form::parse(&call.body)),
    }
    fields.sort();
    fields
}

fn of_status(status: &str, code: &str, to: &str, reference: &str) -> Option<Event> {
    let event = |kind| Event::new(kind, to, reference);
    let mut event = match (status, code) {
        ("accepted" | "buffered", _) => event(EventKind::Sent),
        ("delivered", _) => event(EventKind::Delivered),
        // An illegal number.
        ("failed" | "rejected", "9") => event(EventKind::Bounced).bounced(Bounce::Hard).suppressing(Some(Suppress::InvalidNumber)),
        ("failed" | "rejected" | "expired", _) => event(EventKind::Bounced).bounced(Bounce::Soft),
        _ => return None,
    };
    event.text = scrub(code);
    Some(event)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::SEND;
    use crate::providers::conformance::{NOWHERE, account, email, only, post, sms, taken, verdict};

    fn wire(more: &str) -> Box<dyn HttpProvider> {
        match build(&account("vonage", &format!("{}{more}", KIND.keys.example))).unwrap() {
            Wire::Http(http) => http,
            _ => unreachable!(),
        }
    }

    #[test]
    fn a_text_by_either_api() {
        let mut message = sms("+16075550100");
        let request = only(wire("").request(&message, NOWHERE));
        assert_eq!(request.url, "https://rest.nexmo.com/sms/json");
        let body = String::from_utf8(request.body).unwrap();
        assert!(
            body.starts_with(
                "api_key=0a1b2c3d&api_secret=the+secret&from=16075550131&to=16075550100&text=Caf%C3%A9+%26+more&client-ref=tp_"
            ),
            "{body}"
        );
        assert!(body.contains("&ttl=259200000") && !body.contains("unicode"));
        let Content::Sms(content) = &mut message.content else { unreachable!() };
        content.text = "Grüße 🙂".into();
        assert!(String::from_utf8(only(wire("").request(&message, NOWHERE)).body).unwrap().contains("&type=unicode"));
        let request = only(wire("api = \"messages\"").request(&message, NOWHERE));
        assert_eq!((request.url.as_str(), &request.headers[0]), ("https://api.nexmo.com/v1/messages", &basic("0a1b2c3d", "the secret")));
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!((&body["channel"], &body["client_ref"]), (&json!("sms"), &json!(message.step.as_str())));
        let Content::Sms(content) = &mut message.content else { unreachable!() };
        content.from.clear();
        assert_eq!(wire("").request(&message, NOWHERE).unwrap_err().class, Class::Auth);
        assert_eq!(wire("").request(&email("kim@example.org"), NOWHERE).unwrap_err().class, Class::Permanent);
    }

    #[test]
    fn odd_answers_and_probes() {
        let answer = |status, body: &str| Answer { status, headers: Vec::new(), body: body.into() };
        let judge = |status, body: &str| classify(SEND, &answer(status, body), UnixMs(0));
        assert_eq!(judge(200, r#"{"messages":[{"status":"0","message-id":"a"},{"status":"1"}]}"#).class, Class::Uncertain);
        assert_eq!(judge(202, r#"{"message_uuid":"u"}"#).provider_id.as_deref(), Some("u"));
        assert_eq!(judge(202, "{}").class, Class::Uncertain);
        assert_eq!(judge(402, "{}").class, Class::Auth);
        assert_eq!(judge(422, "{}").scope, Scope::Message);
        assert!(wire("").probed(&answer(200, r#"{"value":1.5}"#), UnixMs(0)).warning.unwrap().contains("1.50"));
        assert_eq!(wire("").probed(&answer(401, ""), UnixMs(0)).outcome.class, Class::Auth);
    }

    const KEYS: &str = "callback = { signature_secret = \"canary\" }";

    fn signed(fields: &[(&str, &str)]) -> Call {
        let mut fields = fields.to_vec();
        fields.push(("timestamp", "1791043660"));
        fields.sort_unstable();
        let text: String = fields.iter().map(|(name, value)| format!("&{name}={}", value.replace(['&', '='], "_"))).collect();
        let code = hex(sign(&Key::new(HMAC_SHA256, b"canary"), text.as_bytes()).as_ref()).to_uppercase();
        fields.push(("sig", &code));
        let mut call = post(&[], b"");
        (call.method, call.url) = ("GET".into(), format!("{}?{}", call.url, form::urlencoded(&fields)));
        call
    }

    #[test]
    fn signed_receipts_become_events() {
        use EventKind::{Bounced, Delivered, Replied, Sent};
        for (status, code, kind, bounce, suppress) in [
            ("delivered", "0", Delivered, None, None),
            ("accepted", "0", Sent, None, None),
            ("failed", "9", Bounced, Some(Bounce::Hard), Some(Suppress::InvalidNumber)),
            ("rejected", "6", Bounced, Some(Bounce::Soft), None),
            ("expired", "1", Bounced, Some(Bounce::Soft), None),
        ] {
            let call = signed(&[
                ("messageId", "v1"),
                ("client-ref", "tp_a.10"),
                ("msisdn", "16075550100"),
                ("status", status),
                ("err-code", code),
            ]);
            let event = taken("vonage", KEYS, &call).events.remove(0);
            assert_eq!((event.kind, event.bounce, event.suppress), (kind, bounce, suppress), "{status} {code}");
            assert_eq!((event.message_ref.as_str(), event.recipient.as_str()), ("tp_a.10", "+16075550100"));
        }
        let stop = signed(&[("messageId", "v2"), ("msisdn", "16075550100"), ("text", "STOP")]);
        let event = taken("vonage", KEYS, &stop).events.remove(0);
        assert_eq!((event.kind, event.suppress), (Replied, Some(Suppress::SmsStop)));
        let mut altered = stop.clone();
        altered.url = altered.url.replace("STOP", "GO");
        assert_eq!(verdict("vonage", KEYS, &altered), "signature_wrong");
        assert_eq!(verdict("vonage", KEYS, &post(&[], b"")), "signature_missing");
        assert_eq!(verdict("vonage", "", &stop), "not_configured");
    }
}
