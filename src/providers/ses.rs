//! Amazon SES: mail by its API version 2.
//!
//! It has no idempotency key and cannot be asked by anything that we know before its answer, so an answer
//! that was lost stays uncertain until an event comes. Its tags take no dot, so our id travels with a hyphen
//! in its place, and whole in the header `X-TP-Id`.

use super::aws::{self, ACCESS_KEY_ID, CALLBACK, Envelope, REGION, SECRET_ACCESS_KEY, SESSION_TOKEN};
use crate::config::TypeKeys;
use crate::config::checked::{Provider as Settings, Rate};
use crate::config::key::{Shape, optional};
use crate::domain::channel::Channel;
use crate::domain::content::{Content, Email, Outgoing};
use crate::domain::ids::StepId;
use crate::domain::outcome::{Class, Outcome, Scope, Suppress};
use crate::domain::text::scrub;
use crate::domain::time::UnixMs;
use crate::http::sigv4::Signer;
use crate::http::{Answer, Request, check_base_url, form};
use crate::providers::callback::{self, Bounce, Call, Event, EventKind, Known, Refusal, Report, text};
use crate::providers::merge::Batch;
use crate::providers::shared::{TAGS, by_status, content_type, headers, not_theirs, parties, refused, subject, texts};
use crate::providers::{At, BATCH, Health, HttpProvider, Idempotency, Judged, Kind, Page, Poll, STATUS, Step, Wire, wrong_content};
use serde_json::{Map, Value, json};

/// What it is.
pub static KIND: Kind = Kind {
    keys: TypeKeys {
        name: "ses",
        doc: "Mail by Amazon SES.",
        channels: &[Channel::Email],
        keys: KEYS,
        example: "type = \"ses\"\nregion = \"eu-central-1\"\naccess_key_id = \"AKIA0123456789ABCDEF\"\nsecret_access_key = \"the secret\"\n",
    },
    idempotency: Idempotency::None,
    // What a new account with production access has; a probe tells the account's own.
    rate: Rate::per_second(14),
    concurrency: 10,
    batch: 50,
    keeps_content: false,
    classify: Some(classify),
    callback: Some(report),
    build,
};

const KEYS: &[crate::config::Key] = &[
    REGION,
    ACCESS_KEY_ID,
    SECRET_ACCESS_KEY,
    SESSION_TOKEN,
    optional("configuration_set", Shape::Text, "Configuration set: events, and what is tracked, are settings of it."),
    TAGS,
    optional("callback", Shape::Table(CALLBACK), "How reports by SNS are verified."),
];

/// An account's settings.
#[derive(Clone, Debug)]
pub struct Ses {
    base_url: String,
    signer: Signer,
    configuration_set: String,
    tags: Vec<String>,
}

fn build(settings: &Settings) -> Result<Wire, String> {
    let own = &settings.settings;
    Ok(Wire::Http(Box::new(Ses {
        signer: aws::signer(own, "ses")?,
        base_url: check_base_url(&aws::base_url(settings, "email"), settings.allow_insecure)?,
        configuration_set: own.text("configuration_set").to_owned(),
        tags: texts(own, "tags"),
    })))
}

impl Ses {
    fn ask(&self, method: &'static str, rest: &str, body: Option<&Value>, now: UnixMs) -> Option<Request> {
        let headers = body.map(|_| content_type("application/json")).into_iter().collect();
        let body = body.map(|b| b.to_string().into_bytes()).unwrap_or_default();
        self.signer.sign(Request { method, url: format!("{}/v2/email/{rest}", self.base_url), headers, body }, now)
    }

    /// Everything but recipients and content.
    fn frame(&self, email: &Email, to: &str) -> Result<(Map<String, Value>, String), Outcome> {
        let (from, to, reply_to) = parties(email, to)?;
        if !to.is_ascii() {
            return Err(Outcome::new(Class::Permanent, Scope::Recipient, "SES takes no address with letters beyond ASCII before the @"));
        }
        let mut frame = Map::new();
        frame.insert("FromEmailAddress".into(), from.text().into());
        if let Some(reply_to) = reply_to {
            frame.insert("ReplyToAddresses".into(), json!([reply_to.text()]));
        }
        if !self.configuration_set.is_empty() {
            frame.insert("ConfigurationSetName".into(), self.configuration_set.as_str().into());
        }
        Ok((frame, to))
    }

