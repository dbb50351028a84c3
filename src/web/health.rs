//! How the agent is: for people's status lines, for what watches the process, for Prometheus.

use super::answer::{Answer, Problem};
use super::auth::Who;
use super::{Shared, Web};
use crate::observe::metrics::{self, Scrape};
use crate::sys::disk;
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// `GET /v1/status`
pub async fn status(State(web): State<Shared>, who: Answer<Who>) -> Answer<Json<Value>> {
    who?.reads()?;
    let now = web.clock.now();
    let (counts, oldest) = figures(&web).await?;
    let (view, reloaded) = (web.dispatch.view(), web.reloaded());
    let providers: Vec<Value> = view
        .lanes
        .iter()
        .filter_map(|(name, word)| web.config().providers.get(name).map(|p| json!({"name": name, "type": p.kind, "state": word})))
        .collect();
    let config = web.config();
    let tills = config.tills.keys().map(|name| json!({"name": name, "type": "till"}));
    let sources: Vec<Value> = tills.chain(config.sources.iter().map(|(name, s)| web.inbound.shown(name, &s.kind))).collect();
    Ok(Json(json!({
        "schema": "tillpost.status/1",
        "online": view.online,
        "since": view.since.rfc3339(),
        "outbox": counts,
        "oldest_s": oldest.map_or(0, |at| now.wall.since(at).as_secs()),
        "sources": sources,
        "providers": providers,
        "version": env!("CARGO_PKG_VERSION"),
        "config_version": web.config().version(),
        "safe_mode": web.config().safe_mode,
        "config_last_good": web.config().last_good || !reloaded.problem.is_empty(),
        "config_problem": Some(reloaded.problem).filter(|p| !p.is_empty()),
        "config_needs_restart": reloaded.restart,
        "clock_good": now.good,
        "disk_free": free(&web),
        "started": web.started.wall.rfc3339(),
    })))
}

async fn figures(web: &Web) -> Answer<(BTreeMap<&'static str, i64>, Option<crate::domain::time::UnixMs>)> {
    let now = web.clock.now().wall;
    Ok(web.readers.read(move |read| Ok((read.counts(now)?, read.oldest_waiting()?))).await?)
}

fn free(web: &Web) -> u64 {
    web.store.path.parent().and_then(|folder| disk::free(folder).ok()).unwrap_or(0)
}

/// `GET /healthz`: alive. Being offline is not being ill.
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: can take a sale now, shown by a real commit.
pub async fn readyz(State(web): State<Shared>) -> Answer<&'static str> {
    let written = web.writer.run(|tx| tx.put_fact("ready", "1"));
    match tokio::time::timeout(Duration::from_secs(5), written).await {
        Ok(done) => done.map(|()| "ready\n").map_err(Problem::from),
        Err(_) => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "starting", "the disk does not answer")),
    }
}

/// `GET /metrics`
pub async fn metrics(State(web): State<Shared>, who: Answer<Who>) -> Answer<Response> {
    who?.looks()?;
    let (counts, oldest) = figures(&web).await?;
    let (view, now, writer) = (web.dispatch.view(), web.clock.now(), web.writer.figures());
    let mut text = metrics::text(&Scrape {
        counters: &web.counters,
        outbox: &counts,
        oldest_s: oldest.map_or(0, |at| i64::try_from(now.wall.since(at).as_secs()).unwrap_or(i64::MAX)),
        online: view.online,
        providers: &view.lanes,
        disk_free: free(&web),
        db_bytes: std::fs::metadata(&web.store.path).map_or(0, |m| m.len()),
        wal_pages: writer.wal_pages.load(Ordering::Relaxed),
        commits: (writer.commits.load(Ordering::Relaxed), writer.units.load(Ordering::Relaxed)),
        restarts: web.supervisor.restarts(),
        started: web.started.wall.0 / 1000,
    });
    text.push_str(&metrics::sources(web.inbound.counters()));
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}
