//! From a print to the canonical sale: when its total, number and time are there and no sum fails.
//!
//! What cannot be proven stays a print: kept, searchable, shown, and sent by a person.

use super::fields::{Reading, Sums, decimal};
use super::job::Job;
use super::kind::Kind;
use crate::domain::money::Currency;
use crate::domain::sale::{SCHEMA, Sale};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};
use std::fmt;

/// Countries whose prices stand on the shelf without their tax.
const TAX_ON_TOP: &[&str] = &["US", "CA"];

/// Where the print was taken.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// The shop's id, as tills name it.
    pub unit_id: String,
    /// The shop's name.
    pub unit_name: String,
    /// Stands in for the till's number where the print has none.
    pub till: String,
    /// The shop's country, two letters.
    pub country: String,
    /// The shop's word for a purchase, for a receipt without lines.
    pub purchase: String,
}

/// Why a print is no sale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotSale {
    /// It is of another kind.
    Kind(Kind),
    /// It does not have this field.
    Missing(String),
    /// This sum does not come out.
    Check(&'static str),
    /// It was not read whole: bytes were lost, or it broke off.
    Incomplete,
    /// The canonical form refuses it, for this reason.
    Refused(String),
}

impl fmt::Display for NotSale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotSale::Kind(kind) => write!(f, "it is of the kind {kind}"),
            NotSale::Missing(name) => write!(f, "{name} was not found"),
            NotSale::Check(name) => write!(f, "the sum over {name} does not come out"),
            NotSale::Incomplete => f.write_str("it was not read whole"),
            NotSale::Refused(why) => f.write_str(why),
        }
    }
}

/// The canonical sale, which [`Sale::parse`] accepts.
///
/// # Errors
/// Why the print stays a print.
pub fn sale(job: &Job, reading: &Reading, place: &Place) -> Result<Value, NotSale> {
    if !matches!(reading.kind, Kind::Sale | Kind::Refund) {
        return Err(NotSale::Kind(reading.kind));
    }
    if job.truncated || job.lost_bytes || job.page.cut_short {
        return Err(NotSale::Incomplete);
    }
    if let Some(name) = reading.missing.first() {
        return Err(NotSale::Missing(name.clone()));
    }
    if let Some(check) = reading.checks.iter().find(|check| !check.ok) {
        return Err(NotSale::Check(check.name));
    }
    let value = Writer { job, reading, place, sums: Sums::new(reading) }.sale()?;
    match Sale::parse(&value) {
        Ok(_) => Ok(value),
        Err(faults) => Err(NotSale::Refused(faults.first().map(|fault| fault.message.clone()).unwrap_or_default())),
    }
}

struct Writer<'a> {
    job: &'a Job,
    reading: &'a Reading,
    place: &'a Place,
    sums: Sums<'a>,
}

