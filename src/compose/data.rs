//! Events as data for other systems: webhook, customer system, helpdesk.
//!
//! Pure. Of a customer only that leaves which was allowed by name; nothing secret leaves at all. What is
//! too large goes without detail, and what is still too large with ids and a link only.

use crate::domain::content::Data;
use crate::domain::time::UnixMs;
use serde_json::{Map, Value, json};

/// What is to be passed on.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    /// Type of the event.
    pub event: &'a str,
    /// When it happened.
    pub at: UnixMs,
    /// The receiver knows a repeat by it.
    pub id: &'a str,
    /// The sale or order that it is about.
    pub subject: &'a str,
    /// The event's data, or the canonical sale.
    pub data: &'a Map<String, Value>,
    /// Where to read on.
    pub link: Option<&'a str>,
    /// What may leave of the customer: `customer` for all, `customer.email` for one member.
    pub allow: &'a [String],
}

/// Members that hold people; of an order or a return also inside it.
const PEOPLE: &[&str] = &["customer", "contact", "recipient", "shipping_address", "billing_address", "delivery_address", "email", "phone"];
/// Members that open an account or say who may call.
const SECRETS: &[&str] = &["token", "url_template", "password", "secret"];
/// Members of a line that stay when it must be short.
const LINE: &[&str] = &["description", "quantity", "item_id", "extended_amount", "line_type"];
/// Members that name a thing.
const IDS: &[&str] = &["transaction_id", "receipt_id", "receipt_number", "number", "order_number", "transaction_type", "currency_code"];
/// What goes around the payload: type, time and braces.
const ENVELOPE: usize = 300;
/// Members inside each other that are passed on.
const DEPTH: usize = 12;

/// The event as `{id, subject, link?, data}`; thin, with `thin: true` and only ids in `data`.
pub fn compose(given: &Given<'_>) -> Data {
    let whole = Value::Object(without_people(given.data, given.allow, 0));
    let mut payload = around(given, whole);
    if size(&payload) > Data::TARGET
        && let Some(data) = payload.get_mut("data")
    {
        shorten_lines(data, 0);
    }
    let thin = size(&payload) > Data::MOST;
    if thin {
        payload = around(given, ids(given.data));
        if let Some(object) = payload.as_object_mut() {
            object.insert("thin".to_owned(), json!(true));
        }
    }
    Data { event: given.event.to_owned(), at: given.at, payload, thin }
}

fn around(given: &Given<'_>, data: Value) -> Value {
    let mut payload = json!({"id": given.id, "subject": given.subject, "data": data});
    if let (Some(link), Some(object)) = (given.link, payload.as_object_mut()) {
        object.insert("link".to_owned(), json!(link));
    }
    payload
}

fn size(payload: &Value) -> usize {
    payload.to_string().len() + ENVELOPE
}

fn without_people(data: &Map<String, Value>, allow: &[String], depth: usize) -> Map<String, Value> {
    let mut out = Map::new();
    for (name, value) in data.iter().filter(|(name, _)| !SECRETS.contains(&name.as_str())) {
        let kept = if PEOPLE.contains(&name.as_str()) && depth < 2 {
            allowed(name, value, allow)
        } else {
            Some(inside(name, value, allow, depth))
        };
        if let Some(kept) = kept {
            out.insert(name.clone(), kept);
        }
    }
    out
}

/// The shop's own telephone number is no customer's.
fn inside(name: &str, value: &Value, allow: &[String], depth: usize) -> Value {
    match value {
        Value::Object(object) if name != "business_unit" && depth < DEPTH => Value::Object(without_people(object, allow, depth + 1)),
        Value::Array(all) if depth < DEPTH => Value::Array(all.iter().map(|v| inside(name, v, allow, depth + 1)).collect()),
        Value::Object(_) | Value::Array(_) if depth >= DEPTH => Value::Null,
        other => other.clone(),
    }
}

