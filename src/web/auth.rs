//! Who may: keys and the peers that need none, the Host check, and the rate of each key.

use super::answer::Problem;
use super::{Shared, serve::Peer};
use crate::config::Config;
use crate::config::checked::{IpNet, Rate, Receipts};
use crate::domain::channel::Channel;
use crate::domain::ids::sha256;
use crate::observe::metrics::Counters;
use crate::pipeline::intake::{self, Origin};
use crate::sys::clock::Mono;
use axum::extract::{Extension, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// A till, by its key.
    Till(Origin),
    /// Whoever can open the local socket: the box's owner.
    Owner,
    /// A person at the box itself, without a key.
    Loopback,
    /// Anybody else.
    Nobody,
}

impl Who {
    /// The till's origin; 401 or 403 for others.
    pub fn till(self) -> Result<Origin, Problem> {
        match self {
            Who::Till(origin) => Ok(origin),
            Who::Owner => {
                Ok(Origin { till: "local".into(), source: "local".into(), test: false, receipts: Receipts::Always, overlaps: false })
            }
            Who::Loopback | Who::Nobody => Err(unauthorized()),
        }
    }

    /// May read receipts and send them again.
    pub fn reads(&self) -> Result<(), Problem> {
        if matches!(self, Who::Till(_) | Who::Owner) { Ok(()) } else { Err(unauthorized()) }
    }

    /// May manage the outbox.
    pub fn manages(&self) -> Result<(), Problem> {
        match self {
            Who::Owner => Ok(()),
            Who::Till(_) => Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", "a till's key may not do this")),
            Who::Loopback | Who::Nobody => Err(unauthorized()),
        }
    }

    /// May look at pages and machine routes.
    pub fn looks(&self) -> Result<(), Problem> {
        if *self == Who::Nobody { Err(unauthorized()) } else { Ok(()) }
    }

    /// How the audit log names who asked.
    pub fn actor(&self) -> String {
        match self {
            Who::Till(origin) => format!("till {}", origin.till),
            Who::Owner => "owner".to_owned(),
            Who::Loopback | Who::Nobody => "cashier".to_owned(),
        }
    }
}

fn unauthorized() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "send a key: Authorization: Bearer KEY")
}

impl FromRequestParts<Shared> for Who {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, web: &Shared) -> Result<Who, Problem> {
        let peer = parts.extensions.get::<Peer>().copied().unwrap_or(Peer::Unknown);
        web.keys().who(&parts.headers, peer)
    }
}

/// All keys, as hashes: what is compared tells nothing of how much of a guess was right.
pub struct Keys {
    by_hash: HashMap<[u8; 32], (Origin, Vec<IpNet>)>,
    buckets: Mutex<HashMap<String, Bucket>>,
    rate: Rate,
    burst: u32,
    hosts: Vec<String>,
}

struct Bucket {
    /// Thousandths of a request.
    tokens: u64,
    refilled: Mono,
}

impl Keys {
    /// The keys of tills and of `lan` sources.
    pub fn new(config: &Config) -> Keys {
        let mut by_hash = HashMap::new();
        for (name, till) in &config.tills {
            let source = till.source.clone().unwrap_or_else(|| name.clone());
            for key in &till.keys {
                let test = till.test || key.expose().starts_with("tp_test_");
                let origin = Origin { till: name.clone(), source: source.clone(), test, receipts: till.receipts, overlaps: false };
                by_hash.insert(sha256(key.expose().as_bytes()), (origin, till.addresses.clone()));
            }
        }
        for (name, source) in config.sources.iter().filter(|(_, s)| s.kind == "lan") {
            let origin = intake::origin_of(config, name);
            for key in source.settings.secrets("tokens") {
                let origin = Origin { test: origin.test || key.expose().starts_with("tp_test_"), ..origin.clone() };
                by_hash.insert(sha256(key.expose().as_bytes()), (origin, Vec::new()));
            }
        }
        let public = config.http.public_url.as_deref().and_then(host_of_url);
        let links = config.channels.get(&Channel::Publish).map(|c| c.host.clone()).filter(|host| !host.is_empty());
        let hosts = ["localhost", "tillpost.local"].into_iter().map(str::to_owned).chain(public).chain(links).collect();
        Keys { by_hash, buckets: Mutex::default(), rate: config.http.rate_limit, burst: config.http.rate_burst, hosts }
    }

    /// With what is left of each key's allowance: a reload is no fresh start.
    pub fn after(self, old: &Keys) -> Keys {
        let buckets = std::mem::take(&mut *old.buckets.lock().unwrap_or_else(PoisonError::into_inner));
        Keys { buckets: Mutex::new(buckets), ..self }
    }

