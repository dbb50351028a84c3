//! The schedule: what a delivery becomes after an attempt. Pure.

use crate::config::checked::Routing;
use crate::domain::delivery::State;
use crate::domain::outcome::{Class, Outcome, Scope};
use crate::domain::time::UnixMs;
use crate::store::outbox::{Delivery, Next};
use std::time::Duration;

/// What the schedule must know besides the delivery and the outcome.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// The wall clock.
    pub now: UnixMs,
    /// Milliseconds that the shop has been online, ever.
    pub online_ms: i64,
    /// How many providers the channel has.
    pub providers: u32,
}

/// How long a provider that says "too fast" without a time is left alone.
const UNNAMED_WAIT: Duration = Duration::from_secs(30);

/// The next state of a delivery that was in flight. `jitter` spreads a wait.
pub fn after(d: &Delivery, outcome: &Outcome, rules: &Routing, at: Circumstances, jitter: impl Fn(Duration) -> Duration) -> Next {
    let count = u32::from(outcome.counted());
    let same = Next {
        state: State::Ready,
        reason: String::new(),
        due: at.now,
        ordinal: d.ordinal,
        here: d.here + count,
        counted: d.counted + count,
    };
    let with = |state, reason: &str| Next { state, reason: reason.to_owned(), ..same.clone() };
    match (outcome.class, outcome.scope) {
        (Class::Accepted, _) => with(State::Accepted, ""),
        (Class::Offline, _) => with(State::Ready, "offline"),
        (Class::Throttle, _) => Next { due: at.now + outcome.retry_after.unwrap_or(UNNAMED_WAIT), ..with(State::Ready, "throttled") },
        (Class::Auth, _) => with(State::Ready, "account_paused"),
        (Class::Permanent, Scope::Recipient) => with(State::Bounced, outcome.suppress.map_or("refused", |why| why.word())),
        (Class::Permanent, Scope::Destination) => with(State::Ready, "destination_gone"),
        (Class::Permanent, _) => with(State::Dead, "refused"),
        (Class::Uncertain, _) => with(State::Uncertain, "unknown"),
        (Class::Retry, scope) => retry(d, outcome, rules, at, same, scope, jitter),
    }
}

fn retry(
    d: &Delivery,
    outcome: &Outcome,
    rules: &Routing,
    at: Circumstances,
    same: Next,
    scope: Scope,
    jitter: impl Fn(Duration) -> Duration,
) -> Next {
    if same.counted >= rules.max_attempts {
        return Next { state: State::Dead, reason: "attempts".to_owned(), ..same };
    }
    let pause = rules.retry.get(same.counted as usize - 1).or(rules.retry.last()).copied().unwrap_or(UNNAMED_WAIT);
    let wait = outcome.retry_after.unwrap_or_else(|| jitter(pause));
    let next = Next { state: State::Retry, reason: "not_accepted".to_owned(), due: at.now + wait, ..same };
    let here_long = d.here_since.is_some_and(|since| at.online_ms - since >= ms(rules.failover_after));
    // Another provider meets the same recipient: it would only begin anew with what is his matter.
    let may_change = at.providers > 1 && scope != Scope::Recipient;
    if !may_change || (next.here < rules.failover_attempts && !here_long) {
        return next;
    }
    let ordinal = (d.ordinal + 1) % at.providers;
    // All have failed once the list begins anew: then the pauses go on growing.
    let due = if ordinal == 0 { next.due } else { at.now };
    Next { ordinal, here: 0, due, reason: "failover".to_owned(), ..next }
}

/// Whether a channel had its chance: long enough online without success.
pub fn should_fall_back(d: &Delivery, rules: &Routing, online_ms: i64) -> bool {
    d.online_since.is_some_and(|since| online_ms - since >= ms(rules.fallback_after))
}

fn ms(length: Duration) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX)
}
