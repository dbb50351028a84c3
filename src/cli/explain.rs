//! `explain ID`: why a receipt or a message took its way, and what comes next.

use super::socket::{encode, look, rows, text};
use super::{Failure, Global, Outcome, Said, exit};
use crate::app;
use crate::config::load;
use crate::observe::explain::{self, Around, result_in_words};
use crate::sys::clock::{Clock, SystemClock};
use serde_json::{Value, json};
use std::fmt::Write;

/// Asks the agent; without one the database is read, by the settings as they are.
pub fn explain(id: &str, global: &Global) -> Outcome {
    let (config, now) = (load(&global.sources(), &app::kinds()).config, SystemClock::new(true).now());
    let json = look(&global.folder(), &format!("/v1/explain/{}", encode(id)), |read| {
        let (Some(config), Some(subject)) = (&config, explain::find(read, id)?) else { return Ok(Value::Null) };
        Ok(json!(explain::read(read, config, now, &Around::default(), &subject)?.explain()))
    });
    let nothing = || {
        let fix = "a receipt's id or number, or the id of a delivery: `tillpost receipt find TEXT`, `tillpost outbox list`";
        Failure::new(exit::NOT_FOUND, format!("there is no receipt or message {id}\n  fix: {fix}"))
    };
    match json {
        Ok(Value::Null) => Err(nothing()),
        Ok(json) => {
            let said = in_text(&json);
            Ok(Said::new(json, said))
        }
        Err(failure) if failure.code == exit::NOT_FOUND => Err(nothing()),
        Err(failure) => Err(failure),
    }
}

fn in_text(json: &Value) -> String {
    let mut said = format!("state: {}\n", text(json, "state"));
    for sentence in rows(json, "sentences") {
        let _ = writeln!(said, "{}", sentence.as_str().unwrap_or_default());
    }
    for d in rows(json, "deliveries") {
        let what = text(d, "kind").replace('_', " ");
        let _ =
            writeln!(said, "\n{what} by {} to {} ({}): {}", text(d, "channel"), text(d, "to"), text(d, "delivery_id"), text(d, "state"));
        for sentence in rows(d, "sentences") {
            let _ = writeln!(said, "  {}", sentence.as_str().unwrap_or_default());
        }
        let _ = writeln!(said, "  next: {}", text(d, "next"));
    }
    let now = rows(json, "would_now");
    if !now.is_empty() {
        let _ = writeln!(said, "\nif the sale came now:");
    }
    for c in now {
        let _ = writeln!(said, "  {:<9} {} (from the {})", text(c, "channel"), result_in_words(text(c, "result")), text(c, "from"));
    }
    said
}
