//! Power cuts under the store: whatever the disk keeps of what was not synced, the promise holds.
//!
//! A shop posts and dispatches on a disk in memory ([`crate::vfs`]) until the power goes at a random write
//! or sync; what survives is opened with SQLite's own file system and compared with what was promised.

use crate::agent::sale as sale_json;
use crate::vfs::{self, Disk};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tillpost::app;
use tillpost::config::checked::Rate;
use tillpost::config::load;
use tillpost::dispatch::line::Line;
use tillpost::dispatch::{Core, Facts, Finished, Start, TEST_INBOX};
use tillpost::domain::delivery::State;
use tillpost::domain::ids::ReceiptId;
use tillpost::domain::outcome::{Class, Outcome, Scope};
use tillpost::domain::time::UnixMs;
use tillpost::pipeline::Rules;
use tillpost::pipeline::intake::{self, Kept, Posted};
use tillpost::sources::lan;
use tillpost::store::inbox::Body;
use tillpost::store::outbox::Filter;
use tillpost::store::receipts::Find;
use tillpost::store::writer::WriterCore;
use tillpost::store::{Durability, Options, Snapshot, Writer};
use tillpost::sys::clock::{Mono, Now};
use tillpost::sys::device_key::DeviceKey;
use tillpost::sys::random::{self, Random, SeededRandom};

const CUTS: u32 = 2200;
const FILE: &str = "tillpost.db";

/// Everything outside the box: it outlives every cut.
struct World {
    rules: Rules,
    composer: Arc<tillpost::compose::Composer>,
    chance: Arc<SeededRandom>,
    time: i64,
    next: u32,
    posted: BTreeSet<String>,
    acknowledged: BTreeMap<String, ReceiptId>,
    /// How often each message arrived, by its intent.
    arrived: BTreeMap<String, u32>,
    plain: tempfile::TempDir,
}

/// A box with power.
struct Shop {
    writer: WriterCore,
    core: Core,
    finished: Vec<Finished>,
}

type Died = Result<(), tillpost::store::StoreError>;

impl World {
    fn new(seed: u64) -> World {
        let config = json!({
            "shop": {"id": "s12", "country": "US"}, "tills": {"front": {"key": "tp_live_simulated_front"}},
            "providers": {"main": {"type": "smtp"}},
            "channels": {"email": {"from": "receipts@cmart.example", "providers": ["main"]}},
        });
        let config = Arc::new(load::from_json(&config, &app::kinds(), true).unwrap_or_else(|p| panic!("{p:?}")));
        let chance = Arc::new(SeededRandom::new(seed));
        World {
            composer: Arc::new(app::composer(&config).unwrap()),
            rules: Rules { config, key: Arc::new(DeviceKey::new([7; 32])), random: chance.clone() },
            chance,
            time: 1_790_000_000_000,
            next: 0,
            posted: BTreeSet::new(),
            acknowledged: BTreeMap::new(),
            arrived: BTreeMap::new(),
            plain: tempfile::tempdir().unwrap(),
        }
    }

    fn pick(&self, n: u64) -> u64 {
        self.chance.below(n)
    }

    fn now(&mut self) -> Now {
        self.time += 700;
        Now { wall: UnixMs(self.time), mono: Mono((self.time - 1_790_000_000_000) as u64), good: true }
    }

    fn options(disk: &Disk, durability: Durability) -> Options {
        Options { vfs: Some(vfs::NAME.to_owned()), durability, ..Options::new(disk.path(FILE)) }
    }

    fn boot(&mut self, options: &Options) -> Result<Shop, tillpost::store::StoreError> {
        let mut writer = WriterCore::open(options)?;
        let facts = |kind: &str, safe_by_key| Facts {
            kind: kind.to_owned(),
            safe_by_key,
            local: true,
            lookup: None,
            keeps_content: false,
            rate: Rate::per_second(1000),
            concurrency: 2,
        };
        let facts = BTreeMap::from([("main".to_owned(), facts("smtp", false)), (TEST_INBOX.to_owned(), facts("capture", true))]);
        let now = self.now();
        let line = Line::new(now, Duration::ZERO);
        let mut core =
            Core::new(self.rules.config.clone(), facts, self.composer.clone(), self.rules.key.clone(), self.chance.clone(), line, now);
        writer.run(|tx| core.boot(tx, now))?;
        Ok(Shop { writer, core, finished: Vec::new() })
    }

