//! A whole agent in a temporary folder, and the smallest client that can talk to it.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};
use tillpost::app::{Agent, Outside, kinds};
use tillpost::config::{Config, load};

/// The key of the only till.
pub const KEY: &str = "tp_live_till_of_the_tests";

/// A shop with one till, whose mails and texts go to a test inbox. It listens on a free port.
pub fn config(folder: &Path) -> Config {
    let settings = json!({
        "shop": {"id": "it", "name": "Corner Mart", "country": "US", "region": "US-NY", "timezone": "America/New_York", "locale": "en-US", "currency": "USD"},
        "agent": {"data_dir": folder.display().to_string(), "clock": "trust", "log": {"level": "error"}},
        "http": {"listen": "127.0.0.1:0"},
        "tills": {"front": {"key": KEY}},
        "providers": {"inbox": {"type": "capture"}},
        "channels": {"email": {"from": "Corner Mart <receipts@cmart.example>", "providers": ["inbox"]}, "sms": {"from": "+16075550199", "providers": ["inbox"]}},
        "routing": {"reconnect_wait": "0 s", "reconnect_ramp": "0 s"},
    });
    load::from_json(&settings, &kinds(), false).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// A sale that the till posts; `total` in cents.
pub fn sale(number: &str, total: i64, email: &str) -> Value {
    json!({
        "schema": "tillpost.sale/1",
        "transaction_type": "sale",
        "transaction_id": format!("t-{number}"),
        "receipt_number": number,
        "receipt_date_time": "2026-10-03T12:07:44-04:00",
        "business_unit": {"unit_id": "it", "name": "Corner Mart"},
        "workstation_id": "1",
        "currency_code": "USD",
        "tax_included": true,
        "line_items": [{"sequence_number": 1, "description": "Rye <b>bread</b>", "quantity": "1", "regular_sales_unit_price": total, "extended_amount": total}],
        "tenders": [{"tender_type": "Cash", "amount": total}],
        "totals": {"grand_amount": total},
        "customer": {"email": email},
    })
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    /// Status.
    pub status: u16,
    /// Headers, their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Body.
    pub body: String,
}

impl Reply {
    /// A header; empty where it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }
}

/// A running agent; it stops when this is dropped.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    agent: Option<Agent>,
    runtime: tokio::runtime::Runtime,
    folder: tempfile::TempDir,
}

impl Running {
    /// Starts one with [`config`].
    pub fn start(outside: Outside) -> Running {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let agent = runtime.block_on(Agent::start(config(folder.path()), outside)).unwrap();
        Running { address: agent.address, agent: Some(agent), runtime, folder }
    }

    /// Its data directory.
    pub fn data(&self) -> &Path {
        self.folder.path()
    }

    /// One request on a connection of its own. `Host` is the agent's address.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n", self.address, body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let mut lines = head.lines();
        let status = lines.next().and_then(|l| l.split(' ').nth(1)).and_then(|s| s.parse().ok()).unwrap_or(0);
        let headers = lines.filter_map(|l| l.split_once(": ")).map(|(n, v)| (n.to_ascii_lowercase(), v.to_owned())).collect();
        Reply { status, headers, body: body.to_owned() }
    }

    /// With the till's key; the answer as JSON.
    pub fn api(&self, path: &str) -> Value {
        let reply = self.ask("GET", path, &[("Authorization", &format!("Bearer {KEY}"))], "");
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        reply.json()
    }

    /// A page.
    pub fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, &[], "")
    }

    /// A form as a browser sends it from a page of the box.
    pub fn post(&self, path: &str, fields: &str) -> Reply {
        let origin = format!("http://{}", self.address);
        self.ask("POST", path, &[("Origin", &origin), ("Content-Type", "application/x-www-form-urlencoded")], fields)
    }

    /// Posts a sale as the till does; gives the receipt's id.
    pub fn sell(&self, sale: &Value) -> String {
        let key = format!("Bearer {KEY}");
        let reply = self.ask("POST", "/v1/sales", &[("Authorization", &key), ("Content-Type", "application/json")], &sale.to_string());
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.json()["receipt_id"].as_str().unwrap().to_owned()
    }

    /// Asks for a page until it says something; fails after ten seconds.
    #[allow(clippy::disallowed_methods)] // a test waits for what runs beside it
    pub fn until(&self, path: &str, says: &str) -> Reply {
        let began = Instant::now();
        loop {
            let reply = self.get(path);
            if reply.body.contains(says) {
                return reply;
            }
            assert!(began.elapsed() < Duration::from_secs(10), "{path} never said {says:?}: {}", reply.body);
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(agent) = self.agent.take() {
            self.runtime.block_on(agent.stop());
        }
    }
}
