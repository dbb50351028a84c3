//! `/r`: the last sales, and the search of a cashier with a queue waiting.

use super::frame::{Frame, Shown, Visitor, page};
use super::say::Say;
use super::status::{self, Status};
use crate::config::Config;
use crate::domain::address::mask;
use crate::domain::time::UnixMs;
use crate::store::receipts::{Find, Receipt};
use crate::store::{Result, Snapshot};
use crate::web::Shared;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Sales on one page.
const SHOWN: u32 = 20;

/// How far from a typed time of day a sale may be.
const NEAR: Duration = Duration::from_secs(6 * 60);

/// `?q=&till=&n=`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Asked {
    q: String,
    /// A receipt's number, from a button of the till.
    n: String,
    till: String,
}

#[derive(Serialize)]
struct Listed {
    q: String,
    till: String,
    tills: Vec<String>,
    sales: Vec<Sale>,
}

/// A sale as a list shows it.
#[derive(Serialize)]
pub struct Sale {
    pub(super) id: String,
    time: String,
    total: String,
    number: String,
    last4: String,
    contact: String,
    till: String,
    refund: bool,
    status: Status,
}

/// `GET /r`
pub async fn list(State(web): State<Shared>, _: Visitor, Query(asked): Query<Asked>) -> Shown {
    let frame = Frame::new(&web, "Receipts", "receipts").await?;
    let q = if asked.q.trim().is_empty() { asked.n.trim() } else { asked.q.trim() }.to_owned();
    let find = find(&q, &asked.till, &frame.say, web.clock.now().wall);
    let sales = found(&web, &frame, find).await?;
    let tills = web.config().tills.keys().cloned().collect();
    Ok(page(StatusCode::OK, "receipts.html", &frame, Listed { q, till: asked.till, tills, sales }))
}

fn find(q: &str, till: &str, say: &Say, now: UnixMs) -> Find {
    let find = Find { text: q.to_owned(), till: Some(till.to_owned()).filter(|t| !t.is_empty()), limit: SHOWN, ..Find::default() };
    match say.last_time(q, now) {
        Some(at) => Find { text: String::new(), since: Some(at - NEAR), until: Some(at + NEAR), ..find },
        None => find,
    }
}

/// What was found, as the page shows it.
pub async fn found(web: &Shared, frame: &Frame, find: Find) -> Result<Vec<Sale>> {
    let (config, online, say) = (web.config(), frame.online, frame.say.clone());
    web.readers
        .read(move |read| {
            let found = read.find_receipts(&find)?;
            found.iter().map(|r| sale(read, &config, r, online, &say)).collect()
        })
        .await
}

fn sale(read: Snapshot<'_>, config: &Config, r: &Receipt, online: bool, say: &Say) -> Result<Sale> {
    let contact = if r.email.is_empty() { &r.phone } else { &r.email };
    Ok(Sale {
        id: r.receipt_id.to_string(),
        time: say.clock(r.sold_at),
        total: say.money(r.total, &r.currency),
        number: number(r),
        last4: r.last4.clone(),
        contact: if contact.is_empty() { String::new() } else { mask(contact) },
        till: till(r),
        refund: r.transaction_type == "return",
        status: status::of_receipt(read, config, r, online, say)?,
    })
}

/// The number that stands on the receipt.
pub fn number(r: &Receipt) -> String {
    if r.receipt_number.is_empty() { r.transaction_id.clone() } else { r.receipt_number.clone() }
}

/// The till's number where the sale names one, else the name of its key.
pub fn till(r: &Receipt) -> String {
    if r.workstation_id.is_empty() { r.till.clone() } else { r.workstation_id.clone() }
}
