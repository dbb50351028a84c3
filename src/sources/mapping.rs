//! Journals, forms and free JSON as canonical sales, by a mapping file of the shop.
//!
//! The file is TOML. Its expressions are minijinja over `row` (the row in hand), `first` (the first row of a
//! sale), `sum` (the row that closes it) and `rows`. What comes out empty is left out. Amounts are decimal
//! text with the journal's decimal sign. Expressions see nothing but the rows, and have fuel and caps.

use crate::domain::fault::Fault;
use crate::domain::money::Currency;
use crate::sources::canonical::prune;
use crate::sources::value::{decimal, decimal_major};
use crate::sources::{Setup, canonical, text, value};
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Rows of one file.
const ROWS: usize = 200_000;
/// Of one expression.
const FUEL: u64 = 20_000;
/// Bytes of what one expression gives.
const LONGEST: usize = 10_000;

/// A mapping file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// `csv`, `form` or `json`.
    pub format: String,
    /// Code page of what is not UTF-8.
    #[serde(default)]
    pub encoding: String,
    /// Between the columns of CSV.
    #[serde(default = "comma")]
    pub delimiter: String,
    /// The first row names the columns.
    #[serde(default = "yes")]
    pub header: bool,
    /// Names of the columns where no row does.
    #[serde(default)]
    pub columns: Vec<String>,
    /// The decimal sign: `.` or `,`. The other one parts thousands.
    #[serde(default = "point")]
    pub decimal: String,
    /// IANA zone of times without an offset; the shop's without it.
    #[serde(default)]
    pub timezone: String,
    /// Rows with the same value are one sale; without it each row is one.
    #[serde(default)]
    pub group: String,
    /// `true`: no receipt.
    #[serde(default)]
    pub skip: String,
    /// Which rows are what.
    #[serde(default)]
    pub rows: Rows,
    /// The members of the sale.
    pub sale: toml::Table,
    /// Those of each line.
    pub line_items: toml::Table,
    /// Those of the payment.
    #[serde(default)]
    pub tenders: toml::Table,
    /// Those of each tax, by the rows that give one.
    #[serde(default)]
    pub taxes: toml::Table,
}

/// `[rows]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rows {
    /// `true` for rows that are lines; without it all but the closing one.
    #[serde(default)]
    pub line: String,
    /// `true` for the row that closes the sale.
    #[serde(default)]
    pub sum: String,
    /// Name of the member of the row that lists the lines (JSON only), such as `items`.
    #[serde(default)]
    pub items: String,
}

fn comma() -> String {
    ",".to_owned()
}

fn point() -> String {
    ".".to_owned()
}

fn yes() -> bool {
    true
}

/// What a file came to.
#[derive(Debug, Default, PartialEq)]
pub struct Mapped {
    /// Canonical sales, not yet checked, each with the name of its group.
    pub sales: Vec<(String, Value)>,
    /// Groups that the file says are no receipts.
    pub skipped: Vec<String>,
    /// Groups that could not be mapped.
    pub faults: Vec<(String, Vec<Fault>)>,
}

/// Reads a mapping file. The error is a sentence for the config check.
pub fn parse(rules: &str) -> Result<Mapping, String> {
    let mapping: Mapping = toml::from_str(rules).map_err(|e| e.message().to_owned())?;
    if !matches!(mapping.format.as_str(), "csv" | "form" | "json") {
        return Err("format must be csv, form or json".to_owned());
    }
    if mapping.delimiter.len() != 1 || !matches!(mapping.decimal.as_str(), "." | ",") {
        return Err("delimiter must be one character, decimal a point or a comma".to_owned());
    }
    if !mapping.encoding.is_empty() && !text::is_known(&mapping.encoding) {
        return Err("encoding is no code page that is known".to_owned());
    }
    if !mapping.timezone.is_empty() && jiff::tz::TimeZone::get(&mapping.timezone).is_err() {
        return Err("timezone is no IANA zone".to_owned());
    }
    compiled(&mapping)?;
    Ok(mapping)
}

