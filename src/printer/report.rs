//! A job and what was read of it as JSON: for the command line, the store and the pages.

use super::fields::Reading;
use super::job::Job;
use super::page::{Bitmap, Item, Line};
use ring::digest::{SHA256, digest};
use serde_json::{Map, Value, json};

/// Everything about a print, in the names of the contract. Times are the caller's to add.
pub fn json(job: &Job, reading: &Reading) -> Value {
    let logos: Vec<&String> = job
        .page
        .items
        .iter()
        .filter_map(|item| match item {
            Item::Logo(key) => Some(key),
            _ => None,
        })
        .collect();
    let symbols: Vec<Value> = job.page.symbols().map(|s| json!({"type": s.kind.word(), "data": s.data})).collect();
    let sources: Map<String, Value> = reading
        .origins
        .iter()
        .map(|(name, o)| (name.clone(), json!({"rule": o.rule, "line": o.line, "confidence": o.confidence})))
        .collect();
    let checks: Map<String, Value> = reading.checks.iter().map(|check| (check.name.to_owned(), check.ok.into())).collect();
    json!({
        "kind": reading.kind.word(),
        "boundary": job.boundary.word(),
        "truncated": job.truncated,
        "lost_bytes": job.lost_bytes,
        "cut_short": job.page.cut_short,
        "bytes": job.range.end - job.range.start,
        "offset": job.range.start,
        "dialect": job.dialect.word(),
        "text": job.text(),
        "spans": job.page.lines().flat_map(spans).collect::<Vec<_>>(),
        "symbols": symbols,
        "images": job.page.images().map(image).collect::<Vec<_>>(),
        "drawer_pulses": job.page.drawer.len(),
        "stored_logos": logos,
        "host_requests": job.notes.host_requests,
        "unknown_commands": job.notes.unknown,
        "unknown_codepage": job.notes.unknown_codepage,
        "profile": reading.profile,
        "fields": reading.fields,
        "field_sources": sources,
        "checks": checks,
        "missing": reading.missing,
    })
}

fn spans(line: &Line) -> Vec<Value> {
    let spans = line.spans.iter().filter(|span| !span.text.is_empty()).map(|span| {
        let style = span.style;
        json!({
            "text": span.text, "bold": style.bold, "underline": style.underline, "invert": style.invert, "width": style.width,
            "height": style.height, "align": line.align.word(), "font": if style.font == 0 { "A" } else { "B" },
        })
    });
    spans.collect()
}

fn image(bitmap: &Bitmap) -> Value {
    let hash: String = digest(&SHA256, &bitmap.rows).as_ref().iter().map(|b| format!("{b:02x}")).collect();
    json!({"width": bitmap.width, "height": bitmap.height, "sha256_1bpp": hash})
}
