//! What several providers have in common: keys of their tables, senders and headers of a mail, and how
//! refusals are judged where the provider's own words say nothing else.

use crate::config::Key;
use crate::config::checked::{Setting, Settings};
use crate::config::key::{Shape, optional};
use crate::domain::content::Email;
use crate::domain::outcome::{Class, Outcome, Scope};
use crate::domain::text::{one_line, scrub};
use crate::domain::time::{UnixMs, for_people};
use crate::http::{Answer, ascii_domain, retry_after};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::Value;
use std::time::Duration;

/// `track`
pub const TRACK: Key = optional(
    "track",
    Shape::List(&Shape::Word(&["opens", "clicks"])),
    "What the provider may track in a mail. Nothing by default: in many countries it needs the customer's consent.",
);
/// `tags`
pub const TAGS: Key = optional("tags", Shape::List(&Shape::Text), "Words by which the provider groups its statistics. No personal data.");
/// `callback.url`
pub const CALLBACK_URL: Key =
    optional("url", Shape::Url, "The public URL that the provider calls. Default: this box's own, as others reach it.");

/// The texts of a list by name.
pub fn texts(settings: &Settings, name: &str) -> Vec<String> {
    match settings.0.get(name) {
        Some(Setting::List(all)) => all.iter().filter_map(|s| if let Setting::Text(t) = s { Some(t.clone()) } else { None }).collect(),
        Some(Setting::Text(one)) => vec![one.clone()],
        _ => Vec::new(),
    }
}

/// What `track` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Track {
    /// Openings.
    pub opens: bool,
    /// Clicks.
    pub clicks: bool,
}

impl Track {
    /// From the checked table.
    pub fn of(settings: &Settings) -> Track {
        let all = texts(settings, "track");
        let has = |word: &str| all.iter().any(|t| t == word);
        Track { opens: has("opens"), clicks: has("clicks") }
    }
}

/// Adds a member to an object.
pub fn set(object: &mut Value, name: &str, value: impl Into<Value>) {
    if let Value::Object(object) = object {
        object.insert(name.to_owned(), value.into());
    }
}

/// `Authorization: Basic …`
pub fn basic(user: &str, password: &str) -> (String, String) {
    ("Authorization".to_owned(), format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}"))))
}

/// `Authorization: Bearer …`
pub fn bearer(token: &str) -> (String, String) {
    ("Authorization".to_owned(), format!("Bearer {token}"))
}

/// `Content-Type: …`
pub fn content_type(kind: &str) -> (String, String) {
    ("Content-Type".to_owned(), kind.to_owned())
}

/// A name and an address, as APIs want them apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// May be empty.
    pub name: String,
    /// With its domain in ASCII.
    pub address: String,
}

impl Sender {
    /// Reads `Corner Mart <receipts@cmart.example>` or the bare address.
    pub fn parse(text: &str) -> Option<Sender> {
        let (name, address) = match text.trim().strip_suffix('>').and_then(|t| t.rsplit_once('<')) {
            Some((name, address)) => (one_line(name.trim().trim_matches('"'), 200), address),
            None => (String::new(), text.trim()),
        };
        Some(Sender { name, address: ascii_address(address)? })
    }

    /// As one text for a header; a name with anything special in quotes.
    pub fn text(&self) -> String {
        let Sender { name, address } = self;
        let plain = |c: char| c.is_alphanumeric() || c == ' ' || !c.is_ascii();
        match name.as_str() {
            "" => address.clone(),
            name if name.chars().all(plain) => format!("{name} <{address}>"),
            name => format!("\"{}\" <{address}>", name.replace(['"', '\\'], "'")),
        }
    }
}

/// An address with its domain in ASCII; `None` where it is none.
pub fn ascii_address(address: &str) -> Option<String> {
    let (local, domain) = address.trim().rsplit_once('@')?;
    let bad = |c: char| c.is_control() || c.is_whitespace() || "<>,;:\"()[]\\@".contains(c);
    if local.is_empty() || local.contains(bad) {
        return None;
    }
    Some(format!("{local}@{}", ascii_domain(domain)?))
}

/// Sender, recipient and the address for answers of a mail, each checked; an outcome names whose fault it
/// is that there is no mail.
pub fn parties(email: &Email, to: &str) -> Result<(Sender, String, Option<Sender>), Outcome> {
    let ours = |what: &str| Outcome::new(Class::Auth, Scope::Account, format!("{what} of the channel email is not a mail address"));
    let from = Sender::parse(&email.from).ok_or_else(|| ours("from"))?;
    let to = ascii_address(to).ok_or_else(|| Outcome::new(Class::Permanent, Scope::Recipient, "the address cannot be used in a mail"))?;
    let reply_to = match email.reply_to.as_str() {
        "" => None,
        text => Some(Sender::parse(text).ok_or_else(|| ours("reply_to"))?),
    };
    Ok((from, to, reply_to))
}

/// Headers that an API makes from its own members, and those that no API lets anyone set.
const STRUCTURAL: &[&str] = &[
    "from",
    "to",
    "cc",
    "bcc",
    "subject",
    "reply-to",
    "sender",
    "date",
    "message-id",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "received",
    "dkim-signature",
    "return-path",
];

