//! The world around the agent: a queue of what happens when, one virtual clock, and the box that can lose
//! its power.

use super::answers::{self, Played, Script};
use super::oracle::{self, Oracle};
use super::scenario::{Cut, Happening, Scenario, ScenarioError};
use crate::app;
use crate::compose::Composer;
use crate::config::Config;
use crate::config::checked::Rate;
use crate::dispatch::lookups::{LookedUp, Lookup};
use crate::dispatch::{Core, Facts, Finished, Note, Start, TEST_INBOX, compose, line::Line};
use crate::domain::channel::Channel;
use crate::domain::consent::State;
use crate::domain::content::Content;
use crate::domain::ids::ReceiptId;
use crate::domain::message::{Audience, Kind};
use crate::domain::outcome::{Class, Outcome, Scope};
use crate::domain::time::UnixMs;
use crate::pipeline::Context;
use crate::pipeline::people::{self, Told};
use crate::pipeline::resend::Ask;
use crate::providers::Found;
use crate::store::writer::WriterCore;
use crate::store::{Durability, Options};
use crate::sys::clock::{Mono, Now};
use crate::sys::device_key::DeviceKey;
use crate::sys::random::{self, Random, SeededRandom};
use jiff::civil::Date;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub(super) type Result<T> = std::result::Result<T, ScenarioError>;

/// How long the shell takes to notice a change of the line by its probes.
const PROBE_DOWN: Duration = Duration::from_secs(10);
const PROBE_UP: Duration = Duration::from_secs(5);

/// How long a till waits before it posts again what was not acknowledged.
pub(super) const TILL_RETRY: Duration = Duration::from_secs(1);

/// How far before the scenario's start a wall clock may stand and be believed.
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// What the queue holds.
pub(super) enum Item {
    Happens(Happening),
    Answer(Box<Flight>),
    /// A provider answers whether it has a message, in one life of the box.
    LookUp(u32, Box<Lookup>),
    Wake,
    ProbeLine,
    /// The day in figures, a while after the shop has closed.
    Digest(Date),
}

/// An attempt on its way, in one life of the box.
pub(super) struct Flight {
    life: u32,
    start: Start,
    outcome: Outcome,
    content: Option<Content>,
}

/// A box that has power.
pub(super) struct Box_ {
    pub(super) writer: WriterCore,
    pub(super) core: Core,
    /// The wall clock that is not believed before this.
    floor: UnixMs,
}

pub struct World {
    pub(super) config: Arc<Config>,
    pub(super) composer: Arc<Composer>,
    pub(super) facts: BTreeMap<String, Facts>,
    pub(super) scripts: BTreeMap<String, Script>,
    pub(super) random: Arc<dyn Random>,
    pub(super) options: Options,
    pub(super) queue: BTreeMap<(i64, u64), Item>,
    pub(super) serial: u64,
    /// The one wake-up that stands in the queue: a later step asks for another in its place.
    pub(super) wake: Option<(i64, u64)>,
    /// True time.
    pub(super) time: UnixMs,
    pub(super) start: UnixMs,
    pub(super) until: UnixMs,
    /// How far the box's wall clock is off, in milliseconds.
    pub(super) off: i64,
    pub(super) life: u32,
    pub(super) agent: Option<Box_>,
    pub(super) armed: Option<Cut>,
    pub(super) line_up: bool,
    pub(super) line_down_since: Option<UnixMs>,
    pub(super) offline: Duration,
    pub(super) calls: BTreeMap<String, u64>,
    /// Sales of tills that wait for the box to have power again.
    pub(super) waiting: Vec<Happening>,
    /// Ids that arrived at providers.
    pub(super) had: BTreeSet<String>,
    /// What providers answered, to be taken by the next step.
    pub(super) looked_up: Vec<LookedUp>,
    /// The sale of each label, the first sighting.
    pub(super) labels: BTreeMap<String, ReceiptId>,
    /// The label of each document, and of each event that was posted, by its id.
    pub(super) documents: BTreeMap<ReceiptId, String>,
    pub(super) events: BTreeMap<String, String>,
    pub(super) contacts: Vec<Map<String, Value>>,
    pub(super) key: Arc<DeviceKey>,
    pub(super) ticked: Option<UnixMs>,
    pub(super) oracle: Oracle,
    pub(super) sends: Vec<Value>,
    pub(super) answers: Vec<Value>,
    pub(super) found: Vec<Value>,
}

