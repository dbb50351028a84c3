//! Content: what compose made and a provider sends. Plain values, the same bytes at each repeat.

use crate::domain::channel::Channel;
use crate::domain::ids::StepId;
use crate::domain::message::Kind;
use crate::domain::time::UnixMs;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The composed content of one delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Content {
    /// For the e-mail channel.
    Email(Email),
    /// For the SMS channel.
    Sms(Sms),
    /// For a chat room of the staff.
    Chat(Chat),
    /// For an app or a browser.
    Push(Push),
    /// For WhatsApp.
    Whatsapp(Whatsapp),
    /// For the host behind a receipt's link.
    Page(Page),
    /// For another system: webhook, customer system, helpdesk.
    Data(Data),
}

impl Content {
    /// What a person reads first: a subject or a title; of data the type of its event. Empty for a text
    /// message and a page.
    pub fn headline(&self) -> &str {
        match self {
            Content::Email(mail) => &mail.subject,
            Content::Chat(chat) => &chat.title,
            Content::Push(push) => &push.title,
            Content::Data(data) => &data.event,
            Content::Sms(_) | Content::Whatsapp(_) | Content::Page(_) => "",
        }
    }

    /// All of it as plain text; of a page its HTML, of data its JSON.
    pub fn plain(&self) -> String {
        match self {
            Content::Email(mail) => mail.text.clone(),
            Content::Sms(sms) => sms.text.clone(),
            Content::Chat(chat) => chat.plain(),
            Content::Push(push) => [push.body.as_str(), &push.link].into_iter().filter(|s| !s.is_empty()).collect::<Vec<_>>().join("\n"),
            Content::Whatsapp(whatsapp) => whatsapp.text.clone(),
            Content::Page(page) => page.html.clone(),
            Content::Data(data) => data.payload.to_string(),
        }
    }
}

/// What people are written never shows in `Debug`: it names them, and a link in it may open an account.
macro_rules! hidden {
    ($($name:ident),+) => {
        $(impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        })+
    };
}
hidden!(Email, Sms, Chat, Push, Whatsapp, Page, Data);

/// An e-mail before it becomes MIME: a provider of an API needs the parts, SMTP needs the whole.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Email {
    /// The shop's name and address as in the config: `Corner Mart <receipts@cmart.example>`.
    pub from: String,
    /// Where answers go; empty for the sender's address.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reply_to: String,
    /// One line.
    pub subject: String,
    /// The complete text part, lines of at most 78 columns, `\n` between them.
    pub text: String,
    /// The HTML part.
    pub html: String,
    /// Further headers, e.g. `Auto-Submitted`. Never From, To, Subject, Date or Message-ID.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
}

/// A text message.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sms {
    /// Sender number or name, or the provider's own service where empty.
    #[serde(default)]
    pub from: String,
    /// The text after replacement, within the channel's segments.
    pub text: String,
}

/// A message for a chat room. Plain text: a provider marks it up in its own way and escapes for it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chat {
    /// One line.
    pub title: String,
    /// Lines of text with `\n` between them; may be empty.
    pub text: String,
    /// Name and value, one line each; at most ten.
    #[serde(default)]
    pub fields: Vec<(String, String)>,
    /// Label and URL.
    #[serde(default)]
    pub link: Option<(String, String)>,
}

impl Chat {
    /// Fields that a chat takes.
    pub const FIELDS: usize = 10;
    /// Lines of text that a chat takes.
    pub const LINES: usize = 20;
    /// Bytes of the whole: below what every chat takes once it is marked up.
    pub const BYTES: usize = 8 * 1024;

    /// The message as text alone, for rooms without mark-up.
    pub fn plain(&self) -> String {
        let fields = self.fields.iter().map(|(name, value)| format!("{name}: {value}"));
        let link = self.link.iter().map(|(label, url)| format!("{label}: {url}"));
        let text = (!self.text.is_empty()).then(|| self.text.clone());
        std::iter::once(self.title.clone()).chain(text).chain(fields).chain(link).collect::<Vec<_>>().join("\n")
    }
}

/// A notification.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Push {
    /// One line of at most 40 characters.
    pub title: String,
    /// One line of at most 110 characters.
    pub body: String,
    /// Where a tap on it leads; empty for nowhere.
    #[serde(default)]
    pub link: String,
}

