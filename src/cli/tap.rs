//! `tap decode FILE`: the prints in a recorded stream, each with its kind, text and fields. Needs no agent.

use super::{Failure, exit};
use crate::printer::fields::{self, Reading, Shop};
use crate::printer::profile::Profile;
use crate::printer::{Decoder, Dialect, Job, Multibyte, Settings, paint, report};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The verbs.
#[derive(Subcommand, Debug)]
pub enum TapCommand {
    /// The prints in a recorded stream. Needs no agent.
    Decode(DecodeArgs),
}

/// `tap decode`
#[derive(Args, Debug)]
pub struct DecodeArgs {
    /// What the till sent, as recorded.
    pub file: PathBuf,
    /// The printer's language.
    #[arg(long, value_enum, default_value_t = Language::Auto)]
    pub language: Language,
    /// The code of two-byte text, which a stream cannot name.
    #[arg(long, value_enum)]
    pub multibyte: Option<Code>,
    /// Write the paper as a picture; of several prints the second is OUT-2, and so on.
    #[arg(long, value_name = "OUT.png")]
    pub png: Option<PathBuf>,
    /// Rules for the fields (see `tillpost help tap`); without it the built-in ones.
    #[arg(long, value_name = "P.toml")]
    pub profile: Option<PathBuf>,
    /// Fails unless kinds and fields are as in this file: an earlier answer with `--json`, or a part of it.
    #[arg(long, value_name = "E.json")]
    pub expect: Option<PathBuf>,
}

/// `--language`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)] // their names say it
pub enum Language {
    Escpos,
    Star,
    Auto,
}

/// `--multibyte`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)] // their names say it
pub enum Code {
    #[value(name = "shift_jis")]
    ShiftJis,
    Gb18030,
    Big5,
    EucKr,
}

/// Does it. Prints are told as they are found: a recording may be longer than memory.
pub fn tap(command: &TapCommand, json: bool, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let TapCommand::Decode(args) = command;
    let done = args.prepare().and_then(|mut telling| args.run(&mut telling, json, out));
    match done {
        Ok(()) => exit::DONE,
        Err(failure) => {
            let _ = writeln!(err, "error: {}", failure.text.trim_end()); // a closed pipe is no failure of ours
            failure.code
        }
    }
}

/// What is at hand while prints are told.
struct Telling {
    file: File,
    own: Vec<Profile>,
    built_in: Vec<Profile>,
    expected: Option<Vec<Value>>,
    wrong: Vec<String>,
    count: usize,
}

impl DecodeArgs {
    fn prepare(&self) -> Result<Telling, Failure> {
        let own = match &self.profile {
            None => Vec::new(),
            Some(path) => {
                let text = fs::read_to_string(path).map_err(|e| unreadable(path, &e))?;
                vec![Profile::parse(&text).map_err(|why| unreadable(path, &why))?]
            }
        };
        let expected = self.expect.as_deref().map(expected).transpose()?;
        let file = File::open(&self.file).map_err(|e| unreadable(&self.file, &e))?;
        let built_in = if own.is_empty() { Profile::built_in() } else { Vec::new() };
        Ok(Telling { file, own, built_in, expected, wrong: Vec::new(), count: 0 })
    }

    fn run(&self, telling: &mut Telling, json: bool, out: &mut dyn Write) -> Result<(), Failure> {
        let mut decoder = Decoder::new(self.settings());
        let mut piece = vec![0; 64 * 1024];
        let mut n = telling.file.read(&mut piece).map_err(|e| unreadable(&self.file, &e))?;
        let _ = out.write_all(if json { b"{\"jobs\":[" } else { b"" }); // a closed pipe is no failure of ours
        let mut done = Ok(());
        let mut jobs = Vec::new();
        while n > 0 && done.is_ok() {
            decoder.feed(piece.get(..n).unwrap_or_default(), Duration::ZERO, &mut jobs);
            done = jobs.drain(..).try_for_each(|job| self.tell(telling, &job, json, out));
            match telling.file.read(&mut piece) {
                Ok(more) => n = more,
                Err(why) => done = done.and(Err(unreadable(&self.file, &why))),
            }
        }
        decoder.close(Duration::ZERO, &mut jobs);
        done = done.and_then(|()| jobs.iter().try_for_each(|job| self.tell(telling, job, json, out)));
        let end = match (json, telling.count) {
            (true, _) => "]}\n",
            (false, 0) => "nothing was printed\n",
            _ => "",
        };
        let _ = out.write_all(end.as_bytes());
        done.and_then(|()| telling.verdict())
    }

