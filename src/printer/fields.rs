//! What a print says: its kind and its fields, by a profile's rules.
//!
//! A value is never corrected. Where sums do not add up, the check says so and the values count for less.

use super::job::Job;
use super::kind::{self, Kind};
use super::page::{Item, Span};
use super::profile::{Field, Items, Look, Pick, Profile, Type, choose};
use super::values::{self, Locale, TIMES};
use crate::domain::address::{EmailAddress, PhoneNumber};
use crate::domain::money::{self, Currency, Money};
use regex_lite::Captures;
use serde_json::{Map, Value};

/// Entries of one list.
const LIST_MAX: usize = 2_000;
/// Lines that are looked at, and bytes of one.
const LINES_MAX: usize = 4_000;
const LINE_MAX: usize = 1_000;
/// What a value of a store's own profile, and of a guess, is worth.
const SURE: f64 = 0.95;
const GUESS: f64 = 0.6;

/// What the shop knows and a profile may not say.
#[derive(Clone, Debug, Default)]
pub struct Shop {
    /// Two letters.
    pub country: String,
    /// Three letters.
    pub currency: String,
    /// IANA name.
    pub timezone: String,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// The profile.
    pub rule: String,
    /// Line of the text form, from 1; 0 = from no line.
    pub line: usize,
    /// From 0 to 1.
    pub confidence: f64,
}

/// A sum that could be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// `items`, `subtotal`, `payment`.
    pub name: &'static str,
    /// It comes out.
    pub ok: bool,
}

/// What was read.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The kind of print.
    pub kind: Kind,
    /// The profile that fitted.
    pub profile: Option<String>,
    /// Name and value: money and numbers as decimal text, times as ISO without zone.
    pub fields: Map<String, Value>,
    /// Where each comes from.
    pub origins: Vec<(String, Origin)>,
    /// The sums that could be made.
    pub checks: Vec<Check>,
    /// Required fields that are not there.
    pub missing: Vec<String>,
    /// Prices contain the tax, where the profile says.
    pub tax_included: Option<bool>,
    /// Language and country of the print.
    pub locale: Option<Locale>,
    /// The zone of its times.
    pub timezone: Option<String>,
}

/// A line as the rules see it.
struct Row<'a> {
    /// In the text form, from 1.
    number: usize,
    text: String,
    spans: &'a [Span],
}

/// A hit: the line's number and the value.
type Hit = (usize, Value);

/// Reads a print by the first of the store's own profiles that fits, else by a built-in one.
pub fn read(job: &Job, own: &[Profile], built_in: &[Profile], shop: &Shop) -> Reading {
    let rows = rows(job);
    let lines: Vec<String> = rows.iter().map(|row| row.text.clone()).collect();
    let profile = choose(own, built_in, &lines);
    let mut reading = Reading {
        kind: Kind::Unknown,
        profile: profile.map(|p| p.name.clone()),
        fields: Map::new(),
        origins: Vec::new(),
        checks: Vec::new(),
        missing: Vec::new(),
        tax_included: profile.and_then(|p| p.tax_included),
        locale: profile.map(|p| p.locale.clone()),
        timezone: profile.and_then(|p| p.timezone.clone()).or_else(|| Some(shop.timezone.clone()).filter(|z| !z.is_empty())),
    };
    if let Some(profile) = profile {
        // A guess knows the language; how a day is written there, the shop's country says.
        let locale = match profile.guess && !shop.country.is_empty() {
            true => Locale::new(&format!("{}-{}", profile.locale.language(), shop.country)),
            false => profile.locale.clone(),
        };
        let mut reader = Reader { profile, locale: &locale, shop, job, rows: &rows, reading: &mut reading };
        reader.fields();
        reader.items();
        reader.missing();
    }
    check(&mut reading, profile.is_some_and(|p| p.guess));
    reading.kind = kind_of(job, profile, &lines, &reading);
    reading
}

fn rows(job: &Job) -> Vec<Row<'_>> {
    let mut number = 0;
    let mut rows = Vec::new();
    for item in &job.page.items {
        number += usize::from(!matches!(item, Item::Feed(_)));
        if let (Item::Line(line), true) = (item, rows.len() < LINES_MAX) {
            let text: String = line.text().chars().take(LINE_MAX).collect();
            if !text.trim().is_empty() {
                rows.push(Row { number, text, spans: &line.spans });
            }
        }
    }
    rows
}

