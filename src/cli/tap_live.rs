//! `tap list`, `tap sniff`, `tap record`: prints as they come, from the running agent or straight from a port.
//! Straight from a port it only reads.

use super::socket::{self, rows, text};
use super::tap::say;
use super::{Failure, Said, exit};
use crate::printer::fields::{self, Shop};
use crate::printer::profile::Profile;
use crate::printer::{Decoder, Job, Settings, report};
use crate::sources::tap::port::{Line, Port};
use crate::sys::clock::{Clock, SystemClock};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::Args;
use serde_json::Value;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// `tap sniff`
#[derive(Args, Debug)]
pub struct SniffArgs {
    /// The tap's name in the config; may be left out where there is one.
    pub name: Option<String>,
    #[command(flatten)]
    straight: Straight,
    /// Ends after so many prints.
    #[arg(long, value_name = "N")]
    pub prints: Option<u64>,
}

/// `tap record`
#[derive(Args, Debug)]
pub struct RecordArgs {
    /// Where the bytes go; it must not be there yet.
    pub file: PathBuf,
    /// The tap's name in the config; may be left out where there is one.
    pub name: Option<String>,
    #[command(flatten)]
    straight: Straight,
    /// Ends after so many prints.
    #[arg(long, value_name = "N")]
    pub prints: Option<u64>,
}

/// A port without an agent.
#[derive(Args, Debug)]
struct Straight {
    /// Listen on this serial port, without an agent.
    #[arg(long, value_name = "DEVICE")]
    port: Option<PathBuf>,
    /// Its speed; without it the usual ones are tried until there is text.
    #[arg(long, requires = "port")]
    baud: Option<u32>,
}

/// Speeds that printers are set to, the usual first.
const SPEEDS: [u32; 7] = [9600, 19200, 38400, 115_200, 57600, 4800, 2400];
/// Bytes after which a speed is judged.
const SAMPLE: usize = 64;

/// What is done with a print: told, or written down.
enum Goes<'o> {
    Told { json: bool, out: &'o mut dyn Write },
    File(File),
}

impl Goes<'_> {
    fn job(&mut self, job: &Job, stream: &[u8], n: u64) -> Result<(), Failure> {
        match self {
            Goes::File(file) => write_down(file, stream),
            Goes::Told { json, out } => {
                let reading = fields::read(job, &[], &Profile::built_in(), &Shop::default());
                let n = usize::try_from(n).unwrap_or(usize::MAX);
                let text = if *json { format!("{}\n", report::json(job, &reading)) } else { say(n, job, &reading) };
                told(*out, &text)
            }
        }
    }

    fn print(&mut self, print: &Value) -> Result<(), Failure> {
        match self {
            Goes::File(file) => write_down(file, &BASE64_STANDARD.decode(text(print, "stream")).unwrap_or_default()),
            Goes::Told { json: true, out } => told(*out, &format!("{print}\n")),
            Goes::Told { out, .. } => told(*out, &in_words(print)),
        }
    }
}

fn write_down(file: &mut File, bytes: &[u8]) -> Result<(), Failure> {
    file.write_all(bytes).map_err(|e| Failure::new(exit::FAILED, format!("it cannot be written: {e}")))
}

/// Says it. A closed pipe is the end.
fn told(out: &mut dyn Write, text: &str) -> Result<(), Failure> {
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|_| Failure::new(exit::DONE, ""))
}

/// `tap list`
pub fn list(folder: &Path) -> super::Outcome {
    let json = socket::order(folder, "GET", "/v1/taps", None)?;
    let mut said = String::new();
    for tap in rows(&json, "taps") {
        let count = |name: &str| tap.get(name).and_then(Value::as_u64).unwrap_or(0);
        let why = [text(tap, "listens"), text(tap, "why")].into_iter().filter(|t| !t.is_empty()).collect::<Vec<_>>().join(", ");
        let (name, kind, state) = (text(tap, "name"), text(tap, "type"), text(tap, "state"));
        let _ = writeln!(said, "{name:16} {kind:12} {state:10} {:>6} prints {:>10} bytes  {why}", count("prints"), count("bytes"));
    }
    if said.is_empty() {
        said.push_str("there is no tap in the config\n");
    }
    Ok(Said::new(json, said))
}

