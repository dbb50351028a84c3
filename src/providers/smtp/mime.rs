//! From content to the bytes of a mail. Pure: the same content gives the same bytes, whatever the
//! server offers, as a repeat must be the same mail.
//!
//! Everything is ASCII with lines of at most 998 bytes, except the addresses of a mail that needs
//! SMTPUTF8 anyway.

use crate::domain::content::{Content, Email, Outgoing};
use crate::domain::outcome::{Class, Outcome, Scope};
use crate::domain::text::one_line;
use crate::http::ascii_domain;
use crate::providers::wrong_content;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, MultiPart, SinglePart};
use lettre::{Address, Message};
use std::time::{Duration, SystemTime};

/// A mail and its envelope.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// Envelope sender.
    pub from: String,
    /// Envelope recipient.
    pub to: String,
    /// The message with CRLF at each line's end, before dots are doubled.
    pub message: Vec<u8>,
    /// An address has letters that only SMTPUTF8 can carry.
    pub utf8: bool,
    /// Reports on it are wanted, and name it so.
    pub report: Option<String>,
}

/// Headers that are made here and nowhere else.
const OURS: &[&str] = &[
    "from",
    "to",
    "cc",
    "bcc",
    "sender",
    "reply-to",
    "subject",
    "date",
    "message-id",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "x-tp-id",
];

/// `envelope_from`: empty for the sender's address; `{id}` in it becomes our id of the delivery.
/// Without a possible mail the outcome says whose fault that is: the sender's address is the
/// account's, the recipient's its own.
pub fn mail(message: &Outgoing, envelope_from: &str) -> Result<Mail, Outcome> {
    let Content::Email(email) = &message.content else { return Err(wrong_content(&super::KIND)) };
    let ours = |what: &str| Outcome::new(Class::Auth, Scope::Account, format!("{what} is not a mail address"));
    let from = mailbox(&email.from).ok_or_else(|| ours("from of the channel email"))?;
    let to =
        address(&message.to).ok_or_else(|| Outcome::new(Class::Permanent, Scope::Recipient, "the address cannot be used in a mail"))?;
    let envelope_from = match envelope_from {
        "" => from.email.to_string(),
        pattern => address(&pattern.replace("{id}", message.step.as_str())).ok_or_else(|| ours("envelope_from"))?.to_string(),
    };
    let utf8 = [envelope_from.as_str(), from.email.as_ref(), to.as_ref()].iter().any(|a| !a.is_ascii());
    let bytes = bytes(message, email, from, to.clone()).map_err(|why| Outcome::new(Class::Permanent, Scope::Message, why))?;
    Ok(Mail { from: envelope_from, to: to.to_string(), message: bytes, utf8, report: None })
}

fn bytes(message: &Outgoing, email: &Email, from: Mailbox, to: Address) -> Result<Vec<u8>, &'static str> {
    let date = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(message.composed_at.0).unwrap_or(0));
    let name = id_text(&message.message_id);
    let id = format!("<{name}@{}>", from.email.domain());
    let mut builder =
        Message::builder().from(from).to(Mailbox::new(None, to)).subject(one_line(&email.subject, 300)).date(date).message_id(Some(id));
    if !email.reply_to.is_empty() {
        builder = builder.reply_to(mailbox(&email.reply_to).ok_or("reply_to of the channel email is not a mail address")?);
    }
    let built = match (email.text.is_empty(), email.html.is_empty()) {
        (_, true) => builder.singlepart(part(ContentType::TEXT_PLAIN, &email.text)),
        (true, false) => builder.singlepart(part(ContentType::TEXT_HTML, &email.html)),
        // A builder without a boundary of its own draws a random one.
        (false, false) => builder.multipart(
            MultiPart::builder()
                .header(ContentType::parse("multipart/alternative; boundary=x").map_err(|_| "no multipart")?)
                .boundary(format!("{name}.alternative"))
                .singlepart(part(ContentType::TEXT_PLAIN, &email.text))
                .singlepart(part(ContentType::TEXT_HTML, &email.html)),
        ),
    };
    let mut built = built.map_err(|_| "the mail cannot be put together")?;
    let headers = built.headers_mut();
    let more = email.headers.iter().filter(|(name, _)| !OURS.contains(&name.to_ascii_lowercase().as_str()));
    for (name, value) in more.map(|(n, v)| (n.as_str(), v.as_str())).chain([("X-TP-Id", message.step.as_str())]) {
        let name = HeaderName::new_from_ascii(name.to_owned()).map_err(|_| "a header has a name that cannot be")?;
        headers.insert_raw(HeaderValue::new(name, one_line(value, 2_000)));
    }
    Ok(built.formatted())
}

/// What may stand in a Message-ID and in a boundary (RFC 5322, 3.6.4; RFC 2046, 5.1.1). Our own ids are
/// nothing else; a tool may be given any.
fn id_text(id: &str) -> String {
    id.chars().filter(|c| c.is_ascii_alphanumeric() || "_-.".contains(*c)).take(50).collect()
}

