//! `tillpost config check | show | schema`, and the explanations behind `tillpost help CODE`. Reads,
//! never writes, and never shows a secret.

use crate::config::key::Kinds;
use crate::config::problem::{self, CODES, Code};
use crate::config::{Loaded, Sources, load, schema, show};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::path::Path;

/// Everything is right.
pub const OK: u8 = 0;
/// Something went wrong on this machine.
pub const FAILED: u8 = 1;
/// Wrong usage.
pub const USAGE: u8 = 2;
/// The config is invalid.
pub const INVALID: u8 = 3;

/// `tillpost config check`
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct CheckArgs {
    /// `--json`, as everywhere.
    #[arg(skip)]
    pub json: bool,
}

/// `tillpost config show`
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct ShowArgs {
    /// Say for each value where it comes from.
    #[arg(long)]
    pub origin: bool,
    /// `--json`, as everywhere.
    #[arg(skip)]
    pub json: bool,
}

/// `tillpost config schema`
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct SchemaArgs {
    /// `--json`, as everywhere.
    #[arg(skip)]
    pub json: bool,
}

/// Checks the configuration; 0 where it can be used, warnings or not, else 3.
pub fn check(args: &CheckArgs, sources: &Sources, kinds: &Kinds, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<u8> {
    let loaded = load(sources, kinds);
    let (errors, warnings) = problem::count(&loaded.problems);
    if args.json {
        let mut report = head("tillpost.config-check/1", &loaded);
        put(&mut report, "ok", json!(errors == 0));
        put(&mut report, "errors", json!(errors));
        put(&mut report, "warnings", json!(warnings));
        put(&mut report, "problems", loaded.problems.iter().map(problem::Problem::json).collect());
        writeln!(out, "{report:#}")?;
    } else {
        write!(err, "{}", problem::text(&loaded.problems))?;
        if !loaded.problems.is_empty() {
            writeln!(err)?;
        }
        let counts = format!("{} and {}", plural(errors, "error"), plural(warnings, "warning"));
        match (errors, loaded.files.is_empty()) {
            (0, true) => writeln!(out, "No config file found: Tillpost would keep sales and send nothing. `tillpost init` writes one.")?,
            (0, false) => writeln!(out, "Config is good: {}; {}.", files(&loaded), plural(warnings, "warning"))?,
            _ => writeln!(out, "Config cannot be used: {counts} in {}. `tillpost help CODE` explains a code.", files(&loaded))?,
        }
    }
    Ok(if errors == 0 { OK } else { INVALID })
}

/// Shows what holds, also where it is wrong; then 3, with the problems.
pub fn show(args: &ShowArgs, sources: &Sources, kinds: &Kinds, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<u8> {
    let loaded = load(sources, kinds);
    let rows = show::rows(&loaded.tree, kinds);
    let (errors, _) = problem::count(&loaded.problems);
    if args.json {
        let mut report = head("tillpost.config-show/1", &loaded);
        put(&mut report, "ok", json!(errors == 0));
        put(&mut report, "values", show::json(&rows));
        writeln!(out, "{report:#}")?;
    } else {
        write!(out, "{}", show::text(&rows, args.origin))?;
    }
    if errors > 0 {
        let found: Vec<_> = loaded.problems.iter().filter(|p| p.severity == crate::config::Severity::Error).cloned().collect();
        write!(err, "{}", problem::text(&found))?;
    }
    Ok(if errors == 0 { OK } else { INVALID })
}

/// Prints the JSON Schema of a config file.
pub fn schema(args: &SchemaArgs, kinds: &Kinds, out: &mut dyn Write) -> io::Result<u8> {
    let mut schema = schema::schema(kinds);
    if args.json {
        put(&mut schema, "schema", json!("tillpost.config-schema/1"));
    }
    writeln!(out, "{schema:#}")?;
    Ok(OK)
}

/// What a code means, as `tillpost help CODE` prints it; `None` for a text that is no code of ours.
pub fn help(code: &str) -> Option<String> {
    let Code { code, title, text } = problem::explain(code)?;
    Some(format!("{code}: {title}\n\n{text}\n"))
}

/// Every code with its title, one a line.
pub fn codes() -> String {
    CODES.iter().map(|c| format!("{}  {}\n", c.code, c.title)).collect()
}

fn head(name: &str, loaded: &Loaded) -> Value {
    let files: Vec<_> = loaded.files.iter().map(|f| f.display().to_string()).collect();
    json!({ "schema": name, "safe_mode": files.is_empty(), "files": files })
}

fn put(report: &mut Value, name: &str, value: Value) {
    if let Some(object) = report.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
}

fn files(loaded: &Loaded) -> String {
    let all: Vec<_> = loaded.files.iter().map(|f: &std::path::PathBuf| shown(f)).collect();
    if all.is_empty() { "environment and flags".to_owned() } else { all.join(", ") }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn plural(n: usize, word: &str) -> String {
    if n == 1 { format!("1 {word}") } else { format!("{n} {word}s") }
}
