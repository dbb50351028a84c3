//! What Amazon's two services have in common: the keys of their tables, the signer, and the envelope in
//! which SNS brings reports.
//!
//! An envelope names the certificate that signs it, so a stranger could name one of their own: only URLs of
//! SNS itself are taken, and only topics that the settings list, as a stranger's topic signs genuinely too.

use crate::config::Key;
use crate::config::checked::{Provider as Settings, Settings as Table};
use crate::config::key::{Shape, optional, required};
use crate::domain::time::UnixMs;
use crate::http::der::{self, PublicKey};
use crate::http::https_host;
use crate::http::sigv4::Signer;
use crate::providers::callback::{self, Call, Known, Refusal, text};
use crate::providers::shared::{CALLBACK_URL, texts};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use ring::signature::{RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, RsaParameters, UnparsedPublicKey};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;
use std::time::Duration;

/// `region`
pub const REGION: Key = required("region", Shape::Text, "The region of the account, e.g. `eu-central-1`.");
/// `access_key_id`
pub const ACCESS_KEY_ID: Key = required("access_key_id", Shape::Text, "Public part of the access key.");
/// `secret_access_key`
pub const SECRET_ACCESS_KEY: Key = required("secret_access_key", Shape::Secret, "Secret part of the access key.");
/// `session_token`
pub const SESSION_TOKEN: Key = optional("session_token", Shape::Secret, "Session token of a temporary key.");
/// `callback`
pub const CALLBACK: &[Key] = &[
    CALLBACK_URL,
    optional("topics", Shape::List(&Shape::Text), "ARNs of the topics that may report."),
    optional("certificate", Shape::Secret, "PEM text of SNS's signing certificate, in place of fetching it."),
];

/// The signer of an account. The error is a sentence for the config check.
pub fn signer(own: &Table, service: &'static str) -> Result<Signer, String> {
    let region = own.text("region");
    if !is_region(region) {
        return Err("region must be a region of AWS, e.g. eu-central-1".to_owned());
    }
    let (id, secret) = (own.text("access_key_id"), own.secret("secret_access_key"));
    if id.is_empty() || secret.is_empty() {
        return Err("access_key_id and secret_access_key belong together".to_owned());
    }
    Ok(Signer {
        access_key_id: id.to_owned(),
        secret_access_key: secret.expose().to_owned(),
        session_token: own.secret("session_token").expose().to_owned(),
        region: region.to_owned(),
        service,
    })
}

/// Where a service is in a region, unless the settings say otherwise.
pub fn base_url(settings: &Settings, host: &str) -> String {
    let region = settings.settings.text("region");
    let top = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    settings.base_url.clone().unwrap_or_else(|| format!("https://{host}.{region}.{top}"))
}

