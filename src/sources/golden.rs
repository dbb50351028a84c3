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
    rules: &'static str,
}

impl Bench {
    fn new(kind: &str, settings: &str) -> Bench {
        let kind = find(kind).unwrap();
        let settings = with_defaults(kind, read_table(kind, &settings.parse().unwrap()).unwrap());
        let source = Source { kind: kind.keys.name.to_owned(), sends_receipt_itself: false, strict: false, settings };
        Bench { kind, source, shop: shop(), rules: "" }
    }

    fn setup(&self) -> Setup<'_> {
        Setup { name: self.kind.keys.name, source: &self.source, shop: &self.shop, rules: self.rules }
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
        "square",
        "signature_keys = [\"sq-sample-signature-key\"]\nnotification_url = \"https://till-17.corner-market.example/hooks/square\"\naccess_token = \"t\"\nlocations = [\"L9K3V7D2M5XQ8\"]",
    ),
    ("clover", "auth_codes = [\"3c5c0f5e-9b1d-4a57-8e37-6c1f2b3a4d5e\"]\nmerchants = [\"C7ZKQ4TN0V3M1\"]\naccess_token = \"t\""),
    (
        "toast",
        "secrets = [\"toast-sample-secret\"]\nclient_id = \"c\"\nrestaurants = [\"0b7b3a55-6a0e-4b6e-9a42-1f3d5c7e9b10\"]\napi_base = \"https://toast.example.org\"",
    ),
    ("lan", "tokens = [\"a-token-of-16-characters\"]\nsigning_secrets = [\"whsec_c2FtcGxlLWxhbi1zaWduaW5nLWtleQ==\"]"),
    ("zapier", "tokens = [\"a-token-of-16-characters\"]"),
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
        "square",
        "square/payment.updated.json",
        &[],
        &[("orders:", "square/order.response.json"), ("customers:", "square/customer.response.json")],
    ),
    case("square", "square/payment.updated.split-1-card.json", &[], &[("orders:", "square/order.split-half-paid.response.json")]),
    case("square", "square/payment.created.split-2-cash.json", &[], &[("orders:", "square/order.split-tender.response.json")]),
    case("square", "square/order.updated.split-tender.json", &[], &[("orders:", "square/order.split-tender.response.json")]),
    case("square", "square/payment.created.yen-cash-offline.json", &[], &[]),
    case("square", "square/payment.updated.canceled.json", &[], &[("orders:", "square/order.voided.response.json")]),
    case("square", "square/order.updated.voided.json", &[], &[("orders:", "square/order.voided.response.json")]),
    case("square", "square/refund.updated.json", &[], &[("orders:", "square/refund-order.response.json")]),
    case("square", "square/order.fulfillment.updated.json", &[], &[]),
    case(
        "clover",
        "clover/webhook.json",
        &[],
        &[
            (":payment:", "clover/payment.response.json"),
            (":order:", "clover/order.response.json"),
            (":order+:", "clover/order.response.json"),
            (":lines:", "clover/line_items.response.json"),
        ],
    ),
    case(
        "clover",
        "clover/webhook.two-merchants-odd.json",
        &[],
        &[
            (":order:", "clover/order.partially-refunded.response.json"),
            (":order+:", "clover/order.partially-refunded.response.json"),
            (":lines:", "clover/line_items.response.json"),
        ],
    ),
    case("toast", "toast/order_updated.paid.json", &[], &[("order:", "toast/order.response.json")]),
    case("toast", "toast/order_updated.refund.json", &[], &[("order:", "toast/order.response.json")]),
    case("toast", "toast/order_updated.split-checks-odd.json", &[], &[]),
    case("toast", "toast/order_updated.two-checks-first-paid.json", &[], &[]),
    case("toast", "toast/order_updated.two-checks-both-paid.json", &[], &[]),
    case("zapier", "zapier/sale.json", &[], &[]),
    case("lan", "../lan/sale.arts-poslog.xml", &[], &[]),
    case("lan", "../lan/sale.arts-digital-receipt.xml", &[], &[]),
    case("lan", "../lan/void.arts-poslog.xml", &[], &[]),
    case("lan", "../lan/sale.grocery-snap.json", &[], &[]),
    case("zapier", "zapier/sale.decimal-strings-in-array.json", &[], &[]),
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
        let path = fixtures().join("golden/sources").join(case.body.trim_start_matches("../").replace('/', "."));
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
fn the_relay_is_checked_as_the_source_that_it_carries() {
    let verdict = |name: &str, kind: &str, settings: Option<&str>| {
        let bench = settings.map_or_else(|| bench(kind), |s| Bench::new(kind, s));
        let envelope = relay::Envelope::open(&sample(name)).unwrap();
        envelope.verify(bench.kind, &bench.setup()).word()
    };
    assert_eq!(verdict("relay/stripe.json", "stripe", None), "accepted");
    assert_eq!(verdict("relay/square.json", "square", None), "accepted");
    assert_eq!(verdict("relay/shopify.gzip.json", "shopify", None), "accepted");
    assert_eq!(verdict("relay/toast.omitted.json", "toast", None), "body_omitted");
    assert_eq!(verdict("relay/stripe.json", "square", None), "other_platform");
    let elsewhere = "signature_keys = [\"sq-sample-signature-key\"]\nnotification_url = \"https://other.example/hooks/square\"";
    assert_eq!(verdict("relay/square.json", "square", Some(elsewhere)), "foreign_url");
    // By any later clock it is stale.
    let (envelope, bench) = (relay::Envelope::open(&sample("relay/stripe.json")).unwrap(), bench("stripe"));
    let late = Moment { now: envelope.received_at + Duration::from_secs(3600), good: true };
    assert_eq!((bench.kind.verify)(&bench.setup(), &envelope.given(), late).word(), "stale");
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
fn what_sends_square() {
    let bench = bench("square");
    let payment = "square/payment.updated.json";
    let row = |name: &str, changes: &[(&str, Value)], order: Option<Vec<u8>>| {
        let mut answers = Answers::new();
        if let Some(order) = order {
            let id = "orders:CRnf694KwdspqfCQSLHvJ8XYuIpZY".to_owned();
            answers.insert(id, if order.is_empty() { Answered::Absent } else { Answered::Found(order) });
        }
        outcome(&bench.decode(&[], &with(name, changes), &answers))
    };
    let status = |word: &str| row(payment, &[("/data/object/payment/status", json!(word))], None);
    assert_eq!(status("COMPLETED"), "?");
    for word in ["PENDING", "APPROVED", "FAILED", "SOMETHING_NEW"] {
        assert_eq!(status(word), "not_final", "{word}");
    }
    let order = |changes: &[(&str, Value)]| row(payment, &[], Some(with("square/order.response.json", changes)));
    assert_eq!(order(&[]), "sale.completed");
    assert_eq!(order(&[("/order/net_amount_due_money/amount", json!(1))]), "partly_paid");
    assert_eq!(order(&[("/order/net_amount_due_money", json!(null))]), "sale.completed");
    assert_eq!(order(&[("/order/state", json!("CANCELED"))]), "sale.voided");
    assert_eq!(order(&[("/order/line_items", json!([]))]), "no_sale_in_it");
    // The order cannot be had: total, tender and time are known.
    assert_eq!(row(payment, &[], Some(Vec::new())), "sale.completed");
    let cancelled = [("/data/object/payment/status", json!("CANCELED"))];
    assert_eq!(row(payment, &cancelled, Some(sample("square/order.response.json"))), "paid_another_way");
    assert_eq!(row(payment, &cancelled, Some(Vec::new())), "sale.voided");
    assert_eq!(row(payment, &[("/data/object/payment/location_id", json!("ELSEWHERE"))], None), "foreign_location");
    assert_eq!(row(payment, &[("/type", json!("order.created"))], None), "other_event");
    let refund = "square/refund.updated.json";
    assert_eq!(row(refund, &[], None), "refund.processed");
    for word in ["PENDING", "FAILED", "REJECTED"] {
        assert_eq!(row(refund, &[("/data/object/refund/status", json!(word))], None), "not_final", "{word}");
    }
    assert_eq!(row("square/order.updated.voided.json", &[("/data/object/order_updated/state", json!("OPEN"))], None), "not_final");
    let pulled = |name: &str| outcome(&bench.pulled(sample_json(name)["order"].to_string().as_bytes(), &Answers::new()));
    assert_eq!(pulled("square/order.response.json"), "sale.completed");
    assert_eq!(pulled("square/order.split-half-paid.response.json"), "partly_paid");
    assert_eq!(pulled("square/order.voided.response.json"), "sale.voided");
    assert_eq!(pulled("square/refund-order.response.json"), "refund.processed");
}

#[test]
fn what_sends_clover() {
    let bench = bench("clover");
    let hint = |object: &str, kind: &str| {
        json!({"appId": "A", "merchants": {"C7ZKQ4TN0V3M1": [{"objectId": object, "type": kind, "ts": 1}]}}).to_string().into_bytes()
    };
    let order = |changes: &[(&str, Value)]| {
        let mut answers = Answers::new();
        let full = with("clover/order.response.json", changes);
        for (key, body) in [("order", full.clone()), ("order+", full), ("lines", sample("clover/line_items.response.json"))] {
            let page = if key == "lines" { ":0" } else { "" };
            answers.insert(format!("C7ZKQ4TN0V3M1:{key}:0BJ5YJ28QGYJK{page}"), Answered::Found(body));
        }
        outcome(&bench.decode(&[], &hint("O:0BJ5YJ28QGYJK", "UPDATE"), &answers))
    };
    for (state, is) in [
        ("PAID", "sale.completed"),
        ("REFUNDED", "sale.completed"),
        ("OPEN", "not_final"),
        ("PARTIALLY_PAID", "not_final"),
        ("", "not_final"),
    ] {
        assert_eq!(order(&[("/paymentState", json!(state))]), is, "{state}");
    }
    assert_eq!(order(&[("/testMode", json!(true))]), "not_final");
    // Nothing is believed without the fetch.
    assert_eq!(outcome(&bench.decode(&[], &hint("P:AGDVY3KYT59NJ", "CREATE"), &Answers::new())), "?");
    let absent = Answers::from([("C7ZKQ4TN0V3M1:payment:AGDVY3KYT59NJ".to_owned(), Answered::Absent)]);
    assert_eq!(outcome(&bench.decode(&[], &hint("P:AGDVY3KYT59NJ", "CREATE"), &absent)), "not_final");
    assert_eq!(outcome(&bench.decode(&[], &hint("O:0BJ5YJ28QGYJK", "DELETE"), &Answers::new())), "sale.voided");
    for object in ["I:1", "C:1", "SH:1", "O:../../x", "O:", "nonsense"] {
        assert_eq!(outcome(&bench.decode(&[], &hint(object, "CREATE"), &Answers::new())), "not_final", "{object}");
    }
    let verify = |headers: &[(&str, &str)], body: &[u8]| {
        let headers = pairs(headers);
        (bench.kind.verify)(&bench.setup(), &Given { headers: &headers, url: "", body }, Moment { now: UnixMs(0), good: false })
    };
    let code = "9d0e5f0c-41ab-4a51-9d3c-2f6b7a8c9e10";
    assert_eq!(verify(&[], &sample("clover/verification.json")), Verdict::Handshake(code.to_owned()));
    assert_eq!(verify(&[], br#"{"verificationCode":"x","merchants":{}}"#), Verdict::Refused("no_signature"));
    assert_eq!(verify(&[], &sample("clover/webhook.json")), Verdict::Refused("no_signature"));
    assert_eq!(verify(&[("X-Clover-Auth", "guess")], &sample("clover/verification.json")), Verdict::Refused("bad_signature"));
}

#[test]
fn lines_of_clover_beyond_a_page_are_read() {
    let bench = bench("clover");
    let body = sample("clover/webhook.json");
    let line = sample_json("clover/line_items.response.json")["elements"][2].clone();
    let mut answers = Answers::new();
    let key = |what: &str| format!("C7ZKQ4TN0V3M1:{what}");
    answers.insert(key("payment:AGDVY3KYT59NJ"), Answered::Found(sample("clover/payment.response.json")));
    answers.insert(key("order:0BJ5YJ28QGYJK"), Answered::Found(sample("clover/order.response.json")));
    answers.insert(key("order+:0BJ5YJ28QGYJK"), Answered::Absent);
    answers.insert(key("lines:0BJ5YJ28QGYJK:0"), Answered::Found(json!({"elements": vec![line.clone(); 1000]}).to_string().into_bytes()));
    let Decoded::Told(told) = bench.decode(&[], &body, &answers) else { panic!() };
    assert_eq!((told.events.len(), told.lookups.len()), (0, 1));
    assert!(told.lookups[0].path.contains("offset=1000&"), "{}", told.lookups[0].path);
    answers.insert(key("lines:0BJ5YJ28QGYJK:1"), Answered::Found(json!({"elements": vec![line; 3]}).to_string().into_bytes()));
    let Decoded::Told(told) = bench.decode(&[], &body, &answers) else { panic!() };
    assert_eq!(told.events[0].event.data["line_items"][0]["quantity"], "1003");
}

#[test]
fn what_sends_toast() {
    let bench = bench("toast");
    let check = |changes: &[(&str, Value)]| outcome(&bench.decode(&[], &with("toast/order_updated.paid.json", changes), &Answers::new()));
    let at = |name: &str| format!("/details/order/{name}");
    for (status, is) in [("CLOSED", "sale.completed"), ("PAID", "sale.completed"), ("OPEN", "not_final"), ("", "not_final")] {
        assert_eq!(check(&[(&at("checks/0/paymentStatus"), json!(status))]), is, "{status}");
    }
    assert_eq!(check(&[(&at("voided"), json!(true))]), "sale.voided");
    assert_eq!(check(&[(&at("checks/0/voided"), json!(true))]), "sale.voided");
    assert_eq!(check(&[(&at("checks/0/deleted"), json!(true))]), "not_final");
    assert_eq!(check(&[(&at("createdInTestMode"), json!(true))]), "not_final");
    assert_eq!(check(&[("/details/restaurantGuid", json!("another"))]), "foreign_restaurant");
    assert_eq!(check(&[("/eventCategory", json!("stock"))]), "other_category");
    assert_eq!(outcome(&bench.decode(&[], &sample("toast/order_updated.refund.json"), &Answers::new())), "sale.completed refund.processed");
    // Paid but not closed: the tip may still come.
    let Decoded::Told(told) = bench.decode(&[], &sample("toast/order_updated.split-checks-odd.json"), &Answers::new()) else { panic!() };
    assert_eq!(told.events[0].not_before, UnixMs::parse_rfc3339("2026-10-03T19:25:00Z"));
    let status = |word: &str| {
        let body = json!({"guid": "g", "timestamp": "2026-10-03T17:45:12.007Z", "eventCategory": "guest_order_fulfillment_status_updated",
            "details": {"restaurantGuid": "0b7b3a55-6a0e-4b6e-9a42-1f3d5c7e9b10", "orderGuid": "o", "fulfillmentStatus": word}});
        outcome(&bench.decode(&[], body.to_string().as_bytes(), &Answers::new()))
    };
    assert_eq!(status("READY_FOR_PICKUP"), "order.updated");
    assert_eq!(status("CLOSED"), "order.fulfilled");
    assert_eq!(status("LOST"), "not_final");
}

#[test]
fn what_sends_zapier() {
    let bench = bench("zapier");
    let row = |changes: &[(&str, Value)]| outcome(&bench.decode(&[], &with("zapier/sale.json", changes), &Answers::new()));
    assert_eq!(row(&[]), "sale.completed");
    assert_eq!(row(&[("/transaction_type", json!("return"))]), "refund.processed");
    assert_eq!(row(&[("/transaction_type", json!("void"))]), "sale.voided");
    assert_eq!(row(&[("/totals/grand_amount", json!(1))]), "unusable");
    // A batch is taken whole or not at all, and each fault has its place.
    let mut batch = json!([sample_json("zapier/sale.json"), sample_json("zapier/sale.json")]);
    batch[1]["currency_code"] = json!("usd!");
    let Decoded::Unusable(faults) = bench.decode(&[], batch.to_string().as_bytes(), &Answers::new()) else { panic!() };
    assert_eq!(faults[0].pointer, "/1/currency_code");
}

#[test]
fn hostile_text_stays_text() {
    const EVIL: &str = "Robert\r\nBcc: x@y.example\u{0} {{ 7*7 }} {% for x in y %} <script>alert(1)</script> \u{202e}txt.exe";
    for case in CASES {
        let bench = bench(case.kind);
        // A canonical sale is kept as it was posted; what shows it makes it harmless.
        let Some(mut value) = serde_json::from_slice::<Value>(&sample(case.body)).ok().filter(|_| !matches!(case.kind, "zapier" | "lan"))
        else {
            continue;
        };
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
