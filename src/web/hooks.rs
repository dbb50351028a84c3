//! `POST /hooks/{source}`: what a POS says. Size, then authenticity, then the commit, then the answer; nothing
//! is asked, rendered or sent before it. What a sender did is never answered with a fault of ours.

use super::answer::{Answer, Problem, read_capped};
use super::{Shared, Web};
use crate::domain::fault::Fault;
use crate::domain::ids::{dedup_key, hash16};
use crate::domain::text::one_line;
use crate::domain::time::UnixMs;
use crate::observe::metrics::{Counters, SourceCounters};
use crate::pipeline::inbound::{self, Arrived, Kept};
use crate::pipeline::intake::{self, Origin};
use crate::sources::relay::{self, Envelope};
use crate::sources::ways::{Way, Ways};
use crate::sources::{Answers, Decoded, Given, Moment, Raw, Verdict, Via, mask, sign};
use crate::store::StoreError;
use crate::store::inbox::Body as Packed;
use crate::store::lookups::{FILE, HOOK, is_arrival};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// The least limit of a body: some vendors send more than half a MiB.
const LEAST_LIMIT: usize = 2 << 20;

/// Bodies above this are read on the heavy thread.
const LARGE: usize = 64 << 10;

/// Refusals in a row after which people hear of it: a wrong secret looks like silence.
const IN_A_ROW: u32 = 5;

/// The alert of a source whose requests are not authentic.
pub const AUTH: &str = "source_auth";

/// What the ways in share while they run: who is to be woken, and what people should know of each.
#[derive(Default)]
pub struct Inbound {
    /// Something is to be decoded.
    pub decode: Notify,
    sources: BTreeMap<String, Arc<Doing>>,
}

/// What is known of one source in this run.
#[derive(Default)]
pub struct Doing {
    /// A look-up is to be made.
    pub ask: Notify,
    /// It is to be pulled at once.
    pub pull: Notify,
    /// Requests by result.
    pub counters: SourceCounters,
    refused_in_a_row: AtomicU32,
    handshake: Mutex<Option<(String, UnixMs)>>,
}

impl Inbound {
    /// For the sources of a config, by their names.
    pub fn new<'a>(names: impl Iterator<Item = &'a String>) -> Inbound {
        Inbound { decode: Notify::new(), sources: names.map(|name| (name.clone(), Arc::default())).collect() }
    }

    /// Of one source.
    pub fn of(&self, name: &str) -> Option<&Arc<Doing>> {
        self.sources.get(name)
    }

    /// The counters of all.
    pub fn counters(&self) -> impl Iterator<Item = (&str, &SourceCounters)> {
        self.sources.iter().map(|(name, doing)| (name.as_str(), &doing.counters))
    }

    /// What a person should see of a source: its requests, and the code that its vendor wants back.
    pub fn shown(&self, name: &str, kind: &str) -> Value {
        let Some(doing) = self.of(name) else { return json!({"name": name, "type": kind}) };
        let code = doing.handshake.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let refused = doing.refused_in_a_row.load(Ordering::Relaxed);
        json!({"name": name, "type": kind, "refused_in_a_row": refused, "accepted": doing.counters.accepted.load(Ordering::Relaxed),
            "verification_code": code.as_ref().map(|(code, _)| code), "verification_at": code.map(|(_, at)| at.rfc3339())})
    }
}

/// `POST /hooks/{source}`
pub async fn post(State(web): State<Shared>, Path(name): Path<String>, uri: Uri, headers: HeaderMap, body: Body) -> Answer<StatusCode> {
    let Some(doing) = web.inbound.of(&name).cloned() else { return Err(Problem::not_found("source")) };
    let answer = take(&web, &name, &doing, &uri, &headers, body).await;
    let c = &doing.counters;
    match &answer {
        Ok(Done::Stored) => Counters::count(&c.accepted),
        Ok(Done::Repeat) => Counters::count(&c.duplicate),
        Ok(Done::Nothing) => {}
        Err(problem) => Counters::count(match problem.status {
            StatusCode::UNAUTHORIZED => &c.refused,
            StatusCode::CONFLICT => &c.conflict,
            StatusCode::TOO_MANY_REQUESTS => &c.limited,
            StatusCode::SERVICE_UNAVAILABLE => &c.unavailable,
            _ => &c.unusable,
        }),
    }
    answer.map(|_| StatusCode::OK)
}

enum Done {
    Stored,
    Repeat,
    Nothing,
}

