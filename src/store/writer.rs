//! The writer: one thread that owns the write connection, commits in groups and makes the checkpoints.

use super::budget::Ballast;
use super::{Options, Result, StoreError, Tx, open};
use crate::sys::supervisor::Supervisor;
use rusqlite::Connection;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;
use tokio::sync::oneshot;

/// Units that may wait; a full queue makes callers wait, so that nothing grows without bound.
pub const QUEUE: usize = 1024;

/// Units that share one commit at most.
const GROUP: usize = 256;

/// How long a commit may wait for units that are likely on their way: as many as the last one had. A lone
/// till never waits, as the last commit had only its own unit.
const GATHER: Duration = Duration::from_micros(1500);

/// WAL pages (of 4 KiB) from which an idle writer makes a checkpoint, and from which any does. Small
/// enough that the WAL soon stays within space that it has, which makes a commit much cheaper.
const CHECKPOINT_IDLE: i64 = 512;
const CHECKPOINT_ALWAYS: i64 = 1024;

/// A unit of work and whoever waits for it.
trait Unit: Send {
    /// Does the work inside the transaction; the value is kept until the commit.
    fn run(&mut self, tx: Tx<'_>) -> Result<()>;
    /// Answers, after the commit or after what made it impossible.
    fn answer(self: Box<Self>, failed: Option<StoreError>);
}

struct Work<T, F> {
    work: Option<F>,
    value: Option<Result<T>>,
    reply: oneshot::Sender<Result<T>>,
}

impl<T: Send, F: FnOnce(Tx<'_>) -> Result<T> + Send> Unit for Work<T, F> {
    fn run(&mut self, tx: Tx<'_>) -> Result<()> {
        let value = self.work.take().ok_or(StoreError::Closed).and_then(|work| work(tx));
        let ran = value.as_ref().map(|_| ()).map_err(Clone::clone);
        self.value = Some(value);
        ran
    }

    fn answer(self: Box<Self>, failed: Option<StoreError>) {
        let value = match (failed, self.value) {
            (_, Some(Err(error))) | (Some(error), _) => Err(error),
            (None, Some(value)) => value,
            (None, None) => Err(StoreError::Sql("the unit of work panicked".to_owned())),
        };
        let _ = self.reply.send(value); // the caller may have gone
    }
}

/// Figures of the writer, for metrics.
#[derive(Default)]
pub struct Figures {
    /// Commits made.
    pub commits: AtomicU64,
    /// Units of work in them.
    pub units: AtomicU64,
    /// Pages in the WAL after the last commit.
    pub wal_pages: AtomicI64,
}

/// The way to the writer's thread. Cheap to clone; the thread ends when the last one is gone.
#[derive(Clone)]
pub struct Writer {
    queue: SyncSender<Box<dyn Unit>>,
    figures: Arc<Figures>,
}

impl Writer {
    /// Opens the file and starts the thread. `fatal` is told what makes writing impossible for good.
    pub fn start(options: &Options, fatal: impl Fn(StoreError) + Send + 'static) -> Result<Writer> {
        let core = WriterCore::open(options)?;
        let (queue, units) = sync_channel(QUEUE);
        let figures = core.figures.clone();
        Supervisor::thread("store-writer", move || core.serve(&units, &fatal)).map_err(|e| StoreError::Disk(e.to_string()))?;
        Ok(Writer { queue, figures })
    }

