//! Taking over changed settings and templates while the agent runs: at SIGHUP, and by itself when a file
//! changed. Loaded and checked whole, as at a start: what is wrong changes nothing and is said on page, log
//! and status; what is right holds all together, from the next sale and the next attempt on. What is in flight
//! ends at the account that it began with.

use super::{accounts, composer, facts, kinds};
use crate::compose::Composer;
use crate::config::load::{self, Sources};
use crate::config::{Config, Severity, last_good};
use crate::dispatch::run::{Accounts, Tools};
use crate::http;
use crate::providers::{Account, Registry};
use crate::sys::supervisor::Stop;
use crate::web::{self, Web};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How often the files are looked at. A change is taken once it is the same at two looks: an editor may be
/// in the middle of it.
const LOOK: Duration = Duration::from_secs(2);
/// Template files that are looked at.
const FILES: usize = 1_000;

/// Where the settings come from, and what stays the same when they change.
pub(super) struct Reload {
    pub sources: Sources,
    /// The one client.
    pub http: Arc<http::Client>,
}

/// Runs until the agent stops.
pub(super) async fn watch(web: Arc<Web>, reload: Arc<Reload>, mut stop: Stop) -> Result<(), String> {
    let mut hangup = signal(SignalKind::hangup()).ok();
    let mut taken = look(&reload.sources, &web.config());
    let mut last = taken.clone();
    loop {
        let told = tokio::select! {
            () = hung_up(&mut hangup) => true,
            () = tokio::time::sleep(LOOK) => false,
            () = stop.asked() => return Ok(()),
        };
        let now = look(&reload.sources, &web.config());
        let settled = now == std::mem::replace(&mut last, now.clone());
        if told || (settled && now != taken) {
            take_over(&web, &reload).await;
            // Another template folder may be looked at now.
            taken = look(&reload.sources, &web.config());
            last = taken.clone();
        }
    }
}

async fn hung_up(signal: &mut Option<Signal>) {
    let told = match signal {
        Some(signal) => signal.recv().await,
        None => None,
    };
    if told.is_none() {
        std::future::pending::<()>().await; // without signals the files are looked at all the same
    }
}

/// A file as it stood: name, when it changed, size.
type Seen = (PathBuf, Option<SystemTime>, u64);

/// The files of settings and templates.
fn look(sources: &Sources, config: &Config) -> Vec<Seen> {
    let mut paths = load::files(sources);
    if let Some(folder) = &config.templates.dir {
        templates(folder, 0, &mut paths);
    }
    paths.sort();
    let seen = |path: PathBuf| {
        let meta = fs::metadata(&path).ok();
        (path, meta.as_ref().and_then(|m| m.modified().ok()), meta.map_or(0, |m| m.len()))
    };
    paths.into_iter().map(seen).collect()
}

fn templates(folder: &Path, depth: u8, into: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        match entry.file_type() {
            _ if into.len() >= FILES => return,
            Ok(kind) if kind.is_dir() && depth < 8 => templates(&entry.path(), depth + 1, into),
            Ok(kind) if kind.is_file() => into.push(entry.path()),
            _ => {}
        }
    }
}

/// Settings that were checked, with what was made of them.
struct Checked {
    config: Config,
    composer: Composer,
    accounts: BTreeMap<String, Account>,
    files: Vec<PathBuf>,
}

/// Loads, checks, and lets it hold or says why not.
async fn take_over(web: &Web, reload: &Reload) {
    let sources = reload.sources.clone();
    let checked = web.heavy.run(move || check(&sources)).await.unwrap_or_else(|| Err("the config could not be read".to_owned()));
    let done = match checked {
        Ok(checked) if checked.config.safe_mode && !web.config().safe_mode => Err("the config file is gone".to_owned()),
        Ok(checked) if checked.config.safe_mode => return, // there is still no file
        other => other,
    };
    match done {
        Ok(checked) => hold(web, reload, checked).await,
        Err(why) => {
            tracing::error!(why, "the changed config cannot be used: going on with the one that holds");
            web.set_reloaded(|r| r.problem = why);
        }
    }
}

fn check(sources: &Sources) -> Result<Checked, String> {
    let loaded = load::load(sources, &kinds());
    let errors: Vec<_> = loaded.problems.iter().filter(|p| p.severity == Severity::Error).collect();
    let Some(config) = loaded.config else {
        // The most important stands last.
        let first = errors.last().map(|p| format!("{}: {}", p.code, p.message)).unwrap_or_default();
        return Err(if errors.len() > 1 { format!("{first}, and {} more", errors.len() - 1) } else { first });
    };
    let composer = composer(&config).map_err(|e| e.to_string())?;
    let accounts = accounts(&config).map_err(|e| e.to_string())?;
    Ok(Checked { config, composer, accounts, files: loaded.files })
}

async fn hold(web: &Web, reload: &Reload, checked: Checked) {
    let Checked { mut config, composer, accounts, files } = checked;
    let old = web.config();
    let restart = keep_fixed(&old, &mut config);
    if !restart.is_empty() {
        tracing::warn!(needs_a_restart = restart.join(", "), "a part of the changed config holds after a restart only");
    }
    if let Err(error) = last_good::keep(&old.agent.data_dir, &files) {
        tracing::warn!(%error, "the config could not be kept for a bad day");
    }
    web.set_reloaded(|r| (r.problem, r.restart) = (String::new(), restart));
    if config == *old && composer.version() == web.composer().version() {
        tracing::info!("the config was looked at: nothing is new");
        return;
    }
    let facts = facts(&config, &accounts);
    let (config, composer) = (Arc::new(config), Arc::new(composer));
    let registry = Arc::new(Registry::new(accounts, reload.http.clone()));
    let courier = Accounts { registry: registry.clone(), line_probe: config.agent.line_probe.clone() };
    let keys = Arc::new(web::auth::Keys::new(&config).after(&web.keys()));
    let version = config.version();
    let ways = super::ways(&config);
    web.put_rules(web::Rules { config: config.clone(), composer: composer.clone(), keys, ways, registry });
    web.dispatch.reload(Tools { config, composer, courier: Arc::new(courier) }, facts).await;
    web.dispatch.wake();
    tracing::info!(version, "the changed config holds");
}

/// What cannot change while it runs stays as it is; gives the names of what would have changed.
fn keep_fixed(old: &Config, new: &mut Config) -> Vec<&'static str> {
    fn keep<T: PartialEq + Clone>(name: &'static str, old: &T, new: &mut T) -> Option<&'static str> {
        if old == new {
            return None;
        }
        new.clone_from(old);
        Some(name)
    }
    let (was, is) = (&old.agent, &mut new.agent);
    let agent = [
        keep("agent.data_dir", &was.data_dir, &mut is.data_dir),
        keep("agent.disk_budget", &was.disk_budget, &mut is.disk_budget),
        keep("agent.clock", &was.clock_trusted, &mut is.clock_trusted),
        keep("agent.log", &was.log, &mut is.log),
    ];
    let http = [
        keep("http.listen", &old.http.listen, &mut new.http.listen),
        keep("http.max_connections", &old.http.max_connections, &mut new.http.max_connections),
    ];
    // Wires, listeners and pulls run from the start to the end.
    let sources = [keep("sources", &old.sources, &mut new.sources)];
    agent.into_iter().chain(http).chain(sources).flatten().collect()
}