impl Push {
    /// Characters of a title.
    pub const TITLE: usize = 40;
    /// Characters of a body.
    pub const BODY: usize = 110;
    /// Bytes of title, body and link as JSON; push services take 4,096 with what they add.
    pub const BYTES: usize = 3_500;

    /// Its size as JSON.
    pub fn bytes(&self) -> usize {
        serde_json::to_string(self).map_or(usize::MAX, |json| json.len())
    }
}

/// A WhatsApp message: outside of a conversation only an approved template may be sent, with variables.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whatsapp {
    /// Name of the template, as approved.
    pub template: String,
    /// Its language, e.g. `en` or `de`.
    pub language: String,
    /// What fills the template in order: shop, what it is about, amount, link. Of at most 60 characters
    /// each, but for a link.
    pub variables: Vec<String>,
    /// The whole as text, of at most 1,024 characters: for an open conversation, and for people to see.
    pub text: String,
}

impl Whatsapp {
    /// Characters of a variable.
    pub const VARIABLE: usize = 60;
    /// Characters of a text.
    pub const TEXT: usize = 1_024;
}

/// A receipt's page on its way to the host behind its link.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The last part of the link.
    pub token: String,
    /// The page, complete in itself.
    pub html: String,
    /// When the host deletes it.
    pub expires: UnixMs,
}

/// Data for another system.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Data {
    /// Type of the event, e.g. `sale.completed`.
    pub event: String,
    /// When it happened.
    pub at: UnixMs,
    /// What it is about, as a JSON object; keys in the order of the alphabet, so the same bytes at each repeat.
    pub payload: serde_json::Value,
    /// Too large: the payload holds ids and a link only.
    #[serde(default)]
    pub thin: bool,
}

impl Data {
    /// Bytes of a payload that is kept as it is.
    pub const TARGET: usize = 8 * 1024;
    /// Bytes above which a payload holds ids and a link only.
    pub const MOST: usize = 20_000;
}

/// Everything that a provider needs for one attempt.
#[derive(Clone)]
pub struct Outgoing {
    /// Our id, sent as key, header or metadata; the same for each retry with the same provider.
    pub step: StepId,
    /// `tp_` and the start of the intent: names the message over all its attempts and providers; the
    /// left part of the Message-ID.
    pub message_id: String,
    /// What the message is.
    pub kind: Kind,
    /// The way it takes.
    pub channel: Channel,
    /// The normalised address.
    pub to: String,
    /// When the content was composed first: the Date header, the same at each repeat.
    pub composed_at: UnixMs,
    /// The content.
    pub content: Content,
}

/// Without recipient and content.
impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outgoing { step, message_id, kind, channel, .. } = self;
        let mut out = f.debug_struct("Outgoing");
        out.field("step", step).field("message_id", message_id).field("kind", kind).field("channel", channel).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_message_shows_in_debug() {
        let text = || "https://shop.example/reset/Zk3x9".to_owned();
        let all = [
            Content::Sms(Sms { from: String::new(), text: text() }),
            Content::Chat(Chat { title: text(), text: text(), fields: Vec::new(), link: Some((text(), text())) }),
            Content::Push(Push { title: text(), body: text(), link: text() }),
            Content::Whatsapp(Whatsapp { template: text(), language: text(), variables: vec![text()], text: text() }),
            Content::Page(Page { token: text(), html: text(), expires: UnixMs(0) }),
            Content::Data(Data { event: text(), at: UnixMs(0), payload: text().into(), thin: false }),
        ];
        for content in all {
            assert!(!format!("{content:?}").contains("Zk3x9"), "{content:?}");
            let json = serde_json::to_vec(&content).unwrap();
            assert_eq!(serde_json::from_slice::<Content>(&json).unwrap(), content, "what is stored comes back");
            assert!(content.plain().contains("Zk3x9"));
        }
    }

    #[test]
    fn a_chat_as_text_alone() {
        let chat =
            Chat { title: "A".into(), text: "b\nc".into(), fields: vec![("d".into(), "e".into())], link: Some(("f".into(), "g".into())) };
        assert_eq!(chat.plain(), "A\nb\nc\nd: e\nf: g");
    }
}
