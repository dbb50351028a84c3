//! The state of a receipt and of a delivery as pages show it: the words, their look, and nothing else.

use super::say::Say;
use crate::config::Config;
use crate::dispatch::TEST_INBOX;
use crate::domain::message::Audience;
use crate::observe::words::{self, Words};
use crate::store::outbox::Delivery;
use crate::store::receipts::Receipt;
use crate::store::{Result, Snapshot};
use serde::Serialize;

/// Words with their look.
#[derive(Clone, Serialize)]
pub struct Status {
    class: &'static str,
    colour: &'static str,
    pub(super) text: String,
}

impl From<Words> for Status {
    fn from(words: Words) -> Status {
        Status { class: words.look.class, colour: words.look.colour, text: words.text }
    }
}

/// Whether a provider is a test inbox.
pub fn catches(config: &Config, provider: &str) -> bool {
    provider == TEST_INBOX || config.providers.get(provider).is_some_and(|p| p.kind == "capture")
}

/// Of a delivery.
pub fn of(config: &Config, d: &Delivery, online: bool, say: &Say) -> Status {
    words::delivery(d, online, catches(config, &d.provider), |at| say.clock(at)).into()
}

/// Of a receipt: that of its last message to the customer, or why there is none.
pub fn of_receipt(read: Snapshot<'_>, config: &Config, r: &Receipt, online: bool, say: &Say) -> Result<Status> {
    let deliveries = read.deliveries_of(r.row)?;
    Ok(match last(&deliveries) {
        Some(d) => of(config, d, online, say),
        None if r.no_message.is_empty() => words::no_message("no_contact").into(),
        None => words::no_message(&r.no_message).into(),
    })
}

/// The last delivery to the customer.
pub fn last(deliveries: &[Delivery]) -> Option<&Delivery> {
    deliveries.iter().rev().find(|d| d.audience == Audience::Customer)
}
