//! Reading the canonical sale: member by member, with every fault named and its place.
//!
//! A faulty member reads as its default, so that reading goes on. Values that may be card numbers are
//! never repeated in a fault.

use super::*;
use crate::domain::channel::Choice;
use crate::domain::fault::Fault;
use crate::domain::money::{self, Currency, NotMoney};
use crate::domain::time::UnixMs;
use serde_json::{Map, Value};

/// Reads a sale; on refusal every fault, in the order of the members.
pub(super) fn sale(value: &Value) -> Result<Sale, Vec<Fault>> {
    let mut reader = Reader { faults: Vec::new(), currency: None };
    match reader.sale(value) {
        Some(sale) if reader.faults.is_empty() => Ok(sale),
        _ => Err(reader.faults),
    }
}

/// A member's place: the object, and the JSON pointer to it.
#[derive(Clone, Copy)]
struct At<'a> {
    map: &'a Map<String, Value>,
    pointer: &'a str,
}

/// Reads members and collects faults. A faulty member reads as its default, so that reading goes on.
struct Reader {
    faults: Vec<Fault>,
    currency: Option<Currency>,
}

impl Reader {
    fn sale(&mut self, value: &Value) -> Option<Sale> {
        let Some(map) = value.as_object() else {
            self.faults.push(Fault::new("", "type", "a sale is a JSON object"));
            return None;
        };
        let at = At { map, pointer: "" };
        if map.get("schema").and_then(Value::as_str) != Some(SCHEMA) {
            let fault = Fault::new("/schema", "schema", format!("`schema` must be \"{SCHEMA}\"")).allowed(SCHEMA);
            self.faults.push(match map.get("schema") {
                Some(given) => fault.given(given),
                None => fault,
            });
        }
        let transaction_type =
            self.word(at, "transaction_type", true, TransactionType::from_word, TransactionType::ALL.iter().map(|t| t.word()));
        let transaction_id = self.required_text(at, "transaction_id", 200);
        let receipt_number = self.required_text(at, "receipt_number", 100);
        let at_text = self.required_text(at, "receipt_date_time", 40);
        let moment = UnixMs::parse_rfc3339(&at_text);
        if moment.is_none() && !at_text.is_empty() {
            let fault = Fault::new("/receipt_date_time", "date_time", "`receipt_date_time` must be RFC 3339 with an offset");
            self.faults.push(fault.given(&at_text).allowed("2026-10-03T18:07:44+02:00"));
        }
        let unit = self.unit(at);
        self.currency(at);
        let sale = Sale {
            transaction_type: transaction_type.unwrap_or(TransactionType::Sale),
            transaction_id,
            receipt_number,
            at: moment.unwrap_or_default(),
            at_text,
            business_day: self.date(at, "business_day_date"),
            workstation_id: self.text(at, "workstation_id"),
            operator_id: self.text(at, "operator_id"),
            unit,
            currency: self.currency.unwrap_or(Currency::FOUR_DIGITS),
            tax_included: self.required_bool(at, "tax_included"),
            lines: self.required_list(at, "line_items", 20_000, Self::line),
            taxes: self.list(at, "taxes", Self::tax),
            service_charges: self.list(at, "service_charges", Self::charge),
            tenders: self.required_array(at, "tenders", Self::tender),
            totals: self.totals(at),
            customer: self.customer(at),
            loyalty: self.object(at, "loyalty", Self::loyalty),
            related: self.object(at, "related", Self::related),
            fiscal: self.object(at, "fiscal", Self::fiscal),
            header_text: self.texts(at, "header_text"),
            trailer_text: self.texts(at, "trailer_text"),
            gift: self.bool(at, "gift"),
            native_ids: native_ids(map),
        };
        if self.faults.is_empty() {
            self.sums(&sale);
            if value.pointer("/source/differences").is_some() {
                self.faults.clear();
            }
        }
        Some(sale)
    }

