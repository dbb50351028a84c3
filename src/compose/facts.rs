//! The parts of a view that need more than a copy: discounts, taxes, tenders, sums, links.
//!
//! Pure. Never shows a digit of a benefit account, and of a card only its last four.

use crate::compose::i18n::Speaker;
use crate::compose::view::{Builder, Links, LoyaltyView, Pair, Sum, TaxRow, TenderRow, none};
use crate::domain::sale::{Card, Line, LineType, Modifier, Sale, Tax, Tender, TransactionType};
use crate::domain::shop::Brand;
use crate::domain::text::{many_lines, one_line};
use minijinja::value::Value;

/// A text with a plural form, filled with `n`.
pub fn counted(speaker: &Speaker, key: &str, n: usize) -> String {
    speaker.say_counted(key, i64::try_from(n).unwrap_or(i64::MAX), &[])
}

/// The amount of a line as it counts in the sums.
pub fn signed(sale: &Sale, line: &Line) -> i64 {
    match line.line_type {
        LineType::Sale => line.amount,
        // A return of goods counts against the others; alone in a refund it is what is paid back.
        LineType::Return
            if sale.transaction_type == TransactionType::Return && sale.lines.iter().all(|l| l.line_type != LineType::Sale) =>
        {
            line.amount
        }
        LineType::Return => line.amount.saturating_neg(),
        LineType::Void => 0,
    }
}

/// Sum of the lines, as the till says it or as it is.
pub fn net(sale: &Sale) -> i64 {
    let lines = sale.lines.iter().map(|l| signed(sale, l)).fold(0, i64::saturating_add);
    match sale.totals.net {
        // An exchange that pays back may write its net without a sign.
        Some(net) if sale.transaction_type == TransactionType::Exchange && net == lines.saturating_neg() => lines,
        Some(net) => net,
        None => lines,
    }
}

/// Sum of the deposit lines.
pub fn deposits(sale: &Sale) -> i64 {
    sale.lines.iter().filter(|l| l.deposit).map(|l| signed(sale, l)).fold(0, i64::saturating_add)
}

/// An amount that may be missing; nothing where it is zero.
pub fn optional(b: &Builder<'_>, minor: Option<i64>) -> String {
    minor.filter(|m| *m != 0).map_or_else(String::new, |m| b.money(m))
}

/// Something in it looks like a price: a digit, a mark, two digits; or a currency sign beside a digit.
pub fn like_a_price(text: &str) -> bool {
    let signs = text.contains(['$', '€', '£', '¥', '₹']) && text.contains(|c: char| c.is_ascii_digit());
    let chars: Vec<char> = text.chars().collect();
    let marked = chars.windows(4).any(|w| match w {
        [a, mark, b, c] => a.is_ascii_digit() && matches!(mark, '.' | ',') && b.is_ascii_digit() && c.is_ascii_digit(),
        _ => false,
    });
    signs || marked
}

/// How people write a unit of measure; nothing for pieces.
pub fn unit(code: &str) -> String {
    let known = match code {
        "" | "EA" | "C62" | "PCE" | "H87" => "",
        "KGM" => "kg",
        "GRM" => "g",
        "LBR" => "lb",
        "ONZ" => "oz",
        "LTR" => "l",
        "MLT" => "ml",
        "GLL" => "gal",
        "MTR" => "m",
        "CMT" => "cm",
        "FOT" => "ft",
        "MTK" => "m²",
        "HUR" => "h",
        other => return one_line(other, 12),
    };
    known.to_owned()
}

/// What a price modifier is called, and what it takes off.
pub fn discounts(b: &Builder<'_>, line: &Line) -> Vec<Sum> {
    if b.gift() {
        return Vec::new();
    }
    let name = |m: &Modifier| {
        let described = one_line(&m.description, 120);
        if !described.is_empty() {
            return described;
        }
        let key = format!("modifier.{}", m.method);
        match (b.speaker.has(&key), m.amount.unwrap_or(0) > 0) {
            (true, _) => b.speaker.say(&key, &[]),
            (false, true) => b.speaker.say("modifier.surcharge", &[]),
            (false, false) => b.speaker.say("modifier.other", &[]),
        }
    };
    line.price_modifiers.iter().map(|m| sum(b, name(m), m.amount.unwrap_or(0))).collect()
}

