//! The dialogue against a scripted server: every stage, every kind of fault.

use super::*;
use crate::config::checked;
use crate::domain::outcome::{Class, Scope};
use crate::providers::conformance::{account, email};
use crate::providers::{Account, conformance};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

const STEP: Duration = Duration::from_millis(400);

fn settings(port: u16, more: &str) -> checked::Provider {
    account("smtp", &format!("host = \"127.0.0.1\"\nport = {port}\n{more}"))
}

fn plain(port: u16) -> Smtp {
    Smtp::new(&settings(port, "tls = \"none\"")).unwrap()
}

/// One step of a script: a line that must come (its start), and what is answered to it.
type Script = &'static [(&'static str, &'static str)];

/// Follows the script on one connection and gives back what it heard. The answer `"hang"` says
/// nothing until the client leaves, `"close"` closes.
async fn follow(stream: TcpStream, script: Script) -> String {
    let mut stream = BufReader::new(stream);
    let mut heard = String::new();
    for (expected, answer) in script {
        let mut line = String::new();
        while !expected.is_empty() && (line.is_empty() || (*expected == "." && line != ".\r\n")) {
            line.clear();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return heard;
            }
            heard.push_str(&line);
        }
        assert!(line.starts_with(expected), "expected {expected}, heard {line}");
        match *answer {
            "hang" => {
                let mut rest = Vec::new();
                let _ = stream.read_until(0, &mut rest).await;
                return heard;
            }
            "close" => return heard,
            text => stream.get_mut().write_all(format!("{text}\r\n").as_bytes()).await.unwrap(),
        }
    }
    heard
}

const HELLO: (&str, &str) = ("", "220 mail.example ESMTP");
const EHLO: (&str, &str) = ("EHLO [127.0.0.1]", "250-mail.example\r\n250 SIZE 100000");
const PIPELINING: (&str, &str) = ("EHLO", "250-mail.example\r\n250 PIPELINING");
const MAIL: (&str, &str) = ("MAIL FROM:<receipts@cmart.example>", "250 2.1.0 ok");
const RCPT: (&str, &str) = ("RCPT TO:<kim@example.org>", "250 2.1.5 ok");
const DATA: (&str, &str) = ("DATA", "354 go");
const DOT: (&str, &str) = (".", "250 2.0.0 queued as 4711");

/// The outcomes of so many mails, one after another, against one script for each connection.
async fn mails(count: usize, scripts: &[Script]) -> (Vec<Outcome>, Vec<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let smtp = plain(listener.local_addr().unwrap().port());
    let server = async {
        let mut heard = Vec::new();
        for script in scripts {
            let (stream, _) = listener.accept().await.unwrap();
            heard.push(follow(stream, script).await);
        }
        heard
    };
    let client = async {
        let mut outcomes = Vec::new();
        for _ in 0..count {
            outcomes.push(smtp.send(&email("kim@example.org"), STEP).await);
        }
        smtp.close().await;
        outcomes
    };
    tokio::join!(client, server)
}

async fn one(script: Script) -> (Class, Scope) {
    let outcome = mails(1, &[script]).await.0.remove(0);
    (outcome.class, outcome.scope)
}

#[tokio::test]
async fn a_mail_is_taken() {
    let (outcomes, heard) = mails(1, &[&[HELLO, EHLO, MAIL, RCPT, DATA, DOT, ("QUIT", "221 bye")]]).await;
    assert_eq!((outcomes[0].class, outcomes[0].provider_id.as_deref()), (Class::Accepted, Some("4711")));
    assert!(heard[0].contains("MAIL FROM:<receipts@cmart.example> SIZE="), "{}", heard[0]);
    assert!(heard[0].contains("Message-ID: <tp_0123456789abcdef0123456789@cmart.example>\r\n"));
}

