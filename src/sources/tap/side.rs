//! The side of a wire: takes copies of what was printed, finds the prints in them and hands them on.
//!
//! The wire never waits here. The queue is bounded; a piece that finds no room is dropped, and the print that
//! it belonged to is marked. Not a byte of the side ever goes back to the wire.

use super::{Captured, Keep, Tap, decoder, live::Live};
use crate::domain::time::UnixMs;
use crate::printer::Job;
use crate::sys::clock::Clock;
use crate::sys::supervisor::{Restart, Supervisor};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, mpsc};

/// Pieces that wait to be read. One is at most 4 KiB.
const PIECES: usize = 1024;
/// Bytes of prints that stand open; no paper is that long.
const TAIL: usize = 4 << 20;
/// What stays of bytes that printed nothing, such as questions for the status.
const PRELUDE: usize = 16 << 10;

/// What a wire says.
enum Piece {
    /// These bytes were printed. `missed`: some before them never got here.
    Bytes { at: Duration, bytes: Box<[u8]>, missed: bool },
    /// The connection ended.
    Closed { at: Duration },
}

/// The wire's end.
pub struct Side {
    queue: mpsc::Sender<Piece>,
    missed: bool,
    watch: Watch,
    live: Live,
}

/// What is known of the side without waiting for it.
#[derive(Clone)]
pub struct Watch(Arc<Flags>);

struct Flags {
    clock: Arc<dyn Clock>,
    /// A print is under way.
    open: AtomicBool,
    /// The printer holds the till off.
    held: AtomicBool,
    /// When the last byte came, in monotonic milliseconds.
    last: AtomicU64,
}

impl Watch {
    /// Whether a print is under way, as far as the side has read.
    pub fn is_open(&self) -> bool {
        self.0.open.load(Ordering::Acquire)
    }

    /// How long ago the till's last byte came.
    pub fn silence(&self) -> Duration {
        Duration::from_millis(self.0.clock.now().mono.0.saturating_sub(self.0.last.load(Ordering::Acquire)))
    }

    /// Says that the printer takes nothing for now: such a silence ends no print.
    pub fn hold(&self, held: bool) {
        self.0.held.store(held, Ordering::Release);
    }

    /// Says that bytes came, before they go anywhere.
    pub fn came(&self) {
        self.0.last.store(self.0.clock.now().mono.0, Ordering::Release);
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.0.clock.now().mono.0)
    }
}

impl Side {
    /// Starts the side of a wire.
    pub fn start(tap: Arc<Tap>, clock: Arc<dyn Clock>, keep: Arc<dyn Keep>, live: Live, supervisor: &Supervisor) -> Side {
        let (queue, pieces) = mpsc::channel(PIECES);
        let last = AtomicU64::new(0);
        let watch = Watch(Arc::new(Flags { clock, open: AtomicBool::new(false), held: AtomicBool::new(false), last }));
        let (pieces, seen, told) = (Arc::new(Mutex::new(pieces)), watch.clone(), live.clone());
        supervisor.spawn("tap-side", Restart::OnFailure, move |_| {
            let (tap, keep, pieces) = (tap.clone(), keep.clone(), pieces.clone());
            let (watch, live) = (seen.clone(), told.clone());
            async move {
                // It ends with the wire, not with the stop: the last print is kept too.
                let mut reader = Reader::new(tap, watch, live);
                reader.run(&mut *pieces.lock().await, keep.as_ref()).await;
                Ok(())
            }
        });
        Side { queue, missed: false, watch, live }
    }

    /// What is known of it.
    pub fn watch(&self) -> Watch {
        self.watch.clone()
    }

    /// Takes a copy of bytes that the printer accepted. Never waits.
    pub fn copy(&mut self, bytes: &[u8]) {
        self.watch.came();
        self.live.passed(bytes.len());
        let piece = Piece::Bytes { at: self.watch.now(), bytes: bytes.into(), missed: self.missed };
        let full = self.queue.try_send(piece).is_err();
        if full && !self.missed {
            self.live.missed();
        }
        self.missed = full;
    }

