//! Callbacks: a provider telling what became of a message. What comes in, what goes out, and the checks
//! that several providers share. Pure: nothing is fetched, kept or counted here.
//!
//! A call is verified before it is read. What cannot be shown to come from the provider is refused with a
//! word, and gives no event.

use crate::config::Secret;
use crate::config::checked::Provider as Settings;
use crate::domain::channel::words;
use crate::domain::outcome::Suppress;
use crate::domain::time::UnixMs;
use crate::http::form;
use ring::hmac;
use serde_json::Value;
use std::fmt;
use std::time::Duration;

/// A call as it came in.
#[derive(Clone, Default)]
pub struct Call {
    /// In capitals.
    pub method: String,
    /// The public URL as it was called.
    pub url: String,
    /// In order, names as they came.
    pub headers: Vec<(String, String)>,
    /// As it was received.
    pub body: Vec<u8>,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Call({}, {} bytes)", self.method, self.body.len())
    }
}

impl Call {
    /// The first header of that name, in any case of letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// A value of a URL's query.
pub fn query(url: &str, name: &str) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    let query = query.split('#').next().unwrap_or_default();
    form::parse(query.as_bytes()).into_iter().find(|(n, _)| n == name).map(|(_, value)| value)
}

/// What is known when a call is judged.
pub struct Known<'a> {
    /// When it came in.
    pub now: UnixMs,
    /// Whether a token was in an accepted call before.
    pub used: &'a dyn Fn(&str) -> bool,
    /// The PEM text of a certificate that was fetched from this URL before.
    pub certificate: &'a dyn Fn(&str) -> Option<String>,
}

/// An authentic call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What it says, in its order.
    pub events: Vec<Event>,
    /// To be remembered in the transaction that keeps the events: a second call with it is refused.
    pub token: Option<String>,
    /// To be asked for by GET once, to confirm that the reports are wanted. Its host was checked.
    pub confirm: Option<String>,
}

/// Why a call is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is not the provider's, or not fresh; the word says what failed. To be answered 401, and counted.
    Forged(&'static str),
    /// It is the provider's but cannot be read. To be answered 400.
    Unreadable(&'static str),
    /// This type or this account takes no calls as it is set up. To be answered 404.
    Unwanted(&'static str),
    /// It cannot be judged before the certificate at this URL is known. The URL is one of the provider's.
    Certificate(String),
}

impl Refusal {
    /// The word for tools, metrics and pages.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::Forged(word) | Refusal::Unreadable(word) | Refusal::Unwanted(word) => word,
            Refusal::Certificate(_) => "certificate_needed",
        }
    }
}

/// The signature, password or header that shows the origin is not there.
pub const MISSING: Refusal = Refusal::Forged("signature_missing");
/// It is there and does not fit.
pub const WRONG: Refusal = Refusal::Forged("signature_wrong");
/// The moment that was signed is too far from now.
pub const STALE: Refusal = Refusal::Forged("stale");
/// The token was used before.
pub const REPLAYED: Refusal = Refusal::Forged("replayed");
/// What verifies the calls is not in the settings.
pub const UNSET: Refusal = Refusal::Unwanted("not_configured");
/// Authentic, and not what it should look like.
pub const MALFORMED: Refusal = Refusal::Unreadable("malformed");

words! {
    /// What became of a message.
    EventKind {
        /// The provider has it.
        Queued = "queued",
        /// The provider passed it on.
        Sent = "sent",
        /// The recipient's side put it off.
        Deferred = "deferred",
        /// The recipient's side took it.
        Delivered = "delivered",
        /// The recipient's side refused it.
        Bounced = "bounced",
        /// The provider did not try.
        Dropped = "dropped",
        /// The provider could not make a message of it.
        Failed = "failed",
        /// The recipient called it spam.
        Complained = "complained",
        /// It was opened, or something fetched its picture.
        Opened = "opened",
        /// A link in it was followed.
        Clicked = "clicked",
        /// The recipient left the list.
        Unsubscribed = "unsubscribed",
        /// The recipient came back.
        Resubscribed = "resubscribed",
        /// The recipient answered.
        Replied = "replied",
    }
}

words! {
    /// Whether a bounce is for good.
    Bounce {
        /// The address does not exist.
        Hard = "hard",
        /// This message failed; the address may be good.
        Soft = "soft",
    }
}

/// One thing that became of one message.
#[derive(Clone, PartialEq, Eq)]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// To whom; empty where the provider does not say.
    pub recipient: String,
    /// Our delivery id where it travels, else the provider's id; empty where there is neither.
    pub message_ref: String,
    /// The provider's own id, whatever `message_ref` is; empty where there is none.
    pub provider_id: String,
    /// Of a bounce.
    pub bounce: Option<Bounce>,
    /// The address must not be written to again, and why.
    pub suppress: Option<Suppress>,
    /// The link of a click.
    pub url: Option<String>,
    /// When, by the provider's clock.
    pub at: Option<UnixMs>,
    /// A machine did it: the provider says so.
    pub automatic: bool,
    /// The same for each repeat of the same report.
    pub key: String,
    /// The provider's reason, scrubbed; for a reply its text, which is personal data.
    pub text: String,
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Event({}, {:?}, {:?})", self.kind, self.bounce, self.suppress)
    }
}

impl Event {
    /// An event with nothing but its kind, recipient and reference.
    pub fn new(kind: EventKind, recipient: impl Into<String>, message_ref: impl Into<String>) -> Event {
        Event {
            kind,
            recipient: recipient.into(),
            message_ref: message_ref.into(),
            provider_id: String::new(),
            bounce: None,
            suppress: None,
            url: None,
            at: None,
            automatic: false,
            key: String::new(),
            text: String::new(),
        }
    }