fn is_region(text: &str) -> bool {
    (4..=25).contains(&text.len()) && text.contains('-') && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// An authentic envelope.
#[derive(Debug, PartialEq, Eq)]
pub enum Envelope {
    /// A report: its id and its text.
    Notification(String, String),
    /// The topic asks whether its reports are wanted; this URL says yes.
    Confirmation(String),
    /// Nothing to do.
    Other,
}

/// SNS gives up after an hour; some delivery policies after a day.
const AGE: Duration = Duration::from_secs(25 * 3600);

/// Opens an envelope after it has shown that it is SNS's and of one of our topics.
pub fn open(settings: &Settings, call: &Call, known: &Known<'_>) -> Result<Envelope, Refusal> {
    let table = settings.settings.table("callback").ok_or(callback::UNSET)?;
    let topics = texts(table, "topics");
    if topics.is_empty() {
        return Err(callback::UNSET);
    }
    let body: Value = serde_json::from_slice(&call.body).map_err(|_| callback::MISSING)?;
    let member = |name: &str| text(&body, name);
    let signature = BASE64_STANDARD.decode(member("Signature")).ok().filter(|s| !s.is_empty()).ok_or(callback::MISSING)?;
    let url = member("SigningCertURL");
    if !is_sns(&url) || !url.ends_with(".pem") {
        return Err(Refusal::Forged("certificate_url"));
    }
    if !topics.contains(&member("TopicArn")) {
        return Err(Refusal::Forged("topic_unknown"));
    }
    let confirms = matches!(member("Type").as_str(), "SubscriptionConfirmation" | "UnsubscribeConfirmation");
    if confirms && !is_sns(&member("SubscribeURL")) {
        return Err(Refusal::Forged("subscribe_url"));
    }
    let given = table.secret("certificate");
    let pem = if given.is_empty() { (known.certificate)(&url) } else { Some(given.expose().to_owned()) };
    let Some(pem) = pem else { return Err(Refusal::Certificate(url)) };
    verify(&body, confirms, &pem, &signature)?;
    callback::fresh(UnixMs::parse_rfc3339(&member("Timestamp")), known.now, AGE)?;
    Ok(match member("Type").as_str() {
        "Notification" => Envelope::Notification(member("MessageId"), member("Message")),
        "SubscriptionConfirmation" => Envelope::Confirmation(member("SubscribeURL")),
        _ => Envelope::Other,
    })
}

/// Whether a URL is one of SNS's own: exactly `sns.REGION.amazonaws.com`, by HTTPS.
fn is_sns(url: &str) -> bool {
    let Some(host) = https_host(url) else { return false };
    let region = host.strip_prefix("sns.").and_then(|rest| rest.strip_suffix(".amazonaws.com").or(rest.strip_suffix(".amazonaws.com.cn")));
    region.is_some_and(is_region)
}

fn verify(body: &Value, confirms: bool, pem: &str, signature: &[u8]) -> Result<(), Refusal> {
    let names: &[&str] = if confirms {
        &["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    } else {
        &["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
    };
    let signed: String =
        names.iter().filter_map(|name| body.get(name).and_then(Value::as_str).map(|value| format!("{name}\n{value}\n"))).collect();
    let parameters: &RsaParameters = match text(body, "SignatureVersion").as_str() {
        "1" => &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
        "2" => &RSA_PKCS1_2048_8192_SHA256,
        _ => return Err(callback::WRONG),
    };
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| Refusal::Unwanted("certificate_unreadable"))?;
    let Some(PublicKey::Rsa(key)) = der::certificate_key(&certificate) else {
        return Err(Refusal::Unwanted("certificate_unreadable"));
    };
    UnparsedPublicKey::new(parameters, key).verify(signed.as_bytes(), signature).map_err(|_| callback::WRONG)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::http::jwt::RsaKey;
    use crate::http::jwt::Signing::Rs256;
    use crate::http::jwt::tests::pem;
    use crate::providers::conformance::{post, verdict};
    use serde_json::json;

    pub(crate) const TOPIC: &str = "arn:aws:sns:eu-central-1:123456789012:tillpost";
    const CERTIFICATE: &str = "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-0a1b.pem";

    pub(crate) fn settings() -> String {
        format!("callback = {{ topics = [\"{TOPIC}\"], certificate = \"\"\"{}\"\"\" }}", pem("rsa.pem"))
    }

    /// An envelope as SNS signs it, with some members put in place of the usual ones.
    pub(crate) fn signed(message: &str, other: Value) -> Call {
        let mut body = json!({
            "Type": "Notification", "MessageId": "sns-1", "TopicArn": TOPIC, "Message": message, "Timestamp": "2026-10-03T16:07:00.000Z",
            "SignatureVersion": "2", "SigningCertURL": CERTIFICATE,
        });
        body.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
        let names = if body["Type"] == "Notification" {
            vec!["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
        } else {
            vec!["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
        };
        let mut text = String::new();
        for name in names {
            if let Some(value) = body[name].as_str() {
                text += &format!("{name}\n{value}\n");
            }
        }
        let signature = RsaKey::from_pem(&pem("rsa.key")).unwrap().sign(Rs256, text.as_bytes()).unwrap();
        body["Signature"] = BASE64_STANDARD.encode(signature).into();
        post(&[("Content-Type", "text/plain; charset=UTF-8")], body.to_string().as_bytes())
    }

    fn says(call: &Call) -> &'static str {
        verdict("ses", &settings(), call)
    }

    #[test]
    fn only_signed_envelopes_of_our_topics_are_opened() {
        let good = signed("{}", json!({"Subject": "x"}));
        assert_eq!(says(&good), "accepted");
        let altered = String::from_utf8(good.body.clone()).unwrap().replace("\"x\"", "\"y\"");
        assert_eq!(says(&post(&[], altered.as_bytes())), "signature_wrong");
        assert_eq!(says(&signed("{}", json!({"TopicArn": "arn:aws:sns:eu-central-1:999999999999:stranger"}))), "topic_unknown");
        assert_eq!(says(&signed("{}", json!({"SignatureVersion": "1"}))), "signature_wrong", "it says SHA-1 and is SHA-256");
        assert_eq!(says(&signed("{}", json!({"SignatureVersion": "3"}))), "signature_wrong");
        assert_eq!(says(&signed("{}", json!({"Timestamp": "2026-10-01T16:07:00.000Z"}))), "stale");
        assert_eq!(says(&post(&[], b"hello")), "signature_missing");
        assert_eq!(verdict("ses", "", &good), "not_configured");
        let no_certificate = format!("callback = {{ topics = [\"{TOPIC}\"] }}");
        assert_eq!(verdict("ses", &no_certificate, &good), "certificate_needed");
    }

    #[test]
    fn nobody_elses_certificate_is_asked_for() {
        for url in [
            "http://sns.eu-central-1.amazonaws.com/a.pem",
            "https://sns.eu-central-1.amazonaws.com.evil.example/a.pem",
            "https://evil.example/sns.eu-central-1.amazonaws.com/a.pem",
            "https://sns.eu-central-1.amazonaws.com:8443/a.pem",
            "https://user@sns.eu-central-1.amazonaws.com/a.pem",
            "https://s3.eu-central-1.amazonaws.com/a.pem",
            "https://sns.amazonaws.com/a.pem",
            "https://sns.eu-central-1.evil.amazonaws.com/a.pem",
            "https://sns.eu-central-1.amazonaws.com/a.txt",
            "",
        ] {
            assert_eq!(says(&signed("{}", json!({"SigningCertURL": url}))), "certificate_url", "{url}");
        }
        assert!(is_sns("https://sns.cn-north-1.amazonaws.com.cn/a.pem") && is_sns("https://sns.us-gov-west-1.amazonaws.com:443/a.pem"));
    }

    #[test]
    fn a_confirmation_leads_to_sns_only() {
        let url = "https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription&Token=t";
        let confirm = |url: &str| signed("You have chosen", json!({"Type": "SubscriptionConfirmation", "Token": "t", "SubscribeURL": url}));
        let report = crate::providers::conformance::taken("ses", &settings(), &confirm(url));
        assert_eq!((report.confirm.as_deref(), report.events.len()), (Some(url), 0));
        assert_eq!(says(&confirm("https://evil.example/?Token=t")), "subscribe_url");
    }
}
