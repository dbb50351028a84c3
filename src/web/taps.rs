//! Taps over the API: how they are, and their prints as they come.

use super::Shared;
use super::answer::{Answer, Problem};
use super::auth::Who;
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::convert::Infallible;
use tokio::sync::broadcast::error::RecvError;

/// `GET /v1/taps`: each with its state, where it listens, and what it has passed on.
pub async fn list(State(web): State<Shared>, who: Answer<Who>) -> Answer<Json<Value>> {
    who?.looks()?;
    Ok(Json(json!({"schema": "tillpost.taps/1", "taps": web.taps.shown()})))
}

/// `GET /v1/taps/{name}/live`: prints from now on, one JSON value a line, for the owner.
pub async fn live(State(web): State<Shared>, who: Answer<Who>, Path(name): Path<String>) -> Answer<Response> {
    who?.manages()?;
    let tap = web.taps.get(&name).ok_or_else(|| Problem::not_found("tap"))?;
    let state = (tap.listen(), web.supervisor.stop_signal(), true);
    let lines = futures_util::stream::unfold(state, |(mut prints, mut stop, first)| async move {
        let line = match first {
            true => "\n".to_owned(), // the headers leave at once: whoever asked knows that it is heard
            false => tokio::select! {
                print = prints.recv() => match print {
                    Ok(print) => format!("{print}\n"),
                    Err(RecvError::Lagged(n)) => format!("{}\n", json!({"missed": n})),
                    Err(RecvError::Closed) => return None,
                },
                () = stop.asked() => return None,
            },
        };
        Some((Ok::<_, Infallible>(line), (prints, stop, false)))
    });
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}