impl World {
    pub fn new(scenario: Scenario, seed: u64, folder: &Path) -> Result<World> {
        std::fs::create_dir_all(folder).map_err(|e| ScenarioError::Other(e.to_string()))?;
        let options = Options { durability: Durability::Simulated, ..Options::new(folder.join(format!("shop-{seed}.db"))) };
        for ending in ["", "-wal", "-shm"] {
            let mut name = options.path.clone().into_os_string();
            name.push(ending);
            let _ = std::fs::remove_file(name); // of an earlier run
        }
        let composer = Arc::new(app::composer(&scenario.config).map_err(|e| ScenarioError::Other(e.to_string()))?);
        let start = scenario.timeline.first().map_or(UnixMs(0), |(at, _)| *at);
        let facts = facts(&scenario.config, &scenario.scripts);
        let mut world = World {
            config: Arc::new(scenario.config),
            composer,
            facts,
            scripts: scenario.scripts,
            random: Arc::new(SeededRandom::new(seed)),
            options,
            queue: BTreeMap::new(),
            serial: 0,
            wake: None,
            time: start,
            start,
            until: scenario.until,
            off: 0,
            life: 0,
            agent: None,
            armed: None,
            line_up: true,
            line_down_since: None,
            offline: Duration::ZERO,
            calls: BTreeMap::new(),
            waiting: Vec::new(),
            had: BTreeSet::new(),
            looked_up: Vec::new(),
            labels: BTreeMap::new(),
            documents: BTreeMap::new(),
            events: BTreeMap::new(),
            contacts: scenario.contacts,
            key: Arc::new(DeviceKey::new(random::bytes(&SeededRandom::new(seed ^ 0x6b65_795f)))),
            ticked: None,
            oracle: Oracle::default(),
            sends: Vec::new(),
            answers: Vec::new(),
            found: Vec::new(),
        };
        world.boot()?;
        let now = world.now();
        let (config, key, random) = (world.config.clone(), world.key.clone(), world.random.clone());
        if let Some(agent) = &mut world.agent {
            let cx = Context { config: &config, key: &key, random: random.as_ref(), now };
            let told = Told { method: "import", ..Told::default() };
            agent.writer.run(|tx| world.contacts.iter().try_for_each(|c| people::sync(tx, &cx, c, start, &told).map(|_| ())))?;
        }
        world.tell_consents();
        for (at, happening) in scenario.timeline {
            world.at(at, Item::Happens(happening));
        }
        Ok(world)
    }

    /// The oracle knows what the contacts allowed before.
    fn tell_consents(&mut self) {
        for contact in &self.contacts {
            let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            let whole = Value::Object(contact.clone());
            for entry in whole.get("consent").and_then(Value::as_array).into_iter().flatten() {
                let (channel, state) = (Channel::from_word(&text(entry, "channel")), State::from_word(&text(entry, "state")));
                let (Some(channel), Some(state)) = (channel, state) else { continue };
                let address = text(&whole, if channel == Channel::Email { "email" } else { "phone" });
                self.oracle.told(channel, &address, oracle::Told::Consents(state), self.start);
            }
        }
    }

    pub fn play(&mut self) -> Result<()> {
        while self.queue.first_key_value().is_some_and(|((at, _), _)| UnixMs(*at) <= self.until) {
            let Some(((at, _), item)) = self.queue.pop_first() else { break };
            self.time = self.time.max(UnixMs(at));
            match item {
                Item::Happens(happening) => self.happens(happening)?,
                Item::Answer(flight) => self.comes_back(*flight)?,
                Item::LookUp(life, lookup) => self.look_up(life, &lookup)?,
                Item::Wake => self.step(&[])?,
                Item::ProbeLine => self.probe()?,
                Item::Digest(day) => self.digest(day)?,
            }
        }
        self.time = self.until;
        // Power that stayed off hides nothing: the oracle looks at what a boot would find.
        if self.agent.is_none() {
            self.boot()?;
        }
        let flying = self.queue.values().filter(|item| matches!(item, Item::Answer(f) if f.life == self.life)).count();
        if let Some(agent) = &self.agent {
            self.oracle.check(agent.writer.read(), flying)?;
        }
        Ok(())
    }

    pub(super) fn at(&mut self, at: UnixMs, item: Item) {
        self.serial += 1;
        self.queue.insert((at.0, self.serial), item);
    }