/// What was chosen with an article; its price is in the line already.
pub fn options(b: &Builder<'_>, line: &Line) -> Vec<Sum> {
    let one = |m: &Modifier| {
        let label = one_line(&m.description, 120);
        match m.amount.filter(|a| *a != 0 && !b.gift()) {
            Some(amount) => sum(b, label, amount),
            None => Sum { label: Value::from(label), ..Sum::default() },
        }
    };
    line.modifiers.iter().map(one).collect()
}

fn sum(b: &Builder<'_>, label: String, minor: i64) -> Sum {
    Sum { label: Value::from(label), amount: Value::from(b.money(minor)), amount_minor: Value::from(minor) }
}

/// The small print under a line, one entry each.
pub fn details(b: &Builder<'_>, line: &Line, price: &str, note: &str, discounts: &[Sum], options: &[Sum]) -> Vec<String> {
    let mut all = Vec::new();
    let unit = unit(&line.unit);
    let qty = b.locale.quantity(&line.quantity);
    let many = if unit.is_empty() { qty.clone() } else { format!("{qty}\u{a0}{unit}") };
    if qty != "1" || !unit.is_empty() {
        let per = if unit.is_empty() { String::new() } else { format!("/{unit}") };
        all.push(if !price.is_empty() {
            format!("{many} × {price}{per}")
        } else if unit.is_empty() {
            format!("{many} ×")
        } else {
            many
        });
    }
    let texts = options.iter().chain(discounts).map(|o| match o.amount.as_str() {
        Some(amount) if !amount.is_empty() => format!("{}: {amount}", o.label),
        _ => o.label.to_string(),
    });
    all.extend(texts);
    let words = [
        (line.line_type == LineType::Void, "voided"),
        (line.line_type == LineType::Return && !line.deposit && b.doc.sale.transaction_type != TransactionType::Return, "returned"),
        (line.gift && !b.gift(), "gift_line"),
    ];
    all.extend(words.iter().filter(|(is, _)| *is).map(|(_, key)| b.speaker.say(key, &[])));
    if let Some(age) = line.age_restricted {
        all.push(b.speaker.say("age", &[("age", &age.to_string())]));
    }
    if !note.trim().is_empty() {
        all.push(one_line(note, 300));
    }
    all
}

const CODES: [&str; 8] = ["A", "B", "C", "D", "E", "F", "G", "H"];

/// The letter that leads from a line to its rate; nothing where there is but one rate.
pub fn tax_code(sale: &Sale, line: &Line) -> &'static str {
    if sale.taxes.len() < 2 {
        return "";
    }
    let same = |a: &Tax, b: &Tax| a.tax_type == b.tax_type && a.percent == b.percent;
    let place = line.taxes.first().and_then(|of| sale.taxes.iter().position(|t| same(t, of)));
    place.and_then(|i| CODES.get(i)).copied().unwrap_or("")
}

/// One row for each rate.
pub fn taxes(b: &Builder<'_>) -> Vec<TaxRow> {
    let sale = b.doc.sale;
    let letter = |i: usize| if sale.taxes.len() < 2 { "" } else { CODES.get(i).copied().unwrap_or("") };
    sale.taxes.iter().enumerate().map(|(i, tax)| tax_row(b, tax, letter(i))).collect()
}

/// Name with rate, net, tax and gross of one rate.
pub type TaxTexts = (String, String, String, String);

/// The same as texts.
pub fn tax_texts(b: &Builder<'_>) -> Vec<TaxTexts> {
    let text = |t: TaxRow| (one_line(&format!("{} {}", t.name, t.rate), 60), t.net.to_string(), t.tax.to_string(), t.gross.to_string());
    taxes(b).into_iter().map(text).collect()
}

