//! Any day at all: timelines drawn from a seed, played against the oracle's own books. Nothing is lost, nothing
//! comes twice, nobody is written to who said no, no offer without consent, no text at night.
//!
//! A failure names its seed and prints its scenario, made as short as it stays broken.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use tillpost::app;
use tillpost::domain::time::UnixMs;
use tillpost::sys::random::{Random, SeededRandom};

/// Moments from an afternoon on: 2026-03-03T14:00 in New York and so many seconds.
fn at(seconds: i64) -> String {
    UnixMs(UnixMs::parse_rfc3339("2026-03-03T14:00:00-05:00").unwrap().0 + seconds * 1000).rfc3339()
}

const MAILS: [&str; 4] = ["lee@example.org", "bo@example.org", "gone@example.org", "nora@example.org"];
const PHONES: [&str; 3] = ["+12125550101", "+12125550150", "+13105550199"];

/// What is drawn for one day.
struct Day {
    chance: SeededRandom,
    time: i64,
    labels: Vec<String>,
    timeline: Vec<Value>,
}

impl Day {
    fn pick(&self, n: u64) -> usize {
        self.chance.below(n) as usize
    }

    fn add(&mut self, entry: Value) {
        let mut entry = entry;
        entry["at"] = json!(at(self.time));
        self.timeline.push(entry);
    }

    fn label(&self) -> Option<String> {
        (!self.labels.is_empty()).then(|| self.labels[self.pick(self.labels.len() as u64)].clone())
    }

    fn sale(&mut self) {
        let label = format!("S{}", self.labels.len());
        let mut entry = json!({"event": "sale", "receipt": label, "till": "3", "number": label, "total": "18.20", "source": "front"});
        match self.pick(5) {
            0 => entry["contact"] = json!(["c1", "c2", "c3"][self.pick(3)]),
            1 => {}
            2 => entry["choice"] = json!({"channel": "sms", "address": PHONES[self.pick(3)]}),
            _ => entry["choice"] = json!({"channel": "email", "address": MAILS[self.pick(4)]}),
        }
        if self.pick(3) == 0 {
            entry["event_id"] = json!(format!("e{}", self.pick(6)));
        }
        self.labels.push(label);
        self.add(entry);
    }

    /// The same sale from another source, or told again by its own.
    fn again(&mut self) {
        let Some(first) = self.timeline.iter().rev().find(|e| e["event"] == "sale" && e.get("sale").is_none()).cloned() else { return };
        let mut entry = first;
        // Told later, but of the same moment.
        let label = entry["receipt"].as_str().unwrap().to_owned();
        entry["sale"] = json!({"schema": "tillpost.sale/1", "transaction_type": "sale", "transaction_id": label, "receipt_number": label,
            "receipt_date_time": entry["at"], "business_unit": {"unit_id": "s12"}, "workstation_id": "3", "currency_code": "USD", "tax_included": true,
            "line_items": [{"description": "Sale", "quantity": "1", "extended_amount": "18.20"}],
            "tenders": [{"tender_type": "Cash", "amount": "18.20"}], "totals": {"grand_amount": "18.20"}});
        if self.pick(2) == 0 {
            entry["sale"]["transaction_id"] = json!(format!("sq-{label}"));
            entry["source"] = json!("square");
            entry["receipt"] = json!(format!("{label}-again"));
            entry.as_object_mut().unwrap().remove("event_id");
        }
        self.add(entry);
    }

