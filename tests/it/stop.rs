//! Starts and stops that are not the usual ones: an attempt in flight, a damaged file, a full quota.

use crate::agent::{Setup, sale, until};
use crate::sink::Sink;
use serde_json::json;
use std::fs;

#[test]
fn a_stop_waits_for_what_is_in_flight_and_records_it() {
    let sink = Sink::start();
    let mut agent = Setup::mailing(&sink).start();
    sink.gate(true);
    agent.sold(&sale("R-1", "lee@example.org"));
    until("the mail waits for its answer", || (sink.seen("data-end") == 1).then_some(()));
    agent.terminate();
    // It takes no more sales, and still waits for the answer.
    until("its door is closed", || agent.line.sell(&sale("R-2", ""), crate::agent::KEY).is_none().then_some(()));
    assert!(agent.ended().is_none(), "it ended before the answer: {}", agent.said());
    sink.gate(false);
    let status = until("it ends", || agent.ended());
    assert_eq!(status.code(), Some(0), "{}", agent.said());
    agent.start();
    assert_eq!((agent.state("R-1").as_str(), agent.counts()["uncertain"].as_i64()), ("accepted", Some(0)));
    assert_eq!(sink.about("R-1").len(), 1);
    agent.stop();
}

#[test]
fn a_damaged_database_is_set_aside_and_sales_are_taken() {
    let mut agent = Setup::silent().start();
    agent.sold(&sale("R-1", ""));
    agent.kill();
    let database = agent.data().join("tillpost.db");
    fs::remove_file(agent.data().join("tillpost.db-wal")).unwrap();
    fs::write(&database, b"these are not the bytes of a database".repeat(300)).unwrap();
    agent.start();
    assert_eq!(agent.sell(&sale("R-2", "")).status, 200);
    let aside: Vec<_> = fs::read_dir(agent.data().join("quarantine")).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(aside.len(), 1);
    assert!(fs::read(aside[0].join("tillpost.db")).unwrap().starts_with(b"these are not"), "it is kept whole");
}

#[test]
fn a_page_that_rots_is_found_after_an_unclean_stop() {
    let mut agent = Setup::silent().start();
    for n in 0..40 {
        agent.sold(&sale(&format!("R-{n}"), ""));
    }
    agent.stop(); // moves everything into the file
    let database = agent.data().join("tillpost.db");
    let mut bytes = fs::read(&database).unwrap();
    let pages = bytes.len() / 4096;
    // Every page but the first few, so that no start that reads little can miss it.
    bytes[6 * 4096..].iter_mut().step_by(7).for_each(|b| *b ^= 0x5a);
    assert!(pages > 20, "{pages} pages");
    fs::write(&database, bytes).unwrap();
    fs::write(agent.data().join("running"), b"").unwrap();
    // It may end to start anew with the file set aside; the one who watches it starts it again.
    let mut command = agent.command(&["run"]);
    let log = agent.data().join("rotten");
    let mut child = command.stderr(fs::File::create(&log).unwrap()).spawn().unwrap();
    let status = until("the damage is found", || child.try_wait().unwrap());
    assert_ne!(status.code(), Some(0), "{}", fs::read_to_string(&log).unwrap());
    agent.start();
    assert!(agent.data().join("quarantine").exists());
    assert_eq!(agent.sell(&sale("R-new", "")).status, 200);
}

#[test]
fn a_full_quota_is_said_and_nothing_that_was_taken_is_lost() {
    let agent = Setup::silent().set("agent", "disk_budget = \"2 MiB\"").start();
    let mut taken = Vec::new();
    let refused = (0..3000).find_map(|n| {
        let mut sale = sale(&format!("R-{n}"), "");
        // Letters that deflate cannot make small.
        let mut word = n as u64 + 1;
        let noise: String = (0..6000)
            .map(|_| {
                word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                char::from(b'!' + ((word >> 33) % 90) as u8)
            })
            .filter(|c| !"\"\\<>".contains(*c))
            .collect();
        sale["note"] = json!(noise);
        let answer = agent.sell(&sale);
        if answer.status == 200 {
            taken.push(n);
            return None;
        }
        Some(answer)
    });
    let refused = refused.expect("2 MiB are full at last");
    assert_eq!((refused.status, &refused.json()["code"]), (503, &json!("disk_full")), "{refused:?}");
    assert!(refused.headers["retry-after"].parse::<u32>().unwrap() > 0);
    assert!(taken.len() > 50, "{} were taken", taken.len());
    assert_eq!(agent.get("/healthz").status, 200);
    assert_eq!(agent.receipts(&format!("R-{}", taken[0])).len(), 1, "look-ups work");
    assert_eq!(agent.json(&["receipt", "list", "--limit", "200"])["receipts"].as_array().unwrap().len(), taken.len().min(200));
    for n in &taken {
        assert_eq!(agent.receipts(&format!("t-R-{n}")).len(), 1, "R-{n} was acknowledged");
    }
}
