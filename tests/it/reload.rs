//! Settings that change while the agent runs: right ones hold from the next sale and the next attempt on,
//! wrong ones change nothing, and nothing is lost or sent twice over it.

use crate::agent::{Agent, Setup, sale, until};
use crate::sink::Sink;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tillpost::app;
use tillpost::config::checked::Rate;
use tillpost::config::{Config, load};
use tillpost::dispatch::line::Line;
use tillpost::dispatch::{Core, Facts, Finished, Start, TEST_INBOX};
use tillpost::domain::delivery::State;
use tillpost::domain::ids::ReceiptId;
use tillpost::domain::outcome::{Class, Outcome, Scope};
use tillpost::domain::time::UnixMs;
use tillpost::pipeline::Rules;
use tillpost::pipeline::intake::{self, Posted};
use tillpost::sources::lan;
use tillpost::store::inbox::Body;
use tillpost::store::outbox::Filter;
use tillpost::store::writer::WriterCore;
use tillpost::store::{Durability, Options};
use tillpost::sys::clock::{Mono, Now};
use tillpost::sys::device_key::DeviceKey;
use tillpost::sys::random::SeededRandom;

fn file(agent: &Agent) -> PathBuf {
    agent.data().with_file_name("tillpost.toml")
}

fn status(agent: &Agent) -> Value {
    agent.get("/v1/status").json()
}

/// Writes the config and says so; waits until it was looked at.
fn reload(agent: &Agent, text: &str, done: impl Fn(&Value) -> bool) {
    fs::write(file(agent), text).unwrap();
    agent.hang_up();
    until("the change was looked at", || done(&status(agent)).then_some(()));
}

#[test]
fn a_change_in_mid_flight_loses_nothing_and_doubles_nothing() {
    let (old, new) = (Sink::start(), Sink::start());
    let agent = Setup::mailing(&old).start();
    let before = fs::read_to_string(file(&agent)).unwrap();
    let version = status(&agent)["config_version"].clone();
    old.gate(true);
    for n in 1..=6 {
        agent.sold(&sale(&format!("R-70{n}"), &format!("c{n}@example.org")));
    }
    until("two are in flight and wait for the last word", || (old.seen("data-end") == 2).then_some(()));

    let text = before.replace(&format!("port = {}", old.port()), &format!("port = {}", new.port()));
    let text = format!("{text}[[routing.hold]]\nwhen = \"domain == 'hold.example'\"\nreason = \"strange\"\n");
    reload(&agent, &text, |s| s["config_version"] != version);
    agent.sold(&sale("R-707", "x@hold.example"));
    assert!(new.mails().is_empty(), "all slots are taken by what is in flight");
    old.gate(false);
    until("all six arrived", || (old.mails().len() + new.mails().len() >= 6).then_some(()));
    until("the new rule holds for the next sale", || (agent.state("R-707") == "held").then_some(()));
    until("nothing is on its way", || (agent.counts()["accepted"] == 6).then_some(()));
    assert_eq!((old.mails().len(), new.mails().len()), (2, 4), "what was in flight ended where it began");
    for n in 1..=6 {
        let number = format!("R-70{n}");
        assert_eq!(old.about(&number).len() + new.about(&number).len(), 1, "{number}");
    }

    // A broken file changes nothing, and is said.
    let version = status(&agent)["config_version"].clone();
    reload(&agent, &text.replace("timezone = ", "timezone = \"Mars\" #"), |s| s["config_problem"].is_string());
    let said = status(&agent);
    assert_eq!((&said["config_version"], &said["config_last_good"]), (&version, &json!(true)));
    assert!(agent.get("/r").body.contains("The config files are wrong"));
    assert!(agent.cli(&["status"]).1.contains("the files are wrong"));
    assert!(agent.said().contains("going on with the one that holds"), "{}", agent.said());
    agent.sold(&sale("R-708", "c8@example.org"));
    until("sales go on", || new.about("R-708").pop());

    // A file that is gone is a mistake too.
    fs::remove_file(file(&agent)).unwrap();
    agent.hang_up();
    until("that was seen", || status(&agent)["config_problem"].as_str().filter(|p| !p.contains("Mars")).map(str::to_owned));

    // Right again; what cannot change while it runs is named.
    let text = text.replace("listen = \"127.0.0.1:0\"", "listen = \"127.0.0.1:1\"");
    reload(&agent, &text, |s| s["config_problem"].is_null());
    let said = status(&agent);
    assert_eq!((&said["config_last_good"], &said["config_needs_restart"]), (&json!(false), &json!(["http.listen"])));
    assert!(agent.cli(&["status"]).1.contains("http.listen changed: that needs a restart"));
    assert_eq!(agent.counts()["uncertain"], 0);
}

