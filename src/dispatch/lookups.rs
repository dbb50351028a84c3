//! Look-ups: of a message of which nobody knows whether it arrived, its provider is asked, where it can be.
//!
//! It is asked only when what arrived would be in its answer, and nothing of the message goes out anywhere
//! before: found, it is accepted; certainly absent, it goes again under the same id to the same provider; else
//! it is asked again later and otherwise stays as it is. Waits are measured by the clock that nobody sets; after
//! a restart they begin anew, so that none is too short.

use super::{Core, Note, Report, Start};
use crate::domain::channel::Channel;
use crate::domain::delivery::State;
use crate::domain::outcome::Class;
use crate::domain::time::UnixMs;
use crate::providers::Found;
use crate::store::outbox::Delivery;
use crate::store::{Result, Tx};
use crate::sys::clock::{Mono, Now};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// One question at a time for each provider, and no more than six a minute: what the strictest of them allows.
const GAP: Duration = Duration::from_secs(10);
/// How long until a question that could not be answered is asked again, doubling up to an hour.
const AGAIN: Duration = Duration::from_secs(300);
/// How often one message is asked for at most.
const MOST: u32 = 24;

/// A question to be put to a provider now.
#[derive(Clone, Debug)]
pub struct Lookup {
    /// As it was sent.
    pub start: Start,
    /// When the attempt began.
    pub since: UnixMs,
}

/// Its answer.
#[derive(Clone, Debug)]
pub struct LookedUp {
    /// The delivery's row.
    pub delivery: i64,
    /// Who was asked.
    pub provider: String,
    /// What it said; `None`: it cannot be asked for this one.
    pub found: Option<Found>,
}

/// What is asked, and when it will be.
#[derive(Clone, Default)]
pub(super) struct Asking {
    by_delivery: BTreeMap<i64, Asked>,
    /// No question to this provider before.
    quiet: BTreeMap<String, Mono>,
    /// When to look for more; `None`: at once.
    next: Option<Mono>,
}

#[derive(Clone)]
struct Asked {
    /// Since when it is known as uncertain.
    known: Mono,
    in_flight: bool,
    /// Answers that said nothing.
    in_vain: u32,
    /// Not before.
    at: Mono,
}

impl Asking {
    /// Something became uncertain.
    pub(super) fn look(&mut self) {
        self.next = None;
    }
}

impl Core {
    /// How long after an attempt the provider of this delivery can be asked for it; `None` where it cannot.
    pub(super) fn askable(&self, d: &Delivery) -> Option<Duration> {
        // Another account of that name never had it.
        let facts = self.facts.get(&d.provider).filter(|f| !f.safe_by_key && !self.is_foreign(d))?;
        // A text is known again by its words, so these have to be those that were sent.
        facts.lookup.filter(|_| d.channel != Channel::Sms || d.content.is_some())
    }

    /// Whether its provider will still be asked for it, so that nothing else is done before.
    pub(super) fn will_be_asked(&self, d: &Delivery) -> bool {
        self.askable(d).is_some() && self.asking.by_delivery.get(&d.id).is_none_or(|asked| asked.in_vain == 0)
    }

    /// Takes what providers answered. Before a step, in its transaction.
    pub fn looked_up(&mut self, tx: Tx<'_>, now: Now, answers: &[LookedUp]) -> Result<Vec<Note>> {
        let mut notes = Vec::new();
        for answer in answers {
            self.asking.look();
            let Some(asked) = self.asking.by_delivery.get_mut(&answer.delivery) else { continue };
            asked.in_flight = false;
            let Some(d) = tx.read().delivery(answer.delivery)?.filter(|d| d.state == State::Uncertain && d.provider == answer.provider)
            else {
                continue; // a report or a person was quicker
            };
            match &answer.found {
                None => asked.in_vain = MOST,
                Some(Found::Unknown(outcome)) => {
                    let wait = outcome.retry_after.unwrap_or((AGAIN * (1 << asked.in_vain.min(4))).min(Duration::from_secs(3600)));
                    asked.in_vain += u32::from(outcome.class != Class::Offline);
                    asked.at = now.mono + if outcome.class == Class::Offline { GAP } else { wait };
                    if outcome.class == Class::Throttle {
                        self.asking.quiet.insert(answer.provider.clone(), now.mono + wait);
                    }
                }
                Some(Found::Yes(id)) => self.was_there(tx, &d, id.as_deref(), now)?,
                Some(Found::No) => {
                    if tx.transition(d.id, State::Uncertain, State::Ready, "absent", now.wall)? {
                        tx.set_due(d.id, now.wall)?;
                    }
                }
            }
            if let Some(receipt) = tx.read().receipt_at(d.receipt)? {
                notes.push(Note::Receipt(receipt.receipt_id));
            }
        }
        Ok(notes)
    }

