//! Sources: one file for each POS's wire, and the list of them.
//!
//! A source verifies where something came from, names the key by which a repeat is known, and decodes what
//! came, all pure: no clock, no disk, no network, no stored state. It answers nobody by itself.
//!
//! How the parts are used:
//! 1. `POST /hooks/{source}`: [`Kind::verify`] over the raw bytes → [`Verdict`]. Accepted: the bytes are
//!    [masked](mask), committed under [`Kind::delivery_id`], and answered with [`Verdict::status`].
//! 2. Later [`Kind::decode`] over the raw event and the answers of its look-ups so far → [`Decoded`]. Each
//!    [`LookUp`] that it lists is still to be asked ([`request`], [`classify`]); with a new answer the raw
//!    event is decoded again, from the start.
//! 3. A [`Meaning`] is taken at once where no look-up `of` its business key is listed; else when the waits
//!    are over: `enrich_wait` for [`Need::Enriches`]; for [`Need::Required`] the look-up is answered with
//!    [`Answered::Absent`] after `lookup_wait`, and decoding does with what is known.
//!
//! To add one: write its file in the order of the others (what it is, settings, verify, delivery id,
//! decode, look-ups, tests), and add its line to [`KINDS`].

pub mod arts;
pub mod canonical;
pub mod clover;
pub mod file_drop;
pub mod lan;
pub mod mapping;
pub mod mask;
pub mod network_tap;
pub mod relay;
pub mod serial_tap;
pub mod shopify;
pub mod shown;
pub mod sign;
pub mod smtp_in;
pub mod square;
pub mod stripe;
pub mod tap;
#[cfg(test)]
mod tests;
pub mod text;
pub mod toast;
pub mod value;
pub mod ways;
pub mod zapier;

use crate::config::TypeKeys;
use crate::config::checked::{Rate, Setting, Settings, Source};
use crate::config::key::{Shape, default, optional};
use crate::config::secret::Secret;
use crate::config::{Key, build};
use crate::domain::event::Event;
use crate::domain::fault::Fault;
use crate::domain::shop::Shop;
use crate::domain::time::UnixMs;
use crate::http::{Answer, Request, check_base_url, retry_after};
use std::collections::BTreeMap;
use std::time::Duration;

/// The types that a config may name: those whose running part is there.
pub fn configured() -> Vec<TypeKeys> {
    KINDS.iter().map(|kind| kind.keys).filter(|keys| keys.name != smtp_in::KIND.keys.name).chain([relay::KEYS]).collect()
}

/// Every type of source that is known, in the fixed order.
pub static KINDS: &[&Kind] = &[
    &square::KIND, //
    &clover::KIND,
    &toast::KIND,
    &shopify::KIND,
    &stripe::KIND,
    &zapier::KIND,
    &lan::KIND,
    &file_drop::KIND,
    &smtp_in::KIND,
    &network_tap::KIND,
    &serial_tap::KIND,
];

/// The type of that name, as after `type =`.
pub fn find(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.keys.name == name).copied()
}

