//! The spine: a posted sale becomes one receipt and one mail; bad input gets a clear answer and leaves
//! nothing; what a mail server says has its exact consequence.

use crate::agent::{Agent, KEY, PATIENCE, Setup, TEST_KEY, sale, until};
use crate::sink::{Mail, Sink};
use serde_json::{Value, json};
use std::thread;

/// The first mail about a number, once it is there.
fn arrives(sink: &Sink, number: &str) -> Mail {
    until(&format!("a mail about {number}"), || sink.about(number).into_iter().next())
}

/// A later sale has gone the whole way: whatever was due before it has been tried.
fn later_mail_arrives(agent: &Agent, sink: &Sink, number: &str) {
    agent.sold(&sale(number, "later@example.org"));
    arrives(sink, number);
}

#[test]
fn a_sale_becomes_a_receipt_and_a_mail() {
    let sink = Sink::start();
    let agent = Setup::mailing(&sink).start();
    let answer = agent.sell(&sale("R-70001", "lee@example.org"));
    let said = answer.json();
    assert_eq!((answer.status, &said["status"], &said["transaction_id"]), (200, &json!("stored"), &json!("t-R-70001")));
    let id = said["receipt_id"].as_str().unwrap();

    let mail = arrives(&sink, "R-70001");
    assert_eq!((mail.from.as_str(), mail.to.as_str()), ("receipts@cmart.example", "lee@example.org"));
    assert_eq!(mail.header("To").as_deref(), Some("lee@example.org"));
    assert!(mail.header("From").unwrap().contains("Corner Mart"), "{mail:?}");
    assert!(mail.header("Content-Type").unwrap().starts_with("multipart/alternative"));
    let message_id = mail.header("Message-ID").unwrap();
    assert!(message_id.starts_with("<tp_") && message_id.ends_with("@cmart.example>"), "{message_id}");
    assert!(mail.header("X-TP-Id").unwrap().starts_with("tp_") && mail.header("Date").is_some());
    assert_eq!(mail.header("Auto-Submitted").as_deref(), Some("auto-generated"));
    let kinds: Vec<String> = mail.parts().into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["text/plain", "text/html"], "text first");
    let subject = mail.header("Subject").unwrap();
    assert!(subject.contains("R-70001") || subject.contains("12.99"), "{subject}");
    for (_, text) in mail.parts() {
        for word in ["R-70001", "12.99", "0.99", "Rye bread", "Oat milk 1 L", "Corner Mart"] {
            assert!(text.contains(word), "{word}: {text}");
        }
    }

    for (path, word) in [(".json", "t-R-70001"), (".html", "R-70001"), (".txt", "12.99"), ("/timeline", "accepted")] {
        let seen = || Some(agent.get(&format!("/v1/receipts/{id}{path}"))).filter(|a| a.status == 200 && a.body.contains(word));
        until(&format!("{word} in {path}"), seen);
    }
    assert_eq!(agent.receipts("R-70001")[0]["total"], "12.99");
    assert_eq!(agent.state("R-70001"), "accepted");
}

#[test]
fn the_same_sale_is_one_and_another_with_its_id_is_a_conflict() {
    let sink = Sink::start();
    let agent = Setup::mailing(&sink).start();
    let first = sale("R-1", "lee@example.org");
    let id = agent.sold(&first);
    let again = agent.sell(&first);
    assert_eq!((again.status, &again.json()["status"], &again.json()["receipt_id"]), (200, &json!("duplicate"), &json!(id)));
    // Equal as JSON values, not as bytes.
    let bytes = serde_json::to_string_pretty(&first).unwrap();
    let spaced = agent.line.post("/v1/sales", bytes.as_bytes(), &[("Authorization", &format!("Bearer {KEY}"))]).unwrap();
    assert_eq!(spaced.json()["status"], "duplicate");

    let other = Value::clone(&sale("R-1", "other@example.org"));
    let conflict = agent.sell(&other);
    let said = conflict.json();
    assert_eq!((conflict.status, &said["code"]), (409, &json!("transaction_id_taken")));
    assert!(said["detail"].as_str().unwrap().contains(&id) && said["detail"].as_str().unwrap().contains("front"), "{said}");
    assert_eq!(agent.receipts("t-R-1").len(), 1);
    later_mail_arrives(&agent, &sink, "R-2");
    assert_eq!(sink.about("R-1").len(), 1);
}