    pub(super) fn now(&self) -> Now {
        let wall = UnixMs(self.time.0 + self.off);
        let mono = Mono(u64::try_from(self.time.0 - self.start.0).unwrap_or(0));
        let good = self.config.agent.clock_trusted || self.agent.as_ref().is_none_or(|a| wall >= a.floor);
        Now { wall, mono, good }
    }

    // ---- what happens ----

    fn happens(&mut self, happening: Happening) -> Result<()> {
        match happening {
            Happening::Sale { label, source, sale, event_id } => self.sale(label, source, sale, event_id)?,
            Happening::LineDown => {
                (self.line_up, self.line_down_since) = (false, Some(self.time));
                self.at(self.time + PROBE_DOWN, Item::ProbeLine);
            }
            Happening::LineUp => {
                self.line_up = true;
                self.offline += self.line_down_since.take().map_or(Duration::ZERO, |since| self.time.since(since));
                self.at(self.time + PROBE_UP, Item::ProbeLine);
            }
            Happening::ClockStep(by) => {
                self.off += by;
                self.step(&[])?;
            }
            Happening::PowerCut(Cut::Idle) => self.cut(),
            Happening::PowerCut(cut) => self.armed = Some(cut),
            Happening::Boot => {
                if self.agent.is_none() {
                    self.boot()?;
                }
            }
            Happening::Restart => self.restart()?,
            Happening::Resend { label, channel, address, by } => {
                self.resend(&label, Ask { channel, address, actor: by, ..Ask::default() })?
            }
            Happening::CredentialFixed(provider) => {
                if let Some(agent) = &mut self.agent {
                    agent.core.resume(&provider);
                }
                self.step(&[])?;
            }
            Happening::FindText(text) => self.find_text(&text)?,
            other => self.act(other)?,
        }
        Ok(())
    }

    fn find_text(&mut self, text: &str) -> Result<()> {
        let mut found = false;
        for ending in ["", "-wal"] {
            let mut name = self.options.path.clone().into_os_string();
            name.push(ending);
            let bytes = std::fs::read(name).unwrap_or_default();
            found |= !text.is_empty() && bytes.windows(text.len()).any(|w| w == text.as_bytes());
        }
        self.found.push(json!({"at": self.time.rfc3339(), "text": text, "found": found}));
        Ok(())
    }

    // ---- power ----

    fn cut(&mut self) {
        self.agent = None;
        self.armed = None;
        self.life += 1; // answers to the old life find nobody
    }

    fn boot(&mut self) -> Result<()> {
        let mut writer = WriterCore::open(&self.options)?;
        // As the machine's clock knows when it was built: a year before the scenario is plainly wrong.
        let floor = writer.read().newest_time()?.unwrap_or_default().max(self.start - YEAR);
        let online = writer.read().fact("online_ms")?.and_then(|ms| ms.parse().ok()).unwrap_or(0);
        let now = self.now();
        let line = Line::new(now, Duration::from_millis(online));
        let mut core =
            Core::new(self.config.clone(), self.facts.clone(), self.composer.clone(), self.key.clone(), self.random.clone(), line, now);
        writer.run(|tx| core.boot(tx, now))?;
        self.agent = Some(Box_ { writer, core, floor });
        if !self.line_up {
            self.at(self.time + PROBE_DOWN, Item::ProbeLine);
        }
        for sale in std::mem::take(&mut self.waiting) {
            self.at(self.time + TILL_RETRY, Item::Happens(sale));
        }
        self.step(&[])
    }

    /// An orderly stop: what is in flight is answered and recorded, then a new life begins.
    fn restart(&mut self) -> Result<()> {
        let keys: Vec<(i64, u64)> =
            self.queue.iter().filter(|(_, item)| matches!(item, Item::Answer(f) if f.life == self.life)).map(|(k, _)| *k).collect();
        let flights = keys.iter().filter_map(|k| self.queue.remove(k));
        let finished: Vec<Finished> = flights
            .filter_map(|item| {
                if let Item::Answer(f) = item { Some(Finished { start: f.start, outcome: f.outcome, content: f.content }) } else { None }
            })
            .collect();
        let now = self.now();
        if let Some(agent) = &mut self.agent {
            let core = &mut agent.core;
            agent.writer.run(|tx| core.finish(tx, now, &finished))?;
        }
        self.cut();
        self.boot()
    }

