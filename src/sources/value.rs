//! Reading vendors' JSON: by pointer, with a default for what is missing or of another kind. Numbers are
//! read as decimal text, never as binary fractions. Text is made harmless where it is taken over.

use crate::domain::fault::Fault;
use crate::domain::money::{Currency, parse_decimal};
use crate::domain::time::UnixMs;
use serde_json::Value;

/// The body as JSON. A fault repeats nothing of it.
pub fn json(body: &[u8]) -> Result<Value, Vec<Fault>> {
    super::lan::json(body).map_err(super::lan::Refusal::faults)
}

/// Text at a pointer; empty where there is none.
pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// An id at a pointer, as text: vendors write them as text or as whole numbers.
pub fn id(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        Some(Value::String(text)) => clean(text, 200),
        Some(Value::Number(n)) if !n.is_f64() => n.to_string(),
        _ => String::new(),
    }
}

/// Text for people at a pointer, made harmless; at most 1000 characters.
pub fn words(value: &Value, pointer: &str) -> String {
    clean(text(value, pointer), 1000)
}

/// Sets a member of an object.
pub fn set(object: &mut Value, name: &str, value: impl Into<Value>) {
    if let Some(map) = object.as_object_mut() {
        map.insert(name.to_owned(), value.into());
    }
}

/// A whole number at a pointer.
pub fn int(value: &Value, pointer: &str) -> Option<i64> {
    value.pointer(pointer).and_then(Value::as_i64)
}

/// Minor units at a pointer; amounts that no till has are none.
pub fn minor(value: &Value, pointer: &str) -> Option<i64> {
    int(value, pointer).filter(|n| n.unsigned_abs() <= LARGEST)
}

/// Yes or no at a pointer; no where there is none.
pub fn flag(value: &Value, pointer: &str) -> bool {
    value.pointer(pointer).and_then(Value::as_bool).unwrap_or(false)
}

/// A list at a pointer; empty where there is none.
pub fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Sums of any number of lines stay far from the end of the numbers.
const LARGEST: u64 = 9_999_999_999_999_999;

/// Major units at a pointer, a number or decimal text, as minor units. More digits than the currency
/// has are rounded, half away from zero.
pub fn major(value: &Value, pointer: &str, currency: Currency) -> Option<i64> {
    match value.pointer(pointer)? {
        Value::String(text) => decimal_major(text.trim(), currency),
        Value::Number(n) => decimal_major(&n.to_string(), currency),
        _ => None,
    }
}

/// Decimal major units as minor units; see [`major`].
pub fn decimal_major(text: &str, currency: Currency) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = currency.digits() as usize;
    let kept: String = fraction.chars().take(digits).collect();
    let up = fraction.chars().nth(digits).is_some_and(|c| ('5'..='9').contains(&c));
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let text = if kept.is_empty() { whole.to_owned() } else { format!("{whole}.{kept}") };
    let minor = parse_decimal(&text, currency).ok()?;
    let minor = if !up {
        minor
    } else if whole.starts_with('-') {
        minor - 1
    } else {
        minor + 1
    };
    (minor.unsigned_abs() <= LARGEST).then_some(minor)
}

/// A quantity as the canonical sale has it: at most 9 and 6 digits, no sign; `None` for anything else.
pub fn quantity(value: Option<&Value>) -> Option<String> {
    let text = match value? {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(n) => n.to_string(),
        _ => return None,
    };
    decimal(&text)
}

