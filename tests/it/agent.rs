//! The real program, started, asked, killed and started again; and the tills that talk to it.

use crate::sink::Sink;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub const KEY: &str = "tp_live_it_Zk3n8Qw5Rt7Yu2Lp";
pub const TEST_KEY: &str = "tp_test_it_Zk3n8Qw5Rt7Yu2Lp";

/// How long anything may take that must happen. Only a failing test waits so long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Looks again and again until there is something to see.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(10)); // the pace of looking
    }
}

/// A config file in sections, so that a test changes what it is about.
pub struct Setup(BTreeMap<&'static str, String>);

impl Setup {
    /// A shop whose mail goes to the sink.
    pub fn mailing(sink: &Sink) -> Setup {
        let mut setup = Setup::silent();
        setup.0.insert(
            "providers.main",
            format!("type = \"smtp\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nrate = \"500/s\"\nconcurrency = 2\n", sink.port()),
        );
        setup.set("channels.email", "from = \"Corner Mart <receipts@cmart.example>\"\nproviders = [\"main\"]")
    }

    /// A shop that can send nothing.
    pub fn silent() -> Setup {
        let mut sections = BTreeMap::new();
        sections.insert("shop", "id = \"s12\"\nname = \"Corner Mart\"\ncountry = \"US\"\ntimezone = \"America/New_York\"\n".to_owned());
        sections.insert("agent", "clock = \"trust\"\n".to_owned());
        sections.insert("http", "listen = \"127.0.0.1:0\"\n".to_owned());
        sections.insert("routing", "reconnect_wait = \"0 s\"\nreconnect_ramp = \"0 s\"\n".to_owned());
        sections.insert("tills.front", format!("key = \"{KEY}\"\n"));
        sections.insert("tills.trial", format!("key = \"{TEST_KEY}\"\n"));
        Setup(sections)
    }

    /// Adds lines to a section.
    pub fn set(mut self, section: &'static str, lines: &str) -> Setup {
        let text = self.0.entry(section).or_default();
        text.push_str(lines);
        text.push('\n');
        self
    }

    pub fn start(self) -> Agent {
        let folder = tempfile::tempdir().unwrap();
        let mut text = String::new();
        for (name, lines) in &self.0 {
            text += &format!("[{name}]\n{lines}");
            if *name == "agent" {
                text += &format!("data_dir = \"{}\"\n", folder.path().join("data").display());
            }
        }
        fs::write(folder.path().join("tillpost.toml"), text).unwrap();
        let mut agent = Agent { folder, child: None, line: Line::default(), starts: 0 };
        agent.start();
        agent
    }
}

/// Where the agent listens now; it changes with each start. Shared with tills.
#[derive(Clone, Default)]
pub struct Line(Arc<Mutex<Option<SocketAddr>>>);

pub struct Agent {
    folder: tempfile::TempDir,
    child: Option<Child>,
    pub line: Line,
    starts: u32,
}

impl Agent {
    /// Starts it, however that ends.
    pub fn launch(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        self.starts += 1;
        let said = File::create(self.said_by(self.starts)).unwrap();
        self.child = Some(self.command(&["run"]).stdout(Stdio::null()).stderr(said).spawn().unwrap());
    }

    /// Starts it and waits until it can take a sale.
    pub fn start(&mut self) {
        self.launch();
        let said = self.said_by(self.starts);
        let ready = || {
            if let Some(status) = self.child.as_mut().unwrap().try_wait().unwrap() {
                panic!("the agent ended with {status}: {}", fs::read_to_string(&said).unwrap());
            }
            let text = fs::read_to_string(&said).unwrap();
            let address = text.split("listens on http://").nth(1)?.lines().next()?.parse().ok()?;
            *self.line.0.lock().unwrap() = Some(address);
            (self.line.ask("GET", "/readyz", &[], b"", Duration::from_secs(2))?.status == 200).then_some(())
        };
        until("the agent is ready", ready);
    }

    fn said_by(&self, start: u32) -> PathBuf {
        self.folder.path().join(format!("said-{start}"))
    }

    /// What it said on standard error since its last start.
    pub fn said(&self) -> String {
        fs::read_to_string(self.said_by(self.starts)).unwrap()
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The program with our config, in a bare environment.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tillpost"));
        command.args(args).arg("--config").arg(self.folder.path().join("tillpost.toml"));
        command.env_clear().env("HOME", self.folder.path()).current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    /// A command: exit code, standard output, standard error.
    pub fn cli(&self, args: &[&str]) -> (i32, String, String) {
        let out = self.command(args).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (out.status.code().expect("an exit code"), text(out.stdout), text(out.stderr))
    }

    /// A command that must succeed, with `--json`: exactly one JSON value.
    pub fn json(&self, args: &[&str]) -> Value {
        let (code, out, err) = self.cli(&[args, &["--json"]].concat());
        assert_eq!(code, 0, "{args:?}: {err}");
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("{args:?}: {e}: {out}"))
    }

    /// kill -9.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Asks it to end, as a service manager does.
    pub fn terminate(&self) {
        self.signal(rustix::process::Signal::TERM);
    }

    /// Tells it that the config changed.
    pub fn hang_up(&self) {
        self.signal(rustix::process::Signal::HUP);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.child.as_ref().expect("it runs").id().try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Whether it has ended, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut()?.try_wait().unwrap();
        if status.is_some() {
            self.child = None;
        }
        status
    }

    /// Stops it in order.
    pub fn stop(&mut self) {
        self.terminate();
        let status = until("the agent ends", || self.ended());
        assert_eq!(status.code(), Some(0), "an orderly end: {}", self.said());
    }

    // ---- over HTTP ----

    pub fn get(&self, path: &str) -> Answer {
        self.line.get(path)
    }

    pub fn sell(&self, sale: &Value) -> Answer {
        self.line.sell(sale, KEY).expect("an answer")
    }

    /// A sale that must be stored; gives the receipt's id.
    pub fn sold(&self, sale: &Value) -> String {
        let answer = self.sell(sale);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["receipt_id"].as_str().expect("a receipt id").to_owned()
    }

    /// `outbox` of the status.
    pub fn counts(&self) -> Value {
        self.get("/v1/status").json()["outbox"].clone()
    }

    /// All receipts that a search finds.
    pub fn receipts(&self, text: &str) -> Vec<Value> {
        self.get(&format!("/v1/receipts?limit=200&q={text}")).json()["receipts"].as_array().unwrap().clone()
    }

    /// The state of the receipt with this number.
    pub fn state(&self, number: &str) -> String {
        let found = self.receipts(number);
        assert_eq!(found.len(), 1, "one receipt {number}: {found:?}");
        found[0]["state"].as_str().unwrap().to_owned()
    }

    /// The only delivery in this state.
    pub fn delivery_in(&self, state: &str) -> String {
        let list = self.json(&["outbox", "list", "--state", state]);
        let rows = list["deliveries"].as_array().unwrap();
        assert_eq!(rows.len(), 1, "one delivery is {state}: {list}");
        rows[0]["delivery_id"].as_str().unwrap().to_owned()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill(); // it may have ended
            let _ = child.wait();
        }
    }
}

