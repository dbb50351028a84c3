//! Serial taps between pseudo terminals: a till on one, a printer on the other, and cables that are pulled.

use crate::agent::{Agent, Setup, until};
use crate::taps::{Chance, print, tap};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// One end of a serial line; the other has a name, as an adapter has one below /dev/serial/by-id.
struct Cable {
    end: File,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Cable {
    fn plug(name: &Path) -> Cable {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let mut raw = tcgetattr(&master).unwrap();
        raw.make_raw();
        tcsetattr(&master, OptionalActions::Now, &raw).unwrap();
        let port = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let _ = fs::remove_file(name); // of the cable before
        symlink(port, name).unwrap();
        let (end, heard) = (File::from(master), Arc::<Mutex<Vec<u8>>>::default());
        let (mut ear, all) = (end.try_clone().unwrap(), heard.clone());
        thread::spawn(move || {
            let mut piece = [0; 512];
            while Arc::strong_count(&all) > 1 {
                let mut wait = [PollFd::new(&ear, PollFlags::IN)];
                let _ = poll(&mut wait, Some(&Timespec { tv_sec: 0, tv_nsec: 20_000_000 }));
                if !wait[0].revents().contains(PollFlags::IN) {
                    thread::sleep(Duration::from_millis(2)); // while nobody has the other end open it says so at once
                    continue;
                }
                if let Ok(n) = ear.read(&mut piece) {
                    all.lock().unwrap().extend(&piece[..n]);
                }
            }
        });
        Cable { end, heard }
    }

    fn heard(&self) -> Vec<u8> {
        self.heard.lock().unwrap().clone()
    }
}

struct Bench {
    _folder: tempfile::TempDir,
    names: [PathBuf; 2],
    agent: Agent,
    till: Cable,
    printer: Cable,
}

fn bench(settings: &str) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let names = ["till", "printer"].map(|n| folder.path().join(n));
    let (till, printer) = (Cable::plug(&names[0]), Cable::plug(&names[1]));
    let ports = format!("till_port = \"{}\"\nprinter_port = \"{}\"", names[0].display(), names[1].display());
    let agent = Setup::silent().set("sources.paper", &format!("type = \"serial-tap\"\n{ports}\n{settings}")).start();
    until("both ports are open", || (tap(&agent)["state"] == "listening").then_some(()));
    Bench { _folder: folder, names, agent, till, printer }
}

#[test]
fn every_byte_passes_both_ways() {
    let mut bench = bench("baud = 115200");
    let (paper, answers) = (Chance(5).bytes(300_000), Chance(6).bytes(20_000)); // with XON, XOFF, NUL and all others
    let (mut mouth, says) = (bench.printer.end.try_clone().unwrap(), answers.clone());
    let speaker = thread::spawn(move || Chance(7).write(&mut mouth, &says));
    Chance(8).write(&mut bench.till.end, &paper);
    speaker.join().unwrap();
    until("the paper", || (bench.printer.heard().len() >= paper.len()).then_some(()));
    until("the answers", || (bench.till.heard().len() >= answers.len()).then_some(()));
    assert!(bench.printer.heard() == paper && bench.till.heard() == answers);
}

#[test]
fn a_printer_that_says_stop_is_heeded_and_the_till_hears_it() {
    let mut bench = bench("baud = 19200\nflow = \"xon-xoff\"");
    bench.printer.end.write_all(&[0x13]).unwrap();
    until("the till hears it", || (bench.till.heard() == [0x13]).then_some(()));
    bench.till.end.write_all(&[b'x'; 100]).unwrap();
    thread::sleep(Duration::from_millis(300)); // five times what they would take
    assert_eq!(bench.printer.heard(), b"", "not a byte while the printer is busy");
    bench.printer.end.write_all(&[0x11]).unwrap();
    until("all of it", || (bench.printer.heard() == [b'x'; 100]).then_some(()));
    assert_eq!(bench.till.heard(), [0x13, 0x11]);
}

#[test]
fn a_cable_that_is_pulled_and_plugged_in_again_goes_on() {
    let mut bench = bench("");
    bench.till.end.write_all(&print("R-1")).unwrap();
    until("the print", || (bench.printer.heard() == print("R-1")).then_some(()));
    let gone = std::mem::replace(&mut bench.printer, Cable::plug(&bench.names[1]));
    drop(gone);
    thread::sleep(Duration::from_millis(50)); // its ear lets go
    // Its port was closed with the printer's, as a real till would see by its lines.
    until("it notices", || (tap(&bench.agent)["state"] == "waiting").then_some(()));
    until("it goes on", || (tap(&bench.agent)["state"] == "listening").then_some(()));
    bench.till.end.write_all(&print("R-2")).unwrap();
    until("the next print", || (bench.printer.heard() == print("R-2")).then_some(()));
    for number in ["R-1", "R-2"] {
        until("its receipt", || (bench.agent.receipts(number).len() == 1).then_some(()));
    }
}

#[test]
fn a_tap_that_only_listens_says_nothing() {
    let mut bench = bench("mode = \"listen\"");
    bench.till.end.write_all(&print("R-3")).unwrap();
    bench.printer.end.write_all(b"\x12\x12").unwrap();
    until("its receipt", || (bench.agent.receipts("R-3").len() == 1).then_some(()));
    assert_eq!((bench.printer.heard(), bench.till.heard()), (Vec::new(), Vec::new()));
}

#[test]
fn a_killed_agent_leaves_a_prefix_on_the_paper() {
    let mut bench = bench("baud = 115200");
    let paper = Chance(9).bytes(40_000);
    let (mut mouth, says) = (bench.till.end.try_clone().unwrap(), paper.clone());
    let till = thread::spawn(move || Chance(10).write(&mut mouth, &says));
    until("it is under way", || (bench.printer.heard().len() > 1000).then_some(()));
    bench.agent.kill();
    thread::sleep(Duration::from_millis(50)); // what was in the line arrives
    assert!(paper.starts_with(&bench.printer.heard()));
    bench.agent.start();
    until("both ports are open", || (tap(&bench.agent)["state"] == "listening").then_some(()));
    till.join().unwrap(); // what it still had to say goes first
    bench.till.end.write_all(b"next").unwrap();
    until("it goes on", || bench.printer.heard().ends_with(b"next").then_some(()));
}
