//! Amazon SNS: texts by its Publish action.
//!
//! It takes no id of ours and cannot be asked what became of a text; that stands in CloudWatch only. What
//! customers answer to a two-way number comes through a topic.

use super::aws::{self, ACCESS_KEY_ID, CALLBACK, Envelope, REGION, SECRET_ACCESS_KEY, SESSION_TOKEN};
use crate::config::TypeKeys;
use crate::config::checked::{Provider as Settings, Rate};
use crate::config::key::{Shape, optional};
use crate::domain::channel::Channel;
use crate::domain::content::{Content, Outgoing};
use crate::domain::message::Kind as MessageKind;
use crate::domain::outcome::{Class, Outcome, Scope, Suppress};
use crate::domain::time::UnixMs;
use crate::http::sigv4::Signer;
use crate::http::{Answer, Request, check_base_url, form};
use crate::providers::callback::{self, Call, Event, Known, Refusal, Report, text};
use crate::providers::shared::{by_status, content_type, not_theirs, refused};
use crate::providers::{At, Health, HttpProvider, Idempotency, Judged, Kind, STATUS, Step, Wire, wrong_content};
use serde_json::Value;

/// What it is.
pub static KIND: Kind = Kind {
    keys: TypeKeys {
        name: "sns",
        doc: "Texts by Amazon SNS.",
        channels: &[Channel::Sms],
        keys: KEYS,
        example: "type = \"sns\"\nregion = \"eu-central-1\"\naccess_key_id = \"AKIA0123456789ABCDEF\"\nsecret_access_key = \"the secret\"\n",
    },
    idempotency: Idempotency::None,
    rate: Rate::per_second(20),
    concurrency: 10,
    batch: 1,
    keeps_content: false,
    classify: Some(judge),
    callback: Some(report),
    build,
};

const KEYS: &[crate::config::Key] = &[
    REGION,
    ACCESS_KEY_ID,
    SECRET_ACCESS_KEY,
    SESSION_TOKEN,
    optional("callback", Shape::Table(CALLBACK), "How answers of customers, which a topic brings, are verified."),
];

/// An account's settings.
#[derive(Clone, Debug)]
pub struct Sns {
    base_url: String,
    signer: Signer,
}

fn build(settings: &Settings) -> Result<Wire, String> {
    Ok(Wire::Http(Box::new(Sns {
        signer: aws::signer(&settings.settings, "sns")?,
        base_url: check_base_url(&aws::base_url(settings, "sns"), settings.allow_insecure)?,
    })))
}

impl Sns {
    fn ask(&self, fields: &[(String, String)], now: UnixMs) -> Option<Request> {
        let headers = vec![content_type("application/x-www-form-urlencoded; charset=utf-8")];
        let (url, body) = (format!("{}/", self.base_url), form::urlencoded(fields).into_bytes());
        self.signer.sign(Request { method: "POST", url, headers, body }, now)
    }
}

fn action(name: &str) -> Vec<(String, String)> {
    vec![("Action".to_owned(), name.to_owned()), ("Version".to_owned(), "2010-03-31".to_owned())]
}

impl HttpProvider for Sns {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn base_url(&self) -> &str {
        &self.base_url
    }

    fn request(&self, message: &Outgoing, at: At<'_>) -> Result<Vec<Step>, Outcome> {
        let Content::Sms(sms) = &message.content else { return Err(wrong_content(&KIND)) };
        let mut fields = action("Publish");
        fields.push(("PhoneNumber".to_owned(), message.to.clone()));
        fields.push(("Message".to_owned(), sms.text.clone()));
        let kind = if message.kind == MessageKind::Campaign { "Promotional" } else { "Transactional" };
        let mut attributes = vec![("AWS.SNS.SMS.SMSType", kind)];
        match sms.from.as_str() {
            "" => {}
            number if number.starts_with('+') => attributes.push(("AWS.MM.SMS.OriginationNumber", number)),
            name => attributes.push(("AWS.SNS.SMS.SenderID", name)),
        }
        for (n, (name, value)) in (1..).zip(attributes) {
            let entry = format!("MessageAttributes.entry.{n}");
            fields.push((format!("{entry}.Name"), name.to_owned()));
            fields.push((format!("{entry}.Value.DataType"), "String".to_owned()));
            fields.push((format!("{entry}.Value.StringValue"), value.to_owned()));
        }
        let request = self.ask(&fields, at.now);
        request.map(Step::send).ok_or_else(|| Outcome::new(Class::Auth, Scope::Account, "the request cannot be signed"))
    }

    fn probe(&self, at: At<'_>) -> Option<Request> {
        self.ask(&action("GetSMSSandboxAccountStatus"), at.now)
    }

    fn probed(&self, answer: &Answer, now: UnixMs) -> Health {
        let body = String::from_utf8_lossy(&answer.body);
        match element(&body, "IsInSandbox").filter(|_| answer.is_success()) {
            Some(word) => {
                let warning = (word == "true").then(|| "the account is in the SMS sandbox: it texts verified numbers only".to_owned());
                Health { warning, ..Outcome::accepted(None).into() }
            }
            None => classify(STATUS, answer, now).into(),
        }
    }
}

fn judge(operation: &str, answer: &Answer, now: UnixMs) -> Judged {
    classify(operation, answer, now).into()
}

