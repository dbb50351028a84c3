//! The LAN side: the API for tills and scripts, the pages for people.
//!
//! Every answer that says "stored" leaves after the commit. Handlers read requests, ask the pipeline or a
//! reader, and say it; they decide nothing about messages. A key travels as `Authorization: Bearer`; pages
//! are for loopback only until there are roles. What stands behind a receipt's link is open to whoever has it.

pub mod answer;
pub mod auth;
pub mod callbacks;
pub mod explain;
pub mod health;
pub mod hooks;
pub mod links;
pub mod outbox;
pub mod pages;
pub mod providers;
pub mod receipts;
pub mod sales;
pub mod serve;
pub mod stream;
pub mod suppressions;
pub mod taps;

use crate::compose::Composer;
use crate::config::Config;
use crate::dispatch::run::Handle;
pub use crate::observe::metrics::Counters;
use crate::pipeline;
use crate::providers::Registry;
use crate::sources::tap::live::Taps;
use crate::sources::ways::Ways;
use crate::store::{Options, Readers, Writer};
use crate::sys::clock::{Clock, Now};
use crate::sys::device_key::DeviceKey;
use crate::sys::heavy::Heavy;
use crate::sys::random::Random;
use crate::sys::supervisor::Supervisor;
use axum::Router;
use axum::routing::{any, get, post};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError, RwLock};

/// What can be changed while it runs: all of it together, or nothing.
#[derive(Clone)]
pub struct Rules {
    /// Settings.
    pub config: Arc<Config>,
    /// Templates of receipts.
    pub composer: Arc<Composer>,
    /// Who may.
    pub keys: Arc<auth::Keys>,
    /// The accounts: their reports are verified here.
    pub registry: Arc<Registry>,
    /// The ways in.
    pub ways: Ways,
}

/// What came of settings that changed while it runs.
#[derive(Clone, Debug, Default)]
pub struct Reloaded {
    /// Why the files as they are now cannot be used; empty: they can.
    pub problem: String,
    /// What holds after a restart only.
    pub restart: Vec<&'static str>,
}

/// What every handler works with.
pub struct Web {
    /// What can be changed while it runs.
    pub rules: RwLock<Rules>,
    /// What came of the last change of it.
    pub reloaded: RwLock<Reloaded>,
    /// The key of this box.
    pub key: Arc<DeviceKey>,
    /// Where is written.
    pub writer: Writer,
    /// Where is read.
    pub readers: Readers,
    /// Where the store lies, for figures.
    pub store: Options,
    /// Dispatch.
    pub dispatch: Handle,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub random: Arc<dyn Random>,
    /// The thread for heavy work.
    pub heavy: Heavy,
    /// What the ways in share.
    pub inbound: hooks::Inbound,
    /// Taps on printers.
    pub taps: Taps,
    /// Counters of this run.
    pub counters: Counters,
    /// Who spawns.
    pub supervisor: Supervisor,
    /// Nothing but sales is taken, or not even those.
    pub no_room: AtomicBool,
    /// When the process began.
    pub started: Now,
    /// The simulated till, where this is a demo.
    pub demo: Option<Arc<dyn pages::Demo>>,
    /// Templates of the pages.
    pub pages: pages::Pages,
    /// Who looked for links that lead nowhere.
    pub misses: links::Misses,
}

/// A handle on [`Web`] as handlers get it.
pub type Shared = Arc<Web>;

impl Web {
    /// The settings as they are now.
    pub fn config(&self) -> Arc<Config> {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).config.clone()
    }

    /// The templates as they are now.
    pub fn composer(&self) -> Arc<Composer> {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).composer.clone()
    }

    /// Who may, as it is now.
    pub fn keys(&self) -> Arc<auth::Keys> {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).keys.clone()
    }

    /// The accounts as they are now.
    pub fn registry(&self) -> Arc<Registry> {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).registry.clone()
    }

    /// The ways in as they are now.
    pub fn ways(&self) -> Ways {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).ways.clone()
    }

    /// Other settings, all together.
    pub fn put_rules(&self, rules: Rules) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    /// What came of settings that changed.
    pub fn reloaded(&self) -> Reloaded {
        self.reloaded.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes what came of settings that changed.
    pub fn set_reloaded(&self, note: impl FnOnce(&mut Reloaded)) {
        note(&mut self.reloaded.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// What the pipeline works with.
    pub fn pipeline(&self) -> pipeline::Rules {
        pipeline::Rules { config: self.config(), key: self.key.clone(), random: self.random.clone() }
    }

    /// All routes.
    pub fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/v1/sales", post(sales::post_sale))
            .route("/v1/events", post(sales::post_event))
            .route("/v1/receipts", get(receipts::list))
            .route("/v1/receipts/{id}", get(receipts::one))
            .route("/v1/receipts/{id}/timeline", get(receipts::timeline))
            .route("/v1/receipts/{id}/explain", get(explain::explain))
            .route("/v1/explain/{id}", get(explain::explain))
            .route("/v1/receipts/{id}/resend", post(receipts::resend))
            .route("/v1/receipts/{id}/contact", post(receipts::contact))
            .route("/v1/taps", get(taps::list))
            .route("/v1/taps/{name}/live", get(taps::live))
            .route("/v1/receipts/{id}/link", get(links::link))
            .route("/t/{token}", get(links::open))
            .route("/v", get(links::viewer_page))
            .route("/v1/outbox", get(outbox::list))
            .route("/v1/outbox/{id}", get(outbox::show))
            .route("/v1/outbox/{id}/{action}", post(outbox::act))
            .route("/v1/suppressions", get(suppressions::list).post(suppressions::add).delete(suppressions::lift))
            .route("/v1/suppressions/import", post(suppressions::import))
            .route("/v1/events/log", get(sales::event_log))
            .route("/v1/events/log/{seq}", get(sales::raw_event))
            .route("/v1/events/log/{seq}/replay", post(sales::replay))
            .route("/hooks/{source}", post(hooks::post))
            .route("/v1/providers", get(providers::list))
            .route("/v1/providers/{name}/{action}", post(providers::act))
            .route("/callbacks/{provider}", any(callbacks::call))
            .route("/v1/status", get(health::status))
            .route("/healthz", get(health::healthz))
            .route("/readyz", get(health::readyz))
            .route("/metrics", get(health::metrics))
            .route("/schema/sale.json", get(sales::schema))
            .route("/schema/event.json", get(sales::event_schema))
            .route("/stream", get(stream::stream))
            .merge(pages::routes())
            .fallback(answer::not_found)
            .method_not_allowed_fallback(answer::method_not_allowed)
            .layer(axum::middleware::from_fn_with_state(self.clone(), auth::admit))
            .with_state(self)
    }
}
