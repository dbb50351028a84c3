//! The network tap: stands between tills and one printer on TCP 9100, and passes everything on.
//!
//! The printer is asked first: a till is read only once its printer has taken the connection, and refused
//! (RST) where the printer refuses. As at the printer, one till prints at a time and others wait in the queue
//! of the socket. Half-closed stays half-closed; a connection that breaks on one side breaks on the other. It
//! never answers for the printer, and never repeats a byte.

use crate::config::checked::{IpNet, Source};
use crate::config::forms;
use crate::config::key::{Shape, default, optional, required};
use crate::config::{Key, TypeKeys};
use crate::sources::tap::live::Live;
use crate::sources::tap::side::{Side, Watch};
use crate::sources::tap::{self, Finish};
use crate::sources::{Decoded, Kind, RECEIPTS, TEST, Verdict};
use rustix::net::sockopt;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};
use tokio::time::{sleep, timeout};

/// What it is.
pub static KIND: Kind = Kind {
    keys: KEYS,
    check: tap::check,
    verify: |_, _, _| Verdict::Refused("no_hook"),
    delivery_id: |_, _| None,
    decode: |_, _, _| Decoded::Nothing("print"),
    api: None,
};

/// `type = "network-tap"`.
pub const KEYS: TypeKeys = TypeKeys {
    name: "network-tap",
    doc: "Receipts off the network between tills and one printer; everything is passed on.",
    channels: &[],
    keys: OWN,
    example: "listen = \"0.0.0.0:9100\"\nprinter = \"10.1.2.50:9100\"",
};

const OWN: &[Key] = &[
    required("listen", Shape::Form(&forms::LISTEN), "Where tills print to; port 9100 is what they expect."),
    required("printer", Shape::Socket, "The printer behind it, `host:port`."),
    optional("allow", Shape::List(&Shape::Form(&forms::NET)), "Addresses of tills that may print; all without it."),
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
    default("linger", Shape::Duration, "\"60 s\"", "How long a connection may stay half open: one side has ended, the other not."),
];

/// Bytes that are passed on at once.
const PIECE: usize = 4096;
/// How long the printer may take to answer a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Tills that wait while another one prints.
const QUEUE: u32 = 8;
/// How soon a silent connection is asked whether it still lives.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// The wire's own settings.
#[derive(Clone, Debug)]
pub struct Wire {
    listen: SocketAddr,
    printer: String,
    allow: Vec<IpNet>,
    linger: Duration,
}

impl Wire {
    /// From `[sources.NAME]`; `None` where the address cannot be read, which the config check has told.
    pub fn new(source: &Source) -> Option<Wire> {
        let linger = crate::config::build::duration(&source.settings, "linger").unwrap_or(Duration::from_secs(60));
        Some(Wire {
            listen: forms::listen_address(source.settings.text("listen"))?,
            printer: source.settings.text("printer").to_owned(),
            allow: tap::nets(source, "allow"),
            linger,
        })
    }

