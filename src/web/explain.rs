//! Why a receipt or a message took its way, over the API and for the page.

use super::answer::{Answer, Problem};
use super::auth::Who;
use super::{Shared, Web};
use crate::observe::explain::{self, Around, Explanation, Subject};
use crate::pipeline::{intake, merge};
use crate::sources::lan;
use crate::store::receipts::Receipt;
use crate::store::{Result as Stored, Snapshot};
use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};

/// `GET /v1/explain/{id}` and `/v1/receipts/{id}/explain`: a receipt by its id or number, or one message by the id
/// of a delivery. Also what would be decided if the sale came now.
pub async fn explain(State(web): State<Shared>, who: Answer<Who>, Path(id): Path<String>) -> Answer<Json<Value>> {
    who?.reads()?;
    let (around, rules, now) = (around(&web), web.pipeline(), web.clock.now());
    let found = web
        .readers
        .read(move |read| {
            let Some(subject) = explain::find(read, &id)? else { return Ok(None) };
            let said = say(read, &rules, now, around, &subject)?;
            let mut json = json!(said);
            if let (Subject::Receipt(receipt), Some(map)) = (&subject, json.as_object_mut())
                && let Some((considered, fresh)) = preview(read, &rules.at(now), receipt)?
            {
                map.insert("would_now".into(), considered);
                map.insert("fresh_now".into(), fresh.into());
            }
            Ok(Some(json))
        })
        .await?;
    found.map(Json).ok_or_else(|| Problem::not_found("receipt or message"))
}

/// The explanation of a receipt, for its page.
pub async fn of_receipt(web: &Web, receipt: &Receipt) -> Answer<Explanation> {
    let (around, rules, now, subject) = (around(web), web.pipeline(), web.clock.now(), Subject::Receipt(Box::new(receipt.clone())));
    Ok(web.readers.read(move |read| say(read, &rules, now, around, &subject)).await?)
}

fn around(web: &Web) -> Around {
    let view = web.dispatch.view();
    Around { online: Some(view.online), lanes: view.lanes, till_offset: 0 }
}

fn say(
    read: Snapshot<'_>,
    rules: &crate::pipeline::Rules,
    now: crate::sys::clock::Now,
    around: Around,
    subject: &Subject,
) -> Stored<Explanation> {
    let till_offset = match subject {
        Subject::Receipt(r) => merge::offset_of(read, &rules.config, r)?,
        Subject::Message(_) => 0,
    };
    let around = Around { till_offset, ..around };
    Ok(explain::read(read, &rules.config, now, &around, subject)?.explain())
}

/// What would be decided if the sale came now; `None` where its document cannot be read.
fn preview(read: Snapshot<'_>, cx: &crate::pipeline::Context<'_>, receipt: &Receipt) -> Stored<Option<(Value, bool)>> {
    let Ok(sale) = lan::sale(&read.body(receipt.body)?) else { return Ok(None) };
    let origin = intake::origin_of(cx.config, &receipt.till);
    let decision = intake::preview(read, cx, &origin, &sale.value)?;
    Ok(Some((json!(decision.considered), decision.fresh)))
}
