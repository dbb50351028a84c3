//! The one outgoing HTTP client: TLS, time limits, capped answers, and what is known when it fails.
//!
//! It sends what it is given once. It follows no redirect, uses no proxy of the environment, repeats
//! nothing by itself, and never shows a URL, a header or a body in an error or a log.

pub mod der;
pub mod form;
mod gate;
pub mod jwt;
pub mod oauth;
pub mod retry_after;
pub mod sigv4;
pub mod tls;
mod transport;

use gate::Gate;
use reqwest::Url;
use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::OnceLock;
use std::time::Duration;
use tokio::time::{sleep, timeout};
pub use transport::{Transport, while_connecting};

/// Bytes of an answer to a message that are read; the rest is left.
pub const SEND_CAP: usize = 256 * 1024;
/// Bytes of an answer to a question (look-ups, pulls) that are read.
pub const LOOKUP_CAP: usize = 8 * 1024 * 1024;
/// A connection that was idle for longer may be about to be closed by the other side: a message
/// written to it could be lost without a trace, so it is not used again.
const IDLE: Duration = Duration::from_secs(10);
/// Whether the line is up is worth this wait.
const PROBE: Duration = Duration::from_secs(5);

/// One request, exactly as it goes out.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// In capitals, e.g. `POST`.
    pub method: &'static str,
    /// Absolute. May hold secrets.
    pub url: String,
    /// In order. May hold secrets.
    pub headers: Vec<(String, String)>,
    /// As written to the wire.
    pub body: Vec<u8>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({}, {} headers, {} bytes)", self.method, self.headers.len(), self.body.len())
    }
}

/// What came back, whatever its status.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Names as they came.
    pub headers: Vec<(String, String)>,
    /// Unpacked, up to the cap.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header of that name, in any case of letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Whether the status is one of success.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({}, {} bytes)", self.status, self.body.len())
    }
}

/// How long and how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bounds each step by itself: the connection, the wait for an answer, reading it.
    pub step: Duration,
    /// Bytes of the answer that are read, e.g. [`SEND_CAP`].
    pub cap: usize,
}

/// Connections to others, shared by all. Nothing is set up before the first use.
#[derive(Default)]
pub struct Client {
    inner: OnceLock<Option<reqwest::Client>>,
}

impl Client {
    /// Does nothing yet.
    pub fn new() -> Client {
        Client::default()
    }

    /// Sends the request once and reads the answer. A fault after which the other side may have the
    /// whole request is told apart from one after which it certainly has not.
    pub async fn send(&self, request: &Request, limits: Limits) -> Result<Answer, Transport> {
        let client = self.client().ok_or(Transport::Tls)?;
        let asks = matches!(request.method, "GET" | "HEAD");
        let gate = Gate::new(request.body.is_empty() && !asks);
        let call = call(request, &gate).ok_or(Transport::ResetBeforeBody)?;
        let response = answer_to(client.execute(call), &gate, limits.step).await?;
        let status = response.status().as_u16();
        let headers = response.headers().iter();
        let headers = headers.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())).collect();
        let body = read_capped(response, limits).await?;
        Ok(Answer { status, headers, body })
    }

    /// Asks for the URL and gives the status of the answer, whatever it is; the body is not read. Five
    /// seconds at most.
    pub async fn probe(&self, url: &str) -> Result<u16, Transport> {
        let client = self.client().ok_or(Transport::Tls)?;
        let gate = Gate::new(false);
        let request = Request { method: "GET", url: url.to_owned(), headers: Vec::new(), body: Vec::new() };
        let call = call(&request, &gate).ok_or(Transport::ResetBeforeBody)?;
        let response = answer_to(client.execute(call), &gate, PROBE).await?;
        Ok(response.status().as_u16())
    }

    fn client(&self) -> Option<&reqwest::Client> {
        self.inner.get_or_init(build).as_ref()
    }
}

