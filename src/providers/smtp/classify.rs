//! What a reply means at its stage of the dialogue. Pure.
//!
//! The first digit decides, then the enhanced code (RFC 3463), then few words that large providers
//! are known to use. Each stage speaks of something else: the connection and the login of the
//! account, RCPT of the recipient, the data of the message.

use crate::domain::channel::words;
use crate::domain::outcome::{Class, Outcome, Scope, Suppress};
use crate::domain::text::scrub;

words! {
    /// How far a dialogue had got.
    Stage {
        /// From the connection to the answer to EHLO.
        Connect = "connect",
        /// The change to TLS.
        StartTls = "starttls",
        /// The login.
        Auth = "auth",
        /// MAIL FROM.
        Mail = "mail",
        /// RCPT TO.
        Rcpt = "rcpt",
        /// DATA, and the message up to its final dot.
        Data = "data",
        /// The final dot was written.
        DataEnd = "data-end",
        /// The message was taken before.
        Quit = "quit",
    }
}

/// The outcome of a reply; `None`: the connection was lost there.
pub fn classify(stage: Stage, reply: Option<&str>) -> Outcome {
    let detail = || scrub(&format!("{stage}: {}", reply.unwrap_or("connection lost")));
    let Some(reply) = reply else {
        return match stage {
            Stage::Quit => Outcome::accepted(None),
            Stage::DataEnd => Outcome::new(Class::Uncertain, Scope::Message, detail()),
            _ => Outcome::new(Class::Retry, Scope::Account, detail()),
        };
    };
    if stage == Stage::Quit {
        return Outcome::accepted(None);
    }
    let said = Said::of(reply);
    let (class, scope) = match said.code / 100 {
        2 | 3 => return Outcome::accepted(queue_id(stage, reply)),
        4 => temporary(stage, &said),
        5 => lasting(stage, &said),
        _ => (Class::Retry, Scope::Account),
    };
    let outcome = Outcome::new(class, scope, detail());
    let gone = (class, scope) == (Class::Permanent, Scope::Recipient) && said.enhanced == Some((5, 1, 1));
    if gone { outcome.suppress(Suppress::HardBounce) } else { outcome }
}

/// A reply taken apart. Code 0: it could not be.
struct Said {
    code: u16,
    enhanced: Option<(u16, u16, u16)>,
    /// In lower case.
    text: String,
}

impl Said {
    fn of(reply: &str) -> Said {
        let code = code(reply).unwrap_or(0);
        let enhanced = reply.lines().filter_map(|line| line.get(4..)).find_map(|rest| enhanced(rest.split_whitespace().next()?));
        Said { code, enhanced, text: reply.to_lowercase() }
    }

    fn subject(&self) -> Option<u16> {
        self.enhanced.map(|(_, subject, _)| subject)
    }
}

/// The three digits of a reply's first line, which a blank or a hyphen or the end follows.
pub(super) fn code(reply: &str) -> Option<u16> {
    let (digits, rest) = reply.split_at_checked(3)?;
    let good = digits.bytes().all(|b| b.is_ascii_digit()) && rest.chars().next().is_none_or(|c| " -\r\n".contains(c));
    digits.parse().ok().filter(|code| good && (200..600).contains(code))
}

fn enhanced(word: &str) -> Option<(u16, u16, u16)> {
    let mut parts = word.split('.').map(|part| part.parse().ok());
    let code = (parts.next()??, parts.next()??, parts.next()??);
    (parts.next().is_none() && matches!(code.0, 2 | 4 | 5)).then_some(code)
}

fn temporary(stage: Stage, said: &Said) -> (Class, Scope) {
    let unusual_rate = said.enhanced == Some((4, 7, 28));
    if unusual_rate || said.text.contains("throttling failure") || said.text.contains("maximum sending rate") {
        return (Class::Throttle, Scope::Account);
    }
    let scope = match (stage, said.enhanced) {
        _ if said.code == 421 => Scope::Account,
        (_, Some((_, 5, 3))) => Scope::Message,
        (Stage::Rcpt, _) => Scope::Recipient,
        (Stage::Data | Stage::DataEnd, Some((_, 1 | 2, _))) => Scope::Recipient,
        (Stage::Data | Stage::DataEnd, Some((_, 3 | 4, _))) => Scope::Account,
        (Stage::Data | Stage::DataEnd, _) => Scope::Message,
        _ => Scope::Account,
    };
    (Class::Retry, scope)
}

