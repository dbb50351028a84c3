//! One account: a name of the config with a wire behind it, and the runner that all wires share. Time
//! limits, caps and tokens are here; what to ask and what an answer means is the wire's.

use super::callback::{Call, Event, Known, Refusal, Report};
use super::{
    At, BATCH, Found, Health, HttpProvider, Idempotency, Judged, Kind, Poll, TOKEN, UnixMs, Wire, callback, classify_transport, find,
};
use crate::config::checked::Provider as Settings;
use crate::domain::channel::Channel;
use crate::domain::content::{Content, Email, Outgoing, Sms};
use crate::domain::ids::StepId;
use crate::domain::message::Kind as MessageKind;
use crate::domain::outcome::{Class, Outcome, Scope};
use crate::domain::text::scrub;
use crate::http::oauth::Token;
use crate::http::{self, Answer, Client, Limits, Request};
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;

/// Pages of one list that are asked for at once.
const PAGES: usize = 40;

/// One account.
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
    settings: Settings,
    tokens: Tokens,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Account({}, {})", self.name, self.kind.keys.name)
    }
}

/// The account's access token. Whoever finds it too old fetches a new one while the others wait.
#[derive(Default)]
struct Tokens {
    last: Mutex<Option<Result<Token, Outcome>>>,
    /// How many times one was asked for.
    rounds: AtomicU64,
}

impl Account {
    /// The account of a table of the config. The error is a sentence for the config check.
    pub fn new(name: &str, settings: &Settings) -> Result<Account, String> {
        let kind = find(&settings.kind).ok_or_else(|| format!("there is no type of provider named {}", settings.kind))?;
        let wire = (kind.build)(settings)?;
        let (timeout, idempotency) = (settings.timeout, kind.idempotency);
        let (settings, tokens) = (settings.clone(), Tokens::default());
        Ok(Account { name: name.to_owned(), kind, wire, timeout, idempotency, settings, tokens })
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
        let outcome = match &self.wire {
            Wire::Http(provider) => self.over_http(provider.as_ref(), client, message, now).await,
            Wire::Smtp(smtp) => smtp.send(message, self.timeout).await,
            Wire::Folder(folder) => folder.send(message, self.timeout).await,
            Wire::Capture(capture) => capture.send(message),
        };
        self.fit_to_show(outcome)
    }

    /// Many messages in as few calls as the provider lets: an outcome for each, in their order. They are of
    /// one sender. A call that fails for the sake of one message is split until that one is alone, so that
    /// it fails by itself; a fault of what all of them share is found by sending the first and the last
    /// alone, and then counts for all.
    pub async fn send_many(&self, client: &Client, messages: &[&Outgoing], now: UnixMs) -> Vec<Outcome> {
        let unsent = Outcome::new(Class::Retry, Scope::Account, "its turn did not come");
        let mut outcomes = vec![unsent; messages.len()];
        let most = self.kind.batch.max(1);
        // The next one is at the end. No part is empty, and each split makes smaller ones.
        let mut parts: Vec<Range<usize>> = (0..messages.len()).step_by(most).map(|at| at..(at + most).min(messages.len())).rev().collect();
        while let Some(range) = parts.pop() {
            let Some(part) = messages.get(range.clone()) else { continue };
            let (judged, middle) = (self.in_one_call(client, part, now).await, range.start + part.len() / 2);
            match (judged, part) {
                (None, _) => {
                    for (message, at) in part.iter().zip(range) {
                        put(&mut outcomes, at, self.send(client, message, now).await);
                    }
                }
                (Some(judged), [first, .., last]) if part.len() > 2 && is_permanent(&judged.outcome, Scope::Message) => {
                    let ends = (self.send(client, first, now).await, self.send(client, last, now).await);
                    if is_permanent(&ends.0, Scope::Message) && is_permanent(&ends.1, Scope::Message) {
                        range.clone().for_each(|at| put(&mut outcomes, at, self.fit_to_show(judged.outcome.clone())));
                    } else {
                        let halves = [middle..range.end - 1, range.start + 1..middle];
                        parts.extend(halves.into_iter().filter(|half| !half.is_empty()));
                    }
                    put(&mut outcomes, range.start, ends.0);
                    put(&mut outcomes, range.end - 1, ends.1);
                }
                (Some(judged), _) if [Scope::Message, Scope::Recipient].iter().any(|scope| is_permanent(&judged.outcome, *scope)) => {
                    parts.extend([middle..range.end, range.start..middle]);
                }
                (Some(judged), _) => {
                    for (outcome, at) in in_order(judged, part).into_iter().zip(range) {
                        put(&mut outcomes, at, self.fit_to_show(outcome));
                    }
                }
            }
        }
        outcomes
    }

