//! The LAN source: tills and scripts that post the canonical sale themselves, or ARTS XML, or with a mapping
//! file what they have, with a key or a Standard Webhooks signature.

use crate::config::TypeKeys;
use crate::config::key::{Shape, optional};
use crate::domain::event::Event;
use crate::domain::fault::Fault;
use crate::domain::ids::{hash16, hex};
use crate::domain::sale::Sale;
use crate::sources::{Decoded, Given, Kind, Moment, RECEIPTS, Raw, Setup, TEST, Told, Verdict, arts, mapping, sign, zapier};
use serde_json::Value;
use std::sync::OnceLock;

/// What it is.
pub static KIND: Kind = Kind {
    keys: TypeKeys {
        name: "lan",
        doc: "Tills and scripts in the shop that post sales over HTTP with a token or a signature.",
        channels: &[],
        keys: &[
            optional(
                "tokens",
                Shape::List(&Shape::Secret),
                "Keys that are accepted at /v1/sales and /v1/events, the current and the previous one.",
            ),
            optional(
                "signing_secrets",
                Shape::List(&Shape::Secret),
                "Keys of Standard Webhooks signatures (whsec_…), the current and the previous one.",
            ),
            optional("mapping", Shape::Path, "A file that says how forms, CSV and free JSON posted to /hooks/NAME become sales."),
            RECEIPTS,
            TEST,
        ],
        example: "tokens = [\"a-token-of-16-characters-or-more\"]",
    },
    check,
    verify,
    delivery_id,
    decode: |setup, raw, _| decode(setup, raw),
    api: None,
};

fn check(setup: &Setup<'_>) -> Result<(), String> {
    if setup.secrets("tokens").is_empty() && setup.secrets("signing_secrets").is_empty() {
        return Err("tokens or signing_secrets is missing".to_owned());
    }
    if setup.secrets("signing_secrets").iter().any(|s| sign::standard_key(s.expose()).is_none()) {
        return Err("signing_secrets must be whsec_ and base64".to_owned());
    }
    if setup.rules.is_empty() { Ok(()) } else { mapping::parse(setup.rules).map(|_| ()).map_err(|why| format!("mapping: {why}")) }
}

fn verify(setup: &Setup<'_>, given: &Given<'_>, moment: Moment) -> Verdict {
    let verdict = if given.header("webhook-signature").or_else(|| given.header("svix-signature")).is_some() {
        sign::standard_webhooks(given, &setup.secrets("signing_secrets"), moment)
    } else {
        sign::token(given, &setup.secrets("tokens"))
    };
    let free = !setup.rules.is_empty() || arts::is_xml(given.body);
    match verdict {
        Verdict::Accepted if !free && json(given.body).is_err() => Verdict::Unusable("not_json"),
        verdict => verdict,
    }
}

/// The signed id, else the bytes themselves.
fn delivery_id(_: &Setup<'_>, given: &Given<'_>) -> Option<String> {
    let signed = given.header("webhook-id").or_else(|| given.header("svix-id")).filter(|id| !id.is_empty());
    Some(signed.map_or_else(|| hex(&hash16(given.body)), str::to_owned))
}

fn decode(setup: &Setup<'_>, raw: &Raw<'_>) -> Decoded {
    documents(setup, raw.body)
}