    fn currency(&mut self, at: At<'_>) {
        let code = self.required_text(at, "currency_code", 3);
        self.currency = Currency::parse(&code);
        if self.currency.is_none() && !code.is_empty() {
            let fault = Fault::new("/currency_code", "currency", "`currency_code` must be three capital letters (ISO 4217)");
            self.faults.push(fault.given(code).allowed("EUR"));
        }
    }

    fn unit(&mut self, at: At<'_>) -> BusinessUnit {
        let Some(Value::Object(map)) = at.map.get("business_unit") else {
            self.missing_or_type(at, "business_unit", "an object with `unit_id`");
            return BusinessUnit::default();
        };
        let at = At { map, pointer: "/business_unit" };
        BusinessUnit {
            unit_id: self.required_text(at, "unit_id", 200),
            name: self.text(at, "name"),
            address: self.text(at, "address"),
            phone: self.text(at, "phone"),
            vat_registration_number: self.text(at, "vat_registration_number"),
        }
    }

    fn line(&mut self, at: At<'_>) -> Line {
        Line {
            line_type: self
                .word(at, "line_type", false, LineType::from_word, LineType::ALL.iter().map(|t| t.word()))
                .unwrap_or(LineType::Sale),
            description: self.required_text(at, "description", 1000),
            item_id: self.text(at, "item_id"),
            gtin: self.gtin(at),
            quantity: self.decimal(at, "quantity", true).unwrap_or_default(),
            unit: self.text(at, "unit_of_measure_code"),
            unit_price: self.money(at, "regular_sales_unit_price", Sign::Positive),
            amount: self.required_money(at, "extended_amount", Sign::Positive),
            price_modifiers: self.list(at, "price_modifiers", |r, at| r.modifier(at, true)),
            modifiers: self.list(at, "modifiers", |r, at| r.modifier(at, false)),
            taxes: self.list(at, "taxes", Self::tax),
            note: self.text(at, "note"),
            deposit: self.bool(at, "deposit"),
            age_restricted: at.map.get("age_restricted").and_then(Value::as_i64),
            gift: self.bool(at, "gift"),
        }
    }

    fn modifier(&mut self, at: At<'_>, price: bool) -> Modifier {
        Modifier {
            method: self.text(at, "method_code"),
            description: if price { self.text(at, "description") } else { self.required_text(at, "description", 1000) },
            amount: if price { Some(self.required_money(at, "amount", Sign::Either)) } else { self.money(at, "amount", Sign::Either) },
        }
    }

    fn tax(&mut self, at: At<'_>) -> Tax {
        const TYPES: &[&str] = &["Sales", "VAT", "GST", "PST", "HST", "Excise", "UseTax"];
        Tax {
            tax_type: self
                .word(at, "tax_type", true, |w| TYPES.iter().find(|t| **t == w).copied(), TYPES.iter().copied())
                .unwrap_or_default()
                .to_owned(),
            percent: self.decimal(at, "percent", false),
            taxable: self.money(at, "taxable_amount", Sign::Positive),
            amount: self.required_money(at, "amount", Sign::Positive),
        }
    }

    fn charge(&mut self, at: At<'_>) -> Charge {
        Charge { description: self.required_text(at, "description", 1000), amount: self.required_money(at, "amount", Sign::Positive) }
    }

    fn tender(&mut self, at: At<'_>) -> Tender {
        Tender {
            tender_type: self.required_text(at, "tender_type", 100),
            amount: self.required_money(at, "amount", Sign::Positive),
            amount_tendered: self.money(at, "amount_tendered", Sign::Positive),
            change: self.money(at, "change", Sign::Positive),
            tip: self.money(at, "tip_amount", Sign::Positive),
            balance: self.money(at, "balance_amount", Sign::Positive),
            card: self.object(at, "card", Self::card),
        }
    }

