//! Dispatch: takes due deliveries to their providers and records what came of it.
//!
//! [`Core`] is the whole judgement, stepped inside a write transaction: it records outcomes, chooses
//! what goes next, and marks it as `sending` in the same commit. It sends nothing itself: the shell
//! ([`run`]) or the simulator takes what it hands out and brings the outcomes back. Only what starts now
//! is marked, never more than the lanes have free slots, since each marked one is uncertain after a crash.
//!
//! A step works on a copy of the core; only its commit makes the copy the truth.

mod choose;
pub mod compose;
pub mod lane;
pub mod line;
pub mod lookups;
pub mod run;
pub mod schedule;

use crate::config::Config;
use crate::config::checked::{Provider, Rate, Setting};
use crate::domain::channel::Channel;
use crate::domain::content::Content;
use crate::domain::delivery::State;
use crate::domain::message::{Kind, WhenUncertain};
use crate::domain::outcome::{Class, Outcome, Scope};
use crate::domain::time::UnixMs;
use crate::store::inbox::Body;
use crate::store::outbox::{Delivery, NextStep};
use crate::store::receipts::Receipt;
use crate::store::{Result, StoreError, Tx};
use crate::sys::clock::{Mono, Now};
use crate::sys::device_key::DeviceKey;
use crate::sys::random::Random;
use lane::{Change, Lane, Narrow, Patience};
use line::Line;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How often what does not happen by itself is looked for: expiry, fallback, doubts that can be settled.
const SWEEP: Duration = Duration::from_secs(60);

/// Why a text waits whose link does not lead anywhere yet.
const PUBLISHING: &str = "publishing";

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
    /// It can be asked whether it has a message, so long after the attempt.
    pub lookup: Option<Duration>,
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
    /// The receipt it is about, where it is about one.
    pub receipt: Option<Receipt>,
    /// What it is about: the receipt's document, or an event.
    pub document: Vec<u8>,
    /// The link to the receipt, where it leads somewhere.
    pub link: Option<String>,
    /// The recipient agreed to offers on this channel.
    pub promo: bool,
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
    /// To be asked now.
    pub lookups: Vec<lookups::Lookup>,
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
    key: Arc<DeviceKey>,
    lanes: BTreeMap<String, Lane>,
    /// Recipients' domains, for each provider.
    domains: BTreeMap<(String, String), Narrow>,
    /// What the priorities that share the rate may still take, from priority 2 on.
    credits: [i64; 5],
    asking: lookups::Asking,
    /// The line, as far as it is known.
    pub line: Line,
    /// The line as it was when people were told last.
    line_told: Option<bool>,
    swept: Option<Mono>,
    last: Option<Now>,
    /// When the settings of a provider became those of another account.
    changed: BTreeMap<String, UnixMs>,
    /// Providers that are configured no more: nothing is wrong with them any more.
    gone: Vec<String>,
}

impl Core {
    /// A core that has not begun. `facts` names every provider, and [`TEST_INBOX`].
    pub fn new(
        config: Arc<Config>,
        facts: BTreeMap<String, Facts>,
        composer: Arc<crate::compose::Composer>,
        key: Arc<DeviceKey>,
        random: Arc<dyn Random>,
        line: Line,
        now: Now,
    ) -> Core {
        let mut core = Core {
            config,
            facts: Arc::new(facts),
            random,
            composer,
            key,
            lanes: BTreeMap::new(),
            domains: BTreeMap::new(),
            credits: [0; 5],
            asking: lookups::Asking::default(),
            line,
            line_told: None,
            swept: None,
            last: None,
            changed: BTreeMap::new(),
            gone: Vec::new(),
        };
        core.lanes = core.new_lanes(now);
        core
    }

    fn new_lanes(&self, now: Now) -> BTreeMap<String, Lane> {
        let patience = Patience::of(&self.config.routing);
        self.facts.iter().map(|(name, f)| (name.clone(), Lane::new(f.rate, f.concurrency, patience, now.mono))).collect()
    }