fn kind_of(job: &Job, profile: Option<&Profile>, lines: &[String], reading: &Reading) -> Kind {
    let told = profile.into_iter().flat_map(|p| &p.kinds).find(|(_, re)| lines.iter().any(|line| re.is_match(line)));
    if let Some((kind, _)) = told {
        return *kind;
    }
    if let Some(kind) = kind::by_look(job) {
        return kind;
    }
    let has = |name: &str| reading.fields.contains_key(name);
    match reading.fields.get("total").and_then(Value::as_str) {
        Some(total) if total.starts_with('-') => Kind::Refund,
        Some(_) if has("receipt_no") || has("datetime") || has("date") => Kind::Sale,
        _ => Kind::Unknown,
    }
}

struct Reader<'a> {
    profile: &'a Profile,
    locale: &'a Locale,
    shop: &'a Shop,
    job: &'a Job,
    rows: &'a [Row<'a>],
    reading: &'a mut Reading,
}

impl Reader<'_> {
    fn fields(&mut self) {
        let mut lists: Vec<(String, Vec<Hit>)> = Vec::new();
        for field in self.profile.fields.iter().filter(|f| f.into.is_none()) {
            let mut hits = self.hits(field);
            if field.many {
                hits.truncate(LIST_MAX);
                match lists.iter_mut().find(|(name, _)| *name == field.name) {
                    Some((_, list)) => list.extend(hits),
                    None => lists.push((field.name.clone(), hits)),
                }
            } else if !self.reading.fields.contains_key(&field.name) {
                let hit = if field.pick == Pick::Last { hits.pop() } else { hits.into_iter().next() };
                if let Some((line, value)) = hit {
                    self.put(&field.name, line, value);
                }
            }
        }
        for (_, list) in &mut lists {
            list.sort_by_key(|(line, _)| *line);
        }
        for field in self.profile.fields.iter().filter(|f| f.into.is_some()) {
            let Some((_, list)) = lists.iter_mut().find(|(name, _)| Some(name) == field.into.as_ref()) else { continue };
            for (line, value) in self.hits(field) {
                let before = list.iter_mut().rev().find(|(at, _)| *at <= line);
                if let Some((_, Value::Object(entry))) = before {
                    entry.entry(field.name.clone()).or_insert(value);
                }
            }
        }
        for (name, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            let line = list.first().map_or(0, |(line, _)| *line);
            self.put(&name, line, list.into_iter().map(|(_, value)| value).collect());
        }
        if self.profile.guess {
            self.join_day_and_time();
        }
        let currency = self.profile.currency.clone().or_else(|| Some(self.shop.currency.clone()).filter(|c| !c.is_empty()));
        if let (Some(currency), false) = (currency, self.reading.fields.contains_key("currency")) {
            self.put("currency", 0, currency.into());
        }
        if let Some(currency) = self.reading.fields.get("currency").and_then(Value::as_str).and_then(iso_currency) {
            self.reading.fields.insert("currency".into(), currency.into());
        }
    }

    /// A guess looks for both together and for each alone: what came together is what counts.
    fn join_day_and_time(&mut self) {
        let fields = &mut self.reading.fields;
        let (day, time) = (fields.remove("date"), fields.remove("time"));
        let line = self.reading.origins.iter().find(|(name, _)| name == "date").map_or(0, |(_, origin)| origin.line);
        self.reading.origins.retain(|(name, _)| name != "date" && name != "time");
        if fields.contains_key("datetime") {
            return;
        }
        match (day.as_ref().and_then(Value::as_str), time.as_ref().and_then(Value::as_str)) {
            (Some(day), Some(time)) => self.put("datetime", line, format!("{day}T{time}").into()),
            (Some(day), None) => self.put("date", line, day.into()),
            _ => {}
        }
    }

    fn put(&mut self, name: &str, line: usize, value: Value) {
        let confidence = if self.profile.guess { GUESS } else { SURE };
        self.reading.fields.insert(name.to_owned(), value);
        self.reading.origins.push((name.to_owned(), Origin { rule: self.profile.name.clone(), line, confidence }));
    }

    /// Every value that a rule finds, in the order of the lines.
    fn hits(&self, field: &Field) -> Vec<Hit> {
        if let Some(value) = &field.constant {
            return vec![(0, value.as_str().into())];
        }
        if let Some(kind) = &field.from_symbol {
            let codes = self.job.page.symbols().filter(|s| s.kind.word() == kind);
            let values = codes.filter_map(|symbol| match &field.re {
                None => self.value(field, &symbol.data),
                Some(re) => self.captured(field, &re.captures(&symbol.data)?),
            });
            return values.map(|value| (0, value)).collect();
        }
        let Some(re) = &field.re else { return Vec::new() };
        let mut hits = Vec::new();
        for row in self.chosen(field) {
            let styled = field.style.as_ref().map(|look| looking(row.spans, look));
            let text = styled.as_deref().unwrap_or(&row.text);
            if let Some(value) = re.captures(text).and_then(|captures| self.captured(field, &captures)) {
                hits.push((row.number, value));
            }
        }
        hits
    }

    /// The lines that a rule may look at.
    fn chosen(&self, field: &Field) -> &[Row<'_>] {
        let count = self.rows.len();
        let place = |n: i64| if n < 0 { i64::try_from(count).unwrap_or(i64::MAX) + n } else { n - 1 };
        let mut from = 0usize;
        let mut to = count;
        if let Some(range) = &field.lines {
            from = usize::try_from(place(*range.start())).unwrap_or(0);
            to = usize::try_from(place(*range.end()) + 1).unwrap_or(0).min(count);
        }
        if let Some(after) = &field.after {
            let first = self.rows.iter().position(|row| after.is_match(&row.text));
            from = from.max(first.map_or(count, |i| i + 1));
        }
        if let Some(before) = &field.before {
            let first = self.rows.iter().position(|row| before.is_match(&row.text));
            to = to.min(first.unwrap_or(count));
        }
        self.rows.get(from..to).unwrap_or_default()
    }

    /// The group `v`, or day and time, or every other group as an object.
    fn captured(&self, field: &Field, captures: &Captures<'_>) -> Option<Value> {
        let group = |name: &str| captures.name(name).map(|m| m.as_str().trim());
        if let Some(value) = group("v") {
            return self.value(field, value);
        }
        let names = field.re.iter().flat_map(|re| re.capture_names().flatten());
        let named: Vec<(&str, &str)> = names.filter_map(|name| Some((name, group(name)?))).filter(|(_, text)| !text.is_empty()).collect();
        if field.kind == Type::Datetime || field.kind == Type::Date {
            let parts: Vec<&str> = ["d", "t"].into_iter().filter_map(group).collect();
            if !parts.is_empty() {
                return self.value(field, &parts.join(" "));
            }
        }
        if named.is_empty() && field.set.is_empty() {
            return self.value(field, captures.get(0)?.as_str());
        }
        let mut object: Map<String, Value> = field.set.iter().map(|(k, v)| (k.clone(), v.as_str().into())).collect();
        for (name, text) in named {
            object.insert(name.to_owned(), self.part(name, text, false)?.into());
        }
        Some(Value::Object(object))
    }

    /// A group of an object: amounts and rates are numbers.
    fn part(&self, name: &str, text: &str, item: bool) -> Option<String> {
        match name {
            "amount" | "base" | "unit" | "rate" | "tip" | "change" => self.locale.decimal(text),
            "scheme" => Some(text.to_lowercase()),
            "qty" if item => self.locale.decimal(text),
            _ => Some(text.to_owned()),
        }
    }

    fn value(&self, field: &Field, text: &str) -> Option<Value> {
        let locale = self.locale;
        let forms: Vec<&str> = field.format.iter().map(String::as_str).collect();
        let digits = || text.chars().filter(char::is_ascii_digit).collect::<String>();
        let value = match field.kind {
            Type::Text => text.trim().to_owned(),
            Type::Int | Type::Digits => Some(digits()).filter(|d| !d.is_empty())?,
            Type::Last4 => {
                let digits = digits();
                digits.get(digits.len().checked_sub(4)?..)?.to_owned()
            }
            Type::Money => locale.decimal(text)?,
            Type::Date if forms.is_empty() => values::date(text, locale.days())?.to_string(),
            Type::Date => values::date(text, &forms)?.to_string(),
            Type::Time => values::iso_time(values::time(text, if forms.is_empty() { TIMES } else { &forms })?),
            Type::Datetime if forms.is_empty() => guess_datetime(text, locale)?,
            Type::Datetime => values::iso(values::datetime(text, &forms)?),
            Type::Email => EmailAddress::parse(text)?.as_str().to_owned(),
            Type::Phone => {
                let country = Some(locale.country()).filter(|c| !c.is_empty()).unwrap_or(&self.shop.country);
                PhoneNumber::parse(text, country)?.as_str().to_owned()
            }
        };
        Some(value.into())
    }

    fn items(&mut self) {
        let Some(items) = &self.profile.items else { return };
        let (line, list) = self.item_list(items);
        if !list.is_empty() {
            self.put("items", line, Value::Array(list));
        }
    }

    fn item_list(&self, items: &Items) -> (usize, Vec<Value>) {
        let mut list: Vec<Value> = Vec::new();
        let mut first = 0;
        let mut inside = items.from.is_none();
        for row in self.rows {
            let text = &row.text;
            if !inside {
                inside = items.from.as_ref().is_some_and(|re| re.is_match(text));
                continue;
            }
            if items.to.as_ref().is_some_and(|re| re.is_match(text)) {
                break;
            }
            let extra = items.extra.as_ref().and_then(|re| Some((re, re.captures(text)?)));
            if let (Some((re, captures)), Some(Value::Object(item))) = (extra, list.last_mut()) {
                let mut more = Map::new();
                self.groups(re, &captures, &mut more);
                // Some tills print the count above its item: a guess must fit.
                if !self.profile.guess || fits(&more, item) {
                    item.extend(more);
                }
            } else if let Some(captures) = items.line.captures(text) {
                let mut item = Map::new();
                self.groups(&items.line, &captures, &mut item);
                if list.len() < LIST_MAX && item.contains_key("amount") {
                    first = if list.is_empty() { row.number } else { first };
                    list.push(Value::Object(item));
                }
            }
        }
        (first, list)
    }

    fn groups(&self, re: &regex_lite::Regex, captures: &Captures<'_>, into: &mut Map<String, Value>) {
        for name in re.capture_names().flatten() {
            let text = captures.name(name).map(|m| m.as_str().trim()).filter(|text| !text.is_empty());
            if let Some(value) = text.and_then(|text| self.part(name, text, true)) {
                into.insert(name.to_owned(), value.into());
            }
        }
    }

    fn missing(&mut self) {
        for field in self.profile.fields.iter().filter(|f| f.required) {
            if !self.reading.fields.contains_key(&field.name) && !self.reading.missing.contains(&field.name) {
                self.reading.missing.push(field.name.clone());
            }
        }
    }
}

