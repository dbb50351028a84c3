//! What decoding came to as one JSON value, for the command line and for tests.

use crate::sources::{Decoded, Kind, LookUp, Meaning, Setup, Told, base};
use serde_json::{Map, Value, json};

/// `{business_key, version, events, lookups, rejected?, nothing?, unusable?}`; the outer keys are those of the
/// first event, else of what is waited for.
pub fn decoded(kind: &Kind, setup: &Setup<'_>, decoded: &Decoded) -> Map<String, Value> {
    let none = Told::default();
    let (told, nothing, unusable) = match decoded {
        Decoded::Told(told) => (told, None, None),
        Decoded::Nothing(why) => (&none, Some(*why), None),
        Decoded::Unusable(faults) => (&none, None, Some(faults)),
    };
    let first = told.events.first();
    let key = first.map(|m| m.business_key.as_str()).or_else(|| told.lookups.first().map(|l| l.of.as_str()));
    let mut out = Map::new();
    out.insert("business_key".into(), json!(key.filter(|k| !k.is_empty())));
    out.insert("version".into(), json!(first.map(|m| m.version).filter(|v| *v != 0)));
    out.insert("events".into(), told.events.iter().map(meaning).collect());
    out.insert("lookups".into(), told.lookups.iter().map(|l| lookup(kind, setup, l)).collect());
    if !told.rejected.is_empty() {
        let each = told.rejected.iter().map(|(place, faults)| json!({"place": place, "faults": faults}));
        out.insert("rejected".into(), each.collect());
    }
    if let Some(why) = nothing {
        out.insert("nothing".into(), why.into());
    }
    if let Some(faults) = unusable {
        out.insert("unusable".into(), json!(faults));
    }
    out
}

fn meaning(meaning: &Meaning) -> Value {
    let event = &meaning.event;
    json!({"type": event.kind, "id": event.id, "time": event.time.rfc3339(), "subject": event.subject, "business_key": meaning.business_key,
        "version": meaning.version, "not_before": meaning.not_before.map(|at| at.rfc3339()), "native_ids": meaning.native_ids,
        "account": meaning.account, "location": meaning.location, "data": event.data})
}

fn lookup(kind: &Kind, setup: &Setup<'_>, lookup: &LookUp) -> Value {
    let url = base(kind, setup).map(|base| format!("{base}{}", lookup.path));
    json!({"key": lookup.key, "of": lookup.of, "need": lookup.need.word(), "method": "GET", "url": url.ok(), "path": lookup.path, "headers": lookup.headers})
}
