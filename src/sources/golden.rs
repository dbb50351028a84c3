//! Every source against the samples of its platform: signatures, golden files of what they mean, the rows of
//! what sends and what does not, hostile input, and a bounded run of mutations.

use super::*;
use crate::domain::sale::Sale;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn sample(name: &str) -> Vec<u8> {
    fs::read(fixtures().join("sources").join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn sample_json(name: &str) -> Value {
    serde_json::from_slice(&sample(name)).unwrap()
}

fn shop() -> Shop {
    Shop { id: "17".into(), timezone: "America/New_York".into(), currency: "USD".into(), country: "US".into(), ..Shop::default() }
}

/// A source with these keys, as a config would give it.
struct Bench {
    kind: &'static Kind,
    source: Source,
    shop: Shop,
}

impl Bench {
    fn new(kind: &str, settings: &str) -> Bench {
        let kind = find(kind).unwrap();
        let settings = with_defaults(kind, read_table(kind, &settings.parse().unwrap()).unwrap());
        let source = Source { kind: kind.keys.name.to_owned(), sends_receipt_itself: false, strict: false, settings };
        Bench { kind, source, shop: shop() }
    }

    fn setup(&self) -> Setup<'_> {
        Setup { name: self.kind.keys.name, source: &self.source, shop: &self.shop }
    }

    fn decode(&self, headers: &[(String, String)], body: &[u8], answers: &Answers) -> Decoded {
        let raw = Raw { via: Via::Hook, headers, body, at: UnixMs::parse_rfc3339("2026-10-07T08:00:00Z").unwrap() };
        (self.kind.decode)(&self.setup(), &raw, answers)
    }

    fn pulled(&self, body: &[u8], answers: &Answers) -> Decoded {
        let raw = Raw { via: Via::Pull, headers: &[], body, at: UnixMs::parse_rfc3339("2026-10-07T08:00:00Z").unwrap() };
        (self.kind.decode)(&self.setup(), &raw, answers)
    }
}

fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
}

/// The settings that the samples were made for.
const SETTINGS: &[(&str, &str)] = &[
    (
        "shopify",
        "client_secrets = [\"shopify-sample-client-secret\"]\nshops = [\"corner-market.myshopify.com\"]\naccess_token = \"shpat_0\"",
    ),
    ("stripe", "endpoint_secrets = [\"an-older-one\", \"whsec_c2FtcGxlLWVuZHBvaW50LXNlY3JldA\"]\napi_key = \"rk_live_0\""),
];

fn bench(kind: &str) -> Bench {
    Bench::new(kind, SETTINGS.iter().find(|(name, _)| *name == kind).unwrap().1)
}

/// One sample with its headers and the answers to the look-ups by the start of their keys.
struct Case {
    kind: &'static str,
    body: &'static str,
    headers: &'static [(&'static str, &'static str)],
    answers: &'static [(&'static str, &'static str)],
}

const fn case(
    kind: &'static str,
    body: &'static str,
    headers: &'static [(&'static str, &'static str)],
    answers: &'static [(&'static str, &'static str)],
) -> Case {
    Case { kind, body, headers, answers }
}

const CASES: &[Case] = &[
    case(
        "shopify",
        "shopify/orders-paid.json",
        &[("X-Shopify-Topic", "orders/paid"), ("X-Shopify-Shop-Domain", "corner-market.myshopify.com"), ("X-Shopify-Event-Id", "98880550")],
        &[],
    ),
    case(
        "shopify",
        "shopify/orders-partially_fulfilled.json",
        &[("X-Shopify-Topic", "orders/partially_fulfilled"), ("X-Shopify-Shop-Domain", "corner-market.myshopify.com")],
        &[],
    ),
    case(
        "shopify",
        "shopify/refunds-create.json",
        &[("X-Shopify-Topic", "refunds/create"), ("X-Shopify-Shop-Domain", "corner-market.myshopify.com")],
        &[],
    ),
    case(
        "shopify",
        "shopify/customers-redact.json",
        &[("X-Shopify-Topic", "customers/redact"), ("X-Shopify-Shop-Domain", "corner-market.myshopify.com")],
        &[],
    ),
    case(
        "stripe",
        "stripe/payment_intent.succeeded.json",
        &[],
        &[("charge:", "stripe/charge.response.json"), ("lines:", "stripe/payment_intent.line_items.response.json")],
    ),
    case(
        "stripe",
        "stripe/checkout.session.completed.yen.json",
        &[],
        &[("session_lines:", "stripe/checkout.session.line_items.response.json")],
    ),
    case("stripe", "stripe/refund.created.json", &[], &[("charge:", "stripe/charge.response.json")]),
];

