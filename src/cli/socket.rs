//! The way to the running agent: its own HTTP interface over the local socket.

use super::{Failure, exit};
use crate::store::{Options, Snapshot, reader};
use serde_json::Value;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long the agent may take to answer.
const TIME: Duration = Duration::from_secs(30);

/// Why there is no answer.
#[derive(Debug)]
pub enum NoAnswer {
    /// Nothing listens.
    NotRunning,
    /// The agent's own refusal.
    Refused(Failure),
}

/// One request to the agent; its JSON answer.
pub fn ask(folder: &Path, method: &str, path: &str, body: Option<&Value>) -> Result<Value, NoAnswer> {
    let mut stream = UnixStream::connect(folder.join("agent.sock")).map_err(|_| NoAnswer::NotRunning)?;
    let failed = |e: std::io::Error| NoAnswer::Refused(Failure::new(exit::UNREACHABLE, format!("the agent does not answer: {e}")));
    stream.set_read_timeout(Some(TIME)).map_err(failed)?;
    let body = body.map(Value::to_string).unwrap_or_default();
    let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: local\r\nConnection: close\r\n{kind}Content-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).map_err(failed)?;
    let mut answer = Vec::new();
    stream.take(64 << 20).read_to_end(&mut answer).map_err(failed)?;
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status: u16 = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    let json: Value = serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned()));
    match status {
        200..=299 => Ok(json),
        _ => Err(NoAnswer::Refused(refusal(status, &json))),
    }
}

/// One that changes something: without an agent it cannot be done.
pub fn order(folder: &Path, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
    ask(folder, method, path, body).map_err(|no| match no {
        NoAnswer::NotRunning => {
            Failure::new(exit::UNREACHABLE, format!("no agent runs on {}\n  fix: start it with `tillpost run`", folder.display()))
        }
        NoAnswer::Refused(failure) => failure,
    })
}

/// One that reads: without an agent the database is opened read-only.
pub fn look(folder: &Path, path: &str, read: impl FnOnce(Snapshot<'_>) -> crate::store::Result<Value>) -> Result<Value, Failure> {
    match ask(folder, "GET", path, None) {
        Ok(json) => Ok(json),
        Err(NoAnswer::Refused(failure)) => Err(failure),
        Err(NoAnswer::NotRunning) => {
            let file = folder.join("tillpost.db");
            if !file.exists() {
                return Err(Failure::new(exit::UNREACHABLE, format!("no agent runs on {} and nothing is stored there", folder.display())));
            }
            eprintln!("note: no agent runs on {}; this is what its database says", folder.display());
            reader::look(&Options::new(file), read).map_err(|e| Failure::new(exit::FAILED, e.to_string()))
        }
    }
}

fn refusal(status: u16, problem: &Value) -> Failure {
    let say = |name: &str| problem.get(name).and_then(Value::as_str).unwrap_or_default();
    let code = match status {
        401 | 403 => exit::FORBIDDEN,
        404 => exit::NOT_FOUND,
        400 | 422 => exit::INVALID,
        _ => exit::FAILED,
    };
    Failure::new(code, format!("{} ({})", say("detail"), say("code")))
}

/// A text made fit for a query.
pub fn encode(text: &str) -> String {
    let keep = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes().map(|b| if keep(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// A member as text.
pub fn text<'a>(row: &'a Value, name: &str) -> &'a str {
    row.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The rows of a list.
pub fn rows<'a>(json: &'a Value, name: &str) -> &'a [Value] {
    json.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}
