//! The shell around [`Core`]: one loop that owns it, steps it through the writer, sends what it hands out
//! and brings the outcomes back.
//!
//! Bursts of wake-ups join into one step. Nothing is decided here.

use super::lookups::{LookedUp, Lookup};
use super::{Core, Facts, Finished, Note, Report, Start, compose};
use crate::compose::Composer;
use crate::config::Config;
use crate::domain::content::Outgoing;
use crate::domain::outcome::{Class, Outcome, Scope};
use crate::domain::time::UnixMs;
use crate::providers::Found;
use crate::store::{StoreError, Writer};
use crate::sys::clock::{Clock, Now};
use crate::sys::random::Random;
use crate::sys::supervisor::{Restart, Stop, Supervisor};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, broadcast, mpsc, oneshot};
use tokio::time::sleep;

/// A future on the heap, as traits need it.
pub type Sending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Takes a message to a provider: the real accounts, or a demo's and a test's.
pub trait Courier: Send + Sync {
    /// One attempt. Never longer than the account's time-outs allow.
    fn send<'a>(&'a self, provider: &'a str, message: &'a Outgoing, now: UnixMs) -> Sending<'a, Outcome>;

    /// Asks a provider whether it has a message whose attempt began at `since`; `None`: it cannot be asked.
    fn look_up<'a>(&'a self, _provider: &'a str, _message: &'a Outgoing, _since: UnixMs, _now: UnixMs) -> Sending<'a, Option<Found>> {
        Box::pin(async { None })
    }

    /// Whether the outside can be reached.
    fn probe(&self) -> Sending<'_, bool>;
}

/// How often the line is probed while it is up and while it is down.
const PROBE_UP: Duration = Duration::from_secs(10);
const PROBE_DOWN: Duration = Duration::from_secs(5);

/// What the rest of the program sees of dispatch.
#[derive(Clone)]
pub struct Handle {
    wake: Arc<Notify>,
    probe: Arc<Notify>,
    view: Arc<Mutex<View>>,
    notes: broadcast::Sender<Note>,
    asked: mpsc::Sender<Ask>,
}

/// How dispatch stands.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The line is up.
    pub online: bool,
    /// Since when it is as it is.
    pub since: UnixMs,
    /// State of each provider.
    pub lanes: Vec<(String, &'static str)>,
    /// When a step last committed: proof of work for a watchdog.
    pub stepped: UnixMs,
}

/// What a person asks of dispatch.
enum Ask {
    Resume(String),
    Pause(String),
    Reload(Box<(Tools, BTreeMap<String, Facts>)>, oneshot::Sender<()>),
}

/// What changes with the settings, all of it at once.
#[derive(Clone)]
pub struct Tools {
    /// Settings.
    pub config: Arc<Config>,
    /// Templates.
    pub composer: Arc<Composer>,
    /// Who carries.
    pub courier: Arc<dyn Courier>,
}

impl Handle {
    /// Something is due, or may be.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// The line may have changed: probe it now.
    pub fn probe(&self) {
        self.probe.notify_one();
    }