    /// Runs until a stop was asked for and nothing is under way.
    pub async fn run(&self, mut side: Side, live: &Live, mut finish: Finish) {
        let watch = side.watch();
        let Some(listener) = self.bind(live, &mut finish).await else { return };
        let mut busy = false;
        while !finish.is_asked() {
            if !busy {
                live.set("listening", "");
            }
            let accepted = tokio::select! { accepted = listener.accept() => accepted, () = finish.asked() => return };
            let (till, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a till's connection could not be accepted");
                    sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            if !self.allow.is_empty() && !self.allow.iter().any(|net| net.contains(peer.ip())) {
                tracing::warn!(%peer, "this address may not print here");
                refuse(&till);
                continue;
            }
            match self.connect().await {
                Ok(printer) => {
                    live.set("printing", "");
                    busy = false;
                    tokio::select! {
                        () = self.pass(till, printer, &mut side) => {}
                        () = finish.due(&watch) => return,
                    }
                    side.closed();
                }
                Err(error) => {
                    busy = true;
                    if live.set("waiting", &format!("the printer {} does not answer: {error}", self.printer)) {
                        tracing::warn!(printer = self.printer, %error, "the printer does not answer: the till is refused");
                    }
                    refuse(&till);
                }
            }
        }
    }

    /// Listens; a port that is taken is tried again. `None` where the agent stops before.
    async fn bind(&self, live: &Live, finish: &mut Finish) -> Option<TcpListener> {
        loop {
            match listen(self.listen) {
                Ok(listener) => {
                    live.listens(listener.local_addr().map_or_else(|_| self.listen.to_string(), |a| a.to_string()));
                    return Some(listener);
                }
                Err(error) => {
                    if live.set("waiting", &format!("cannot listen on {}: {error}", self.listen)) {
                        tracing::error!(listen = %self.listen, %error, "a tap cannot listen: tills cannot print through it");
                    }
                }
            }
            tokio::select! { () = sleep(Duration::from_secs(1)) => {}, () = finish.asked() => return None }
        }
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let connected = timeout(CONNECT, async {
            let mut last = io::Error::new(io::ErrorKind::NotFound, "no address has this name");
            for address in lookup_host(&self.printer).await? {
                match TcpStream::connect(address).await {
                    Ok(stream) => return Ok(stream),
                    Err(error) => last = error,
                }
            }
            Err(last)
        });
        connected.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Passes everything on until both sides have ended, or one breaks: then the other does too.
    async fn pass(&self, mut till: TcpStream, mut printer: TcpStream, side: &mut Side) {
        ready(&till);
        ready(&printer);
        let watch = side.watch();
        let end = {
            let (mut from_till, mut to_till) = till.split();
            let (mut from_printer, mut to_printer) = printer.split();
            let mut down = pin!(down(&mut from_till, &mut to_printer, side, &watch));
            let mut up = pin!(up(&mut from_printer, &mut to_till));
            // What has ended on one side may go on for a while on the other.
            tokio::select! {
                end = &mut down => match end {
                    Ok(()) => timeout(self.linger, &mut up).await.unwrap_or(Ok(())),
                    broke => broke,
                },
                end = &mut up => match end {
                    Ok(()) => timeout(self.linger, &mut down).await.unwrap_or(Ok(())),
                    broke => broke,
                },
            }
        };
        match end {
            Ok(()) => {}
            // What the till has sent is still printed, as it would be without us.
            Err(Broke::Till(error)) => tracing::info!(%error, "a till broke its connection off"),
            Err(Broke::Printer(error)) => {
                tracing::warn!(%error, "the printer broke a connection off");
                refuse(&till);
            }
        }
    }
}

/// Which side broke.
enum Broke {
    Till(io::Error),
    Printer(io::Error),
}

/// Till to printer, with the copy of what the printer took.
async fn down(
    till: &mut (impl AsyncReadExt + Unpin),
    printer: &mut (impl AsyncWriteExt + Unpin),
    side: &mut Side,
    watch: &Watch,
) -> Result<(), Broke> {
    let mut piece = [0; PIECE];
    loop {
        let n = till.read(&mut piece).await.map_err(Broke::Till)?;
        let bytes = piece.get(..n).unwrap_or_default();
        if bytes.is_empty() {
            return printer.shutdown().await.map_err(Broke::Printer);
        }
        watch.came();
        watch.hold(true);
        printer.write_all(bytes).await.map_err(Broke::Printer)?;
        watch.hold(false);
        side.copy(bytes);
    }
}

/// Printer to till: its answers.
async fn up(printer: &mut (impl AsyncReadExt + Unpin), till: &mut (impl AsyncWriteExt + Unpin)) -> Result<(), Broke> {
    let mut piece = [0; PIECE];
    loop {
        let n = printer.read(&mut piece).await.map_err(Broke::Printer)?;
        let bytes = piece.get(..n).unwrap_or_default();
        if bytes.is_empty() {
            return till.shutdown().await.map_err(Broke::Till);
        }
        till.write_all(bytes).await.map_err(Broke::Till)?;
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(QUEUE)
}

/// Small pieces leave at once, and a dead end is noticed.
fn ready(stream: &TcpStream) {
    let _ = stream.set_nodelay(true); // only slower without
    let _ = sockopt::set_socket_keepalive(stream, true); // only noticed later without
    let _ = sockopt::set_tcp_keepidle(stream, KEEPALIVE); // the same
    let _ = sockopt::set_tcp_keepintvl(stream, KEEPALIVE / 3); // the same
}

/// The connection ends with RST: the till sees that nothing was printed, or not all of it.
fn refuse(stream: &TcpStream) {
    let _ = stream.set_zero_linger(); // it is closed all the same
}