/// The one place where a client is built.
#[expect(clippy::disallowed_methods, reason = "this is that one place")]
fn build() -> Option<reqwest::Client> {
    let tls = tls::client("").ok()?;
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .user_agent(concat!("tillpost/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(60))
        .pool_idle_timeout(IDLE)
        .tcp_nodelay(true);
    builder.build().ok()
}

fn call(request: &Request, gate: &Gate) -> Option<reqwest::Request> {
    let url = Url::parse(&request.url).ok()?;
    let method = reqwest::Method::from_bytes(request.method.as_bytes()).ok()?;
    let mut call = reqwest::Request::new(method, url);
    for (name, value) in &request.headers {
        let name = reqwest::header::HeaderName::from_bytes(name.as_bytes()).ok()?;
        call.headers_mut().append(name, reqwest::header::HeaderValue::from_str(value).ok()?);
    }
    if !request.body.is_empty() {
        *call.body_mut() = Some(gate.guard(request.body.clone()));
    }
    Some(call)
}

/// First the connection up to the moment when the body is asked for, then the answer; each within
/// `step`.
async fn answer_to<F>(execute: F, gate: &Gate, step: Duration) -> Result<reqwest::Response, Transport>
where
    F: Future<Output = reqwest::Result<reqwest::Response>>,
{
    let mut execute = pin!(execute);
    let done = tokio::select! {
        biased;
        done = &mut execute => Some(done),
        () = gate.opened() => None,
        () = sleep(step) => {
            if gate.shut() {
                return Err(Transport::ConnectTimeout);
            }
            None
        }
    };
    let done = match done {
        Some(done) => done,
        None => timeout(step, &mut execute).await.map_err(|_| Transport::TimeoutAfterBody)?,
    };
    done.map_err(|error| fault(&error, gate.shut()))
}

/// `unwritten`: nothing of the body went out.
fn fault(error: &reqwest::Error, unwritten: bool) -> Transport {
    match (unwritten, error.is_timeout()) {
        (true, _) if error.is_dns() => Transport::Dns,
        (true, true) if error.is_connect() => Transport::ConnectTimeout,
        (true, true) => Transport::TimeoutBeforeBody,
        (true, false) => while_connecting(error),
        (false, true) => Transport::TimeoutAfterBody,
        (false, false) => Transport::ResetAfterBody,
    }
}

/// Reads the body of an answer up to the cap and leaves the rest; the whole within the step.
pub async fn read_capped(mut response: reqwest::Response, limits: Limits) -> Result<Vec<u8>, Transport> {
    let mut body = Vec::new();
    let reading = async {
        while let Some(chunk) = response.chunk().await.map_err(|_| Transport::ClosedInAnswer)? {
            let room = limits.cap.saturating_sub(body.len());
            body.extend(chunk.iter().take(room));
            if chunk.len() >= room {
                break;
            }
        }
        Ok(())
    };
    timeout(limits.step, reading).await.map_err(|_| Transport::ClosedInAnswer)??;
    Ok(body)
}

/// Whether a host of a config file is this machine itself: `localhost`, `127.x.y.z`, `::1`, with or
/// without brackets.
pub fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(ip) => ip.to_canonical().is_loopback(),
        Err(_) => {
            let name = bare.trim_end_matches('.').to_ascii_lowercase();
            name == "localhost" || name.ends_with(".localhost")
        }
    }
}

/// The host of a URL; `None` where it is not a URL with a host.
pub fn host(url: &str) -> Option<String> {
    Url::parse(url).ok()?.host_str().map(str::to_owned)
}

/// Host, port, and whether it is encrypted: where a URL leads.
pub fn place(url: &str) -> Option<(String, u16, bool)> {
    let url = Url::parse(url).ok()?;
    let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']').to_owned();
    Some((host, url.port_or_known_default()?, url.scheme() == "https"))
}

/// The host of an `https://` URL on the usual port, without a user in it; `None` for any other.
pub fn https_host(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let plain = url.scheme() == "https" && url.port().is_none() && url.username().is_empty() && url.password().is_none();
    url.host_str().filter(|_| plain).map(str::to_owned)
}

/// A domain in the letters of ASCII (punycode, UTS 46), in lower case; `None` where it is no domain.
pub fn ascii_domain(domain: &str) -> Option<String> {
    if domain.contains(|c: char| c.is_whitespace() || "/?#@:[]\\%".contains(c)) {
        return None;
    }
    // `http` is a scheme whose hosts are domains and go through the mapping.
    Url::parse(&format!("http://{domain}/")).ok()?.domain().map(str::to_owned)
}

/// Checks the base URL of an account: `https://`, or `http://` where it stays on this machine or
/// `allow_insecure` is set; no name, password, query or fragment in it. Gives it without a slash at
/// its end. The error is a sentence that does not repeat the URL.
pub fn check_base_url(url: &str, allow_insecure: bool) -> Result<String, String> {
    let parsed = Url::parse(url).map_err(|_| "base_url is not an absolute URL such as https://api.example.com")?;
    let host = parsed.host_str().unwrap_or_default();
    match parsed.scheme() {
        "https" if !host.is_empty() => {}
        "http" if allow_insecure || is_loopback(host) => {}
        "http" => return Err("base_url uses plain http:// beyond this machine; use https://, or set allow_insecure = true".to_owned()),
        _ => return Err("base_url must begin with https://".to_owned()),
    }
    if !parsed.username().is_empty() || parsed.password().is_some() || parsed.query().is_some() || parsed.fragment().is_some() {
        return Err("base_url must not hold a user name, password, query or fragment".to_owned());
    }
    Ok(url.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests;