    /// A new sale, or now and then one that was posted before.
    fn sale(&mut self) -> (String, Posted) {
        let number = if self.pick(6) == 0 && self.next > 0 { self.pick(u64::from(self.next)) as u32 } else { self.next };
        self.next = self.next.max(number + 1);
        let number = format!("P-{number}");
        let bytes = sale_json(&number, "lee@example.org").to_string().into_bytes();
        let read = lan::sale(&bytes).unwrap_or_else(|r| panic!("{r:?}"));
        let receipt_id = ReceiptId::new(self.time, random::bytes(self.chance.as_ref()));
        self.posted.insert(number.clone());
        (
            number,
            Posted {
                body: Body::pack(&bytes),
                document: None,
                sale: read.value,
                content: read.content,
                receipt_id,
                idempotency_key: None,
                event_id: None,
            },
        )
    }

    fn heard(&mut self, number: String, kept: Kept) {
        let (Kept::Stored(id) | Kept::Duplicate(id)) = kept else { panic!("{number}: {kept:?}") };
        let before = self.acknowledged.insert(number.clone(), id);
        assert!(before.is_none_or(|before| before == id), "{number} was acknowledged under two ids");
    }

    /// The provider's side: what arrives arrives, whatever the box hears of it.
    fn send(&mut self, start: Start) -> Option<Finished> {
        let (arrives, outcome) = match self.pick(10) {
            0 => (false, Some(Outcome::new(Class::Retry, Scope::Account, "503"))),
            1 => (self.pick(2) == 0, Some(Outcome::new(Class::Uncertain, Scope::Message, "no answer"))),
            2 => (self.pick(2) == 0, None), // no answer before the box is off
            _ => (true, Some(Outcome::accepted(None))),
        };
        if arrives {
            *self.arrived.entry(start.delivery.intent.to_string()).or_default() += 1;
        }
        outcome.map(|outcome| Finished { start, outcome, content: None })
    }

    fn step(&mut self, shop: &mut Shop) -> Died {
        let (now, mut core, finished) = (self.now(), shop.core.clone(), std::mem::take(&mut shop.finished));
        let report = shop.writer.run(|tx| core.step(tx, now, &finished))?;
        shop.core = core;
        for start in report.starts {
            shop.finished.extend(self.send(start));
        }
        Ok(())
    }

    /// A life of the box, one unit after the other, to its end in order or without power.
    fn live(&mut self, options: &Options) -> Died {
        let mut shop = self.boot(options)?;
        for _ in 0..4 + self.pick(10) {
            if self.pick(2) == 0 {
                self.step(&mut shop)?;
                continue;
            }
            let (number, posted) = self.sale();
            let (rules, now) = (self.rules.clone(), self.now());
            let origin = intake::origin_of(&rules.config, "front");
            let kept = shop.writer.run(|tx| intake::keep_sale(tx, &rules.at(now), &origin, &posted))?;
            self.heard(number, kept);
        }
        Ok(()) // closing moves the WAL into the file
    }

    /// A life through the writer's own thread: many sales share a commit.
    fn live_in_groups(&mut self, disk: &Disk, options: &Options, runtime: &tokio::runtime::Runtime) -> Died {
        let writer = Writer::start(options, |_| ())?;
        let mut lost = Ok(());
        for _ in 0..3 {
            let sales: Vec<_> = (0..1 + self.pick(6)).map(|_| self.sale()).collect();
            let (rules, now) = (self.rules.clone(), self.now());
            let answers = runtime.block_on(async {
                let mut set = tokio::task::JoinSet::new();
                for (number, posted) in sales {
                    let (writer, rules) = (writer.clone(), rules.clone());
                    set.spawn(async move {
                        let origin = intake::origin_of(&rules.config, "front");
                        (number, writer.run(move |tx| intake::keep_sale(tx, &rules.at(now), &origin, &posted)).await)
                    });
                }
                set.join_all().await
            });
            for (number, kept) in answers {
                match kept {
                    Ok(kept) => self.heard(number, kept),
                    Err(error) => lost = Err(error),
                }
            }
        }
        drop(writer);
        crate::agent::until("the writer's thread has closed the file", || (disk.open() == 0).then_some(()));
        lost
    }