#[test]
fn an_idempotency_key_belongs_to_one_content() {
    let agent = Setup::silent().start();
    let post = |number: &str, key: &str| {
        let headers = [("Authorization", format!("Bearer {KEY}")), ("Idempotency-Key", key.to_owned())];
        let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        agent.line.post("/v1/sales", sale(number, "").to_string().as_bytes(), &headers).unwrap()
    };
    let first = post("R-1", "key-1");
    assert_eq!((first.status, &first.json()["status"]), (200, &json!("stored")));
    let same = post("R-1", "key-1");
    assert_eq!((same.status, &same.json()["receipt_id"]), (200, &first.json()["receipt_id"]));
    let other = post("R-2", "key-1");
    assert_eq!((other.status, &other.json()["code"]), (409, &json!("idempotency_key_reused")));
    assert!(agent.receipts("R-2").is_empty());
    assert_eq!(post("R-2", "key-2").status, 200);
    assert_eq!(post("R-3", "").status, 400);
}

#[test]
fn a_hundred_posts_at_once_are_one_receipt_and_one_mail() {
    let sink = Sink::start();
    let agent = Setup::mailing(&sink).start();
    let one = sale("R-100", "ana@example.org");
    let answers: Vec<_> = thread::scope(|scope| {
        let posts: Vec<_> = (0..100).map(|_| scope.spawn(|| agent.sell(&one))).collect();
        posts.into_iter().map(|p| p.join().unwrap()).collect()
    });
    assert!(answers.iter().all(|a| a.status == 200));
    let stored = answers.iter().filter(|a| a.json()["status"] == "stored").count();
    let ids: std::collections::BTreeSet<String> = answers.iter().map(|a| a.json()["receipt_id"].to_string()).collect();
    assert_eq!((stored, ids.len(), agent.receipts("t-R-100").len()), (1, 1, 1));
    arrives(&sink, "R-100");
    later_mail_arrives(&agent, &sink, "R-101");
    assert_eq!(sink.about("R-100").len(), 1);
}

#[test]
fn a_refusal_names_every_fault() {
    let agent = Setup::silent().start();
    let mut bad = sale("R-1", "");
    for (member, value) in [
        ("transaction_type", json!("sell")),
        ("receipt_date_time", json!("yesterday")),
        ("currency_code", json!("usd!")),
        ("tax_included", json!("yes")),
        ("business_unit", json!({})),
        ("receipt_number", json!("")),
        ("line_items", json!([{"quantity": "a lot", "extended_amount": 1.5}])),
        ("tenders", json!([{"amount": -5}])),
        ("totals", json!({"net_amount": "1,200"})),
    ] {
        bad[member] = value;
    }
    let answer = agent.sell(&bad);
    assert_eq!((answer.status, answer.headers["content-type"].as_str()), (422, "application/problem+json"));
    let said = answer.json();
    let errors = said["errors"].as_array().unwrap();
    assert!(errors.len() >= 10, "{said:#}");
    assert!(errors.iter().all(|e| ["pointer", "code", "message"].iter().all(|m| e[m].is_string())), "{said:#}");
    assert_eq!(said["code"], "invalid");
}

