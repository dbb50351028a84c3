//! Gmail: mail through its API as a mailbox of a Google Workspace, by a service account to which the domain
//! has delegated that.
//!
//! Bounces come as mail to the mailbox; there are no webhooks. A message can be looked for only where the
//! delegation also lets us read, and not finding it proves nothing: Gmail may have given it another
//! Message-ID.

use crate::config::TypeKeys;
use crate::config::checked::{Provider as Settings, Rate};
use crate::config::key::{Shape, optional, required};
use crate::domain::channel::Channel;
use crate::domain::content::{Content, Outgoing};
use crate::domain::outcome::{Class, Outcome, Scope};
use crate::domain::time::UnixMs;
use crate::http::jwt::{RsaKey, Signing};
use crate::http::{Answer, Request, check_base_url, form, retry_after};
use crate::providers::callback::text;
use crate::providers::shared::{Sender, ascii_address, bearer, by_status, content_type, not_theirs, refused};
use crate::providers::{At, Found, Health, HttpProvider, Idempotency, Judged, Kind, STATUS, Step, TOKEN, Wire, smtp, wrong_content};
use base64::prelude::{BASE64_URL_SAFE, Engine as _};
use serde_json::{Value, json};
use std::time::Duration;

/// What it is.
pub static KIND: Kind = Kind {
    keys: TypeKeys {
        name: "gmail",
        doc: "Mail by the Gmail API of a Google Workspace.",
        channels: &[Channel::Email],
        keys: KEYS,
        example: EXAMPLE,
    },
    idempotency: Idempotency::None,
    // 15,000 units a minute, of which a mail costs 100.
    rate: Rate { count: 150, per: Duration::from_secs(60) },
    concurrency: 4,
    batch: 1,
    keeps_content: false,
    classify: Some(judge),
    callback: None,
    build,
};

const EXAMPLE: &str = r#"type = "gmail"
mailbox = "receipts@cmart.example"
service_account = '{"client_email": "till@cmart.iam.gserviceaccount.com", "private_key_id": "0a1b", "private_key": "-----BEGIN PRIVATE KEY-----\n…\n-----END PRIVATE KEY-----\n", "token_uri": "https://oauth2.googleapis.com/token"}'
"#;

const KEYS: &[crate::config::Key] = &[
    required("service_account", Shape::Secret, "The JSON key file of the service account, whole."),
    required("mailbox", Shape::Text, "The mailbox that sends; the domain must have delegated gmail.send to the service account."),
    optional("may_read", Shape::Bool, "gmail.readonly is delegated too, so that a mail whose answer was lost can be looked for."),
];

/// An account's settings.
#[derive(Debug)]
pub struct Gmail {
    base_url: String,
    mailbox: String,
    may_read: bool,
    client_email: String,
    key: RsaKey,
    key_id: String,
    token_uri: String,
}

fn build(settings: &Settings) -> Result<Wire, String> {
    let own = &settings.settings;
    let file: Value = serde_json::from_str(own.secret("service_account").expose())
        .map_err(|_| "service_account is not the JSON key file that Google gave out")?;
    let client_email = text(&file, "client_email");
    let token_uri = Some(text(&file, "token_uri")).filter(|uri| !uri.is_empty());
    let token_uri = token_uri.unwrap_or_else(|| "https://oauth2.googleapis.com/token".to_owned());
    if client_email.is_empty() {
        return Err("service_account has no client_email".to_owned());
    }
    let key = RsaKey::from_pem(&text(&file, "private_key")).map_err(|why| format!("service_account: {why}"))?;
    Ok(Wire::Http(Box::new(Gmail {
        base_url: check_base_url(settings.base_url.as_deref().unwrap_or("https://gmail.googleapis.com"), settings.allow_insecure)?,
        mailbox: ascii_address(own.text("mailbox")).ok_or("mailbox must be a mail address")?,
        may_read: own.flag("may_read"),
        client_email,
        key,
        key_id: text(&file, "private_key_id"),
        token_uri: check_base_url(&token_uri, settings.allow_insecure).map_err(|why| why.replace("base_url", "token_uri"))?,
    })))
}

impl Gmail {
    fn ask(&self, method: &'static str, rest: &str, token: &str) -> Request {
        let url = format!("{}/gmail/v1/users/me/{rest}", self.base_url);
        Request { method, url, headers: vec![bearer(token)], body: Vec::new() }
    }
}

impl HttpProvider for Gmail {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn base_url(&self) -> &str {
        &self.base_url
    }

