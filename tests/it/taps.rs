//! Taps in the running agent: every byte passes, whatever becomes of the copy; and a print becomes a receipt.

use crate::agent::{Agent, KEY, Setup, until};
use crate::sink::Sink;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A receipt as a till prints it.
pub fn print(number: &str) -> Vec<u8> {
    let text = format!(
        "Corner Mart\n1 Main Street\n\nReceipt No: {number}\nDate: 2026-10-03 14:02\nTill: 3\n\nRye bread            4.50\n\
         Oat milk 1 L         7.50\nTOTAL               12.00\nCASH                20.00\nCHANGE               8.00\n\nThank you!\n\n\n"
    );
    [b"\x1b@".as_slice(), text.as_bytes(), b"\x1dV\x00"].concat()
}

/// The same sale as the till itself posts it.
fn posted(number: &str) -> Value {
    json!({
        "schema": "tillpost.sale/1", "transaction_type": "sale", "transaction_id": format!("t-{number}"), "receipt_number": number,
        "receipt_date_time": "2026-10-03T14:02:00-04:00", "business_unit": {"unit_id": "s12", "name": "Corner Mart"},
        "workstation_id": "3", "currency_code": "USD", "tax_included": true,
        "line_items": [{"description": "Rye bread", "quantity": "1", "extended_amount": 450}, {"description": "Oat milk 1 L", "quantity": "1", "extended_amount": 750}],
        "tenders": [{"tender_type": "Cash", "amount": 1200}],
        "totals": {"grand_amount": 1200}, "customer": {"email": "lee@example.org"},
    })
}

/// Bytes in an order that is no order (xorshift), and pieces of any size.
pub struct Chance(pub u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() >> 16) as usize % n
    }

    pub fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| (self.next() >> 24) as u8).collect()
    }

    /// Writes in pieces, now and then with a pause; gives how much went before it broke.
    pub fn write(&mut self, to: &mut impl Write, bytes: &[u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            let piece = (1 + self.below(9000)).min(bytes.len() - at);
            if self.below(100) == 0 {
                thread::sleep(Duration::from_millis(5)); // a till that thinks
            }
            if to.write_all(&bytes[at..at + piece]).is_err() {
                return at;
            }
            at += piece;
        }
        at
    }
}

/// A printer that takes everything, one connection after the other.
struct Printer {
    address: SocketAddr,
    jobs: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Printer {
    /// `says`: what it answers on each connection, all at once.
    fn start(says: Vec<u8>) -> Printer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let jobs = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        let taken = jobs.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let (mut back, says) = (stream.try_clone().unwrap(), says.clone());
                let speaker = thread::spawn(move || Chance(2).write(&mut back, &says));
                let n = taken.lock().unwrap().len();
                taken.lock().unwrap().push(Vec::new());
                let mut piece = [0; 3000];
                while let Ok(got @ 1..) = stream.read(&mut piece) {
                    taken.lock().unwrap()[n].extend(&piece[..got]);
                }
                speaker.join().unwrap();
            }
        });
        Printer { address, jobs }
    }

    fn got(&self) -> Vec<u8> {
        self.jobs.lock().unwrap().last().cloned().unwrap_or_default()
    }
}

fn network(setup: Setup, printer: SocketAddr) -> Agent {
    setup.set("sources.paper", &format!("type = \"network-tap\"\nlisten = \"127.0.0.1:0\"\nprinter = \"{printer}\"")).start()
}

pub fn tap(agent: &Agent) -> Value {
    agent.get("/v1/taps").json()["taps"][0].clone()
}

/// Where tills print to.
fn door(agent: &Agent) -> SocketAddr {
    until("the tap listens", || tap(agent)["listens"].as_str().unwrap().parse().ok())
}

/// Prints as a till does, and waits until the printer has closed.
fn print_to(door: SocketAddr, bytes: &[u8]) {
    let mut till = TcpStream::connect(door).unwrap();
    till.write_all(bytes).unwrap();
    till.shutdown(Shutdown::Write).unwrap();
    till.read_to_end(&mut Vec::new()).unwrap();
}

/// Prints and waits until the print has been taken.
fn print_and_wait(agent: &Agent, bytes: &[u8]) {
    let before = agent.json(&["event", "list"])["events"].as_array().unwrap().len();
    print_to(door(agent), bytes);
    until("the print is kept", || (agent.json(&["event", "list"])["events"].as_array().unwrap().len() > before).then_some(()));
}

#[test]
fn every_byte_passes_both_ways() {
    let mut chance = Chance(1);
    let (paper, answers) = (chance.bytes(3 << 20), chance.bytes(1 << 20));
    let printer = Printer::start(answers.clone());
    let agent = network(Setup::silent(), printer.address);
    let mut till = TcpStream::connect(door(&agent)).unwrap();
    let mut ear = till.try_clone().unwrap();
    let heard = thread::spawn(move || {
        let mut heard = Vec::new();
        ear.read_to_end(&mut heard).map(|_| heard)
    });
    assert_eq!(chance.write(&mut till, &paper), paper.len());
    till.shutdown(Shutdown::Write).unwrap();
    assert!(heard.join().unwrap().unwrap() == answers, "what the printer said is what the till heard, also after it ended its own");
    assert!(printer.got() == paper, "what the till sent is what the printer got");
}