    /// How it stands.
    pub fn view(&self) -> View {
        self.view.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What happens, as it happens. A slow listener misses the oldest.
    pub fn listen(&self) -> broadcast::Receiver<Note> {
        self.notes.subscribe()
    }

    /// Tells listeners of something that happened outside dispatch.
    pub fn tell(&self, note: Note) {
        let _ = self.notes.send(note); // nobody may be listening
    }

    /// A provider was mended by a person.
    pub async fn resume(&self, provider: &str) {
        let _ = self.asked.send(Ask::Resume(provider.to_owned())).await; // dispatch may have ended
    }

    /// A provider is paused by a person.
    pub async fn pause(&self, provider: &str) {
        let _ = self.asked.send(Ask::Pause(provider.to_owned())).await; // dispatch may have ended
    }

    /// Other settings, from the next step on; ends when they hold. What is in flight ends as it began.
    pub async fn reload(&self, tools: Tools, facts: BTreeMap<String, Facts>) {
        let (done, held) = oneshot::channel();
        let _ = self.asked.send(Ask::Reload(Box::new((tools, facts)), done)).await; // dispatch may have ended
        let _ = held.await; // the same
    }
}

/// What the loop works with.
pub struct Dispatch {
    /// What changes with the settings.
    pub tools: Mutex<Tools>,
    /// Where it records.
    pub writer: Writer,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub random: Arc<dyn Random>,
    /// Who spawns.
    pub supervisor: Supervisor,
}

impl Dispatch {
    fn tools(&self) -> Tools {
        self.tools.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Starts the loop under the supervisor. `core` was booted.
    pub fn start(self, core: Core) -> Handle {
        let (asked, asks) = mpsc::channel(16);
        let handle = Handle { wake: Arc::default(), probe: Arc::default(), view: Arc::default(), notes: broadcast::channel(256).0, asked };
        let core = Arc::new(Mutex::new(core));
        let (this, asks) = (Arc::new(self), Arc::new(tokio::sync::Mutex::new(asks)));
        let supervisor = this.supervisor.clone();
        let told = handle.clone();
        let mut anew = false;
        supervisor.spawn("dispatch", Restart::OnFailure, move |stop| {
            let (this, core, handle, asks) = (this.clone(), core.clone(), told.clone(), asks.clone());
            let again = std::mem::replace(&mut anew, true);
            async move {
                let the_loop = Loop { this, core, handle, back: Back::new() };
                if again {
                    the_loop.begin_anew().await?;
                }
                the_loop.serve(stop, asks).await
            }
        });
        handle
    }
}

/// The way back for what was sent.
struct Back {
    outcomes: mpsc::Receiver<Finished>,
    give: mpsc::Sender<Finished>,
    answers: mpsc::Receiver<LookedUp>,
    answer: mpsc::Sender<LookedUp>,
}

impl Back {
    fn new() -> Back {
        let (give, outcomes) = mpsc::channel(1024);
        let (answer, answers) = mpsc::channel(64);
        Back { outcomes, give, answers, answer }
    }
}

struct Loop {
    this: Arc<Dispatch>,
    core: Arc<Mutex<Core>>,
    handle: Handle,
    back: Back,
}

impl Loop {
    async fn serve(mut self, mut stop: Stop, asks: Arc<tokio::sync::Mutex<mpsc::Receiver<Ask>>>) -> Result<(), String> {
        let mut asks = asks.lock().await;
        let (mut finished, mut looked_up): (Vec<Finished>, Vec<LookedUp>) = (Vec::new(), Vec::new());
        let mut in_flight = 0usize;
        let mut probed = self.this.clock.now().mono;
        loop {
            let wake = match self.step(&finished, &looked_up).await {
                Ok(report) => {
                    in_flight = in_flight.saturating_sub(finished.len()) + report.starts.len();
                    finished.clear();
                    looked_up.clear();
                    self.tell(&report);
                    if report.probe {
                        self.handle.probe();
                    }
                    for start in report.starts {
                        self.send(start);
                    }
                    for lookup in report.lookups {
                        self.ask(lookup);
                    }
                    report.wake.unwrap_or(Duration::from_secs(60))
                }
                Err(StoreError::Closed) => return Ok(()),
                // Outcomes stay in hand until they are recorded.
                Err(error) if error.is_fatal() => return Err(error.to_string()),
                Err(error) => {
                    tracing::error!(%error, "outcomes could not be recorded; trying again");
                    Duration::from_secs(1)
                }
            };
            let (up, needed) = {
                let core = self.core();
                (core.line.is_up(), core.needs_line())
            };
            let every = if up { PROBE_UP } else { PROBE_DOWN };
            let next_probe = every.saturating_sub(self.this.clock.now().mono.since(probed));
            tokio::select! {
                () = self.handle.wake.notified() => {}
                () = sleep(wake) => {}
                Some(one) = self.back.outcomes.recv() => finished.push(one),
                Some(one) = self.back.answers.recv() => looked_up.push(one),
                Some(ask) = asks.recv() => self.heed(ask),
                () = async { tokio::select! { () = sleep(next_probe) => {}, () = self.handle.probe.notified() => {} } }, if needed => {
                    probed = self.this.clock.now().mono;
                    self.probe().await;
                }
                () = stop.asked() => return self.drain(finished, in_flight).await,
            }
            while finished.len() < 256 {
                match self.back.outcomes.try_recv() {
                    Ok(one) => finished.push(one),
                    Err(_) => break,
                }
            }
        }
    }

