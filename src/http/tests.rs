//! Against scripted peers on this machine.

use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const STEP: Duration = Duration::from_millis(300);
const LIMITS: Limits = Limits { step: STEP, cap: 64 };

fn post(url: String) -> Request {
    Request { method: "POST", url, headers: vec![("X-Key".into(), "canary".into())], body: b"hello=canary".to_vec() }
}

/// Sends one request to a peer that does as it is told with the connection after reading the request.
async fn against<F, Fut>(peer: F) -> (Result<Answer, Transport>, Vec<u8>)
where
    F: FnOnce(TcpStream) -> Fut,
    Fut: Future<Output = ()>,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let request = post(format!("http://{}/x", listener.local_addr().unwrap()));
    let client = Client::new();
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut got = Vec::new();
        while !got.ends_with(b"hello=canary") {
            let mut part = [0; 1024];
            let n = stream.read(&mut part).await.unwrap();
            got.extend_from_slice(&part[..n]);
        }
        peer(stream).await;
        got
    };
    tokio::join!(client.send(&request, LIMITS), server)
}

#[tokio::test]
async fn an_answer_comes_back_capped_and_unjudged() {
    let long = "y".repeat(500);
    let answer = format!("HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 500\r\n\r\n{long}");
    let (answer, request) = against(|mut s| async move { s.write_all(answer.as_bytes()).await.unwrap() }).await;
    let answer = answer.unwrap();
    assert_eq!((answer.status, answer.header("retry-AFTER"), answer.body.len()), (429, Some("7"), 64));
    let request = String::from_utf8(request).unwrap().to_lowercase();
    assert!(request.contains("content-length: 12") && request.contains("x-key: canary"), "{request}");
}

#[tokio::test]
async fn redirects_are_answers() {
    let (answer, _) = against(|mut s| async move {
        s.write_all(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    })
    .await;
    assert_eq!(answer.unwrap().status, 302);
}

#[tokio::test]
async fn after_the_body_nobody_can_know() {
    let (closed, _) = against(|s| async move { drop(s) }).await;
    assert_eq!(closed.unwrap_err(), Transport::ResetAfterBody);
    let (silent, _) = against(|s| async move {
        sleep(STEP * 3).await;
        drop(s);
    })
    .await;
    assert_eq!(silent.unwrap_err(), Transport::TimeoutAfterBody);
    let (cut, _) = against(|mut s| async move { s.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{").await.unwrap() }).await;
    assert_eq!(cut.unwrap_err(), Transport::ClosedInAnswer);
}

#[tokio::test]
async fn before_the_body_it_certainly_did_not_arrive() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead = listener.local_addr().unwrap();
    let client = Client::new();
    // A peer that accepts and never speaks TLS.
    let silent = client.send(&post(format!("https://{dead}/")), LIMITS).await;
    assert_eq!(silent.unwrap_err(), Transport::ConnectTimeout);
    let no_tls = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        stream
    };
    // The first connection is still in the queue: it is taken first.
    let _first = listener.accept().await.unwrap();
    let request = post(format!("https://{dead}/"));
    let (plain, _stream) = tokio::join!(client.send(&request, LIMITS), no_tls);
    assert_eq!(plain.unwrap_err(), Transport::Tls);
    drop(listener);
    assert_eq!(client.send(&post(format!("http://{dead}/")), LIMITS).await.unwrap_err(), Transport::Refused);
    assert_eq!(client.probe(&format!("http://{dead}/")).await.unwrap_err(), Transport::Refused);
    let unknown = client.send(&post("http://nowhere.invalid/".into()), Limits { step: Duration::from_secs(5), cap: 1 }).await;
    assert!(matches!(unknown.unwrap_err(), Transport::Dns | Transport::ConnectTimeout));
}

#[test]
fn base_urls() {
    assert_eq!(check_base_url("https://api.example.com/", false).unwrap(), "https://api.example.com");
    assert_eq!(check_base_url("http://127.0.0.1:9/x", false).unwrap(), "http://127.0.0.1:9/x");
    assert!(check_base_url("http://localhost:9", false).is_ok() && check_base_url("http://[::1]:9", false).is_ok());
    assert!(check_base_url("http://api.example.com", true).is_ok());
    for bad in [
        "http://api.example.com",
        "ftp://canary",
        "canary",
        "https://user:canary@example.com",
        "https://example.com/?canary",
        "http://localhost.example.com",
    ] {
        let why = check_base_url(bad, false).unwrap_err();
        assert!(!why.contains("canary"), "{why}");
    }
}

#[test]
fn nothing_shows_secrets() {
    let answer = Answer { status: 200, headers: vec![("a".into(), "canary".into())], body: b"canary".to_vec() };
    assert!(!format!("{:?} {answer:?}", post("https://x/?canary".into())).contains("canary"));
}

#[test]
fn domains_in_ascii() {
    assert_eq!(ascii_domain("Müller.example").as_deref(), Some("xn--mller-kva.example"));
    assert_eq!(ascii_domain("mail.example").as_deref(), Some("mail.example"));
    for bad in ["", "a b.example", "x/y", "127.0.0.1"] {
        assert_eq!(ascii_domain(bad), None, "{bad}");
    }
}