#[test]
fn a_till_meets_a_printer_that_is_off_as_it_would_without_us() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let agent = network(Setup::silent(), address);
    let mut till = TcpStream::connect(door(&agent)).unwrap();
    till.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert_eq!(till.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(tap(&agent)["state"], "waiting");
    // It comes back without a word from anybody.
    let back = TcpListener::bind(address).unwrap();
    let mut till = TcpStream::connect(door(&agent)).unwrap();
    till.write_all(b"hello").unwrap();
    let mut five = [0; 5];
    back.accept().unwrap().0.read_exact(&mut five).unwrap();
    assert_eq!(&five, b"hello");
}

#[test]
fn what_breaks_on_one_side_breaks_on_the_other() {
    // The printer goes in the middle of a job.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let agent = network(Setup::silent(), listener.local_addr().unwrap());
    let mut till = TcpStream::connect(door(&agent)).unwrap();
    let (mut printer, _) = listener.accept().unwrap();
    till.write_all(&[7; 1000]).unwrap();
    printer.read_exact(&mut [0; 500]).unwrap();
    drop(printer); // with unread bytes: it is reset
    let broken = until("the till notices", || till.write_all(&[7; 1000]).err());
    assert!(matches!(broken.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{broken}");
    // The till goes: the printer gets what was sent, and the end.
    let mut till = TcpStream::connect(door(&agent)).unwrap();
    let (mut printer, _) = listener.accept().unwrap();
    till.write_all(&[9; 5000]).unwrap();
    drop(till);
    let mut got = Vec::new();
    printer.read_to_end(&mut got).unwrap();
    assert!(got == [9; 5000]);
    // The agent dies: the paper holds a prefix, and the till sees it broken.
    let mut agent = agent;
    let mut till = TcpStream::connect(door(&agent)).unwrap();
    let (mut printer, _) = listener.accept().unwrap();
    let paper = Chance(3).bytes(200_000);
    let sent = paper.clone();
    let writer = thread::spawn(move || {
        let wrote = till.write_all(&sent).is_ok();
        (wrote, till.read(&mut [0; 1]))
    });
    let mut got = vec![0; 20_000];
    printer.read_exact(&mut got).unwrap();
    agent.kill();
    let _ = printer.read_to_end(&mut got); // the end, or a reset
    assert!(paper.starts_with(&got), "a prefix");
    let (wrote, end) = writer.join().unwrap();
    assert!(!wrote || !matches!(end, Ok(1..)), "no answer was made up");
}

#[test]
fn a_planned_stop_finishes_the_job() {
    let printer = Printer::start(Vec::new());
    let mut agent = network(Setup::silent(), printer.address);
    let (paper, door) = (print("R-1"), door(&agent));
    let mut till = TcpStream::connect(door).unwrap();
    till.write_all(&paper[..60]).unwrap();
    until("it is under way", || (printer.got().len() == 60).then_some(()));
    agent.terminate();
    until("the rest has stopped", || agent.line.ask("GET", "/healthz", &[], b"", Duration::from_secs(2)).is_none().then_some(()));
    for piece in paper[60..].chunks(40) {
        thread::sleep(Duration::from_millis(300)); // a slow till: longer than any pause of the stop
        till.write_all(piece).unwrap();
    }
    let status = until("it ends", || agent.ended());
    assert_eq!(status.code(), Some(0), "{}", agent.said());
    assert!(printer.got() == paper, "the job is whole");
    agent.start();
    assert_eq!(agent.receipts("R-1").len(), 1, "and was kept");
}

#[test]
fn a_print_becomes_a_receipt_once() {
    let sink = Sink::start();
    let printer = Printer::start(Vec::new());
    let agent = network(Setup::mailing(&sink), printer.address);
    print_and_wait(&agent, &print("R-7"));
    print_and_wait(&agent, &print("R-7"));
    let found = agent.receipts("R-7");
    assert_eq!(found.len(), 1, "printed twice, one receipt: {found:?}");
    let id = found[0]["receipt_id"].as_str().unwrap();
    // The paper as a picture.
    let auth = format!("Bearer {KEY}");
    let mut raw = TcpStream::connect(agent.line.address()).unwrap();
    write!(
        raw,
        "GET /v1/receipts/{id}.png HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAuthorization: {auth}\r\n\r\n",
        agent.line.address()
    )
    .unwrap();
    let mut answer = Vec::new();
    raw.read_to_end(&mut answer).unwrap();
    assert!(answer.windows(8).any(|w| w == b"\x89PNG\r\n\x1a\n"));
    // An address that comes late sends it.
    let body = json!({"email": "lee@example.org"}).to_string();
    let answer = agent.line.post(&format!("/v1/receipts/{id}/contact"), body.as_bytes(), &[("Authorization", &auth)]).unwrap();
    assert_eq!(answer.status, 202, "{answer:?}");
    until("the mail", || (sink.about("R-7").len() == 1).then_some(()));
    assert!(sink.about("R-7")[0].text().contains("Oat milk 1 L"));
    // The till prints it once more: nobody hears of it again.
    print_and_wait(&agent, &print("R-7"));
    assert_eq!(sink.about("R-7").len(), 1);
}

#[test]
fn a_sale_that_was_posted_and_printed_is_one_receipt() {
    let sink = Sink::start();
    let printer = Printer::start(Vec::new());
    let agent = network(Setup::mailing(&sink), printer.address);
    print_and_wait(&agent, &print("R-8"));
    agent.sold(&posted("R-8"));
    agent.sold(&posted("R-9"));
    print_and_wait(&agent, &print("R-9"));
    for number in ["R-8", "R-9"] {
        assert_eq!(agent.receipts(number).len(), 1, "{number}");
        until("the mail", || (sink.about(number).len() == 1).then_some(()));
    }
    assert_eq!(sink.mails().len(), 2);
}

#[test]
fn a_store_that_hangs_holds_up_no_paper() {
    let printer = Printer::start(Vec::new());
    let agent = network(Setup::silent(), printer.address);
    let door = door(&agent);
    let store = rusqlite::Connection::open(agent.data().join("tillpost.db")).unwrap();
    store.execute_batch("BEGIN IMMEDIATE").unwrap();
    for n in 1..=5 {
        print_to(door, &print(&format!("R-{n}")));
    }
    // More than the side may hold: a part of the copy is dropped, none of the paper.
    let picture = [b"\x1dv0\x00\x48\x00\xff\x00".as_slice(), &[0x55; 72 * 255]].concat().repeat(400);
    print_to(door, &picture);
    assert!(printer.got() == picture);
    assert!(agent.receipts("R-1").is_empty(), "the store still hangs");
    store.execute_batch("ROLLBACK").unwrap();
    for n in 1..=5 {
        until("it is kept", || (agent.receipts(&format!("R-{n}")).len() == 1).then_some(()));
    }
    until("the gap is told", || (tap(&agent)["gaps"].as_u64() > Some(0)).then_some(()));
}

#[test]
fn prints_are_watched_and_recorded() {
    let printer = Printer::start(Vec::new());
    let agent = network(Setup::silent(), printer.address);
    let out = agent.data().join("slips.bin");
    let mut record = agent.command(&["tap", "record", out.to_str().unwrap(), "--prints", "2"]);
    let mut sniff = agent.command(&["tap", "sniff", "paper", "--prints", "1", "--json"]);
    let piped = |c: &mut Command| c.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut record, mut sniff) = (piped(&mut record), piped(&mut sniff));
    for child in [&mut record, &mut sniff] {
        let mut said = String::new();
        BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut said).unwrap();
        assert!(said.contains("listening"), "{said}");
    }
    print_to(door(&agent), &print("R-1"));
    print_to(door(&agent), &print("R-2"));
    let heard: Value = serde_json::from_slice(&sniff.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!((heard["kind"].as_str(), heard["fields"]["receipt_no"].as_str()), (Some("sale"), Some("R-1")), "{heard}");
    assert!(heard["receipt_id"].is_string());
    assert!(record.wait().unwrap().success());
    assert!(std::fs::read(&out).unwrap() == [print("R-1"), print("R-2")].concat());
    assert!(agent.cli(&["tap", "list"]).1.contains("listening"));
    assert_eq!(agent.cli(&["tap", "sniff", "nobody"]).0, 5);
}

#[test]
fn what_proves_no_sale_is_kept_with_its_reason_and_without_cards() {
    let printer = Printer::start(Vec::new());
    let agent = network(Setup::silent(), printer.address);
    print_and_wait(&agent, b"\x1b@Coupon\nCard 4111 1111 1111 1111\n\n\x1dV\x00");
    let events = agent.json(&["event", "list"]);
    let event = &events["events"][0];
    assert_eq!((event["type"].as_str(), event["state"].as_str()), (Some("print.captured"), Some("kept")), "{event}");
    assert!(event["reason"].as_str().unwrap().contains("kind"), "{event}");
    let raw = agent.json(&["event", "show", &event["seq"].to_string()])["raw"].to_string();
    assert!(raw.contains("Coupon") && raw.contains("1111") && !raw.contains("4111 1111"), "{raw}");
    // The paper is not touched: the printer got the number.
    assert!(printer.got().windows(19).any(|w| w == b"4111 1111 1111 1111"));
}
