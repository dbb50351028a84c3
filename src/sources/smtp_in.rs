//! Mails of tills that can only mail a receipt: the box is their mail server.
//!
//! A mail becomes a print: its text, read by the same rules as paper is. The envelope's recipient is the
//! address given at the sale. This file knows what a mail means; the dialogue is the work of others. Parts
//! that are no text are not looked at, HTML is read as the text it shows.

use crate::config::key::{default, optional, required};
use crate::config::{Key, TypeKeys};
use crate::domain::address::EmailAddress;
use crate::domain::fault::Fault;
use crate::domain::ids::{hash16, hex};
use crate::sources::canonical::{Keys, event};
use crate::sources::value::clean;
use crate::sources::*;
use mail_parser::MessageParser;
use serde_json::json;

/// What it is.
pub static KIND: Kind = Kind {
    keys: TypeKeys {
        name: "smtp-in",
        doc: "A mail server for tills that can only mail a receipt.",
        channels: &[],
        keys: KEYS,
        example: "listen = \"10.1.2.1:2525\"",
    },
    check: |_| Ok(()),
    // Who may connect is the listener's to say: a mail proves nothing of itself.
    verify: |_, _, _| Verdict::Accepted,
    delivery_id,
    decode: |setup, raw, _| decode(setup, raw),
    api: None,
};

const KEYS: &[Key] = &[
    required("listen", Shape::Socket, "Where the till's mails are taken; an address of the shop's own network."),
    default("allow", Shape::List(&Shape::Text), "[]", "Addresses of the tills; without it every one that can reach the port."),
    optional("profiles", Shape::List(&Shape::Path), "Files of field rules, as a tap has."),
    RECEIPTS,
    TEST,
];

/// Headers under which the envelope is kept.
pub const MAIL_FROM: &str = "mail-from";
/// See [`MAIL_FROM`]; one for each recipient.
pub const RCPT_TO: &str = "rcpt-to";
/// Characters of a receipt's text that are taken.
const LONGEST: usize = 200_000;

/// What a mail holds.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Mail {
    /// `Message-ID` without its brackets; may be empty.
    pub message_id: String,
    /// For people.
    pub subject: String,
    /// `Date`, where it can be read.
    pub at: Option<UnixMs>,
    /// The text of all its text parts, or what its HTML shows, masked; lines end with `\n`.
    pub text: String,
    /// What was masked in it: then the bytes as they came must not be kept, as packed parts hide the same.
    pub hits: mask::Hits,
}

impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mail({} characters)", self.text.len())
    }
}

/// Reads the bytes of DATA, dots already undone; `None` where there is no text in them.
pub fn read(bytes: &[u8]) -> Option<Mail> {
    let message = MessageParser::default().parse(bytes)?;
    let mut text = String::new();
    for n in 0..message.text_body_count().min(20) {
        text.push_str(&message.body_text(n).unwrap_or_default());
        text.push('\n');
    }
    let lines = text.lines().map(|line| line.chars().map(|c| if c.is_control() && c != '\t' { ' ' } else { c }).collect::<String>());
    let text: String = lines.map(|l| format!("{}\n", l.trim_end())).collect::<String>().chars().take(LONGEST).collect();
    // Packed parts hide a card number from a look at the mail's bytes.
    let (masked, hits) = mask::mask(text.as_bytes(), false);
    let text = String::from_utf8_lossy(&masked).into_owned();
    let message_id = clean(message.message_id().unwrap_or_default(), 200);
    let subject = clean(message.subject().unwrap_or_default(), 200);
    let at = message.date().map(|d| UnixMs(d.to_timestamp().saturating_mul(1000)));
    (!text.trim().is_empty()).then(|| Mail { message_id, subject, at, text: text.trim_matches('\n').to_owned(), hits })
}

fn delivery_id(_: &Setup<'_>, given: &Given<'_>) -> Option<String> {
    let own = read(given.body).map(|mail| mail.message_id).filter(|id| !id.is_empty());
    Some(own.unwrap_or_else(|| hex(&hash16(given.body))))
}

fn decode(setup: &Setup<'_>, raw: &Raw<'_>) -> Decoded {
    let Some(mail) = read(raw.body) else { return Decoded::Unusable(vec![Fault::new("", "no_text", "the mail holds no text")]) };
    let recipients = raw.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(RCPT_TO));
    let email = recipients.filter_map(|(_, address)| EmailAddress::parse(address.trim_matches(['<', '>']))).next();
    let key = if mail.message_id.is_empty() { hex(&hash16(raw.body)) } else { mail.message_id };
    let at = mail.at.unwrap_or(raw.at);
    let data = json!({"text": mail.text, "subject": mail.subject, "customer": {"email": email.as_ref().map(EmailAddress::as_str)}});
    let keys = Keys { business_key: key, ..Keys::default() };
    Decoded::Told(Told { events: vec![event(setup, "print.captured", keys, at, "", data)], ..Told::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICKET: &[u8] = include_bytes!("../../tests/fixtures/sources/smtp-in/ticket.eml");

    #[test]
    fn a_mailed_ticket_is_its_text() {
        let mail = read(TICKET).unwrap();
        assert_eq!(mail.subject, "Votre ticket à Brasserie Nord");
        assert_eq!(mail.message_id, "0571.20261006.caisse1@pos.brasserie-nord.example");
        assert_eq!(mail.at, UnixMs::parse_rfc3339("2026-10-06T11:42:27Z"));
        for line in ["                 BRASSERIE NORD", " 1 Café gourmand                      8,50 EUR", " Caisse 1   Servi par Inès"] {
            assert!(mail.text.lines().any(|l| l.trim_start() == line.trim_start()), "{line}\n{}", mail.text);
        }
        assert!(mail.text.contains("Merci de votre visite, à bientôt !"));
    }

    #[test]
    fn a_card_number_in_a_packed_part_is_masked() {
        let packed = b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\ncGFpZCA0MTExMTExMTExMTExMTEx\r\n";
        let mail = read(packed).unwrap();
        assert_eq!((mail.text.as_str(), mail.hits.cards), ("paid ************1111", 1));
    }

    #[test]
    fn html_alone_is_read_as_it_shows() {
        let html = b"Content-Type: text/html; charset=utf-8\r\n\r\n<html><head><style>p{}</style></head><body><p>TOTAL</p><p>3,50&nbsp;EUR</p><script>x()</script></body></html>";
        let mail = read(html).unwrap();
        assert!(mail.text.contains("TOTAL") && mail.text.contains("EUR") && !mail.text.contains("<p>"), "{}", mail.text);
    }

    #[test]
    fn what_holds_no_text_is_told() {
        for bad in [&b""[..], b"Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERi0=", b"\xff\xff"] {
            assert!(read(bad).is_none_or(|m| !m.text.is_empty()), "{bad:?}");
        }
        let nested = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n".repeat(2000);
        let _ = read(nested.as_bytes());
    }
}
