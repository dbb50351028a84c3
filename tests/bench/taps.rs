//! `cargo bench --bench taps`: what a tap adds to a byte on its way to the printer and back, beside a plain copy.
//!
//! One byte at a time goes from the till's end to the printer's, and another back: straight, through a plain
//! copy (one thread for each direction, nothing else), and through the tap of a running agent, in turn; over
//! loopback TCP and over pseudo terminals. Meanwhile a till posts sales that become mails to the agent's test
//! inbox, as fast as it can. Medians and 99th percentiles of one way; nothing is judged.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a bench may stop"
)]
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock and starts threads")]

mod agent;

use agent::{Agent, Till, folder, sale, short};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Both ends of a way to a printer.
struct Way<T> {
    name: &'static str,
    till: T,
    printer: T,
    took: Vec<Duration>,
}

impl<T: Read + Write> Way<T> {
    fn new(name: &'static str, till: T, printer: T) -> Way<T> {
        Way { name, till, printer, took: Vec::new() }
    }

    fn once(&mut self) {
        let mut byte = [0];
        for down in [true, false] {
            let (from, to) = if down { (&mut self.till, &mut self.printer) } else { (&mut self.printer, &mut self.till) };
            let began = Instant::now();
            from.write_all(b"x").unwrap();
            to.read_exact(&mut byte).unwrap();
            self.took.push(began.elapsed());
        }
    }

    fn say(&mut self) {
        self.took.sort();
        let ms = |part: f64| self.took[((self.took.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
        println!("{:<22} median {:>7.3} ms, p99 {:>7.3} ms", self.name, ms(0.50), ms(0.99));
    }
}

/// Takes turns, so that all of them meet the same load.
fn turns<T: Read + Write>(ways: &mut [Way<T>], rounds: usize) {
    for _ in 0..rounds {
        ways.iter_mut().for_each(Way::once);
        thread::sleep(Duration::from_millis(1)); // as tills do, not as a flood
    }
    ways.iter_mut().for_each(Way::say);
}

fn copy(mut from: impl Read + Send + 'static, mut to: impl Write + Send + 'static) {
    thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(n @ 1..) = from.read(&mut piece) {
            if to.write_all(&piece[..n]).is_err() {
                break;
            }
        }
    });
}

fn tcp(listener: &TcpListener, to: SocketAddr) -> (TcpStream, TcpStream) {
    let near = TcpStream::connect(to).unwrap();
    near.set_nodelay(true).unwrap();
    let (far, _) = listener.accept().unwrap();
    far.set_nodelay(true).unwrap();
    (near, far)
}

fn tcp_copy(printer: &TcpListener) -> SocketAddr {
    let (door, printer) = (TcpListener::bind("127.0.0.1:0").unwrap(), printer.local_addr().unwrap());
    let address = door.local_addr().unwrap();
    thread::spawn(move || {
        let (near, far) = (door.accept().unwrap().0, TcpStream::connect(printer).unwrap());
        near.set_nodelay(true).unwrap();
        far.set_nodelay(true).unwrap();
        copy(near.try_clone().unwrap(), far.try_clone().unwrap());
        copy(far, near);
    });
    address
}

/// A pseudo terminal, raw: our end, and the other's name.
fn pty() -> (File, String) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let mut raw = tcgetattr(&master).unwrap();
    raw.make_raw();
    tcsetattr(&master, OptionalActions::Now, &raw).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    (File::from(master), name)
}

fn open(name: &str) -> File {
    File::options().read(true).write(true).open(name).unwrap()
}

fn pty_copy() -> (File, File) {
    let ((till, a), (printer, b)) = (pty(), pty());
    let (near, far) = (open(&a), open(&b));
    copy(near.try_clone().unwrap(), far.try_clone().unwrap());
    copy(far, near);
    (till, printer)
}

/// A port that is free now.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn await_tap(address: SocketAddr) -> TcpStream {
    loop {
        match TcpStream::connect(address) {
            Ok(stream) => return stream,
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}

fn load(address: SocketAddr, on: Arc<AtomicBool>) -> thread::JoinHandle<usize> {
    thread::spawn(move || {
        let (mut till, mut n) = (Till::new(address), 0);
        while on.load(Ordering::Relaxed) {
            till.post(&sale(1, n, true));
            n += 1;
        }
        n
    })
}

fn ports(folder: &Path) -> ((File, File), String) {
    let ((till, a), (printer, b)) = (pty(), pty());
    symlink(a, folder.join("till")).unwrap();
    symlink(b, folder.join("printer")).unwrap();
    let named = |name: &str| folder.join(name).display().to_string();
    ((till, printer), format!("till_port = \"{}\"\nprinter_port = \"{}\"\nbaud = 115200\n", named("till"), named("printer")))
}

fn main() {
    let rounds = if short() { 50 } else { 5_000 };
    let folder = folder();
    let (printer, door) = (TcpListener::bind("127.0.0.1:0").unwrap(), free());
    let (serial, lines) = ports(folder.path());
    let network = format!("type = \"network-tap\"\nlisten = \"{door}\"\nprinter = \"{}\"\n", printer.local_addr().unwrap());
    let agent = Agent::start_with(folder.path(), &format!("[sources.lan]\n{network}[sources.line]\ntype = \"serial-tap\"\n{lines}"));
    drop(await_tap(door));
    drop(printer.accept().unwrap());
    let on = Arc::new(AtomicBool::new(true));
    let till = load(agent.address, on.clone());
    let began = Instant::now();

    let doors = [("TCP straight", printer.local_addr().unwrap()), ("TCP plain copy", tcp_copy(&printer)), ("TCP tap", door)];
    let way = |(name, to)| {
        let (near, far) = tcp(&printer, to);
        Way::new(name, near, far)
    };
    let mut ways: Vec<Way<TcpStream>> = doors.into_iter().map(way).collect();
    turns(&mut ways, rounds);

    let (near, far) = pty();
    let (copied, copier) = pty_copy();
    let mut ways = vec![
        Way::new("pty straight", near, open(&far)),
        Way::new("pty plain copy", copied, copier),
        Way::new("pty tap", serial.0, serial.1),
    ];
    turns(&mut ways, rounds);

    on.store(false, Ordering::Relaxed);
    let sales = till.join().unwrap();
    println!("meanwhile {:.0} sales a second", sales as f64 / began.elapsed().as_secs_f64());
}
