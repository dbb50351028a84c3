//! Campaigns: a message to many. Planning fixes its recipients as messages like any other; each exclusion has
//! its reason. A plan that its account's rate cannot carry out in time is refused with the arithmetic.

use super::decide::{self, Facts};
use super::known::Known;
use super::queue::{self, About, Which};
use super::{Context, intake};
use crate::config::checked::{Rate, Receipts};
use crate::domain::channel::Channel;
use crate::domain::delivery::State;
use crate::domain::ids::{ReceiptId, hash16};
use crate::domain::message::Kind;
use crate::domain::sale::Customer;
use crate::domain::time::{UnixMs, for_people};
use crate::store::campaigns::Campaign;
use crate::store::inbox::Body;
use crate::store::people::Contact;
use crate::store::{Result, Tx};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// What is planned.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    /// The same id is the same campaign for ever.
    pub id: &'a str,
    /// The channel.
    pub channel: Channel,
    /// Template of the offer.
    pub template: &'a str,
    /// What the template is given besides.
    pub data: Value,
    /// When it must be done; `None`: whenever it is.
    pub end: Option<UnixMs>,
    /// Rate of the accounts that send it.
    pub rate: Rate,
}

/// Plans a campaign to these people and lets it run. False where its id was used before.
pub fn plan(tx: Tx<'_>, cx: &Context<'_>, plan: &Plan<'_>, audience: &[Contact]) -> Result<bool> {
    if tx.read().campaign(plan.id)?.is_some() {
        return Ok(false);
    }
    let needed = needed(audience.len(), plan.rate, cx.config.routing.campaign_share);
    if let Some(end) = plan.end.filter(|end| cx.now.wall + needed > *end) {
        let (needed, given) = (for_people(needed), for_people(end.since(cx.now.wall)));
        let reason = format!("{} recipients take {needed} at this rate; there are {given}", audience.len());
        return tx.put_campaign(&row(plan, cx, "refused", &reason, audience.len(), 0, &[]));
    }
    let document = json!({"type": "campaign.started", "id": plan.id, "time": cx.now.wall.rfc3339(), "subject": plan.id, "data": plan.data});
    let body = tx.put_body(&Body::pack(document.to_string().as_bytes()))?;
    let mut skipped = Vec::new();
    let mut addresses = BTreeSet::new();
    let mut planned = 0usize;
    for contact in audience {
        match recipient(tx, cx, plan, contact, body, &mut addresses)? {
            None => planned += 1,
            Some(why) => skipped.push(json!({"contact": contact.contact_id, "reason": why})),
        }
    }
    tx.put_campaign(&row(plan, cx, "running", "", audience.len(), planned, &skipped))
}

fn row(plan: &Plan<'_>, cx: &Context<'_>, state: &str, reason: &str, matched: usize, planned: usize, skipped: &[Value]) -> Campaign {
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Campaign {
        id: plan.id.to_owned(),
        channel: plan.channel.word().to_owned(),
        template: plan.template.to_owned(),
        state: state.to_owned(),
        reason: reason.to_owned(),
        matched: count(matched),
        planned: count(planned),
        skipped: Value::from(skipped.to_vec()).to_string(),
        changed_at: cx.now.wall,
    }
}

/// One recipient: queued, or why not.
fn recipient(
    tx: Tx<'_>,
    cx: &Context<'_>,
    plan: &Plan<'_>,
    contact: &Contact,
    body: i64,
    addresses: &mut BTreeSet<String>,
) -> Result<Option<String>> {
    let channels = [Some(plan.channel)];
    let facts = Facts {
        kind: Kind::Campaign,
        at: cx.now.wall,
        customer: &Customer::default(),
        receipts: Receipts::Always,
        contact: Some(contact),
        channels: &channels,
        configured: &intake::configured(cx.config, false),
        until: plan.end,
        rules: &cx.config.routing,
        shop: &cx.config.shop,
        now: cx.now,
    };
    let decision = decide::decide(&facts, &Known { read: tx.read(), cx })?;
    let Some(way) = decision.chain.first() else {
        let considered = decision.considered.first().map(|c| c.result.clone());
        return Ok(Some(considered.unwrap_or_else(|| decision.no_message.to_owned())));
    };
    if !addresses.insert(way.address.clone()) {
        return Ok(Some("duplicate".to_owned()));
    }
    if plan.end.is_some_and(|end| decision.due > end) {
        return Ok(Some("quiet".to_owned()));
    }
    let mut random = [0; 10];
    random.iter_mut().zip(hash16(format!("{}|{}", plan.id, contact.contact_id).as_bytes())).for_each(|(to, from)| *to = from);
    let about =
        About { receipt: None, id: ReceiptId::new(cx.now.wall.0, random), body: Some(body), at: cx.now.wall, thread: "", test: false };
    let which = Which { campaign: plan.id, ..Which::default() };
    queue::message(tx, cx, &about, &which, &decision)?;
    Ok(None)
}

/// How long so many recipients take at the share of a rate that campaigns may use.
pub fn needed(recipients: usize, rate: Rate, share: u32) -> Duration {
    let per_ms = u64::try_from(rate.per.as_millis()).unwrap_or(u64::MAX);
    let slots = u64::from(rate.count.max(1)) * u64::from(share.clamp(1, 100));
    let recipients = u64::try_from(recipients).unwrap_or(u64::MAX);
    Duration::from_millis(recipients.saturating_mul(per_ms).saturating_mul(100) / slots)
}

/// What has not left waits until it is resumed. False where the campaign was not running.
pub fn pause(tx: Tx<'_>, cx: &Context<'_>, id: &str) -> Result<bool> {
    let moved = tx.move_campaign(id, "running", "paused", cx.now.wall)?;
    if moved {
        tx.move_recipients(id, State::Ready, State::Held, cx.now.wall)?;
        tx.move_recipients(id, State::Retry, State::Held, cx.now.wall)?;
    }
    Ok(moved)
}

/// It goes on. False where it was not paused.
pub fn resume(tx: Tx<'_>, cx: &Context<'_>, id: &str) -> Result<bool> {
    let moved = tx.move_campaign(id, "paused", "running", cx.now.wall)?;
    if moved {
        tx.move_recipients(id, State::Held, State::Ready, cx.now.wall)?;
    }
    Ok(moved)
}

/// What has not left never will. False where it had ended.
pub fn cancel(tx: Tx<'_>, cx: &Context<'_>, id: &str) -> Result<bool> {
    let moved = tx.move_campaign(id, "running", "cancelled", cx.now.wall)? || tx.move_campaign(id, "paused", "cancelled", cx.now.wall)?;
    if moved {
        for state in [State::Ready, State::Retry, State::Held] {
            tx.move_recipients(id, state, State::Cancelled, cx.now.wall)?;
        }
    }
    Ok(moved)
}

/// A campaign of which nothing is open any more is finished.
pub(super) fn finish(tx: Tx<'_>, cx: &Context<'_>) -> Result<()> {
    for campaign in tx.read().campaigns()?.iter().filter(|c| c.state == "running") {
        if tx.read().campaign_progress(&campaign.id)?.1 == 0 {
            tx.move_campaign(&campaign.id, "running", "finished", cx.now.wall)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_texts_on_one_long_code_take_hours() {
        let rate = Rate::per_second(1);
        assert_eq!(needed(10_000, rate, 100), Duration::from_secs(10_000));
        assert_eq!(needed(10_000, Rate::per_second(48), 70).as_secs(), 297);
    }
}