fn lasting(stage: Stage, said: &Said) -> (Class, Scope) {
    // Of Gmail and Outlook.com: SPF, DKIM or DMARC of the sender's domain fail. Of SES: the sender is not verified.
    let sender_bad = matches!(said.enhanced, Some((5, 7, 26 | 515) | (5, 1, 7 | 8))) || said.text.contains("email address is not verified");
    if sender_bad || matches!(said.code, 530 | 534 | 535 | 538) {
        return (Class::Auth, Scope::Account);
    }
    match stage {
        Stage::Connect | Stage::StartTls | Stage::Auth => (Class::Auth, Scope::Account),
        Stage::Rcpt => refused_recipient(said),
        Stage::Data | Stage::DataEnd if matches!(said.enhanced, Some((_, 1, _) | (_, 2, 0..=2))) => (Class::Permanent, Scope::Recipient),
        _ => (Class::Permanent, Scope::Message),
    }
}

fn refused_recipient(said: &Said) -> (Class, Scope) {
    let recipient = match said.subject() {
        Some(1 | 2) => true,
        // Too large, or against a policy: another recipient would hear the same.
        Some(3 | 7) => false,
        _ => matches!(said.code, 550..=553 | 556),
    };
    (Class::Permanent, if recipient { Scope::Recipient } else { Scope::Message })
}

/// `queued as 9F31C0A`, as Postfix and many others say it.
fn queue_id(stage: Stage, reply: &str) -> Option<String> {
    if stage != Stage::DataEnd {
        return None;
    }
    let (_, rest) = reply.split_once("queued as ")?;
    let id: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).take(64).collect();
    (!id.is_empty()).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_at_their_stages() {
        use Class::{Accepted, Auth, Permanent, Retry, Throttle};
        use Scope::{Account, Message, Recipient};
        for (stage, reply, class, scope, gone) in [
            (Stage::Connect, "220 mail.example ESMTP", Accepted, Message, false),
            (Stage::Connect, "554 5.7.1 You are not welcome", Auth, Account, false),
            (Stage::Connect, "HTTP/1.1 400 Bad Request", Retry, Account, false),
            (Stage::Auth, "454 4.7.0 Temporary authentication failure", Retry, Account, false),
            (Stage::Auth, "454 Throttling failure: Maximum sending rate exceeded.", Throttle, Account, false),
            (Stage::Mail, "530 5.7.0 Must issue a STARTTLS command first", Auth, Account, false),
            (Stage::Mail, "421 4.7.28 Our system has detected an unusual rate", Throttle, Account, false),
            (Stage::Mail, "452 4.3.1 Insufficient system storage", Retry, Account, false),
            (Stage::Rcpt, "450 4.2.1 Greylisted", Retry, Recipient, false),
            (Stage::Rcpt, "550 No such user", Permanent, Recipient, false),
            (Stage::Rcpt, "550-5.1.1 no\r\n550 5.1.1 such user", Permanent, Recipient, true),
            (Stage::Rcpt, "553 5.1.3 Bad address", Permanent, Recipient, false),
            (Stage::Rcpt, "552 Mailbox full", Permanent, Recipient, false),
            (Stage::Rcpt, "552 5.3.4 Too large", Permanent, Message, false),
            (Stage::Rcpt, "554 5.7.1 Relay access denied", Permanent, Message, false),
            (Stage::Rcpt, "550 5.7.515 Access denied", Auth, Account, false),
            (Stage::DataEnd, "554 Message rejected: Email address is not verified.", Auth, Account, false),
            (Stage::DataEnd, "552 5.2.2 Over quota", Permanent, Recipient, false),
            (Stage::DataEnd, "451 4.3.0 Try again later", Retry, Account, false),
            (Stage::DataEnd, "554 5.6.0 Malformed", Permanent, Message, false),
            (Stage::Quit, "500 What?", Accepted, Message, false),
        ] {
            let outcome = classify(stage, Some(reply));
            assert_eq!((outcome.class, outcome.scope, outcome.suppress.is_some()), (class, scope, gone), "{stage} {reply}");
        }
        let taken = classify(Stage::DataEnd, Some("250-2.6.0 queued\r\n250 2.0.0 Ok: queued as 9F31C0A"));
        assert_eq!(taken.provider_id.as_deref(), Some("9F31C0A"));
    }

    #[test]
    fn details_name_nobody() {
        let outcome = classify(Stage::Rcpt, Some("550 5.1.1 <canary@example.org>: unknown"));
        assert_eq!(outcome.detail, "rcpt: 550 5.1.1 *** unknown");
    }
}
