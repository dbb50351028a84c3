//! The scenarios under `tests/scenarios`: each a day in a shop that reads like a story, with what must leave
//! and what must never.
//!
//! `expect.sends` lists every send, in order (`any_order` for those of one moment), each by some of its members;
//! a text with `*` at its ends is a part. `some` lists sends that must be among them, `never` what no send may be.
//! Other lists must hold such a row.

use serde_json::{Value, json};
use std::path::Path;
use tillpost::app;
use tillpost::config::units::parse_duration;
use tillpost::domain::time::UnixMs;

fn moment(value: &Value) -> UnixMs {
    UnixMs::parse_rfc3339(value.as_str().unwrap()).unwrap()
}

/// Whether a row has the members that are asked for.
fn fits(row: &Value, asked: &Value) -> bool {
    asked.as_object().unwrap().iter().all(|(name, want)| match name.as_str() {
        "within" => true,
        "before" => moment(&row["at"]) < moment(want),
        "after" => moment(&row["at"]) >= moment(want),
        "at" => {
            let most = asked.get("within").map_or(999, |w| parse_duration(w.as_str().unwrap()).unwrap().as_millis() as i64);
            (moment(&row["at"]).0 - moment(want).0).abs() <= most
        }
        _ => match want.as_str().map(|w| (w.trim_matches('*'), w)) {
            Some((part, whole)) if part != whole => row[name].as_str().is_some_and(|text| text.contains(part)),
            _ => row[name] == *want,
        },
    })
}

fn check(name: &str, report: &Value, expect: &Value) {
    assert_eq!(report["violations"], json!([]), "{name}");
    let sends = report["sends"].as_array().unwrap();
    let short =
        || sends.iter().map(|s| format!("{} {} {} {} {}", s["at"], s["receipt"], s["channel"], s["to"], s["outcome"])).collect::<Vec<_>>();
    for some in expect["some"].as_array().into_iter().flatten() {
        assert!(sends.iter().any(|s| fits(s, some)), "{name}: no {some} in {:#?}", short());
    }
    let asked: &[Value] = expect["sends"].as_array().map(Vec::as_slice).unwrap_or_default();
    if expect.get("sends").is_some() {
        assert_eq!(sends.len(), asked.len(), "{name}: {:#?}", short());
    }
    if expect["any_order"] == true {
        let mut left: Vec<&Value> = sends.iter().collect();
        for want in asked {
            let at = left.iter().position(|s| fits(s, want)).unwrap_or_else(|| panic!("{name}: no {want} in {:#?}", short()));
            left.remove(at);
        }
    } else {
        for (send, want) in sends.iter().zip(asked) {
            assert!(fits(send, want), "{name}: {want} is not {send:#}");
        }
    }
    for never in expect["never"].as_array().into_iter().flatten() {
        assert!(!sends.iter().any(|s| fits(s, never)), "{name}: {never} was sent: {:#?}", short());
    }
    if let Some(same) = expect.get("same") {
        let of = same["of"].as_str().unwrap();
        let all: Vec<&Value> = sends.iter().filter(|s| s["receipt"] == same["receipt"]).map(|s| &s[of]).collect();
        assert!(all.len() > 1 && all.windows(2).all(|w| w[0] == w[1]), "{name}: {all:?}");
    }
    for list in ["deliveries", "suppressions", "campaigns", "alerts", "receipts", "dead_letters"] {
        for want in expect[list].as_array().into_iter().flatten() {
            assert!(report[list].as_array().unwrap().iter().any(|row| fits(row, want)), "{name}: no {want} in {:#}", report[list]);
        }
    }
    for list in ["resend_answers", "found"] {
        let Some(asked) = expect[list].as_array() else { continue };
        let said = report[list].as_array().unwrap();
        assert!(said.len() == asked.len() && said.iter().zip(asked).all(|(a, want)| fits(a, want)), "{name}: {said:?}");
    }
    if let Some(seconds) = expect.get("offline_s") {
        assert_eq!(&report["offline_s"], seconds, "{name}");
    }
}

#[test]
fn every_story_ends_as_it_is_told() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 10);
    let only = std::env::var("TILLPOST_SCENARIO").unwrap_or_default();
    for file in files.into_iter().filter(|f| f.to_string_lossy().contains(&only)) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let scenario: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let place = tempfile::tempdir().unwrap();
        let play = || tillpost::simulate::run(&scenario, &app::kinds(), 1, place.path()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let report = play();
        check(&name, &report, &scenario["expect"]);
        assert_eq!(report.to_string(), play().to_string(), "{name}: the same seed gives the same, byte for byte");
    }
}