    fn tags(&self, step: &StepId) -> Value {
        let tag = |name: &str, value: &str| json!({"Name": tag_text(name), "Value": tag_text(value)});
        let more = self.tags.iter().take(9).enumerate().map(|(n, value)| tag(&format!("tag{n}"), value));
        [tag("tp_id", step.as_str())].into_iter().chain(more).collect()
    }
}

/// What SES takes as the name or value of a tag.
fn tag_text(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).take(256).collect()
}

/// Our id out of a tag.
fn step_of_tag(tag: &str) -> String {
    let dotted = tag.rsplit_once('-').map(|(left, right)| format!("{left}.{right}"));
    dotted.filter(|id| StepId::parse(id).is_some()).unwrap_or_else(|| tag.to_owned())
}

/// At most 15 headers of printable ASCII, ours first.
fn own_headers(email: &Email, step: &StepId) -> Value {
    let fits = |name: &str, value: &str| value.bytes().all(|b| (b' '..=b'~').contains(&b)) && name.len() + value.len() <= 996;
    let all = [("X-TP-Id".to_owned(), step.to_string())].into_iter().chain(headers(email));
    all.filter(|(name, value)| fits(name, value)).take(15).map(|(name, value)| json!({"Name": name, "Value": value})).collect()
}

impl HttpProvider for Ses {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn base_url(&self) -> &str {
        &self.base_url
    }

    fn request(&self, message: &Outgoing, at: At<'_>) -> Result<Vec<Step>, Outcome> {
        let Content::Email(email) = &message.content else { return Err(wrong_content(&KIND)) };
        let (mut mail, to) = self.frame(email, &message.to)?;
        let data = |text: &str| json!({"Data": text, "Charset": "UTF-8"});
        let parts = [("Text", &email.text), ("Html", &email.html)].into_iter().filter(|(_, text)| !text.is_empty());
        let body: Map<String, Value> = parts.map(|(name, text)| (name.to_owned(), data(text))).collect();
        mail.insert("Destination".into(), json!({"ToAddresses": [to]}));
        mail.insert(
            "Content".into(),
            json!({"Simple": {"Subject": data(&subject(email)), "Body": body, "Headers": own_headers(email, &message.step)}}),
        );
        mail.insert("EmailTags".into(), self.tags(&message.step));
        let request = self.ask("POST", "outbound-emails", Some(&mail.into()), at.now);
        request.map(Step::send).ok_or_else(|| Outcome::new(Class::Auth, Scope::Account, "the request cannot be signed"))
    }