#[test]
fn bad_input_gets_its_answer_and_leaves_nothing() {
    let agent = Setup::silent().set("tills.far", "key = \"tp_live_far_far_far_far\"\naddresses = [\"192.0.2.0/24\"]").start();
    let good = sale("R-bad", "").to_string();
    let bytes = good.as_bytes();
    let cut = |from: &str, to: &[u8]| {
        let at = good.find(from).unwrap();
        [&bytes[..at], to, &bytes[at + from.len()..]].concat()
    };
    let garbage: Vec<u8> = (0..4000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let bearer = format!("Bearer {KEY}");
    let key = ("Authorization", bearer.as_str());
    let post = |body: &[u8], headers: &[(&str, &str)]| agent.line.ask("POST", "/v1/sales", headers, body, PATIENCE);
    let json = ("Content-Type", "application/json");
    for (what, body, status) in [
        ("truncated", bytes[..200].to_vec(), 400),
        ("garbage", garbage, 400),
        ("empty", Vec::new(), 400),
        ("invalid UTF-8", cut("Rye", b"R\xff\xfe"), 400),
        ("half a surrogate", cut("Rye", b"R\\ud83d"), 400),
        ("deep nesting", vec![b'['; 100_000], 400),
        ("a list", b"[1,2]".to_vec(), 422),
        ("money as a fraction", cut("1299", b"12.99"), 422),
        ("sums that do not add up", cut("\"grand_amount\":1299", b"\"grand_amount\":1300"), 422),
        ("an unknown schema", cut("tillpost.sale/1", b"tillpost.sale/9"), 422),
    ] {
        let answer = post(&body, &[key, json]).unwrap_or_else(|| panic!("no answer to {what}"));
        assert_eq!(answer.status, status, "{what}: {answer:?}");
        assert!(answer.json()["code"].is_string(), "{what}: {answer:?}");
    }
    let large = [b"{\"x\":\"".as_slice(), &vec![b'a'; 10_000_000], b"\"}"].concat();
    assert!(post(&large, &[key, json]).is_none_or(|a| a.status == 413), "ten million bytes");
    for (what, headers, status) in [
        ("no content type", vec![key], 415),
        ("another content type", vec![key, ("Content-Type", "text/plain")], 415),
        ("a form", vec![key, ("Content-Type", "application/x-www-form-urlencoded")], 415),
        ("an encoding", vec![key, json, ("Content-Encoding", "gzip")], 415),
        ("no key", vec![json], 401),
        ("a wrong key", vec![json, ("Authorization", "Bearer tp_live_nope")], 401),
        ("another scheme", vec![json, ("Authorization", "Basic eDp5")], 401),
        ("a key from elsewhere", vec![json, ("Authorization", "Bearer tp_live_far_far_far_far")], 403),
        ("another host", vec![key, json, ("Host", "evil.example")], 421),
    ] {
        assert_eq!(post(bytes, &headers).unwrap().status, status, "{what}");
    }
    assert_eq!(agent.line.ask("GET", "/v1/outbox", &[key], b"", PATIENCE).unwrap().status, 403, "a till's key manages nothing");
    assert_eq!(agent.line.ask("GET", "/v1/receipts", &[], b"", PATIENCE).unwrap().status, 401);
    assert!(agent.receipts("").is_empty(), "nothing was stored");
    assert_eq!(agent.sell(&sale("R-bad", "")).status, 200, "it takes sales as before");
}

#[test]
fn a_key_that_asks_too_often_is_told_to_wait() {
    let agent = Setup::silent().set("http", "rate_limit = \"1/s\"\nrate_burst = 5").start();
    let answers: Vec<_> = (0..20).map(|n| agent.sell(&sale(&format!("R-{n}"), ""))).collect();
    let taken = answers.iter().filter(|a| a.status == 200).count();
    assert!((5..15).contains(&taken), "{taken} were taken");
    let limited = answers.iter().find(|a| a.status == 429).expect("too many");
    assert_eq!((limited.headers["retry-after"].as_str(), &limited.json()["code"]), ("1", &json!("rate_limit")));
    assert!(answers.iter().all(|a| matches!(a.status, 200 | 429)));
    assert_eq!(agent.receipts("").len(), taken, "what was refused was not stored");
    assert_eq!(agent.line.sell(&sale("R-x", ""), TEST_KEY).unwrap().status, 200, "each key has its own allowance");
}

#[test]
fn a_temporary_refusal_is_tried_again_and_the_mail_comes_once() {
    let sink = Sink::start();
    sink.script("rcpt", &[Some("451 4.3.0 try again later")]);
    let agent = Setup::mailing(&sink).set("routing", "retry = [\"300 ms\"]").start();
    let id = agent.sold(&sale("R-451", "bo@example.org"));
    arrives(&sink, "R-451");
    until("it is accepted", || (agent.state("R-451") == "accepted").then_some(()));
    later_mail_arrives(&agent, &sink, "R-452");
    assert_eq!(sink.about("R-451").len(), 1);
    let story = agent.get(&format!("/v1/receipts/{id}/timeline")).json();
    let outcomes: Vec<&str> = story["timeline"].as_array().unwrap().iter().filter_map(|e| e["outcome"].as_str()).collect();
    assert_eq!(outcomes, ["retry", "accepted"]);
}

#[test]
fn an_unknown_mailbox_is_not_tried_again_and_written_to_no_more() {
    let sink = Sink::start();
    sink.script("rcpt", &[Some("550 5.1.1 user unknown")]);
    let agent = Setup::mailing(&sink).set("routing", "retry = [\"1 ms\"]").start();
    agent.sold(&sale("R-550", "nobody@example.org"));
    until("it bounced", || (agent.state("R-550") == "bounced").then_some(()));
    let (_, list, _) = agent.cli(&["suppress", "list"]);
    assert!(list.contains("nobody@example.org") && list.contains("hard_bounce"), "{list}");
    assert_eq!(agent.sell(&sale("R-551", "nobody@example.org")).status, 200);
    assert_eq!(agent.state("R-551"), "undeliverable");
    later_mail_arrives(&agent, &sink, "R-552");
    assert_eq!(sink.seen("rcpt"), 2, "one for the unknown mailbox, one for the later mail");
    assert!(sink.about("R-550").is_empty() && sink.about("R-551").is_empty());
}

#[test]
fn a_refused_message_is_a_dead_letter_with_its_body() {
    let sink = Sink::start();
    sink.script("data-end", &[Some("554 5.6.0 message malformed")]);
    let agent = Setup::mailing(&sink).set("routing", "retry = [\"1 ms\"]").start();
    agent.sold(&sale("R-554", "di@example.org"));
    until("it is dead", || (agent.counts()["dead"] == 1).then_some(()));
    let shown = agent.json(&["outbox", "show", &agent.delivery_in("dead")]);
    let text = shown["content"].to_string();
    assert!(text.contains("R-554") && text.contains("Rye bread"), "{shown:#}");
    let history = shown["history"].as_array().unwrap();
    assert_eq!((history.len(), &history[0]["class"], &history[0]["scope"]), (1, &json!("permanent"), &json!("message")));
    assert!(history[0]["detail"].as_str().unwrap().contains("554"), "{shown:#}");
    later_mail_arrives(&agent, &sink, "R-555");
    assert!(sink.about("R-554").is_empty());
    // A person has it tried again: the server takes it now.
    assert_eq!(agent.cli(&["outbox", "release", &agent.delivery_in("dead")]).0, 0);
    arrives(&sink, "R-554");
}

#[test]
fn an_answer_that_was_lost_is_never_guessed_at() {
    let sink = Sink::start();
    sink.script("data-end", &[None]);
    let mut agent = Setup::mailing(&sink).set("routing", "retry = [\"1 ms\"]\nuncertain_wait = \"0 s\"").start();
    let id = agent.sold(&sale("R-600", "di@example.org"));
    until("it is uncertain", || (agent.state("R-600") == "uncertain").then_some(()));
    assert_eq!(agent.counts()["uncertain"], 1);
    later_mail_arrives(&agent, &sink, "R-601");
    agent.kill();
    agent.start(); // a start looks at every doubt anew
    later_mail_arrives(&agent, &sink, "R-602");
    assert_eq!((sink.about("R-600").len(), agent.state("R-600").as_str()), (1, "uncertain"), "it came, but nobody could know");
    let uncertain = agent.delivery_in("uncertain");
    for verb in ["retry", "release", "hold"] {
        assert_ne!(agent.cli(&["outbox", verb, &uncertain]).0, 0, "{verb} of what may have arrived");
    }
    // A person decides: it goes once more, and says what it is.
    let (code, said, err) = agent.cli(&["receipt", "resend", &id]);
    assert_eq!(code, 0, "{said}{err}");
    let copy = until("the copy", || sink.about("R-600").into_iter().nth(1));
    assert!(copy.text().to_lowercase().contains("copy"), "{}", copy.text());
    assert!(!sink.about("R-600")[0].text().to_lowercase().contains("copy"));
    assert_ne!(copy.header("Message-ID"), sink.about("R-600")[0].header("Message-ID"));
    let twice = agent.json(&["receipt", "resend", &id]);
    assert_eq!(twice["state"], "collapsed", "pressed twice within a minute");
    later_mail_arrives(&agent, &sink, "R-603");
    assert_eq!(sink.about("R-600").len(), 2);
}

#[test]
fn test_keys_reach_the_test_inbox_only() {
    let sink = Sink::start();
    let agent = Setup::mailing(&sink).start();
    assert_eq!(agent.line.sell(&sale("R-T", "lee@example.org"), TEST_KEY).unwrap().status, 200);
    until("it is caught", || (agent.state("R-T") == "accepted").then_some(()));
    let list = agent.json(&["outbox", "list"]);
    let row = &list["deliveries"][0];
    assert_eq!((&row["provider"], &row["state"], &row["to"]), (&json!("test-inbox"), &json!("accepted"), &json!("lee@example.org")));
    let shown = agent.json(&["outbox", "show", row["delivery_id"].as_str().unwrap()]);
    assert!(shown["content"].to_string().contains("R-T"), "what was caught can be read: {shown:#}");
    later_mail_arrives(&agent, &sink, "R-L");
    assert!(sink.about("R-T").is_empty());
    assert_eq!(sink.seen("rcpt"), 1);
}

/// Whoever answered STOP is not written to another way; whose number is wrong is.
#[test]
fn a_stop_ends_the_chain_and_a_wrong_number_does_not() {
    let sink = Sink::start();
    let agent = Setup::mailing(&sink).start();
    for (number, phone) in [("R-S", "+16075550114"), ("R-W", "+16075550111")] {
        let mut sale = sale(number, "lee@example.org");
        sale["customer"] = json!({"email": "lee@example.org", "phone": phone, "preferred_channel": "sms"});
        assert_eq!(agent.line.sell(&sale, TEST_KEY).unwrap().status, 200);
    }
    until("the wrong number gave way to mail", || (agent.state("R-W") == "accepted").then_some(()));
    until("the STOP was heard", || (agent.state("R-S") == "bounced").then_some(()));
    let list = agent.json(&["outbox", "list"]);
    assert_eq!(list["deliveries"].as_array().unwrap().len(), 3, "{list:#}");
}
