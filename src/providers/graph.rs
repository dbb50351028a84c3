//! Microsoft Graph: mail as a mailbox of Microsoft 365, by an application that may send as it.
//!
//! It answers without an id, so what became of a mail shows in bounces only. A mail that needs headers which
//! the JSON form does not take goes as MIME, as do all that have a text and an HTML part to keep.

use super::gmail::token_answer;
use crate::config::TypeKeys;
use crate::config::checked::{Provider as Settings, Rate};
use crate::config::key::{Shape, optional, required};
use crate::config::secret::Secret;
use crate::domain::channel::Channel;
use crate::domain::content::{Content, Email, Outgoing};
use crate::domain::ids::{hash16, hex, sha256};
use crate::domain::outcome::{Class, Outcome, Scope};
use crate::domain::time::UnixMs;
use crate::http::jwt::{RsaKey, Signing};
use crate::http::{Answer, Request, check_base_url, form};
use crate::providers::shared::{ascii_address, bearer, by_status, content_type, headers, not_theirs, parties, refused, set, subject};
use crate::providers::{At, Health, HttpProvider, Idempotency, Judged, Kind, STATUS, Step, TOKEN, Wire, smtp, wrong_content};
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use std::time::Duration;

/// What it is.
pub static KIND: Kind = Kind {
    keys: TypeKeys {
        name: "graph",
        doc: "Mail by Microsoft Graph as a mailbox of Microsoft 365.",
        channels: &[Channel::Email],
        keys: KEYS,
        example: "type = \"graph\"\ntenant = \"cmart.example\"\nclient_id = \"00000000-0000-4000-8000-000000000000\"\nclient_secret = \"the secret's value\"\nmailbox = \"receipts@cmart.example\"\n",
    },
    idempotency: Idempotency::None,
    // Exchange Online takes 30 mails a minute of one mailbox, and 4 requests at once.
    rate: Rate { count: 30, per: Duration::from_secs(60) },
    concurrency: 4,
    batch: 1,
    keeps_content: false,
    classify: Some(judge),
    callback: None,
    build,
};

const KEYS: &[crate::config::Key] = &[
    required("tenant", Shape::Text, "The directory: its id, or a domain of it."),
    required("client_id", Shape::Text, "The application's id. It needs the permission Mail.Send, best for this mailbox alone."),
    optional("client_secret", Shape::Secret, "A client secret of the application."),
    optional("certificate", Shape::Secret, "PEM text of a certificate of the application, in place of a secret."),
    optional("private_key", Shape::Secret, "PEM text of the certificate's private key."),
    required("mailbox", Shape::Text, "The mailbox that sends."),
    optional("save_to_sent", Shape::Bool, "Mails are kept in the mailbox's Sent Items too."),
];

/// Clouds of their own, with the host where one logs in.
const CLOUDS: &[(&str, &str)] = &[
    ("https://graph.microsoft.com", "https://login.microsoftonline.com"),
    ("https://graph.microsoft.us", "https://login.microsoftonline.us"),
    ("https://dod-graph.microsoft.us", "https://login.microsoftonline.us"),
    ("https://microsoftgraph.chinacloudapi.cn", "https://login.partner.microsoftonline.cn"),
];

/// How the application shows who it is.
#[derive(Debug)]
enum Login {
    Secret(Secret),
    /// Key and thumbprint of the certificate.
    Certificate(Box<RsaKey>, String),
}

/// An account's settings.
#[derive(Debug)]
pub struct Graph {
    base_url: String,
    token_url: String,
    client_id: String,
    login: Login,
    mailbox: String,
    save_to_sent: bool,
}

fn build(settings: &Settings) -> Result<Wire, String> {
    let own = &settings.settings;
    let tenant = own.text("tenant");
    if tenant.is_empty() || !tenant.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.') {
        return Err("tenant must be the directory's id or a domain of it".to_owned());
    }
    let base_url = check_base_url(settings.base_url.as_deref().unwrap_or("https://graph.microsoft.com"), settings.allow_insecure)?;
    // Another address is one that serves both, as a test's does.
    let login_host = CLOUDS.iter().find(|(graph, _)| *graph == base_url).map_or(base_url.as_str(), |(_, login)| login);
    Ok(Wire::Http(Box::new(Graph {
        token_url: format!("{login_host}/{tenant}/oauth2/v2.0/token"),
        base_url,
        client_id: own.text("client_id").to_owned(),
        login: login(settings)?,
        mailbox: ascii_address(own.text("mailbox")).ok_or("mailbox must be a mail address")?,
        save_to_sent: own.flag("save_to_sent"),
    })))
}