/// What a till wrote: ARTS XML, else by the mapping, else canonical sales. What is wrong with one sale of
/// several leaves the others standing, and is told with its place.
pub fn documents(setup: &Setup<'_>, body: &[u8]) -> Decoded {
    let sales = if arts::is_xml(body) {
        let each = |(n, sale): (usize, Option<Value>)| sale.map(|s| ((n + 1).to_string(), s));
        arts::transactions(body, setup).map(|all| (all.into_iter().enumerate().filter_map(each).collect(), Vec::new()))
    } else if setup.rules.is_empty() || is_canonical(body) {
        json(body).map_err(Refusal::faults).map(|json| match json {
            Value::Array(all) => (all.into_iter().enumerate().map(|(n, s)| ((n + 1).to_string(), s)).collect(), Vec::new()),
            one => (vec![("1".to_owned(), one)], Vec::new()),
        })
    } else {
        let rules = mapping::parse(setup.rules).map_err(|why| vec![Fault::new("", "not_mapped", why)]);
        rules.and_then(|rules| mapping::map(&rules, setup, body)).map(|mapped| (mapped.sales, mapped.faults))
    };
    let (sales, rejected): (Vec<_>, Vec<_>) = match sales {
        Ok(sales) => sales,
        Err(faults) => return Decoded::Unusable(faults),
    };
    let mut told = Told { rejected, ..Told::default() };
    for (name, sale) in sales {
        match zapier::posted(setup, sale) {
            Ok(meaning) => told.events.push(meaning),
            Err(faults) => told.rejected.push((name, faults)),
        }
    }
    if told.events.is_empty() && !told.rejected.is_empty() {
        return Decoded::Unusable(told.rejected.into_iter().flat_map(|(_, faults)| faults).take(100).collect());
    }
    told.or_nothing("no_receipt")
}

/// A till that can post the canonical form needs no mapping, whatever the others of its source do.
fn is_canonical(body: &[u8]) -> bool {
    let schema = |sale: &Value| sale.get("schema").and_then(Value::as_str) == Some(crate::domain::sale::SCHEMA);
    json(body).is_ok_and(|json| schema(json.get(0).unwrap_or(&json)))
}

/// Why a posted document is not taken.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// Not UTF-8 or not JSON: nothing in it can be named.
    NotJson(Fault),
    /// JSON, with all its faults.
    Invalid(Vec<Fault>),
}

impl Refusal {
    /// All of them.
    pub fn faults(self) -> Vec<Fault> {
        match self {
            Refusal::NotJson(fault) => vec![fault],
            Refusal::Invalid(faults) => faults,
        }
    }
}

/// A posted document that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Read<T> {
    /// What it says.
    pub value: T,
    /// Hash of its canonical form: equal JSON values have equal ones, whatever their bytes.
    pub content: [u8; 16],
}

/// Reads a posted sale.
pub fn sale(bytes: &[u8]) -> Result<Read<Sale>, Refusal> {
    let json = json(bytes)?;
    let sale = posted(&json).map_err(Refusal::Invalid)?;
    Ok(Read { value: sale, content: content(&json) })
}

/// The same; a member that the canonical sale does not have is a fault.
pub fn sale_strictly(bytes: &[u8]) -> Result<Read<Sale>, Refusal> {
    let json = json(bytes)?;
    let mut faults = unknown_members(&json);
    match posted(&json) {
        Ok(sale) if faults.is_empty() => Ok(Read { value: sale, content: content(&json) }),
        Ok(_) => Err(Refusal::Invalid(faults)),
        Err(more) => {
            faults.extend(more);
            Err(Refusal::Invalid(faults))
        }
    }
}

/// The check of a sale from outside: what `source` would excuse is not excused.
pub fn posted(json: &Value) -> Result<Sale, Vec<Fault>> {
    if json.pointer("/source/differences").is_none() {
        return Sale::parse(json);
    }
    let mut bare = json.clone();
    bare.as_object_mut().map(|map| map.remove("source"));
    Sale::parse(&bare)
}

/// Members that the canonical sale does not have, each with its place: for `validation = "strict"`.
pub fn unknown_members(json: &Value) -> Vec<Fault> {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    let schema = SCHEMA.get_or_init(|| serde_json::from_str(include_str!("../../config/schema/sale.json")).unwrap_or_default());
    let mut faults = Vec::new();
    unknown(schema, schema, json, "", &mut faults);
    faults
}

