//! `demo`: the main job at work, before any configuration exists. A simulated till sells every three
//! seconds, the test inbox is the only provider, nothing leaves the machine, and no trace is left.

mod sales;

use super::{exit, run};
use crate::app::{self, Agent, Outside};
use crate::config::Config;
use crate::config::load;
use crate::dispatch::run::{Courier, Handle, Sending};
use crate::domain::content::Outgoing;
use crate::domain::outcome::{Class, Outcome, Scope};
use crate::domain::time::UnixMs;
use crate::observe::log;
use crate::sys::supervisor::Supervisor;
use crate::web::pages;
use clap::Args;
use serde_json::json;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The key of the simulated till. It opens nothing but a demo on loopback.
const KEY: &str = "tp_live_demo_till_on_loopback";

/// How often the till sells by itself.
const EVERY: Duration = Duration::from_secs(3);

/// `demo`
#[derive(Args, Debug)]
pub struct DemoArgs {
    /// Keep the temporary folder.
    #[arg(long)]
    keep: bool,
}

/// Runs the demo until Ctrl-C.
pub fn demo(args: &DemoArgs) -> u8 {
    let folder = std::env::temp_dir().join(format!("tillpost-demo-{}", std::process::id()));
    let code = run::in_runtime(life(folder.clone()));
    if args.keep {
        eprintln!("kept: {}", folder.display());
    } else if let Err(error) = std::fs::remove_dir_all(&folder) {
        eprintln!("note: {} could not be removed: {error}", folder.display());
    }
    code
}

async fn life(folder: PathBuf) -> u8 {
    // A second demo, or an agent, may have the usual port.
    let wanted = std::env::var("TILLPOST__HTTP__LISTEN").ok();
    let listens = match &wanted {
        Some(address) => vec![address.as_str()],
        None => vec!["127.0.0.1:8480", "127.0.0.1:0"],
    };
    let (bell, bells) = sync_channel(16);
    let world = Arc::new(World { line: AtomicBool::new(true), provider: AtomicBool::new(true), bell, dispatch: OnceLock::new() });
    let mut started = None;
    for listen in listens {
        let config = match config(&folder, listen) {
            Ok(config) => config,
            Err(why) => {
                eprintln!("error: {why}");
                return exit::INVALID;
            }
        };
        log::start(&config.agent.log, None);
        let outside = Outside { courier: Some(Arc::new(DemoCourier(world.clone()))), demo: Some(world.clone()), sources: None };
        match Agent::start(config, outside).await {
            Ok(agent) => {
                started = Some(Ok(agent));
                break;
            }
            Err(error) => started = Some(Err(error)),
        }
    }
    let agent = match started {
        Some(Ok(agent)) => agent,
        Some(Err(error)) => return run::failed(&error),
        None => return exit::FAILED,
    };
    let _ = world.dispatch.set(agent.web.dispatch.clone()); // it was not set before
    let address = agent.address;
    if let Err(error) = Supervisor::thread("demo-till", move || till(address, &bells)) {
        eprintln!("error: no threads: {error}");
        return exit::FAILED;
    }
    println!("http://{address}/demo");
    eprintln!("A till sells every 3 seconds; nothing leaves this machine. Ctrl-C ends the demo.");
    if agent.run().await { exit::DONE } else { exit::FAILED }
}

/// The demo's settings: one till, the test inbox for everything.
fn config(folder: &Path, listen: &str) -> Result<Config, String> {
    let settings = json!({
        "shop": {"id": "demo", "name": "Fresh Fields", "address": "12 Orchard Lane\nIthaca, NY 14850", "phone": "+1 607 555 0199", "email": "hello@freshfields.example",
            "country": "US", "region": "US-NY", "timezone": "America/New_York", "locale": "en-US", "currency": "USD"},
        "agent": {"data_dir": folder.display().to_string(), "clock": "trust", "log": {"level": "error"}},
        "http": {"listen": listen},
        "tills": {"demo": {"key": KEY}},
        "providers": {"inbox": {"type": "capture"}},
        "channels": {"email": {"from": "Fresh Fields <receipts@freshfields.example>", "reply_to": "hello@freshfields.example", "providers": ["inbox"]},
            "sms": {"from": "+16075550199", "providers": ["inbox"]}},
        "routing": {"reconnect_wait": "0 s", "reconnect_ramp": "0 s", "retry": ["4 s", "8 s", "15 s", "30 s"]},
        "brand": {"color": "#2f6b3a", "return_policy": "Returns within 30 days with this receipt."},
    });
    load::from_json(&settings, &app::kinds(), false).map_err(|problems| problems.iter().map(|p| p.text()).collect::<Vec<_>>().join("\n"))
}

/// What the buttons change.
struct World {
    line: AtomicBool,
    provider: AtomicBool,
    bell: SyncSender<()>,
    dispatch: OnceLock<Handle>,
}

impl pages::Demo for World {
    fn state(&self) -> (bool, bool) {
        (self.line.load(Ordering::Relaxed), self.provider.load(Ordering::Relaxed))
    }

    fn set_line(&self, up: bool) {
        self.line.store(up, Ordering::Relaxed);
        if let Some(dispatch) = self.dispatch.get() {
            dispatch.probe();
        }
    }

    fn set_provider(&self, good: bool) {
        self.provider.store(good, Ordering::Relaxed);
    }

    fn ring_up(&self) {
        let _ = self.bell.try_send(()); // a till that is busy rings later by itself
    }
}

/// Carries to the test inbox, unless a button is in the way.
struct DemoCourier(Arc<World>);

impl Courier for DemoCourier {
    fn send<'a>(&'a self, _: &'a str, message: &'a Outgoing, _: UnixMs) -> Sending<'a, Outcome> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(350)).await; // so that "Sending" can be seen
            if !self.0.line.load(Ordering::Relaxed) {
                return Outcome::new(Class::Offline, Scope::Line, "no internet (demo)");
            }
            if !self.0.provider.load(Ordering::Relaxed) {
                return Outcome::new(Class::Retry, Scope::Account, "503 service unavailable (demo)");
            }
            crate::providers::capture::Capture.send(message)
        })
    }

    fn probe(&self) -> Sending<'_, bool> {
        Box::pin(async move { self.0.line.load(Ordering::Relaxed) })
    }
}

/// The simulated till: posts over HTTP like any other, at its pace and when its button is pressed.
fn till(address: SocketAddr, bells: &Receiver<()>) {
    for n in 0.. {
        if let Err(error) = post(address, &sales::sale(n)) {
            tracing::debug!(%error, "the demo's till could not post");
        }
        if let Err(RecvTimeoutError::Disconnected) = bells.recv_timeout(EVERY) {
            return;
        }
    }
}

fn post(address: SocketAddr, sale: &serde_json::Value) -> std::io::Result<()> {
    let body = sale.to_string();
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let head = format!(
        "POST /v1/sales HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    stream.read_to_end(&mut Vec::new())?;
    Ok(())
}
