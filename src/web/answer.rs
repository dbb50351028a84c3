//! Answers: problem+json with all faults and a stable code, and the reading of bodies within limits.

use crate::domain::fault::Fault;
use crate::store::StoreError;
use axum::Json;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::time::Duration;

/// What a handler gives instead of its answer.
#[derive(Debug)]
pub struct Problem {
    /// Status.
    pub status: StatusCode,
    /// Stable word; `tillpost help CODE` explains it.
    pub code: String,
    /// One sentence.
    pub detail: String,
    /// Every fault.
    pub errors: Vec<Fault>,
    /// Seconds after which to try again.
    pub retry_after: Option<u64>,
}

impl Problem {
    /// A problem with nothing but status, code and a sentence.
    pub fn new(status: StatusCode, code: impl Into<String>, detail: impl Into<String>) -> Problem {
        Problem { status, code: code.into(), detail: detail.into(), errors: Vec::new(), retry_after: None }
    }

    /// Nothing has this id.
    pub fn not_found(what: &str) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "not_found", format!("there is no such {what}"))
    }

    /// A document with all its faults.
    pub fn invalid(status: StatusCode, code: &str, errors: Vec<Fault>) -> Problem {
        let detail = match errors.as_slice() {
            [one] => one.message.clone(),
            all => format!("{} things are wrong with it", all.len()),
        };
        Problem { errors, ..Problem::new(status, code, detail) }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        match error {
            StoreError::Sql(why) => {
                tracing::error!(why, "a request failed in the store");
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "this box made a mistake; it is in its log")
            }
            other => Problem {
                retry_after: Some(5),
                ..Problem::new(StatusCode::SERVICE_UNAVAILABLE, other.code(), "nothing can be stored now; try again")
            },
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or("Problem");
        let body = json!({"type": "about:blank", "title": title, "status": self.status.as_u16(), "code": self.code, "detail": self.detail, "errors": self.errors});
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::PAYLOAD_TOO_LARGE {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close")); // the rest of the body is not read
        }
        response
    }
}

/// What handlers give.
pub type Answer<T> = Result<T, Problem>;

/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(30);

/// Reads a JSON body within its limit. The content type must be JSON's, and nothing may be encoded.
pub async fn read_json(headers: &HeaderMap, body: Body, limit: usize) -> Answer<Vec<u8>> {
    read_as(&["application/json"], headers, body, limit).await
}

/// The same for a body of one of these types.
pub async fn read_as(types: &[&str], headers: &HeaderMap, body: Body, limit: usize) -> Answer<Vec<u8>> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !types.iter().any(|t| kind.eq_ignore_ascii_case(t)) {
        let say = format!("send Content-Type: {}", types.join(" or "));
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type", say));
    }
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_encoding", "send the body without Content-Encoding"));
    }
    read_capped(headers, body, limit).await
}

/// Reads a body within its limit and time.
pub async fn read_capped(headers: &HeaderMap, body: Body, limit: usize) -> Answer<Vec<u8>> {
    let too_large = || Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", format!("the body may have {limit} bytes"));
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<u64>().ok());
    if announced.is_some_and(|n| n > limit as u64) {
        return Err(too_large());
    }
    match tokio::time::timeout(BODY_TIME, axum::body::to_bytes(body, limit)).await {
        Ok(Ok(bytes)) => Ok(bytes.into()),
        Ok(Err(error)) if error.to_string().contains("length limit") => Err(too_large()),
        Ok(Err(_)) => Err(Problem::new(StatusCode::BAD_REQUEST, "body_cut", "the body ended before its announced end")),
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "body_slow", "the body did not arrive in time")),
    }
}

/// No such route.
pub async fn not_found() -> Problem {
    Problem::not_found("page")
}

/// The route exists, but not so.
pub async fn method_not_allowed() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", "this address does not take this method")
}