/// One type of source: everything that others need to know of it.
pub struct Kind {
    /// Name, settings, example.
    pub keys: TypeKeys,
    /// Whether the settings make sense together. The error is a sentence for the config check.
    pub check: fn(&Setup<'_>) -> Result<(), String>,
    /// Whether it came from whom it says. Looks at nothing but what is given.
    pub verify: fn(&Setup<'_>, &Given<'_>, Moment) -> Verdict,
    /// The sender's id of this delivery, equal for each repeat of it; `None` where the body has none.
    pub delivery_id: fn(&Setup<'_>, &Given<'_>) -> Option<String>,
    /// What it means.
    pub decode: fn(&Setup<'_>, &Raw<'_>, &Answers) -> Decoded,
    /// The API that look-ups and pulls ask; `None` where there is none.
    pub api: Option<Api>,
}

/// A vendor's API.
pub struct Api {
    /// Where it is, without a slash at the end, unless `api_base` says otherwise. The error is a sentence.
    pub base: fn(&Setup<'_>) -> Result<String, String>,
    /// What every call carries. The token may be the configured one or one of [`Tokens`].
    pub headers: fn(&Setup<'_>, &Secret) -> Vec<(String, String)>,
    /// What one token may ask; well below what the vendor allows.
    pub rate: Rate,
    /// Questions at once.
    pub concurrency: usize,
    /// The token of the config, where it is one that does not run out.
    pub fixed_token: fn(&Setup<'_>) -> Option<Secret>,
    /// Getting and renewing a token; `None` where there is no such thing.
    pub renewal: Option<Renewal>,
    /// Reading what changed, page by page.
    pub pull: Option<Pull>,
}

/// Whose settings decide: one `[sources.NAME]` in one shop.
#[derive(Clone, Copy)]
pub struct Setup<'a> {
    /// `NAME`.
    pub name: &'a str,
    /// Its table.
    pub source: &'a Source,
    /// The shop: currency, zone and country of what a vendor leaves out.
    pub shop: &'a Shop,
    /// Text of the file that the key `mapping` names, read by whoever wires; empty without one.
    pub rules: &'a str,
}

impl Setup<'_> {
    /// Text by name; empty where it is not given.
    pub fn text(&self, name: &str) -> &str {
        self.source.settings.text(name)
    }

    /// A list of texts by name.
    pub fn texts(&self, name: &str) -> Vec<&str> {
        match self.source.settings.0.get(name) {
            Some(Setting::List(all)) => {
                all.iter().filter_map(|s| if let Setting::Text(text) = s { Some(text.as_str()) } else { None }).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Keys by name, without empty ones.
    pub fn secrets(&self, name: &str) -> Vec<Secret> {
        self.source.settings.secrets(name).into_iter().filter(|s| !s.is_empty()).collect()
    }

    /// Whether an allow-list lets this one in: it has no entry, or this one, in any case of letters.
    pub fn allows(&self, list: &str, one: &str) -> bool {
        let all = self.texts(list);
        all.is_empty() || all.iter().any(|allowed| allowed.eq_ignore_ascii_case(one))
    }

    /// A length of time by name.
    pub fn duration(&self, name: &str) -> Duration {
        build::duration(&self.source.settings, name).unwrap_or_default()
    }

    /// Whether its messages reach the test inbox only.
    pub fn is_test(&self) -> bool {
        self.source.settings.flag("test")
    }
}

/// A request as it came.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    /// Name and value, as they came. Not signed by most vendors: hints.
    pub headers: &'a [(String, String)],
    /// As called. Only the relay's is compared with anything.
    pub url: &'a str,
    /// The raw bytes.
    pub body: &'a [u8],
}

impl<'a> Given<'a> {
    /// The first header of that name, in any case of letters.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        header(self.headers, name)
    }
}

/// The first header of that name, in any case of letters.
pub fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// The moment of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The wall clock.
    pub now: UnixMs,
    /// It can be believed.
    pub good: bool,
}

/// What a request is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is authentic: keep it.
    Accepted,
    /// The vendor proves that the address is ours; the text is to be shown to a person. Nothing is kept.
    Handshake(String),
    /// It is not authentic. The word says why.
    Refused(&'static str),
    /// It is authentic and of no use, e.g. not JSON. The word says why.
    Unusable(&'static str),
    /// Its time cannot be judged while the clock is not known to be good: the sender tries again.
    ClockUnknown,
}

impl Verdict {
    /// The status of the answer; 200 only after the commit.
    pub fn status(&self) -> u16 {
        match self {
            Verdict::Accepted | Verdict::Handshake(_) => 200,
            Verdict::Refused(_) => 401,
            Verdict::Unusable(_) => 400,
            Verdict::ClockUnknown => 503,
        }
    }

    /// The word for programs and logs.
    pub fn word(&self) -> &'static str {
        match self {
            Verdict::Accepted => "accepted",
            Verdict::Handshake(_) => "handshake",
            Verdict::Refused(why) | Verdict::Unusable(why) => why,
            Verdict::ClockUnknown => "clock_unknown",
        }
    }
}

/// By which way a raw event came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// Somebody posted it.
    Hook,
    /// We asked for it: the body is one object of the vendor's API, see [`Pull`].
    Pull,
    /// A file, or an attachment.
    File,
}

/// A raw event, as it is kept.
#[derive(Clone, Copy)]
pub struct Raw<'a> {
    /// By which way.
    pub via: Via,
    /// As they came.
    pub headers: &'a [(String, String)],
    /// As it came.
    pub body: &'a [u8],
    /// When it came; may be wrong where the clock was.
    pub at: UnixMs,
}