    /// The connection ended, and with it what stood open.
    pub fn closed(&mut self) {
        self.watch.hold(false);
        // Without room the end is found by the silence after it.
        let _ = self.queue.try_send(Piece::Closed { at: self.watch.now() });
    }
}

/// Reads the copy.
struct Reader {
    tap: Arc<Tap>,
    decoder: crate::printer::Decoder,
    tail: Tail,
    jobs: Vec<Job>,
    watch: Watch,
    live: Live,
}

impl Reader {
    fn new(tap: Arc<Tap>, watch: Watch, live: Live) -> Reader {
        Reader { decoder: decoder(&tap), tap, tail: Tail::default(), jobs: Vec::new(), watch, live }
    }

    async fn run(&mut self, pieces: &mut mpsc::Receiver<Piece>, keep: &dyn Keep) {
        loop {
            let wait = self.decoder.deadline().map(|at| at.saturating_sub(self.watch.now()));
            let silence = async {
                match wait {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                piece = pieces.recv() => match piece {
                    Some(piece) => self.take(piece),
                    None => break,
                },
                () = silence => self.tick().await,
            }
            self.hand_on(keep).await;
        }
        self.decoder.close(self.watch.now(), &mut self.jobs);
        self.hand_on(keep).await;
    }

    fn take(&mut self, piece: Piece) {
        match piece {
            Piece::Bytes { at, bytes, missed } => {
                if missed {
                    self.decoder.lost();
                }
                self.tail.push(&bytes);
                self.decoder.feed(&bytes, at, &mut self.jobs);
            }
            Piece::Closed { at } => self.decoder.close(at, &mut self.jobs),
        }
    }

    /// Silence may have ended a print; not while the printer holds the till off.
    async fn tick(&mut self) {
        if self.watch.0.held.load(Ordering::Acquire) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        } else {
            self.decoder.tick(self.watch.now(), &mut self.jobs);
        }
    }

    async fn hand_on(&mut self, keep: &dyn Keep) {
        for job in std::mem::take(&mut self.jobs) {
            let (bytes, whole) = self.tail.take(&job.range);
            let now = self.watch.0.clock.now();
            let age = self.watch.now().saturating_sub(job.started);
            let began = UnixMs(now.wall.0 - i64::try_from(age.as_millis()).unwrap_or(0));
            self.live.printed();
            let whole = whole && !job.lost_bytes;
            keep.keep(&self.tap, Captured { job, bytes, whole, began }).await;
        }
        let open = self.decoder.deadline().is_some();
        if !open {
            self.tail.trim(PRELUDE);
        }
        self.watch.0.open.store(open, Ordering::Release);
    }
}

/// The last bytes of a stream, by their place in it.
#[derive(Default)]
struct Tail {
    from: u64,
    bytes: VecDeque<u8>,
}

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        self.trim(TAIL);
    }

    fn trim(&mut self, most: usize) {
        let over = self.bytes.len().saturating_sub(most);
        self.bytes.drain(..over);
        self.from += u64::try_from(over).unwrap_or(0);
    }

    /// The bytes of a range, and whether all of them were still there. What lies before its end is forgotten.
    fn take(&mut self, range: &std::ops::Range<u64>) -> (Vec<u8>, bool) {
        let place = |at: u64| usize::try_from(at.saturating_sub(self.from)).unwrap_or(usize::MAX).min(self.bytes.len());
        let (start, end) = (place(range.start), place(range.end));
        let bytes = self.bytes.range(start.min(end)..end).copied().collect();
        let whole = range.start >= self.from;
        self.bytes.drain(..end);
        self.from += u64::try_from(end).unwrap_or(0);
        (bytes, whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_gives_each_print_its_bytes() {
        let mut tail = Tail::default();
        tail.push(b"0123456789");
        assert_eq!(tail.take(&(2..5)), (b"234".to_vec(), true));
        tail.push(b"abc");
        assert_eq!(tail.take(&(5..12)), (b"56789ab".to_vec(), true));
        tail.push(&vec![b'x'; TAIL + 10]);
        let (bytes, whole) = tail.take(&(12..12 + TAIL as u64 + 11));
        assert_eq!((bytes.len(), whole), (TAIL, false), "what was too long is not whole");
        assert!(tail.bytes.is_empty());
    }
}