/// Whether count and price make the item's amount, as far as cents go.
fn fits(more: &Map<String, Value>, item: &Map<String, Value>) -> bool {
    let four = |value: Option<&Value>| money::parse_decimal(value?.as_str()?, Currency::FOUR_DIGITS).ok();
    match (four(more.get("qty")), four(more.get("unit")), four(item.get("amount"))) {
        (Some(count), Some(price), Some(amount)) => {
            (i128::from(count) * i128::from(price) - i128::from(amount) * 10_000).unsigned_abs() <= 100 * 10_000
        }
        _ => true,
    }
}

/// The text of a line that looks so.
fn looking(spans: &[Span], look: &Look) -> String {
    let value = |span: &Span| match look.what.as_str() {
        "width" => span.style.width,
        "height" => span.style.height,
        "bold" => u8::from(span.style.bold),
        "underline" => span.style.underline,
        "invert" => u8::from(span.style.invert),
        _ => span.style.font,
    };
    let texts: Vec<&str> = spans.iter().filter(|span| look.range.contains(&value(span))).map(|span| span.text.as_str()).collect();
    texts.join(" ").trim_end().chars().take(LINE_MAX).collect()
}

/// A day and a time in one text, in the forms that are usual there.
fn guess_datetime(text: &str, locale: &Locale) -> Option<String> {
    let forms = locale.days().iter().flat_map(|day| TIMES.iter().map(move |time| format!("{day} {time}")));
    let forms: Vec<String> = forms.collect();
    let forms: Vec<&str> = forms.iter().map(String::as_str).collect();
    Some(values::iso(values::datetime(text, &forms)?))
}