/// What became of a look-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// The body of the answer.
    Found(Vec<u8>),
    /// There is none, or it was waited for long enough.
    Absent,
}

/// The answers so far, by [`LookUp::key`].
pub type Answers = BTreeMap<String, Answered>;

/// What a raw event means.
#[derive(Clone, Debug, PartialEq)]
pub enum Decoded {
    /// Something; see there.
    Told(Told),
    /// Authentic, and nothing to do. The word says why.
    Nothing(&'static str),
    /// It cannot be understood: to be set aside with its reason, and decoded again after an update.
    Unusable(Vec<Fault>),
}

/// What is told so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// In the order of the body.
    pub events: Vec<Meaning>,
    /// What is still to be asked.
    pub lookups: Vec<LookUp>,
    /// Sales of a file that could not be read, by their place or group: for the report of rejects.
    pub rejected: Vec<(String, Vec<Fault>)>,
}

impl Told {
    /// Told, or nothing with the word where there is nothing in it.
    pub fn or_nothing(self, why: &'static str) -> Decoded {
        if self.events.is_empty() && self.lookups.is_empty() { Decoded::Nothing(why) } else { Decoded::Told(self) }
    }
}

/// One event with its keys.
#[derive(Clone, Debug, PartialEq)]
pub struct Meaning {
    /// The event. For `sale.completed`, `refund.processed` and `sale.voided` its data is a canonical sale.
    pub event: Event,
    /// One document per key, however many events tell it.
    pub business_key: String,
    /// Grows with each state of the same business key; an older one that comes late is ignored. 0: unknown.
    pub version: i64,
    /// Not before this moment, unless a later version comes: the quiet time for tips.
    pub not_before: Option<UnixMs>,
    /// The vendor's ids, by which another source's sighting is known.
    pub native_ids: Vec<String>,
    /// The merchant, shop or restaurant, as the vendor names it.
    pub account: String,
    /// The place within it.
    pub location: String,
}

/// Whether a receipt can do without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Without it the sale is not listed, for `lookup_wait`.
    Required,
    /// It adds to the receipt, which waits `enrich_wait` for it.
    Enriches,
}

impl Need {
    /// The word, as in the config's names of the waits.
    pub fn word(self) -> &'static str {
        match self {
            Need::Required => "lookup",
            Need::Enriches => "enrich",
        }
    }
}

/// A question to the vendor's API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookUp {
    /// Stable: the same question of one raw event has the same key. One key may be listed for several
    /// business keys and is asked once. Answers belong to their raw event: a later one asks anew.
    pub key: String,
    /// The business key of what waits for it; empty where that is not known yet.
    pub of: String,
    /// See [`Need`].
    pub need: Need,
    /// Path and query of a GET.
    pub path: String,
    /// Besides those of every call.
    pub headers: Vec<(String, String)>,
}

impl LookUp {
    /// One without headers of its own.
    pub fn new(key: impl Into<String>, of: impl Into<String>, need: Need, path: impl Into<String>) -> LookUp {
        LookUp { key: key.into(), of: of.into(), need, path: path.into(), headers: Vec::new() }
    }
}