impl Line {
    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[("Authorization", &format!("Bearer {KEY}"))], b"", PATIENCE).expect("an answer")
    }

    pub fn sell(&self, sale: &Value, key: &str) -> Option<Answer> {
        self.post("/v1/sales", sale.to_string().as_bytes(), &[("Authorization", &format!("Bearer {key}"))])
    }

    /// A JSON body with headers of one's own.
    pub fn post(&self, path: &str, body: &[u8], headers: &[(&str, &str)]) -> Option<Answer> {
        self.ask("POST", path, &[&[("Content-Type", "application/json")], headers].concat(), body, PATIENCE)
    }

    /// One request on a connection of its own. `None`: no answer came.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8], time: Duration) -> Option<Answer> {
        let address = (*self.0.lock().unwrap())?;
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2)).ok()?;
        stream.set_read_timeout(Some(time)).unwrap();
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !headers.iter().any(|(name, _)| *name == "Host") {
            head += &format!("Host: {address}\r\n");
        }
        // An answer may come, and the connection end, before all was written: too large a body.
        let _ = stream.write_all(&[head.as_bytes(), b"\r\n", body].concat());
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        Answer::parse(&bytes)
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Option<Answer> {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers: BTreeMap<String, String> =
            lines.filter_map(|l| l.split_once(':')).map(|(n, v)| (n.to_lowercase(), v.trim().to_owned())).collect();
        let whole = headers.get("content-length").is_none_or(|n| n.parse() == Ok(body.len()));
        whole.then(|| Answer { status, headers, body: body.to_owned() })
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

/// A sale over 12.99 with two lines; `to` is where its receipt goes.
pub fn sale(number: &str, to: &str) -> Value {
    let mut sale = json!({
        "schema": "tillpost.sale/1", "transaction_type": "sale", "transaction_id": format!("t-{number}"), "receipt_number": number,
        "receipt_date_time": "2026-10-03T14:02:00-04:00", "business_unit": {"unit_id": "s12", "name": "Corner Mart"},
        "workstation_id": "3", "currency_code": "USD", "tax_included": false,
        "line_items": [
            {"sequence_number": 1, "description": "Rye bread", "quantity": "1", "regular_sales_unit_price": 450, "extended_amount": 450},
            {"sequence_number": 2, "description": "Oat milk 1 L", "quantity": "2", "regular_sales_unit_price": 375, "extended_amount": 750},
        ],
        "taxes": [{"tax_type": "Sales", "percent": "8.25", "taxable_amount": 1200, "amount": 99}],
        "tenders": [{"tender_type": "CreditDebit", "amount": 1299, "card": {"brand": "VISA", "last4": "4242"}}],
        "totals": {"net_amount": 1200, "tax_amount": 99, "grand_amount": 1299},
    });
    if !to.is_empty() {
        sale["customer"] = if to.contains('@') { json!({"email": to}) } else { json!({"phone": to}) };
    }
    sale
}