/// Decodes, answers what is asked from the case, and so on until nothing more is asked that it knows.
fn settle(bench: &Bench, case: &Case) -> (Vec<String>, Decoded) {
    let (headers, body, mut answers, mut asked) = (pairs(case.headers), sample(case.body), Answers::new(), Vec::new());
    for _ in 0..20 {
        let decoded = bench.decode(&headers, &body, &answers);
        let Decoded::Told(told) = &decoded else { return (asked, decoded) };
        let open: Vec<&LookUp> = told.lookups.iter().filter(|l| !asked.contains(&format!("{} {}", l.need.word(), l.path))).collect();
        if open.is_empty() {
            return (asked, decoded);
        }
        for lookup in open {
            asked.push(format!("{} {}", lookup.need.word(), lookup.path));
            let file = case.answers.iter().find(|(start, _)| lookup.key.contains(start));
            answers.insert(lookup.key.clone(), file.map_or(Answered::Absent, |(_, file)| Answered::Found(sample(file))));
        }
    }
    panic!("{} never ends asking", case.body);
}

/// Kept as `tests/fixtures/golden/sources/NAME`; `TILLPOST_BLESS=1` writes it anew.
#[test]
fn golden_files() {
    let mut wrong = Vec::new();
    for case in CASES {
        let bench = bench(case.kind);
        let (asked, decoded) = settle(&bench, case);
        let shown = json!({"asked": asked, "decoded": shown::decoded(bench.kind, &bench.setup(), &decoded)});
        let got = format!("{}\n", serde_json::to_string_pretty(&shown).unwrap());
        let path = fixtures().join("golden/sources").join(case.body.replace('/', "."));
        if std::env::var_os("TILLPOST_BLESS").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &got).unwrap();
        }
        if fs::read_to_string(&path).ok().as_deref() != Some(&got) {
            wrong.push(case.body);
        }
        check_documents(case.body, &decoded);
    }
    assert!(wrong.is_empty(), "these differ from their golden files: {wrong:?}");
}

/// Whatever a decoder says is a document passes the check of documents.
fn check_documents(name: &str, decoded: &Decoded) {
    let Decoded::Told(told) = decoded else { return };
    for meaning in &told.events {
        if matches!(meaning.event.kind.as_str(), "sale.completed" | "refund.processed" | "sale.voided") {
            let sale = Sale::parse(&Value::Object(meaning.event.data.clone())).unwrap_or_else(|e| panic!("{name}: {e:?}"));
            assert!(!meaning.business_key.is_empty(), "{name}");
            assert!(sale.transaction_id.len() <= 200, "{name}");
        }
        assert!(crate::domain::event::TYPES.contains(&meaning.event.kind.as_str()), "{name}: {}", meaning.event.kind);
    }
}

fn vectors() -> Vec<Value> {
    sample_json("vectors.json").as_array().unwrap().iter().filter(|v| SETTINGS.iter().any(|(k, _)| *k == v["platform"])).cloned().collect()
}

/// The headers, body and moment of a signed vector.
fn signed(vector: &Value) -> (Vec<(String, String)>, Vec<u8>, Moment) {
    let word = |name: &str| vector[name].as_str().unwrap_or_default();
    let file = word("file");
    let body = if file.starts_with("lan/") { fs::read(fixtures().join(file)).unwrap() } else { sample(file) };
    let mut headers = pairs(&[(word("header"), word("value")), ("X-Shopify-Topic", "orders/paid")]);
    if let Some(id) = vector["webhook-id"].as_str() {
        headers.extend(pairs(&[("webhook-id", id), ("webhook-timestamp", &vector["timestamp"].to_string())]));
    }
    let at = vector["timestamp"].as_i64().map_or(1_791_040_000_000, |s| s * 1000);
    (headers, body, Moment { now: UnixMs(at + 60_000), good: true })
}