fn login(settings: &Settings) -> Result<Login, String> {
    let own = &settings.settings;
    let (secret, certificate, key) = (own.secret("client_secret"), own.secret("certificate"), own.secret("private_key"));
    match (secret.is_empty(), certificate.is_empty(), key.is_empty()) {
        (false, true, true) => Ok(Login::Secret(secret)),
        (true, false, false) => {
            let der = CertificateDer::from_pem_slice(certificate.expose().as_bytes()).map_err(|_| "certificate is not readable PEM")?;
            let thumbprint = BASE64_URL_SAFE_NO_PAD.encode(sha256(&der));
            Ok(Login::Certificate(Box::new(RsaKey::from_pem(key.expose())?), thumbprint))
        }
        _ => Err("either client_secret, or certificate and private_key".to_owned()),
    }
}

impl Graph {
    /// The application's word for itself, good for ten minutes.
    fn assertion(&self, key: &RsaKey, thumbprint: &str, now: UnixMs) -> Option<String> {
        let at = now.0.div_euclid(1000);
        // One that nobody else makes: the signature hides what the hash was made of.
        let seed = key.sign(Signing::Rs256, format!("{} {}", self.client_id, now.0).as_bytes())?;
        let claims = json!({
            "aud": self.token_url, "iss": self.client_id, "sub": self.client_id, "jti": hex(&hash16(&seed)),
            "iat": at, "nbf": at, "exp": at + 600,
        });
        key.jwt(Signing::Ps256, json!({"x5t#S256": thumbprint}), &claims)
    }

    fn ask(&self, method: &'static str, rest: &str, token: &str) -> Request {
        let mailbox = form::percent(&self.mailbox).replace("%40", "@");
        Request { method, url: format!("{}/v1.0/users/{mailbox}{rest}", self.base_url), headers: vec![bearer(token)], body: Vec::new() }
    }

    fn json(&self, message: &Outgoing, email: &Email) -> Result<Value, Outcome> {
        let (from, to, reply_to) = parties(email, &message.to)?;
        let (kind, text) = if email.html.is_empty() { ("Text", &email.text) } else { ("HTML", &email.html) };
        let party = |address: &str, name: &str| match name {
            "" => json!({"emailAddress": {"address": address}}),
            name => json!({"emailAddress": {"address": address, "name": name}}),
        };
        let own = headers(email).into_iter().chain([("X-TP-Id".to_owned(), message.step.to_string())]);
        let mut mail = json!({
            "subject": subject(email),
            "body": {"contentType": kind, "content": text},
            "from": party(&from.address, &from.name),
            "toRecipients": [party(&to, "")],
            "internetMessageHeaders": own.map(|(name, value)| json!({"name": name, "value": value})).collect::<Vec<_>>(),
        });
        if let Some(reply_to) = reply_to {
            set(&mut mail, "replyTo", json!([party(&reply_to.address, &reply_to.name)]));
        }
        Ok(json!({"message": mail, "saveToSentItems": self.save_to_sent}))
    }
}

/// The JSON form takes headers of one's own only, five at most.
fn fits_json(email: &Email) -> bool {
    let own = headers(email);
    own.len() < 5 && own.iter().all(|(name, _)| name.to_ascii_lowercase().starts_with("x-"))
}

impl HttpProvider for Graph {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn base_url(&self) -> &str {
        &self.base_url
    }

