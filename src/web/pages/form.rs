//! Forms: only from a page of ours. The `Origin` must be our own, and the token must be in it.

use super::frame::{Oops, Visitor};
use crate::web::answer::{Problem, read_capped};
use crate::web::auth::Who;
use crate::web::{Shared, Web};
use axum::Form;
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::{HeaderMap, StatusCode, header};
use std::collections::BTreeMap;

/// Bytes of a form.
const MOST: usize = 16 << 10;

/// A form as it was sent.
pub struct Posted {
    /// Who sent it.
    pub who: Who,
    fields: BTreeMap<String, String>,
}

impl Posted {
    /// A field; empty where it is not there.
    pub fn get(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

impl FromRequest<Shared> for Posted {
    type Rejection = Oops;

    async fn from_request(request: Request, web: &Shared) -> Result<Posted, Oops> {
        let (mut parts, body) = request.into_parts();
        let Visitor(who) = Visitor::from_request_parts(&mut parts, web).await?;
        if !from_our_page(web, &parts.headers) {
            return Err(forbidden("This did not come from a page of this box.").into());
        }
        let bytes = read_capped(&parts.headers, body, MOST).await?;
        let request = Request::from_parts(parts, Body::from(bytes));
        let Form(fields) = Form::<BTreeMap<String, String>>::from_request(request, web)
            .await
            .map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "form", "The form could not be read."))?;
        let posted = Posted { who, fields };
        if !web.pages.knows(posted.get("token")) {
            return Err(forbidden("The page was too old: go back, load it again, and press once more.").into());
        }
        Ok(posted)
    }
}

fn from_our_page(web: &Web, headers: &HeaderMap) -> bool {
    let text = |name: header::HeaderName| headers.get(name).and_then(|v| v.to_str().ok());
    let (Some(origin), Some(host)) = (text(header::ORIGIN), text(header::HOST)) else { return false };
    let config = web.config();
    let public = config.http.public_url.as_deref().unwrap_or_default().trim_end_matches('/');
    let cross = headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site");
    !cross && (origin.eq_ignore_ascii_case(&format!("http://{host}")) || (!public.is_empty() && origin.eq_ignore_ascii_case(public)))
}

fn forbidden(why: &str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "forbidden", why)
}
