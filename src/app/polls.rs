//! Polls: a box that providers cannot call asks them what became of messages. What they list is acted on as
//! what they would have told. Also where they do call, as calls are lost.

use crate::domain::outcome::{Class, Outcome};
use crate::domain::time::UnixMs;
use crate::pipeline::callbacks::{self, Call, Told};
use crate::store::StoreError;
use crate::sys::clock::Mono;
use crate::sys::supervisor::Stop;
use crate::web::{Web, callbacks as calls};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How often each account is asked.
const EVERY: Duration = Duration::from_secs(600);
/// One that may not ask is not asked again for so long.
const REFUSED: Duration = Duration::from_secs(6 * 3600);
/// Lists are late: so much is asked for again, and repeats are dropped.
const OVERLAP: Duration = Duration::from_secs(3600);
/// How far back is asked at most, and at the first time.
const BACK: (Duration, Duration) = (Duration::from_secs(7 * 86_400), Duration::from_secs(86_400));
/// Events in one transaction.
const AT_ONCE: usize = 200;

/// Asks each account in its turn until it is told to stop.
pub(super) async fn serve(web: Arc<Web>, mut stop: Stop) -> Result<(), String> {
    let mut next: BTreeMap<String, Mono> = BTreeMap::new();
    loop {
        let (registry, now) = (web.registry(), web.clock.now());
        let online = web.dispatch.view().online;
        let due = |name: &str| next.get(name).is_none_or(|at| *at <= now.mono);
        let accounts = registry.all().filter(|account| account.polls() && (online || account.on_loopback()) && due(&account.name));
        let names: Vec<String> = accounts.filter(|_| now.good).map(|account| account.name.clone()).collect();
        for name in names {
            let wait = match poll(&web, &name).await {
                Ok(wait) => wait,
                Err(StoreError::Closed) => return Ok(()),
                Err(error) => return Err(error.to_string()),
            };
            next.insert(name, web.clock.now().mono + wait);
            if stop.is_asked() {
                return Ok(());
            }
        }
        tokio::select! { () = tokio::time::sleep(Duration::from_secs(2)) => {}, () = stop.asked() => return Ok(()) }
    }
}

/// Asks one account, and gives how long to leave it alone.
async fn poll(web: &Arc<Web>, name: &str) -> Result<Duration, StoreError> {
    let (began, fact) = (web.clock.now().wall, format!("polled {name}"));
    let known = fact.clone();
    let last = web.readers.read(move |read| read.fact(&known)).await?.and_then(|ms| ms.parse().ok()).map(UnixMs);
    let since = last.map_or(began - BACK.1, |last| (last - OVERLAP).max(began - BACK.0)).min(began);
    let (events, fault) = web.registry().poll(name, since, began).await;
    let mut told: Vec<Told> = events.into_iter().map(calls::told).collect();
    while !told.is_empty() {
        let rest = told.split_off(told.len().min(AT_ONCE));
        let part = std::mem::replace(&mut told, rest);
        let (rules, now, provider) = (web.pipeline(), web.clock.now(), name.to_owned());
        let take = move |tx: crate::store::Tx<'_>| {
            let call = Call { provider: &provider, token: "", raw: None, told: &part };
            callbacks::take(tx, &rules.at(now), &call)
        };
        calls::count(web, &web.writer.run(take).await?);
    }
    let Some(fault) = fault else {
        web.writer.run(move |tx| tx.put_fact(&fact, &began.0.to_string())).await?;
        return Ok(EVERY);
    };
    tracing::warn!(provider = name, class = %fault.class, detail = fault.detail, "what became of messages could not be asked for");
    Ok(after(&fault))
}

fn after(fault: &Outcome) -> Duration {
    match fault.class {
        Class::Auth | Class::Permanent => REFUSED,
        Class::Offline => Duration::from_secs(30),
        _ => fault.retry_after.unwrap_or(EVERY),
    }
}
