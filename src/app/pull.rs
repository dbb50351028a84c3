//! Pulling: what changed at the vendor is read since a cursor, so that a box that nobody can reach works, and
//! every lost webhook is repaired. The cursor moves with what it brought, in one transaction.

use super::access::Access;
use crate::domain::ids::{dedup_key, hash16};
use crate::pipeline::inbound::{self, Arrived, Kept};
use crate::sources::{Cursor, Page, Pull, mask};
use crate::store::StoreError;
use crate::store::inbox::Body;
use crate::store::lookups::PULL;
use crate::sys::supervisor::Stop;
use std::sync::Arc;
use std::time::Duration;

/// The alert of a source that cannot be read.
const ALERT: &str = "source_pull";

/// Failures in a row after which people hear of it.
const IN_A_ROW: u32 = 10;

/// The least pause between two pages.
const POLITE: Duration = Duration::from_millis(100);

/// The longest pause after failures.
const LONGEST: Duration = Duration::from_secs(300);

/// Why a page was not read.
enum Failed {
    Store(StoreError),
    Vendor(String),
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Failed {
        Failed::Store(error)
    }
}

/// Reads one source until it is told to stop.
pub async fn serve(access: Arc<Access>, mut stop: Stop) -> Result<(), String> {
    let every = access.way.setup().duration("pull_every");
    let (Some(pull), Some(doing)) = (access.api().and_then(|api| api.pull.as_ref()), access.web.inbound.of(&access.way.name).cloned())
    else {
        return Ok(());
    };
    let mut failures = 0;
    let mut first = true;
    let mut asked = false;
    loop {
        let on = !every.is_zero() || asked;
        let pause = match on && access.reachable() {
            false => Duration::from_secs(2).max(if every.is_zero() { LONGEST } else { Duration::ZERO }),
            true => match round(&access, pull, &mut stop).await {
                Ok(()) => {
                    if failures > 0 || first {
                        told(&access, failures, false).await;
                    }
                    (failures, first) = (0, false);
                    if every.is_zero() { LONGEST } else { every }
                }
                Err(Failed::Store(StoreError::Closed)) => return Ok(()),
                Err(Failed::Store(error)) => {
                    tracing::warn!(source = access.way.name, %error, "pulling has to wait for the store");
                    Duration::from_secs(5)
                }
                Err(Failed::Vendor(why)) => {
                    failures += 1;
                    tracing::warn!(source = access.way.name, why, "what changed could not be read");
                    told(&access, failures, true).await;
                    (Duration::from_secs(1) * 2u32.saturating_pow(failures.min(8))).min(LONGEST)
                }
            },
        };
        asked = tokio::select! {
            () = tokio::time::sleep(pause) => false,
            () = doing.pull.notified() => true,
            () = stop.asked() => return Ok(()),
        };
    }
}

/// Reads every account of the source up to now.
async fn round(access: &Access, pull: &Pull, stop: &mut Stop) -> Result<(), Failed> {
    for first in (pull.begin)(&access.way.setup(), access.web.clock.now().wall) {
        let fact = format!("pull:{}:{}", access.way.name, first.account);
        let kept = access.web.readers.read({
            let fact = fact.clone();
            move |read| read.fact(&fact)
        });
        let mut cursor: Cursor = match kept.await?.and_then(|text| serde_json::from_str(&text).ok()) {
            Some(kept) => kept,
            None => first,
        };
        loop {
            let page = page(access, pull, &cursor).await?;
            let more = page.more && page.next != cursor;
            cursor = page.next.clone();
            keep(access, page, fact.clone()).await?;
            if !more {
                break;
            }
            tokio::select! { () = tokio::time::sleep(access.pace().max(POLITE)) => {}, () = stop.asked() => return Ok(()) }
        }
    }
    Ok(())
}

async fn page(access: &Access, pull: &Pull, cursor: &Cursor) -> Result<Page, Failed> {
    let mut stale = None;
    for _ in 0..2 {
        let asked = access.web.clock.now().wall;
        let token = access.token(stale.as_ref()).await.map_err(|_| Failed::Vendor("there is no token".into()))?;
        let setup = access.way.setup();
        let request = (pull.request)(&setup, cursor, &token, asked).map_err(Failed::Vendor)?;
        let answer = access.call(&request).await.map_err(|why| Failed::Vendor(format!("no answer: {why:?}")))?;
        match answer.status {
            401 | 403 => stale = Some(token),
            200..=299 => return (pull.read)(&setup, cursor, &answer, asked).map_err(Failed::Vendor),
            status => return Err(Failed::Vendor(format!("status {status}"))),
        }
    }
    Err(Failed::Vendor("the token is not taken".into()))
}

/// Keeps what a page brought, with the cursor behind it.
async fn keep(access: &Access, page: Page, fact: String) -> Result<(), StoreError> {
    let name = access.way.name.clone();
    let made = access.web.heavy.run(move || {
        let each = page.items.iter().map(|(id, bytes)| {
            let masked = mask::mask(bytes, false).0;
            let key = dedup_key("source", &[&name, id]);
            Arrived { kind: PULL, source: name.clone(), key, content: hash16(&masked), body: Body::pack(&masked), headers: String::new() }
        });
        (each.collect::<Vec<_>>(), serde_json::to_string(&page.next).unwrap_or_default())
    });
    let (items, cursor) = made.await.ok_or_else(|| StoreError::Sql("a page could not be read".into()))?;
    let (rules, now) = (access.web.pipeline(), access.web.clock.now());
    let new = access.web.writer.run(move |tx| {
        let mut new = false;
        for item in &items {
            new |= matches!(inbound::keep(tx, &rules.at(now), item)?, Kept::New(_));
        }
        tx.put_fact(&fact, &cursor).map(|()| new)
    });
    if new.await? {
        access.web.inbound.decode.notify_one();
    }
    Ok(())
}

/// Raises or ends the alert, at the failure or success that makes the difference.
async fn told(access: &Access, failures: u32, failed: bool) {
    let (name, now) = (access.way.name.clone(), access.web.clock.now().wall);
    let told = match failed {
        true if failures == IN_A_ROW => access.web.writer.run(move |tx| tx.raise(ALERT, &name, now)).await,
        false => access.web.writer.run(move |tx| tx.resolve(ALERT, &name, now)).await,
        _ => return,
    };
    if let Err(error) = told {
        tracing::warn!(%error, "an alert could not be kept");
    }
}