    fn who(&self, headers: &HeaderMap, peer: Peer) -> Result<Who, Problem> {
        if peer == Peer::Local {
            return Ok(Who::Owner);
        }
        let Some(value) = headers.get(header::AUTHORIZATION) else {
            return Ok(if peer.is_loopback() { Who::Loopback } else { Who::Nobody });
        };
        let text = value.to_str().map_err(|_| unauthorized())?;
        let key = text
            .split_once(' ')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, key)| key.trim())
            .ok_or_else(unauthorized)?;
        let (origin, addresses) = self.by_hash.get(&sha256(key.as_bytes())).ok_or_else(unauthorized)?;
        let from_there = addresses.is_empty() || peer.ip().is_some_and(|ip| addresses.iter().any(|net| net.contains(ip)));
        if !from_there {
            return Err(Problem::new(StatusCode::FORBIDDEN, "address", "this key may not be used from this address"));
        }
        Ok(Who::Till(origin.clone()))
    }

    /// Takes one request from a key's allowance; gives the seconds to wait where there is none.
    pub fn take(&self, key: &str, now: Mono) -> Result<(), Problem> {
        let per = u64::try_from(self.rate.per.as_millis()).unwrap_or(u64::MAX).max(1);
        let most = u64::from(self.burst.max(1)).max(u64::from(self.rate.count)) * 1000;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry(key.to_owned()).or_insert(Bucket { tokens: most, refilled: now });
        let passed = u64::try_from(now.since(bucket.refilled).as_millis()).unwrap_or(u64::MAX).min(3_600_000);
        bucket.tokens =
            bucket.tokens.saturating_add(passed.saturating_mul(u64::from(self.rate.count)).saturating_mul(1000) / per).min(most);
        bucket.refilled = now;
        if bucket.tokens >= 1000 {
            bucket.tokens -= 1000;
            return Ok(());
        }
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit", "this key asks too often");
        Err(Problem { retry_after: Some(1), ..problem })
    }

    /// Whether a request names this box: a name that somebody else's page made up is refused.
    fn names_us(&self, host: &str) -> bool {
        let name = host.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or_else(
            || host.rsplit_once(':').map_or(host, |(name, port)| if port.bytes().all(|b| b.is_ascii_digit()) { name } else { host }),
            |(v6, _)| v6,
        );
        name.parse::<IpAddr>().is_ok() || self.hosts.iter().any(|ours| ours.eq_ignore_ascii_case(name))
    }
}

fn host_of_url(url: &str) -> Option<String> {
    let rest = url.split_once("://")?.1;
    let authority = rest.split(['/', '?']).next()?;
    Some(authority.rsplit_once(':').map_or(authority, |(host, _)| host).to_owned())
}

/// Before routing: the Host check for everyone, and no caching of what may name people.
pub async fn admit(State(web): State<Shared>, Extension(peer): Extension<Peer>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|h| h.to_str().ok());
    if peer != Peer::Local && !host.is_some_and(|host| web.keys().names_us(host)) {
        return StatusCode::MISDIRECTED_REQUEST.into_response();
    }
    let mut response = next.run(request).await;
    match response.status() {
        StatusCode::UNAUTHORIZED => Counters::count(&web.counters.unauthorized),
        StatusCode::TOO_MANY_REQUESTS => Counters::count(&web.counters.limited),
        _ => {}
    }
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(header::HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn keys() -> Keys {
        Keys {
            by_hash: HashMap::new(),
            buckets: Mutex::default(),
            rate: Rate::per_second(10),
            burst: 20,
            hosts: vec!["tillpost.local".into(), "pos.shop.example".into()],
        }
    }

    #[test]
    fn only_our_own_names_are_answered() {
        for (host, ours) in [
            ("127.0.0.1:8480", true),
            ("[::1]:8480", true),
            ("192.168.1.5", true),
            ("TILLPOST.local", true),
            ("pos.shop.example:443", true),
            ("evil.example", false),
            ("evil.example:8480", false),
            ("", false),
            ("tillpost.local.evil.example", false),
        ] {
            assert_eq!(keys().names_us(host), ours, "{host}");
        }
        assert_eq!(host_of_url("https://pos.shop.example:8443/x"), Some("pos.shop.example".into()));
    }

    #[test]
    fn each_key_has_its_own_rate() {
        let keys = keys();
        let granted = |key: &str, at| keys.take(key, Mono(at)).is_ok();
        assert_eq!((0..30).filter(|_| granted("a", 0)).count(), 20, "the burst");
        assert!(granted("b", 0));
        assert!(!granted("a", 50) && granted("a", 150));
        assert_eq!(Duration::from_millis(0), Mono(1).since(Mono(2)));
    }
}
