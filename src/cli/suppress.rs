//! `suppress list|add|remove|import|export`.

use super::socket::{encode, look, order, rows, text};
use super::{Failure, Outcome, Said, exit};
use crate::domain::channel::Channel;
use crate::observe::shown;
use crate::store::people::FindSuppressions;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Rows that are sent at once.
const CHUNK: usize = 500;
/// Bytes of a file that is imported.
const MOST: u64 = 64 << 20;

/// The verbs.
#[derive(Subcommand, Debug)]
pub enum SuppressCommand {
    /// Newest first.
    List(Which),
    /// Write to this address no more.
    Add {
        /// email, sms, whatsapp or push.
        channel: String,
        /// In any spelling.
        address: String,
        /// Why; what you do not name is `manual`.
        #[arg(long, default_value = "manual")]
        reason: String,
    },
    /// Take an address off the list. Not one that answered STOP.
    Remove {
        /// email, sms, whatsapp or push.
        channel: String,
        /// In any spelling.
        address: String,
    },
    /// From CSV with the columns channel, address, reason, at. Says what would happen; does it with --apply.
    Import {
        /// The file.
        file: PathBuf,
        /// Do it.
        #[arg(long)]
        apply: bool,
    },
    /// All of them as CSV.
    Export {
        /// The file; standard output without it.
        #[arg(long, short, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

/// Which entries.
#[derive(Args, Debug, Default)]
pub struct Which {
    /// Only of this channel.
    #[arg(long)]
    channel: Option<String>,
    /// Only for this reason.
    #[arg(long)]
    reason: Option<String>,
    /// Part of the address.
    #[arg(long, value_name = "TEXT")]
    find: Option<String>,
    /// How many.
    #[arg(long, default_value_t = 100)]
    limit: u32,
}

/// Does it.
pub fn suppress(command: &SuppressCommand, folder: &Path) -> Outcome {
    match command {
        SuppressCommand::List(which) => list(folder, which),
        SuppressCommand::Add { channel, address, reason } => add(folder, channel, address, reason),
        SuppressCommand::Remove { channel, address } => remove(folder, channel, address),
        SuppressCommand::Import { file, apply } => import(folder, file, *apply),
        SuppressCommand::Export { out } => export(folder, out.as_deref()),
    }
}

fn fetch(folder: &Path, find: FindSuppressions, cursor: &str) -> Result<Value, Failure> {
    let channel = find.channel.map_or("", Channel::word);
    let path = format!(
        "/v1/suppressions?limit={}&channel={channel}&reason={}&q={}&cursor={}",
        find.limit,
        encode(&find.reason),
        encode(&find.text),
        encode(cursor)
    );
    let find = FindSuppressions { after: shown::after(cursor), ..find };
    look(folder, &path, move |read| shown::suppressions(read, &find))
}

fn list(folder: &Path, which: &Which) -> Outcome {
    let channel = which.channel.as_deref().map(|word| {
        Channel::from_word(word).ok_or_else(|| Failure::new(exit::USAGE, format!("{word} is no channel: email, sms, whatsapp, push")))
    });
    let given = |text: &Option<String>| text.clone().unwrap_or_default();
    let find = FindSuppressions {
        channel: channel.transpose()?,
        reason: given(&which.reason),
        text: given(&which.find),
        after: None,
        limit: which.limit.clamp(1, 1_000),
    };
    let json = fetch(folder, find, "")?;
    let mut said = String::new();
    for s in rows(&json, "suppressions") {
        let _ = writeln!(
            said,
            "{}  {:<8} {:<32} {} ({})",
            text(s, "at"),
            text(s, "channel"),
            text(s, "address"),
            text(s, "reason"),
            text(s, "origin")
        );
    }
    if !text(&json, "next").is_empty() {
        said.push_str("there are more: --limit N, or `tillpost suppress export`\n");
    }
    Ok(Said::new(json, said))
}

fn add(folder: &Path, channel: &str, address: &str, reason: &str) -> Outcome {
    let body = json!({"channel": channel, "address": address, "reason": reason});
    let json = order(folder, "POST", "/v1/suppressions", Some(&body))?;
    let said = format!(
        "{} {} is blocked: {}\nnext: tillpost suppress remove {} {} lifts it\n",
        text(&json, "channel"),
        text(&json, "address"),
        text(&json, "reason"),
        text(&json, "channel"),
        text(&json, "address")
    );
    Ok(Said::new(json, said))
}

fn remove(folder: &Path, channel: &str, address: &str) -> Outcome {
    let json = order(folder, "DELETE", "/v1/suppressions", Some(&json!({"channel": channel, "address": address})))?;
    let said = format!(
        "{} {} may be written to again (it was blocked: {})\n",
        text(&json, "channel"),
        text(&json, "address"),
        text(&json, "lifted")
    );
    Ok(Said::new(json, said))
}

fn import(folder: &Path, file: &Path, apply: bool) -> Outcome {
    let unreadable = |why: String| Failure::new(exit::INVALID, format!("{}: {why}", file.display()));
    if std::fs::metadata(file).is_ok_and(|m| m.len() > MOST) {
        return Err(unreadable("it is larger than 64 MiB".into()));
    }
    let content = std::fs::read_to_string(file).map_err(|e| unreadable(e.to_string()))?;
    let read = from_csv(&content).map_err(unreadable)?;
    let (mut added, mut kept, mut faults) = (0, 0, Vec::new());
    for (chunk, entries) in read.chunks(CHUNK).enumerate() {
        let sent: Vec<&Value> = entries.iter().map(|(_, row)| row).collect();
        let json = order(folder, "POST", "/v1/suppressions/import", Some(&json!({"rows": sent, "apply": apply})))?;
        let count = |name: &str| json.get(name).and_then(Value::as_u64).unwrap_or(0);
        (added, kept) = (added + count("added"), kept + count("kept"));
        faults.extend(rows(&json, "faults").iter().map(|fault| by_line(fault, entries)));
        if read.len() > CHUNK {
            eprintln!("{} of {}", (chunk * CHUNK + entries.len()), read.len());
        }
    }
    Ok(imported(apply, added, kept, faults))
}

fn imported(apply: bool, added: u64, kept: u64, faults: Vec<Value>) -> Said {
    let mut said = String::new();
    for fault in &faults {
        let _ = writeln!(said, "line {}: {}", fault.get("line").unwrap_or(&Value::Null), text(fault, "message"));
    }
    let wrong: std::collections::BTreeSet<u64> = faults.iter().filter_map(|f| f.get("line")?.as_u64()).collect();
    let (done, next) = if apply { ("added", "") } else { ("would be added", "nothing was written; next: the same with --apply\n") };
    let _ = write!(said, "{added} {done}, {kept} are blocked already, {} cannot be read\n{next}", wrong.len());
    let code = match (wrong.is_empty(), apply) {
        (true, _) => exit::DONE,
        (false, true) => exit::PARTLY,
        (false, false) => exit::INVALID,
    };
    let json = json!({"schema": "tillpost.suppression-import/1", "applied": apply, "added": added, "kept": kept, "faults": faults});
    Said { code, ..Said::new(json, said) }
}

/// A fault of a row with the line of the file in place of the row of the request.
fn by_line(fault: &Value, entries: &[(u64, Value)]) -> Value {
    let mut parts = text(fault, "pointer").split('/').skip(2);
    let line = parts.next().and_then(|n| n.parse::<usize>().ok()).and_then(|n| entries.get(n)).map(|(line, _)| *line);
    json!({"line": line, "column": parts.next(), "code": text(fault, "code"), "message": text(fault, "message")})
}

fn export(folder: &Path, out: Option<&Path>) -> Outcome {
    let (mut csv, mut all, mut cursor) = ("channel,address,reason,at\n".to_owned(), Vec::new(), String::new());
    loop {
        let json = fetch(folder, FindSuppressions { limit: 1_000, ..FindSuppressions::default() }, &cursor)?;
        for s in rows(&json, "suppressions") {
            let fields = ["channel", "address", "reason", "at"].map(|name| quoted(text(s, name)));
            let _ = writeln!(csv, "{}", fields.join(","));
            all.push(s.clone());
        }
        cursor = text(&json, "next").to_owned();
        if cursor.is_empty() {
            break;
        }
    }
    let json = json!({"schema": "tillpost.suppressions/1", "suppressions": all});
    let Some(path) = out else { return Ok(Said::new(json, csv)) };
    // It names people: for its owner only.
    let failed = |e: std::io::Error| Failure::new(exit::FAILED, format!("{}: {e}", path.display()));
    crate::sys::durable::replace(path, csv.as_bytes()).map_err(failed)?;
    Ok(Said::new(
        json!({"written": all.len(), "file": path.display().to_string()}),
        format!("{} written to {}\n", all.len(), path.display()),
    ))
}

/// A field that is more than a word stands in quotes.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

/// Rows with the line they begin on. The first line names the columns; others than ours are left aside.
fn from_csv(content: &str) -> Result<Vec<(u64, Value)>, String> {
    let content = content.strip_prefix('\u{feff}').unwrap_or(content).replace("\r\n", "\n");
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(content.as_bytes());
    let head: Vec<String> = reader.headers().map_err(|e| e.to_string())?.iter().map(|name| name.trim().to_lowercase()).collect();
    if let Some(missing) = ["channel", "address"].iter().find(|name| !head.iter().any(|h| h == *name)) {
        return Err(format!("the first line must name the columns channel,address,reason,at: {missing} is missing"));
    }
    let mut all = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|e| e.to_string())?;
        let known = head.iter().zip(&record).filter(|(name, _)| ["channel", "address", "reason", "at"].contains(&name.as_str()));
        let row = Value::Object(known.map(|(name, field)| (name.clone(), field.into())).collect());
        all.push((record.position().map_or(0, csv::Position::line), row));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_is_read_with_its_lines() {
        let read =
            from_csv("\u{feff}Address,note,channel\r\n\"a,b@example.org\",\"two\nlines \"\"x\"\"\",email\r\n+16075550100,,sms").unwrap();
        assert_eq!(
            read,
            [(2, json!({"address": "a,b@example.org", "channel": "email"})), (4, json!({"address": "+16075550100", "channel": "sms"}))]
        );
        assert!(from_csv("").unwrap_err().contains("channel is missing"));
        assert!(from_csv("mail\nx").unwrap_err().contains("channel is missing"));
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
    }
}
