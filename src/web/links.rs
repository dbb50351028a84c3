//! What stands behind a receipt's link, on the box itself: for whoever has the link, without a key, from
//! anywhere that reaches the box. Nothing else can be reached by it, and whoever guesses is soon stopped.

use super::answer::Answer;
use super::auth::Who;
use super::receipts::{load, render, view};
use super::serve::Peer;
use super::{Shared, Web};
use crate::compose::viewer;
use crate::config::Config;
use crate::domain::delivery::State as Is;
use crate::domain::ids::ReceiptId;
use crate::domain::message::Audience;
use crate::domain::sale::Sale;
use crate::domain::time::UnixMs;
use crate::domain::token::{self, Mark};
use crate::store::StoreError;
use crate::store::receipts::Receipt;
use crate::sys::clock::Mono;
use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use minijinja::{AutoEscape, Environment, context};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

/// Misses that an address has in a minute.
const MISSES: u32 = 20;
const MINUTE: Duration = Duration::from_secs(60);
/// Addresses whose misses are counted at a time.
const ADDRESSES: usize = 4_096;

/// Who looked for links that lead nowhere, and how often. Bounded: when too many addresses guess at once,
/// those that are new are stopped until the minute is over.
#[derive(Default)]
pub struct Misses(Mutex<HashMap<IpAddr, (Mono, u32)>>);

impl Misses {
    /// Whether an address may look.
    fn may(&self, address: IpAddr, now: Mono) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= ADDRESSES {
            all.retain(|_, (since, _)| now.since(*since) < MINUTE);
        }
        match all.get(&key(address)) {
            Some((since, n)) => *n < MISSES || now.since(*since) >= MINUTE,
            None => all.len() < ADDRESSES,
        }
    }

    fn count(&self, address: IpAddr, now: Mono) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = all.entry(key(address)).or_insert((now, 0));
        if now.since(entry.0) >= MINUTE {
            *entry = (now, 0);
        }
        entry.1 += 1;
    }
}

/// Of a v6 address the network: whoever has one of its addresses has them all.
fn key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(u128::from(v6) >> 64 << 64)),
        v4 => v4,
    }
}

/// What a token leads to.
enum Found {
    Receipt(Box<Receipt>),
    /// It was one; its time is over.
    Past,
    Nothing,
}

/// `GET /t/{token}`: the customer's view of a receipt.
pub async fn open(State(web): State<Shared>, Extension(peer): Extension<Peer>, Path(token): Path<String>) -> Response {
    let (now, address) = (web.clock.now(), peer.ip().unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED)));
    if !web.misses.may(address, now.mono) {
        let mut response = sorry(&web, StatusCode::TOO_MANY_REQUESTS, "slow");
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(MINUTE.as_secs()));
        return response;
    }
    let shown = match find(&web, &token).await {
        Ok(Found::Receipt(receipt)) => show(&web, &receipt, peer).await,
        Ok(Found::Past) => {
            web.misses.count(address, now.mono); // a guess may name the past too
            Ok(sorry(&web, StatusCode::GONE, "past"))
        }
        Ok(Found::Nothing) => {
            web.misses.count(address, now.mono);
            Ok(sorry(&web, StatusCode::NOT_FOUND, "unknown"))
        }
        Err(error) => Err(error.into()),
    };
    shown.map(private).unwrap_or_else(IntoResponse::into_response)
}

/// Not for search engines, and no word to the next site.
fn private(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert("x-robots-tag", HeaderValue::from_static("noindex, nofollow, noarchive"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

async fn find(web: &Web, token: &str) -> Result<Found, StoreError> {
    let Some(mark) = token::mark(web.key.links(), token) else { return Ok(Found::Nothing) };
    let (now, kept) = (web.clock.now(), web.config().retention.receipts);
    let (first, last) = mark.ids(&ReceiptId::new(now.wall.0, [0; 10]));
    let receipt = web.readers.read(move |read| read.receipt_between(first, last)).await?;
    // A clock that cannot be believed ends no receipt's time.
    let is_past = |at_ms: i64| now.good && now.wall.0 - at_ms > i64::try_from(kept.as_millis()).unwrap_or(i64::MAX);
    Ok(match receipt {
        Some(receipt) if is_past(receipt.receipt_id.at_ms()) => Found::Past,
        Some(receipt) => Found::Receipt(Box::new(receipt)),
        None if is_past(first.at_ms()) => Found::Past,
        None => Found::Nothing,
    })
}

async fn show(web: &Web, receipt: &Receipt, peer: Peer) -> Answer<Response> {
    let (_, document) = load(web, &receipt.receipt_id.to_string()).await?;
    let response = render(web, receipt, &document, "html", false)?;
    if !peer.is_loopback() {
        seen(web, receipt).await?;
    }
    Ok(response)
}

/// The customer has it: no other way is tried any more.
async fn seen(web: &Web, receipt: &Receipt) -> Result<(), StoreError> {
    let row = receipt.row;
    let deliveries = web.readers.read(move |read| read.deliveries_of(row)).await?;
    let to_customer = |d: &&crate::store::outbox::Delivery| d.audience == Audience::Customer;
    let reached = deliveries.iter().filter(to_customer).rfind(|d| matches!(d.state, Is::Accepted | Is::Delivered | Is::Uncertain));
    let (Some(last), now) = (reached.filter(|d| d.seen_at.is_none()), web.clock.now().wall) else { return Ok(()) };
    let id = last.id;
    web.writer.run(move |tx| tx.set_seen(id, now)).await
}

static PAGE: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut env = Environment::new();
    env.set_auto_escape_callback(|_| AutoEscape::Html);
    if let Err(error) = env.add_template("link", include_str!("pages/templates/link.html")) {
        tracing::error!(%error, "the page for links that lead nowhere is broken");
    }
    env
});

/// A page that says why there is no receipt, in the shop's language. `why`: `unknown`, `past`, `slow`.
fn sorry(web: &Web, status: StatusCode, why: &str) -> Response {
    let config = web.config();
    let (composer, shop) = (web.composer(), &config.shop);
    let keys = [format!("link.{why}_title"), format!("link.{why}")];
    let keys = keys.each_ref().map(String::as_str);
    let (lang, [title, text]) = composer.words(shop, config.templates.default_language.as_deref(), keys);
    let page = context! { lang, title, text, shop => &shop.name, phone => &shop.phone, email => &shop.email };
    let html = PAGE.get_template("link").and_then(|t| t.render(page)).unwrap_or_default();
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
    private((status, [(header::CONTENT_SECURITY_POLICY, policy)], Html(html)).into_response())
}

/// `GET /v`: the page that shows the receipt behind its `#`. It is the same for all and knows nobody.
pub async fn viewer_page() -> Response {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, VIEWER_POLICY.as_str()),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "public, max-age=3600"),
    ];
    (headers, Html(viewer::PAGE)).into_response()
}