/// The environment with every expression of the file, each under its own text: read once, used for each row.
fn compiled(mapping: &Mapping) -> Result<Environment<'static>, String> {
    let mut env = environment();
    let mut all: Vec<&str> = vec![&mapping.group, &mapping.skip, &mapping.rows.line, &mapping.rows.sum];
    for table in [&mapping.sale, &mapping.line_items, &mapping.tenders, &mapping.taxes] {
        table.values().for_each(|value| texts(value, &mut all));
    }
    for expression in all {
        let added = env.add_template_owned(expression.to_owned(), expression.to_owned());
        added.map_err(|e| format!("the expression {expression} cannot be read: {e}"))?;
    }
    Ok(env)
}

fn texts<'t>(value: &'t toml::Value, all: &mut Vec<&'t str>) {
    match value {
        toml::Value::String(text) => all.push(text),
        toml::Value::Table(inner) => inner.values().for_each(|v| texts(v, all)),
        toml::Value::Array(inner) => inner.iter().for_each(|v| texts(v, all)),
        _ => {}
    }
}

fn environment() -> Environment<'static> {
    let mut env = Environment::new();
    // A column that a row does not have is empty.
    env.set_undefined_behavior(UndefinedBehavior::Chainable);
    env.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    env.set_fuel(Some(FUEL));
    env.set_recursion_limit(20);
    env
}

/// The rows of a body, each an object.
fn rows(mapping: &Mapping, body: &[u8]) -> Result<Vec<Value>, Vec<Fault>> {
    let fault = |say: &str| vec![Fault::new("", "not_mapped", say)];
    match mapping.format.as_str() {
        "json" => {
            let body = value::json(body)?;
            match body {
                Value::Array(rows) if rows.len() <= ROWS => Ok(rows),
                Value::Object(_) => Ok(vec![body]),
                _ => Err(fault("the body is neither an object nor a list of objects")),
            }
        }
        "form" => {
            let text = text::decode(body, &mapping.encoding);
            let fields = text.trim().split('&').take(10_000).filter(|f| !f.is_empty());
            let row: Map<String, Value> = fields
                .map(|f| f.split_once('=').unwrap_or((f, "")))
                .map(|(n, v)| (unescape(n, &mapping.encoding), unescape(v, &mapping.encoding).into()))
                .collect();
            Ok(vec![Value::Object(row)])
        }
        _ => {
            let text = text::decode(body, &mapping.encoding);
            let delimiter = mapping.delimiter.bytes().next().unwrap_or(b',');
            let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).has_headers(false).flexible(true).from_reader(text.as_bytes());
            let mut names = mapping.columns.clone();
            let mut out = Vec::new();
            for record in reader.records() {
                let record = record.map_err(|_| fault("the file is not CSV that can be read"))?;
                if mapping.header && names.is_empty() {
                    names = record.iter().map(|n| n.trim().to_owned()).collect();
                    continue;
                }
                if out.len() >= ROWS {
                    return Err(fault("the file has too many rows"));
                }
                out.push(names.iter().cloned().zip(record.iter().map(|v| Value::from(v.trim()))).collect());
            }
            Ok(out)
        }
    }
}

/// `%E4` and `+` of a form, in the form's own code page.
fn unescape(text: &str, encoding: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(b) = rest.next() {
        match b {
            b'+' => bytes.push(b' '),
            b'%' => {
                let mut ahead = rest.clone();
                let digits = (ahead.next(), ahead.next());
                let digit = |d: Option<u8>| d.and_then(|d| char::from(d).to_digit(16));
                match (digit(digits.0), digit(digits.1)) {
                    (Some(high), Some(low)) => {
                        bytes.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                        rest = ahead;
                    }
                    _ => bytes.push(b),
                }
            }
            other => bytes.push(other),
        }
    }
    crate::sources::text::decode(&bytes, encoding)
}

