//! Randomness: the machine's for ids and keys, a seeded one for the simulator.

use ring::rand::SecureRandom;
use std::sync::Mutex;
use std::time::Duration;

/// Where random bytes come from.
pub trait Random: Send + Sync {
    /// Fills the buffer.
    fn fill(&self, buffer: &mut [u8]);

    /// A number below `bound` (0 where that is 0).
    fn below(&self, bound: u64) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes).checked_rem(bound).unwrap_or(0)
    }

    /// The length, more or less by up to a fifth.
    fn jitter(&self, length: Duration) -> Duration {
        let ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        let spread = ms / 5 * 2;
        Duration::from_millis(ms - ms / 5 + self.below(spread.saturating_add(1)))
    }
}

/// An array of random bytes.
pub fn bytes<const N: usize>(random: &dyn Random) -> [u8; N] {
    let mut out = [0; N];
    random.fill(&mut out);
    out
}

/// The machine's randomness.
pub struct SystemRandom(ring::rand::SystemRandom);

impl Default for SystemRandom {
    fn default() -> Self {
        SystemRandom(ring::rand::SystemRandom::new())
    }
}

impl Random for SystemRandom {
    fn fill(&self, buffer: &mut [u8]) {
        // A kernel without randomness cannot be worked with: wait for it rather than hand out zeros.
        while self.0.fill(buffer).is_err() {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The same numbers from the same seed (SplitMix64). Only for the simulator: they can be guessed.
pub struct SeededRandom(Mutex<u64>);

impl SeededRandom {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        SeededRandom(Mutex::new(seed))
    }
}

impl Random for SeededRandom {
    fn fill(&self, buffer: &mut [u8]) {
        let mut state = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for chunk in buffer.chunks_mut(8) {
            *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = *state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            for (to, from) in chunk.iter_mut().zip((z ^ (z >> 31)).to_le_bytes()) {
                *to = from;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_jitter_stays_within_a_fifth() {
        let (a, b) = (SeededRandom::new(7), SeededRandom::new(7));
        assert_eq!(bytes::<16>(&a), bytes::<16>(&b));
        for _ in 0..1000 {
            let j = a.jitter(Duration::from_secs(10));
            assert!((8_000..=12_000).contains(&j.as_millis()), "{j:?}");
        }
        assert_eq!(a.below(0), 0);
    }
}
