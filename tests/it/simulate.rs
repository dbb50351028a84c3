//! The virtual shop: the real core, a world that does its worst, and an oracle that names every broken
//! promise. What is random is so from a seed that a failure names.

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use tillpost::app;
use tillpost::domain::time::UnixMs;

/// 2026-03-03T14:00:00-05:00 and so many seconds.
fn at(seconds: i64) -> String {
    UnixMs(UnixMs::parse_rfc3339("2026-03-03T14:00:00-05:00").unwrap().0 + seconds * 1000).rfc3339()
}

/// How long after [`at`] zero.
fn seconds(text: &Value) -> i64 {
    (UnixMs::parse_rfc3339(text.as_str().unwrap()).unwrap().0 - UnixMs::parse_rfc3339(&at(0)).unwrap().0) / 1000
}

/// A shop with two ways for mail and one for texts.
fn config() -> Value {
    json!({
        "shop": {"id": "s12", "name": "Corner Mart", "country": "US", "timezone": "America/New_York"},
        "tills": {"front": {"key": "tp_live_simulated_front"}},
        "providers": {"first": {"type": "smtp"}, "second": {"type": "smtp"}, "text": {"type": "twilio"}},
        "channels": {"email": {"from": "Corner Mart <receipts@cmart.example>", "providers": ["first", "second"]},
            "sms": {"from": "+12125550100", "providers": ["text"]}},
        "routing": {"reconnect_wait": "0 s", "reconnect_ramp": "0 s"},
    })
}

fn sale(seconds: i64, label: &str, address: &str) -> Value {
    let channel = if address.contains('@') { "email" } else { "sms" };
    json!({"at": at(seconds), "event": "sale", "receipt": label, "till": "3", "number": label, "total": "18.20", "source": "front",
        "choice": {"channel": channel, "address": address}})
}

fn run_in(folder: &Path, seed: u64, scenario: &Value) -> Value {
    tillpost::simulate::run(scenario, &app::kinds(), seed, folder).unwrap_or_else(|e| panic!("seed {seed}: {e}"))
}

/// Plays a timeline; no promise may be broken.
fn play(timeline: Value, providers: Value, until: i64) -> Value {
    let scenario = json!({"config": config(), "timeline": timeline, "providers": providers, "until": at(until)});
    let report = run_in(tempfile::tempdir().unwrap().path(), 1, &scenario);
    assert_eq!(report["violations"], json!([]), "{report:#}");
    report
}

fn rows<'a>(report: &'a Value, name: &str) -> &'a [Value] {
    report[name].as_array().unwrap()
}

/// Rows as short tuples of some of their members.
fn table<const N: usize>(report: &Value, name: &str, members: [&str; N]) -> Vec<[String; N]> {
    let show = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
    rows(report, name).iter().map(|row| members.map(|m| show(&row[m]))).collect()
}

fn s<const N: usize>(row: [&str; N]) -> [String; N] {
    row.map(str::to_owned)
}

const DAY: i64 = 86_400;

#[test]
fn two_sales_to_one_address_are_two_messages() {
    let report = play(json!([sale(0, "A", "lee@example.org"), sale(1, "B", "lee@example.org")]), json!({}), 600);
    assert_eq!(table(&report, "sends", ["receipt", "outcome"]), [s(["A", "accepted"]), s(["B", "accepted"])]);
    let intents: BTreeSet<_> = table(&report, "sends", ["message_id"]).into_iter().collect();
    assert_eq!(intents.len(), 2, "two messages have two ids");
}

// ---- the line ----

#[test]
fn three_hours_without_a_line_cost_nothing_but_time() {
    let mut timeline = vec![json!({"at": at(0), "event": "line_down"})];
    timeline.extend((0..500).map(|n| sale(60 + n * 21, &format!("S{n}"), &format!("c{n}@example.org"))));
    timeline.push(json!({"at": at(3 * 3600), "event": "line_up"}));
    let report = play(timeline.into(), json!({}), 4 * 3600);
    let sends = table(&report, "sends", ["receipt", "attempt", "outcome"]);
    let receipts: BTreeSet<&String> = sends.iter().map(|[receipt, _, _]| receipt).collect();
    assert_eq!((sends.len(), receipts.len()), (500, 500), "each once");
    assert!(sends.iter().all(|[_, attempt, outcome]| attempt == "1" && outcome == "accepted"));
    assert!(rows(&report, "sends").iter().all(|send| seconds(&send["at"]) >= 3 * 3600));
    assert_eq!(report["offline_s"], 3 * 3600);
    assert!(table(&report, "deliveries", ["state"]).iter().all(|[state]| state == "accepted"));
}