    fn heed(&self, ask: Ask) {
        match ask {
            Ask::Resume(provider) => _ = self.core().resume(&provider),
            Ask::Pause(provider) => self.core().pause(&provider),
            Ask::Reload(new, done) => {
                let (tools, facts) = *new;
                self.core().reload(tools.config.clone(), facts, tools.composer.clone(), self.this.clock.now());
                *self.this.tools.lock().unwrap_or_else(PoisonError::into_inner) = tools;
                let _ = done.send(()); // who asked may have gone
            }
        }
    }

    fn core(&self) -> std::sync::MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// After a failure of the loop: what it had in flight is uncertain, and every lane is free.
    async fn begin_anew(&self) -> Result<(), String> {
        let (mut copy, now) = (self.core().clone(), self.this.clock.now());
        let copy = self.this.writer.run(move |tx| copy.begin_anew(tx, now).map(|_| copy)).await.map_err(|e| e.to_string())?;
        *self.core() = copy;
        Ok(())
    }

    /// One step in a write transaction. Only its commit makes the stepped copy the truth.
    async fn step(&self, finished: &[Finished], looked_up: &[LookedUp]) -> Result<Report, StoreError> {
        let mut copy = self.core().clone();
        let (now, finished, looked_up) = (self.this.clock.now(), finished.to_vec(), looked_up.to_vec());
        let (copy, report) = self
            .this
            .writer
            .run(move |tx| {
                let notes = copy.looked_up(tx, now, &looked_up)?;
                let mut report = copy.step(tx, now, &finished)?;
                report.notes.extend(notes);
                Ok((copy, report))
            })
            .await?;
        self.publish(&copy, now);
        *self.core() = copy;
        Ok(report)
    }

    fn publish(&self, core: &Core, now: Now) {
        let view = View { online: core.line.is_up(), since: core.line.since(), lanes: core.lane_words(now.mono), stepped: now.wall };
        *self.handle.view.lock().unwrap_or_else(PoisonError::into_inner) = view;
    }

    fn tell(&self, report: &Report) {
        for note in &report.notes {
            match note {
                Note::Lane(provider, change) => tracing::warn!(provider, ?change, "provider changed"),
                Note::Line(turn) => tracing::info!(?turn, "line changed"),
                Note::Suppressed(channel, _, reason) => tracing::info!(%channel, %reason, "an address was suppressed"),
                Note::Receipt(_) => {}
            }
            self.handle.tell(note.clone());
        }
    }

    fn send(&self, start: Start) {
        // These accounts it keeps to its end, whatever is changed meanwhile.
        let (this, give, tools) = (self.this.clone(), self.back.give.clone(), self.this.tools());
        let mut start = Some(start);
        self.this.supervisor.spawn("attempt", Restart::Never, move |_| {
            let (this, give, tools, start) = (this.clone(), give.clone(), tools.clone(), start.take());
            async move {
                let Some(start) = start else { return Ok(()) };
                let finished = attempt(&tools, this.clock.now().wall, start).await;
                let _ = give.send(finished).await; // the loop has ended: the attempt is uncertain at the next start
                Ok(())
            }
        });
    }

    fn ask(&self, lookup: Lookup) {
        let (this, answer) = (self.this.clone(), self.back.answer.clone());
        let mut lookup = Some(lookup);
        self.this.supervisor.spawn("look-up", Restart::Never, move |_| {
            let (this, answer, lookup) = (this.clone(), answer.clone(), lookup.take());
            async move {
                let Some(lookup) = lookup else { return Ok(()) };
                let _ = answer.send(look_up(&this, &lookup).await).await; // the loop has ended: it is asked anew
                Ok(())
            }
        });
    }

