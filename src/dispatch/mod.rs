//! Dispatch: takes due deliveries to their providers and records what came of it.
//!
//! [`Core`] is the whole judgement, stepped inside a write transaction: it records outcomes, chooses
//! what goes next, and marks it as `sending` in the same commit. It sends nothing itself: the shell
//! ([`run`]) or the simulator takes what it hands out and brings the outcomes back. Only what starts now
//! is marked, never more than the lanes have free slots, since each marked one is uncertain after a crash.
//!
//! A step works on a copy of the core; only its commit makes the copy the truth.

pub mod compose;
pub mod lane;
pub mod line;
pub mod run;
pub mod schedule;

use crate::config::Config;
use crate::config::checked::Rate;
use crate::domain::channel::Channel;
use crate::domain::content::Content;
use crate::domain::delivery::State;
use crate::domain::message::{ChainStep, Kind, WhenUncertain};
use crate::domain::outcome::{Class, Outcome, Scope};
use crate::domain::time::UnixMs;
use crate::store::inbox::Body;
use crate::store::outbox::{Delivery, NewDelivery};
use crate::store::receipts::Receipt;
use crate::store::{Result, StoreError, Tx};
use crate::sys::clock::{Mono, Now};
use crate::sys::random::Random;
use lane::{Change, Gate, Lane};
use line::Line;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How often what does not happen by itself is looked for: expiry, fallback, doubts that can be settled.
const SWEEP: Duration = Duration::from_secs(60);

/// The name under which test messages are caught, whatever the config names.
pub const TEST_INBOX: &str = "test-inbox";

/// What the core must know of a provider.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// The word after `type =`.
    pub kind: String,
    /// It drops a repeat that carries the same id.
    pub safe_by_key: bool,
    /// It can be reached without the line.
    pub local: bool,
    /// What was composed stays readable after the end.
    pub keeps_content: bool,
    /// Its rate.
    pub rate: Rate,
    /// Attempts at once.
    pub concurrency: usize,
}

/// A delivery that was marked as in flight and must be sent now.
#[derive(Clone, Debug)]
pub struct Start {
    /// As it stood, with the provider it goes to.
    pub delivery: Delivery,
    /// The account's name in the config.
    pub provider: String,
    /// The receipt it is about.
    pub receipt: Receipt,
    /// The receipt's document.
    pub document: Vec<u8>,
    /// What was composed for an earlier attempt: the same bytes go again.
    pub content: Option<Content>,
    /// When it was composed first.
    pub composed_at: UnixMs,
}

/// A delivery that is back.
#[derive(Clone, Debug)]
pub struct Finished {
    /// What was handed out.
    pub start: Start,
    /// What came of it.
    pub outcome: Outcome,
    /// What was composed.
    pub content: Option<Content>,
}

/// Something that people should hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A lane changed.
    Lane(String, Change),
    /// The line went down or came back.
    Line(line::Turn),
    /// This receipt's deliveries changed.
    Receipt(crate::domain::ids::ReceiptId),
    /// An address was put on the suppression list.
    Suppressed(Channel, String, crate::domain::outcome::Suppress),
}

/// What a step came to.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// To be sent now.
    pub starts: Vec<Start>,
    /// When the next step is needed, if nothing wakes the core before.
    pub wake: Option<Duration>,
    /// For people.
    pub notes: Vec<Note>,
    /// An attempt found no line: it should be probed.
    pub probe: bool,
}

/// See the module.
#[derive(Clone)]
pub struct Core {
    config: Arc<Config>,
    facts: Arc<BTreeMap<String, Facts>>,
    random: Arc<dyn Random>,
    composer: Arc<crate::compose::Composer>,
    lanes: BTreeMap<String, Lane>,
    /// The line, as far as it is known.
    pub line: Line,
    swept: Option<Mono>,
    last: Option<Now>,
}

impl Core {
    /// A core that has not begun. `facts` names every provider, and [`TEST_INBOX`].
    pub fn new(
        config: Arc<Config>,
        facts: BTreeMap<String, Facts>,
        composer: Arc<crate::compose::Composer>,
        random: Arc<dyn Random>,
        line: Line,
        now: Now,
    ) -> Core {
        let lanes = facts.iter().map(|(name, f)| (name.clone(), Lane::new(f.rate, f.concurrency, now.mono))).collect();
        Core { config, facts: Arc::new(facts), random, composer, lanes, line, swept: None, last: None }
    }

