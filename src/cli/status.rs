//! `status`, `event list`.

use super::socket::{look, order, rows, text};
use super::{Failure, Outcome, Said, exit};
use crate::domain::time::{UnixMs, for_people};
use crate::observe::shown;
use serde_json::Value;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

/// `status`
pub fn status(folder: &Path) -> Outcome {
    let now: UnixMs = super::now();
    let json = look(folder, "/v1/status", move |read| shown::backlog(read, now))?;
    let mut said = String::new();
    if let Some(online) = json.get("online").and_then(Value::as_bool) {
        let line = if online { "online" } else { "no internet" };
        let _ = writeln!(said, "line       {line} since {}", text(&json, "since"));
    }
    if json.get("safe_mode").and_then(Value::as_bool) == Some(true) {
        let _ = writeln!(said, "safe mode  sales are stored, nothing is sent; next: tillpost init");
    }
    if json.get("config_last_good").and_then(Value::as_bool) == Some(true) {
        let _ = writeln!(said, "config     the files are wrong: the last good settings hold; next: tillpost config check");
    }
    if !text(&json, "config_problem").is_empty() {
        let _ = writeln!(said, "           {}", text(&json, "config_problem"));
    }
    let restart: Vec<&str> = rows(&json, "config_needs_restart").iter().filter_map(Value::as_str).collect();
    if !restart.is_empty() {
        let _ = writeln!(said, "config     {} changed: that needs a restart", restart.join(", "));
    }
    let counts = json.get("outbox").and_then(Value::as_object);
    let shown: Vec<String> =
        counts.into_iter().flatten().filter(|(_, n)| n.as_i64() != Some(0)).map(|(state, n)| format!("{n} {state}")).collect();
    let _ = writeln!(said, "outbox     {}", if shown.is_empty() { "empty".to_owned() } else { shown.join(", ") });
    if let Some(oldest) = json.get("oldest_s").and_then(Value::as_u64).filter(|s| *s > 0) {
        let _ = writeln!(said, "oldest     waits {}", for_people(Duration::from_secs(oldest)));
    }
    for p in rows(&json, "providers") {
        let _ = writeln!(said, "provider   {} ({}): {}", text(p, "name"), text(p, "type"), text(p, "state"));
    }
    for s in rows(&json, "sources") {
        let label = format!("{} ({})", text(s, "name"), text(s, "type"));
        if let Some(n) = s.get("refused_in_a_row").and_then(Value::as_u64).filter(|n| *n > 0) {
            let _ = writeln!(said, "source     {label}: {n} requests in a row were not authentic");
        }
        if !text(s, "verification_code").is_empty() {
            let _ = writeln!(said, "source     {label}: its vendor wants this code back: {}", text(s, "verification_code"));
        }
    }
    if !text(&json, "version").is_empty() {
        let _ = writeln!(said, "version    {}, config {}", text(&json, "version"), text(&json, "config_version"));
    }
    Ok(Said::new(json, said))
}

/// `event list`
pub fn events(folder: &Path) -> Outcome {
    let json = look(folder, "/v1/events/log", |read| shown::events(read, 100))?;
    let mut said = String::new();
    for e in rows(&json, "events") {
        let _ = writeln!(
            said,
            "{}  {:<12} {:<20} {} {}",
            text(e, "at"),
            text(e, "source"),
            text(e, "type"),
            text(e, "state"),
            text(e, "reason")
        );
    }
    Ok(Said::new(json, said))
}

/// `event show SEQ`
pub fn event(folder: &Path, seq: i64) -> Outcome {
    let json = look(folder, &format!("/v1/events/log/{seq}"), move |read| Ok(shown::event(read, seq)?.unwrap_or(Value::Null)))?;
    if json.is_null() {
        return Err(Failure::new(exit::NOT_FOUND, format!("there is no event {seq}")));
    }
    let said = format!(
        "{}  {}  {}  {} {}\n{}\n",
        text(&json, "at"),
        text(&json, "source"),
        text(&json, "type"),
        text(&json, "state"),
        text(&json, "reason"),
        text(&json, "raw")
    );
    Ok(Said::new(json, said))
}

/// `event replay SEQ`
pub fn replay(folder: &Path, seq: i64) -> Outcome {
    let json = order(folder, "POST", &format!("/v1/events/log/{seq}/replay"), None)?;
    let dry = json.get("dry").and_then(Value::as_bool) == Some(true);
    let mut said = format!("event {seq} is {}\n", text(&json, "state"));
    if dry {
        let _ = writeln!(said, "it was decided before; nothing was done. If it came now:");
        for c in rows(&json, "channels") {
            let _ = writeln!(said, "  {:<9} {}", text(c, "channel"), text(c, "result"));
        }
    }
    Ok(Said::new(json, said))
}
