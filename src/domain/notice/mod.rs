//! Notices: what the messages beyond receipts are about, read from the data of an event.
//!
//! What comes from outside is read tolerantly: an unknown member is ignored, one that makes no sense is as
//! if it were missing, every list and text has a bound. What we make ourselves (digests, alerts, news of
//! the box) is written and read by the same types. No address of a customer is read here, and a link that
//! sets a password never shows in `Debug`.
//!
//! The shapes of `data`, beside `customer` as in the canonical sale:
//! - `order.*`: `{order: {number, url?, total?, currency?, line_items: [{description, quantity, item_id?, shipped?, remaining?,
//!   note?}]}, fulfillment?: {status?, shipments: [{carrier?, tracking_number?, tracking_url?, expected?, line_items: [{description,
//!   quantity, item_id?}]}]}, reason?}`. The shipments are the parcels that this event tells of; `shipped` counts all so far.
//! - `return.*`: `{return: {number, order_number?, line_items, reason?, refund_amount?, currency?, instructions?, label_url?}}`
//! - `account.password_reset`: `{url}` or `{token, url_template}` with `{token}` in it, and `expires_at?`
//! - `feedback.received`: `{rating?, text?, url?, number?}`; a review request: `{url, number?}`
//! - an event for the staff: `{title, text?, fields?: {name: value} | [[name, value]], link?}`
//! - an offer: `{template?, title?, text?, link?, unsubscribe?}`
//!
//! An amount is whole minor units or decimal text, a quantity a number or decimal text.

mod order;
mod read;
mod report;
#[cfg(test)]
mod tests;

pub use order::{Item, Order, OrderStage, Parcel, Progress, Quantity, Return, ReturnStage};
pub use report::{Alert, ChannelTally, Correction, Day, Digest, Incident, Tally};

use crate::domain::channel::words;
use crate::domain::message::Kind;
use crate::domain::money::{Currency, Money};
use crate::domain::text::one_line;
use crate::domain::time::UnixMs;
use read::{LIST, OrText, Reader, is_link, percent, word};
use serde_json::{Map, Value, json};
use std::fmt;

/// What a notice is about.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // each is what its type says
pub enum About {
    Order(Order),
    Return(Return),
    PasswordReset(PasswordReset),
    Review(Review),
    Feedback(Feedback),
    Staff(Staff),
    Digest(Digest),
    Alert(Alert),
    Offer(Offer),
}

/// The data lacks what its message cannot be without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is missing in the event's data, or makes no sense")]
pub struct Unreadable(pub &'static str);

/// Every name that [`About::name`] may give: the built-in notice templates.
pub const NAMES: &[&str] = &[
    "order_confirmed",
    "order_updated",
    "order_partial",
    "order_shipped",
    "order_fulfilled",
    "order_cancelled",
    "return_initiated",
    "return_approved",
    "return_rejected",
    "password_reset",
    "review_request",
    "feedback",
    "staff_event",
    "digest",
    "alert",
    "offer",
];

impl About {
    /// Reads the data of an event of type `event` for a message of `kind`. `subject` is what the event
    /// names as its order or sale, `currency` the shop's.
    ///
    /// # Errors
    /// What is missing that the message cannot be without.
    pub fn read(
        kind: Kind,
        event: &str,
        subject: &str,
        data: &Map<String, Value>,
        currency: Option<Currency>,
    ) -> Result<About, Unreadable> {
        let of = Reader { map: data, currency };
        let made_by_us = || Value::Object(data.clone());
        Ok(match (kind, event) {
            (Kind::ReviewRequest, _) => About::Review(Review::read(&of, subject)?),
            (Kind::Campaign, _) => About::Offer(Offer::read(&of)),
            (Kind::Digest, _) => About::Digest(serde_json::from_value(made_by_us()).map_err(|_| Unreadable("days"))?),
            (Kind::Alert, _) => About::Alert(serde_json::from_value(made_by_us()).map_err(|_| Unreadable("incidents"))?),
            (_, "account.password_reset") => About::PasswordReset(PasswordReset::read(&of)?),
            (_, "feedback.received") => About::Feedback(Feedback::read(&of, subject)),
            _ if event.starts_with("order.") => About::Order(Order::read(&of, subject, event)?),
            _ if event.starts_with("return.") => About::Return(Return::read(&of, subject, event)?),
            _ => About::Staff(Staff::read(&of, event)),
        })
    }

    /// The name of its template and of its texts.
    pub fn name(&self) -> &'static str {
        match self {
            About::Order(order) => order.stage.template(),
            About::Return(back) => back.stage.template(),
            About::PasswordReset(_) => "password_reset",
            About::Review(_) => "review_request",
            About::Feedback(_) => "feedback",
            About::Staff(_) => "staff_event",
            About::Digest(_) => "digest",
            About::Alert(_) => "alert",
            About::Offer(_) => "offer",
        }
    }
}

/// A link that sets a new password. Whoever has it has the account: it never shows in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordReset {
    /// The link; `https` only.
    pub url: String,
    /// Until when it works.
    pub expires: Option<UnixMs>,
}

impl fmt::Debug for PasswordReset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordReset").field("url", &"***").field("expires", &self.expires).finish()
    }
}

