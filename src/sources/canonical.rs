//! From what a vendor tells to the canonical sale: `tillpost.sale/1` as JSON that passes its own check.
//!
//! A vendor's data is never refused for its arithmetic: the difference is recorded in
//! `source.differences`, and its totals stand as they are.

use crate::domain::event::Event;
use crate::domain::fault::Fault;
use crate::domain::money::Currency;
use crate::domain::sale::{SCHEMA, Sale};
use crate::domain::time::UnixMs;
use crate::sources::value::{clean, set};
use crate::sources::{Meaning, Setup};
use serde_json::{Map, Value, json};

/// What a document is known by.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// See [`Meaning::business_key`]; becomes `transaction_id` where the sale has none.
    pub business_key: String,
    /// See [`Meaning::version`].
    pub version: i64,
    /// Merchant, shop or restaurant.
    pub account: String,
    /// The place within it.
    pub location: String,
    /// The vendor's order.
    pub order_id: String,
    /// The vendor's payments.
    pub payment_ids: Vec<String>,
    /// The vendor's ids of the events that told it.
    pub event_ids: Vec<String>,
}

/// `sale.completed`, `refund.processed` or `sale.voided` with its document. What is empty or null in
/// `sale` is left out. A fault is one of form, never of arithmetic.
pub fn document(setup: &Setup<'_>, kind: &str, keys: Keys, mut sale: Value) -> Result<Meaning, Vec<Fault>> {
    let mut source = json!({"system": setup.source.kind, "account": keys.account, "location": keys.location, "event_ids": keys.event_ids});
    // By its ids a sale is known again. What undoes one is a document of its own: the sale's ids are not its.
    let own = kind == "sale.completed";
    set(&mut source, if own { "order_id" } else { "of_order_id" }, keys.order_id.as_str());
    set(&mut source, if own { "payment_ids" } else { "of_payment_ids" }, keys.payment_ids.clone());
    if let Some(map) = sale.as_object_mut() {
        map.insert("schema".into(), SCHEMA.into());
        map.insert("source".into(), source);
        let id = clean(&keys.business_key, 200);
        let id = map.entry("transaction_id").or_insert_with(|| id.into()).as_str().unwrap_or_default().to_owned();
        let number = map.entry("receipt_number").or_insert(Value::Null);
        if number.as_str().is_none_or(str::is_empty) {
            *number = id.chars().take(100).collect::<String>().into();
        }
        let place = [&keys.location, &keys.account].into_iter().find(|p| !p.is_empty()).map_or(setup.name, String::as_str);
        map.entry("business_unit").or_insert_with(|| json!({"unit_id": clean(place, 200)}));
    }
    let (data, at) = finish(sale)?;
    let mut native_ids = vec![keys.business_key.clone()];
    for id in keys.payment_ids.into_iter().chain([keys.order_id]).filter(|id| own && !id.is_empty()) {
        if !native_ids.contains(&id) {
            native_ids.push(id);
        }
    }
    let related = text(&data, "/related/transaction_id");
    let subject = if kind == "sale.completed" || related.is_empty() { text(&data, "/transaction_id") } else { related };
    let event = Event { kind: kind.to_owned(), id: event_id(setup, kind, &keys.business_key, keys.version), time: at, subject, data };
    Ok(Meaning {
        event,
        business_key: keys.business_key,
        version: keys.version,
        not_before: None,
        native_ids,
        account: keys.account,
        location: keys.location,
    })
}

