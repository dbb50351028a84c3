//! Checking signatures and shared tokens: raw bytes in, one word of refusal out.
//!
//! A signature is decoded strictly and compared as 32 bytes in constant time; each source holds a list of
//! keys, any of which may match. Never shows a key or a signature.

use crate::config::secret::Secret;
use crate::domain::time::UnixMs;
use crate::sources::{Given, Moment, Verdict};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use ring::hmac;
use std::time::Duration;

/// The one value of a header. A missing one and several of them are refusals.
pub fn one<'a>(given: &Given<'a>, names: &[&str]) -> Result<&'a str, Verdict> {
    let mut values = given.headers.iter().filter(|(n, _)| names.iter().any(|name| n.eq_ignore_ascii_case(name)));
    match (values.next(), values.next()) {
        (Some((_, value)), None) => Ok(value.trim()),
        (None, _) => Err(Verdict::Refused("no_signature")),
        (Some(_), Some(_)) => Err(Verdict::Refused("several_signatures")),
    }
}

/// 32 bytes in standard base64 with padding.
pub fn base64_mac(text: &str) -> Option<[u8; 32]> {
    BASE64_STANDARD.decode(text).ok()?.try_into().ok()
}

/// 32 bytes in hexadecimal.
pub fn hex_mac(text: &str) -> Option<[u8; 32]> {
    let digits: Option<Vec<u8>> = text.bytes().map(|b| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    let bytes: Vec<u8> = digits?.chunks_exact(2).map(|pair| pair.iter().fold(0, |all, digit| all << 4 | digit)).collect();
    (text.len() == 64).then(|| bytes.try_into().ok()).flatten()
}

/// Whether the HMAC-SHA256 of the parts, one after the other, is one of `macs` under one of `keys`. Every
/// pair is compared, so that the time taken tells nothing.
pub fn matches<K: AsRef<[u8]>>(keys: &[K], parts: &[&[u8]], macs: &[[u8; 32]]) -> bool {
    let mut good = false;
    for key in keys {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key.as_ref()));
        parts.iter().for_each(|part| context.update(part));
        let is = context.sign();
        for mac in macs {
            good |= equal(is.as_ref(), mac);
        }
    }
    good
}

/// Compares in constant time. The length is no secret.
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

/// The keys' characters, for schemes that sign with them as they stand.
pub fn characters(secrets: &[Secret]) -> Vec<&str> {
    secrets.iter().map(Secret::expose).collect()
}

/// One HMAC in base64 in one header.
pub fn hmac_base64(given: &Given<'_>, names: &[&str], secrets: &[Secret], parts: &[&[u8]]) -> Verdict {
    let value = match one(given, names) {
        Ok(value) => value,
        Err(verdict) => return verdict,
    };
    let Some(mac) = base64_mac(value) else { return Verdict::Refused("bad_signature") };
    if matches(&characters(secrets), parts, &[mac]) { Verdict::Accepted } else { Verdict::Refused("bad_signature") }
}

/// Whether a signed time lies within the tolerance; `future` only where the scheme bounds that too.
pub fn in_time(seconds: &str, moment: Moment, tolerance: Duration, future: bool) -> Verdict {
    let Ok(at) = seconds.parse::<i64>().map(|s| UnixMs(s.saturating_mul(1000))) else { return Verdict::Refused("bad_signature") };
    if !moment.good {
        return Verdict::ClockUnknown;
    }
    match (moment.now.since(at) > tolerance, future && at.since(moment.now) > tolerance) {
        (true, _) => Verdict::Refused("stale"),
        (_, true) => Verdict::Refused("from_the_future"),
        _ => Verdict::Accepted,
    }
}

/// A shared token: `Authorization: Bearer TOKEN`, or Basic with the token as password.
pub fn token(given: &Given<'_>, tokens: &[Secret]) -> Verdict {
    let value = match one(given, &["authorization"]) {
        Ok(value) => value,
        Err(Verdict::Refused("no_signature")) => return Verdict::Refused("no_token"),
        Err(verdict) => return verdict,
    };
    let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
    let shown = match scheme.to_ascii_lowercase().as_str() {
        "bearer" => rest.trim().as_bytes().to_vec(),
        "basic" => {
            let pair = BASE64_STANDARD.decode(rest.trim()).unwrap_or_default();
            pair.splitn(2, |b| *b == b':').nth(1).unwrap_or_default().to_vec()
        }
        _ => Vec::new(),
    };
    let good = tokens.iter().fold(false, |good, token| good | (!token.is_empty() && equal(token.expose().as_bytes(), &shown)));
    if good { Verdict::Accepted } else { Verdict::Refused("bad_token") }
}