    /// Something said or done by people.
    fn people(&mut self) {
        let contact = ["c1", "c2", "c3"][self.pick(3)];
        let channel = ["email", "sms"][self.pick(2)];
        let label = self.label();
        match (self.pick(9), label) {
            (0, _) => self.add(
                json!({"event": "inbound_sms", "from": PHONES[self.pick(3)], "text": (["STOP", "START", "thanks", "stop "][self.pick(4)])}),
            ),
            (1, _) => self.add(json!({"event": "unsubscribe", "contact": contact})),
            (2, _) => self.add(json!({"event": "erase", "contact": contact})),
            (3, _) => {
                let state = ["express", "written", "denied", "revoked", "soft"][self.pick(5)];
                self.add(json!({"event": "consent", "contact": contact, "purpose": "marketing", "channel": channel, "state": state}));
            }
            (4 | 5, Some(label)) => {
                let kind = ["hard_bounce", "soft_bounce", "complaint", "delivered", "opened", "unsubscribed"][self.pick(6)];
                let event = format!("b{}", self.pick(8));
                self.add(json!({"event": "report", "receipt": label, "channel": channel, "kind": kind, "event_id": event}));
            }
            (6 | 7, Some(label)) => {
                let address = ["new@example.org", "", PHONES[0], MAILS[0]][self.pick(4)];
                self.add(json!({"event": "resend", "receipt": label, "address": address, "by": "anna"}));
            }
            _ => self.add(json!({"event": "crm_sync_in", "contact": {"id": contact, "email": (MAILS[self.pick(4)]), "language": "de"}})),
        }
    }

    /// Orders, refunds, offers, the evening.
    fn trade(&mut self) {
        let id = format!("K{}", self.pick(2));
        match (self.pick(8), self.label()) {
            (0 | 1, Some(label)) => {
                let kind = ["order.confirmed", "order.partially_shipped", "order.shipped", "order.cancelled"][self.pick(4)];
                let data = json!({"order": {"number": label, "line_items": [{"description": "Tea", "quantity": "2"}]}});
                self.add(json!({"event": "order_status", "type": kind, "receipt": label, "data": data}));
            }
            (2, Some(label)) => self.add(json!({"event": "refund", "receipt": label, "till": "3", "number": format!("{label}r"), "total": "120.00", "source": "front"})),
            (3, _) => {
                let channel = ["email", "sms"][self.pick(2)];
                self.add(json!({"event": "campaign", "id": id, "channel": channel, "audience": ["all"], "template": "offer", "title": "Tea", "text": "Two for one"}));
            }
            (4, _) => self.add(json!({"event": (["campaign_pause", "campaign_resume", "campaign_cancel"][self.pick(3)]), "id": id})),
            (5, _) => self.add(json!({"event": "store_close"})),
            (6, _) => {
                let contact = ["c1", "c2"][self.pick(2)];
                self.add(json!({"event": "password_reset", "contact": contact, "data": {"url": "https://shop.example/reset/k9Qz"}}));
            }
            _ => {}
        }
    }

    /// What happens to the box and its line.
    fn box_and_line(&mut self, line: &mut bool, powered: &mut bool) {
        match self.pick(7) {
            0 | 1 => {
                *line = !*line;
                self.add(json!({"event": if *line { "line_up" } else { "line_down" }}));
            }
            2 => {
                let by = ["-2 h", "3 h", "1095 d", "-1095 d", "-20500 d", "70 s", "-30 min", "40 d"][self.pick(8)];
                self.add(json!({"event": "clock_step", "by": by}));
            }
            3 => {
                *powered = false;
                self.add(json!({"event": "power_cut", "during": (["idle", "before_send", "after_body_sent", "commit"][self.pick(4)])}));
            }
            4 if *powered => self.add(json!({"event": "restart"})),
            5 => self.add(json!({"event": "credential_fixed", "provider": (["first", "second", "text"][self.pick(3)])})),
            _ => {
                *powered = true;
                self.add(json!({"event": "boot"}));
            }
        }
    }

