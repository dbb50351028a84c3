//! The ways in of the POS vendors: what a vendor signs is taken once, what nobody signed is refused, what a
//! webhook leaves out is asked for, and each sale goes out once however it was told.

use crate::agent::{Agent, Answer, KEY, Setup, sale, until};
use crate::sink::{Mail, Sink};
use crate::vendor::{Vendor, sample};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use ring::hmac;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};
use tillpost::store::incidents::Incident;
use tillpost::store::{Options, Readers};

const SQUARE: &str = "type = \"square\"\nsignature_keys = [\"sq-sample-signature-key\"]\nnotification_url = \"https://till-17.corner-market.example/hooks/square\"\nlocations = [\"L9K3V7D2M5XQ8\"]\npull_every = \"0 s\"\n";
const CLOVER: &str = "type = \"clover\"\nauth_codes = [\"3c5c0f5e-9b1d-4a57-8e37-6c1f2b3a4d5e\"]\nmerchants = [\"C7ZKQ4TN0V3M1\"]\naccess_token = \"t\"\npull_every = \"0 s\"\n";
const TOAST: &str = "type = \"toast\"\nsecrets = [\"toast-sample-secret\"]\nrestaurants = [\"0b7b3a55-6a0e-4b6e-9a42-1f3d5c7e9b10\"]\npaid_quiet = \"0 s\"\npull_every = \"0 s\"\n";
const SHOPIFY: &str = "type = \"shopify\"\nclient_secrets = [\"shopify-sample-client-secret\"]\nshops = [\"corner-market.myshopify.com\"]\npull_every = \"0 s\"\n";
const STRIPE: &str =
    "type = \"stripe\"\nendpoint_secrets = [\"an-older-one\", \"whsec_c2FtcGxlLWVuZHBvaW50LXNlY3JldA\"]\npull_every = \"0 s\"\n";
const LAN: &str = "type = \"lan\"\nsigning_secrets = [\"whsec_c2FtcGxlLWxhbi1zaWduaW5nLWtleQ==\"]\n";

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), &parts.concat()).as_ref().to_vec()
}

