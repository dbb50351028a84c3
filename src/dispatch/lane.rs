//! Lanes: a provider's own queue front, with its rate, its concurrency, its breaker and its pauses.
//!
//! Works on the monotonic clock alone, so that no jump of the wall clock opens or closes a lane.

use crate::config::checked::{Rate, Routing};
use crate::domain::outcome::{Class, Outcome, Scope};
use crate::sys::clock::Mono;
use std::collections::VecDeque;
use std::time::Duration;

/// How many outcomes the breaker remembers.
const MEMORY: usize = 20;

/// The longest waits of an open breaker and of a paused account.
const BREAKER_MOST: Duration = Duration::from_secs(600);
const ACCOUNT_MOST: Duration = Duration::from_secs(7200);

/// When a provider is left alone, and for how long at first.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Failures in a row.
    pub in_a_row: usize,
    /// Per cent of the last [`MEMORY`].
    pub share: usize,
    /// The first wait of an open breaker.
    pub breaker: Duration,
    /// The first wait of a paused account.
    pub account: Duration,
    /// Per cent of the rate that campaigns may use.
    pub campaigns: u64,
}

impl Patience {
    /// As the config has it.
    pub fn of(rules: &Routing) -> Patience {
        Patience {
            in_a_row: rules.breaker_failures as usize,
            share: rules.breaker_share as usize,
            breaker: rules.breaker_wait,
            account: rules.account_wait,
            campaigns: u64::from(rules.campaign_share),
        }
    }
}

/// The least share of its rate that a throttled account is given, in thousandths.
const LEAST_FACTOR: u64 = 10;

/// Whether a lane takes a delivery now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Yes.
    Open,
    /// All slots are taken, or the rate is used up until then.
    Busy(Option<Mono>),
    /// The provider asked to wait until then.
    Throttled(Mono),
    /// The breaker is open until then.
    Broken(Mono),
    /// The account is paused until then.
    Paused(Mono),
}

/// A change of a lane that people should hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The account may not send; a person must act.
    Paused,
    /// It sends again after a pause.
    Resumed,
    /// The breaker opened.
    Broke,
    /// The breaker closed: what waited for it is due at once.
    Closed,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Lane {
    concurrency: usize,
    rate: Rate,
    patience: Patience,
    /// Thousandths of a token that campaigns may use: their share of the rate.
    offers: u64,
    offers_in_flight: usize,
    /// Thousandths of the rate that are used now.
    factor: u64,
    /// Thousandths of a token.
    tokens: u64,
    refilled: Mono,
    in_flight: usize,
    recent: VecDeque<bool>,
    breaker: Wait,
    account: Wait,
    /// A person paused it.
    stopped: bool,
    throttled: Option<Mono>,
    clean_since: Mono,
    /// People heard of a pause, or of a break, and wait to hear of its end: the first success.
    told_paused: bool,
    told_broken: bool,
}

/// A wait that doubles each time it was in vain.
#[derive(Clone, Copy, Debug)]
struct Wait {
    until: Option<Mono>,
    next: Duration,
    limits: (Duration, Duration),
    /// One attempt is under way to see whether it is over.
    probing: bool,
}

impl Wait {
    fn new(limits: (Duration, Duration)) -> Wait {
        Wait { until: None, next: limits.0, limits, probing: false }
    }

    fn begin(&mut self, now: Mono) {
        self.until = Some(now + self.next);
        self.next = (self.next * 2).min(self.limits.1);
        self.probing = false;
    }

    fn limit(&mut self, limits: (Duration, Duration)) {
        let next = if self.next == self.limits.0 { limits.0 } else { self.next };
        (self.limits, self.next) = (limits, next.clamp(limits.0, limits.1));
    }

    /// Gives whether there was one.
    fn end(&mut self) -> bool {
        self.next = self.limits.0;
        self.probing = false;
        self.until.take().is_some()
    }

    /// The moment until which nothing may go; `None` where one may try.
    fn closed(&self, now: Mono) -> Option<Mono> {
        self.until.filter(|until| self.probing || *until > now)
    }
}