    /// At start: what was in flight is uncertain, and deadlines of a clock that is gone are mended.
    /// Gives how many became uncertain.
    pub fn boot(&mut self, tx: Tx<'_>, now: Now) -> Result<u32> {
        tx.align_deadlines(None, now.wall)?;
        tx.doubt_in_flight(now.wall)
    }

    /// The loop broke and begins anew: the outcomes of what it had sent find nobody, so nobody knows them.
    pub fn begin_anew(&mut self, tx: Tx<'_>, now: Now) -> Result<u32> {
        self.lanes = self.facts.iter().map(|(name, f)| (name.clone(), Lane::new(f.rate, f.concurrency, now.mono))).collect();
        tx.doubt_in_flight(now.wall)
    }

    /// The word of each lane's state.
    pub fn lane_words(&self, now: Mono) -> Vec<(String, &'static str)> {
        self.lanes.iter().map(|(name, lane)| (name.clone(), lane.word(now))).collect()
    }

    /// A person mended a provider: it is tried at once.
    pub fn resume(&mut self, provider: &str) -> bool {
        self.lanes.get_mut(provider).map(Lane::resume).is_some()
    }

    /// Whether any provider needs the line.
    pub fn needs_line(&self) -> bool {
        self.facts.values().any(|f| !f.local)
    }

    /// Records what came back, sweeps when it is time, and chooses what goes now.
    pub fn step(&mut self, tx: Tx<'_>, now: Now, finished: &[Finished]) -> Result<Report> {
        let mut report = Report::default();
        self.heed_clock(tx, now)?;
        for one in finished {
            self.record(tx, now, one, &mut report)?;
        }
        if self.swept.is_none_or(|at| now.mono.since(at) >= SWEEP) {
            self.sweep(tx, now)?;
            self.swept = Some(now.mono);
        }
        self.choose(tx, now, &mut report)?;
        Ok(report)
    }

    /// Records what came back and chooses nothing: the agent is stopping.
    pub fn finish(&mut self, tx: Tx<'_>, now: Now, finished: &[Finished]) -> Result<()> {
        let mut report = Report::default();
        finished.iter().try_for_each(|one| self.record(tx, now, one, &mut report))
    }

    /// A wall clock that moved otherwise than the monotonic one was set: open deadlines move with it.
    fn heed_clock(&mut self, tx: Tx<'_>, now: Now) -> Result<()> {
        if let Some(last) = self.last.replace(now) {
            let should = last.wall + now.mono.since(last.mono);
            if (now.wall.0 - should.0).abs() > 60_000 {
                tracing::warn!(by_s = (now.wall.0 - should.0) / 1000, "the clock was set; deadlines move with it");
                tx.align_deadlines(Some(should), now.wall)?;
            }
        }
        Ok(())
    }

    // ---- record ----

    fn record(&mut self, tx: Tx<'_>, now: Now, f: &Finished, report: &mut Report) -> Result<()> {
        let (d, outcome) = (&f.start.delivery, &f.outcome);
        self.heed(&f.start.provider, outcome, now, report);
        let at = schedule::Circumstances {
            now: now.wall,
            online_ms: self.line.online_ms(now.mono),
            providers: if self.bound_to(tx, d)?.is_some() { 1 } else { self.providers(d).len().try_into().unwrap_or(1) },
        };
        let random = self.random.clone();
        let next = schedule::after(d, outcome, &self.config.routing, at, |length| random.jitter(length));
        let keeps = self.facts.get(&f.start.provider).is_some_and(|facts| facts.keeps_content);
        let goes_on = next.state.open() || next.state == State::Dead;
        let content = if keeps || goes_on { f.content.as_ref().map(pack).transpose()? } else { None };
        let recorded = tx.end_attempt(d, outcome, &next, now.wall, content.as_ref())?;
        if let Some(why) = outcome.suppress {
            tx.suppress(d.channel, &d.address, why, now.wall, &f.start.provider)?;
            report.notes.push(Note::Suppressed(d.channel, d.address.clone(), why));
        }
        if recorded && next.state == State::Bounced && !outcome.suppress.is_some_and(|why| unwanted(why.word())) {
            self.fall_back(tx, d, now)?;
        }
        if recorded && next.state == State::Uncertain {
            self.settle(
                tx,
                &Delivery { state: State::Uncertain, ended_at: Some(now.wall), provider: f.start.provider.clone(), ..d.clone() },
                now,
            )?;
        }
        report.notes.push(Note::Receipt(f.start.receipt.receipt_id));
        Ok(())
    }

