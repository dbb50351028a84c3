//! Providers: one file for each company's wire, and the list of them.
//!
//! A provider knows how to ask (`request`) and what an answer means (`classify`), both pure. It
//! never sees the store, decides nothing about retries, and keeps nothing between two messages
//! except its connections.
//!
//! To add one: write its file in the order of the others (what it is, settings, request, classify,
//! tests), and add its line to the list below. The conformance test does the rest.

pub mod capture;
#[cfg(test)]
mod conformance;
pub mod publish;
pub mod smtp;
pub mod table;
pub mod twilio;

use crate::config::TypeKeys;
use crate::config::checked::{Provider as Settings, Rate};
use crate::domain::content::Outgoing;
use crate::domain::outcome::{Class, Outcome, Scope};
use crate::domain::text::scrub;
use crate::domain::time::UnixMs;
use crate::http::{self, Answer, Client, Limits, Request, Transport};
use std::fmt;
use std::time::Duration;

/// What makes a repeat safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idempotency {
    /// Nothing: a repeat may arrive twice.
    None,
    /// The provider drops a repeat that carries the same id.
    Key,
}

/// One type of provider: everything that others need to know of it.
pub struct Kind {
    /// Name, channels, settings, example.
    pub keys: TypeKeys,
    /// See [`Idempotency`].
    pub idempotency: Idempotency,
    /// Rate of one account where the config names none.
    pub rate: Rate,
    /// Attempts at once where the config names none.
    pub concurrency: usize,
    /// What was composed stays readable after the end: the test inbox.
    pub keeps_content: bool,
    /// What an answer to a request means: the same as the wire's own `classify`, without an account.
    /// `None` where the provider is not asked by HTTP.
    pub classify: Option<Classify>,
    /// Makes an account's wire from its settings. The error is a sentence for the config check.
    pub build: fn(&Settings) -> Result<Wire, String>,
}

/// `operation`, answer, moment of the attempt → outcome.
pub type Classify = fn(&str, &Answer, UnixMs) -> Outcome;

/// The list: one line for each type.
static KINDS: &[&Kind] = &[
    &smtp::KIND, //
    &twilio::KIND,
    &publish::KIND,
    &capture::KIND,
];

/// Every type of provider.
pub fn kinds() -> &'static [&'static Kind] {
    KINDS
}

/// The type of that name, as after `type =`.
pub fn find(name: &str) -> Option<&'static Kind> {
    kinds().iter().find(|kind| kind.keys.name == name).copied()
}

/// How an account is reached.
pub enum Wire {
    /// By requests and answers.
    Http(Box<dyn HttpProvider>),
    /// By a dialogue of its own.
    Smtp(smtp::Smtp),
    /// By writing into a folder of this machine.
    Folder(publish::Folder),
    /// Not at all: the test inbox.
    Capture(capture::Capture),
}

/// A provider behind an HTTP API. Both functions are pure.
pub trait HttpProvider: Send + Sync {
    /// Where its API is, without a slash at the end.
    fn base_url(&self) -> &str;

    /// The request for one message; an outcome where there can be none, e.g. for a content that this
    /// type cannot send.
    fn request(&self, message: &Outgoing) -> Result<Request, Outcome>;

    /// What an answer means. `operation` is `send` unless the provider has others; `now` is when the
    /// attempt began, for waits that are given as a date. A success whose body is not the provider's
    /// is uncertain.
    fn classify(&self, operation: &str, answer: &Answer, now: UnixMs) -> Outcome;
}

/// One account: a name of the config with a wire behind it.
pub struct Account {
    /// `NAME` of `[providers.NAME]`.
    pub name: String,
    /// Its type.
    pub kind: &'static Kind,
    /// How it is reached.
    pub wire: Wire,
    /// Bounds each step of an attempt.
    pub timeout: Duration,
    /// Whether a repeat is safe.
    pub idempotency: Idempotency,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Account({}, {})", self.name, self.kind.keys.name)
    }
}

impl Account {
    /// The account of a table of the config. The error is a sentence for the config check.
    pub fn new(name: &str, settings: &Settings) -> Result<Account, String> {
        let kind = find(&settings.kind).ok_or_else(|| format!("there is no type of provider named {}", settings.kind))?;
        let wire = (kind.build)(settings)?;
        Ok(Account { name: name.to_owned(), kind, wire, timeout: settings.timeout, idempotency: kind.idempotency })
    }