/// A body with the headers that its vendor would send with it now.
struct Signed {
    source: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Signed {
    fn new(source: &'static str, body: Vec<u8>) -> Signed {
        let (b, t) = (body.as_slice(), now().to_string());
        let base64 = |bytes: Vec<u8>| BASE64_STANDARD.encode(bytes);
        let headers = match source {
            "square" => {
                let url: &[u8] = b"https://till-17.corner-market.example/hooks/square";
                vec![("x-square-hmacsha256-signature", base64(mac(b"sq-sample-signature-key", &[url, b])))]
            }
            "clover" => vec![("X-Clover-Auth", "3c5c0f5e-9b1d-4a57-8e37-6c1f2b3a4d5e".to_owned())],
            "toast" => {
                let stamp = serde_json::from_slice::<Value>(b).ok().and_then(|v| v["timestamp"].as_str().map(str::to_owned)).unwrap();
                vec![("Toast-Signature", base64(mac(b"toast-sample-secret", &[b, stamp.as_bytes()])))]
            }
            "shopify" => vec![
                ("X-Shopify-Hmac-Sha256", base64(mac(b"shopify-sample-client-secret", &[b]))),
                ("X-Shopify-Topic", "orders/paid".to_owned()),
                ("X-Shopify-Shop-Domain", "corner-market.myshopify.com".to_owned()),
                ("X-Shopify-API-Version", "2026-07".to_owned()),
                ("X-Shopify-Webhook-Id", "d0c1".to_owned()),
                ("X-Shopify-Event-Id", "98880550".to_owned()),
            ],
            "stripe" => {
                let tag = mac(b"whsec_c2FtcGxlLWVuZHBvaW50LXNlY3JldA", &[t.as_bytes(), b".", b]);
                let hex: String = tag.iter().map(|b| format!("{b:02x}")).collect();
                vec![("Stripe-Signature", format!("t={t},v1={},v1={hex}", "0".repeat(64)))]
            }
            _ => {
                let tag = mac(b"sample-lan-signing-key", &[b"m-1.", t.as_bytes(), b".", b]);
                vec![("webhook-id", "m-1".to_owned()), ("webhook-timestamp", t), ("webhook-signature", format!("v1,{}", base64(tag)))]
            }
        };
        Signed { source, headers, body }
    }

    fn sample(source: &'static str, name: &str) -> Signed {
        Signed::new(source, sample(name))
    }

    fn with(mut self, name: &'static str, value: &str) -> Signed {
        self.headers.retain(|(n, _)| *n != name);
        self.headers.push((name, value.to_owned()));
        self
    }

    fn post(&self, agent: &Agent) -> Answer {
        let headers: Vec<(&str, &str)> = self.headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        agent.line.post(&format!("/hooks/{}", self.source), &self.body, &headers).expect("an answer")
    }

    fn taken(&self, agent: &Agent) {
        let answer = self.post(agent);
        assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{}", self.source);
    }
}

/// The only receipt that a search finds, once it is there.
fn receipt(agent: &Agent, text: &str) -> Value {
    let found = until(&format!("a receipt {text}"), || agent.receipts(text).into_iter().next());
    assert_eq!(agent.receipts(text).len(), 1, "{text}");
    found
}

fn document(agent: &Agent, receipt: &Value) -> Value {
    agent.get(&format!("/v1/receipts/{}.json", receipt["receipt_id"].as_str().unwrap())).json()
}

fn mail(sink: &Sink, to: &str) -> Mail {
    until(&format!("a mail to {to}"), || sink.mails().into_iter().find(|m| m.to == to))
}

/// Nothing that came is still to be decoded, and nothing was set aside.
fn settled(agent: &Agent) {
    until("everything is decided", || {
        let events = agent.json(&["event", "list"]);
        let open: Vec<&Value> = events["events"].as_array().unwrap().iter().filter(|e| e["state"] != "done").collect();
        assert!(open.iter().all(|e| e["state"] != "quarantined"), "{open:?}");
        open.is_empty().then_some(())
    });
}

/// What is or was wrong, as the store has it.
fn incidents(agent: &Agent) -> Vec<Incident> {
    let readers = Readers::start(&Options::new(agent.data().join("tillpost.db")), 1).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(readers.read(|read| read.incidents(100))).unwrap()
}

fn all_sources(setup: Setup) -> Setup {
    let setup = setup.set("sources.square", SQUARE).set("sources.clover", CLOVER).set("sources.toast", TOAST);
    setup.set("sources.shopify", SHOPIFY).set("sources.stripe", STRIPE).set("sources.lan", LAN)
}

#[test]
fn what_a_vendor_signs_is_taken_once_and_nothing_else() {
    let agent = all_sources(Setup::silent()).start();
    let all = [
        Signed::sample("square", "sources/square/payment.created.yen-cash-offline.json"),
        Signed::sample("toast", "sources/toast/order_updated.paid.json"),
        Signed::sample("shopify", "sources/shopify/orders-paid.json"),
        Signed::sample("stripe", "sources/stripe/payment_intent.succeeded.json"),
        Signed::sample("lan", "lan/sale.json"),
    ];
    for signed in &all {
        signed.taken(&agent);
        signed.taken(&agent);
        let mut flipped = signed.body.clone();
        let at = flipped.len() / 2;
        flipped[at] ^= 1;
        let mut other = Signed { source: signed.source, headers: signed.headers.clone(), body: flipped };
        assert_eq!(other.post(&agent).status, 401, "{}", signed.source);
        other.body = signed.body.clone();
        let first = other.headers[0].clone();
        other.headers.push(if signed.source == "lan" { other.headers[2].clone() } else { first });
        assert_eq!(other.post(&agent).status, 401, "two signatures: {}", signed.source);
        other.headers.clear();
        assert_eq!(other.post(&agent).status, 401, "no signature: {}", signed.source);
    }
    settled(&agent);
    assert_eq!(agent.receipts("").len(), all.len(), "each sale once");
    // Published vectors, with the tags that their vendors' libraries made.
    let vectors: Value = serde_json::from_slice(&sample("sources/vectors.json")).unwrap();
    for v in vectors.as_array().unwrap().iter().filter(|v| ["square", "clover", "toast"].contains(&v["platform"].as_str().unwrap())) {
        let (file, platform) = (v["file"].as_str().unwrap(), v["platform"].as_str().unwrap());
        let headers = [(v["header"].as_str().unwrap(), v["value"].as_str().unwrap())];
        let answer = agent.line.post(&format!("/hooks/{platform}"), &sample(&format!("sources/{file}")), &headers).unwrap();
        assert_eq!(answer.status, 200, "{file}");
    }
    let status = agent.get("/v1/status").json();
    let toast = status["sources"].as_array().unwrap().iter().find(|s| s["name"] == "toast").unwrap().clone();
    assert_eq!(toast["type"], "toast");
    let metrics = agent.get("/metrics").body;
    assert!(metrics.contains("tillpost_source_requests_total{source=\"stripe\",result=\"refused\"} 3"), "{metrics}");
    assert!(metrics.contains("tillpost_source_requests_total{source=\"stripe\",result=\"duplicate\"} 1"));
}

#[test]
fn what_a_sender_does_is_never_our_fault() {
    let agent = all_sources(Setup::silent()).start();
    let post = |path: &str, body: &[u8]| agent.line.post(path, body, &[]).unwrap().status;
    assert_eq!(post("/hooks/nobody", b"{}"), 404);
    let stale = format!("t={},v1={}", now() - 900, "0".repeat(64));
    assert_eq!(Signed::sample("stripe", "sources/stripe/refund.created.json").with("Stripe-Signature", &stale).post(&agent).status, 401);
    assert_eq!(Signed::new("shopify", b"\xff\xfe{".to_vec()).post(&agent).status, 400);
    assert_eq!(Signed::new("square", vec![b'x'; 1 << 20]).post(&agent).status, 400, "1 MiB is taken and judged");
    let large = vec![b'x'; (2 << 20) + 1];
    assert_eq!(Signed::new("square", large).post(&agent).status, 413);
    let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
    assert_eq!(Signed::new("clover", deep).post(&agent).status, 400);
    // The same id with another content, and what is authentic and no sale.
    let first: Value = serde_json::from_slice(&sample("sources/stripe/payment_intent.succeeded.json")).unwrap();
    Signed::new("stripe", first.to_string().into_bytes()).taken(&agent);
    let mut again = first.clone();
    again["pending_webhooks"] = 7.into();
    Signed::new("stripe", again.to_string().into_bytes()).taken(&agent);
    again["data"]["object"]["amount"] = 1.into();
    assert_eq!(Signed::new("stripe", again.to_string().into_bytes()).post(&agent).status, 409);
    let refused = Signed::new("lan", b"{\"schema\":\"tillpost.sale/1\"}".to_vec()).post(&agent);
    assert_eq!(refused.status, 422);
    assert!(refused.json()["errors"].as_array().unwrap().len() > 3);
    settled(&agent);
    assert_eq!(agent.receipts("").len(), 1);
}

#[test]
fn refusals_in_a_row_are_told_until_a_good_one_comes() {
    let sink = Sink::start();
    let agent = Setup::mailing(&sink).set("sources.square", SQUARE).set("sources.clover", CLOVER).start();
    let good = Signed::sample("square", "sources/square/payment.created.yen-cash-offline.json");
    let bad = Signed { source: "square", headers: vec![("x-square-hmacsha256-signature", "AAAA".into())], body: good.body.clone() };
    for _ in 0..5 {
        assert_eq!(bad.post(&agent).status, 401);
    }
    let source = |name: &str| {
        let status = agent.json(&["status"]);
        status["sources"].as_array().unwrap().iter().find(|s| s["name"] == name).unwrap().clone()
    };
    assert_eq!(source("square")["refused_in_a_row"], 5);
    assert!(agent.cli(&["status"]).1.contains("square (square): 5 requests in a row were not authentic"));
    let lasting =
        || incidents(&agent).iter().filter(|i| i.alert == "source_auth" && i.object == "square" && i.resolved_at.is_none()).count();
    assert_eq!(lasting(), 1);
    good.taken(&agent);
    assert_eq!(lasting(), 0);
    assert_eq!(source("square")["refused_in_a_row"], 0);

    // Clover asks whether the address is ours: a person pastes the code back.
    let body = sample("sources/clover/verification.json");
    assert_eq!(agent.line.post("/hooks/clover", &body, &[]).unwrap().status, 200);
    let code = serde_json::from_slice::<Value>(&body).unwrap()["verificationCode"].as_str().unwrap().to_owned();
    assert_eq!(source("clover")["verification_code"], code);
    assert!(agent.cli(&["status"]).1.contains(&code));
}

#[test]
fn square_is_asked_for_the_order_and_the_customer() {
    let (sink, vendor) = (Sink::start(), Vendor::start());
    vendor.answers("/v2/orders/", 404, b"{}".to_vec(), 1).answers("/v2/orders/", 503, b"{}".to_vec(), 1);
    vendor.knows("/v2/orders/CRnf694KwdspqfCQSLHvJ8XYuIpZY", "sources/square/order.response.json");
    vendor.knows("/v2/orders/s357", "sources/square/refund-order.response.json");
    vendor.knows("/v2/customers/", "sources/square/customer.response.json");
    let square = format!("{SQUARE}access_token = \"t\"\napi_base = \"{}\"\n", vendor.base());
    let agent = Setup::mailing(&sink).set("sources.square", &square).start();
    // The refund comes first, and again, and the sale is told by two events.
    Signed::sample("square", "sources/square/refund.updated.json").taken(&agent);
    let refund = receipt(&agent, "FEuK3nLYHgJW3xMHAZuEE1ykBliZY_0azCs9cwtnKmxUMUks8M0mhl9ueKW66hQr88HZ8MZY");
    assert_eq!((&refund["transaction_type"], &refund["state"]), (&json!("return"), &json!("no_contact")));
    let payment = Signed::sample("square", "sources/square/payment.updated.json");
    payment.taken(&agent);
    payment.taken(&agent);
    let mut later: Value = serde_json::from_slice(&payment.body).unwrap();
    later["event_id"] = "another".into();
    Signed::new("square", later.to_string().into_bytes()).taken(&agent);
    let sold = receipt(&agent, "CRnf694KwdspqfCQSLHvJ8XYuIpZY");
    let document = document(&agent, &sold);
    let lines: Vec<&str> = document["line_items"].as_array().unwrap().iter().filter_map(|l| l["description"].as_str()).collect();
    assert!(lines.contains(&"Whole milk, 1 gal"), "{document}");
    assert_eq!(document["source"]["payment_ids"][0], "FEuK3nLYHgJW3xMHAZuEE1ykBliZY");
    mail(&sink, "noe@corner-market.example");
    settled(&agent);
    until("the receipt and the refund", || (sink.mails().len() >= 2).then_some(()));
    assert_eq!(sink.mails().len(), 2, "one receipt, one refund");
    assert_eq!(agent.receipts("").len(), 2);
    assert_eq!(vendor.asked("/v2/customers/"), 2, "each event asks for itself");
}

#[test]
fn clover_sends_nothing_without_the_fetch() {
    let (sink, vendor) = (Sink::start(), Vendor::start());
    let clover = format!("{CLOVER}api_base = \"{}\"\n", vendor.base());
    let mut agent = Setup::mailing(&sink).set("sources.clover", &clover).start();
    Signed::sample("clover", "sources/clover/webhook.json").taken(&agent);
    until("it was asked", || (vendor.asked("/payments/AGDVY3KYT59NJ") > 0).then_some(()));
    assert!(agent.receipts("").is_empty());
    // What waits survives the end of the process.
    agent.kill();
    vendor.knows("/line_items", "sources/clover/line_items.response.json");
    vendor.knows("/payments/", "sources/clover/payment.response.json");
    vendor.knows("/orders/0BJ5YJ28QGYJK?", "sources/clover/order.response.json");
    agent.start();
    let sold = receipt(&agent, "0BJ5YJ28QGYJK");
    let document = document(&agent, &sold);
    assert_eq!((document["totals"]["grand_amount"].as_i64(), &document["transaction_id"]), (Some(3061), &json!("0BJ5YJ28QGYJK")));
    assert!(document["line_items"].as_array().unwrap().iter().any(|l| l["description"] == "Breakfast burrito"), "{document}");
    settled(&agent);
    assert_eq!(agent.receipts("").len(), 1);
}

#[test]
fn toast_logs_in_once_and_asks_for_the_guest() {
    let (sink, vendor) = (Sink::start(), Vendor::start());
    vendor.answers("/login", 200, json!({"token": {"accessToken": "a", "expiresIn": 86_400}}).to_string().into_bytes(), usize::MAX);
    vendor.knows("/orders/v2/orders/", "sources/toast/order.response.json");
    let toast = format!("{TOAST}client_id = \"c\"\nclient_secret = \"s\"\napi_base = \"{}\"\n", vendor.base());
    let mut agent = Setup::mailing(&sink).set("sources.toast", &toast).start();
    Signed::sample("toast", "sources/toast/order_updated.paid.json").taken(&agent);
    let sold = receipt(&agent, "27");
    assert_eq!(sold["transaction_id"], "a25600dd-06ea-401f-9192-27edf597d1fb");
    settled(&agent);
    agent.stop();
    agent.start();
    Signed::sample("toast", "sources/toast/order_updated.refund.json").taken(&agent);
    settled(&agent);
    assert_eq!(vendor.asked("/login"), 1, "the token is kept over a restart");
    let database = std::fs::read(agent.data().join("tillpost.db")).unwrap();
    assert!(!database.windows(15).any(|w| w == b"\"accessToken\":\"a"), "sealed");
}

#[test]
fn stripe_adds_lines_and_contact_even_late() {
    let (sink, vendor) = (Sink::start(), Vendor::start());
    // The charge is not to be had in time; what it says later is a late contact.
    vendor.answers("/v1/charges/", 500, b"{}".to_vec(), 2);
    vendor.knows("/v1/charges/", "sources/stripe/charge.response.json");
    vendor.knows("amount_details_line_items", "sources/stripe/payment_intent.line_items.response.json");
    let stripe = format!("{STRIPE}api_key = \"rk_live_0\"\nenrich_wait = \"1 s\"\napi_base = \"{}\"\n", vendor.base());
    let agent = Setup::mailing(&sink).set("sources.stripe", &stripe).start();
    Signed::sample("stripe", "sources/stripe/payment_intent.succeeded.json").taken(&agent);
    let sold = receipt(&agent, "R-881");
    let before = document(&agent, &sold);
    assert!(before["customer"]["name"].is_null(), "{before}");
    let mail = mail(&sink, "ola@corner-market.example");
    assert!(mail.parts().iter().all(|(_, text)| text.contains("Cold brew")), "{mail:?}");
    settled(&agent);
    assert_eq!((sink.mails().len(), agent.receipts("").len()), (1, 1));
}

#[test]
fn what_was_answered_survives_a_kill() {
    let mut agent = all_sources(Setup::silent()).start();
    let mut event: Value = serde_json::from_slice(&sample("sources/stripe/payment_intent.succeeded.json")).unwrap();
    for n in 0..12 {
        event["id"] = format!("evt_{n}").into();
        event["data"]["object"]["id"] = format!("pi_{n}").into();
        event["data"]["object"]["latest_charge"] = format!("ch_{n}").into();
        event["data"]["object"]["metadata"] = json!({"till": n.to_string(), "receipt_number": format!("K-{n}")});
        Signed::new("stripe", event.to_string().into_bytes()).taken(&agent);
        if n % 4 == 3 {
            agent.kill();
            agent.start();
        }
    }
    settled(&agent);
    assert_eq!(agent.receipts("").len(), 12);
}

#[test]
fn a_box_that_nobody_reaches_pulls() {
    let (sink, vendor) = (Sink::start(), Vendor::start());
    let order: Value = serde_json::from_slice(&sample("sources/square/order.response.json")).unwrap();
    let page = json!({"orders": [order["order"]]}).to_string().into_bytes();
    vendor.answers("/v2/orders/search", 500, b"{}".to_vec(), 1);
    vendor.answers("/v2/orders/search", 200, page, usize::MAX);
    vendor.knows("/v2/orders/", "sources/square/order.response.json");
    vendor.knows("/v2/customers/", "sources/square/customer.response.json");
    let square = SQUARE.replace("0 s", "1 s") + &format!("access_token = \"t\"\napi_base = \"{}\"\n", vendor.base());
    let agent = Setup::mailing(&sink).set("sources.square", &square).start();
    receipt(&agent, "CRnf694KwdspqfCQSLHvJ8XYuIpZY");
    mail(&sink, "noe@corner-market.example");
    // The webhook arrives late, and the order is read again and again.
    Signed::sample("square", "sources/square/payment.updated.json").taken(&agent);
    let rounds = vendor.asked("/v2/orders/search");
    until("two more rounds", || (vendor.asked("/v2/orders/search") > rounds + 1).then_some(()));
    settled(&agent);
    assert_eq!((agent.receipts("").len(), sink.mails().len()), (1, 1));
}

#[test]
fn tills_sign_speak_xml_and_write_no_card_numbers() {
    let agent = Setup::silent()
        .set("sources.lan", LAN)
        .set("sources.strict", &format!("{LAN}validation = \"strict\"\ntokens = [\"a-token-of-16-characters\"]\n"))
        .start();
    let mut posted = sale("R-1", "");
    posted["line_items"][0]["note"] = "paid with 4111 1111 1111 1111".into();
    let signed = Signed::new("lan", posted.to_string().into_bytes());
    let headers: Vec<(&str, &str)> = signed.headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let answer = agent.line.post("/v1/sales", &signed.body, &headers).unwrap();
    assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("stored")), "{answer:?}");
    let again = agent.line.post("/v1/sales", &signed.body, &headers).unwrap();
    assert_eq!(again.json()["status"], "duplicate");
    let forged = agent.line.post("/v1/sales", sale("R-2", "").to_string().as_bytes(), &headers).unwrap();
    assert_eq!(forged.status, 401);
    let kept = document(&agent, &receipt(&agent, "R-1")).to_string();
    assert!(kept.contains("paid with") && !kept.contains("4111 1111"), "{kept}");

    let bearer = format!("Bearer {KEY}");
    let xml = |name: &str| {
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/xml")];
        agent.line.ask("POST", "/v1/sales", &headers, &sample(name), crate::agent::PATIENCE).unwrap()
    };
    let stored = xml("lan/sale.arts-poslog.xml");
    assert_eq!((stored.status, &stored.json()["status"]), (200, &json!("stored")), "{stored:?}");
    assert_eq!(xml("lan/sale.arts-poslog.xml").json()["status"], "duplicate");
    let id = stored.json()["receipt_id"].as_str().unwrap().to_owned();
    let document = agent.get(&format!("/v1/receipts/{id}.json")).json();
    assert_eq!(document["schema"], "tillpost.sale/1");

    let mut odd = sale("R-3", "");
    odd["colour"] = "red".into();
    let strict = agent.line.post("/v1/sales", odd.to_string().as_bytes(), &[("Authorization", "Bearer a-token-of-16-characters")]).unwrap();
    assert_eq!((strict.status, &strict.json()["errors"][0]["pointer"]), (422, &json!("/colour")));
    assert_eq!(agent.sell(&odd).status, 200, "a till is not strict");
}