    /// What an outcome says of the provider and of the line.
    fn heed(&mut self, provider: &str, outcome: &Outcome, now: Now, report: &mut Report) {
        let local = self.facts.get(provider).is_some_and(|f| f.local);
        if outcome.class == Class::Offline && outcome.scope == Scope::Line && !local {
            if let Some(turn) = self.line.lost(now) {
                report.notes.push(Note::Line(turn));
            }
            report.probe = true;
        }
        if let Some(change) = self.lanes.get_mut(provider).and_then(|lane| lane.end(outcome, now.mono)) {
            report.notes.push(Note::Lane(provider.to_owned(), change));
        }
    }

    /// The next channel of the chain takes over, where there is one and the kind allows it.
    /// Its deadline is that of the one before, which has moved with a clock that was set.
    fn fall_back(&self, tx: Tx<'_>, d: &Delivery, now: Now) -> Result<bool> {
        let chain: Vec<ChainStep> = serde_json::from_str(&d.chain).unwrap_or_default();
        let Some(step) = chain.get(d.step as usize - 1).filter(|_| d.kind.falls_back()) else { return Ok(false) };
        let Some(channel) = Channel::from_word(&step.channel) else { return Ok(false) };
        tx.put_delivery(&NewDelivery {
            message: d.message,
            step: d.step + 1,
            channel,
            address: &step.address,
            state: State::Ready,
            reason: "",
            priority: d.priority,
            due: now.wall,
            expires: d.expires - d.kind.time_to_live(d.channel) + d.kind.time_to_live(channel),
            online_ms: None,
        })?;
        Ok(true)
    }

    // ---- sweep ----

    fn sweep(&mut self, tx: Tx<'_>, now: Now) -> Result<()> {
        if now.good {
            tx.mend_deadlines(now.wall)?;
            tx.expire(now.wall, 500)?;
        }
        let online = self.line.online_ms(now.mono);
        tx.put_fact("online_ms", &online.to_string())?;
        tx.begin_waiting(now.wall, online)?;
        let patience = i64::try_from(self.config.routing.fallback_after.as_millis()).unwrap_or(i64::MAX);
        for d in tx.read().waiting_since(online - patience, 200)? {
            let may =
                schedule::should_fall_back(&d, &self.config.routing, online) && d.kind.falls_back() && self.bound_to(tx, &d)?.is_none();
            if may && self.fall_back(tx, &d, now)? {
                tx.transition(d.id, d.state, State::Cancelled, "fallback", now.wall)?;
            }
        }
        for d in tx.read().uncertain(1000)? {
            self.settle(tx, &d, now)?;
        }
        Ok(())
    }

    /// An uncertain delivery: repeated where the provider drops a repeat, or where its kind wants it.
    /// A customer's document is held: it stays uncertain until a person decides.
    fn settle(&self, tx: Tx<'_>, d: &Delivery, now: Now) -> Result<()> {
        let by_key = self.facts.get(&d.provider).is_some_and(|f| f.safe_by_key);
        let waited = d.ended_at.is_some_and(|at| now.wall.since(at) >= self.config.routing.uncertain_wait);
        let to = match d.kind.when_uncertain() {
            _ if by_key => State::Ready,
            WhenUncertain::Repeat if waited || d.kind == Kind::PasswordReset => State::Ready,
            WhenUncertain::Drop => State::Cancelled,
            _ => return Ok(()),
        };
        if tx.transition(d.id, State::Uncertain, to, if to == State::Ready { "repeat" } else { "dropped" }, now.wall)? && to == State::Ready
        {
            let pause = self.config.routing.retry.first().copied().unwrap_or_default();
            tx.set_due(d.id, now.wall + self.random.jitter(pause))?;
        }
        Ok(())
    }

    // ---- choose ----