    fn lists(&self) -> &'static [&'static str] {
        &["suppressed"]
    }

    fn poll(&self, poll: Poll<'_>, at: At<'_>) -> Option<Request> {
        let since = form::percent(&poll.since.rfc3339());
        // The names in their order, as they are signed.
        let next = poll.page.map(|page| format!("NextToken={}&", form::percent(page))).unwrap_or_default();
        self.ask("GET", &format!("suppression/addresses?{next}PageSize=1000&StartDate={since}"), None, at.now)
    }

    fn polled(&self, _poll: Poll<'_>, answer: &Answer, now: UnixMs) -> Result<Page, Outcome> {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        let all = body.get("SuppressedDestinationSummaries").and_then(Value::as_array).filter(|_| answer.is_success());
        let all = all.ok_or_else(|| classify(STATUS, answer, now).outcome)?;
        let next = Some(text(&body, "NextToken")).filter(|token| !token.is_empty());
        Ok(Page { events: all.iter().filter_map(suppressed).collect(), next })
    }

    fn batch(&self, messages: &[&Outgoing], at: At<'_>) -> Option<Request> {
        // Three braces: what was rendered is not escaped once more.
        let mut batch = Batch::new(messages, |n| format!("{{{{{{h{n}}}}}}}"), &["{{"])?;
        let (mut mail, _) = self.frame(batch.mails.first()?, &messages.first()?.to).ok()?;
        let parts =
            [("Subject", batch.part(subject)?), ("Text", batch.part(|m| m.text.clone())?), ("Html", batch.part(|m| m.html.clone())?)];
        let template: Map<String, Value> =
            parts.into_iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| (name.to_owned(), text.into())).collect();
        let mut entries = Vec::with_capacity(messages.len());
        for ((message, email), values) in messages.iter().zip(&batch.mails).zip(&batch.values) {
            let (_, to) = self.frame(email, &message.to).ok()?;
            let data: Map<String, Value> = values.iter().enumerate().map(|(n, v)| (format!("h{n}"), v.as_str().into())).collect();
            entries.push(json!({
                "Destination": {"ToAddresses": [to]},
                "ReplacementTags": self.tags(&message.step),
                "ReplacementHeaders": own_headers(email, &message.step),
                "ReplacementEmailContent": {"ReplacementTemplate": {"ReplacementTemplateData": Value::Object(data).to_string()}},
            }));
        }
        mail.insert("DefaultContent".into(), json!({"Template": {"TemplateContent": template, "TemplateData": "{}"}}));
        mail.insert("BulkEmailEntries".into(), entries.into());
        self.ask("POST", "outbound-bulk-emails", Some(&mail.into()), at.now)
    }

    fn probe(&self, at: At<'_>) -> Option<Request> {
        self.ask("GET", "account", None, at.now)
    }

    fn probed(&self, answer: &Answer, now: UnixMs) -> Health {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        let Some(quota) = body.get("SendQuota").filter(|_| answer.is_success()) else {
            return classify(STATUS, answer, now).outcome.into();
        };
        let flag = |name: &str| body.get(name).and_then(Value::as_bool).unwrap_or(true);
        let figure = |name: &str| quota.get(name).and_then(Value::as_f64).filter(|n| *n >= 0.0);
        let left = figure("Max24HourSend").map(|most| (most - figure("SentLast24Hours").unwrap_or(0.0)).max(0.0));
        let warning =
            (!flag("ProductionAccessEnabled")).then(|| "the account is in the sandbox: it mails verified addresses only".to_owned());
        let outcome = if flag("SendingEnabled") {
            Outcome::accepted(None)
        } else {
            Outcome::new(Class::Auth, Scope::Account, "Amazon has paused sending of this account")
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not below zero; beyond u64 it is as good as no limit")]
        let left_today = left.map(|n| n as u64);
        Health { outcome, per_second: figure("MaxSendRate"), left_today, warning }
    }
}

/// An entry of the account's list names an address only.
fn suppressed(one: &Value) -> Option<Event> {
    let (email, reason) = (text(one, "EmailAddress"), text(one, "Reason"));
    let event = |kind| Event::new(kind, email.as_str(), "");
    let event = match reason.as_str() {
        "BOUNCE" => event(EventKind::Bounced).bounced(Bounce::Hard),
        "COMPLAINT" => event(EventKind::Complained).suppressing(Some(Suppress::Complaint)),
        _ => return None,
    };
    Some(Event {
        at: callback::seconds(one.get("LastUpdateTime")),
        key: format!("{reason} {email} {}", text(one, "LastUpdateTime")),
        ..event
    })
}

/// What an answer means.
pub fn classify(operation: &str, answer: &Answer, now: UnixMs) -> Judged {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    if answer.is_success() {
        let id = Some(text(&body, "MessageId")).filter(|id| !id.is_empty());
        return match (operation, body.get("BulkEmailEntryResults").and_then(Value::as_array)) {
            (BATCH, Some(all)) if !all.is_empty() => Judged { entries: all.iter().map(entry).collect(), ..Outcome::accepted(None).into() },
            _ if id.is_some() => Outcome::accepted(id).into(),
            _ => not_theirs("SES").into(),
        };
    }
    let said = [text(&body, "message"), text(&body, "Message")].into_iter().find(|t| !t.is_empty()).unwrap_or_default();
    let name = error_name(answer, &body);
    let judged = match name.strip_suffix("Exception").unwrap_or(&name) {
        _ if answer.status == 429 => (Class::Throttle, Scope::Account),
        "TooManyRequests" | "Throttling" | "Throttled" | "LimitExceeded" => (Class::Throttle, Scope::Account),
        "AccountSuspended" | "SendingPaused" | "MailFromDomainNotVerified" | "NotFound" => (Class::Auth, Scope::Account),
        "MessageRejected" if said.contains("not verified") => (Class::Auth, Scope::Account),
        "MessageRejected" | "BadRequest" => (Class::Permanent, Scope::Message),
        "InternalServiceError" => (Class::Retry, Scope::Account),
        _ => by_status(answer.status, operation != STATUS),
    };
    refused(answer, now, judged, &format!("{name} {said}")).into()
}