#[test]
fn a_folder_is_read_file_by_file() {
    let folder = tempfile::tempdir().unwrap();
    let (dir, mapping) = (folder.path().join("drop"), folder.path().join("journal.mapping.toml"));
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(&mapping, sample("sources/csv/journal.mapping.toml")).unwrap();
    let drop = format!("type = \"file-drop\"\ndir = \"{}\"\nmapping = \"{}\"\n", dir.display(), mapping.display());
    let agent = Setup::silent().set("sources.journal", &drop).start();
    std::fs::write(dir.join("late.csv.part"), b"not yet").unwrap();
    std::fs::write(dir.join("bad.csv"), b"nothing;that\nis;known\n").unwrap();
    std::fs::write(dir.join("journal.csv"), sample("sources/csv/journal.csv")).unwrap();
    let sold = receipt(&agent, "40881");
    assert_eq!(sold["source"], "journal");
    let count = agent.receipts("").len();
    until("both were put away", || (dir.join("done/journal.csv").exists() && dir.join("failed/bad.csv").exists()).then_some(()));
    assert!(!std::fs::read_to_string(dir.join("failed/bad.csv.reason.txt")).unwrap().is_empty());
    assert!(dir.join("late.csv.part").exists());
    // The same sales in another file are the same sales.
    std::fs::write(dir.join("again.csv"), sample("sources/csv/journal.csv")).unwrap();
    until("it was put away", || dir.join("done/again.csv").exists().then_some(()));
    assert_eq!(agent.receipts("").len(), count);
}