#[test]
fn every_vector_verifies_and_nothing_that_was_changed() {
    for vector in vectors() {
        let platform = vector["platform"].as_str().unwrap();
        let bench = bench(platform);
        let (headers, body, moment) = signed(&vector);
        let verify = |headers: &[(String, String)], body: &[u8], moment| {
            (bench.kind.verify)(&bench.setup(), &Given { headers, url: "", body }, moment)
        };
        assert_eq!(verify(&headers, &body, moment), Verdict::Accepted, "{platform} {}", vector["file"]);
        let lower: Vec<_> = headers.iter().map(|(n, v)| (n.to_lowercase(), v.clone())).collect();
        assert_eq!(verify(&lower, &body, moment), Verdict::Accepted, "{platform}");
        let is_code = platform == "clover";
        for at in [0, body.len() / 2, body.len() - 2] {
            let mut flipped = body.clone();
            flipped[at] ^= 1;
            let verdict = verify(&headers, &flipped, moment);
            assert!(is_code || verdict.status() == 401, "{platform} byte {at}: {verdict:?}");
        }
        let mut twice = headers.clone();
        twice.push(headers[0].clone());
        assert_eq!(verify(&twice, &body, moment), Verdict::Refused("several_signatures"), "{platform}");
        assert_eq!(verify(&headers[1..], &body, moment).status(), 401, "{platform}");
        for broken in ["", "\u{e9}", "v1,", "t=1,v1=zz", &"A".repeat(100_000)] {
            let mut bad = headers.clone();
            bad[0].1 = broken.to_owned();
            assert_eq!(verify(&bad, &body, moment).status(), 401, "{platform} {}", broken.len());
        }
        let other = Bench::new(platform, "");
        let verdict = (other.kind.verify)(&other.setup(), &Given { headers: &headers, url: "", body: &body }, moment);
        assert_eq!(verdict.status(), 401, "{platform} without a key");
    }
}

#[test]
fn stale_future_and_a_clock_that_is_not_known() {
    for (platform, after, good, is) in [
        ("stripe", 301, true, "stale"),
        ("stripe", -100_000, true, "accepted"),
        ("stripe", 0, false, "clock_unknown"),
        ("lan", 301, true, "stale"),
        ("lan", -301, true, "from_the_future"),
        ("lan", 0, false, "clock_unknown"),
        ("shopify", 100_000_000, true, "accepted"),
        ("shopify", 0, false, "accepted"),
    ] {
        let Some(vector) = vectors().into_iter().find(|v| v["platform"] == platform) else { continue };
        let bench = bench(platform);
        let (headers, body, _) = signed(&vector);
        let at = vector["timestamp"].as_i64().unwrap_or(1_791_040_000);
        let moment = Moment { now: UnixMs((at + after) * 1000), good };
        let given = Given { headers: &headers, url: "", body: &body };
        assert_eq!((bench.kind.verify)(&bench.setup(), &given, moment).word(), is, "{platform} {after} {good}");
    }
}

/// Small changes to a document: `pointer = value`.
fn with(name: &str, changes: &[(&str, Value)]) -> Vec<u8> {
    let mut value = sample_json(name);
    for (pointer, to) in changes {
        *value.pointer_mut(pointer).unwrap_or_else(|| panic!("{name}{pointer}")) = to.clone();
    }
    serde_json::to_vec(&value).unwrap()
}

/// The kinds of events, or the word for nothing, or `unusable`; look-ups that are needed as `?`.
fn outcome(decoded: &Decoded) -> String {
    match decoded {
        Decoded::Told(told) => {
            let needed = told.lookups.iter().filter(|l| l.need == Need::Required).map(|_| "?".to_owned());
            told.events.iter().map(|m| m.event.kind.clone()).chain(needed).collect::<Vec<_>>().join(" ")
        }
        Decoded::Nothing(why) => (*why).to_owned(),
        Decoded::Unusable(_) => "unusable".to_owned(),
    }
}