    /// `None`: these cannot go together.
    async fn in_one_call(&self, client: &Client, part: &[&Outgoing], now: UnixMs) -> Option<Judged> {
        match (&self.wire, part) {
            (Wire::Http(provider), [_, _, ..]) => self.batch_over_http(provider.as_ref(), client, part, now).await,
            _ => None,
        }
    }

    /// Asks the provider whether it has a message whose attempt began at `since`. `None`: it cannot be asked.
    pub async fn look_up(&self, client: &Client, message: &Outgoing, since: UnixMs, now: UnixMs) -> Option<Found> {
        let Wire::Http(provider) = &self.wire else { return None };
        provider.lookup(message, since, At { now, token: "" })?;
        let make = |at: At<'_>| provider.lookup(message, since, at);
        Some(match self.ask(provider.as_ref(), client, &make, now).await {
            Ok(answer) => provider.found(message, since, &answer, now),
            Err(outcome) => Found::Unknown(self.fit_to_show(outcome)),
        })
    }

    /// Whether the account works, without sending anything. `None`: that cannot be asked.
    pub async fn probe(&self, client: &Client, now: UnixMs) -> Option<Health> {
        let Wire::Http(provider) = &self.wire else { return None };
        provider.probe(At { now, token: "" })?;
        let mut health = match self.ask(provider.as_ref(), client, &|at: At<'_>| provider.probe(at), now).await {
            Ok(answer) => provider.probed(&answer, now),
            Err(outcome) => outcome.into(),
        };
        health.outcome = self.fit_to_show(health.outcome);
        Some(health)
    }

    /// Whether it has lists that tell what became of messages.
    pub fn polls(&self) -> bool {
        matches!(&self.wire, Wire::Http(provider) if !provider.lists().is_empty())
    }

