//! `/about`: what runs here.

use super::frame::{Frame, Shown, Visitor, page};
use crate::domain::time::for_people;
use crate::web::Shared;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;

#[derive(Serialize)]
struct About {
    version: &'static str,
    licence: &'static str,
    config: String,
    running: String,
    tills: Vec<String>,
    providers: Vec<(String, String, &'static str)>,
}

/// `GET /about`
pub async fn show(State(web): State<Shared>, _: Visitor) -> Shown {
    let frame = Frame::new(&web, "About this box", "about").await?;
    let lanes = web.dispatch.view().lanes;
    let word = |name: &str| lanes.iter().find(|(lane, _)| lane == name).map_or("ok", |(_, word)| *word);
    let about = About {
        version: env!("CARGO_PKG_VERSION"),
        licence: env!("CARGO_PKG_LICENSE"),
        config: web.config().version(),
        running: for_people(web.clock.now().mono.since(web.started.mono)),
        tills: web.config().tills.keys().cloned().collect(),
        providers: web.config().providers.iter().map(|(name, p)| (name.clone(), p.kind.clone(), word(name))).collect(),
    };
    Ok(page(StatusCode::OK, "about.html", &frame, about))
}
