//! `outbox list|show|retry|hold|release|discard`.

use super::socket::{encode, look, order, rows, text};
use super::{Failure, Global, Outcome, Said, exit};
use crate::domain::delivery::State;
use crate::observe::shown;
use crate::store::outbox::Filter;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::fmt::Write;
use std::io::IsTerminal;
use std::path::Path;

/// The verbs.
#[derive(Subcommand, Debug)]
pub enum OutboxCommand {
    /// Deliveries, newest first.
    List(Which),
    /// One, with its attempts.
    Show {
        /// Its id.
        id: String,
    },
    /// Try again now.
    Retry(Target),
    /// Keep back.
    Hold(Target),
    /// Let go.
    Release(Target),
    /// Give up.
    Discard(Target),
    /// Wait until nothing waits to go out.
    Drain {
        /// How long at most, in seconds.
        #[arg(long, value_name = "SECONDS", default_value_t = 60)]
        wait: u64,
    },
}

/// Which deliveries.
#[derive(Args, Debug, Default)]
pub struct Which {
    /// ready, sending, accepted, retry, held, dead, cancelled, uncertain, delivered, bounced, complained.
    #[arg(long)]
    state: Option<String>,
    /// How many.
    #[arg(long, default_value_t = 50)]
    limit: u32,
}

/// What is acted on: ids, or all of a state.
#[derive(Args, Debug)]
pub struct Target {
    /// Ids of deliveries.
    ids: Vec<String>,
    /// All in this state instead.
    #[arg(long, conflicts_with = "ids")]
    state: Option<String>,
    /// Only say what would be done.
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// Does it.
pub fn outbox(command: &OutboxCommand, global: &Global) -> Outcome {
    let folder = global.folder();
    match command {
        OutboxCommand::List(which) => list(&folder, which),
        OutboxCommand::Show { id } => show(&folder, id),
        OutboxCommand::Retry(target) => act(&folder, global, target, "retry"),
        OutboxCommand::Hold(target) => act(&folder, global, target, "hold"),
        OutboxCommand::Release(target) => act(&folder, global, target, "release"),
        OutboxCommand::Discard(target) => act(&folder, global, target, "discard"),
        OutboxCommand::Drain { wait } => drain(&folder, *wait),
    }
}

fn fetch(folder: &Path, which: &Which) -> Result<Value, Failure> {
    let word = which.state.as_deref().unwrap_or_default();
    let state = match word {
        "" => None,
        word => Some(State::from_word(word).ok_or_else(|| Failure::new(exit::USAGE, format!("{word} is no state")))?),
    };
    let limit = which.limit.clamp(1, 200);
    look(folder, &format!("/v1/outbox?limit={limit}&state={}", encode(word)), move |read| {
        shown::outbox(read, &Filter { state, limit, ..Filter::default() })
    })
}

fn list(folder: &Path, which: &Which) -> Outcome {
    let json = fetch(folder, which)?;
    let mut said = String::new();
    for d in rows(&json, "deliveries") {
        let _ = writeln!(
            said,
            "{}  {:<10} {:<6} {:<24} {} {}",
            text(d, "delivery_id"),
            text(d, "state"),
            text(d, "channel"),
            text(d, "to"),
            text(d, "provider"),
            text(d, "reason")
        );
    }
    if said.is_empty() {
        said.push_str("nothing\n");
    }
    Ok(Said::new(json, said))
}

fn show(folder: &Path, id: &str) -> Outcome {
    let json = look(folder, &format!("/v1/outbox/{}", encode(id)), |read| Ok(shown::delivery_whole(read, id)?.unwrap_or(Value::Null)))?;
    if json.is_null() {
        return Err(Failure::new(exit::NOT_FOUND, format!("there is no delivery {id}")));
    }
    let mut said = format!(
        "{} by {} to {}: {} {}\n",
        text(&json, "kind"),
        text(&json, "channel"),
        text(&json, "to"),
        text(&json, "state"),
        text(&json, "reason")
    );
    for a in rows(&json, "history") {
        let _ = writeln!(
            said,
            "{}  attempt {} at {}: {}/{} {}",
            text(a, "ended_at"),
            a.get("n").unwrap_or(&Value::Null),
            text(a, "provider"),
            text(a, "class"),
            text(a, "scope"),
            text(a, "detail")
        );
    }
    Ok(Said::new(json, said))
}

/// Looks once a second; says every ten how many are left.
fn drain(folder: &Path, wait: u64) -> Outcome {
    for second in 0..=wait {
        let status = order(folder, "GET", "/v1/status", None)?;
        let count = |state: &str| status.pointer(&format!("/outbox/{state}")).and_then(Value::as_i64).unwrap_or(0);
        let left = count("ready") + count("sending") + count("retry");
        if left == 0 {
            return Ok(Said::new(json!({"left": 0}), "nothing waits to go out\n"));
        }
        if second == wait {
            return Ok(Said { code: exit::WAITING, ..Said::new(json!({"left": left}), format!("{left} still wait to go out\n")) });
        }
        if second % 10 == 0 {
            eprintln!("{left} left");
        }
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
    Ok(Said::default())
}

fn act(folder: &Path, global: &Global, target: &Target, action: &str) -> Outcome {
    let ids = match &target.state {
        None => target.ids.clone(),
        Some(state) => {
            let found = fetch(folder, &Which { state: Some(state.clone()), limit: 200 })?;
            rows(&found, "deliveries").iter().map(|d| text(d, "delivery_id").to_owned()).collect()
        }
    };
    if ids.is_empty() {
        return Err(Failure::new(exit::USAGE, format!("nothing to {action}: name ids, or a state with --state")));
    }
    if target.dry_run {
        return Ok(Said::new(json!({"would": action, "ids": ids}), format!("would {action} {}: {}\n", ids.len(), ids.join(" "))));
    }
    if (action == "discard" || ids.len() > 1) && !confirmed(global, action, ids.len()) {
        return Err(Failure::new(exit::USAGE, format!("{action} {} deliveries: say --yes", ids.len())));
    }
    let (mut done, mut failed, mut said) = (Vec::new(), Vec::new(), String::new());
    for id in ids {
        match order(folder, "POST", &format!("/v1/outbox/{}/{action}", encode(&id)), None) {
            Ok(json) => {
                let _ = writeln!(said, "{id}  {}", text(&json, "state"));
                done.push(id);
            }
            Err(failure) if failure.code == exit::UNREACHABLE => return Err(failure),
            Err(failure) => {
                let _ = writeln!(said, "{id}  not done: {}", failure.text);
                failed.push((id, failure.code));
            }
        }
    }
    let code = match (done.is_empty(), failed.first()) {
        (_, None) => exit::DONE,
        (true, Some((_, code))) => *code,
        (false, Some(_)) => exit::PARTLY,
    };
    let failed: Vec<&String> = failed.iter().map(|(id, _)| id).collect();
    Ok(Said { code, ..Said::new(json!({"done": done, "failed": failed}), said) })
}

/// Asks on a terminal; without one `--yes` is needed.
fn confirmed(global: &Global, action: &str, count: usize) -> bool {
    if global.yes {
        return true;
    }
    if !std::io::stdin().is_terminal() {
        return false;
    }
    eprint!("{action} {count} deliveries? [y/N] ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}