/// What an answer to a look-up means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The body is the answer.
    Found,
    /// Not known there yet, which is normal just after the event: ask again.
    NotYet,
    /// Their trouble: ask again.
    Retry,
    /// Too many calls: wait that long, or as the schedule says.
    Throttle(Option<Duration>),
    /// The token is not taken: renew it, else a person must act.
    Auth,
    /// There is no answer and will be none: [`Answered::Absent`].
    Gone,
}

/// The base URL of the API of a source. The error is a sentence for people.
pub fn base(kind: &Kind, setup: &Setup<'_>) -> Result<String, String> {
    let api = kind.api.as_ref().ok_or_else(|| format!("{} has no API to ask", kind.keys.name))?;
    match setup.text("api_base") {
        "" => (api.base)(setup),
        // Its key says "base_url", as that of providers does.
        own => check_base_url(own, false).map_err(|why| why.replace("base_url", "api_base")),
    }
}

/// The request of a look-up. The error is a sentence for people.
pub fn request(kind: &Kind, setup: &Setup<'_>, lookup: &LookUp, token: &Secret) -> Result<Request, String> {
    let url = format!("{}{}", base(kind, setup)?, lookup.path);
    let mut headers = kind.api.as_ref().map(|api| (api.headers)(setup, token)).unwrap_or_default();
    headers.push(("Accept".to_owned(), "application/json".to_owned()));
    headers.extend(lookup.headers.iter().cloned());
    Ok(Request { method: "GET", url, headers, body: Vec::new() })
}

/// What an answer means. `waited`: time since the raw event came; `now` is for waits that are given as
/// a date. A success that is not JSON is the answer of something in between.
pub fn classify(setup: &Setup<'_>, lookup: &LookUp, answer: &Answer, waited: Duration, now: UnixMs) -> Reply {
    let patience = match lookup.need {
        Need::Required => setup.duration("lookup_wait"),
        Need::Enriches => setup.duration("enrich_wait"),
    };
    match answer.status {
        200..=299 if serde_json::from_slice::<serde::de::IgnoredAny>(&answer.body).is_ok() => Reply::Found,
        404 if waited < patience => Reply::NotYet,
        400 | 404 | 405 | 410 | 422 => Reply::Gone,
        401..=403 => Reply::Auth,
        429 => Reply::Throttle(answer.header("retry-after").and_then(|value| retry_after::parse(value, now))),
        _ => Reply::Retry,
    }
}

/// A pair of tokens, as it is kept sealed. `Debug` shows none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// For calls.
    pub access: Secret,
    /// For the next renewal; empty where the vendor has none. Some work once only.
    pub refresh: Secret,
    /// When it was given.
    pub obtained_at: UnixMs,
    /// When `access` runs out.
    pub expires_at: Option<UnixMs>,
    /// When `refresh` runs out: from then on a person must authorise again.
    pub refresh_expires_at: Option<UnixMs>,
}

/// See [`Renewal::request`].
pub type RenewalRequest = fn(&Setup<'_>, Option<&Tokens>) -> Option<Result<Request, String>>;

impl Tokens {
    /// Whether the refresh token runs out within that time: a person should authorise again before.
    pub fn run_out_within(&self, time: Duration, now: UnixMs) -> bool {
        self.refresh_expires_at.is_some_and(|end| end <= now + time)
    }
}

/// How a vendor's tokens are renewed: one renewal at a time; the new pair is committed before its use.
pub struct Renewal {
    /// The request for a new token; `tokens` is what is kept so far. `None` where the config has nothing to
    /// renew with. The error is a sentence for people.
    pub request: RenewalRequest,
    /// Reads the answer. `before` keeps its refresh token where the answer brings none.
    pub read: fn(&Answer, Option<&Tokens>, UnixMs) -> Renewed,
    /// The share of a token's life after which it is renewed, in percent.
    pub renew_at: u32,
}

impl Renewal {
    /// Whether it is time. Without a known end a token is taken to last.
    pub fn is_due(&self, tokens: &Tokens, now: UnixMs) -> bool {
        let Some(end) = tokens.expires_at else { return tokens.access.is_empty() };
        let life = end.since(tokens.obtained_at);
        now >= tokens.obtained_at + life * self.renew_at / 100
    }
}

/// What came of a renewal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Renewed {
    /// The new pair.
    New(Tokens),
    /// Ask again with the same tokens: certainly nothing was renewed.
    Retry(Option<Duration>),
    /// A person must authorise again.
    Refused,
}