#[test]
fn changed_files_are_taken_by_themselves() {
    let sink = Sink::start();
    let agent = Setup::mailing(&sink).start();
    let templates = file(&agent).with_file_name("templates");
    fs::create_dir(&templates).unwrap();
    fs::write(templates.join("receipt.subject.txt.j2"), "Thank you for {{ number }}\n").unwrap();
    let part = file(&agent).with_file_name("conf.d");
    fs::create_dir(&part).unwrap();
    fs::write(part.join("10-key.toml"), "[tills.second]\nkey = \"tp_live_second_till_of_it\"\n[templates]\ndir = \"../templates\"\n")
        .unwrap();
    until("the new till may post", || {
        agent.line.sell(&sale("R-1", "lee@example.org"), "tp_live_second_till_of_it").filter(|a| a.status == 200)
    });
    let subject = |number: &str| until("the mail", || sink.about(number).pop()).header("Subject").unwrap();
    assert!(subject("R-1").starts_with("Thank you for R-1"), "{}", subject("R-1"));

    // A template alone.
    fs::write(templates.join("receipt.subject.txt.j2"), "Bought: {{ number }}, and so on\n").unwrap();
    let mut n = 1;
    until("the new template holds", || {
        n += 1;
        let number = format!("R-1{n:03}");
        agent.sold(&sale(&number, "lee@example.org"));
        subject(&number).starts_with("Bought").then_some(())
    });
}

/// A box in one thread, whose providers drop a repeat that carries the same id.
struct Shop {
    writer: WriterCore,
    core: Core,
    at: u64,
    composer: Arc<tillpost::compose::Composer>,
}

impl Shop {
    fn now(&mut self) -> Now {
        self.at += 60_000;
        Now { wall: UnixMs(1_790_000_000_000 + self.at as i64), mono: Mono(self.at), good: true }
    }

    fn step(&mut self, finished: &[Finished]) -> Vec<Start> {
        let now = self.now();
        self.writer.run(|tx| self.core.step(tx, now, finished)).unwrap().starts
    }

    fn reload(&mut self, order: &[&str], host: &str) {
        let now = self.now();
        self.core.reload(config(order, host), facts(), self.composer.clone(), now);
    }
}

fn config(order: &[&str], host: &str) -> Arc<Config> {
    let config = json!({
        "shop": {"id": "s12", "country": "US"}, "tills": {"front": {"key": "tp_live_simulated_front"}},
        "providers": {"a": {"type": "smtp", "host": host}, "b": {"type": "smtp", "host": "b.example"}},
        "channels": {"email": {"from": "receipts@cmart.example", "providers": order}},
    });
    Arc::new(load::from_json(&config, &app::kinds(), true).unwrap_or_else(|p| panic!("{p:?}")))
}

fn facts() -> BTreeMap<String, Facts> {
    let one = |kind: &str| Facts {
        kind: kind.to_owned(),
        safe_by_key: true,
        local: true,
        lookup: None,
        keeps_content: false,
        rate: Rate::per_second(1000),
        concurrency: 2,
    };
    [("a", "smtp"), ("b", "smtp"), (TEST_INBOX, "capture")].map(|(name, kind)| (name.to_owned(), one(kind))).into()
}

#[test]
fn what_may_have_arrived_is_repeated_under_its_id_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let first = config(&["a", "b"], "a.example");
    let (chance, key) = (Arc::new(SeededRandom::new(7)), Arc::new(DeviceKey::new([7; 32])));
    let options = Options { durability: Durability::Simulated, ..Options::new(folder.path().join("tillpost.db")) };
    let composer = Arc::new(app::composer(&first).unwrap());
    let start = Now { wall: UnixMs(1_790_000_000_000), mono: Mono(0), good: true };
    let line = Line::new(start, Duration::ZERO);
    let core = Core::new(first.clone(), facts(), composer.clone(), key.clone(), chance.clone(), line, start);
    let mut shop = Shop { writer: WriterCore::open(&options).unwrap(), core, at: 0, composer };
    let bytes = sale("P-1", "lee@example.org").to_string().into_bytes();
    let posted = Posted {
        document: None,
        body: Body::pack(&bytes),
        sale: lan::sale(&bytes).unwrap().value,
        content: [1; 16],
        receipt_id: ReceiptId::new(start.wall.0, [5; 10]),
        idempotency_key: None,
        event_id: None,
    };
    let rules = Rules { config: first.clone(), key, random: chance };
    shop.writer.run(|tx| intake::keep_sale(tx, &rules.at(start), &intake::origin_of(&first, "front"), &posted)).unwrap();

    let mut starts = shop.step(&[]);
    let sent = starts.remove(0);
    let id = sent.delivery.step_id();
    assert_eq!(sent.provider, "a");
    // The line was cut after the body: it may be there.
    let no_answer = |start| Finished { start, outcome: Outcome::new(Class::Retry, Scope::Message, "no answer"), content: None };
    shop.reload(&["b", "a"], "a.example");
    shop.step(&[no_answer(sent)]);
    let mut again = shop.step(&[]);
    assert_eq!(
        (again.len(), again[0].provider.as_str(), again[0].delivery.step_id()),
        (1, "a", id),
        "in another order it is the same repeat"
    );

    // Another account under the same name does not know what the first one has.
    shop.reload(&["b", "a"], "elsewhere.example");
    shop.step(&[no_answer(again.remove(0))]);
    assert!(shop.step(&[]).is_empty());
    let held = shop.writer.run(|tx| tx.read().deliveries(&Filter { limit: 9, ..Filter::default() })).unwrap();
    assert_eq!((held.len(), held[0].state, held[0].reason.as_str()), (1, State::Held, "provider_changed"));
}