    fn script(&self) -> Value {
        let answer = || {
            [
                json!({"status": 503}),
                json!({"status": 429, "headers": {"Retry-After": "90"}}),
                json!({"status": 401}),
                json!({"status": 502}),
                json!({"status": 422}),
                json!({"refuse": "recipient"}),
                json!({"refuse": "message"}),
                json!("timeout_after_body"),
                json!({"status": 202}),
            ][self.pick(9)]
            .clone()
        };
        // A mailbox that is gone takes nothing, whatever its server's gateway says.
        let mut entries = vec![json!({"match": {"to": "gone@example.org"}, "answer": {"refuse": "recipient"}})];
        entries.extend((0..self.pick(6)).map(|_| json!({"nth": 1 + self.pick(9), "answer": answer()})));
        if self.pick(3) == 0 {
            let from = self.pick(2_000) as i64;
            entries.push(json!({"from": at(from), "to": at(from + 100 + self.pick(900) as i64), "answer": answer()}));
        }
        json!({"script": entries, "latency": (["0 s", "80 ms", "4 s"][self.pick(3)])})
    }
}

fn config(seed: u64) -> Value {
    let mut config = json!({
        "shop": {"id": "s12", "name": "Corner Mart", "country": "US", "region": "US-NY", "timezone": "America/New_York", "email": "hello@cmart.example"},
        "tills": {"front": {"key": "tp_live_simulated_front"}},
        "providers": {"first": {"type": "smtp"}, "second": {"type": "smtp"}, "text": {"type": "twilio"}, "room": {"type": "slack"}},
        "channels": {"email": {"from": "Corner Mart <receipts@cmart.example>", "providers": ["first", "second"]},
            "sms": {"from": "+12125550100", "providers": ["text"]}, "chat": {"providers": ["room"]}},
        "routing": {"reconnect_wait": "0 s", "reconnect_ramp": "0 s", "refund_alert_over": "100.00"},
        "brand": {"promotions": ["Two for one on tea"]},
    });
    // One that drops repeats by key, beside one that does not: what is safe at the one is not at the other.
    if seed.is_multiple_of(3) {
        config["providers"]["first"] = json!({"type": "capture"});
    }
    if seed.is_multiple_of(4) {
        config["providers"]["host"] = json!({"type": "publish"});
        config["channels"]["publish"] = json!({"host": "r.cmart.example", "providers": ["host"]});
    }
    if seed.is_multiple_of(5) {
        config["routing"]["status"] = json!("all");
    }
    config
}

/// A day from a seed.
fn day(seed: u64) -> Value {
    let mut day = Day { chance: SeededRandom::new(seed), time: 0, labels: Vec::new(), timeline: Vec::new() };
    let (mut line, mut powered) = (true, true);
    for _ in 0..6 + day.pick(24) {
        day.time += [0, 0, 1, 3, 40, 100, 700, 900, 7_200, 30_000][day.pick(10)];
        match day.pick(16) {
            0..6 => day.sale(),
            6 => day.again(),
            7..10 => day.people(),
            10..12 => day.trade(),
            _ => day.box_and_line(&mut line, &mut powered),
        }
    }
    day.time += 60;
    day.add(json!({"event": "boot"}));
    day.add(json!({"event": "line_up"}));
    let providers = json!({"first": day.script(), "second": day.script(), "text": day.script(), "room": day.script()});
    json!({"config": config(seed), "timeline": day.timeline, "providers": providers, "until": at(day.time + 900),
        "contacts": [
            {"id": "c1", "email": MAILS[0], "phone": PHONES[1], "preference": ["email", "sms"],
                "consent": [{"purpose": "marketing", "channel": "sms", "state": "written", "at": "2026-01-05T10:00:00Z"}]},
            {"id": "c2", "email": MAILS[1], "phone": PHONES[0], "preference": ["sms", "email"]},
            {"id": "c3", "email": MAILS[3], "phone": PHONES[2], "timezone": "America/Los_Angeles", "preference": ["sms"],
                "consent": [{"purpose": "marketing", "channel": "sms", "state": "written", "at": "2026-01-05T10:00:00Z"}]}]})
}

