//! Metrics in Prometheus' text form: counters of what came in and what went out, and how full things are.
//! No label has an address, an id or any other unbounded value.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Counters that no table keeps.
#[derive(Default)]
pub struct Counters {
    /// Posted sales by result.
    pub stored: AtomicU64,
    /// The same sale again.
    pub duplicate: AtomicU64,
    /// Another sale with the same id.
    pub conflict: AtomicU64,
    /// Not a valid sale.
    pub refused: AtomicU64,
    /// Could not be stored.
    pub unavailable: AtomicU64,
    /// No or a wrong key.
    pub unauthorized: AtomicU64,
    /// Too fast.
    pub limited: AtomicU64,
    /// Card numbers and the like that were masked in what tills posted.
    pub masked: AtomicU64,
    /// Calls of providers: by the account's name in the config, and what became of the call.
    pub callbacks: Mutex<BTreeMap<(String, &'static str), u64>>,
    /// How long a bounce that is for good was known elsewhere before it was acted on: how often, and the sum
    /// in seconds.
    pub bounces: (AtomicU64, AtomicU64),
}

/// Requests of one source since the start, by result.
#[derive(Default)]
#[allow(missing_docs)] // the words of the label
pub struct SourceCounters {
    pub accepted: AtomicU64,
    pub duplicate: AtomicU64,
    pub conflict: AtomicU64,
    pub refused: AtomicU64,
    pub unusable: AtomicU64,
    pub unavailable: AtomicU64,
    pub limited: AtomicU64,
    /// Card numbers and the like that were masked.
    pub masked: AtomicU64,
}

/// The requests of sources, after [`text`].
pub fn sources<'a>(all: impl Iterator<Item = (&'a str, &'a SourceCounters)>) -> String {
    let mut out = String::from(
        "# HELP tillpost_source_requests_total Requests of sources by result.\n# TYPE tillpost_source_requests_total counter\n",
    );
    let mut masked = String::from(
        "# HELP tillpost_source_masked_total Card numbers and the like that were masked.\n# TYPE tillpost_source_masked_total counter\n",
    );
    for (name, c) in all {
        for (word, counter) in [
            ("accepted", &c.accepted),
            ("duplicate", &c.duplicate),
            ("conflict", &c.conflict),
            ("refused", &c.refused),
            ("unusable", &c.unusable),
            ("unavailable", &c.unavailable),
            ("limited", &c.limited),
        ] {
            let n = counter.load(Ordering::Relaxed);
            let _ = writeln!(out, "tillpost_source_requests_total{{source=\"{name}\",result=\"{word}\"}} {n}");
        }
        let _ = writeln!(masked, "tillpost_source_masked_total{{source=\"{name}\"}} {}", c.masked.load(Ordering::Relaxed));
    }
    out + &masked
}

impl Counters {
    /// One more.
    pub fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// One more call of a provider. `account` is a name of the config, so that there are only so many.
    pub fn called(&self, account: &str, result: &'static str) {
        let mut all = self.callbacks.lock().unwrap_or_else(PoisonError::into_inner);
        *all.entry((account.to_owned(), result)).or_default() += 1;
    }

    /// A bounce was acted on so long after it happened.
    pub fn bounce_handled(&self, after: Duration) {
        Counters::count(&self.bounces.0);
        self.bounces.1.fetch_add(after.as_secs(), Ordering::Relaxed);
    }
}

/// What a scrape shows, gathered by the caller.
pub struct Scrape<'a> {
    /// Counters of this run.
    pub counters: &'a Counters,
    /// Deliveries by state.
    pub outbox: &'a BTreeMap<&'static str, i64>,
    /// Age of the oldest waiting delivery.
    pub oldest_s: i64,
    /// The line is up.
    pub online: bool,
    /// Each provider and whether it is well.
    pub providers: &'a [(String, &'static str)],
    /// Free bytes of the data directory's file system.
    pub disk_free: u64,
    /// Bytes of the database.
    pub db_bytes: u64,
    /// Pages in the WAL.
    pub wal_pages: i64,
    /// Commits and the units of work in them.
    pub commits: (u64, u64),
    /// Tasks that were started anew.
    pub restarts: u64,
    /// When the process began, in seconds since 1970.
    pub started: i64,
}