/// The Standard Webhooks scheme: HMAC over id, time and body with the key behind `whsec_`, within 300 s
/// either way. The header may hold several signatures, one per live key.
pub fn standard_webhooks(given: &Given<'_>, secrets: &[Secret], moment: Moment) -> Verdict {
    let header = |name: &str| one(given, &[&format!("webhook-{name}"), &format!("svix-{name}")]);
    let (id, at, signatures) = match (header("id"), header("timestamp"), header("signature")) {
        (Ok(id), Ok(at), Ok(signatures)) => (id, at, signatures),
        (Err(verdict), ..) | (_, Err(verdict), _) | (.., Err(verdict)) => return verdict,
    };
    let macs: Vec<[u8; 32]> = signatures.split(' ').take(16).filter_map(|s| base64_mac(s.strip_prefix("v1,")?)).collect();
    let keys: Vec<Vec<u8>> = secrets.iter().filter_map(|s| standard_key(s.expose())).collect();
    let parts: [&[u8]; 5] = [id.as_bytes(), b".", at.as_bytes(), b".", given.body];
    if id.is_empty() || !matches(&keys, &parts, &macs) {
        return Verdict::Refused("bad_signature");
    }
    in_time(at, moment, Duration::from_secs(300), true)
}

/// The key of Standard Webhooks: what stands in base64 behind `whsec_`. Not Stripe's, which is the text.
pub fn standard_key(text: &str) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(text.strip_prefix("whsec_").unwrap_or(text)).ok().filter(|key| !key.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macs_are_read_strictly() {
        let hex = "b05eb131e5a1b30501acf7717f2c6cda81b1bd9224295edf2dc014d7f2601791";
        assert_eq!(hex_mac(hex).map(|m| m[0]), Some(0xb0));
        for bad in ["", "b0", hex.strip_prefix('b').unwrap(), &format!("{hex}00"), &hex.replace('b', "g"), &hex.replacen('b', "é", 1)] {
            assert_eq!(hex_mac(bad), None, "{bad}");
        }
        for bad in ["", "r7ie", "r7ieA8tLl9UMn2ABLCpAeTfLjKjooxuwknsvN5vqSwg", "not base64!"] {
            assert_eq!(base64_mac(bad), None, "{bad}");
        }
    }

    #[test]
    fn tokens_by_bearer_and_basic() {
        let tokens = [Secret::new("a-token-of-16-letters"), Secret::new("the-one-before-it")];
        let check = |value: &str| token(&Given { headers: &[("Authorization".into(), value.into())], url: "", body: b"" }, &tokens);
        for good in ["Bearer a-token-of-16-letters", "bearer the-one-before-it", "Basic em9lOmEtdG9rZW4tb2YtMTYtbGV0dGVycw=="] {
            assert_eq!(check(good), Verdict::Accepted, "{good}");
        }
        for bad in ["a-token-of-16-letters", "Bearer", "Bearer a-token-of-16-letter", "Basic !", "Digest a-token-of-16-letters"] {
            assert_eq!(check(bad), Verdict::Refused("bad_token"), "{bad}");
        }
        assert_eq!(token(&Given { headers: &[], url: "", body: b"" }, &tokens), Verdict::Refused("no_token"));
    }

    #[test]
    fn times_have_two_ends() {
        let moment = |now, good| Moment { now: UnixMs(now), good };
        let check = |t: &str, now, good, future| in_time(t, moment(now, good), Duration::from_secs(300), future);
        assert_eq!(check("1000", 1_300_000, true, true), Verdict::Accepted);
        assert_eq!(check("1000", 1_300_001, true, true), Verdict::Refused("stale"));
        assert_eq!(check("1000", 699_999, true, true), Verdict::Refused("from_the_future"));
        assert_eq!(check("1000", 0, true, false), Verdict::Accepted);
        assert_eq!(check("1000", 9_000_000, false, true), Verdict::ClockUnknown);
        assert_eq!(check("soon", 0, true, true), Verdict::Refused("bad_signature"));
    }
}
