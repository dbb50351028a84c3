//! The same for JSON: values are looked at by their key, and what comes out is JSON.

use super::{Digit, Edit, Work, is_card};
use serde_json::Value;

/// Deeper documents are looked at as text.
const DEPTH: usize = 128;

/// Where the walk is: the key, whether something above it is exempt, whether it is a benefit's tender.
#[derive(Clone, Default)]
struct Place {
    exempt: bool,
    benefit: bool,
    code: bool,
    last4: bool,
}

struct Walk<'w, 'b> {
    work: &'w mut Work<'b>,
    at: usize,
}

/// Whether the body is JSON; then it was masked by its keys.
pub(super) fn walk(work: &mut Work<'_>) -> bool {
    // A walk over what only begins as JSON would leave its rest unseen.
    let Ok(value) = serde_json::from_slice::<Value>(work.bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(work.bytes)) else { return false };
    let place = Place { benefit: false, ..Place::default() };
    let mut walk = Walk { work, at: 0 };
    if walk.bytes().starts_with(b"\xef\xbb\xbf") {
        walk.at = 3;
    }
    walk.value(&value, &place, 0);
    true
}

impl Walk<'_, '_> {
    fn bytes(&self) -> &[u8] {
        self.work.bytes
    }

    fn skip(&mut self, more: &[u8]) {
        while b" \t\r\n".contains(&self.work.byte(self.at)) || more.contains(&self.work.byte(self.at)) {
            if self.at >= self.bytes().len() {
                return;
            }
            self.at += 1;
        }
    }

    /// The place of a string's content, and steps over it.
    fn string(&mut self) -> (usize, usize) {
        self.at += 1;
        let start = self.at;
        while self.at < self.bytes().len() {
            match self.work.byte(self.at) {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        let end = self.at;
        self.at += 1;
        (start, end)
    }

    /// `value` is what stands here: it tells of an object what its members only tell together.
    fn value(&mut self, value: &Value, place: &Place, depth: usize) {
        self.skip(b"");
        match self.work.byte(self.at) {
            b'{' if depth < DEPTH => self.object(value, place, depth),
            b'[' if depth < DEPTH => {
                self.at += 1;
                let mut entries = value.as_array().into_iter().flatten();
                loop {
                    self.skip(b",");
                    if self.at >= self.bytes().len() || self.work.byte(self.at) == b']' {
                        self.at += 1;
                        return;
                    }
                    self.value(entries.next().unwrap_or(&Value::Null), place, depth + 1);
                }
            }
            b'"' => {
                let (start, end) = self.string();
                self.text(start, end, place);
            }
            _ => {
                let start = self.at;
                while self.at < self.bytes().len() && !b",]} \t\r\n".contains(&self.work.byte(self.at)) {
                    self.at += 1;
                }
                self.number(start, self.at.max(start), place);
                self.at = self.at.max(start + 1);
            }
        }
    }

    fn object(&mut self, value: &Value, place: &Place, depth: usize) {
        self.at += 1;
        let tender = value.get("tender_type").and_then(Value::as_str);
        let benefit = place.benefit || tender.is_some_and(|t| matches!(t, "SNAP" | "EBTCash" | "WIC"));
        loop {
            self.skip(b",");
            if self.at >= self.bytes().len() || self.work.byte(self.at) != b'"' {
                self.at += 1;
                return;
            }
            let (start, end) = self.string();
            let written = self.bytes().get(start.saturating_sub(1)..end + 1).unwrap_or_default();
            let key: String = serde_json::from_slice(written).unwrap_or_default();
            // A key may hold a number too.
            self.work.text(start, end, true);
            self.skip(b":");
            let name = key.to_ascii_lowercase();
            let inner = Place {
                exempt: place.exempt || is_exempt(&name),
                benefit,
                code: name.starts_with("cvv") || name.starts_with("cvc") || name == "security_code",
                last4: name == "last4",
            };
            self.value(value.get(&key).unwrap_or(&Value::Null), &inner, depth + 1);
        }
    }

    fn digits(&self, start: usize, end: usize) -> Option<Vec<Digit>> {
        let mut digits = Vec::new();
        let mut at = start;
        while at < end {
            let digit = self.work.digit(at, end, true)?;
            at += digit.len;
            digits.push(digit);
        }
        Some(digits)
    }

    fn text(&mut self, start: usize, end: usize, place: &Place) {
        if place.exempt {
            return;
        }
        if place.benefit && place.last4 && !self.work.keep_ebt && start < end {
            self.work.hits.benefits += 1;
            self.work.edits.push(Edit { start, end, with: Vec::new() });
            return;
        }
        let code = self.digits(start, end).filter(|d| place.code && matches!(d.len(), 3 | 4));
        if let Some(digits) = code {
            self.work.hits.codes += 1;
            self.work.hide(&digits);
            return;
        }
        self.work.text(start, end, true);
        if place.benefit {
            self.work.benefit(start, end, true);
        }
    }

    /// A bare number stays one: it begins with a one and goes on with zeros. One with a fraction is an amount.
    fn number(&mut self, start: usize, end: usize, place: &Place) {
        let Some(digits) = self.digits(start, end).filter(|d| !d.is_empty() && !place.exempt) else { return };
        let values: Vec<u8> = digits.iter().map(|d| d.value).collect();
        let benefit = place.benefit && (16..=19).contains(&values.len());
        let kept = match () {
            () if benefit && !self.work.keep_ebt => 0,
            () if benefit || is_card(&values) => 4,
            () if place.code && matches!(values.len(), 3 | 4) => 0,
            () => return,
        };
        if benefit {
            self.work.hits.benefits += 1;
        } else if place.code && kept == 0 {
            self.work.hits.codes += 1;
        } else {
            self.work.hits.cards += 1;
        }
        let hidden = values.len() - kept;
        let with = (0..hidden).map(|n| if n == 0 { b'1' } else { b'0' }).collect();
        self.work.edits.push(Edit { start, end: start + hidden, with });
    }
}

/// Keys whose values are ids: of the canonical sale, and of vendors.
fn is_exempt(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "transaction_id",
        "receipt_number",
        "sequence_number",
        "item_id",
        "gtin",
        "related",
        "fiscal",
        "source",
        "id",
        "order_number",
        "guid",
        "objectid",
    ];
    NAMES.contains(&name) || name.ends_with("_id") || name.ends_with("_ids")
}
