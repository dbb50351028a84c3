//! What a play came to, as the contract's section on `simulate` names it.

use super::scenario::ScenarioError;
use super::world::{Result, World};
use crate::dispatch::Start;
use crate::domain::channel::Channel;
use crate::domain::content::Content;
use crate::domain::message::Kind;
use crate::domain::outcome::{Class, Outcome};
use crate::domain::sale::Sale;
use crate::domain::time::UnixMs;
use crate::observe::shown;
use crate::store::Snapshot;
use crate::store::outbox::Delivery;
use serde_json::{Map, Value, json};
use std::time::Duration;

impl World {
    /// One attempt that a provider saw.
    pub(super) fn note_send(&mut self, start: &Start, outcome: &Outcome, content: &Content, dies: bool) {
        let d = &start.delivery;
        let document: Value = serde_json::from_slice(&start.document).unwrap_or_default();
        let receipt = matches!(d.kind, Kind::Receipt | Kind::Refund);
        let late = receipt && self.now().wall.since(d.sold_at) > self.config.routing.fresh;
        let mut row = json!({
            "at": self.time.rfc3339(), "kind": d.kind.word(), "channel": d.channel.word(), "to": d.address, "provider": start.provider,
            "message_id": format!("tp_{}", d.intent.short()), "delivery_id": d.step_id().as_str(), "attempt": d.counted + 1,
            "outcome": if dies { Class::Uncertain.word() } else { outcome.class.word() }, "copy": d.kind == Kind::Resend, "late": late,
            "promo": start.promo && matches!(content, Content::Email(_)), "points": points(d, &document), "subject": content.headline(), "text": content.plain(),
        });
        if let Some(row) = row.as_object_mut() {
            row.extend(self.about(start, &document));
        }
        self.sends.push(row);
    }

    /// What a message is about, by the names of the scenario.
    fn about(&self, start: &Start, document: &Value) -> Map<String, Value> {
        let id = document.get("id").and_then(Value::as_str).unwrap_or_default();
        let label = match &start.receipt {
            Some(receipt) => self.documents.get(&receipt.receipt_id),
            None => self.events.get(id),
        };
        let mut about = Map::new();
        about.insert("receipt".into(), label.map_or(Value::Null, |l| l.as_str().into()));
        if !start.delivery.campaign.is_empty() {
            about.insert("campaign".into(), start.delivery.campaign.as_str().into());
        }
        if start.delivery.kind == Kind::Digest {
            about.insert("digest".into(), document.get("subject").cloned().unwrap_or_default());
        }
        about
    }

    /// The whole report.
    pub fn report(mut self) -> Result<Value> {
        let off = self.line_down_since.map_or(Duration::ZERO, |since| self.until.since(since));
        let Some(agent) = self.agent.take() else { return Err(ScenarioError::Other("the box has no power".into())) };
        let read = agent.writer.read();
        let (mut receipts, mut deliveries, mut dead) = (Vec::new(), Vec::new(), Vec::new());
        let mut rows: Vec<_> = self.documents.iter().filter_map(|(id, label)| read.receipt(*id).transpose().map(|r| (label, r))).collect();
        rows.sort_by(|a, b| a.0.cmp(b.0));
        for (label, receipt) in rows {
            let receipt = receipt?;
            receipts
                .push(json!({"id": label, "receipt": label, "sources": read.sources_of(&receipt)?, "state": shown::state(read, &receipt)?,
                "notes": read.sightings_of(receipt.row)?.into_iter().map(|(_, _, note)| note).collect::<Vec<_>>()}));
            for d in read.deliveries_of(receipt.row)? {
                list(&d, label, &mut deliveries, &mut dead);
            }
        }
        for d in read.deliveries_without_receipt()? {
            let label = self.label_of(read, &d)?;
            list(&d, &label, &mut deliveries, &mut dead);
        }
        let suppressions: Vec<Value> =
            read.suppressions(100_000)?.iter().map(|s| json!({"channel": s.channel, "address": s.address, "reason": s.reason})).collect();
        Ok(
            json!({"sends": self.sends, "receipts": receipts, "deliveries": deliveries, "suppressions": suppressions, "alerts": alerts(read)?,
            "dead_letters": dead, "resend_answers": self.answers, "campaigns": campaigns(read)?, "found": self.found,
            "offline_s": (self.offline + off).as_secs(), "violations": self.oracle.violations()}),
        )
    }

    /// The name of what a message without a receipt is about.
    fn label_of(&self, read: Snapshot<'_>, d: &Delivery) -> Result<String> {
        if !d.campaign.is_empty() {
            return Ok(d.campaign.clone());
        }
        let bytes = match d.body {
            Some(body) => read.body(body)?,
            None => Vec::new(),
        };
        let bytes = self.key.open(&bytes).unwrap_or(bytes);
        let document: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let id = document.get("id").or(document.get("subject")).and_then(Value::as_str).unwrap_or_default();
        Ok(self.events.get(id).cloned().unwrap_or_else(|| id.to_owned()))
    }
}

fn list(d: &Delivery, label: &str, all: &mut Vec<Value>, dead: &mut Vec<Value>) {
    let row = json!({"receipt": label, "kind": d.kind.word(), "channel": d.channel.word(), "to": d.address, "state": d.state.word(), "reason": d.reason});
    if d.state.word() == "dead" {
        dead.push(row.clone());
    }
    all.push(row);
}

/// Whether the points of this sale were shown.
fn points(d: &Delivery, document: &Value) -> bool {
    let shows = matches!(d.channel, Channel::Email) && matches!(d.kind, Kind::Receipt | Kind::Refund | Kind::Resend);
    let sale = if shows { Sale::parse(document).ok() } else { None };
    sale.is_some_and(|s| !s.gift && s.loyalty.is_some_and(|l| !l.earned.is_empty() || !l.balance.is_empty() || !l.text.is_empty()))
}

/// What was wrong, and when it was over.
fn alerts(read: Snapshot<'_>) -> Result<Vec<Value>> {
    let mut rows = Vec::new();
    for i in read.incidents(10_000)?.iter().rev().filter(|i| i.alert != "line") {
        let row = |at: UnixMs, state: &str| (at, json!({"at": at.rfc3339(), "alert": i.alert, "provider": i.object, "state": state}));
        rows.push(row(i.raised_at, "raised"));
        rows.extend(i.resolved_at.map(|at| row(at, "resolved")));
    }
    rows.sort_by_key(|(at, _)| *at);
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

fn campaigns(read: Snapshot<'_>) -> Result<Vec<Value>> {
    let mut out = Vec::new();
    for c in read.campaigns()? {
        let (sent, open) = read.campaign_progress(&c.id)?;
        let ended = if open == 0 && c.state != "refused" { read.campaign_ended(&c.id)? } else { None };
        let state = if c.state == "running" && open == 0 { "finished" } else { c.state.as_str() };
        let skipped: Value = serde_json::from_str(&c.skipped).unwrap_or_default();
        out.push(json!({"id": c.id, "state": state, "reason": c.reason, "matched": c.matched, "planned": c.planned, "sent": sent, "skipped": skipped,
            "finished_at": ended.map(|at| at.rfc3339())}));
    }
    Ok(out)
}