/// An event without a document.
pub fn event(setup: &Setup<'_>, kind: &str, keys: Keys, at: UnixMs, subject: &str, data: Value) -> Meaning {
    let data = match prune(data) {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    Meaning {
        event: Event {
            kind: kind.to_owned(),
            id: event_id(setup, kind, &keys.business_key, keys.version),
            time: at,
            subject: subject.to_owned(),
            data,
        },
        business_key: keys.business_key,
        version: keys.version,
        not_before: None,
        native_ids: Vec::new(),
        account: keys.account,
        location: keys.location,
    }
}

/// The same for the same state of the same thing, by whichever way it was told.
fn event_id(setup: &Setup<'_>, kind: &str, business_key: &str, version: i64) -> String {
    clean(&format!("{}:{kind}:{business_key}:{version}", setup.name), 200)
}

fn text(map: &Map<String, Value>, pointer: &str) -> String {
    let mut names = pointer.split('/').skip(1);
    let first = names.next().and_then(|name| map.get(name));
    names.fold(first, |v, name| v.and_then(|v| v.get(name))).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The sale without what is empty, with numbered lines, checked; and its moment.
pub fn finish(sale: Value) -> Result<(Map<String, Value>, UnixMs), Vec<Fault>> {
    let mut sale = prune(sale);
    for name in ["line_items", "tenders"] {
        if let Some(map) = sale.as_object_mut() {
            map.entry(name).or_insert_with(|| json!([]));
        }
    }
    for (n, line) in sale.get_mut("line_items").and_then(Value::as_array_mut).into_iter().flatten().enumerate() {
        if let Some(line) = line.as_object_mut() {
            line.entry("sequence_number").or_insert_with(|| json!(n + 1));
        }
    }
    let read = match Sale::parse(&sale) {
        Ok(read) => read,
        Err(faults) if faults.iter().all(|f| matches!(f.code, "sum_mismatch" | "negative")) => {
            let told: Vec<Value> = faults.iter().map(|f| json!({"pointer": f.pointer, "is": f.given, "sum": f.allowed})).collect();
            sale.pointer_mut("/source").and_then(Value::as_object_mut).map(|s| s.insert("differences".into(), told.into()));
            Sale::parse(&sale)?
        }
        Err(faults) => return Err(faults),
    };
    match sale {
        Value::Object(map) => Ok((map, read.at)),
        _ => Err(Vec::new()),
    }
}

/// Without nulls, empty texts, empty lists and empty objects, all the way down.
pub fn prune(value: Value) -> Value {
    let empty = |v: &Value| match v {
        Value::Null => true,
        Value::String(s) => s.is_empty(),
        Value::Array(a) => a.is_empty(),
        Value::Object(o) => o.is_empty(),
        _ => false,
    };
    match value {
        Value::Object(map) => map.into_iter().map(|(k, v)| (k, prune(v))).filter(|(_, v)| !empty(v)).collect(),
        Value::Array(all) => all.into_iter().map(prune).filter(|v| !empty(v)).collect(),
        other => other,
    }
}

/// The moment as the shop's clock shows it, RFC 3339 with the offset of its zone.
pub fn local(at: UnixMs, setup: &Setup<'_>) -> String {
    let zoned = at.instant().in_tz(&setup.shop.timezone);
    zoned.map_or_else(|_| at.rfc3339(), |z| z.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string())
}

/// The vendor's currency in capitals, else the shop's.
pub fn currency(code: &str, setup: &Setup<'_>) -> Currency {
    let parse = |code: &str| Currency::parse(&code.to_ascii_uppercase());
    parse(code).or_else(|| parse(&setup.shop.currency)).unwrap_or(Currency::FOUR_DIGITS)
}

/// The type of a tax by its name; `included`: prices contain it.
pub fn tax_type(name: &str, included: bool) -> &'static str {
    let name = name.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|w| name.contains(w));
    if has(&["vat", "mwst", "ust", "tva", "iva", "btw", "moms"]) && !has(&["custom", "just"]) {
        "VAT"
    } else if has(&["hst"]) {
        "HST"
    } else if has(&["pst", "qst"]) {
        "PST"
    } else if has(&["gst"]) {
        "GST"
    } else if included {
        "VAT"
    } else {
        "Sales"
    }
}

/// The ways to pay that benefit accounts are: their receipts carry no digit of the account.
pub fn is_benefit(tender_type: &str) -> bool {
    matches!(tender_type, "SNAP" | "EBTCash" | "WIC")
}

/// The last four digits, where they are that.
pub fn last4(text: &str) -> Option<&str> {
    (text.len() == 4 && text.bytes().all(|b| b.is_ascii_digit())).then_some(text)
}

/// An article's number as the canonical sale has it: `gtin` where it is one, else `item_id`.
pub fn item(number: &str) -> (&'static str, String) {
    let number = clean(number, 100);
    let digits: Vec<u32> = number.chars().filter_map(|c| c.to_digit(10)).collect();
    let sum: u32 = digits.iter().rev().zip([1, 3].iter().cycle()).map(|(d, weight)| d * weight).sum();
    let is_gtin = digits.len() == number.len() && matches!(digits.len(), 8 | 12..=14) && sum.is_multiple_of(10);
    (if is_gtin { "gtin" } else { "item_id" }, number)
}