/// ASCII with short lines goes as it is; anything else as quoted-printable, or base64 where that is
/// smaller. The text ends with a line's end.
fn part(kind: ContentType, text: &str) -> SinglePart {
    // Eight bits would be smaller still, but only where every server on the way offers it.
    let body = Body::new(text.trim_end_matches('\n').to_owned());
    debug_assert_ne!(body.encoding(), ContentTransferEncoding::EightBit);
    SinglePart::builder().header(kind).body(body)
}

/// `Corner Mart <receipts@cmart.example>` or the bare address, its domain in ASCII.
pub(super) fn mailbox(text: &str) -> Option<Mailbox> {
    let (name, bare) = match text.trim().strip_suffix('>').and_then(|t| t.rsplit_once('<')) {
        Some((name, bare)) => (one_line(name.trim().trim_matches('"'), 200), bare),
        None => (String::new(), text),
    };
    Some(Mailbox::new(Some(name).filter(|n| !n.is_empty()), address(bare)?))
}

/// An address, its domain in ASCII.
fn address(text: &str) -> Option<Address> {
    let (local, domain) = text.trim().rsplit_once('@')?;
    let bad = |c: char| c.is_control() || c.is_whitespace() || "<>".contains(c);
    if local.contains(bad) {
        return None;
    }
    Address::new(local, ascii_domain(domain)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::conformance::{email, sms};

    fn text(message: &Outgoing) -> String {
        String::from_utf8(mail(message, "").unwrap().message).unwrap()
    }

    #[test]
    fn the_same_content_gives_the_same_bytes() {
        let message = email("kim@example.org");
        let first = text(&message);
        assert_eq!(first, text(&message));
        for line in [
            "From: \"Corner Mart\" <receipts@cmart.example>\r\n",
            "To: kim@example.org\r\n",
            "Reply-To: help@cmart.example\r\n",
            "Message-ID: <tp_0123456789abcdef0123456789@cmart.example>\r\n",
            "Date: Sat, 03 Oct 2026 16:07:44 +0000\r\n",
            "X-TP-Id: tp_",
            "Auto-Submitted: auto-generated\r\n",
            "boundary=\"tp_0123456789abcdef0123456789.alternative\"",
        ] {
            assert!(first.contains(line), "{line} is not in\n{first}");
        }
        assert!(first.find("text/plain").unwrap() < first.find("text/html").unwrap());
        assert!(first.is_ascii() && first.ends_with("--\r\n"));
    }

    #[test]
    fn lines_are_short_whatever_the_content() {
        let mut message = email("kim@example.org");
        let long = "é".repeat(3_000) + &"a".repeat(3_000);
        let Content::Email(content) = &mut message.content else { unreachable!() };
        (content.text, content.html, content.subject) = (long.clone(), "<p>".to_owned() + &"b".repeat(5_000), long.clone());
        content.headers.push(("List-Unsubscribe".into(), format!("<https://u.example/{}>", "x".repeat(500))));
        let text = text(&message);
        assert!(text.is_ascii() && text.split("\r\n").all(|line| line.len() <= 998 && !line.contains(['\r', '\n'])));
    }

    #[test]
    fn no_content_becomes_a_header() {
        let mut message = email("kim@example.org");
        let Content::Email(content) = &mut message.content else { unreachable!() };
        content.subject = "Hi\r\nBcc: canary@example.org".into();
        content.headers = vec![("X-A".into(), "b\r\nBcc: canary@example.org".into()), ("To".into(), "canary@example.org".into())];
        message.message_id = "a\"é>\r\nBcc: b".repeat(20);
        let text = text(&message);
        assert!(!text.to_lowercase().contains("\r\nbcc") && !text.contains("To: canary"), "{text}");
    }

    #[test]
    fn addresses_beyond_ascii() {
        let plain = mail(&email("kim@müller.example"), "").unwrap();
        assert_eq!((plain.to.as_str(), plain.utf8), ("kim@xn--mller-kva.example", false));
        let local = mail(&email("käthe@example.org"), "bounce+{id}@cmart.example").unwrap();
        assert!(local.utf8 && local.from.starts_with("bounce+tp_"));
        assert!(String::from_utf8(local.message).unwrap().contains("To: käthe@example.org\r\n"));
    }

    #[test]
    fn what_cannot_be_a_mail() {
        assert_eq!(mail(&sms("+16075550100"), "").err().unwrap().scope, Scope::Message);
        for to in ["kim", "k im@example.org", "kim@exa mple", "kim>\r\nRCPT TO:<x@example.org"] {
            assert_eq!(mail(&email(to), "").err().unwrap().scope, Scope::Recipient, "{to}");
        }
        let mut message = email("kim@example.org");
        let Content::Email(content) = &mut message.content else { unreachable!() };
        content.from = "the shop".into();
        assert_eq!(mail(&message, "").err().unwrap().class, Class::Auth);
    }
}
