//! The line: is the shop online? Decided by real reachability, not by the state of a cable.
//!
//! While it is down nothing is tried that must leave the shop; one probe wakes the rest. Knows no
//! network: probes are made by the shell and told here.

use crate::domain::time::UnixMs;
use crate::sys::clock::{Mono, Now};
use std::time::Duration;

/// See the module.
#[derive(Clone, Debug)]
pub struct Line {
    up: bool,
    /// When it last changed, by both clocks.
    since: Now,
    /// After a reconnect: nothing goes before this, and the full rate comes a ramp later.
    opens: Mono,
    ramp: Duration,
    /// Online time up to `counted`.
    online: Duration,
    counted: Mono,
}

/// What a probe or an attempt said, where it changed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It went down.
    Down,
    /// It came back.
    Up,
}

impl Line {
    /// At start the line is taken to be up: a start is no reconnect. `online` is the online time so far.
    pub fn new(now: Now, online: Duration) -> Line {
        Line { up: true, since: now, opens: now.mono, ramp: Duration::ZERO, online, counted: now.mono }
    }

    /// An attempt or a probe found no line.
    pub fn lost(&mut self, now: Now) -> Option<Turn> {
        self.count(now.mono);
        std::mem::replace(&mut self.up, false).then(|| {
            self.since = now;
            Turn::Down
        })
    }

    /// Something answered. `wait` is the random wait before the first message, `ramp` as in the config.
    pub fn found(&mut self, now: Now, wait: Duration, ramp: Duration) -> Option<Turn> {
        self.count(now.mono);
        if self.up {
            return None;
        }
        (self.up, self.since, self.opens, self.ramp) = (true, now, now.mono + wait, ramp);
        Some(Turn::Up)
    }

    /// Whether it is up.
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// Since when it is as it is, by the wall clock then.
    pub fn since(&self) -> UnixMs {
        self.since.wall
    }

    /// The part of its rate that a provider may use now, in thousandths; 0: nothing goes.
    pub fn share(&self, now: Mono) -> u64 {
        if !self.up || now < self.opens {
            return 0;
        }
        let ramp = u64::try_from(self.ramp.as_millis()).unwrap_or(u64::MAX);
        let passed = u64::try_from(now.since(self.opens).as_millis()).unwrap_or(u64::MAX);
        if passed >= ramp { 1000 } else { 200 + 800 * passed / ramp.max(1) }
    }

    /// When the wait after a reconnect is over, if it is not.
    pub fn opens(&self, now: Mono) -> Option<Mono> {
        (self.up && self.opens > now).then_some(self.opens)
    }

    /// Milliseconds that the shop has been online, ever. Deadlines of channels and providers count these.
    pub fn online_ms(&mut self, now: Mono) -> i64 {
        self.count(now);
        i64::try_from(self.online.as_millis()).unwrap_or(i64::MAX)
    }

    fn count(&mut self, now: Mono) {
        if self.up {
            self.online += now.since(self.counted);
        }
        self.counted = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Now {
        Now { wall: UnixMs(1_790_000_000_000 + ms as i64), mono: Mono(ms), good: true }
    }

    #[test]
    fn a_start_is_no_reconnect_and_only_online_time_counts() {
        let mut line = Line::new(at(0), Duration::ZERO);
        assert_eq!(line.share(Mono(0)), 1000);
        assert_eq!(line.lost(at(1_000)), Some(Turn::Down));
        assert_eq!(line.lost(at(2_000)), None);
        assert_eq!((line.share(Mono(5_000)), line.online_ms(Mono(5_000))), (0, 1_000));
        assert_eq!(line.found(at(10_000), Duration::from_secs(20), Duration::from_secs(60)), Some(Turn::Up));
        assert_eq!(line.share(Mono(29_999)), 0, "the random wait");
        assert_eq!(line.opens(Mono(29_999)), Some(Mono(30_000)));
        assert_eq!(line.share(Mono(30_000)), 200, "the ramp begins at a fifth");
        assert_eq!(line.share(Mono(60_000)), 600);
        assert_eq!(line.share(Mono(90_000)), 1000);
        assert_eq!(line.online_ms(Mono(90_000)), 81_000);
    }
}