    /// Runs the work in a write transaction and gives its value after the commit.
    ///
    /// # Errors
    /// What the work gave (it is then rolled back alone), or what kept the group from being committed.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce(Tx<'_>) -> Result<T> + Send + 'static) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let mut unit: Box<dyn Unit> = Box::new(Work { work: Some(work), value: None, reply });
        loop {
            match self.queue.try_send(unit) {
                Ok(()) => break,
                Err(std::sync::mpsc::TrySendError::Disconnected(_)) => return Err(StoreError::Closed),
                Err(std::sync::mpsc::TrySendError::Full(back)) => {
                    unit = back;
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
        }
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Figures for metrics.
    pub fn figures(&self) -> &Figures {
        &self.figures
    }
}

/// The writer without its thread: the simulator steps it.
pub struct WriterCore {
    conn: Connection,
    ballast: Ballast,
    figures: Arc<Figures>,
}

impl WriterCore {
    /// Opens the file for writing.
    pub fn open(options: &Options) -> Result<WriterCore> {
        let conn = open::for_writing(options)?;
        Ok(WriterCore { conn, ballast: Ballast::beside(&options.path), figures: Arc::default() })
    }

    /// Runs one unit and commits.
    pub fn run<T>(&mut self, work: impl FnOnce(Tx<'_>) -> Result<T>) -> Result<T> {
        self.conn.execute_batch("BEGIN IMMEDIATE")?;
        let done = work(Tx(&self.conn)).and_then(|value| {
            self.conn.execute_batch("COMMIT")?;
            Ok(value)
        });
        if done.is_err() && !self.conn.is_autocommit() {
            self.conn.execute_batch("ROLLBACK")?;
        }
        done
    }

    /// Runs one unit and throws it away: the power went before its commit.
    pub fn cut<T>(&mut self, work: impl FnOnce(Tx<'_>) -> Result<T>) -> Result<()> {
        self.conn.execute_batch("BEGIN IMMEDIATE")?;
        let _ = work(Tx(&self.conn));
        if !self.conn.is_autocommit() {
            self.conn.execute_batch("ROLLBACK")?;
        }
        Ok(())
    }

    /// Moves the whole WAL into the file and cuts it off: what was erased stands nowhere any more.
    pub fn scrub(&mut self) -> Result<()> {
        self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }

    /// The store as it is now.
    pub fn read(&self) -> super::Snapshot<'_> {
        super::Snapshot(&self.conn)
    }

    fn serve(mut self, units: &Receiver<Box<dyn Unit>>, fatal: &dyn Fn(StoreError)) {
        let mut expected = 1;
        loop {
            let first = match units.recv_timeout(Duration::from_secs(1)) {
                Ok(unit) => unit,
                Err(RecvTimeoutError::Timeout) => {
                    self.idle();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let group = gather(units, first, expected);
            expected = group.len();
            if let Some(error) = self.commit(group) {
                fatal(error);
                return; // what still waits hears that the store is closed
            }
            self.checkpoint(CHECKPOINT_ALWAYS);
        }
        let _ = self.conn.execute_batch("PRAGMA wal_checkpoint(PASSIVE)"); // a courtesy to the next start
    }

    /// One transaction for all; gives what makes further writing impossible.
    fn commit(&mut self, mut group: Vec<Box<dyn Unit>>) -> Option<StoreError> {
        let result = self.transaction(&mut group);
        if !self.conn.is_autocommit() {
            let _ = self.conn.execute_batch("ROLLBACK");
        }
        match &result {
            Ok(full) => {
                self.figures.commits.fetch_add(1, Ordering::Relaxed);
                self.figures.units.fetch_add(group.len() as u64, Ordering::Relaxed);
                self.make_room(*full);
            }
            Err(error) => self.make_room(matches!(error, StoreError::DiskFull)),
        }
        let failed = result.err();
        for unit in group {
            unit.answer(failed.clone());
        }
        failed.filter(StoreError::is_fatal)
    }

    /// Runs each unit in a savepoint and commits; true where a unit met a full disk.
    fn transaction(&self, group: &mut [Box<dyn Unit>]) -> Result<bool> {
        let conn = &self.conn;
        let mut full = false;
        conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        for unit in group {
            conn.prepare_cached("SAVEPOINT unit")?.execute([])?;
            // A panic in one unit is its own failure, not that of its neighbours.
            let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| unit.run(Tx(conn))));
            if let Ok(Err(error)) = &ran {
                full |= matches!(error, StoreError::DiskFull);
                if conn.is_autocommit() || error.is_fatal() {
                    return Err(error.clone()); // SQLite gave the whole transaction up
                }
            }
            if !matches!(ran, Ok(Ok(()))) {
                conn.prepare_cached("ROLLBACK TO unit")?.execute([])?;
            }
            conn.prepare_cached("RELEASE unit")?.execute([])?;
        }
        conn.prepare_cached("COMMIT")?.execute([])?;
        Ok(full)
    }

    /// After a full disk: lets the ballast go, so that the WAL can be moved and rows be deleted.
    /// Callers heard that their work was not stored, and try again.
    fn make_room(&mut self, full: bool) {
        if full && self.ballast.release() {
            tracing::error!("the disk is full: the ballast was released");
            self.checkpoint(1);
        }
    }

    fn idle(&mut self) {
        self.checkpoint(CHECKPOINT_IDLE);
        self.ballast.restore();
    }

    /// Moves the WAL into the file when at least `pages` of it wait; only this thread ever does.
    /// PASSIVE: readers are not waited for.
    fn checkpoint(&self, pages: i64) {
        let look = |how: &str| self.conn.query_row(how, [], |row| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)));
        let waiting = look("PRAGMA wal_checkpoint(NOOP)").map_or(0, |(wal, moved)| wal - moved);
        self.figures.wal_pages.store(waiting, Ordering::Relaxed);
        if waiting >= pages
            && let Err(error) = look("PRAGMA wal_checkpoint(PASSIVE)")
        {
            tracing::warn!(%error, "checkpoint put off");
        }
    }
}

/// What is there, and what is likely to come at once.
#[allow(clippy::disallowed_methods)] // how long a commit gathers is the shell's matter, not the core's
fn gather(units: &Receiver<Box<dyn Unit>>, first: Box<dyn Unit>, expected: usize) -> Vec<Box<dyn Unit>> {
    let mut group = vec![first];
    let deadline = std::time::Instant::now() + GATHER;
    while group.len() < GROUP {
        if let Ok(unit) = units.try_recv() {
            group.push(unit);
            continue;
        }
        let left = deadline.saturating_duration_since(std::time::Instant::now());
        if group.len() >= expected || left.is_zero() {
            break;
        }
        match units.recv_timeout(left) {
            Ok(unit) => group.push(unit),
            Err(_) => break,
        }
    }
    group
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(tx: Tx<'_>, n: i64) -> Result<()> {
        tx.sql("INSERT INTO fact(name, value) VALUES(?1, 'x')")?.execute([n])?;
        Ok(())
    }

    fn names(tx: Tx<'_>) -> Result<i64> {
        Ok(tx.sql("SELECT count(*) FROM fact")?.query_row([], |row| row.get(0))?)
    }

    #[tokio::test]
    async fn a_unit_that_fails_or_panics_undoes_itself_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let writer = Writer::start(&Options::new(folder.path().join("t.db")), |e| panic!("{e}")).unwrap();
        let (a, b, c, d) = tokio::join!(
            writer.run(|tx| put(tx, 1)),
            writer.run(|tx| put(tx, 2).and(Err::<(), _>(StoreError::Sql("mine".into())))),
            writer.run(|tx| -> Result<()> {
                put(tx, 3)?;
                panic!("mine, and nobody else's")
            }),
            writer.run(|tx| put(tx, 4)),
        );
        assert!(a.is_ok() && d.is_ok());
        assert!(matches!(b, Err(StoreError::Sql(why)) if why == "mine"));
        assert!(c.is_err());
        assert_eq!(writer.run(names).await.unwrap(), 2);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn many_units_share_a_commit() {
        let folder = tempfile::tempdir().unwrap();
        let writer = Writer::start(&Options::new(folder.path().join("t.db")), |_| ()).unwrap();
        let mut set = tokio::task::JoinSet::new();
        for n in 0..500 {
            let writer = writer.clone();
            set.spawn(async move { writer.run(move |tx| put(tx, n)).await });
        }
        assert!(set.join_all().await.iter().all(Result::is_ok));
        let figures = writer.figures();
        assert_eq!(figures.units.load(Ordering::Relaxed), 500);
        assert!(figures.commits.load(Ordering::Relaxed) < 500, "no two units met in one commit");
    }

    #[tokio::test]
    async fn a_full_database_refuses_and_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { max_bytes: 400 << 10, ..Options::new(folder.path().join("t.db")) };
        let writer = Writer::start(&options, |e| panic!("{e}")).unwrap();
        let big = |n: i64| {
            writer.run(move |tx| {
                tx.sql("INSERT INTO fact(name, value) VALUES(?1, ?2)")?.execute((n, "x".repeat(100_000)))?;
                Ok(())
            })
        };
        let mut said = Vec::new();
        for n in 0..8 {
            said.push(big(n).await);
        }
        assert!(said[0].is_ok());
        assert!(matches!(said[7], Err(StoreError::DiskFull)), "{:?}", said[7]);
        assert!(writer.run(|tx| Ok(tx.sql("DELETE FROM fact")?.execute([])?)).await.is_ok());
        assert!(big(9).await.is_ok());
    }
}