/// What is broken in a day: what the oracle says, and a sale that two sources told whose customer heard of it twice.
fn broken(folder: &Path, seed: u64, scenario: &Value) -> (Value, Vec<String>) {
    let report =
        tillpost::simulate::run(scenario, &app::kinds(), seed, folder).unwrap_or_else(|e| panic!("seed {seed}: {e}\n{scenario:#}"));
    let mut wrong: Vec<String> = report["violations"].as_array().unwrap().iter().map(ToString::to_string).collect();
    let labels: Vec<&str> = report["receipts"].as_array().unwrap().iter().map(|r| r["receipt"].as_str().unwrap()).collect();
    // The label of a refund stands for its own document.
    let refunded = |first: &str| scenario["timeline"].as_array().unwrap().iter().any(|e| e["event"] == "refund" && e["receipt"] == first);
    let twice = |label: &str| label.strip_suffix("-again").is_some_and(|first| labels.contains(&first) && !refunded(first));
    let told_twice = labels.iter().filter(|label| twice(label));
    wrong.extend(told_twice.map(|label| format!("{label} is a document of its own")));
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(folder.join(format!("shop-{seed}.db{ending}"))); // some are not there
    }
    (report, wrong)
}

/// The shortest timeline, by leaving entries out, that is still broken.
fn shrunk(folder: &Path, seed: u64, scenario: &Value) -> Value {
    let mut least = scenario.clone();
    let mut at = 0;
    while at < least["timeline"].as_array().unwrap().len() {
        let mut shorter = least.clone();
        shorter["timeline"].as_array_mut().unwrap().remove(at);
        if broken(folder, seed, &shorter).1.is_empty() {
            at += 1;
        } else {
            least = shorter;
        }
    }
    least
}

/// How many days; `TILLPOST_SEEDS` says more. In two halves, as there are two cores.
fn seeds() -> u64 {
    std::env::var("TILLPOST_SEEDS").map_or(300, |n| n.parse().expect("a number"))
}

#[test]
fn no_day_breaks_a_promise() {
    days(0..seeds() / 2);
}

#[test]
fn nor_does_any_of_the_other_half() {
    days(seeds() / 2..seeds());
}

fn days(seeds: std::ops::Range<u64>) {
    let folder = tempfile::tempdir().unwrap();
    let mut seen = BTreeMap::<String, u32>::new();
    for seed in seeds.clone() {
        let scenario = day(seed);
        let (report, wrong) = broken(folder.path(), seed, &scenario);
        if !wrong.is_empty() {
            let least = shrunk(folder.path(), seed, &scenario);
            let (report, wrong) = broken(folder.path(), seed, &least);
            let timeline: Vec<String> = least["timeline"].as_array().unwrap().iter().map(ToString::to_string).collect();
            let sent = |s: &Value| format!("{} {} {} {} {} {}", s["at"], s["receipt"], s["kind"], s["channel"], s["to"], s["outcome"]);
            let sends: Vec<String> = report["sends"].as_array().unwrap().iter().map(sent).collect();
            panic!("seed {seed}: {wrong:#?}\nTIMELINE\n{}\nSENDS\n{}\nSCENARIO\n{least}", timeline.join("\n"), sends.join("\n"));
        }
        for send in report["sends"].as_array().unwrap() {
            for name in ["outcome", "kind"] {
                *seen.entry(send[name].as_str().unwrap().to_owned()).or_default() += 1;
            }
        }
        if seed % 20 == 0 {
            let (again, _) = broken(folder.path(), seed, &scenario);
            assert_eq!(report.to_string(), again.to_string(), "seed {seed} gives the same twice");
        }
    }
    println!("{} days: {seen:?}", seeds.end - seeds.start);
    for word in [
        "accepted",
        "retry",
        "uncertain",
        "permanent",
        "receipt",
        "refund",
        "resend",
        "order_status",
        "campaign",
        "digest",
        "staff_event",
        "alert",
    ] {
        assert!(seen.contains_key(word), "the days were too kind, no {word}: {seen:?}");
    }
}