    async fn probe(&self) {
        let tools = self.this.tools();
        let good = tools.courier.probe().await;
        let now = self.this.clock.now();
        let routing = &tools.config.routing;
        let most = u64::try_from(routing.reconnect_wait.as_millis()).unwrap_or(0);
        let wait = Duration::from_millis(self.this.random.below(most + 1));
        let turn = {
            let mut core = self.core();
            let turn = if good { core.line.found(now, wait, routing.reconnect_ramp) } else { core.line.lost(now) };
            self.publish(&core, now);
            turn
        };
        if let Some(turn) = turn {
            self.tell(&Report { notes: vec![Note::Line(turn)], ..Report::default() });
            self.handle.wake(); // the next step writes it down
        }
    }

    /// At the end: waits for what is in flight and records it. What does not come back in time is
    /// uncertain at the next start.
    async fn drain(mut self, mut finished: Vec<Finished>, in_flight: usize) -> Result<(), String> {
        let mut left = in_flight.saturating_sub(finished.len());
        let grace = sleep(Duration::from_secs(8));
        tokio::pin!(grace);
        while left > 0 {
            tokio::select! {
                Some(one) = self.back.outcomes.recv() => {
                    finished.push(one);
                    left -= 1;
                }
                () = &mut grace => break,
            }
        }
        let (mut copy, now) = (self.core().clone(), self.this.clock.now());
        let recorded = self.this.writer.run(move |tx| copy.finish(tx, now, &finished)).await;
        recorded.map_err(|e| e.to_string())
    }
}

/// Composes and sends. A message that cannot be composed is a dead letter with its reason.
async fn attempt(tools: &Tools, now: UnixMs, start: Start) -> Finished {
    match compose::content(&tools.composer, &tools.config, &start, now) {
        Ok(content) => {
            let message = compose::outgoing(&start, content.clone());
            let outcome = tools.courier.send(&start.provider, &message, now).await;
            Finished { start, outcome, content: Some(content) }
        }
        Err(why) => Finished { start, outcome: Outcome::new(Class::Permanent, Scope::Message, why), content: None },
    }
}

/// Composes as it was composed, and asks.
async fn look_up(this: &Dispatch, lookup: &Lookup) -> LookedUp {
    let (start, now, tools) = (&lookup.start, this.clock.now().wall, this.tools());
    let found = match compose::content(&tools.composer, &tools.config, start, start.composed_at) {
        Ok(content) => tools.courier.look_up(&start.provider, &compose::outgoing(start, content), lookup.since, now).await,
        Err(_) => None,
    };
    LookedUp { delivery: start.delivery.id, provider: start.provider.clone(), found }
}

/// The real accounts.
pub struct Accounts {
    /// All of them, and the one client.
    pub registry: Arc<crate::providers::Registry>,
    /// What is asked to learn whether the line is up.
    pub line_probe: Option<String>,
}

/// Asked in turn where the config names nothing: pages that exist to be asked this, of three companies.
/// An answer other than theirs is a login page in between: no line.
const PROBES: &[(&str, u16)] = &[
    ("http://connectivitycheck.gstatic.com/generate_204", 204),
    ("http://cp.cloudflare.com/generate_204", 204),
    ("http://detectportal.firefox.com/success.txt", 200),
];

impl Courier for Accounts {
    fn send<'a>(&'a self, provider: &'a str, message: &'a Outgoing, now: UnixMs) -> Sending<'a, Outcome> {
        Box::pin(self.registry.send(provider, message, now))
    }

    fn look_up<'a>(&'a self, provider: &'a str, message: &'a Outgoing, since: UnixMs, now: UnixMs) -> Sending<'a, Option<Found>> {
        Box::pin(self.registry.look_up(provider, message, since, now))
    }

    fn probe(&self) -> Sending<'_, bool> {
        Box::pin(async move {
            if let Some(url) = &self.line_probe {
                return matches!(self.registry.http().probe(url).await, Ok(status) if status < 500);
            }
            for (url, expected) in PROBES {
                if matches!(self.registry.http().probe(url).await, Ok(status) if status == *expected) {
                    return true;
                }
            }
            false
        })
    }
}
