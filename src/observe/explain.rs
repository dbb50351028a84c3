//! Why a receipt or a message took the way it took, and what would happen next: in sentences.
//!
//! [`read`] looks everything up; [`Facts::explain`] is pure over what was read. Decides nothing: it says what
//! was decided, by the settings as they are now. Addresses are masked.

mod said;
#[cfg(test)]
mod tests;

pub use said::result_in_words;

use crate::config::Config;
use crate::domain::consent::{Entry, Purpose};
use crate::domain::ids::{ReceiptId, StepId};
use crate::observe::shown;
use crate::store::outbox::{Attempt, Delivery};
use crate::store::people::Suppression;
use crate::store::receipts::{Find, Receipt};
use crate::store::sightings::Seen;
use crate::store::{Result, Snapshot};
use crate::sys::clock::Now;
use serde::Serialize;
use serde_json::Value;

/// What is to be explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A receipt with all its messages.
    Receipt(Box<Receipt>),
    /// One message, by one of its deliveries.
    Message(Box<Delivery>),
}

/// Finds it by a receipt's id or number, or by the id of a delivery or a message.
pub fn find(read: Snapshot<'_>, id: &str) -> Result<Option<Subject>> {
    let id = id.trim();
    if let Some(receipt) = ReceiptId::parse(id).map(|id| read.receipt(id)).transpose()?.flatten() {
        return Ok(Some(Subject::Receipt(Box::new(receipt))));
    }
    // A message's id is that of its deliveries without their step.
    for step in [id.to_owned(), format!("{id}.10")] {
        if StepId::parse(&step).is_some()
            && let Some(delivery) = read.delivery_by_step(&step)?
        {
            return Ok(Some(Subject::Message(Box::new(delivery))));
        }
    }
    let same = read.find_receipts(&Find { text: id.to_owned(), limit: 1, ..Find::default() })?.into_iter().next();
    let same = same.filter(|r| !id.is_empty() && (r.receipt_number == id || r.transaction_id == id));
    Ok(same.map(|receipt| Subject::Receipt(Box::new(receipt))))
}

/// What the caller knows besides the store.
#[derive(Clone, Debug, Default)]
pub struct Around {
    /// The line; `None`: no agent runs.
    pub online: Option<bool>,
    /// State of each provider, as `status` says it.
    pub lanes: Vec<(String, &'static str)>,
    /// By how much the till's clock is read as wrong, in milliseconds.
    pub till_offset: i64,
}

/// What was read of one delivery.
struct Step {
    delivery: Delivery,
    attempts: Vec<Attempt>,
    /// Why its address must not be written to.
    suppression: Option<Suppression>,
    /// What was said of offers on its address.
    marketing: Option<Entry>,
    /// An earlier word on the same order waits before it.
    behind: bool,
}

/// Everything that was read.
pub struct Facts<'a> {
    config: &'a Config,
    now: Now,
    around: &'a Around,
    receipt: Option<Receipt>,
    state: String,
    /// Choice, as the document has it.
    choice: String,
    sightings: Vec<Seen>,
    steps: Vec<Step>,
    /// The upload of the receipt's page.
    page: Option<Delivery>,
}

/// Looks up all that matters for the subject.
pub fn read<'a>(read: Snapshot<'_>, config: &'a Config, now: Now, around: &'a Around, subject: &Subject) -> Result<Facts<'a>> {
    let (receipt, deliveries) = match subject {
        Subject::Receipt(receipt) => (Some(receipt.as_ref().clone()), read.deliveries_of(receipt.row)?),
        Subject::Message(d) => (read.receipt_at(d.receipt)?, read.deliveries_of_message(d.message)?),
    };
    let mut steps = Vec::new();
    for delivery in deliveries {
        steps.push(Step {
            attempts: read.attempts(delivery.id)?,
            suppression: read.suppression(delivery.channel, &delivery.address)?,
            marketing: read.consent(delivery.channel, &delivery.address, Purpose::Marketing)?,
            behind: read.waits_behind(&delivery)?,
            delivery,
        });
    }
    let mut facts =
        Facts { config, now, around, state: String::new(), choice: String::new(), sightings: Vec::new(), page: None, steps, receipt: None };
    if let Some(receipt) = receipt {
        let document: Value = serde_json::from_slice(&read.body(receipt.body)?).unwrap_or_default();
        let choice = document.pointer("/customer/preferred_channel").and_then(Value::as_str);
        facts.choice = choice.unwrap_or_default().to_owned();
        facts.sightings = read.sightings(receipt.row)?;
        facts.page = read.publishing(receipt.row)?;
        facts.state = shown::state(read, &receipt)?;
        facts.receipt = Some(receipt);
    }
    Ok(facts)
}

/// The whole explanation, as the API gives it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// `tillpost.explain/1`
    pub schema: &'static str,
    /// The receipt, where it is about one.
    pub receipt_id: Option<String>,
    /// Its state in lists.
    pub state: String,
    /// Why it has no message; empty where it has one.
    pub no_message: String,
    /// Of the sale as a whole.
    pub sentences: Vec<String>,
    /// Each way that was taken.
    pub deliveries: Vec<Told>,
}

/// One delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Told {
    /// As outside.
    pub delivery_id: String,
    /// Word of its kind.
    pub kind: &'static str,
    /// Word of its channel.
    pub channel: &'static str,
    /// Masked.
    pub to: String,
    /// Word of its state.
    pub state: &'static str,
    /// Why it is in it.
    pub reason: String,
    /// Of the last attempt.
    pub provider: String,
    /// So many began.
    pub attempts: u32,
    /// What decided, and what came of it.
    pub sentences: Vec<String>,
    /// What would happen next.
    pub next: String,
    /// When, RFC 3339; `None`: it depends on others.
    pub next_at: Option<String>,
}

impl Facts<'_> {
    /// Says it.
    pub fn explain(&self) -> Explanation {
        Explanation {
            schema: "tillpost.explain/1",
            receipt_id: self.receipt.as_ref().map(|r| r.receipt_id.to_string()),
            state: match (&self.receipt, self.steps.last()) {
                (Some(_), _) => self.state.clone(),
                (None, last) => last.map(|s| s.delivery.state.word().to_owned()).unwrap_or_default(),
            },
            no_message: self.receipt.as_ref().map(|r| r.no_message.clone()).unwrap_or_default(),
            sentences: self.of_sale(),
            deliveries: self.steps.iter().map(|step| self.told(step)).collect(),
        }
    }

    fn told(&self, step: &Step) -> Told {
        let d = &step.delivery;
        let (next, next_at) = self.next(step);
        Told {
            delivery_id: d.step_id().to_string(),
            kind: d.kind.word(),
            channel: d.channel.word(),
            to: d.shown_to(),
            state: d.state.word(),
            reason: d.reason.clone(),
            provider: d.provider.clone(),
            attempts: d.tries,
            sentences: self.of_step(step),
            next,
            next_at: next_at.map(|at| at.rfc3339()),
        }
    }
}
