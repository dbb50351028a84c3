//! Live updates: server-sent events that say what changed, not what it is. A page then fetches the part
//! that it shows.

use super::Shared;
use super::answer::Answer;
use super::auth::Who;
use crate::dispatch::Note;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;

/// `GET /stream`: `receipt` with the id, `line` and `provider` with what they became, `more` where some
/// were missed.
pub async fn stream(
    State(web): State<Shared>,
    who: Answer<Who>,
) -> Answer<Sse<impl futures_util::Stream<Item = Result<Event, Infallible>>>> {
    who?.looks()?;
    let listener = (web.dispatch.listen(), web.supervisor.stop_signal());
    let events = futures_util::stream::unfold(listener, |(mut notes, mut stop)| async move {
        let event = tokio::select! {
            note = notes.recv() => match note {
                Ok(Note::Receipt(id)) => Event::default().event("receipt").data(id.to_string()),
                Ok(Note::Line(turn)) => Event::default().event("line").data(format!("{turn:?}").to_lowercase()),
                Ok(Note::Lane(name, _)) => Event::default().event("provider").data(name),
                Ok(Note::Suppressed(channel, _, _)) => Event::default().event("suppressed").data(channel.word()),
                Err(RecvError::Lagged(_)) => Event::default().event("more").data("1"),
                Err(RecvError::Closed) => return None,
            },
            () = stop.asked() => return None,
        };
        Some((Ok(event), (notes, stop)))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(20))))
}