/// `tap sniff`
pub fn sniff(args: &SniffArgs, folder: &Path, json: bool, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), Failure> {
    follow(args.name.as_deref(), &args.straight, args.prints, folder, &mut Goes::Told { json, out }, err)
}

/// `tap record`
pub fn record(args: &RecordArgs, folder: &Path, err: &mut dyn Write) -> Result<(), Failure> {
    let file = File::create_new(&args.file).map_err(|e| Failure::new(exit::FAILED, format!("{}: {e}", args.file.display())))?;
    follow(args.name.as_deref(), &args.straight, args.prints, folder, &mut Goes::File(file), err)
}

fn follow(
    name: Option<&str>,
    straight: &Straight,
    most: Option<u64>,
    folder: &Path,
    into: &mut Goes<'_>,
    err: &mut dyn Write,
) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::new(exit::FAILED, e.to_string());
    let Some(port) = &straight.port else { return follow_agent(name, most, folder, into, err) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(follow_port(&port.display().to_string(), straight.baud, most, into, err))
}

/// Prints of the running agent, one a line.
fn follow_agent(name: Option<&str>, most: Option<u64>, folder: &Path, into: &mut Goes<'_>, err: &mut dyn Write) -> Result<(), Failure> {
    let name = match name {
        Some(name) => name.to_owned(),
        None => only(&socket::order(folder, "GET", "/v1/taps", None)?)?,
    };
    let gone = |e: std::io::Error| Failure::new(exit::UNREACHABLE, format!("the agent does not answer: {e}"));
    let mut stream = UnixStream::connect(folder.join("agent.sock")).map_err(gone)?;
    // The older protocol: the lines come as they are, and the end of the connection is their end.
    let request = format!("GET /v1/taps/{}/live HTTP/1.0\r\nHost: local\r\n\r\n", socket::encode(&name));
    stream.write_all(request.as_bytes()).map_err(gone)?;
    let mut lines = BufReader::new(stream).lines();
    let status = lines.next().transpose().map_err(gone)?.unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        return Err(Failure::new(exit::NOT_FOUND, format!("there is no tap {name}\n  fix: `tillpost tap list` shows them")));
    }
    let _ = writeln!(err, "listening to {name}; Ctrl-C ends it"); // a closed pipe is no failure of ours
    let mut n = 0;
    for line in lines {
        let line = line.map_err(gone)?;
        let Some(print) = serde_json::from_str::<Value>(&line).ok().filter(Value::is_object) else { continue }; // a header
        into.print(&print)?;
        n += u64::from(print.get("kind").is_some());
        if most.is_some_and(|most| n >= most) {
            break;
        }
    }
    Ok(())
}

fn only(taps: &Value) -> Result<String, Failure> {
    let names: Vec<&str> = rows(taps, "taps").iter().map(|tap| text(tap, "name")).collect();
    match names.as_slice() {
        [one] => Ok((*one).to_owned()),
        [] => Err(Failure::new(exit::NOT_FOUND, "there is no tap in the config\n  fix: give --port, or see `tillpost help taps`")),
        _ => Err(Failure::new(exit::USAGE, format!("name one of the taps: {}", names.join(", ")))),
    }
}