/// The text of a scrape.
pub fn text(s: &Scrape<'_>) -> String {
    let mut out = String::with_capacity(4096);
    let mut family = |name: &str, kind: &str, help: &str, rows: Vec<(String, i64)>| {
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in rows {
            let _ = writeln!(out, "{name}{labels} {value}");
        }
    };
    let c = s.counters;
    let counter = |word: &str, value: &AtomicU64| (format!("{{source=\"lan\",result=\"{word}\"}}"), int(value.load(Ordering::Relaxed)));
    family(
        "tillpost_build_info",
        "gauge",
        "The release.",
        vec![(format!("{{version=\"{}\",target=\"{}\"}}", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH), 1)],
    );
    family("tillpost_start_timestamp_seconds", "gauge", "When the agent began.", vec![(String::new(), s.started)]);
    family("tillpost_online", "gauge", "1 while the line is up.", vec![(String::new(), i64::from(s.online))]);
    family(
        "tillpost_ingest_receipts_total",
        "counter",
        "Posted sales by result.",
        vec![
            counter("stored", &c.stored),
            counter("duplicate", &c.duplicate),
            counter("conflict", &c.conflict),
            counter("refused", &c.refused),
            counter("unavailable", &c.unavailable),
            counter("unauthorized", &c.unauthorized),
            counter("limited", &c.limited),
        ],
    );
    let called = c.callbacks.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let called = called.into_iter().map(|((name, word), n)| (format!("{{provider=\"{name}\",result=\"{word}\"}}"), int(n))).collect();
    family("tillpost_webhook_requests_total", "counter", "Calls of providers by what became of them.", called);
    let handled = [("_count", &c.bounces.0), ("_sum", &c.bounces.1)].map(|(end, n)| (end.to_owned(), int(n.load(Ordering::Relaxed))));
    let help = "From a bounce to the moment when it was acted on.";
    family("tillpost_bounce_handling_seconds", "summary", help, handled.to_vec());
    let masked = vec![(String::new(), int(c.masked.load(Ordering::Relaxed)))];
    family("tillpost_ingest_masked_total", "counter", "Card numbers and the like that were masked in what tills posted.", masked);
    let outbox = s.outbox.iter().map(|(state, n)| (format!("{{state=\"{state}\"}}"), *n)).collect();
    family("tillpost_outbox_messages", "gauge", "Deliveries by state; ended ones of the last 24 hours.", outbox);
    family("tillpost_outbox_oldest_age_seconds", "gauge", "Age of the oldest delivery that waits.", vec![(String::new(), s.oldest_s)]);
    let providers = s.providers.iter().map(|(name, word)| (format!("{{provider=\"{name}\"}}"), i64::from(*word == "ok"))).collect();
    family("tillpost_provider_up", "gauge", "1 while a provider takes messages.", providers);
    family("tillpost_disk_free_bytes", "gauge", "Free bytes where the data lies.", vec![(String::new(), int(s.disk_free))]);
    family("tillpost_db_bytes", "gauge", "Bytes of the database.", vec![(String::new(), int(s.db_bytes))]);
    family("tillpost_db_wal_pages", "gauge", "Pages that wait in the write-ahead log.", vec![(String::new(), s.wal_pages)]);
    family("tillpost_db_commits_total", "counter", "Commits.", vec![(String::new(), int(s.commits.0))]);
    family("tillpost_db_units_total", "counter", "Units of work in those commits.", vec![(String::new(), int(s.commits.1))]);
    family("tillpost_task_restarts_total", "counter", "Tasks that were started anew.", vec![(String::new(), int(s.restarts))]);
    out
}

fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
