//! The composition root: settings in, running agent out. The only place that wires rooms together.
//!
//! Start order: folder and lock, logs, store (a damaged file is set aside), what was in flight becomes
//! uncertain, templates, accounts, sockets, dispatch, housekeeping, server. Stop order: the server takes
//! nothing new, what is in flight is waited for and recorded, the store is closed last.

mod access;
mod arrivals;
mod folders;
mod lookups;
mod polls;
mod pull;
mod reload;
mod taps;

use crate::compose::Composer;
use crate::config::Config;
use crate::config::Sources;
use crate::config::checked::{self, Provider as Settings, Rate, Setting};
use crate::dispatch::run::{Accounts, Courier, Dispatch, Tools};
use crate::dispatch::{Core, Facts, Note, TEST_INBOX, line::Line};
use crate::http;
use crate::pipeline::{intake, routine};
use crate::providers::{self, Account, Idempotency, Registry};
use crate::sources::tap::{self, live::Taps};
use crate::sources::ways::Ways;
use crate::store::budget::{Keep, Room};
use crate::store::{Options, Readers, StoreError, rescue};
use crate::sys::clock::{Clock, SystemClock};
use crate::sys::device_key::DeviceKey;
use crate::sys::heavy::Heavy;
use crate::sys::random::{Random, SystemRandom};
use crate::sys::supervisor::{Restart, Stop, Supervisor};
use crate::sys::{disk, durable};
use crate::web::serve::Server;
use crate::web::{self, Web};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};

/// How long a stop may take before what is left is cut off.
const GRACE: Duration = Duration::from_secs(12);

/// Why the agent cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The folder cannot be used.
    #[error("the data directory {0} cannot be used: {1}")]
    Folder(String, std::io::Error),
    /// Another agent has it.
    #[error("another tillpost is running on {0}")]
    Locked(String),
    /// The store cannot be opened at all.
    #[error("the store cannot be opened: {0}")]
    Store(#[from] StoreError),
    /// A template or an account is wrong: the config check says the same with its place.
    #[error("{0}")]
    Config(String),
    /// The address is taken.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
}

/// What a demo or a test puts in place of the outside.
#[derive(Default)]
pub struct Outside {
    /// Who carries messages; the real accounts without it.
    pub courier: Option<Arc<dyn Courier>>,
    /// The demo's page.
    pub demo: Option<Arc<dyn web::pages::Demo>>,
    /// Where the settings come from: they are taken anew when they change. Without it, never.
    pub sources: Option<Sources>,
}

/// A running agent.
pub struct Agent {
    /// Where it listens.
    pub address: SocketAddr,
    /// What its handlers work with.
    pub web: Arc<Web>,
    supervisor: Supervisor,
    /// Held while the agent lives: no second one opens the store.
    _lock: File,
    marker: std::path::PathBuf,
}