    /// A bounce; one for good suppresses the address.
    pub fn bounced(mut self, bounce: Bounce) -> Event {
        self.bounce = Some(bounce);
        if bounce == Bounce::Hard {
            self.suppress = Some(Suppress::HardBounce);
        }
        self
    }

    /// With the reason to write to this address no more.
    pub fn suppressing(mut self, why: Option<Suppress>) -> Event {
        self.suppress = why;
        self
    }
}

/// The most events of one call that are read; no provider is known to send more than 1,000.
pub const MOST_EVENTS: usize = 5_000;

/// The URLs that may have been signed: the one in the settings, without and with the query of the call, as
/// the provider may have been told it with a query of ours; without one in the settings the one called.
pub fn signed_urls(settings: &Settings, call: &Call) -> Vec<String> {
    let told = settings.settings.table("callback").map(|c| c.text("url")).unwrap_or_default();
    match (told, call.url.split_once('?')) {
        ("", _) => vec![call.url.clone()],
        (url, Some((_, query))) if !url.contains('?') => vec![format!("{url}?{query}"), url.to_owned()],
        (url, _) => vec![url.to_owned()],
    }
}

/// A secret of `callback = { … }`; empty where it is not set.
pub fn secret(settings: &Settings, name: &str) -> Secret {
    settings.settings.table("callback").map(|c| c.secret(name)).unwrap_or_default()
}

/// Whether the code is the HMAC of the bytes, compared in constant time.
pub fn hmac_fits(algorithm: hmac::Algorithm, secret: &Secret, bytes: &[u8], code: &[u8]) -> bool {
    hmac::verify(&hmac::Key::new(algorithm, secret.expose().as_bytes()), bytes, code).is_ok()
}

/// Whether two texts are the same, without telling by the time it takes how much of them is.
pub fn same(a: &str, b: &str) -> bool {
    // Comparing their codes under one key hides where and how long they differ.
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"compare");
    hmac::verify(&key, a.as_bytes(), hmac::sign(&key, b.as_bytes()).as_ref()).is_ok()
}

/// Lower- or upper-case hexadecimal to bytes.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.trim().chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    let digits = digits.filter(|d| d.len() % 2 == 0)?;
    Some(digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |n, d| n << 4 | d)).collect())
}

/// Whether a signed moment is near enough: at most `age` ago, and not further ahead than clocks differ.
pub fn fresh(at: Option<UnixMs>, now: UnixMs, age: Duration) -> Result<(), Refusal> {
    let near = at.is_some_and(|at| now.since(at) <= age && at.since(now) <= Duration::from_secs(900));
    if near { Ok(()) } else { Err(STALE) }
}

/// A member's text; numbers as their digits; empty where it is not there.
pub fn text(value: &Value, name: &str) -> String {
    match value.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}

/// A moment given as Unix seconds, whole or with a fraction, as a number or text.
pub fn seconds(value: Option<&Value>) -> Option<UnixMs> {
    let seconds = value.and_then(|v| v.as_f64().or_else(|| v.as_str()?.trim().parse().ok()))?;
    let within = seconds.is_finite() && (0.0..4e12).contains(&seconds);
    #[expect(clippy::cast_possible_truncation, reason = "within the range above")]
    within.then(|| UnixMs((seconds * 1000.0).round() as i64))
}

/// Words that end all texts, as carriers in the United States and Canada ask for them.
const STOP: &[&str] = &["STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"];
const START: &[&str] = &["START", "UNSTOP", "YES"];

/// What a customer answered to a text. `opt_out`: what the provider says that it meant, `STOP`, `START` or
/// `HELP`; without that the word itself counts.
pub fn reply(from: &str, id: &str, body: &str, opt_out: &str) -> Event {
    let word = body.trim().to_ascii_uppercase();
    let is = |kind: &str, words: &[&str]| opt_out == kind || (opt_out.is_empty() && words.contains(&word.as_str()));
    let mut event = if is("START", START) {
        Event::new(EventKind::Resubscribed, from, id)
    } else {
        Event::new(EventKind::Replied, from, id).suppressing(is("STOP", STOP).then_some(Suppress::SmsStop))
    };
    event.text = body.to_owned();
    event
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn small_readers() {
        assert_eq!(from_hex("00fF10"), Some(vec![0, 255, 16]));
        assert_eq!(from_hex("0"), None);
        assert_eq!(from_hex("zz"), None);
        assert_eq!(seconds(Some(&json!(1_791_043_664.5))), Some(UnixMs(1_791_043_664_500)));
        assert_eq!(seconds(Some(&json!("1791043664"))), Some(UnixMs(1_791_043_664_000)));
        assert_eq!(seconds(Some(&json!("soon"))), None);
        assert_eq!(seconds(Some(&json!(1e300))), None);
        assert!(same("canary", "canary") && !same("canary", "canar") && !same("", "x"));
    }

    #[test]
    fn calls_are_read_and_never_shown() {
        let call = Call {
            method: "POST".into(),
            url: "https://hq.example/c?a=1&tp_id=tp_%31#x".into(),
            headers: vec![("X-Sign".into(), "canary".into())],
            body: b"canary".to_vec(),
        };
        assert_eq!((call.header("x-sign"), query(&call.url, "tp_id").as_deref()), (Some("canary"), Some("tp_1")));
        assert!(!format!("{call:?}").contains("canary"));
        let mut event = Event::new(EventKind::Delivered, "canary@example.org", "m");
        event.text = "canary".into();
        assert!(!format!("{event:?}").contains("canary"));
    }
}