#[test]
fn what_came_too_late_is_not_sent() {
    let timeline = json!([
        {"at": at(0), "event": "line_down"}, sale(10, "A", "lee@example.org"), sale(20, "T", "+12125550101"), sale(6 * DAY, "B", "bo@example.org"),
        {"at": at(8 * DAY), "event": "line_up"},
    ]);
    let report = play(timeline, json!({}), 9 * DAY);
    assert_eq!(table(&report, "sends", ["receipt"]), [s(["B"])]);
    let mut ends = table(&report, "deliveries", ["receipt", "state", "reason"]);
    ends.sort();
    assert_eq!(ends, [s(["A", "dead", "ttl"]), s(["B", "accepted", ""]), s(["T", "dead", "ttl"])]);
}

// ---- providers ----

#[test]
fn a_provider_that_cannot_makes_way_for_the_next() {
    // Three times 503 within 45 seconds: the second provider, the same message, no text.
    let timeline = json!([{"at": at(0), "event": "sale", "receipt": "A", "till": "3", "number": "A", "total": "18.20", "source": "front", "contact": "c1"}]);
    let scenario = json!({"config": config(), "timeline": timeline, "until": at(6 * 3600),
        "contacts": [{"id": "c1", "email": "lee@example.org", "phone": "+12125550150", "preference": ["email", "sms"]}],
        "providers": {"first": {"script": [{"answer": {"status": 503}}]}}});
    let report = run_in(tempfile::tempdir().unwrap().path(), 1, &scenario);
    let sends = table(&report, "sends", ["provider", "attempt", "outcome", "channel"]);
    let retry = |n: &str| s(["first", n, "retry", "email"]);
    assert_eq!(sends, [retry("1"), retry("2"), retry("3"), s(["second", "4", "accepted", "email"])]);
    let ids = table(&report, "sends", ["delivery_id", "message_id"]);
    let intents: BTreeSet<&String> = ids.iter().map(|[_, message]| message).collect();
    assert_eq!(intents.len(), 1, "the same message: {ids:?}");
    assert!(ids[..3].iter().all(|[step, _]| step.ends_with(".10")) && ids[3][0].ends_with(".11"), "{ids:?}");
    assert!(seconds(&rows(&report, "sends")[3]["at"]) <= 45, "{report:#}");
    assert_eq!(report["violations"], json!([]));
}

#[test]
fn a_refused_address_is_written_to_no_more_and_the_text_takes_over() {
    let buy = |seconds: i64, label: &str| json!({"at": at(seconds), "event": "sale", "receipt": label, "till": "3", "number": label, "total": "18.20", "source": "front", "contact": "c1"});
    let scenario = json!({"config": config(), "timeline": [buy(0, "A"), buy(600, "B")], "until": at(3600),
        "contacts": [{"id": "c1", "email": "gone@example.org", "phone": "+12125550150", "preference": ["email", "sms"]}],
        "providers": {"first": {"script": [{"answer": {"refuse": "recipient"}}]}}});
    let report = run_in(tempfile::tempdir().unwrap().path(), 1, &scenario);
    assert_eq!(
        table(&report, "sends", ["receipt", "channel", "to", "outcome"]),
        [
            s(["A", "email", "gone@example.org", "permanent"]),
            s(["A", "sms", "+12125550150", "accepted"]),
            s(["B", "sms", "+12125550150", "accepted"])
        ]
    );
    assert_eq!(table(&report, "suppressions", ["channel", "address", "reason"]), [s(["email", "gone@example.org", "hard_bounce"])]);
    assert_eq!(report["violations"], json!([]));
}

#[test]
fn a_paused_account_is_told_once_and_resumes_when_mended() {
    let mut config = config();
    config["channels"]["email"]["providers"] = json!(["first"]);
    let sales: Vec<Value> = (0..10).map(|n| sale(n * 60, &format!("S{n}"), &format!("c{n}@example.org"))).collect();
    let fixed = json!({"at": at(3000), "event": "credential_fixed", "provider": "first"});
    let scenario = json!({"config": config, "timeline": ([sales, vec![fixed]].concat()), "until": at(7200),
        "providers": {"first": {"script": [{"to": at(2900), "answer": {"status": 401}}]}}});
    let report = run_in(tempfile::tempdir().unwrap().path(), 1, &scenario);
    assert_eq!(table(&report, "alerts", ["alert", "provider", "state"])[0], s(["auth", "first", "raised"]));
    assert_eq!(table(&report, "alerts", ["state"]), [s(["raised"]), s(["resolved"])], "{:#}", report["alerts"]);
    let sent = rows(&report, "sends");
    let refused: Vec<i64> = sent.iter().filter(|x| x["outcome"] == "auth").map(|x| seconds(&x["at"])).collect();
    assert_eq!(refused, [0, 900, 2700], "one real step after 15 min, doubling");
    let good: Vec<i64> = sent.iter().filter(|x| x["outcome"] == "accepted").map(|x| seconds(&x["at"])).collect();
    assert_eq!(good.len(), 10);
    assert!(good.iter().all(|at| (3000..3010).contains(at)), "at once: {good:?}");
    assert!(sent.iter().all(|x| x["attempt"] == 1), "being locked out costs no attempt");
    assert_eq!(report["violations"], json!([]));
}