/// Reads the usual answer to a renewal. `read`: access, refresh, end of each; a missing refresh token
/// stays what it was. 400 and 401 mean that what was shown is not taken any more.
pub fn renewed(
    answer: &Answer,
    before: Option<&Tokens>,
    now: UnixMs,
    read: impl FnOnce(&serde_json::Value) -> (String, String, Option<UnixMs>, Option<UnixMs>),
) -> Renewed {
    match answer.status {
        200..=299 => {}
        400 | 401 | 403 => return Renewed::Refused,
        429 => return Renewed::Retry(answer.header("retry-after").and_then(|value| retry_after::parse(value, now))),
        _ => return Renewed::Retry(None),
    }
    let Ok(body) = serde_json::from_slice(&answer.body) else { return Renewed::Retry(None) };
    let (access, refresh, expires_at, refresh_expires_at) = read(&body);
    if access.is_empty() {
        return Renewed::Retry(None);
    }
    let kept = |before: Option<&Tokens>| before.map(|t| (t.refresh.clone(), t.refresh_expires_at)).unwrap_or_default();
    let (refresh, refresh_expires_at) = if refresh.is_empty() { kept(before) } else { (Secret::new(refresh), refresh_expires_at) };
    Renewed::New(Tokens { access: Secret::new(access), refresh, obtained_at: now, expires_at, refresh_expires_at })
}

/// Fields as `application/x-www-form-urlencoded`.
pub fn form(fields: &[(&str, &str)]) -> Vec<u8> {
    let escape = |text: &str| {
        let each = text.bytes().map(|b| match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => char::from(b).to_string(),
            _ => format!("%{b:02X}"),
        });
        each.collect::<String>()
    };
    fields.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect::<Vec<_>>().join("&").into_bytes()
}

