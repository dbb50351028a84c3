//! What stands around every page: its templates, headers, banner and errors.

use super::banner::{self, Banner, Outage};
use super::say::Say;
use super::{assets, inbox};
use crate::domain::ids::{hex, sha256};
use crate::store::StoreError;
use crate::sys::random::{SystemRandom, bytes};
use crate::web::answer::{Answer, Problem};
use crate::web::auth::Who;
use crate::web::{Shared, Web};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, context};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex};

/// Every page's policy: nothing but what the box itself serves.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// What the pages keep while the process runs.
pub struct Pages {
    /// In every form: a page of somebody else's cannot know it.
    token: String,
    /// The outage that is, or that just ended.
    pub(super) outage: Mutex<Outage>,
}

impl Default for Pages {
    fn default() -> Pages {
        let random: [u8; 16] = bytes(&SystemRandom::default());
        Pages { token: hex(&random), outage: Mutex::default() }
    }
}

impl Pages {
    /// Whether a form came from a page of this process. Hashes are compared: they tell nothing of how
    /// much of a guess was right.
    pub(super) fn knows(&self, token: &str) -> bool {
        sha256(token.as_bytes()) == sha256(self.token.as_bytes())
    }
}

macro_rules! templates {
    ($($name:literal),+ $(,)?) => { &[$(($name, include_str!(concat!("templates/", $name)))),+] };
}

/// Names and texts.
const TEMPLATES: &[(&str, &str)] = templates![
    "about.html",
    "demo.html",
    "error.html",
    "frame.html",
    "icons.html",
    "inbox.html",
    "message.html",
    "outbox.html",
    "receipt.html",
    "receipts.html",
    "send.html",
];

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
        env.set_syntax(syntax);
    }
    for (name, text) in TEMPLATES {
        if let Err(error) = env.add_template(name, text) {
            tracing::error!(name, %error, "a page's template is broken");
        }
    }
    env
});

/// What the frame shows.
#[derive(Serialize)]
pub struct Frame {
    title: String,
    /// The entry of the menu that the page belongs to.
    here: &'static str,
    shop: String,
    demo: bool,
    inbox: bool,
    test: bool,
    /// Deliveries that need a person.
    attention: i64,
    banner: Option<Banner>,
    assets: [&'static str; 3],
    token: String,
    /// Not to be fetched again: the answer to a form.
    still: bool,
    #[serde(skip)]
    pub(super) counts: BTreeMap<&'static str, i64>,
    #[serde(skip)]
    pub(super) online: bool,
    #[serde(skip)]
    pub(super) say: Say,
}

impl Frame {
    /// For a page with this title, under this entry of the menu.
    pub async fn new(web: &Web, title: impl Into<String>, here: &'static str) -> Answer<Frame> {
        let (now, view) = (web.clock.now(), web.dispatch.view());
        let counts = web.readers.read(move |read| read.counts(now.wall)).await?;
        let say = Say::new(&web.config(), now.wall);
        let of = |word: &str| counts.get(word).copied().unwrap_or(0);
        Ok(Frame {
            title: title.into(),
            here,
            shop: web.config().shop.name.clone(),
            demo: web.demo.is_some(),
            inbox: inbox::is_shown(web),
            test: banner::test_mode(web),
            attention: of("dead") + of("uncertain"),
            banner: banner::of(web, &view, of("ready") + of("retry"), &say),
            assets: assets::PATHS,
            token: web.pages.token.clone(),
            still: false,
            online: view.online,
            say,
            counts,
        })
    }

    /// The frame of an answer to a form.
    pub fn still(mut self) -> Frame {
        self.still = true;
        self
    }

    /// A count by the state's word.
    pub fn count(&self, word: &str) -> i64 {
        self.counts.get(word).copied().unwrap_or(0)
    }
}

/// A page from its template.
pub fn page(status: StatusCode, template: &str, frame: &Frame, page: impl Serialize) -> Response {
    let rendered = ENVIRONMENT.get_template(template).and_then(|t| t.render(context! { f => Serde(frame), p => Serde(page) }));
    match rendered {
        Ok(html) => answer(status, html),
        Err(error) => {
            tracing::error!(template, %error, "a page could not be made");
            answer(StatusCode::INTERNAL_SERVER_ERROR, "<!doctype html><html lang=\"en\"><title>Tillpost</title><h1>This page could not be made</h1><p>It is in the log of this box. Sales are stored all the same.".to_owned())
        }
    }
}

fn answer(status: StatusCode, html: String) -> Response {
    (status, [(header::CONTENT_SECURITY_POLICY, POLICY), (header::REFERRER_POLICY, "no-referrer")], Html(html)).into_response()
}

/// A problem, shown to a person.
pub struct Oops(Problem);

impl From<Problem> for Oops {
    fn from(problem: Problem) -> Oops {
        Oops(problem)
    }
}

impl From<StoreError> for Oops {
    fn from(error: StoreError) -> Oops {
        Oops(error.into())
    }
}

impl IntoResponse for Oops {
    fn into_response(self) -> Response {
        let Problem { status, detail, .. } = self.0;
        let (title, detail) = match status {
            StatusCode::NOT_FOUND => ("Not here", "There is nothing at this address. It may have been removed after its time.".to_owned()),
            StatusCode::UNAUTHORIZED => ("Not from here", "These pages open on the box itself.".to_owned()),
            _ => ("That did not work", detail),
        };
        let rendered = ENVIRONMENT.get_template("error.html").and_then(|t| t.render(context! { title, detail, assets => assets::PATHS }));
        answer(status, rendered.unwrap_or_else(|_| title.to_owned()))
    }
}

/// What a page's handler gives.
pub type Shown = Result<Response, Oops>;

/// Whoever may look at pages.
pub struct Visitor(pub Who);

impl FromRequestParts<Shared> for Visitor {
    type Rejection = Oops;

    async fn from_request_parts(parts: &mut Parts, web: &Shared) -> Result<Visitor, Oops> {
        let who = Who::from_request_parts(parts, web).await?;
        who.looks()?;
        Ok(Visitor(who))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_whole() {
        for (name, _) in TEMPLATES {
            assert!(ENVIRONMENT.get_template(name).is_ok(), "{name}");
        }
    }
}
