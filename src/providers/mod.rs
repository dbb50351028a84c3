//! Providers: one file for each company's wire, and the list of them.
//!
//! A provider knows how to ask (`request`), what an answer means (`classify`) and, where it has them, how
//! its reports are verified and read (`callback`), how to learn whether it has a message (`lookup`),
//! what it lists for those whom it cannot call (`poll`), how
//! to hand over many at once (`batch`) and how to see that an account works without sending (`probe`): all
//! pure. It never sees the store, decides nothing about retries, and keeps nothing between two messages;
//! connections and tokens are the runner's.
//!
//! To add one: write its file in the order of the others (what it is, settings, request, classify,
//! callback, lookup, poll, batch, probe, tests), and add its line to the list below. The conformance test does
//! the rest.

mod account;
mod aws;
pub mod callback;
pub mod capture;
pub mod check;
#[cfg(test)]
mod conformance;
pub mod gmail;
pub mod graph;
pub mod mailchimp;
pub mod mailgun;
pub mod mandrill;
mod merge;
pub mod postmark;
pub mod publish;
mod registry;
pub mod sendgrid;
pub mod ses;
pub mod shared;
pub mod smtp;
pub mod sns;
pub mod table;
pub mod twilio;
pub mod vonage;

use crate::config::TypeKeys;
use crate::config::checked::{Provider as Settings, Rate};
use crate::domain::content::Outgoing;
use crate::domain::outcome::{Class, Outcome, Scope, Suppress};
use crate::domain::time::UnixMs;
use crate::http::{Answer, Request, Transport};
pub use account::Account;
use callback::{Call, Event, Known, Refusal, Report};
pub use registry::Registry;
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
    /// Messages that one call can carry; 1: it has no such call.
    pub batch: usize,
    /// What was composed stays readable after the end: the test inbox.
    pub keeps_content: bool,
    /// What an answer to a request means. `None` where the provider is not asked by HTTP.
    pub classify: Option<Classify>,
    /// Verifies and reads a call of the provider. `None` where it makes none.
    pub callback: Option<Callback>,
    /// Makes an account's wire from its settings. The error is a sentence for the config check.
    pub build: fn(&Settings) -> Result<Wire, String>,
}

/// `operation`, answer, moment of the attempt → what it means. `operation` is [`SEND`] unless the provider
/// has others; the moment is for waits that are given as a date. A success whose body is not the
/// provider's is uncertain.
pub type Classify = fn(&str, &Answer, UnixMs) -> Judged;

/// Settings of the account (only those that verifying needs have to be there), call, what is known.
pub type Callback = fn(&Settings, &Call, &Known<'_>) -> Result<Report, Refusal>;

/// The operation that sends one message.
pub const SEND: &str = "send";
/// The operation that sends many.
pub const BATCH: &str = "batch";
/// The operation that fetches an access token.
pub const TOKEN: &str = "token";
/// The operation that asks what became of an earlier message.
pub const STATUS: &str = "status";

/// What an answer means, also where it speaks of several messages or recipients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Of the call as a whole.
    pub outcome: Outcome,
    /// Of each message of a batch, in the order of the request; empty where the call stands for all.
    pub entries: Vec<Outcome>,
    /// Whose the entries are, where the provider names them: then their order need not be the request's.
    pub recipients: Vec<String>,
    /// Recipients of an accepted message that the provider will not write to.
    pub suppress: Vec<(String, Suppress)>,
}

impl From<Outcome> for Judged {
    fn from(outcome: Outcome) -> Judged {
        Judged { outcome, entries: Vec::new(), recipients: Vec::new(), suppress: Vec::new() }
    }
}

/// The list: one line for each type.
static KINDS: &[&Kind] = &[
    &smtp::KIND, //
    &sendgrid::KIND,
    &mailgun::KIND,
    &mandrill::KIND,
    &mailchimp::KIND,
    &postmark::KIND,
    &ses::KIND,
    &gmail::KIND,
    &graph::KIND,
    &twilio::KIND,
    &vonage::KIND,
    &sns::KIND,
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

/// What a request needs beside its message.
#[derive(Clone, Copy, Debug)]
pub struct At<'a> {
    /// The moment of sending, exactly as it stands in signatures.
    pub now: UnixMs,
    /// The access token; empty where the provider has none.
    pub token: &'a str,
}

/// One request of a message, and the operation that its answer is judged by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// E.g. [`SEND`].
    pub operation: &'static str,
    /// As it goes out.
    pub request: Request,
}

