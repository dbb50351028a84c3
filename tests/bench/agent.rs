//! A real agent for the benches: the release binary in a folder of its own, on the disk of the target folder.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The binary that is measured.
pub const BINARY: &str = env!("CARGO_BIN_EXE_tillpost");

const KEY: &str = "a-key-for-benches-on-loopback";

/// Receipts go to the test inbox: composed and recorded like any other, but nobody waits for a network.
const CONFIG: &str = r#"
[shop]
name = "Corner Mart"
[agent]
data_dir = "data"
clock = "trust"
[http]
listen = "127.0.0.1:0"
rate_limit = "1000000/s"
rate_burst = 1000000
[tills.bench]
key = "a-key-for-benches-on-loopback"
[providers.inbox]
type = "capture"
[channels.email]
from = "Corner Mart <receipts@cmart.example>"
providers = ["inbox"]
"#;

/// A running agent; it ends with this value.
pub struct Agent {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Agent {
    /// Starts one in an empty folder and waits until it listens.
    #[allow(dead_code, reason = "taps has more to say")]
    pub fn start(folder: &Path) -> Agent {
        Agent::start_with(folder, "")
    }

    /// The same with more in its config.
    pub fn start_with(folder: &Path, more: &str) -> Agent {
        fs::write(folder.join("tillpost.toml"), format!("{CONFIG}{more}")).unwrap();
        let mut child = Command::new(BINARY)
            .arg("run")
            .args(["--config", "tillpost.toml"])
            .current_dir(folder)
            .env_remove("TILLPOST__HTTP__LISTEN")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut all = String::new();
        let address = loop {
            let from = all.len();
            assert!(said.read_line(&mut all).unwrap() > 0, "the agent did not start:\n{all}");
            if let Some((_, address)) = all[from..].trim().split_once("listens on http://") {
                break address.parse().unwrap();
            }
        };
        std::thread::Builder::new().spawn(move || std::io::copy(&mut said, &mut std::io::sink())).unwrap();
        Agent { child, address }
    }

    /// A figure of its memory in KiB, as the kernel tells it: `VmRSS`, `RssAnon`.
    #[allow(dead_code, reason = "not all ask for it")]
    pub fn memory(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':')).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A till: one connection that is kept.
pub struct Till {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Till {
    /// Connects.
    pub fn new(address: SocketAddr) -> Till {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Till { stream, answer: Vec::new() }
    }

    /// Posts a sale; returns when the whole answer is there. Anything but "stored" ends the bench.
    pub fn post(&mut self, sale: &str) {
        let request = format!(
            "POST /v1/sales HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{sale}",
            sale.len()
        );
        self.stream.write_all(request.as_bytes()).unwrap();
        self.answer.clear();
        let mut part = [0; 4096];
        loop {
            let n = self.stream.read(&mut part).unwrap();
            assert!(n > 0, "the agent closed the connection");
            self.answer.extend_from_slice(&part[..n]);
            if whole(&self.answer) {
                break;
            }
        }
        let text = String::from_utf8_lossy(&self.answer);
        assert!(text.starts_with("HTTP/1.1 200") && text.contains(r#""status":"stored""#), "{text}");
    }
}

fn whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    body.len() >= length.expect("an answer with its length")
}

/// The n-th sale of till `till`, 2 KB as a grocer's till writes it; with an address it becomes a mail.
pub fn sale(till: usize, n: usize, address: bool) -> String {
    let customer = if address { r#""email": "anna@corner-market.example","# } else { "" };
    include_str!("../fixtures/lan/sale.json")
        .replace("17-3-20261003-0912", &format!("17-{till}-{n:08}"))
        .replace(r#""email": "anna@corner-market.example","#, customer)
}

/// An empty folder on the disk of the target folder.
pub fn folder() -> tempfile::TempDir {
    let on = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(&on).unwrap();
    tempfile::tempdir_in(on).unwrap()
}

/// `--short`: only shows that it runs.
pub fn short() -> bool {
    std::env::args().any(|a| a == "--short")
}