    fn token(&self, now: UnixMs) -> Option<Request> {
        let host = CLOUDS.iter().find(|(graph, _)| *graph == self.base_url).map_or("https://graph.microsoft.com", |(graph, _)| graph);
        let mut fields = vec![
            ("client_id", self.client_id.clone()),
            ("scope", format!("{host}/.default")),
            ("grant_type", "client_credentials".to_owned()),
        ];
        match &self.login {
            Login::Secret(secret) => fields.push(("client_secret", secret.expose().to_owned())),
            Login::Certificate(key, thumbprint) => {
                fields.push(("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".to_owned()));
                fields.push(("client_assertion", self.assertion(key, thumbprint, now)?));
            }
        }
        let headers = vec![content_type("application/x-www-form-urlencoded")];
        Some(Request { method: "POST", url: self.token_url.clone(), headers, body: form::urlencoded(&fields).into_bytes() })
    }

    fn request(&self, message: &Outgoing, at: At<'_>) -> Result<Vec<Step>, Outcome> {
        let Content::Email(email) = &message.content else { return Err(wrong_content(&KIND)) };
        let mut request = self.ask("POST", "/sendMail", at.token);
        if fits_json(email) {
            request.headers.push(content_type("application/json"));
            request.body = self.json(message, email)?.to_string().into_bytes();
        } else {
            request.headers.push(content_type("text/plain"));
            request.body = BASE64_STANDARD.encode(smtp::mail(message, "")?.message).into_bytes();
        }
        Ok(Step::send(request))
    }

    fn probe(&self, at: At<'_>) -> Option<Request> {
        Some(self.ask("GET", "?$select=id", at.token))
    }

    /// An application that may only send is told that it may not read the directory: its login is good.
    fn probed(&self, answer: &Answer, now: UnixMs) -> Health {
        let outcome = match (answer.status, code(answer).as_str()) {
            (200..=299, _) | (403, "Authorization_RequestDenied") => Outcome::accepted(None),
            _ => classify(STATUS, answer, now),
        };
        outcome.into()
    }
}

fn judge(operation: &str, answer: &Answer, now: UnixMs) -> Judged {
    classify(operation, answer, now).into()
}

