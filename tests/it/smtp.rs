//! SMTP against a real server: aiosmtpd 1.4.6. Needs `python3` with that package, which `tests/run`
//! installs. The server says when it listens and ends with its standard input, so nothing waits for
//! a time.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;
use tillpost::domain::channel::Channel;
use tillpost::domain::content::{Content, Email, Outgoing};
use tillpost::domain::ids::{IntentId, StepId};
use tillpost::domain::message::Kind;
use tillpost::domain::outcome::{Class, Outcome, Scope};
use tillpost::domain::time::UnixMs;
use tillpost::http::Client;
use tillpost::providers::{Account, find, table};

struct Peer {
    child: Child,
    port: u16,
    mails: tempfile::TempDir,
    _stdin: ChildStdin,
}

impl Peer {
    fn start(flags: &[&str]) -> Peer {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mails = tempfile::tempdir().unwrap();
        let tls = root.join("tests/fixtures/tls");
        let mut child = Command::new("python3")
            .arg(root.join("tests/peers/smtp_peer.py"))
            .args([mails.path(), &tls.join("localhost.pem"), &tls.join("localhost.key")])
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        let stdin = child.stdin.take().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().strip_prefix("ready ").expect("python3 -m pip install aiosmtpd==1.4.6").parse().unwrap();
        Peer { child, port, mails, _stdin: stdin }
    }

    fn account(&self, more: &str) -> Account {
        let ca = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls/ca.pem");
        let ca = fs::read_to_string(ca).unwrap();
        let text = format!("host = \"localhost\"\nport = {}\nca = '''{ca}'''\nconcurrency = 20\n{more}", self.port);
        let mut settings = table::read(find("smtp").unwrap(), &text.parse().unwrap()).unwrap();
        (settings.timeout, settings.concurrency) = (Duration::from_secs(10), Some(20));
        Account::new("main", &settings).unwrap()
    }

    fn mail(&self, number: usize) -> String {
        fs::read_to_string(self.mails.path().join(format!("{number}.eml"))).unwrap()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn message(to: &str) -> Outgoing {
    let content = Email {
        from: "Corner Mart <receipts@cmart.example>".into(),
        reply_to: String::new(),
        subject: "Your receipt — 18,20 €".into(),
        text: "Danke schön.\n\n.. und ein Punkt\n.\nTotal 18,20 €\n".into(),
        html: "<p>Danke schön.</p>\n".into(),
        headers: vec![("Auto-Submitted".into(), "auto-generated".into())],
    };
    Outgoing {
        step: StepId::new(&IntentId::from_bytes(&[7; 16]).unwrap(), 1, 0),
        message_id: "tp_0123456789abcdef0123456789".into(),
        kind: Kind::Receipt,
        channel: Channel::Email,
        to: to.into(),
        composed_at: UnixMs(1_791_043_664_000),
        content: Content::Email(content),
    }
}

async fn send(account: &Account, to: &str) -> Outcome {
    account.send(&Client::new(), &message(to), UnixMs(1_791_043_664_000)).await
}

const LOGIN: &str = "tls = \"starttls\"\nusername = \"shop\"\npassword = \"correct\"";

#[tokio::test]
async fn a_mail_arrives_as_it_was_written() {
    let peer = Peer::start(&[]);
    let account = peer.account(&format!("{LOGIN}\nenvelope_from = \"bounce+{{id}}@cmart.example\""));
    for number in 1..=2 {
        let outcome = send(&account, "kim@example.org").await;
        assert_eq!((outcome.class, outcome.provider_id.as_deref()), (Class::Accepted, Some(number.to_string().as_str())), "{outcome:?}");
    }
    let first = peer.mail(1);
    assert!(first.starts_with("bounce+tp_07070707070707070707070707.10@cmart.example\nkim@example.org\n"), "{first}");
    assert!(first.contains("X-TP-Id: tp_07070707070707070707070707.10"));
    assert!(first.contains("\r\n.. und ein Punkt\r\n.\r\n"), "dots arrive as they were: {first}");
    assert_eq!(first, peer.mail(2), "a repeat is the same mail");
    let local = send(&account, "käthe@müller.example").await;
    assert_eq!(local.class, Class::Accepted, "{local:?}");
    assert!(peer.mail(3).contains("käthe@xn--mller-kva.example"));
}

#[tokio::test]
async fn a_wrong_password_locks_the_account_out() {
    let peer = Peer::start(&[]);
    let outcome = send(&peer.account("tls = \"starttls\"\nusername = \"shop\"\npassword = \"canary\""), "kim@example.org").await;
    assert_eq!((outcome.class, outcome.scope), (Class::Auth, Scope::Account), "{outcome:?}");
    assert!(!format!("{outcome:?}").contains("canary"));
}

#[tokio::test]
async fn without_starttls_nothing_is_sent() {
    let peer = Peer::start(&["--no-starttls"]);
    let outcome = send(&peer.account(LOGIN), "kim@example.org").await;
    assert_eq!((outcome.class, outcome.scope), (Class::Auth, Scope::Account), "{outcome:?}");
    assert!(outcome.detail.contains("STARTTLS"), "{outcome:?}");
    assert_eq!(fs::read_dir(peer.mails.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_stranger_with_a_certificate_is_not_the_server() {
    let peer = Peer::start(&[]);
    let text = format!("host = \"localhost\"\nport = {}\n{LOGIN}", peer.port);
    let settings = table::read(find("smtp").unwrap(), &text.parse().unwrap()).unwrap();
    let outcome = send(&Account::new("main", &settings).unwrap(), "kim@example.org").await;
    assert_eq!((outcome.class, outcome.detail.as_str()), (Class::Retry, "tls"));
}
