//! What every type of provider must keep, checked over the list; and what their tests share.

use super::*;
use crate::domain::channel::Channel;
use crate::domain::content::{Content, Email, Page, Sms};
use crate::domain::ids::{IntentId, StepId};
use crate::domain::message::Kind as MessageKind;
use crate::providers::smtp::Stage;
use serde_json::Value;
use std::collections::HashSet;

/// The settings of a type, from TOML.
pub(crate) fn account(kind: &str, text: &str) -> Settings {
    table::read(find(kind).unwrap(), &text.parse().unwrap()).unwrap()
}

fn message(to: &str, channel: Channel, content: Content) -> Outgoing {
    let intent = IntentId::from_bytes(&[7; 16]).unwrap();
    Outgoing {
        step: StepId::new(&intent, 1, 0),
        message_id: "tp_0123456789abcdef0123456789".into(),
        kind: MessageKind::Receipt,
        channel,
        to: to.into(),
        composed_at: UnixMs::parse_rfc3339("2026-10-03T16:07:44Z").unwrap(),
        content,
    }
}

/// A mail to this address.
pub(crate) fn email(to: &str) -> Outgoing {
    let content = Email {
        from: "Corner Mart <receipts@cmart.example>".into(),
        reply_to: "help@cmart.example".into(),
        subject: "Your receipt — 18,20 €".into(),
        text: "Thank you.\n.\nTotal 18,20 €\n".into(),
        html: "<p>Thank you.</p>\n<p>Total 18,20 €</p>\n".into(),
        headers: vec![("Auto-Submitted".into(), "auto-generated".into())],
    };
    message(to, Channel::Email, Content::Email(content))
}

/// A text to this number.
pub(crate) fn sms(to: &str) -> Outgoing {
    message(to, Channel::Sms, Content::Sms(Sms { from: "+16075550131".into(), text: "Café & more".into() }))
}

/// A receipt's page under this token.
pub(crate) fn page(token: &str) -> Outgoing {
    let content = Page { token: token.into(), html: "<!doctype html><p>18.20</p>".into(), expires: UnixMs(1_800_000_000_000) };
    message("", Channel::Publish, Content::Page(content))
}