fn code(answer: &Answer) -> String {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    body.pointer("/error/code").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// What an answer means. `token`: that of the token's address.
pub fn classify(operation: &str, answer: &Answer, now: UnixMs) -> Outcome {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    if operation == TOKEN {
        return token_answer(&body, answer, now, "Microsoft");
    }
    if answer.is_success() {
        return if answer.status == 202 && answer.body.is_empty() { Outcome::accepted(None) } else { not_theirs("Graph") };
    }
    let code = code(answer);
    let judged = match (answer.status, code.as_str()) {
        (_, "ErrorInvalidRecipients") => (Class::Permanent, Scope::Recipient),
        (_, "ErrorExceededMessageLimit" | "ApplicationThrottled") => (Class::Throttle, Scope::Account),
        (_, "ErrorSendAsDenied" | "ErrorAccessDenied" | "MailboxNotEnabledForRESTAPI" | "ErrorMessageSubmissionBlocked") => {
            (Class::Auth, Scope::Account)
        }
        // There is no such mailbox.
        (404, _) => (Class::Auth, Scope::Account),
        (status, _) => by_status(status, operation != STATUS),
    };
    let said = body.pointer("/error/message").and_then(Value::as_str).unwrap_or_default();
    refused(answer, now, judged, &format!("{code} {said}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::jwt::tests::pem;
    use crate::providers::SEND;
    use crate::providers::conformance::{NOWHERE, account, email, only, passes_document, sms};

    const FRAME: &str = "tenant = \"cmart.example\"\nclient_id = \"app\"\nmailbox = \"receipts@cmart.example\"\n";

    fn wire(more: &str) -> Result<Box<dyn HttpProvider>, String> {
        match build(&account("graph", &format!("{FRAME}{more}")))? {
            Wire::Http(http) => Ok(http),
            _ => unreachable!(),
        }
    }

    const WITH: At<'static> = At { now: NOWHERE.now, token: "t" };

    #[test]
    fn a_token_for_a_secret_and_for_a_certificate() {
        let request = wire("client_secret = \"canary\"").unwrap().token(NOWHERE.now).unwrap();
        assert_eq!(request.url, "https://login.microsoftonline.com/cmart.example/oauth2/v2.0/token");
        let body = String::from_utf8(request.body).unwrap();
        assert_eq!(
            body,
            "client_id=app&scope=https%3A%2F%2Fgraph.microsoft.com%2F.default&grant_type=client_credentials&client_secret=canary"
        );
        let pems = format!("certificate = '''{}'''\nprivate_key = '''{}'''", pem("rsa.pem"), pem("rsa.key"));
        let fields = form::parse(&wire(&pems).unwrap().token(NOWHERE.now).unwrap().body);
        assert_eq!(fields[3].1, "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        let parts: Vec<Value> = fields[4]
            .1
            .split('.')
            .take(2)
            .map(|part| serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
            .collect();
        let der = CertificateDer::from_pem_slice(pem("rsa.pem").as_bytes()).unwrap();
        assert_eq!(parts[0], json!({"alg": "PS256", "typ": "JWT", "x5t#S256": BASE64_URL_SAFE_NO_PAD.encode(sha256(&der))}));
        assert_eq!((&parts[1]["aud"], &parts[1]["iss"], &parts[1]["sub"]), (&json!(request.url), &json!("app"), &json!("app")));
        assert_eq!((&parts[1]["nbf"], &parts[1]["exp"]), (&json!(1_791_043_664), &json!(1_791_044_264)));
        assert_eq!(parts[1]["jti"].as_str().unwrap().len(), 32);
        assert!(wire("certificate = \"x\"").err().unwrap().contains("either"));
        assert!(wire("").is_err());
    }

    #[test]
    fn clouds_log_in_at_their_own_hosts() {
        let token_url =
            |base: &str| wire(&format!("client_secret = \"s\"\nbase_url = \"{base}\"")).unwrap().token(NOWHERE.now).unwrap().url;
        assert_eq!(token_url("https://graph.microsoft.us"), "https://login.microsoftonline.us/cmart.example/oauth2/v2.0/token");
        assert_eq!(token_url("http://127.0.0.1:9"), "http://127.0.0.1:9/cmart.example/oauth2/v2.0/token");
    }

    #[test]
    fn json_where_it_can_and_mime_where_it_must() {
        let wire = wire("client_secret = \"s\"").unwrap();
        let mut message = email("kim@example.org");
        let request = only(wire.request(&message, WITH));
        assert_eq!(request.url, "https://graph.microsoft.com/v1.0/users/receipts@cmart.example/sendMail");
        assert!(request.headers.contains(&content_type("text/plain")), "Auto-Submitted is no header of one's own");
        let mail = String::from_utf8(BASE64_STANDARD.decode(&request.body).unwrap()).unwrap();
        assert!(mail.contains("Auto-Submitted: auto-generated\r\n") && mail.contains("text/plain") && mail.contains("text/html"));
        let Content::Email(content) = &mut message.content else { unreachable!() };
        content.headers.clear();
        let request = only(wire.request(&message, WITH));
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        passes_document("graph-send-mail", "/v1.0/users/{id}/sendMail", "application/json", &body);
        assert_eq!((&body["saveToSentItems"], &body["message"]["body"]["contentType"]), (&json!(false), &json!("HTML")));
        assert_eq!(body["message"]["internetMessageHeaders"][0]["name"], "X-TP-Id");
        assert_eq!(wire.request(&sms("+16075550100"), WITH).unwrap_err().class, Class::Permanent);
    }

    #[test]
    fn odd_answers_and_probes() {
        let answer = |status, body: &str| Answer { status, headers: Vec::new(), body: body.into() };
        assert_eq!(classify(SEND, &answer(200, "<html>"), UnixMs(0)).class, Class::Uncertain);
        assert_eq!(classify(SEND, &answer(202, "<html>"), UnixMs(0)).class, Class::Uncertain);
        assert_eq!(classify(SEND, &answer(404, "{}"), UnixMs(0)).class, Class::Auth);
        let wire = wire("client_secret = \"s\"").unwrap();
        assert!(wire.probe(WITH).unwrap().url.ends_with("/v1.0/users/receipts@cmart.example?$select=id"));
        let denied = r#"{"error":{"code":"Authorization_RequestDenied"}}"#;
        assert_eq!(wire.probed(&answer(403, denied), UnixMs(0)).outcome.class, Class::Accepted);
        assert_eq!(wire.probed(&answer(404, "{}"), UnixMs(0)).outcome.class, Class::Auth);
    }
}
