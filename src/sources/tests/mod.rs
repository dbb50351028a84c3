//! Every source against the samples of its platform. Here is what the tests share.

mod asking;
mod golden;
mod hostile;
mod money;
mod sends;

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
    fn api(&self) -> &'static Api {
        self.kind.api.as_ref().unwrap()
    }

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
    ("smtp-in", "listen = \"127.0.0.1:2525\""),
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
    case(
        "smtp-in",
        "smtp-in/ticket.eml",
        &[("mail-from", "caisse1@pos.brasserie-nord.example"), ("rcpt-to", "<claire@mail.brasserie-nord.example>")],
        &[],
    ),
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