#[test]
fn what_sends_shopify() {
    let bench = bench("shopify");
    let row = |topic: &str, changes: &[(&str, Value)]| {
        let headers = pairs(&[("X-Shopify-Topic", topic), ("X-Shopify-Shop-Domain", "Corner-Market.myshopify.com")]);
        outcome(&bench.decode(&headers, &with("shopify/orders-paid.json", changes), &Answers::new()))
    };
    for (topic, status, is) in [
        ("orders/paid", "paid", "sale.completed"),
        ("orders/create", "pending", "not_final"),
        ("orders/create", "authorized", "not_final"),
        ("orders/updated", "partially_paid", "not_final"),
        ("orders/updated", "partially_refunded", "sale.completed"),
        ("orders/paid", "voided", "not_final"),
        ("orders/cancelled", "voided", "sale.voided order.cancelled"),
        ("orders/cancelled", "pending", "order.cancelled"),
        ("products/update", "paid", "other_topic"),
    ] {
        assert_eq!(row(topic, &[("/financial_status", json!(status))]), is, "{topic} {status}");
    }
    assert_eq!(row("orders/paid", &[("/test", json!(true))]), "test_order");
    assert_eq!(row("orders/paid", &[("/id", json!(null))]), "unusable");
    let foreign = pairs(&[("X-Shopify-Topic", "orders/paid"), ("X-Shopify-Shop-Domain", "other.myshopify.com")]);
    assert_eq!(outcome(&bench.decode(&foreign, &sample("shopify/orders-paid.json"), &Answers::new())), "foreign_shop");
    let headers = pairs(&[("X-Shopify-Topic", "refunds/create"), ("X-Shopify-Shop-Domain", "corner-market.myshopify.com")]);
    for (status, is) in [("success", "refund.processed"), ("pending", "not_final"), ("failure", "not_final")] {
        let body = with("shopify/refunds-create.json", &[("/transactions/0/status", json!(status))]);
        assert_eq!(outcome(&bench.decode(&headers, &body, &Answers::new())), is, "{status}");
    }
    assert_eq!(
        outcome(&bench.pulled(&sample("shopify/orders-partially_fulfilled.json"), &Answers::new())),
        "sale.completed order.partially_shipped"
    );
}

#[test]
fn what_sends_stripe() {
    let bench = bench("stripe");
    let row = |name: &str, changes: &[(&str, Value)]| outcome(&bench.decode(&[], &with(name, changes), &Answers::new()));
    let (intent, session, refund) =
        ("stripe/payment_intent.succeeded.json", "stripe/checkout.session.completed.yen.json", "stripe/refund.created.json");
    assert_eq!(row(intent, &[]), "sale.completed");
    assert_eq!(row(intent, &[("/type", json!("payment_intent.payment_failed"))]), "not_a_sale");
    assert_eq!(row(intent, &[("/type", json!("payment_intent.canceled"))]), "not_a_sale");
    assert_eq!(row(intent, &[("/type", json!("payment_intent.amount_capturable_updated"))]), "not_a_sale");
    assert_eq!(row(intent, &[("/data/object/status", json!("requires_capture"))]), "not_final");
    assert_eq!(row(intent, &[("/livemode", json!(false))]), "test_mode");
    assert_eq!(row(intent, &[("/object", json!("v2.core.event"))]), "thin_event");
    assert_eq!(row(intent, &[("/data/object", json!(null))]), "unusable");
    assert_eq!(row(session, &[]), "sale.completed");
    assert_eq!(row(session, &[("/data/object/payment_status", json!("unpaid"))]), "not_final");
    assert_eq!(row(refund, &[]), "refund.processed");
    assert_eq!(row(refund, &[("/data/object/status", json!("pending"))]), "not_final");
    assert_eq!(row(refund, &[("/data/object/status", json!("failed"))]), "not_final");
    assert_eq!(row(refund, &[("/type", json!("refund.failed"))]), "not_a_sale");
}

#[test]
fn hostile_text_stays_text() {
    const EVIL: &str = "Robert\r\nBcc: x@y.example\u{0} {{ 7*7 }} {% for x in y %} <script>alert(1)</script> \u{202e}txt.exe";
    for case in CASES {
        let bench = bench(case.kind);
        let Ok(mut value) = serde_json::from_slice::<Value>(&sample(case.body)) else { continue };
        poison(&mut value, EVIL, &["name", "title", "email", "description", "first_name", "displayName", "note", "reason"]);
        let decoded = bench.decode(&pairs(case.headers), &serde_json::to_vec(&value).unwrap(), &Answers::new());
        check_documents(case.body, &decoded);
        let shown = format!("{:?}", shown::decoded(bench.kind, &bench.setup(), &decoded));
        assert!(!shown.contains("\\r") && !shown.contains("\\0") && !shown.contains('\u{202e}'), "{}: {shown}", case.body);
    }
}