/// Parts `total` over the weights to the last unit: each gets its share rounded down, the largest
/// remainders one more.
pub fn apportion(total: i64, weights: &[i64]) -> Vec<i64> {
    let sum: i128 = weights.iter().map(|w| i128::from((*w).max(0))).sum();
    if sum == 0 {
        return weights.iter().enumerate().map(|(n, _)| if n == 0 { total } else { 0 }).collect();
    }
    let exact = |w: &i64| i128::from(total) * i128::from((*w).max(0));
    let mut parts: Vec<i64> = weights.iter().map(|w| i64::try_from(exact(w).div_euclid(sum)).unwrap_or(0)).collect();
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by_key(|n| std::cmp::Reverse(weights.get(*n).map_or(0, |w| exact(w).rem_euclid(sum))));
    let mut rest = total.saturating_sub(parts.iter().sum());
    for n in order {
        let Some(part) = parts.get_mut(n).filter(|_| rest > 0) else { break };
        *part += 1;
        rest -= 1;
    }
    parts
}

/// `amount` × `share` / `whole`, rounded half up.
pub fn share(amount: i64, share: i64, whole: i64) -> i64 {
    let (amount, share, whole) = (i128::from(amount), i128::from(share), i128::from(whole.max(1)));
    i64::try_from((amount * share * 2 + whole).div_euclid(whole * 2)).unwrap_or(0)
}

/// A discount as a modifier of a price; `None` where it is none.
pub fn discount(method: &str, description: &str, amount: i64) -> Option<Value> {
    (amount != 0).then(|| json!({"method_code": method, "description": description, "amount": -amount.abs()}))
}

/// Adds up taxes by name and rate, in the order of their first sight.
#[derive(Default)]
pub struct Taxes(Vec<(String, Option<String>, i64, i64)>);

impl Taxes {
    /// One line's tax: name, percent, minor units that it was taken of, minor units.
    pub fn add(&mut self, name: &str, percent: Option<String>, taxable: i64, amount: i64) {
        match self.0.iter_mut().find(|(n, p, ..)| n == name && *p == percent) {
            Some((.., base, sum)) => (*base, *sum) = (base.saturating_add(taxable), sum.saturating_add(amount)),
            None => self.0.push((name.to_owned(), percent, taxable, amount)),
        }
    }

    /// As the canonical sale has them. What is below zero is left out: the totals say it.
    pub fn json(&self, included: bool) -> Vec<Value> {
        let taxable = |base: i64| (base > 0).then_some(base);
        let good = self.0.iter().filter(|(.., amount)| *amount >= 0);
        good.map(|(name, percent, base, amount)| {
            json!({"tax_type": tax_type(name, included), "percent": percent, "taxable_amount": taxable(*base), "amount": amount})
        })
        .collect()
    }

    /// Of all.
    pub fn sum(&self) -> i64 {
        self.0.iter().fold(0, |sum, (.., amount)| sum.saturating_add(*amount))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up() {
        assert_eq!(apportion(288, &[1025, 1025, 300, 525]), [103, 103, 30, 52]);
        assert_eq!(apportion(10, &[1, 1, 1]), [4, 3, 3]);
        assert_eq!(apportion(5, &[0, 0]), [5, 0]);
        assert_eq!(apportion(5, &[]), Vec::<i64>::new());
        assert_eq!(apportion(i64::MAX, &[i64::MAX, i64::MAX]).iter().map(|p| i128::from(*p)).sum::<i128>(), i128::from(i64::MAX));
        assert_eq!(share(1499, 350, 1000), 525);
    }

    #[test]
    fn articles_by_their_check_digit() {
        assert_eq!(item("4006381333931"), ("gtin", "4006381333931".into()));
        assert_eq!(item("4006381333932").0, "item_id");
        assert_eq!(item("HAF-1L").0, "item_id");
    }

    #[test]
    fn taxes_by_name() {
        for (name, included, is) in [
            ("MwSt 19%", true, "VAT"),
            ("State Tax", false, "Sales"),
            ("GST", false, "GST"),
            ("Tax", true, "VAT"),
            ("Customs", false, "Sales"),
        ] {
            assert_eq!(tax_type(name, included), is, "{name}");
        }
    }

    #[test]
    fn a_difference_is_recorded_and_not_refused() {
        let sale = json!({"schema": SCHEMA, "transaction_type": "sale", "transaction_id": "t", "receipt_number": "1", "source": {"system": "x"},
            "receipt_date_time": "2026-10-03T18:07:44+09:00", "business_unit": {"unit_id": "1"}, "currency_code": "USD", "tax_included": true,
            "line_items": [{"description": "Tea", "quantity": "1", "extended_amount": 100}], "totals": {"grand_amount": 105}, "customer": {"email": ""}});
        let (data, _) = finish(sale).unwrap();
        assert_eq!(data["source"]["differences"][0]["sum"], "1.00");
        assert!(data.get("customer").is_none() && Sale::parse(&Value::Object(data)).is_ok());
    }
}
