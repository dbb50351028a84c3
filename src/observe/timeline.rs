//! The story of one receipt: what happened when, in order, in plain words.

use crate::domain::delivery::State;
use crate::domain::time::UnixMs;
use crate::observe::words;
use crate::store::receipts::Receipt;
use crate::store::{Result, Snapshot};
use serde::Serialize;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// The same in milliseconds, for sorting and showing in the shop's zone.
    #[serde(skip)]
    pub ms: i64,
    /// Stable word: `sold`, `stored`, `queued`, `tried`, `accepted`, `held`, …
    pub what: String,
    /// One sentence.
    pub text: String,
    /// The delivery that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_id: Option<String>,
    /// The provider of an attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// What came of an attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// What the other side said, without addresses.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

fn entry(at: UnixMs, what: &str, text: String) -> Entry {
    Entry {
        at: at.rfc3339(),
        ms: at.0,
        what: what.to_owned(),
        text,
        delivery_id: None,
        provider: None,
        outcome: None,
        detail: String::new(),
    }
}

/// The whole story of a receipt, oldest first. Addresses are masked.
pub fn of(read: Snapshot<'_>, receipt: &Receipt) -> Result<Vec<Entry>> {
    let mut story = vec![
        entry(receipt.sold_at, "sold", format!("Sold at till {}", till(receipt))),
        entry(receipt.taken_at, "stored", "Received and stored on this box".to_owned()),
    ];
    if !receipt.no_message.is_empty() {
        story.push(entry(receipt.taken_at, &receipt.no_message, words::no_message(&receipt.no_message).text));
    }
    for d in read.deliveries_of(receipt.row)? {
        let id = Some(d.step_id().to_string());
        let who = if d.actor.is_empty() { String::new() } else { format!(", asked for by {}", d.actor) };
        let text = format!("{} for {} by {}{who}", if d.step == 1 { "Queued" } else { "Queued as fallback" }, d.shown_to(), d.channel);
        story.push(Entry { delivery_id: id.clone(), ..entry(d.made_at, "queued", text) });
        let attempts = read.attempts(d.id)?;
        for a in &attempts {
            story.push(Entry {
                delivery_id: id.clone(),
                provider: Some(a.provider.clone()),
                outcome: Some(a.class.clone()),
                detail: a.detail.clone(),
                ..entry(a.ended_at, "tried", tried(&a.class, &a.provider))
            });
        }
        if let (State::Sending, Some(at)) = (d.state, d.began_at) {
            story.push(Entry {
                delivery_id: id.clone(),
                provider: Some(d.provider.clone()),
                ..entry(at, "sending", format!("Being sent by {}", d.provider))
            });
        }
        if let (Some(at), false) = (d.ended_at, matches!(d.state, State::Sending | State::Ready | State::Retry | State::Accepted)) {
            let text = words::delivery(&d, true, false, |t| t.rfc3339()).text;
            story.push(Entry { delivery_id: id, ..entry(at, d.state.word(), text) });
        }
    }
    for row in read.audit_of(&receipt.receipt_id.to_string())? {
        story.push(entry(row.at, &row.action, format!("{} by {} ({})", row.action, row.actor, row.detail)));
    }
    story.sort_by_key(|e| e.ms);
    Ok(story)
}

/// The till's number where the sale names one, else the name of its key.
fn till(receipt: &Receipt) -> &str {
    if receipt.workstation_id.is_empty() { &receipt.till } else { &receipt.workstation_id }
}

fn tried(class: &str, provider: &str) -> String {
    match class {
        "accepted" => format!("Handed to {provider}"),
        "offline" => "No internet: nothing was sent".to_owned(),
        "retry" => format!("{provider} could not take it: it is tried again"),
        "throttle" => format!("{provider} asked to wait"),
        "auth" => format!("{provider} refuses the shop's account"),
        "permanent" => format!("{provider} refused it"),
        "uncertain" => format!("{provider} did not confirm it: it may have been sent"),
        other => format!("{provider}: {other}"),
    }
}