fn unknown(schema: &Value, node: &Value, value: &Value, pointer: &str, faults: &mut Vec<Fault>) {
    let node = node.get("$ref").and_then(Value::as_str).and_then(|r| schema.pointer(r.trim_start_matches('#'))).unwrap_or(node);
    match (value, node.get("properties"), node.get("items")) {
        (Value::Object(map), Some(known), _) => {
            for (name, inner) in map {
                let pointer = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
                match known.get(name) {
                    Some(node) => unknown(schema, node, inner, &pointer, faults),
                    None if faults.len() < 100 => {
                        faults.push(Fault::new(pointer, "unknown_member", "the canonical sale has no such member"));
                    }
                    None => {}
                }
            }
        }
        (Value::Array(all), _, Some(node)) => {
            all.iter().enumerate().for_each(|(n, inner)| unknown(schema, node, inner, &format!("{pointer}/{n}"), faults));
        }
        _ => {}
    }
}

/// Reads a posted event.
pub fn event(bytes: &[u8]) -> Result<Read<Event>, Refusal> {
    let json = json(bytes)?;
    let event = Event::parse(&json).map_err(Refusal::Invalid)?;
    Ok(Read { value: event, content: content(&json) })
}

/// Reads JSON; a refusal names the place but repeats nothing of what was sent.
pub fn json(bytes: &[u8]) -> Result<Value, Refusal> {
    let not = |code, message: String| Refusal::NotJson(Fault::new("", code, message));
    let text = std::str::from_utf8(bytes).map_err(|e| not("not_utf8", format!("the body is not UTF-8: byte {}", e.valid_up_to())))?;
    serde_json::from_str(text).map_err(|e| {
        let why = match e.classify() {
            serde_json::error::Category::Eof => "it ends too early",
            _ => "it cannot be read",
        };
        not("not_json", format!("the body is not JSON: {why} (line {}, column {})", e.line(), e.column()))
    })
}

/// Hash of the canonical form: members sorted by name, no blanks.
pub fn content(json: &Value) -> [u8; 16] {
    hash16(json.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_have_equal_content() {
        let hash = |text: &str| content(&json(text.as_bytes()).unwrap());
        assert_eq!(hash(r#"{"a": 1, "b": [2, 3]}"#), hash("{\"b\":[2,3],\n\"a\":1}"));
        assert_ne!(hash(r#"{"a": 1}"#), hash(r#"{"a": "1"}"#));
    }

    #[test]
    fn members_that_nobody_knows_are_named() {
        let mut json: Value = serde_json::from_str(include_str!("../../tests/fixtures/lan/sale.json")).unwrap();
        assert_eq!(unknown_members(&json), vec![]);
        json["fiscal"]["fields"] = serde_json::json!({"anything": 1});
        json["line_items"][1]["colour"] = "red".into();
        json["a/b"] = 1.into();
        let at: Vec<String> = unknown_members(&json).into_iter().map(|f| f.pointer).collect();
        assert_eq!(at, ["/a~1b", "/line_items/1/colour"]);
    }

    #[test]
    fn sums_from_outside_have_no_excuse() {
        let mut json: Value = serde_json::from_str(include_str!("../../tests/fixtures/lan/sale.json")).unwrap();
        json["source"] = serde_json::json!({"differences": [{"pointer": "/totals/grand_amount"}]});
        assert!(posted(&json).is_ok());
        json["totals"]["grand_amount"] = 1.into();
        assert_eq!(posted(&json).unwrap_err()[0].code, "sum_mismatch");
        assert!(Sale::parse(&json).is_ok());
    }

    #[test]
    fn what_is_no_json_is_said_without_repeating_it() {
        for (bytes, code) in
            [(&b"\xff\xfe"[..], "not_utf8"), (b"", "not_json"), (b"{\"secret", "not_json"), (b"{\"a\":\"\\ud83d\"}", "not_json")]
        {
            match json(bytes) {
                Err(Refusal::NotJson(fault)) => assert!(fault.code == code && !fault.message.contains("secret"), "{fault:?}"),
                other => panic!("{other:?}"),
            }
        }
        assert!(json("[".repeat(100_000).as_bytes()).is_err());
    }
}
