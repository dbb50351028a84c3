//! Tokens of receipt links: eleven base 58 characters that lead to one receipt and say nothing. Pure.
//!
//! A token is not stored. It is the receipt's own id (40 bits of its time, 18 of its random bits), enciphered
//! with a key of the box: whoever has the key finds the receipt again, everybody else sees 58 random bits.
//! The last character is a check digit (Luhn, modulo 58), so that a host refuses what is mistyped.

use crate::domain::ids::ReceiptId;
use ring::hmac;

/// Base 58: no 0, O, I, l.
const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

const HALF: u32 = 29;
const MASK: u64 = (1 << HALF) - 1;
const ROUNDS: u8 = 8;

/// The part of a receipt's id that a token carries: bits of its time and of its random part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(u64);

impl Mark {
    /// Of a receipt.
    pub fn of(id: &ReceiptId) -> Mark {
        let whole = u128::from_be_bytes(*id.bytes());
        let (time, random) = (u64::try_from(whole >> 80 & ((1 << 40) - 1)), u64::try_from(whole >> 62 & ((1 << 18) - 1)));
        Mark(time.unwrap_or(0) << 18 | random.unwrap_or(0))
    }

    /// The first and the last receipt id that have this mark, taken to be of the same 34 years as `near`.
    pub fn ids(self, near: &ReceiptId) -> (ReceiptId, ReceiptId) {
        let century = u128::from_be_bytes(*near.bytes()) >> 120 << 120;
        let first = century | u128::from(self.0) << 62;
        let id = |value: u128| ReceiptId::from_bytes(&value.to_be_bytes()).unwrap_or(*near);
        (id(first), id(first | ((1 << 62) - 1)))
    }
}

/// The token of a mark.
pub fn token(key: &hmac::Key, mark: Mark) -> String {
    let mut value = cipher(key, mark.0, false);
    let mut digits = [0u8; 10];
    for digit in digits.iter_mut().rev() {
        *digit = u8::try_from(value % 58).unwrap_or(0);
        value /= 58;
    }
    digits.iter().chain(&[check_digit(&digits)]).map(|d| char::from(ALPHABET.get(usize::from(*d)).copied().unwrap_or(b'1'))).collect()
}

/// Whether a text has the form of a token and its check digit fits.
pub fn well_formed(text: &str) -> bool {
    digits(text).is_some()
}

/// The mark of a token; `None` for what is none.
pub fn mark(key: &hmac::Key, text: &str) -> Option<Mark> {
    let value = digits(text)?.iter().try_fold(0u64, |sum, d| sum.checked_mul(58)?.checked_add(u64::from(*d)))?;
    (value < 1 << (2 * HALF)).then(|| Mark(cipher(key, value, true)))
}

fn digits(text: &str) -> Option<[u8; 10]> {
    let all: Option<Vec<u8>> =
        text.bytes().map(|b| ALPHABET.iter().position(|a| *a == b).and_then(|n| u8::try_from(n).ok())).take(12).collect();
    let (all, mut out) = (all?, [0; 10]);
    let (last, first) = all.split_last().filter(|(_, first)| first.len() == 10)?;
    out.copy_from_slice(first);
    (check_digit(&out) == *last).then_some(out)
}

/// Luhn's rule for 58 signs.
fn check_digit(digits: &[u8; 10]) -> u8 {
    let mut sum = 0u32;
    for (n, digit) in digits.iter().rev().enumerate() {
        let value = u32::from(*digit) * if n % 2 == 0 { 2 } else { 1 };
        sum += value / 58 + value % 58;
    }
    u8::try_from((58 - sum % 58) % 58).unwrap_or(0)
}

/// A Feistel network of two halves of 29 bits.
fn cipher(key: &hmac::Key, value: u64, back: bool) -> u64 {
    let (mut left, mut right) = (value >> HALF & MASK, value & MASK);
    for n in 0..ROUNDS {
        let round = if back { ROUNDS - 1 - n } else { n };
        if back {
            (left, right) = (right ^ mix(key, round, left), left);
        } else {
            (left, right) = (right, left ^ mix(key, round, right));
        }
    }
    left << HALF | right
}

fn mix(key: &hmac::Key, round: u8, half: u64) -> u64 {
    let mut input = [round; 9];
    input[1..].copy_from_slice(&half.to_be_bytes());
    let tag = hmac::sign(key, &input);
    tag.as_ref().iter().take(8).fold(0u64, |sum, b| sum << 8 | u64::from(*b)) & MASK
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn key() -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &[7; 32])
    }

    #[test]
    fn a_token_leads_back_to_its_receipt_alone() {
        let mut seen = BTreeSet::new();
        for n in 0..2_000u32 {
            let mut random = [0; 10];
            random[..4].copy_from_slice(&(n.wrapping_mul(2_654_435_761)).to_be_bytes());
            let id = ReceiptId::new(1_790_000_000_000 + i64::from(n / 7), random);
            let token = token(&key(), Mark::of(&id));
            assert!(token.len() == 11 && well_formed(&token), "{token}");
            let (first, last) = mark(&key(), &token).unwrap().ids(&ReceiptId::new(1_795_000_000_000, [0; 10]));
            assert!(first <= id && id <= last);
            seen.insert(token);
        }
        assert_eq!(seen.len(), 2_000);
    }

    #[test]
    fn one_wrong_character_is_noticed_and_another_key_leads_elsewhere() {
        let id = ReceiptId::new(1_790_000_000_000, [3; 10]);
        let good = token(&key(), Mark::of(&id));
        for at in 0..11 {
            for c in ALPHABET {
                let mut wrong = good.clone().into_bytes();
                wrong[at] = *c;
                let wrong = String::from_utf8(wrong).unwrap();
                assert_eq!(well_formed(&wrong), wrong == good, "{wrong}");
            }
        }
        let other = hmac::Key::new(hmac::HMAC_SHA256, &[8; 32]);
        assert_ne!(mark(&other, &good), Some(Mark::of(&id)));
        for bad in ["", "0", "Ab3dE6gH9k", "Ab3dE6gH9kQQ", "Ab3dE6gH9k!", "zzzzzzzzzzz"] {
            assert_eq!(mark(&key(), bad), None, "{bad}");
        }
    }
}
