//! What every type of provider must keep, checked over the list; and what their tests share.

use super::*;
use crate::domain::channel::Channel;
use crate::domain::content::{Content, Data, Email, Page, Sms};
use crate::domain::ids::{IntentId, StepId};
use crate::domain::message::Kind as MessageKind;
use crate::http::Answer;
use crate::providers::smtp::Stage;
use serde_json::Value;
use std::collections::HashSet;

/// The settings of a type, from TOML.
pub(crate) fn account(kind: &str, text: &str) -> Settings {
    table::read(find(kind).unwrap(), &text.parse().unwrap()).unwrap()
}

/// The example of a type, with a real key in the place of one that people put there.
pub(crate) fn example(kind: &Kind) -> String {
    let key = crate::http::jwt::tests::pem("rsa.key").replace('\n', "\\n");
    kind.keys.example.replace("-----BEGIN PRIVATE KEY-----\\n…\\n-----END PRIVATE KEY-----\\n", &key)
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

/// A token that is one.
pub(crate) fn page_token() -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &[7; 32]);
    let id = crate::domain::ids::ReceiptId::new(1_790_000_000_000, [3; 10]);
    crate::domain::token::token(&key, crate::domain::token::Mark::of(&id))
}

/// A receipt's page under this token.
pub(crate) fn page(token: &str) -> Outgoing {
    let content = Page { token: token.into(), html: "<!doctype html><p>18.20</p>".into(), expires: UnixMs(1_800_000_000_000) };
    message("", Channel::Publish, Content::Page(content))
}

/// An event for a customer system.
pub(crate) fn data(to: &str, event: &str, data: Value) -> Outgoing {
    let payload = serde_json::json!({"id": "e1", "subject": "R-500", "data": data});
    message(to, Channel::Crm, Content::Data(Data { event: event.into(), at: UnixMs(1_791_043_600_000), payload, thin: false }))
}

/// What a type carries.
fn usual(kind: &Kind) -> Outgoing {
    match kind.keys.channels {
        [Channel::Sms] => sms("+16075550100"),
        [Channel::Email] => email("kim@example.org"),
        [Channel::Publish] => page(&page_token()),
        _ => data("kim@example.org", "sale.completed", serde_json::json!({})),
    }
}

/// A moment and token for providers that need neither.
pub(crate) const NOWHERE: At<'static> = At { now: UnixMs(1_791_043_664_000), token: "" };

/// The one request of a message.
pub(crate) fn only(steps: Result<Vec<Step>, Outcome>) -> Request {
    let mut steps = steps.unwrap();
    assert_eq!((steps.len(), steps[0].operation), (1, SEND));
    steps.remove(0).request
}

/// The verdict on a call at [`NOWHERE`], nothing being known.
pub(crate) fn judged(kind: &str, settings: &str, call: &Call) -> Result<Report, Refusal> {
    let kind = find(kind).unwrap();
    let settings = table::read_some(kind, &settings.parse().unwrap()).unwrap();
    (kind.callback.unwrap())(&settings, call, &Known { now: NOWHERE.now, used: &|_| false, certificate: &|_| None })
}

/// Its word.
pub(crate) fn verdict(kind: &str, settings: &str, call: &Call) -> &'static str {
    judged(kind, settings, call).map_or_else(|refusal| refusal.code(), |_| "accepted")
}

/// What an accepted call says.
pub(crate) fn taken(kind: &str, settings: &str, call: &Call) -> Report {
    judged(kind, settings, call).unwrap_or_else(|refusal| panic!("{}", refusal.code()))
}

/// A POST to a callback's URL.
pub(crate) fn post(headers: &[(&str, &str)], body: &[u8]) -> Call {
    let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    Call { method: "POST".into(), url: "https://hq.cmart.example/s/1/callbacks/main".into(), headers, body: body.to_vec() }
}

