//! A vendor's API: answers by path from what a test says, and remembers what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

type Rule = (&'static str, u16, Vec<u8>, usize);

/// What the API says, and what it heard.
#[derive(Clone)]
pub struct Vendor {
    port: u16,
    /// Part of a path, status, body, how often.
    rules: Arc<Mutex<Vec<Rule>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

/// A file of the samples.
pub fn sample(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    std::fs::read(path).unwrap_or_else(|e| panic!("{name}: {e}"))
}

impl Vendor {
    pub fn start() -> Vendor {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let vendor = Vendor { port: listener.local_addr().unwrap().port(), rules: Arc::default(), asked: Arc::default() };
        let this = vendor.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let this = this.clone();
                thread::spawn(move || this.serve(stream));
            }
        });
        vendor
    }

    /// Where it is.
    pub fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Answers requests whose line has `part` so, `times` times; the first rule that fits counts.
    pub fn answers(&self, part: &'static str, status: u16, body: Vec<u8>, times: usize) -> &Vendor {
        self.rules.lock().unwrap().push((part, status, body, times));
        self
    }

    /// The same with a file, always.
    pub fn knows(&self, part: &'static str, file: &str) -> &Vendor {
        self.answers(part, 200, sample(file), usize::MAX)
    }

    /// How often a request line had this part.
    pub fn asked(&self, part: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|line| line.contains(part)).count()
    }

    fn serve(&self, stream: std::net::TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut stream = stream;
        loop {
            let (mut line, mut length) = (String::new(), 0usize);
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let mut header = String::new();
            while reader.read_line(&mut header).unwrap_or(0) > 2 {
                if let Some(n) = header.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = n.trim().parse().unwrap();
                }
                header.clear();
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let asked = format!("{} {}", line.trim(), String::from_utf8_lossy(&body));
            self.asked.lock().unwrap().push(asked.clone());
            let (status, body) = {
                let mut rules = self.rules.lock().unwrap();
                match rules.iter_mut().find(|(part, _, _, left)| asked.contains(part) && *left > 0) {
                    Some((_, status, body, left)) => {
                        *left -= 1;
                        (*status, body.clone())
                    }
                    None => (404, b"{}".to_vec()),
                }
            };
            let head = format!("HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
            if stream.write_all(&[head.as_bytes(), &body].concat()).is_err() {
                return;
            }
        }
    }
}