async fn follow_port(path: &str, baud: Option<u32>, most: Option<u64>, into: &mut Goes<'_>, err: &mut dyn Write) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::new(exit::FAILED, format!("{path}: {e}"));
    let line = |baud| Line { baud, data_bits: 8, odd: None, two_stops: false };
    let clock = SystemClock::new(true);
    let now = || Duration::from_millis(clock.now().mono.0);
    let mut speeds = SPEEDS.into_iter().cycle();
    let mut speed = baud.or_else(|| speeds.next()).unwrap_or(9600);
    let mut port = Port::open(path, line(speed), false).map_err(failed)?;
    let mut known = baud.is_some();
    let _ = writeln!(err, "listening on {path} at {speed} baud; Ctrl-C ends it"); // a closed pipe is no failure of ours
    let (mut decoder, mut stream, mut from, mut n) = (Decoder::new(Settings::default()), Vec::new(), 0, 0);
    let mut piece = [0; 256];
    loop {
        let mut jobs = Vec::new();
        let wait = decoder.deadline().map_or(Duration::from_secs(3600), |at| at.saturating_sub(now()));
        tokio::select! {
            read = port.read(&mut piece) => {
                let bytes = piece.get(..read.map_err(failed)?).unwrap_or_default();
                stream.extend_from_slice(bytes);
                decoder.feed(bytes, now(), &mut jobs);
            }
            () = tokio::time::sleep(wait) => decoder.tick(now(), &mut jobs),
        }
        if !known && stream.len() >= SAMPLE {
            known = is_text(&stream);
            if known {
                let _ = writeln!(err, "{speed} baud gives text"); // the same
            } else {
                speed = speeds.next().unwrap_or(9600);
                let _ = writeln!(err, "no text; trying {speed} baud"); // the same
                drop(port);
                port = Port::open(path, line(speed), false).map_err(failed)?;
                (decoder, from) = (Decoder::new(Settings::default()), 0);
                stream.clear();
                continue;
            }
        }
        for job in jobs {
            let place = |at: u64| usize::try_from(at.saturating_sub(from)).unwrap_or(usize::MAX).min(stream.len());
            let (start, end) = (place(job.range.start), place(job.range.end));
            n += 1;
            into.job(&job, stream.get(start..end).unwrap_or_default(), n)?;
            stream.drain(..end);
            from = job.range.end;
            if most.is_some_and(|most| n >= most) {
                return Ok(());
            }
        }
        if stream.len() > 16 << 20 {
            return Err(Failure::new(exit::FAILED, format!("{path}: a print without an end")));
        }
    }
}

/// Whether bytes are what a till sends, not what a wrong speed makes of it.
fn is_text(bytes: &[u8]) -> bool {
    let good = bytes.iter().filter(|b| matches!(**b, b' '..=b'~' | b'\n' | b'\r' | 0x1b | 0x1d)).count();
    good * 10 >= bytes.len() * 7
}

fn in_words(print: &Value) -> String {
    let Some(kind) = print.get("kind").and_then(Value::as_str) else { return format!("{print}\n") };
    let mut out = String::new();
    let receipt = print.get("receipt_id").and_then(Value::as_str);
    let became = receipt.map_or_else(|| format!("no receipt: {}", text(print, "no_sale")), |id| format!("receipt {id}"));
    let _ = writeln!(out, "--- {} {}: {kind}, {became}", text(print, "started_at"), text(print, "tap"));
    for line in rows(print, "text") {
        let _ = writeln!(out, "{}", line.as_str().unwrap_or_default());
    }
    let fields = print.get("fields").and_then(Value::as_object);
    for (name, value) in fields.into_iter().flatten() {
        let _ = writeln!(out, "  {name} = {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_wrong_speed_is_told_from_text() {
        assert!(is_text(b"\x1b@Corner Mart\n1 Main Street\nTOTAL   5.30\n"));
        let noise: Vec<u8> = (0..64u32).map(|n| (n * 157 % 251) as u8 | 0x80).collect();
        assert!(!is_text(&noise));
    }

    #[test]
    fn a_print_is_told_with_what_became_of_it() {
        let print = json!({"kind": "sale", "tap": "front", "started_at": "t", "receipt_id": null, "no_sale": "total was not found",
            "text": ["Corner Mart"], "fields": {"till": "1"}});
        assert_eq!(in_words(&print), "--- t front: sale, no receipt: total was not found\nCorner Mart\n  till = 1\n");
    }
}
