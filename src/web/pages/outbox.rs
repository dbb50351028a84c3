//! `/outbox`: what waits, what needs a person, what went out; and what a person may do with it.

use super::form::Posted;
use super::frame::{Frame, Shown, Visitor, page};
use super::say::Say;
use super::status::{self, Status};
use crate::config::Config;
use crate::domain::channel::Channel;
use crate::domain::delivery::State as Is;
use crate::domain::time::{UnixMs, for_people};
use crate::observe::words;
use crate::store::outbox::{Delivery, Filter};
use crate::store::{Result, Snapshot};
use crate::web::Shared;
use crate::web::outbox::apply;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use serde::{Deserialize, Serialize};

/// Rows of one state on a page.
const SHOWN: u32 = 25;

/// The states in the order in which a manager asks for them.
const ORDER: &[Is] = &[
    Is::Dead,
    Is::Uncertain,
    Is::Held,
    Is::Retry,
    Is::Ready,
    Is::Sending,
    Is::Accepted,
    Is::Delivered,
    Is::Bounced,
    Is::Complained,
    Is::Cancelled,
];

/// Shown where no state is asked for: everything that has not come to its end.
const OPEN: &[Is] = &[Is::Dead, Is::Uncertain, Is::Held, Is::Retry, Is::Ready, Is::Sending];

/// `?state=&channel=&provider=&after=`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Asked {
    state: String,
    channel: String,
    provider: String,
    after: Option<i64>,
}

#[derive(Serialize)]
struct Shelf {
    state: String,
    channel: String,
    provider: String,
    channels: Vec<&'static str>,
    providers: Vec<String>,
    tabs: Vec<Tab>,
    groups: Vec<Group>,
    /// The row after which the next page begins.
    next: Option<i64>,
}

#[derive(Serialize)]
struct Tab {
    word: &'static str,
    class: &'static str,
    colour: &'static str,
    text: &'static str,
    count: i64,
}

#[derive(Serialize)]
struct Group {
    word: &'static str,
    /// There are more of them than this page shows.
    more: bool,
    text: &'static str,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    id: String,
    receipt: String,
    total: String,
    to: String,
    channel: &'static str,
    provider: String,
    made: String,
    waits: String,
    tries: u32,
    status: Status,
    detail: String,
    /// Word and label of what can be done.
    acts: Vec<(&'static str, &'static str)>,
    discard: bool,
    again: bool,
}

/// `GET /outbox`
pub async fn list(State(web): State<Shared>, _: Visitor, Query(asked): Query<Asked>) -> Shown {
    let frame = Frame::new(&web, "Outbox", "outbox").await?;
    let states = Is::from_word(&asked.state).map_or(OPEN.to_vec(), |state| vec![state]);
    let one = states.len() == 1;
    let filter = Filter {
        channel: Channel::from_word(&asked.channel),
        provider: Some(asked.provider.clone()).filter(|p| !p.is_empty()),
        oldest_first: true,
        before: asked.after.filter(|_| one),
        limit: SHOWN,
        ..Filter::default()
    };
    let (config, online, say, now) = (web.config(), frame.online, frame.say.clone(), web.clock.now().wall);
    let (groups, next) =
        web.readers.read(move |read| groups(read, &states, &filter, &View { config: &config, online, say: &say, now })).await?;
    let tabs = ORDER.iter().map(|state| tab(*state, frame.count(state.word()))).collect();
    let channels = web.config().channels.keys().map(|c| c.word()).collect();
    let providers = web.config().providers.keys().cloned().collect();
    let shelf = Shelf {
        state: asked.state,
        channel: asked.channel,
        provider: asked.provider,
        channels,
        providers,
        tabs,
        groups,
        next: next.filter(|_| one),
    };
    Ok(page(StatusCode::OK, "outbox.html", &frame, shelf))
}

/// What rows are written with.
struct View<'a> {
    config: &'a Config,
    online: bool,
    say: &'a Say,
    now: UnixMs,
}

fn groups(read: Snapshot<'_>, states: &[Is], filter: &Filter, view: &View<'_>) -> Result<(Vec<Group>, Option<i64>)> {
    let (mut groups, mut next) = (Vec::new(), None);
    for state in states {
        // What has ended is asked for to see the latest; what waits, to see the longest.
        let found = read.deliveries(&Filter { state: Some(*state), oldest_first: OPEN.contains(state), ..filter.clone() })?;
        if found.len() == SHOWN as usize {
            next = found.last().map(|d| d.id);
        }
        let rows = found.iter().map(|d| row(read, d, view)).collect::<Result<Vec<_>>>()?;
        if !rows.is_empty() {
            groups.push(Group {
                word: state.word(),
                more: states.len() > 1 && rows.len() == SHOWN as usize,
                text: words::heading(*state).1,
                rows,
            });
        }
    }
    Ok((groups, next))
}

fn tab(state: Is, count: i64) -> Tab {
    let (look, text) = words::heading(state);
    Tab { word: state.word(), class: look.class, colour: look.colour, text, count }
}

fn row(read: Snapshot<'_>, d: &Delivery, view: &View<'_>) -> Result<Row> {
    let receipt = read.receipt_at(d.receipt)?;
    let attempts = if matches!(d.state, Is::Dead | Is::Retry | Is::Uncertain) { read.attempts(d.id)? } else { Vec::new() };
    let (acts, discard): (Vec<(&str, &str)>, bool) = match d.state {
        Is::Dead => (vec![("retry", "Try again")], true),
        Is::Retry => (vec![("retry", "Try now"), ("hold", "Hold")], true),
        Is::Ready => (vec![("hold", "Hold")], true),
        Is::Held => (vec![("release", "Release")], true),
        Is::Uncertain => (Vec::new(), true),
        _ => (Vec::new(), false),
    };
    Ok(Row {
        id: d.step_id().to_string(),
        receipt: receipt.as_ref().map(|r| r.receipt_id.to_string()).unwrap_or_default(),
        total: receipt.map(|r| view.say.money(r.total, &r.currency)).unwrap_or_default(),
        to: d.shown_to(),
        channel: d.channel.word(),
        provider: d.provider.clone(),
        made: view.say.clock(d.made_at),
        waits: if d.state.open() { for_people(view.now.since(d.made_at)) } else { String::new() },
        tries: d.tries,
        status: status::of(view.config, d, view.online, view.say),
        detail: attempts.last().map(|a| a.detail.clone()).unwrap_or_default(),
        acts,
        discard,
        again: d.state == Is::Uncertain,
    })
}

/// `POST /outbox/{id}/{action}`: back to the same view of the outbox.
pub async fn act(State(web): State<Shared>, Path((id, action)): Path<(String, String)>, form: Posted) -> Shown {
    apply(&web, id, action, form.who.actor()).await?;
    let state = Is::from_word(form.get("state")).map(|s| format!("?state={}", s.word())).unwrap_or_default();
    Ok(Redirect::to(&format!("/outbox{state}")).into_response())
}