#[tokio::test]
async fn every_stage_has_its_outcome() {
    use Class::{Auth, Permanent, Retry, Uncertain};
    assert_eq!(one(&[("", "hang")]).await, (Retry, Scope::Account), "a server that never greets");
    assert_eq!(one(&[("", "421 4.3.2 later")]).await, (Retry, Scope::Account));
    assert_eq!(one(&[HELLO, ("EHLO", "close")]).await, (Retry, Scope::Account));
    assert_eq!(one(&[HELLO, EHLO, ("MAIL", "530 5.7.0 log in")]).await, (Auth, Scope::Account));
    assert_eq!(one(&[HELLO, EHLO, MAIL, ("RCPT", "550 5.1.1 no")]).await, (Permanent, Scope::Recipient));
    assert_eq!(one(&[HELLO, EHLO, MAIL, RCPT, ("DATA", "close")]).await, (Retry, Scope::Account));
    assert_eq!(one(&[HELLO, EHLO, MAIL, RCPT, ("DATA", "250 what?")]).await, (Retry, Scope::Account));
    assert_eq!(one(&[HELLO, EHLO, MAIL, RCPT, DATA, (".", "hang")]).await, (Uncertain, Scope::Message));
    assert_eq!(one(&[HELLO, EHLO, MAIL, RCPT, DATA, (".", "close")]).await, (Uncertain, Scope::Message));
    assert_eq!(one(&[HELLO, EHLO, MAIL, RCPT, DATA, (".", "garbage")]).await, (Uncertain, Scope::Message));
    assert_eq!(one(&[HELLO, EHLO, MAIL, RCPT, DATA, (".", "550 5.7.1 spam")]).await, (Permanent, Scope::Message));
    assert_eq!(one(&[HELLO, ("EHLO", "250-m\r\n250 SIZE 10")]).await, (Permanent, Scope::Message), "larger than it takes");
}

#[tokio::test]
async fn an_old_server_is_greeted_the_old_way() {
    let script: Script = &[HELLO, ("EHLO", "502 what?"), ("HELO", "250 mail.example"), MAIL, RCPT, DATA, DOT];
    assert_eq!(one(script).await.0, Class::Accepted);
}

#[tokio::test]
async fn commands_go_at_once_where_the_server_allows_it() {
    let (outcomes, heard) = mails(2, &[&[HELLO, PIPELINING, MAIL, RCPT, DATA, DOT, MAIL, RCPT, DATA, DOT]]).await;
    assert!(outcomes.iter().all(|o| o.class == Class::Accepted), "{outcomes:?}");
    assert_eq!(heard[0].matches("EHLO").count(), 1, "one connection for both");
    // A refused recipient: all three replies are read, then the connection is made ready again.
    let refused: Script = &[
        HELLO,
        PIPELINING,
        MAIL,
        ("RCPT", "550 5.1.1 no"),
        ("DATA", "503 5.5.1 no recipients"),
        ("RSET", "250 ok"),
        MAIL,
        RCPT,
        DATA,
        DOT,
    ];
    let (outcomes, _) = mails(2, &[refused]).await;
    assert_eq!(outcomes.iter().map(|o| o.class).collect::<Vec<_>>(), [Class::Permanent, Class::Accepted]);
    // A server that wants a mail for nobody: left alone, and the next mail connects anew.
    let odd: Script = &[HELLO, PIPELINING, MAIL, ("RCPT", "450 4.2.1 later"), DATA];
    let (outcomes, _) = mails(2, &[odd, &[HELLO, PIPELINING, MAIL, RCPT, DATA, DOT]]).await;
    assert_eq!(outcomes.iter().map(|o| o.class).collect::<Vec<_>>(), [Class::Retry, Class::Accepted]);
}

#[tokio::test]
async fn a_dead_connection_costs_no_attempt() {
    for end in [("MAIL", "421 4.4.2 idle too long"), ("MAIL", "close")] {
        let first: &'static [(&str, &str)] = vec![HELLO, EHLO, MAIL, RCPT, DATA, DOT, end].leak();
        let (outcomes, heard) = mails(2, &[first, &[HELLO, EHLO, MAIL, RCPT, DATA, DOT]]).await;
        assert!(outcomes.iter().all(|o| o.class == Class::Accepted), "{outcomes:?}");
        assert_eq!(heard.len(), 2);
    }
    // On a fresh connection the same is an attempt.
    assert_eq!(one(&[HELLO, EHLO, ("MAIL", "421 4.4.2 go")]).await, (Class::Retry, Scope::Account));
}