/// A file below the fixtures, as JSON.
pub(crate) fn fixture(path: &str) -> Value {
    let path = format!("{}/tests/fixtures/{path}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))).unwrap()
}

/// A body of JSON against one operation of a provider's published document, cut down to that operation.
pub(crate) fn passes_document(name: &str, path: &str, media: &str, body: &Value) {
    let document = fixture(&format!("specs/{name}.json"));
    let schema = &document["paths"][path]["post"]["requestBody"]["content"][media]["schema"];
    assert!(schema.is_object(), "{name} has no {path} with {media}");
    let mut schema = schema.clone();
    schema["components"] = document["components"].clone();
    let validator = jsonschema::options().with_draft(jsonschema::Draft::Draft4).build(&schema).unwrap();
    let faults: Vec<String> = validator.iter_errors(body).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(faults.is_empty(), "{name} {path}: {faults:#?}\n{body}");
}

#[test]
fn every_type_says_what_it_is_and_its_example_works() {
    let mut names = HashSet::new();
    for kind in kinds() {
        let keys = &kind.keys;
        assert!(names.insert(keys.name) && !keys.doc.is_empty() && !keys.channels.is_empty(), "{}", keys.name);
        assert!(keys.keys.iter().all(|key| !key.doc.is_empty()), "{}: every key is explained", keys.name);
        assert!(kind.concurrency > 0 && kind.rate.count > 0, "{}", keys.name);
        let settings = account(keys.name, &example(kind));
        let account = Account::new("main", &settings).unwrap_or_else(|e| panic!("{}: {e}", keys.name));
        assert_eq!(account.kind.keys.name, keys.name);
        assert!(kind.batch > 0, "{}", keys.name);
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
    let mut built = 0;
    for kind in kinds() {
        let mut settings = account(kind.keys.name, &example(kind));
        for key in kind.keys.keys.iter().filter(|key| matches!(key.shape, crate::config::Shape::Secret) && key.name != "ca") {
            let canary = crate::config::checked::Setting::Secret(crate::config::Secret::new("canary"));
            settings.settings.0.insert(key.name.to_owned(), canary);
        }
        let Ok(wire) = (kind.build)(&settings) else { continue };
        built += 1;
        let shown = match wire {
            Wire::Smtp(smtp) => format!("{smtp:?}"),
            Wire::Http(http) => {
                [sms("+16075550100"), email("kim@example.org")].map(|m| format!("{:?}", http.request(&m, NOWHERE))).concat()
            }
            Wire::Capture(_) | Wire::Folder(_) => String::new(),
        };
        assert!(!format!("{settings:?}{shown}").contains("canary"), "{}", kind.keys.name);
    }
    assert!(built > kinds().len() / 2);
}

#[test]
fn every_type_has_its_sections_or_none_of_them() {
    for kind in kinds() {
        let (name, keys) = (kind.keys.name, &kind.keys);
        let wire = Account::new("main", &account(name, &example(kind))).unwrap().wire;
        let has_keys = keys.keys.iter().any(|key| key.name == "callback");
        assert_eq!(has_keys, kind.callback.is_some(), "{name}: settings of callbacks and callbacks");
        let Wire::Http(http) = wire else { continue };
        assert!(http.probe(NOWHERE).is_some(), "{name} can be probed");
        let message = usual(kind);
        let steps = http.request(&message, NOWHERE).unwrap_or_else(|o| panic!("{name}: {o:?}"));
        assert!(!steps.is_empty(), "{name}");
        let ours = steps.iter().any(|step| sent_text(&step.request).contains(message.step.as_str()));
        assert!(ours || CANNOT_CARRY_OUR_ID.contains(&name), "{name}: our id travels with the message");
        let two = [&message, &Outgoing { to: format!("x{}", message.to), ..message.clone() }];
        assert_eq!(http.batch(&two, NOWHERE).is_some(), kind.batch > 1, "{name}: batches");
        assert_eq!(http.lookup(&message, UnixMs(0), NOWHERE).is_some(), CAN_BE_ASKED.contains(&name), "{name}: look-ups");
        let recorded = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/answers/{name}.json"));
        assert!(recorded.exists(), "{name} has recorded answers");
    }
}

/// Twilio's example has no callback URL, in which our id travels; SNS takes no id of ours
/// for a text, Mailchimp knows a member by the address, and a page lies under its token.
const CANNOT_CARRY_OUR_ID: &[&str] = &["twilio", "sns", "mailchimp", "publish"];
/// Who can be asked for a message by what we know before its answer.
// Gmail can where it may read, which its own tests see to.
const CAN_BE_ASKED: &[&str] = &["sendgrid", "mailgun", "mandrill", "postmark", "twilio"];

/// What a request carries, with base64 undone where a member or body is nothing else.
fn sent_text(request: &Request) -> String {
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE, Engine as _};
    let body = String::from_utf8_lossy(&request.body).into_owned();
    let json: Value = serde_json::from_str(&body).unwrap_or(Value::Null);
    let raw = json["raw"].as_str().unwrap_or(&body);
    let plain = BASE64_URL_SAFE.decode(raw).or_else(|_| BASE64_STANDARD.decode(raw)).unwrap_or_default();
    format!("{body}{}", String::from_utf8_lossy(&plain))
}

proptest::proptest! {
    #[test]
    fn nothing_that_comes_in_is_fatal(body in ".{0,200}", header in "[ -~]{0,80}", operation in "send|batch|token|status", status in 100u16..600) {
        let names = ["X-Twilio-Signature", "X-Mandrill-Signature", "Authorization", "X-Mailchimp-Signature",
            "X-Twilio-Email-Event-Webhook-Signature", "X-Twilio-Email-Event-Webhook-Timestamp"];
        let call = post(&names.map(|name| (name, header.as_str())), body.as_bytes());
        let json = serde_json::json!({"signature": {"timestamp": body, "token": header, "signature": "00"}, "Signature": header, "SigningCertURL": body});
        let other = post(&[], json.to_string().as_bytes());
        let answer = Answer { status, headers: vec![("Retry-After".into(), header.clone()), ("Date".into(), header)], body: body.into() };
        for kind in kinds() {
            if let Some(callback) = kind.callback {
                let settings = account(kind.keys.name, &example(kind));
                let known = Known { now: NOWHERE.now, used: &|_| false, certificate: &|_| None };
                proptest::prop_assert!(callback(&settings, &call, &known).is_err());
                proptest::prop_assert!(callback(&settings, &other, &known).is_err());
            }
            if let Some(classify) = kind.classify {
                let judged = classify(&operation, &answer, NOWHERE.now);
                proptest::prop_assert!(judged.outcome.class != Class::Accepted || (200..300).contains(&status), "{} {status}", kind.keys.name);
            }
        }
    }
}

#[test]
fn every_recorded_answer_gives_its_outcome() {
    for name in kinds().iter().map(|kind| kind.keys.name).filter(|name| *name != "capture") {
        let cases = fixture(&format!("answers/{name}.json"));
        for case in cases.as_array().unwrap() {
            let (label, r, expect) = (case["name"].as_str().unwrap(), &case["R"], &case["expect"]);
            let now = case["now"].as_str().map_or(UnixMs(0), |text| UnixMs::parse_rfc3339(text).unwrap());
            let judged = if let Some(word) = r["transport"].as_str() {
                classify_transport(Transport::from_word(word).unwrap(), find(name).unwrap().idempotency).into()
            } else if name == "smtp" {
                smtp::classify(Stage::from_word(r["stage"].as_str().unwrap()).unwrap(), r["reply"].as_str()).into()
            } else {
                let headers = r["headers"].as_object().unwrap().iter();
                let headers = headers.map(|(n, v)| (n.clone(), v.as_str().unwrap().to_owned())).collect();
                let answer = Answer { status: r["status"].as_u64().unwrap() as u16, headers, body: r["body"].as_str().unwrap().into() };
                (find(name).unwrap().classify.unwrap())(case["operation"].as_str().unwrap(), &answer, now)
            };
            is_as_expected(&judged.outcome, expect, &format!("{name} {label}"));
            match expect["suppress"].as_array() {
                Some(all) => {
                    let got = judged.suppress.iter().map(|(to, why)| (to.as_str(), why.word()));
                    assert!(got.eq(all.iter().map(|s| (s["address"].as_str().unwrap(), s["reason"].as_str().unwrap()))), "{name} {label}");
                }
                None => assert!(judged.suppress.is_empty(), "{name} {label}"),
            }
            let entries = expect["entries"].as_array().map_or(&[][..], Vec::as_slice);
            assert_eq!(judged.entries.len(), entries.len(), "{name} {label}");
            for (at, (got, want)) in judged.entries.iter().zip(entries).enumerate() {
                is_as_expected(got, want, &format!("{name} {label} {at}"));
            }
        }
    }
}

fn is_as_expected(outcome: &Outcome, expect: &Value, label: &str) {
    let Outcome { class, scope, detail, .. } = outcome;
    assert_eq!((class.word(), scope.word()), (expect["class"].as_str().unwrap(), expect["scope"].as_str().unwrap()), "{label}: {detail}");
    if let Some(duplicate) = expect.get("duplicate") {
        assert_eq!(outcome.duplicate, *duplicate, "{label}");
        assert_eq!(outcome.retry_after.map(|d| d.as_secs()), expect["retry_after_s"].as_u64(), "{label}");
    }
    let suppress = outcome.suppress.map(|s| s.word());
    for (member, got) in [("provider_id", outcome.provider_id.as_deref()), ("suppress", suppress)] {
        if let Some(want) = expect.get(member).filter(|want| !want.is_array()) {
            assert_eq!(got, want.as_str(), "{label} {member}");
        }
    }
    assert!(!detail.contains('@') && !detail.contains("6075550"), "{label}: {detail}");
}

#[test]
fn twilios_request_passes_its_document() {
    let document = fixture("specs/twilio-messages-2010.openapi.json");
    let (template, operation) = document["paths"].as_object().unwrap().iter().next().unwrap();
    let settings = account(
        "twilio",
        "account_sid = \"AC0123456789abcdef0123456789abcdef\"\nauth_token = \"t\"\ncallback = { url = \"https://hq.cmart.example/c\" }",
    );
    let request = only(twilio::Twilio::new(&settings).unwrap().request(&sms("+16075550100"), NOWHERE));
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
