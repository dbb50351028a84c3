//! An SMTP server that keeps what it takes, and answers as a test tells it to.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// A mail as it came.
#[derive(Clone, Debug)]
pub struct Mail {
    pub from: String,
    pub to: String,
    /// Head and body, dots undoubled.
    pub raw: String,
}

impl Mail {
    /// A header, unfolded.
    pub fn header(&self, name: &str) -> Option<String> {
        let head = self.raw.split("\r\n\r\n").next()?.replace("\r\n ", " ").replace("\r\n\t", " ");
        let wanted = format!("{}:", name.to_lowercase());
        head.lines().find(|l| l.to_lowercase().starts_with(&wanted)).map(|l| l[wanted.len()..].trim().to_owned())
    }

    /// Kind and decoded text of each part, in order.
    pub fn parts(&self) -> Vec<(String, String)> {
        let kind = self.header("Content-Type").unwrap();
        let mark = format!("--{}", kind.split("boundary=").nth(1).expect("a boundary").trim_matches('"'));
        let parts = self.raw.split(&mark).skip(1).filter(|p| !p.starts_with("--"));
        parts
            .map(|part| {
                let (head, body) = part.trim_start().split_once("\r\n\r\n").unwrap();
                let head = head.to_lowercase();
                let kind = head.split("content-type:").nth(1).unwrap().split(';').next().unwrap().trim().to_owned();
                (kind, decode(&head, body))
            })
            .collect()
    }

    /// The text part.
    pub fn text(&self) -> String {
        self.parts().into_iter().find(|(kind, _)| kind == "text/plain").expect("a text part").1
    }
}

fn decode(head: &str, body: &str) -> String {
    if head.contains("base64") {
        use base64::Engine;
        let packed: String = body.split_whitespace().collect();
        return String::from_utf8(base64::engine::general_purpose::STANDARD.decode(packed).unwrap()).unwrap();
    }
    if !head.contains("quoted-printable") {
        return body.to_owned();
    }
    let (joined, mut out) = (body.replace("=\r\n", ""), Vec::new());
    let mut rest = joined.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let code =
            (*first == b'=').then(|| more.get(..2).and_then(|d| u8::from_str_radix(std::str::from_utf8(d).ok()?, 16).ok())).flatten();
        out.push(code.unwrap_or(*first));
        rest = if code.is_some() { &more[2..] } else { more };
    }
    String::from_utf8(out).unwrap()
}

#[derive(Default)]
struct State {
    mails: Vec<Mail>,
    /// Stages as they came: connect, ehlo, mail, rcpt, data, data-end.
    seen: Vec<&'static str>,
    /// What is answered at a stage, once each; `None` cuts the connection. At data-end the mail was
    /// taken before a cut.
    script: BTreeMap<&'static str, VecDeque<Option<&'static str>>>,
    /// Answers to a final dot wait here.
    gate_closed: bool,
    /// The longest random wait before each answer.
    delay: u64,
    chance: u64,
}

/// See the module. Ends with the test's process.
#[derive(Clone)]
pub struct Sink {
    port: u16,
    state: Arc<(Mutex<State>, Condvar)>,
}

impl Sink {
    pub fn start() -> Sink {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let sink = Sink { port: listener.local_addr().unwrap().port(), state: Arc::default() };
        let server = sink.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = server.clone();
                thread::spawn(move || server.talk(stream));
            }
        });
        sink
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The next answers of a stage.
    pub fn script(&self, stage: &'static str, answers: &[Option<&'static str>]) {
        self.with(|s| s.script.entry(stage).or_default().extend(answers));
    }

    /// Answers take up to so many milliseconds.
    pub fn slow(&self, most: u64) {
        self.with(|s| s.delay = most);
    }

    /// Answers to final dots wait until it is opened again.
    pub fn gate(&self, closed: bool) {
        self.with(|s| s.gate_closed = closed);
        self.state.1.notify_all();
    }

    pub fn mails(&self) -> Vec<Mail> {
        self.with(|s| s.mails.clone())
    }

    /// Mails that were taken with this subject or text in them.
    pub fn about(&self, number: &str) -> Vec<Mail> {
        let all = self.mails();
        all.into_iter().filter(|m| m.header("Subject").is_some_and(|s| s.contains(number)) || m.text().contains(number)).collect()
    }

    pub fn seen(&self, stage: &str) -> usize {
        self.with(|s| s.seen.iter().filter(|seen| **seen == stage).count())
    }

    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.state.0.lock().unwrap())
    }

    /// What to say at a stage; `None`: cut.
    fn at(&self, stage: &'static str, normal: &'static str) -> Option<&'static str> {
        let wait = self.with(|s| {
            s.seen.push(stage);
            s.chance = s.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            Duration::from_millis((s.chance >> 33) % (s.delay + 1))
        });
        if !wait.is_zero() {
            thread::sleep(wait); // the script's own slowness
        }
        self.with(|s| s.script.get_mut(stage).and_then(VecDeque::pop_front).unwrap_or(Some(normal)))
    }

    fn talk(&self, stream: TcpStream) -> Option<()> {
        let mut out = stream.try_clone().ok()?;
        let mut lines = BufReader::new(stream);
        let mut say = |line: &str| out.write_all(format!("{line}\r\n").as_bytes()).ok().map(|()| line.starts_with(['2', '3']));
        if !say(self.at("connect", "220 sink.example ESMTP")?)? {
            return None;
        }
        let (mut from, mut to) = (String::new(), String::new());
        loop {
            let line = read(&mut lines)?;
            let address = || line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
            match line.get(..4).unwrap_or_default().to_uppercase().as_str() {
                "EHLO" => _ = say(self.at("ehlo", "250-sink.example\r\n250-8BITMIME\r\n250 SIZE 20000000")?)?,
                "MAIL" => {
                    if say(self.at("mail", "250 2.1.0 ok")?)? {
                        from = address();
                    }
                }
                "RCPT" => {
                    if say(self.at("rcpt", "250 2.1.5 ok")?)? {
                        to = address();
                    }
                }
                "DATA" => {
                    if !say(self.at("data", "354 go ahead")?)? {
                        continue;
                    }
                    let mut raw = String::new();
                    loop {
                        let line = read(&mut lines)?;
                        if line == "." {
                            break;
                        }
                        raw += line.strip_prefix('.').unwrap_or(&line);
                        raw += "\r\n";
                    }
                    let answer = self.at("data-end", "250 2.0.0 ok");
                    if answer.is_none_or(|a| a.starts_with('2')) {
                        self.with(|s| s.mails.push(Mail { from: from.clone(), to: to.clone(), raw }));
                    }
                    drop(self.state.1.wait_while(self.state.0.lock().unwrap(), |s| s.gate_closed).unwrap());
                    say(answer?)?;
                }
                "QUIT" => return say("221 bye").map(|_| ()),
                "RSET" | "NOOP" => _ = say("250 ok")?,
                _ => _ = say("502 5.5.2 no")?,
            }
        }
    }
}

/// A line without its end; `None` at the end of the connection.
fn read(lines: &mut BufReader<TcpStream>) -> Option<String> {
    let mut bytes = Vec::new();
    lines.read_until(b'\n', &mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    text.strip_suffix("\r\n").map(str::to_owned)
}
