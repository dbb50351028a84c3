//! Access tokens of OAuth 2.0 (RFC 6749): reading the answer that holds one. Pure; asking for it is a
//! request like any other.

use crate::domain::time::UnixMs;
use crate::http::Answer;
use serde_json::Value;
use std::fmt;
use std::time::Duration;

/// A token is renewed this long before its end, so that none runs out on its way.
pub const MARGIN: Duration = Duration::from_secs(60);
/// What holds where the answer names no end.
const SHORT: Duration = Duration::from_secs(300);
/// Longer than this no answer is believed.
const LONG: Duration = Duration::from_secs(86_400);

/// A token and its end.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// As it stands behind `Bearer`.
    pub value: String,
    /// From then on it is not used any more.
    pub until: UnixMs,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token(until {})", self.until)
    }
}

impl Token {
    /// Reads `access_token` and `expires_in` (seconds, also as text); `now` is when it was asked for.
    /// `None` where the answer holds none that could stand in a header.
    pub fn read(answer: &Answer, now: UnixMs) -> Option<Token> {
        let body: Value = serde_json::from_slice(&answer.body).ok().filter(|_| answer.is_success())?;
        let value = body.get("access_token")?.as_str()?;
        let good = !value.is_empty() && value.bytes().all(|b| b.is_ascii_graphic());
        let seconds = body.get("expires_in").and_then(|n| n.as_u64().or_else(|| n.as_str()?.parse().ok()));
        let length = seconds.map_or(SHORT, Duration::from_secs).min(LONG).saturating_sub(MARGIN);
        good.then(|| Token { value: value.to_owned(), until: now + length })
    }

    /// Whether it may still be used.
    pub fn is_fresh(&self, now: UnixMs) -> bool {
        now < self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_end_before_they_run_out() {
        let answer = |status, body: &str| Answer { status, headers: Vec::new(), body: body.into() };
        let read = |body: &str| Token::read(&answer(200, body), UnixMs(0)).map(|t| t.until.0 / 1000);
        assert_eq!(read(r#"{"access_token":"canary","expires_in":3599}"#), Some(3539));
        assert_eq!(read(r#"{"access_token":"canary","expires_in":"3600"}"#), Some(3540));
        assert_eq!(read(r#"{"access_token":"canary"}"#), Some(240));
        assert_eq!(read(r#"{"access_token":"canary","expires_in":99999999}"#), Some(86_340));
        assert_eq!(read(r#"{"access_token":"can\nary"}"#), None);
        assert_eq!(read("<html>"), None);
        assert!(Token::read(&answer(400, r#"{"access_token":"canary"}"#), UnixMs(0)).is_none());
        let token = Token::read(&answer(200, r#"{"access_token":"canary","expires_in":61}"#), UnixMs(0)).unwrap();
        assert!(token.is_fresh(UnixMs(999)) && !token.is_fresh(UnixMs(1000)) && !format!("{token:?}").contains("canary"));
    }
}