async fn take(web: &Shared, name: &str, doing: &Doing, uri: &Uri, headers: &HeaderMap, body: Body) -> Answer<Done> {
    let now = web.clock.now();
    let limit = web.config().http.body_limit.max(LEAST_LIMIT);
    let bytes = read_capped(headers, body, limit).await?;
    let headers = as_text(headers);
    let (given_bytes, url, ways) = (bytes, uri.to_string(), web.ways());
    let moment = Moment { now: now.wall, good: now.good };
    let relayed = web.config().sources.get(name).is_some_and(|source| source.kind == relay::KEYS.name);
    let called = name.to_owned();
    let large = given_bytes.len() > LARGE;
    let judge = move || match relayed {
        true => open(&ways, &given_bytes),
        false => ways.get(&called).map(|way| judge(way, &headers, &url, &given_bytes, moment)),
    };
    let judged = if large { web.heavy.run(judge).await.ok_or_else(|| refused_as("unreadable"))? } else { judge() };
    let judged = judged.ok_or_else(|| Problem::not_found("source"))?;
    answer(web, name, doing, judged).await
}

/// Has a raw event of a source decoded anew, unless it was decided; false where it is none of a source's. Waits
/// a little for what comes of it.
pub async fn again(web: &Web, seq: i64) -> Result<bool, StoreError> {
    let begun = web.writer.run(move |tx| {
        let open = |state: &str| matches!(state, "new" | "waiting" | "quarantined");
        let Some(event) = tx.read().raw_event(seq)?.filter(|e| is_arrival(&e.kind) && open(&e.state)) else { return Ok(false) };
        tx.end_raw_event(event.seq, "new", None)?;
        tx.arrival_due(event.seq, Some(UnixMs::default())).map(|()| true)
    });
    if !begun.await? {
        return Ok(false);
    }
    web.inbound.decode.notify_one();
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if web.readers.read(move |read| read.raw_event(seq)).await?.is_none_or(|e| e.state != "new") {
            break;
        }
    }
    Ok(true)
}

/// Takes an envelope of the relay, by whichever way it came.
pub async fn relayed(web: &Shared, name: &str, bytes: Vec<u8>) -> Answer<()> {
    let (Some(doing), ways) = (web.inbound.of(name).cloned(), web.ways()) else { return Err(Problem::not_found("source")) };
    let judged = web.heavy.run(move || open(&ways, &bytes)).await.flatten().ok_or_else(|| refused_as("unreadable"))?;
    answer(web, name, &doing, judged).await.map(|_| ())
}

/// Takes a file or a mail; an error says what is wrong with it, or that it cannot be stored now. `Some`: sales in
/// it that were not taken.
pub async fn filed(web: &Shared, way: &Arc<Way>, headers: Vec<(String, String)>, bytes: Vec<u8>) -> Answer<Vec<(String, Vec<Fault>)>> {
    let (of, now) = (way.clone(), web.clock.now().wall);
    let judge = move || keepable(&of, &headers, "", &bytes, Moment { now, good: true });
    let mut judged = web.heavy.run(judge).await.ok_or_else(|| refused_as("unreadable"))?;
    let decoded = judged.decoded.take();
    let rejected = match &decoded {
        Some(Decoded::Unusable(faults)) => {
            return Err(Problem::invalid(StatusCode::UNPROCESSABLE_ENTITY, "invalid", faults.clone()));
        }
        Some(Decoded::Told(told)) => told.rejected.clone(),
        _ => Vec::new(),
    };
    match store(web, judged.arrived(FILE), decoded, None).await? {
        Kept::New(_) | Kept::Repeat => Ok(rejected),
        Kept::Conflict => Err(Problem::new(StatusCode::CONFLICT, "transaction_id_taken", "another sale has the id of one in it")),
    }
}

/// The `lan` source that signed a posted sale or event.
pub fn signer(web: &Web, headers: &HeaderMap, bytes: &[u8]) -> Answer<Origin> {
    let headers: Vec<(String, String)> = as_text(headers);
    let (given, now) = (Given { headers: &headers, url: "", body: bytes }, web.clock.now());
    let moment = Moment { now: now.wall, good: now.good };
    let mut why = "bad_signature";
    for way in web.ways().all().filter(|way| way.kind.keys.name == "lan") {
        let setup = way.setup();
        match sign::standard_webhooks(&given, &setup.secrets("signing_secrets"), moment) {
            Verdict::Accepted => return Ok(intake::origin_of(&web.config(), &way.name)),
            Verdict::ClockUnknown => return Err(clock_unknown()),
            verdict => why = verdict.word(),
        }
    }
    Err(Problem::new(StatusCode::UNAUTHORIZED, why, "the request is not authentic"))
}

fn as_text(headers: &HeaderMap) -> Vec<(String, String)> {
    headers.iter().map(|(n, v)| (n.to_string(), String::from_utf8_lossy(v.as_bytes()).into_owned())).collect()
}

fn clock_unknown() -> Problem {
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "clock_unknown", "this box does not know the time yet; try again");
    Problem { retry_after: Some(60), ..problem }
}

