//! The host behind the receipts' links: a folder that a web server shows, or any server that takes HTTPS PUT.
//!
//! A page lies under its receipt's token, so a repeat puts the same bytes in the same place: safe by key. It
//! writes and never reads, lists or removes; when a page is to go is the host's business, which is told.

use crate::config::TypeKeys;
use crate::config::checked::{Provider as Settings, Rate};
use crate::config::key::{Shape, optional};
use crate::config::secret::Secret;
use crate::domain::channel::Channel;
use crate::domain::content::{Content, Outgoing, Page};
use crate::domain::outcome::{Class, Outcome, Scope};
use crate::domain::time::UnixMs;
use crate::domain::token;
use crate::http::{Answer, Request, check_base_url, retry_after};
use crate::providers::shared::bearer;
use crate::providers::{At, Health, HttpProvider, Idempotency, Judged, Kind, SEND, Step, Wire, wrong_content};
use crate::sys::durable;
use crate::sys::heavy::Heavy;
use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

/// What it is.
pub static KIND: Kind = Kind {
    keys: TypeKeys {
        name: "publish",
        doc: "The host behind the receipts' links: a folder that a web server shows, or a server that takes HTTPS PUT.",
        channels: &[Channel::Publish],
        keys: &[
            optional(
                "dir",
                Shape::Path,
                "The folder: each page is written as TOKEN.html, whole or not at all. In place of base_url, to which pages are put as TOKEN.",
            ),
            optional("token", Shape::Secret, "With base_url: sent as Authorization: Bearer."),
        ],
        example: "type = \"publish\"\nbase_url = \"https://r.cmart.example\"\ntoken = \"your upload token\"\n",
    },
    idempotency: Idempotency::Key,
    rate: Rate::per_second(10),
    concurrency: 4,
    batch: 1,
    keeps_content: false,
    classify: Some(judge),
    callback: None,
    build,
};

fn build(settings: &Settings) -> Result<Wire, String> {
    match (settings.settings.text("dir"), &settings.base_url) {
        ("", Some(_)) => Put::new(settings).map(|put| Wire::Http(Box::new(put))),
        ("", None) => Err("name a folder (dir) or where pages are put (base_url)".to_owned()),
        (_, Some(_)) => Err("dir and base_url exclude each other".to_owned()),
        (dir, None) => Ok(Wire::Folder(Folder::new(dir))),
    }
}

/// A server that takes PUT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    base_url: String,
    token: Secret,
}

impl Put {
    /// From the checked table. The error is a sentence for the config check.
    pub fn new(settings: &Settings) -> Result<Put, String> {
        let base_url = check_base_url(settings.base_url.as_deref().unwrap_or_default(), settings.allow_insecure)?;
        Ok(Put { base_url, token: settings.settings.secret("token") })
    }

    fn authorization(&self) -> Vec<(String, String)> {
        if self.token.is_empty() { Vec::new() } else { vec![bearer(self.token.expose())] }
    }
}

/// The page of a message, under a name that leads nowhere else.
fn page(message: &Outgoing) -> Result<&Page, Outcome> {
    match &message.content {
        Content::Page(page) if token::well_formed(&page.token) => Ok(page),
        _ => Err(wrong_content(&KIND)),
    }
}

impl HttpProvider for Put {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn base_url(&self) -> &str {
        &self.base_url
    }

    fn request(&self, message: &Outgoing, _at: At<'_>) -> Result<Vec<Step>, Outcome> {
        let page = page(message)?;
        let mut headers = self.authorization();
        headers.extend([
            ("Content-Type".to_owned(), "text/html; charset=utf-8".to_owned()),
            ("Idempotency-Key".to_owned(), message.step.to_string()),
            ("Tillpost-Expires".to_owned(), page.expires.rfc3339()),
        ]);
        let url = format!("{}/{}", self.base_url, page.token);
        Ok(Step::send(Request { method: "PUT", url, headers, body: page.html.clone().into_bytes() }))
    }