fn tax_row(b: &Builder<'_>, tax: &Tax, code: &str) -> TaxRow {
    let key = format!("tax.{}", tax.tax_type);
    let name = if b.speaker.has(&key) { b.speaker.say(&key, &[]) } else { one_line(&tax.tax_type, 40) };
    let rate = tax.percent.as_deref().map_or_else(String::new, |p| b.locale.percent(p));
    let net = tax.taxable.map_or_else(String::new, |t| b.money(t));
    let gross = tax.taxable.map(|t| t.saturating_add(tax.amount));
    let fill = [("type", name.as_str()), ("rate", rate.as_str()), ("net", net.as_str())];
    let label = b.speaker.say(if net.is_empty() { "tax.line_rate" } else { "tax.line" }, &fill);
    TaxRow {
        code: Value::from(code),
        net_minor: tax.taxable.map_or_else(none, Value::from),
        tax: Value::from(b.money(tax.amount)),
        tax_minor: Value::from(tax.amount),
        gross: Value::from(gross.map_or_else(String::new, |g| b.money(g))),
        gross_minor: gross.map_or_else(none, Value::from),
        name: Value::from(name),
        rate: Value::from(rate),
        net: Value::from(net),
        label: Value::from(one_line(&label, 100)),
    }
}

/// Charges for service and the like.
pub fn services(b: &Builder<'_>) -> Vec<Value> {
    b.doc.sale.service_charges.iter().map(|c| sum(b, one_line(&c.description, 120), c.amount).into()).collect()
}

/// What leads from the lines to the total, in order; empty where the lines are the total.
pub fn sums(b: &Builder<'_>, taxes: &[TaxRow]) -> Vec<Value> {
    let (sale, mut all) = (b.doc.sale, Vec::new());
    let totals = &sale.totals;
    all.extend(services(b));
    if all.is_empty()
        && let Some(service) = totals.service.filter(|s| *s != 0)
    {
        all.push(sum(b, b.speaker.say("service", &[]), service).into());
    }
    if !sale.tax_included {
        let rows = taxes.iter().map(|t| Sum { label: t.label.clone(), amount: t.tax.clone(), amount_minor: t.tax_minor.clone() }.into());
        all.extend(rows);
        if taxes.is_empty()
            && let Some(tax) = totals.tax.filter(|t| *t != 0)
        {
            all.push(sum(b, b.speaker.say("tax.none", &[]), tax).into());
        }
    }
    let tips = sale.tenders.iter().filter_map(|t| t.tip).fold(0, i64::saturating_add);
    for (key, amount) in [("tip", totals.tip.unwrap_or(tips)), ("rounding", totals.rounding.unwrap_or(0))] {
        if amount != 0 {
            all.push(sum(b, b.speaker.say(key, &[]), amount).into());
        }
    }
    if !all.is_empty() {
        all.insert(0, sum(b, b.speaker.say("subtotal", &[]), net(sale)).into());
    }
    all
}

fn is_benefit(tender: &Tender) -> bool {
    matches!(tender.tender_type.as_str(), "SNAP" | "EBTCash" | "WIC")
}

/// `Visa •••• 4242`, `Cash`; of a benefit account its name alone.
fn tender_label(b: &Builder<'_>, tender: &Tender) -> String {
    let key = format!("tender.{}", tender.tender_type);
    let name = if b.speaker.has(&key) { b.speaker.say(&key, &[]) } else { one_line(&tender.tender_type, 60) };
    let Some(card) = tender.card.as_ref().filter(|_| !is_benefit(tender)) else {
        return name;
    };
    let brand = brand_name(&card.brand);
    let said = if brand.is_empty() { name } else { brand };
    if card.last4.is_empty() { said } else { format!("{said} •••• {}", card.last4) }
}

