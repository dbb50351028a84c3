//! How scripted providers answer.

use super::scenario::{list, text};
use crate::config::units;
use crate::domain::outcome::{Class, Outcome, Scope, Suppress};
use crate::domain::time::UnixMs;
use crate::http::{Transport, retry_after};
use crate::providers::{self, Idempotency, classify_transport};
use serde_json::Value;
use std::time::Duration;

/// A provider's part.
#[derive(Clone, Debug, Default)]
pub struct Script {
    entries: Vec<Entry>,
    /// Between "body sent" and the answer.
    pub latency: Duration,
    /// What it says when it is asked for a message of which nobody knows; `None`: it cannot be asked.
    pub lookup: Option<Lookup>,
}

/// Whether a provider has what nobody knows of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// It has it.
    Found,
    /// It never got it.
    Absent,
}

#[derive(Clone, Debug)]
struct Entry {
    from: Option<UnixMs>,
    to: Option<UnixMs>,
    recipient: Option<String>,
    nth: Option<u64>,
    answer: Answer,
}

/// What is answered.
#[derive(Clone, Debug)]
enum Answer {
    Status { status: u16, retry_after: Option<String> },
    Refuse(Scope),
    Transport(Transport),
}

/// An answer, and whether the provider has the message now.
#[derive(Clone, Debug)]
pub struct Played {
    /// What the agent hears.
    pub outcome: Outcome,
    /// The message arrived, whatever the agent hears.
    pub arrived: bool,
    /// The provider saw the attempt at all.
    pub seen: bool,
}

/// Types that drop a repeat with the same id, beside those whose wire is built.
const SAFE_BY_KEY: &[&str] = &["salesforce", "zendesk", "webhook", "publish"];

/// Whether a type drops a repeat that carries the same id.
pub fn safe_by_key(kind: &str) -> bool {
    providers::find(kind).map_or(SAFE_BY_KEY.contains(&kind), |k| k.idempotency == Idempotency::Key)
}

impl Script {
    /// Reads `{script: [...], latency, lookup}`.
    pub fn parse(value: &Value) -> Result<Script, String> {
        let latency = match text(value, "latency") {
            Some(text) => units::parse_duration(text).ok_or("`latency` is a duration")?,
            None => Duration::ZERO,
        };
        let entries = list(value, "script").iter().map(entry).collect::<Result<_, _>>()?;
        let lookup = match text(value, "lookup") {
            Some("found") => Some(Lookup::Found),
            Some("absent") => Some(Lookup::Absent),
            Some("unavailable") | None => None,
            Some(_) => return Err("`lookup` is found, absent or unavailable".into()),
        };
        Ok(Script { entries, latency, lookup })
    }

    /// The answer to the n-th call (from 1), to a recipient, at a moment. Without a script: accepted.
    pub fn answer(&self, kind: &str, recipient: &str, nth: u64, at: UnixMs, id: &str) -> Played {
        let fits = |e: &&Entry| {
            e.from.is_none_or(|from| at >= from)
                && e.to.is_none_or(|to| at < to)
                && e.recipient.as_deref().is_none_or(|r| r.eq_ignore_ascii_case(recipient))
                && e.nth.is_none_or(|n| n == nth)
        };
        let safe = safe_by_key(kind);
        match self.entries.iter().find(fits).map(|e| &e.answer) {
            None => accepted(id),
            Some(Answer::Status { status, .. }) if (200..300).contains(status) => accepted(id),
            Some(Answer::Status { status, retry_after }) => {
                let outcome = by_status(*status, retry_after.as_deref(), safe, at);
                // A gateway's 502 may stand before a server that took it: the worse is played.
                let arrived = matches!(status, 502 | 504);
                Played { outcome, arrived, seen: true }
            }
            Some(Answer::Refuse(scope)) => {
                let outcome = Outcome::new(Class::Permanent, *scope, "refused");
                let outcome = if *scope == Scope::Recipient { outcome.suppress(Suppress::HardBounce) } else { outcome };
                Played { outcome, arrived: false, seen: true }
            }
            Some(Answer::Transport(transport)) => {
                let outcome = classify_transport(*transport, if safe { Idempotency::Key } else { Idempotency::None });
                Played { outcome, arrived: transport.may_have_arrived(), seen: transport.may_have_arrived() }
            }
        }
    }
}

fn accepted(id: &str) -> Played {
    Played { outcome: Outcome::accepted(Some(format!("sim-{id}"))), arrived: true, seen: true }
}

fn by_status(status: u16, wait: Option<&str>, safe: bool, at: UnixMs) -> Outcome {
    let detail = format!("http {status}");
    match status {
        401 | 403 => Outcome::new(Class::Auth, Scope::Account, detail),
        429 => Outcome::new(Class::Throttle, Scope::Account, detail).wait(wait.and_then(|w| retry_after::parse(w, at))),
        502 | 504 if !safe => Outcome::new(Class::Uncertain, Scope::Message, detail),
        502 | 504 => Outcome::new(Class::Retry, Scope::Message, detail),
        500..=599 => Outcome::new(Class::Retry, Scope::Account, detail).wait(wait.and_then(|w| retry_after::parse(w, at))),
        _ => Outcome::new(Class::Permanent, Scope::Message, detail),
    }
}

fn entry(value: &Value) -> Result<Entry, String> {
    let moment = |name: &str| text(value, name).map(|t| UnixMs::parse_rfc3339(t).ok_or(format!("`{name}` must be RFC 3339"))).transpose();
    let answer = match value.get("answer") {
        Some(Value::String(word)) => Answer::Transport(Transport::from_word(word).ok_or(format!("no transport word {word}"))?),
        Some(Value::Object(map)) if map.contains_key("refuse") => Answer::Refuse(match map.get("refuse").and_then(Value::as_str) {
            Some("recipient") => Scope::Recipient,
            Some("message") => Scope::Message,
            Some("destination") => Scope::Destination,
            _ => return Err("`refuse` is recipient, message or destination".into()),
        }),
        Some(Value::Object(map)) => {
            let status = map.get("status").and_then(Value::as_u64).and_then(|s| u16::try_from(s).ok()).ok_or("needs `status`")?;
            let headers = map.get("headers").and_then(Value::as_object);
            let wait = headers
                .into_iter()
                .flatten()
                .find(|(name, _)| name.eq_ignore_ascii_case("retry-after"))
                .map(|(_, v)| v.as_str().map_or_else(|| v.to_string(), str::to_owned));
            Answer::Status { status, retry_after: wait }
        }
        _ => return Err("needs `answer`".into()),
    };
    let recipient = value.get("match").and_then(|m| text(m, "to")).map(str::to_owned);
    Ok(Entry { from: moment("from")?, to: moment("to")?, recipient, nth: value.get("nth").and_then(Value::as_u64), answer })
}
