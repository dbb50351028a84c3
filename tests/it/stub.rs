//! A provider's API that keeps what it is asked and answers as a test tells it to.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub body: String,
}

impl Asked {
    /// The first of our delivery ids in it.
    pub fn step(&self) -> String {
        let (_, rest) = self.body.split_once("tp_").unwrap_or_else(|| panic!("no id of ours in {self:?}"));
        let rest = rest.split_once("tp_id%3Dtp_").map_or(rest, |(_, id)| id);
        let rest = rest.strip_prefix("id%3Dtp_").or(rest.strip_prefix("id\"\r\n\r\ntp_")).unwrap_or(rest);
        format!("tp_{}", rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '.').collect::<String>())
    }
}

/// Status and body; `None` cuts the connection without an answer.
pub type Answer = Option<(u16, Value)>;

type Answers = Box<dyn Fn(&Asked) -> Answer + Send + Sync>;

/// See the module. Ends with the test's process.
#[derive(Clone)]
pub struct Stub {
    pub port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
    answers: Arc<Mutex<Answers>>,
}

impl Stub {
    pub fn start(answers: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Stub {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let stub = Stub { port, asked: Arc::default(), answers: Arc::new(Mutex::new(Box::new(answers))) };
        let server = stub.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = server.clone();
                thread::spawn(move || server.talk(stream));
            }
        });
        stub
    }

    /// From now on it answers so.
    pub fn answers(&self, answers: impl Fn(&Asked) -> Answer + Send + Sync + 'static) {
        *self.answers.lock().unwrap() = Box::new(answers);
    }

    /// What it was asked with this method and path.
    pub fn asked(&self, method: &str, path: &str) -> Vec<Asked> {
        let all = self.asked.lock().unwrap();
        all.iter().filter(|a| a.method == method && a.path.contains(path)).cloned().collect()
    }

    fn talk(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut stream = stream;
        while let Some(asked) = read(&mut reader) {
            self.asked.lock().unwrap().push(asked.clone());
            let answer = (self.answers.lock().unwrap())(&asked);
            let Some((status, body)) = answer else { return };
            let body = body.to_string();
            let head = format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
            if stream.write_all(format!("{head}{body}").as_bytes()).is_err() {
                return;
            }
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let mut parts = line.split(' ');
    let (method, path) = (parts.next()?.to_owned(), parts.next()?.to_owned());
    let (mut length, mut chunked) = (0, false);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok().filter(|n| *n > 0)?;
        let header = header.trim().to_lowercase();
        match header.split_once(':') {
            None => break,
            Some(("content-length", n)) => length = n.trim().parse().ok()?,
            Some(("transfer-encoding", _)) => chunked = true,
            Some(_) => {}
        }
    }
    let mut body = Vec::new();
    if chunked {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size).ok()?;
            let size = usize::from_str_radix(size.trim(), 16).ok()?;
            let mut chunk = vec![0; size + 2];
            reader.read_exact(&mut chunk).ok()?;
            if size == 0 {
                break;
            }
            body.extend_from_slice(&chunk[..size]);
        }
    } else {
        body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
    }
    Some(Asked { method, path, body: String::from_utf8_lossy(&body).into_owned() })
}
