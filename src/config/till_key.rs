//! Keys that Tillpost makes for tills: `tp_live_` or `tp_test_`, 32 random letters and digits, and a
//! check sum of four that finds a slip while copying. Draws no randomness: it is handed in. The check
//! sum proves nothing about a caller; only comparing with the stored key does.

use crate::config::Secret;
use crate::domain::ids::sha256;

/// Letters without their look-alikes: no `0`, `1`, `8`.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const LIVE: &str = "tp_live_";
const TEST: &str = "tp_test_";
const RANDOM: usize = 32;
const SUM: usize = 4;

/// A new key; `test` for one whose messages reach the capture inbox only.
pub fn make(test: bool, random: [u8; 20]) -> Secret {
    let head = format!("{}{}", if test { TEST } else { LIVE }, base32(&random));
    let sum = check_sum(&head);
    Secret::new(format!("{head}{sum}"))
}

/// Whether a key begins as ours do.
pub fn looks_like_ours(key: &str) -> bool {
    key.starts_with(LIVE) || key.starts_with(TEST)
}

/// Whether it is a key for tests by its own word.
pub fn is_test(key: &str) -> bool {
    key.starts_with(TEST)
}

/// Whether a key that looks like ours is whole: its length and its check sum fit.
pub fn verify(key: &str) -> bool {
    let fits = looks_like_ours(key) && key.len() == LIVE.len() + RANDOM + SUM;
    fits && key.split_at_checked(key.len() - SUM).is_some_and(|(head, sum)| check_sum(head) == sum)
}

fn check_sum(head: &str) -> String {
    base32(&sha256(head.as_bytes())).chars().take(SUM).collect()
}

/// Whole groups of five bits; what is left over is dropped, and of 20 bytes nothing is.
fn base32(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 8 / 5 + 1);
    let (mut held, mut bits) = (0u32, 0u32);
    for byte in bytes {
        held = (held << 8 | u32::from(*byte)) & 0xffff;
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            let at = (held >> bits & 31) as usize;
            out.push(ALPHABET.get(at).copied().map_or('a', char::from));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_key_verifies_and_a_slip_is_found() {
        let key = make(false, *b"\x00\x01\x02\x03\xff\xfe\xfd\x10\x20\x30\x40\x50\x60\x70\x80\x90\xa0\xb0\xc0\xd0");
        let text = key.expose();
        assert!(verify(text) && looks_like_ours(text) && !is_test(text), "{text}");
        assert_eq!(text.len(), 44);
        for at in 8..text.len() {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'q' { b'r' } else { b'q' };
            assert!(!verify(std::str::from_utf8(&bytes).unwrap()), "slip at {at}");
        }
        assert!(!verify(text.get(..43).unwrap()) && !verify(&format!("{text}a")));
        assert!(is_test(make(true, [7; 20]).expose()));
        assert_ne!(make(true, [7; 20]), make(false, [7; 20]));
    }

    #[test]
    fn other_keys_are_not_ours() {
        for key in ["", "abcdefghijklmnop", "tp_live", "TP_LIVE_abcd", "tp_live_ä"] {
            assert!(!verify(key), "{key}");
        }
        assert_eq!(base32(b"fooba"), "mzxw6ytb");
    }
}