impl PasswordReset {
    fn read(of: &Reader<'_>) -> Result<PasswordReset, Unreadable> {
        let url = match (of.secret("url"), of.secret("token"), of.secret("url_template")) {
            (Some(url), _, _) => url.to_owned(),
            (None, Some(token), Some(template)) => template.replace("{token}", &percent(token)),
            _ => String::new(),
        };
        if !is_link(&url) || !url.starts_with("https://") {
            return Err(Unreadable("url"));
        }
        Ok(PasswordReset { url, expires: UnixMs::parse_rfc3339(&of.text("expires_at")) })
    }
}

/// A request for a review.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    /// Where to write it.
    pub url: String,
    /// The sale's number; may be empty.
    pub number: String,
}

impl Review {
    fn read(of: &Reader<'_>, subject: &str) -> Result<Review, Unreadable> {
        let url = of.url("url");
        let number = of.text("number").or_text(&of.text("receipt_number")).or_text(subject);
        if url.is_empty() { Err(Unreadable("url")) } else { Ok(Review { url, number }) }
    }
}

/// What a customer thought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // the names of the shape say it
pub struct Feedback {
    pub rating: String,
    pub text: String,
    pub number: String,
    pub url: String,
}

impl Feedback {
    fn read(of: &Reader<'_>, subject: &str) -> Feedback {
        Feedback {
            rating: of.text("rating"),
            text: of.lines("text").or_text(&of.lines("comment")),
            number: of.text("number").or_text(subject),
            url: of.url("url"),
        }
    }
}

words! {
    /// News of the shop that we make ourselves.
    Made {
        /// A refund above the limit.
        RefundOver = "refund_over_limit",
        /// A void above the limit.
        VoidOver = "void_over_limit",
        /// Messages wait for a person.
        DeadLetters = "dead_letters",
        /// A till says nothing though it should.
        TillSilent = "till_silent",
        /// The printer's tap says nothing though it should.
        TapSilent = "tap_silent",
        /// The shop was offline.
        Offline = "offline",
        /// A provider refuses our account.
        ProviderPaused = "provider_paused",
    }
}

/// Something that the staff should know now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Staff {
    /// One that we made: its words come from the language.
    pub made: Option<Made>,
    /// One line; of one from outside at least its type.
    pub title: String,
    /// More of it.
    pub text: String,
    /// Name and value.
    pub fields: Vec<(String, String)>,
    /// Where to read on.
    pub link: String,
    /// Receipt's number.
    pub number: String,
    /// How much.
    pub amount: Option<Money>,
    /// A till, tap or provider by its name.
    pub object: String,
    /// Who.
    pub cashier: String,
    /// How many.
    pub n: Option<i64>,
    /// Since when.
    pub since: Option<UnixMs>,
}

impl Staff {
    /// One that we make. Fill in what is known and write it with [`Staff::data`].
    pub fn new(made: Made) -> Staff {
        Staff { made: Some(made), ..Staff::default() }
    }

    fn read(of: &Reader<'_>, event: &str) -> Staff {
        let made = Made::from_word(&of.text("made"));
        let field = |v: &Value| match v.as_array().map(Vec::as_slice) {
            Some([name, value]) => Some((word(name), word(value))),
            _ => None,
        };
        let fields: Vec<(String, String)> = match of.map.get("fields") {
            Some(Value::Object(all)) => all.iter().take(LIST).map(|(name, value)| (one_line(name, 60), word(value))).collect(),
            Some(Value::Array(all)) => all.iter().take(LIST).filter_map(field).collect(),
            _ => Vec::new(),
        };
        Staff {
            title: of.text("title").or_text(if made.is_some() { "" } else { event }),
            text: of.lines("text"),
            fields: fields.into_iter().filter(|(name, value)| !name.is_empty() && !value.is_empty()).collect(),
            link: of.url("link"),
            number: of.text("number"),
            amount: of.amount("amount"),
            object: of.text("object"),
            cashier: of.text("cashier"),
            n: of.map.get("n").and_then(Value::as_i64),
            since: UnixMs::parse_rfc3339(&of.text("since")),
            made,
        }
    }

    /// The data of its event.
    pub fn data(&self) -> Map<String, Value> {
        let mut data = Map::new();
        let texts = [
            ("made", self.made.map_or("", Made::word)),
            ("title", &self.title),
            ("text", &self.text),
            ("link", &self.link),
            ("number", &self.number),
            ("object", &self.object),
            ("cashier", &self.cashier),
        ];
        for (name, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
            data.insert(name.to_owned(), json!(text));
        }
        if !self.fields.is_empty() {
            data.insert("fields".to_owned(), json!(self.fields));
        }
        if let Some(amount) = self.amount {
            data.insert("amount".to_owned(), json!(amount.minor));
            data.insert("currency".to_owned(), json!(amount.currency.code()));
        }
        if let Some(n) = self.n {
            data.insert("n".to_owned(), json!(n));
        }
        if let Some(since) = self.since {
            data.insert("since".to_owned(), json!(since.rfc3339()));
        }
        data
    }
}

/// An offer to many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // the names of the shape say it
pub struct Offer {
    /// The template's file name; empty for `offer`.
    pub template: String,
    pub title: String,
    pub text: String,
    pub link: String,
    pub unsubscribe: String,
}

impl Offer {
    fn read(of: &Reader<'_>) -> Offer {
        let unsubscribe = of.text("unsubscribe");
        Offer {
            template: of.text("template"),
            title: of.text("title"),
            text: of.lines("text"),
            link: of.url("link"),
            unsubscribe: if is_link(&unsubscribe) || unsubscribe.starts_with("mailto:") { unsubscribe } else { String::new() },
        }
    }
}
