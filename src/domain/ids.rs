//! Ids, each a type of its own, so that none lands where another belongs.
//!
//! Ids are made from bytes that the caller drew: this file draws no randomness.

use crate::domain::channel::Channel;
use crate::domain::message::Kind;
use ring::digest;
use std::fmt::{self, Write as _};

/// Crockford's base 32 in lower case: no i, l, o, u, so that a person can read one out.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A receipt's id: 48 bits of time and 80 random bits, shown as 26 characters that sort by time.
/// It says nothing about the shop, the till or the customer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReceiptId([u8; 16]);

impl ReceiptId {
    /// From the moment in Unix milliseconds and ten random bytes.
    pub fn new(at_ms: i64, random: [u8; 10]) -> Self {
        let mut id = [0; 16];
        let time = at_ms.max(0).to_be_bytes();
        for (to, from) in id.iter_mut().zip(time.iter().skip(2).chain(random.iter())) {
            *to = *from;
        }
        ReceiptId(id)
    }

    /// The 16 bytes, as they are stored.
    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The moment that it was made from, in Unix milliseconds.
    pub fn at_ms(&self) -> i64 {
        self.0.iter().take(6).fold(0, |ms, byte| ms << 8 | i64::from(*byte))
    }

    /// Back from the stored bytes; `None` unless there are 16.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(ReceiptId)
    }

    /// Reads the 26 characters back; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 26 || !text.starts_with(|c: char| ('0'..='7').contains(&c)) {
            return None;
        }
        let mut value: u128 = 0;
        for c in text.bytes() {
            let digit = ALPHABET.iter().position(|a| *a == c.to_ascii_lowercase())?;
            value = (value << 5) | digit as u128;
        }
        Some(ReceiptId(value.to_be_bytes()))
    }
}

impl fmt::Display for ReceiptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = u128::from_be_bytes(self.0);
        for i in (0..26).rev() {
            let digit = (value >> (i * 5)) as usize & 31;
            f.write_char(ALPHABET.get(digit).copied().unwrap_or(b'0').into())?;
        }
        Ok(())
    }
}

impl fmt::Debug for ReceiptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The id of "this document must reach this audience once": the first six bytes of the receipt's id (its
/// time, so that ids grow) and ten of SHA-256 over kind, receipt, revision, audience and slot. The same
/// intent always has the same id, and is stored once: one of the layers that keep a message from going
/// out twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IntentId([u8; 16]);

impl IntentId {
    /// `slot` is empty, except the number of a deliberate resend or the name of a staff target.
    pub fn new(kind: Kind, receipt: &ReceiptId, revision: u32, audience: &str, slot: &str) -> Self {
        let text = format!("{}|{receipt}|{revision}|{audience}|{slot}", kind.word());
        let mut id = [0; 16];
        let (time, hash) = (receipt.0, sha256(text.as_bytes()));
        for (to, from) in id.iter_mut().zip(time.iter().take(6).chain(&hash)) {
            *to = *from;
        }
        IntentId(id)
    }

    /// The 16 bytes, as they are stored.
    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Back from the stored bytes; `None` unless there are 16.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(IntentId)
    }

    /// The 26 hexadecimal characters that ids of steps and the Message-ID carry.
    pub fn short(&self) -> String {
        let mut hex = hex(&self.0);
        hex.truncate(26);
        hex
    }
}

impl fmt::Display for IntentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for IntentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A delivery's outside name, sent to the provider as key or metadata:
/// `tp_<intent>.<channel ordinal from 1><provider ordinal from 0>`; it is the same for each retry
/// with the same provider.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StepId(String);

impl StepId {
    /// Ordinals above 35 do not occur: chains are short; they are shown as `z`.
    pub fn new(intent: &IntentId, step: u32, provider: u32) -> Self {
        let digit = |n: u32| char::from_digit(n.min(35), 36).unwrap_or('z');
        StepId(format!("tp_{}.{}{}", intent.short(), digit(step), digit(provider)))
    }

