//! What templates see: one sale as ready texts, with amounts also as whole minor units.
//!
//! Pure. Text from outside is made harmless here; nothing is invented, and of a gift no price leaves
//! this file. Templates only arrange.

use crate::compose::i18n::Speaker;
use crate::compose::locale::{self, Locale};
use crate::compose::{Document, colour, facts};
use crate::domain::money::Money;
use crate::domain::sale::{Line, LineType, Sale, TransactionType};
use crate::domain::shop::Brand;
use crate::domain::text::{many_lines, one_line};
use crate::domain::time::{UnixMs, for_people};
use jiff::civil;
use minijinja::value::{Enumerator, Object, Value};
use std::sync::Arc;

/// A view that templates read by field; an unknown field is undefined, which they may not print.
macro_rules! view {
    ($(#[$doc:meta])* $name:ident { $($field:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        #[allow(missing_docs)] // the names are those that templates use
        pub struct $name { $(pub $field: Value),+ }

        impl Default for $name {
            fn default() -> Self {
                $name { $($field: Value::from("")),+ }
            }
        }

        impl Object for $name {
            fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
                self.get_value_by_str(key.as_str()?)
            }
            fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
                // A word that Rust keeps for itself.
                let key = if key == "type" { "kind" } else { key };
                match key { $(stringify!($field) => Some(self.$field.clone()),)+ _ => None }
            }
            fn enumerate(self: &Arc<Self>) -> Enumerator {
                Enumerator::Str(&[$(stringify!($field)),+])
            }
        }

        impl From<$name> for Value {
            fn from(view: $name) -> Value {
                Value::from_object(view)
            }
        }
    };
}

pub(in crate::compose) use view;

view! {
    /// The whole of what a receipt template sees.
    View {
        lang, dir, t, _format, store, receipt, lines, shown, more, items_label, items_count, subtotal, subtotal_minor, sums, services,
        deposits, deposits_minor, taxes, tax_included, total, total_minor, total_label, savings, savings_minor, savings_label, tip, rounding,
        tenders, paid_with, paid_label, change, change_minor, loyalty, promo, promotions, returns, fiscal, links, customer, brand,
        header_text, trailer_text, notices, facts, gift, subject, preview,
    }
}
view! {
    /// What a subject is made of.
    SubjectView { t, kind, number, store, total, is_copy, is_test }
}
view! {
    /// What a text message is made of.
    SmsView { t, kind, number, store, total, date, address, items, link, shortest, is_copy, is_test }
}
view! {
    /// Who sells.
    Store { name, legal_name, address, phone, email, vat_id, tax_id, register_id, hours }
}
view! {
    /// The document itself.
    Receipt { number, kind, title, issued_at, date, time, date_short, iso, printed_at, till, cashier, is_copy, is_test, late_by, late_at, related }
}
view! {
    /// One line of the sale.
    Row {
        text, qty, unit, unit_price, unit_price_minor, gross, gross_minor, amount, amount_minor, discounts, options, tax_code, sku, gtin,
        deposit, age_check, note, gift, voided, returned, details,
    }
}
view! {
    /// A label and an amount.
    Sum { label, amount, amount_minor }
}
view! {
    /// Tax of one rate.
    TaxRow { code, name, rate, net, net_minor, tax, tax_minor, gross, gross_minor, label }
}
view! {
    /// One payment.
    TenderRow { kind, label, amount, amount_minor, brand, last4, entry, emv, balance, given, change, tip }
}
view! {
    /// Points.
    LoyaltyView { program, id_masked, earned, balance, tier, next, text, lines }
}
view! {
    /// Evidence of a fiscal device.
    FiscalView { scheme, lines, qr, fields }
}
view! {
    /// A name and a value.
    Pair { name, value }
}
view! {
    /// Lines that were left out.
    More { count, amount, text }
}
view! {
    /// How to bring something back.
    Returns { policy, until, code }
}
view! {
    /// Where a customer can go from here.
    Links { view, not_mine, list }
}
view! {
    /// Who bought.
    CustomerView { name, language }
}
view! {
    /// The shop's look, with its colour made legible in light and dark.
    BrandView { color, color_dark, legal, statement_name }
}

impl BrandView {
    /// Of a shop's look.
    pub fn of(brand: &Brand) -> BrandView {
        let (light, dark) = colour::brand(&brand.color);
        BrandView {
            color: Value::from(light.hex()),
            color_dark: Value::from(dark.hex()),
            legal: Value::from(lines_of(&brand.legal)),
            statement_name: line_of(&brand.statement_name),
        }
    }
}