    /// What survived, opened with SQLite's own file system. Gives what is wrong.
    fn check(&mut self, disk: &Disk) -> Vec<String> {
        let folder = self.plain.path().to_owned();
        for ending in ["", "-wal", "-shm", "-journal"] {
            let _ = std::fs::remove_file(folder.join(format!("{FILE}{ending}"))); // of the cut before
        }
        for (name, bytes) in disk.files() {
            std::fs::write(folder.join(name), bytes).unwrap();
        }
        // The same code as a start; nothing is written that must survive.
        let options = Options { durability: Durability::Simulated, ..Options::new(folder.join(FILE)) };
        let mut shop = match self.boot(&options) {
            Ok(shop) => shop,
            Err(error) => return vec![format!("it does not open: {error}")],
        };
        let plain = rusqlite::Connection::open(folder.join(FILE)).unwrap();
        let said: String = plain.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        let mut wrong = Vec::new();
        if said != "ok" {
            wrong.push(said);
        }
        wrong.extend(self.compare(shop.writer.read()));
        // It goes on: what is still to be sent is, and nothing a second time. The real box goes on elsewhere,
        // from the same bytes: what arrives here is forgotten.
        let arrived = self.arrived.clone();
        for _ in 0..3 {
            if let Err(error) = self.step(&mut shop) {
                wrong.push(format!("it does not go on: {error}"));
            }
        }
        let twice = self.arrived.iter().filter(|(_, times)| **times > 1);
        wrong.extend(twice.map(|(intent, times)| format!("{intent} arrived {times} times")));
        self.arrived = arrived;
        wrong
    }

    fn compare(&self, read: Snapshot<'_>) -> Vec<String> {
        let all = read.find_receipts(&Find { limit: 100_000, ..Find::default() }).unwrap();
        let mut stored = BTreeMap::<&str, Vec<ReceiptId>>::new();
        for receipt in &all {
            stored.entry(&receipt.receipt_number).or_default().push(receipt.receipt_id);
        }
        let mut wrong = Vec::new();
        for (number, id) in &self.acknowledged {
            if stored.get(number.as_str()) != Some(&vec![*id]) {
                wrong.push(format!("{number} was acknowledged as {id} and is there as {:?}", stored.get(number.as_str())));
            }
        }
        let unposted = stored.keys().filter(|number| !self.posted.contains(**number));
        wrong.extend(unposted.map(|number| format!("{number} was never posted")));
        for d in read.deliveries(&Filter { limit: 100_000, ..Filter::default() }).unwrap() {
            if d.state == State::Accepted && !self.arrived.contains_key(&d.intent.to_string()) {
                wrong.push(format!("{} is marked as accepted and did not arrive", d.step_id()));
            }
            if d.state == State::Sending {
                wrong.push(format!("{} is still in flight after a start", d.step_id()));
            }
        }
        wrong
    }
}

/// Cuts the power again and again; gives the cuts that struck, and what was wrong after the first bad one.
fn run(cuts: u32, durability: Durability) -> (u32, Vec<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let fresh = Disk::new();
    drop(World::new(0).boot(&World::options(&fresh, durability)).unwrap());
    let image = fresh.files();
    let (disk, mut struck) = (Disk::new(), 0);
    for seed in 0.. {
        let mut world = World::new(seed);
        disk.load(if seed % 8 == 0 { &[] } else { &image }); // making the file is cut, too
        let options = World::options(&disk, durability);
        for life in 0..6 {
            disk.cut_after(world.pick(if life == 0 { 160 } else { 90 }));
            let ended = match world.pick(4) {
                0 => world.live_in_groups(&disk, &options, &runtime),
                _ => world.live(&options),
            };
            assert!(ended.is_ok() || disk.is_dead(), "with power: {ended:?}");
            struck += u32::from(disk.is_dead());
            disk.cut(world.chance.as_ref());
            let wrong = world.check(&disk);
            if !wrong.is_empty() || struck >= cuts {
                return (struck, wrong.into_iter().map(|w| format!("seed {seed}, life {life}: {w}")).collect());
            }
        }
    }
    unreachable!("the loop ends by itself")
}

#[test]
fn no_power_cut_breaks_the_promise() {
    let (struck, wrong) = run(CUTS, Durability::Synced);
    assert!(wrong.is_empty(), "after {struck} cuts: {wrong:#?}");
    println!("{struck} power cuts");
}

/// The test's teeth: commits that are not synced are lost, and it says so.
#[test]
fn without_syncs_the_same_test_finds_lost_sales_or_damage() {
    let (struck, wrong) = run(200, Durability::Simulated);
    let lost = |w: &String| w.contains("was acknowledged as") && w.contains("None");
    let damaged = |w: &String| w.contains("in database");
    assert!(wrong.iter().any(|w| lost(w) || damaged(w)), "after {struck} cuts: {wrong:?}");
}