    /// Whether it is on this machine: then it never waits for the line.
    pub fn on_loopback(&self) -> bool {
        match &self.wire {
            Wire::Http(provider) => http::host(provider.base_url()).is_some_and(|host| http::is_loopback(&host)),
            Wire::Smtp(smtp) => http::is_loopback(smtp.host()),
            Wire::Folder(_) | Wire::Capture(_) => true,
        }
    }

    /// One attempt, each step within the account's time limit. What the outcome says of it may be
    /// logged and shown. `now` is the moment at which it begins.
    pub async fn send(&self, client: &Client, message: &Outgoing, now: UnixMs) -> Outcome {
        let mut outcome = match &self.wire {
            Wire::Http(provider) => self.over_http(provider.as_ref(), client, message, now).await,
            Wire::Smtp(smtp) => smtp.send(message, self.timeout).await,
            Wire::Folder(folder) => folder.send(message, self.timeout).await,
            Wire::Capture(capture) => capture.send(message),
        };
        if outcome.class == Class::Offline && self.on_loopback() {
            (outcome.class, outcome.scope) = (Class::Retry, Scope::Account);
        }
        outcome.detail = scrub(&outcome.detail);
        outcome
    }

    /// Closes what was not used for a while. To be called about once a minute.
    pub fn tidy(&self) {
        if let Wire::Smtp(smtp) = &self.wire {
            smtp.tidy();
        }
    }

    async fn over_http(&self, provider: &dyn HttpProvider, client: &Client, message: &Outgoing, now: UnixMs) -> Outcome {
        let request = match provider.request(message) {
            Ok(request) => request,
            Err(outcome) => return outcome,
        };
        match client.send(&request, Limits { step: self.timeout, cap: http::SEND_CAP }).await {
            Ok(answer) => provider.classify("send", &answer, now),
            Err(transport) => classify_transport(transport, self.idempotency),
        }
    }
}

/// What a fault of the way means, the same for every provider: without a line it waits for the line;
/// where the other side certainly has not got the message it is tried again; else nobody can know,
/// unless the provider drops a repeat.
pub fn classify_transport(transport: Transport, idempotency: Idempotency) -> Outcome {
    let (class, scope) = match transport {
        Transport::NoRoute | Transport::Dns | Transport::TlsClock => (Class::Offline, Scope::Line),
        fault if fault.may_have_arrived() && idempotency == Idempotency::Key => (Class::Retry, Scope::Message),
        fault if fault.may_have_arrived() => (Class::Uncertain, Scope::Message),
        _ => (Class::Retry, Scope::Account),
    };
    Outcome::new(class, scope, transport.word())
}

/// For a content that a type of provider cannot carry.
pub(crate) fn wrong_content(kind: &Kind) -> Outcome {
    Outcome::new(Class::Permanent, Scope::Message, format!("{} does not carry this kind of message", kind.keys.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_of_the_way() {
        use Class::{Offline, Retry, Uncertain};
        for (word, class, scope, keyed) in [
            ("no_route", Offline, Scope::Line, Offline),
            ("dns", Offline, Scope::Line, Offline),
            ("refused", Retry, Scope::Account, Retry),
            ("connect_timeout", Retry, Scope::Account, Retry),
            ("tls", Retry, Scope::Account, Retry),
            ("tls_clock", Offline, Scope::Line, Offline),
            ("reset_before_body", Retry, Scope::Account, Retry),
            ("timeout_before_body", Retry, Scope::Account, Retry),
            ("timeout_after_body", Uncertain, Scope::Message, Retry),
            ("reset_after_body", Uncertain, Scope::Message, Retry),
            ("closed_in_answer", Uncertain, Scope::Message, Retry),
            ("killed_while_sending", Uncertain, Scope::Message, Retry),
        ] {
            let transport = Transport::from_word(word).unwrap();
            let outcome = classify_transport(transport, Idempotency::None);
            assert_eq!((outcome.class, outcome.scope), (class, scope), "{word}");
            assert_eq!(classify_transport(transport, Idempotency::Key).class, keyed, "{word}");
        }
    }

    #[test]
    fn types_are_found_by_name() {
        assert_eq!(find("twilio").map(|k| k.keys.name), Some("twilio"));
        assert!(find("telegraph").is_none());
    }
}
