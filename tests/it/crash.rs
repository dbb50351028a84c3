//! kill -9 at any moment, and orderly stops at any moment, while tills post and mail flows.
//!
//! The oracle knows what was acknowledged and what the mail server took, nothing of the agent's ways.
//! `TILLPOST_KILLS` makes the loop longer.

use crate::agent::{Agent, KEY, Setup, sale, until};
use crate::sink::Sink;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;
use tillpost::sys::random::{Random, SeededRandom};

const TILLS: usize = 4;
/// Attempts at once, as configured.
const IN_FLIGHT: usize = 2;

/// Runs the tills while `disturb` does its worst; gives the numbers of all acknowledged sales.
fn while_tills_post(agent: &mut Agent, disturb: impl FnOnce(&mut Agent)) -> BTreeSet<String> {
    let (line, next, over) = (agent.line.clone(), AtomicU32::new(0), AtomicBool::new(false));
    let acknowledged = Mutex::new(BTreeSet::new());
    thread::scope(|scope| {
        for _ in 0..TILLS {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let number = format!("K-{:05}", next.fetch_add(1, Ordering::Relaxed));
                    let sale = sale(&number, &format!("{}@example.org", number.to_lowercase()));
                    // As tills do: again until it is acknowledged.
                    while line.sell(&sale, KEY).is_none_or(|a| a.status != 200) {
                        if over.load(Ordering::Relaxed) {
                            return;
                        }
                        thread::sleep(Duration::from_millis(20)); // a till's pause
                    }
                    acknowledged.lock().unwrap().insert(number);
                    thread::sleep(Duration::from_millis(15)); // the next customer
                }
            });
        }
        disturb(agent);
        over.store(true, Ordering::Relaxed);
    });
    acknowledged.into_inner().unwrap()
}

/// How often each number arrived.
fn arrivals(sink: &Sink) -> BTreeMap<String, usize> {
    let mut arrived = BTreeMap::new();
    for mail in sink.mails() {
        let number = mail.to.split('@').next().unwrap().to_uppercase();
        assert!(mail.text().contains(&number), "the mail to {} is about its own sale", mail.to);
        *arrived.entry(number).or_default() += 1;
    }
    arrived
}

/// Waits until nothing is open; gives the numbers that the agent calls uncertain.
fn settle(agent: &Agent) -> BTreeSet<String> {
    until("everything is out", || {
        let counts = agent.counts();
        ["ready", "sending", "retry"].iter().all(|s| counts[s] == 0).then_some(())
    });
    let list = agent.json(&["outbox", "list", "--state", "uncertain", "--limit", "200"]);
    let rows = list["deliveries"].as_array().unwrap();
    rows.iter().map(|d| d["to"].as_str().unwrap().split('@').next().unwrap().to_uppercase()).collect()
}

fn check(agent: &Agent, sink: &Sink, acknowledged: &BTreeSet<String>, uncertain: &BTreeSet<String>) {
    let arrived = arrivals(sink);
    let twice: Vec<_> = arrived.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "arrived more than once: {twice:?}");
    for number in acknowledged {
        assert_eq!(agent.receipts(number).len(), 1, "{number} was acknowledged: one receipt");
        assert!(arrived.contains_key(number) || uncertain.contains(number), "{number} neither arrived nor is it called uncertain");
    }
}

#[test]
fn kill_9_loses_nothing_and_doubles_nothing() {
    let kills: u64 = std::env::var("TILLPOST_KILLS").map_or(40, |n| n.parse().expect("a number"));
    let sink = Sink::start();
    sink.slow(12);
    let mut agent = Setup::mailing(&sink).set("http", "rate_limit = \"2000/s\"").start();
    let chance = SeededRandom::new(7);
    let acknowledged = while_tills_post(&mut agent, |agent| {
        for _ in 0..kills {
            thread::sleep(Duration::from_millis(20 + chance.below(400))); // the moment of the kill is the test
            agent.kill();
            agent.start();
        }
    });
    let uncertain = settle(&agent);
    check(&agent, &sink, &acknowledged, &uncertain);
    assert!(uncertain.len() <= IN_FLIGHT * kills as usize, "{} uncertain after {kills} kills", uncertain.len());
    assert!(acknowledged.len() > kills as usize, "only {} sales: the test tests little", acknowledged.len());
    let doubtful = uncertain.iter().filter(|n| arrivals(&sink).contains_key(*n)).count();
    println!("{kills} kills, {} acknowledged, {} uncertain ({doubtful} of them arrived)", acknowledged.len(), uncertain.len());
    agent.stop();
}

#[test]
fn orderly_restarts_leave_no_doubt() {
    let sink = Sink::start();
    sink.slow(12);
    let mut agent = Setup::mailing(&sink).set("http", "rate_limit = \"2000/s\"").start();
    let chance = SeededRandom::new(8);
    let acknowledged = while_tills_post(&mut agent, |agent| {
        for _ in 0..12 {
            thread::sleep(Duration::from_millis(20 + chance.below(400))); // the moment of the stop is the test
            agent.stop();
            agent.start();
        }
    });
    let uncertain = settle(&agent);
    assert!(uncertain.is_empty(), "uncertain after orderly stops: {uncertain:?}");
    check(&agent, &sink, &acknowledged, &uncertain);
    assert!(acknowledged.len() > 50, "only {} sales: the test tests little", acknowledged.len());
}
