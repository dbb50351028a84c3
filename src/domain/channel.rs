//! Channels: the kinds of way a message can take.

use std::fmt;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// Every value, in the order of the list.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The word used in tables, pages, logs and documents.
            pub const fn word(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }

            /// Back from the word; `None` for one that this release does not know.
            pub fn from_word(word: &str) -> Option<$name> {
                match word { $($word => Some($name::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}
pub(crate) use words;

words! {
    /// A way to an audience. One message takes at most one at a time.
    Channel {
        /// E-mail.
        Email = "email",
        /// Text message to a phone number.
        Sms = "sms",
        /// WhatsApp message to a phone number.
        Whatsapp = "whatsapp",
        /// A chat room of the staff.
        Chat = "chat",
        /// A notification on an app or a browser.
        Push = "push",
        /// A customer system.
        Crm = "crm",
        /// A helpdesk.
        Ticket = "ticket",
        /// An HTTP call to a system of the shop.
        Webhook = "webhook",
        /// The receipt printer.
        Print = "print",
        /// Upload of a receipt's page to the host behind its link.
        Publish = "publish",
    }
}

/// What a till may say about a sale: a channel to the customer, or that no message is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// This channel was picked.
    Channel(Channel),
    /// The customer took paper.
    Paper,
    /// The customer wants nothing.
    None,
}

impl Choice {
    /// The words that a posted sale may use.
    pub const WORDS: &'static [&'static str] = &["email", "sms", "whatsapp", "push", "paper", "none"];

    /// Back from the word of a posted sale.
    pub fn from_word(word: &str) -> Option<Choice> {
        match word {
            "paper" => Some(Choice::Paper),
            "none" => Some(Choice::None),
            _ if Self::WORDS.contains(&word) => Channel::from_word(word).map(Choice::Channel),
            _ => None,
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Choice::Channel(c) => c.fmt(f),
            Choice::Paper => f.write_str("paper"),
            Choice::None => f.write_str("none"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back() {
        for c in Channel::ALL {
            assert_eq!(Channel::from_word(c.word()), Some(*c));
        }
        assert_eq!(Channel::from_word("telex"), None);
        assert_eq!(Choice::from_word("paper"), Some(Choice::Paper));
        assert_eq!(Choice::from_word("crm"), None);
    }
}
