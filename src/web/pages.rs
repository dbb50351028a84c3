//! The pages for people.

use super::Shared;
use axum::Router;
use axum::response::Redirect;
use axum::routing::get;

/// What a demo's page can do to the world around the agent.
pub trait Demo: Send + Sync {
    /// The line and the provider: whether they work.
    fn state(&self) -> (bool, bool);
    /// Unplugs or plugs the internet.
    fn set_line(&self, up: bool);
    /// Breaks or mends the provider.
    fn set_provider(&self, good: bool);
    /// Rings up a sale at the simulated till.
    fn ring_up(&self);
}

/// Templates of the pages.
#[derive(Default)]
pub struct Pages;

/// Their routes.
pub fn routes() -> Router<Shared> {
    Router::new().route("/", get(async || Redirect::to("/r")))
}