    /// At start: what was in flight is uncertain, and deadlines of a clock that is gone are mended.
    /// Gives how many became uncertain.
    pub fn boot(&mut self, tx: Tx<'_>, now: Now) -> Result<u32> {
        tx.align_deadlines(None, now.wall)?;
        self.stop_paused(tx)?;
        // A restart gives no account a fresh start: what left a moment ago still counts against its rate.
        for (provider, at) in tx.read().last_attempts()? {
            if let Some(lane) = self.lanes.get_mut(&provider) {
                lane.has_sent(now.wall.since(at));
            }
        }
        tx.doubt_in_flight(now.wall)
    }

    /// The loop broke and begins anew: the outcomes of what it had sent find nobody, so nobody knows them.
    pub fn begin_anew(&mut self, tx: Tx<'_>, now: Now) -> Result<u32> {
        self.lanes = self.new_lanes(now);
        self.domains.clear();
        self.asking = lookups::Asking::default();
        self.stop_paused(tx)?;
        tx.doubt_in_flight(now.wall)
    }

    /// The word of each lane's state.
    pub fn lane_words(&self, now: Mono) -> Vec<(String, &'static str)> {
        self.lanes.iter().map(|(name, lane)| (name.clone(), lane.word(now))).collect()
    }

    /// A person mended a provider, or ends its pause: it is tried at once.
    pub fn resume(&mut self, provider: &str) -> bool {
        let Some(lane) = self.lanes.get_mut(provider) else { return false };
        lane.stop(false);
        lane.resume();
        true
    }

    /// A person pauses a provider: nothing goes to it until it is resumed.
    pub fn pause(&mut self, provider: &str) {
        if let Some(lane) = self.lanes.get_mut(provider) {
            lane.stop(true);
        }
    }

    /// What a person paused stays so over a restart.
    fn stop_paused(&mut self, tx: Tx<'_>) -> Result<()> {
        for (name, lane) in &mut self.lanes {
            lane.stop(tx.read().fact(&paused(name))?.is_some_and(|value| value == "1"));
        }
        Ok(())
    }

    /// Other settings, from the next step on. Lanes keep their state; one whose settings changed is tried at once.
    pub fn reload(&mut self, config: Arc<Config>, facts: BTreeMap<String, Facts>, composer: Arc<crate::compose::Composer>, now: Now) {
        let patience = Patience::of(&config.routing);
        let mut lanes = BTreeMap::new();
        for (name, f) in &facts {
            let fresh = || Lane::new(f.rate, f.concurrency, patience, now.mono);
            let (old, new) = (self.config.providers.get(name), config.providers.get(name));
            let mut lane = self.lanes.remove(name).unwrap_or_else(fresh);
            lane.retune(f.rate, f.concurrency, patience, now.mono);
            if old != new {
                lane.resume();
            }
            if !same_account(old, new) {
                self.changed.insert(name.clone(), now.wall);
            }
            lanes.insert(name.clone(), lane);
        }
        let gone = std::mem::replace(&mut self.lanes, lanes);
        self.changed.extend(gone.keys().map(|name| (name.clone(), now.wall)));
        self.gone.extend(gone.into_keys());
        self.domains.retain(|(provider, _), _| facts.contains_key(provider));
        (self.config, self.facts, self.composer) = (config, Arc::new(facts), composer);
    }

    /// Whether a delivery's last attempt went to another account of the same name: that one would not know a
    /// repeat.
    fn is_foreign(&self, d: &Delivery) -> bool {
        self.changed.get(&d.provider).is_some_and(|at| d.began_at.is_some_and(|began| began <= *at))
    }

    /// Whether any provider needs the line.
    pub fn needs_line(&self) -> bool {
        self.facts.values().any(|f| !f.local)
    }