    fn token(&self, now: UnixMs) -> Option<Request> {
        let at = now.0.div_euclid(1000);
        let read = if self.may_read { " https://www.googleapis.com/auth/gmail.readonly" } else { "" };
        let claims = json!({
            "iss": self.client_email,
            "sub": self.mailbox,
            "scope": format!("https://www.googleapis.com/auth/gmail.send{read}"),
            "aud": self.token_uri,
            "iat": at,
            "exp": at + 3600,
        });
        let assertion = self.key.jwt(Signing::Rs256, json!({"kid": self.key_id}), &claims)?;
        let fields = [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", &assertion)];
        let headers = vec![content_type("application/x-www-form-urlencoded")];
        Some(Request { method: "POST", url: self.token_uri.clone(), headers, body: form::urlencoded(&fields).into_bytes() })
    }

    fn request(&self, message: &Outgoing, at: At<'_>) -> Result<Vec<Step>, Outcome> {
        let Content::Email(_) = &message.content else { return Err(wrong_content(&KIND)) };
        let mail = smtp::mail(message, "")?;
        let mut request = self.ask("POST", "messages/send", at.token);
        request.headers.push(content_type("application/json"));
        request.body = json!({"raw": BASE64_URL_SAFE.encode(mail.message)}).to_string().into_bytes();
        Ok(Step::send(request))
    }

    fn lookup(&self, message: &Outgoing, _since: UnixMs, at: At<'_>) -> Option<Request> {
        let Content::Email(email) = &message.content else { return None };
        let from = Sender::parse(&email.from).filter(|_| self.may_read)?;
        let domain = from.address.rsplit_once('@').map(|(_, domain)| domain)?;
        let query = form::percent(&format!("rfc822msgid:{}@{domain}", message.message_id));
        Some(self.ask("GET", &format!("messages?maxResults=1&q={query}"), at.token))
    }

    fn found(&self, _message: &Outgoing, _since: UnixMs, answer: &Answer, now: UnixMs) -> Found {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        if !answer.is_success() {
            return Found::Unknown(classify(STATUS, answer, now));
        }
        match body.pointer("/messages/0/id").and_then(Value::as_str) {
            Some(id) => Found::Yes(Some(id.to_owned())),
            None => {
                Found::Unknown(Outcome::new(Class::Uncertain, Scope::Message, "not found by its Message-ID, which Gmail may have changed"))
            }
        }
    }

    fn probe(&self, at: At<'_>) -> Option<Request> {
        Some(self.ask("GET", "profile", at.token))
    }

    /// Who may only send hears that more would be needed for this question: then key, delegation and mailbox
    /// are good all the same.
    fn probed(&self, answer: &Answer, now: UnixMs) -> Health {
        let outcome = match (answer.status, reason(answer).as_str()) {
            (200..=299, _) | (403, "insufficientPermissions") => Outcome::accepted(None),
            _ => classify(STATUS, answer, now),
        };
        outcome.into()
    }
}

fn judge(operation: &str, answer: &Answer, now: UnixMs) -> Judged {
    classify(operation, answer, now).into()
}

fn reason(answer: &Answer) -> String {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    body.pointer("/error/errors/0/reason").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// What an answer means. `token`: that of the token's address.
pub fn classify(operation: &str, answer: &Answer, now: UnixMs) -> Outcome {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    if operation == TOKEN {
        return token_answer(&body, answer, now, "Google");
    }
    if answer.is_success() {
        let id = Some(text(&body, "id")).filter(|id| !id.is_empty());
        return if id.is_some() { Outcome::accepted(id) } else { not_theirs("Gmail") };
    }
    let said = body.pointer("/error/message").and_then(Value::as_str).unwrap_or_default();
    let reason = reason(answer);
    let judged = match (answer.status, reason.as_str()) {
        (403, "rateLimitExceeded" | "userRateLimitExceeded" | "dailyLimitExceeded" | "quotaExceeded") => (Class::Throttle, Scope::Account),
        (400, "failedPrecondition") => (Class::Auth, Scope::Account),
        (400, _) if said.contains("Invalid To") || said.contains("Recipient address") => (Class::Permanent, Scope::Recipient),
        (404, _) => (Class::Auth, Scope::Account),
        (status, _) => by_status(status, operation != STATUS),
    };
    let outcome = refused(answer, now, judged, &format!("{reason} {said}"));
    match said.split_once("Retry after ") {
        Some((_, when)) if outcome.class == Class::Throttle && outcome.retry_after.is_none() => {
            let when = when.split_whitespace().next().unwrap_or_default();
            let date = UnixMs::parse_rfc3339(when).map(|at| at.since(now));
            outcome.wait(date.or_else(|| retry_after::parse(when, now)))
        }
        _ => outcome,
    }
}

/// The answer of a token's address, the same at Google and Microsoft: what is refused there is the
/// account's to mend.
pub(super) fn token_answer(body: &Value, answer: &Answer, now: UnixMs, whose: &str) -> Outcome {
    if answer.is_success() {
        return if text(body, "access_token").is_empty() { not_theirs(whose) } else { Outcome::accepted(None) };
    }
    let judged = match answer.status {
        429 => (Class::Throttle, Scope::Account),
        400..=499 => (Class::Auth, Scope::Account),
        _ => (Class::Retry, Scope::Account),
    };
    refused(answer, now, judged, &format!("{} {}", text(body, "error"), text(body, "error_description")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::SEND;
    use crate::providers::conformance::{NOWHERE, account, email, example, only, passes_document, sms};
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;

    fn wire(more: &str) -> Box<dyn HttpProvider> {
        match build(&account("gmail", &format!("{}{more}", example(&KIND)))).unwrap() {
            Wire::Http(http) => http,
            _ => unreachable!(),
        }
    }

    const WITH: At<'static> = At { now: NOWHERE.now, token: "t" };

    #[test]
    fn an_assertion_says_who_asks_for_what_until_when() {
        let request = wire("may_read = true").token(NOWHERE.now).unwrap();
        assert_eq!((request.method, request.url.as_str()), ("POST", "https://oauth2.googleapis.com/token"));
        let fields = form::parse(&request.body);
        assert_eq!(fields[0].1, "urn:ietf:params:oauth:grant-type:jwt-bearer");
        let parts: Vec<Value> = fields[1]
            .1
            .split('.')
            .take(2)
            .map(|part| serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
            .collect();
        assert_eq!(parts[0], json!({"alg": "RS256", "typ": "JWT", "kid": "0a1b"}));
        let scope = "https://www.googleapis.com/auth/gmail.send https://www.googleapis.com/auth/gmail.readonly";
        let claims = json!({"iss": "till@cmart.iam.gserviceaccount.com", "sub": "receipts@cmart.example", "scope": scope,
            "aud": "https://oauth2.googleapis.com/token", "iat": 1_791_043_664, "exp": 1_791_047_264});
        assert_eq!(parts[1], claims);
    }

    #[test]
    fn a_mail_goes_whole_in_base64url() {
        let request = only(wire("").request(&email("kim@example.org"), WITH));
        assert_eq!(request.url, "https://gmail.googleapis.com/gmail/v1/users/me/messages/send");
        assert_eq!(request.headers[0].1, "Bearer t");
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        passes_document("gmail-send", "/gmail/v1/users/{userId}/messages/send", "application/json", &body);
        let mail = String::from_utf8(BASE64_URL_SAFE.decode(body["raw"].as_str().unwrap()).unwrap()).unwrap();
        assert!(mail.contains("To: kim@example.org\r\n") && mail.contains("X-TP-Id: tp_"));
        assert_eq!(wire("").request(&sms("+16075550100"), WITH).unwrap_err().class, Class::Permanent);
    }

    #[test]
    fn key_files_are_checked_and_never_shown() {
        let built = |file: &str| build(&account("gmail", &format!("mailbox = \"a@b.example\"\nservice_account = '{file}'"))).err().unwrap();
        assert!(built("canary").contains("not the JSON key file"));
        assert!(built(r#"{"private_key":"canary"}"#).contains("client_email"));
        let why = built(r#"{"client_email":"a@b","private_key":"canary"}"#);
        assert!(why.contains("private key") && !why.contains("canary"));
    }

    #[test]
    fn not_finding_proves_nothing() {
        let message = email("kim@example.org");
        assert!(wire("").lookup(&message, UnixMs(0), WITH).is_none());
        let wire = wire("may_read = true");
        let url = wire.lookup(&message, UnixMs(0), WITH).unwrap().url;
        assert!(url.ends_with("/messages?maxResults=1&q=rfc822msgid%3Atp_0123456789abcdef0123456789%40cmart.example"), "{url}");
        let answer = |status, body: &str| Answer { status, headers: Vec::new(), body: body.into() };
        let found = |status, body: &str| wire.found(&message, UnixMs(0), &answer(status, body), UnixMs(0));
        assert_eq!(found(200, r#"{"messages":[{"id":"g1"}]}"#), Found::Yes(Some("g1".into())));
        assert!(matches!(found(200, r#"{"resultSizeEstimate":0}"#), Found::Unknown(o) if o.class == Class::Uncertain));
        let only_sends = r#"{"error":{"errors":[{"reason":"insufficientPermissions"}]}}"#;
        assert_eq!(wire.probed(&answer(403, only_sends), UnixMs(0)).outcome.class, Class::Accepted);
        assert_eq!(wire.probed(&answer(403, "{}"), UnixMs(0)).outcome.class, Class::Auth);
    }

    #[test]
    fn odd_answers() {
        let judge =
            |operation, status, body: &str| classify(operation, &Answer { status, headers: Vec::new(), body: body.into() }, UnixMs(0));
        assert_eq!(judge(SEND, 200, "<html>").class, Class::Uncertain);
        assert_eq!(judge(SEND, 502, "").class, Class::Uncertain);
        assert_eq!(
            judge(SEND, 400, r#"{"error":{"message":"Invalid To header","errors":[{"reason":"invalidArgument"}]}}"#).scope,
            Scope::Recipient
        );
        assert_eq!(judge(TOKEN, 503, "").class, Class::Retry);
        assert_eq!(judge(TOKEN, 200, "<html>").class, Class::Uncertain);
    }
}