/// What was made of a request.
struct Judged {
    verdict: Verdict,
    /// For whom it is; `None` where that cannot be told.
    way: Option<Arc<Way>>,
    key: [u8; 16],
    content: [u8; 16],
    body: Packed,
    headers: String,
    masked: u32,
    /// Where its type decodes before the answer.
    decoded: Option<Decoded>,
    /// The body was left out on its way: ask for it.
    pull: bool,
}

/// An envelope of the relay: the vendor's own proof counts, at the moment when the envelope was closed.
fn open(ways: &Ways, bytes: &[u8]) -> Option<Judged> {
    let nothing = |verdict| Judged { verdict, ..empty() };
    let Ok(envelope) = Envelope::open(bytes) else { return Some(nothing(Verdict::Unusable("not_an_envelope"))) };
    let Some(way) = ways.addressee(&envelope) else { return Some(nothing(Verdict::Unusable("no_such_source"))) };
    match envelope.verify(way.kind, &way.setup()) {
        Verdict::Accepted => {
            let moment = Moment { now: envelope.received_at, good: true };
            let body = envelope.body.clone().unwrap_or_default();
            Some(keepable(way, &envelope.headers, &envelope.url, &body, moment))
        }
        // Nothing is believed of such an envelope: asking the vendor's API costs a question at most.
        Verdict::Unusable("body_omitted") => Some(Judged { way: Some(way.clone()), pull: true, ..nothing(Verdict::Accepted) }),
        verdict => Some(Judged { way: Some(way.clone()), ..nothing(verdict) }),
    }
}

fn judge(way: &Arc<Way>, headers: &[(String, String)], url: &str, bytes: &[u8], moment: Moment) -> Judged {
    let given = Given { headers, url, body: bytes };
    match (way.kind.verify)(&way.setup(), &given, moment) {
        Verdict::Accepted => keepable(way, headers, url, bytes, moment),
        verdict => Judged { verdict, way: Some(way.clone()), ..empty() },
    }
}

fn empty() -> Judged {
    Judged {
        verdict: Verdict::Accepted,
        way: None,
        key: [0; 16],
        content: [0; 16],
        body: Packed::pack(b""),
        headers: String::new(),
        masked: 0,
        decoded: None,
        pull: false,
    }
}

fn keepable(way: &Arc<Way>, headers: &[(String, String)], url: &str, bytes: &[u8], moment: Moment) -> Judged {
    let given = Given { headers, url, body: bytes };
    let id = (way.kind.delivery_id)(&way.setup(), &given);
    let (masked, hits) = mask::mask(bytes, false);
    let kept: Vec<(&str, &str)> = headers.iter().filter(|(n, _)| tells(n)).map(|(n, v)| (n.as_str(), v.as_str())).collect();
    // A type without an API asks nothing: it says at once whether it can use what came.
    let decoded = way.kind.api.is_none().then(|| {
        let raw = Raw { via: Via::Hook, headers, body: &masked, at: moment.now };
        (way.kind.decode)(&way.setup(), &raw, &Answers::new())
    });
    Judged {
        verdict: Verdict::Accepted,
        way: Some(way.clone()),
        key: match id {
            Some(id) => dedup_key("source", &[&way.name, &id]),
            None => dedup_key("source", &[&way.name, "body", &crate::domain::ids::hex(&hash16(bytes))]),
        },
        content: content(&masked),
        body: Packed::pack(&masked),
        headers: if kept.is_empty() { String::new() } else { json!(kept).to_string() },
        masked: hits.sum(),
        decoded,
        pull: false,
    }
}

/// Headers that say what a body is. Keys and signatures are not kept.
fn tells(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let vendor = ["x-shopify-", "shopify-", "toast-", "square-"].iter().any(|start| name.starts_with(start));
    let proof = ["hmac", "signature", "token", "auth"].iter().any(|word| name.contains(word));
    (vendor && !proof) || matches!(name.as_str(), "content-type" | "file-name" | "mail-from" | "rcpt-to")
}

/// Hash of what a body says: equal JSON values are equal, and so is what a vendor counts beside them.
fn content(bytes: &[u8]) -> [u8; 16] {
    match serde_json::from_slice::<Value>(bytes) {
        Ok(mut value) => {
            if let Some(map) = value.as_object_mut() {
                map.remove("pending_webhooks");
            }
            hash16(value.to_string().as_bytes())
        }
        Err(_) => hash16(bytes),
    }
}

impl Judged {
    fn arrived(self, kind: &'static str) -> Arrived {
        let source = self.way.as_ref().map(|way| way.name.clone()).unwrap_or_default();
        Arrived { kind, source, key: self.key, content: self.content, body: self.body, headers: self.headers }
    }
}

