//! What can go wrong between two ends before there is an answer, and how far the request had got.
//!
//! The one question that matters is whether the other side may have the whole request. Where that
//! cannot be ruled out, the fault counts as one after the body.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};

/// A fault of the way, not of the answer. The words are those of the tools and of stored attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// No network, or none that leads there.
    NoRoute,
    /// The name has no address, or no name server answered.
    Dns,
    /// Nothing listens there.
    Refused,
    /// No connection came about in time.
    ConnectTimeout,
    /// The other side could not be trusted, or speaks no TLS.
    Tls,
    /// Its certificate is not valid yet: this box's clock is behind.
    TlsClock,
    /// The connection broke before the body was written.
    ResetBeforeBody,
    /// The body could not be written in time; none of it was.
    TimeoutBeforeBody,
    /// The body may have arrived; no answer came in time.
    TimeoutAfterBody,
    /// The body may have arrived; the connection broke.
    ResetAfterBody,
    /// An answer began and did not end.
    ClosedInAnswer,
    /// This program ended while the attempt was under way.
    KilledWhileSending,
}

impl Transport {
    /// Every fault with its word.
    pub const ALL: &'static [(Transport, &'static str)] = &[
        (Transport::NoRoute, "no_route"),
        (Transport::Dns, "dns"),
        (Transport::Refused, "refused"),
        (Transport::ConnectTimeout, "connect_timeout"),
        (Transport::Tls, "tls"),
        (Transport::TlsClock, "tls_clock"),
        (Transport::ResetBeforeBody, "reset_before_body"),
        (Transport::TimeoutBeforeBody, "timeout_before_body"),
        (Transport::TimeoutAfterBody, "timeout_after_body"),
        (Transport::ResetAfterBody, "reset_after_body"),
        (Transport::ClosedInAnswer, "closed_in_answer"),
        (Transport::KilledWhileSending, "killed_while_sending"),
    ];

    /// The word used in tools, tables and logs.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(t, _)| *t == self).map_or("", |(_, word)| word)
    }

    /// Back from the word; `None` for one that this release does not know.
    pub fn from_word(word: &str) -> Option<Transport> {
        Self::ALL.iter().find(|(_, w)| *w == word).map(|(t, _)| *t)
    }

    /// Whether the other side may have the whole request.
    pub const fn may_have_arrived(self) -> bool {
        use Transport::{ClosedInAnswer, KilledWhileSending, ResetAfterBody, TimeoutAfterBody};
        matches!(self, TimeoutAfterBody | ResetAfterBody | ClosedInAnswer | KilledWhileSending)
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The fault behind an error that came before anything was written, from the causes it names.
pub fn while_connecting(error: &(dyn Error + 'static)) -> Transport {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
            return of_tls(tls);
        }
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            // An I/O error hides what it wraps from `source`.
            let inner = io.get_ref().map(|e| e as &(dyn Error + 'static));
            match inner {
                Some(inner) => {
                    next = Some(inner);
                    continue;
                }
                None => return of_io(io.kind()),
            }
        }
        next = cause.source();
    }
    Transport::ResetBeforeBody
}

fn of_io(kind: ErrorKind) -> Transport {
    match kind {
        ErrorKind::ConnectionRefused => Transport::Refused,
        ErrorKind::TimedOut => Transport::ConnectTimeout,
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable | ErrorKind::NetworkDown | ErrorKind::AddrNotAvailable => {
            Transport::NoRoute
        }
        _ => Transport::ResetBeforeBody,
    }
}

fn of_tls(error: &rustls::Error) -> Transport {
    use rustls::CertificateError::{NotValidYet, NotValidYetContext};
    match error {
        rustls::Error::InvalidCertificate(NotValidYet | NotValidYetContext { .. }) => Transport::TlsClock,
        _ => Transport::Tls,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back() {
        for (transport, word) in Transport::ALL {
            assert_eq!(Transport::from_word(word), Some(*transport));
            assert_eq!(transport.to_string(), *word);
        }
        assert_eq!(Transport::from_word("telepathy"), None);
        assert_eq!(Transport::ALL.iter().filter(|(t, _)| t.may_have_arrived()).count(), 4);
    }

    #[test]
    fn causes_are_found_below_their_wrappers() {
        let io = |kind| while_connecting(&io::Error::from(kind));
        assert_eq!(io(ErrorKind::ConnectionRefused), Transport::Refused);
        assert_eq!(io(ErrorKind::NetworkUnreachable), Transport::NoRoute);
        assert_eq!(io(ErrorKind::TimedOut), Transport::ConnectTimeout);
        assert_eq!(io(ErrorKind::BrokenPipe), Transport::ResetBeforeBody);
        let tls =
            |e: rustls::CertificateError| while_connecting(&io::Error::new(ErrorKind::InvalidData, rustls::Error::InvalidCertificate(e)));
        assert_eq!(tls(rustls::CertificateError::NotValidYet), Transport::TlsClock);
        assert_eq!(tls(rustls::CertificateError::Expired), Transport::Tls);
        assert_eq!(tls(rustls::CertificateError::UnknownIssuer), Transport::Tls);
    }
}
