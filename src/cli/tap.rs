//! `tap decode FILE`: the prints in a recorded stream, each with its kind, text and fields. Needs no agent.

use super::{Failure, Outcome, Said, exit};
use crate::printer::fields::{self, Reading, Shop};
use crate::printer::profile::Profile;
use crate::printer::{Decoder, Dialect, Job, Multibyte, Settings, paint, report};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Read;
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

/// Does it.
pub fn tap(command: &TapCommand) -> Outcome {
    let TapCommand::Decode(args) = command;
    args.run()
}

impl DecodeArgs {
    fn run(&self) -> Outcome {
        let own = match &self.profile {
            None => Vec::new(),
            Some(path) => {
                let text = fs::read_to_string(path).map_err(|e| unreadable(path, &e))?;
                vec![Profile::parse(&text).map_err(|why| unreadable(path, &why))?]
            }
        };
        let built_in = if own.is_empty() { Profile::built_in() } else { Vec::new() };
        let mut jobs = Vec::new();
        let mut text = String::new();
        for job in self.jobs()? {
            let reading = fields::read(&job, &own, &built_in, &Shop::default());
            let mut value = report::json(&job, &reading);
            let n = jobs.len() + 1;
            if let (Some(out), Value::Object(value)) = (&self.png, &mut value) {
                let path = numbered(out, n);
                fs::write(&path, paint::png(&job.page, paint::WIDE)).map_err(|e| failed(&path, &e))?;
                value.insert("png".into(), path.display().to_string().into());
            }
            say(&mut text, n, &job, &reading);
            jobs.push(value);
        }
        if jobs.is_empty() {
            text.push_str("nothing was printed\n");
        }
        let json = json!({"jobs": jobs});
        match &self.expect {
            Some(path) => expect(path, json, text),
            None => Ok(Said::new(json, text)),
        }
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

    fn jobs(&self) -> Result<Vec<Job>, Failure> {
        let mut file = File::open(&self.file).map_err(|e| unreadable(&self.file, &e))?;
        let mut decoder = Decoder::new(self.settings());
        let mut jobs = Vec::new();
        let mut piece = vec![0; 64 * 1024];
        loop {
            let n = file.read(&mut piece).map_err(|e| unreadable(&self.file, &e))?;
            if n == 0 {
                break;
            }
            decoder.feed(piece.get(..n).unwrap_or_default(), Duration::ZERO, &mut jobs);
        }
        decoder.close(Duration::ZERO, &mut jobs);
        Ok(jobs)
    }
}

fn unreadable(path: &Path, why: &dyn std::fmt::Display) -> Failure {
    Failure::new(exit::INVALID, format!("{}: {why}", path.display()))
}

fn failed(path: &Path, why: &dyn std::fmt::Display) -> Failure {
    Failure::new(exit::FAILED, format!("{}: {why}", path.display()))
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

fn say(out: &mut String, n: usize, job: &Job, reading: &Reading) {
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
}

/// Holds kinds and fields against what was expected.
fn expect(path: &Path, json: Value, text: String) -> Outcome {
    let wanted = fs::read_to_string(path).map_err(|e| unreadable(path, &e))?;
    let wanted: Value = serde_json::from_str(&wanted).map_err(|e| unreadable(path, &e))?;
    let list = |value: &Value| value.get("jobs").or_else(|| value.get("receipts")).and_then(Value::as_array).cloned().unwrap_or_default();
    let (wanted, found) = (list(&wanted), list(&json));
    let mut wrong = Vec::new();
    if wanted.len() != found.len() {
        wrong.push(format!("{} prints instead of {}", found.len(), wanted.len()));
    }
    for (n, (wanted, found)) in wanted.iter().zip(&found).enumerate() {
        if wanted.get("kind").is_some_and(|kind| Some(kind) != found.get("kind")) {
            let kind = |value: &Value| value.get("kind").cloned().unwrap_or_default();
            wrong.push(format!("print {}: kind {} instead of {}", n + 1, kind(found), kind(wanted)));
        }
        for (name, value) in wanted.get("fields").and_then(Value::as_object).into_iter().flatten() {
            let has = found.get("fields").and_then(|fields| fields.get(name)).unwrap_or(&Value::Null);
            if has != value {
                wrong.push(format!("print {}: {name} is {has} instead of {value}", n + 1));
            }
        }
    }
    if wrong.is_empty() {
        return Ok(Said::new(json, text));
    }
    Err(Failure::new(exit::FAILED, format!("not as expected\n  {}", wrong.join("\n  "))))
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

    fn run(args: &[&str]) -> Outcome {
        let Ok(cli) = Cli::try_parse_from(["tap", "decode"].iter().chain(args)) else { panic!("{args:?}") };
        tap(&cli.tap)
    }

    fn fixture(name: &str) -> String {
        format!("{}/tests/fixtures/escpos/{name}", env!("CARGO_MANIFEST_DIR"))
    }

    #[test]
    fn samples_give_their_kinds_fields_and_pictures() {
        for name in ["01-codepages", "02-styles", "04-raster-logo", "05-two-copies", "06-grocery-loyalty"] {
            let file = |ending: &str| fixture(&format!("{name}.{ending}"));
            let said = run(&[&file("bin"), "--profile", &file("toml"), "--expect", &file("json")]).unwrap();
            let wanted: Value = serde_json::from_str(&fs::read_to_string(file("json")).unwrap()).unwrap();
            for (job, receipt) in said.json["jobs"].as_array().unwrap().iter().zip(wanted["receipts"].as_array().unwrap()) {
                assert_eq!(job["fields"], receipt["fields"], "{name}: nothing more, nothing less");
                assert_eq!(job["images"], receipt["images"], "{name}");
                assert_eq!(job["checks"].as_object().unwrap().values().filter(|ok| **ok == Value::Bool(false)).count(), 0, "{name}");
            }
        }
        let plain = run(&[&fixture("03-qr-barcode.bin"), "--expect", &fixture("03-qr-barcode.json")]).unwrap();
        assert_eq!(plain.json["jobs"][0]["kind"], "unknown");
        assert!(plain.text.contains("{pdf417} PP0441|ZX81-4471|1240"));
    }

    #[test]
    fn pictures_are_written_one_for_each_print() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("slip.png");
        run(&[&fixture("05-two-copies.bin"), "--png", &out.display().to_string()]).unwrap();
        for name in ["slip.png", "slip-2.png"] {
            assert!(fs::read(dir.path().join(name)).unwrap().starts_with(b"\x89PNG"), "{name}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        assert_eq!(run(&["/nowhere/stream.bin"]).unwrap_err().code, exit::INVALID);
        let toml = fixture("03-qr-barcode.txt");
        assert_eq!(run(&[&fixture("03-qr-barcode.bin"), "--profile", &toml]).unwrap_err().code, exit::INVALID);
        let other = fixture("02-styles.json");
        let said = run(&[&fixture("01-codepages.bin"), "--expect", &other]).unwrap_err();
        assert_eq!(said.code, exit::FAILED);
        assert!(said.text.contains("print 1: total is"), "{}", said.text);
        assert!(Cli::try_parse_from(["tap", "decode", "x", "--language", "latin"]).is_err());
    }
}