    /// Records what came back, sweeps when it is time, and chooses what goes now.
    pub fn step(&mut self, tx: Tx<'_>, now: Now, finished: &[Finished]) -> Result<Report> {
        let mut report = Report::default();
        for name in std::mem::take(&mut self.gone) {
            tx.resolve("auth", &name, now.wall)?;
            tx.resolve("provider_down", &name, now.wall)?;
        }
        self.heed_clock(tx, now)?;
        self.heed_line(tx, now)?;
        for one in finished {
            self.record(tx, now, one, &mut report)?;
        }
        if self.swept.is_none_or(|at| now.mono.since(at) >= SWEEP) {
            self.sweep(tx, now)?;
            self.swept = Some(now.mono);
        }
        self.choose(tx, now, &mut report)?;
        self.look_up(tx, now, &mut report)?;
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

    /// The line went down or came back: that is written down, and what was urgent before it went is not any more.
    fn heed_line(&mut self, tx: Tx<'_>, now: Now) -> Result<()> {
        let up = self.line.is_up();
        if !self.needs_line() || self.line_told.replace(up) == Some(up) {
            return Ok(());
        }
        if up {
            tx.resolve("line", "", now.wall)?;
            tx.resolve("offline", "", now.wall)?;
            if now.good {
                tx.demote_stale(now.wall - self.config.routing.fresh)?;
            }
        } else if tx.raise("line", "", self.line.since())?
            && let Some(incident) = tx.read().lasting("line", "")?
        {
            tx.told(incident.id, 2)?; // a figure for the day, not an alert
        }
        Ok(())
    }

    // ---- record ----

    fn record(&mut self, tx: Tx<'_>, now: Now, f: &Finished, report: &mut Report) -> Result<()> {
        let (d, outcome) = (&f.start.delivery, &f.outcome);
        self.heed(tx, f, now, report)?;
        let at = schedule::Circumstances {
            now: now.wall,
            online_ms: self.line.online_ms(now.mono),
            providers: if self.bound_to(tx, d)?.is_some() { 1 } else { self.providers(d).len().try_into().unwrap_or(1) },
        };
        let random = self.random.clone();
        let next = schedule::after(d, outcome, &self.config.routing, at, |length| random.jitter(length));
        let keeps = self.facts.get(&f.start.provider).is_some_and(|facts| facts.keeps_content);
        let goes_on = next.state.open() || next.state == State::Dead;
        let content = if keeps || goes_on { f.content.as_ref().map(|c| self.pack(d.kind, c)).transpose()? } else { None };
        let recorded = tx.end_attempt(d, outcome, &next, now.wall, content.as_ref())?;
        if let Some(why) = outcome.suppress {
            tx.suppress(d.channel, &d.address, why, now.wall, &f.start.provider)?;
            if d.channel == Channel::Push {
                tx.drop_push_token(&d.address)?;
            }
            report.notes.push(Note::Suppressed(d.channel, d.address.clone(), why));
        }
        if recorded {
            self.follow_up(tx, f, &next, now)?;
        }
        if next.state == State::Uncertain {
            self.asking.look();
        }
        if let Some(receipt) = &f.start.receipt {
            report.notes.push(Note::Receipt(receipt.receipt_id));
        }
        Ok(())
    }

    /// What else changes with the state that an attempt led to.
    fn follow_up(&self, tx: Tx<'_>, f: &Finished, next: &crate::store::outbox::Next, now: Now) -> Result<()> {
        let d = &f.start.delivery;
        let unwanted = f.outcome.suppress.is_some_and(|why| unwanted(why.word()));
        match next.state {
            State::Bounced if !unwanted => _ = self.fall_back(tx, d, now)?,
            State::Uncertain => {
                if let Some(d) = tx.read().delivery(d.id)? {
                    self.settle(tx, &d, now)?;
                }
            }
            State::Dead => _ = tx.raise("dead_letter", "", now.wall)?,
            // The link leads somewhere now: the text that carries it need not wait any more.
            State::Accepted if d.channel == Channel::Publish => {
                for text in tx.read().deliveries_of(d.receipt.unwrap_or_default())? {
                    if text.reason == PUBLISHING && matches!(text.state, State::Ready | State::Retry) {
                        tx.set_due(text.id, now.wall)?;
                    }
                }
            }
            _ => {}
        }
        if d.kind == Kind::PasswordReset && !next.state.open() {
            self.purge(tx, d)?;
        }
        Ok(())
    }

    /// A link to a new password is of use once: nothing of it stays.
    fn purge(&self, tx: Tx<'_>, d: &Delivery) -> Result<()> {
        for body in [d.body, tx.read().delivery(d.id)?.and_then(|d| d.content)].into_iter().flatten() {
            tx.purge_body(body)?;
        }
        Ok(())
    }

    /// Content as it is kept for a repeat; what nobody may read on the disk is sealed.
    fn pack(&self, kind: Kind, content: &Content) -> Result<Body> {
        let bytes = serde_json::to_vec(content).map_err(|e| StoreError::Sql(e.to_string()))?;
        Ok(if kind == Kind::PasswordReset { Body::sealed(self.key.seal(&bytes, self.random.as_ref())) } else { Body::pack(&bytes) })
    }

    /// The bytes of a body of a message of this kind.
    fn bytes(&self, tx: Tx<'_>, kind: Kind, body: i64) -> Result<Vec<u8>> {
        let bytes = tx.read().body(body)?;
        Ok(if kind == Kind::PasswordReset { self.key.open(&bytes).unwrap_or_default() } else { bytes })
    }

    /// What an outcome says of the provider, of the recipient's domain, and of the line.
    fn heed(&mut self, tx: Tx<'_>, f: &Finished, now: Now, report: &mut Report) -> Result<()> {
        let (provider, outcome) = (&f.start.provider, &f.outcome);
        let local = self.facts.get(provider).is_some_and(|f| f.local);
        if outcome.class == Class::Offline && outcome.scope == Scope::Line && !local {
            if let Some(turn) = self.line.lost(now) {
                report.notes.push(Note::Line(turn));
                self.heed_line(tx, now)?;
            }
            report.probe = true;
        }
        let narrow = choose::domain(&f.start.delivery).and_then(|domain| self.domains.get_mut(&(provider.clone(), domain)));
        // A domain that is told to slow down slows down nobody else.
        let of_domain = outcome.class == Class::Throttle && outcome.scope == Scope::Destination && narrow.is_some();
        if let Some(narrow) = narrow {
            narrow.end(outcome, now.mono);
        }
        let answered = Outcome::new(Class::Retry, Scope::Recipient, "");
        let said = if of_domain { &answered } else { outcome };
        let Some(lane) = self.lanes.get_mut(provider) else { return Ok(()) };
        if f.start.delivery.kind.is_marketing() {
            lane.end_offer();
        }
        let Some(change) = lane.end(said, now.mono) else { return Ok(()) };
        match change {
            Change::Paused => tx.raise("auth", provider, now.wall)?,
            Change::Resumed => tx.resolve("auth", provider, now.wall)?,
            Change::Broke => tx.raise("provider_down", provider, now.wall)?,
            Change::Closed => {
                self.release_waiting(tx, provider, now)?;
                tx.resolve("provider_down", provider, now.wall)?
            }
        };
        report.notes.push(Note::Lane(provider.clone(), change));
        Ok(())
    }

    /// A provider is back: what waited for it is due at once.
    fn release_waiting(&self, tx: Tx<'_>, provider: &str, now: Now) -> Result<()> {
        for d in tx.read().waiting_at(provider, 500)? {
            if d.due > now.wall && d.reason == "not_accepted" {
                tx.set_due(d.id, now.wall)?;
            }
        }
        Ok(())
    }

    /// The next channel of the chain takes over, where there is one and the kind allows it.
    fn fall_back(&self, tx: Tx<'_>, d: &Delivery, now: Now) -> Result<bool> {
        if !d.kind.falls_back() {
            return Ok(false);
        }
        let config = &self.config;
        let next = NextStep {
            due: &|channel, address| config.opens(d.kind, channel, d.sold_at, &d.zone, &d.region, address, now),
            time_to_live: &|channel| config.routing.time_to_live(d.kind, channel),
            priority: d.kind.priority(config.routing.is_fresh(d.sold_at, now.wall)),
            publish_until: config.publish_until(now.wall),
        };
        tx.take_over(d, &next, now.wall)
    }

    // ---- sweep ----

    fn sweep(&mut self, tx: Tx<'_>, now: Now) -> Result<()> {
        if now.good {
            tx.mend_deadlines(now.wall)?;
            for (kind, body) in tx.expire(now.wall, 500)? {
                if kind == Kind::PasswordReset {
                    tx.purge_body(body)?;
                }
            }
            tx.demote_stale(now.wall - self.config.routing.fresh)?;
        }
        if !self.line.is_up() && now.wall.since(self.line.since()) >= self.config.routing.offline_alert {
            tx.raise("offline", "", self.line.since())?;
        }
        if tx.read().dead_letters()? == 0 {
            tx.resolve("dead_letter", "", now.wall)?;
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

    /// An uncertain delivery: repeated where the provider drops a repeat, or, once the provider could not say,
    /// where its kind wants it. A customer's document is held: it stays uncertain until a person decides.
    fn settle(&self, tx: Tx<'_>, d: &Delivery, now: Now) -> Result<()> {
        if self.will_be_asked(d) {
            return Ok(());
        }
        let by_key = self.facts.get(&d.provider).is_some_and(|f| f.safe_by_key) && !self.is_foreign(d);
        let waited = d.ended_at.is_some_and(|at| now.wall.since(at) >= self.config.routing.uncertain_wait);
        let to = match d.kind.when_uncertain() {
            _ if by_key => State::Ready,
            // Once more, as long as it is of use: whoever waits for it asks again.
            WhenUncertain::Repeat if d.kind == Kind::PasswordReset => {
                if d.tries <= 1 {
                    State::Ready
                } else {
                    State::Cancelled
                }
            }
            WhenUncertain::Repeat if waited => State::Ready,
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
}

/// The name of the fact that a person paused a provider: `1` while that holds.
pub fn paused(provider: &str) -> String {
    format!("paused {provider}")
}

/// Whether two tables of one name speak of the same account: the same type at the same place. A new secret
/// makes no other account.
fn same_account(old: Option<&Provider>, new: Option<&Provider>) -> bool {
    let plain = |p: &Provider| {
        p.settings.0.iter().filter(|(_, v)| !matches!(v, Setting::Secret(_))).map(|(k, v)| (k.clone(), v.clone())).collect::<Vec<_>>()
    };
    match (old, new) {
        (Some(old), Some(new)) => old.kind == new.kind && old.base_url == new.base_url && plain(old) == plain(new),
        (None, None) => true, // the test inbox
        _ => false,
    }
}

/// Whether the recipient said that nothing is wanted: then no other channel is tried either.
fn unwanted(why: &str) -> bool {
    matches!(why, "complaint" | "sms_stop" | "unsubscribe" | "erased")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;
    use crate::config::checked::Settings;

    #[test]
    fn a_new_secret_is_the_same_account_and_another_place_is_not() {
        let account = |kind: &str, host: &str, secret: &str| Provider {
            kind: kind.into(),
            base_url: None,
            allow_insecure: false,
            allow_private: Vec::new(),
            rate: None,
            concurrency: None,
            timeout: Duration::from_secs(30),
            settings: Settings(BTreeMap::from([
                ("host".to_owned(), Setting::Text(host.into())),
                ("password".to_owned(), Setting::Secret(Secret::new(secret))),
            ])),
        };
        let one = account("smtp", "mail.cmart.example", "a");
        for (other, same) in [
            (account("smtp", "mail.cmart.example", "b"), true),
            (Provider { concurrency: Some(9), ..one.clone() }, true),
            (account("smtp", "other.example", "a"), false),
            (account("postmark", "mail.cmart.example", "a"), false),
            (Provider { base_url: Some("https://eu.example".into()), ..one.clone() }, false),
        ] {
            assert_eq!(same_account(Some(&one), Some(&other)), same, "{other:?}");
        }
        assert!(!same_account(Some(&one), None) && !same_account(None, Some(&one)) && same_account(None, None));
    }
}