impl Step {
    /// The usual: one request that sends.
    pub fn send(request: Request) -> Vec<Step> {
        vec![Step { operation: SEND, request }]
    }
}

/// Whether a provider has a message of which nobody knew whether it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It has it, under this id where it names one.
    Yes(Option<String>),
    /// It certainly has not.
    No,
    /// It cannot be said now; the outcome tells why, and how long to wait.
    Unknown(Outcome),
}

/// What a probe tells of an account.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    /// Accepted: key and sender work.
    pub outcome: Outcome,
    /// Messages a second that the account may send, where it says so.
    pub per_second: Option<f64>,
    /// Messages that it may still send today, where it says so.
    pub left_today: Option<u64>,
    /// What a person should know, in a sentence: credit that runs out, a sandbox.
    pub warning: Option<String>,
}

impl From<Outcome> for Health {
    fn from(outcome: Outcome) -> Health {
        Health { outcome, per_second: None, left_today: None, warning: None }
    }
}

/// A question for one of a provider's lists.
#[derive(Clone, Copy, Debug)]
pub struct Poll<'a> {
    /// The list, one of [`HttpProvider::lists`].
    pub list: &'a str,
    /// What happened before is known already.
    pub since: UnixMs,
    /// Which page, as the one before named it.
    pub page: Option<&'a str>,
}

/// One page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// What it says; the keys are those of a callback that tells the same, where there is one.
    pub events: Vec<Event>,
    /// The next page, where there is one.
    pub next: Option<String>,
}

/// A provider behind an HTTP API. Every function is pure; what it does not have, it leaves out.
pub trait HttpProvider: Send + Sync {
    /// Its type.
    fn kind(&self) -> &'static Kind;

    /// Where its API is, without a slash at the end.
    fn base_url(&self) -> &str;

    /// The request for an access token, where its requests carry one.
    fn token(&self, _now: UnixMs) -> Option<Request> {
        None
    }

    /// The requests for one message in their order, each only after the one before was accepted; an outcome
    /// where there can be none, e.g. for a content that this type cannot send.
    fn request(&self, message: &Outgoing, at: At<'_>) -> Result<Vec<Step>, Outcome>;

    /// Whether a repeat of one of its operations is safe, where they differ.
    fn idempotency(&self, _operation: &str) -> Idempotency {
        self.kind().idempotency
    }

    /// Asks whether it has this message, of which an attempt began at that moment.
    fn lookup(&self, _message: &Outgoing, _since: UnixMs, _at: At<'_>) -> Option<Request> {
        None
    }

    /// Reads the answer to [`HttpProvider::lookup`].
    fn found(&self, _message: &Outgoing, _since: UnixMs, _answer: &Answer, _now: UnixMs) -> Found {
        Found::Unknown(Outcome::new(Class::Uncertain, Scope::Message, "this provider cannot be asked"))
    }

    /// How long after an attempt a message may be missing in the answer to a look-up although it arrived.
    fn lookup_delay(&self) -> Duration {
        Duration::from_secs(300)
    }

    /// The lists that tell what became of messages, for a box that nobody can call.
    fn lists(&self) -> &'static [&'static str] {
        &[]
    }

    /// Asks for a page of a list.
    fn poll(&self, _poll: Poll<'_>, _at: At<'_>) -> Option<Request> {
        None
    }

    /// Reads the answer to [`HttpProvider::poll`]; an outcome where it is none.
    fn polled(&self, _poll: Poll<'_>, answer: &Answer, now: UnixMs) -> Result<Page, Outcome> {
        Err(shared::refused(answer, now, shared::by_status(answer.status, false), ""))
    }

    /// One request for several messages, at most [`Kind::batch`], all of one sender and to different
    /// addresses. `None`: these cannot go together. Its answer is judged as [`BATCH`].
    fn batch(&self, _messages: &[&Outgoing], _at: At<'_>) -> Option<Request> {
        None
    }

    /// A request that sends nothing and needs the account to work.
    fn probe(&self, _at: At<'_>) -> Option<Request> {
        None
    }

    /// Reads the answer to [`HttpProvider::probe`].
    fn probed(&self, answer: &Answer, now: UnixMs) -> Health {
        let success = answer.is_success();
        let judged =
            if success { Outcome::accepted(None) } else { shared::refused(answer, now, shared::by_status(answer.status, false), "") };
        judged.into()
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