impl Lane {
    /// A lane that was never used. Its bucket is filled for one second only, so that a start is no burst.
    pub fn new(rate: Rate, concurrency: usize, patience: Patience, now: Mono) -> Lane {
        Lane {
            concurrency: concurrency.max(1),
            rate,
            patience,
            offers: 1000,
            offers_in_flight: 0,
            factor: 1000,
            tokens: 1000,
            refilled: now,
            in_flight: 0,
            recent: VecDeque::with_capacity(MEMORY),
            breaker: Wait::new((patience.breaker, BREAKER_MOST.max(patience.breaker))),
            account: Wait::new((patience.account, ACCOUNT_MOST.max(patience.account))),
            stopped: false,
            throttled: None,
            clean_since: now,
            told_paused: false,
            told_broken: false,
        }
    }

    /// Whether a delivery may go now. `share` is the part of the rate that may be used, in thousandths.
    pub fn gate(&mut self, now: Mono, share: u64) -> Gate {
        if self.stopped {
            return Gate::Paused(now + Duration::from_secs(3600));
        }
        if let Some(until) = self.account.closed(now) {
            return Gate::Paused(until);
        }
        if let Some(until) = self.breaker.closed(now) {
            return Gate::Broken(until);
        }
        if let Some(until) = self.throttled.filter(|until| *until > now) {
            return Gate::Throttled(until);
        }
        if self.in_flight >= self.concurrency {
            return Gate::Busy(None);
        }
        self.refill(now, share);
        if self.tokens < 1000 {
            let per_token = u64::try_from(self.rate.per.as_millis()).unwrap_or(u64::MAX) * 1000 / u64::from(self.rate.count.max(1));
            let missing = (1000 - self.tokens).saturating_mul(per_token) / 1000 * 1000 / (self.factor * share / 1000).max(1);
            return Gate::Busy(Some(now + Duration::from_millis(missing / 1000 + 1)));
        }
        Gate::Open
    }

    /// Whether an offer may go now, given that [`Lane::gate`] is open: offers leave room for what is asked for.
    pub fn gate_offer(&self, now: Mono) -> Gate {
        // Offers never take the last slots, nor more than their share of the rate.
        let most = (self.concurrency * self.patience.campaigns as usize).div_ceil(100).max(1);
        if self.offers_in_flight >= most {
            return Gate::Busy(None);
        }
        if self.offers >= 1000 {
            return Gate::Open;
        }
        let speed = u64::from(self.rate.count).saturating_mul(self.factor * self.patience.campaigns / 100).max(1);
        let per = u64::try_from(self.rate.per.as_millis()).unwrap_or(u64::MAX);
        Gate::Busy(Some(now + Duration::from_millis((1000 - self.offers).saturating_mul(per) / speed + 1)))
    }

    /// Before a restart something left so long ago: its token is not there again before its time.
    pub fn has_sent(&mut self, ago: Duration) {
        let ago = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
        let per = u64::try_from(self.rate.per.as_millis()).unwrap_or(u64::MAX).max(1);
        self.tokens = self.tokens.min(ago.saturating_mul(u64::from(self.rate.count)).saturating_mul(1000) / per);
        self.offers = self.offers.min(self.tokens);
    }

    /// A delivery goes. A lane whose breaker or pause ran out sends this one alone, to see.
    pub fn begin(&mut self, offer: bool) {
        self.in_flight += 1;
        self.tokens = self.tokens.saturating_sub(1000);
        if offer {
            self.offers = self.offers.saturating_sub(1000);
            self.offers_in_flight += 1;
        }
        self.breaker.probing = self.breaker.until.is_some();
        self.account.probing = self.account.until.is_some();
    }

    /// Slots that are free.
    pub fn free(&self) -> usize {
        self.concurrency - self.in_flight.min(self.concurrency)
    }

    /// An offer's attempt has ended, besides [`Lane::end`].
    pub fn end_offer(&mut self) {
        self.offers_in_flight = self.offers_in_flight.saturating_sub(1);
    }