    fn card(&mut self, at: At<'_>) -> Card {
        let last4 = self.text(at, "last4");
        if !last4.is_empty() && (last4.len() != 4 || !last4.bytes().all(|b| b.is_ascii_digit())) {
            // The value is not repeated: it may be a card number.
            self.faults.push(Fault::new(format!("{}/last4", at.pointer), "last4", "`last4` must be exactly four digits"));
        }
        const EMV: &[&str] = &[
            "application_id",
            "application_name",
            "verification",
            "tvr",
            "tsi",
            "cryptogram",
            "cryptogram_type",
            "account_type",
            "terminal_id",
            "entry",
        ];
        let emv = self.object(at, "emv", |r, at| {
            EMV.iter().map(|name| ((*name).to_owned(), r.text(at, name))).filter(|(_, v)| !v.is_empty()).collect::<Vec<_>>()
        });
        Card {
            brand: self.text(at, "brand"),
            last4,
            auth_code: self.text(at, "auth_code"),
            entry: self.text(at, "entry"),
            emv: emv.unwrap_or_default(),
        }
    }

    fn totals(&mut self, at: At<'_>) -> Totals {
        let Some(Value::Object(map)) = at.map.get("totals") else {
            self.missing_or_type(at, "totals", "an object with `grand_amount`");
            return Totals::default();
        };
        let at = At { map, pointer: "/totals" };
        Totals {
            gross: self.money(at, "gross_amount", Sign::Positive),
            discount: self.money(at, "discount_amount", Sign::Positive),
            net: self.money(at, "net_amount", Sign::Positive),
            tax: self.money(at, "tax_amount", Sign::Positive),
            tip: self.money(at, "tip_amount", Sign::Positive),
            service: self.money(at, "service_amount", Sign::Positive),
            rounding: self.money(at, "rounding_amount", Sign::Either),
            grand: self.required_money(at, "grand_amount", Sign::Either),
        }
    }

    fn customer(&mut self, at: At<'_>) -> Customer {
        self.object(at, "customer", |r, at| Customer {
            id: r.text(at, "id"),
            name: r.text(at, "name"),
            email: r.text(at, "email"),
            phone: r.text(at, "phone"),
            language: r.text(at, "language"),
            preferred_channel: r.word(at, "preferred_channel", false, Choice::from_word, Choice::WORDS.iter().copied()),
            marketing_consent: r.optional_bool(at, "marketing_consent"),
        })
        .unwrap_or_default()
    }

    fn loyalty(&mut self, at: At<'_>) -> Loyalty {
        let mut points = |whole: &str, exact: &str| {
            let name = if at.map.contains_key(exact) { exact } else { whole };
            match at.map.get(name) {
                Some(Value::Number(n)) if n.is_i64() => n.to_string(),
                Some(Value::String(s)) if is_decimal(s) => s.clone(),
                None => String::new(),
                Some(other) => {
                    let fault =
                        Fault::new(format!("{}/{name}", at.pointer), "points", format!("`{name}` must be whole points or decimal text"));
                    self.faults.push(fault.given(other));
                    String::new()
                }
            }
        };
        let (earned, balance) = (points("points_awarded", "earned"), points("points_balance", "balance"));
        Loyalty {
            program: self.text(at, "program"),
            id_masked: self.text(at, "id_masked"),
            earned,
            balance,
            tier: self.text(at, "tier"),
            next_reward: self.text(at, "next_reward"),
            text: self.text(at, "text"),
        }
    }

    fn related(&mut self, at: At<'_>) -> Related {
        Related { transaction_id: self.text(at, "transaction_id"), receipt_number: self.text(at, "receipt_number") }
    }

    fn fiscal(&mut self, at: At<'_>) -> Fiscal {
        let plain = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
        let fields = match at.map.get("fields") {
            Some(Value::Object(fields)) => fields.iter().map(|(k, v)| (k.clone(), plain(v))).collect(),
            _ => Vec::new(),
        };
        Fiscal { scheme: self.required_text(at, "scheme", 100), qr: self.text(at, "qr"), lines: self.texts(at, "lines"), fields }
    }

