//! `cargo bench --bench intake`: what an acknowledged sale costs, beside what the disk and SQLite cost.
//!
//! In each round, one after the other on the same disk with the same bytes: `write` and `fdatasync` for
//! each sale; one row and one commit for each sale in plain SQLite (WAL, `synchronous = FULL`); the real
//! agent over HTTP with one and with 32 kept connections, for sales without an address and for sales that
//! also become a receipt by mail (to the test inbox). A sale counts when its answer "stored" is there.
//! The clients run on the same machine. Figures are medians over the rounds, ratios are taken within a
//! round. Nothing is judged.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a bench may stop"
)]
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock and opens its own files")]

mod agent;

use agent::{Agent, Till, folder, sale, short};
use std::fs::File;
use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

/// Sales per second and how long one took.
struct Measured {
    per_second: f64,
    p50: f64,
    p99: f64,
}

fn measured(mut took: Vec<Duration>, whole: Duration) -> Measured {
    took.sort();
    let ms = |part: f64| took[((took.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
    Measured { per_second: took.len() as f64 / whole.as_secs_f64(), p50: ms(0.50), p99: ms(0.99) }
}

/// Repeats for the given time.
fn repeat(time: Duration, mut once: impl FnMut(usize)) -> Vec<Duration> {
    let start = Instant::now();
    let mut took = Vec::new();
    while start.elapsed() < time {
        let began = Instant::now();
        once(took.len());
        took.push(began.elapsed());
    }
    took
}

fn disk(time: Duration) -> Measured {
    let folder = folder();
    let mut file = File::create(folder.path().join("raw")).unwrap();
    let body = sale(1, 1, true);
    let start = Instant::now();
    let took = repeat(time, |_| {
        file.write_all(body.as_bytes()).unwrap();
        file.sync_data().unwrap();
    });
    measured(took, start.elapsed())
}

fn sqlite(time: Duration) -> Measured {
    let folder = folder();
    let db = rusqlite::Connection::open(folder.path().join("raw.db")).unwrap();
    db.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         CREATE TABLE sale(seq INTEGER PRIMARY KEY, id TEXT UNIQUE, body BLOB);",
    )
    .unwrap();
    let mut insert = db.prepare("INSERT INTO sale(id, body) VALUES (?1, ?2)").unwrap();
    let body = sale(1, 1, true);
    let start = Instant::now();
    let took = repeat(time, |n| {
        insert.execute((format!("17-1-{n:08}"), body.as_bytes())).unwrap();
    });
    measured(took, start.elapsed())
}

fn tillpost(time: Duration, tills: usize, address: bool) -> Measured {
    let folder = folder();
    let agent = Agent::start(folder.path());
    let to = agent.address;
    let start = Instant::now();
    let took: Vec<Duration> = thread::scope(|scope| {
        let run = move |till| {
            let mut connection = Till::new(to);
            repeat(time, |n| connection.post(&sale(till, n, address)))
        };
        let all: Vec<_> = (0..tills).map(|till| scope.spawn(move || run(till))).collect();
        all.into_iter().flat_map(|t| t.join().unwrap()).collect()
    });
    measured(took, start.elapsed())
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

fn main() {
    let (rounds, time) = if short() { (1, Duration::from_millis(200)) } else { (5, Duration::from_secs(2)) };
    let names = [
        "write + fdatasync, one file",
        "plain SQLite, one commit each",
        "Tillpost,  1 connection,  no address",
        "Tillpost,  1 connection,  mailed",
        "Tillpost, 32 connections, no address",
        "Tillpost, 32 connections, mailed",
    ];
    let body = sale(1, 1, true).len();
    println!("{body} bytes a sale, {rounds} rounds of {time:?} each, {} cores", thread::available_parallelism().map_or(1, usize::from));
    let all: Vec<[Measured; 6]> = (0..rounds)
        .map(|_| {
            [
                disk(time),
                sqlite(time),
                tillpost(time, 1, false),
                tillpost(time, 1, true),
                tillpost(time, 32, false),
                tillpost(time, 32, true),
            ]
        })
        .collect();
    println!("{:<38} {:>8} {:>8} {:>8} {:>10} {:>10}", "", "sales/s", "p50 ms", "p99 ms", "x fdatasync", "x SQLite");
    for (i, name) in names.iter().enumerate() {
        let of = |figure: fn(&Measured) -> f64| median(all.iter().map(|round| figure(&round[i])).collect());
        let beside = |anchor: usize| median(all.iter().map(|round| round[i].per_second / round[anchor].per_second).collect());
        println!(
            "{name:<38} {:>8.0} {:>8.2} {:>8.2} {:>11.2} {:>10.2}",
            of(|m| m.per_second),
            of(|m| m.p50),
            of(|m| m.p99),
            beside(0),
            beside(1)
        );
    }
}