#[test]
fn a_breaker_spares_a_provider_that_is_down() {
    let mut config = config();
    config["channels"]["email"]["providers"] = json!(["first"]);
    let sales: Vec<Value> = (0..100).map(|n| sale(n, &format!("S{n}"), &format!("c{n}@example.org"))).collect();
    let scenario = json!({"config": config, "timeline": sales, "until": at(3 * 3600),
        "providers": {"first": {"script": [{"to": at(1800), "answer": {"status": 503}}]}}});
    let report = run_in(tempfile::tempdir().unwrap().path(), 1, &scenario);
    let failed = rows(&report, "sends").iter().filter(|x| x["outcome"] == "retry").count();
    assert!((5..=14).contains(&failed), "{failed} attempts in half an hour");
    assert_eq!(table(&report, "alerts", ["alert", "state"]), [s(["provider_down", "raised"]), s(["provider_down", "resolved"])]);
    let accepted: Vec<i64> = rows(&report, "sends").iter().filter(|x| x["outcome"] == "accepted").map(|x| seconds(&x["at"])).collect();
    assert_eq!(accepted.len(), 100);
    let (first, last) = (accepted.iter().min().unwrap(), accepted.iter().max().unwrap());
    assert!(last - first < 900, "what waited for it follows: from {first} to {last}");
    assert_eq!(report["violations"], json!([]));
}

#[test]
fn a_provider_that_asks_to_wait_is_left_alone_so_long() {
    let mut config = config();
    config["channels"]["email"]["providers"] = json!(["first"]);
    let scenario = json!({"config": config, "timeline": [sale(0, "A", "lee@example.org"), sale(5, "B", "bo@example.org")], "until": at(3600),
        "providers": {"first": {"script": [{"nth": 1, "answer": {"status": 429, "headers": {"Retry-After": "40"}}}]}}});
    let report = run_in(tempfile::tempdir().unwrap().path(), 1, &scenario);
    let sends = rows(&report, "sends");
    assert_eq!(table(&report, "sends", ["outcome", "attempt"]), [s(["throttle", "1"]), s(["accepted", "1"]), s(["accepted", "1"])]);
    assert!(sends[1..].iter().all(|x| (40..45).contains(&seconds(&x["at"]))), "{sends:#?}");
}

#[test]
fn a_doubt_is_settled_where_it_arose_or_not_at_all() {
    // The first provider drops repeats; then it fails for long. Another one must never get what the first
    // may have delivered.
    let mut config = config();
    config["providers"]["first"] = json!({"type": "capture"});
    let script = json!([{"nth": 1, "answer": "timeout_after_body"}, {"to": at(4 * 3600), "answer": {"status": 503}}]);
    let buy = json!({"at": at(0), "event": "sale", "receipt": "A", "till": "3", "number": "A", "total": "18.20", "source": "front", "contact": "c1"});
    let scenario = json!({"config": config, "timeline": [buy], "until": at(DAY), "providers": {"first": {"script": script}},
        "contacts": [{"id": "c1", "email": "lee@example.org", "phone": "+12125550150", "preference": ["email", "sms"]}]});
    let report = run_in(tempfile::tempdir().unwrap().path(), 1, &scenario);
    assert_eq!(report["violations"], json!([]), "{report:#}");
    assert!(rows(&report, "sends").iter().all(|x| x["provider"] == "first"), "{report:#}");
    assert_eq!(table(&report, "deliveries", ["channel", "state"]), [s(["email", "accepted"])]);
    // One that drops none: held for a person, and nothing else goes out.
    let held = play(json!([sale(0, "A", "lee@example.org")]), json!({"first": {"script": [{"answer": "timeout_after_body"}]}}), DAY);
    assert_eq!(table(&held, "sends", ["provider", "outcome"]), [s(["first", "uncertain"])]);
    assert_eq!(table(&held, "deliveries", ["state"]), [s(["uncertain"])]);
}

#[test]
fn three_presses_are_one_copy() {
    let press = |seconds: i64| json!({"at": at(seconds), "event": "resend", "receipt": "A", "channel": "email", "address": "new@example.org", "by": "anna"});
    let report = play(json!([sale(0, "A", "lee@example.org"), press(600), press(604), press(609)]), json!({}), 3600);
    assert_eq!(table(&report, "resend_answers", ["result"]), [s(["accepted"]), s(["collapsed"]), s(["collapsed"])]);
    let sends = rows(&report, "sends");
    assert_eq!(
        table(&report, "sends", ["kind", "to", "copy"]),
        [s(["receipt", "lee@example.org", "false"]), s(["resend", "new@example.org", "true"])]
    );
    let marked = |send: &Value| send["text"].as_str().unwrap().to_lowercase().contains("copy");
    assert!(marked(&sends[1]) && !marked(&sends[0]), "{sends:#?}");
    assert!((600..605).contains(&seconds(&sends[1]["at"])), "it leaves at once");
}

