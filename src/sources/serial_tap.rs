//! The serial tap: between a till and its printer on two ports (inline), or listening on one.
//!
//! Inline passes every byte on, both ways, and the printer's readiness with it: what holds the printer holds
//! the till. It never lets the kernel act on XON and XOFF, which are the printer's words to the till. The
//! till's port is opened last and closed first, so that a till meets a busy printer whenever bytes could not
//! be delivered. Listening only reads. Neither ever answers for the printer, or repeats a byte.

use crate::config::checked::{Setting, Source};
use crate::config::key::{Shape, default, optional, required};
use crate::config::{Key, TypeKeys};
use crate::sources::tap::live::Live;
use crate::sources::tap::port::{Line, Port};
use crate::sources::tap::side::{Side, Watch};
use crate::sources::tap::{self, Finish};
use crate::sources::{Decoded, Kind, RECEIPTS, Setup, TEST, Verdict};
use crate::sys::supervisor::Supervisor;
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// What it is.
pub static KIND: Kind = Kind {
    keys: KEYS,
    check,
    verify: |_, _, _| Verdict::Refused("no_hook"),
    delivery_id: |_, _| None,
    decode: |_, _, _| Decoded::Nothing("print"),
    api: None,
};

/// `type = "serial-tap"`.
pub const KEYS: TypeKeys = TypeKeys {
    name: "serial-tap",
    doc: "Receipts off the serial line between a till and its printer; everything is passed on.",
    channels: &[],
    keys: OWN,
    example: "till_port = \"/dev/serial/by-id/usb-till\"\nprinter_port = \"/dev/serial/by-id/usb-printer\"\nbaud = 19200",
};

const OWN: &[Key] = &[
    required("till_port", Shape::Path, "The port that the till is on; listening: the one that hears the till."),
    optional("printer_port", Shape::Path, "The port that the printer is on; listening: one that hears the printer, where there is one."),
    default("mode", Shape::Word(&["inline", "listen"]), "\"inline\"", "Between till and printer, or only listening on a Y cable."),
    default("baud", Shape::Int(50, 4_000_000), "9600", "Bits per second, as till and printer have it."),
    default("data_bits", Shape::Int(7, 8), "8", "Bits of a byte."),
    default("parity", Shape::Word(&["none", "even", "odd"]), "\"none\"", "The parity bit."),
    default("stop_bits", Shape::Int(1, 2), "1", "Stop bits."),
    default(
        "flow",
        Shape::Word(&["rts-cts", "dtr-dsr", "xon-xoff", "none"]),
        "\"none\"",
        "How the printer holds the till off. For dtr-dsr its DTR is wired to our CTS, our RTS to the till's DSR.",
    ),
    tap::LANGUAGE,
    tap::PROFILES,
    tap::CODEPAGE_TABLE,
    tap::MULTIBYTE,
    tap::DEFAULT_ENCODING,
    tap::CR_IS_NEWLINE,
    tap::BOUNDARY,
    tap::IDLE,
    tap::IDLE_HARD,
    tap::NEVER_MASK,
    RECEIPTS,
    TEST,
];

/// Bytes of the till that may wait with us; beyond it the till is told to wait.
const QUEUE: usize = 64;
/// Bytes that leave at once: what is under way when the printer says stop must fit its reserve.
const BURST: usize = 16;
/// The same where the printer says it by XOFF: some are still on their way through the kernel.
const PACED: usize = 8;
/// How often a port that is gone is looked for.
const AGAIN: Duration = Duration::from_millis(500);
/// How often the printer's lines are read.
const LINES: Duration = Duration::from_millis(5);
const XON: u8 = 0x11;
const XOFF: u8 = 0x13;

fn check(setup: &Setup<'_>) -> Result<(), String> {
    if setup.text("mode") == "inline" && setup.text("printer_port").is_empty() {
        return Err("printer_port is missing: inline, the tap stands between two ports".to_owned());
    }
    tap::check(setup)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    RtsCts,
    DtrDsr,
    XonXoff,
    None,
}

/// The wire's own settings.
#[derive(Clone, Debug)]
pub struct Wire {
    till: String,
    printer: String,
    listens: bool,
    flow: Flow,
    line: Line,
}