    /// Net is the sum of the lines, grand is net and what comes on top. Only for sums that are there.
    fn sums(&mut self, sale: &Sale) {
        let lines = sale.lines.iter().fold(0i64, |sum, line| match line.line_type {
            LineType::Sale => sum.saturating_add(line.amount),
            LineType::Return => sum.saturating_sub(line.amount),
            LineType::Void => sum,
        });
        let totals = &sale.totals;
        // An exchange that pays money back may write its net without a sign, as amounts have none.
        let net = match totals.net {
            Some(net) if net == lines || (net == -lines && sale.transaction_type == TransactionType::Exchange) => lines,
            Some(net) => {
                let say = format!("the lines add up to {}, `net_amount` says {}", sale.money(lines).decimal(), sale.money(net).decimal());
                self.faults.push(
                    Fault::new("/totals/net_amount", "sum_mismatch", say)
                        .given(sale.money(net).decimal())
                        .allowed(sale.money(lines).decimal()),
                );
                net
            }
            None => lines,
        };
        let sum = |amounts: &mut dyn Iterator<Item = i64>| amounts.fold(0i64, i64::saturating_add);
        let tax = totals.tax.unwrap_or_else(|| sum(&mut sale.taxes.iter().map(|t| t.amount)));
        let tip = totals.tip.unwrap_or_else(|| sum(&mut sale.tenders.iter().filter_map(|t| t.tip)));
        let service = totals.service.unwrap_or_else(|| sum(&mut sale.service_charges.iter().map(|c| c.amount)));
        let on_top = if sale.tax_included { 0 } else { tax };
        let grand = [on_top, service, tip, totals.rounding.unwrap_or(0)].iter().fold(net, |a, b| a.saturating_add(*b));
        if grand != totals.grand {
            let (is, should) = (sale.money(totals.grand).decimal(), sale.money(grand).decimal());
            let say = format!("net, tax, service, tip and rounding add up to {should}, `grand_amount` says {is}");
            self.faults.push(Fault::new("/totals/grand_amount", "sum_mismatch", say).given(is).allowed(should));
        }
        if totals.grand < 0 && sale.transaction_type != TransactionType::Exchange {
            self.faults.push(Fault::new("/totals/grand_amount", "negative", "only an exchange may pay money back in `grand_amount`"));
        }
    }

    // ---- members by type ----

    fn missing_or_type(&mut self, at: At<'_>, name: &str, wanted: &str) {
        let pointer = format!("{}/{name}", at.pointer);
        self.faults.push(match at.map.get(name) {
            None => Fault::new(pointer, "missing", format!("`{name}` is missing")).allowed(wanted),
            Some(other) => Fault::new(pointer, "type", format!("`{name}` must be {wanted}")).given(other),
        });
    }

    fn required_text(&mut self, at: At<'_>, name: &str, max: usize) -> String {
        match at.map.get(name) {
            Some(Value::String(s)) if !s.trim().is_empty() && s.chars().count() <= max => s.clone(),
            Some(Value::String(s)) => {
                let fault = Fault::new(format!("{}/{name}", at.pointer), "length", format!("`{name}` must have 1 to {max} characters"));
                self.faults.push(fault.given(s));
                String::new()
            }
            _ => {
                self.missing_or_type(at, name, "text");
                String::new()
            }
        }
    }

    fn text(&mut self, at: At<'_>, name: &str) -> String {
        match at.map.get(name) {
            Some(Value::String(s)) => s.clone(),
            None | Some(Value::Null) => String::new(),
            Some(_) => {
                self.missing_or_type(at, name, "text");
                String::new()
            }
        }
    }

    fn texts(&mut self, at: At<'_>, name: &str) -> Vec<String> {
        match at.map.get(name) {
            None => Vec::new(),
            Some(Value::Array(all)) if all.iter().all(Value::is_string) => {
                all.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect()
            }
            Some(_) => {
                self.missing_or_type(at, name, "a list of texts");
                Vec::new()
            }
        }
    }