fn brand_name(given: &str) -> String {
    match given.trim().to_ascii_uppercase().as_str() {
        "VISA" => "Visa".to_owned(),
        "MASTERCARD" | "MC" => "Mastercard".to_owned(),
        "MAESTRO" => "Maestro".to_owned(),
        "DISCOVER" => "Discover".to_owned(),
        "AMERICAN_EXPRESS" | "AMEX" => "American Express".to_owned(),
        "GIROCARD" => "girocard".to_owned(),
        _ => one_line(given, 40),
    }
}

/// How it was paid, in a few words.
pub fn paid_with(b: &Builder<'_>) -> String {
    let mut labels: Vec<String> = Vec::new();
    for label in b.doc.sale.tenders.iter().map(|t| tender_label(b, t)) {
        if !labels.contains(&label) && labels.len() < 6 {
            labels.push(label);
        }
    }
    labels.join(", ")
}

/// One row for each payment.
pub fn tenders(b: &Builder<'_>) -> Vec<Value> {
    let row = |tender: &Tender| {
        let amount = b.money(tender.amount);
        let card = tender.card.as_ref().filter(|_| !is_benefit(tender));
        TenderRow {
            kind: Value::from(one_line(&tender.tender_type, 60)),
            label: Value::from(tender_label(b, tender)),
            amount: Value::from(amount),
            amount_minor: Value::from(tender.amount),
            brand: Value::from(card.map_or_else(String::new, |c| brand_name(&c.brand))),
            last4: Value::from(card.map_or("", |c| c.last4.as_str())),
            entry: Value::from(card.map_or_else(String::new, |c| one_line(&c.entry, 40))),
            emv: Value::from(card.map_or_else(Vec::new, |c| emv(b, c))),
            balance: Value::from(tender.balance.map_or_else(String::new, |m| b.money(m))),
            given: Value::from(tender.amount_tendered.filter(|g| *g != tender.amount).map_or_else(String::new, |m| b.money(m))),
            change: Value::from(optional(b, tender.change)),
            tip: Value::from(optional(b, tender.tip)),
        }
        .into()
    };
    b.doc.sale.tenders.iter().map(row).collect()
}

/// The lines of a card-present receipt, as given.
fn emv(b: &Builder<'_>, card: &Card) -> Vec<Value> {
    let entry_is_in = card.emv.iter().any(|(name, _)| name == "entry");
    let first = [("auth_code", card.auth_code.as_str()), ("entry", if entry_is_in { "" } else { &card.entry })];
    let all = first.into_iter().chain(card.emv.iter().map(|(n, v)| (n.as_str(), v.as_str()))).filter(|(_, v)| !v.trim().is_empty());
    let pair = |(name, value): (&str, &str)| {
        let key = format!("emv.{name}");
        Pair { name: Value::from(b.speaker.say(&key, &[])), value: Value::from(one_line(value, 100)) }.into()
    };
    all.map(pair).collect()
}

/// Points, as the till tells them.
pub fn loyalty(b: &Builder<'_>) -> Value {
    let Some(l) = &b.doc.sale.loyalty else {
        return none();
    };
    let clean = |text: &str| one_line(text, 200);
    let (earned, balance) = (b.locale.quantity(&l.earned), b.locale.quantity(&l.balance));
    let mut lines = Vec::new();
    if !earned.is_empty() {
        // A fraction takes the form of many.
        lines.push(b.speaker.say_counted("loyalty.earned", l.earned.parse().unwrap_or(5), &[("points", &earned)]));
    }
    let filled = [
        ("loyalty.balance", "points", balance.clone()),
        ("loyalty.level", "tier", clean(&l.tier)),
        ("loyalty.member", "id", clean(&l.id_masked)),
    ];
    lines.extend(filled.iter().filter(|(_, _, v)| !v.is_empty()).map(|(key, name, value)| b.speaker.say(key, &[(name, value)])));
    let (next, text) = (clean(&l.next_reward), many_lines(&l.text));
    if lines.is_empty() && next.is_empty() && text.is_empty() {
        return none();
    }
    LoyaltyView {
        program: Value::from(clean(&l.program)),
        id_masked: Value::from(clean(&l.id_masked)),
        earned: Value::from(earned),
        balance: Value::from(balance),
        tier: Value::from(clean(&l.tier)),
        next: Value::from(next),
        text: Value::from(text),
        lines: Value::from(lines),
    }
    .into()
}