/// Decimal text without needless zeros and without a sign.
pub fn decimal(text: &str) -> Option<String> {
    let text = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || whole.len() > 9 || !digits(whole) || !digits(fraction) {
        return None;
    }
    let fraction: String = fraction.chars().take(6).collect();
    let fraction = fraction.trim_end_matches('0');
    Some(if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") })
}

/// A share such as `0.0625`, a number or text, as percent: `6.25`.
pub fn percent(value: Option<&Value>) -> Option<String> {
    let text = match value? {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(n) => n.to_string(),
        _ => return None,
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let padded = format!("{fraction:0<2}");
    let (hundredths, rest) = (padded.get(..2)?, padded.get(2..)?);
    let moved = format!("{whole}{hundredths}");
    let moved = moved.trim_start_matches('0');
    decimal(&format!("{}.{rest}", if moved.is_empty() { "0" } else { moved }))
}

/// A moment: RFC 3339, or with an offset without a colon (`2026-10-03T17:45:10.220+0000`).
pub fn moment(text: &str) -> Option<UnixMs> {
    if let Some(at) = UnixMs::parse_rfc3339(text) {
        return Some(at);
    }
    let sign = text.len().checked_sub(5)?;
    let (time, offset) = (text.get(..sign)?, text.get(sign..)?);
    UnixMs::parse_rfc3339(&format!("{time}{}:{}", offset.get(..3)?, offset.get(3..)?))
}

/// Text from outside, for one line of a document: control characters and those that turn the direction
/// of others become blanks, and it ends at `max` characters. What joins letters and pictures stays.
pub fn clean(text: &str, max: usize) -> String {
    let harmless = |c: char| if c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}') { ' ' } else { c };
    text.trim().chars().take(max).map(harmless).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn major_units_are_exact() {
        let usd = Currency::parse("USD").unwrap();
        let read = |v: Value, code: &str| major(&json!({"a": v}), "/a", Currency::parse(code).unwrap());
        assert_eq!(read(json!(43.04), "USD"), Some(4304));
        assert_eq!(read(json!(17), "USD"), Some(1700));
        assert_eq!(read(json!("8.540"), "USD"), Some(854));
        assert_eq!(read(json!("1080.00"), "JPY"), Some(1080));
        assert_eq!(read(json!(1.234), "KWD"), Some(1234));
        assert_eq!(read(json!(0.125), "USD"), Some(13));
        assert_eq!(read(json!("-0.125"), "USD"), Some(-13));
        for bad in [json!("1,20"), json!("1.2x"), json!(1e300), json!(null), json!("")] {
            assert_eq!(read(bad.clone(), "USD"), None, "{bad}");
        }
        for cents in [1i64, 7, 29, 57, 115, 4_003, 99_999_999] {
            let number: Value = serde_json::from_str(&format!("{}.{:02}", cents / 100, cents % 100)).unwrap();
            assert_eq!(major(&json!({"a": number}), "/a", usd), Some(cents));
        }
    }

    #[test]
    fn shares_and_quantities() {
        for (share, is) in [(json!(0.0625), "6.25"), (json!(0.07), "7"), (json!("0.19"), "19"), (json!(1), "100"), (json!(0.1), "10")] {
            assert_eq!(percent(Some(&share)).as_deref(), Some(is), "{share}");
        }
        assert_eq!(quantity(Some(&json!("2.380"))).as_deref(), Some("2.38"));
        assert_eq!(quantity(Some(&json!(3))).as_deref(), Some("3"));
        assert_eq!(quantity(Some(&json!(1e300))), None);
        assert_eq!(percent(Some(&json!("ä"))), None);
    }

    #[test]
    fn moments_with_and_without_a_colon() {
        let at = moment("2026-10-03T17:45:10.220+0000").unwrap();
        assert_eq!(Some(at), moment("2026-10-03T17:45:10.220Z"));
        assert_eq!(moment("é+0000"), None);
        assert_eq!(moment(""), None);
    }

    #[test]
    fn text_is_made_harmless() {
        assert_eq!(clean(" a\r\nBcc: x\0\u{202e}b ", 100), "a  Bcc: x  b");
        assert_eq!(clean("👨‍👩‍👧 {{ 7*7 }} <b>", 100), "👨‍👩‍👧 {{ 7*7 }} <b>");
        assert_eq!(clean("abc", 2), "ab");
    }
}