/// Names and values for a template.
pub fn pairs(all: Vec<(String, String)>) -> Value {
    let pair = |(name, value): (String, String)| -> Value { Pair { name: Value::from(name), value: Value::from(value) }.into() };
    Value::from(all.into_iter().map(pair).collect::<Vec<_>>())
}

/// How the locale is handed to the filters.
#[derive(Debug)]
pub struct Format {
    /// The place's way of writing.
    pub locale: &'static Locale,
    /// Currency of the sale.
    pub money: Money,
    /// The shop's zone.
    pub timezone: String,
}

impl Object for Format {}

/// Nothing, where a template asks `if x`.
pub fn none() -> Value {
    Value::from(())
}

fn line_of(text: &str) -> Value {
    Value::from(one_line(text, 300))
}

/// Lines of text from outside, as they are: blanks inside them stay.
fn lines_of<'a>(texts: impl IntoIterator<Item = &'a String>) -> Vec<String> {
    let all = texts.into_iter().flat_map(|t| many_lines(t).lines().map(|l| l.trim_end().to_owned()).collect::<Vec<_>>());
    all.take(200).collect()
}

/// Builds views of one document.
pub struct Builder<'a> {
    /// What is to be shown.
    pub doc: &'a Document<'a>,
    /// In these words.
    pub speaker: &'a Speaker,
    /// Written in this way.
    pub locale: &'static Locale,
    /// When it was sold, by the till's clock.
    pub sold: civil::DateTime,
}

impl<'a> Builder<'a> {
    /// For a document whose language was chosen.
    pub fn new(doc: &'a Document<'a>, speaker: &'a Speaker) -> Self {
        let locale = locale::of(doc.language, speaker.tag(), doc.shop);
        let sold = locale::local(doc.sale.at, &doc.sale.at_text, &doc.shop.timezone);
        Builder { doc, speaker, locale, sold }
    }