    fn gtin(&mut self, at: At<'_>) -> String {
        let gtin = self.text(at, "gtin");
        let good = (8..=14).contains(&gtin.len()) && gtin.bytes().all(|b| b.is_ascii_digit());
        if !gtin.is_empty() && !good {
            self.faults.push(Fault::new(format!("{}/gtin", at.pointer), "gtin", "`gtin` must be 8 to 14 digits").given(&gtin));
        }
        gtin
    }

    fn date(&mut self, at: At<'_>, name: &str) -> Option<String> {
        let text = Some(self.text(at, name)).filter(|t| !t.is_empty())?;
        if text.parse::<jiff::civil::Date>().is_err() || text.len() != 10 {
            self.faults.push(Fault::new(format!("{}/{name}", at.pointer), "date", format!("`{name}` must be YYYY-MM-DD")).given(&text));
        }
        Some(text)
    }

    fn word<T>(
        &mut self,
        at: At<'_>,
        name: &str,
        required: bool,
        read: impl Fn(&str) -> Option<T>,
        words: impl Iterator<Item = &'static str>,
    ) -> Option<T> {
        let given = match at.map.get(name) {
            Some(Value::String(s)) => s,
            None if !required => return None,
            _ => {
                self.missing_or_type(at, name, &words.collect::<Vec<_>>().join(", "));
                return None;
            }
        };
        let word = read(given);
        if word.is_none() {
            let fault = Fault::new(format!("{}/{name}", at.pointer), "unknown_word", format!("`{name}` is none of the known words"));
            self.faults.push(fault.given(given).allowed(words.collect::<Vec<_>>().join(", ")));
        }
        word
    }

    fn optional_bool(&mut self, at: At<'_>, name: &str) -> Option<bool> {
        match at.map.get(name) {
            Some(Value::Bool(b)) => Some(*b),
            None => None,
            Some(_) => {
                self.missing_or_type(at, name, "true or false");
                None
            }
        }
    }

    fn bool(&mut self, at: At<'_>, name: &str) -> bool {
        self.optional_bool(at, name).unwrap_or(false)
    }

    fn required_bool(&mut self, at: At<'_>, name: &str) -> bool {
        if !at.map.contains_key(name) {
            self.missing_or_type(at, name, "true or false");
        }
        self.bool(at, name)
    }

    fn decimal(&mut self, at: At<'_>, name: &str, required: bool) -> Option<String> {
        match at.map.get(name) {
            Some(Value::String(s)) if is_decimal(s) => Some(s.clone()),
            None if !required => None,
            Some(given) => {
                let fault = Fault::new(format!("{}/{name}", at.pointer), "decimal", format!("`{name}` must be a decimal in quotes"));
                self.faults.push(fault.given(given).allowed("\"1.412\""));
                None
            }
            None => {
                self.missing_or_type(at, name, "a decimal in quotes, such as \"1\"");
                None
            }
        }
    }

    fn required_money(&mut self, at: At<'_>, name: &str, sign: Sign) -> i64 {
        if !at.map.contains_key(name) {
            self.missing_or_type(at, name, "an amount: 1299 or \"12.99\"");
        }
        self.money(at, name, sign).unwrap_or(0)
    }