fn poison(value: &mut Value, text: &str, names: &[&str]) {
    match value {
        Value::Object(map) => {
            for (name, inner) in map {
                if inner.is_string() && names.contains(&name.as_str()) {
                    *inner = json!(text);
                }
                poison(inner, text, names);
            }
        }
        Value::Array(all) => all.iter_mut().for_each(|v| poison(v, text, names)),
        _ => {}
    }
}

#[test]
fn large_deep_and_broken_bodies_are_answered() {
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000)).into_bytes();
    let large = format!("{{\"id\":\"x\",\"a\":\"{}\"}}", "y".repeat(1 << 20)).into_bytes();
    let bodies: Vec<Vec<u8>> = vec![
        deep,
        large,
        b"".to_vec(),
        b"null".to_vec(),
        b"\xff\xfe\x00".to_vec(),
        br#"{"id":"\ud83d"}"#.to_vec(),
        b"[]".to_vec(),
        b"{}".to_vec(),
    ];
    for (kind, _) in SETTINGS {
        let bench = bench(kind);
        for body in &bodies {
            let headers = pairs(&[("X-Shopify-Topic", "orders/paid"), ("X-Shopify-Shop-Domain", "corner-market.myshopify.com")]);
            let decoded = bench.decode(&headers, body, &Answers::new());
            assert!(!matches!(&decoded, Decoded::Told(told) if !told.events.is_empty()), "{kind}: {decoded:?}");
            let _ = (bench.kind.delivery_id)(&bench.setup(), &Given { headers: &headers, url: "", body });
        }
    }
}

/// A generator without a library: the run is the same each time.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(below.max(1)).unwrap()).unwrap()
    }

    /// One to four changes: a byte, a cut, a doubled piece, or a number, a text or nothing for something else.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        const TOKENS: &[&[u8]] = &[
            b"null",
            b"-1",
            b"9999999999999999999",
            b"1e308",
            b"0.000000001",
            b"\"\"",
            b"[]",
            b"{}",
            b"true",
            b"-9223372036854775808",
            b"\xc3",
        ];
        for _ in 0..=self.next(4) {
            let at = self.next(bytes.len());
            match self.next(5) {
                0 if !bytes.is_empty() => bytes[at] = u8::try_from(self.next(256)).unwrap(),
                1 => bytes.truncate(at.max(2)),
                2 => {
                    let end = (at + self.next(200)).min(bytes.len());
                    let piece = bytes[at..end].to_vec();
                    bytes.splice(at..at, piece);
                }
                _ => {
                    // A value after a colon becomes another.
                    let Some(colon) = bytes[at..].iter().position(|b| *b == b':').map(|p| at + p + 1) else { continue };
                    let end = bytes[colon..].iter().position(|b| b",}]".contains(b)).map_or(bytes.len(), |p| colon + p);
                    bytes.splice(colon..end, TOKENS[self.next(TOKENS.len())].iter().copied());
                }
            }
        }
    }
}

#[test]
fn mutated_samples_never_panic() {
    for case in CASES {
        let bench = bench(case.kind);
        let (mut random, good) = (Random(0x9e37_79b9_7f4a_7c15), sample(case.body));
        let headers = pairs(case.headers);
        for _ in 0..150 {
            let mut body = good.clone();
            random.mutate(&mut body);
            let given = Given { headers: &headers, url: "", body: &body };
            let _ = (bench.kind.verify)(&bench.setup(), &given, Moment { now: UnixMs(0), good: true });
            let _ = (bench.kind.delivery_id)(&bench.setup(), &given);
            let mut answers = Answers::new();
            for _ in 0..4 {
                let decoded = bench.decode(&headers, &body, &answers);
                check_documents(case.body, &decoded);
                let Decoded::Told(told) = decoded else { break };
                for lookup in told.lookups {
                    let file = case.answers.iter().find(|(start, _)| lookup.key.contains(start));
                    let mut answer = file.map(|(_, file)| sample(file)).unwrap_or_default();
                    random.mutate(&mut answer);
                    answers.insert(lookup.key, Answered::Found(answer));
                }
            }
        }
    }
}
