//! `run`: the life of the agent.

use super::{Global, exit};
use crate::app::{self, Agent, Outside, StartError};
use crate::config::checked::{Config, Till};
use crate::config::load::{self, Sources};
use crate::config::{Secret, last_good, problem, till_key};
use crate::observe::log;
use crate::sys::durable;
use crate::sys::random::{self, SystemRandom};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Loads the config, starts the agent, and runs it until it is told to stop.
pub fn run(global: &Global) -> u8 {
    let Some((config, files)) = settings(global) else { return exit::INVALID };
    let config = match with_first_key(config) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("error: the data directory cannot be used: {error}");
            return exit::FAILED;
        }
    };
    let sources = global.sources();
    let (data_dir, good) = (config.agent.data_dir.clone(), !config.last_good);
    let folder = config.agent.log.dir.clone().unwrap_or_else(|| config.agent.data_dir.join("logs"));
    let guard = log::start(&config.agent.log, Some(&folder));
    let code = in_runtime(async move {
        let agent = match Agent::start(config, Outside { sources: Some(sources), ..Outside::default() }).await {
            Ok(agent) => agent,
            Err(error) => return failed(&error),
        };
        if good && let Err(error) = last_good::keep(&data_dir, &files) {
            tracing::warn!(%error, "the config could not be kept for a bad day");
        }
        eprintln!("tillpost {} listens on http://{}", env!("CARGO_PKG_VERSION"), agent.address);
        if agent.run().await { exit::DONE } else { exit::FAILED }
    });
    drop(guard); // writes the last lines
    code
}

/// The settings with the files that they come from. Where these are wrong now, the settings that they
/// held when they were last good; `None` where there are none.
fn settings(global: &Global) -> Option<(Config, Vec<PathBuf>)> {
    let (sources, kinds) = (global.sources(), app::kinds());
    let loaded = load::load(&sources, &kinds);
    eprint!("{}", problem::text(&loaded.problems));
    if let Some(config) = loaded.config {
        return Some((config, loaded.files));
    }
    let kept = last_good::recall(&last_good::data_dir(&loaded.tree, &sources.data_dir()));
    if kept.is_empty() {
        return None;
    }
    let config = load::load(&Sources { last_good: kept, ..sources }, &kinds).config?;
    eprintln!("\nThe config cannot be used: going on with the last good one. `tillpost config check` says what to mend.");
    Some((config, Vec::new()))
}

/// Safe mode has one till key of its own, shown once.
fn with_first_key(mut config: Config) -> io::Result<Config> {
    if !config.safe_mode || !config.tills.is_empty() {
        return Ok(config);
    }
    let keys = config.agent.data_dir.join("keys");
    durable::private_folder(&config.agent.data_dir)?;
    durable::private_folder(&keys)?;
    let key = first_key(&keys.join("till-key"))?;
    config
        .tills
        .insert("till".into(), Till { keys: vec![key], test: false, source: None, addresses: Vec::new(), receipts: Default::default() });
    eprintln!(
        "safe mode: no config file was found. Sales are stored, nothing is sent.\nnext: write a config with `tillpost init`, then start again"
    );
    Ok(config)
}

fn first_key(path: &Path) -> io::Result<Secret> {
    if let Ok(text) = fs::read_to_string(path) {
        return Ok(Secret::new(text.trim()));
    }
    let key = till_key::make(false, random::bytes(&SystemRandom::default()));
    durable::replace(path, key.expose().as_bytes())?;
    eprintln!("till key (shown once, kept in {}): {}", path.display(), key.expose());
    Ok(key)
}

/// Says why the agent cannot start; gives the exit code.
pub fn failed(error: &StartError) -> u8 {
    eprintln!("error: {error}");
    match error {
        StartError::Config(_) => exit::INVALID,
        _ => exit::FAILED,
    }
}

/// Two async workers, as the box has little to spare.
pub fn in_runtime(life: impl Future<Output = u8>) -> u8 {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(4)
        .thread_stack_size(1 << 20)
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(life),
        Err(error) => {
            eprintln!("error: no threads: {error}");
            exit::FAILED
        }
    }
}