    /// An integer is minor units, text is decimal major units; a JSON fraction or exponent is refused.
    fn money(&mut self, at: At<'_>, name: &str, sign: Sign) -> Option<i64> {
        let given = at.map.get(name)?;
        let currency = self.currency.unwrap_or(Currency::FOUR_DIGITS);
        let (code, say) = match given {
            Value::Number(n) => match n.as_i64() {
                Some(minor) if minor.unsigned_abs() > 9_999_999_999_999_999 => ("money", "is too large"),
                Some(minor) if minor < 0 && sign == Sign::Positive => ("negative", "must not be negative"),
                Some(minor) => return Some(minor),
                None if n.is_f64() => ("money_fraction", "must be whole minor units, or decimal text in quotes"),
                None => ("money", "is too large"),
            },
            Value::String(text) => match money::parse_decimal(text, currency) {
                Ok(minor) if minor < 0 && sign == Sign::Positive => ("negative", "must not be negative"),
                Ok(minor) => return Some(minor),
                Err(NotMoney::Form) => ("money", "must be an amount: 1299 or \"12.99\""),
                Err(NotMoney::TooManyDigits) => ("money_digits", "has more digits than its currency"),
                Err(NotMoney::TooLarge) => ("money", "is too large"),
            },
            _ => ("type", "must be an amount: 1299 or \"12.99\""),
        };
        self.faults.push(Fault::new(format!("{}/{name}", at.pointer), code, format!("`{name}` {say}")).given(given));
        None
    }

    fn object<T>(&mut self, at: At<'_>, name: &str, read: impl FnOnce(&mut Self, At<'_>) -> T) -> Option<T> {
        match at.map.get(name) {
            None => None,
            Some(Value::Object(map)) => {
                let pointer = format!("{}/{name}", at.pointer);
                Some(read(self, At { map, pointer: &pointer }))
            }
            Some(_) => {
                self.missing_or_type(at, name, "an object");
                None
            }
        }
    }

    fn list<T>(&mut self, at: At<'_>, name: &str, read: impl Fn(&mut Self, At<'_>) -> T) -> Vec<T> {
        let items = match at.map.get(name) {
            None => return Vec::new(),
            Some(Value::Array(items)) => items,
            Some(_) => {
                self.missing_or_type(at, name, "a list");
                return Vec::new();
            }
        };
        let mut out = Vec::with_capacity(items.len());
        for (i, item) in items.iter().enumerate() {
            let pointer = format!("{}/{name}/{i}", at.pointer);
            match item {
                Value::Object(map) => out.push(read(self, At { map, pointer: &pointer })),
                other => self.faults.push(Fault::new(pointer, "type", "must be an object").given(other)),
            }
        }
        out
    }

    fn required_array<T>(&mut self, at: At<'_>, name: &str, read: impl Fn(&mut Self, At<'_>) -> T) -> Vec<T> {
        if !at.map.contains_key(name) {
            self.missing_or_type(at, name, "a list");
        }
        self.list(at, name, read)
    }

    fn required_list<T>(&mut self, at: At<'_>, name: &str, max: usize, read: impl Fn(&mut Self, At<'_>) -> T) -> Vec<T> {
        let count = at.map.get(name).and_then(Value::as_array).map(Vec::len);
        if count.is_some_and(|n| n == 0 || n > max) {
            self.faults.push(Fault::new(format!("{}/{name}", at.pointer), "length", format!("`{name}` must have 1 to {max} entries")));
            return Vec::new();
        }
        self.required_array(at, name, read)
    }
}

/// Whether an amount may be below zero.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    Positive,
    Either,
}

/// `^[0-9]{1,9}(\.[0-9]{1,6})?$`
fn is_decimal(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |s: &str, max: usize| (1..=max).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_digit());
    digits(whole, 9) && digits(fraction, 6)
}

/// The vendor's ids, as a source of ours sets them. Whatever else stands there is nobody's fault.
fn native_ids(sale: &serde_json::Map<String, Value>) -> Vec<String> {
    let source = sale.get("source");
    let order = source.and_then(|s| s.get("order_id"));
    let payments = source.and_then(|s| s.get("payment_ids")).and_then(Value::as_array).into_iter().flatten();
    let mut ids: Vec<String> = order.into_iter().chain(payments).filter_map(Value::as_str).map(str::to_owned).collect();
    ids.retain(|id| !id.is_empty() && id.len() <= 200);
    ids.truncate(20);
    ids
}