#[test]
fn the_relay_brings_what_a_vendor_signed_an_hour_ago() {
    let relay = "type = \"relay\"\n";
    let square = SQUARE.replace("https://till-17.corner-market.example/hooks/square", envelope_url("square").as_str());
    let agent = Setup::silent()
        .set("sources.hq", relay)
        .set("sources.stripe", STRIPE)
        .set("sources.square", &square)
        .set("sources.shopify", SHOPIFY)
        .start();
    let post = |bytes: &[u8]| agent.line.post("/hooks/hq", bytes, &[]).unwrap().status;
    let stripe = sample("sources/relay/stripe.json");
    assert_eq!((post(&stripe), post(&stripe)), (200, 200));
    receipt(&agent, "R-881");
    let mut later: Value = serde_json::from_slice(&stripe).unwrap();
    later["received_at"] = "2026-10-03T18:00:00Z".into();
    assert_eq!(post(later.to_string().as_bytes()), 401, "it was signed long before it was taken");
    assert_eq!(post(b"{\"v\":1}"), 400);
    let spool = agent.data().join("relay");
    std::fs::write(spool.join("1.json"), sample("sources/relay/shopify.gzip.json")).unwrap();
    std::fs::write(spool.join("2.json"), b"no envelope").unwrap();
    until("the spool is empty", || (!spool.join("1.json").exists() && spool.join("failed/2.json").exists()).then_some(()));
    until("its sale is there", || (agent.receipts("").len() == 2).then_some(()));
    settled(&agent);
}