#[tokio::test]
async fn nothing_goes_in_clear_where_tls_is_demanded() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let smtp = Smtp::new(&settings(port, "tls = \"starttls\"\nusername = \"u\"\npassword = \"canary\"")).unwrap();
    for script in [&[HELLO, EHLO][..], &[HELLO, ("EHLO", "250-m\r\n250 STARTTLS"), ("STARTTLS", "454 4.7.0 not now")]] {
        let script: Script = script.to_vec().leak();
        let server = async { follow(listener.accept().await.unwrap().0, script).await };
        let message = email("kim@example.org");
        let (outcome, heard) = tokio::join!(smtp.send(&message, STEP), server);
        assert!(!heard.contains("AUTH") && !heard.contains("MAIL"), "{heard}");
        assert_ne!(outcome.class, Class::Accepted);
    }
}

#[tokio::test]
async fn a_login_is_chosen_and_never_shown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    // base64: "user" is dXNlcg==, "canary" is Y2FuYXJ5
    for (auth, script, class) in [
        (
            "auto",
            &[
                HELLO,
                ("EHLO", "250-m\r\n250 AUTH LOGIN"),
                ("AUTH LOGIN", "334 VXNlcm5hbWU6"),
                ("dXNlcg==", "334 UGFzc3dvcmQ6"),
                ("Y2FuYXJ5", "535 5.7.8 canary no"),
            ][..],
            Class::Auth,
        ),
        ("plain", &[HELLO, ("EHLO", "250-m\r\n250 AUTH LOGIN")][..], Class::Auth),
        (
            "xoauth2",
            &[HELLO, ("EHLO", "250-m\r\n250 AUTH XOAUTH2"), ("AUTH XOAUTH2 ", "334 eyJzdGF0dXMiOiI0MDAifQ=="), ("\r\n", "535 5.7.8 no")][..],
            Class::Auth,
        ),
        (
            "auto",
            &[HELLO, ("EHLO", "250-m\r\n250 AUTH PLAIN LOGIN"), ("AUTH PLAIN AHVzZXIAY2FuYXJ5", "235 ok"), MAIL, RCPT, DATA, DOT][..],
            Class::Accepted,
        ),
    ] {
        let smtp =
            Smtp::new(&settings(port, &format!("tls = \"none\"\nusername = \"user\"\npassword = \"canary\"\nauth = \"{auth}\""))).unwrap();
        let script: Script = script.to_vec().leak();
        let server = async { follow(listener.accept().await.unwrap().0, script).await };
        let message = email("kim@example.org");
        let (outcome, _) = tokio::join!(smtp.send(&message, STEP), server);
        assert_eq!(outcome.class, class, "{auth} {outcome:?}");
        assert!(!format!("{smtp:?}").contains("canary"));
    }
}

#[tokio::test]
async fn addresses_that_a_server_cannot_carry() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let smtp = plain(listener.local_addr().unwrap().port());
    let server = async { follow(listener.accept().await.unwrap().0, &[HELLO, EHLO]).await };
    let message = email("käthe@example.org");
    let (outcome, _) = tokio::join!(smtp.send(&message, STEP), server);
    assert_eq!((outcome.class, outcome.scope), (Class::Permanent, Scope::Recipient));
    assert!(outcome.detail.contains("SMTPUTF8"));
}

#[tokio::test]
async fn a_server_on_this_machine_never_waits_for_the_line() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let account = Account::new("main", &settings(port, "tls = \"none\"")).unwrap();
    let outcome = account.send(&http::Client::new(), &conformance::email("kim@example.org"), crate::domain::time::UnixMs(0)).await;
    assert_eq!((outcome.class, outcome.scope, outcome.detail.as_str()), (Class::Retry, Scope::Account, "refused"));
    let far = Smtp::new(&account_far()).unwrap();
    assert!(!http::is_loopback(far.host()));
}

fn account_far() -> checked::Provider {
    account("smtp", "host = \"mail.cmart.example\"")
}

