//! The command line: against a running agent over its socket, and without one.

use crate::agent::{Setup, sale, until};
use crate::sink::Sink;
use serde_json::{Value, json};
use std::fs;

#[test]
fn the_command_line_reads_and_acts_through_the_agent() {
    let sink = Sink::start();
    let agent = Setup::mailing(&sink).set("routing", "retry = [\"1 h\"]").start();
    let id = agent.sold(&sale("R-1", "lee@example.org"));
    until("it is accepted", || (agent.state("R-1") == "accepted").then_some(()));
    // What people read.
    for (args, words) in [
        (vec!["status"], vec!["outbox     1 accepted", "main (smtp): ok", "online"]),
        (vec!["receipt", "find", "R-1"], vec![&id, "12.99", "accepted", "lee@example.org"]),
        (vec!["receipt", "find", "lee@"], vec![&id]),
        (vec!["receipt", "list"], vec![&id]),
        (vec!["receipt", "show", &id], vec!["Received and stored", "Handed to main"]),
        (vec!["outbox", "list"], vec!["accepted", "lee@example.org", "main"]),
        (vec!["explain", &id], vec!["state: accepted", "it goes this way", "next: "]),
        (vec!["event", "list"], vec!["sale.completed", "front", "done"]),
        (vec!["suppress", "list"], vec![]),
        (vec!["provider", "list"], vec!["main", "smtp"]),
    ] {
        let (code, out, err) = agent.cli(&args);
        assert_eq!(code, 0, "{args:?}: {err}");
        for word in words {
            assert!(out.contains(word), "{args:?} says {word}: {out}");
        }
        let machine: Value = agent.json(&args);
        assert!(machine.is_object() || machine.is_array(), "{args:?}: {machine}");
    }

    // Hold, release, discard: of one that waits for its next try.
    sink.script("rcpt", &[Some("451 4.2.1 busy"), Some("451 4.2.1 busy")]);
    agent.sold(&sale("R-2", "bo@example.org"));
    until("it waits", || (agent.state("R-2") == "retry").then_some(()));
    let waiting = agent.delivery_in("retry");
    assert_eq!(agent.json(&["outbox", "hold", &waiting])["done"], json!([waiting]));
    assert_eq!(agent.state("R-2"), "held");
    assert_eq!(agent.json(&["outbox", "show", &waiting])["reason"], "by owner");
    assert_eq!(agent.cli(&["outbox", "release", &waiting]).0, 0);
    until("it waits again", || (agent.state("R-2") == "retry" && sink.seen("rcpt") == 3).then_some(()));
    assert_eq!(agent.cli(&["outbox", "retry", &agent.delivery_in("retry")]).0, 0);
    until("it is accepted", || (agent.state("R-2") == "accepted").then_some(()));
    sink.script("rcpt", &[Some("451 4.2.1 busy")]);
    agent.sold(&sale("R-3", "di@example.org"));
    until("it waits", || (agent.state("R-3") == "retry").then_some(()));
    let third = agent.delivery_in("retry");
    assert_eq!(agent.cli(&["outbox", "discard", &third]).0, 2, "a question that nobody answers");
    assert_eq!(agent.cli(&["outbox", "discard", &third, "--dry-run"]).0, 0);
    assert_eq!(agent.state("R-3"), "retry");
    assert_eq!(agent.cli(&["outbox", "discard", "--state", "retry", "--yes"]).0, 0);
    assert_eq!(agent.state("R-3"), "cancelled");
    assert_eq!(agent.cli(&["outbox", "release", &third]).0, 1, "what is cancelled stays so");

    // Exit codes of failures; standard output stays empty.
    for (args, code) in [
        (vec!["outbox", "list", "--state", "gone"], 2),
        (vec!["outbox", "list", "--nonsense"], 2),
        (vec!["nonsense"], 2),
        (vec!["receipt", "resend", &id, "--to", "x@y.example", "--via", "smoke"], 3),
        (vec!["receipt", "show", "01kavnosuchreceipt0000000000"], 5),
        (vec!["receipt", "resend", "01kavnosuchreceipt0000000000"], 5),
        (vec!["outbox", "show", "tp_00000000000000000000000000.10"], 5),
        (vec!["provider", "resume", "nobody"], 5),
    ] {
        let (was, out, err) = agent.cli(&args);
        assert_eq!((was, out.as_str()), (code, ""), "{args:?}: {err}");
        assert!(err.contains("error"), "{args:?}: {err}");
    }
    assert_eq!(agent.cli(&["receipt", "find", "no such thing"]).0, 5);
}