/// Maps a body. Faults of a group leave the others standing.
pub fn map(mapping: &Mapping, setup: &Setup<'_>, body: &[u8]) -> Result<Mapped, Vec<Fault>> {
    let env = compiled(mapping).map_err(|why| vec![Fault::new("", "not_mapped", why)])?;
    let mut groups: Vec<(String, Vec<Value>)> = Vec::new();
    let mut places: std::collections::BTreeMap<String, usize> = std::collections::BTreeMap::new();
    for (n, row) in rows(mapping, body)?.into_iter().enumerate() {
        let name = if mapping.group.is_empty() {
            (n + 1).to_string()
        } else {
            say(&env, &mapping.group, &json!({"row": row})).map_err(|why| vec![Fault::new(format!("/{n}"), "not_mapped", why)])?
        };
        match places.get(&name).and_then(|at| groups.get_mut(*at)) {
            Some((_, rows)) => rows.push(row),
            None => {
                places.insert(name.clone(), groups.len());
                groups.push((name, vec![row]));
            }
        }
    }
    let mut mapped = Mapped::default();
    for (name, rows) in groups {
        let writer = Writer { env: &env, mapping, setup };
        match writer.sale(&rows) {
            Ok(Some(sale)) => mapped.sales.push((name, sale)),
            Ok(None) => mapped.skipped.push(name),
            Err(why) => mapped.faults.push((name.clone(), vec![Fault::new("", "not_mapped", why)])),
        }
    }
    Ok(mapped)
}

/// An expression's text over a context. Errors name no value.
fn say(env: &Environment<'_>, expression: &str, context: &Value) -> Result<String, String> {
    if !expression.contains('{') {
        return Ok(expression.to_owned());
    }
    let mut said = Capped(Vec::new());
    let done = env.get_template(expression).and_then(|template| template.render_captured_to(Serde(context), &mut said).map(|_| ()));
    done.map_err(|e| format!("an expression has no value: {:?}", e.kind()))?;
    Ok(String::from_utf8_lossy(&said.0).trim().to_owned())
}

/// Fuel bounds the steps of an expression; this bounds what they write.
struct Capped(Vec<u8>);

impl std::io::Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len().saturating_add(bytes.len()) > LONGEST {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn is_true(text: &str) -> bool {
    matches!(text, "true" | "True" | "1")
}

struct Writer<'a> {
    env: &'a Environment<'a>,
    mapping: &'a Mapping,
    setup: &'a Setup<'a>,
}

