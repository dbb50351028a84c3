//! Clocks. The wall clock may be wrong, jump, and start in 1970; the monotonic one only runs.

use crate::domain::time::UnixMs;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A moment on the monotonic clock: milliseconds since some start, meaningful only as a difference
/// within one run of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mono(pub u64);

impl Mono {
    /// Time from `earlier` to `self`, never below zero.
    pub fn since(self, earlier: Mono) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl std::ops::Add<Duration> for Mono {
    type Output = Mono;
    fn add(self, by: Duration) -> Mono {
        Mono(self.0.saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// Both clocks at one moment, as the core takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Wall clock.
    pub wall: UnixMs,
    /// Monotonic clock.
    pub mono: Mono,
    /// The wall clock can be believed.
    pub good: bool,
}

/// Where the time comes from.
pub trait Clock: Send + Sync {
    /// Both clocks, and whether the wall clock can be believed.
    fn now(&self) -> Now;
}

/// The machine's clocks. The wall clock is good when it is not before the build nor before the newest
/// stored time (which a store tells with [`SystemClock::not_before`]), or when it is trusted by config.
pub struct SystemClock {
    start: Instant,
    floor: AtomicI64,
    trusted: bool,
}

/// Half of this release's year: no right clock shows an earlier moment while this release runs.
const BUILT: &str = "2026-06-01T00:00:00Z";

impl SystemClock {
    /// `trusted`: never doubt the wall clock.
    #[allow(clippy::disallowed_methods)] // this is the one place that reads the machine's clocks
    pub fn new(trusted: bool) -> Self {
        let floor = UnixMs::parse_rfc3339(BUILT).unwrap_or_default().0;
        SystemClock { start: Instant::now(), floor: AtomicI64::new(floor), trusted }
    }

    /// The right time is not before this: the newest stored time at start.
    pub fn not_before(&self, newest: UnixMs) {
        self.floor.fetch_max(newest.0, Ordering::Relaxed);
    }
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)] // this is the one place that reads the machine's clocks
    fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX));
        let mono = Mono(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX));
        Now { wall: UnixMs(wall), mono, good: self.trusted || wall >= self.floor.load(Ordering::Relaxed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_before_what_is_stored_is_not_good() {
        let clock = SystemClock::new(false);
        assert!(clock.now().good);
        clock.not_before(UnixMs(clock.now().wall.0 + 3_600_000));
        assert!(!clock.now().good);
        assert!(SystemClock::new(true).now().good);
    }
}