    /// The attempt has ended.
    pub fn end(&mut self, outcome: &Outcome, now: Mono) -> Option<Change> {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.speed_up(now);
        match (outcome.class, outcome.scope) {
            (Class::Offline, _) => {
                (self.breaker.probing, self.account.probing) = (false, false);
                None
            }
            (Class::Auth, _) | (Class::Permanent, Scope::Destination) => {
                self.account.begin(now);
                (!std::mem::replace(&mut self.told_paused, true)).then_some(Change::Paused)
            }
            (Class::Throttle, _) => {
                self.throttled = Some(now + outcome.retry_after.unwrap_or(Duration::from_secs(30)));
                self.factor = (self.factor / 2).max(LEAST_FACTOR);
                self.clean_since = now;
                (self.breaker.probing, self.account.probing) = (false, false);
                None
            }
            // What concerns one recipient says nothing against the provider: it answered.
            (Class::Retry, Scope::Recipient) | (Class::Accepted | Class::Permanent, _) => {
                self.remember(true);
                self.account.end();
                if self.breaker.end() {
                    self.recent.clear();
                }
                if std::mem::take(&mut self.told_broken) {
                    return Some(Change::Closed);
                }
                std::mem::take(&mut self.told_paused).then_some(Change::Resumed)
            }
            (Class::Retry | Class::Uncertain, _) => self.failed(now),
        }
    }

    /// Other limits; what is known of the account stays.
    pub fn retune(&mut self, rate: Rate, concurrency: usize, patience: Patience, now: Mono) {
        if rate != self.rate {
            // What was saved up at the old rate is no burst at the new one.
            (self.rate, self.tokens, self.refilled) = (rate, self.tokens.min(1000), now);
        }
        (self.concurrency, self.patience) = (concurrency.max(1), patience);
        self.breaker.limit((patience.breaker, BREAKER_MOST.max(patience.breaker)));
        self.account.limit((patience.account, ACCOUNT_MOST.max(patience.account)));
    }

    /// A person pauses it, or ends that.
    pub fn stop(&mut self, stopped: bool) {
        self.stopped = stopped;
    }

    /// A person mended the account: it is tried at once.
    pub fn resume(&mut self) {
        self.account.end();
        self.breaker.end();
        self.throttled = None;
    }

    /// The word of its state, for pages and `status`.
    pub fn word(&self, now: Mono) -> &'static str {
        if self.stopped || self.account.until.is_some() {
            "paused"
        } else if self.breaker.until.is_some() {
            "down"
        } else if self.throttled.is_some_and(|until| until > now) {
            "throttled"
        } else {
            "ok"
        }
    }

    fn failed(&mut self, now: Mono) -> Option<Change> {
        self.account.probing = false;
        self.remember(false);
        if self.breaker.until.is_some() {
            self.breaker.begin(now); // the probe was in vain
            return None;
        }
        let in_a_row = self.recent.iter().rev().take_while(|good| !**good).count();
        let bad = self.recent.iter().filter(|good| !**good).count();
        if in_a_row >= self.patience.in_a_row || (self.recent.len() == MEMORY && bad * 100 >= MEMORY * self.patience.share) {
            self.breaker.begin(now);
            return (!std::mem::replace(&mut self.told_broken, true)).then_some(Change::Broke);
        }
        None
    }

    fn remember(&mut self, good: bool) {
        if self.recent.len() == MEMORY {
            self.recent.pop_front();
        }
        self.recent.push_back(good);
    }

    fn refill(&mut self, now: Mono, share: u64) {
        let passed = u64::try_from(now.since(self.refilled).as_millis()).unwrap_or(u64::MAX).min(3_600_000);
        let per = u64::try_from(self.rate.per.as_millis()).unwrap_or(u64::MAX).max(1);
        let speed = u64::from(self.rate.count).saturating_mul((self.factor * share / 1000).max(1)).max(1);
        let gained = passed.saturating_mul(speed) / per;
        // One second's worth may be saved up, at the least one token.
        let most = (u64::from(self.rate.count).saturating_mul(1_000_000) / per).max(1000);
        self.tokens = self.tokens.saturating_add(gained);
        let share = gained.saturating_mul(self.patience.campaigns) / 100;
        self.offers = self.offers.saturating_add(share).min((most * self.patience.campaigns / 100).max(1000));
        if self.tokens >= most {
            (self.tokens, self.refilled) = (most, now);
        } else {
            // Only the time that was turned into tokens is spent: a slow rate gains little at a time.
            self.refilled = self.refilled + Duration::from_millis(gained.saturating_mul(per) / speed);
        }
    }

    /// A tenth more for each clean minute, up to the configured rate.
    fn speed_up(&mut self, now: Mono) {
        while self.factor < 1000 && now.since(self.clean_since) >= Duration::from_secs(60) {
            self.factor = (self.factor + 100).min(1000);
            self.clean_since = self.clean_since + Duration::from_secs(60);
        }
    }
}

