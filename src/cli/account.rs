//! `provider list|test|probe|pause|resume`: the accounts of the running agent.

use super::socket::{encode, order, rows, text};
use super::{Failure, Outcome, Said, exit};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;

/// `provider list`
pub fn list(folder: &Path) -> Outcome {
    let json = order(folder, "GET", "/v1/providers", None)?;
    let mut said = String::new();
    for p in rows(&json, "providers") {
        let channels: Vec<&str> = rows(p, "channels").iter().filter_map(Value::as_str).collect();
        let _ = writeln!(said, "{:<16} {:<10} {:<10} {}", text(p, "name"), text(p, "type"), text(p, "state"), channels.join(", "));
        if !text(p, "callback_url").is_empty() {
            let _ = writeln!(said, "{:<16} reports to {}", "", text(p, "callback_url"));
        }
    }
    Ok(Said::new(json, said))
}

/// `provider pause|resume NAME`
pub fn hold(folder: &Path, name: &str, pause: bool) -> Outcome {
    let action = if pause { "pause" } else { "resume" };
    let json = order(folder, "POST", &format!("/v1/providers/{}/{action}", encode(name)), None)?;
    Ok(Said::new(
        json,
        match pause {
            true => format!(
                "nothing goes to {name} until it is resumed; another provider of the channel takes over\nnext: tillpost provider resume {name}\n"
            ),
            false => format!("{name} is tried at once\nnext: tillpost status\n"),
        },
    ))
}

/// `provider test NAME [--to ADDRESS]`
pub fn test(folder: &Path, name: &str, to: Option<&str>) -> Outcome {
    let body = to.map(|to| json!({"to": to}));
    let json = order(folder, "POST", &format!("/v1/providers/{}/test", encode(name)), body.as_ref())?;
    let mut said = findings(&json);
    if !text(&json, "warning").is_empty() {
        let _ = writeln!(said, "note     {}", text(&json, "warning"));
    }
    for (member, what) in [("per_second", "messages a second"), ("left_today", "messages left today")] {
        if let Some(n) = json.get(member).filter(|n| n.is_number()) {
            let _ = writeln!(said, "note     {n} {what}");
        }
    }
    let code = if is_good(&json) { exit::DONE } else { exit::FAILED };
    if is_good(&json) && to.is_none() {
        let _ = writeln!(said, "next: tillpost provider test {name} --to ADDRESS");
    }
    Ok(Said { json, text: said, code })
}

/// `provider probe [NAME]`: one, or all of them.
pub fn probe(folder: &Path, name: Option<&str>) -> Outcome {
    let names: Vec<String> = match name {
        Some(name) => vec![name.to_owned()],
        None => rows(&order(folder, "GET", "/v1/providers", None)?, "providers").iter().map(|p| text(p, "name").to_owned()).collect(),
    };
    if names.is_empty() {
        return Err(Failure::new(exit::NOT_FOUND, "no provider is configured\n  fix: tillpost init"));
    }
    let (mut said, mut all) = (String::new(), Vec::new());
    for name in &names {
        let json = order(folder, "POST", &format!("/v1/providers/{}/probe", encode(name)), None)?;
        let last = rows(&json, "findings").last().cloned().unwrap_or_default();
        let _ = writeln!(said, "{:<16} {:<7} {}", name, if is_good(&json) { "ok" } else { "FAILED" }, text(&last, "say"));
        all.push(json);
    }
    let failed = all.iter().filter(|json| !is_good(json)).count();
    let code = match failed {
        0 => exit::DONE,
        n if n == all.len() => exit::FAILED,
        _ => exit::PARTLY,
    };
    Ok(Said { json: json!({"schema": "tillpost.probes/1", "probes": all}), text: said, code })
}

fn is_good(json: &Value) -> bool {
    json.get("good").and_then(Value::as_bool) == Some(true)
}

fn findings(json: &Value) -> String {
    let mut said = String::new();
    for f in rows(json, "findings") {
        let mark = if is_good(f) { "ok" } else { "FAILED" };
        let _ = writeln!(said, "{:<8} {mark:<7} {}", text(f, "step"), text(f, "say"));
        if !text(f, "fix").is_empty() {
            let _ = writeln!(said, "         fix: {}", text(f, "fix"));
        }
    }
    said
}