/// The error's name without what follows a colon or precedes a hash.
fn error_name(answer: &Answer, body: &Value) -> String {
    let given = answer.header("x-amzn-ErrorType").map_or_else(|| text(body, "__type"), str::to_owned);
    let name = given.split(':').next().unwrap_or_default();
    name.rsplit('#').next().unwrap_or_default().trim().to_owned()
}

fn entry(result: &Value) -> Outcome {
    let (class, scope) = match text(result, "Status").as_str() {
        "SUCCESS" => return Outcome::accepted(Some(text(result, "MessageId")).filter(|id| !id.is_empty())),
        "ACCOUNT_THROTTLED" | "ACCOUNT_DAILY_QUOTA_EXCEEDED" => (Class::Throttle, Scope::Account),
        "TRANSIENT_FAILURE" | "FAILED" => (Class::Retry, Scope::Account),
        "MESSAGE_REJECTED" if !text(result, "Error").contains("not verified") => (Class::Permanent, Scope::Message),
        "TEMPLATE_NOT_FOUND" | "INVALID_PARAMETER" => (Class::Permanent, Scope::Message),
        // Suspended, paused, not verified, a set or pool that is not there.
        _ => (Class::Auth, Scope::Account),
    };
    Outcome::new(class, scope, scrub(&format!("{} {}", text(result, "Status"), text(result, "Error"))))
}

/// Verifies and reads a post of SNS.
fn report(settings: &Settings, call: &Call, known: &Known<'_>) -> Result<Report, Refusal> {
    if call.method == "HEAD" {
        return Ok(Report::default());
    }
    match aws::open(settings, call, known)? {
        Envelope::Confirmation(url) => Ok(Report { confirm: Some(url), ..Report::default() }),
        Envelope::Other => Ok(Report::default()),
        Envelope::Notification(id, message) => match serde_json::from_str::<Value>(&message) {
            Ok(message) => Ok(Report { events: events(&id, &message), ..Report::default() }),
            // The greeting of a new topic is plain text.
            Err(_) => Ok(Report::default()),
        },
    }
}