    fn tell(&self, telling: &mut Telling, job: &Job, json: bool, out: &mut dyn Write) -> Result<(), Failure> {
        let reading = fields::read(job, &telling.own, &telling.built_in, &Shop::default());
        telling.count += 1;
        let mut value = report::json(job, &reading);
        if let (Some(png), Value::Object(value)) = (&self.png, &mut value) {
            let path = numbered(png, telling.count);
            let why = |e: &dyn std::fmt::Display| Failure::new(exit::FAILED, format!("{}: {e}", path.display()));
            fs::write(&path, paint::png(&job.page, paint::WIDE)).map_err(|e| why(&e))?;
            value.insert("png".into(), path.display().to_string().into());
        }
        telling.compare(&value);
        let comma = if telling.count > 1 { "," } else { "" };
        let _ = if json { write!(out, "{comma}{value}") } else { out.write_all(say(telling.count, job, &reading).as_bytes()) };
        Ok(())
    }

    fn settings(&self) -> Settings {
        Settings {
            language: match self.language {
                Language::Auto => None,
                Language::Escpos => Some(Dialect::EscPos),
                Language::Star => Some(Dialect::Star),
            },
            multibyte: self.multibyte.map(|code| match code {
                Code::ShiftJis => Multibyte::ShiftJis,
                Code::Gb18030 => Multibyte::Gb18030,
                Code::Big5 => Multibyte::Big5,
                Code::EucKr => Multibyte::EucKr,
            }),
            ..Settings::default()
        }
    }
}

fn unreadable(path: &Path, why: &dyn std::fmt::Display) -> Failure {
    Failure::new(exit::INVALID, format!("{}: {why}", path.display()))
}

/// `out.png`, `out-2.png`, …
fn numbered(out: &Path, n: usize) -> PathBuf {
    if n == 1 {
        return out.to_owned();
    }
    let stem = out.file_stem().unwrap_or_default().to_string_lossy();
    let ending = out.extension().map(|e| format!(".{}", e.to_string_lossy())).unwrap_or_default();
    out.with_file_name(format!("{stem}-{n}{ending}"))
}

fn say(n: usize, job: &Job, reading: &Reading) -> String {
    let mut out = String::new();
    let profile = reading.profile.as_deref().unwrap_or("none");
    let broken = if job.truncated { ", broken off" } else { "" };
    let bytes = job.range.end - job.range.start;
    let _ = writeln!(out, "--- {n}: {}, {} bytes of {}, profile {profile}{broken}", reading.kind, bytes, job.dialect.word());
    for line in job.text() {
        let _ = writeln!(out, "{line}");
    }
    for (name, value) in &reading.fields {
        let origin = reading.origins.iter().find(|(field, _)| field == name).map(|(_, origin)| origin);
        let place = origin.map(|o| format!("  [{}, line {}, {:.2}]", o.rule, o.line, o.confidence)).unwrap_or_default();
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let _ = writeln!(out, "  {name} = {value}{place}");
    }
    for check in &reading.checks {
        let _ = writeln!(out, "  sum over {}: {}", check.name, if check.ok { "comes out" } else { "does not come out" });
    }
    if !reading.missing.is_empty() {
        let _ = writeln!(out, "  missing: {}", reading.missing.join(", "));
    }
    out
}

/// The prints of an earlier answer.
fn expected(path: &Path) -> Result<Vec<Value>, Failure> {
    let text = fs::read_to_string(path).map_err(|e| unreadable(path, &e))?;
    let value: Value = serde_json::from_str(&text).map_err(|e| unreadable(path, &e))?;
    let list = value.get("jobs").or_else(|| value.get("receipts")).and_then(Value::as_array);
    list.cloned().ok_or_else(|| unreadable(path, &"it has no list `jobs`"))
}