    fn sale(&self) -> &'a Sale {
        self.doc.sale
    }

    /// No price may be shown.
    pub fn gift(&self) -> bool {
        self.sale().gift
    }

    /// An amount as people read it; nothing on a gift.
    pub fn money(&self, minor: i64) -> String {
        if self.gift() { String::new() } else { self.locale.money(self.sale().money(minor)) }
    }

    fn amount(&self, minor: i64) -> (Value, Value) {
        if self.gift() { (Value::from(""), none()) } else { (Value::from(self.money(minor)), Value::from(minor)) }
    }

    fn say(&self, key: &str, fill: &[(&str, &str)]) -> String {
        self.speaker.say(key, fill)
    }

    /// The part of a key that tells what kind of document this is.
    pub fn kind(&self) -> &'static str {
        if self.gift() { "gift" } else { self.sale().transaction_type.word() }
    }

    /// The shop's name as customers know it.
    pub fn store_name(&self) -> String {
        let (shop, unit) = (&self.doc.shop.name, &self.sale().unit);
        let name = [shop, &unit.name, &unit.unit_id].into_iter().find(|n| !n.trim().is_empty());
        one_line(name.map_or("", String::as_str), 100)
    }

    /// What was paid, or paid back: always without a sign.
    pub fn total(&self) -> String {
        self.money(self.sale().totals.grand.saturating_abs())
    }

    /// The day and time, said in the language.
    fn moment(&self, at: civil::DateTime) -> String {
        self.say("datetime", &[("date", &self.locale.date(at.date())), ("time", &self.locale.time(at.time()))])
    }

    fn in_shop(&self, at: UnixMs) -> civil::DateTime {
        locale::in_zone(at, &self.doc.shop.timezone)
    }

    /// What the template of the subject sees.
    pub fn subject_view(&self) -> SubjectView {
        SubjectView {
            t: Value::from_object(self.speaker.clone()),
            kind: Value::from(self.kind()),
            number: Value::from(one_line(&self.sale().receipt_number, 60)),
            store: Value::from(self.store_name()),
            total: Value::from(self.total()),
            is_copy: Value::from(self.doc.copy.is_some()),
            is_test: Value::from(self.doc.test),
        }
    }

    /// What the template of a text message sees, shortened by `step`: 1 without the address, 2 with the
    /// shop's name cut to 20 characters, 3 without items, 4 without number and date.
    pub fn sms_view(&self, step: u8) -> SmsView {
        let address = if self.doc.shop.address.trim().is_empty() { &self.sale().unit.address } else { &self.doc.shop.address };
        let name = self.store_name();
        let cut: String = name.chars().take(20).collect();
        SmsView {
            t: Value::from_object(self.speaker.clone()),
            kind: Value::from(self.kind()),
            number: Value::from(one_line(&self.sale().receipt_number, 60)),
            store: Value::from(if step >= 2 { cut.trim_end() } else { &name }),
            total: Value::from(self.total()),
            date: Value::from(self.locale.short_date(self.sold.date())),
            address: Value::from(if step >= 1 { String::new() } else { one_line(&address.replace('\n', ", "), 120) }),
            items: Value::from(if step >= 3 { String::new() } else { facts::items_in_short(self) }),
            link: Value::from(facts::link(self)),
            shortest: Value::from(step >= 4),
            is_copy: Value::from(self.doc.copy.is_some()),
            is_test: Value::from(self.doc.test),
        }
    }

    /// Everything that a template sees, with at most `cap` lines in `shown`.
    pub fn view(&self, cap: usize, subject: &str) -> View {
        let sale = self.sale();
        let gift = self.gift();
        let taxes = if gift { Vec::new() } else { facts::taxes(self) };
        let rows: Vec<Value> = sale.lines.iter().map(|line| self.row(line)).collect();
        let (shown, more) = self.shown(&rows, cap);
        let (total, total_minor) = self.amount(sale.totals.grand.saturating_abs());
        let (subtotal, subtotal_minor) = self.amount(facts::net(sale));
        let (savings, savings_minor) = self.amount(sale.totals.discount.unwrap_or(0));
        let bought = matches!(sale.transaction_type, TransactionType::Sale | TransactionType::Exchange);
        let saved = !gift && bought && sale.totals.discount.is_some_and(|d| d > 0);
        let (change, change_minor) = self.amount(sale.tenders.iter().filter_map(|t| t.change).fold(0, i64::saturating_add));
        let (deposits, deposits_minor) = self.amount(facts::deposits(sale));
        let paid_with = if gift { String::new() } else { facts::paid_with(self) };
        let paid_label = if paid_with.is_empty() { String::new() } else { self.paid_label(&paid_with) };
        let date = self.moment(self.sold);
        let preview: Vec<&str> = [total.as_str().unwrap_or(""), &date, &paid_label].into_iter().filter(|s| !s.is_empty()).collect();
        let preview = preview.join(" · ");
        View {
            lang: Value::from(self.speaker.tag()),
            dir: Value::from(locale::direction(self.speaker.tag())),
            t: Value::from_object(self.speaker.clone()),
            _format: Value::from_object(Format { locale: self.locale, money: sale.money(0), timezone: self.doc.shop.timezone.clone() }),
            store: self.store().into(),
            receipt: self.receipt(&date).into(),
            items_count: Value::from(rows.len()),
            items_label: Value::from(facts::counted(self.speaker, "items", rows.len())),
            lines: Value::from(rows),
            shown,
            more,
            subtotal,
            subtotal_minor,
            sums: Value::from(if gift { Vec::new() } else { facts::sums(self, &taxes) }),
            services: Value::from(if gift { Vec::new() } else { facts::services(self) }),
            deposits,
            deposits_minor,
            taxes: Value::from(taxes.into_iter().map(Value::from).collect::<Vec<_>>()),
            tax_included: Value::from(sale.tax_included),
            total_label: Value::from(self.total_label()),
            total,
            total_minor,
            savings_label: Value::from(if saved {
                self.say("savings", &[("amount", savings.as_str().unwrap_or(""))])
            } else {
                String::new()
            }),
            savings,
            savings_minor,
            tip: Value::from(facts::optional(self, sale.totals.tip)),
            rounding: Value::from(facts::optional(self, sale.totals.rounding)),
            tenders: Value::from(if gift { Vec::new() } else { facts::tenders(self) }),
            preview: Value::from(preview),
            paid_label: Value::from(paid_label),
            paid_with: Value::from(paid_with),
            change,
            change_minor,
            loyalty: if gift { none() } else { facts::loyalty(self) },
            promo: Value::from(self.doc.shows_promo()),
            promotions: Value::from(self.promotions()),
            returns: Returns {
                policy: Value::from(if bought { many_lines(&self.doc.brand.return_policy) } else { String::new() }),
                ..Returns::default()
            }
            .into(),
            fiscal: if gift { none() } else { self.fiscal() },
            links: facts::links(self).into(),
            customer: self.customer().into(),
            brand: BrandView::of(self.doc.brand).into(),
            header_text: Value::from(self.free_text(&sale.header_text)),
            trailer_text: Value::from(self.free_text(&sale.trailer_text)),
            notices: Value::from(self.notices()),
            facts: Value::from(self.facts()),
            gift: Value::from(gift),
            subject: Value::from(subject),
        }
    }

    /// Free lines of the till; on a gift none that has something like a price in it.
    fn free_text(&self, texts: &[String]) -> Vec<String> {
        let lines = lines_of(texts);
        if self.gift() { lines.into_iter().filter(|l| !facts::like_a_price(l)).collect() } else { lines }
    }

    fn shown(&self, rows: &[Value], cap: usize) -> (Value, Value) {
        if rows.len() <= cap {
            return (Value::from(rows.to_vec()), none());
        }
        let left = self.sale().lines.get(cap..).unwrap_or_default();
        let (amount, _) = self.amount(left.iter().map(|l| facts::signed(self.sale(), l)).fold(0, i64::saturating_add));
        let text = facts::counted(self.speaker, "and_more", left.len());
        let more = More { count: Value::from(left.len()), amount, text: Value::from(text) };
        (Value::from(rows.get(..cap).unwrap_or_default().to_vec()), more.into())
    }

    /// A few short offers: less than a third of what is read.
    fn promotions(&self) -> Vec<String> {
        let some = if self.doc.shows_promo() { self.doc.brand.promotions.as_slice() } else { &[] };
        some.iter().map(|text| one_line(text, 200)).filter(|text| !text.is_empty()).take(3).collect()
    }

    fn total_label(&self) -> String {
        let back = self.sale().transaction_type == TransactionType::Exchange && self.sale().totals.grand < 0;
        let kind = if back && !self.gift() { "exchange_back" } else { self.kind() };
        self.say(&format!("hero.{kind}"), &[])
    }

    fn paid_label(&self, tender: &str) -> String {
        let back = self.sale().totals.grand < 0;
        let kind = if back { "return" } else { self.sale().transaction_type.word() };
        self.say(&format!("paid.{kind}"), &[("tender", tender)])
    }

    fn store(&self) -> Store {
        let (shop, unit) = (self.doc.shop, &self.sale().unit);
        let address = if shop.address.trim().is_empty() { &unit.address } else { &shop.address };
        let name = self.store_name();
        let legal = one_line(&shop.legal_name, 200);
        let either = |a: &str, b: &str| line_of(if a.trim().is_empty() { b } else { a });
        Store {
            legal_name: Value::from(if legal == name { String::new() } else { legal }),
            name: Value::from(name),
            address: Value::from(lines_of([address]).into_iter().filter(|l| !l.is_empty()).collect::<Vec<_>>()),
            phone: either(&shop.phone, &unit.phone),
            email: line_of(&shop.email),
            vat_id: line_of(&unit.vat_registration_number),
            tax_id: line_of(if unit.vat_registration_number.trim() == shop.tax_id.trim() { "" } else { &shop.tax_id }),
            register_id: line_of(&self.sale().workstation_id),
            hours: line_of(&shop.opening_hours),
        }
    }

    fn receipt(&self, issued_at: &str) -> Receipt {
        let (sale, doc) = (self.sale(), self.doc);
        Receipt {
            number: line_of(&sale.receipt_number),
            kind: Value::from(sale.transaction_type.word()),
            title: Value::from(self.say(&format!("title.{}", self.kind()), &[])),
            issued_at: Value::from(issued_at),
            date: Value::from(self.locale.date(self.sold.date())),
            time: Value::from(self.locale.time(self.sold.time())),
            date_short: Value::from(self.locale.short_date(self.sold.date())),
            iso: line_of(&sale.at_text),
            printed_at: Value::from(doc.copy.map_or_else(String::new, |at| self.moment(self.in_shop(at)))),
            till: line_of(&sale.workstation_id),
            cashier: line_of(&sale.operator_id),
            is_copy: Value::from(doc.copy.is_some()),
            is_test: Value::from(doc.test),
            late_by: Value::from(doc.late.map_or_else(String::new, |at| for_people(at.since(sale.at)))),
            late_at: Value::from(doc.late.map_or_else(String::new, |at| self.moment(self.in_shop(at)))),
            related: line_of(sale.related.as_ref().map_or("", |r| r.receipt_number.as_str())),
        }
    }

    /// What has to be said before anything else: pairs of a kind and a sentence.
    fn notices(&self) -> Vec<Value> {
        let (sale, doc) = (self.sale(), self.doc);
        let mut all = Vec::new();
        let mut add = |kind: &str, text: String| all.push(Pair { name: Value::from(kind), value: Value::from(text) }.into());
        if doc.test {
            add("test", self.say("notice.test", &[]));
        }
        if let Some(at) = doc.copy {
            let (at, of) = (self.moment(self.in_shop(at)), self.moment(self.sold));
            add("copy", self.say("notice.copy_made", &[("at", &at), ("of", &of)]));
        }
        if sale.transaction_type == TransactionType::Void {
            add("void", self.say("notice.void", &[]));
        }
        if let Some(related) = &sale.related
            && !related.receipt_number.trim().is_empty()
        {
            let number = one_line(&related.receipt_number, 60);
            add("related", self.say(&format!("notice.related_{}", sale.transaction_type.word()), &[("number", &number)]));
        }
        if let Some(number) = doc.corrects {
            add("related", self.say("notice.corrects", &[("number", &one_line(number, 60))]));
        }
        if self.gift() {
            add("gift", self.say("notice.gift", &[]));
        }
        if let Some(at) = doc.late {
            let at = self.in_shop(at);
            let same_day = at.date() == self.sold.date();
            let text = if same_day {
                self.say("notice.late", &[("time", &self.locale.time(at.time()))])
            } else {
                self.say("notice.late_day", &[("at", &self.moment(at))])
            };
            add("late", text);
        }
        all
    }

    fn facts(&self) -> Vec<Value> {
        let sale = self.sale();
        let customer = self.customer_name();
        let all = [
            ("fact.number", sale.receipt_number.as_str()),
            ("fact.till", &sale.workstation_id),
            ("fact.cashier", &sale.operator_id),
            ("fact.customer", customer),
        ];
        let given = all.into_iter().filter(|(_, value)| !value.trim().is_empty());
        given.map(|(key, value)| Pair { name: Value::from(self.say(key, &[])), value: line_of(value) }.into()).collect()
    }

    /// Not on a gift, and never where a benefit account paid.
    fn customer_name(&self) -> &'a str {
        if self.gift() || self.sale().is_benefit() { "" } else { &self.sale().customer.name }
    }

    fn customer(&self) -> CustomerView {
        CustomerView { name: line_of(self.customer_name()), language: Value::from(self.speaker.tag()) }
    }

    fn fiscal(&self) -> Value {
        let Some(fiscal) = &self.sale().fiscal else {
            return none();
        };
        let fields = fiscal.fields.iter().map(|(name, value)| Pair { name: line_of(name), value: Value::from(many_lines(value)) }.into());
        FiscalView {
            scheme: line_of(&fiscal.scheme),
            lines: Value::from(lines_of(&fiscal.lines)),
            qr: Value::from(many_lines(&fiscal.qr)),
            fields: Value::from(fields.collect::<Vec<Value>>()),
        }
        .into()
    }

    fn row(&self, line: &Line) -> Value {
        let signed = facts::signed(self.sale(), line);
        let voided = line.line_type == LineType::Void;
        let (amount, amount_minor) = if voided { (Value::from(""), none()) } else { self.amount(signed) };
        let gross_minor = line.price_modifiers.iter().filter_map(|m| m.amount).fold(line.amount, i64::saturating_sub);
        let (gross, gross_minor) = self.amount(gross_minor);
        let (unit_price, unit_price_minor) = line.unit_price.map_or((Value::from(""), none()), |p| self.amount(p));
        let discounts = facts::discounts(self, line);
        let options = facts::options(self, line);
        let unit = facts::unit(&line.unit);
        let note = if self.gift() && facts::like_a_price(&line.note) { "" } else { line.note.as_str() };
        Row {
            details: Value::from(facts::details(self, line, unit_price.as_str().unwrap_or(""), note, &discounts, &options)),
            text: line_of(&line.description),
            qty: Value::from(self.locale.quantity(&line.quantity)),
            unit: Value::from(unit),
            unit_price,
            unit_price_minor,
            gross,
            gross_minor,
            amount,
            amount_minor,
            discounts: Value::from(discounts.into_iter().map(Value::from).collect::<Vec<_>>()),
            options: Value::from(options.into_iter().map(Value::from).collect::<Vec<_>>()),
            tax_code: Value::from(if self.gift() { "" } else { facts::tax_code(self.sale(), line) }),
            sku: line_of(&line.item_id),
            gtin: line_of(&line.gtin),
            deposit: Value::from(line.deposit),
            age_check: line.age_restricted.map_or_else(none, Value::from),
            note: line_of(note),
            gift: Value::from(line.gift),
            voided: Value::from(voided),
            returned: Value::from(line.line_type == LineType::Return),
        }
        .into()
    }
}