/// The further headers of a mail, each on one line, with those left out that are made elsewhere.
pub fn headers(email: &Email) -> Vec<(String, String)> {
    let mine = email.headers.iter().filter(|(name, _)| {
        let good = !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b':');
        good && !STRUCTURAL.contains(&name.to_ascii_lowercase().as_str())
    });
    mine.map(|(name, value)| (name.clone(), one_line(value, 2_000))).collect()
}

/// One line for the subject.
pub fn subject(email: &Email) -> String {
    one_line(&email.subject, 300)
}

/// The wait that an answer names: `Retry-After`, else `X-RateLimit-Reset` in Unix seconds. A moment that
/// has passed is no wait, which [`Outcome::wait`] makes one second.
pub fn wait(answer: &Answer, now: UnixMs) -> Option<Duration> {
    let after = answer.header("Retry-After").and_then(|value| retry_after::parse(value, now));
    after.or_else(|| {
        let reset: i64 = answer.header("X-RateLimit-Reset")?.trim().parse().ok()?;
        Some(UnixMs(reset.saturating_mul(1000)).since(now))
    })
}

/// An outcome of a refusal: the wait that the answer names counts where one can wait, and a box whose clock
/// is wrong is told so where that may be the cause.
pub fn refused(answer: &Answer, now: UnixMs, (class, scope): (Class, Scope), detail: &str) -> Outcome {
    let mut detail = scrub(&format!("{} {detail}", answer.status));
    if let Some(note) = clock_note(answer, now).filter(|_| class == Class::Auth) {
        detail = format!("{note} ({detail})");
    }
    let outcome = Outcome::new(class, scope, detail);
    if matches!(class, Class::Throttle | Class::Retry) { outcome.wait(wait(answer, now)) } else { outcome }
}

/// A sentence where the answer's `Date` is more than four minutes away from our clock: signatures and
/// assertions are then refused whatever the key.
pub fn clock_note(answer: &Answer, now: UnixMs) -> Option<String> {
    let theirs = answer.header("Date").and_then(retry_after::date)?;
    let off = theirs.since(now).max(now.since(theirs));
    (now.0 > 0 && off > Duration::from_secs(240)).then(|| format!("the clock of this box is {} wrong", for_people(off)))
}

/// Class and scope by the status alone. `sends`: the request may have sent something, so that a gateway
/// without an answer leaves nobody knowing.
pub fn by_status(status: u16, sends: bool) -> (Class, Scope) {
    match status {
        401 | 403 | 407 => (Class::Auth, Scope::Account),
        408 | 423 | 425 => (Class::Retry, Scope::Account),
        429 => (Class::Throttle, Scope::Account),
        400..=499 => (Class::Permanent, Scope::Message),
        502 | 504 | 524 if sends => (Class::Uncertain, Scope::Message),
        _ => (Class::Retry, Scope::Account),
    }
}

/// A success whose body is not the provider's: nobody knows who answered.
pub fn not_theirs(kind: &str) -> Outcome {
    Outcome::new(Class::Uncertain, Scope::Message, format!("a success without {kind}'s answer in it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_in_parts_and_whole() {
        let sender = Sender::parse("Corner Mart <r@müller.example>").unwrap();
        assert_eq!((sender.name.as_str(), sender.address.as_str()), ("Corner Mart", "r@xn--mller-kva.example"));
        assert_eq!(sender.text(), "Corner Mart <r@xn--mller-kva.example>");
        assert_eq!(Sender::parse("\"Mart, Inc.\" <r@m.example>").unwrap().text(), "\"Mart, Inc.\" <r@m.example>");
        assert_eq!(Sender::parse("r@m.example").unwrap().text(), "r@m.example");
        for bad in ["", "shop", "a b@m.example", "x <r@m.example>, y", "r@m.example\r\nBcc: x@m.example", "a,b@m.example"] {
            assert_eq!(Sender::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_wrong_clock_is_named() {
        let now = UnixMs::parse_rfc3339("2026-10-06T14:00:00Z").unwrap();
        let answer = |date: &str| Answer { status: 403, headers: vec![("date".into(), date.into())], body: Vec::new() };
        let said = refused(&answer("Tue, 06 Oct 2026 16:00:00 GMT"), now, (Class::Auth, Scope::Account), "no");
        assert_eq!(said.detail, "the clock of this box is 2 h wrong (403 no)");
        assert_eq!(refused(&answer("Tue, 06 Oct 2026 14:02:00 GMT"), now, (Class::Auth, Scope::Account), "no").detail, "403 no");
    }

    #[test]
    fn waits_in_every_spelling() {
        let now = UnixMs(1_791_295_200_000);
        let wait = |name: &str, value: &str| {
            let answer = Answer { status: 429, headers: vec![(name.into(), value.into())], body: Vec::new() };
            refused(&answer, now, by_status(429, true), "").retry_after.map(|w| w.as_secs())
        };
        assert_eq!(wait("retry-after", "12"), Some(12));
        assert_eq!(wait("x-ratelimit-reset", "1791295245"), Some(45));
        assert_eq!(wait("x-ratelimit-reset", "1791295195"), Some(1));
        assert_eq!(wait("x-ratelimit-reset", "soon"), None);
    }
}
