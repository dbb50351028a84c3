//! `receipt find|list|show|resend`, `explain`.

use super::socket::{encode, look, order, rows, text};
use super::{Failure, Outcome, Said, exit};
use crate::domain::ids::ReceiptId;
use crate::observe::{shown, timeline};
use crate::store::receipts::Find;
use clap::Subcommand;
use serde_json::json;
use std::fmt::Write;
use std::path::Path;

/// The verbs.
#[derive(Subcommand, Debug)]
pub enum ReceiptCommand {
    /// By number, amount, last four digits, name or part of an address.
    Find {
        /// What to look for.
        text: String,
    },
    /// The newest.
    List {
        /// How many.
        #[arg(long, default_value_t = 20)]
        limit: u32,
        /// Only of this till.
        #[arg(long)]
        till: Option<String>,
    },
    /// The whole story of one.
    Show {
        /// Its id.
        id: String,
    },
    /// Send it again.
    Resend {
        /// Its id.
        id: String,
        /// Another address for this once.
        #[arg(long, value_name = "ADDR")]
        to: Option<String>,
        /// email or sms.
        #[arg(long, value_name = "CHANNEL")]
        via: Option<String>,
    },
}

/// Does it.
pub fn receipt(command: &ReceiptCommand, folder: &Path) -> Outcome {
    match command {
        ReceiptCommand::Find { text } => list(folder, text, None, 50),
        ReceiptCommand::List { limit, till } => list(folder, "", till.as_deref(), *limit),
        ReceiptCommand::Show { id } => show(folder, id),
        ReceiptCommand::Resend { id, to, via } => resend(folder, id, to.as_deref(), via.as_deref()),
    }
}

fn list(folder: &Path, wanted: &str, till: Option<&str>, limit: u32) -> Outcome {
    let limit = limit.clamp(1, 200);
    let path = format!("/v1/receipts?limit={limit}&q={}&till={}", encode(wanted), encode(till.unwrap_or_default()));
    let find = Find { text: wanted.to_owned(), till: till.map(str::to_owned), limit, ..Find::default() };
    let json = look(folder, &path, move |read| shown::receipts(read, &find, true))?;
    let mut said = String::new();
    for r in rows(&json, "receipts") {
        let line = format!(
            "{}  {}  {:>10} {}  {:<12} {:<12} {}",
            text(r, "receipt_id"),
            text(r, "at"),
            text(r, "total"),
            text(r, "currency"),
            text(r, "receipt_number"),
            text(r, "state"),
            text(r, "contact")
        );
        let _ = writeln!(said, "{}", line.trim_end());
    }
    if said.is_empty() {
        return Ok(Said { code: exit::NOT_FOUND, ..Said::new(json, format!("no receipt matches {wanted:?}\n")) });
    }
    Ok(Said::new(json, said))
}

fn show(folder: &Path, id: &str) -> Outcome {
    let json = look(folder, &format!("/v1/receipts/{}/timeline", encode(id)), |read| {
        let receipt = ReceiptId::parse(id).map(|id| read.receipt(id)).transpose()?.flatten();
        let entries = receipt.map(|r| timeline::of(read, &r)).transpose()?;
        Ok(json!({"schema": "tillpost.timeline/1", "receipt_id": id, "timeline": entries}))
    })?;
    let entries = rows(&json, "timeline");
    if entries.is_empty() {
        return Err(Failure::new(
            exit::NOT_FOUND,
            format!("there is no receipt {id}\n  fix: look for it with `tillpost receipt find TEXT`"),
        ));
    }
    let mut said = String::new();
    for e in entries {
        let detail = text(e, "detail");
        let _ = writeln!(
            said,
            "{}  {}{}",
            text(e, "at"),
            text(e, "text"),
            if detail.is_empty() { String::new() } else { format!(" ({detail})") }
        );
    }
    Ok(Said::new(json, said))
}

fn resend(folder: &Path, id: &str, to: Option<&str>, via: Option<&str>) -> Outcome {
    let body = json!({"address": to.unwrap_or_default(), "channel": via.unwrap_or_default()});
    let json = order(folder, "POST", &format!("/v1/receipts/{}/resend", encode(id)), Some(&body))?;
    let said = match text(&json, "state") {
        "collapsed" => "the same was asked for a moment ago: nothing new is sent\n".to_owned(),
        _ => format!("queued as {}\nnext: tillpost receipt show {id}\n", text(&json, "message_id")),
    };
    Ok(Said::new(json, said))
}