impl Agent {
    /// Starts everything; when it returns, sales are taken.
    pub async fn start(config: Config, outside: Outside) -> Result<Agent, StartError> {
        let config = Arc::new(config);
        let folder = &config.agent.data_dir;
        let lock = take_folder(folder)?;
        let supervisor = Supervisor::default();
        let clock = Arc::new(SystemClock::new(config.agent.clock_trusted));
        let random: Arc<dyn Random> = Arc::new(SystemRandom::default());
        let started = clock.now();

        let options = Options { max_bytes: config.agent.disk_budget, ..Options::new(folder.join("tillpost.db")) };
        rescue::heed_mark(&options, started.wall)?;
        let (fatal, database) = (supervisor.clone(), options.path.clone());
        let opened = rescue::open(&options, started.wall, move |error| {
            if let StoreError::Damaged(why) = &error {
                let _ = rescue::mark(&database, why); // the next start would find the damage itself
            }
            fatal.give_up(error.to_string());
        })?;
        let (writer, readers) = (opened.writer, Readers::start(&options, 2)?);
        if let Some(newest) = readers.read(|read| read.newest_time()).await? {
            clock.not_before(newest);
        }

        let key = DeviceKey::load(folder, random.as_ref()).map_err(|e| StartError::Folder(folder.display().to_string(), e))?;
        let key = Arc::new(key);
        let composer = Arc::new(composer(&config)?);
        let accounts = accounts(&config)?;
        let client = Arc::new(http::Client::new());
        let mut facts = facts(&config, &accounts);
        if outside.courier.is_some() {
            facts.values_mut().for_each(|f| f.local = false); // it decides what can be reached
        }
        let registry = Arc::new(Registry::new(accounts, client.clone()));
        let courier = outside
            .courier
            .unwrap_or_else(|| Arc::new(Accounts { registry: registry.clone(), line_probe: config.agent.line_probe.clone() }));
        let now = clock.now();
        let online = readers.read(|read| read.fact("online_ms")).await?.and_then(|ms| ms.parse().ok()).unwrap_or(0);
        let line = Line::new(now, Duration::from_millis(online));
        let mut core = Core::new(config.clone(), facts, composer.clone(), key.clone(), random.clone(), line, now);
        let (core, doubtful) = writer
            .run(move |tx| {
                let doubtful = core.boot(tx, now)?;
                Ok((core, doubtful))
            })
            .await?;
        if doubtful > 0 {
            tracing::warn!(doubtful, "messages were in flight at the last stop: they may have been sent, and are held for a person");
        }

        let listener = TcpListener::bind(config.http.listen).await.map_err(|e| StartError::Listen(config.http.listen, e))?;
        let address = listener.local_addr().map_err(|e| StartError::Listen(config.http.listen, e))?;
        let local = local_socket(folder)?;
        let shell = Dispatch {
            tools: Mutex::new(Tools { config: config.clone(), composer: composer.clone(), courier }),
            writer: writer.clone(),
            clock: clock.clone(),
            random: random.clone(),
            supervisor: supervisor.clone(),
        };
        let dispatch = shell.start(core);
        let inbound = web::hooks::Inbound::new(config.sources.keys());
        let ways = ways(&config);
        let web = Arc::new(Web {
            rules: RwLock::new(web::Rules { keys: Arc::new(web::auth::Keys::new(&config)), config, composer, ways, registry }),
            reloaded: RwLock::default(),
            key,
            writer,
            readers,
            store: options,
            dispatch,
            clock: clock.clone(),
            random,
            heavy: Heavy::start().map_err(|e| StartError::Folder("threads".into(), e))?,
            inbound,
            taps: Taps::default(),
            counters: web::Counters::default(),
            supervisor: supervisor.clone(),
            no_room: AtomicBool::new(false),
            started,
            demo: outside.demo,
            pages: web::pages::Pages::default(),
            misses: web::links::Misses::default(),
        });
        let marker = web.store.path.with_file_name("running");
        housekeeping(&web, &supervisor, marker.exists());
        arrivals::start(&web, &client);
        taps::start(&web);
        durable::replace(&marker, b"").map_err(|e| StartError::Folder(marker.display().to_string(), e))?;
        if let Some(sources) = outside.sources {
            let (shared, reload) = (web.clone(), Arc::new(reload::Reload { sources, http: client }));
            supervisor.spawn("config", Restart::OnFailure, move |stop| reload::watch(shared.clone(), reload.clone(), stop));
        }
        serve(&web, &supervisor, clock, listener, local);
        Ok(Agent { address, web, supervisor, _lock: lock, marker })
    }

    /// Runs until told to stop by a signal, or until a part fails for good; gives whether the end was in order.
    pub async fn run(self) -> bool {
        let failed = tokio::select! {
            () = stop_signal() => None,
            why = self.supervisor.given_up() => Some(why),
        };
        let drained = self.stop().await;
        failed.is_none() && drained
    }

    /// Stops in order.
    pub async fn stop(self) -> bool {
        tracing::info!("stopping");
        // A print that is under way is finished first.
        let more = if self.web.taps.is_empty() { Duration::ZERO } else { tap::FINISH };
        let drained = self.supervisor.stop(GRACE + more).await;
        if drained {
            let _ = fs::remove_file(&self.marker); // its presence only means a check at the next start
        }
        tracing::info!(drained, "stopped");
        drained
    }
}

/// Makes the folder, and takes it for this process alone.
fn take_folder(folder: &Path) -> Result<File, StartError> {
    let name = || folder.display().to_string();
    durable::private_folder(folder).map_err(|e| StartError::Folder(name(), e))?;
    let lock = fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(folder.join("lock"));
    let lock = lock.map_err(|e| StartError::Folder(name(), e))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(fs::TryLockError::WouldBlock) => Err(StartError::Locked(name())),
        Err(fs::TryLockError::Error(e)) => Err(StartError::Folder(name(), e)),
    }
}