    fn probe(&self, _at: At<'_>) -> Option<Request> {
        Some(Request { method: "HEAD", url: format!("{}/", self.base_url), headers: self.authorization(), body: Vec::new() })
    }

    /// Whatever stands at the root: the host is there and does not refuse the token.
    fn probed(&self, answer: &Answer, now: UnixMs) -> Health {
        let outcome = classify(SEND, answer, now);
        let refused = matches!(outcome.class, Class::Auth | Class::Retry | Class::Throttle);
        if refused { outcome.into() } else { Outcome::accepted(None).into() }
    }
}

fn judge(operation: &str, answer: &Answer, now: UnixMs) -> Judged {
    classify(operation, answer, now).into()
}

/// What an answer to a PUT means, by RFC 9110.
pub fn classify(_: &str, answer: &Answer, now: UnixMs) -> Outcome {
    let said = |class, scope| Outcome::new(class, scope, answer.status.to_string());
    let wait = answer.header("Retry-After").and_then(|value| retry_after::parse(value, now));
    match answer.status {
        // A page where a bare success should be is one that asks for a login.
        200..=299 if is_page(answer) => Outcome::new(Class::Uncertain, Scope::Message, "a success with a web page in it"),
        200..=299 => Outcome::accepted(None),
        401 | 403 | 407 => said(Class::Auth, Scope::Account),
        404 | 405 | 410 | 501 => said(Class::Permanent, Scope::Destination),
        429 => said(Class::Throttle, Scope::Account).wait(wait),
        408 | 423 | 425 => said(Class::Retry, Scope::Account).wait(wait),
        400..=499 => said(Class::Permanent, Scope::Message),
        _ => said(Class::Retry, Scope::Account).wait(wait),
    }
}

fn is_page(answer: &Answer) -> bool {
    let start = answer.body.trim_ascii_start();
    start.len() > 4 && start.iter().take(14).map(u8::to_ascii_lowercase).collect::<Vec<_>>().starts_with(b"<!doctype html")
        || start.iter().take(5).map(u8::to_ascii_lowercase).collect::<Vec<_>>() == b"<html"
}

/// A folder. The disk is waited for on a thread of its own, that starts with the first page.
pub struct Folder {
    dir: PathBuf,
    thread: OnceLock<Option<Heavy>>,
}

impl Folder {
    fn new(dir: impl Into<PathBuf>) -> Folder {
        Folder { dir: dir.into(), thread: OnceLock::new() }
    }

    /// Writes the page; nobody ever sees a part of it.
    pub async fn send(&self, message: &Outgoing, within: Duration) -> Outcome {
        let page = match page(message) {
            Ok(page) => page,
            Err(outcome) => return outcome,
        };
        let again = |why: &str| Outcome::new(Class::Retry, Scope::Account, why);
        let Some(thread) = self.thread.get_or_init(|| Heavy::start().ok()) else { return again("no thread could be started") };
        let (dir, path, html) = (self.dir.clone(), self.dir.join(format!("{}.html", page.token)), page.html.clone());
        let write = thread.run(move || {
            match std::fs::create_dir(&dir) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            durable::replace_public(&path, html.as_bytes())
        });
        match tokio::time::timeout(within, write).await {
            Ok(Some(Ok(()))) => Outcome::accepted(None),
            Ok(Some(Err(error))) => fault(&error),
            Ok(None) => again("the page could not be written"),
            Err(_) => again("the disk did not answer in time"),
        }
    }
}