impl Writer<'_> {
    fn picks(&self, expression: &str, row: &Value) -> Result<bool, String> {
        Ok(!expression.is_empty() && is_true(&say(self.env, expression, &json!({"row": row}))?))
    }

    /// The rows of one sale as a canonical sale; `None` where the file says that it is none.
    fn sale(&self, rows: &[Value]) -> Result<Option<Value>, String> {
        let of = &self.mapping.rows;
        let mut sum = Value::Null;
        let mut lines: Vec<&Value> = Vec::new();
        for row in rows {
            if self.picks(&of.sum, row)? {
                sum = row.clone();
            } else if of.line.is_empty() || self.picks(&of.line, row)? {
                lines.push(row);
            }
        }
        let first = rows.first().cloned().unwrap_or_default();
        // The rows themselves only where a sale is short enough to be looked at again for each line.
        let few = if rows.len() <= 100 { json!(rows) } else { Value::Null };
        let context = |row: &Value| json!({"row": row, "first": first, "sum": sum, "rows": few});
        if !self.mapping.skip.is_empty() && is_true(&say(self.env, &self.mapping.skip, &context(&first))?) {
            return Ok(None);
        }
        let code = self.mapping.sale.get("currency_code").and_then(toml::Value::as_str).unwrap_or_default();
        let currency = canonical::currency(&say(self.env, code, &context(&first))?, self.setup);
        let mut sale = self.table(&self.mapping.sale, &context(&first), currency)?;
        let nested: Vec<Value>;
        if !of.items.is_empty() {
            let pointer = format!("/{}", of.items.replace('.', "/"));
            nested = first.pointer(&pointer).and_then(Value::as_array).cloned().unwrap_or_default();
            lines = nested.iter().take(20_000).collect();
        }
        let mut items = Vec::new();
        let mut taxes = Vec::new();
        for row in lines {
            items.push(self.table(&self.mapping.line_items, &context(row), currency)?);
            let tax = prune(self.table(&self.mapping.taxes, &context(row), currency)?);
            if tax.as_object().is_some_and(|t| !t.is_empty()) {
                taxes.push(tax);
            }
        }
        let tender = prune(self.table(&self.mapping.tenders, &context(&first), currency)?);
        if let Some(map) = sale.as_object_mut() {
            map.insert("schema".into(), crate::domain::sale::SCHEMA.into());
            map.insert("line_items".into(), items.into());
            map.insert("taxes".into(), taxes.into());
            let paid = tender.as_object().is_some_and(|t| t.contains_key("amount"));
            map.insert("tenders".into(), if paid { json!([tender]) } else { json!([]) });
            map.entry("currency_code").or_insert_with(|| currency.code().into());
        }
        let mut sale = prune(sale);
        if let Some(map) = sale.as_object_mut() {
            map.entry("tenders").or_insert_with(|| json!([]));
        }
        Ok(Some(sale))
    }

    fn table(&self, table: &toml::Table, context: &Value, currency: Currency) -> Result<Value, String> {
        let mut out = Map::new();
        for (name, value) in table {
            out.insert(name.clone(), self.member(name, value, context, currency)?);
        }
        Ok(Value::Object(out))
    }

    fn member(&self, name: &str, value: &toml::Value, context: &Value, currency: Currency) -> Result<Value, String> {
        Ok(match value {
            toml::Value::String(expression) => self.typed(name, &say(self.env, expression, context)?, currency)?,
            toml::Value::Boolean(yes) => (*yes).into(),
            toml::Value::Integer(n) => (*n).into(),
            toml::Value::Table(inner) if inner.contains_key("value") && inner.contains_key("format") => {
                let text = |key: &str| inner.get(key).and_then(toml::Value::as_str).unwrap_or_default();
                self.time(&say(self.env, text("value"), context)?, text("format"))?.into()
            }
            toml::Value::Table(inner) => self.table(inner, context, currency)?,
            toml::Value::Array(all) => all.iter().map(|v| self.member(name, v, context, currency)).collect::<Result<Vec<_>, _>>()?.into(),
            _ => Value::Null,
        })
    }

    /// Text as what the member of the canonical sale is.
    fn typed(&self, name: &str, text: &str, currency: Currency) -> Result<Value, String> {
        let wrong = || format!("{name} is no number");
        if text.is_empty() {
            return Ok(Value::Null);
        }
        let number = || self.number(text);
        Ok(match name {
            "amount" | "amount_tendered" | "change" | "regular_sales_unit_price" | "taxable_amount" => {
                decimal_major(&number(), currency).ok_or_else(wrong)?.into()
            }
            _ if name.ends_with("_amount") => decimal_major(&number(), currency).ok_or_else(wrong)?.into(),
            "quantity" | "percent" => decimal(&number()).ok_or_else(wrong)?.into(),
            "sequence_number" | "age_restricted" | "points_awarded" | "points_balance" => text.parse::<i64>().map_err(|_| wrong())?.into(),
            "tax_included" | "gift" | "deposit" | "marketing_consent" | "taxable" => is_true(text).into(),
            _ => text.into(),
        })
    }

    /// `1.234,50 €` with a comma as decimal sign is `1234.50`.
    fn number(&self, text: &str) -> String {
        let sign = self.mapping.decimal.chars().next().unwrap_or('.');
        let kept = text.chars().filter(|c| c.is_ascii_digit() || *c == sign || *c == '-');
        kept.map(|c| if c == sign { '.' } else { c }).collect()
    }

    fn time(&self, text: &str, format: &str) -> Result<String, String> {
        let wrong = |_| "a time does not have the format that is named".to_owned();
        let zone = if self.mapping.timezone.is_empty() { &self.setup.shop.timezone } else { &self.mapping.timezone };
        let civil = jiff::civil::DateTime::strptime(format, text).map_err(wrong)?;
        let zoned = civil.in_tz(zone).map_err(wrong)?;
        Ok(zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::checked::{Settings, Source};
    use crate::domain::sale::Sale;
    use crate::domain::shop::Shop;

    const RULES: &str = include_str!("../../tests/fixtures/sources/csv/journal.mapping.toml");
    const JOURNAL: &[u8] = include_bytes!("../../tests/fixtures/sources/csv/journal.csv");

    fn run(rules: &str, body: &[u8]) -> Result<Mapped, Vec<Fault>> {
        let source = Source { kind: "lan".into(), sends_receipt_itself: false, strict: false, settings: Settings::default() };
        let shop = Shop { timezone: "UTC".into(), currency: "EUR".into(), ..Shop::default() };
        map(&parse(rules).unwrap(), &Setup { name: "lan", source: &source, shop: &shop, rules }, body)
    }

    #[test]
    fn a_journal_is_what_the_sample_says() {
        let expected: Value = serde_json::from_str(include_str!("../../tests/fixtures/sources/csv/journal.expected.json")).unwrap();
        let mapped = run(RULES, JOURNAL).unwrap();
        assert_eq!(mapped.faults, vec![]);
        assert_eq!(json!(mapped.sales.iter().map(|(_, s)| s).collect::<Vec<_>>()), expected["sales"]);
        assert_eq!(mapped.skipped, vec![expected["skipped"][0]["group"].as_str().unwrap()]);
        assert!(mapped.sales.iter().all(|(_, s)| Sale::parse(s).is_ok()));
    }

    #[test]
    fn one_bad_group_leaves_the_others() {
        let broken = String::from_utf8_lossy(JOURNAL).replace("0,45;2,25", "0,45;two");
        let mapped = run(RULES, broken.as_bytes()).unwrap();
        assert_eq!((mapped.sales.len(), mapped.faults.len()), (1, 1));
        assert_eq!(mapped.faults[0].0, "2-40882");
    }

    const FREE: &str = r#"
        format = "json"
        [rows]
        items = "order.items"
        [sale]
        transaction_type = "sale"
        transaction_id = "F-{{ row.order.no }}"
        receipt_number = "{{ row.order.no }}"
        receipt_date_time = "{{ row.order.at }}"
        tax_included = true
        business_unit = { unit_id = "F" }
        totals = { grand_amount = "{{ row.order.total }}" }
        [line_items]
        description = "{{ row.what }}"
        quantity = "{{ row.n }}"
        extended_amount = "{{ row.price }}"
    "#;

    #[test]
    fn free_json_with_nested_lines() {
        let body = br#"{"order": {"no": 7, "at": "2026-10-06T09:00:00Z", "total": 3.5, "items": [{"what": "Tea {{ 7*7 }}", "n": 1, "price": 1.5}, {"what": "Cake", "n": 2, "price": "2.00"}]}}"#;
        let sale = run(FREE, body).unwrap().sales[0].1.clone();
        assert_eq!(sale["line_items"][0]["description"], "Tea {{ 7*7 }}");
        assert_eq!(Sale::parse(&sale).unwrap().totals.grand, 350);
    }

    #[test]
    fn forms_in_their_code_page() {
        let rules = FREE
            .replace("\"json\"", "\"form\"\nencoding = \"windows-1252\"")
            .replace("[rows]\n        items = \"order.items\"", "")
            .replace("row.order.", "row.");
        let sale = run(&rules, b"no=8&at=2026-10-06T09:00:00Z&total=1.50&what=K%E4se+%26+Brot&n=1&price=1.50").unwrap().sales[0].1.clone();
        assert_eq!(sale["line_items"][0]["description"], "Käse & Brot");
        assert!(Sale::parse(&sale).is_ok());
    }

    #[test]
    fn mapping_files_are_checked() {
        for (from, to) in [
            ("format = \"csv\"", "format = \"xls\""),
            ("delimiter = \";\"", "delimiter = \"\""),
            ("windows-1252", "klingon"),
            ("Europe/Berlin", "Mars/Olympus"),
            ("{{ row.bon }}\"   ", "{{ row.bon \"   "),
            ("{{ row.artikel }}", "{{ row.artikel"),
            ("skip =", "skipp ="),
        ] {
            assert!(RULES.contains(from), "{from}");
            assert!(parse(&RULES.replace(from, to)).is_err(), "{to}");
        }
    }

    #[test]
    fn hostile_rows_and_expressions_end() {
        let loops = FREE.replace("{{ row.what }}", "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}");
        let body = br#"{"order": {"no": 7, "items": [{"what": "x"}]}}"#;
        assert_eq!(run(&loops, body).unwrap().faults.len(), 1);
        let wide = FREE.replace("{{ row.what }}", "{% for a in range(100) %}{{ row.what }}{% endfor %}");
        let body = format!("{{\"order\": {{\"no\": 7, \"items\": [{{\"what\": \"{}\"}}]}}}}", "x".repeat(9_000));
        assert_eq!(run(&wide, body.as_bytes()).unwrap().faults.len(), 1);
        assert!(run(RULES, b"\"").unwrap().sales.is_empty());
        assert!(run(FREE, b"[1, null, {}]").unwrap().sales.iter().all(|(_, s)| Sale::parse(s).is_err()));
    }
}
