//! The pages for people: HTML made on the box, forms that work without a script.
//!
//! A page says what the store and dispatch say, in the words of `observe::words` and no others; it decides
//! nothing about messages. Nothing on it comes from outside the box: one style sheet, one script, one icon.
//! The script only fetches the same page again and swaps the parts marked `data-live`. Addresses of people
//! are masked. What changes something is a form that carries a token and comes from our own origin, and is
//! answered by a redirect.

mod about;
mod assets;
mod banner;
mod demo;
mod form;
mod frame;
mod inbox;
mod outbox;
mod receipt;
mod receipts;
mod say;
mod status;

use super::Shared;
use axum::Router;
use axum::extract::State;
use axum::response::Redirect;
use axum::routing::{get, post};

pub use demo::Demo;
pub use frame::Pages;

/// Their routes.
pub fn routes() -> Router<Shared> {
    Router::new()
        .route("/", get(home))
        .route("/r", get(receipts::list))
        .route("/r/{id}", get(receipt::show))
        .route("/r/{id}/receipt.html", get(receipt::document))
        .route("/r/{id}/send", get(receipt::form).post(receipt::send))
        .route("/r/{id}/again", get(receipt::back).post(receipt::again))
        .route("/r/{id}/undo", get(receipt::back).post(receipt::undo))
        .route("/outbox", get(outbox::list))
        .route("/outbox/{id}/{action}", post(outbox::act))
        .route("/inbox", get(inbox::newest))
        .route("/inbox/{id}", get(inbox::one))
        .route("/inbox/{id}/{part}", get(inbox::part))
        .route("/about", get(about::show))
        .route("/demo", get(demo::show))
        .route("/demo/line", post(demo::line))
        .route("/demo/provider", post(demo::provider))
        .route("/demo/sale", post(demo::sale))
        .route("/assets/{name}", get(assets::one))
        .route("/favicon.ico", get(assets::icon))
}

/// `GET /`
async fn home(State(web): State<Shared>) -> Redirect {
    Redirect::to(if web.demo.is_some() { "/demo" } else { "/r" })
}
