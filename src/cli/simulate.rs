//! `simulate FILE…`: a shop in a file.

use super::exit;
use crate::app;
use crate::simulate;
use clap::Args;
use serde_json::Value;
use std::io::Write;
use std::path::PathBuf;

/// `simulate`
#[derive(Args, Debug)]
pub struct SimulateArgs {
    /// Scenarios as JSON.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The same seed gives the same output.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print each send as it happens, to standard error.
    #[arg(long)]
    trace: bool,
}

/// Plays each file; one JSON value for each. Exit 1 where a promise was broken.
pub fn simulate(args: &SimulateArgs, _json: bool, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let mut code = exit::DONE;
    for file in &args.files {
        match play(file, args.seed) {
            Ok(report) => {
                if args.trace {
                    for send in report.get("sends").and_then(Value::as_array).into_iter().flatten() {
                        let _ = writeln!(err, "{send}");
                    }
                }
                let broken = report.get("violations").and_then(Value::as_array).is_some_and(|v| !v.is_empty());
                if broken {
                    code = exit::FAILED;
                }
                let _ = writeln!(out, "{report}");
            }
            Err(why) => {
                let _ = writeln!(err, "error: {}: {why}", file.display());
                return exit::INVALID;
            }
        }
    }
    code
}

fn play(file: &std::path::Path, seed: u64) -> Result<Value, String> {
    let text = std::fs::read_to_string(file).map_err(|e| e.to_string())?;
    let scenario: Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
    let folder = std::env::temp_dir().join(format!("tillpost-simulate-{}", std::process::id()));
    let report = simulate::run(&scenario, &app::kinds(), seed, &folder).map_err(|e| e.to_string());
    let _ = std::fs::remove_dir_all(&folder); // a temporary folder that stays is no failure
    report
}
