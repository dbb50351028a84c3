//! Reading what others sent: tolerant of everything, bounded in everything.
//!
//! Pure. No value of the wrong type is guessed at.

use super::order::{Item, Quantity};
use crate::domain::money::{Currency, Money, parse_decimal};
use crate::domain::text::{many_lines, one_line};
use serde_json::{Map, Value};
use std::sync::LazyLock;

/// Entries of a list that are read.
pub const LIST: usize = 500;

/// Reads members of a JSON object; what is missing or of another type reads as empty.
pub struct Reader<'a> {
    /// The object.
    pub map: &'a Map<String, Value>,
    /// Of amounts that name none.
    pub currency: Option<Currency>,
}

/// Stands for an object that is not there.
static EMPTY: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);

impl<'a> Reader<'a> {
    /// The object of this name, or an empty one.
    pub fn object(&self, name: &str) -> Reader<'a> {
        Reader { map: self.map.get(name).and_then(Value::as_object).unwrap_or(&EMPTY), currency: self.currency }
    }

    /// The objects of a list.
    pub fn list(&self, name: &str) -> Vec<Reader<'a>> {
        let all = self.map.get(name).and_then(Value::as_array).into_iter().flatten();
        let object = |v: &'a Value| v.as_object().map(|map| Reader { map, currency: self.currency });
        all.take(LIST).filter_map(object).collect()
    }

    /// One line of text, also of a number.
    pub fn text(&self, name: &str) -> String {
        self.map.get(name).map(word).unwrap_or_default()
    }

    /// Several lines of text.
    pub fn lines(&self, name: &str) -> String {
        let text = self.map.get(name).and_then(Value::as_str).unwrap_or_default();
        many_lines(&text.chars().take(4_000).collect::<String>()).trim().to_owned()
    }

    /// Text as it is.
    pub fn secret(&self, name: &str) -> Option<&'a str> {
        self.map.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// A link that a browser opens, or nothing.
    pub fn url(&self, name: &str) -> String {
        self.secret(name).filter(|url| is_link(url)).unwrap_or_default().to_owned()
    }

    /// A count.
    pub fn quantity(&self, name: &str) -> Option<Quantity> {
        Quantity::parse(&self.text(name))
    }

    /// Whole minor units or decimal text, in the currency named beside it, else the shop's.
    pub fn amount(&self, name: &str) -> Option<Money> {
        let currency = Currency::parse(&self.text("currency")).or(self.currency)?;
        let minor = match self.map.get(name)? {
            Value::Number(n) => n.as_i64()?,
            Value::String(text) => parse_decimal(text.trim(), currency).ok()?,
            _ => return None,
        };
        Some(Money { minor, currency })
    }

    /// The lines of an order, a parcel or a return.
    pub fn items(&self) -> Vec<Item> {
        let item = |of: &Reader<'_>| Item {
            text: of.text("description"),
            quantity: of.quantity("quantity"),
            id: of.text("item_id"),
            note: of.text("note").or_text(&of.text("reason")),
            progress: None,
        };
        self.list("line_items").iter().map(item).collect()
    }
}

/// A second choice.
pub trait OrText {
    /// This text, or where it is empty the other.
    fn or_text(self, other: &str) -> String;
}

impl OrText for String {
    fn or_text(self, other: &str) -> String {
        if self.is_empty() { one_line(other, 300) } else { self }
    }
}

/// A text, number or truth value as one line.
pub fn word(value: &Value) -> String {
    match value {
        Value::String(text) => one_line(text, 300),
        Value::Number(n) => n.to_string(),
        Value::Bool(b) => b.to_string(),
        _ => String::new(),
    }
}

/// A web address without anything that could end an attribute, a header or a line.
pub fn is_link(url: &str) -> bool {
    let web = url.starts_with("https://") || url.starts_with("http://");
    web && url.len() <= 2_000 && url.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>' | b'\\' | b'`'))
}

/// Fit to stand in a link.
pub fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