    /// What its lists tell since a moment, and the outcome of the question that failed, if one did.
    pub async fn poll(&self, client: &Client, since: UnixMs, now: UnixMs) -> (Vec<Event>, Option<Outcome>) {
        let Wire::Http(provider) = &self.wire else { return (Vec::new(), None) };
        let mut events = Vec::new();
        for list in provider.lists() {
            let mut page: Option<String> = None;
            for _ in 0..PAGES {
                let poll = Poll { list, since, page: page.as_deref() };
                let answer = self.ask(provider.as_ref(), client, &|at: At<'_>| provider.poll(poll, at), now).await;
                match answer.and_then(|answer| provider.polled(poll, &answer, now)) {
                    Ok(told) => {
                        events.extend(told.events);
                        page = told.next;
                    }
                    Err(outcome) => return (events, Some(self.fit_to_show(outcome))),
                }
                if page.is_none() {
                    break;
                }
            }
        }
        (events, None)
    }

    /// How long after an attempt the provider can be asked for its message; `None` where it cannot be asked.
    pub fn lookup_delay(&self) -> Option<Duration> {
        let Wire::Http(provider) = &self.wire else { return None };
        let (at, channel) = (At { now: UnixMs(0), token: "" }, *self.kind.keys.channels.first()?);
        let (from, text) = ("a@shop.example".to_owned(), "any".to_owned());
        let content = match channel {
            Channel::Sms => Content::Sms(Sms { from, text }),
            _ => Content::Email(Email {
                from,
                reply_to: String::new(),
                subject: text.clone(),
                text,
                html: String::new(),
                headers: Vec::new(),
            }),
        };
        let (step, to) = (StepId::given("tp_any.10"), "b@shop.example".to_owned());
        let any =
            Outgoing { step, message_id: "tp_any".to_owned(), kind: MessageKind::Receipt, channel, to, composed_at: UnixMs(0), content };
        provider.lookup(&any, UnixMs(0), at).map(|_| provider.lookup_delay())
    }

    /// Verifies and reads a call of the provider. Pure.
    pub fn callback(&self, call: &Call, known: &Known<'_>) -> Result<Report, Refusal> {
        match self.kind.callback {
            Some(callback) => callback(&self.settings, call, known),
            None => Err(callback::UNSET),
        }
    }

    /// Closes what was not used for a while. To be called about once a minute.
    pub fn tidy(&self) {
        if let Wire::Smtp(smtp) = &self.wire {
            smtp.tidy();
        }
    }

    fn fit_to_show(&self, mut outcome: Outcome) -> Outcome {
        if outcome.class == Class::Offline && self.on_loopback() {
            (outcome.class, outcome.scope) = (Class::Retry, Scope::Account);
        }
        outcome.detail = scrub(&outcome.detail);
        outcome
    }

    fn judge(&self, operation: &str, answer: &Answer, now: UnixMs) -> Judged {
        match self.kind.classify {
            Some(classify) => classify(operation, answer, now),
            None => Outcome::new(Class::Uncertain, Scope::Message, "an answer that nobody can read").into(),
        }
    }

    async fn over_http(&self, provider: &dyn HttpProvider, client: &Client, message: &Outgoing, now: UnixMs) -> Outcome {
        let mut outcome = Outcome::new(Class::Permanent, Scope::Message, "there is nothing to send");
        let mut renewed = false;
        let mut next = 0;
        loop {
            let token = match self.token(provider, client, now).await {
                Ok(token) => token,
                Err(outcome) => return outcome,
            };
            let steps = match provider.request(message, At { now, token: &token }) {
                Ok(steps) => steps,
                Err(outcome) => return outcome,
            };
            let Some(step) = steps.into_iter().nth(next) else { return outcome };
            match self.call(client, &step.request, http::SEND_CAP, provider.idempotency(step.operation)).await {
                // A token that was withdrawn before its end: nothing was done, so a new one may ask again.
                Ok(answer) if answer.status == 401 && !token.is_empty() && !renewed => {
                    renewed = true;
                    self.forget_token(&token).await;
                    continue;
                }
                Ok(answer) => {
                    let judged = self.judge(step.operation, &answer, now).outcome;
                    // The id of the message is that of the first step.
                    let provider_id = outcome.provider_id.take().or(judged.provider_id.clone());
                    outcome = Outcome { provider_id, ..judged };
                }
                Err(fault) => return fault,
            }
            if outcome.class != Class::Accepted {
                return outcome;
            }
            next += 1;
        }
    }

    async fn batch_over_http(&self, provider: &dyn HttpProvider, client: &Client, part: &[&Outgoing], now: UnixMs) -> Option<Judged> {
        provider.batch(part, At { now, token: "" })?;
        let make = |at: At<'_>| provider.batch(part, at);
        Some(match self.ask(provider, client, &make, now).await {
            Ok(answer) => self.judge(BATCH, &answer, now),
            Err(outcome) => outcome.into(),
        })
    }

    /// One request with its token, which is renewed once where it is refused.
    async fn ask(
        &self,
        provider: &dyn HttpProvider,
        client: &Client,
        make: &(dyn Fn(At<'_>) -> Option<Request> + Sync),
        now: UnixMs,
    ) -> Result<Answer, Outcome> {
        for last in [false, true] {
            let token = self.token(provider, client, now).await?;
            let Some(request) = make(At { now, token: &token }) else { break };
            let answer = self.call(client, &request, http::LOOKUP_CAP, self.idempotency).await?;
            if answer.status != 401 || token.is_empty() || last {
                return Ok(answer);
            }
            self.forget_token(&token).await;
        }
        Err(Outcome::new(Class::Retry, Scope::Account, "there is no request"))
    }

    async fn call(&self, client: &Client, request: &Request, cap: usize, repeat: Idempotency) -> Result<Answer, Outcome> {
        let answer = client.send(request, Limits { step: self.timeout, cap }).await;
        answer.map_err(|transport| classify_transport(transport, repeat))
    }

    /// A token that may be used; empty where the provider has none. Those who waited while one of them asked
    /// share what it heard, good or bad.
    async fn token(&self, provider: &dyn HttpProvider, client: &Client, now: UnixMs) -> Result<String, Outcome> {
        let Some(request) = provider.token(now) else { return Ok(String::new()) };
        let round = self.tokens.rounds.load(Ordering::SeqCst);
        let mut last = self.tokens.last.lock().await;
        let waited = self.tokens.rounds.load(Ordering::SeqCst) != round;
        match &*last {
            Some(Ok(token)) if token.is_fresh(now) => return Ok(token.value.clone()),
            Some(Err(outcome)) if waited => return Err(outcome.clone()),
            _ => {}
        }
        let asked = match self.call(client, &request, http::SEND_CAP, Idempotency::Key).await {
            Ok(answer) => self.read_token(&answer, now),
            Err(fault) => Err(unsent(fault)),
        };
        *last = Some(asked.clone());
        self.tokens.rounds.fetch_add(1, Ordering::SeqCst);
        asked.map(|token| token.value)
    }

    fn read_token(&self, answer: &Answer, now: UnixMs) -> Result<Token, Outcome> {
        match Token::read(answer, now) {
            Some(token) => Ok(token),
            None => Err(unsent(self.judge(TOKEN, answer, now).outcome)),
        }
    }

    async fn forget_token(&self, refused: &str) {
        let mut last = self.tokens.last.lock().await;
        if matches!(&*last, Some(Ok(token)) if token.value == refused) {
            *last = None;
        }
    }
}

fn is_permanent(outcome: &Outcome, scope: Scope) -> bool {
    (outcome.class, outcome.scope) == (Class::Permanent, scope)
}

fn put(outcomes: &mut [Outcome], at: usize, outcome: Outcome) {
    if let Some(slot) = outcomes.get_mut(at) {
        *slot = outcome;
    }
}

/// An outcome for each message of a batch, in their order. Where there are entries, but not one for each or
/// not one of this name, nobody knows.
fn in_order(judged: Judged, part: &[&Outgoing]) -> Vec<Outcome> {
    let unknown = || Outcome::new(Class::Uncertain, Scope::Message, "the answer does not say what became of this one");
    let Judged { outcome, entries, recipients, .. } = judged;
    if entries.is_empty() {
        return vec![outcome; part.len()];
    }
    if !recipients.is_empty() {
        let named: HashMap<String, Outcome> = recipients.iter().map(|to| to.to_lowercase()).zip(entries).collect();
        let own = |message: &&Outgoing| {
            let address = super::shared::ascii_address(&message.to).unwrap_or_else(|| message.to.clone());
            named.get(&address.to_lowercase()).cloned().unwrap_or_else(unknown)
        };
        return part.iter().map(own).collect();
    }
    if entries.len() == part.len() { entries } else { part.iter().map(|_| unknown()).collect() }
}

/// What a failed question for a token means for the message: it certainly did not go out.
fn unsent(mut outcome: Outcome) -> Outcome {
    if matches!(outcome.class, Class::Uncertain | Class::Accepted) || outcome.scope == Scope::Message {
        (outcome.class, outcome.scope) = (Class::Retry, Scope::Account);
    }
    outcome
}

#[cfg(test)]
mod tests;