fn fixture(path: &str) -> Value {
    let path = format!("{}/tests/fixtures/{path}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))).unwrap()
}

#[test]
fn every_type_says_what_it_is_and_its_example_works() {
    let mut names = HashSet::new();
    for kind in kinds() {
        let keys = &kind.keys;
        assert!(names.insert(keys.name) && !keys.doc.is_empty() && !keys.channels.is_empty(), "{}", keys.name);
        assert!(keys.keys.iter().all(|key| !key.doc.is_empty()), "{}: every key is explained", keys.name);
        assert!(kind.concurrency > 0 && kind.rate.count > 0, "{}", keys.name);
        let settings = account(keys.name, keys.example);
        let account = Account::new("main", &settings).unwrap_or_else(|e| panic!("{}: {e}", keys.name));
        assert_eq!(account.kind.keys.name, keys.name);
        assert_eq!(matches!(account.wire, Wire::Http(_)), kind.classify.is_some(), "{}", keys.name);
    }
}

#[test]
fn unknown_and_missing_keys_are_named_without_their_value() {
    let read = |kind: &str, text: &str| table::read(find(kind).unwrap(), &text.parse().unwrap()).unwrap_err();
    assert!(read("smtp", "host = \"h\"\npasswort = \"canary\"").starts_with("passwort is not a key"));
    assert!(!read("smtp", "host = \"h\"\nport = \"canary\"").contains("canary"));
    assert_eq!(read("smtp", "port = 25"), "host is missing");
    assert_eq!(
        Account::new("x", &Settings { kind: "telegraph".into(), ..account("capture", "") }).unwrap_err(),
        "there is no type of provider named telegraph"
    );
}

#[test]
fn no_secret_can_be_shown() {
    for kind in kinds() {
        let mut settings = account(kind.keys.name, kind.keys.example);
        for key in kind.keys.keys.iter().filter(|key| matches!(key.shape, crate::config::Shape::Secret) && key.name != "ca") {
            let canary = crate::config::checked::Setting::Secret(crate::config::Secret::new("canary"));
            settings.settings.0.insert(key.name.to_owned(), canary);
        }
        let shown = match (kind.build)(&settings) {
            Ok(Wire::Smtp(smtp)) => format!("{smtp:?}"),
            Ok(Wire::Http(http)) => http.request(&sms("+16075550100")).map(|r| format!("{r:?}")).unwrap_or_else(|o| format!("{o:?}")),
            Ok(Wire::Capture(_) | Wire::Folder(_)) => String::new(),
            Err(why) => why,
        };
        assert!(!format!("{settings:?}{shown}").contains("canary"), "{}", kind.keys.name);
    }
}

#[test]
fn every_recorded_answer_gives_its_outcome() {
    for name in ["smtp", "twilio"] {
        let cases = fixture(&format!("answers/{name}.json"));
        for case in cases.as_array().unwrap() {
            let (label, r, expect) = (case["name"].as_str().unwrap(), &case["R"], &case["expect"]);
            let outcome = if name == "smtp" {
                smtp::classify(Stage::from_word(r["stage"].as_str().unwrap()).unwrap(), r["reply"].as_str())
            } else {
                let headers = r["headers"].as_object().unwrap().iter();
                let headers = headers.map(|(n, v)| (n.clone(), v.as_str().unwrap().to_owned())).collect();
                let answer = Answer { status: r["status"].as_u64().unwrap() as u16, headers, body: r["body"].as_str().unwrap().into() };
                (find(name).unwrap().classify.unwrap())(case["operation"].as_str().unwrap(), &answer, UnixMs(0))
            };
            assert_eq!(
                (outcome.class.word(), outcome.scope.word()),
                (expect["class"].as_str().unwrap(), expect["scope"].as_str().unwrap()),
                "{name} {label}"
            );
            assert_eq!(outcome.duplicate, expect["duplicate"], "{name} {label}");
            assert_eq!(outcome.retry_after.map(|d| d.as_secs()), expect["retry_after_s"].as_u64(), "{name} {label}");
            for (member, got) in [("provider_id", outcome.provider_id.as_deref()), ("suppress", outcome.suppress.map(|s| s.word()))] {
                if let Some(want) = expect.get(member) {
                    assert_eq!(got, want.as_str(), "{name} {label} {member}");
                }
            }
            assert!(!outcome.detail.contains("kim@") && !outcome.detail.contains("6075550"), "{name} {label}: {}", outcome.detail);
        }
    }
}

#[test]
fn twilios_request_passes_its_document() {
    let document = fixture("specs/twilio-messages-2010.openapi.json");
    let (template, operation) = document["paths"].as_object().unwrap().iter().next().unwrap();
    let settings = account(
        "twilio",
        "account_sid = \"AC0123456789abcdef0123456789abcdef\"\nauth_token = \"t\"\ncallback = { url = \"https://hq.cmart.example/c\" }",
    );
    let request = twilio::Twilio::new(&settings).unwrap().request(&sms("+16075550100")).unwrap();
    let path = template.replace("{AccountSid}", "AC0123456789abcdef0123456789abcdef");
    assert_eq!(request.url, format!("{}{path}", document["servers"][0]["url"].as_str().unwrap()));
    assert!(!operation[request.method.to_lowercase()].is_null(), "{}", request.method);
    let content = &operation["post"]["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"];
    let known = content["properties"].as_object().unwrap();
    let body = String::from_utf8(request.body).unwrap();
    let names: Vec<&str> = body.split('&').map(|pair| pair.split('=').next().unwrap()).collect();
    assert!(names.iter().all(|name| known.contains_key(*name)), "{names:?}");
    for needed in content["required"].as_array().unwrap() {
        assert!(names.contains(&needed.as_str().unwrap()), "{needed}");
    }
}
