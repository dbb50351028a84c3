//! Content: what compose made and a provider sends. Plain values, the same bytes at each repeat.

use crate::domain::channel::Channel;
use crate::domain::ids::StepId;
use crate::domain::message::Kind;
use crate::domain::time::UnixMs;
use serde::{Deserialize, Serialize};

/// The composed content of one delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Content {
    /// For the e-mail channel.
    Email(Email),
    /// For the SMS channel.
    Sms(Sms),
}

/// An e-mail before it becomes MIME: a provider of an API needs the parts, SMTP needs the whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sms {
    /// Sender number or name, or the provider's own service where empty.
    #[serde(default)]
    pub from: String,
    /// The text after replacement, within the channel's segments.
    pub text: String,
}

/// Everything that a provider needs for one attempt.
#[derive(Clone, Debug)]
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
