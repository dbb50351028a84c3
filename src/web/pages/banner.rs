//! The line at the top of every page: the worst thing that is, in one sentence, and what happens next.

use super::say::{Say, counted};
use super::status::catches;
use crate::dispatch::run::View;
use crate::store::budget::Room;
use crate::sys::clock::Mono;
use crate::sys::disk;
use crate::web::Web;
use serde::Serialize;
use std::sync::PoisonError;
use std::time::Duration;

/// One sentence.
#[derive(Clone, Serialize)]
pub struct Banner {
    colour: &'static str,
    /// The icon's name.
    class: &'static str,
    text: String,
    /// A command to type next.
    command: &'static str,
    /// Milliseconds after which the page should look again; 0: when something happens.
    again: u64,
}

fn say_so(colour: &'static str, class: &'static str, text: String) -> Banner {
    Banner { colour, class, text, command: "", again: 0 }
}

/// What was seen of an outage, so that its end can be told.
#[derive(Debug, Default)]
pub struct Outage {
    /// Messages that waited when it was last seen.
    saved: i64,
    /// When they had all gone out.
    drained: Option<Mono>,
}

/// How long the end of an outage is told.
const TOLD: Duration = Duration::from_secs(10);

/// Nothing can leave: every account is a test inbox.
pub fn test_mode(web: &Web) -> bool {
    let config = &web.config();
    web.demo.is_some() || (!config.providers.is_empty() && config.providers.keys().all(|name| catches(config, name)))
}

/// The banner of this moment. `waiting`: messages that wait to go out.
pub fn of(web: &Web, view: &View, waiting: i64, say: &Say) -> Option<Banner> {
    let free = web.store.path.parent().and_then(|folder| disk::free(folder).ok()).unwrap_or(u64::MAX);
    let room = Room::of(free);
    let full = || format!("Disk almost full: {} MB left. Sales are still stored.", free / 1_000_000);
    let back = after_outage(web, view.online, waiting);
    if room >= Room::Short {
        return Some(say_so("red", "failed", full()));
    }
    if web.config().safe_mode {
        let banner = say_so("amber", "held", "This box is not set up yet: sales are stored, nothing is sent. Next:".into());
        return Some(Banner { command: "tillpost init", ..banner });
    }
    if web.config().last_good || !web.reloaded().problem.is_empty() {
        let banner = say_so("amber", "held", "The config files are wrong: the settings from before hold. What to mend:".into());
        return Some(Banner { command: "tillpost config check", ..banner });
    }
    if !view.online {
        return Some(offline(waiting, &say.clock(view.since)));
    }
    if let Some(down) = provider_down(web, view, waiting) {
        return Some(down);
    }
    if room >= Room::Low {
        return Some(say_so("amber", "failed", full()));
    }
    back.or_else(|| {
        test_mode(web).then(|| say_so("violet", "captured", "Test mode: messages are caught here, nothing leaves this box.".into()))
    })
}

fn offline(waiting: i64, since: &str) -> Banner {
    let saved = match waiting {
        0 => "Sales are stored all the same.".to_owned(),
        1 => "1 receipt is saved and will go out by itself.".to_owned(),
        n => format!("{n} receipts are saved and will go out by themselves."),
    };
    say_so("amber", "offline", format!("No internet since {since}. {saved}"))
}

fn provider_down(web: &Web, view: &View, waiting: i64) -> Option<Banner> {
    if web.demo.as_ref().is_some_and(|demo| !demo.state().1) {
        return Some(say_so("amber", "retry", format!("The provider is broken. {}", waits(waiting))));
    }
    let ours = view.lanes.iter().filter(|(name, _)| web.config().providers.contains_key(name));
    let (name, word) = ours.filter(|(_, word)| matches!(*word, "down" | "paused")).max_by_key(|(_, word)| *word)?;
    let saved = waits(waiting);
    Some(match *word {
        "paused" => say_so("red", "failed", format!("{name} refuses the shop's account: check its key. {saved}")),
        _ => say_so("amber", "retry", format!("{name} is not taking messages. {saved}")),
    })
}

fn waits(waiting: i64) -> String {
    match waiting {
        0 => "New receipts are saved and tried again by themselves.".to_owned(),
        1 => "1 receipt is saved and tried again by itself.".to_owned(),
        n => format!("{n} receipts are saved and tried again by themselves."),
    }
}

/// While offline, notes what waits; afterwards tells how it goes out.
fn after_outage(web: &Web, online: bool, waiting: i64) -> Option<Banner> {
    let now = web.clock.now().mono;
    let mut outage = web.pages.outage.lock().unwrap_or_else(PoisonError::into_inner);
    if !online {
        *outage = Outage { saved: waiting, drained: None };
        return None;
    }
    if outage.saved == 0 {
        return None;
    }
    let saved = counted(outage.saved, "saved receipt", "saved receipts");
    if waiting > 0 && outage.drained.is_none() {
        outage.saved = outage.saved.max(waiting);
        return Some(Banner { again: 1_000, ..say_so("green", "sending", format!("Internet is back. Sending {saved}, {waiting} left")) });
    }
    let since = *outage.drained.get_or_insert(now);
    if now.since(since) < TOLD {
        return Some(Banner {
            again: 10_500,
            ..say_so(
                "green",
                "delivered",
                format!("Internet is back. {} gone out.", counted(outage.saved, "saved receipt has", "saved receipts have")),
            )
        });
    }
    *outage = Outage::default();
    None
}