impl Writer<'_> {
    fn text(&self, name: &str) -> Option<&str> {
        self.reading.fields.get(name).and_then(Value::as_str).filter(|text| !text.trim().is_empty())
    }

    fn needed(&self, name: &str) -> Result<&str, NotSale> {
        self.text(name).ok_or_else(|| NotSale::Missing(name.to_owned()))
    }

    fn money(&self, minor: i64) -> Value {
        decimal(minor, self.sums.currency).into()
    }

    fn sale(&self) -> Result<Value, NotSale> {
        let number = self.needed("receipt_no")?;
        let (day, at) = self.moment()?;
        let currency = self.needed("currency")?;
        Currency::parse(currency).ok_or_else(|| NotSale::Missing("currency".into()))?;
        let total = self.sums.field("total").ok_or_else(|| NotSale::Missing("total".into()))?;
        let grand = self.grand(total).saturating_abs();
        let refund = self.reading.kind == Kind::Refund;
        let till = self.text("till").unwrap_or(&self.place.till);
        let mut sale = Map::new();
        let mut put = |name: &str, value: Value| _ = sale.insert(name.to_owned(), value);
        put("schema", SCHEMA.into());
        put("transaction_type", if refund { "return" } else { "sale" }.into());
        put("transaction_id", format!("{day}-{till}-{number}").into());
        put("receipt_number", number.into());
        put("receipt_date_time", at.into());
        put("business_day_date", day.into());
        put("workstation_id", till.into());
        put("operator_id", self.text("cashier").unwrap_or("").into());
        put("business_unit", self.unit());
        put("currency_code", currency.into());
        let (lines, net, included) = self.lines(grand)?;
        put("tax_included", included.into());
        put("line_items", lines);
        put("taxes", self.taxes());
        put("tenders", self.tenders(grand));
        put("totals", self.totals(grand, net));
        for (name, value) in
            [("customer", self.customer()), ("loyalty", self.loyalty()), ("fiscal", self.fiscal()), ("related", self.related())]
        {
            if let Some(value) = value {
                put(name, value);
            }
        }
        put("trailer_text", self.trailer());
        put("source", json!({"print": {"profile": self.reading.profile, "checks": self.checks()}}));
        Ok(Value::Object(sale))
    }

    /// What was paid: the printed total, with the tip where that comes on top of it.
    fn grand(&self, total: i64) -> i64 {
        let tip = self.sums.field("tip").unwrap_or(0).max(0);
        let tax = self.sums.tax();
        let mut goods = [self.sums.sum("items", "amount"), self.sums.field("subtotal")].into_iter().flatten();
        let paid = self.sums.sum("payment", "amount").map(|paid| paid.saturating_sub(self.sums.field("change").unwrap_or(0)));
        let on_top = goods.any(|goods| goods == total || goods.saturating_add(tax) == total) || paid == total.checked_add(tip);
        if on_top { total.saturating_add(tip) } else { total }
    }

    fn checks(&self) -> Vec<&'static str> {
        self.reading.checks.iter().map(|check| check.name).collect()
    }

    /// The business day and the moment with its offset, in the shop's zone.
    fn moment(&self) -> Result<(String, String), NotSale> {
        let text = match (self.text("datetime"), self.text("date"), self.text("time")) {
            (Some(at), _, _) => at.to_owned(),
            (None, Some(day), Some(time)) => format!("{day}T{time}"),
            _ => return Err(NotSale::Missing("datetime".into())),
        };
        let missing = |name: &str| NotSale::Missing(name.to_owned());
        let at: DateTime = text.parse().map_err(|_| missing("datetime"))?;
        let zone = self.reading.timezone.as_deref().ok_or_else(|| missing("timezone"))?;
        let zone = TimeZone::get(zone).map_err(|_| missing("timezone"))?;
        let zoned = zone.to_ambiguous_zoned_datetime(at).compatible().map_err(|_| missing("datetime"))?;
        Ok((at.date().to_string(), zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()))
    }

    fn unit(&self) -> Value {
        let name = self.text("store").unwrap_or(&self.place.unit_name);
        let id = if self.place.unit_id.is_empty() { name } else { &self.place.unit_id };
        json!({"unit_id": if id.is_empty() { "1" } else { id }, "name": name})
    }

    /// The lines, their sum, and whether prices contain the tax. Which of both it is, the sums say before
    /// the country does.
    fn lines(&self, total: i64) -> Result<(Value, i64, bool), NotSale> {
        let (tax, tip) = (self.sums.tax(), self.sums.field("tip").unwrap_or(0));
        let goods = total.saturating_sub(tip);
        let told = self.reading.tax_included.unwrap_or(!TAX_ON_TOP.contains(&self.place.country.as_str()));
        let items = self.sums.list("items");
        let sum = self.sums.sum("items", "amount");
        let included = match sum {
            Some(sum) if sum == goods => true,
            Some(sum) if sum.saturating_add(tax) == goods => false,
            _ => told,
        };
        let net = if included { goods } else { goods.saturating_sub(tax) };
        if sum != Some(net) {
            let word = if self.place.purchase.is_empty() { "Purchase" } else { &self.place.purchase };
            let line = json!({"description": word, "quantity": "1", "extended_amount": self.money(net)});
            return Ok((json!([line]), net, included));
        }
        let lines: Option<Vec<Value>> = items.iter().map(|item| self.line(item)).collect();
        Ok((lines.ok_or_else(|| NotSale::Missing("items".into()))?.into(), net, included))
    }

    fn line(&self, item: &Value) -> Option<Value> {
        let text = |name: &str| item.get(name).and_then(Value::as_str);
        let amount = self.sums.minor(item.get("amount"))?;
        let quantity = text("qty").filter(|q| !q.starts_with('-')).unwrap_or("1");
        let mut line = json!({
            "description": text("name").unwrap_or("–"),
            "quantity": quantity,
            "extended_amount": self.money(amount.saturating_abs()),
        });
        if let Value::Object(line) = &mut line {
            if (amount < 0) != (self.reading.kind == Kind::Refund) {
                line.insert("line_type".into(), "return".into());
            }
            if let Some(unit) = self.sums.minor(item.get("unit")).filter(|unit| *unit >= 0) {
                line.insert("regular_sales_unit_price".into(), self.money(unit));
            }
            if let Some(unit) = text("unit_name") {
                line.insert("unit_of_measure_code".into(), unit_code(unit).into());
            }
        }
        Some(line)
    }

    fn taxes(&self) -> Value {
        let kind = if TAX_ON_TOP.contains(&self.place.country.as_str()) { "Sales" } else { "VAT" };
        let taxes = self.sums.list("tax").iter().filter_map(|tax| {
            let amount = self.sums.minor(tax.get("amount"))?.saturating_abs();
            let mut out = json!({"tax_type": kind, "amount": self.money(amount)});
            if let Value::Object(out) = &mut out {
                if let Some(rate) = tax.get("rate").and_then(Value::as_str) {
                    out.insert("percent".into(), rate.trim_start_matches('-').into());
                }
                if let Some(base) = self.sums.minor(tax.get("base")) {
                    out.insert("taxable_amount".into(), self.money(base.saturating_abs()));
                }
            }
            Some(out)
        });
        taxes.collect()
    }

    fn tenders(&self, total: i64) -> Value {
        let change = self.sums.field("change").unwrap_or(0).saturating_abs();
        let payments = self.sums.list("payment");
        let alone = payments.len() == 1;
        let tenders = payments.iter().filter_map(|payment| {
            let text = |name: &str| payment.get(name).and_then(Value::as_str);
            let given = self.sums.minor(payment.get("amount")).map(i64::saturating_abs).or_else(|| alone.then_some(total))?;
            let cash = text("method") == Some("cash");
            let kept = if cash { given.saturating_sub(change).max(0) } else { given };
            let mut tender = json!({"tender_type": tender_type(text("method")), "amount": self.money(kept)});
            if let Value::Object(tender) = &mut tender {
                if cash && change > 0 {
                    tender.insert("amount_tendered".into(), self.money(given));
                    tender.insert("change".into(), self.money(change));
                }
                let last4 = text("card_last4").filter(|l| l.len() == 4 && l.bytes().all(|b| b.is_ascii_digit()));
                let card = [("brand", text("scheme")), ("last4", last4), ("auth_code", text("auth"))];
                let card: Map<String, Value> = card.into_iter().filter_map(|(k, v)| Some((k.to_owned(), v?.into()))).collect();
                if !card.is_empty() {
                    tender.insert("card".into(), card.into());
                }
            }
            Some(tender)
        });
        tenders.collect()
    }

    fn totals(&self, total: i64, net: i64) -> Value {
        let mut totals = json!({"grand_amount": self.money(total), "net_amount": self.money(net)});
        if let Value::Object(totals) = &mut totals {
            let tax = self.sums.tax();
            if tax != 0 {
                totals.insert("tax_amount".into(), self.money(tax.saturating_abs()));
            }
            if let Some(tip) = self.sums.field("tip").filter(|tip| *tip > 0) {
                totals.insert("tip_amount".into(), self.money(tip));
            }
        }
        totals
    }

    fn customer(&self) -> Option<Value> {
        let known = ["email", "phone"].into_iter().filter_map(|name| Some((name.to_owned(), self.text(name)?.into())));
        Some(known.collect::<Map<_, _>>()).filter(|c| !c.is_empty()).map(Value::Object)
    }

    fn loyalty(&self) -> Option<Value> {
        let names = [("loyalty_no", "account_id"), ("loyalty_earned", "earned"), ("loyalty_balance", "balance")];
        let known = names.into_iter().filter_map(|(field, name)| Some((name.to_owned(), self.text(field)?.into())));
        Some(known.collect::<Map<_, _>>()).filter(|l| !l.is_empty()).map(Value::Object)
    }

    fn related(&self) -> Option<Value> {
        self.text("refund_of").map(|number| json!({"receipt_number": number, "type": "return_of"}))
    }

    /// Codes are evidence, and carried word for word.
    fn fiscal(&self) -> Option<Value> {
        let qr = self.job.page.symbols().find(|s| s.kind.word() == "qr").map(|s| s.data.clone());
        let codes: Map<String, Value> = self
            .job
            .page
            .symbols()
            .filter(|s| s.kind.word() != "qr")
            .take(20)
            .map(|s| (s.kind.word().to_owned(), s.data.clone().into()))
            .collect();
        if qr.is_none() && codes.is_empty() {
            return None;
        }
        Some(json!({"scheme": "print", "qr": qr.unwrap_or_default(), "fields": codes}))
    }

    /// The lines behind the last that a rule read.
    fn trailer(&self) -> Value {
        let last = self.reading.origins.iter().map(|(_, origin)| origin.line).max().unwrap_or(0);
        let text = self.job.page.text();
        let rest = text.iter().skip(last).map(|line| line.trim()).filter(|line| !line.is_empty() && !line.starts_with('{'));
        rest.take(40).map(Value::from).collect()
    }
}

/// The words of the canonical sale for how it was paid.
fn tender_type(method: Option<&str>) -> &str {
    match method {
        Some("cash") => "Cash",
        Some("card") => "CreditDebit",
        Some("check") => "Check",
        Some("mobile") => "Mobile",
        Some("gift-card") => "GiftCard",
        Some("voucher") => "Voucher",
        Some(other) => other,
        None => "CreditDebit",
    }
}

/// Units by their code (UN/ECE 20).
fn unit_code(unit: &str) -> &str {
    match unit.to_lowercase().as_str() {
        "kg" => "KGM",
        "g" => "GRM",
        "l" => "LTR",
        "lb" => "LBR",
        _ => unit,
    }
}