    fn was_there(&self, tx: Tx<'_>, d: &Delivery, id: Option<&str>, now: Now) -> Result<()> {
        if !tx.transition(d.id, State::Uncertain, State::Accepted, "found", now.wall)? {
            return Ok(());
        }
        if let Some(id) = id {
            tx.set_provider_id(d.id, id)?;
        }
        if let Some(content) = d.content {
            tx.purge_body(content)?; // nothing is repeated any more
        }
        if d.kind == crate::domain::message::Kind::PasswordReset {
            self.purge(tx, d)?;
        }
        Ok(())
    }

    /// Chooses what is asked now.
    pub(super) fn look_up(&mut self, tx: Tx<'_>, now: Now, report: &mut Report) -> Result<()> {
        if !self.facts.values().any(|f| f.lookup.is_some()) {
            return Ok(());
        }
        if self.asking.next.is_none_or(|at| at <= now.mono) {
            let next = self.ask(tx, now, report)?;
            self.asking.next = Some(next.unwrap_or(now.mono + super::SWEEP));
        }
        let next = self.asking.next.map(|at| at.since(now.mono));
        report.wake = [report.wake, next].into_iter().flatten().min();
        Ok(())
    }

    /// Gives when the next question can be asked.
    fn ask(&mut self, tx: Tx<'_>, now: Now, report: &mut Report) -> Result<Option<Mono>> {
        let uncertain = tx.read().uncertain(1000)?;
        let there: BTreeSet<i64> = uncertain.iter().map(|d| d.id).collect();
        self.asking.by_delivery.retain(|id, _| there.contains(id));
        let mut next: Option<Mono> = None;
        for d in uncertain {
            let Some(delay) = self.askable(&d) else { continue };
            let Some(at) = self.earliest(&d, delay, now) else { continue };
            if at > now.mono {
                next = [next, Some(at)].into_iter().flatten().min();
                continue;
            }
            let question = self.question(tx, &d)?;
            let Some(asked) = self.asking.by_delivery.get_mut(&d.id) else { continue };
            match question {
                Some(question) => {
                    asked.in_flight = true;
                    self.asking.quiet.insert(d.provider.clone(), now.mono + GAP);
                    report.lookups.push(question);
                }
                None => asked.in_vain = MOST,
            }
        }
        Ok(next)
    }

    /// When it may be asked for at the soonest; `None` while it is, or not any more, or without a line.
    fn earliest(&mut self, d: &Delivery, delay: Duration, now: Now) -> Option<Mono> {
        let local = self.facts.get(&d.provider).is_some_and(|f| f.local);
        let fresh = Asked { known: now.mono, in_flight: false, in_vain: 0, at: now.mono };
        let asked = self.asking.by_delivery.entry(d.id).or_insert(fresh);
        if asked.in_flight || asked.in_vain >= MOST || !(local || self.line.is_up()) {
            return None;
        }
        let quiet = self.asking.quiet.get(&d.provider).copied().unwrap_or(asked.at);
        Some((asked.known + delay).max(asked.at).max(quiet))
    }

    /// The message as it was sent. `None` where that is not known any more.
    fn question(&self, tx: Tx<'_>, d: &Delivery) -> Result<Option<Lookup>> {
        let receipt = tx.read().receipt_at(d.receipt)?;
        let content = d.content.and_then(|id| self.bytes(tx, d.kind, id).ok()).and_then(|json| serde_json::from_slice(&json).ok());
        let document = match (&content, d.body, &receipt) {
            (Some(_), ..) => Vec::new(),
            (None, Some(body), _) => self.bytes(tx, d.kind, body).unwrap_or_default(),
            (None, None, Some(receipt)) => tx.read().body(receipt.body).unwrap_or_default(),
            (None, None, None) => return Ok(None),
        };
        let Some(since) = d.began_at else { return Ok(None) };
        let (provider, composed_at) = (d.provider.clone(), d.composed_at.unwrap_or(since));
        let start = Start { delivery: d.clone(), provider, receipt, document, link: None, promo: false, content, composed_at };
        Ok(Some(Lookup { start, since }))
    }
}