/// The page's own policy, which names the hashes of its parts, and that nobody puts it into a frame.
static VIEWER_POLICY: LazyLock<String> = LazyLock::new(|| {
    let inner = viewer::PAGE.split_once("Content-Security-Policy\" content=\"").and_then(|(_, rest)| rest.split_once('"'));
    format!("{}; frame-ancestors 'none'", inner.map_or("default-src 'none'", |(policy, _)| policy))
});

/// `GET /v1/receipts/{id}/link`
pub async fn link(
    State(web): State<Shared>,
    Extension(peer): Extension<Peer>,
    who: Answer<Who>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer<Json<Value>> {
    who?.reads()?;
    let (receipt, document) = load(&web, &id).await?;
    let config = web.config();
    let token = token_of(&web, &receipt);
    let row = receipt.row;
    let published = web.readers.read(move |read| read.publishing(row)).await?;
    let host = headers.get(header::HOST).and_then(|h| h.to_str().ok()).filter(|_| peer != Peer::Local);
    let sale = serde_json::from_slice(&document).ok().and_then(|json: Value| Sale::parse(&json).ok());
    let fragment = sale.and_then(|sale| web.composer().fragment(&view(&config, &sale), viewer::QR_MOST));
    Ok(Json(json!({
        "schema": "tillpost.link/1",
        "receipt_id": receipt.receipt_id.to_string(),
        "token": token,
        "url": public(&config, &token),
        "published": published.is_some_and(|d| matches!(d.state, Is::Accepted | Is::Delivered)),
        "lan_url": on_lan(&config, host, &token),
        "expires": (UnixMs(receipt.receipt_id.at_ms()) + config.retention.receipts).rfc3339(),
        "viewer_fragment": fragment,
    })))
}

/// The token of a receipt.
pub fn token_of(web: &Web, receipt: &Receipt) -> String {
    token::token(web.key.links(), Mark::of(&receipt.receipt_id))
}

/// The link as customers get it; `None` where the config names no host that the world can reach.
pub fn public(config: &Config, token: &str) -> Option<String> {
    let hosted = config.channels.get(&crate::domain::channel::Channel::Publish).is_some_and(|c| !c.host.is_empty());
    (hosted || config.http.public_url.is_some()).then(|| config.link(token))
}

/// The same receipt on the box itself, for machines beside it; `None` where it listens to itself only, or it
/// is not known by which name it is reached.
pub fn on_lan(config: &Config, host: Option<&str>, token: &str) -> Option<String> {
    let listen = config.http.listen;
    if listen.ip().is_loopback() {
        return None;
    }
    if !listen.ip().is_unspecified() {
        return Some(format!("http://{listen}/t/{token}"));
    }
    let host = host?;
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_matches(['[', ']']);
    let here = name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    (!here).then(|| format!("http://{host}/t/{token}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_guesses_is_stopped_for_a_minute_and_nobody_else() {
        let (misses, guesser, other) = (Misses::default(), "10.0.0.7".parse().unwrap(), "10.0.0.8".parse().unwrap());
        for n in 0..20 {
            assert!(misses.may(guesser, Mono(n)));
            misses.count(guesser, Mono(n));
        }
        assert!(!misses.may(guesser, Mono(30_000)) && misses.may(other, Mono(30_000)));
        assert!(!misses.may("::ffff:10.0.0.7".parse().unwrap(), Mono(30_000)), "the same by another spelling");
        assert!(misses.may(guesser, Mono(60_001)));
        misses.count(guesser, Mono(60_001));
        assert!(misses.may(guesser, Mono(60_002)), "a new minute");
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let misses = Misses::default();
        for n in 0..5_000u32 {
            let address = IpAddr::from(n.to_be_bytes());
            if misses.may(address, Mono(0)) {
                misses.count(address, Mono(0));
            }
        }
        assert_eq!(misses.0.lock().unwrap().len(), ADDRESSES);
        assert!(misses.may("10.0.0.1".parse().unwrap(), Mono(60_000)));
        let v6 = |text: &str| key(text.parse().unwrap());
        assert_eq!(v6("2001:db8::1"), v6("2001:db8::ffff"));
        assert_ne!(v6("2001:db8::1"), v6("2001:db8:0:1::1"));
    }
}