// ---- clocks ----

fn step(seconds: i64, by: &str) -> Value {
    json!({"at": at(seconds), "event": "clock_step", "by": by})
}

/// To 1970 and back. 20515 days before 2026-03-03.
const TO_1970: &str = "-20515 d";
const FROM_1970: &str = "20515 d";

fn all_accepted_once(report: &Value, count: usize) {
    let states = table(report, "deliveries", ["receipt", "state", "reason"]);
    assert_eq!(states.len(), count, "{states:?}");
    assert!(states.iter().all(|[_, state, _]| state == "accepted"), "{states:?}");
    assert_eq!(rows(report, "sends").len(), count, "{:#}", report["sends"]);
}

#[test]
fn a_clock_that_begins_in_1970_expires_nothing() {
    // Set right while the agent runs; and set right while it was off.
    for by_restart in [false, true] {
        let mut timeline = vec![step(0, TO_1970), json!({"at": at(0), "event": "restart"}), json!({"at": at(1), "event": "line_down"})];
        timeline.extend((0..20).map(|n| sale(10 + n, &format!("S{n}"), &format!("c{n}@example.org"))));
        match by_restart {
            false => timeline.push(step(3600, FROM_1970)),
            true => timeline.extend([
                json!({"at": at(3600), "event": "power_cut", "during": "idle"}),
                step(3601, FROM_1970),
                json!({"at": at(3602), "event": "boot"}),
            ]),
        }
        timeline.push(json!({"at": at(7200), "event": "line_up"}));
        all_accepted_once(&play(timeline.into(), json!({}), 9000), 20);
    }
}

#[test]
fn a_clock_that_runs_three_years_ahead_expires_nothing() {
    for by_restart in [false, true] {
        let mut timeline = vec![json!({"at": at(0), "event": "line_down"})];
        timeline.extend((0..10).map(|n| sale(10 + n, &format!("S{n}"), &format!("c{n}@example.org"))));
        timeline.push(step(1000, "1095 d"));
        timeline.extend((10..20).map(|n| sale(1100 + n, &format!("S{n}"), &format!("c{n}@example.org"))));
        if by_restart {
            timeline.push(json!({"at": at(1900), "event": "power_cut", "during": "idle"}));
        }
        timeline.push(step(2000, "-1095 d"));
        timeline.push(json!({"at": at(2001), "event": "boot"}));
        timeline.push(json!({"at": at(7200), "event": "line_up"}));
        all_accepted_once(&play(timeline.into(), json!({}), 9000), 20);
    }
}

#[test]
fn a_deadline_counts_from_the_first_clock_that_can_be_believed() {
    let timeline = json!([step(0, TO_1970), {"at": at(0), "event": "restart"}, {"at": at(1), "event": "line_down"}, sale(10, "A", "lee@example.org"),
        step(DAY, FROM_1970), sale(2 * DAY, "B", "bo@example.org"), {"at": at(8 * DAY + 3600), "event": "line_up"}]);
    let report = play(timeline, json!({}), 8 * DAY + 7200);
    let mut ends = table(&report, "deliveries", ["receipt", "state", "reason"]);
    ends.sort();
    assert_eq!(ends, [s(["A", "dead", "ttl"]), s(["B", "accepted", ""])]);
}

#[test]
fn a_fallback_after_the_clock_was_set_is_not_too_late() {
    let buy = json!({"at": at(10), "event": "sale", "receipt": "A", "till": "3", "number": "A", "total": "18.20", "source": "front", "contact": "c1"});
    let timeline = [
        step(0, TO_1970),
        json!({"at": at(0), "event": "restart"}),
        json!({"at": at(1), "event": "line_down"}),
        buy,
        step(3600, FROM_1970),
        json!({"at": at(7200), "event": "line_up"}),
    ];
    let scenario = json!({"config": config(), "timeline": timeline, "until": at(DAY),
        "contacts": [{"id": "c1", "email": "gone@example.org", "phone": "+12125550150", "preference": ["email", "sms"]}],
        "providers": {"first": {"script": [{"answer": {"refuse": "recipient"}}]}}});
    let report = run_in(tempfile::tempdir().unwrap().path(), 1, &scenario);
    assert_eq!(table(&report, "deliveries", ["channel", "state"]), [s(["email", "bounced"]), s(["sms", "accepted"])], "{report:#}");
}