async fn answer(web: &Shared, name: &str, doing: &Doing, mut judged: Judged) -> Answer<Done> {
    let now = web.clock.now();
    match judged.verdict {
        Verdict::Accepted => {}
        Verdict::Handshake(code) => {
            limited(web, name, false)?;
            let code = one_line(&code, 100);
            tracing::info!(source = name, code, "the vendor asks whether this address is ours: paste the code into its dashboard");
            *doing.handshake.lock().unwrap_or_else(PoisonError::into_inner) = Some((code, now.wall));
            return Ok(Done::Nothing);
        }
        Verdict::Refused(why) => {
            limited(web, name, false)?;
            refused(web, name, doing).await;
            return Err(Problem::new(StatusCode::UNAUTHORIZED, why, "the request is not authentic"));
        }
        Verdict::Unusable(why) => {
            limited(web, name, false)?;
            return Err(refused_as(why));
        }
        Verdict::ClockUnknown => return Err(clock_unknown()),
    }
    limited(web, name, true)?;
    if judged.pull {
        if let Some(other) = judged.way.as_ref().and_then(|way| web.inbound.of(&way.name)) {
            other.pull.notify_one();
        }
        return Ok(Done::Nothing);
    }
    if judged.masked > 0 {
        doing.counters.masked.fetch_add(u64::from(judged.masked), Ordering::Relaxed);
    }
    let decoded = judged.decoded.take();
    if let Some(Decoded::Unusable(faults)) = decoded {
        return Err(Problem::invalid(StatusCode::UNPROCESSABLE_ENTITY, "invalid", faults));
    }
    let mended = doing.refused_in_a_row.swap(0, Ordering::Relaxed) >= IN_A_ROW || doing.counters.accepted.load(Ordering::Relaxed) == 0;
    let resolve = mended.then(|| name.to_owned());
    match store(web, judged.arrived(HOOK), decoded, resolve).await? {
        Kept::New(_) => Ok(Done::Stored),
        Kept::Repeat => Ok(Done::Repeat),
        Kept::Conflict => Err(Problem::new(StatusCode::CONFLICT, "event_id_taken", "another content has this id")),
    }
}

/// Keeps what came, in one transaction with its decision where that is known. `resolve`: a good one came by
/// this source again.
pub async fn store(web: &Web, new: Arrived, decoded: Option<Decoded>, resolve: Option<String>) -> Result<Kept, StoreError> {
    let (rules, now) = (web.pipeline(), web.clock.now());
    let new = Arc::new(new);
    let (first, second, again, over) = (new.clone(), new, rules.clone(), resolve.clone());
    let resolved = move |tx: crate::store::Tx<'_>| match over {
        Some(name) => tx.resolve(AUTH, &name, now.wall).map(|_| ()),
        None => Ok(()),
    };
    let kept = match decoded {
        Some(decoded) => {
            let whole = move |tx: crate::store::Tx<'_>| {
                let (cx, origin) = (rules.at(now), intake::origin_of(&rules.config, &first.source));
                let kept = inbound::keep_sales(tx, &cx, &origin, &first, &decoded)?;
                resolved(tx).map(|()| kept)
            };
            match web.writer.run(whole).await {
                Err(StoreError::Sql(why)) => {
                    tracing::error!(why, "deciding failed; what came is kept and decided again");
                    web.writer.run(move |tx| inbound::keep(tx, &again.at(now), &second)).await?
                }
                other => other?,
            }
        }
        None => {
            let keep = move |tx: crate::store::Tx<'_>| {
                let kept = inbound::keep(tx, &rules.at(now), &first)?;
                resolved(tx).map(|()| kept)
            };
            web.writer.run(keep).await?
        }
    };
    if matches!(kept, Kept::New(_)) {
        web.inbound.decode.notify_one();
        web.dispatch.wake();
    }
    Ok(kept)
}

/// Good requests and others count apart: nobody can use up a source's allowance from outside.
fn limited(web: &Web, name: &str, good: bool) -> Answer<()> {
    web.keys().take(&format!("hooks/{name}/{good}"), web.clock.now().mono)
}

/// One more that is not authentic; people hear of it when there are several in a row.
async fn refused(web: &Web, name: &str, doing: &Doing) {
    if doing.refused_in_a_row.fetch_add(1, Ordering::Relaxed) + 1 != IN_A_ROW {
        return;
    }
    tracing::warn!(source = name, "requests in a row are not authentic: is its key right?");
    let (now, name) = (web.clock.now().wall, name.to_owned());
    if let Err(error) = web.writer.run(move |tx| tx.raise(AUTH, &name, now)).await {
        tracing::error!(%error, "an alert could not be kept");
    }
}

fn refused_as(why: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, why, "the request is authentic, but nothing can be made of it")
}
