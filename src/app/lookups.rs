//! Look-ups: what a webhook leaves out is asked of its vendor, one after the other and no faster than it likes.
//! Answers are kept before anything is made of them.

use super::access::{Access, Missing};
use crate::domain::time::UnixMs;
use crate::sources::{LookUp, Need, Reply, classify, request};
use crate::store::StoreError;
use crate::store::inbox::Body;
use crate::store::lookups::Lookup;
use crate::sys::supervisor::Stop;
use std::sync::Arc;
use std::time::Duration;

/// Pauses between the tries of one look-up, in seconds; the last goes on.
const SCHEDULE: &[u64] = &[1, 2, 5, 15, 60, 120, 300];

/// The longest sleep without a wake-up.
const NAP: Duration = Duration::from_secs(30);

/// How long nothing is asked, and whether something new may end it.
type Pause = (Duration, bool);

/// How a try ended, for the next one.
enum After {
    /// The next may follow at the usual pace.
    Go,
    /// Nothing is to be asked for so long.
    Wait(Duration),
}

/// Makes the look-ups of one source until it is told to stop.
pub async fn serve(access: Arc<Access>, mut stop: Stop) -> Result<(), String> {
    let Some(doing) = access.web.inbound.of(&access.way.name).cloned() else { return Ok(()) };
    loop {
        let (pause, idle) = match step(&access, &mut stop).await {
            Ok(pause) => pause,
            Err(StoreError::Closed) => return Ok(()),
            Err(error) => {
                tracing::warn!(source = access.way.name, %error, "look-ups have to wait for the store");
                (Duration::from_secs(5), false)
            }
        };
        // A wake-up means something new is due: it does not shorten a pause that a vendor asked for.
        let hurry = async {
            match idle {
                true => doing.ask.notified().await,
                false => std::future::pending().await,
            }
        };
        tokio::select! {
            () = hurry => {}
            () = tokio::time::sleep(pause) => {}
            () = stop.asked() => return Ok(()),
        }
    }
}

/// Makes what is due now, and gives how long to wait.
async fn step(access: &Access, stop: &mut Stop) -> Result<Pause, StoreError> {
    let (web, name) = (&access.web, access.way.name.clone());
    let now = web.clock.now().wall;
    let due = web.readers.read(move |read| read.lookups_due(&name, now, 20)).await?;
    if due.is_empty() {
        let name = access.way.name.clone();
        let (next, _) = web.readers.read(move |read| read.lookups_open(&name)).await?;
        return Ok((next.map_or(NAP, |at| at.since(now).clamp(Duration::from_millis(20), NAP)), true));
    }
    if !access.reachable() {
        return Ok((Duration::from_secs(2), false));
    }
    for lookup in due {
        if stop.is_asked() {
            return Ok((NAP, false));
        }
        if let After::Wait(pause) = one(access, &lookup).await? {
            return Ok((pause, false));
        }
        tokio::time::sleep(access.pace()).await;
    }
    Ok((Duration::ZERO, false))
}

async fn one(access: &Access, lookup: &Lookup) -> Result<After, StoreError> {
    let mut stale = None;
    for _ in 0..2 {
        let token = match access.token(stale.as_ref()).await {
            Ok(token) => token,
            Err(missing) => {
                again(access, lookup, None, true).await?;
                return Ok(After::Wait(Duration::from_secs(if matches!(missing, Missing::Person) { 60 } else { 5 })));
            }
        };
        let (setup, asked) = (access.way.setup(), question(lookup));
        let request = match request(access.way.kind, &setup, &asked, &token) {
            Ok(request) => request,
            Err(why) => {
                tracing::error!(source = access.way.name, why, "a look-up cannot be made");
                again(access, lookup, None, true).await?;
                return Ok(After::Wait(Duration::from_secs(60)));
            }
        };
        let answer = match access.call(&request).await {
            Ok(answer) => answer,
            Err(why) => {
                tracing::warn!(source = access.way.name, ?why, "a look-up got no answer");
                again(access, lookup, None, true).await?;
                return Ok(After::Wait(pause_of(lookup.tries)));
            }
        };
        let now = access.web.clock.now().wall;
        match classify(&setup, &asked, &answer, now.since(lookup.asked_at), now) {
            Reply::Found => {
                if stale.is_some() || lookup.tries > 0 {
                    access.good().await;
                }
                // Masked as everything that is kept.
                let body = Body::pack(&crate::sources::mask::mask(&answer.body, false).0);
                return answered(access, lookup, Some(body)).await;
            }
            Reply::Gone => return answered(access, lookup, None).await,
            Reply::NotYet => {
                again(access, lookup, None, true).await?;
                return Ok(After::Go);
            }
            Reply::Retry => {
                tracing::warn!(source = access.way.name, status = answer.status, "a look-up failed");
                again(access, lookup, None, true).await?;
                return Ok(After::Go);
            }
            Reply::Throttle(wait) => {
                let pause = wait.unwrap_or_else(|| pause_of(lookup.tries.max(2)));
                again(access, lookup, Some(pause), false).await?;
                return Ok(After::Wait(pause));
            }
            Reply::Auth => stale = Some(token),
        }
    }
    again(access, lookup, None, true).await?;
    Ok(After::Wait(Duration::from_secs(60)))
}

fn question(lookup: &Lookup) -> LookUp {
    let need = if lookup.need == Need::Enriches.word() { Need::Enriches } else { Need::Required };
    let headers = serde_json::from_str(&lookup.headers).unwrap_or_default();
    LookUp { headers, ..LookUp::new(lookup.key.clone(), "", need, lookup.path.clone()) }
}

fn pause_of(tries: u32) -> Duration {
    let n = usize::try_from(tries).unwrap_or(usize::MAX).min(SCHEDULE.len() - 1);
    Duration::from_secs(SCHEDULE.get(n).copied().unwrap_or(300))
}

async fn answered(access: &Access, lookup: &Lookup, body: Option<Body>) -> Result<After, StoreError> {
    let (row, now) = (lookup.clone(), access.web.clock.now().wall);
    access.web.writer.run(move |tx| tx.answer_lookup(&row, body.as_ref(), now)).await?;
    access.web.inbound.decode.notify_one();
    Ok(After::Go)
}

/// Asks again later, or not at all where it was waited for long enough.
async fn again(access: &Access, lookup: &Lookup, wait: Option<Duration>, counted: bool) -> Result<(), StoreError> {
    let now = access.web.clock.now();
    let given_up = now.good && now.wall.since(lookup.asked_at) >= access.way.setup().duration("lookup_wait");
    if given_up && counted {
        tracing::warn!(source = access.way.name, "a look-up was given up: the receipt does without");
        return answered(access, lookup, None).await.map(|_| ());
    }
    let (id, due): (i64, UnixMs) = (lookup.id, now.wall + wait.unwrap_or_else(|| pause_of(lookup.tries)));
    access.web.writer.run(move |tx| tx.retry_lookup(id, due, counted)).await
}