/// Reading what changed since a cursor. The cursor is the vendor's own text or a time; it is kept only
/// after all that a page brought was committed, so a page may come twice.
pub struct Pull {
    /// What the first pull of an account asks from.
    pub begin: fn(&Setup<'_>, UnixMs) -> Vec<Cursor>,
    /// The request for the next page; the token is the current one. The error is a sentence for people.
    pub request: fn(&Setup<'_>, &Cursor, &Secret, UnixMs) -> Result<Request, String>,
    /// Reads a page. `asked`: when its request was made. The error is a sentence for people.
    pub read: fn(&Setup<'_>, &Cursor, &Answer, UnixMs) -> Result<Page, String>,
}

/// Where reading stands, for one account or place.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Cursor {
    /// Merchant, location, restaurant or shop; empty where the token says it.
    pub account: String,
    /// Everything that changed before this was read.
    pub since: i64,
    /// Upper end of the window being read; 0 between two windows.
    pub until: i64,
    /// The vendor's cursor or our page number within the window; empty at its start.
    pub page: String,
}

/// What a pull reads again each time, in milliseconds: what the vendor wrote late.
pub const OVERLAP: i64 = 5 * 60_000;

impl Cursor {
    /// The window being read, or the next one: at most `longest` ms of what came since.
    pub fn window(&self, now: UnixMs, longest: i64) -> Cursor {
        match self.until {
            0 => Cursor { until: now.0.min(self.since.saturating_add(longest)), ..self.clone() },
            _ => self.clone(),
        }
    }

    /// After the last page of a window: the next one begins a little before its end.
    pub fn closed(&self, now: UnixMs) -> Cursor {
        // A window that lies wholly in the past is not read twice.
        let since = if self.until.saturating_add(OVERLAP) < now.0 { self.until } else { self.until.saturating_sub(OVERLAP) };
        Cursor { account: self.account.clone(), since: since.max(self.since), ..Cursor::default() }
    }
}

/// One page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Raw events to be kept ([`Via::Pull`]), with their delivery ids.
    pub items: Vec<(String, Vec<u8>)>,
    /// To be kept once the items are.
    pub next: Cursor,
    /// There is more at once.
    pub more: bool,
}

// ---- keys that several types have ----

/// `api_base`
pub const API_BASE: Key = optional("api_base", Shape::Url, "Another address of its API, for regions and tests.");
/// `pull_every`
pub const PULL_EVERY: Key =
    default("pull_every", Shape::Duration, "\"60 s\"", "How often its API is asked for what changed. \"0 s\" leaves it to webhooks.");
/// `lookup_wait`
pub const LOOKUP_WAIT: Key =
    default("lookup_wait", Shape::Duration, "\"24 h\"", "How long a sale waits for what its receipt cannot do without.");
/// `enrich_wait`
pub const ENRICH_WAIT: Key =
    default("enrich_wait", Shape::Duration, "\"60 s\"", "How long a receipt waits for what only adds to it, such as the customer.");
/// `receipts`
pub const RECEIPTS: Key = default(
    "receipts",
    Shape::Word(&["always", "registered", "on_request", "never"]),
    "\"always\"",
    "When customers get a receipt by themselves.",
);
/// `test`
pub const TEST: Key = default("test", Shape::Bool, "false", "Its messages reach the test inbox only; test orders are taken.");

/// Settings with every default of the type filled in, for tools that are given a few keys only.
pub fn with_defaults(kind: &Kind, mut own: Settings) -> Settings {
    for key in kind.keys.keys {
        let Some(text) = key.default.filter(|_| !own.0.contains_key(key.name)) else { continue };
        let Ok(table) = format!("v = {text}").parse::<toml::Table>() else { continue };
        if let Some(setting) = table.get("v").and_then(|value| setting(&key.shape, value)) {
            own.0.insert(key.name.to_owned(), setting);
        }
    }
    own
}

/// The keys of one `[sources.NAME]` table as settings, for tools that are given such a table alone. Secrets
/// are literal text here. Errors name the key, never a value.
pub fn read_table(kind: &Kind, table: &toml::Table) -> Result<Settings, String> {
    let mut own = Settings::default();
    for (name, value) in table {
        let key = kind.keys.keys.iter().find(|key| key.name == name);
        let key = key.ok_or_else(|| format!("{name} is not a key of type {}", kind.keys.name))?;
        let value = setting(&key.shape, value).ok_or_else(|| format!("the value of {name} is not of the right kind"))?;
        own.0.insert(name.clone(), value);
    }
    Ok(own)
}

fn setting(shape: &Shape, value: &toml::Value) -> Option<Setting> {
    Some(match (shape, value) {
        (Shape::Duration, toml::Value::String(text)) => Setting::Duration(crate::config::units::parse_duration(text)?),
        (Shape::Secret, toml::Value::String(text)) => Setting::Secret(Secret::new(text.as_str())),
        (_, toml::Value::String(text)) => Setting::Text(text.clone()),
        (_, toml::Value::Boolean(yes)) => Setting::Bool(*yes),
        (_, toml::Value::Integer(n)) => Setting::Int(*n),
        (Shape::List(inner), toml::Value::Array(all)) => Setting::List(all.iter().map(|v| setting(inner, v)).collect::<Option<_>>()?),
        _ => return None,
    })
}