impl Telling {
    /// Holds kind and fields of a print against what was expected of it.
    fn compare(&mut self, found: &Value) {
        let n = self.count;
        let Some(wanted) = self.expected.as_ref().and_then(|all| all.get(n - 1)) else { return };
        let kind = |value: &Value| value.get("kind").cloned().unwrap_or_default();
        if wanted.get("kind").is_some() && kind(wanted) != kind(found) {
            self.wrong.push(format!("print {n}: kind {} instead of {}", kind(found), kind(wanted)));
        }
        for (name, value) in wanted.get("fields").and_then(Value::as_object).into_iter().flatten() {
            let has = found.get("fields").and_then(|fields| fields.get(name)).unwrap_or(&Value::Null);
            if has != value {
                self.wrong.push(format!("print {n}: {name} is {has} instead of {value}"));
            }
        }
    }

    fn verdict(&mut self) -> Result<(), Failure> {
        if let Some(expected) = self.expected.as_ref().filter(|all| all.len() != self.count) {
            self.wrong.push(format!("{} prints instead of {}", self.count, expected.len()));
        }
        if self.wrong.is_empty() {
            return Ok(());
        }
        Err(Failure::new(exit::FAILED, format!("not as expected\n  {}", self.wrong.join("\n  "))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(subcommand)]
        tap: TapCommand,
    }

    /// Exit code, what was said, and the failure.
    fn run(args: &[&str], json: bool) -> (u8, String, String) {
        let Ok(cli) = Cli::try_parse_from(["tap", "decode"].iter().chain(args)) else { panic!("{args:?}") };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = tap(&cli.tap, json, &mut out, &mut err);
        (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    fn parsed(args: &[&str]) -> Value {
        let (code, out, err) = run(args, true);
        assert_eq!((code, err.as_str()), (exit::DONE, ""));
        serde_json::from_str(&out).unwrap()
    }

    fn fixture(name: &str) -> String {
        format!("{}/tests/fixtures/escpos/{name}", env!("CARGO_MANIFEST_DIR"))
    }

    #[test]
    fn samples_give_their_kinds_fields_and_pictures() {
        for name in ["01-codepages", "02-styles", "04-raster-logo", "05-two-copies", "06-grocery-loyalty"] {
            let file = |ending: &str| fixture(&format!("{name}.{ending}"));
            let said = parsed(&[&file("bin"), "--profile", &file("toml"), "--expect", &file("json")]);
            let wanted: Value = serde_json::from_str(&fs::read_to_string(file("json")).unwrap()).unwrap();
            for (job, receipt) in said["jobs"].as_array().unwrap().iter().zip(wanted["receipts"].as_array().unwrap()) {
                assert_eq!(job["fields"], receipt["fields"], "{name}: nothing more, nothing less");
                assert_eq!(job["images"], receipt["images"], "{name}");
                assert_eq!(job["checks"].as_object().unwrap().values().filter(|ok| **ok == Value::Bool(false)).count(), 0, "{name}");
            }
        }
        let plain = parsed(&[&fixture("03-qr-barcode.bin"), "--expect", &fixture("03-qr-barcode.json")]);
        assert_eq!(plain["jobs"][0]["kind"], "unknown");
        assert!(run(&[&fixture("03-qr-barcode.bin")], false).1.contains("{pdf417} PP0441|ZX81-4471|1240"));
    }

    #[test]
    fn pictures_are_written_one_for_each_print() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("slip.png");
        parsed(&[&fixture("05-two-copies.bin"), "--png", &out.display().to_string()]);
        for name in ["slip.png", "slip-2.png"] {
            assert!(fs::read(dir.path().join(name)).unwrap().starts_with(b"\x89PNG"), "{name}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let code = |args: &[&str]| run(args, true).0;
        assert_eq!(code(&["/nowhere/stream.bin"]), exit::INVALID);
        assert_eq!(run(&[env!("CARGO_MANIFEST_DIR")], true).1, "", "nothing is said of a folder");
        assert_eq!(code(&[&fixture("03-qr-barcode.bin"), "--profile", &fixture("03-qr-barcode.txt")]), exit::INVALID);
        assert_eq!(code(&[&fixture("03-qr-barcode.bin"), "--expect", &fixture("02-styles.bin")]), exit::INVALID);
        let (code, _, err) = run(&[&fixture("01-codepages.bin"), "--expect", &fixture("02-styles.json")], false);
        assert_eq!(code, exit::FAILED);
        assert!(err.contains("print 1: total is"), "{err}");
        let (_, out, _) = run(&["/dev/null"], true);
        assert_eq!(out, "{\"jobs\":[]}\n");
        assert!(Cli::try_parse_from(["tap", "decode", "x", "--language", "latin"]).is_err());
    }
}