    /// As it was stored, or as a tool was given it; it is not checked.
    pub fn given(text: impl Into<String>) -> Self {
        StepId(text.into())
    }

    /// The parts of an id as a person or a provider gives it: hexadecimal start of the intent and step ordinal.
    pub fn parse(text: &str) -> Option<(String, u32)> {
        let (intent, ordinals) = text.strip_prefix("tp_")?.split_once('.')?;
        let step = ordinals.chars().next()?.to_digit(36)?;
        let good = intent.len() == 26 && intent.bytes().all(|b| b.is_ascii_hexdigit()) && ordinals.len() == 2;
        good.then(|| (intent.to_ascii_lowercase(), step))
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Key of the small table that remembers what was already taken. `space` keeps the kinds apart.
pub fn dedup_key(space: &str, parts: &[&str]) -> [u8; 16] {
    let mut text = String::from(space);
    for part in parts {
        // The length stands before each part, so that ("a", "bc") and ("ab", "c") differ.
        let _ = write!(text, "|{}:{part}", part.len());
    }
    hash16(text.as_bytes())
}

/// Key of a (channel, normalised address) pair on the suppression list.
pub fn suppression_key(channel: Channel, address: &str) -> [u8; 16] {
    dedup_key("suppression", &[channel.word(), address])
}

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

/// The first 16 bytes of SHA-256.
pub fn hash16(bytes: &[u8]) -> [u8; 16] {
    let mut out = [0; 16];
    for (to, from) in out.iter_mut().zip(sha256(bytes)) {
        *to = from;
    }
    out
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for b in bytes {
        let _ = write!(out, "{b:02x}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipt_ids_read_back_and_sort_by_time() {
        let a = ReceiptId::new(1_790_000_000_000, [7; 10]);
        let b = ReceiptId::new(1_790_000_000_001, [0; 10]);
        assert_eq!(ReceiptId::parse(&a.to_string()), Some(a));
        assert_eq!(ReceiptId::parse(&a.to_string().to_uppercase()), Some(a));
        assert!(a.to_string() < b.to_string() && a < b);
        for bad in ["", "zzzzzzzzzzzzzzzzzzzzzzzzzz", "0000000000000000000000000", "0000000000000000000000000u"] {
            assert_eq!(ReceiptId::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn intents_differ_in_every_part() {
        let (r, s) = (ReceiptId::new(7, [1; 10]), ReceiptId::new(7, [2; 10]));
        let base = IntentId::new(Kind::Receipt, &r, 0, "customer", "");
        let others = [
            IntentId::new(Kind::Refund, &r, 0, "customer", ""),
            IntentId::new(Kind::Receipt, &s, 0, "customer", ""),
            IntentId::new(Kind::Receipt, &r, 1, "customer", ""),
            IntentId::new(Kind::Receipt, &r, 0, "staff", ""),
            IntentId::new(Kind::Receipt, &r, 0, "customer", "1"),
        ];
        assert!(others.iter().all(|o| *o != base));
        assert_eq!(base, IntentId::new(Kind::Receipt, &r, 0, "customer", ""));
    }

    #[test]
    fn step_ids_read_back() {
        let intent = IntentId::new(Kind::Receipt, &ReceiptId::new(7, [1; 10]), 0, "customer", "");
        let step = StepId::new(&intent, 1, 0);
        assert!(step.as_str().ends_with(".10"));
        assert_eq!(StepId::parse(step.as_str()), Some((intent.short(), 1)));
        assert_eq!(StepId::parse("tp_short.10"), None);
    }

    #[test]
    fn dedup_keys_do_not_run_together() {
        assert_ne!(dedup_key("x", &["a", "bc"]), dedup_key("x", &["ab", "c"]));
        assert_ne!(dedup_key("x", &["a"]), dedup_key("y", &["a"]));
    }
}