/// What a fault of the folder means: rights are for a person to mend, a full disk passes.
fn fault(error: &io::Error) -> Outcome {
    let class = match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::NotADirectory | io::ErrorKind::ReadOnlyFilesystem => Class::Auth,
        _ => Class::Retry,
    };
    Outcome::new(class, Scope::Account, format!("the folder: {}", error.kind()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::conformance::{NOWHERE, account, email, only, page, page_token as token};
    use crate::providers::{Account, Wire};
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    const TOKEN: &str = "1111111111z";

    #[test]
    fn a_page_is_put_under_its_token() {
        let put = Put::new(&account("publish", KIND.keys.example)).unwrap();
        let request = only(put.request(&page(&token()), NOWHERE));
        assert_eq!((request.method, request.url), ("PUT", format!("https://r.cmart.example/{}", token())));
        assert_eq!(request.headers[0], ("Authorization".to_owned(), "Bearer your upload token".to_owned()));
        assert!(request.headers.contains(&("Content-Type".to_owned(), "text/html; charset=utf-8".to_owned())));
        assert_eq!(request.body, b"<!doctype html><p>18.20</p>");
        for bad in ["../passwd", "", "a/b", TOKEN] {
            assert_eq!(put.request(&page(bad), NOWHERE).unwrap_err().class, Class::Permanent, "{bad}");
        }
        assert_eq!(put.request(&email("kim@example.org"), NOWHERE).unwrap_err().scope, Scope::Message);
    }

    #[test]
    fn a_folder_or_a_server_and_nothing_in_clear_text() {
        let refused = |text: &str| Account::new("host", &account("publish", text)).unwrap_err();
        assert!(refused("").contains("dir"));
        assert!(refused("dir = \"/x\"\nbase_url = \"https://r.cmart.example\"").contains("exclude"));
        assert!(refused("base_url = \"http://r.cmart.example\"").contains("https"));
        assert!(Account::new("host", &account("publish", "base_url = \"http://127.0.0.1:9\"")).unwrap().on_loopback());
    }

    #[test]
    fn what_answers_mean() {
        use Class::{Accepted, Auth, Permanent, Retry, Throttle, Uncertain};
        let answer = |status, body: &str| Answer { status, headers: vec![("Retry-After".into(), "7".into())], body: body.into() };
        for (status, body, class, scope) in [
            (201, "", Accepted, Scope::Message),
            (204, "", Accepted, Scope::Message),
            (200, "{\"etag\":\"x\"}", Accepted, Scope::Message),
            (200, "\n<!DOCTYPE html><title>Log in", Uncertain, Scope::Message),
            (200, "<html>", Uncertain, Scope::Message),
            (403, "", Auth, Scope::Account),
            (404, "", Permanent, Scope::Destination),
            (413, "", Permanent, Scope::Message),
            (429, "", Throttle, Scope::Account),
            (502, "", Retry, Scope::Account),
            (507, "", Retry, Scope::Account),
        ] {
            let outcome = classify("send", &answer(status, body), UnixMs(0));
            assert_eq!((outcome.class, outcome.scope), (class, scope), "{status}");
            assert_eq!(outcome.retry_after.is_some(), matches!(class, Retry | Throttle), "{status}");
        }
    }

    #[tokio::test]
    async fn a_folder_gets_the_page_whole_and_for_all_to_read() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("receipts");
        let host = Account::new("host", &account("publish", &format!("dir = {:?}", dir.display().to_string()))).unwrap();
        let Wire::Folder(wire) = &host.wire else { panic!("a folder") };
        for _ in 0..2 {
            assert_eq!(wire.send(&page(&token()), Duration::from_secs(9)).await.class, Class::Accepted);
        }
        let path = dir.join(format!("{}.html", token()));
        assert_eq!(fs::read(&path).unwrap(), b"<!doctype html><p>18.20</p>");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
        assert_eq!(wire.send(&page("../../x"), Duration::from_secs(9)).await.class, Class::Permanent);
        assert!(host.on_loopback());
        let nowhere = Folder::new(path.join("below-a-file"));
        assert_eq!(nowhere.send(&page(&token()), Duration::from_secs(9)).await.class, Class::Auth);
        let gone = Folder::new(folder.path().join("not/there"));
        assert_eq!(gone.send(&page(&token()), Duration::from_secs(9)).await.class, Class::Retry);
    }
}