impl Wire {
    /// From `[sources.NAME]`.
    pub fn new(source: &Source) -> Wire {
        let own = &source.settings;
        let number = |key| if let Some(Setting::Int(n)) = own.0.get(key) { *n } else { 0 };
        Wire {
            till: own.text("till_port").to_owned(),
            printer: own.text("printer_port").to_owned(),
            listens: own.text("mode") == "listen",
            flow: match own.text("flow") {
                "rts-cts" => Flow::RtsCts,
                "dtr-dsr" => Flow::DtrDsr,
                "xon-xoff" => Flow::XonXoff,
                _ => Flow::None,
            },
            line: Line {
                baud: u32::try_from(number("baud")).unwrap_or(9600),
                data_bits: if number("data_bits") == 7 { 7 } else { 8 },
                odd: match own.text("parity") {
                    "odd" => Some(true),
                    "even" => Some(false),
                    _ => None,
                },
                two_stops: number("stop_bits") == 2,
            },
        }
    }

    /// Runs until a stop was asked for and nothing is under way. A port that is gone is opened again as soon
    /// as it is back.
    pub async fn run(&self, mut side: Side, live: &Live, mut finish: Finish) {
        let watch = side.watch();
        while !finish.is_asked() {
            match self.open() {
                Ok((till, printer)) => {
                    live.set("listening", "");
                    let gone = tokio::select! {
                        gone = self.pass(&till, printer.as_ref(), &mut side) => gone,
                        () = finish.due(&watch) => {
                            self.leave(&till, printer.as_ref()).await;
                            return;
                        }
                    };
                    drop(till); // first: the till meets a busy printer
                    drop(printer);
                    side.closed();
                    live.set("waiting", &gone.to_string());
                    tracing::warn!(tap.gone = %gone, till = self.till, "a port of a tap is gone; it is opened again when it is back");
                }
                Err(error) => {
                    if live.set("waiting", &error.to_string()) {
                        tracing::warn!(%error, till = self.till, printer = self.printer, "a port of a tap cannot be opened");
                    }
                }
            }
            tokio::select! { () = sleep(AGAIN) => {}, () = finish.asked() => return }
        }
    }

    /// The printer's port first: the till may speak as soon as its own is open.
    fn open(&self) -> io::Result<(Port, Option<Port>)> {
        let named = |path: &str, error: io::Error| io::Error::new(error.kind(), format!("{path}: {error}"));
        let hardware = !self.listens && matches!(self.flow, Flow::RtsCts | Flow::DtrDsr);
        let printer = match self.printer.as_str() {
            "" => None,
            path => Some(Port::open(path, self.line, hardware).map_err(|e| named(path, e))?),
        };
        let hardware = !self.listens && self.flow == Flow::RtsCts;
        Ok((Port::open(&self.till, self.line, hardware).map_err(|e| named(&self.till, e))?, printer))
    }

    /// Ends with what ended it.
    async fn pass(&self, till: &Port, printer: Option<&Port>, side: &mut Side) -> io::Error {
        let ended = match printer {
            Some(printer) if !self.listens => {
                let queued = AtomicUsize::new(0);
                let (go, may_go) = watch::channel(true);
                let seen = side.watch();
                tokio::select! {
                    ended = self.down(till, printer, side, may_go, &queued) => ended,
                    ended = self.up(printer, till, &go, &seen) => ended,
                    ended = self.mirror(printer, till, &queued, &seen) => ended,
                }
            }
            Some(printer) => tokio::select! { ended = hear(till, Some(side)) => ended, ended = hear(printer, None) => ended },
            None => hear(till, Some(side)).await,
        };
        ended.err().unwrap_or_else(|| ErrorKind::UnexpectedEof.into())
    }

    /// Till to printer, with the copy of what the printer took.
    async fn down(
        &self,
        till: &Port,
        printer: &Port,
        side: &mut Side,
        mut may_go: watch::Receiver<bool>,
        queued: &AtomicUsize,
    ) -> io::Result<()> {
        let (mut piece, seen) = ([0; QUEUE], side.watch());
        let mut pace = Pace::new(self.line.byte_time());
        let burst = if self.flow == Flow::XonXoff { PACED } else { BURST };
        loop {
            let n = till.read(&mut piece).await?;
            seen.came();
            let mut left = piece.get(..n).unwrap_or_default();
            while let Some((now, rest)) = left.split_at_checked(burst.min(left.len())).filter(|(now, _)| !now.is_empty()) {
                queued.store(left.len(), Ordering::Relaxed);
                if self.flow == Flow::XonXoff {
                    let _ = may_go.wait_for(|go| *go).await; // its sender lives as long as this
                    pace.wait(now.len()).await;
                }
                printer.write(now).await?;
                side.copy(now);
                left = rest;
            }
            queued.store(0, Ordering::Relaxed);
        }
    }