/// The members that were allowed by name; nothing where none was.
fn allowed(name: &str, value: &Value, allow: &[String]) -> Option<Value> {
    if allow.iter().any(|a| a == name) {
        return Some(value.clone());
    }
    let members = value.as_object()?.iter();
    let some: Map<String, Value> =
        members.filter(|(member, _)| allow.contains(&format!("{name}.{member}"))).map(|(n, v)| (n.clone(), v.clone())).collect();
    (!some.is_empty()).then_some(Value::Object(some))
}

/// Lines keep what they are, how many and how much.
fn shorten_lines(data: &mut Value, depth: usize) {
    let Some(object) = data.as_object_mut().filter(|_| depth < DEPTH) else { return };
    for (name, value) in object.iter_mut() {
        match value {
            Value::Array(lines) if name == "line_items" => {
                for line in lines.iter_mut().filter_map(Value::as_object_mut) {
                    line.retain(|member, _| LINE.contains(&member.as_str()));
                }
            }
            other => shorten_lines(other, depth + 1),
        }
    }
}

/// What names the thing, at the top and one step below.
fn ids(data: &Map<String, Value>) -> Value {
    let short = |v: &Value| v.is_number() || v.as_str().is_some_and(|text| text.len() <= 200);
    let named = |of: &Map<String, Value>| -> Map<String, Value> {
        of.iter().filter(|(name, v)| IDS.contains(&name.as_str()) && short(v)).map(|(n, v)| (n.clone(), v.clone())).collect()
    };
    let mut out = named(data);
    for name in ["order", "return"] {
        if let Some(inner) = data.get(name).and_then(Value::as_object) {
            out.insert(name.to_owned(), Value::Object(named(inner)));
        }
    }
    Value::Object(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given<'a>(data: &'a Value, allow: &'a [String]) -> Given<'a> {
        let data = data.as_object().unwrap();
        Given { event: "sale.completed", at: UnixMs(5), id: "tp_1", subject: "A1", data, link: Some("https://r.x.example/a"), allow }
    }

    #[test]
    fn of_a_customer_only_what_was_allowed() {
        let customer = json!({"email": "lee@example.org", "phone": "+12125550101", "customer_id": "c1"});
        let data = json!({"receipt_number": "7", "customer": customer, "order": {"number": "9", "shipping_address": {"name": "Lee"}, "email": "lee@example.org"},
            "business_unit": {"phone": "+12125550100"}, "token": "t0ken", "line_items": [{"description": "Tea", "customer": "x"}]});
        let none = compose(&given(&data, &[])).payload;
        assert!(!none.to_string().contains("lee@") && !none.to_string().contains("Lee") && !none.to_string().contains("t0ken"), "{none}");
        assert_eq!(none["data"]["business_unit"]["phone"], "+12125550100");
        assert_eq!((&none["id"], &none["link"]), (&json!("tp_1"), &json!("https://r.x.example/a")));
        let one = compose(&given(&data, &["customer.email".to_owned()])).payload;
        assert_eq!(one["data"]["customer"], json!({"email": "lee@example.org"}));
        assert_eq!(compose(&given(&data, &["customer".to_owned()])).payload["data"]["customer"], customer);
    }

    #[test]
    fn large_ones_lose_detail_and_huge_ones_become_thin() {
        let sale = |n: usize| {
            let lines: Vec<Value> = (0..n)
                .map(|i| json!({"description": format!("Article {i}"), "quantity": "1", "extended_amount": 125, "note": "n".repeat(100)}))
                .collect();
            json!({"receipt_number": "7", "transaction_id": "t7", "totals": {"grand_amount": 5}, "line_items": lines})
        };
        let (some, large, huge) = (sale(20), sale(100), sale(400));
        assert_eq!(compose(&given(&some, &[])).payload["data"], some);
        let shorter = compose(&given(&large, &[]));
        assert!(!shorter.thin && size(&shorter.payload) <= Data::MOST && shorter.payload["data"]["line_items"][99]["note"].is_null());
        let thin = compose(&given(&huge, &[]));
        assert!(thin.thin && size(&thin.payload) < 1_000);
        assert_eq!(thin.payload["data"], json!({"receipt_number": "7", "transaction_id": "t7"}));
    }
}