/// A currency by its code or its sign.
fn iso_currency(text: &str) -> Option<String> {
    let code = match text.trim() {
        "€" => "EUR",
        "£" => "GBP",
        "$" | "US$" => "USD",
        "¥" => "JPY",
        "zł" => "PLN",
        code => code,
    };
    Currency::parse(&code.to_uppercase()).map(|c| c.code().to_owned())
}

// ---- checks ----

/// Amounts of a reading, in minor units of its currency.
pub(super) struct Sums<'a> {
    reading: &'a Reading,
    pub currency: Currency,
}

impl<'a> Sums<'a> {
    pub fn new(reading: &'a Reading) -> Sums<'a> {
        let code = reading.fields.get("currency").and_then(Value::as_str).and_then(Currency::parse);
        Sums { reading, currency: code.unwrap_or(Currency::FOUR_DIGITS) }
    }

    pub fn minor(&self, value: Option<&Value>) -> Option<i64> {
        money::parse_decimal(value?.as_str()?, self.currency).ok()
    }

    pub fn field(&self, name: &str) -> Option<i64> {
        self.minor(self.reading.fields.get(name))
    }

    pub fn list(&self, name: &str) -> &'a [Value] {
        self.reading.fields.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// The sum of a member over a list; `None` where the list is empty or one has no such amount.
    pub fn sum(&self, list: &str, member: &str) -> Option<i64> {
        let entries = self.list(list);
        let sum = entries.iter().map(|e| self.minor(e.get(member))).try_fold(0i64, |sum, minor| sum.checked_add(minor?));
        sum.filter(|_| !entries.is_empty())
    }

    pub fn tax(&self) -> i64 {
        self.field("tax_total").or_else(|| self.sum("tax", "amount")).unwrap_or(0)
    }

    pub fn near(&self, a: i64, b: i64) -> bool {
        // 0.02 of the currency, but of one without parts not even one.
        a.abs_diff(b) <= 2 * 10u64.pow(self.currency.digits()) / 100
    }
}

/// Makes the sums that can be made. Items that are only a guess are left out where they do not add up.
fn check(reading: &mut Reading, guess: bool) {
    let sums = Sums::new(reading);
    let mut checks = Vec::new();
    if let Some(total) = sums.field("total") {
        let (tax, tip) = (sums.tax(), sums.field("tip").unwrap_or(0));
        let made = |sum: i64| [0, tax, tip, tax.saturating_add(tip)].iter().any(|more| sums.near(sum.saturating_add(*more), total));
        if let Some(items) = sums.sum("items", "amount") {
            checks.push(Check { name: "items", ok: made(items) });
        }
        if let Some(subtotal) = sums.field("subtotal") {
            checks.push(Check { name: "subtotal", ok: made(subtotal) });
        }
        if let Some(paid) = sums.sum("payment", "amount") {
            let paid = paid.saturating_sub(sums.field("change").unwrap_or(0));
            let ok = sums.near(paid, total) || sums.near(paid, total.saturating_add(tip));
            checks.push(Check { name: "payment", ok });
        }
    }
    if guess && checks.iter().any(|check| check.name == "items" && !check.ok) {
        checks.retain(|check| check.name != "items");
        reading.fields.remove("items");
        reading.origins.retain(|(name, _)| name != "items");
    }
    for check in checks.iter().filter(|check| !check.ok) {
        for (name, origin) in &mut reading.origins {
            if *name == "total" || *name == check.name || (check.name == "payment" && name == "change") {
                origin.confidence /= 2.0;
            }
        }
    }
    reading.checks = checks;
}

/// An amount as decimal text.
pub(super) fn decimal(minor: i64, currency: Currency) -> String {
    Money { minor, currency }.decimal()
}