    fn choose(&mut self, tx: Tx<'_>, now: Now, report: &mut Report) -> Result<()> {
        let mut wake = self.swept.map(|at| SWEEP.saturating_sub(now.mono.since(at)));
        let mut soon = |after: Option<Duration>| wake = [wake, after].into_iter().flatten().min();
        soon(self.line.opens(now.mono).map(|at| at.since(now.mono)));
        let newest_first = !self.config.routing.drain_oldest;
        let channels = if tx.read().any_waits()? { self.channels() } else { Vec::new() };
        for priority in 0..=6 {
            for channel in &channels {
                if let Some(shut) = self.shut(*channel, now) {
                    soon(shut);
                    continue;
                }
                let most = self.lanes.values().map(Lane::free).sum::<usize>().clamp(1, 256) as u32;
                for d in tx.read().due(*channel, priority, now.wall, newest_first, most + 16)? {
                    match self.place(tx, &d, now)? {
                        Ok((provider, ordinal)) => report.starts.extend(self.start(tx, d, &provider, ordinal, now)?),
                        Err(until) => soon(until),
                    }
                }
            }
        }
        for channel in &channels {
            soon(tx.read().next_due(*channel, now.wall)?.map(|due| due.since(now.wall)));
        }
        report.wake = wake;
        Ok(())
    }

    /// The channels that may have something to send: those with providers, and those of test messages.
    fn channels(&self) -> Vec<Channel> {
        let configured = |c: &Channel| self.config.channels.get(c).is_some_and(|c| !c.providers.is_empty());
        Channel::ALL.iter().copied().filter(|c| configured(c) || matches!(c, Channel::Email | Channel::Sms)).collect()
    }

    /// `Some` where no lane of the channel takes anything now: until when, if that is known.
    fn shut(&mut self, channel: Channel, now: Now) -> Option<Option<Duration>> {
        let mut names: Vec<String> = self.config.channels.get(&channel).map(|c| c.providers.clone()).unwrap_or_default();
        names.push(TEST_INBOX.to_owned());
        let mut until: Option<Duration> = None;
        for name in names {
            match self.gate(&name, now) {
                Gate::Open => return None,
                Gate::Busy(None) => {}
                Gate::Busy(Some(at)) | Gate::Throttled(at) | Gate::Broken(at) | Gate::Paused(at) => {
                    until = [until, Some(at.since(now.mono))].into_iter().flatten().min();
                }
            }
        }
        Some(until)
    }

    fn gate(&mut self, provider: &str, now: Now) -> Gate {
        let local = self.facts.get(provider).is_some_and(|f| f.local);
        let share = if local { 1000 } else { self.line.share(now.mono) };
        match self.lanes.get_mut(provider) {
            Some(lane) if share > 0 => lane.gate(now.mono, share),
            _ => Gate::Busy(self.line.opens(now.mono)),
        }
    }

    /// The provider that takes the delivery now, or when to look again.
    fn place(&mut self, tx: Tx<'_>, d: &Delivery, now: Now) -> Result<std::result::Result<(String, u32), Option<Duration>>> {
        let names = self.providers(d);
        let bound = self.bound_to(tx, d)?;
        let count = u32::try_from(names.len()).unwrap_or(1);
        let mut until: Option<Duration> = None;
        for step in 0..count {
            let ordinal = (d.ordinal + step) % count;
            let Some(name) = names.get(ordinal as usize).filter(|name| bound.as_ref().is_none_or(|b| b == *name)) else { continue };
            let at = match self.gate(name, now) {
                Gate::Open => return Ok(Ok((name.clone(), ordinal))),
                // In its turn: another provider is for when this one cannot, not for when it is busy.
                Gate::Busy(at) => return Ok(Err(at.map(|at| at.since(now.mono)))),
                Gate::Throttled(at) if d.priority > 1 || at.since(now.mono) <= Duration::from_secs(60) => {
                    return Ok(Err(Some(at.since(now.mono))));
                }
                Gate::Throttled(at) | Gate::Broken(at) | Gate::Paused(at) => at,
            };
            until = [until, Some(at.since(now.mono))].into_iter().flatten().min();
        }
        Ok(Err(until))
    }

    fn providers(&self, d: &Delivery) -> Vec<String> {
        if d.test {
            return vec![TEST_INBOX.to_owned()];
        }
        self.config.channels.get(&d.channel).map(|c| c.providers.clone()).unwrap_or_default()
    }

