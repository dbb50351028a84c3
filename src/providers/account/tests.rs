//! The runner against a peer on this machine: tokens, batches that are split, look-ups and probes.

use super::*;
use crate::providers::conformance::{account as settings, email};
use std::sync::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const NOW: UnixMs = UnixMs(1_791_043_664_000);

/// Reads one request: its first line and its body.
async fn read(stream: &mut TcpStream) -> (String, String) {
    let mut got = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&got).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.to_lowercase().split_once("content-length: ").map_or(0, |(_, n)| n.lines().next().unwrap().parse().unwrap());
            if body.len() >= length {
                return (head.lines().next().unwrap().to_owned() + "\n" + head, body.to_owned());
            }
        }
        let mut part = [0; 65_536];
        let n = stream.read(&mut part).await.unwrap();
        assert!(n > 0, "the client hung up");
        got.extend_from_slice(&part[..n]);
    }
}

/// Runs a client against a peer that answers each request by `answer(first line, headers and body)`.
async fn against<T>(
    table: impl Fn(u16) -> String,
    kind: &str,
    answer: impl Fn(&str, &str) -> (u16, String),
    client: impl AsyncFnOnce(&Account, &Client) -> T,
) -> T {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let account = Account::new("main", &settings(kind, &table(listener.local_addr().unwrap().port()))).unwrap();
    let http = Client::new();
    let serve = async {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (head, body) = read(&mut stream).await;
            let (line, head) = head.split_once('\n').unwrap();
            let (status, text) = answer(line, &format!("{head}\n{body}"));
            let reply = format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{text}", text.len());
            stream.write_all(reply.as_bytes()).await.unwrap();
        }
    };
    tokio::select! { () = serve => unreachable!(), done = client(&account, &http) => done }
}

fn graph(port: u16) -> String {
    format!(
        "tenant = \"t\"\nclient_id = \"c\"\nclient_secret = \"s\"\nmailbox = \"r@cmart.example\"\nbase_url = \"http://127.0.0.1:{port}\""
    )
}