#[test]
fn settings_are_checked_with_a_sentence() {
    let refused = |text: &str| Smtp::new(&account("smtp", text)).unwrap_err();
    assert!(refused("host = \"mail.example\"\ntls = \"none\"").contains("this machine"));
    assert!(refused("host = \"smtp://mail.example\"").contains("host"));
    assert!(refused("host = \"m\"\nusername = \"u\"").contains("belong together"));
    assert!(refused("host = \"m\"\nenvelope_from = \"bounces\"").contains("envelope_from"));
    assert!(refused("host = \"m\"\nca = \"canary\"").contains("certificate"));
    let port = |text: &str| Smtp::new(&account("smtp", text)).unwrap().server;
    assert_eq!((port("host = \"m\"").port, port("host = \"m\"").tls), (465, Tls::Implicit));
    assert_eq!((port("host = \"m\"\nport = 587").tls, port("host = \"m\"\ntls = \"starttls\"").port), (Tls::Upgrade, 587));
    let insecure = checked::Provider { allow_insecure: true, ..account("smtp", "host = \"m\"\ntls = \"none\"") };
    assert_eq!(Smtp::new(&insecure).unwrap().server.port, 25);
}

/// Takes every mail as fast as it can, commands in one write or not.
async fn sink(listener: TcpListener, taken: Arc<AtomicUsize>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let taken = taken.clone();
        connections.spawn(async move {
            let _ = stream.set_nodelay(true);
            let mut stream = BufReader::new(stream);
            let (mut line, mut in_data, mut out) = (Vec::new(), false, b"220 sink\r\n".to_vec());
            loop {
                if stream.buffer().is_empty() && !out.is_empty() {
                    stream.get_mut().write_all(&out).await?;
                    out.clear();
                }
                line.clear();
                if stream.read_until(b'\n', &mut line).await? == 0 {
                    return std::io::Result::Ok(());
                }
                match (in_data, line.get(..4).unwrap_or(&line)) {
                    (true, _) if line == b".\r\n" => {
                        in_data = false;
                        taken.fetch_add(1, Ordering::Relaxed);
                    }
                    (true, _) => continue,
                    (false, b"EHLO") => {
                        out.extend_from_slice(b"250-sink\r\n250 PIPELINING\r\n");
                        continue;
                    }
                    (false, b"DATA") => {
                        in_data = true;
                        out.extend_from_slice(b"354 go\r\n");
                        continue;
                    }
                    _ => {}
                }
                out.extend_from_slice(b"250 ok\r\n");
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_connections_carry_each_mail_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let smtp = Arc::new(plain(listener.local_addr().unwrap().port()));
    let mut tasks = tokio::task::JoinSet::new();
    let taken = Arc::new(AtomicUsize::new(0));
    tasks.spawn(sink(listener, taken.clone()));
    let mut lanes = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let smtp = smtp.clone();
        lanes.spawn(async move {
            for _ in 0..100 {
                assert_eq!(smtp.send(&email("kim@example.org"), Duration::from_secs(10)).await.class, Class::Accepted);
            }
        });
    }
    lanes.join_all().await;
    assert_eq!(taken.load(Ordering::Relaxed), 2_000);
}

#[tokio::test]
async fn reports_are_asked_for_where_they_are_offered() {
    const OFFERS: (&str, &str) = ("EHLO", "250-mail.example\r\n250 DSN");
    const PLAIN: Script = &[HELLO, EHLO, MAIL, RCPT, DATA, DOT];
    const WITH: Script = &[
        HELLO,
        OFFERS,
        ("MAIL FROM:<bounce+tp_", "250 ok"),
        ("RCPT TO:<kim+shop@example.org> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;kim+2Bshop@example.org\r\n", "250 ok"),
        DATA,
        DOT,
    ];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let smtp = Smtp::new(&settings(port, "tls = \"none\"\ndsn = true\nenvelope_from = \"bounce+{id}@cmart.example\"")).unwrap();
    let server = async { follow(listener.accept().await.unwrap().0, WITH).await };
    let message = email("kim+shop@example.org");
    let (heard, outcome) = tokio::join!(server, smtp.send(&message, STEP));
    assert_eq!(outcome.class, Class::Accepted);
    assert!(heard.contains(&format!(" RET=HDRS ENVID={}\r\n", message.step)), "{heard}");
    let (outcomes, heard) = mails(1, &[PLAIN]).await;
    assert!(outcomes[0].class == Class::Accepted && !heard[0].contains("NOTIFY"));
}
