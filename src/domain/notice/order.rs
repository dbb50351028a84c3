//! Orders, parcels and returns, line by line: what went, what goes now, what is still to come.
//!
//! Pure. Never says that more was sent than was ordered, and invents no quantity.

use super::Unreadable;
use super::read::{LIST, OrText, Reader};
use crate::domain::channel::words;
use crate::domain::money::Money;
use std::fmt;

words! {
    /// Where an order stands.
    OrderStage {
        /// Taken.
        Confirmed = "confirmed",
        /// Something about it changed.
        Updated = "updated",
        /// A part is on its way.
        Partial = "partially_shipped",
        /// All that was left is on its way.
        Shipped = "shipped",
        /// Done.
        Fulfilled = "fulfilled",
        /// Given up.
        Cancelled = "cancelled",
    }
}

impl OrderStage {
    pub(super) const fn template(self) -> &'static str {
        match self {
            OrderStage::Confirmed => "order_confirmed",
            OrderStage::Updated => "order_updated",
            OrderStage::Partial => "order_partial",
            OrderStage::Shipped => "order_shipped",
            OrderStage::Fulfilled => "order_fulfilled",
            OrderStage::Cancelled => "order_cancelled",
        }
    }
}

words! {
    /// Where a return stands.
    ReturnStage {
        /// Asked for.
        Initiated = "initiated",
        /// Accepted by the shop.
        Approved = "approved",
        /// Refused by the shop.
        Rejected = "rejected",
    }
}

impl ReturnStage {
    pub(super) const fn template(self) -> &'static str {
        match self {
            ReturnStage::Initiated => "return_initiated",
            ReturnStage::Approved => "return_approved",
            ReturnStage::Rejected => "return_rejected",
        }
    }
}

/// A count in thousandths: `1.412` is 1412.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity(pub i64);

impl Quantity {
    /// From decimal text of at most nine digits before the point; further than three places are cut.
    pub fn parse(text: &str) -> Option<Quantity> {
        let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || whole.len() > 9 || !digits(whole) || !digits(fraction) {
            return None;
        }
        let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
        Some(Quantity(whole.parse::<i64>().ok()? * 1_000 + thousandths.parse::<i64>().ok()?))
    }

    /// Nothing of it.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// What is left after `other` was taken away, never below zero.
    fn less(self, other: Quantity) -> Quantity {
        Quantity(self.0.saturating_sub(other.0).max(0))
    }
}

/// `2`, `1.5`
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 1_000, self.0 % 1_000);
        if rest == 0 { write!(f, "{whole}") } else { f.write_str(format!("{whole}.{rest:03}").trim_end_matches('0')) }
    }
}

/// One line of an order, a parcel or a return.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Item {
    /// What it is.
    pub text: String,
    /// How many; none where nobody said.
    pub quantity: Option<Quantity>,
    /// The sender's id of it, by which parcels and orders are matched; may be empty.
    pub id: String,
    /// Something to add.
    pub note: String,
    /// What of it shipped, where that is known.
    pub progress: Option<Progress>,
}

/// How far a line of an order is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// In the parcels that this notice tells of.
    pub now: Quantity,
    /// Sent before.
    pub before: Quantity,
    /// Still to come.
    pub remaining: Quantity,
}

/// An order and what is on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names of the shape say it
pub struct Order {
    pub stage: OrderStage,
    pub number: String,
    pub url: String,
    pub items: Vec<Item>,
    pub total: Option<Money>,
    pub parcels: Vec<Parcel>,
    pub reason: String,
}

/// A parcel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // the names of the shape say it
pub struct Parcel {
    pub carrier: String,
    pub tracking_number: String,
    pub tracking_url: String,
    /// A day `YYYY-MM-DD`, a moment, or words.
    pub expected: String,
    pub items: Vec<Item>,
}