fn envelope_url(name: &str) -> String {
    let envelope: Value = serde_json::from_slice(&sample(&format!("sources/relay/{name}.json"))).unwrap();
    envelope["url"].as_str().unwrap().to_owned()
}

#[test]
fn a_vendors_erasure_reaches_what_it_told() {
    let agent = Setup::silent().set("sources.shopify", SHOPIFY).start();
    Signed::sample("shopify", "sources/shopify/orders-paid.json").taken(&agent);
    let sold = receipt(&agent, "6596823366469");
    assert!(document(&agent, &sold)["customer"]["email"].is_string());
    let redact = Signed::sample("shopify", "sources/shopify/customers-redact.json");
    redact.with("X-Shopify-Topic", "customers/redact").with("X-Shopify-Webhook-Id", "d0c2").with("X-Shopify-Event-Id", "2").taken(&agent);
    until("the receipt names nobody", || document(&agent, &sold)["customer"]["email"].is_null().then_some(()));
    settled(&agent);
    for event in agent.json(&["event", "list"])["events"].as_array().unwrap() {
        let raw = agent.json(&["event", "show", &event["seq"].to_string()])["raw"].to_string();
        assert!(!raw.contains("kaethe@"), "{raw}");
    }
}

#[test]
fn what_was_set_aside_is_decoded_again_when_it_can_be() {
    let mut agent = all_sources(Setup::silent()).start();
    let odd =
        Signed::new("stripe", b"{\"id\":\"evt_1\",\"object\":\"event\",\"type\":\"payment_intent.succeeded\",\"livemode\":true}".to_vec());
    odd.taken(&agent);
    let event = until("it is set aside", || {
        let events = agent.json(&["event", "list"]);
        events["events"].as_array().unwrap().iter().find(|e| e["state"] == "quarantined").cloned()
    });
    assert!(event["reason"].as_str().unwrap().contains("/data/object"), "{event}");
    let seq = event["seq"].to_string();
    assert_eq!(agent.json(&["event", "replay", &seq])["state"], "quarantined");
    assert!(agent.receipts("").is_empty());
    agent.stop();
}
