//! Zapier: a Zap posts canonical sales with a shared token.
//!
//! There is no signature, no id of an event and hardly a repeat: the sale's `transaction_id` is the key.
//! An array is a batch, taken whole or not at all. Numbers usually come as text, which is decimal major
//! units; the sums are held against it, as against every sale that is posted.

use crate::config::key::optional;
use crate::config::{Key, Shape, TypeKeys};
use crate::domain::fault::Fault;
use crate::sources::canonical::{self, Keys};
use crate::sources::value::{id, json as read_json};
use crate::sources::*;
use serde_json::Value;

/// What it is.
pub static KIND: Kind = Kind {
    keys: TypeKeys {
        name: "zapier",
        doc: "Zaps that post canonical sales.",
        channels: &[],
        keys: KEYS,
        example: "tokens = [\"a-token-of-16-characters-or-more\"]",
    },
    check: |setup| if setup.secrets("tokens").is_empty() { Err("tokens is missing".to_owned()) } else { Ok(()) },
    verify,
    delivery_id,
    decode: |setup, raw, _| decode(setup, raw),
    api: None,
};

const KEYS: &[Key] = &[
    optional(
        "tokens",
        Shape::List(&Shape::Secret),
        "Tokens that the Zap sends as Authorization: Bearer, the current and the previous one.",
    ),
    RECEIPTS,
    TEST,
];

/// A batch that is larger is refused.
const BATCH: usize = 1000;

fn verify(setup: &Setup<'_>, given: &Given<'_>, _: Moment) -> Verdict {
    match sign::token(given, &setup.secrets("tokens")) {
        Verdict::Accepted if read_json(given.body).is_err() => Verdict::Unusable("not_json"),
        verdict => verdict,
    }
}

fn delivery_id(_: &Setup<'_>, given: &Given<'_>) -> Option<String> {
    let body = read_json(given.body).ok()?;
    let all: Vec<String> = sales(&body).iter().map(|sale| id(sale, "/transaction_id")).collect();
    (!all.is_empty() && all.iter().all(|id| !id.is_empty())).then(|| all.join(","))
}

fn sales(body: &Value) -> &[Value] {
    body.as_array().map_or(std::slice::from_ref(body), Vec::as_slice)
}

fn decode(setup: &Setup<'_>, raw: &Raw<'_>) -> Decoded {
    let body = match read_json(raw.body) {
        Ok(body) => body,
        Err(faults) => return Decoded::Unusable(faults),
    };
    let all = sales(&body);
    if all.is_empty() || all.len() > BATCH {
        return Decoded::Unusable(vec![Fault::new("", "length", format!("a batch has 1 to {BATCH} sales"))]);
    }
    let (mut told, mut faults) = (Told::default(), Vec::new());
    for (n, sale) in all.iter().enumerate() {
        match posted(setup, sale.clone()) {
            Ok(meaning) => told.events.push(meaning),
            Err(all) => faults.extend(all.into_iter().map(|mut fault| {
                if body.is_array() {
                    fault.pointer = format!("/{n}{}", fault.pointer);
                }
                fault
            })),
        }
    }
    if faults.is_empty() { Decoded::Told(told) } else { Decoded::Unusable(faults) }
}

/// A canonical sale from outside as an event: strictly checked, its own `source` not believed.
pub fn posted(setup: &Setup<'_>, sale: Value) -> Result<Meaning, Vec<Fault>> {
    lan::posted(&sale)?;
    let unknown = if setup.source.strict { lan::unknown_members(&sale) } else { Vec::new() };
    if !unknown.is_empty() {
        return Err(unknown);
    }
    let kind = match value::text(&sale, "/transaction_type") {
        "return" => "refund.processed",
        "void" => "sale.voided",
        _ => "sale.completed",
    };
    let own = id(&sale, "/transaction_id");
    let keys = Keys { business_key: own, account: id(&sale, "/business_unit/unit_id"), ..Keys::default() };
    canonical::document(setup, kind, keys, sale)
}
