//! `/demo`: a pretend shop that one can unplug. Only where the program runs as a demo.

use super::form::Posted;
use super::frame::{Frame, Oops, Shown, Visitor, page};
use super::inbox::{self, Line, Message};
use super::receipts::{number, till};
use super::say::Say;
use super::status::{self, Status};
use crate::config::Config;
use crate::domain::sale::Sale;
use crate::store::outbox::Filter;
use crate::store::receipts::Find;
use crate::store::{Result, Snapshot};
use crate::web::answer::Problem;
use crate::web::{Shared, Web};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

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

/// Slips, rows of the flow and messages that are shown.
const SLIPS: u32 = 4;
const ROWS: u32 = 7;
const MESSAGES: u32 = 12;

/// Letters of a source; the inbox shows it whole.
const SOURCE: usize = 5_000;

/// `?tab=&m=`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Asked {
    tab: String,
    m: String,
}

#[derive(Serialize)]
struct Scene {
    line_up: bool,
    provider_good: bool,
    online: bool,
    slips: Vec<Slip>,
    rows: Vec<Row>,
    waiting: i64,
    sending: i64,
    taken: i64,
    lines: Vec<Line>,
    message: Option<Message>,
    tab: String,
    /// A message was picked: newer ones do not push it away.
    picked: bool,
}

/// A sale on paper.
#[derive(Serialize)]
struct Slip {
    id: String,
    number: String,
    time: String,
    till: String,
    refund: bool,
    items: Vec<(String, String)>,
    more: usize,
    total: String,
}

/// A message on its way.
#[derive(Serialize)]
struct Row {
    id: String,
    receipt: String,
    to: String,
    total: String,
    status: Status,
}

fn demo(web: &Web) -> std::result::Result<&Arc<dyn Demo>, Oops> {
    web.demo.as_ref().ok_or_else(|| Problem::not_found("demo").into())
}

/// `GET /demo`
pub async fn show(State(web): State<Shared>, _: Visitor, Query(asked): Query<Asked>) -> Shown {
    let (line_up, provider_good) = demo(&web)?.state();
    let frame = Frame::new(&web, "Demo", "demo").await?;
    let (config, online, say, names) = (web.config(), frame.online, frame.say.clone(), inbox::names(&web));
    let tab = if matches!(asked.tab.as_str(), "text" | "sms" | "source") { asked.tab } else { "html".to_owned() };
    let (wanted, picked) = (tab.clone(), asked.m);
    let scene = web
        .readers
        .read(move |read| {
            let caught = inbox::latest(read, &names, MESSAGES)?;
            let fits = |sms: bool| (wanted == "sms") == sms;
            let lines: Vec<Line> = caught.iter().map(|(d, c)| inbox::line(d, c, &say)).collect();
            let chosen = lines.iter().position(|l| l.id == picked && fits(l.sms));
            let shown = chosen.or_else(|| lines.iter().position(|l| fits(l.sms)));
            let message = shown.and_then(|at| caught.get(at)).map(|(d, c)| inbox::message(read, d, c, &say, true)).transpose()?;
            let message = message.map(|m| if wanted == "source" { m.cut(SOURCE) } else { m });
            let lines = lines.into_iter().take(4).collect();
            let (slips, rows) = (slips(read, &config, &say)?, rows(read, &config, online, &say)?);
            Ok(Scene {
                line_up,
                provider_good,
                online,
                slips,
                rows,
                waiting: 0,
                sending: 0,
                taken: 0,
                lines,
                message,
                tab: wanted,
                picked: chosen.is_some(),
            })
        })
        .await?;
    let taken = frame.count("accepted") + frame.count("delivered");
    let scene = Scene { waiting: frame.count("ready") + frame.count("retry"), sending: frame.count("sending"), taken, ..scene };
    Ok(page(StatusCode::OK, "demo.html", &frame, scene))
}

fn slips(read: Snapshot<'_>, config: &Config, say: &Say) -> Result<Vec<Slip>> {
    const LINES: usize = 4;
    let mut slips = Vec::new();
    for r in read.find_receipts(&Find { limit: SLIPS, ..Find::default() })? {
        let sale = serde_json::from_slice(&read.body(r.body)?).ok().and_then(|json| Sale::parse(&json).ok());
        let lines = sale.map(|s| s.lines).unwrap_or_default();
        slips.push(Slip {
            id: r.receipt_id.to_string(),
            number: number(&r),
            time: say.clock(r.sold_at),
            till: till(&r),
            refund: r.transaction_type == "return",
            items: lines.iter().take(LINES).map(|l| (l.description.clone(), say.money(l.amount, &r.currency))).collect(),
            more: lines.len().saturating_sub(LINES),
            total: say.money(r.total, if r.currency.is_empty() { &config.shop.currency } else { &r.currency }),
        });
    }
    Ok(slips)
}

fn rows(read: Snapshot<'_>, config: &Config, online: bool, say: &Say) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for d in read.deliveries(&Filter { limit: ROWS, ..Filter::default() })? {
        let receipt = read.receipt_at(d.receipt)?;
        rows.push(Row {
            id: d.step_id().to_string(),
            receipt: receipt.as_ref().map(|r| r.receipt_id.to_string()).unwrap_or_default(),
            to: d.shown_to(),
            total: receipt.map(|r| say.money(r.total, &r.currency)).unwrap_or_default(),
            status: status::of(config, &d, online, say),
        });
    }
    Ok(rows)
}

fn back() -> Shown {
    Ok(Redirect::to("/demo").into_response())
}

/// `POST /demo/line`: `up=1` plugs the internet in, `up=0` unplugs it.
pub async fn line(State(web): State<Shared>, form: Posted) -> Shown {
    demo(&web)?.set_line(form.get("up") == "1");
    web.dispatch.probe();
    back()
}

/// `POST /demo/provider`: `good=1` mends the provider, `good=0` breaks it.
pub async fn provider(State(web): State<Shared>, form: Posted) -> Shown {
    let good = form.get("good") == "1";
    demo(&web)?.set_provider(good);
    if good {
        for name in web.config().providers.keys() {
            web.dispatch.resume(name).await;
        }
    }
    back()
}

/// `POST /demo/sale`
pub async fn sale(State(web): State<Shared>, form: Posted) -> Shown {
    demo(&web)?.ring_up();
    drop(form);
    back()
}