/// Only links that open a page or write a mail.
pub fn safe(url: &str) -> Option<String> {
    let url = one_line(url, 2000);
    let good = ["https://", "http://", "mailto:"].iter().any(|scheme| url.starts_with(scheme));
    (good && !url.contains([' ', '"', '<', '>', '\\'])).then_some(url)
}

/// Where the receipt can be seen; empty where nowhere.
pub fn link(b: &Builder<'_>) -> String {
    b.doc.link.and_then(safe).unwrap_or_default()
}

/// The first articles, for a text message.
pub fn items_in_short(b: &Builder<'_>) -> String {
    let counted = b.doc.sale.lines.iter().filter(|l| l.line_type == LineType::Sale && !l.deposit);
    let one = |line: &Line| {
        let (qty, unit, text) = (b.locale.quantity(&line.quantity), unit(&line.unit), one_line(&line.description, 30));
        match (qty.as_str(), unit.as_str()) {
            ("1", "") => text,
            (_, "") => format!("{qty}x {text}"),
            _ => format!("{qty} {unit} {text}"),
        }
    };
    in_short(b.speaker, counted.map(one))
}

/// The first of a list in at most 90 characters, and how many more there are.
pub fn in_short(speaker: &Speaker, items: impl Iterator<Item = String>) -> String {
    let (mut out, mut shown, mut left) = (String::new(), 0, 0);
    for item in items.filter(|item| !item.is_empty()) {
        if left > 0 || shown == 6 || (shown > 0 && out.chars().count() + item.chars().count() > 88) {
            left += 1;
            continue;
        }
        if shown > 0 {
            out.push_str(", ");
        }
        out.push_str(&item);
        shown += 1;
    }
    if left > 0 { format!("{out} {}", counted(speaker, "and_more", left)) } else { out }
}

/// Where a customer can go from here.
pub fn links(b: &Builder<'_>) -> Links {
    let doc = b.doc;
    let view = link(b);
    let number = one_line(&doc.sale.receipt_number, 60);
    let email = one_line(&doc.shop.email, 254);
    let subject = format!("{} {number}", b.speaker.say("footer.not_mine_link", &[]));
    let not_mine = if email.contains('@') {
        safe(&format!("mailto:{email}?subject={}", percent(&subject))).unwrap_or_default()
    } else {
        String::new()
    };
    Links { view: Value::from(view), not_mine: Value::from(not_mine), list: brand_links(doc.brand) }
}

/// The shop's own links.
pub fn brand_links(brand: &Brand) -> Value {
    let list = brand.links.iter().filter_map(|(label, url)| {
        let url = safe(url)?;
        Some(Pair { name: Value::from(one_line(label, 60)), value: Value::from(url) }.into())
    });
    Value::from(list.collect::<Vec<Value>>())
}

pub fn percent(text: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_price() {
        for yes in ["3 for $3", "only 2.99", "12,50", "€5"] {
            assert!(like_a_price(yes), "{yes}");
        }
        for no in ["Wool hat, M", "Exchanged: wrong size", "0.5 l", "size 42"] {
            assert!(!like_a_price(no), "{no}");
        }
    }

    #[test]
    fn only_links_that_are_safe() {
        assert_eq!(safe("https://x.example/a?b=c"), Some("https://x.example/a?b=c".to_owned()));
        for bad in ["javascript:alert(1)", "data:text/html,x", "https://x.example/\" onclick=x", "ftp://x"] {
            assert_eq!(safe(bad), None, "{bad}");
        }
    }
}