/// One recipient's domain at one provider: how much of it goes at once.
#[derive(Clone, Debug, Default)]
pub struct Narrow {
    in_flight: usize,
    /// Nothing goes before this: the domain's own rate, or its wish.
    until: Option<Mono>,
}

impl Narrow {
    /// Whether a delivery may go now.
    pub fn gate(&self, most: usize, now: Mono) -> Gate {
        match self.until.filter(|until| *until > now) {
            Some(until) => Gate::Busy(Some(until)),
            None if self.in_flight >= most => Gate::Busy(None),
            None => Gate::Open,
        }
    }

    /// A delivery goes.
    pub fn begin(&mut self, rate: Option<Rate>, now: Mono) {
        self.in_flight += 1;
        if let Some(rate) = rate {
            self.until = Some(self.until.unwrap_or(now).max(now) + rate.per / rate.count.max(1));
        }
    }

    /// The attempt has ended.
    pub fn end(&mut self, outcome: &Outcome, now: Mono) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if outcome.class == Class::Throttle && outcome.scope == Scope::Destination {
            self.until = Some(now + outcome.retry_after.unwrap_or(Duration::from_secs(30)));
        }
    }

    /// Nothing is under way and nothing is waited for: it need not be remembered.
    pub fn is_idle(&self, now: Mono) -> bool {
        self.in_flight == 0 && self.until.is_none_or(|until| until <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience =
        Patience { in_a_row: 5, share: 50, breaker: Duration::from_secs(30), account: Duration::from_secs(900), campaigns: 70 };

    fn lane(rate: u32, concurrency: usize) -> Lane {
        Lane::new(Rate::per_second(rate), concurrency, PATIENCE, Mono(0))
    }

    fn outcome(class: Class) -> Outcome {
        Outcome::new(class, Scope::Account, "")
    }

    fn go(lane: &mut Lane, at: u64, class: Class) -> Option<Change> {
        assert_eq!(lane.gate(Mono(at), 1000), Gate::Open, "at {at}");
        lane.begin(false);
        lane.end(&outcome(class), Mono(at))
    }

    #[test]
    fn concurrency_bounds_what_is_in_flight() {
        let mut lane = lane(1000, 2);
        for at in [10, 20] {
            assert_eq!(lane.gate(Mono(at), 1000), Gate::Open);
            lane.begin(false);
        }
        assert_eq!(lane.gate(Mono(30), 1000), Gate::Busy(None));
        lane.end(&outcome(Class::Accepted), Mono(40));
        assert_eq!(lane.gate(Mono(50), 1000), Gate::Open);
    }

    #[test]
    fn the_rate_holds_and_a_start_is_no_burst() {
        let mut lane = lane(10, 100);
        let mut sent = 0;
        for at in 0..10_000 {
            if lane.gate(Mono(at), 1000) == Gate::Open {
                lane.begin(false);
                sent += 1;
            }
        }
        assert!((95..=101).contains(&sent), "{sent} in ten seconds at 10/s");
    }

    #[test]
    fn a_slow_rate_is_reached() {
        let mut lane = Lane::new(Rate { count: 90, per: Duration::from_secs(3600) }, 1, PATIENCE, Mono(0));
        let mut sent = 0;
        for at in (0..3_600_000).step_by(500) {
            if lane.gate(Mono(at), 1000) == Gate::Open {
                lane.begin(false);
                lane.end(&outcome(Class::Accepted), Mono(at));
                sent += 1;
            }
        }
        assert!((88..=91).contains(&sent), "{sent} in an hour at 90/h");
    }

    #[test]
    fn five_failures_in_a_row_open_the_breaker_and_one_probe_closes_it() {
        let mut lane = lane(1000, 8);
        for n in 0..4 {
            assert_eq!(go(&mut lane, n * 100, Class::Retry), None);
        }
        assert_eq!(go(&mut lane, 400, Class::Retry), Some(Change::Broke));
        assert!(matches!(lane.gate(Mono(30_399), 1000), Gate::Broken(_)));
        assert_eq!(lane.gate(Mono(30_400), 1000), Gate::Open);
        lane.begin(false);
        assert!(matches!(lane.gate(Mono(30_401), 1000), Gate::Broken(_)), "one probe at a time");
        assert_eq!(lane.end(&outcome(Class::Retry), Mono(30_500)), None);
        assert!(matches!(lane.gate(Mono(90_499), 1000), Gate::Broken(_)), "the wait doubles");
        assert_eq!(go(&mut lane, 90_500, Class::Accepted), Some(Change::Closed));
        assert_eq!(lane.word(Mono(90_500)), "ok");
    }

    #[test]
    fn a_refused_account_is_paused_and_tried_again_with_one() {
        let mut lane = lane(1000, 8);
        assert_eq!(go(&mut lane, 100, Class::Auth), Some(Change::Paused));
        assert!(matches!(lane.gate(Mono(899_000), 1000), Gate::Paused(_)));
        assert_eq!(go(&mut lane, 900_100, Class::Auth), None, "one alert only");
        assert!(matches!(lane.gate(Mono(2_700_000), 1000), Gate::Paused(_)));
        assert_eq!(go(&mut lane, 2_700_100, Class::Accepted), Some(Change::Resumed));
    }

    #[test]
    fn throttling_halves_the_rate_and_clean_minutes_bring_it_back() {
        let mut lane = lane(10, 8);
        lane.begin(false);
        lane.end(&outcome(Class::Throttle).wait(Some(Duration::from_secs(7))), Mono(100));
        assert_eq!(lane.gate(Mono(7_000), 1000), Gate::Throttled(Mono(7_100)));
        assert_eq!(lane.factor, 500);
        assert_eq!(lane.gate(Mono(8_000), 1000), Gate::Open);
        lane.begin(false);
        lane.end(&outcome(Class::Accepted), Mono(360_000));
        assert_eq!(lane.factor, 1000);
    }

    #[test]
    fn other_limits_leave_what_is_known_and_make_no_burst() {
        let mut lane = lane(100, 2);
        assert_eq!(go(&mut lane, 100, Class::Auth), Some(Change::Paused));
        lane.retune(Rate::per_second(1), 3, PATIENCE, Mono(60_000));
        assert!(matches!(lane.gate(Mono(60_000), 1000), Gate::Paused(_)), "it is still locked out");
        lane.resume();
        assert_eq!(lane.gate(Mono(60_000), 1000), Gate::Open);
        lane.begin(false);
        assert!(matches!(lane.gate(Mono(60_000), 1000), Gate::Busy(Some(_))), "one a second now");
        let quick = Patience { account: Duration::from_secs(5), ..PATIENCE };
        lane.retune(Rate::per_second(1), 3, quick, Mono(60_000));
        lane.end(&outcome(Class::Auth), Mono(60_000));
        assert_eq!(lane.gate(Mono(60_001), 1000), Gate::Paused(Mono(65_000)));
    }

    #[test]
    fn what_is_the_recipients_matter_does_not_open_the_breaker() {
        let mut lane = lane(1000, 8);
        for n in 0..50 {
            lane.begin(false);
            assert_eq!(lane.end(&Outcome::new(Class::Retry, Scope::Recipient, ""), Mono(n)), None);
        }
    }
}
