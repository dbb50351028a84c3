//! The style sheet, the script and the icon: packed when the program was built, kept by browsers for good.

use crate::web::answer::{Answer, Problem};
use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};

/// A packed file.
pub struct Asset {
    /// Under which it is served; holds the hash of its bytes.
    pub path: &'static str,
    kind: &'static str,
    gzip: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// Where the page finds its style sheet, its script and its icon.
pub const PATHS: [&str; 3] = [STYLE.path, SCRIPT.path, ICON.path];

/// `GET /assets/{name}`: no word about the shop, so for everyone.
pub async fn one(Path(name): Path<String>) -> Answer<Response> {
    let wanted = |asset: &Asset| asset.path.strip_prefix("/assets/") == Some(name.as_str());
    let asset = [STYLE, SCRIPT, ICON].into_iter().find(wanted).ok_or_else(|| Problem::not_found("file"))?;
    Ok(answer(&asset, "public, max-age=31536000, immutable"))
}

/// `GET /favicon.ico`
pub async fn icon() -> Response {
    answer(&ICON, "public, max-age=86400")
}

fn answer(asset: &Asset, keep: &'static str) -> Response {
    ([(header::CONTENT_TYPE, asset.kind), (header::CONTENT_ENCODING, "gzip"), (header::CACHE_CONTROL, keep)], asset.gzip).into_response()
}