    /// Printer to till: its answers, and with XON/XOFF its word on whether we may go on.
    async fn up(&self, printer: &Port, till: &Port, go: &watch::Sender<bool>, seen: &Watch) -> io::Result<()> {
        let mut piece = [0; QUEUE];
        loop {
            let n = printer.read(&mut piece).await?;
            let bytes = piece.get(..n).unwrap_or_default();
            if self.flow == Flow::XonXoff
                && let Some(word) = bytes.iter().rfind(|b| matches!(**b, XON | XOFF))
            {
                go.send_replace(*word == XON);
                seen.hold(*word == XOFF);
            }
            till.write(bytes).await?;
        }
    }

    /// Shows the till the printer's lines. Ports without any, such as pseudo terminals, have nothing to show.
    async fn mirror(&self, printer: &Port, till: &Port, queued: &AtomicUsize, seen: &Watch) -> io::Result<()> {
        if !matches!(self.flow, Flow::RtsCts | Flow::DtrDsr) {
            return std::future::pending().await;
        }
        let mut held = None;
        loop {
            let Some(ready) = printer.ready() else { return std::future::pending().await };
            let hold = holds(ready, queued.load(Ordering::Relaxed));
            if held != Some(hold) {
                till.say_ready(!hold);
                seen.hold(hold);
                held = Some(hold);
            }
            sleep(LINES).await;
        }
    }

    /// A planned stop: the till is told to wait, and what the kernel still has goes out.
    async fn leave(&self, till: &Port, printer: Option<&Port>) {
        if self.listens {
            return;
        }
        till.say_ready(false);
        let Some(Ok(drain)) = printer.map(Port::drain) else { return };
        let (done, drained) = oneshot::channel();
        let drain = move || {
            drain();
            let _ = done.send(()); // nobody waits any more
        };
        if Supervisor::thread("tap-drain", drain).is_ok() {
            let _ = timeout(Duration::from_secs(10), drained).await; // a printer that is off takes no more
        }
    }
}

/// Whether the till is to wait.
fn holds(printer_ready: bool, queued: usize) -> bool {
    !printer_ready || queued > QUEUE
}

/// Only listens.
async fn hear(port: &Port, mut side: Option<&mut Side>) -> io::Result<()> {
    let mut piece = [0; 256];
    loop {
        let n = port.read(&mut piece).await?;
        if let Some(side) = &mut side {
            side.copy(piece.get(..n).unwrap_or_default());
        }
    }
}

/// Lets no more bytes into the kernel than the line has taken, up to a few.
struct Pace {
    byte: Duration,
    /// When the line will have taken all of them.
    free: Option<Instant>,
}

impl Pace {
    fn new(byte: Duration) -> Pace {
        Pace { byte, free: None }
    }

    async fn wait(&mut self, bytes: usize) {
        let takes = self.byte * u32::try_from(bytes).unwrap_or(u32::MAX);
        let ahead = self.byte * u32::try_from(PACED).unwrap_or(0);
        if let Some(start) = self.free.and_then(|free| free.checked_sub(ahead)) {
            sleep_until(start).await;
        }
        let now = now();
        self.free = Some(self.free.map_or(now, |free| free.max(now)) + takes);
    }
}

#[allow(clippy::disallowed_methods)] // the pace of a line in real time, by the runtime's own clock
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_the_printer_holds_the_till() {
        assert!(holds(false, 0) && holds(true, QUEUE + 1));
        assert!(!holds(true, 0) && !holds(true, QUEUE));
    }

    #[tokio::test(start_paused = true)]
    async fn paced_bytes_do_not_pile_up_in_the_kernel() {
        let mut pace = Pace::new(Duration::from_millis(1));
        let start = now();
        for _ in 0..100 {
            pace.wait(PACED).await;
        }
        let (passed, line) = (now() - start, Duration::from_millis(100 * PACED as u64));
        assert!(passed >= line - Duration::from_millis(3 * PACED as u64) && passed <= line, "{passed:?}");
    }
}