fn token(n: usize) -> String {
    format!(r#"{{"access_token":"t{n}","expires_in":3600}}"#)
}

#[tokio::test]
async fn one_token_serves_all_who_wait_and_is_renewed_before_its_end() {
    let asked = Mutex::new(0);
    let answer = |line: &str, _: &str| {
        if line.contains("/token") {
            *asked.lock().unwrap() += 1;
            return (200, token(*asked.lock().unwrap()));
        }
        (202, String::new())
    };
    against(graph, "graph", answer, async |account: &Account, http: &Client| {
        let message = email("kim@example.org");
        let all = tokio::join!(account.send(http, &message, NOW), account.send(http, &message, NOW), account.send(http, &message, NOW));
        assert!([&all.0, &all.1, &all.2].iter().all(|o| o.class == Class::Accepted), "{all:?}");
        assert_eq!(*asked.lock().unwrap(), 1);
        let late = NOW + Duration::from_secs(3_541);
        assert_eq!(account.send(http, &message, late).await.class, Class::Accepted);
        assert_eq!(*asked.lock().unwrap(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_withdrawn_token_is_renewed_once_and_no_more() {
    let asked = Mutex::new((0, 0));
    let answer = |line: &str, whole: &str| {
        let mut asked = asked.lock().unwrap();
        if line.contains("/token") {
            asked.0 += 1;
            return (200, token(asked.0));
        }
        asked.1 += 1;
        if whole.contains("Bearer t2") { (202, String::new()) } else { (401, "{}".to_owned()) }
    };
    against(graph, "graph", answer, async |account: &Account, http: &Client| {
        assert_eq!(account.send(http, &email("kim@example.org"), NOW).await.class, Class::Accepted);
        assert_eq!(*asked.lock().unwrap(), (2, 2));
    })
    .await;
    let answer = |line: &str, _: &str| if line.contains("/token") { (200, token(1)) } else { (401, "{}".to_owned()) };
    against(graph, "graph", answer, async |account: &Account, http: &Client| {
        assert_eq!(account.send(http, &email("kim@example.org"), NOW).await.class, Class::Auth);
    })
    .await;
}

#[tokio::test]
async fn without_a_token_nothing_was_sent() {
    for (status, text, class) in
        [(502, "", Class::Retry), (200, "<html>", Class::Retry), (401, r#"{"error":"invalid_client"}"#, Class::Auth)]
    {
        let answer = |line: &str, _: &str| {
            assert!(line.contains("/token"), "{line}");
            (status, text.to_owned())
        };
        against(graph, "graph", answer, async |account: &Account, http: &Client| {
            let outcome = account.send(http, &email("kim@example.org"), NOW).await;
            assert_eq!((outcome.class, outcome.scope), (class, Scope::Account), "{status}");
        })
        .await;
    }
}

fn sendgrid(port: u16) -> String {
    format!("api_key = \"k\"\nbase_url = \"http://127.0.0.1:{port}\"")
}

#[tokio::test]
async fn one_bad_address_never_fails_the_rest() {
    let calls = Mutex::new(0);
    let answer = |_: &str, body: &str| {
        *calls.lock().unwrap() += 1;
        if body.contains("poison@") {
            let fault = r#"{"errors":[{"field":"personalizations.0.to.0.email","message":"Does not contain a valid address."}]}"#;
            return (400, fault.to_owned());
        }
        (202, String::new())
    };
    against(sendgrid, "sendgrid", answer, async |account: &Account, http: &Client| {
        let messages: Vec<Outgoing> =
            (0..32).map(|n| email(&if n == 13 { "poison@example.org".to_owned() } else { format!("kim{n}@example.org") })).collect();
        let all: Vec<&Outgoing> = messages.iter().collect();
        let outcomes = account.send_many(http, &all, NOW).await;
        for (n, outcome) in outcomes.iter().enumerate() {
            assert_eq!(outcome.class == Class::Accepted, n != 13, "{n} {outcome:?}");
        }
        assert_eq!((outcomes.len(), outcomes[13].scope), (32, Scope::Recipient));
        assert_eq!(*calls.lock().unwrap(), 11, "two for each halving, and the first");
    })
    .await;
}

#[tokio::test]
async fn a_fault_of_what_all_share_is_not_asked_for_each() {
    for (poison, bad, most) in [("", 64, 3), ("kim7@", 1, 12)] {
        let calls = Mutex::new(0);
        let answer = |_: &str, body: &str| {
            *calls.lock().unwrap() += 1;
            let fault = r#"{"errors":[{"field":"content","message":"no"}]}"#;
            if body.contains(poison) { (400, fault.to_owned()) } else { (202, String::new()) }
        };
        against(sendgrid, "sendgrid", answer, async |account: &Account, http: &Client| {
            let messages: Vec<Outgoing> = (0..64).map(|n| email(&format!("kim{n}@example.org"))).collect();
            let outcomes = account.send_many(http, &messages.iter().collect::<Vec<_>>(), NOW).await;
            assert_eq!(outcomes.iter().filter(|o| is_permanent(o, Scope::Message)).count(), bad);
            assert_eq!(outcomes.iter().filter(|o| o.class == Class::Accepted).count(), 64 - bad);
            assert!(*calls.lock().unwrap() <= most * 2, "{}", calls.lock().unwrap());
        })
        .await;
    }
}

#[test]
fn entries_that_do_not_fit_leave_nobody_knowing() {
    let messages = ["a@example.org", "b@example.org"].map(email);
    let one = Judged { entries: vec![Outcome::accepted(None)], ..Outcome::accepted(None).into() };
    assert!(in_order(one, &messages.each_ref()).iter().all(|o| o.class == Class::Uncertain));
    assert!(in_order(Outcome::accepted(None).into(), &messages.each_ref()).iter().all(|o| o.class == Class::Accepted));
}

#[tokio::test]
async fn entries_are_matched_to_their_recipients() {
    let table = |port| format!("api_key = \"k\"\nbase_url = \"http://127.0.0.1:{port}\"");
    let answer = |_: &str, _: &str| {
        let entries = r#"[{"email":"B@example.org","status":"rejected","reject_reason":"hard-bounce"},{"email":"a@example.org","status":"sent","_id":"1"},{"email":"x@example.org","status":"sent"}]"#;
        (200, entries.to_owned())
    };
    against(table, "mandrill", answer, async |account: &Account, http: &Client| {
        let messages = ["a@example.org", "b@example.org", "c@example.org"].map(email);
        let outcomes = account.send_many(http, &messages.each_ref(), NOW).await;
        let classes: Vec<Class> = outcomes.iter().map(|o| o.class).collect();
        assert_eq!(classes, [Class::Accepted, Class::Permanent, Class::Uncertain]);
    })
    .await;
}

#[tokio::test]
async fn questions_go_their_own_way() {
    let table = |port| format!("server_token = \"k\"\nbase_url = \"http://127.0.0.1:{port}\"");
    let answer = |line: &str, _: &str| {
        let text = if line.contains("/server") { r#"{"ID":7}"# } else { r#"{"Messages":[{"MessageID":"m"}]}"# };
        (200, text.to_owned())
    };
    against(table, "postmark", answer, async |account: &Account, http: &Client| {
        let found = account.look_up(http, &email("kim@example.org"), NOW, NOW).await;
        assert_eq!(found, Some(Found::Yes(Some("m".into()))));
        assert_eq!(account.probe(http, NOW).await.unwrap().outcome.class, Class::Accepted);
    })
    .await;
}

#[tokio::test]
async fn each_step_only_after_the_one_before() {
    use crate::providers::conformance::data;
    let table = |port| {
        format!(
            "api_key = \"k-us1\"\nlist = \"a1\"\ntags = [\"t\"]\njourneys = {{ \"sale.completed\" = \"1/2\" }}\nbase_url = \"http://127.0.0.1:{port}\""
        )
    };
    for (fails, class, steps) in [("none", Class::Accepted, 3), ("/tags", Class::Throttle, 2), ("/members/", Class::Throttle, 1)] {
        let seen = Mutex::new(0);
        let answer = |line: &str, _: &str| {
            *seen.lock().unwrap() += 1;
            if line.contains(fails) {
                return (429, String::new());
            }
            if line.starts_with("PUT") { (200, r#"{"id":"member"}"#.to_owned()) } else { (204, String::new()) }
        };
        against(table, "mailchimp", answer, async |account: &Account, http: &Client| {
            let outcome = account.send(http, &data("kim@example.org", "sale.completed", serde_json::json!({})), NOW).await;
            assert_eq!((outcome.class, *seen.lock().unwrap()), (class, steps), "{fails}");
            assert_eq!(outcome.provider_id.is_some(), steps > 1, "{fails}: the id is the first step's");
        })
        .await;
    }
}