#[test]
fn without_an_agent_the_database_is_only_read() {
    let sink = Sink::start();
    for orderly in [true, false] {
        let mut agent = Setup::mailing(&sink).start();
        let number = format!("R-{orderly}");
        let id = agent.sold(&sale(&number, "lee@example.org"));
        until("it is accepted", || (agent.state(&number) == "accepted").then_some(()));
        if orderly {
            agent.stop()
        } else {
            agent.kill()
        }
        let files = || ["tillpost.db", "tillpost.db-wal"].map(|name| fs::read(agent.data().join(name)).unwrap_or_default());
        let before = files();
        assert_eq!(agent.json(&["status"])["outbox"]["accepted"], 1);
        assert_eq!(agent.json(&["receipt", "find", &number])["receipts"][0]["receipt_id"], json!(id));
        assert_eq!(agent.json(&["outbox", "list"])["deliveries"][0]["state"], "accepted");
        assert_eq!(agent.json(&["event", "list"])["events"][0]["type"], "sale.completed");
        assert_eq!(agent.json(&["suppress", "list"])["suppressions"], json!([]));
        let (code, out, err) = agent.cli(&["receipt", "show", &id]);
        assert_eq!(code, 0, "{err}");
        assert!(out.contains("Handed to main") && err.contains("no agent runs"), "{out}{err}");
        let (code, out, _) = agent.cli(&["explain", &number]);
        assert!(code == 0 && out.contains("was accepted") && out.contains("next: Nothing"), "{out}");
        for args in [
            vec!["receipt", "resend", &id],
            vec!["outbox", "discard", "tp_0.10", "-y"],
            vec!["provider", "list"],
            vec!["suppress", "add", "email", "x@example.org"],
        ] {
            assert_eq!(agent.cli(&args).0, 6, "{args:?}");
        }
        assert!(files() == before, "the database was written to");
    }
}

#[test]
fn a_second_agent_is_refused() {
    let agent = Setup::silent().start();
    let log = agent.data().join("second");
    let mut second = agent.command(&["run"]).stderr(fs::File::create(&log).unwrap()).spawn().unwrap();
    let status = until("the second one ends", || second.try_wait().unwrap());
    assert_eq!(status.code(), Some(1));
    assert!(fs::read_to_string(log).unwrap().contains("another tillpost is running"));
    assert_eq!(agent.sell(&sale("R-1", "")).status, 200, "the first one goes on");
    assert_eq!(agent.json(&["status"])["outbox"]["dead"], 0, "its socket is still its own");
}

#[test]
fn what_came_in_is_shown_and_never_decided_twice() {
    let sink = Sink::start();
    let agent = Setup::mailing(&sink).start();
    agent.sold(&sale("R-9", "kim@example.org"));
    let (code, out, err) = agent.cli(&["outbox", "drain", "--wait", "20"]);
    assert_eq!(code, 0, "{out}{err}");
    let (code, out, _) = agent.cli(&["event", "show", "1"]);
    assert!(code == 0 && out.contains("\"R-9\""), "the bytes as they came: {out}");
    let replayed = agent.json(&["event", "replay", "1"]);
    assert_eq!((&replayed["dry"], &replayed["state"]), (&json!(true), &json!("done")));
    assert_eq!(replayed["channels"][0]["result"], "chosen");
    assert_eq!(agent.receipts("R-9").len(), 1);
    assert_eq!(agent.cli(&["event", "show", "99"]).0, 5);
    assert_eq!(agent.cli(&["event", "replay", "99"]).0, 5);
    // Nobody listens: what waits goes on waiting, and the exit code says so.
    sink.script("rcpt", &[Some("451 4.2.1 busy")]);
    agent.sold(&sale("R-10", "bo@example.org"));
    until("it waits", || (agent.state("R-10") == "retry").then_some(()));
    assert_eq!(agent.cli(&["outbox", "drain", "--wait", "0"]).0, 9);
}