    /// The only provider that may go on with a delivery, as it may have it already: what it drops as a
    /// repeat, another would deliver a second time.
    fn bound_to(&self, tx: Tx<'_>, d: &Delivery) -> Result<Option<String>> {
        if d.tries == 0 {
            return Ok(None);
        }
        let by_key = |name: &str| self.facts.get(name).is_some_and(|f| f.safe_by_key);
        // What such a provider did not answer is a retry that speaks of the message.
        let doubtful = |class: &str, scope: &str, at: &str| class == "uncertain" || (class == "retry" && scope == "message" && by_key(at));
        let attempts = tx.read().attempts(d.id)?;
        Ok(attempts.into_iter().rev().find(|a| doubtful(&a.class, &a.scope, &a.provider)).map(|a| a.provider))
    }

    /// Marks a delivery as in flight; `None` where it may not go after all.
    fn start(&mut self, tx: Tx<'_>, d: Delivery, provider: &str, ordinal: u32, now: Now) -> Result<Option<Start>> {
        if now.good && d.expires < now.wall {
            tx.transition(d.id, d.state, State::Dead, "ttl", now.wall)?;
            return Ok(None);
        }
        if let Some(why) = tx.read().suppressed(d.channel, &d.address)?.filter(|why| blocks(d.kind, why)) {
            // What may have arrived before the address was blocked goes by no other way: a person decides.
            let doubtful = self.bound_to(tx, &d)?.is_some();
            let to = if doubtful { State::Held } else { State::Cancelled };
            if tx.transition(d.id, d.state, to, &format!("suppressed:{why}"), now.wall)? && !doubtful && !unwanted(&why) {
                self.fall_back(tx, &d, now)?;
            }
            return Ok(None);
        }
        let read = tx.read();
        // One that cannot be read must not keep the others from going out.
        let found = read.receipt_at(d.receipt).and_then(|r| r.map(|r| Ok((read.body(r.body)?, r))).transpose());
        let (document, receipt) = match found {
            Ok(Some(found)) => found,
            Err(error) if error.is_fatal() => return Err(error),
            Ok(None) | Err(_) => {
                tx.transition(d.id, d.state, State::Dead, "unreadable", now.wall)?;
                return Ok(None);
            }
        };
        let content = d.content.and_then(|id| read.body(id).ok()).and_then(|json| serde_json::from_slice(&json).ok());
        let composed_at = d.composed_at.unwrap_or(now.wall);
        let mut start =
            Start { delivery: Delivery { ordinal, ..d.clone() }, provider: provider.to_owned(), receipt, document, content, composed_at };
        // A repeat under the same key must be the same bytes, also after a crash in between.
        let mut kept = None;
        if self.facts.get(provider).is_some_and(|f| f.safe_by_key) && start.content.is_none() {
            start.content = compose::content(&self.composer, &self.config, &start, now.wall).ok();
            kept = start.content.as_ref().map(pack).transpose()?;
        }
        let online = self.line.online_ms(now.mono);
        if !tx.begin_attempt(&d, provider, ordinal, now.wall, online, kept.as_ref())? {
            return Ok(None);
        }
        if ordinal != d.ordinal {
            (start.delivery.here, start.delivery.here_since) = (0, Some(online));
        }
        start.delivery.tries += 1;
        start.delivery.here_since.get_or_insert(online);
        if let Some(lane) = self.lanes.get_mut(provider) {
            lane.begin();
        }
        Ok(Some(start))
    }
}

/// Whether a reason on the suppression list keeps this kind of message back. A resend was confirmed by a
/// person for this address; the recipient's own word stands above that.
fn blocks(kind: Kind, why: &str) -> bool {
    match kind {
        Kind::Resend => matches!(why, "sms_stop" | "complaint" | "erased"),
        Kind::Receipt | Kind::Refund => !matches!(why, "soft_bounce" | "unsubscribe"),
        Kind::Campaign | Kind::ReviewRequest => true,
        _ => why != "unsubscribe",
    }
}

/// Whether the recipient said that nothing is wanted: then no other channel is tried either.
fn unwanted(why: &str) -> bool {
    matches!(why, "complaint" | "sms_stop" | "unsubscribe" | "erased")
}

fn pack(content: &Content) -> Result<Body> {
    serde_json::to_vec(content).map(|bytes| Body::pack(&bytes)).map_err(|e| StoreError::Sql(e.to_string()))
}