/// One event for each recipient. Openings and clicks do not say whose they are.
fn events(id: &str, message: &Value) -> Vec<Event> {
    let word = [text(message, "eventType"), text(message, "notificationType")].into_iter().find(|w| !w.is_empty()).unwrap_or_default();
    let (kind, part, list) = match word.as_str() {
        "Send" => (EventKind::Sent, "send", ""),
        "Delivery" => (EventKind::Delivered, "delivery", "recipients"),
        "DeliveryDelay" => (EventKind::Deferred, "deliveryDelay", "delayedRecipients"),
        "Bounce" => (EventKind::Bounced, "bounce", "bouncedRecipients"),
        "Complaint" => (EventKind::Complained, "complaint", "complainedRecipients"),
        "Reject" => (EventKind::Dropped, "reject", ""),
        "Rendering Failure" => (EventKind::Failed, "failure", ""),
        "Open" => (EventKind::Opened, "open", ""),
        "Click" => (EventKind::Clicked, "click", ""),
        "Subscription" if message.pointer("/subscription/newTopicPreferences/unsubscribeAll") == Some(&Value::Bool(true)) => {
            (EventKind::Unsubscribed, "subscription", "")
        }
        _ => return Vec::new(),
    };
    let (null, mail) = (Value::Null, message.get("mail").unwrap_or(&Value::Null));
    let detail = message.get(part).unwrap_or(&null);
    let named = |value: Option<&Value>| -> Vec<String> {
        let all = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default().iter().take(callback::MOST_EVENTS);
        all.map(|one| one.as_str().map_or_else(|| text(one, "emailAddress"), str::to_owned)).collect()
    };
    let mut recipients = named(detail.get(list).or(mail.get("destination")));
    if recipients.is_empty() || (matches!(kind, EventKind::Opened | EventKind::Clicked) && recipients.len() > 1) {
        recipients = vec![String::new()];
    }
    let provider_id = text(mail, "messageId");
    let ours = mail.pointer("/tags/tp_id/0").and_then(Value::as_str).map(step_of_tag);
    let at = [text(detail, "timestamp"), text(mail, "timestamp")].into_iter().find_map(|text| UnixMs::parse_rfc3339(&text));
    let event = |recipient: String| {
        let mut event = Event::new(kind, recipient.as_str(), ours.clone().unwrap_or_else(|| provider_id.clone()));
        event = match kind {
            EventKind::Bounced => event.bounced(if text(detail, "bounceType") == "Permanent" { Bounce::Hard } else { Bounce::Soft }),
            EventKind::Complained => event.suppressing(Some(Suppress::Complaint)),
            EventKind::Unsubscribed => event.suppressing(Some(Suppress::Unsubscribe)),
            _ => event,
        };
        Event {
            provider_id: provider_id.clone(),
            url: Some(text(detail, "link")).filter(|url| kind == EventKind::Clicked && !url.is_empty()),
            at,
            key: format!("{id} {recipient}"),
            text: scrub(&format!("{} {}", text(detail, "bounceSubType"), text(detail, "reason"))),
            ..event
        }
    };
    recipients.into_iter().map(event).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::SEND;
    use crate::providers::aws::tests::{settings, signed};
    use crate::providers::conformance::{NOWHERE, account, email, only, passes_document, sms, taken};

    fn wire(more: &str) -> Box<dyn HttpProvider> {
        match build(&account("ses", &format!("{}{more}", KIND.keys.example))).unwrap() {
            Wire::Http(http) => http,
            _ => unreachable!(),
        }
    }

    fn body(request: &Request) -> Value {
        serde_json::from_slice(&request.body).unwrap()
    }

    #[test]
    fn its_suppression_list_names_addresses() {
        let wire = wire("");
        let poll = Poll { list: "suppressed", since: UnixMs::parse_rfc3339("2026-10-03T12:00:00Z").unwrap(), page: None };
        let url = |page| wire.poll(Poll { page, ..poll }, NOWHERE).unwrap().url;
        assert!(url(None).ends_with("/v2/email/suppression/addresses?PageSize=1000&StartDate=2026-10-03T12%3A00%3A00Z"), "{}", url(None));
        assert!(url(Some("a/b=")).contains("addresses?NextToken=a%2Fb%3D&PageSize=1000&"), "{}", url(Some("a/b=")));
        let body = br#"{"SuppressedDestinationSummaries": [{"EmailAddress": "kim@example.org", "Reason": "BOUNCE", "LastUpdateTime": 1791043600.5},
            {"EmailAddress": "ann@example.org", "Reason": "COMPLAINT", "LastUpdateTime": 1791043601}], "NextToken": "t"}"#;
        let page = wire.polled(poll, &Answer { status: 200, headers: Vec::new(), body: body.to_vec() }, NOWHERE.now).unwrap();
        let told: Vec<_> = page.events.iter().map(|e| (e.recipient.as_str(), e.suppress, e.at)).collect();
        assert_eq!(
            told,
            [
                ("kim@example.org", Some(Suppress::HardBounce), Some(UnixMs(1_791_043_600_500))),
                ("ann@example.org", Some(Suppress::Complaint), Some(UnixMs(1_791_043_601_000)))
            ]
        );
        assert_eq!(page.next.as_deref(), Some("t"));
    }

    #[test]
    fn a_request_is_signed_and_passes_the_document() {
        let message = email("kim@müller.example");
        let request = only(wire("configuration_set = \"tillpost\"").request(&message, NOWHERE));
        assert_eq!((request.method, request.url.as_str()), ("POST", "https://email.eu-central-1.amazonaws.com/v2/email/outbound-emails"));
        let authorization = &request.headers.iter().find(|(name, _)| name == "Authorization").unwrap().1;
        assert!(
            authorization.contains("/20261003/eu-central-1/ses/aws4_request, SignedHeaders=content-type;host;x-amz-date, "),
            "{authorization}"
        );
        let body = body(&request);
        passes_document("ses-send", "/v2/email/outbound-emails", "application/json", &body);
        assert_eq!(body["Destination"]["ToAddresses"][0], "kim@xn--mller-kva.example");
        let tag = body["EmailTags"][0]["Value"].as_str().unwrap();
        assert!(!tag.contains('.') && step_of_tag(tag) == message.step.as_str(), "{tag}");
        assert_eq!(body["Content"]["Simple"]["Headers"][0], json!({"Name": "X-TP-Id", "Value": message.step.as_str()}));
        assert_eq!(wire("").request(&email("käthe@example.org"), NOWHERE).unwrap_err().scope, Scope::Recipient);
        assert_eq!(wire("").request(&sms("+16075550100"), NOWHERE).unwrap_err().scope, Scope::Message);
    }

    #[test]
    fn regions_and_keys_are_checked() {
        let built = |text: &str| build(&account("ses", text));
        let keys = "access_key_id = \"a\"\nsecret_access_key = \"s\"";
        assert!(built(&format!("region = \"moon\"\n{keys}")).err().unwrap().contains("region"));
        assert!(built("region = \"eu-central-1\"\naccess_key_id = \"a\"\nsecret_access_key = \"\"").is_err());
        let Wire::Http(china) = built(&format!("region = \"cn-north-1\"\n{keys}")).unwrap() else { unreachable!() };
        assert_eq!(china.base_url(), "https://email.cn-north-1.amazonaws.com.cn");
    }

    #[test]
    fn a_batch_is_a_template_with_data_for_each() {
        let messages = [email("kim@example.org"), email("ana@example.org")].map(|mut message| {
            let Content::Email(content) = &mut message.content else { unreachable!() };
            content.html = format!("<p>Hi</p>\n<a href=\"https://u.example/?a={}&b=1\">", message.to);
            message
        });
        let request = wire("").batch(&messages.each_ref(), NOWHERE).unwrap();
        let body = body(&request);
        passes_document("ses-send-bulk", "/v2/email/outbound-bulk-emails", "application/json", &body);
        assert_eq!(body["DefaultContent"]["Template"]["TemplateContent"]["Html"], "<p>Hi</p>\n{{{h0}}}");
        let data =
            body["BulkEmailEntries"][1]["ReplacementEmailContent"]["ReplacementTemplate"]["ReplacementTemplateData"].as_str().unwrap();
        assert_eq!(data, r#"{"h0":"<a href=\"https://u.example/?a=ana@example.org&b=1\">"}"#);
    }

    #[test]
    fn odd_answers() {
        let judge = |status, headers: &[(&str, &str)], body: &str| {
            let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            classify(SEND, &Answer { status, headers, body: body.into() }, NOWHERE.now).outcome
        };
        assert_eq!(judge(200, &[], "<html>").class, Class::Uncertain);
        assert_eq!(judge(504, &[], "").class, Class::Uncertain);
        assert_eq!(judge(400, &[], r#"{"__type":"com.amazon#ThrottlingException"}"#).class, Class::Throttle);
        let late = judge(403, &[("Date", "Sat, 03 Oct 2026 18:07:44 GMT"), ("x-amzn-ErrorType", "SignatureDoesNotMatch")], "{}");
        assert_eq!((late.class, late.detail.as_str()), (Class::Auth, "the clock of this box is 2 h wrong (403 SignatureDoesNotMatch)"));
    }

    #[test]
    fn a_probe_tells_the_quota() {
        let probed = |body: &str| wire("").probed(&Answer { status: 200, headers: Vec::new(), body: body.into() }, UnixMs(0));
        let health = probed(
            r#"{"ProductionAccessEnabled":false,"SendingEnabled":true,"SendQuota":{"Max24HourSend":200.0,"MaxSendRate":1.0,"SentLast24Hours":50.0}}"#,
        );
        assert_eq!((health.outcome.class, health.per_second, health.left_today), (Class::Accepted, Some(1.0), Some(150)));
        assert!(health.warning.unwrap().contains("sandbox"));
        let health =
            probed(r#"{"ProductionAccessEnabled":true,"SendingEnabled":false,"SendQuota":{"Max24HourSend":-1.0,"MaxSendRate":50.0}}"#);
        assert_eq!((health.outcome.class, health.left_today, health.warning), (Class::Auth, None, None));
    }

    #[test]
    fn events_are_read_each_in_its_meaning() {
        use EventKind::{Bounced, Clicked, Complained, Deferred, Delivered, Dropped, Failed, Opened, Sent, Unsubscribed};
        for (json, kind, bounce, suppress) in [
            (r#""eventType":"Send","send":{}"#, Sent, None, None),
            (r#""eventType":"Delivery","delivery":{"recipients":["kim@example.org"]}"#, Delivered, None, None),
            (r#""notificationType":"Delivery","delivery":{"recipients":["kim@example.org"]}"#, Delivered, None, None),
            (
                r#""eventType":"DeliveryDelay","deliveryDelay":{"delayedRecipients":[{"emailAddress":"kim@example.org"}]}"#,
                Deferred,
                None,
                None,
            ),
            (
                r#""eventType":"Bounce","bounce":{"bounceType":"Permanent","bouncedRecipients":[{"emailAddress":"kim@example.org"}]}"#,
                Bounced,
                Some(Bounce::Hard),
                Some(Suppress::HardBounce),
            ),
            (
                r#""eventType":"Bounce","bounce":{"bounceType":"Transient","bouncedRecipients":[{"emailAddress":"kim@example.org"}]}"#,
                Bounced,
                Some(Bounce::Soft),
                None,
            ),
            (
                r#""eventType":"Complaint","complaint":{"complainedRecipients":[{"emailAddress":"kim@example.org"}]}"#,
                Complained,
                None,
                Some(Suppress::Complaint),
            ),
            (r#""eventType":"Reject","reject":{"reason":"Bad content"}"#, Dropped, None, None),
            (r#""eventType":"Rendering Failure","failure":{}"#, Failed, None, None),
            (r#""eventType":"Open","open":{}"#, Opened, None, None),
            (r#""eventType":"Click","click":{"link":"https://x.example"}"#, Clicked, None, None),
            (
                r#""eventType":"Subscription","subscription":{"newTopicPreferences":{"unsubscribeAll":true}}"#,
                Unsubscribed,
                None,
                Some(Suppress::Unsubscribe),
            ),
        ] {
            let mail = r#""mail":{"messageId":"m-1","timestamp":"2026-10-03T16:00:00.000Z","destination":["kim@example.org"],"tags":{"tp_id":["tp_0123456789abcdef0123456789-10"]}}"#;
            let report = taken("ses", &settings(), &signed(&format!("{{{json},{mail}}}"), json!({})));
            let event = &report.events[0];
            assert_eq!(
                (event.kind, event.bounce, event.suppress, event.recipient.as_str()),
                (kind, bounce, suppress, "kim@example.org"),
                "{json}"
            );
            assert_eq!((event.message_ref.as_str(), event.provider_id.as_str()), ("tp_0123456789abcdef0123456789.10", "m-1"));
            assert_eq!((event.key.as_str(), event.url.is_some(), event.at.is_some()), ("sns-1 kim@example.org", kind == Clicked, true));
        }
        let two = r#"{"eventType":"Bounce","bounce":{"bounceType":"Permanent","bouncedRecipients":[{"emailAddress":"a@b.example"},{"emailAddress":"c@d.example"}]},"mail":{"messageId":"m"}}"#;
        assert_eq!(taken("ses", &settings(), &signed(two, json!({}))).events.len(), 2);
        let opened = r#"{"eventType":"Open","open":{},"mail":{"messageId":"m","destination":["a@b.example","c@d.example"]}}"#;
        assert_eq!(taken("ses", &settings(), &signed(opened, json!({}))).events[0].recipient, "");
        assert!(taken("ses", &settings(), &signed("Successfully validated SNS topic for Amazon SES", json!({}))).events.is_empty());
    }
}