impl Order {
    pub(super) fn read(of: &Reader<'_>, subject: &str, event: &str) -> Result<Order, Unreadable> {
        let order = of.object("order");
        let stage = event.strip_prefix("order.").and_then(OrderStage::from_word).unwrap_or(OrderStage::Updated);
        let number = order.text("number").or_text(subject);
        if number.is_empty() {
            return Err(Unreadable("order.number"));
        }
        let parcel = |p: Reader<'_>| Parcel {
            carrier: p.text("carrier"),
            tracking_number: p.text("tracking_number"),
            tracking_url: p.url("tracking_url"),
            expected: p.text("expected"),
            items: p.items(),
        };
        let parcels: Vec<Parcel> = of.object("fulfillment").list("shipments").into_iter().take(50).map(parcel).collect();
        let mut items = order.items();
        progress(&mut items, &order.list("line_items"), &parcels, stage);
        let total = order.amount("total");
        Ok(Order { stage, number, url: order.url("url"), items, total, parcels, reason: of.text("reason") })
    }
}

/// Says of each line what is in these parcels, what went before and what is still to come. Parcels name
/// lines by id, else by their text; two lines of the same text are filled in their order.
fn progress(items: &mut [Item], given: &[Reader<'_>], parcels: &[Parcel], stage: OrderStage) {
    let mut packed: Vec<(&str, &str, Quantity)> = Vec::new();
    for item in parcels.iter().flat_map(|p| &p.items) {
        let quantity = item.quantity.unwrap_or(Quantity(1_000));
        let room = packed.len() < LIST;
        match packed.iter_mut().find(|(id, text, _)| if item.id.is_empty() { *text == item.text } else { *id == item.id }) {
            Some((_, _, sum)) => sum.0 = sum.0.saturating_add(quantity.0),
            None if room => packed.push((&item.id, &item.text, quantity)),
            None => {}
        }
    }
    let known = !packed.is_empty();
    let all_went = matches!(stage, OrderStage::Shipped | OrderStage::Fulfilled);
    for (item, line) in items.iter_mut().zip(given) {
        let ordered = item.quantity.unwrap_or(Quantity(1_000));
        let same = |id: &str, text: &str| if id.is_empty() || item.id.is_empty() { text == item.text } else { id == item.id };
        let here = packed.iter_mut().find(|(id, text, left)| same(id, text) && !left.is_zero());
        let now = here.map_or(Quantity(0), |(_, _, left)| {
            let taken = (*left).min(ordered);
            *left = left.less(taken);
            taken
        });
        let (shipped, remaining) = (line.quantity("shipped"), line.quantity("remaining"));
        if !known && shipped.is_none() && remaining.is_none() && !all_went {
            continue;
        }
        let now = if !known && shipped.is_none() && remaining.is_none() { ordered } else { now };
        let shipped = shipped.or_else(|| remaining.map(|r| ordered.less(r))).unwrap_or(now).max(now);
        let remaining = remaining.unwrap_or_else(|| ordered.less(shipped));
        item.progress = Some(Progress { now, before: shipped.less(now), remaining });
    }
}

/// Goods that come back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names of the shape say it
pub struct Return {
    pub stage: ReturnStage,
    pub number: String,
    pub order_number: String,
    pub items: Vec<Item>,
    pub reason: String,
    pub refund: Option<Money>,
    pub instructions: String,
    pub label_url: String,
}

impl Return {
    pub(super) fn read(of: &Reader<'_>, subject: &str, event: &str) -> Result<Return, Unreadable> {
        let back = of.object("return");
        let stage = event.strip_prefix("return.").and_then(ReturnStage::from_word).ok_or(Unreadable("type"))?;
        let number = back.text("number").or_text(subject);
        if number.is_empty() {
            return Err(Unreadable("return.number"));
        }
        Ok(Return {
            stage,
            number,
            order_number: back.text("order_number"),
            items: back.items(),
            reason: back.text("reason").or_text(&of.text("reason")),
            refund: back.amount("refund_amount"),
            instructions: back.lines("instructions"),
            label_url: back.url("label_url"),
        })
    }
}