/// The socket of the command line, for the folder's owner only.
fn local_socket(folder: &Path) -> Result<UnixListener, StartError> {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join("agent.sock");
    let failed = |e| StartError::Folder(path.display().to_string(), e);
    match fs::remove_file(&path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(failed(e)),
        _ => {}
    }
    let listener = UnixListener::bind(&path).map_err(failed)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

/// The built-in templates with the shop's own over them.
pub fn composer(config: &Config) -> Result<Composer, StartError> {
    let mut overrides = BTreeMap::new();
    if let Some(folder) = &config.templates.dir {
        read_templates(folder, "", &mut overrides).map_err(|e| StartError::Folder(folder.display().to_string(), e))?;
    }
    Composer::new(&overrides).map_err(|faults| StartError::Config(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")))
}

fn read_templates(folder: &Path, prefix: &str, into: &mut BTreeMap<String, String>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            read_templates(&entry.path(), &format!("{name}/"), into)?;
        } else if name.ends_with(".j2") || name.ends_with(".toml") {
            into.insert(name, fs::read_to_string(entry.path())?);
        }
    }
    Ok(())
}

/// Every configured account, and the test inbox.
pub fn accounts(config: &Config) -> Result<BTreeMap<String, Account>, StartError> {
    let test = Settings {
        kind: "capture".into(),
        base_url: None,
        allow_insecure: false,
        allow_private: Vec::new(),
        rate: None,
        concurrency: None,
        timeout: Duration::from_secs(30),
        settings: checked::Settings::default(),
    };
    let named = config.providers.iter().map(|(name, settings)| (name.as_str(), settings));
    named
        .chain([(TEST_INBOX, &test)])
        .map(|(name, settings)| match Account::new(name, &called_back(config, name, settings)) {
            Ok(account) => Ok((name.to_owned(), account)),
            Err(why) => Err(StartError::Config(format!("provider {name}: {why}"))),
        })
        .collect()
}

/// The settings with the URL that the provider calls, where the config names none: the public one of this box.
fn called_back(config: &Config, name: &str, settings: &Settings) -> Settings {
    let mut settings = settings.clone();
    let calls = providers::find(&settings.kind).is_some_and(|kind| kind.callback.is_some());
    let Some(url) = config.http.public_url.as_deref().filter(|_| calls) else { return settings };
    let table = settings.settings.0.entry("callback".to_owned()).or_insert_with(|| Setting::Table(checked::Settings::default()));
    if let Setting::Table(callback) = table
        && callback.text("url").is_empty()
    {
        let url = format!("{}/callbacks/{name}", url.trim_end_matches('/'));
        callback.0.insert("url".to_owned(), Setting::Text(url));
    }
    settings
}

/// What dispatch must know of each account.
pub fn facts(config: &Config, accounts: &BTreeMap<String, Account>) -> BTreeMap<String, Facts> {
    let of = |name: &String, account: &Account| {
        let given = config.providers.get(name);
        Facts {
            kind: account.kind.keys.name.to_owned(),
            safe_by_key: account.idempotency == Idempotency::Key,
            local: account.on_loopback(),
            lookup: account.lookup_delay().map(|own| own.min(config.routing.lookup_delay)),
            keeps_content: account.kind.keeps_content,
            rate: given.and_then(|p| p.rate).unwrap_or(Rate { ..account.kind.rate }),
            concurrency: given.and_then(|p| p.concurrency).unwrap_or(account.kind.concurrency),
        }
    };
    accounts.iter().map(|(name, account)| (name.clone(), of(name, account))).collect()
}

fn serve(web: &Arc<Web>, supervisor: &Supervisor, clock: Arc<SystemClock>, listener: TcpListener, local: UnixListener) {
    let server = Server::new(web.clone().router(), web.config().http.max_connections, clock, supervisor.clone());
    let (tcp, listener) = (server.clone(), Arc::new(listener));
    supervisor.spawn("http", Restart::OnFailure, move |stop| {
        let (server, listener) = (tcp.clone(), listener.clone());
        async move { server.serve_tcp(&listener, stop).await }
    });
    let local = Arc::new(local);
    supervisor.spawn("local-socket", Restart::OnFailure, move |stop| {
        let (server, listener) = (server.clone(), local.clone());
        async move { server.serve_local(&listener, stop).await }
    });
}

/// What must be done now and then: undecided events, room on the disk, and after a stop that was not in
/// order a check of the file.
fn housekeeping(web: &Arc<Web>, supervisor: &Supervisor, unclean: bool) {
    let shared = web.clone();
    supervisor.spawn("housekeeping", Restart::OnFailure, move |stop| keep_house(shared.clone(), stop));
    let shared = web.clone();
    supervisor.spawn("routine", Restart::OnFailure, move |stop| keep_time(shared.clone(), stop));
    let shared = web.clone();
    supervisor.spawn("polls", Restart::OnFailure, move |stop| polls::serve(shared.clone(), stop));
    if unclean {
        let shared = web.clone();
        supervisor.spawn("check", Restart::Never, move |_| check(shared.clone()));
    }
}

async fn keep_house(web: Arc<Web>, mut stop: Stop) -> Result<(), String> {
    loop {
        let kept = &web.config().retention;
        let keep = Keep { receipts: kept.receipts, raw_events: kept.raw_events, attempts: kept.attempts };
        decide_undecided(&web).await.map_err(|e| e.to_string())?;
        let free = web.store.path.parent().and_then(|folder| disk::free(folder).ok()).unwrap_or(u64::MAX);
        let room = Room::of(free);
        web.no_room.store(room >= Room::SalesOnly, Ordering::Relaxed);
        if room >= Room::Low {
            tracing::warn!(free_mib = free >> 20, ?room, "the disk is getting full");
        }
        let now = web.clock.now();
        if now.good {
            let keep = if room >= Room::Short { keep.in_need() } else { keep };
            let _: usize = web.writer.run(move |tx| tx.shed(keep, now.wall, 200)).await.map_err(|e| e.to_string())?;
        }
        tokio::select! { () = tokio::time::sleep(Duration::from_secs(60)) => {}, () = stop.asked() => return Ok(()) }
    }
}

/// What comes with time, twice a minute and as soon as something is told: days in figures, alerts.
async fn keep_time(web: Arc<Web>, mut stop: Stop) -> Result<(), String> {
    let mut notes = web.dispatch.listen();
    loop {
        let (rules, now, online) = (web.pipeline(), web.clock.now(), web.dispatch.view().online);
        let made = web.writer.run(move |tx| routine::tick(tx, &rules.at(now), online)).await.map_err(|e| e.to_string())?;
        if made {
            web.dispatch.wake();
        }
        let told = async {
            while let Ok(note) = notes.recv().await {
                if matches!(note, Note::Lane(..) | Note::Line(_)) {
                    return;
                }
            }
            std::future::pending().await // it missed some, or dispatch has ended: the clock goes on
        };
        tokio::select! {
            () = told => {}
            () = tokio::time::sleep(Duration::from_secs(30)) => {}
            () = stop.asked() => return Ok(()),
        }
    }
}

/// Raw events whose deciding failed are decided again.
async fn decide_undecided(web: &Web) -> Result<(), StoreError> {
    for event in web.readers.read(|read| read.undecided(100)).await? {
        let (rules, now) = (web.pipeline(), web.clock.now());
        let seq = event.seq;
        if let Err(error) = web.writer.run(move |tx| intake::decide_kept(tx, &rules.at(now), &event)).await {
            tracing::error!(seq, %error, "a kept sale still cannot be decided");
        } else {
            web.dispatch.wake();
        }
    }
    Ok(())
}

async fn check(web: Arc<Web>) -> Result<(), String> {
    let found = match web.readers.read(|read| read.quick_check()).await {
        Err(StoreError::Damaged(why)) => Some(why), // too broken even for the check
        other => other.map_err(|e| e.to_string())?,
    };
    match found {
        None => tracing::info!("the database was checked after an unclean stop: it is whole"),
        Some(fault) => {
            let _ = rescue::mark(&web.store.path, &fault); // the restart sets the file aside
            web.supervisor.give_up(format!("the database is damaged: {fault}"));
        }
    }
    Ok(())
}

/// Ends at SIGTERM or SIGINT.
async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(mut term), Ok(mut int)) => {
            tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        }
        // Without signals there is no orderly end: kill -9 is survived too.
        _ => std::future::pending().await,
    }
}

/// The ways in of a config. A mapping file that cannot be read is one that says nothing: the check told it.
pub fn ways(config: &Config) -> Ways {
    Ways::new(config, |path| mapping(path).unwrap_or_default())
}

/// The text of a mapping file.
fn mapping(path: &str) -> Result<String, String> {
    const MOST: u64 = 1 << 20;
    let mut text = String::new();
    let file = File::open(path).map_err(|e| e.kind().to_string())?;
    file.take(MOST).read_to_string(&mut text).map_err(|e| e.kind().to_string())?;
    Ok(text)
}

/// The types that the config may name.
pub fn kinds() -> crate::config::Kinds {
    crate::config::Kinds {
        sources: crate::sources::configured(),
        providers: providers::kinds().iter().map(|k| k.keys).collect(),
        check_source: Some(|config, name| crate::sources::ways::check(config, name, mapping).and_then(|()| taps::check(config, name))),
    }
}