    /// Runs a unit and commits it. `None` where the box has no power, or loses it before the commit.
    pub(super) fn commit<T>(&mut self, work: impl FnOnce(crate::store::Tx<'_>) -> crate::store::Result<T>) -> Result<Option<T>> {
        let Some(agent) = &mut self.agent else { return Ok(None) };
        if self.armed == Some(Cut::Commit) {
            agent.writer.cut(work)?;
            self.cut();
            return Ok(None);
        }
        Ok(Some(agent.writer.run(work)?))
    }

    // ---- dispatch ----

    /// One step of the core; what it hands out is sent.
    pub(super) fn step(&mut self, finished: &[Finished]) -> Result<()> {
        let now = self.now();
        let Some(mut core) = self.agent.as_ref().map(|a| a.core.clone()) else { return Ok(()) };
        let looked_up = std::mem::take(&mut self.looked_up);
        let stepped = self.commit(|tx| {
            core.looked_up(tx, now, &looked_up)?;
            let report = core.step(tx, now, finished)?;
            Ok((core, report))
        })?;
        let Some((core, report)) = stepped else { return Ok(()) };
        if let Some(agent) = &mut self.agent {
            agent.core = core;
        }
        for note in &report.notes {
            if let Note::Suppressed(channel, address, _) = note {
                self.oracle.told(*channel, address, oracle::Told::Gone, self.time);
            }
        }
        let told = report.notes.iter().any(|note| matches!(note, Note::Lane(..) | Note::Line(_)));
        if let Some(asked) = self.wake.take() {
            self.queue.remove(&asked);
        }
        if let Some(wake) = report.wake {
            self.at(self.time + wake.max(Duration::from_millis(1)), Item::Wake);
            self.wake = Some(((self.time + wake.max(Duration::from_millis(1))).0, self.serial));
        }
        for lookup in report.lookups {
            let latency = self.scripts.get(&lookup.start.provider).map_or(Duration::ZERO, |s| s.latency);
            self.at(self.time + latency, Item::LookUp(self.life, Box::new(lookup)));
        }
        for start in report.starts {
            if self.armed == Some(Cut::BeforeSend) {
                self.cut();
            }
            if self.agent.is_none() {
                break; // marked, and never sent
            }
            self.send(start);
        }
        if self.tick(told)? {
            return self.step(&[]); // what the staff hear is sent at once
        }
        Ok(())
    }

    /// The provider's side of one attempt.
    fn send(&mut self, start: Start) {
        let now = self.now();
        let content = match compose::content(&self.composer, &self.config, &start, now.wall) {
            Ok(content) => content,
            Err(why) => return self.answer_later(start, Outcome::new(Class::Permanent, Scope::Message, why), None, Duration::ZERO),
        };
        let local = self.facts.get(&start.provider).is_some_and(|f| f.local);
        if !self.line_up && !local {
            let outcome = Outcome::new(Class::Offline, Scope::Line, "no_route");
            return self.answer_later(start, outcome, Some(content), Duration::ZERO);
        }
        let nth = self.calls.entry(start.provider.clone()).or_default();
        *nth += 1;
        let script = self.scripts.get(&start.provider).cloned().unwrap_or_default();
        let kind = self.facts.get(&start.provider).map(|f| f.kind.clone()).unwrap_or_default();
        let id = start.delivery.step_id().to_string();
        let Played { mut outcome, arrived, seen } = script.answer(&kind, &start.delivery.address, *nth, self.time, &id);
        let dies = self.armed == Some(Cut::AfterBodySent) && seen;
        let safe = self.facts.get(&start.provider).is_some_and(|f| f.safe_by_key);
        if safe && outcome.class == Class::Permanent && self.had.contains(&id) {
            // What it took before it does not refuse afterwards: it drops the repeat.
            outcome = Outcome { duplicate: true, ..Outcome::accepted(None) };
        }
        // What a provider will say of it when it is asked is what became of it.
        let doubtful = dies || outcome.class == Class::Uncertain;
        let arrived = match script.lookup.filter(|_| doubtful) {
            Some(lookup) => lookup == answers::Lookup::Found,
            None => arrived || dies,
        };
        if arrived {
            self.had.insert(id);
            // A link to a new password is sent once more, staff and systems are told until they have heard.
            let most = match start.delivery.kind {
                Kind::PasswordReset => 2,
                _ if start.delivery.audience == Audience::Customer => 1,
                _ => u32::MAX,
            };
            self.oracle.arrives(&start.delivery.intent.to_string(), safe, most);
        }
        if seen {
            self.leaves(&start);
        }
        if seen || outcome.class != Class::Offline {
            self.note_send(&start, &outcome, &content, dies);
        }
        if dies {
            return self.cut();
        }
        self.answer_later(start, outcome, Some(content), script.latency);
    }

    /// The oracle looks at what leaves.
    fn leaves(&mut self, start: &Start) {
        let (d, now, shop) = (&start.delivery, self.now(), &self.config.shop);
        if d.audience != Audience::Customer {
            return;
        }
        let either = |own: &str, shop: &str| if own.is_empty() { shop.to_owned() } else { own.to_owned() };
        let (zone, region) = (either(&d.zone, &shop.timezone), either(&d.region, shop.whereabouts()));
        self.oracle.leaves(&oracle::Leaving {
            kind: d.kind,
            channel: d.channel,
            address: &d.address,
            sold_at: d.sold_at,
            at: now.wall,
            good: now.good,
            zone: &zone,
            region: &region,
        });
    }

    fn answer_later(&mut self, start: Start, outcome: Outcome, content: Option<Content>, after: Duration) {
        let flight = Flight { life: self.life, start, outcome, content };
        self.at(self.time + after, Item::Answer(Box::new(flight)));
    }

    fn comes_back(&mut self, flight: Flight) -> Result<()> {
        if flight.life != self.life || self.agent.is_none() {
            return Ok(()); // nobody is there to hear it
        }
        self.step(&[Finished { start: flight.start, outcome: flight.outcome, content: flight.content }])
    }

    /// A provider is asked whether it has a message.
    fn look_up(&mut self, life: u32, lookup: &Lookup) -> Result<()> {
        if life != self.life || self.agent.is_none() {
            return Ok(());
        }
        let Start { delivery, provider, .. } = &lookup.start;
        let local = self.facts.get(provider).is_some_and(|f| f.local);
        let has = self.had.contains(&delivery.step_id().to_string());
        let found = match self.scripts.get(provider).and_then(|s| s.lookup) {
            _ if !self.line_up && !local => Some(Found::Unknown(Outcome::new(Class::Offline, Scope::Line, "no_route"))),
            None => None,
            Some(_) if has => Some(Found::Yes(None)),
            Some(_) => Some(Found::No),
        };
        self.looked_up.push(LookedUp { delivery: delivery.id, provider: provider.clone(), found });
        self.step(&[])
    }

    fn probe(&mut self) -> Result<()> {
        let (now, up) = (self.now(), self.line_up);
        let routing = self.config.routing.clone();
        let wait = Duration::from_millis(self.random.below(u64::try_from(routing.reconnect_wait.as_millis()).unwrap_or(0) + 1));
        if let Some(agent) = &mut self.agent {
            match up {
                true => agent.core.line.found(now, wait, routing.reconnect_ramp),
                false => agent.core.line.lost(now),
            };
        }
        self.step(&[])
    }
}

/// What dispatch must know of each provider of the config: rates of the routing rules where none is named.
fn facts(config: &Config, scripts: &BTreeMap<String, Script>) -> BTreeMap<String, Facts> {
    let mut facts = BTreeMap::new();
    for (name, provider) in &config.providers {
        let rate = match config.channels.iter().find(|(_, c)| c.providers.contains(name)).map(|(channel, _)| *channel) {
            Some(Channel::Sms) => Rate::per_second(1),
            _ if provider.kind == "smtp" => Rate::per_second(5),
            _ => Rate::per_second(10),
        };
        facts.insert(
            name.clone(),
            Facts {
                kind: provider.kind.clone(),
                safe_by_key: super::answers::safe_by_key(&provider.kind),
                local: provider.kind == "capture",
                lookup: scripts.get(name).and_then(|s| s.lookup).map(|_| config.routing.lookup_delay),
                keeps_content: false,
                rate: provider.rate.unwrap_or(rate),
                concurrency: provider.concurrency.unwrap_or(4),
            },
        );
    }
    let inbox = Facts {
        kind: "capture".into(),
        safe_by_key: true,
        local: true,
        lookup: None,
        keeps_content: false,
        rate: Rate::per_second(100),
        concurrency: 4,
    };
    facts.insert(TEST_INBOX.to_owned(), inbox);
    facts
}
