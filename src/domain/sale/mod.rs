//! The canonical sale, `tillpost.sale/1`: the till's transaction in the trade's own terms (ARTS).
//!
//! [`Sale::parse`] reads a JSON value and names every fault at once. Members that it does not know
//! are no fault: the bytes as they came are what is kept, and this is a view of them.

mod read;
#[cfg(test)]
mod tests;

use crate::domain::channel::{Choice, words};
use crate::domain::fault::Fault;
use crate::domain::money::{Currency, Money};
use crate::domain::time::UnixMs;
use serde_json::Value;

/// The value of `schema`.
pub const SCHEMA: &str = "tillpost.sale/1";

words! {
    /// What kind of transaction it was. Amounts are positive: this gives the direction.
    TransactionType {
        /// Goods for money.
        Sale = "sale",
        /// Money for goods.
        Return = "return",
        /// Goods for goods, with money either way.
        Exchange = "exchange",
        /// Undone at the till.
        Void = "void",
    }
}

words! {
    /// What a line does to the sums.
    LineType {
        /// Counts.
        Sale = "sale",
        /// Counts negative.
        Return = "return",
        /// Does not count.
        Void = "void",
    }
}

/// A sale that passed every check.
#[derive(Clone, Debug, PartialEq)]
pub struct Sale {
    /// Direction.
    pub transaction_type: TransactionType,
    /// The till's id, unique per business unit.
    pub transaction_id: String,
    /// The number that people read.
    pub receipt_number: String,
    /// When, by the till.
    pub at: UnixMs,
    /// The same as it was written: its offset is the till's local time.
    pub at_text: String,
    /// The trading day, `YYYY-MM-DD`, where the till names one.
    pub business_day: Option<String>,
    /// The till's number or name.
    pub workstation_id: String,
    /// Who served.
    pub operator_id: String,
    /// Which shop, as the till says it.
    pub unit: BusinessUnit,
    /// Of every amount in it.
    pub currency: Currency,
    /// Prices contain the tax.
    pub tax_included: bool,
    /// What was sold.
    pub lines: Vec<Line>,
    /// By rate.
    pub taxes: Vec<Tax>,
    /// Service, delivery and the like.
    pub service_charges: Vec<Charge>,
    /// How it was paid.
    pub tenders: Vec<Tender>,
    /// The sums.
    pub totals: Totals,
    /// Who bought, as far as the till knows.
    pub customer: Customer,
    /// Points earned in this sale.
    pub loyalty: Option<Loyalty>,
    /// The original of a return.
    pub related: Option<Related>,
    /// Evidence, carried as given.
    pub fiscal: Option<Fiscal>,
    /// Text above.
    pub header_text: Vec<String>,
    /// Text below.
    pub trailer_text: Vec<String>,
    /// No price in any rendering.
    pub gift: bool,
    /// The vendor's ids of it: of the order, and of its payments.
    pub native_ids: Vec<String>,
}

/// The shop, as the till says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // the names of the canonical sale say it
pub struct BusinessUnit {
    pub unit_id: String,
    pub name: String,
    pub address: String,
    pub phone: String,
    pub vat_registration_number: String,
}

/// One line. Amounts in minor units.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // the names of the canonical sale say it
pub struct Line {
    pub line_type: LineType,
    pub description: String,
    pub item_id: String,
    pub gtin: String,
    /// Decimal text, e.g. `1.412`.
    pub quantity: String,
    /// `EA`, `KGM`, `LBR`, …
    pub unit: String,
    pub unit_price: Option<i64>,
    pub amount: i64,
    pub price_modifiers: Vec<Modifier>,
    pub modifiers: Vec<Modifier>,
    pub taxes: Vec<Tax>,
    pub note: String,
    pub deposit: bool,
    pub age_restricted: Option<i64>,
    pub gift: bool,
}

/// A discount, a surcharge or an option of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modifier {
    /// `Coupon`, `Promotion`, …; empty for an option.
    pub method: String,
    /// For people; may be empty.
    pub description: String,
    /// Signed minor units.
    pub amount: Option<i64>,
}

/// Tax by rate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tax {
    /// `VAT`, `Sales`, `GST`, …
    pub tax_type: String,
    /// Decimal text.
    pub percent: Option<String>,
    /// Minor units that the tax was taken of.
    pub taxable: Option<i64>,
    /// Minor units.
    pub amount: i64,
}

/// A charge for service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// For people.
    pub description: String,
    /// Minor units.
    pub amount: i64,
}

/// One payment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names of the canonical sale say it
pub struct Tender {
    pub tender_type: String,
    pub amount: i64,
    pub amount_tendered: Option<i64>,
    pub change: Option<i64>,
    pub tip: Option<i64>,
    pub balance: Option<i64>,
    pub card: Option<Card>,
}

/// What a receipt may say about a card. Never its number or expiry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // the names of the canonical sale say it
pub struct Card {
    pub brand: String,
    pub last4: String,
    pub auth_code: String,
    pub entry: String,
    /// Lines of a card-present receipt: name and value, in the order of the schema.
    pub emv: Vec<(String, String)>,
}

/// The sums, in minor units.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // the names of the canonical sale say it
pub struct Totals {
    pub gross: Option<i64>,
    pub discount: Option<i64>,
    pub net: Option<i64>,
    pub tax: Option<i64>,
    pub tip: Option<i64>,
    pub service: Option<i64>,
    pub rounding: Option<i64>,
    pub grand: i64,
}

/// The customer of a sale. Addresses as given: whether they can be used is decided later.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // the names of the canonical sale say it
pub struct Customer {
    pub id: String,
    pub name: String,
    pub email: String,
    pub phone: String,
    pub language: String,
    pub preferred_channel: Option<Choice>,
    pub marketing_consent: Option<bool>,
}

/// Loyalty as told by the till. Points are text, as some programmes have fractions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // the names of the canonical sale say it
pub struct Loyalty {
    pub program: String,
    pub id_masked: String,
    pub earned: String,
    pub balance: String,
    pub tier: String,
    pub next_reward: String,
    pub text: String,
}

/// Another transaction that this one belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // the names of the canonical sale say it
pub struct Related {
    pub transaction_id: String,
    pub receipt_number: String,
}

/// Evidence of a fiscal device, carried and printed word for word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // the names of the canonical sale say it
pub struct Fiscal {
    pub scheme: String,
    pub qr: String,
    pub lines: Vec<String>,
    /// Name and value, in the order of their names.
    pub fields: Vec<(String, String)>,
}

impl Sale {
    /// Reads a canonical sale. On refusal every fault is named, in the order of the members. The sums are
    /// not held against a document whose `source.differences` records that they differ: a vendor's totals
    /// stand as they are. Whoever takes documents from outside does not let it record that itself.
    pub fn parse(value: &Value) -> Result<Sale, Vec<Fault>> {
        read::sale(value)
    }

    /// An amount of this sale.
    pub fn money(&self, minor: i64) -> Money {
        Money { minor, currency: self.currency }
    }

    /// The last four digits of the first card that was used.
    pub fn last4(&self) -> Option<&str> {
        self.tenders.iter().filter_map(|t| t.card.as_ref()).map(|c| c.last4.as_str()).find(|l| !l.is_empty())
    }

    /// Whether it was paid from a benefit account: such a receipt carries no customer's name.
    pub fn is_benefit(&self) -> bool {
        self.tenders.iter().any(|t| matches!(t.tender_type.as_str(), "SNAP" | "EBTCash" | "WIC"))
    }
}