/// What an answer means: by the code in its XML.
pub fn classify(operation: &str, answer: &Answer, now: UnixMs) -> Outcome {
    let body = String::from_utf8_lossy(&answer.body);
    if answer.is_success() {
        return match element(&body, "MessageId").filter(|id| !id.is_empty()) {
            Some(id) => Outcome::accepted(Some(id.to_owned())),
            None => not_theirs("SNS"),
        };
    }
    let (code, said) = (element(&body, "Code").unwrap_or_default(), element(&body, "Message").unwrap_or_default());
    let (class, scope, suppress) = match code.strip_suffix("Exception").unwrap_or(code) {
        "Throttling" | "Throttled" => (Class::Throttle, Scope::Account, None),
        "OptedOut" => (Class::Permanent, Scope::Recipient, Some(Suppress::SmsStop)),
        "InvalidParameter" if said.contains("opted out") => (Class::Permanent, Scope::Recipient, Some(Suppress::SmsStop)),
        "InvalidParameter" if said.contains("PhoneNumber") => (Class::Permanent, Scope::Recipient, None),
        "InvalidParameter" | "InvalidParameterValue" | "ValidationError" => (Class::Permanent, Scope::Message, None),
        "AuthorizationError" | "SignatureDoesNotMatch" | "InvalidClientTokenId" | "ExpiredToken" => (Class::Auth, Scope::Account, None),
        "InternalError" => (Class::Retry, Scope::Account, None),
        _ => {
            let (class, scope) = by_status(answer.status, operation != STATUS);
            (class, scope, None)
        }
    };
    Outcome { suppress, ..refused(answer, now, (class, scope), &format!("{code} {said}")) }
}

/// The text of the first element of that name, as far as it has no elements within.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once("</").map(|(text, _)| text.trim())
}

/// Verifies and reads a post of a topic: the answer of a customer.
fn report(settings: &Settings, call: &Call, known: &Known<'_>) -> Result<Report, Refusal> {
    if call.method == "HEAD" {
        return Ok(Report::default());
    }
    let (id, message) = match aws::open(settings, call, known)? {
        Envelope::Confirmation(url) => return Ok(Report { confirm: Some(url), ..Report::default() }),
        Envelope::Other => return Ok(Report::default()),
        Envelope::Notification(id, message) => (id, message),
    };
    let message: Value = serde_json::from_str(&message).unwrap_or(Value::Null);
    let from = text(&message, "originationNumber");
    if from.is_empty() {
        return Ok(Report::default());
    }
    let reference = [text(&message, "previousPublishedMessageId"), text(&message, "inboundMessageId")];
    let reference = reference.into_iter().find(|id| !id.is_empty()).unwrap_or_default();
    let event = Event { key: id, ..callback::reply(&from, &reference, &text(&message, "messageBody"), "") };
    Ok(Report { events: vec![event], ..Report::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::SEND;
    use crate::providers::aws::tests::{settings, signed};
    use crate::providers::callback::EventKind;
    use crate::providers::conformance::{NOWHERE, account, email, only, sms, taken};
    use serde_json::json;

    fn wire() -> Box<dyn HttpProvider> {
        match build(&account("sns", KIND.keys.example)).unwrap() {
            Wire::Http(http) => http,
            _ => unreachable!(),
        }
    }

    #[test]
    fn a_form_with_its_attributes_signed_for_sns() {
        let request = only(wire().request(&sms("+16075550100"), NOWHERE));
        assert_eq!((request.method, request.url.as_str()), ("POST", "https://sns.eu-central-1.amazonaws.com/"));
        let body = String::from_utf8(request.body).unwrap();
        assert!(body.starts_with("Action=Publish&Version=2010-03-31&PhoneNumber=%2B16075550100&Message=Caf%C3%A9+%26+more"), "{body}");
        assert!(body.contains("entry.1.Name=AWS.SNS.SMS.SMSType&MessageAttributes.entry.1.Value.DataType=String&MessageAttributes.entry.1.Value.StringValue=Transactional"));
        assert!(body.contains("entry.2.Name=AWS.MM.SMS.OriginationNumber"), "{body}");
        assert!(request.headers.iter().any(|(name, value)| name == "Authorization" && value.contains("/eu-central-1/sns/aws4_request")));
        let mut message = sms("+16075550100");
        let Content::Sms(content) = &mut message.content else { unreachable!() };
        content.from = "CornerMart".into();
        assert!(String::from_utf8(only(wire().request(&message, NOWHERE)).body).unwrap().contains("AWS.SNS.SMS.SenderID"));
        assert_eq!(wire().request(&email("kim@example.org"), NOWHERE).unwrap_err().class, Class::Permanent);
    }

    #[test]
    fn odd_answers_and_probes() {
        let answer = |status, body: &str| Answer { status, headers: Vec::new(), body: body.into() };
        assert_eq!(classify(SEND, &answer(200, "<html>"), UnixMs(0)).class, Class::Uncertain);
        assert_eq!(classify(SEND, &answer(504, ""), UnixMs(0)).class, Class::Uncertain);
        assert_eq!(classify(SEND, &answer(403, ""), UnixMs(0)).class, Class::Auth);
        assert!(wire().probed(&answer(200, "<IsInSandbox>true</IsInSandbox>"), UnixMs(0)).warning.is_some());
        assert_eq!(wire().probed(&answer(403, "<Code>AuthorizationError</Code>"), UnixMs(0)).outcome.class, Class::Auth);
    }

    #[test]
    fn answers_of_customers() {
        let message = json!({"originationNumber": "+16075550100", "messageBody": "Stop", "inboundMessageId": "in-1", "previousPublishedMessageId": "m-1"});
        let event = taken("sns", &settings(), &signed(&message.to_string(), json!({}))).events.remove(0);
        assert_eq!((event.kind, event.suppress, event.message_ref.as_str()), (EventKind::Replied, Some(Suppress::SmsStop), "m-1"));
        assert_eq!((event.recipient.as_str(), event.key.as_str()), ("+16075550100", "sns-1"));
        assert!(taken("sns", &settings(), &signed("hello", json!({}))).events.is_empty());
    }
}
